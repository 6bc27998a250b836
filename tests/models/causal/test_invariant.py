"""Splitting clips and exchanging one part for clips of other videos."""

from __future__ import annotations

import pytest
import torch

from models.causal.invariant import ClipBank, Grounding, divide, gumbel_noise, never_empty, replace, standardise
from tests.models.questions import bank

MASK = torch.tensor([[True, True, True, False], [True, False, False, False]])


def grounding(**changes) -> Grounding:
    return Grounding(6, **({"tau": 1.0, "probabilities_as_logits": False, "may_be_empty": False} | changes))


def test_every_real_clip_is_in_one_part_and_padding_in_none():
    split = grounding()(torch.randn(2, 6), torch.randn(2, 4, 6), MASK, gumbel_noise((2, 2, 4), torch.Generator().manual_seed(1)))
    torch.testing.assert_close(split.causal + split.environment, MASK.float())
    assert set(split.causal.flatten().tolist()) <= {0.0, 1.0}
    torch.testing.assert_close(split.causal_score.sum(dim=1), torch.ones(2))


def test_without_noise_the_larger_score_wins():
    split = grounding(may_be_empty=True)(torch.randn(5, 6), torch.randn(5, 4, 6), None, None)
    assert torch.equal(split.causal > 0, split.causal_score >= split.environment_score)


def test_tie_goes_to_the_causal_part():
    assert divide(torch.zeros(1, 2, 3), None, None, tau=1.0, may_be_empty=True)[:, 0].all()


@pytest.mark.parametrize("may_be_empty", [True, False])
def test_a_video_keeps_its_best_clip_unless_it_may_be_empty(may_be_empty):
    logits = torch.tensor([[[0.0, 0.2, 0.1], [1.0, 0.5, 0.9]]])
    causal = divide(logits, None, None, tau=1.0, may_be_empty=may_be_empty)[0, 0]
    assert causal.tolist() == ([0.0, 0.0, 0.0] if may_be_empty else [0.0, 1.0, 0.0])


def test_gradient_is_that_of_the_soft_split():
    logits = torch.randn(1, 2, 4, requires_grad=True)
    weights = torch.randn(1, 2, 4)
    (hard,) = torch.autograd.grad((divide(logits, None, None, tau=0.7, may_be_empty=True) * weights).sum(), logits)
    (soft,) = torch.autograd.grad(((logits / 0.7).softmax(dim=1) * weights).sum(), logits)
    torch.testing.assert_close(hard, soft)


def test_odds_of_a_causal_clip_are_those_of_its_scores():
    logits = torch.tensor([0.3, 0.1]).log()[None, :, None].expand(40_000, 2, 1)
    noise = gumbel_noise(logits.shape, torch.Generator().manual_seed(3))
    share = divide(logits, None, noise, tau=0.5, may_be_empty=True)[:, 0].mean()
    assert float(share) == pytest.approx(0.75, abs=0.01)


def test_with_a_deviation_no_video_is_all_causal_however_far_the_scores_are_apart():
    network = grounding(deviation=2.0)
    with torch.no_grad():
        network.causal.query.weight.mul_(100)
    split = network(torch.randn(20, 6), torch.randn(20, 4, 6), None, None)
    assert split.causal.sum(dim=1).min() > 0
    assert split.causal.sum(dim=1).max() < 4


def test_standardised_rows_have_mean_0_and_deviation_1_over_the_real_clips():
    x = torch.tensor([[1.0, 2.0, 6.0, -torch.inf], [5.0, 7.0, 7.0, 7.0]], requires_grad=True)
    found = standardise(x, MASK)
    torch.testing.assert_close(found[0, :3].mean(), torch.tensor(0.0))
    torch.testing.assert_close(found[0, :3].std(correction=0), torch.tensor(1.0))
    assert found[1, 0] == 0
    (gradient,) = torch.autograd.grad((found * torch.arange(4.0)).sum(), x)
    assert gradient.isfinite().all()


def test_replacement_keeps_causal_clips_in_place():
    clips, foreign, keep = torch.randn(1, 3, 2), torch.randn(1, 3, 2), torch.tensor([[1.0, 0.0, 1.0]])
    result = replace(clips, keep, foreign)
    assert torch.equal(result[0, [0, 2]], clips[0, [0, 2]])
    assert torch.equal(result[0, 1], foreign[0, 1])


def test_nothing_kept_means_everything_is_kept():
    keep = torch.tensor([[False, False, False, False], [True, False, False, False]])
    assert torch.equal(never_empty(keep, MASK), MASK)
    assert never_empty(keep, None)[0].all()


def test_bank_never_draws_a_forbidden_video_and_all_others_evenly():
    clips = bank(5)  # 0, 1, 2, 3, 4 and 5 clips, video 0 is empty
    own = torch.tensor([[3, 1], [2, 2], [-1, 4]]).repeat(2000, 1)
    index = clips.draw(own, 4, torch.Generator().manual_seed(0))
    video = torch.searchsorted(clips.offsets, index, right=True) - 1
    assert not (video[:, :, None] == own[:, None, :]).any()
    drawn = torch.bincount(index[1::3].flatten(), minlength=15)  # everything but rows 1 and 2, of video 2
    allowed = torch.ones(15, dtype=torch.bool)
    allowed[clips.offsets[2] : clips.offsets[3]] = False
    assert not drawn[~allowed].any()
    assert float(drawn[allowed].float().std() / drawn[allowed].float().mean()) < 0.1


def test_one_seed_one_draw():
    first, second = (bank().draw(torch.tensor([[1], [2]]), 9, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, second)


def test_bank_of_one_video_is_refused_when_its_own_sample_draws():
    with pytest.raises(ValueError, match="1 training videos are too few"):
        ClipBank(torch.zeros(3, 2), torch.tensor([0, 3])).draw(torch.tensor([[0]]), 2, torch.Generator())


def test_bank_draws_where_the_samples_are_and_looks_at_no_value_there():
    drawn = bank().draw(torch.zeros(2, 2, dtype=torch.int64, device="meta"), 9, torch.Generator())
    assert drawn.shape == (2, 9)
    assert drawn.is_meta  # a look at a value of a tensor without values would have raised


def test_bank_may_be_read_through_a_function():
    kept = bank()
    read = ClipBank(lambda index: kept.rows[index], kept.offsets)
    index = read.draw(torch.tensor([[1], [2]]), 3, torch.Generator().manual_seed(0))
    assert torch.equal(read.take(index, torch.zeros(())), kept.take(index, torch.zeros(())))
    assert read.take(index, torch.zeros((), dtype=torch.float64)).dtype == torch.float64


def test_offsets_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="offsets must run from 0 to the number of rows 3"):
        ClipBank(torch.zeros(3, 2), torch.tensor([0, 2]))
