"""What one worker of a cluster does: it holds parts of V, each a `Threads` of its own, and answers with small results.

What it holds is attached to the worker, by run and part. Every task is a function of the part, the basis and the number
of the read of V: where the codes are not those of the read before (the worker is new, the part came from elsewhere),
the rows are loaded again and their codes solved for the basis as it is. So a lost worker costs time and nothing else.
"""

from __future__ import annotations

import copy
import functools
import operator
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing import current_process
from typing import Any, Protocol

import numpy as np

from ..errors import InputError, NmfcError
from .blocks import BLOCK_BYTES, ArrayBlocks, row_blocks
from .crew import Order, Threads, in_place, workers
from .sums import Codes

SHARE = 0.5  # of a worker's memory for rows of V as they are stored; parts beyond it are read anew every sweep
MOST_PARTS = 4096  # enough for hundreds of workers to have shares of equal size, few enough to keep account of


@dataclass(frozen=True)
class Plan:
    """How V is cut into parts: as V says, never as many as there are workers, so that the sums do not depend on those.

    Parameters
    ----------
    shape : (m, n)
    edges : array of int
        Where the parts begin, and m.
    block : int
        Rows of a block.
    """

    shape: tuple[int, int]
    edges: np.ndarray
    block: int

    @classmethod
    def of(cls, shape: tuple[int, int], dtype: np.dtype, edges: Sequence[int] = ()) -> Plan:
        """`edges`, where V comes in parts already; else whole blocks, MOST_PARTS of them at most."""
        block = min(row_blocks(shape, dtype)[0].stop, max(1, BLOCK_BYTES // (shape[1] * dtype.itemsize)))
        if not edges:
            step = block * -(-shape[0] // (block * MOST_PARTS))
            edges = [*range(0, shape[0], step), shape[0]]
        return cls(shape, np.array(edges, dtype=np.int64), block)

    def __len__(self) -> int:
        return len(self.edges) - 1

    def parts(self, rows: slice) -> list[slice]:
        """The parts that these rows, which begin and end with a part, consist of."""
        first, last = np.searchsorted(self.edges, (rows.start, rows.stop))
        return [slice(int(a), int(b)) for a, b in zip(self.edges[first:last], self.edges[first + 1 :], strict=False)]


@dataclass(frozen=True)
class Mark:
    """Codes as a read of V leaves them.

    Parameters
    ----------
    number : int
        Of the read.
    order : Order
    flat : array, shape (k, 1)
        Where codes begin that are not there.
    fresh : bool
        All codes begin there.
    """

    number: int
    order: Order
    flat: np.ndarray
    fresh: bool = False


class Window:
    """Some rows of an array or of what is sliced like one, read when they are asked for."""

    def __init__(self, V: Any, rows: slice):
        self._V, self._first, self.dtype = V, rows.start, V.dtype
        self.shape = (rows.stop - rows.start, V.shape[1])

    def __getitem__(self, rows: slice) -> Any:
        return self._V[self._first + rows.start : self._first + rows.stop]


class Part:
    """Rows of V with their codes, and the number of the read that left these."""

    def __init__(self, V: Any, rows: slice, block: int):
        self.V, self.rows, self.number = in_place(V) if isinstance(V, np.ndarray) else V, rows, -1
        blocks = ArrayBlocks(self.V)
        count = rows.stop - rows.start
        blocks.rows = [slice(first, min(first + block, count)) for first in range(0, count, block)]
        self.crew = Threads(blocks, map, first=rows.start)

    def sweep(self, mark: Mark) -> Any:
        """A read of V; asked for again (its worker was lost after it), the codes stay as the first time left them."""
        order = mark.order
        if self.number == mark.number:
            order = replace(order, codes=Codes.KEEP)
        elif self.number != mark.number - 1:
            if mark.fresh or len(self.crew.codes()) != len(order.H):
                self.crew.begin(mark.flat)
            if not mark.fresh:
                order = replace(order, codes=Codes.SOLVE)
        sums = self.crew.sweep(order)
        self.number = mark.number
        return sums

    def codes(self, mark: Mark) -> np.ndarray:
        """The codes, (k, b), after that read."""
        if self.number != mark.number:
            self.number = mark.number - 2  # whatever they were, they are solved
            self.sweep(replace(mark, fresh=False))
        return self.crew.codes()


Write = Callable[[str, np.ndarray], None]


class Job(Protocol):
    """What is asked of every part; one that adds up has `adds`."""

    adds: bool

    def __call__(self, part: Part) -> Any: ...


@dataclass(frozen=True)
class Look:
    """The first read: what Threads.moments is made of, block by block, so that the sums have the same bits."""

    crc: bool
    adds = False

    def __call__(self, part: Part) -> list[tuple[float, float, int]]:
        return part.crew.looked(self.crc)


@dataclass(frozen=True)
class Sweep:
    mark: Mark
    adds = True

    def __call__(self, part: Part) -> Any:
        return part.sweep(self.mark)


@dataclass(frozen=True)
class Take:
    """The rows at `places`."""

    places: np.ndarray
    adds = False

    def __call__(self, part: Part) -> np.ndarray:
        own = self.places[slice(*np.searchsorted(self.places, (part.rows.start, part.rows.stop)))]
        return part.crew.take(own - part.rows.start) if len(own) else np.empty((0, part.crew.shape[1]), part.crew.dtype)


@dataclass(frozen=True)
class Fetch:
    """The codes of these rows."""

    mark: Mark
    rows: slice
    adds = False

    def __call__(self, part: Part) -> np.ndarray:
        first, last = max(self.rows.start, part.rows.start), min(self.rows.stop, part.rows.stop)
        codes = part.codes(self.mark) if first < last else np.empty((len(self.mark.order.H), 0), part.crew.dtype)
        return codes[:, max(0, first - part.rows.start) : max(0, last - part.rows.start)]


@dataclass(frozen=True)
class Total:
    """The sum over blocks of work(V as stored, W, first row), an array."""

    mark: Mark
    work: Callable[[np.ndarray, np.ndarray, int], np.ndarray]
    adds = True

    def __call__(self, part: Part) -> np.ndarray:
        codes = part.codes(self.mark)
        shares = (self.work(np.asarray(part.V[rows]), codes[:, rows].T, part.rows.start + rows.start)
                  for rows in part.crew.V.rows)  # fmt: skip
        return functools.reduce(operator.add, shares)


@dataclass(frozen=True)
class Absent:
    """Rows that a worker was asked for and does not hold."""

    rows: tuple[slice, ...]


@dataclass(frozen=True)
class Failed:
    """What went wrong, as a value: Dask would log a traceback and name no row."""

    error: NmfcError


@dataclass
class Held:
    """What a worker holds of one V; `source`, where it can read the rest by itself."""

    plan: Plan
    source: Any
    share: float
    parts: dict[int, Part] = field(default_factory=dict)
    loaded: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def part(self, rows: slice) -> Part:
        found = self.parts.get(rows.start)
        if found is None:
            V: Any = Window(self.source, rows)
            size = V.shape[0] * V.shape[1] * V.dtype.itemsize
            with self.lock:
                fits = self.loaded + size <= self.share
                self.loaded += size if fits else 0
            V = V[slice(0, V.shape[0])] if fits else V
            found = self.parts[rows.start] = Part(V, rows, self.plan.block)
        return found

    def drop(self, rows: slice) -> None:
        part = self.parts.pop(rows.start, None)
        if part is not None and isinstance(part.V, np.ndarray):
            self.loaded -= part.V.nbytes


def _runs(worker: Any) -> dict[str, Held]:
    runs: dict[str, Held] = vars(worker).setdefault("nmfcompress_runs", {})
    return runs


def _worker() -> Any:
    from distributed import get_worker

    return get_worker()


def tell(run: str, plan: Plan, source: Any, clients: Sequence[str], dask_worker: Any = None) -> None:
    """A run begins: what others left whose client is gone is dropped."""
    runs = _runs(dask_worker)
    for other in list(runs):
        if other.partition("/")[0] not in clients:
            del runs[other]
    from distributed.system import MEMORY_LIMIT

    limit = dask_worker.memory_manager.memory_limit or MEMORY_LIMIT
    if run not in runs:
        runs[run] = Held(plan, source, SHARE * limit)


def pid() -> int:
    """Of this process."""
    return current_process().pid or 0


def same(thing: Any) -> Any:
    """What was sent, as a result that other tasks take."""
    return thing


def forget(run: str, dask_worker: Any = None) -> None:
    """The run is over."""
    _runs(dask_worker).pop(run, None)


def drop(run: str, rows: Sequence[slice], dask_worker: Any = None) -> None:
    """These parts have gone elsewhere."""
    if (held := _runs(dask_worker).get(run)) is not None:
        for whole in rows:
            for part in held.plan.parts(whole):
                held.drop(part)


def put(run: str, address: str, rows: slice, V: Any) -> None:
    """Rows of V arrive at the worker they were sent to."""
    worker = _worker()
    held = _runs(worker).get(run)
    if held is None or V is None or worker.address != address:
        return  # the next task finds them absent
    V = np.asarray(V)
    for part in held.plan.parts(rows):
        mine = V[part.start - rows.start : part.stop - rows.start]
        held.parts[part.start] = Part(mine, part, held.plan.block)


def put_codes(run: str, address: str, rows: slice, codes: np.ndarray | None, number: int) -> None:
    """Codes (k, b) to begin with arrive; where their rows are not, they are solved later."""
    worker = _worker()
    held = _runs(worker).get(run)
    if held is None or codes is None or worker.address != address:
        return
    for one in held.plan.parts(rows):
        if held.source is not None or one.start in held.parts:
            part = held.part(one)
            part.crew.begin(codes[:, one.start - rows.start : one.stop - rows.start])
            part.number = number


def _ready(run: str, address: str, rows: Sequence[slice]) -> tuple[Any, Held, list[slice]] | Absent:
    """This worker, what it holds, and the parts that `rows` are; or that it does not have them.

    A task that Dask has moved to another worker than it was meant for says so: where rows go is the driver's to say.
    """
    worker = _worker()
    held = _runs(worker).get(run)
    if held is None or worker.address != address:
        return Absent(tuple(rows))
    found = [part for whole in rows for part in held.plan.parts(whole)]
    absent = tuple(part for part in found if held.source is None and part.start not in held.parts)
    return Absent(absent) if absent else (worker, held, found)


def _answer(held: Held, rows: slice, address: str, job: Callable[[Part], Any]) -> Any:
    """What `job` says of a part; what goes wrong, and says no rows itself, with its rows and worker."""
    try:
        return job(held.part(rows))
    except NmfcError:
        raise
    except Exception as error:
        where = f"rows {rows.start:,} to {rows.stop - 1:,} on worker {address}"
        raise InputError(f"{where}: {type(error).__name__}: {error}") from error


def ask(run: str, address: str, rows: Sequence[slice], job: Job) -> Any:
    """The answers of all parts of `rows`: their sum in the order of the parts, or (first row, answer) of each."""
    ready = _ready(run, address, rows)
    if isinstance(ready, Absent):
        return ready
    worker, held, found = ready
    try:
        with workers(worker.state.nthreads, len(found)) as each:
            answers = each(lambda part: _answer(held, part, address, job), found)
            return total(answers) if job.adds else [(part.start, a) for part, a in zip(found, answers, strict=True)]
    except NmfcError as error:
        return Failed(error)


def store(run: str, address: str, rows: slice, mark: Mark, columns: np.ndarray, name: str, write: Write) -> Any:
    """write(name, W[rows][:, columns]), here."""
    ready = _ready(run, address, [rows])
    if isinstance(ready, Absent):
        return ready
    _, held, found = ready
    try:
        codes = [_answer(held, part, address, lambda part: part.codes(mark)) for part in found]
        write(name, np.ascontiguousarray(np.concatenate(codes, axis=1)[columns].T))
    except NmfcError as error:
        return Failed(error)
    return None


def total(answers: Iterable[Any]) -> Any:
    """Added up in their order; the first is left as it is, for Dask may need it again."""
    answers = iter(answers)
    sums = copy.deepcopy(next(answers))
    for answer in answers:
        sums += answer
    return sums


def join(*answers: Any) -> Any:
    """The sum of what workers answered, or what is wrong with the first of them; a node of the tree."""
    for answer in answers:
        if isinstance(answer, Failed):
            return answer
    absent = tuple(rows for answer in answers if isinstance(answer, Absent) for rows in answer.rows)
    return Absent(absent) if absent else total(answers)


def codes_of(run: str, rows: slice, mark: Mark, block: int, V: Any) -> np.ndarray:
    """W of a part of V, (b, k): the codes as they are here, or solved again where they are not; pure."""
    held = _runs(_worker()).get(run)
    part = held.parts.get(rows.start) if held is not None else None
    part = part or Part(np.asarray(V), rows, block)
    return np.ascontiguousarray(part.codes(mark).T)
