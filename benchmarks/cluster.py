"""What work on a cluster costs: rows a CPU second, bytes a sweep and worker, and what a lost worker takes.

With NMFC_DATA set the images are MNIST's, without it those of samples/, repeated. Bytes are those that the kernel
counts on the workers' TCP connections, Dask's own talk (heartbeats, tasks) included.

    python benchmarks/cluster.py [rates] [traffic] [lost]      default: all
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import struct
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402

from nmfcompress import SweepRecord, factorize  # noqa: E402
from nmfcompress.factor.cluster import Cluster  # noqa: E402
from nmfcompress.factor.scheduler import connect  # noqa: E402

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ["NMFC_DATA"]) if os.environ.get("NMFC_DATA") else None


def digits(rows: int) -> np.ndarray:
    """Images of 28x28, one a row, repeated until there are so many."""
    with np.load(DATA / "mnist/mnist.npz" if DATA else ROOT / "samples/digits.npz") as arrays:
        V = arrays["x_train"].reshape(len(arrays["x_train"]), -1)
    return V[np.arange(rows) % len(V)]


def used() -> tuple[float, int]:
    """CPU seconds of this process, and the most memory it has had, in bytes."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def wire() -> int:
    """Bytes of this process's TCP connections, in and out."""
    moved = 0
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError, struct.error):  # it is no connection, or closed by now
            one = socket.socket(fileno=int(name))
            try:
                moved += sum(struct.unpack_from("QQ", one.getsockopt(socket.IPPROTO_TCP, 11, 136), 120))  # TCP_INFO
            finally:
                one.detach()
    return moved


def rates(client: Any) -> None:
    """Rows that a CPU second takes through a sweep, reading, learning and solving."""
    rows = 120_000
    V = digits(rows)
    print(f"rates: {rows:,} rows of 784 bytes on {len(client.nthreads())} workers")
    for k in (10, 50):
        for solver in ("mu", "hals"):
            at: list[float] = []

            def clock(record: SweepRecord, at: list[float] = at) -> None:
                at.append(sum(cpu for cpu, _ in client.run(used).values()))

            with Cluster(V, client) as crew:
                crew.moments()
                before = sum(cpu for cpu, _ in client.run(used).values())
                crew.moments()
                first = sum(cpu for cpu, _ in client.run(used).values()) - before
                factorize(crew, k, solver=solver, max_sweeps=8, tol=0, on_sweep=clock)
            sweep, last = (at[-2] - at[0]) / (len(at) - 2), at[-1] - at[-2]
            memory = max(peak for _, peak in client.run(used).values())
            print(
                f"  k={k} {solver}: {rows / sweep:,.0f} rows a CPU second a sweep, {rows / last:,.0f} in the last, "
                f"{rows / first:,.0f} in the first read; most memory of a worker so far {memory / 1e6:.0f} MB"
            )


def traffic(client: Any) -> None:
    """Bytes a sweep and worker, for two numbers of rows."""
    print("traffic: bytes a sweep and worker, in and out; H is 4 k n bytes, the sums are 8 k n")
    workers, sweeps = len(client.nthreads()), 10
    for k, n in ((10, 784), (50, 784), (50, 4096)):
        line = f"  k={k} n={n}: H {4 * k * n:,}, sums {8 * k * n:,}; "
        for rows in (6_000, 60_000):
            counts: list[int] = []

            def count(record: SweepRecord, counts: list[int] = counts) -> None:
                if record.sweep in (2, 2 + sweeps):
                    counts.append(sum(client.run(wire).values()))

            V = np.resize(digits(rows), (rows, n)) if n != 784 else digits(rows)
            with Cluster(V, client) as crew:
                factorize(crew, k, init="random", max_sweeps=sweeps + 3, tol=0, inner=1, on_sweep=count)
            line += f"{rows:,} rows {(counts[1] - counts[0]) / sweeps / workers:,.0f}; "
        print(line.rstrip("; "))


def lost(client: Any) -> None:
    """A worker killed in the middle of a sweep: the loss, and how much longer it takes."""
    V = digits(60_000)
    results = []
    for kill in (False, True):
        client.wait_for_workers(2, timeout=60)
        victim = next(iter(client.run(os.getpid).values()))
        longest = [0.0, time.perf_counter()]

        def watch(record: SweepRecord, kill: bool = kill, victim: int = victim, longest: list[float] = longest) -> None:
            now = time.perf_counter()
            longest[:] = max(longest[0], now - longest[1]), now
            if kill and record.sweep == 5:
                threading.Timer(0.05, os.kill, (victim, signal.SIGKILL)).start()

        with Cluster(V, client) as crew:
            found = factorize(crew, 10, on_sweep=watch)
        results.append(found.loss)
        what = "one worker killed in sweep 6" if kill else "undisturbed"
        seconds = f"{found.records[-1].seconds:.1f} s, longest sweep {longest[0]:.2f} s"
        print(f"  {what}: loss {found.loss:.4f} after {len(found.records)} sweeps, {seconds}")
    print(f"  the losses differ by {abs(results[1] / results[0] - 1):.1e}")


PARTS = {"rates": rates, "traffic": traffic, "lost": lost}


def main() -> None:
    """Print the figures."""
    print(f"data: {DATA or 'samples/ (NMFC_DATA is not set)'}")
    with connect("local:2") as client:
        for name in sys.argv[1:] or PARTS:
            PARTS[name](client)


if __name__ == "__main__":
    main()
