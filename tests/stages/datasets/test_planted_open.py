"""Open-ended questions, as the world stage writes them, with what it knows about their moments."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.datasets import planted_open
from stages.datasets.schema import DatasetError, Quality

TABLE = "\tanswer\tid\tquestion\tvideo_id\n0\tball\t27000027\twhat does the man lift?\t1000001\n"


@pytest.fixture
def raw(tmp_path):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "truth").mkdir()
    for split in ("train", "iid"):
        (tmp_path / "annotations" / f"{split}.csv").write_text(TABLE)
        truth = {"sample_id": ["27000027"], "duration": [32.0], "spans": [[[3.5, 7.2]]]}
        pq.write_table(pa.table(truth), tmp_path / "truth" / f"{split}.parquet")
    return tmp_path


def test_a_test_question_takes_its_moment_from_the_truth(raw):
    (sample,) = planted_open.read(raw, "iid", Quality())
    assert (sample.sample_id, sample.answer, sample.options) == ("27000027", "ball", ())
    assert (sample.duration, sample.spans) == (32.0, ((3.5, 7.2),))


def test_a_training_question_is_not_told_its_moment(raw):
    (sample,) = planted_open.read(raw, "train", Quality())
    assert (sample.duration, sample.spans) == (None, ())


def test_without_a_truth_the_moments_are_unknown(raw):
    (raw / "truth" / "iid.parquet").unlink()
    (sample,) = planted_open.read(raw, "iid", Quality())
    assert sample.spans == ()


def test_a_truth_of_other_questions_is_reported(raw):
    truth = {"sample_id": ["1"], "duration": [32.0], "spans": [[[3.5, 7.2]]]}
    pq.write_table(pa.table(truth), raw / "truth" / "iid.parquet")
    with pytest.raises(DatasetError, match="nothing about question 27000027"):
        list(planted_open.read(raw, "iid", Quality()))
