"""Digits in MNIST's layout, drawn with a pen that wobbles."""

from __future__ import annotations

import numpy as np

from .tools import to_uint8

PEN = {  # digit: ways of writing it; a way is some strokes, a stroke some points (x right, y down) on a smooth curve
    0: ["50,0 18,14 2,50 16,88 50,100 84,86 98,50 82,12 50,0"],
    1: ["50,0 50,50 50,100", "22,22 50,0/50,0 50,50 50,100", "60,0 50,50 40,100"],
    2: [
        "6,24 26,4 62,0 86,20 74,48 40,78 4,99/4,99 50,97 98,96",
        "8,20 34,1 72,6 82,28 62,60 24,90 8,88 14,74 36,80 66,98 96,94",
    ],
    3: [
        "8,12 44,0 82,14 74,38 36,48/36,48 78,56 90,78 54,100 4,88",
        "6,4 50,3 84,3/84,3 44,42/44,42 84,54 88,82 50,100 4,88",
    ],
    4: ["20,2 10,30 6,58/6,58 50,57 98,54/76,6 72,50 68,100", "66,0 34,34 2,66/2,66 50,66 98,64/66,0 66,50 66,100"],
    5: ["90,1 56,3 24,4/24,4 20,24 14,44/14,44 48,36 84,50 86,80 50,100 6,90"],
    6: ["76,0 38,20 10,60 18,92 52,100 84,84 76,58 46,52 14,74", "50,0 20,34 6,70 28,98 66,98 84,74 58,56 26,62 10,82"],
    7: ["4,5 48,4 94,3/94,3 64,46 42,100", "4,5 48,4 94,3/94,3 64,46 42,100/34,50 60,49 86,48"],
    8: ["84,14 48,0 18,18 40,44 80,70 64,98 24,96 14,72 54,46 88,24 84,14"],
    9: [
        "86,22 54,1 18,16 20,44 54,50 86,22/86,22 82,60 66,100",
        "84,16 46,2 16,22 32,48 70,42 84,16/84,16 88,60 62,96 24,92",
    ],
}


def strokes(way: str, pieces: int = 6) -> np.ndarray:
    """Return the segments of a way to write a digit, as (number, 2, 2): begin and end, x and y in 0..1."""
    segments = []
    for stroke in way.split("/"):
        points = np.array([[float(number) / 100 for number in point.split(",")] for point in stroke.split()])
        closed = (points[0] == points[-1]).all()
        before, after = (points[-2], points[1]) if closed else (2 * points[0] - points[1], 2 * points[-1] - points[-2])
        padded = np.vstack([before, points, after])
        t = np.arange(pieces)[:, None] / pieces
        between = [  # Catmull and Rom's spline passes through its points
            b + t / 2 * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
            for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False)
        ]
        curve = np.vstack([*between, points[-1:]])
        segments.append(np.stack([curve[:-1], curve[1:]], axis=1))
    return np.concatenate(segments)


def write(rng: np.random.Generator, way: str, count: int) -> np.ndarray:
    """Return ``count`` versions of a way to write a digit, (count, 28, 28) uint8, ink within the middle 20 x 20."""
    points = strokes(way)[None] * [0.70, 1.0]
    for frequency, amplitude in ((0.6, 0.09), (1.0, 0.022)):  # the same bend for all strokes, so that they stay joined
        waves = rng.normal(0, frequency, (count, 1, 1, 2, 2))
        phase = rng.uniform(0, 2 * np.pi, (count, 1, 1, 2))
        points = points + amplitude * np.sin(2 * np.pi * (waves * points[..., None, :]).sum(axis=-1) + phase)
    points[..., 0] *= np.exp(rng.normal(0, 0.14, (count, 1, 1)))
    points[..., 0] -= rng.normal(0.14, 0.16, (count, 1, 1)) * points[..., 1]
    turn = rng.normal(0, 0.07, (count, 1, 1))
    x, y = points[..., 0], points[..., 1]
    points = np.stack([x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)], axis=-1)
    half = rng.uniform(0.75, 1.6, (count, 1, 1))  # of the pen's width, in pixels
    margin = half[..., 0] + 0.5
    low, high = points.min(axis=(1, 2)), points.max(axis=(1, 2))
    scale = (20 * rng.uniform(0.86, 1, (count, 1)) - 2 * margin) / (high - low).max(axis=1, keepdims=True)
    length = np.hypot(*np.moveaxis(points[:, :, 1] - points[:, :, 0], -1, 0))[..., None]
    mass = (points.mean(axis=2) * length).sum(axis=1) / length.sum(axis=1)
    shift = np.clip(14 - scale * mass, 4 + margin - scale * low, 24 - margin - scale * high)
    points = points * scale[:, None, None] + shift[:, None, None]
    y, x = np.mgrid[:28, :28] + 0.5
    nearest = np.full((count, 28, 28), np.inf)
    for segment in np.moveaxis(points, 1, 0)[..., None, None]:
        x0, y0, x1, y1 = segment[:, 0, 0], segment[:, 0, 1], segment[:, 1, 0], segment[:, 1, 1]
        dx, dy = x1 - x0, y1 - y0
        t = np.clip(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy), 0, 1)
        nearest = np.minimum(nearest, (x - x0 - t * dx) ** 2 + (y - y0 - t * dy) ** 2)
    return to_uint8(np.clip(half + 0.5 - np.sqrt(nearest), 0, 1))


def digits(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return 1,800 digits to learn from and 200 to try under the names of MNIST's arrays, each digit equally often."""
    train: list[tuple[np.ndarray, int]] = []
    test: list[tuple[np.ndarray, int]] = []
    for digit, ways in PEN.items():
        counts = [len(part) for part in np.array_split(np.arange(200), len(ways))]
        drawn = np.concatenate([write(rng, way, count) for way, count in zip(ways, counts, strict=True)])
        labelled = [(image, digit) for image in rng.permutation(drawn)]
        train += labelled[:180]
        test += labelled[180:]
    arrays = {}
    for name, pairs in (("train", train), ("test", test)):
        order = rng.permutation(len(pairs))
        arrays[f"x_{name}"] = np.stack([pairs[i][0] for i in order])
        arrays[f"y_{name}"] = np.array([pairs[i][1] for i in order], dtype=np.uint8)
    return arrays
