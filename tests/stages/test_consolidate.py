import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from stages import consolidate
from stages.features.store import FeatureStore
from stages.sources.manifest import NAME as MANIFEST
from stages.sources.manifest import FileRecord, Manifest
from tests.killed import killed_before
from tests.stages.consolidation.publishing import npz, pt, rows, tar

ROOT = Path(__file__).resolve().parents[2]
ORIGIN = {
    "kind": "hub",
    "repository": "somebody/features",
    "type": "dataset",
    "revision": "main",
    "commit": "c" * 40,
    "into": ".",
}
CLIP = {"kind": "clip", "files": "clip", "format": "npz", "key": "features", "width": 4, "fps": 0.5, "extractor": "made up"}
FEATURES: dict[str, dict[str, Any]] = {
    "clip": CLIP,
    "slowfast": {**CLIP, "files": "slowfast.tar.gz", "width": 6},
    "text": {"kind": "query", "files": "text", "format": "pt", "prefix": "qid", "width": 5, "extractor": "made up"},
}
VIDEOS = [f"v_{number}.0_{number + 1}.0" for number in range(5)] + ["-dash"]


class Place:
    """A data set as fetched, and the command on it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.raw = folder, folder / "raw"
        self.samples, self.features = folder / "samples", folder / "features"
        (self.raw / "annotations").mkdir(parents=True)
        self.publish(
            "annotations/train.jsonl", "".join(json.dumps(record(*pair)) + "\n" for pair in enumerate(VIDEOS[:4])).encode()
        )
        self.publish(
            "annotations/iid.jsonl", "".join(json.dumps(record(*pair)) + "\n" for pair in enumerate(VIDEOS[4:], 4)).encode()
        )
        for number, video in enumerate(VIDEOS):
            self.publish(f"clip/{video}.npz", npz(rows(10 + number % 2)))
            self.publish(f"text/qid{number}.pt", pt(rows(3 + number, 5)))
        self.publish("slowfast.tar.gz", tar({f"x/{video}.npz": npz(rows(10, 6)) for video in VIDEOS}, "w:gz"))
        self.settle()

    def publish(self, name: str, content: bytes) -> None:
        path = self.raw / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def settle(self, features: dict[str, dict[str, Any]] | None = None) -> None:
        """Write the manifest of what lies there, as fetch does, and params.yaml."""
        paths = sorted(path for path in self.raw.rglob("*") if path.is_file() and path.name != MANIFEST)
        files = {path.relative_to(self.raw).as_posix(): FileRecord(path.stat().st_size, sha256(path), ORIGIN) for path in paths}
        Manifest("demo", files).write(self.raw / MANIFEST)
        source = {"into": ".", "mirrors": [{"hub": {"repository": "somebody/features"}}]}
        content: dict[str, Any] = {
            "worlds": {},
            "datasets": {"demo": {"adapter": "planted", "after": "nothing", "sources": [source]}},
            "features": {"demo": features or FEATURES},
            "dictionaries": {},
            "runs": {},
            "reports": {},
        }
        (self.folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")

    def arguments(self, *more: str) -> list[str]:
        paths = {
            "--raw": self.raw,
            "--samples": self.samples,
            "--features": self.features,
            "--params": self.folder / "params.yaml",
        }
        return ["--name", "demo", *(str(part) for pair in paths.items() for part in pair), *more]

    def run(self, *more: str) -> int:
        return consolidate.main(self.arguments(*more))

    def store(self, name: str) -> FeatureStore:
        return FeatureStore.open(self.features / f"{name}.zarr")

    def written(self) -> dict[str, str]:
        """Digest of every file in samples and features."""
        paths = [path for folder in (self.samples, self.features) for path in folder.rglob("*") if path.is_file()]
        return {path.relative_to(self.folder).as_posix(): sha256(path) for path in sorted(paths)}


def record(number: int, video: str) -> dict[str, Any]:
    windows = {"relevant_windows": [[2, 6]], "relevant_clip_ids": [1, 2], "saliency_scores": [[2, 3, 4]] * 2}
    return {"qid": number, "query": f"event {number}", "vid": video, "duration": 20.0, **windows}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_samples_and_every_feature_become_what_later_stages_read(place, capsys):
    assert place.run() == 0
    assert {path.name for path in place.features.iterdir()} == {"clip.zarr", "slowfast.zarr", "text.zarr"}
    clip, text = place.store("clip"), place.store("text")
    assert clip.ids == sorted(VIDEOS)
    assert text.ids == [str(number) for number in range(6)]
    np.testing.assert_array_equal(clip.rows("-dash"), rows(11))
    np.testing.assert_array_equal(text.rows("3"), rows(6, 5))
    assert (clip.info.fps, clip.info.kind, text.info.fps, text.info.kind) == (0.5, "clip", None, "query")
    assert clip.info.source["repository"] == "hub:somebody/features"
    assert clip.info.source["revision"] == "c" * 40
    assert clip.info.source["files"] == len(VIDEOS)
    line = capsys.readouterr().out.strip()
    assert line.startswith("demo: 6 samples in 2 splits; 3 stores, 0 MB (3 made, 0 kept) in ")


def test_differences_between_features_and_annotations_are_counted(place):
    place.publish("clip/extra.npz", npz(rows(2)))
    place.publish(f"clip/{VIDEOS[2]}.npz", npz(rows(2)))
    (place.raw / f"clip/{VIDEOS[0]}.npz").unlink()
    place.settle({**FEATURES, "clip": {**CLIP, "missing": "drop"}})
    assert place.run() == 0
    quality = json.loads((place.samples / "quality.json").read_text())
    assert quality["adapter"] == "planted"
    clip = quality["features"]["clip"]
    assert (clip["items"], clip["extra"], clip["missing"]) == (5, 1, 1)
    assert clip["without_file"] == {"count": 1, "examples": [VIDEOS[0]]}
    assert clip["shorter_than_duration"] == {"count": 1, "examples": [VIDEOS[2]], "rows_at_most": 8}
    different = quality["features"]["different_lengths"]["clip and slowfast"]
    assert (different["count"], different["rows_at_most"]) == (4, 8)


def test_a_second_run_keeps_everything(place, capsys):
    place.run()
    before, inodes = place.written(), {path: path.stat().st_ino for path in place.features.rglob("*")}
    assert place.run() == 0
    assert place.written() == before
    assert {path: path.stat().st_ino for path in place.features.rglob("*")} == inodes
    assert "(0 made, 3 kept)" in capsys.readouterr().out


def change_file(place):
    place.publish(f"clip/{VIDEOS[0]}.npz", npz(rows(9)))
    place.settle()


def change_setting(place):
    place.settle({**FEATURES, "clip": {**CLIP, "dtype": "float32"}})


def change_annotations(place):
    lines = (place.raw / "annotations/iid.jsonl").read_bytes().splitlines(keepends=True)
    place.publish("annotations/iid.jsonl", lines[0])
    place.settle({"clip": CLIP})


def damage_store(place):
    chunk = place.features / "clip.zarr/values/c/0/0"
    content = bytearray(chunk.read_bytes())
    content[0] ^= 1
    chunk.write_bytes(content)


@pytest.mark.parametrize("change", [change_file, change_setting, change_annotations, damage_store])
def test_a_changed_source_setting_annotation_or_store_is_made_anew_as_if_from_scratch(change, place):
    place.run()
    change(place)
    assert place.run() == 0
    renewed = place.written()
    shutil.rmtree(place.features)
    shutil.rmtree(place.samples)
    assert place.run() == 0
    assert place.written() == renewed


def test_stores_of_features_that_are_gone_are_removed(place):
    place.run()
    place.settle({"clip": CLIP})
    assert place.run() == 0
    assert [path.name for path in place.features.iterdir()] == ["clip.zarr"]


def test_the_number_of_workers_changes_nothing(place):
    place.run("--workers", "1")
    before = place.written()
    shutil.rmtree(place.features)
    place.run("--workers", "2")
    assert place.written() == before


def test_an_archive_copy_replaces_the_raw_files_when_the_store_is_gone(place):
    place.settle({**FEATURES, "clip": {**CLIP, "archive": True}})
    assert place.run() == 0
    before = place.written()
    assert (place.features / "clip.archive.zarr" / "zarr.json").is_file()
    shutil.rmtree(place.features / "clip.zarr")
    shutil.rmtree(place.raw / "clip")
    assert place.run() == 0
    assert place.written() == before


def test_the_faults_of_all_features_are_shown_together(place, capsys):
    place.publish(f"clip/{VIDEOS[1]}.npz", b"<html>")
    place.publish("text/qid2.pt", pt({"a": 1}))
    place.settle()
    assert place.run() == 1
    shown = capsys.readouterr().err
    assert "clip: 1 faults in the published files" in shown
    assert f"{VIDEOS[1]}.npz: no npz file" in shown
    assert "text: 1 faults" in shown
    assert "holds a dict with 'a', expected one tensor" in shown
    assert [path.name for path in place.features.iterdir()] == ["slowfast.zarr"]


def test_without_a_manifest_the_way_out_is_the_fetch_stage(place, capsys):
    (place.raw / MANIFEST).unlink()
    assert place.run() == 1
    assert (
        f"no manifest.json; run the fetch stage: python -m stages.fetch --name demo --out {place.raw}" in capsys.readouterr().err
    )


def test_a_file_changed_after_the_fetch_is_reported(place, capsys):
    place.publish(f"clip/{VIDEOS[1]}.npz", npz(rows(7)))
    assert place.run() == 1
    assert "Files and manifest.json differ: run the fetch stage again" in capsys.readouterr().err


def test_unknown_names_and_bad_annotations_have_their_exit_codes(place, capsys):
    assert consolidate.main(["--name", "other", *place.arguments()[2:]]) == 2
    assert "no entry 'other'" in capsys.readouterr().err
    place.publish("annotations/train.jsonl", b"{not json")
    place.settle()
    assert place.run() == 1
    assert "train.jsonl" in capsys.readouterr().err


def test_killed_at_any_step_and_repeated_the_stage_leaves_the_same_bytes(place):
    assert place.run() == 0
    whole = place.written()
    for start in (0, 1, 2):
        shutil.rmtree(place.features)
        shutil.rmtree(place.samples)
        step = 1 + start
        while killed_before(step, lambda: place.run("--workers", "1"), place.features, place.samples):
            if place.features.exists():
                for path in place.features.glob("*.zarr"):
                    assert FeatureStore.open(path)
            step += 11
        assert place.written() == whole


def test_the_command_says_what_it_reads_and_writes_and_gives_an_example():
    process = subprocess.run(
        [sys.executable, "-m", "stages.consolidate", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for part in ("reads", "writes", "python -m stages.consolidate --name planted", "exit code"):
        assert part in process.stdout
