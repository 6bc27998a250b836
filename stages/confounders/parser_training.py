"""A small Stanza pipeline from treebanks, part by part, with Stanza's own trainers.

    tokenize   characters -> tokens, sentences            mwt        "don't" -> do n't
    pos        UPOS, XPOS                                 lemma      dictionary, and letters for unknown words
    depparse   heads and relations

No pretrained vectors and no character models: a part is what it learned from the treebanks. Each trainer runs in a process of its
own with one thread and a fixed hash seed; small recurrent layers are slower with more threads. Weights are stored in half
precision, which Stanza widens when it loads them.

The parser learns from tags of the tagger, because it will be given such; UD English-Atis has no XPOS, so the tagger's are taken.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from stanza.utils.datasets import prepare_tokenizer_data

from stages.confounders.stanza_models import LANGUAGE, PARTS, RESOURCES
from stages.confounders.treebanks import (
    UPOS,
    XPOS,
    Sentence,
    as_typed,
    paragraphs,
    read_treebank,
    with_tags,
    without_features,
    write_conllu,
    write_text,
)

PACKAGE = "small"
ORDER = ("pos", "depparse", "tokenize", "mwt", "lemma")  # the parser needs the tagger
EXTRA = "extra_atis"
SHORTHAND = "en_small"
SEED = 1234


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How many optimiser steps (lemma, mwt: epochs) each part is trained."""

    tokenize: int = 1200
    mwt: int = 12
    pos: int = 3600
    lemma: int = 2
    depparse: int = 1000
    depparse_refined: int = 400


class TrainingError(RuntimeError):
    """A trainer failed; the message names it and its log."""


def train(treebanks: Path, out: Path, work: Path, effort: Effort, parts: Sequence[str] = ORDER) -> None:
    """Train `parts` into `out`, in the layout of Stanza's downloads; `work` receives data, logs and the models as trained.

    Raises TreebankError or TrainingError.
    """
    work.mkdir(parents=True, exist_ok=True)
    bank = {name: read_treebank(treebanks, name) for name in ("train", "dev", EXTRA)}
    _prepare(bank, work)
    for part in parts:
        if part == "depparse":
            _tag(bank, work)
        for arguments in _trainers(effort)[part]:
            _run(arguments, work, part)
    pack(work, out)


def pack(work: Path, out: Path) -> None:
    """The trained models as a package of `out`: half precision, and resources.json, which Stanza looks for.

    Raises TrainingError if a part was not trained.
    """
    known: dict[str, Any] = {"lang_name": "English"}
    for part in PARTS:
        if not (work / f"{part}.pt").is_file():
            raise TrainingError(f"{work}: no {part}.pt; train this part too")
        target = out / LANGUAGE / part / f"{PACKAGE}.pt"
        target.parent.mkdir(parents=True, exist_ok=True)
        halve(work / f"{part}.pt", target)
        known[part] = {PACKAGE: {"md5": hashlib.md5(target.read_bytes(), usedforsecurity=False).hexdigest()}}
    known["packages"] = {PACKAGE: dict.fromkeys(PARTS, PACKAGE)}
    (out / RESOURCES).write_text(json.dumps({LANGUAGE: known}, indent=2) + "\n", encoding="utf-8")


def halve(source: Path, target: Path) -> None:
    """The same model in half precision; equal contents give equal bytes, which Stanza's own file format does not."""
    content = torch.load(source, map_location="cpu", weights_only=True)
    model = content["model"]
    if model is not None:
        content["model"] = {name: value.half() if value.is_floating_point() else value for name, value in model.items()}
    partial = target.with_name(target.name + ".partial")
    torch.save(content, partial)
    partial.replace(target)


def _prepare(bank: dict[str, list[Sentence]], work: Path) -> None:
    """Files of all trainers."""
    typed = as_typed(bank["train"])
    generator = random.Random(SEED)
    groups = {
        "train": paragraphs(bank["train"], generator) + [[sentence] for sentence in (*typed, *bank[EXTRA])],
        "dev": paragraphs(bank["dev"], None),
    }
    for name, group in groups.items():
        sentences = [sentence for paragraph in group for sentence in paragraph]
        write_conllu(work / f"{name}.whole.conllu", sentences)
        write_text(work / f"{name}.txt", group)
        prepare_tokenizer_data.main(
            [
                str(work / f"{name}.txt"),
                str(work / f"{name}.whole.conllu"),
                "-o",
                str(work / f"{name}.labels"),
                "-m",
                str(work / f"{name}.mwt.json"),
            ]
        )
    write_conllu(work / "train.conllu", without_features([*bank["train"], *typed]))
    write_conllu(work / "extra.conllu", without_features(bank[EXTRA]))
    write_conllu(work / "dev.conllu", without_features(bank["dev"]))
    write_conllu(work / "lemma.conllu", without_features(bank["train"]))


