"""Questions with options and evidence, as the world stage writes them."""

import json

import pytest

from stages.datasets import planted_grounded
from stages.datasets.schema import DatasetError, Quality

HEADER = "video_id,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4\n"
ROW = "{video},960,640,480,what does the man lift,the ball,1,DO,the box,the ball,the cup,the hat,the bag\n"


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "annotations"
    folder.mkdir()
    for split, video in (("train", 1), ("iid", 1000001)):
        (folder / f"{split}.csv").write_text(HEADER + ROW.format(video=video))
    gsub = {"1000001": {"duration": 32, "location": {"1": [[3.5, 7.2]]}, "fps": 30.0}}
    (folder / "gsub_iid.json").write_text(json.dumps(gsub))
    (folder / "frame2time_iid.json").write_text(json.dumps({"1000001": [1.0, 3.0]}))
    return tmp_path


def test_a_test_question_has_its_evidence_and_the_times_of_the_frames(raw):
    quality = Quality()
    (sample,) = planted_grounded.read(raw, "iid", quality)
    assert (sample.sample_id, sample.answer_index, sample.spans, sample.duration) == ("1000001_1", 1, ((3.5, 7.2),), 32.0)
    assert sample.frame_times == (1.0, 3.0)
    assert not quality.counts


def test_a_training_question_has_none(raw):
    (sample,) = planted_grounded.read(raw, "train", Quality())
    assert (sample.answer, sample.spans, sample.duration) == ("the ball", (), None)


def test_an_answer_that_is_no_option_is_reported(raw):
    path = raw / "annotations" / "train.csv"
    path.write_text(path.read_text().replace(",the ball,1", ",the rope,1"))
    with pytest.raises(DatasetError, match="the rope"):
        list(planted_grounded.read(raw, "train", Quality()))
