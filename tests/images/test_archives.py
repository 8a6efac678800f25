"""The doors for arrays: round trips, layouts, labels, and every bad file that was met or can be made."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmfcompress.errors import ExtraMissing, InputError, NmfcError, TooLarge, UsageError
from nmfcompress.images.archives import read_archive
from nmfcompress.images.limits import Limits

MB = 10**6
RNG = np.random.default_rng(0)


def ramp(*shape: int, dtype: object = np.uint8) -> np.ndarray:
    return (np.arange(int(np.prod(shape))) % 251).astype(dtype).reshape(shape)


def npz(**arrays: object) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


IDX_CODES = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}


def idx(array: np.ndarray) -> bytes:
    head = bytes((0, 0, IDX_CODES[array.dtype.name], array.ndim))
    return head + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(array.dtype.newbyteorder(">")).tobytes()


def mat(compress: bool = True, **arrays: object) -> bytes:
    io_ = pytest.importorskip("scipy.io")
    out = io.BytesIO()
    io_.savemat(out, arrays, do_compression=compress)
    return out.getvalue()


def zipped(*members: tuple[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return out.getvalue()


def npy_head(descr: str, shape: str, fortran: bool = False) -> bytes:
    text = f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text) + 1) + text + b"\n"


def refused(content: object, *words: str, kind: type[NmfcError] = InputError, **options: object) -> str:
    with pytest.raises(kind) as caught:
        read_archive(content, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    return message


# Round trips


SIDES = st.integers(1, 9)


@settings(deadline=None, max_examples=60)
@given(st.tuples(SIDES, SIDES, st.integers(5, 9)), st.sampled_from(sorted(IDX_CODES)), st.booleans())
def test_what_is_written_is_read(shape, dtype, fortran):
    array = ramp(*shape, dtype="int64" if dtype == "int8" else dtype) % 100
    array = np.asarray(array.astype(dtype), order="F" if fortran else "C")
    for content in (npz(images=array), npy(array), idx(array), gzip.compress(idx(array)), gzip.compress(npy(array))):
        stack = read_archive(content)
        assert stack.images.shape == shape
        assert stack.images.flags.c_contiguous
        low, high = stack.levels.low, stack.levels.high
        if dtype == "uint8":
            np.testing.assert_array_equal(stack.images, array)
        elif low != high:
            np.testing.assert_allclose(stack.images * (high - low) + low, array, atol=1e-4)
        np.testing.assert_array_equal(stack.indices, np.arange(shape[0]))


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64", "int32"])
def test_mat_round_trip(compress, dtype):
    array = ramp(6, 5, 9, dtype=dtype)
    stack = read_archive(mat(compress, cube=array))
    assert stack.images.shape == (9, 6, 5)
    scale = (stack.levels.high - stack.levels.low) if stack.images.dtype.kind == "f" else 1
    np.testing.assert_allclose(stack.images * scale, np.moveaxis(array, -1, 0), atol=1e-4)
    assert stack.images.flags.c_contiguous


def test_files_are_mapped_and_pipes_are_read(tmp_path):
    array = ramp(7, 6, 5)
    for name, content in (("a.npy", npy(array)), ("a.bin", idx(array)), ("a.txt", npz(x=array))):
        path = tmp_path / name
        path.write_bytes(content)
        np.testing.assert_array_equal(read_archive(path).images, array)
        np.testing.assert_array_equal(read_archive(str(path)).images, array)
    with feeding(tmp_path / "pipe", npz(x=array)):
        np.testing.assert_array_equal(read_archive(tmp_path / "pipe").images, array)


@contextmanager
def feeding(path: Path, content: bytes):
    """A named pipe that another process writes."""
    os.mkfifo(path)
    code = "import sys; open(sys.argv[1], 'wb').write(sys.stdin.buffer.read())"
    with subprocess.Popen([sys.executable, "-c", code, path], stdin=subprocess.PIPE) as process:
        process.stdin.write(content)
        process.stdin.close()
        yield


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
        (gzip.compress(b""), "an empty gzip"),
        (gzip.compress(b"<html>"), "a gzip of an HTML page"),
        (gzip.compress(npz(x=ramp(5, 5))), "unpack it with gunzip"),
        (gzip.compress(b"\xfe\xfe\xfe\xfe"), "bytes of no known kind"),
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


def test_mat_without_scipy(monkeypatch):
    content = mat(images=ramp(5, 5, 5))
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    refused(content, "nmfcompress[mat]", kind=ExtraMissing)


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


# Layout


@pytest.mark.parametrize(
    ("shape", "images"),
    [
        ((7, 6, 5), (7, 6, 5)),
        ((7, 6, 5, 1), (7, 6, 5)),
        ((7, 6, 5, 3), (7, 6, 5, 3)),
        ((7, 3, 6, 5), (7, 6, 5, 3)),
        ((7, 1, 6, 5), (7, 6, 5)),
        ((7, 6, 5, 4), (7, 6, 5, 3)),
        ((7, 6, 5, 2), (7, 6, 5)),
        ((7, 25), (7, 5, 5)),
        ((25, 7), (7, 5, 5)),
        ((16, 25), (16, 5, 5)),
        ((7, 75), (7, 5, 5, 3)),
        ((7, 3072), (7, 32, 32, 3)),
    ],
)
def test_layouts(shape, images):
    stack = read_archive(npz(arr=ramp(*shape)))
    assert stack.images.shape == images
    assert not stack.single
    assert stack.images.flags.c_contiguous
    assert any("alpha" in note for note in stack.notes) == (len(shape) == 4 and shape[3] in (2, 4))
    assert "counts the images" in stack.assumed[0]


@pytest.mark.parametrize("shape", [(), (7,), (2, 2, 2, 2, 2), (7, 6, 5, 9)])
def test_no_layout(shape):
    refused(npy(ramp(*shape)), "array")


def test_no_square():
    refused(npy(ramp(10, 50)), "50 values", "reshape it to 10 x height x width")


def test_channel_order():
    colour = ramp(2, 6, 5, 3)
    np.testing.assert_array_equal(read_archive(npy(np.moveaxis(colour, 3, 1))).images, colour)
    np.testing.assert_array_equal(read_archive(mat(X=np.moveaxis(colour, 0, 3))).images, colour)  # as in SVHN
    np.testing.assert_array_equal(read_archive(mat(X=colour)).images, colour)  # as savemat writes it from Python
    cifar = RNG.integers(0, 255, (2, 3, 32, 32), dtype=np.uint8)
    np.testing.assert_array_equal(read_archive(npy(cifar.reshape(2, -1))).images, np.moveaxis(cifar, 1, 3))


@pytest.mark.parametrize("shape", [(4, 5, 5), (4, 32, 32, 3), (4, 6, 6, 3)])
def test_columns_first(shape):
    pictures = RNG.integers(0, 255, shape, dtype=np.uint8)
    flat = np.stack([picture.ravel(order="F") for picture in pictures])
    np.testing.assert_array_equal(read_archive(npy(flat), order="F").images, pictures)
    np.testing.assert_array_equal(read_archive(npy(pictures), order="F", axis=0).images, pictures.swapaxes(1, 2))


def test_one_picture_or_a_table():
    grey = ramp(30, 25)
    stack = read_archive(npy(grey), collection=False)
    assert stack.single
    assert stack.images.shape == (1, 30, 25)
    assert stack.notes == ("array (30 x 25) taken as one picture; --axis 0 takes it as 30 pictures",)
    assert not read_archive(npy(ramp(30, 26)), collection=False).notes
    for told in (
        {"content": npy(grey), "axis": 0},
        {"content": npz(x_train=grey)},
        {"content": npz(x=grey, y=np.arange(30))},
    ):
        assert read_archive(told.pop("content"), collection=False, **told).images.shape == (30, 5, 5)
    colour = read_archive(npy(ramp(30, 25, 3)))
    assert colour.single
    assert colour.images.shape == (1, 30, 25, 3)
    assert read_archive(npz(images=ramp(30, 25, 3))).images.shape == (30, 25, 3)
    alpha = read_archive(npy(ramp(30, 25, 4)))
    assert "alpha" in alpha.notes[0]
    refused(npy(ramp(30, 25)), "pixels", kind=TooLarge, collection=False, limits=Limits(10 * MB, 100))


def test_axis():
    cube = ramp(4, 5, 6)
    for axis in range(-3, 3):
        np.testing.assert_array_equal(read_archive(npy(cube), axis=axis).images, np.moveaxis(cube, axis, 0))
    for axis in (3, -4):
        refused(npy(cube), f"--axis {axis}", kind=UsageError, axis=axis)
    assert read_archive(npy(ramp(25, 49)), axis=1).images.shape == (49, 5, 5)
    assert read_archive(npz(x=cube, y=np.arange(6))).images.shape == (6, 4, 5)
    assert read_archive(mat(x=ramp(49, 25), y=np.arange(49))).images.shape == (49, 5, 5)
    assert read_archive(mat(x=ramp(49, 25))).images.shape == (25, 7, 7)


def test_wrong_usage():
    content = npy(ramp(4, 5, 6))
    for options in ({"order": "A"}, {"split": "validation"}, {"key": "x", "split": "test"}):
        refused(content, kind=UsageError, **options)


# Which array, which labels


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("X_train", "Y_train", "X_test", "Y_test"),
        ("train_x", "train_y", "test_x", "test_y"),
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("training_images", "training_labels", "test_images", "test_labels"),
    ],
)
def test_splits(names):
    train, test = ramp(4, 6, 5), ramp(3, 6, 5) + 1
    content = npz(**dict(zip(names, (train, np.arange(4), test, np.arange(3)[:, None]), strict=True)))
    for split, images, labels, indices in (
        (None, train, range(4), range(4)),
        ("train", train, range(4), range(4)),
        ("test", test, range(3), range(3)),
        ("all", np.concatenate([train, test]), [0, 1, 2, 3, 0, 1, 2], [0, 1, 2, 3, 0, 1, 2]),
    ):
        stack = read_archive(content, split=split)
        np.testing.assert_array_equal(stack.images, images)
        np.testing.assert_array_equal(stack.labels, list(labels))
        np.testing.assert_array_equal(stack.indices, list(indices))
    by_key = read_archive(content, key=names[2])
    np.testing.assert_array_equal(by_key.labels, range(3))


def test_splits_that_are_missing_or_differ():
    refused(npz(images=ramp(4, 6, 5)), "tells of no split", split="test")
    refused(idx(ramp(4, 6, 5)), "tells of no split", split="train")
    refused(npz(x_train=ramp(4, 6, 5)), "no test split", split="test")
    assert len(read_archive(npz(x_test=ramp(4, 6, 5))).images) == 4
    assert len(read_archive(npz(images=ramp(4, 6, 5)), split="all").images) == 4
    refused(npz(x_train=ramp(4, 6, 5), x_test=ramp(4, 5, 5)), "6 x 5 and 5 x 5", split="all")


def test_keys():
    content = npz(images=ramp(4, 6, 5), masks=ramp(4, 6, 6))
    assert read_archive(content).images.shape == (4, 6, 5)
    assert read_archive(content, key="masks").images.shape == (4, 6, 6)
    refused(content, "'mask'", "images (4 x 6 x 5 uint8)", "masks (4 x 6 x 6 uint8)", key="mask")
    refused(npz(a=ramp(4, 6, 5), b=ramp(4, 6, 6)), "--key", "a (4 x 6 x 5 uint8)")
    refused(npz(**{f"layer{i}/W": ramp(9, 9, dtype="f4") for i in range(20)}), "--key", "and 8 more")
    assert read_archive(npz(mean=ramp(6), faces_=ramp(4, 6, 5))).images.shape == (4, 6, 5)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (np.arange(4), [0, 1, 2, 3]),
        (np.arange(4.0), [0, 1, 2, 3]),
        (np.arange(4)[None], [0, 1, 2, 3]),
        (np.arange(4)[:, None], [0, 1, 2, 3]),
        (np.eye(4, 7), [0, 1, 2, 3]),
        (np.eye(4, 7).T, [0, 1, 2, 3]),
        (np.array(["a", "b", "c", "d"]), ["a", "b", "c", "d"]),
        (np.array([b"a", b"b", b"c", b"d"]), ["a", "b", "c", "d"]),
        (np.array([True, False, True, True]), [1, 0, 1, 1]),
        (np.array([0.5, 1, 2, 3]), None),
        (np.array([np.nan, 1, 2, 3]), None),
        (np.arange(9), None),
        (np.array([{}, 1, 2, 3], dtype=object), None),
        (np.array(["x" * 300] * 4), None),
        (np.full((4, 2), 5), None),
        (ramp(4, 6, 5), None),
    ],
)
def test_labels(labels, expected):
    stack = read_archive(npz(x=ramp(4, 6, 5), y=labels))
    assert stack.images.shape == (4, 6, 5)
    if expected is None:
        assert stack.labels is None
        assert any("left out" in line for line in stack.assumed + stack.notes)
    else:
        assert stack.labels.dtype.kind in "iU"
        np.testing.assert_array_equal(stack.labels, expected)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte"),
        ("t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte.gz"),
        ("images", "labels"),
    ],
)
def test_labels_beside(tmp_path, images, labels):
    def put(name, array):
        (tmp_path / name).write_bytes(gzip.compress(idx(array)) if name.endswith(".gz") else idx(array))

    put(images, ramp(4, 6, 5))
    assert read_archive(tmp_path / images).labels is None
    put(labels, np.arange(4, dtype=np.uint8))
    np.testing.assert_array_equal(read_archive(tmp_path / images).labels, range(4))
    put(labels, np.arange(5, dtype=np.uint8))
    stack = read_archive(tmp_path / images)
    assert stack.labels is None
    assert "5 labels for 4 images" in stack.notes[0]
    (tmp_path / labels).write_bytes(b"<html>")
    assert "an HTML page" in read_archive(tmp_path / images).notes[0]
    put(labels, np.arange(4, dtype=np.uint8))
    refused(tmp_path / labels, "holds 4 labels, not images")


# Values


@pytest.mark.parametrize(
    ("dtype", "out", "note"),
    [
        ("u1", "uint8", False), ("u2", "uint16", False), (">u2", "uint16", False), ("?", "uint8", False),
        ("i8", "float32", True), (">i4", "float32", True), ("f2", "float32", True), (">f8", "float64", True),
    ],
)  # fmt: skip
def test_types(dtype, out, note):
    stack = read_archive(npz(images=ramp(4, 8, 8).astype(dtype)))
    assert stack.images.dtype == out
    assert stack.images.dtype.isnative
    assert bool(stack.notes) == note
    if note:
        assert "values 0..250 scaled by their own minimum and maximum" in stack.notes[0]


def test_floats_within_one_are_kept():
    stack = read_archive(npz(images=np.linspace(0, 1, 180).reshape(5, 6, 6)))
    assert not stack.notes
    assert stack.images.max() == 1


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((4, 5, 5), np.nan), "NaN"),
        (np.full((4, 5, 5), np.inf), "infinite"),
        (np.full((4, 5, 5), -1), "negative"),
        (np.zeros((0, 5, 5)), "empty"),
        (np.zeros((4, 5, 5), "c16"), "complex128"),
        (np.zeros((4, 5, 5), "M8[s]"), "datetime64"),
        (np.zeros((4, 5, 5), "U3"), "str"),
        (np.zeros((4, 5, 5), "V3"), "void"),
        (np.zeros((4, 5, 5), [("a", "u1")]), "void"),
        (np.zeros((4, 5, 5), "U0"), "str"),
        (np.full((4, 5, 5), None), "pickled Python objects, which nmfc never loads"),
    ],
)
def test_values_that_are_no_images(array, words):
    refused(npy(array), words)
    refused(npz(images=array), words)


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="longdouble is double here")
def test_longdouble():
    refused(npy(np.ones((4, 5, 5), np.longdouble)), "64 bits")


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


MEASURE = """
import resource, sys, time
import numpy, scipy.io
from nmfcompress.errors import NmfcError
from nmfcompress.images.archives import read_archive
from nmfcompress.images.limits import Limits
before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
try:
    answer = read_archive(sys.argv[1], limits=Limits(int(sys.argv[2]))).images.shape
