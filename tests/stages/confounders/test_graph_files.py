"""Graph files: what is written is read, the same bytes every time."""

import json

import numpy as np
import pytest

from models.causal.back_door import QUESTION_EDGES, QUESTION_NODES
from stages.confounders.files import DictionaryError
from stages.confounders.graph_files import read_graphs, write_graphs, write_texts
from stages.confounders.minibatch import clusters

ROWS = np.random.default_rng(0).normal(size=(30, 8, 16)).astype(np.float32)
PROVENANCE = {"seed": 3, "dataset": "tiny"}


def write(path):
    write_graphs(path, clusters(ROWS, k=4, seed=3), PROVENANCE)
    graphs = [{"texts": ["why ü"] * 8, "samples": 2, "cluster": 0}, {"texts": [""] * 8, "samples": 1, "cluster": 3}]
    write_texts(path.with_suffix(".json"), graphs, dict.fromkeys(QUESTION_NODES, 0.5), PROVENANCE)
    return path


def test_centres_are_read_without_pickle(tmp_path):
    path = write(tmp_path / "folder" / "g.npz")
    assert read_graphs(path).shape == (4, 8, 16)
    with np.load(path, allow_pickle=False) as content:
        assert content["counts"].sum() == 30
        assert [tuple(edge) for edge in content["edges"]] == list(QUESTION_EDGES)
        assert json.loads(str(content["provenance"])) == PROVENANCE
        np.testing.assert_array_equal(read_graphs(path), content["k_center"])


def test_texts_are_json_with_the_nodes_by_name(tmp_path):
    content = json.loads(write(tmp_path / "g.npz").with_suffix(".json").read_text(encoding="utf-8"))
    assert tuple(content["nodes"]) == QUESTION_NODES
    assert content["edges"][0] == ["question", "answer"]
    assert [graph["samples"] for graph in content["graphs"]] == [2, 1]
    assert content["graphs"][0]["texts"] == ["why ü"] * 8


def test_the_same_graphs_have_the_same_bytes(tmp_path):
    one, other = write(tmp_path / "one.npz"), write(tmp_path / "other.npz")
    assert one.read_bytes() == other.read_bytes()
    assert one.with_suffix(".json").read_bytes() == other.with_suffix(".json").read_bytes()


def test_what_is_no_graph_file_is_refused_with_its_name(tmp_path):
    with pytest.raises(DictionaryError, match="build it with the semantic_graph stage"):
        read_graphs(tmp_path / "g.npz")
    np.savez(tmp_path / "d.npz", mean_pool_c=ROWS)
    with pytest.raises(DictionaryError, match="no key 'k_center', it has mean_pool_c"):
        read_graphs(tmp_path / "d.npz")
    np.savez(tmp_path / "n.npz", k_center=ROWS[:, :5])
    with pytest.raises(DictionaryError, match="graphs of 5 nodes, expected 8"):
        read_graphs(tmp_path / "n.npz")
    np.savez(tmp_path / "f.npz", k_center=np.where(ROWS > 2, np.nan, ROWS))
    with pytest.raises(DictionaryError, match=r"row \d+ is not finite"):
        read_graphs(tmp_path / "f.npz")
