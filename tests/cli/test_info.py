"""nmfc info: the summary on stdout, and the same as JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from commands import mode_and_size, one_line, shell
from containers_made import images, single, stack

from nmfcompress import encode_image, encode_stack, info
from nmfcompress.codec.container import pack, unpack
from nmfcompress.codec.header import Header, Meta
from nmfcompress.codec.parts import read_parts


def test_the_summary_is_the_data(run, tmp_path):
    data = stack(tmp_path / "a.nmfc", meta=Meta(labels=np.arange(12), names=tuple(f"{i}.png" for i in range(12))))
    done = run("info", "a.nmfc")
    assert done.code == 0
    assert done.err == ""
    lines = done.out.splitlines()
    assert lines[0] == "a.nmfc: 12 pictures of 12x10 L uint8"
    assert lines[1].split() == ["arrangement", "stack"]
    line = next(line for line in lines if line.startswith("  bytes "))
    assert line.split()[:2] == ["bytes", f"{len(data):,},"]
    assert line.endswith("times less than 1,440 of pixels")
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
    assert second["arrangement"] == "rows"


def test_what_goes_with_a_picture_and_what_it_needs(run, tmp_path):
    single(tmp_path / "a.nmfc", "float32", meta=Meta(dpi=(72.0, 72.0)), range_=(0.0, 3071.0))
    said = run("info", "a.nmfc").out
    assert "values       0 to 3071" in said
    assert "with them    resolution" in said
    train = stack(tmp_path / "train.nmfc")
    (tmp_path / "test.nmfc").write_bytes(encode_stack(images(5), basis_from=train))
    assert "--basis-from, with the file whose parts have SHA-256" in run("info", "test.nmfc").out


MADE = {  # arrangement: what encoders are told, what the file tells of it
    "rows": ({"rank": 3}, {"rank": 3, "step": None, "part_steps": None, "chunks": None}, ["rank 3 parts"]),
    "patches": (
        {"rank": 20, "step": 12.5}, {"rank": 20, "step": 12.5, "chunks": 1},
        ["rank 20 bands of a patch", "step 12.5 grey levels", "chunks 1"],
    ),
    "stack": (
        {"rank": 4, "step": 8}, {"rank": 4, "step": None, "chunks": 1, "chunk_images": 12},
        ["rank 4 parts", "chunks 1, of up to 12 pictures"],
    ),
    "bands": ({"rank": 2, "step": 4}, {"rank": 2, "step": None, "chunks": None}, ["rank 2 parts"]),
}  # fmt: skip


@pytest.mark.parametrize("arrangement", MADE)
def test_rank_step_and_chunks_where_they_are_in_the_file(run, tmp_path, arrangement):
    given, expected, said = MADE[arrangement]
    encode, pixels = (encode_image, images(1)[0]) if arrangement in ("rows", "patches") else (encode_stack, images())
    (tmp_path / "a.nmfc").write_bytes(encode(pixels, arrangement=arrangement, **given))
    told = json.loads(run("info", "a.nmfc", "--json").out)
    assert told["arrangement"] == arrangement
    assert {word: told[word] for word in expected} == expected
    lines = [" ".join(line.split()) for line in run("info", "a.nmfc").out.splitlines()]
    for line in said:
        assert line in lines
    if arrangement == "stack":
        parts = read_parts(unpack((tmp_path / "a.nmfc").read_bytes()), Header((12, 10, 12), np.dtype(np.uint8)))
        assert told["part_steps"] == [parts.steps.min() / parts.unit, parts.steps.max() / parts.unit]


def test_chunks_of_a_larger_stack_and_parts_that_are_elsewhere(run, tmp_path):
    many = np.tile(images(4, (4, 4)), (520, 1, 1))
    train = encode_stack(many, rank=2, arrangement="stack", step=30)
    assert (info(train)["chunks"], info(train)["chunk_images"]) == (2, 2048)
    told = info(encode_stack(many[:8], basis_from=train))
    assert (told["rank"], told["part_steps"], told["chunks"]) == (None, None, 1)


@pytest.mark.parametrize(
    ("section", "content"), [("parts", b"\0\x10\xff\x01"), ("parts", b"\4\x10"), ("codes", b"\0\0"), ("codes", b"")]
)
def test_numbers_that_lie_are_one_line(run, tmp_path, section, content):
    container = unpack(stack(tmp_path / "a.nmfc"))
    (tmp_path / "a.nmfc").write_bytes(pack("stack", container.sections | {section: content}))
    done = run("info", "a.nmfc")
    assert (done.code, done.out) == (1, "")
    one_line(done.err, "nmfc: a.nmfc: ")


@pytest.mark.parametrize(("channels", "alpha", "mode"), [(1, 0, "L"), (1, 1, "LA"), (3, 0, "RGB"), (3, 1, "RGBA")])
def test_grey_or_colour_is_said_in_one_word_everywhere(run, tmp_path, channels, alpha, mode):
    meta = Meta(alpha=np.zeros((10, 12), np.uint8)) if alpha else None
    single(tmp_path / "a.nmfc", channels=channels, meta=meta)
    assert run("info", "a.nmfc").out.splitlines()[0] == f"a.nmfc: 1 picture of 12x10 {mode} uint8"
    assert json.loads(run("info", "a.nmfc", "--json").out)["mode"] == mode
    assert f"12x10 {mode} uint8" in run("verify", "a.nmfc").err
    assert json.loads(run("decompress", "a.nmfc", "--json").out)["mode"] == mode
    assert mode_and_size(tmp_path / "nmfc-out/a.png")[0] == mode
    done = run("compress", "nmfc-out/a.png", "-k", 2, "-o", "b.nmfc")
    assert f"12x10 {mode} uint8, rows, " in done.err
    assert json.loads(run("compress", "nmfc-out/a.png", "-k", 2, "-o", "b.nmfc", "-f", "--json").out)["mode"] == mode


def test_names_that_a_terminal_would_obey(run, tmp_path):
    stack(tmp_path / "a.nmfc", meta=Meta(names=("\x1b[2J", "a\nb", *map(str, range(10)))))
    said = run("info", "a.nmfc").out
    assert "\x1b" not in said
    assert "\\x1b[2J, a\\nb" in said


def test_in_a_pipeline(tmp_path):
    stack(tmp_path / "a.nmfc")
    done = shell(tmp_path, "nmfc info - < a.nmfc | head -1")
    assert done.stdout == b"-: 12 pictures of 12x10 L uint8\n"
    assert done.stderr == b""
    assert shell(tmp_path, "nmfc info a.nmfc | true").returncode in (0, 141)
