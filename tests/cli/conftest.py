"""Fixtures of the command-line tests."""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from nmfcompress.cli.main import BLAS_THREADS, main


@dataclass(frozen=True)
class Said:
    """What became of a command in this process."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Said]]:
    """nmfc in tmp_path, in this process (faster): run("compress", "a.png", "-k", 3, input=b"...").code"""
    monkeypatch.chdir(tmp_path)
    for name in BLAS_THREADS:
        monkeypatch.setenv(name, "1")
    monkeypatch.delenv("NMFC_DATA", raising=False)
    before = signal.getsignal(signal.SIGTERM)

    def call(*args: object, input: bytes = b"") -> Said:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(input)))
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([str(a) for a in args])
        code = stop.value.code
        assert isinstance(code, int)
        return Said(code, *capsys.readouterr())

    yield call
    signal.signal(signal.SIGTERM, before)
