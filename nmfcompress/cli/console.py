"""What is said: notes and errors as they come, a bar, JSON Lines, and at the end the summary."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import click

from ..errors import NmfcError, TargetMissed, UsageError
from ..factor.sweeps import SweepRecord
from ..images.files import display
from ..report.records import SUMMARY_ROWS, Outcome, shortened, summary
from ..settings import Talk
from .inputs import Source
from .streams import Stderr, check_open, stop_by_exception, tell

STAGES = "{desc} {percentage:3.0f}%|{bar}| {elapsed}{postfix}"  # how fast per cents go says nothing


class Console:
    """One run's voice. Messages go to stderr, JSON Lines to stdout; control characters never reach either."""

    def __init__(self, talk: Talk):
        self.talk = talk
        self.failures: list[str] = []
        self.outcomes: list[Outcome] = []
        self.finished = 0
        self.passed_over = 0
        self._bar: Any = None
        self._of_all = False  # the bar is of the whole run
        self._unsettled = False
        self._coded = ("", 1)  # what the bar of stages is about: its name, and how many pictures
        if talk.json:
            check_open()

    def __enter__(self) -> Console:
        stop_by_exception()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close_bar()

    @property
    def exit_code(self) -> int:
        """0, or 1 when an input failed."""
        return 1 if self.failures else 0

    def say(self, message: str) -> None:
        """A line on stderr, above the bar."""
        with self._beside_bar():
            tell(f"nmfc: {display(message)}")

    def notes(self, name: str, notes: Iterable[str]) -> None:
        """What was converted or dropped."""
        if not self.talk.quiet:
            for note in notes:
                self.say(f"{display(name)}: {note}")

    def remarks(self, lines: Iterable[str]) -> None:
        """Notes that name what they are about by themselves."""
        if not self.talk.quiet:
            for line in lines:
                self.say(line)

    def assumed(self, name: str, lines: Iterable[str]) -> None:
        """What was assumed: at -v only."""
        if self.talk.verbose:
            self.notes(name, lines)

    @contextmanager
    def attempt(self, name: str) -> Iterator[None]:
        """Work on one input: what is wrong with it is said and costs no other input; wrong usage ends the run."""
        try:
            yield
        except (UsageError, TargetMissed) as error:
            error.source = error.source or (display(name) if isinstance(error, TargetMissed) else None)
            raise
        except NmfcError as error:
            if error.source is None:
                error.source = display(name) or "''"
            if self.talk.debug:
                raise
            self.failures.append(name)
            self.say(str(error))
        except MemoryError:
            if self.talk.debug:
                raise
            self.failures.append(name)
            self.say(f"{display(name)}: out of memory")

    def bar(self, name: str, sweeps: int, unit: str = "sweep", layout: str | None = None) -> None:
        """Show a bar of so many `unit`s for `name`, when bars are wanted; `layout` as tqdm has it."""
        self._close_bar()
        wanted = self.talk.progress == "always" or (self.talk.progress == "auto" and _is_terminal(sys.stderr))
        if self.talk.quiet or not wanted or sys.stderr is None:
            return
        from tqdm import tqdm

        self._bar = tqdm(
            total=sweeps, desc=shortened(display(name), 30), unit=unit, file=Stderr(), leave=False, bar_format=layout
        )

    def on_sweep(self, record: SweepRecord) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.set_postfix_str(f"loss {record.loss:.5g}", refresh=False)
            self._bar.update()

    def stages(self, name: str, count: int = 1) -> None:
        """Show a bar of the stages of coding `count` pictures, when bars are wanted."""
        self._coded = shortened(display(name), 20), count  # so that all of it goes into 80 columns
        self.bar(name, 100, layout=STAGES)

    def on_stage(self, stage: str, done: float, size: float | None = None, psnr_db: float | None = None) -> None:
        """Move the bar to how much of a stage is done; say which, and how large and how alike the pictures are so far.

        What is not known in this stage stays as it was in the last.
        """
        if self._bar is None:
            return
        name, count = self._coded
        before = self._bar.n, self._bar.desc
        self._bar.n = round(100 * done)
        self._bar.set_description_str(f"{name}, {stage}", refresh=False)
        if size is not None:
            each = f"{size:,.1f} bytes each" if count > 1 else f"{size:,.0f} bytes"
            self._bar.set_postfix_str(each if psnr_db is None else f"{each}, PSNR {psnr_db:.2f} dB", refresh=False)
        if (self._bar.n, self._bar.desc) != before:  # of thousands of pictures not each is worth writing
            self._bar.refresh()

    def bar_of_all(self, count: int) -> None:
        """Show one bar of all pictures of the run, `count` or with `more` of them more, when bars are wanted."""
        self.bar("", count, "picture")
        self._of_all = True

    def more(self, count: int) -> None:
        """There are more pictures than inputs."""
        if count and self._bar is not None and self._of_all:
            self._bar.total += count
            self._bar.refresh()

    def advance(self, words: str) -> None:
        """Move the bar, and say beside it what has just been done."""
        if self._bar is not None:
            self._bar.set_postfix_str(words, refresh=False)
            self._bar.update()

    @property
    def wants_figures(self) -> bool:
        """Whether those of one more result are shown: of a hundred thousand the summary has no more rows than of 20."""
        return self.talk.json or (not self.talk.quiet and len(self.outcomes) < SUMMARY_ROWS)

    def done(self, outcome: Outcome) -> None:
        """A result: its JSON line now, its row in the summary at the end."""
        self.counts(outcome.converged)
        if self.talk.json:
            with self._beside_bar():
                click.echo(outcome.to_json())
        elif self.wants_figures:
            self.outcomes.append(outcome)

    def counts(self, converged: bool) -> None:
        """A result whose figures are not shown."""
        if not self._of_all:
            self._close_bar()
        self.finished += 1
        self._unsettled |= not converged

    def passes_over(self) -> None:
        """A result that is there already."""
        self.passed_over += 1

    def stops(self, left: int) -> bool:
        """Whether a failure ends the run (--fail-fast), with so many inputs `left`; which is said."""
        if not (self.talk.fail_fast and self.failures):
            return False
        if left and not self.talk.quiet:
            self.say(f"stopped by --fail-fast: {left:,} input{'s' if left > 1 else ''} not looked at")
        return True

    def each(self, found: Sequence[Source]) -> Iterator[Source]:
        """The inputs in turn, up to the one that stops the run."""
        for place, source in enumerate(found, start=1):
            yield source
            if self.stops(len(found) - place):
                return

    def close(self, where: str | None) -> int:
        """The summary; returns the exit code."""
        self._close_bar()
        if self.outcomes:
            for line in summary(self.outcomes, self.talk.verbose, self.finished):
                tell(display(line))
            if self._unsettled:
                tell("+ stopped by --iterations, the loss was still falling")
        if self.passed_over and not self.talk.quiet:
            self.say(f"{self.passed_over:,} passed over, their outputs exist")
        if where and self.outcomes and not self.talk.quiet:
            tell(f"written to {display(where)}")
        if self.failures and not self.talk.quiet and len(self.failures) + self.finished > 1:
            names = ", ".join(display(shortened(name)) for name in self.failures[:5])
            more = f" and {len(self.failures) - 5:,} more" if len(self.failures) > 5 else ""
            self.say(f"{len(self.failures):,} failed: {names}{more}")
        return self.exit_code

    @contextmanager
    def _beside_bar(self) -> Iterator[None]:
        if self._bar is not None:
            self._bar.clear()
        yield
        if self._bar is not None:
            self._bar.refresh()

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _is_terminal(stream: Any) -> bool:
    return stream is not None and stream.isatty()
