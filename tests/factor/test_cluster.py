"""V on real worker processes: the same answer as on one machine, whatever becomes of them."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nmfcompress import SweepRecord, factorize, transform
from nmfcompress.errors import ClusterError, InputError, UsageError
from nmfcompress.factor import cluster, parts, placement, scheduler
from nmfcompress.factor.cluster import Cluster, Far
from nmfcompress.factor.crew import Order
from nmfcompress.factor.objectives import objective_for
from nmfcompress.factor.scheduler import connect
from nmfcompress.factor.sums import Codes
from nmfcompress.settings import Fit

pytest.importorskip("distributed", reason="needs the dask extra")
cloudpickle = pytest.importorskip("cloudpickle")
cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import the tests


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Two worker processes; those that a test kills come again."""
    with connect("local:2") as client:
        yield client


def made(m: int = 6000, n: int = 300, kind: str = "uint8", rank: int = 6) -> np.ndarray:
    """V of rank 6 and noise."""
    rng = np.random.default_rng(1)
    V = rng.gamma(0.5, size=(m, rank)) @ rng.gamma(0.5, size=(rank, n)) * rng.uniform(0.7, 1.3, (m, n))
    V /= V.max()
    return np.rint(V * 255).astype(np.uint8) if kind == "uint8" else V.astype(kind)


class Stored:
    """Rows of an npy file that every process reads for itself; it can end the process that reads for the last time."""

    def __init__(self, path: Path, deadly_at: int = 0):
        header = np.load(path, mmap_mode="r")
        self.path, self.shape, self.dtype = path, header.shape, header.dtype
        self.deadly_at, self.reads = deadly_at, 0

    def __getitem__(self, rows: slice) -> np.ndarray:
        self.reads += rows.stop - rows.start > 1  # a sample is read row by row
        flag = self.path.with_suffix(".killed")
        if self.reads == self.deadly_at and not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return np.array(np.load(self.path, mmap_mode="r")[rows])


def share(of: float) -> None:
    from nmfcompress.factor import parts

    parts.SHARE = of


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("uint8", {"max_sweeps": 8}),
        ("uint8", {"init": "random", "max_sweeps": 8, "restarts": 2}),
        ("float32", {"init": "random", "max_sweeps": 8, "inner": 1}),
        ("float64", {"solver": "hals", "max_sweeps": 6}),
        ("uint8", {"divergence": "kl", "max_sweeps": 3}),
        ("float32", {"init": "nndsvda", "max_sweeps": 3}),
    ],
)
def test_the_loss_is_that_of_one_machine(client: Any, kind: str, options: dict[str, Any]) -> None:
    V = made(12000 if options == {"max_sweeps": 8} else 3000, 200, kind)
    here = factorize(V, 4, rng=0, **options)
    with Cluster(V, client) as crew:
        there = factorize(crew, 4, rng=0, **options)
    assert there.loss == pytest.approx(here.loss, rel=1e-5)
    assert [r.reads for r in there.records] == [r.reads for r in here.records]
    np.testing.assert_allclose(there.W @ there.H, here.W @ here.H, atol=1e-2)
    assert (there.W.dtype, there.W.shape) == (here.W.dtype, here.W.shape)


