"""How a fit begins that does not begin anew: from a checkpoint, or with a basis that is given; and what it leaves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from ..errors import InputError, OtherRun, OutputError, about
from ..factor.checkpoint import ARRAYS, Checkpoint, Take, pack, unpack
from ..factor.ranks import Ranks
from ..images.files import FileId, display
from ..images.limits import Limits
from ..images.named import read_arrays, write_arrays
from ..ranges import penalty_text
from ..settings import Course, Fit
from .console import Console
from .factors import Basis, read_basis


@dataclass(frozen=True, eq=False)
class Start:
    """How a fit begins: as settings say, after a checkpoint, or with a given basis, for which only codes are sought.

    `tried`: the ranks of the same pictures, among them the one that is asked for, with its factors.
    """

    fit: Fit
    path: str = ""
    resume: Checkpoint | None = None
    given: Basis | None = None
    tried: Ranks | None = None

    @property
    def sweeps(self) -> int:
        """How many are done."""
        return 0 if self.resume is None else self.resume.sweeps

    @property
    def remarks(self) -> list[str]:
        """What to say of it, when it is done."""
        return [] if self.resume is None else [f"{self.path}: went on after sweep {self.sweeps:,}"]


def begin(fit: Fit, course: Course, limits: Limits) -> Start:
    """Read what the fit begins with; what was not asked for is as it was there.

    Raises
    ------
    InputError
        The file is none, broken, or contradicts an option that was given. It is named.
    """
    if course.basis_from is not None:
        basis = read_basis(course.basis_from, limits)
        for name in ("rank", "divergence", "l1", "l2"):
            asked, there = (
                penalty_text(value) if isinstance(value := getattr(one, name), tuple) else value
                for one in (fit, basis.fit)
            )
            if name in course.given and asked != there:
                raise InputError(f"has {name} {there}, not {asked} (leave --{name} out)", display(basis.path))
        return Start(replace(basis.fit, jobs=fit.jobs), basis.path, given=basis)
    if course.resume is not None:
        checkpoint = read_checkpoint(course.resume, limits)
        asked = {name: getattr(fit, name) for name in course.given}
        return Start(replace(checkpoint.fit, jobs=fit.jobs, **asked), course.resume, checkpoint)
    return Start(fit)


def read_checkpoint(path: str, limits: Limits) -> Checkpoint:
    """The checkpoint in a file that `Keeper` wrote, or so it says."""
    arrays = read_arrays(path, ("about", *ARRAYS), limits, what="a checkpoint of nmfc basis")
    with about(display(path)):
        return unpack(arrays)


@contextmanager
def about_run(path: str | None) -> Iterator[None]:
    """Name the checkpoint, not the input, where the two do not belong together."""
    try:
        yield
    except OtherRun as error:
        error.source = display(path) if path is not None else None
        raise


class Keeper:
    """Writes a checkpoint now and then: before the first sweep, after `every` seconds, and before the last sweep.

    The first shows at once whether the file can be written. Where a later one cannot, that is said and the run goes on:
    the file still holds the one before.
    """

    def __init__(self, path: str, every: float, inputs: set[FileId], console: Console):
        self.path, self.every, self.inputs, self.console = path, every, inputs, console
        self._written: float | None = None

    def __call__(self, take: Take, last: bool) -> None:
        now = time.monotonic()
        if self._written is not None and not last and now - self._written < self.every:
            return
        try:
            write_arrays(self.path, pack(take()), inputs=self.inputs)
        except OutputError as error:
            if self._written is None:
                raise
            self.console.say(f"{error}; the checkpoint before stays")
        self._written = time.monotonic()
