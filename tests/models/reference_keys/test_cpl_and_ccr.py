"""Reference names of CPL and CCR: nothing is lost on the way there and back."""

from __future__ import annotations

import pytest
import torch

from models.method import load_method
from models.reference_keys import ccr as ccr_keys
from models.reference_keys import cpl as cpl_keys
from models.reference_keys.conversion import KeysDiffer
from tests.models.descriptions import WIDTHS, config, model

KEYS = {"cpl": cpl_keys, "ccr": ccr_keys}


def reference(method):
    network = model(method, config(method, "released"))
    return KEYS[method].to_reference(network.state_dict(), KEYS[method].key_table(video_layers=2, word_layers=2))


@pytest.mark.parametrize("method", KEYS)
def test_every_parameter_has_a_reference_name_and_comes_back(method):
    network = model(method, config(method, "released"))
    state = reference(method)
    assert len(state) == len(network.state_dict())
    found = KEYS[method].convert(state, {"heads": 2})
    assert found.widths == WIDTHS
    assert all(torch.equal(found.weights[name], value) for name, value in network.state_dict().items())
    module = load_method(method)
    rebuilt = module.Model(module.Config(**found.model), widths=found.widths, confounders=found.confounders)
    rebuilt.load_state_dict(found.weights)
    assert (rebuilt.config.proposals, rebuilt.config.video_layers, rebuilt.config.hidden) == (3, 2, 16)


def test_side_branch_is_left_out_under_corrected_numerics():
    found = ccr_keys.convert(reference("ccr"), {"numerics": "corrected"})
    assert not any(name.startswith("side_") for name in found.weights)
    assert "mu" in found.weights


@pytest.mark.parametrize("method", KEYS)
def test_unknown_and_missing_keys_are_listed(method):
    state = reference(method)
    del state["fc_comp.bias"]
    state["surprise"] = torch.zeros(1)
    with pytest.raises(KeysDiffer, match=r"unknown keys: surprise.*missing keys: fc_comp\.bias"):
        KEYS[method].convert(state, {})


def test_published_configuration_is_understood():
    told = cpl_keys.settings(
        {
            "model": {"config": {"sigma": 9, "gamma": 0, "dropout": 0.1, "DualTransformer": {"num_heads": 8}}},
            "loss": {"lambda": 0.13},
        }
    )
    assert told == {"heads": 8, "dropout": 0.1, "sigma": 9.0, "gamma": 0.0, "diversity": 0.13}
