"""--scheduler: the workers of a cluster, over the collection that a command has read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from ..errors import UsageError
from ..factor import cluster
from ..factor.cluster import Cluster, Far
from ..factor.scheduler import connect
from ..images.arrange import arrange_stack
from ..images.shards import Shards, write_shard
from ..settings import Reading

SHARDS = "factors"  # the folder of W where it is too large to be gathered


class Spread:
    """The cluster of one run of a command; without one, everything stays on this machine.

    Parameters
    ----------
    client : distributed.Client or None
    stack : ExitStack
        Closed before the client is.
    """

    def __init__(self, client: Any, stack: ExitStack):
        self._client, self._stack = client, stack
        self.crew: Cluster | None = None

    def over(self, images: Any) -> Cluster | None:
        """The crew for these images, one a row."""
        if self._client is not None:
            self.crew = self._stack.enter_context(Cluster(arrange_stack(images), self._client))
        return self.crew

    def rows_here(self, m: int, rank: int) -> int:
        """Of so many rows of W, how many come to this machine at a time."""
        return m if self._client is None else min(m, cluster.GATHERED // (4 * rank))

    def said(self) -> dict[str, Any]:
        """What --json tells of the workers."""
        if self.crew is None:
            return {}
        pids = self.crew.pids()
        return {"workers": len(pids), "worker_pids": tuple(pids)}


@contextmanager
def spread(scheduler: str | None, reading: Reading) -> Iterator[Spread]:
    """The cluster that --scheduler names, for as long as the outputs take."""
    if scheduler is None:
        yield Spread(None, ExitStack())
        return
    if reading.mask:
        raise UsageError("--mask is given with --scheduler (expected one of the two: masks are for one machine)")
    with connect(scheduler) as client, ExitStack() as stack:
        yield Spread(client, stack)


def write_factor(W: Any, folder: str, overwrite: bool) -> dict[str, np.ndarray]:
    """W as factors.npz has it: itself, or the files that its owners write below the folder, and the rows of each."""
    if not isinstance(W, Far):
        return {"W": W}
    shards = Shards(os.path.abspath(os.path.join(folder, SHARDS)))
    shards.check(overwrite)
    rows = W.write(shards.path, write_shard)
    names = [os.path.join(SHARDS, os.path.basename(shards.path(i))) for i in range(len(rows))]
    return {"W_files": np.array(names), "W_rows": np.array([(one.start, one.stop) for one in rows])}
