"""Which stages a number belongs to: for leaves of params.yaml, DVC marks exactly the stages that are written here.

A leaf is changed, dvc.yaml is resolved anew by DVC, and the stages that are then another command, another dependency or other
parameters are those that DVC would run; whatever lies downstream of them runs if their outputs change.
"""

from __future__ import annotations

import copy
import functools
import json
import re
import shutil

import pytest
import yaml
from dvc.dependency.param import ParamsDependency
from dvc.repo import Repo

from tests import workspace

KEPT = {
    "worlds": ("demo", "weak"),
    "datasets": ("planted", "planted_weak"),
    "features": ("planted", "planted_weak"),
    "dictionaries": ("planted-video", "planted-query"),
    "vocabularies": ("planted_weak", "planted_weak_unbiased"),
    "runs": ("causalvtg-planted", "ccr-planted"),
    "audits": ("ccr",),
    "reports": ("demo", "weak"),
}
GRAPH = {
    "dataset": "planted",
    "stanza": {"folder": "f", "package": "p"},
    "encoder": "encoders/clip_text",
    "clusters": 4,
    "seed": 0,
    "splits": [],
    "processes": 1,
}

# leaf -> kinds of stages, first match counts; {name} is the entry that the leaf is in
RULES = [
    (r"worlds\.", ["world@{name}"]),
    (r"datasets\.[^.]+\.adapter", ["consolidate@{name}"]),
    (r"datasets\.", ["fetch@{name}"]),
    (r"features\.", ["consolidate@{name}"]),
    (r"dictionaries\.", ["dictionary@{name}"]),
    (r"vocabularies\.", ["vocabulary@{name}"]),
    (r"graphs\.", ["semantic_graph@{name}"]),
    (r"runs\.[^.]+\.(evaluate|dataset|method)", ["train@{name}", "evaluate@{name}"]),
    (r"runs\.[^.]+\.(features|seed|model|optim|train|confounders)", ["train@{name}"]),
    (r"runs\.[^.]+\.report$", ["evaluate@{name}"]),
    (r"audits\.", ["audit@{name}"]),
    (r"reports\.", ["report@{name}"]),
]


@functools.cache
def small():
    """Numbers of a few entries of every section; not to be changed."""
    whole = yaml.safe_load((workspace.ROOT / "params.yaml").read_text())
    kept = {section: {name: whole[section][name] for name in KEPT.get(section, ())} for section in whole}
    # through JSON: what YAML anchors share becomes places of their own
    return json.loads(json.dumps(kept | {"graphs": {"questions": GRAPH, "others": GRAPH}}))


def leaves(value, place=()):
    """Paths of everything that has nothing below it; a list counts whole."""
    if isinstance(value, dict) and value:
        return [leaf for key, inner in value.items() for leaf in leaves(inner, (*place, key))]
    return [place]


def sampled(every=31):
    """A few leaves of every section: the first of each kind of path, and every so many of the rest."""
    seen, chosen = set(), []
    for number, leaf in enumerate(leaves(small())):
        kind = (leaf[0], *leaf[2:3])
        if kind not in seen or number % every == 0:
            seen.add(kind)
            chosen.append(leaf)
    return chosen


def changed(params, leaf):
    params = copy.deepcopy(params)
    *above, last = leaf
    holder = params
    for key in above:
        holder = holder[key]
    old = holder[last]
    match old:
        case str() if leaf[0] == "audits" and last == "run":
            holder[last] = next(name for name in params["runs"] if name != old)
        case bool():
            holder[last] = not old
        case int() | float():
            holder[last] = old + 1
        case str():
            holder[last] = f"{old}x"
        case list():
            holder[last] = [*old, *(old[:1] or [1])]
        case _:
            holder[last] = 1
    return params


@pytest.fixture(scope="module")
def resolved(tmp_path_factory):
    """params -> what DVC makes of every stage."""
    work = tmp_path_factory.mktemp("graph")
    shutil.copy2(workspace.ROOT / "dvc.yaml", work / "dvc.yaml")
    workspace.dvc(work, "init", "--no-scm", "--quiet")

    def stages(params):
        (work / "params.yaml").write_text(json.dumps(params))  # JSON is YAML, and quicker to write
        found = {}
        with Repo(work) as repo:
            for stage in repo.index.stages:
                keys = [key for dep in stage.deps if isinstance(dep, ParamsDependency) for key in dep.params]
                numbers = [functools.reduce(lambda part, name: part[name], key.split("."), params) for key in keys]
                paths = [str(dep) for dep in stage.deps if not isinstance(dep, ParamsDependency)]
                found[stage.name] = (stage.cmd, paths, [str(out) for out in stage.outs], numbers)
        return found

    return stages


@pytest.fixture(scope="module")
def before(resolved):
    return resolved(small())


def expected(leaf, params):
    dotted = ".".join(map(str, leaf))
    kinds = next((kinds for pattern, kinds in RULES if re.match(pattern, dotted)), [])
    stages = {kind.format(name=leaf[1]) for kind in kinds}
    if leaf[0] == "runs":  # an audit varies a run: it reads all of it
        stages |= {f"audit@{name}" for name, audit in params["audits"].items() if audit["run"] == leaf[1]}
    return stages


@pytest.mark.parametrize("leaf", sampled(), ids=lambda leaf: ".".join(map(str, leaf)))
def test_a_number_marks_exactly_the_stages_that_read_it(leaf, resolved, before):
    params = small()
    after = resolved(changed(params, leaf))
    assert {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} == expected(leaf, params)
