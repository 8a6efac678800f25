"""Comparisons: every codec gives back what it was given, all bytes count, and the verdict is true."""

from __future__ import annotations

import csv
import io
import json
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmfcompress.errors import InputError
from nmfcompress.metrics import psnr
from nmfcompress.report.compare import Comparison, common_size, compare, measure
from nmfcompress.report.compared import shown_images, side_by_side, table, to_csv, to_json, verdict
from nmfcompress.report.rivals import FILES, STILLS, Codec, Eight, codecs_for, cut, mosaic
from nmfcompress.settings import CODECS

OTHERS = tuple(family for family in CODECS if family != "nmfc")


def pictures(n: int = 1, h: int = 24, w: int = 28, channels: int = 1, dtype: type = np.uint8) -> np.ndarray:
    """Smooth images (n, h, w) or (n, h, w, 3), with some noise."""
    rng = np.random.default_rng(0)
    k, y, x, c = np.meshgrid(np.arange(n), np.arange(h), np.arange(w), np.arange(channels), indexing="ij")
    values = 0.5 + 0.35 * np.sin(x / (6 + c) + k / 2) * np.cos(y / (9 - c)) + rng.normal(0, 0.01, x.shape)
    values = np.clip(values, 0, 1)
    top = {np.uint8: 255, np.uint16: 4000}.get(dtype, 0.9)
    pixels = (np.rint(values * top) if dtype in (np.uint8, np.uint16) else values * top).astype(dtype)
    return pixels if channels == 3 else pixels[..., 0]


SETS = {
    "grey": pictures(),
    "colour": pictures(channels=3),
    "stack": pictures(4),
    "colour stack": pictures(3, channels=3),
    "16 bits": pictures(dtype=np.uint16),
    "floats": pictures(3, dtype=np.float32),
    "small": pictures(5, 9, 3),
    "one pixel": pictures(1, 1, 1),
    "black": np.zeros((2, 16, 16), np.uint8),
}


def bits(name: str = "nmfc bits", waste: int = 0) -> Codec:
    """A stub: as many bits a pixel as the quality says, packed by zlib, and `waste` bytes beside them."""

    def encode(images: np.ndarray, quality: float) -> list[bytes]:
        kept = (images >> (8 - int(quality))).astype(np.uint8)
        head = bytes([int(quality)]) + np.array(images.shape, "<u4").tobytes()
        return [head, zlib.compress(kept.tobytes()), bytes(waste)]

    def decode(parts: object) -> np.ndarray:
        head, packed, _ = parts  # type: ignore[misc]
        shape = np.frombuffer(head[1:], "<u4")
        kept = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(shape).astype(np.float64)
        return np.clip((kept + 0.5) * 2.0 ** (8 - head[0]), 0, 255).astype(np.uint8)

    return Codec(name, "bits", (1.0, 3.0, 5.0), encode, decode)


# Codecs


@pytest.mark.parametrize("kind", SETS)
def test_every_codec_gives_back_images_of_that_shape_and_type(kind: str) -> None:
    images = SETS[kind]
    codecs, _ = codecs_for(images)
    assert len({codec.name for codec in codecs}) == len(codecs)
    for codec in codecs:
        for quality in codec.spread(2):
            again = codec.decode(codec.encode(images, quality))
            assert again.shape == images.shape
            assert again.dtype == images.dtype


@pytest.mark.parametrize("kind", ["grey", "colour", "stack", "colour stack", "16 bits", "floats"])
def test_a_higher_quality_is_larger_and_nearer(kind: str) -> None:
    images = SETS[kind]
    for codec in codecs_for(images)[0]:
        low, high = codec.spread(2)
        a, b = measure(images, codec, low), measure(images, codec, high)
        assert a.bytes < b.bytes
        assert a.psnr_db is not None
        assert b.psnr_db is None or a.psnr_db < b.psnr_db - 0.5


def test_what_there_is_for_pictures_and_collections() -> None:
    one = {codec.name for codec in codecs_for(pictures())[0]}
    many = {codec.name for codec in codecs_for(pictures(4))[0]}
    assert one >= {"nmfc patches", "nmfc rows", "SVD rows", "JPEG"}
    assert many >= {"nmfc stack", "nmfc bands", "SVD stack", "JPEG mosaic", "JPEG files"}
    noise = np.random.default_rng(0).integers(0, 256, (100, 12, 12), dtype=np.uint8)
    assert [codec.name for codec in codecs_for(noise, ("nmfc",))[0]] == ["nmfc patches", "nmfc stack"]
    shared = np.repeat(noise[:4], 30, axis=0)
    assert [codec.name for codec in codecs_for(shared, ("nmfc",))[0]][-1] == "nmfc stack"
    assert ("AVIF sequence" in many) == ("AVIF" in one)
    assert not {name for name in one if "mosaic" in name}


