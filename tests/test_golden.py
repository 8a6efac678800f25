"""Files that earlier versions wrote decode to the same pictures for ever; bad ones are refused in the same words."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from nmfcompress.codec.collection import decode_stack
from nmfcompress.codec.container import MODES, SECTIONS
from nmfcompress.codec.opened import open_container
from nmfcompress.errors import NmfcError

GOLDEN = Path(__file__).parent / "golden"
KNOWN = json.loads((GOLDEN / "golden.json").read_text(encoding="utf-8"))
GOOD = [name for name, expected in KNOWN.items() if isinstance(expected, dict)]
BAD = [name for name, expected in KNOWN.items() if isinstance(expected, str)]
CLOSE = 2 / 255  # maps of bands are pictures that Pillow's codecs decode


@pytest.fixture(scope="module")
def make() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make", GOLDEN / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_file_is_known_and_none_is_missing(make: ModuleType) -> None:
    assert {path.name for path in GOLDEN.glob("*.nmfc")} == set(KNOWN) >= set(make.GOOD) | set(make.BAD)
    assert len(GOOD) >= 40
    assert len(BAD) >= 10
    assert sum(path.stat().st_size for path in GOLDEN.iterdir() if path.is_file()) < 600_000


def test_every_mode_is_there_in_every_type() -> None:
    """And what belongs to pictures, to collections, and the parts of another file, each in some of them."""
    modes, types, meta, sections = set(), set(), set(), set()
    for name in GOOD:
        opened = open_container((GOLDEN / name).read_bytes())
        modes.add(opened.container.mode)
        types.add((opened.container.mode, opened.header.dtype.name, len(opened.header.shape)))
        meta |= {key for key, value in vars(opened.meta).items() if value is not None and len(value)}
        sections |= set(opened.container.sections)
    assert modes == set(MODES)
    assert sections == set(SECTIONS)
    assert meta == {"icc", "exif", "dpi", "alpha", "mode", "names", "labels", "indices"}
    for mode in MODES:
        assert {dtype for found, dtype, _ in types if found == mode} >= {"uint8", "uint16", "float32"}
        assert {sides for found, _, sides in types if found == mode} == {3, 4}


@pytest.mark.parametrize("name", GOOD)
def test_a_golden_file_decodes_to_what_it_did(name: str, make: ModuleType) -> None:
    data = (GOLDEN / name).read_bytes()
    assert len(data) < 4096
    shown = make.decoded(data)
    expected = KNOWN[name]
    assert [list(shown.shape), shown.dtype.name] == [expected["shape"], expected["dtype"]]
    if "bands" in name:
        kept = np.load(GOLDEN / name.replace(".nmfc", ".npy"))
        top = np.iinfo(shown.dtype).max if shown.dtype.kind == "u" else 1
        assert np.abs(shown.astype(float) - kept).max() <= CLOSE * top
    else:
        content = shown.astype(shown.dtype.newbyteorder("<")).tobytes()
        assert hashlib.sha256(content).hexdigest() == expected["sha256"]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_in_the_same_words(name: str) -> None:
    with pytest.raises(NmfcError) as error:
        decode_stack((GOLDEN / name).read_bytes())
    assert error.value.message == KNOWN[name]
    assert error.value.exit_code == 1


def test_a_later_version_is_refused_by_name_and_what_is_ancillary_skipped(make: ModuleType) -> None:
    """By the command too, which tells what would help."""
    later = KNOWN["bad-version-2.nmfc"]
    assert later == "is of version 2 of the format, later than the 1 that this nmfc reads"
    assert "number 100" in KNOWN["bad-unknown.nmfc"]
    data, plain = ((GOLDEN / name).read_bytes() for name in ("v1-ancillary.nmfc", make.TRAIN))
    np.testing.assert_array_equal(decode_stack(data), decode_stack(plain))
    sections = [open_container(one).container.sections for one in (data, plain)]
    assert sections[0] == sections[1]


def test_the_command_says_the_same_of_them() -> None:
    """`nmfc verify` of all files at once: whole ones, and each bad one in one line with the words above."""
    words = [sys.executable, "-m", "nmfcompress", "verify", "--basis-from", "v1-stack.nmfc"]
    done = subprocess.run([*words, *BAD], cwd=GOLDEN, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    said = dict(line.removeprefix("nmfc: ").split(": ", 1) for line in done.stderr.splitlines()[: len(BAD)])
    assert set(said) == set(BAD)
    others = (
        "bad-empty",
        "bad-png",
        "bad-gzip",
        "bad-text",
        "bad-origin",
    )  # named for what they are; with the other file
    for name in BAD:
        assert name.startswith(others) or said[name].startswith(KNOWN[name]), said[name]
    done = subprocess.run([*words, *GOOD], cwd=GOLDEN, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "failed" in done.stderr) == (0, False), done.stderr


def test_what_goes_with_the_pictures_comes_back(make: ModuleType) -> None:
    meta = open_container((GOLDEN / "v1-stack-meta.nmfc").read_bytes()).meta
    assert meta == make.named(30)
    np.testing.assert_array_equal(meta.labels, np.arange(30) % 5)
    np.testing.assert_array_equal(meta.indices, 3 * np.arange(30))
    meta = open_container((GOLDEN / "v1-rows-meta.nmfc").read_bytes()).meta
    assert meta == make.photographed()
    np.testing.assert_array_equal(meta.alpha, make.picture() // 2)
    meta = open_container((GOLDEN / "v1-stack-words.nmfc").read_bytes()).meta
    assert meta.labels is not None
    assert meta.labels.tolist() == ["cat", "dog", ""] * 2
    header = open_container((GOLDEN / "v1-rows-range.nmfc").read_bytes()).header
    assert (header.low, header.high, header.single) == (-40.25, 1e6, True)
