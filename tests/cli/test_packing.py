"""nmfc compress -o FILE.nmfc: one picture or one collection in one file."""

from __future__ import annotations

import json
import os
import stat
import subprocess

import numpy as np
import pytest
from commands import COMMAND, SAMPLES, environment, one_line, picture, real, tones, written
from PIL import Image

import nmfcompress
from nmfcompress.codec.opened import open_container

DIGITS = SAMPLES / "digits.npz"
FEW = (DIGITS, "--limit", 120)
KEYS = {
    "input", "arrangement", "images", "width", "height", "mode", "dtype", "rank", "bytes", "bits_per_pixel", "ratio",
    "psnr_db", "basis_from", "seconds", "sections", "outputs", "notes",
}  # fmt: skip


def digits(count: int = 120) -> np.ndarray:
    with np.load(DIGITS) as archive:
        return archive["x_train"][:count]


def test_a_picture_of_a_rank_leaves_its_file_beside_the_others(run, tmp_path):
    picture(tmp_path / "a.png", "RGB")
    said = run("compress", "a.png", "-k", 3, "--json")
    assert said.code == 0, said.err
    told = json.loads(said.out)
    assert written(tmp_path / "nmfc-out") == ["a.basis.png", "a.compare.png", "a.nmfc", "a.png", "loss.csv"]
    data = (tmp_path / "nmfc-out/a.nmfc").read_bytes()
    assert told["bytes"] == len(data)
    assert told["bits_per_pixel"] == pytest.approx(8 * len(data) / told["width"] / told["height"])
    assert told["ratio"] == pytest.approx(told["width"] * told["height"] * 3 / len(data))
    again = nmfcompress.decode_image(data)
    shown = np.asarray(Image.open(tmp_path / "nmfc-out/a.png"))
    assert nmfcompress.psnr(shown, again) > 30, "the file decodes to about what is written as a picture"


def test_write_says_which(run, tmp_path):
    picture(tmp_path / "a.png", "L")
    assert run("compress", "a.png", "-k", 2, "--write", "nmfc").code == 0
    assert written(tmp_path / "nmfc-out") == ["a.nmfc"]


def test_only_the_file(run, tmp_path):
    picture(tmp_path / "a.png", "L")
    said = run("compress", "a.png", "-k", 2, "-o", "b.nmfc", "--json")
    assert said.code == 0, said.err
    told = json.loads(said.out)
    assert told.keys() == KEYS
    assert (told["arrangement"], told["images"], told["rank"]) == ("rows", 1, 2)
    assert written(tmp_path) == ["a.png", "b.nmfc"]
    assert sum(told["sections"].values()) < told["bytes"] == os.path.getsize(tmp_path / "b.nmfc")


@pytest.mark.parametrize(("target", "given"), [(17.0, ()), (19.0, ("--arrangement", "stack"))])
def test_a_collection_of_a_quality(run, tmp_path, target, given):
    said = run("compress", *FEW, "-o", "d.nmfc", "--min-psnr", target, *given, "--json")
    assert said.code == 0, said.err
    told = json.loads(said.out)
    assert (told["arrangement"], told["images"]) == ("stack", 120)
    again = nmfcompress.decode_stack((tmp_path / "d.nmfc").read_bytes())
    reached = nmfcompress.psnr(digits(), again)
    assert reached == pytest.approx(told["psnr_db"])
    assert target <= reached <= target + 0.5


def test_a_collection_of_a_size(run, tmp_path):
    said = run("compress", *FEW, "-o", "d.nmfc", "--target-size", "2KB")
    assert said.code == 0, said.err
    assert 0.95 * 2000 <= os.path.getsize(tmp_path / "d.nmfc") <= 2000


