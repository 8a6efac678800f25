"""The matrix of the README: what becomes of a profile, an orientation ... in each format, in both ways out.

The README's table is the expectation: a cell says "kept", or *the note that is given*, or "refused: *the message*", or
"-" where the format has no such thing. What the files are is said here, by a maker a row; a row or format that is in
one of the two and not in the other fails. Every file goes through the real `nmfc compress`, which writes NAME.png and
NAME.nmfc, and the latter back through `nmfc decompress`.
"""

from __future__ import annotations

import base64
import io
import json
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from nmfcompress import read_stack
from nmfcompress.images.picture import Picture
from nmfcompress.images.pictures import read_image

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
ENDINGS = {"PNG": "png", "JPEG": "jpg", "WebP": "webp", "AVIF": "avif", "TIFF": "tif", "GIF": "gif"}
BEST: dict[str, dict[str, object]] = {
    "PNG": {}, "TIFF": {}, "GIF": {}, "WebP": {"lossless": True, "exact": True},
    "JPEG": {"quality": 95, "subsampling": "4:4:4"}, "AVIF": {"quality": 95, "subsampling": "4:4:4"},
}  # fmt: skip
ALWAYS = {"GIF": ["palette turned into RGB"]}  # notes on every file of the format

COLOUR = np.zeros((16, 24, 3), np.uint8)  # four fields, no two turns of which are alike
COLOUR[:8, :12], COLOUR[:8, 12:], COLOUR[8:, :12], COLOUR[8:, 12:] = (
    (250, 20, 30), (20, 200, 40), (10, 30, 220), (240, 240, 90),
)  # fmt: skip
GREY = COLOUR[..., 0] // 2 + 60
DEEP = GREY.astype(np.uint16) * 257 + 100  # not what 8 bits make of it
ALPHA = np.tile(np.linspace(0, 255, 24).astype(np.uint8), (16, 1))
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
# avifenc -d 10 of GREY and of COLOUR: Pillow writes 8 bits only
AVIF_GREY = (
    "AAAAHGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZgAAAPBtZXRhAAAAAAAAAChoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAbGliYXZpZgAAAA"
    "AOcGl0bQAAAAAAAQAAAB5pbG9jAAAAAEQAAAEAAQAAAAEAAAEUAAAAHwAAAChpaW5mAAAAAAABAAAAGmluZmUCAAAAAAEAAGF2MDFDb2xvcgAA"
    "AABoaXBycAAAAElpcGNvAAAAFGlzcGUAAAAAAAAAGAAAABAAAAAOcGl4aQAAAAABCgAAAAxhdjFDgQBcAAAAABNjb2xybmNseAABAA0ABoAAAA"
    "AXaXBtYQAAAAAAAAABAAEEAQKDBAAAACdtZGF0EgAKCBgQ7+xwENBqMhFEIAAAUN42P+Qn85EwUWUgUA=="
)
AVIF_COLOUR = (
    "AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUEAAADybWV0YQAAAAAAAAAoaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAAAGxpYmF2aW"
    "YAAAAADnBpdG0AAAAAAAEAAAAeaWxvYwAAAABEAAABAAEAAAABAAABGgAAAC4AAAAoaWluZgAAAAAAAQAAABppbmZlAgAAAAABAABhdjAxQ29s"
    "b3IAAAAAamlwcnAAAABLaXBjbwAAABRpc3BlAAAAAAAAABgAAAAQAAAAEHBpeGkAAAAAAwoKCgAAAAxhdjFDgSBAAAAAABNjb2xybmNseAABAA"
    "0ABoAAAAAXaXBtYQAAAAAAAAABAAEEAQKDBAAAADZtZGF0EgAKCDgQ7+xgIaDSMiBEIAAAFNpxWXCV3+H/JtvERaMX/7mBlNJkza3oRpMdwA=="
)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind.upper(), **(BEST[kind] | options))
    return stream.getvalue()


def exif(orientation: int | None = None) -> bytes:
    tags = Image.Exif()
    tags[0x010F] = "Maker"
    if orientation:
        tags[0x0112] = orientation
    tags.get_ifd(0x8769)[0x829A] = 0.01
    return tags.tobytes()


