"""Everything that nmfcompress raises on purpose: one base, one exit code per kind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class NmfcError(Exception):
    """Base of all errors raised on purpose.

    Parameters
    ----------
    message : str
        One line: what was found, and what was expected or what to do.
    source : str, optional
        The file (or other input) it is about; printed in front of the message.
    """

    exit_code = 1

    def __init__(self, message: str, source: str | None = None):
        super().__init__(message)
        self.message = message
        self.source = source

    def __str__(self) -> str:
        return f"{self.source}: {self.message}" if self.source else self.message


class InputError(NmfcError):
    """An input that cannot be used: unreadable, broken, of the wrong kind or size."""


class TooLarge(InputError):
    """An input that would need more memory or pixels than allowed; refused before it is read."""


class OtherRun(InputError):
    """A checkpoint that belongs to other data, or to a run with other settings."""


class OutputError(NmfcError):
    """An output that cannot be written: it exists, it is an input, its folder refuses it."""


class TargetMissed(NmfcError):
    """A size or quality that cannot be reached; the message has the best that can."""

    exit_code = 3


class ClusterError(NmfcError):
    """A scheduler that cannot be reached, or workers that are lost faster than their work is done."""


class UsageError(NmfcError, ValueError):
    """Unknown, contradicting or out-of-range options or arguments."""

    exit_code = 2


class ExtraMissing(UsageError, ImportError):
    """A feature whose optional packages are not installed."""

    def __init__(self, feature: str, extra: str):
        super().__init__(f"{feature} needs an extra: pip install 'nmfcompress[{extra}]'")


@contextmanager
def about(source: str) -> Iterator[None]:
    """Name `source` in every NmfcError that passes and names none yet."""
    try:
        yield
    except NmfcError as error:
        error.source = error.source or source
        raise
