"""The stick figures of Donoho and Stodden, whose parts are known."""

from __future__ import annotations

import itertools

import numpy as np


def swimmer() -> dict[str, np.ndarray]:
    """Return the 256 figures of 32 x 32, and the position (0..3) of the four limbs of each.

    After D. Donoho and V. Stodden, "When does non-negative matrix factorization give a correct decomposition into
    parts?", NIPS 2003: a torso that is always there, and four limbs, each in one of four positions. No two of these
    17 parts share a pixel. The torso is the same in all figures and cannot be told from a constant: NMF finds the 16
    limbs, with a ghost of the torso in them. The 256 figures span 13 dimensions (1 + 4 * 3).
    """
    swings = ((-1, 0), (-1, 1), (0, 1), (1, 1))  # up, slanting up, level, slanting down: rows down, columns outwards
    limbs = []  # left arm, right arm, left leg, right leg
    for row, side in ((10, -1), (10, 1), (21, -1), (21, 1)):
        rise = 1 if row < 16 else -1  # legs are arms upside down
        column = 16 + side * 2
        limbs.append([[(row + rise * i * down, column + side * i * out) for i in range(1, 7)] for down, out in swings])
    torso = [(row, 16) for row in range(10, 22)]
    positions = np.array(list(itertools.product(range(4), repeat=4)), dtype=np.uint8)
    images = np.zeros((256, 32, 32), dtype=np.uint8)
    for image, places in zip(images, positions, strict=True):
        for row, column in itertools.chain(torso, *(limb[place] for limb, place in zip(limbs, places, strict=True))):
            image[row, column] = 255
    return {"images": images, "positions": positions}