def test_a_codec_that_this_pillow_has_not_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nmfcompress.report.rivals.features.check", lambda feature: feature == "jpg")
    codecs, notes = codecs_for(pictures(), ("jpeg", "avif"))
    assert [codec.name for codec in codecs] == ["JPEG"]
    assert notes == ["AVIF is left out: this Pillow has it not"]


def test_what_an_encoder_refuses_is_an_input_error() -> None:
    with pytest.raises(InputError, match="70,000 x 1"):
        STILLS["jpeg"].encode(np.zeros((1, 70000), np.uint8), 50)


def test_files_of_many_images_are_measured_on_some_and_scaled_up() -> None:
    images = pictures(2 * FILES, 8, 8)
    codecs, notes = codecs_for(images, ("jpeg",))
    assert any(f"measured on {FILES}" in note for note in notes)
    files = next(codec for codec in codecs if codec.name == "JPEG files")
    point = measure(images, files, 50)
    assert point.bytes == 2 * sum(map(len, files.encode(images[::2], 50)))
    assert point.bits_per_pixel == 8 * point.bytes / images.size
    assert point.shown is None


@given(st.integers(1, 30), st.integers(1, 9), st.integers(1, 9), st.sampled_from([(), (3,)]))
def test_a_mosaic_is_cut_into_the_same_images(n: int, h: int, w: int, channels: tuple[int, ...]) -> None:
    images = np.random.default_rng(n).integers(0, 256, (n, h, w, *channels), dtype=np.uint8)
    whole = mosaic(images)
    assert whole.ndim == 2 + len(channels)
    assert np.array_equal(cut(whole, images.shape), images)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_eight_bits_are_as_near_as_they_can_be(dtype: type) -> None:
    images = pictures(2, dtype=dtype)
    eight = Eight.of(images)
    down = eight.down(images)
    assert down.dtype == np.uint8
    again = eight.up(down)
    assert again.dtype == dtype
    step = 0 if dtype == np.uint8 else float(np.ptp(images.astype(float))) / 255
    rounding = 1 if dtype == np.uint16 else 1e-6
    assert np.abs(again.astype(float) - images.astype(float)).max() <= step / 2 + rounding * (step > 0)


@given(st.integers(1, 12), st.integers(0, 3))
def test_qualities_are_spread_from_end_to_end(count: int, kind: int) -> None:
    codec = codecs_for(pictures(), ("svd", "jpeg", "jp2"))[0][kind % 3]
    found = codec.spread(count)
    assert 1 <= len(found) <= count
    assert list(found) == sorted(set(found))
    if count > 1:
        assert (found[0], found[-1]) == (codec.ladder[0], codec.ladder[-1])


# Comparisons


def test_a_point_counts_all_bytes_and_measures_what_is_decoded() -> None:
    images, codec = pictures(4), bits(waste=1000)
    parts = codec.encode(images, 3)
    point = measure(images, codec, 3, slice(1, 3))
    assert point.bytes == sum(map(len, parts)) > 1000
    assert point.bits_per_pixel == 8 * point.bytes / images.size
    assert point.psnr_db == psnr(images, codec.decode(parts))
    assert 0 < (point.ssim or 0) < 1
    assert np.array_equal(point.shown, codec.decode(parts)[1:3])  # type: ignore[arg-type]
    assert (point.codec, point.quality) == ("nmfc bits", "bits 3")
    assert min(point.encode_seconds, point.decode_seconds) >= 0


def test_colour_counts_as_one_pixel_and_an_exact_codec_has_no_psnr() -> None:
    images = pictures(channels=3)
    point = measure(images, bits(), 8)
    assert point.psnr_db is None
    assert point.bits_per_pixel == 8 * point.bytes / (24 * 28)


def test_a_codec_that_gives_back_something_else_is_found_out() -> None:
    wrong = replace(bits(), decode=lambda parts: np.zeros((1, 2, 3), np.uint8))
    with pytest.raises(InputError, match=r"gives back \(1, 2, 3\) uint8"):
        measure(pictures(), wrong, 3)


