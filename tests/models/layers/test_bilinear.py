"""Block fusion: sizes of the chunks, and behaviour at zero."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.layers.bilinear import BlockFusion, chunk_sizes, signed_root


@pytest.mark.parametrize(
    ("total", "chunks", "sizes"),
    [(50, 20, [3] * 10 + [2] * 10), (24, 5, [5, 5, 5, 5, 4]), (1600, 20, [80] * 20), (21, 20, [2] + [1] * 19)],
)
def test_chunk_sizes_as_stated(total, chunks, sizes):
    assert chunk_sizes(total, chunks) == sizes


@given(chunks=st.integers(1, 40), more=st.integers(0, 300))
def test_chunks_use_every_channel_once(chunks, more):
    sizes = chunk_sizes(chunks + more, chunks)
    assert (sum(sizes), len(sizes)) == (chunks + more, chunks)
    assert min(sizes) >= 0


def test_signed_root_is_odd_and_has_no_slope_at_zero():
    z = torch.tensor([-4.0, 0.0, 9.0], requires_grad=True)
    root = signed_root(z)
    torch.testing.assert_close(root, torch.tensor([-2.0, 0.0, 3.0]))
    root.sum().backward()
    torch.testing.assert_close(z.grad, torch.tensor([0.25, 0.0, 1 / 6]))


def test_gradients_are_finite_where_a_chunk_vanishes():
    block = BlockFusion(d_first=3, d_second=3, d_out=2, d_inner=5, chunks=2, rank=2, dropout=0.0)
    for module in block.modules():
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.zeros_(module.bias)
    u = torch.zeros(1, 3, requires_grad=True)
    block(u, torch.zeros(1, 3)).sum().backward()
    assert bool(u.grad.isfinite().all())
