"""Wrong usage, help, versions and extras: exit 2 and one line that says what to do, before any work."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import click
import numpy as np
import pytest
from commands import COMMAND, SAMPLES, environment, one_line, picture, real, written

from nmfcompress.cli.main import nmfc

# Those that take inputs
COMMANDS = ("compress", "basis", "rank", "decompress", "info", "verify", "compare", "plot")
PHOTO, DIGITS = SAMPLES / "photo.png", SAMPLES / "digits.npz"

WRONG = {
    "no rank": (("compress", PHOTO), "--rank"),
    "no rank for basis": (("basis", DIGITS), "--rank"),
    "no input": (("compress", "-k", 3), "no input"),
    "no input for basis": (("basis", "-k", 3), "no input"),
    "unknown option": (("compress", PHOTO, "-k", 3, "--bogus"), "--bogus"),
    "nearly an option": (("compress", PHOTO, "-k", 3, "--restart", 3), "--restart"),
    "unknown command": (("squeeze", PHOTO), "squeeze"),
    "rank 0": (("compress", PHOTO, "-k", 0), "rank is 0"),
    "rank -3": (("compress", PHOTO, "-k", -3), "rank is -3"),
    "rank three": (("compress", PHOTO, "-k", "three"), "--rank"),
    "rank 2.5": (("compress", PHOTO, "-k", "2.5"), "--rank"),
    "two targets": (
        ("compress", PHOTO, "-o", "a.nmfc", "--min-psnr", 20, "--target-size", "1KB"),
        "nmfc: --target-size is given with --min-psnr (",
    ),
    "target and step": (("compress", PHOTO, "-o", "a.nmfc", "--min-psnr", 20, "--step", 3), "nmfc: --step is given"),
    "quality 0": (("compress", PHOTO, "-o", "a.nmfc", "--min-psnr", 0), "nmfc: --min-psnr is 0"),
    "step 0": (("compress", PHOTO, "-o", "a.nmfc", "--step", 0), "nmfc: --step is 0"),
    "stack of one": (("compress", PHOTO, "-o", "a.nmfc", "-k", 3, "--arrangement", "stack"), "--arrangement is stack"),
    "rows without a rank": (
        ("compress", PHOTO, "-o", "a.nmfc", "--step", 3, "--arrangement", "rows"),
        "--rank is missing (expected the number of parts, such as 3, a target, or --arrangement patches)",
    ),
    "rank 0 of a file": (("decompress", PHOTO, "-k", 0), "nmfc: --rank is 0"),
    "sweeps by their option": (("compress", PHOTO, "-k", 3, "-n", 0), "nmfc: --iterations is 0"),
    "solver with divergence": (
        ("compress", PHOTO, "-k", 3, "--solver", "hals", "--divergence", "kl"),
        "nmfc: --solver is hals with kl",
    ),
    "no value": (("compress", PHOTO, "-k"), "-k"),
    "iterations 0": (("compress", PHOTO, "-k", 3, "-n", 0), "iterations"),
    "tol 1": (("compress", PHOTO, "-k", 3, "--tol", 1), "tol is 1"),
    "tol -1": (("compress", PHOTO, "-k", 3, "--tol", -1), "tol is -1"),
    "tol nan": (("compress", PHOTO, "-k", 3, "--tol", "nan"), "tol is nan"),
    "inner 0": (("compress", PHOTO, "-k", 3, "--inner", 0), "inner is 0"),
    "seed -1": (("compress", PHOTO, "-k", 3, "--seed", -1), "seed is -1"),
    "restarts 0": (("compress", PHOTO, "-k", 3, "--restarts", 0), "restarts is 0"),
    "jobs 0": (("compress", PHOTO, "-k", 3, "-j", 0), "jobs is 0"),
    "solver": (("compress", PHOTO, "-k", 3, "--solver", "als"), "--solver"),
    "divergence": (("compress", PHOTO, "-k", 3, "--divergence", "l2"), "--divergence"),
    "init": (("compress", PHOTO, "-k", 3, "--init", "zeros"), "--init"),
    "frame 0": (("compress", PHOTO, "-k", 3, "--frame", 0), "--frame is 0"),
    "frame first": (("compress", PHOTO, "-k", 3, "--frame", "first"), "--frame is first"),
    "index": (("compress", DIGITS, "-k", 3, "--index", "5-2"), "index is 5-2"),
    "index words": (("compress", DIGITS, "-k", 3, "--index", "0,a"), "index is 0,a"),
    "index beyond": (("compress", DIGITS, "-k", 3, "--index", "1800"), "1,800"),
    "limit 0": (("compress", DIGITS, "-k", 3, "--limit", 0), "limit is 0"),
    "split": (("compress", DIGITS, "-k", 3, "--split", "dev"), "--split"),
    "resize": (("basis", PHOTO, "-k", 1, "--resize", "64"), "--resize is 64"),
    "show": (("basis", DIGITS, "-k", 1, "--show", 0), "show is 0"),
    "order": (("basis", DIGITS, "-k", 1, "--order", "A"), "--order"),
    "size": (("compress", PHOTO, "-k", 3, "--max-memory", "lots"), "--max-memory is lots"),
    "write": (("compress", PHOTO, "-k", 3, "--write", "image,pdf"), "--write is image,pdf"),
    "write of the other command": (("compress", PHOTO, "-k", 3, "--write", "factors"), "--write is factors"),
    "force and skip": (("compress", PHOTO, "-k", 3, "-f", "--skip-existing"), "--skip-existing"),
    "json on the picture's stream": (("compress", PHOTO, "-k", 3, "--json", "-o", "-", "--to", "png"), "--json"),
    "json on the container's stream": (("compress", PHOTO, "-k", 3, "--json", "-o", "-"), "--json"),
    "one output, two inputs": (("compress", PHOTO, SAMPLES / "grey.png", "-k", 3, "-o", "a.png"), "-o takes one input"),
    "one output, many pictures": (("compress", DIGITS, "-k", 3, "--limit", 3, "-o", "a.png"), "-o takes one picture"),
    "one output and a list of them": (("compress", PHOTO, "-k", 3, "-o", "a.png", "--write", "basis"), "--write"),
    "one file and a list of outputs": (("compress", PHOTO, "-k", 3, "-o", "a.nmfc", "--write", "image"), "--write"),
    "the container's stream and a list": (("compress", PHOTO, "-k", 3, "-o", "-", "--write", "basis"), "--write"),
    "one output and a plot": (("compress", PHOTO, "-k", 3, "-o", "a.png", "--plot"), "--plot"),
    "one file and a plot": (("compress", PHOTO, "-k", 3, "-o", "a.nmfc", "--plot"), "--plot"),
    "no ending": (("compress", PHOTO, "-k", 3, "-o", "a"), "no ending"),
    "an ending that is not written": (("compress", PHOTO, "-k", 3, "-o", "a.gif"), ".gif"),
    "a kind that is not written": (("compress", PHOTO, "-k", 3, "-o", "a", "--to", "gif"), "--to is gif"),
    "a kind of nothing": (("compress", PHOTO, "-k", 3, "--to", "png"), "--to"),
    "nul without a list": (("compress", PHOTO, "-k", 3, "-0"), "-0"),
    "stdin twice": (("compress", "-", "--files-from", "-", "-k", 3), "stdin"),
    "labels of a picture": (("compress", PHOTO, "-k", 3, "--one-per-label"), "is a picture"),
    "index of a picture": (("compress", PHOTO, "-k", 3, "--index", 0), "is a picture"),
    "split of a picture": (("compress", PHOTO, "-k", 3, "--split", "train"), "is a picture"),
    "resize of an archive": (("basis", DIGITS, "-k", 3, "--resize", "9x9"), "--resize"),
    "two archives": (("basis", DIGITS, SAMPLES / "swimmer.npz", "-k", 3), "is an archive"),
    "more than 1,000": (("compress", DIGITS, "-k", 3), "1,800 pictures"),
    "frame of a collection": (("basis", DIGITS, "-k", 3, "--frame", 2), "--frame"),
}


@pytest.mark.parametrize("given", WRONG)
def test_wrong_usage(run, tmp_path, given):
    words, expected = WRONG[given]
    said = run(*words)
    assert said.code == 2
    assert said.out == ""
    one_line(said.err, expected)
    assert written(tmp_path) == []


def test_wrong_usage_of_a_real_process(nmfc, tmp_path):
    done = nmfc("compress", PHOTO, "-k", 3, "--bogus")
    assert done.returncode == 2
    one_line(done.stderr.decode(), "No such option", "nmfc compress -h")


def test_wrong_usage_in_a_batch_stops_it(run, tmp_path):
    """An option that fits no archive is no matter of one input."""
    picture(tmp_path / "a.png")
    said = run("compress", DIGITS, "a.png", "-k", 1, "-n", 1, "--index", 0)
    assert said.code == 2
    assert "a.png is a picture" in said.err


# Help


@pytest.mark.parametrize("words", [(), *((command,) for command in COMMANDS)])
def test_without_words_there_is_help(run, words):
    said = run(*words)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("Usage: nmfc")
    for ask in ("-h", "--help"):
        asked = run(*words, ask)
        assert (asked.code, asked.err) == (0, "")
        assert asked.out.rstrip() == said.err.rstrip()
    assert not re.search(r"\n\n\n", said.err)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_every_option_and_shows_examples(run, command):
    said = run(command, "-h")
    found = nmfc.get_command(click.Context(nmfc), command)
    assert found
    options = [name for parameter in found.params[1:] for name in parameter.opts]
    assert len(options) > (30 if command in ("compress", "basis") else 4)
    for option in options:
        assert re.search(rf"{option}\b", said.out), option
    assert f"  nmfc {command} " in said.out


def test_version(nmfc):
    from nmfcompress import __version__

    done = nmfc("--version")
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, f"nmfc {__version__}\n", b"")


@pytest.mark.parametrize(
    "words",
    [
        ["-h"],
        *([command, "-h"] for command in COMMANDS),
        ["--version"],
        *([command] for command in COMMANDS),
        ["bogus"],
    ],
)
def test_help_imports_nothing_heavy(tmp_path, words):
    code = (
        "import sys\nfrom nmfcompress.cli.main import main\n"
        f"try:\n    main({words!r})\nexcept SystemExit:\n    pass\n"
        "heavy = {'numpy', 'PIL', 'tqdm', 'matplotlib', 'scipy', 'importlib.metadata'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, stdout=subprocess.DEVNULL)


def test_completion(tmp_path):
    env = environment(_NMFC_COMPLETE="bash_complete", COMP_WORDS="nmfc ", COMP_CWORD="1")
    done = subprocess.run(COMMAND, env=env, capture_output=True, cwd=tmp_path, check=True)
    assert done.stdout.decode().split() == [f"plain,{command}" for command in (*COMMANDS, "demo", "completion")]


# Extras


def without(folder, *modules, words):
    """Run nmfc in a process that has not got some modules."""
    code = f"import sys\nsys.modules.update(dict.fromkeys({modules!r}))\nfrom nmfcompress.cli.main import main\nmain()"
    given = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(
        given, cwd=folder, capture_output=True, timeout=60, env=environment(), stdin=subprocess.DEVNULL
    )


@pytest.mark.parametrize(
    "words", [("compress", PHOTO, "-k", 3, "--plot"), ("basis", DIGITS, "-k", 3, "--plot")], ids=["compress", "basis"]
)
def test_a_plot_without_matplotlib(tmp_path, words):
    done = without(tmp_path, "matplotlib", words=words)
    assert done.returncode == 2
    one_line(done.stderr.decode(), "pip install 'nmfcompress[plot]'")
    assert written(tmp_path) == []


@pytest.mark.parametrize("command", ["compress", "basis"])
def test_archives_without_matplotlib(tmp_path, command):
    done = without(tmp_path, "matplotlib", words=(command, DIGITS, "-k", 2, "-n", 3, "--limit", 12))
    assert done.returncode == 0, done.stderr
    assert "loss.csv" in written(tmp_path / "nmfc-out")
    assert "loss.png" not in written(tmp_path / "nmfc-out")


def test_mat_needs_no_scipy(tmp_path):
    scipy_io = pytest.importorskip("scipy.io")
    scipy_io.savemat(tmp_path / "a.mat", {"data": np.ones((4, 9), np.uint8)})
    assert without(tmp_path, "scipy", "scipy.io", words=("basis", "a.mat", "-k", 1)).returncode == 0


def test_as_a_module(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "nmfcompress", "--version"], capture_output=True, cwd=tmp_path, check=True
    )
    assert done.stdout == real(tmp_path, "--version").stdout
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("compress a.png -k 2 -o", "--output"),
        ("compress a.png -k 2 -O", "--output-dir"),
        ("compress a.png -k 2 --mask", "--mask"),
        ("compress a.png -k 2 -o a.nmfc --basis-from", "--basis-from"),
        ("compress -k 2 --files-from", "--files-from"),
        ("rank a.png -O", "--output-dir"),
        ("decompress a.nmfc -o", "--output"),
        ("plot a.csv -o", "--output"),
    ],
)
def test_an_empty_name_is_named(run, words, name):
    said = run(*words.split(), "")
    assert (said.code, said.err) == (2, f"nmfc: {name} is empty (expected a name)\n")


@pytest.mark.parametrize("words", ["compress -k 2", "compress -k 2 -o a.nmfc", "basis -k 2", "rank", "compare", "plot"])
def test_an_empty_input_is_named(run, words):
    said = run(*words.split(), "")
    assert (said.code, said.err) == (1, "nmfc: '': is empty (expected the name of a file)\n")
