"""Results as JSON Lines, loss.csv and the summary table."""

from __future__ import annotations

import csv
import io
import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from ..errors import OutputError
from ..factor.nmf import Factorization
from ..factor.sweeps import SweepRecord
from ..images.files import display
from ..recipes import Measured
from ..settings import Fit

CSV_COLUMNS = ("input", "image", "label", "sweep", "loss", "relative_loss", "reads", "gradient", "objective", "seconds")
ADDED = (("objective",), ("reads", "gradient", "objective"))  # columns that older logs have not
HEADS = [list(CSV_COLUMNS), *([column for column in CSV_COLUMNS if column not in added] for added in ADDED)]
DANGEROUS = (*"=+-@＝＋－＠", "\t", "\r", "\n")  # a spreadsheet would take the field for a formula
QUOTED = re.compile(r"""[,"\r\n]|^'[-=+@＝＋－＠\t\\]|^\s""")  # fields that stand in quotation marks
SEPARATED = re.compile(r"[/\\](?=.)")  # of folders, with something after it
HELD = 2**22  # bytes of a log that are kept in memory


OPTIONAL = {
    *("images", "basis_from", "workers", "worker_pids", "bytes", "bits_per_pixel", "ratio", "l1", "l2", "objective"),
    *("knee", "reason"),
}  # keys of --json that are there where they say something


@dataclass(frozen=True)
class Outcome:
    """What became of one image, or of one collection; its fields are the keys of `--json`.

    `image` is the index in an archive (from 0) or the number of a frame (from 1), None for a plain picture; `reads` and
    `gradient` are those of the last SweepRecord; `objective` is too, and goes with the penalties `l1`, `l2` (of W, H);
    `images` and `basis_from` are for collections; `bytes`,
    `bits_per_pixel` and `ratio` (to the pixels as they are in memory) are those of the .nmfc file, if one was made;
    `knee` and `reason` are those of factor.ranks.Ranks, if the rank was found.
    """

    input: str
    image: int | None
    label: int | str | None
    width: int
    height: int
    mode: str
    rank: int
    solver: str
    divergence: str
    sweeps: int
    converged: bool
    loss: float
    relative_loss: float
    reads: int
    gradient: float | None
    svd_floor: float | None
    psnr_db: float | None
    ssim: float | None
    seconds: float
    outputs: tuple[str, ...]
    notes: tuple[str, ...] = ()
    images: int | None = None
    basis_from: str | None = None
    workers: int | None = None
    worker_pids: tuple[int, ...] | None = None
    bytes: int | None = None
    bits_per_pixel: float | None = None
    ratio: float | None = None
    l1: tuple[float, float] | None = None
    l2: tuple[float, float] | None = None
    objective: float | None = None
    knee: bool | None = None
    reason: str | None = None

    @classmethod
    def of(cls, settings: Fit, fit: Factorization, measured: Measured, **about: Any) -> Outcome:
        """What the factorization itself tells, and `about` for the rest; `outputs` come when they are written."""
        costs = {name: getattr(settings, name) for name in settings.penalties}
        return cls(
            rank=settings.rank, solver=settings.solver, divergence=settings.divergence, sweeps=len(fit.records),
            converged=fit.converged, loss=fit.loss, relative_loss=fit.relative_loss, reads=fit.records[-1].reads,
            gradient=fit.records[-1].gradient, svd_floor=measured.svd_floor, psnr_db=measured.psnr_db,
            ssim=measured.ssim, outputs=(), objective=fit.records[-1].objective, **costs, **about,
        )  # fmt: skip

    @property
    def likeness(self) -> str:
        """The PSNR in words; pixels may be equal though the loss is not quite 0."""
        return "all pixels equal" if self.psnr_db is None else f"PSNR {self.psnr_db:.2f} dB"

    def to_json(self) -> str:
        """One line; what belongs to some results only (a collection, a cluster, penalties) only where it is known."""
        fields = asdict(self)
        for name in OPTIONAL:
            if fields[name] is None:
                del fields[name]
        return json.dumps(fields, allow_nan=False)


@dataclass(frozen=True)
class Curve:
    """The loss of one factorization sweep by sweep, with what it belongs to."""

    input: str
    image: int | None
    label: int | str | None
    records: tuple[SweepRecord, ...]

    @property
    def key(self) -> tuple[str, str]:
        """What makes its rows in loss.csv its own."""
        return neutral(self.input), text(self.image)

    def rows(self) -> Iterable[list[str]]:
        """Its lines in loss.csv."""
        head = [*self.key, neutral(self.label) if isinstance(self.label, str) else text(self.label)]
        for r in self.records:
            gradient = "" if r.gradient is None else f"{r.gradient:.4g}"
            objective = "" if r.objective is None else f"{r.objective:.7g}"
            losses = (f"{r.loss:.7g}", f"{r.relative_loss:.7g}")
            yield [*head, str(r.sweep), *losses, str(r.reads), gradient, objective, f"{r.seconds:.4f}"]


def text(value: object) -> str:
    """A CSV field; None is empty."""
    return "" if value is None else str(value)


def neutral(field: str) -> str:
    """A CSV field that no spreadsheet takes for a formula and that no terminal obeys.

    What begins with = + - @ (of any width) or a tab gets an apostrophe before it, and quotes around it; control
    characters are spelled out.
    """
    plain = "\t".join(display(part) for part in field.split("\t"))
    return "'" + plain if field.startswith(DANGEROUS) else plain


