"""Files of question graphs, the linguistic confounders of CRA.

<name>.npz, arrays:
    k_center, k_mean    (K, 8, D) float32: centre of each cluster, and mean of its members (NaN without members)
    counts              (K,) int64 graphs per cluster
    edges               (12, 2) int64 (source, target) nodes; the nodes are models.causal.back_door.QUESTION_NODES
    provenance          JSON: how it was made
<name>.json, to be read by people:
    nodes, edges        names
    empty               node -> share of the samples that have an empty text there
    graphs              one per distinct pair of question and answer: the texts of its nodes, how many samples, its cluster
    provenance

The same content gives the same bytes. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.causal.back_door import QUESTION_EDGES, QUESTION_NODES
from stages.confounders.files import DictionaryError, Floats, read_floats
from stages.confounders.minibatch import MiniBatchClusters

CENTRES, MEANS = "k_center", "k_mean"


def write_graphs(path: Path, found: MiniBatchClusters, provenance: Mapping[str, Any]) -> None:
    """Write <name>.npz beside and rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    arrays: dict[str, Any] = {
        CENTRES: found.centres,
        MEANS: found.means,
        "counts": np.bincount(found.labels, minlength=len(found.centres)).astype(np.int64),
        "edges": np.array(QUESTION_EDGES, dtype=np.int64),
        "provenance": np.array(json.dumps(provenance, sort_keys=True)),
    }
    with partial.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)
    partial.replace(path)


def write_texts(
    path: Path, graphs: Sequence[Mapping[str, Any]], empty: Mapping[str, float], provenance: Mapping[str, Any]
) -> None:
    """Write <name>.json beside and rename; one graph per line."""
    head = {
        "nodes": QUESTION_NODES,
        "edges": [[QUESTION_NODES[source], QUESTION_NODES[target]] for source, target in QUESTION_EDGES],
        "empty": dict(empty),
        "provenance": provenance,
    }
    lines = ",\n".join(json.dumps(graph, ensure_ascii=False) for graph in graphs)
    opening = json.dumps(head, ensure_ascii=False, indent=1, sort_keys=True).removesuffix("\n}")
    partial = path.with_name(path.name + ".partial")
    partial.write_text(f'{opening},\n "graphs": [\n{lines}\n ]\n}}\n', encoding="utf-8")
    partial.replace(path)


def read_graphs(path: Path) -> Floats:
    """The cluster centres (K, 8, D) float32.

    Raises DictionaryError: no such file, not an npz, no graphs in it, numbers that are not finite.
    """
    centres = read_floats(path, CENTRES, ("K", str(len(QUESTION_NODES)), "D"), stage="semantic_graph")
    if centres.shape[1] != len(QUESTION_NODES):
        raise DictionaryError(f"{path}: graphs of {centres.shape[1]} nodes, expected {len(QUESTION_NODES)}; build it again")
    return centres
