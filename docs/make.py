"""Write what the tool says into README.md and docs/format.md, and the pictures that it shows into docs/pictures.

Two kinds of block are made anew, each between a marker and the end of the fenced block that follows it:

    <!-- help: compress -->     nmfc compress --help
    <!-- run -->                every line of the block that begins with "$ ", and what it prints

and one kind in docs/format.md, where the specification is that of the code:

    <!-- doc: codec/tables.py -->       the docstring of that file

docs/nmfc.1, the man page, is written of the help texts, too, and docs/reference.md of them and the docstrings.
The pages of docs/blocks.py have all of their blocks run, and no markers.

With --check nothing is written (--check PAGE ... looks at these only, such as README or tutorial): the exit status is
1 when a help text differs, or when a run prints other words (its numbers may differ, they hang on the machine).
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from nmfcompress.cli.manual import manual

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "docs"))
import blocks  # noqa: E402
from reference import reference  # noqa: E402

README, FORMAT, MANUAL = ROOT / "README.md", ROOT / "docs/format.md", ROOT / "docs/nmfc.1"
WHOLE = {MANUAL: manual, ROOT / "docs/reference.md": reference}  # pages that are written as a whole
PICTURES = {  # picture in docs/pictures: where the runs of the README leave it
    "photo.compare.png": "nmfc-out/photo.compare.png",
    "photo.basis.png": "nmfc-out/photo.basis.png",
    "grey.compare.png": "three-parts/grey.compare.png",
    "digits.compare.png": "ten-digits/digits.compare.png",
    "digits.loss.png": "ten-digits/loss.png",
    "digits.basis.png": "shared-parts/basis.png",
    "digits.reconstructed.png": "shared-parts/reconstructed.png",
    "swimmer.basis.png": "limbs/basis.png",
    "digits.codecs.png": "codecs/compare.png",
}
WIDTH = 1000  # pixels, of the pictures in the README
BLOCK = re.compile(r"(<!-- (help: (?P<command>[a-z ]+)|run) -->\n\n?```\w*\n)(?P<body>.*?)(```\n)", re.DOTALL)
DOC = re.compile(r"(<!-- doc: (?P<file>[a-z_/.]+) -->\n\n?```\w*\n)(?P<body>.*?)(```\n)", re.DOTALL)


def specified(text: str) -> str:
    """The specification with the docstrings of the code as they are."""

    def docstring(match: re.Match[str]) -> str:
        tree = ast.parse((ROOT / "nmfcompress" / match["file"]).read_text(encoding="utf-8"))
        return f"{match[1]}{ast.get_docstring(tree)}\n{match[4]}"

    return DOC.sub(docstring, text)


def run(line: str, folder: str) -> str:
    """What a shell line prints, both streams, with the `nmfc` of this interpreter."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("NMFC_")}
    env |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{env.get('PATH', '')}", "COLUMNS": "100"}
    done = subprocess.run(line, shell=True, cwd=folder, env=env, stdout=-1, stderr=subprocess.STDOUT, text=True)
    return done.stdout


def made(match: re.Match[str], folder: str) -> str:
    """A block as it should be."""
    if match["command"]:
        words = "" if match["command"] == "nmfc" else match["command"]
        body = run(f"nmfc {words} --help", folder)
    else:
        lines = [line for line in match["body"].splitlines() if line.startswith("$ ")]
        body = "".join(f"{line}\n{run(line[2:], folder)}" for line in lines)
    return match[1] + body + match[5]


def remade(text: str, folder: str) -> str:
    """The README as it should be; the outputs of its runs stay in `folder`, beside a copy of samples/."""
    shutil.copytree(ROOT / "samples", Path(folder) / "samples")
    return BLOCK.sub(lambda match: made(match, folder), text)


def differences(old: str, new: str) -> list[str]:
    """What is stale: help texts to the letter, runs by their words."""
    stale = []
    for before, after in zip(BLOCK.finditer(old), BLOCK.finditer(new), strict=True):
        same = before["body"] == after["body"] if before["command"] else words(before["body"]) == words(after["body"])
        if not same:
            stale.append(f"README.md: {before[2]} is stale:\n{after['body']}")
    return stale


def words(text: str) -> list[str]:
    """Words with every number as one sign."""
    return re.sub(r"\d[\d.,e+-]*\+?", "0", text).split()


def page_differences(name: str) -> list[str]:
    """What is stale in a page whose blocks run."""
    old = (ROOT / f"docs/{name}.md").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        pairs = zip(blocks.outputs(old), blocks.outputs(blocks.remade(old, Path(folder))), strict=True)
        return [f"docs/{name}.md is stale:\n{after}" for before, after in pairs if words(before) != words(after)]


def check(wanted: list[str]) -> list[str]:
    """What is stale, of everything or of the pages that are named."""
    stale = []
    if not wanted or "README" in wanted:
        with tempfile.TemporaryDirectory() as folder:
            old = README.read_text(encoding="utf-8")
            stale += differences(old, remade(old, folder))
        if specified(FORMAT.read_text(encoding="utf-8")) != FORMAT.read_text(encoding="utf-8"):
            stale.append("docs/format.md is stale")
        for page, text in WHOLE.items():
            if not page.exists() or page.read_text(encoding="utf-8") != text():
                stale.append(f"docs/{page.name} is stale")
    for name in blocks.PAGES:
        if not wanted or name in wanted:
            stale += page_differences(name)
    return stale


def main() -> int:
    """Write, or check."""
    if "--check" in sys.argv[1:]:
        stale = check(sys.argv[2:])
        print("\n".join(stale) or f"{', '.join(sys.argv[2:]) or 'README.md and docs/'}: up to date")
        print("" if not stale else "make docs brings it up to date")
        return bool(stale)
    with tempfile.TemporaryDirectory() as folder:
        README.write_text(remade(README.read_text(encoding="utf-8"), folder), encoding="utf-8")
        FORMAT.write_text(specified(FORMAT.read_text(encoding="utf-8")), encoding="utf-8")
        for page, text in WHOLE.items():
            page.write_text(text(), encoding="utf-8")
        (ROOT / "docs" / "pictures").mkdir(parents=True, exist_ok=True)
        for name, made_at in PICTURES.items():
            with Image.open(Path(folder) / made_at) as picture:
                picture.thumbnail((WIDTH, 4 * WIDTH), reducing_gap=3)
                picture.save(ROOT / "docs" / "pictures" / name, optimize=True)
    for name in blocks.PAGES:
        page = ROOT / f"docs/{name}.md"
        with tempfile.TemporaryDirectory() as folder:
            page.write_text(blocks.remade(page.read_text(encoding="utf-8"), Path(folder)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
