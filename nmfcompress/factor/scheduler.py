"""The scheduler that a cluster is reached by: one that is there, or one started here with workers of its own."""

from __future__ import annotations

import asyncio
import logging
import pkgutil
import re
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from types import FrameType
from typing import Any

from .. import __version__
from ..errors import ClusterError, ExtraMissing, UsageError

CONNECT = 10  # seconds for a scheduler to answer
ANY_PORT = "127.0.0.1:0"
SCHEDULER = re.compile(r"(tcp|tls|ucx|wss?)://.+:\d{1,5}|local:0*[1-9]\d{0,3}")
ENVIRONMENT = {  # of workers that are started here
    # Dask would have glibc give every freed page back, and each block fault its pages in anew
    "MALLOC_TRIM_THRESHOLD_": 2**28,
    "MALLOC_MMAP_THRESHOLD_": 2**25,
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": False,  # it looks at the stack a hundred times a second
    **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), 1),
}


def require() -> None:
    """Raise ExtraMissing unless Dask can be imported."""
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise ExtraMissing("work on a cluster", "dask") from None


@contextmanager
def connect(scheduler: str) -> Iterator[Any]:
    """A client of a scheduler.

    Parameters
    ----------
    scheduler : str
        Its address, such as tcp://host:8786; or local:N for one of our own with N processes on this machine, which
        end with the context.

    Raises
    ------
    UsageError, ExtraMissing
        `scheduler` is neither; Dask is not installed.
    ClusterError
        Nothing answers there.
    """
    if not SCHEDULER.fullmatch(scheduler):
        raise UsageError(f"--scheduler is {scheduler} (expected an address such as tcp://host:8786, or local:N)")
    require()
    for name in ("distributed", *logging.root.manager.loggerDict):  # what matters is raised, and said in one line
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        if scheduler.startswith("local:"):
            with _undisturbed():
                client = _started(int(scheduler.partition(":")[2]), stack)
        else:
            client = stack.enter_context(_reached(scheduler))
        yield client


def _reached(scheduler: str) -> Any:
    from distributed import Client

    try:
        with warnings.catch_warnings():  # other versions of other packages do not matter here
            warnings.simplefilter("ignore")
            asyncio.run(asyncio.wait_for(_identity(scheduler), CONNECT))
            client = Client(scheduler, timeout=CONNECT, set_as_default=False)
    except Exception as error:  # whatever else listens there may answer anything
        reason = str(error).partition("\n")[0] or type(error).__name__
        if isinstance(error, MemoryError):  # the first bytes of another protocol were taken for a length
            reason = "what answers is no part of Dask"
        raise ClusterError(f"no scheduler answers there ({reason})", scheduler) from error
    try:
        client.wait_for_workers(1, timeout=CONNECT)
        _check_versions(client, scheduler)
    except TimeoutError as error:
        client.close()
        raise ClusterError(f"has no workers, {CONNECT} s after it was asked", scheduler) from error
    except BaseException:
        client.close()
        raise
    return client


async def _identity(scheduler: str) -> None:
    """What a scheduler says of itself: a client of something else could be made, and not be ended again."""
    from distributed.core import rpc
    from distributed.security import Security

    async with rpc(scheduler, connection_args=Security().get_connection_args("client")) as asked:
        if (await asked.identity()).get("type") != "Scheduler":
            raise ValueError("it is a part of Dask, but no scheduler")


def _check_versions(client: Any, scheduler: str) -> None:
    """Workers must have this package too, in this version."""
    found = client.run(pkgutil.resolve_name, "nmfcompress:__version__", on_error="return")
    for worker, version in found.items():
        if isinstance(version, ImportError):
            raise ClusterError(f"its worker {worker} cannot import nmfcompress (install the same there)", scheduler)
        if version != __version__:
            raise ClusterError(f"its worker {worker} has nmfcompress {version} (here it is {__version__})", scheduler)


def _started(workers: int, stack: ExitStack) -> Any:
    import dask
    from distributed import Client, LocalCluster

    with dask.config.set({"distributed.nanny.pre-spawn-environ": ENVIRONMENT}):
        try:
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                silence_logs=logging.CRITICAL,
                # no dashboard, and the port that stays open without one is any, for this machine only
                dashboard_address=ANY_PORT,
                scheduler_kwargs={"dashboard": False},
            )
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]
            raise ClusterError(f"its processes could not be started ({reason})", f"local:{workers}") from error
    return stack.enter_context(Client(stack.enter_context(cluster), set_as_default=False))


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Signals wait until the workers are started, for what is half started cannot be closed.

    The threads that start workers, and those themselves, are born with SIGINT blocked: Ctrl-C reaches every process
    of a terminal, but it is this one that ends the others.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    came: list[int] = []

    def wait(number: int, frame: FrameType | None) -> None:
        came.append(number)

    resource_tracker.ensure_running()  # which would unblock it again
    before = signal.signal(signal.SIGTERM, wait)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        if came:
            signal.raise_signal(signal.SIGTERM)
