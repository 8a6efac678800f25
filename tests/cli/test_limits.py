"""Every door obeys --max-memory and --max-pixels: one line says what would do, and that does."""

from __future__ import annotations

import gzip
import re
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from commands import picture, tones, written
from containers_made import stack

from nmfcompress import encode_stack

SHOWN = np.stack([tones(60, 50, seed=seed) for seed in range(24)])


def idx(path: Path) -> bytes:
    return b"\0\0\x08\3" + struct.pack(">III", *SHOWN.shape) + SHOWN.tobytes()


def mat(path: Path) -> None:
    pytest.importorskip("scipy.io").savemat(path, {"images": np.moveaxis(SHOWN, 0, 2)}, do_compression=True)


def bands() -> bytes:
    return encode_stack(np.repeat(SHOWN, 9, axis=0).astype(np.float32) / 255, arrangement="bands", rank=2, step=20)


FIT = ("-k", "2", "-n", "2", "--no-plot")
DOORS: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "a.png": (lambda path: picture(path, "RGB", (300, 200)), ("compress", "a.png", *FIT)),
    "a.jpg": (lambda path: picture(path, "RGB", (300, 200)), ("compress", "a.jpg", "-k", "2", "-o", "a.nmfc")),
    "a.tif": (lambda path: picture(path, "CMYK", (300, 200)), ("compress", "a.tif", *FIT)),
    "a.gif": (lambda path: picture(path, "L", (300, 200)), ("compare", "a.gif", "--rates", "2", "--codecs", "svd")),
    "a.npz": (lambda path: np.savez_compressed(path, images=SHOWN), ("basis", "a.npz", *FIT)),
    "a.npy": (lambda path: np.save(path, SHOWN.astype(np.float32) / 255), ("compress", "a.npy", *FIT, "--limit", "2")),
    "b.npy": (lambda path: np.save(path, SHOWN), ("compress", "b.npy", "-o", "b.nmfc", "-k", "2", "--step", "20")),
    "a.idx": (lambda path: path.write_bytes(idx(path)), ("compare", "a.idx", "--rates", "2", "--codecs", "svd")),
    "a.gz": (lambda path: path.write_bytes(gzip.compress(idx(path))), ("basis", "a.gz", *FIT)),
    "a.mat": (mat, ("basis", "a.mat", *FIT)),
    "a.nmfc": (lambda path: stack(path, 400), ("decompress", "a.nmfc", "-o", "b.npz")),
    "bands.nmfc": (lambda path: path.write_bytes(bands()), ("decompress", "bands.nmfc", "-o", "b.npz")),
}


@pytest.mark.parametrize("name", DOORS)
def test_what_is_said_to_be_enough_is(run, tmp_path, name):
    """Each refusal is one line, and names a memory with which the next thing is looked at: in the end all is done."""
    make, words = DOORS[name]
    make(tmp_path / name)
    allowed, refusals = "10KB", 0
    while (said := run(*words, "--max-memory", allowed)).code:
        assert said.code == 1
        assert all(line.startswith(f"nmfc: {name}: ") for line in said.err.splitlines())
        assert said.err.count("needs") == said.err.count("pass") == 1
        assert written(tmp_path) == [name]
        found = re.search(
            r"needs [\d,.]+ [KMG]?B, --max-memory is [\d,.]+ [KMG]?B \(pass --max-memory (\d+[MG]B)", said.err
        )
        assert found, said.err
        assert found[1] != allowed
        allowed, refusals = found[1], refusals + 1
        assert refusals < 4
    assert refusals


@pytest.mark.parametrize(
    "words",
    [("decompress", "a.nmfc", "-o", "b.npz"), ("decompress", "a.nmfc", "-O", "out"), ("verify", "a.nmfc")],
    ids=["array", "files", "verify"],
)
def test_bands_need_no_more_than_what_is_said_for_one(run, tmp_path, words):
    """However many there are: the next refusal, if any, is of something else."""
    stack(tmp_path / "a.nmfc", 1500, "float32", "bands")
    allowed, refusals = "10KB", 0
    while (said := run(*words, "--max-memory", allowed)).code:
        found = re.search(r"\(pass --max-memory (\d+[MG]B)\)$", said.err.strip())
        assert found, said.err
        allowed, refusals = found[1], refusals + 1
        assert refusals < 3
    assert refusals


@pytest.mark.parametrize(
    "words",
    [
        ("basis", "in", *FIT),
        ("rank", "in", "--ranks", "1-2"),
        ("compare", "in", "--rates", "2", "--codecs", "svd"),
        ("compress", "in", "-o", "a.nmfc", "--step", "9"),
        ("compress", "in/a.png", "-o", "a.nmfc", "--step", "9"),
    ],
)
def test_pictures_are_not_made_larger_than_what_is_allowed(run, tmp_path, words):
    for name in "abc":
        picture(tmp_path / f"in/{name}.png", "RGB", (20, 10))
    tracemalloc.start()
    try:
        said = run(*words, "--resize", "4000x3000", "--max-memory", "50MB")
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()
    assert said.code == 1
    assert re.search(r"a picture of 4000 x 3000 x 3 needs 936\.0 MB.* \(pass --max-memory 936MB\)\n$", said.err)


def test_the_work_counts_and_not_only_the_picture(run, tmp_path):
    picture(tmp_path / "a.png", "L", (300, 2000))
    allowed = ("--max-memory", "16MB", "--write", "image", "-n", "1", "--inner", "1", "-O")
    assert run("compress", "a.png", "-k", "2", *allowed, "out").code == 0
    said = run("compress", "a.png", "-k", "300", *allowed, "other")
    assert said.code == 1
    assert re.fullmatch(r"nmfc: a\.png: rank 300 for a matrix of 2,000 x 300 needs .*\n", said.err)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("compress", "a.png", *FIT),
        ("compress", "a.png", "-k", "2", "-o", "a.nmfc"),
        ("basis", "a.png", "small.png", "--resize", "8x8", *FIT),
        ("compare", "a.png", "--rates", "2", "--codecs", "svd"),
        ("compress", "small.png", *FIT, "--mask", "a.png"),
    ],
)
def test_pixels(run, tmp_path, words):
    picture(tmp_path / "a.png", size=(40, 30))
    picture(tmp_path / "small.png", size=(20, 10))
    said = run(*words, "--max-pixels", "1199")
    assert said.code == 1
    assert said.err.endswith("a.png: its header says 40 x 30 pixels, at most 1,199 are read (pass --max-pixels 1200)\n")
    assert written(tmp_path) == ["a.png", "small.png"]
    said = run(*words, "--max-pixels", "1200")
    assert "--max-pixels" not in said.err
    assert said.code == 0 or "is a mask of 40 x 30" in said.err


@pytest.mark.parametrize("value", ["0", "-5", "many"])
def test_a_number_of_pixels_that_is_none(run, tmp_path, value):
    picture(tmp_path / "a.png")
    said = run("compress", "a.png", *FIT, "--max-pixels", value)
    assert said.code == 2
    assert "--max-pixels" in said.err
