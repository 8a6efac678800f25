"""Images that stay in their file: what is read is what loading gives, and what goes wrong names file and images."""

from __future__ import annotations

import os
import pickle
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from arrays_made import RNG, idx, npy_head, npz, ramp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from nmfcompress import read_stack
from nmfcompress.errors import InputError, TooLarge
from nmfcompress.images import cache
from nmfcompress.images.archives import Stack, read_archive
from nmfcompress.images.limits import Limits
from nmfcompress.images.masks import read_mask
from nmfcompress.images.stored import StoredImages, held
from nmfcompress.recipes import caveats, fit_collection
from nmfcompress.settings import Fit

PLENTY = Limits(10**9)


def both(source: object, **options: object) -> tuple[Stack, Stack]:
    """An archive left in its file, and the same loaded."""
    apart = read_archive(source, limits=Limits(4000), **options)
    whole = read_archive(source, limits=PLENTY, **options)
    assert isinstance(apart.images, StoredImages)
    assert isinstance(whole.images, np.ndarray)
    return apart, whole


def same(apart: Stack, whole: Stack) -> None:
    for name in ("shape", "dtype", "ndim", "size", "nbytes"):
        assert getattr(apart.images, name) == getattr(whole.images, name)
    read = apart.images[:]
    np.testing.assert_array_equal(read, whole.images)
    assert (read.dtype, read.dtype.isnative, read.flags.c_contiguous) == (whole.images.dtype, True, True)
    assert (apart.levels, apart.notes, len(apart.images)) == (whole.levels, whole.notes, len(whole.images))
    np.testing.assert_array_equal(apart.indices, whole.indices)


@pytest.fixture
def greys(tmp_path: Path) -> Path:
    """40 images of 8 x 7 in a .npy."""
    path = tmp_path / "a.npy"
    np.save(path, RNG.integers(0, 256, (40, 8, 7), np.uint8))
    return path


# What is read


VALUES = {
    "own range": RNG.normal(5, 1, (40, 8, 7)) ** 2,
    "unit": RNG.random((40, 8, 7)),
    "whole": RNG.integers(0, 120, (40, 8, 7)),
    "0 and 1": RNG.integers(0, 2, (40, 8, 7)),
    "constant": np.full((40, 8, 7), 3),
    "nothing": np.zeros((40, 8, 7)),
}
TYPES = ("u1", "<u2", ">u2", "?", "i1", "<i2", ">i2", ">i4", "<i8", "<u4", "<f2", ">f2", "<f4", ">f4", "<f8", ">f8")


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_is_read_as_loading_reads_it(tmp_path, dtype, values):
    np.save(tmp_path / "a.npy", values.astype(dtype))
    same(*both(tmp_path / "a.npy"))
    np.savez(tmp_path / "a.npz", images=values.astype(dtype), labels=np.arange(40))
    apart, whole = both(tmp_path / "a.npz")
    same(apart, whole)
    np.testing.assert_array_equal(apart.labels, whole.labels)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_idx(tmp_path, dtype):
    (tmp_path / "a-idx3").write_bytes(idx(ramp(90, 8, 7, dtype=dtype)))
    same(*both(tmp_path / "a-idx3"))


@pytest.mark.parametrize(
    ("shape", "order", "options"),
    [
        ((50, 100), "C", {}),
        ((50, 9, 9, 3), "C", {}),
        ((50, 9, 9, 1), "C", {}),
        ((50, 300), "C", {"collection": True}),
        ((10, 9, 80), "F", {"axis": 2, "order": "F"}),
        ((50, 9, 9), "C", {"axis": 0}),
    ],
)
def test_layouts_that_stay_in_the_file(tmp_path, shape, order, options):
    np.save(tmp_path / "a.npy", np.asarray(ramp(*shape), order=order))
    same(*both(tmp_path / "a.npy", **options))


