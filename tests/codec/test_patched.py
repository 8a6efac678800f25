"""Several pictures by their patches: each a stream of its own, a step in common, and no other picture is touched."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from made import PEAKS, as_type, psnr

from nmfcompress.codec import patched
from nmfcompress.codec.collection import coded_stack, decode_stack, encode_stack
from nmfcompress.codec.container import SECTIONS, pack, unpack, varint
from nmfcompress.codec.header import Header
from nmfcompress.codec.opened import info, open_container
from nmfcompress.codec.patch_streams import MOST_PICTURES, SECTION, Stream, Streams, pack_streams, read_streams
from nmfcompress.codec.patches import encode_patches
from nmfcompress.errors import InputError, TargetMissed, TooLarge
from nmfcompress.images.limits import Limits
from nmfcompress.settings import Coding


def pictures(n: int = 3, h: int = 40, w: int = 56, dtype: str = "uint8", colour: bool = False) -> np.ndarray:
    """Pictures that have nothing in common but their size."""
    rng = np.random.default_rng(n)
    y, x = np.mgrid[:h, :w]
    shown = []
    for _ in range(n):
        a, b, c, d = rng.uniform(3, 15, 4)
        V = 0.5 + 0.25 * np.sin(x / a + b) * np.cos(y / c) + 0.2 * (x * d > y * a) + rng.normal(0, 0.01, (h, w))
        shown.append(np.stack([V, V[::-1], V**2], axis=2) if colour else V)
    return as_type(np.clip(np.array(shown), 0, 1), dtype)


def patches(images: np.ndarray, **options: object) -> bytes:
    return encode_stack(images, arrangement="patches", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", PEAKS)
@pytest.mark.parametrize("colour", [False, True])
def test_decoded_is_what_each_picture_alone_would_be(dtype: str, colour: bool) -> None:
    images = pictures(dtype=dtype, colour=colour)
    made = coded_stack(images, Coding(step=30.0, arrangement="patches", jobs=1))
    back = decode_stack(made.data)
    assert (back.shape, back.dtype, made.mode) == (images.shape, images.dtype, "patches")
    assert made.psnr_db == pytest.approx(psnr(back, images))
    for one, shown in zip(images, back, strict=True):
        np.testing.assert_array_equal(encode_patches(one, 30.0).pixels, shown)


def test_one_picture_has_the_bytes_that_it_always_had() -> None:
    images = pictures(1)
    section = unpack(patches(images, step=20.0)).sections[SECTION]
    assert section == encode_patches(images[0], 20.0).sections[SECTION]
    assert not info(patches(images, step=20.0))["single"]
    assert decode_stack(patches(images, step=20.0)).shape == images.shape


def test_only_what_is_asked_for_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = patches(pictures(5), step=40.0)
    back, seen = decode_stack(data), []
    decode = patched.decode_stream
    monkeypatch.setattr(patched, "decode_stream", lambda s, place, *rest: seen.append(place) or decode(s, place, *rest))
    np.testing.assert_array_equal(decode_stack(data, index=[3, 1, 3]), back[[3, 1, 3]])
    assert sorted(seen) == [1, 3]
    assert decode_stack(data, index=[]).shape == (0, 40, 56)


def test_a_few_bands_are_coarse_pictures() -> None:
    images = pictures()
    data = patches(images, step=10.0)
    quality = [psnr(decode_stack(data, rank=rank), images) for rank in (1, 4, 15, 64)]
    assert quality == sorted(quality)
    assert quality[0] < quality[-1] - 5
    np.testing.assert_array_equal(decode_stack(data, rank=99), decode_stack(data))
    assert len(patches(images, step=10.0, rank=6)) < len(data)


def test_the_bytes_do_not_depend_on_jobs() -> None:
    images = pictures(4, 20, 24, colour=True)
    assert patches(images, min_psnr=30, jobs=1) == patches(images, min_psnr=30, jobs=3)


@pytest.mark.parametrize("n", [1, 4, 13])  # of 13 some are searched first
def test_targets_are_met_over_all_pictures(n: int) -> None:
    images = pictures(n, 24, 32)
    made = coded_stack(images, Coding(min_psnr=32.0, arrangement="patches", jobs=1))
    assert made.psnr_db == pytest.approx(psnr(decode_stack(made.data), images))
    assert 32 <= psnr(decode_stack(made.data), images) <= 32.5
    size = 120 * n
    assert 0.95 * size <= len(patches(images, target_size=size, jobs=1)) <= size


def test_a_target_out_of_reach_is_said_with_the_best() -> None:
    images = pictures(2, 16, 20, colour=True)
    with pytest.raises(TargetMissed, match=r"90 dB cannot be reached, \d+\.\d\d dB is the best"):
        patches(images, min_psnr=90)
    with pytest.raises(TargetMissed, match=r"20 bytes cannot be reached, \d+ bytes is the least"):
        patches(images, target_size=20)


def changed(images: np.ndarray, change: Callable[[bytes], bytes]) -> bytes:
    """A file whose section is another, its checksums right."""
    sections = unpack(patches(images, step=60.0)).sections
    return pack("patches", sections | {SECTION: change(sections[SECTION])})


LENGTHS = 5  # where they begin
TABLES = {
    "cut off": lambda data: data[:7],
    "too short a section": lambda data: data[:-1],
    "too long a section": lambda data: data + b"\0",
    "a length too large": lambda data: data[:LENGTHS] + varint(2**40) + data[LENGTHS + 1 :],
    "lengths of nothing": lambda data: data[:LENGTHS] + b"\0\0\0" + data[LENGTHS + 3 :],
    "an empty stream": lambda data: data[:LENGTHS] + b"\0" + bytes([data[5] + data[6], data[7]]) + data[8:],
    "no number": lambda data: data[:LENGTHS] + b"\x80" * 9 + data[LENGTHS:],
    "a step of none": lambda data: bytes(4) + data[4:],
    "bands of none": lambda data: data[:4] + b"\0" + data[5:],
    "a bit beyond the bands": lambda data: data[:4] + b"\xc0" + data[5:],
    "many lanes": lambda data: data[:8] + b"\x0a" + data[9:],
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_lengths_that_cannot_be_are_refused(name: str) -> None:
    images = pictures(3, 16, 16)
    section = unpack(patches(images, step=60.0)).sections[SECTION]
    assert max(section[LENGTHS : LENGTHS + 3]) < 128, "a byte for each length"
    with pytest.raises(InputError, match=r"damaged|cut off|out of range"):
        decode_stack(changed(images, TABLES[name]))


def test_a_stream_that_is_none_is_named_and_costs_no_other() -> None:
    images = pictures(3, 16, 16)

    def first_is_short(data: bytes) -> bytes:
        streams = read_streams(data, 3)
        return pack_streams(Streams(streams.step, streams.bands, [Stream(False, 0, b"\0\0"), *streams.each[1:]]))

    data = changed(images, first_is_short)
    with pytest.raises(InputError, match="picture 0: a stream is cut off"):
        decode_stack(data)
    np.testing.assert_array_equal(decode_stack(data, index=[2]), decode_stack(patches(images, step=60.0))[2:])


def with_head(*sides: int) -> bytes:
    sections = unpack(patches(pictures(3, 16, 16), step=60.0)).sections
    return pack("patches", sections | {"head": b"\0" + b"".join(map(varint, sides))})


@pytest.mark.parametrize("sides", [(2, 16, 16, 1), (4, 16, 16, 1), (60_000, 16, 16, 1), (3, 16, 16, 4), (3, 16, 16, 2)])
def test_a_head_that_is_not_theirs_is_refused(sides: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"damaged|cut off"):
        open_container(with_head(*sides)).pictures(limits=Limits(2**30))


def test_more_pictures_than_are_ever_read() -> None:
    with pytest.raises(TooLarge, match="65,537 pictures"):
        open_container(with_head(MOST_PICTURES + 1, 16, 16, 1))
    with pytest.raises(TooLarge, match="at most 65,536"):
        patches(np.zeros((MOST_PICTURES + 1, 1, 1), np.uint8))
    assert SECTIONS[SECTION] == 10


def test_memory_is_that_of_one_picture_and_of_what_comes_out() -> None:
    opened = open_container(with_head(3, 4000, 4000, 3))
    with pytest.raises(TooLarge, match="max_memory is"):
        opened.pictures(np.array([0]), limits=Limits(2**30))
    header = Header((24, 512, 768, 3), np.dtype(np.uint8))
    for jobs in (1, 2, 64):
        needs = patched.patches_bytes(header, Coding(jobs=jobs))
        assert 512 * 768 * 100 < needs <= max(jobs * 512 * 768 * 300, 2**30)
    assert patched.patches_bytes(header, Coding(jobs=64)) <= 2**30
