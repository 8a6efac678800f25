"""Bad array files: strangers, truncated, lying, hostile, mutated. One line each, and no memory taken."""

from __future__ import annotations

import gzip
import pickle
import struct
import subprocess
import sys
import zipfile
import zlib
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from arrays_made import MB, PEAK, RNG, idx, mat, measured, npy, npy_head, npz, ramp, refused, zipped
from hypothesis import given, settings
from hypothesis import strategies as st

from nmfcompress.errors import NmfcError, TooLarge
from nmfcompress.images.archives import read_archive
from nmfcompress.images.limits import Limits

# What a file says it is


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (b"<html>", "this is an HTML page, not an array archive"),
        (b"version https://git-lfs.github.com/spec/v1\n", "run `git lfs pull`"),
        (b"/annex/objects/MD5E-s1", "git-annex pointer"),
        (b"\x89PNG\r\n\x1a\n", "this is a picture, not an array archive"),
        (b"\x12\x34\x56\x78", "12 34 56 78"),
        (pickle.dumps([1, 2]), "a Python pickle"),
        (b"PK\5\6" + bytes(18), "zip archive without arrays"),
        (zipped(("word/document.xml", b"<xml/>")), "zip archive without arrays"),
        (gzip.compress(b"", mtime=0), "an empty gzip"),
        (gzip.compress(b"<html>", mtime=0), "a gzip of an HTML page"),
        (gzip.compress(npz(x=ramp(5, 5)), mtime=0), "unpack it with gunzip"),
        (gzip.compress(b"\xfe\xfe\xfe\xfe", mtime=0), "bytes of no known kind"),
        (b"\x1f\x8b", "truncated after 2 bytes"),
        (b"MATLAB 7.3 MAT-file", "save with -v7"),
    ],
)
def test_strangers_are_named(content, words):
    refused(content, "standard input: ", words)


def test_errors_name_the_file(tmp_path):
    refused(tmp_path / "none.npz", str(tmp_path / "none.npz"), "No such file")
    refused(tmp_path, "Is a directory")
    refused(b"", "stdin.npz: this", name="stdin.npz")
    refused("a\0b", "a")


# Lengths


@pytest.mark.parametrize("keep", [5, 15, 16, 100, 2367])
def test_short_idx(keep):
    content = idx(ramp(3, 28, 28))[:keep]
    message = refused(content, f"truncated after {keep:,} bytes")
    if keep >= 16:
        assert "(its header says 3 images of 28 x 28: 2,368 bytes)" in message
    refused(gzip.compress(content), f"truncated after {keep:,} bytes")


def test_long_idx():
    content = idx(ramp(3, 28, 28)) + b"x"
    refused(content, "longer than its header says")
    refused(gzip.compress(content), "longer than its header says")


