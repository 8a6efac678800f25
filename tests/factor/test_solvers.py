"""The update rules against plain double loops, SciPy and scikit-learn."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls
from sklearn.decomposition import non_negative_factorization

from nmfcompress.factor import factorize
from nmfcompress.factor.solvers import _solved, exact, exact_near, hals, mu

RELATIVE = {np.float32: 1e-5, np.float64: 1e-10}
BETAS = {"frobenius": 2, "kl": 1, "is": 0}
M, N, K = 9, 7, 3


def problem(dtype, seed=0, m=M, n=N, k=K):
    """V, and a start; nothing near zero, so that no floor takes part."""
    rng = np.random.default_rng(seed)
    return tuple(rng.uniform(0.1, 1, shape).astype(dtype) for shape in ((m, n), (m, k), (k, n)))


# The reference: formulas of the papers, entry by entry, in plain Python floats


def plain_products(X, Y):
    return [[sum(X[i][a] * Y[a][j] for a in range(len(Y))) for j in range(len(Y[0]))] for i in range(len(X))]


def plain_update(V, W, H, beta, known):
    """H with every entry multiplied by (sum_i W V (WH)^(beta-2) / sum_i W (WH)^(beta-1))^gamma."""
    WH = plain_products(W, H)
    gamma = 0.5 if beta == 0 else 1.0
    new = [list(row) for row in H]
    for a in range(len(H)):
        for j in range(len(H[0])):
            above = below = 0.0
            for i in range(len(V)):
                if known[i][j]:
                    above += W[i][a] * V[i][j] * WH[i][j] ** (beta - 2)
                    below += W[i][a] * WH[i][j] ** (beta - 1)
            new[a][j] = H[a][j] * (above / below) ** gamma
    return new


def transposed(X):
    return [list(column) for column in zip(*X, strict=True)]


def plain_sweeps(V, W, H, beta=2, known=None, sweeps=1):
    """H first, then W."""
    V, W, H = V.tolist(), W.tolist(), H.tolist()
    known = [[True] * len(V[0])] * len(V) if known is None else known.tolist()
    for _ in range(sweeps):
        H = plain_update(V, W, H, beta, known)
        W = transposed(plain_update(transposed(V), transposed(H), transposed(W), beta, transposed(known)))
    return np.array(W), np.array(H)


def assert_close(found, expected, relative):
    np.testing.assert_allclose(found.astype(np.float64), expected, rtol=relative, atol=0)


@pytest.mark.parametrize("dtype", RELATIVE)
def test_one_plain_step_is_the_double_loop(dtype):
    V, W, H = problem(dtype)
    found = mu(W.T, H @ V.T, H @ H.T, 1, 1e-12).T
    expected = transposed(plain_update(V.T.tolist(), H.T.tolist(), W.T.tolist(), 2, np.ones((N, M), bool).tolist()))
    assert found.dtype == dtype
    assert_close(found, expected, RELATIVE[dtype])


@pytest.mark.parametrize("dtype", RELATIVE)
def test_repeats_of_the_step_are_as_many_single_ones_until_they_are_small(dtype):
    V, W, H = problem(dtype)
    W, A, G = W.T.copy(), H @ V.T, H @ H.T
    steps = [W]
    while len(steps) < 40:
        steps.append(mu(steps[-1], A, G, 1, 1e-12))
    moves = [np.linalg.norm(b - a) for a, b in pairwise(steps)]
    enough = next(i for i, move in enumerate(moves) if move <= 0.1 * moves[0]) + 1
    for repeats in (2, 3, 40):
        np.testing.assert_allclose(mu(W, A, G, repeats, 1e-12), steps[min(repeats, enough)], rtol=RELATIVE[dtype])


@pytest.mark.parametrize("repeats", [1, 5])
def test_a_step_does_not_write_into_what_it_is_given(repeats):
    V, W, H = problem(np.float64)
    W, A, G = W.T.copy(), H @ V.T, H @ H.T
    given = [x.copy() for x in (W, A, G)]
    mu(W, A, G, repeats, 1e-12)
    hals(W, A, G, repeats, 1e-12)
    exact(W, A, G)
    for before, after in zip(given, (W, A, G), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("sweeps", [1, 5])
@pytest.mark.parametrize("divergence", BETAS)
@pytest.mark.parametrize("dtype", RELATIVE)
def test_plain_sweeps_are_the_double_loop(dtype, divergence, sweeps, masked, rng):
    V, W, H = problem(dtype)
    known = rng.random(V.shape) > 0.2 if masked else None
    found = factorize(V, K, divergence=divergence, inner=1, max_sweeps=sweeps, tol=0, W=W, H=H, mask=known)
    expected = plain_sweeps(V, W, H, BETAS[divergence], known, sweeps)
    for mine, plain in zip((found.W, found.H), expected, strict=True):
        assert mine.dtype == dtype
        assert_close(mine, plain, RELATIVE[dtype] * sweeps)


def test_plain_sweeps_over_many_blocks_are_the_double_loop(monkeypatch):
    monkeypatch.setattr("nmfcompress.factor.blocks.BLOCK_BYTES", 2 * N * 8)
    V, W, H = problem(np.float64)
    found = factorize(V, K, inner=1, max_sweeps=3, tol=0, W=W, H=H, jobs=3)
    for mine, plain in zip((found.W, found.H), plain_sweeps(V, W, H, sweeps=3), strict=True):
        assert_close(mine, plain, 1e-10)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_zeros_count_as_half_a_grey_level_under_itakura_saito(dtype):
    top = np.iinfo(dtype).max
    V = np.random.default_rng(1).integers(0, 3, (M, N)).astype(dtype)
    _, W, H = problem(np.float64)
    found = factorize(V, K, divergence="is", inner=1, max_sweeps=1, tol=0, W=W, H=H)
    expected = plain_sweeps(np.maximum(V / top, 0.5 / top), W, H, beta=0)
    for mine, plain in zip((found.W, found.H), expected, strict=True):
        assert_close(mine, plain, 1e-5)


@pytest.mark.parametrize("divergence", BETAS)
@pytest.mark.parametrize("sweeps", [1, 20])
def test_scikit_learn_does_the_same_on_the_transposed_problem(divergence, sweeps):
    """It updates W first, so its W is our H."""
    V, W, H = problem(np.float64, m=20, n=15)
    found = factorize(V, K, divergence=divergence, inner=1, max_sweeps=sweeps, tol=0, W=W, H=H)
    loss = {"frobenius": "frobenius", "kl": "kullback-leibler", "is": "itakura-saito"}[divergence]
    theirs = non_negative_factorization(
        np.ascontiguousarray(V.T), np.ascontiguousarray(H.T), np.ascontiguousarray(W.T), n_components=K,
        init="custom", solver="mu", beta_loss=loss, max_iter=sweeps, tol=0,
    )  # fmt: skip
    np.testing.assert_allclose(found.H, theirs[0].T, rtol=1e-8)
    np.testing.assert_allclose(found.W, theirs[1].T, rtol=1e-8)


# The exact solver


SIDES = st.integers(1, 8)


@settings(deadline=None, max_examples=60)
@given(SIDES, SIDES, st.booleans(), st.floats(0, 0.8), st.integers(0, 2**16))
def test_exact_is_scipys_nnls_row_by_row(m, k, wide, zeros, seed):
    """Few rounds settle 2 k or more columns; with only k of them the Gram matrix can be nearly singular."""
    rng = np.random.default_rng(seed)
    n = 2 * k + 2 if wide else k
    V, H = rng.random((m, n)), rng.random((k, n)) * (rng.random((k, n)) >= zeros)
    V[rng.random(m) < 0.2] = 0
    assert_least(V, exact(rng.random((k, m)), H @ V.T, H @ H.T).T, H, 1e-7 if wide else 2e-3)


def assert_least(V, W, H, slack):
    assert W.min() >= 0
    for row, codes in zip(V, W, strict=True):
        assert np.sum((row - codes @ H) ** 2) <= nnls(H.T, row)[1] ** 2 + slack * np.sum(row**2)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 4), SIDES, SIDES, st.booleans(), st.floats(0, 0.8), st.booleans(), st.integers(0, 2**16))
def test_exact_near_is_scipys_nnls_for_each_problem(problems, m, k, wide, zeros, near, seed):
    """Whether or not it begins near to the minimizers; parts may be empty, rows zero."""
    rng = np.random.default_rng(seed)
    n = 2 * k + 2 if wide else k
    V, H = rng.random((m, n)), rng.random((problems, k, n)) * (rng.random((problems, k, n)) >= zeros)
    V[rng.random(m) < 0.2] = 0
    W = rng.random((problems, k, m)) * (rng.random((problems, k, m)) < 0.7)
    if near:
        W = np.array([[nnls(parts.T, row)[0] for row in V] for parts in H]).swapaxes(1, 2) * rng.uniform(0.9, 1.1)
    found = exact_near(W, H @ V.T, H @ H.swapaxes(1, 2))
    assert found.shape == (problems, k, m)
    for parts, codes in zip(H, found, strict=True):
        assert_least(V, codes.T, parts, 1e-7 if wide else 2e-3)


@settings(deadline=None, max_examples=60)
@given(SIDES, st.integers(1, 5), st.integers(0, 4), st.booleans(), st.integers(0, 2**16))
def test_parts_of_any_size_have_the_codes_that_they_have_at_one(m, k, digits, near, seed):
    """None drowns in the rounding of another: codes times parts are what they are with parts of norm 1."""
    rng = np.random.default_rng(seed)
    H, V = rng.random((k, 2 * k + 2)), rng.random((m, 2 * k + 2))
    sizes = 10.0 ** rng.integers(-digits, digits + 1, (k, 1))
    W = np.array([nnls(H.T, row)[0] for row in V]).T * rng.uniform(0.9, 1.1) if near else rng.random((k, m))
    scaled = sizes * H
    for found in (exact(W / sizes, scaled @ V.T, scaled @ scaled.T),
                  exact_near((W / sizes)[None], (scaled @ V.T)[None], (scaled @ scaled.T)[None])[0]):  # fmt: skip
        assert_least(V, (found * sizes).T, H, 1e-7)


def test_a_system_without_a_solution_costs_no_other(rng):
    systems, sides = rng.random((5, 3, 3)) + 3 * np.eye(3), rng.random((5, 3, 1))
    expected = np.linalg.solve(systems, sides)
    systems[[1, 3]], expected[[1, 3]] = 0, 0
    np.testing.assert_array_equal(_solved(systems, sides), expected)


def test_exact_near_leaves_the_codes_of_empty_parts(rng):
    H, W = rng.random((2, 3, 9)), rng.random((2, 3, 5))
    H[1, 0] = 0
    found = exact_near(W, H @ rng.random((9, 5)), H @ H.swapaxes(1, 2))
    np.testing.assert_array_equal(found[1, 0], W[1, 0])
    assert (found[0, 0] != W[0, 0]).all()


def test_exact_gives_the_codes_themselves_where_they_are_unique(rng):
    H = rng.random((6, 40))
    V = rng.random((30, 6)) * (rng.random((30, 6)) < 0.5) @ H + 0.3 * rng.random((30, 40))
    expected = np.array([nnls(H.T, row)[0] for row in V])
    found = exact(np.ones((6, 30)), H @ V.T, H @ H.T).T
    np.testing.assert_allclose(found, expected, atol=1e-4 * expected.max())
    assert (expected == 0).any(), "a test without a constraint that binds"
    np.testing.assert_array_equal(found[expected == 0], 0)


def test_exact_with_equal_and_empty_parts(rng):
    """A rank-deficient Gram matrix: any minimizer is right, a part of zeros keeps its codes."""
    part, other = rng.random(10), rng.random(10)
    H = np.stack([part, part, np.zeros(10), other])
    V = rng.random((5, 10))
    start = rng.random((5, 4))
    found = exact(start.T, H @ V.T, H @ H.T).T
    best = [nnls(H.T, row)[1] for row in V]
    np.testing.assert_allclose(np.linalg.norm(V - found @ H, axis=1), best, rtol=1e-6)
    np.testing.assert_array_equal(found[:, 2], start[:, 2])


@pytest.mark.parametrize("dtype", RELATIVE)
def test_exact_gives_all_zero_rows_zero_codes(dtype, rng):
    """Not what 1,000 rounds towards zero would leave, which can be denormal."""
    H = (1 + 0.01 * rng.random((5, 30))).astype(dtype)
    V = rng.random((4, 30)).astype(dtype)
    V[1:3] = 0
    found = exact(np.ones((5, 4), dtype), H @ V.T, H @ H.T).T
    assert not found[1:3].any()
    assert found[[0, 3]].any(axis=1).all()
