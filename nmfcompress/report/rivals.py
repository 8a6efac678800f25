"""The codecs that one comparison compares: ours, truncated SVD, and those of Pillow.

Each is a `Codec`: a pair encode(images, quality) -> bytes and decode(bytes) -> images, so that one evaluation
compares anything with anything. The others are set to what makes them best at what is measured, but for AVIF's speed,
which is Pillow's: at 4 in place of 6 photos are 8 % smaller, and take five times as long. What the others do not store
is given to them for nothing: the number and shape of the images of a mosaic, and the range that values of more than 8
bits were scaled from.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np
from PIL import Image, features

from ..codec.collection import arrangement_for, decode_stack, encode_stack
from ..codec.image import decode_image, encode_image
from ..codec.svd import decode_svd, encode_svd
from ..errors import InputError
from ..factor.start import WIDEST
from ..images.arrange import arrange_rows, arrange_stack, restore_rows, restore_stack
from ..images.guard import opened
from ..images.limits import Limits
from ..metrics import peak
from ..settings import CODECS

FILES = 256  # images on which "one file each" is measured, evenly spaced: of more it is scaled up
SAMPLED = 2**22  # pixel values that tell how much images vary
DULL, PLAIN = 32.0, 45.0  # grey levels: images that vary less are dull; what is assumed of those that do not vary
Encode = Callable[[np.ndarray, float], Sequence[bytes]]
Decode = Callable[[Sequence[bytes]], np.ndarray]


@dataclass(frozen=True)
class Codec:
    """A codec, made for the images of one comparison.

    Parameters
    ----------
    name : str
        As the table has it: "nmfc stack", "AVIF mosaic".
    unit : str
        What its quality is: "q", "rank", "step", "dB".
    ladder : tuple of float
        Qualities from small files to large ones, spread over what it is good for.
    encode : (images (n, h, w) or (n, h, w, 3), quality) -> sequence of bytes
    decode : sequence of bytes -> images of that shape and type
    whole : bool
        Its quality is a whole number.
    places : array of int or None
        The images that it is measured on, where it would take too long for all of them.
    beside : quality -> words
        What else belongs to a quality.
    """

    name: str
    unit: str
    ladder: tuple[float, ...]
    encode: Encode
    decode: Decode
    whole: bool = True
    places: np.ndarray | None = None
    beside: Callable[[float], str] = lambda quality: ""

    @property
    def ours(self) -> bool:
        """Whether it is this project's."""
        return self.name.startswith("nmfc")

    def spread(self, count: int) -> tuple[float, ...]:
        """`count` qualities over its ladder, fewer where whole numbers coincide."""
        places = np.linspace(0, len(self.ladder) - 1, count) if count > 1 else [(len(self.ladder) - 1) / 2]
        found = np.interp(places, range(len(self.ladder)), self.ladder).tolist()
        return tuple(dict.fromkeys(float(round(q)) if self.whole else q for q in found))

    def words(self, quality: float) -> str:
        """A quality for people: "q 35", "step 7.5, rank 62"."""
        return f"{self.unit} {quality:.4g}{self.beside(quality)}"


def codecs_for(images: np.ndarray, families: Sequence[str] = CODECS) -> tuple[list[Codec], list[str]]:
    """The codecs of these families that apply to images (n, h, w) or (n, h, w, 3), and notes on those left out."""
    found: list[Codec] = []
    notes: list[str] = []
    for family in families:
        if family == "nmfc":
            found += _ours(images)
        elif family == "svd":
            found.append(_svd(images))
        elif features.check(STILLS[family].feature):
            found += _pillow(images, STILLS[family])
        else:
            notes.append(f"{STILLS[family].name} is left out: this Pillow has it not")
    if any(codec.places is not None for codec in found):
        notes.append(f"one file each: measured on {FILES:,} of {len(images):,} images, evenly spaced, and scaled up")
    if images.dtype != np.uint8 and set(families) & set(STILLS):
        notes.append(f"{images.dtype} values go to the other picture codecs as 8 bits over their own range")
    return found, notes


# Ours

