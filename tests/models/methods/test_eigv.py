"""Laws of EIGV under corrected numerics, with every backbone; and where released numerics must agree."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from models.batch import Questions
from models.methods.eigv import Config, Deviations, Model
from tests.models.questions import BACKBONES, CANDIDATES, CLIPS, WIDTHS, bank, close, padded, questions, select

COPIES = 2


def config(backbone="lstm", numerics="corrected", **changes) -> Config:
    settings = {
        "numerics": numerics,
        "backbone": BACKBONES[backbone],
        "tau": 0.9,
        "tau_nce": 0.2,
        "w_nce": 0.5,
        "negatives": COPIES,
        "share_causal": 0.4,
        "share_environment": 1.0,
    }
    return Config(**(settings | changes))


def model(settings: Config, seed: int = 0) -> Model:
    torch.manual_seed(seed)
    network = Model(settings, widths=WIDTHS, confounders={})
    network.bank = bank()
    return network


def drawn(network: Model, batch: Questions, seed: int = 1):
    return network.draw(batch, torch.Generator().manual_seed(seed))


def total(network: Model, batch: Questions, draws):
    return network.losses(network(batch, draws), batch)["total"]


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("from_causal", [False, True])
def test_answers_depend_neither_on_padding_nor_on_the_batch(backbone, from_causal):
    network, batch = model(config(backbone, answer_from_causal=from_causal)), questions()
    scores = network(batch).scores
    close(scores, network(padded(batch, clips=2, words=3)).scores)
    for index in range(len(batch)):
        close(scores[index : index + 1], network(select(batch, index)).scores)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_training_does_not_depend_on_padding(backbone):
    network, batch = model(config(backbone)), questions()
    draws, size = drawn(network, batch), len(batch)

    def longer(rows, value):
        return torch.cat((rows, torch.full((*rows.shape[:-1], 2), value, dtype=rows.dtype)), dim=-1)

    more = dataclasses.replace(
        draws,
        gumbel=longer(draws.gumbel, 0.3),
        gumbel_mixed=longer(draws.gumbel_mixed, -0.2),
        positive=longer(draws.positive, 1),
        negative=longer(draws.negative, 2),
    )
    close(total(network, batch, draws), total(network, padded(batch, clips=2, words=1), more))
    assert network(batch, draws).views.negatives.shape == (size, 2 * COPIES, network.backbone.width)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_parameter_learns(backbone):
    network, batch = model(config(backbone)), questions()
    total(network, batch, drawn(network, batch)).backward()
    without = [name for name, value in network.named_parameters() if value.grad is None or not value.grad.isfinite().all()]
    assert without == []


def test_whole_videos_answer_alike_under_both_numerics_without_padding():
    batch = questions(clips=(5, 5), words=(3, 3))
    full = dataclasses.replace(batch, candidates_mask=torch.ones_like(batch.candidates_mask))
    close(model(config())(full).scores, model(config(numerics="released"))(full).scores)


@pytest.mark.parametrize("tangled", [False, True])
def test_foreign_clips_of_one_sample_stay_with_its_own_negatives(tangled):
    settings = config(deviations=dataclasses.replace(Deviations.all(False), tangled_negatives=tangled))
    network, batch = model(settings), questions()
    draws = drawn(network, batch)
    rows = draws.negative.view(COPIES, len(batch), -1).clone()
    rows[:, 1] = (rows[:, 1] + 1) % len(network.bank.rows)
    first = network(batch, draws).views.negatives
    second = network(batch, dataclasses.replace(draws, negative=rows.flatten(end_dim=1))).views.negatives
    changed = (first != second).any(dim=2).any(dim=1)
    assert changed.tolist() != [False, True, False, False] if tangled else changed.tolist() == [False, True, False, False]


def test_draws_avoid_both_videos_of_a_mixture_and_the_own_question():
    network, batch = model(config()), questions()
    for seed in range(10):
        draws = drawn(network, batch, seed)
        pair = torch.stack((batch.video_index, batch.video_index[draws.partner]), dim=1)
        for rows, own in ((draws.positive, pair), (draws.negative, pair.repeat(COPIES, 1))):
            video = torch.searchsorted(network.bank.offsets, rows, right=True) - 1
            assert not (video[..., None] == own[:, None]).any()
        assert not (draws.question == torch.arange(len(batch)).repeat(COPIES)).any()


def test_question_of_a_longer_partner_is_not_cut():
    batch = questions(clips=(3, 3), words=(2, 2))
    mask = torch.zeros_like(batch.candidates_mask)
    mask[0, :, :2], mask[1, :, :6] = True, True
    batch = dataclasses.replace(batch, candidates=batch.candidates * mask[..., None], candidates_mask=mask)
    for own_length, expected in ((False, [6, 6]), (True, [2, 6])):
        network = model(config(deviations=dataclasses.replace(Deviations.all(False), own_length=own_length)))
        draws = dataclasses.replace(drawn(network, batch), partner=torch.tensor([1, 0]))
        assert network(batch, draws).mixture.question.mask.sum(dim=1).tolist() == expected


def test_a_batch_of_one_is_contrasted_with_foreign_clips_only():
    network, batch = model(config()), select(questions(), 0)
    draws = drawn(network, batch)
    assert draws.question is None
    output = network(batch, draws)
    assert output.views.negatives.shape[1] == COPIES
    assert network.losses(output, batch)["total"].isfinite()


def test_total_is_the_weighted_sum_and_targets_are_distributions():
    network, batch = model(config()), questions()
    output = network(batch, drawn(network, batch))
    terms = network.losses(output, batch)
    close(terms["total"], terms["xe"] + 0.5 * terms["nce"])
    close(output.mixture.target.sum(dim=1), torch.ones(len(batch)))


def test_decoding_shows_the_causal_clips_of_the_best_candidate():
    network, batch = model(config()).eval(), dataclasses.replace(questions(), answer=None, video_index=None)
    network.bank = None
    for index, answer in enumerate(network.decode(network(batch), batch)):
        assert answer.scores.shape == (CANDIDATES,)
        assert answer.chosen.shape == answer.weights.shape == (CLIPS[index],)
        assert answer.chosen.any()


def test_bank_of_two_videos_is_too_small():
    network = model(config())
    network.bank = bank(2)
    with pytest.raises(ValueError, match="2 training videos are too few for EIGV"):
        drawn(network, questions())


def test_training_without_a_bank_says_what_is_missing():
    network = model(config())
    network.bank = None
    with pytest.raises(ValueError, match=r"model\.bank"):
        drawn(network, questions())


@pytest.mark.parametrize("wrong", [{"numerics": "both"}, {"negatives": 0}, {"share_causal": 0.0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        config(**wrong)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_unmixed_training_is_cross_entropy_over_the_own_candidates(backbone):
    """Every candidate is then met twice, which adds a constant."""
    plain, unmixed = model(config(backbone, grounding=False)), model(config(backbone, mix=False, w_nce=0.0))
    plain.load_state_dict({key: value for key, value in unmixed.state_dict().items() if key in plain.state_dict()})
    batch = questions()
    draws = drawn(unmixed, batch)
    assert (float(draws.causal), float(draws.environment), draws.partner.tolist()) == (1, 1, list(range(len(batch))))
    expected = plain.losses(plain(batch, None), batch)["total"] + torch.tensor(2.0).log()
    close(unmixed.losses(unmixed(batch, draws), batch)["xe"], expected)


@pytest.mark.parametrize(("kind", "copies"), [("both", 2 * COPIES), ("clips", COPIES), ("questions", COPIES)])
def test_each_kind_of_negative_can_be_left_out(kind, copies):
    network, batch = model(config(contrast=kind)), questions()
    assert network(batch, drawn(network, batch)).views.negatives.shape[1] == copies


def test_warming_up_is_training_the_backbone_alone():
    network, batch = model(config(warm_up=1)), questions()
    network.enter(1)
    assert drawn(network, batch) is None
    first = network.losses(network(batch, None), batch)
    alone = model(config(grounding=False))
    alone.load_state_dict({key: value for key, value in network.state_dict().items() if key in alone.state_dict()})
    close(first["total"], alone.losses(alone(batch, None), batch)["total"])
    network.enter(2)
    assert network.losses(network(batch, drawn(network, batch)), batch).keys() == first.keys()
