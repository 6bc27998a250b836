"""Boxes lie in the frame, move as the verb says, and hold what the event is about."""

from dataclasses import replace

import numpy as np
import pytest

from stages.worlds.language import VERBS
from stages.worlds.question_truth import causal_clips, causal_objects
from stages.worlds.regions import MOTIONS, Detector, moved
from stages.worlds.settings import WorldError


@pytest.fixture(scope="module")
def seen(asked_world):
    return {video.index: asked_world.detector.see(video) for video in asked_world.videos["iid"][:120]}


def test_every_verb_has_a_motion():
    assert set(MOTIONS) == {verb.base for verb in VERBS}


def test_boxes_lie_in_the_frame_and_have_an_extent(seen):
    boxes = np.stack([one.boxes for one in seen.values()])
    assert boxes.min() >= 0
    assert boxes.max() <= 1
    assert (boxes[..., 2:] - boxes[..., :2] > 0.019).all()


@pytest.mark.parametrize(("verb", "rises", "leaves"), [("show", True, False), ("get", False, False), ("give", None, True)])
def test_objects_move_as_the_verb_says(verb, rises, leaves):
    actor, thing = moved(verb, np.array([0.5, 0.5]), np.linspace(0, 1, 5))
    heights = thing[:, 1] + thing[:, 3]
    away = (thing[:, 0] + thing[:, 2]) - (actor[:, 0] + actor[:, 2])
    if rises is not None:
        assert (np.diff(heights) < 0).all() == rises
    assert (away[-1] > away[0] + 0.1) == leaves


def test_the_causal_boxes_hold_the_actor_and_the_object_of_the_event(asked_world, seen):
    concepts, right = asked_world.detector.concepts, []
    for one in asked_world.questions["iid"]:
        if one.video.index not in seen:
            continue
        latent = seen[one.video.index].latent
        places = causal_objects(one, seen[one.video.index])
        assert sorted({frame for frame, _ in places}) == causal_clips(one)
        assert len(places) == 2 * len(causal_clips(one))
        scores = np.stack([latent[frame, place] @ concepts.object.T for frame, place in places])
        right.append(scores.sum(axis=0).argmax() == one.answer[0])
    assert np.mean(right) > 0.9


def test_the_causal_boxes_show_the_predicate_and_the_others_do_not(asked_world, seen):
    concepts, inside, outside = asked_world.detector.concepts, [], []
    for one in asked_world.questions["iid"]:
        if one.video.index in seen:
            shown = seen[one.video.index].latent @ concepts.predicate[one.event.predicate]
            causal = np.zeros(shown.shape, bool)
            causal[tuple(np.array(causal_objects(one, seen[one.video.index])).T)] = True
            inside.append(shown[causal].mean())
            outside.append(shown[~causal].mean())
    assert np.mean(inside) > 0.35
    assert abs(np.mean(outside)) < 0.03


def test_a_place_in_the_list_says_nothing(asked_world, seen):
    places = np.concatenate([[place for _, place in causal_objects(one, seen[one.video.index])]
                             for one in asked_world.questions["iid"] if one.video.index in seen])  # fmt: skip
    counts = np.bincount(places, minlength=6)
    assert counts.min() > 0.8 * counts.mean()


def test_crowded_videos_fill_more_boxes_and_the_rest_are_zeros(asked_world):
    settings = replace(asked_world.detector.settings, boxes=12, objects=5, crowded_objects=12, crowded_share=0.3)
    detector = Detector(asked_world.scm, asked_world.views, settings)
    counts = []
    for video in asked_world.videos["iid"][:60]:
        one = detector.see(video)
        filled = (one.latent != 0).any(axis=2)
        assert (filled.sum(axis=1) == one.objects).all()
        assert (filled == (one.boxes != 0).any(axis=2)).all()
        counts.append(one.objects)
    assert set(counts) == {5, 12}
    assert 0.1 < np.mean(np.array(counts) == 12) < 0.5


def test_more_objects_than_boxes_are_refused(asked_world):
    with pytest.raises(WorldError, match="at most 6 boxes"):
        replace(asked_world.detector.settings, crowded_objects=7)
