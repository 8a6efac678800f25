"""nmfc basis --scheduler: the real command with real workers, and what is left when it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from commands import COMMAND, SAMPLES, Done, environment, log, one_line, real, written

from nmfcompress.errors import OutputError
from nmfcompress.factor import cluster, scheduler
from nmfcompress.images.shards import Shards, write_shard

pytest.importorskip("distributed", reason="needs the dask extra")
DIGITS = SAMPLES / "digits.npz"


def below(pid: int) -> list[int]:
    """The processes that descend from one, as far as they are alive."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if state != "Z":
                parents[int(entry.name)] = int(parent)
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


def alive(pids: list[int]) -> list[int]:
    """Those that run still, or again a moment later."""
    for _ in range(50):
        left = []
        for pid in pids:
            try:
                if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                    left.append(pid)
            except OSError:
                pass
        if not left:
            return []
        time.sleep(0.1)
    return left


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done, Done]:
    """The same run here and on two workers."""
    folder = tmp_path_factory.mktemp("cluster")
    words = ("basis", DIGITS, "-k", 6, "-n", 15, "--json", "--progress", "always")
    return folder, real(folder, *words, "-O", "here"), real(folder, *words, "-O", "there", "--scheduler", "local:2")


def test_the_same_as_on_one_machine(done: tuple[Path, Done, Done]) -> None:
    folder, here, there = done
    assert there.returncode == 0, there.stderr
    a, b = json.loads(here.stdout), json.loads(there.stdout)
    assert b["workers"] == len(set(b["worker_pids"])) == 2
    assert "workers" not in a
    for key in ("loss", "relative_loss", "svd_floor", "psnr_db", "ssim"):
        assert b[key] == pytest.approx(a[key], rel=1e-5)
    assert written(folder / "there") == written(folder / "here")
    assert [row["sweep"] for row in log(folder / "there")] == [row["sweep"] for row in log(folder / "here")]
    with np.load(folder / "there/factors.npz") as X, np.load(folder / "here/factors.npz") as Y:
        assert sorted(X) == sorted(Y)
        np.testing.assert_allclose(X["W"] @ X["H"], Y["W"] @ Y["H"], atol=1e-3)


def test_nothing_is_said_but_what_is_always_said(done: tuple[Path, Done, Done]) -> None:
    _, here, there = done
    assert b"sweep" in there.stderr  # the bar
    assert b"distributed" not in there.stderr
    assert there.stderr.count(b"\n") == here.stderr.count(b"\n")


def test_a_large_w_is_written_by_its_owners(
    run: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "GATHERED", 1000)
    words = ("basis", DIGITS, "-k", 5, "-n", 5, "--json", "-O", "out")
    said = run(*words, "--scheduler", "local:2")
    assert said.code == 0, said.err  # type: ignore[attr-defined]
    outcome = json.loads(said.out)  # type: ignore[attr-defined]
    with np.load(tmp_path / "out/factors.npz") as factors:
        assert "W" not in factors
        names, rows, H = factors["W_files"], factors["W_rows"], factors["H"]
    assert len(names) >= 2
    assert {f"out/{name}" for name in names} <= set(outcome["outputs"])
    assert [rows[0, 0], rows[-1, 1]] == [0, 1800]
    assert (rows[1:, 0] == rows[:-1, 1]).all()
    W = np.concatenate([np.load(tmp_path / "out" / name) for name in names])
    with np.load(DIGITS) as arrays:
        V = arrays["x_train"].reshape(1800, -1) / 255
    assert np.linalg.norm(V - W @ H) == pytest.approx(outcome["loss"], rel=1e-4)


def test_shards_of_an_earlier_run_are_not_overwritten(tmp_path: Path) -> None:
    shards = Shards(str(tmp_path))
    shards.check(overwrite=False)
    write_shard(shards.path(0), np.ones((3, 2), np.float32))
    shards.check(overwrite=True)
    with pytest.raises(OutputError, match=r"W-00000\.npy: exists \(pass -f"):
        shards.check(overwrite=False)


def sweeping(process: subprocess.Popen[bytes], sweeps: int) -> None:
    """Wait until its bar shows so many sweeps."""
    assert process.stderr is not None
    seen = b""
    while not any(int(count) >= sweeps for count in re.findall(rb" (\d+)/", seen)):
        more = process.stderr.read1(4096)
        assert more, seen
        seen = seen[-200:] + more


