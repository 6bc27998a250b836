"""Queries say what happens, and their tokens lie where the clips' concepts lie."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from stages.worlds.language import ACTORS, OBJECTS, SCENES, VERBS, Language, vocabulary
from stages.worlds.planted import PlantedWorld
from stages.worlds.scm import Scm
from stages.worlds.settings import WorldError
from stages.worlds.truth import language_guess


def test_every_event_is_asked_about_once_in_one_of_three_forms(world):
    for video in world.videos["train"][:50]:
        queries = world.language.queries(video)
        assert [query.position for query in queries] == list(range(len(video.events)))
    forms = Counter(query.template for query in world.queries["train"])
    assert set(forms) == {0, 1, 2}
    assert min(forms.values()) > 400


def test_a_query_names_actor_predicate_and_object_of_its_event_and_never_the_scene(world):
    for query in world.queries["train"]:
        words, event = query.text.split(), query.event
        verb = VERBS[event.predicate]
        assert ACTORS[event.actor] in words
        assert OBJECTS[event.object] == words[-1]
        assert {verb.third, verb.ing} & set(words)
        assert not set(SCENES) & set(words)
        assert len(query.words) == len(words) + 2


def test_the_grammar_reads_as_english(world):
    by_form = {query.template: query for query in world.queries["train"]}
    texts = {form: query.text for form, query in by_form.items()}
    event = by_form[1].event
    assert texts[1] == f"the {ACTORS[event.actor]} is {VERBS[event.predicate].ing} the {OBJECTS[event.object]}"


def test_scene_words_appear_only_where_asked_for(demo):
    world = PlantedWorld(replace(demo, text=replace(demo.text, scene_words=True)), 1)
    assert any("in the " + SCENES[query.video.scene] in query.text for query in world.queries["iid"])


def test_fewer_queries_per_video_leave_the_others_as_they_are(demo, world):
    fewer = Language(Scm(replace(demo, queries_per_video=1), 2026), world.views)
    for video in world.videos["iid"][:20]:
        (query,) = fewer.queries(video)
        assert query.qid == demo.splits["iid"].first_qid + video.index * 4 + query.position


def test_query_ids_are_unique_over_all_splits(world):
    qids = [query.qid for queries in world.queries.values() for query in queries]
    assert len(set(qids)) == len(qids)


def test_a_token_points_to_its_concept_and_the_noise_has_the_stated_length(world):
    concepts = world.views.concepts["clip"]
    lengths = []
    for query in world.queries["train"][:200]:
        for row, (kind, index) in zip(world.language.latent(query), query.words, strict=True):
            if kind != "function":
                assert row[:24] @ getattr(concepts, kind)[index] == pytest.approx(1, abs=0.12)
                lengths.append(np.sum((row[:24] - getattr(concepts, kind)[index]) ** 2))
    assert np.sqrt(np.mean(lengths)) == pytest.approx(0.1, rel=0.05)


def test_tokens_and_clips_of_equal_width_share_their_space(world):
    view = world.settings.views["clip"]
    assert view.width == world.settings.text.width
    assert (world.language.lift == world.views.lift("clip", view.width)).all()


def test_published_tokens_have_one_row_per_token_and_a_unit_pooled_row(world):
    query = world.queries["iid"][0]
    tokens, pooled = world.language.published(query)
    assert tokens.shape == (len(query.words), 64)
    assert tokens.dtype == pooled.dtype == np.float16
    assert np.linalg.norm(pooled.astype(float)) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("scene", "language"), [(0.7, 0.0), (0.7, 0.6), (0.3, 0.7)])
def test_the_object_is_guessed_from_the_predicate_as_often_as_the_closed_form_says(question_settings, scene, language):
    settings = replace(question_settings, scene_bias=scene, language_bias=language)
    world = PlantedWorld(settings, 11)
    events = [video.events[k] for video in world.videos["train"] for k in range(len(video.events))]
    expected = language_guess(settings)
    right = np.mean([event.object == world.scm.typical[event.predicate] for event in events])
    assert right == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / len(events)))
    blind = [event for video in world.videos["interventional"] for event in video.events]
    assert np.mean([event.object == world.scm.typical[event.predicate] for event in blind]) == pytest.approx(1 / 12, abs=0.04)


def test_more_concepts_than_words_are_refused(demo):
    settings = replace(demo, scenes=30, objects=30, latent=80)
    scm = Scm(replace(settings, splits={"train": demo.splits["train"]}), 0)
    with pytest.raises(WorldError, match="objects: 30, but the vocabulary of the world has words for 24"):
        Language(scm, None)


def test_words_are_distinct_and_articles_fit():
    words = [*ACTORS, *OBJECTS, *SCENES, *(form for verb in VERBS for form in (verb.base, verb.third, verb.ing, verb.past))]
    assert len(set(words)) == len(words)
    assert not any(word[0] in "aeiou" for word in OBJECTS)


def test_the_vocabulary_names_as_many_concepts_as_there_are(demo):
    assert {kind: len(words) for kind, words in vocabulary(demo).items()} == {
        "scene": 6,
        "actor": 3,
        "predicate": 8,
        "object": 6,
    }
