"""The numbers of one training (params.yaml: runs.<run>.optim and runs.<run>.train).

    Optim     how a gradient becomes a step: optimiser, rate and its schedule
    Train     what is passed over how often, which epoch is kept, on what machine
    Recipe    both, as the training loop takes them

What a paper tunes for every method has no default. What only some recipes use defaults to "not used".
Schedules are defined in schedules.py, optimisers in optimisers.py.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Literal, Self

Schedule = Literal["constant", "step", "linear", "cosine", "inverse_sqrt", "one_cycle", "plateau"]
Shown = Literal["all", "average", "nothing", "evidence"]  # how much of a video; stages/training/shown.py says what they mean
Optimiser = Literal["adamw", "adam", "amsgrad", "adam_fairseq"]
Amp = Literal["none", "bf16", "fp16"]
Rule = tuple[bool, str]


@dataclass(frozen=True, kw_only=True)
class Optim:
    """Optimiser and rate.

    lr, weight_decay      base rate; decay of all parameters
    schedule              form of the rate over time; `steps`, `decay`, `final_ratio`, `patience` belong to single forms
    warmup_steps          optimiser steps until the base rate is reached, linearly from lr * warmup_ratio
    clip_norm             bound of the global L2 norm of the gradients; None: not clipped
    optimiser, betas, eps
    lr_scales             parameter name prefix -> factor on the rate; the longest prefix that fits counts
    steps, decay          "step": epochs at whose start the rate is multiplied by `decay`; "plateau": `decay` is its factor
    final_ratio           "linear", "cosine", "one_cycle": rate after the last step, as a share of lr
    patience              "plateau": validations without a better value before the rate is reduced
    """

    lr: float
    weight_decay: float
    schedule: Schedule
    warmup_steps: int
    clip_norm: float | None
    optimiser: Optimiser = "adamw"
    betas: tuple[float, ...] = (0.9, 0.999)
    eps: float = 1e-8
    lr_scales: dict[str, float] = field(default_factory=dict)
    warmup_ratio: float = 0.001
    steps: tuple[int, ...] = ()
    decay: float = 0.1
    final_ratio: float = 0.0
    patience: int = 0

    def __post_init__(self) -> None:
        """Refuse what single values or their combination cannot mean; all complaints at once."""
        _refuse(self.rules())

    def rules(self) -> list[Rule]:
        """(whether it holds, what to say if not)."""
        not_negative = ("weight_decay", "warmup_steps", "patience")
        return [
            *((getattr(self, name) >= 0, f"{name} is {getattr(self, name)}, must not be negative") for name in not_negative),
            (self.lr > 0, f"lr is {self.lr}, must be above 0"),
            (self.eps > 0, f"eps is {self.eps}, must be above 0"),
            (
                len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas),
                f"betas are {self.betas}, must be two numbers in [0, 1)",
            ),
            (0 <= self.warmup_ratio <= 1, f"warmup_ratio is {self.warmup_ratio}, must be in [0, 1]"),
            (0 <= self.final_ratio <= 1, f"final_ratio is {self.final_ratio}, must be in [0, 1]"),
            (0 < self.decay <= 1, f"decay is {self.decay}, must be in (0, 1]"),
            (self.clip_norm is None or self.clip_norm > 0, f"clip_norm is {self.clip_norm}, must be above 0 or null"),
            (
                list(self.steps) == sorted(set(self.steps)) and all(step > 0 for step in self.steps),
                f"steps are {self.steps}, must be rising epochs above 0",
            ),
            (self.schedule == "step" or not self.steps, f"steps {self.steps} belong to schedule step, not to {self.schedule}"),
            (
                self.schedule in ("linear", "cosine", "one_cycle") or self.final_ratio == 0,
                f"final_ratio {self.final_ratio} does nothing under schedule {self.schedule}",
            ),
            (self.schedule != "inverse_sqrt" or self.warmup_steps > 0, "schedule inverse_sqrt needs warmup_steps above 0"),
            (all(scale >= 0 for scale in self.lr_scales.values()), f"lr_scales are {self.lr_scales}, must not be negative"),
        ]


@dataclass(frozen=True, kw_only=True)
class Train:
    """Passes, selection, machine.

    epochs, batch_size    passes over the (repeated) training samples; samples per optimiser step, over all processes
    amp                   autocast of the forward pass; "none" is float32 throughout (the word off is a boolean in YAML)
    accumulate            a batch is cut into this many parts whose gradients are added up
    repeat                every sample occurs this often per epoch
    min_duration          training samples of shorter videos (seconds) are dropped
    drop_last             leave out a last batch that is not full
    select, select_mode   validation metric that chooses the epoch that is kept, and whether more is better; None: the last epoch
    selection             split to select on; None: the published validation split, or else the training videos held out
    hold_out              without a published validation split, hold out the training videos that select; False: train on all
                          of them, and keep the last epoch
    validate_every        epochs between validations; the last epoch is always validated
    pad_multiple          clips and tokens are padded to a multiple of this: fewer shapes for `compile`
    compile               torch.compile the forward pass
    device, threads       where; threads of one process (small models crawl when threads compete for busy cores)
    processes             processes that share every batch, one GPU each; the stage starts them with torchrun
    budget_bytes          memory for the resident features; beyond it they are read from the mapped store
    keep_every            optimiser steps between resumable states; 0: at the end of every epoch only
    log_every             optimiser steps between looks at the losses (progress bar, search for NaN); one look waits for the GPU
    """

    epochs: int
    batch_size: int
    amp: Amp = "none"
    accumulate: int = 1
    repeat: int = 1
    min_duration: float = 0.0
    drop_last: bool = False
    select: str | None = None
    select_mode: Literal["max", "min"] = "max"
    selection: str | None = None
    hold_out: bool = True
    validate_every: int = 1
    pad_multiple: int = 1
    compile: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = 1
    processes: int = 1
    budget_bytes: int = 8 * 2**30
    keep_every: int = 0
    log_every: int = 20

    def __post_init__(self) -> None:
        """Refuse what single values or their combination cannot mean; all complaints at once."""
        _refuse(self.rules())

    def rules(self) -> list[Rule]:
        """(whether it holds, what to say if not)."""
        at_least_one = (
            "epochs", "processes", "batch_size", "accumulate", "repeat", "validate_every", "pad_multiple", "threads", "log_every",
        )  # fmt: skip
        not_negative = ("min_duration", "budget_bytes", "keep_every")
        return [
            *((getattr(self, name) >= 1, f"{name} is {getattr(self, name)}, must be at least 1") for name in at_least_one),
            *((getattr(self, name) >= 0, f"{name} is {getattr(self, name)}, must not be negative") for name in not_negative),
            (
                self.batch_size % self.accumulate == 0,
                f"accumulate {self.accumulate} must divide batch_size {self.batch_size}",
            ),
        ]


@dataclass(frozen=True, kw_only=True)
class Texts:
    """How a run that reads words reads its questions: `features.texts`.

    answer_tokens, question_tokens   longest text of a question with an option, and of a question alone
    paraphrase, same_video, foreign_answers   probabilities of what training varies (stages/training/question_draws.py)
    paraphrases                      file below data/raw/<dataset>/ with other wordings; null: there are none
    """

    answer_tokens: int
    question_tokens: int
    paraphrase: float
    same_video: float
    foreign_answers: float
    paraphrases: str | None

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        chances = {name: getattr(self, name) for name in ("paraphrase", "same_video", "foreign_answers")}
        _refuse(
            [
                (min(self.answer_tokens, self.question_tokens) >= 3, "answer_tokens and question_tokens must be at least 3"),
                *((0 <= value <= 1, f"{name} is {value}, must be a probability") for name, value in chances.items()),
                (self.paraphrase == 0 or self.paraphrases is not None, "paraphrase needs a file of paraphrases"),
            ]
        )


@dataclass(frozen=True, kw_only=True)
class Recipe(Optim, Train):
    """The whole of a training, flat."""

    @classmethod
    def of(cls, optim: Optim, train: Train) -> Self:
        """Both parts as one.

        Raises ValueError if they do not go together.
        """
        return cls(**asdict(optim), **asdict(train))

    def rules(self) -> list[Rule]:
        """Those of both parts, and what they say about each other."""
        watched = (self.schedule != "plateau" or self.select is not None, "schedule plateau needs a metric to watch: select")
        return [*Optim.rules(self), *Train.rules(self), watched]


def _refuse(rules: list[Rule]) -> None:
    wrong = [text for holds, text in rules if not holds]
    if wrong:
        raise ValueError("; ".join(wrong))
