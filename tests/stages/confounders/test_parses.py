"""Parsing with the parser that comes with doflow: distinct texts, once, with the same result in any number of processes."""

import json
from pathlib import Path

import pytest

from stages.confounders import parses as module
from stages.confounders.parses import parses, tagger
from stages.confounders.question_graphs import components
from stages.confounders.stanza_models import ModelsError, model_files, models_digest, pipeline
from stages.worlds.language import ACTORS, VERBS

MODELS = {"folder": Path(__file__).parents[3] / "stages/confounders/english", "package": "small"}
QUESTION, ANSWER = "why did the boy climb up the ladder", "to reach the shelf"
TEXTS = [QUESTION, ANSWER, "what is the lady holding in her hand", "red cup", "", "two", QUESTION]


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def parsed(tmp_path_factory):
    kept = tmp_path_factory.mktemp("parses") / "texts.jsonl"
    return parses(TEXTS, **MODELS, kept=kept), kept


def test_a_question_becomes_its_components(parsed):
    found = components(parsed[0][QUESTION], parsed[0][ANSWER])
    assert (found.question_type, found.subject, found.verbs, found.objects) == ("why", "boy", ("climb",), ("ladder",))
    assert (found.answer, found.answer_verbs, found.answer_objects) == (ANSWER, ("reach",), ("shelf",))


def test_the_planted_verbs_are_read_as_verbs_and_the_actor_as_their_subject(tmp_path):
    asked = {(actor, verb.base): f"what does the {actor} {verb.base}" for actor in ACTORS[:4] for verb in VERBS}
    found = parses(asked.values(), **MODELS, kept=tmp_path / "texts.jsonl")
    for (actor, verb), text in asked.items():
        graph = components(found[text], found[text])
        assert (graph.question_type, graph.subject, graph.verbs) == ("what", actor, (verb,)), text


def test_an_empty_text_has_no_words_and_a_repeated_one_is_kept_once(parsed):
    found, kept = parsed
    assert list(found) == list(dict.fromkeys(TEXTS))
    assert found[""] == ()
    assert len(read(kept)) == 6
    assert [record["text"] for record in read(kept)] == sorted(record["text"] for record in read(kept))


def test_only_a_new_text_is_parsed_again(parsed, tmp_path, monkeypatch):
    asked = []
    whole = module.parse_block

    def watched(parser, texts):
        asked.extend(texts)
        return whole(parser, texts)

    monkeypatch.setattr(module, "parse_block", watched)
    kept = tmp_path / "texts.jsonl"
    kept.write_bytes(parsed[1].read_bytes())
    found = parses([*TEXTS[1:], "why did the girl climb up the ladder"], **MODELS, kept=kept)
    assert asked == ["why did the girl climb up the ladder"]
    assert {text: found[text] for text in TEXTS} == parsed[0]
    assert len(read(kept)) == 7
    parses(TEXTS, **MODELS, kept=kept)
    assert kept.read_bytes() == parsed[1].read_bytes()


def test_parses_of_other_models_are_not_taken(parsed, tmp_path):
    kept = tmp_path / "texts.jsonl"
    kept.write_text(parsed[1].read_text().replace(models_digest(**MODELS), "another"), encoding="utf-8")
    assert parses(TEXTS, **MODELS, kept=kept) == parsed[0]
    assert kept.read_bytes() == parsed[1].read_bytes()


def test_what_an_interrupted_run_has_parsed_is_taken(parsed, tmp_path, monkeypatch):
    lines = parsed[1].read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "texts.jsonl.unfinished").write_text("".join(lines) + lines[0][:20], encoding="utf-8")
    monkeypatch.setattr(module, "in_blocks", None)  # nothing is left to do
    assert parses(TEXTS, **MODELS, kept=tmp_path / "texts.jsonl") == parsed[0]
    assert [path.name for path in tmp_path.iterdir()] == ["texts.jsonl"]


def test_two_processes_give_the_same_bytes(parsed, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 3)
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    parses(TEXTS, **MODELS, kept=one)
    parses(TEXTS, **MODELS, kept=two, processes=2)
    assert one.read_bytes() == two.read_bytes() == parsed[1].read_bytes()


def test_the_tagger_keeps_the_tokens_it_is_given():
    tag = tagger(**MODELS)
    assert list(tag([["the", "boy", "is", "n't", "running"], [], ["dogs"]])) == [["DT", "NN", "VBZ", "RB", "VBG"], [], ["NNS"]]
    assert list(tag([])) == []


def test_a_missing_folder_says_how_to_fill_it(tmp_path):
    with pytest.raises(ModelsError, match=r"resources\.json is missing; get the full English package with: python -c .*download"):
        pipeline(tmp_path, "default")


def test_a_missing_file_of_a_package_is_named(tmp_path):
    index = json.loads((MODELS["folder"] / "resources.json").read_text())
    index["en"]["packages"]["default"] = dict.fromkeys(("tokenize", "mwt", "pos", "lemma", "depparse"), "small")
    index["en"]["pos"]["small"]["dependencies"] = [{"model": "pretrain", "package": "conll17"}]
    (tmp_path / "resources.json").write_text(json.dumps(index))
    for part in ("tokenize", "mwt", "pos", "lemma", "depparse", "pretrain"):
        name = "conll17" if part == "pretrain" else "small"
        path = tmp_path / f"en/{part}/{name}.pt"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")
    assert len(model_files(tmp_path, "default")) == 6
    (tmp_path / "en/pretrain/conll17.pt").unlink()
    with pytest.raises(ModelsError, match=r"conll17\.pt is missing, which package 'default' needs; get the full"):
        model_files(tmp_path, "default")
    with pytest.raises(ModelsError, match="package 'other' cannot be found"):
        model_files(tmp_path, "other")


def test_a_damaged_model_is_an_error_with_a_way_out(tmp_path):
    for path in model_files(**MODELS):
        copy = tmp_path / path.relative_to(MODELS["folder"])
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes()[:100])
    (tmp_path / "resources.json").write_bytes((MODELS["folder"] / "resources.json").read_bytes())
    with pytest.raises(ModelsError, match="package 'small' cannot be loaded"):
        pipeline(tmp_path, "small")
