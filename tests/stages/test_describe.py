import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch

from stages import describe
from stages.features.archive import pack
from stages.features.store import FeatureStore, StoreInfo, StoreWriter
from stages.sources.manifest import FileRecord, Manifest
from stages.training.runs import RunRecord, save_run
from tests.stages import tiny


@pytest.fixture
def work(tmp_path):
    return tiny.make(tmp_path, videos=4)


def shown(capsys, *paths, code=0):
    assert describe.main([str(path) for path in paths]) == code
    out = capsys.readouterr()
    return out.out if code == 0 else out.err


def test_a_store_is_described_with_shapes_units_source_and_digests(tmp_path, capsys):
    info = StoreInfo(
        dataset="demo",
        feature="clip",
        kind="clip",
        fps=0.5,
        extractor="CLIP ViT-B/32",
        source={"repository": "hub:a/b", "revision": "c" * 40, "files": 2, "manifest_digest": "d" * 64},
        quality={"extra": 3},
        recipe="e" * 64,
    )
    with StoreWriter(tmp_path / "clip.zarr") as writer:
        writer.add("a", np.ones((3, 4), np.float16))
        writer.add("b", np.ones((5, 4), np.float16))
        writer.finish(info)
    text = shown(capsys, tmp_path / "clip.zarr")
    for part in (
        "(8, 4) float16",
        "2; rows per item: 3 to 5",
        "0.5 rows per second, 2 s per row",
        "CLIP ViT-B/32",
        "hub:a/b",
        "c" * 40,
    ):
        assert part in text
    for part in ("manifest digest " + "d" * 64, "e" * 64, "extra 3", "checksums", "zarr.json"):
        assert part in text
    assert "compressed copy of a store" in shown(capsys, pack(FeatureStore.open(tmp_path / "clip.zarr")))


def test_verify_reads_the_checksums(work, capsys):
    path = work.features / "clip.zarr"
    assert "not read (--verify reads them)" in shown(capsys, path)
    assert "read, all chunks are as written" in shown(capsys, "--verify", path)
    chunk = path / "values/c/0/0"
    chunk.write_bytes(bytes(len(chunk.read_bytes())))
    assert "the checksum differs" in shown(capsys, "--verify", path, code=2)


def test_a_dictionary_a_samples_folder_and_a_folder_of_stores_are_described(work, capsys):
    text = shown(capsys, work.dictionaries["video"], work.samples, work.features)
    assert "mean_pool_c" in text
    assert "(4, 11) float32" in text
    assert "tiny: task moments, adapter planted, 0.5 clips per second" in text
    assert "none: the splits are disjoint in videos" in text
    assert text.count("\nstore ") == 3


def test_a_run_is_described_with_its_features_numbers_and_inputs(tmp_path, capsys):
    record = RunRecord(
        run="r",
        method="causalvtg",
        model=dict(tiny.MODEL),
        widths={"video": 11, "query": 7},
        confounders={"video": (4, 11), "query": (4, 7)},
        dataset="tiny",
        features={"video": ("clip", "slowfast"), "query": ("words",)},
        fps=0.5,
        seed=7,
        train=tiny.OPTIM | tiny.TRAIN,
        selection={"metric": "MR-full-mAP", "mode": "max", "epoch": 2, "value": 41.0},
        inputs={"features/clip": "f" * 64},
    )
    save_run(tmp_path / "r", {"a": torch.ones(3, 4), "b": torch.ones(5)}, record)
    text = shown(capsys, tmp_path / "r")
    for part in (
        "method causalvtg on 'tiny'",
        "clip + slowfast",
        "0.5 clips per second",
        "2 tensors, 17 numbers (F32)",
        "f" * 64,
        "epoch 2",
    ):
        assert part in text
    assert dataclasses.asdict(record)["train"]["lr"] == 2.0e-3
    assert "train.lr" in text

    save_run(tmp_path / "r2", {"a": torch.ones(3, 4)}, dataclasses.replace(record, fps=0.0))  # questions: frames of even number
    assert "as many rows for every video" in shown(capsys, tmp_path / "r2")


def test_a_world_fetched_files_and_results_are_described(tmp_path, capsys):
    world, raw, results = (tmp_path / name for name in ("world", "raw", "results"))
    for folder in (world, raw, results):
        folder.mkdir()
    contents = [{"path": "upstream/clip.tar", "bytes": 12, "sha256": "a" * 64}]
    facts = {"name": "demo", "kind": "planted", "seed": 2026, "annotations": {"train": 9}, "contents": contents}
    (world / "world.json").write_text(json.dumps(facts))
    origin = {"kind": "hub", "repository": "a/b", "commit": "c" * 40}
    Manifest("demo", {f"f{number}": FileRecord(5, "9" * 64, origin) for number in range(20)}).write(raw / "manifest.json")
    (results / "metrics.json").write_text(json.dumps({"iid": {"MR-full-mAP": 41.5}, "n_scored": 6}))
    text = shown(capsys, world, raw, results)
    for part in (
        "demo: planted",
        "2026",
        "12 bytes, sha256 " + "a" * 64,
        "demo: 20 files",
        "repository a/b",
        "and 12 more",
        "41.5",
    ):
        assert part in text


def test_what_is_none_of_these_says_what_was_looked_for(work, tmp_path, capsys):
    assert "no such file or folder" in shown(capsys, tmp_path / "nope", code=2)
    (tmp_path / "empty").mkdir()
    assert "expected a store (zarr.json), run (config.json)" in shown(capsys, tmp_path / "empty", code=2)
    (tmp_path / "half" / "resume").mkdir(parents=True)
    assert "a training that is not finished" in shown(capsys, tmp_path / "half", code=2)
    (tmp_path / "empty" / "world.json").write_text("[]")
    assert "expected an object, found list" in shown(capsys, tmp_path / "empty", code=2)
    shutil.rmtree(work.features / "clip.zarr" / "ids")
    assert "run the consolidate stage" in shown(capsys, work.features / "clip.zarr", code=2)
