"""Laws of IGV under corrected numerics, with every backbone; and where released numerics must agree."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from models.batch import Questions
from models.methods.igv import Config, Deviations, Model
from tests.models.questions import BACKBONES, CLIPS, WIDTHS, bank, close, padded, questions, select


def config(backbone="gru", numerics="corrected", **changes) -> Config:
    settings = {"numerics": numerics, "backbone": BACKBONES[backbone], "answers": 5, "tau": 0.8, "w_do": 0.5, "w_env": 2.0}
    return Config(**(settings | changes))


def model(settings: Config, seed: int = 0) -> Model:
    torch.manual_seed(seed)
    network = Model(settings, widths=WIDTHS, confounders={})
    network.bank = bank()
    return network


def drawn(network: Model, batch: Questions, seed: int = 1):
    return network.draw(batch, torch.Generator().manual_seed(seed))


def logits(output):
    return [branch.logits for branch in (output.causal, output.environment, output.intervened)]


@pytest.mark.parametrize("backbone", BACKBONES)
def test_padding_changes_nothing(backbone):
    network, batch = model(config(backbone)), questions()
    draws, more = drawn(network, batch), padded(batch, clips=3, words=2)
    longer = dataclasses.replace(
        draws,
        gumbel=torch.cat((draws.gumbel, torch.randn(len(batch), 2, 3)), dim=2),
        foreign=torch.cat((draws.foreign, torch.ones(len(batch), 3, dtype=torch.int64)), dim=1),
    )
    for first, second in zip(logits(network(batch, draws)), logits(network(more, longer)), strict=True):
        close(first, second)
    close(network.losses(network(batch, draws), batch)["total"], network.losses(network(more, longer), more)["total"])


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_batch_equals_its_samples_one_by_one(backbone):
    network, batch = model(config(backbone)), questions()
    draws = drawn(network, batch)
    together = logits(network(batch, draws))
    for index in range(len(batch)):
        alone = logits(network(select(batch, index), select(draws, index)))
        for first, second in zip(together, alone, strict=True):
            close(first[index : index + 1], second)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_parameter_learns(backbone):
    network, batch = model(config(backbone)), questions()
    network.losses(network(batch, drawn(network, batch)), batch)["total"].backward()
    without = [name for name, value in network.named_parameters() if value.grad is None or not value.grad.isfinite().all()]
    assert without == []


def test_foreign_clips_reach_the_intervened_answer_only():
    network, batch = model(config()), questions()
    draws = drawn(network, batch)
    other = dataclasses.replace(draws, foreign=(draws.foreign + 1) % len(network.bank.rows))
    first, second = logits(network(batch, draws)), logits(network(batch, other))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[2], second[2])


def test_every_sample_has_a_causal_clip_and_none_on_padding():
    network, batch = model(config()), questions()
    for seed in range(20):
        causal = network(batch, drawn(network, batch, seed)).split.causal > 0
        assert causal.any(dim=1).all()
        assert not causal[~batch.video_mask].any()


def test_sample_without_environment_carries_no_environment_loss():
    network, batch = model(config()), select(questions(), 3)  # one clip, which must be causal
    losses = network.losses(network(batch, drawn(network, batch)), batch)
    assert losses["kl_env"].item() == 0.0
    counted = dataclasses.replace(Deviations.all(False), empty_environment_counts=True)
    released = model(config(deviations=counted))
    assert released.losses(released(batch, drawn(released, batch)), batch)["kl_env"].item() > 0.0


def test_total_is_the_weighted_sum():
    network, batch = model(config()), questions()
    terms = network.losses(network(batch, drawn(network, batch)), batch)
    close(terms["total"], terms["ce"] + 0.5 * terms["kl_do"] + 2.0 * terms["kl_env"])


def test_answer_that_is_in_no_vocabulary_is_left_out():
    network, batch = model(config()), questions()
    draws = drawn(network, batch)
    unknown = dataclasses.replace(batch, answer=torch.tensor([2, -1, -1, -1]))
    expected = torch.nn.functional.cross_entropy(network(batch, draws).causal.logits[:1], torch.tensor([2]))
    close(network.losses(network(unknown, draws), unknown)["ce"], expected)


def test_evaluation_needs_neither_noise_nor_bank():
    network, batch = model(config()).eval(), questions()
    network.bank = None
    plain = dataclasses.replace(batch, answer=None, video_index=None)
    output = network(plain)
    assert output.environment is None
    assert output.intervened is None
    for index, answer in enumerate(network.decode(output, plain)):
        assert answer.chosen.shape == answer.weights.shape == (CLIPS[index],)
        assert answer.chosen.any()
        assert answer.answer == int(answer.scores.argmax())


def test_released_evaluation_tosses_for_every_clip_but_the_same_every_time():
    network, batch = model(config(numerics="released")).eval(), questions()
    first, second = network(batch), network(batch)
    assert torch.equal(first.causal.logits, second.causal.logits)
    assert not torch.equal(first.split.causal > 0, first.split.causal_score >= first.split.environment_score)


def test_noise_alone_is_drawn_outside_training():
    assert drawn(model(config()).eval(), questions()).foreign is None


def test_training_without_a_bank_says_what_is_missing():
    network = model(config())
    network.bank = None
    with pytest.raises(ValueError, match=r"model\.bank"):
        drawn(network, questions())


def test_bank_is_not_in_the_checkpoint():
    assert not any("bank" in name for name in model(config()).state_dict())


def test_a_batch_of_one_can_be_trained_on_under_released_numerics():
    network, batch = model(config(numerics="released")), select(questions(), 0)
    assert network.losses(network(batch, drawn(network, batch)), batch)["total"].isfinite()


def test_padded_pool_is_the_only_way_batch_partners_matter():
    settings = dataclasses.replace(Deviations.all(True), padded_pool=False, all_clips_real=True)
    batch = questions(clips=(5, 5, 5), words=(4, 1, 7))
    network = model(config(deviations=settings))
    draws = drawn(network, batch)
    close(network(batch, draws).causal.logits[1:2], network(select(batch, 1), select(draws, 1)).causal.logits)
    pooled = model(config(numerics="released"))
    close(
        pooled(select(batch, 0), select(draws, 0)).intervened.logits,
        network(select(batch, 0), select(draws, 0)).intervened.logits,
    )


def test_unknown_numerics_are_refused():
    with pytest.raises(ValueError, match="expected corrected or released, got 'both'"):
        config(numerics="both")


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_backbone_alone_answers_from_every_clip(backbone):
    network, batch = model(config(backbone, grounding=False)), questions()
    assert network.draw(batch, torch.Generator()) is None
    output = network(batch, None)
    assert network.losses(output, batch).keys() == {"ce", "total"}
    for answer, count in zip(network.decode(output, batch), CLIPS, strict=True):
        assert answer.chosen.tolist() == [True] * count
        close(answer.weights, torch.full((count,), 1 / count))
    assert not any(name.startswith("grounding") for name in network.state_dict())


def test_warming_up_is_training_the_backbone_alone():
    network, batch = model(config(warm_up=1)), questions()
    network.enter(1)
    losses = network.losses(network(batch, drawn(network, batch)), batch)
    alone = model(config(grounding=False))
    alone.load_state_dict({name: value for name, value in network.state_dict().items() if not name.startswith("grounding")})
    close(losses["total"], alone.losses(alone(batch, None), batch)["total"])
    network.enter(2)
    assert network.losses(network(batch, drawn(network, batch)), batch)["kl_do"] > 0
    assert losses.keys() == network.losses(network(batch, drawn(network, batch)), batch).keys()
