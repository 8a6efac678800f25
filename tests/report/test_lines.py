"""Lines with names, and the spread of very many."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmfcompress.report import style
from nmfcompress.report.lines import SPREAD_OF, Line, names_of_runs, spread

losses = st.lists(st.floats(0, 1e6), min_size=1, max_size=12)


def line(losses, name="a"):
    return Line(name, "", "", list(range(1, len(losses) + 1)), losses)


@settings(deadline=None)
@given(st.lists(losses, min_size=1, max_size=30))
def test_the_spread_is_that_of_lines_which_stay_where_they_ended(many):
    found = spread([line(some) for some in many])
    longest = max(map(len, many))
    assert found.x.tolist() == list(range(1, longest + 1))
    filled = np.array([some + [some[-1]] * (longest - len(some)) for some in many])
    np.testing.assert_allclose(found.middle, np.median(filled, axis=0), rtol=1e-9, atol=1e-9)
    outside = 0.1 * (len(many) - 1) + 1  # of few lines one lies outside of what is between them
    assert ((filled < found.low - 1e-6).sum(axis=0) <= outside).all()
    assert ((filled > found.high + 1e-6).sum(axis=0) <= outside).all()
    assert (found.low <= found.middle).all()
    assert (found.middle <= found.high).all()


def test_of_very_many_lines_evenly_spaced_ones_are_looked_at():
    found = spread([line([float(place)]) for place in range(2 * SPREAD_OF)])
    assert (found.count, found.of) == (2 * SPREAD_OF, SPREAD_OF)
    assert found.middle[0] == pytest.approx(SPREAD_OF, rel=1e-3)
    assert "5,000" in found.words


def test_seconds_are_no_whole_numbers():
    found = spread([Line("a", "", "", [0.1, 0.2, 0.35], [3.0, 2.0, 1.0]), Line("b", "", "", [0.1, 0.7], [3.0, 1.0])])
    assert (found.x[0], found.x[-1]) == (0.1, 0.7)
    assert (np.diff(found.middle) <= 0).all()


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["A/loss.csv", "B/loss.csv"], ["A", "B"]),
        (["x/A/loss.csv", "x/B/loss.csv"], ["A", "B"]),
        (["x/A/y/loss.csv", "x/B/z/loss.csv"], ["A/y", "B/z"]),
        (["a.csv", "b.csv"], ["a.csv", "b.csv"]),
        (["loss.csv", "A/loss.csv"], ["loss.csv", "A/loss.csv"]),
        (["./A/loss.csv", "A/../B/loss.csv"], ["A", "B"]),
        (["A/loss.csv"], ["loss.csv"]),
        (["-", "A/loss.csv"], ["-", "A/loss.csv"]),
        ([], []),
    ],
)
def test_what_tells_runs_apart(paths, names):
    assert names_of_runs(paths) == names


@given(st.lists(st.text("ab/", min_size=1, max_size=6).map(lambda words: f"x{words}y"), min_size=2, unique=True))
def test_runs_of_different_files_have_different_names(paths):
    paths = list({"/".join(part for part in path.split("/") if part): path for path in paths}.values())
    assert len(set(names_of_runs(paths))) == len(paths)


@pytest.mark.parametrize("groups", range(1, 41))
def test_no_two_lines_that_are_named_look_the_same(groups):
    if groups == 1 or 40 // groups == 1:  # one image in each: the run has the colour
        looks = [style.look(place) for place in range(40)]
    else:
        looks = [style.look(i, group, groups) for i in range(40 // groups) for group in range(groups)]
    assert len(set(looks)) == len(looks)


def contrast(one, other):
    """As WCAG 2 has it."""

    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return np.dot(linear, (0.2126, 0.7152, 0.0722))

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_no_line_vanishes_on_white():
    assert min(contrast(colour, "#ffffff") for colour in style.COLOURS) > 2
