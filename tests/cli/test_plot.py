"""nmfc plot: losses, ranks and rates drawn from the CSV files of earlier runs."""

from __future__ import annotations

import io
import json
import logging
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from commands import SAMPLES, one_line, picture, real, written
from PIL import Image

from nmfcompress.report import logs, plots, style
from nmfcompress.report.ranks import RankRecord, to_csv

pytest.importorskip("matplotlib")

HEAD = "input,image,label,sweep,loss,relative_loss,reads,gradient,seconds\n"
RATES = "input,codec,quality,bytes,bits_per_pixel,psnr_db,ssim,encode_seconds,decode_seconds\n"


def losses(path, images=3, sweeps=6, names="a{}.png", factor=1.0):
    path.parent.mkdir(exist_ok=True)
    rows = [
        f"{names.format(i)},,,{s},{factor * (i + 1) / s},{1 / s},{s},0.1,{s / 10}\n"
        for i in range(images)
        for s in range(1, sweeps + 1)
    ]
    path.write_text(HEAD + "".join(rows), encoding="utf-8")
    return path


def ranks(path):
    records = [RankRecord(n, 3 / n, 1 / n, 2.5 / n, 20.0, n, 1 / n, 0.1, None, None, n == 4) for n in (1, 2, 4, 8)]
    path.write_text(to_csv(records))


def rates(path):
    rows = [
        f"p.png,{codec},q {q},{q},{q / 10},{30 + q if q < 3 else ''},{q / 4},1,1\n"
        for codec in ("JPEG", "nmfc rows", "other")
        for q in (1, 2, 3)
    ]
    path.write_text(RATES + "".join(rows))


@pytest.fixture
def folder(tmp_path):
    losses(tmp_path / "A" / "loss.csv")
    losses(tmp_path / "B" / "loss.csv", factor=0.5)
    ranks(tmp_path / "rank.csv")
    rates(tmp_path / "compare.csv")
    return tmp_path


def elements(svg, tag=None):
    return ET.fromstring(svg).iter(tag)  # noqa: S314 - of our own making


def words_of(svg):
    return {"".join(element.itertext()) for element in elements(svg, "{http://www.w3.org/2000/svg}text")}


@pytest.mark.parametrize("inputs", [["A/loss.csv"], ["A/loss.csv", "B/loss.csv"], ["rank.csv"], ["compare.csv"]])
@pytest.mark.parametrize("ending", ["png", "svg", "pdf", "PNG"])
def test_the_ending_says_the_kind_and_the_bytes_are_the_same_each_time(run, folder, inputs, ending):
    assert run("plot", *inputs, "-o", f"x.{ending}").code == 0
    assert run("plot", *inputs, "-o", f"y.{ending}").code == 0
    data = (folder / f"x.{ending}").read_bytes()
    assert data == (folder / f"y.{ending}").read_bytes()
    if ending == "svg":
        assert words_of(data) >= {"loss"} or words_of(data) >= {"rank"} or words_of(data) >= {"SSIM"}
    elif ending == "pdf":
        assert data.startswith(b"%PDF")
    else:
        with Image.open(io.BytesIO(data)) as shown:
            assert shown.format == "PNG"
            assert np.asarray(shown.convert("L")).std() > 5


def test_a_matplotlibrc_changes_nothing(folder):
    real(folder, "plot", "A/loss.csv", "-o", "x.png")
    (folder / "matplotlibrc").write_text("text.usetex: True\naxes.facecolor: red\nsavefig.dpi: 20\n")
    assert real(folder, "plot", "A/loss.csv", "-o", "y.png").returncode == 0
    assert (folder / "x.png").read_bytes() == (folder / "y.png").read_bytes()


