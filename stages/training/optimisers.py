"""Optimisers and the bound on the gradient, without a wait for the device in any of them.

m, v: running means of g and g^2.  t: steps of this parameter, from 1.  w: weight decay.

    adamw          p <- p - lr (w p + mhat / (sqrt(vhat) + eps))               mhat = m / (1 - b1^t), vhat = v / (1 - b2^t)
    adam           the decay enters as g + w p
    amsgrad        adam with the largest v so far
    adam_fairseq   p <- p - lr (w p + sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps)): eps is not divided by the bias correction

A parameter without gradient is left alone, by its decay too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_, get_total_norm

if TYPE_CHECKING:
    from stages.training.settings import Recipe


def build_optimiser(settings: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """The optimiser over every trainable parameter, in registration order within each factor on the rate.

    What the model names in `apart` has a group of its own.

    Raises ValueError naming a prefix of lr_scales that no parameter has.
    """
    apart = getattr(model, "apart", ())
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    used = set()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            prefix = max((p for p in settings.lr_scales if name.startswith(p)), key=len, default=None)
            used.add(prefix)
            scale = 1.0 if prefix is None else settings.lr_scales[prefix]
            groups.setdefault((scale, name in apart), []).append(parameter)
    if unknown := sorted(set(settings.lr_scales) - used):
        tops = ", ".join(dict.fromkeys(name.split(".")[0] for name, _ in model.named_parameters()))
        raise ValueError(f"lr_scales: no parameter begins with {unknown[0]!r} alone; the model has {tops}")
    described = [{"params": parameters, "scale": scale} for (scale, _), parameters in groups.items()]
    form: dict[str, Any] = {
        "lr": settings.lr,
        "betas": (settings.betas[0], settings.betas[1]),
        "eps": settings.eps,
        "weight_decay": settings.weight_decay,
    }
    # fused: one kernel for all parameters, faster on the CPU too, and it takes the loss scaler's verdict without asking for it
    match settings.optimiser:
        case "adamw":
            return torch.optim.AdamW(described, fused=True, **form)
        case "adam_fairseq":
            return FairseqAdam(described, **form)
        case _:
            return torch.optim.Adam(described, amsgrad=settings.optimiser == "amsgrad", fused=True, **form)


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give every group the rate times its own factor."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["scale"]


def clip(parameters: Iterable[nn.Parameter], bound: float | None) -> Tensor:
    """Scale all gradients so that their joint L2 norm is at most `bound`; returns the norm before, on the device."""
    with_gradient = [parameter for parameter in parameters if parameter.grad is not None]
    if bound is None:
        return get_total_norm([parameter.grad for parameter in with_gradient if parameter.grad is not None])
    return clip_grad_norm_(with_gradient, bound)


class FairseqAdam(torch.optim.Optimizer):
    """Adam as fairseq writes it; published CCR and CPL training depends on its eps."""

    def __init__(self, params: Any, *, lr: float, betas: tuple[float, float], eps: float, weight_decay: float) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        if closure is not None:
            raise ValueError("FairseqAdam takes no closure: compute the gradients before the step")
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["step"] = 0
                    state["mean"], state["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
                state["step"] += 1
                state["mean"].lerp_(parameter.grad, 1 - beta1)
                state["square"].mul_(beta2).addcmul_(parameter.grad, parameter.grad, value=1 - beta2)
                correction = (1 - beta2 ** state["step"]) ** 0.5 / (1 - beta1 ** state["step"])
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.addcdiv_(state["mean"], state["square"].sqrt().add_(group["eps"]), value=-group["lr"] * correction)
