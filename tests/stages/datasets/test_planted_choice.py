"""Questions with options whose answer is a place, as the world stage writes them."""

import json

import pytest

from stages.datasets import planted_choice
from stages.datasets.schema import DatasetError, Quality

HEADER = "video,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4\n"
ROW = "1000001,960,640,480,what does the man lift,1,1,DO,the box,the ball,the cup,the hat,the bag\n"


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "annotations"
    folder.mkdir()
    (folder / "iid.csv").write_text(HEADER + ROW)
    (folder / "train.csv").write_text(HEADER + ROW)
    gsub = {"1000001": {"duration": 32, "location": {"1": [[3.5, 7.2]]}, "fps": 30.0}}
    (folder / "gsub_iid.json").write_text(json.dumps(gsub))
    (folder / "frame2time_iid.json").write_text(json.dumps({"1000001": [1.0, 3.0]}))
    return tmp_path


def test_the_answer_is_the_option_at_the_place_and_evidence_comes_along(raw):
    (sample,) = planted_choice.read(raw, "iid", Quality())
    assert (sample.answer, sample.answer_index, sample.type, sample.spans) == ("the ball", 1, "DO", ((3.5, 7.2),))
    assert sample.text_items[4] == "1000001_1#4"


def test_training_questions_have_no_evidence(raw):
    (sample,) = planted_choice.read(raw, "train", Quality())
    assert (sample.spans, sample.duration) == ((), None)


def test_a_place_beyond_the_options_is_reported(raw):
    path = raw / "annotations" / "train.csv"
    path.write_text(path.read_text().replace("lift,1,1", "lift,7,1"))
    with pytest.raises(DatasetError, match=r"answer: expected 0\.\.4, got 7"):
        list(planted_choice.read(raw, "train", Quality()))
