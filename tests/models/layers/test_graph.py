"""Graph convolution on a fixed graph."""

from __future__ import annotations

import torch

from models.layers.graph import GraphConvolution


def test_directed_path_mixes_each_node_with_the_one_before_it():
    layer = GraphConvolution(d_in=2, d_out=2, edges=[(0, 1), (1, 2)], nodes=3)
    with torch.no_grad():
        layer.weight.weight.copy_(torch.eye(2))
    x = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]]])
    root = 2**-0.5  # node 0 has degree 1, the others 2
    expected = torch.tensor([[[1.0, 0.0], [root, 0.5], [1.0, 1.5]]])
    torch.testing.assert_close(layer(x), expected)


def test_graphs_do_not_meet():
    layer, x = GraphConvolution(d_in=4, d_out=3, edges=[(0, 1)], nodes=2), torch.randn(5, 2, 4)
    torch.testing.assert_close(layer(x)[3:4], layer(x[3:4]))


def test_the_graph_is_no_parameter_of_a_checkpoint():
    assert set(GraphConvolution(d_in=4, d_out=3, edges=[(0, 1)], nodes=2).state_dict()) == {"bias", "weight.weight"}
