"""The laws of the corrected numerics: what a sample gives does not depend on its padding or its company."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.batch import Grounding, Moments
from models.methods.causalvtg import Draws, Model
from tests.models.grounding import alone, batch, config, deviating, model, padded, rows

CLOSE, SECONDS = 1e-5, 2e-5
WITHOUT_GRADIENT = (".k.bias", ".key.bias")  # a constant on all keys of a softmax

lengths = st.integers(1, 21)
words = st.integers(1, 6)
samples = st.lists(st.tuples(lengths, words), min_size=1, max_size=4)
seeds = st.integers(0, 2**16)


def decoded(network: Model, of: Grounding) -> list[Moments]:
    with torch.no_grad():
        return network.eval().decode(network(of), of)


def close(first: torch.Tensor, second: torch.Tensor, tolerance: float = CLOSE) -> None:
    torch.testing.assert_close(first, second, atol=tolerance, rtol=0.0)


def same(first: Moments, second: Moments, *, saliency: bool = True) -> None:
    close(first.windows[:, 2], second.windows[:, 2])
    close(first.windows[:, :2], second.windows[:, :2], SECONDS)
    assert first.answerable == pytest.approx(second.answerable, abs=1e-5)
    if saliency:
        close(first.saliency, second.saliency)


def first_clip(of: Grounding) -> Draws:
    assert of.saliency is not None
    return Draws(positive=of.saliency.argmax(dim=1))


@settings(max_examples=25, deadline=None)
@given(samples, seeds, st.integers(0, 9), st.integers(0, 3), st.sampled_from([0.0, 1.0, -30.0]))
def test_padding_changes_nothing(sizes, seed, more_clips, more_words, filling):
    network, given_batch = model(config(), seed), batch(*zip(*sizes, strict=True), seed=seed)
    longer = padded(given_batch, more_clips, more_words, filling=filling)
    for one, other in zip(decoded(network, given_batch), decoded(network, longer), strict=True):
        same(one, other)


@settings(max_examples=25, deadline=None)
@given(samples, seeds)
def test_batch_equals_its_samples_one_by_one(sizes, seed):
    network, given_batch = model(config(), seed), batch(*zip(*sizes, strict=True), seed=seed)
    for index, one in enumerate(decoded(network, given_batch)):
        same(one, decoded(network, alone(given_batch, index))[0])


@pytest.mark.parametrize("deviation", ["padded_lengths", "padded_points", "stretched_saliency"])
def test_each_deviation_on_its_own_breaks_that_law(deviation):
    network, given_batch = model(config(deviations=deviating(**{deviation: True}))), batch([21, 9], [6, 2])
    in_company, by_itself = decoded(network, given_batch)[1], decoded(network, alone(given_batch, 1))[0]
    with pytest.raises(AssertionError):
        same(in_company, by_itself)


@settings(max_examples=15, deadline=None)
@given(samples, seeds, st.integers(1, 9))
def test_losses_and_gradients_do_not_see_padding(sizes, seed, more):
    network, given_batch = model(config(), seed), batch(*zip(*sizes, strict=True), seed=seed)
    results = []
    for of in (given_batch, padded(given_batch, more, more)):
        network.zero_grad()
        losses = network.losses(network(of, first_clip(of)), of)
        losses["total"].backward()
        results.append((losses, {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}))
    (losses, gradients), (padded_losses, padded_gradients) = results
    for name, value in losses.items():
        close(value, padded_losses[name])
    for name, gradient in padded_gradients.items():  # padding may add levels that no video reaches: zeros
        own = gradients.get(name, torch.zeros_like(gradient))
        assert (own - gradient).norm() <= 5e-5 * (1 + own.norm()), name


@settings(max_examples=10, deadline=None)
@given(samples, seeds, st.randoms(use_true_random=False))
def test_order_of_the_dictionary_is_irrelevant(sizes, seed, random):
    network, given_batch = model(config(), seed), batch(*zip(*sizes, strict=True), seed=seed)
    before = decoded(network, given_batch)
    for memory in (network.video_memory, network.query_memory):
        memory.rows.copy_(memory.rows[:, random.sample(range(memory.rows.shape[1]), memory.rows.shape[1])])
    for one, other in zip(before, decoded(network, given_batch), strict=True):
        same(one, other)


@settings(max_examples=10, deadline=None)
@given(samples, seeds, st.randoms(use_true_random=False))
def test_memory_does_not_depend_on_the_order_of_the_batch(sizes, seed, random):
    given_batch = batch(*zip(*sizes, strict=True), seed=seed)
    order = random.sample(range(len(sizes)), len(sizes))
    memories = []
    for of in (given_batch, rows(given_batch, order)):
        network = model(config(), seed)
        network.observe(of)
        memories.append((network.video_memory.rows, network.query_memory.rows))
    for one, other in zip(*memories, strict=True):
        close(one, other, 1e-6)


@settings(max_examples=25, deadline=None)
@given(lengths, words, seeds)
def test_one_unpadded_sample_gives_what_the_released_code_gives(clips, tokens, seed):
    released = model(config("released"), seed)
    corrected = model(config(deviations=deviating(mapped_memory=True, dead_modules=True)), seed)
    corrected.load_state_dict(released.state_dict())
    given_batch = batch([clips], [tokens], seed=seed)
    steps = [clips // (clips // stride) == stride for stride in (1, 2, 4, 8) if stride <= clips]
    same(decoded(released, given_batch)[0], decoded(corrected, given_batch)[0], saliency=all(steps))


@pytest.mark.parametrize("numerics", ["corrected", "released"])
@pytest.mark.parametrize("clips", [[1], [3], [7, 1], [8, 16], [23]])
def test_any_length_trains_and_decodes(numerics, clips):
    network, given_batch = model(config(numerics)), batch(clips, [2] * len(clips))
    network.train().observe(given_batch)
    output = network(given_batch, network.draw(given_batch, torch.Generator().manual_seed(0)))
    losses = network.losses(output, given_batch)
    assert all(bool(value.isfinite()) for value in losses.values())
    assert [len(one.saliency) for one in decoded(network, given_batch)] == clips


def test_more_than_1024_clips_are_refused_by_released_numerics_only():
    given_batch = batch([1025], [2])
    with pytest.raises(ValueError, match=r"1025 clips: padded_points \(released\) holds at most 1024; use corrected numerics"):
        decoded(model(config("released")), given_batch)
    assert len(decoded(model(config()), given_batch)[0].saliency) == 1025


def test_windows_are_as_many_as_points_of_the_video_and_fall_in_score():
    windows = decoded(model(config(top=12)), batch([9, 3, 40], [2, 2, 2]))
    assert [len(one.windows) for one in windows] == [12, 3 + 1, 12]
    assert all(bool((one.windows[:-1, 2] >= one.windows[1:, 2]).all()) for one in windows)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=7), seeds)
def test_negatives_are_other_videos_and_the_shifted_one_is_the_next_of_them(videos, seed):
    given_batch = batch([4] * len(videos), [2] * len(videos), videos=videos, seed=seed)
    network = model(config(), seed)
    negatives = network(given_batch, first_clip(given_batch)).negatives
    for sample, video in enumerate(videos):
        others = [other for other in range(len(videos)) if videos[other] != video]
        assert negatives.foreign[:, sample].tolist() == [bool(others)] * 2
        if others:
            assert int(negatives.index[0, sample]) == min(others, key=lambda other: (other - sample) % len(videos))
            assert int(negatives.index[1, sample]) in others


def test_sample_without_a_foreign_video_has_no_negatives():
    network, given_batch = model(config()), batch([5, 6], [2, 2], videos=[3, 3])
    output = network(given_batch, first_clip(given_batch))
    expected = torch.nn.functional.softplus(-output.answerable).mean()
    torch.testing.assert_close(network.losses(output, given_batch)["neg"], expected)


def test_sample_without_a_positive_clip_is_left_out_of_the_saliency_contrast():
    network, three = model(config()), batch([9, 9, 9], [2, 2, 2])
    assert three.saliency is not None
    three = replace(three, saliency=three.saliency * torch.tensor([[1.0], [0.0], [1.0]]))
    two = rows(three, [0, 2])
    drawn = network.draw(three, torch.Generator().manual_seed(0))
    losses = network.losses(network(three, drawn), three)
    without = network.losses(network(two, Draws(positive=drawn.positive[[0, 2]])), two)
    torch.testing.assert_close(losses["sal"], without["sal"])
    losses["total"].backward()
    assert all(bool(p.grad.isfinite().all()) for p in network.parameters() if p.grad is not None)


def test_batch_without_any_positive_clip_has_no_saliency_loss():
    network, given_batch = model(config()), batch([5, 6], [2, 2])
    given_batch = replace(given_batch, saliency=torch.zeros(2, 6))
    drawn = network.draw(given_batch, torch.Generator().manual_seed(0))
    losses = network.losses(network(given_batch, drawn), given_batch)
    assert losses["sal"].item() == 0.0
    losses["total"].backward()
    assert all(bool(p.grad.isfinite().all()) for p in network.parameters() if p.grad is not None)


def test_every_parameter_learns_under_corrected_numerics():
    network, given_batch = model(config()).train(), batch([17, 24, 9], [4, 3, 5])
    network.observe(given_batch)
    network.losses(network(given_batch, first_clip(given_batch)), given_batch)["total"].backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not bool(p.grad.any())]
    assert [name for name in still if not name.endswith(WITHOUT_GRADIENT)] == []


def test_released_numerics_never_train_the_mapping_of_the_memory():
    network, given_batch = model(config("released")).train(), batch([17, 24], [4, 3])
    network.losses(network(given_batch, first_clip(given_batch)), given_batch)["total"].backward()
    idle = {name.rsplit(".", 2)[0] for name, p in network.named_parameters() if p.grad is None}
    assert idle == {"video_memory.map", "query_memory.map", "video_dead", "query_dead"}


@pytest.mark.parametrize(("adjusted", "moved"), [((), set()), (("video",), {"video"}), (("query",), {"query"})])
def test_only_an_adjusted_side_reads_its_dictionary(adjusted, moved):
    network, given_batch = model(config(adjusted=adjusted), 3), batch([7, 5], [4, 3], seed=3)
    before = decoded(network, given_batch)
    for side in ("video", "query"):
        memory = getattr(network, f"{side}_memory")
        kept = memory.rows.clone()
        memory.rows.copy_(torch.randn(memory.rows.shape, generator=torch.Generator().manual_seed(9)))
        after = decoded(network, given_batch)
        differs = any(not torch.allclose(one.saliency, other.saliency) for one, other in zip(before, after, strict=True))
        assert differs == (side in moved)
        memory.rows.copy_(kept)


def test_dictionaries_that_do_not_observe_stay_as_they_were_made():
    for observing in (True, False):
        network = model(config(observing=observing), 3)
        before = network.video_memory.rows.clone()
        network.observe(batch([7, 5], [4, 3], seed=3))
        assert torch.equal(network.video_memory.rows, before) != observing


def test_an_unknown_side_is_refused():
    with pytest.raises(ValueError, match="expected some of video and query, got text"):
        config(adjusted=("text",))
