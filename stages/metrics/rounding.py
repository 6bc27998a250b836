"""Numbers as the references print them: formatted with a fixed number of decimals, and read back."""

from __future__ import annotations

from typing import Any


def rounded(value: Any, decimals: int, *, as_they_are: frozenset[str] = frozenset()) -> Any:
    """A number, or a nested mapping of numbers, with `decimals` decimals: ties go by the exact binary value.

    Keys in `as_they_are` keep their value; None (no value) stays None, whole numbers stay whole.
    """
    if isinstance(value, dict):
        return {key: one if key in as_they_are else rounded(one, decimals, as_they_are=as_they_are) for key, one in value.items()}
    if value is None or isinstance(value, int):
        return value
    return float(f"{value:.{decimals}f}")
