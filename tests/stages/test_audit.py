"""The stage `audit` on two dozen random videos: cells through the real stages, what is kept, what is made of them."""

import json
import re
import shutil

import pyarrow.parquet as pq
import pytest
import yaml

from stages import audit, vocabulary
from stages.params import load_params
from stages.reporting.audits import read_audit
from tests.stages import tiny
from tests.stages.test_weak_line import EVALUATE, MODEL, OPTIM, TRAIN, WORDS

PLACES = {"samples", "features", "raw"}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """One data set with two test splits, CCR as a run and its audit, one epoch and two seeds."""
    made = tiny.make(tmp_path_factory.mktemp("audit"), videos=12, tests=("iid", "interventional"))
    content = yaml.safe_load(made.params.read_text())
    words = made.folder / "words.npz"
    splits = {"splits": ["iid", "interventional"]}
    weak = content["runs"]["tiny"] | {
        "method": "ccr",
        "features": {"video": ["clip", "slowfast"], "query": [], "clips": 16},
        "confounders": {"video": str(made.params), "query": str(words)},
        "model": MODEL,
        "optim": OPTIM,
        "train": TRAIN | {"epochs": 1},
        "evaluate": EVALUATE | splits,
    }
    content["vocabularies"] = {"tiny": WORDS}
    content["runs"] = {"weak": weak}
    common = {"seeds": [0, 1], "splits": {"reversed": None}, "resamples": 100}
    numbers = ["abnormal reconstruction after", "R@1,mIoU"]
    content["audits"] = {
        "weak": common
        | {
            "run": "weak",
            "report": "tiny",
            **both(weak),
            "variants": {"base": {"method": "cpl"}, "full": {}},
            "measures": ["R1@0.5", "IoU"],
            "numbers": numbers,
        },
    }
    made.params.write_text(yaml.safe_dump(content))
    arguments = ["--name", "tiny", "--samples", made.samples, "--raw", made.folder / "raw", "--out", words]
    assert vocabulary.main([*map(str, arguments), "--params", str(made.params)]) == 0
    for name in PLACES:
        (made.folder / "all" / name).mkdir(parents=True)
        (made.folder / "all" / name / "tiny").symlink_to(made.folder / name)
    return made


def both(run):
    data = {"dataset": run["dataset"], "confounders": run["confounders"]}
    return {"data": data, "unbiased": data}


def page_of(work):
    return work.folder / "pages" / "audits" / "weak.json"


def run(work, name, *more):
    places = [part for place in sorted(PLACES) for part in (f"--{place}", work.folder / "all" / place)]
    out = work.folder / name
    arguments = ["--name", name, *places, "--out", out, "--page", page_of(work), "--params", work.params, *more]
    return audit.main([*map(str, arguments)]), out


@pytest.fixture(scope="module")
def weak(work):
    code, out = run(work, "weak", "--jobs", "2")
    assert code == 0, (out / "cells").exists() and [path.read_text() for path in out.rglob("log.txt")]
    return out


def test_every_cell_is_a_run_with_results_of_its_own(weak):
    for variant, method in (("base", "cpl"), ("full", "ccr")):
        for seed in (0, 1):
            config = json.loads((weak / "cells" / variant / str(seed) / "run" / "config.json").read_text())
            assert (config["method"], config["seed"]) == (method, seed)
            assert (weak / "cells" / variant / str(seed) / "results" / "metrics.json").is_file()


def test_outcomes_have_a_row_per_cell_split_and_query(weak):
    table = pq.read_table(weak / "outcomes.parquet")
    assert table.num_rows == 2 * 2 * 2 * 12
    assert {"R1@0.5", "R5@0.5", "IoU"} <= set(table.column_names)


def test_levels_are_the_means_of_what_the_evaluations_say(weak):
    metrics = json.loads((weak / "metrics.json").read_text())
    told = [json.loads((weak / f"cells/full/{seed}/results/metrics.json").read_text()) for seed in (0, 1)]
    assert metrics["full.iid.IoU"] == pytest.approx(sum(one["iid.R@1,mIoU"] for one in told) / 2, abs=1e-4)
    assert metrics["full.iid.R@1,mIoU"] == pytest.approx(metrics["full.iid.IoU"], abs=1e-4)
    gap = metrics["full.iid.R1@0.5"] - metrics["full.interventional.R1@0.5"]
    assert metrics["full.gap.R1@0.5"] == pytest.approx(gap, abs=1e-4)
    assert metrics["full.gain.IoU.low"] <= metrics["full.gain.IoU"] <= metrics["full.gain.IoU.high"]
    assert "full.iid.abnormal reconstruction after.seed_sd" in metrics


def test_the_page_is_one_that_the_results_site_reads(work, weak):
    page = read_audit(page_of(work))
    assert (page.audit, page.method, page.seeds, page.unbiased) == ("weak", "ccr", 2, None)
    assert page.variants == {"base": "method cpl", "full": "the run weak as it is"}
    assert page.headline("gain", "full") is not None
    assert page.says[0].startswith("R1@0.5, 2 seeds: base reaches")
    assert len(page.controls) == 1


def test_a_second_audit_keeps_every_cell_and_writes_the_same(work, weak, caplog):
    before = {path: path.stat().st_mtime_ns for path in weak.rglob("model.safetensors")}
    content = (weak / "metrics.json").read_bytes(), (weak / "outcomes.parquet").read_bytes()
    caplog.set_level("INFO")
    assert run(work, "weak")[0] == 0
    assert "4 of 4 cells were there" in caplog.text
    assert {path: path.stat().st_mtime_ns for path in weak.rglob("model.safetensors")} == before
    assert ((weak / "metrics.json").read_bytes(), (weak / "outcomes.parquet").read_bytes()) == content


