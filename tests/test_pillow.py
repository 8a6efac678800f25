"""Pillow with `.nmfc` files: what it opens is what decode_image and decode_stack give, and what is wrong with a file is
said as Pillow's users expect it."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageSequence, UnidentifiedImageError

import nmfcompress.pillow
from nmfcompress import decode_image, decode_stack, encode_image, encode_stack, psnr
from nmfcompress.codec.container import MAGIC, unpack
from nmfcompress.codec.header import Header, Meta
from nmfcompress.codec.opened import Opened

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def tones(*shape: int, seed: int = 0) -> np.ndarray:
    """Smooth pictures, uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    planes = [120 + 90 * np.sin(x / (3 + c) + seed) * np.cos(y / (5 + c)) for c in range(shape[2] if shape[2:] else 1)]
    values = np.clip(np.rint(np.stack(planes, axis=2) + rng.normal(0, 2, (*shape[:2], 1))), 0, 255).astype(np.uint8)
    return values if shape[2:] else values[..., 0]


def collection(n: int, *shape: int) -> np.ndarray:
    return np.stack([tones(*shape, seed=seed) for seed in range(n)])


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def saved(image: Image.Image, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "NMFC", **options)
    return stream.getvalue()


SINGLE = {
    "rows": lambda: encode_image(tones(24, 36), rank=3),
    "rows, colour": lambda: encode_image(tones(24, 36, 3), rank=3),
    "patches": lambda: encode_image(tones(24, 36, 3), step=20.0),
    "16 bits": lambda: encode_image(tones(24, 36).astype(np.uint16) * 257, rank=4),
    "grey and alpha": lambda: encode_image(tones(24, 36, 2), rank=4, arrangement="rows"),
    "colour and alpha": lambda: encode_image(tones(24, 36, 4), rank=4, arrangement="rows"),
}
SEVERAL = {
    "stack": lambda: encode_stack(collection(30, 16, 20), rank=4, arrangement="stack"),
    "stack, colour": lambda: encode_stack(collection(12, 16, 20, 3), rank=4, arrangement="stack"),
    "stack, colour and alpha": lambda: encode_stack(collection(12, 16, 20, 4), rank=4, arrangement="stack"),
    "bands": lambda: encode_stack(collection(12, 16, 20), rank=2, arrangement="bands"),
    "patches": lambda: encode_stack(collection(3, 16, 20), step=20.0, arrangement="patches"),
}


@pytest.mark.parametrize("make", SINGLE.values(), ids=SINGLE)
def test_a_picture_is_what_decode_image_gives(make: Callable[[], bytes]) -> None:
    data = make()
    image, pixels = opened(data), decode_image(data)
    assert image.format == "NMFC"
    assert image.size == pixels.shape[1::-1]
    assert (image.n_frames, image.is_animated) == (1, False)
    before = image.mode
    assert np.array_equal(np.asarray(image), pixels)
    assert image.mode == before


@pytest.mark.parametrize("make", SEVERAL.values(), ids=SEVERAL)
def test_frames_are_what_decode_stack_gives_in_any_order(make: Callable[[], bytes]) -> None:
    data = make()
    image, pixels = opened(data), decode_stack(data)
    assert (image.n_frames, image.is_animated) == (len(pixels), True)
    assert np.array_equal(np.stack([np.asarray(frame) for frame in ImageSequence.Iterator(image)]), pixels)
    for frame in (2, 0, len(pixels) - 1, 1):
        image.seek(frame)
        assert image.tell() == frame
        assert np.array_equal(np.asarray(image), pixels[frame])
    for beyond in (-1, len(pixels)):
        with pytest.raises(EOFError):
            image.seek(beyond)


def test_what_pillow_has_no_mode_for_comes_in_8_bits() -> None:
    deep = tones(24, 36, 3).astype(np.uint16) * 257
    data = encode_image(deep, rank=6)
    image = opened(data)
    assert image.mode == "RGB"
    assert np.abs(np.asarray(image).astype(int) - np.rint(decode_image(data) / 257)).max() <= 1
    assert opened(encode_image((deep / 65535).astype(np.float32), rank=6)).mode == "RGB"


