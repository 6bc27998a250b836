"""The kind of a question by its first words."""

from __future__ import annotations

import pytest

from stages.training.question_types import question_type


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("what does it eat", "whata"),
        ("What were they holding", "whatb"),
        ("what color is the car", "whato"),
        ("how many dogs", "howm"),
        ("how did he fall", "how"),
        ("Which object was taken", "which"),
        ("when did it stop", "other"),
        ("what", "whato"),
        ("how", "how"),
        ("", "other"),
    ],
)
def test_first_words_decide(question, kind):
    assert question_type(question, "CW") == kind
    assert question_type(question, "cr") == kind + "r"
    assert question_type(question, "CR") == kind
