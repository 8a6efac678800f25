"""L1 and L2 penalties: against plain loops, scikit-learn and brute force; what must hold for any of them."""

from __future__ import annotations

import math
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from sklearn.decomposition import non_negative_factorization

from nmfcompress.errors import OtherRun, UsageError
from nmfcompress.factor import factorize, transform
from nmfcompress.factor.beta import BetaDivergence
from nmfcompress.factor.checkpoint import pack, unpack
from nmfcompress.factor.solvers import exact, hals
from nmfcompress.factor.sums import Cost
from nmfcompress.settings import Fit

BETAS = {"frobenius": 2, "kl": 1, "is": 0}
LOSSES = {"frobenius": "frobenius", "kl": "kullback-leibler", "is": "itakura-saito"}
WAYS = [("mu", "frobenius"), ("hals", "frobenius"), ("mu", "kl"), ("mu", "is")]
M, N, K = 9, 7, 3


def problem(dtype=np.float64, seed=0, m=M, n=N, k=K):
    """V, and a start; nothing near zero."""
    rng = np.random.default_rng(seed)
    return tuple(rng.uniform(0.1, 1, shape).astype(dtype) for shape in ((m, n), (m, k), (k, n)))


def divergence_of(V, WH, beta, known=None):
    """Entry by entry, in plain Python floats."""
    found = 0.0
    for i, row in enumerate(V.tolist()):
        for j, v in enumerate(row):
            if known is None or known[i, j]:
                x = float(WH[i, j])
                if beta == 2:
                    found += (v - x) ** 2 / 2
                elif beta == 1:
                    found += (v * math.log(v / x) if v else 0.0) - v + x
                else:
                    found += v / x - math.log(v / x) - 1
    return found


def objective_of(V, W, H, beta, l1, l2, known=None):
    """The objective as scikit-learn's documentation has it, with alpha_W l1_ratio for l1[0] and so on."""
    W, H = W.astype(np.float64), H.astype(np.float64)
    m, n = V.shape
    return (
        divergence_of(V.astype(np.float64), W @ H, beta, known)
        + l1[0] * n * np.abs(W).sum()
        + l1[1] * m * np.abs(H).sum()
        + 0.5 * l2[0] * n * (W**2).sum()
        + 0.5 * l2[1] * m * (H**2).sum()
    )


def plain_h(V, W, H, l1, l2):
    """H after one multiplicative step under least squares, its entries in a double loop (Hoyer 2002)."""
    m, k, n = len(V), len(H), len(H[0])
    WH = [[sum(W[i][a] * H[a][j] for a in range(k)) for j in range(n)] for i in range(m)]
    new = [list(row) for row in H]
    for a in range(k):
        for j in range(n):
            above = sum(W[i][a] * V[i][j] for i in range(m))
            below = sum(W[i][a] * WH[i][j] for i in range(m))
            new[a][j] = H[a][j] * above / (below + l1 + l2 * H[a][j])
    return new


def turned(X):
    return [list(column) for column in zip(*X, strict=True)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("l1", "l2"), [((0.02, 0.01), (0.0, 0.0)), ((0.0, 0.0), (0.03, 0.05)), ((0.02, 0.01), (0.1, 0.02))]
)
def test_plain_sweeps_are_the_double_loop(dtype, l1, l2):
    V, W, H = problem(dtype)
    found = factorize(V, K, W=W, H=H, inner=1, max_sweeps=3, tol=0, l1=l1, l2=l2)
    v, w, h = V.astype(float).tolist(), W.astype(float).tolist(), H.astype(float).tolist()
    for _ in range(3):
        h = plain_h(v, w, h, M * l1[1], M * l2[1])
        w = turned(plain_h(turned(v), turned(h), turned(w), N * l1[0], N * l2[0]))
    relative = 2e-5 if dtype == np.float32 else 1e-10
    np.testing.assert_allclose(found.W, w, rtol=relative)
    np.testing.assert_allclose(found.H, h, rtol=relative)


