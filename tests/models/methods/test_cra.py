"""What CRA offers beyond its laws: settings, draws, losses, decoding, what learns, no waiting for a device."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace

import pytest
import torch

from models.methods.cra import Config, Numerics
from stages.params import ParamsError, parse
from tests.models.grounded_questions import DEBERTA, FRAME, WORDS, batch, config, model


def test_numerics_are_a_preset_and_single_fields_override_it():
    assert config("released").rules == Numerics.preset("released")
    assert config().rules == Numerics.preset("corrected")
    assert config("released", span_rule="run").rules == replace(Numerics.preset("released"), span_rule="run")
    assert config(mask_pads=False).rules.mask_pads is False


@pytest.mark.parametrize("text", [config().text, DEBERTA], ids=["tempclip", "frozenbilm"])
def test_settings_survive_being_written_and_read(text):
    settings = config(text=text)
    assert parse(Config, json.loads(json.dumps(dataclasses.asdict(settings))), "here") == settings


def test_unknown_setting_of_the_text_encoder_is_named():
    values = json.loads(json.dumps(dataclasses.asdict(config())))
    with pytest.raises(ParamsError, match="unknown key 'vocabulary'"):
        parse(Config, values | {"text": values["text"] | {"vocabulary": 3}}, "here")


def test_settings_that_mean_nothing_are_refused():
    with pytest.raises(ValueError, match="16 channels and 3 heads"):
        config(heads=3)
    with pytest.raises(ValueError, match="ngplus needs TempCLIP"):
        config(text=DEBERTA, variant="ngplus")


def test_drawn_negatives_are_foreign_even_and_depend_on_the_seed_alone():
    network, given = model(config("released", negatives=3000)), batch([3] * 4, [[3, 3, 3]] * 4, labels=True)
    draws = network.draw(given, torch.Generator().manual_seed(3))
    assert draws.vqa.shape == draws.vq.shape == (4, 3000)
    for own, row in enumerate(draws.vqa):
        counts = torch.bincount(row, minlength=4)
        assert counts[own] == 0
        assert (counts[[i for i in range(4) if i != own]] - 1000).abs().max() < 120
    again = network.draw(given, torch.Generator().manual_seed(3))
    assert torch.equal(draws.vqa, again.vqa)
    assert not torch.equal(draws.vqa, draws.vq)


def test_contrast_over_the_batch_draws_nothing():
    draws = model(config()).draw(batch([3], [[3, 3, 3]]), torch.Generator())
    assert draws.vqa is None
    assert draws.vq is None


def test_released_batch_of_one_is_refused():
    with pytest.raises(ValueError, match="a batch of one question has no foreign video"):
        model(config("released")).draw(batch([3], [[3, 3, 3]]), torch.Generator())


@pytest.mark.parametrize("numerics", ["corrected", "released"])
@pytest.mark.parametrize("text", [config().text, DEBERTA], ids=["tempclip", "frozenbilm"])
def test_total_is_the_weighted_sum_of_the_terms(numerics, text):
    network = model(config(numerics, text=text, vq_weight=0.25))
    given = batch([6, 6, 6], [[5, 6, 7]] * 3, labels=True, masked_word=True)
    losses = network.losses(network(given, network.draw(given, torch.Generator().manual_seed(0))), given)
    expected = losses["vqa"] + 0.5 * losses["align_vqa"] + 0.25 * (losses["vq"] + 0.5 * losses["align_vq"])
    torch.testing.assert_close(losses["total"], expected)


def test_ablations_drop_their_terms_and_parameters():
    given = batch([6, 6, 6], [[5, 6, 7]] * 3, labels=True)
    network = model(config(align_weight=0.0, smoothing=False, front_door=False, backdoor_on_query=False), confounders={})
    losses = network.losses(network(given), given)
    assert set(losses) == {"vqa", "vq", "total"}
    assert not [name for name in network.state_dict() if "door" in name or "sigma" in name]


@pytest.mark.parametrize(("variant", "terms"), [("posthoc", {"vqa", "total"}), ("ngplus", {"vqa", "vq", "total"})])
def test_baselines_learn_from_answers_alone(variant, terms):
    given = batch([6, 4], [[5, 6, 7]] * 2, labels=True)
    network = model(config(variant=variant), confounders={})
    losses = network.losses(network(given, network.draw(given, torch.Generator())), given)
    assert set(losses) == terms


def test_unknown_label_is_left_out_of_everything():
    network, given = model(config()), batch([6, 6, 6], [[5, 6, 7]] * 3, labels=True)
    two = replace(given, **{f.name: getattr(given, f.name)[:2] for f in dataclasses.fields(given)})
    unknown = {name: torch.cat((getattr(two, name), torch.tensor([-1]))) for name in ("answer_id", "question_id")}
    # The query of the third sample's question pass is whatever stands last; its losses must not count.
    with torch.no_grad():
        three = network.losses(network(replace(given, **unknown)), replace(given, **unknown))
        both = network.losses(network(two), two)
    for name, value in both.items():
        torch.testing.assert_close(three[name], value, atol=1e-5, rtol=1e-5)


def test_decoded_answer_is_the_best_candidate_with_the_weights_of_the_real_frames():
    network, given = model(config()), batch([6, 4], [[5, 6, 7]] * 2)
    output = network(given)
    for index, answer in enumerate(network.decode(output, given)):
        assert answer.answer == int(output.vqa.scores[index].argmax())
        assert len(answer.weights) == (6, 4)[index]
        assert 0 <= answer.span[0] < answer.span[1] <= given.duration[index]


def test_frozenbilm_answers_with_the_frames_of_its_own_candidate():
    network, given = model(config(text=DEBERTA)), batch([6, 6], [[5, 6, 7]] * 2, masked_word=True)
    output = network(given)
    for index, answer in enumerate(network.decode(output, given)):
        torch.testing.assert_close(answer.weights, output.vqa.weights[index, answer.answer])


def test_frozenbilm_post_hoc_reads_the_attention_of_the_mask_word():
    network = model(config(text=DEBERTA, variant="posthoc"), confounders={})
    said = network(batch([6, 6], [[5, 6, 7]] * 2, masked_word=True)).vqa
    assert said.span is None
    assert ((said.weights > 0) & (said.weights.sum(dim=-1, keepdim=True) < 1)).all()


def test_only_adapters_norms_and_what_was_added_learn_in_frozenbilm():
    network = model(config(text=DEBERTA)).network
    learning = {name for name, p in network.language.named_parameters() if p.requires_grad}
    assert "project.weight" in learning
    assert "deberta.encoder.layer.0.output.dense.up.weight" in learning
    assert "deberta.encoder.LayerNorm.weight" in learning
    assert "head.norm.weight" in learning
    assert not {name for name in learning if any(part in name for part in ("query_proj", "dense.dense", "words", "positions"))}


def test_pretrained_text_encoders_are_taken_by_the_library_names():
    import transformers

    torch.manual_seed(5)
    sizes = dataclasses.asdict(config().text)
    published = transformers.RobertaForMaskedLM(transformers.RobertaConfig(**sizes))
    network = model(config())
    network.load_pretrained(published.state_dict())
    encoder = network.network.text
    ids = torch.randint(5, WORDS, (2, 6))
    expected = published.eval().roberta(ids).last_hidden_state
    torch.testing.assert_close(encoder.encoder(ids).last_hidden_state, expected)
    with pytest.raises(RuntimeError, match="Missing key"):
        network.load_pretrained({})


def test_pretrained_deberta_is_read_as_the_library_reads_it():
    import transformers

    from models.backbones.frozenbilm import ADDED, FIXED

    torch.manual_seed(6)
    sizes = {name: value for name, value in dataclasses.asdict(DEBERTA).items() if name not in ADDED}
    published = transformers.DebertaV2ForMaskedLM(transformers.DebertaV2Config(**sizes, **FIXED)).eval()
    state = {
        key.replace("cls.predictions.transform", "lm_predictions.lm_head"): value for key, value in published.state_dict().items()
    }
    state["deberta.embeddings.position_embeddings.weight"] = torch.zeros(64, 16)
    network = model(config(text=DEBERTA))
    network.load_pretrained(state)
    language = network.network.language
    with torch.no_grad():
        for name, parameter in language.named_parameters():
            if ".up." in name:
                parameter.zero_()  # adapters that do nothing
    words = published.deberta.embeddings.word_embeddings
    assert torch.equal(language.head.words, words.weight[[20, 21]])
    video, ids, seen = torch.randn(2, 5, FRAME), torch.randint(22, WORDS, (2, 6)), []
    ids[:, 3] = DEBERTA.mask_token_id
    language.deberta.encoder.conv.register_forward_hook(lambda _module, _inputs, result: seen.append(result))
    both = torch.cat((language.project(video), words(ids)), dim=1)
    expected = published.deberta(inputs_embeds=both, output_hidden_states=True).hidden_states[-2]
    language(video, ids, torch.ones_like(ids, dtype=torch.bool), attention=False)
    torch.testing.assert_close(seen[0], expected)
    with pytest.raises(RuntimeError, match=r"not in the pretrained weights: .*positions\.weight"):
        language.load_pretrained({key: value for key, value in state.items() if "position_embeddings" not in key})


def test_training_step_does_not_wait_for_the_device():
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode(allow_non_fake_inputs=True):  # refuses whatever needs the values
        network = model(config())
        given = batch([6, 6], [[4, 4, 4]] * 2, labels=True)
        network.train()
        losses = network.losses(network(given, network.draw(given, torch.Generator())), given)
        assert losses["total"].shape == ()
    assert given.video.shape[-1] == FRAME


def test_text_encoder_is_never_asked_whether_anything_is_padded(monkeypatch):
    asked = []
    monkeypatch.setattr("transformers.masking_utils._ignore_bidirectional_mask_sdpa", lambda *given, **more: asked.append(given))
    model(config())(batch([6, 4], [[5, 6, 7]] * 2))
    assert not asked  # the answer would be waited for on every step


@pytest.mark.parametrize(("text", "own"), [(config().text, {}), (config().text, {"variant": "ngplus"}), (DEBERTA, {})])
@pytest.mark.parametrize("numerics", ["corrected", "released"])
def test_half_precision_trains_and_stays_near_full_precision(numerics, text, own):
    network, given = model(config(numerics, text=text, **own)), batch([6, 6, 6], [[5, 6, 7]] * 3, labels=True, masked_word=True)
    draws = network.draw(given, torch.Generator().manual_seed(0))
    exact = network.losses(network(given, draws), given)["total"]
    with torch.autocast("cpu", torch.bfloat16):
        output = network(given, draws)
        total = network.losses(output, given)["total"]
    total.backward()
    torch.testing.assert_close(total, exact, rtol=0.1, atol=0.1)
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)
    assert network.decode(output, given)[0].weights.dtype == torch.float32