def displaced(array: np.ndarray) -> np.ndarray:
    """The same array at an odd address, as one may arrive from another process."""
    room = np.empty(array.nbytes + 1, np.uint8)
    room = room[1 - room.ctypes.data % 2 :][: array.nbytes]
    moved: np.ndarray = room.view(array.dtype).reshape(array.shape)
    moved[...] = array
    return moved


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"solver": "hals"}, {"divergence": "kl"}], ids=str)
def test_where_an_array_lies_in_memory_changes_no_bit(dtype: str, options: dict[str, Any]) -> None:
    V, H = made(500, kind=dtype), np.random.default_rng(0).random((6, 300)).astype(dtype)
    fit, rows = Fit(6, **options), slice(0, 500)
    found = []
    for move in (np.asarray, displaced):
        part = parts.Part(move(V), rows, 200)
        objective = objective_for(fit, part.crew.moments(), 1e-9, V.shape)
        order = Order(objective, move(H), Codes.UPDATE)
        sums = part.sweep(parts.Mark(1, order, np.full((6, 1), 0.1, dtype), fresh=True))
        found.append([part.crew.codes(), *vars(sums).values()])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_run_on_the_same_workers_repeats_to_the_bit(client: Any) -> None:
    V, bits = made(), set()
    for _ in range(4):
        with Cluster(V, client) as crew:
            found = factorize(crew, 6, max_sweeps=4, tol=0, init="random", inner=1)
            bits.add(found.W.tobytes() + found.H.tobytes())
    assert len(bits) == 1


def test_a_dask_array_gives_one(client: Any) -> None:
    import dask.array as da

    V = made()
    here = factorize(V, 4, rng=0, max_sweeps=10)
    with client.as_current():
        there = factorize(da.from_array(V, chunks=(700, 100)), 4, rng=0, max_sweeps=10)
        W = there.W.compute()
        shares = there.shares()
    assert there.loss == pytest.approx(here.loss, rel=1e-5)
    assert there.W.chunks[0][:2] == (700, 700)
    assert np.linalg.norm(V / 255 - W @ there.H) == pytest.approx(there.loss, rel=1e-4)
    np.testing.assert_allclose(shares, here.shares(), rtol=1e-3)


def test_codes_under_a_basis(client: Any) -> None:
    V = made(2000)
    found = factorize(V, 4, rng=0, max_sweeps=5)
    with Cluster(V, client) as crew:
        np.testing.assert_allclose(transform(crew, found.H), transform(V, found.H), atol=1e-5)


def test_a_checkpoint_goes_on_elsewhere(client: Any) -> None:
    V, kept = made(3000), []
    whole = factorize(V, 4, rng=0, max_sweeps=8, tol=0)
    with Cluster(V, client) as crew:
        factorize(crew, 4, rng=0, max_sweeps=5, tol=0, on_checkpoint=lambda take, last: kept.append(take()))
    here = factorize(V, 4, rng=0, max_sweeps=8, tol=0, resume=kept[-1])
    with Cluster(V, client) as crew:
        there = factorize(
            crew, 4, rng=0, max_sweeps=8, tol=0, resume=kept[-1], on_checkpoint=lambda take, last: kept.append(take())
        )
    assert here.loss == pytest.approx(whole.loss, rel=1e-5)
    assert there.loss == pytest.approx(whole.loss, rel=1e-5)


def test_chunks_of_w_are_solved_again_when_their_worker_is_lost(client: Any) -> None:
    import dask.array as da

    V = made(3000)
    with client.as_current():
        found = factorize(da.from_array(V, chunks=(500, -1)), 4, rng=0, max_sweeps=5)
        before = found.W.compute()
        kill_one(client)
        np.testing.assert_allclose(found.W.compute(), before, atol=1e-4)
    client.wait_for_workers(2, timeout=30)


def kill_one(client: Any) -> None:
    victim = next(iter(client.run(parts.pid).values()))
    os.kill(victim, signal.SIGKILL)
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            if victim not in client.run(parts.pid).values():
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError("the worker lives on")


def test_a_worker_killed_in_the_middle_of_a_sweep_costs_time_only(client: Any, tmp_path: Path) -> None:
    V = made(20000, 300)
    np.save(tmp_path / "V.npy", V)
    here = factorize(V, 5, rng=0, max_sweeps=20, tol=0)
    client.wait_for_workers(2, timeout=30)
    client.run(share, 0.0)  # rows are read anew in every sweep, so that the file knows when to kill
    own = len(parts.Plan.of(V.shape, np.dtype(np.float32))) / 2
    with Cluster(Stored(tmp_path / "V.npy", deadly_at=int(6.5 * own)), client) as crew:
        there = factorize(crew, 5, rng=0, max_sweeps=20, tol=0)
        assert (tmp_path / "V.killed").exists()
    assert there.loss == pytest.approx(here.loss, rel=1e-3)
    client.wait_for_workers(2, timeout=30)
    client.run(share, 0.5)


