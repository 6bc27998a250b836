from __future__ import annotations

import torch

from models.layers.transformer import DecoderLayer, DropPath


def test_dropped_path_leaves_a_sample_as_it_was_and_scales_the_others():
    torch.manual_seed(0)
    block, x = DropPath(0.25).train(), torch.ones(4000, 2, 3)
    kept = block(x)
    assert set(kept[:, 0, 0].tolist()) == {0.0, (torch.ones(1) / 0.75).item()}
    assert bool((kept == kept[:, :1, :1]).all())
    assert abs((kept[:, 0, 0] == 0).float().mean().item() - 0.25) < 0.03
    assert torch.equal(block.eval()(x), x)


def test_decoder_adds_positions_to_queries_and_keys_but_not_to_values():
    block = DecoderLayer(d_model=8, heads=2, d_inner=16, drop_path=0.0)
    x, y = torch.randn(1, 1, 8), torch.randn(1, 1, 8)
    one = torch.ones(1, 1, dtype=torch.bool)
    # With a single key every attention weight is 1, so only values could carry the positions on.
    torch.testing.assert_close(block(x, one, y, one, torch.randn(1, 1, 8)), block(x, one, y, one, torch.zeros(1, 1, 8)))
