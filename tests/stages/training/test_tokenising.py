from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.training.tokenising import EncoderError, Tokeniser, tokenizer_files
from tests.stages import small_encoders

WORDS = ("what", "is", "it", "a", "cup")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("encoder")
    small_encoders.tokenizer(made, WORDS)
    (made / "model.safetensors").write_bytes(b"weights")
    return made


def test_marks_stand_around_a_text_and_padding_behind(folder):
    ids, mask = Tokeniser(folder).padded(["what is it", "cup"], 10, full=False)
    assert ids.tolist() == [[0, 7, 8, 9, 2], [0, 11, 2, 1, 1]]
    assert mask.tolist() == [[True] * 5, [True, True, True, False, False]]


@given(texts=st.lists(st.lists(st.sampled_from(WORDS), min_size=1).map(" ".join), min_size=1), most=st.integers(3, 9))
def test_texts_are_cut_and_those_that_always_have_the_same_length_are_only_padded_more(folder, texts, most):
    tokens = Tokeniser(folder)
    short, real = tokens.padded(texts, most, full=False)
    long, more = tokens.padded(texts, most, full=True)
    assert long.shape[1] == most
    assert (long[:, : short.shape[1]] == short).all()
    assert (more.sum(dim=1) == real.sum(dim=1)).all()


def test_the_run_folder_gets_everything_but_the_weights(folder):
    files = tokenizer_files(folder)
    assert "tokenizer/tokenizer.json" in files
    assert not [name for name in files if name.endswith(".safetensors")]


def test_a_folder_without_a_tokenizer_is_named(tmp_path):
    with pytest.raises(EncoderError, match="neither tokenizer"):
        Tokeniser(tmp_path)
    with pytest.raises(EncoderError, match="no such folder"):
        tokenizer_files(tmp_path / "none")
