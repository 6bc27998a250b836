"""A planted world on disk: the published formats in upstream/, what only the world knows in truth/.

upstream/<view>         <video id>.npz    features (T, D)                                   folder or archive, by `packing`
upstream/<like>_text    qid<qid>.npz      last_hidden_state (L, D), pooler_output (D,)
upstream/annotations    <split>.jsonl     qid, query, duration, vid, relevant_clip_ids, saliency_scores, relevant_windows
                        rf_<split>.jsonl  qid, query, duration, vid, relevant_windows, no_answer; (vid, qid) is the key,
                                          a pair without answer has the window [0, 0.001] and `kind`: hard or easy
truth                   videos, events, queries, unanswerable (parquet); concepts.npz (vectors and lifts)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages.worlds import truth
from stages.worlds.language import FUNCTION_WORDS, Language, Query, vocabulary
from stages.worlds.observation import Views
from stages.worlds.scm import Scm, Video
from stages.worlds.settings import Planted
from stages.worlds.upstream import FeatureFiles, Written, npz_bytes, write_lines

NO_ANSWER_WINDOW = [0.0, 0.001]  # the published placeholder; not a label
LISTS = {"distractors": pa.list_(pa.string()), "place_guess": pa.list_(pa.float64())}
TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


class PlantedWorld:
    """All videos and queries of one world by split, drawn; written by `write`. The order of splits in params does not matter."""

    def __init__(self, settings: Planted, seed: int) -> None:
        self.settings, self.seed = settings, seed
        self.scm = Scm(settings, seed)
        self.views = Views(settings, seed, extra=len(FUNCTION_WORDS))
        self.language = Language(self.scm, self.views)
        self.words = vocabulary(settings)
        self.videos: dict[str, list[Video]] = {
            split: [self.scm.video(split, index) for index in range(size.videos)]
            for split, size in sorted(settings.splits.items())
        }
        self.queries: dict[str, list[Query]] = {
            split: [query for video in videos for query in self.language.queries(video)] for split, videos in self.videos.items()
        }

    @property
    def items(self) -> int:
        """How many feature files `write` makes."""
        videos, queries = (sum(map(len, group.values())) for group in (self.videos, self.queries))
        return len(self.settings.views) * videos + queries

    def write(self, root: Path, tick: Callable[[], object]) -> tuple[dict[str, Written], dict[str, Any]]:
        """Write upstream/ and truth/ below `root`; return the feature kinds, and facts for world.json.

        `tick` is called once per feature file.
        """
        features = self._features(root / "upstream", tick)
        annotations: dict[str, int] = {}
        pairs: list[truth.Unanswerable] = []
        missing: dict[str, Counter[str]] = {}
        for split in self.videos:
            folder = root / "upstream" / "annotations"
            annotations[split] = write_lines(folder / f"{split}.jsonl", map(self.record, self.queries[split]))
            if self.settings.splits[split].unanswerable_per_query:
                missing[split] = Counter(hard=0, easy=0)
                groups = list(truth.unanswerable(self.scm, split, self.queries[split], self.videos[split], missing[split]))
                answered = zip(self.queries[split], groups, strict=True)
                lines = (line for query, group in answered for line in robustness_records(query, group))
                annotations[f"rf_{split}"] = write_lines(folder / f"rf_{split}.jsonl", lines)
                pairs += [pair for group in groups for pair in group]
        self._truth(root / "truth", pairs)
        facts = {"annotations": annotations, "pairs_without_a_video": missing, "mechanism": truth.mechanism(self.scm, self.words)}
        return features, facts

    def _features(self, root: Path, tick: Callable[[], object]) -> dict[str, Written]:
        settings = self.settings
        written: dict[str, Written] = {}
        videos = sorted((video for group in self.videos.values() for video in group), key=lambda video: video.video_id)
        queries = sorted((query for group in self.queries.values() for query in group), key=lambda query: str(query.qid))
        for name, view in sorted(settings.views.items()):
            lift = self.views.lift(name, view.width)[:, : settings.latent]
            with FeatureFiles(root, name, settings.packing) as files:
                for video in videos:
                    rows = (self.views.latent(video, name) @ lift.T).astype(settings.dtype)
                    files.add(f"{video.video_id}.npz", npz_bytes({"features": rows}))
                    tick()
            written[name] = files.written()
        name = f"{settings.text.like}_text"
        with FeatureFiles(root, name, settings.packing) as files:
            for query in queries:
                tokens, pooled = self.language.published(query)
                files.add(f"qid{query.qid}.npz", npz_bytes({"last_hidden_state": tokens, "pooler_output": pooled}))
                tick()
        written[name] = files.written()
        return written

    def record(self, query: Query) -> dict[str, object]:
        """The annotation of a query as QVHighlights publishes it."""
        clips, scores = truth.ratings(self.settings, self.seed, query)
        return {
            "qid": query.qid,
            "query": query.text,
            "duration": query.video.duration,
            "vid": query.video.video_id,
            "relevant_clip_ids": clips,
            "saliency_scores": scores,
            "relevant_windows": [[query.event.start, query.event.end]],
        }

    def _truth(self, folder: Path, pairs: Sequence[truth.Unanswerable]) -> None:
        folder.mkdir(parents=True)
        videos = [video for group in self.videos.values() for video in group]
        write_table(folder / "videos.parquet", [truth.video_row(video, self.words) for video in videos])
        write_table(folder / "events.parquet", [row for video in videos for row in truth.event_rows(self.scm, video, self.words)])
        write_table(folder / "queries.parquet", [truth.query_row(query) for group in self.queries.values() for query in group])
        if pairs:
            write_table(folder / "unanswerable.parquet", [truth.pair_row(pair, self.words) for pair in pairs])
        arrays = {f"{self.settings.text.like}_text.lift": self.language.lift}
        for name, view in sorted(self.settings.views.items()):
            for kind in ("scene", "actor", "predicate", "object"):
                arrays[f"{name}.{kind}"] = getattr(self.views.concepts[name], kind)
            arrays[f"{name}.lift"] = self.views.lift(name, view.width)[:, : self.settings.latent]
        (folder / "concepts.npz").write_bytes(npz_bytes(arrays))


def robustness_records(query: Query, pairs: Sequence[truth.Unanswerable]) -> Iterator[dict[str, object]]:
    """A query with its own video, then with the videos that do not answer it, in the layout of the RF files."""
    windows = [[query.event.start, query.event.end]]
    yield _robustness_record(query, query.video, windows, no_answer=False)
    for pair in pairs:
        yield {**_robustness_record(query, pair.video, [NO_ANSWER_WINDOW], no_answer=True), "kind": pair.kind}


def _robustness_record(query: Query, video: Video, windows: list[list[float]], *, no_answer: bool) -> dict[str, object]:
    return {
        "qid": query.qid,
        "query": query.text,
        "duration": video.duration,
        "vid": video.video_id,
        "relevant_windows": windows,
        "no_answer": no_answer,
    }


def write_table(path: Path, rows: Sequence[dict[str, object]]) -> None:
    """Rows, at least one, to parquet; the columns' types follow from the first row and from LISTS."""
    schema = pa.schema([(name, LISTS[name] if name in LISTS else TYPES[type(value)]) for name, value in rows[0].items()])
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path, compression="zstd")
