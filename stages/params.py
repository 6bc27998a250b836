"""params.yaml -> frozen dataclasses, strictly. The only reader of YAML.

Every number of the project stands in params.yaml, in the sections `worlds, datasets, features, dictionaries, runs, reports`. Each
section's entries are parsed by the type annotations of the dataclass of the folder that uses them; nothing behind this file
checks again. An unknown key, a missing one, a value of the wrong type: all of the file are reported at once, each with its
place, the value and the nearest valid name.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Union

import yaml

from stages.confounders.settings import Dictionary, Graphs
from stages.features.settings import Feature, VocabularyEntry
from stages.predictions.settings import Evaluate, WeakEvaluate
from stages.reporting.settings import Report
from stages.sources.settings import SourceEntry
from stages.training.settings import Optim, Recipe, Train
from stages.worlds.settings import Planted, Rehearsal

DEFAULT_FILE = Path("params.yaml")
EVALUATIONS: dict[str, type[Any]] = {"moments": Evaluate, "weak_moments": WeakEvaluate}  # by task
T = typing.TypeVar("T")


class ParamsError(ValueError):
    """One or more entries of params.yaml are wrong; the message lists all of them."""


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
    """An entry of `worlds`: exactly one of a planted world and a rehearsal of a real data set."""

    seed: int
    planted: Planted | None
    rehearsal: Rehearsal | None

    def __post_init__(self) -> None:
        if (self.planted is None) == (self.rehearsal is None):
            raise ValueError("give exactly one of planted and rehearsal, and null for the other")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}, must not be negative")


@dataclass(frozen=True, kw_only=True)
class RunFeatures:
    """Which stores of the data set a run reads; several are fused in this order.

    clips      to how many a video is resampled
    objects    regions of the frames, with their boxes
    encoder    folder below data/raw/<dataset>/ with a text encoder in the layout of transformers, for methods that read words
    """

    video: tuple[str, ...]
    query: tuple[str, ...]
    clips: int | None = None
    objects: tuple[str, ...] = ()
    encoder: str | None = None

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


def load_params(path: Path = DEFAULT_FILE, *, methods: bool = True) -> Params:
    """Read and check the whole file.

    methods=False leaves `model` and `evaluate` of the runs as plain mappings: only the methods' own modules know their fields,
    and a stage that needs none of them starts two seconds sooner without PyTorch.

    Raises ParamsError listing every error of the file: place, value, expectation, nearest valid name.
    """
    errors: list[str] = []
    raw = _read_yaml(path)
    params = _parse(Params, raw, f"{path}:", errors)
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


def entry_names(section: str, path: Path = DEFAULT_FILE) -> list[str]:
    """Names of a section's entries, without checking their contents.

    Raises ParamsError if the file or the section is missing.
    """
    raw = _read_yaml(path)
    if not isinstance(raw.get(section), dict):
        raise ParamsError(f"{path}: no section {section!r}; sections: {', '.join(raw)}")
    return sorted(raw[section])


def lookup(section: Mapping[str, T], name: str, what: str) -> T:
    """section[name], or a ParamsError that offers the nearest names. `what` is the section's name."""
    if name not in section:
        raise ParamsError(
            f"params.yaml: {what}: no entry {name!r}{_nearest(name, section)} Known: {', '.join(section) or 'none'}"
        )
    return section[name]


def parse(kind: type[Any], value: object, place: str) -> Any:
    """One value by type annotation. Raises ParamsError with all its errors."""
    errors: list[str] = []
    parsed = _parse(kind, value, place, errors)
    if errors:
        raise ParamsError("\n".join(errors))
    return parsed


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        raw = _NoDuplicates(path.read_text(encoding="utf-8")).get_single_data()
    except FileNotFoundError:
        raise ParamsError(f"{path}: no such file; run from the repository root or give --params FILE") from None
    except yaml.YAMLError as error:
        raise ParamsError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(raw, dict):
        raise ParamsError(
            f"{path}: expected sections ({', '.join(f.name for f in dataclasses.fields(Params))}), got {_shown(raw)}"
        )
    return raw


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


def _parse(kind: Any, value: object, place: str, errors: list[str]) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        return _parse_optional(arguments, value, place, errors)
    if dataclasses.is_dataclass(kind):
        return _parse_dataclass(typing.cast("type[Any]", kind), value, place, errors)
    if origin is Literal:
        return value if value in arguments else _wrong(f"one of {', '.join(map(repr, arguments))}", value, place, errors)
    if origin is tuple:
        return _parse_tuple(arguments, value, place, errors)
    if origin is dict:
        if not isinstance(value, dict):
            return _wrong("a mapping", value, place, errors)
        named = not isinstance(arguments[1], type) or dataclasses.is_dataclass(arguments[1])  # entries, not numbers by name
        return {
            _key(key, place, errors, named): _parse(arguments[1], item, _below(place, key), errors) for key, item in value.items()
        }
    return _parse_scalar(kind, value, place, errors)


