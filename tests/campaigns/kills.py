"""Real nmfc processes are killed at random points: a name holds the old file or the whole new one, whatever happens.

Half of them are killed at a random time of their life, half shortly after a temporary file of theirs has appeared, when
they write. After SIGINT and SIGTERM no temporary file may be left, nor after both, one right behind the other. At the
end each command runs once more, over what is there.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from .commands import TEMPORARY, Job, Told, progress, run, started

KILL, INT, TERM = signal.SIGKILL, signal.SIGINT, signal.SIGTERM
SIGNALS = ((KILL,), (INT,), (TERM,), (KILL,), (INT, TERM), (TERM, INT))
CODES = {KILL: {-9}, INT: {130, -2}, TERM: {143, -15}}  # negative: before it listens
SAID = (b"nmfc: interrupted", b"nmfc: terminated")


def campaign(home: Path, some: Sequence[Job], count: int, seed: int) -> Told:
    """Kill `count` processes at these jobs in the folder `home`; what is wrong afterwards is a finding."""
    rng = random.Random(seed)
    points: Counter[str] = Counter()
    findings: list[str] = []
    for number in range(count):
        job, kinds = some[number % len(some)], SIGNALS[number // 2 % len(SIGNALS)]
        progress("kills", number, count)
        job.prepare(home)
        with started(home, job.words) as process:
            writing = _wait(process, home / "out", job, rng, number % 2 == 1)
            for kind in kinds:
                process.send_signal(kind)
                _sleep(process, rng.choice([0, rng.uniform(0, 0.001)]))
            _, err = process.communicate(timeout=60)
        code = process.returncode
        if INT in kinds and _before_ours(code, err):
            code, err = -INT, b""
        point = "ended before" if code == 0 else "writing" if writing else "elsewhere"
        sent = " ".join(kind.name for kind in kinds)
        points[f"{sent} {point}"] += 1
        wrong = job.wrong(home, strays=KILL in kinds, done=code == 0)
        if code not in {0}.union(*(CODES[kind] for kind in kinds)):
            wrong.append(f"exit code {code}: {err.decode()[-200:]}")
        if b"Traceback" in err or (code in (130, 143) and err and not err.splitlines()[-1].startswith(SAID)):
            wrong.append(f"it said {err.decode()[-300:]}")
        findings += [f"kill {number} of seed {seed}, {job.name}, {sent}: {what}" for what in wrong]
    for job in some:
        job.prepare(home)
        home.joinpath("out/.nmfc-0123456789abcdef").write_bytes(b"left by one that was killed")
        done = run(home, job.words)
        findings += [f"{job.name} after a kill: {what}" for what in job.wrong(home, strays=True, done=True)]
        if done.returncode:
            findings.append(f"{job.name} after a kill: exit code {done.returncode}: {done.stderr.decode()[-200:]}")
    points_told = ", ".join(f"{times} {point}" for point, times in sorted(points.items()))
    return Told(f"kills: {count} processes ({points_told}): {len(findings)} findings", tuple(findings))


def _before_ours(code: int, err: bytes) -> bool:
    """Whether SIGINT met Python itself as it began; its traceback breaks off where SIGTERM, still unheard, came too."""
    if b"Traceback" not in err or b" in entry" in err:
        return False
    return code == -TERM or (code == 1 and b"KeyboardInterrupt" in err)


def _wait(process: subprocess.Popen[bytes], out: Path, job: Job, rng: random.Random, for_writing: bool) -> bool:
    """Wait for the point to kill at; whether a temporary file was there then."""
    if not for_writing:
        _sleep(process, rng.uniform(0, 1.05 * job.seconds))
    else:
        passed = rng.randrange(max(1, len(job.whole)))  # so many outputs go by
        seen: set[str] = set()
        while process.poll() is None:
            seen.update(name for name in _names(out) if TEMPORARY.fullmatch(name))
            if len(seen) > passed:
                _sleep(process, rng.choice([0, rng.uniform(0, 0.002)]))
                break
            time.sleep(0.0003)
    return any(TEMPORARY.fullmatch(name) for name in _names(out))


def _names(out: Path) -> list[str]:
    return [name for _, _, files in os.walk(out) for name in files]


def _sleep(process: subprocess.Popen[bytes], seconds: float) -> None:
    end = time.monotonic() + seconds
    while process.poll() is None and (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 0.05))
