"""The curves of the loss, with Matplotlib and without."""

from __future__ import annotations

import importlib.util
import io

import numpy as np
import pytest
from PIL import Image

from nmfcompress.errors import ExtraMissing
from nmfcompress.factor import SweepRecord
from nmfcompress.report import plots
from nmfcompress.report.lines import NAMED, lines_of, name_of
from nmfcompress.report.records import Curve

DIVERGENCES = ["frobenius", "kl", "is"]


def curve(name="a.png", image=None, label=None, sweeps=20):
    return Curve(name, image, label, tuple(SweepRecord(i, 5 / i, 1 / i, 0.1) for i in range(1, sweeps + 1)))


def drawn(curves, divergence="frobenius"):
    content = plots.loss_curves(curves, divergence)
    assert content.startswith(b"\x89PNG")
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture
def matplotlib():
    return pytest.importorskip("matplotlib")


@pytest.mark.usefixtures("matplotlib")
@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_a_curve_is_a_picture(divergence):
    picture = drawn([curve()], divergence)
    assert picture.shape[0] >= 400
    assert (picture == [0x00, 0x72, 0xB2]).all(axis=2).sum() > 100, "no line in its colour"


@pytest.mark.usefixtures("matplotlib")
def test_one_sweep_is_a_point():
    assert (drawn([curve(sweeps=1)]) == [0x00, 0x72, 0xB2]).all(axis=2).any()


@pytest.mark.usefixtures("matplotlib")
def test_a_loss_of_zero_and_a_constant_one():
    flat = Curve("a", None, None, tuple(SweepRecord(i, 0.0, 0.0, 0.0) for i in range(1, 5)))
    drawn([flat, curve()])


@pytest.mark.usefixtures("matplotlib")
@pytest.mark.parametrize(
    "label",
    [
        "$x$",
        "a$b",
        "$\\frac",
        "a\\$b$",
        "_hidden",
        "__",
        "",
        "x" * 500,
        "数字 🙂",
        "two\nlines",
        "\x00\x1b",
        "\udcff",
        -1,
    ],
)
def test_any_label(label):
    """Neither mathematics, nor hidden, nor a warning (warnings are errors here)."""
    drawn([curve(label=label), curve(label="b")])
    drawn([curve(name=str(label)), curve(name="b")])


@pytest.mark.usefixtures("matplotlib")
@pytest.mark.parametrize("label", ["_a", "$a$", "a"])
def test_every_curve_is_in_the_legend_by_its_own_words(label):
    figure = pytest.importorskip("matplotlib.figure").Figure()
    axes = figure.add_subplot()
    for c in (curve(label=label), curve(label="b")):
        axes.plot([1, 2], label=plots.quiet(name_of(lines_of([c])[0], True)))
    texts = [text.get_text() for text in axes.legend().get_texts()]
    assert [text.strip().replace("\\$", "$") for text in texts] == [label, "b"]


@pytest.mark.usefixtures("matplotlib")
def test_many_curves_are_drawn_without_a_legend():
    drawn([curve(image=i) for i in range(NAMED + 1)])


@pytest.mark.usefixtures("matplotlib")
def test_the_same_curves_are_the_same_bytes():
    assert plots.loss_curves([curve()], "kl") == plots.loss_curves([curve()], "kl")


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)
    assert not plots.available()
    with pytest.raises(ExtraMissing, match=r"nmfcompress\[plot\]") as caught:
        plots.loss_curves([curve()], "frobenius")
    assert caught.value.exit_code == 2
