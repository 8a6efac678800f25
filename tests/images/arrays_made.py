"""Containers of arrays, good and bad, for the tests of the doors; and what reading one costs."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from nmfcompress.errors import InputError, NmfcError
from nmfcompress.images.archives import Stack, read_archive
from nmfcompress.images.limits import Limits
from nmfcompress.images.stored import StoredImages

MB = 10**6
PLENTY = Limits(10**9)
RNG = np.random.default_rng(0)


def ramp(*shape: int, dtype: object = np.uint8) -> np.ndarray:
    return (np.arange(int(np.prod(shape))) % 251).astype(dtype).reshape(shape)


def npz(**arrays: object) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


IDX_CODES = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}


def idx(array: np.ndarray) -> bytes:
    head = bytes((0, 0, IDX_CODES[array.dtype.name], array.ndim))
    return head + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(array.dtype.newbyteorder(">")).tobytes()


def mat(compress: bool = True, **arrays: object) -> bytes:
    io_ = pytest.importorskip("scipy.io")
    out = io.BytesIO()
    io_.savemat(out, arrays, do_compression=compress)
    return out.getvalue()


def zipped(*members: tuple[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return out.getvalue()


def npy_head(descr: str, shape: str, fortran: bool = False) -> bytes:
    text = f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text) + 1) + text + b"\n"


def refused(content: object, *words: str, kind: type[NmfcError] = InputError, **options: object) -> str:
    with pytest.raises(kind) as caught:
        read_archive(content, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    return message


def both(source: object, allowed: int = 7000, **options: object) -> tuple[Stack, Stack]:
    """An archive left in its file, for so few bytes are allowed, and the same loaded."""
    apart = read_archive(source, limits=Limits(allowed), **options)
    whole = read_archive(source, limits=PLENTY, **options)
    assert isinstance(apart.images, StoredImages)
    assert isinstance(whole.images, np.ndarray)
    return apart, whole


def same(apart: Stack, whole: Stack) -> None:
    """What is stored reads as what is loaded."""
    for name in ("shape", "dtype", "ndim", "size", "nbytes"):
        assert getattr(apart.images, name) == getattr(whole.images, name)
    read = apart.images[:]
    np.testing.assert_array_equal(read, whole.images)
    assert (read.dtype, read.dtype.isnative, read.flags.c_contiguous) == (whole.images.dtype, True, True)
    assert (apart.levels, apart.notes, len(apart.images)) == (whole.levels, whole.notes, len(whole.images))
    np.testing.assert_array_equal(apart.indices, whole.indices)


PEAK = '''
def peak():
    """The most memory so far, in MB; ru_maxrss would begin with that of the parent, however large."""
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) // 1000
'''
MEASURE = (
    PEAK
    + """
import sys, time
import numpy, scipy.io
from nmfcompress.errors import NmfcError
from nmfcompress.images.archives import read_archive
from nmfcompress.images.limits import Limits
before, start = peak(), time.perf_counter()
try:
    answer = read_archive(sys.argv[1], limits=Limits(int(sys.argv[2]))).images.shape
except NmfcError as error:
    answer = type(error).__name__
print(answer, time.perf_counter() - start, peak() - before)
"""
)


def measured(path: Path, max_memory: int) -> tuple[str, float, int]:
    out = subprocess.run(
        [sys.executable, "-c", MEASURE, path, str(max_memory)], capture_output=True, text=True, check=True
    )
    answer, seconds, megabytes = out.stdout.rsplit(maxsplit=2)
    return answer, float(seconds), int(megabytes)
