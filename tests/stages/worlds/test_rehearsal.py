"""Features planted under annotations: published layout, signal inside the windows, the same bytes every time."""

import gzip
import io
import json
import tarfile
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch

from stages.worlds.rehearsal import RehearsedWorld, read_annotations, tokens, words
from stages.worlds.settings import Rehearsal, Rehearsed, WorldError

TRAIN = [
    {"qid": 0, "query": "person opens a door.", "duration": 20.3, "vid": "AAA", "relevant_windows": [[2.0, 9.5]]},
    {"qid": 1, "query": "person eats soup.", "duration": 20.3, "vid": "AAA", "relevant_windows": [[18.0, 12.0]]},
    {"qid": 2, "query": "person opens a door.", "duration": 8, "vid": "-b.c_1.0", "relevant_windows": [[0, 30.0]]},
    {"qid": 3, "query": "Ünter the  table !", "duration": 5.0, "vid": "ZZZ", "relevant_windows": [[1.0, 1.0]]},
]
TEST = [
    {"qid": 4, "query": "a dog barks", "duration": 30.0, "vid": "TTT"},
    {"qid": 5, "query": "a cat sleeps", "duration": 30.0, "vid": "TTT", "relevant_windows": [[0, 0.001]], "no_answer": True},
]
VIDEO = {
    "of": "videos",
    "path": "features/Charades/clip",
    "prefix": "",
    "format": "npz",
    "key": "features",
    "width": 40,
    "dtype": "float16",
    "extra_rows": 0,
    "marks": 0,
    "max_tokens": None,
    "packing": "files",
    "part_bytes": None,
}
QUERY = {**VIDEO, "of": "queries", "path": "features/Charades/clip_text", "prefix": "qid", "key": "last_hidden_state", "marks": 1}


def settings(**change):
    kinds = {
        "clip": Rehearsed(**VIDEO),
        "slowfast": Rehearsed(**VIDEO | {"path": "features/Charades/slowfast", "width": 64, "extra_rows": 2}),
        "clip_text": Rehearsed(**QUERY),
    }
    numbers = {"fps": 1.0, "latent": 32, "signal": 1.0, "scene": 0.5, "noise": 0.05, "rated": 0.0, "subset": None}
    files = {"annotations": "unused", "files": ("train.jsonl", "test.jsonl"), "into": "annotations"}
    return Rehearsal(**{**numbers, **files, "features": kinds} | change)


@pytest.fixture
def folder(tmp_path):
    """Two annotation files, one of them compressed and without a final line break."""
    raw = tmp_path / "published"
    raw.mkdir()
    (raw / "train.jsonl").write_text("".join(json.dumps(record) + "\n" for record in TRAIN), encoding="utf-8")
    (raw / "test.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, TEST)).encode(), mtime=0))
    return raw


def written(tmp_path, folder, name="world", **change):
    world = RehearsedWorld(settings(**change), 1, folder)
    features, facts = world.write(tmp_path / name, lambda: None)
    return tmp_path / name / "upstream", features, facts


def load(path, key):
    with np.load(path, allow_pickle=False) as archive:
        return archive[key]


def test_every_video_and_query_gets_its_file_in_the_published_layout(tmp_path, folder):
    root, features, facts = written(tmp_path, folder)
    clip, text = root / "features/Charades/clip", root / "features/Charades/clip_text"
    assert sorted(path.name for path in clip.iterdir()) == ["-b.c_1.0.npz", "AAA.npz", "TTT.npz", "ZZZ.npz"]
    assert sorted(path.name for path in text.iterdir()) == [f"qid{n}.npz" for n in range(6)]
    assert load(clip / "AAA.npz", "features").shape == (21, 40)
    assert load(clip / "AAA.npz", "features").dtype == np.float16
    assert load(root / "features/Charades/slowfast/AAA.npz", "features").shape == (23, 64)
    assert load(text / "qid0.npz", "last_hidden_state").shape == (1 + 5 + 1, 40)
    assert features["clip"].files == 4
    assert facts["videos"] == {"planted": 4, "annotated": 4}
    assert facts["is_subset"] is False


def test_annotation_files_are_copied_unchanged(tmp_path, folder):
    root, _, _ = written(tmp_path, folder)
    for name in ("train.jsonl", "test.jsonl.gz"):
        assert (root / "annotations" / name).read_bytes() == (folder / name).read_bytes()


def clip_scores(world, video, text):
    """How much each clip of a video points to a text."""
    return world.clips(video, world.settings.features["clip"]) @ world.direction(text)


def test_the_words_of_a_query_point_into_its_own_window_and_not_into_another_s(folder):
    world = RehearsedWorld(settings(), 1, folder)
    door, soup = (clip_scores(world, "AAA", text) for text in ("person opens a door.", "person eats soup."))
    assert door[2:9].min() > door[np.r_[0:2, 10:12, 18:21]].max() + 0.5
    assert soup[12:18].min() > soup[np.r_[0:2, 10:12, 18:21]].max() + 0.5
    assert door[2:9].mean() > door[12:18].mean() + 0.3
    assert 0 < world.direction("person opens a door.") @ world.direction("person eats soup.") < 0.7


def test_windows_are_read_whatever_their_order_and_length(folder):
    world = RehearsedWorld(settings(), 1, folder)
    whole = world.strength(world.annotations.videos["-b.c_1.0"].asked["person opens a door."], 8)
    assert whole.tolist() == [1.0] * 8
    assert world.strength(world.annotations.videos["ZZZ"].asked["Ünter the  table !"], 5).sum() == 0


def test_a_pair_without_answer_leaves_no_trace_in_the_video(folder):
    world = RehearsedWorld(settings(noise=0.0, scene=0.0), 1, folder)
    assert not world.clips("TTT", world.settings.features["clip"]).any()


def test_equal_words_have_equal_rows_wherever_they_stand(tmp_path, folder):
    root, _, _ = written(tmp_path, folder)
    text = root / "features/Charades/clip_text"
    first, second, third = (load(text / f"qid{n}.npz", "last_hidden_state") for n in (0, 2, 1))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first[:2], third[:2])  # begin mark, "person"
    np.testing.assert_array_equal(first[-2:], third[-2:])  # full stop, end mark
    assert not (first[2] == third[2]).any()


