"""nmfc basis --checkpoint and --resume: what is stopped goes on, and ends as if it had not been."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from commands import COMMAND, SAMPLES, environment, log, one_line, picture, real, written
from PIL import Image

DIGITS = SAMPLES / "digits.npz"
QUICK = ("--write", "factors,csv", "--no-plot", "-q")
SHORT = (DIGITS, "--limit", 200, "-k", 4, "--tol", 0, *QUICK)


def factors(folder: Path) -> dict[str, bytes]:
    with np.load(folder / "factors.npz") as archive:
        return {name: archive[name].tobytes() for name in ("W", "H")}


def timeless(folder: Path) -> list[dict[str, str]]:
    return [{**row, "seconds": ""} for row in log(folder)]


def sweeps(path: Path) -> int:
    """How many a checkpoint holds; it is there whole or not at all."""
    with np.load(path, allow_pickle=False) as archive:
        return len(archive["records"])


def killed(folder: Path, checkpoint: Path, least: int, *args: object, by: int = signal.SIGKILL) -> int:
    """Run nmfc and kill it once `least` sweeps are kept; its exit status."""
    words = [*COMMAND, *map(str, args), "--checkpoint", str(checkpoint), "--checkpoint-every", "0"]
    with subprocess.Popen(words, cwd=folder, env=environment(), stderr=subprocess.PIPE, stdin=-3) as process:
        until = time.monotonic() + 60
        while not checkpoint.exists() or sweeps(checkpoint) < least:
            assert process.poll() is None, process.stderr.read()  # type: ignore[union-attr]
            assert time.monotonic() < until
            time.sleep(0.002)
        process.send_signal(by)
        process.wait(60)
    return process.returncode


@pytest.fixture(scope="module")
def tall(tmp_path_factory):
    """Enough images for a start from a sample of them."""
    rng = np.random.default_rng(0)
    shown = rng.gamma(0.5, 1, (9000, 3)) @ rng.gamma(0.5, 1, (3, 100))
    path = tmp_path_factory.mktemp("tall") / "tall.npy"
    np.save(path, np.rint(255 * np.minimum(shown / 4, 1)).astype(np.uint8).reshape(9000, 10, 10))
    return path


@pytest.mark.parametrize("init", ["sample", "random"])
@pytest.mark.parametrize("solver", [("--solver", "mu"), ("--solver", "hals"), ("--divergence", "kl")], ids=" ".join)
def test_a_killed_run_ends_as_one_that_was_never_stopped(tmp_path, tall, solver, init):
    given = ("basis", tall, "-k", 3, "-n", 40, "--tol", 0, "--init", init, *solver, *QUICK)
    checkpoint = tmp_path / "run.npz"
    assert killed(tmp_path, checkpoint, 4, *given, "-j", 1, "-O", "killed") == -signal.SIGKILL
    assert 4 <= sweeps(checkpoint) < 39
    assert not (tmp_path / "killed").exists()
    assert real(tmp_path, *given, "-j", 1, "-O", "whole").returncode == 0
    done = real(tmp_path, "basis", tall, "--resume", "run.npz", "-j", 2, "-O", "resumed", *QUICK)
    assert (done.returncode, done.stderr) == (0, b"")
    assert factors(tmp_path / "resumed") == factors(tmp_path / "whole")
    assert timeless(tmp_path / "resumed") == timeless(tmp_path / "whole")
    assert (tmp_path / "resumed/factors.npz").read_bytes() == (tmp_path / "whole/factors.npz").read_bytes()

    again = real(tmp_path, "basis", tall, "--resume", "run.npz", "-O", "again", *QUICK)
    assert again.returncode == 0, "a finished run writes its outputs again"
    assert factors(tmp_path / "again") == factors(tmp_path / "whole")
    assert len(list(tmp_path.glob(".nmfc-*"))) <= 1, "a kill may leave what was being written, nothing else may"


@pytest.mark.parametrize(("by", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_run_that_is_stopped_politely_leaves_its_last_checkpoint_and_nothing_else(tmp_path, by, code):
    given = ("basis", *SHORT, "-n", 3000, "--inner", 1)
    assert killed(tmp_path, tmp_path / "run.npz", 3, *given, by=by) == code
    assert written(tmp_path) == ["run.npz"]
    kept = sweeps(tmp_path / "run.npz")
    assert real(tmp_path, "basis", *SHORT[:3], "--resume", "run.npz", "-n", kept + 5, *QUICK).returncode == 0
    assert real(tmp_path, *given[:-4], "-n", kept + 5, "--inner", 1, "-O", "whole").returncode == 0
    assert factors(tmp_path / "nmfc-out") == factors(tmp_path / "whole")


# Options


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A checkpoint of a short run, and what the run wrote."""
    folder = tmp_path_factory.mktemp("kept")
    done = real(folder, "basis", *SHORT, "-n", 12, "--solver", "hals", "--seed", 3, "--checkpoint", "run.npz")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def stopped(kept, tmp_path):
    (tmp_path / "run.npz").write_bytes((kept / "run.npz").read_bytes())
    return tmp_path / "run.npz"


