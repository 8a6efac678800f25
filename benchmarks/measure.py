"""What every part of the benchmark needs: figures, processes that are timed, the data, the machine."""

from __future__ import annotations

import functools
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
NMFC = [sys.executable, "-m", "nmfcompress"]
DATA = Path(os.environ["NMFC_DATA"]) if os.environ.get("NMFC_DATA") else None
ARCHIVE = DATA / "mnist/mnist.npz" if DATA else ROOT / "samples/digits.npz"
SEEDS = range(5)
LOW, HIGH = (10, 50) if DATA else (5, 20)  # the two ranks of the tables
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Figure:
    """A line of the table: what, measured, must, aim, whether they are met, and where the figure comes from."""

    what: str
    value: str
    must: str = ""
    aim: str = ""
    met: str = ""
    note: str = ""


def yes(met: bool) -> str:
    return "yes" if met else "NO"


def judged(
    what: str, value: float, must: float, aim: float, *, least: bool = False, unit: str = "", note: str = ""
) -> Figure:
    """A figure that must be at most `must` (or at `least` so much); without NMFC_DATA nothing is asked of it."""
    text = f"{value:.1f}{unit}" if abs(value) >= 10 else f"{value:.2f}{unit}"
    if not DATA:
        return Figure(what, text, note=note)
    sign, side = (">=", 1) if least else ("<=", -1)
    met = "aim" if side * value >= side * aim else yes(side * value >= side * must)
    return Figure(what, text, f"{sign} {must:g}{unit}", f"{sign} {aim:g}{unit}", met, note)


@dataclass(frozen=True)
class Ran:
    """A process that ended: CPU and wall seconds, the peak of its unshared memory in MB, status, stdout, last words."""

    cpu: float
    wall: float
    memory: float
    status: int
    stdout: bytes
    said: str


def run(*words: object, env: dict[str, str] | None = None, may_fail: bool = False) -> Ran:
    """Run a command to its end, sampling its memory."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            [str(word) for word in words], stdout=out, stderr=err, cwd=ROOT, env={**os.environ, **(env or {})}
        )
        memory = 0.0
        while process.poll() is None:
            memory = max(memory, unshared(process.pid))
            time.sleep(0.01)
        wall = time.perf_counter() - began
        out.seek(0)
        err.seek(0)
        stdout, said = out.read(), (err.read().decode(errors="replace").strip().splitlines() or [""])[-1]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode and not may_fail:
        raise SystemExit(f"{' '.join(map(str, words))} ended with {process.returncode}: {said}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Ran(cpu, wall, memory, process.returncode, stdout, said)


def unshared(pid: int) -> float:
    """RssAnon of a process in MB, 0 where it cannot be told."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1.024 / 1000 for line in lines if line.startswith("RssAnon"))
    except (OSError, StopIteration):
        return 0.0


def timed(task: str, *args: object, python: object = sys.executable, **options: object) -> dict[str, Any]:
    """A task of tasks.py in a process of its own, BLAS held to one thread; what it says, and its peak `memory`."""
    done = run(python, Path(__file__).with_name("tasks.py"), task, json.dumps([args, options]), env=ONE_THREAD)
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if "memory" in said:
        raise SystemExit(f"{task} says its memory, which is measured here")
    return {**said, "memory": done.memory}


_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []


def work() -> Path:
    """A new folder for outputs, gone when the benchmark ends."""
    _FOLDERS.append(tempfile.TemporaryDirectory(prefix="nmfc-bench-"))
    return Path(_FOLDERS[-1].name)


@functools.cache
def digits_npy() -> str:
    """The training images as V, one a row, uint8, in an .npy file."""
    path = work() / "digits.npy"
    with np.load(ARCHIVE) as arrays:
        np.save(path, arrays["x_train"].reshape(len(arrays["x_train"]), -1))
    return str(path)


def race(
    what: str, theirs: tuple[str, dict[str, object]], rank: int, must: float, aim: float, *, solver: str,
    slack: float = 1.0, python: object = sys.executable, init: str = "auto",
) -> Figure:  # fmt: skip
    """CPU time of a peer's run over that of ours to `slack` x the loss which that run reached.

    Seed by seed; the median of the five ratios. How many sweeps of ours it takes is found in a run before
    (every run of ours is deterministic); what is timed is a whole call, and its W and H are held against the target.
    Our `init` "auto" learns H from a sample of rows by `hals`, whatever the solver: its sweeps and reads are in the
    time, not in the counts. With "random" both sides start alike, and nothing is asked of the figure.
    """
    task, options = theirs
    pairs = []
    for seed in SEEDS:
        peer = peers_run(task, rank, seed, python, json.dumps(options))
        target = peer["loss"] * slack
        sweeps = timed("sweeps_to", digits_npy(), rank, target, solver=solver, rng=seed, init=init)["sweeps"]
        if not sweeps:
            return Figure(what, "never", f">= {must:g}", f">= {aim:g}", "NO", f"loss {target:.1f} is not reached")
        while (own := ours(rank, solver=solver, rng=seed, init=init, max_sweeps=sweeps, tol=0))["loss"] > target:
            sweeps += 1
        pairs.append((peer["cpu"] / own["cpu"], target, peer, own))
    ratio, target, peer, own = sorted(pairs, key=lambda pair: pair[0])[len(pairs) // 2]
    note = (
        f"{peer['cpu']:.2f} s, {peer['sweeps']} sweeps / {spent(own)}, to {target:.1f}; seeds 0 to 4: "
        f"{min(pairs)[0]:.1f} to {max(pairs)[0]:.1f}"
    )
    if init == "random":
        return Figure(f"{what}, ours from a random start", f"{ratio:.2f}", note=note)
    return judged(what, ratio, must, aim, least=True, note=note)


@functools.cache
def peers_run(task: str, rank: int, seed: int, python: object, options: str) -> dict[str, Any]:
    """A peer's run, once for all that is held against it."""
    return timed(task, digits_npy(), rank, seed=seed, python=python, **json.loads(options))


def ours(rank: int, **options: object) -> dict[str, Any]:
    """One timed call of ours on the digits, one thread."""
    return timed("ours", digits_npy(), rank, **options)


def spent(own: dict[str, Any]) -> str:
    """What a run of ours took, in words."""
    reads = f", {own['reads']} reads" if own["reads"] else ""
    return f"{own['cpu']:.2f} s, {own['sweeps']} sweeps{reads}"


def median(runs: list[dict[str, Any]], key: str) -> float:
    return statistics.median(one[key] for one in runs)


def machine() -> str:
    """The machine and what is installed, in a line."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]  # type: ignore[call-overload]
    built = f"NumPy {np.__version__} with {blas['name']} {blas['version']}"
    return f"{model}, {os.cpu_count()} cores; Python {platform.python_version()}, {built}"
