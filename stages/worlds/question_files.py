"""The files of one split of a world of questions, written block by block: memory does not grow with the number of videos."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages.worlds import question_records as records
from stages.worlds.array_files import ArrayFile, Ids
from stages.worlds.ceilings import Ceiling
from stages.worlds.grammar import WORD_FORMS, Asked, Content, has_options, options
from stages.worlds.observation import Views
from stages.worlds.question_truth import observed_facts, said_facts, seen_facts
from stages.worlds.regions import Detector, Seen
from stages.worlds.scm import Scm, Video
from stages.worlds.settings import OPTIONS
from stages.worlds.wording import Wording, candidate_tokens, question_tokens

BLOCK = 128  # videos in memory at a time
ANNOTATIONS = "annotations"
REGION_CLIPS = 8  # of the published region files, of which every second is used
TRUTH = pa.schema(
    [
        ("sample_id", pa.string()), ("video_id", pa.string()), ("kind", pa.string()), ("type", pa.string()),
        ("answer", pa.string()), ("spans", pa.list_(pa.list_(pa.float64()))), ("causal_clips", pa.list_(pa.int64())),
        ("causal_objects", pa.list_(pa.list_(pa.int64()))), ("shortcut_answer", pa.string()),
        ("shortcut_is_right", pa.bool_()), ("language_guess", pa.string()), ("guessable", pa.bool_()),
        ("bayes_with", pa.string()), ("bayes_without", pa.string()), ("duration", pa.float64()), ("objects", pa.int64()),
    ]
)  # fmt: skip
SHOWN = {"grounded": ("clip",), "choice": ("clip", "slowfast"), "open": ("clip", "slowfast")}  # views in each data set's files
Posteriors = dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]  # by video index and question


@dataclass(frozen=True, kw_only=True)
class Offered:
    """A question with its five options."""

    asked: Asked
    options: tuple[Content, ...]
    right: int


def offered(scm: Scm, asked: Sequence[Asked]) -> list[Offered]:
    """Those of some questions that have five possible answers, with options."""
    chosen = ((one, *options(scm, one)) for one in asked if has_options(one.form, scm.settings))
    return [Offered(asked=one, options=among, right=right) for one, among, right in chosen]


class SplitFiles:
    """Writes one split of the three data sets below `root`."""

    def __init__(
        self,
        scm: Scm,
        views: Views,
        wording: Wording,
        detector: Detector,
        split: str,
        videos: list[Video],
        asked: list[Asked],
        root: Path,
    ) -> None:
        self.scm, self.views, self.wording, self.detector = scm, views, wording, detector
        self.split, self.videos, self.root, self.settings = split, videos, root, scm.settings
        self.ceiling = Ceiling(scm, views)
        self.offered = offered(scm, asked)
        self.open = [one for one in asked if one.form in WORD_FORMS]
        self.predicted = split != "train"
        self._truth: dict[str, list[dict[str, object]]] = {name: [] for name in SHOWN}

    def write(self, tick: Callable[[], object]) -> None:
        """Everything of the split; `tick` is called once per video."""
        with ExitStack() as stack:
            files = {name: stack.enter_context(file) for name, file in self._files().items()}
            tables = {name: stack.enter_context(table) for name, table in self._tables().items()}
            for start in range(0, len(self.videos), BLOCK):
                block = self.videos[start : start + BLOCK]
                among = {video.index for video in block}
                seen = dict(zip(sorted(among), self._features(block, files), strict=True))
                by_views = {views: self._posteriors(block, views) for views in dict.fromkeys(SHOWN.values())}
                known = {name: by_views[views] for name, views in SHOWN.items()}
                self._choice([one for one in self.offered if one.asked.video.index in among], seen, known, files, tables)
                self._open([one for one in self.open if one.video.index in among], seen, known, files["roberta"], tables["open"])
                for _ in block:
                    tick()
        for name, rows in self._truth.items():
            path = self.root / name / "truth" / f"{self.split}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pylist(rows, schema=TRUTH), path, compression="zstd")
        if self.split != "train":
            grounding = records.grounding(self.settings, (one.asked for one in self.offered), self.videos)
            times = records.frame_times(self.settings, self.videos)
            for name in ("grounded", "choice"):
                records.write_json(self.root / name / ANNOTATIONS / f"gsub_{self.split}.json", grounding)
                records.write_json(self.root / name / ANNOTATIONS / f"frame2time_{self.split}.json", times)

    def ceilings(self) -> dict[str, dict[str, float]]:
        """Share of right answers of the ideal observer, by data set, with and without the back door."""
        found = {}
        for name, rows in self._truth.items():
            predicted = [one for one in rows if one["bayes_with"] is not None]
            if predicted:
                doors = ("with", "without")
                found[name] = {
                    door: sum(one[f"bayes_{door}"] == one["answer"] for one in predicted) / len(predicted) for door in doors
                }
        return found

    def _tables(self) -> dict[str, records.Table]:
        return {
            "grounded": records.Table(self.root / "grounded" / ANNOTATIONS / f"{self.split}.csv", records.GROUNDED),
            "choice": records.Table(self.root / "choice" / ANNOTATIONS / f"{self.split}.csv", records.CHOICE),
            "open": records.Table(self.root / "open" / ANNOTATIONS / f"{self.split}.csv", records.OPEN, delimiter="\t"),
        }

    def _files(self) -> dict[str, ArrayFile]:
        settings, split, dtype = self.settings, self.split, self.settings.dtype
        numbers = [records.number(settings, video) for video in self.videos]
        count, clips = len(numbers), settings.min_clips
        clip, motion, text = settings.views["clip"].width, settings.views["slowfast"].width, settings.text.width
        regions = self.detector.settings
        frames = (count, REGION_CLIPS, 2 * clips // REGION_CLIPS, regions.boxes)
        shown = {"feat": (*frames, regions.view.width), "bbox": (*frames, 4)}
        tokens = max((len(candidate_tokens(one.asked, option)) for one in self.offered for option in one.options), default=1)
        asked = max((len(question_tokens(one.asked)) for one in self.offered), default=1)
        lengths = max((len(question_tokens(one)) for one in self.open), default=1)
        choice, open_ = self.root / "choice", self.root / "open"
        layout: dict[str, tuple[Path, Mapping[str, tuple[int, ...]], str | None]] = {
            "clipl": (self.root / "grounded" / "CLIPL" / f"CLIPL_I_{split}.h5", {"CLIPL_I": (count, clips, clip)}, "vid"),
            "app_mot": (choice / "vid_feat" / f"app_mot_{split}.h5", {"feat": (count, clips, clip + motion)}, "ids"),
            "frames": (choice / "frames" / f"{split}.h5", {"feat": (count, clips, clip)}, "ids"),
            "regions": (choice / "region_feat_n" / f"acregion_8c{regions.boxes}b_{split}.h5", shown, "ids"),
            "bert": (choice / "qas_bert" / f"bert_ft_{split}.h5", {"feat": (len(self.offered), OPTIONS, tokens, text)}, None),
            "asked": (choice / "qas_bert" / f"bert_q_{split}.h5", {"feat": (len(self.offered), asked, text)}, None),
            "appearance": (
                open_ / "frame_feat" / f"msvd_appearance_res152_feat_{split}.h5",
                {"res152_features": (count, clips, clip)},
                "ids",
            ),
            "motion": (
                open_ / "mot_feat" / f"msvd_motion_3dres152_feat_{split}.h5",
                {"3dres152_features": (count, clips, motion)},
                "ids",
            ),
            "roberta": (
                open_ / "roberta" / f"roberta_21_meanpool_{split}.h5", {"feat": (len(self.open), lengths, text)}, None,
            ),
        }  # fmt: skip
        ids: dict[str, Ids] = {"vid": ("vid", [str(one) for one in numbers]), "ids": ("ids", numbers)}
        return {
            name: ArrayFile(path, shapes, dtype, None if key is None else ids[key])
            for name, (path, shapes, key) in layout.items()
        }

    def _features(self, block: list[Video], files: dict[str, ArrayFile]) -> list[Seen]:
        """Add the features of some videos; return what the detector saw in them."""
        rows = {}
        for name, view in self.settings.views.items():
            lift = self.views.lift(name, view.width)[:, : self.settings.latent]
            rows[name] = np.stack([self.views.latent(video, name) for video in block]) @ lift.T
        files["clipl"].add({"CLIPL_I": rows["clip"]})
        files["frames"].add({"feat": rows["clip"]})
        files["app_mot"].add({"feat": np.concatenate([rows["clip"], rows["slowfast"]], axis=-1)})
        files["appearance"].add({"res152_features": rows["clip"]})
        files["motion"].add({"3dres152_features": rows["slowfast"]})
        seen = [self.detector.see(video) for video in block]
        shown = np.stack([one.latent for one in seen]) @ self.detector.lift().T
        files["regions"].add({"feat": published_clips(shown), "bbox": published_clips(np.stack([one.boxes for one in seen]))})
        return seen

    def _choice(
        self,
        block: list[Offered],
        seen: dict[int, Seen],
        known: dict[str, Posteriors],
        files: dict[str, ArrayFile],
        tables: dict[str, records.Table],
    ) -> None:
        """Add multiple-choice questions: records, token features, truth."""
        longest, shorter = files["bert"].shape("feat")[2], files["asked"].shape("feat")[1]
        rows, alone = [], []
        for one in block:
            asked = one.asked
            record = records.choice_row(self.settings, asked, one.options)
            tables["grounded"].add({**record, "answer": record[records.CHOICES[one.right]]})
            tables["choice"].add({**record, "answer": one.right})
            rows.append(self.wording.published([candidate_tokens(asked, option) for option in one.options], asked, longest))
            alone.append(self.wording.published([question_tokens(asked)], asked, shorter))
            number, key = str(record["video"]), (asked.video.index, asked.qid)
            named: dict[str, object] = {"sample_id": f"{number}_{asked.qid}", "video_id": number}
            facts = named | seen_facts(asked, seen[asked.video.index]) | said_facts(self.scm, asked, one.options)
            for name in ("grounded", "choice"):
                observed = observed_facts(self.scm, asked, one.options, known[name].get(key))
                self._truth[name].append({**facts, **observed})
        if rows:
            files["bert"].add({"feat": np.stack(rows)})
            files["asked"].add({"feat": np.concatenate(alone)})

    def _open(
        self, block: list[Asked], seen: dict[int, Seen], known: dict[str, Posteriors], features: ArrayFile, table: records.Table
    ) -> None:
        """Add open-ended questions: records, token features, truth."""
        longest, rows = features.shape("feat")[1], []
        for asked in block:
            record = records.open_row(self.settings, asked, len(self._truth["open"]))
            table.add(record)
            rows.append(self.wording.published([question_tokens(asked)], asked, longest))
            named: dict[str, object] = {"sample_id": str(record["id"]), "video_id": str(record["video_id"])}
            facts = named | seen_facts(asked, seen[asked.video.index]) | said_facts(self.scm, asked, None)
            observed = observed_facts(self.scm, asked, None, known["open"].get((asked.video.index, asked.qid)))
            self._truth["open"].append({**facts, **observed})
        if rows:
            features.add({"feat": np.concatenate(rows)})

    def _posteriors(self, block: list[Video], views: tuple[str, ...]) -> Posteriors:
        """Posterior of the object (O,) with and without the back door, object questions on some videos, by these views."""
        found: Posteriors = {}
        if not self.predicted:
            return found
        biased, cut = self.scm.mechanism("biased"), self.scm.mechanism("interventional")
        asked = {(one.video.index, one.qid): one for one in (*(one.asked for one in self.offered), *self.open)}
        by_video = {video.index: (video, self.ceiling.evidence_of(video, views)) for video in block}
        for (index, qid), one in asked.items():
            if one.kind == "object" and one.event is not None and index in by_video:
                video, evidence = by_video[index]
                actor, predicate = one.event.actor, one.event.predicate
                found[index, qid] = (
                    self.ceiling.objects(video, evidence, actor, predicate, biased),
                    self.ceiling.objects(video, evidence, actor, predicate, cut),
                )
        return found


def published_clips(frames: np.ndarray) -> np.ndarray:
    """(N, T, O, D) -> (N, 8, T / 4, O, D): every second clip holds the frames in order, the others repeat them."""
    videos, count, *rest = frames.shape
    clips = frames.reshape(videos, REGION_CLIPS // 2, 2 * count // REGION_CLIPS, *rest)
    return np.repeat(clips, 2, axis=1)
