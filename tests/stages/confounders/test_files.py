import json

import numpy as np
import pytest

from stages.confounders.files import DictionaryError, join_by_row, read_rows, write_dictionary

ROWS = np.arange(6, dtype=np.float32).reshape(3, 2)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "folder" / "d.npz"
    arrays = {"mean_pool_c": ROWS, "max_pool_c": -ROWS, "item_ids": np.array(["a", "b", "ü"])}
    write_dictionary(path, arrays, {"k": 3})
    return path


def test_a_dictionary_is_read_without_pickle(path):
    assert np.array_equal(read_rows(path), ROWS)
    assert np.array_equal(read_rows(path, "max_pool_c"), -ROWS)
    with np.load(path, allow_pickle=False) as content:
        assert content["item_ids"].tolist() == ["a", "b", "ü"]
        assert json.loads(str(content["provenance"])) == {"k": 3}


def test_the_same_content_has_the_same_bytes_at_any_time(path, tmp_path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 2e9)
    again = tmp_path / "again.npz"
    write_dictionary(again, {"mean_pool_c": ROWS, "max_pool_c": -ROWS, "item_ids": np.array(["a", "b", "ü"])}, {"k": 3})
    assert again.read_bytes() == path.read_bytes()


def test_published_sources_are_joined_row_by_row(path, tmp_path):
    published = tmp_path / "cluster_slowfast.npz"
    np.savez(published, mean_pool_c=np.ones((3, 4)), max_pool_c=np.zeros((3, 4)))
    joined = join_by_row([path, published])
    assert joined.dtype == np.float32
    assert joined.tolist() == np.concatenate([ROWS, np.ones((3, 4))], axis=1).tolist()


def test_sources_of_different_numbers_of_rows_cannot_be_joined(path, tmp_path):
    np.savez(tmp_path / "other.npz", mean_pool_c=np.ones((4, 4)))
    with pytest.raises(DictionaryError, match=r"other.npz: 4 rows, but .*d.npz has 3"):
        join_by_row([path, tmp_path / "other.npz"])


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"centres": ROWS}, "no key 'mean_pool_c', it has centres"),
        ({"mean_pool_c": ROWS[0]}, r"float32 of shape \(2,\), expected floats of shape \(K, D\)"),
        ({"mean_pool_c": np.arange(4).reshape(2, 2)}, "int64 of shape"),
        ({"mean_pool_c": np.array([[0.0, 1.0], [np.nan, 0.0]])}, "mean_pool_c: row 1 is not finite"),
        ({"mean_pool_c": np.array([["a"]], dtype=object)}, "not a readable npz of plain arrays"),
    ],
)
def test_what_is_no_dictionary_is_refused_with_its_name(tmp_path, arrays, complaint):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(DictionaryError, match=f"bad.npz: .*{complaint}|bad.npz: {complaint}"):
        read_rows(tmp_path / "bad.npz")


def test_a_torn_or_missing_file_is_refused(path, tmp_path):
    torn = tmp_path / "torn.npz"
    torn.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DictionaryError, match=r"torn.npz: not a readable npz"):
        read_rows(torn)
    with pytest.raises(DictionaryError, match=r"none.npz: no such file; build it with the dictionary stage"):
        read_rows(tmp_path / "none.npz")
