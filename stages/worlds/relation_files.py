"""A planted world of relations on disk.

upstream/annotations/<split>/<video id>.json   in the layout of VidVRD
upstream/proposals     <video id>.npz          rows: what a detector proposes, as stages/datasets/relation_schema.py says
upstream/appearance    <video id>.npz          rows: ten steps of every proposal
truth                  relations.parquet: class pair, predicate, geometry, and what the best observer would say; tables.npz
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages.datasets.relation_schema import SEGMENT, STEPS, proposal_rows, segment_begins
from stages.worlds.relation_ceilings import ceilings, groups, posterior
from stages.worlds.relation_settings import PlantedRelations
from stages.worlds.relations import RelationScm, RelationVideo
from stages.worlds.streams import orthonormal, stream
from stages.worlds.upstream import FeatureFiles, Written, npz_bytes

SIDES = ("xmin", "ymin", "xmax", "ymax")
PROPOSALS, APPEARANCE = "proposals", "appearance"


class RelationWorld:
    """All videos of one world by split, drawn; written by `write`."""

    def __init__(self, settings: PlantedRelations, seed: int) -> None:
        self.settings, self.seed = settings, seed
        self.scm = RelationScm(settings, seed)
        self.looks = orthonormal(stream(seed, "looks of classes"), settings.appearance_width, settings.classes).T  # (C, W)
        self.videos: dict[str, list[RelationVideo]] = {
            split: [self.scm.video(split, index) for index in range(size.videos)]
            for split, size in sorted(settings.splits.items())
        }

    @property
    def items(self) -> int:
        """How many videos `write` makes."""
        return sum(map(len, self.videos.values()))

    def write(self, root: Path, tick: Callable[[], object]) -> tuple[dict[str, Written], dict[str, Any]]:
        """Write upstream/ and truth/ below `root`; return the feature kinds, and facts for world.json.

        `tick` is called once per video.
        """
        upstream, packing = root / "upstream", self.settings.packing
        for split, videos in self.videos.items():
            folder = upstream / "annotations" / split
            folder.mkdir(parents=True)
            for video in videos:
                (folder / f"{video.video_id}.json").write_text(json.dumps(self.record(video)) + "\n", encoding="utf-8")
        with FeatureFiles(upstream, PROPOSALS, packing) as proposals, FeatureFiles(upstream, APPEARANCE, packing) as appearance:
            for video in sorted((one for several in self.videos.values() for one in several), key=lambda one: one.video_id):
                rows, looks = self.detections(video)
                proposals.add(f"{video.video_id}.npz", npz_bytes({"features": rows}))
                appearance.add(f"{video.video_id}.npz", npz_bytes({"features": looks.astype(self.settings.dtype)}))
                tick()
        self._truth(root / "truth")
        written = {PROPOSALS: proposals.written(), APPEARANCE: appearance.written()}
        return written, {"annotations": {split: len(videos) for split, videos in self.videos.items()}, **self.facts()}

    def record(self, video: RelationVideo) -> dict[str, Any]:
        """The annotation of a video."""
        settings, scm = self.settings, self.scm
        objects = video.objects
        listed = [boxes.tolist() for _, boxes in objects]
        return {
            "video_id": video.video_id,
            "frame_count": settings.frames,
            "fps": settings.fps,
            "width": settings.width,
            "height": settings.height,
            "subject/objects": [{"tid": tid, "category": scm.classes[which]} for tid, (which, _) in enumerate(objects)],
            "trajectories": [
                [
                    {"tid": tid, "bbox": dict(zip(SIDES, boxes[frame], strict=True)), "generated": 0}
                    for tid, boxes in enumerate(listed)
                ]
                for frame in range(settings.frames)
            ],
            "relation_instances": [
                {
                    "subject_tid": 2 * place,
                    "object_tid": 2 * place + 1,
                    "predicate": scm.predicates[one.predicate],
                    "begin_fid": 0,
                    "end_fid": settings.frames,
                }
                for place, one in enumerate(video.relations)
            ],
        }

    def detections(self, video: RelationVideo) -> tuple[np.ndarray, np.ndarray]:
        """Proposals (M, 151 + C) and their appearance (10 M, W) of a video, segment by segment. At least one proposal."""
        rows, looks = [], []
        for begin in segment_begins(0, self.settings.frames):
            generator = stream(self.seed, "detector", video.video_id, begin)
            found = [one for one in self._proposals(video, begin, generator) if one is not None]
            for place in generator.permutation(len(found)):
                boxes, present, scores, look = found[place]
                rows.append(proposal_rows(np.array([begin]), present[None], boxes[None] * present[:, None], scores[None]))
                looks.append(look * present[list(STEPS), None])
        return np.concatenate(rows), np.concatenate(looks)

    def _proposals(
        self, video: RelationVideo, begin: int, generator: np.random.Generator
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None]:
        """Boxes (30, 4), present (30,), scores (C,), appearance (10, W) of every object; None: missed. Then spurious ones."""
        settings, detector = self.settings, self.settings.detector
        objects: list[tuple[int | None, np.ndarray]] = [
            (which, boxes[begin : begin + SEGMENT].astype(float)) for which, boxes in video.objects
        ]
        for _ in range(int(generator.poisson(detector.spurious))):
            size = settings.object_pixels * np.exp(generator.normal(0.0, settings.size_sd, 2))
            corner = generator.random(2) * (np.array([settings.width, settings.height]) - size)
            objects.append((None, np.tile(np.concatenate((corner, corner + size)), (SEGMENT, 1))))
        for number, (which, boxes) in enumerate(objects):
            missed, side = generator.random() < detector.missed, generator.random()
            size = np.tile(boxes[:, 2:] - boxes[:, :2] + 1, 2)
            noise = generator.normal(0.0, detector.place_noise, 4) + generator.normal(0.0, detector.frame_noise, (SEGMENT, 4))
            present, cut = np.ones(SEGMENT, dtype=bool), int(generator.integers(1, SEGMENT // 2))
            if side < detector.short:
                present[slice(cut) if side < detector.short / 2 else slice(SEGMENT - cut, None)] = False
            logits = generator.normal(0.0, detector.class_noise, settings.classes)
            look = generator.normal(0.0, settings.appearance_noise, (len(STEPS), settings.appearance_width))
            if which is not None:
                logits[which] += 1
                look += self.looks[which]
            weight = np.exp(detector.class_scale * (logits - logits.max()))
            seen = boxes + noise * size
            seen[:, 2:] = np.maximum(seen[:, 2:], seen[:, :2])
            # The first object is always found: a video without any proposal would have no features at all.
            yield None if missed and number else (seen, present, weight / weight.sum(), look)

    def counts(self, split: str) -> np.ndarray:
        """(P,) relations of each predicate."""
        found = [one.predicate for video in self.videos[split] for one in video.relations]
        return np.bincount(found, minlength=self.settings.predicates)

    def facts(self) -> dict[str, Any]:
        """Counts, groups of predicates, and the ceilings per split: fractions."""
        scm, training = self.scm, self.counts("train") if "train" in self.videos else None
        facts: dict[str, Any] = {"classes": scm.classes, "predicates": scm.predicates}
        if training is None:
            return facts
        parts = groups(training)
        return facts | {
            "training_relations": dict(zip(scm.predicates, training.tolist(), strict=True)),
            "groups": {
                name: [scm.predicates[place] for place in np.flatnonzero(mask)] for name, mask in parts.items()
            },
            "ceilings": {
                split: ceilings(scm, [one for video in videos for one in video.relations], training)
                for split, videos in self.videos.items()
            },
        }  # fmt: skip

    def _truth(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        rows = [row for videos in self.videos.values() for row in self._truth_rows(videos)]
        pq.write_table(pa.Table.from_pylist(rows), folder / "relations.parquet", compression="zstd")
        arrays = {
            "prototypes": self.scm.prototypes,
            "looks": self.looks,
            **{f"law.{law}": t for law, t in self.scm.tables.items()},
        }
        (folder / "tables.npz").write_bytes(npz_bytes(arrays))

    def _truth_rows(self, videos: Sequence[RelationVideo]) -> Iterator[dict[str, object]]:
        scm = self.scm
        relations = [(video, place, one) for video in videos for place, one in enumerate(video.relations)]
        only = [one for _, _, one in relations]
        priors = {"best_with_back_door": scm.tables["biased"], "best_without_back_door": scm.tables["interventional"]}
        best = {name: posterior(scm, only, prior).argmax(axis=1) for name, prior in priors.items()}
        for row, (video, place, one) in enumerate(relations):
            yield {
                "split": video.split,
                "video_id": video.video_id,
                "subject_tid": 2 * place,
                "object_tid": 2 * place + 1,
                "subject": scm.classes[one.subject],
                "predicate": scm.predicates[one.predicate],
                "object": scm.classes[one.object],
                "is_suggested": one.usual,
                "geometry": one.geometry.tolist(),
                **{name: scm.predicates[int(guesses[row])] for name, guesses in best.items()},
            }
