"""Write the golden files of the format: small containers, and what they decode to.

    python tests/golden/make.py

Files that are there already are never changed: what a version of nmfc has written, every later one reads. A file that
is missing is made, and its line in golden.json with it. Files of a new version of the format get new names.
"""

from __future__ import annotations

import hashlib
import json
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from nmfcompress.codec.collection import coded_stack, decode_stack, encode_stack
from nmfcompress.codec.container import MAGIC, SECTIONS, pack, unpack, varint
from nmfcompress.codec.header import Header, Meta
from nmfcompress.codec.image import coded_image, encode_image
from nmfcompress.codec.opened import open_container
from nmfcompress.errors import NmfcError
from nmfcompress.factor import factorize
from nmfcompress.images.arrange import arrange_rows
from nmfcompress.settings import Coding

HERE = Path(__file__).parent
LIST = HERE / "golden.json"
PEAKS = {"uint8": 255, "uint16": 65535, "float32": 1, "float64": 1}


def as_type(V: np.ndarray, dtype: str) -> np.ndarray:
    V = np.clip(V, 0, 1) * PEAKS[dtype]
    return (np.rint(V) if PEAKS[dtype] > 1 else V).astype(dtype)


def picture(h: int = 24, w: int = 20, dtype: str = "uint8", colour: bool = False) -> np.ndarray:
    y, x = np.mgrid[:h, :w]
    V = 0.5 + 0.3 * np.sin(x / 5) * np.cos(y / 4) + 0.2 * (x > y)
    return as_type(np.stack([V, V[::-1], V**2], axis=2) if colour else V, dtype)


def collection(n: int = 40, side: int = 6, dtype: str = "uint8", colour: bool = False) -> np.ndarray:
    rng = np.random.default_rng(7)
    H = rng.random((4, side, side, 3) if colour else (4, side, side)) ** 3
    codes = (rng.random((n, 4)) < 0.4) * rng.integers(1, 3, (n, 4))
    return as_type(np.tensordot(codes, H, 1) * 0.5, dtype)


def stack(images: np.ndarray, rank: int = 4, **options: object) -> bytes:
    return encode_stack(images, rank=rank, arrangement="stack", jobs=1, **options)  # type: ignore[arg-type]


def named(n: int) -> Meta:
    return Meta(names=tuple(f"földer/{i:02}.png" for i in range(n)), labels=np.arange(n) % 5, indices=3 * np.arange(n))


