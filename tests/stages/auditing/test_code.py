"""Digests of code: what is imported counts, what is not does not."""

from pathlib import Path

import pytest

from stages.auditing import code

ROOT = Path(__file__).resolve().parents[3]


def make(root, **files):
    for name, text in files.items():
        path = root / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_everything_imported_counts_however_deep(tmp_path):
    make(tmp_path, stages__a="import numpy\nfrom stages.b import c", stages__b="def f():\n    from models import d", models__d="")
    make(tmp_path, stages__e="")
    found = code.digests(["stages.a"], tmp_path)
    assert list(found) == ["models.d", "stages.a", "stages.b"]
    make(tmp_path, stages__e="changed = True")
    assert code.digests(["stages.a"], tmp_path) == found
    make(tmp_path, models__d="changed = True")
    assert code.combined_digest(code.digests(["stages.a"], tmp_path)) != code.combined_digest(found)


def test_circles_end(tmp_path):
    make(tmp_path, stages__a="import stages.b", stages__b="import stages.a")
    assert list(code.digests(["stages.a"], tmp_path)) == ["stages.a", "stages.b"]


def test_another_method_does_not_count_for_a_run_of_ccr():
    found = code.digests(["stages.train", "stages.evaluate", "stages.tasks.weak_moments", "models.methods.ccr"], ROOT)
    assert "models.layers.gaussian_proposals" in found
    assert "models.methods.causalvtg" not in found
    assert "stages.world" not in found


def test_a_module_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"stages\.nothing"):
        code.digests(["stages.nothing"], tmp_path)
