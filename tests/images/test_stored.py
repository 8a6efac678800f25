"""Images that stay in their file: what is read is what loading gives; and the work on them."""

from __future__ import annotations

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from arrays_made import RNG, both, idx, mat, npz, ramp, same
from hypothesis import given, settings
from hypothesis import strategies as st

from nmfcompress import read_stack
from nmfcompress.errors import InputError, TooLarge
from nmfcompress.images.archives import read_archive
from nmfcompress.images.limits import Limits
from nmfcompress.images.masks import read_mask
from nmfcompress.images.stored import StoredImages, held
from nmfcompress.recipes import caveats, fit_collection
from nmfcompress.settings import Fit


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
    apart, whole = both(tmp_path / "a.npy", allowed=10**6)
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


def test_a_mat_that_is_not_packed_stays_in_its_file(tmp_path):
    """A column an image, as in the MNIST that was at mldata.org: one behind the other."""
    images = RNG.integers(0, 256, (400, 8, 8), np.uint8)
    (tmp_path / "a.mat").write_bytes(mat(False, data=images.reshape(400, 64).T))
    apart, whole = both(tmp_path / "a.mat")
    same(apart, whole)
    np.testing.assert_array_equal(whole.images, images)