def test_a_killed_worker_costs_time_only(tmp_path: Path) -> None:
    words = ["basis", str(DIGITS), "-k", "8", "-n", "60", "--tol", "0", "--json", "--write", "csv"]
    here = json.loads(real(tmp_path, *words, "-O", "here").stdout)
    with subprocess.Popen(
        [*COMMAND, *words, "-O", "there", "--scheduler", "local:2", "--progress", "always"],
        cwd=tmp_path, env=environment(), stdout=-1, stderr=-1,
    ) as process:  # fmt: skip
        sweeping(process, 20)
        workers = [pid for pid in below(process.pid) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        os.kill(workers[0], signal.SIGKILL)
        out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    assert json.loads(out)["loss"] == pytest.approx(here["loss"], rel=1e-3)
    assert b"Traceback" not in err


@pytest.mark.parametrize(
    ("number", "code", "when"),
    [(signal.SIGINT, 130, "early"), (signal.SIGINT, 130, "late"), (signal.SIGTERM, 143, "late")],
)
def test_no_process_is_left_when_it_is_stopped(tmp_path: Path, number: int, code: int, when: str) -> None:
    process = subprocess.Popen(
        [*COMMAND, "basis", str(DIGITS), "-k", "8", "-n", "100000", "--tol", "0", "--scheduler", "local:2",
         "--progress", "always"], cwd=tmp_path, env=environment(), stdout=-1, stderr=-1, start_new_session=True,
    )  # fmt: skip
    if when == "late":
        sweeping(process, 5)
    else:  # the workers are being started
        until = time.monotonic() + 20
        while len(below(process.pid)) < 2 and time.monotonic() < until:
            time.sleep(0.01)
    children = below(process.pid)
    assert children
    os.killpg(process.pid, number)  # as a terminal does
    _, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    assert err.endswith({130: b"nmfc: interrupted\n", 143: b"nmfc: terminated\n"}[code])
    assert b"Traceback" not in err
    assert alive(children) == []


def test_a_scheduler_that_is_not_there_is_one_line(run: Callable[..., object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "CONNECT", 1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        said = run("basis", DIGITS, "-k", 3, "--scheduler", address)
    assert said.code == 1  # type: ignore[attr-defined]
    one_line(said.err, address, "no scheduler answers")  # type: ignore[attr-defined]


def test_wrong_words_are_wrong_usage(run: Callable[..., object]) -> None:
    for words in (
        ("--scheduler", "local:0"),
        ("--scheduler", "nowhere"),
        ("--scheduler", "local:2", "--mask", "m.png"),
    ):
        said = run("basis", DIGITS, "-k", 3, *words)
        assert said.code == 2  # type: ignore[attr-defined]
        one_line(said.err, words[0])  # type: ignore[attr-defined]


def test_without_dask_one_line_says_what_to_install(
    run: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    said = run("basis", DIGITS, "-k", 3, "--scheduler", "local:2")
    assert said.code == 2  # type: ignore[attr-defined]
    one_line(said.err, "pip install 'nmfcompress[dask]'")  # type: ignore[attr-defined]


def test_dask_is_not_imported_without_it(tmp_path: Path) -> None:
    code = (
        "import sys; from nmfcompress.cli.main import _run; "
        f"_run(['basis', {str(DIGITS)!r}, '-k', '2', '-n', '2', '-q', '--no-plot']); sys.exit('dask' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment(), timeout=60).returncode == 0


def test_a_port_that_is_taken_does_not_matter(run):
    """8787 is where Dask shows how it does, by default."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # taken by somebody else, then
            taken.bind(("", 8787))
            taken.listen()
        said = run("basis", DIGITS, "-k", 2, "-n", 1, "--scheduler", "local:1", "--write", "csv", "--no-plot")
    assert said.code == 0, said.err
    assert "8787" not in said.err


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(b"HTTP/1.1 400 Bad Request\r\n\r\n", "(what answers is no part of Dask)"), (b"", "")],
    ids=["a web server", "silence"],
)
def test_what_is_no_scheduler_is_one_line(run, answer, reason):
    """Its first bytes are no length of an answer to come: "HTTP/1.1" would be 3 EiB. Dask itself waits for silence."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def serve() -> None:
            with suppress(OSError), server.accept()[0] as connection:
                connection.sendall(answer)
                connection.settimeout(20)
                while connection.recv(4096):
                    pass

        threading.Thread(target=serve, daemon=True).start()
        port = server.getsockname()[1]
        said = run("basis", DIGITS, "-k", 2, "-n", 1, "--scheduler", f"tcp://127.0.0.1:{port}")
    assert said.code == 1
    one_line(said.err, "no scheduler answers there", reason)


@pytest.mark.parametrize("address", ["http://127.0.0.1:80", "ftp://a:1", "tcp://127.0.0.1:999999"])
def test_an_address_that_dask_does_not_know_is_wrong_usage(run, address):
    said = run("basis", DIGITS, "-k", 2, "--scheduler", address)
    assert said.code == 2
    one_line(said.err, address)


def test_workers_that_are_not_there_or_lack_the_package_are_said(run, tmp_path):
    """A scheduler with no workers; then with one that cannot import nmfcompress."""
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    dask = "import sys; sys.path = [p for p in sys.path if p]; "
    blind = dask + "sys.modules['nmfcompress'] = None; "
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    started = []

    def start(code: str, *words: str) -> None:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path, "env": bare}
        started.append(subprocess.Popen([sys.executable, "-c", code, *words], **quiet))

    try:
        start(
            dask + "from distributed.cli.dask_scheduler import main; main()",
            "--host", "127.0.0.1", "--port", str(port), "--dashboard-address", "127.0.0.1:0",
        )  # fmt: skip
        for _ in range(300):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.1)
        said = run("basis", DIGITS, "-k", 2, "--scheduler", address)
        assert said.code == 1
        one_line(said.err, "has no workers")
        start(
            blind + "from distributed.cli.dask_worker import main; main()",
            address, "--no-nanny", "--nthreads", "1", "--dashboard-address", "127.0.0.1:0",
        )  # fmt: skip
        for _ in range(3):  # a worker may take longer to start than is waited for it
            said = run("basis", DIGITS, "-k", 2, "--scheduler", address)
            if "has no workers" not in said.err:
                break
        assert said.code == 1
        one_line(said.err, "cannot import nmfcompress")
    finally:
        for process in started:
            process.kill()
            process.wait()
