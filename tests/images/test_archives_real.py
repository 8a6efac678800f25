"""Real array files, good and bad, from NMFC_DATA."""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from arrays_made import MB, measured, refused

from nmfcompress.images.archives import read_archive

# The real ones

DATA = os.environ.get("NMFC_DATA")
real = pytest.mark.skipif(not DATA, reason="NMFC_DATA is not set")


@pytest.fixture
def data() -> Path:
    return Path(DATA)


@real
def test_mnist(data):
    with np.load(data / "mnist/mnist.npz") as archive:
        reference = dict(archive)
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
    for name, most in (("mnist.npz", 65), ("train-images-idx3-ubyte.gz", 65), ("mnist-original.mat", 75)):
        assert measured(data / "mnist" / name, 500 * MB)[2] < most


@real
def test_mnist_of_matlab(data):
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
        if isinstance(expected, str):
            refused(found[name], expected)
        else:
            assert read_archive(found[name]).images.shape == expected
    for name, content in found.items():  # pictures and what is none: always one line
        if name not in ODD and len(content) < MB:
            refused(content)
