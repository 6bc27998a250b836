"""Parses of texts by Stanza: distinct texts only, many at once, kept between runs.

A parse is the words of all sentences of a text, in order. The file of parses is JSON lines, one per text, sorted:

    {"text": sha256 of the text, "models": digest of the models, "words": [[text, upos, deprel], ...]}

A text that was parsed with the same models is not parsed again, whatever else has changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from stages.confounders.blocks import in_blocks, one_thread
from stages.confounders.question_graphs import Word
from stages.confounders.stanza_models import models_digest, pipeline

BLOCK = 250  # texts that go through Stanza together

Parse = tuple[Word, ...]


def parses(
    texts: Iterable[str], *, folder: Path, package: str, kept: Path, processes: int = 1, engine: str = "processes"
) -> dict[str, Parse]:
    """The parse of every distinct text; what is not in the file `kept` is parsed; then the file holds these texts alone.

    Interrupted work is kept too. Raises ModelsError, EngineError.
    """
    wanted = list(dict.fromkeys(texts))
    models = models_digest(folder, package)
    known = _read(kept, models) | _read(_unfinished(kept), models)
    missing = [text for text in wanted if text.strip() and _digest(text) not in known]
    kept.parent.mkdir(parents=True, exist_ok=True)
    if missing:
        with _unfinished(kept).open("a", encoding="utf-8") as stream, tqdm(total=len(missing), desc="parse", unit="text") as bar:
            for block, found in in_blocks(
                parse_block,
                missing,
                size=BLOCK,
                processes=processes,
                prepare=pipeline,
                arguments=(folder, package),
                engine=engine,
            ):
                for text, parse in zip(block, found, strict=True):
                    known[_digest(text)] = parse
                    stream.write(_line(_digest(text), models, parse))
                stream.flush()
                bar.update(len(block))
    found_all = {text: known[_digest(text)] if text.strip() else () for text in wanted}
    _write(kept, models, {_digest(text): parse for text, parse in found_all.items()})
    _unfinished(kept).unlink(missing_ok=True)
    return found_all


def parse_block(parser: Any, texts: Sequence[str]) -> list[Parse]:
    """Parses of a few texts by a Stanza pipeline; blank lines inside a text are no boundary between texts."""
    return [
        tuple(Word(word.text, word.upos, word.deprel) for sentence in document.sentences for word in sentence.words)
        for document in parser.bulk_process(list(texts))
    ]


def tagger(folder: Path, package: str) -> Callable[[Sequence[Sequence[str]]], Iterator[list[str]]]:
    """tag(sentences of tokens) -> Penn Treebank tags of each; tokens stay as they are.

    Raises ModelsError.
    """
    with one_thread():
        parser = pipeline(folder, package, ("tokenize", "pos"), tokenize_pretokenized=True)

    def tag(sentences: Sequence[Sequence[str]]) -> Iterator[list[str]]:
        with one_thread():
            for begin in range(0, len(sentences), BLOCK):
                some = [list(sentence) for sentence in sentences[begin : begin + BLOCK]]
                tagged = iter(parser([sentence for sentence in some if sentence]).sentences if any(some) else ())
                yield from ([word.xpos for word in next(tagged).words] if sentence else [] for sentence in some)

    return tag


def _read(path: Path, models: str) -> dict[str, Parse]:
    """Text digest -> parse, of these models; a line that was cut off by an interruption is passed over."""
    found: dict[str, Parse] = {}
    if path.is_file():
        for line in path.read_bytes().splitlines():
            try:
                record = json.loads(line)
                if record["models"] == models:
                    found[record["text"]] = tuple(Word(*word) for word in record["words"])
            except (ValueError, KeyError, TypeError, RecursionError):
                continue
    return found


def _write(path: Path, models: str, parsed: dict[str, Parse]) -> None:
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as stream:
        stream.writelines(_line(text, models, parsed[text]) for text in sorted(parsed))
    partial.replace(path)


def _line(text: str, models: str, parse: Parse) -> str:
    words = [[word.text, word.upos, word.deprel] for word in parse]
    return json.dumps({"text": text, "models": models, "words": words}, ensure_ascii=False) + "\n"


def _unfinished(path: Path) -> Path:
    return path.with_name(path.name + ".unfinished")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
