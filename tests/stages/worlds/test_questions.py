"""A world of questions on disk: the hosts' layouts, the same story in all files, ceilings that are ceilings."""

import csv
import json
from dataclasses import replace

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest

from stages.worlds.question_files import SplitFiles, published_clips
from stages.worlds.questions import QuestionWorld
from stages.worlds.settings import WorldError

SPLITS = ("train", "iid", "interventional", "reversed")


def write(few, root, seed=5):
    world = QuestionWorld(*few, seed)
    ticks = []
    world.write(root, lambda: ticks.append(1))
    assert len(ticks) == world.items
    return world


@pytest.fixture(scope="module")
def built(few, tmp_path_factory):
    root = tmp_path_factory.mktemp("questions")
    return write(few, root), root


def rows(path, delimiter=","):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


@pytest.mark.parametrize("split", SPLITS)
def test_multiple_choice_files_are_those_of_next_qa_and_next_gqa(built, split):
    _, root = built
    by_text = rows(root / "upstream/grounded/annotations" / f"{split}.csv")
    by_place = rows(root / "upstream/choice/annotations" / f"{split}.csv")
    columns = ["frame_count", "width", "height", "question", "answer", "qid", "type", "a0", "a1", "a2", "a3", "a4"]
    assert list(by_text[0]) == ["video_id", *columns]
    assert list(by_place[0]) == ["video", *columns]
    for text, place in zip(by_text, by_place, strict=True):
        assert text["answer"] == place[f"a{place['answer']}"]
        assert (text["video_id"], text["qid"], text["question"]) == (place["video"], place["qid"], place["question"])
        assert text["video_id"].isdigit()


@pytest.mark.parametrize("split", SPLITS)
def test_open_ended_files_are_those_of_msvd_qa(built, split):
    _, root = built
    table = rows(root / "upstream/open/annotations" / f"{split}.csv", delimiter="\t")
    assert list(table[0]) == ["", "answer", "id", "question", "video_id"]
    assert [row[""] for row in table] == [str(number) for number in range(len(table))]
    assert all(row["question"].endswith("?") and " " not in row["answer"] for row in table)
    assert len({row["id"] for row in table}) == len(table)


@pytest.mark.parametrize("split", SPLITS)
def test_feature_files_have_the_published_arrays_and_rows(built, split):
    world, root = built
    videos, clips = len(world.videos[split]), 16
    choice = len(rows(root / "upstream/choice/annotations" / f"{split}.csv"))
    open_ = len(rows(root / "upstream/open/annotations" / f"{split}.csv", delimiter="\t"))
    shapes = {
        f"grounded/CLIPL/CLIPL_I_{split}.h5": {"CLIPL_I": (videos, clips, 64), "vid": (videos,)},
        f"choice/vid_feat/app_mot_{split}.h5": {"feat": (videos, clips, 128), "ids": (videos,)},
        f"choice/frames/{split}.h5": {"feat": (videos, clips, 64), "ids": (videos,)},
        f"choice/region_feat_n/acregion_8c8b_{split}.h5": {
            "feat": (videos, 8, 4, 8, 64), "bbox": (videos, 8, 4, 8, 4), "ids": (videos,),
        },
        f"open/frame_feat/msvd_appearance_res152_feat_{split}.h5": {"res152_features": (videos, clips, 64), "ids": (videos,)},
        f"open/mot_feat/msvd_motion_3dres152_feat_{split}.h5": {"3dres152_features": (videos, clips, 64), "ids": (videos,)},
    }  # fmt: skip
    for name, expected in shapes.items():
        with h5py.File(root / "upstream" / name) as file:
            assert {key: file[key].shape for key in file} == expected
    for name, first in (
        ("choice/qas_bert/bert_ft", (choice, 5)),
        ("choice/qas_bert/bert_q", (choice,)),
        ("open/roberta/roberta_21_meanpool", (open_,)),
    ):
        with h5py.File(root / "upstream" / f"{name}_{split}.h5") as file:
            assert list(file) == ["feat"]
            assert file["feat"].shape[: len(first)] == first
            assert (np.abs(file["feat"][:]).sum(axis=-1) > 0).any(axis=-1).all()


