"""The score stage as its users meet it: files in, JSON out, and what it says about files that cannot or should not be scored."""

import gzip
import json
import re

import pytest

from stages import score
from stages.metrics.contract import benchmark_names, load_benchmark
from tests.stages.metrics.making import predicted, true

PREDICTIONS = [predicted(1, (0, 10, 0.9), (2, 12, 0.5)), predicted(2, (40, 60, 0.8)), predicted(3, (5, 20, 0.7))]
TRUTH = [true(1, (0, 10)), true(2, (40, 80)), true(3, (5, 20))]


def lines(records):
    return "".join(json.dumps(record) + "\n" for record in records)


def run(folder, predictions, truth=TRUTH, *more, benchmark="charades_sta", name="p.jsonl"):
    """Exit code and output of one scoring; `predictions` and `truth` are records or the text of a file."""
    folder.mkdir(exist_ok=True, parents=True)
    for file, content in ((name, predictions), ("t.jsonl", truth)):
        text = content if isinstance(content, (str, bytes)) else lines(content)
        (folder / file).write_bytes(text if isinstance(text, bytes) else text.encode())
    out = folder / "out.json"
    out.unlink(missing_ok=True)
    arguments = ["--benchmark", benchmark, "--predictions", str(folder / name), "--ground-truth", str(folder / "t.jsonl")]
    code = score.main([*arguments, "--out", str(out), *more])
    assert out.exists() == (code == 0), "an output is there exactly when it is complete"
    return code, json.loads(out.read_text()) if code == 0 else None


def test_output_has_the_keys_of_the_contract(tmp_path):
    code, out = run(tmp_path, PREDICTIONS)
    assert code == 0
    assert list(out) == ["benchmark", "profiles", "n_scored", "n_skipped", "warnings"]
    assert set(out["profiles"]) == {"vtg", "lighthouse"}
    assert out["profiles"]["vtg"]["rounded"]["brief"]["MR-full-R1@0.5"] == 100.0
    assert out["profiles"]["vtg"]["rounded"]["brief"]["MR-full-mIoU"] == 83.33
    assert (out["n_scored"], out["n_skipped"], out["benchmark"]) == (3, 0, "charades_sta")


def test_corrected_values_stand_beside(tmp_path):
    _, out = run(tmp_path, PREDICTIONS, TRUTH, "--corrected", "--profile", "vtg")
    assert out["profiles"]["vtg"]["rounded"]["brief"]["MR-short-mAP"] == 100.0
    short = [record for record in TRUTH if record["qid"] != 1]
    _, out = run(tmp_path, PREDICTIONS[1:], short, "--corrected", "--profile", "vtg")
    assert out["corrected"]["vtg"]["rounded"]["brief"]["MR-short-mAP"] is None
    assert out["profiles"]["vtg"]["rounded"]["brief"]["MR-short-mAP"] is not None
    assert any("no true window is in the range short" in text for text in out["warnings"])


@pytest.mark.parametrize("name", ["p.jsonl.gz", "p.json", "p.txt"])
def test_files_are_known_by_their_content(tmp_path, name):
    text = lines(PREDICTIONS) if name != "p.json" else json.dumps(PREDICTIONS)
    data = gzip.compress(text.encode()) if name.endswith("gz") else text.encode()
    assert run(tmp_path, data, name=name)[1]["profiles"] == run(tmp_path, PREDICTIONS)[1]["profiles"]


def test_same_files_same_bytes(tmp_path):
    run(tmp_path / "a", PREDICTIONS)
    run(tmp_path / "b", PREDICTIONS)
    assert (tmp_path / "a/out.json").read_bytes() == (tmp_path / "b/out.json").read_bytes()


def without(record, key):
    return {name: value for name, value in record.items() if name != key}


def windows(*rows):
    """PREDICTIONS with the windows of the second record replaced."""
    return changed(1, pred_relevant_windows=list(rows))


def changed(number, **more):
    """PREDICTIONS with keys of one record replaced."""
    return [{**record, **more} if index == number else record for index, record in enumerate(PREDICTIONS)]


