"""Open-ended questions answered by a word of a vocabulary: MSVD-QA and MSRVTT-QA.

An answer outside the vocabulary is -1 in the labels: it can only be missed, and stays in the denominator. Training answers
outside it are a class of their own behind it, so a model can predict that class, which is never right. The rows by first question
word are an addition of this project, the reference prints the overall accuracy alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stages.metrics.answers import asked, count, disagreement, one_row_each, percentages, read_answers, reported
from stages.metrics.contract import Benchmark, Request, Scored, each_profile
from stages.metrics.records import InputError, Records, read_json, read_table, read_text

WORDS = ("what", "who", "how", "when", "where")
OUTSIDE = -1
PROFILES = ("qa",)


def score(request: Request) -> Scored:
    """Accuracy over all questions and by their first word; the ids of answers and questions have to be the same."""
    vocabulary = _vocabulary(request.files["answer_vocabulary"])
    questions = _questions(request.files["questions"])
    keys = [row[questions.key] for row in questions.rows]
    one_row_each(questions, keys)
    answers = read_answers(request.files["predictions"], least=0, most=len(vocabulary))
    kept, skipped, warnings = asked(answers, keys, strict=request.strict, exact=True)
    rows = {key: row for key, row in zip(keys, questions.rows, strict=True) if key in answers.values}
    labels = {key: [vocabulary.get(row["answer"], OUTSIDE)] for key, row in rows.items()}
    scored = Scored(n_scored=len(kept), n_skipped=skipped, warnings=warnings + disagreement(answers, labels, corrected=False))

    def values(_profile: str, corrected: bool) -> dict[str, Any]:
        if corrected:
            disagreement(answers, labels, corrected=True)
        words = count((row["question"].split(" ")[0].lower(), answers.right(key)) for key, row in rows.items())
        total = [sum(answers.right(key) for key in kept), len(kept)]
        numbers = percentages({"Acc": total, **{word: words[word] for word in WORDS if word in words}}, questions.path)
        outside = sum(answers.values[key][1] == OUTSIDE for key in kept)
        counts = {**{word: words[word] for word in WORDS if word in words}, "all": total}
        return reported(numbers, counts=counts, out_of_vocabulary_answers=outside)

    each_profile(request, PROFILES, scored, values)
    return scored


def _questions(path: Path) -> Records:
    """The table of questions, separated by commas or, as published, by tabs; ids are in `id`, in TranSTR's files in `qid`."""
    header = read_text(path).split("\n", 1)[0].strip()
    delimiter = "\t" if "\t" in header else ","
    names = header.split(delimiter)
    key = "qid" if "qid" in names and "id" not in names else "id"
    return read_table(path, (key, "question", "answer"), delimiter=delimiter, key=key)


def _vocabulary(path: Path) -> dict[str, int]:
    words = read_json(path)
    if type(words) is not list or not words or not all(type(word) is str for word in words):
        raise InputError(f"{path}: expected a JSON list of answers")
    return {word: number for number, word in reversed(list(enumerate(words)))}


def benchmark(title: str) -> Benchmark:
    """A benchmark of these files."""
    files = ("predictions", "questions", "answer_vocabulary")
    return Benchmark(title=title, files=files, profiles=PROFILES, default=PROFILES, score=score)
