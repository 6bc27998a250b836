"""The evaluate stage on a run with random weights: what it writes, that it writes the same again, what it refuses."""

import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from stages import evaluate, score
from stages.metrics.retrieval import evaluate as values_of
from stages.reporting.pages import read_page
from stages.training.runs import WEIGHTS
from tests.stages import asked, own_run, tiny
from tests.stages.metrics.making import columns


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return own_run.make(tmp_path_factory.mktemp("evaluate"))


def run(made, out, splits=("iid", "rf_iid"), params=None, device="cpu", **changed):
    """Exit code of one evaluation into `out`."""
    work, finished = made
    content = yaml.safe_load(work.params.read_text())
    content["runs"]["tiny"]["evaluate"] |= {"splits": list(splits), "primary": ["MR-full-R1@0.5"], **changed}
    out.mkdir(parents=True, exist_ok=True)
    (out / "params.yaml").write_text(yaml.safe_dump(content))
    named = {
        "--name": "tiny",
        "--run": finished,
        "--samples": work.samples,
        "--features": work.features,
        "--results": out / "results",
        "--page": out / "pages/tiny.json",
        "--params": params or out / "params.yaml",
    }
    return evaluate.main([str(part) for pair in named.items() for part in pair] + ["--device", device])


@pytest.fixture(scope="module")
def done(made, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    assert run(made, out) == 0
    return out


def test_the_digest_is_that_of_the_data_whatever_the_weights(made, done, tmp_path):
    work, finished = made
    other = shutil.copytree(finished, tmp_path / "run")
    weights = load_file(other / WEIGHTS)
    save_file({name: 1.01 * value if value.is_floating_point() else value for name, value in weights.items()}, other / WEIGHTS)
    assert run((work, other), tmp_path / "out") == 0
    first, second = (json.loads((out / "results/metrics.json").read_text()) for out in (done, tmp_path / "out"))
    assert first["data_digest"] == second["data_digest"]
    assert first != second


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_metrics_are_flat_and_count_what_was_scored(done):
    metrics = json.loads((done / "results/metrics.json").read_text())
    assert metrics["iid.n_scored"] == 12
    assert metrics["rf_iid.n_scored"] == 24
    assert (metrics["n_scored"], metrics["n_dropped"]) == (36, 0)
    assert len(metrics["data_digest"]) == 64
    assert 0 <= metrics["iid.MR-full-mAP"] <= 100
    assert {"iid.HL-min-Good-mAP", "rf_iid.Acc", "rf_iid.Acc-hard", "rf_iid.Acc-easy", "rf_iid.ratsg.mIoU"} <= set(metrics)
    assert {"iid.baseline.random.MR-full-R1@0.5", "iid.baseline.centre.MR-full-R1@0.5"} <= set(metrics)
    assert metrics["rf_iid.baseline.never.MR-full-R1@0.5"] == 50


def test_predictions_are_those_of_the_first_split_in_submission_format(done):
    records = read(done / "results/predictions.jsonl")
    assert (done / "results/predictions.jsonl").read_bytes() == (done / "results/splits/iid.jsonl").read_bytes()
    assert [record["qid"] for record in records] == [1000 + number for number in range(12)]
    assert list(records[0]) == ["vid", "qid", "pred_relevant_windows", "pred_saliency_scores", "relavent_score"]
    assert len(read(done / "results/splits/rf_iid.jsonl")) == 24


def test_metrics_are_those_of_the_score_stage_on_the_same_files(made, done, tmp_path):
    work, _ = made
    truth = work.folder / "raw/annotations/iid.jsonl"
    arguments = ["--benchmark", "qvhighlights", "--profile", "vtg", "--predictions", str(done / "results/predictions.jsonl")]
    assert score.main([*arguments, "--ground-truth", str(truth), "--out", str(tmp_path / "s.json")]) == 0
    printed = json.loads((tmp_path / "s.json").read_text())["profiles"]["vtg"]["rounded"]["brief"]
    metrics = json.loads((done / "results/metrics.json").read_text())
    assert {name: metrics[f"iid.vtg.{name}"] for name in printed} == printed
    corrected = values_of(*columns(read(done / "results/predictions.jsonl"), read(truth)), "vtg", corrected=True)["brief"]
    for name, value in corrected.items():
        assert metrics.get(f"iid.{name}") == (None if value is None else pytest.approx(value, abs=1e-6))


def test_the_page_is_what_the_report_reads(done):
    page = read_page(done / "pages/tiny.json")
    assert page.run == "tiny"
    assert page.title.startswith("CausalVTG")
    assert list(page.splits) == ["iid", "rf_iid"]
    assert page.splits["rf_iid"].baselines["never"]["Acc"] == 50
    assert {group.name for group in page.breakdown["rf_iid"]} >= {"answerable", "unanswerable, hard", "unanswerable, easy"}
    assert len(page.examples) == 4
    first = page.examples[0]
    assert first.truth
    assert first.saliency_truth is not None
    assert len(first.saliency) == len(first.saliency_truth)
    assert page.examples[-1].split == "rf_iid"


def test_plots_are_tables_that_dvc_reads(done):
    recall = (done / "results/plots/recall.csv").read_text().splitlines()
    assert recall[0] == "split,threshold,R1,R5"
    assert len(recall) == 1 + 2 * 14
    groups = (done / "results/plots/groups.csv").read_text()
    assert groups.startswith("split,group,count,")
    assert '"unanswerable, hard"' in groups
    assert ",value" in groups.splitlines()[0]


def test_a_second_evaluation_writes_the_same_bytes(made, done, tmp_path):
    assert run(made, tmp_path) == 0
    for path in sorted(done.rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / path.relative_to(done)).read_bytes(), path.name


def test_the_batch_size_changes_nothing_but_rounding_noise(made, done, tmp_path):
    assert run(made, tmp_path, batch_size=1) == 0
    one, other = (json.loads((folder / "results/metrics.json").read_text()) for folder in (done, tmp_path))
    assert one.keys() == other.keys()
    assert one["iid.MR-full-mIoU"] == pytest.approx(other["iid.MR-full-mIoU"], abs=0.01)


def test_samples_without_features_are_counted(made, tmp_path):
    work, finished = made
    partial = tmp_path / "features"
    items = dict.fromkeys(("iid_000", "iid_001"), 12)
    for name in ("clip", "slowfast"):
        tiny.write_store(partial, name, {vid: np.ones((n, tiny.WIDTHS[name]), np.float32) for vid, n in items.items()})
    (partial / "words.zarr").symlink_to(work.features / "words.zarr")
    moved = tiny.Workspace(work.folder)
    moved.features = partial
    assert run((moved, finished), tmp_path / "out", splits=("iid",)) == 0
    metrics = json.loads((tmp_path / "out/results/metrics.json").read_text())
    assert (metrics["iid.n_scored"], metrics["iid.n_dropped"]) == (4, 8)


@pytest.mark.parametrize(
    ("splits", "message"), [(("nowhere",), "no split 'nowhere', it has iid"), (("iid", "absent"), "no split 'absent'")]
)
def test_a_split_that_is_not_there_is_named(made, tmp_path, capsys, splits, message):
    assert run(made, tmp_path, splits=splits) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "results/metrics.json").exists()


def test_an_unfinished_run_is_refused(made, tmp_path, capsys):
    work, _ = made
    assert run((work, tmp_path / "nothing"), tmp_path / "out") == 2
    assert "no finished run" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(made, tmp_path, capsys):
    assert run(made, tmp_path, device="cuda") == 2
    assert capsys.readouterr().err.startswith("RunError: device cuda: PyTorch sees no GPU here")


def test_a_run_of_another_method_than_its_entry_is_refused(made, tmp_path, capsys):
    params = tmp_path / "asked.yaml"
    asked.write_params(params, {"tiny": asked.RUNS["igv"] | {"method": "igv"}})
    assert run(made, tmp_path, params=params) == 2
    assert "runs.tiny is about the method igv, but" in capsys.readouterr().err
