"""The README says what the tool does: help texts, outputs, every command and option, and Python that runs."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from nmfcompress.cli.main import COMMANDS, nmfc

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_help_texts_and_outputs_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs/make.py", "--check", "README"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_help_and_an_example(name: str) -> None:
    assert f"<!-- help: {name} -->" in README
    assert re.search(rf"^\$ nmfc {name} ", README, re.MULTILINE)


def test_a_stale_help_text_is_found() -> None:
    spec = importlib.util.spec_from_file_location("docs_make", ROOT / "docs/make.py")
    assert spec is not None
    assert spec.loader is not None
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    assert not make.differences(README, README)
    assert make.differences(README, README.replace("--rank INTEGER", "--rang INTEGER", 1))
    assert make.differences(README, README.replace("svd floor", "svd ceiling"))
    assert not make.differences(README, README.replace("23.315", "23.316"))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_is_for(name: str) -> None:
    command = nmfc.get_command(click.Context(nmfc), name)
    assert command is not None
    for option in command.params:
        assert not isinstance(option, click.Option) or option.help


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", README, re.DOTALL))
def test_the_python_runs(code: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    for name in re.findall(r'write_image\("([\w.-]+)"|\.save\("([\w.-]+)"', code):
        assert (tmp_path / (name[0] or name[1])).exists()


def test_the_pictures_are_there() -> None:
    shown = re.findall(r"\((docs/[^)]+\.png)\)|src=\"(docs/[^\"]+)\"", README)
    assert shown
    assert all((ROOT / (a or b)).exists() for a, b in shown)


def test_exit_codes_and_formats_are_told() -> None:
    for code in ("0", "1", "2", "130, 143", "141"):
        assert f"| {code} |" in README
    for column in (
        "input,image,label,sweep,loss,relative_loss,reads,gradient,objective,seconds",
        "svd_floor",
        "psnr_db",
    ):
        assert column in README