def test_an_image_has_the_same_colour_in_every_run_and_runs_their_dashes(run, folder):
    assert run("plot", "A/loss.csv", "B/loss.csv", "-o", "x.svg").code == 0
    svg = (folder / "x.svg").read_text()
    assert words_of(svg) >= {"A", "B", "a0.png", "a1.png", "a2.png", "6 curves of 2 runs"}
    strokes = re.findall(r'clip-path[^>]*style="fill: none; ([^"]*stroke: #\w+[^"]*)"', svg)
    for colour in ("#0072b2", "#e69f00", "#009e73"):
        drawn = [stroke for stroke in strokes if colour in stroke]
        assert len(drawn) == 2, drawn
        assert sum("dasharray" in stroke for stroke in drawn) == 1


def test_runs_of_one_image_each_have_the_names_of_their_folders(run, folder):
    for name in ("mu", "hals"):
        losses(folder / name / "loss.csv", images=1)
    assert run("plot", "mu/loss.csv", "hals/loss.csv", "-o", "x.svg").code == 0
    assert words_of((folder / "x.svg").read_text()) >= {"mu", "hals"}


@pytest.mark.parametrize("count", [41, 500])
def test_of_many_curves_the_median_is_drawn_and_only_the_ends_are_named(run, folder, count):
    losses(folder / "many" / "loss.csv", images=count)
    assert run("plot", "many/loss.csv", "-o", "x.svg").code == 0
    words = words_of((folder / "x.svg").read_text())
    assert f"median of {count} images" in words
    assert {"lowest: a0.png", f"highest: a{count - 1}.png"} <= words
    assert "a1.png" not in words
    assert run("plot", "many/loss.csv", "A/loss.csv", "-o", "y.svg").code == 0
    assert f"many: median of {count} images" in words_of((folder / "y.svg").read_text())


def test_log_moves_the_curve_and_a_loss_of_zero_is_said(run, folder):
    for words in ((), ("--log",)):
        assert run("plot", "A/loss.csv", "-o", f"x{len(words)}.png", *words).code == 0
    assert (folder / "x0.png").read_bytes() != (folder / "x1.png").read_bytes()
    losses(folder / "zero" / "loss.csv", factor=0.0)
    done = run("plot", "zero/loss.csv", "A/loss.csv", "--log", "-o", "y.png")
    assert done.code == 0
    assert "a0.png and 2 more: loss 0 has no place on a logarithmic axis" in done.err
    assert run("plot", "zero/loss.csv", "--log", "-o", "z.png").code == 0


@pytest.mark.parametrize("x", ["sweep", "reads", "seconds"])
@pytest.mark.parametrize("y", ["loss", "relative_loss", "gradient"])
def test_any_column_over_any_other(run, folder, x, y):
    assert run("plot", "A/loss.csv", "-o", "x.svg", "--x", x, "--y", y).code == 0
    assert {plots.AXES[x], plots.AXES[y]} <= words_of((folder / "x.svg").read_text())


def test_names_mean_nothing(run, folder):
    for place, name in enumerate(
        ["$x^2$", "_a", "<script>", "\x1b[31m", "a\u202eb", "]]>&amp;", "数字 🙂", "'=1", "$"]
    ):
        losses(folder / f"n{place}" / "loss.csv", images=1, names=name)
        done = run("plot", f"n{place}/loss.csv", "-o", f"{place}.svg")
        assert done.code == 0, done.err
        svg = (folder / f"{place}.svg").read_bytes().decode()
        assert "\x1b" not in svg + done.err
        assert "\u202e" not in svg + done.err
        assert {element.tag.split("}")[-1] for element in elements(svg)} <= {
            *("svg", "metadata", "RDF", "Work", "format", "type", "defs", "style", "g", "path", "use", "text"),
            *("tspan", "clipPath", "rect"),
        }
        for ending in ("png", "pdf"):
            assert run("plot", f"n{place}/loss.csv", "-o", f"{place}.{ending}").code == 0


