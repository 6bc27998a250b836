"""Reference names of EIGV: nothing is lost on the way there and back."""

from __future__ import annotations

import pytest
import torch

from models.backbones.hga import Hga
from models.methods.eigv import Config, Model
from models.reference_keys import eigv as keys
from models.reference_keys.conversion import KeysDiffer

WIDTHS = {"video": 10, "query": 12}


def network() -> Model:
    sizes = Hga(hidden=8, words=7, cell="lstm", graph_layers=2, fusion_inner=12, fusion_chunks=3, fusion_rank=2, dropout=0.3)
    settings = {"tau": 0.9, "tau_nce": 0.1, "w_nce": 0.0125, "negatives": 5, "share_causal": 0.1, "share_environment": 1.0}
    return Model(Config(numerics="released", backbone=sizes, **settings), widths=WIDTHS, confounders={})


def reference():
    return keys.to_reference(network().state_dict(), keys.key_table(graph_layers=2, chunks=3))


def test_every_parameter_has_a_reference_name_and_comes_back():
    state, ours = reference(), network()
    assert len(state) == len(ours.state_dict())
    found = keys.convert(state, {})
    assert found.widths == WIDTHS
    assert Config(**{**found.model, "backbone": Hga(**found.model["backbone"])}) == ours.config
    back = keys.to_reference(found.weights, keys.key_table(graph_layers=2, chunks=3))
    assert all(torch.equal(back[name], value) for name, value in state.items())
    ours.load_state_dict(found.weights)


def test_unknown_and_missing_keys_are_listed():
    state = reference()
    del state["project_head.1.bias"]
    state["indicator.fg_att.linear_q.bias"] = torch.zeros(16)
    with pytest.raises(KeysDiffer, match=r"unknown keys: indicator.*missing keys: project_head\.1\.bias"):
        keys.convert(state, {})


def test_published_settings_are_understood():
    told = keys.settings({"tau_gumbel": 2.0, "tau_nce": 0.5, "beta": 1, "neg": 3, "dropout": 0.3})
    assert told == {"tau": 2.0, "tau_nce": 0.5, "w_nce": 1.0, "negatives": 3, "backbone": {"dropout": 0.3}}


def test_published_network_has_the_published_number_of_parameters():
    settings = {"tau": 0.9, "tau_nce": 0.1, "w_nce": 0.0125, "negatives": 5, "share_causal": 0.1, "share_environment": 1.0}
    sizes = {"hidden": 512, "words": 768, "cell": "lstm", "graph_layers": 2, "dropout": 0.3}
    fusion = {"fusion_inner": 1600, "fusion_chunks": 20, "fusion_rank": 15}
    with torch.device("meta"):
        published = Model(
            Config(numerics="released", backbone=Hga(**sizes, **fusion), **settings),
            widths={"video": 4096, "query": 768},
            confounders={},
        )
    assert sum(value.numel() for value in published.parameters()) == 39_727_362
