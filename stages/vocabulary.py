"""Stage `vocabulary`: the words that a weakly supervised run reconstructs, with vectors, and all sentences in their classes.

reads   data/samples/<dataset>/             the sentences of every split
        data/raw/<dataset>/<file>           published word vectors, where the entry names a file
writes  data/vocabularies/<name>.npz        words, counts, vectors, sentences by split (stages/features/vocabularies.py)

A sentence without any kept word cannot be reconstructed: it is left out, counted and listed in the provenance.

    python -m stages.vocabulary --name planted_weak --samples data/samples/planted_weak --raw data/raw/planted_weak \
        --out data/vocabularies/planted_weak.npz
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path

from stages.confounders.parses import tagger as stanza_tagger
from stages.confounders.stanza_models import models_digest
from stages.datasets.samples import quality_report, read_samples, training_split
from stages.datasets.schema import DatasetError, MomentSample
from stages.features.settings import VocabularyEntry
from stages.features.tokens import Tag, tagger, tokens
from stages.features.vocabularies import Encoded, VocabularyError, write_vocabulary
from stages.features.word_vectors import WordVectorError, word_vectors
from stages.features.words import Vocabulary, count_words
from stages.params import DEFAULT_FILE, ParamsError, load_params, lookup

LISTED = 20  # sentences left out that the provenance names
BLOCK = 1 << 20


def build(settings: VocabularyEntry, *, samples: Path, raw: Path, out: Path) -> dict[str, int]:
    """Write the vocabulary `out`; returns split -> sentences left out.

    Raises VocabularyError, WordVectorError, DatasetError, or LookupError for a tagger that is not installed.
    """
    tag = _tagger(settings)
    # what is trained on first: equally frequent words are ranked by their first occurrence, as the references have it
    first = quality_report(samples)["train"]
    names = sorted((path.stem for path in samples.glob("*.parquet")), key=lambda name: (name != first, name))
    splits = {name: read_samples(samples, name) for name in names}
    training, _ = training_split(samples)
    counted = training if settings.counted == "training" else [sample for split in splits.values() for sample in split]
    spoken = [tokens(sample.query) for sample in counted]
    file = None if settings.file is None else raw / settings.file
    asked = {token.lower() for sentence in spoken for token in sentence}
    vectors = word_vectors(settings.form, file, asked, width=settings.width, seed=settings.seed)
    vocabulary = Vocabulary.of(count_words(spoken, vectors), vectors, settings.limit)
    encoded = {split: _encoded(vocabulary, rows, tag) for split, rows in splits.items()}
    dropped = {split: sorted({row.sample_id for row in rows} - set(encoded[split].ids)) for split, rows in splits.items()}
    if not encoded or any(not part.ids for part in encoded.values()):
        raise VocabularyError(f"{samples}: a split has no sentence with any of the {len(vocabulary.words)} kept words")
    about = dataclasses.asdict(settings) | {
        "left_out": {split: {"count": len(ids), "first": ids[:LISTED]} for split, ids in dropped.items()},
        "without_vector": len(asked - vectors.keys()),
        "samples": {path.name: _digest(path) for path in sorted(samples.glob("*.parquet"))},
        "vectors": None if file is None else _digest(file),
        "tags": None if settings.models is None else models_digest(Path(settings.models.folder), settings.models.package),
    }
    write_vocabulary(out, vocabulary, encoded, settings.longest, about)
    return {split: len(ids) for split, ids in dropped.items()}


def _tagger(settings: VocabularyEntry) -> Tag:
    """Raises LookupError (ModelsError) if the tagger or its models are not there."""
    if settings.models is None:
        return tagger(settings.tagger)
    return stanza_tagger(Path(settings.models.folder), settings.models.package)


def _encoded(vocabulary: Vocabulary, samples: Iterable[MomentSample], tag: Tag) -> Encoded:
    rows = list(samples)
    spoken = [tokens(row.query) for row in rows]
    found = [vocabulary.encode(said, tags) for said, tags in zip(spoken, tag(spoken), strict=True)]
    kept = [(row.sample_id, *one) for row, one in zip(rows, found, strict=True) if one[0]]
    return Encoded([one[0] for one in kept], [one[1] for one in kept], [one[2] for one in kept])


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="stages.vocabulary", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--name", required=True, help="entry of params.yaml: vocabularies")
    parser.add_argument("--samples", type=Path, required=True, help="folder of the data set's samples")
    parser.add_argument("--raw", type=Path, required=True, help="folder of the data set's published files")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    parser.add_argument("--params", type=Path, default=DEFAULT_FILE, help="default: %(default)s")
    args = parser.parse_args(argv)
    try:
        settings = lookup(load_params(args.params, methods=False).vocabularies, args.name, "vocabularies")
        left_out = build(settings, samples=args.samples, raw=args.raw, out=args.out)
    except (ParamsError, DatasetError, VocabularyError, WordVectorError, LookupError, OSError) as error:
        print(f"stages.vocabulary: {error}", file=sys.stderr)
        return 2
    for split, count in left_out.items():
        if count:
            print(f"split {split}: {count} sentences without a kept word are left out", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
