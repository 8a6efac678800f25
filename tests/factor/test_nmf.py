"""factorize(), transform() and svd_floor: properties that must hold for any V."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls
from sklearn.decomposition._nmf import _initialize_nmf

from nmfcompress.errors import InputError, UsageError
from nmfcompress.factor import factorize, nmf, start, transform
from nmfcompress.factor.beta import CODE_TOL
from nmfcompress.factor.blocks import as_blocks
from nmfcompress.factor.nmf import best_rank_loss, factorize_as
from nmfcompress.settings import Fit

DIVERGENCES = ("frobenius", "kl", "is")
LEVELS = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}


# References: V as 0..1, and the loss of two factors, in float64


def unit(V):
    return V.astype(np.float64) / LEVELS.get(V.dtype, 1)


def seen(V, divergence):
    """V as the divergence sees it: under Itakura-Saito zeros count as half a grey level."""
    return np.where(V == 0, 0.5 / LEVELS.get(V.dtype, 255), unit(V)) if divergence == "is" else unit(V)


def loss_of(V, W, H, divergence="frobenius", mask=True):
    V, WH = seen(V, divergence), W.astype(np.float64) @ H.astype(np.float64)
    if divergence == "frobenius":
        return np.sqrt(np.sum((V - WH) ** 2, where=mask))
    over = (V - WH) / WH  # differences first: near an exact fit the terms of the usual formulas cancel
    logs = np.log1p(over, where=V > 0, out=np.zeros(V.shape))
    return np.sum(over - logs if divergence == "is" else WH * ((1 + over) * logs - over), where=mask)


def root(loss, divergence):
    """The loss as a length, in which rounding of W and H moves it by about eps * `size_of`."""
    return loss if divergence == "frobenius" else np.sqrt(loss)


def size_of(V, divergence, mask=True):
    V = seen(V, divergence)
    terms = {"frobenius": V * V, "kl": V, "is": np.ones(V.shape)}[divergence]
    return np.sqrt(np.sum(terms, where=mask))


def planted(m, n, k, dtype=np.float64, seed=0):
    """V of rank k whose parts overlap little, so that they can be told apart."""
    rng = np.random.default_rng(seed)
    W, H = (rng.random(shape) * (rng.random(shape) < 0.4) for shape in ((m, k), (k, n)))
    return (W @ H).astype(dtype)


@dataclass(frozen=True)
class Case:
    V: np.ndarray
    rank: int
    mask: np.ndarray | None
    options: dict


@st.composite
def cases(draw):
    m, n = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    rank = draw(st.integers(1, min(m, n)))
    dtype = np.dtype(draw(st.sampled_from(["uint8", "uint16", "float32", "float64"])))
    seed = draw(st.integers(0, 2**16))
    rng = np.random.default_rng(seed)
    kind = draw(st.sampled_from(["noise", "planted", "constant", "sparse"]))
    V = {
        "noise": rng.random((m, n)),
        "planted": rng.random((m, rank)) @ rng.random((rank, n)) / rank,
        "constant": np.full((m, n), rng.random()),
        "sparse": rng.random((m, n)) * (rng.random((m, n)) < 0.3),
    }[kind]
    V[rng.random(m) < draw(st.sampled_from([0, 0.3]))] = 0
    V[:, rng.random(n) < draw(st.sampled_from([0, 0.3]))] = 0
    V = np.rint(V * LEVELS[dtype]).astype(dtype) if dtype in LEVELS else V.astype(dtype)
    mask = rng.random((m, n)) < 0.7 if draw(st.booleans()) else None
    if mask is not None:
        mask[rng.integers(m), rng.integers(n)] = True
    options = {
        "divergence": draw(st.sampled_from(DIVERGENCES)),
        "init": draw(st.sampled_from(["random", "nndsvda"])),
        "inner": draw(st.sampled_from([None, 1])),
        "rng": seed,
        "max_sweeps": draw(st.integers(1, 25)),
        "tol": draw(st.sampled_from([0, 1e-4])),
    }
    if options["divergence"] == "frobenius" and mask is None:
        options["solver"] = draw(st.sampled_from(["mu", "hals"]))
    return Case(V, rank, mask, options)


@settings(deadline=None, max_examples=250)
@given(cases())
def test_what_holds_for_any_matrix(case):
    V, divergence = case.V, case.options["divergence"]
    before = V.copy()
    found = factorize(V, case.rank, mask=case.mask, **case.options)
    W, H, records = found.W, found.H, found.records
    known = True if case.mask is None else case.mask
    np.testing.assert_array_equal(V, before)

    assert W.shape == (len(V), case.rank)
    assert H.shape == (case.rank, V.shape[1])
    assert W.dtype == H.dtype == (np.float64 if V.dtype == np.float64 else np.float32)
    for array in (W, H, W @ H):
        assert np.isfinite(array).all()
        assert ((array == 0) | (array >= np.finfo(array.dtype).tiny)).all(), "negative or denormal"

    assert [r.sweep for r in records] == list(range(1, len(records) + 1))
    assert np.all(np.diff([r.seconds for r in records]) >= 0)
    noise = 128 * np.finfo(W.dtype).eps * size_of(V, divergence, known) + 1e-20
    roots = [root(r.loss, divergence) for r in records]
    # Newton's last step was below CODE_TOL, and what is left is about its square: exact factors are not kept to the bit
    settled = 0.0 if divergence == "frobenius" else 16 * CODE_TOL**2 * size_of(V, divergence, known)
    for earlier, later in pairwise(roots):
        assert later <= earlier * (1 + 1e-6) + noise + settled

    recomputed = loss_of(V, W, H, divergence, known)
    np.testing.assert_allclose(roots[-1], root(max(recomputed, 0), divergence), rtol=2e-5, atol=noise)
    norm = np.sqrt(np.sum(unit(V) ** 2, where=known))
    residual = np.sqrt(np.sum((seen(V, divergence) - W.astype(np.float64) @ H) ** 2, where=known))
    relative = residual / norm if norm else 0
    np.testing.assert_allclose(found.relative_loss, relative, rtol=2e-5, atol=noise / (norm or 1))
    if divergence == "frobenius" and case.mask is None:
        assert best_rank_loss(V, case.rank) <= found.loss * (1 + 2e-5) + noise + 1e-7 * norm


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_planted_product_is_recovered(divergence, dtype):
    V = planted(40, 30, 3, dtype) + (0.01 if divergence == "is" else 0)
    found = factorize(V.astype(dtype), 3 + (divergence == "is"), divergence=divergence, max_sweeps=1500, tol=0)
    assert found.relative_loss < 2e-3
    losses = np.array([r.loss for r in found.records])
    assert losses[-1] < 0.01 * losses[0]


def test_the_planted_parts_themselves_are_recovered():
    """They touch no common pixel, which makes them unique up to order and scale."""
    rng = np.random.default_rng(0)
    H = np.kron(np.eye(4), np.ones(6)) * rng.uniform(0.5, 1, 24)
    V = rng.random((50, 4)) @ H
    found = factorize(V, 4, max_sweeps=2000, tol=1e-9).H
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    H /= np.linalg.norm(H, axis=1, keepdims=True)
    np.testing.assert_allclose(np.sort((found @ H.T).ravel())[-4:], 1, atol=2e-3)


@pytest.mark.parametrize(("m", "n"), [(1, 1), (1, 9), (9, 1), (6, 6), (5, 9), (9, 5)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_full_rank_comes_near_an_exact_fit(m, n, dtype, rng):
    V = rng.random((m, n)).astype(dtype)
    found = factorize(V, min(m, n), max_sweeps=500, tol=0)
    assert found.relative_loss < (1e-6 if min(m, n) == 1 else 0.05)
    noise = 128 * np.finfo(dtype).eps * size_of(V, "frobenius")
    np.testing.assert_allclose(found.loss, loss_of(V, found.W, found.H), rtol=1e-4, atol=noise)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_loss_of_a_fit_that_is_exact_at_once_is_no_rounding_noise(dtype, rng):
    """The shortcut for the loss cancels: ||V||^2 * eps would give 3e-4 of ||V|| in float32."""
    V = np.outer(rng.random(20), rng.random(30)).astype(dtype)
    for sweeps in (1, 2, 5):
        assert factorize(V, 1, max_sweeps=sweeps, tol=0).relative_loss < 4 * np.finfo(dtype).eps


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("inner", [None, 1])
def test_all_black(divergence, dtype, inner):
    found = factorize(np.zeros((6, 5), dtype), 2, divergence=divergence, inner=inner)
    assert found.relative_loss == 0
    assert found.loss == pytest.approx(0, abs=1e-12)
    assert np.isfinite(found.W).all()
    assert np.isfinite(found.H).all()
    if divergence == "frobenius" and inner is None:
        assert found.loss == 0


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("level", [1, 255])
def test_a_constant_is_fitted_at_once(divergence, level):
    found = factorize(np.full((7, 9), level, np.uint8), 1, divergence=divergence)
    np.testing.assert_allclose(found.W @ found.H, level / 255, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("divergence", ["frobenius", "kl"])
def test_integers_are_the_floats_they_stand_for(dtype, divergence, rng):
    V = rng.integers(0, np.iinfo(dtype).max, (30, 20), endpoint=True).astype(dtype)
    integers = factorize(V, 4, divergence=divergence, max_sweeps=20)
    floats = factorize(unit(V).astype(np.float32), 4, divergence=divergence, max_sweeps=20)
    np.testing.assert_allclose(integers.loss, floats.loss, rtol=1e-5)
    np.testing.assert_allclose(integers.W @ integers.H, floats.W @ floats.H, atol=1e-4)


def test_half_floats_give_single_ones(rng):
    V = rng.random((8, 7)).astype(np.float16)
    found = factorize(V, 2)
    assert found.W.dtype == found.H.dtype == np.float32
    np.testing.assert_array_equal(found.W, factorize(V.astype(np.float32), 2).W)


@pytest.mark.parametrize("scale", [2.0**-40, 2.0**40])
@pytest.mark.parametrize("divergence", ["frobenius", "kl"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_unit_of_the_values_does_not_matter(scale, divergence, dtype, rng):
    V = rng.random((12, 10)).astype(dtype)
    plain, scaled = (factorize(V * dtype(s), 3, divergence=divergence, max_sweeps=20) for s in (1, scale))
    np.testing.assert_allclose(scaled.W @ scaled.H, (plain.W @ plain.H) * scale, rtol=1e-3)
    np.testing.assert_allclose(scaled.loss, plain.loss * scale, rtol=1e-4)


# svd_floor


@pytest.mark.parametrize("shape", [(20, 12), (12, 20), (9, 9), (1, 5), (5, 1)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_svd_floor_is_the_tail_of_the_singular_values(shape, dtype, rng, monkeypatch):
    monkeypatch.setattr("nmfcompress.factor.blocks.BLOCK_BYTES", 200)
    V = (rng.random(shape) * (255 if dtype == np.uint8 else 1)).astype(dtype)
    values = np.linalg.svd(unit(V), compute_uv=False)
    for rank in range(1, min(shape) + 1):
        floor = best_rank_loss(V, rank, jobs=2)
        np.testing.assert_allclose(floor, np.sqrt(np.sum(values[rank:] ** 2)), rtol=1e-5, atol=1e-7 * values[0])


def test_svd_floor_is_not_computed_for_large_matrices():
    large = np.zeros((2049, 2049), np.uint8)
    assert best_rank_loss(large, 3) is None
    assert best_rank_loss(large[:, :3], 3) == 0


# The same bytes


@pytest.fixture
def many_blocks(monkeypatch):
    """Blocks of a few rows only, so that small matrices have many."""
    monkeypatch.setattr("nmfcompress.factor.blocks.BLOCK_BYTES", 800)


@pytest.mark.usefixtures("many_blocks")
@pytest.mark.parametrize("init", ["random", "nndsvda"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_threads_do_not_change_a_bit(divergence, masked, init, rng):
    V = rng.integers(0, 256, (60, 40), dtype=np.uint8)
    assert len(as_blocks(V).rows) > 10
    mask = rng.random(V.shape) < 0.8 if masked else None
    one, two, four = (
        factorize(V, 5, divergence=divergence, mask=mask, init=init, jobs=jobs, max_sweeps=5) for jobs in (1, 2, 4)
    )
    for other in (two, four):
        assert one.W.tobytes() == other.W.tobytes()
        assert one.H.tobytes() == other.H.tobytes()
        assert [r.loss for r in one.records] == [r.loss for r in other.records]
    codes = [transform(V, one.H, divergence=divergence, mask=mask, jobs=jobs).tobytes() for jobs in (1, 4)]
    assert codes[0] == codes[1]


def test_the_seed_decides(rng):
    V = rng.random((20, 15))
    same = [factorize(V, 3, rng=seed).W.tobytes() for seed in (None, 0, np.random.default_rng(0))]
    assert len(set(same)) == 1
    assert factorize(V, 3, rng=1).W.tobytes() != same[0]


def test_the_best_of_several_starts(rng):
    V = rng.random((20, 15))
    each = [factorize(V, 3, rng=g) for g in (0, np.random.default_rng([0, 1]), np.random.default_rng([0, 2]))]
    best = factorize_as(V, Fit(3, restarts=3))
    assert best.loss == min(found.loss for found in each)
    assert factorize_as(V, Fit(3)).W.tobytes() == each[0].W.tobytes()


# Any layout, and nothing written into


def read_only(V):
    V.flags.writeable = False
    return V


LAYOUTS = {
    "big-endian": lambda V: V.astype(V.dtype.newbyteorder(">")),
    "Fortran order": np.asfortranarray,
    "every other row and column": lambda V: np.repeat(np.repeat(V, 2, axis=0), 2, axis=1)[::2, ::2],
    "upside down": lambda V: np.ascontiguousarray(V[::-1])[::-1],
    "read-only": read_only,
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("divergence", ["frobenius", "is"])
def test_the_layout_in_memory_does_not_matter(layout, dtype, divergence, rng):
    V = np.rint(rng.random((20, 15)) * 200).astype(dtype)
    expected = factorize(V, 3, divergence=divergence, max_sweeps=5)
    laid_out = LAYOUTS[layout](V.copy())
    found = factorize(laid_out, 3, divergence=divergence, max_sweeps=5)
    np.testing.assert_array_equal(found.W, expected.W)
    np.testing.assert_array_equal(found.H, expected.H)
    np.testing.assert_array_equal(laid_out, V)


@pytest.mark.usefixtures("many_blocks")
def test_a_memory_map_is_read_in_place(tmp_path, rng):
    V = rng.integers(0, 256, (40, 30), dtype=np.uint8)
    np.save(tmp_path / "V.npy", V)
    mapped = np.load(tmp_path / "V.npy", mmap_mode="r")
    np.testing.assert_array_equal(factorize(mapped, 3, max_sweeps=5).W, factorize(V, 3, max_sweeps=5).W)


def test_anything_that_speaks_the_protocol_is_read(rng):
    V = rng.random((10, 8))

    class Rows:
        shape, dtype, rows, scale = V.shape, V.dtype, (slice(0, 3), slice(3, 10)), 1.0

        def read(self, rows):
            return V[rows]

        stored = read

    theirs, ours = (factorize(X, 2, inner=1, max_sweeps=5).W for X in (Rows(), V))
    np.testing.assert_allclose(theirs, ours, rtol=1e-9)


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_a_start_of_your_own_is_used_and_left_alone(divergence, rng):
    V, W, H = rng.random((10, 8)), rng.random((10, 2)), rng.random((2, 8))
    given_W, given_H = W.copy(), H.copy()
    found = factorize(V, 2, W=W, H=H, divergence=divergence, max_sweeps=5)
    np.testing.assert_array_equal(W, given_W)
    np.testing.assert_array_equal(H, given_H)
    assert not np.shares_memory(found.W, W)
    again = factorize(V, 2, W=found.W, H=found.H, divergence=divergence, max_sweeps=5, tol=0)
    assert again.records[0].loss <= found.loss * (1 + 1e-9)
    only_H = factorize(V, 2, H=H, divergence=divergence, max_sweeps=1)
    assert only_H.W.shape == (10, 2)


# Codes


@pytest.mark.usefixtures("many_blocks")
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("sweeps", [1, 5, 200])
def test_transform_gives_the_codes_of_the_fit(dtype, sweeps, rng):
    V = (planted(60, 40, 4) * (100 if dtype == np.uint8 else 1) + rng.random((60, 40))).astype(dtype)
    V[7] = 0
    found = factorize(V, 4, max_sweeps=sweeps)
    codes = transform(V, found.H)
    assert codes.dtype == found.W.dtype
    assert np.linalg.norm(codes - found.W) <= 1e-4 * np.linalg.norm(found.W)
    np.testing.assert_allclose(transform(V[5:9], found.H), codes[5:9], atol=1e-4 * codes.max())


@pytest.mark.parametrize("divergence", ["kl", "is", "masked frobenius", "masked kl", "masked is"])
@pytest.mark.parametrize("sweeps", [5, 200])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_transform_gives_the_codes_of_the_fit_without_a_shortcut_too(divergence, sweeps, dtype, rng):
    V = (planted(60, 40, 4) * (100 if dtype == np.uint8 else 1) + rng.random((60, 40))).astype(dtype)
    V[7] = 0
    mask = rng.random(V.shape) < 0.8 if divergence.startswith("masked") else None
    divergence = divergence.removeprefix("masked ")
    found = factorize(V, 4, divergence=divergence, mask=mask, max_sweeps=sweeps)
    codes = transform(V, found.H, divergence=divergence, mask=mask)
    assert codes.dtype == found.W.dtype
    assert np.linalg.norm(codes - found.W) <= 1e-3 * np.linalg.norm(found.W)
    alone = transform(V[5:9], found.H, divergence=divergence, mask=None if mask is None else mask[5:9])
    np.testing.assert_allclose(alone, codes[5:9], atol=1e-3 * codes.max())


def test_transform_gives_the_codes_of_the_fit_where_there_are_several_minima(samples):
    """Under Itakura-Saito: some digits came to another."""
    with np.load(samples / "digits.npz") as digits:
        V = digits["x_train"][:600].reshape(600, -1)
    found = factorize(V, 5, divergence="is", max_sweeps=60, rng=3)
    codes = transform(V, found.H, divergence="is")
    assert np.linalg.norm(codes - found.W) <= 1e-3 * np.linalg.norm(found.W)
    losses = [record.loss for record in found.records]
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("divergence", ["kl", "is", "frobenius"])
@pytest.mark.parametrize("masked", [False, True])
def test_codes_are_at_a_minimum(divergence, masked, rng):
    """No entry can be moved, up or down, so that the divergence falls by more than rounding."""
    V, H = rng.random((20, 30)) ** 3, rng.random((5, 30)) ** 4
    V[V < 0.05] = 0
    known = rng.random(V.shape) < 0.7 if masked else np.ones(V.shape, dtype=bool)
    codes = transform(V, H, divergence=divergence, mask=known)
    seen = np.where(V == 0, 0.5 / 255, V) if divergence == "is" else V

    def losses(W):
        WH = W @ H
        if divergence == "frobenius":
            terms = np.square(seen - WH)
        elif divergence == "kl":
            terms = np.where(seen > 0, seen * np.log(np.maximum(seen, 1e-300) / WH), 0) - seen + WH
        else:
            terms = seen / WH - np.log(seen / WH) - 1
        return (terms * known).sum(axis=1)

    least = losses(codes)
    for j in range(5):
        for step in (1e-3, 0.1, -1e-3, -0.1):
            moved = codes.copy()
            moved[:, j] = np.maximum(moved[:, j] + step * codes.max(), 1e-12)
            assert (losses(moved) >= least * (1 - 1e-9)).all()


def test_transform_takes_new_images_even_one(rng):
    H = factorize(rng.random((30, 20)), 5).H
    V = rng.random((1, 20))
    codes = transform(V, H)
    assert codes.shape == (1, 5)
    gradient = (codes @ H - V) @ H.T
    assert (gradient > -1e-4).all(), "some code should be larger"
    assert np.abs(gradient * codes).max() < 1e-4, "some code should be smaller"


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("empty", ["H", "V", "both"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_transform_of_nothing_and_by_nothing(divergence, empty, dtype, rng):
    V, H = rng.random((3, 8)).astype(dtype), rng.random((2, 8)).astype(dtype)
    if empty != "V":
        H[:] = 0
    if empty != "H":
        V[:] = 0
    codes = transform(V, H, divergence=divergence)
    assert np.isfinite(codes).all()
    if empty == "V" and divergence != "is":
        np.testing.assert_allclose(codes, 0, atol=1e-9)


@pytest.mark.parametrize(
    "H", [np.ones(8), np.ones((2, 7)), np.ones((0, 8)), -np.ones((2, 8)), np.full((2, 8), np.nan), 3.0]
)
def test_transform_refuses_a_basis_that_does_not_fit(H, rng):
    with pytest.raises(UsageError):
        transform(rng.random((3, 8)), H)


# Sweeps, their records and their end


@pytest.mark.parametrize("jobs", [1, 4])
@pytest.mark.usefixtures("many_blocks")
def test_every_record_is_told_and_an_exception_passes_through(jobs, rng):
    V, told = rng.random((60, 30)), []
    found = factorize(V, 3, on_sweep=told.append, jobs=jobs)
    assert tuple(told) == found.records

    class StoppedError(Exception):
        pass

    error = StoppedError("enough")

    def stop(record):
        if record.sweep == 3:
            raise error

    with pytest.raises(StoppedError) as caught:
        factorize(V, 3, on_sweep=stop, jobs=jobs)
    assert caught.value is error
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("inner", [None, 1])
@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_tol_ends_the_sweeps(inner, divergence, rng):
    V = rng.random((20, 15))
    found = factorize(V, 2, divergence=divergence, inner=inner, tol=1e-3, max_sweeps=1000)
    losses = [r.loss for r in found.records]
    assert found.converged
    assert 10 < len(losses) < 1000
    falls = [(before - now) / before for before, now in zip(losses[:-10], losses[10:], strict=True)]
    decided = len(falls) - (1 if inner is None else 2)  # unless plain, one more sweep solves W for its H
    assert all(fall > 1e-3 for fall in falls[: decided - (inner is None)])
    assert falls[-2 if inner is None else -1] <= 1e-3


@pytest.mark.parametrize("inner", [None, 1])
@pytest.mark.parametrize("sweeps", [1, 2, 11, 30])
def test_tol_0_does_every_sweep(inner, sweeps):
    found = factorize(np.full((6, 5), 7, np.uint8), 1, inner=inner, tol=0, max_sweeps=sweeps)
    assert len(found.records) == sweeps
    assert not found.converged


@pytest.mark.parametrize("inner", [None, 1])
@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_never_more_sweeps_than_asked_for(inner, divergence, rng):
    V = rng.random((8, 7))
    for sweeps in range(1, 16):
        assert len(factorize(V, 2, divergence=divergence, inner=inner, tol=0.5, max_sweeps=sweeps).records) <= sweeps


def test_repeats_need_fewer_sweeps(rng):
    V = planted(80, 60, 6) + 0.1 * rng.random((80, 60))
    plain, repeated = (factorize(V, 6, inner=inner, tol=0, max_sweeps=200) for inner in (1, None))
    reached = next(r.sweep for r in repeated.records if r.loss <= plain.loss)
    assert reached < 100


def test_parts_are_sorted_by_their_share(rng):
    found = factorize(rng.random((20, 15)), 4).sorted()
    shares = found.shares()
    assert shares.sum() == pytest.approx(1)
    assert (np.diff(shares) <= 0).all()
    V = found.W @ found.H
    parts = [np.sum(np.outer(found.W[:, j], found.H[j]) * V) / np.sum(V * V) for j in range(4)]
    np.testing.assert_allclose(shares, parts, rtol=1e-9)


# Masks


@pytest.mark.parametrize("init", ["random", "nndsvda"])
@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_what_missing_entries_hold_is_ignored(dtype, divergence, init, rng):
    V = np.rint(rng.random((20, 15)) * 200).astype(dtype)
    mask = rng.random(V.shape) < 0.7
    mask[3], mask[:, 4] = False, False
    losses = set()
    for rubbish in (0, 255 if dtype == np.uint8 else 1e15):
        filled = np.where(mask, V, V.dtype.type(rubbish))
        found = factorize(filled, 3, mask=mask, divergence=divergence, init=init, max_sweeps=20)
        assert np.isfinite(found.W).all()
        assert np.isfinite(found.H).all()
        losses.add((found.W.tobytes(), found.H.tobytes(), found.loss, found.relative_loss))
        codes = transform(filled, found.H, mask=mask, divergence=divergence)
        assert np.isfinite(codes).all()
    assert len(losses) == 1


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_missing_entries_are_recovered(divergence, rng):
    V = planted(40, 30, 3) + 0.01
    mask = rng.random(V.shape) < 0.7
    found = factorize(np.where(mask, V, 0), 4, mask=mask, divergence=divergence, max_sweeps=3000, tol=1e-7)
    missing = (found.W @ found.H - V)[~mask]
    assert np.sqrt(np.mean(missing**2)) < 0.05 * np.sqrt(np.mean(V**2))


def test_a_mask_is_broadcast_and_one_without_gaps_is_none(rng):
    V, row = rng.random((10, 8)), rng.random(8) < 0.7
    given_row, whole = (factorize(V, 2, mask=mask, max_sweeps=5) for mask in (row, np.tile(row, (10, 1))))
    np.testing.assert_array_equal(given_row.W, whole.W)
    full, none = (factorize(V, 2, mask=mask, max_sweeps=5) for mask in (np.ones((10, 8), bool), None))
    np.testing.assert_array_equal(full.W, none.W)


@pytest.mark.parametrize("mask", [np.ones((4, 5)), np.ones((5, 4), bool), np.zeros((4, 5), bool), [[1, 0]]])
def test_a_mask_that_does_not_fit_is_refused(mask):
    with pytest.raises(UsageError, match="mask"):
        factorize(np.ones((4, 5)), 1, mask=mask)


# Bad input


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize(
    ("V", "said"),
    [
        (np.array([[1, np.nan]]), "NaN"),
        (np.array([[1, np.inf]]), "infinite"),
        (np.array([[1, -1e-9]]), "negative"),
        (np.array([[1, 1e20]], np.float32), "1e\\+20"),
        (np.ones((2, 3), complex), "complex128"),
        (np.ones((2, 3), object), "object"),
        (np.ones((2, 3), bool), "bool"),
        (np.ones((2, 3), np.int64), "int64"),
        (np.array([["a", "b"]]), "U1"),
        (np.ones(3), r"\(3,\)"),
        (np.ones((2, 3, 4)), r"\(2, 3, 4\)"),
        (np.float64(3), r"\(\)"),
        (np.ones((0, 3)), r"\(0, 3\)"),
        (np.ones((3, 0)), r"\(3, 0\)"),
    ],
)  # fmt: skip
def test_a_matrix_that_cannot_be_factorized(V, said, divergence):
    with pytest.raises(InputError, match=said):
        factorize(V, 1, divergence=divergence)
    with pytest.raises(InputError, match=said):
        transform(V, np.ones((1, V.shape[-1] if V.ndim else 1)), divergence=divergence)


def test_nan_is_refused_under_a_mask_too():
    V = np.array([[1, np.nan], [1, 2]])
    with pytest.raises(InputError, match="NaN"):
        factorize(V, 1, mask=np.isfinite(V))


def test_a_rank_above_the_smaller_side_is_refused_with_both_numbers():
    for shape in ((4, 7), (7, 4)):
        factorize(np.ones(shape), 4, max_sweeps=1)
        with pytest.raises(InputError, match=r"rank 5 .* 4,"):
            factorize(np.ones(shape), 5)


@pytest.mark.parametrize(
    ("argument", "wrong"),
    [
        ("rank", (0, -1, 2.5, "3", True, None)),
        ("max_sweeps", (0, -5, 1.5, None)),
        ("tol", (-1e-9, 1, 2, float("nan"), "a", None)),
        ("solver", ("hals2", "", None)),
        ("divergence", ("euclid", "KL", None)),
        ("init", ("nndsvd", None)),
        ("inner", (0, -1, 1.5)),
        ("jobs", (0, -1, 1.5)),
        ("W", (np.ones((5, 1)), -np.ones((4, 1)), np.full((4, 1), np.nan), np.full((4, 1), 1j), "W")),
        ("H", (np.ones((1, 4)), -np.ones((1, 5)), np.full((1, 5), np.inf), [[None] * 5])),
    ],
)  # fmt: skip
def test_an_argument_out_of_its_range_is_named(argument, wrong):
    for value in wrong:
        with pytest.raises(UsageError, match=rf"\b{argument}\b"):
            factorize(np.ones((4, 5)), **{"rank": 1, argument: value})


@pytest.mark.parametrize("rng", [-1, 1.5, "seed"])
def test_a_seed_out_of_its_range_is_refused(rng):
    with pytest.raises(UsageError, match="seed"):
        factorize(np.ones((4, 5)), 1, rng=rng)


# Starts


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_random_start_has_the_mean_of_the_data(dtype, rng):
    V = 5 * rng.random((30, 20)).astype(dtype)
    W, H = start.random_start(as_blocks(V), 4, float(V.mean()), np.random.default_rng(3))
    assert W.dtype == H.dtype == dtype
    assert W.min() > 0
    assert H.min() > 0
    np.testing.assert_allclose((W @ H).mean(), V.mean(), rtol=1e-5)


@pytest.mark.parametrize("shape", [(30, 20), (20, 30)])
def test_nndsvda_is_scikit_learns(shape, rng):
    """A spectrum that falls by tenths, so that the singular vectors are unique."""
    left, right = (np.linalg.qr(rng.standard_normal((side, 4)))[0] for side in shape)
    left[:, 0], right[:, 0] = 1 / np.sqrt(shape[0]), 1 / np.sqrt(shape[1])
    V = (left * [100, 3, 1, 0.3]) @ right.T
    V -= min(V.min(), 0)
    W, H = start.nndsvda(as_blocks(V), 4, V.mean(), np.random.default_rng(0), map)
    theirs = _initialize_nmf(V, 4, init="nndsvda", random_state=0)
    np.testing.assert_allclose(W, theirs[0], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(H, theirs[1], rtol=1e-6, atol=1e-9)


# Memory


FACTORIZE_100_MB = """
import sys
import numpy as np
from nmfcompress.factor import factorize

