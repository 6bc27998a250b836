"""params.yaml -> frozen dataclasses, strictly. The only reader of YAML.

Every number of the project stands in params.yaml, in the sections `worlds, datasets, features, dictionaries, vocabularies,
graphs, runs, audits, reports`. Each section's entries are parsed by the type annotations of the dataclass of the folder that uses
them (stages/parameters/strict.py); nothing behind this file checks again. An unknown key, a missing one, a value of the wrong
type: all of the file are reported at once, each with its place, the value and the nearest valid name.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from stages.auditing.settings import Audit
from stages.confounders.settings import Dictionary, Graphs
from stages.features.settings import Feature, VocabularyEntry
from stages.parameters.strict import ParamsError, alternatives, lookup, parse, parse_value, shown
from stages.predictions.settings import Evaluate, GroundedEvaluate, QuestionEvaluate, WeakEvaluate
from stages.relations.settings import RelationEvaluate
from stages.reporting.settings import Report
from stages.sources.settings import SourceEntry
from stages.training.settings import Optim, Recipe, Shown, Texts, Train
from stages.worlds.question_rehearsal_settings import QuestionRehearsal
from stages.worlds.relation_settings import PlantedRelations
from stages.worlds.settings import Planted, Questions, Rehearsal

__all__ = [
    "DEFAULT_FILE", "Dataset", "Params", "ParamsError", "Run", "RunConfounders", "RunFeatures", "World",
    "load_params", "lookup", "parse", "run_alone", "world_alone", "world_value",
]  # fmt: skip

DEFAULT_FILE = Path("params.yaml")
DEEPEST = 100  # levels of nesting
EVALUATIONS: dict[str, type[Any]] = {  # by task
    "moments": Evaluate,
    "weak_moments": WeakEvaluate,
    "relations": RelationEvaluate,
    "questions": QuestionEvaluate,
    "grounded_questions": GroundedEvaluate,
}


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """An entry of `datasets`: annotations and one family of features of one data set.

    adapter    file in stages/datasets/ that reads the annotations
    after      path that DVC brings up to date before the fetch (a world), or any tracked path where nothing is needed
    sources    what is fetched, each with its mirrors in order of preference
    """

    adapter: str
    after: str
    sources: tuple[SourceEntry, ...]


@dataclass(frozen=True, kw_only=True)
class World:
    """An entry of `worlds`: one of a planted world, a rehearsal of a real data set, and a planted world of relations.

    question_rehearsal   a rehearsal of a data set of questions
    questions   makes the planted world one of questions, published as three data sets, instead of one of moments
    """

    seed: int
    planted: Planted | None
    rehearsal: Rehearsal | None
    questions: Questions | None = None
    relations: PlantedRelations | None = None
    question_rehearsal: QuestionRehearsal | None = None

    def __post_init__(self) -> None:
        if [self.planted, self.rehearsal, self.relations, self.question_rehearsal].count(None) != 3:
            raise ValueError("give exactly one of planted, rehearsal and relations, or question_rehearsal; null for the others")
        if self.questions is not None and self.planted is None:
            raise ValueError("questions need a planted world")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}, must not be negative")


@dataclass(frozen=True, kw_only=True)
class RunFeatures:
    """Which stores of the data set a run reads; several are fused in this order.

    clips      to how many a video is resampled
    objects    regions of the frames, with their boxes
    encoder    folder below data/raw/<dataset>/ with a text encoder in the layout of transformers, for methods that read words
    texts      how they read them
    shown      how much of the video, for the controls of audits (stages/training/shown.py)
    """

    video: tuple[str, ...]
    query: tuple[str, ...]
    clips: int | None = None
    objects: tuple[str, ...] = ()
    encoder: str | None = None
    texts: Texts | None = None
    shown: Shown = "all"

    def stores(self) -> dict[str, tuple[str, ...]]:
        """Names of the stores by stream; the objects only where there are any."""
        return {"video": self.video, "query": self.query} | ({"objects": self.objects} if self.objects else {})


@dataclass(frozen=True, kw_only=True)
class RunConfounders:
    """Paths of what a run reads besides samples and features, one per stream.

    Methods with dictionaries: their files. Methods that reconstruct words ("weak_moments"): query is the vocabulary, and video,
    of which they have none, any path that is always there (stages/vocabulary.py), because the graph names two.
    """

    video: str
    query: str


@dataclass(frozen=True, kw_only=True)
class Run:
    """An entry of `runs`: one method trained on one data set and evaluated on its splits.

    `model` is the method's own Config, `evaluate` that of the method's task.
    """

    method: str
    dataset: str
    report: str
    features: RunFeatures
    confounders: RunConfounders
    seed: int
    model: Any
    optim: Optim
    train: Train
    evaluate: Any

    def __post_init__(self) -> None:
        Recipe.of(self.optim, self.train)

    @property
    def recipe(self) -> Recipe:
        """`optim` and `train` as the training loop takes them."""
        return Recipe.of(self.optim, self.train)


@dataclass(frozen=True, kw_only=True)
class Params:
    """The whole of params.yaml; each section maps the entry's name to its settings."""

    worlds: dict[str, World]
    datasets: dict[str, Dataset]
    features: dict[str, dict[str, Feature]]
    dictionaries: dict[str, Dictionary]
    runs: dict[str, Run]
    reports: dict[str, Report]
    vocabularies: dict[str, VocabularyEntry] = field(default_factory=dict)
    graphs: dict[str, Graphs] = field(default_factory=dict)
    audits: dict[str, Audit] = field(default_factory=dict)


