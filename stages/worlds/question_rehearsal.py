"""Features planted under real questions: the published widths, layout and item counts, made-up numbers that can be learnt from.

    frame t of video v:   x_t = scene s_v + sum_q in_qt signal (u_question + u_answer) + noise N(0, I_d)  -> QuestionFiles.frames
    text:                 u = unit( sum over its words of idf(word) e_word )                              -> .direction
    token of a word:      e_word                                                                          -> .tokens
    published row         lift x_t, the lift of a width having orthonormal columns

in_qt: frame t lies in the evidence of q; where none is published, in a quarter of the video drawn for q. So the words of a
question find its frames, and the frames say its answer. The small text encoders begin at the same word vectors. Features
stream out.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import math
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np

from stages.worlds.array_files import ArrayFile, Ids
from stages.worlds.encoders import WordVectors, prompted, write_tokenised
from stages.worlds.question_rehearsal_settings import PlantedArray, QuestionRehearsal
from stages.worlds.rehearsal import published, unit, words
from stages.worlds.settings import WorldError
from stages.worlds.streams import orthonormal, stream
from stages.worlds.upstream import Written

BLOCK = 64  # items in memory at a time
SHARE = 4  # a question without evidence is about this part of its video
WORDS_KEPT = 8192


@dataclass(frozen=True)
class Asked:
    """One row of a table: its video, its words, and the share of the video that its evidence covers."""

    video: str
    question: str
    answer: str
    options: tuple[str, ...]
    windows: tuple[tuple[float, float], ...]


class RehearsedQuestions:
    """The rehearsal of one data set of questions."""

    def __init__(self, settings: QuestionRehearsal, seed: int, folder: Path) -> None:
        """Read the annotation files in `folder`. Raises WorldError naming file and line of what cannot be used."""
        self.settings, self.seed, self.folder = settings, seed, folder
        self.asked = {split: list(self._read(split)) for split in settings.tables}
        texts = [text for rows in self.asked.values() for one in rows for text in (one.question, one.answer)]
        seen = Counter(word for text in texts for word in set(words(text)))
        self.weight = {word: math.log(1 + len(texts) / count) for word, count in seen.items()}
        self.word = lru_cache(maxsize=WORDS_KEPT)(self._word)

    @property
    def items(self) -> int:
        """How many rows of arrays `write` makes."""
        return sum(len(self._items(split, array)) for split in self.asked for array in self.settings.arrays.values())

    def write(self, root: Path, tick: Callable[[], object]) -> tuple[dict[str, Written], dict[str, Any]]:
        """Write upstream/ below `root`; return the feature kinds, and facts for world.json. `tick`: once per item."""
        upstream = root / "upstream"
        into = upstream / self.settings.into
        into.mkdir(parents=True, exist_ok=True)
        for target, name in {**{f"{s}.csv": t for s, t in self.settings.tables.items()}, **self.settings.copies}.items():
            source = published(self.folder, name)
            shutil.copyfile(source, into / (target + (".gz" if source.suffix == ".gz" else "")))
        written = {name: self._array(upstream, array, tick) for name, array in self.settings.arrays.items()}
        if self.settings.encoders is not None:
            self._encoders(upstream / "encoders")
        return written, {
            "questions": {split: len(rows) for split, rows in self.asked.items()},
            "videos": {split: len({one.video for one in rows}) for split, rows in self.asked.items()},
        }

    def _read(self, split: str) -> Iterator[Asked]:
        name = self.settings.tables[split]
        evidence = self._evidence(split)
        with _text(published(self.folder, name)) as lines:
            header = lines.readline()
            rows = csv.DictReader([header, *lines], delimiter="\t" if "\t" in header else ",")
            for number, row in enumerate(rows, 2):
                try:
                    video = row.get("video") or row["video_id"]
                    options = tuple(row[f"a{place}"] for place in range(self.settings.options))
                    answer = options[int(row["answer"])] if options and row["answer"].isdigit() else row["answer"]
                    qid = row.get("qid", "")
                except (KeyError, IndexError) as error:
                    raise WorldError(f"{name}:{number}: not a question of {self.settings.options} options: {error}") from error
                yield Asked(video, row["question"], answer, options, evidence.get(video, {}).get(qid, ()))

    def _evidence(self, split: str) -> dict[str, dict[str, tuple[tuple[float, float], ...]]]:
        """Video -> question id -> windows as shares of the video."""
        if split not in self.settings.windows:
            return {}
        with _text(published(self.folder, self.settings.windows[split])) as lines:
            content = json.load(lines)
        return {
            video: {
                qid: tuple((start / entry["duration"], end / entry["duration"]) for start, end in windows)
                for qid, windows in entry["location"].items()
            }
            for video, entry in content.items()
        }

    def _items(self, split: str, array: PlantedArray) -> Sequence[Any]:
        """Videos by first occurrence, or rows of the table."""
        if array.of == "questions":
            return self.asked[split]
        return list(dict.fromkeys(one.video for one in self.asked[split]))[: self.settings.subset]

    def _array(self, root: Path, array: PlantedArray, tick: Callable[[], object]) -> Written:
        lift = orthonormal(stream(self.seed, "lift", array.width), array.width, self.settings.latent).T
        rows = lru_cache(maxsize=WORDS_KEPT)(lambda word: (self.word(word) @ lift).astype(array.dtype))
        digests: dict[Path, str] = {}
        size = 0
        for split in self.asked:
            items, path = self._items(split, array), root / array.path.replace("{split}", split)
            about = defaultdict(list)
            for one in self.asked[split]:
                about[one.video].append(one)
            shape = (len(items), array.rows, array.width)
            with ArrayFile(path, {array.key: shape}, array.dtype, _ids(array, items)) as file:
                for start in range(0, len(items), BLOCK):
                    block = items[start : start + BLOCK]
                    if array.of == "videos":
                        values = np.stack([self.frames(video, about[video], array) for video in block]) @ lift
                    else:
                        values = np.stack([self.tokens(one.question, array, rows) for one in block])
                    file.add({array.key: values})
                    for _ in block:
                        tick()
            with path.open("rb") as content:
                digests[path] = hashlib.file_digest(content, "sha256").hexdigest()
            size += path.stat().st_size
        return Written(path=array.path, files=len(self.asked), bytes=size, sha256=digests)

    def frames(self, video: str, asked: Sequence[Asked], array: PlantedArray) -> np.ndarray:
        """(T, d) latent rows of a video."""
        settings, count = self.settings, array.rows
        scene = unit(stream(self.seed, "scene", video).standard_normal(settings.latent))
        noise = stream(self.seed, "frames", array.path, video).standard_normal((count, settings.latent))
        rows = settings.scene * scene + settings.noise * noise
        for one in asked:
            direction = self.direction(one.question) + self.direction(one.answer)
            rows[self.shown(one, count)] += settings.signal * direction
        return np.asarray(rows)

    def shown(self, one: Asked, count: int) -> np.ndarray:
        """(T,) bool: the frames that the question is about."""
        middle = (np.arange(count) + 0.5) / count
        if not one.windows:
            first = int(stream(self.seed, "place", one.video, one.question).integers(0, count - count // SHARE + 1))
            return np.asarray((np.arange(count) >= first) & (np.arange(count) < first + count // SHARE))
        inside = np.zeros(count, bool)
        for start, end in one.windows:
            inside |= (middle >= start) & (middle <= end)
            inside[min(count - 1, max(0, int((start + end) / 2 * count)))] = True  # a window shorter than a frame
        return inside

    def tokens(self, text: str, array: PlantedArray, rows: Callable[[str], np.ndarray]) -> np.ndarray:
        """(L, D) one row per word, zeros behind; words beyond L are cut."""
        values = np.zeros((array.rows, array.width), array.dtype)
        for place, word in enumerate(words(text)[: array.rows]):
            values[place] = rows(word)
        return values

    def direction(self, text: str) -> np.ndarray:
        """(d,) of a text; zero without words."""
        return unit(sum((self.weight[word] * self.word(word) for word in words(text)), np.zeros(self.settings.latent)))

    def _word(self, word: str) -> np.ndarray:
        return unit(stream(self.seed, "word", word).standard_normal(self.settings.latent))

    def _encoders(self, folder: Path) -> None:
        encoders = self.settings.encoders
        assert encoders is not None
        lift = orthonormal(stream(self.seed, "lift", encoders.width), encoders.width, self.settings.latent).T
        known = {word: self.word(word) @ lift for word in sorted(self.weight)}
        texts = [(one.question, option) for one in self.asked["train"] for option in one.options or (one.answer,)]
        vectors = KnownWords(self.seed, encoders.width, encoders.spread, known)
        write_tokenised(folder, encoders, vectors, list(prompted(texts)), names=("clip_text", "roberta"))


class KnownWords(WordVectors):
    """First vectors of the encoders' tokens: those of the words of the annotations."""

    def __init__(self, seed: int, width: int, spread: float, known: Mapping[str, np.ndarray]) -> None:
        self.seed, self.width, self.spread, self.known = seed, width, spread, dict(known)


def _ids(array: PlantedArray, items: Sequence[Any]) -> Ids | None:
    if array.ids is None:
        return None
    return array.ids, [int(item) for item in items] if array.numbers else list(items)


def _text(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")
