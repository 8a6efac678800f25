"""What comes from outside while work goes on: signals, and streams that are full or that nobody reads any more."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, ClassVar, cast

import click

from ..errors import InputError, UsageError

if TYPE_CHECKING:
    from ..settings import Talk


class Terminated(BaseException):
    """SIGTERM or SIGHUP, as an exception, so that temporary files are removed on the way out."""

    seen: ClassVar[bool] = False


def stop_by_exception() -> None:
    """From here on SIGINT, SIGTERM and SIGHUP raise; before there is nothing to clean up: they end the process at once.

    An exception in the middle of an import might be swallowed by code that expects imports to fail.
    """
    with suppress(ValueError):  # not in the main thread, as in some test runners
        signal.signal(signal.SIGTERM, _stop)
        if signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, signal.SIG_DFL):
            signal.signal(signal.SIGINT, _stop)
        if HANGUP is not None and signal.getsignal(HANGUP) is signal.SIG_DFL:  # nohup ignores it
            signal.signal(HANGUP, _stop)


HANGUP: signal.Signals | None = getattr(signal, "SIGHUP", None)  # the terminal has gone; Windows has none
ON_ITS_WAY = 2.0  # seconds that it takes to clean up and say so, at most
_stopped = [-ON_ITS_WAY]  # when a signal raised last


def interrupted() -> bool:
    """Whether SIGINT has raised: what it interrupted may have made another exception of it on the way."""
    return _stopped[0] > 0 and not Terminated.seen


def _stop(number: int, frame: FrameType | None) -> None:
    """Raise, unless another signal has just done so.

    A second one right behind the first (a terminal and a parent send one each) must not get into the cleaning up.
    """
    now = time.monotonic()
    if now - _stopped[0] < ON_ITS_WAY:
        return
    _stopped[0] = now
    sys.unraisablehook = lambda _: None  # what is half done complains when it is let go, as an open ZipFile does
    if number != signal.SIGINT:
        Terminated.seen = True
        raise Terminated
    raise KeyboardInterrupt


class Stderr:
    """stderr for who writes to it as to a file, such as a bar: it never fails, see `tell`."""

    def write(self, words: str) -> None:
        tell(words, end="")

    def flush(self) -> None:
        """`tell` does."""

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)


def tell(words: str, end: str = "\n") -> None:
    """Print `words` on stderr. Where it takes none, they are lost: no work stops for a message."""
    try:
        click.echo(words + end, err=True, nl=False)
    except OSError:
        discard(2)


def check_open() -> None:
    """Raise InputError where stdout was closed from the start."""
    if isinstance(sys.stdout, ClosedStdout):
        raise InputError("is closed", "stdout")


def check_stdout(what: str, talk: Talk) -> None:
    """Raise UsageError or InputError unless stdout takes a file; `what`: "a picture is"."""
    if talk.json:
        raise UsageError("-o - and --json would both write to stdout")
    check_open()
    if sys.stdout.isatty():
        raise UsageError(f"{what} not written to a terminal (redirect stdout, or use -o FILE)")


class ClosedStdout(io.TextIOWrapper):
    """A stdout that was closed from the start, so that what is written to it fails."""


def give(data: Any, flush: bool = True) -> None:
    """Write bytes to stdout, all of them."""
    sys.stdout.buffer.write(data)
    if flush:
        sys.stdout.buffer.flush()


def prepare_streams() -> None:
    """Make the three streams what the rest takes them for.

    None of the descriptors is free: a file opened later must not become one of them, as libraries write to 2 by
    themselves. What is printed on a stdout that is closed is an error. stdout has the buffer that PYTHONUNBUFFERED
    takes away: without one a write may end halfway, and not say so. Letters that its encoding has not are escaped.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if number == 1 else os.O_RDWR)
            if number == 1:
                sys.stdout = ClosedStdout(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), "utf-8")
    bare = sys.stdout
    if isinstance(bare, io.TextIOWrapper) and not bare.encoding.lower().startswith("utf"):
        bare.reconfigure(errors="backslashreplace")
    if isinstance(bare, io.TextIOWrapper) and isinstance(bare.buffer, io.RawIOBase):
        encoding, errors = bare.encoding, bare.errors
        buffered = io.BufferedWriter(cast(io.RawIOBase, bare.detach()))
        sys.stdout = io.TextIOWrapper(buffered, encoding, errors, write_through=True)


def discard(descriptor: int) -> None:
    """Let what is still written to `descriptor` vanish, so that Python's last flush does not fail."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
