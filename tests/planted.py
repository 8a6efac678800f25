"""Matrices whose rank is known."""

from __future__ import annotations

import numpy as np


def planted(kind: str, rank: int, m: int, n: int, seed: int) -> np.ndarray:
    """W H of so many parts with Poisson noise of a hundredth of its power: 20 dB, unbiased, nowhere negative."""
    rng = np.random.default_rng([seed, rank, m])
    W, H = rng.random((m, rank)), rng.random((rank, n))
    if kind == "sparse":
        W, H = (rng.exponential(size=X.shape) * (rng.random(X.shape) < 0.3) for X in (W, H))
    elif kind == "blocks":  # each part a run of rows and columns, half of it shared with the next
        for X in (W, H.T):
            for j in range(rank):
                first, last = len(X) * j // rank, len(X) * (j + 1) // rank + len(X) // (2 * rank)
                X[:, j] = np.where((np.arange(len(X)) >= first) & (np.arange(len(X)) < last), 0.5 + X[:, j] / 2, 0)
    V = W @ H
    counts = 100 * V.mean() / np.square(V).mean()
    return rng.poisson(counts * V) / counts


def swimmer() -> np.ndarray:
    """Donoho and Stodden's: a torso and four limbs in four positions each, every limb a pixel row of its own."""
    V = np.zeros((256, 17 * 6), np.uint8)
    V[:, -6:] = 255
    for figure in range(256):
        for limb in range(4):
            part = 4 * limb + figure // 4**limb % 4
            V[figure, 6 * part : 6 * part + 6] = 255
    return V
