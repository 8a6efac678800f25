"""The wheel and the source distribution: what is in them, and that they install and run.

Built with the setuptools that is here, from copies, and installed without their dependencies into an environment that
sees those of this one: no registry is asked for anything. `make package` does the same the long way round.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from email.message import Message
from email.parser import BytesParser
from pathlib import Path

import pytest
from packaging.metadata import Metadata

import nmfcompress

ROOT = Path(__file__).parents[1]
JUNK = re.compile(
    r"(^|/)(__pycache__|\.\w*cache|\.hypothesis|\.venv|\.git|build|dist|nmfc-out|demo-out)(/|$)|\.py[co]$"
)
BUILD = (
    "import sys; from setuptools import build_meta as backend; "
    "print(getattr(backend, 'build_' + sys.argv[1])(sys.argv[2]))"
)


def run(*words: object, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("NMFC_", "PYTHON"))} | more
    done = subprocess.run([*map(str, words)], cwd=cwd, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def build(kind: str, source: Path, out: Path) -> Path:
    """A "wheel" or an "sdist" of a folder."""
    out.mkdir(exist_ok=True)
    return out / run(sys.executable, "-c", BUILD, kind, out, cwd=source).stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a copy of what is here, junk and all: what is left out is left out by MANIFEST.in."""
    folder = tmp_path_factory.mktemp("sdist")
    left = shutil.ignore_patterns(
        ".git", ".venv*", "*.egg-info", "build", "dist", ".mypy_cache", ".ruff_cache", ".bench"
    )
    shutil.copytree(ROOT, folder / "copy", ignore=left, symlinks=True)
    for junk in ("tests/__pycache__", "nmfcompress/__pycache__"):
        (folder / "copy" / junk).mkdir(exist_ok=True)
        (folder / "copy" / junk / "x.cpython-311.pyc").touch()
    return build("sdist", folder / "copy", folder / "out")


@pytest.fixture(scope="module")
def unpacked(sdist: Path) -> Path:
    with tarfile.open(sdist) as archive:
        archive.extractall(sdist.parent, filter="data")
    return sdist.parent / sdist.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def wheel(unpacked: Path) -> Path:
    """Of the source distribution, as pip builds it."""
    return build("wheel", unpacked, unpacked.parent / "wheel")


