"""Pictures of two and four channels: they come back as rows and stacks, and are refused in one line elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from made import collection, picture

from nmfcompress.codec.collection import decode_stack, encode_stack
from nmfcompress.codec.image import decode_image, encode_image
from nmfcompress.errors import InputError
from nmfcompress.metrics import psnr


def with_channels(grey: np.ndarray, channels: int) -> np.ndarray:
    """The same picture in each of them, turned."""
    return np.stack([np.flip(grey, axis=-1 - c % 2) for c in range(channels)], axis=-1)


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_stack_and_rows_bring_them_back(channels: int, dtype: str) -> None:
    images = with_channels(collection(12, dtype=dtype), channels)
    for arrangement in (None, "stack"):
        again = decode_stack(encode_stack(images, rank=6, step=2, arrangement=arrangement))
        assert (again.shape, again.dtype) == (images.shape, images.dtype)
        assert (psnr(images, again) or 99) > 25
    one = with_channels(picture(dtype=dtype), channels)
    again = decode_image(encode_image(one, rank=12))
    assert (again.shape, again.dtype) == (one.shape, one.dtype)
    assert (psnr(one, again) or 99) > 30


@pytest.mark.parametrize("channels", [2, 4, 5])
def test_elsewhere_they_are_refused(channels: int) -> None:
    images, one = with_channels(collection(12), channels), with_channels(picture(), channels)
    for arrangement in ("bands", "patches"):
        with pytest.raises(InputError, match=rf"{channels}\)"):
            encode_stack(images, rank=2, arrangement=arrangement)
    with pytest.raises(InputError, match=rf"{channels}\)"):
        encode_image(one, arrangement="patches", step=20)
    if channels == 5:
        with pytest.raises(InputError, match=r"expected \(n, h, w\) or \(n, h, w, 3\)"):
            encode_stack(images, rank=2)
