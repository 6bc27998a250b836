"""Task "grounded_questions" on a video of the user's own: the words are read by the run's tokenizer, nothing else is needed."""

from __future__ import annotations

from stages.params import Run
from stages.predictions import own_video
from stages.predictions.grounded_questions import examples
from stages.predictions.inference import PredictionError
from stages.predictions.settings import GroundedEvaluate
from stages.tasks.grounded_questions import answers_of, in_params, reader_of
from stages.tasks.own import Answered, Own
from stages.tasks.own_questions import SPLIT, GivenRows, options_of, sample_of
from stages.tasks.task import Finished
from stages.training.grounded_questions import GroundedFeed
from stages.training.shown import part


def answer(finished: Finished, entry: Run | None, own: Own, settings: GroundedEvaluate | None) -> Answered:
    """Records as of a split, without the right answers.

    Raises PredictionError: files or options that do not fit the run, no length of the video; EncoderError for a run whose entry
    in params.yaml does not say how its texts are made.
    """
    method, config = finished.record.method, finished.model.config
    words = "reads the words of --query and --options themselves"
    own.refuse(method, query_features=words, text_encoder=words, objects="sees no objects")
    told, settings = in_params(finished, entry, settings)
    options = options_of(own, method, chooses=True)
    frames = own_video.read_clips(own.features, width=finished.record.widths["video"], normalise=False)
    if len(frames) > config.max_frames:
        raise PredictionError(
            f"{own.features[0]}: {len(frames)} frames; {method} takes {config.max_frames} at most, evenly drawn from the video"
        )
    if own.seconds(len(frames)) is None:
        raise PredictionError(
            f"{method} answers with a moment in seconds: give the length of your video, --duration S, or --fps F"
        )
    video, reader = part(GivenRows({own.name: frames}), finished.record.shown), reader_of(finished, told)
    records, shown = [], []
    for number, (question, several) in enumerate(zip(own.queries, options, strict=True)):
        sample = sample_of(own, number, question, several, len(frames))
        rows = answers_of(finished, GroundedFeed([sample], video, reader), settings, SPLIT)
        shown += examples([sample], rows, split=SPLIT, chosen=1)
        records += [{**row, "query": question} for row in rows]
    return Answered(records=records, examples=shown)
