"""The plain maths of the benchmark is a second implementation: it checks both models on sizes that no stored case has."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.plain.ccr import Plain
from tests.models.descriptions import batch, config, model


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(["cpl", "ccr"]),
    st.lists(st.tuples(st.integers(100, 140), st.integers(1, 7)), min_size=1, max_size=4),
    st.integers(1, 4),
    st.integers(0, 2**16),
)
# the plain Gaussians vanish between the steps of a coarse grid, which the model handles: videos long enough here
def test_plain_and_released_agree_on_losses_and_gradients(method, samples, epoch, seed):
    frames, words = zip(*samples, strict=True)
    given_batch = batch(frames, words, seed=seed)
    ours, theirs = (model(method, config(method, "released", dropout=0.0), seed).train() for _ in range(2))
    for network in (ours, theirs):
        network.enter(epoch)
    draws = ours.draw(given_batch, torch.Generator().manual_seed(seed))
    one = ours.losses(ours(given_batch, draws), given_batch)
    other = Plain(theirs).losses(given_batch, draws.hidden, float(draws.hardness))
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert value.item() == pytest.approx(other[name].item(), abs=3e-5), name
    one["total"].backward()
    other["total"].backward()
    for (name, mine), his in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        if mine.grad is not None and his.grad is not None:
            assert (mine.grad - his.grad).norm() <= 1e-3 * (1 + his.grad.norm()), name


def test_a_third_of_every_sentence_is_hidden():
    given_batch = batch([8, 8, 8], [1, 6, 7])
    hidden = Plain(model("cpl", config("cpl"), 0)).hide(given_batch, np.random.default_rng(0))
    assert hidden.sum(dim=1).tolist() == [1, 2, 2]
    assert not (hidden & ~given_batch.word_mask).any()
