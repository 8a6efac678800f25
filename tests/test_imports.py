"""The walls of the house: who may import what, kept by reading the imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import nmfcompress
from nmfcompress.cli.main import COMMANDS

PACKAGE = Path(nmfcompress.__file__).parent
COMMON = {"errors", "ranges", "settings", "showing", "metrics"}
MAY = {  # room: rooms of ours it may import
    "factor": COMMON,
    "images": COMMON | {"factor"},
    "codec": COMMON | {"factor", "images"},
    "report": COMMON | {"factor", "images", "codec", "recipes"},
    "cli": COMMON | {"factor", "images", "codec", "report", "recipes", "samples"},
    "samples": set(),
    "pillow.py": COMMON | {"images", "codec"},  # beside the rooms, as is the next one
    "fits.py": COMMON | {"factor", "images", "report", "recipes"},
}
ARRAYS_ONLY = [
    "factor/*.py",
    "codec/*.py",
    "images/arrange.py",
    "images/selection.py",
    "images/levels.py",
    "metrics.py",
    "recipes.py",
    "sklearn.py",
]
OUTSIDE = {"PIL", "click", "tqdm", "pathlib", "io", "os", "sys", "time", "matplotlib", "scipy", "sklearn"}
ALLOWED = {
    "sklearn.py": {"sklearn"},  # the estimator, of the extra of that name
    "factor/nmf.py": {"os", "time"},  # it counts the cores, and stamps the records
    "codec/maps.py": {"io", "PIL"},  # maps go through Pillow's codecs, in memory
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> set[tuple[int, str]]:
    """(level, first name) of every import; a relative one by the room that it reaches."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {(0, alias.name.split(".")[0]) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = [node.module.split(".")[0]] if node.module else [alias.name for alias in node.names]
            found |= {(node.level, name) for name in names}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_the_rooms_it_may(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0]
    if room in MAY:
        outwards = len(path.relative_to(PACKAGE).parts)  # dots that lead out of the room
        reached = {name for level, name in imports(path) if level == outwards} - {"__version__"}
        assert reached <= MAY[room]


@pytest.mark.parametrize("path", [p for glob in ARRAYS_ONLY for p in sorted(PACKAGE.glob(glob))], ids=lambda p: p.name)
def test_array_code_sees_no_file_no_clock_and_no_terminal(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    outside = {name for level, name in imports(path) if level == 0} & OUTSIDE
    assert outside <= ALLOWED.get(str(path.relative_to(PACKAGE)), set())
    assert not [
        n
        for n in ast.walk(ast.parse(source))
        if isinstance(n, ast.Call) and getattr(n.func, "id", "") in ("print", "open")
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_command_line_prints_and_only_it_imports_click_and_tqdm(path: Path) -> None:
    if path.relative_to(PACKAGE).parts[0] != "cli":
        assert not {"click", "tqdm"} & {name for level, name in imports(path) if level == 0}
        calls = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Call)]
        assert not [call for call in calls if getattr(call.func, "id", "") == "print"]


def test_only_the_estimator_imports_scikit_learn_and_nothing_imports_the_estimator() -> None:
    for path in MODULES:
        reached = imports(path)
        assert ((0, "sklearn") in reached) == (path == PACKAGE / "sklearn.py")
        assert not {(1, "sklearn"), (2, "sklearn")} & reached


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_file_is_longer_than_400_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("words", [["--help"], ["--version"], *([command, "--help"] for command in COMMANDS)])
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys; from nmfcompress.cli.main import _run; code = _run(sys.argv[1:]); "
        "heavy = {'numpy', 'PIL', 'tqdm', 'matplotlib', 'importlib.metadata', 'scipy', 'sklearn'} & set(sys.modules); "
        "sys.exit(f'loaded {heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_compress_does_not_load_what_only_compare_needs() -> None:
    code = "import sys, nmfcompress.cli.compressing; sys.exit('nmfcompress.report.rivals' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_the_public_names_are_there() -> None:
    for name in nmfcompress.__all__:
        assert getattr(nmfcompress, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        nmfcompress.nothing  # noqa: B018
    assert set(nmfcompress.__all__) <= set(dir(nmfcompress))
