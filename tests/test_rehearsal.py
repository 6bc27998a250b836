"""Real annotations through every stage, with planted features from a real Hub on loopback."""

import shutil

import pytest

from stages.params import load_params
from tests.rehearse import TEMPLATES, rehearse
from tests.shared import SHARED, needs

ANNOTATIONS = SHARED / "data/charades_sta"
QUESTIONS = SHARED / "data/nextgqa"


@pytest.mark.parametrize("template", sorted(TEMPLATES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_rehearsal_names_one_data_set_and_one_run(template):
    params = load_params(template)
    assert (len(params.datasets), len(params.runs), list(params.worlds)) == (1, 1, ["rehearsal"])


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
