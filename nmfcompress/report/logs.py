"""loss.csv, rank.csv and compare.csv read again, for their plots. They may be anyone's: what is wrong is one line."""

from __future__ import annotations

import csv
import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

from ..errors import InputError
from .compared import COLUMNS as RATE_COLUMNS
from .lines import Line
from .ranks import RankRecord
from .rates import Rate
from .records import CSV_COLUMNS, DANGEROUS

LARGEST = 2**28  # bytes of a file: a million images of a hundred sweeps are more than a plot is for
FEW = 10_000  # lines of a rank.csv or compare.csv
COLUMNS = {
    "loss": CSV_COLUMNS,
    "rank": tuple(field.name for field in fields(RankRecord)),
    "compare": ("input", *RATE_COLUMNS),
}
KNOWN_BY = {"sweep": "loss", "held_out": "rank", "codec": "compare"}  # a column that no other kind has


@dataclass(frozen=True)
class Table:
    """A CSV whose first line has been read.

    Parameters
    ----------
    kind : {"loss", "rank", "compare"}
    head : list of str
        Its columns, in any order; there may be others between them.
    rows : iterator of (int, list of str)
        The other lines, with their numbers in the file.
    """

    kind: str
    head: list[str]
    rows: Iterator[tuple[int, list[str]]]

    def columns(self, *names: str) -> Iterator[tuple[int, list[str]]]:
        """These columns of every line, with its number.

        Raises
        ------
        InputError
            There is none of that name.
        """
        for name in names:
            if name not in self.head:
                raise InputError(f"has no column {name} (a {self.kind}.csv has {','.join(COLUMNS[self.kind])})")
        places = [self.head.index(name) for name in names]
        return ((number, [row[place] for place in places]) for number, row in self.rows)


def open_table(lines: Iterable[str]) -> Table:
    """Tell which CSV it is, by its first line.

    Parameters
    ----------
    lines : iterable of str
        Line ends and all.

    Raises
    ------
    InputError
        It is empty, or none of ours; and while the lines are read: one is damaged, or the file ends in the middle.
    """
    rows = _rows(lines)
    _, head = next(rows, (0, []))
    head = [name.strip() for name in head]
    kind = next((KNOWN_BY[name] for name in head if name in KNOWN_BY), None)
    if kind is None:
        what = "is no CSV of nmfc" if head else "has no lines"
        raise InputError(f"{what} (expected a loss.csv, rank.csv or compare.csv, told by its first line)")
    return Table(kind, head, _even(rows, len(head)))


def _rows(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(_ended(lines))
    try:
        for row in reader:
            if row:  # what an editor leaves at the end is no line
                yield reader.line_num, row
    except csv.Error as error:
        raise InputError(f"line {reader.line_num} is no CSV: {error}") from None


def _ended(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        if not line.endswith(("\n", "\r")):
            raise InputError("ends in the middle of a line: it has been cut off, or is still being written")
        yield line


def _even(rows: Iterator[tuple[int, list[str]]], width: int) -> Iterator[tuple[int, list[str]]]:
    for number, row in rows:
        if len(row) != width:
            raise InputError(
                f"line {number} has another number of fields, {len(row)} (expected {width}, as in the first line)"
            )
        yield number, row


def read_losses(table: Table, x: str = "sweep", y: str = "loss") -> tuple[Line, ...]:
    """The curve of each image of a loss.csv, in the order in which they come first.

    Raises
    ------
    InputError
        A column is missing or empty, or a line damaged.
    """
    found: dict[tuple[str, ...], tuple[array[float], array[float]]] = {}
    for number, (image, index, label, at, value) in table.columns("input", "image", "label", x, y):
        xs, ys = found.setdefault((image, index, label), (array("d"), array("d")))
        xs.append(_number(at, x, number))
        ys.append(_number(value, y, number))
    if not found:
        raise InputError("has no sweeps: there is nothing below its first line")
    return tuple(_line(key, *points) for key, points in found.items())


def _line(key: tuple[str, ...], xs: array[float], ys: array[float]) -> Line:
    name, index, label = key
    if any(a > b for a, b in pairwise(xs)):
        order = sorted(range(len(xs)), key=xs.__getitem__)
        xs, ys = array("d", (xs[i] for i in order)), array("d", (ys[i] for i in order))
    return Line(shown(name), index, shown(label), xs, ys)


def read_ranks(table: Table) -> list[RankRecord]:
    """The lines of a rank.csv, by rank.

    Raises
    ------
    InputError
        A column is missing, or a line damaged; a rank is there twice.
    """
    names = [name for name in COLUMNS["rank"] if name != "recommended" or name in table.head]  # older ones have it not
    records: dict[int, RankRecord] = {}
    for number, row in _few(table.columns(*names)):
        values = {name: _number(field, name, number) if field else None for name, field in zip(names, row, strict=True)}
        missing = [
            name for name in ("rank", "loss", "relative_loss", "held_out", "held_out_se") if values[name] is None
        ]
        if missing:
            raise InputError(f"line {number} has no {missing[0]}")
        rank = int(values["rank"] or 0)
        if rank < 1 or rank in records or rank != values["rank"]:
            raise InputError(f"line {number} has rank {values['rank']:g} (expected whole numbers from 1, each once)")
        bytes_ = int(values.pop("bytes") or 0)
        more = {"rank": rank, "bytes": bytes_, "recommended": bool(values.get("recommended"))}
        records[rank] = RankRecord(**(values | more))  # type: ignore[arg-type]
    if not records:
        raise InputError("has no ranks: there is nothing below its first line")
    return [records[rank] for rank in sorted(records)]


def read_rates(table: Table) -> list[Rate]:
    """The lines of a compare.csv.

    Raises
    ------
    InputError
        A column is missing, or a line damaged.
    """
    rates = []
    for number, row in _few(table.columns("input", "codec", "bits_per_pixel", "psnr_db", "ssim")):
        name, codec, bits, *likeness = row
        psnr, ssim = (_number(field, "psnr_db or ssim", number, signed=True) if field else None for field in likeness)
        rate = _number(bits, "bits_per_pixel", number)
        if rate <= 0:
            raise InputError(f"line {number} has bits_per_pixel {bits} (expected more than 0)")
        rates.append(Rate(shown(name), shown(codec), rate, psnr, ssim))
    if not rates:
        raise InputError("has no rates: there is nothing below its first line")
    return rates


def _few(rows: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    for count, row in enumerate(rows):
        if count == FEW:
            raise InputError(f"has more than {FEW:,} lines, which no run writes and no plot shows")
        yield row


def _number(field: str, column: str, number: int, signed: bool = False) -> float:
    try:
        value = float(field)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or (value < 0 and not signed):
        said = field[:20] or "nothing"
        raise InputError(f"line {number} has {column} {said!r} (expected a number{'' if signed else ' from 0'})")
    return value


def shown(field: str) -> str:
    """A text without the apostrophe that keeps spreadsheets from taking it for a formula: see `records.neutral`."""
    return field[1:] if field.startswith("'") and field[1:].startswith(DANGEROUS) else field


def recommended(records: Sequence[RankRecord]) -> int | None:
    """The rank that the run recommended, where the file tells it."""
    return next((record.rank for record in records if record.recommended), None)
