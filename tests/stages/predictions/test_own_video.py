import numpy as np
import pytest
import torch

from stages.predictions.inference import PredictionError
from stages.predictions.own_video import normalised, read_objects, read_query, read_rows, read_video

ROWS = np.arange(12, dtype=np.float32).reshape(4, 3) + 1


@pytest.fixture
def files(tmp_path):
    """The same rows in every format."""
    np.savez(tmp_path / "clip.npz", features=ROWS, other=ROWS[:1])
    np.savez(tmp_path / "single.npz", anything=ROWS)
    np.save(tmp_path / "rows.npy", ROWS.astype(np.float16))
    torch.save(torch.from_numpy(ROWS), tmp_path / "rows.pt")
    return tmp_path


@pytest.mark.parametrize("name", ["clip.npz", "single.npz", "rows.npy", "rows.pt"])
def test_every_published_format_is_read(files, name):
    np.testing.assert_array_equal(read_rows(files / name), ROWS)


def test_rows_are_normalised_cut_to_the_shortest_and_put_side_by_side(files):
    np.save(files / "shorter.npy", ROWS[:3])
    video = read_video([files / "clip.npz", files / "shorter.npy"], width=6, fps=0.5)
    assert video.clips.shape == (3, 6)
    np.testing.assert_allclose(np.linalg.norm(video.clips[:, :3], axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(video.clips[:, :3], normalised(ROWS)[:3])
    assert (video.duration, video.name) == (6.0, "clip")


def fault(message, call, *arguments, **options):
    with pytest.raises(PredictionError, match=message):
        call(*arguments, **options)


def test_every_file_that_is_no_feature_file_is_named(files):
    (files / "cut.npz").write_bytes((files / "clip.npz").read_bytes()[:-40])
    np.savez(files / "two.npz", one=ROWS, two=ROWS)
    np.save(files / "flat.npy", ROWS[0])
    np.save(files / "nan.npy", np.where(ROWS == 5, np.nan, ROWS))
    np.save(files / "whole.npy", ROWS.astype(int))
    torch.save({"state": torch.zeros(1)}, files / "dict.pt")
    np.save(files / "pickled.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    fault(r"missing\.npz: no such file", read_rows, files / "missing.npz")
    fault(r"cut\.npz: not a readable feature file", read_rows, files / "cut.npz")
    fault(r"two\.npz: expected an array named features or last_hidden_state, it has one, two", read_rows, files / "two.npz")
    fault(r"flat\.npy: expected rows of floats .* of shape \(3,\)", read_rows, files / "flat.npy")
    fault(r"nan\.npy: row 1 has a value that is not finite", read_rows, files / "nan.npy")
    fault(r"whole\.npy: expected rows of floats .* int64", read_rows, files / "whole.npy")
    fault(r"dict\.pt: expected a bare tensor, got dict", read_rows, files / "dict.pt")
    fault(r"pickled\.npy: not a readable feature file", read_rows, files / "pickled.npy")
    (files / "video.mp4").write_bytes(b"x")
    fault(r"video\.mp4: expected a file that ends in", read_rows, files / "video.mp4")


def test_channels_have_to_add_up_to_those_of_the_run(files):
    fault(r"clip\.npz has 3 channels, 3 in all; the run takes 6", read_video, [files / "clip.npz"], width=6, fps=1)
    fault(r"clip\.npz: 3 channels; the run takes text features of 7", read_query, files / "clip.npz", width=7)


def test_features_of_different_videos_are_noticed(files):
    np.save(files / "long.npy", np.ones((40, 3), np.float32))
    fault("not features of one video", read_video, [files / "clip.npz", files / "long.npy"], width=6, fps=1)


def test_regions_of_frames_are_read_with_their_boxes(files):
    regions = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    np.save(files / "objects.npy", regions)
    np.testing.assert_array_equal(read_objects(files / "objects.npy", width=3), regions)
    fault(r"objects\.npy: 3 channels; the run takes objects of 5, boxes included", read_objects, files / "objects.npy", width=5)
    fault(r"rows\.npy: expected rows of floats \(frames, objects, channels\)", read_objects, files / "rows.npy", width=3)
