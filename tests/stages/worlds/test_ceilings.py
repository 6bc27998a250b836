"""The told-spans posterior is exact, and shows what the back door is worth."""

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest

from stages.worlds.ceilings import Ceiling
from stages.worlds.observation import event_vector
from stages.worlds.planted import PlantedWorld


def brute_force(world, video, actor, predicate, mechanism):
    """The same posterior by enumerating every scene, every sequence of events and every distractor, with the full Gaussian."""
    settings, scm = world.settings, world.scm
    places = [(event.start + event.end) / 2 / video.duration for event in video.events]
    covered = video.coverage
    inside, objects = covered.sum(axis=0), scm.object_law(mechanism)
    distractors = scm.distractor_law()
    latent = {name: world.views.latent(video, name) for name in settings.views}

    def log_likelihood(clip, scene, parts):
        total = 0.0
        for name, view in settings.views.items():
            concepts = world.views.concepts[name]
            strength = inside[clip] * settings.event_scene + (1 - inside[clip]) * settings.background_scene
            mean = strength * view.scene * concepts.scene[scene]
            for weight, what in parts:
                mean = mean + weight * (
                    event_vector(view, concepts, what)
                    if isinstance(what, tuple)
                    else settings.distractor * view.object * concepts.object[what]
                )
            total -= ((latent[name][clip] - mean) ** 2).sum() / (2 * view.sigma**2)
        return total

    K = len(video.events)
    posterior = np.zeros((K, settings.objects))
    for scene in range(settings.scenes):
        background = sum(
            np.log(sum(p * np.exp(log_likelihood(t, scene, [(1.0, d)]) + 50) for d, p in enumerate(distractors[scene])))
            for t in np.flatnonzero(inside == 0)
        )
        for order in permutations(range(settings.predicates), K):
            prior = 1.0
            for k, place in enumerate(places):
                prior *= scm.predicate_law(mechanism, order[:k], place)[order[k]]
            if predicate not in order or prior == 0:
                continue
            asked = order.index(predicate)
            for actors, things in product(product(range(settings.actors), repeat=K), product(range(settings.objects), repeat=K)):
                if actors[asked] != actor:
                    continue
                log = background
                for k in range(K):
                    prior_k = objects[scene, order[k], things[k]] / settings.actors
                    log += np.log(prior_k)
                    for t in np.flatnonzero(covered[k]):
                        log += log_likelihood(t, scene, [(covered[k, t], (actors[k], order[k], things[k]))]) + 8
                posterior[asked, things[asked]] += prior * np.exp(log)
    return posterior / posterior.sum()


@pytest.mark.parametrize("law", ["biased", "interventional"])
def test_the_posterior_is_that_of_a_brute_force_enumeration(tiny, law):
    world = PlantedWorld(replace(tiny, causal_strength=0.3, language_bias=0.4), 5)
    ceiling, mechanism = Ceiling(world.scm, world.views), world.scm.mechanism(law)
    for query in world.queries["train"][:2]:
        ours = ceiling.of_video(query.video, query.event.actor, query.event.predicate, mechanism)
        theirs = brute_force(world, query.video, query.event.actor, query.event.predicate, mechanism)
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


@pytest.fixture(scope="module")
def right(question_world):
    """Share of right objects by split, with and without the back door, and the number of queries."""
    ceiling = Ceiling(question_world.scm, question_world.views)
    shares = {}
    for split in ("iid", "interventional"):
        for name, law in (("with", "biased"), ("without", "interventional")):
            mechanism = question_world.scm.mechanism(law)
            hits = []
            for query in question_world.queries[split][:250]:
                joint = ceiling.of_video(query.video, query.event.actor, query.event.predicate, mechanism)
                assert joint.sum() == pytest.approx(1)
                hits.append(joint.sum(axis=0).argmax() == query.event.object)
            shares[split, name] = np.mean(hits)
    return shares


def test_the_back_door_helps_where_the_bias_is_and_harms_where_it_is_cut(right):
    assert right["iid", "with"] >= right["iid", "without"]
    assert right["interventional", "without"] >= right["interventional", "with"]
    assert right["iid", "with"] - right["interventional", "with"] > 0.01


def test_without_the_back_door_both_splits_are_equally_hard_and_far_above_chance(right):
    pooled = (right["iid", "without"] + right["interventional", "without"]) / 2
    assert abs(right["iid", "without"] - right["interventional", "without"]) < 3 * np.sqrt(2 * pooled * (1 - pooled) / 250)
    assert pooled > 0.75


def test_whoever_is_told_the_spans_knows_which_one_a_query_names(world):
    ceiling, mechanism = Ceiling(world.scm, world.views), world.scm.mechanism("interventional")
    right = []
    for query in world.queries["interventional"][:100]:
        joint = ceiling.of_video(query.video, query.event.actor, query.event.predicate, mechanism)
        right.append(joint[:, query.event.object].argmax() == query.position)
    assert np.mean(right) > 0.95
