"""The predict stage: whole splits in the submission format, and one video of one's own."""

import json
import shutil
import zipfile

import numpy as np
import pytest
import torch

from stages import predict
from stages.features.store import FeatureStore
from tests.stages import asked, own_run, tiny


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The tiny data set below samples/tiny and features/tiny, as --data expects them."""
    work, run = own_run.make(tmp_path_factory.mktemp("predict"))
    data = work.folder / "data"
    for kind in ("samples", "features"):
        (data / kind).mkdir(parents=True)
        (data / kind / "tiny").symlink_to(work.folder / kind)
    return work, run, data


def call(made, *arguments):
    work, run, data = made
    common = ["--run", str(run), "--data", str(data), "--params", str(work.params), "--device", "cpu"]
    return predict.main([*common, *map(str, arguments)])


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_split_in_the_submission_format_with_a_picture(made, tmp_path):
    assert call(made, "--dataset", "tiny", "--split", "iid", "--out", tmp_path / "p.jsonl", "--plot", tmp_path / "p.png") == 0
    records = read(tmp_path / "p.jsonl")
    assert len(records) == 12
    assert list(records[0]) == ["vid", "qid", "pred_relevant_windows", "pred_saliency_scores", "relavent_score"]
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_gets_the_benchmarks_own_file_name(made, tmp_path):
    assert call(made, "--dataset", "tiny", "--split", "iid", "--out", tmp_path / "upload") == 0
    assert [path.name for path in (tmp_path / "upload").iterdir()] == ["hl_test_submission.jsonl"]


def test_the_servers_zip_holds_both_splits_checked(made, tmp_path):
    work, run, data = made
    (tmp_path / "data/samples/tiny").mkdir(parents=True)
    (tmp_path / "data/features").symlink_to(data / "features")
    shutil.copy(work.samples / "quality.json", tmp_path / "data/samples/tiny")
    for split in ("val", "test"):
        shutil.copy(work.samples / "iid.parquet", tmp_path / f"data/samples/tiny/{split}.parquet")
    changed = (work, run, tmp_path / "data")
    arguments = ["--dataset", "tiny", "--split", "val", "test", "--out", tmp_path / "up", "--zip", tmp_path / "up.zip"]
    assert call(changed, *arguments) == 0
    with zipfile.ZipFile(tmp_path / "up.zip") as archive:
        assert sorted(archive.namelist()) == ["hl_test_submission.jsonl", "hl_val_submission.jsonl"]
        assert archive.read("hl_val_submission.jsonl") == (tmp_path / "up/hl_val_submission.jsonl").read_bytes()


def test_one_split_is_not_enough_for_the_server(made, tmp_path, capsys):
    assert call(made, "--dataset", "tiny", "--split", "iid", "--out", tmp_path / "p.jsonl", "--zip", tmp_path / "p.zip") == 2
    assert "predictions of both splits in one zip" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_named(made, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert call(made, "--dataset", "tiny", "--split", "iid", "--out", tmp_path / "file" / "p.jsonl") == 2
    assert str(tmp_path / "file") in capsys.readouterr().err


@pytest.fixture
def own(made, tmp_path):
    """Features of one video of the split as files of one's own, and of its first query."""
    work, _, _ = made
    for name, item in (("clip", "iid_000"), ("slowfast", "iid_000"), ("words", "1000")):
        rows = FeatureStore.open(work.features / f"{name}.zarr").rows(item)
        np.save(tmp_path / f"{name}.npy", np.array(rows))
    return tmp_path


def test_own_features_give_what_the_split_gives(made, own):
    assert call(made, "--dataset", "tiny", "--split", "iid", "--out", own / "split.jsonl") == 0
    video = ["--features", own / "clip.npy", own / "slowfast.npy", "--query", "anything", "--query-features", own / "words.npy"]
    assert call(made, *video, "--out", own / "own.jsonl", "--plot", own / "own.png", "--video-id", "mine") == 0
    (mine,), first = read(own / "own.jsonl"), read(own / "split.jsonl")[0]
    assert (mine["vid"], mine["qid"], mine["query"]) == ("mine", 0, "anything")
    np.testing.assert_allclose(mine["pred_relevant_windows"], first["pred_relevant_windows"], atol=1e-4)
    np.testing.assert_allclose(mine["pred_saliency_scores"], first["pred_saliency_scores"], atol=1e-5)
    assert (own / "own.png").read_bytes().startswith(b"\x89PNG")


