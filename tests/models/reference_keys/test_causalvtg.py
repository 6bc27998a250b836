from __future__ import annotations

import pytest
import torch

from models.reference_keys import causalvtg as keys
from models.reference_keys.conversion import KeysDiffer
from tests.models.grounding import ENTRIES, WIDTHS, config, model


def test_reference_keys_go_there_and_back():
    network = model(config("released"))
    table = keys.key_table(network.config.strides)
    state = network.state_dict()
    assert set(table.values()) == set(state)
    assert len(table) == 140
    theirs = keys.to_reference(state, table)
    assert theirs["pyramid.blocks.3.11.weight"].shape == (16, 16, 2)
    back = keys.to_ours(theirs, table)
    assert all(torch.equal(back[name], state[name]) for name in state)


def test_five_strides_have_156_reference_keys_and_dead_ones_are_none():
    table = keys.key_table((1, 2, 4, 8, 16), dead_modules=False)
    assert len(table) == 156
    dead = {theirs for theirs, ours in table.items() if ours is None}
    assert dead == {theirs for theirs in table if "self_attn1" in theirs}
    assert len(dead) == 12


def reference(**changes):
    """A reference checkpoint, made from a model of ours."""
    network = model(config("released", **changes))
    return keys.to_reference(network.state_dict(), keys.key_table(network.config.strides))


def test_sizes_come_from_the_shapes_and_the_rest_from_the_published_configurations():
    found = keys.convert(reference(strides=(1, 2, 8)), {"loss_weights": {"cls": 1.0, "reg": 0.2, "sal": 0.1, "neg": 0.1}})
    assert found.widths == WIDTHS
    assert found.confounders == {"video": (ENTRIES, 12), "query": (ENTRIES, 10)}
    assert {name: found.model[name] for name in ("hidden", "ffn_ratio", "strides", "heads")} == {
        "hidden": 16,
        "ffn_ratio": 2,
        "strides": (1, 2, 8),
        "heads": 8,
    }
    assert found.model["numerics"] == "released"
    assert "heads" in found.assumed
    assert "loss_weights" not in found.assumed


def test_unknown_and_missing_keys_are_all_listed():
    state = reference()
    del state["coef"], state["adapter.query_memory"]
    state["adapter.video_map.8.weight"] = torch.zeros(1)
    with pytest.raises(KeysDiffer) as caught:
        keys.convert(state, {})
    assert str(caught.value) == "1 unknown keys: adapter.video_map.8.weight; 2 missing keys: adapter.query_memory, coef"


def test_sizes_that_contradict_the_checkpoint_are_refused():
    with pytest.raises(ValueError, match="hidden is 16 by the shapes of the checkpoint, but 256 by the configuration"):
        keys.convert(reference(), {"hidden": 256})


def test_converted_checkpoint_is_released_unless_single_deviations_keep_its_memory_mapped():
    assert keys.convert(reference(), {"numerics": "corrected"}).model["numerics"] == "released"
    kept = {"mapped_memory": True, "dead_modules": False}
    found = keys.convert(reference(), {"numerics": "corrected", "deviations": kept})
    assert (found.model["numerics"], found.model["deviations"]) == ("corrected", kept)
    assert not [name for name in found.weights if "_dead" in name]


def test_a_reference_configuration_tells_what_the_weights_do_not():
    told = keys.settings(
        {"model": {"strides": (1, 2), "max_num_moment": 20, "loss_cfg": {"sample_radius": 2.0, "loss_sal": {"loss_weight": 0.1}}}}
    )
    assert told == {
        "strides": (1, 2),
        "top": 20,
        "sample_radius": 2.0,
        "loss_weights": {"cls": 1.0, "reg": 0.2, "sal": 0.1, "neg": 0.1},
    }
