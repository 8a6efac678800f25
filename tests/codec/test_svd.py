"""Truncated SVD <-> bytes: near the best of its rank, small, and wary of bytes that are not its own."""

from __future__ import annotations

import numpy as np
import pytest

from nmfcompress.codec.svd import decode_svd, encode_svd
from nmfcompress.errors import InputError


def picture(dtype: type) -> np.ndarray:
    """A smooth picture of 60 x 90 with some noise."""
    y, x = np.mgrid[:60, :90]
    values = 0.5 + 0.35 * np.sin(x / 6) * np.cos(y / 9) + np.random.default_rng(0).normal(0, 0.01, x.shape)
    top = {np.uint8: 255, np.uint16: 4000}.get(dtype, 0.9)
    return (np.rint(values * top) if dtype in (np.uint8, np.uint16) else values * top).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_a_truncated_svd_comes_near_the_best_of_its_rank(dtype: type) -> None:
    V = picture(dtype)
    s = np.linalg.svd(V.astype(float), compute_uv=False)
    for rank in (1, 2, 4):
        again = decode_svd(encode_svd(V, rank))
        assert again.shape == V.shape
        assert again.dtype == dtype
        best = np.sum(s[rank:] ** 2)  # squared; the quantizer may add a fraction of the last part's
        assert np.sum((V.astype(float) - again.astype(float)) ** 2) < best + 0.5 * rank * s[rank - 1] ** 2
        assert len(encode_svd(V, rank)) < 100 * rank


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (3, 7)])
def test_an_svd_of_little_or_nothing(shape: tuple[int, int]) -> None:
    assert not decode_svd(encode_svd(np.zeros(shape, np.uint8), 1)).any()
    full = np.full(shape, 200, np.uint8)
    assert np.abs(decode_svd(encode_svd(full, 1)).astype(int) - 200).max() < 30


def test_an_svd_of_a_wrong_rank_or_of_wrong_bytes() -> None:
    with pytest.raises(InputError, match="rank 4 for a matrix of 3 x 7"):
        encode_svd(np.ones((3, 7), np.uint8), 4)
    good = encode_svd(picture(np.uint8), 3)
    for bad in (b"", good[:10], good[:22], good[:-3], b"\xff" * 40, bytes(40)):
        with pytest.raises(InputError):
            decode_svd(bad)
