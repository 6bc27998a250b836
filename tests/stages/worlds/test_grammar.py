"""Questions have one answer, options that do not give it away, and words that say what is asked."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom, chisquare

from stages.worlds.grammar import (
    NUMBERS,
    TYPES,
    answers,
    has_options,
    options,
    phrase,
    questions,
    spelled,
    word,
)  # fmt: skip
from stages.worlds.question_files import offered
from stages.worlds.question_truth import language_guess, shortcut
from stages.worlds.scm import Event, Scm, Video
from stages.worlds.settings import KINDS, OPTIONS, WorldError

ALL = dict.fromkeys(KINDS, 1.0)
SPLITS = ("train", "iid", "interventional", "reversed")


def event(actor, predicate, thing, start, *, linked=False):
    return Event(actor=actor, predicate=predicate, object=thing, start=start, end=start + 4.0, linked=linked)


@pytest.fixture(scope="module")
def video():
    """The man shows the ball, which makes him leave the book; then the woman finds the box."""
    events = (event(0, 0, 0, 2.0), event(0, 1, 1, 10.0, linked=True), event(1, 2, 2, 20.0))
    return Video(split="train", index=0, scene=0, clips=16, duration=32.0, events=events, distractors=(-1,) * 16)


@pytest.fixture(scope="module")
def asked(asked_world, video):
    return questions(asked_world.scm, video, ALL)


def told(asked, kind):
    return [(one.text, spelled(phrase(one.form, one.answer)), one.evidence) for one in asked if one.kind == kind]


def test_every_kind_reads_as_english(asked):
    assert told(asked, "object")[0] == ("what does the man show", "the ball", (0,))
    assert told(asked, "verb")[0] == ("what does the man do with the ball", "show it", (0,))
    assert told(asked, "who")[2] == ("who finds the box", "the woman", (2,))
    assert told(asked, "count") == [("how many things does someone do", "three", (0, 1, 2))]
    assert told(asked, "next") == [
        ("what does the man do after showing the ball", "leave the book", (0, 1)),
        ("what happens after the man leaves the book", "the woman finds the box", (1, 2)),
    ]
    assert told(asked, "previous")[0] == ("what does the man do before leaving the book", "show the ball", (0, 1))
    assert told(asked, "why") == [("why does the man leave the book", "because the man showed the ball", (0, 1))]
    assert told(asked, "how") == [("how does the man come to leave the book", "by showing the ball", (0, 1))]


def test_types_are_those_of_next_qa(asked):
    assert {one.type for one in asked} == {"DO", "DC", "TN", "TP", "CW", "CH"}
    assert set(TYPES) == set(KINDS)


def test_why_and_how_are_asked_only_where_the_event_before_enables(asked_world, asked):
    assert [one.position for one in asked if one.kind in ("why", "how")] == [1, 1]
    for video in asked_world.videos["train"][:100]:
        for one in questions(asked_world.scm, video, {"why": 1.0}):
            cause, effect = video.events[one.position - 1], video.events[one.position]
            assert effect.predicate in asked_world.scm.enabled[cause.predicate]
            assert one.answer == (cause.actor, cause.predicate, cause.object)


def test_what_was_done_with_a_thing_is_asked_only_if_one_thing_was_done(asked_world, video):
    twice = replace(video, events=(event(0, 0, 0, 2.0), event(0, 1, 0, 10.0)))
    assert not questions(asked_world.scm, twice, {"verb": 1.0})


def test_yes_and_no_are_balanced_and_true(asked_world):
    said = Counter()
    for video in asked_world.videos["train"]:
        for one in questions(asked_world.scm, video, {"yes_no": 1.0}):
            verb, thing = one.text.split()[3], one.text.split()[-1]
            words = {(asked_world.words["predicate"][e.predicate], asked_world.words["object"][e.object]) for e in video.events}
            assert ((verb, thing) in words) == bool(one.answer[0])
            assert bool(one.evidence) == bool(one.answer[0])
            said[one.answer[0]] += 1
    assert said[1] / said.total() == pytest.approx(0.5, abs=0.04)


def test_another_kind_or_another_share_leaves_the_other_questions_as_they_are(asked_world):
    for video in asked_world.videos["iid"][:50]:
        alone = questions(asked_world.scm, video, {"object": 1.0})
        mixed = [one for one in questions(asked_world.scm, video, ALL) if one.kind == "object"]
        assert alone == mixed
        some = questions(asked_world.scm, video, {"object": 0.5})
        assert {one.qid for one in some} <= {one.qid for one in alone}


def test_a_share_is_the_probability_of_being_asked(asked_world):
    full = sum(len(questions(asked_world.scm, video, {"object": 1.0})) for video in asked_world.videos["train"])
    some = sum(len(questions(asked_world.scm, video, {"object": 0.3})) for video in asked_world.videos["train"])
    assert abs(some - 0.3 * full) < 3 * np.sqrt(0.21 * full)


def test_ids_of_one_video_s_questions_differ(asked):
    assert len({one.qid for one in asked}) == len(asked)


@pytest.mark.parametrize("split", SPLITS)
def test_objects_preferred_by_the_scene_are_right_as_often_as_the_bias_says(asked_world, split):
    rows = asked_world.questions[split]
    right = sum(shortcut(asked_world.scm, one) == one.answer for one in rows)
    share = {"interventional": 1 / 12, "reversed": 0.2 / 12}.get(split, 0.8 + 0.2 / 12)
    assert abs(right - share * len(rows)) < 3 * np.sqrt(share * (1 - share) * len(rows))


@pytest.mark.parametrize("split", SPLITS)
def test_answers_are_equally_frequent(asked_world, split):
    counts = np.bincount([one.answer[0] for one in asked_world.questions[split]], minlength=12)
    assert chisquare(counts).pvalue > 0.001


@pytest.mark.parametrize("split", SPLITS)
def test_options_do_not_give_the_answer_away(asked_world, split):
    rows = offered(asked_world.scm, asked_world.questions[split])
    places = np.bincount([one.right for one in rows], minlength=OPTIONS)
    assert chisquare(places).pvalue > 0.001
    frequent = Counter(one.asked.answer for one in rows)
    guessed = sum(max(one.options, key=lambda option: frequent[option]) == one.asked.answer for one in rows)
    assert binom.cdf(guessed, len(rows), 0.2) < 0.9999  # the plug-in guess is a little better than chance
    present = [1 / sum(option[0] in {e.object for e in one.asked.video.events} for option in one.options) for one in rows]
    assert np.mean(present) < 0.5


def test_options_are_five_different_answers_of_one_form_and_length(few, asked_world):
    for video in asked_world.videos["iid"][:80]:
        for one in questions(asked_world.scm, video, ALL):
            if not has_options(one.form, asked_world.settings):
                continue
            among, right = options(asked_world.scm, one)
            assert len(set(among)) == OPTIONS
            assert among[right] == one.answer
            assert {len(phrase(one.form, option)) for option in among} == {len(phrase(one.form, one.answer))}


def test_the_scene_s_object_and_an_object_of_another_event_are_usually_offered(asked_world):
    rows = offered(asked_world.scm, asked_world.questions["interventional"])
    assert np.mean([shortcut(asked_world.scm, one.asked) in one.options for one in rows]) > 0.85
    others = [{e.object for e in one.asked.video.events} - {one.asked.answer[0]} for one in rows]
    assert np.mean([bool(other & {o for (o,) in one.options}) for other, one in zip(others, rows, strict=True) if other]) > 0.9


def test_what_has_fewer_than_five_answers_is_asked_without_options(asked_world):
    settings = asked_world.settings
    assert [form for form in ("actor", "number", "verdict") if has_options(form, settings)] == []
    assert all(has_options(form, settings) for form in ("thing", "deed", "act", "event", "cause", "means"))
    assert len(answers("number", settings)) == settings.max_events - settings.min_events + 1


def test_one_word_answers_are_words(asked_world):
    for form in ("thing", "deed", "actor", "number", "verdict"):
        said = [word(form, content) for content in answers(form, asked_world.settings)]
        assert len(set(said)) == len(said)
        assert all(len(one.split()) == 1 for one in said)
    assert word("number", (3,)) == NUMBERS[3]


def test_without_language_bias_the_words_tell_nothing_and_with_it_the_typical_object(asked_world):
    rows = asked_world.questions["train"][:200]
    choices = answers("thing", asked_world.settings)
    assert {language_guess(asked_world.scm, one, choices) for one in rows} == {None}
    typical = Scm(replace(asked_world.settings, language_bias=0.5), asked_world.seed)
    for one in rows:
        assert language_guess(typical, one, choices) == (int(typical.typical[one.event.predicate]),)


def test_what_follows_is_guessed_among_the_enabled_predicates(asked_world, asked):
    (one, *_) = [one for one in asked if one.kind == "next"]
    typical = Scm(replace(asked_world.settings, language_bias=0.5), asked_world.seed)
    one_enabled = [(int(typical.enabled[0][0]), 0), (int(typical.enabled[0][0]), 1)]
    others = [(j, 0) for j in range(1, 8) if j not in typical.enabled[0]]
    assert language_guess(typical, one, [*others, one_enabled[0]]) in (one_enabled[0], *others)
    assert language_guess(asked_world.scm, one, [*others, one_enabled[0]]) == one_enabled[0]


def test_unknown_kinds_and_worlds_that_ask_nothing_are_refused(question_entry):
    with pytest.raises(WorldError, match="kinds: unknown colour; there are object, verb"):
        replace(question_entry.questions, kinds={"colour": 1.0})
    with pytest.raises(WorldError, match="no question would be asked"):
        replace(question_entry.questions, kinds={"object": 0.0})
    with pytest.raises(WorldError, match="a share is not within"):
        replace(question_entry.questions, kinds={"object": 1.5})
