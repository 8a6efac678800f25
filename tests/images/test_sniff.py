"""identify and describe: by content, whatever the name says."""

import io
import pickle
import struct
import tarfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, features

from nmfcompress.images.sniff import HEAD, describe, identify

V4 = "a file of MATLAB 4 (which is not read: save with -v7)"


def saved(form: str, mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.new(mode, (20, 20)).save(out, form)
    return out.getvalue()


@pytest.mark.parametrize(
    "form", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "JPEG2000", "PPM", "ICO", "PCX", "SGI", "AVIF"]
)
def test_pictures_as_pillow_writes_them(form):
    if form in ("WEBP", "AVIF") and not features.check(form.lower()):
        pytest.skip(f"this Pillow has no {form}")
    head = saved(form)[:HEAD]
    assert identify(head) == "picture"
    assert describe(head) is None


@pytest.mark.parametrize("mode", ["1", "L"])
def test_pnm(mode):
    assert identify(saved("PPM", mode)) == "picture"
    assert identify(b"P7 is a plane, says the text") == "picture"  # what it costs to have no real magic number
    assert identify(b"P8 ") == "unknown"


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"PK\3\4rest", "npz"),
        (b"PK\5\6" + bytes(18), "npz"),
        (b"\x93NUMPY\1\0", "npy"),
        (b"\x1f\x8b\x08\0", "gzip"),
        (b"MATLAB 5.0 MAT-file, Platform", "mat"),
        (b"\0\0\x08\x03\0\0\0\1", "idx"),
        (b"\0\0\x0e\x01", "idx"),
        (b"\0\0\x0a\x03", "unknown"),
        (b"\0\0\x08\x05", "unknown"),
        (b"\0\0\x08\0", "unknown"),
        (b"II+\0\x08\0\0\0", "picture"),
        (b"MM\0*", "picture"),
        (b"qoif", "picture"),
        (b"\0\0\0\x20ftypmif1\0\0\0\0mif1avif", "picture"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2", "unknown"),
        (b"Pf\n1 1\n", "picture"),
        (b"", "unknown"),
        (b"\0", "unknown"),
    ],
)
def test_identify(head, kind):
    assert identify(head) == kind


@pytest.mark.parametrize(
    ("head", "phrase"),
    [
        (b"", "an empty file"),
        (b"<!DOCTYPE html>", "an HTML page"),
        (b"\xef\xbb\xbf\r\n  <HtMl lang=en>", "an HTML page"),
        (b"<!-- sorry -->\n<!doctype HTML PUBLIC>", "an HTML page"),
        (b"<!-- " + b"sorry " * 100, "an HTML page"),
        (b"<?xml version='1.0'?><!DOCTYPE html PUBLIC>", "an HTML page"),
        ("<html><title>déjà".encode("latin-1"), "an HTML page"),
        ("\ufeff<html>".encode("utf-16-le"), "an HTML page"),
        (b"<?xml version='1.0'?>\n<!-- Inkscape -->\n<svg xmlns=''>", "an SVG drawing"),
        (b"<svg>", "an SVG drawing"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code>", "an XML document"),
        (b"%PDF-1.7", "a PDF document"),
        (b"%!PS-Adobe-3.0 EPSF", "an EPS or PostScript file"),
        (b"\xc5\xd0\xd3\xc6", "an EPS or PostScript file"),
        (pickle.dumps([1]), "a Python pickle (which nmfc never loads)"),
        (b"just words\n", "a text file"),
        ("naïve".encode()[:3], "a text file"),
        (b"PK\5\6" + bytes(18), "a zip archive without arrays"),
        (struct.pack("<5i", 0, 20, 20, 0, 7) + b"images\0" + bytes(99), V4),
        (struct.pack("<5i", 52, 20, 20, 1, 2) + b"x\0" + bytes(99), V4),
        (struct.pack(">5i", 1050, 20, 20, 0, 7) + b"images\0" + bytes(99), V4),
        (struct.pack("<5i", 0, 20, 20, 0, 7) + b"im ges\0" + bytes(99), None),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file (MATLAB 7.3 saves so: save with -v7)"),
        (b"MATLAB 7.3 MAT-file, Platform", "an HDF5 file (MATLAB 7.3 saves so: save with -v7)"),
        (b"\x00\x01\x02\x03", None),
    ],
)
def test_describe(head, phrase):
    assert describe(head) == phrase


def test_pointers_say_what_to_do():
    assert "git lfs pull" in describe(b"version https://git-lfs.github.com/spec/v1\noid sha256:00")
    assert "git annex get" in describe(b".git/annex/objects/ZX/j2/MD5E-s99")
    assert "git annex get" in describe(b"/annex/objects/MD5E-s99")


def test_archives_have_names():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("a"))
    assert describe(out.getvalue()[:HEAD]) == "a tar archive"
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    assert describe(array.getvalue()) == "a NumPy array"


@given(st.binary(max_size=600))
def test_never_raises(head):
    assert identify(head) in {"npz", "npy", "idx", "gzip", "mat", "picture", "unknown"}
    assert describe(head) != ""
