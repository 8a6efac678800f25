"""stdin, stdout, stderr and signals, through a real shell: each of their troubles has its answer."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import struct
import subprocess
import time
import zipfile
from pathlib import Path

import pytest
from commands import (
    COMMAND,
    SAMPLES,
    Done,
    environment,
    log,
    mode_and_size,
    one_line,
    picture,
    real,
    shell,
    written,
)
from PIL import Image

from nmfcompress import decode_image

pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")
FAST = "-k 2 -n 5"
PIPED = f"nmfc compress a.png {FAST} -o - --to png"
PACKED = f"nmfc compress a.png {FAST} -o -"
JSON = f"nmfc compress a.png {FAST} --json"


@pytest.fixture
def here(tmp_path):
    picture(tmp_path / "a.png")
    return tmp_path


def silent(done: Done) -> None:
    assert (done.stdout, done.stderr) == (b"", b"")


# stdout


def test_stdout_closed_is_no_matter_when_nothing_goes_there(here):
    done = shell(here, f"nmfc compress a.png {FAST} >&-")
    assert done.returncode == 0
    assert len(written(here / "nmfc-out")) == 5
    assert mode_and_size(here / "nmfc-out/a.png") == ("L", (24, 16))


@pytest.mark.parametrize("command", [PIPED, PACKED, JSON])
def test_stdout_closed(here, command):
    done = shell(here, f"{command} >&-")
    assert done.returncode == 1
    one_line(done.stderr.decode(), "nmfc: stdout: is closed")
    assert written(here) == ["a.png"]


@pytest.mark.parametrize("command", ["nmfc --version", "nmfc basis -h", "nmfc info a.nmfc", "nmfc completion bash"])
def test_what_is_printed_on_a_closed_stdout_is_an_error(here, command):
    assert shell(here, f"{PACKED} > a.nmfc").returncode == 0
    done = shell(here, f"{command} >&-")
    assert done.returncode == 1
    one_line(done.stderr.decode(), "nmfc: stdout: ")


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1"])
def test_a_closed_stdout_by_name(here, name):
    done = shell(here, f"nmfc compress a.png {FAST} -o {name} --to png >&-")
    assert done.returncode == 1
    one_line(done.stderr.decode(), f"nmfc: {name}: cannot be written: Bad file descriptor")


@pytest.mark.parametrize(
    ("to", "name"), [("3> b.png", "/dev/fd/3"), ("2> b.png", "/dev/stderr"), ("> b.png", "/dev/fd/1")]
)
@pytest.mark.parametrize("more", ["", "--skip-existing"])
def test_a_descriptor_that_a_shell_has_opened(here, to, name, more):
    """It exists, as the shell has made it, and is there to be written to."""
    done = shell(here, f"nmfc compress a.png {FAST} -q -o {name} --to png {more} {to}")
    assert done.returncode == 0, done.stderr
    assert mode_and_size(here / "b.png") == ("L", (24, 16))


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/3"])
def test_an_archive_is_appended_to_what_is_there(here, name):
    done = shell(
        here, f"echo before > b.npz; {PACKED} > a.nmfc; nmfc decompress a.nmfc -o {name} --to npz -q >> b.npz 3>> b.npz"
    )
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(here / "b.npz") as archive:
        assert archive.testzip() is None
    assert (here / "b.npz").read_bytes().startswith(b"before\n")


@pytest.mark.parametrize("encoding", ["latin1", "cp1252"])
def test_a_stdout_that_lacks_letters(here, encoding):
    name = "Ω日.png"
    picture(here / name)
    assert shell(here, f"nmfc compress {name} a.png -o a.nmfc --step 9 -q").returncode == 0
    for command in ("nmfc compress -h", "nmfc info -v a.nmfc"):
        done = shell(here, f"PYTHONIOENCODING={encoding} {command}")
        assert done.returncode == 0, done.stderr
        assert done.stderr == b""
    assert rb"\u03a9\u65e5.png" in done.stdout


@pytest.mark.parametrize("command", [PIPED, PACKED, JSON, "nmfc --version", "nmfc compress -h", f"{JSON} a.png a.png"])
def test_the_reader_of_stdout_has_gone(here, command):
    done = shell(here, f"{command} | true")
    assert done.returncode in (0, 141)
    silent(done)
    assert not list(here.rglob(".nmfc-*"))


def test_the_reader_of_stdout_leaves_early(here):
    names = [picture(here / f"{n}.png", seed=n).name for n in range(5)]
    done = shell(here, f"nmfc compress {' '.join(names)} {FAST} --json -q | head -1")
    assert done.returncode in (0, 141)
    assert done.stderr == b""
    assert json.loads(done.stdout)["input"] == "0.png"


@pytest.mark.parametrize("command", [PIPED, PACKED, JSON, "nmfc --version", "nmfc basis --help"])
def test_stdout_is_full(here, command):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    done = shell(here, f"{command} >/dev/full")
    assert done.returncode == 1
    one_line(done.stderr.decode(), "nmfc: stdout: No space left on device")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "words", ["compress a.png -o - --to png -k 2", "compress a.png -o - --step 1", "info b.nmfc --json", "rank -h"]
)
def test_stdout_is_full_halfway(here, monkeypatch, words, unbuffered):
    """Where Python keeps no buffer (as in many containers) a write that is cut short is none that fails."""
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    assert real(here, "compress", "a.png", "-o", "b.nmfc", "--step", 9).returncode == 0
    half = len(real(here, *words.split()).stdout) // 2

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (half, half))

    with open(here / "out", "wb") as out:
        done = real(here, *words.split(), stdout=out, stderr=subprocess.PIPE, preexec_fn=limited)
    assert done.returncode == 1
    one_line(done.stderr.decode(), "nmfc: stdout: File too large")
    assert (here / "out").stat().st_size == half


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_all_that_goes_to_stdout_arrives(here, monkeypatch, unbuffered):
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    picture(here / "b.png", size=(400, 300))
    done = shell(here, f"nmfc compress b.png {FAST} -o - --to png | (sleep 1; cat) > c.png; nmfc compress b.png {FAST}")
    assert done.returncode == 0
    assert (here / "c.png").read_bytes() == (here / "nmfc-out/b.png").read_bytes()


def test_full_disk_as_a_file(here):
    done = shell(here, f"nmfc compress a.png {FAST} -o /dev/full --to png")
    assert done.returncode == 1
    one_line(done.stderr.decode(), "/dev/full: cannot be written: No space left on device")


def on_terminal(folder: Path, stream: str, *words: object) -> tuple[int, str, str]:
    """Run nmfc with `stream` a terminal; its exit code, what the terminal showed, and the other stream."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(ours, (24, 80))
    other = "stderr" if stream == "stdout" else "stdout"
    process = subprocess.Popen(
        [*COMMAND, *map(str, words)], cwd=folder, env=environment(TERM="xterm"), stdin=subprocess.DEVNULL,
        **{stream: theirs, other: subprocess.PIPE},
    )  # fmt: skip
    os.close(theirs)
    shown = bytearray()
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux says so when the other end has closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    rest = (process.stdout if other == "stdout" else process.stderr).read()  # type: ignore[union-attr]
    code = process.wait(60)
    (process.stdout or process.stderr).close()  # type: ignore[union-attr]
    return code, shown.decode(), rest.decode()


