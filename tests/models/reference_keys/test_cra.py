"""Key tables of CRA: both ways, for every kind of checkpoint."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from models.methods.cra import Config, Model
from models.reference_keys import cra as keys
from models.reference_keys.conversion import KeysDiffer
from stages.params import parse
from tests.models.grounded_questions import DEBERTA, FRAME, batch, config, confounders, model

KINDS = {
    "tempclip": {},
    "posthoc": {"variant": "posthoc"},
    "ngplus": {"variant": "ngplus"},
    "frozenbilm": {"text": DEBERTA},
}


def published(kind, **own):
    """A model and its weights under the reference's names, with what the reference keeps beside."""
    made = model(config("released", **KINDS[kind]), **own)
    sizes = made.config.text
    table = keys.key_table(kind, text_layers=sizes.num_hidden_layers, layers=made.config.layers)
    state = keys.to_reference(made.state_dict(), table)
    return made, state | {theirs: torch.zeros(2, 2) for theirs, ours in table.items() if ours is None}


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_has_one_reference_name_and_comes_back(kind):
    own = {} if kind in ("tempclip", "frozenbilm") else {"confounders": {}}
    made, state = published(kind, **own)
    assert keys.kind_of(state) == kind
    back = keys.to_ours(state, keys.table_of(state))
    assert set(back) == set(made.state_dict())
    assert all(torch.equal(value, made.state_dict()[name]) for name, value in back.items())


@pytest.mark.parametrize("kind", KINDS)
def test_converted_checkpoint_builds_the_same_model(kind):
    own = {} if kind in ("tempclip", "frozenbilm") else {"confounders": {}}
    made, state = published(kind, **own)
    told = {
        "heads": 2,
        "text": {"num_attention_heads": 2, "mask_token_id": 4} if kind == "frozenbilm" else {"num_attention_heads": 2},
    }
    if kind == "frozenbilm":
        told["text"] |= {"pad_token_id": 1}
    found = keys.convert(state, told)
    settings = parse(Config, found.model, "converted")
    assert settings.numerics == "released"
    zeros = {side: torch.zeros(shape) for side, shape in found.confounders.items()}
    again = Model(settings, widths=found.widths, confounders=zeros)
    again.load_state_dict(found.weights)
    given = batch([6, 6], [[5, 6, 7]] * 2, masked_word=True)
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(given).vqa.scores, made(given).vqa.scores)
    assert found.widths == {"video": FRAME}
    assert "dropout" in found.assumed
    assert "text.hidden_dropout_prob" in found.assumed


def test_unknown_and_missing_keys_are_all_listed():
    _, state = published("tempclip")
    del state["decoder.norm.gamma"]
    with pytest.raises(KeysDiffer, match=r"1 unknown keys: extra; 1 missing keys: decoder\.norm\.gamma"):
        keys.convert(state | {"extra": torch.zeros(1)}, {})


def test_missing_dead_keys_are_no_difference():
    _, state = published("tempclip")
    keys.convert({name: value for name, value in state.items() if "selector" not in name}, {})


def test_sizes_that_contradict_the_checkpoint_are_refused():
    _, state = published("tempclip")
    with pytest.raises(ValueError, match="layers is 2 by the shapes of the checkpoint, but 5 by the configuration"):
        keys.convert(state, {"layers": 5})


def test_shapes_of_both_dictionaries_are_told():
    _, state = published("tempclip")
    assert keys.convert(state, {}).confounders == {side: tuple(rows.shape) for side, rows in confounders().items()}
    assert dataclasses.is_dataclass(keys.convert(state, {}))
