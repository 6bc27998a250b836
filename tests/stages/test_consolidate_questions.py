"""The stage on a data set of questions: frames, texts per option and per question, objects on a grid."""

import json

import h5py
import numpy as np
import pytest
import yaml

from stages import consolidate
from stages.features.store import FeatureStore
from stages.sources.manifest import NAME as MANIFEST
from stages.sources.manifest import FileRecord, Manifest

HEADER = "video,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4\n"
ROWS = {"train": [("12", 0), ("3", 0), ("3", 1)], "iid": [("7", 0)]}
H5 = {"format": "h5", "extractor": "made up", "key": "feat"}
TEXTS = {"kind": "query", "aligned": True, "width": 3, **H5}
FEATURES = {
    "frames": {"kind": "frame", "files": "frames/*.h5", "ids": "ids", "width": 4, **H5},
    "candidates": {**TEXTS, "files": "text/options_{split}.h5"},
    "question": {**TEXTS, "files": "text/question_{split}.h5", "per": "question"},
    "objects": {
        "kind": "object", "files": "regions.h5", "ids": "ids", "boxes": "bbox", "every": 2, "grid": [4, 2], "width": 8,
        "relative_boxes": True, "dtype": "float16", **H5,
    },
}  # fmt: skip


class Place:
    """A data set as fetched, and the command on it."""

    def __init__(self, folder):
        self.folder, self.raw = folder, folder / "raw"
        for name in ("annotations", "frames", "text"):
            (self.raw / name).mkdir(parents=True)
        random = np.random.default_rng(0)
        self.arrays = {}
        for split, rows in ROWS.items():
            lines = [f"{video},9,200,100,why,2,{qid},CW,a,b,c,d,e\n" for video, qid in rows]
            (self.raw / "annotations" / f"{split}.csv").write_text(HEADER + "".join(lines))
            videos = list(dict.fromkeys(int(video) for video, _ in rows))
            self.publish(f"frames/{split}.h5", ids=videos, feat=random.standard_normal((len(videos), 6, 4), np.float32))
            self.publish(f"text/options_{split}.h5", feat=random.standard_normal((len(rows), 5, 2, 3), np.float32))
            self.publish(f"text/question_{split}.h5", feat=random.standard_normal((len(rows), 2, 3), np.float32))
        regions = {"feat": random.standard_normal((3, 4, 2, 3, 3), np.float32), "bbox": 50 * np.ones((3, 4, 2, 3, 4), np.float32)}
        self.publish("regions.h5", ids=[7, 12, 3], **regions)
        self.settle(FEATURES)

    def publish(self, name, **arrays):
        self.arrays[name] = arrays
        with h5py.File(self.raw / name, "w") as file:
            for key, values in arrays.items():
                file[key] = values

    def settle(self, features):
        """The manifest of what lies there, as fetch leaves it, and params.yaml."""
        paths = sorted(path for path in self.raw.rglob("*") if path.is_file() and path.name != MANIFEST)
        origin = {"kind": "file", "path": "own"}
        files = {
            path.relative_to(self.raw).as_posix(): FileRecord(path.stat().st_size, str(n), origin) for n, path in enumerate(paths)
        }
        Manifest("demo", files).write(self.raw / MANIFEST)
        source = {"into": ".", "mirrors": [{"file": {"path": "own"}}]}
        content = {
            "worlds": {}, "dictionaries": {}, "runs": {}, "reports": {}, "features": {"demo": features},
            "datasets": {"demo": {"adapter": "planted_choice", "after": "nothing", "sources": [source]}},
        }  # fmt: skip
        (self.folder / "params.yaml").write_text(yaml.safe_dump(content))

    def run(self):
        places = {"raw": self.raw, "samples": self.folder / "samples", "features": self.folder / "stores"}
        places |= {"params": self.folder / "params.yaml"}
        return consolidate.main(["--name", "demo", *(str(part) for key, path in places.items() for part in (f"--{key}", path))])

    def store(self, name):
        return FeatureStore.open(self.folder / "stores" / f"{name}.zarr")


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_every_kind_of_array_becomes_a_store_of_the_right_items(place):
    assert place.run() == 0
    assert place.store("frames").ids == ["12", "3", "7"]
    np.testing.assert_array_equal(place.store("frames").rows("3"), place.arrays["frames/train.h5"]["feat"][1])
    assert place.store("question").ids == ["12_0", "3_0", "3_1", "7_0"]
    np.testing.assert_array_equal(place.store("question").rows("3_1"), place.arrays["text/question_train.h5"]["feat"][2])
    assert len(place.store("candidates")) == 20
    np.testing.assert_array_equal(place.store("candidates").rows("3_1#4"), place.arrays["text/options_train.h5"]["feat"][2, 4])
    objects = place.store("objects")
    assert (objects.ids, tuple(objects.info.grid), objects.info.dtype) == (["12", "3", "7"], (4, 2), "float16")
    np.testing.assert_allclose(objects.rows("3")[0, 3:], [0.25, 0.5, 0.25, 0.5, 5e-5], rtol=1e-2)  # of 200 x 100
    features = json.loads((place.folder / "samples" / "quality.json").read_text())["features"]
    assert features["candidates"] == {"items": 20, "rows": 40}


def test_a_second_run_keeps_the_stores_and_another_order_of_rows_makes_texts_anew(place, capsys):
    assert place.run() == 0
    assert place.run() == 0
    assert "(0 made, 4 kept)" in capsys.readouterr().out
    table = place.raw / "annotations" / "train.csv"
    header, first, second, third = table.read_text().splitlines(keepends=True)
    table.write_text("".join([header, first, third, second]))
    place.settle(FEATURES)
    assert place.run() == 0
    assert "(2 made, 2 kept)" in capsys.readouterr().out
    np.testing.assert_array_equal(place.store("question").rows("3_1"), place.arrays["text/question_train.h5"]["feat"][1])


def test_a_file_that_fetch_did_not_record_and_a_missing_split_are_faults(place, capsys):
    place.publish("frames/more.h5", ids=[99], feat=np.ones((1, 6, 4), np.float32))
    (place.raw / "text" / "question_iid.h5").unlink()
    assert place.run() == 1
    said = capsys.readouterr().err
    assert "frames/more.h5: is there, but manifest.json does not list it" in said
    assert "question_iid.h5: the file of split 'iid'" in said
