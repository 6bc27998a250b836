"""Word vectors from every published form; and a pickle is read, never run."""

from __future__ import annotations

import os
import pickle
from collections import Counter, OrderedDict
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.features.pickled import PickledError, read_pickled
from stages.features.word_vectors import WordVectorError, word_vectors

VECTORS = {"a": [1.0, 2.0], "dog": [-0.5, 1e-3], "the": [3.0, 4.0]}


def written(tmp_path, content):
    path = tmp_path / "vectors"
    path.write_bytes(content)
    return path


def text(vectors):
    return "".join(f"{word} {' '.join(map(str, row))}\n" for word, row in vectors.items()).encode()


def binary(vectors):
    rows = b"".join(word.encode() + b" " + np.array(row, "<f4").tobytes() + b"\n" for word, row in vectors.items())
    return f"{len(vectors)} 2\n".encode() + rows


def pickled(vectors, protocol=2, **more):
    content = {
        "w2id": {"<PAD>": 0, **{word: row + 1 for row, word in enumerate(vectors)}},
        "id2vec": [np.zeros(2, np.float32), *(np.array(row, np.float32) for row in vectors.values())],
        "counter": Counter({"a": 3}),
    }
    return pickle.dumps(content | more, protocol)


FORMS = {"text": text, "binary": binary, "pickle": pickled}


@pytest.mark.parametrize("form", FORMS)
def test_words_asked_for_are_found_in_every_form(tmp_path, form):
    found = word_vectors(form, written(tmp_path, FORMS[form](VECTORS)), {"a", "dog", "absent"}, width=2)
    assert sorted(found) == ["a", "dog"]
    np.testing.assert_allclose(found["dog"], VECTORS["dog"])
    assert found["a"].dtype == np.float32


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("width", [1, 3])
def test_another_width_is_refused(tmp_path, form, width):
    vectors = {"dog": VECTORS["dog"]} if form == "text" and width == 1 else VECTORS
    with pytest.raises(WordVectorError):
        word_vectors(form, written(tmp_path, FORMS[form](vectors)), {"dog"}, width=width)


@pytest.mark.parametrize("form", ["binary", "pickle"])
def test_file_that_is_cut_short_is_refused(tmp_path, form):
    with pytest.raises(WordVectorError, match=r"cut short|damaged"):
        word_vectors(form, written(tmp_path, FORMS[form](VECTORS)[:-9]), VECTORS, width=2)


@pytest.mark.parametrize("vector", [[[1.0], 2.0], ["a", 1.0], {"x": 1}, None])
def test_a_pickled_vector_that_is_no_list_of_numbers_is_refused(tmp_path, vector):
    path = written(tmp_path, pickled(VECTORS, id2vec=[vector] * 3))
    with pytest.raises(WordVectorError, match="vector of"):
        word_vectors("pickle", path, VECTORS, width=2)


def test_seeded_vectors_depend_on_word_and_seed_alone():
    one, other = (word_vectors("seeded", None, words, width=16, seed=1) for words in (["a", "b"], ["b", "c"]))
    np.testing.assert_array_equal(one["b"], other["b"])
    assert abs(float(one["a"] @ one["b"])) < 0.9
    assert not np.array_equal(one["a"], word_vectors("seeded", None, ["a"], width=16, seed=2)["a"])


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_of_every_protocol_is_read(tmp_path, protocol):
    content = {"n": None, "t": (1, -2.5, True), "l": [b"x", "\u00e4"], "c": Counter("aab"), "o": OrderedDict(a=1)}
    content |= {"array": np.arange(6, dtype=np.float64).reshape(2, 3), "big": 2**70}
    if protocol >= 4:
        content["s"] = {1, 2}
    found = read_pickled(written(tmp_path, pickle.dumps(content, protocol)))
    np.testing.assert_array_equal(found.pop("array"), content.pop("array"))
    assert found == content


class Evil:
    def __reduce__(self):
        return os.system, ("touch evil",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_that_wants_to_run_something_is_refused_and_runs_nothing(tmp_path, monkeypatch, protocol):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PickledError, match="refused"):
        read_pickled(written(tmp_path, pickle.dumps({"w2id": Evil()}, protocol)))
    assert not (tmp_path / "evil").exists()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "x"
    path.write_bytes(content)
    with suppress(PickledError):
        read_pickled(path)