def test_what_is_left_out_is_as_it_was(run, tmp_path, kept, stopped):
    said = run("basis", *SHORT[:3], "--resume", "run.npz", "--json", "--write", "factors", "--no-plot")
    assert said.code == 0, said.err
    told = json.loads(said.out)
    assert (told["rank"], told["solver"], told["sweeps"], told["converged"]) == (4, "hals", 12, False)
    assert factors(tmp_path / "nmfc-out") == factors(kept / "nmfc-out")
    with np.load(tmp_path / "nmfc-out/factors.npz") as archive:
        settings = json.loads(str(archive["settings"]))
    assert (settings["seed"], settings["max_sweeps"], settings["tol"]) == (3, 12, 0)


def test_it_may_go_on_for_longer(run, tmp_path, stopped):
    assert run("basis", *SHORT, "--resume", "run.npz", "-n", 20, "--solver", "hals", "--seed", 3).code == 0
    assert sweeps(stopped) == 19, "the file that was gone on from is kept up"
    assert run("basis", *SHORT, "-n", 20, "--solver", "hals", "--seed", 3, "-O", "whole").code == 0
    assert factors(tmp_path / "nmfc-out") == factors(tmp_path / "whole")


def test_another_file_may_be_kept_from_there_on(run, tmp_path, stopped):
    before = stopped.read_bytes()
    given = ("basis", *SHORT, "--resume", "run.npz", "-n", 15, "--checkpoint", "below/other.npz")
    assert run(*given).code == 0
    assert stopped.read_bytes() == before
    assert sweeps(tmp_path / "below/other.npz") == 14
    said = run(*given, "-O", "again")
    assert said.code == 1
    one_line(said.err, "below/other.npz: exists (go on from it with --resume, or pass -f to overwrite it)")
    assert run(*given, "-O", "again", "-f").code == 0


