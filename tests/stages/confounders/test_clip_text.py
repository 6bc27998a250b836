"""Node texts through a CLIP text model in the format of transformers: the projected vector of each distinct text."""

import numpy as np
import pytest
import torch
from transformers import CLIPTextModelWithProjection

from stages.confounders import clip_text
from stages.confounders.clip_text import EncoderError, encode, load
from tests.stages.confounders.small_clip import write_small_clip

TEXTS = ["why did the boy climb", "", "boy", "why did the boy climb", "the " * 100]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_small_clip(tmp_path_factory.mktemp("clip"), ["why did the boy climb up the ladder"])


def test_vectors_are_those_of_the_library(folder):
    found = encode(TEXTS, folder)
    assert found.shape == (5, 16)
    assert found.dtype == np.float32
    tokenizer, _ = load(folder)
    model = CLIPTextModelWithProjection.from_pretrained(folder).eval()
    with torch.inference_mode():
        for text, vector in zip(TEXTS[:3], found, strict=False):
            expected = model(**tokenizer([text], return_tensors="pt")).text_embeds[0].numpy()
            np.testing.assert_allclose(vector, expected, atol=1e-5)
    np.testing.assert_array_equal(found[0], found[3])


def test_two_processes_give_the_same_numbers(folder, monkeypatch):
    monkeypatch.setattr(clip_text, "BLOCK", 2)
    np.testing.assert_array_equal(encode(TEXTS, folder), encode(TEXTS, folder, processes=2))


def test_a_missing_file_is_named(folder, tmp_path):
    with pytest.raises(EncoderError, match=r"config\.json is missing: the text encoder is fetched with the data set"):
        load(tmp_path)
    for name in clip_text.NEEDED:
        (tmp_path / name).write_bytes((folder / name).read_bytes()[:50])
    with pytest.raises(EncoderError, match="no CLIP text model"):
        load(tmp_path)