@pytest.fixture(scope="module")
def prefix(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and, by a path, the packages of this one; but not its nmfcompress."""
    folder = tmp_path_factory.mktemp("env")
    venv.create(folder, with_pip=False, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin/python", "--disable-pip-version-check"]
    run(*pip, "install", "--no-index", "--no-deps", wheel, cwd=folder)
    site = next(folder.glob("lib/python*/site-packages"))
    others = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "others.pth").write_text(others + "\n")
    return folder


def names(path: Path) -> set[str]:
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as archive:
            return set(archive.namelist())
    with tarfile.open(path) as archive:
        return {"/".join(one.name.split("/")[1:]) for one in archive if one.isfile()}


def test_the_wheel_has_the_package_the_man_page_and_nothing_else(wheel: Path) -> None:
    found = names(wheel)
    stem = "-".join(wheel.name.split("-")[:2])
    package = {path.relative_to(ROOT).as_posix() for path in (ROOT / "nmfcompress").rglob("*.py")}
    assert {name for name in found if name.startswith("nmfcompress/")} == package | {"nmfcompress/py.typed"}
    beside = {name.removeprefix(stem) for name in found if not name.startswith("nmfcompress/")}
    info = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "top_level.txt", "licenses/LICENSE"}
    assert beside == {".data/data/share/man/man1/nmfc.1"} | {f".dist-info/{name}" for name in info}
    assert wheel.name.endswith("-py3-none-any.whl")
    assert wheel.stat().st_size < 2**19


def test_the_source_distribution_has_what_make_needs(sdist: Path) -> None:
    found = names(sdist)
    assert not [name for name in found if JUNK.search(name)]
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, timeout=60)  # noqa: S607
    tracked = set(done.stdout.split("\0")) - {"", ".gitignore"}
    if done.returncode or not tracked:  # a source distribution has no history
        tracked = {"Makefile", "CHANGELOG.md", "README.md", "LICENSE", "pyproject.toml", "tests/test_packaging.py"}
    assert {name for name in tracked if (ROOT / name).exists()} <= found
    assert sdist.stat().st_size < 2**23


def test_the_metadata_are_right(wheel: Path, sdist: Path) -> None:
    """What a registry looks at, and what README and pyproject.toml say."""
    with zipfile.ZipFile(wheel) as archive:
        raw = archive.read(next(name for name in archive.namelist() if name.endswith("/METADATA")))
    with tarfile.open(sdist) as archive:
        own = archive.extractfile(sdist.name.removesuffix(".tar.gz") + "/PKG-INFO")
        assert own is not None
        assert own.read() == raw
    said = Metadata.from_email(raw, validate=True)
    assert said.name == "nmfcompress"
    assert str(said.version) == nmfcompress.__version__
    assert said.description_content_type == "text/markdown"
    assert said.description is not None
    assert said.description.strip() == (ROOT / "README.md").read_text(encoding="utf-8").strip()
    assert said.license_expression == "MIT"
    assert said.license_files == ["LICENSE"]
    assert said.summary
    assert str(said.requires_python) == ">=3.11"
    needed = {one.name for one in said.requires_dist or [] if "extra" not in str(one.marker)}
    assert needed == {"numpy", "pillow", "click", "tqdm"}
    message: Message = BytesParser().parsebytes(raw)
    assert not message.defects


def test_it_runs_from_an_empty_folder(prefix: Path, tmp_path: Path) -> None:
    nmfc = prefix / "bin/nmfc"
    assert run(nmfc, "--version", cwd=tmp_path).stdout == f"nmfc {nmfcompress.__version__}\n"
    assert "[plot]" in run(nmfc, "--version", "-v", cwd=tmp_path).stdout
    where = run(prefix / "bin/python", "-c", "import nmfcompress; print(nmfcompress.__file__)", cwd=tmp_path).stdout
    assert Path(where.strip()).is_relative_to(prefix)
    assert run(nmfc, "demo", cwd=tmp_path).stderr.count("$ nmfc ") == 6
    assert (tmp_path / "nmfc-demo/pictures/photo.compare.png").exists()
    assert run(prefix / "bin/python", "-m", "nmfcompress", "info", "nmfc-demo/digits.nmfc", cwd=tmp_path).stdout


def test_man_finds_the_page(prefix: Path, tmp_path: Path) -> None:
    man = shutil.which("man")
    if man is None:
        pytest.skip("man is not installed")
    path = f"{prefix / 'bin'}{os.pathsep}{os.environ['PATH']}"
    assert run(man, "-w", "nmfc", cwd=tmp_path, PATH=path, MANPATH="").stdout.strip() == str(
        prefix / "share/man/man1/nmfc.1"
    )


def test_mypy_sees_the_types_of_the_installed_package(prefix: Path, tmp_path: Path) -> None:
    code = (
        "from nmfcompress import factorize, psnr\n"
        "from nmfcompress.pillow import register\n"
        "import numpy as np\n"
        "reveal_type(psnr(np.zeros((2, 2)), np.ones((2, 2))))\n"
        "reveal_type(factorize(np.ones((3, 3)), 1).loss)\n"
        "reveal_type(register())\n"
        "factorize(np.ones((3, 3)), rank='three')\n"
    )
    (tmp_path / "mine.py").write_text(code)
    words = [sys.executable, "-m", "mypy", "--strict", "--python-executable", prefix / "bin/python", "mine.py"]
    done = subprocess.run([*map(str, words)], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    said = [re.sub(r"^mine\.py:(\d+): ", r"\1 ", line) for line in done.stdout.splitlines()]
    assert '4 note: Revealed type is "float | None"' in said, done.stdout
    assert any(re.match(r'5 note: Revealed type is "(builtins\.)?float"', line) for line in said), done.stdout
    assert '6 note: Revealed type is "None"' in said, done.stdout
    assert next(line for line in said if "error" in line).startswith('7 error: Argument "rank" to "factorize"')
    assert "Found 1 error in 1 file" in done.stdout


def test_the_tests_come_along_and_run(prefix: Path, unpacked: Path) -> None:
    """A few of them, from the source distribution, against the package that is installed."""
    few = ["tests/test_imports.py", "tests/test_samples.py", "tests/codec/test_container.py"]
    words = [prefix / "bin/python", "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", *few]
    assert " passed" in run(*words, cwd=unpacked).stdout
