"""Many inputs: what one bad file costs, several at once, and how all of it ends."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import pytest
from commands import COMMAND, environment, frames, log, picture, real, timeless, tones, written
from containers_made import single
from PIL import Image

from nmfcompress import metrics
from nmfcompress.cli.processes import Processes
from nmfcompress.errors import InputError

QUICK = ("-k", 1, "-n", 2, "--write", "image")
ENDLESS = ("-k", 8, "-n", 10**7, "--tol", 0, "--write", "image")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are told by /proc")


def pictures(folder: Path, count: int, **more: object) -> list[str]:
    """Small pictures; their names."""
    names = [f"{place:03}.png" for place in range(count)]
    for place, name in enumerate(names):
        picture(folder / name, seed=place, **more)  # type: ignore[arg-type]
    return names


# One bad file


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


BAD = {
    "no picture": lambda path: path.write_bytes(b"<html>not found</html>"),
    "empty": lambda path: path.write_bytes(b""),
    "cut off": _cut,
    "missing": Path.unlink,
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "rank above its side": lambda path: Image.new("L", (1, 1)).save(path),
}


@pytest.mark.parametrize("kind", BAD)
def test_one_bad_file_in_a_hundred_costs_that_file(run, tmp_path, kind):
    names = pictures(tmp_path, 100, size=(6, 4))
    BAD[kind](tmp_path / "040.png")
    said = run("compress", *names, "-k", 2, "-n", 2, "--write", "image")
    assert said.code == 1
    assert written(tmp_path / "nmfc-out") == [name for name in names if name != "040.png"]
    lines = said.err.splitlines()
    assert lines[0].startswith("nmfc: 040.png: "), lines[0]
    assert lines[-1] == "nmfc: 1 failed: 040.png"
    assert "... and 79 more" in lines
    assert "Traceback" not in said.err


@pytest.mark.parametrize(("words", "measured"), [("", 20), ("-q", 0), ("--json", 42), ("-q --write compare", 42)])
def test_only_figures_that_are_shown_are_computed(run, tmp_path, monkeypatch, words, measured):
    names, calls = pictures(tmp_path, 43), []
    (tmp_path / "005.png").write_bytes(b"none")
    psnr = metrics.psnr
    monkeypatch.setattr(metrics, "psnr", lambda *args: calls.append(args) or psnr(*args))
    said = run("compress", *names, *QUICK, "-j", 1, "-O", "out", *words.split())
    assert said.code == 1
    assert measured <= len(calls) <= measured + (0 if words else 6)  # a few small pictures are worked on together
    assert words or "... and 22 more" in said.err.splitlines()


@pytest.mark.parametrize("jobs", [1, 3])
def test_fail_fast_ends_the_run(run, tmp_path, jobs):
    names = pictures(tmp_path, 9)
    (tmp_path / "003.png").write_bytes(b"none")
    (tmp_path / "007.png").write_bytes(b"none")
    said = run("compress", *names, *QUICK, "--fail-fast", "-j", jobs)
    assert said.code == 1
    assert written(tmp_path / "nmfc-out") == names[:3]
    assert "nmfc: stopped by --fail-fast: 5 inputs not looked at" in said.err.splitlines()
    assert said.err.splitlines()[-1] == "nmfc: 1 failed: 003.png"
    assert "007" not in said.err
    quiet = run("compress", *names, *QUICK, "--fail-fast", "-j", jobs, "-q", "-f")
    assert quiet.code == 1
    assert quiet.err.count("\n") == 1
    assert run("compress", *names, *QUICK, "-f", "-j", jobs).err.splitlines()[-1] == "nmfc: 2 failed: 003.png, 007.png"


@pytest.mark.parametrize("command", ["decompress", "verify", "info"])
def test_fail_fast_of_the_others(run, tmp_path, command):
    for name in ("a", "c", "d"):
        single(tmp_path / f"{name}.nmfc")
    (tmp_path / "b.nmfc").write_bytes(b"none")
    said = run(command, "a.nmfc", "b.nmfc", "c.nmfc", "d.nmfc", "--fail-fast")
    assert said.code == 1
    assert "nmfc: stopped by --fail-fast: 2 inputs not looked at" in said.err.splitlines()
    assert "c.nmfc" not in said.out + said.err
    assert not (tmp_path / "nmfc-out/c.png").exists()
    last = run(command, "a.nmfc", "b.nmfc", "--fail-fast", "-O", "x") if command == "decompress" else None
    assert last is None or "not looked at" not in last.err, "there was none left"
    assert run(command, "a.nmfc", "b.nmfc", "c.nmfc", *(["-f"] if command == "decompress" else [])).code == 1


# Several at once


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inputs of every kind, some of them bad."""
    folder = tmp_path_factory.mktemp("mixed")
    for place, mode in enumerate(("L", "RGB", "RGBA", "CMYK", "L", "RGB")):
        picture(folder / f"{place}.{'tif' if mode == 'CMYK' else 'png'}", mode)
    Image.fromarray(tones(20, 30).astype(np.uint16) * 257).save(folder / "deep.png")
    frames(folder / "frames.gif")
    (folder / "1bad.png").write_bytes(b"none")
    Image.new("L", (1, 1)).save(folder / "2small.png")
    images = np.stack([tones(14, 12, seed=seed) for seed in range(7)])
    np.savez(folder / "many.npz", images=images, labels=np.array(["=1", "b", "\x1b[2J", "d", "é", "f", "a/b"]))
    np.savez(folder / "nan.npz", images=np.where(images > 200, np.nan, images / 255))
    return folder


