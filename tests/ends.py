"""Run the tests at both ends of what pyproject.toml allows: on its oldest packages and on the newest, for each Python.

    python tests/ends.py [--only PYTHON-END] [PYTEST ARGUMENTS]       make ends ARGS="tests/codec -x"

The oldest are the lower bounds of the required packages, read from pyproject.toml; what the tests need besides is as
new as goes with them. Environments are made in .venv/ends and kept, the newest brought up to date. A Python that is not
here, or has no wheels of those versions, is named and passed over.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = re.findall(r"Python :: (3\.\d+)'", str(PROJECT["classifiers"]))
BOUNDS = PROJECT["dependencies"]
ENDS = {"oldest": [bound.replace(">=", "==", 1) for bound in BOUNDS], "newest": BOUNDS}


def interpreter(version: str) -> str | None:
    """A Python of this version: this one, one on the path, or one that pyenv keeps."""
    kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for found in (sys.executable, shutil.which(f"python{version}"), *map(str, reversed(kept))):
        words = [found, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        if found and subprocess.run(words, capture_output=True, text=True).stdout.strip() == version:
            return found
    return None


def made(version: str, end: str) -> Path | str:
    """The Python of the environment for one end; or why there is none."""
    folder = ROOT / ".venv/ends" / f"{version}-{end}"
    python, ready = folder / "bin/python", folder / "ready"
    kept = ready.exists() and ready.read_text() == str(ENDS[end])
    if kept and end == "oldest":
        return python
    if not kept:
        base = interpreter(version)
        if base is None:
            return f"no Python {version} here"
        subprocess.run([base, "-m", "venv", "--clear", folder], check=True)
    pip = [python, "-m", "pip", "install", "-q", "--only-binary", ":all:", "--upgrade"]
    if subprocess.run([*pip, *ENDS[end], "-e", f"{ROOT}[dev]"]).returncode:
        return "these versions have no wheels for it, or do not go together"
    ready.write_text(str(ENDS[end]))
    return python


def main() -> int:
    """Every Python and end; the exit status is 1 if tests failed somewhere, or ran nowhere."""
    words = sys.argv[1:]
    only = words[1] if words[:1] == ["--only"] else ""
    rest = words[2:] if only else words
    said: dict[str, str] = {}
    for name in (f"{version}-{end}" for version in PYTHONS for end in ENDS):
        if only and name != only:
            continue
        python = made(*name.split("-"))
        if isinstance(python, str):
            said[name] = f"not run: {python}"
            continue
        listed = subprocess.run([python, "-m", "pip", "freeze", "-q"], capture_output=True, text=True).stdout
        have = re.findall(r"^(?:numpy|pillow|click|tqdm)==.*$", listed, re.MULTILINE | re.IGNORECASE)
        code = subprocess.run([python, "-m", "pytest", "-q", *rest], cwd=ROOT).returncode
        said[name] = f"{'passed' if code == 0 else 'FAILED'} with {', '.join(have)}"
    print("\n".join(f"Python {name}: {what}" for name, what in said.items()))
    return not any("passed" in what for what in said.values()) or any("FAILED" in what for what in said.values())


if __name__ == "__main__":
    sys.exit(main())
