r"""Train and measure the small English parser that comes with doflow: `python -m stages.train_parser TREEBANKS --out FOLDER`.

reads   TREEBANKS/{train,dev,test,extra_atis}.conllu[.gz]   Universal Dependencies; test is used for measuring only
writes  FOLDER/en/<part>/small.pt, FOLDER/resources.json    a Stanza package (stages/confounders/stanza_models.py)
        FOLDER/scores.json                                  its figures on test, effort, digests of the treebanks
        --work                                              training data, logs, models as trained; may be deleted afterwards

About an hour on one core. The same treebanks, libraries and machine give the same models. What lies in stages/confounders/english
was made by

    python -m stages.train_parser TREEBANKS --out stages/confounders/english --work /tmp/parser

with UD English-EWT, -Pronouns and -Atis (stages/confounders/english/README.md). `--measure` measures what is there already.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any

from stages.confounders.parser_scores import scores
from stages.confounders.parser_training import EXTRA, ORDER, PACKAGE, Effort, TrainingError, train
from stages.confounders.stanza_models import ModelsError, model_files
from stages.confounders.treebanks import TreebankError, read_treebank, treebank_file


def measure(treebanks: Path, out: Path, work: Path) -> dict[str, Any]:
    """Figures of the package in `out` on the held-out sentences.

    Raises TreebankError or ModelsError.
    """
    files = model_files(out, PACKAGE)
    digests = {part: _digest(treebank_file(treebanks, part)) for part in ("train", "dev", "test", EXTRA)}
    return {
        "f1": scores(out, PACKAGE, read_treebank(treebanks, "test"), work / "test"),
        "bytes": sum(file.stat().st_size for file in files),
        "effort": dataclasses.asdict(Effort()),
        "treebanks": digests,
        "versions": {name: importlib.metadata.version(name) for name in ("stanza", "torch", "udtools")},
    }


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="stages.train_parser", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("treebanks", type=Path, help="folder of the treebanks")
    parser.add_argument("--out", type=Path, required=True, help="folder of the package")
    parser.add_argument("--work", type=Path, required=True, help="folder for everything else")
    parser.add_argument("--parts", nargs="+", choices=ORDER, default=list(ORDER), help="train these only (default: all)")
    parser.add_argument("--measure", action="store_true", help="train nothing")
    args = parser.parse_args(argv)
    try:
        if not args.measure:
            train(args.treebanks, args.out, args.work, Effort(), args.parts)
        found = measure(args.treebanks, args.out, args.work)
    except (TreebankError, TrainingError, ModelsError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    text = json.dumps(found, indent=2) + "\n"
    (args.out / "scores.json").write_text(text, encoding="utf-8")
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
