"""Features planted under real annotations: the published widths, layout and item counts, made-up numbers that can be learnt from.

    clip t of video v:   x_t = scene s_v + sum_q w_qt r_qt signal u_q + noise N(0, I_d)            -> RehearsedWorld.clips
    query q:             u_q = unit( sum over its words of idf(word) e_word )                      -> RehearsedWorld.direction
    token of a word:     e_word, the same wherever the word stands                                 -> RehearsedWorld.tokens
    published row        lift x_t, the lift of a width having orthonormal columns

w_qt: share of clip t inside the windows of q; r_qt: 1, or as the raters say where there are ratings; e_word, s_v: unit vectors
drawn for the word, for the video. So the words of a query point to its own windows, queries with other words point elsewhere, and
kinds of equal width share a space, as CLIP's frames and texts do. Only annotations are held in memory; features stream out.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from stages.worlds.item_file import ItemFile
from stages.worlds.scm import coverage
from stages.worlds.settings import Rehearsal, Rehearsed, WorldError
from stages.worlds.streams import orthonormal, stream
from stages.worlds.truth import HIGHEST
from stages.worlds.upstream import FeatureFiles, Written, check_file_name, npz_bytes, pt_bytes

RATED_SECONDS = 2.0  # QVHighlights rates clips of two seconds
WORDS_KEPT = 8192  # published rows of so many words stay in memory
WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(kw_only=True)
class Asked:
    """One text asked of one video: its windows in seconds, and the mean rating of each rated clip."""

    windows: set[tuple[float, float]] = field(default_factory=set)
    ratings: dict[int, float] = field(default_factory=dict)


@dataclass(kw_only=True)
class Filmed:
    """One video: duration in seconds, and what is asked of it, by text. Records that repeat a text are merged."""

    duration: float
    asked: dict[str, Asked] = field(default_factory=dict)


@dataclass(kw_only=True)
class Annotations:
    """All records of a rehearsal: videos by id, texts and the videos they are asked of by query id."""

    videos: dict[str, Filmed] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    asked_of: dict[str, set[str]] = field(default_factory=dict)
    records: Counter[str] = field(default_factory=Counter)


def published(folder: Path, name: str) -> Path:
    """`folder/name` or its .gz form.

    Raises WorldError if neither is there.
    """
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise WorldError(
        f"{folder}: neither {name} nor {name}.gz is there; put the data set's own annotation files there, or give another folder "
        "with --annotations"
    )


def read_records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, record) for every line of a JSON-lines file, plain or gzip-compressed.

    Raises WorldError naming file and line of what is no record.
    """
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            place = f"{path}:{number}"
            try:
                record = json.loads(line)
            except ValueError as error:
                raise WorldError(f"{place}: not a line of JSON: {error}") from error
            for key, kinds in (("vid", str), ("query", str), ("duration", (int, float)), ("qid", (int, str))):
                if not isinstance(record, dict) or not isinstance(record.get(key), kinds):
                    raise WorldError(f"{place}: expected a record with {key!r}, got {line.strip()[:80]!r}")
            if not 0 < record["duration"] < math.inf:
                raise WorldError(f"{place}: duration {record['duration']} is not a positive number of seconds")
            yield place, record


