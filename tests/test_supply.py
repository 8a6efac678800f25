"""What the package is made of, and what docs/security.md says of it."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
SECURITY = (ROOT / "docs/security.md").read_text(encoding="utf-8")
PACKAGE = sorted((ROOT / "nmfcompress").rglob("*.py"))


@pytest.fixture(scope="module")
def ends() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ends", ROOT / "tests/ends.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_range_has_a_reason() -> None:
    lines = PROJECT.split("dependencies = [\n")[1].split("]\n")[0].splitlines()
    assert {re.split('[>"]', line)[1] for line in lines} == {"numpy", "pillow", "click", "tqdm"}
    assert all(re.fullmatch(r'  "\w+>=[\d.]+(; python_version[<>]=?\'3\.\d+\')?",  # \w.+', line) for line in lines)


def test_the_oldest_versions_are_the_bounds(ends: ModuleType) -> None:
    """Read from pyproject.toml, for the Pythons that it names."""
    assert len(ends.ENDS["oldest"]) == len(ends.ENDS["newest"]) >= 4
    for oldest, bound in zip(ends.ENDS["oldest"], ends.ENDS["newest"], strict=True):
        assert bound in PROJECT
        assert re.match(r"\w+==[\d.]+", oldest)
        assert oldest.split("==")[1] == bound.split(">=", 1)[1]
    assert ends.PYTHONS[0] == re.search(r'requires-python = ">=([\d.]+)"', PROJECT)[1]  # type: ignore[index]


OWN_PICKLES = {"cli/processes.py"}  # what our own processes send each other; nothing that a file holds


def test_nothing_from_a_file_is_ever_unpickled() -> None:
    for path in PACKAGE:
        text, name = path.read_text(encoding="utf-8"), path.relative_to(ROOT / "nmfcompress").as_posix()
        assert not re.search(r"allow_pickle(?!=False)|\bimport (marshal|shelve|dill|cloudpickle)\b", text), name
        assert name in OWN_PICKLES or not re.search(r"\bimport pickle\b|\bpickle\.load", text), name


def test_security_rules_have_few_exceptions() -> None:
    """Asserts for the type checker; and our own pickles."""
    for path in PACKAGE:
        told = set(re.findall(r"# noqa: .*?\b(S\d+)", path.read_text(encoding="utf-8")))
        own = path.relative_to(ROOT / "nmfcompress").as_posix() in OWN_PICKLES
        assert told <= ({"S101", "S301"} if own else {"S101"}), path
    assert '"S"]' in PROJECT


def test_each_promise_names_a_test_that_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", SECURITY)
    assert len(named) > 30
    for path, name in named:
        assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), (path, name)
