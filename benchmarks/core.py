"""The factorization itself against scikit-learn and against the machine, on the digits, from uint8."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator

from measure import HIGH, LOW, SEEDS, Figure, digits_npy, judged, median, ours, race, spent, timed


def mu() -> Iterator[Figure]:
    """To the loss that scikit-learn's `mu` has after 60 sweeps."""
    theirs = ("scikit_learn", {"solver": "mu", "sweeps": 60})
    for init in ("auto", "random"):
        yield race(f"mu, k={LOW}: CPU time, scikit-learn mu (60) / ours", theirs, LOW, 6, 12, solver="mu", init=init)


def hals() -> Iterator[Figure]:
    """To the loss of scikit-learn's coordinate descent: 1.001 x that of 40 sweeps, at the higher rank that of 60."""
    theirs = ("scikit_learn", {"solver": "cd", "sweeps": 40})
    what = f"hals, k={LOW}: CPU time, scikit-learn cd (40), x 1.001 / ours"
    for init in ("auto", "random"):
        yield race(what, theirs, LOW, 5, 10, solver="hals", slack=1.001, init=init)
    theirs = ("scikit_learn", {"solver": "cd", "sweeps": 60})
    yield race(f"hals, k={HIGH}: CPU time, scikit-learn cd (60) / ours", theirs, HIGH, 4, 10, solver="hals")


def restarts() -> Iterator[Figure]:
    """Best of 4 starts with the defaults, beside one run of scikit-learn's coordinate descent to convergence."""
    options = {"solver": "cd", "sweeps": 1000, "seed": 0, "tol": 1e-4}
    peer = timed("scikit_learn", digits_npy(), LOW, **options)
    runs = [ours(LOW, solver="hals", restarts=4, rng=seed) for seed in SEEDS]
    loss, cpu, middle = median(runs, "loss"), median(runs, "cpu"), sorted(runs, key=lambda one: one["cpu"])[2]
    note = "seeds 0 to 4: " + ", ".join(f"{one['loss']:.2f}" for one in runs) + f"; cd {peer['loss']:.2f}"
    yield judged(f"best of 4, hals, k={LOW}: loss", loss, 1354.7, 1354.2, note=note)
    note = f"{spent(middle)} / {peer['cpu']:.2f} s, {peer['sweeps']} sweeps"
    yield judged(f"best of 4, hals, k={LOW}: CPU time, ours / one cd", cpu / peer["cpu"], 1, 1, note=note)


def kl() -> Iterator[Figure]:
    """60 sweeps of Kullback-Leibler by the plain rule, from random starts; ours computes the loss of each."""
    pairs = []
    for seed in SEEDS[:3]:
        peer = timed("scikit_learn", digits_npy(), LOW, solver="mu", sweeps=60, seed=seed, divergence="kl")
        own = ours(LOW, divergence="kl", inner=1, rng=seed, max_sweeps=60, tol=0)
        pairs.append((peer["cpu"] / own["cpu"], peer, own))
    ratio, peer, own = sorted(pairs, key=lambda pair: pair[0])[1]
    note = f"{peer['cpu']:.2f} s to {peer['loss']:.0f} / {spent(own)} to {own['loss']:.0f}; seeds 0 to 2"
    yield judged(f"kl, k={LOW}, 60 sweeps: CPU time, scikit-learn mu / ours", ratio, 2, 3, least=True, note=note)


def sweep() -> Iterator[Figure]:
    """A sweep beside its two products alone, and beside what the machine can do."""
    most = timed("limits", digits_npy())
    yield Figure("the machine: float32 product of 2000 x 2000", f"{most['gemm'] / 1e9:.0f} GFLOP/s", note="one thread")
    yield Figure("the machine: two such products on two threads", f"{most['two']:.2f}", note="x one thread, wall")
    yield Figure("the machine: reading memory", f"{most['ram'] / 1e9:.1f} GB/s", note="float32 dot product, 1 GB")
    yield Figure("the machine: read() of a file", f"{most['disk'] / 1e9:.1f} GB/s", note="the input, cached")
    for solver in ("mu", "hals"):
        for rank in (LOW, HIGH):
            runs = [timed("sweep", digits_npy(), rank, solver) for _ in range(3)]
            early = timed("sweep", digits_npy(), rank, solver, init="random")
            cpu, alone = median(runs, "cpu"), median(runs, "products")
            ratio = statistics.median(one["cpu"] / one["products"] for one in runs)
            share = median(runs, "flops") / most["gemm"]
            note = f"{cpu:.4f} s / {alone:.4f} s; {share:.0%} of the GEMM rate, {median(runs, 'bytes') / 1e9:.2f} GB/s"
            note += f"; from a random start {early['cpu'] / early['products']:.2f}"
            yield judged(f"{solver}, k={rank}: CPU time, a sweep / its products alone", ratio, 1.35, 1.15, note=note)


def threads() -> Iterator[Figure]:
    """Wall time of a whole default run on one thread over that on two."""
    for solver in ("mu", "hals"):
        walls = timed("threads", digits_npy(), HIGH, solver)
        note = f"{walls['sweeps']} sweeps: {walls['one']:.2f} s / {walls['two']:.2f} s"
        what = f"{solver}, k={HIGH}: wall time, one thread / two"
        yield judged(what, walls["one"] / walls["two"], 1.6, 1.9, least=True, note=note)


def memory() -> Iterator[Figure]:
    """Peak of the unshared memory of a whole Python process that factorizes, less the input."""
    for solver in ("mu", "hals"):
        for rank in (LOW, HIGH):
            one = timed("held", digits_npy(), rank, solver=solver, max_sweeps=10)
            note = f"{one['memory']:.0f} MB, of which the input {one['input']:.0f} MB; all cores"
            what = f"{solver}, k={rank}: unshared memory over the input"
            yield judged(what, one["memory"] - one["input"], 150, 80, unit=" MB", note=note)


PARTS: dict[str, Callable[[], Iterator[Figure]]] = {
    "mu": mu, "hals": hals, "restarts": restarts, "kl": kl, "sweep": sweep, "threads": threads, "memory": memory,
}  # fmt: skip
