"""The parts of a stack as they are in the file, and pictures made of them: see stack.py for the bytes."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..images.arrange import arrange_stack
from ..images.limits import Limits
from .container import Container, Fields, varint
from .header import Header
from .integer import Parts
from .tables import WORK_BYTES, decode_planes, decode_table, encode_planes, encode_table
from .tone import FINE, NODES, SPACING, Curve

UNIT = 16  # steps of a sum for a grey level
MOST_PARTS = 4096
MOST_STEP = 2**20
GOLDEN = 0.618034  # parts of it in turn spread evenly over 0..1
COARSE = 3.0  # times sqrt(price / sum of squared codes): how coarsely a part is stored
EXACT = 2**24  # integers up to here add up exactly in float32, in any order


@dataclass(frozen=True, eq=False)
class StoredParts:
    """Parts as they are in the file.

    Parameters
    ----------
    steps : array of int, shape (k,)
    planes : array of int, shape (k, h * channels, w)
    nodes : array of int, shape (81,)
        Of the tone curve.
    white : int
        What grey level 255 is: a value of whole numbers, or of floats a 65535th.
    unit : int
    """

    steps: np.ndarray
    planes: np.ndarray
    nodes: np.ndarray
    white: int
    unit: int = UNIT

    def rows(self, header: Header) -> np.ndarray:
        """Parts as rows of pixels as `arrange_stack` has them, integers in 1 / unit of a grey level: (k, pixels)."""
        k = len(self.steps)
        values = self.planes * self.steps[:, None, None]
        if len(header.shape) == 4:
            h, w, c = header.shape[1:]
            values = values.reshape(k, c, h, w).transpose(0, 2, 3, 1)
        rows: np.ndarray = values.reshape(k, -1)
        return rows

    def floats(self, header: Header) -> np.ndarray:
        """The same in grey levels, float32."""
        found: np.ndarray = (self.rows(header) / self.unit).astype(np.float32)
        return found

    def sections(self) -> dict[str, bytes]:
        numbers = b"".join(varint(int(x)) for x in (len(self.steps), self.unit, self.white, *self.steps))
        return {
            "parts": numbers + encode_planes(self.planes),
            "curve": encode_table(np.diff(self.nodes, prepend=0)[None]),
        }

    def digest(self) -> bytes:
        """What another file knows them by."""
        return digest_of(self.sections())


def digest_of(sections: dict[str, bytes]) -> bytes:
    """SHA-256 of the two sections that make parts."""
    return hashlib.sha256(sections["parts"] + sections["curve"]).digest()


def read_parts(container: Container, header: Header, limits: Limits | None = None) -> StoredParts:
    """The parts of a file, all of which is doubted."""
    fields = Fields(container.section("parts"))
    k, unit, white = fields.varint(), fields.varint(), fields.varint()
    if not 1 <= k <= min(MOST_PARTS, header.pixels) or not 1 <= unit <= 256 or not 1 <= white <= whitest(header.dtype):
        raise InputError(f"is damaged: it says that it has {k:,} parts")
    steps = np.array([fields.varint() for _ in range(k)])
    h, w, c = (*header.shape[1:], 1)[:3]
    (limits or Limits()).admit(WORK_BYTES * k * h * w * c, f"reading {k:,} parts of {header.pixels:,} values")
    planes = decode_planes(fields.rest(), (k, h * c, w))
    nodes = np.cumsum(decode_table(container.section("curve"), 1, NODES)[0])
    if steps.max() > MOST_STEP or planes.min() < 0 or planes.max() > MOST_STEP:
        raise InputError("is damaged: its parts are beyond all measure")
    if nodes.min() < 0 or nodes.max() > 255 * FINE or (np.diff(nodes) < 0).any():
        raise InputError("is damaged: its tone curve does not rise")
    return StoredParts(steps, planes, nodes, white, unit)


def stored(parts: Parts, header: Header, squares: np.ndarray, price: float, white: int) -> StoredParts:
    """Parts in integers, the more coarsely the less their codes weigh; `squares`: of the codes of each, added up."""
    steps = np.rint(COARSE * UNIT * np.sqrt(price / np.maximum(squares, 1)))
    tops = np.maximum(parts.H.max(axis=1) * UNIT, 1)
    # the brightest is met, and with it all that is white; where all are alike some have a level more than others
    more = (np.arange(len(steps)) * GOLDEN) % 1
    levels = np.floor(np.maximum(tops / np.maximum(steps, 1), 2) + more)
    steps = np.rint(tops / levels).clip(1).astype(np.int64)
    values = np.rint(parts.H * (UNIT / steps[:, None])).astype(np.int64)
    h, w, c = (*header.shape[1:], 1)[:3]
    planes = values.reshape(-1, h, w, c).transpose(0, 3, 1, 2).reshape(-1, c * h, w)
    return StoredParts(steps, planes, parts.curve.nodes, white)


def whitest(dtype: np.dtype) -> int:
    """The largest `white` of pixels of this type."""
    return 255 if dtype == np.uint8 else 65535


class Shower:
    """Makes pictures of codes: the decoder's arithmetic, used by the encoder too."""

    def __init__(self, parts: StoredParts, header: Header, rank: int | None = None):
        rows = parts.rows(header)[:rank]
        self._header, self._rank = header, len(rows)
        self._most = (NODES - 1) * SPACING * parts.unit
        levels = Curve(parts.nodes).levels(np.arange(self._most + 1), parts.unit)
        scaled, whole = levels * parts.white, 255 * FINE
        if header.dtype.kind == "u":
            self._tones = ((scaled + whole // 2) // whole).astype(header.dtype)
        else:
            self._tones = (scaled / (65535 * whole)).astype(header.dtype)
        self._rows = {np.dtype(t): rows.astype(t) for t in (np.float32, np.float64)}
        self._tops = rows.max(axis=1, initial=0).astype(np.float64)

    def pictures(self, Q: np.ndarray) -> np.ndarray:
        """Pictures (b, h, w[, c]) of codes (k, b)."""
        codes = Q[: self._rank].T
        exact = float((codes @ self._tops).max(initial=0)) < EXACT
        kind = np.dtype(np.float32 if exact else np.float64)
        sums: np.ndarray = codes.astype(kind) @ self._rows[kind]
        shown: np.ndarray = self._tones[np.minimum(sums, self._most).astype(np.int32)]
        pictures: np.ndarray = shown.reshape(len(codes), *self._header.shape[1:])
        return pictures


def white_of(images: np.ndarray) -> int:
    """The least `white` for these pictures: their largest value."""
    top = float(images.max())
    return max(1, math.ceil(top if images.dtype.kind == "u" else 65535 * top))


def grey_of(images: np.ndarray, white: int) -> np.ndarray:
    """Pictures as rows of grey levels, of which 255 is `white`, float32."""
    V = arrange_stack(np.asarray(images))
    scale = 255 / white * (1 if V.dtype.kind == "u" else 65535)
    grey: np.ndarray = np.multiply(V, np.float32(scale), dtype=np.float32)
    return grey


def origin_of(container: Container, origin: Container | None) -> Container:
    """The file that has the parts."""
    wanted = container.sections.get("origin")
    if wanted is None:
        return container
    if origin is None:
        raise NeedsOrigin("has no parts of its own: it needs --basis-from, with the file that it was made with")
    if not {"parts", "curve"} <= origin.sections.keys() or digest_of(origin.sections) != wanted:
        raise NeedsOrigin("was made with the parts of another file than the one of --basis-from")
    return origin


class NeedsOrigin(InputError):
    """The parts of a file are in another."""