def _parse_scalar(kind: Any, value: object, place: str, errors: list[str]) -> Any:
    if kind is Any:
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        if kind is float and math.isnan(value):
            return _wrong("a number", value, place, errors)
        return value
    hint = ""
    if kind is float and isinstance(value, str) and _is_number(value):
        hint = f" (YAML needs a point before the exponent: write {float(value):.1e} without quotes)"
    return _wrong(kind.__name__, value, place, errors, hint)


def _parse_optional(arguments: tuple[Any, ...], value: object, place: str, errors: list[str]) -> Any:
    inner = [argument for argument in arguments if argument is not type(None)]
    if value is None and len(inner) < len(arguments):
        return None
    attempts: list[list[str]] = []
    for argument in inner:
        attempt: list[str] = []
        parsed = _parse(argument, value, place, attempt)
        if not attempt:
            return parsed
        attempts.append(attempt)
    fewest: list[str] = min(attempts, key=len)
    errors += fewest
    return None


def _parse_tuple(arguments: tuple[Any, ...], value: object, place: str, errors: list[str]) -> Any:
    if not isinstance(value, list):
        return _wrong("a list", value, place, errors)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_parse(arguments[0], item, f"{place}[{n}]", errors) for n, item in enumerate(value))
    if len(value) != len(arguments):
        return _wrong(f"a list of {len(arguments)}", value, place, errors)
    return tuple(_parse(kind, item, f"{place}[{n}]", errors) for n, (kind, item) in enumerate(zip(arguments, value, strict=True)))


def _parse_dataclass(kind: type[Any], value: object, place: str, errors: list[str]) -> Any:
    if not isinstance(value, dict):
        return _wrong(f"a mapping with {', '.join(f.name for f in dataclasses.fields(kind))}", value, place, errors)
    hints = typing.get_type_hints(kind)
    known = {one.name: one for one in dataclasses.fields(kind)}
    before = len(errors)
    for key in value:
        if key not in known:
            errors.append(f"{place}: unknown key {key!r}{_nearest(key, known)} Known keys: {', '.join(known)}")
    arguments: dict[str, Any] = {}
    for name, one in known.items():
        if name in value:
            arguments[name] = _parse(hints[name], value[name], _below(place, name), errors)
        elif one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING:
            errors.append(f"{place}: missing key {name!r} ({_type_name(hints[name])})")
    if len(errors) > before:
        return None
    try:
        return kind(**arguments)
    except ValueError as error:
        errors.append(f"{place}: {error}")
        return None


def _parse_by_method(value: Mapping[str, Any], place: str, errors: list[str]) -> dict[str, Any]:
    """The `model` of a run by the Config of its method, and `evaluate` by its task."""
    from models.method import load_method

    try:
        module = load_method(str(value.get("method")))
    except LookupError as error:
        errors.append(f"{place}.method: {error}")
        return {}
    kinds = {"model": module.Config, "evaluate": EVALUATIONS[module.Model.TASK]}
    return {name: _parse(kind, value[name], f"{place}.{name}", errors) for name, kind in kinds.items() if name in value}


def _mappings(section: object) -> dict[str, dict[str, Any]]:
    """The entries of a section that are mappings; others have been reported."""
    return {name: entry for name, entry in section.items() if isinstance(entry, dict)} if isinstance(section, dict) else {}


def _references(params: Params, place: str) -> list[str]:
    """Names in one section that must exist in another."""
    errors = []

    def check(at: str, name: str, section: Mapping[str, Any], what: str) -> None:
        if name not in section:
            errors.append(f"{place}: {at}: no {what} {name!r}{_nearest(name, section)} Known: {', '.join(section) or 'none'}")

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
    for name, run in params.runs.items():
        check(f"runs.{name}.dataset", run.dataset, params.datasets, "dataset")
        check(f"runs.{name}.report", run.report, params.reports, "report")
        for feature in (name for names in run.features.stores().values() for name in names):
            check(f"runs.{name}.features", feature, params.features.get(run.dataset, {}), "feature")
    return errors


def _wrong(expected: str, value: object, place: str, errors: list[str], hint: str = "") -> None:
    errors.append(f"{place}: expected {expected}, got {_shown(value)}{hint}")


def _shown(value: object) -> str:
    text = repr(value)
    return f"{text if len(text) < 80 else text[:77] + '...'} ({type(value).__name__})"


def _below(place: str, key: object) -> str:
    return f"{place} {key}" if place.endswith(":") else f"{place}.{key}"


def _key(key: object, place: str, errors: list[str], becomes_name: bool) -> str:
    if not isinstance(key, str):
        errors.append(f"{place}: expected text as a key, got {_shown(key)}; put it in quotes")
    elif not becomes_name:
        return key
    elif not key or any(character in key for character in "/\\@: ") or key.startswith((".", "-")):
        errors.append(
            f"{place}: {key!r} cannot be a name: it becomes part of file names and DVC targets; use letters, digits, - and _"
        )
    return str(key)


def _nearest(key: object, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(str(key), list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else "."


def _type_name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