@pytest.mark.parametrize(("divergence", "l1_ratio"), [("frobenius", 0.0), ("frobenius", 0.3), ("kl", 1.0), ("is", 1.0)])
def test_plain_sweeps_are_those_of_scikit_learn(divergence, l1_ratio):
    """It updates W first: on the transposed V that is our H. Its step for L2 beside KL and IS is another, see below."""
    V, W, H = problem()
    a, b = 0.02, 0.05
    theirs = non_negative_factorization(
        np.ascontiguousarray(V.T), W=H.T.copy(), H=W.T.copy(), n_components=K, init="custom", solver="mu", max_iter=7,
        tol=0, beta_loss=LOSSES[divergence], alpha_W=b, alpha_H=a, l1_ratio=l1_ratio,
    )  # fmt: skip
    l1, l2 = (a * l1_ratio, b * l1_ratio), (a * (1 - l1_ratio), b * (1 - l1_ratio))
    found = factorize(V, K, divergence=divergence, W=W, H=H, inner=1, max_sweeps=7, tol=0, l1=l1, l2=l2)
    np.testing.assert_allclose(found.W, theirs[1].T, rtol=1e-6)
    np.testing.assert_allclose(found.H, theirs[0].T, rtol=1e-6)


@pytest.mark.parametrize("beta", [1, 0])
@pytest.mark.parametrize("l2", [1e-6, 0.3, 1e6])
@pytest.mark.parametrize("l1", [0.0, 0.5])
def test_the_step_is_the_minimum_of_what_majorizes(beta, l1, l2):
    """Entry by entry: what Fevotte and Idier put above the divergence at x0, and the penalties, minimized by search."""
    V, W, H = problem()
    objective = BetaDivergence(1.0, 1e-300, beta, 1e-9)
    WH = W @ H
    P, Q = V * WH ** (beta - 2), WH ** (beta - 1)
    found = objective._step(H, W.T @ P, W.T @ Q, Cost(l1, l2))
    for a in range(K):
        for j in range(N):
            x0, p, q = H[a, j], W[:, a] @ P[:, j], W[:, a] @ Q[:, j]

            def above(x, x0=x0, p=p, q=q):
                first = -x0 * p * math.log(x) if beta == 1 else x0**2 * p / x
                return first + (q + l1) * x + l2 / 2 * x**2

            least = minimize_scalar(
                lambda y: above(math.exp(y)), bounds=(-20, 3), method="bounded", options={"xatol": 1e-10}
            )
            assert found[a, j] == pytest.approx(math.exp(least.x), rel=1e-5)


def brute(A, G):
    """The minimizer of x G x / 2 - A x over x >= 0, by every support there is."""
    best, found = 0.0, np.zeros(len(A))
    for size in range(1, len(A) + 1):
        for support in map(list, combinations(range(len(A)), size)):
            x = np.linalg.solve(G[np.ix_(support, support)], A[support])
            value = -0.5 * A[support] @ x
            if (x >= 0).all() and value < best:
                best, found = value, np.zeros(len(A))
                found[support] = x
    return found


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_coordinate_descent_comes_to_the_minimum_on_some_support(dtype):
    V, W, H = problem(dtype, m=20)
    l1, l2 = 0.7, 0.2
    A, G = H @ V.T, H @ H.T + l2 * np.eye(K, dtype=dtype)
    expected = np.stack([brute(a - l1, G.astype(float)) for a in A.T.astype(float)])
    assert 0.1 < (expected == 0).mean() < 0.9, "some entries are zero, some are not"
    precision = 1e-4 if dtype == np.float32 else 1e-8
    np.testing.assert_allclose(exact(W.T, A - dtype(l1), G).T, expected, atol=precision)
    X = W.T
    for _ in range(300):
        X = hals(X, A, G, 10, 1e-12, l1)
    np.testing.assert_allclose(X.T, expected, atol=precision)