@pytest.mark.parametrize(
    ("shape", "order", "options"),
    [
        ((100, 50), "C", {"axis": 1}),
        ((10, 9, 80), "C", {"axis": 2}),
        ((80, 10, 9), "F", {}),
        ((80, 10, 9), "C", {"order": "F"}),
        ((50, 9, 9, 4), "C", {}),
        ((50, 9, 9, 2), "C", {}),
        ((50, 3, 9, 9), "C", {"axis": 0}),
        ((20, 3072), "C", {}),
        ((90, 90), "C", {"collection": False}),
    ],
)
def test_layouts_that_are_loaded_or_refused(tmp_path, shape, order, options):
    np.save(tmp_path / "a.npy", np.asarray(ramp(*shape), order=order))
    nbytes = int(np.prod(shape))
    stack = read_archive(tmp_path / "a.npy", limits=Limits(nbytes * 30), **options)
    assert isinstance(stack.images, np.ndarray)
    with pytest.raises(TooLarge, match=r"a \.npy or uncompressed \.npz, images first, is read a piece at a time"):
        read_archive(tmp_path / "a.npy", limits=Limits(nbytes - 1), **options)


def test_when_an_archive_stays_in_its_file(greys, tmp_path):
    assert isinstance(read_archive(greys, limits=Limits(4 * 40 * 56)).images, np.ndarray)
    assert isinstance(read_archive(greys, limits=Limits(4 * 40 * 56 - 1)).images, StoredImages)
    content = greys.read_bytes()
    (tmp_path / "a.npz").write_bytes(npz(images=np.load(greys)))
    for other in (content, tmp_path / "a.npz"):
        assert isinstance(read_archive(other, limits=Limits(4 * 40 * 56 - 1)).images, np.ndarray)
    apart = read_archive(greys, limits=Limits(4000))
    assert apart.assumed[0] == "2.2 KB, read a piece at a time"
    assert held(apart.images) == 0
    assert held(read_archive(greys).images) == 40 * 56


def test_both_splits_of_an_archive(tmp_path):
    train, test = ramp(40, 8, 7), ramp(30, 8, 7)[::-1]
    np.savez(tmp_path / "a.npz", x_train=train, y_train=np.arange(40), x_test=test, y_test=np.arange(30))
    apart, whole = both(tmp_path / "a.npz", split="all")
    same(apart, whole)
    np.testing.assert_array_equal(apart.labels, whole.labels)
    np.testing.assert_array_equal(apart.images[38:45], whole.images[38:45])
    np.testing.assert_array_equal(apart.images[[69, 3, 39, 40]], whole.images[[69, 3, 39, 40]])


def test_colour_is_made_grey_as_it_is_read(tmp_path):
    for name, values in (("a", ramp(50, 9, 8, 3)), ("b", RNG.random((50, 9, 8, 3)))):
        np.save(tmp_path / f"{name}.npy", values)
        apart = read_stack(tmp_path / f"{name}.npy", gray=True, limits=Limits(4000))
        whole = read_stack(tmp_path / f"{name}.npy", gray=True)
        assert isinstance(apart.images, StoredImages)
        same(apart, whole)
        np.testing.assert_array_equal(apart.images[7], whole.images[7])


# Indices


@pytest.fixture(scope="module")
def floats(tmp_path_factory) -> tuple[StoredImages, np.ndarray]:
    path = tmp_path_factory.mktemp("floats") / "a.npz"
    np.savez(path, x_train=RNG.random((23, 6, 5)) * 9, x_test=RNG.random((20, 6, 5)) * 9)
    apart, whole = both(path, split="all")
    return apart.images, whole.images


BOUND = st.none() | st.integers(-50, 50)
INDICES = st.lists(st.integers(-43, 42), max_size=50)


@settings(deadline=None, max_examples=200)
@given(start=BOUND, stop=BOUND, step=st.none() | st.integers(-5, 5).filter(bool))
def test_slices(floats, start, stop, step):
    part = slice(start, stop, step)
    apart, whole = floats
    np.testing.assert_array_equal(apart[part], whole[part])
    np.testing.assert_array_equal(apart.picked(part)[1:3], whole[part][1:3])
    rows = apart.reshape(len(apart), -1)
    np.testing.assert_array_equal(rows[part], whole.reshape(43, -1)[part])


