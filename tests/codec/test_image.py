"""One picture in a file: which recipe, and what goes with it."""

from __future__ import annotations

import numpy as np
import pytest
from made import PEAKS, picture, psnr, rows_file, stack_file

from nmfcompress.codec.collection import decode_stack
from nmfcompress.codec.header import Header, Meta
from nmfcompress.codec.image import coded_image, decode_image, encode_image
from nmfcompress.codec.opened import info, open_container
from nmfcompress.errors import InputError, NmfcError, TooLarge, UsageError
from nmfcompress.images.limits import Limits
from nmfcompress.settings import Coding


@pytest.mark.parametrize(
    ("options", "mode"),
    [({"rank": 2}, "rows"), ({"step": 60.0}, "patches"), ({"rank": 2, "arrangement": "rows", "step": 4.0}, "rows")],
)
def test_the_recipe_follows_from_what_is_asked(options: dict[str, object], mode: str) -> None:
    data = encode_image(picture(), **options)  # type: ignore[arg-type]
    assert info(data)["arrangement"] == mode
    assert psnr(decode_image(data), picture()) > 15


def test_what_is_asked_must_make_sense() -> None:
    for options in ({"arrangement": "rows"}, {"arrangement": "stack", "rank": 2}, {"arrangement": "rosw", "rank": 2}):
        with pytest.raises(UsageError):
            encode_image(picture(), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((3, 4), np.int64), "type int64"),
        (np.zeros((3, 4, 5), np.uint8), "shape"),
        (np.zeros((3, 4, 3, 2), np.uint8), "shape"),
        (np.zeros(4, np.uint8), "shape"),
        (np.zeros((0, 4), np.uint8), "shape"),
        (np.full((3, 4), -0.1), "beyond 0 to 1"),
        (np.full((3, 4), np.inf), "beyond 0 to 1"),
        ([[1, 2], [3]], "shape|type"),
    ],
)
def test_what_is_no_picture_is_refused(pixels: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        encode_image(pixels, rank=1)  # type: ignore[arg-type]


def test_what_goes_with_a_picture_comes_back(rng: np.random.Generator) -> None:
    pixels = picture()
    meta = Meta(
        icc=b"icc", exif=b"Exif\0\0", dpi=(72, 72), alpha=rng.integers(0, 256, pixels.shape, np.uint8), mode="LA"
    )
    opened = open_container(encode_image(pixels, rank=2, meta=meta))
    assert opened.meta == meta
    assert opened.meta.alpha is not None
    np.testing.assert_array_equal(opened.meta.alpha, meta.alpha)
    assert info(encode_image(pixels, rank=2, meta=meta))["meta"] == ["alpha", "dpi", "exif", "icc"]


def test_a_range_of_its_own_comes_back() -> None:
    pixels = picture(dtype="float32")
    header = Header((1, *pixels.shape), pixels.dtype, -300.5, 2e9, single=True)
    opened = open_container(coded_image(pixels, Coding(rank=2), header=header).data)
    assert (opened.header.low, opened.header.high) == (-300.5, 2e9)


def test_pictures_and_collections_are_told_apart() -> None:
    with pytest.raises(InputError, match="holds 30 pictures"):
        decode_image(stack_file())
    one = decode_stack(rows_file())
    np.testing.assert_array_equal(one, decode_image(rows_file())[None])
    np.testing.assert_array_equal(decode_stack(rows_file(), index=[0, 0]), one[[0, 0]])
    with pytest.raises(InputError, match="beyond its 1"):
        decode_stack(rows_file(), index=1)


@pytest.mark.parametrize("rank", [0, -1, 2.5, True, "3", np.arange(2)])
def test_a_rank_is_a_whole_number(rank: object) -> None:
    for data, decode in ((rows_file(), decode_image), (stack_file(), decode_stack)):
        with pytest.raises(UsageError, match="rank is"):
            decode(data, rank=rank)  # type: ignore[operator]


@pytest.mark.parametrize("index", [1.5, "1", True, [[0, 1]], [[0], [1, 2]], [None], {}, [0, 2.0]])
def test_an_index_is_whole_numbers(index: object) -> None:
    with pytest.raises(UsageError, match="index is"):
        decode_stack(stack_file(), index=index)


@pytest.mark.parametrize("dtype", PEAKS)
def test_info_tells_what_is_inside(dtype: str) -> None:
    data = encode_image(picture(20, 16, dtype, colour=True), rank=2)
    found = info(data)
    assert (found["width"], found["height"], found["channels"], found["images"]) == (16, 20, 3, 1)
    assert (found["dtype"], found["bytes"], found["single"]) == (dtype, len(data), True)
    assert (found["low"], found["high"]) == ((0, 1) if dtype.startswith("float") else (None, None))
    assert found["bits_per_pixel"] == pytest.approx(8 * len(data) / 320)
    assert found["ratio"] == pytest.approx(960 * np.dtype(dtype).itemsize / len(data))
    sections = found["sections"]
    assert isinstance(sections, dict)
    assert sum(sections.values()) < len(data)
    assert {"head", "scales", "weights", "maps"} == set(sections)


def test_more_than_memory_allows_is_refused_before_it_is_made() -> None:
    opened = open_container(rows_file())
    with pytest.raises(TooLarge, match="max_memory is"):
        opened.pictures(limits=Limits(max_memory=100))
    with pytest.raises(NmfcError):
        opened.pictures(rank=0)
