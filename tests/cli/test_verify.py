"""nmfc verify: whole files are, all others are named with what is wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest
from commands import one_line, shell, written
from containers_made import images, single, stack

from nmfcompress import encode_stack
from nmfcompress.cli import containers
from nmfcompress.codec.container import pack, unpack
from nmfcompress.codec.opened import Opened


def test_whole_files(run, tmp_path):
    stack(tmp_path / "a.nmfc")
    stack(tmp_path / "b.nmfc", arrangement="bands", channels=3)
    single(tmp_path / "c.nmfc", "uint16")
    done = run("verify", "a.nmfc", "b.nmfc", "c.nmfc")
    assert done.code == 0
    assert done.out == ""
    assert done.err.splitlines() == [
        "nmfc: a.nmfc: ok, 12 pictures of 12x10 L uint8",
        "nmfc: b.nmfc: ok, 12 pictures of 12x10 RGB uint8",
        "nmfc: c.nmfc: ok, 1 picture of 12x10 L uint16",
    ]
    assert written(tmp_path) == ["a.nmfc", "b.nmfc", "c.nmfc"]
    done = run("verify", "a.nmfc", "-q")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_codes_that_no_checksum_guards(run, tmp_path):
    container = unpack(stack(tmp_path / "good.nmfc"))
    codes = container.sections["codes"]
    (tmp_path / "bad.nmfc").write_bytes(pack("stack", container.sections | {"codes": codes[:-1] + b"\xff"}))
    done = run("verify", "bad.nmfc", "good.nmfc", "-q")
    assert done.code == 1
    one_line(done.err, "nmfc: bad.nmfc: ")
    done = run("verify", "bad.nmfc", "good.nmfc", "--json")
    bad, good = map(json.loads, done.out.splitlines())
    assert (bad["input"], bad["ok"]) == ("bad.nmfc", False)
    assert bad["error"] in done.err
    assert good == {
        "input": "good.nmfc", "ok": True, "images": 12, "bytes": (tmp_path / "good.nmfc").stat().st_size,
    }  # fmt: skip


def test_parts_of_another_file(run, tmp_path):
    train = stack(tmp_path / "train.nmfc")
    (tmp_path / "test.nmfc").write_bytes(encode_stack(images(5), basis_from=train))
    assert run("verify", "test.nmfc", "train.nmfc", "--basis-from", "train.nmfc").code == 0
    done = run("verify", "test.nmfc")
    assert done.code == 1
    one_line(done.err, "test.nmfc: has no parts of its own", "--basis-from")


def test_memory_is_bounded(run, tmp_path, monkeypatch):
    stack(tmp_path / "a.nmfc")
    asked: list[int] = []
    pictures = Opened.pictures

    def watched(self: Opened, index: np.ndarray, *rest: object) -> np.ndarray:
        asked.append(len(index))
        return pictures(self, index, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Opened, "pictures", watched)
    monkeypatch.setattr(containers, "PIECE_BYTES", 600)
    assert run("verify", "a.nmfc").code == 0
    assert (max(asked), sum(asked)) == (5, 12)


@pytest.mark.parametrize(("bytes_each", "pieces"), [(1, [32768, 32768, 4464]), (100_000, [2048] * 34 + [368])])
def test_pieces_end_where_chunks_do(monkeypatch, bytes_each, pieces):
    class File:
        header = type("Header", (), {"pixels": bytes_each, "dtype": np.dtype(np.uint8)})
        container = type("Container", (), {"mode": "stack"})

        def pictures(self, at: np.ndarray, *_: object) -> np.ndarray:
            return at

        def together(self, _: object) -> int:
            return 70_000

    monkeypatch.setattr(containers, "PIECE_BYTES", 50_000 if bytes_each == 1 else 2**28)
    limits = containers.Limits(2**40)
    shown = [at for at, _ in containers.pieces(File(), range(70_000), containers.Decoding(), None, limits)]  # type: ignore[arg-type]
    assert [len(at) for at in shown] == pieces
    assert np.array_equal(np.concatenate(shown), np.arange(70_000))


def test_in_a_pipeline(tmp_path):
    stack(tmp_path / "a.nmfc")
    done = shell(tmp_path, "cat a.nmfc | nmfc verify -")
    assert done.stderr == b"nmfc: -: ok, 12 pictures of 12x10 L uint8\n"
    assert shell(tmp_path, "head -c 50 a.nmfc | nmfc verify -; exit ${PIPESTATUS[1]}").returncode == 1
