"""The world stage: complete folders only, the same bytes every time, formats that the ordinary readers and adapters read."""

import gzip
import hashlib
import importlib
import io
import json
import subprocess
import sys
import tarfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from stages import world as stage
from stages.datasets import planted as adapter
from stages.datasets.schema import Quality
from stages.params import World, parse
from stages.worlds.settings import Rehearsal, WorldError
from tests.shared import SHARED, needs

ROOT = Path(__file__).resolve().parents[2]
ANNOTATIONS = SHARED / "data/charades_sta"


def demo(videos):
    """The demo's numbers with few videos."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["worlds"]["demo"]
    for split in raw["planted"]["splits"].values():
        split["videos"] = videos
    return raw


@pytest.fixture(scope="module")
def settings():
    return parse(World, demo(40), "demo")


@pytest.fixture(scope="module")
def built(settings, tmp_path_factory):
    out = tmp_path_factory.mktemp("worlds") / "small"
    return out, stage.build("small", settings, out)


def everything(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def features(out, kind):
    """Feature files of one kind, by file name."""
    with tarfile.open(out / "upstream" / f"{kind}.tar") as tar:
        return {Path(member.name).name: np.load(io.BytesIO(tar.extractfile(member).read())) for member in tar}


def test_the_same_settings_give_the_same_bytes_whatever_the_order_of_their_keys(built, settings, tmp_path):
    planted = settings.planted
    turned = {field: dict(reversed(getattr(planted, field).items())) for field in ("views", "splits")}
    settings = replace(settings, planted=replace(planted, **turned))
    stage.build("small", settings, tmp_path / "again")
    assert everything(tmp_path / "again") == everything(built[0])


def test_every_video_and_query_has_its_features_in_the_published_layout(built):
    out, description = built
    clip, slowfast, text = (features(out, kind) for kind in ("clip", "slowfast", "clip_text"))
    assert (
        set(clip) == set(slowfast) == {f"{split}_{n:05d}.npz" for split in description["settings"]["splits"] for n in range(40)}
    )
    assert {clip[name]["features"].shape for name in clip} == {(24, 64)}
    assert {slowfast[name]["features"].shape for name in clip} == {(24, 96)}
    for name in text:
        tokens = text[name]["last_hidden_state"]
        assert 6 <= len(tokens) <= 8
        assert tokens.shape[1:] == text[name]["pooler_output"].shape == (64,)
        assert tokens.dtype == np.float16
    queries = {
        json.loads(line)["qid"] for path in (out / "upstream/annotations").iterdir() for line in path.read_text().splitlines()
    }
    assert set(text) == {f"qid{qid}.npz" for qid in queries}


@pytest.mark.parametrize("split", adapter.SPLITS)
def test_the_adapter_reads_every_split_without_a_repair(built, split):
    out, description = built
    quality = Quality()
    samples = list(adapter.read(out / "upstream", split, quality))
    assert len(samples) == description["annotations"][split]
    assert len({sample.sample_id for sample in samples}) == len(samples)
    if split.startswith("rf_"):
        assert 0.3 < np.mean([not sample.answerable for sample in samples]) <= 0.5
    else:
        # windows are not on the grid of clips, as QVHighlights' are, and a clip hardly touched may get no point at all
        assert set(quality.counts) <= {"clips_and_windows_disagree", "saliency_all_zero"}
        assert all(sample.saliency_scores and len(sample.spans) == 1 for sample in samples)


def test_truth_and_annotations_tell_the_same_story(built):
    out, _ = built
    truth = out / "truth"
    events = {(row["video_id"], row["position"]): row for row in pq.read_table(truth / "events.parquet").to_pylist()}
    queries = {row["qid"]: row for row in pq.read_table(truth / "queries.parquet").to_pylist()}
    for split in ("train", "reversed"):
        for line in (out / f"upstream/annotations/{split}.jsonl").read_text().splitlines():
            record = json.loads(line)
            event = events[record["vid"], queries[record["qid"]]["position"]]
            assert record["relevant_windows"] == [[event["start"], event["end"]]]
            assert event["actor"] in record["query"]
            assert event["object"] in record["query"]
    pairs = {(row["video_id"], row["qid"]): row for row in pq.read_table(truth / "unanswerable.parquet").to_pylist()}
    negatives = [
        (record["vid"], record["qid"])
        for split in ("iid", "interventional", "reversed")
        for record in map(json.loads, (out / f"upstream/annotations/rf_{split}.jsonl").read_text().splitlines())
        if record["no_answer"]
    ]
    assert sorted(negatives) == sorted(pairs)
    assert {row["kind"] for row in pairs.values()} == {"hard", "easy"}
    assert all(row["same_scene"] == (row["kind"] == "hard") for row in pairs.values())
    videos = pq.read_table(truth / "videos.parquet").to_pylist()
    assert len(videos) == 160
    assert all(len(row["distractors"]) == row["clips"] for row in videos)
    concepts = np.load(truth / "concepts.npz", allow_pickle=False)
    assert concepts["clip.object"].shape == (6, 24)
    assert concepts["clip_text.lift"].shape == (64, 30)


def test_world_json_has_settings_counts_and_digests_of_all_files(built):
    out, description = built
    assert json.loads((out / "world.json").read_text(encoding="utf-8")) == json.loads(json.dumps(description))
    files = everything(out)
    listed = {entry["path"]: entry for entry in description["contents"]}
    assert set(listed) == set(files) - {"world.json"}
    assert all(entry["sha256"] == hashlib.sha256(files[path]).hexdigest() for path, entry in listed.items())
    assert description["seed"] == 2026
    assert description["settings"]["splits"]["iid"]["videos"] == 40


def test_more_videos_leave_earlier_feature_files_and_lines_as_they_were(built, settings, tmp_path):
    splits = {name: replace(split, videos=42) for name, split in settings.planted.splits.items()}
    more = replace(settings, planted=replace(settings.planted, splits=splits, packing="files"))
    stage.build("more", more, tmp_path / "more")
    with tarfile.open(built[0] / "upstream/clip.tar") as tar:
        for member in tar:
            assert (tmp_path / "more/upstream" / member.name).read_bytes() == tar.extractfile(member).read()
    few, many = ((root / "upstream/annotations/interventional.jsonl").read_text() for root in (built[0], tmp_path / "more"))
    assert many.startswith(few)


def test_folders_of_many_files_are_summed_up_in_world_json(settings, tmp_path):
    loose = replace(settings, planted=replace(settings.planted, packing="files"))
    entries = {entry["path"]: entry for entry in stage.build("loose", loose, tmp_path / "loose")["contents"]}
    assert entries["upstream/clip/"]["files"] == 160
    assert len(entries) < 20


def test_pairs_that_a_small_split_cannot_give_are_counted_and_said(tmp_path, capsys):
    description = stage.build("tiny", parse(World, demo(3), "demo"), tmp_path / "tiny")
    missing = description["pairs_without_a_video"]["iid"]
    assert missing["hard"] > 0
    assert f"rf_iid lacks {missing['hard']} hard" in capsys.readouterr().err


def test_what_an_unfinished_run_left_is_replaced_and_a_finished_world_too(settings, tmp_path):
    out = tmp_path / "small"
    for leftover in (out, tmp_path / ".small.unfinished"):
        (leftover / "upstream" / "clip").mkdir(parents=True)
        (leftover / "upstream" / "clip" / "old.npz").write_bytes(b"")
    stage.build("small", settings, out)
    assert [path.name for path in tmp_path.iterdir()] == ["small"]
    assert not (out / "upstream" / "clip").exists()


def test_a_file_that_the_disk_changed_does_not_pass(settings, tmp_path, monkeypatch):
    digests = stage.digests

    def lossy(root):
        (root / "upstream" / "clip.tar").write_bytes(b"short")
        return digests(root)

    monkeypatch.setattr(stage, "digests", lossy)
    with pytest.raises(WorldError, match=r"clip\.tar: the disk does not hold what was written"):
        stage.build("small", settings, tmp_path / "small")
    assert not (tmp_path / "small").exists()


def run(*arguments, cwd=ROOT):
    command = [sys.executable, "-m", "stages.world", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_the_command_line_helps_and_names_an_example():
    done = run("--help")
    assert done.returncode == 0
    assert "python -m stages.world --name demo --out data/worlds/demo" in done.stdout


def params_file(folder, worlds):
    sections = ("datasets", "features", "dictionaries", "runs", "reports")
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump({"worlds": worlds, **{section: {} for section in sections}}))
    return path


def test_the_command_line_makes_a_world_and_refuses_an_unknown_one(built, tmp_path):
    params = params_file(tmp_path, {"small": demo(40)})
    done = run("--name", "small", "--out", tmp_path / "small", "--params", params)
    assert done.returncode == 0, done.stderr
    assert everything(tmp_path / "small") == everything(built[0])
    assert "item/s" in done.stderr
    done = run("--name", "smal", "--out", tmp_path / "other", "--params", params)
    assert done.returncode == 2
    assert "did you mean 'small'" in done.stderr


CHARADES = {
    "annotations": str(ANNOTATIONS),
    "files": ["charades_sta_train_tvr_format.jsonl", "charades_sta_test_tvr_format.jsonl", "charades_sta_test_rf.jsonl"],
    "into": "annotations",
    "fps": 1.0,
    "latent": 64,
    "signal": 1.0,
    "scene": 0.7,
    "noise": 0.3,
    "rated": 0.0,
    "subset": 40,
    "features": {
        kind: {
            "of": "queries" if kind == "clip_text" else "videos",
            "path": f"features/Charades/{kind}",
            "prefix": "qid" if kind == "clip_text" else "",
            "format": "npz",
            "key": "last_hidden_state" if kind == "clip_text" else "features",
            "width": width,
            "dtype": "float16",
            "extra_rows": int(kind == "slowfast"),
            "marks": int(kind == "clip_text"),
            "max_tokens": 77 if kind == "clip_text" else None,
            "packing": "files",
            "part_bytes": None,
        }
        for kind, width in (("clip", 512), ("slowfast", 2304), ("clip_text", 512))
    },
}


def test_a_rehearsal_without_its_annotations_says_where_to_put_them(tmp_path):
    raw = {"seed": 1, "planted": None, "rehearsal": {**CHARADES, "annotations": "data/nowhere"}}
    done = run("--name", "charades", "--out", tmp_path / "charades", "--params", params_file(tmp_path, {"charades": raw}))
    assert done.returncode == 2
    assert "neither charades_sta_train_tvr_format.jsonl nor" in done.stderr
    assert not (tmp_path / "charades").exists()


@pytest.mark.shared
@needs(ANNOTATIONS)
def test_a_rehearsal_of_charades_plants_the_published_layout_under_the_real_annotations(tmp_path):
    rehearsal = parse(Rehearsal, CHARADES, "charades")
    description = stage.build("charades", World(seed=1, planted=None, rehearsal=rehearsal), tmp_path / "charades")
    upstream = tmp_path / "charades" / "upstream"
    assert description["videos"] == {"planted": 40, "annotated": 6670}
    assert description["queries"]["annotated"] == 16124
    assert description["is_subset"] is True
    source = ANNOTATIONS / "charades_sta_train_tvr_format.jsonl.gz"
    copy = upstream / "annotations" / source.name
    assert copy.read_bytes() == source.read_bytes()
    records = [json.loads(line) for line in gzip.decompress(copy.read_bytes()).splitlines()]
    planted = {path.stem for path in (upstream / "features/Charades/clip").iterdir()}
    assert planted == set(sorted({r["vid"] for path in (upstream / "annotations").iterdir() for r in lines(path)})[:40])
    inside, outside = [], []
    for record in (record for record in records if record["vid"] in planted):
        rows = np.load(upstream / f"features/Charades/clip/{record['vid']}.npz")["features"].astype(float)
        text = np.load(upstream / f"features/Charades/clip_text/qid{record['qid']}.npz")["last_hidden_state"].astype(float)
        assert rows.shape == (int(np.ceil(record["duration"])), 512)
        score = rows @ text[1:-1].mean(axis=0)
        (start, end) = record["relevant_windows"][0]
        clip = np.arange(len(rows))
        within = (clip >= start) & (clip + 1 <= end)
        if within.any() and not within.all():
            inside.append(score[within].mean())
            outside.append(score[~within].mean())
    assert np.mean(np.array(inside) > np.array(outside)) > 0.8
    assert len(inside) > 30


def lines(path):
    yield from map(json.loads, gzip.decompress(path.read_bytes()).splitlines())


def test_the_demo_s_splits_are_balanced_between_answerable_and_not(built):
    out, description = built
    for split in ("iid", "interventional", "reversed"):
        records = map(json.loads, (out / f"upstream/annotations/rf_{split}.jsonl").read_text().splitlines())
        counts = Counter(record["no_answer"] for record in records)
        missing = sum(description["pairs_without_a_video"][split].values())
        assert counts[False] == counts[True] + missing == description["annotations"][split]


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A world of questions with few videos, through the stage."""
    raw = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["worlds"]["questions"]
    for split in raw["planted"]["splits"].values():
        split["videos"] = 5
    out = tmp_path_factory.mktemp("worlds") / "asked"
    return out, stage.build("asked", parse(World, raw, "questions"), out)


