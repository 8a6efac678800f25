"""Doors under mutations, the short version of `make fuzz`: only NmfcError comes out, soon, in bounded memory."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from campaigns import doors, fuzz, mutations

from nmfcompress.codec.container import MAGIC, unpack
from nmfcompress.errors import NmfcError

MUTATIONS = 5000  # of each kind


@pytest.mark.parametrize("door", doors.READ)
def test_mutations_are_refused_or_read(door, tmp_path):
    found = fuzz.in_pieces(door, MUTATIONS, seed=1, keep=str(tmp_path))
    assert not found.findings
    assert found.count == MUTATIONS
    assert found.messages is not None
    assert len(found.messages) >= 50, "they get far, and fail in many ways"
    assert 0 < found.read < MUTATIONS // 2, "some change nothing that matters"


def test_every_golden_file_is_read_unchanged():
    for name, data in mutations.corpus().items():
        assert mutations.mended(data) == data, name
        assert doors.read_container(data) == "" or "from" in name


def test_half_of_the_mutations_of_a_container_have_right_checksums():
    for number in range(200):
        data = mutations.container(number, 0)
        assert data == mutations.container(number, 0)
        if number % 2:
            assert "checksum" not in doors.read_container(data)


def test_a_fuzzer_s_mutations_get_right_checksums():
    data = mutations.corpus()["v1-stack.nmfc"]
    rng = np.random.default_rng(0)
    for place in rng.integers(len(MAGIC) + 3 + 6, len(data) - 4, 50):
        broken = bytearray(data)
        broken[place] ^= 1
        with pytest.raises(NmfcError):
            unpack(bytes(broken))
        mended = mutations.mended(bytes(broken))
        assert zlib.crc32(mended[:-4]) == int.from_bytes(mended[-4:], "little")
    assert mutations.mended(data) == data
    assert mutations.mended(b"no container") == b"no container"


def test_what_is_found_is_told(tmp_path, monkeypatch):
    """A door that lets something else out, one that is slow, and one that takes memory."""

    def door(data: bytes) -> str:
        if data == b"2":
            raise ValueError("two\nlines")
        if data == b"3":
            while True:
                pass
        return "refused" if data == b"4" else ""

    monkeypatch.setitem(doors.READ, "test", door)
    monkeypatch.setitem(doors.MUTATION, "test", lambda number, seed: b"%d" % number)
    monkeypatch.setattr(fuzz, "SECONDS", 0.02)
    found = fuzz.mutated("test", 0, 6, 7, str(tmp_path))
    assert [line.split(": ")[0] for line in found.findings] == [f"test mutation {n} of seed 7" for n in (2, 3)]
    assert [line.split(": ")[1] for line in found.findings] == ["ValueError", "Slow"]
    assert (found.count, found.read, found.slowest > 0.15) == (6, 3, True)
    assert found.messages is not None
    assert found.messages["refused"] == 1
    assert (tmp_path / "test-7-2").read_bytes() == b"2"
    monkeypatch.setattr(fuzz, "MEMORY", -1)
    assert "bytes" in fuzz.mutated("test", 4, 1, 7).findings[0]


def test_a_process_that_dies_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz, "environment", lambda: {"PYTHONPATH": "nowhere"})
    (tmp_path / "container-now").write_text("  17")
    found = fuzz.in_pieces("container", 10, 0, str(tmp_path))
    assert found.findings == ("container mutation 17 of seed 0: the process ended with 1",)
