"""Mean distances of rate curves: shifts are found, one against the other is the inverse, references agree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nmfcompress.report.bjontegaard import delta, front, smooth

CURVE = [(1000, 25.0), (1700, 27.8), (2800, 30.1), (4600, 32.2), (9000, 35.0)]


@given(st.floats(0.2, 5), st.floats(-2, 2), st.randoms())
def test_distances_of_shifted_curves_are_the_shifts(factor: float, gain: float, shuffled: object) -> None:
    scale = 1_000_000  # so that rounding to whole bytes does not matter
    base = [(size * scale, psnr) for size, psnr in CURVE]
    larger = [(round(size * factor), psnr) for size, psnr in base]
    better = [(size, psnr + gain) for size, psnr in base]
    shuffled.shuffle(larger)  # type: ignore[attr-defined]
    assert delta("a", larger, "b", base).bd_rate == pytest.approx(100 * (factor - 1), abs=1e-3)
    assert delta("a", better, "b", base).bd_psnr == pytest.approx(gain, abs=1e-6)


def test_one_against_the_other_is_the_inverse_of_the_other_against_the_one() -> None:
    other = [(900, 23.0), (1500, 27.0), (4000, 31.0), (8000, 36.0)]
    a, b = delta("a", CURVE, "b", other), delta("b", other, "a", CURVE)
    assert a.bd_rate is not None
    assert b.bd_rate is not None
    assert (1 + a.bd_rate / 100) * (1 + b.bd_rate / 100) == pytest.approx(1)
    assert a.bd_psnr == pytest.approx(-(b.bd_psnr or 0))
    assert (a.psnr_low, a.psnr_high) == (25.0, 35.0)


def test_on_four_points_of_smooth_curves_it_is_what_one_cubic_gives() -> None:
    def curve(scale: float, slope: float) -> list[tuple[int, float]]:
        sizes = np.array([2000, 4000, 8000, 16000])
        return [(int(b), float(20 + slope * np.log(b / scale) - 0.2 * np.log(b / scale) ** 2)) for b in sizes]

    ours, theirs = curve(1000, 5), curve(1300, 5.2)
    low, high = max(ours[0][1], theirs[0][1]), min(ours[-1][1], theirs[-1][1])
    areas = []
    for points in (ours, theirs):  # Bjontegaard's own way
        fit = np.polyfit([p for _, p in points], np.log([b for b, _ in points]), 3)
        whole = np.polyint(fit)
        areas.append(np.polyval(whole, high) - np.polyval(whole, low))
    expected = 100 * (np.exp((areas[0] - areas[1]) / (high - low)) - 1)
    assert delta("a", ours, "b", theirs).bd_rate == pytest.approx(expected, abs=0.3)


@example([(1.0, 0.0), (1.0, 5e-324), (1.0, 1.0)])
@given(st.lists(st.tuples(st.floats(0.1, 3), st.floats(-3, 3)), min_size=2, max_size=8))
def test_the_curve_goes_through_its_points_and_never_beyond_two_of_them(steps: list[tuple[float, float]]) -> None:
    x, y = np.cumsum([s for s, _ in steps]), np.cumsum([r for _, r in steps])
    curve = smooth(x, y)
    assert curve(x) == pytest.approx(y, abs=1e-9)
    for i in range(len(x) - 1):
        between = curve(np.linspace(x[i], x[i + 1], 20))
        assert between.min() >= min(y[i], y[i + 1]) - 1e-9
        assert between.max() <= max(y[i], y[i + 1]) + 1e-9


def test_the_curve_is_the_one_of_scipy() -> None:
    interpolate = pytest.importorskip("scipy.interpolate")
    x, y = np.array([0.0, 1.0, 1.5, 4.0, 6.0]), np.array([0.0, 2.0, 2.1, 2.0, 7.0])
    at = np.linspace(0, 6, 101)
    assert smooth(x, y)(at) == pytest.approx(interpolate.PchipInterpolator(x, y)(at))


def test_rates_that_are_beaten_by_a_smaller_one_do_not_count() -> None:
    worse = [*CURVE, (3000, 20.0), (5000, 32.0), (9000, 34.0)]
    assert np.array_equal(front(worse), front(CURVE))


@pytest.mark.parametrize("other", [[(100, 40.0), (200, 50.0)], [(100, 30.0)], [], [(100, 35.0), (200, 50.0)]])
def test_without_a_common_range_there_is_no_figure(other: list[tuple[int, float]]) -> None:
    found = delta("ours", CURVE, "theirs", other)
    assert found.bd_rate is None
    assert "have no common range" in found.words
    assert "25.0 to 35.0 dB" in found.words


@pytest.mark.parametrize(("factor", "words"), [(1.23, "23 % more bytes"), (0.65, "35 % fewer bytes"), (1, "as many")])
def test_a_distance_in_words(factor: float, words: str) -> None:
    found = delta(
        "ours", [(round(1000 * size * factor), p) for size, p in CURVE], "AVIF", [(1000 * b, p) for b, p in CURVE]
    )
    assert words in found.words
    assert found.words.endswith("AVIF at equal PSNR (25.0 to 35.0 dB)")
