"""Ranking, votes and overlaps of proposals, and the benchmark that scores files of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages import score
from stages.metrics.localisation import elected, localisation, overlap, ranked

unit = st.floats(0, 1, width=32)


@given(unit, unit, unit, unit)
def test_overlap_is_symmetric_and_within_zero_and_one(a, b, c, d):
    one, other = np.sort([a, b]), np.sort([c, d])
    assert overlap(one, other) == overlap(other, one)
    assert 0 <= overlap(one, other) <= 1
    assert overlap(one, one) == 1


def test_backwards_window_has_no_overlap():
    assert overlap(np.array([0.9, 0.1]), np.array([0.9, 0.1])) == 0.0


def test_equal_losses_keep_the_order_of_the_proposals():
    spans = ranked(np.array([[0.2, 0.4, 0.6]]), np.array([[0.2, 0.2, 0.2]]), np.array([[1.0, 0.5, 0.5]]))
    np.testing.assert_allclose(spans[0, :, 0], [0.3, 0.5, 0.1], atol=1e-6)


def test_vote_prefers_what_many_proposals_agree_on():
    spans = ranked(np.array([[0.9, 0.30, 0.32, 0.34]]), np.full((1, 4), 0.2), np.array([[0.0, 1.0, 2.0, 3.0]]))
    np.testing.assert_allclose(elected(spans, "no_vote"), [[0.8, 1.0]], atol=1e-6)
    np.testing.assert_allclose(elected(spans, "vote_plain"), [[0.22, 0.42]], atol=1e-6)
    np.testing.assert_allclose(elected(spans, "vote_weighted"), [[0.8, 1.0]], atol=1e-6)  # nobody else overlaps the first


def test_key_carries_the_number_of_proposals():
    spans = ranked(np.array([[0.5, 0.2]]), np.array([[0.2, 0.2]]), np.array([[0.0, 1.0]]))
    values = localisation(spans, np.array([[0.1, 0.3]]), "no_vote")
    assert values["R@1,IoU@0.5"] == 0.0
    assert values["R@2,IoU@0.9"] == 1.0


def files(tmp_path, predictions, labels):
    paths = {"predictions": tmp_path / "p.jsonl", "ground-truth": tmp_path / "g.jsonl"}
    for path, rows in zip(paths.values(), (predictions, labels), strict=True):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ["--benchmark", "ccr_localisation", "--out", str(tmp_path / "o.json")] + [
        word for name, path in paths.items() for word in (f"--{name}", str(path))
    ]


def prediction(index, vid="v", **changes):
    return {"index": index, "vid": vid, "center": [0.5], "width": [0.5], "nll": [1.0]} | changes


LABEL = {"vid": "v", "duration": 10, "window": [2.5, 7.5]}


@pytest.mark.parametrize(
    ("predictions", "code", "said"),
    [
        ([prediction(0)], 3, r"Missing \(1\): \[1\]"),
        ([prediction(0), prediction(1), prediction(2)], 3, r"Unknown \(1\): \[2\]"),
        ([prediction(0), prediction(0)], 2, "0 was already used in line 1"),
        ([prediction(0), prediction(1, vid="w")], 2, "label 1 is about 'v', got 'w'"),
        ([prediction(0), prediction(1, nll=[1.0, 2.0])], 2, 'line 2: vid "v": nll: expected a list of 1 finite numbers'),
        ([prediction(0), prediction(1, nll=[float("nan")])], 2, "line 2"),
    ],
)
def test_files_that_do_not_fit_are_refused_by_name(tmp_path, capsys, predictions, code, said):
    import re

    assert score.main(files(tmp_path, predictions, [LABEL, LABEL])) == code
    assert re.search(said, capsys.readouterr().err)


def test_shared_records_are_scored_when_asked(tmp_path):
    assert score.main([*files(tmp_path, [prediction(1)], [LABEL, LABEL]), "--ids", "intersection"]) == 0
    out = json.loads((tmp_path / "o.json").read_text())
    assert (out["n_scored"], out["n_skipped"]) == (1, 1)
    assert out["profiles"]["no_vote"]["rounded"]["R@1,IoU@0.9"] == 1.0
