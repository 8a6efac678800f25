"""nmfc compress -o FILE.nmfc says what does not come back, why a target is missed, and what is no input."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from commands import SAMPLES, one_line, picture, tones, written
from containers_made import images, single
from PIL import Image

import nmfcompress

TYPES = {  # of the array: what comes back, None where it is the same
    "uint8": None, "uint16": None, "float32": None, "float64": None, ">u2": None,
    "bool": "uint8, 0 and 255", "int32": "float32", "uint64": "float32", "float16": "float32",
}  # fmt: skip


@pytest.mark.parametrize("kind", TYPES)
def test_a_type_that_does_not_come_back_is_said(run, tmp_path, kind):
    pixels = images(4)
    pixels = pixels > 128 if kind == "bool" else pixels / 255 if "float" in kind else pixels
    np.save(tmp_path / "a.npy", pixels.astype(kind))
    done = run("compress", "a.npy", "-k", 2, "-o", "a.nmfc", "--json")
    assert done.code == 0, done.err
    notes = [note for note in json.loads(done.out)["notes"] if "come back" in note]
    back = nmfcompress.decode_stack((tmp_path / "a.nmfc").read_bytes()).dtype
    if TYPES[kind] is None:
        assert not notes
        assert back == np.dtype(kind).newbyteorder("=")
    else:
        assert notes == [
            f"{kind} values come back as {TYPES[kind]} (a .nmfc file holds uint8, uint16, float32, float64)"
        ]
        assert f"nmfc: a.npy: {notes[0]}" in done.err
        assert TYPES[kind].startswith(back.name)  # type: ignore[union-attr]


def noisy(path, size=(48, 40)):
    """A smooth picture whose alpha no coder makes small."""
    rng = np.random.default_rng(0)
    Image.fromarray(np.dstack([tones(size[1], size[0], 3), rng.integers(0, 256, size[::-1], np.uint8)])).save(path)


def test_alpha_that_is_most_of_a_size_is_said(run, tmp_path):
    noisy(tmp_path / "a.png")
    done = run("compress", "a.png", "-o", "a.nmfc", "--target-size", "1KB")
    assert done.code == 3
    one_line(done.err, "1,000 bytes cannot be reached", "alpha, kept without loss, takes 1,9")
    assert written(tmp_path) == ["a.png"]
    done = run("compress", "a.png", "-o", "a.nmfc", "--target-size", 2900, "--json")
    assert done.code == 0, done.err
    assert any("alpha, kept without loss, takes 1,9" in note for note in json.loads(done.out)["notes"])
    assert os.path.getsize(tmp_path / "a.nmfc") <= 2900
    done = run("compress", "a.png", "-o", "b.nmfc", "--min-psnr", 25, "--json")
    assert json.loads(done.out)["notes"] == []


def test_a_quality_that_only_grey_reaches_is_said(run, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 40, 3), np.uint8)).save(tmp_path / "a.png")
    given = ("compress", "a.png", "-o", "a.nmfc", "--min-psnr", 60)
    done = run(*given)
    assert done.code == 3
    one_line(done.err, "60 dB cannot be reached", "dB is the best (patches keep colour at half the size: --gray would")
    done = run(*given, "--rank", 5)  # which grey would not reach with so few bands, either
    assert done.code == 3
    assert "--gray" not in done.err
    assert run(*given, "--gray").code == 0
    Image.fromarray(tones(32, 40)).save(tmp_path / "a.png")
    done = run("compress", "a.png", "-o", "b.nmfc", "--min-psnr", 60, "--arrangement", "rows", "-k", 2)
    assert done.code == 3
    assert "--gray" not in done.err


@pytest.mark.parametrize("command", [("compress",), ("compress", "-o", "b.nmfc"), ("basis",), ("compare",)])
def test_a_file_that_is_compressed_already(run, tmp_path, command):
    single(tmp_path / "a.nmfc")
    rank = () if command == ("compare",) else ("-k", 2)
    done = run(command[0], "a.nmfc", *rank, *command[1:])
    assert done.code == 1
    one_line(done.err, "nmfc: a.nmfc: is a .nmfc file already (nmfc decompress brings its pictures back)")
    assert written(tmp_path) == ["a.nmfc"]


def test_one_file_holds_all_of_a_folder_or_is_not_written(run, tmp_path):
    """What by its ending is no picture is passed over and said, a picture that is none stops it by name."""
    for seed in range(3):
        picture(tmp_path / f"in/{seed}.png", seed=seed)
    (tmp_path / "in/notes.txt").write_text("no picture")
    done = run("compress", "in", "-k", 2, "-o", "a.nmfc")
    assert done.code == 0
    assert "in: passed over notes.txt, by the ending no picture" in done.err
    assert nmfcompress.info((tmp_path / "a.nmfc").read_bytes())["images"] == 3
    (tmp_path / "in/junk.png").write_text("no picture either")
    done = run("compress", "in", "-k", 2, "-o", "b.nmfc", "-q")
    assert done.code == 1
    one_line(done.err, "nmfc: in/junk.png: is a text file")
    assert not (tmp_path / "b.nmfc").exists()


def test_arrays_with_alpha_lose_it_and_say_so(run, tmp_path):
    np.save(tmp_path / "a.npy", images(3, channels=4))
    done = run("compress", "a.npy", "-k", 2, "-o", "a.nmfc", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["mode"] == "RGB"
    assert any("alpha, the last of 4 channels, is left out" in note for note in told["notes"])


def test_the_first_picture_of_the_readme_has_no_hint(run):
    done = run("compress", SAMPLES / "photo.png", "--rank", 2, "-n", 3, "-o", "a.nmfc")
    assert done.code == 0
    assert done.err.count("\n") == 2
