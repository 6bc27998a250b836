import json

import pytest

from stages.predictions.inference import PredictionError
from stages.predictions.text_encoders import encode


def test_weights_that_are_not_here_are_an_error_with_the_way_out(tmp_path):
    with pytest.raises(PredictionError, match="--query-features FILE"):
        encode(["a person sits"], str(tmp_path), width=512)


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory):
    """A CLIP text model of a few hundred random numbers, in the layout of the published ones."""
    library = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("clip")
    words = [*"abcdefghijklmnopqrstuvwxyz", *(letter + "</w>" for letter in "abcdefghijklmnopqrstuvwxyz")]
    vocabulary = {token: number for number, token in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    library.CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt")).save_pretrained(folder)
    sizes = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    marks = {"bos_token_id": vocabulary["<|startoftext|>"], "eos_token_id": vocabulary["<|endoftext|>"]}
    library.CLIPTextModel(library.CLIPTextConfig(vocab_size=len(vocabulary), **sizes, **marks)).save_pretrained(folder)
    return folder


def test_a_text_becomes_one_row_per_token_between_its_marks(tiny_clip):
    one, other = encode(["ab", "abc d"], str(tiny_clip), width=8)
    assert one.shape == (4, 8)
    assert other.shape == (6, 8)
    assert one.dtype == "float32"


def test_an_encoder_of_another_width_is_refused(tiny_clip):
    with pytest.raises(PredictionError, match="features of width 8; the run was trained on 512"):
        encode(["ab"], str(tiny_clip), width=512)