def test_world_json_of_questions_has_counts_ceilings_and_digests(asked):
    out, description = asked
    written = json.loads((out / "world.json").read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(description))
    assert set(written["questions"]) == {"train", "iid", "interventional", "reversed"}
    assert written["asking"]["kinds"] == {"object": 1.0}
    assert set(written["ceilings"]["iid"]) == {"grounded", "choice", "open"}
    for entry in written["contents"]:
        assert hashlib.sha256((out / entry["path"]).read_bytes()).hexdigest() == entry["sha256"]
    assert not out.with_name(".asked.unfinished").exists()


@pytest.mark.parametrize("name", ["planted_grounded", "planted_choice", "planted_open"])
def test_the_adapters_of_questions_read_every_split_without_a_repair(asked, name):
    out, description = asked
    module = importlib.import_module(f"stages.datasets.{name}")
    folder = out / "upstream" / name.removeprefix("planted_")
    for split in module.SPLITS:
        quality = Quality()
        samples = list(module.read(folder, split, quality))
        assert not quality.counts
        assert len(samples) == description["questions"][split]["open" if name == "planted_open" else "choice"]
        truth = pq.read_table(folder / "truth" / f"{split}.parquet").to_pylist()
        assert [(row["sample_id"], row["video_id"], row["answer"]) for row in truth] == [
            (sample.sample_id, sample.video_id, sample.answer) for sample in samples
        ]
        for sample, row in zip(samples, truth, strict=True):
            assert sample.spans == (() if split == "train" else tuple(map(tuple, row["spans"])))
