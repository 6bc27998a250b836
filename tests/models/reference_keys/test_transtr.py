"""Reference names of TranSTR: nothing is lost on the way there and back."""

from __future__ import annotations

import pytest
import torch

from models.methods.transtr import Config, Model
from models.reference_keys import transtr as keys
from models.reference_keys.conversion import KeysDiffer

WIDTHS = {"video": 16, "query": 16, "objects": 11}


def network(answers) -> Model:
    settings = {"frames": 16, "objects": 20, "k_frames": 12, "k_objects": 5, "heads": 8, "layers": 2, "d_inner": 12}
    noise = {"activation": "relu", "dropout": 0.1, "samples": 500, "sigma": 0.05}
    return Model(Config(numerics="released", answers=answers, **settings, **noise), widths=WIDTHS, confounders={})


def reference(answers=None):
    return keys.to_reference(network(answers).state_dict(), keys.key_table(layers=2))


@pytest.mark.parametrize("answers", [None, 6])
def test_every_parameter_has_a_reference_name_and_comes_back(answers):
    state, ours = reference(answers), network(answers)
    assert len(state) == len(ours.state_dict())
    found = keys.convert({**state, "text_encoder.embeddings.weight": torch.zeros(2, 2)}, {})
    assert found.widths == WIDTHS
    assert Config(**found.model) == ours.config
    back = keys.to_reference(found.weights, keys.key_table(layers=2))
    assert all(torch.equal(back[name], value) for name, value in state.items())
    ours.load_state_dict(found.weights)


def test_unknown_and_missing_keys_are_listed():
    state = reference()
    del state["classifier.bias"]
    state["surprise"] = torch.zeros(1)
    with pytest.raises(KeysDiffer, match=r"unknown keys: surprise.*missing keys: classifier\.bias"):
        keys.convert(state, {})


def test_exchanged_flags_of_the_reference_are_put_right():
    told = keys.settings({"topK_frame": 5, "topK_obj": 12, "nheads": 8, "activation": "gelu"})
    assert told == {"k_frames": 12, "k_objects": 5, "heads": 8, "activation": "gelu"}


def test_sizes_that_contradict_the_checkpoint_are_refused():
    with pytest.raises(ValueError, match="answers is None by the shapes of the checkpoint, but 6"):
        keys.convert(reference(), {"answers": 6})


def test_published_network_has_the_published_number_of_parameters():
    settings = {"frames": 16, "objects": 20, "k_frames": 12, "k_objects": 5, "heads": 8, "layers": 1, "d_inner": 2048}
    noise = {"activation": "relu", "dropout": 0.1, "samples": 500, "sigma": 0.05}
    with torch.device("meta"):
        published = Model(
            Config(numerics="released", answers=None, **settings, **noise),
            widths={"video": 768, "query": 768, "objects": 2052},
            confounders={},
        )
    assert sum(value.numel() for value in published.parameters()) == 38_612_225