def load_params(path: Path = DEFAULT_FILE, *, methods: bool = True) -> Params:
    """Read and check the whole file.

    methods=False leaves `model` and `evaluate` of the runs as plain mappings: only the methods' own modules know their fields,
    and a stage that needs none of them starts two seconds sooner without PyTorch.

    Raises ParamsError listing every error of the file: place, value, expectation, nearest valid name.
    """
    return _checked(_read_yaml(path), path, methods=methods)


def _checked(raw: Mapping[str, Any], path: Path, *, methods: bool) -> Params:
    errors: list[str] = []
    params = parse_value(Params, raw, f"{path}:", errors)
    runs = _mappings(raw.get("runs")) if methods else {}
    known = {name: _parse_by_method(run, f"{path}: runs.{name}", errors) for name, run in runs.items()}
    if not errors:
        errors += _references(params, str(path))
    if errors:
        raise ParamsError("\n".join(errors))
    assert isinstance(params, Params)
    return dataclasses.replace(
        params, runs={name: dataclasses.replace(run, **known.get(name, {})) for name, run in params.runs.items()}
    )


def run_alone(path: Path, name: str, changes: Mapping[str, Any]) -> tuple[str, Run]:
    """Text of a params file in which runs.<name> stands alone, with values put in by dotted path, and that run.

    Raises ParamsError: no such run, or values that it cannot have.
    """
    raw = _read_yaml(path)
    run = copy.deepcopy(lookup(raw.get("runs") or {}, name, "runs"))
    _put(run, changes, f"{path}: runs.{name}")
    needed = {"datasets": run["dataset"], "features": run["dataset"], "reports": run["report"]}
    alone: dict[str, Any] = {section.name: {} for section in dataclasses.fields(Params)}
    alone |= {part: {entry: lookup(raw.get(part) or {}, entry, part)} for part, entry in needed.items()}
    alone["runs"] = {name: run}
    return yaml.dump(alone, Dumper=_Plain, sort_keys=False), _checked(alone, path, methods=True).runs[name]


def world_alone(path: Path, dataset: str, changes: Mapping[str, Any], at: Path) -> tuple[str, str]:
    """Text of a params file in which the world of a data set and what is made of it stand alone, and the name of that world.

    changes    values put into the world, by dotted path
    at         folder of the world that is made anew: the sources of the data set are read there

    Raises ParamsError: the data set is not made of a world, or values that the world cannot have.
    """
    raw = _read_yaml(path)
    entry, name, world = _world_of(raw, dataset)
    after = entry["after"]
    _put(world, changes, f"{path}: worlds.{name}")
    for mirror in (mirror for source in entry["sources"] for mirror in source["mirrors"] if "file" in mirror):
        mirror["file"]["path"] = mirror["file"]["path"].replace(after, str(at), 1)
    alone: dict[str, Any] = {section.name: {} for section in dataclasses.fields(Params)}
    alone |= {"worlds": {name: world}, "datasets": {dataset: entry | {"after": str(at)}}}
    alone["features"] = {dataset: lookup(raw.get("features") or {}, dataset, "features")}
    for part in ("dictionaries", "vocabularies", "graphs"):
        alone[part] = {key: made for key, made in _mappings(raw.get(part)).items() if made.get("dataset") == dataset}
    _checked(alone, path, methods=False)
    return yaml.dump(alone, Dumper=_Plain, sort_keys=False), name


def world_value(path: Path, dataset: str, dotted: str) -> float:
    """A number of the world of a data set.

    Raises ParamsError if there is none.
    """
    _, name, found = _world_of(_read_yaml(path), dataset)
    for part in dotted.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    if not isinstance(found, (int, float)) or isinstance(found, bool):
        raise ParamsError(f"{path}: worlds.{name}.{dotted}: expected a number, got {shown(found)}")
    return float(found)


