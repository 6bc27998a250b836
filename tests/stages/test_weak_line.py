"""Localisation learnt without times, from sentences and features to scores, on two dozen random videos."""

from __future__ import annotations

import hashlib
import importlib
import json

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from stages import evaluate, import_checkpoint, predict, score, train, vocabulary
from stages.datasets.samples import read_samples
from stages.features.store import FeatureStore
from stages.features.vocabularies import VocabularyError, read_sentences, read_vocabulary
from stages.params import ParamsError, load_params
from stages.tasks.task import Inputs, load_task
from tests.stages import tiny

MODEL = {
    "numerics": "corrected", "hidden": 8, "heads": 2, "video_layers": 1, "word_layers": 1, "dropout": 0.1, "proposals": 3,
    "grid": 8, "sigma": 9.0, "gamma": 0.5, "epochs": 2, "margin_1": 0.1, "margin_2": 0.15, "diversity": 0.15, "alpha_1": 1.0,
    "alpha_2": 1.0,
}  # fmt: skip
OPTIM = {
    "lr": 1.0e-3, "weight_decay": 0.0, "schedule": "inverse_sqrt", "warmup_steps": 4, "clip_norm": 10.0, "optimiser": "adam",
}  # fmt: skip
TRAIN = {"epochs": 2, "batch_size": 8, "select": "R@1,mIoU"}
EVALUATE = {
    "splits": ["iid"], "batch_size": 5, "masks": 2, "vote": "vote_weighted", "abnormal": True, "primary": ["R@1,mIoU"],
    "published": None, "baseline_seed": 0, "examples": 2,
}  # fmt: skip
WORDS = {
    "dataset": "tiny", "form": "seeded", "file": None, "width": 6, "seed": 0, "limit": None, "longest": 20,
    "counted": "training", "tagger": "closed_class",
}  # fmt: skip


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Samples, stores, params.yaml with one run per method, the vocabulary."""
    made = tiny.make(tmp_path_factory.mktemp("weak"), videos=24)
    content = yaml.safe_load(made.params.read_text())
    words = made.folder / "words.npz"
    base = content["runs"]["tiny"] | {
        "features": {"video": ["clip", "slowfast"], "query": [], "clips": 16},
        "confounders": {"video": str(made.params), "query": str(words)},
        "model": MODEL,
        "optim": OPTIM,
        "train": TRAIN,
        "evaluate": EVALUATE,
    }
    content["vocabularies"] = {"tiny": WORDS}
    content["runs"] = {name: base | {"method": name} for name in ("cpl", "ccr")}
    made.params.write_text(yaml.safe_dump(content))
    arguments = ["--name", "tiny", "--samples", made.samples, "--raw", made.folder / "raw", "--out", words]
    assert vocabulary.main([*map(str, arguments), "--params", str(made.params)]) == 0
    return made, words


def run(work, name, out, *more):
    made, words = work
    places = {"samples": made.samples, "features": made.features, "params": made.params, "name": name}
    common = [str(part) for key, value in places.items() for part in (f"--{key}", value)]
    train.main([*common, "--video-confounders", str(made.params), "--query-confounders", str(words), "--out", str(out), *more])
    ends = ["--run", out, "--results", out / "results", "--page", out / "page.json"]
    assert evaluate.main([*common, *map(str, ends)]) == 0


@pytest.fixture(scope="module", params=["cpl", "ccr"])
def finished(request, work, tmp_path_factory):
    out = tmp_path_factory.mktemp(request.param)
    run(work, request.param, out)
    return request.param, out


def test_training_ends_in_a_run_with_its_words_and_a_selected_epoch(finished, work):
    method, out = finished
    config = json.loads((out / "config.json").read_text())
    assert (config["method"], config["clips"], config["selection"]["metric"]) == (method, 16, "R@1,mIoU")
    assert config["widths"] == {"video": 11, "words": 6, "classes": read_vocabulary(work[1]).classes}
    assert (out / "vocabulary.npz").read_bytes() == work[1].read_bytes()


def test_scorer_gives_the_same_values_for_the_published_predictions(finished, work, tmp_path):
    _, out = finished
    truth = tmp_path / "truth.jsonl"
    rows = [json.loads(line) for line in (work[0].folder / "raw/annotations/iid.jsonl").read_text().splitlines()]
    truth.write_text(
        "".join(
            json.dumps({"vid": row["vid"], "duration": row["duration"], "window": row["relevant_windows"][0]}) + "\n"
            for row in rows
        )
    )
    scored = tmp_path / "scored.json"
    files = ["--predictions", str(out / "results/predictions.jsonl"), "--ground-truth", str(truth), "--out", str(scored)]
    assert score.main(["--benchmark", "ccr_localisation", *files]) == 0
    metrics = json.loads((out / "results/metrics.json").read_text())
    profiles = json.loads(scored.read_text())["profiles"]
    for profile in ("no_vote", "vote_weighted", "vote_plain"):
        for name, value in profiles[profile]["unrounded"].items():
            if name.startswith("R@1"):
                assert metrics[f"iid.{profile}.{name}"] == pytest.approx(100 * value, abs=1e-4)
    headline = profiles["vote_weighted"]["unrounded"]
    assert metrics["iid.R@1,mIoU"] == pytest.approx(100 * headline["R@1,mIoU"], abs=1e-4)


def test_page_shows_windows_rates_and_baselines(finished):
    method, out = finished
    page = json.loads((out / "page.json").read_text())
    iid = page["splits"]["iid"]
    assert set(iid["baselines"]) == {"random window", "centre window"}
    assert ("abnormal reconstruction after" in iid["metrics"]) == (method == "ccr")
    assert 0 <= iid["metrics"]["abnormal reconstruction before"] <= 100
    example = page["examples"][0]
    assert all(0 <= start <= end <= example["duration"] for start, end, _ in example["windows"])


def test_answers_do_not_depend_on_the_batch(work, tmp_path):
    made, _ = work
    run(work, "ccr", tmp_path / "one")
    content = made.params.read_text()
    try:
        made.params.write_text(content.replace("batch_size: 5", "batch_size: 1"))
        ends = ["--run", tmp_path / "one", "--results", tmp_path / "r", "--page", tmp_path / "p.json"]
        places = ["--name", "ccr", "--samples", made.samples, "--features", made.features, "--params", made.params]
        assert evaluate.main([*map(str, places), *map(str, ends)]) == 0
    finally:
        made.params.write_text(content)

    def losses(folder):
        lines = (folder / "predictions.jsonl").read_text().splitlines()
        return np.array([json.loads(line)["nll"] for line in lines])

    np.testing.assert_allclose(losses(tmp_path / "r"), losses(tmp_path / "one" / "results"), atol=1e-5)


def test_same_seed_gives_the_same_bytes(work, tmp_path):
    for name in ("a", "b"):
        run(work, "cpl", tmp_path / name)
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()


def test_sentences_are_known_by_split_and_words_are_those_of_training(work):
    _, words = work
    assert "event" in read_vocabulary(words).words
    texts = read_sentences(words, "iid")
    assert texts.length("1000") >= 1
    with pytest.raises(VocabularyError, match=r"no 'val/ids' in it \(splits: iid, train\)"):
        read_sentences(words, "val")


def test_settings_of_another_task_are_refused(work):
    made, _ = work
    content = yaml.safe_load(made.params.read_text())
    content["runs"]["cpl"]["evaluate"] = tiny.EVALUATE
    other = made.folder / "other.yaml"
    other.write_text(yaml.safe_dump(content))
    with pytest.raises(ParamsError, match=r"runs\.cpl\.evaluate: unknown key 'top'"):
        load_params(other)


def test_reference_checkpoint_is_evaluated_with_the_vocabulary_of_its_run_entry(work, finished, tmp_path, capsys):
    method, out = finished
    keys = importlib.import_module(f"models.reference_keys.{method}")
    table = keys.key_table(video_layers=1, word_layers=1, **({"side_heads": False} if method == "ccr" else {}))
    state = keys.to_reference(load_file(out / "model.safetensors"), table)
    if method == "ccr":  # the published files hold a side branch that the paper's formulation does not have
        classes = len(state["fc_comp.bias"])
        for name in ("q_pos", "q_ref", "q_neg_1", "q_neg_2"):
            state |= {f"{name}.weight": torch.zeros(classes, 8), f"{name}.bias": torch.zeros(classes)}
            state |= {f"{name}_additional.weight": torch.zeros(classes, classes), f"{name}_additional.bias": torch.zeros(classes)}
    torch.save({"num_updates": 3, "config": {"a": 1}, "model_parameters": state}, tmp_path / "best.pt")
    made, _ = work
    arguments = ["--method", method, "--checkpoint", tmp_path / "best.pt", "--config", made.params, "--run", method]
    assert import_checkpoint.main([*map(str, arguments), "--out", str(tmp_path / "run")]) == 0
    places = ["--name", method, "--samples", made.samples, "--features", made.features, "--params", made.params]
    ends = ["--run", tmp_path / "run", "--results", tmp_path / "r", "--page", tmp_path / "p.json"]
    assert evaluate.main([*map(str, places), *map(str, ends)]) == 0
    ours = json.loads((out / "results/metrics.json").read_text())
    assert json.loads((tmp_path / "r/metrics.json").read_text())["iid.R@1,mIoU"] == ours["iid.R@1,mIoU"]
    own = [*arguments, "--out", tmp_path / "own", "--vocabulary"]
    assert import_checkpoint.main([*map(str, (*own, work[1]))]) == 0
    assert (tmp_path / "own/vocabulary.npz").read_bytes() == work[1].read_bytes()
    with np.load(work[1], allow_pickle=False) as content:
        fewer = {key: value[:-1] if key in ("words", "counts", "vectors") else value for key, value in content.items()}
    np.savez(tmp_path / "fewer.npz", allow_pickle=False, **fewer)
    capsys.readouterr()
    assert import_checkpoint.main([*map(str, (*own, tmp_path / "fewer.npz"))]) == 2
    assert "these words belong to another one" in capsys.readouterr().err


def test_a_whole_split_is_predicted_as_it_is_evaluated(work, finished, tmp_path):
    (made, _), (_, out) = work, finished
    for kind in ("samples", "features"):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / "tiny").symlink_to(made.folder / kind)
    arguments = ["--run", out, "--dataset", "tiny", "--split", "iid", "--out", tmp_path / "p.jsonl"]
    arguments += ["--data", tmp_path, "--params", made.params]
    assert predict.main([*map(str, arguments)]) == 0
    assert (tmp_path / "p.jsonl").read_bytes() == (out / "results/predictions.jsonl").read_bytes()


def feed_of(work, **train):
    """What a training of CPL sees under these settings, and whether it validates."""
    made, words = work
    content = yaml.safe_load(made.params.read_text())
    content["runs"]["cpl"]["train"] |= train
    other = made.folder / "train.yaml"
    other.write_text(yaml.safe_dump(content))
    inputs = Inputs(samples=made.samples, features=made.features, confounders={"query": words})
    found = load_task("weak_moments").prepare(load_params(other).runs["cpl"], inputs, torch.device("cpu"))
    return found.feed, found.validate


def test_videos_that_are_held_out_select_and_are_not_trained_on(work):
    feed, validate = feed_of(work)
    videos = {sample.video_id for sample in feed.samples}
    every = {f"train_{number:03d}" for number in range(24)}
    held = {video for video in every if int.from_bytes(hashlib.sha256(video.encode()).digest()[:8], "big") % 10 == 0}
    assert held
    assert videos == every - held
    assert validate is not None


def test_without_a_hold_out_all_videos_are_trained_on_and_nothing_selects(work, tmp_path):
    feed, validate = feed_of(work, hold_out=False, select=None)
    assert len({sample.video_id for sample in feed.samples}) == 24
    assert validate is None
    made, _ = work
    content = yaml.safe_load(made.params.read_text())
    content["runs"]["cpl"]["train"] |= {"hold_out": False, "select": None}
    other = made.folder / "all.yaml"
    other.write_text(yaml.safe_dump(content))
    run(work, "cpl", tmp_path, "--params", str(other))
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["selection"] is None
    assert len((tmp_path / "history.csv").read_text().splitlines()) == 1 + TRAIN["epochs"]


@pytest.fixture
def own(work, tmp_path):
    """Features of one video of the split as files of one's own, its first query, and the length of the video."""
    for name in ("clip", "slowfast"):
        np.save(tmp_path / f"{name}.npy", np.array(FeatureStore.open(work[0].features / f"{name}.zarr").rows("iid_000")))
    (sample, *_) = read_samples(work[0].samples, "iid")
    assert sample.video_id == "iid_000"
    return tmp_path, sample