def test_rows_that_were_sent_are_sent_again_to_those_that_are_left(client: Any) -> None:
    V = made(20000, 300)
    here = factorize(V, 5, rng=0, max_sweeps=30, tol=0)
    client.wait_for_workers(2, timeout=30)
    victim = next(iter(client.run(parts.pid).values()))

    def kill(record: SweepRecord) -> None:
        if record.sweep == 5:
            threading.Timer(0.01, os.kill, (victim, signal.SIGKILL)).start()

    with Cluster(V, client) as crew:
        there = factorize(crew, 5, rng=0, max_sweeps=30, tol=0, on_sweep=kill)
    assert there.loss == pytest.approx(here.loss, rel=1e-3)
    client.wait_for_workers(2, timeout=30)


def test_a_worker_killed_while_rows_are_sent_to_it(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    V, killed = made(6000, 300), []

    class Sent:
        """Rows of an array, which cannot be pickled and so go from here."""

        shape, dtype = V.shape, V.dtype

        def __reduce__(self) -> Any:
            raise TypeError("not this one")

        def __getitem__(self, rows: slice) -> np.ndarray:
            if rows.start > 3000 and not killed:
                killed.append(next(iter(client.run(parts.pid).values())))
                os.kill(killed[0], signal.SIGKILL)
            return V[rows]

    monkeypatch.setattr(placement, "PIECE_BYTES", 300_000)
    client.wait_for_workers(2, timeout=30)
    here = factorize(V, 4, rng=0, init="random", max_sweeps=5)
    with Cluster(Sent(), client) as crew:
        there = factorize(crew, 4, rng=0, init="random", max_sweeps=5)
    assert killed
    assert there.loss == pytest.approx(here.loss, rel=1e-5)
    client.wait_for_workers(2, timeout=30)


def wire() -> int:
    """Bytes that have gone through this process's TCP connections, in and out, as the kernel counts them."""
    moved = 0
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError, struct.error):  # it is no connection, or closed by now
            one = socket.socket(fileno=int(name))
            try:
                moved += sum(struct.unpack_from("QQ", one.getsockopt(socket.IPPROTO_TCP, 11, 136), 120))  # TCP_INFO
            finally:
                one.detach()
    return moved


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel counts the bytes")
def test_traffic_does_not_grow_with_the_rows(client: Any) -> None:
    client.wait_for_workers(2, timeout=30)
    k, n, sweeps = 40, 1500, 6
    moved = []
    for m in (1500, 6000):
        counts: list[int] = []

        def count(record: SweepRecord, counts: list[int] = counts) -> None:
            if record.sweep in (2, 2 + sweeps):
                counts.append(sum(client.run(wire).values()))

        with Cluster(made(m, n), client) as crew:
            factorize(crew, k, init="random", max_sweeps=sweeps + 3, tol=0, inner=1, on_sweep=count)
        moved.append((counts[1] - counts[0]) / sweeps / 2)
    assert moved[1] == pytest.approx(moved[0], rel=0.05)
    assert moved[1] < 6 * k * n * 8  # H in floats, and sums in doubles in and out


@pytest.mark.parametrize("kind", ["sent", "read", "dask"])
def test_nan_names_the_row_of_the_whole(client: Any, tmp_path: Path, kind: str) -> None:
    import dask.array as da

    V = made(30000, 64, "float32")
    V[17 * 1000 + 5, 3] = np.nan
    np.save(tmp_path / "V.npy", V)
    read: Any = {"sent": V, "read": Stored(tmp_path / "V.npy"), "dask": da.from_array(V, chunks=(2000, 50))}[kind]
    with (
        pytest.raises(InputError, match=r"^V has NaN or infinite values, first in row 17,005 "),
        Cluster(read, client) as crew,
    ):
        factorize(crew, 3, max_sweeps=2)


