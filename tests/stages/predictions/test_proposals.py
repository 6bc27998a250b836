"""Answers of weakly supervised methods: draws of hidden words are averaged, reconstructed words are counted by kind."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from stages.predictions.proposals import generators, predict, reconstruction_rates
from tests.models.descriptions import batch, config, model


@dataclass
class Named:
    sample_id: str
    video_id: str = "v"


class OneBatch:
    """Three descriptions, cut into batches as asked."""

    def __init__(self):
        self.samples = [Named(f"s{place}") for place in range(3)]
        self.all = batch([6, 6, 6], [4, 3, 5])

    def epoch(self, batch_size):
        for begin in range(0, 3, batch_size):
            rows = slice(begin, begin + batch_size)
            parts = {
                name: getattr(self.all, name)[rows]
                for name in ("video", "video_mask", "words", "word_mask", "word_ids", "hiding")
            }
            yield np.arange(3)[rows], type(self.all)(**parts)


@pytest.fixture(scope="module", params=["cpl", "ccr"])
def network(request):
    return model(request.param, config(request.param)).eval()


def losses(network, masks, batch_size=3, seed=7):
    return np.array([row["nll"] for row in predict(network, OneBatch(), batch_size=batch_size, seed=seed, masks=masks)])


def test_several_draws_give_the_mean_of_their_losses(network):
    feed = OneBatch()
    single = []
    with torch.inference_mode():
        for draw in range(4):
            drawn = [generators(7, sample.sample_id, 4)[draw] for sample in feed.samples]
            found = network.decode(network(feed.all, network.draw_each(feed.all, drawn)), feed.all)
            single.append(torch.stack([one.nll for one in found]).numpy())
    np.testing.assert_allclose(losses(network, 4), np.mean(single, axis=0), atol=1e-6)
    assert np.ptp(np.stack(single), axis=0).max() > 1e-4  # the draws differ


def test_the_first_draw_does_not_depend_on_how_many_follow():
    first, both = generators(7, "a", 1)[0], generators(7, "a", 2)
    assert torch.equal(torch.rand(5, generator=first), torch.rand(5, generator=both[0]))
    assert not torch.equal(torch.rand(5, generator=generators(7, "a", 1)[0]), torch.rand(5, generator=both[1]))


def test_averaged_answers_do_not_depend_on_the_batch(network):
    np.testing.assert_allclose(losses(network, 3, batch_size=1), losses(network, 3, batch_size=2), atol=1e-5)


def test_proposals_are_the_same_whatever_is_hidden(network):
    one, many = (predict(network, OneBatch(), batch_size=3, seed=7, masks=masks) for masks in (1, 5))
    assert [row["center"] for row in one] == [row["center"] for row in many]


def test_more_draws_agree_better_with_each_other(network):
    """The spread over seeds of the mean of n draws falls about as 1 / sqrt(n)."""
    spread = {masks: np.std([losses(network, masks, seed=seed) for seed in range(12)], axis=0).mean() for masks in (1, 16)}
    assert spread[16] < 0.5 * spread[1]


def test_reconstructed_words_are_counted_by_kind(network):
    feed = OneBatch()
    mask = feed.all.word_mask.numpy()
    first = np.zeros_like(mask)
    first[:, 0] = True
    form = {"batch_size": 2, "seed": 7}
    rates = reconstruction_rates(network, feed, kinds={"first": first, "later": mask & ~first, "no": first & ~first}, **form)
    assert not any("no words" in name for name in rates)
    for side in ("normal", "abnormal"):
        name = f"{side} reconstruction before"
        together = (3 * rates[f"{name}, first words"] + (mask.sum() - 3) * rates[f"{name}, later words"]) / mask.sum()
        assert rates[name] == pytest.approx(together)
    assert {name for name in rates if "," not in name} == set(reconstruction_rates(network, feed, kinds={}, **form))
