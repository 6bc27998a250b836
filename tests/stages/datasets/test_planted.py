from pathlib import Path

from stages.datasets import planted
from stages.datasets.schema import Quality

RAW = Path(__file__).parents[2] / "data" / "planted"


def test_records_carry_windows_and_ratings():
    quality = Quality()
    samples = list(planted.read(RAW, "train", quality))
    assert len(samples) == 12
    assert samples[2].spans == ((4.0, 8.0),)
    assert samples[2].relevant_clips == (2, 3)
    assert samples[2].saliency_scores == ((4, 3, 2), (2, 2, 1))
    assert not quality.counts


def test_pairs_without_an_answer_have_no_span():
    samples = list(planted.read(RAW, "rf_iid", Quality()))
    assert [(sample.sample_id, sample.answerable) for sample in samples] == [
        ("iid_000_100", True),
        ("iid_001_103", True),
        ("iid_000_103", False),
    ]
    assert samples[2].spans == ()