def test_clips_of_the_file_are_those_of_the_model(built):
    world, root = built
    with h5py.File(root / "upstream/choice/frames/iid.h5") as file:
        lift = world.views.lift("clip", 64)[:, :36]
        np.testing.assert_allclose(file["feat"][2], world.views.latent(world.videos["iid"][2], "clip") @ lift.T, atol=2e-3)
        assert file["ids"][2] == 1000003


def test_every_second_clip_of_a_region_file_holds_the_frames_in_order(built):
    world, root = built
    seen = world.detector.see(world.videos["iid"][1])
    with h5py.File(root / "upstream/choice/region_feat_n/acregion_8c8b_iid.h5") as file:
        boxes = file["bbox"][1, ::2].reshape(16, 8, 4)
    np.testing.assert_allclose(boxes, seen.boxes, atol=1e-3)
    frames = np.arange(16 * 3).reshape(1, 16, 3, 1)
    assert (published_clips(frames)[:, ::2].reshape(1, 16, 3, 1) == frames).all()


@pytest.mark.parametrize("split", SPLITS[1:])
def test_evidence_is_published_for_every_question_but_not_for_training(built, split):
    _, root = built
    folder = root / "upstream/grounded/annotations"
    grounding = json.loads((folder / f"gsub_{split}.json").read_text())
    times = json.loads((folder / f"frame2time_{split}.json").read_text())
    asked = rows(folder / f"{split}.csv")
    for row in asked:
        entry = grounding[row["video_id"]]
        assert entry["location"][row["qid"]]
        assert all(0 <= start < end <= entry["duration"] for start, end in entry["location"][row["qid"]])
    for video, listed in times.items():
        assert len(listed) == 16
        assert 0 < listed[0] < listed[-1] < grounding[video]["duration"]
    assert not (folder / "gsub_train.json").exists()


@pytest.mark.parametrize(("name", "split"), [("choice", "iid"), ("open", "interventional"), ("grounded", "reversed")])
def test_truth_speaks_of_every_question_in_the_words_of_its_data_set(built, name, split):
    _, root = built
    table = rows(root / f"upstream/{name}/annotations/{split}.csv", delimiter="\t" if name == "open" else ",")
    truth = pq.read_table(root / f"upstream/{name}/truth/{split}.parquet").to_pylist()
    for row, known in zip(table, truth, strict=True):
        said = row["answer"] if name != "choice" else row[f"a{row['answer']}"]
        assert known["answer"] == said
        assert known["sample_id"] == (row["id"] if name == "open" else f"{row.get('video_id') or row['video']}_{row['qid']}")
        assert known["shortcut_is_right"] == (known["shortcut_answer"] is not None and known["shortcut_answer"] == said)
        assert known["guessable"] == (known["language_guess"] is not None and known["language_guess"] == said)
        assert (known["kind"] == "object") == (known["bayes_with"] is not None)
        if name != "open":
            assert known["bayes_with"] in (None, *(row[f"a{place}"] for place in range(5)))
        assert {frame for frame, _ in known["causal_objects"]} <= set(known["causal_clips"])


def test_long_videos_last_longer_with_as_many_clips_and_their_spans_keep_a_clip_apart(few):
    world = QuestionWorld(replace(few[0], splits={"train": replace(few[0].splits["train"], videos=60)}), few[1], 5)
    lengths = {video.duration for video in world.videos["train"]}
    assert lengths == {32.0, 96.0}
    for video in world.videos["train"]:
        assert video.clips == 16
        gaps = video.spans[1:, 0] - video.spans[:-1, 1]
        assert (gaps >= video.duration / 16 - 1e-6).all()
        assert video.spans.min() >= 0
        assert video.spans.max() <= video.duration


def test_the_same_seed_gives_the_same_bytes_and_more_videos_keep_the_earlier_ones(built, few, tmp_path):
    _, root = built
    write(few, tmp_path / "again")
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        assert (tmp_path / "again" / path.relative_to(root)).read_bytes() == path.read_bytes(), path.name
    more = {name: replace(split, videos=split.videos + 3) for name, split in few[0].splits.items()}
    write((replace(few[0], splits=more), few[1]), tmp_path / "more")
    for name in ("grounded/annotations/iid.csv", "choice/annotations/train.csv", "open/annotations/reversed.csv"):
        old, new = ((base / "upstream" / name).read_text() for base in (root, tmp_path / "more"))
        assert new.startswith(old)
        assert len(new) > len(old)
    for name, key in (("choice/qas_bert/bert_ft_iid.h5", "feat"), ("choice/region_feat_n/acregion_8c8b_iid.h5", "feat")):
        with h5py.File(root / "upstream" / name) as old, h5py.File(tmp_path / "more" / "upstream" / name) as new:
            np.testing.assert_array_equal(new[key][: len(old[key])], old[key][:])


