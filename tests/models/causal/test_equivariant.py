"""Mixtures of two samples, and whom a sample is contrasted with."""

from __future__ import annotations

import pytest
import torch

from models.causal.equivariant import beta_share, mix_answers, mix_clips, other_samples, permuted_samples
from models.causal.invariant import Split


def split(causal) -> Split:
    causal = torch.tensor(causal)
    return Split(causal=causal, environment=1 - causal, causal_score=causal, environment_score=1 - causal)


PARTNER = torch.tensor([1, 0])
PARTS = split([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])


def test_full_shares_leave_the_clips_as_they_are():
    clips = torch.randn(2, 3, 4)
    torch.testing.assert_close(mix_clips(clips, PARTS, PARTNER, causal=torch.tensor(1.0), environment=torch.tensor(1.0)), clips)


def test_environment_may_come_from_the_partner_alone():
    clips = torch.randn(2, 3, 4)
    mixed = mix_clips(clips, PARTS, PARTNER, causal=torch.tensor(1.0), environment=torch.tensor(0.0))
    torch.testing.assert_close(mixed[0, 0], clips[0, 0])  # causal here and there: the own clip
    torch.testing.assert_close(mixed[0, 1], clips[0, 1] + clips[1, 1])  # own causal clip over the partner's environment
    torch.testing.assert_close(mixed[0, 2], clips[1, 2])


def test_answers_share_what_the_causal_clips_share():
    mixed = mix_answers(torch.tensor([2, 0]), PARTNER, torch.tensor(0.7), 3)
    torch.testing.assert_close(mixed, torch.tensor([[0.0, 0.0, 0.7, 0.3, 0.0, 0.0], [0.7, 0.0, 0.0, 0.0, 0.0, 0.3]]))


@pytest.mark.parametrize("batch", [2, 5])
def test_foreign_sample_is_never_the_own_one_and_may_be_any_other(batch):
    other = other_samples(400, batch, torch.Generator().manual_seed(0)).view(400, batch)
    assert not (other == torch.arange(batch)).any()
    for sample in range(batch):
        assert set(other[:, sample].tolist()) == set(range(batch)) - {sample}


def test_permuted_rows_hold_every_sample_equally_often():
    rows = permuted_samples(3, 4, torch.Generator().manual_seed(0))
    assert torch.bincount(rows).tolist() == [3, 3, 3, 3]


def test_small_concentration_pushes_shares_to_the_ends_and_a_seed_fixes_them():
    generator = torch.Generator().manual_seed(0)
    shares = torch.tensor([beta_share(0.1, generator) for _ in range(2000)])
    assert ((shares < 0.01) | (shares > 0.99)).float().mean() > 0.5
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.05)
    assert beta_share(1.0, torch.Generator().manual_seed(3)) == beta_share(1.0, torch.Generator().manual_seed(3))
