"""Maps <-> bytes by Pillow's codecs."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, features

from nmfcompress.codec import maps
from nmfcompress.codec.maps import CODECS, Quality, codec_here, decode_maps, encode_maps, quality_for
from nmfcompress.errors import InputError, TooLarge, UsageError

HERE = [name for name, codec in CODECS.items() if features.check(codec.feature)]


def hills(k: int, h: int, w: int) -> np.ndarray:
    """Smooth maps of uint8."""
    y, x = np.mgrid[:h, :w]
    return np.stack([127 + 120 * np.sin(x / (7 + i)) * np.cos(y / 9 + i) for i in range(k)]).astype(np.uint8)


@pytest.mark.parametrize("codec", HERE)
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 40, 50), (4, 95, 33), (2, 3, 300), (1, 129, 1)])
def test_maps_come_back(codec: str, shape: tuple[int, int, int]) -> None:
    values = hills(*shape)
    fine = quality_for(codec, 0.0)
    back = decode_maps(encode_maps(values, codec, fine), shape)
    assert back.shape == shape
    assert back.dtype == np.uint8
    assert np.abs(back.astype(int) - values).mean() < 3


@pytest.mark.parametrize("codec", HERE)
def test_coarser_steps_are_smaller_and_worse(codec: str, rng: np.random.Generator) -> None:
    values = np.clip(hills(2, 40, 48) + rng.normal(0, 5, (2, 40, 48)), 0, 255).astype(np.uint8)
    sizes, errors = [], []
    for step in (8, 20, 50, 120):
        data = encode_maps(values, codec, quality_for(codec, step))
        sizes.append(len(data))
        errors.append(float(((decode_maps(data, values.shape).astype(float) - values) ** 2).mean()))
    assert sizes == sorted(sizes, reverse=True)
    assert errors == sorted(errors)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("step", [0.1, 1, 1.5, 7, 30, 200, 1e6])
def test_the_quality_is_the_coarsest_that_is_fine_enough(codec: str, step: float) -> None:
    quality = quality_for(codec, step)
    known = [each.step for each in CODECS[codec].qualities]
    assert quality.step == max((each for each in known if each <= step), default=min(known))


def test_avif_knows_64_steps() -> None:
    assert len(CODECS["AVIF"].qualities) == 64
    assert CODECS["AVIF"].qualities[-1] == Quality(100, 1.0)


@pytest.mark.parametrize("codec", HERE)
def test_the_stream_in_its_file_again_is_what_pillow_wrote(codec: str) -> None:
    values = hills(2, 48, 56)
    coder, quality = CODECS[codec], quality_for(codec, 20)
    data = encode_maps(values, codec, quality)
    with Image.open(BytesIO(coder.wrap(data[1:], 56, 96)), formats=(coder.format,)) as picture:
        assert picture.size == (56, 96)
    if codec == "AVIF":  # all but the boxes, whose length does not depend on the picture
        file = maps._saved(
            Image.fromarray(values.reshape(96, 56)), "AVIF", quality=int(quality.setting), speed=0,
            subsampling="4:0:0", codec="aom", max_threads=1, autotiling=False,
            advanced={"tune": "psnr", "sb-size": "64"},
        )  # fmt: skip
        with Image.open(BytesIO(file)) as picture:
            expected = np.asarray(picture.convert("L")).reshape(values.shape)
        assert np.array_equal(decode_maps(data, values.shape), expected)
        assert len(data) < len(file) - 200


@pytest.mark.parametrize("codec", HERE)
def test_the_same_maps_give_the_same_bytes(codec: str) -> None:
    values, quality = hills(2, 40, 40), quality_for(codec, 15)
    assert encode_maps(values, codec, quality) == encode_maps(values, codec, quality)


@pytest.mark.parametrize("codec", HERE)
@pytest.mark.parametrize("shape", [(2, 40, 48), (1, 40, 40), (3, 40, 40), (2, 4000, 40)])
def test_another_size_is_refused_before_it_is_decoded(
    codec: str, shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encode_maps(hills(2, 40, 40), codec, quality_for(codec, 15))

    def never(*args: object, **options: object) -> None:
        raise AssertionError("opened")

    monkeypatch.setattr(Image, "open", never)
    with pytest.raises(InputError, match=r"40 x 80 pixels of .* \(expected"):
        decode_maps(data, shape)


@pytest.mark.skipif("AVIF" not in HERE, reason="this Pillow has no AVIF")
def test_a_second_sequence_header_is_refused() -> None:
    data = encode_maps(hills(1, 40, 40), "AVIF", quality_for("AVIF", 15))
    header = data[1 : 3 + data[2]]
    for bad in (data[:1] + header + data[1:], data + header, data + b"\x32"):
        with pytest.raises(InputError):
            decode_maps(bad, (1, 40, 40))


@pytest.mark.parametrize("codec", HERE)
def test_damage_is_an_input_error_or_another_picture(codec: str, rng: np.random.Generator) -> None:
    values = hills(2, 40, 40)
    data = encode_maps(values, codec, quality_for(codec, 15))
    for place in [*range(30), *rng.integers(0, len(data), 30)]:
        bad = bytearray(data)
        bad[place] ^= 1 << rng.integers(8)
        try:
            assert decode_maps(bytes(bad), values.shape).shape == values.shape
        except InputError:
            continue
    for cut in range(0, len(data), 7):
        try:
            assert decode_maps(data[:cut], values.shape).shape == values.shape
        except InputError:
            continue


def test_no_bytes_and_unknown_codecs_are_refused() -> None:
    for data in (b"", b"\x03", b"\xffabc", b"\x00", b"\x00\x0a", b"\x01\x00", b"\x02\xff\x4f"):
        with pytest.raises(InputError):
            decode_maps(data, (1, 8, 8))


def test_a_codec_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode_maps(hills(1, 8, 8), HERE[0], quality_for(HERE[0], 15))
    monkeypatch.setattr(features, "check", lambda feature: False)
    with pytest.raises(InputError, match=HERE[0]):
        decode_maps(data, (1, 8, 8))
    with pytest.raises(UsageError, match=HERE[0]):
        encode_maps(hills(1, 8, 8), HERE[0], quality_for(HERE[0], 15))
    with pytest.raises(UsageError, match="AVIF, WebP, JPEG 2000"):
        codec_here()


def test_the_best_codec_that_is_there_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda feature: feature != "avif")
    assert codec_here() == "WebP"
    monkeypatch.setattr(features, "check", lambda feature: feature == "jpg_2000")
    assert codec_here() == "JPEG 2000"


@pytest.mark.parametrize("shape", [(8, 100_000, 100_000), (4, 40_000, 8), (1, 1, 10**9)])
def test_absurd_sizes_are_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(TooLarge, match="at most"):
        decode_maps(b"\0" + bytes(20), shape)
