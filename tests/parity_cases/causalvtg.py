"""Parity of CausalVTG: which kind of case a folder holds follows from a key of its config.json."""

from __future__ import annotations

from tests.parity import Case, Comparison
from tests.parity_cases import causalvtg_data, causalvtg_network, causalvtg_results

KINDS = {
    "mode": causalvtg_network.one_pass,
    "hyper": causalvtg_network.train_loop,
    "deviation_with_dropout_half": causalvtg_network.memory_init,
    "settings": causalvtg_data.lr_schedule,
    "n_clusters": causalvtg_data.kmeans,
    "kept_qids": causalvtg_data.dataset,
    "nms_threshold": causalvtg_results.postprocess,
    "submission": causalvtg_results.eval_unanswerable,
}


def compare(case: Case, check: Comparison) -> None:
    """Compare every output of the case.

    Raises LookupError for a config.json that has no key of a known kind.
    """
    kinds = [key for key in KINDS if key in case.config]
    if not kinds:
        raise LookupError(f"{case.folder / 'config.json'}: none of the keys {', '.join(KINDS)}: not a known kind of case")
    KINDS[kinds[0]](case, check)
