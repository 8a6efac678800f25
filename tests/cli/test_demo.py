"""`nmfc demo`: what somebody sees who has installed the program and nothing else."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import SAMPLES, environment, one_line, read, real

from nmfcompress import decode_stack, read_stack
from nmfcompress.cli.demo import LOOK, MNIST, STEPS


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder where it ran, whose name has a space, and what it said."""
    folder = tmp_path_factory.mktemp("a place")
    done = real(folder, "demo")
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == b""
    return folder, done.stderr.decode()


def test_all_that_it_tells_to_look_at_is_there(shown: tuple[Path, str]) -> None:
    folder, said = shown
    told = re.findall(r"^  (nmfc-demo/\S+) ", said, re.MULTILINE)
    assert [name.removeprefix("nmfc-demo/") for name in told] == [name for name, _ in LOOK]
    for name in told:
        assert (folder / name).stat().st_size > 100
        if name.endswith(".png"):
            assert np.ptp(read(folder / name)) > 100


def test_each_command_is_shown_before_it_runs_and_can_be_typed_again(shown: tuple[Path, str]) -> None:
    folder, said = shown
    commands = re.findall(r"^\$ nmfc (.*)$", said, re.MULTILINE)
    assert len(commands) == len(STEPS)
    for command in commands[:2]:
        done = real(folder, *shlex.split(command), "--skip-existing")
        assert done.returncode == 0
        assert b"passed over" in done.stderr
    places = [said.index(f"$ nmfc {command}") for command in commands]
    assert places == sorted(places)
    assert places[0] < said.index("written to nmfc-demo/pictures") < places[1]


def test_the_samples_are_those_of_the_repository(shown: tuple[Path, str]) -> None:
    folder, _ = shown
    again = read_stack(folder / "nmfc-demo/samples/digits.npz").images
    kept = read_stack(SAMPLES / "digits.npz").images
    assert again.shape == kept.shape
    assert np.abs(again.astype(int) - kept).max() <= 1  # the last bit of sin depends on the processor
    assert decode_stack((folder / "nmfc-demo/digits.nmfc").read_bytes()).shape == kept.shape


def test_a_folder_with_something_in_it_is_left_alone(shown: tuple[Path, str]) -> None:
    folder, _ = shown
    done = real(folder, "demo")
    assert done.returncode == 1
    one_line(done.stderr.decode(), "nmfc-demo: is not empty", "-f")
    (folder / "file").touch()
    done = real(folder, "demo", "-O", "file")
    assert done.returncode == 1
    one_line(done.stderr.decode(), "file: is a file")


def test_force_overwrites_and_a_folder_may_have_any_name(tmp_path: Path) -> None:
    name = "-it's here"
    assert real(tmp_path, "demo", f"--output-dir={name}").returncode == 0
    done = real(tmp_path, "demo", f"--output-dir={name}", "-f")
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr.decode().count(" -f\n") == len(STEPS)


def test_without_matplotlib_the_table_is_told_instead_of_the_curve(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['matplotlib'] = None; from nmfcompress.cli import entry; "
        "sys.argv = ['nmfc', 'demo']; entry()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "ten-digits/loss.csv" in done.stderr
    assert "nmfcompress[plot]" in done.stderr
    assert "ten-digits/loss.png" not in done.stderr


def test_every_layout_of_mnist_that_is_named_is_read(tmp_path: Path, data: Path) -> None:
    """On the real files, and by the lines that are given for arrays."""
    for name in ("mnist.npz", "train-images-idx3-ubyte.gz", "mnist-original.mat"):
        assert name in MNIST
        stack = read_stack(data / "mnist" / name)
        assert stack.images.shape[1:] == (28, 28)
        assert stack.labels is not None
        assert len(stack.labels) == len(stack.images) in (60_000, 70_000)


def test_the_lines_for_an_array_and_a_csv_run(tmp_path: Path, rng: np.random.Generator) -> None:
    images, labels = rng.integers(0, 256, (20, 784), dtype=np.uint8), np.arange(20, dtype=np.uint8) % 10
    rows = "\n".join(",".join(map(str, [label, *image])) for label, image in zip(labels, images, strict=True))
    (tmp_path / "mnist.csv").write_text("label," + ",".join(f"p{i}" for i in range(784)) + "\n" + rows + "\n")
    words = " ".join(MNIST.split())
    lines = [
        re.search(pattern, words)[0]  # type: ignore[index]
        for pattern in (r"t = numpy.loadtxt\(.*?skiprows=1\)", r"X, y = .*?, 0\]", r"numpy.savez\(.*?\)")
    ]
    code = "import numpy\n" + "\n".join(lines)
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=60)
    stack = read_stack(tmp_path / "mine.npz")
    assert np.array_equal(stack.images.reshape(20, 784), images)
    assert np.array_equal(stack.labels, labels)  # type: ignore[arg-type]
