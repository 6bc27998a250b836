"""Real annotations through every stage, with planted features from a real Hub on loopback."""

import shutil
import subprocess
import sys

import pytest

from stages.params import load_params
from tests import workspace
from tests.rehearse import TEMPLATES, annotation_files, main, rehearse
from tests.shared import SHARED, needs

ANNOTATIONS = SHARED / "data/charades_sta"
QUESTIONS = SHARED / "data/nextgqa"


@pytest.mark.parametrize("template", sorted(TEMPLATES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_rehearsal_names_one_data_set_and_one_run(template):
    params = load_params(template)
    assert (len(params.datasets), len(params.runs), list(params.worlds)) == (1, 1, ["rehearsal"])


@pytest.mark.parametrize("folder", ["", "/nonexistent"])
@pytest.mark.parametrize(
    ("benchmark", "files", "publisher"),
    [
        (
            "charades",
            "charades_sta_train_tvr_format.jsonl, charades_sta_test_tvr_format.jsonl",
            "https://github.com/MxLearner/CausalVTG",
        ),
        ("nextgqa", "val.csv, test.csv, gsub_val.json", "https://github.com/doc-doc/NExT-GQA"),
        ("msvd_qa", "train.csv, val.csv, test.csv", "stages/datasets/msvd_qa.py"),
    ],
)
def test_annotations_that_are_not_there_are_asked_for_by_name_and_publisher(
    benchmark, files, publisher, folder, tmp_path, capsys
):
    assert main(["--benchmark", benchmark, "--annotations", folder, "--work", str(tmp_path / "work")]) == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    assert f"--annotations: expected a folder with {files}" in sentence
    assert publisher in sentence
    assert (folder or "none is given") in sentence
    assert not (tmp_path / "work").exists()


def test_annotations_that_lack_a_file_are_refused_before_anything_is_made(tmp_path, capsys):
    (tmp_path / "train.json.gz").touch()
    assert main(["--benchmark", "charades_cpl", "--annotations", str(tmp_path), "--work", str(tmp_path / "work")]) == 2
    said = capsys.readouterr().err
    assert f"{tmp_path} lacks test.json;" in said
    assert "https://github.com/sLdZ0306/CCR" in said


def test_a_stage_that_fails_ends_the_rehearsal_without_a_traceback(tmp_path):
    for name in annotation_files("charades_cpl"):
        (tmp_path / name).write_text("[1]")
    command = [sys.executable, "-m", "tests.rehearse", "--benchmark", "charades_cpl", "--annotations", str(tmp_path)]
    command += ["--work", str(tmp_path / "work")]
    answer = subprocess.run(command, cwd=workspace.ROOT, capture_output=True, text=True)
    assert answer.returncode == 1
    assert "Traceback" not in answer.stderr
    assert "record 0: expected [video, duration" in answer.stderr
    last = answer.stderr.splitlines()[-1]
    assert last == f"rehearse: `dvc repro world@rehearsal` failed in {tmp_path / 'work'}; its own message stands above"


@pytest.mark.real
@pytest.mark.slow
@needs(ANNOTATIONS)
def test_real_annotations_go_through_every_stage(tmp_path):
    figures = rehearse("charades", ANNOTATIONS, tmp_path / "work", epochs=1, videos=400)
    metrics = figures["metrics"]
    assert metrics["test.n_scored"] > 100
    assert (
        metrics["test.n_scored"] + metrics["test.n_dropped"] == 3720
    )  # every query is scored, or counted as one without features
    assert metrics["test.MR-full-R1@0.5"] > metrics["test.baseline.centre.MR-full-R1@0.5"] / 2  # one epoch on a fiftieth
    assert (tmp_path / "work" / "data" / "reports" / "rehearsal" / "index.html").is_file()


@pytest.mark.real
@pytest.mark.slow
@needs(ANNOTATIONS)
def test_lists_of_ccr_and_one_hdf5_file_go_through_every_stage(tmp_path):
    lists = tmp_path / "lists"
    lists.mkdir()
    for name in ("train", "test"):
        shutil.copy(ANNOTATIONS / f"cpl_{name}.json.gz", lists / f"{name}.json.gz")
    figures = rehearse("charades_cpl", lists, tmp_path / "work", epochs=1, videos=300)
    metrics = figures["metrics"]
    assert metrics["test.n_scored"] > 50
    assert metrics["test.n_scored"] + metrics["test.n_dropped"] == 3158
    assert 0 < metrics["test.R@1,mIoU"] < 100
    assert metrics["test.R@5,IoU@0.3"] >= metrics["test.no_vote.R@1,IoU@0.3"]


@pytest.mark.real
@pytest.mark.slow
@needs(QUESTIONS)
def test_grounded_questions_with_graphs_and_a_text_encoder_go_through_every_stage(tmp_path):
    metrics = rehearse("nextgqa", QUESTIONS, tmp_path / "work", epochs=1, videos=60)["metrics"]
    assert metrics["test.n_scored"] + metrics["test.n_dropped"] == 5553
    assert metrics["test.n_scored"] > 100
    assert 0 <= metrics["test.Acc&GQA"] <= metrics["test.Acc&VQA"]
