"""What options say about plots and pages: more of settings.py."""

from __future__ import annotations

from dataclasses import dataclass

from .settings import check

PLOT_KINDS = ("png", "svg", "pdf")  # what plots are written as
PLOT_X = ("sweep", "reads", "seconds")  # over which losses are drawn, and what of them: columns of loss.csv
PLOT_Y = ("loss", "relative_loss", "gradient")


@dataclass(frozen=True)
class Drawing:
    """What is drawn of a CSV.

    Parameters
    ----------
    x, y : str
        Of losses, the columns: of `PLOT_X` and `PLOT_Y`.
    log : bool
        A logarithmic axis for y, of losses and ranks.
    """

    x: str = PLOT_X[0]
    y: str = PLOT_Y[0]
    log: bool = False

    def __post_init__(self) -> None:
        check(self.x in PLOT_X, "--x", self.x, "one of " + ", ".join(PLOT_X))
        check(self.y in PLOT_Y, "--y", self.y, "one of " + ", ".join(PLOT_Y))

    def check(self, kind: str) -> None:
        """Raise UsageError where something was asked for that a CSV of this kind has not."""
        plain = (self.x, self.y) == (PLOT_X[0], PLOT_Y[0])
        check(kind == "loss" or plain, "--x or --y", f"given with a {kind}.csv", "a loss.csv")
        check(kind != "compare" or not self.log, "--log", "given with a compare.csv", "a loss.csv or rank.csv")


@dataclass(frozen=True)
class Report:
    """The page of a run: its file, and the command that it tells."""

    path: str
    command: str

    def __post_init__(self) -> None:
        check(self.path.lower().endswith((".html", ".htm")), "--report", self.path or "empty", "a name in .html")
