"""Training the small parser: the whole way on a handful of sentences, and what the stored models are."""

import hashlib
import json
from pathlib import Path

import pytest
import torch

from stages import train_parser
from stages.confounders import parser_training
from stages.confounders.parser_training import Effort, TrainingError, halve, pack, train
from stages.confounders.parses import parse_block
from stages.confounders.stanza_models import PARTS, model_files, pipeline

ENGLISH = Path(__file__).parents[2] / "stages/confounders/english"
SUBJECTS, VERBS, OBJECTS = ("boy", "girl", "dog", "man"), ("sees", "holds", "wants"), ("cup", "ball", "toy", "shoe")


def sentence(number, subject, verb, thing, tagged):
    words = [("The", "the", "DET", "DT", 2, "det"), (subject, subject, "NOUN", "NN", 3, "nsubj")]
    words += [(verb, verb[:-1], "VERB", "VBZ", 0, "root"), ("n't", "not", "PART", "RB", 3, "advmod")]
    words += [("the", "the", "DET", "DT", 6, "det"), (thing, thing, "NOUN", "NN", 3, "obj"), ("?", "?", "PUNCT", ".", 3, "punct")]
    lines = [f"# sent_id = tiny-{number:04d}"]
    for place, (form, lemma, upos, xpos, head, relation) in enumerate(words, start=1):
        if place == 3:
            lines.append(f"3-4\t{verb}n't" + "\t_" * 8)
        lines.append("\t".join([str(place), form, lemma, upos, xpos if tagged else "_", "_", str(head), relation, "_", "_"]))
    return "\n".join(lines) + "\n\n"


@pytest.fixture(scope="module")
def treebanks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("treebanks")
    every = [(subject, verb, thing) for subject in SUBJECTS for verb in VERBS for thing in OBJECTS]
    for part in ("train", "dev", "test", "extra_atis"):
        text = "".join(sentence(number, *words, tagged=part != "extra_atis") for number, words in enumerate(every))
        (folder / f"{part}.conllu").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.slow
def test_treebanks_become_a_package_that_parses(treebanks, tmp_path, monkeypatch, capsys):
    effort = Effort(tokenize=60, mwt=1, pos=30, lemma=1, depparse=30, depparse_refined=10)
    monkeypatch.setattr(train_parser, "Effort", lambda: effort)
    out = tmp_path / "package"
    assert train_parser.main([str(treebanks), "--out", str(out), "--work", str(tmp_path / "work")]) == 0
    found = json.loads((out / "scores.json").read_text())
    assert found == json.loads(capsys.readouterr().out[-len((out / "scores.json").read_text()) :])
    assert found["f1"]["tokens"]["UPOS"] > 90
    assert found["f1"]["tags"]["LAS"] > 50
    assert len(parse_block(pipeline(out, "small"), ["The boy sees the cup", "The dog holds the toy"])) == 2


def test_weights_are_stored_in_half_precision_with_the_same_bytes(tmp_path):
    source = model_files(ENGLISH, "small", ("pos",))[0]
    one, two = tmp_path / "one" / "small.pt", tmp_path / "two" / "small.pt"
    for target in (one, two):
        target.parent.mkdir()
        halve(source, target)
    assert one.read_bytes() == two.read_bytes() == source.read_bytes()
    assert {value.dtype for value in torch.load(one, weights_only=True)["model"].values()} == {torch.float16}


def test_the_package_in_the_repository_is_whole_and_small():
    files = model_files(ENGLISH, "small")
    known = json.loads((ENGLISH / "resources.json").read_text())["en"]
    assert [path.parent.name for path in files] == sorted(PARTS)
    for path in files:
        assert hashlib.md5(path.read_bytes()).hexdigest() == known[path.parent.name]["small"]["md5"]
    assert sum(path.stat().st_size for path in files) < 16e6
    assert json.loads((ENGLISH / "scores.json").read_text())["bytes"] == sum(path.stat().st_size for path in files)
    assert "CC BY-SA 4.0" in (ENGLISH / "README.md").read_text()


def test_no_path_of_the_machine_is_stored_in_the_models():
    for path in model_files(ENGLISH, "small"):
        config = torch.load(path, weights_only=True)["config"]
        assert not [value for value in config.values() if isinstance(value, str) and value.startswith("/")]


def test_a_part_that_was_not_trained_is_named(tmp_path):
    with pytest.raises(TrainingError, match=r"no tokenize\.pt; train this part too"):
        pack(tmp_path, tmp_path / "out")


def test_a_trainer_that_fails_is_an_error_with_its_last_words(treebanks, tmp_path, monkeypatch):
    monkeypatch.setattr(parser_training, "_trainers", lambda effort: {"mwt": [["stanza.models.no_such_trainer"]]})
    with pytest.raises(TrainingError, match="no_such_trainer failed") as failure:
        train(treebanks, tmp_path / "out", tmp_path / "work", Effort(), ("mwt",))
    assert "No module named" in str(failure.value)


def test_a_missing_treebank_ends_the_command(tmp_path, capsys):
    assert train_parser.main([str(tmp_path), "--out", str(tmp_path / "out"), "--work", str(tmp_path / "work")]) == 2
    assert "neither train.conllu" in capsys.readouterr().err
