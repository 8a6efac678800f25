"""`nmfc --version`, alone and with `-v`."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest
from commands import COMMAND, environment, one_line, real

import nmfcompress
from nmfcompress.cli import versions


def test_plain(tmp_path: Path) -> None:
    for words in (["--version"], ["--version", "compress"]):
        done = real(tmp_path, *words)
        assert (done.returncode, done.stdout.decode(), done.stderr) == (0, f"nmfc {nmfcompress.__version__}\n", b"")


@pytest.mark.parametrize("words", [["--version", "-v"], ["-v", "--version"], ["--verbose", "--version"]])
def test_at_length(tmp_path: Path, words: list[str]) -> None:
    done = real(tmp_path, *words)
    assert (done.returncode, done.stderr) == (0, b"")
    first, *lines = done.stdout.decode().splitlines()
    assert first == f"nmfc {nmfcompress.__version__}"
    said = dict(line.split(maxsplit=1) for line in lines)
    for name in ("numpy", "click", "tqdm"):
        assert said[name] == metadata.version(name)
    assert said["pillow"].startswith(metadata.version("pillow"))
    for codec in ("AVIF", "WebP", "JPEG 2000"):
        assert codec in said["pillow"]
    assert "1 thread;" in said["BLAS"]
    assert "ours over blocks" in said["BLAS"]
    assert {"Python", "platform", "[plot]", "[dask]"} <= said.keys()
    assert not {"[dev]", "[fuzz]"} & said.keys()
    assert said["[plot]"] == f"matplotlib {metadata.version('matplotlib')}"


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(versions.metadata, "version", version)
    assert ["[plot]", "matplotlib", "not", "installed"] in [line.split() for line in versions.lines()]
    monkeypatch.setattr(versions.metadata, "requires", version)
    assert not versions.extras()  # from a checkout that is not installed


def test_v_alone_is_wrong_usage(tmp_path: Path) -> None:
    for words, said in ((["-v"], "no command"), (["-v", "info", "x.nmfc"], "info -v")):
        done = real(tmp_path, *words)
        assert done.returncode == 2
        one_line(done.stderr.decode(), said)


def test_variables_do_not_ask_for_it(tmp_path: Path) -> None:
    """NMFC_VERSION and NMFC_VERBOSE may stand for something of somebody else's."""
    import subprocess

    said = environment(NMFC_VERSION="1", NMFC_VERBOSE="1")
    done = subprocess.run([*COMMAND, "info", "x.nmfc"], cwd=tmp_path, env=said, capture_output=True, timeout=60)
    assert done.returncode == 1
    one_line(done.stderr.decode(), "x.nmfc: cannot be read")
