"""`.nmfc` files for Pillow: after `import nmfcompress.pillow` it opens and saves them as it does its own.

    import nmfcompress.pillow
    from PIL import Image

    with Image.open("digits.nmfc") as image:     # reads what the pictures are, and decodes none
        print(image.size, image.mode, image.n_frames)
        image.seek(5)                            # of a collection only what is looked at is decoded
        image.save("again.nmfc", min_psnr=40)

Opened, an image has the mode L, LA, RGB, RGBA, I;16 or F (floats, in their own range; what Pillow has no mode for, such
as 16 bits a channel of colour, comes in 8 bits), and in `info` what goes with it: icc_profile, exif, dpi, and of a
collection the name and the label of the frame.

Options of `save`, all of them keywords; without any it is arrangement patches, at a step that is good to look at:

rank : int
    Parts: 3 is a blur of a photo, 30 a likeness; see `nmfcompress.encode_image` and `encode_stack`.
min_psnr : float
    dB that the picture reaches: 30 is good, 40 hard to tell apart.
target_size : int
    Bytes that the file has at most.
step : float
    Of the quantizer, in grey levels: 20 is good, 50 typical, 150 a blur.
arrangement : {"rows", "patches", "stack", "bands"}
    The first two for one picture, the last three for several.
seed, jobs : int
    Of the random start; threads. The bytes do not depend on `jobs`.
icc_profile, exif, dpi : bytes, bytes or PIL.Image.Exif, (float, float)
    The profile is by default the image's own; EXIF and resolution are saved where they are given, as in Pillow's PNG.
save_all, append_images : bool, list of images
    One collection of all frames, which must have one size.

What cannot be identified is PIL.UnidentifiedImageError, what needs too much PIL.Image.DecompressionBombError (Pillow's
own limit on pixels, and half of the free memory), what is damaged, or cannot be saved so, OSError; wrong options are
ValueError. A file whose parts are in another one (`basis_from`) is identified and not decoded.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
from PIL import Image, ImageFile, ImageSequence

from .codec.collection import coded_stack
from .codec.container import MAGIC, VERSION, unpack
from .codec.header import Header, Meta
from .codec.image import coded_image
from .codec.opened import Glance, Opened, doubted, glance, open_container
from .codec.parts import NeedsOrigin
from .codec.pictured import in_range, range_of
from .codec.told import mode_of
from .errors import NmfcError, TooLarge, UsageError
from .images.files import display
from .images.levels import to_levels
from .images.limits import WORK_BYTES, Limits
from .images.picture import fitting_profile
from .images.pictures import channels
from .images.saving import eight_bits
from .settings import Coding

FORMAT, ENDING, MIME = "NMFC", ".nmfc", "image/x-nmfc"
OPTIONS = ("rank", "step", "min_psnr", "target_size", "arrangement", "seed", "jobs")
AHEAD_BYTES = 2**25  # of pixels that are decoded at a time of a collection whose frames are read one after the other
ALONE = ("rows", "patches")  # arrangements of which each picture is decoded by itself
EXIF_HEAD = b"Exif\0\0"
DENSEST = 10**6  # dots per inch: beyond is no resolution


class NmfcImageFile(ImageFile.ImageFile):
    """A `.nmfc` file: opened by its header, decoded frame by frame."""

    format = FORMAT
    format_description = "Non-negative matrix factorization"
    n_frames = 1
    is_animated = False
    _frame = 0
    _opened: Opened | None = None

    def _open(self) -> None:
        self._bytes = self._stream().seek(0, os.SEEK_END)
        with _explained(self._named, SyntaxError):
            found = glance(self._read, self._bytes, Limits())
        self._glance: Glance = found
        self._start, self._held = 0, np.empty((0, *found.header.shape[1:]), found.header.dtype)
        self._size = found.header.shape[2], found.header.shape[1]
        self._mode = _mode(found.header, self._alpha)
        self.n_frames = found.header.shape[0]
        self.is_animated = self.n_frames > 1
        meta = found.meta
        resolution = meta.dpi if meta.dpi is not None and all(0 < side < DENSEST for side in meta.dpi) else None
        beside = {"icc_profile": meta.icc, "exif": meta.exif if self.n_frames == 1 else None, "dpi": resolution}
        self.info.update((key, value) for key, value in beside.items() if value)
        self._go(0)

    @property
    def _named(self) -> str:
        return display(os.fsdecode(self.filename)) if self.filename else "NMFC file"

    @property
    def _alpha(self) -> np.ndarray | None:
        return self._glance.meta.alpha if self._glance.header.shape[0] == 1 else None

    def _stream(self) -> IO[bytes]:
        if self.fp is None:
            raise ValueError("Operation on closed image")
        return self.fp

    def _read(self, start: int, count: int) -> bytes:
        stream = self._stream()
        stream.seek(start)
        return stream.read(count)

    def seek(self, frame: int) -> None:
        """Go to a frame, counted from 0; none is decoded before it is looked at."""
        if self._seek_check(frame):
            self._go(frame)

    def _go(self, frame: int) -> None:
        self._frame = frame
        self.tile = [ImageFile._Tile("nmfc", (0, 0, *self.size), 0, None)]
        meta = self._glance.meta
        if meta.names:
            self.info["name"] = meta.names[frame]
        if meta.labels is not None:
            self.info["label"] = meta.labels[frame].item()

    def tell(self) -> int:
        """The frame it is at."""
        return self._frame

    def load(self) -> Any:
        """Decode the frame it is at, if it was not yet."""
        if self.tile:
            if self._opened is None:
                self._stream()  # which may be closed
            with _explained(self._named, OSError), doubted():
                shown = _image(self._pixels(), self._glance.header, self._alpha)
            self.im, self.readonly, self.tile = shown.im, shown.readonly, []
        return Image.Image.load(self)

    def _pixels(self) -> np.ndarray:
        """The frame's own. Frames that are read in turn are decoded several together, twice as many each time."""
        opened = self._whole()
        behind = self._start + len(self._held)
        if not self._start <= self._frame < behind:
            count = 1
            if self._frame == behind and opened.container.mode not in ALONE:
                fit = AHEAD_BYTES // (opened.header.pixels * opened.header.dtype.itemsize)
                count = max(1, min(2 * len(self._held), fit, self.n_frames - self._frame))
            wanted = np.arange(self._frame, self._frame + count)
            self._start, self._held = self._frame, opened.pictures(wanted, limits=Limits())
        pixels: np.ndarray = self._held[self._frame - self._start]
        return pixels

    def _whole(self) -> Opened:
        """All of the file, whose checksums are looked at once; nothing is read of it after that."""
        if self._opened is None:
            limits = Limits()
            limits.admit(self._bytes, f"reading {self._bytes:,} bytes")
            opened = open_container(self._read(0, self._bytes + 1), limits)
            if (opened.container.mode, opened.header) != (self._glance.mode, self._glance.header):
                raise OSError(f"{self._named}: is another file than when it was opened")
            self._opened = opened
            if self._exclusive_fp:
                self._stream().close()
            self.fp = None
        return self._opened

    def close(self) -> None:
        """Let go of the file and of what was decoded."""
        self._opened = None
        super().close()

    def verify(self) -> None:
        """Look at every checksum, and close the file; see `nmfc verify` for whether all can be decoded too."""
        if self.fp is not None:
            with _explained(self._named, OSError):
                Limits().admit(self._bytes, f"reading {self._bytes:,} bytes")
                unpack(self._read(0, self._bytes + 1))
        super().verify()


