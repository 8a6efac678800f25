"""Integer codes: what a sweep, a greedy start and a pass promise."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmfcompress.codec import integer
from nmfcompress.codec.integer import LARGEST, Fit, Parts, Seeker, blocks_of, descended, refitted, revived, seek
from nmfcompress.codec.tone import Curve, CurveFit, places_of


def each(work, items: Iterable[slice]) -> Iterator:
    return map(work, items)


def some_parts(k: int, pixels: int, rng: np.random.Generator, dead: bool = False) -> Parts:
    H = (rng.random((k, pixels)) ** 4 * rng.uniform(30, 200, (k, 1))).astype(np.float32)
    if dead:
        H[k // 2] = 0
    rates = np.zeros((k, LARGEST + 1), np.float32)
    rates[:, 1:] = rng.uniform(0.5, 8, (k, 1)) + rng.uniform(0.5, 2, (k, 1)) * np.arange(LARGEST)
    return Parts(H, Curve.first(), rates)


def objective(T: np.ndarray, Q: np.ndarray, parts: Parts, price: float) -> float:
    """||T - Q H||^2 + price * bits(Q), term by term."""
    squares = np.square(T - Q.T.astype(float) @ parts.H.astype(float)).sum()
    return float(squares + price * parts.rates[np.arange(len(Q))[:, None], Q].sum(dtype=float))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(1, 60), st.floats(1, 5000), st.booleans())
def test_a_sweep_never_raises_the_objective(seed: int, k: int, n: int, price: float, dead: bool) -> None:
    rng = np.random.default_rng(seed)
    parts = some_parts(k, 20, rng, dead)
    truth = (rng.random((k, n)) < 0.3) * rng.integers(1, 4, (k, n))
    T = truth.T @ parts.H + rng.normal(0, 10, (n, 20))
    Q = rng.integers(0, 3, (k, n)).astype(np.int16)
    seeker = Seeker(parts, price)
    before = objective(T, Q, parts, price)
    for _ in range(20):
        C = ((T - Q.T @ parts.H) @ parts.H.T).astype(np.float32)
        changed = seeker._sweep(Q, C)
        after = objective(T, Q, parts, price)
        assert after <= before * (1 + 1e-5) + 1e-2
        np.testing.assert_allclose(C, (T - Q.T @ parts.H) @ parts.H.T, rtol=1e-3, atol=2)
        before = after
        if not changed:
            break
    assert Q.min() >= 0
    # where it stops, no single code could be better as any that is tried: nothing, the nearest whole one and beside it
    for j in np.flatnonzero(parts.H.any(axis=1)):
        h, missing = parts.H[j].astype(float), T - Q.T @ parts.H.astype(float)
        nearest = np.clip(np.rint(Q[j] + missing @ h / (h @ h)), 0, LARGEST).astype(np.int64)
        kept = np.square(missing).sum(axis=1) + price * parts.rates[j, Q[j]]
        for tried in (np.zeros(n, np.int64), np.maximum(nearest - 1, 0), nearest, np.minimum(nearest + 1, LARGEST)):
            left = np.square(missing + np.outer(Q[j] - tried, h)).sum(axis=1) + price * parts.rates[j, tried]
            assert (left >= kept * (1 - 1e-5) - 1e-2).all()


@pytest.mark.parametrize("price", [0.0, 100.0, 1e9])
def test_a_greedy_start_is_better_than_none(price: float, rng: np.random.Generator) -> None:
    parts = some_parts(6, 30, rng)
    T = ((rng.random((6, 50)) < 0.3) * 2).T @ parts.H
    Q = np.ascontiguousarray(Seeker(parts, price)._greedy((T @ parts.H.T).astype(np.float32)).T)
    assert objective(T, Q, parts, price) <= objective(T, np.zeros_like(Q), parts, price)
    assert Q.any() == (price < 1e9)


def test_codes_end_where_they_may_not_go_on(rng: np.random.Generator) -> None:
    parts = Parts(np.full((1, 4), 0.1, np.float32), Curve.first(), np.zeros((1, LARGEST + 1), np.float32))
    V = np.full((3, 4), 255, np.float32)
    codes = Seeker(parts, 0.0).codes(V, None, 2)
    assert codes.max() <= LARGEST


def test_without_a_price_codes_of_separate_parts_are_the_best_there_are(rng: np.random.Generator) -> None:
    H = np.kron(np.eye(4), np.ones((1, 5))).astype(np.float32) * 20
    parts = Parts(
        H, Curve(np.rint(np.clip(8 * np.arange(81), 0, 255) * 256).astype(np.int64)), some_parts(4, 1, rng).rates
    )
    truth = rng.integers(0, 12, (4, 30))
    V = np.clip(truth.T @ H, 0, 255).astype(np.float32)
    np.testing.assert_array_equal(Seeker(parts, 0.0).codes(V, None, 4), truth)


def test_codes_given_are_made_better_not_worse(rng: np.random.Generator) -> None:
    parts = some_parts(5, 30, rng)
    V = np.clip(((rng.random((5, 80)) < 0.4) * 2).T @ parts.H - 64, 0, 255).astype(np.float32)
    seeker = Seeker(parts, 50.0)
    first = seeker.codes(V, np.zeros((5, 80), np.int16), 1)
    errors = []
    for _ in range(4):
        errors.append(np.square(V - seeker.grey(first.T.astype(np.float32) @ parts.H)).sum())
        first = seeker.codes(V, first, 2)
    assert errors[-1] <= errors[0] * 1.01


def test_a_pass_adds_up_what_it_says(rng: np.random.Generator) -> None:
    parts, n = some_parts(5, 16, rng), 4500
    V = np.clip(((rng.random((5, n)) < 0.4) * 1).T @ parts.H - 64, 0, 255).astype(np.float32)
    Q = np.zeros((5, n), np.uint8)
    seeker = Seeker(parts, 30.0)
    fit = seek(lambda rows: V[rows], Q, seeker, each, fresh=True, bend=True)
    codes = Q.astype(float)
    np.testing.assert_allclose(fit.gram, codes @ codes.T)
    np.testing.assert_array_equal(fit.counts, [np.bincount(row, minlength=LARGEST + 1) for row in Q])
    X = Q.T.astype(np.float32) @ parts.H
    assert fit.mse == pytest.approx(float(np.square(V - seeker.grey(X), dtype=float).mean()), rel=1e-5)
    whole = CurveFit()
    whole.add(places_of(X), V)
    assert fit.curve is not None
    np.testing.assert_array_equal(whole.curve().nodes, fit.curve.curve().nodes)
    assert seek(lambda rows: V[rows], Q, seeker, each, fresh=False).curve is None


def test_rates_and_bits_are_entropies(rng: np.random.Generator) -> None:
    counts = np.zeros((2, LARGEST + 1))
    counts[0, :3], counts[1, 0] = (70, 20, 10), 100
    fit = Fit(np.zeros((2, 2)), counts, None)
    assert fit.bits() == pytest.approx(-sum(c * math.log2(c / 100) for c in (70, 20, 10)))
    rates = fit.rates()
    assert (rates[:, 0] == 0).all()
    assert rates[0, 1] == pytest.approx(math.log2(70 / 20), abs=0.1)
    assert (np.diff(rates[0, 2:41]) > 0).all()
    assert np.isfinite(rates).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 7))
def test_a_pass_of_hals_lowers_the_squares(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    Q = ((rng.random((k, 60)) < 0.4) * rng.integers(1, 4, (k, 60))).astype(float)
    if k > 2:
        Q[1] = 0
    T = rng.normal(50, 60, (60, 12))
    H = rng.random((k, 12)) * 100
    squares = []
    for _ in range(5):
        squares.append(np.square(T - Q.T @ H).sum())
        before, H = H, descended(H, Q @ Q.T, Q @ T)
        assert (H >= 0).all()
        np.testing.assert_array_equal(H[~Q.any(axis=1)], before[~Q.any(axis=1)])
    assert (np.diff(squares) <= 1e-6 * squares[0]).all()


def test_parts_that_are_refitted_fit_better(rng: np.random.Generator) -> None:
    parts = some_parts(4, 25, rng)
    V = np.clip(((rng.random((4, 300)) < 0.5) * 1).T @ some_parts(4, 25, rng).H, 0, 255).astype(np.float32)
    seeker = Seeker(parts, 10.0, straight=True)
    Q = np.zeros((4, 300), np.uint8)
    fit = seek(lambda rows: V[rows], Q, seeker, each, fresh=True)
    H = refitted(seeker, fit.gram, lambda rows: V[rows], Q, each)
    assert H.dtype == np.float32
    assert (H >= 0).all()
    target = Q.T @ parts.H.astype(float) + seeker.missing(V, Q)
    assert np.square(target - Q.T @ H).sum() < np.square(target - Q.T @ parts.H).sum()


def test_parts_that_nothing_uses_begin_anew(rng: np.random.Generator) -> None:
    parts = some_parts(4, 25, rng)
    V = np.clip(rng.random((100, 25)) * 255, 0, 255).astype(np.float32)
    Q = rng.integers(0, 2, (4, 100)).astype(np.uint8)
    Q[2] = 0
    fit = Fit(np.zeros((4, 4)), np.array([np.bincount(row, minlength=LARGEST + 1) for row in Q]), None)
    price = 100.0
    found = revived(parts, fit, lambda rows: V[rows], Q, price, rng)
    np.testing.assert_array_equal(found.H[[0, 1, 3]], parts.H[[0, 1, 3]])
    assert np.linalg.norm(found.H[2]) == pytest.approx(math.sqrt(price / integer.STEP_OF_PRICE), rel=1e-4)
    alive = Fit(fit.gram, fit.counts + 5, None)
    assert revived(parts, alive, lambda rows: V[rows], Q, price, rng) is parts


@pytest.mark.parametrize("n", [0, 1, 1999, 2000, 2001, 10_000])
def test_blocks_hold_every_picture_once(n: int) -> None:
    assert [i for rows in blocks_of(n) for i in range(rows.start, rows.stop)] == list(range(n))
    assert all(rows.stop - rows.start <= integer.BLOCK for rows in blocks_of(n))


def test_first_parts_have_the_step_that_the_price_is_for(rng: np.random.Generator) -> None:
    V = rng.random((50, 30), dtype=np.float32) * 255
    parts = integer.first_parts(V, 6, 400.0, 0)
    norms = np.linalg.norm(parts.H, axis=1)
    np.testing.assert_allclose(norms[norms > 0], math.sqrt(400.0 / integer.STEP_OF_PRICE), rtol=1e-4)
    assert (parts.H >= 0).all()
    assert len(integer.first_parts(V[:3], 6, 400.0, 0).H) == 3
    assert np.isfinite(integer.first_parts(np.zeros((9, 9), np.float32), 4, 1.0, 0).H).all()
