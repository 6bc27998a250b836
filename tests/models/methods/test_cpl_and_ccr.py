"""Laws of CPL and CCR under `corrected` numerics, and where they must agree with the released ones."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from models.methods import ccr, cpl
from tests.models.descriptions import alone, batch, config, model, padded

METHODS = ("cpl", "ccr")
FRAMES, WORDS = (14, 9, 20), (7, 3, 5)


def draws(method, given, *, learn=True, seed=3):
    generators = [torch.Generator().manual_seed(seed + row) for row in range(len(given))]
    drawn = model(method, config(method)).draw_each(given, generators)
    return replace(drawn, hardness=torch.tensor(0.6)) if learn else drawn


def row_losses(method, output):
    if method == "cpl":
        return {"whole": output.whole, "left": output.left, "right": output.right}
    return {name: value for name, value in output.rows.items() if value.dim() == 1}


@pytest.mark.parametrize("method", METHODS)
def test_padding_changes_nothing(method):
    network, given = model(method, config(method)), batch(FRAMES, WORDS)
    drawn = draws(method, given)
    more = replace(drawn, hidden=torch.nn.functional.pad(drawn.hidden, (0, 4)))
    one, other = network(given, drawn), network(padded(given, 6, 4, filling=7.0), more)
    for name in ("center", "width", "nll", "weights"):
        assert_close(getattr(one, name), getattr(other, name), atol=2e-5, rtol=1e-4)
    assert_close(row_losses(method, one), row_losses(method, other), atol=2e-5, rtol=1e-4)
    assert_close(network.losses(one, given), network.losses(other, padded(given, 6, 4)), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_batch_is_its_samples_one_by_one(method):
    network, given = model(method, config(method)), batch(FRAMES, WORDS)
    drawn = draws(method, given)
    together = network(given, drawn)
    for row in range(len(given)):
        one = alone(given, row)
        apart = network(one, replace(drawn, hidden=drawn.hidden[row : row + 1, : one.words.shape[1]]))
        assert_close(apart.nll[0], together.nll[row], atol=2e-5, rtol=1e-4)
        for name, value in row_losses(method, apart).items():
            assert_close(value[0], row_losses(method, together)[name][row], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_hidden_words_of_a_sample_do_not_depend_on_its_batch(method):
    network, given = model(method, config(method)), batch(FRAMES, WORDS)
    seeds = [11, 12, 13]
    together = network.draw_each(given, [torch.Generator().manual_seed(seed) for seed in seeds]).hidden
    for row, seed in enumerate(seeds):
        one = alone(padded(given, 0, 3), row)
        apart = network.draw_each(one, [torch.Generator().manual_seed(seed)]).hidden
        assert torch.equal(apart[0], together[row, : apart.shape[1]])


@pytest.mark.parametrize("method", METHODS)
def test_released_and_corrected_cpl_core_agree_where_nothing_is_padded(method):
    given = batch((40, 40), (5, 5))
    network = model(method, config(method))
    loose = {"padded_grid": True, "end_class": False} | ({"side_heads": False} if method == "ccr" else {})
    module = cpl if method == "cpl" else ccr
    other = model(method, config(method, deviations=module.Deviations(**loose)))
    other.load_state_dict(network.state_dict())
    # 40 frames, 10 of them: both grids are the same frames
    drawn = draws(method, given)
    one, two = network(given, drawn), other(given, drawn)
    assert_close(one.nll, two.nll, atol=1e-5, rtol=1e-5)
    assert_close(network.losses(one, given), other.losses(two, given), atol=2e-5, rtol=1e-4)


def test_negative_of_the_best_proposal_is_that_of_all_negatives():
    network, given = model("cpl", config("cpl")), batch(FRAMES, WORDS)
    drawn = draws("cpl", given)
    output = network(given, drawn)
    reading = network.core.read(given.video, given.video_mask, given.words, given.word_mask)
    sentence, keys = network.core.incomplete(reading, drawn.hidden), network.sentence_mask(given)
    left, _ = network.core.negatives(reading, 0.6)
    logits = network.core.to_words(network.core.reconstruct(reading, sentence, keys, left))
    every = cpl.smoothed_nll(logits, given.word_ids[:, None], given.word_mask[:, None])
    best = output.nll.argmin(dim=1)
    assert_close(output.left, every[torch.arange(3), best], atol=1e-5, rtol=1e-5)


def test_mu_learns_from_the_divergence_alone_and_nothing_else_does():
    network, given = model("ccr", config("ccr")), batch(FRAMES, WORDS)
    losses = network.losses(network(given, draws("ccr", given)), given)
    parameters = dict(network.named_parameters())
    of_divergence = torch.autograd.grad(losses["divergence"], list(parameters.values()), retain_graph=True, allow_unused=True)
    reached = {name for name, gradient in zip(parameters, of_divergence, strict=True) if gradient is not None and gradient.any()}
    assert reached == {"mu"}
    rest = losses["total"] - losses["divergence"]
    of_rest = torch.autograd.grad(rest, parameters["mu"], allow_unused=True)[0]
    assert of_rest is None or abs(float(of_rest)) < 1e-7


def test_query_loss_trains_the_words_projection_only_if_told_to():
    for told in (False, True):
        network, given = model("ccr", config("ccr", query_trains_core=told)), batch(FRAMES, WORDS)
        losses = network.losses(network(given, draws("ccr", given)), given)
        losses["query"].backward()
        assert network.core.to_words.weight.grad is not None
        assert (network.core.word_map.weight.grad is not None) == told


@pytest.mark.parametrize(
    "changes",
    [
        {"aggregation": "sum"},
        {"aggregation": "projection"},
        {"counterfactual": "average"},
        {"counterfactual": "random"},
        {"w_rec": 0.0, "alpha_2": 1.0},
        {"numerics": "released"},
    ],
    ids=str,
)
def test_every_choice_trains_and_answers(changes):
    network, given = model("ccr", config("ccr", **changes)), batch(FRAMES, WORDS)
    network.enter(2)
    drawn = network.draw(given, torch.Generator().manual_seed(5))
    losses = network.losses(network(given, drawn), given)
    losses["total"].backward()
    assert all(bool(value.isfinite()) for value in losses.values())
    assert ("divergence" in losses) == (network.config.counterfactual == "uniform" and changes.get("numerics") != "released")
    told = network.draw_each(given, [torch.Generator().manual_seed(row) for row in range(3)])
    answers = network.decode(network(given, told), given)
    assert [tuple(answer.nll.shape) for answer in answers] == [(3,)] * 3


def test_projection_cancels_the_query_as_the_paper_warns():
    aggregate = ccr.Aggregation("projection", classes=4)
    phi, mu = torch.randn(2, 3, 4), torch.randn(())
    one, other = (aggregate(phi, psi) - aggregate(mu[None], psi) for psi in torch.randn(2, 2, 3, 4))
    assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_choices_of_the_paper_are_refused_with_the_released_heads():
    with pytest.raises(ValueError, match="not of side_heads"):
        config("ccr", "released", aggregation="sum")


@pytest.mark.parametrize("method", METHODS)
def test_same_draws_give_the_same_answer_and_evaluation_has_no_negatives(method):
    network, given = model(method, config(method, dropout=0.3)).eval(), batch(FRAMES, WORDS)
    drawn = draws(method, given, learn=False)
    first, second = network(given, drawn), network(given, drawn)
    assert torch.equal(first.nll, second.nll)
    with pytest.raises(ValueError, match="with a hardness"):
        network.losses(first, given)
