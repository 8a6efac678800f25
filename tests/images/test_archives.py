"""The doors for arrays: round trips, layouts, labels, values."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from arrays_made import IDX_CODES, MB, RNG, idx, mat, npy, npz, ramp, refused
from hypothesis import given, settings
from hypothesis import strategies as st

from nmfcompress.errors import TooLarge, UsageError
from nmfcompress.images.archives import read_archive
from nmfcompress.images.limits import Limits

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


def test_files_and_pipes_are_read(tmp_path):
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
    refused(npy(ramp(10, 50)), "50 values", "save the array as 10 x height x width")


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
        ("all", np.concatenate([train, test]), [0, 1, 2, 3, 0, 1, 2], range(7)),
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
