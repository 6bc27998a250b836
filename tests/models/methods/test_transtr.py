"""Laws of TranSTR under corrected numerics; and where released numerics must agree."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from models.batch import Questions
from models.layers.masks import prefix_mask, zero_padding
from models.methods.transtr import Config, Deviations, Draws, Model
from tests.models.questions import close, select

D, OBJECT, FRAMES, OBJECTS, WORDS, MOST = 8, 11, (5, 2, 4), 4, (4, 1, 3), 5
WIDTHS = {"video": D, "query": D, "objects": OBJECT}
K, J, S = 3, 2, 20
OPTIONS = [
    {},
    {"candidate_vector": "mean"},
    {"frame_choice": "uniform", "object_choice": "uniform"},
    {"score_over": "items"},
    {"distinct": True},
    {"score_over": "items", "distinct": True},
    {"normalised": True},
    {"alike": True},
    {"answers": 6},
]


def config(numerics="corrected", **changes) -> Config:
    settings = {
        "numerics": numerics,
        "answers": None,
        "frames": MOST,
        "objects": OBJECTS,
        "k_frames": K,
        "k_objects": J,
        "heads": 2,
        "layers": 1,
        "d_inner": 12,
        "activation": "relu",
        "dropout": 0.0,
        "samples": S,
        "sigma": 0.05,
    }
    return Config(**(settings | changes))


def model(settings: Config) -> Model:
    torch.manual_seed(0)
    return Model(settings, widths=WIDTHS, confounders={})


def batch(seed: int = 0) -> Questions:
    generator = torch.Generator().manual_seed(seed)
    video_mask, question_mask = prefix_mask(torch.tensor(FRAMES), MOST), prefix_mask(torch.tensor(WORDS), max(WORDS))
    boxes = torch.randint(0, OBJECTS + 1, (len(FRAMES), MOST), generator=generator)
    boxes[:, 0] = 2
    objects_mask = prefix_mask(boxes.flatten(), OBJECTS).unflatten(0, boxes.shape) & video_mask[..., None]
    return Questions(
        video=zero_padding(torch.randn(len(FRAMES), MOST, D, generator=generator), video_mask),
        video_mask=video_mask,
        answer=torch.tensor([1, 0, 2]),
        question=zero_padding(torch.randn(len(FRAMES), max(WORDS), D, generator=generator), question_mask),
        question_mask=question_mask,
        candidates=torch.randn(len(FRAMES), 3, 2, D, generator=generator),
        candidates_mask=torch.ones(len(FRAMES), 3, 2, dtype=torch.bool),
        objects=torch.randn(*objects_mask.shape, OBJECT, generator=generator) * objects_mask[..., None],
        objects_mask=objects_mask,
    )


def noise(frames: int, words: int, seed: int = 3):
    """Noise of the selections: the same for the same pair, however many frames or words there are."""
    generator = torch.Generator().manual_seed(seed)
    of_frames = torch.randn(len(FRAMES), S, 8, 8, generator=generator)[:, :, :frames, :words]
    of_objects = torch.randn(len(FRAMES) * K, S, 8, 8, generator=generator)
    return of_frames, of_objects


def draws(frames: int = MOST, objects: int = OBJECTS, words: int = max(WORDS)) -> Draws:
    of_frames, of_objects = noise(frames, words)
    return Draws(frames=of_frames.flatten(start_dim=2), objects=of_objects[:, :, :objects, :words].flatten(start_dim=2))


def padded(given: Questions, *, frames=0, objects=0, words=0, value=0.0) -> Questions:
    """More of everything, filled with `value`, all of it padding."""
    pad = torch.nn.functional.pad
    return dataclasses.replace(
        given,
        video=pad(given.video, (0, 0, 0, frames), value=value),
        video_mask=pad(given.video_mask, (0, frames)),
        question=pad(given.question, (0, 0, 0, words), value=value),
        question_mask=pad(given.question_mask, (0, words)),
        objects=pad(given.objects, (0, 0, 0, objects, 0, frames), value=value),
        objects_mask=pad(given.objects_mask, (0, objects, 0, frames)),
    )


@pytest.mark.parametrize("options", OPTIONS)
def test_padding_changes_nothing_whatever_it_holds(options):
    network, given = model(config(**options)).eval(), batch()
    more = padded(given, frames=2, objects=1, words=3, value=7.0)
    close(network(given).logits, network(more).logits)


@pytest.mark.parametrize("options", [{}, {"score_over": "items"}])
def test_padding_changes_nothing_in_training(options):
    network, given = model(config(**options)), batch()
    more = padded(given, frames=2, objects=1, words=3, value=7.0)
    first = network(given, draws())
    second = network(more, draws(frames=MOST + 2, objects=OBJECTS + 1, words=max(WORDS) + 3))
    close(first.logits, second.logits)
    gradients = []
    for output, there in ((first, given), (second, more)):
        network.zero_grad()
        network.losses(output, there)["total"].backward()
        gradients.append(network.frame_decoder.layers[0].cross.q.weight.grad.clone())
    close(*gradients)
    assert gradients[0].any()


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("training", [False, True])
def test_a_batch_equals_its_samples_one_by_one(options, training):
    network, given = model(config(**options)), batch()
    words = 1 if options.get("distinct") else max(WORDS)  # of distinct items only the best word is left
    noise_all = draws(words=words) if training else None
    together = network(given, noise_all).logits
    for index in range(len(given)):
        one = None
        if noise_all is not None:
            one = Draws(frames=noise_all.frames[index : index + 1], objects=noise_all.objects[index * K : (index + 1) * K])
        close(together[index : index + 1], network(select(given, index), one).logits)


@pytest.mark.parametrize("options", OPTIONS)
def test_every_parameter_learns(options):
    network, given = model(config(**options)), batch()
    output = network(given, network.draw(given, torch.Generator().manual_seed(0)))
    network.losses(output, given)["total"].backward()
    without = [name for name, value in network.named_parameters() if value.grad is None or not value.grad.isfinite().all()]
    assert without == []


def test_padding_is_never_selected():
    network, given = model(config()), batch()
    output = network(given, draws())
    assert not output.by_frame.weights.masked_select(~given.video_mask[:, None]).any()
    assert output.by_frame.real.tolist() == [[True] * 3, [True, True, False], [True] * 3]  # one word, two frames: two pairs
    close(output.by_frame.weights.sum(dim=2), output.by_frame.real.float())


def test_one_word_takes_the_first_frames_in_order():
    network, given = model(config()).eval(), batch()
    weights = network(given).by_frame.weights[1]
    close(weights, torch.eye(K, MOST)[:, :MOST] * torch.tensor([1.0, 1.0, 0.0])[:, None])


def test_distinct_items_are_taken_once():
    network, given = model(config(distinct=True)).eval(), batch()
    output = network(given)
    assert output.by_frame.weights.sum(dim=1).max() <= 1
    assert output.by_object.weights.sum(dim=1).max() <= 1


def test_released_and_corrected_agree_where_everything_is_real():
    given = batch()
    full = dataclasses.replace(
        given,
        video_mask=torch.ones_like(given.video_mask),
        question_mask=torch.ones_like(given.question_mask),
        objects_mask=torch.ones_like(given.objects_mask),
    )
    sorted_only = dataclasses.replace(Deviations.all(True), unsorted_selection=False)
    corrected, released = model(config()).eval(), model(config(deviations=sorted_only)).eval()
    close(corrected(full).logits, released(full).logits)
    close(corrected(full, draws()).logits, released(full, draws()).logits)


def test_released_numerics_ignore_the_visual_masks():
    network, given = model(config(numerics="released")).eval(), batch()
    without = dataclasses.replace(given, video_mask=torch.ones_like(given.video_mask), objects_mask=None)
    close(network(given).logits, network(without).logits)


def test_soft_evaluation_is_the_same_every_time():
    network, given = model(config(soft_evaluation=True)).eval(), batch()
    first, second = network(given), network(given)
    assert torch.equal(first.logits, second.logits)
    assert ((first.by_frame.weights > 0) & (first.by_frame.weights < 1)).any()


def test_one_seed_one_result():
    network, given = model(config()), batch()
    first, second = (network(given, network.draw(given, torch.Generator().manual_seed(4))).logits for _ in range(2))
    assert torch.equal(first, second)


def test_decoding_names_the_selected_frames_and_objects():
    network, given = model(config()).eval(), batch()
    for index, answer in enumerate(network.decode(network(given), given)):
        real = FRAMES[index]
        assert answer.chosen.shape == answer.weights.shape == (real,)
        assert answer.objects.shape == (real, OBJECTS)
        assert 1 <= int(answer.chosen.sum()) <= K
        assert not answer.objects[~answer.chosen].any()
        assert not (answer.objects & ~given.objects_mask[index, :real]).any()
        assert answer.answer == int(answer.scores.argmax())


def test_candidates_may_be_what_follows_the_question():
    network, given = model(config(candidate_vector="rest")), batch()
    words = given.question_mask.sum(dim=1)
    candidates = torch.randn(len(given), 3, int(words.max()) + 2, D)
    mask = torch.ones(candidates.shape[:3], dtype=torch.bool)
    found = network.candidate_vectors(candidates, mask, words)
    for row, count in enumerate(words.tolist()):
        close(found[row], candidates[row, :, count:].mean(dim=1))


def test_normalised_features_may_be_of_any_scale():
    network, given = model(config(normalised=True)).eval(), batch()
    larger = dataclasses.replace(given, video=50 * given.video, question=50 * given.question, candidates=50 * given.candidates)
    torch.testing.assert_close(network(given).logits, network(larger).logits, atol=1e-4, rtol=1e-4)


def test_open_ended_head_has_a_class_for_the_unknown():
    given = dataclasses.replace(batch(), candidates=None, candidates_mask=None)
    assert model(config(answers=6))(given).logits.shape == (3, 7)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"numerics": "both"}, "expected corrected or released"),
        ({"k_frames": 6}, "k_frames: cannot select 6 of 5 frames"),
        ({"k_objects": 5}, "k_objects: cannot select 5 of 4 objects"),
        ({"samples": 1}, "samples: expected at least 2"),
    ],
)
def test_impossible_settings_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        config(**wrong)


def test_frames_and_words_of_unequal_width_are_refused():
    with pytest.raises(ValueError, match="widths must be equal, got 8 and 6"):
        Model(config(), widths={"video": 8, "query": 6, "objects": 11}, confounders={})