def test_who_is_better_and_by_how_much() -> None:
    images, told = pictures(4), []
    better = replace(bits("rival"), encode=lambda x, q: [*bits().encode(x, q)[:2], b""])
    done = compare(images, [bits(waste=4000), better], 3, on_point=lambda codec: told.append(codec.name))
    assert told.count("rival") == 4
    assert done.best == "nmfc bits"
    assert [d.against for d in done.deltas] == ["rival"]
    assert (done.deltas[0].bd_rate or 0) > 5
    assert verdict(done)[-1].startswith("nmfc bits needs")
    assert "more bytes than rival" in verdict(done)[-1]


def test_the_best_of_ours_is_judged_and_the_verdict_is_about_the_strongest_rival() -> None:
    codecs = [bits("nmfc a", 9000), bits("nmfc b", 10), bits("weak", 5000), bits("strong", 3000), bits("nmfc c", 500)]
    done = compare(pictures(4), codecs, 3)
    assert done.best == "nmfc b"
    assert {d.against for d in done.deltas} == {"nmfc a", "nmfc c", "weak", "strong"}
    assert "fewer bytes than strong" in verdict(done)[-1]


def test_ours_that_is_best_where_the_others_are_is_judged() -> None:
    """Not the one that is best at rates of its own, which no other codec has."""
    low = replace(bits("nmfc low"), ladder=(1.0, 1.5, 2.0))
    wide = bits("nmfc wide", 40)
    apart = compare(pictures(4), [low, wide], 3)
    size = {curve.codec.name: curve.sizes for curve in apart.curves}
    assert size["nmfc low"][0] < size["nmfc wide"][0], "at equal PSNR the first needs fewer bytes"
    assert (apart.deltas[0].bd_rate or 0) != 0
    for rivals in ([bits("rival", 200)], [replace(bits("rival"), ladder=(3.0, 5.0))]):
        done = compare(pictures(4), [low, wide, *rivals], 3)
        assert done.best == "nmfc wide"
        assert done.deltas[-1].bd_rate is not None
    done = compare(pictures(4), [low, wide, replace(bits("rival"), ladder=(1.0, 2.0))], 3)
    assert done.best == "nmfc low"


def test_a_size_that_no_codec_comes_near_is_said() -> None:
    done = compare(pictures(4), [bits(), bits("rival", 500)], 3, size=1)
    least = done.curves[0].sizes[0]
    assert f"no codec comes near 1 bytes (the nearest is nmfc bits with {least:,})" in done.notes
    assert not compare(pictures(4), [bits(), bits("rival", 50_000)], 3, size=least).notes, "one of them is enough"


def test_without_ours_the_first_codec_is_compared() -> None:
    done = compare(pictures(), [bits("one"), bits("two", 100)], 3)
    assert done.best == "one"
    assert "one needs" in verdict(done)[-1]


def test_codecs_apart_are_said_to_have_no_common_range() -> None:
    high = replace(bits("high"), ladder=(6.0, 7.0))
    done = compare(pictures(), [replace(bits(), ladder=(1.0, 2.0)), high], 2)
    assert done.deltas[0].bd_rate is None
    assert "no range of PSNR in common with high" in verdict(done)[-1]
    assert any("no common range" in line for line in table(done))


def test_a_codec_apart_that_is_better_in_fewer_bytes_is_a_loss() -> None:
    high = replace(bits("high"), ladder=(6.0, 7.0))
    done = compare(pictures(), [replace(bits("nmfc bits", 90_000), ladder=(1.0, 2.0)), high], 2)
    assert done.deltas[0].bd_rate is None
    assert "nmfc bits loses to high: " in verdict(done)[-1]


def test_a_rate_that_fails_costs_no_other_and_a_codec_without_rates_is_noted() -> None:
    def fussy(images: np.ndarray, quality: float) -> list[bytes]:
        if quality < 5:
            raise InputError("too coarse")
        return list(bits().encode(images, quality))

    def never(images: np.ndarray, quality: float) -> list[bytes]:
        raise InputError("not these images")

    fussy_codec, never_codec = replace(bits("fussy"), encode=fussy), replace(bits("never"), encode=never)
    done = compare(pictures(), [bits(), fussy_codec, never_codec], 3)
    assert [curve.codec.name for curve in done.curves] == ["nmfc bits", "fussy"]
    assert len(done.curves[1].points) == 1
    assert "fussy, bits 3: too coarse" in done.notes
    assert "never, bits 5: not these images" in done.notes
    with pytest.raises(InputError, match="no codec takes these images: never, bits 1: not these images"):
        compare(pictures(), [never_codec], 3)


