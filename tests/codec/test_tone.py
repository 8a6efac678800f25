"""The output curve."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmfcompress.codec.tone import FINE, NODES, SPACING, Curve, CurveFit, places_of

RISING = st.lists(st.integers(0, 255 * FINE), min_size=NODES, max_size=NODES).map(
    lambda nodes: Curve(np.sort(np.array(nodes, np.int64)))
)


@given(RISING, st.integers(1, 256))
def test_levels_are_those_of_a_line_between_nodes_and_never_fall(curve: Curve, unit: int) -> None:
    sums = np.arange(0, (NODES - 1) * SPACING * unit, max(1, unit // 3))
    levels = curve.levels(sums, unit)
    assert (np.diff(levels) >= 0).all()
    exact = np.interp(sums / unit, SPACING * np.arange(NODES), curve.nodes)
    assert (levels <= exact + 1e-6).all()  # rounded down
    assert (levels > exact - 1 - 1e-6).all()
    np.testing.assert_array_equal(curve.levels(SPACING * unit * np.arange(NODES - 1), unit), curve.nodes[:-1])


@given(RISING)
def test_sums_beyond_the_ends_are_at_the_ends(curve: Curve) -> None:
    low, high = curve.levels(np.array([-5, 10**9]), 16)
    assert low == curve.nodes[0]
    assert curve.nodes[-2] <= high <= curve.nodes[-1]


@given(RISING)
def test_the_table_is_the_curve_in_floats(curve: Curve) -> None:
    grey, slope = curve.table()
    assert grey.dtype == slope.dtype == np.float32
    assert (np.diff(grey) >= 0).all()
    assert (slope >= 0).all()
    np.testing.assert_allclose(grey[:: 2 * SPACING], curve.nodes / FINE, rtol=1e-6, atol=1e-4)


def test_the_first_curve_shows_black_and_white() -> None:
    first = Curve.first()
    assert first.nodes[0] == 0
    assert first.nodes[-1] == 255 * FINE
    assert (np.diff(first.nodes) >= 0).all()


def test_a_curve_is_learned_from_what_is_seen(rng: np.random.Generator) -> None:
    sums = rng.uniform(0, 640, (200, 500))
    grey = 255 * (1 - np.exp(-sums / 200))
    fit = CurveFit()
    for some in np.split(sums, 4):
        fit.add(places_of(some), 255 * (1 - np.exp(-some / 200)) + rng.normal(0, 5, some.shape))
    shown = np.interp(sums, SPACING * np.arange(NODES), fit.curve().nodes / FINE)
    assert np.abs(shown - grey).max() < 3


@pytest.mark.parametrize("grey", [0.0, 255.0, 77.0])
def test_a_curve_of_hardly_anything_still_rises(grey: float) -> None:
    fit = CurveFit()
    assert (np.diff(fit.curve().nodes) >= 0).all()
    fit.add(places_of(np.full(10, 100.0)), np.full(10, grey))
    nodes = fit.curve().nodes
    assert (np.diff(nodes) >= 0).all()
    assert nodes.min() >= 0
    assert nodes.max() <= 255 * FINE
    assert abs(np.interp(100, SPACING * np.arange(NODES), nodes / FINE) - grey) < 1


def test_a_curve_that_falls_in_the_pictures_is_flat_in_the_file(rng: np.random.Generator) -> None:
    sums = rng.uniform(0, 640, 5000)
    fit = CurveFit()
    fit.add(places_of(sums), 255 - sums / 3)
    assert (np.diff(fit.curve().nodes) >= 0).all()