except NmfcError as error:
    answer = type(error).__name__
print(answer, time.perf_counter() - start, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def measured(path: Path, max_memory: int) -> tuple[str, float, int]:
    out = subprocess.run(
        [sys.executable, "-c", MEASURE, path, str(max_memory)], capture_output=True, text=True, check=True
    )
    answer, seconds, megabytes = out.stdout.rsplit(maxsplit=2)
    return answer, float(seconds), int(megabytes)


def bomb(path: Path, head: bytes, nbytes: int, door: str) -> Path:
    """A small file that unpacks to `head` and `nbytes` zeros."""
    with ExitStack() as stack:
        if door == "npz":
            archive = stack.enter_context(zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED))
            out = stack.enter_context(archive.open("images.npy", "w", force_zip64=True))
        else:
            out = stack.enter_context(gzip.open(path, "wb"))
        out.write(head)
        for _ in range(nbytes // MB):
            out.write(bytes(MB))
    return path


@pytest.mark.parametrize("door", ["npz", "gz"])
def test_bombs(tmp_path, door):
    pytest.importorskip("scipy")
    path = bomb(tmp_path / "bomb", npy_head("|u1", "(1000, 1000, 1000)"), 1000 * MB, door)
    assert path.stat().st_size < 2 * MB
    answer, seconds, megabytes = measured(path, 500 * MB)
    assert answer == "TooLarge"
    assert seconds < 2
    assert megabytes < 200


def test_what_fits_is_read(tmp_path):
    pytest.importorskip("scipy")
    path = bomb(tmp_path / "large", npy_head("|u1", "(100, 1000, 1000)"), 100 * MB, "npz")
    answer, _, megabytes = measured(path, 200 * MB)
    assert answer == "(100, 1000, 1000)"
    assert megabytes < 150


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


SEEDS = {
    "npz": npz(x_train=ramp(4, 5, 5), y_train=np.arange(4)),
    "npy": npy(ramp(4, 5, 5)),
    "idx": idx(ramp(4, 5, 5)),
    "idx.gz": gzip.compress(idx(ramp(4, 5, 5)), mtime=0),
}


@pytest.mark.parametrize("kind", [*SEEDS, "mat", "packed mat"])
@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_mutants_raise_nothing_else(kind, data):
    seed = SEEDS.get(kind) or mat("packed" in kind, images=ramp(4, 5, 5), labels=np.arange(5))
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


# The real ones

DATA = os.environ.get("NMFC_DATA")
real = pytest.mark.skipif(not DATA, reason="NMFC_DATA is not set")


@pytest.fixture
def data() -> Path:
    return Path(DATA)


@real
def test_mnist(data):
    reference = np.load(data / "mnist/mnist.npz")
    for split, key, beside in (("train", "train", "train"), ("test", "test", "t10k")):
        stack = read_archive(data / "mnist/mnist.npz", split=split)
        unpacked = read_archive(data / f"mnist/{beside}-images-idx3-ubyte.gz")
        for one in (stack, unpacked):
            np.testing.assert_array_equal(one.images, reference[f"x_{key}"])
            np.testing.assert_array_equal(one.labels, reference[f"y_{key}"])
            assert one.labels.dtype == np.int64
            assert not one.notes
    assert len(read_archive(data / "mnist/mnist.npz", split="all").images) == 70_000
    refused(data / "mnist/train-labels-idx1-ubyte.gz", "holds 60,000 labels, not images")


@real
def test_mnist_costs_its_own_size(data):
    pytest.importorskip("scipy")
    for name, most in (("mnist.npz", 65), ("train-images-idx3-ubyte.gz", 65), ("mnist-original.mat", 75)):
        assert measured(data / "mnist" / name, 500 * MB)[2] < most


@real
def test_mnist_of_matlab(data):
    pytest.importorskip("scipy")
    for collection in (True, False):
        stack = read_archive(data / "mnist/mnist-original.mat", collection=collection)
        assert stack.images.shape == (70_000, 28, 28)
        assert stack.images.flags.c_contiguous
        assert np.flatnonzero(stack.labels == 1)[0] == 5923
    upright = read_archive(data / "mnist/mnist.npz", split="all")
    for axis in (1, 2):  # the same profiles along rows and along columns: the same digits, none on its side
        ours = np.sort(stack.images.sum(axis, dtype=np.uint32), axis=0)
        theirs = np.sort(upright.images.sum(axis, dtype=np.uint32), axis=0)
        np.testing.assert_array_equal(ours, theirs)


@real
def test_spectral_cube_both_ways(data):
    pytest.importorskip("scipy")
    bands = read_archive(data / "stacks/samson_bands_156x95x95_f32.npy")
    cube = read_archive(data / "stacks/samson_cube_95x95x156.mat")
    assert bands.images.shape == cube.images.shape == (156, 95, 95)
    np.testing.assert_allclose(bands.images, cube.images, atol=1e-6)
    assert read_archive(data / "stacks/samson_cube_95x95x156.mat", key="A").single


@real
def test_truncated_mnist(data, tmp_path):
    packed = (data / "mnist/train-images-idx3-ubyte.gz").read_bytes()
    expected = "(its header says 60,000 images of 28 x 28: 47,040,016 bytes)"
    refused(packed[:9_437_184], "truncated after 9,437,184 bytes, ", " unpacked ", expected)
    plain = gzip.decompress(packed)[:9_437_184]
    refused(plain, "truncated after 9,437,184 bytes ", expected)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(plain, 1))
    refused(tmp_path / "train-images-idx3-ubyte.gz", "truncated after 9,437,184 bytes ", expected)
    shutil.copyfile(data / "mnist/mnist.npz", tmp_path / "mnist.npz")
    os.truncate(tmp_path / "mnist.npz", 9_437_184)
    refused(tmp_path / "mnist.npz", "truncated after 9,437,184 bytes")