@settings(deadline=None, max_examples=200)
@given(chosen=INDICES, data=st.data())
def test_images_by_number(floats, chosen, data):
    apart, whole = floats
    np.testing.assert_array_equal(apart[np.array(chosen, int)], whole[np.array(chosen, int)])
    first, again = apart.picked(chosen), whole[np.array(chosen, int)]
    assert first.shape == again.shape
    inside = st.integers(-len(chosen), len(chosen) - 1)
    places = data.draw(st.lists(inside, max_size=20)) if chosen else []
    np.testing.assert_array_equal(first.picked(places)[:], again[np.array(places, int)])
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(chosen), max_size=len(chosen))), bool)
    np.testing.assert_array_equal(first.picked(mask)[::-1], again[mask][::-1])
    for place in places[:3]:
        np.testing.assert_array_equal(first[place], again[place])


def test_wrong_indices_and_shapes(greys):
    images = read_archive(greys, limits=Limits(4000)).images
    for index in (40, -41, "a", 1.5, (0, 0), None):
        with pytest.raises(IndexError):
            images[index]
    for places in ([40], [-41], np.ones(39, bool)):
        with pytest.raises(IndexError):
            images.picked(places)
    for shape in ((20, -1), (40, 55), (40, 3, -1), (40, -1, -1), (-1,)):
        with pytest.raises(ValueError, match="cannot reshape"):
            images.reshape(*shape)
    assert images.reshape((40, 56)).shape == images.reshape(-1, 56).shape == (40, 56)
    assert images.reshape(40, -1).reshape(40, 7, 8).shape == (40, 7, 8)
    with pytest.raises(TypeError, match=r"read a piece at a time: x\[a:b\]"):
        np.asarray(images)
    assert [image.shape for image in images.picked([3, 4])] == [(8, 7)] * 2
    assert repr(images) == f"<40 x 8 x 7 uint8 in {greys}>"


# Other threads and processes


def test_threads_read_at_the_same_time(floats):
    apart, whole = floats
    with ThreadPoolExecutor(8) as pool:
        parts = [slice(i % 40, i % 40 + 3) for i in range(2000)]
        for part, read in zip(parts, pool.map(lambda part: apart[part], parts), strict=True):
            np.testing.assert_array_equal(read, whole[part])


def test_another_process_opens_the_file_anew(greys, monkeypatch):
    monkeypatch.chdir(greys.parent)
    images = read_archive("a.npy", limits=Limits(4000)).images.picked([5, 3, 4]).reshape(3, -1)
    code = "import pickle, sys; sys.stdout.buffer.write(pickle.load(sys.stdin.buffer)[:].tobytes())"
    for folder in (greys.parent, "/"):
        done = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(images), cwd=folder, capture_output=True)
        assert done.stdout == images[:].tobytes(), done.stderr
    again = pickle.loads(pickle.dumps(images))
    np.save(greys, ramp(40, 8, 7))
    with pytest.raises(InputError, match="image 5: has changed since it was opened"):
        again[:]
    gone = pickle.loads(pickle.dumps(images))
    greys.unlink()
    with pytest.raises(InputError, match=r"a\.npy: image 5: cannot be read: No such file"):
        gone[:]


# What goes wrong


def test_a_file_that_is_cut_off_meanwhile(greys):
    images = read_archive(greys, limits=Limits(4000)).images
    os.truncate(greys, 128 + 30 * 56)
    with pytest.raises(InputError) as caught:
        images[20:33]
    words = "images 20 to 32: has changed since it was opened (1,808 bytes, 2,368 before)"
    assert str(caught.value) == f"{greys}: {words}: start again when it is complete"
    with pytest.raises(InputError, match="image 2: has changed"):
        images[2]


def test_a_file_that_is_overwritten_meanwhile(greys):
    images = read_archive(greys, limits=Limits(4000)).images
    with open(greys, "r+b") as file:
        file.seek(1000)
        file.write(b"other")
    os.utime(greys, ns=(0, 0))
    with pytest.raises(InputError, match="images 0 to 39: has changed since it was opened"):
        images[:]