def test_floats_come_back_in_their_own_range() -> None:
    values = (tones(24, 36) * 3.5 + 100).astype(np.float32)
    again = opened(saved(Image.fromarray(values), min_psnr=40))
    assert again.mode == "F"
    assert np.abs(np.asarray(again) - values).max() < 0.05 * (values.max() - values.min())
    within = (tones(24, 36) / 255).astype(np.float32)
    assert np.abs(np.asarray(opened(saved(Image.fromarray(within), min_psnr=40))) - within).max() < 0.05


def test_open_reads_no_more_than_the_header_and_what_goes_with_it(tmp_path: Path) -> None:
    data = encode_stack(collection(200, 16, 20), rank=40, arrangement="stack", meta=Meta(labels=np.arange(200)))

    class Counted(io.BytesIO):
        got = 0

        def read(self, size: int | None = -1, /) -> bytes:
            found = super().read(size)
            self.got += len(found)
            return found

    stream = Counted(data)
    image = Image.open(stream)
    assert (image.size, image.mode, image.n_frames) == ((20, 16), "L", 200)
    assert stream.got < len(data) / 2
    image.load()
    assert stream.got > len(data)


def test_only_what_is_looked_at_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode_stack(collection(64, 16, 20), rank=4, arrangement="stack")
    decoded: list[int] = []
    whole = Opened.pictures

    def counting(self: Opened, index: np.ndarray, *args: Any, **options: Any) -> np.ndarray:
        decoded.extend(index.tolist())
        return whole(self, index, *args, **options)

    monkeypatch.setattr(Opened, "pictures", counting)
    image = opened(data)
    image.seek(40)
    image.seek(9)
    assert not decoded
    image.load()
    assert decoded == [9]
    decoded.clear()
    for frame in ImageSequence.Iterator(image):
        frame.load()
    assert sorted(set(decoded)) == list(range(64)) == decoded  # each once
    assert len(decoded) == 64


def test_saving_takes_the_options_of_the_encoders() -> None:
    pixels = tones(48, 64, 3)
    image = Image.fromarray(pixels)
    assert saved(image, rank=3) == encode_image(pixels, rank=3, meta=Meta(mode="RGB"))
    assert saved(image, step=40.0) == encode_image(pixels, step=40.0, meta=Meta(mode="RGB"))
    assert psnr(pixels, np.asarray(opened(saved(image, min_psnr=28)))) >= 28  # type: ignore[operator]
    assert len(saved(image, target_size=1500)) <= 1500
    assert unpack(saved(image)).mode == "patches"
    assert unpack(saved(image, rank=5, arrangement="rows")).mode == "rows"


def test_the_same_image_gives_the_same_bytes() -> None:
    image = Image.fromarray(tones(32, 40, 3))
    assert saved(image) == saved(image.copy()) == saved(image, jobs=1)
    frames = [Image.fromarray(one) for one in collection(20, 16, 20)]
    options = {"save_all": True, "append_images": frames[1:], "rank": 4}
    assert saved(frames[0], **options) == saved(frames[0], **options, jobs=2)


def test_frames_become_one_collection(tmp_path: Path) -> None:
    images = collection(20, 16, 20)
    frames = [Image.fromarray(one) for one in images]
    data = saved(frames[0], save_all=True, append_images=frames[1:], rank=5, arrangement="stack")
    assert data == encode_stack(images, rank=5, arrangement="stack", meta=Meta(mode="L"))
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    with Image.open(tmp_path / "a.tif") as pages:  # the frames of one image, and back where it was
        pages.seek(3)
        assert saved(pages, save_all=True, rank=5, arrangement="stack") == data
        assert pages.tell() == 3
        assert opened(saved(pages)).n_frames == 1  # without save_all only that one


def test_a_collection_may_be_saved_over_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.nmfc"
    path.write_bytes(encode_stack(collection(20, 16, 20), rank=5, arrangement="stack"))
    with Image.open(path) as image:
        image.save(path, save_all=True, rank=3, arrangement="stack")
    with Image.open(path) as image:
        assert image.n_frames == 20


def test_frames_with_and_without_colour_and_alpha_go_together() -> None:
    grey, colour = Image.fromarray(tones(16, 20)), Image.fromarray(tones(16, 20, 3))
    assert opened(saved(grey, save_all=True, append_images=[colour] * 3)).mode == "RGB"
    colour.putalpha(100)
    assert opened(saved(grey, save_all=True, append_images=[colour] * 3)).mode == "RGBA"