@pytest.mark.parametrize("kind", [(), ("--to", "png"), ("--to", "nmfc")])
def test_nothing_binary_goes_to_a_terminal(here, kind):
    code, shown, said = on_terminal(here, "stdout", "compress", "a.png", "-k", 2, "-o", "-", *kind)
    assert (code, shown) == (2, "")
    one_line(said, "terminal")


def test_json_goes_to_a_terminal(here):
    code, shown, _ = on_terminal(here, "stdout", "compress", "a.png", "-k", 2, "--json")
    assert code == 0
    assert json.loads(shown)["input"] == "a.png"


@pytest.mark.parametrize("target", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.parametrize("into", ["| cat", "> b.png && cat b.png"])
def test_stdout_by_another_name(here, target, into):
    if not os.path.exists(target):
        pytest.skip(f"no {target} here")
    expected = shell(here, PIPED).stdout
    done = shell(here, f"nmfc compress a.png {FAST} -o {target} --to png {into}")
    assert done.returncode == 0, done.stderr
    assert done.stdout == expected


def test_devices_and_pipes_as_outputs(here):
    assert shell(here, f"nmfc compress a.png {FAST} -o /dev/null --to png").returncode == 0
    assert not os.path.isfile("/dev/null")
    os.mkfifo(here / "fifo")
    done = shell(here, f"cat fifo > b.png & nmfc compress a.png {FAST} -o fifo --to png; code=$?; wait; (exit $code)")
    assert done.returncode == 0, done.stderr
    assert (here / "fifo").is_fifo()
    assert (here / "b.png").read_bytes() == shell(here, PIPED).stdout


def test_without_a_kind_stdout_gets_the_container(here):
    done = shell(here, PACKED)
    assert done.returncode == 0, done.stderr
    assert decode_image(done.stdout).shape == (16, 24)
    assert done.stdout == shell(here, f"{PACKED} --to nmfc").stdout
    assert written(here) == ["a.png"]
    assert shell(here, f"nmfc compress a.png {FAST} -o b.nmfc").returncode == 0
    assert (here / "b.nmfc").read_bytes() == done.stdout


def test_a_chain_of_pipes(here):
    done = shell(here, f"cat a.png | nmfc compress - {FAST} -o - --to png -q | nmfc compress - {FAST} -o b.jpg")
    assert done.returncode == 0
    assert mode_and_size(here / "b.jpg") == ("L", (24, 16))


# stdin


@pytest.mark.parametrize("command", ["compress - -k 2", "basis - -k 2", "compress --files-from - -k 2"])
def test_stdin_closed(here, command):
    done = shell(here, f"nmfc {command} <&-", stdin=None)
    assert done.returncode == 1
    one_line(done.stderr.decode(), "nmfc: -: stdin is closed")


def test_stdin_closed_is_no_matter_when_nothing_comes_from_there(here):
    assert shell(here, f"nmfc compress a.png {FAST} <&-", stdin=None).returncode == 0


@pytest.mark.parametrize("command", ["compress", "basis"])
def test_stdin_empty(here, command):
    done = shell(here, f"nmfc {command} - -k 2 < /dev/null")
    assert done.returncode == 1
    one_line(done.stderr.decode(), "nmfc: -: ", "empty")


@pytest.mark.parametrize("given", ["/dev/zero", "- < /dev/zero", "/dev/stdin < /dev/urandom"])
def test_a_device_never_ends(here, given):
    done = shell(here, f"nmfc compress {given} -k 2")
    assert done.returncode == 1
    one_line(done.stderr.decode(), "is a device, expected a file or a pipe")


def test_an_empty_list(here):
    done = shell(here, "nmfc compress --files-from - -k 2 < /dev/null")
    assert done.returncode == 2
    one_line(done.stderr.decode(), "no input")


def test_stdin_is_slow(here):
    content = (here / "a.png").read_bytes()
    words = [*COMMAND, "compress", "-", *FAST.split(), "-o", "b.png"]
    with subprocess.Popen(words, cwd=here, env=environment(), stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin
        for start in range(0, len(content), 101):
            process.stdin.write(content[start : start + 101])
            process.stdin.flush()
            time.sleep(0.05)
        process.stdin.close()
        assert process.wait(60) == 0
    assert mode_and_size(here / "b.png") == ("L", (24, 16))


def test_stdin_twice(here):
    done = shell(here, f"nmfc compress - --files-from - {FAST} < a.png")
    assert done.returncode == 2
    one_line(done.stderr.decode(), "stdin")
    done = shell(here, f"nmfc compress - - {FAST} < a.png")
    assert done.returncode == 0, "the same input twice is done once"


# stderr


def test_stderr_closed(here):
    """Even where libtiff writes to descriptor 2 by itself, nothing of it gets into an output."""
    picture(here / "b.tif", "RGB")
    with Image.open(here / "b.tif") as image:
        image.save(here / "b.tif", tiffinfo={65000: "unknown to libtiff"})
    expected = shell(here, f"nmfc compress a.png b.tif {FAST} -O one")
    assert expected.returncode == 0
    done = shell(here, f"nmfc compress a.png b.tif {FAST} -O two 2>&-")
    assert done.returncode == 0
    assert written(here / "two") == written(here / "one")
    for name in written(here / "one"):
        if name != "loss.csv":
            assert (here / "two" / name).read_bytes() == (here / "one" / name).read_bytes()
    assert len(log(here / "two")) == len(log(here / "one"))
    assert shell(here, f"nmfc compress none.png {FAST} 2>&-").returncode == 1
    assert shell(here, "nmfc compress a.png 2>&-").returncode == 2


@pytest.mark.parametrize("to", ["2>/dev/full", "2>&1 >/dev/null | true"])
def test_messages_that_nobody_takes_stop_no_work(here, to):
    """Notes and the summary are lost; the outputs are not."""
    Image.open(here / "a.png").convert("P").save(here / "b.png")
    done = shell(here, f"nmfc compress b.png a.png {FAST} {to}")
    assert done.returncode == 0
    silent(done)
    assert {"a.png", "b.png", "loss.csv"} <= set(written(here / "nmfc-out"))
    assert shell(here, f"nmfc compress none.png {FAST} {to}").returncode == 1


@pytest.mark.parametrize("to", ["2>/dev/full", "2>&1 >/dev/null | head -c 50"])
def test_a_bar_that_nobody_takes_stops_no_work(here, to):
    names = [picture(here / f"{n}.png", seed=n).name for n in range(5)]
    done = shell(here, f"nmfc compress {' '.join(names)} {FAST} --progress always {to}")
    assert done.returncode == 0
    assert set(names) <= set(written(here / "nmfc-out"))


@pytest.mark.parametrize("ending", ["tif", "avif"])
def test_what_a_library_has_to_say_of_exif_is_not_said(here, ending):
    """An entry that points behind the end, as photos have now and then."""
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 0x0110, 2, 5000, 26) + bytes(4) + b"abc"
    Image.open(here / "a.png").save(here / "a.jpg", exif=exif)
    done = shell(here, f"nmfc compress a.jpg {FAST} -q -o b.{ending}")
    assert done.returncode == 0
    silent(done)


def test_all_three_closed(here):
    done = shell(here, f"nmfc compress a.png {FAST} <&- >&- 2>&-", stdin=None)
    assert done.returncode == 0
    assert mode_and_size(here / "nmfc-out/a.png") == ("L", (24, 16))


# What is said


def test_errors_are_one_line_and_debug_shows_where(here):
    (here / "b.png").write_bytes(b"none")
    done = shell(here, f"nmfc compress b.png {FAST}")
    assert done.returncode == 1
    one_line(done.stderr.decode(), "nmfc: b.png: ")
    for command in ("compress b.png", "basis b.png", "compress --files-from none"):
        done = shell(here, f"nmfc {command} {FAST} --debug")
        assert done.returncode == 1
        assert done.stderr.startswith(b"Traceback")
        assert b"\nnmfc: " in done.stderr


def test_quiet_silences_all_but_errors(here):
    Image.open(here / "a.png").convert("P").save(here / "p.png")
    done = shell(here, f"nmfc compress a.png p.png {FAST} -q")
    assert done.returncode == 0
    silent(done)
    done = shell(here, f"nmfc compress a.png p.png {FAST} -q --skip-existing")
    silent(done)
    (here / "b.png").write_bytes(b"none")
    done = shell(here, f"nmfc compress a.png b.png {FAST} -q -f")
    assert done.returncode == 1
    one_line(done.stderr.decode(), "nmfc: b.png: ")


@pytest.mark.parametrize("command", [("compress", "a.png"), ("basis", SAMPLES / "digits.npz", "--limit", 100)])
def test_the_bar_is_for_terminals(here, command):
    bar = "sweep/s"
    given = (*command, "-k", 2, "-n", 300, "--tol", 0)
    code, shown, out = on_terminal(here, "stderr", *given)
    assert (code, out) == (0, "")
    for part in (bar, "loss ", "/300", "written to"):
        assert part in shown
    for quiet in (("-q",), ("--progress", "never")):
        assert bar not in on_terminal(here, "stderr", *given, "-f", *quiet)[1]
    assert bar not in real(here, *given, "-f").stderr.decode()
    assert bar in real(here, *given, "-f", "--progress", "always").stderr.decode()
    assert on_terminal(here, "stderr", *given, "-f", "-q")[1] == ""


def test_the_bar_of_coding_has_stages_rate_and_psnr(here):
    digits = ("compress", SAMPLES / "digits.npz", "--limit", 60, "--arrangement", "stack", "-k", 4)
    code, shown, out = on_terminal(here, "stderr", *digits, "-o", "d.nmfc")
    assert (code, out) == (0, "")
    bars = [part for part in re.split(r"[\r\n]+", shown) if "%|" in part]
    for stage in ("train", "refit", "coding"):
        assert any(f"digits.npz, {stage} " in bar for bar in bars)
    assert "%/s" not in shown
    size, psnr = re.findall(r", ([\d.,]+) bytes each, PSNR ([\d.]+) dB", bars[-1])[-1]
    final = next(line for line in shown.splitlines() if "60 pictures of" in line)
    assert f"PSNR {psnr} dB" in final
    assert 0.7 < 60 * float(size) / (here / "d.nmfc").stat().st_size < 1, "all but the labels"
    one = on_terminal(here, "stderr", "compress", "a.png", "-k", 2, "-o", "r.nmfc", "--min-psnr", 15)[1]
    assert re.search(r"a.png, \w+.* bytes, PSNR [\d.]+ dB", one)
    for quiet in (("-q",), ("--progress", "never")):
        assert "%|" not in on_terminal(here, "stderr", *digits, "-o", "d.nmfc", "-f", *quiet)[1]
    assert "%|" not in real(here, *digits, "-o", "d.nmfc", "-f").stderr.decode()


# Signals


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)])
def test_signals(here, number, code):
    """What is not done leaves no trace."""
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("nohup runs the tests")
    words = [*COMMAND, "compress", "a.png", "-k", "12", "-n", "1000000", "--tol", "0", "--progress", "always"]
    with subprocess.Popen(words, cwd=here, env=environment(), stderr=subprocess.PIPE) as process:
        assert process.stderr
        said = b""
        while b"loss" not in said:  # the bar: it is at work
            said += process.stderr.read(1)
        process.send_signal(number)
        said = process.stderr.read()
        assert process.wait(60) == code
    assert b"Traceback" not in said
    assert said.splitlines()[-1] == (b"nmfc: interrupted" if code == 130 else b"nmfc: terminated")
    assert written(here) == ["a.png"]


