"""The semantic_graph stage: from questions and answers to clustered graphs, on samples and on any table."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from stages import semantic_graph
from stages.confounders.blocks import SCHEDULER, EngineError
from stages.confounders.clip_text import encode
from stages.confounders.graph_files import read_graphs
from stages.confounders.settings import Graphs, StanzaPackage
from stages.semantic_graph import QuestionsError, build, pairs_of_table
from tests.stages.confounders.small_clip import write_small_clip

ENGLISH = Path(__file__).parents[2] / "stages/confounders/english"
PAIRS = [
    ("why did the boy climb up the ladder", "to reach the shelf"),
    ("what is the lady holding in her hand", "red cup"),
    ("how many dogs are running", "two"),
    ("why did the boy climb up the ladder", "to reach the shelf"),
    ("what did the man do after he sat down", "drink water"),
]
SETTINGS = Graphs(
    dataset="tiny", stanza=StanzaPackage(folder=str(ENGLISH), package="small"), encoder="encoders/clip_text", clusters=3, seed=43
)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw") / "encoders/clip_text"
    return write_small_clip(folder, [text for pair in PAIRS for text in pair])


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "questions.csv"
    rows = [f'7,{question},"{answer}"' for question, answer in PAIRS]
    path.write_text("\n".join(["video,question,answer", *rows, "7,unanswered,"]) + "\n", encoding="utf-8")
    return path


def files(out):
    return {path.suffix: path.read_bytes() for path in (out, out.with_suffix(".json"), out.with_suffix(".parses.jsonl"))}


def test_questions_become_clustered_graphs(encoder, tmp_path):
    out = tmp_path / "graphs" / "tiny.npz"
    build(SETTINGS, PAIRS, encoder=encoder, out=out)
    assert read_graphs(out).shape == (3, 8, 16)
    with np.load(out, allow_pickle=False) as content:
        assert content["counts"].sum() == len(PAIRS)
    texts = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    assert len(texts["graphs"]) == 4
    assert texts["graphs"][0] == {
        "texts": [PAIRS[0][0], "why", "boy", "climb", "ladder", PAIRS[0][1], "reach", "shelf"],
        "samples": 2,
        "cluster": texts["graphs"][0]["cluster"],
    }
    assert texts["empty"]["question"] == 0
    assert texts["provenance"]["samples"] == 5


def test_centres_are_the_vectors_of_the_texts(encoder, tmp_path):
    out = tmp_path / "one.npz"
    build(replace(SETTINGS, clusters=1), PAIRS[:1], encoder=encoder, out=out)
    texts = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))["graphs"][0]["texts"]
    np.testing.assert_allclose(read_graphs(out)[0], encode(texts, encoder), atol=1e-6)


def test_two_runs_and_two_processes_give_the_same_bytes(encoder, tmp_path):
    one, two = tmp_path / "one.npz", tmp_path / "two.npz"
    build(SETTINGS, PAIRS, encoder=encoder, out=one)
    first = files(one)
    build(SETTINGS, PAIRS, encoder=encoder, out=one)
    assert files(one) == first
    build(replace(SETTINGS, processes=2), PAIRS, encoder=encoder, out=two)
    assert files(two) == first


@pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="Dask is not installed (pip install -e '.[dask]')")
@pytest.mark.parametrize("scheduler", ["local", "elsewhere"])
def test_dask_workers_give_the_same_bytes(encoder, tmp_path, monkeypatch, scheduler):
    from distributed import LocalCluster

    one, two = tmp_path / "one.npz", tmp_path / "two.npz"
    build(SETTINGS, PAIRS, encoder=encoder, out=one)
    first = files(one)
    spread = replace(SETTINGS, processes=2, engine="dask")
    if scheduler == "local":
        build(spread, PAIRS, encoder=encoder, out=two)
    else:
        with LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=None) as cluster:
            monkeypatch.setenv(SCHEDULER, cluster.scheduler_address)
            build(spread, PAIRS, encoder=encoder, out=two)
    assert files(two) == first


@pytest.mark.skipif(importlib.util.find_spec("distributed") is not None, reason="Dask is installed")
def test_dask_that_is_not_installed_is_said_with_the_way_out(encoder, tmp_path):
    with pytest.raises(EngineError, match="pip install distributed, or engine: processes"):
        build(replace(SETTINGS, engine="dask"), PAIRS, encoder=encoder, out=tmp_path / "one.npz")


def test_any_table_with_questions_and_answers_will_do(table, tmp_path):
    assert pairs_of_table(table, "question", "answer", ",") == PAIRS
    with pytest.raises(QuestionsError, match="no column 'reply', it has video, question, answer"):
        pairs_of_table(table, "question", "reply", ",")
    with pytest.raises(QuestionsError, match="no such file"):
        pairs_of_table(tmp_path / "none.csv", "question", "answer", ",")


def test_the_command_writes_or_says_what_is_missing(table, encoder, tmp_path, capsys):
    params = {name: {} for name in ("worlds", "dictionaries", "runs", "reports", "datasets", "features", "vocabularies")}
    entry = {"dataset": "tiny", "stanza": {"folder": str(ENGLISH), "package": "small"}, "encoder": encoder.name}
    params["graphs"] = {"tiny": {**entry, "clusters": 2, "seed": 1}}
    source = {"into": ".", "mirrors": [{"file": {"path": "somewhere"}}]}
    params["datasets"] = {"tiny": {"adapter": "planted", "after": "x", "sources": [source]}}
    params["features"] = {"tiny": {}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    command = ["--name", "tiny", "--csv", str(table), "--out", str(tmp_path / "t.npz"), "--params", str(tmp_path / "params.yaml")]
    assert semantic_graph.main([*command, "--raw", str(encoder.parent)]) == 0
    assert read_graphs(tmp_path / "t.npz").shape == (2, 8, 16)
    assert semantic_graph.main([*command, "--raw", str(tmp_path)]) == 2
    assert "config.json is missing" in capsys.readouterr().err
    params["graphs"]["tiny"]["stanza"] = {"folder": str(tmp_path), "package": "default"}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    assert semantic_graph.main([*command, "--raw", str(encoder.parent)]) == 2
    assert "resources.json is missing; get the full English package with" in capsys.readouterr().err
