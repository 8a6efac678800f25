"""Pillow behind glass: it opens what is allowed, and whatever it raises, warns or prints stays here.

Pillow keeps its pixel limit and Python its warning filters in globals. They are changed only while some thread is
behind the glass, and put back when the last one leaves.
"""

from __future__ import annotations

import importlib
import io
import logging
import math
import os
import re
import stat
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import BinaryIO, cast

from PIL import GifImagePlugin, Image, ImageFile, UnidentifiedImageError

from ..errors import InputError, NmfcError, TooLarge
from .files import display
from .headers import ORDERS, check_tags, count_frames
from .limits import WORK_BYTES, Limits
from .pace import FRAME_STEPS, PAINTED, PIXEL_STEPS, TURN_STEPS, Paced
from .sniff import HEAD, describe

# Never EPS and the like, for which Pillow starts Ghostscript. The last ones hardly have a signature.
PLUGINS = {
    "PNG": "Png", "JPEG": "Jpeg", "MPO": "Mpo", "GIF": "Gif", "WEBP": "WebP", "AVIF": "Avif", "TIFF": "Tiff",
    "JPEG2000": "Jpeg2K", "BMP": "Bmp", "DIB": "Bmp", "QOI": "Qoi", "PPM": "Ppm", "ICO": "Ico", "SGI": "Sgi",
    "PCX": "Pcx", "TGA": "Tga",
}  # fmt: skip
for _plugin in PLUGINS.values():
    importlib.import_module(f"PIL.{_plugin}ImagePlugin")
FORMATS = tuple(word for word in PLUGINS if word in Image.OPEN)  # MPO comes in through JPEG
READS = "PNG, JPEG, WebP, TIFF, GIF, AVIF, JPEG 2000, BMP, ICO, PNM, QOI, SGI, PCX and TGA"

PAINTING = {"GIF", "PNG", "WEBP", "AVIF"}  # whose frames are painted one over the other
BY_FRAME = b"GIF8", *ORDERS  # how files begin that may be larger than the memory: what is not of a picture is small
HEAD_BYTES = 2**16  # of a file that are looked at before it is opened

logging.getLogger("PIL").addHandler(logging.NullHandler())  # else logging prints Pillow's complaints on stderr


