"""Reference names of IGV: nothing is lost on the way there and back."""

from __future__ import annotations

import pytest
import torch

from models.backbones.hga import Hga
from models.methods.igv import Config, Model
from models.reference_keys import igv as keys
from models.reference_keys.conversion import KeysDiffer

WIDTHS = {"video": 10, "query": 12}


def network() -> Model:
    sizes = Hga(hidden=8, words=7, cell="gru", graph_layers=2, fusion_inner=12, fusion_chunks=3, fusion_rank=2, dropout=0.5)
    return Model(
        Config(numerics="released", backbone=sizes, answers=5, tau=1.0, w_do=1.0, w_env=1.0), widths=WIDTHS, confounders={}
    )


def reference():
    return keys.to_reference(network().state_dict(), keys.key_table(graph_layers=2, chunks=3))


def test_every_parameter_has_a_reference_name_and_comes_back():
    state, ours = reference(), network()
    assert len(state) == len(ours.state_dict())
    found = keys.convert(state, {})
    assert found.widths == WIDTHS
    rebuilt = Config(**{**found.model, "backbone": Hga(**found.model["backbone"])})
    assert rebuilt == ours.config
    back = keys.to_reference(found.weights, keys.key_table(graph_layers=2, chunks=3))
    assert all(torch.equal(back[name], value) for name, value in state.items())
    ours.load_state_dict(found.weights)


def test_what_was_guessed_is_said():
    assert keys.convert(reference(), {"tau": 0.5}).assumed == {"w_do": 1.0, "w_env": 1.0, "backbone.dropout": 0.5}


def test_unknown_and_missing_keys_are_listed():
    state = reference()
    del state["decoder.bias"]
    state["surprise"] = torch.zeros(1)
    with pytest.raises(KeysDiffer, match=r"unknown keys: surprise.*missing keys: decoder\.bias"):
        keys.convert(state, {})


def test_sizes_that_contradict_the_checkpoint_are_refused():
    with pytest.raises(ValueError, match=r"backbone\.hidden is 8 by the shapes of the checkpoint, but 9"):
        keys.convert(reference(), {"backbone": {"hidden": 9}})
    with pytest.raises(ValueError, match="answers is 5 by the shapes"):
        keys.convert(reference(), {"answers": 6})


def test_published_settings_are_understood():
    assert keys.settings({"tau": 1, "alpha": 0.7, "beta": 0.3, "dropout": 0.5}) == {
        "tau": 1.0,
        "w_do": 0.7,
        "w_env": 0.3,
        "backbone": {"dropout": 0.5},
    }


def test_published_network_has_the_published_number_of_parameters():
    sizes = {"hidden": 512, "words": 512, "cell": "gru", "graph_layers": 2, "dropout": 0.5}
    fusion = {"fusion_inner": 1600, "fusion_chunks": 20, "fusion_rank": 15}
    with torch.device("meta"):
        published = Model(
            Config(numerics="released", backbone=Hga(**sizes, **fusion), answers=1852, tau=1.0, w_do=1.0, w_env=1.0),
            widths={"video": 4096, "query": 768},
            confounders={},
        )
    assert sum(value.numel() for value in published.parameters()) == 37_229_374
