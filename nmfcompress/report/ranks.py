"""What was found about ranks, as a table, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from ..factor.ranks import Trial
from .records import figure, text


@dataclass(frozen=True)
class RankRecord:
    """One rank: its fields are the columns of rank.csv and the keys of `ranks` in `--json`; see factor.ranks.Trial.

    `bytes` are those of both factors in integers, about; `recommended` is one of the ranks.
    """

    rank: int
    loss: float
    relative_loss: float
    svd_floor: float | None
    psnr_db: float | None
    bytes: int
    held_out: float
    held_out_se: float
    held_out_parts: float | None
    stability: float | None
    recommended: bool = False

    @classmethod
    def of(cls, trial: Trial, psnr_db: float | None, size: int) -> RankRecord:
        return cls(
            trial.rank, trial.fit.loss, trial.fit.relative_loss, trial.svd_floor, psnr_db, size, trial.held_out,
            trial.held_out_se, trial.held_out_parts, trial.stability,
        )  # fmt: skip


HEADINGS = ("rank", "loss", "relative", "svd floor", "PSNR dB", "bytes", "held out", "+-", "by parts", "stability")


def to_csv(records: Sequence[RankRecord]) -> str:
    """The text of rank.csv; what was not looked at is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(field.name for field in fields(RankRecord))
    for record in records:
        row = (f"{x:.7g}" if isinstance(x, float) else x for x in asdict(record).values())
        writer.writerow(text(int(x) if isinstance(x, bool) else x) for x in row)
    return out.getvalue()


def to_json(records: Sequence[RankRecord], **about: Any) -> str:
    """One line."""
    return json.dumps(about | {"ranks": [asdict(record) for record in records]}, allow_nan=False)


def table(records: Sequence[RankRecord], recommended: int) -> list[str]:
    """The table for people; the rank that is recommended has an asterisk."""
    rows = [HEADINGS, *(row(record, recommended) for record in records)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def row(r: RankRecord, recommended: int) -> tuple[str, ...]:
    """A line of it."""
    return (
        f"{r.rank} *" if r.rank == recommended else f"{r.rank}  ", f"{r.loss:.5g}", f"{r.relative_loss:.4f}",
        figure(r.svd_floor, ".5g"), "equal" if r.psnr_db is None else f"{r.psnr_db:.2f}", f"{r.bytes:,}",
        f"{r.held_out:.5f}", f"{r.held_out_se:.5f}", "" if r.held_out_parts is None else f"{r.held_out_parts:.5f}",
        "" if r.stability is None else f"{r.stability:.3f}",
    )  # fmt: skip
