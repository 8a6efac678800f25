"""The sections that every mode has: `head`, what the pixels are, and `meta`, what goes with them.

head: a byte for the type (0 uint8, 1 uint16, 2 float32, 3 float64), in which bit 7 says that values had a range of
their own, bit 6 that there is one picture rather than a collection of one; varints: pictures, height, width, channels
(1 has no axis of its own); with bit 7 the lowest and the highest value, two float64, little-endian: they are what is
0 and 1 here. A float, once it has been rounded to its type, is then v * (high - low) + low in float64, rounded to that
type again; whole numbers stay as they are.

meta: bytes as zlib deflates them, of fields one after the other, in rising order of their kinds: a byte for its kind
(1 icc, 2 exif, 3 dpi, 4 alpha, 5 names, 6 labels that are numbers, 7 labels that are words, 8 indices, 9 the mode of
the picture's file), a varint for its length, its bytes. One of another kind is passed over. Text is UTF-8 (in names
of files, bytes that are none stand as they are), parts of a list end with a NUL byte. Numbers are int64, the lowest
bytes of all first, then the next bytes of all ... ; indices less the one before; rows of alpha less the row above,
modulo 256; dpi two float64.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..errors import InputError, TooLarge
from ..images.limits import Limits
from .container import Fields, varint

TYPES = ("uint8", "uint16", "float32", "float64")
OWN_RANGE, SINGLE = 128, 64
KINDS = {"icc": 1, "exif": 2, "dpi": 3, "alpha": 4, "names": 5, "numbers": 6, "words": 7, "indices": 8, "mode": 9}
NAMES = {number: name for name, number in KINDS.items()}
MOST_META = 2**26  # bytes of it once they are inflated
META_WORK = 12  # bytes of memory for one of them, at most
MOST_LETTERS = 2**27  # of labels, each as long as the longest
LETTER = 4  # bytes of it
MOST_VALUES = 2**33  # pixel values of all pictures together, whatever is allowed
MOST_PICTURES = 2**23  # so that what goes with each stays small too
STRANGE = re.compile("[\ud800-\udc7f\udd00-\udfff]")  # halves of characters that stand for no byte


@dataclass(frozen=True)
class Header:
    """What the pixels are.

    Parameters
    ----------
    shape : tuple of int
        (n, h, w) or (n, h, w, channels).
    dtype : numpy.dtype
        uint8, uint16, float32 or float64; floats lie within 0..1.
    low, high : float
        What 0 and 1 stand for, where floats were scaled.
    single : bool
        It is one picture, n is 1.

    Raises
    ------
    TooLarge
        More pictures, or values, than are ever read.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    low: float = 0.0
    high: float = 1.0
    single: bool = False

    def __post_init__(self) -> None:
        if self.values > MOST_VALUES or self.shape[0] > MOST_PICTURES:
            raise TooLarge(f"pictures of {' x '.join(map(str, self.shape))} values are more than are ever read")

    def pack(self) -> bytes:
        """The section."""
        own = (self.low, self.high) != (0.0, 1.0)
        kind = TYPES.index(self.dtype.name) | own * OWN_RANGE | self.single * SINGLE
        sides = (*self.shape, 1)[:4]
        data = bytes([kind]) + b"".join(varint(side) for side in sides)
        return data + (struct.pack("<2d", self.low, self.high) if own else b"")

    @property
    def values(self) -> int:
        """Pixel values of all pictures together."""
        count = 1
        for side in self.shape:
            count *= side
        return count

    @property
    def area(self) -> int:
        """Height times width."""
        return self.shape[1] * self.shape[2]

    @property
    def pixels(self) -> int:
        """Values of one picture."""
        return self.values // self.shape[0]


def read_header(data: bytes) -> Header:
    """The header again.

    Raises
    ------
    InputError
        It is none, or speaks of pictures that cannot be.
    """
    fields = Fields(data)
    kind = fields.byte()
    sides = [fields.varint() for _ in range(4)]
    low, high = struct.unpack("<2d", fields.take(16)) if kind & OWN_RANGE else (0.0, 1.0)
    fields.done()
    number = kind & ~(OWN_RANGE | SINGLE)
    if number >= len(TYPES) or 0 in sides or sides[3] > 4 or (kind & SINGLE and sides[0] != 1):
        raise InputError("is damaged: its header makes no sense")
    if not (np.isfinite(low) and np.isfinite(high) and low <= high):
        raise InputError("is damaged: the range of its values is none")
    return Header(tuple(sides if sides[3] > 1 else sides[:3]), np.dtype(TYPES[number]), low, high, bool(kind & SINGLE))