def spoken(done: subprocess.CompletedProcess[bytes]) -> tuple[int, list[dict[str, object]], list[str]]:
    """What a run said, the seconds left out."""
    told = [{k: v for k, v in json.loads(one).items() if k != "seconds"} for one in done.stdout.splitlines()]
    lines = [re.sub(r" +[0-9.]+$", "", one) for one in done.stderr.decode().replace(" seconds", "").splitlines()]
    return done.returncode, told, lines


FEW = ("--write", "image,csv")


@pytest.mark.parametrize(
    ("jobs", "more"),
    [((1, 2, 3), ("--json", "-v")), ((1, 3), ("--fail-fast", *FEW)), ((1, 3), ("--frame", "all", *FEW)),
     ((1, 3), ("--skip-existing", *FEW))],
    ids=["json", "fail-fast", "frames", "skip-existing"],
)  # fmt: skip
def test_several_at_once_are_the_same_to_the_byte(mixed, tmp_path, jobs, more):
    found = []
    for count in jobs:
        folder = tmp_path / str(count)
        if "--skip-existing" in more:
            folder.mkdir()
            for name in ("0.png", "many-3-labeld.png", "many-5-labelf.png"):
                picture(folder / name)
        words = ("-r", ".", "many.npz", "nan.npz", "-k", 2, "-n", 5, "-j", count, "-O", folder)
        code, told, lines = spoken(real(mixed, "compress", *words, *more))
        text = json.dumps([told, lines]).replace(str(folder), "OUT")
        found.append((code, text, timeless(folder)))
    assert found[0][0] == 1
    assert all(one == found[0] for one in found)
    assert len(found[0][2]) > (1 if "--fail-fast" in more else 12)
    assert ("3 passed over" in found[0][1]) == ("--skip-existing" in more)


def test_the_images_of_one_archive_are_several(mixed, tmp_path):
    found, more = [], ("--write", "nmfc,compare,csv")
    for jobs in (1, 3):
        done = real(mixed, "compress", "many.npz", "-k", 2, "-n", 5, "-j", jobs, "-O", tmp_path / str(jobs), *more)
        assert done.returncode == 0
        found.append(timeless(tmp_path / str(jobs)))
    assert found[0] == found[1]
    assert len(found[0]) == 7 * 2 + 2


def test_names_that_clash_are_refused_in_the_order_of_the_inputs(run, tmp_path):
    """An archive's first image and a picture of that name."""
    np.savez(tmp_path / "a.npz", images=np.stack([tones(10, 8, seed=seed) for seed in range(3)]))
    picture(tmp_path / "a-1.png")
    for jobs in (1, 3):
        said = run("compress", "a-1.png", "a.npz", *QUICK, "-f", "-j", jobs)
        assert said.code == 1
        assert "a-1.png: is an output of this run already, for another input" in said.err
        said = run("compress", "a.npz", "a-1.png", *QUICK, "-f", "-j", jobs)
        assert said.err.splitlines()[-1] == "nmfc: 1 failed: a-1.png"


def test_one_bar_for_all(tmp_path):
    names = pictures(tmp_path, 5)
    done = real(tmp_path, "compress", *names, *QUICK, "--progress", "always", "--json")
    shown = done.stderr.decode()
    assert re.search(r" \d/5 \[.*picture/s", shown)
    assert "sweep" not in shown
    assert done.stdout.count(b"\n") == 5
    np.savez(tmp_path / "a.npz", images=np.stack([tones(10, 8, seed=seed) for seed in range(3)]))
    more = real(tmp_path, "compress", "a.npz", *names[:2], *QUICK, "-f", "--progress", "always").stderr.decode()
    assert re.search(r" \d/5 \[", more)


