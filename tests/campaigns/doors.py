"""What comes in from outside, each through the door that it comes by: nothing but NmfcError may come out."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tarfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from nmfcompress.codec.opened import info, open_container
from nmfcompress.errors import NmfcError
from nmfcompress.images.archives import read_archive
from nmfcompress.images.limits import Limits

from . import mutations
from .mutations import broken

LIMITS = Limits(2**26)
SMALL = Limits(6000)  # so that arrays stay in their file and are read in pieces
ODD_BYTES = 2**16  # the longest of the odd files that a fuzzer begins with


def said(error: NmfcError) -> str:
    """What an error says: one line, not too long."""
    message = str(error)
    assert "\n" not in message
    assert len(message) < 400
    return message


def read_container(data: bytes) -> str:
    """All that a reader does with a container."""
    try:
        info(data)
        opened = open_container(data)
        shown = opened.pictures(limits=LIMITS)
        assert shown.shape == opened.header.shape
        assert shown.dtype == opened.header.dtype
        opened.pictures(np.array([0]), 1, limits=LIMITS)
    except NmfcError as error:
        return said(error)
    return ""


def read_array(data: bytes) -> str:
    """All that a reader does with an array file: as bytes, and from its file a piece at a time."""
    try:
        found = read_archive(data, limits=LIMITS)
        assert len(found.images) == len(found.indices)
        assert found.labels is None or len(found.labels) == len(found.images)
    except NmfcError as error:
        message = said(error)
    else:
        message = ""
    path = os.path.join(_folder(), "array")
    with open(path, "wb") as file:
        file.write(data)
    try:
        left = read_archive(path, limits=SMALL)
        assert left.images[:].shape == left.images.shape
    except NmfcError as error:
        said(error)
    return message


@cache
def _folder() -> str:
    import atexit
    import shutil
    import tempfile

    folder = tempfile.mkdtemp(prefix="nmfc-fuzz-")
    atexit.register(shutil.rmtree, folder, True)
    return folder


# Array files by script


def ramp(*shape: int, dtype: object = np.uint8) -> np.ndarray:
    return (np.arange(int(np.prod(shape))) % 251).astype(dtype).reshape(shape)


def npy(array: np.ndarray, fortran: bool = False) -> bytes:
    out = io.BytesIO()
    np.save(out, np.asfortranarray(array) if fortran else array)
    return out.getvalue()


def npz(compression: int, **members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content, compression)
    return out.getvalue()


def idx(array: np.ndarray) -> bytes:
    codes = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}
    head = bytes((0, 0, codes[array.dtype.name], array.ndim))
    return head + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(array.dtype.newbyteorder(">")).tobytes()


@cache
def npy_seeds() -> tuple[bytes, ...]:
    kinds = [np.uint8, np.uint16, np.float32, np.float64, ">i4", bool]
    return (
        *(npy(ramp(4, 5, 6, dtype=kind)) for kind in kinds),
        npy(ramp(4, 5, 6), fortran=True), npy(ramp(9, 16)), npy(ramp(3, 5, 4, 3)), npy(np.array(["a", "b"])),
    )  # fmt: skip


@cache
def npz_seeds() -> tuple[bytes, ...]:
    whole = {"x_train": npy(ramp(4, 5, 6)), "y_train": npy(np.arange(4)), "x_test": npy(ramp(2, 5, 6))}
    floats = {"images": npy(ramp(8, 16, 20, dtype=np.float32)), "labels": npy(np.array(list("abcdefgh")))}
    return tuple(npz(kind, **each) for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for each in (whole, floats))


@cache
def idx_seeds() -> tuple[bytes, ...]:
    plain = [idx(ramp(4, 5, 6, dtype=kind)) for kind in (np.uint8, np.int16, np.float32, np.float64)]
    return (*plain, *(gzip.compress(one, mtime=0) for one in plain))


def _of(seeds: Callable[[], tuple[bytes, ...]]) -> Callable[[int, int], bytes]:
    """Mutation `number` of some files; of a zip or gzip every other one is of what is packed in it."""

    def make(number: int, seed: int) -> bytes:
        rng = np.random.default_rng([seed, number])
        data = seeds()[number // 2 % len(seeds())]
        times = int(rng.integers(1, 4))
        if number % 2 and data.startswith(b"PK"):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                members = {name.removesuffix(".npy"): archive.read(name) for name in archive.namelist()}
                kind = archive.infolist()[0].compress_type
            for _ in range(times):
                which = str(rng.choice(list(members)))
                members[which] = broken(members[which], rng)
            return npz(kind, **members)
        packed = number % 2 and data.startswith(b"\x1f\x8b")
        data = gzip.decompress(data) if packed else data
        for _ in range(times):
            data = broken(data, rng)
        return gzip.compress(data, 1, mtime=0) if packed else data

    return make


# A door: how it is gone through, mutation `number` under a seed, and what a fuzzer begins with.
READ: dict[str, Callable[[bytes], str]] = {
    "container": read_container,
    "npz": read_array,
    "npy": read_array,
    "idx": read_array,
}
MUTATION: dict[str, Callable[[int, int], bytes]] = {
    "container": mutations.container,
    "npz": _of(npz_seeds),
    "npy": _of(npy_seeds),
    "idx": _of(idx_seeds),
}
CORPUS: dict[str, Callable[[], tuple[bytes, ...]]] = {
    "container": lambda: tuple(path.read_bytes() for path in sorted(mutations.GOLDEN.glob("*.nmfc"))),
    "npz": npz_seeds,
    "npy": npy_seeds,
    "idx": idx_seeds,
}


def odd_files() -> list[bytes]:
    """The small ones of the odd files, where NMFC_DATA says that they are there."""
    data = os.environ.get("NMFC_DATA")
    if not data:
        return []
    with tarfile.open(Path(data, "odd.tar.gz")) as tar:
        return [tar.extractfile(m).read() for m in tar if m.isfile() and m.size <= ODD_BYTES]  # type: ignore[union-attr]
