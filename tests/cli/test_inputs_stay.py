"""No input is ever written to, by whatever way it came in, or the output goes out."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from commands import one_line, picture, real, shell, tones

from nmfcompress.cli.processes import MOST

REFUSED = "is an input, which is never overwritten"


@pytest.mark.parametrize(
    "command",
    [
        "compress - -k 2 -o a.png -f < a.png",
        "compress - -o a.nmfc --step 9 -f < a.nmfc",
        "compress --files-from - -k 2 -o list --to png -f < list",
        "compress a.png -k 2 -o - --to png >> a.png",
        "compress a.png -o - --step 9 1<> a.png",
        "compress - -k 2 -o - --to png < a.png >> a.png",
        "decompress a.nmfc -o - --to npy >> a.nmfc",
        "plot - -o loss.csv --to svg -f < loss.csv",
        "info a.nmfc --json 1<> a.nmfc",
        "info a.nmfc >> a.nmfc",
        "verify a.nmfc 2>> a.nmfc",
        "compress a.png -k 2 -O new --json 1<> a.png",
        "compress a.png -k 2 -O new 2<> a.png",
        "compress a.png -k 2 -O new --mask b.png >> b.png",
        "decompress a.nmfc -O new 2>> a.nmfc",
        "rank a.npy --ranks 1-2 >> a.npy",
    ],
)
def test_what_is_redirected_is_an_input_too(tmp_path, command):
    picture(tmp_path / "a.png")
    (tmp_path / "list").write_text("a.png\n")
    picture(tmp_path / "b.png")
    np.save(tmp_path / "a.npy", np.stack([tones(9, 8, seed=seed) for seed in range(5)]))
    made = "nmfc compress a.png -o a.nmfc --step 9 -q; nmfc compress a.png -k 2 -O out -q; cp out/loss.csv loss.csv"
    assert shell(tmp_path, made).returncode == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    done = shell(tmp_path, f"nmfc {command}")
    assert done.returncode == 1
    if " 2<> " not in command and " 2>> " not in command:  # nobody is told then
        one_line(done.stderr.decode(), REFUSED)
        assert not (tmp_path / "new").exists()
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert after == before


def test_a_device_may_be_both(tmp_path):
    picture(tmp_path / "a.png")
    assert shell(tmp_path, "nmfc compress a.png -k 2 -o /dev/null --to png < /dev/null > /dev/null").returncode == 0


def test_labels_that_are_read_beside_the_images_stay(tmp_path):
    images = np.stack([tones(9, 8, seed=seed) for seed in range(5)])
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(
        struct.pack(">4B3I", 0, 0, 8, 3, *images.shape) + images.tobytes()
    )
    labels = tmp_path / "t10k-labels-idx1-ubyte"
    labels.write_bytes(struct.pack(">4BI", 0, 0, 8, 1, 5) + bytes(range(5)))
    before = labels.read_bytes()
    done = real(tmp_path, "compress", "t10k-images-idx3-ubyte", "-o", labels.name, "--to", "nmfc", "--step", 9, "-f")
    assert done.returncode == 1
    one_line(done.stderr.decode(), f"{labels.name}: {REFUSED}")
    assert labels.read_bytes() == before


@pytest.mark.parametrize(("name", "other"), [("images.png", "labels.png"), ("idx2.png", "idx1.png")])
def test_a_picture_has_no_labels_beside_it(tmp_path, name, other):
    picture(tmp_path / name)
    picture(tmp_path / other, seed=1)
    assert real(tmp_path, "compress", name, "-k", 2, "-o", other, "-f").returncode == 0


def test_a_picture_that_the_plot_would_replace(tmp_path):
    picture(tmp_path / "loss.png")
    picture(tmp_path / "b.png")
    done = real(tmp_path, "compress", "b.png", "loss.png", "--plot", "-k", 2, "-O", "out")
    assert done.returncode == 2
    one_line(done.stderr.decode(), "loss.png and --plot would both write loss.png")
    assert not (tmp_path / "out").exists()


def test_the_folder_of_the_inputs_as_that_of_the_outputs(tmp_path):
    picture(tmp_path / "b.png")
    done = real(tmp_path, "compress", "-r", ".", "-k", 2, "-O", ".")
    assert done.returncode == 1
    one_line(done.stderr.decode(), ".: passed over, it is the folder for the outputs")


def test_more_processes_than_there_may_be_open_files(tmp_path):
    """Those that could be started do all of it, and there are never more than keep open files few."""
    for seed in range(12):
        picture(tmp_path / f"{seed}.png", seed=seed)
    done = shell(tmp_path, "ulimit -n 20; nmfc compress -r . -k 2 -n 9 -j 12 -q --write image")
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(list((tmp_path / "nmfc-out").iterdir())) == 12
    assert 3 * MOST + 16 <= 64