# Steps of the quantizer, in grey levels, for images that are not dull
PATCHES = (180.0, 100.0, 55.0, 30.0, 17.0, 9.0)
STACK = (24.0, 16.0, 11.0, 7.5, 5.0, 3.3)
BANDS = (64.0, 32.0, 16.0, 8.0, 4.0, 2.0)
MOST_PARTS = 512  # of a stack
PATCHED = 64  # pictures that go through patches, each by itself, unasked
NOISE = 0.2  # of the squared error of a rank that the quantizer of rows may add: least bytes at equal PSNR


def _ours(images: np.ndarray) -> list[Codec]:
    """Rows and patches of one picture; of a collection a stack, and bands and patches where they may pay."""
    n, h, w = images.shape[:3]
    if n == 1:
        return [_patches(_finer(PATCHES, images)), _rows(images[0])]
    usual, found = arrangement_for(images), [_stack(_finer(STACK, images), n, images[0].size)]
    if (n <= PATCHED and images.shape[3:] in ((), (3,))) or usual == "patches":
        found.insert(0, _patches(_finer(PATCHES, images)))
    if (images.ndim == 3 and 8 * n <= h * w) or usual == "bands":
        found.insert(0, _bands(_finer(BANDS, images)))
    return found


def _patches(steps: tuple[float, ...]) -> Codec:
    def encode(images: np.ndarray, step: float) -> list[bytes]:
        if len(images) == 1:
            return [encode_image(images[0], arrangement="patches", step=step)]
        return [encode_stack(images, arrangement="patches", step=step)]

    return Codec("nmfc patches", "step", steps, encode, lambda parts: decode_stack(parts[0]), whole=False)


def _rows(pixels: np.ndarray) -> Codec:
    """Rank by rank, each with a step that suits it: how far a rank can come is told by the singular values."""
    V = arrange_rows(pixels)
    left = _left_over(V) if min(V.shape) <= WIDEST else None

    def step(rank: float) -> float | None:
        if left is None:
            return None
        return round(max(math.sqrt(6 * NOISE * left[int(rank)] / V.size / rank), 0.02), 2)

    def encode(images: np.ndarray, rank: float) -> list[bytes]:
        return [encode_image(images[0], arrangement="rows", rank=int(rank), step=step(rank))]

    return Codec(
        "nmfc rows", "rank", _ranks(*V.shape), encode, _picture,
        beside=lambda rank: "" if left is None else f", step {step(rank)}",
    )  # fmt: skip


def _left_over(V: np.ndarray) -> np.ndarray:
    """What the best approximations of rank 0, 1, ... leave: squared errors, in grey levels of 255, added up."""
    X = V.astype(np.float64) * (255 / peak(V.dtype))
    squares = np.linalg.eigvalsh(X @ X.T if len(X) <= X.shape[1] else X.T @ X)
    return np.append(np.cumsum(np.maximum(squares, 0))[::-1], 0.0)


def _stack(steps: tuple[float, ...], n: int, pixels: int) -> Codec:
    """The finer the step, the more parts pay."""
    middle = STACK[2] * steps[0] / STACK[0]  # where as many pay as the root of the number of images

    def rank(step: float) -> int:
        return max(1, min(round(middle / step * math.sqrt(n)), MOST_PARTS, n, pixels))

    def encode(images: np.ndarray, step: float) -> list[bytes]:
        return [encode_stack(images, arrangement="stack", rank=rank(step), step=step)]

    return Codec(
        "nmfc stack", "step", steps, encode, lambda parts: decode_stack(parts[0]), whole=False,
        beside=lambda step: f", rank {rank(step)}",
    )  # fmt: skip


def _bands(steps: tuple[float, ...]) -> Codec:
    return Codec(
        "nmfc bands", "step", steps, lambda images, step: [encode_stack(images, arrangement="bands", step=step)],
        lambda parts: decode_stack(parts[0]), whole=False,
    )  # fmt: skip


def _picture(parts: Sequence[bytes]) -> np.ndarray:
    return decode_image(parts[0])[None]