def test_what_goes_on_is_said(run, stopped):
    said = run("basis", *SHORT[:-1], "--resume", "run.npz")
    assert said.code == 0
    assert "nmfc: run.npz: went on after sweep 11\n" in said.err


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("--resume", "run.npz", "-k", 5), "run.npz: is of a run with rank 4, this one has 5"),
        (("--resume", "run.npz", "--seed", 4), "run.npz: is of a run with seed 3, this one has 4"),
        (("--resume", "run.npz", "--solver", "mu"), "run.npz: is of a run with solver hals, this one has mu"),
        (("--resume", "run.npz", "--init", "nndsvda"), "run.npz: is of a run with init auto, this one has nndsvda"),
        (("--resume", "run.npz", "-n", 5), "run.npz: has 11 sweeps done, iterations (max_sweeps) is 5"),
        (("--resume", "run.npz", "--limit", 199), "other data: 200 rows of 784 values, here are 199 of 784"),
        (("--resume", "run.npz", "--split", "test"), "run.npz: is of other data: shape and type are the same"),
        (("--resume", "run.npz", "--mask", "mask.png"), "hals with a mask"),
        (("--resume", "none.npz",), "none.npz: cannot be read: No such file or directory"),
        (("--resume", "."), ".: is no regular file, expected a checkpoint"),
        (("--resume", "run.npz", "--solver", "mu", "--divergence", "kl"), "run with solver hals, this one has mu"),
        (("--checkpoint", "run.npz", "-k", 4), "run.npz: exists"),
        (("--checkpoint", "none/none/..", "-k", 4), "none/none/..: "),
        (("--checkpoint", "nmfc-out/factors.npz", "-k", 4), "is an output of this run already"),
        (("--checkpoint", "nmfc-out/loss.csv", "-k", 4), "is an output of this run already"),
        (("--checkpoint", "mask.png/a.npz", "-k", 4), "mask.png"),
        (("--checkpoint", "b\0", "-k", 4), "null byte"),
        (("--checkpoint", "a" * 300, "-k", 4), "File name too long"),
    ],
    ids=str,
)  # fmt: skip
def test_what_does_not_go_together_is_one_line(run, tmp_path, stopped, words, found):
    Image.fromarray(np.triu(np.full((28, 28), 255, np.uint8))).save(tmp_path / "mask.png")
    before = stopped.read_bytes()
    chosen = () if "--limit" in words else ("--limit", 200)
    said = run("basis", DIGITS, *chosen, *QUICK, "-n", 20, *words)
    assert said.code == (2 if found == "hals with a mask" else 1), said.err
    one_line(said.err, found)
    assert stopped.read_bytes() == before
    assert not (tmp_path / "nmfc-out/factors.npz").exists()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ((), "-k/--rank is missing"),
        (("-k", 0), "rank is 0"),
        (("--checkpoint", "a.npz"), "-k/--rank is missing"),
        (("-k", 4, "--checkpoint", "-"), "--checkpoint is -"),
        (("-k", 4, "--checkpoint", ""), "--checkpoint is empty"),
        (("--resume", "-"), "--resume is -"),
        (("-k", 4, "--checkpoint-every", 5), "--checkpoint-every is 5.0"),
        (("-k", 4, "--checkpoint", "a.npz", "--checkpoint-every", -1), "--checkpoint-every is -1.0"),
        (("-k", 4, "--checkpoint", "a.npz", "--checkpoint-every", "nan"), "--checkpoint-every is nan"),
        (("-k", 4, "--checkpoint", "a.npz", "--restarts", 2), "restarts is 2 with a checkpoint"),
    ],
    ids=str,
)
def test_wrong_usage(run, tmp_path, words, found):
    said = run("basis", DIGITS, *QUICK, *words)
    assert said.code == 2
    one_line(said.err, found)
    assert written(tmp_path) == []


def test_an_input_is_not_written_over(run, tmp_path):
    (tmp_path / "a.npz").write_bytes(DIGITS.read_bytes())
    said = run("basis", "a.npz", "-k", 3, "--checkpoint", "./a.npz", "-f", *QUICK)
    assert said.code == 1
    one_line(said.err, "./a.npz: is an input")
    assert (tmp_path / "a.npz").read_bytes() == DIGITS.read_bytes()


