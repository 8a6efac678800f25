"""Broken and odd picture files: one line or a picture, in time, whatever is in them."""

from __future__ import annotations

import io
import os
import tarfile
import time
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nmfcompress.errors import NmfcError, TooLarge
from nmfcompress.images.limits import Limits
from nmfcompress.images.pictures import FORMATS, Picture, count_frames, read_image

DATA = os.environ.get("NMFC_DATA")
SMALL = Limits(max_pixels=10**6)  # mutants that claim gigapixels would be read, slowly


def check(picture: Picture) -> None:
    """What holds for every Picture."""
    pixels = picture.pixels
    assert pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)
    assert min(pixels.shape) >= 1
    assert pixels.dtype in (np.uint8, np.uint16, np.float32, np.float64)
    assert pixels.dtype.isnative
    assert pixels.flags.c_contiguous
    if pixels.dtype.kind == "f":
        assert 0 <= pixels.min() <= pixels.max() <= 1
    if picture.alpha is not None:
        assert picture.alpha.dtype == np.uint8
        assert picture.alpha.shape == pixels.shape[:2]
    assert 1 <= picture.frame <= picture.frames
    assert all(isinstance(note, str) and "\n" not in note for note in picture.notes)
    for blob in (picture.icc, picture.exif):
        assert blob is None or isinstance(blob, bytes)


def timed_read(source: str | bytes, limits: Limits | None = None) -> Picture | NmfcError:
    start = time.perf_counter()
    found: Picture | NmfcError
    try:
        found = read_image(source, limits=limits)
    except NmfcError as error:
        found = error
    if isinstance(found, Picture):
        check(found)
    else:
        assert "\n" not in str(found)
        assert len(found.message) < 400
    megapixels = 0 if isinstance(found, NmfcError) else found.pixels.shape[0] * found.pixels.shape[1] / 1e6
    assert time.perf_counter() - start < 10 * (10 + 4 * megapixels)  # a guard: the figure is a tenth
    return found


def pillow_reads(data: bytes) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                image.load()
        except Exception:
            return False
    return True


@pytest.mark.skipif(not DATA, reason="NMFC_DATA is not set: the 971 odd files are not there")
def test_odd_files(tmp_path, capfd):
    assert DATA
    read: dict[str, int] = {"valid": 0, "broken": 0}
    counts = dict(read)
    wrong = []
    said = ""
    with tarfile.open(Path(DATA, "odd.tar.gz")) as tar:
        for number, member in enumerate(tar):
            where = member.name.split("/")[1]
            counts[where] += 1
            if not member.isfile():
                continue
            data = tar.extractfile(member).read()  # type: ignore[union-attr]
            name = os.fsencode(os.path.basename(member.name))[-200:]
            path = os.path.join(os.fsencode(tmp_path), b"%d " % number + name)
            with open(path, "wb") as file:
                file.write(data)
            capfd.readouterr()
            found = timed_read(os.fsdecode(path))
            said += capfd.readouterr().err
            ours = isinstance(found, Picture)
            read[where] += ours
            if not isinstance(found, TooLarge) and ours != pillow_reads(data):
                wrong.append((member.name, str(found)[:200]))
            os.unlink(path)
    assert wrong == []
    assert said == "", "libtiff must not reach the terminal"
    assert counts == {"valid": counts["valid"], "broken": 971 - counts["valid"]}
    print(f"read {read['valid']} of {counts['valid']} valid, {read['broken']} of {counts['broken']} broken")
    assert read["valid"] >= 0.9 * counts["valid"]


def small(kind: str) -> bytes:
    """A small picture file with most of what its kind can hold."""
    pixels = np.random.default_rng(3).integers(0, 256, (9, 13, 3), np.uint8)
    image = Image.fromarray(pixels)
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    if kind in ("GIF", "TIFF", "WEBP"):
        image.save(stream, kind, save_all=True, append_images=[image.rotate(180)] * 2)
    elif kind == "PNG":
        image.convert("P").save(stream, kind, exif=exif, transparency=3, dpi=(72, 72))
    else:
        image.save(stream, kind, **({"exif": exif} if kind == "JPEG" else {}))
    return stream.getvalue()


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    broken = bytearray(data)
    for _ in range(rng.integers(1, 6)):
        place = int(rng.integers(0, len(broken))) if rng.random() < 0.5 else int(rng.integers(0, min(len(broken), 64)))
        broken[place] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.integers(0, 256)])
    if rng.random() < 0.2:
        del broken[int(rng.integers(1, len(broken))) :]
    return bytes(broken)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"])
def test_mutants(kind, capfd):
    rng = np.random.default_rng([*kind.encode()])
    whole = small(kind)
    read = 0
    for _ in range(500):
        mutant = mutate(whole, rng)
        found = timed_read(mutant, SMALL)
        if isinstance(found, Picture):
            read += 1
        else:
            assert isinstance(found, TooLarge) or not pillow_reads(mutant)
        with suppress(NmfcError):
            assert count_frames(mutant, limits=SMALL) >= 1
    assert 0 < read < 500, "mutants that all break, or none, test little"
    assert capfd.readouterr() == ("", "")


def test_tiff_that_chains_pages_into_each_other_is_counted_fast():
    """Overlapping directories of 65,535 entries would take Pillow's n_frames hours."""
    data = bytearray(small("TIFF"))
    start = len(data)
    first = int.from_bytes(data[4:8], "little")
    entries = int.from_bytes(data[first : first + 2], "little")
    after = first + 2 + 12 * entries
    data[after : after + 4] = start.to_bytes(4, "little")
    pages = 60_000
    for page in range(pages):
        data += b"\0\0" + (start + 6 * (page + 1) if page < pages - 1 else start).to_bytes(4, "little")
    began = time.perf_counter()
    assert count_frames(bytes(data)) == pages + 1
    assert read_image(bytes(data)).frames == pages + 1
    assert time.perf_counter() - began < 100  # a guard: the figure is a tenth