def test_a_text_of_the_data_set_needs_no_encoder(made, own):
    text = tiny.records("iid", 6)[0]["query"]
    video = ["--features", own / "clip.npy", own / "slowfast.npy"]
    assert call(made, *video, "--query", text, "--query", text, "--out", own / "own.jsonl") == 0
    one, other = read(own / "own.jsonl")
    assert one["pred_relevant_windows"] == other["pred_relevant_windows"]


def test_a_new_text_without_features_is_refused_with_the_way_out(made, own, capsys):
    video = ["--features", own / "clip.npy", own / "slowfast.npy", "--query", "never seen before"]
    assert call(made, *video, "--out", own / "own.jsonl") == 2
    assert "--query-features FILE" in capsys.readouterr().err
    assert not (own / "own.jsonl").exists()


def test_features_in_another_order_or_number_are_refused(made, own, capsys):
    assert call(made, "--features", own / "clip.npy", "--query", "x", "--out", own / "own.jsonl") == 2
    assert "6 in all; the run takes 11" in capsys.readouterr().err


def test_split_and_own_video_exclude_each_other(made, own, capsys):
    for arguments in (
        ["--dataset", "tiny"],
        ["--features", own / "clip.npy"],
        ["--dataset", "tiny", "--split", "iid", "--features", "x"],
    ):
        with pytest.raises(SystemExit) as stopped:
            call(made, *arguments, "--out", own / "own.jsonl")
        assert stopped.value.code == 2
    assert "either --dataset and --split, or --features and --query" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--fps", "--duration", "--rounding-unit"])
@pytest.mark.parametrize("number", ["-2", "0", "nan", "inf", "two"])
def test_times_and_rates_that_cannot_be_are_refused(option, number, made, own, capsys):
    video = ["--features", own / "clip.npy", own / "slowfast.npy", "--query", "x", "--query-features", own / "words.npy"]
    with pytest.raises(SystemExit) as stopped:
        call(made, *video, f"{option}={number}", "--out", own / "own.jsonl")
    assert stopped.value.code == 2
    assert option in capsys.readouterr().err
    assert not (own / "own.jsonl").exists()


def test_the_rate_of_ones_own_features_stretches_the_windows(made, own):
    video = ["--features", own / "clip.npy", own / "slowfast.npy", "--query", "x", "--query-features", own / "words.npy"]
    for rate in ("0.5", "0.25"):
        assert call(made, *video, "--fps", rate, "--out", own / f"{rate}.jsonl") == 0
    ends = [read(own / f"{rate}.jsonl")[0]["pred_relevant_windows"][0][1] for rate in ("0.5", "0.25")]
    assert ends[1] > ends[0]


@pytest.mark.parametrize(
    "extra", [("--options", "a", "b"), ("--objects", "o.npy"), ("--zip", "p.zip")], ids=lambda extra: extra[0]
)
def test_options_that_the_method_makes_nothing_of_are_refused(extra, made, own, capsys):
    video = ["--features", own / "clip.npy", own / "slowfast.npy", "--query", "x", "--query-features", own / "words.npy"]
    try:
        code = call(made, *video, *extra, "--out", own / "own.jsonl")
    except SystemExit as stopped:
        code = stopped.code
    assert code == 2
    assert extra[0] in capsys.readouterr().err
    assert not (own / "own.jsonl").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(made, tmp_path, capsys):
    assert call(made, "--dataset", "tiny", "--split", "iid", "--out", tmp_path / "p.jsonl", "--device", "cuda") == 2
    assert capsys.readouterr().err.startswith("RunError: device cuda: PyTorch sees no GPU here")


def test_settings_of_another_task_are_refused(made, tmp_path, capsys):
    _, run, data = made
    params = tmp_path / "params.yaml"
    asked.write_params(params, {"igv": asked.RUNS["igv"]})
    common = ["--run", run, "--data", data, "--params", params, "--out", tmp_path / "p.jsonl"]
    arguments = [*common, "--dataset", "tiny", "--split", "iid", "--settings", "igv"]
    assert predict.main([*map(str, arguments)]) == 2
    assert "runs.igv is of the task questions" in capsys.readouterr().err


def test_a_folder_in_the_place_of_the_file_and_params_that_are_not_there_are_named(made, own, capsys):
    video = ["--features", own / "clip.npy", own / "slowfast.npy", "--query", "x", "--query-features", own / "words.npy"]
    assert call(made, *video, "--out", own) == 2
    assert f"{own} is a folder" in capsys.readouterr().err
    assert call(made, *video, "--out", own / "own.jsonl", "--params", own / "none.yaml") == 2
    assert "none.yaml: no such file" in capsys.readouterr().err
    assert not list(own.glob("own.jsonl*"))
