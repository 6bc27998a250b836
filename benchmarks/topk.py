"""Perturbed top-K of TranSTR: counts of chosen pairs against one-hots, forward and backward; equal values are checked first.

    python -m benchmarks.topk

frames    32 questions, 16 frames, 20 words, 12 places, 500 samples
objects   the objects of 32 of their 384 selected frames: 20 objects, 20 words, 5 places, 500 samples
one-hots  the published form: mean over one-hots (N, S, K, pairs), gradient by the same tensor
diagonal  the same values and gradients from the chosen pairs alone
full      the gradient of the expectation (corrected), noise given
seeded    the same with noise that is drawn twice and never kept
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.rounds import interleave, save
from models.layers.topk import Noise, perturbed

SAMPLES, SIGMA = 500, 0.05
WORKLOADS = {"frames": (32, 16, 20, 12), "objects": (32, 20, 20, 5)}  # rows, items, words, places


class OneHots(torch.autograd.Function):
    """What the published code computes, tensor by tensor."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, noise: Tensor, k: int) -> Tensor:
        """Scores (N, pairs), noise (N, S, pairs) -> (N, K, pairs)."""
        index = (scores[:, None] + SIGMA * noise).topk(k, dim=2, sorted=False).indices.sort(dim=2).values
        chosen = F.one_hot(index, scores.shape[1]).float()  # (N, S, K, pairs)
        ctx.save_for_backward(chosen, noise)
        mean: Tensor = chosen.mean(dim=1)
        return mean

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """The gradient of the published code: its diagonal form."""
        chosen, noise = ctx.saved_tensors
        return torch.einsum("nki,nski,nsi->ni", gradients[0], chosen, noise) / (SAMPLES * SIGMA), None, None


def candidates(rows: int, items: int, words: int, k: int) -> dict[str, Callable[[], tuple[Tensor, Tensor]]]:
    """Each gives the weights over the items and the gradient of the scores."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(rows, items, words, generator=generator).softmax(dim=2)
    noise = torch.randn(rows, SAMPLES, items * words, generator=generator)
    told = torch.randn(rows, k, items, generator=generator)

    def run(weights: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        leaf = scores.clone().requires_grad_()
        result = weights(leaf)
        (result * told).sum().backward()
        assert leaf.grad is not None
        return result.detach(), leaf.grad

    def one_hots(leaf: Tensor) -> Tensor:
        y: Tensor = OneHots.apply(leaf.flatten(start_dim=1), noise, k)  # type: ignore[no-untyped-call]
        folded: Tensor = y.unflatten(2, (items, words)).sum(dim=3)
        return folded

    def counts(given: Noise | Tensor, diagonal: bool) -> Callable[[Tensor], Tensor]:
        return lambda leaf: perturbed(leaf, None, given, k, sigma=SIGMA, diagonal=diagonal).weights

    return {
        "one-hots": lambda: run(one_hots),
        "diagonal": lambda: run(counts(noise, True)),
        "full": lambda: run(counts(noise, False)),
        "seeded": lambda: run(counts(Noise(0, SAMPLES), False)),
    }


def main() -> None:
    """Check, time, save."""
    torch.set_num_threads(1)
    figures: dict[str, Any] = {}
    for name, sizes in WORKLOADS.items():
        ways = candidates(*sizes)
        (theirs, their_gradient), (ours, our_gradient), (full, _) = (ways[way]() for way in ("one-hots", "diagonal", "full"))
        torch.testing.assert_close(ours, theirs)
        torch.testing.assert_close(full, theirs)
        torch.testing.assert_close(our_gradient, their_gradient, rtol=1e-4, atol=1e-5)
        rows, items, words, k = sizes
        figures[name] = {
            "sizes": dict(zip(("rows", "items", "words", "places"), sizes, strict=True)),
            "mib_of_one_hots": round(rows * SAMPLES * k * items * words * 4 / 2**20),
            "mib_of_chosen_pairs": round(rows * SAMPLES * k * 4 / 2**20, 1),
            "ratios": interleave(ways, reference="one-hots"),
        }
    save("topk", figures)


if __name__ == "__main__":
    main()
