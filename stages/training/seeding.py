"""Randomness without history: what a step draws depends on the seed and on its place alone.

Every step of every process seeds its generators anew from (seed, what for, step, part, process). So a resumed training draws
exactly what an uninterrupted one would have drawn, there is no generator state to save, and validation in between cannot disturb
it.
"""

from __future__ import annotations

import hashlib

import torch


def derived(seed: int, purpose: str, *place: int) -> int:
    """A seed of 63 bits for one purpose at one place; different arguments give unrelated seeds."""
    text = "/".join([str(seed), purpose, *map(str, place)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, purpose: str, *place: int) -> torch.Generator:
    """A generator on the CPU for one purpose at one place."""
    return torch.Generator().manual_seed(derived(seed, purpose, *place))


def seed_step(seed: int, device: torch.device, *place: int) -> torch.Generator:
    """Seed PyTorch's own generators (dropout) for one step on `device`; returns the generator for `Method.draw`."""
    # Not torch.manual_seed: for every kind of device that is not in use it remembers the call, with its stack, forever.
    torch.default_generator.manual_seed(derived(seed, "dropout", *place))
    if device.type == "cuda":
        torch.cuda.manual_seed(derived(seed, "dropout", *place))
    return generator(seed, "draw", *place)
