import json

import numpy as np
import pytest
import yaml

from stages import dictionary
from stages.confounders.files import read_rows
from stages.datasets.samples import held_out
from stages.features.store import FeatureStore
from tests.stages import tiny


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tiny.make(tmp_path_factory.mktemp("tiny"))


def build(work, out, name="tiny-video", *more, **changes):
    """The arrays of a dictionary, its entry changed as given."""
    params = yaml.safe_load(work.params.read_text())
    params["dictionaries"][name] |= changes
    changed = out.with_suffix(".yaml")
    changed.write_text(yaml.safe_dump(params))
    folders = ["--samples", str(work.samples), "--features", str(work.features)]
    dictionary.main(["--name", name, *folders, "--out", str(out), "--params", str(changed), *more])
    with np.load(out, allow_pickle=False) as content:
        return dict(content)


def fed(work, names, item):
    """The rows of an item as a model is fed them, by the definition."""
    parts = []
    for name in names:
        rows = np.array(FeatureStore.open(work.features / f"{name}.zarr").rows(item), dtype=np.float32)
        parts.append(rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-5))
    return np.concatenate(parts, axis=1)


def test_rows_are_pooled_training_videos_as_the_model_is_fed_them(work, tmp_path):
    found = build(work, tmp_path / "d.npz")
    assert found["mean_pool_c"].shape == found["max_pool_c"].shape == found["centres"].shape == (4, 11)
    for row, item in zip(found["mean_pool_c"], found["item_ids"], strict=True):
        np.testing.assert_allclose(row, fed(work, ("clip", "slowfast"), str(item)).mean(axis=0), atol=1e-6)


def test_videos_of_other_splits_and_held_out_ones_are_not_in_it(work, tmp_path):
    found = build(work, tmp_path / "d.npz")
    trained = [f"train_{video:03d}" for video in range(24)]
    assert any(held_out(video) for video in trained)
    assert set(found["item_ids"]) <= {video for video in trained if not held_out(video)}
    assert found["counts"].sum() == sum(not held_out(video) for video in trained)


def test_queries_are_clustered_by_query_id(work, tmp_path):
    found = build(work, tmp_path / "d.npz", "tiny-query")
    assert found["mean_pool_c"].shape == (4, 7)
    assert found["counts"].sum() == 2 * sum(not held_out(f"train_{video:03d}") for video in range(24))


def test_the_same_entry_gives_the_same_bytes(work, tmp_path):
    build(work, tmp_path / "a.npz")
    build(work, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_centres_can_be_the_rows(work, tmp_path):
    found = build(work, tmp_path / "d.npz", row="centre")
    assert np.array_equal(found["mean_pool_c"], found["centres"])


def test_a_released_dictionary_takes_raw_rows_of_every_item_source_by_source(work, tmp_path):
    found = build(work, tmp_path / "d.npz", numerics="released")
    assert found["item_ids"].shape == found["counts"].shape == (4, 2)
    assert found["counts"].sum(axis=0).tolist() == [30, 30]  # 24 training videos and 6 of the test split
    for source, (name, columns) in enumerate((("clip", slice(0, 6)), ("slowfast", slice(6, 11)))):
        store = FeatureStore.open(work.features / f"{name}.zarr")
        for row, item in zip(found["mean_pool_c"], found["item_ids"][:, source], strict=True):
            np.testing.assert_array_equal(row[columns], np.array(store.rows(str(item))).mean(axis=0))


def test_published_files_are_taken_as_they_are(work, tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    for number, name in enumerate(("cluster_clip.npz", "cluster_slowfast.npz")):
        np.savez(raw / name, mean_pool_c=np.full((4, 2), number, np.float32), max_pool_c=np.zeros((4, 2), np.float32))
    files = ["cluster_clip.npz", "cluster_slowfast.npz"]
    build(work, tmp_path / "d.npz", "tiny-video", "--raw", str(raw), published=files)
    assert read_rows(tmp_path / "d.npz").tolist() == [[0, 0, 1, 1]] * 4


def refusal(work, capsys, out, *more, **changes):
    with pytest.raises(SystemExit) as stopped:
        build(work, out, *more, **changes)
    assert stopped.value.code == 2
    assert not out.exists()
    return capsys.readouterr().err


def test_published_files_need_their_folder_and_the_right_number_of_rows(work, tmp_path, capsys):
    assert "give it" in refusal(work, capsys, tmp_path / "d.npz", published=["x.npz"])
    np.savez(tmp_path / "x.npz", mean_pool_c=np.ones((3, 2)), max_pool_c=np.ones((3, 2)))
    message = refusal(work, capsys, tmp_path / "d.npz", "tiny-video", "--raw", str(tmp_path), published=["x.npz"])
    assert "3 rows, but k is 4; set k to the number of rows" in message


def test_videos_and_queries_cannot_share_a_dictionary(work, tmp_path, capsys):
    assert "cannot share a dictionary" in refusal(work, capsys, tmp_path / "d.npz", features=["clip", "words"])


def test_more_clusters_than_training_items_are_refused(work, tmp_path, capsys):
    assert "cannot make 100 clusters; set a smaller k" in refusal(work, capsys, tmp_path / "d.npz", k=100)


def test_the_provenance_says_how_it_was_made(work, tmp_path):
    about = json.loads(str(build(work, tmp_path / "d.npz")["provenance"]))
    assert about["k"] == 4
    assert about["stores"] == {"clip": "recipe of clip", "slowfast": "recipe of slowfast"}
    assert str(tmp_path) not in json.dumps(about)


def test_over_frames_every_training_frame_is_a_row_as_published(work, tmp_path):
    found = build(work, tmp_path / "d.npz", over="frames", k=1)
    trained = [f"train_{video:03d}" for video in range(24) if not held_out(f"train_{video:03d}")]
    stores = [FeatureStore.open(work.features / f"{name}.zarr") for name in ("clip", "slowfast")]
    rows = np.concatenate([np.concatenate([store.rows(item) for store in stores], axis=1) for item in trained])
    assert found["counts"].tolist() == [len(rows)]
    np.testing.assert_allclose(found["centres"][0], rows.mean(axis=0), atol=0.1)  # mini-batches see a part of them
    np.testing.assert_array_equal(read_rows(tmp_path / "d.npz"), found["centres"])
