"""Generated sets on disk: whether the cost of a row depends on their number, and whether --max-memory is kept.

They go to the temporary folder (TMPDIR), one after the other, and are removed as soon as they have been read.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from measure import DATA, LOW, NMFC, ONE_THREAD, Figure, judged, run, timed, work

SIDE = 28
ROWS = (6_000, 60_000, 600_000, 6_000_000) if DATA else (6_000, 60_000)
BOUND = (10_204_160, 1500) if DATA else (600_000, 300)  # rows, of 784 bytes each, and the MB allowed
CHUNK = 10_000  # rows made at a time


@contextlib.contextmanager
def stack(rows: int) -> Iterator[Path]:
    """So many images of 40 sparse parts and noise, 28 x 28 uint8, as one .npy file, the same every time."""
    rng = np.random.default_rng(0)
    parts = rng.random((40, SIDE * SIDE), np.float32) ** 8 * 40
    folder = work()
    with open(folder / "stack.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|u1", "fortran_order": False, "shape": (rows, SIDE, SIDE)}
        )
        for first in range(0, rows, CHUNK):
            codes = rng.random((min(CHUNK, rows - first), len(parts)), np.float32) ** 4
            images = codes @ parts + rng.integers(0, 16, (len(codes), SIDE * SIDE), np.uint8)
            np.minimum(images, 255, out=images).astype(np.uint8).tofile(file)
    try:
        yield folder / "stack.npy"
    finally:
        shutil.rmtree(folder)


def lacking(rows: int) -> str:
    """What is missing on the disk for so many rows, nothing if they fit twice."""
    free, wanted = shutil.disk_usage(tempfile.gettempdir()).free, 2 * rows * SIDE * SIDE
    return f"{wanted / 1e9:.0f} GB of free disk wanted, {free / 1e9:.0f} GB there" if free < wanted else ""


def growth() -> Iterator[Figure]:
    """CPU time per sweep and row, `mu`, from the smallest set to the largest."""
    if missing := lacking(max(ROWS)):
        yield Figure("growth: not measured", "", note=missing)
        return
    costs = []
    for rows in ROWS:
        with stack(rows) as path:
            costs.append(timed("per_row", str(path), LOW, "mu", max(2, min(30, 600_000 // rows)))["cpu"])
    note = ", ".join(f"{rows:,}: {cost * 1e6:.3f} us" for rows, cost in zip(ROWS, costs, strict=True))
    spread = 100 * (max(costs) / min(costs) - 1)
    yield judged(f"mu, k={LOW}: CPU time a sweep and row, dearest over cheapest", spread, 15, 5, unit=" %", note=note)


def bound() -> Iterator[Figure]:
    """The real command on a set larger than it is allowed to hold."""
    rows, most = BOUND
    what = f"basis -k {LOW} on {rows * SIDE * SIDE / 1e9:.1f} GB: unshared memory"
    if missing := lacking(rows):
        yield Figure(f"{what}: not measured", "", note=missing)
        return
    with stack(rows) as path:
        done = run(*NMFC, "basis", path, "-k", LOW, "--iterations", 5, "--tol", 0, "--max-memory", f"{most}MB",
                   "-q", "-O", work(), env=ONE_THREAD, may_fail=True)  # fmt: skip
    if done.status:
        yield Figure(what, "refused", f"<= {most} MB", met="NO", note=done.said)
        return
    note = f"5 sweeps: {done.cpu:.0f} s of CPU, {done.wall:.0f} s"
    yield judged(what, done.memory, most, most, unit=" MB", note=note)


PARTS: dict[str, Callable[[], Iterator[Figure]]] = {"growth": growth, "bound": bound}
