"""Several pieces of work at once, each in a process of its own, and what comes of them in the order of the pieces.

Threads would take turns: on small pictures nearly all of the time goes into Python itself. A process gets a piece,
hands back what it made of it, and touches no file: there is nothing to clean up when all are stopped in the middle.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import pickle
import signal
import sys
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from ..errors import InputError

MOST = 16  # processes: the one that hands out the pieces has three open files for each, and is kept busy by so many
AHEAD = 3  # turns that are prepared, under way or waiting for those before them, for each process
SHARES = 4  # of pieces and of memory, for each process at least, so that none waits long for another
STOPPING = {signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])}
FORKS = sys.platform == "linux"  # elsewhere libraries do not stand it
DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG


class Piece(Protocol):
    """A piece of work."""

    @property
    def needs(self) -> int:
        """Bytes of memory that it takes."""

    @property
    def alike(self) -> object:
        """Pieces next to each other of which this is equal may be worked on together."""

    @property
    def together(self) -> int:
        """How many of them, at most."""


class Step(Protocol):
    """Whatever has its turn; some of it with a piece of work."""

    @property
    def job(self) -> Piece | None: ...


AnyStep = TypeVar("AnyStep", bound=Step)
Result = TypeVar("Result")
Answer = tuple[Any, Exception | None]


@dataclass(eq=False)
class _Turn(Generic[AnyStep]):
    """Steps whose turn comes together, and what came of their pieces of work: of each a result, or an error."""

    steps: list[AnyStep] = field(default_factory=list)
    pieces: list[Any] = field(default_factory=list)
    needs: int = 0
    sent: bool = False
    answers: list[Answer] | None = None

    @property
    def ready(self) -> bool:
        return self.answers is not None or not self.pieces

    def add(self, step: AnyStep) -> None:
        """One more step."""
        self.steps.append(step)
        if step.job is not None:
            self.pieces.append(step.job)
            self.needs += step.job.needs

    def apart(self) -> list[_Turn[AnyStep]]:
        """Each step by itself."""
        turns: list[_Turn[AnyStep]] = []
        for step in self.steps:
            turns.append(_Turn())
            turns[-1].add(step)
        return turns


@dataclass(eq=False)
class _Worker:
    process: BaseProcess
    pipe: Connection
    turn: _Turn[Any] | None = None


class Processes(Generic[Result]):
    """Work in at most `count` processes, and at most MOST, or in this one when that is 1. On leaving all of them end.

    Parameters
    ----------
    count : int
    work : callable
        Pieces that are alike -> their results, a function of a module. Where it fails, the pieces are worked on one by
        one, so that only those are lost that it fails on.
    room : int
        Bytes that the pieces which are not done yet may need together; one alone may need any number.
    """

    def __init__(self, count: int, work: Callable[[list[Any]], list[Result]], room: int):
        self._count, self._work, self._room = min(count, MOST), work, room
        self._workers: list[_Worker] = []
        self._ahead: deque[_Turn[Any]] = deque()

    def __enter__(self) -> Processes[Result]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()
        self._workers.clear()

    def each(self, steps: Iterator[AnyStep]) -> Iterator[tuple[AnyStep, Callable[[], Result]]]:
        """The steps in their order, each with a call that has the result of its piece of work, or raises its error."""
        for turn in self._done(self._turns(steps)):
            place = 0
            for step in turn.steps:
                yield step, partial(self._result, turn, place)
                place += step.job is not None

    def _result(self, turn: _Turn[Any], place: int) -> Result:
        if turn.answers is None:
            turn.answers = _answers(self._work, turn.pieces)
        (found, error), turn.answers[place] = turn.answers[place], (None, None)  # only once: files may be large
        if error is not None:
            raise error
        result: Result = found
        return result

    def _turns(self, steps: Iterator[AnyStep]) -> Iterator[_Turn[AnyStep]]:
        """Steps in their order; those with pieces that are alike together, the more the more there have been."""
        turn: _Turn[AnyStep] = _Turn()
        count, shares = 0, SHARES * self._count
        for step in steps:
            piece = step.job
            if piece is not None:
                others = turn.pieces
                full = len(others) >= count // shares or turn.needs + piece.needs > self._room // shares
                if others and (full or len(others) >= piece.together or others[0].alike != piece.alike):
                    yield turn
                    turn = _Turn()
                count += 1
            turn.add(step)
            if not turn.pieces or turn.pieces[0].together == 1:
                yield turn
                turn = _Turn()
        if turn.steps:
            yield turn

    def _done(self, turns: Iterator[_Turn[AnyStep]]) -> Iterator[_Turn[AnyStep]]:
        """The turns in their order, each when its pieces are worked on; here they are when their results are needed."""
        if self._count == 1:
            yield from turns
            return
        ahead, more = self._ahead, True
        while more or ahead:
            self._receive(0)
            self._send()
            ready, waiting = bool(ahead) and ahead[0].ready, any(not (turn.sent or turn.ready) for turn in ahead)
            if more and self._may_prepare() and not (ready and waiting):
                following = next(turns, None)
                if following is None:
                    more = False
                else:
                    ahead.append(following)
            elif ready:
                yield ahead.popleft()
            elif ahead:
                self._receive(None)

    def _may_prepare(self) -> bool:
        """Whether one more fits beside those that are there, should it be as large as the largest of them."""
        needs = [turn.needs for turn in self._ahead]
        return len(needs) < AHEAD * self._count and sum(needs) + max(needs, default=0) <= self._room

    def _send(self) -> None:
        """Hand out pieces in their order, as many as there are idle processes and there is room for."""
        used = 0
        for turn in list(self._ahead):
            used += turn.needs
            if turn.sent or turn.ready:
                continue
            if used > self._room and turn is not self._ahead[0]:
                return
            idle = next((worker for worker in self._workers if worker.turn is None), None)
            if idle is None and len(self._workers) < self._count:
                idle = self._start()
            if idle is None:
                return
            self._hand(turn, idle)

    def _hand(self, turn: _Turn[Any], worker: _Worker) -> None:
        """Give pieces to a process; to another one, once, should that have been killed while it had nothing to do."""
        turn.sent = True
        try:
            worker.pipe.send(turn.pieces)
        except OSError:
            self._end(worker)
            another = self._start()
            if another is None:
                turn.sent = False
                return
            worker = another
            try:
                worker.pipe.send(turn.pieces)
            except OSError:
                self._lost(turn, f"the process to work on it {self._end(worker)}")
                return
        worker.turn = turn

    def _receive(self, timeout: float | None) -> None:
        """Take what is done: at once, or with None as soon as there is something."""
        busy = {worker.pipe: worker for worker in self._workers if worker.turn is not None}
        for pipe in wait(list(busy), timeout) if busy else ():
            worker = busy[pipe]  # type: ignore[index]
            turn, worker.turn = worker.turn, None
            assert turn is not None  # noqa: S101
            try:
                turn.answers = worker.pipe.recv()
            except (EOFError, OSError):
                self._lost(turn, f"the process at work on it {self._end(worker)}")

    def _lost(self, turn: _Turn[Any], why: str) -> None:
        """No answer will come: of one piece that is the answer, of several each is tried once more by itself."""
        if len(turn.pieces) == 1:
            turn.answers = [(None, InputError(why))]
            return
        place = self._ahead.index(turn)
        del self._ahead[place]
        for one in reversed(turn.apart()):
            self._ahead.insert(place, one)

    def _start(self) -> _Worker | None:
        """One more process; None where there are some, and no more can be had: from then on these are all."""
        context: Any = multiprocessing.get_context("fork" if FORKS else "spawn")
        ends: list[Connection] = []
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # until it has its own answer to them
        try:
            ends += multiprocessing.Pipe()
            here, there = ends
            others = [here, *(worker.pipe for worker in self._workers)] if FORKS else []  # it must not hold them open
            process = context.Process(target=_serve, args=(there, self._work, others), daemon=True)
            with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
                process.start()  # threads that only draw a bar are no reason not to fork
            there.close()
            self._workers.append(_Worker(process, here))
        except OSError as error:
            for end in ends:
                end.close()
            if not self._workers:
                raise InputError(f"cannot start a process: {error.strerror} (pass a smaller -j)") from error
            self._count = len(self._workers)
            return None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return self._workers[-1]

    def _end(self, worker: _Worker) -> str:
        """What became of a process that has gone."""
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()
        self._workers.remove(worker)
        code = worker.process.exitcode or 0
        what = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
        return f"{what} (expected a result; if memory is short, pass a smaller -j)"


def _answers(work: Callable[[list[Any]], list[Any]], pieces: list[Any]) -> list[Answer]:
    """What comes of pieces: of all at once, or of one after the other."""
    try:
        return [(found, None) for found in work(pieces)]
    except Exception as error:
        if len(pieces) == 1:
            return [(None, error)]
    return [answer for piece in pieces for answer in _answers(work, [piece])]


def _serve(pipe: Connection, work: Callable[[list[Any]], list[Any]], others: list[Connection]) -> None:
    """A process: pieces after pieces, until there are no more or whoever sends them has gone."""
    for other in others:
        other.close()
    if FORKS:
        ctypes.CDLL(None).prctl(DIES_WITH_PARENT, int(signal.SIGKILL))  # else it would finish its pieces first
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all: the one that started this one answers
    for number in STOPPING - {signal.SIGINT}:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    with suppress(EOFError, OSError):
        while True:  # nothing of the last pieces is kept while the next are worked on
            pipe.send([_arriving(answer) for answer in _answers(work, pipe.recv())])


def _arriving(answer: Answer) -> Answer:
    """An answer that can be sent."""
    found, error = answer
    return found, None if error is None else _sendable(error)


def _sendable(error: Exception) -> Exception:
    """The error with its traceback; one like it where it would not arrive."""
    error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