def test_what_a_worker_cannot_read_names_rows_and_reason(client: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "V.npy", made(3000, 100))
    V = Stored(tmp_path / "V.npy")
    (tmp_path / "V.npy").unlink()
    with (
        pytest.raises(InputError, match=r"^rows 0 to \d[\d,]* on worker tcp://\S+: FileNotFoundError: .*V\.npy"),
        Cluster(V, client) as crew,
    ):
        factorize(crew, 3, max_sweeps=2)


def test_w_that_stays_with_its_workers(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    V = made(3000)
    here = factorize(V, 4, rng=0, init="random", max_sweeps=5).sorted()
    monkeypatch.setattr(cluster, "GATHERED", 0)
    with Cluster(V, client) as crew:
        there = factorize(crew, 4, rng=0, init="random", max_sweeps=5).sorted()
        assert isinstance(there.W, Far)
        np.testing.assert_allclose(there.shares(), here.shares(), rtol=1e-5)
        np.testing.assert_allclose(there.W[1234:1300], here.W[1234:1300], atol=1e-4)
        with pytest.raises(IndexError, match="first:last"):
            there.W[3]


def test_workers_forget_when_the_run_is_over(client: Any) -> None:
    def runs(dask_worker: Any = None) -> int:
        return len(vars(dask_worker).get("nmfcompress_runs", {}))

    with Cluster(made(1000), client) as crew:
        factorize(crew, 3, max_sweeps=2)
        assert set(client.run(runs).values()) == {1}
    assert set(client.run(runs).values()) == {0}


def test_what_cannot_be_done_is_said(client: Any) -> None:
    import dask.array as da

    V = made(500)
    array = da.from_array(V, chunks=100)
    with pytest.raises(UsageError, match="masks are for one machine"), Cluster(V, client) as crew:
        factorize(crew, 3, mask=V > 0)
    with pytest.raises(InputError, match=r"unknown sizes \(V.compute_chunk_sizes\(\) finds them\)"):
        Cluster(array[array[:, 0] > 3], client)
    with pytest.raises(UsageError, match="there is no client"):
        factorize(array, 3)
    with pytest.raises(InputError, match="V has type int64"):
        Cluster(V.astype(int), client)
    for wrong in ("local:0", "local:x", "host:8786", ""):
        with pytest.raises(UsageError, match="expected an address"), connect(wrong):
            pass


def test_a_scheduler_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert scheduler.CONNECT == 10
    monkeypatch.setattr(scheduler, "CONNECT", 1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(ClusterError, match=f"^{address}: no scheduler answers there") as caught, connect(address):
            pass
    assert time.monotonic() - began < 10  # a guard: the figure is 1
    assert "\n" not in str(caught.value)


def test_dask_is_not_imported_unless_asked_for() -> None:
    code = "import sys, nmfcompress, nmfcompress.factor.cluster; sys.exit('dask' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_a_last_worker_that_is_lost_is_waited_for() -> None:
    """Dask would keep what was asked of it for its address, at which no worker comes again."""
    V = made(1500)
    with connect("local:1") as client:

        def kill(record: SweepRecord) -> None:
            if record.sweep in (2, 4):
                os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)

        with Cluster(V, client) as crew:
            found = factorize(crew, 4, max_sweeps=8, tol=0, on_sweep=kill)
    alone = factorize(V, 4, max_sweeps=8, tol=0)
    np.testing.assert_allclose(found.loss, alone.loss, rtol=2e-2)  # a solve in mid-run goes another way, from random
    assert len(found.records) == 8
