"""Examples in the help texts of the stages can be copied: what they name is in params.yaml, and the options are there."""

import ast
import re
import shlex
from pathlib import Path

import pytest

from stages.params import load_params

STAGES = Path(__file__).resolve().parents[2] / "stages"
PARAMS = load_params(STAGES.parent / "params.yaml", methods=False)
COMMAND = re.compile(r"(?:python -m stages\.|doflow )(\w+) ((?:[^\n`\\]|\\\n)*)")
FOLDERS = {
    "runs": PARAMS.runs, "results": PARAMS.runs, "samples": PARAMS.datasets, "features": PARAMS.features, "raw": PARAMS.datasets,
    "dictionaries": PARAMS.dictionaries, "vocabularies": PARAMS.vocabularies, "graphs": PARAMS.graphs, "worlds": PARAMS.worlds,
    "audits": PARAMS.audits, "reports": PARAMS.reports, "pages": PARAMS.reports,
}  # fmt: skip
NAMES = {
    "world": PARAMS.worlds, "fetch": PARAMS.datasets, "consolidate": PARAMS.datasets, "dictionary": PARAMS.dictionaries,
    "vocabulary": PARAMS.vocabularies, "semantic_graph": PARAMS.graphs, "train": PARAMS.runs, "evaluate": PARAMS.runs,
    "report": PARAMS.reports, "audit": PARAMS.audits,
}  # fmt: skip


def help_text(stage):
    return ast.get_docstring(ast.parse((STAGES / f"{stage}.py").read_text(encoding="utf-8"))) or ""


def examples():
    """(stage, its arguments) of every example."""
    for path in sorted(STAGES.glob("*.py")):
        for stage, rest in COMMAND.findall(help_text(path.stem)):
            if (STAGES / f"{stage}.py").is_file():
                yield stage, shlex.split(rest.replace("\\\n", " "))


def unknown(stage, words):
    """What an example names and params.yaml does not have."""
    for option, word in zip(["", *words], words, strict=False):
        _, kind, name, *more = [*word.removesuffix(".npz").split("/"), "", "", ""]
        new = (stage, option) == ("import_checkpoint", "--out")
        if word.startswith("data/") and name and not new and name not in FOLDERS[kind]:
            yield word
        if word.endswith(".zarr") and word.startswith("data/") and more[0].removesuffix(".zarr") not in PARAMS.features[name]:
            yield word
        section = {"--name": NAMES.get(stage), "--dataset": PARAMS.datasets, "--run": PARAMS.runs}.get(option)
        if section is not None and "/" not in word and word not in section:
            yield f"{option} {word}"


@pytest.mark.parametrize(("stage", "words"), list(examples()), ids=lambda value: value if isinstance(value, str) else "")
def test_what_an_example_names_is_in_params(stage, words):
    assert not list(unknown(stage, words))


@pytest.mark.parametrize(("stage", "words"), list(examples()), ids=lambda value: value if isinstance(value, str) else "")
def test_the_options_of_an_example_are_those_of_the_stage(stage, words):
    source = (STAGES / f"{stage}.py").read_text(encoding="utf-8")
    made = ("help", "predictions", "ground-truth")  # the score stage makes its file options of a list
    assert not [word for word in words if word.startswith("--") and word[2:] not in made and f'"{word}"' not in source]


def test_every_stage_with_a_name_has_an_example_of_it():
    assert {stage for stage, words in examples() if "--name" in words} == set(NAMES)


@pytest.mark.parametrize("path", sorted(STAGES.glob("*.py")), ids=lambda path: path.stem)
def test_a_line_goes_on_behind_one_backslash(path):
    assert "\\\\" not in help_text(path.stem)