def _mode(header: Header, alpha: np.ndarray | None) -> str:
    """Pillow's mode for such pictures."""
    if len(header.shape) == 3 and header.dtype != np.uint8:
        return "F" if header.dtype.kind == "f" else "I;16"
    return mode_of(header.shape, alpha is not None)


def _image(pixels: np.ndarray, header: Header, alpha: np.ndarray | None) -> Image.Image:
    """Pixels (h, w) or (h, w, c) in that mode."""
    if _mode(header, alpha) == "F":
        with np.errstate(over="ignore"):  # of a range that only a float64 holds
            return Image.fromarray(in_range(pixels, header).astype(np.float32))
    if pixels.ndim == 2 and pixels.dtype == np.uint16:
        return Image.fromarray(pixels.astype("<u2"))
    shown = eight_bits(pixels)
    if alpha is not None and shown.shape[2:] in ((), (3,)):
        shown = np.dstack([shown, alpha])
    return Image.fromarray(np.ascontiguousarray(shown))


@contextmanager
def _explained(name: str, kind: type[Exception]) -> Iterator[None]:
    """Our errors as Pillow's users expect them: `kind` for all but wrong options and what needs too much."""
    try:
        yield
    except UsageError:
        raise
    except NeedsOrigin as error:
        where = "its parts are in another file (nmfcompress.decode_stack reads it, with basis_from)"
        raise kind(f"{name}: {where}") from error
    except TooLarge as error:
        needs = error.message.partition(", max_memory is")[0]
        half = ", more than half of the free memory" if needs != error.message else ""
        raise Image.DecompressionBombError(f"{name}: {needs}{half}") from error
    except NmfcError as error:
        raise kind(f"{name}: {error.message}") from error


def _accept(prefix: bytes) -> bool | str:
    if not prefix.startswith(MAGIC):
        return False
    version = prefix[len(MAGIC) : len(MAGIC) + 1]
    if version and version[0] > VERSION:
        return f"is a .nmfc file of version {version[0]}, later than the {VERSION} that this nmfcompress reads"
    return True


# Saving


def _save(image: Image.Image, stream: IO[bytes], filename: str | bytes) -> None:
    _write([image], image, stream, filename)


