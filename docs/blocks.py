"""The pages of docs/ that run: every block of a page, one after the other, in one folder beside a copy of samples/.

    ```console      every line that begins with "$ " runs in bash, and what it prints stands below it
    ```python       runs with warnings as errors; where a ```text block follows at once, that is what it prints

A line or block that fails stops everything: what is meant to fail says so (`nmfc ...; echo "exit code $?"`).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = ("tutorial", "howto", "explanation")
BLOCK = re.compile(
    r"(?P<head>```(?P<kind>console|python)\n)(?P<body>.*?)```\n(?P<shown>\n```text\n(?P<output>.*?)```\n)?", re.DOTALL
)


def run(command: list[str], folder: Path) -> str:
    """What a command prints on both streams, with the `nmfc` and the Python of this interpreter."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("NMFC_")}
    env |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{env.get('PATH', '')}", "COLUMNS": "100"}
    env |= {"OPENBLAS_NUM_THREADS": "1"}  # as the command line has it
    done = subprocess.run(command, cwd=folder, env=env, stdout=-1, stderr=subprocess.STDOUT, text=True, timeout=120)
    if done.returncode:
        raise RuntimeError(f"{command[-1]}\nended with exit code {done.returncode}:\n{done.stdout}")
    return done.stdout


def remade(text: str, folder: Path) -> str:
    """A page with its outputs as they are now; `folder` must be empty."""
    shutil.copytree(ROOT / "samples", folder / "samples")

    def made(match: re.Match[str]) -> str:
        body = match["body"]
        if match["kind"] == "python":
            output = run([sys.executable, "-W", "error", "-c", body], folder)
            return f"{match['head']}{body}```\n" + (f"\n```text\n{output}```\n" if match["shown"] else "")
        lines = [line for line in body.splitlines() if line.startswith("$ ")]
        body = "".join(f"{line}\n{run(['bash', '-o', 'pipefail', '-c', line[2:]], folder)}" for line in lines)
        return f"{match['head']}{body}```\n{match['shown'] or ''}"

    return BLOCK.sub(made, text)


def outputs(text: str) -> list[str]:
    """Every block that runs, with what it is said to print, in order."""
    return [match[0] for match in BLOCK.finditer(text)]
