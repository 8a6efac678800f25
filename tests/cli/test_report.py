"""--report: the page of a run, whole, beside its other outputs, and never in place of one."""

from __future__ import annotations

import json
import os
import shlex

import numpy as np
import pytest
from commands import one_line, picture, real, shell, tones, written
from pages import command_of, looked_at

from nmfcompress.cli.asked import quoted
from nmfcompress.report.panels import SHOWN


def page(path):
    return looked_at(path.read_bytes())


def archive(path, count, side=12):
    with open(path, "wb") as file:
        np.savez(
            file, images=np.stack([tones(side, side, seed=seed) for seed in range(count)]), labels=np.arange(count)
        )


def test_one_picture(run, tmp_path):
    picture(tmp_path / "a.png", "RGB", (60, 40))
    done = run("compress", "a.png", "-k", 3, "-n", 20, "--report", "r.html", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert "r.html" in told["outputs"]
    root = page(tmp_path / "r.html")
    assert root.all("h1")[0].text == "a.png, from 3 parts"
    assert [h.text for h in root.all("h2")] == ["Picture", "Loss", "Figures", "Command"]
    assert len(root.all("img")) == 3 + 3
    figures = {row.children[0].text: row.children[1].text for row in root.all("table")[-1].all("tr")}
    assert figures["PSNR dB"] == f"{told['psnr_db']:.2f}"
    assert figures["bytes"] == f"{told['bytes']:,}"
    assert figures["loss"] == f"{told['loss']:.5g}"
    assert command_of(root) == "nmfc compress a.png -k 3 -n 20 --report r.html --json"


def test_the_same_run_is_the_same_page(run, tmp_path):
    picture(tmp_path / "a.png")
    pages = []
    for jobs in (1, 2):
        assert run("compress", "a.png", "-k", 2, "--report", "r.html", "-f", "-j", jobs).code == 0
        pages.append((tmp_path / "r.html").read_bytes().replace(b"-j 2", b"-j 1"))
    assert pages[0] == pages[1]


def test_it_needs_no_matplotlib(run, tmp_path, monkeypatch):
    monkeypatch.setattr("nmfcompress.report.style.available", lambda: False)
    monkeypatch.setattr("nmfcompress.report.plots.available", lambda: False)
    archive(tmp_path / "a.npz", 3)
    assert run("compress", "a.npz", "-k", 2, "-n", 5, "--report", "r.html").code == 0
    assert len(page(tmp_path / "r.html").all("svg")) == 1 + 3
    assert run("basis", "a.npz", "-k", 2, "-n", 5, "--report", "s.html", "-O", "b").code == 0


@pytest.mark.parametrize("jobs", [1, 2])
def test_of_many_pictures_so_many_are_shown(run, tmp_path, jobs):
    archive(tmp_path / "a.npz", SHOWN + 6)
    words = ("compress", "a.npz", "-k", 2, "-n", 5, "-O", "o", "--write", "csv", "--no-plot", "-j", jobs)
    assert run(*words, "--report", "r.html").code == 0
    root = page(tmp_path / "r.html")
    assert len(root.all("img")) == SHOWN * (3 + 2)
    assert f"The pixels of the first {SHOWN} of {SHOWN + 6} pictures are here." in root.text
    (table,) = root.all("tbody")
    assert len(table.children) == SHOWN + 6
    assert written(tmp_path / "o") == ["loss.csv"]


def test_what_failed_is_said(run, tmp_path):
    for name in "ab":
        picture(tmp_path / f"{name}.png")
    (tmp_path / "bad.png").write_bytes(b"none")
    done = run("compress", "a.png", "bad.png", "b.png", "-k", 2, "--report", "r.html")
    assert done.code == 1
    root = page(tmp_path / "r.html")
    assert "1 failed and are not here: bad.png." in root.text
    assert root.all("h1")[0].text == "2 pictures, each from 2 parts"
    assert run("compress", "bad.png", "-k", 2, "--report", "none.html").code == 1
    assert not (tmp_path / "none.html").exists()


def test_a_collection(run, tmp_path):
    archive(tmp_path / "a.npz", 20)
    done = run("basis", "a.npz", "-k", 4, "-n", 20, "--report", "r.html", "--show", 3, "--json")
    assert done.code == 0, done.err
    assert "r.html" in json.loads(done.out)["outputs"]
    root = page(tmp_path / "r.html")
    assert root.all("h1")[0].text == "The 4 parts of a.npz"
    assert len(root.all("img")) == 4 + 3 * 3
    assert "label 2, image 2" in {caption.text for caption in root.all("figcaption")}
    again = run("basis", "a.npz", "--basis-from", "nmfc-out/factors.npz", "-O", "b", "--report", "s.html")
    assert again.code == 0, again.err
    assert "The parts are those of nmfc-out/factors.npz" in page(tmp_path / "s.html").text


@pytest.mark.parametrize("kind", ["uint16", "float32"])
@pytest.mark.parametrize("command", ["compress", "basis"])
def test_any_type_of_pixel(run, tmp_path, kind, command):
    values = np.random.default_rng(0).random((4, 12, 12)) * (1 if kind == "float32" else 60000)
    np.save(tmp_path / "a.npy", values.astype(kind))
    done = run(command, "a.npy", "-k", 2, "-n", 5, "--report", "r.html", "--write", "csv")
    assert done.code == 0, done.err
    page(tmp_path / "r.html")


def test_a_page_is_never_overwritten_unasked(run, tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "r.html").write_text("mine")
    for words in (("compress", "a.png", "-k", 2), ("basis", "a.png", "--basis-from", "x.npz")):
        refused = run(*words, "--report", "r.html")
        assert refused.code == 1
        assert (tmp_path / "r.html").read_text() == "mine"
    refused = run("compress", "a.png", "-k", 2, "--report", "r.html")
    one_line(refused.err, "r.html", "exists")
    assert not (tmp_path / "nmfc-out").exists()
    assert run("compress", "a.png", "-k", 2, "--report", "r.html", "--skip-existing").code == 0
    assert (tmp_path / "r.html").read_text() == "mine"
    assert run("compress", "a.png", "-k", 2, "--report", "r.html", "-f").code == 0
    page(tmp_path / "r.html")


@pytest.mark.parametrize("command", ["compress", "basis"])
def test_no_file_that_is_read_is_overwritten(run, tmp_path, command):
    archive(tmp_path / "in.html", 3)
    picture(tmp_path / "mask.html", size=(12, 12))
    for words in (["in.html"], ["in.html", "--mask", "mask.html"]):
        before = (tmp_path / words[-1]).read_bytes()
        done = run(command, *words, "-k", 2, "-n", 2, "--report", words[-1], "-f")
        assert done.code == 1
        assert "is an input, which is never overwritten" in done.err
        assert (tmp_path / words[-1]).read_bytes() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["compress", "a.png", "-k", 2, "--report", "r.png"], "--report is r.png (expected a name in .html)"),
        (["compress", "a.png", "-k", 2, "--report", "-"], "--report is - (expected a name in .html)"),
        (["compress", "a.png", "-k", 2, "--report", ""], "--report is empty (expected a name in .html)"),
        (["compress", "a.png", "-k", 2, "--report", "r.html", "-o", "b.png"], "it does not go with --report"),
        (["compress", "a.png", "-k", 2, "--report", "r.html", "-o", "b.nmfc"], "it does not go with --report"),
        (["basis", "a.png", "-k", 2, "--report", "r"], "--report is r (expected a name in .html)"),
    ],
)
def test_wrong_words(run, tmp_path, words, said):
    picture(tmp_path / "a.png")
    done = run(*words)
    assert done.code == 2
    one_line(done.err, said)