@st.composite
def cases(draw):
    m, n = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    V = rng.random((m, n)) * (rng.random((m, n)) < draw(st.sampled_from([0.3, 1.0])))
    V[rng.random(m) < draw(st.sampled_from([0, 0.3]))] = 0
    size = st.sampled_from([0.0, 1e-6, 1e-3, 0.02, 0.3, 1e3])
    solver, divergence = draw(st.sampled_from(WAYS))
    mask = rng.random((m, n)) < 0.7 if solver == "mu" and draw(st.booleans()) else None
    if mask is not None:
        mask[rng.integers(m), rng.integers(n)] = True
    options = {
        "solver": solver,
        "divergence": divergence,
        "l1": (draw(size), draw(size)),
        "l2": (draw(size), draw(size)),
        "inner": draw(st.sampled_from([None, 1])),
        "rng": draw(st.integers(0, 99)),
        "mask": mask,
    }
    return V.astype(draw(st.sampled_from([np.float32, np.float64]))), draw(st.integers(1, min(m, n))), options


@settings(deadline=None, max_examples=200)
@given(cases())
@example((
    np.array([[0.6369617, 0.26978672], [0.04097353, 0.01652764]], np.float32), 2,
    {"solver": "hals", "divergence": "frobenius", "l1": (0.0, 0.0), "l2": (0.001, 0.0), "inner": None, "rng": 0,
     "mask": None},
))  # fmt: skip
def test_what_holds_for_any_penalty(case):
    V, rank, options = case
    l1, l2, divergence = options["l1"], options["l2"], options["divergence"]
    found = factorize(V, rank, max_sweeps=25, tol=0, **options)
    if not any((*l1, *l2)):
        assert all(record.objective is None for record in found.records)
        return
    objectives = [record.objective for record in found.records]
    known = options["mask"]
    seen = np.where(V == 0, V.dtype.type(0.5 / 255), V) if divergence == "is" else V
    size = (seen.astype(float) ** 2).sum() / 2 if divergence == "frobenius" else seen.astype(float).sum()
    rounding = (1e-5 if V.dtype == np.float32 else 1e-12) * max(objectives[0], size if divergence != "is" else V.size)
    assert all(after <= before + rounding for before, after in pairwise(objectives)), "never rises"
    expected = objective_of(seen, found.W, found.H, BETAS[divergence], l1, l2, known)
    assert objectives[-1] == pytest.approx(expected, rel=1e-4, abs=10 * rounding)
    assert found.W.min() >= 0 <= found.H.min()
    if options["inner"] is None:
        again = transform(V, found.H, divergence=divergence, l1=l1, l2=l2, mask=known)
        came = objective_of(seen, again, found.H, BETAS[divergence], l1, l2, known)
        slack = 5e-2 if divergence == "is" else 1e-3  # it has several minima
        assert came <= expected + 1e-6 * size + 10 * rounding + slack * abs(expected), "codes of the same H are as good"


