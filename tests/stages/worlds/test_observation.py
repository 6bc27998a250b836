"""Clip features show what the formula says, as well at any width."""

from dataclasses import astuple, replace

import numpy as np
import pytest

from stages.worlds.ceilings import Ceiling
from stages.worlds.observation import Views
from stages.worlds.settings import WorldError


def concepts_of(world, view):
    """All concept vectors of a view, (S + A + P + O, d)."""
    return np.concatenate(astuple(world.views.concepts[view]))


@pytest.mark.parametrize("name", ["clip", "slowfast"])
def test_concepts_of_a_view_are_orthonormal(world, name):
    concepts = concepts_of(world, name)
    np.testing.assert_allclose(concepts @ concepts.T, np.eye(len(concepts)), atol=1e-12)


def test_views_have_concepts_of_their_own(world):
    first, second = (concepts_of(world, name) for name in ("clip", "slowfast"))
    assert np.abs(first - second).max() > 0.1


def test_a_lift_keeps_the_gram_matrix(world):
    video = world.videos["train"][0]
    for name, view in world.settings.views.items():
        latent = world.views.latent(video, name)
        lifted = latent @ world.views.lift(name, view.width)[:, : world.settings.latent].T
        assert lifted.shape == (video.clips, view.width)
        np.testing.assert_allclose(lifted @ lifted.T, latent @ latent.T, atol=1e-10)


def test_the_published_width_changes_no_information(demo, world):
    wide = {name: replace(view, width=512) for name, view in demo.views.items()}
    views = Views(replace(demo, views=wide), 2026, extra=6)
    video = world.videos["iid"][3]
    assert (views.latent(video, "clip") == world.views.latent(video, "clip")).all()


def test_a_background_clip_is_scene_and_distractor_and_an_event_clip_event_and_a_little_scene(world):
    settings, video = world.settings, world.videos["train"][0]
    view, concepts = settings.views["clip"], world.views.concepts["clip"]
    mean, covered = world.views.mean(video, "clip"), video.coverage.sum(axis=0)
    bare = int(np.flatnonzero(covered == 0)[0])
    unused = video.distractors[bare]
    np.testing.assert_allclose(
        mean[bare],
        1.0 * view.scene * concepts.scene[video.scene] + 0.7 * view.object * concepts.object[unused],
        atol=1e-12,
    )
    k, full = (int(n) for n in np.argwhere(video.coverage == 1)[0])
    event = video.events[k]
    np.testing.assert_allclose(
        mean[full],
        view.actor * concepts.actor[event.actor]
        + view.predicate * concepts.predicate[event.predicate]
        + view.object * concepts.object[event.object]
        + 0.2 * view.scene * concepts.scene[video.scene],
        atol=1e-12,
    )


def test_noise_has_the_view_s_standard_deviation(world):
    for name, view in world.settings.views.items():
        noise = np.concatenate([world.views.latent(v, name) - world.views.mean(v, name) for v in world.videos["train"][:50]])
        assert noise.std() == pytest.approx(view.sigma, rel=0.02)


def nearest_object(world, video, rows):
    """The object whose concept the latent rows of all views (each weighted by the row's share) point to most."""
    score = 0.0
    for name, view in world.settings.views.items():
        shown = world.views.latent(video, name) @ world.views.concepts[name].object.T
        score = score + view.object / view.sigma**2 * (rows @ shown)
    return int(np.argmax(score))


@pytest.mark.parametrize("split", ["iid", "interventional", "reversed"])
def test_the_signal_is_there_without_training(question_world, split):
    world = question_world
    ceiling, unbiased = Ceiling(world.scm, world.views), world.scm.mechanism("interventional")
    queries = world.queries[split][:400]
    decoded = [nearest_object(world, q.video, q.video.coverage[q.position]) == q.event.object for q in queries]
    best = [
        ceiling.of_video(q.video, q.event.actor, q.event.predicate, unbiased).sum(axis=0).argmax() == q.event.object
        for q in queries
    ]
    assert np.mean(decoded) > 0.9 * np.mean(best) > 0.7


def test_the_background_tells_the_object_only_where_the_scene_does(question_world):
    right = {}
    for split in ("iid", "interventional"):
        queries = question_world.queries[split]
        guesses = [nearest_object(question_world, q.video, q.video.coverage.sum(axis=0) == 0) for q in queries]
        right[split] = np.mean([guess == q.event.object for guess, q in zip(guesses, queries, strict=True)])
    assert right["iid"] > 0.13
    assert right["interventional"] == pytest.approx(1 / 12, abs=0.03)


def test_a_width_below_the_latent_one_is_refused(demo):
    narrow = replace(demo, views={**demo.views, "clip": replace(demo.views["clip"], width=24)})
    with pytest.raises(WorldError, match=r"views\.clip\.width: 24 is less than latent 24 \+ 6 function words"):
        Views(narrow, 0, extra=6)
