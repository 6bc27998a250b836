"""Random streams by name: what is drawn for one thing never depends on how much else is drawn.

A stream is keyed by the world's seed and by words ("video", split, index, "events"), not by the order of calls. So adding videos,
splits, views or later tasks leaves every earlier byte as it was.
"""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """The generator of one named thing in the world `seed`."""
    key = "\x1f".join([str(seed), *map(str, names)])
    words = np.frombuffer(hashlib.sha256(key.encode("utf-8")).digest(), dtype="<u4")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words.tolist())))


def orthonormal(generator: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """A (rows, columns) matrix with orthonormal columns, rows >= columns. Its first columns do not depend on how many follow."""
    gaussian = generator.standard_normal((columns, rows)).T
    factor, triangle = np.linalg.qr(gaussian)
    return np.asarray(factor * np.sign(np.diagonal(triangle)))
