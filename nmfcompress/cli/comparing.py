"""The work of `nmfc compare`: read the pictures, put them through every codec, write, say."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence

import click
import numpy as np

from ..codec.collection import coding_bytes
from ..codec.header import Header
from ..errors import UsageError
from ..images.archives import Stack
from ..images.files import display
from ..images.limits import WORK_BYTES, Limits, limits_of
from ..images.saving import encode_png
from ..report import compared, plots
from ..report.compare import Comparison, compare
from ..report.pages import of_comparison
from ..report.rates import rates_of
from ..report.rivals import Codec, codecs_for
from ..settings import Coding, Comparing, Reading, Selection, Talk, Writing
from .console import Console
from .inputs import sources
from .learning import name_of, read_collection
from .outputs import Outputs
from .streams import tell

FLOOD = 2**24  # pixel values that are compared without being asked for: minutes, not hours
MOST_OF_ROOT = 4  # parts that a stack is given, at most, times the root of the number of images
FILES = ("compare.csv", "compare.json", "compare.png")
PLOT = "rates.png"


def run(
    inputs: tuple[str, ...], comparing: Comparing, reading: Reading, selection: Selection, writing: Writing, talk: Talk
) -> int:
    """Compare one picture or one collection; returns the exit code."""
    if writing.plot:
        plots.require("the plot of codecs")
    console, limits = Console(talk), limits_of(reading.max_memory, reading.max_pixels)
    found, passed = sources(inputs, reading, writing.folder, open_folders=True)
    outputs, name = Outputs(writing, found, *reading.beside), name_of(inputs, found)
    said: tuple[str, Comparison] | None = None
    with console, console.attempt(name):
        console.remarks(passed)
        drawn = plots.available() if writing.plot is None else writing.plot
        if not drawn and writing.plot is None:
            console.remarks([plots.MISSING.format(PLOT)])
        paths = [outputs.at_root(file) for file in (*FILES, PLOT)[: len(FILES) + drawn]]
        paths += [writing.report.path] if writing.report else []
        wanted = outputs.wanted(paths)
        if not wanted:
            console.passed_over += 1
            return console.close(None)
        stack = read_collection(found, name, reading, selection, limits, console, alone=True)
        images = _loaded(name, stack, selection, limits, comparing.codecs)
        codecs, notes = codecs_for(images, comparing.codecs)
        console.notes(name, notes)
        places = compared.shown_images(images.shape, writing.show)
        comparison = _compare(console, name, images, codecs, comparing, places)
        console.notes(name, comparison.notes)
        text = compared.to_json(display(name), images, comparison, wanted, (*stack.notes, *notes))
        title = display(os.path.basename(name) or name)
        encoders: dict[str, Callable[[], bytes]] = {
            "compare.csv": lambda: compared.to_csv(display(name), comparison).encode("utf-8", "surrogateescape"),
            "compare.json": lambda: (text + "\n").encode(),
            "compare.png": lambda: encode_png(compared.side_by_side(title, images, places, comparison)),
            PLOT: lambda: plots.rate_curves(title, rates_of(title, comparison)),
        }
        encoders = {outputs.at_root(file): encode for file, encode in encoders.items()}
        if (report := writing.report) is not None:
            told = (*stack.notes, *notes, *comparison.notes)
            encoders[report.path] = lambda: of_comparison(name, images, places, comparison, told, report)
        for path in wanted:
            outputs.write(path, encoders[path]())
        console.finished += 1
        said = text, comparison
    code = console.close(None)
    if said is not None:
        _say(*said, writing.folder, talk)
    return code


def _loaded(name: str, stack: Stack, selection: Selection, limits: Limits, families: Sequence[str]) -> np.ndarray:
    """The images in memory, unless they are too many to be put through every codec several times unasked."""
    n, h, w = stack.images.shape[:3]
    values = math.prod(stack.images.shape)
    held = values * stack.images.dtype.itemsize
    if values > FLOOD and n > 1 and selection.limit is None:
        raise UsageError(
            f"{display(name)}: {n:,} images of {w}x{h} are many for every codec at every rate "
            f"(take the first ones by --limit, such as --limit {max(1, FLOOD * n // values)})"
        )
    needs = values * WORK_BYTES
    if "nmfc" in families:
        header, rank = Header(tuple(stack.images.shape), stack.images.dtype), min(n, MOST_OF_ROOT * math.isqrt(n))
        ways = ["patches", *(["stack"] if n > 1 else [])]
        needs = max(needs, *(held + coding_bytes(header, Coding(rank, arrangement=way)) for way in ways))
    limits.admit(needs, f"comparing {n:,} images of {w} x {h}")
    images: np.ndarray = stack.images[:]
    return images


def _compare(
    console: Console, name: str, images: np.ndarray, codecs: list[Codec], comparing: Comparing, places: np.ndarray
) -> Comparison:
    """Measure, and move the bar."""

    console.bar(name, sum(1 + len(codec.spread(comparing.rates)) for codec in codecs), "rate")
    return compare(images, codecs, comparing.rates, comparing.size, places, lambda codec: console.advance(codec.name))


def _say(text: str, comparison: Comparison, folder: str, talk: Talk) -> None:
    """The JSON line, or the table and the verdict."""
    if talk.json:
        click.echo(text)
    elif not talk.quiet:
        verdict = compared.verdict(comparison)
        for line in (*compared.table(comparison), *([""] if verdict else []), *verdict):
            tell(display(line))
        tell(f"written to {display(folder)}")
