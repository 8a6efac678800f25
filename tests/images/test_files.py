"""files.py: a target holds its old bytes or the whole new ones, whatever happens."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmfcompress.errors import OutputError
from nmfcompress.images import files
from nmfcompress.images.files import display, file_id, fit_name, make_folder, write_bytes, writing

names = st.text(st.characters(exclude_categories=["Cs"]) | st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF))


def left_over(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.startswith(".nmfc-")]


def refuse(*args, **kwargs):
    raise OSError(95, "Operation not supported")


def test_new_file_has_the_mode_of_a_plain_open(tmp_path):
    (tmp_path / "plain").open("wb").close()
    write_bytes(tmp_path / "ours", b"new")
    assert (tmp_path / "ours").read_bytes() == b"new"
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_replaced_file_keeps_its_mode(tmp_path):
    target = tmp_path / "a"
    target.write_bytes(b"old")
    target.chmod(0o640)
    write_bytes(target, b"new")
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, OSError(28, "No space left on device")])
@pytest.mark.parametrize("existed", [True, False])
def test_exception_in_mid_write_leaves_the_old_file(tmp_path, error, existed):
    target = tmp_path / "a"
    if existed:
        target.write_bytes(b"old")
    with pytest.raises(OutputError if isinstance(error, OSError) else error), writing(target) as stream:  # noqa: PT012
        stream.write(b"half" * 100_000)
        raise error
    assert target.exists() == existed
    assert not existed or target.read_bytes() == b"old"
    assert not left_over(tmp_path)


def test_without_overwrite(tmp_path):
    target = tmp_path / "a"
    write_bytes(target, b"one", overwrite=False)
    with pytest.raises(OutputError, match="exists already"):
        write_bytes(target, b"two", overwrite=False)
    assert target.read_bytes() == b"one"
    assert not left_over(tmp_path)


@pytest.mark.parametrize("links", [True, False])
def test_file_that_appears_meanwhile_is_kept(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(files.os, "link", refuse)
    target = tmp_path / "a"
    with pytest.raises(OutputError, match="exists"), writing(target, overwrite=False) as stream:  # noqa: PT012
        stream.write(b"ours")
        target.write_bytes(b"theirs")
    assert target.read_bytes() == b"theirs"
    assert not left_over(tmp_path)


def test_where_links_are_not_supported(tmp_path, monkeypatch):
    monkeypatch.setattr(files.os, "link", refuse)
    write_bytes(tmp_path / "a", b"one", overwrite=False)
    assert (tmp_path / "a").read_bytes() == b"one"


def test_of_many_writers_without_overwrite_one_wins(tmp_path):
    won: list[int] = []

    def write(number: int) -> None:
        try:
            write_bytes(tmp_path / "a", bytes([number]) * 1000, overwrite=False)
            won.append(number)
        except OutputError:
            pass

    threads = [threading.Thread(target=write, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "a").read_bytes() == bytes(won) * 1000
    assert not left_over(tmp_path)


def test_symlinks_are_written_through(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("folder/real")
    (tmp_path / "dangling").symlink_to("folder/new")
    for link, real in (("link", "real"), ("dangling", "new")):
        write_bytes(tmp_path / link, b"new")
        assert (tmp_path / link).is_symlink()
        assert (tmp_path / "folder" / real).read_bytes() == b"new"
    assert not left_over(tmp_path)
    assert not left_over(tmp_path / "folder")


def test_an_input_is_never_overwritten(tmp_path):
    source = tmp_path / "a"
    source.write_bytes(b"old")
    (tmp_path / "soft").symlink_to("a")
    os.link(source, tmp_path / "hard")
    (tmp_path / "b").mkdir()
    for path in ("a", "soft", "hard", "b/../a", "./a"):
        with pytest.raises(OutputError, match="is an input, which is never overwritten"):
            write_bytes(os.path.join(tmp_path, path), b"new", inputs=[file_id(source)])
    assert source.read_bytes() == b"old"


def test_fifo(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    found = []
    reader = threading.Thread(target=lambda: found.append((tmp_path / "fifo").read_bytes()))
    reader.start()
    write_bytes(tmp_path / "fifo", b"through", overwrite=False)
    reader.join(10)
    assert found == [b"through"]


def test_devices():
    write_bytes("/dev/null", b"gone", overwrite=False)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(OutputError, match="No space left on device") as caught:
        write_bytes("/dev/full", b"x" * 100_000)
    assert caught.value.source == "/dev/full"


STDOUT = "from nmfcompress.images.files import write_bytes; write_bytes('/dev/stdout', b'data', overwrite=False)"


def test_stdout_appends_to_what_the_shell_opened(tmp_path):
    piped = subprocess.run([sys.executable, "-c", STDOUT], capture_output=True, check=True)
    assert piped.stdout == b"data"
    with (tmp_path / "log").open("ab") as log:
        log.write(b"before ")
        log.flush()
        subprocess.run([sys.executable, "-c", STDOUT], stdout=log, check=True)
    assert (tmp_path / "log").read_bytes() == b"before data"


def test_gone_reader_is_told_apart():
    code = f"""
