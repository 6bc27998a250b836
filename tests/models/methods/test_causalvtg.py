"""What CausalVTG offers beyond its laws: settings, draws, memory, the shared trunk, precision, no waiting for a device."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from models.batch import Grounding
from models.methods.causalvtg import Deviations, Draws, Model
from tests.models.grounding import ENTRIES, WIDTHS, batch, config, deviating, model, rows


def first_clip(of: Grounding) -> Draws:
    assert of.saliency is not None
    return Draws(positive=of.saliency.argmax(dim=1))


def test_numerics_are_presets_of_all_deviations_and_deviations_override_them():
    assert config("corrected").deviates == Deviations.all(False)
    assert config("released").deviates == Deviations.all(True)
    assert config("released", deviations=deviating(padded_points=True)).deviates == deviating(padded_points=True)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"hidden": 18, "heads": 4}, "an even number of channels, a multiple of heads.* got 18 channels and 4 heads"),
        ({"strides": (1, 3)}, r"strides: expected increasing powers of two from 1 on, got \(1, 3\)"),
        ({"strides": (2, 4)}, "from 1 on"),
        ({"strides": (1, 4, 2)}, "increasing"),
        ({"strides": ()}, "from 1 on"),
        ({"numerics": "exact"}, "numerics: expected corrected or released, got 'exact'"),
    ],
)
def test_settings_that_mean_nothing_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        config(**wrong)


def test_dictionary_of_another_width_is_refused():
    confounders = {"video": torch.zeros(3, WIDTHS["video"]), "query": torch.zeros(3, WIDTHS["query"] + 1)}
    with pytest.raises(ValueError, match=r"query confounders: expected \(K, 10\), got \(3, 11\)"):
        Model(config(), widths=WIDTHS, confounders=confounders)


def test_single_stride_answers_for_all_lengths():
    network, given_batch = model(config(strides=(1,))), batch([9, 4], [2, 3])
    output = network(given_batch, first_clip(given_batch))
    assert output.points[0].tolist() == [0.0, 0.0, torch.inf, 1.0]
    assert network.losses(output, given_batch)["total"].isfinite()


def test_positive_clip_is_drawn_evenly_among_rated_clips_and_depends_on_the_seed_alone():
    given_batch = batch([8] * 2000, [1] * 2000)
    saliency = torch.zeros(2000, 8)
    saliency[:, [1, 4, 5]] = torch.tensor([0.25, 1.0, 0.5])
    given_batch = replace(given_batch, saliency=saliency)
    network = model(config())
    drawn = network.draw(given_batch, torch.Generator().manual_seed(1)).positive
    counts = torch.bincount(drawn, minlength=8)
    assert counts.sum() == counts[[1, 4, 5]].sum() == 2000
    assert bool((counts[[1, 4, 5]] > 560).all())
    assert torch.equal(drawn, network.draw(given_batch, torch.Generator().manual_seed(1)).positive)


def test_positive_clip_is_never_padding():
    given_batch = batch([3, 8], [1, 1])
    given_batch = replace(given_batch, saliency=torch.ones(2, 8))
    drawn = [model(config()).draw(given_batch, torch.Generator().manual_seed(seed)).positive[0] for seed in range(20)]
    assert {int(clip) for clip in drawn} == {0, 1, 2}


@pytest.mark.parametrize("numerics", ["corrected", "released"])
def test_shared_trunk_is_the_same_without_dropout(numerics):
    given_batch = batch([17, 24, 9], [4, 3, 5], videos=[0, 1, 0])
    results = []
    for share in (False, True):
        network = model(config(numerics, share_trunk=share)).train()
        losses = network.losses(network(given_batch, first_clip(given_batch)), given_batch)
        losses["total"].backward()
        results.append((losses, [p.grad for p in network.parameters() if p.grad is not None]))
    (losses, gradients), (shared_losses, shared_gradients) = results
    torch.testing.assert_close(losses, shared_losses)
    for one, other in zip(gradients, shared_gradients, strict=True):
        assert (one - other).norm() <= 1e-5 * (1 + one.norm())


def test_the_three_passes_draw_their_own_dropout_unless_the_trunk_is_shared():
    given_batch = batch([6, 6], [3, 3])
    calls = {}
    for share in (False, True):
        network = model(config(share_trunk=share, dropout=0.5)).train()
        count: list[int] = []
        network.video_front_door.register_forward_hook(lambda *_, count=count: count.append(1))
        network(given_batch, first_clip(given_batch))
        calls[share] = len(count)
    assert calls == {False: 3, True: 1}


def test_inference_makes_no_negative_passes():
    network, given_batch = model(config()).eval(), batch([6, 6], [3, 3])
    count: list[int] = []
    network.decoder.register_forward_hook(lambda *_: count.append(1))
    assert network(given_batch).negatives is None
    assert len(count) == 1
    with pytest.raises(ValueError, match="losses need the output of a forward pass with draws"):
        network.losses(network(given_batch), given_batch)


def test_batch_is_not_written_into():
    given_batch = batch([6, 4], [3, 2])
    before = {name: value.clone() for name, value in vars(given_batch).items()}
    network = model(config("released")).train()
    network.observe(given_batch)
    network.losses(network(given_batch, first_clip(given_batch)), given_batch)
    for name, value in before.items():
        assert torch.equal(value, getattr(given_batch, name)), name


@pytest.mark.parametrize("numerics", ["corrected", "released"])
def test_observing_changes_only_the_rows_that_were_hit_and_nothing_else(numerics):
    network, given_batch = model(config(numerics)), batch([6, 4], [3, 2])
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.observe(given_batch)
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"video_memory.rows", "query_memory.rows"}
    moved = (network.video_memory.rows != before["video_memory.rows"]).any(dim=-1).sum()
    assert 1 <= int(moved) <= 2


def test_memory_holds_raw_rows_under_corrected_and_mapped_rows_under_released_numerics():
    assert model(config()).video_memory.rows.shape == (1, ENTRIES, WIDTHS["video"])
    assert model(config("released")).video_memory.rows.shape == (1, ENTRIES, 16)


def test_dead_modules_exist_only_where_their_keys_must():
    names = {name.split(".")[0] for name, _ in model(config()).named_parameters()}
    assert not {name for name in names if name.endswith("dead")}


@pytest.mark.parametrize("numerics", ["corrected", "released"])
def test_autocast_keeps_scores_and_losses_in_32_bit(numerics):
    network, given_batch = model(config(numerics)).train(), batch([17, 9], [4, 3])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        network.observe(given_batch)
        output = network(given_batch, first_clip(given_batch))
    losses = network.losses(output, given_batch)
    kinds = {tensor.dtype for tensor in (output.logits, output.offsets, output.similarity, output.answerable, *losses.values())}
    assert kinds == {torch.float32}
    exact = network.losses(network(given_batch, first_clip(given_batch)), given_batch)
    torch.testing.assert_close(losses["total"], exact["total"], atol=0.05, rtol=0.05)


@pytest.mark.parametrize("numerics", ["corrected", "released"])
def test_nothing_in_a_step_asks_a_device_for_a_value(numerics):
    # Fake tensors have no values: whatever would wait for a GPU (item, nonzero, a mask as an index) raises here.
    with FakeTensorMode(allow_non_fake_inputs=True):
        network = Model(
            config(numerics), widths=WIDTHS, confounders={side: torch.zeros(4, w) for side, w in WIDTHS.items()}
        ).train()
        given_batch = batch([17, 9, 4], [4, 3, 2])
        network.observe(given_batch)
        output = network(given_batch, network.draw(given_batch, torch.Generator()))
        network.losses(output, given_batch)["total"].backward()


def test_rows_of_a_decoded_batch_are_on_the_cpu_and_belong_to_their_samples():
    network, given_batch = model(config()).eval(), batch([6, 4, 9], [3, 2, 2])
    with torch.no_grad():
        forward = network.decode(network(given_batch), given_batch)
        backward = network.decode(network(rows(given_batch, [2, 1, 0])), rows(given_batch, [2, 1, 0]))
    assert [len(one.saliency) for one in forward] == [6, 4, 9]
    for one, other in zip(forward, reversed(backward), strict=True):
        torch.testing.assert_close(one.windows, other.windows, atol=2e-5, rtol=0.0)
        assert one.windows.device.type == "cpu"