TURNED = {  # EXIF's definition: where pixel (y, x) of the upright h x w picture is stored
    1: lambda y, x, h, w: (y, x), 2: lambda y, x, h, w: (y, w - 1 - x),
    3: lambda y, x, h, w: (h - 1 - y, w - 1 - x), 4: lambda y, x, h, w: (h - 1 - y, x),
    5: lambda y, x, h, w: (x, y), 6: lambda y, x, h, w: (w - 1 - x, y),
    7: lambda y, x, h, w: (w - 1 - x, h - 1 - y), 8: lambda y, x, h, w: (x, h - 1 - y),
}  # fmt: skip


def stored(orientation: int) -> np.ndarray:
    """COLOUR as a camera held that way stores it."""
    h, w = COLOUR.shape[:2]
    found = np.zeros((w, h, 3) if orientation > 4 else (h, w, 3), np.uint8)
    for y, x in np.ndindex(h, w):
        found[TURNED[orientation](y, x, h, w)] = COLOUR[y, x]
    return found


def png(rows: np.ndarray, colour: int) -> bytes:
    """A PNG of 16 bits, which Pillow writes of grey only."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", rows.shape[1], rows.shape[0], 16, colour, 0, 0, 0))]
    chunks += [(b"IDAT", zlib.compress(b"".join(b"\0" + row.astype(">u2").tobytes() for row in rows))), (b"IEND", b"")]
    parts = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def tiff(values: np.ndarray) -> bytes:
    """A TIFF of 16 bits in colour, which Pillow does not write."""
    h, w, _ = values.shape
    data = values.astype("<u2").tobytes()
    tags = [(256, 3, 1, w), (257, 3, 1, h), (258, 3, 3, 8), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 14)]
    tags += [(277, 3, 1, 3), (278, 3, 1, h), (279, 4, 1, len(data))]
    head = b"II*\0" + struct.pack("<I", 14 + len(data)) + struct.pack("<3H", 16, 16, 16)
    return head + data + struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)


def twelve_bits(image: Image.Image) -> bytes:
    """A JPEG that says that it has 12 bits a channel."""
    data = bytearray(saved(image, "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 1], data[frame + 4] = 0xC1, 12
    return bytes(data)


def deep(kind: str, values: np.ndarray) -> bytes:
    wide = values.astype(np.uint16) * 257 if values.ndim == 3 else DEEP
    if kind == "AVIF":
        return base64.b64decode(AVIF_COLOUR if values.ndim == 3 else AVIF_GREY)
    if kind == "JPEG":
        return twelve_bits(Image.fromarray(values))
    if kind == "PNG":
        return png(wide, 2 if values.ndim == 3 else 0)
    return tiff(wide) if values.ndim == 3 else saved(Image.fromarray(DEEP), kind)


def animated(kind: str) -> bytes:
    others = [Image.fromarray(COLOUR[:, ::-1]), Image.fromarray(COLOUR[::-1])]
    stream = io.BytesIO()
    word = "MPO" if kind == "JPEG" else kind.upper()
    Image.fromarray(COLOUR).save(stream, word, save_all=True, append_images=others, **BEST[kind])
    return stream.getvalue()


def see_through(kind: str) -> bytes:
    return saved(Image.fromarray(COLOUR).quantize(16), kind, transparency=HIDDEN)


PALETTE = Image.fromarray(COLOUR).quantize(16)
HIDDEN = int(np.asarray(PALETTE)[0, 0])


def profiled_gif() -> bytes:
    """With the ICC extension of the format, which Pillow neither reads nor writes."""
    data, parts = saved(PALETTE, "GIF"), [SRGB[start : start + 255] for start in range(0, len(SRGB), 255)]
    block = b"".join(bytes([len(part)]) + part for part in parts)
    start = 13 + (3 << (data[10] & 7) + 1)
    return data[:start] + b"!\xff\x0bICCRGBG1012" + block + b"\0" + data[start:]


@dataclass(frozen=True)
class Row:
    """A row of the table: how a file is made, in the format of that word, and what holds where it is kept."""

    make: Callable[[str], bytes]
    holds: Callable[[Picture], bool] = lambda picture: True
    deep: bool = False

    @property
    def pixels(self) -> np.ndarray:
        """The picture, upright."""
        return DEEP if self.deep else COLOUR


def tags(picture: Picture) -> Image.Exif:
    found = Image.Exif()
    found.load(picture.exif or b"")
    return found


def told(picture: Picture) -> bool:
    found = tags(picture)
    return found.get(0x010F) == "Maker" and found.get(0x0112, 1) == 1 and found.get_ifd(0x8769)[0x829A] == 0.01


def turned(number: int) -> Row:
    return Row(lambda kind: saved(Image.fromarray(stored(number)), kind, exif=exif(number)), told)


PLAIN = Image.fromarray(COLOUR)
ROWS = {
    "ICC profile": Row(
        lambda kind: profiled_gif() if kind == "GIF" else saved(PLAIN, kind, icc_profile=SRGB), lambda p: p.icc == SRGB
    ),
    "EXIF": Row(lambda kind: saved(PLAIN, kind, exif=exif()), lambda p: told(p) and p.dpi is None),
    **{f"orientation {number}": turned(number) for number in range(1, 9)},
    "resolution": Row(
        lambda kind: saved(PLAIN, kind, dpi=(300, 150)),
        lambda p: p.dpi is not None and np.allclose(p.dpi, (300, 150), atol=0.02),
    ),
    "alpha": Row(
        lambda kind: saved(Image.fromarray(np.dstack([COLOUR, ALPHA])), kind),
        lambda p: p.alpha is not None and np.abs(p.alpha.astype(int) - ALPHA).max() <= 2,
    ),
    "16 bits, grey": Row(lambda kind: deep(kind, GREY), lambda p: p.pixels.dtype == np.uint16, deep=True),
    "16 bits, colour": Row(lambda kind: deep(kind, COLOUR)),
    "CMYK": Row(lambda kind: saved(PLAIN.convert("CMYK"), kind)),
    "palette": Row(lambda kind: saved(PALETTE, kind), lambda p: p.alpha is None),
    "palette with transparency": Row(
        see_through, lambda p: p.alpha is not None and np.array_equal(p.alpha == 0, np.asarray(PALETTE) == HIDDEN)
    ),
    "animation, pages": Row(animated),
}


def table() -> dict[tuple[str, str], str]:
    """The cells of the README: (row, format) -> what becomes of it."""
    lines = README.split("<!-- matrix")[1].split("\n\n")[1].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    found = {}
    for name, *row in cells[2:]:
        span = re.fullmatch(r"(.*) (\d) to (\d)", name)
        names = [f"{span[1]} {n}" for n in range(int(span[2]), int(span[3]) + 1)] if span else [name]
        for one in names:
            for kind, cell in zip(cells[0][1:], row, strict=True):
                found[one, kind] = cell.replace(" N ", f" {one[-1]} ")
    return found


CELLS = table()
MADE = {
    (name, kind): f"{re.sub('[^a-z0-9]+', '-', name.lower())}-{kind}.{ENDINGS[kind]}"
    for (name, kind), said in CELLS.items()
    if said != "-"
}


@dataclass(frozen=True)
class Went:
    """What became of all files: notes and messages by name, and the folders of the two ways out."""

    folder: Path
    notes: dict[str, list[str]]
    messages: dict[str, str]


def nmfc(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nmfcompress", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def went(tmp_path_factory: pytest.TempPathFactory) -> Went:
    folder = tmp_path_factory.mktemp("matrix")
    for (name, kind), file in MADE.items():
        (folder / file).write_bytes(ROWS[name].make(kind))
    first = nmfc(folder, "compress", *MADE.values(), "-k2", "-n99", "--write", "image,nmfc", "-O", "out", "--json")
    assert first.returncode == 1, "some are refused"
    notes = {one["input"]: one["notes"] for one in map(json.loads, first.stdout.splitlines())}
    messages = {line.split(": ")[1]: line for line in first.stderr.splitlines() if line.startswith("nmfc: ")}
    packed = [f"out/{Path(file).stem}.nmfc" for file in notes]
    second = nmfc(folder, "decompress", *packed, "-O", "back")
    assert (second.returncode, [line for line in second.stderr.splitlines() if line.startswith("nmfc:")]) == (0, [])
    return Went(folder, notes, messages)


def test_the_table_and_the_files_are_of_one_kind() -> None:
    assert {name for name, _ in CELLS} == set(ROWS)
    assert [kind for name, kind in CELLS if name == "EXIF"] == list(ENDINGS)


@pytest.mark.parametrize(("name", "kind"), MADE, ids=MADE.values())
def test_a_cell(went: Went, name: str, kind: str) -> None:
    cell, file = CELLS[name, kind], MADE[name, kind]
    refused = re.fullmatch(r"refused: \*(.+)\*", cell)
    if refused:
        assert went.messages[file] == f"nmfc: {file}: {refused[1]}"
        assert file not in went.notes
        assert not list(went.folder.glob(f"out/{Path(file).stem}*"))
        return
    noted = re.fullmatch(r"\*(.+)\*", cell)
    expected = {*ALWAYS.get(kind, []), *([noted[1]] if noted else [])}
    assert noted or cell == "kept"
    assert {note for note in went.notes[file] if not note.startswith("stopped by")} == expected
    for folder in ("out", "back"):
        picture = read_image(went.folder / folder / f"{Path(file).stem}.png")
        assert picture.notes == ()
        assert picture.pixels.shape == ROWS[name].pixels.shape
        top = np.iinfo(picture.pixels.dtype).max
        error = picture.pixels.astype(float) / top - ROWS[name].pixels / np.iinfo(ROWS[name].pixels.dtype).max
        assert np.square(error).mean() < 0.001, "upright, and of the right colours"
        if not re.search("dropped|read as", cell):
            assert ROWS[name].holds(picture), folder


@pytest.mark.parametrize("cell", [cell for cell, said in CELLS.items() if said == "-"], ids="-".join)
def test_a_format_that_has_no_such_thing(cell: tuple[str, str]) -> None:
    """Where the table says so Pillow, which writes the other cells, writes none that holds it either."""
    name, kind = cell
    try:
        picture = read_image(ROWS[name].make(kind))
    except (OSError, ValueError, KeyError):
        return
    plain = name in ("16 bits, colour", "CMYK", "palette", "animation, pages")
    assert picture.mode in ("L", "RGB", "P") if plain else not ROWS[name].holds(picture)


FRAMES = np.stack([COLOUR, COLOUR[:, ::-1], COLOUR[::-1]])


@pytest.mark.parametrize("kind", ENDINGS)
def test_all_frames_are_a_collection(kind: str) -> None:
    stack = read_stack(animated(kind))
    assert stack.images.shape == FRAMES.shape
    assert np.square(stack.images[:] / 255 - FRAMES / 255).mean() < 0.001


def test_all_frames_go_into_one_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(animated("WebP"))
    assert nmfc(tmp_path, "compress", "a", "-o", "a.nmfc", "--step", "4", "-q").returncode == 0
    assert nmfc(tmp_path, "decompress", "a.nmfc", "-o", "a.npz", "-q").returncode == 0
    with np.load(tmp_path / "a.npz") as arrays:
        assert np.square(arrays["images"] / 255 - FRAMES / 255).mean() < 0.01


def test_what_a_collection_has_no_place_for_is_said(tmp_path: Path) -> None:
    for name in "ab":
        PLAIN.save(tmp_path / f"{name}.jpg", exif=exif(), icc_profile=SRGB, dpi=(300, 150))
    Image.fromarray(np.dstack([COLOUR, ALPHA])).save(tmp_path / "c.png")
    said = nmfc(tmp_path, "compress", "a.jpg", "b.jpg", "c.png", "-o", "a.nmfc", "-k", "2").stderr
    where = "nmfc: a.jpg and 2 more: "
    assert f"{where}ICC profile, EXIF, resolution left out (2 of 3 images, the first a.jpg)\n" in said
    assert f"{where}alpha left out (1 of 3 images, c.png)\n" in said
