"""Reference cases and annotation files that belong to others: a folder beside the repository, or where DOFLOW_SHARED says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("DOFLOW_SHARED") or Path(__file__).resolve().parents[2] / "shared")


def why(path: Path) -> str:
    """Why a test is skipped."""
    return f"no {path}: set DOFLOW_SHARED to the folder that has {path.relative_to(SHARED)}"


def needs(path: Path) -> pytest.MarkDecorator:
    """Skip the test where this is missing."""
    return pytest.mark.skipif(not path.exists(), reason=why(path))


def there(path: Path) -> Path:
    """The path; the test that asks for it is skipped where it is missing."""
    if not path.exists():
        pytest.skip(why(path))
    return path
