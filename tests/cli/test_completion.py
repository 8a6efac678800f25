"""`nmfc completion`: each script in its real shell, where that is installed, and what goes between them and nmfc."""

from __future__ import annotations

import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from commands import COMMAND, environment, one_line, real

from nmfcompress.cli.completing import SHELLS
from nmfcompress.cli.main import COMMANDS

PATIENCE = 60.0  # seconds until something is taken not to come
ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[a-zA-Z]|[()=>].?|\][^\a]*\a)")
TYPED = {  # what is typed before the tab: what stands there after it
    "nmfc decom": "nmfc decompress ",
    "nmfc compress --min-p": "nmfc compress --min-psnr ",
    "nmfc compress --solver h": "nmfc compress --solver hals ",
    "nmfc completion f": "nmfc completion fish ",
    "nmfc compress one-pic": "nmfc compress one-picture.png ",
    "nmfc basis --mask one-pic": "nmfc basis --mask one-picture.png ",
    "nmfc compress -O one-fol": "nmfc compress -O one-folder/",
}


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with something to complete, and nmfc in its .bin."""
    (tmp_path / "one-picture.png").touch()
    (tmp_path / "one-folder").mkdir()
    shim = tmp_path / ".bin" / "nmfc"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {shlex.join(COMMAND)} "$@"\n')
    shim.chmod(0o755)
    return tmp_path


def surroundings(here: Path, **more: str) -> dict[str, str]:
    path = f"{here / '.bin'}{os.pathsep}{os.environ['PATH']}"
    return environment(PATH=path, HOME=str(here), HISTFILE="", COLUMNS="200", LINES="50", **more)


class Terminal:
    """A shell that somebody types into."""

    def __init__(self, here: Path, words: list[str], term: str):
        import pty

        self._process, self._end = pty.fork()
        if not self._process:
            os.chdir(here)
            os.execvpe(words[0], words, surroundings(here, TERM=term, PS1="ready> "))  # noqa: S606
        self._seen = ""

    def type(self, keys: str) -> None:
        os.write(self._end, keys.encode())

    def wait_for(self, words: str) -> None:
        """Read on until `words` stand there; what comes after them is left for the next time."""
        end = time.monotonic() + PATIENCE
        while words not in self._seen:
            left = end - time.monotonic()
            assert left > 0, f"{words!r} does not come: {self._seen!r}"
            if select.select([self._end], [], [], left)[0]:
                self._seen = ESCAPES.sub(
                    "", self._seen + os.read(self._end, 4096).decode("utf-8", "replace").replace("\0", "")
                )
        self._seen = self._seen.split(words, 1)[1]

    def close(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)
        os.close(self._end)


@pytest.fixture
def terminal(here: Path, request: pytest.FixtureRequest) -> Iterator[Terminal]:
    words, term = request.param
    if not shutil.which(words[0]):
        pytest.skip(f"{words[0]} is not installed")
    shell = Terminal(here, words, term)
    yield shell
    shell.close()


@pytest.mark.parametrize("terminal", [(["bash", "--norc", "--noprofile", "-i"], "dumb")], indirect=True)
def test_bash(terminal: Terminal) -> None:
    terminal.type('eval "$(nmfc completion bash)"; bind "set show-all-if-ambiguous on"; echo is"-there"\n')
    terminal.wait_for("is-there")
    for typed, completed in TYPED.items():
        terminal.wait_for("ready> ")
        terminal.type(typed + "\t")
        terminal.wait_for(completed)
        terminal.type("\x15\n")  # that line away
    terminal.wait_for("ready> ")
    terminal.type("nmfc com\t")  # of several all are shown
    for name in ("compress", "compare", "completion"):
        terminal.wait_for(name)


@pytest.mark.parametrize("terminal", [(["zsh", "-f", "-i"], "vt100")], indirect=True)
def test_zsh(terminal: Terminal) -> None:
    terminal.type("PS1='ready> '; unsetopt zle_bracketed_paste; autoload -U compinit; compinit -u -D; ")
    terminal.type('eval "$(nmfc completion zsh)"; echo is"-there"\n')
    terminal.wait_for("is-there\r")
    for typed, completed in TYPED.items():
        terminal.wait_for("ready> ")
        terminal.type(typed + "\t")
        terminal.wait_for(completed.split()[-1][len(typed.split()[-1]) :])
        terminal.type("\x15\n")


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
def test_fish(here: Path) -> None:
    def completed(typed: str) -> list[str]:
        script = f"nmfc completion fish | source; complete -C {shlex.quote(typed)}"
        words = [str(shutil.which("fish")), "--no-config", "-c", script]
        done = subprocess.run(words, cwd=here, env=surroundings(here), capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return [line.split("\t")[0] for line in done.stdout.splitlines()]

    for typed, there in TYPED.items():
        assert there.split()[-1] in completed(typed), typed
    assert {"compress", "compare", "completion"} <= set(completed("nmfc com"))


@pytest.mark.skipif(not shutil.which("pwsh"), reason="PowerShell is not installed")
def test_powershell(here: Path) -> None:
    for typed, there in TYPED.items():
        script = (
            "nmfc completion powershell | Out-String | Invoke-Expression; "
            f"[System.Management.Automation.CommandCompletion]::CompleteInput('{typed}', {len(typed)}, $null)"
            ".CompletionMatches.CompletionText"
        )
        words = [str(shutil.which("pwsh")), "-NoProfile", "-Command", script]
        done = subprocess.run(words, cwd=here, env=surroundings(here), capture_output=True, text=True, timeout=120)
        assert there.split()[-1].rstrip("/") in done.stdout.replace("./", ""), done.stderr


def asked(folder: Path, shell: str, words: list[str], incomplete: str) -> list[str]:
    """What nmfc answers to the script of a shell, a line each."""
    separator = "\n" if shell == "powershell" else " "
    said = {"_NMFC_COMPLETE": f"{shell}_complete", "COMP_WORDS": separator.join(["nmfc", *words])}
    said["COMP_CWORD"] = str(len(words) + 1) if shell == "bash" else incomplete
    if shell == "bash":
        said["COMP_WORDS"] += f" {incomplete}"
    if not said["COMP_CWORD"]:
        del said["COMP_CWORD"]  # PowerShell cannot set it to nothing
    done = subprocess.run(COMMAND, cwd=folder, env=environment(**said), capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("shell", ["bash", "powershell"])
def test_answers(tmp_path: Path, shell: str) -> None:
    def values(words: list[str], incomplete: str) -> list[str]:
        return [line.split("\t")[0] for line in asked(tmp_path, shell, words, incomplete)]

    assert values([], "") == [f"plain,{name}" for name in COMMANDS]
    assert values(["compress"], "--arr") == ["plain,--arrangement"]
    assert values(["compress", "--arrangement"], "b") == ["plain,bands"]
    assert values(["compress", "--arrangement", "bands"], "x") == ["file,x"]
    assert values(["compress", "--basis-from"], "x") == ["file,x"]
    assert values(["decompress", "-O"], "x") == ["dir,x"]
    assert values(["completion"], "") == [f"plain,{name}" for name in SHELLS]
    assert "plain,--version" in values([], "--")


def test_powershell_gets_help_texts_on_one_line(tmp_path: Path) -> None:
    for line in asked(tmp_path, "powershell", ["compress"], "--"):
        assert re.fullmatch(r"plain,--[\w-]+\t\S.*", line)


def test_the_script_for_powershell_reads_what_nmfc_writes(tmp_path: Path) -> None:
    script = real(tmp_path, "completion", "powershell").stdout.decode()
    assert script.startswith("Register-ArgumentCompleter -Native -CommandName nmfc ")
    for word in ("COMP_WORDS", "COMP_CWORD", "_NMFC_COMPLETE", "powershell_complete", '-split ","', '-split "`t"'):
        assert word in script
    for opening, closing in ("{}", "()"):
        assert script.count(opening) == script.count(closing)
    assert "%" not in script


@pytest.mark.parametrize("shell", SHELLS)
def test_each_script_is_printed_and_names_the_variable(tmp_path: Path, shell: str) -> None:
    done = real(tmp_path, "completion", shell)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"_NMFC_COMPLETE" in done.stdout
    assert b"nmfc" in done.stdout


def test_no_other_program_is_started(tmp_path: Path) -> None:
    """bash is not asked for its version, and need not be there."""
    words = [sys.executable, "-m", "nmfcompress", "completion", "bash"]
    said = environment(PATH=str(tmp_path))
    done = subprocess.run(words, cwd=tmp_path, env=said, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")


def test_other_shells_are_refused(tmp_path: Path) -> None:
    done = real(tmp_path, "completion", "tcsh")
    assert done.returncode == 2
    one_line(done.stderr.decode(), "tcsh", "bash", "powershell")
    assert real(tmp_path, "completion").returncode == 2


@pytest.mark.parametrize("words", [[], ["compress"], ["basis", "--init"], ["decompress", "-O"], ["completion"]])
def test_completing_loads_nothing_heavy(words: list[str]) -> None:
    """It happens at every press of the key."""
    code = (
        "import sys; from nmfcompress.cli.main import _run; code = _run([]); "
        "heavy = {'numpy', 'PIL', 'tqdm', 'matplotlib', 'importlib.metadata', 'scipy'} & set(sys.modules); "
        "sys.exit(f'loaded {heavy}' if heavy else code)"
    )
    said = {"_NMFC_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(["nmfc", *words, "-"])}
    for incomplete in ("", "-"):
        said |= {"COMP_WORDS": " ".join(["nmfc", *words, incomplete]), "COMP_CWORD": str(len(words) + 1)}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment(**said), capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