def test_gzip_that_breaks_off():
    content = gzip.compress(idx(RNG.integers(0, 255, (3, 28, 28), dtype=np.uint8)))
    for keep in (len(content) - 1, len(content) - 8, len(content) // 2):
        refused(content[:keep], f"truncated after {keep:,} bytes, ", "3 images of 28 x 28: 2,368 bytes")
    refused(content[:-8] + bytes(8), "broken")


def test_a_gzip_of_more_members_than_anyone_writes():
    refused(gzip.compress(b"", mtime=0) * 10**6, "is a gzip of over 10,000 members with hardly a byte in each")


def test_gzip_in_pieces_and_padded():
    array = ramp(3, 28, 28)
    content = idx(array)
    several = gzip.compress(content[:7]) + gzip.compress(b"") + gzip.compress(content[7:]) + bytes(512)
    np.testing.assert_array_equal(read_archive(several).images, array)


@pytest.mark.parametrize("keep", [7, 9, 60, 127, 128, 200])
def test_short_npy(keep):
    refused(npy(ramp(10, 10))[:keep], "truncated after" if keep > 8 else "broken")
    refused(npy(ramp(10, 10)) + b"x", "longer than its header says")


def test_short_npz_and_mat():
    content = npz(x=ramp(30, 30))
    refused(content[:-30], f"truncated after {len(content) - 30:,} bytes")
    for compress in (False, True):
        content = mat(compress, images=RNG.integers(0, 255, (30, 30, 3), dtype=np.uint8), other=ramp(30, 30))
        for keep in (100, 130, 300, len(content) - 1):
            refused(content[:keep], f"truncated after {keep:,} bytes")


# Hostile


LYING = {
    "9 TiB in 177 bytes": npy_head("|u1", "(9895604649984,)"),
    "2^63": npy_head("|u1", f"({2**63}, 2)"),
    "2^200": npy_head("<f8", f"({2**200}, {2**200})"),
    "negative": npy_head("|u1", "(-1, -1)") + b"x",
    "no tuple": npy_head("|u1", "7"),
    "booleans": npy_head("|u1", "(True, True)"),
    "zero and huge": npy_head("|u1", f"(0, {2**63})"),
    "object": npy_head("|O", "(1, 1)") + pickle.dumps([print]),
    "no header": b"\x93NUMPY\1\0",
    "long header": b"\x93NUMPY\2\0\xff\xff\xff\x7f" + b" " * 20_000,
    "version 9": b"\x93NUMPY\x09\0" + bytes(100),
    "nested": b"\x93NUMPY\1\0" + struct.pack("<H", 9000) + b"(" * 9000,
}


@pytest.mark.parametrize("content", LYING.values(), ids=LYING)
def test_lying_headers(content):
    if b"True, True" not in content:  # that one is a single pixel short
        refused(content)
    refused(zipped(("images.npy", content)))
    refused(gzip.compress(content))


def test_odd_members():
    good = npy(ramp(4, 5, 5))
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = zipped(("images.npy", good), ("images.npy", good))
    refused(twice, "more than once")
    refused(zipped(("images.npy", good), compression=zipfile.ZIP_BZIP2), "compressed by method 12")
    encrypted = bytearray(zipped(("images.npy", good)))
    encrypted[6] |= 1
    encrypted[encrypted.index(b"PK\1\2") + 8] |= 1
    refused(bytes(encrypted), "is encrypted")
    stored = bytearray(zipped(("images.npy", good), compression=zipfile.ZIP_STORED))
    stored[stored.index(b"images.npy") + 10 + 130] ^= 1
    refused(bytes(stored), "CRC")


def test_keys_are_never_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stack = read_archive(zipped(("../../etc/\x1b[31mevil\n.npy", npy(ramp(4, 5, 5)))))
    assert stack.images.shape == (4, 5, 5)
    assert "\x1b" not in "".join(stack.assumed)
    assert "\n" not in "".join(stack.assumed)
    assert not list(tmp_path.iterdir())


def bomb(path: Path, head: bytes, nbytes: int, door: str) -> Path:
    """A small file that unpacks to `head` and `nbytes` zeros."""
    with ExitStack() as stack:
        if door == "npz":
            archive = stack.enter_context(zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1))
            out = stack.enter_context(archive.open("images.npy", "w", force_zip64=True))
        else:
            out = stack.enter_context(gzip.open(path, "wb", 1))
        out.write(head)
        for _ in range(nbytes // MB):
            out.write(bytes(MB))
    return path


@pytest.mark.parametrize("door", ["npz", "gz"])
def test_bombs(tmp_path, door):
    pytest.importorskip("scipy")
    path = bomb(tmp_path / "bomb", npy_head("|u1", "(1000, 1000, 1000)"), 1000 * MB, door)
    assert path.stat().st_size < 5 * MB
    answer, seconds, megabytes = measured(path, 500 * MB)
    assert answer == "TooLarge"
    assert seconds < 20
    assert megabytes < 200


def test_many_tiny_images_are_counted(tmp_path):
    """Each has a number of 8 bytes: 200 KB asked for 3.2 GB of them."""
    path = bomb(tmp_path / "bomb", npy_head("|u1", "(200_000_000, 1, 1)"), 200 * MB, "npz")
    answer, _, megabytes = measured(path, 250 * MB)
    assert (answer, megabytes < 250) == ("TooLarge", True)


@pytest.mark.parametrize(
    ("descr", "shape", "nbytes"), [("|u1", "(200_000, 900)", 180 * MB), ("|S1000", "(100_000,)", 100 * MB)]
)
def test_labels_are_counted(tmp_path, descr, shape, nbytes):
    """One set of many, or text: what is made of them is several times of what is in the file. They are left out."""
    path = tmp_path / "labels.npz"
    count = int(shape[1:].split(",")[0])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("images.npy", npy_head("|u1", f"({count}, 2, 2)") + b"1" * 4 * count)
        archive.writestr("labels.npy", npy_head(descr, shape) + bytes(nbytes))
    answer, _, megabytes = measured(path, 250 * MB)
    assert (answer, megabytes < 100) == (f"({count}, 2, 2)", True)
    assert any("labels in labels left out" in note for note in read_archive(path, limits=Limits(250 * MB)).notes)


def test_headers_of_many_arrays_take_no_time(tmp_path):
    """2 MB took 100 s: NumPy parses each header as Python."""
    path = tmp_path / "many.npz"
    head = npy_head("|u1", f"({'1,' * 4800})")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3000):
            archive.writestr(f"{number}.npy", head + b"0")
    answer, seconds, megabytes = measured(path, 500 * MB)
    assert (answer, megabytes < 50) == ("InputError", True)
    assert seconds < 20


