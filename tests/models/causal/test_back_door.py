"""Back door over clusters of question graphs."""

from __future__ import annotations

import pytest
import torch

from models.causal.back_door import QUESTION_EDGES, QUESTION_NODES, GraphBackDoor


def block(k: int = 5) -> GraphBackDoor:
    torch.manual_seed(0)
    return GraphBackDoor(torch.randn(k, 8, 16), d_model=6, edges=QUESTION_EDGES)


def test_single_cluster_is_found_by_every_query():
    one, x = block(k=1), torch.randn(3, 6)
    torch.testing.assert_close(one.found(x), one.value(one.confounders()).expand(3, 6))


def test_confounder_has_all_nodes_one_after_the_other():
    one = block()
    torch.testing.assert_close(one.confounders()[:, 2:4], one.convolution(one.nodes)[:, 1])


def test_queries_do_not_meet():
    one, x = block(), torch.randn(3, 6)
    torch.testing.assert_close(one(x)[1:2], one(x[1:2]))


def test_width_that_does_not_divide_by_the_nodes_is_refused():
    with pytest.raises(ValueError, match="width 12 of a node is no multiple of the number of nodes, 8"):
        GraphBackDoor(torch.zeros(3, 8, 12), d_model=6, edges=QUESTION_EDGES)


def test_edges_join_nodes_that_there_are_and_nothing_leads_back_to_the_question():
    assert all(0 <= node < len(QUESTION_NODES) for edge in QUESTION_EDGES for node in edge)
    assert not [edge for edge in QUESTION_EDGES if edge[1] == 0]
