"""The plain maths of the benchmark is a second implementation: it checks the model on sizes that no stored case has."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.plain.causalvtg import Plain
from models.methods.causalvtg import Draws
from tests.models.grounding import batch, config, model


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 6), st.integers(0, 2)), min_size=1, max_size=5),
    st.sampled_from([(1,), (1, 2, 4), (1, 4), (1, 2, 4, 8, 16, 32)]),
    st.integers(0, 2**16),
)
def test_plain_and_released_agree_on_losses_memory_and_gradients(samples, strides, seed):
    clips, tokens, videos = zip(*samples, strict=True)
    given_batch = batch(clips, tokens, videos=videos, seed=seed)
    assert given_batch.saliency is not None
    draws = Draws(positive=given_batch.saliency.argmax(dim=1))
    ours, theirs = (model(config("released", strides=strides), seed).train() for _ in range(2))
    ours.observe(given_batch)
    Plain(theirs).observe(given_batch)
    for name in ("video_memory", "query_memory"):
        assert torch.equal(getattr(ours, name).rows, getattr(theirs, name).rows)
    one, other = ours.losses(ours(given_batch, draws), given_batch), Plain(theirs).losses(given_batch, draws)
    for name, value in one.items():
        assert value.item() == pytest.approx(other[name].item(), abs=2e-5), name
    one["total"].backward()
    other["total"].backward()
    for (name, mine), his in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        if mine.grad is not None and his.grad is not None:
            assert (mine.grad - his.grad).norm() <= 1e-4 * (1 + his.grad.norm()), name
