"""One picture by its rows: factors in integers."""

from __future__ import annotations

import io
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import PEAKS, picture, psnr

from nmfcompress import factorize, read_image
from nmfcompress.codec.container import Container, unpack, varint
from nmfcompress.codec.header import Header, Meta
from nmfcompress.codec.image import coded_image, decode_image, encode_image
from nmfcompress.codec.rows import POINT, coded_rows, read_rows
from nmfcompress.codec.tables import encode_table
from nmfcompress.errors import InputError, TooLarge
from nmfcompress.images.arrange import arrange_mask, arrange_rows, restore_rows
from nmfcompress.images.limits import Limits
from nmfcompress.settings import Coding

RANK3 = Coding(rank=3, arrangement="rows", jobs=1)


def in_floats(pixels: np.ndarray, rank: int) -> tuple[np.ndarray, int]:
    """What float32 factors show, and the bytes that np.savez makes of them."""
    fit = factorize(arrange_rows(pixels), rank, rng=0, jobs=1)
    V = np.clip(fit.W @ fit.H, 0, 1)
    peak = PEAKS[pixels.dtype.name]
    shown = (np.rint(V * peak) if peak > 1 else V).astype(pixels.dtype)
    file = io.BytesIO()
    np.savez(file, W=fit.W.astype(np.float32), H=fit.H.astype(np.float32))
    return restore_rows(shown, pixels.shape), len(file.getvalue())


@pytest.mark.parametrize("name", ["photo.png", "grey.png"])
def test_four_times_smaller_than_floats_for_a_twentieth_of_a_db(name: str, samples: Path) -> None:
    pixels = read_image(samples / name).pixels
    made = coded_image(pixels, RANK3)
    shown, size = in_floats(pixels, 3)
    back = decode_image(made.data)
    assert psnr(back, pixels) >= psnr(shown, pixels) - 0.05
    assert size >= 4 * made.size
    assert made.psnr_db == pytest.approx(psnr(back, pixels))


@pytest.mark.parametrize("dtype", PEAKS)
@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("rank", [1, 3, 16])
def test_every_type_comes_back_as_it_was_measured(dtype: str, colour: bool, rank: int) -> None:
    pixels = picture(dtype=dtype, colour=colour)
    made = coded_image(pixels, Coding(rank=rank, arrangement="rows", jobs=1))
    back = decode_image(made.data)
    assert (back.shape, back.dtype) == (pixels.shape, pixels.dtype)
    assert made.psnr_db == pytest.approx(psnr(back, pixels), abs=1e-9)
    assert made.psnr_db is not None
    assert made.psnr_db > (15, 0, 24, 0)[rank & 3 if rank < 16 else 2]
    if rank <= 3:
        assert made.psnr_db >= psnr(in_floats(pixels, rank)[0], pixels) - 0.051


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 9), (9, 1), (2, 2), (1, 1, 3), (1, 7, 3), (5, 1, 3), (4, 4, 2), (3, 3, 4)]
)
@pytest.mark.parametrize("dtype", PEAKS)
def test_odd_shapes(shape: tuple[int, ...], dtype: str, rng: np.random.Generator) -> None:
    pixels = (rng.random(shape) * PEAKS[dtype]).astype(dtype)
    back = decode_image(encode_image(pixels, rank=1))
    assert (back.shape, back.dtype) == (pixels.shape, pixels.dtype)
    if min(shape[:2]) == 1 and len(shape) == 2:
        assert psnr(back, pixels) > 20


@pytest.mark.parametrize("dtype", PEAKS)
def test_black_is_black_and_white_is_white(dtype: str) -> None:
    for level in (0, PEAKS[dtype]):
        pixels = np.full((7, 5), level, dtype)
        back = decode_image(encode_image(pixels, rank=2))
        assert np.abs(back.astype(float) - level).max() <= 0.005 * PEAKS[dtype]


@pytest.mark.parametrize("rank", [3, 8, 16])
def test_what_is_missing_is_no_measure_of_what_is_known(rank: int) -> None:
    pixels = picture(40, 48)
    mask = np.zeros((40, 48), bool)
    mask[:, :24] = True
    fit = factorize(arrange_rows(pixels), rank, rng=0, jobs=1, mask=mask).sorted()
    shown = np.rint(255 * np.clip(fit.W @ fit.H, 0, 1))
    made = coded_image(pixels, RANK3, fit=fit, mask=mask)
    assert psnr(decode_image(made.data)[mask], pixels[mask]) >= psnr(shown[mask], pixels[mask]) - 0.051
    assert made.psnr_db == pytest.approx(psnr(decode_image(made.data)[mask], pixels[mask]))


