"""What flows are given: nothing to do is refused, and what their docstrings offer as examples exists."""

from __future__ import annotations

import ast
import functools
import json
import re
from pathlib import Path

import pytest
import yaml

from pipelines.experiment import experiment
from pipelines.prepare import prepare
from tests.pipelines.small_workspace import ROOT


@pytest.mark.parametrize(
    ("flow", "name", "example"), [(experiment, "runs", "causalvtg-planted"), (prepare, "datasets", "planted")]
)
def test_a_flow_without_anything_to_do_is_refused_and_says_how_to_give_it(flow, name, example):
    with pytest.raises(ValueError, match=rf"""{name}: empty, .*-p {name}='\["{example}"\]'"""):
        flow.fn([])


def docstrings(path: Path) -> str:
    nodes = ast.walk(ast.parse(path.read_text()))
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    return "\n".join(ast.get_docstring(node) or "" for node in nodes if isinstance(node, kinds))


@functools.cache
def entries() -> dict[str, dict[str, object]]:
    params: dict[str, dict[str, object]] = yaml.load(
        (ROOT / "params.yaml").read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    )
    return params


FLOWS = sorted((ROOT / "pipelines").glob("*.py"))


@pytest.mark.parametrize("path", FLOWS, ids=lambda path: path.stem)
def test_every_entry_that_a_docstring_names_exists(path):
    params = entries()
    text = docstrings(path)
    named = {
        (section, entry)
        for section, entries in [
            *re.findall(r"""-p (runs|datasets)='(\[.*?\])'""", text),
            *re.findall(r"""Entries of `(runs|datasets)`, e\.g\. (\[.*?\])""", text),
        ]
        for entry in json.loads(entries)
    }
    named |= {("runs", run) for run in re.findall(r"\b(?:train|evaluate)@([\w-]+)", text)}
    assert {(section, entry) for section, entry in named if entry not in params[section]} == set()
    methods = re.findall(r"-p method=(\w+)", text)
    assert all((ROOT / f"models/methods/{method}.py").exists() for method in methods)
    assert named or methods or path.stem == "demo" or not text.startswith("Flow `"), "an example"
