"""nmfc compare: one picture or one collection through every codec, and what is written and said about it."""

from __future__ import annotations

import csv
import io
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
from commands import SAMPLES, frames, one_line, picture, read, tones, written
from PIL import Image

from nmfcompress import encode_stack
from nmfcompress.cli import comparing, main
from nmfcompress.report import rivals
from nmfcompress.report.plots import available
from nmfcompress.report.rivals import Codec

FAST = ("--codecs", "svd,jpeg", "--rates", 3)
FILES = ["compare.csv", "compare.json", "compare.png", *(["rates.png"] if available() else [])]


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(main.COMMANDS, "compare", "compare")


def stand_in(images: np.ndarray) -> list[Codec]:
    """For a codec of ours: as many bits a pixel as its quality says, packed by zlib."""

    def encode(given: np.ndarray, quality: float) -> list[bytes]:
        return [bytes([int(quality)]), zlib.compress((given >> (8 - int(quality))).tobytes())]

    def decode(parts: object) -> np.ndarray:
        (quality,), packed = parts  # type: ignore[misc]
        kept = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(images.shape)
        return (kept << (8 - quality)).astype(np.uint8)

    return [Codec("nmfc bits", "bits", (1.0, 3.0, 5.0), encode, decode)]


def rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "compare.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_one_picture(run, tmp_path, monkeypatch):
    monkeypatch.setattr(rivals, "_ours", stand_in)
    picture(tmp_path / "a.png", "RGB", (60, 48))
    done = run("compare", "a.png", "--codecs", "nmfc,svd,jpeg", "--rates", 3)
    assert done.code == 0, done.err
    assert done.out == ""
    assert written(tmp_path / "nmfc-out") == FILES
    lines = done.err.splitlines()
    assert " ".join(lines[0].split()) == "codec quality bytes bit/pixel PSNR dB SSIM encode s decode s"
    assert lines[-1] == "written to nmfc-out"
    assert "nmfc bits needs" in lines[-2]
    found = rows(tmp_path / "nmfc-out")
    assert {row["codec"] for row in found} == {"nmfc bits", "SVD rows", "JPEG"}
    assert {row["input"] for row in found} == {"a.png"}
    assert all(int(row["bytes"]) > 0 and float(row["encode_seconds"]) >= 0 for row in found)
    assert read(tmp_path / "nmfc-out" / "compare.png").ndim == 3


