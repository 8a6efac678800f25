"""nmfc rank, and basis --rank auto."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from commands import real
from PIL import Image
from planted import planted, swimmer

from nmfcompress.report.plots import available


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "four.npy", np.float32(planted("uniform", 4, 80, 60, 1) / 8))
    np.save(tmp_path / "swimmer.npy", swimmer().reshape(256, 17, 6))
    return tmp_path


def test_one_picture(folder):
    done = real(folder, "rank", "four.npy", "--ranks", "1-12", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["recommended"], said["knee"]) == (4, True)
    assert "\n" not in said["reason"]
    with open(folder / "nmfc-out" / "rank.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["rank"]) for row in rows] == [row["rank"] for row in said["ranks"]]
    for row, record in zip(rows, said["ranks"], strict=True):
        assert list(row) == list(record)
        assert float(row["loss"]) == pytest.approx(record["loss"], rel=1e-5)
        assert record["loss"] >= record["svd_floor"]
        assert record["bytes"] > 0
        assert (row["stability"] == "") == (record["stability"] is None)
    assert [row["bytes"] for row in said["ranks"]] == sorted(row["bytes"] for row in said["ranks"])
    assert said["outputs"][0].endswith("rank.csv")
    if available():
        with Image.open(folder / "nmfc-out" / "rank.png") as picture:
            assert picture.size[0] > 500


def test_the_table_and_the_answer(folder):
    done = real(folder, "rank", "four.npy", "--ranks", "1-8", "--no-plot")
    assert done.stdout == b""
    lines = done.stderr.decode().splitlines()
    assert lines[0].split()[:2] == ["rank", "loss"]
    assert sum(" * " in line for line in lines) == 1
    assert lines[-2].startswith("four.npy: rank 4: held-out entries are predicted best by 4")
    assert sorted(path.name for path in (folder / "nmfc-out").iterdir()) == ["rank.csv"]


def test_outputs_are_not_overwritten(folder):
    words = ("rank", "four.npy", "--ranks", "1-4", "--no-plot")
    assert real(folder, *words).returncode == 0
    before = (folder / "nmfc-out" / "rank.csv").read_bytes()
    again = real(folder, *words)
    assert again.returncode == 1
    assert b"exists" in again.stderr
    assert real(folder, *words, "--skip-existing").returncode == 0
    assert real(folder, *words, "-f").returncode == 0
    assert (folder / "nmfc-out" / "rank.csv").read_bytes() == before  # nothing in it tells the time


def test_basis_of_the_rank_that_is_found(folder):
    done = real(folder, "basis", "swimmer.npy", "-k", "auto", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["rank"] in (16, 17)
    assert said["relative_loss"] < 0.02  # it goes on from the factors that were found with the rank
    assert b"13 directions" in done.stderr
    with np.load(folder / "nmfc-out" / "factors.npz") as factors:
        assert len(factors["H"]) == said["rank"]


def test_why_a_rank_was_taken_is_in_the_json_of_the_basis(folder):
    said = json.loads(real(folder, "basis", "swimmer.npy", "-k", "auto", "--json", "--write", "csv").stdout)
    rank = json.loads(real(folder, "rank", "swimmer.npy", "--json", "--no-plot", "-O", "ranks").stdout)
    assert [said[name] for name in ("rank", "knee", "reason")] == [
        rank[name] for name in ("recommended", "knee", "reason")
    ]
    assert f"rank {said['rank']}: {said['reason']}" in said["notes"]
    other = json.loads(real(folder, "basis", "swimmer.npy", "-k", "2", "--json", "--write", "csv", "-f").stdout)
    assert not {"knee", "reason"} & other.keys()


def test_a_minimum_that_is_taken_away_is_said_where_it_may_count_as_a_part(folder):
    V = planted("uniform", 6, 80, 60, 0).reshape(80, 6, 10)
    np.save(folder / "above.npy", V + 5)
    np.save(folder / "from-0.npy", V - V.min())
    for file, says in (("above.npy", True), ("from-0.npy", False)):
        done = real(folder, "basis", file, "-k", "auto", "--json", "--write", "csv", "-f")
        notes = json.loads(done.stdout)["notes"]
        assert any("less their minimum" in note for note in notes) == says
        assert (b"less their minimum" in done.stderr) == says


def test_time_that_is_up_leaves_cells_empty(folder):
    done = real(folder, "rank", "swimmer.npy", "--time", "0.000001", "--json", "--no-plot")
    said = json.loads(done.stdout)
    assert said["reason"].endswith("; time was up before all was tried")
    with open(folder / "nmfc-out" / "rank.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row[name] for row in rows for name in ("svd_floor", "held_out_parts", "stability")} == {""}
    assert sum(int(row["recommended"]) for row in rows) == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["rank", "four.npy", "--ranks", "0-4"], 2, "--ranks is 0-4"),
        (["rank", "four.npy", "--ranks", "9-4"], 2, "--ranks is 9-4"),
        (["rank", "four.npy", "--ranks", "some"], 2, "--ranks is some"),
        (["rank", "four.npy", "--time", "0"], 2, "--time is 0"),
        (["rank", "none.npy"], 1, "none.npy"),
        (["basis", "swimmer.npy", "-k", "auto", "--divergence", "kl"], 2, "divergence is kl"),
        (["basis", "swimmer.npy", "-k", "auto", "--basis-from", "x.npz"], 2, "auto"),
        (["basis", "swimmer.npy", "-k", "some"], 2, "'some' is not a valid integer"),
    ],
)
def test_wrong_words(folder, words, code, said):
    done = real(folder, *words)
    assert done.returncode == code
    assert said in done.stderr.decode()
    assert done.stderr.decode().count("\n") == 1


def test_too_small_a_picture_is_one_line(folder):
    Image.new("L", (6, 40)).save(folder / "small.png")
    done = real(folder, "rank", "small.png")
    assert done.returncode == 1
    assert b"small.png: V is 40 x 6: too small" in done.stderr