@pytest.mark.parametrize(("solver", "divergence"), WAYS)
@pytest.mark.parametrize("masked", [False, True])
def test_next_to_nothing_is_next_to_no_penalty(solver, divergence, masked):
    V, W, H = problem()
    if masked and solver == "hals":
        return
    options = {"solver": solver, "divergence": divergence, "W": W, "H": H, "max_sweeps": 5, "tol": 0}
    mask = np.random.default_rng(1).random(V.shape) < 0.8 if masked else None
    free, least = factorize(V, K, mask=mask, **options), factorize(V, K, mask=mask, l1=1e-14, l2=1e-14, **options)
    np.testing.assert_allclose(least.W, free.W, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(least.H, free.H, rtol=1e-6, atol=1e-9)
    none = factorize(V, K, mask=mask, l1=0, l2=(0, 0), **options)
    assert (none.W.tobytes(), none.H.tobytes()) == (free.W.tobytes(), free.H.tobytes())
    assert [r.loss for r in none.records] == [r.loss for r in free.records]


@pytest.mark.parametrize(("solver", "divergence"), WAYS)
def test_l1_makes_zeros_and_l2_makes_small(solver, divergence):
    rng = np.random.default_rng(0)
    V = rng.random((60, 4)) @ rng.random((4, 30)) + 0.2 * rng.random((60, 30))
    much = 0.02 if divergence == "frobenius" else 0.3
    fits = [
        factorize(V, 4, solver=solver, divergence=divergence, max_sweeps=400, **penalty)
        for penalty in ({}, {"l1": much}, {"l2": much})
    ]
    free, sparse, small = ((np.mean(f.W / f.W.max() < 1e-6), (f.W**2).mean() * (f.H**2).mean()) for f in fits)
    assert sparse[0] > free[0]
    assert small[1] < free[1]
    assert fits[1].loss > fits[0].loss < fits[2].loss
    gone = factorize(V, 4, solver=solver, divergence=divergence, l1=1e6)
    assert gone.W.max() * gone.H.max() < 1e-3
    assert np.isfinite(gone.records[-1].objective)


@pytest.mark.parametrize(("solver", "divergence"), WAYS)
def test_twice_the_rows_are_the_same_problem(solver, divergence):
    """The penalties weigh m and n times: for V once more below itself the parts and codes stay."""
    V, W, H = problem()
    options = {
        "solver": solver,
        "divergence": divergence,
        "l1": 0.01,
        "l2": 0.02,
        "max_sweeps": 8,
        "tol": 0,
        "inner": 1,
    }
    once = factorize(V, K, W=W, H=H, **options)
    twice = factorize(np.concatenate([V, V]), K, W=np.concatenate([W, W]), H=H, **options)
    np.testing.assert_allclose(twice.H, once.H, rtol=1e-9)
    np.testing.assert_allclose(twice.W, np.concatenate([once.W, once.W]), rtol=1e-9)
    assert twice.records[-1].objective == pytest.approx(2 * once.records[-1].objective)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("l1_ratio", "alpha"), [(1.0, 0.003), (0.0, 0.01), (0.5, 0.003)])
def test_scikit_learn_finds_nothing_lower_from_here_and_the_other_way_round(seed, l1_ratio, alpha):
    rng = np.random.default_rng(seed)
    V = rng.random((50, 5)) @ rng.random((5, 30)) + 0.05 * rng.random((50, 30))
    W, H = rng.random((50, 5)), rng.random((5, 30))
    l1, l2 = (alpha * l1_ratio,) * 2, (alpha * (1 - l1_ratio),) * 2

    def ours(W, H):
        return factorize(V, 5, solver="hals", W=W, H=H, max_sweeps=3000, tol=1e-11, l1=l1, l2=l2)

    def theirs(W, H):
        start = {"W": W.copy(), "H": H.copy(), "init": "custom", "n_components": 5}
        found = non_negative_factorization(V, **start, alpha_W=alpha, l1_ratio=l1_ratio, max_iter=3000, tol=1e-9)
        return found[:2], objective_of(V, *found[:2], 2, l1, l2)

    found = ours(W, H)
    assert found.records[-1].objective == pytest.approx(objective_of(V, found.W, found.H, 2, l1, l2), rel=1e-9)
    assert theirs(found.W, found.H)[1] == pytest.approx(found.records[-1].objective, rel=1e-5)
    factors, there = theirs(W, H)
    assert ours(*factors).records[-1].objective == pytest.approx(there, rel=1e-5)
    assert found.records[-1].objective == pytest.approx(there, rel=0.05), "minima differ by the way that led there"