FAULTS = {
    "empty file": ("", r"p\.jsonl: no records"),
    "broken line": (lines(PREDICTIONS[:2]) + '{"qid": 3, "pred_rel', r"p\.jsonl: line 3: not JSON"),
    "text instead of JSON": ("qid,window\n1,2\n", r"p\.jsonl: line 1: not JSON"),
    "line that is a list": (lines([*PREDICTIONS[:1], [1, 2]]), r"p\.jsonl: line 2: expected one JSON object, got \[1, 2\]"),
    "not utf-8": (b'{"qid": 1}\n{"qid": "\xff"}\n', r"p\.jsonl: line 2: not utf-8"),
    "no id": ([without(PREDICTIONS[0], "qid")], r"p\.jsonl: line 1: qid: missing; expected an id"),
    "id of a wrong type": (changed(1, qid=2.0), r"line 2: qid 2\.0: qid: expected an id .*, got 2\.0"),
    "id that is true": (changed(0, qid=True), r"line 1: qid true: qid: expected an id"),
    "later record without windows": (
        [*PREDICTIONS[:2], without(PREDICTIONS[2], "pred_relevant_windows")],
        r"line 3: qid 3: pred_relevant_windows: missing",
    ),
    "neither windows nor saliency": ([{"qid": 1}], "has neither pred_relevant_windows nor pred_saliency_scores"),
    "windows that are no list": (
        changed(1, pred_relevant_windows={"a": 1}),
        r"line 2: qid 2: pred_relevant_windows: expected a list",
    ),
    "window without a score": (
        changed(1, pred_relevant_windows=[[0, 1, 2], [0, 1]]),
        r"line 2: qid 2: pred_relevant_windows\[1\]: expected",
    ),
    "window of text": (
        changed(1, pred_relevant_windows=[["0", 1, 2]]),
        r"line 2: qid 2: pred_relevant_windows\[0\]: .*got \[\"0\", 1, 2\]",
    ),
    "window of null": (windows([None, 1, 2]), r"line 2: qid 2: pred_relevant_windows\[0\]: .*null"),
    "window of true": (windows([True, 1, 2]), r"line 2: qid 2: pred_relevant_windows\[0\]: .*true"),
    "NaN": (
        changed(2, pred_relevant_windows=[[0, float("nan"), 1]]),
        r"line 3: qid 3: pred_relevant_windows\[0\]: .*finite.*NaN",
    ),
    "infinity": (
        changed(2, pred_relevant_windows=[[0, 1, float("inf")]]),
        r"line 3: qid 3: pred_relevant_windows\[0\]: .*Infinity",
    ),
    "overflow": (lines(PREDICTIONS).replace("0.7", "1e999"), r"line 3: qid 3: pred_relevant_windows\[0\]: .*finite"),
    "integer beyond doubles": (windows([0, 10**400, 1]), r"line 2: qid 2: pred_relevant_windows\[0\]"),
    "no window": (changed(1, pred_relevant_windows=[]), r"line 2: qid 2: pred_relevant_windows: empty list"),
    "saliency of text": (changed(0, pred_saliency_scores="high"), r"line 1: qid 1: pred_saliency_scores: expected a list"),
    "saliency NaN": (
        [{**record, "pred_saliency_scores": [0.1, float("nan")]} for record in PREDICTIONS],
        r"line 1: qid 1: pred_saliency_scores\[1\]: expected a finite number, got NaN",
    ),
    "relevance of text": (changed(0, relavent_score="yes"), r"line 1: qid 1: relavent_score: expected a finite number"),
    "relevance null": (
        [{**record, "relavent_score": 0.5 if record["qid"] == 1 else None} for record in PREDICTIONS],
        r"line 2: qid 2: relavent_score: expected a finite number",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_cannot_be_scored_is_refused_with_its_place(tmp_path, capsys, fault):
    content, message = FAULTS[fault]
    code, _ = run(tmp_path, content)
    said = capsys.readouterr().err
    assert code == 2, said
    assert re.search(message, said), said


def test_a_cut_archive_and_a_missing_file_are_refused(tmp_path, capsys):
    assert run(tmp_path, gzip.compress(lines(PREDICTIONS).encode())[:-12])[0] == 2
    assert "broken gzip data" in capsys.readouterr().err
    assert score.main(["--benchmark", "charades_sta", "--predictions", "nowhere", "--ground-truth", "x", "--out", "y"]) == 2
    assert "nowhere: cannot be read" in capsys.readouterr().err


TRUTH_FAULTS = {
    "no windows": ([without(TRUTH[0], "relevant_windows")], r"t\.jsonl: line 1: qid 1: relevant_windows: missing"),
    "window of one number": ([{**TRUTH[0], "relevant_windows": [[1]]}], r"t\.jsonl: line 1: qid 1: relevant_windows\[0\]"),
    "query without a window": ([{**TRUTH[0], "relevant_windows": []}], r"t\.jsonl: line 1: qid 1: relevant_windows: empty list"),
    "duration of text": ([{**TRUTH[0], "duration": "9"}], r"t\.jsonl: line 1: qid 1: duration: expected seconds"),
    "flag of text": ([{**TRUTH[0], "no_answer": "no"}], r"t\.jsonl: line 1: qid 1: no_answer: expected true or false"),
}


@pytest.mark.parametrize("fault", TRUTH_FAULTS)
def test_a_faulty_ground_truth_is_refused_with_its_place(tmp_path, capsys, fault):
    content, message = TRUTH_FAULTS[fault]
    assert run(tmp_path, PREDICTIONS[:1], content, "--profile", "vtg")[0] == 2
    assert re.search(message, capsys.readouterr().err)


def test_different_ids_are_listed_on_both_sides(tmp_path, capsys):
    code, _ = run(tmp_path, [*PREDICTIONS[1:], predicted(77, (0, 1, 1)), predicted("x", (0, 1, 1))])
    said = capsys.readouterr().err
    assert code == 3
    assert "Missing (1): [1]" in said
    assert 'Unknown (2): [77, "x"]' in said
    code, out = run(tmp_path, [*PREDICTIONS[1:], predicted(77, (0, 1, 1))], TRUTH, "--ids", "intersection")
    assert (code, out["n_scored"], out["n_skipped"]) == (0, 2, 2)


def test_ids_that_differ_in_type_only_are_pointed_out(tmp_path, capsys):
    assert run(tmp_path, [{**record, "qid": str(record["qid"])} for record in PREDICTIONS])[0] == 3
    assert '7 and "7" are two ids' in capsys.readouterr().err


def test_nothing_in_common_is_an_error(tmp_path, capsys):
    assert run(tmp_path, [predicted(9, (0, 1, 1))], TRUTH, "--ids", "intersection")[0] == 2
    assert "no id in common" in capsys.readouterr().err


WARNINGS = {
    "repeated id": ([*PREDICTIONS, PREDICTIONS[0]], r"line 4: qid 1: this qid occurs before"),
    "another video": (changed(1, vid="other"), r"line 2: qid 2: vid: the ground truth has this qid with another video"),
    "reversed window": (changed(1, pred_relevant_windows=[[60, 40, 1]]), r"line 2: qid 2: .*ends before it starts"),
    "window outside the video": (changed(1, pred_relevant_windows=[[-3, 40, 1]]), r"line 2: qid 2: .*outside the video"),
    "window without length": (changed(1, pred_relevant_windows=[[40, 40, 1]]), r"line 2: qid 2: .*no length"),
    "more than ten windows": (changed(1, pred_relevant_windows=[[40, 60, 1]] * 11), r"line 2: qid 2: only the first 10"),
    "rising scores": (changed(1, pred_relevant_windows=[[40, 60, 0.1], [1, 2, 0.5]]), r"line 2: qid 2: .*not ordered by score"),
    "more than three numbers": (changed(1, pred_relevant_windows=[[40, 60, 1, 7]]), r"line 2: qid 2: .*numbers behind"),
    "saliency too late": (changed(1, pred_saliency_scores=[1]), r"line 2: qid 2: pred_saliency_scores: not scored"),
}


@pytest.mark.parametrize("oddity", WARNINGS)
def test_an_oddity_that_the_references_score_is_scored_with_a_warning(tmp_path, oddity):
    content, message = WARNINGS[oddity]
    code, out = run(tmp_path, content)
    assert code == 0
    assert any(re.search(message, text) for text in out["warnings"]), out["warnings"]


def test_half_of_a_surrogate_pair_in_a_file_is_quoted_in_the_output_and_does_not_prevent_it(tmp_path):
    names = ("predictions", "ground_truth")
    relation = {
        "triplet": ["a", "\ud800", "c"],
        "duration": [0, 2],
        "sub_traj": [[0, 0, 9, 9]] * 2,
        "obj_traj": [[0, 0, 9, 9]] * 2,
    }
    contents = ({"results": {name: [relation | {"score": 0.5}] for name in ("v", "\ud800")}}, {"v": [relation]})
    for name, content in zip(names, contents, strict=True):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    files = [part for name in names for part in (f"--{name.replace('_', '-')}", str(tmp_path / f"{name}.json"))]
    assert score.main(["--benchmark", "vidvrd", *files, "--out", str(tmp_path / "out.json")]) == 0
    assert "\\ud800" in (tmp_path / "out.json").read_text(encoding="utf-8")


def test_repeated_pairs_have_no_corrected_values(tmp_path, capsys):
    assert run(tmp_path, [*PREDICTIONS, PREDICTIONS[0]], TRUTH, "--corrected")[0] == 2
    assert "corrected values need unique records" in capsys.readouterr().err


def test_a_profile_that_does_not_apply_is_left_out_with_a_warning_and_refused_when_named(tmp_path, capsys):
    one, two = PREDICTIONS[:1], TRUTH[:1]
    code, out = run(tmp_path, one, two, benchmark="qvhighlights")
    assert code == 0
    assert set(out["profiles"]) == {"lighthouse", "vtg"}
    assert any("moment_detr not scored" in text for text in out["warnings"])
    assert run(tmp_path, one, two, "--profile", "moment_detr", benchmark="qvhighlights")[0] == 2
    assert run(tmp_path, one, two, "--profile", "nonsense")[0] == 2
    assert "charades_sta has no profile nonsense; it has moment_detr" in capsys.readouterr().err


def test_options_are_checked_against_the_benchmark(tmp_path, capsys):
    assert score.main(["--benchmark", "charades", "--out", "x"]) == 2
    assert "no benchmark 'charades'" in capsys.readouterr().err
    assert score.main(["--benchmark", "charades_sta", "--predictions", "p", "--out", "x"]) == 2
    assert "--ground-truth missing" in capsys.readouterr().err
    assert run(tmp_path, PREDICTIONS, TRUTH, "--qa", "q.json")[0] == 2
    assert "--qa has no meaning for this benchmark" in capsys.readouterr().err


def test_an_option_that_a_benchmark_does_not_use_is_refused_with_those_that_do(tmp_path, capsys):
    assert run(tmp_path, PREDICTIONS, TRUTH, "--num-proposals", "8")[0] == 2
    assert "charades_sta does not use --num-proposals; ccr_localisation does: leave it out" in capsys.readouterr().err
    assert run(tmp_path, PREDICTIONS, TRUTH, "--ids", "intersection", benchmark="vidvrd")[0] == 2
    said = capsys.readouterr().err
    assert "vidvrd does not use --ids intersection; activitynet, activitynet_rf, causal_vidqa, " in said
    assert "vidor" not in said
    relation = {"triplet": ["a", "b", "c"], "duration": [0, 1], "sub_traj": [[0, 0, 9, 9]], "obj_traj": [[0, 0, 9, 9]]}
    files = json.dumps({"results": {"v": [{**relation, "score": 1}]}}), json.dumps({"v": [relation]})
    assert run(tmp_path, *files, "--ids", "strict", benchmark="vidvrd")[0] == 0  # what holds without it


def test_every_benchmark_of_the_folder_says_what_it_takes():
    for name in benchmark_names():
        benchmark = load_benchmark(name)
        assert set(benchmark.default) <= set(benchmark.profiles)
        assert set(benchmark.files) | set(benchmark.optional) <= set(score.ROLES)
        assert set(benchmark.options) <= {"ids", "num_proposals"}
