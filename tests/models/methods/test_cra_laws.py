"""The laws of CRA's corrected numerics, and where both numerics must agree."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from models.backbones.answers import AnswerPass
from models.methods.cra import Numerics
from tests.models.grounded_questions import DEBERTA, FRAME, PAD, batch, config, confounders, model

TEMPCLIP = {"cra": {}, "posthoc": {"variant": "posthoc"}, "ngplus": {"variant": "ngplus"}}
CLOSE = {"atol": 2e-5, "rtol": 1e-4}


def answers(network: Any, given: Any) -> AnswerPass:
    with torch.no_grad():
        return network(given).vqa


def same(one: AnswerPass, other: AnswerPass) -> None:
    for name in ("scores", "weights", "text", "video", "span"):
        a, b = getattr(one, name), getattr(other, name)
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, **CLOSE)


@pytest.mark.parametrize("variant", TEMPCLIP)
def test_content_and_number_of_padded_frames_change_nothing(variant):
    network = model(config(**TEMPCLIP[variant]))
    given = batch([7, 4], [[5, 3, 4], [4, 4, 2]])
    foreign = given.video.masked_fill(~given.video_mask[..., None], 50.0)
    longer = replace(given, video=F.pad(foreign, (0, 0, 0, 6), value=9.0), video_mask=F.pad(given.video_mask, (0, 6)))
    one, other = answers(network, given), answers(network, longer)
    assert not other.weights[..., 7:].any()
    same(one, replace(other, weights=other.weights[..., :7]))


@pytest.mark.parametrize("variant", TEMPCLIP)
def test_number_of_padded_tokens_changes_nothing(variant):
    network = model(config(**TEMPCLIP[variant]))
    given = batch([6, 6], [[5, 3, 4], [4, 4, 2]])
    longer = replace(given, answers=F.pad(given.answers, (0, 7), value=PAD), answers_mask=F.pad(given.answers_mask, (0, 7)))
    same(answers(network, given), answers(network, longer))


@pytest.mark.parametrize("variant", TEMPCLIP)
def test_a_batch_equals_its_samples_one_by_one(variant):
    network = model(config(**TEMPCLIP[variant]))
    given = batch([9, 4, 6], [[5, 3, 4], [4, 4, 2], [3, 6, 5]])
    together = answers(network, given)
    for index in range(3):
        alone = answers(
            network,
            replace(given, **{f.name: v[index : index + 1] for f in fields(given) if (v := getattr(given, f.name)) is not None}),
        )
        of_batch = {f.name: None if (v := getattr(together, f.name)) is None else v[index : index + 1] for f in fields(together)}
        same(alone, AnswerPass(**of_batch))


def test_released_front_door_mixes_the_samples_of_a_batch():
    network = model(config("released"))
    given = batch([6, 6], [[4, 4, 4], [4, 4, 4]])
    other = replace(given, video=torch.cat((given.video[:1], torch.randn(1, 6, FRAME))))
    assert not torch.allclose(answers(network, given).scores[0], answers(network, other).scores[0], atol=1e-3)


def test_order_of_both_dictionaries_is_irrelevant():
    one, other = model(config()), model(config())
    with torch.no_grad():
        inside = other.network.interventions
        inside.front_door.dictionary.copy_(inside.front_door.dictionary.flip(0))
        inside.back_door.nodes.copy_(inside.back_door.nodes.roll(2, 0))
    given = batch([6, 5], [[4, 4, 4], [3, 4, 5]])
    same(answers(one, given), answers(other, given))


@pytest.mark.parametrize("frames", [1, 2, 3, 9])
def test_key_is_a_distribution_over_the_real_frames(frames):
    weights = answers(model(config()), batch([frames, 9], [[4, 4, 4], [3, 4, 5]])).weights[:, 0]
    assert (weights >= 0).all()
    assert not weights[0, frames:].any()
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2))


def test_other_question_other_frames():
    network, given = model(config()), batch([9, 9], [[4, 4, 4], [4, 4, 4]])
    exchanged = replace(given, answers=given.answers.flip(0))
    difference = answers(network, given).weights - answers(network, exchanged).weights
    assert difference.abs().amax() > 1e-3


def test_released_frames_hardly_follow_the_question():
    network, given = model(config("released")), batch([9, 9], [[4, 4, 4], [4, 4, 4]])
    weights = answers(network, given).weights
    assert weights.amax() - weights.amin() < 0.1


@pytest.mark.parametrize("text", [config().text, DEBERTA], ids=["tempclip", "frozenbilm"])
def test_both_numerics_have_the_same_parameters(text):
    released, corrected = model(config("released", text=text)), model(config(text=text))
    corrected.load_state_dict(released.state_dict())


@pytest.mark.parametrize("own", [{}, {"backdoor_on_query": False}], ids=["", "without back door"])
def test_numerics_agree_up_to_the_gate_where_nothing_is_padded(own):
    given, seen = batch([8, 8], [[5, 5, 5], [5, 5, 5]]), {}
    for numerics in ("released", "corrected"):
        network = model(config(numerics, **own))
        net: Any = network.network
        notes = seen[numerics] = {}
        for name, module in {
            "text": net.text,
            "video_f": net.video,
            "x_bar": net.norm,
            "grounding": net.interventions.grounding,
        }.items():
            module.register_forward_hook(lambda _m, _i, result, name=name, notes=notes: notes.update({name: result}))
        answers(network, given)
    for name in ("text", "video_f", "x_bar"):
        torch.testing.assert_close(seen["released"][name], seen["corrected"][name], **CLOSE)
    one, other = (seen[numerics]["grounding"] for numerics in ("released", "corrected"))
    torch.testing.assert_close(one.frames, other.frames, **CLOSE)
    assert torch.allclose(one.query, other.query, atol=1e-5) == bool(own)


def test_every_field_of_numerics_changes_something_but_those_of_training_and_search():
    given = batch([9, 5], [[5, 3, 4], [4, 4, 2]])
    reference = answers(model(config("released")), given)
    for field in fields(Numerics):
        settings = config("released", **{field.name: getattr(Numerics.preset("corrected"), field.name)})
        said = answers(model(settings), given)
        changed = not all(torch.equal(getattr(said, name), getattr(reference, name)) for name in ("scores", "weights", "span"))
        assert changed == (field.name not in {"search_first_frame", "contrast"}), field.name


def test_floor_keeps_a_filter_of_no_width_finite():
    network = model(config())
    with torch.no_grad():
        network.network.interventions.grounding.filter.sigma.zero_()
    said = network(batch([9, 5], [[5, 3, 4], [4, 4, 2]])).vqa
    said.scores.sum().backward()
    assert said.weights.isfinite().all()
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)


@pytest.fixture(scope="module")
def frozen():
    return model(config(text=DEBERTA))


def test_frozenbilm_padding_and_company_change_nothing(frozen):
    given = batch([6, 6, 6], [[7, 5, 4], [4, 8, 6], [5, 5, 5]], masked_word=True)
    together = answers(frozen, given)
    longer = replace(given, answers=F.pad(given.answers, (0, 4), value=PAD), answers_mask=F.pad(given.answers_mask, (0, 4)))
    same(together, answers(frozen, longer))
    alone = answers(
        frozen, replace(given, **{f.name: v[1:2] for f in fields(given) if (v := getattr(given, f.name)) is not None})
    )
    torch.testing.assert_close(alone.scores, together.scores[1:2], **CLOSE)
    torch.testing.assert_close(alone.weights, together.weights[1:2], **CLOSE)


def test_frozenbilm_order_of_both_dictionaries_is_irrelevant(frozen):
    given = batch([6, 6], [[7, 5, 4], [4, 8, 6]], masked_word=True)
    before = answers(frozen, given)
    inside = frozen.network.interventions
    with torch.no_grad():
        inside.front_door.dictionary.copy_(inside.front_door.dictionary.roll(3, 0))
        inside.back_door.nodes.copy_(inside.back_door.nodes.flip(0))
    same(before, answers(frozen, given))


def test_frozenbilm_refuses_a_frame_that_is_not_there(frozen):
    with pytest.raises(ValueError, match="reads all frames of every video"):
        frozen(batch([6, 5], [[7, 5, 4], [4, 8, 6]], masked_word=True))


def test_confounders_that_are_missing_are_named():
    with pytest.raises(ValueError, match="backdoor_on_query needs query confounders"):
        model(config(), confounders={"video": confounders()["video"]})
    with pytest.raises(ValueError, match="front_door needs video confounders"):
        model(config(), confounders={})
    model(config(backdoor_on_query=False, front_door=False), confounders={})
