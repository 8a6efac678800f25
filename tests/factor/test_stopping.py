"""What the records say of a fit: how often V was read, and how far the factors are from a stationary point."""

from __future__ import annotations

import math
import threading
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from nmfcompress.factor import factorize
from nmfcompress.factor.blocks import ArrayBlocks
from nmfcompress.factor.sweeps import Momentum


class Counted(ArrayBlocks):
    """Blocks that count how often each row is read: by the crew, and row by row for a sample."""

    def __init__(self, V):
        super().__init__(V)
        self.rows = [slice(first, min(first + 97, len(V))) for first in range(0, len(V), 97)]
        self.passes, self.single = np.zeros(len(V), int), Counter()
        self.lock, self.within = threading.Lock(), threading.local()

    def stored(self, rows):
        with self.lock:
            if getattr(self.within, "single", False):
                self.single[rows.start] += 1
            else:
                self.passes[rows] += 1
        return super().stored(rows)

    def read(self, rows):
        self.within.single = rows.stop - rows.start == 1
        try:
            return super().read(rows)
        finally:
            self.within.single = False

    @property
    def reads(self) -> int:
        """Of every row alike."""
        assert set(self.passes) == {self.passes[0]}
        return int(self.passes[0])


def images(m, n, k, seed=0, noise=0.02):
    rng = np.random.default_rng(seed)
    V = rng.gamma(0.5, 1, (m, k)) @ rng.gamma(0.5, 1, (k, n)) + noise * rng.random((m, n))
    return (V / V.max()).astype(np.float32)


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"solver": "hals"},
        {"divergence": "kl"},
        {"divergence": "is"},
        {"inner": 1},
        {"init": "nndsvda"},
        {"init": "nndsvda", "solver": "hals", "restarts": 2},
        {"restarts": 3},
        {"max_sweeps": 1},
    ],
    ids=str,
)
def test_every_read_is_counted(options, jobs):
    V = Counted(images(400, 30, 4))
    records = []
    factorize(V, 4, jobs=jobs, on_sweep=records.append, **{"max_sweeps": 30, **options})
    assert records[-1].reads == V.reads
    assert not V.single
    assert all(later.reads > earlier.reads for earlier, later in pairwise(records))


def test_the_mask_changes_nothing_about_it():
    shown = images(300, 20, 3)
    V = Counted(shown)
    found = factorize(V, 3, mask=np.random.default_rng(0).random(shown.shape) < 0.8, max_sweeps=10)
    assert found.records[-1].reads == V.reads == 12  # the first for the moments, the second for the sums


@pytest.mark.parametrize("solver", ["mu", "hals"])
def test_a_sample_is_not_counted_and_is_small(solver):
    shown = images(9000, 12, 2)
    V = Counted(shown)
    found = factorize(V, 2, solver=solver, init="sample", max_sweeps=12)
    assert found.records[-1].reads == V.reads
    assert 0 < sum(V.single.values()) <= len(shown) / 8
    assert max(V.single.values()) == 1


def test_a_step_of_the_momentum_that_is_taken_back_is_counted(monkeypatch):
    taken_back = []
    rose = Momentum.rose
    monkeypatch.setattr(Momentum, "rose", lambda self: taken_back.append(1) or rose(self))
    V = Counted(images(200, 30, 6, noise=5))
    found = factorize(V, 6, solver="hals", max_sweeps=60, tol=0)
    assert taken_back
    assert found.relative_loss > 0.1, "else the residual is summed by itself, which is a read more"
    assert found.records[-1].reads == V.reads == 2 + 60 + len(taken_back)


def test_the_residual_summed_by_itself_is_counted():
    """A fit so near that the loss cancels in float32: it takes a read more in the sweep in which that begins."""
    V = Counted(images(200, 30, 3, noise=0))
    found = factorize(V, 3, rng=1, max_sweeps=40, tol=0)
    assert found.relative_loss < 0.1
    assert found.records[-1].reads == V.reads == 2 + 40 + 1


# The gradient


def slow_gradient(V, W, H):
    """The projected gradient as the docstring of SweepRecord has it, entry by entry."""
    (m, k), n = W.shape, H.shape[1]
    whole = [[sum(W[i, t] * H[t, j] for t in range(k)) for j in range(n)] for i in range(m)]
    sides = []
    for factor, places in (
        ("W", [(i, t) for i in range(m) for t in range(k)]),
        ("H", [(t, j) for t in range(k) for j in range(n)]),
    ):
        slope = pull = 0.0
        for a, b in places:
            if factor == "W":
                ours, data = (sum(X[a][j] * H[b, j] for j in range(n)) for X in (whole, V))
                value = W[a, b]
            else:
                ours, data = (sum(X[i][b] * W[i, a] for i in range(m)) for X in (whole, V))
                value = H[a, b]
            gradient = ours - data
            if value > 1e-9 or gradient < 0:
                slope += gradient**2
            pull += data**2
        sides.append(math.sqrt(slope / pull))
    return max(sides)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "options", [{"inner": 1, "max_sweeps": 3}, {"max_sweeps": 2}, {"max_sweeps": 60}, {"solver": "hals"}], ids=str
)
def test_the_gradient_is_what_a_slow_double_loop_finds(options, dtype):
    V = images(11, 9, 3, noise=0.3).astype(dtype)
    found = factorize(V, 3, tol=0, **{"max_sweeps": 20, **options})
    slow = slow_gradient(*(X.astype(np.float64) for X in (V, found.W, found.H)))
    assert found.records[-1].gradient == pytest.approx(slow, rel=1e-3 if dtype == np.float64 else 0.02, abs=1e-6)


def test_it_falls_to_nothing_and_earlier_for_hals():
    V = images(60, 40, 5).astype(np.float64)
    ends = []
    for solver in ("mu", "hals"):
        records = factorize(V, 5, solver=solver, max_sweeps=300, tol=0).records
        gradients = [record.gradient for record in records]
        assert all(gradient >= 0 for gradient in gradients)
        assert gradients[-1] < 0.2 * gradients[0]
        ends.append(gradients[-1])
    assert ends[1] < ends[0]


@pytest.mark.parametrize("options", [{"divergence": "kl"}, {"divergence": "is"}, {"mask": np.eye(9, 7) == 0}], ids=str)
def test_there_is_none_where_it_would_cost_a_read(options):
    found = factorize(images(9, 7, 2), 2, max_sweeps=3, **options)
    assert [record.gradient for record in found.records] == [None] * 3
