"""CRA, blocks on their own: grounding on odd lengths, interval search, Gaussian filter, back door."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.causal.back_door import GraphBackDoor
from models.layers.grounding_head import GaussianSmoothing, GroundingHead, best_window
from models.reference_keys import cra as keys
from tests.parity import Case, Comparison
from tests.parity_cases.cra_network import each, near, window_frames

TIED = 1e-6  # window sums that differ by less are equal up to rounding
INSIDE = "network.interventions."


def grounding(case: Case, check: Comparison) -> None:
    """v_X with q_X -> the head; search_* -> interval search; filter_in -> the filter at several widths."""
    table = {
        theirs.removeprefix("decoder.grounding_module."): ours.removeprefix(f"{INSIDE}grounding.")
        for theirs, ours in keys.key_table("tempclip", text_layers=0, layers=0).items()
        if ours is not None and theirs.startswith("decoder.grounding_module.")
    }
    head = GroundingHead(d_model=case.config["D"], gate="before_norm", softmax_twice=True, sigma_floor=0.0)
    head.load_state_dict({table[name]: value for name, value in case.weights.items()})
    sizes, steps = case.config["window_sizes"], case.config["time_divisor"]
    given = {name: torch.as_tensor(value) for name, value in case.inputs.items()}
    for name in sorted(given):
        if name.startswith("v_"):
            _headed(name.removeprefix("v_"), head, given, (sizes, steps), check)
        elif name.startswith("search_p"):
            check.exact(name.replace("search_p", "search_max_indices"), best_window(given[name], sizes))
    smoothing = GaussianSmoothing(floor=0.0)
    for name in sorted(check.expected):
        if name.startswith("filter_kernel_sigma"):
            width = name.removeprefix("filter_kernel_sigma")
            with torch.no_grad():
                smoothing.sigma.fill_(float(width))
                near(check, name, smoothing.kernel())
                smoothed = smoothing(given["filter_in"][..., 0]).softmax(dim=-1)
            near(check, f"filter_out_sigma{width}", smoothed[..., None])


@torch.no_grad()
def _headed(name: str, head: GroundingHead, given: dict[str, Tensor], search: tuple[list[int], int], check: Comparison) -> None:
    said = head(given[f"v_{name}"], given[f"q_{name}"])
    near(check, f"ori_key_{name}", said.scores)
    near(check, f"key_{name}", said.weights)
    sizes, steps = search
    window, expected = best_window(said.weights, sizes), torch.as_tensor(check.expected[f"max_indices_{name}"])
    sums = [_summed(said.weights, one) for one in (window, expected)]
    tied = (sums[0] - sums[1]).abs() <= TIED  # where all frames are alike, rounding decides
    window = torch.where(tied[:, None], expected, window)
    check.exact(f"max_indices_{name}", window)
    check.close(f"start_{name}", window[:, 0] / steps, TIED)
    check.close(f"end_{name}", window[:, 1] / steps, TIED)
    check.exact(f"mask_{name}", window_frames(window, said.weights.shape[1]))


def _summed(weights: Tensor, window: Tensor) -> Tensor:
    place = torch.arange(weights.shape[1])
    inside = (place >= window[:, :1]) & (place < window[:, 1:])
    return (weights * inside).sum(dim=1)


def back_door(case: Case, check: Comparison) -> None:
    """The linguistic intervention on stand-ins for queries."""
    table = keys.key_table("tempclip", text_layers=0, layers=0)
    weights = {
        ours.removeprefix(f"{INSIDE}back_door."): case.weights[theirs]
        for theirs, ours in table.items()
        if ours is not None and theirs in case.weights
    }
    check.equal("keys", len(weights), len(case.weights))
    edges: list[Any] = np.array(case.config["edge_index"]).T.tolist()
    x = torch.as_tensor(case.inputs["x"])
    block = GraphBackDoor(torch.zeros_like(weights["nodes"]), d_model=x.shape[1], edges=[tuple(edge) for edge in edges])
    block.load_state_dict(weights)
    with torch.no_grad():
        found = {
            "gcn_out": block.convolution(block.nodes),
            "confounder": block.confounders(),
            "backdoor_out": block.found(x),
            "y": block(x),
        }
    each(check, found)
