"""hals, its momentum, and the start from a sample of rows."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from sklearn.decomposition import non_negative_factorization

from nmfcompress.errors import InputError, UsageError
from nmfcompress.factor import factorize, start, sweeps
from nmfcompress.factor.blocks import as_blocks
from nmfcompress.factor.crew import Threads
from nmfcompress.factor.solvers import SOLVERS, exact, hals
from nmfcompress.settings import Fit

M, N, K = 9, 7, 3
RELATIVE = {np.float32: 2e-5, np.float64: 1e-10}


def problem(dtype, m=M, n=N, k=K):
    rng = np.random.default_rng(0)
    return tuple(rng.uniform(0.1, 1, shape).astype(dtype) for shape in ((m, n), (m, k), (k, n)))


def plain_pass(V, W, H):
    """Each row of H in turn, entry by entry, in plain Python floats."""
    H = [list(row) for row in H]
    for a in range(len(H)):
        below = sum(W[i][a] ** 2 for i in range(len(V)))
        for j in range(len(H[0])):
            others = [sum(W[i][b] * H[b][j] for b in range(len(H)) if b != a) for i in range(len(V))]
            H[a][j] = max(0.0, sum(W[i][a] * (V[i][j] - others[i]) for i in range(len(V))) / below)
    return H


def transposed(X):
    return [list(column) for column in zip(*X, strict=True)]


@pytest.mark.parametrize("dtype", RELATIVE)
@pytest.mark.parametrize("sweeps", [1, 4])
def test_plain_sweeps_are_the_double_loop(dtype, sweeps):
    V, W, H = problem(dtype)
    found = factorize(V, K, solver="hals", inner=1, max_sweeps=sweeps, tol=0, W=W, H=H)
    v, w, h = V.tolist(), W.tolist(), H.tolist()
    for _ in range(sweeps):
        h = plain_pass(v, w, h)
        w = transposed(plain_pass(transposed(v), transposed(h), transposed(w)))
    for mine, plain in ((found.W, w), (found.H, h)):
        assert mine.dtype == dtype
        np.testing.assert_allclose(
            mine, plain, rtol=RELATIVE[dtype] * sweeps, atol=1e-6 if dtype == np.float32 else 1e-9
        )


@pytest.mark.parametrize("sweeps", [1, 15])
def test_scikit_learn_does_the_same_on_the_transposed_problem(sweeps):
    """Its `cd` without shuffling updates W first, so its W is our H."""
    V, W, H = problem(np.float64, 30, 20)
    found = factorize(V, K, solver="hals", inner=1, max_sweeps=sweeps, tol=0, W=W, H=H)
    theirs = non_negative_factorization(
        np.ascontiguousarray(V.T), np.ascontiguousarray(H.T), np.ascontiguousarray(W.T), n_components=K,
        init="custom", solver="cd", max_iter=sweeps, tol=0, shuffle=False,
    )  # fmt: skip
    np.testing.assert_allclose(found.H, theirs[0].T, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(found.W, theirs[1].T, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("dtype", RELATIVE)
def test_many_passes_come_to_the_minimizer(dtype):
    V, W, H = problem(dtype, 40, 30)
    A, G = H @ V.T, H @ H.T
    near = hals(W.T.copy(), A, G, 60, 0.0)
    best = exact(W.T.copy(), A, G)
    before, after = (np.linalg.norm(V - X.T @ H) for X in (near, best))
    assert after <= before * (1 + 1e-6) <= after * 1.02


def test_an_empty_part_stays_as_it_is(rng):
    """Neither a division by zero nor a change."""
    H = np.stack([rng.random(8), np.zeros(8), rng.random(8)])
    V, X = rng.random((5, 8)), rng.random((3, 5))
    found = hals(X, H @ V.T, H @ H.T, 3, 1e-12)
    np.testing.assert_array_equal(found[1], X[1])
    assert np.isfinite(found).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_the_loss_never_rises_and_goes_farther_than_mu(dtype, rng):
    V = rng.random((120, 8)) @ rng.random((8, 90)) + 0.5 * rng.random((120, 90))
    V = np.rint(V / V.max() * 255).astype(np.uint8) if dtype == np.uint8 else V.astype(dtype)
    found = {solver: factorize(V, 8, solver=solver, max_sweeps=150, tol=0) for solver in SOLVERS}
    losses = [record.loss for record in found["hals"].records]
    assert all(later <= earlier * (1 + 1e-6) for earlier, later in pairwise(losses))
    assert found["hals"].loss <= found["mu"].loss
    assert found["hals"].records[-1].gradient < 0.5 * found["mu"].records[-1].gradient


def test_a_step_too_far_is_taken_back_at_the_cost_of_a_read(rng, monkeypatch):
    far = sweeps.Momentum(step=30.0, most=40.0)
    first_read = sweeps.first_read
    monkeypatch.setattr(
        "nmfcompress.factor.nmf.first_read",
        lambda *given: sweeps.replace(first_read(*given), momentum=far),
    )
    V = rng.random((60, 40))
    found = factorize(V, 5, solver="hals", max_sweeps=20, tol=0)
    reads = np.diff([record.reads for record in found.records])
    assert set(reads) == {1, 2}
    losses = [record.loss for record in found.records]
    assert all(later <= earlier * (1 + 1e-9) for earlier, later in pairwise(losses))


@pytest.mark.parametrize("wrong", [{"divergence": "kl"}, {"divergence": "is"}, {"mask": np.eye(6, dtype=bool)}])
def test_hals_is_for_frobenius_without_a_mask(wrong, rng):
    with pytest.raises(UsageError, match="hals"):
        factorize(rng.random((6, 6)), 2, solver="hals", **wrong)


def test_a_part_at_the_floor_asks_for_no_codes_beyond_measure():
    """A 3 x 3 of rank 2 at rank 3: the third part went to the floor, its codes to 1e11, and the loss rose."""
    V = np.array([[48, 73, 55], [0, 0, 0], [94, 131, 88]], np.uint8)
    found = factorize(V, 3, solver="hals", max_sweeps=3, tol=0, rng=9)
    losses = [record.loss for record in found.records]
    assert losses == sorted(losses, reverse=True)
    assert found.W.max() < 100


# The start from a sample


def digits(rows=12_000, n=30, parts=4):
    """uint8 rows, enough of them for a sample at ranks up to 12."""
    rng = np.random.default_rng(7)
    V = rng.random((rows, parts)) ** 3 @ (rng.random((parts, n)) * (rng.random((parts, n)) < 0.5))
    return np.rint(255 * V / V.max()).astype(np.uint8)


@pytest.fixture(scope="module")
def many_rows():
    return digits()


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_sample_saves_sweeps(solver, many_rows):
    from_sample, from_random = (
        factorize(many_rows, 4, solver=solver, init=init, max_sweeps=3, tol=0) for init in ("auto", "random")
    )
    assert from_sample.records[0].loss < from_random.loss
    assert from_sample.records[0].reads == 4, "the moments, the codes of the basis, the sweep, and its residual itself"
    losses = [record.loss for record in from_sample.records]
    assert all(later <= earlier * (1 + 1e-6) for earlier, later in pairwise(losses))


@pytest.mark.parametrize("divergence", ["frobenius", "kl", "is"])
def test_threads_and_restarts_leave_the_sample_as_it_is(divergence, many_rows):
    found = [factorize(many_rows, 4, divergence=divergence, max_sweeps=2, rng=3, jobs=jobs) for jobs in (1, 3)]
    assert found[0].W.tobytes() == found[1].W.tobytes()
    assert found[0].H.tobytes() == found[1].H.tobytes()


def test_restarts_are_compared_on_other_rows_and_then_on_all(many_rows, monkeypatch):
    tried = []
    refine = start._refined

    def look(crew, H, *rest):
        tried.append((crew.shape[0], refine(crew, H, *rest)))
        return tried[-1][1]

    monkeypatch.setattr(start, "_refined", look)
    crew = Threads(as_blocks(many_rows), map)
    found = start.sample_start(crew, Fit(4, restarts=3), crew.moments(), 0.5 / 255, np.random.default_rng(0))
    rows = [rows for rows, _ in tried]
    assert rows == [4 * start.sample_size(many_rows.shape, 4)] * 3 * start.PROBES + [len(many_rows)] * 3
    on_all = [state for _, state in tried[-3:]]
    np.testing.assert_array_equal(found, min(on_all, key=lambda state: state.records[-1].loss).H)
    assert crew.reads >= 1 + 3 * (1 + start.FINAL_SWEEPS)


@pytest.mark.parametrize("shape", [(2000, 30), (12_000, 200_000)])
def test_too_few_rows_or_too_wide_a_sample_is_none(shape):
    assert start.sample_size(shape, 4) == 0


@pytest.mark.parametrize("extra", [{"mask": np.eye(40, 30, dtype=bool)}, {"H": np.ones((3, 30))}, {}])
def test_a_sample_that_cannot_be_had_is_refused(extra, rng):
    with pytest.raises(UsageError, match="init is sample"):
        factorize(rng.random((40, 30)), 3, init="sample", **extra)


@pytest.mark.parametrize("options", [{"inner": 1}, {"init": "random"}, {"H": np.full((4, 30), 0.5)}])
def test_auto_is_random_for_the_plain_rule_and_for_starts_of_ones_own(options, many_rows, monkeypatch):
    monkeypatch.setattr(start, "sample_start", None)
    assert factorize(many_rows, 4, max_sweeps=1, **options).loss > 0


def test_a_row_that_may_not_stand_in_v_is_named(rng):
    V = rng.random((5000, 20))
    V[4321, 7] = np.nan
    with pytest.raises(InputError, match=r"NaN.*row 4,321"):
        factorize(V, 3)