@pytest.mark.parametrize("family", ["jpeg", "jp2"])
def test_the_size_asked_for_is_met_by_one_more_rate(family: str) -> None:
    images = pictures(1, 160, 200, 3)
    codecs, _ = codecs_for(images, (family,))
    if not codecs:
        pytest.skip("this Pillow has it not")
    plain = compare(images, codecs, 4)
    sizes = plain.curves[0].sizes
    size = round(float(np.sqrt(sizes[1] * sizes[2])))
    done = compare(images, codecs, 4, size)
    near = done.curves[0].near
    assert near is not None
    assert abs(near.bytes / size - 1) < 0.1
    assert len(done.curves[0].points) <= 5
    assert done.size == size


def test_the_common_size_is_one_that_ours_reaches_and_most_others() -> None:
    assert 200 <= common_size([[100, 400], [200, 900], [5000, 9000]], [100, 400]) <= 400
    assert 100 <= common_size([[100, 400], [5000, 9000]], [100, 400]) <= 400
    assert common_size([[77]], [77]) == 77


# For people and scripts


def comparison(images: np.ndarray, *families: str) -> Comparison:
    codecs = [bits(), *codecs_for(images, families)[0]]
    return compare(images, codecs, 3, shown=shown_images(images.shape, 6))


@pytest.fixture(scope="module")
def many() -> tuple[np.ndarray, Comparison]:
    images = pictures(10, 20, 24)
    return images, comparison(images, "svd", "jpeg")


def test_csv_has_a_line_a_codec_and_rate_and_names_are_neutral(many: tuple[np.ndarray, Comparison]) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv("=cmd()\rx", many[1]))))
    assert len(rows) == sum(len(curve.points) for curve in many[1].curves)
    assert {row["input"] for row in rows} == {"'=cmd()\\rx"}
    point = many[1].curves[0].points[0]
    assert rows[0]["codec"] == "nmfc bits"
    assert int(rows[0]["bytes"]) == point.bytes
    assert float(rows[0]["psnr_db"]) == pytest.approx(point.psnr_db, rel=1e-4)


def test_json_is_one_line_that_says_it_all(many: tuple[np.ndarray, Comparison]) -> None:
    images, done = many
    line = to_json("digits", images, done, ["a.png"], ["a note"])
    assert "\n" not in line
    told = json.loads(line)
    assert (told["images"], told["width"], told["height"], told["dtype"]) == (10, 24, 20, "uint8")
    assert told["best"] == "nmfc bits"
    assert told["verdict"] == verdict(done)
    assert len(told["rates"]) == sum(len(curve.points) for curve in done.curves)
    assert sum(rate["shown"] for rate in told["rates"]) == len(done.curves)
    assert {d["against"] for d in told["deltas"]} == {"SVD stack", "JPEG mosaic", "JPEG files"}


def test_the_table_has_every_rate_and_marks_those_shown(many: tuple[np.ndarray, Comparison]) -> None:
    lines = table(many[1])
    points = sum(len(curve.points) for curve in many[1].curves)
    assert sum(" *  " in line for line in lines) == len(many[1].curves)
    assert lines.index("") == points + 1
    assert lines[lines.index("") + 1].startswith("nmfc bits against")


SHOWN = [
    pictures(), pictures(channels=3), pictures(1, 700, 660), pictures(9, 20, 24), pictures(3, channels=3),
    pictures(2, 1, 1),
]  # fmt: skip


@pytest.mark.parametrize("images", SHOWN, ids=lambda images: str(images.shape))
def test_the_picture_has_the_original_first(images: np.ndarray) -> None:
    done, places = comparison(images, "jpeg"), shown_images(images.shape, 6)
    sheet = np.asarray(side_by_side("set", images, places, done))
    assert sheet.ndim == 3
    assert sheet.shape[1] >= 400
    h, w = min(images.shape[1], 640), min(images.shape[2], 640)
    grow = -(-400 // w) if len(images) == 1 else None
    if grow:
        top, left = (images.shape[1] - h) // 2, (images.shape[2] - w) // 2
        original = images[0, top : top + h, left : left + w].repeat(grow, axis=0).repeat(grow, axis=1)
        shown = sheet[8 : 8 + h * grow, 8 : 8 + w * grow]
        assert np.array_equal(shown if images.ndim == 4 else shown[..., 0], original)


def test_few_images_are_shown_and_fewer_large_ones() -> None:
    assert shown_images((1800, 28, 28), 12).tolist() == [150 * i for i in range(12)]
    assert shown_images((3, 28, 28), 12).tolist() == [0, 1, 2]
    assert len(shown_images((24, 512, 768, 3), 12)) == 2
    assert shown_images((5, 4000, 4000), 12).tolist() == [0]
