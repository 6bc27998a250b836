"""Who may import whom (layout, section 3), read from the source files themselves."""

import ast
import graphlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED_FOLDERS = {
    "stages.datasets.schema",
    "stages.datasets.relation_schema",
    "stages.features.store",
    "stages.features.torch_files",
}


def modules():
    for top in ("pipelines", "stages", "models"):
        for path in sorted((ROOT / top).rglob("*.py")):
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts), path


def imports(path):
    """Project modules that a file imports, wherever in the file the import stands."""
    known = {name for name, _ in modules()}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [
                f"{node.module}.{alias.name}" if f"{node.module}.{alias.name}" in known else node.module for alias in node.names
            ]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] in {"pipelines", "stages", "models", "tests", "benchmarks"})


def folder(name):
    """stages.training.loop -> stages.training; stages.train -> stages."""
    return ".".join(name.split(".")[:2]) if name.count(".") > 1 else name.split(".")[0]


def allowed(importer, imported):
    top, target = importer.split(".")[0], imported.split(".")[0]
    if target in {"tests", "benchmarks"}:
        return False
    if top == "pipelines":
        return target == "pipelines" or imported == "stages.params"
    if top == "models":
        return target == "models" and models_arrow(folder(importer), folder(imported))
    if target == "models":
        return True
    if importer.count(".") == 1:  # a stage file, or params.py
        return imported == "stages.params" or imported.count(".") > 1
    if folder(importer) == "stages.tasks":  # a task joins what the folders offer
        return imported == "stages.params" or imported.count(".") > 1
    return folder(importer) == folder(imported) or imported in SHARED_FOLDERS


def models_arrow(source, target):
    if target == "models":  # batch.py, method.py
        return True
    order = {
        "models.methods": {"models.causal", "models.backbones", "models.layers", "models.losses"},
        "models.causal": {"models.causal", "models.layers", "models.losses"},
        "models.backbones": {"models.backbones", "models.layers", "models.losses"},
        "models.layers": {"models.layers", "models.losses"},
        "models.losses": {"models.losses"},
        "models.reference_keys": {"models.reference_keys"},
        "models": set(),
    }
    return target in order[source]


@pytest.mark.parametrize(("name", "path"), list(modules()), ids=lambda value: value if isinstance(value, str) else "")
def test_imports_follow_the_arrows(name, path):
    wrong = [imported for imported in imports(path) if not allowed(name, imported)]
    assert not wrong, f"{name} must not import {', '.join(wrong)}"


def test_no_module_imports_itself_by_a_detour():
    graph = {name: set(imports(path)) - {name} for name, path in modules()}
    tuple(graphlib.TopologicalSorter(graph).static_order())


def test_only_the_parameter_reader_reads_yaml():
    readers = [name for name, path in modules() if "import yaml" in path.read_text(encoding="utf-8")]
    assert readers == ["stages.params"]


def test_no_junk_drawers():
    forbidden = {"utils", "util", "misc", "common", "base", "helpers"}
    assert not [name for name, _ in modules() if name.rsplit(".", 1)[-1] in forbidden]