def test_an_unbiased_training_split_leaves_the_test_splits_as_they_are(few, built, tmp_path):
    _, root = built
    splits = {**few[0].splits, "train": replace(few[0].splits["train"], law="interventional")}
    write((replace(few[0], splits=splits), few[1]), tmp_path)
    same, other = "upstream/choice/annotations/iid.csv", "upstream/choice/annotations/train.csv"
    assert (tmp_path / same).read_bytes() == (root / same).read_bytes()
    assert (tmp_path / other).read_bytes() != (root / other).read_bytes()


def test_worlds_that_the_layouts_cannot_hold_are_refused(few):
    planted, asking = few
    with pytest.raises(WorldError, match="same number of frames"):
        QuestionWorld(replace(planted, max_clips=20), asking, 0)
    with pytest.raises(WorldError, match="multiple of 4, not 18"):
        QuestionWorld(replace(planted, min_clips=18, max_clips=18), asking, 0)


@pytest.fixture(scope="module")
def ceilings(asked_world, tmp_path_factory):
    """Shares of right answers of the ideal observer at the demo values, by split, data set and door; questions per split."""
    found, asked = {}, {}
    for split in SPLITS[1:]:
        files = SplitFiles(
            asked_world.scm, asked_world.views, asked_world.wording, asked_world.detector, split,
            asked_world.videos[split], asked_world.questions[split], tmp_path_factory.mktemp(split),
        )  # fmt: skip
        files.write(lambda: None)
        found[split], asked[split] = files.ceilings(), len(asked_world.questions[split])
    return found, asked


@pytest.mark.parametrize("name", ["open", "choice"])
def test_the_back_door_is_worth_something_on_iid_and_harms_where_it_is_cut(ceilings, name):
    found, _ = ceilings
    assert found["iid"][name]["with"] > found["iid"][name]["without"]
    assert found["interventional"][name]["without"] > found["interventional"][name]["with"]
    assert found["iid"][name]["with"] - found["interventional"][name]["with"] > 0.01
    if name == "open":
        assert found["iid"]["open"]["with"] - found["iid"]["open"]["without"] >= 0.02


@pytest.mark.parametrize("split", SPLITS[1:])
def test_without_the_back_door_every_split_is_equally_hard_and_options_help(ceilings, split):
    found, asked = ceilings
    first, here = found["iid"]["open"]["without"], found[split]["open"]["without"]
    spread = np.sqrt(2 * first * (1 - first) / asked[split])
    assert abs(first - here) < 3 * spread
    assert here > 0.75
    assert found[split]["choice"]["without"] >= here


@pytest.mark.parametrize("split", SPLITS)
def test_the_signal_is_there_without_training(asked_world, split):
    """Nearest concept in the true span, the rest known: at least 0.9 of the ceiling without the back door."""
    right = []
    for one in asked_world.questions[split][:400]:
        score = 0.0
        weight = one.video.coverage[one.position]
        for name, view in asked_world.settings.views.items():
            mean = weight @ asked_world.views.latent(one.video, name)
            score = score + view.object / view.sigma**2 * (asked_world.views.concepts[name].object @ mean)
        right.append(np.argmax(score) == one.answer[0])
    assert np.mean(right) > 0.9 * 0.96


def test_the_question_alone_does_not_tell_the_answer(asked_world):
    """The most frequent answer of each question text in training, on the other splits: chance is 8.3 %."""
    counts = {}
    for one in asked_world.questions["train"]:
        counts.setdefault(one.text, np.zeros(12))[one.answer[0]] += 1
    for split in SPLITS[1:]:
        rows_ = asked_world.questions[split]
        right = np.mean([counts[one.text].argmax() == one.answer[0] for one in rows_])
        assert right < 1 / 12 + 3 * np.sqrt(1 / 12 * 11 / 12 / len(rows_)) + 0.01