ODD = {
    "valid/made_here/big_endian_i32_idx": (2, 3, 4),
    "valid/made_here/float_idx": (2, 3, 4),
    "valid/made_here/rgb_idx4": (2, 3, 4, 3),
    "valid/wild_dataset_files/fashion_trimmed_50_train-images-idx3-ubyte.gz": (50, 28, 28),
    "valid/wild_dataset_files/k5iogura_chainer_weights_mnist.npz": "Choose one with --key: ly2/W",
    "broken/made_here/idx3_lying_count": "truncated after 800 bytes",
    "broken/made_here/idx3_short_by_one_byte": "truncated after 2,367 bytes",
    "broken/made_here/idx_bad_magic": "12 34 56 78",
    "broken/made_here/zero.npz": "an empty file",
    "broken/wild_dataset_files/annex_pointer_train-images-idx3-ubyte.gz": "a git-annex pointer",
    "broken/wild_dataset_files/html_page2_train-images-idx3-ubyte.gz": "an HTML page",
    "broken/wild_dataset_files/html_page_mnist.npz": "an HTML page",
    "broken/wild_dataset_files/lfs_pointer_mnist-original.mat": "a Git LFS pointer",
    "broken/wild_dataset_files/lfs_pointer_mnist.npz": "a Git LFS pointer",
    "broken/wild_dataset_files/tiny_3193_train-images-idx3-ubyte.gz": "an HTML page",
    "broken/wild_dataset_files/truncated_262144_mnist-original.mat": "truncated after 262,144 bytes",
    "broken/wild_dataset_files/truncated_53248_mnist-original.mat": "truncated after 53,248 bytes",
}


@real
def test_odd_ones(data):
    with tarfile.open(data / "odd.tar.gz") as tar:
        found = {m.name.removeprefix("odd/"): tar.extractfile(m).read() for m in tar if m.isfile()}
    for name, expected in ODD.items():
        if name.endswith(".mat"):
            pytest.importorskip("scipy")
        if isinstance(expected, str):
            refused(found[name], expected)
        else:
            assert read_archive(found[name]).images.shape == expected
    for name, content in found.items():  # pictures and what is none: always one line
        if name not in ODD and len(content) < MB:
            refused(content)