def test_the_plots_that_commands_draw_are_those_of_their_files(run, folder):
    picture(folder / "a.png", size=(40, 32))
    np.savez(folder / "c.npz", images=np.random.default_rng(0).integers(0, 255, (4, 16, 16), np.uint8))
    assert run("compress", "c.npz", "-k", 2, "-n", 5, "-O", "one").code == 0
    assert run("plot", "one/loss.csv", "-o", "x.svg").code == 0
    assert {"image 1" in words or "(image 1)" in words for words in words_of((folder / "x.svg").read_text())} >= {True}
    assert run("rank", "a.png", "--ranks", "1-4", "-O", "two").code == 0
    assert run("plot", "two/rank.csv", "-o", "y.svg").code == 0
    assert any(re.search(r": rank \d+$", words) for words in words_of((folder / "y.svg").read_text()))
    assert run("compare", "a.png", "--codecs", "svd,jpeg", "--rates", 3, "-O", "three").code == 0
    assert "rates.png" in written(folder / "three")
    assert run("plot", "three/compare.csv", "-o", "z.svg").code == 0
    assert {"JPEG", "SVD rows"} <= words_of((folder / "z.svg").read_text())
    assert run("compare", "a.png", "--codecs", "jpeg", "--rates", 3, "-O", "four", "--no-plot").code == 0
    assert "rates.png" not in written(folder / "four")


def test_without_o_the_plot_goes_into_the_folder(run, folder):
    for name, made in (("A/loss.csv", "loss.png"), ("rank.csv", "rank.png"), ("compare.csv", "rates.png")):
        done = run("plot", name, "-O", "out")
        assert (done.code, done.out) == (0, "")
        assert done.err.endswith(f"written to out/{made}\n")
    assert written(folder / "out") == ["loss.png", "rank.png", "rates.png"]


def test_pipes(folder):
    data = (folder / "A" / "loss.csv").read_bytes()
    done = real(folder, "plot", "-", "-o", "-", "--to", "svg", input=data)
    assert done.returncode == 0
    assert "a1.png" in words_of(done.stdout)
    assert done.stderr == b"3 curves\n"


def test_json(run, folder):
    done = run("plot", "A/loss.csv", "B/loss.csv", "-o", "x.png", "--json")
    said = {"kind": "loss", "inputs": ["A/loss.csv", "B/loss.csv"], "curves": 6, "outputs": ["x.png"], "notes": []}
    assert json.loads(done.out) == said
    assert done.err == ""


def test_nothing_is_overwritten(run, folder):
    assert run("plot", "A/loss.csv", "-o", "x.png").code == 0
    before = (folder / "x.png").read_bytes()
    again = run("plot", "rank.csv", "-o", "x.png")
    assert again.code == 1
    one_line(again.err, "x.png", "exists", "-f")
    assert run("plot", "rank.csv", "-o", "x.png", "--skip-existing").code == 0
    assert (folder / "x.png").read_bytes() == before
    assert run("plot", "rank.csv", "-o", "x.png", "-f").code == 0
    assert (folder / "x.png").read_bytes() != before
    (folder / "A" / "loss.csv").rename(folder / "in.png")
    refused = run("plot", "in.png", "-o", "in.png", "-f")
    assert refused.code == 1
    one_line(refused.err, "in.png", "is an input, which is never overwritten")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["none.csv", "-o", "x.png"], 1, "none.csv: cannot be read"),
        (["A", "-o", "x.png"], 1, "A: is a folder"),
        (["bad.csv", "-o", "x.png"], 1, "bad.csv: is no CSV of nmfc"),
        (["A/loss.csv", "bad.csv", "-o", "x.png"], 1, "bad.csv: is no CSV of nmfc"),
        (["cut.csv", "-o", "x.png"], 1, "cut.csv: ends in the middle of a line"),
        (["A/loss.csv", "-o", "none/x.jpg"], 2, "-o ends in .jpg (expected one of png, svg, pdf)"),
        (["A/loss.csv", "-o", "x"], 2, "-o has no ending"),
        (["A/loss.csv", "-o", "-"], 2, "-o - needs --to"),
        (["A/loss.csv", "-o", "-", "--to", "png", "--json"], 2, "both write to stdout"),
        (["A/loss.csv", "-o", "x.png", "--to", "svg"], 2, "--to says svg"),
        (["A/loss.csv", "rank.csv", "-o", "x.png"], 2, "A/loss.csv is a loss.csv and rank.csv a rank.csv"),
        (["rank.csv", "compare.csv", "-o", "x.png"], 2, "(expected one kind)"),
        (["rank.csv", "copy.csv", "-o", "x.png"], 2, "only losses are laid over each other"),
        (["compare.csv", "--log", "-o", "x.png"], 2, "--log is given with a compare.csv"),
        (["rank.csv", "--y", "gradient", "-o", "x.png"], 2, "is given with a rank.csv"),
        (["A/loss.csv", "--x", "days", "-o", "x.png"], 2, "--x"),
    ],
)
def test_wrong_words(run, folder, words, code, said):
    (folder / "bad.csv").write_text("a,b\n1,2\n")
    (folder / "cut.csv").write_bytes((folder / "A" / "loss.csv").read_bytes()[:-1])
    ranks(folder / "copy.csv")
    done = run("plot", *words)
    assert done.code == code, done.err
    one_line(done.err, said)
    assert not (folder / "x.png").exists()