def _save_all(image: Image.Image, stream: IO[bytes], filename: str | bytes) -> None:
    place = image.tell()
    more: Iterable[Image.Image] = image.encoderinfo.get("append_images", ())
    try:
        frames = (frame for one in (image, *more) for frame in ImageSequence.Iterator(one))
        _write(frames, image, stream, filename)
    finally:
        image.seek(place)


def _write(frames: Iterable[Image.Image], image: Image.Image, stream: IO[bytes], filename: str | bytes) -> None:
    """The file of these frames, as the options in `image.encoderinfo` say."""
    said = image.encoderinfo
    options: dict[str, Any] = {key: said[key] for key in OPTIONS if said.get(key) is not None}
    with _explained(display(os.fsdecode(filename)) if filename else "NMFC file", OSError):
        several, alphas = _gathered(frames)
        single = len(several) == 1
        if single and not options.keys() & {"rank", "step", "min_psnr", "target_size"}:
            options.setdefault("arrangement", "patches")
        pixels, levels = to_levels(several[0] if single else several, stack=not single)
        if not single and alphas is not None:
            pixels = np.concatenate([pixels.reshape(*alphas.shape, -1), alphas[..., None]], axis=3)
        meta = Meta(
            icc=fitting_profile(said.get("icc_profile", image.info.get("icc_profile")), several.ndim == 4, []),
            exif=_exif(said.get("exif")) if single else None,
            dpi=_resolution(said.get("dpi")),
            alpha=alphas[0] if single and alphas is not None else None,
            mode=image.mode,
        )
        shape = (1, *pixels.shape) if single else pixels.shape
        header = Header(shape, pixels.dtype, *range_of(levels, pixels.dtype), single=single)
        limits = Limits()
        limits.admit(pixels.size * (WORK_BYTES if single else 1), f"saving {shape[2]} x {shape[1]} x {shape[0]}")

        def admit(nbytes: int) -> None:
            limits.admit(pixels.nbytes + nbytes, f"saving {shape[2]} x {shape[1]} x {shape[0]}")

        coding = Coding(**{"rank": None, **options})
        if single:
            made = coded_image(pixels, coding, meta, header, admit=admit)
        else:
            made = coded_stack(pixels, coding, meta, header, admit=admit)
    stream.write(made.data)


def _gathered(frames: Iterable[Image.Image]) -> tuple[np.ndarray, np.ndarray | None]:
    """The values of all frames, (n, h, w) or (n, h, w, 3), and where one has it their alpha, (n, h, w).

    Raises
    ------
    OSError
        They differ in size, or in type.
    """
    found = [_values(frame) for frame in frames]
    first = found[0][0]
    colour = any(values.ndim == 3 for values, _ in found)
    for place, (values, _) in enumerate(found):
        if values.shape[:2] != first.shape[:2] or values.dtype != first.dtype:
            said = [f"{x.shape[1]} x {x.shape[0]} {x.dtype}" for x in (first, values)]
            raise OSError(f"frame {place} is {said[1]}, the first {said[0]} (expected one size and type)")
    several = np.stack([np.stack([x] * 3, axis=2) if colour and x.ndim == 2 else x for x, _ in found])
    if all(alpha is None for _, alpha in found):
        return several, None
    return several, np.stack([np.full(first.shape[:2], 255, np.uint8) if a is None else a for _, a in found])


def _values(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """Values (h, w) or (h, w, 3), and alpha (h, w)."""
    if image.has_transparency_data and image.mode in ("1", "L", "I", "RGB"):  # one transparent colour
        image = image.convert("RGBA" if image.mode == "RGB" else "LA")
    values, alpha = channels(image, "", 1, [])
    return np.array(values), alpha


def _exif(said: Any) -> bytes | None:
    """EXIF with its prefix."""
    raw = said.tobytes() if isinstance(said, Image.Exif) else said or b""
    if not isinstance(raw, bytes):
        raise UsageError(f"exif is {type(raw).__name__} (expected bytes, or a PIL.Image.Exif)")
    return None if not raw else raw if raw.startswith(EXIF_HEAD) else EXIF_HEAD + raw


def _resolution(said: Any) -> tuple[float, float] | None:
    """Dots per inch, across and down."""
    if said is None:
        return None
    try:
        across, down = (float(side) for side in said)
    except (TypeError, ValueError):
        raise UsageError(f"dpi is {said!r} (expected two numbers, across and down)") from None
    return across, down


def register() -> None:
    """Make Pillow open and save `.nmfc` files; importing this module has done it already, and again does no harm."""
    Image.register_open(FORMAT, NmfcImageFile, _accept)
    Image.register_save(FORMAT, _save)
    Image.register_save_all(FORMAT, _save_all)
    Image.register_extension(FORMAT, ENDING)
    Image.register_mime(FORMAT, MIME)


register()
