"""nmfc verify: whether .nmfc files are whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..settings import Decoding, Talk
from . import options

if TYPE_CHECKING:
    from ..codec.opened import Opened
    from ..images.limits import Limits
    from .console import Console

EXAMPLES = """
\b
Examples:
  nmfc verify mnist.nmfc
  nmfc verify test.nmfc --basis-from train.nmfc
  nmfc verify -q *.nmfc || echo some are damaged
"""


@options.command("verify", EXAMPLES, options.verifying, options.talk_each)
def command(inputs: tuple[str, ...], decoding: Decoding, talk: Talk) -> int:
    """Check .nmfc files: every checksum, and that all pictures can be decoded.

    Nothing is written. Exit status 0: all are whole; 1: some are not, each is named with what is wrong.
    """
    import json

    import click

    from ..errors import NmfcError
    from ..images.limits import limits_of
    from ..settings import Reading
    from .console import Console
    from .containers import holds, opened, origin_of
    from .inputs import sources

    console, limits = Console(talk), limits_of(decoding.max_memory)
    found, _ = sources(inputs, Reading(), "")
    with console:
        origin = origin_of(decoding, limits)
        for source in console.each(found):
            with console.attempt(source.path):
                try:
                    file = opened(source, limits)
                    decode(source.path, file, decoding, origin, limits, console)
                except NmfcError as error:
                    if talk.json:
                        click.echo(json.dumps({"input": source.path, "ok": False, "error": error.message}))
                    raise
                if talk.json:
                    told = {"input": source.path, "ok": True, "images": file.header.shape[0], "bytes": file.size}
                    click.echo(json.dumps(told))
                else:
                    console.notes(source.path, [f"ok, {holds(file)}"])
                console.finished += 1
    return console.close(None)


def decode(
    name: str, file: Opened, decoding: Decoding, origin: Opened | None, limits: Limits, console: Console
) -> None:
    """Decode all pictures, a piece at a time, and let them go.

    Raises
    ------
    InputError
        Some cannot be decoded.
    """
    from .containers import pieces

    n = file.header.shape[0]
    console.bar(name, n, "picture")
    for at, _ in pieces(file, range(n), decoding, origin, limits):
        for _place in at:
            console.advance("")
