"""Parity of CPL, and of what CCR shares with it: which kind of case a folder holds follows from a key of its config.json."""

from __future__ import annotations

from tests.parity import Case, Comparison
from tests.parity_cases import ccr_paper, cpl_around, cpl_network

# in this order: the first key that is there decides
KINDS = {
    "choices": ccr_paper.equations,
    "num_steps": cpl_network.train_steps,
    "tagged_sentences": cpl_around.data,
    "released_schedule": cpl_around.optimiser,
    "props_len": cpl_around.gaussians,
    "datasets": cpl_around.decoding,
    "mode": cpl_network.one_pass,
}


def compare(case: Case, check: Comparison) -> None:
    """Compare every output of the case.

    Raises LookupError for a config.json that has no key of a known kind.
    """
    kinds = [key for key in KINDS if key in case.config]
    if not kinds:
        raise LookupError(f"{case.folder / 'config.json'}: none of the keys {', '.join(KINDS)}: not a known kind of case")
    KINDS[kinds[0]](case, check)
