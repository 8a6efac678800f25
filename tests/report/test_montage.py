"""Contact sheets and comparisons: any size, any words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmfcompress.report import montage
from nmfcompress.report.montage import (
    GAP,
    PANEL_SIDE,
    Span,
    Tile,
    display,
    error_picture,
    even_columns,
    own_range,
    stretch,
)

SHAPES = [(1, 1), (1, 5000), (5000, 1), (2, 3), (28, 28), (300, 200), (2500, 40)]
WORDS = [
    "", "plain", "x" * 5000, "ligne d'été 数字 🙂", "two\nlines", "tab\t\x00\x1b[0m", "\udcff", " · ", "a · b · " * 400,
    "\u202eعربى",
]  # fmt: skip


def grey(shape, value=100):
    return np.full(shape, value, np.uint8)


def sheet(*words):
    return np.asarray(montage.sheet(*words))


def comparison(*words):
    return np.asarray(montage.comparison(*words))


def pairs(*words):
    return np.asarray(montage.pairs(*words))


def is_picture(sheet):
    return sheet.dtype == np.uint8 and sheet.ndim == 3 and sheet.shape[2] == 3 and min(sheet.shape[:2]) > 0


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_comparison_of_any_size(shape, channels, dtype):
    pixels = np.ones(shape + channels, dtype)
    found = comparison(pixels, np.zeros_like(pixels), None, "PSNR 12.3 dB · relative loss 0.123", 3)
    assert is_picture(found)
    assert found.shape[1] <= 3 * (PANEL_SIDE + GAP) + GAP
    assert found.shape[0] <= PANEL_SIDE + 200


@pytest.mark.parametrize("side", [PANEL_SIDE, PANEL_SIDE + 1, 3 * PANEL_SIDE])
def test_panels_are_scaled_down_to_their_most(side, rng):
    """The three panels lie side by side; the rest is frame and words."""
    pixels = rng.integers(0, 256, (side, 40), dtype=np.uint8)
    shown = comparison(pixels, pixels, None, "", 1)
    assert PANEL_SIDE < shown.shape[0] < PANEL_SIDE + 100
    flat = comparison(pixels.T, pixels.T, None, "", 1)
    assert flat.shape[1] == 3 * (PANEL_SIDE + GAP) + GAP


def test_small_pictures_are_enlarged_by_whole_factors(rng):
    pixels = rng.integers(0, 256, (28, 28), dtype=np.uint8)
    shown = sheet([Tile(pixels)], 1)
    grow = (shown.shape[1] - 2 * GAP) // 28
    assert grow >= 4
    inside = shown[GAP : GAP + 28 * grow, GAP : GAP + 28 * grow]
    np.testing.assert_array_equal(inside, np.repeat(pixels, grow, 0).repeat(grow, 1)[:, :, None].repeat(3, 2))


@pytest.mark.parametrize("words", WORDS)
def test_any_words(words):
    tiles = [Tile(grey((28, 28)), words), Tile(grey((28, 28)))]
    for shown in (
        sheet(tiles, 2, words),
        comparison(grey((9, 9)), grey((9, 9), 0), None, words, 3),
        pairs([(grey((28, 28)), grey((28, 28)), words)], words),
    ):
        assert is_picture(shown)
        assert max(shown.shape) < 8_000


@pytest.mark.parametrize("words", ["x" * 300, "é" * 300, "W i " * 80])
def test_words_stay_within_their_tile(words):
    """Nothing is written between two tiles."""
    shown = sheet([Tile(grey((28, 28), 255), words), Tile(grey((28, 28), 255), words)], 2)
    middle = shown.shape[1] // 2
    assert (shown[-20:, middle - 2 : middle + 2] == 255).all()


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 30), st.integers(1, 8), st.integers(1, 40), st.integers(1, 40))
def test_a_grid_holds_all_its_tiles(count, columns, height, width):
    tiles = [Tile(grey((height, width), 50 + i), str(i)) for i in range(count)]
    shown = sheet(tiles, columns)
    for i in range(count):
        assert (shown == 50 + i).all(axis=2).sum() >= height * width
    assert is_picture(shown)


def test_tiles_of_many_sizes_fit_together():
    tiles = [Tile(grey((5, 90))), Tile(grey((90, 5, 3))), Tile(grey((1, 1)))]
    assert is_picture(sheet(tiles, 2))
    assert is_picture(pairs([(grey((5, 90)), grey((5, 90)), "a"), (grey((40, 40)), grey((40, 40)), "b\nc")], "title"))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [1, 3, 4, 41])
def test_the_size_is_known_before_anything_is_drawn(shape, count):
    panel = montage.panel_shape(shape, count)
    assert montage.fitted(grey(shape), count).shape == (*panel, 3)
    tiles = montage.Sheet(panel, ["part"] * count, 7, "a title")
    assert tiles.drawn(grey(shape) for _ in range(count)).size == tiles.size
    rows = montage.Pairs(panel, ["label 3\nimage 8"] * count, "a title")
    assert rows.drawn((grey(shape), grey(shape)) for _ in range(count)).size == rows.size


def test_a_thousand_tiles_stay_looked_at_size():
    shown = sheet([Tile(grey((512, 512)), str(i)) for i in range(200)], 20)
    assert max(shown.shape) < 8000


@given(st.integers(1, 500), st.floats(1e-4, 1e4))
def test_columns_suit_the_tiles(count, aspect):
    columns = even_columns(count, aspect)
    assert 1 <= columns <= count
    rows = -(-count // columns)
    if aspect >= 1000:
        assert columns >= min(count, 25), "high and narrow tiles stand side by side"
    if aspect <= 0.001:
        assert rows >= count / 2, "flat and wide tiles lie on top of each other"


@pytest.mark.parametrize(
    ("count", "aspect", "columns"), [(1, 1, 1), (3, 1, 3), (10, 1, 5), (3, 5000, 3), (3, 0.0002, 1)]
)
def test_columns_of_a_few_tiles(count, aspect, columns):
    assert even_columns(count, aspect) == columns


# Pixels for the eye


@pytest.mark.parametrize("count", [4, 5, 7, 10, 13, 17, 50])
def test_tiles_stand_in_a_block(count):
    columns = montage.even_columns(count, 1.0)
    assert 1 < columns <= count
    assert count / columns <= columns + 1


def test_letters_the_font_has_not_are_no_boxes():
    assert montage._plain("café · 日本 × 2") == "cafe · ?? × 2"


def test_display_knows_every_type():
    assert display(np.array([[0, 257, 65535]], np.uint16)).tolist() == [[0, 1, 255]]
    assert display(np.array([[-0.1, 0.5, 1.2]], np.float32), span=Span(0, 1)).tolist() == [[0, 128, 255]]
    assert display(np.array([[300, 400, 500]], np.uint16)).tolist() == [[0, 128, 255]]
    pixels = grey((3, 4))
    assert display(pixels) is pixels


@pytest.mark.parametrize("channels", [(), (3,)])
def test_what_is_transparent_shows_paper(channels):
    alpha = np.array([[0, 255, 51]], np.uint8)
    shown = display(grey((1, 3, *channels)), alpha)
    assert shown.dtype == np.uint8
    assert shown.reshape(3, -1)[:, 0].tolist() == [255, 100, 224]


@given(st.integers(0, 2**16), st.sampled_from([1e-38, 1e-20, 1.0, 1e20]))
def test_stretch_and_own_range_use_the_whole_scale(seed, size):
    values = (np.random.default_rng(seed).random((4, 5)) * size).astype(np.float32)
    for shown in (stretch(values), own_range(values)):
        assert shown.dtype == np.uint8
        assert shown.max() == 255
    assert own_range(values).min() == 0


@pytest.mark.parametrize("level", [0.0, 0.3])
def test_constants_have_no_range(level):
    values = np.full((3, 3), level, np.float32)
    assert (own_range(values) == 0).all()
    assert (stretch(values) == (255 if level else 0)).all()


def test_the_error_is_made_bright_enough_to_see():
    a, b = grey((4, 4)), grey((4, 4))
    b[1, 2] += 51
    shown, factor = error_picture(a, b, Span())
    assert factor == pytest.approx(5)
    assert shown[1, 2] == 255
    assert shown.sum() == 255
    none, factor = error_picture(a, a, Span())
    assert not none.any()
    assert factor == 1


@pytest.mark.parametrize(("difference", "words"), [(0, "error: none"), (1, "error x 255.0"), (51, "error x 5.0")])
def test_the_error_is_named(difference, words, monkeypatch):
    captions = []
    monkeypatch.setattr(montage.Sheet, "drawn", lambda self, _: captions.extend(self.captions))
    montage.comparison(grey((4, 4)), grey((4, 4), 100 + difference), None, "", 7)
    assert captions == ["original", "reconstruction, rank 7", words]