@pytest.mark.parametrize("most", [20, 227, 454, 65535])
@pytest.mark.parametrize("rank", [3, 12])
def test_dark_pictures_of_16_bits_lose_no_more_than_others(most: int, rank: int) -> None:
    """As those of a microscope, which use a few levels of what there is."""
    pixels = np.rint(picture(40, 48).astype(float) * most / 255).astype(np.uint16)
    fit = factorize(arrange_rows(pixels), rank, rng=0, jobs=1)
    shown = np.rint(65535 * np.clip(fit.W @ fit.H, 0, 1))
    made = coded_image(pixels, RANK3, fit=fit)
    assert psnr(decode_image(made.data), pixels) >= psnr(shown.astype(np.uint16), pixels) - 0.05
    assert not made.notes


def planted(dtype: str, rank: int, most: float) -> np.ndarray:
    """Noise of this rank and brightest value, which factors fit nearly."""
    rng = np.random.default_rng(0)
    V = rng.random((60, rank)) ** 2 @ rng.random((rank, 50))
    V *= most / V.max()
    return (np.rint(V) if PEAKS[dtype] > 1 else V).astype(dtype)


@pytest.mark.parametrize(
    ("dtype", "rank", "most"),
    [
        ("uint8", 12, 1), ("uint8", 20, 10), ("uint16", 20, 454), ("uint16", 20, 4000), ("float32", 20, 1e-2),
        ("float32", 20, 1e-4), ("float64", 20, 1e-3),
    ],
)  # fmt: skip
def test_factors_that_fit_nearly_lose_no_more_than_others(dtype: str, rank: int, most: float) -> None:
    """Seen with floats up to 1e-4: 19 dB were lost in silence, in steps of a share of what the type can have."""
    pixels = planted(dtype, rank, most)
    fit = factorize(pixels, rank, solver="hals", max_sweeps=100, rng=0, jobs=1)
    shown = np.clip(fit.W @ fit.H, 0, 1) * PEAKS[dtype]
    shown = (np.rint(shown) if PEAKS[dtype] > 1 else shown).astype(dtype)
    made = coded_image(pixels, RANK3, fit=fit)
    assert psnr(decode_image(made.data), pixels) >= psnr(shown, pixels) - 0.0501
    assert not made.notes


def test_what_whole_numbers_cost_is_said_where_they_cost_more() -> None:
    """A bright picture that factors show at 110 dB and more: sums have 36 bits behind the point."""
    pixels = planted("float32", 20, 1.0)
    fit = factorize(pixels, 20, solver="hals", max_sweeps=1000, rng=0, jobs=1)
    made = coded_image(pixels, RANK3, fit=fit)
    floats = (fit.W.astype(float) @ fit.H.astype(float)).astype(np.float32)
    cost = psnr(np.minimum(floats, 1), pixels) - psnr(decode_image(made.data), pixels)
    (note,) = made.notes
    said = re.fullmatch(r"rows: factors in whole numbers cost ([\d.]+) dB", note)
    assert said
    assert float(said[1]) == pytest.approx(cost, abs=0.011)
    assert 0.05 < cost < 20


def test_a_picture_of_small_rank_comes_back_exactly() -> None:
    pixels = np.outer([0, 1, 3, 5], [10, 20, 0, 51]).astype(np.uint8)
    made = coded_image(pixels, RANK3)
    np.testing.assert_array_equal(decode_image(made.data), pixels)
    assert made.psnr_db is None


def test_fewer_parts_are_a_coarser_picture() -> None:
    pixels = picture(colour=True)
    data = encode_image(pixels, rank=6)
    psnrs = [psnr(decode_image(data, rank=rank), pixels) for rank in range(1, 7)]
    assert psnrs[0] < psnrs[-1]
    np.testing.assert_array_equal(decode_image(data, rank=99), decode_image(data))