@dataclass(frozen=True)
class Meta:
    """What goes with the pictures.

    Parameters
    ----------
    icc, exif : bytes, optional
        Colour profile, and EXIF with its prefix, of the one picture there is.
    dpi : (float, float), optional
    alpha : array of uint8, shape (h, w), optional
    mode : str
        Pillow's word for the pixels of the file.
    names : tuple of str
        Of the pictures, if each had one.
    labels : array, shape (n,), int64 or text, optional
    indices : array of int64, shape (n,), optional
        The place of each picture in the array it was taken from.
    """

    icc: bytes | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    alpha: np.ndarray | None = field(default=None, compare=False)
    mode: str = ""
    names: tuple[str, ...] = ()
    labels: np.ndarray | None = field(default=None, compare=False)
    indices: np.ndarray | None = field(default=None, compare=False)

    def check(self, header: Header) -> None:
        """Raise InputError unless it is for as many pictures, of this size."""
        n, counts = header.shape[0], {"names": len(self.names) or None}
        counts |= {
            name: None if x is None else len(x) for name, x in (("labels", self.labels), ("indices", self.indices))
        }
        for name, count in counts.items():
            if count not in (None, n):
                raise InputError(f"{count:,} {name} are given for {n:,} pictures (expected one of each)")
        if self.alpha is not None and (self.alpha.shape != header.shape[1:3] or self.alpha.dtype != np.uint8):
            raise InputError(f"alpha is {self.alpha.dtype} {self.alpha.shape} (expected uint8 {header.shape[1:3]})")

    def pack(self) -> bytes:
        """The section; nothing where there is nothing."""
        found: dict[str, bytes] = {"icc": self.icc or b"", "exif": self.exif or b"", "mode": self.mode.encode()}
        if self.dpi is not None:
            found["dpi"] = struct.pack("<2d", *self.dpi)
        if self.alpha is not None:
            # rows less the row above: what is smooth deflates well
            found["alpha"] = np.diff(self.alpha, axis=0, prepend=np.zeros_like(self.alpha[:1])).tobytes()
        if self.names:
            found["names"] = _texts(self.names)
        if self.labels is not None:
            if self.labels.dtype.kind in "iu":
                found["numbers"] = _numbers(self.labels)
            else:
                found["words"] = _texts(_array([str(label) for label in self.labels.tolist()]))
        if self.indices is not None and not np.array_equal(self.indices, np.arange(len(self.indices))):
            found["indices"] = _numbers(np.diff(self.indices, prepend=0))
        return _packed(found)


def _packed(found: Mapping[str, bytes]) -> bytes:
    rising = sorted((KINDS[name], data) for name, data in found.items() if data)
    plain = b"".join(bytes([kind]) + varint(len(data)) + data for kind, data in rising)
    if len(plain) > MOST_META:
        raise TooLarge(f"what goes with the pictures has {len(plain):,} bytes, at most {MOST_META:,} are read")
    return zlib.compress(plain, 9) if plain else b""


def _texts(texts: Iterable[object]) -> bytes:
    whole = "".join(str(text).replace("\0", "") + "\0" for text in texts)
    return STRANGE.sub("\ufffd", whole).encode("utf-8", "surrogateescape")


def _array(words: Sequence[str], limits: Limits | None = None) -> np.ndarray:
    """Words side by side, all as wide as the longest."""
    longest = max(map(len, words), default=0)
    if len(words) * longest > MOST_LETTERS:
        raise TooLarge(f"{len(words):,} labels of up to {longest:,} letters are more than are ever read")
    if limits is not None:
        limits.admit(LETTER * len(words) * longest, f"{len(words):,} labels of up to {longest:,} letters")
    return np.array(words)


def _numbers(values: np.ndarray) -> bytes:
    """Each byte of int64 on its own, so that those that are always 0 deflate to nothing."""
    return values.astype("<i8").view(np.uint8).reshape(-1, 8).T.tobytes()


def read_meta(data: bytes, header: Header, limits: Limits | None = None) -> Meta:
    """What goes with the pictures again; fields of unknown kinds are passed over.

    Raises
    ------
    InputError
        The section is none, or not for as many pictures.
    TooLarge
        It needs more memory than `limits` allow.
    """
    if not data:
        return Meta()
    inflate = zlib.decompressobj()
    most = MOST_META if limits is None else min(MOST_META, limits.max_memory // META_WORK + 1)
    try:
        plain = inflate.decompress(data, most)
    except zlib.error:
        raise InputError("is damaged: what goes with its pictures cannot be inflated") from None
    if limits is not None:
        limits.admit(META_WORK * len(plain), "what goes with its pictures")
    if not inflate.eof or inflate.unused_data:
        raise InputError("is damaged: what goes with its pictures does not end where it should")
    fields, found, before = Fields(plain), {}, 0
    while fields.place < len(plain):
        kind = fields.byte()
        if kind <= before:
            raise InputError("is damaged: what goes with its pictures is out of order")
        found[NAMES.get(kind, "")], before = fields.take(fields.varint()), kind
    n, shape = header.shape[0], header.shape[1:3]

    def sized(name: str, size: int) -> bytes | None:
        if name in found and len(found[name]) != size:
            raise InputError(f"is damaged: its {name} are not for {n:,} pictures of this size")
        return found.get(name)

    def numbers(name: str) -> np.ndarray | None:
        content = sized(name, 8 * n)
        if content is None:
            return None
        return np.ascontiguousarray(np.frombuffer(content, np.uint8).reshape(8, n).T).view("<i8")[:, 0].astype(np.int64)

    def texts(name: str) -> tuple[str, ...]:
        content = found.get(name, b"")
        if content and (content.count(0) != n or content[-1]):
            raise InputError(f"is damaged: its {name} are not for {n:,} pictures")
        return tuple(content.decode("utf-8", "surrogateescape").split("\0")[:-1])

    dpi, alpha = sized("dpi", 16), sized("alpha", shape[0] * shape[1])
    words, steps = texts("words"), numbers("indices")
    resolution = struct.unpack("<2d", dpi) if dpi is not None else None
    return Meta(
        icc=found.get("icc"),
        exif=found.get("exif"),
        dpi=resolution if resolution is not None and np.isfinite(resolution).all() else None,
        alpha=None
        if alpha is None
        else np.cumsum(np.frombuffer(alpha, np.uint8).reshape(shape), axis=0, dtype=np.uint8),
        mode=found.get("mode", b"").decode("utf-8", "replace"),
        names=texts("names"),
        labels=_array(words, limits) if words else numbers("numbers"),
        indices=None if steps is None else np.cumsum(steps),
    )
