"""Numbers of single queries, by hand, for the tasks that have answers or windows."""

import dataclasses
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.datasets.schema import MomentSample, QuestionSample
from stages.datasets.tables import TABLES, write_table
from stages.predictions.questions import by_rank
from stages.tasks import grounded_questions, moments, questions, weak_moments
from stages.tasks.task import Data
from tests.stages import asked

TASK_OF = {MomentSample: "moments", QuestionSample: "questions"}


def moment(qid, spans, duration=20.0):
    published = {
        "vid": "v",
        "qid": qid,
        "query": "a cat",
        "duration": duration,
        "relevant_windows": [list(span) for span in spans],
    }
    known = {"sample_id": str(qid), "video_id": "v", "query_id": str(qid), "query": "a cat", "duration": duration, "spans": spans}
    needed = {field.name for field in dataclasses.fields(MomentSample)}
    more = {"source": "iid.jsonl", "record": qid, "published": json.dumps(published), "answerable": bool(spans)}
    return MomentSample(**{name: value for name, value in (known | more).items() if name in needed})


def data_of(folder, samples, kind, truth=()):
    (folder / "samples").mkdir()
    write_table(samples, TABLES[TASK_OF[kind]], folder / "samples" / "iid.parquet")
    if truth:
        (folder / "raw" / "truth").mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(list(truth)), folder / "raw" / "truth" / "iid.parquet")
    return Data(samples=folder / "samples", features=folder, raw=folder / "raw")


def test_a_moment_is_as_good_as_its_best_window_fits_any_true_one(tmp_path):
    samples = [moment(0, ((0.0, 10.0), (12.0, 14.0))), moment(1, ((5.0, 10.0),)), moment(2, ())]
    data = data_of(tmp_path, samples, MomentSample)
    records = [
        {"vid": "v", "qid": 0, "pred_relevant_windows": [[12.0, 14.0, 0.9], [0, 10, 0.1]]},
        {"vid": "v", "qid": 1, "pred_relevant_windows": [[0.0, 10.0, 0.9]]},
        {"vid": "v", "qid": 2, "pred_relevant_windows": [[0.0, 10.0, 0.9]]},
    ]
    found = moments.outcomes(data, "iid", records)
    assert found.ids == ["0", "1"]
    assert found.values["IoU"] == pytest.approx([100, 50])
    assert found.values["R1@0.7"].tolist() == [100, 0]
    assert set(found.values) == set(moments.MEASURES)


def test_a_proposal_among_the_first_five_counts_as_well(tmp_path):
    data = data_of(tmp_path, [moment(0, ((0.0, 10.0),))], MomentSample)
    row = {"qid": "0", "vid": "v", "center": [0.75, 0.25], "width": [0.5, 0.5], "nll": [1.0, 2.0]}
    found = weak_moments.outcomes(data, "iid", [row | {"pred_relevant_windows": [[10.0, 20.0, 1.0], [0.0, 10.0, 0.5]]}])
    assert found.values["R1@0.5"].tolist() == [0]
    assert found.values["R5@0.5"].tolist() == [100]
    assert set(found.values) == set(weak_moments.MEASURES)


def question(number, answer):
    one = asked.sample(number, options=True, split="iid")
    return dataclasses.replace(one, answer=answer, answer_index=asked.THINGS.index(answer), spans=((0.0, 4.0),))


def answer(sample, text, **more):
    return {
        "sample_id": sample.sample_id, "correct": text == sample.answer, "prediction_text": text, "weights": [1 / 6] * 6,
        "chosen": [1, 2], "span": [2.0, 6.0],
    } | more  # fmt: skip


@pytest.fixture
def three(tmp_path):
    """cup, dog, hat are right; the scene prefers cup, cup and something that is no option."""
    samples = [question(number, thing) for number, thing in enumerate(("cup", "dog", "hat"))]
    favourites = zip(samples, ("cup", "cup", "sofa"), strict=True)
    truth = [
        {"sample_id": one.sample_id, "shortcut_answer": easy, "causal_objects": [[0, 1], [1, 1]]} for one, easy in favourites
    ]
    return samples, data_of(tmp_path, samples, QuestionSample, truth)


def test_a_shortcut_counts_where_the_favourite_is_wrong_and_can_be_chosen(three):
    samples, data = three
    found = questions.outcomes(data, "iid", [answer(one, "cup") for one in samples])
    assert found.values["Acc"].tolist() == [100, 0, 0]
    np.testing.assert_array_equal(found.values["shortcut"], [np.nan, 100, np.nan])
    again = questions.outcomes(data, "iid", [answer(one, "hat") for one in samples])
    np.testing.assert_array_equal(again.values["shortcut"], [np.nan, 0, np.nan])


def test_what_was_looked_at_is_held_against_the_evidence(three):
    samples, data = three
    found = questions.outcomes(data, "iid", [answer(one, "cup", objects=[[0, 1], [3, 2]]) for one in samples])
    assert found.values["clip precision"].tolist() == [50] * 3  # clips 0 and 1 of 2 s each show it
    assert found.values["clip IoU"] == pytest.approx([100 / 3] * 3)
    assert found.values["object precision"].tolist() == [50] * 3
    assert set(found.values) <= set(questions.MEASURES)
    assert "object precision" not in questions.outcomes(data, "iid", [answer(one, "cup") for one in samples]).values


def test_without_a_planted_truth_there_is_no_shortcut(three):
    samples, data = three
    found = questions.outcomes(dataclasses.replace(data, raw=None), "iid", [answer(one, "cup") for one in samples])
    assert "shortcut" not in found.values
    assert found.values["clip recall"].tolist() == [50] * 3


def test_a_grounded_answer_needs_half_of_its_moment_inside_the_evidence(three):
    samples, data = three
    rows = [answer(one, one.answer, span=span) for one, span in zip(samples, ([2.0, 6.0], [0.0, 4.0], [6.0, 8.0]), strict=True)]
    found = grounded_questions.outcomes(data, "iid", rows)
    assert found.values["IoP"].tolist() == [50, 100, 0]
    assert found.values["IoU"] == pytest.approx([100 / 3, 100, 0])
    assert found.values["Acc&GQA"].tolist() == [100, 100, 0]
    assert set(found.values) <= set(grounded_questions.MEASURES)


def test_right_answers_are_counted_by_their_rank():
    rows = [
        {"scores": [0.1, 0.7, 0.2], "answer": 1},
        {"scores": [0.5, 0.4, 0.1], "answer": 2},
        {"scores": [0.5, 0.4, 0.1], "answer": -1},
        {"best": [["book", 0.6], ["ball", 0.4]], "answer_text": "ball"},
    ]
    assert [row["R1"] for row in by_rank(rows)] == [25, 50, 75]
    assert [row["threshold"] for row in by_rank(rows)] == [1, 2, 3]
