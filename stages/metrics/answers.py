"""Answers to questions: accuracies over groups of questions, and what a file of answers must look like.

Sources: the scorers of NExT-QA (2021), TranSTR (2023) and IGV (2022), as in the project's metric definitions. Every one of them
compares a prediction with the answer that stands beside it in the prediction file, not with the labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.metrics.records import IdsDifferError, InputError, NotApplicableError, Records, read_object, shown, sorted_ids
from stages.metrics.rounding import rounded

DECIMALS = 2
DIGITS = 9  # of an index, at most
Counts = dict[str, list[int]]  # group -> [right, all]
EITHER, NEXT_QA = ("TP", "TN"), {"CW": "Why", "CH": "How", "TN": "Bef&Aft", "TC": "When", "DC": "Cnt", "DL": "Loc", "DO": "Other"}


@dataclass(frozen=True)
class Answers:
    """A file of answers: key -> (prediction, answer), both indices into the options or the vocabulary."""

    path: str
    values: dict[str, tuple[int, int]]
    repeated: list[str]

    def place(self, key: str, field: str | None = None) -> str:
        """Where an answer is: file, id and field."""
        return ": ".join([self.path, f"id {key}", *([field] if field else [])])

    def right(self, key: str) -> bool:
        """Whether the prediction equals the answer beside it."""
        prediction, answer = self.values[key]
        return prediction == answer


def read_answers(path: Path, *, least: int | None = None, most: int | None = None) -> Answers:
    """Parse {id: {"prediction": int, "answer": int}}, or JSON lines of such answers, each with its id as `sample_id`.

    Raises InputError, naming id and field, for anything else, or for a prediction outside least..most.
    """
    content, repeated = read_object(path, "sample_id")
    answers = Answers(str(path), {}, repeated)
    for key, entry in content.items():
        if type(entry) is not dict:
            raise InputError(f"{answers.place(key)}: expected prediction and answer, got {shown(entry)}")
        for field in ("prediction", "answer"):
            if type(entry.get(field)) is not int:
                raise InputError(f"{answers.place(key, field)}: expected a whole number, got {shown(entry.get(field))}")
        low, high = least is not None and entry["prediction"] < least, most is not None and entry["prediction"] > most
        if low or high:
            raise InputError(
                f"{answers.place(key, 'prediction')}: expected a number from {least} to {most}, got {entry['prediction']}"
            )
        answers.values[key] = (entry["prediction"], entry["answer"])
    return answers


def asked(answers: Answers, keys: Sequence[str], *, strict: bool, exact: bool) -> tuple[list[str], int, list[str]]:
    """Keys of the questions that are scored, how many records are left out, and warnings.

    A question without an answer is missing. An answer without a question is left out, or with `exact` unknown.

    Raises IdsDifferError in strict mode, NotApplicableError if nothing is left.
    """
    known = set(keys)
    missing = [key for key in keys if key not in answers.values]
    unknown = [key for key in answers.values if key not in known]
    if strict and (missing or (exact and unknown)):
        raise IdsDifferError(answers.path, sorted_ids(missing), sorted_ids(unknown))
    kept = [key for key in keys if key in answers.values]
    if not kept:
        raise NotApplicableError(f"{answers.path}: no answer to any of the {len(keys)} questions")
    warnings = []
    if unknown:
        warnings.append(f"{answers.place(unknown[0])}: no such question; left out ({len(unknown)} such answers)")
    if missing:
        warnings.append(f"{answers.place(missing[0])}: no answer; the question is left out ({len(missing)} such questions)")
    if answers.repeated:
        warnings.append(
            f"{answers.place(answers.repeated[0])}: occurs more than once; the last one counts ({len(answers.repeated)} such)"
        )
    if len(known) < len(keys):
        warnings.append(f"{answers.path}: {len(keys) - len(known)} questions are listed more than once and count each time")
    return kept, len(missing) + len(unknown), warnings


def one_row_each(questions: Records, keys: Sequence[str]) -> None:
    """Raises InputError for a question that the table lists twice; for scorers that count answers, not rows of a table."""
    first: dict[str, int] = {}
    for row, key in enumerate(keys):
        if (before := first.setdefault(key, row)) != row:
            place, line = questions.place(row), questions.lines[before]
            raise InputError(f"{place}: occurs before, in line {line}; expected one row per question")


def count(right: Iterable[tuple[str, bool]]) -> Counts:
    """Right and all per group."""
    out: Counts = {}
    for group, hit in right:
        entry = out.setdefault(group, [0, 0])
        entry[0] += hit
        entry[1] += 1
    return out


def percentages(counts: Counts, place: str, *, corrected: bool = False) -> dict[str, float | None]:
    """Percent right per group; an empty one fails as in the references, or has no value in corrected mode.

    Raises NotApplicableError.
    """
    if not corrected and (empty := [group for group, (_, total) in counts.items() if not total]):
        raise NotApplicableError(f"{place}: no question in the group {empty[0]}; the reference divides by their number")
    return {group: 100 * hits / total if total else None for group, (hits, total) in counts.items()}


def reported(values: Mapping[str, float | None], **more: Any) -> dict[str, Any]:
    """What the score stage gives for one profile."""
    numbers = dict(values)
    return {"rounded": rounded(numbers, DECIMALS), "unrounded": numbers, **more}


def disagreement(answers: Answers, labels: Mapping[str, Sequence[int]], *, corrected: bool) -> list[str]:
    """A warning if answers of the file are not those of the labels (several where two options read the same).

    Raises InputError instead in corrected mode: such accuracies are about nothing.
    """
    wrong = [key for key, accepted in labels.items() if answers.values[key][1] not in accepted]
    if not wrong:
        return []
    first = answers.values[wrong[0]][1]
    what = f"{answers.place(wrong[0], 'answer')}: {first}, but the label is {' or '.join(map(str, labels[wrong[0]]))}"
    if corrected:
        raise InputError(f"{what}; corrected values need the answers of the labels ({len(wrong)} such)")
    return [f"{what}; as in the reference, the prediction is compared with the file's own answer ({len(wrong)} such)"]


def option_labels(questions: Records, row: int, options: int, *, by_index: bool) -> list[int]:
    """Indices that are right for a multi-choice question, whose `answer` is an index or the text of one or more options.

    Raises InputError naming line and question.
    """
    cells = questions.rows[row]
    answer = cells["answer"]
    texts = [cells[f"a{number}"] for number in range(options)]
    if by_index and answer.isdecimal() and len(answer) <= DIGITS and int(answer) < options:
        return [int(answer)]
    if not by_index and answer in texts:
        return [number for number, text in enumerate(texts) if text == answer]
    expected = f"0 to {options - 1}" if by_index else "the text of an option"
    raise InputError(f"{questions.place(row, 'answer')}: expected {expected}, got {shown(answer)}")


def next_qa_counts(groups: Iterable[tuple[str, bool]], place: str) -> Counts:
    """Counts of NExT-QA's groups from (type, right): TP counts as TN; Acc_C, Acc_T, Acc_D by first letter; Acc of all.

    Raises InputError for a type that NExT-QA does not have.
    """
    rows = [("TN" if kind in EITHER else kind, hit) for kind, hit in groups]
    if unknown := [kind for kind, _ in rows if kind not in NEXT_QA]:
        raise InputError(f"{place}: type {shown(unknown[0])} is none of {', '.join([*NEXT_QA, 'TP'])}")
    by_kind = count(rows)
    out: Counts = {name: by_kind.get(kind, [0, 0]) for kind, name in NEXT_QA.items()}
    for letter in "CTD":
        parts = [by_kind.get(kind, [0, 0]) for kind in NEXT_QA if kind[0] == letter]
        out[f"Acc_{letter}"] = [sum(part[0] for part in parts), sum(part[1] for part in parts)]
    out["Acc"] = [sum(part[0] for part in by_kind.values()), sum(part[1] for part in by_kind.values())]
    return out