import os
read, write = os.pipe()
os.dup2(write, 1); os.close(write); os.close(read)
try:
    {STDOUT}
except BrokenPipeError:
    os._exit(9)
"""
    code = code.replace(STDOUT, STDOUT.replace("; ", "\n    "))
    assert subprocess.run([sys.executable, "-c", code]).returncode == 9


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing/a", "No such file or directory"),
        ("file/a", "Not a directory"),
        ("x" * 300, "File name too long"),
        ("folder", "is a folder"),
        ("new/", "name of a folder"),
        ("loop", "Too many levels"),
        ("nu\0ll", "null byte"),
    ],
)
def test_refusals_are_one_line_with_the_path(tmp_path, name, reason):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    target = f"{tmp_path}/{name}"
    with pytest.raises(OutputError, match=reason) as caught:
        write_bytes(target, b"new")
    assert caught.value.source == display(target)
    assert "\n" not in str(caught.value)
    assert not left_over(tmp_path)


def test_read_only_folder(tmp_path):
    """In a child that gives up its rights: root may write anywhere."""
    code = """
import os, sys
from nmfcompress.errors import OutputError
from nmfcompress.images.files import make_folder, write_bytes
os.chdir(sys.argv[1])
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
for call in (lambda: write_bytes("new", b"new"), lambda: write_bytes("old", b"new"), lambda: make_folder("sub")):
    try:
        call()
    except OutputError as error:
        print(error)
"""
    tmp_path.joinpath("old").write_bytes(b"old")
    tmp_path.chmod(0o555)
    try:
        told = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    finally:
        tmp_path.chmod(0o755)
    words = "cannot be written: Permission denied"
    assert told.stdout.splitlines() == [f"new: {words}", f"old: {words}", f"sub: {words}"]
    assert os.listdir(tmp_path) == ["old"]
    assert tmp_path.joinpath("old").read_bytes() == b"old"


@pytest.mark.parametrize("name", [b"line\nbreak", b"-rf", b"\xff\xfe not utf-8", "é".encode() * 127, b"x" * 255, b" "])
def test_odd_names(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_bytes(os.fsdecode(name), b"new")
    assert os.listdir(os.fsencode(tmp_path)) == [name]


def test_make_folder(tmp_path):
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="is a file, expected a folder"):
        make_folder(tmp_path / "file")
    with pytest.raises(OutputError, match="Not a directory"):
        make_folder(tmp_path / "file" / "below")


def test_file_id(tmp_path):
    assert file_id(tmp_path) == file_id(os.path.join(tmp_path, "."))
    assert file_id(tmp_path / "none") is None
    assert file_id("nu\0ll") is None


@given(names, st.sampled_from(["", ".png", ".basis.png", ".é"]))
def test_fit_name(stem, suffix):
    stem = stem * 40 if len(stem) > 5 else stem
    name = fit_name(stem, suffix)
    assert len(os.fsencode(name)) <= 255
    if len(os.fsencode(stem + suffix)) <= 255:
        assert name == stem + suffix
    else:
        mark = "~" + hashlib.sha256(os.fsencode(stem)).hexdigest()[:8] + suffix
        assert name.endswith(mark)
        assert stem.startswith(name.removesuffix(mark))
        assert len(os.fsencode(name)) >= 252


@given(st.text(st.characters()) | names)
def test_display_is_safe_to_print(name):
    shown = display(name)
    shown.encode("utf-8")
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 or char in files.BIDI for char in shown)
    assert len(shown.splitlines()) <= 1
    assert display(shown) == shown
    if name.isprintable():
        assert shown == name


def test_display_examples():
    assert display("a\nb\x1b[31m") == "a\\nb\\x1b[31m"
    assert display(b"\xff.png") == "\\xff.png"
    assert display("\u202egnp.exe") == "\\u202egnp.exe"
    assert display(Path("Grüße 日本.png")) == "Grüße 日本.png"