def test_a_file_that_is_replaced_meanwhile_stays_the_old_one(greys):
    before = np.load(greys)
    images = read_archive(greys, limits=Limits(4000)).images
    np.save(greys.with_name("b.npy"), ramp(40, 8, 7))
    os.replace(greys.with_name("b.npy"), greys)
    np.testing.assert_array_equal(images[:], before)


def test_a_fit_whose_file_is_cut_off_ends_in_one_line(greys):
    images = read_archive(greys, limits=Limits(4000)).images
    with pytest.raises(InputError, match=r"a\.npy: images 0 to 39: has changed"):
        fit_collection(images, Fit(2, jobs=2), on_sweep=lambda record: os.truncate(greys, 500))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_nan_in_the_middle_is_named_by_image(tmp_path, value, ending):
    """3,000 images are three pieces of the one look through the file."""
    values = RNG.random((3000, 50, 10))
    values[1717, 4, 3] = values[2999, 0, 0] = value
    path = tmp_path / f"a.{ending}"
    np.save(path, values) if ending == "npy" else np.savez(path, values)
    for limits in (Limits(40_000), PLENTY):
        with pytest.raises(InputError) as caught:
            read_archive(path, limits=limits)
        assert str(caught.value) == f"{path}: has 2 NaN or infinite values, the first in image 1,717 at (4, 3)"
    np.save(tmp_path / "b.npy", -values[:1700])
    with pytest.raises(InputError, match=r"b\.npy: has negative values \(lowest -"):
        read_archive(tmp_path / "b.npy", limits=Limits(40_000))


