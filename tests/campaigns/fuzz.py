"""Doors under mutations: so many that are seeded, or for so long those that coverage leads to (atheris).

Each piece runs in a process of its own, so that one that takes all memory or dies of a signal is a finding like any
other. What is found is kept as a file, whose name says where to put it again.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from . import doors

PIECE = 5000  # mutations in one process
SECONDS = 1.0  # that a mutation may take: what is slower is told,
GUARD = 10  # and so many times as slow is a finding
MEMORY = 2**29  # bytes that a process may take beside what it began with: Limits(2**26) and what does not count there


class Slow(BaseException):
    """A mutation that takes far too long."""


@dataclass(frozen=True)
class Found:
    """What came of some mutations.

    Parameters
    ----------
    door : str
    count : int
        Of mutations.
    read : int
        Those that were read as if nothing were wrong with them.
    slowest : float
        Seconds of one.
    memory : int
        Bytes at most, beside those that the process began with.
    findings : tuple of str
    messages : dict
        Kinds of refusals, and how often.
    """

    door: str
    count: int = 0
    read: int = 0
    slowest: float = 0.0
    memory: int = 0
    findings: tuple[str, ...] = ()
    messages: dict[str, int] | None = None

    def __add__(self, other: Found) -> Found:
        return Found(
            self.door, self.count + other.count, self.read + other.read, max(self.slowest, other.slowest),
            max(self.memory, other.memory), self.findings + other.findings,
            dict(Counter(self.messages or {}) + Counter(other.messages or {})),
        )  # fmt: skip

    def __str__(self) -> str:
        kinds = f", {len(self.messages)} kinds of refusal" if self.messages else ""
        known = f", {self.read:,} read{kinds}, slowest {self.slowest:.2f} s" if self.slowest else ""  # not by atheris
        return (
            f"{self.door}: {self.count:,} mutations{known}, {self.memory / 1e6:.0f} MB, {len(self.findings)} findings"
        )


def memory(what: str = "VmHWM") -> int:
    """Bytes that this process has used at most, or (VmSize) asked for."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))


def mutated(door: str, first: int, count: int, seed: int, keep: str = "") -> Found:
    """Mutations `first` to `first + count - 1` in this process; what is found is kept in `keep`, a folder, if given."""

    def late(number: int, frame: object) -> None:
        raise Slow

    read, make = doors.READ[door], doors.MUTATION[door]
    read(make(first, seed))  # all that is imported late
    messages: Counter[str] = Counter()
    findings: list[str] = []
    slowest, began = 0.0, memory()
    before = signal.signal(signal.SIGPROF, late)
    place = os.open(os.path.join(keep, f"{door}-now"), os.O_CREAT | os.O_WRONLY) if keep else -1
    try:
        for number in range(first, first + count):
            if keep:
                os.pwrite(place, b"%12d" % number, 0)
            data, start = make(number, seed), time.process_time()
            signal.setitimer(signal.ITIMER_PROF, GUARD * SECONDS)
            try:
                message = read(data)
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                message = f"finding: {type(error).__name__}"
                findings.append(f"{door} mutation {number} of seed {seed}: {type(error).__name__}: {error}")
                if keep:
                    Path(keep, f"{door}-{seed}-{number}").write_bytes(data)
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
            slowest = max(slowest, time.process_time() - start)
            messages["".join(char for char in message if not char.isdigit())] += 1
    finally:
        signal.signal(signal.SIGPROF, before)
        if keep:
            os.close(place)
    used = memory() - began
    if used > MEMORY:
        findings.append(f"{door} mutations {first} to {first + count - 1} of seed {seed}: {used:,} bytes")
    refusals = {kind: times for kind, times in messages.items() if kind}
    return Found(door, count, messages[""], slowest, used, tuple(findings), refusals)


def in_pieces(door: str, count: int, seed: int, keep: str) -> Found:
    """The same, each PIECE in a process that cannot take more memory than is allowed."""
    total = Found(door)
    for first in range(0, count, PIECE):
        some = min(PIECE, count - first)
        words = [sys.executable, "-m", "campaigns", "piece", door, str(first), str(some), str(seed), keep]
        done = subprocess.run(
            words, env=environment() | {"TMPDIR": keep}, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        if done.returncode:
            number = Path(keep, f"{door}-now").read_text().strip()
            died = f"{door} mutation {number} of seed {seed}: the process ended with {done.returncode}"
            total += Found(door, some, findings=(died,))
        else:
            given = json.loads(done.stdout)
            total += Found(**given | {"findings": tuple(given["findings"])})
        print(f"\r{total}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return total


def piece(door: str, first: int, count: int, seed: int, keep: str) -> None:
    """A piece, in this process: prints what came of it."""
    doors.READ[door](doors.MUTATION[door](first, seed))
    most = memory("VmSize") + 2 * MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    print(json.dumps(mutated(door, first, count, seed, keep).__dict__))


def environment() -> dict[str, str]:
    """For a process of this package, beside the tests."""
    paths = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"}


# Coverage


def guided(door: str, seconds: int, seed: int, keep: str) -> Found:
    """Mutations that atheris (libFuzzer) chooses by what they reach, from the corpus of the door and the odd files."""
    corpus = Path(keep, f"{door}-corpus")
    corpus.mkdir(exist_ok=True)
    for data in (*doors.CORPUS[door](), *doors.odd_files()):
        corpus.joinpath(hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    prefix = os.path.join(keep, f"{door}-found-")
    words = [
        sys.executable, "-m", "campaigns", "atheris", door, f"-max_total_time={seconds}", f"-seed={seed + 1}",
        f"-timeout={GUARD * int(SECONDS)}", f"-rss_limit_mb={2 * MEMORY >> 20}", f"-artifact_prefix={prefix}",
        f"-max_len={doors.ODD_BYTES}", "-print_final_stats=1", str(corpus),
    ]  # fmt: skip
    done = subprocess.run(
        words, env=environment() | {"TMPDIR": keep}, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    figures = dict(line.removeprefix("stat::").split(":") for line in done.stderr.splitlines() if "stat::" in line)
    cover = [line for line in done.stderr.splitlines() if " cov: " in line]
    print(f"{door}: {seconds} s of atheris; {cover[-1].strip() if cover else 'no coverage told'}", file=sys.stderr)
    found = tuple(str(path) for path in sorted(Path(keep).glob(f"{door}-found-*")))
    if done.returncode and not found:
        found = (f"{door}: atheris ended with {done.returncode}: {done.stderr.strip()[-300:]}",)
    executed = int(figures.get("number_of_executed_units", "0"))
    return Found(door, executed, memory=int(figures.get("peak_rss_mb", "0")) << 20, findings=found)
