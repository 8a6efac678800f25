"""Bands <-> bytes."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence, features

from nmfcompress.codec import bands
from nmfcompress.codec.bands import PEAKS, Bands, decode_bands, encode_bands
from nmfcompress.codec.collection import encode_stack
from nmfcompress.codec.curves import decode_curves, synthesize
from nmfcompress.codec.maps import decode_maps
from nmfcompress.codec.opened import open_container
from nmfcompress.errors import InputError, NmfcError, TooLarge, UsageError
from nmfcompress.images.limits import Limits


def scene(n: int = 24, h: int = 40, w: int = 30, dtype: str = "uint8", colour: bool = False) -> np.ndarray:
    """Three materials with smooth maps and spectra, and a little noise."""
    rng = np.random.default_rng(1)
    y, x, band = *np.mgrid[:h, :w], np.arange(n)[:, None]
    maps = np.stack([1 + np.sin(x / 5), 1 + np.cos(y / 6), 1 + np.sin((x + y) / 8)]).reshape(3, -1)
    spectra = np.exp(-(((band / n - [0.2, 0.5, 0.8]) / 0.2) ** 2))
    V = np.clip(spectra @ maps / 3 + rng.normal(0, 0.005, (n, h * w)), 0, 1).reshape(n, h, w)
    if colour:
        V = np.stack([V, V[:, ::-1] / 2, V**2], axis=3)
    peak = PEAKS[dtype]
    return (np.rint(V * peak) if peak > 1 else V).astype(dtype)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    mse = float(((a.astype(float) - b) ** 2).mean())
    return 10 * math.log10(PEAKS[a.dtype.name] ** 2 / mse) if mse else math.inf


def size(sections: dict[str, bytes]) -> int:
    return sum(map(len, sections.values()))


@pytest.mark.parametrize("dtype", PEAKS)
@pytest.mark.parametrize("colour", [False, True])
def test_bands_come_back(dtype: str, colour: bool) -> None:
    images = scene(dtype=dtype, colour=colour)
    encoded = encode_bands(images, 5 if colour else 3, 3)
    back = decode_bands(encoded.sections, images.shape, images.dtype)
    assert np.array_equal(back, encoded.images)
    assert (back.shape, back.dtype) == (images.shape, images.dtype)
    assert psnr(images, back) > (30 if colour else 35)
    assert size(encoded.sections) < images.size / 20


def test_the_figures_do_not_depend_on_the_type() -> None:
    found = [encode_bands(scene(dtype=dtype), 3, 5) for dtype in PEAKS]
    assert np.ptp([size(each.sections) for each in found]) < 30
    assert np.ptp([psnr(scene(dtype=each.images.dtype.name), each.images) for each in found]) < 0.6


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_a_decoder_in_fractions_gives_the_same(dtype: str) -> None:
    images = scene(6, 12, 10, dtype)
    sections = encode_bands(images, 3, 8).sections
    codes = sections["codes"]
    r = codes[0]
    pictures = decode_maps(sections["maps"], (r, 12, 10)).reshape(r, -1)
    planes = [[int(x) - codes[1 + j] for x in pictures[j]] for j in range(r)]
    curves = synthesize(decode_curves(codes[1 + 2 * r :], r, 6))
    A = []
    for j in range(r):
        e = codes[1 + r + j]
        step = Fraction(8 + e % 8) * Fraction(2) ** (e // 8 - 25)
        A.append([math.floor(step * int(a) * 2**8 + Fraction(1, 2)) for a in curves[j]])
    back = decode_bands(sections, images.shape, images.dtype).reshape(6, -1)
    for band in range(6):
        for pixel in range(0, 120, 7):
            level = min(max(sum(A[j][band] * planes[j][pixel] for j in range(r)), 0), 255 * 2**24)
            if dtype == "float32":
                expected = float(np.float32(level / (255 * 2**24)))
            else:
                expected = math.floor(Fraction(level * (int(PEAKS[dtype]) // 255), 2**24) + Fraction(1, 2))
            assert back[band, pixel] == expected


def test_index_and_rank() -> None:
    images = scene()
    encoded = encode_bands(images, 3, 4)
    wanted = np.array([7, 0, 23])
    part = decode_bands(encoded.sections, images.shape, images.dtype, wanted)
    assert np.array_equal(part, encoded.images[wanted])
    quality = [psnr(images, decode_bands(encoded.sections, images.shape, images.dtype, None, r)) for r in (1, 2, 3)]
    assert quality == sorted(quality)
    assert quality[2] == psnr(images, encoded.images)
    more = decode_bands(encoded.sections, images.shape, images.dtype, wanted, 9)
    assert np.array_equal(more, part)


def test_coarser_steps_are_smaller_and_worse() -> None:
    images = scene()
    fit = Bands(images, 4)
    found = [fit.encode(step) for step in (1, 2, 4, 8, 16, 32, 64)]
    sizes, quality = [size(each.sections) for each in found], [psnr(images, each.images) for each in found]
    assert sizes == sorted(sizes, reverse=True)
    assert quality == sorted(quality, reverse=True)


def test_planes_that_are_not_worth_it_are_left_out() -> None:
    images = scene()
    assert encode_bands(images, 8, 8).sections["codes"][0] == 3
    assert encode_bands(images, 8, 3000).sections["codes"][0] == 1


def test_the_same_bytes_for_any_number_of_jobs() -> None:
    images = scene()
    once = encode_bands(images, 3, 5, seed=3, jobs=1)
    assert once.sections == encode_bands(images, 3, 5, seed=3, jobs=3).sections


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 20, 30), (2, 1, 40), (40, 1, 1), (3, 9, 7, 3)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("value", [0, 0.3, 1])
def test_constant_bands(shape: tuple[int, ...], dtype: str, value: float) -> None:
    images = np.full(shape, value * PEAKS[dtype]).astype(dtype)
    encoded = encode_bands(images, 1, 2)
    error = np.abs(encoded.images.astype(float) - images).max() / PEAKS[dtype] * 255
    assert error <= 2
    assert np.array_equal(decode_bands(encoded.sections, shape, dtype), encoded.images)


@pytest.mark.parametrize("step", [1e-300, 1e-9, 1e9, 1e300])
def test_extreme_steps(step: float) -> None:
    images = scene(5, 8, 9)
    encoded = encode_bands(images, 2, step)
    assert np.array_equal(decode_bands(encoded.sections, images.shape, images.dtype), encoded.images)


def test_a_dark_scene_keeps_what_it_has() -> None:
    images = (scene(dtype="float32") * np.float32(1e-4)).astype(np.float32)
    encoded = encode_bands(images, 3, 4e-4)
    assert psnr(images, encoded.images) > 80 + 30


def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    images = scene(3, 8, 9)
    with pytest.raises(InputError, match="rank 4 is above 3"):
        Bands(images, 4)
    for rank in (0, 33):
        with pytest.raises(UsageError, match="rank is"):
            Bands(images, rank)
    for step in (0, -1, math.inf, math.nan):
        with pytest.raises(UsageError, match="step is"):
            encode_bands(images, 2, step)
    with pytest.raises(InputError, match="of shape"):
        Bands(images[0], 1)
    with pytest.raises(InputError, match="of type int32"):
        Bands(images.astype(np.int32), 1)
    monkeypatch.setattr(features, "check", lambda feature: False)
    with pytest.raises(UsageError, match="this Pillow has none"):
        encode_bands(images, 2, 5)


def test_another_codec_where_pillow_has_no_avif(monkeypatch: pytest.MonkeyPatch) -> None:
    images, check = scene(), features.check
    monkeypatch.setattr(features, "check", lambda feature: feature != "avif" and check(feature))
    encoded = encode_bands(images, 3, 5)
    assert encoded.sections["maps"][0] != 0
    assert np.array_equal(decode_bands(encoded.sections, images.shape, images.dtype), encoded.images)
    assert psnr(images, encoded.images) > 28


def test_damaged_sections_are_input_errors_or_other_bands(rng: np.random.Generator) -> None:
    images = scene(10, 16, 18)
    sections = encode_bands(images, 3, 6).sections
    for name, data in sections.items():
        for missing in ({}, {name: b""}, {name: data[:1]}, {name: data[:9]}, {name: data[: len(data) // 2]}):
            bad = {other: kept for other, kept in sections.items() if other != name} | missing
            try:
                decode_bands(bad, images.shape, images.dtype)
            except InputError:
                continue
            assert name == "maps"  # an AV1 decoder may make something of half a stream
        for _ in range(60):
            flipped = bytearray(data)
            flipped[rng.integers(len(data))] ^= 1 << rng.integers(8)
            try:
                back = decode_bands(sections | {name: bytes(flipped)}, images.shape, images.dtype)
            except NmfcError:
                continue
            assert (back.shape, back.dtype) == (images.shape, images.dtype)


def test_sections_of_another_shape_are_refused() -> None:
    sections = encode_bands(scene(10, 16, 18), 3, 6).sections
    for shape in ((10, 16, 40), (10, 160, 18), (10, 16, 18, 3), (11, 16, 18), (10**6, 16, 18), (10, 10**6, 10**6)):
        with pytest.raises(InputError):
            decode_bands(sections, shape, "uint8")
    for shape in ((10, 16), (10, 16, 18, 4), (0, 16, 18)):
        with pytest.raises(InputError, match="of shape"):
            decode_bands(sections, shape, "uint8")


def test_sums_stay_exact() -> None:
    most = bands.LARGEST_CODE * 255 * bands.MOST_PARTS
    assert most < 2**53


def smallest(images: np.ndarray, target: float) -> int:
    """Bytes, with 60 for the container, at the coarsest step of a search that has this PSNR."""
    fit, low, high, best = Bands(images, 8), 1.0, 100.0, 10**9
    for _ in range(7):
        step = math.sqrt(low * high)
        encoded = fit.encode(step)
        if psnr(images, encoded.images) >= target:
            low, best = step, min(best, size(encoded.sections) + 60)
        else:
            high = step
    return best


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_real_spectral_bands(data: Path) -> None:
    cube = np.load(data / "stacks/samson_bands_156x95x95_f32.npy")
    images = np.rint(cube / cube.max() * 255).astype(np.uint8)
    assert smallest(images, 37.9) / len(images) < 9


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_a_real_movie(data: Path) -> None:
    with Image.open(data / "stacks/mouse_500x64x64_u16.tif") as file:
        movie = np.stack([np.asarray(frame) for frame in ImageSequence.Iterator(file)]).astype(float)
    images = np.rint((movie - movie.min()) / np.ptp(movie) * 255).astype(np.uint8)
    assert smallest(images, 31.7) / len(images) < 1


def test_as_many_at_a_time_as_fit_are_the_same_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_container(encode_stack(scene(40, dtype="uint16"), arrangement="bands", rank=3))
    whole = opened.pictures()
    monkeypatch.setattr(bands, "decode_maps", None)  # once is enough
    with pytest.raises(TooLarge, match="decoding 40 pictures"):
        opened.pictures(limits=Limits(300_000))
    assert opened.together(Limits(1)) == 1
    count = opened.together(Limits(300_000))
    assert 1 < count < 40
    pieces = [opened.pictures(np.arange(i, min(i + count, 40)), limits=Limits(300_000)) for i in range(0, 40, count)]
    assert np.array_equal(np.concatenate(pieces), whole)