def flipped(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_wrong_checksum(tmp_path, dtype):
    path = tmp_path / "a.npz"
    np.savez(path, images=RNG.random((300, 8, 7)).astype(dtype))
    at = path.read_bytes().index(b"\x93NUMPY")
    for place in (at + 128, at + 128 + 9000):  # the first image, and another
        flipped(path, place)
        with pytest.raises(InputError, match="CRC-32"):
            read_archive(path, limits=Limits(4000))
        with pytest.raises(InputError, match="CRC-32"):
            read_archive(path, limits=PLENTY)
        flipped(path, place)
    same(*both(path))


def test_lying_zip_headers(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, images=ramp(300, 8, 7))
    good = path.read_bytes()
    local, central = good.index(b"PK\3\4"), good.index(b"PK\1\2")
    for at, value in (
        (central + 20, struct.pack("<I", 5)),  # fewer bytes stored than there are
        (central + 42, struct.pack("<I", 40)),  # no local header there
        (local + 26, struct.pack("<H", 4000)),  # a name that reaches into the array
        (local + 28, struct.pack("<H", 60_000)),  # other data that reach beyond the end
        (local, b"XXXX"),
    ):
        path.write_bytes(good[:at] + value + good[at + len(value) :])
        with pytest.raises(InputError):
            read_archive(path, limits=Limits(4000))
    path.write_bytes(b"#!/bin/sh\n" + good)  # something before it, as zip allows
    with pytest.raises(InputError):
        read_archive(path, limits=Limits(4000))


def test_members_behind_others_and_with_extra_fields(tmp_path):
    path, array = tmp_path / "a.npz", ramp(300, 8, 7)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("note.txt", "x" * 1001)
        with archive.open("images.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array(member, array)
    apart, whole = both(path)
    same(apart, whole)
    content = path.read_bytes()
    assert zlib.crc32(apart.images[:].tobytes()) == zlib.crc32(array.tobytes())
    assert content.count(b"images.npy") == 2


def test_lying_npy_headers(tmp_path):
    for shape in ("(9895604649984, 3, 3)", f"({2**63}, 2, 2)", "(100, 8, 8)"):
        (tmp_path / "a.npy").write_bytes(npy_head("|u1", shape) + bytes(5000))
        with pytest.raises(InputError):
            read_archive(tmp_path / "a.npy", limits=Limits(4000))
    (tmp_path / "a.npy").write_bytes(npy_head("<c8", "(10, 8, 8)") + bytes(5120))
    with pytest.raises(InputError, match="expected real numbers"):
        read_archive(tmp_path / "a.npy", limits=Limits(4000))


# Pictures


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for place in range(30):
        Image.fromarray(RNG.integers(0, 256, (20, 30), np.uint8)).save(tmp_path / f"in/{place:02}.png")
    return tmp_path / "in"


def test_pictures_are_decoded_once(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(cache.tempfile, "tempdir", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    apart, whole = read_stack(folder, limits=Limits(18_000)), read_stack(folder)
    assert isinstance(apart.images, StoredImages)
    same(apart, whole)
    assert apart.files == whole.files
    shutil.rmtree(folder)
    np.testing.assert_array_equal(apart.images.picked([3, 9])[1], whole.images[9])
    assert not list((tmp_path / "cache").iterdir())
    with pytest.raises(InputError, match="temporary file without a name"):
        pickle.dumps(apart.images)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_frames(tmp_path, dtype):
    values = RNG.random((30, 20, 30)) * (1 if dtype == np.float32 else np.iinfo(dtype).max)
    shown = [Image.fromarray(frame) for frame in values.astype(dtype)]
    shown[0].save(tmp_path / "a.tif", save_all=True, append_images=shown[1:])
    apart, whole = read_stack(tmp_path / "a.tif", limits=Limits(60_000)), read_stack(tmp_path / "a.tif")
    if dtype == np.uint8:
        assert isinstance(read_stack(tmp_path / "a.tif", limits=Limits(70_000)).images, StoredImages)
        apart = read_stack(tmp_path / "a.tif", limits=Limits(70_000))
    same(apart, whole)


def test_a_picture_that_does_not_fit_in_is_named(folder):
    Image.fromarray(np.zeros((20, 31), np.uint8)).save(folder / "29.png")
    with pytest.raises(InputError, match=r"29\.png: is 31 x 20"):
        read_stack(folder, limits=Limits(18_000))


def test_room_for_the_cache(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**6, 10**6, 1000))
    with pytest.raises(TooLarge, match=r"30 decoded pictures need 18\.0 KB in .* 1\.0 KB free \(set TMPDIR"):
        read_stack(folder, limits=Limits(18_000))
    monkeypatch.undo()
    monkeypatch.setattr(cache.tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(InputError, match="need a temporary file"):
        read_stack(folder, limits=Limits(18_000))


# The work on them


@pytest.mark.parametrize("shape", [(400, 13, 12), (400, 12, 12, 3)])
@pytest.mark.parametrize("dtype", ["uint8", ">u2", "int16", "float64"])
def test_a_fit_is_the_same_to_the_byte(tmp_path, shape, dtype):
    np.save(tmp_path / "a.npy", (RNG.random(shape) * 120).astype(dtype))
    apart, whole = both(tmp_path / "a.npy")
    chosen = np.flatnonzero(RNG.random(400) < 0.5)
    pairs = [(apart.images, whole.images), (apart.images.picked(chosen), whole.images[chosen])]
    for stored, loaded in pairs:
        a, b = (fit_collection(images, Fit(3, max_sweeps=5, jobs=2)) for images in (stored, loaded))
        assert a.fit.W.tobytes() == b.fit.W.tobytes()
        assert a.fit.H.tobytes() == b.fit.H.tobytes()
        assert a.measured == b.measured


def test_zeros_are_counted_piece_by_piece(tmp_path):
    np.save(tmp_path / "a.npy", RNG.integers(0, 3, (50_000, 8, 7), np.uint8))
    apart, whole = both(tmp_path / "a.npy")
    zeros = f"{np.count_nonzero(whole.images == 0):,} zeros"
    for images in (apart.images, whole.images):
        assert caveats(images, Fit(2, divergence="is"))[0].startswith(zeros)
        assert not caveats(images, Fit(2))


def test_a_mask_is_loaded(tmp_path):
    np.save(tmp_path / "mask.npy", RNG.integers(0, 2, (40, 8, 7), np.uint8))
    known = np.load(tmp_path / "mask.npy") > 0
    np.testing.assert_array_equal(read_mask(str(tmp_path / "mask.npy"), (40, 8, 7), Limits(4000)), known)
    with pytest.raises(TooLarge, match="as a mask"):
        read_mask(str(tmp_path / "mask.npy"), (40, 8, 7), Limits(2000))
