"""Annotation files of VidVRD and VidOR: what is read, what is counted, what is refused."""

import copy
import json

import numpy as np
import pytest

from stages.datasets import planted_relations, vidor, vidvrd
from stages.datasets.relation_records import read_relation_file
from stages.datasets.relation_schema import Instance, RelationSample
from stages.datasets.samples import read_samples, write_samples
from stages.datasets.schema import DatasetError, Quality, Source


def box(left, top, right, bottom):
    return {"xmin": left, "ymin": top, "xmax": right, "ymax": bottom}


VIDEO = {
    "video_id": "v1",
    "frame_count": 3,
    "fps": 30.0,
    "width": 100,
    "height": 50,
    "subject/objects": [{"tid": 0, "category": "dog"}, {"tid": 4, "category": "cat"}],
    "trajectories": [
        [{"tid": 4, "bbox": box(50, 0, 69, 19), "generated": 0}, {"tid": 0, "bbox": box(0, 0, 9, 9), "generated": 1}],
        [{"tid": 0, "bbox": box(1, 0, 10, 9), "generated": 0}, {"tid": 4, "bbox": box(51, 0, 70, 19), "generated": 0}],
        [{"tid": 4, "bbox": box(52, 0, 71, 19), "generated": 0}],
    ],
    "relation_instances": [{"subject_tid": 0, "object_tid": 4, "predicate": "chase", "begin_fid": 0, "end_fid": 2}],
}


def read(folder, video=VIDEO, name="v1"):
    path = folder / f"{name}.json"
    path.write_text(json.dumps(video))
    quality = Quality()
    return read_relation_file(path, path.name, 1, quality), quality


def test_a_video_says_who_is_where_and_does_what(tmp_path):
    sample, quality = read(tmp_path)
    assert (sample.sample_id, sample.frame_count, sample.duration, sample.width) == ("v1", 3, 0.1, 100)
    assert sample.category == {0: "dog", 4: "cat"}
    assert sample.instances == (Instance(0, 4, "chase", 0, 2),)
    boxes, there = sample.boxes(0, 1, 3)
    assert boxes.tolist() == [[1, 0, 10, 9], [0, 0, 0, 0]]
    assert there.tolist() == [True, False]
    (relation,) = sample.truth()
    assert relation.triplet == ("dog", "chase", "cat")
    np.testing.assert_array_equal(relation.object, [[50, 0, 69, 19], [51, 0, 70, 19]])
    assert not quality.counts


def changed(path, value):
    """The video with one value replaced; a path of keys and places."""
    video = copy.deepcopy(VIDEO)
    part = video
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    return video


FAULTS = [
    (["video_id"], "v2", r"video_id 'v2' is not the file's name"),
    (["frame_count"], 4, r"trajectories: 3 frames, but frame_count is 4"),
    (["fps"], 0, r"fps: expected frames per second above 0"),
    (["width"], "100", r"width: expected a whole number above 0, got '100'"),
    (["subject/objects", 1, "tid"], 0, r"subject/objects\[1\]: tid 0 is given twice"),
    (["trajectories", 1, 0, "tid"], 7, r"trajectories\[1\]: tid 7 is none of subject/objects"),
    (["trajectories", 1, 0, "tid"], 4, r"trajectories\[1\]: tid 4 occurs twice"),
    (["trajectories", 0, 0, "bbox"], {"xmin": 1}, r"trajectories\[0\]: tid 4: bbox: ymin: missing"),
    (["trajectories", 0, 1, "bbox"], box(9, 0, 0, 9), r"tid 0: bbox: its sides are the wrong way round"),
    (["trajectories", 0, 1, "bbox"], box(0, 0, 10**400, 9), r"tid 0: bbox: xmax: expected pixels"),
    (["trajectories", 0, 1, "bbox"], box(0, 0, "9", 9), r"tid 0: bbox: xmax: expected pixels, got '9'"),
    (["trajectories", 0, 1, "bbox"], box(0, 0, 1e308, 9), r"tid 0: bbox: xmax: expected pixels"),
    (["relation_instances", 0, "end_fid"], 3, r"subject_tid 0 has no box in 1 of its frames 0 to 2, the first is 2"),
    (["relation_instances", 0, "end_fid"], 9, r"expected 0 <= begin_fid < end_fid <= 3, got 0 and 9"),
    (["relation_instances", 0, "object_tid"], 9, r"object_tid 9 is none of subject/objects"),
    (["relation_instances", 0, "predicate"], None, r"relation_instances\[0\]: predicate: expected text"),
    (["trajectories", 0, 0], 5, r"trajectories\[0\]: expected a JSON object"),
]


@pytest.mark.parametrize(("path", "value", "message"), FAULTS)
def test_what_cannot_be_is_refused_with_file_and_field(tmp_path, path, value, message):
    with pytest.raises(DatasetError, match=rf"v[12]\.json: .*{message}"):
        read(tmp_path, changed(path, value))


def test_a_missing_field_is_named(tmp_path):
    video = {key: value for key, value in VIDEO.items() if key != "relation_instances"}
    with pytest.raises(DatasetError, match="relation_instances: missing"):
        read(tmp_path, video)


def test_oddities_are_counted(tmp_path):
    video = changed(["trajectories", 0, 0, "bbox"], box(50, 0, 120, 19))
    video["relation_instances"] *= 2
    _, quality = read(tmp_path, {**video, "remark": "x"})
    assert quality.counts == {"box_outside_frame": 1, "relation_repeated": 1, "unknown_key": 1}
    _, quality = read(tmp_path, {**VIDEO, "relation_instances": []})
    assert quality.counts == {"video_without_relation": 1}


def test_samples_come_back_from_disk_as_they_were(tmp_path):
    raw = tmp_path / "raw"
    for split in ("train", "iid"):
        folder = raw / "annotations" / split
        folder.mkdir(parents=True)
        for number in range(2):
            name = f"{split}_{number}"
            (folder / f"{name}.json").write_text(json.dumps({**VIDEO, "video_id": name}))
    report = write_samples(planted_relations, raw, tmp_path / "samples")
    assert report["task"] == "relations"
    assert set(report["absent"]) == {"interventional", "reversed"}
    assert report["splits"]["train"] == {
        **report["splits"]["train"], "file": "annotations/train/", "files": 2, "samples": 2, "without_relation": 0
    }  # fmt: skip
    samples = read_samples(tmp_path / "samples", "train", RelationSample)
    assert samples == list(planted_relations.read(raw, "train", Quality()))
    assert [sample.record for sample in samples] == [1, 2]


@pytest.mark.parametrize("adapter", [vidvrd, vidor])
def test_published_layouts(tmp_path, adapter):
    source: Source = adapter.SOURCE
    folder = tmp_path / source.files["train"] / ("0001" if adapter is vidor else "")
    folder.mkdir(parents=True)
    (folder / "v1.json").write_text(json.dumps({"version": "VERSION 1.0", **VIDEO}))
    (sample,) = adapter.read(tmp_path, "train", Quality())
    assert sample.video_id == "v1"
    assert sample.source == ("0001/v1.json" if adapter is vidor else "v1.json")


def test_an_empty_folder_is_no_split(tmp_path):
    (tmp_path / "annotations" / "train").mkdir(parents=True)
    with pytest.raises(DatasetError, match="annotations/train is there"):
        list(vidvrd.read(tmp_path, "train", Quality()))
