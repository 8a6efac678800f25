"""Every arrangement and its inverse: what is arranged is restored."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmfcompress.images.arrange import (
    arrange_mask,
    arrange_rows,
    arrange_stack,
    arrange_stack_mask,
    restore_rows,
    restore_stack,
)

SIDE = st.integers(1, 6)
IMAGE = st.tuples(SIDE, SIDE) | st.tuples(SIDE, SIDE, st.sampled_from([1, 3, 4]))
DTYPE = st.sampled_from(["uint8", "uint16", "float32", "float64"])


def ramp(shape, dtype="uint16"):
    """No two entries are equal."""
    return np.arange(np.prod(shape), dtype=dtype).reshape(shape)


@given(IMAGE, DTYPE)
def test_rows_and_back(shape, dtype):
    pixels = ramp(shape, dtype)
    V = arrange_rows(pixels)
    assert V.shape == (shape[0], np.prod(shape[1:]))
    assert V.dtype == dtype
    np.testing.assert_array_equal(restore_rows(V, shape), pixels)


@given(SIDE, IMAGE, DTYPE)
def test_stack_and_back(count, shape, dtype):
    images = ramp((count, *shape), dtype)
    V = arrange_stack(images)
    assert V.shape == (count, np.prod(shape))
    np.testing.assert_array_equal(restore_stack(V, shape), images)


@given(SIDE, IMAGE)
def test_several_arranged_pictures_are_restored_together(count, shape):
    pictures = [ramp(shape) + np.uint16(1000 * i) for i in range(count)]
    together = np.stack([arrange_rows(picture) for picture in pictures])
    np.testing.assert_array_equal(restore_rows(together, shape), np.stack(pictures))


def test_channels_lie_side_by_side():
    pixels = ramp((2, 3, 3))
    np.testing.assert_array_equal(arrange_rows(pixels), np.hstack([pixels[..., c] for c in range(3)]))


def test_a_stack_is_not_copied():
    images = ramp((4, 3, 2))
    assert np.shares_memory(arrange_stack(images), images)
    assert np.shares_memory(arrange_rows(images[0]), images)


@given(IMAGE, st.integers(0, 999))
def test_a_mask_by_rows_covers_the_pixels_it_covered(shape, seed):
    mask = np.random.default_rng(seed).random(shape[:2]) < 0.5
    arranged = arrange_mask(mask, shape)
    pixels = ramp(shape)
    assert arranged.shape == arrange_rows(pixels).shape
    np.testing.assert_array_equal(np.sort(arrange_rows(pixels)[arranged]), np.sort(pixels[mask].ravel()))


@pytest.mark.parametrize("each", [False, True])
@given(count=SIDE, shape=IMAGE, seed=st.integers(0, 999))
def test_a_mask_by_stack_covers_the_pixels_it_covered(each, count, shape, seed):
    mask = np.random.default_rng(seed).random((count, *shape[:2]) if each else shape[:2]) < 0.5
    images = ramp((count, *shape))
    V = arrange_stack(images)
    arranged = np.broadcast_to(arrange_stack_mask(mask, shape), V.shape)
    whole = np.broadcast_to(mask, images.shape[:3])
    np.testing.assert_array_equal(np.sort(V[arranged]), np.sort(images[whole].ravel()))
