"""Which worker has which rows of V: who is asked, what travels to whom, and who takes over from the lost."""

from __future__ import annotations

from asyncio import CancelledError as Cancelled
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ..errors import ClusterError
from . import parts
from .parts import Absent, Failed, Job, Mark, Plan, Write

FAN_IN = 4  # answers that one node of the tree adds up
POLL = 2.0  # seconds after which a silent cluster is asked whether it still has workers
PATIENCE = 30  # polls without any worker before the run is given up
MOST_ROUNDS = 100  # of asking again for the same
MOST_LOSSES = 5  # of the same rows: then it is likely they themselves that cost their workers' lives
PIECE_BYTES = 2**26  # of an array on its way to a worker at a time
UNDER_WAY = 8  # such pieces


@dataclass(frozen=True)
class Leaf:
    """A task of one worker, and the rows that it was asked about."""

    rows: tuple[slice, ...]
    future: Any


class Placement:
    """The parts of one V on the workers that a client reaches.

    Parameters
    ----------
    client : distributed.Client
    run : str
        The name of what is done with this V, unlike any other; it begins with the client's.
    plan : Plan
    handle : picklable array-like or None
        What workers read their rows from by themselves.
    held : array-like, dict of first row to future, or None
        What is sent to them instead: rows of what is here, or chunks that are on the cluster.
    """

    def __init__(self, client: Any, run: str, plan: Plan, handle: Any, held: Any):
        self.client, self.run, self.plan = client, run, plan
        self._handle, self.held = handle, held
        self.owners: list[str | None] = [None] * len(plan)
        self._told: set[str] = set()
        self._sent: set[tuple[str, int]] = set()
        self._losses: Counter[int] = Counter()
        self._targets: WeakKeyDictionary[Any, str] = WeakKeyDictionary()  # the worker that each task is for

    def live(self) -> dict[str, int]:
        """The workers there are, and their threads; none for a while is an error.

        Raises
        ------
        ClusterError
        """
        from distributed import TimeoutError as Timeout

        for _ in range(PATIENCE):
            try:
                found: dict[str, int] = self.client.nthreads()
                if found:
                    return found
                self.client.wait_for_workers(1, timeout=POLL)
            except Timeout:
                continue
            except (OSError, RuntimeError, ValueError) as error:
                raise self._gone() from error
        raise ClusterError(f"has no workers left, for {PATIENCE * POLL:.0f} s", self._address())

    def place(self) -> None:
        """Every part to a worker that lives, and there what is needed to work on it."""
        live = self.live()
        moved = self._assign(live)
        for address, rows in moved.items():
            self.client.run(parts.drop, self.run, rows, workers=[address], on_error="ignore")
        self._tell([address for address in live if address not in self._told])
        if self.held is not None:
            self.arrive(self._sending())

    def _assign(self, live: dict[str, int]) -> dict[str, list[slice]]:
        """Owners for the parts of those that are gone; a worker that has none gets its share, which is returned."""
        addresses, count = sorted(live), len(self.owners)
        threads = np.array([live[address] for address in addresses])
        bounds = np.rint(np.cumsum(threads) * (count / threads.sum())).astype(int)
        target = dict(zip(addresses, np.diff(bounds, prepend=0).tolist(), strict=True))
        load = Counter(owner for owner in self.owners if owner in live)
        free = [place for place, owner in enumerate(self.owners) if owner not in live]
        for place in free:
            self._losses[place] += self.owners[place] is not None
            if self._losses[place] > MOST_LOSSES:
                rows = self._rows(place)
                raise ClusterError(
                    f"lost {MOST_LOSSES + 1} workers that had rows {rows.start:,} to {rows.stop - 1:,} "
                    "(more memory a worker, or smaller parts, may help)", self._address(),
                )  # fmt: skip
        moved: dict[str, list[slice]] = {}
        if load and any(target[address] and not load[address] for address in addresses):
            for place in reversed(range(count)):
                owner = self.owners[place]
                if owner in live and owner is not None and load[owner] > target[owner]:
                    load[owner] -= 1
                    moved.setdefault(owner, []).append(self._rows(place))
                    free.append(place)
            free.sort()
        for address in addresses:
            need = max(0, target[address] - load[address])
            for place in free[:need]:
                self.owners[place] = address
            free = free[need:]
        return moved

    def _rows(self, place: int) -> slice:
        return slice(int(self.plan.edges[place]), int(self.plan.edges[place + 1]))

    def shares(self, wanted: np.ndarray | None = None) -> dict[str, list[slice]]:
        """The rows of each worker, in runs; only those `wanted` (a bool for each part)."""
        found: dict[str, list[slice]] = {}
        for place, owner in enumerate(self.owners):
            if owner is None or not (wanted is None or wanted[place]):
                continue
            own, rows = found.setdefault(owner, []), self._rows(place)
            if own and own[-1].stop == rows.start:
                own[-1] = slice(own[-1].start, rows.stop)
            else:
                own.append(rows)
        return found

    def pieces(self, rows: slice, row_bytes: int) -> Iterator[slice]:
        """Rows in runs of parts that are small enough to travel."""
        first = rows.start
        for part in self.plan.parts(rows):
            if part.stop - first > max(1, PIECE_BYTES // row_bytes) and part.start > first:
                yield slice(first, part.start)
                first = part.start
        yield slice(first, rows.stop)

    def _tell(self, addresses: list[str]) -> None:
        if not addresses:
            return
        clients = self.client.run_on_scheduler(_clients)
        try:
            self.client.run(parts.tell, self.run, self.plan, self._handle, clients, workers=addresses)
        except ModuleNotFoundError as error:
            missing = f"has workers that cannot import {error.name} (install the same there)"
            raise ClusterError(missing, self._address()) from error
        except (OSError, KeyError):  # one was lost just now: it will be found absent
            return
        self._told.update(addresses)

    def _sending(self) -> Iterator[Any]:
        """Futures of rows that go to owners that have not got them."""
        missing = np.array([(owner, i) not in self._sent for i, owner in enumerate(self.owners)])
        self._sent.update((owner, place) for place, owner in enumerate(self.owners) if owner is not None)
        for address, runs in self.shares(missing).items():
            for run in runs:
                if isinstance(self.held, dict):
                    for rows in self.plan.parts(run):
                        yield self.send(parts.put, address, rows, self.held[rows.start])
                else:
                    for rows in self.pieces(run, self.held.dtype.itemsize * self.held.shape[1]):
                        yield self.send(parts.put, address, rows, self.scattered(self.held[rows], address))

    def scattered(self, array: np.ndarray, address: str) -> Any:
        """An array on its way to a worker; None, should that be lost at this moment."""
        try:
            return self.client.scatter(np.ascontiguousarray(array), workers=[address], hash=False)
        except (OSError, TimeoutError, KeyError, ValueError):
            return None

    def send(self, function: Any, address: str, rows: slice | list[slice], *arguments: Any) -> Any:
        """A task for one worker; Dask may move it when that is lost, and it then does nothing."""
        import dask

        with dask.config.set(
            {"distributed.admin.large-graph-warning-threshold": "1GB"}
        ):  # H of wide images is no mistake
            future = self.client.submit(
                function, self.run, address, rows, *arguments, workers=[address], allow_other_workers=True, pure=False
            )
        self._targets[future] = address
        return future

    def arrive(self, futures: Iterable[Any]) -> None:
        """Wait for what is sent, a few at a time."""
        under_way: list[Any] = []
        for future in futures:
            under_way.append(future)
            if len(under_way) >= UNDER_WAY:
                self._wait(under_way)
                under_way = []
        self._wait(under_way)

    def ask(self, job: Job) -> Any:
        """The answers of all parts: their sum, or (first row, answer) of each in order.

        Raises
        ------
        NmfcError
            What went wrong on a worker, or with the workers.
        """
        leaves: list[Leaf] = []
        for _ in range(MOST_ROUNDS):
            self.place()
            wanted = np.ones(len(self.owners), dtype=bool)
            for leaf in leaves:
                for rows in leaf.rows:
                    wanted[slice(*np.searchsorted(self.plan.edges, (rows.start, rows.stop)))] = False
            for address, own in self.shares(wanted).items():
                leaves.append(Leaf(tuple(own), self.send(parts.ask, address, own, job)))
            leaves.sort(key=lambda leaf: leaf.rows[0].start)
            found = self._collect([leaf.future for leaf in leaves], job.adds)
            if isinstance(found, Failed):
                raise found.error
            if not isinstance(found, Absent):
                return found
            gone = [rows.start for rows in found.rows]
            leaves = [
                leaf for leaf in leaves
                if leaf.future.status == "finished" and not any(r.start <= g < r.stop for r in leaf.rows for g in gone)
            ]  # fmt: skip
            self._tell_again(found)
        raise self._hopeless()

    def store(
        self, mark: Mark, columns: np.ndarray, row_bytes: int, name: Callable[[int], str], write: Write
    ) -> list[slice]:
        """Have W written by its owners: write(name(i), W[rows]) on a worker, for runs of rows, which are returned."""
        self.place()
        runs = sorted((run for own in self.shares().values() for run in own), key=lambda run: run.start)
        pieces = [piece for run in runs for piece in self.pieces(run, row_bytes)]
        left = list(range(len(pieces)))
        for _ in range(MOST_ROUNDS):
            if not left:
                return pieces
            for i in left:  # what has lost its owner, and was given to several, is written by one
                first, last = np.searchsorted(self.plan.edges, (pieces[i].start, pieces[i].stop))
                self.owners[first:last] = [self.owners[first]] * int(last - first)
            self.place()
            futures = []
            for i in left:
                owner = self.owners[int(np.searchsorted(self.plan.edges, pieces[i].start))]
                futures.append(self.send(parts.store, owner or "", pieces[i], mark, columns, name(i), write))
            self._wait(futures)
            for i, future in zip(tuple(left), futures, strict=True):
                answer = future.result() if future.status == "finished" else Absent((pieces[i],))
                if isinstance(answer, Failed):
                    raise answer.error
                if isinstance(answer, Absent):
                    self._tell_again(answer)
                else:
                    left.remove(i)
        raise self._hopeless()

    def _tell_again(self, absent: Absent) -> None:
        """Workers that are there and do not have what they were sent are sent it again."""
        for rows in absent.rows:
            first, last = np.searchsorted(self.plan.edges, (rows.start, rows.stop))
            for place in range(first, last):
                owner = self.owners[place]
                if owner is not None:
                    self._told.discard(owner)
                    self._sent.discard((owner, place))

    def _collect(self, futures: list[Any], adds: bool) -> Any:
        if not adds:
            self._wait(futures)
            if any(future.status != "finished" for future in futures):
                return Absent(())
            answers = self.client.gather(futures)
            if any(isinstance(answer, Failed | Absent) for answer in answers):
                return parts.join(*answers)
            return sorted((pair for answer in answers for pair in answer), key=lambda pair: pair[0])
        while len(futures) > 1:
            groups = [futures[first : first + FAN_IN] for first in range(0, len(futures), FAN_IN)]
            futures = [group[0] if len(group) == 1 else self.client.submit(parts.join, *group, pure=False)
                       for group in groups]  # fmt: skip
        self._wait(futures)
        return futures[0].result() if futures[0].status == "finished" else Absent(())

    def _wait(self, futures: list[Any]) -> None:
        """Until they are done, or cannot be done any more: what they needed was lost with a worker."""
        from distributed import KilledWorker, wait
        from distributed import TimeoutError as Timeout

        while futures:
            try:
                with self.client.as_current():
                    wait(futures, timeout=POLL)
                break
            except Timeout:
                self._give_up_on_the_lost()
            except (CancelledError, Cancelled):
                self.live()  # or the scheduler is gone
                break
        for future in futures:
            cause = future.exception() if future.status == "error" else None
            if cause is not None and not isinstance(cause, KilledWorker | CancelledError | Cancelled):
                text = str(cause).partition("\n")[0]
                raise ClusterError(f"a task failed: {type(cause).__name__}: {text}", self._address()) from cause

    def _give_up_on_the_lost(self) -> None:
        """Cancel tasks whose worker is gone: with no worker left for a moment, Dask keeps them for that one only."""
        live = self.live()
        stranded = [future for future, address in self._targets.items() if not future.done() and address not in live]
        if stranded:
            self.client.cancel(stranded, force=True)

    def _hopeless(self) -> ClusterError:
        return ClusterError(f"its workers lost what they were sent {MOST_ROUNDS} times in a row", self._address())

    def _gone(self) -> ClusterError:
        return ClusterError("the scheduler does not answer any more", self._address())

    def _address(self) -> str:
        return str(getattr(self.client.scheduler, "address", "the scheduler"))


def _clients(dask_scheduler: Any = None) -> list[str]:
    return list(dask_scheduler.clients)
