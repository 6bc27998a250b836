import pytest

from stages.confounders.settings import Dictionary


def test_every_complaint_comes_at_once():
    with pytest.raises(ValueError, match="not distinct names; k is 0, must be at least 1; seed is -1"):
        Dictionary(dataset="d", features=("a", "a"), k=0, seed=-1)


def test_released_dictionaries_have_no_centres_as_rows():
    with pytest.raises(ValueError, match="row centre belongs to numerics corrected"):
        Dictionary(dataset="d", features=("a",), k=2, seed=0, numerics="released", row="centre")