def test_a_folder_that_takes_no_file_is_found_before_any_sweep(run, tmp_path, monkeypatch):
    def full(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nmfcompress.images.named.np.savez", full)
    said = run("basis", *SHORT, "--checkpoint", "a.npz", "-n", 5)
    assert said.code == 1
    one_line(said.err, "a.npz: cannot be written: No space left on device")
    assert written(tmp_path) == []


def test_a_disk_that_fills_later_stops_no_run(run, tmp_path, monkeypatch):
    save, times = np.savez, []

    def once(*args, **options):
        times.append(args)
        if len(times) > 1:
            raise OSError(28, "No space left on device")
        save(*args, **options)

    monkeypatch.setattr("nmfcompress.images.named.np.savez", once)
    said = run("basis", *SHORT, "--checkpoint", "a.npz", "-n", 5)
    assert said.code == 0
    one_line(said.err, "a.npz: cannot be written: No space left on device; the checkpoint before stays")
    assert sweeps(tmp_path / "a.npz") == 0
    assert (tmp_path / "nmfc-out/factors.npz").exists()


def test_the_clock_decides_how_often(run, tmp_path, monkeypatch):
    seen = []
    write = np.savez
    monkeypatch.setattr(
        "nmfcompress.images.named.np.savez", lambda *a, **b: (seen.append(len(b["records"])), write(*a, **b))
    )
    assert run("basis", *SHORT, "--checkpoint", "a.npz", "-n", 9).code == 0
    assert seen == [0, 8], "the first and the last"
    seen.clear()
    assert run("basis", *SHORT, "--checkpoint", "b.npz", "-n", 9, "-O", "b", "--checkpoint-every", 0).code == 0
    assert seen == list(range(9))


# Files that are none


def rewritten(path: Path, **changes: object) -> None:
    """The checkpoint with other arrays; what is callable is applied to the one that is there."""
    with np.load(path) as archive:
        arrays = dict(archive)
    for name, change in changes.items():
        arrays[name] = change(arrays[name].copy()) if callable(change) else np.asarray(change)
    np.savez(path, **arrays)


def told(**changes: object):
    return lambda about: np.array(json.dumps({**json.loads(str(about)), **changes}))


def with_nan(array: np.ndarray) -> np.ndarray:
    array.flat[5] = np.nan
    return array


def cut(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    path.write_bytes(data)


def bomb(path: Path) -> None:
    """A member whose header asks for a terabyte."""
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (4, 68719476736), }"
    data = b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("about", "codes", "H", "stepped", "numerator", "denominator", "records"):
            archive.writestr(f"{name}.npy", data)


BROKEN = {
    "empty": (lambda path: path.write_bytes(b""), "an empty file"),
    "garbage": (lambda path: path.write_bytes(b"\xff\0\x01garbage" * 99), "no npz archive, expected a checkpoint"),
    "a text": (lambda path: path.write_text("hello\n"), "a text file"),
    "a pickle": (lambda path: path.write_bytes(b"\x80\x04K\x01."), "pickle"),
    "a picture": (lambda path: picture(path), "a picture, expected a checkpoint"),
    "cut in half": (lambda path: cut(path, 0.5), "truncated"),
    "cut at the end": (lambda path: cut(path, 0.999), "run.npz: "),
    "one bit": (flipped, "broken"),
    "a terabyte": (bomb, "run.npz: "),
    "other arrays": (lambda path: path.write_bytes(DIGITS.read_bytes()), "is no checkpoint of nmfc"),
    "objects": (lambda path: rewritten(path, codes=np.array([{}])), "pickled"),
    "objects as words": (lambda path: rewritten(path, about=np.array({"format": 1}, dtype=object)), "pickled"),
    "long words": (lambda path: rewritten(path, about="x" * 10**6), "text of"),
    "texts": (lambda path: rewritten(path, H=np.array(["a"])), "broken checkpoint"),
    "no numbers": (lambda path: rewritten(path, H=np.zeros((4, 784), complex)), "complex"),
    "NaN codes": (lambda path: rewritten(path, codes=with_nan), "codes has negative, NaN or infinite values"),
    "NaN sums": (lambda path: rewritten(path, numerator=with_nan), "numerator has negative"),
    "negative": (lambda path: rewritten(path, H=lambda H: -H), "H has negative"),
    "shapes": (lambda path: rewritten(path, codes=lambda X: X.T), "codes is (200, 4)"),
    "fewer codes": (lambda path: rewritten(path, codes=lambda X: X[:, 1:]), "codes is (4, 199)"),
    "other type": (lambda path: rewritten(path, codes=lambda X: X.astype(np.float64)), "codes is (4, 200) float64"),
    "later format": (lambda path: rewritten(path, about=told(format=3, version="3.0")), "format 3, by nmfc 3.0"),
    "later version": (lambda path: rewritten(path, about=told(version="3.0")), "by nmfc 3.0, this is"),
    "no fit": (lambda path: rewritten(path, about=told(fit=[])), "broken checkpoint"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_untrusted_file_is_one_line(run, tmp_path, stopped, name):
    breaks, words = BROKEN[name]
    breaks(stopped)
    said = run("basis", *SHORT[:3], *QUICK, "--resume", "run.npz")
    assert said.code == 1
    one_line(said.err, "nmfc: run.npz: ", words)
    assert len(said.err) < 300
    assert written(tmp_path) == ["run.npz"]


@pytest.mark.parametrize("name", ["cut in half", "one bit", "objects", "later version", "a terabyte"])
def test_so_it_is_in_a_process(tmp_path, stopped, name):
    breaks, words = BROKEN[name]
    breaks(stopped)
    done = real(tmp_path, "basis", *SHORT[:3], *QUICK, "--resume", "run.npz")
    assert done.returncode == 1
    one_line(done.stderr.decode(), "nmfc: run.npz: ", words)
