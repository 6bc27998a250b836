"""The attention reader alone."""

from __future__ import annotations

import pytest
import torch

from models.backbones.attention_reader import AttentionReader, AttentionReaderBackbone
from tests.models.questions import close

SIZES = AttentionReader(channels=8, word_heads=2, dropout=0.0)


def network() -> AttentionReaderBackbone:
    torch.manual_seed(0)
    return AttentionReaderBackbone(SIZES, d_video=6, d_query=5)


def test_nothing_depends_on_the_scale_of_the_clips():
    reader, clips = network(), torch.randn(2, 4, 6)
    close(reader.watch(clips, None).rows, reader.watch(100 * clips, None).rows)


def test_a_factor_on_a_clip_has_the_gradient_that_it_has_before_any_norm():
    """A split multiplies clips by 1, and learns how that factor should change."""
    reader, clips = network(), torch.randn(2, 4, 6)
    factor = torch.ones(2, 4, 1, requires_grad=True)
    rows = reader.watch(clips * factor, None).rows
    weights = torch.randn_like(rows)
    (gradient,) = torch.autograd.grad((rows * weights).sum(), factor)
    close(gradient[..., 0], (rows * weights).sum(dim=2))


def test_clips_that_are_left_out_say_nothing():
    reader, clips = network(), torch.randn(1, 4, 6)
    question = reader.read(torch.randn(1, 3, 5), torch.ones(1, 3, dtype=torch.bool))
    keep = torch.tensor([[True, False, True, False]])
    close(reader.join(question, reader.watch(clips, keep)), reader.join(question, reader.watch(clips[:, ::2], None)))


def test_a_clip_of_zeros_stays_one():
    assert not network().watch(torch.zeros(1, 2, 6), None).rows.any()


@pytest.mark.parametrize("wrong", [{"channels": 0}, {"word_heads": 0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="at least one"):
        AttentionReader(**({"channels": 4, "word_heads": 1, "dropout": 0.0} | wrong))