def test_interrupted_between_two_inputs_the_log_has_the_first(here):
    picture(here / "b.png", size=(400, 300))
    words = [
        *COMMAND,
        "compress",
        "a.png",
        "b.png",
        "-k",
        "12",
        "-n",
        "4000",
        "--tol",
        "0",
        "--json",
        "--write",
        "image,csv",
    ]
    with subprocess.Popen(
        words, cwd=here, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert json.loads(process.stdout.readline())["input"] == "a.png"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert written(here / "nmfc-out") == ["a.png", "loss.csv"]
    assert {row["input"] for row in log(here / "nmfc-out")} == {"a.png"}


def test_a_picture_and_json_do_not_share_the_file_that_stdout_is(here):
    done = shell(here, f"nmfc compress a.png {FAST} -f -o b.png --json > b.png")
    assert (done.returncode, (here / "b.png").read_bytes()) == (2, b"")
    one_line(done.stderr.decode(), "-o b.png and --json would both write to stdout")


@pytest.mark.parametrize("stdout", ["/dev/stdout", "/proc/self/fd/1", "/dev/fd/1", "/dev/../dev/stdout", "link"])
def test_a_picture_and_json_do_not_share_stdout_by_any_name(tmp_path, stdout):
    picture(tmp_path / "a.png")
    os.symlink("/dev/stdout", tmp_path / "link")
    commands = [
        ("compress", "a.png", "-k", 2, "-n", 2, "-o", stdout, "--to", "png"),
        ("compress", "a.png", "-k", 2, "-o", stdout, "--to", "nmfc", "-f"),
    ]
    assert real(tmp_path, *commands[1]).stdout.startswith(b"\x93NMFC")
    for words in commands[:2]:
        done = real(tmp_path, *words, "--json")
        assert (done.returncode, done.stdout) == (2, b"")
        one_line(done.stderr.decode(), f"-o {stdout} and --json would both write to stdout")
    assert real(tmp_path, *commands[0][:-4], "-o", "b.png", "--json", "-f").returncode == 0
