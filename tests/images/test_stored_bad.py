"""Images that stay in their file, and what goes wrong: one line that names the file and the images. And pictures."""

from __future__ import annotations

import os
import pickle
import resource
import shutil
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from arrays_made import PLENTY, RNG, both, npy_head, ramp, same
from PIL import Image

from nmfcompress import read_stack
from nmfcompress.errors import InputError, TooLarge
from nmfcompress.images import cache
from nmfcompress.images.archives import read_archive
from nmfcompress.images.limits import Limits
from nmfcompress.images.stored import StoredImages
from nmfcompress.recipes import fit_collection
from nmfcompress.settings import Fit


@pytest.fixture
def greys(tmp_path: Path) -> Path:
    """40 images of 8 x 7 in a .npy."""
    path = tmp_path / "a.npy"
    np.save(path, RNG.integers(0, 256, (40, 8, 7), np.uint8))
    return path


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


def test_a_limit_on_the_size_of_files_is_called_what_it_is(folder):
    """As `ulimit -f` sets it: the temporary folder has room, and TMPDIR would not help."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    try:
        with pytest.raises(InputError, match=r"the temporary file in .*, of 18\.0 KB, .*: File too large$") as caught:
            read_stack(folder, limits=Limits(18_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "TMPDIR" not in str(caught.value)
