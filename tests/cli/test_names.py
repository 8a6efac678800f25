"""Names and labels made to do harm, at every door: nothing that a terminal, a spreadsheet or a file system obeys."""

from __future__ import annotations

import csv
import io
import json
import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from commands import picture, tones, written
from containers_made import single, stack

from nmfcompress.codec.header import Meta
from nmfcompress.report.plots import available

STEMS = [
    "a\x1b[31mred", "new\nline", "back\rhome", "=1+1", "@x", "-x", "+x", "\tled", "<script>alert(1)<", "\udcff\udcfe",
    "right\u202eto left", "null\u2028line", "bell\x07\x9b2J", 'comma, "quote"', "＝wide",
]  # fmt: skip
FAST = ("-k", 1, "-n", 2)


def harmless(*words: str) -> None:
    """Nothing that a terminal obeys."""
    for text in words:
        odd = {c for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp", "Cf")}
        assert not odd, text


def for_spreadsheets(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, none of whose texts is a formula."""
    raw = path.read_bytes().decode("utf-8")
    harmless(raw.replace("\t", ""))
    rows = list(csv.DictReader(io.StringIO(raw, newline="")))
    for row in rows:
        for column in ("input", "label"):
            value = row.get(column, "")
            assert not value.startswith(tuple("=+-@\t\r＝＋－＠")), value
            if value.startswith("'"):
                assert '"' + value.replace('"', '""') + '"' in raw, "it stands in quotes"
    return rows


def everything(folder: Path) -> list[str]:
    return sorted(
        os.path.relpath(os.path.join(here, name), folder) for here, _, files in os.walk(folder) for name in files
    )


@pytest.fixture
def named(tmp_path: Path) -> list[str]:
    """Pictures with such names, and bad files."""
    for place, stem in enumerate(STEMS):
        picture(tmp_path / f"{stem}.png", seed=place)
        (tmp_path / f"{stem}.bad.png").write_bytes(b"none")
    return [f"{stem}{ending}" for stem in STEMS for ending in (".png", ".bad.png")]


@pytest.mark.parametrize("jobs", [1, 2])
def test_compress(run, tmp_path, named, jobs):
    (tmp_path / "list").write_bytes(b"\0".join(map(os.fsencode, named)))
    words = ("compress", "--files-from", "list", "-0", *FAST, "-j", jobs, "--write", "image,csv")
    said = run(*words)
    assert said.code == 1
    harmless(said.out, said.err)
    lines = said.err.splitlines()
    assert sum(": is no picture" in line or "bad.png: " in line for line in lines) >= len(STEMS)
    assert len(lines) == len(STEMS) + 1 + len(STEMS) + 3, (
        "an error each; the table, what + means, the folder, the failed"
    )
    assert set(everything(tmp_path / "nmfc-out")) == {f"{stem}.png" for stem in STEMS} | {"loss.csv"}
    rows = for_spreadsheets(tmp_path / "nmfc-out/loss.csv")
    assert len(rows) == 2 * len(STEMS)
    assert {"'=1+1.png", "'@x.png", "'-x.png", "'+x.png", "a\\x1b[31mred.png", "\\xff\\xfe.png", "'＝wide.png"} <= {
        row["input"] for row in rows
    }
    told = run(*words, "-f", "--json")
    harmless(told.out, told.err)
    assert [json.loads(line)["input"] for line in told.out.splitlines()] == [f"{stem}.png" for stem in STEMS]


@pytest.mark.parametrize("stem", STEMS[:10], ids=range(10))
def test_the_commands_for_containers(run, tmp_path, stem):
    name = f"{stem}.nmfc"
    single(tmp_path / name)
    (tmp_path / f"{stem}.bad.nmfc").write_bytes(b"none")
    for command in ("info", "verify", "decompress"):
        for more in ((), ("--json",)):
            said = run(command, *more, *(["-f"] if command == "decompress" else []), "--", name, f"{stem}.bad.nmfc")
            assert said.code == 1
            harmless(said.out, said.err)
            told = [json.loads(line) for line in said.out.splitlines()] if more else []
            assert not more or told[0]["input"] == name
    assert everything(tmp_path / "nmfc-out") == [f"{stem}.png"]


@pytest.mark.parametrize("stem", ["=1+1", "\x1b[31mred\nline\u202e", "<script>alert(1)<"], ids=range(3))
def test_basis_and_compare(run, tmp_path, stem):
    """Their pictures have the names in captions."""
    np.save(tmp_path / "a.npy", np.stack([tones(12, 12, seed=seed) for seed in range(4)]))
    os.rename(tmp_path / "a.npy", tmp_path / f"{stem}.npy")
    plot = "--plot" if available() else "--no-plot"
    said = run("basis", *FAST, plot, "--", f"{stem}.npy")
    assert said.code == 0, said.err
    harmless(said.out, said.err)
    for_spreadsheets(tmp_path / "nmfc-out/loss.csv")
    said = run("compare", "--codecs", "svd,jpeg", "--rates", 2, "-O", "two", "--json", "--", f"{stem}.npy")
    assert said.code == 0, said.err
    harmless(said.out, said.err)
    rows = for_spreadsheets(tmp_path / "two/compare.csv")
    assert rows[0]["input"].removeprefix("'")[:1] == ("\\" if stem[0] == "\x1b" else stem[0])
    assert json.loads(said.out)["rates"]
    assert json.loads((tmp_path / "two/compare.json").read_text())["rates"]


@pytest.mark.parametrize("key", ["../evil", "/abs", "..\\up", "\x1b[31mred", "=1+1", "a/../../b"])
@pytest.mark.parametrize("command", ["compress", "basis"])
def test_keys_of_an_archive_are_no_paths(run, tmp_path, key, command):
    inside = tmp_path / "deep"
    inside.mkdir()
    np.savez(inside / "a.npz", **{key: np.stack([tones(12, 12, seed=seed) for seed in range(4)])})
    os.chdir(inside)
    for more in ((), ("--key", key)):
        said = run(command, "a.npz", *FAST, "-v", "-f", "--no-plot", *more)
        assert said.code == 0, said.err
        harmless(said.out, said.err)
    bad = run(command, "a.npz", *FAST, "--key", key + "x", "-f")
    assert bad.code == 1
    harmless(bad.err)
    assert bad.err.count("\n") == 1
    assert all(name == "deep/a.npz" or name.startswith("deep/nmfc-out/") for name in everything(tmp_path))
    assert not any("evil" in name or "red" in name for name in everything(inside / "nmfc-out"))


def test_labels(run, tmp_path):
    labels = np.array(["=1+1", "\tx", "@x", "\x1b[2J", "a\nb", "../../up", "-1", "<script>", "\u202eevil", 'a,"b'])
    np.savez(tmp_path / "a.npz", images=np.stack([tones(12, 12, seed=seed) for seed in range(10)]), labels=labels)
    plot = "--plot" if available() else "--no-plot"
    said = run("compress", "a.npz", *FAST, plot, "--write", "image,compare,csv", "-j", 2)
    assert said.code == 0, said.err
    harmless(said.out, said.err)
    rows = for_spreadsheets(tmp_path / "nmfc-out/loss.csv")
    assert {row["label"] for row in rows} == {
        "'=1+1", "'\tx", "'@x", "\\x1b[2J", "a\\nb", "../../up", "'-1", "<script>", "\\u202eevil", 'a,"b',
    }  # fmt: skip
    assert all(name == "a.npz" or name.startswith("nmfc-out/") for name in everything(tmp_path))
    told = run("compress", "a.npz", *FAST, "--no-plot", "-f", "--json")
    harmless(told.out)
    assert [json.loads(line)["label"] for line in told.out.splitlines()] == labels.tolist()


def test_names_in_a_container(run, tmp_path):
    inside = tmp_path / "deep"
    inside.mkdir()
    stack(inside / "a.nmfc", count=12, meta=Meta(names=tuple(f"{stem}.png" for stem in STEMS[:12])))
    os.chdir(inside)
    for words in (
        ("info", "-v"),
        ("info", "--json"),
        ("verify", "-v"),
        ("decompress", "-v"),
        ("decompress", "-f", "--json"),
    ):
        said = run(words[0], "a.nmfc", *words[1:])
        assert said.code == 0, said.err
        harmless(said.out, said.err)
        if "--json" in words:
            assert json.loads(said.out)["input"] == "a.nmfc"
    names = everything(tmp_path)
    assert len(names) == 13
    harmless(*(name for name in names if "\udcff" not in name))
    assert not any(os.path.basename(name).startswith(("-", ".")) for name in names)
    assert written(inside)[0] == "a.nmfc"