def _tag(bank: dict[str, list[Sentence]], work: Path) -> None:
    """Training and development sentences with the tags of the new tagger; where it is known, UPOS stays that of the treebank."""
    banks = {"train": [*bank["train"], *as_typed(bank["train"])], "extra": bank[EXTRA], "dev": bank["dev"]}
    tagged = {}
    for name, sentences in banks.items():
        output = f"{name}.tagged.conllu"
        _run([*_tagger("predict"), "--eval_file", f"{name}.conllu", "--output_file", output], work, "pos")
        found = read_treebank(work, f"{name}.tagged")
        columns = (XPOS,) if name == "extra" else (UPOS, XPOS)
        tagged[name] = with_tags(without_features(sentences), found, columns)
    write_conllu(work / "parse_train.conllu", [*tagged["train"], *tagged["extra"]])
    write_conllu(work / "parse_dev.conllu", tagged["dev"])


def _tagger(mode: str) -> list[str]:
    return ["stanza.models.tagger", "--mode", mode, *_common("pos"), "--no_pretrain"]


def _common(part: str) -> list[str]:
    named = ["--shorthand", SHORTHAND, "--save_dir", ".", "--save_name", f"{part}.pt"]
    return ["--lang", "en", *named, "--cpu", "--seed", str(SEED)]


def _trainers(effort: Effort) -> dict[str, list[list[str]]]:
    """Command lines of the trainers of each part, after `python -m`."""
    tokenize = [
        "stanza.models.tokenizer", "--mode", "train", *_common("tokenize"),
        "--txt_file", "train.txt", "--label_file", "train.labels", "--mwt_json_file", "train.mwt.json",
        "--dev_txt_file", "dev.txt", "--dev_label_file", "dev.labels", "--dev_conll_gold", "dev.whole.conllu",
        "--steps", str(effort.tokenize), "--eval_steps", "400", "--max_seqlen", "200",
    ]  # fmt: skip
    mwt = [
        "stanza.models.mwt_expander", "--mode", "train", *_common("mwt"),
        "--train_file", "train.whole.conllu", "--eval_file", "dev.whole.conllu", "--gold_file", "dev.whole.conllu",
        "--num_epoch", str(effort.mwt), "--hidden_dim", "64",
    ]  # fmt: skip
    pos = [
        *_tagger("train"), "--train_file", "train.conllu;extra.conllu", "--eval_file", "dev.conllu",
        "--hidden_dim", "160", "--num_layers", "1", "--word_emb_dim", "75", "--word_cutoff", "2",
        "--char_emb_dim", "50", "--char_hidden_dim", "128", "--char_bidirectional", "--transformed_dim", "100",
        "--deep_biaff_hidden_dim", "120", "--composite_deep_biaff_hidden_dim", "20", "--tag_emb_dim", "25",
        "--batch_size", "48", "--max_steps", str(effort.pos), "--eval_interval", str(min(300, effort.pos)), "--fix_eval_interval",
    ]  # fmt: skip
    lemma = [
        "stanza.models.lemmatizer", "--mode", "train", *_common("lemma")[2:],
        "--train_file", "lemma.conllu", "--eval_file", "dev.conllu", "--num_epoch", str(effort.lemma),
        "--hidden_dim", "96", "--emb_dim", "32", "--pos_dim", "32", "--batch_size", "100",
    ]  # fmt: skip
    parse = [
        "stanza.models.parser", "--mode", "train", *_common("depparse"), "--no_pretrain", "--no_ufeats", "--no_checkpoint",
        "--train_file", "parse_train.conllu", "--eval_file", "parse_dev.conllu",
        "--hidden_dim", "160", "--num_layers", "2", "--word_emb_dim", "75", "--word_cutoff", "2", "--tag_emb_dim", "40",
        "--char_emb_dim", "40", "--char_hidden_dim", "96", "--transformed_dim", "80", "--deep_biaff_hidden_dim", "120",
        "--dropout", "0.4", "--batch_size", "1000", "--eval_interval", str(min(250, effort.depparse)),
        "--optim", "adam", "--lr", "0.003", "--beta2", "0.95", "--weight_decay", "0",
        "--second_optim", "adam", "--second_lr", "0.0007", "--second_warmup_steps", "0",
        "--second_optim_start_step", str(effort.depparse), "--max_steps", str(effort.depparse + effort.depparse_refined),
    ]  # fmt: skip
    return {"tokenize": [tokenize], "mwt": [mwt], "pos": [pos], "lemma": [lemma], "depparse": [parse]}


def _run(arguments: Sequence[str], work: Path, part: str) -> None:
    """One trainer, in the folder `work`, so that the configuration stored in the model names no path of this machine."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    log = work / f"{part}.log"
    with log.open("a", encoding="utf-8") as stream:
        command = [sys.executable, "-m", *arguments]
        done = subprocess.run(command, cwd=work, env=environment, stdout=stream, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        lines = log.read_text(encoding="utf-8").splitlines()
        raise TrainingError(f"{arguments[0]} failed (exit code {done.returncode}); see {log}\n" + "\n".join(lines[-5:]))