def _ranks(m: int, n: int, most: int = 64) -> tuple[float, ...]:
    """Ranks by powers of two, up to half of the smaller side where that is not too little."""
    top = min(max(min(m, n) // 2, 4), m, n, most)
    return tuple(2.0**power for power in range(1 if top >= 4 else 0, top.bit_length()))


def _finer(ladder: tuple[float, ...], images: np.ndarray) -> tuple[float, ...]:
    """Steps for these images: finer where they hardly vary, as values of 16 bits that use few of them."""
    return tuple(float(f"{step * min(1.0, spread(images) / DULL):.3g}") for step in ladder)


def spread(images: np.ndarray) -> float:
    """How far pixels are from their mean, in grey levels of 255."""
    step = max(1, images.size // SAMPLED)
    return float(images.reshape(-1)[::step].std(dtype=np.float64)) * 255 / peak(images.dtype) or PLAIN


# Truncated SVD


def _svd(images: np.ndarray) -> Codec:
    """By rows for one picture, by stack for a collection."""
    shape, one = images.shape, len(images) == 1

    def encode(images: np.ndarray, rank: float) -> list[bytes]:
        return [encode_svd(arrange_rows(images[0]) if one else arrange_stack(images), int(rank))]

    def decode(parts: Sequence[bytes]) -> np.ndarray:
        V = decode_svd(parts[0])
        return restore_rows(V, shape[1:])[None] if one else restore_stack(V, shape[1:])

    m = shape[1] if one else shape[0]
    ranks = _ranks(m, math.prod(shape) // m, 128)
    return Codec(f"SVD {'rows' if one else 'stack'}", "rank", ranks, encode, decode)


# Pillow's


@dataclass(frozen=True)
class Still:
    """A picture codec of Pillow: what it is called, and how it saves at a quality."""

    name: str
    format: str
    feature: str
    unit: str
    ladder: tuple[float, ...]  # of dB: above those of the mean
    options: Callable[[float, bool], dict[str, Any]]  # of the quality, and whether there is colour

    def encode(self, pixels: np.ndarray, quality: float, frames: Sequence[np.ndarray] = ()) -> bytes:
        """8-bit pixels (h, w) or (h, w, 3), and more frames of a sequence."""
        more: dict[str, Any] = {}
        if frames:
            more = {"save_all": True, "append_images": [Image.fromarray(frame) for frame in frames]}
        file = io.BytesIO()
        try:
            Image.fromarray(pixels).save(file, self.format, **self.options(quality, pixels.ndim == 3), **more)
        except (OSError, ValueError, RuntimeError, OverflowError) as error:
            size = f"{pixels.shape[1]:,} x {pixels.shape[0]:,}"
            raise InputError(f"Pillow's encoder refuses a picture of {size} ({error})") from None
        return file.getvalue()

    def decode(self, data: bytes, colour: bool) -> list[np.ndarray]:
        """All frames."""
        frames = []
        with opened(data, self.name, Limits()) as file, file.glass():
            for frame in range(file.frames):
                file.image.seek(frame)
                file.load()
                frames.append(np.asarray(file.image.convert("RGB" if colour else "L")))
        return frames


def _jpeg(quality: float, colour: bool) -> dict[str, Any]:
    return {"quality": int(quality), "optimize": True, **({"subsampling": "4:2:0"} if colour else {})}


def _webp(quality: float, colour: bool) -> dict[str, Any]:
    return {"quality": int(quality), "method": 6}


def _avif(quality: float, colour: bool) -> dict[str, Any]:
    return {"quality": int(quality), "subsampling": "4:2:0" if colour else "4:0:0", **_tuned()}


@cache
def _tuned() -> Mapping[str, Any]:
    """What makes AVIF best at what is measured: 6 % smaller at equal PSNR on photos; only libaom knows it."""
    options = {"advanced": {"tune": "psnr"}}
    try:
        Image.new("L", (16, 16)).save(io.BytesIO(), "AVIF", **options)
    except ValueError:
        return {}
    return options


def _jp2(quality: float, colour: bool) -> dict[str, Any]:
    return {"irreversible": True, "quality_mode": "dB", "quality_layers": [quality], "no_jp2": True}


STILLS: Mapping[str, Still] = MappingProxyType(
    {
        "jpeg": Still("JPEG", "JPEG", "jpg", "q", (2, 8, 20, 40, 65, 85), _jpeg),
        "webp": Still("WebP", "WEBP", "webp", "q", (0, 8, 25, 50, 70, 85), _webp),
        "avif": Still("AVIF", "AVIF", "avif", "q", (0, 15, 30, 45, 60, 75), _avif),
        "jp2": Still("JPEG 2000", "JPEG2000", "jpg_2000", "dB", (8, 11, 14, 17, 21, 26), _jp2),
    }
)


@dataclass(frozen=True)
class Eight:
    """Pixels of any type <-> the 8 bits that picture codecs take, over the images' own range; uint8 stays as it is."""

    dtype: np.dtype
    low: float = 0.0
    high: float = 255.0

    @classmethod
    def of(cls, images: np.ndarray) -> Eight:
        if images.dtype == np.uint8:
            return cls(images.dtype)
        low, high = float(images.min()), float(images.max())
        return cls(images.dtype, low, high if high > low else low + peak(images.dtype))

    def down(self, images: np.ndarray) -> np.ndarray:
        if self.dtype == np.uint8:
            return images
        scaled = np.subtract(images, self.low, dtype=np.float32) * np.float32(255 / (self.high - self.low))
        pixels: np.ndarray = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
        return pixels

    def up(self, images: np.ndarray) -> np.ndarray:
        if self.dtype == np.uint8:
            return images
        values = images * ((self.high - self.low) / 255) + self.low
        pixels: np.ndarray = (values if self.dtype.kind == "f" else np.rint(values)).astype(self.dtype)
        return pixels


def _pillow(images: np.ndarray, still: Still) -> list[Codec]:
    """One picture as it is; a collection as one mosaic, one file each, and as a sequence where there are such."""
    if len(images) == 1:
        return [_files(images, still, still.name, None)]
    places = np.arange(FILES) * len(images) // FILES if len(images) > FILES else None
    found = [_mosaic(images, still), _files(images, still, f"{still.name} files", places)]
    if still.name == "AVIF" and len(images) <= 1024 and min(images.shape[1:3]) >= 16:
        found.insert(0, _sequence(images, still))
    return found


def _codec(images: np.ndarray, still: Still, name: str, encode: Any, decode: Any, places: Any = None) -> Codec:
    """A codec of 8-bit images as one of the images' own type."""
    eight = Eight.of(images)
    ladder = still.ladder
    if still.unit == "dB":  # above that of nothing but the mean
        ladder = tuple(round(20 * math.log10(255 / spread(eight.down(images))) + gain, 2) for gain in ladder)
    return Codec(
        name, still.unit, ladder, lambda x, quality: encode(eight.down(x), quality),
        lambda parts: eight.up(decode(parts)), whole=still.unit == "q", places=places,
    )  # fmt: skip


def _files(images: np.ndarray, still: Still, name: str, places: np.ndarray | None) -> Codec:
    colour = images.ndim == 4
    return _codec(
        images, still, name, lambda x, quality: [still.encode(image, quality) for image in x],
        lambda parts: np.stack([still.decode(part, colour)[0] for part in parts]), places,
    )  # fmt: skip


def _mosaic(images: np.ndarray, still: Still) -> Codec:
    shape, colour = images.shape, images.ndim == 4
    return _codec(
        images, still, f"{still.name} mosaic", lambda x, quality: [still.encode(mosaic(x), quality)],
        lambda parts: cut(still.decode(parts[0], colour)[0], shape),
    )  # fmt: skip


def _sequence(images: np.ndarray, still: Still) -> Codec:
    return _codec(
        images, still, f"{still.name} sequence", lambda x, quality: [still.encode(x[0], quality, list(x[1:]))],
        lambda parts: np.stack(still.decode(parts[0], images.ndim == 4)),
    )  # fmt: skip


def mosaic(images: np.ndarray) -> np.ndarray:
    """Images (n, h, w[, c]) side by side in about a square, (H, W[, c]); black where there are none left."""
    n, h, w = images.shape[:3]
    across = math.ceil(math.sqrt(n * h / w))
    down = -(-n // across)
    full = np.zeros((down * across, *images.shape[1:]), images.dtype)
    full[:n] = images
    tiles: np.ndarray = full.reshape(down, across, *images.shape[1:]).swapaxes(1, 2)
    return tiles.reshape(down * h, across * w, *images.shape[3:])


def cut(pixels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse of `mosaic`, for images of `shape` (n, h, w[, c])."""
    n, h, w = shape[:3]
    down, across = pixels.shape[0] // h, pixels.shape[1] // w
    images = pixels.reshape(down, h, across, w, *shape[3:]).swapaxes(1, 2)
    return images.reshape(down * across, *shape[1:])[:n]