MODES = {"1": "L", "L": "L", "LA": "LA", "La": "LA", "P": "RGB", "PA": "LA", "RGB": "RGB", "RGBA": "RGBA",
         "RGBa": "RGBA", "CMYK": "RGB", "YCbCr": "RGB", "HSV": "RGB", "I;16": "I;16", "I": "I;16",
         "F": "F"}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_can_be_saved(mode: str) -> None:
    image = Image.fromarray(tones(24, 36, 3))
    if mode in ("La", "PA"):
        image = image.convert("LA")
    elif mode == "RGBa":
        image = image.convert("RGBA")
    elif mode == "I;16":
        image = Image.fromarray(tones(24, 36).astype(np.uint16) * 200)
    if image.mode != mode:
        image = image.convert(mode)
    again = opened(saved(image))
    assert again.mode == MODES[mode]
    assert again.size == image.size
    again.load()


def test_transparency_is_kept_as_it_is() -> None:
    image = Image.fromarray(tones(24, 36, 3))
    alpha = tones(24, 36, seed=3)
    image.putalpha(Image.fromarray(alpha))
    assert np.array_equal(np.asarray(opened(saved(image, step=100.0)))[..., 3], alpha)
    grey = Image.fromarray(tones(24, 36))
    grey.info["transparency"] = 120  # one grey level, as in GIF and PNG
    shown = np.asarray(opened(saved(grey)))
    assert np.array_equal(shown[..., 1] == 0, np.asarray(grey) == 120)


def test_what_goes_with_a_picture_arrives() -> None:
    tags = Image.Exif()
    tags[0x010F] = "Maker"
    image = Image.fromarray(tones(24, 36, 3))
    again = opened(saved(image, icc_profile=SRGB, exif=tags, dpi=(72, 96)))
    assert again.info["icc_profile"] == SRGB
    assert again.info["dpi"] == (72, 96)
    assert again.getexif()[0x010F] == "Maker"
    kept = opened(saved(again))
    assert kept.info == {"icc_profile": SRGB}  # as Pillow's other formats do
    assert opened(saved(again, icc_profile=None)).info == {}
    assert opened(saved(Image.fromarray(tones(24, 36)), icc_profile=SRGB)).info == {}  # not for grey
    raw = tags.tobytes()
    assert opened(saved(image, exif=raw)).info["exif"] == opened(saved(image, exif=raw[6:])).info["exif"]


def test_names_and_labels_are_those_of_the_frame() -> None:
    meta = Meta(names=("a.png", "b.png", "c.png"), labels=np.array([5, 6, 7]))
    image = opened(encode_stack(collection(3, 16, 20), rank=2, arrangement="stack", meta=meta))
    assert image.info == {"name": "a.png", "label": 5}
    image.seek(2)
    assert image.info == {"name": "c.png", "label": 7}
    words = Meta(labels=np.array(["x", "y", "z"]))
    assert opened(encode_stack(collection(3, 16, 20), rank=2, arrangement="stack", meta=words)).info == {"label": "x"}


# What is wrong


@pytest.fixture(scope="module")
def stack_file() -> bytes:
    meta = Meta(labels=np.arange(30), names=tuple(f"{i}.png" for i in range(30)))
    return encode_stack(collection(30, 16, 20), rank=4, arrangement="stack", meta=meta)


def all_that_a_reader_does(data: bytes) -> None:
    """Raises nothing but what Pillow's users expect."""
    with suppress(OSError, Image.DecompressionBombError), opened(data) as image:
        image.load()
        image.seek(image.n_frames - 1)
        image.load()


def test_a_file_that_is_cut_off_or_damaged_is_an_oserror(stack_file: bytes) -> None:
    for cut in range(0, len(stack_file), 7):
        with pytest.raises(OSError):  # noqa: PT011 - UnidentifiedImageError, or plain
            opened(stack_file[:cut]).load()
    for place in range(0, len(stack_file), 7):  # none of them in the version, which has words of its own
        wrong = bytearray(stack_file)
        wrong[place] ^= 16
        with pytest.raises(OSError), opened(bytes(wrong)) as image:  # noqa: PT011
            image.load()
        with pytest.raises(OSError), opened(bytes(wrong)) as image:  # noqa: PT011
            image.verify()


def test_what_only_begins_like_one_is_not_identified() -> None:
    for data in (MAGIC, MAGIC + b"\1", MAGIC + bytes(100), b"\x93NUMPY" + bytes(100), MAGIC + b"\1\2\3"):
        with pytest.raises(UnidentifiedImageError):
            opened(data)


