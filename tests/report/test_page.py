"""Pages, and what they are made of: text stays text, and colours can be told from the paper."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import Tree, command_of, looked_at
from test_lines import contrast, line

from nmfcompress.report import page
from nmfcompress.report.chart import BOTTOM, LEFT, NAMED, RIGHT, TOP, Series, chart, loss_chart
from nmfcompress.report.html import Html, joined, tag
from nmfcompress.report.lines import Line
from nmfcompress.report.panels import SHOWN, panel, sizes_for, trio
from nmfcompress.report.records import Outcome

HOSTILE = [
    "</title><script>alert(1)</script>", '" onload="alert(1)', "<!--", "]]>", "&amp;", "a\x1b[31mb", "\u202eb",
    "\udcff", "<img src=x>", "'", "{{x}}", "</style>", "</pre>", "\n", "a" * 5000, "", "数字 🙂",
]  # fmt: skip


def outcome(name="a.png", **more):
    about = {
        **{"image": None, "label": None, "width": 30, "height": 20, "mode": "L", "rank": 3, "solver": "mu"},
        **{"divergence": "frobenius", "sweeps": 9, "converged": True, "loss": 1.5, "relative_loss": 0.1, "reads": 9},
        **{"gradient": None, "svd_floor": None, "psnr_db": 30.0, "ssim": None, "seconds": 1, "outputs": ()},
    }
    return Outcome(name, **(about | more))


def made(name="a.png", words="nmfc", **more):
    pixels = np.arange(600, dtype=np.uint8).reshape(20, 30)
    three = trio(pixels, pixels // 2 * 2, 640)
    one = outcome(name, **more)
    sections = [
        page.Section("picture", name, page.three(three, name, one)),
        page.Section("loss", "Loss", page.curves([line([3.0, 2.0, 1.0], name)], one.divergence, 1)),
        page.Section("figures", "Figures", page.figures([one], 1)),
        page.Section("all", "All", joined([page.heading("Notes"), page.notes([name])])),
    ]
    return page.document(name, [name], sections, words)


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_text_stays_text(words, value, name):
    """Whatever it is, the parser gives it back, but for what a terminal obeys."""
    element = Tree(tag("p", words, tag("a", name, href=value, class_="x"), words)).root.children[0]
    odd = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
    if not odd.search(words + value + name):
        assert element.words == words + words
        assert element.children[0].text == name
        assert element.children[0].attributes == {"href": value, "class": "x"}
    assert [child.name for child in element.children] == ["a"]


def test_only_what_is_html_is_markup():
    assert tag("p", Html("<b>"), "<b>") == "<p><b>&lt;b&gt;</p>"
    assert tag("th", "x", scope="row", id=None, hidden=True, aria_label='"') == (
        '<th scope="row" hidden aria-label="&quot;">x</th>'
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_and_commands_are_neutral(name):
    root = looked_at(made(name, name, label=name, notes=(name,)))
    assert not root.all("script")
    if name.isprintable() and name.isascii():
        assert command_of(root) == name
        assert root.all("h1")[0].text == name
        assert name in {element.text for element in root.all("h2")}


@pytest.mark.parametrize(
    "more",
    [{}, {"psnr_db": None, "converged": False}, {"bytes": 10, "bits_per_pixel": 0.1, "ratio": 3.0}, {"images": 4},
     {"divergence": "kl"}],
)  # fmt: skip
def test_a_page_is_whole(more):
    root = looked_at(made(**more))
    figures = {row.children[0].text: row.children[1].text for row in root.all("table")[-1].all("tr")}
    assert figures["loss"] == "1.5"
    assert figures["PSNR dB"] == ("equal" if "psnr_db" in more else "30.00")
    assert figures["sweeps"] == ("9+" if "converged" in more else "9")
    assert ("bytes" in figures) == ("bytes" in more)


def test_figures_of_several_are_a_table_of_which_so_many_lines_are_shown():
    root = looked_at(page.document("t", [], [page.Section("f", "F", page.figures([outcome()] * 600, 70_000))], "nmfc"))
    assert len(root.all("tbody")[0].children) == page.ROWS
    assert "The first 500 of 70,000." in root.text


def test_colours_can_be_told_from_the_paper():
    light, dark = page.STYLE.split("@media (prefers-color-scheme: dark)")
    colours = {name: dict(re.findall(r"--([a-z0-9]+): (#\w{6})", css)) for name, css in (("l", light), ("d", dark))}
    for found in colours.values():
        assert set(found) == set(colours["l"])
        for name in ("ink", "faint", "link"):
            assert contrast(found[name], found["paper"]) >= 4.5
            assert contrast(found[name], found["shade"]) >= 4.5 or name == "faint"
        for name in ("rule", *(f"c{place}" for place in range(5))):
            assert contrast(found[name], found["paper"]) >= 3


# Charts


def points_of(svg, name="polyline"):
    found = Tree(svg).root.all(name)
    return [[tuple(map(float, p.split(","))) for p in (e.attributes["points"] or "").split()] for e in found]


def test_a_range_that_is_next_to_nothing_is_none():
    (points,) = points_of(loss_chart([line([0.0, 5e-324])], False))
    assert len(points) == 2


@settings(deadline=None)
@given(st.lists(st.just(0.0) | st.floats(1e-200, 1e12), min_size=2, max_size=900))
def test_a_curve_is_within_its_axes_and_where_it_belongs(losses):
    (points,) = points_of(loss_chart([line(losses)], False))
    assert 2 <= len(points) <= 300
    xs, ys = zip(*points, strict=True)
    assert list(xs) == sorted(xs)
    assert min(xs) >= LEFT
    assert max(xs) <= RIGHT
    assert min(ys) >= TOP - 0.1
    assert max(ys) <= BOTTOM + 0.1
    assert xs[-1] == RIGHT or len(losses) < 9
    top = max(losses)
    if top > 0:
        first = BOTTOM - losses[0] / top * (BOTTOM - TOP)
        assert ys[0] == pytest.approx(first, abs=0.26 * (BOTTOM - TOP))
        assert ys.index(min(ys)) == [round(y, 1) for y in ys].index(min(ys))


@pytest.mark.parametrize("losses", [[0.0], [0.0, 0.0], [5.0], [5.0, 5.0], [1e-300, 0.0], [1e300, 1.0], [1e-9, 1e9]])
def test_odd_losses(losses):
    looked_at(page.document("t", [], [page.Section("l", "L", page.curves([line(losses)], "is", 1))], "nmfc"))


@pytest.mark.parametrize("count", [1, 2, NAMED, NAMED + 1, 400])
def test_few_curves_are_named_and_of_many_there_is_the_middle(count):
    lines = [Line("a.npz", str(i), "", [1, 2, 3], [3.0 + i, 2.0 + i, 1.0 + i]) for i in range(count)]
    root = looked_at(page.document("t", [], [page.Section("l", "L", page.curves(lines, "frobenius", 1000))], "nmfc"))
    entries = [entry.text for entry in root.all("ul")[-1].children] if count > 1 else []
    assert len(entries) == {1: 0}.get(count, count if count <= NAMED else 2)
    (described,) = root.all("desc")
    assert "3 to 1" in described.text or f"median of {count} images" in described.text
    looks = {(e.attributes["style"], e.attributes.get("stroke-dasharray")) for e in root.all("polyline")}
    assert len(looks) == (count if count <= NAMED else 1)


def test_a_logarithmic_axis():
    some = [Series("a", [0.01, 0.1, 1.0], [1.0, 2.0, 3.0]), Series("b", [0.02, 4.0], [1.0, 2.0])]
    root = Tree(chart(some, "bits", "dB", "words", "c", log_x=True, points=True, from_zero=False)).root
    circles = [float(e.attributes["cx"] or 0) for e in root.all("circle")]
    assert circles[1] - circles[0] == pytest.approx(circles[2] - circles[1], abs=0.2)


# Pictures


@pytest.mark.parametrize("count", [1, 2, 6, 7, 24, 1000])
def test_a_page_stays_small_whatever_it_shows(count):
    """Noise, which no PNG makes smaller."""
    noise = np.random.default_rng(0).integers(0, 256, (900, 900, 3), np.uint8)
    sizes = sizes_for(count)
    whole = panel(noise, sizes.picture), panel(noise, sizes.part)
    total = min(count, SHOWN) * (3 * len(whole[0].png) + sizes.parts * len(whole[1].png))
    assert total * 4 / 3 < 20e6


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("shape", [(1, 1), (20, 30), (700, 20), (5, 900, 3)])
def test_pictures_are_reduced_to_a_side_and_never_enlarged_in_their_bytes(dtype, shape):
    pixels = (np.random.default_rng(0).random(shape) * (1 if dtype == "float32" else 200)).astype(dtype)
    if len(shape) == 3 and dtype == "uint16":
        return
    found = trio(pixels, pixels, 200)
    assert found.factor is None
    for one in (found.original, found.reconstruction, found.error):
        assert one.full == (shape[1], shape[0])
        assert max(one.width, one.height) == min(200, max(shape[:2]))
        assert one.reduced == (max(shape[:2]) > 200)
