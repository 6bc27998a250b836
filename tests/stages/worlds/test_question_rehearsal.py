"""Planted features under tables of questions: the published layout, the signal, the same bytes again."""

import gzip
import json
from dataclasses import replace

import h5py
import numpy as np
import pytest

from stages.params import World
from stages.world import build
from stages.worlds.question_rehearsal import RehearsedQuestions
from stages.worlds.question_rehearsal_settings import PlantedArray, QuestionRehearsal
from stages.worlds.settings import Encoders, WorldError

HEADER = "video_id,qid,type,question,answer,a0,a1,a2,a3,a4\n"
ROWS = {
    "val.csv": "101,0,CW,why does the dog run,ball,ball,cat,sofa,rain,car\n102,0,CW,what is it on,cat,ball,cat,sofa,rain,car\n",
    "test.csv": "103,4,CW,where is the cat,sofa,ball,cat,sofa,rain,car\n",
}
EVIDENCE = {"103": {"duration": 40, "location": {"4": [[10.0, 20.0]]}, "fps": 10}}
FRAMES = PlantedArray(of="videos", path="CLIPL/CLIPL_I_{split}.h5", key="CLIPL_I", rows=8, width=24, dtype="float32", ids="vid")
TOKENS = PlantedArray(of="questions", path="roberta/roberta_{split}.h5", key="feat", rows=6, width=20, dtype="float16")
SETTINGS = QuestionRehearsal(
    annotations="filled in", tables={"train": "val.csv", "test": "test.csv"}, windows={"test": "gsub_test.json"},
    copies={"gsub_test.json": "gsub_test.json"}, into="annotations", options=5, latent=16, signal=5.0, scene=0.5, noise=0.1,
    subset=None, arrays={"frames": FRAMES, "question": TOKENS},
)  # fmt: skip


@pytest.fixture
def annotations(tmp_path):
    folder = tmp_path / "annotations"
    folder.mkdir()
    (folder / "val.csv.gz").write_bytes(gzip.compress((HEADER + ROWS["val.csv"]).encode()))
    (folder / "test.csv").write_text(HEADER + ROWS["test.csv"])
    (folder / "gsub_test.json").write_text(json.dumps(EVIDENCE))
    return folder


def made(settings, annotations, out):
    world = World(seed=3, planted=None, rehearsal=None, question_rehearsal=settings)
    return build("rehearsal", world, out, annotations)


def test_tables_are_copied_and_arrays_have_the_published_layout(annotations, tmp_path):
    small = Encoders(width=16, layers=1, heads=2, feed_forward=16, positions=32, spread=0.02)
    facts = made(replace(SETTINGS, encoders=small), annotations, tmp_path / "world")
    upstream = tmp_path / "world" / "upstream"
    assert (upstream / "annotations" / "train.csv.gz").read_bytes() == (annotations / "val.csv.gz").read_bytes()
    assert (facts["kind"], facts["questions"], facts["videos"]) == ("rehearsal", {"train": 2, "test": 1}, {"train": 2, "test": 1})
    with h5py.File(upstream / "CLIPL" / "CLIPL_I_train.h5") as file:
        assert [one.decode() for one in file["vid"]] == ["101", "102"]
        assert (file["CLIPL_I"].shape, file["CLIPL_I"].dtype) == ((2, 8, 24), np.float32)
    with h5py.File(upstream / "roberta" / "roberta_train.h5") as file:
        real = (file["feat"][:] != 0).any(axis=2)
        assert real.sum(axis=1).tolist() == [5, 4]  # words of the questions, zeros behind
    assert {path.name for path in (upstream / "encoders").iterdir()} == {"clip_text", "roberta"}


def test_the_frames_of_the_evidence_say_question_and_answer(annotations):
    world = RehearsedQuestions(SETTINGS, 3, annotations)
    (asked,) = world.asked["test"]
    rows = world.frames("103", [asked], FRAMES)
    towards = rows @ world.direction(asked.answer)
    assert world.shown(asked, 8).tolist() == [False, False, True, True, False, False, False, False]  # 10 to 20 s of 40
    assert towards[2:4].min() > towards[[0, 1, 4, 5, 6, 7]].max() + 2


def test_without_evidence_a_quarter_of_the_video_shows_it(annotations):
    world = RehearsedQuestions(SETTINGS, 3, annotations)
    assert [world.shown(one, 8).sum() for one in world.asked["train"]] == [2, 2]


def test_the_same_settings_give_the_same_bytes(annotations, tmp_path):
    one, other = (made(SETTINGS, annotations, tmp_path / name) for name in ("one", "other"))
    assert one["contents"] == other["contents"]


def test_a_subset_plants_fewer_videos_and_all_questions(annotations, tmp_path):
    made(replace(SETTINGS, subset=1), annotations, tmp_path / "world")
    with h5py.File(tmp_path / "world" / "upstream" / "CLIPL" / "CLIPL_I_train.h5") as file:
        assert len(file["vid"]) == 1
    with h5py.File(tmp_path / "world" / "upstream" / "roberta" / "roberta_train.h5") as file:
        assert len(file["feat"]) == 2


def test_a_table_of_another_form_and_a_missing_one_are_named(annotations, tmp_path):
    with pytest.raises(WorldError, match=r"val\.csv:2: not a question of 6 options"):
        RehearsedQuestions(replace(SETTINGS, options=6), 3, annotations)
    with pytest.raises(WorldError, match=r"neither other\.csv nor other\.csv\.gz is there"):
        RehearsedQuestions(replace(SETTINGS, tables={"train": "other.csv"}), 3, annotations)
