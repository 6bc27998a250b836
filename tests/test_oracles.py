"""Every stored oracle case through the score stage, one test per case; and the runner itself on cases made up here."""

import json

import pytest

from stages.metrics.contract import benchmark_names
from tests import oracles
from tests.shared import SHARED, needs

ORACLES = SHARED / "oracles"


def stored_cases():
    if not ORACLES.is_dir():
        return [pytest.param(None, marks=needs(ORACLES), id="none")]
    return [pytest.param(folder, id=str(folder.relative_to(ORACLES))) for folder in oracles.cases([ORACLES])]


def benchmark_of(folder):
    return json.loads((folder / "expected.json").read_text())["benchmark"]


@pytest.mark.shared
@pytest.mark.parametrize("folder", stored_cases())
def test_oracle(folder):
    if benchmark_of(folder) not in benchmark_names():
        pytest.skip(f"no benchmark {benchmark_of(folder)} in stages/metrics/benchmarks/ yet")
    line = oracles.check(folder)
    assert line["passed"], "\n".join(line["differences"])


def write_case(folder, predictions, truth, **more):
    """Two queries whose values can be worked out on paper: one window right at every threshold, one right up to 0.6."""
    folder.mkdir()
    (folder / "p.jsonl").write_text("".join(json.dumps(one) + "\n" for one in predictions))
    (folder / "t.jsonl").write_text("".join(json.dumps(one) + "\n" for one in truth))
    r1 = {key: 100.0 if float(key) <= 0.6 else 50.0 for key in map(str, (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95))}
    full = {"MR-mAP": {**r1, "average": 65.0}, "MR-R1": r1}
    brief = {
        "MR-full-mAP": 65.0,
        "MR-full-mAP@0.5": 100.0,
        "MR-full-mAP@0.75": 50.0,
        "MR-full-R1@0.5": 100.0,
        "MR-full-R1@0.7": 50.0,
    }
    values = {"brief": brief, "full": full}
    case = {
        "benchmark": "charades_sta",
        "files": {"predictions": "p.jsonl", "ground_truth": "t.jsonl"},
        "profiles": {"lighthouse": {"rounded": values, "unrounded": values}},
    }
    (folder / "expected.json").write_text(json.dumps({**case, **more}))
    return folder


PREDICTIONS = [
    {"qid": 1, "vid": "a", "pred_relevant_windows": [[2, 12, 0.9]]},
    {"qid": 2, "vid": "b", "pred_relevant_windows": [[0, 10, 0.5]]},
]
TRUTH = [
    {"qid": 1, "vid": "a", "duration": 20, "relevant_windows": [[2, 12]]},
    {"qid": 2, "vid": "b", "duration": 20, "relevant_windows": [[0, 6]]},
]


def test_a_case_worked_out_on_paper_passes(tmp_path, capsys):
    folder = write_case(tmp_path / "any name", PREDICTIONS, TRUTH)
    assert oracles.main([str(folder)]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["passed"]
    assert line["max_abs_error"] < 1e-12


def test_a_wrong_value_fails_and_is_named(tmp_path, capsys):
    moved = [PREDICTIONS[0], {**PREDICTIONS[1], "pred_relevant_windows": [[0, 12, 0.5]]}]
    assert oracles.main([str(write_case(tmp_path / "case", moved, TRUTH))]) == 1
    line = json.loads(capsys.readouterr().out)
    assert not line["rounded_equal"]
    assert any("lighthouse.rounded.brief.MR-full-mAP: expected 65.0" in text for text in line["differences"])


def test_ids_that_strict_mode_must_refuse_are_refused_and_listed(tmp_path):
    more = {"id_mode": "intersection", "strict_mode_outcome": "error", "missing_ids": [3], "unknown_ids": [4]}
    predictions = [*PREDICTIONS, {"qid": 4, "vid": "d", "pred_relevant_windows": [[0, 1, 1]]}]
    truth = [*TRUTH, {"qid": 3, "vid": "c", "duration": 9, "relevant_windows": [[0, 1]]}]
    assert oracles.check(write_case(tmp_path / "case", predictions, truth, **more))["passed"]
    equal = write_case(tmp_path / "equal", PREDICTIONS, TRUTH, **more)
    assert not oracles.check(equal)["passed"], "strict mode had nothing to refuse, so the case must fail"


def test_a_folder_stands_for_the_cases_below_it(tmp_path):
    (tmp_path / "deep").mkdir()
    one, other = (write_case(tmp_path / "deep" / name, PREDICTIONS, TRUTH) for name in ("one", "other"))
    assert oracles.cases([tmp_path]) == [one, other]
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no expected\.json"):
        oracles.cases([tmp_path / "empty"])
