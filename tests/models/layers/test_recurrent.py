"""The two-way recurrent layer gives what packed sequences give."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.layers.recurrent import BothWays

COUNT = torch.tensor([5, 1, 3])


def packed(layer: BothWays, x, cell):
    """PyTorch's own bidirectional layer with the same weights."""
    network = {"gru": nn.GRU, "lstm": nn.LSTM}[cell](x.shape[-1], layer.onward.hidden_size, batch_first=True, bidirectional=True)
    network.load_state_dict(
        layer.onward.state_dict() | {f"{name}_reverse": value for name, value in layer.back.state_dict().items()}
    )
    rows, state = network(nn.utils.rnn.pack_padded_sequence(x, COUNT, batch_first=True, enforce_sorted=False))
    hidden = state[0] if cell == "lstm" else state
    return nn.utils.rnn.pad_packed_sequence(rows, batch_first=True, total_length=x.shape[1])[0], torch.cat(tuple(hidden), dim=-1)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_equals_packed_sequences_and_their_gradients(cell):
    layer, x = BothWays(d_in=4, hidden=3, cell=cell), torch.randn(3, 6, 4)
    ours, theirs = layer(x, COUNT), packed(layer, x, cell)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)
    x.requires_grad_()
    first, second = (
        torch.autograd.grad(sum(part.square().sum() for part in result), x)[0]
        for result in (layer(x, COUNT), packed(layer, x, cell))
    )
    torch.testing.assert_close(first, second)


def test_all_rows_real_is_the_same_with_and_without_counts():
    layer, x = BothWays(d_in=4, hidden=3, cell="gru"), torch.randn(2, 5, 4)
    for mine, other in zip(layer(x, None), layer(x, torch.tensor([5, 5])), strict=True):
        torch.testing.assert_close(mine, other)


def test_what_padding_holds_changes_nothing():
    layer, x = BothWays(d_in=4, hidden=3, cell="lstm"), torch.randn(3, 6, 4)
    other = x.clone()
    other[1, 1:] = 100.0
    for first, second in zip(layer(x, COUNT), layer(other, COUNT), strict=True):
        torch.testing.assert_close(first, second)