def test_a_number_of_one_variant_makes_its_cells_anew_and_no_others(work, weak, caplog):
    content = yaml.safe_load(work.params.read_text())
    content["audits"]["weak"]["variants"]["full"] = {"model.w_q": 0.5}
    other = work.folder / "other.yaml"
    other.write_text(yaml.safe_dump(content))
    copied = work.folder / "copied"
    shutil.copytree(weak, copied)
    planned = audit.plan(
        load_params(other, methods=False).audits["weak"],
        audit.Places(**{name: work.folder / "all" / name for name in PLACES}, params=other),
        copied,
    )
    done = {(one.cell.variant, one.cell.seed) for one in planned if one.cell.is_complete}
    assert done == {("base", 0), ("base", 1)}


def changed(work, out, *more, **entry):
    """Exit code of the audit with other values in its entry."""
    content = yaml.safe_load(work.params.read_text())
    content["audits"]["weak"] |= entry
    file = work.folder / "changed.yaml"
    file.write_text(yaml.safe_dump(content))
    places = [part for place in sorted(PLACES) for part in (f"--{place}", work.folder / "all" / place)]
    arguments = ["--name", "weak", *places, "--out", out, "--page", out / "page.json", "--params", file, *more]
    return audit.main([*map(str, arguments)])


def test_a_measure_that_the_task_does_not_have_is_refused_before_any_cell(work, tmp_path, capsys):
    assert changed(work, tmp_path / "out", measures=["R1@0.5", "R1@0,7"]) == 2
    told = capsys.readouterr().err
    assert "audits.weak.measures: no 'R1@0,7'; did you mean 'R1@0.7'?" in told
    assert "weak_moments has IoU, R1@0.5, R1@0.7, R5@0.5" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (
            {"numbers": ["R@1,mIou"]},
            r"audits\.weak\.numbers: no 'R@1,mIou'; did you mean 'R@1,mIoU'\?; the evaluations of base and full have .*abnormal",
        ),
        (
            {"numbers": ["abnormal reconstruction after"], "chance": "abnormal reconstruction after"},
            r"audits\.weak\.chance: no 'abnormal reconstruction after'; did you mean .*base on interventional has",
        ),
    ],
)
def test_a_number_that_no_evaluation_has_is_refused_after_base_and_full_of_the_first_seed(
    work, weak, tmp_path, capsys, entry, told
):
    for variant in ("base", "full"):
        shutil.copytree(weak / "cells" / variant / "0", tmp_path / "cells" / variant / "0")
    assert changed(work, tmp_path, **entry) == 2
    assert re.search(told, capsys.readouterr().err)
    assert not (tmp_path / "cells" / "base" / "1").exists()


def test_a_seed_that_is_dropped_keeps_its_cells_until_they_are_to_go(work, weak, tmp_path, caplog):
    shutil.copytree(weak / "cells", tmp_path / "cells")
    caplog.set_level("INFO")
    assert changed(work, tmp_path, seeds=[0]) == 0
    assert (tmp_path / "cells" / "full" / "1" / "cell.json").is_file()
    assert "2 cells that audits.weak does not ask for are kept, base/1, full/1" in caplog.text
    assert set(pq.read_table(tmp_path / "outcomes.parquet")["seed"].to_pylist()) == {0}
    assert changed(work, tmp_path, "--remove-others", seeds=[0]) == 0
    assert "removed " in caplog.text
    assert sorted(path.name for path in (tmp_path / "cells").glob("*/[0-9]*")) == ["0", "0"]


@pytest.mark.parametrize("jobs", ["0", "-1", "two"])
def test_a_number_of_jobs_below_one_is_refused(work, tmp_path, jobs, capsys):
    with pytest.raises(SystemExit) as ended:
        changed(work, tmp_path, "--jobs", jobs)
    assert ended.value.code == 2
    assert f"--jobs: {jobs!r} is not a whole number of 1 or more" in capsys.readouterr().err


def test_a_cell_trains_in_one_process_whatever_the_run_says(work, tmp_path):
    content = yaml.safe_load(work.params.read_text())
    content["runs"]["weak"]["train"]["processes"] = 2
    content["audits"]["weak"]["variants"]["full"] = {"train.processes": 2}
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(content))
    places = audit.Places(**{name: work.folder / "all" / name for name in PLACES}, params=file)
    planned = audit.plan(load_params(file, methods=False).audits["weak"], places, tmp_path)
    assert {one.run.train.processes for one in planned} == {1}


def test_predictions_that_are_cut_short_are_told_by_file(work, weak, tmp_path, capsys):
    shutil.copytree(weak / "cells", tmp_path / "cells")
    file = tmp_path / "cells" / "base" / "0" / "results" / "splits" / "iid.jsonl"
    file.write_text(file.read_text()[:-20])
    assert changed(work, tmp_path) == 2
    assert f"{file}: line 12 is not JSON" in capsys.readouterr().err


def test_a_variant_that_cannot_be_trained_is_refused_before_any_cell(work, capsys):
    content = yaml.safe_load(work.params.read_text())
    content["audits"]["weak"]["variants"]["wrong"] = {"model.nothing": 1}
    work.folder.joinpath("wrong.yaml").write_text(yaml.safe_dump(content))
    places = [part for place in sorted(PLACES) for part in (f"--{place}", work.folder / "all" / place)]
    out = work.folder / "wrong"
    arguments = ["--name", "weak", *places, "--out", out, "--page", out / "page.json", "--params", work.folder / "wrong.yaml"]
    assert audit.main([*map(str, arguments)]) == 2
    assert "unknown key 'nothing'" in capsys.readouterr().err
    assert not out.exists()
