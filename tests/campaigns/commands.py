"""Real nmfc commands over outputs that are there already, and what may be found of these afterwards."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

TEMPORARY = re.compile(r"\.nmfc-[0-9a-f]{16}")
SCRIPT = shutil.which("nmfc", path=os.path.dirname(sys.executable))
COMMAND = [SCRIPT] if SCRIPT else [sys.executable, "-m", "nmfcompress"]
OLD = b"what was here before"
PICTURES = 12


@dataclass(frozen=True)
class Told:
    """What a campaign has to say."""

    line: str
    findings: tuple[str, ...]

    def __str__(self) -> str:
        return self.line


def progress(what: str, done: int, count: int) -> None:
    """How far a campaign is, for a terminal."""
    if sys.stderr.isatty():
        print(f"\r{what}: {done} of {count} ", end="", file=sys.stderr, flush=True)


JOBS = {  # name: words; all write below the folder out, in a folder with the inputs of `inputs`
    "compress": ("compress", "pictures", "-r", "-k", "3", "-n", "20", "-O", "out", "-f", "-q"),
    "compress -o": ("compress", "stack.npz", "-o", "out/stack.nmfc", "-k", "4", "--step", "8", "-f", "-q"),
    "basis": ("basis", "stack.npz", "-k", "4", "-n", "30", "-O", "out", "-f", "-q"),
    "decompress": ("decompress", "stack.nmfc", "-O", "out", "-f", "-q"),
    "decompress -o": ("decompress", "stack.nmfc", "-o", "out/back.npz", "-f", "-q"),
}


def inputs(folder: Path) -> None:
    """Some pictures, a collection, and the same packed."""
    rng = np.random.default_rng(0)
    folder.joinpath("pictures").mkdir(parents=True)
    for number in range(PICTURES):
        y, x = np.mgrid[:32, :40]
        shown = 128 + 90 * np.sin(x / 5 + number) * np.cos(y / 6) + rng.normal(0, 4, (32, 40))
        Image.fromarray(np.clip(shown, 0, 255).astype(np.uint8)).save(folder / f"pictures/{number:02}.png")
    parts = rng.random((6, 16, 16)) ** 3
    codes = (rng.random((60, 6)) < 0.4) * rng.integers(1, 3, (60, 6))
    stack = np.clip(np.tensordot(codes, parts, 1) * 120, 0, 255).astype(np.uint8)
    np.savez(folder / "stack.npz", images=stack, labels=np.arange(60) % 10)
    done = run(folder, ("compress", "stack.npz", "-o", "stack.nmfc", "-k", "4", "--step", "8", "-q"))
    assert done.returncode == 0, done.stderr


def environment(folder: Path) -> dict[str, str]:
    """Temporary files go to a folder of their own, so that what stays behind is seen."""
    folder.joinpath("tmp").mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NMFC_")}
    return kept | {"TMPDIR": str(folder / "tmp")}


def started(folder: Path, words: tuple[str, ...], first: Callable[[], None] | None = None) -> subprocess.Popen[bytes]:
    """The command under way, after `first` in its process; SIGINT is not ignored, whatever started this one."""

    def prepare() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if first is not None:
            first()

    return subprocess.Popen(
        [*COMMAND, *words], cwd=folder, env=environment(folder), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, preexec_fn=prepare,
    )  # fmt: skip


def run(
    folder: Path, words: tuple[str, ...], first: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """The command, to its end."""
    with started(folder, words, first) as process:
        out, err = process.communicate(timeout=300)
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """All below a folder: name and content."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def timeless(name: str, content: bytes) -> bytes:
    """Without what differs from run to run: the seconds, last in the lines of a log."""
    if not name.endswith(".csv"):
        return content
    lines = content.split(b"\n")
    at = lines[0].split(b",").index(b"seconds") if b"seconds" in lines[0].split(b",") else None
    rows = [line.split(b",") for line in lines]
    return b"\n".join(b",".join(cell for i, cell in enumerate(row) if i != at) for row in rows)


@dataclass(frozen=True)
class Job:
    """A command, and what it writes when nobody disturbs it.

    Parameters
    ----------
    name : str
    words : tuple of str
    whole : dict of bytes
        Its outputs by name.
    seconds : float
        That it takes.
    """

    name: str
    words: tuple[str, ...]
    whole: dict[str, bytes]
    seconds: float

    def prepare(self, folder: Path) -> None:
        """Put a file of old where each output goes, but the log, which must be one of ours to be merged with."""
        out = folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        shutil.rmtree(folder / "tmp", ignore_errors=True)
        for name in self.whole:
            if not name.endswith(".csv"):
                out.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
                out.joinpath(name).write_bytes(OLD)
        out.mkdir(exist_ok=True)

    def wrong(self, folder: Path, strays: bool, done: bool = False) -> list[str]:
        """What is not as it should be: a file that is neither the old one nor the whole new one, or a stray.

        Parameters
        ----------
        strays : bool
            Temporary files may be left: nobody can remove them when a process is killed without being asked.
        done : bool
            The command says that all is well, so that no old file may be left.
        """
        found = []
        seen = dict(files(folder / "out"))
        for name, content in seen.items():
            if TEMPORARY.fullmatch(os.path.basename(name)):
                if not strays:
                    found.append(f"{name} is left behind")
            elif name not in self.whole:
                found.append(f"{name} is none of the outputs")
            elif content == OLD:
                if done:
                    found.append(f"{name} is the old file, but the exit code is 0")
            elif not self._is_whole(name, content, done):
                found.append(f"{name} is neither old nor whole: {len(content):,} of {len(self.whole[name]):,} bytes")
        gone = self.whole.keys() - seen.keys()
        found += [f"{name} has gone" for name in gone if done or not name.endswith(".csv")]
        if not strays:
            found += [f"{name} is left in the folder for temporary files" for name, _ in files(folder / "tmp")]
        return found

    def _is_whole(self, name: str, content: bytes, done: bool) -> bool:
        whole, content = timeless(name, self.whole[name]), timeless(name, content)
        if name.endswith(".csv") and not done:  # a log of the inputs that were done: whole lines, as they would be
            return content.endswith(b"\n") and set(content.splitlines()) <= set(whole.splitlines())
        return content == whole


def jobs(folder: Path, names: tuple[str, ...] | None = None) -> list[Job]:
    """The commands, each run once undisturbed; inputs are made first."""
    import time

    inputs(folder)
    made = []
    for name in names or tuple(JOBS):
        shutil.rmtree(folder / "out", ignore_errors=True)
        (folder / "out").mkdir()
        began = time.monotonic()
        done = run(folder, JOBS[name])
        assert done.returncode == 0, done.stderr
        made.append(Job(name, JOBS[name], dict(files(folder / "out")), time.monotonic() - began))
    return made
