import json
import zipfile

import pytest

from stages.predictions.inference import PredictionError
from stages.predictions.submission import check, lines, submission_name, write_jsonl, write_zip

GOOD = {"vid": "a", "qid": 1, "pred_relevant_windows": [[0.0, 4.0, 0.9], [4.0, 8.0, 0.1]], "pred_saliency_scores": [0.5] * 5}
DURATIONS = {1: 10.0}


def test_names_are_those_of_the_evaluation_server():
    assert submission_name("val") == "hl_val_submission.jsonl"
    assert submission_name("test") == submission_name("iid") == "hl_test_submission.jsonl"


def test_lines_read_back_as_they_were(tmp_path):
    records = [GOOD, {**GOOD, "vid": "日本"}]
    write_jsonl(tmp_path / "deep/p.jsonl", records)
    assert [json.loads(line) for line in (tmp_path / "deep/p.jsonl").read_text().splitlines()] == records
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["p.jsonl"]


def test_a_complete_submission_passes():
    check([GOOD], DURATIONS, "p.jsonl")


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([GOOD, GOOD], r"p\.jsonl: line 2: qid 1: occurs before"),
        ([{**GOOD, "qid": 2}], "line 1: qid 2: not a query of this split"),
        ([], "1 queries have no prediction, the first is qid 1"),
        ([{**GOOD, "pred_relevant_windows": []}], "expected windows within 0 and 10 s"),
        ([{**GOOD, "pred_relevant_windows": [[5.0, 11.0, 1.0]]}], "expected windows within 0 and 10 s"),
        ([{**GOOD, "pred_relevant_windows": GOOD["pred_relevant_windows"][::-1]}], "expected falling scores"),
        ([{**GOOD, "pred_saliency_scores": []}], "0 scores for 5 clips"),
    ],
)
def test_what_the_server_would_not_take_is_refused_with_its_place(records, message):
    with pytest.raises(PredictionError, match=message):
        check(records, DURATIONS, "p.jsonl")


def test_videos_whose_features_end_a_few_clips_early_pass():
    check([{**GOOD, "pred_saliency_scores": [0.5] * 3}], DURATIONS, "p.jsonl")


def test_a_zip_has_the_same_bytes_every_time(tmp_path):
    files = {"hl_val_submission.jsonl": lines([GOOD]), "hl_test_submission.jsonl": lines([])}
    write_zip(tmp_path / "a.zip", files)
    write_zip(tmp_path / "b.zip", dict(reversed(files.items())))
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == sorted(files)
        assert archive.read("hl_val_submission.jsonl").decode() == lines([GOOD])