def test_a_coarser_step_is_a_smaller_file() -> None:
    pixels = picture(40, 40)
    sizes = [len(encode_image(pixels, rank=4, arrangement="rows", step=step)) for step in (0.05, 0.5, 5, 50)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 0.6 * sizes[0]


def test_the_same_bytes_twice_and_for_any_jobs() -> None:
    pixels = picture(60, 40)
    assert len({encode_image(pixels, rank=3, jobs=jobs) for jobs in (1, 1, 2)}) == 1


def test_factors_that_are_given_are_used() -> None:
    pixels = picture()
    fit = factorize(arrange_rows(pixels), 3, rng=0)
    given = coded_image(pixels, RANK3, fit=fit)
    assert given.data == coded_image(pixels, RANK3).data


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(st.integers(1, 20), st.integers(1, 20)), st.sampled_from([(), (3,), (2,)]), st.sampled_from(list(PEAKS)),
    st.integers(1, 6), st.booleans(), st.integers(0, 2**32),
)  # fmt: skip
def test_pictures_side_by_side_are_the_files_that_each_is_alone(
    sides: tuple[int, int], channels: tuple[int, ...], dtype: str, rank: int, masked: bool, seed: int
) -> None:
    """Among them black and flat ones, of fewer parts than the others, and noise."""
    rng = np.random.default_rng(seed)
    h, w, *_ = shape = (*sides, *channels)
    smooth = [rng.random((h, r)) ** 2 @ rng.random((r, w * math.prod(channels))) / r for r in (1, 2, 5)]
    levels = [np.zeros(shape), np.full(shape, 0.5), rng.random(shape), *(one.reshape(shape) for one in smooth)]
    pictures = [(level * PEAKS[dtype]).astype(dtype) for level in levels]
    mask = None
    if masked:
        mask = rng.random(sides) < 0.8
        mask[0, 0] = True
    known = None if mask is None else arrange_mask(mask, shape)
    rank = min(rank, h, w * math.prod(channels))
    fits = [factorize(arrange_rows(one), rank, rng=0, jobs=1, max_sweeps=4, mask=known) for one in pictures]
    headers = [Header((1, *shape), np.dtype(dtype), single=True)] * len(pictures)
    metas = [Meta(labels=np.array([place])) for place in range(len(pictures))]
    together = coded_rows(pictures, headers, metas, fits, mask)
    for place, made in enumerate(together):
        alone = coded_image(pictures[place], RANK3, metas[place], headers[place], fits[place], mask=mask)
        assert (made.data, made.psnr_db, made.rank) == (alone.data, alone.psnr_db, alone.rank)


def crafted(w: np.ndarray, h: np.ndarray, scales: list[int]) -> Container:
    numbers = b"".join(varint(x) for x in (len(w), *scales))
    return Container("rows", {"scales": numbers, "weights": encode_table(w), "maps": encode_table(h)})


@pytest.mark.parametrize("dtype", PEAKS)
def test_the_sums_are_those_of_python_integers(dtype: str, rng: np.random.Generator) -> None:
    w, h = rng.integers(0, 2**15, (5, 4)), rng.integers(0, 2**15, (5, 6))
    scales = rng.integers(1, 20, 5).tolist()
    header = Header((1, 4, 6), np.dtype(dtype), single=True)
    shown = read_rows(crafted(w, h, scales), header).pixels(header)
    for y in range(4):
        for x in range(6):
            total = sum(int(s) * int(a) * int(b) for s, a, b in zip(scales, w[:, y], h[:, x], strict=True))
            if PEAKS[dtype] > 1:
                most = int(PEAKS[dtype])
                expected = min((2 * total * most + 2**POINT) // 2 ** (POINT + 1), most)
            else:
                expected = np.array(min(total / 2**POINT, 1.0)).astype(dtype)
            assert shown[y, x] == expected


@pytest.mark.parametrize(
    ("w", "h", "scales"),
    [
        ([[-1]], [[1]], [1]),
        ([[1]], [[-1]], [1]),
        ([[2**30]], [[2**30]], [1]),
        ([[1]], [[1]], [2**55]),
        ([[2**20] * 1, [2**20]], [[2**20], [2**20]], [2**12, 2**12]),
    ],
)
def test_factors_beyond_measure_are_refused(w: list[list[int]], h: list[list[int]], scales: list[int]) -> None:
    header = Header((1, 1, 1), np.dtype("uint8"), single=True)
    with pytest.raises(InputError, match="measure"):
        read_rows(crafted(np.array(w), np.array(h), scales), header)


def test_wrong_counts_are_refused() -> None:
    good = unpack(encode_image(picture(), rank=3))
    header = Header((1, 20, 16), np.dtype("uint8"), single=True)
    read_rows(good, header)
    for numbers in (b"", varint(0), varint(5000), good.sections["scales"][:-1], good.sections["scales"] + b"\0"):
        with pytest.raises(InputError):
            read_rows(Container("rows", {**good.sections, "scales": numbers}), header)
    for shape in ((1, 20, 17), (1, 21, 16), (1, 20, 16, 3)):
        with pytest.raises(InputError):
            read_rows(good, Header(shape, np.dtype("uint8"), single=True))
    with pytest.raises(TooLarge, match="max_memory is"):
        read_rows(good, header, Limits(max_memory=1000))
