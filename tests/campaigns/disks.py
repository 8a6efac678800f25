"""Disks that are full after so many bytes: exit code 1, a line a failure, nothing left behind, old files as they were.

A disk of a given size is a small tmpfs, where this user may mount one; a limit on the size of files (RLIMIT_FSIZE)
stops a writer within a file, anywhere; /dev/full takes nothing at all.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .commands import Job, Told, progress, run

BLOCK = 4096  # the least that a tmpfs gives
TO_FULL = (
    ("compress", "pictures/00.png", "-k", "2", "-n", "5", "-o", "/dev/full", "--to", "png"),
    ("compress", "pictures/00.png", "-k", "2", "-n", "5", "-o", "/dev/full", "--to", "nmfc"),
    ("decompress", "stack.nmfc", "-o", "/dev/full", "--to", "npz"),
)
MOUNT, UMOUNT = shutil.which("mount"), shutil.which("umount")


def campaign(home: Path, some: Sequence[Job], sizes: int, seed: int) -> Told:
    """So many sizes of each kind of disk, for these jobs in the folder `home`; what is wrong then is a finding."""
    rng, counts = random.Random(seed), Counter[str]()
    findings: list[str] = []

    def check(kind: str, size: int, job: Job, done: subprocess.CompletedProcess[bytes], where: Path) -> None:
        said = done.stderr.decode()
        wrong = job.wrong(where, strays=False, done=done.returncode == 0)
        if done.returncode not in (0, 1):
            wrong.append(f"exit code {done.returncode}")
        if done.returncode == 1 and not all(line.startswith("nmfc: ") for line in said.splitlines()):
            wrong.append(f"it said {said[-300:]}")
        if done.returncode == 1 and not said:
            wrong.append("it said nothing")
        counts[f"{kind}, exit code {done.returncode}"] += 1
        findings.extend(f"{kind} of {size:,} bytes (seed {seed}), {job.name}: {what}" for what in wrong)

    for number in range(sizes):
        job = some[number % len(some)]
        progress("file limits", number, sizes)
        size = int((number + rng.random()) / sizes * 1.1 * max(map(len, job.whole.values())))
        job.prepare(home)
        done = run(home, job.words, lambda size=size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))  # type: ignore[misc]
        check("file limit", size, job, done, home)
    if may_mount():
        for number in range(sizes):
            job = some[number % len(some)]
            progress("tmpfs", number, sizes)
            with disk(home / "out", _room(job, number, sizes)) as size:
                _prepare_on_disk(job, home)
                done = run(home, job.words)
                check("tmpfs", size, job, done, home)
    if os.path.exists("/dev/full"):
        for words in TO_FULL:
            done = run(home, words)
            counts[f"/dev/full, exit code {done.returncode}"] += 1
            said = done.stderr.decode()
            if done.returncode != 1 or said.count("\n") != 1 or not said.startswith("nmfc: /dev/full: "):
                findings.append(f"/dev/full, {words[0]}: exit code {done.returncode}, it said {said}")
    told = ", ".join(f"{times} {what}" for what, times in sorted(counts.items()))
    told += "" if may_mount() else ", no tmpfs (this user may not mount one)"
    return Told(f"disks: {told}: {len(findings)} findings", tuple(findings))


def _room(job: Job, number: int, sizes: int) -> int:
    """Bytes of a disk, from what the old files take to a little above what old and new take together."""
    old = BLOCK * (2 + len(job.whole))
    new = sum(-(-len(content) // BLOCK) * BLOCK for content in job.whole.values())
    return old + (new + 4 * BLOCK) * number // max(1, sizes - 1)


def _prepare_on_disk(job: Job, home: Path) -> None:
    """As `Job.prepare`, on a disk that is mounted at out."""
    from .commands import OLD

    shutil.rmtree(home / "tmp", ignore_errors=True)
    for name in job.whole:
        if not name.endswith(".csv"):
            path = home / "out" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(OLD)


@contextmanager
def disk(where: Path, size: int) -> Iterator[int]:
    """A tmpfs of so many bytes."""
    shutil.rmtree(where, ignore_errors=True)
    where.mkdir()
    size = -(-size // BLOCK) * BLOCK
    subprocess.run([str(MOUNT), "-t", "tmpfs", "-o", f"size={size}", "tmpfs", where], check=True)
    try:
        yield size
    finally:
        subprocess.run([str(UMOUNT), where], check=True)


def may_mount() -> bool:
    """Whether this user can mount a tmpfs."""
    if not MOUNT or not UMOUNT:
        return False
    with tempfile.TemporaryDirectory() as folder:
        tried = subprocess.run([MOUNT, "-t", "tmpfs", "-o", "size=4096", "tmpfs", folder], capture_output=True)
        if tried.returncode:
            return False
        subprocess.run([UMOUNT, folder], check=True)
    return True
