"""nmfc compress: what it writes, under which names, and what it says."""

from __future__ import annotations

import io
import json
import os
import shutil

import numpy as np
import pytest
from commands import KEYS, SAMPLES, frames, log, mode_and_size, picture, read, real, timeless, tones, written
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import nmfcompress
from nmfcompress.cli import inputs
from nmfcompress.images.pictures import read_image
from nmfcompress.recipes import fit_picture
from nmfcompress.settings import Fit

COLUMNS = ["input", "image", "label", "sweep", "loss", "relative_loss", "reads", "gradient", "objective", "seconds"]
FAST = ("-k", 2, "-n", 5)
FOUR_ENDINGS = (".png", ".basis.png", ".compare.png", ".nmfc")


# One picture


def test_the_main_job(run, tmp_path):
    said = run("compress", SAMPLES / "photo.png", SAMPLES / "grey.png", "--rank", 3)
    assert said.code == 0
    assert said.out == ""
    out = tmp_path / "nmfc-out"
    names = [stem + ending for stem in ("grey", "photo") for ending in FOUR_ENDINGS]
    assert written(out) == sorted([*names, "loss.csv"])
    sizes = {}
    for name, mode, size in (("photo", "RGB", (480, 320)), ("grey", "L", (320, 240))):
        assert mode_and_size(out / f"{name}.png") == (mode, size)
        given = read_image(SAMPLES / f"{name}.png").pixels
        found = fit_picture(given, Fit(rank=3))
        again = read(out / f"{name}.png")
        np.testing.assert_array_equal(again, found.reconstruction)

        width, height = size
        shown = read(out / f"{name}.compare.png")
        assert shown.shape[0] < height + 120
        panels = [shown[8 : 8 + height, 8 + place * (width + 8) :][:, :width] for place in range(3)]
        for panel, pixels in zip(panels, (given, again), strict=False):
            np.testing.assert_array_equal(panel, pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, 2))
        assert panels[2].max() == 255, "the error is made bright enough to see"
        assert (shown[8 + height + 24 :] < 128).any(), "PSNR and loss are written under it"

        parts = read(out / f"{name}.basis.png")
        assert parts.shape[1] >= 3 * width

        packed = (out / f"{name}.nmfc").read_bytes()
        decoded = nmfcompress.decode_image(packed)
        assert (decoded.shape, decoded.dtype) == (given.shape, given.dtype)
        assert nmfcompress.psnr(given, decoded) > found.measured.psnr_db - 0.05, "the quantizer costs next to nothing"
        sizes[name] = (f"{len(packed):,}", f"{8 * len(packed) / (width * height):.3f}")

        rows = [row for row in log(out) if row["input"].endswith(f"{name}.png")]
        assert list(rows[0]) == COLUMNS
        assert [int(row["sweep"]) for row in rows] == list(range(1, len(rows) + 1))
        assert {(row["image"], row["label"]) for row in rows} == {("", "")}
        losses = [float(row["loss"]) for row in rows]
        assert losses == sorted(losses, reverse=True)
        V = given / 255
        assert losses[-1] == pytest.approx(found.fit.loss, rel=1e-6)
        assert float(rows[-1]["relative_loss"]) == pytest.approx(losses[-1] / np.linalg.norm(V), rel=1e-5)
        assert losses[-1] == pytest.approx(np.linalg.norm(V - again / 255), rel=1e-2)
    table = said.err.splitlines()
    assert table[0].split()[:3] == ["input", "size", "rank"]
    assert table[0].split()[-3:] == ["bytes", "bit/px", "seconds"]
    assert [tuple(line.split()[-3:-1]) for line in table[1:3]] == [sizes["photo"], sizes["grey"]]
    assert [line.split()[1] for line in table[1:3]] == ["480x320", "320x240"]
    assert table[-1] == "written to nmfc-out"


def test_large_panels_are_scaled_down(run, tmp_path):
    Image.fromarray(tones(30, 4200)).save(tmp_path / "a.png")
    assert run("compress", "a.png", "-k", 1, "-n", 2).code == 0
    assert mode_and_size(tmp_path / "nmfc-out/a.png") == ("L", (4200, 30))
    for name in ("a.compare.png", "a.basis.png"):
        assert mode_and_size(tmp_path / "nmfc-out" / name)[1][0] <= 3 * 2048 + 4 * 8


@pytest.mark.parametrize(
    ("what", "files"),
    [
        ("image", ["a.png"]),
        ("basis,csv", ["a.basis.png", "loss.csv"]),
        ("compare", ["a.compare.png"]),
        ("csv", ["loss.csv"]),
        ("nmfc", ["a.nmfc"]),
        ("nmfc,image", ["a.nmfc", "a.png"]),
        ("image, basis", ["a.basis.png", "a.png"]),
    ],
)
def test_write_picks_the_outputs(run, tmp_path, what, files):
    picture(tmp_path / "a.png")
    assert run("compress", "a.png", *FAST, "--write", what).code == 0
    assert written(tmp_path / "nmfc-out") == files


