"""Collections larger than memory: the real `nmfc basis`, its memory sampled while it runs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from commands import COMMAND, environment, timeless

ALLOWED = 40  # MB: what --max-memory says; the data are several times as much
PROGRAM = 60  # MB that the program itself may take
QUICK = ("-k", "2", "-n", "2", "--inner", "1", "--no-plot", "-j", "2")


def run(folder: Path, *words: str) -> tuple[float, str]:
    """Run the command; the most unshared memory in MB, and what it said."""
    process = subprocess.Popen([*COMMAND, *words], cwd=folder, env=environment(), stderr=subprocess.PIPE, text=True)
    most = 0.0
    while process.poll() is None:
        with open(f"/proc/{process.pid}/status") as lines:
            most = max([most] + [int(line.split()[1]) / 1000 for line in lines if line.startswith("RssAnon")])
        time.sleep(0.005)
    said = process.communicate()[1]
    assert process.returncode == 0, said

    return most, said


def factors(folder: Path) -> dict[str, bytes]:
    with np.load(folder / "factors.npz") as arrays:
        return {name: arrays[name].tobytes() for name in ("W", "H", "image_shape", "indices")}


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """131 MB of 32,000 images as .npy and as .npz, and what is learned of them in memory."""
    folder = tmp_path_factory.mktemp("archives")
    rng = np.random.default_rng(0)
    parts = rng.random((3, 64 * 64), np.float32) ** 3
    images = np.concatenate([(rng.random((4000, 3), np.float32) @ parts * 80).astype(np.uint8) for _ in range(8)])
    np.save(folder / "a.npy", images.reshape(-1, 64, 64))
    np.savez(folder / "a.npz", images=images.reshape(-1, 64, 64), labels=np.arange(len(images)) % 10)
    run(folder, "basis", "a.npy", *QUICK, "--max-memory", "1GB", "-O", "loaded")
    return folder


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is told by /proc")


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_an_archive_larger_than_memory(archives, name):
    most, said = run(archives, "basis", name, *QUICK, "--max-memory", f"{ALLOWED}MB", "-O", name + "-apart", "-v")
    assert "131.1 MB, read a piece at a time" in said
    assert most < ALLOWED + PROGRAM
    assert factors(archives / (name + "-apart")) == factors(archives / "loaded")


def test_a_selection_of_it(archives):
    words = ("basis", "a.npz", *QUICK, "--label", "3", "--label", "4", "--limit", "6000")
    most, _ = run(archives, *words, "--max-memory", f"{ALLOWED}MB", "-O", "few-apart")
    assert most < ALLOWED + PROGRAM
    run(archives, *words, "--max-memory", "1GB", "-O", "few")
    assert factors(archives / "few-apart") == factors(archives / "few")


def test_pictures_larger_than_memory(tmp_path):
    """10 pixels high: SSIM, which would take most of the time, looks at 11 and more."""
    (tmp_path / "in").mkdir()
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 100, 2**20, np.uint8).tobytes()
    for place in range(3200):
        (tmp_path / f"in/{place:04}.pgm").write_bytes(b"P5 4000 10 255\n" + noise[place * 7 :][:40_000])
    allowed = ALLOWED + 2  # for the sums of the second thread
    most, _ = run(tmp_path, "basis", "in", *QUICK, "--max-memory", f"{allowed}MB", "-O", "apart")
    assert most < allowed + PROGRAM
    run(tmp_path, "basis", "in", *QUICK, "--max-memory", "1GB", "-O", "loaded")
    assert factors(tmp_path / "apart") == factors(tmp_path / "loaded")


def test_the_sample_that_the_basis_is_learned_from_counts(archives):
    """A few thousand rows as floats: 18 MB here, which --init random does without."""
    words = [*COMMAND, "basis", "a.npy", "-k", "3", "-n", "1", "--max-memory", f"{ALLOWED}MB", "-O", "sample"]
    said = subprocess.run(words, cwd=archives, env=environment(), capture_output=True, text=True, timeout=60)
    assert said.returncode == 1
    assert "--max-memory is 40.0 MB" in said.stderr


def test_a_file_that_is_cut_off_meanwhile_is_an_error_not_a_crash(archives):
    path = archives / "cut.npy"
    path.write_bytes((archives / "a.npy").read_bytes())
    words = ("basis", "cut.npy", *QUICK, "-n", "1000", "--tol", "0", "--max-memory", f"{ALLOWED}MB", "-O", "cut")
    process = subprocess.Popen([*COMMAND, *words], cwd=archives, env=environment(), stderr=subprocess.PIPE, text=True)
    while process.poll() is None and len(os.listdir(f"/proc/{process.pid}/task")) < 2:  # threads work on blocks
        time.sleep(0.01)
    with open(path, "r+b") as file:
        file.truncate(10**6)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert said.startswith("nmfc: cut.npy: images ")
    assert said.count("\n") == 1
    assert "has changed since it was opened (1,000,000 bytes, 131,072,128 before)" in said
    assert not (archives / "cut").exists()


def test_single_images_of_it(archives):
    words = ("compress", "a.npz", "-k", "2", "-n", "5", "--no-plot", "--index", "3,31999")
    most, said = run(archives, *words, "--max-memory", f"{ALLOWED}MB", "-O", "two-apart", "-v")
    assert "131.1 MB, read a piece at a time" in said
    assert most < ALLOWED + PROGRAM
    run(archives, *words, "--max-memory", "1GB", "-O", "two")
    assert timeless(archives / "two-apart") == timeless(archives / "two")
    assert len(timeless(archives / "two")) > 4
