"""Bad input through the whole command: each kind has its answer, one line or a picture, and costs no other input."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import random
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from commands import COMMAND, environment, frames, log, mode_and_size, one_line, picture, read, real, tones, written
from PIL import Image

from nmfcompress import decode_image

FAST = ("-k", 1, "-n", 2)
COMMANDS = ("compress", "basis")


def refused(said, *words):
    """Exit 1, and one line with all of `words` (the summary of a batch aside)."""
    assert said.code == 1, said
    assert said.out == ""
    one_line(said.err, *words)
    assert all(char.isprintable() for char in said.err[:-1])


# Files that are no pictures

HTML = b"<!DOCTYPE html>\n<html><head><title>404</title></head><body>Not found</body></html>\n"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d7a" * 16 + b"\nsize 11490434\n"
ANNEX = b"/annex/objects/SHA256E-s11490434--731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1.npz\n"
STRANGERS = {
    "html": (HTML, "an HTML page"),
    "lfs": (LFS, "a Git LFS pointer"),
    "annex": (ANNEX, "a git-annex pointer"),
    "empty": (b"", "an empty file"),
    "text": (b"hello\n", "a text file"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF document"),
    "pickle": (pickle.dumps({"x": [1, 2]}, 4), "a Python pickle"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript"),
    "noise": (bytes(random.Random(0).randrange(128, 256) for _ in range(300)), ""),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("ending", ["png", "npz", "gz", "mat"])
@pytest.mark.parametrize("kind", STRANGERS)
def test_strangers(run, tmp_path, kind, ending, command):
    content, words = STRANGERS[kind]
    (tmp_path / f"a.{ending}").write_bytes(content)
    refused(run(command, f"a.{ending}", *FAST), f"nmfc: a.{ending}: ", words)
    assert written(tmp_path) == [f"a.{ending}"]


@pytest.mark.parametrize("command", COMMANDS)
def test_files_that_cannot_be_read(run, tmp_path, command):
    refused(run(command, "none.png", *FAST), "nmfc: none.png: ", "No such file")
    (tmp_path / "folder.png").mkdir()
    refused(run(command, "folder.png", *FAST), "nmfc: folder.png: ", "folder")
    os.symlink("loop", tmp_path / "loop")
    refused(run(command, "loop", *FAST), "nmfc: loop: ")
    os.symlink("nowhere", tmp_path / "dangling.png")
    refused(run(command, "dangling.png", *FAST), "nmfc: dangling.png: ", "No such file")
    refused(run(command, "a" * 300 + ".png", *FAST), "too long")
    refused(run(command, "", *FAST), "nmfc: ")


def encoded(kind: str, **saved: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(tones(40, 60, 3)).save(stream, kind, **saved)
    return stream.getvalue()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "JPEG2000"])
def test_broken_pictures(run, tmp_path, kind, command):
    """Cut anywhere, or with wrong bytes in the middle: a picture or one line."""
    whole = encoded(kind)
    rng = random.Random(kind)
    for place in range(8):
        broken = bytearray(whole[: rng.randrange(1, len(whole))] if place % 2 else whole)
        if not place % 2:
            for _ in range(4):
                broken[rng.randrange(len(broken))] = rng.randrange(256)
        (tmp_path / "a").write_bytes(broken)
        said = run(command, "a", *FAST, "-f")
        assert said.code in (0, 1)
        assert "Traceback" not in said.err
        assert "internal error" not in said.err
        if said.code == 1:
            refused(said, "nmfc: a: ")


# Arrays

PLAIN = np.arange(24, dtype=np.uint8).reshape(4, 6)
NAN, INF = PLAIN.astype(float), PLAIN.astype(float)
NAN[1, 2], INF[3, 0] = np.nan, np.inf
ARRAYS = {
    "NaN": (NAN, "NaN or infinite values"),
    "Inf": (INF, "NaN or infinite values"),
    "negative": (PLAIN.astype(float) - 3, "negative values (lowest -3, the first"),
    "negative integers": (PLAIN.astype(np.int16) - 3, "negative values (lowest -3, the first"),
    "object": (PLAIN.astype(object), "Python objects"),
    "complex": (PLAIN.astype(complex), "complex128"),
    "text": (PLAIN.astype(str), "str"),
    "dates": (PLAIN.astype("M8[s]"), "datetime64"),
    "fields": (np.zeros((4, 6), [("a", "u1"), ("b", "u1")]), "void"),
    "empty": (np.zeros((0, 6)), "empty"),
    "empty inside": (np.zeros((4, 0, 6)), "empty"),
    "a number": (np.array(3.0), ""),
    "a line": (np.arange(6.0), ""),
    "five axes": (np.zeros((2, 2, 2, 2, 2)), ""),
    "1x1": (np.array([[7]], np.uint8), None),
    "constant": (np.full((4, 6), 9, np.uint8), None),
    "constant floats": (np.full((4, 6), 0.25), None),
    "constant large floats": (np.full((4, 6), 1e9), None),
    "all zero": (np.zeros((4, 6), np.uint8), None),
    "all zero floats": (np.zeros((4, 6)), None),
    "bool": (PLAIN % 2 == 0, None),
    "uint16": (PLAIN.astype(np.uint16) * 2000, None),
    "uint32": (PLAIN.astype(np.uint32) * 100_000, None),
    "int64": (PLAIN.astype(np.int64), None),
    "float > 1": (PLAIN.astype(float) * 100, None),
    "float16": (PLAIN.astype(np.float16), None),
    "tiny floats": (PLAIN * 1e-300, None),
    "huge floats": (PLAIN * 1e300, None),
    "big-endian uint16": (PLAIN.astype(">u2"), None),
    "big-endian float": (PLAIN.astype(">f4"), None),
    "by columns": (np.asfortranarray(PLAIN), None),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays(run, tmp_path, kind, command):
    array, words = ARRAYS[kind]
    if command == "basis" and array.ndim == 2:
        array = np.stack([array] * 3)
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    said = run(command, "a.npy", *FAST, "--json", "--no-plot")
    if words is not None:
        refused(said, "nmfc: a.npy: ", words)
        return
    assert said.code == 0, said.err
    told = json.loads(said.out)
    assert (told["width"], told["height"]) == array.shape[::-1][:2]
    assert 0 <= told["relative_loss"] < 1
    if "all zero" in kind:
        assert (told["loss"], told["relative_loss"]) == (0, 0)
    if "constant" in kind or "zero" in kind or kind == "1x1":
        assert told["relative_loss"] < 1e-3
        assert told["psnr_db"] is None or told["psnr_db"] > 50
    outputs = written(tmp_path / "nmfc-out")
    assert len(outputs) == 5
    for name in outputs:
        if name.endswith(".png"):
            read(tmp_path / "nmfc-out" / name)
    if command == "compress":
        again = decode_image((tmp_path / "nmfc-out/a.nmfc").read_bytes())
        assert again.shape == array.shape
        assert np.isfinite(again).all()


def test_arrays_scaled_by_their_own_range_say_so(run, tmp_path):
    np.save(tmp_path / "a.npy", PLAIN.astype(float) * 100)
    said = run("compress", "a.npy", *FAST)
    assert "nmfc: a.npy: float64 values 0..2300 scaled by their own minimum and maximum" in said.err


def test_rank_above_the_smaller_side(run, tmp_path):
    picture(tmp_path / "a.png", size=(24, 16))
    for rank in (17, 2**32, 10**30):
        refused(run("compress", "a.png", "-k", rank), "nmfc: a.png: ", f"rank {rank} is above 16", "16 x 24")
    frames(tmp_path / "b.tif", 6)
    for rank in (7, 2**32, 10**30):
        refused(run("basis", "b.tif", "-k", rank), "nmfc: b.tif: ", f"rank {rank} is above 6")
    assert run("compress", "a.png", "-k", 16, "-n", 1).code == 0
    assert run("basis", "b.tif", "-k", 6, "-n", 1).code == 0


# Archives made to do harm


def npy(shape: str, descr: str = "|u1", content: bytes = b"") -> bytes:
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text) + 1) + text + b"\n" + content


def zipped(*members: tuple[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def saved(**arrays: object) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


class Harm:
    def __reduce__(self):
        return (os.mkdir, ("harmed",))


def objects(*values: object) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array


HOSTILE = {
    "promises 9 TiB": (zipped(("x.npy", npy(f"({9 * 2**40},)"))), "x"),
    "promises 9 TiB of images": (zipped(("x.npy", npy(f"({2**20}, 3072, 3072)"))), "x"),
    "promises more than int64": (zipped(("x.npy", npy(f"({2**62}, {2**62})"))), "x"),
    "negative side": (zipped(("x.npy", npy("(-4, 6)", content=b"x" * 24))), "x"),
    "shape of words": (zipped(("x.npy", npy("('a', 6)", content=b"x" * 24))), "x"),
    "shape of code": (zipped(("x.npy", npy("(__import__('os').mkdir('harmed'),)"))), "x"),
    "deep header": (zipped(("x.npy", npy("(" * 5000 + ")" * 5000))), "x"),
    "runs code": (saved(x=objects(Harm(), Harm())), "never loads"),
    "a pickle as a member": (zipped(("x.npy", pickle.dumps(Harm()))), "x"),
    "no member": (zipped(), "zip archive without arrays"),
    "no array in it": (zipped(("readme.txt", b"hello")), ""),
    "cut": (saved(x=np.zeros((40, 8, 8), np.uint8))[:-30], ""),
    "a damaged member": (
        saved(x=tones(64, 64)).replace(tones(64, 64)[:1].tobytes(), b"\0" * 64)[:1500] + b"\0" * 900,
        "",
    ),
    "names that climb": (zipped(("../../x.npy", npy("(3,)", content=b"abc"))), ""),
    "names that colour": (zipped(("\x1b[31mx\n.npy", npy("(3,)", content=b"abc"))), "\\x1b[31mx\\n"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_archives(run, tmp_path, kind, command):
    content, words = HOSTILE[kind]
    (tmp_path / "a.npz").write_bytes(content)
    refused(run(command, "a.npz", *FAST), "nmfc: a.npz: ", words)
    assert written(tmp_path) == ["a.npz"]
    assert not (tmp_path / "harmed").exists()


def test_labels_made_to_do_harm(run, tmp_path):
    labels = np.array(["../../up", "/abs", "=1+1", "\x1b[31mred", "a\nb", "ok"])
    shown = np.stack([tones(12, 10, seed=seed) for seed in range(6)])
    (tmp_path / "a.npz").write_bytes(saved(images=shown, labels=labels))
    said = run("compress", "a.npz", *FAST, "--write", "image,csv")
    assert said.code == 0, said.err
    assert all(char.isprintable() or char == "\n" for char in said.err)
    names = [f"a-{n}-label{label}.png" for n, label in enumerate((".._.._up", "_abs", "_1_1", "__31mred", "a_b", "ok"))]
    assert [name for name in written(tmp_path / "nmfc-out") if name.startswith("a-")] == names
    assert "'=1+1" in [row["label"] for row in log(tmp_path / "nmfc-out")]


# Header bombs


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


def ppm(width: int, height: int) -> bytes:
    return b"P5 %d %d 255\n" % (width, height) + b"\0" * 100


def gif(width: int, height: int) -> bytes:
    whole = bytearray(encoded("GIF"))
    whole[6:10] = struct.pack("<HH", width, height)
    return bytes(whole)


# A process between: the memory that a child is said to have used at most begins with that of its parent.
MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def measured(folder: Path, *args: object, stdin: IO[bytes] | None = None) -> tuple[int, str, float, int]:
    """Exit code, messages, seconds and the most memory (MB) of a real process."""
    began = time.perf_counter()
    words = [sys.executable, "-c", MEASURE, *COMMAND, *map(str, args)]
    done = subprocess.run(
        words,
        cwd=folder,
        env=environment(),
        stdin=stdin or subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    unit = 1 if sys.platform == "darwin" else 1024
    return done.returncode, done.stderr, time.perf_counter() - began, int(done.stdout) * unit // 10**6


BOMBS = {
    "png 65535 x 65535": png(65535, 65535),
    "png 2^31-1": png(2**31 - 1, 2**31 - 1),
    "png 0 x 0": png(0, 0),
    "ppm 2^31-1": ppm(2**31 - 1, 2**31 - 1),
    "gif 65535 x 65535": gif(65535, 65535),
    "npz of 9 TiB": HOSTILE["promises 9 TiB of images"][0],
    "npz of 1 GiB": None,
    "gzip of 1 GiB": None,
}


@pytest.mark.parametrize("kind", BOMBS)
def test_header_bombs(tmp_path, kind):
    """Refused before anything is allocated: under 2 s and 200 MB."""
    content = BOMBS[kind]
    if kind == "npz of 1 GiB":
        with (
            zipfile.ZipFile(tmp_path / "a", "w", zipfile.ZIP_DEFLATED) as archive,
            archive.open("x.npy", "w") as member,
        ):
            member.write(npy("(1024, 1024, 1024)"))
            for _ in range(1024):
                member.write(bytes(2**20))
    elif kind == "gzip of 1 GiB":
        with gzip.open(tmp_path / "a", "wb", 1) as file:
            file.write(b"\0\0\x08\x03" + struct.pack(">III", 1024, 1024, 1024))
            for _ in range(1024):
                file.write(bytes(2**20))
    else:
        assert content is not None
        (tmp_path / "a").write_bytes(content)
    for command in COMMANDS:
        code, said, seconds, megabytes = measured(tmp_path, command, "a", *FAST, "--max-memory", "500MB")
        assert code == 1
        one_line(said, "nmfc: a: ")
        assert megabytes < 200
        assert seconds < 20  # a guard: the figure is 2
    assert written(tmp_path) == ["a"]


@pytest.mark.parametrize("kind", ["npz", "gz"])
def test_too_many_pictures_are_refused_before_they_are_unpacked(tmp_path, kind):
    """200 MB of zeros in 200 KB, and a picture for each KB of them."""
    count, name = 200_000, f"a.{kind}"
    if kind == "npz":
        np.savez_compressed(tmp_path / name, images=np.zeros((count, 32, 32), np.uint8))
    else:
        head = b"\0\0\x08\x03" + struct.pack(">III", count, 32, 32)
        (tmp_path / name).write_bytes(gzip.compress(head + bytes(count * 1024), 1))
    for more in ((), ("--index", f"0-{count - 1}"), ("--limit", "150000")):
        code, said, _, megabytes = measured(tmp_path, "compress", name, *FAST, "--max-memory", "1GB", *more)
        assert code == 2
        one_line(said, f"nmfc: {name}: {'150' if '--limit' in more else '200'},000 pictures would make ", "pass --all")
        assert megabytes < 100
    assert measured(tmp_path, "compress", name, *FAST, "--index", count)[1].endswith("(0 to 199,999)\n")
    assert written(tmp_path) == [name]


def test_max_memory_says_what_would_do(run, tmp_path):
    picture(tmp_path / "a.png", size=(400, 300))
    picture_alone = ("compress", "a.png", *FAST, "--write", "image", "--max-memory")
    said = run(*picture_alone, "1MB")
    refused(said, "a.png: ", "--max-memory is 1.0 MB", "pass --max-memory")
    enough = said.err.rsplit("pass --max-memory ")[1].rstrip(")\n")
    assert run(*picture_alone, enough).code == 0


# Batches


def test_a_bad_one_among_good_ones(run, tmp_path):
    for n in range(100):
        picture(tmp_path / f"in/{n:02}.png", size=(6, 5), seed=n)
    (tmp_path / "in/42.png").write_bytes(HTML)
    for quiet in ((), ("--json",)):
        said = run("compress", "-r", "in", *FAST, "-f", "--write", "image", *quiet)
        assert said.code == 1
        assert said.err.splitlines()[0].startswith("nmfc: in/42.png: ")
        assert said.err.splitlines()[-1] == "nmfc: 1 failed: in/42.png"
        assert written(tmp_path / "nmfc-out") == [f"{n:02}.png" for n in range(100) if n != 42]
        assert len(said.out.splitlines()) == (99 if quiet else 0)


def test_all_bad(run, tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.png").write_bytes(HTML)
    said = run("compress", "a.png", "b.png", "c.png", *FAST)
    assert said.code == 1
    assert said.err.splitlines()[-1] == "nmfc: 3 failed: a.png, b.png, c.png"
    assert not (tmp_path / "nmfc-out").exists()


# Names

NAMES = [
    b"two\nlines.png",
    b"-dash.png",
    b"--rank.png",
    b"\x1b[31mred\x1b]0;title\x07.png",
    b"=1+1.png",
    b"+1.png",
    b"@SUM(1).png",
    b"<script>alert(1)</script>.png".replace(b"/", b":"),
    b"not utf-8 \xff\xfe.png",
    "right\u202eto left.png".encode(),
    b'comma, "quote".png',
    b"$(touch harmed) `x` ; & %s {}.png",
    b" .png",
    b"...png",
    b"x" * 251 + b".png",
    "größe 東 🙂.png".encode(),
    ("東" * 83 + ".png").encode(),
    b"con.aux.png",
]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_hostile_names(run, tmp_path, name):
    picture(os.path.join(os.fsencode(tmp_path), name))
    known = os.fsdecode(name)
    palette = run("compress", "-k", 1, "-n", 2, "--json", "--", known)
    assert palette.code == 0, palette.err
    told = json.loads(palette.out)
    assert os.fsencode(told["input"]) == name
    outputs = [os.fsencode(path) for path in told["outputs"]]
    there = {b"nmfc-out/" + one for one in os.listdir(os.fsencode(tmp_path / "nmfc-out"))}
    assert there == set(outputs)
    assert len(outputs) == 5
    assert not name.endswith(b"x.png") or max(map(len, there)) <= len("nmfc-out/") + 255

    said = run("compress", "-k", 1, "-n", 2, "-f", "--", known)
    bad = run("compress", "-k", 1000, "-f", "--", known)
    assert bad.code == 1
    for words in (palette.err, said.err, bad.err):
        assert all(char.isprintable() or char == "\n" for char in words)
    assert len(said.err.splitlines()) == 4, "the table of two lines, what + means, and the folder"
    assert bad.err.count("\n") == 1
    for row in log(tmp_path / "nmfc-out"):
        assert row["input"].isprintable()
        assert not row["input"].startswith(("=", "+", "-", "@"))
    assert not (tmp_path / "harmed").exists()


def test_hostile_names_as_a_collection(run, tmp_path):
    for seed, name in enumerate(NAMES):
        picture(os.path.join(os.fsencode(tmp_path / "in"), name), seed=seed)
    said = run("basis", "-r", "in", *FAST)
    assert said.code == 0, said.err
    said = run("compress", "-r", "in", *FAST, "-f")
    assert said.code == 0, said.err
    assert all(char.isprintable() or char == "\n" for char in said.err)


# Outputs


def test_the_folder_is_made(run, tmp_path):
    picture(tmp_path / "a.png")
    assert run("compress", "a.png", *FAST, "-O", "new/er/est").code == 0
    assert len(written(tmp_path / "new/er/est")) == 5
    assert run("compress", "a.png", *FAST, "-o", "also/new/b.png").code == 0
    assert mode_and_size(tmp_path / "also/new/b.png") == ("L", (24, 16))


@pytest.mark.parametrize("command", COMMANDS)
def test_no_folder_to_be_made(run, tmp_path, command):
    frames(tmp_path / "a.tif")
    (tmp_path / "file").write_bytes(b"mine")
    for folder in ("file", "file/er"):
        said = run(command, "a.tif", *FAST, "-O", folder, "-q")
        assert said.code == 1
        assert said.err.startswith("nmfc: file")
        assert said.err.count("\n") == 1
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_a_folder_where_an_output_goes(run, tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "b.png").mkdir()
    for force in ((), ("-f",)):
        refused(run("compress", "a.png", *FAST, "-o", "b.png", *force), "nmfc: b.png: is a folder")
    (tmp_path / "nmfc-out/a.basis.png").mkdir(parents=True)
    said = run("compress", "a.png", *FAST)
    assert said.code == 1
    assert "nmfc-out/a.basis.png: is a folder" in said.err
    (tmp_path / "out/loss.csv").mkdir(parents=True)
    said = run("compress", "a.png", *FAST, "-O", "out", "-f")
    assert said.code == 1
    assert "out/loss.csv" in said.err


UNPRIVILEGED = """
import os, sys, tempfile
from nmfcompress.cli.main import main
if os.geteuid() == 0:  # who may write anywhere
    with tempfile.TemporaryDirectory() as folder:  # once as root, for all imports: nobody may read where Python lies
        try:
            main([sys.argv[1], "a.tif", "-k1", "-n1", "-q", "-O", folder])
        except SystemExit:
            pass
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
main()
"""


def unprivileged(folder: Path, *args: object) -> subprocess.CompletedProcess[bytes]:
    """Run nmfc as a user who owns nothing, where this one is root."""
    words = [sys.executable, "-c", UNPRIVILEGED, *map(str, args)]
    return subprocess.run(
        words, cwd=folder, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, timeout=60
    )


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="no users here")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_that_may_not_be_written(command):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        frames(folder / "a.tif").chmod(0o644)
        picture(folder / "secret.png").chmod(0o000)
        (folder / "out").mkdir(mode=0o555)
        folder.chmod(0o555)
        try:
            for target in ("out", "new"):
                done = unprivileged(folder, command, "a.tif", *FAST, "-O", target, "-q")
                assert done.returncode == 1
                assert b"Permission denied" in done.stderr
                assert b"Traceback" not in done.stderr
                assert all(line.startswith(f"nmfc: {target}".encode()) for line in done.stderr.splitlines())
            done = unprivileged(folder, command, "secret.png", *FAST)
            assert done.returncode == 1
            one_line(done.stderr.decode(), "nmfc: secret.png: ", "Permission denied")
            assert written(folder) == ["a.tif", "secret.png"]
        finally:
            folder.chmod(0o755)


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="no users here")
def test_a_folder_that_may_not_be_read_is_no_empty_one():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        frames(folder / "a.tif").chmod(0o644)
        for below in ("tree/a", "tree/b"):
            picture(folder / below / "x.png")
        (folder / "tree/b").chmod(0o000)
        try:
            done = unprivileged(folder, "compress", "-r", "tree", *FAST, "-j1", "--write", "image", "-O", "out", "-q")
            assert done.returncode == 1
            one_line(done.stderr.decode(), "nmfc: tree/b: cannot be read: Permission denied")
            assert written(folder / "out") == ["a/x.png"]
            done = unprivileged(folder, "compress", "-r", "tree", "-o", "x.nmfc", "--step", 9)
            assert done.returncode == 1
            one_line(done.stderr.decode(), "nmfc: tree/b: cannot be read: Permission denied")
            assert not (folder / "x.nmfc").exists()
            done = unprivileged(folder, "basis", "tree/b", *FAST)
            one_line(done.stderr.decode(), "Permission denied")
        finally:
            (folder / "tree/b").chmod(0o755)


# Real data


def odd(data: Path) -> dict[str, bytes]:
    with tarfile.open(data / "odd.tar.gz") as tar:
        return {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}  # type: ignore[union-attr]


def test_sixty_odd_files(data, tmp_path):
    files = odd(data)
    chosen = random.Random(2).sample(sorted(files), 60)

    def check(place: int) -> tuple[str, int, str]:
        name = chosen[place]
        folder = tmp_path / str(place)
        folder.mkdir()
        own = os.path.basename(name)
        (folder / own).write_bytes(files[name])
        began = time.perf_counter()
        done = real(folder, "compress", *FAST, "--write", "image,nmfc", "--limit", 3, "--json", "--", own)
        seconds = time.perf_counter() - began
        pixels = sum(one["width"] * one["height"] for one in map(json.loads, done.stdout.splitlines()))
        said = done.stderr.decode()
        fine = done.returncode in (0, 1) and "Traceback" not in said and "internal error" not in said
        fine = fine and all(char.isprintable() or char == "\n" for char in said)
        fine = fine and seconds < 10 * (10 + 4 * pixels / 1e6)  # a guard: the figure is a tenth
        if done.returncode == 1:
            fine = fine and said.startswith("nmfc: ") and said.count("\n") == 1 and not written(folder / "nmfc-out")
        else:
            fine = fine and pixels > 0
        return (
            "" if fine else f"{name}: exit {done.returncode} after {seconds:.1f} s: {said[:300]}",
            done.returncode,
            name,
        )

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(check, range(60)))
    assert [wrong for wrong, _, _ in found if wrong] == []
    assert 10 < sum(code == 0 for _, code, _ in found) < 50


WILD = {
    "annex_pointer_train-images-idx3-ubyte.gz": "a git-annex pointer",
    "html_page2_train-images-idx3-ubyte.gz": "an HTML page",
    "html_page_mnist.npz": "an HTML page",
    "lfs_pointer_mnist-original.mat": "a Git LFS pointer",
    "lfs_pointer_mnist.npz": "a Git LFS pointer",
    "tiny_3193_train-images-idx3-ubyte.gz": "an HTML page",
    "truncated_262144_mnist-original.mat": "truncated after 262,144 bytes",
    "truncated_53248_mnist-original.mat": "truncated after 53,248 bytes",
}


def test_copies_of_mnist_damaged_in_the_wild(data, run, tmp_path):
    files = {Path(name).name: content for name, content in odd(data).items() if "/broken/wild_dataset_files/" in name}
    assert files.keys() == WILD.keys()
    for name, words in WILD.items():
        (tmp_path / name).write_bytes(files[name])
        for command in COMMANDS:
            refused(run(command, name, *FAST), f"nmfc: {name}: ", words)


@pytest.mark.parametrize(
    ("name", "at"),
    [("train-images-idx3-ubyte.gz", 9_437_184), ("mnist.npz", 9_437_184), ("mnist-original.mat", 9_437_184)],
)
def test_truncated_mnist(data, run, tmp_path, name, at):
    shutil.copyfile(data / "mnist" / name, tmp_path / name)
    os.chmod(tmp_path / name, 0o644)
    os.truncate(tmp_path / name, at)
    for words in (("compress", name, "-k", 2, "-o", "all.nmfc"), ("basis", name, *FAST)):
        refused(run(*words), f"nmfc: {name}: ", f"truncated after {at:,} bytes")
    assert written(tmp_path) == [name]


def test_labels_instead_of_images(data, run):
    for command in COMMANDS:
        said = run(command, data / "mnist/train-labels-idx1-ubyte.gz", *FAST)
        refused(said, "holds 60,000 labels, not images: name the images file")


# Found by people who tried to break it


@pytest.mark.parametrize("content", [b"\x01", b"\x01\x02\x03", b"\xff\xd8", b"\x00" * 15])
def test_a_file_of_a_few_bytes_costs_itself_only(run, tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    picture(tmp_path / "b.png")
    said = run("compress", "a.png", "b.png", *FAST)
    assert said.code == 1
    assert said.err.startswith("nmfc: a.png: ")
    assert "internal" not in said.err
    assert (tmp_path / "nmfc-out/b.png").exists()


def test_a_list_separated_by_nul_asks_for_the_option(run, tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "list").write_bytes(b"a.png\0b.png\0")
    said = run("compress", *FAST, "--files-from", "list")
    assert (said.code, said.err) == (2, "nmfc: list is separated by NUL bytes (pass -0)\n")


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_log_that_is_no_file_is_refused(run, tmp_path, make):
    picture(tmp_path / "a.png")
    (tmp_path / "nmfc-out").mkdir()
    make(tmp_path / "nmfc-out/loss.csv")
    said = run("compress", "a.png", *FAST)
    assert said.code == 1
    assert "loss.csv: exists and is no regular file" in said.err


def test_processes_that_share_a_folder_lose_no_rows(tmp_path):
    names = [f"{i}.png" for i in range(6)]
    for seed, name in enumerate(names):
        picture(tmp_path / name, seed=seed)
    words = [*COMMAND, "compress", "-k", "1", "-n", "3", "--write", "csv", "-q"]
    running = [subprocess.Popen([*words, name], cwd=tmp_path, env=environment()) for name in names]
    assert [process.wait(60) for process in running] == [0] * 6
    assert {line.split(",")[0] for line in (tmp_path / "nmfc-out/loss.csv").read_text().splitlines()[1:]} == set(names)


def test_the_work_is_within_what_was_allowed(tmp_path):
    """Memory while a picture is factorized at a high rank: what --max-memory says, and the program."""
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (1200, 1600, 3), np.uint8)).save(tmp_path / "a.png")
    words = ("compress", "a.png", "-k", "64", "-n", "1", "--inner", "1")
    refusal = measured(tmp_path, *words, "--max-memory", "1MB")
    assert refusal[0] == 1
    code, said, _, megabytes = measured(tmp_path, *words, "--max-memory", "270MB")
    assert code == 0, said
    assert megabytes < 270 + 130


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((600, 600), ("compress", "a.npy", "-k", "25", "--write", "basis")),  # took 126 MB of 17
        ((500, 600, 3), ("compress", "a.npy", "-k", "16")),
        ((20, 300, 300), ("compress", "a.npy", "-k", "2", "--write", "compare", "--no-plot")),
        ((40, 100, 100), ("basis", "a.npy", "-k", "40", "--write", "basis", "--no-plot")),
    ],
)
def test_sheets_count(tmp_path, shape, words):
    """What is said to be enough is, and is not far more: a sheet is many times as large as the picture."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "a.npy", rng.integers(0, 256, shape, np.uint8))
    np.save(tmp_path / "small.npy", rng.integers(0, 256, (8, 8), np.uint8))
    *_, program = measured(tmp_path, "compress", "small.npy", "-k", "1")
    allowed, megabytes = enough(tmp_path, *words, "-n", "2", "-f", "-j", "1")
    assert allowed / 1.5 < megabytes - program < 1.1 * allowed + SSIM


