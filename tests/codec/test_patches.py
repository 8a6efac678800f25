"""Patches of one picture: what is encoded decodes to what the encoder promised, whatever the picture."""

import base64
import contextlib
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmfcompress.codec import patch_blocks, patch_model, patch_nets
from nmfcompress.codec.patches import SECTION, decode_patches, encode_patches
from nmfcompress.errors import NmfcError

STORED = (  # of a picture of 40 x 56 pixels, three channels
    "000;OzyOcA4`$Q+d3Q5W(-}T;2+k#mHIhKB&*-)U!)`WS4<r94i;W5DRXy&y?DQ^19UrScJWuM>t`cGy*bcgDN<sFKmqYHJzH$(p-uknD?6~e5"
    "h92z34w(-a@G4&y_kdSs1*J-UX%0cvr|CLiIsiI=I+WMHKgvpfYR9p#q{P_`t4=~{n+l>Q0b@>fMn|aR`%U_jsqLjv>+yRxz`V_-hQ-uQ9R3Es"
    "&AAW!-c_>PdH<tABZLS{@c}7op+x{d"
)
SHOWN = 4_229_950_782  # CRC-32 of its pixels


def photo(h=72, w=96, channels=3, seed=0):
    """Smooth colours, edges and some grain: as much like a photograph as a few lines get."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:h, :w] / max(h, w)
    planes = []
    for _ in range(channels):
        plane = 128 + 60 * np.sin(rng.uniform(2, 9) * x + rng.uniform(0, 6)) * np.cos(rng.uniform(2, 9) * y)
        plane += 50 * (x * rng.uniform(-1, 1) + y * rng.uniform(-1, 1) > 0.2)
        planes.append(plane + rng.normal(0, 3, (h, w)))
    picture = np.clip(np.stack(planes, axis=2), 0, 255)
    return (picture if channels == 3 else picture[..., 0]).astype(np.uint8)


def psnr(a, b, peak=255):
    return 10 * np.log10(peak**2 / np.mean((a.astype(float) - b) ** 2))


def size(encoded):
    return sum(len(part) for part in encoded.sections.values())


@settings(max_examples=15, deadline=None)
@given(
    h=st.integers(1, 50),
    w=st.integers(1, 50),
    channels=st.sampled_from([1, 3]),
    dtype=st.sampled_from([np.uint8, np.uint16, np.float32, np.float64]),
    step=st.floats(0.02, 300),
    seed=st.integers(0, 99),
)
def test_decoded_is_what_the_encoder_promised(h, w, channels, dtype, step, seed):
    picture = photo(h, w, channels, seed).astype(np.float64) / 255
    picture = picture.astype(dtype) if np.dtype(dtype).kind == "f" else (picture * np.iinfo(dtype).max).astype(dtype)
    encoded = encode_patches(picture, step)
    assert encoded.pixels.shape == picture.shape
    assert encoded.pixels.dtype == picture.dtype
    np.testing.assert_array_equal(decode_patches(encoded.sections, picture.shape, dtype), encoded.pixels)


@pytest.mark.parametrize("value", [0, 7, 255])
def test_a_picture_of_one_value_is_tiny_and_exact(value):
    picture = np.full((200, 300, 3), value, dtype=np.uint8)
    encoded = encode_patches(picture, 20)
    assert size(encoded) < 80
    assert np.abs(encoded.pixels.astype(int) - value).max() <= 1


@pytest.mark.parametrize("kind", ["noise", "black and white", "checks"])
def test_pictures_that_are_no_photographs(kind):
    rng = np.random.default_rng(1)
    picture = {
        "noise": rng.integers(0, 256, (50, 70, 3)),
        "black and white": 255 * rng.integers(0, 2, (50, 70, 1)).repeat(3, axis=2),
        "checks": np.indices((50, 70)).sum(axis=0)[..., None].repeat(3, axis=2) % 2 * 255,
    }[kind].astype(np.uint8)
    for step in (0.5, 30):
        encoded = encode_patches(picture, step)
        np.testing.assert_array_equal(decode_patches(encoded.sections, picture.shape, np.uint8), encoded.pixels)


def test_a_coarser_step_is_smaller_and_worse():
    picture = photo()
    found = [encode_patches(picture, step) for step in (2, 5, 10, 20, 40, 80, 160)]
    sizes, quality = [size(e) for e in found], [psnr(picture, e.pixels) for e in found]
    assert sizes == sorted(sizes, reverse=True)
    assert quality == sorted(quality, reverse=True)
    assert quality[0] > 36
    assert quality[3] > 30


def test_sixteen_bits_and_floats_are_kept_finer_than_eight():
    grey = photo(channels=1).astype(np.float64)[:48, :48] + np.random.default_rng(0).random((48, 48))
    for dtype, peak in ((np.uint16, 65535), (np.float32, 1.0)):
        picture = (grey / 256 * peak).astype(dtype)
        assert psnr(picture, encode_patches(picture, 0.1).pixels, peak) > 68


def test_fewer_bands_are_a_coarser_picture():
    picture = photo()
    encoded = encode_patches(picture, 8)
    quality = [
        psnr(picture, decode_patches(encoded.sections, picture.shape, np.uint8, rank)) for rank in (1, 3, 10, 64)
    ]
    assert quality == sorted(quality)
    np.testing.assert_array_equal(decode_patches(encoded.sections, picture.shape, np.uint8, 64), encoded.pixels)
    few = encode_patches(picture, 8, rank=6)
    assert size(few) < size(encoded)
    np.testing.assert_array_equal(decode_patches(few.sections, picture.shape, np.uint8), few.pixels)


def test_damage_is_refused_or_decodes_to_another_picture():
    """A checksum is the container's task: here nothing but NmfcError may escape, and the shape holds."""
    picture = photo(40, 48)
    data = encode_patches(picture, 20).sections[SECTION]
    rng = np.random.default_rng(3)
    for at in [*range(8), *rng.integers(8, len(data), 12)]:
        bad = bytearray(data)
        bad[at] ^= 1 << int(rng.integers(8))
        with contextlib.suppress(NmfcError):
            assert decode_patches({SECTION: bytes(bad)}, picture.shape, np.uint8).shape == picture.shape
    for end in (0, 3, 6, 10, len(data) // 2, len(data) - 2):
        with pytest.raises(NmfcError):
            decode_patches({SECTION: data[:end]}, picture.shape, np.uint8)
    with pytest.raises(NmfcError):
        decode_patches({SECTION: data + b"\0\0"}, picture.shape, np.uint8)
    with pytest.raises(NmfcError):
        decode_patches({}, picture.shape, np.uint8)


@pytest.mark.parametrize("shape", [(0, 5), (4, 4, 2), (4, 4, 3, 1), (4,)])
def test_other_arrays_are_refused(shape):
    with pytest.raises(NmfcError):
        encode_patches(np.zeros(shape, dtype=np.uint8), 20)


@pytest.mark.parametrize("number", range(len(patch_blocks.SHAPES)))
def test_bands_come_back_as_the_plane(number):
    plane = np.random.default_rng(0).normal(0, 60, (64, 96))
    shapes = np.full((8, 12), number)
    bands = patch_blocks.to_bands(plane, patch_blocks.SHAPES[number])
    means = patch_blocks.to_means(bands[0, 0], shapes)
    whole = np.rint(bands * patch_blocks.FINE)
    whole[0, 0] = patch_blocks.from_means(np.rint(means * patch_blocks.FINE), shapes)
    np.testing.assert_allclose(patch_blocks.from_bands(whole, shapes) / patch_blocks.FINE, plane, atol=0.03)


@pytest.mark.parametrize("number", range(len(patch_blocks.SHAPES)))
def test_means_are_near_those_of_the_pixels_whatever_the_patch(number):
    y, x = np.mgrid[:64, :64]
    plane = 40 * np.sin(x / 17) + y / 3
    corner = patch_blocks.to_bands(plane, patch_blocks.SHAPES[number])[0, 0]
    means = patch_blocks.to_means(corner, np.full((8, 8), number))
    np.testing.assert_allclose(means / 8, plane.reshape(8, 8, 8, 8).mean(axis=(1, 3)), atol=2)


def test_atoms_are_differences_of_non_negative_parts_that_do_not_overlap():
    for n in (8, 16, 32):
        atoms = patch_blocks.cosines(n)
        more, less = np.maximum(atoms, 0), np.maximum(-atoms, 0)
        np.testing.assert_array_equal(more - less, atoms)
        np.testing.assert_array_equal(more * less, 0)
        np.testing.assert_allclose(atoms @ atoms.T, np.eye(n), atol=1e-12)


def test_rounding_the_atoms_is_never_close_to_a_half():
    """So that a cosine that is off by its last bits gives the same whole number on every machine."""
    for n in (2, 4, 8, 16, 32):
        scaled = patch_blocks.cosines(n) * patch_blocks.SCALE
        assert np.abs(np.abs(scaled - np.floor(scaled)) - 0.5).min() > 1e-6


def test_sums_of_the_networks_are_exact_in_float32():
    most = patch_model.SIZE_OF.max()
    for net in patch_nets.tables().nets.values():
        fixed = sum(np.abs(part).max() for part in (net.kinds, net.places, net.rows, net.columns, net.diagonals))
        features = np.abs(net.on_cell).sum(axis=0) * max(most, 31) + np.abs(net.on_band).sum(axis=0) * most
        assert features.max() + fixed < 2**24
        assert (np.abs(net.answers).sum(axis=0) * 255 + np.abs(net.bias)).max() < 2**24
    for layer in patch_nets.tables().layers:
        assert (
            np.abs(layer.weights).sum(axis=(0, 1)) * 255 + np.abs(layer.bias) + 31 * np.abs(layer.by_level)
        ).max() < 2**24


def test_a_stored_picture_is_decoded_as_ever():
    """Trained numbers and every rounding are part of the format; this one must never change."""
    pixels = decode_patches({SECTION: base64.b85decode(STORED)}, (40, 56, 3), np.uint8)
    assert zlib.crc32(pixels.tobytes()) == SHOWN