def test_loss_csv_is_the_log_of_the_folder(run, tmp_path):
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png", seed=1)
    assert run("compress", "a.png", "b.png", "-k", 2, "-n", 7, "--tol", 0).code == 0
    assert run("compress", "a.png", "-k", 2, "-n", 3, "-f").code == 0
    rows = [(row["input"], row["sweep"]) for row in log(tmp_path / "nmfc-out")]
    assert rows == [("b.png", str(s)) for s in range(1, 8)] + [("a.png", str(s)) for s in range(1, 4)]


def test_another_table_called_loss_csv_is_left_alone(run, tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "nmfc-out").mkdir()
    (tmp_path / "nmfc-out/loss.csv").write_text("epoch,loss\n1,2\n")
    said = run("compress", "a.png", *FAST)
    assert said.code == 1
    assert "no loss log of nmfc" in said.err
    assert (tmp_path / "nmfc-out/loss.csv").read_text() == "epoch,loss\n1,2\n"
    assert written(tmp_path / "nmfc-out") == ["loss.csv"], "it is found before any work"


def test_gray(run, tmp_path):
    picture(tmp_path / "a.png", "RGB")
    assert run("compress", "a.png", *FAST, "--gray").code == 0
    assert mode_and_size(tmp_path / "nmfc-out/a.png") == ("L", (24, 16))