def test_a_picture_by_our_own_codecs(run, tmp_path):
    picture(tmp_path / "a.png", "RGB", (64, 48))
    done = run("compare", "a.png", "--codecs", "nmfc,jpeg", "--rates", 2, "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert {rate["codec"] for rate in told["rates"]} == {"nmfc patches", "nmfc rows", "JPEG"}
    assert told["best"].startswith("nmfc ")
    assert told["notes"] == []


def test_a_rate_can_be_made_again_by_what_the_table_says(run, tmp_path):
    """The bytes of "step 24, rank 2" are those of encode_stack(images, step=24, rank=2)."""
    images = np.stack([tones(16, 16, seed=seed) for seed in range(6)])
    np.save(tmp_path / "a.npy", images)
    done = run("compare", "a.npy", "--codecs", "nmfc", "--rates", 2, "--json")
    assert done.code == 0, done.err
    rate = next(rate for rate in json.loads(done.out)["rates"] if rate["codec"] == "nmfc stack")
    step, rank = (float(word.split()[1]) for word in rate["quality"].split(", "))
    assert rate["bytes"] == len(encode_stack(images, arrangement="stack", step=step, rank=int(rank)))


def test_json_is_one_object_on_stdout_and_in_the_folder(run, tmp_path):
    picture(tmp_path / "a.png", size=(40, 32))
    done = run("compare", "a.png", *FAST, "--json", "-O", "out")
    assert done.code == 0
    assert done.err == ""
    assert done.out.count("\n") == 1
    told = json.loads(done.out)
    assert told == json.loads((tmp_path / "out" / "compare.json").read_text())
    assert (told["input"], told["images"], told["width"], told["height"]) == ("a.png", 1, 40, 32)
    assert told["outputs"] == [f"out/{name}" for name in FILES]
    assert len(told["rates"]) == len(rows(tmp_path / "out"))


@pytest.mark.parametrize("kind", ["archive", "frames", "folder", "list", "stdin"])
def test_several_images_are_one_collection(run, tmp_path, kind):
    images = np.stack([tones(24, 32, seed=seed) for seed in range(4)])
    names, data = ["a.npz"], b""
    if kind in ("archive", "stdin"):
        file = io.BytesIO()
        np.savez(file, images=images)
        (tmp_path / "a.npz").write_bytes(file.getvalue())
    if kind == "stdin":
        names, data = ["-"], file.getvalue()
    elif kind == "frames":
        frames(tmp_path / "a.tif", 4)
        names = ["a.tif"]
    elif kind in ("folder", "list"):
        for place, image in enumerate(images):
            (tmp_path / "in").mkdir(exist_ok=True)
            Image.fromarray(image).save(tmp_path / "in" / f"{place}.png")
        names = ["in"] if kind == "folder" else [f"in/{place}.png" for place in range(4)]
    done = run("compare", *names, *FAST, "--json", input=data)
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["images"] == 4
    assert {rate["codec"] for rate in told["rates"]} == {"SVD stack", "JPEG mosaic", "JPEG files"}


def test_a_selection_of_an_archive(run):
    done = run("compare", SAMPLES / "digits.npz", "--label", 3, "--limit", 20, *FAST, "--json", "--show", 4)
    assert done.code == 0, done.err
    assert json.loads(done.out)["images"] == 20


def test_the_size_of_the_picture_can_be_asked_for(run):
    done = run("compare", SAMPLES / "grey.png", "--codecs", "jpeg", "--at", "6KB", "--json")
    told = json.loads(done.out)
    assert told["size"] == 6000
    (near,) = [rate for rate in told["rates"] if rate["shown"]]
    assert near["bytes"] == pytest.approx(6000, rel=0.05)


def test_a_size_that_no_codec_has_is_said(run):
    done = run("compare", SAMPLES / "grey.png", "--codecs", "jpeg", "--rates", 2, "--at", 1)
    assert done.code == 0
    assert "no codec comes near 1 bytes (the nearest is JPEG with " in done.err.splitlines()[0]


@pytest.mark.parametrize("codecs", ["jpeg", "jpeg,svd"])
def test_one_rate_leaves_no_line_empty_without_need(run, codecs):
    done = run("compare", SAMPLES / "grey.png", "--codecs", codecs, "--rates", 1)
    assert done.code == 0
    lines = done.err.splitlines()
    assert lines[-1] == "written to nmfc-out"
    assert lines[-2]
    assert ("" in lines) == ("svd" in codecs)


def test_files_that_are_there_are_kept(run, tmp_path):
    picture(tmp_path / "a.png", size=(40, 32))
    assert run("compare", "a.png", *FAST).code == 0
    before = (tmp_path / "nmfc-out" / "compare.csv").stat().st_mtime_ns
    again = run("compare", "a.png", *FAST)
    assert again.code == 1
    one_line(again.err, "compare.csv", "exists", "-f")
    passed = run("compare", "a.png", *FAST, "--skip-existing")
    assert passed.code == 0
    assert "1 passed over" in passed.err
    assert (tmp_path / "nmfc-out" / "compare.csv").stat().st_mtime_ns == before
    assert run("compare", "a.png", *FAST, "-f", "-q").err == ""
    assert (tmp_path / "nmfc-out" / "compare.csv").stat().st_mtime_ns > before


def test_a_flood_is_refused_unless_asked_for(run, tmp_path, monkeypatch):
    monkeypatch.setattr(comparing, "FLOOD", 4000)
    np.save(tmp_path / "a.npy", np.zeros((50, 12, 10), np.uint8))
    refused = run("compare", "a.npy", *FAST)
    assert refused.code == 2
    one_line(refused.err, "50 images of 10x12", "--limit 33")
    assert run("compare", "a.npy", *FAST, "--limit", 33).code == 0
    assert run("compare", "a.npy", *FAST, "--limit", 50, "-f").code == 0


WRONG = {
    "codecs": (("--codecs", "nmfc,gif"), "--codecs is nmfc,gif"),
    "no codecs": (("--codecs", ""), "--codecs"),
    "rates 0": (("--rates", 0), "--rates is 0"),
    "rates 1000": (("--rates", 1000), "--rates is 1000"),
    "at": (("--at", "lots"), "--at is lots"),
    "show 0": (("--show", 0), "show is 0"),
    "mask": (("--mask", "m.png"), "--mask"),
    "force and skip": (("-f", "--skip-existing"), "--skip-existing"),
}


@pytest.mark.parametrize("given", WRONG)
def test_wrong_usage(run, tmp_path, given):
    picture(tmp_path / "a.png")
    words, expected = WRONG[given]
    done = run("compare", "a.png", *words)
    assert done.code == 2
    one_line(done.err, expected)
    assert not (tmp_path / "nmfc-out").exists()


def test_bad_inputs(run, tmp_path):
    (tmp_path / "a.png").write_bytes(b"<html>not found</html>")
    (tmp_path / "empty.npz").write_bytes(b"")
    for name in ("a.png", "empty.npz", "missing.png"):
        done = run("compare", name, *FAST)
        assert done.code == 1
        one_line(done.err, name)
    picture(tmp_path / "b.png", size=(20, 20))
    picture(tmp_path / "c.png", size=(20, 21))
    done = run("compare", "b.png", "c.png", *FAST)
    assert done.code == 1
    one_line(done.err, "c.png", "20 x 21", "--resize")
    assert run("compare", "b.png", *FAST, "--max-memory", "1KB").code == 1
    assert not (tmp_path / "nmfc-out").exists()


def test_an_output_is_never_an_input(run, tmp_path):
    picture(tmp_path / "compare.png", size=(20, 20))
    done = run("compare", "compare.png", *FAST, "-O", ".", "-f")
    assert done.code == 1
    one_line(done.err, "is an input")
