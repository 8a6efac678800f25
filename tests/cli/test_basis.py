"""nmfc basis: the parts of a collection, and the files that hold them."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from commands import KEYS, SAMPLES, frames, log, mode_and_size, picture, read, real, timeless, tones, written
from PIL import Image

FAST = ("-k", 2, "-n", 5)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """The main job on the digits: the folder, and what --json said."""
    pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("digits")
    done = real(folder, "basis", SAMPLES / "digits.npz", "-k", 10, "--show", 7, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    assert done.stdout.count(b"\n") == 1
    return folder / "nmfc-out", json.loads(done.stdout)


@pytest.fixture(scope="module")
def factors(digits):
    with np.load(digits[0] / "factors.npz", allow_pickle=False) as archive:
        return dict(archive)


def images(name: str = "digits.npz", key: str = "x_train") -> np.ndarray:
    with np.load(SAMPLES / name) as archive:
        return archive[key]


# The main job


def test_what_is_written(digits):
    folder, told = digits
    parts = [f"basis/basis-{j:02}.png" for j in range(10)]
    assert written(folder) == sorted([*parts, "basis.png", "factors.npz", "loss.csv", "loss.png", "reconstructed.png"])
    assert {mode_and_size(folder / part) for part in parts} == {("L", (28, 28))}
    assert sorted(told["outputs"]) == [f"nmfc-out/{name}" for name in written(folder)]
    width, height = mode_and_size(folder / "reconstructed.png")[1]
    assert height >= 7 * 28
    assert width >= 2 * 28
    assert min(mode_and_size(folder / "basis.png")[1]) > 2 * 28


def test_factors(factors):
    assert factors.keys() >= {"W", "H", "image_shape", "labels", "settings"}
    W, H = factors["W"], factors["H"]
    assert W.shape == (1800, 10)
    assert H.shape == (10, 784)
    assert min(W.min(), H.min()) >= 0
    assert factors["image_shape"].tolist() == [28, 28]
    np.testing.assert_array_equal(factors["labels"], images(key="y_train"))
    settings = json.loads(str(factors["settings"]))
    assert (settings["rank"], settings["solver"], settings["seed"]) == (10, "mu", 0)


def test_losses(digits, factors):
    folder, told = digits
    V = images().reshape(1800, 784) / 255
    W, H = (factors[name].astype(np.float64) for name in "WH")
    loss = np.linalg.norm(V - W @ H)
    assert told["loss"] == pytest.approx(loss, rel=1e-6)
    assert told["relative_loss"] == pytest.approx(loss / np.linalg.norm(V), rel=1e-6)
    floor = np.sqrt((np.linalg.svd(V, compute_uv=False)[10:] ** 2).sum())
    assert told["svd_floor"] == pytest.approx(floor, rel=1e-6)
    assert floor < loss < 1.12 * floor
    again = np.rint(np.clip(W @ H, 0, 1) * 255)
    assert told["psnr_db"] == pytest.approx(10 * np.log10(1 / np.mean((V - again / 255) ** 2)), abs=0.01)

    rows = log(folder)
    assert {(row["input"], row["image"], row["label"]) for row in rows} == {(str(SAMPLES / "digits.npz"), "", "")}
    assert [int(row["sweep"]) for row in rows] == list(range(1, told["sweeps"] + 1))
    assert float(rows[-1]["loss"]) == pytest.approx(loss, rel=1e-6)


def test_json(digits):
    told = digits[1]
    assert told.keys() >= KEYS | {"images"}
    assert (told["images"], told["width"], told["height"], told["mode"]) == (1800, 28, 28, "L")
    assert (told["image"], told["label"], told["rank"]) == (None, None, 10)


def test_parts_are_sorted_and_scaled_each_to_its_own_range(digits, factors):
    W, H = factors["W"].astype(np.float64), factors["H"].astype(np.float64)
    whole = W @ H
    explained = [float((np.outer(W[:, j], H[j]) * whole).sum()) for j in range(10)]
    assert explained == sorted(explained, reverse=True)
    for j in range(10):
        shown, h = read(digits[0] / f"basis/basis-{j:02}.png"), H[j].reshape(28, 28)
        assert (shown.min(), shown.max()) == (0, 255)
        np.testing.assert_allclose(shown, 255 * (h - h.min()) / (h.max() - h.min()), atol=0.51)


def test_the_same_bytes_for_any_jobs_and_in_every_run(tmp_path):
    folders = []
    for place, jobs in enumerate((1, 2, 1)):
        folders.append(tmp_path / str(place))
        done = real(tmp_path, "basis", SAMPLES / "digits.npz", "-k", 4, "-n", 20, "-j", jobs, "-O", folders[-1])
        assert done.returncode == 0
    first = timeless(folders[0])
    assert {"factors.npz", "basis.png", "basis/basis-03.png"} < first.keys()
    for folder in folders[1:]:
        assert timeless(folder) == first


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_limbs_of_the_swimmer_come_apart(run, tmp_path, seed):
    """With the defaults, and at any seed; the ghost of the torso, which all images share, is left aside."""
    assert run("basis", SAMPLES / "swimmer.npz", "-k", 17, "--seed", seed, "--write", "factors", "-q").code == 0
    shown, places = images("swimmer.npz", "images"), images("swimmer.npz", "positions")
    torso = shown.min(axis=0) > 0
    planted = [(shown[places[:, limb] == place].min(axis=0) > 0) & ~torso for limb in range(4) for place in range(4)]
    with np.load(tmp_path / "nmfc-out/factors.npz") as factors:
        H = factors["H"].reshape(-1, 32, 32) * ~torso
    found = {(part > 0.5 * part.max()).tobytes() for part in H if part.max() > 0}
    assert {limb.tobytes() for limb in planted} <= found


# Choosing


@pytest.mark.parametrize(
    ("chosen", "count", "labels"),
    [
        (("--label", "3"), 180, {3}),
        (("--label", "3", "--label", "8", "--limit", 30), 30, {3, 8}),
        (("--one-per-label",), 10, set(range(10))),
        (("--index", "0-4,20"), 6, None),
        (("--split", "test"), 200, set(range(10))),
        (("--split", "all", "--limit", 1900), 1900, set(range(10))),
    ],
)
def test_choosing(run, tmp_path, chosen, count, labels):
    said = run("basis", SAMPLES / "digits.npz", *FAST, *chosen, "--json", "--write", "factors", "--no-plot")
    assert said.code == 0, said.err
    assert json.loads(said.out)["images"] == count
    with np.load(tmp_path / "nmfc-out/factors.npz") as factors:
        assert len(factors["W"]) == len(factors["labels"]) == count
        assert labels is None or set(factors["labels"].tolist()) == labels


# Sources


def collection(folder: Path, count: int = 6, **saved: object) -> list[str]:
    return [str(picture(folder / f"{seed}.png", seed=seed, **saved)) for seed in range(count)]


def test_a_folder_and_a_list(run, tmp_path):
    names = collection(tmp_path / "in/sub")
    (tmp_path / "in/notes.txt").write_text("none")
    (tmp_path / "list").write_text("\n".join(names))
    given = (("-r", "in"), tuple(names), ("--files-from", "list"))
    factors = []
    for place, one in enumerate(given):
        said = run("basis", *one, *FAST, "-O", f"out{place}", "--json")
        assert said.code == 0, said.err
        told = json.loads(said.out)
        assert (told["images"], told["width"], told["height"]) == (6, 24, 16)
        with np.load(tmp_path / f"out{place}/factors.npz") as archive:
            factors.append(archive["W"])
            assert "labels" not in archive
    np.testing.assert_array_equal(factors[0], factors[1])
    np.testing.assert_array_equal(factors[0], factors[2])


def test_another_size_is_an_error_that_names_the_file(run, tmp_path):
    names = collection(tmp_path / "in")
    picture(names[3], size=(25, 16))
    said = run("basis", "-r", "in", *FAST)
    assert said.code == 1
    line = "nmfc: in/3.png: is 25 x 16, the first image 24 x 16 (pass --resize 24x16 to bring all to one size)\n"
    assert said.err == line
    assert not (tmp_path / "nmfc-out").exists()

    said = run("basis", "-r", "in", *FAST, "--resize", "12x8", "--json")
    assert said.code == 0
    told = json.loads(said.out)
    assert (told["width"], told["height"], told["images"]) == (12, 8, 6)
    assert mode_and_size(tmp_path / "nmfc-out/basis/basis-00.png") == ("L", (12, 8))


def test_colour_among_grey(run, tmp_path):
    names = collection(tmp_path / "in")
    picture(names[3], "RGB")
    said = run("basis", *names, *FAST)
    assert said.code == 1
    assert said.err.startswith(f"nmfc: {names[3]}: is in colour")
    assert run("basis", *names, *FAST, "--gray").code == 0


def test_a_broken_one_names_the_file(run, tmp_path):
    names = collection(tmp_path / "in")
    Path(names[2]).write_bytes(Path(names[2]).read_bytes()[:60])
    said = run("basis", *names, *FAST)
    assert said.code == 1
    assert said.err.startswith(f"nmfc: {names[2]}: ")
    assert said.err.count("\n") == 1


def test_colour(run, tmp_path):
    np.save(tmp_path / "a.npy", np.stack([tones(16, 24, 3, seed) for seed in range(6)]))
    said = run("basis", "a.npy", *FAST, "--json")
    assert said.code == 0
    assert json.loads(said.out)["mode"] == "RGB"
    assert mode_and_size(tmp_path / "nmfc-out/basis/basis-01.png") == ("RGB", (24, 16))
    assert run("basis", "a.npy", *FAST, "--gray", "-f").code == 0
    assert mode_and_size(tmp_path / "nmfc-out/basis/basis-01.png") == ("L", (24, 16))


@pytest.mark.parametrize("name", ["a.tif", "a.gif"])
def test_frames_are_a_collection(run, tmp_path, name):
    frames(tmp_path / name, 6)
    said = run("basis", name, *FAST, "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["images"] == 6
    assert "frame 1 of" not in said.err


def test_stdin_is_a_collection(run, tmp_path):
    said = run("basis", "-", *FAST, "--json", "--limit", 50, input=(SAMPLES / "digits.npz").read_bytes())
    assert said.code == 0, said.err
    told = json.loads(said.out)
    assert (told["input"], told["images"]) == ("-", 50)
    frames(tmp_path / "a.tif", 6)
    said = run("basis", "-", *FAST, "--json", "-f", input=(tmp_path / "a.tif").read_bytes())
    assert json.loads(said.out)["images"] == 6


def idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.mark.parametrize("packed", [False, True])
def test_idx_with_labels_beside_it(run, tmp_path, packed):
    ending, pack = (".gz", gzip.compress) if packed else ("", bytes)
    (tmp_path / f"train-images-idx3-ubyte{ending}").write_bytes(pack(idx(images()[:50])))
    (tmp_path / f"train-labels-idx1-ubyte{ending}").write_bytes(pack(idx(images(key="y_train")[:50])))
    said = run("basis", f"train-images-idx3-ubyte{ending}", *FAST, "--label", 3, "--json", "-v")
    assert said.code == 0, said.err
    assert json.loads(said.out)["images"] == (images(key="y_train")[:50] == 3).sum()
    assert "labels from train-labels-idx1-ubyte" in said.err


def test_mat(run, tmp_path):
    scipy_io = pytest.importorskip("scipy.io")
    shown, labels = images()[:40], images(key="y_train")[:40]
    scipy_io.savemat(tmp_path / "a.mat", {"data": shown.reshape(40, 784).T, "label": labels[None].astype(float)})
    said = run("basis", "a.mat", *FAST, "--write", "factors")
    assert said.code == 0, said.err
    with np.load(tmp_path / "nmfc-out/factors.npz") as factors:
        np.testing.assert_array_equal(factors["labels"], labels)
        assert factors["image_shape"].tolist() == [28, 28]
        assert len(factors["W"]) == 40


def test_axis_order_and_key(run, tmp_path):
    shown = np.stack([tones(16, 24, seed=seed) for seed in range(6)])
    np.save(tmp_path / "last.npy", np.moveaxis(shown, 0, 2))
    np.save(tmp_path / "turned.npy", shown.transpose(0, 2, 1).reshape(6, 24, 16))
    np.savez(tmp_path / "two.npz", left=shown, right=shown[:, :8])

    def told(*words):
        said = run("basis", *words, *FAST, "--json", "-f")
        assert said.code == 0, said.err
        one = json.loads(said.out)
        return one["images"], one["width"], one["height"]

    assert told("last.npy", "--axis", 2) == (6, 24, 16)
    assert told("two.npz", "--key", "right") == (6, 24, 8)
    assert told("turned.npy") == (6, 16, 24)
    assert told("turned.npy", "--order", "F") == (6, 24, 16)
    said = run("basis", "two.npz", *FAST, "-f")
    assert said.code == 1
    assert "--key" in said.err
    said = run("basis", "two.npz", *FAST, "-f", "--key", "middle")
    assert "has no 'middle'" in said.err
    said = run("basis", "last.npy", *FAST, "-f", "--axis", 5)
    assert said.code == 2
    assert said.err.count("\n") == 1


def test_what_was_assumed_is_said_at_v(run, tmp_path):
    np.save(tmp_path / "a.npy", np.stack([tones(28, 28, seed=seed) for seed in range(6)]).reshape(6, 784))
    assert "28" not in run("basis", "a.npy", *FAST, "-O", "one", "--json").err
    said = run("basis", "a.npy", *FAST, "-O", "two", "-v", "--json")
    assert "28 x 28" in said.err


def test_mask(run, tmp_path):
    shown = np.stack([tones(16, 24, seed=seed) for seed in range(6)])
    np.save(tmp_path / "a.npy", shown)
    known = np.ones((16, 24), np.uint8)
    known[4:8, 4:8] = 0
    Image.fromarray(known * 255).save(tmp_path / "mask.png")
    each = np.ones(shown.shape, bool)
    each[2, :8] = False
    np.save(tmp_path / "each.npy", each)
    for mask in ("mask.png", "each.npy"):
        said = run("basis", "a.npy", "-k", 3, "--mask", mask, "-f", "--json")
        assert said.code == 0, said.err
        assert json.loads(said.out)["svd_floor"] is None
    np.save(tmp_path / "wrong.npy", each[:, :-1])
    said = run("basis", "a.npy", "-k", 3, "--mask", "wrong.npy", "-f")
    assert said.code == 1
    assert said.err.startswith("nmfc: wrong.npy: ")


# Outputs


@pytest.mark.parametrize(
    ("what", "files"),
    [
        ("basis", ["basis.png", "basis/basis-00.png", "basis/basis-01.png"]),
        ("csv,factors", ["factors.npz", "loss.csv"]),
        ("factors,compare", ["factors.npz", "reconstructed.png"]),
    ],
)
def test_write_picks_the_outputs(run, tmp_path, what, files):
    """loss.png goes with loss.csv."""
    pytest.importorskip("matplotlib")
    assert run("basis", *collection(tmp_path / "in"), *FAST, "--write", what).code == 0
    assert written(tmp_path / "nmfc-out") == files


def test_outputs_are_not_overwritten_by_accident(run, tmp_path):
    names = collection(tmp_path / "in")
    assert run("basis", *names, *FAST).code == 0
    before = timeless(tmp_path / "nmfc-out")
    said = run("basis", *names, "-k", 3)
    assert said.code == 1
    assert "exists (pass -f" in said.err
    assert timeless(tmp_path / "nmfc-out") == before
    said = run("basis", *names, *FAST, "--skip-existing")
    assert said.code == 0
    assert "passed over" in said.err
    assert timeless(tmp_path / "nmfc-out") == before
    assert run("basis", *names, "-k", 3, "-f").code == 0
    assert (tmp_path / "nmfc-out/basis/basis-02.png").exists()


def test_inputs_are_never_overwritten(run, tmp_path):
    names = collection(tmp_path / "basis")
    (tmp_path / "basis/0.png").rename(tmp_path / "basis/basis-00.png")
    before = (tmp_path / "basis/basis-00.png").read_bytes()
    said = run("basis", "basis/basis-00.png", *names[1:], *FAST, "-O", ".", "-f")
    assert said.code == 1
    assert "is an input" in said.err
    assert (tmp_path / "basis/basis-00.png").read_bytes() == before


def test_more_parts_than_two_digits(run, tmp_path):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).integers(0, 256, (120, 12, 12), np.uint8))
    assert run("basis", "a.npy", "-k", 101, "-n", 1, "--write", "basis").code == 0
    names = written(tmp_path / "nmfc-out")
    assert names[1] == "basis/basis-000.png"
    assert names[-1] == "basis/basis-100.png"


# The real ones


def test_mnist(data, tmp_path):
    done = real(tmp_path, "basis", data / "mnist/mnist.npz", "-k", 10, "--limit", 5000, "-n", 30, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["images"] == 5000


def test_a_movie_and_a_cube(data, tmp_path):
    done = real(tmp_path, "basis", data / "stacks/mouse_500x64x64_u16.tif", "-k", 4, "-n", 10, "--json")
    told = json.loads(done.stdout)
    assert (told["images"], told["width"], told["mode"]) == (500, 64, "I;16")
    done = real(tmp_path, "basis", data / "stacks/samson_bands_156x95x95_f32.npy", "-k", 3, "-n", 10, "--json", "-f")
    assert json.loads(done.stdout)["images"] == 156


# Found by people who tried it


def test_a_list_keeps_its_file_names(run, tmp_path):
    for name in ("b.png", "a.png", "c.png"):
        Image.fromarray(np.full((12, 12), ord(name[0]), np.uint8)).save(tmp_path / name)
    said = run("basis", "b.png", "a.png", "c.png", "-k", 1, "--json")
    assert said.code == 0
    assert json.loads(said.out)["input"] == "b.png and 2 more"
    with np.load(tmp_path / "nmfc-out/factors.npz") as factors:
        assert factors["files"].tolist() == ["b.png", "a.png", "c.png"]


def test_parts_of_an_earlier_run_are_pointed_out(run, tmp_path):
    given = ("basis", SAMPLES / "digits.npz", "--limit", 50, "-n", 2, "--write", "basis")
    assert "earlier run" not in run(*given, "-k", 5).err
    assert "3 more from an earlier run with more parts" in run(*given, "-k", 2, "-f").err


def test_a_folder_is_a_collection_without_more_words(run, tmp_path):
    for name in ("a.png", "b.png", "below/c.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((12, 12), ord(name[0]), np.uint8)).save(tmp_path / "in" / name)
    assert json.loads(run("basis", "in", "-k", 1, "--json").out)["images"] == 2
    assert json.loads(run("basis", "in", "-r", "-k", 1, "--json", "-f").out)["images"] == 3