def test_tokens_are_marks_and_words_cut_before_the_end_mark():
    assert words("Person's  door, Ünter!") == ["person", "'", "s", "door", ",", "ünter", "!"]
    feature = Rehearsed(**QUERY | {"marks": 2, "max_tokens": 5})
    assert tokens("a b c d e", feature) == ["<begin 0>", "<begin 1>", "a", "b", "<end>"]


def test_ratings_scale_the_signal(folder):
    rated = {**TRAIN[0], "relevant_clip_ids": [1, 2], "saliency_scores": [[4, 4, 4], [2, 2, 2]], "relevant_windows": [[2, 6]]}
    (folder / "train.jsonl").write_text(json.dumps(rated) + "\n")
    world = RehearsedWorld(settings(rated=0.5), 1, folder)
    asked = world.annotations.videos["AAA"].asked[rated["query"]]
    np.testing.assert_allclose(world.strength(asked, 8), [0, 0, 1, 1, 0.75, 0.75, 0, 0])


def test_a_subset_is_the_first_videos_by_id_with_unchanged_bytes_and_says_so(tmp_path, folder):
    root, features, facts = written(tmp_path, folder, "part", subset=2)
    full, _, _ = written(tmp_path, folder, "full")
    part = sorted(path.relative_to(root) for path in root.rglob("*.npz"))
    assert [path.name for path in part if path.parent.name == "clip"] == ["-b.c_1.0.npz", "AAA.npz"]
    assert [path.name for path in part if path.parent.name == "clip_text"] == ["qid0.npz", "qid1.npz", "qid2.npz"]
    assert all((root / path).read_bytes() == (full / path).read_bytes() for path in part)
    assert facts["is_subset"] is True
    assert features["clip_text"].files == facts["queries"]["planted"] == 3


def test_internvideo2_files_are_bare_tensors_in_archives(tmp_path, folder):
    kinds = {
        "video": Rehearsed(**VIDEO | {"path": "iv2_w1s", "format": "pt", "key": None, "packing": "tar.gz", "part_bytes": 2000}),
        "text": Rehearsed(**QUERY | {"path": "iv2_text", "format": "pt", "key": None, "packing": "tar", "marks": 4}),
    }
    root, features, _ = written(tmp_path, folder, features=kinds)
    parts = sorted(root.glob("iv2_w1s.tar.gz.*"))
    assert len(parts) > 1
    with tarfile.open(fileobj=io.BytesIO(b"".join(part.read_bytes() for part in parts)), mode="r:gz") as tar:
        assert tar.getnames() == [f"iv2_w1s/{name}.pt" for name in ("-b.c_1.0", "AAA", "TTT", "ZZZ")]
        tensor = torch.load(io.BytesIO(tar.extractfile("iv2_w1s/AAA.pt").read()), weights_only=True)
    assert tensor.shape == (21, 40)
    assert tensor.dtype == torch.float16
    with tarfile.open(root / "iv2_text.tar") as tar:
        assert tar.getnames()[0] == "iv2_text/qid0.pt"
    assert features["text"].files == 6


