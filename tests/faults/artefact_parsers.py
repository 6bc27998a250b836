"""params.yaml, pages, manifests, treebanks, checkpoints, runs, and files of confounders and words."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors.torch import save

from stages import describe, semantic_graph
from stages.confounders import files as dictionary_files
from stages.confounders import graph_files, parses, treebanks
from stages.features import vocabularies
from stages.features.store import StoreError
from stages.features.words import Vocabulary
from stages.importing import checkpoint_files, reference_config
from stages.params import ParamsError, load_params
from stages.predictions import own_video
from stages.predictions.inference import PredictionError
from stages.reporting import pages
from stages.sources import manifest
from stages.sources.errors import FetchError
from stages.training import answer_vocabulary, runs
from tests.faults.mutations import Seed
from tests.faults.parser import ROWS, WORDS, Parser, npz_of, written
from tests.stages.consolidation.publishing import npy, npz, pt, zipped
from tests.stages.reporting import sample_pages


def _rezipped(content: bytes, name: str, member: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return zipped({one: member if one == name else archive.read(one) for one in archive.namelist()}, 0)


def _vocabulary() -> bytes:
    vocabulary = Vocabulary(WORDS, (3, 1), np.eye(2, 3, dtype=np.float32))
    encoded = {"train": vocabularies.Encoded(["a", "b"], [[1, 2], [2]], [[2, 1], [1]])}
    return written(lambda path: vocabularies.write_vocabulary(path, vocabulary, encoded, 20, {}), "v.npz")


def small_params() -> dict[str, Any]:
    """The smallest params.yaml with an entry in most sections, from the repository's own."""
    whole = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())
    kept = {"worlds": "demo", "datasets": "planted", "features": "planted", "runs": "causalvtg-planted", "reports": "demo"}
    small = {section: ({kept[section]: entries[kept[section]]} if section in kept else {}) for section, entries in whole.items()}
    small["dictionaries"] = {name: whole["dictionaries"][name] for name in ("planted-video", "planted-query")}
    return small


RECORD = {
    "run": "r",
    "method": "causalvtg",
    "model": {"hidden": 8},
    "widths": {"video": 4},
    "confounders": {"video": [8, 4]},
    "dataset": "planted",
    "features": {"video": ["clip"]},
    "fps": 0.5,
    "seed": 1,
    "selection": None,
    "train": None,
    "inputs": {},
    "clips": None,
    "schema_version": runs.SCHEMA_VERSION,
}
MANIFEST = {
    "schema_version": 1,
    "dataset": "d",
    "origins": [{"kind": "file", "path": "x"}],
    "files": {"a.npz": {"bytes": 3, "sha256": "00" * 32, "origin": 0}},
}
CONLLU = b"# sent_id = a-1\n" + b"".join(
    f"{n}\t{word}\t{word}\tNOUN\tNN\t_\t{head}\troot\t_\t_\n".encode() for n, word, head in ((1, "dogs", 0), (2, "run", 1))
)
STATE = {"w": torch.arange(6.0).reshape(2, 3), "b": torch.zeros(2)}
CONFIG_PY = b'"""A configuration."""\nbase = dict(hidden=8, strides=(1, 2))\nmodel = dict(**base, name="a" + "b", heads=-2)\n'
PARSE = b'{"models": "m", "text": "t", "words": [["dogs", "dog", "NNS", 0, "root"]]}\n'