@pytest.mark.parametrize("solver", ["mu", "hals"])
def test_the_best_of_several_starts_has_the_lowest_objective(solver):
    V = problem(m=30, n=20)[0]
    options = {"solver": solver, "l1": 0.02, "max_sweeps": 15, "tol": 0}
    each = [factorize(V, 4, rng=np.random.default_rng([0, r] if r else 0), **options) for r in range(6)]
    best = factorize(V, 4, restarts=6, **options)
    assert best.records[-1].objective == min(one.records[-1].objective for one in each)
    assert best.loss > min(one.loss for one in each), "which here is not the one of the lowest loss"


@pytest.mark.parametrize(("solver", "divergence"), WAYS)
def test_a_run_that_goes_on_ends_with_the_same_bytes(solver, divergence):
    V = problem(m=30, n=20)[0]
    options = {"solver": solver, "divergence": divergence, "l1": (0.01, 0.002), "l2": 0.003, "tol": 0}
    kept = []

    def keep(take, last):
        if len(kept) < 5:
            kept.append(unpack({name: np.array(array) for name, array in pack(take()).items()}))

    whole = factorize(V, 4, max_sweeps=12, on_checkpoint=keep, **options)
    again = factorize(V, 4, max_sweeps=12, resume=kept[-1], **options)
    assert (again.W.tobytes(), again.H.tobytes()) == (whole.W.tobytes(), whole.H.tobytes())
    assert [r.objective for r in again.records] == [r.objective for r in whole.records]
    with pytest.raises(OtherRun, match=r"l1 \(0.01, 0.002\), this one has \(0.01, 0.01\)"):
        factorize(V, 4, max_sweeps=12, resume=kept[-1], **options | {"l1": 0.01})


def test_on_a_sample_penalties_count_too():
    rng = np.random.default_rng(0)
    V = (rng.random((12_000, 4)) @ (rng.random((4, 16)) * (rng.random((4, 16)) < 0.5))).astype(np.float32)
    found = factorize(V, 4, init="sample", l1=0.02, max_sweeps=1)
    free = factorize(V, 4, init="sample", max_sweeps=1)
    settled = factorize(V, 4, init="random", solver="hals", l1=0.02, max_sweeps=300)
    ahead = found.records[-1].objective - settled.records[-1].objective
    behind = objective_of(V, free.W, free.H, 2, (0.02, 0.02), (0, 0)) - settled.records[-1].objective
    assert ahead < 0.5 * behind


@pytest.mark.parametrize(
    "wrong", [-1, float("nan"), float("inf"), "much", None, True, (1,), (1, 2, 3), (1, -1), (0, "x"), 1e16, [[0, 0]]]
)
def test_penalties_out_of_range_are_refused(wrong):
    for name in ("l1", "l2"):
        with pytest.raises(UsageError, match=f"^{name} is .*expected a number from 0"):
            factorize(np.ones((4, 3)), 2, **{name: wrong})
        with pytest.raises(UsageError, match=f"^{name} is "):
            transform(np.ones((4, 3)), np.ones((2, 3)), **{name: wrong})
    with pytest.raises(UsageError, match=r"^l2 is "):
        Fit(3, l2=wrong)


def test_settings_say_what_there_is():
    assert Fit(3).penalties == {}
    assert Fit(3, l1=(0.5, 0.5), l2=(0, 1e-3)).penalties == {"l1": "0.5", "l2": "0,0.001"}
    assert Fit(3, l1=[0.5, 0]) == Fit(3, l1=(0.5, 0.0)), "as JSON has it"


def test_a_row_of_which_nothing_is_known_costs_nothing():
    """Of float32 denominators that are 0 NumPy 1.26 made 0 / 0."""
    V, known = np.array([[0.5], [0.0]], np.float32), np.array([[False], [True]])
    found = factorize(V, 1, divergence="kl", l2=(1e-6, 0.0), mask=known, max_sweeps=5, tol=0, rng=0)
    assert np.isfinite(found.W).all()
    assert found.loss < 1e-9