def test_what_fits_is_read(tmp_path):
    pytest.importorskip("scipy")
    path = bomb(tmp_path / "large", npy_head("|u1", "(100, 1000, 1000)"), 100 * MB, "npz")
    answer, _, megabytes = measured(path, 200 * MB)
    assert answer == "(100, 1000, 1000)"
    assert megabytes < 150


def test_the_other_byte_order_takes_no_more(tmp_path):
    path = bomb(tmp_path / "large", npy_head(">f4", "(100, 500, 500)"), 100 * MB, "npz")
    answer, _, megabytes = measured(path, 250 * MB)
    assert (answer, megabytes < 120) == ("(100, 500, 500)", True)


def test_mat_that_lies(tmp_path):
    content = bytearray(mat(False, images=ramp(8, 8, 8)))
    at = content.index(struct.pack("<3i", 8, 8, 8))
    content[at : at + 12] = struct.pack("<3i", 2**30, 2**30, 2**30)
    refused(bytes(content), "512 bytes")
    refused(mat(images=ramp(8, 8, 8) * 1j), "complex")
    refused(mat(images={"a": 1}), "struct")
    refused(mat(images="text"), "text")
    refused(mat(images=np.array([[1, "a"]], dtype=object)), "cell")
    refused(mat(images=ramp(8, 8, 80)), kind=TooLarge, limits=Limits(1000))