def _world_of(raw: Mapping[str, Any], dataset: str) -> tuple[dict[str, Any], str, Any]:
    """Copies of the entry of a data set and of its world, with the world's name between them."""
    entry = copy.deepcopy(lookup(raw.get("datasets") or {}, dataset, "datasets"))
    name = Path(entry["after"]).name
    return entry, name, copy.deepcopy(lookup(raw.get("worlds") or {}, name, "worlds"))


def _put(entry: dict[str, Any], changes: Mapping[str, Any], at: str) -> None:
    """Put values into a nested mapping, by dotted path."""
    for dotted, value in changes.items():
        place, (*above, last) = entry, dotted.split(".")
        for part in above:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise ParamsError(f"{at}: {dotted}: {part} is a value, it has nothing below it")
        place[last] = copy.deepcopy(value)


class _Plain(yaml.SafeDumper):
    """Values that stand at several places are written at each of them."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        _check_depth(text)
        raw = _NoDuplicates(text).get_single_data()
    except FileNotFoundError:
        raise ParamsError(f"{path}: no such file; run from the repository root or give --params FILE") from None
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:  # ValueError: UTF-8, dates, digits beyond count
        raise ParamsError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(raw, dict):
        raise ParamsError(
            f"{path}: expected sections ({', '.join(f.name for f in dataclasses.fields(Params))}), got {shown(raw)}"
        )
    return raw


def _check_depth(text: str) -> None:
    """Raises ValueError beyond DEEPEST: libyaml builds a document by recursion in C, and what overflows there is the process."""
    depth = 0
    for event in yaml.parse(text, Loader=_NoDuplicates):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            assert event.start_mark is not None  # there is one of whatever is read from text
            raise ValueError(f"line {event.start_mark.line + 1}: lists and mappings are nested more than {DEEPEST} deep")


class _NoDuplicates(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # six times faster where libyaml is
    """SafeLoader keeps the last of two equal keys without a word; a lost entry is an error here."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is given twice", key_node.start_mark)
            seen.add(key)
        found: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return found


def _parse_by_method(value: Mapping[str, Any], place: str, errors: list[str]) -> dict[str, Any]:
    """The `model` of a run by the Config of its method, and `evaluate` by its task."""
    from models.method import load_method

    try:
        module = load_method(str(value.get("method")))
    except LookupError as error:
        errors.append(f"{place}.method: {error}")
        return {}
    kinds = {"model": module.Config, "evaluate": EVALUATIONS[module.Model.TASK]}
    return {name: parse_value(kind, value[name], f"{place}.{name}", errors) for name, kind in kinds.items() if name in value}


def _mappings(section: object) -> dict[str, dict[str, Any]]:
    """The entries of a section that are mappings; others have been reported."""
    return {name: entry for name, entry in section.items() if isinstance(entry, dict)} if isinstance(section, dict) else {}


def _references(params: Params, place: str) -> list[str]:
    """Names in one section that must exist in another."""
    errors = []

    def check(at: str, name: str, section: Mapping[str, Any], what: str) -> None:
        if name not in section:
            errors.append(f"{place}: {at}: no {what} {name!r}{alternatives(name, section)}")

    for name, dataset in params.datasets.items():
        check(f"datasets.{name}", name, params.features, "entry of features")
        if not dataset.sources:
            errors.append(f"{place}: datasets.{name}.sources: expected at least one source")
    for name in params.features:
        check(f"features.{name}", name, params.datasets, "dataset")
    for name, dictionary in params.dictionaries.items():
        check(f"dictionaries.{name}.dataset", dictionary.dataset, params.datasets, "dataset")
        for feature in dictionary.features:
            check(f"dictionaries.{name}.features", feature, params.features.get(dictionary.dataset, {}), "feature")
    for name, vocabulary in params.vocabularies.items():
        check(f"vocabularies.{name}.dataset", vocabulary.dataset, params.datasets, "dataset")
    for name, graphs in params.graphs.items():
        check(f"graphs.{name}.dataset", graphs.dataset, params.datasets, "dataset")
    for name, audit in params.audits.items():
        check(f"audits.{name}.run", audit.run, params.runs, "run")
        check(f"audits.{name}.report", audit.report, params.reports, "report")
        for part, data in (("data", audit.data), ("unbiased", audit.unbiased)):
            check(f"audits.{name}.{part}.dataset", data.dataset, params.datasets, "dataset")
    for name, run in params.runs.items():
        check(f"runs.{name}.dataset", run.dataset, params.datasets, "dataset")
        check(f"runs.{name}.report", run.report, params.reports, "report")
        for feature in (name for names in run.features.stores().values() for name in names):
            check(f"runs.{name}.features", feature, params.features.get(run.dataset, {}), "feature")
    return errors