@pytest.mark.parametrize("target", [("--min-psnr", 90), ("--target-size", 60)])
@pytest.mark.parametrize("name", ["digits", "picture"])
def test_a_target_out_of_reach(run, tmp_path, target, name):
    picture(tmp_path / "a.png", "L")
    given = (
        ("a.png", "--arrangement", "rows", "-k", 2) if name == "picture" else (*FEW, "-k", 4, "--arrangement", "stack")
    )
    said = run("compress", *given, "-o", "d.nmfc", *target)
    assert said.code == 3
    one_line(said.err, "cannot be reached", "dB is the best" if "psnr" in target[0] else "bytes is the least")
    assert not (tmp_path / "d.nmfc").exists()


def test_pictures_become_one_collection_with_their_names(run, tmp_path):
    for seed in range(4):
        Image.fromarray(tones(20, 24, 3, seed)).save(tmp_path / f"{seed}.png")
    said = run("compress", *(f"{seed}.png" for seed in range(4)), "-o", "all.nmfc", "-k", 3, "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["images"] == 4
    told = nmfcompress.info((tmp_path / "all.nmfc").read_bytes())
    assert (told["images"], told["channels"], told["names"]) == (4, 3, 4)


@pytest.fixture
def large(tmp_path):
    """Three pictures that share nothing."""
    for seed in range(3):
        Image.fromarray(tones(60, 80, 3, seed)).save(tmp_path / f"{seed}.png")
    return [f"{seed}.png" for seed in range(3)]


@pytest.mark.parametrize("target", [("--min-psnr", 32), ("--target-size", "1500")])
def test_a_few_large_pictures_are_coded_alone_and_meet_a_target(run, tmp_path, large, target):
    said = run("compress", *large, "-o", "all.nmfc", *target, "--json")
    assert said.code == 0, said.err
    told, data = json.loads(said.out), (tmp_path / "all.nmfc").read_bytes()
    assert (told["arrangement"], told["images"]) == ("patches", 3)
    if target[0] == "--min-psnr":
        assert 32 <= told["psnr_db"] <= 32.5
    else:
        assert 1425 <= len(data) <= 1500
    assert run("verify", "all.nmfc").code == 0
    assert run("decompress", "all.nmfc", "--index", "1", "-O", "one").code == 0
    assert written(tmp_path / "one") == ["1.png"]
    shown = np.asarray(Image.open(tmp_path / "one/1.png"))
    np.testing.assert_array_equal(shown, nmfcompress.decode_stack(data)[1])
    assert run("decompress", "all.nmfc", "--rank", 1, "-O", "coarse").code == 0
    coarse = np.asarray(Image.open(tmp_path / "coarse/1.png"))
    assert nmfcompress.psnr(tones(60, 80, 3, 1), coarse) < nmfcompress.psnr(tones(60, 80, 3, 1), shown)


def test_patches_and_stack_as_asked_and_a_rank_that_is_too_high(run, tmp_path, large):
    for arrangement, most in (("patches", 64), ("stack", 3)):
        said = run("compress", *large, "-o", f"{arrangement}.nmfc", "-k", 99, "--arrangement", arrangement, "--json")
        assert said.code == 0, said.err
        told = json.loads(said.out)
        assert told["arrangement"] == arrangement
        assert f"rank is 99 ({arrangement} has at most {most} here)" in told["notes"]
        assert f"rank is 99 ({arrangement} has at most {most} here)" in said.err
    said = run("compress", *large, "-o", "d.nmfc", "-k", 2, "--arrangement", "rows")
    assert said.code == 2
    one_line(said.err, "rows", "expected stack, bands or patches")


def test_more_than_memory_allows_is_refused_before_coding(run, tmp_path, large):
    said = run("compress", *large, "-o", "d.nmfc", "--step", 40, "--max-memory", "500KB")
    assert said.code == 1
    one_line(said.err, "--max-memory is 500.0 KB")
    assert not (tmp_path / "d.nmfc").exists()


@pytest.mark.parametrize("option", [("--min-psnr", 30), ("--target-size", 300)])
def test_a_collection_of_one(run, tmp_path, option):
    np.save(tmp_path / "one.npy", tones(40, 50)[None])
    said = run("compress", "one.npy", "-o", "one.nmfc", *option, "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["arrangement"] == "patches"
    assert nmfcompress.decode_stack((tmp_path / "one.nmfc").read_bytes()).shape == (1, 40, 50)


def test_what_goes_with_them(run, tmp_path):
    said = run("compress", DIGITS, "--label", 3, "--limit", 40, "-o", "d.nmfc", "-k", 5, "-q")
    assert said.code == 0, said.err
    from nmfcompress.codec.opened import open_container

    meta = open_container((tmp_path / "d.nmfc").read_bytes()).meta
    with np.load(DIGITS) as archive:
        places = np.flatnonzero(archive["y_train"] == 3)[:40]
    np.testing.assert_array_equal(meta.indices, places)
    assert set(meta.labels.tolist()) == {3}


def test_the_parts_of_another_file(run, tmp_path):
    assert run("compress", *FEW, "-o", "train.nmfc", "-k", 12, "--step", 6).code == 0
    given = ("compress", DIGITS, "--split", "test", "--limit", 60)
    said = run(*given, "-o", "test.nmfc", "--basis-from", "train.nmfc", "--step", 6, "--json")
    assert said.code == 0, said.err
    told = json.loads(said.out)
    assert "parts" not in told["sections"]
    assert told["basis_from"] == "train.nmfc"
    train, test = ((tmp_path / name).read_bytes() for name in ("train.nmfc", "test.nmfc"))
    assert nmfcompress.decode_stack(test, basis_from=train).shape == (60, 28, 28)
    with pytest.raises(nmfcompress.NmfcError, match="basis"):
        nmfcompress.decode_stack(test)
    Image.fromarray(tones(20, 24)).save(tmp_path / "a.png")
    Image.fromarray(tones(20, 24, seed=1)).save(tmp_path / "b.png")
    said = run("compress", "a.png", "b.png", "-o", "c.nmfc", "--basis-from", "train.nmfc", "--step", 6)
    assert said.code == 1
    one_line(said.err, "its pictures are 20 x 24", "28 x 28")
    said = run(*given, "-o", "c.nmfc", "--basis-from", "train.nmfc", "-k", 5, "--step", 6)
    assert said.code == 2
    one_line(said.err, "whose parts are all taken")
    said = run(*given, "-o", "d.nmfc", "--basis-from", "a.png", "--step", 6)
    assert said.code == 1
    one_line(said.err, "a.png", "no .nmfc file")


def test_bands_and_their_range(run, tmp_path):
    rng = np.random.default_rng(0)
    maps = np.stack([tones(24, 30, seed=seed) for seed in range(2)]).astype(np.float32)
    bands = np.tensordot(rng.random((20, 2)).astype(np.float32), maps, 1) * 7
    np.save(tmp_path / "cube.npy", bands)
    said = run("compress", "cube.npy", "-o", "cube.nmfc", "-k", 2, "--arrangement", "bands", "--step", 2, "--json")
    assert said.code == 0, said.err
    told = nmfcompress.info((tmp_path / "cube.nmfc").read_bytes())
    assert (told["arrangement"], told["dtype"]) == ("bands", "float32")
    assert (told["low"], told["high"]) == pytest.approx((bands.min(), bands.max()))


def test_the_same_bytes_for_any_jobs(run, tmp_path):
    for jobs in (1, 2):
        assert run("compress", *FEW, "-o", f"{jobs}.nmfc", "-k", 8, "-j", jobs, "-q").code == 0
    assert (tmp_path / "1.nmfc").read_bytes() == (tmp_path / "2.nmfc").read_bytes()


def test_through_a_pipe(tmp_path):
    picture(tmp_path / "a.png", "L")
    done = subprocess.run(
        f"cat a.png | {' '.join(COMMAND)} compress - -k 2 -o - > out.nmfc", shell=True, cwd=tmp_path,
        env=environment(), capture_output=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert nmfcompress.decode_image((tmp_path / "out.nmfc").read_bytes()).ndim == 2


def test_more_than_asked_for_is_said(run, tmp_path):
    Image.fromarray(np.full((16, 16), 90, np.uint8)).save(tmp_path / "flat.png")
    said = run("compress", "flat.png", "-o", "flat.nmfc", "--min-psnr", 20, "--json")
    assert said.code == 0
    assert "than asked for: nothing between came nearer" in said.err
    assert [note for note in json.loads(said.out)["notes"] if "nothing between" in note]
    picture(tmp_path / "a.png", "L")
    assert "nothing between" not in run("compress", "a.png", "-o", "a.nmfc", "--min-psnr", 25).err


def test_nothing_is_overwritten(run, tmp_path):
    picture(tmp_path / "a.png", "L")
    (tmp_path / "b.nmfc").write_bytes(b"mine")
    said = run("compress", "a.png", "-k", 2, "-o", "b.nmfc")
    assert said.code == 1
    one_line(said.err, "exists")
    assert (tmp_path / "b.nmfc").read_bytes() == b"mine"
    assert run("compress", "a.png", "-k", 2, "-o", "b.nmfc", "--skip-existing").code == 0
    assert (tmp_path / "b.nmfc").read_bytes() == b"mine"
    assert run("compress", "a.png", "-k", 2, "-o", "b.nmfc", "-f").code == 0
    assert stat.S_ISREG(os.stat(tmp_path / "b.nmfc").st_mode)
    assert nmfcompress.info((tmp_path / "b.nmfc").read_bytes())["arrangement"] == "rows"


@pytest.mark.parametrize(
    ("words", "code", "found"),
    [
        (("-o", "x.nmfc"), 2, "one of -k/--rank"),
        (("-o", "x.nmfc", "--min-psnr", "20", "--target-size", "1KB"), 2, "--target-size is given with --min-psnr"),
        (("-o", "x.nmfc", "--min-psnr", "20", "--step", "3"), 2, "step"),
        (("-o", "x.nmfc", "-k", "2", "--mask", "a.png"), 2, "--mask"),
        (("-o", "-", "-k", "2", "--json"), 2, "--json"),
        (("-o", "x.nmfc", "-k", "2", "--arrangement", "stack"), 2, "arrangement"),
        (("-o", "x.nmfc", "-k", "2", "--basis-from", "none.nmfc"), 1, "none.nmfc"),
        (("--min-psnr", "20"), 2, "-o FILE.nmfc"),
        (("--target-size", "20KB", "-k", "3"), 2, "-o FILE.nmfc"),
        (("--resize", "8x8", "-k", "3"), 2, "-o FILE.nmfc"),
        ((), 2, "-k/--rank"),
        (("-o", "x.nmfc", "--target-size", "many"), 2, "--target-size"),
        (("-o", "x.nmfc", "-k", "999"), 1, "999"),
        (("-o", "x.png", "--to", "nmfc", "-k", "2"), 2, "-o ends in .png, and --to says nmfc"),
        (("-o", "x.nmfc", "--to", "tif", "-k", "2"), 2, "-o ends in .nmfc, and --to says tif"),
        (("-o", "x.jpg", "--to", "png", "-k", "2"), 2, "-o ends in .jpg, and --to says png"),
        (("-o", "x.nmfc", "-k", "2", "-O", "out"), 2, "does not go with -O"),
        (("-o", "x.png", "-k", "2", "-O", "out"), 2, "does not go with -O"),
        (("-o", "x.nmfc", "-k", "2", "--step", "9", "--l1", "1e-3"), 2, "--l1 is for one picture by its rows"),
    ],
)
def test_wrong_words(run, tmp_path, words, code, found):
    picture(tmp_path / "a.png", "L")
    said = run("compress", "a.png", *words)
    assert said.code == code
    one_line(said.err, found)
    assert written(tmp_path) == ["a.png"]


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (200, 3)])
def test_pictures_of_any_shape(tmp_path, shape):
    Image.fromarray(tones(*shape)).save(tmp_path / "a.png")
    done = real(tmp_path, "compress", "a.png", "-k", 1, "-o", "a.nmfc", "-q")
    assert done.returncode == 0, done.stderr
    assert nmfcompress.decode_image((tmp_path / "a.nmfc").read_bytes()).shape == shape


def test_all_black_and_one_of_a_kind(run, tmp_path):
    np.save(tmp_path / "black.npy", np.zeros((9, 8, 8), np.uint8))
    np.save(tmp_path / "one.npy", digits(1))
    for name in ("black", "one"):
        said = run("compress", f"{name}.npy", "-o", f"{name}.nmfc", "-k", 2, "--arrangement", "stack")
        assert said.code == 0, said.err
        assert nmfcompress.decode_stack((tmp_path / f"{name}.nmfc").read_bytes()).dtype == np.uint8
    assert not nmfcompress.decode_stack((tmp_path / "black.nmfc").read_bytes()).any()


def test_what_only_rows_heed_is_said(run, tmp_path):
    said = run("compress", *FEW, "-o", "d.nmfc", "-k", 4, "--solver", "hals")
    assert said.code == 0
    assert "--solver is for arrangement rows" in said.err
    picture(tmp_path / "a.png", "L")
    assert "is for" not in run("compress", "a.png", "-o", "a.nmfc", "-k", 2, "--divergence", "kl").err
    assert "--divergence is for" in run("compress", "a.png", "-o", "b.nmfc", "--step", 40, "--divergence", "kl").err
    idle = ("-n", 7, "--init", "random", "--inner", 1, "--restarts", 2)
    words = "--iterations, --inner, --init, --restarts are for arrangement rows without a target"
    assert words in run("compress", *FEW, "-o", "e.nmfc", "-k", 4, *idle).err
    said = run("compress", "a.png", "-o", "c.nmfc", "--arrangement", "rows", "--target-size", 900, *idle, "--json")
    assert words in said.err
    assert [note for note in json.loads(said.out)["notes"] if words in note]


def test_one_picture_is_resized_with_its_alpha(run, tmp_path):
    (tmp_path / "in").mkdir()
    pixels = np.dstack([tones(20, 30), tones(20, 30)[::-1]])
    for name in ("a.png", "in/a.png"):
        Image.fromarray(pixels).save(tmp_path / name)
    for source in ("a.png", "in"):
        said = run("compress", source, "-k", 2, "-o", "a.nmfc", "-f", "--resize", "9x7")
        assert said.code == 0, said.err
        opened = open_container((tmp_path / "a.nmfc").read_bytes())
        assert opened.header.shape[:3] == (1, 7, 9)
        assert opened.meta.alpha.shape == (7, 9)
    said = run("compress", "a.png", "-k", 2, "-o", "c.nmfc", "--resize", "60000x60000")
    assert said.code == 1
    one_line(said.err, "--max-pixels")
    said = run("compress", *FEW, "-k", 2, "-o", "c.nmfc", "--resize", "9x7")
    assert said.code == 2
    one_line(said.err, "--resize is for pictures, and folders and lists of them")


def test_bands_of_a_patch_are_no_parts(run, tmp_path):
    """`-k` beside `--step`, of one picture, was held against the smaller side of V, which nothing factorizes then."""
    Image.fromarray(tones(20, 30)).save(tmp_path / "a.png")
    said = run("compress", "a.png", "-k", 70, "--step", 9, "-o", "a.nmfc")
    assert said.code == 0, said.err
    assert "rank is 70 (patches has at most 64 here)" in said.err