def photographed() -> Meta:
    return Meta(icc=b"profile" * 9, exif=b"Exif\0\0MM", dpi=(300, 300), alpha=picture() // 2, mode="LA")


def own_range() -> bytes:
    pixels = picture(dtype="float32")
    header = Header((1, *pixels.shape), pixels.dtype, -40.25, 1e6, single=True)
    return coded_image(pixels, Coding(rank=3, arrangement="rows", jobs=1), header=header).data


def collection_range(arrangement: str) -> bytes:
    """Floats that were scaled by their own range."""
    images = collection(12, dtype="float64") if arrangement == "stack" else frames("float64")
    header = Header(images.shape, images.dtype, 0.125, 4000.5)
    return coded_stack(images, Coding(rank=2, arrangement=arrangement, jobs=1), header=header).data


def channels(count: int, dtype: str = "uint8") -> np.ndarray:
    """A picture of 2 or 4 channels, as arrays may have them."""
    return np.dstack([picture(dtype=dtype)] * (count - 1) + [picture(dtype=dtype)[::-1]])


def patches(pixels: np.ndarray, meta: Meta | None = None, **options: object) -> bytes:
    return encode_image(pixels, arrangement="patches", meta=meta, jobs=1, **options)  # type: ignore[arg-type]


def several(images: np.ndarray, meta: Meta | None = None, **options: object) -> bytes:
    """A collection whose pictures have a stream each."""
    how = options or {"step": 40.0}
    return encode_stack(images, arrangement="patches", meta=meta, jobs=1, **how)  # type: ignore[arg-type]


def several_pictures(dtype: str = "uint8", colour: bool = False) -> np.ndarray:
    one = picture(dtype=dtype, colour=colour)
    return np.stack([one, one[::-1], PEAKS[dtype] - one])


def bands(images: np.ndarray, meta: Meta | None = None, **options: object) -> bytes:
    return encode_stack(images, arrangement="bands", meta=meta, jobs=1, **options)  # type: ignore[arg-type]


def masked() -> bytes:
    known = np.ones((24, 20), bool)
    known[5:9, 3:15] = False
    fit = factorize(arrange_rows(picture()), 3, mask=known, rng=0, jobs=1, max_sweeps=20)
    return coded_image(picture(), Coding(rank=3, arrangement="rows", jobs=1), fit=fit, mask=known).data


TRAIN = "v1-stack.nmfc"
GOOD: dict[str, Callable[[], bytes]] = {
    TRAIN: lambda: stack(collection()),
    "v1-stack-fine.nmfc": lambda: stack(collection(), step=1.5),
    "v1-stack-uint16.nmfc": lambda: stack(collection(dtype="uint16")),
    "v1-stack-float32.nmfc": lambda: stack(collection(dtype="float32")),
    "v1-stack-float64.nmfc": lambda: stack(collection(dtype="float64")),
    "v1-stack-colour.nmfc": lambda: stack(collection(colour=True)),
    "v1-stack-one.nmfc": lambda: stack(collection(1)),
    "v1-stack-black.nmfc": lambda: stack(np.zeros((5, 4, 3), np.uint8)),
    "v1-stack-chunks.nmfc": lambda: stack(collection(2049, side=4), rank=2, step=20.0),
    "v1-stack-meta.nmfc": lambda: stack(collection(30), meta=named(30)),
    "v1-stack-words.nmfc": lambda: stack(collection(6), meta=Meta(labels=np.array(["cat", "dog", ""] * 2))),
    "v1-stack-from.nmfc": lambda: encode_stack(collection(60)[40:], basis_from=(HERE / TRAIN).read_bytes(), jobs=1),
    "v1-rows.nmfc": lambda: encode_image(picture(), rank=3, jobs=1),
    "v1-rows-colour.nmfc": lambda: encode_image(picture(colour=True), rank=3, jobs=1),
    "v1-rows-uint16.nmfc": lambda: encode_image(picture(dtype="uint16"), rank=3, jobs=1),
    "v1-rows-float64.nmfc": lambda: encode_image(picture(dtype="float64"), rank=3, jobs=1),
    "v1-rows-range.nmfc": own_range,
    "v1-rows-meta.nmfc": lambda: encode_image(picture(), rank=2, meta=photographed(), jobs=1),
    "v1-rows-pixel.nmfc": lambda: encode_image(np.array([[200]], np.uint8), rank=1, jobs=1),
    "v1-patches.nmfc": lambda: encode_image(picture(), step=40.0, jobs=1),
    "v1-patches-colour.nmfc": lambda: encode_image(picture(colour=True), step=40.0, jobs=1),
    "v1-patches-uint16.nmfc": lambda: encode_image(picture(dtype="uint16"), step=10.0, jobs=1),
    "v1-bands.nmfc": lambda: coded_stack(frames(), Coding(rank=2, arrangement="bands", jobs=1)).data,
    "v1-stack-uint16-colour.nmfc": lambda: stack(collection(20, dtype="uint16", colour=True)),
    "v1-stack-float32-colour.nmfc": lambda: stack(collection(20, dtype="float32", colour=True), step=3.0),
    "v1-stack-range.nmfc": lambda: collection_range("stack"),
    "v1-stack-two-channels.nmfc": lambda: stack(np.stack([channels(2)] * 3), rank=2),
    "v1-stack-four-channels.nmfc": lambda: stack(np.stack([channels(4), channels(4)[::-1]]), rank=2),
    "v1-stack-psnr.nmfc": lambda: encode_stack(collection(), min_psnr=30, arrangement="stack", jobs=1),
    "v1-stack-size.nmfc": lambda: encode_stack(collection(), target_size=400, arrangement="stack", jobs=1),
    "v1-stack-white.nmfc": lambda: stack(np.full((5, 4, 3), 65535, np.uint16), rank=1),
    "v1-stack-row.nmfc": lambda: stack(collection(9, side=8).reshape(9, 1, 64), rank=3),
    "v1-stack-rank-1.nmfc": lambda: stack(collection(), rank=1),
    "v1-stack-from-meta.nmfc": lambda: encode_stack(
        collection(60)[30:50], basis_from=(HERE / TRAIN).read_bytes(), meta=named(20), step=2.0, jobs=1
    ),
    "v1-stack-indices.nmfc": lambda: stack(collection(8), meta=Meta(indices=np.arange(8)[::-1] * 10**9)),
    "v1-rows-float32-colour.nmfc": lambda: encode_image(picture(dtype="float32", colour=True), rank=2, jobs=1),
    "v1-rows-uint16-colour.nmfc": lambda: encode_image(picture(dtype="uint16", colour=True), rank=2, jobs=1),
    "v1-rows-four-channels.nmfc": lambda: encode_image(channels(4), rank=2, jobs=1),
    "v1-rows-step.nmfc": lambda: encode_image(picture(), arrangement="rows", rank=4, step=0.5, jobs=1),
    "v1-rows-psnr.nmfc": lambda: encode_image(picture(), arrangement="rows", min_psnr=25, jobs=1),
    "v1-rows-black.nmfc": lambda: encode_image(np.zeros((7, 5), np.uint8), rank=2, jobs=1),
    "v1-rows-line.nmfc": lambda: encode_image(picture(1, 40), rank=1, jobs=1),
    "v1-rows-column.nmfc": lambda: encode_image(picture(40, 1), rank=1, jobs=1),
    "v1-rows-mask.nmfc": masked,
    "v1-rows-label.nmfc": lambda: encode_image(
        picture(), rank=1, meta=Meta(labels=np.array([7]), names=("a.png",)), jobs=1
    ),
    "v1-patches-float32.nmfc": lambda: patches(picture(dtype="float32"), step=20.0),
    "v1-patches-float64-colour.nmfc": lambda: patches(picture(dtype="float64", colour=True), step=40.0),
    "v1-patches-uint16-colour.nmfc": lambda: patches(picture(dtype="uint16", colour=True), step=40.0),
    "v1-patches-fine.nmfc": lambda: patches(picture(), step=2.0),
    "v1-patches-odd.nmfc": lambda: patches(picture(33, 17), step=30.0),
    "v1-patches-large.nmfc": lambda: patches(picture(100, 130, colour=True), step=60.0),
    "v1-patches-pixel.nmfc": lambda: patches(np.array([[200]], np.uint8), step=20.0),
    "v1-patches-size.nmfc": lambda: patches(picture(64, 64), target_size=300),
    "v1-patches-psnr.nmfc": lambda: patches(picture(64, 64), min_psnr=35),
    "v1-patches-meta.nmfc": lambda: patches(picture(), photographed(), step=40.0),
    "v1-patches-several.nmfc": lambda: several(several_pictures()),
    "v1-patches-several-colour.nmfc": lambda: several(several_pictures(colour=True), meta=named(3)),
    "v1-patches-several-float32.nmfc": lambda: several(several_pictures(dtype="float32"), step=3.0, rank=20),
    "v1-patches-several-uint16.nmfc": lambda: several(several_pictures(dtype="uint16", colour=True), min_psnr=25),
    "v1-patches-collection-of-one.nmfc": lambda: several(several_pictures()[:1]),
    "v1-bands-uint16.nmfc": lambda: bands(frames("uint16"), rank=2),
    "v1-bands-float32.nmfc": lambda: bands(frames("float32"), rank=2),
    "v1-bands-range.nmfc": lambda: collection_range("bands"),
    "v1-bands-colour.nmfc": lambda: bands(frames(colour=True)[:4], rank=2),
    "v1-bands-meta.nmfc": lambda: bands(frames(), named(12), rank=1),
    "v1-ancillary.nmfc": lambda: with_unknown(200),
}  # fmt: skip


def frames(dtype: str = "uint8", colour: bool = False) -> np.ndarray:
    t = np.arange(12)[:, None, None]
    V = 0.5 * picture() / 255 * (1 + np.sin(t / 5)) + 0.2 * picture().T[:, :1].T / 255
    return as_type(np.stack([V, V[:, ::-1], V], axis=3) if colour else V, dtype)


def with_unknown(number: int) -> bytes:
    """The first file with one section more, of a number that no version knows yet."""
    return filed(2, listed({number: b"what is to come"}))


def filed(mode: int, listed: list[tuple[int, bytes]], version: int = 1) -> bytes:
    """A file of any sections at all, its checksums right."""
    head = MAGIC + bytes([version, mode, len(listed)])
    for number, content in listed:
        head += bytes([number]) + varint(len(content)) + zlib.crc32(content).to_bytes(4, "little")
    body = head + zlib.crc32(head).to_bytes(4, "little") + b"".join(content for _, content in listed)
    return body + zlib.crc32(body).to_bytes(4, "little")


def listed(change: dict[int, bytes]) -> list[tuple[int, bytes]]:
    """The sections of the first file, some of them others."""
    sections = unpack((HERE / TRAIN).read_bytes()).sections
    return sorted(({SECTIONS[name]: content for name, content in sections.items()} | change).items())


def with_head(kind: int, *sides: int, more: bytes = b"") -> bytes:
    return filed(2, listed({SECTIONS["head"]: bytes([kind]) + b"".join(map(varint, sides)) + more}))


def with_sections(change: dict[str, bytes | None]) -> bytes:
    """The first file with other sections, its checksums right."""
    sections = unpack((HERE / TRAIN).read_bytes()).sections | change
    return pack("stack", {name: content for name, content in sections.items() if content})


def with_version(version: int) -> bytes:
    data = bytearray((HERE / TRAIN).read_bytes())
    data[len(MAGIC)] = version
    return bytes(data)


def flipped(at: int | None = None) -> bytes:
    data = bytearray((HERE / TRAIN).read_bytes())
    data[len(data) // 2 if at is None else at] ^= 16
    return bytes(data)


def with_section(number: int) -> bytes:
    """One section of such a number, and the head."""
    return filed(2, [(SECTIONS["head"], b"\0\1\1\1\1"), (number, b"later")])


BAD: dict[str, Callable[[], bytes]] = {
    "bad-empty.nmfc": lambda: b"",
    "bad-png.nmfc": lambda: b"\x89PNG\r\n\x1a\n" + bytes(20),
    "bad-later.nmfc": lambda: with_version(255),
    "bad-version-0.nmfc": lambda: with_version(0),
    "bad-cut.nmfc": lambda: (HERE / TRAIN).read_bytes()[:-9],
    "bad-head-only.nmfc": lambda: (HERE / TRAIN).read_bytes()[:12],
    "bad-trailing.nmfc": lambda: (HERE / TRAIN).read_bytes() + b"\n",
    "bad-flipped.nmfc": flipped,
    "bad-no-codes.nmfc": lambda: with_sections({"codes": None}),
    "bad-unknown.nmfc": lambda: with_section(100),
    "bad-shape.nmfc": lambda: with_sections({"head": b"\0" + varint(40) + varint(7) + varint(6) + varint(1)}),
    "bad-huge.nmfc": lambda: with_sections({"head": b"\0" + varint(2**40) + varint(7) + varint(6) + varint(1)}),
    "bad-codes.nmfc": lambda: with_sections({"codes": b"\0" + varint(2048) + varint(8) + bytes(8)}),
    "bad-meta.nmfc": lambda: with_sections({"meta": b"not deflated"}),
    "bad-origin.nmfc": lambda: with_sections({"parts": None, "curve": None, "origin": bytes(32)}),
    "bad-version-2.nmfc": lambda: filed(2, listed({}), version=2),
    "bad-table.nmfc": lambda: flipped(at=len(MAGIC) + 5),
    "bad-mode.nmfc": lambda: filed(9, listed({})),
    "bad-order.nmfc": lambda: filed(2, listed({})[::-1]),
    "bad-twice.nmfc": lambda: filed(2, [listed({})[0], *listed({})]),
    "bad-no-sections.nmfc": lambda: filed(2, []),
    "bad-type.nmfc": lambda: with_head(9, 40, 6, 6, 1),
    "bad-no-width.nmfc": lambda: with_head(0, 40, 0, 6, 1),
    "bad-channels.nmfc": lambda: with_head(0, 40, 6, 6, 7),
    "bad-range.nmfc": lambda: with_head(2 | 128, 40, 6, 6, 1, more=np.array([np.nan, 1]).tobytes()),
    "bad-single.nmfc": lambda: with_head(64, 40, 6, 6, 1),
    "bad-rows-of-many.nmfc": lambda: filed(0, listed({})),
    "bad-codec.nmfc": lambda: with_maps(lambda maps: b"\xff" + maps[1:]),
    "bad-maps.nmfc": lambda: with_maps(lambda maps: maps[:1] + bytes(len(maps) - 1)),
    "bad-patches-lengths.nmfc": lambda: with_patches(lambda data: data[:5] + b"\xff\xff\x7f" + data[6:]),
    "bad-patches-empty.nmfc": lambda: with_patches(lambda data: data[:5] + bytes(2) + varint(len(data) - 8) + data[8:]),
    "bad-patches-stream.nmfc": lambda: with_patches(
        lambda data: data[:5] + b"\1\1" + data[7:8] + bytes(2) + data[-data[7] :]
    ),
    "bad-patches-many.nmfc": lambda: with_patches(lambda data: data, 2**16 + 1),
    "bad-patches-channels.nmfc": lambda: with_patches(lambda data: data, 3, 2),
    "bad-gzip.nmfc": lambda: b"\x1f\x8b\x08" + bytes(30),
    "bad-text.nmfc": lambda: b"NMFC\n" + bytes(30),
}


def with_patches(change: Callable[[bytes], bytes], n: int = 3, channels: int = 1) -> bytes:
    """The first collection of patches with another section, or head."""
    sections = unpack((HERE / "v1-patches-several.nmfc").read_bytes()).sections
    head = b"\0" + b"".join(map(varint, (n, 24, 20, channels)))
    return pack("patches", sections | {"head": head, "patches": change(sections["patches"])})


def with_maps(change: Callable[[bytes], bytes]) -> bytes:
    """The first file of bands with other maps."""
    sections = unpack((HERE / "v1-bands.nmfc").read_bytes()).sections
    return pack("bands", sections | {"maps": change(sections["maps"])})


def decoded(data: bytes) -> np.ndarray:
    """The pictures; with the parts of the first file where they need some."""
    needs = "origin" in open_container(data).container.sections
    return decode_stack(data, basis_from=(HERE / TRAIN).read_bytes() if needs else None)


def expected_of(data: bytes) -> dict[str, object]:
    """What a good file decodes to: shape, type, and SHA-256 of the bytes (little-endian) of its pictures."""
    shown = decoded(data)
    content = shown.astype(shown.dtype.newbyteorder("<")).tobytes()
    return {"shape": list(shown.shape), "dtype": shown.dtype.name, "sha256": hashlib.sha256(content).hexdigest()}


def message_of(data: bytes) -> str:
    """What is said of a bad file."""
    try:
        decode_stack(data)
    except NmfcError as error:
        return error.message
    raise SystemExit("a file that should be bad is good")


def main() -> None:
    known: dict[str, object] = json.loads(LIST.read_text(encoding="utf-8")) if LIST.exists() else {}
    for name, make in (GOOD | BAD).items():
        path = HERE / name
        if path.exists() != (name in known):
            sys.exit(f"{name}: the file and its line in {LIST.name} must both be there or both be missing")
        if path.exists():
            continue
        data = make()
        known[name] = expected_of(data) if name in GOOD else message_of(data)
        path.write_bytes(data)
        if "bands" in name:  # maps are decoded by Pillow's codecs, and need only be close
            np.save(path.with_suffix(".npy"), decoded(data))
        print(f"{name}: {len(data):,} bytes")
    LIST.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
