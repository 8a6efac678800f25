"""--l1 and --l2: what they do, and how they go with everything else that a fit can be asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from commands import SAMPLES, log, one_line, picture, real, shell
from PIL import Image

DIGITS, SWIMMER = SAMPLES / "digits.npz", SAMPLES / "swimmer.npz"
QUICK = ("--write", "factors,csv", "--no-plot", "-q")
SOME = (DIGITS, "--limit", 200, "-k", 5, "-n", 30, *QUICK)


def factors(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "factors.npz") as archive:
        return dict(archive)


def objective(V: np.ndarray, W: np.ndarray, H: np.ndarray, l1: tuple[float, float], l2: tuple[float, float]) -> float:
    (m, n), W, H = V.shape, W.astype(float), H.astype(float)
    costs = (
        side * (one * X.sum() + two / 2 * (X**2).sum())
        for X, side, one, two in zip((W, H), (n, m), l1, l2, strict=True)
    )
    return float(((V - W @ H) ** 2).sum() / 2 + sum(costs))


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    with np.load(DIGITS) as archive:
        return archive["x_train"][:200].reshape(200, -1) / 255


@pytest.mark.parametrize("solver", ["mu", "hals"])
@pytest.mark.parametrize(
    ("words", "l1", "l2"),
    [
        (("--l1", "0.003"), (0.003, 0.003), (0, 0)),
        (("--l2", "0.05"), (0, 0), (0.05, 0.05)),
        (("--l1", "0.004,0", "--l2", "0,1e-2"), (0.004, 0), (0, 0.01)),
    ],
)
def test_what_is_written(run, tmp_path, digits, solver, words, l1, l2):
    said = run("basis", *SOME, "--solver", solver, *words, "--json")
    assert (said.code, said.err) == (0, "")
    told, found, rows = json.loads(said.out), factors(tmp_path / "nmfc-out"), log(tmp_path / "nmfc-out")
    for name, pair in (("l1", l1), ("l2", l2)):
        assert json.loads(str(found["settings"]))[name] == list(pair)
        assert told.get(name) == (list(pair) if any(pair) else None)
    assert told["objective"] == pytest.approx(objective(digits, found["W"], found["H"], l1, l2), rel=1e-5)
    assert told["loss"] == pytest.approx(np.linalg.norm(digits - found["W"] @ found["H"]), rel=1e-5)
    falls = [float(row["objective"]) for row in rows]
    assert falls == sorted(falls, reverse=True)
    assert float(rows[-1]["objective"]) == pytest.approx(told["objective"], rel=1e-6)
    assert float(rows[-1]["loss"]) == pytest.approx(told["loss"], rel=1e-6)


def test_without_them_nothing_is_said_of_them(run, tmp_path):
    free = run("basis", *SOME, "--json", "-O", "free")
    none = run("basis", *SOME, "--json", "-O", "none", "--l1", "0", "--l2", "0,0")
    assert not {"l1", "l2", "objective"} & json.loads(free.out).keys()
    assert not {"l1", "l2", "objective"} & json.loads(none.out).keys()
    assert {row["objective"] for row in log(tmp_path / "free")} == {""}
    assert (tmp_path / "none/factors.npz").read_bytes() == (tmp_path / "free/factors.npz").read_bytes()


def test_more_zeros_and_smaller_factors(run, tmp_path):
    for name, words in {"free": (), "sparse": ("--l1", "0.006"), "small": ("--l2", "0.1")}.items():
        assert run("basis", *SOME, "--solver", "hals", *words, "-O", name).code == 0
    free, sparse, small = (factors(tmp_path / name) for name in ("free", "sparse", "small"))
    for factor in ("W", "H"):
        assert (sparse[factor] < 1e-6).mean() > (free[factor] < 1e-6).mean()
    assert np.linalg.norm(small["W"]) * np.linalg.norm(small["H"]) < np.linalg.norm(free["W"]) * np.linalg.norm(
        free["H"]
    )


@pytest.mark.parametrize("text", ["", "much", "-1", "nan", "inf", "1,2,3", "0.1,", ",", "0,-1", "1e16"])
@pytest.mark.parametrize("option", ["--l1", "--l2"])
def test_what_is_no_penalty_is_refused(run, option, text):
    for command in (("basis", DIGITS), ("compress", SAMPLES / "grey.png")):
        said = run(*command, "-k", 3, f"{option}={text}")
        assert said.code == 2
        one_line(said.err, f"{option} is {text or 'empty'}", "expected a number from 0")


def test_too_much_is_said(run):
    said = run("basis", *SOME[:-1], "--l1", "0.5")
    assert said.code == 0
    assert "l1 0.5 leaves nothing: W H is zero (expected less)" in said.err
    said = run("compress", SAMPLES / "grey.png", "-k", 3, "--l2", "1e3", "--json", "-q")
    assert (said.code, said.err) == (0, "")
    assert json.loads(said.out)["notes"][-1] == "l2 1000 leaves nothing: W H is zero (expected less)"


def test_variables_say_it_too(tmp_path):
    told = [
        json.loads(shell(tmp_path, f"{variable} nmfc basis {DIGITS} --limit 50 -k 3 --json -q -f {words}").stdout)
        for variable, words in (("NMFC_BASIS_L1=2e-3,0 NMFC_BASIS_L2=0.01", ""), ("", "--l1 0.002,0 --l2 1e-2"))
    ]
    assert (told[0]["l1"], told[0]["l2"]) == ([0.002, 0], [0.01, 0.01])
    assert told[0]["objective"] == told[1]["objective"]


@pytest.mark.parametrize("divergence", ["frobenius", "kl", "is"])
def test_with_a_mask(run, tmp_path, divergence):
    known = np.full((28, 28), 255, np.uint8)
    known[10:14, 10:14] = 0
    Image.fromarray(known).save(tmp_path / "mask.png")
    said = run(
        "basis", *SOME, "--mask", "mask.png", "--divergence", divergence, "--l1", "0.01", "--l2", "0.001", "--json"
    )
    assert said.code == 0
    falls = [float(row["objective"]) for row in log(tmp_path / "nmfc-out")]
    assert falls == sorted(falls, reverse=True)
    said = run("basis", *SOME, "--mask", "mask.png", "--solver", "hals", "--l1", "0.01", "-f")
    assert said.code == 2
    one_line(said.err, "hals with a mask")


def test_the_best_of_several_starts_is_that_of_the_lowest_objective(run):
    one = json.loads(run("basis", *SOME, "--l1", "0.004", "--json", "-O", "one").out)
    best = json.loads(run("basis", *SOME, "--l1", "0.004", "--json", "-O", "best", "--restarts", 5).out)
    assert best["objective"] <= one["objective"]


def test_a_given_basis_brings_its_penalties(run, tmp_path):
    assert run("basis", *SOME, "--l1", "0.006", "--l2", "0.01", "-O", ".").code == 0
    learned = factors(tmp_path)
    again = ("basis", DIGITS, "--limit", 200, "--basis-from", "factors.npz", *QUICK)
    said = run(*again, "--json")
    assert (said.code, said.err) == (0, "")
    told = json.loads(said.out)
    assert (told["l1"], told["l2"]) == ([0.006] * 2, [0.01] * 2)
    coded = factors(tmp_path / "nmfc-out")["W"]
    np.testing.assert_allclose(coded, learned["W"], atol=1e-3 * learned["W"].max())
    assert run(*again, "--l1", "0.006", "-f").code == 0, "the same may be said again"
    for words, says in (
        (("--l1", "0.002"), "has l1 0.006, not 0.002"),
        (("--l2", "0,0.01"), "has l2 0.01, not 0,0.01"),
    ):
        said = run(*again, *words, "-f")
        assert said.code == 1
        one_line(said.err, says, "leave " + words[0] + " out")
    said = run(*again, "-f", "-O", "other")
    free = run("basis", *SOME, "-O", "free")
    assert free.code == 0
    said = run("basis", DIGITS, "--limit", 200, "--basis-from", "free/factors.npz", *QUICK, "--l1", "0.1")
    one_line(said.err, "has l1 0, not 0.1")


def test_a_file_from_before_there_were_penalties_has_none(run, tmp_path):
    assert run("basis", *SOME, "-O", ".").code == 0
    arrays = factors(tmp_path)
    said = json.loads(str(arrays["settings"]))
    del said["l1"], said["l2"]
    np.savez(tmp_path / "old.npz", **arrays | {"settings": np.array(json.dumps(said))})
    for name in ("factors", "old"):
        assert run("basis", DIGITS, "--split", "test", "--basis-from", f"{name}.npz", *QUICK, "-O", name).code == 0
    assert factors(tmp_path / "old")["W"].tobytes() == factors(tmp_path / "factors")["W"].tobytes()
    for wrong in ("x", [1], [0, -1], None, {"a": 1}):
        np.savez(tmp_path / "bad.npz", **arrays | {"settings": np.array(json.dumps(said | {"l1": wrong}))})
        refused = run("basis", DIGITS, "--basis-from", "bad.npz", *QUICK)
        assert refused.code == 1
        one_line(refused.err, "bad.npz", "broken")


@pytest.mark.parametrize("solver", ["mu", "hals"])
def test_a_run_goes_on_with_its_penalties(run, tmp_path, solver):
    words = (DIGITS, "--limit", 200, *QUICK)
    begun = ("-k", 5, "--tol", 0, "--solver", solver, "--l1", "0.004,0.001", "--checkpoint-every", 0)
    assert run("basis", *words, *begun, "-n", 10, "--checkpoint", "run.npz", "-O", "begun").code == 0
    assert run("basis", *words, *begun[:-2], "-n", 25, "-O", "whole").code == 0
    said = run("basis", *words, "--resume", "run.npz", "--l1", "0.004", "-n", 25)
    assert said.code == 1
    one_line(said.err, "run.npz: is of a run with l1 (0.004, 0.001), this one has (0.004, 0.004)")
    assert run("basis", *words, "--resume", "run.npz", "-n", 25, "-O", "on").code == 0
    assert (tmp_path / "on/factors.npz").read_bytes() == (tmp_path / "whole/factors.npz").read_bytes()
    kept, whole = ([row["objective"] for row in log(tmp_path / name)] for name in ("on", "whole"))
    assert kept == whole


def test_workers_of_a_cluster_have_them_too(tmp_path):
    pytest.importorskip("distributed", reason="needs the dask extra")
    words = (*SOME, "--l1", "0.004", "--l2", "0.002", "--json")
    here = json.loads(real(tmp_path, "basis", *words, "-O", "here").stdout)
    there = json.loads(real(tmp_path, "basis", *words, "-O", "there", "--scheduler", "local:2").stdout)
    assert there["objective"] == pytest.approx(here["objective"], rel=1e-4)
    assert [row["sweep"] for row in log(tmp_path / "there")] == [row["sweep"] for row in log(tmp_path / "here")]


def test_a_rank_that_is_found_first_is_found_without_them(run):
    said = run("basis", SWIMMER, "-k", "auto", "--l1", "0.001", "--json", "--write", "factors", "--no-plot")
    told = json.loads(said.out)
    assert told["rank"] in (16, 17)
    assert told["objective"] > told["loss"] ** 2 / 2
    assert "without negative numbers" in said.err


def test_one_picture_and_its_file(run, tmp_path):
    """The .nmfc file is of the same factors, in integers."""
    said = run("compress", SAMPLES / "grey.png", "-k", 5, "--l1", "0.002", "--json", "-q")
    told = json.loads(said.out)
    assert (said.code, told["l1"]) == (0, [0.002, 0.002])
    free = json.loads(run("compress", SAMPLES / "grey.png", "-k", 5, "--json", "-q", "-O", "free").out)
    assert told["loss"] > free["loss"]
    packed = run("compress", SAMPLES / "grey.png", "-k", 5, "--l1", "0.002", "--json", "-o", "one.nmfc")
    assert packed.code == 0
    assert json.loads(packed.out)["arrangement"] == "rows"
    assert abs(json.loads(packed.out)["psnr_db"] - told["psnr_db"]) < 0.1 < free["psnr_db"] - told["psnr_db"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--min-psnr", 25), "not for a target or another arrangement"),
        (("--target-size", "2KB"), "not for a target or another arrangement"),
        (("-k", 4, "--arrangement", "patches"), "not for a target or another arrangement"),
        (("--step", 8), "not for a target or another arrangement"),
    ],
)
@pytest.mark.parametrize("option", ["--l1", "--l2"])
def test_codecs_with_a_method_of_their_own_refuse_them(run, tmp_path, option, words, says):
    picture(tmp_path / "a.png")
    said = run("compress", "a.png", *words, option, "0.01", "-o", "a.nmfc")
    assert said.code == 2
    one_line(said.err, f"{option} is for one picture by its rows", says)
    assert not (tmp_path / "a.nmfc").exists()


def test_so_does_a_collection_in_one_file(run, tmp_path):
    said = run("compress", DIGITS, "--limit", 30, "-k", 4, "--l2", "0.01", "-o", "a.nmfc")
    assert said.code == 2
    one_line(said.err, "--l2 is for one picture by its rows", "not for a collection")
    assert not (tmp_path / "a.nmfc").exists()


def test_rank_has_no_such_option(run):
    said = run("rank", SWIMMER, "--l1", "0.1")
    assert said.code == 2
    one_line(said.err, "--l1")
