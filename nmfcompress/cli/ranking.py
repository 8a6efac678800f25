"""The work of `nmfc rank`: read the pictures, try ranks, write, say."""

from __future__ import annotations

import time
from collections.abc import Callable

import click

from ..factor.ranks import Ranks
from ..images.files import display
from ..images.limits import limits_of
from ..report import plots
from ..report import ranks as said
from ..report.pages import of_ranks
from ..settings import Fit, Ranking, Reading, Selection, Talk, Writing
from .console import Console
from .inputs import sources
from .learning import name_of, read_collection
from .outputs import Outputs
from .streams import tell
from .trying import try_ranks

CSV, PLOT = "rank.csv", "rank.png"


def run(
    inputs: tuple[str, ...], ranking: Ranking, fit: Fit, reading: Reading, selection: Selection, writing: Writing,
    talk: Talk,
) -> int:  # fmt: skip
    """Try ranks on one collection, or on the rows of one picture; returns the exit code."""
    if writing.plot:
        plots.require("the plot of ranks")
    began = time.perf_counter()
    console, limits = Console(talk), limits_of(reading.max_memory, reading.max_pixels)
    found, passed = sources(inputs, reading, writing.folder, open_folders=True)
    outputs, name = Outputs(writing, found, *reading.beside), name_of(inputs, found)
    answer: tuple[Ranks, list[said.RankRecord], str] | None = None
    with console, console.attempt(name):
        console.remarks(passed)
        drawn = plots.available() if writing.plot is None else writing.plot
        if not drawn and writing.plot is None:
            console.remarks([plots.MISSING.format(PLOT)])
        paths = [outputs.at_root(file) for file in (CSV, PLOT)[: 1 + drawn]]
        paths += [writing.report.path] if writing.report else []
        wanted = outputs.wanted(paths)
        if not wanted:
            console.passed_over += 1
            return console.close(None)
        stack = read_collection(found, name, reading, selection, limits, console, alone=True, tables=True)
        ranks, records = try_ranks(name, stack, ranking, fit, limits, console)
        encoders: dict[str, Callable[[], bytes]] = {
            outputs.at_root(CSV): lambda: said.to_csv(records).encode(),
            outputs.at_root(PLOT): lambda: plots.rank_curves(display(name), records, ranks.recommended),
        }
        if (report := writing.report) is not None:
            encoders[report.path] = lambda: of_ranks(name, ranks.recommended, ranks.reason, records, report)
        for path in wanted:
            outputs.write(path, encoders[path]())
        console.finished += 1
        about = {"input": name, "recommended": ranks.recommended, "knee": ranks.knee, "reason": ranks.reason}
        seconds = round(time.perf_counter() - began, 4)
        answer = ranks, records, said.to_json(records, **about, outputs=wanted, notes=stack.notes, seconds=seconds)
    code = console.close(None)
    if answer is not None:
        _say(*answer, display(name), writing.folder, talk)
    return code


def _say(ranks: Ranks, records: list[said.RankRecord], text: str, name: str, folder: str, talk: Talk) -> None:
    """The JSON line, or the table and the answer."""
    if talk.json:
        click.echo(text)
    elif not talk.quiet:
        for line in said.table(records, ranks.recommended):
            tell(line)
        tell(f"{name}: rank {ranks.recommended}: {ranks.reason}")
        tell(f"written to {display(folder)}")
