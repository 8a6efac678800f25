"""nmfc info: what .nmfc files hold, without decoding their pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..settings import Decoding, Talk
from . import options

if TYPE_CHECKING:
    from ..codec.opened import Opened

EXAMPLES = """
\b
Examples:
  nmfc info mnist.nmfc
  nmfc info --json *.nmfc | jq .bits_per_pixel
"""
SHOWN = 3  # names and labels, without -v


@options.command("info", EXAMPLES, options.opening, options.data)
def command(inputs: tuple[str, ...], decoding: Decoding, talk: Talk) -> int:
    """Say what .nmfc files hold: pictures, size, what goes with them, and bytes by section.

    It goes to stdout. Checksums are looked at, pictures are not decoded; nmfc verify does both.
    """
    import json

    import click

    from ..codec.opened import info
    from ..images.files import display
    from ..images.limits import limits_of
    from ..settings import Reading
    from .console import Console
    from .containers import doubted, load, opened_bytes
    from .inputs import sources

    console, limits = Console(talk), limits_of(decoding.max_memory)
    found, _ = sources(inputs, Reading(), "")
    with console:
        for source in console.each(found):
            with console.attempt(source.path):
                data = load(source, limits)
                file = opened_bytes(data, limits)
                with doubted():
                    facts = info(data)
                if talk.json:
                    click.echo(json.dumps({"input": source.path, **facts}, allow_nan=False))
                else:
                    for line in lines(source.path, file, facts, talk.verbose):
                        click.echo(display(line))
                console.finished += 1
    return console.close(None)


def lines(name: str, file: Opened, facts: dict[str, Any], verbose: bool) -> list[str]:
    """The summary for people."""
    from .containers import holds

    header, meta = file.header, file.meta
    pixels = header.values * header.dtype.itemsize
    rows = [
        ("arrangement", facts["arrangement"]),
        *made(facts),
        ("bytes", f"{file.size:,}, {facts['ratio']:,.1f} times less than {pixels:,} of pixels"),
        ("rate", f"{facts['bits_per_pixel']:.4g} bits per pixel"),
    ]
    if header.dtype.kind == "f":
        rows.append(("values", f"{header.low:g} to {header.high:g}"))
    labels = () if meta.labels is None else meta.labels.tolist()
    for word, values in (("names", meta.names), ("labels", labels)):
        if len(values):
            some = values if verbose else values[:SHOWN]
            more = f" ... {len(values):,} in all" if len(some) < len(values) else ""
            rows.append((word, ", ".join(map(str, some)) + more))
    beside = {"icc": "ICC profile", "exif": "EXIF", "dpi": "resolution", "alpha": "alpha"}
    if facts["meta"]:
        rows.append(("with them", ", ".join(beside[word] for word in facts["meta"])))
    if facts["basis_from"] is not None:
        rows.append(("needs", f"--basis-from, with the file whose parts have SHA-256 {facts['basis_from']}"))
    sections: dict[str, int] = facts["sections"]
    shares = {**sections, "the rest": file.size - sum(sections.values())}
    wide = len(f"{max(shares.values()):,}")
    for place, (word, size) in enumerate(sorted(shares.items(), key=lambda share: -share[1])):
        told = f"{word:<9} {size:>{wide},} {size / file.size:7.1%}"
        rows.append(("" if place else "sections", told))
    return [f"{name}: {holds(file)}", *(f"  {word:<11}  {told}" for word, told in rows)]


def made(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """How it was made, as far as the file tells: rank, step, chunks."""
    rows = []
    if facts["rank"] is not None:
        word = "bands of a patch" if facts["arrangement"] == "patches" else "parts"
        rows.append(("rank", f"{facts['rank']:,} {word}"))
    if facts["step"] is not None:
        rows.append(("step", f"{facts['step']:.4g} grey levels"))
    if facts["part_steps"] is not None:
        low, high = (f"{step:.4g}" for step in facts["part_steps"])
        rows.append(("steps", f"parts in steps of {low} to {high} grey levels, codes in whole parts"))
    if facts["chunks"] is not None:
        each = f", of up to {facts['chunk_images']:,} pictures" if facts["chunk_images"] > 1 else ""
        rows.append(("chunks", f"{facts['chunks']:,}{each}"))
    return rows