@dataclass
class Opened:
    """A picture file that Pillow identified and did not decode yet."""

    image: ImageFile.ImageFile
    head: bytes
    frames: int
    name: str | None
    limits: Limits
    paced: Paced

    @contextmanager
    def glass(self, about: str = "") -> Iterator[None]:
        """Let Pillow work on it: no exception but NmfcError comes out, no warning, no line on stderr."""
        with _explained(self.name, self.head, self.image.format, self.limits, about), _globals(self.limits):
            yield

    def turn_to(self, frame: int) -> None:
        """Let Pillow go to a frame, counted from 1."""
        word, here = self.image.format or "", self.image.tell() + 1
        if here == frame:
            return
        self.paced.allow(TURN_STEPS.get(word, 0))
        if word in PAINTING:
            self.paced.spend(max(frame - 1 - here, 0) * math.prod(self.image.size) // PAINTED)
        self.image.seek(frame - 1)

    def load(self) -> None:
        """Decode the frame that Pillow is at."""
        by_libtiff = any(tile[0] == "libtiff" for tile in self.image.tile)
        # a PNG's canvas before this frame, which Pillow paints over, and may go back to for the next
        canvas = getattr(self.image, "_prev_im", None) if self.image.format == "PNG" and self.image.tile else None
        before = None if canvas is None else canvas.copy()
        with _stderr_closed() if by_libtiff else nullcontext():
            self.image.load()
        if before is not None:
            self.image._prev_im = before  # type: ignore[attr-defined]


class _Gif(GifImagePlugin.GifImageFile):
    """Pillow takes a palette of all greys in their order for none, and loses what is transparent, and later frames."""

    def _is_palette_needed(self, p: bytes) -> bool:
        return True


@contextmanager
def opened(source: str | bytes | os.PathLike[str], name: str | None, limits: Limits | None) -> Iterator[Opened]:
    """Open a picture by its path or its bytes, and count its frames."""
    limits = (limits or Limits()).beside(source)
    if name is None and not isinstance(source, bytes):
        name = display(os.fspath(source))
    with _stream(source, name, limits) as stream:
        with _explained(name, b"", None, limits), _globals(limits):
            head = stream.read(HEAD_BYTES)
            if not head:
                raise InputError("is an empty file, expected a picture")
            paced = Paced(stream, head)
            if not head.startswith(BY_FRAME):
                limits.admit(paced.size, "what is in the file")
            check_tags(head, stream, limits)
        with _explained(name, head, None, limits), _globals(limits):
            gif = head.startswith(b"GIF8")
            image = _Gif(cast(BinaryIO, paced)) if gif else Image.open(cast(BinaryIO, paced), formats=FORMATS)
            paced.opened()
        with image:
            file = Opened(image, head, 1, name, limits, paced)
            with file.glass():
                file.frames = count_frames(image, Paced(stream, head))
            paced.allow(FRAME_STEPS * file.frames + PIXEL_STEPS.get(image.format or "", 0) * math.prod(image.size))
            yield file


@contextmanager
def _stream(source: str | bytes | os.PathLike[str], name: str | None, limits: Limits) -> Iterator[BinaryIO]:
    if isinstance(source, bytes):
        yield io.BytesIO(source)
        return
    try:
        mode = os.stat(source).st_mode
        if stat.S_ISDIR(mode):
            raise InputError("is a folder, expected a picture", name)
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            raise InputError("is a device, expected a picture", name)
        file = open(source, "rb")  # noqa: SIM115
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", name) from error
    except ValueError as error:
        raise InputError("cannot be read: its name holds a null byte", name) from error
    with file:
        if stat.S_ISREG(mode):
            yield file
            return
        data = file.read(limits.max_memory + 1)  # a pipe has no size to ask for, and cannot be rewound
        if len(data) > limits.max_memory:
            raise TooLarge(limits.too_long(), name)
        yield io.BytesIO(data)


@contextmanager
def _explained(name: str | None, head: bytes, word: str | None, limits: Limits, about: str = "") -> Iterator[None]:
    """The one place where an exception of Pillow becomes one line that says what was found."""
    try:
        yield
    except NmfcError as error:
        error.source = error.source or name
        raise
    except Image.DecompressionBombError as error:
        found = re.search(r"\((\d+) pixels", str(error))
        raise _too_large(int(found[1]) if found else 0, name, limits) from error
    except UnidentifiedImageError as error:
        raise InputError(_unknown(head), name) from error
    except MemoryError as error:
        raise TooLarge(f"{about}needs more memory than there is", name) from error
    except Exception as error:
        if (ours := _ours(error)) is not None:
            ours.source = ours.source or name
            raise ours from error
        words = re.sub(r"\bb(['\"])(.*?)\1", r"\2", str(error))  # text, not how Python writes bytes
        reason = " ".join(display(words).split())[:160] or type(error).__name__
        what = "truncated" if _is_cut(error, reason) else "broken"
        raise InputError(f"{about}{what} {word or _signature(head) or 'picture'} data ({reason})", name) from error


def _ours(error: BaseException | None) -> NmfcError | None:
    """The error of ours that a decoder made another of on the way, if there is one."""
    while error is not None and not isinstance(error, NmfcError):
        error = error.__cause__ or error.__context__
    return error


def _is_cut(error: Exception, reason: str) -> bool:
    return isinstance(error, EOFError) or re.search("truncated|not enough|only got", reason, re.I) is not None


def _too_large(pixels: int, name: str | None, limits: Limits) -> TooLarge:
    try:
        if pixels <= limits.max_pixels:
            limits.admit(pixels * WORK_BYTES, f"a picture of {pixels:,} pixels")
    except TooLarge as error:
        error.source = name
        return error
    return TooLarge(limits.too_many(pixels, f"{pixels:,} pixels"), name)


def _unknown(head: bytes) -> str:
    kind = describe(head[:HEAD])
    if kind is None and (word := _signature(head)):
        if word == "JPEG" and (bits := _jpeg_bits(head)) > 8:
            return f"has {bits} bits a channel (expected 8 in a JPEG: save it as PNG or TIFF)"
        return f"broken {word} data (its header cannot be read)"
    return f"is {kind or 'not a picture'}, expected a picture ({READS}) or an array archive (npz, npy, IDX, .mat)"


def _jpeg_bits(head: bytes) -> int:
    """How many bits a channel has, 0 where the first bytes of the file do not say."""
    place = 2
    while head[place : place + 1] == b"\xff":
        marker, length = head[place + 1 : place + 2], int.from_bytes(head[place + 2 : place + 4], "big")
        if b"\xc0" <= marker <= b"\xcf" and marker not in (b"\xc4", b"\xc8", b"\xcc"):
            return int.from_bytes(head[place + 4 : place + 5], "big")
        place += 2 + length
    return 0


def _signature(head: bytes) -> str | None:
    """The format that a file says it has in its first bytes."""
    if len(head) < 16:  # shorter than any header, and than what Pillow's own tests index into
        return None
    for word in FORMATS:
        accepts = Image.OPEN[word][1]
        if accepts is not None and accepts(head[:16]) is True:
            return word
    return None


_lock = threading.Lock()
_caps: list[int] = []  # the pixel limits of the threads behind the glass
_before: tuple[int | None, warnings.catch_warnings[None]] | None = None


@contextmanager
def _globals(limits: Limits) -> Iterator[None]:
    """Pillow's own pixel limit (it refuses twice its number) becomes ours, and its warnings are dropped."""
    global _before
    cap = max(min(limits.max_pixels, limits.max_memory // WORK_BYTES) + 1, 2) // 2
    with _lock:
        if _before is None:
            _before = Image.MAX_IMAGE_PIXELS, warnings.catch_warnings()
            _before[1].__enter__()
            warnings.simplefilter("ignore")
        _caps.append(cap)
        Image.MAX_IMAGE_PIXELS = max(_caps)
    try:
        yield
    finally:
        with _lock:
            _caps.remove(cap)
            if _caps:
                Image.MAX_IMAGE_PIXELS = max(_caps)
            elif _before is not None:
                Image.MAX_IMAGE_PIXELS = _before[0]
                _before[1].__exit__(None, None, None)
                _before = None


_stderr_lock = threading.Lock()


@contextmanager
def _stderr_closed() -> Iterator[None]:
    """libtiff writes its complaints to descriptor 2 by itself: point it at the null device meanwhile."""
    with _stderr_lock:
        saved = -1
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()
        with suppress(OSError):  # descriptor 2 closed: nothing to save
            saved = os.dup(2)
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 2)
            os.close(null)
        try:
            yield
        finally:
            if saved >= 0:
                os.dup2(saved, 2)
                os.close(saved)
