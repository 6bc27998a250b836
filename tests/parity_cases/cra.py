"""Parity of CRA: the kind of a case follows from keys of its config.json and from the arrays that are there."""

from __future__ import annotations

from collections.abc import Callable

from tests.parity import Case, Comparison
from tests.parity_cases import cra_around, cra_frozenbilm, cra_network, cra_parts

Compare = Callable[[Case, Comparison], None]


def compare(case: Case, check: Comparison) -> None:
    """Compare every output of the case.

    Raises LookupError for a case of no known kind.
    """
    kind_of(case)(case, check)


def kind_of(case: Case) -> Compare:
    """What to do with a case."""
    config, inputs = case.config, case.inputs
    kinds: list[tuple[bool, Compare]] = [
        ("threshold_weight" in config, cra_around.postprocessing),
        ("node_order" in config, cra_around.components),
        ("question_types" in inputs, cra_around.preparation),
        ("node_dim" in config and "k" in config, cra_around.clustering),
        ("window_sizes" in config, cra_parts.grounding),
        (config.get("backbone") == "frozenbilm" and "question_tokens" in inputs, cra_frozenbilm.train),
        (config.get("backbone") == "frozenbilm", cra_frozenbilm.evaluate),
        (set(inputs) == {"x"}, cra_parts.back_door),
        ("mmt_layers" in config, cra_network.baseline),
        ("question_tokens" in inputs, cra_network.train),
        (any(name.endswith("_single") for name in case.outputs), cra_network.batch_dependence),
        ("answer_tokens" in inputs, cra_network.evaluate),
    ]
    for applies, compare_kind in kinds:
        if applies:
            return compare_kind
    raise LookupError(f"{case.folder / 'config.json'}: not a known kind of case of cra")