UNBOUND = (
    PEAK
    + """
import resource, sys
from nmfcompress.images.archives import read_archive
from nmfcompress.images.limits import Limits
from nmfcompress.errors import NmfcError
resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
before = peak()
for path in sys.argv[1:]:
    try:
        print("read", read_archive(path, limits=Limits(2**80)))
    except NmfcError as error:
        print(type(error).__name__, error.message)
print(peak() - before)
"""
)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is told by /proc")
def test_what_lies_is_refused_even_where_everything_is_allowed(tmp_path):
    """No limit of ours, and 2 GiB that the system gives: one line each, and none of what was promised is taken."""
    array = npy_head("|u1", "(60000, 60000)")
    counts = b"\0\0\x08\3" + struct.pack(">III", 60_000, 2**15, 2**15)
    directory = zipped(("x.npy", array), compression=zipfile.ZIP_STORED)
    for place in (18, 22, directory.index(b"PK\1\2") + 20, directory.index(b"PK\1\2") + 24):
        directory = directory[:place] + struct.pack("<I", 3_600_000_000) + directory[place + 4 :]
    files = {
        "a.npy": array,
        "a.npy.gz": gzip.compress(array),
        "a.idx": counts,
        "a.idx.gz": gzip.compress(counts),
        "a.npz": zipped(("x.npy", array)),
        "lies.npz": directory,
        "a.mat": mat_of_zeros(60_000, 60_000),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    told = subprocess.run(
        [sys.executable, "-c", UNBOUND, *files], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (told.returncode, told.stderr) == (0, ""), told.stdout
    *lines, grown = told.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [
        "InputError", "TooLarge", "InputError", "TooLarge", "InputError", "InputError", "TooLarge",
    ]  # fmt: skip
    assert int(grown) < 50


def mat_of_zeros(height: int, width: int, name: str = "images", there: int = 5000) -> bytes:
    """A compressed variable that says it is so large, with so many zeros behind its header."""
    small = mat(False, **{name: ramp(7, 9)})
    variable = bytearray(small[128:])
    sides = variable.index(struct.pack("<2i", 7, 9))
    variable[sides : sides + 8] = struct.pack("<2i", height, width)
    data = variable.index(struct.pack("<2I", 2, 63))
    variable[data + 4 : data + 8] = struct.pack("<I", height * width)
    packed = zlib.compress(bytes(variable) + bytes(there))
    return small[:128] + struct.pack("<2I", 15, len(packed)) + packed


def test_mat_bombs(tmp_path):
    content = mat_of_zeros(30_000, 30_000)
    assert len(content) < 500
    refused(content, "needs 900.0 MB", "pass limits with max_memory 901MB", kind=TooLarge, limits=Limits(100 * MB))
    (tmp_path / "bomb.mat").write_bytes(content)
    answer, seconds, megabytes = measured(tmp_path / "bomb.mat", 500 * MB)
    assert (answer, megabytes < 50) == ("TooLarge", True)
    assert seconds < 20


@pytest.mark.parametrize("behind", [False, True], ids=["before the images", "behind them"])
def test_what_else_a_mat_holds_is_not_unpacked(tmp_path, behind):
    """200 MB of zeros in 200 KB: a variable of its own, or more of the one that is wanted than its header says."""
    if behind:
        content = mat_of_zeros(7, 9, there=200 * MB)
    else:
        content = mat_of_zeros(10_000, 20_000, "more", 200 * MB) + mat(images=ramp(4, 5, 5))[128:]
    (tmp_path / "a.mat").write_bytes(content)
    answer, _, megabytes = measured(tmp_path / "a.mat", 20 * MB)
    assert (answer, megabytes < 20) == ("InputError" if behind else "(5, 4, 5)", True)


def variables(count: int, compress: bool = True) -> bytes:
    """A MATLAB file of so many variables of one number each, all of different names."""
    head, one = mat(False, v00000=np.ones((1, 1)))[:128], mat(False, v00000=np.ones((1, 1)))[128:]
    found = [head]
    for number in range(count):
        variable = one.replace(b"v00000", b"v%05d" % number)
        packed = zlib.compress(variable, 1)
        found.append(struct.pack("<2I", 15, len(packed)) + packed if compress else variable)
    return b"".join(found)


@pytest.mark.parametrize("compress", [False, True])
def test_a_mat_of_more_variables_than_anyone_saves(tmp_path, compress):
    path = tmp_path / "a.mat"
    path.write_bytes(variables(30_000, compress))
    refused(path, "is a MATLAB file with more than 10,000 variables, no more are read")
    answer, seconds, megabytes = measured(path, 100 * MB)
    assert (answer, megabytes < 50) == ("InputError", True)
    assert seconds < 20


@pytest.mark.skipif(sys.platform != "linux", reason="memory is told by /proc")
def test_the_variables_of_a_mat_take_little_each(tmp_path):
    path = tmp_path / "a.mat"
    path.write_bytes(variables(9_000))
    refused(path, "which array holds the images?", "v00000 (1 x 1 float64)", "and 8,988 more")
    answer, _, megabytes = measured(path, 100 * MB)
    assert (answer, megabytes < 50) == ("InputError", True)


def test_a_mat_without_variables():
    refused(mat(images=ramp(4, 5, 5))[:128], "this is a MATLAB file without variables")


def test_a_packed_mat_with_a_wrong_checksum():
    content = bytearray(mat(images=ramp(4, 5, 5)))
    content[-1] ^= 1
    refused(bytes(content), "is a MATLAB file, but a broken one")


@pytest.mark.parametrize("wide", [False, True])
def test_a_zip_that_lists_more_than_anyone_saves(tmp_path, wide):
    """zipfile makes twenty times the memory of a directory; 16 MB of it, in the old records and in those of zip64."""
    good = zipped(("images.npy", npy(ramp(4, 5, 5))))
    at, end = good.index(b"PK\1\2"), good.index(b"PK\5\6")
    entry = good[at:end]
    count = 16 * MB // len(entry)
    size = count * len(entry)
    tail = b""
    if wide:
        tail += b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, size, at)
        tail += b"PK\6\7" + struct.pack("<IQI", 0, at + size, 1)
    sides = (2**16 - 1, 2**16 - 1, 2**32 - 1, 2**32 - 1) if wide else (count % 2**16, count % 2**16, size, at)
    tail += b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, *sides, 0)
    path = tmp_path / "a.npz"
    path.write_bytes(good[:at] + entry * count + tail)
    refused(path, f"a directory of {size:,} bytes, at most 1,048,576 are read")
    answer, _, megabytes = measured(path, 10**9)
    assert (answer, megabytes < 50) == ("InputError", True)


