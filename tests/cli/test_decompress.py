"""nmfc decompress: the pictures come back, with all that goes with them, and nothing goes where it should not."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from commands import COMMAND, environment, mode_and_size, one_line, picture, read, real, shell, tones, written
from containers_made import coded, images, single, stack, with_meta
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from nmfcompress import decode_image, decode_stack, encode_stack
from nmfcompress.cli import containers
from nmfcompress.codec.container import MAGIC, pack, unpack
from nmfcompress.codec.header import Meta
from nmfcompress.errors import InputError
from nmfcompress.images.limits import Limits
from nmfcompress.settings import Decoding

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif() -> bytes:
    found = Image.Exif()
    found[0x010E] = "what it shows"
    return found.tobytes()


def arrays(path: Path | bytes) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(path) if isinstance(path, bytes) else path, allow_pickle=False) as found:
        return dict(found)


# What comes back


@pytest.mark.parametrize("arrangement", ["stack", "bands"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_collection_comes_back_as_numbered_pictures(run, tmp_path, arrangement, channels):
    data = stack(tmp_path / "a.nmfc", arrangement=arrangement, channels=channels)
    done = run("decompress", "a.nmfc")
    assert done.code == 0, done.err
    assert done.out == ""
    assert done.err.splitlines()[-1] == "written to nmfc-out"
    assert f"12 pictures of 12x10 {'RGB' if channels == 3 else 'L'} uint8 from {len(data):,} bytes" in done.err
    assert written(tmp_path / "nmfc-out") == [f"a-{i:02}.png" for i in range(12)]
    shown = np.stack([read(tmp_path / f"nmfc-out/a-{i:02}.png") for i in range(12)])
    np.testing.assert_array_equal(shown, decode_stack(data))


@pytest.mark.parametrize(("kind", "mode"), [("uint8", "L"), ("uint16", "I;16")])
def test_one_picture_has_the_name_of_its_file(run, tmp_path, kind, mode):
    data = single(tmp_path / "photo.nmfc", kind)
    assert run("decompress", "photo.nmfc", "-O", "out").code == 0
    assert mode_and_size(tmp_path / "out/photo.png") == (mode, (12, 10))
    np.testing.assert_array_equal(read(tmp_path / "out/photo.png"), decode_image(data))


def test_collections_of_one_keep_their_axis_and_single_pictures_have_none(run, tmp_path):
    stack(tmp_path / "many.nmfc", 1)
    single(tmp_path / "one.nmfc")
    assert run("decompress", "many.nmfc", "one.nmfc", "--to", "npy").code == 0
    assert np.load(tmp_path / "nmfc-out/many.npy").shape == (1, 10, 12)
    assert np.load(tmp_path / "nmfc-out/one.npy").shape == (10, 12)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32", "float64"])
@pytest.mark.parametrize("arrangement", ["stack", "bands"])
def test_arrays_have_the_type_that_they_had(run, tmp_path, kind, arrangement):
    data = stack(tmp_path / "a.nmfc", kind=kind, arrangement=arrangement)
    assert run("decompress", "a.nmfc", "-o", "back.npz").code == 0
    assert run("decompress", "a.nmfc", "-o", "back.npy").code == 0
    found = arrays(tmp_path / "back.npz")
    assert list(found) == ["images"]
    assert found["images"].dtype == kind
    np.testing.assert_array_equal(found["images"], decode_stack(data))
    np.testing.assert_array_equal(np.load(tmp_path / "back.npy"), found["images"])


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_floats_come_back_in_their_range_as_arrays_and_as_grey_in_pictures(run, tmp_path, kind):
    data = stack(tmp_path / "a.nmfc", kind=kind, range_=(-5.0, 4000.0))
    assert run("decompress", "a.nmfc", "-o", "back.npz").code == 0
    found = arrays(tmp_path / "back.npz")["images"]
    assert found.dtype == kind
    np.testing.assert_allclose(found, decode_stack(data) * 4005.0 - 5.0, rtol=1e-6, atol=1e-3)
    done = run("decompress", "a.nmfc")
    one_line(done.err.splitlines()[0] + "\n", "a.nmfc: values -5 to 4000 written as 0 to 65535")
    np.testing.assert_array_equal(
        read(tmp_path / "nmfc-out/a-03.png"), np.rint(decode_stack(data)[3].astype(float) * 65535)
    )


def test_whole_numbers_have_no_range_of_their_own_whatever_the_file_says(run, tmp_path):
    data = stack(tmp_path / "a.nmfc", range_=(0.0, 1e308))
    assert run("decompress", "a.nmfc", "-o", "back.npy").code == 0
    np.testing.assert_array_equal(np.load(tmp_path / "back.npy"), decode_stack(data))


def test_what_goes_with_a_picture_comes_back(run, tmp_path):
    alpha = tones(10, 12, seed=5)
    single(tmp_path / "a.nmfc", channels=3, meta=Meta(ICC, exif(), (300.0, 300.0), alpha, "RGBA"))
    assert run("decompress", "a.nmfc").code == 0
    with Image.open(tmp_path / "nmfc-out/a.png") as image:
        assert image.mode == "RGBA"
        assert image.info["icc_profile"] == ICC
        assert image.getexif()[0x010E] == "what it shows"
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        np.testing.assert_array_equal(np.asarray(image)[..., 3], alpha)
    done = run("decompress", "a.nmfc", "-o", "a.bmp", "--json")
    assert done.code == 0
    assert len(json.loads(done.out)["notes"]) == 3
    for word in ("alpha", "ICC profile", "EXIF"):
        assert f"a.nmfc: {word} dropped (BMP holds none)" in done.err
    done = run("decompress", "a.nmfc", "-o", "a.npz")
    assert "ICC profile, EXIF, resolution dropped (arrays hold none)" in done.err
    np.testing.assert_array_equal(arrays(tmp_path / "a.npz")["alpha"], alpha)


def test_a_resolution_that_is_none_is_dropped(run, tmp_path):
    single(tmp_path / "a.nmfc", meta=Meta(dpi=(-3.0, 1e300)))
    done = run("decompress", "a.nmfc")
    assert done.code == 0
    assert "resolution dropped" in done.err


def test_two_and_four_channels_are_a_picture_with_alpha(run, tmp_path):
    for name, channels in (("la", 2), ("rgba", 4)):
        (tmp_path / f"{name}.nmfc").write_bytes(coded(tones(16, 20, channels)))
    assert run("decompress", "la.nmfc", "rgba.nmfc").code == 0
    assert mode_and_size(tmp_path / "nmfc-out/la.png")[0] == "LA"
    assert mode_and_size(tmp_path / "nmfc-out/rgba.png")[0] == "RGBA"
    (tmp_path / "deep.nmfc").write_bytes(coded(tones(16, 20, 4).astype(np.uint16)))
    done = run("decompress", "deep.nmfc")
    assert done.code == 1
    one_line(done.err, "deep.nmfc: has 4 channels of uint16", "-o FILE.npz")
    assert run("decompress", "deep.nmfc", "-o", "deep.npz").code == 0
    assert arrays(tmp_path / "deep.npz")["images"].shape == (16, 20, 4)


@pytest.mark.parametrize("labels", [np.arange(12) % 3, np.array(["b", "a", "ç"] * 4)])
def test_labels_names_and_places_come_back_in_an_archive(run, tmp_path, labels):
    names = tuple(f"d/{i}.png" for i in range(12))
    stack(tmp_path / "a.nmfc", meta=Meta(names=names, labels=labels, indices=np.arange(12) * 7))
    assert run("decompress", "a.nmfc", "-o", "back.npz", "--index", "1,4-6").code == 0
    found = arrays(tmp_path / "back.npz")
    assert found["names"].tolist() == [names[i] for i in (1, 4, 5, 6)]
    assert found["labels"].tolist() == labels[[1, 4, 5, 6]].tolist()
    assert found["indices"].tolist() == [7, 28, 35, 42]
    done = run("decompress", "a.nmfc", "-o", "back.npy")
    assert "labels, indices, names dropped (.npy holds none)" in done.err


def test_an_archive_goes_back_into_a_file_with_its_labels(run, tmp_path):
    stack(tmp_path / "a.nmfc", meta=Meta(labels=np.arange(12) % 3))
    assert run("decompress", "a.nmfc", "-o", "back.npz").code == 0
    done = run("basis", "back.npz", "-k", 2, "-n", 2, "--label", 1, "--json")
    assert done.code == 0
    assert json.loads(done.out)["images"] == 4


def test_there_and_back(run, tmp_path):
    for i in range(4):
        picture(tmp_path / f"many/p{i}.{'jpg' if i % 2 else 'tif'}", size=(24, 20), seed=i)
    np.savez(tmp_path / "b.npz", images=images(6).astype(np.float32) * 2, labels=np.array(list("xyzxyz")))
    picture(tmp_path / "c.png", "RGBA", (24, 20), icc_profile=ICC, dpi=(72, 72))
    for name, words in (("many", ("-r",)), ("b.npz", ("--index", "2-4")), ("c.png", ())):
        assert run("compress", name, *words, "-k", 3, "-o", f"{name[0]}.nmfc").code == 0
    assert run("decompress", "m.nmfc", "b.nmfc", "c.nmfc").code == 0
    b = [f"b-{i}.png" for i in range(3)]
    assert written(tmp_path / "nmfc-out") == [*b, "c.png", "p0.tif", "p1.png", "p2.tif", "p3.png"]
    assert mode_and_size(tmp_path / "nmfc-out/c.png") == ("RGBA", (24, 20))
    assert run("decompress", "b.nmfc", "-o", "back.npz").code == 0
    found = arrays(tmp_path / "back.npz")
    assert found["images"].dtype == np.float32
    assert 300 < found["images"].max() <= 510
    assert found["labels"].tolist() == ["z", "x", "y"]
    assert found["indices"].tolist() == [2, 3, 4]


def test_which_pictures_an_archive_holds_is_told(run, tmp_path):
    stack(tmp_path / "a.nmfc")
    run("decompress", "a.nmfc", "--index", "1,3-4", "-o", "some.npz")
    run("decompress", "a.nmfc", "-o", "all.npz")
    with np.load(tmp_path / "some.npz") as some, np.load(tmp_path / "all.npz") as whole:
        assert some["indices"].tolist() == [1, 3, 4]
        assert "indices" not in whole
        np.testing.assert_array_equal(some["images"], whole["images"][[1, 3, 4]])


def test_some_pictures_and_coarse_ones(run, tmp_path):
    data = stack(tmp_path / "a.nmfc")
    assert run("decompress", "a.nmfc", "--index", "10,2-4", "--rank", 2).code == 0
    assert written(tmp_path / "nmfc-out") == ["a-02.png", "a-03.png", "a-04.png", "a-10.png"]
    np.testing.assert_array_equal(read(tmp_path / "nmfc-out/a-10.png"), decode_stack(data, [10], rank=2)[0])
    assert run("decompress", "a.nmfc", "--index", "10,2-4,10,3", "-o", "some.npy").code == 0
    np.testing.assert_array_equal(np.load(tmp_path / "some.npy"), decode_stack(data, [2, 3, 4, 10]))
    assert "in its order" in " ".join(run("decompress", "--help").out.split())
    done = run("decompress", "a.nmfc", "--index", 12)
    assert done.code == 2
    one_line(done.err, "a.nmfc: index 12 is beyond its 12 images")
    assert run("decompress", "a.nmfc", "--rank", 0).code == 2


def test_pieces_are_the_whole(run, tmp_path, monkeypatch):
    data = stack(tmp_path / "a.nmfc")
    monkeypatch.setattr(containers, "PIECE_BYTES", 500)
    assert run("decompress", "a.nmfc", "-o", "back.npz").code == 0
    np.testing.assert_array_equal(arrays(tmp_path / "back.npz")["images"], decode_stack(data))
    assert run("decompress", "a.nmfc").code == 0
    np.testing.assert_array_equal(read(tmp_path / "nmfc-out/a-11.png"), decode_stack(data, 11)[0])


def test_the_parts_of_another_file(run, tmp_path):
    train = stack(tmp_path / "train.nmfc")
    test = encode_stack(images(5), basis_from=train)
    (tmp_path / "test.nmfc").write_bytes(test)
    (tmp_path / "other.nmfc").write_bytes(encode_stack(images(4, (12, 10))[:, ::-1], rank=2, arrangement="stack"))
    done = run("decompress", "test.nmfc", "train.nmfc")
    assert done.code == 1
    one_line(done.err.splitlines()[0] + "\n", "test.nmfc: has no parts of its own", "--basis-from")
    assert len(written(tmp_path / "nmfc-out")) == 12
    done = run("decompress", "test.nmfc", "--basis-from", "other.nmfc")
    assert done.code == 1
    one_line(done.err, "test.nmfc: was made with the parts of another file than other.nmfc")
    assert run("decompress", "test.nmfc", "--basis-from", "train.nmfc", "-o", "back.npy").code == 0
    np.testing.assert_array_equal(np.load(tmp_path / "back.npy"), decode_stack(test, basis_from=train))
    for bad, word in (("test.nmfc", "another file still"), ("nothing", "cannot be read"), ("one.nmfc", "rows")):
        single(tmp_path / "one.nmfc")
        done = run("decompress", "test.nmfc", "--basis-from", bad)
        assert done.code == 1
        one_line(done.err, f"nmfc: {bad}: ", word)


def test_json_has_one_object_a_file(run, tmp_path):
    stack(tmp_path / "a.nmfc", kind="uint16")
    single(tmp_path / "b.nmfc")
    done = run("decompress", "a.nmfc", "b.nmfc", "--json", "--index", 0)
    assert done.code == 0
    assert done.err == ""
    a, b = map(json.loads, done.out.splitlines())
    assert a["outputs"] == ["nmfc-out/a-00.png"]
    assert (a["input"], a["arrangement"], a["images"], a["width"], a["height"]) == ("a.nmfc", "stack", 1, 12, 10)
    assert (a["mode"], a["dtype"], a["notes"]) == ("L", "uint16", [])
    assert a["bytes"] == (tmp_path / "a.nmfc").stat().st_size
    assert b["arrangement"] == "rows"
    assert b["seconds"] >= 0


# Where it goes


def test_the_ending_of_the_output_tells_its_kind(run, tmp_path):
    data = single(tmp_path / "a.nmfc")
    for kind in ("png", "tif", "bmp", "pgm", "jp2"):
        assert run("decompress", "a.nmfc", "-o", f"one.{kind}").code == 0
        np.testing.assert_array_equal(read(tmp_path / f"one.{kind}"), decode_image(data))
    assert run("decompress", "a.nmfc", "-o", "odd", "--to", "png").code == 0
    assert mode_and_size(tmp_path / "odd") == ("L", (12, 10))
    stack(tmp_path / "b.nmfc")
    assert run("decompress", "b.nmfc", "--to", "tif").code == 0
    assert written(tmp_path / "nmfc-out")[0] == "b-00.tif"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("a.nmfc", "-o", "one.png"), "-o takes one picture, a.nmfc gives 12"),
        (("a.nmfc", "-o", "one.xyz"), "one.xyz"),
        (("a.nmfc", "-o", "one"), "npz"),
        (("a.nmfc", "--to", "xyz"), "--to is xyz"),
        (("a.nmfc", "-o", "x.png", "--to", "npz"), "-o ends in .png, and --to says npz"),
        (("a.nmfc", "-o", "x.nmfc", "--to", "png"), "-o ends in .nmfc, and --to says png"),
        (("a.nmfc", "-o", "x.npz", "-O", "out"), "does not go with -O"),
        (("a.nmfc", "-o", "-"), "--to"),
        (("a.nmfc", "-o", "-", "--to", "npz", "--json"), "both write to stdout"),
        (("a.nmfc", "b.nmfc", "-o", "c.npz"), "-o takes one input, there are 2"),
        (("a.nmfc", "-f", "--skip-existing"), "--skip-existing"),
        (("a.nmfc", "--index", "a"), "--index"),
        (("a.nmfc", "--basis-from", "-"), "--basis-from"),
        (("a.nmfc", "--max-memory", "much"), "--max-memory"),
    ],
)
def test_wrong_usage(run, tmp_path, words, said):
    stack(tmp_path / "a.nmfc")
    stack(tmp_path / "b.nmfc")
    done = run("decompress", *words)
    assert done.code == 2
    one_line(done.err, said)
    assert written(tmp_path) == ["a.nmfc", "b.nmfc"]


def test_existing_files_are_kept(run, tmp_path):
    stack(tmp_path / "a.nmfc")
    (tmp_path / "nmfc-out").mkdir()
    kept = tmp_path / "nmfc-out/a-03.png"
    kept.write_bytes(b"mine")
    done = run("decompress", "a.nmfc")
    assert done.code == 1
    one_line(done.err, "nmfc-out/a-03.png: exists", "-f")
    assert written(tmp_path / "nmfc-out") == ["a-03.png"]
    done = run("decompress", "a.nmfc", "--skip-existing", "--json")
    assert done.code == 0
    assert len(json.loads(done.out)["outputs"]) == 11
    assert kept.read_bytes() == b"mine"
    done = run("decompress", "a.nmfc", "--skip-existing")
    assert done.code == 0
    one_line(done.err, "1 passed over")
    assert run("decompress", "a.nmfc", "-f").code == 0
    assert kept.read_bytes() != b"mine"
    (tmp_path / "b.npz").write_bytes(b"mine")
    assert run("decompress", "a.nmfc", "-o", "b.npz").code == 1
    assert run("decompress", "a.nmfc", "-o", "b.npz", "--skip-existing").code == 0
    assert (tmp_path / "b.npz").read_bytes() == b"mine"


def test_an_input_is_never_overwritten(run, tmp_path):
    train = stack(tmp_path / "train.npz")
    test = encode_stack(images(5), basis_from=train)
    (tmp_path / "test.npz").write_bytes(test)
    for target in ("train.npz", "test.npz"):
        done = run("decompress", "test.npz", "--basis-from", "train.npz", "-o", target, "-f")
        assert done.code == 1
        one_line(done.err, f"{target}: is an input, which is never overwritten")
    assert (tmp_path / "train.npz").read_bytes() == train
    assert (tmp_path / "test.npz").read_bytes() == test


def test_two_files_whose_pictures_have_the_same_name(run, tmp_path):
    for name in ("a", "b"):
        stack(tmp_path / f"{name}.nmfc", meta=Meta(names=tuple(f"{i}.png" for i in range(12))))
    done = run("decompress", "a.nmfc", "b.nmfc")
    assert done.code == 1
    assert "0.png: is an output of this run already, for another input" in done.err
    assert len(written(tmp_path / "nmfc-out")) == 12


def test_a_folder_that_takes_nothing(run, tmp_path):
    stack(tmp_path / "a.nmfc")
    (tmp_path / "file").write_bytes(b"")
    done = run("decompress", "a.nmfc", "-O", "file")
    assert done.code == 1
    one_line(done.err, "file: is a file, expected a folder")


# Bad files


def _bad() -> dict[str, tuple[object, str]]:
    return {
        "empty": (lambda data: b"", "empty"),
        "text": (lambda data: b"hello there\n", "is a text file, no .nmfc file"),
        "zeros": (lambda data: bytes(100), "is no .nmfc file"),
        "beginning": (lambda data: data[:3], "is cut off: 3 bytes"),
        "magic": (lambda data: MAGIC, "cut off"),
        "half": (lambda data: data[: len(data) // 2], "is cut off"),
        "byte": (lambda data: data[:-1], "is cut off"),
        "behind": (lambda data: data + b"x", "has 1 bytes behind its end"),
        "future": (lambda data: MAGIC + b"\x63" + data[6:], "is of version 99"),
        "flip": (lambda data: data[:-6] + bytes([data[-6] ^ 4]) + data[-5:], "checksum"),
    }


@pytest.mark.parametrize("how", _bad())
@pytest.mark.parametrize("command", ["decompress", "info", "verify"])
def test_a_bad_file_is_one_line_and_costs_no_other(run, tmp_path, how, command):
    data = stack(tmp_path / "good.nmfc")
    change, said = _bad()[how]
    (tmp_path / "bad.nmfc").write_bytes(change(data))  # type: ignore[operator]
    done = run(command, "bad.nmfc")
    assert done.code == 1
    one_line(done.err, "nmfc: bad.nmfc: ", said)
    assert done.out == ""
    done = run(command, "bad.nmfc", "good.nmfc", "--json")
    assert done.code == 1
    assert json.loads(done.out.splitlines()[-1])["input"] == "good.nmfc"
    if command == "decompress":
        assert len(written(tmp_path / "nmfc-out")) == 12
    else:
        assert written(tmp_path) == ["bad.nmfc", "good.nmfc"]


@pytest.mark.parametrize("command", ["decompress", "info", "verify"])
def test_what_is_no_file_of_ours(run, tmp_path, command):
    picture(tmp_path / "a.png")
    (tmp_path / "folder").mkdir()
    done = run(command, "a.png", "folder", "nothing", "")
    assert done.code == 1
    lines = done.err.splitlines()
    assert lines[0] == "nmfc: a.png: is a picture, no .nmfc file"
    assert lines[1] == "nmfc: folder: is a folder (expected a .nmfc file)"
    assert lines[2] == "nmfc: nothing: cannot be read: No such file or directory"
    assert lines[3].startswith("nmfc: ''")
    assert run(command).code == 2


@pytest.mark.parametrize("place", range(0, 60, 7))
def test_any_flipped_bit_is_found(run, tmp_path, place):
    data = bytearray(single(tmp_path / "a.nmfc"))
    data[place] ^= 1 << place % 8
    (tmp_path / "a.nmfc").write_bytes(data)
    done = run("decompress", "a.nmfc")
    assert done.code == 1
    one_line(done.err, "nmfc: a.nmfc: ")
    assert written(tmp_path) == ["a.nmfc"]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([single, stack]), st.data())
def test_sections_that_lie_are_refused_or_decoded(tmp_path_factory, make, drawn):
    container = unpack(make(tmp_path_factory.mktemp("lies") / "a.nmfc"))
    name = drawn.draw(st.sampled_from(sorted(container.sections)))
    content = bytearray(container.sections[name])
    for _ in range(drawn.draw(st.integers(1, 3))):
        content[drawn.draw(st.integers(0, len(content) - 1))] = drawn.draw(st.integers(0, 255))
    lies = pack(container.mode, container.sections | {name: bytes(content)})
    with suppress(InputError):
        file = containers.opened_bytes(lies)
        for _ in containers.pieces(file, range(min(file.header.shape[0], 5)), Decoding(), None, Limits(2**26)):
            pass


def test_what_needs_more_memory_than_allowed(run, tmp_path):
    stack(tmp_path / "a.nmfc")
    done = run("decompress", "a.nmfc", "--max-memory", 100)
    assert done.code == 1
    one_line(done.err, "a.nmfc: reading ", "--max-memory")
    single(tmp_path / "b.nmfc", size=(200, 100))
    done = run("decompress", "b.nmfc", "--max-memory", "15KB")
    assert done.code == 1
    one_line(done.err, "b.nmfc: ", "--max-memory is 15.0 KB")
    assert written(tmp_path) == ["a.nmfc", "b.nmfc"]


def test_a_file_that_fails_late_leaves_no_archive(run, tmp_path):
    container = unpack(stack(tmp_path / "a.nmfc"))
    codes = container.sections["codes"]
    (tmp_path / "a.nmfc").write_bytes(pack("stack", container.sections | {"codes": codes[:-1] + b"\xff"}))
    for words in (("-o", "back.npz"), ("-o", "-", "--to", "npy"), ()):
        done = run("decompress", "a.nmfc", *words)
        assert done.code == 1
        assert done.out == ""
        one_line(done.err, "nmfc: a.nmfc: ")
    assert written(tmp_path) == ["a.nmfc"]


def test_debug_shows_the_traceback(run, tmp_path):
    (tmp_path / "a.nmfc").write_bytes(b"")
    assert "Traceback" in run("decompress", "a.nmfc", "--debug").err


# Streams, through a real shell


def test_stdin_and_stdout(tmp_path):
    data = single(tmp_path / "a.nmfc")
    done = shell(tmp_path, "cat a.nmfc | nmfc decompress - -o - --to png | cat; exit ${PIPESTATUS[1]}")
    assert (done.returncode, done.stderr.decode().split(" ")[0]) == (0, "-:")
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(done.stdout))), decode_image(data))
    stack(tmp_path / "b.nmfc")
    done = shell(tmp_path, "nmfc decompress b.nmfc -q -o - --to npz < /dev/null")
    assert done.stderr == b""
    assert arrays(done.stdout)["images"].shape == (12, 10, 12)
    assert shell(tmp_path, "echo before > out; nmfc decompress b.nmfc -q -o - --to npz >> out").returncode == 0
    appended = (tmp_path / "out").read_bytes().removeprefix(b"before\n")
    np.testing.assert_array_equal(arrays(appended)["images"], arrays(done.stdout)["images"])
    assert shell(tmp_path, "nmfc decompress <(cat a.nmfc) -q -o p.png").returncode == 0
    assert shell(tmp_path, "nmfc decompress - < a.nmfc").returncode == 0
    assert written(tmp_path / "nmfc-out") == ["stdin.png"]


def test_the_reader_of_stdout_has_gone_or_it_is_full(tmp_path):
    stack(tmp_path / "a.nmfc")
    done = shell(tmp_path, "nmfc decompress a.nmfc -q -o - --to npz | true")
    assert done.returncode in (0, 141)
    assert done.stderr == b""
    if os.path.exists("/dev/full"):
        done = shell(tmp_path, "nmfc decompress a.nmfc -q -o - --to npz > /dev/full")
        assert done.returncode == 1
        one_line(done.stderr.decode(), "stdout", "space")
    done = shell(tmp_path, "nmfc decompress a.nmfc -o - --to npz >&-")
    assert done.returncode == 1
    one_line(done.stderr.decode(), "stdout: is closed")


def test_a_terminal_gets_no_picture(tmp_path):
    pty = pytest.importorskip("pty")
    single(tmp_path / "a.nmfc")
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [*COMMAND, "decompress", "a.nmfc", "-o", "-", "--to", "png"],
        cwd=tmp_path, env=environment(), stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE, timeout=60,
    )  # fmt: skip
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 2
    one_line(done.stderr.decode(), "terminal")


def test_quiet_says_nothing_but_errors(tmp_path):
    stack(tmp_path / "a.nmfc", kind="float32")
    done = real(tmp_path, "decompress", "a.nmfc", "-q", "--progress", "always")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    done = real(tmp_path, "decompress", "a.nmfc", "-f", "--progress", "always")
    assert b"picture" in done.stderr


@pytest.mark.parametrize("command", ["decompress", "info", "verify"])
def test_help_loads_nothing_heavy(command):
    code = (
        "import sys; from nmfcompress.cli.main import _run; code = _run(sys.argv[1:]); "
        "sys.exit(1 if {'numpy', 'PIL', 'tqdm'} & set(sys.modules) else code)"
    )
    done = subprocess.run([sys.executable, "-c", code, command, "--help"], capture_output=True, timeout=60)
    assert done.returncode == 0
    assert f"Usage: nmfc {command}".encode() in done.stdout


def test_the_same_bytes_each_time(run, tmp_path):
    data = with_meta(stack(tmp_path / "a.nmfc"), Meta(labels=np.arange(12)))
    (tmp_path / "a.nmfc").write_bytes(data)
    for name in ("one.npz", "two.npz"):
        assert run("decompress", "a.nmfc", "-o", name).code == 0
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
