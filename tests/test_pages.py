"""The pages of docs/: every block runs, prints what the page says, and what does not is found."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs"))
import blocks  # noqa: E402

import nmfcompress  # noqa: E402
from nmfcompress.cli.main import COMMANDS  # noqa: E402


def read(name: str) -> str:
    return (ROOT / f"docs/{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", blocks.PAGES)
def test_every_block_runs_and_prints_what_the_page_says(name: str) -> None:
    command = [sys.executable, str(ROOT / "docs/make.py"), "--check", name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", blocks.PAGES)
def test_no_block_is_passed_over(name: str) -> None:
    """Those that run, their outputs, and `sh` for installing: nothing else begins a block."""
    rest = blocks.BLOCK.sub("", read(name))
    assert set(re.findall(r"^```(.*)\n(?:.*\n)*?```$", rest, re.MULTILINE)) <= {"sh"}
    assert all("pip install" in code for code in re.findall(r"^```sh\n(.*?)```$", rest, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("name", [*blocks.PAGES, "reference", "performance", "security", "cluster", "format"])
def test_links_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", read(name)):
        if not target.startswith(("http", "#")):
            assert (ROOT / "docs" / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize(
    ("block", "found"),
    [
        ("```console\n$ nmfc compress samples/none.png -k 3\n```\n", "exit code 1"),
        ("```console\n$ false | cat\n```\n", "exit code 1"),
        ("```python\nimport warnings\nwarnings.warn('old')\n```\n", "UserWarning"),
    ],
)
def test_a_block_that_fails_is_found(block: str, found: str, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=found):
        blocks.remade(block, tmp_path)


def test_outputs_are_made_anew_and_blocks_share_a_folder(tmp_path: Path) -> None:
    page = (
        "```console\n$ ls samples/grey.png\nold\n$ echo 2 > two; exit 0\n```\n\nwords\n\n"
        "```python\nimport pathlib; print(pathlib.Path('two').read_text())\n```\n\n```text\nold\n```\n"
    )
    made = (
        "```console\n$ ls samples/grey.png\nsamples/grey.png\n$ echo 2 > two; exit 0\n```\n\nwords\n\n"
        "```python\nimport pathlib; print(pathlib.Path('two').read_text())\n```\n\n```text\n2\n\n```\n"
    )
    assert blocks.remade(page, tmp_path) == made


@pytest.mark.parametrize("name", COMMANDS)
def test_the_reference_says_what_help_prints(name: str) -> None:
    command = [sys.executable, "-m", "nmfcompress", name, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "100"}, check=True)
    said = re.sub(r"^Usage: .*? " + name, f"Usage: nmfc {name}", done.stdout.strip())
    assert f"```text\n{said}\n```" in read("reference")


def test_the_reference_has_every_command_and_every_public_name() -> None:
    text = read("reference")
    for name in COMMANDS:
        assert f"\n### nmfc {name}\n" in text
    for name in set(nmfcompress.__all__) - {"__version__"}:
        assert f"\n### {name}\n" in text