SSIM = 25  # MB that are taken to measure it, of any picture


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((100_000, 8), ("compress", "a.tif", "-k", "8", "-n", "1", "-f")),
        ((8, 100_000), ("compress", "a.tif", "-k", "8", "-n", "1", "-f")),
        ((600_000, 1), ("compress", "a.tif", "-k", "1", "-o", "a.nmfc", "-f")),
        ((1, 600_000), ("compress", "a.tif", "-k", "1", "-o", "a.nmfc", "-f")),
    ],
)
def test_factors_larger_than_the_picture_count(tmp_path, shape, words):
    """What a refusal says to be enough holds what is done then, and what is decoded of it."""
    Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, np.uint8)).save(tmp_path / "a.tif")
    enough(tmp_path, *words)
    enough(tmp_path, "decompress", *(tmp_path.rglob("a.nmfc")), "-O", "back")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        ("bytes", ("basis", "a.npy", "-k", "8", "--no-plot")),
        ("bytes", ("basis", "a.npy", "-k", "5", "--no-plot", "--solver", "hals")),
        ("doubles", ("compress", "a.npy", "-k", "3")),
        ("colours", ("compare", "a.npy", "--rates", "1", "--codecs", "nmfc", "--no-plot")),
    ],
)
def test_what_is_named_holds_where_arrays_are_large(tmp_path, array, words):
    """Few large images, whose basis is larger than they are; floats of 8 bytes; what a codec takes."""
    rng = np.random.default_rng(0)
    made = {
        "bytes": lambda: rng.integers(0, 256, (8, 700, 1000), np.uint8),
        "doubles": lambda: rng.random((3000, 2000)),
        "colours": lambda: tones(900, 1200, 3),
    }
    np.save(tmp_path / "a.npy", made[array]())
    more = ("-n", "2", "--write", "image,compare,csv") if words[0] == "compress" else ()
    enough(tmp_path, *words, *more, *(("-n", "2") if words[0] == "basis" else ()), "-f", *JOBS[words[0]])


