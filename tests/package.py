"""Build the source distribution and the wheel as a release would be, install it where nothing is, and look at it.

    python tests/package.py [--tests PYTEST ARGUMENTS]       make package ARGS="--tests tests/cli"

Into dist/ go the source distribution and the wheel that is built of it, each by pip and the build backend that
pyproject.toml names. The wheel is installed into a new environment with its four packages and no others; nmfc runs
there from an empty folder, its man page is found, and size and start-up are measured. With --tests the development
extra comes in too, and the tests of the unpacked source distribution run against the installed wheel.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
RUNS = 15  # of each command, in turn
SDIST = "import sys; from setuptools import build_meta; print(build_meta.build_sdist(sys.argv[1]))"


def run(*words: object, cwd: Path, **options: object) -> str:
    """What a command prints; a failure ends this program."""
    done = subprocess.run([*map(str, words)], cwd=cwd, capture_output=True, text=True, **options)  # type: ignore[call-overload]
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
    return str(done.stdout)


def built() -> tuple[Path, Path]:
    """The source distribution, and the wheel of it."""
    shutil.rmtree(DIST, ignore_errors=True)
    DIST.mkdir()
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "copy"
        left = shutil.ignore_patterns(".git", ".venv*", "*.egg-info", "build", "dist", ".*_cache", ".bench", "*-out")
        shutil.copytree(ROOT, copy, ignore=left)
        sdist = DIST / run(sys.executable, "-c", SDIST, DIST, cwd=copy).splitlines()[-1]
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    run(*pip, "wheel", "--no-deps", "-w", DIST, sdist, cwd=DIST)
    return sdist, next(DIST.glob("*.whl"))


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def medians(commands: dict[str, list[object]], cwd: Path) -> dict[str, tuple[float, float]]:
    """Seconds by the clock and of the processor that each command takes, by turns."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(RUNS):
        for name, words in commands.items():
            before, began = _cpu(), time.perf_counter()
            run(*words, cwd=cwd)
            taken[name].append((time.perf_counter() - began, _cpu() - before))
    return {
        name: (statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs))
        for name, pairs in taken.items()
    }


def _cpu() -> float:
    """Seconds of the processor that all commands so far took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    """Build, install, look, measure."""
    sdist, wheel = built()
    for path in (sdist, wheel):
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes")
    with tempfile.TemporaryDirectory() as name:
        env, empty = Path(name) / "env", Path(name) / "empty"
        empty.mkdir()
        run(sys.executable, "-m", "venv", env, cwd=empty)
        bare = size_of(env)
        pip = [env / "bin/python", "-m", "pip", "-q", "--disable-pip-version-check"]
        run(*pip, "install", wheel, cwd=empty)
        print(run(*pip, "freeze", cwd=empty).replace("\n", "  "))
        site = next(env.glob("lib/python*/site-packages"))
        shares = {path.name: size_of(path) for path in site.iterdir() if path.is_dir() and path.suffix != ".dist-info"}
        largest = sorted(shares.items(), key=lambda share: -share[1])
        print(f"base install: {(size_of(env) - bare) / 1e6:.1f} MB more than an empty environment; of it")
        print(
            "  " + ", ".join(f"{name} {size / 1e6:.1f}" for name, size in largest if name not in ("pip", "setuptools"))
        )
        nmfc = env / "bin/nmfc"
        print(run(nmfc, "--version", "-v", cwd=empty))
        run(nmfc, "demo", cwd=empty)
        print(f"demo: {sum(path.is_file() for path in empty.rglob('*'))} files")
        if man := shutil.which("man"):
            path = os.environ | {"PATH": f"{env / 'bin'}{os.pathsep}{os.environ['PATH']}", "MANPATH": ""}
            print("man nmfc: " + run(man, "-w", "nmfc", cwd=empty, env=path).strip().removeprefix(f"{env}/"))
        python = env / "bin/python"
        words: dict[str, list[object]] = {
            "python -c pass": [python, "-c", "pass"], "python -c 'import click'": [python, "-c", "import click"],
            "nmfc --version": [nmfc, "--version"], "nmfc --help": [nmfc, "--help"],
            "nmfc compress --help": [nmfc, "compress", "--help"],
            "python -c 'import numpy'": [python, "-c", "import numpy"],
        }  # fmt: skip
        found = medians(words, empty)
        wall, cpu = found["python -c pass"]
        for command, (a, b) in found.items():
            print(f"{command:<26} {a * 1000:4.0f} ms, {a / wall:4.1f}x; CPU {b * 1000:4.0f} ms, {b / cpu:4.1f}x")
        if sys.argv[1:2] == ["--tests"]:
            run(*pip, "install", f"{wheel}[dev]", cwd=empty)
            with tarfile.open(sdist) as archive:
                archive.extractall(name, filter="data")
            there = Path(name) / sdist.name.removesuffix(".tar.gz")
            return subprocess.run([python, "-P", "-m", "pytest", "-q", *sys.argv[2:]], cwd=there).returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
