"""Settings of one audit (params.yaml: audits.<name>): the variants of a run that are trained, the seeds, and what is compared."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any, Literal, get_args

Control = Literal["scene-only", "question-only", "evidence"]
SCENE, WORDS, EVIDENCE = get_args(Control)
CONTROLS = {SCENE: "average", WORDS: "nothing", EVIDENCE: "evidence"}  # -> part of the video: stages/training/shown.py
TWIN = "unbiased"  # variant v trained without bias is called v-unbiased


@dataclass(frozen=True, kw_only=True)
class Confounders:
    """Files that a run on this data set reads besides samples and features, as in `runs`."""

    video: str
    query: str


@dataclass(frozen=True, kw_only=True)
class AuditData:
    """A data set and the confounder files that were made from it."""

    dataset: str
    confounders: Confounders


@dataclass(frozen=True, kw_only=True)
class Splits:
    """Names of the test splits, all different.

    iid               has the biases of training
    interventional    has none of them
    reversed          has other biases; None: the data set has no such split
    """

    iid: str = "iid"
    interventional: str = "interventional"
    reversed: str | None = "reversed"

    def __post_init__(self) -> None:
        """Refuse one split under two names: every gap would be 0."""
        given = [(name, getattr(self, name)) for name in ("iid", "interventional", "reversed")]
        for (name, split), (other, other_split) in combinations(given, 2):
            if split == other_split:
                raise ValueError(f"{name} and {other} are both {split!r}, must be different splits")

    def names(self) -> tuple[str, ...]:
        """The splits that the data set has."""
        return (self.iid, self.interventional, *([self.reversed] if self.reversed else []))


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The same world with its bias at other strengths: base and full are trained on each, and tested on the splits of the audit.

    over         what is swept, in words, for the axis of the chart
    fields       dotted paths in the world of the audit's data set whose value is the strength
    strengths    other than the world's own, at which the other cells of the audit are trained
    seeds        of the trainings at each strength
    """

    over: str
    fields: tuple[str, ...]
    strengths: tuple[float, ...]
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        empty = [name for name in ("fields", "strengths", "seeds") if not getattr(self, name)]
        if empty:
            raise ValueError(f"{', '.join(empty)}: expected at least one each")
        for name in ("strengths", "seeds"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise ValueError(f"{name} are {getattr(self, name)}, must be distinct")


@dataclass(frozen=True, kw_only=True)
class Audit:
    """One audit: every variant of one run is trained and evaluated with every seed.

    run            entry of runs that all variants start from
    report         the results page that shows the audit
    title          of the audit on that page; its name if empty
    notes          variant -> what is changed, in words
    data           the data set that the variants are trained on
    unbiased       the same data set with training videos that have no bias, and the same test videos; `data` again where no
                   variant has a twin (dvc.yaml depends on both)
    variants       name -> values put in place of the run's, by dotted path: {model.counterfactual: average}
    base, full     variants without and with the intervention; gains are over base
    twins          variants that are also trained on `unbiased`, as <name>-unbiased: a gain or gap that remains there is not
                   caused by the bias
    controls       of CONTROLS: base trained and tested on the time average of each video, on no video, or on the true evidence
                   alone. The first is trained without bias, too
    chance         value of the first measure for a model that knows nothing, which controls are compared with: a number, or a
                   name in `numbers`, whose value for base on the interventional split is taken; None: unknown
    seeds          of the trainings
    splits         names of the test splits
    sweep          further trainings at other strengths of the bias; None: none
    measures       per-query numbers to compare, the headline first; of the MEASURES of the method's task
    numbers        further metrics of the evaluation of base or full, without the split's name: mean and deviation over seeds
    resamples, confidence, bootstrap_seed      of the intervals (effects.py says what they cover)
    jobs           cells that run at the same time, each in one process of one thread; no result depends on it
    """

    run: str
    report: str
    data: AuditData
    unbiased: AuditData
    variants: dict[str, dict[str, Any]]
    seeds: tuple[int, ...]
    measures: tuple[str, ...]
    title: str = ""
    notes: dict[str, str] = field(default_factory=dict)
    base: str = "base"
    full: str = "full"
    twins: tuple[str, ...] = ()
    controls: tuple[Control, ...] = ()
    chance: float | str | None = None
    splits: Splits = field(default_factory=Splits)
    sweep: Sweep | None = None
    numbers: tuple[str, ...] = ()
    resamples: int = 2000
    confidence: float = 0.95
    bootstrap_seed: int = 0
    jobs: int = 1

    def __post_init__(self) -> None:
        """Refuse values that are invalid alone or together; all complaints at once."""
        unknown = sorted({self.base, self.full, *self.twins} - set(self.variants))
        taken = sorted(set(CONTROLS) & set(self.variants))
        clash = sorted(name for name in self.variants if name.removesuffix(f"-{TWIN}") in self.twins and name not in self.twins)
        rules = [
            (
                not unknown,
                f"variants: no {', '.join(unknown)}, which base, full or twins name; there is {', '.join(self.variants)}",
            ),
            (self.base != self.full, f"base and full are both {self.base}"),
            (not clash, f"variants: {', '.join(clash)} would have the name of a twin"),
            (not taken, f"variants: {', '.join(taken)} have names of controls"),
            (SCENE not in self.controls or self.data != self.unbiased, f"{SCENE} needs `unbiased` to be another data set"),
            (not self.twins or self.data != self.unbiased, "twins need `unbiased` to be another data set than `data`"),
            (
                bool(self.seeds) and len(set(self.seeds)) == len(self.seeds),
                f"seeds are {self.seeds}, must be distinct, one or more",
            ),
            (bool(self.measures), "measures: expected at least one"),
            (
                not isinstance(self.chance, str) or self.chance in self.numbers,
                f"chance is {self.chance}, must be a number or one of numbers, {', '.join(self.numbers)}",
            ),
            (self.resamples >= 100, f"resamples is {self.resamples}, must be at least 100"),
            (0 < self.confidence < 1, f"confidence is {self.confidence}, must be in (0, 1)"),
            (self.jobs >= 1, f"jobs is {self.jobs}, must be at least 1"),
        ]
        if wrong := [text for holds, text in rules if not holds]:
            raise ValueError("; ".join(wrong))

    def changes(self) -> dict[str, dict[str, Any]]:
        """Every variant, control and twin -> values by dotted path, the data set among them."""
        controls = {name: {**self.variants[self.base], "features.shown": CONTROLS[name]} for name in self.controls}
        changes = self.variants | controls
        biased = {name: {**_places(self.data), **values} for name, values in changes.items()}
        return biased | {f"{name}-{TWIN}": {**changes[name], **_places(self.unbiased)} for name in self.with_twins}

    @property
    def with_twins(self) -> tuple[str, ...]:
        """Variants and controls that are also trained without bias."""
        return (*self.twins, *(name for name in self.controls if name == SCENE))

    def at_strength(self) -> Audit:
        """The audit of one strength of the sweep, with base and full alone."""
        assert self.sweep is not None
        compared = {name: self.variants[name] for name in (self.base, self.full)}
        return replace(self, variants=compared, twins=(), controls=(), notes={}, seeds=self.sweep.seeds, sweep=None)


def _places(data: AuditData) -> dict[str, Any]:
    return {
        "dataset": data.dataset,
        "confounders.video": data.confounders.video,
        "confounders.query": data.confounders.query,
    }
