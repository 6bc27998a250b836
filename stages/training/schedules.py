"""Learning rate as a function of the optimiser step: no state, so a resumed training cannot differ from an uninterrupted one.

s: step from 0.  S: steps of the whole training.  W: warm-up steps.  lr: base rate.  r: warmup_ratio.  f: final_ratio.

    s < W          lr (r + (1 - r) s / W)                                    ("one_cycle" rises along a half cosine instead)
    constant       lr
    linear         lr (1 - (1 - f) p)                     p = (s - W) / (S - W)
    cosine         lr (f + (1 - f) (1 + cos(pi p)) / 2)
    one_cycle      the same with p = (s - W) / (S - 1 - W): the last step has the final rate
    inverse_sqrt   lr sqrt(W / s)
    plateau        lr decay^(number of reductions so far)
    step           lr decay^(number of `steps` <= epoch), but see `_step`
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stages.training.settings import Recipe


def learning_rate(settings: Recipe, *, step: int, steps_per_epoch: int, reductions: int = 0) -> float:
    """The rate used by optimiser step `step` (from 0); `reductions` counts those of "plateau" before it."""
    total, warmup = settings.epochs * steps_per_epoch, settings.warmup_steps
    if settings.schedule == "step":
        return settings.lr * _step(settings, step, steps_per_epoch)
    if step < warmup:
        risen = step / warmup
        if settings.schedule == "one_cycle":
            risen = (1 - math.cos(math.pi * risen)) / 2
        return settings.lr * (settings.warmup_ratio + (1 - settings.warmup_ratio) * risen)
    last = total - 1 if settings.schedule == "one_cycle" else total
    progress = min(1.0, (step - warmup) / (last - warmup)) if last > warmup else 1.0
    final = settings.final_ratio
    match settings.schedule:
        case "constant":
            factor = 1.0
        case "linear":
            factor = 1 - (1 - final) * progress
        case "cosine" | "one_cycle":
            factor = final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2
        case "inverse_sqrt":
            factor = math.sqrt(warmup / step) if step else 1.0
        case "plateau":
            factor = settings.decay**reductions
    return settings.lr * factor


def _step(settings: Recipe, step: int, steps_per_epoch: int) -> float:
    """Step decay as the CausalVTG engine does it.

    The warm-up ignores the decay, and the rate it ends with (the full one, at step W) stays until the next epoch begins: with few
    steps per epoch a decay that falls into the warm-up takes effect only after it.
    """
    warmup, epoch = settings.warmup_steps, step // steps_per_epoch
    if step < warmup:
        return settings.warmup_ratio + (1 - settings.warmup_ratio) * step / warmup
    if warmup and epoch * steps_per_epoch <= warmup:
        return 1.0
    return float(settings.decay ** sum(begin <= epoch for begin in settings.steps))


def reductions_so_far(settings: Recipe, values: Sequence[float]) -> int:
    """How often "plateau" has reduced the rate after the given validations, oldest first.

    One reduction each time `patience` validations in a row plus one more brought no value better than the best before them; the
    count of bad ones starts anew after a reduction. Better by less than a ten-thousandth of the best does not count.
    """
    best, bad, reductions = math.nan, 0, 0
    sign = 1.0 if settings.select_mode == "max" else -1.0
    for value in values:
        if math.isnan(best) or sign * (value - best) > 1e-4 * abs(best):
            best, bad = value, 0
        else:
            bad += 1
        if bad > settings.patience:
            reductions, bad = reductions + 1, 0
    return reductions
