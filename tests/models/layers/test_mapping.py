from __future__ import annotations

import torch

from models.layers.mapping import Mapping


def test_mapping_can_be_entered_behind_its_first_norm():
    block, x = Mapping(d_in=5, d_model=4, dropout=0.0), torch.randn(2, 3, 5)
    torch.testing.assert_close(block(x), block.after_norm(block.norm_in(x)))