def _torch_bytes(value: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def _conllu(path: Path) -> None:
    for sentence in treebanks.read_treebank(path.parent, "dev"):
        sentence.words()
        sentence.text()


def _weights(path: Path) -> None:
    runs.load_weights(torch.nn.Linear(3, 2), path)


def _described(path: Path) -> None:
    describe.describe(path if path.suffix == ".npz" else path.parent)


def _sentences(path: Path) -> None:
    vocabularies.read_vocabulary(path)
    vocabularies.read_sentences(path, "train").batch(["a"])


DICTIONARY = npz_of(mean_pool_c=ROWS, max_pool_c=ROWS)
ARTEFACTS = [
    Parser(
        name="params.yaml",
        seeds=[Seed(yaml.safe_dump(small_params(), sort_keys=False).encode()), Seed(json.dumps(small_params()).encode(), "json")],
        read=load_params,
        errors=(ParamsError,),
    ),
    Parser(
        name="page.json",
        seeds=[Seed(json.dumps(sample_pages.page("one", examples=1)).encode(), "json")],
        read=pages.read_page,
        errors=(pages.ReportError,),
    ),
    Parser(
        name="manifest.json",
        seeds=[Seed(json.dumps(MANIFEST).encode(), "json")],
        read=manifest.read_manifest,
        errors=(FetchError,),
    ),
    Parser(name="dev.conllu", seeds=[Seed(CONLLU)], read=_conllu, errors=(treebanks.TreebankError,)),
    Parser(
        name="gz/dev.conllu.gz",
        seeds=[Seed(CONLLU, wrap=partial(gzip.compress, mtime=0)), Seed(gzip.compress(CONLLU, mtime=0))],
        read=_conllu,
        errors=(treebanks.TreebankError,),
    ),
    Parser(name="kept.parses.jsonl", seeds=[Seed(PARSE, "jsonl")], read=lambda path: parses._read(path, "m"), errors=()),
    Parser(
        name="pairs.csv",
        seeds=[Seed(b"question,answer\nwhy?,because\nwho?,she\n", "csv")],
        read=lambda path: semantic_graph.pairs_of_table(path, "question", "answer", ","),
        errors=(semantic_graph.QuestionsError,),
    ),
    Parser(
        name="dictionary.npz",
        seeds=[Seed(DICTIONARY), Seed(npy(ROWS), wrap=lambda one: zipped({"mean_pool_c.npy": one}))],
        read=dictionary_files.read_rows,
        errors=(dictionary_files.DictionaryError,),
    ),
    Parser(
        name="graphs.npz",
        seeds=[Seed(npz_of(k_center=np.ones((3, 8, 8), np.float32)))],
        read=graph_files.read_graphs,
        errors=(dictionary_files.DictionaryError,),
    ),
    Parser(
        name="vocabulary.npz",
        seeds=[
            Seed(_vocabulary()),
            *(
                Seed(npy(np.array(one)), wrap=lambda one, name=name: _rezipped(_vocabulary(), f"{name}.npy", one))
                for name, one in (
                    ("words", ["dog", "runs"]),
                    ("train/offsets", [0, 2, 3]),
                    ("train/classes", [1, 2, 2]),
                    ("longest", 20),
                )
            ),
        ],
        read=_sentences,
        errors=(vocabularies.VocabularyError,),
    ),
    Parser(
        name="epoch_9.pth",
        seeds=[
            Seed(_torch_bytes({"state_dict": STATE, "epoch": 9})),
            Seed(_torch_bytes(STATE, _use_new_zipfile_serialization=False)),
        ],
        read=checkpoint_files.read_state,
        errors=(checkpoint_files.CheckpointError,),
    ),
    Parser(
        name="w.safetensors",
        seeds=[Seed(save(STATE))],
        read=checkpoint_files.read_state,
        errors=(checkpoint_files.CheckpointError,),
    ),
    Parser(
        name="config.py",
        seeds=[Seed(CONFIG_PY)],
        read=reference_config.read_reference_config,
        errors=(reference_config.ReferenceConfigError,),
    ),
    Parser(
        name="main.json",
        seeds=[Seed(b'{"model": {"heads": 4, "loss": [0.1, null]}}', "json")],
        read=reference_config.read_json_config,
        errors=(reference_config.ReferenceConfigError,),
    ),
    Parser(
        name="run/config.json",
        seeds=[Seed(json.dumps(RECORD).encode(), "json")],
        read=lambda path: runs.read_record(path.parent),
        errors=(runs.RunError,),
    ),
    Parser(
        name="run/model.safetensors",
        seeds=[Seed(save({"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}))],
        read=_weights,
        errors=(runs.RunError,),
    ),
    Parser(
        name="run/answers.json",
        seeds=[Seed(b'["man", "dog"]', "json")],
        read=lambda path: answer_vocabulary.read_answers(path.parent),
        errors=(answer_vocabulary.AnswersError,),
    ),
    Parser(
        name="own.npz",
        seeds=[Seed(npz(ROWS)), Seed(npz(ROWS, compressed=True))],
        read=own_video.read_rows,
        errors=(PredictionError,),
    ),
    Parser(name="own.pt", seeds=[Seed(pt(ROWS))], read=own_video.read_rows, errors=(PredictionError,)),
    Parser(name="own.npy", seeds=[Seed(npy(ROWS))], read=own_video.read_rows, errors=(PredictionError,)),
    Parser(name="described.npz", seeds=[Seed(DICTIONARY)], read=_described, errors=(describe.DescribeError, StoreError)),
    *(
        Parser(
            name=f"described-{name.split('.')[0]}/{name}",
            seeds=[Seed(json.dumps(content).encode(), "json")],
            read=_described,
            errors=(describe.DescribeError, StoreError),
            beside={f"described-{name.split('.')[0]}/model.safetensors": save(STATE)},
        )
        for name, content in (
            ("config.json", RECORD),
            ("manifest.json", MANIFEST),
            ("metrics.json", {"iid.R1": 5.0, "n_scored": 3}),
        )
    ),
]