def line(fields: Iterable[str]) -> str:
    """Fields as a line of CSV."""
    return ",".join(_quoted(field) if QUOTED.search(field) else field for field in fields) + "\n"


def _quoted(field: str) -> str:
    return '"' + field.replace('"', '""') + '"'


class Log:
    """Rows of loss.csv, until they are merged with those that are there; in a temporary file where they are many."""

    def __init__(self, curves: Iterable[Curve] = ()):
        self._rows = tempfile.SpooledTemporaryFile(HELD)  # noqa: SIM115
        self._done: set[tuple[str, str]] = set()
        for curve in curves:
            self.add(curve)

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *error: object) -> None:
        self._rows.close()

    def add(self, curve: Curve) -> None:
        """Rows of one more image."""
        self._done.add(curve.key)
        self._rows.write("".join(map(line, curve.rows())).encode("utf-8", "surrogateescape"))

    def merged(self, old: Iterable[str]) -> Iterator[bytes]:
        """loss.csv: rows of images done again replaced, all others kept, new ones at the end.

        A log from before there were reads, gradient and objective is taken up with these left empty.

        Parameters
        ----------
        old : iterable of str
            The lines of the file that is there, line ends and all.

        Raises
        ------
        OutputError
            It is some other CSV file.
        """
        yield line(CSV_COLUMNS).encode()
        rows = csv.reader(old)
        try:
            head = head_of(rows)
            missing = [""] * (len(CSV_COLUMNS) - len(head or CSV_COLUMNS))
            for row in rows:
                if tuple(row[:2]) not in self._done:  # what is missing stands before the seconds
                    yield line([*row[:-1], *missing, *row[-1:]]).encode("utf-8", "surrogateescape")
        except csv.Error as error:
            raise OutputError(f"exists and is no loss log of nmfc ({error}); move it away") from None
        self._rows.seek(0)
        yield from iter(partial(self._rows.read, 2**20), b"")
        self._rows.seek(0, io.SEEK_END)


def head_of(rows: Iterator[list[str]]) -> list[str] | None:
    """The columns of a log, None of an empty one.

    Raises
    ------
    OutputError
        It is some other file.
    """
    try:
        head = next(rows, None)
    except csv.Error as error:
        raise OutputError(f"exists and is no loss log of nmfc ({error}); move it away") from None
    if head is not None and head not in HEADS:
        raise OutputError("exists and is no loss log of nmfc; move it away or choose another folder with -O")
    return head


def merge_csv(old: str | None, curves: Iterable[Curve]) -> str:
    """The text of loss.csv with these curves merged into it: see `Log.merged`."""
    with Log(curves) as log:
        return b"".join(log.merged(io.StringIO(old or "", newline=""))).decode("utf-8", "surrogateescape")


SUMMARY_ROWS = 20
HEADINGS = (
    "input",
    "image",
    "label",
    "size",
    "rank",
    "sweeps",
    "loss",
    "relative",
    "svd floor",
    "PSNR dB",
    "SSIM",
    "bytes",
    "bit/px",
    "reads",
    "gradient",
    "seconds",
)
AT_LENGTH = ("reads", "gradient")  # columns of the long table only


def summary(outcomes: Sequence[Outcome], at_length: bool = False, count: int | None = None) -> list[str]:
    """The table for people, one line an outcome, the first SUMMARY_ROWS of them; of `count`, where more are known."""
    count = len(outcomes) if count is None else count
    rows = [HEADINGS, *(_row(outcome) for outcome in outcomes[:SUMMARY_ROWS])]
    shown = [i for i, heading in enumerate(HEADINGS) if at_length or heading not in AT_LENGTH]
    used = [i for i in shown if any(row[i] for row in rows[1:])]
    rows = [tuple(row[i] for i in used) for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    sides = [str.ljust, *[str.rjust] * (len(widths) - 1)]
    lines = ["  ".join(side(c, w) for side, c, w in zip(sides, row, widths, strict=True)).rstrip() for row in rows]
    if count > SUMMARY_ROWS:
        lines.append(f"... and {count - SUMMARY_ROWS:,} more")
    return lines


def _row(o: Outcome) -> tuple[str, ...]:
    count = "" if o.images is None else f"{o.images:,} x "
    return (
        shortened(o.input), text(o.image), shortened(text(o.label), 16),
        f"{count}{o.width}x{o.height} {o.mode}", str(o.rank),
        f"{o.sweeps}{'' if o.converged else '+'}", f"{o.loss:.5g}", f"{o.relative_loss:.4f}",
        figure(o.svd_floor, ".5g"),
        "equal" if o.psnr_db is None else f"{o.psnr_db:.2f}", figure(o.ssim, ".3f"),
        "" if o.bytes is None else f"{o.bytes:,}", "" if o.bits_per_pixel is None else f"{o.bits_per_pixel:.3f}",
        str(o.reads), figure(o.gradient, ".1e"), f"{o.seconds:.2f}",
    )  # fmt: skip


def figure(value: float | None, spec: str) -> str:
    """A number by its format, '-' for None."""
    return "-" if value is None else format(value, spec)


def shortened(name: str, width: int = 36) -> str:
    """The end of a long name, which tells more than its beginning; of a path whole folders, where one fits."""
    if len(name) <= width:
        return name
    end = name[3 - width :]
    folder = SEPARATED.search(end)
    return "..." + (end[folder.start() :] if folder else end)
