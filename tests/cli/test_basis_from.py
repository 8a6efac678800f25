"""nmfc basis --basis-from: new images in the parts of an earlier collection."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from commands import KEYS, SAMPLES, log, one_line, picture, read, real, timeless, tones, written
from PIL import Image

DIGITS = SAMPLES / "digits.npz"
QUICK = ("--write", "factors,csv", "-q")


def loaded(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """The parts of 300 digits: the folder of their factors."""
    folder = tmp_path_factory.mktemp("learned")
    done = real(folder, "basis", DIGITS, "--limit", 300, "-k", 6, "-O", ".", "--no-plot", "-q")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def parts(learned, tmp_path):
    (tmp_path / "parts.npz").write_bytes((learned / "factors.npz").read_bytes())
    return tmp_path / "parts.npz"


def test_what_is_written(run, tmp_path, learned, parts):
    said = run("basis", DIGITS, "--split", "test", "--basis-from", "parts.npz", "--json")
    assert (said.code, said.err) == (0, "")
    told, folder = json.loads(said.out), tmp_path / "nmfc-out"
    shown = [f"basis/basis-{j:02}.png" for j in range(6)]
    assert written(folder) == sorted([*shown, "basis.png", "factors.npz", "loss.csv", "reconstructed.png"])
    assert sorted(told["outputs"]) == [f"nmfc-out/{name}" for name in written(folder)]
    for name in shown:
        assert (folder / name).read_bytes() == (learned / name).read_bytes(), "the order of the parts is kept"

    assert told.keys() >= KEYS | {"images", "basis_from"}
    assert (told["basis_from"], told["images"], told["rank"], told["sweeps"]) == ("parts.npz", 200, 6, 1)
    assert (told["converged"], told["reads"]) == (True, 2)
    assert told["gradient"] < 1
    before, after = loaded(parts), loaded(folder / "factors.npz")
    np.testing.assert_array_equal(after["H"], before["H"])
    assert after["W"].shape == (200, 6)
    assert len(after["labels"]) == len(after["indices"]) == 200
    assert after["image_shape"].tolist() == [28, 28]
    settings = [json.loads(str(arrays["settings"])) for arrays in (before, after)]
    assert settings[1].pop("basis_from") == "parts.npz"
    assert settings[0] == settings[1]

    with np.load(DIGITS) as archive:
        V = archive["x_test"].reshape(200, -1) / 255
    W, H = (after[name].astype(np.float64) for name in "WH")
    rows = log(folder)
    assert [row["sweep"] for row in rows] == ["1"]
    assert float(rows[0]["loss"]) == pytest.approx(np.linalg.norm(V - W @ H), rel=1e-6)
    assert told["loss"] == pytest.approx(np.linalg.norm(V - W @ H), rel=1e-6)


@pytest.mark.parametrize(
    "options",
    [(), ("--solver", "hals"), ("--init", "nndsvda", "-n", 7), ("--divergence", "kl")],
    ids=str,
)
def test_the_images_of_the_fit_have_the_codes_of_the_fit(run, tmp_path, options):
    given = ("basis", DIGITS, "--limit", 300, *QUICK)
    assert run(*given, "-k", 6, *options, "-O", "fit").code == 0
    assert run(*given, "--basis-from", "fit/factors.npz", "-O", "codes").code == 0
    fit, codes = loaded(tmp_path / "fit/factors.npz")["W"], loaded(tmp_path / "codes/factors.npz")["W"]
    assert np.linalg.norm(codes - fit) <= 1e-3 * np.linalg.norm(fit)
    np.testing.assert_allclose(codes, fit, atol=1e-3 * fit.max())


def test_itakura_saito_has_several_minima_but_most_images_come_to_the_same(run, tmp_path):
    given = ("basis", DIGITS, "--limit", 300, *QUICK)
    assert run(*given, "-k", 6, "--divergence", "is", "-O", "fit").code == 0
    assert run(*given, "--basis-from", "fit/factors.npz", "-O", "codes").code == 0
    fit, codes = loaded(tmp_path / "fit/factors.npz")["W"], loaded(tmp_path / "codes/factors.npz")["W"]
    same = np.linalg.norm(codes - fit, axis=1) <= 1e-3 * np.linalg.norm(fit, axis=1)
    assert same.mean() > 0.9
    losses = [float(log(tmp_path / name)[-1]["loss"]) for name in ("fit", "codes")]
    assert losses[0] * (1 - 1e-6) <= losses[1] <= losses[0] * 1.01


def test_the_divergence_is_that_of_the_file(run, tmp_path):
    given = ("basis", DIGITS, "--limit", 300, "--write", "factors", "--no-plot", "--json")
    fit = json.loads(run(*given, "-k", 4, "--divergence", "kl", "-O", "fit").out)
    for asked in ((), ("--divergence", "kl")):
        told = json.loads(run(*given, "--basis-from", "fit/factors.npz", "-O", f"codes{len(asked)}", *asked).out)
        assert (told["divergence"], told["gradient"]) == ("kl", None)
        assert told["loss"] == pytest.approx(fit["loss"], rel=1e-5)


def test_codes_of_codes(run, tmp_path, parts):
    """What is written is a factors.npz too."""
    given = ("basis", DIGITS, "--split", "test", *QUICK)
    assert run(*given, "--basis-from", "parts.npz", "-O", "a").code == 0
    assert run(*given, "--basis-from", "a/factors.npz", "-O", "b").code == 0
    assert loaded(tmp_path / "a/factors.npz")["W"].tobytes() == loaded(tmp_path / "b/factors.npz")["W"].tobytes()


def test_the_same_bytes_for_any_jobs(run, tmp_path, parts):
    for jobs in (1, 2):
        assert run("basis", DIGITS, "--basis-from", "parts.npz", "-j", jobs, "-O", jobs, "-q").code == 0
    assert timeless(tmp_path / "1") == timeless(tmp_path / "2")


def test_one_single_image(run, tmp_path, parts):
    with np.load(DIGITS) as archive:
        Image.fromarray(archive["x_test"][0]).save(tmp_path / "one.png")
    said = run("basis", "one.png", "--basis-from", "parts.npz", "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["images"] == 1
    assert loaded(tmp_path / "nmfc-out/factors.npz")["W"].shape == (1, 6)
    assert read(tmp_path / "nmfc-out/reconstructed.png").std() > 10


def test_missing_pixels_do_not_count(run, tmp_path, parts):
    before = loaded(parts)
    codes = np.random.default_rng(0).random((20, 6), np.float32) * before["W"].max(axis=0) / 4
    shown = np.clip(codes @ before["H"], 0, 1).astype(np.float32).reshape(20, 28, 28)
    known = np.ones((28, 28), np.uint8)
    known[10:14, 10:14] = 0
    shown[:, known == 0] = 1
    np.save(tmp_path / "shown.npy", shown)
    Image.fromarray(known * 255).save(tmp_path / "mask.png")
    given = ("basis", "shown.npy", "--basis-from", "parts.npz", *QUICK)
    assert run(*given, "--mask", "mask.png", "-O", "masked").code == 0
    assert run(*given, "-O", "plain").code == 0
    far = [np.linalg.norm(loaded(tmp_path / name / "factors.npz")["W"] - codes) for name in ("masked", "plain")]
    assert far[0] < 0.2 * far[1]


def test_colour(run, tmp_path):
    np.save(tmp_path / "a.npy", np.stack([tones(16, 24, 3, seed) for seed in range(6)]))
    picture(tmp_path / "one.png", "RGB")
    assert run("basis", "a.npy", "-k", 2, "-O", "fit", *QUICK).code == 0
    assert run("basis", "one.png", "--basis-from", "fit/factors.npz", *QUICK).code == 0
    said = run("basis", "one.png", "--gray", "--basis-from", "fit/factors.npz", *QUICK, "-f")
    one_line(said.err, "its images are 16 x 24, those of fit/factors.npz 16 x 24 x 3")


@pytest.mark.parametrize(
    ("words", "code", "found"),
    [
        (("--init", "random"), 2, "--init is given with --basis-from"),
        (("--seed", 0), 2, "--seed is given with --basis-from"),
        (("--restarts", 1), 2, "--restarts is given with --basis-from"),
        (("--iterations", 200), 2, "--iterations is given with --basis-from"),
        (("-n", 5, "--solver", "mu"), 2, "--iterations, --solver is given with --basis-from"),
        (("--tol", 0.1, "--inner", 1), 2, "--tol, --inner is given with --basis-from"),
        (("--checkpoint", "a"), 2, "--checkpoint is given with --basis-from"),
        (("--resume", "a"), 2, "--resume is given with --basis-from"),
        (("-k", 7), 1, "parts.npz: has rank 6, not 7"),
        (("--divergence", "kl"), 1, "parts.npz: has divergence frobenius, not kl"),
        (("--basis-from", "none.npz"), 1, "none.npz: cannot be read: No such file or directory"),
        (("--basis-from", ""), 2, "--basis-from is empty"),
        (("--basis-from", "."), 1, "is no regular file"),
        (("--basis-from", DIGITS), 1, "digits.npz: is not a factors.npz of nmfc basis: no H in it"),
        (("--basis-from", SAMPLES / "photo.png"), 1, "is a picture, expected a factors.npz of nmfc basis"),
    ],
    ids=str,
)
def test_what_does_not_go_with_it(run, tmp_path, parts, words, code, found):
    said = run("basis", DIGITS, "--basis-from", "parts.npz", *words)
    assert said.code == code, said.err
    one_line(said.err, found)
    assert written(tmp_path) == ["parts.npz"]


def test_a_rank_that_agrees_is_no_matter(run, parts):
    assert run("basis", DIGITS, "--limit", 5, "--basis-from", "parts.npz", "-k", 6, *QUICK).code == 0


def test_variables_count_as_given(run, parts, monkeypatch):
    monkeypatch.setenv("NMFC_BASIS_RANK", "7")
    one_line(run("basis", DIGITS, "--basis-from", "parts.npz").err, "has rank 6, not 7")


def test_images_of_another_shape_or_scale(run, tmp_path, parts):
    said = run("basis", SAMPLES / "swimmer.npz", "--basis-from", "parts.npz")
    assert said.code == 1
    one_line(said.err, "swimmer.npz: its images are 32 x 32, those of parts.npz 28 x 28")
    rng = np.random.default_rng(0)
    np.save(tmp_path / "own.npy", rng.integers(3, 900, (5, 28, 28)).astype(np.float32))
    said = run("basis", "own.npy", "--basis-from", "parts.npz", "-q")
    assert said.code == 1
    one_line(said.err, "own.npy: its values 3 to 899 are 0 to 1, in parts.npz 0 to 255 are")
    for dtype, scale in (("uint16", 65535), ("float32", 1)):
        np.save(tmp_path / "black_to_white.npy", (rng.random((5, 28, 28)) * scale).astype(dtype))
        assert run("basis", "black_to_white.npy", "--basis-from", "parts.npz", *QUICK, "-f").code == 0
    assert run("basis", "own.npy", "-k", 2, "-O", "own", *QUICK).code == 0
    assert run("basis", "own.npy", "--basis-from", "own/factors.npz", *QUICK, "-f").code == 0


def test_the_file_itself_is_not_written_over(run, tmp_path, parts):
    os.makedirs("nmfc-out")
    before = parts.read_bytes()
    parts.rename("nmfc-out/factors.npz")
    for force in ((), ("-f",)):
        said = run("basis", DIGITS, "--basis-from", "nmfc-out/factors.npz", *force)
        assert said.code == 1
        one_line(said.err, "nmfc-out/factors.npz: is an input")
    assert (tmp_path / "nmfc-out/factors.npz").read_bytes() == before


# Files that are none


def settings(**changes: object):
    def change(text: np.ndarray) -> np.ndarray:
        said = {**json.loads(str(text)), **changes}
        return np.array(json.dumps({key: value for key, value in said.items() if value is not None}))

    return {"settings": change}


BROKEN = {
    "no H": ({"H": None}, "no H in it"),
    "no settings": ({"settings": None}, "no settings in it"),
    "no shape": ({"image_shape": None}, "no image_shape in it"),
    "pickled": ({"H": lambda H: np.array([{}])}, "pickled"),
    "NaN": ({"H": lambda H: H * np.nan}, "H has negative, NaN or infinite values"),
    "negative": ({"H": lambda H: -H}, "H has negative"),
    "turned": ({"H": lambda H: H.T}, "H is (784, 6)"),
    "integers": ({"H": lambda H: H.astype(np.int16)}, "int16"),
    "texts": ({"H": lambda H: H.astype(str)}, "expected (6, 784) of floats"),
    "other shape": ({"image_shape": lambda shape: shape + 1}, "H is "),
    "a float shape": ({"image_shape": lambda shape: shape / 2}, "image_shape is float64"),
    "a long shape": ({"image_shape": lambda shape: np.ones(99, int)}, "99 numbers"),
    "two channels": ({"image_shape": lambda shape: np.array([14, 28, 2])}, "image_shape is (14, 28, 2)"),
    "an overflow": ({"image_shape": lambda shape: np.array([2**62, 2**62])}, "H is "),
    "settings that are none": ({"settings": lambda text: np.array("[")}, "or a broken one"),
    "settings that nest": ({"settings": lambda text: np.array("[" * 10**5)}, "RecursionError"),
    "a list": ({"settings": lambda text: np.array("[]")}, "no JSON object"),
    "numbers": ({"settings": lambda text: np.arange(3)}, "or a broken one"),
    "no rank": (settings(rank=None), "KeyError"),
    "other rank": (settings(rank=7), "H is (6, 784)"),
    "huge rank": (settings(rank=10**40), "H is (6, 784)"),
    "rank as text": (settings(rank="6"), "rank is 6"),
    "other divergence": (settings(divergence="l1"), "divergence is l1"),
    "other arrangement": (settings(arrangement="rows"), "not one image a row"),
    "levels": (settings(levels=[0, 255]), "TypeError"),
    "no levels": (settings(levels=None), "KeyError"),
    "levels of NaN": (settings(levels={"dtype": "uint8", "low": 0, "high": float("nan")}), "no range"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_untrusted_file_is_one_line(run, tmp_path, parts, name):
    changes, words = BROKEN[name]
    arrays = loaded(parts)
    for key, change in changes.items():
        arrays[key] = change(arrays[key]) if change is not None else None
    np.savez(parts, **{key: value for key, value in arrays.items() if value is not None})
    said = run("basis", DIGITS, "--limit", 5, "--basis-from", "parts.npz")
    assert said.code == 1
    one_line(said.err, "nmfc: parts.npz: ", words)
    assert len(said.err) < 300
    assert written(tmp_path) == ["parts.npz"]


def test_a_cut_file_is_one_line(tmp_path, parts):
    whole = parts.read_bytes()
    for size in (0, 100, len(whole) // 2, len(whole) - 30):
        parts.write_bytes(whole[:size])
        done = real(tmp_path, "basis", DIGITS, "--basis-from", "parts.npz")
        assert done.returncode == 1
        one_line(done.stderr.decode(), "nmfc: parts.npz: ")


def test_settings_of_a_later_version_may_say_more(run, parts):
    arrays = loaded(parts)
    arrays |= {key: change(arrays[key]) for key, change in settings(novelty=3, tol=None).items()}
    np.savez(parts, **arrays)
    assert run("basis", DIGITS, "--limit", 5, "--basis-from", "parts.npz", *QUICK).code == 0
