"""What a file really is, by its first bytes: half of the data sets met in the wild are not what their name says."""

from __future__ import annotations

import re

HEAD = 512  # bytes that are enough for both functions

_PICTURES = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",  # JPEG
    b"GIF87a",
    b"GIF89a",
    b"BM",
    b"II*\0",  # TIFF
    b"MM\0*",
    b"II+\0",  # BigTIFF
    b"MM\0+",
    b"\0\0\0\x0cjP  ",  # JPEG 2000
    b"\xff\x4f\xff\x51",
    b"\0\0\1\0",  # ICO
    b"\0\0\2\0",  # CUR
    b"qoif",
    b"\x01\xda",  # SGI
    b"\x0a\x00\x01",  # PCX, its five versions
    b"\x0a\x02\x01",
    b"\x0a\x03\x01",
    b"\x0a\x04\x01",
    b"\x0a\x05\x01",
    b"\xb1\x68\xde\x3a",  # DCX
    b"8BPS",
    b"DDS ",
    b"icns",
    b"\x59\xa6\x6a\x95",  # Sun raster
    b"/* XPM */",
)

_STRANGERS = (
    (
        b"version https://git-lfs.github.com/spec/",
        "a Git LFS pointer (the data were never fetched: run `git lfs pull`)",
    ),
    (b".git/annex/objects/", "a git-annex pointer (the data were never fetched: run `git annex get`)"),
    (b"/annex/objects/", "a git-annex pointer (the data were never fetched: run `git annex get`)"),
    (b"%PDF-", "a PDF document"),
    (b"%!PS", "an EPS or PostScript file"),
    (b"\xc5\xd0\xd3\xc6", "an EPS or PostScript file"),
    (b"MATLAB 7.3 MAT-file", "an HDF5 file (MATLAB 7.3 saves so: save with -v7)"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (MATLAB 7.3 saves so: save with -v7)"),
    (b"\x93NMFC", "a .nmfc file already (nmfc decompress brings its pictures back)"),
    (b"PK\5\6", "a zip archive without arrays"),
    (b"PK\3\4", "a zip archive"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"MATLAB 5.0 MAT-file", "a MATLAB file"),
    (b"\x1f\x8b", "a gzip"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\xfd7zXZ\0", "an xz file"),
    (b"BZh", "a bzip2 file"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (b"\x1a\x45\xdf\xa3", "a video (Matroska or WebM)"),
)

_BRANDS = {b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}

# type, rows, columns, whether complex, and the length of the name with the 0 at its end; each little- or big-endian
_MATLAB_4 = re.compile(
    rb"(?:[\0-\x34]\0\0\0.{8}[\0\1]\0\0\0[\2-\x40]\0\0\0|\0\0[\3\4].{9}\0\0\0[\0\1]\0\0\0[\2-\x40])"
    rb"[A-Za-z]\w{0,62}\0",
    re.DOTALL,
)
_PREAMBLE = re.compile(rb"(?:\s+|<\?xml.*?\?>|<!--.*?(?:-->|\Z))*", re.DOTALL)  # what may stand before the first tag


def identify(head: bytes) -> str:
    """Tell what kind of input a file is.

    Parameters
    ----------
    head : bytes
        Its first 512 bytes (`HEAD`), or all of it if it is shorter.

    Returns
    -------
    str
        "npz", "npy", "idx", "gzip", "mat", "picture", or "unknown".
    """
    if head.startswith((b"PK\3\4", b"PK\5\6")):
        return "npz"
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    if head.startswith(b"MATLAB 5.0 MAT-file"):
        return "mat"
    if len(head) >= 4 and head[:2] == b"\0\0" and head[2] in (8, 9, 11, 12, 13, 14) and 1 <= head[3] <= 4:
        return "idx"
    return "picture" if _is_picture(head) else "unknown"


def describe(head: bytes) -> str | None:
    """Name what was handed in by mistake, for "this is ..., not a picture".

    Parameters
    ----------
    head : bytes
        The first 512 bytes of a file (`HEAD`), or all of it if it is shorter.

    Returns
    -------
    str or None
        A noun phrase such as "an HTML page"; None for pictures and for what is not recognised.
    """
    if not head:
        return "an empty file"
    for magic, phrase in _STRANGERS:
        if head.startswith(magic):
            return phrase
    kind = identify(head)
    if kind == "picture":
        return None
    if kind == "idx":
        return "an IDX file"
    if head[0] == 0x80 and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return "a Python pickle (which nmfc never loads)"
    if _MATLAB_4.match(head):
        return "a file of MATLAB 4 (which is not read: save with -v7)"
    if head[257:262] == b"ustar":
        return "a tar archive"
    if head[4:8] == b"ftyp" or (head[:4] == b"RIFF" and head[8:12] == b"AVI "):
        return "a video"
    text = _text(head)
    if text is None:
        return None
    return _markup(text) or next(
        (phrase for magic, phrase in _STRANGERS if b"annex" in magic and magic in text), "a text file"
    )


def _is_picture(head: bytes) -> bool:
    if head.startswith(_PICTURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return True
    if head[4:8] == b"ftyp":
        size = int.from_bytes(head[:4], "big")
        brands = {head[8:12]} | {head[i : i + 4] for i in range(16, min(size, len(head)), 4)}
        return bool(brands & _BRANDS)
    return (
        head[:1] == b"P"
        and head[1:2] in tuple(b"%c" % c for c in b"1234567fF")
        and head[2:3] in tuple(b"%c" % c for c in b" \t\r\n#")
    )


def _text(head: bytes) -> bytes | None:
    """The head as UTF-8 without its byte order mark, None if it is no text."""
    try:
        if head.startswith((b"\xff\xfe", b"\xfe\xff")):
            text = head[: len(head) // 2 * 2].decode("utf-16").encode()
            if len(text) > len(head) * 3 // 4:  # hardly a letter of ASCII: binary by all odds
                return None
            return text
        text = head.removeprefix(b"\xef\xbb\xbf")
        text[: max(len(text) - 3, 0)].decode()  # the cut may go through the last character
    except UnicodeDecodeError:
        text = head
        if not re.match(rb"\s*<", text):  # pages in Latin-1 are pages still
            return None
    return None if re.search(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]", text) else text


def _markup(text: bytes) -> str | None:
    start = _PREAMBLE.match(text)
    tag = text[start.end() if start else 0 :].lower()
    if tag.startswith(b"<svg") or (tag.startswith(b"<!doctype svg")):
        return "an SVG drawing"
    if re.match(rb"<(?:!doctype html|html|head|body|title|meta|script|style|div|p|h1|center)\b", tag):
        return "an HTML page"
    if not tag and b"<!--" in text:  # one long comment: error pages begin so, drawings seldom
        return "an HTML page"
    return "an XML document" if re.match(rb"\s*<(?:\?xml|!doctype|!--)", text.lower()) else None
