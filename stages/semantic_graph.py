r"""Stage `semantic_graph`: questions with their answers as graphs of eight texts, clustered: the linguistic confounders of CRA.

reads   data/samples/<dataset>/                   questions and right answers (or any CSV with such columns: --csv)
        data/raw/<dataset>/<encoder>/             a CLIP text model in the format of transformers
        the Stanza models of the entry            stages/confounders/stanza_models.py; nothing is downloaded
writes  data/graphs/<name>.npz, <name>.json       stages/confounders/graph_files.py
        data/graphs/<name>.parses.jsonl           parses, kept for the next run: only texts that are new are parsed again

    python -m stages.semantic_graph --name planted_grounded --samples data/samples/planted_grounded \
        --raw data/raw/planted_grounded --out data/graphs/planted_grounded.npz
    python -m stages.semantic_graph --name nextgqa --csv questions.csv --raw data/raw/nextgqa --out /tmp/graphs.npz
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import importlib.metadata
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.causal.back_door import QUESTION_NODES
from stages.confounders.blocks import EngineError
from stages.confounders.clip_text import EncoderError, encode
from stages.confounders.graph_files import write_graphs, write_texts
from stages.confounders.kmeans import ClusteringError
from stages.confounders.minibatch import clusters
from stages.confounders.parses import parses
from stages.confounders.question_graphs import components
from stages.confounders.settings import Graphs
from stages.confounders.stanza_models import ModelsError, models_digest
from stages.datasets.samples import read_samples, training_split
from stages.datasets.schema import DatasetError, QuestionSample
from stages.params import DEFAULT_FILE, ParamsError, load_params, lookup

Pair = tuple[str, str]  # question, right answer


class QuestionsError(ValueError):
    """A table without questions and answers; the message says what it has and the way out."""


def pairs_of_samples(samples: Path, splits: Sequence[str]) -> list[Pair]:
    """Questions with right answers of these splits, of what training sees if there are none; in order, with repetitions.

    Raises DatasetError.
    """
    if splits:
        chosen = [sample for split in splits for sample in read_samples(samples, split, QuestionSample)]
    else:
        chosen, _ = training_split(samples, QuestionSample)
    return [(sample.question, sample.answer) for sample in chosen if sample.answer is not None]


def pairs_of_table(path: Path, question: str, answer: str, delimiter: str) -> list[Pair]:
    """Questions with answers of a CSV file with a header; rows without an answer are left out.

    Raises QuestionsError: no such file, no such columns.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = csv.DictReader(stream, delimiter=delimiter)
            columns = rows.fieldnames or ()
            if missing := [name for name in (question, answer) if name not in columns]:
                has = ", ".join(columns)
                raise QuestionsError(f"{path}: no column {missing[0]!r}, it has {has}; name them with --question and --answer")
            return [(row[question], row[answer]) for row in rows if row[answer]]
    except FileNotFoundError:
        raise QuestionsError(f"{path}: no such file") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise QuestionsError(f"{path}: not a CSV file in UTF-8 ({error})") from None


def build(settings: Graphs, pairs: Sequence[Pair], *, encoder: Path, out: Path) -> None:
    """Write `out` (.npz), and beside it .json and .parses.jsonl.

    Raises QuestionsError, ModelsError, EncoderError, EngineError or ClusteringError: nothing to do, or something is missing or
    does not fit.
    """
    if not pairs:
        raise QuestionsError("no question with an answer; choose other splits or another file")
    folder, package = Path(settings.stanza.folder), settings.stanza.package
    distinct = list(dict.fromkeys(pairs))
    kept = out.with_suffix(".parses.jsonl")
    begin = time.monotonic()
    texts = [text for pair in distinct for text in pair]
    spread: dict[str, Any] = {"processes": settings.processes, "engine": settings.engine}
    parsed = parses(texts, folder=folder, package=package, kept=kept, **spread)
    print(f"{len(parsed)} distinct texts after {time.monotonic() - begin:.1f} s", file=sys.stderr)
    nodes = {(question, answer): components(parsed[question], parsed[answer]).texts() for question, answer in distinct}
    vectors = encode([text for pair in distinct for text in nodes[pair]], encoder, **spread)
    rows = vectors.reshape(len(distinct), len(QUESTION_NODES), -1)
    places = {pair: number for number, pair in enumerate(distinct)}
    order = np.array([places[pair] for pair in pairs])
    found = clusters(rows[order], k=settings.clusters, seed=settings.seed)
    about = {
        **dataclasses.asdict(settings),
        "schema_version": 1,
        "samples": len(pairs),
        "models": models_digest(folder, package),
        "versions": _versions(),
    }
    del about["processes"], about["engine"]  # the bytes do not depend on them
    labels = np.full(len(distinct), -1)
    labels[order] = found.labels
    counts = np.bincount(order, minlength=len(distinct))
    graphs = [
        {"texts": nodes[pair], "samples": int(count), "cluster": int(label)}
        for pair, count, label in zip(distinct, counts, labels, strict=True)
    ]
    write_texts(out.with_suffix(".json"), graphs, _empty(nodes[pair] for pair in pairs), about)
    write_graphs(out, found, about)


def _empty(graphs: Iterable[Sequence[str]]) -> Mapping[str, float]:
    """Node -> share of graphs whose text is empty there."""
    empty = np.array([[not text for text in texts] for texts in graphs])
    return {name: round(float(share), 6) for name, share in zip(QUESTION_NODES, empty.mean(axis=0), strict=True)}


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in ("numpy", "scikit-learn", "stanza", "torch", "transformers")}


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="stages.semantic_graph", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--name", required=True, help="entry of params.yaml: graphs")
    texts = parser.add_mutually_exclusive_group(required=True)
    texts.add_argument("--samples", type=Path, help="folder of the data set's samples")
    texts.add_argument("--csv", type=Path, help="a CSV file with a header instead")
    parser.add_argument("--question", default="question", help="column of the question (default: %(default)s)")
    parser.add_argument("--answer", default="answer", help="column of the right answer's text (default: %(default)s)")
    parser.add_argument("--delimiter", default=",", help="of the CSV file (default: %(default)s)")
    parser.add_argument("--raw", type=Path, required=True, help="folder of the data set's files as fetched, with the encoder")
    parser.add_argument("--out", type=Path, required=True, help="graph file to write (.npz)")
    parser.add_argument("--params", type=Path, default=DEFAULT_FILE, help="default: %(default)s")
    args = parser.parse_args(argv)
    try:
        settings = lookup(load_params(args.params, methods=False).graphs, args.name, "graphs")
        if args.csv:
            pairs = pairs_of_table(args.csv, args.question, args.answer, args.delimiter)
        else:
            pairs = pairs_of_samples(args.samples, settings.splits)
        build(settings, pairs, encoder=args.raw / settings.encoder, out=args.out)
    except (ParamsError, DatasetError, QuestionsError, ModelsError, EncoderError, EngineError, ClusteringError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
