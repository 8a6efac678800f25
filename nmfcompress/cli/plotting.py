"""The work of `nmfc plot`: read the CSV files, draw, write, say."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import click

from ..errors import InputError, TooLarge, UsageError, about
from ..images.files import display
from ..images.limits import limits_of, size
from ..report import logs, plots
from ..report.lines import Line, Run, name_of, names_of_runs
from ..report.ranks import RankRecord
from ..report.rates import Rate
from ..settings import Reading, Talk, Writing
from ..showing import PLOT_KINDS, Drawing
from .console import Console
from .inputs import STDIN, Source, content, sources
from .outputs import Outputs
from .streams import check_stdout, tell

NAMES = {"loss": "loss", "rank": "rank", "compare": "rates"}  # of the plots in the folder; compare.png is another
Content = tuple[Line, ...] | list[RankRecord] | list[Rate]


@dataclass(frozen=True)
class Drawn:
    """What became of it; its fields are the keys of `--json`."""

    kind: str
    inputs: tuple[str, ...]
    curves: int
    outputs: tuple[str, ...]
    notes: tuple[str, ...]


def run(inputs: tuple[str, ...], drawing: Drawing, writing: Writing, talk: Talk) -> int:
    """Draw all inputs as one plot; returns the exit code."""
    plots.require("nmfc plot")
    found, _ = sources(inputs, Reading(), writing.folder)
    console, outputs = Console(talk), Outputs(writing, found)
    ending = _ending(writing, talk)
    done: tuple[Drawn, str] | None = None
    with console, console.attempt(found[0].path):
        if writing.file not in (None, STDIN) and not outputs.wanted([writing.file or ""]):
            console.passed_over += 1
            return console.close(None)
        kind, contents = _read(found, drawing)
        path = writing.file or outputs.at_root(f"{NAMES[kind]}.{ending}")
        if writing.file is None and not outputs.wanted([path]):
            console.passed_over += 1
            return console.close(None)
        names = [display(source.path) for source in found]
        data, count, notes = _draw(kind, names, contents, drawing, ending)
        console.notes(path, notes)
        outputs.write(path, data)
        console.finished += 1
        done = Drawn(kind, tuple(source.path for source in found), count, (path,), notes), path
    code = console.close(None)
    if done is not None and talk.json:
        click.echo(json.dumps(asdict(done[0])))
    elif done is not None and not talk.quiet:
        more = f" of {len(found)} runs" if len(found) > 1 else ""
        tell(f"{done[0].curves:,} curve{'s' if done[0].curves > 1 else ''}{more}")
        if done[1] != STDIN:
            tell(f"written to {display(done[1])}")
    return code


def _ending(writing: Writing, talk: Talk) -> str:
    """The kind of the plot, before any work."""
    kinds = ", ".join(PLOT_KINDS)
    if writing.file == STDIN:
        check_stdout("a picture is", talk)
    by_name = os.path.splitext(writing.file or "")[1][1:].lower()
    kind = writing.kind or ("png" if writing.file is None else by_name)
    if kind not in PLOT_KINDS:
        said = (
            f"--to is {kind}" if writing.kind else "-o - needs --to" if writing.file == STDIN else f"-o ends in .{kind}"
        )
        raise UsageError(f"{said if kind or writing.file == STDIN else '-o has no ending'} (expected one of {kinds})")
    if writing.kind and by_name in PLOT_KINDS and by_name != kind:
        raise UsageError(f"-o ends in .{by_name}, and --to says {kind} (expected one kind)")
    return kind


def _read(found: list[Source], drawing: Drawing) -> tuple[str, list[Content]]:
    """What is in the files, which are of one kind."""
    first, contents = "", list[Content]()
    for source in found:
        with about(display(source.path)), _lines(source) as lines:
            table = logs.open_table(lines)
            if contents and (table.kind != first or first != "loss"):
                a, b = display(found[0].path), display(source.path)
                same = f"only losses are laid over each other; {a} and {b} are each a {first}.csv"
                other = f"{a} is a {first}.csv and {b} a {table.kind}.csv (expected one kind)"
                raise UsageError(same if table.kind == first else other)
            first = table.kind
            drawing.check(first)
            if first == "loss":
                contents.append(logs.read_losses(table, drawing.x, drawing.y))
            else:
                contents.append(logs.read_ranks(table) if first == "rank" else logs.read_rates(table))
    return first, contents


@contextmanager
def _lines(source: Source) -> Iterator[io.TextIOBase]:
    """The lines of a file or pipe, of a size that can be drawn."""
    if source.path != STDIN and os.path.isdir(source.path):
        raise InputError("is a folder (name the CSV file in it)")
    data = content(source, limits_of(logs.LARGEST, None))
    try:
        raw = io.BytesIO(data) if isinstance(data, bytes) else open(data, "rb")  # noqa: SIM115
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    with raw:
        nbytes = os.fstat(raw.fileno()).st_size if isinstance(data, str) else len(data)
        if nbytes > logs.LARGEST:
            raise TooLarge(f"has {size(nbytes)}, more than a plot is for (at most {size(logs.LARGEST)})")
        yield io.TextIOWrapper(raw, "utf-8-sig", "surrogateescape", newline="")


def _draw(
    kind: str, names: list[str], contents: list[Content], drawing: Drawing, ending: str
) -> tuple[bytes, int, tuple[str, ...]]:
    """The plot, how many curves it is of, and what it cannot show."""
    first = contents[0]
    if kind == "rank":
        records = [record for record in first if isinstance(record, RankRecord)]
        return plots.rank_curves(names[0], records, logs.recommended(records), drawing.log, ending), 1, ()
    if kind == "compare":
        rates = [rate for rate in first if isinstance(rate, Rate)]
        of = list(dict.fromkeys(rate.input for rate in rates))
        title = os.path.basename(of[0]) or of[0] if len(of) == 1 else f"{len(of):,} inputs"
        return plots.rate_curves(title, rates, ending), len({(r.input, r.codec) for r in rates}), ()
    lines = [tuple(line for line in some if isinstance(line, Line)) for some in contents]
    runs = [Run(name, some) for name, some in zip(names_of_runs(names), lines, strict=True)]
    every = [line for some in lines for line in some]
    log, notes = drawing.log, list[str]()
    if log:
        zeros = [line for line in every if min(line.y) <= 0]
        log = any(max(line.y) > 0 for line in every)
        where = (
            f"{name_of(zeros[0], False)}{f' and {len(zeros) - 1:,} more' if len(zeros) > 1 else ''}" if zeros else ""
        )
        notes += [f"{where}: {drawing.y} 0 has no place on a logarithmic axis"] if zeros else []
    return plots.run_curves(runs, drawing.x, drawing.y, log, ending), len(every), tuple(notes)