def test_other_seeds_give_other_features(folder):
    first, second = (RehearsedWorld(settings(), seed, folder) for seed in (1, 2))
    assert abs(first.word("door") @ second.word("door")) < 0.9


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"train\.jsonl:2: not a line of JSON"),
        ("[1]", r"train\.jsonl:2: expected a record with 'vid', got '\[1\]'"),
        (json.dumps({**TRAIN[1], "duration": "20"}), "expected a record with 'duration'"),
        (json.dumps({**TRAIN[1], "duration": 0}), "duration 0 is not a positive number"),
        (json.dumps({**TRAIN[1], "qid": 0}), "qid 0 is 'person eats soup.' here and 'person opens a door.' before"),
        (json.dumps({**TRAIN[1], "duration": 21.0}), r"AAA lasts 21\.0 s here and 20\.3 s before"),
        (json.dumps({**TRAIN[1], "relevant_windows": [[1]]}), r"train\.jsonl:2: relevant_windows"),
        (json.dumps({**TRAIN[1], "vid": "a/b"}), "'a/b' cannot be a file name"),
    ],
)
def test_a_record_that_cannot_be_planted_is_reported_with_file_and_line(folder, line, message):
    (folder / "train.jsonl").write_text(json.dumps(TRAIN[0]) + "\n" + line + "\n")
    with pytest.raises(WorldError, match=message):
        RehearsedWorld(settings(), 1, folder)


def test_a_missing_annotation_file_is_reported_with_the_way_out(folder):
    with pytest.raises(WorldError, match=r"neither val\.jsonl nor val\.jsonl\.gz is there; put .* or give another folder"):
        read_annotations(folder, ("val.jsonl",))


def test_a_text_asked_again_under_another_id_is_planted_once(folder):
    again = {**TRAIN[0], "qid": 9, "relevant_windows": [[2.0, 9.5]]}
    (folder / "train.jsonl").write_text("".join(json.dumps(record) + "\n" for record in [*TRAIN, again]))
    world = RehearsedWorld(settings(noise=0.0, scene=0.0), 1, folder)
    assert np.linalg.norm(world.clips("AAA", world.settings.features["clip"])[4]) == pytest.approx(1)
    assert "9" in world.query_ids


def test_latent_width_above_the_published_one_is_refused():
    with pytest.raises(WorldError, match=r"features\.clip\.width: 40 is less than latent 41"):
        replace(settings(), latent=41)


LIST = [
    ["AAA", 20.3, [2.0, 9.5], "person opens a door."],
    ["AAA", 20.3, [12, 18], "person eats soup."],
    ["B", 8, [0, 3], "a cat"],
]
I3D = VIDEO | {"path": "i3d", "format": "h5", "key": None, "dtype": "float32"}


def test_lists_without_query_ids_are_read_too(tmp_path):
    (tmp_path / "train.json.gz").write_bytes(gzip.compress(json.dumps(LIST).encode(), mtime=0))
    (tmp_path / "test.json").write_text(json.dumps(LIST[:1]))
    found = read_annotations(tmp_path, ("train.json", "test.json"))
    assert found.records == {"train.json": 3, "test.json": 1}
    assert found.texts == {"train:0": LIST[0][3], "train:1": LIST[1][3], "train:2": "a cat", "test:0": LIST[0][3]}
    assert found.videos["AAA"].asked["person eats soup."].windows == {(12.0, 18.0)}


@pytest.mark.parametrize(
    "row", [["AAA", 20.3, [2.0], "text"], ["AAA", -1, [0, 1], "text"], {"vid": "AAA"}, ["AAA", 20.3, [0, 1]]]
)
def test_a_list_with_another_record_is_refused_with_its_place(tmp_path, row):
    (tmp_path / "train.json").write_text(json.dumps([LIST[0], row]))
    with pytest.raises(WorldError, match=r"train\.json: record 1: expected \[video"):
        read_annotations(tmp_path, ("train.json",))


def test_features_in_one_hdf5_file_hold_what_single_files_hold(tmp_path):
    (tmp_path / "train.json").write_text(json.dumps(LIST))
    kinds = {"i3d": Rehearsed(**I3D), "clip": Rehearsed(**I3D | {"format": "npz", "key": "features"})}
    made = RehearsedWorld(settings(files=("train.json",), features=kinds), 3, tmp_path)
    written, facts = made.write(tmp_path / "out", lambda: None)
    assert (written["i3d"].files, facts["videos"]) == (2, {"planted": 2, "annotated": 2})
    with h5py.File(tmp_path / "out" / "upstream" / "i3d.hdf5") as file:
        assert file["AAA"].shape == (21, 40)
        with np.load(tmp_path / "out" / "upstream" / "i3d" / "AAA.npz") as single:
            np.testing.assert_array_equal(file["AAA"][()], single["features"])


def test_text_features_and_archives_in_hdf5_are_refused():
    with pytest.raises(WorldError, match="h5 holds features of videos"):
        Rehearsed(**I3D | {"of": "queries"})
    with pytest.raises(WorldError, match="h5 is one file"):
        Rehearsed(**I3D | {"packing": "tar"})