def test_what_suits_a_collection_is_looked_at_in_little_memory(tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).integers(0, 256, (8, 1000, 2000), np.uint8))
    code, said, _, megabytes = measured(tmp_path, "compress", "a.npy", "-o", "a.nmfc", "-k", 5, "--max-memory", "20MB")
    assert code == 1
    one_line(said, "coding 8 pictures needs")
    assert megabytes < 170  # took 497


JOBS = {"compare": (), "basis": ("-j", "1"), "compress": ("-j", "1")}


def test_what_came_through_a_pipe_counts(tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).integers(0, 256, (60_000, 25, 40), np.uint8))
    words = ("basis", "-", "-k", "2", "-n", "1", "--no-plot", "--write", "csv", "-j", "1")
    with open(tmp_path / "a.npy", "rb") as stream:
        code, said, _, megabytes = measured(tmp_path, *words, "--max-memory", "70MB", stdin=stream)
    assert code == 1
    one_line(said, "needs 120.0 MB")
    assert megabytes < 70 + 100


def enough(folder, *words):
    """Do it with as much memory as the refusals ask for: it takes that, and the program. Both, in MB."""
    allowed = 1
    while (done := measured(folder, *words, "--max-memory", f"{allowed}MB"))[0]:
        found = re.search(r"pass --max-memory (\d+)MB", done[1])
        assert found, done[1]
        assert int(found[1]) > allowed
        allowed = int(found[1])
    assert done[3] < allowed + 100
    return allowed, done[3]
