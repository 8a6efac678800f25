"""Files that earlier versions wrote decode to the same pictures for ever; bad ones are refused in the same words."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from nmfcompress.codec.collection import decode_stack
from nmfcompress.codec.opened import open_container
from nmfcompress.errors import NmfcError

GOLDEN = Path(__file__).parent / "golden"
KNOWN = json.loads((GOLDEN / "golden.json").read_text(encoding="utf-8"))
GOOD = [name for name, expected in KNOWN.items() if isinstance(expected, dict)]
BAD = [name for name, expected in KNOWN.items() if isinstance(expected, str)]
CLOSE = 2  # grey levels: maps of bands are pictures that Pillow's codecs decode


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
    assert len(GOOD) >= 15
    assert len(BAD) >= 8


@pytest.mark.parametrize("name", GOOD)
def test_a_golden_file_decodes_to_what_it_did(name: str, make: ModuleType) -> None:
    data = (GOLDEN / name).read_bytes()
    assert len(data) < 4096
    shown = make.decoded(data)
    expected = KNOWN[name]
    assert [list(shown.shape), shown.dtype.name] == [expected["shape"], expected["dtype"]]
    if "bands" in name:
        kept = np.load(GOLDEN / name.replace(".nmfc", ".npy"))
        assert np.abs(shown.astype(int) - kept).max() <= CLOSE
    else:
        content = shown.astype(shown.dtype.newbyteorder("<")).tobytes()
        assert hashlib.sha256(content).hexdigest() == expected["sha256"]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_in_the_same_words(name: str) -> None:
    with pytest.raises(NmfcError) as error:
        decode_stack((GOLDEN / name).read_bytes())
    assert error.value.message == KNOWN[name]
    assert error.value.exit_code == 1


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