def test_a_later_version_is_told(stack_file: bytes) -> None:
    later = stack_file[:5] + b"\2" + stack_file[6:]
    with pytest.warns(UserWarning, match="version 2, later than the 1"), pytest.raises(UnidentifiedImageError):
        opened(later)


def test_a_damaged_file_is_named_with_what_is_wrong(tmp_path: Path, stack_file: bytes) -> None:
    wrong = bytearray(stack_file)
    wrong[len(wrong) // 3] ^= 1
    path = tmp_path / "a.nmfc"
    path.write_bytes(wrong)
    with Image.open(path) as image, pytest.raises(OSError, match=r"a\.nmfc: is damaged: the checksum of its section"):
        image.load()


def with_head(data: bytes, shape: tuple[int, ...]) -> bytes:
    """The same file, whose header claims other sides, with right checksums."""
    from nmfcompress.codec.container import pack

    container = unpack(data)
    sides = b"".join(_varint(side) for side in (*shape, 1)[:4])
    return pack(container.mode, container.sections | {"head": container.sections["head"][:1] + sides, "meta": b""})


def _varint(value: int) -> bytes:
    from nmfcompress.codec.container import varint

    return varint(value)


@pytest.mark.parametrize("shape", [(1, 2**16, 2**15), (1, 2**27, 2**27), (2**50, 9, 9), (9, 20000, 20000)])
def test_a_bomb_is_refused_before_anything_is_made(stack_file: bytes, shape: tuple[int, ...]) -> None:
    import tracemalloc

    data = with_head(stack_file, shape)
    tracemalloc.start()
    with pytest.raises(Image.DecompressionBombError):
        opened(data)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


def test_pillows_limit_on_pixels_is_heeded(monkeypatch: pytest.MonkeyPatch, stack_file: bytes) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(Image.DecompressionBombError):
        opened(stack_file)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
    with pytest.warns(Image.DecompressionBombWarning):
        opened(stack_file)


def test_memory_is_bounded_without_that_limit(monkeypatch: pytest.MonkeyPatch, stack_file: bytes) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    monkeypatch.setattr("nmfcompress.images.limits.free_memory", lambda: 2**28)
    data = with_head(stack_file, (30, 2**14, 2**14))
    with pytest.raises(Image.DecompressionBombError, match="more than half of the free memory") as told:
        opened(data).load()
    assert "max_memory" not in str(told.value)


def test_meta_that_inflates_beyond_measure_is_refused(stack_file: bytes) -> None:
    from nmfcompress.codec.container import pack

    container = unpack(stack_file)
    bomb = zlib.compress(bytes(2**27), 9)
    with pytest.raises((UnidentifiedImageError, Image.DecompressionBombError)):
        opened(pack(container.mode, container.sections | {"meta": bomb}))


@pytest.mark.parametrize("name", [*SINGLE, *SEVERAL])
def test_mutations_with_right_checksums_end_in_errors_of_pillow(name: str) -> None:
    """A few here; the codec behind it has campaigns of its own."""
    from nmfcompress.codec.container import pack

    container, rng = unpack(({**SEVERAL, **SINGLE})[name]()), np.random.default_rng(1)
    for section, content in container.sections.items():
        for _ in range(12):
            wrong = bytearray(content)
            wrong[rng.integers(len(wrong))] ^= 1 << rng.integers(8)
            all_that_a_reader_does(pack(container.mode, container.sections | {section: bytes(wrong)}))


def test_a_file_that_was_changed_after_it_was_opened_is_found(tmp_path: Path, stack_file: bytes) -> None:
    path = tmp_path / "a.nmfc"
    path.write_bytes(stack_file)
    with Image.open(path) as image:
        path.write_bytes(encode_image(tones(24, 36), rank=3))
        with pytest.raises(OSError, match=r"another file|damaged|cut off|behind its end"):
            image.load()


def test_a_file_whose_parts_are_in_another_is_identified_and_says_so(stack_file: bytes) -> None:
    image = opened(encode_stack(collection(30, 16, 20), basis_from=stack_file))
    assert image.n_frames == 30
    with pytest.raises(OSError, match="basis_from"):
        image.load()


def test_wrong_options_are_value_errors_and_leave_nothing(tmp_path: Path) -> None:
    image = Image.fromarray(tones(24, 36))
    path = tmp_path / "a.nmfc"
    for options in (
        {"rank": 0}, {"min_psnr": "high"}, {"min_psnr": 20, "target_size": 9}, {"arrangement": "none"}, {"dpi": 5},
        {"dpi": (1, "x")}, {"exif": "x"},
    ):  # fmt: skip
        with pytest.raises(ValueError, match="expected"):
            image.save(path, **options)
    for options in ({"target_size": 10}, {"min_psnr": 199, "rank": 1, "arrangement": "rows"}):
        with pytest.raises(OSError, match=r"a\.nmfc: .*(cannot|best)"):
            image.save(path, **options)
    with pytest.raises(OSError, match=r"frame 1 is 24 x 36 uint8, the first 36 x 24"):
        image.save(path, save_all=True, append_images=[image.transpose(Image.Transpose.TRANSPOSE)])
    assert not path.exists()


def test_verify_finds_nothing_wrong_with_a_whole_file(stack_file: bytes) -> None:
    opened(stack_file).verify()


def test_a_closed_image_says_so(stack_file: bytes) -> None:
    image = opened(stack_file)
    image.close()
    with pytest.raises(ValueError, match="closed"):
        image.load()


def test_an_image_can_be_pickled_and_copied(stack_file: bytes) -> None:
    image = opened(stack_file)
    image.seek(3)
    for again in (pickle.loads(pickle.dumps(image)), image.copy()):
        assert np.array_equal(np.asarray(again), decode_stack(stack_file, index=3)[0])


# At home


def test_registering_twice_changes_nothing() -> None:
    before = list(Image.ID), dict(Image.OPEN), dict(Image.SAVE), dict(Image.EXTENSION)
    nmfcompress.pillow.register()
    assert before == (list(Image.ID), dict(Image.OPEN), dict(Image.SAVE), dict(Image.EXTENSION))
    assert Image.EXTENSION[".nmfc"] == "NMFC"
    assert Image.MIME["NMFC"] == "image/x-nmfc"


def test_it_is_the_import_that_registers(tmp_path: Path) -> None:
    path = tmp_path / "a.nmfc"
    path.write_bytes(encode_image(tones(24, 36), rank=3))
    code = (
        "import sys; from PIL import Image, UnidentifiedImageError\n"
        "import nmfcompress; nmfcompress.read_image\n"
        "try: Image.open(sys.argv[1])\n"
        "except UnidentifiedImageError: print('unknown')\n"
        "import nmfcompress.pillow\n"
        "import PIL; assert 'nmfcompress' not in PIL.__file__\n"
        "with Image.open(sys.argv[1]) as image: print(image.size)\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code, path], capture_output=True, text=True, timeout=60)
    assert done.stdout.split("\n")[:2] == ["unknown", "(36, 24)"], done.stderr


def test_imageio_reads_and_writes_it(tmp_path: Path) -> None:
    iio = pytest.importorskip("imageio.v3")
    images, pixels = collection(12, 16, 20), tones(24, 36, 3)
    iio.imwrite(tmp_path / "a.nmfc", pixels, min_psnr=30)
    assert psnr(pixels, iio.imread(tmp_path / "a.nmfc")) >= 30
    iio.imwrite(tmp_path / "b.nmfc", images, is_batch=True, rank=4)
    again = iio.imread(tmp_path / "b.nmfc", index=...)
    assert np.array_equal(again, decode_stack((tmp_path / "b.nmfc").read_bytes()))
    assert np.array_equal(iio.imread(tmp_path / "b.nmfc", index=7), again[7])
    assert iio.improps(tmp_path / "b.nmfc", index=...).shape == images.shape


def test_header_is_the_one_of_the_codec() -> None:
    """The mode that is promised before decoding is that of the frame, for every shape and type there is."""
    for dtype in (np.uint8, np.uint16, np.float32, np.float64):
        for shape in ((1, 8, 9), (1, 8, 9, 2), (1, 8, 9, 3), (1, 8, 9, 4)):
            header = Header(shape, np.dtype(dtype), single=True)
            pixels = np.zeros(shape[1:], dtype)
            for alpha in (None, np.zeros((8, 9), np.uint8)):
                shown = nmfcompress.pillow._image(pixels, header, alpha)
                assert shown.mode == nmfcompress.pillow._mode(header, alpha)
                assert shown.size == (9, 8)