# How it ends


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                fields = Path(f"/proc/{name}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[1]) == pid and fields[0] != "Z":
                found.append(int(name))
    return found


def working(folder: Path, *more: object) -> subprocess.Popen[bytes]:
    """A run that does not end by itself, two processes of it at work."""
    words = [*COMMAND, "compress", *pictures(folder, 6), *map(str, ENDLESS), "-j", "2", *map(str, more)]
    process = subprocess.Popen(
        words, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while len(children(process.pid)) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


@on_linux
@pytest.mark.parametrize(
    ("number", "whole", "code"),
    [(signal.SIGINT, True, 130), (signal.SIGINT, False, 130), (signal.SIGTERM, True, 143)],
    ids=["terminal", "process", "terminated"],
)  # fmt: skip
def test_all_stop_at_once(tmp_path, number, whole, code):
    process = working(tmp_path)
    below = children(process.pid)
    os.killpg(process.pid, number) if whole else process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert err.decode().split("\n")[-2:] == ["nmfc: interrupted" if code == 130 else "nmfc: terminated", ""]
    assert err.count(b"nmfc: ") == 1
    assert out == b""
    assert not any(Path(f"/proc/{pid}").exists() for pid in below)
    assert written(tmp_path) == [f"{place:03}.png" for place in range(6)]


@on_linux
def test_nobody_works_on_after_a_kill(tmp_path):
    process = working(tmp_path)
    below = children(process.pid)
    process.kill()
    process.communicate(timeout=30)
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in below):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@on_linux
def test_a_process_that_is_killed_costs_its_picture(tmp_path):
    process = working(tmp_path, "--json")
    deadline, killed = time.monotonic() + 60, set()
    while process.poll() is None and time.monotonic() < deadline:
        for pid in set(children(process.pid)) - killed:
            killed.add(pid)
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 1
    lines = err.decode().splitlines()
    assert [one[:14] for one in lines[:-1]] == [f"nmfc: {place:03}.png:" for place in range(6)]
    assert all(
        "was ended by signal 9 (expected a result; if memory is short, pass a smaller -j)" in one for one in lines[:-1]
    )
    assert lines[-1].startswith("nmfc: 6 failed: 000.png")
    assert out == b""


def test_small_pictures_that_are_worked_on_together_give_the_files_of_each_alone(run, tmp_path):
    """Also where some are left as they are, one is broken, and sizes change in between."""
    names = pictures(tmp_path, 60, size=(16, 12))
    for place in (20, 21, 40):
        picture(tmp_path / names[place], seed=place, size=(9, 12), mode="RGB")
    (tmp_path / names[33]).write_bytes(b"none")
    Image.new("L", (16, 12), 0).save(tmp_path / names[50])
    given = ("-k", 3, "-n", 5, "--write", "image,nmfc,csv")
    for name in names:
        assert run("compress", name, *given, "-O", "alone").code == (name == names[33])
    expected = timeless(tmp_path / "alone")
    expected.pop("loss.csv")
    assert len(expected) == 2 * 59
    for jobs in (1, 2, 3):
        run("compress", *names[30:36:2], *given, "-O", f"out{jobs}")
        assert run("compress", *names, *given, "-j", jobs, "-O", f"out{jobs}").code == 1
        found = timeless(tmp_path / f"out{jobs}")
        assert len(found.pop("loss.csv")) == 59 * 5
        assert found == expected


# The processes themselves


class Piece:
    """A piece of work for `made`."""

    def __init__(self, value: int, needs: int = 0, together: int = 1):
        self.value, self.needs, self.together = value, needs, together
        self.alike = value > 90

    @property
    def job(self) -> Piece | None:
        return self if self.value else None


def made(pieces: list[Piece]) -> list[tuple[int, float, float]]:
    began = time.monotonic()
    for piece in pieces:
        time.sleep(0.05 if piece.value % 3 == 1 else 0.01)
        if piece.value == 13:
            os.kill(os.getpid(), signal.SIGKILL)
        if piece.value == 17:
            raise np.linalg.LinAlgError("singular")
        if piece.value == 19:
            raise Odd(1)
    return [(piece.value, began, time.monotonic()) for piece in pieces]


class Odd(Exception):
    """An error that does not come through a pipe as it is."""

    def __init__(self, one: int):
        super().__init__(one)
        self.call = lambda: one  # no pickle holds it, whatever the packages that are there teach pickle


def results(count: int, values: Iterable[int], needs: int = 0, room: int = 100, together: int = 1) -> list[object]:
    found: list[object] = []
    with Processes(count, made, room) as processes:
        for step, result in processes.each(Piece(value, needs, together) for value in values):
            try:
                found.append(result() if step.job else None)
            except Exception as error:
                found.append(error)
    return found


def test_results_come_in_order_whatever_happens_to_some():
    found = results(3, [1, 2, 0, 3, 13, 4, 17, 5, 19, 0, 6])
    assert [one[0] for one in found if isinstance(one, tuple)] == [1, 2, 3, 4, 5, 6]
    assert found[2] is None
    assert isinstance(found[4], InputError)
    assert isinstance(found[6], np.linalg.LinAlgError)
    assert "in made" in "".join(found[6].__notes__)
    assert str(found[8]) == "Odd: 1"


@pytest.mark.parametrize("count", [1, 3])
def test_pieces_that_are_alike_are_worked_on_together(count):
    """Whatever happens to one costs no other; the more there have been the more go together."""
    fatal = [13] if count > 1 else []
    values = [0, *[2] * 60, 17, 2, 0, *fatal, 2, 95, 98, 19, 2]
    found = results(count, values, together=8)
    errors = [17, *fatal, 19]
    assert [one[0] for one in found if isinstance(one, tuple)] == [v for v in values if v and v not in errors]
    assert [value for value, one in zip(values, found, strict=True) if isinstance(one, Exception)] == errors
    assert [value for value, one in zip(values, found, strict=True) if one is None] == [0, 0]
    began = [one[1] for one in found[1:61]]  # type: ignore[index]
    sizes = [len(list(same)) for _, same in groupby(began)]
    assert sizes[0] == 1
    assert (8 if count == 1 else 4) <= max(sizes) <= 8


def test_no_more_are_worked_on_together_than_there_is_room_for():
    found = results(1, [2] * 40, needs=8, room=100, together=8)
    assert max(len(list(same)) for _, same in groupby(one[1] for one in found)) == 3  # type: ignore[index]


@pytest.mark.parametrize(("needs", "together"), [(60, False), (500, False), (40, True)])
def test_pieces_at_work_share_the_memory(needs, together):
    found = sorted(one[1:] for one in results(2, [1, 4, 7, 10, 16], needs))  # type: ignore[index]
    assert any(a[1] > b[0] for a, b in pairwise(found)) == together


# Growth


@on_linux
@pytest.mark.parametrize(("what", "ending"), [("image,csv", "png"), ("nmfc", "nmfc")])
def test_memory_does_not_grow_and_no_file_stays_open(tmp_path, what, ending):
    pictures(tmp_path, 600, size=(16, 16))
    (tmp_path / "list").write_text("".join(f"{place:03}.png\n" for place in range(600)))
    words = [*COMMAND, "compress", "--files-from", "list", "-k", "1", "-n", "3", "--inner", "1", "-j", "1", "-q",
             "--write", what]  # fmt: skip
    with subprocess.Popen(words, cwd=tmp_path, env=environment()) as process:
        seen = []
        while process.poll() is None:
            if (tmp_path / f"nmfc-out/200.{ending}").exists():
                try:
                    files = len(os.listdir(f"/proc/{process.pid}/fd"))
                    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
                except OSError:
                    break
                seen += [(int(one.split()[1]), files) for one in lines if one.startswith("RssAnon")]
            time.sleep(0.01)
        assert process.wait(60) == 0
    assert len(seen) > 10
    assert max(memory for memory, _ in seen) <= 1.1 * seen[0][0]
    assert max(files for _, files in seen) <= 64
    assert len(list((tmp_path / "nmfc-out").glob(f"*.{ending}"))) == 600
    assert "csv" not in what or len(log(tmp_path / "nmfc-out")) == 3 * 600


@on_linux
def test_a_small_file_takes_little_time_of_its_own(tmp_path):
    """A guard: 2 ms of CPU is the figure, for a .nmfc of 16x16 beside factorizing; the start is left out."""
    pictures(tmp_path, 400, size=(16, 16))
    spent = []
    for count in (100, 400):
        (tmp_path / "list").write_text("".join(f"{place:03}.png\n" for place in range(count)))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        words = ("--files-from", "list", "-k", "1", "-n", "1", "--inner", "1", "-j", "1", "-q", "--write", "nmfc")
        assert real(tmp_path, "compress", *words, "-O", count).returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert len(list((tmp_path / str(count)).iterdir())) == count
    assert spent[1] - spent[0] < 300 * 0.020
