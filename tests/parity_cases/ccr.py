"""Parity of CCR: the kinds of case are those of CPL, whose core, data and evaluation it shares."""

from tests.parity_cases.cpl import compare

__all__ = ["compare"]
