"""The vocabulary stage on the published lists and the published word vectors, as a pickle that is never unpickled."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from stages.datasets.samples import load_adapter, write_samples
from stages.features.settings import TaggerModels, VocabularyEntry
from stages.features.vocabularies import VocabularyError, read_sentences, read_vocabulary
from stages.vocabulary import build
from tests.shared import SHARED, there

CHARADES = SHARED / "data/charades_sta"
MODELS = Path(__file__).parents[2] / "stages" / "confounders" / "english"
ENTRY = {
    "dataset": "charades_sta_i3d", "form": "pickle", "file": "glove.pkl", "width": 300, "seed": 0, "limit": 1111, "longest": 20,
    "tagger": "closed_class",
}  # fmt: skip


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Samples of the authors' lists, and glove.pkl in the form in which they publish it."""
    there(CHARADES)
    raw = tmp_path_factory.mktemp("raw")
    (raw / "annotations").mkdir()
    for split in ("train", "test"):
        (raw / "annotations" / f"{split}.json.gz").symlink_to((CHARADES / f"cpl_{split}.json.gz").resolve())
    with np.load(CHARADES / "cpl_vocab_glove.npz") as known:
        words, counts, vectors, kept = (known[name] for name in ("words", "counts", "vectors", "most_common"))
    content = {
        "w2id": {str(word): row for row, word in enumerate(words)},
        "id2vec": list(vectors),
        "counter": Counter(dict(zip(map(str, words[1:]), map(int, counts[1:]), strict=True))),
    }
    (raw / "glove.pkl").write_bytes(pickle.dumps(content))
    write_samples(load_adapter("charades_sta_cpl"), raw, raw / "samples")
    return raw, [str(word) for word in kept]


@pytest.mark.shared
def test_classes_are_those_of_the_published_models(published, tmp_path):
    raw, kept = published
    build(VocabularyEntry(**ENTRY, counted="published"), samples=raw / "samples", raw=raw, out=tmp_path / "v.npz")
    assert list(read_vocabulary(tmp_path / "v.npz").words) == kept
    assert read_vocabulary(tmp_path / "v.npz").classes == 1112


@pytest.mark.shared
def test_words_of_test_sentences_alone_are_not_learnt(published, tmp_path):
    raw, kept = published
    left_out = build(VocabularyEntry(**ENTRY, counted="training"), samples=raw / "samples", raw=raw, out=tmp_path / "v.npz")
    words = read_vocabulary(tmp_path / "v.npz").words
    assert len(words) < len(kept)
    assert left_out == {"train": 0, "test": 0}
    assert read_sentences(tmp_path / "v.npz", "test").length("0") > 0


def test_entry_that_cannot_be_meant_is_refused():
    with pytest.raises(ValueError, match="form seeded has no file"):
        VocabularyEntry(**(ENTRY | {"form": "seeded"}), counted="training")


def test_missing_vocabulary_says_how_to_make_it(tmp_path):
    with pytest.raises(VocabularyError, match="make it with the vocabulary stage"):
        read_vocabulary(tmp_path / "v.npz")


def test_models_belong_to_the_tagger_that_has_some():
    with pytest.raises(ValueError, match="only the tagger stanza"):
        VocabularyEntry(**ENTRY, counted="training", models=TaggerModels(folder="x", package="y"))


def test_models_that_are_not_there_are_named(tmp_path):
    models = TaggerModels(folder=str(tmp_path / "none"), package="small")
    entry = VocabularyEntry(**(ENTRY | {"tagger": "stanza"}), counted="training", models=models)
    with pytest.raises(LookupError, match=r"none.resources\.json is missing"):
        build(entry, samples=tmp_path, raw=tmp_path, out=tmp_path / "v.npz")


@pytest.mark.skipif(not (MODELS / "resources.json").is_file(), reason="no parser of our own: train it first")
def test_words_weigh_as_their_tags_in_the_sentence_say(tmp_path):
    """Our own parser knows a verb where the list of function words only knows that a word is not in it."""
    raw = tmp_path / "raw"
    (raw / "annotations").mkdir(parents=True)
    said = {"train": "the person is opening the old door slowly with three keys", "test": "they open a door"}
    for split, sentence in said.items():
        rows = [
            {"vid": f"{split}{n}", "qid": n, "query": sentence, "duration": 9.0, "relevant_windows": [[0, 4]]} for n in range(30)
        ]
        name = {"train": "train", "test": "iid"}[split]
        (raw / "annotations" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_samples(load_adapter("planted"), raw, tmp_path / "samples", dataset="x")
    entry = ENTRY | {"form": "seeded", "file": None, "width": 4, "limit": None, "tagger": "stanza"}
    models = TaggerModels(folder=str(MODELS), package="small")
    found = {}
    for name, chosen in (("own", entry | {"models": models}), ("list", entry | {"tagger": "closed_class"})):
        build(VocabularyEntry(**chosen, counted="training"), samples=tmp_path / "samples", raw=raw, out=tmp_path / name)
        words = read_vocabulary(tmp_path / name).words
        with np.load(tmp_path / name) as content:
            weights = content["train/weights"].tolist()
            classes = content["train/classes"].tolist()
            about = json.loads(str(content["provenance"]))
        found[name] = {words[number - 1]: weight for number, weight in zip(classes, weights, strict=True)}
        assert (about["tags"] is None) == (name == "list")
    assert {word for word, weight in found["own"].items() if weight == 2} >= {"person", "opening", "door", "slowly", "keys"}
    assert {word for word, weight in found["own"].items() if weight == 1} >= {"the", "with", "three"}
    assert found["list"]["three"] == 2
