"""The real command: losses, times and memory of `nmfc` as people run it."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from measure import ARCHIVE, DATA, NMFC, ROOT, SEEDS, Figure, run, work, yes
from PIL import Image


def naive(V: np.ndarray, rank: int, iterations: int, seed: int) -> float:
    """The rule as people first write it, without floors; its final loss."""
    rng = np.random.default_rng(seed)
    W, H = rng.random((V.shape[0], rank)), rng.random((rank, V.shape[1]))
    for _ in range(iterations):
        H *= (W.T @ V) / (W.T @ W @ H + 1e-9)
        W *= (V @ H.T) / (W @ H @ H.T + 1e-9)
    return float(np.linalg.norm(V - W @ H))


def digits() -> Iterator[Figure]:
    """The first image of each digit at rank 3: between svd_floor and the naive rule's median + 5 %, at any seed."""
    with np.load(ARCHIVE) as arrays:
        images, labels = arrays["x_train"], arrays["y_train"]
    medians = []
    for digit in range(10):
        V = images[np.argmax(labels == digit)] / 255
        medians.append(statistics.median(naive(V, 3, 50, seed) for seed in range(30)))
    runs = []
    for seed in SEEDS:
        done = run(*NMFC, "compress", ARCHIVE, "--one-per-label", "-k", 3, "--inner", 1, "--tol", 0, "--iterations", 50,
                   "--restarts", 5, "--seed", seed, "--json", "--write", "csv", "--no-plot", "-O", work())  # fmt: skip
        runs.append([json.loads(line) for line in done.stdout.splitlines()])
    for digit in range(10):
        losses = [one[digit]["loss"] for one in runs]
        floor, most = runs[0][digit]["svd_floor"], medians[digit] * 1.05
        value = f"{min(losses):.3f} to {max(losses):.3f}"
        met = floor <= min(losses) and max(losses) <= most
        yield Figure(f"digit {digit}, rank 3, seeds 0 to 4: loss", value, f"{floor:.3f} to {most:.3f}", met=yes(met))


def basis() -> Iterator[Figure]:
    """`nmfc basis` on all of MNIST with the defaults."""
    with np.load(ARCHIVE) as arrays:
        V = arrays["x_train"].reshape(len(arrays["x_train"]), -1)
    for rank, must in ((4, 1541), (10, 1360)):
        losses, runs = [], []
        for seed in SEEDS:
            folder = work()
            runs.append(run(*NMFC, "basis", ARCHIVE, "-k", rank, "--seed", seed, "-q", "-O", folder))
            losses.append(recomputed(V, folder / "factors.npz"))
        worst, memory = max(losses), max(one.memory for one in runs)
        wall, cpu = max(one.wall for one in runs), statistics.median(one.cpu for one in runs)
        name = f"{ARCHIVE.name} {len(V):,}, basis -k {rank}"
        note = ", ".join(f"{loss:.1f}" for loss in losses)
        asked = {"must": f"<= {must}", "met": yes(worst <= must)} if DATA else {}
        yield Figure(f"{name}: worst loss", f"{worst:.1f}", note=note, **asked)
        yield Figure(f"{name}: most unshared memory", f"{memory:.0f} MB", "< 600 MB", met=yes(memory < 600))
        yield Figure(f"{name}: longest wall time", f"{wall:.1f} s", "< 60 s", met=yes(wall < 60))
        yield Figure(f"{name}: CPU time, median", f"{cpu:.1f} s")


def recomputed(V: np.ndarray, factors: Path) -> float:
    """||V - W H||_F in float64 from what was written."""
    with np.load(factors) as arrays:
        W, H = arrays["W"].astype(np.float64), arrays["H"].astype(np.float64)
    parts = range(0, len(V), 5000)
    return float(np.sqrt(sum(np.square(V[i : i + 5000] / 255 - W[i : i + 5000] @ H).sum() for i in parts)))


def startup() -> Iterator[Figure]:
    """`nmfc --help` beside `import click`, pair by pair."""
    ratios = []
    for _ in range(15):
        ours, click = run(*NMFC, "--help"), run(sys.executable, "-c", "import click")
        ratios.append(ours.cpu / click.cpu)
    ratio = statistics.median(ratios)
    yield Figure("nmfc --help / import click: CPU time", f"{ratio:.2f}", "<= 1.8", met=yes(ratio <= 1.8))


def picture() -> Iterator[Figure]:
    """A rank-3 picture with its outputs, start-up included; and what a megapixel costs of a larger one."""
    if DATA:
        photo = DATA / "kodak/kodim05.png"
    else:
        photo = work() / "photo.png"
        Image.open(ROOT / "samples/photo.png").resize((768, 512)).save(photo)
    runs = [run(*NMFC, "compress", photo, "-k", 3, "-q", "-O", work()) for _ in range(7)]
    cpu = statistics.median(one.cpu for one in runs)
    yield Figure(f"{photo.name} 768x512, compress -k 3: CPU time", f"{cpu:.2f} s", "< 1.5 s", met=yes(cpu < 1.5))
    for side in ((2304, 1536), (4608, 3072)):
        large = work() / "large.png"
        Image.open(photo).resize(side, Image.Resampling.LANCZOS).save(large)
        runs = [run(*NMFC, "compress", large, "-k", 3, "-q", "-O", work()) for _ in range(3)]
        cost = statistics.median(one.cpu for one in runs) / (side[0] * side[1] / 1e6)
        what = f"{side[0]}x{side[1]}, compress -k 3: CPU time a megapixel"
        yield Figure(what, f"{cost:.2f} s", "<= 3 s", met=yes(cost <= 3))


PARTS: dict[str, Callable[[], Iterator[Figure]]] = {
    "digits": digits, "basis": basis, "startup": startup, "picture": picture,
}  # fmt: skip
