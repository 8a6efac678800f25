"""What comes from outside while work goes on: signals, and streams that are full or that nobody reads any more."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from types import FrameType
from typing import ClassVar, NoReturn

import click


class Terminated(BaseException):
    """SIGTERM, as an exception, so that temporary files are removed on the way out."""

    seen: ClassVar[bool] = False


def stop_by_exception() -> None:
    """From here on SIGINT and SIGTERM raise; before there is nothing to clean up, and they end the process at once.

    An exception in the middle of an import might be swallowed by code that expects imports to fail.
    """
    with suppress(ValueError):  # not in the main thread, as in some test runners
        signal.signal(signal.SIGTERM, _terminate)
        if signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, signal.SIG_DFL):
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    Terminated.seen = True
    raise Terminated


def tell(words: str, end: str = "\n") -> None:
    """Print `words` on stderr. Where it takes none, they are lost: no work stops for a message."""
    try:
        click.echo(words + end, err=True, nl=False)
    except OSError:
        discard(2)


def discard(descriptor: int) -> None:
    """Let what is still written to `descriptor` vanish, so that Python's last flush does not fail."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
