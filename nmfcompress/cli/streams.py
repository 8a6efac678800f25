"""stdout and stderr when they are full, or when nobody reads them any more."""

from __future__ import annotations

import os
from contextlib import suppress

import click


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
