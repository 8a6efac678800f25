"""Peers that need environments of their own, made on demand in benchmarks/.peers with pinned versions.

torch is the build that pip finds, on Linux a large one unless pip is pointed to CPU builds; it runs on one thread.
nimfa needs NumPy 1, and so a Python that NumPy 1 has wheels for, 3.11 or 3.12; cvanmf one with itertools.batched, 3.12
or later, and the statsmodels that its scikit-posthocs was made for. They are looked for beside the Python that runs.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from measure import LOW, ROOT, Figure, race

HOME = ROOT / "benchmarks/.peers"
NEEDS = {
    "torchnmf": ("torch==2.13.0", "torchnmf==0.3.5", "numpy==2.4.6"),
    "nimfa": ("nimfa==1.4.0", "numpy==1.26.4", "scipy==1.17.1"),
    "cvanmf": ("cvanmf==0.4.0", "statsmodels==0.14.6", "pandas==2.3.3", "numpy==2.4.6"),
}
PYTHONS = {"cvanmf": ((3, 12), (3, 13))}
OLD_PYTHONS = ((3, 11), (3, 12))


def torchnmf() -> Iterator[Figure]:
    """torchnmf, 60 iterations."""
    yield from beside("torchnmf", 60)


def nimfa() -> Iterator[Figure]:
    """nimfa, 20 iterations."""
    yield from beside("nimfa", 20)


def beside(name: str, sweeps: int) -> Iterator[Figure]:
    """A peer against each of our solvers, frobenius, to the loss that it reaches."""
    python = environment(name)
    if isinstance(python, str):
        yield Figure(f"{name}: not measured", "", note=python)
        return
    for solver in ("mu", "hals"):
        what = f"{solver}, k={LOW}: CPU time, {name} ({sweeps}) / ours"
        yield race(what, (name, {"sweeps": sweeps}), LOW, 10, 40, solver=solver, python=python)


def environment(name: str) -> Path | str:
    """The Python of a peer's environment, made if it is not there; or why there is none."""
    python, ready = HOME / name / "bin/python", HOME / name / "ready"
    wanted = "\n".join(NEEDS[name])
    if ready.exists() and ready.read_text() == wanted:
        return python
    right = PYTHONS.get(name, OLD_PYTHONS)
    names = [".".join(map(str, version)) for version in right]
    found = next((each for each in (sys.executable, *(f"python{each}" for each in names)) if suits(each, right)), None)
    if found is None:
        return f"no Python {' or '.join(names)} with ensurepip is here"
    shutil.rmtree(HOME / name, ignore_errors=True)
    for words in ([found, "-m", "venv", HOME / name], [python, "-m", "pip", "install", "-q", *NEEDS[name]]):
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            return f"cannot be installed: {([*done.stderr.strip().splitlines()] or ['pip failed'])[-1]}"
    ready.write_text(wanted)
    return python


def suits(python: str, right: tuple[tuple[int, int], ...]) -> bool:
    """Whether this Python is there, of one of these versions, and can make an environment."""
    if not shutil.which(python):
        return False
    question = f"import sys, ensurepip; sys.exit(sys.version_info[:2] not in {right})"
    return subprocess.run([python, "-c", question], capture_output=True).returncode == 0


PARTS: dict[str, Callable[[], Iterator[Figure]]] = {"torchnmf": torchnmf, "nimfa": nimfa}
