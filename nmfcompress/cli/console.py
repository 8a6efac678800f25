"""What is said: notes and errors as they come, a bar, JSON Lines, and at the end the summary."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import click

from ..errors import NmfcError, OutputError, TargetMissed, UsageError
from ..factor.sweeps import SweepRecord
from ..images.files import display
from ..report.records import Outcome, shortened, summary
from ..settings import Talk
from .streams import stop_by_exception, tell


class Console:
    """One run's voice. Messages go to stderr, JSON Lines to stdout; control characters never reach either."""

    def __init__(self, talk: Talk):
        self.talk = talk
        self.failures: list[str] = []
        self.outcomes: list[Outcome] = []
        self.finished = 0
        self.passed_over = 0
        self._bar: Any = None
        if talk.json and sys.stdout is None:
            raise OutputError("is closed, and --json writes to it", "stdout")

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
        if self._bar is not None:
            self._bar.clear()
        tell(f"nmfc: {display(message)}")
        if self._bar is not None:
            self._bar.refresh()

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

    def bar(self, name: str, sweeps: int, unit: str = "sweep") -> None:
        """Show a bar of so many `unit`s for `name`, when bars are wanted."""
        self._close_bar()
        wanted = self.talk.progress == "always" or (self.talk.progress == "auto" and _is_terminal(sys.stderr))
        if self.talk.quiet or not wanted or sys.stderr is None:
            return
        from tqdm import tqdm

        self._bar = tqdm(total=sweeps, desc=shortened(display(name), 30), unit=unit, file=sys.stderr, leave=False)

    def on_sweep(self, record: SweepRecord) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.set_postfix_str(f"loss {record.loss:.5g}", refresh=False)
            self._bar.update()

    def stages(self, name: str) -> None:
        """Show a bar of the stages of coding `name`, when bars are wanted."""
        self.bar(name, 100, unit="%")

    def on_stage(self, stage: str, done: float) -> None:
        """Move the bar to how much of a stage is done, and say which."""
        if self._bar is not None:
            self._bar.n = round(100 * done)
            self._bar.set_postfix_str(stage)

    def advance(self, words: str) -> None:
        """Move the bar, and say beside it what has just been done."""
        if self._bar is not None:
            self._bar.set_postfix_str(words, refresh=False)
            self._bar.update()

    def done(self, outcome: Outcome) -> None:
        """A result: its JSON line now, its row in the summary at the end."""
        self._close_bar()
        self.finished += 1
        if self.talk.json:
            click.echo(outcome.to_json())
        elif not self.talk.quiet:
            self.outcomes.append(outcome)

    def close(self, where: str | None) -> int:
        """The summary; returns the exit code."""
        self._close_bar()
        if self.outcomes:
            for line in summary(self.outcomes, self.talk.verbose):
                tell(display(line))
            if any(not outcome.converged for outcome in self.outcomes):
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

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _is_terminal(stream: Any) -> bool:
    return stream is not None and stream.isatty()
