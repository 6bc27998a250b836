"""A planted world with questions, on disk: three data sets about the same videos, each in the layout of its hosts.

upstream/grounded   NExT-GQA: annotations/<split>.csv, gsub_<split>.json, frame2time_<split>.json (not for train),
                    CLIPL/CLIPL_I_<split>.h5 (vid, CLIPL_I); encoders/ (encoders.py)
upstream/choice     NExT-QA: annotations/<split>.csv and the evidence of NExT-GQA beside them,
                    vid_feat/app_mot_<split>.h5 (ids, feat), frames/<split>.h5 (ids, feat),
                    qas_bert/bert_ft_<split>.h5 (feat, row by row: question with each option), bert_q_<split>.h5 (question alone),
                    region_feat_n/acregion_8c<O>b_<split>.h5 (ids, feat, bbox)
upstream/open       MSVD-QA: annotations/<split>.csv, frame_feat/msvd_appearance_res152_feat_<split>.h5 (ids, res152_features),
                    mot_feat/msvd_motion_3dres152_feat_<split>.h5 (ids, 3dres152_features),
                    roberta/roberta_21_meanpool_<split>.h5 (feat, row by row)
    each also       truth/<split>.parquet: a row per question, what the world knows about it (question_truth.py)
truth/              videos, events (parquet)

The CLIP-like view makes the frames of the first, both views appearance and motion of the others; the ideal observer of a data set
sees what its files show (regions apart). A clip of a video is a frame: as many times in
frame2time as there are clips. Region files hold twice the frames that are used, as published: every second of eight clips counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stages.worlds import question_records as records
from stages.worlds import truth
from stages.worlds.encoders import write_encoders
from stages.worlds.grammar import QUESTION_WORDS, phrase, questions, spelled
from stages.worlds.language import check_vocabulary, vocabulary
from stages.worlds.observation import Views
from stages.worlds.planted import write_table
from stages.worlds.question_files import REGION_CLIPS, SplitFiles, offered
from stages.worlds.regions import Detector
from stages.worlds.scm import Scm
from stages.worlds.settings import Planted, Questions, require
from stages.worlds.upstream import Written
from stages.worlds.wording import Wording


class QuestionWorld:
    """All videos and questions of one world by split; written by `write`."""

    def __init__(self, settings: Planted, asking: Questions, seed: int) -> None:
        check_vocabulary(settings)
        require(set(settings.views) == {"clip", "slowfast"}, "views: a world of questions has the two views clip and slowfast")
        require(settings.min_clips == settings.max_clips, "min_clips, max_clips: every video has the same number of frames")
        half = REGION_CLIPS // 2
        require(settings.min_clips % half == 0, f"min_clips: region files need a multiple of {half}, not {settings.min_clips}")
        self.settings, self.asking, self.seed = settings, asking, seed
        self.scm = Scm(settings, seed)
        self.views = Views(settings, seed, extra=len(QUESTION_WORDS))
        self.wording = Wording(settings, self.views)
        self.detector = Detector(self.scm, self.views, asking.regions)
        self.words = vocabulary(settings)
        self.videos = {
            split: [self.scm.video(split, index) for index in range(size.videos)]
            for split, size in sorted(settings.splits.items())
        }
        self.questions = {
            split: [asked for video in videos for asked in questions(self.scm, video, asking.kinds)]
            for split, videos in self.videos.items()
        }

    @property
    def items(self) -> int:
        """How many videos `write` goes through."""
        return sum(map(len, self.videos.values()))

    def write(self, root: Path, tick: Callable[[], object]) -> tuple[dict[str, Written], dict[str, Any]]:
        """Write upstream/ and truth/ below `root`; return no single feature files, and facts for world.json.

        `tick` is called once per video.
        """
        counts, ceilings = {}, {}
        for split in self.videos:
            writing = self.split_files(split, root / "upstream")
            writing.write(tick)
            counts[split] = {"choice": len(writing.offered), "open": len(writing.open)}
            ceilings[split] = writing.ceilings()
        options = offered(self.scm, self.questions["train"])
        texts = [(one.asked.text, spelled(phrase(one.asked.form, option))) for one in options for option in one.options]
        folder = root / "upstream" / "grounded" / "encoders"
        write_encoders(folder, self.asking.encoders, self.wording, texts)
        self._truth(root / "truth")
        facts = {"asking": asdict(self.asking), "questions": counts, "ceilings": ceilings}
        return {}, {**facts, "mechanism": truth.mechanism(self.scm, self.words)}

    def split_files(self, split: str, root: Path) -> SplitFiles:
        """The files of one split, to be written below `root`."""
        return SplitFiles(
            self.scm,
            self.views,
            self.wording,
            self.detector,
            split,
            self.videos[split],
            self.questions[split],
            root,
        )

    def _truth(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        videos = [video for group in self.videos.values() for video in group]
        named = [{"video_id": str(records.number(self.settings, video))} for video in videos]
        write_table(
            folder / "videos.parquet", [{**truth.video_row(v, self.words), **own} for v, own in zip(videos, named, strict=True)]
        )
        events = [
            {**event, **own} for v, own in zip(videos, named, strict=True) for event in truth.event_rows(self.scm, v, self.words)
        ]
        write_table(folder / "events.parquet", events)