def own_video(finished, work, own, *more):
    folder, sample = own
    files = ["--features", folder / "clip.npy", folder / "slowfast.npy", "--query", sample.query]
    common = ["--run", finished[1], "--params", work[0].params, "--device", "cpu", "--out", folder / "own.jsonl"]
    return predict.main([*map(str, [*common, *files, *more])])


def test_a_video_of_ones_own_gets_the_proposals_that_the_split_gives(finished, work, own):
    folder, sample = own
    assert own_video(finished, work, own, "--duration", sample.duration, "--plot", folder / "own.png", "--video-id", "mine") == 0
    (mine,) = (json.loads(line) for line in (folder / "own.jsonl").read_text().splitlines())
    published = [json.loads(line) for line in (finished[1] / "results/predictions.jsonl").read_text().splitlines()]
    (first,) = (row for row in published if row["qid"] == sample.sample_id)
    assert (mine["vid"], mine["query"]) == ("mine", sample.query)
    for field in ("center", "width"):  # which words are hidden is drawn by the query's id, so losses differ
        np.testing.assert_allclose(mine[field], first[field], atol=1e-6)
    assert len(mine["pred_relevant_windows"]) >= MODEL["proposals"]
    assert all(0 <= start <= end <= sample.duration for start, end, _ in mine["pred_relevant_windows"])
    assert (folder / "own.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ([], "--duration S, or --fps F"),
        (["--duration", 20, "--query", "xyzzy"], "'xyzzy': none of its words"),
        (["--duration", 20, "--query-features", "words.npy"], "reads the words of --query themselves"),
        (["--duration", 20, "--features", "clip.npy"], "6 channels in all; the run takes 11"),
        (["--duration", 20, "--settings", "none"], "no entry 'none'"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_the_way_out(finished, work, own, more, reason, capsys):
    more = [own[0] / part if str(part).endswith(".npy") else part for part in more]
    assert own_video(finished, work, own, *more) == 2
    assert reason in capsys.readouterr().err
    assert not (own[0] / "own.jsonl").exists()
