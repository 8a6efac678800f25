"""The man page: it says what the help says, and man, groff and mandoc find nothing wrong with it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from nmfcompress.cli.main import COMMANDS, nmfc
from nmfcompress.cli.manual import EXITS, manual

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/nmfc.1"


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def shown(**more: str) -> str:
    """The page as a reader sees it."""
    words = [program("man"), "--warnings", "-l", str(PAGE)]
    said = os.environ | {"MANWIDTH": "100", "LC_ALL": "C", "MANPAGER": "cat", "MAN_KEEP_FORMATTING": ""} | more
    done = subprocess.run(words, env=said, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return re.sub(r".\x08", "", done.stdout)


def test_it_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == manual(), "make docs brings it up to date"


def test_every_command_and_option_is_in_it() -> None:
    plain = manual().replace("\\-", "-")
    for name in COMMANDS:
        command = nmfc.get_command(click.Context(nmfc), name)
        assert command is not None
        section = plain.split(f".SS nmfc {name}\n")[1].split("\n.S")[0]
        for option in command.params:
            if isinstance(option, click.Option):
                assert all(one in section for one in (*option.opts, *option.secondary_opts)), (name, option.name)


def test_exit_statuses_are_those_of_the_readme() -> None:
    table = re.findall(r"^\| ([\d, ]+) \| (.+) \|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert [(code, words.replace("`", "")) for code, words in table] == list(EXITS)


def test_text_is_no_roff() -> None:
    """No line of text is taken for a request, and all is ASCII."""
    known = {".TH", ".SH", ".SS", ".TP", ".PP", ".nf", ".fi", ".B", ".nh", ".ad", '.\\"'}
    for line in manual().splitlines():
        assert line.isascii()
        assert not line.startswith("'")
        assert not line.startswith(".") or line.split()[0] in known, line


def test_man_shows_it() -> None:
    text = shown()
    for words in ("NAME", "nmfc - see, learn and compress images", "-k, --rank INTEGER", "EXIT STATUS", "||V - WH||"):
        assert words in text
    assert "  nmfc compress photo.png --rank 3 " in text  # examples keep their lines


def test_groff_finds_nothing() -> None:
    done = subprocess.run([program("groff"), "-man", "-ww", "-z", "-Tascii", PAGE], capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_mandoc_finds_nothing() -> None:
    done = subprocess.run([program("mandoc"), "-T", "lint", PAGE], capture_output=True, text=True, timeout=60)
    assert [line for line in done.stdout.splitlines() if "in the future" not in line] == []