def read_list(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The same for a JSON array of [video, duration, [start, end], sentence]; a sentence is known by its file and its place.

    Raises WorldError naming file and record of what is none.
    """
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as stream:
        try:
            rows = json.load(stream)
        except ValueError as error:
            raise WorldError(f"{path}: not JSON: {error}") from error
    for number, row in enumerate(rows if isinstance(rows, list) else [rows]):
        place = f"{path}: record {number}"
        match row:
            case [str(video), int() | float() as duration, [_, _] as window, str(sentence)] if 0 < duration < math.inf:
                qid = f"{path.name.partition('.')[0]}:{number}"
                yield place, {"vid": video, "qid": qid, "query": sentence, "duration": duration, "relevant_windows": [window]}
            case _:
                raise WorldError(f"{place}: expected [video, duration in s, [start, end], sentence], got {str(row)[:80]!r}")


def read_annotations(folder: Path, files: tuple[str, ...]) -> Annotations:
    """Merge the records of all files.

    Raises WorldError if a query id stands for two texts, or a video has two durations.
    """
    found = Annotations()
    for name in files:
        for place, record in (read_list if name.endswith(".json") else read_records)(published(folder, name)):
            video, qid, text = record["vid"], str(record["qid"]), record["query"]
            if found.texts.setdefault(qid, text) != text:
                raise WorldError(
                    f"{place}: qid {qid} is {text!r} here and {found.texts[qid]!r} before: one feature file for both"
                )
            filmed = found.videos.setdefault(video, Filmed(duration=float(record["duration"])))
            if filmed.duration != record["duration"]:
                raise WorldError(f"{place}: {video} lasts {record['duration']} s here and {filmed.duration} s before")
            found.asked_of.setdefault(qid, set()).add(video)
            found.records[name] += 1
            if record.get("no_answer"):
                continue  # the window of such a record is a placeholder
            asked = filmed.asked.setdefault(text, Asked())
            try:
                asked.windows |= {(float(min(a, b)), float(max(a, b))) for a, b in record.get("relevant_windows") or ()}
                rated = zip(record.get("relevant_clip_ids") or (), record.get("saliency_scores") or (), strict=True)
                asked.ratings |= {int(clip): sum(scores) / len(scores) for clip, scores in rated}
            except (TypeError, ValueError) as error:
                raise WorldError(f"{place}: relevant_windows, relevant_clip_ids or saliency_scores: {error}") from error
    return found


class RehearsedWorld:
    """The rehearsal of one data set."""

    def __init__(self, settings: Rehearsal, seed: int, folder: Path) -> None:
        """Read the annotation files in `folder`."""
        self.settings, self.seed, self.folder = settings, seed, folder
        self.annotations = read_annotations(folder, settings.files)
        texts = self.annotations.texts.values()
        seen = Counter(word for text in texts for word in set(words(text)))
        self.weight = {word: math.log(1 + len(texts) / count) for word, count in seen.items()}
        self.video_ids = sorted(map(check_file_name, self.annotations.videos))[: settings.subset]
        kept = set(self.video_ids)
        self.query_ids = sorted(check_file_name(qid) for qid, videos in self.annotations.asked_of.items() if videos & kept)
        self.word = lru_cache(maxsize=WORDS_KEPT)(self._word)

    @property
    def items(self) -> int:
        """How many feature files `write` makes."""
        return sum(len(self.ids(feature)) for feature in self.settings.features.values())

    def ids(self, feature: Rehearsed) -> list[str]:
        """The ids of a feature kind, sorted."""
        return self.video_ids if feature.of == "videos" else self.query_ids

    def write(self, root: Path, tick: Callable[[], object]) -> tuple[dict[str, Written], dict[str, Any]]:
        """Write upstream/ below `root`; return the feature kinds, and facts for world.json.

        `tick` is called once per feature file.
        """
        into = root / "upstream" / self.settings.into
        into.mkdir(parents=True, exist_ok=True)
        for name in self.settings.files:
            source = published(self.folder, name)
            shutil.copyfile(source, into / source.name)
        written = {name: self._kind(root / "upstream", feature, tick) for name, feature in self.settings.features.items()}
        return written, {
            "annotations": dict(self.annotations.records),
            "videos": {"planted": len(self.video_ids), "annotated": len(self.annotations.videos)},
            "queries": {"planted": len(self.query_ids), "annotated": len(self.annotations.texts)},
            "is_subset": len(self.video_ids) < len(self.annotations.videos),
        }

    def _kind(self, root: Path, feature: Rehearsed, tick: Callable[[], object]) -> Written:
        lift = orthonormal(stream(self.seed, "lift", feature.width), feature.width, self.settings.latent).T
        rows = lru_cache(maxsize=WORDS_KEPT)(lambda word: (self.word(word) @ lift).astype(feature.dtype))
        if feature.format == "h5":
            with ItemFile(root, feature.path) as file:
                for item in self.ids(feature):
                    file.add(f"{feature.prefix}{item}", (self.clips(item, feature) @ lift).astype(feature.dtype))
                    tick()
            return file.written()
        with FeatureFiles(root, feature.path, feature.packing, feature.part_bytes) as files:
            for item in self.ids(feature):
                if feature.of == "videos":
                    values = (self.clips(item, feature) @ lift).astype(feature.dtype)
                else:
                    values = np.stack([rows(word) for word in tokens(self.annotations.texts[item], feature)])
                data = pt_bytes(values) if feature.key is None else npz_bytes({feature.key: values})
                files.add(f"{feature.prefix}{item}.{feature.format}", data)
                tick()
        return files.written()

    def clips(self, video: str, feature: Rehearsed) -> np.ndarray:
        """(T, d) latent rows of a video, T = ceil(duration * fps) + extra_rows."""
        settings, filmed = self.settings, self.annotations.videos[video]
        count = math.ceil(filmed.duration * settings.fps) + feature.extra_rows
        scene = unit(stream(self.seed, "scene", video).standard_normal(settings.latent))
        noise = stream(self.seed, "clips", feature.path, video).standard_normal((count, settings.latent))
        rows = settings.scene * scene + settings.noise * noise
        for text, asked in filmed.asked.items():
            strength = settings.signal * self.strength(asked, count)
            rows += strength[:, None] * self.direction(text)
        return np.asarray(rows)

    def strength(self, asked: Asked, count: int) -> np.ndarray:
        """(count,) how much of each clip is inside the windows, scaled by the raters where they rated."""
        if not asked.windows:
            return np.zeros(count)
        seconds = 1 / self.settings.fps
        inside = coverage(np.array(sorted(asked.windows)), count, seconds).sum(axis=0).clip(0, 1)
        rated = np.array([asked.ratings.get(int(t * seconds / RATED_SECONDS), math.nan) for t in range(count)])
        scale = 1 - self.settings.rated * (1 - np.nan_to_num(rated, nan=float(HIGHEST)) / HIGHEST)
        return np.asarray(inside * scale)

    def direction(self, text: str) -> np.ndarray:
        """(d,) what the clips of a query have in common: its rarer words count more. Zero for a text without words."""
        return unit(sum((self.weight[word] * self.word(word) for word in words(text)), np.zeros(self.settings.latent)))

    def _word(self, word: str) -> np.ndarray:
        return unit(stream(self.seed, "word", word).standard_normal(self.settings.latent))


def words(text: str) -> list[str]:
    """Lower-case words and punctuation marks."""
    return WORD.findall(text.lower())


def tokens(text: str, feature: Rehearsed) -> list[str]:
    """Begin marks, words, an end mark, cut as the extractor cuts: the end mark is kept."""
    body = [f"<begin {n}>" for n in range(feature.marks)] + words(text)
    return [*(body if feature.max_tokens is None else body[: feature.max_tokens - 1]), "<end>"]


def unit(vector: np.ndarray) -> np.ndarray:
    """The vector at length 1; zero stays zero."""
    length = float(np.linalg.norm(vector))
    return vector if length == 0 else np.asarray(vector / length)