def test_mask(run, tmp_path):
    """What is missing is filled in from the rest: a picture of rank 1 comes back whole."""
    rng = np.random.default_rng(0)
    whole = np.rint(np.outer(rng.uniform(8, 16, 20), rng.uniform(8, 16, 30))).astype(np.uint8)
    known = np.ones(whole.shape, bool)
    known[3:8, 4:15] = False
    Image.fromarray(np.where(known, whole, 255).astype(np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(known).save(tmp_path / "mask.png")
    np.save(tmp_path / "mask.npy", known)
    for mask in ("mask.png", "mask.npy"):
        said = run("compress", "a.png", "-k", 1, "--mask", mask, "-f", "--json")
        assert said.code == 0
        again = read(tmp_path / "nmfc-out/a.png")
        assert np.abs(again.astype(int) - whole).max() <= 2
        told = json.loads(said.out)
        assert told["svd_floor"] is None
        assert told["psnr_db"] > 45, "missing pixels do not count"
    assert run("compress", "a.png", "-k", 1, "-f").code == 0
    assert np.abs(read(tmp_path / "nmfc-out/a.png").astype(int) - whole).max() > 20

    picture(tmp_path / "small.png", size=(7, 5))
    said = run("compress", "a.png", "-k", 1, "-f", "--mask", "small.png")
    assert (said.code, said.err) == (1, "nmfc: small.png: is a mask of 7 x 5, the pictures are 30 x 20\n")


# What files hold


def test_alpha_is_kept(run, tmp_path):
    picture(tmp_path / "a.png", "RGBA")
    assert run("compress", "a.png", *FAST).code == 0
    assert mode_and_size(tmp_path / "nmfc-out/a.png") == ("RGBA", (24, 16))
    np.testing.assert_array_equal(read(tmp_path / "nmfc-out/a.png")[..., 3], read(tmp_path / "a.png")[..., 3])


def test_palette_is_converted_with_a_note(run, tmp_path):
    Image.fromarray(tones(16, 24, 3)).quantize(16).save(tmp_path / "a.png")
    said = run("compress", "a.png", *FAST)
    assert said.code == 0
    assert "nmfc: a.png: palette turned into RGB\n" in said.err
    assert mode_and_size(tmp_path / "nmfc-out/a.png") == ("RGB", (24, 16))


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bits_are_kept(run, tmp_path, name):
    deep = tones(16, 24).astype(np.uint16) * 200 + 77
    Image.fromarray(deep).save(tmp_path / name)
    said = run("compress", name, "-k", 12)
    assert said.code == 0
    assert mode_and_size(tmp_path / "nmfc-out/a.png") == ("I;16", (24, 16))
    again = read(tmp_path / "nmfc-out/a.png")
    assert np.abs(again.astype(int) - deep).mean() < 500
    assert len(np.unique(again % 256)) > 50


def test_cmyk_is_converted_with_a_note(run, tmp_path):
    picture(tmp_path / "a.tif", "CMYK")
    said = run("compress", "a.tif", *FAST)
    assert "nmfc: a.tif: CMYK turned into RGB\n" in said.err
    assert mode_and_size(tmp_path / "nmfc-out/a.png") == ("RGB", (24, 16))


def test_orientation_is_applied(run, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "A camera"
    picture(tmp_path / "a.png", "L", exif=exif, dpi=(300, 300))
    said = run("compress", "a.png", "-k", 16, "--write", "image")
    assert "orientation 6 applied" in said.err
    with Image.open(tmp_path / "nmfc-out/a.png") as image:
        assert image.size == (16, 24)
        assert image.getexif().get(0x0112, 1) == 1
        assert image.getexif()[0x010F] == "A camera"
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        upright = np.rot90(read(tmp_path / "a.png"), -1)
        assert np.abs(np.asarray(image).astype(int) - upright).mean() < 2


@pytest.mark.parametrize("name", ["a.gif", "a.tif"])
def test_several_frames(run, tmp_path, name):
    frames(tmp_path / name)
    said = run("compress", name, *FAST, "--write", "image,csv")
    assert said.code == 0
    assert f"nmfc: {name}: frame 1 of 4\n" in said.err
    assert written(tmp_path / "nmfc-out") == ["a.png", "loss.csv"]

    said = run("compress", name, *FAST, "--frame", 2, "--write", "image,csv", "--json")
    second = json.loads(said.out)
    assert second["image"] == 2
    assert written(tmp_path / "nmfc-out") == ["a-frame2.png", "a.png", "loss.csv"]

    said = run("compress", name, *FAST, "--frame", "all", "--write", "image,csv", "--json", "-f")
    told = [json.loads(line) for line in said.out.splitlines()]
    assert [one["image"] for one in told] == [1, 2, 3, 4]
    assert told[1] == second | {"seconds": told[1]["seconds"], "notes": told[1]["notes"]}
    assert written(tmp_path / "nmfc-out") == [*(f"a-frame{n}.png" for n in range(1, 5)), "a.png", "loss.csv"]
    assert {row["image"] for row in log(tmp_path / "nmfc-out")} == {"", "1", "2", "3", "4"}

    said = run("compress", name, *FAST, "--frame", 5)
    assert (said.code, said.err) == (1, f"nmfc: {name}: has 4 frames, no frame 5\n")


# Many inputs


def test_a_tree_is_mirrored(run, tmp_path):
    for name in ("tree/a.png", "tree/b/a.jpg", "tree/b/c/d.bmp", "tree/.hidden/e.png", "tree/.f.png"):
        picture(tmp_path / name)
    (tmp_path / "tree/notes.txt").write_text("none")
    (tmp_path / "tree/empty").mkdir()
    for force in ((), ("-f",)):  # the second time, the outputs lie within the tree
        said = run("compress", "-r", "tree", *FAST, "-O", "tree/out", "--write", "image,csv", *force)
        assert said.code == 0, said.err
        assert written(tmp_path / "tree/out") == ["a.png", "b/a.png", "b/c/d.png", "loss.csv"]
        assert "tree: passed over notes.txt, by the ending no picture" in said.err
    assert {row["input"] for row in log(tmp_path / "tree/out")} == {"tree/a.png", "tree/b/a.jpg", "tree/b/c/d.bmp"}


def test_a_folder_asks_for_r(run, tmp_path):
    picture(tmp_path / "tree/a.png")
    said = run("compress", "tree", *FAST)
    assert said.code == 1
    assert "-r" in said.err
    assert not (tmp_path / "nmfc-out").exists()


def test_a_folder_without_pictures(run, tmp_path):
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/notes.txt").write_text("none")
    said = run("compress", "-r", "tree", *FAST)
    assert said.code == 1
    assert "tree: no pictures in it" in said.err
    assert not (tmp_path / "nmfc-out").exists()


def test_one_stem_twice(run, tmp_path):
    picture(tmp_path / "a.png")
    picture(tmp_path / "a.jpg")
    picture(tmp_path / "b.png")
    assert run("compress", "a.png", "a.jpg", "b.png", *FAST, "--write", "image,basis").code == 0
    names = ["a.jpg.basis.png", "a.jpg.png", "a.png.basis.png", "a.png.png", "b.basis.png", "b.png"]
    assert written(tmp_path / "nmfc-out") == names


def test_the_same_file_twice_is_done_once(run, tmp_path):
    picture(tmp_path / "a.png")
    os.symlink("a.png", tmp_path / "again.png")
    os.symlink(".", tmp_path / "here")
    said = run("compress", "a.png", "./a.png", "here/a.png", *FAST, "--json")
    assert (said.code, len(said.out.splitlines())) == (0, 1)


def test_links_are_pictures_of_their_own(run, tmp_path):
    """As among the frames of a camera that repeat, or in a backup that shares what has not changed."""
    picture(tmp_path / "in/a.png")
    os.symlink("a.png", tmp_path / "in/b.png")
    os.link(tmp_path / "in/a.png", tmp_path / "in/c.png")
    assert run("compress", "-r", "in", *FAST, "--write", "image").code == 0
    assert written(tmp_path / "nmfc-out") == ["a.png", "b.png", "c.png"]
    assert run("compress", "in", "-o", "in.nmfc", "--step", 9).code == 0
    assert "3 pictures" in run("info", "in.nmfc").out


@pytest.mark.parametrize(
    ("one", "other"), [("x/a.png", "y/a.png"), ("a.png", "a.basis.png"), ("a.compare.jpg", "a.tif")]
)
def test_collisions_are_refused_before_any_work(run, tmp_path, one, other):
    picture(tmp_path / one)
    picture(tmp_path / other)
    for force in ((), ("-f",)):
        said = run("compress", one, other, *FAST, *force)
        assert said.code == 2
        assert said.err.count("\n") == 1
        assert one in said.err
        assert other in said.err
        assert not (tmp_path / "nmfc-out").exists()


@pytest.mark.parametrize("nul", [False, True])
@pytest.mark.parametrize("piped", [False, True])
def test_files_from(run, tmp_path, nul, piped):
    names = ["a.png", "with space.png", "-k.png"] + (["two\nlines.png"] if nul else [])
    for seed, name in enumerate(names):
        picture(tmp_path / name, seed=seed)
    listed = ("\0" if nul else "\n").join(names).encode()
    (tmp_path / "list").write_bytes(listed)
    said = run("compress", "--files-from", "-" if piped else "list", *(["-0"] if nul else []), *FAST, "--json",
               input=listed if piped else b"")  # fmt: skip
    assert said.code == 0, said.err
    assert [json.loads(line)["input"] for line in said.out.splitlines()] == names


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["Unix", "Windows"])
def test_a_list_from_an_editor(run, tmp_path, end):
    names = ["a.png", "b\rc.png", "d\fe.png", "b"]
    for seed, name in enumerate(names):
        picture(tmp_path / "x.png", seed=seed).rename(tmp_path / name)
    (tmp_path / "list").write_bytes(b"\xef\xbb\xbf" + end.join([*names, ""]).encode())
    said = run("compress", "--files-from", "list", *FAST, "--json")
    assert said.code == 0, said.err
    assert [json.loads(line)["input"] for line in said.out.splitlines()] == names


def test_a_list_that_is_not_there(run):
    said = run("compress", "--files-from", "none", *FAST)
    assert (said.code, said.err) == (1, "nmfc: none: cannot be read: No such file or directory\n")


@pytest.mark.parametrize("words", [(), ("-0",)], ids=str)
def test_a_list_without_an_end(run, monkeypatch, words):
    monkeypatch.setattr(inputs, "LIST_BYTES", 10_000)
    said = run("compress", "--files-from", "/dev/zero", *words, *FAST)
    assert (said.code, said.err) == (1, "nmfc: /dev/zero: is longer than 10,000 bytes, expected a list of names\n")


def test_stdin_is_an_input(run, tmp_path):
    picture(tmp_path / "a.jpg")
    said = run("compress", "-", *FAST, "--json", input=(tmp_path / "a.jpg").read_bytes())
    assert said.code == 0
    assert json.loads(said.out)["input"] == "-"
    assert written(tmp_path / "nmfc-out") == ["loss.csv", *(f"stdin{ending}" for ending in sorted(FOUR_ENDINGS))]
    archive = (SAMPLES / "digits.npz").read_bytes()
    said = run("compress", "-", *FAST, "--index", 7, "--write", "image", "-O", "out", input=archive)
    assert said.code == 0
    assert [name[:16] for name in written(tmp_path / "out")] == ["stdin-0007-label"]


# One output


@pytest.mark.parametrize(
    ("ending", "kind", "mode"),
    [
        ("png", "PNG", "RGB"),
        ("jpg", "JPEG", "RGB"),
        ("webp", "WEBP", "RGB"),
        ("tif", "TIFF", "RGB"),
        ("bmp", "BMP", "RGB"),
        ("ppm", "PPM", "RGB"),
        ("pgm", "PPM", "L"),
        ("JPEG", "JPEG", "RGB"),
    ],
)
def test_o_by_its_ending(run, tmp_path, ending, kind, mode):
    picture(tmp_path / "a.png", "RGB")
    said = run("compress", "a.png", *FAST, "-o", f"b.{ending}")
    assert said.code == 0
    with Image.open(tmp_path / f"b.{ending}") as image:
        assert (image.format, image.mode, image.size) == (kind, mode, (24, 16))
    assert ("turned into grey" in said.err) == (mode == "L")
    assert written(tmp_path) == sorted(["a.png", f"b.{ending}"]), "nothing else is written"


def test_o_of_a_kind(run, tmp_path):
    picture(tmp_path / "a.png")
    assert run("compress", "a.png", *FAST, "-o", "new/b", "--to", "tif").code == 0
    with Image.open(tmp_path / "new/b") as image:
        assert image.format == "TIFF"


def test_o_to_stdout(nmfc, tmp_path):
    picture(tmp_path / "a.png", "RGB")
    nmfc("compress", "a.png", *FAST, "--write", "image")
    done = nmfc("compress", "-", *FAST, "-o", "-", "--to", "png", input=(tmp_path / "a.png").read_bytes())
    assert done.returncode == 0
    assert done.stdout == (tmp_path / "nmfc-out/a.png").read_bytes()
    assert b"24x16 RGB" in done.stderr
    assert written(tmp_path) == ["a.png", "nmfc-out/a.png"]
    piped = nmfc("compress", "-", *FAST, "-o", "-", "--to", "webp", "-q", input=done.stdout)
    assert (piped.returncode, piped.stderr) == (0, b"")
    assert Image.open(io.BytesIO(piped.stdout)).size == (24, 16)


# Files that are there already


def test_outputs_are_not_overwritten_by_accident(run, tmp_path):
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png", seed=1)
    assert run("compress", "a.png", *FAST).code == 0
    before = {name: (tmp_path / "nmfc-out" / name).read_bytes() for name in written(tmp_path / "nmfc-out")}

    said = run("compress", "a.png", "-k", 3)
    assert (said.code, said.err) == (1, "nmfc: nmfc-out/a.png: exists (pass -f to overwrite it, or --skip-existing)\n")
    for name, content in before.items():
        assert (tmp_path / "nmfc-out" / name).read_bytes() == content

    said = run("compress", "a.png", "b.png", "-k", 3, "--skip-existing")
    assert said.code == 0
    assert "nmfc: 1 passed over, their outputs exist\n" in said.err
    assert (tmp_path / "nmfc-out/a.png").read_bytes() == before["a.png"]
    assert (tmp_path / "nmfc-out/b.png").exists()

    os.unlink(tmp_path / "nmfc-out/a.basis.png")
    assert run("compress", "a.png", *FAST, "--skip-existing").code == 0
    assert (tmp_path / "nmfc-out/a.basis.png").read_bytes() == before["a.basis.png"]

    assert run("compress", "a.png", "-k", 3, "-f").code == 0
    assert (tmp_path / "nmfc-out/a.png").read_bytes() != before["a.png"]
    assert not list((tmp_path / "nmfc-out").glob(".nmfc-*"))


def test_an_archive_done_in_part_is_finished(run, tmp_path):
    given = (SAMPLES / "digits.npz", *FAST, "--write", "image,csv", "--no-plot")
    assert run("compress", *given, "--index", "0-2").code == 0
    said = run("compress", *given, "--index", "0-4", "--skip-existing", "--json")
    assert [json.loads(line)["image"] for line in said.out.splitlines()] == [3, 4]
    assert {row["image"] for row in log(tmp_path / "nmfc-out")} == {"0", "1", "2", "3", "4"}


@pytest.mark.parametrize("made", ["same", "hard", "symbolic"])
@pytest.mark.parametrize("by", ["-O", "-o"])
def test_inputs_are_never_overwritten(run, tmp_path, made, by):
    given = picture(tmp_path / "a.png") if made == "same" else picture(tmp_path / "in/a.png")
    if made == "hard":
        os.link(given, tmp_path / "a.png")
    elif made == "symbolic":
        os.symlink("in/a.png", tmp_path / "a.png")
    before = given.read_bytes()
    said = run("compress", given, *FAST, "-f", by, "." if by == "-O" else "a.png")
    assert said.code == 1
    assert "a.png: is an input, which is never overwritten" in said.err
    assert given.read_bytes() == (tmp_path / "a.png").read_bytes() == before
    assert not list(tmp_path.glob("*.basis.png"))


def test_a_link_as_an_output_is_written_through(run, tmp_path):
    picture(tmp_path / "a.png")
    (tmp_path / "real.png").write_bytes(b"old")
    os.symlink("real.png", tmp_path / "link.png")
    assert run("compress", "a.png", *FAST, "-o", "link.png").code == 1
    assert (tmp_path / "real.png").read_bytes() == b"old"
    assert run("compress", "a.png", *FAST, "-o", "link.png", "-f").code == 0
    assert (tmp_path / "link.png").is_symlink()
    assert mode_and_size(tmp_path / "real.png") == ("L", (24, 16))


# Archives


def test_one_per_label(run, tmp_path):
    pytest.importorskip("matplotlib")
    said = run("compress", SAMPLES / "digits.npz", "--one-per-label", "-k", 3, "-n", 5, "--json", "--plot")
    assert said.code == 0
    out = tmp_path / "nmfc-out"
    with np.load(SAMPLES / "digits.npz") as archive:
        labels, images = archive["y_train"], archive["x_train"]
    places = [int(np.flatnonzero(labels == digit)[0]) for digit in range(10)]
    stems = [f"digits-{place:04}-label{digit}" for digit, place in enumerate(places)]
    singles = [stem + ending for stem in stems for ending in FOUR_ENDINGS]
    assert written(out) == sorted([*singles, "digits.compare.png", "loss.csv", "loss.png"])
    told = [json.loads(line) for line in said.out.splitlines()]
    assert [(one["image"], one["label"]) for one in told] == list(zip(places, range(10), strict=True))
    rows = log(out)
    assert list(dict.fromkeys((int(row["image"]), row["label"]) for row in rows)) == [
        (place, str(digit)) for digit, place in enumerate(places)
    ]
    assert [int(row["sweep"]) for row in rows if row["label"] == "3"] == [1, 2, 3, 4, 5]
    assert mode_and_size(out / f"{stems[3]}.png") == ("L", (28, 28))
    given = images[places[3]]
    np.testing.assert_array_equal(
        read(out / f"{stems[3]}.png"), fit_picture(given, Fit(rank=3, max_sweeps=5)).reconstruction
    )
    assert mode_and_size(out / "loss.png")[1][0] > 500
    width, height = mode_and_size(out / "digits.compare.png")[1]
    assert height >= 10 * 28
    assert width >= 2 * 28


@pytest.mark.parametrize(
    ("chosen", "count", "labels"),
    [
        (("--label", "3", "--limit", 4), 4, {3}),
        (("--label", "3", "--label", "5", "--limit", 6), 6, {3, 5}),
        (("--index", "0,5,10-13"), 6, None),
        (("--limit", 3), 3, None),
        (("--split", "test", "--limit", 2), 2, None),
        (("--split", "test", "--one-per-label", "--label", "7"), 1, {7}),
        (("--split", "all", "--index", "1799-1801"), 3, None),
    ],
)
def test_choosing_from_an_archive(run, tmp_path, chosen, count, labels):
    said = run("compress", SAMPLES / "digits.npz", "-k", 1, "-n", 1, "--json", "--write", "image", "--no-plot", *chosen)
    assert said.code == 0, said.err
    told = [json.loads(line) for line in said.out.splitlines()]
    assert len(told) == count
    assert len(written(tmp_path / "nmfc-out")) == count
    if labels is not None:
        assert {one["label"] for one in told} == labels
    elif "0,5,10-13" in chosen:
        assert [one["image"] for one in told] == [0, 5, 10, 11, 12, 13]
    with np.load(SAMPLES / "digits.npz") as archive:
        split = "test" if "test" in chosen else "train"
        for one in told:
            if "all" not in chosen:
                assert archive[f"y_{split}"][one["image"]] == one["label"]


def test_nothing_to_choose(run, tmp_path):
    for chosen, words in (
        (("--label", "12"), "has no image labelled 12"),
        (("--index", "1800"), "beyond its 1,800 images"),
        (("--index", "0-3", "--label", "12"), "has no image labelled 12"),
    ):
        said = run("compress", SAMPLES / "digits.npz", "-k", 1, *chosen)
        assert said.code in (1, 2)
        assert said.err.count("\n") == 1
        assert words in said.err
    np.save(tmp_path / "a.npy", np.zeros((5, 8, 8), np.uint8))
    said = run("compress", "a.npy", "-k", 1, "--one-per-label")
    assert (said.code, said.err) == (1, "nmfc: a.npy: has no labels, which --label and --one-per-label need\n")


def test_more_than_a_thousand_pictures_ask_for_all(run, tmp_path):
    said = run("compress", SAMPLES / "digits.npz", "-k", 1)
    assert said.code == 2
    assert said.err.count("\n") == 1
    assert "1,800" in said.err
    assert "--all" in said.err
    assert not (tmp_path / "nmfc-out").exists()
    np.save(tmp_path / "many.npy", np.random.default_rng(0).integers(0, 256, (1001, 2, 2), np.uint8))
    assert run("compress", "many.npy", "-k", 1, "-n", 1, "--write", "csv", "--no-plot").code == 2
    assert run("compress", "many.npy", "-k", 1, "-n", 1, "--write", "csv", "--no-plot", "--limit", 1000).code == 0
    assert run("compress", "many.npy", "-k", 1, "-n", 1, "--write", "csv", "--no-plot", "--all", "-q").code == 0
    assert len({row["image"] for row in log(tmp_path / "nmfc-out")}) == 1001


def test_loss_png_of_archives_and_on_request(run, tmp_path):
    pytest.importorskip("matplotlib")
    picture(tmp_path / "a.png")
    for words, there in (((), False), (("--plot",), True), (("--no-plot",), False)):
        assert run("compress", "a.png", *FAST, "-f", *words, "-O", f"out{words}").code == 0
        assert (tmp_path / f"out{words}/loss.png").exists() == there
    given = (SAMPLES / "digits.npz", *FAST, "--limit", 2)
    for words, there in (((), True), (("--no-plot",), False), (("--write", "csv"), False)):
        assert run("compress", *given, *words, "-O", f"digits{words}").code == 0
        assert (tmp_path / f"digits{words}/loss.png").exists() == there


def test_a_single_array_is_a_picture(run, tmp_path):
    np.save(tmp_path / "a.npy", tones(16, 24))
    assert run("compress", "a.npy", *FAST).code == 0
    assert written(tmp_path / "nmfc-out") == ["a.basis.png", "a.compare.png", "a.nmfc", "a.png", "loss.csv"]
    assert mode_and_size(tmp_path / "nmfc-out/a.png") == ("L", (24, 16))


# For scripts


def test_json(run, tmp_path):
    picture(tmp_path / "a.png", "RGB")
    picture(tmp_path / "b.png", seed=1)
    (tmp_path / "c.png").write_bytes(b"none")
    said = run("compress", "a.png", "c.png", "b.png", "-k", 2, "--json")
    assert said.code == 1
    assert said.err.splitlines()[0].startswith("nmfc: c.png: ")
    told = [json.loads(line) for line in said.out.splitlines()]
    assert [one["input"] for one in told] == ["a.png", "b.png"]
    for one in told:
        assert one.keys() >= KEYS
        assert (one["image"], one["label"], one["width"], one["height"]) == (None, None, 24, 16)
        assert (one["rank"], one["solver"], one["divergence"]) == (2, "mu", "frobenius")
        assert isinstance(one["converged"], bool)
        assert 0 < one["svd_floor"] <= one["loss"]
        assert 0 < one["relative_loss"] < 1
        assert 5 < one["psnr_db"] < 60
        assert 0 < one["ssim"] < 1
        assert one["seconds"] > 0
        stem = one["input"][0]
        assert one["outputs"] == [*(f"nmfc-out/{stem}{ending}" for ending in FOUR_ENDINGS), "nmfc-out/loss.csv"]
        assert one["bytes"] == os.path.getsize(tmp_path / f"nmfc-out/{stem}.nmfc")
        assert one["bits_per_pixel"] == pytest.approx(8 * one["bytes"] / (24 * 16))
        assert one["ratio"] == pytest.approx(24 * 16 * len(one["mode"]) / one["bytes"])
        rows = [row for row in log(tmp_path / "nmfc-out") if row["input"] == one["input"]]
        assert len(rows) == one["sweeps"]
        assert float(rows[-1]["loss"]) == pytest.approx(one["loss"], rel=1e-6)
    assert [one["mode"] for one in told] == ["RGB", "L"]


def test_json_has_the_size_of_a_file_that_was_made(run, tmp_path):
    picture(tmp_path / "a.png")
    told = json.loads(run("compress", "a.png", *FAST, "--json", "--write", "image,basis,compare,csv").out)
    assert not {"bytes", "bits_per_pixel", "ratio"} & told.keys()
    assert run("compress", "a.png", *FAST, "-f").code == 0
    before = (tmp_path / "nmfc-out/a.nmfc").read_bytes()
    os.unlink(tmp_path / "nmfc-out/a.png")
    told = json.loads(run("compress", "a.png", "-k", 9, "--skip-existing", "--json").out)
    assert "bytes" not in told, "a file of before is not what was made"
    assert told["outputs"] == ["nmfc-out/a.png", "nmfc-out/loss.csv"]
    assert (tmp_path / "nmfc-out/a.nmfc").read_bytes() == before
    said = run("compress", "a.png", *FAST, "-f", "--write", "image,csv")
    assert not {"bytes", "bit/px"} & set(said.err.split())


def test_json_has_nulls_where_there_is_no_number(run, tmp_path):
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "a.png")
    told = json.loads(run("compress", "a.png", "-k", 2, "--json").out)
    assert (told["psnr_db"], told["ssim"]) == (None, None)
    assert (told["loss"], told["relative_loss"]) == (0, 0)
    told = json.loads(run("compress", SAMPLES / "grey.png", "-k", 2, "-n", 2, "--divergence", "kl", "--json").out)
    assert told["svd_floor"] is None


def test_options_reach_the_solver(run, tmp_path):
    picture(tmp_path / "a.png", size=(40, 30))

    def loss(*words):
        said = run("compress", "a.png", "-k", 4, "--json", "-f", *words)
        assert said.code == 0, said.err
        return json.loads(said.out)

    plain = loss()
    assert loss("-n", 3)["sweeps"] == 3
    assert not loss("-n", 3)["converged"]
    assert loss("--tol", "1e-2")["sweeps"] < plain["sweeps"]
    assert loss("--tol", "0", "-n", 60)["sweeps"] == 60
    assert loss("--seed", 5)["loss"] != plain["loss"]
    assert loss("--restarts", 4)["loss"] <= plain["loss"]
    assert loss("--inner", 1, "-n", 20, "--tol", 0)["loss"] > loss("-n", 20, "--tol", 0)["loss"]
    assert loss("--init", "nndsvda")["loss"] == loss("--init", "nndsvda", "--seed", 0)["loss"] != plain["loss"]
    assert loss("--divergence", "is")["divergence"] == "is"


def test_the_same_bytes_for_any_jobs_and_in_every_run(tmp_path):
    given = ("compress", SAMPLES / "photo.png", SAMPLES / "digits.npz", "--limit", 3, "-k", 5, "-n", 30)
    folders = []
    for place, jobs in enumerate((1, 2, 1)):
        folders.append(tmp_path / str(place))
        assert real(tmp_path, *given, "-j", jobs, "-O", folders[-1]).returncode == 0
    first = timeless(folders[0])
    assert {"photo.png", "loss.csv", "digits.compare.png"} < first.keys()
    for folder in folders[1:]:
        assert timeless(folder) == first


def test_options_from_the_environment(nmfc, tmp_path):
    picture(tmp_path / "a.png")
    done = nmfc("compress", "a.png", "--json", env={"NMFC_COMPRESS_RANK": "3", "NMFC_COMPRESS_MAX_SWEEPS": "4"})
    assert done.returncode == 0
    assert json.loads(done.stdout)["rank"] == 3
    done = nmfc("compress", "a.png", "--json", "-k", 2, "-f", env={"NMFC_COMPRESS_RANK": "3"})
    assert json.loads(done.stdout)["rank"] == 2


def test_help_and_errors_do_not_depend_on_the_terminal(nmfc, tmp_path):
    """Names that an ASCII terminal cannot show are no reason to fail."""
    picture(tmp_path / "größe·東.png")
    done = nmfc("compress", "größe·東.png", *FAST, env={"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "nmfc-out/größe·東.png").exists()


def test_an_input_on_a_pipe(nmfc, tmp_path):
    """As the shell's <(...) gives it: it can be read once only."""
    shutil.copy(SAMPLES / "grey.png", tmp_path / "a.png")
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        with os.fdopen(writer, "wb") as file:
            file.write((tmp_path / "a.png").read_bytes())
        os._exit(0)
    os.close(writer)
    done = nmfc("compress", f"/dev/fd/{reader}", *FAST, "-o", "b.png", pass_fds=[reader])
    os.close(reader)
    os.wait()
    assert done.returncode == 0, done.stderr
    assert mode_and_size(tmp_path / "b.png") == ("L", (320, 240))


# Found by people who tried it


def test_images_of_both_splits_have_indices_of_their_own(run, tmp_path):
    said = run("compress", SAMPLES / "digits.npz", *FAST, "--split", "all", "--index", "0,1800", "--json")
    assert said.code == 0
    told = [json.loads(line) for line in said.out.splitlines()]
    assert [one["image"] for one in told] == [0, 1800]
    shared = {"nmfc-out/digits.compare.png", "nmfc-out/loss.png", "nmfc-out/loss.csv"}
    assert all(shared <= set(one["outputs"]) for one in told)
    assert all((tmp_path / path).exists() for one in told for path in one["outputs"])


def test_several_folders_keep_their_names(run, tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        picture(tmp_path / folder / "a.png")
    assert run("compress", "-r", "one", "two", *FAST, "--write", "image").code == 0
    assert written(tmp_path / "nmfc-out") == ["one/a.png", "two/a.png"]


def test_sixteen_bits_of_a_small_range_are_seen(run, tmp_path):
    values = (tones(24, 16).astype(np.uint16) + 300).clip(300, 600)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert run("compress", "a.png", *FAST).code == 0
    shown = read(tmp_path / "nmfc-out/a.compare.png")
    panel = shown[12:100, 12:60]
    assert panel.max() - panel.min() > 100


def test_an_overview_of_many_has_them_all(run, tmp_path):
    assert run("compress", SAMPLES / "digits.npz", *FAST, "--limit", 45, "-q").code == 0
    width, height = mode_and_size(tmp_path / "nmfc-out/digits.compare.png")[1]
    assert width > 3 * 168  # three columns of pairs, 15 high
    assert height < 20 * 200


def test_without_matplotlib_the_missing_plot_is_said_once(run, tmp_path, monkeypatch):
    from nmfcompress.report import plots

    monkeypatch.setattr(plots, "available", lambda: False)
    said = run("compress", SAMPLES / "digits.npz", *FAST, "--limit", 2)
    assert said.code == 0
    assert said.err.count("nmfcompress[plot]") == 1
    assert not (tmp_path / "nmfc-out/loss.png").exists()


def test_what_png_says_about_colour_is_not_dropped_silently(run, tmp_path):
    info = PngInfo()
    info.add(b"gAMA", (100000).to_bytes(4, "big"))
    Image.fromarray(tones(24, 16)).save(tmp_path / "a.png", pnginfo=info)
    assert "gamma dropped" in run("compress", "a.png", *FAST).err


def test_no_resolution_is_made_up(run, tmp_path):
    Image.fromarray(tones(24, 16)).save(tmp_path / "a.tif")
    assert run("compress", "a.tif", *FAST).code == 0
    with Image.open(tmp_path / "nmfc-out/a.png") as made:
        assert "dpi" not in made.info
