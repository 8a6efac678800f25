"""`make bench`: losses, times and memory of the real command, beside references taken in the same run.

Every result is verified (the loss recomputed in float64 from W and H) before its time is reported. CPU time is that
of the whole process, median of several runs; memory is unshared memory (RssAnon), sampled while it runs. With
NMFC_DATA set the figures are those of MNIST and Kodak, without it those of samples/ (and `must` does not apply).

    python benchmarks/main.py [digits] [basis] [startup] [picture] [peers]      default: all but peers
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
NMFC = [sys.executable, "-m", "nmfcompress"]
DATA = Path(os.environ["NMFC_DATA"]) if os.environ.get("NMFC_DATA") else None
SEEDS = range(5)


@dataclass(frozen=True)
class Figure:
    """A line of the table: what, the figure, what it must be, and whether it is."""

    what: str
    value: str
    must: str = ""
    met: bool | None = None


@dataclass(frozen=True)
class Ran:
    """A process that ran: CPU and wall seconds, the peak of its unshared memory in MB, and its stdout."""

    cpu: float
    wall: float
    memory: float
    stdout: bytes


def run(*words: object) -> Ran:
    """Run a command to its end, sampling its memory."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen([str(word) for word in words], stdout=out, stderr=subprocess.DEVNULL, cwd=ROOT)
        memory = 0.0
        while process.poll() is None:
            memory = max(memory, unshared(process.pid))
            time.sleep(0.01)
        out.seek(0)
        stdout = out.read()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        raise SystemExit(f"{words} ended with {process.returncode}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Ran(cpu, time.perf_counter() - began, memory, stdout)


def unshared(pid: int) -> float:
    """RssAnon of a process in MB, 0 where it cannot be told."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("RssAnon"))
    except (OSError, StopIteration):
        return 0.0


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
    archive = DATA / "mnist/mnist.npz" if DATA else ROOT / "samples/digits.npz"
    with np.load(archive) as arrays:
        images, labels = arrays["x_train"], arrays["y_train"]
    medians = []
    for digit in range(10):
        V = images[np.argmax(labels == digit)] / 255
        medians.append(statistics.median(naive(V, 3, 50, seed) for seed in range(30)))
    runs = []
    for seed in SEEDS:
        done = run(*NMFC, "compress", archive, "--one-per-label", "-k", 3, "--inner", 1, "--tol", 0, "--iterations", 50,
                   "--restarts", 5, "--seed", seed, "--json", "--write", "csv", "--no-plot", "-O", work())  # fmt: skip
        runs.append([json.loads(line) for line in done.stdout.splitlines()])
    for digit in range(10):
        losses = [one[digit]["loss"] for one in runs]
        floor, most = runs[0][digit]["svd_floor"], medians[digit] * 1.05
        value = f"{min(losses):.3f} to {max(losses):.3f}"
        met = floor <= min(losses) and max(losses) <= most
        yield Figure(f"digit {digit}, rank 3, seeds 0 to 4: loss", value, f"{floor:.3f} to {most:.3f}", met)


def basis() -> Iterator[Figure]:
    """`nmfc basis` on all of MNIST with the defaults."""
    archive = DATA / "mnist/mnist.npz" if DATA else ROOT / "samples/digits.npz"
    with np.load(archive) as arrays:
        V = arrays["x_train"].reshape(len(arrays["x_train"]), -1)
    for rank, must in ((4, 1541), (10, 1360)):
        losses, runs = [], []
        for seed in SEEDS:
            folder = work()
            runs.append(run(*NMFC, "basis", archive, "-k", rank, "--seed", seed, "-q", "-O", folder))
            losses.append(recomputed(V, folder / "factors.npz"))
        worst, memory = max(losses), max(one.memory for one in runs)
        wall, cpu = max(one.wall for one in runs), statistics.median(one.cpu for one in runs)
        name = f"{archive.name} {len(V):,}, basis -k {rank}, seeds 0 to 4"
        values = ", ".join(f"{loss:.1f}" for loss in losses)
        yield Figure(f"{name}: loss", values, f"<= {must}" if DATA else "", worst <= must if DATA else None)
        yield Figure(f"{name}: most unshared memory", f"{memory:.0f} MB", "< 600 MB", memory < 600)
        yield Figure(f"{name}: longest wall time", f"{wall:.1f} s", "< 60 s", wall < 60)
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
    yield Figure("nmfc --help / import click: CPU time", f"{ratio:.2f}", "<= 1.8", ratio <= 1.8)


def picture() -> Iterator[Figure]:
    """A rank-3 picture with its outputs, start-up included; and what a megapixel costs of a larger one."""
    if DATA:
        photo = DATA / "kodak/kodim05.png"
    else:
        photo = work() / "photo.png"
        Image.open(ROOT / "samples/photo.png").resize((768, 512)).save(photo)
    runs = [run(*NMFC, "compress", photo, "-k", 3, "-q", "-O", work()) for _ in range(7)]
    cpu = statistics.median(one.cpu for one in runs)
    yield Figure(f"{photo.name} 768x512, compress -k 3: CPU time", f"{cpu:.2f} s", "< 1.5 s", cpu < 1.5)
    for side in ((2304, 1536), (4608, 3072)):
        large = work() / "large.png"
        Image.open(photo).resize(side, Image.Resampling.LANCZOS).save(large)
        runs = [run(*NMFC, "compress", large, "-k", 3, "-q", "-O", work()) for _ in range(3)]
        cost = statistics.median(one.cpu for one in runs) / (side[0] * side[1] / 1e6)
        what = f"{side[0]}x{side[1]}, compress -k 3: CPU time a megapixel"
        yield Figure(what, f"{cost:.2f} s", "<= 3 s", cost <= 3)


def peers() -> Iterator[Figure]:
    """scikit-learn's losses and CPU time on the same data, in this process."""
    from sklearn.decomposition import NMF

    archive = DATA / "mnist/mnist.npz" if DATA else ROOT / "samples/digits.npz"
    with np.load(archive) as arrays:
        V = arrays["x_train"].reshape(len(arrays["x_train"]), -1).astype(np.float32) / 255
    for solver in ("cd", "mu"):
        began = time.process_time()
        model = NMF(10, solver=solver, init="random", random_state=0, max_iter=200)
        W = model.fit_transform(V)
        cpu = time.process_time() - began
        loss = np.linalg.norm(V - W @ model.components_)
        yield Figure(
            f"scikit-learn {solver}, k=10, seed 0, {model.n_iter_} sweeps: loss", f"{loss:.1f} in {cpu:.1f} s of CPU"
        )


_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []


def work() -> Path:
    """A new folder for outputs, gone when the benchmark ends."""
    _FOLDERS.append(tempfile.TemporaryDirectory(prefix="nmfc-bench-"))
    return Path(_FOLDERS[-1].name)


PARTS: dict[str, Callable[[], Iterator[Figure]]] = {
    "digits": digits, "basis": basis, "startup": startup, "picture": picture, "peers": peers,
}  # fmt: skip


def main() -> int:
    """Print the table; the exit status is 1 when a figure is missed."""
    chosen = sys.argv[1:] or [name for name in PARTS if name != "peers"]
    print(f"data: {DATA or 'samples/ (NMFC_DATA is not set)'}\n")
    print(f"{'what':<62} {'figure':<40} {'must':<18} met")
    missed = 0
    for name in chosen:
        for figure in PARTS[name]():
            met = {None: "", True: "yes", False: "NO"}[figure.met]
            print(f"{figure.what:<62} {figure.value:<40} {figure.must:<18} {met}", flush=True)
            missed += figure.met is False
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
