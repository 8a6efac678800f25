"""Curves <-> bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmfcompress.codec.curves import LARGEST, UNIT, analyze, decode_curves, encode_curves, synthesize
from nmfcompress.errors import InputError


@settings(deadline=None, max_examples=25)
@given(
    rows=st.integers(1, 4),
    n=st.integers(1, 200),
    seed=st.integers(0, 2**16),
    size=st.sampled_from([0, 1, 3, 100, LARGEST]),
)
def test_coefficients_come_back(rows: int, n: int, seed: int, size: int) -> None:
    values = np.random.default_rng(seed).integers(-size, size + 1, (rows, n))
    assert np.array_equal(decode_curves(encode_curves(values), rows, n), values)


@pytest.mark.parametrize("n", [1, 2, 127, 128, 129, 300])
def test_synthesis_inverts_analysis(n: int, rng: np.random.Generator) -> None:
    curves = rng.random((3, n)) * 1000
    back = synthesize(np.rint(analyze(curves) * 1024)) / UNIT / 1024
    assert np.abs(back - curves).max() < 1  # what rounding cosines to 1 / 4096 leaves


def test_synthesis_is_a_sum_of_cosines(rng: np.random.Generator) -> None:
    n, first = 150, 75  # two blocks
    q = rng.integers(-9, 9, (1, n))
    x, k = np.arange(first)[None, :], np.arange(first)[:, None]
    whole = np.rint(
        UNIT * np.sqrt(np.where(k == 0, 1, 2) / first) * np.cos(np.pi * k * (2 * x + 1) / (2 * first))
    ).astype(int)
    expected = np.concatenate([q[0, :first] @ whole, q[0, first:] @ whole])
    assert np.array_equal(synthesize(q)[0], expected)


def test_smooth_curves_are_small(rng: np.random.Generator) -> None:
    smooth = np.sin(np.arange(256) / 40)[None] * 100
    rough = rng.permutation(smooth[0])[None]
    sizes = [len(encode_curves(np.rint(analyze(curve)).astype(int))) for curve in (smooth, rough)]
    assert sizes[0] < sizes[1] / 3


def test_damage_is_an_input_error(rng: np.random.Generator) -> None:
    data = encode_curves(rng.integers(-5, 6, (3, 100)))
    for cut in range(0, len(data), 9):
        with pytest.raises(InputError):
            decode_curves(data[:cut], 3, 100)
    with pytest.raises(InputError):
        decode_curves(data + b"\0\0", 3, 100)
    with pytest.raises(InputError):
        decode_curves(b"\xff" + data[1:], 3, 100)
    for _ in range(40):
        bad = bytearray(data)
        bad[rng.integers(len(bad))] ^= 1 << rng.integers(8)
        try:  # a flip in a bit that no other depends on goes through: that is for the container's checksums
            assert decode_curves(bytes(bad), 3, 100).shape == (3, 100)
        except InputError:
            continue