def test_hostile_names(tmp_path):
    names = ["<script>alert(1)<", "a\x1b[31mb", "q\"u'o`te$(x)", "-- x", "new\nline", "\udcff", "\u202ebidi", "&lt;"]
    for name in names:
        picture(tmp_path / f"{name}.png")
    inputs = [os.fsencode(f"./{name}.png") for name in names]
    done = real(tmp_path, "compress", *inputs, "-k", 2, "-n", 2, "--write", "csv", "--report", "r.html")
    assert done.returncode == 0, done.stderr
    root = page(tmp_path / "r.html")
    command = command_of(root)
    shown = shell(tmp_path, f"printf '%s\\0' {command}").stdout
    asked = [b"nmfc", b"compress", *inputs, b"-k", b"2", b"-n", b"2", b"--write", b"csv", b"--report", b"r.html"]
    assert shown.split(b"\0")[:-1] == asked


@pytest.mark.parametrize(
    "word", ["a", "a b", "", "it's", "$x", "\x1b\x01", "\\n\n", "\u202e'\"", "\udcfe\x80", "é\x07"]
)
def test_a_shell_takes_a_quoted_word_for_what_it_was(tmp_path, word):
    assert shell(tmp_path, f"printf %s {quoted(word)}").stdout == os.fsencode(word)
    assert quoted(word).isprintable() or not word.isprintable()


def test_variables_that_were_read_are_part_of_the_command(run, tmp_path, monkeypatch):
    picture(tmp_path / "a.png")
    monkeypatch.setenv("NMFC_COMPRESS_RANK", "3")
    monkeypatch.setenv("NMFC_COMPRESS_MAX_SWEEPS", "7")
    monkeypatch.setenv("NMFC_BASIS_RANK", "9")
    assert run("compress", "a.png", "--report", "r.html").code == 0
    command = command_of(page(tmp_path / "r.html"))
    *variables, name, _, _, _, _ = shlex.split(command)
    assert sorted(variables) == ["NMFC_COMPRESS_MAX_SWEEPS=7", "NMFC_COMPRESS_RANK=3"]
    assert name == "nmfc"


def test_ranks(run, tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((40, 3)) @ np.random.default_rng(1).random((3, 30)) / 3)
    done = run("rank", "a.npy", "--ranks", "1-8", "--report", "r.html", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["outputs"][-1] == "r.html"
    root = page(tmp_path / "r.html")
    assert root.all("h1")[0].text == f"a.npy: rank {told['recommended']}"
    assert told["reason"][1:] in root.all("header")[0].text
    (body,) = root.all("tbody")
    assert [row.children[0].text.split()[0] for row in body.children] == [str(one["rank"]) for one in told["ranks"]]
    assert run("rank", "a.npy", "--ranks", "1-8", "--report", "r.html", "-O", "other").code == 1
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("count", [1, 4])
def test_codecs(run, tmp_path, count):
    archive(tmp_path / "a.npz", count, side=24)
    done = run("compare", "a.npz", "--codecs", "svd,jpeg", "--rates", 3, "--report", "r.html", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["outputs"][-1] == "r.html"
    root = page(tmp_path / "r.html")
    rates, *_ = root.all("tbody")
    assert [row.children[2].text for row in rates.children] == [f"{rate['bytes']:,}" for rate in told["rates"]]
    assert len(root.all("img")) >= 2
    assert all(words in root.text for words in told["verdict"])
