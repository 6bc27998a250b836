"""Parses -> the eight texts of a graph."""

from __future__ import annotations

from stages.confounders.question_graphs import Word, components


def words(text: str) -> list[Word]:
    """'boy/NOUN/nsubj climbs/VERB/root' -> words."""
    return [Word(*token.split("/")) for token in text.split()]


QUESTION = words("why/ADV/advmod did/AUX/aux the/DET/det boy/NOUN/nsubj climb/VERB/root up/ADP/case the/DET/det ladder/NOUN/obl")
ANSWER = words("to/PART/mark reach/VERB/root the/DET/det shelf/NOUN/obj")


def test_components_of_a_question_with_its_answer():
    found = components(QUESTION, ANSWER)
    assert found.texts() == (
        "why did the boy climb up the ladder",
        "why",
        "boy",
        "climb",
        "ladder",
        "to reach the shelf",
        "reach",
        "shelf",
    )


def test_repeated_words_stay_once_in_order_of_occurrence():
    text = "the/DET/det man/NOUN/nsubj waves/VERB/root and/CCONJ/cc smiles/VERB/conj and/CCONJ/cc waves/VERB/conj"
    assert components(words(text), ANSWER).verbs == ("waves", "smiles")


def test_passive_subject_is_an_object_and_the_graph_has_no_subject():
    found = components(words("which/DET/det object/NOUN/nsubj:pass was/AUX/aux:pass taken/VERB/root"), words("Yes/INTJ/root"))
    assert found.subject is None
    assert found.objects == ("object",)
    assert found.texts()[2] == ""
    assert found.texts()[6:] == ("", "")


def test_adjectives_are_objects_in_questions_only():
    red = words("red/ADJ/amod bus/NOUN/root")
    found = components(red, red)
    assert found.objects == ("red", "bus")
    assert found.answer_objects == ("bus",)


def test_nothing_said_is_eight_empty_texts():
    assert components([], []).texts() == ("",) * 8