def test_a_huge_file_is_refused_before_it_is_read(run, folder):
    with open(folder / "huge.csv", "wb") as file:
        file.truncate(logs.LARGEST + 1)
    done = run("plot", "huge.csv", "-o", "x.png")
    assert done.code == 1
    one_line(done.err, "huge.csv: has 268.4 MB")


def test_without_the_extra_it_says_what_to_install(run, folder, monkeypatch):
    monkeypatch.setattr("nmfcompress.report.style.available", lambda: False)
    done = run("plot", "A/loss.csv", "-o", "x.png")
    assert done.code == 2
    one_line(done.err, "nmfc plot needs an extra: pip install 'nmfcompress[plot]'")


@pytest.mark.parametrize(
    ("words", "file"),
    [(["rank", "--ranks", 2], "rank.png"), (["compare", "--codecs", "jpeg", "--rates", 1], "rates.png")],
)
def test_without_the_extra_a_plot_that_is_not_drawn_is_named(run, monkeypatch, words, file):
    monkeypatch.setattr("nmfcompress.report.plots.available", lambda: False)
    said = run(*words, SAMPLES / "grey.png")
    assert said.code == 0
    assert f"no {file}, which needs an extra" in said.err
    assert "extra" not in run(*words, SAMPLES / "grey.png", "--no-plot", "-f").err


def test_a_home_that_cannot_be_written_says_nothing(nmfc, tmp_path):
    losses(tmp_path / "loss.csv")
    (tmp_path / "file").touch()
    home = {"HOME": str(tmp_path / "file"), "XDG_CONFIG_HOME": "", "XDG_CACHE_HOME": "", "MPLCONFIGDIR": ""}
    done = nmfc("plot", "loss.csv", "-o", "a.png", "-q", env=home)
    assert (done.returncode, done.stderr) == (0, b"")
    done = nmfc("plot", "loss.csv", "-o", "loss.csv/a.png", env=home)
    assert done.returncode == 1
    one_line(done.stderr.decode(), "loss.csv")
    picture(tmp_path / "b.png")
    done = nmfc("compress", "b.png", "-k", 2, "-n", 2, "--plot", "-q", env=home)
    assert (done.returncode, done.stderr) == (0, b"")


def test_messages_of_matplotlib_are_heard_again_afterwards():
    log = logging.getLogger("matplotlib")
    before = log.level
    with style.ours():
        assert not log.isEnabledFor(logging.ERROR)
    assert log.level == before
