"""The sample images: made again they are the same, and they are what their names say."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SAMPLES = Path(__file__).parent.parent / "samples"
NAMES = ("photo.png", "grey.png", "digits.npz", "swimmer.npz")


def read(path):
    """Return the arrays of a sample by name; a picture is one array."""
    if path.suffix == ".npz":
        with np.load(path) as archive:
            return {name: archive[name] for name in archive.files}
    with Image.open(path) as picture:
        return {picture.mode: np.asarray(picture)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two folders, made by two processes as a user would make them."""
    folders = tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second") / "new"
    for folder in folders:
        subprocess.run([sys.executable, "-W", "error", SAMPLES / "make.py", folder], check=True)
    return folders


@pytest.mark.parametrize("name", NAMES)
def test_two_runs_write_the_same_bytes(made, name):
    first, second = made
    assert (first / name).read_bytes() == (second / name).read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_committed_files_are_what_make_makes(made, name):
    # Decoded, since other versions of zlib pack otherwise; to one grey level in one pixel of 1,000, since the last bit
    # of sin, exp and the FFT depends on the processor.
    committed, again = read(SAMPLES / name), read(made[0] / name)
    assert committed.keys() == again.keys()
    for key, array in committed.items():
        assert array.dtype == again[key].dtype
        assert array.shape == again[key].shape
        off = np.abs(array.astype(int) - again[key].astype(int))
        assert off.max() <= 1
        assert np.mean(off > 0) <= 0.001
    assert (made[0] / name).stat().st_size == pytest.approx((SAMPLES / name).stat().st_size, rel=0.1)


def test_sizes():
    sizes = {name: (SAMPLES / name).stat().st_size for name in NAMES}
    assert sum(sizes.values()) < 2_000_000
    assert sizes["photo.png"] < 400_000


@pytest.mark.parametrize(
    ("name", "mode", "shape"), [("photo.png", "RGB", (320, 480, 3)), ("grey.png", "L", (240, 320))]
)
def test_pictures_have_tones_from_dark_to_light(name, mode, shape):
    picture = read(SAMPLES / name)[mode]
    assert picture.shape == shape
    assert picture.dtype == np.uint8
    assert np.percentile(picture, 2) < 60
    assert np.percentile(picture, 98) > 180
    assert np.mean(picture == 255) < 0.05


def test_digits_have_the_layout_of_mnist():
    digits = read(SAMPLES / "digits.npz")
    assert list(digits) == ["x_train", "y_train", "x_test", "y_test"]
    for part, count in (("train", 1800), ("test", 200)):
        images, labels = digits[f"x_{part}"], digits[f"y_{part}"]
        assert images.shape == (count, 28, 28)
        assert labels.shape == (count,)
        assert images.dtype == labels.dtype == np.uint8
        assert np.bincount(labels).tolist() == [count // 10] * 10
        assert (np.diff(labels.astype(int)) != 0).mean() > 0.8  # shuffled
        assert (images.max(axis=(1, 2)) == 255).all()
        frame = images.copy()
        frame[:, 4:24, 4:24] = 0
        assert not frame.any()


def test_digits_can_be_told_apart():
    digits = read(SAMPLES / "digits.npz")
    train, test = (digits[name].reshape(len(digits[name]), -1) / 255 for name in ("x_train", "x_test"))
    distance = (train**2).sum(axis=1) - 2 * test @ train.T  # less |test|^2, which is the same for all
    assert (digits["y_train"][distance.argmin(axis=1)] == digits["y_test"]).mean() > 0.9


def test_swimmer_is_made_of_parts():
    swimmer = read(SAMPLES / "swimmer.npz")
    images, positions = swimmer["images"], swimmer["positions"]
    assert images.shape == (256, 32, 32)
    assert positions.shape == (256, 4)
    assert images.dtype == positions.dtype == np.uint8
    assert set(np.unique(images)) == {0, 255}
    assert len(np.unique(images.reshape(256, -1), axis=0)) == len(np.unique(positions, axis=0)) == 256
    assert np.linalg.matrix_rank(images.reshape(256, -1) / 255) == 13
    torso = images.min(axis=0) > 0
    limbs = [(images[positions[:, limb] == place].min(axis=0) > 0) & ~torso for limb in range(4) for place in range(4)]
    assert torso.sum() == 12
    assert [limb.sum() for limb in limbs] == [6] * 16
    assert (torso + np.sum(limbs, axis=0)).max() == 1  # no two parts share a pixel
    assert ((torso + np.sum(limbs, axis=0)) > 0).sum() == (images.max(axis=0) > 0).sum()