@pytest.mark.parametrize("kind", ["mat", "packed mat"])
@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_mutants_raise_nothing_else(kind, data):
    seed = mat("packed" in kind, images=ramp(4, 5, 5), labels=np.arange(5))
    content = bytearray(seed[: data.draw(st.one_of(st.just(len(seed)), st.integers(0, len(seed))))])
    for place, value in data.draw(st.lists(st.tuples(st.integers(0, len(seed) - 1), st.integers(0, 255)), max_size=6)):
        if place < len(content):
            content[place] = value
    try:
        stack = read_archive(bytes(content), limits=Limits(10 * MB))
    except NmfcError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert len(stack.images) == len(stack.indices)
        assert stack.labels is None or len(stack.labels) == len(stack.images)


HUGE = "1" + "0" * 400


def test_what_headers_say_in_hundreds_of_digits_is_said_in_few():
    """Each is one line that can be read, whichever side says it."""
    for shape in (f"({HUGE},)", f"({HUGE}, 4, 4)", f"(4, 4, {HUGE})"):
        array = npy_head("|u1", shape) + bytes(16)
        for content in (array, gzip.compress(array), zipped(("x.npy", array))):
            assert len(refused(content, limits=Limits(10 * MB))) < 400


def test_a_listing_of_what_is_broken_is_short():
    """Members of a zip that lie over each other, as Python 3.11 and later say of each of them at length."""
    names = [f"{place:02}" + "x" * 60 for place in range(40)]
    content = zipped(*((f"{name}.npy", npy(ramp(4, 5, 5)).replace(b"NUMPY", b"NUMPX")) for name in names))
    assert len(refused(content, "which array holds the images?", "more")) < 400


@pytest.mark.parametrize("version", [(0, 0), (1, 1), (4, 0), (9, 0)])
def test_npy_of_a_version_that_numpy_does_not_know(version):
    content = bytearray(npy(ramp(4, 5, 5)))
    content[6:8] = version
    refused(bytes(content), f"is a NumPy array of version {version[0]}.{version[1]} (1.0, 2.0 and 3.0 are read)")
