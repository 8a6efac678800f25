"""Killed processes and full disks, the short version of `make torture`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from campaigns import commands, disks, kills
from campaigns.commands import OLD, Job

from nmfcompress.cli import streams

NAMES = ("compress", "decompress -o")
KILLS, SIZES = 6, 2


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("torture")


@pytest.fixture(scope="module")
def jobs(home: Path) -> list[Job]:
    return commands.jobs(home, NAMES)


def test_killed_processes_leave_old_files_or_new_ones(home, jobs):
    told = kills.campaign(home, jobs, KILLS, seed=3)
    assert not told.findings
    assert "SIGKILL" in told.line


def test_full_disks_leave_old_files_and_nothing_else(home, jobs):
    told = disks.campaign(home, jobs, SIZES, seed=3)
    assert not told.findings
    assert "file limit, exit code 1" in told.line
    assert f"{len(disks.TO_FULL)} /dev/full, exit code 1" in told.line or not os.path.exists("/dev/full")


@pytest.mark.parametrize(("first", "second"), [(signal.SIGINT, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT)])
def test_a_second_signal_does_not_get_into_the_cleaning_up(monkeypatch, first, second):
    """It ended nmfc with a traceback; one that comes much later stops it again."""
    monkeypatch.setattr(streams.Terminated, "seen", False)
    monkeypatch.setattr(streams, "_stopped", [-1e9])
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    before = [(number, signal.getsignal(number)) for number in (first, second)]
    streams.stop_by_exception()
    cleaned = []
    try:
        for _ in range(2):
            with pytest.raises((KeyboardInterrupt, streams.Terminated)):  # noqa: PT012
                try:
                    signal.raise_signal(first)
                finally:
                    signal.raise_signal(second)
                    cleaned.append(first)
            streams._stopped[0] -= 60
    finally:
        for number, handler in before:
            signal.signal(number, handler)
    assert cleaned == [first, first]


ON_ITS_WAY = """
import signal, sys
from nmfcompress.cli import main, streams

class HalfDone:
    def __del__(self):
        raise ValueError("seek of closed file")

def command(*args, **kwargs):
    streams.stop_by_exception()
    half_done = HalfDone()
    try:
        signal.raise_signal(int(sys.argv[1]))
    finally:
        raise ValueError("cannot be closed")

main.nmfc.main = command
main.main([])
"""


@pytest.mark.parametrize(("number", "code", "words"), [(2, 130, "interrupted"), (15, 143, "terminated")])
def test_what_is_half_done_does_not_make_an_error_of_a_signal(number, code, words):
    """A ZipFile that was being written did: exit code 1, and a traceback when it was let go."""
    done = subprocess.run([sys.executable, "-c", ON_ITS_WAY, str(number)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (code, f"nmfc: {words}\n")


@pytest.mark.parametrize(
    ("code", "err", "before"),
    [
        (1, b'Traceback\n  File "site.py"\nKeyboardInterrupt', True),
        (-15, b'Traceback\n  File "contextlib.py", line 6, in <module>\n', True),  # SIGTERM while it was printed
        (1, b'Traceback\n  File "x.py", line 1, in entry\nKeyboardInterrupt', False),
        (-15, b'Traceback\n  File "x.py", line 1, in entry\n', False),
        (1, b"Traceback\nValueError", False),
        (143, b'Traceback\n  File "x.py"\nKeyboardInterrupt', False),
    ],
)
def test_a_traceback_of_python_itself_as_it_begins_is_none_of_ours(code, err, before):
    assert kills._before_ours(code, err) is before


def test_what_is_wrong_is_found(tmp_path):
    """A truncated file, a stray one, one that has gone, one that is none of the outputs."""
    job = Job("test", (), {"a.png": b"new" * 100, "b.png": b"other", "loss.csv": b"image,seconds\nx,1.0\ny,2.0\n"}, 1.0)
    out = tmp_path / "out"

    def wrong(**changed: object) -> list[str]:
        return [line.split(": ")[0] for line in job.wrong(tmp_path, **{"strays": False, **changed})]  # type: ignore[arg-type]

    job.prepare(tmp_path)
    assert wrong() == []
    assert wrong(done=True) == [
        "a.png is the old file, but the exit code is 0",
        "b.png is the old file, but the exit code is 0",
        "loss.csv has gone",
    ]
    for name, content in job.whole.items():
        (out / name).write_bytes(content)
    (out / "loss.csv").write_bytes(b"image,seconds\nx,17.5\ny,0\n")
    assert wrong(done=True) == []
    (out / "loss.csv").write_bytes(b"image,seconds\nx,17.5\n")
    assert wrong() == []
    assert wrong(done=True) == ["loss.csv is neither old nor whole"]
    (out / "loss.csv").write_bytes(b"image,seconds\nx,17")
    assert wrong() == ["loss.csv is neither old nor whole"]
    (out / "loss.csv").unlink()
    (out / "a.png").write_bytes(b"new" * 99)
    assert wrong() == ["a.png is neither old nor whole"]
    (out / "a.png").write_bytes(b"")
    assert wrong() == ["a.png is neither old nor whole"]
    (out / "a.png").write_bytes(OLD)
    (out / ".nmfc-0123456789abcdef").touch()
    assert wrong(strays=True) == []
    assert wrong() == [".nmfc-0123456789abcdef is left behind"]
    (out / ".nmfc-0123456789abcdef").rename(out / "c.png")
    (out / "b.png").unlink()
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp/x").touch()
    assert wrong() == ["c.png is none of the outputs", "b.png has gone", "x is left in the folder for temporary files"]
