"""Relation detection: overlap of trajectories, detection and tagging on paper, and what the benchmark refuses."""

import json

import numpy as np
import pytest

from stages import score
from stages.datasets.relation_schema import Relation, viou, volume
from stages.metrics.relations import hits, limited, relation_scores, tagging_precision, unseen

BOX = [0.0, 0.0, 9.0, 9.0]  # ten by ten pixels


def track(frames, shift=0.0):
    return np.array([[BOX[0] + shift, BOX[1], BOX[2] + shift, BOX[3]]] * frames)


def relation(triplet="a b c", first=0, frames=4, shift=0.0, score=None):
    boxes = track(frames, shift)
    return Relation(tuple(triplet.split()), first, first + frames, boxes, boxes, score)


def test_boxes_are_inclusive_pixels():
    assert volume(track(3)) == 300


def test_viou_compares_common_frames_with_whole_volumes():
    assert viou(track(4), track(4), 0, 0) == 1
    assert viou(track(4), track(4), 0, 2) == pytest.approx(2 / 6)
    assert viou(track(4), track(4), 0, 4) == 0
    assert viou(track(4), track(4, shift=5), 0, 0) == pytest.approx(50 / 150)
    assert viou(track(4), track(4, shift=50), 0, 0) == 0


def test_a_true_relation_is_found_once_by_the_best_scored_prediction():
    truth = [relation(), relation(first=10)]
    assert hits([relation(score=0.9), relation(score=0.8), relation(first=10, score=0.1)], truth).tolist() == [True, False, True]
    assert hits([relation("a b x", score=0.9)], truth).tolist() == [False]


def test_an_overlap_of_one_half_is_enough():
    assert hits([relation(frames=4, score=1)], [relation(frames=2)]).tolist() == [True]
    assert hits([relation(frames=5, score=1)], [relation(frames=2)]).tolist() == [False]


def test_values_on_paper():
    truth = {"v": [relation(), relation("d e f")], "w": [relation()], "empty": []}
    predictions = {"v": [relation(score=0.5), relation("x y z", score=0.9)], "unknown": [relation(score=1)]}
    values = relation_scores(predictions, truth)
    assert values["mAP"] == pytest.approx((0.5 * 0.5 + 0) / 2)
    assert values["R@50"] == pytest.approx(1 / 3)
    assert (values["P@1"], values["P@5"]) == (0.0, pytest.approx(0.5 / 2))


def test_tagging_divides_by_what_there_is():
    predictions = [relation(score=0.9), relation(score=0.8), relation("d e f", score=0.7)]
    assert tagging_precision(predictions, [relation()], 10) == 0.5
    assert tagging_precision([], [relation()], 10) == 0


def test_corrected_tagging_divides_by_what_was_asked_for(tmp_path):
    _, out = run(tmp_path, {"results": {"v": [written(), written(triplet=["a", "b", "x"])]}}, "--corrected")
    released, corrected = out["profiles"]["standard"]["unrounded"], out["corrected"]["standard"]["unrounded"]
    assert (released["P@1"], released["P@5"], released["P@10"]) == (1.0, 0.5, 0.5)
    assert (corrected["P@1"], corrected["P@5"], corrected["P@10"]) == (1.0, 0.2, 0.1)
    assert all(corrected[name] == released[name] for name in ("mAP", "R@50", "R@100"))


def test_zero_shot_keeps_what_training_never_showed():
    truth = unseen({"v": [relation(), relation("d e f")]}, {("a", "b", "c")})
    assert [one.triplet for one in truth["v"]] == [("d", "e", "f")]
    assert limited({"v": [relation(), relation("d e f"), relation("g h i")]}, truth)["v"][0].triplet == ("d", "e", "f")


def written(**changed):
    one = {"triplet": ["a", "b", "c"], "score": 0.5, "duration": [0, 2], "sub_traj": [BOX] * 2, "obj_traj": [BOX] * 2}
    return {**one, **changed}


def run(folder, predictions, *more):
    """Exit code and output; the ground truth is one relation in video v."""
    (folder / "p.json").write_text(predictions if isinstance(predictions, str) else json.dumps(predictions))
    (folder / "t.json").write_text(json.dumps({"v": [written()], "w": []}))
    files = ["--predictions", folder / "p.json", "--ground-truth", folder / "t.json"]
    out = folder / "out.json"
    out.unlink(missing_ok=True)
    code = score.main(["--benchmark", "vidvrd", *map(str, files), *map(str, more), "--out", str(out)])
    return code, json.loads(out.read_text()) if code == 0 else None


def test_zero_shot_profiles_need_the_training_triplets(tmp_path):
    code, out = run(tmp_path, {"results": {"v": [written()], "x": []}})
    assert code == 0
    assert set(out["profiles"]) == {"standard"}
    assert out["profiles"]["standard"]["rounded"]["mAP"] == 1.0
    assert any("x: not in the ground truth" in text for text in out["warnings"])
    (tmp_path / "train.json").write_text(json.dumps([["d", "e", "f"]]))
    _, out = run(tmp_path, {"results": {"v": [written()]}}, "--train-triplets", tmp_path / "train.json")
    assert set(out["profiles"]) == {"standard", "zero_shot", "zero_shot_old"}


def test_no_prediction_at_all_scores_zero(tmp_path):
    assert set(run(tmp_path, {"results": {}})[1]["profiles"]["standard"]["rounded"].values()) == {0.0}


FAULTS = [
    ({"version": 1}, "results: expected videos"),
    ({"results": {"v": 1}}, "v: expected a list of relations"),
    ({"results": {"v": [3]}}, "v: relation 0: expected one JSON object"),
    (
        {"results": {"v": [written(), written(score=float("inf"))]}},
        "v: relation 1: score: expected a finite number, got Infinity",
    ),
    ({"results": {"v": [written(duration=[2, 2])]}}, "v: relation 0: duration: expected"),
    ({"results": {"v": [written(sub_traj=[BOX])]}}, "v: relation 0: sub_traj: expected 2 boxes, one per frame"),
    ({"results": {"v": [written(obj_traj=[BOX, [0, 0, 1]])]}}, "v: relation 0: obj_traj[1]: expected [left, top, right, bottom]"),
    ({"results": {"v": [written(triplet=["a", "b"])]}}, "v: relation 0: triplet: expected [subject, predicate, object]"),
]


@pytest.mark.parametrize(("predictions", "message"), FAULTS)
def test_what_is_no_relation_is_refused_with_its_place(tmp_path, capsys, predictions, message):
    assert run(tmp_path, predictions)[0] == 2
    assert message in capsys.readouterr().err


def test_predictions_may_be_json_lines_as_evaluate_writes_them(tmp_path, capsys):
    lines = [{"sample_id": name, "video_id": name, "results": found} for name, found in (("v", [written()]), ("w", []))]
    _, as_lines = run(tmp_path, "\n".join(map(json.dumps, lines)))
    _, as_object = run(tmp_path, {"results": {"v": [written()], "w": []}})
    assert as_lines == as_object
    assert run(tmp_path, json.dumps({"video_id": "v"}))[0] == 2
    assert "v: expected a list of relations, got null" in capsys.readouterr().err
