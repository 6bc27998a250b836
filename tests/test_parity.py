"""One test, one id per stored case: [causalvtg/train_same_video]; and that the runner can fail."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.parity import main, method_of, run
from tests.shared import SHARED, there

HERE = Path(__file__).parent
STORED = HERE / "data" / "parity"
PARITY = SHARED / "parity"
METHODS = {path.stem for path in (HERE / "parity_cases").glob("*.py")}


def cases(root: Path) -> list[Path]:
    return sorted(path.parent for path in root.glob("*/*/config.json") if path.parent.parent.name in METHODS)


def name(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"


def passes(folder: Path) -> None:
    result = run(folder)
    assert result["passed"], (result["failures"], result.get("not_compared"))


@pytest.mark.parametrize("folder", cases(STORED), ids=name)
def test_parity(folder):
    passes(folder)


@pytest.mark.shared
@pytest.mark.parametrize("folder", cases(PARITY), ids=name)
def test_parity_with_every_reference_case(folder):
    passes(folder)


@pytest.mark.shared
def test_reference_cases_are_at_hand():
    assert cases(there(PARITY))


@pytest.mark.parametrize("folder", cases(STORED), ids=name)
def test_cases_whose_method_can_be_told_without_its_name_are_told_right(folder):
    config = json.loads((folder / "config.json").read_text())
    method = config.pop("method")
    if method in ("igv", "eigv", "transtr"):
        assert method_of(config) == method
    else:
        with pytest.raises(LookupError, match="no key method"):
            method_of(config)


@pytest.fixture
def case(tmp_path):
    """A copy of a small case, to be tampered with."""
    return Path(shutil.copytree(STORED / "causalvtg" / "memory_init", tmp_path / "anything"))


def rewrite(path: Path, **changed: np.ndarray) -> None:
    with np.load(path) as archive:
        arrays = {key: archive[key] for key in archive.files}
    np.savez(path, **(arrays | changed))


def test_output_beyond_its_tolerance_fails_the_case(case, capsys):
    with np.load(case / "outputs.npz") as archive:
        memory = archive["video_memory"]
    memory[0, 3, 5] += 3e-5
    rewrite(case / "outputs.npz", video_memory=memory)
    assert main([str(case)]) == 1
    line = json.loads(capsys.readouterr().out)
    assert line["passed"] is False
    assert line["max_abs_error"]["video_memory"] == pytest.approx(3e-5, rel=0.05)
    assert line["tolerance"]["video_memory"] == 1e-5
    assert line["failures"] == [line["failures"][0]]
    assert line["failures"][0].startswith("video_memory: differs by 3e-05")


def test_output_that_nothing_was_compared_with_fails_the_case(case):
    rewrite(case / "outputs.npz", forgotten=np.zeros(2))
    result = run(case)
    assert (result["passed"], result["failures"], result["not_compared"]) == (False, [], ["forgotten"])


def test_nan_where_a_number_is_expected_fails_the_case(case):
    with np.load(case / "outputs.npz") as archive:
        memory = archive["query_memory"]
    memory[0, 0, 0] = np.nan
    rewrite(case / "outputs.npz", query_memory=memory)
    result = run(case)
    assert result["passed"] is False
    assert result["max_abs_error"]["query_memory"] is None


def test_one_bad_case_hides_no_other(case, capsys):
    good, bad = STORED / "causalvtg" / "memory_init", case
    config = json.loads((bad / "config.json").read_text())
    (bad / "config.json").write_text(json.dumps(config | {"method": "unheard_of"}))
    assert main([str(bad), str(good)]) == 1
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert "no parity runner for method 'unheard_of'" in first["failures"][0]
    assert second["passed"] is True


def test_folder_names_decide_nothing(case):
    assert run(case)["passed"] is True
    assert run(case)["case"] == "memory_init"