def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) * 1024

m, n, jobs = map(int, sys.argv[1:])
V = np.empty((m, n), np.uint8)
for first in range(0, m, 100):
    V[first : first + 100] = np.arange(n) % 251
    V[first : first + 100, first % n :: 7] = 255
before = peak()
factorize(V, 4, max_sweeps=2, tol=0, inner=1, jobs=jobs)
print(V.nbytes, peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak memory from /proc")
@pytest.mark.parametrize(("m", "n"), [(127_551, 784), (1_000, 100_000)])
def test_a_collection_of_100_mb_stays_uint8(m, n):
    arguments = [sys.executable, "-c", FACTORIZE_100_MB, str(m), str(n), "4"]
    one_thread = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(arguments, check=True, capture_output=True, timeout=120, env=one_thread)
    nbytes, added = map(int, done.stdout.split())
    assert nbytes > 99.9e6
    assert added < 2 * nbytes  # four blocks and eight sums under way, at most; a float copy alone would be four times V


def test_threads_of_ours_only_where_blas_has_one(monkeypatch):
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    assert nmf.cores() == 1
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    assert nmf.cores() == len(os.sched_getaffinity(0))


def test_explained_adds_up_to_what_the_fit_explains(rng):
    found = factorize(rng.random((40, 30)), 5)
    assert found.explained().sum() == pytest.approx(1 - found.relative_loss**2)
    assert (np.diff(found.sorted().explained()) <= 0).all()


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("masked", [False, True])
def test_records_are_plain_numbers(divergence, masked, rng):
    mask = rng.random((12, 9)) > 0.2 if masked else None
    for tol in (1e-4, 0.0, 0.5):
        found = factorize(rng.random((12, 9), np.float32), 2, divergence=divergence, mask=mask, tol=tol)
        assert type(found.converged) is bool
        assert {type(r.loss) for r in found.records} | {type(r.relative_loss) for r in found.records} == {float}


def test_itakura_saito_lifts_zeros_only(rng):
    V = rng.random((20, 3)) @ rng.random((3, 15)) * 1e-4
    found = factorize(V, 2, divergence="is", max_sweeps=50)
    ratio = V / (found.W @ found.H)
    assert found.loss == pytest.approx((ratio - np.log(ratio) - 1).sum(), rel=1e-6)


def test_a_start_too_large_is_refused(rng):
    with pytest.raises(UsageError, match="W has values up to 1e"):
        factorize(rng.random((6, 5), np.float32), 2, W=np.full((6, 2), 1e100), H=np.ones((2, 5)))


def test_a_masked_array_is_refused(rng):
    with pytest.raises(InputError, match="masked array"):
        factorize(np.ma.masked_array(rng.random((6, 5)), rng.random((6, 5)) > 0.5), 2)


def test_codes_of_dependent_parts_are_minimal(rng):
    """More parts than the linear rank: codes are not unique, the loss is."""
    V = rng.random((60, 4)) @ rng.random((4, 30)) + 0.05 * rng.random((60, 30))
    H = rng.random((4, 30))
    H = np.concatenate([H, 0.5 * H[:2] + 0.5 * H[2:], H[:1]])
    W = transform(V, H)
    best = sum(nnls(H.T, row)[1] ** 2 for row in V)
    assert np.square(V - W @ H).sum() == pytest.approx(best, rel=1e-9)
