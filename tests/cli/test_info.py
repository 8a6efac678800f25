"""nmfc info: the summary on stdout, and the same as JSON."""

from __future__ import annotations

import json

import numpy as np
from commands import shell
from containers_made import images, single, stack

from nmfcompress import encode_stack, info
from nmfcompress.codec.header import Meta


def test_the_summary_is_the_data(run, tmp_path):
    data = stack(tmp_path / "a.nmfc", meta=Meta(labels=np.arange(12), names=tuple(f"{i}.png" for i in range(12))))
    done = run("info", "a.nmfc")
    assert done.code == 0
    assert done.err == ""
    lines = done.out.splitlines()
    assert lines[0] == "a.nmfc: 12 pictures of 12x10 uint8"
    assert lines[1].split() == ["arrangement", "stack"]
    assert lines[2].split()[:2] == ["bytes", f"{len(data):,},"]
    assert lines[2].endswith("times less than 1,440 of pixels")
    assert "names        0.png, 1.png, 2.png ... 12 in all" in done.out
    assert "labels       0, 1, 2 ... 12 in all" in done.out
    assert "11.png" not in done.out
    assert "11.png" in run("info", "a.nmfc", "-v").out
    for name in ("parts", "codes", "meta", "the rest"):
        assert f" {name} " in done.out


def test_sections_and_the_rest_are_all_bytes(run, tmp_path):
    data = single(tmp_path / "a.nmfc", channels=3)
    shares = [line.split()[-2] for line in run("info", "a.nmfc").out.splitlines() if line.endswith("%")]
    assert sum(int(share.replace(",", "")) for share in shares) == len(data)


def test_json_is_what_python_says(run, tmp_path):
    data = stack(tmp_path / "a.nmfc")
    single(tmp_path / "b.nmfc")
    done = run("info", "a.nmfc", "b.nmfc", "--json")
    first, second = map(json.loads, done.out.splitlines())
    assert first == {"input": "a.nmfc", **info(data)}
    assert second["mode"] == "rows"


def test_what_goes_with_a_picture_and_what_it_needs(run, tmp_path):
    single(tmp_path / "a.nmfc", "float32", meta=Meta(dpi=(72.0, 72.0)), range_=(0.0, 3071.0))
    said = run("info", "a.nmfc").out
    assert "values       0 to 3071" in said
    assert "with them    resolution" in said
    train = stack(tmp_path / "train.nmfc")
    (tmp_path / "test.nmfc").write_bytes(encode_stack(images(5), basis_from=train))
    assert "--basis-from, with the file whose parts have SHA-256" in run("info", "test.nmfc").out


def test_names_that_a_terminal_would_obey(run, tmp_path):
    stack(tmp_path / "a.nmfc", meta=Meta(names=("\x1b[2J", "a\nb", *map(str, range(10)))))
    said = run("info", "a.nmfc").out
    assert "\x1b" not in said
    assert "\\x1b[2J, a\\nb" in said


def test_in_a_pipeline(tmp_path):
    stack(tmp_path / "a.nmfc")
    done = shell(tmp_path, "nmfc info - < a.nmfc | head -1")
    assert done.stdout == b"-: 12 pictures of 12x10 uint8\n"
    assert done.stderr == b""
    assert shell(tmp_path, "nmfc info a.nmfc | true").returncode in (0, 141)
