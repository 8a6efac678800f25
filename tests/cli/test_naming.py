"""Names of pictures: they come back with their folders, and nothing goes where it should not."""

from __future__ import annotations

import os
from types import SimpleNamespace

import numpy as np
from commands import one_line, picture, written
from containers_made import stack
from hypothesis import given, settings
from hypothesis import strategies as st

from nmfcompress.cli import containers
from nmfcompress.cli.naming import clean, names_of
from nmfcompress.codec.header import Meta
from nmfcompress.images.files import display


def test_names_come_back_with_their_ending_where_it_keeps_the_picture(run, tmp_path):
    names = [
        "a.tif",
        "b.PNG",
        "c.jpg",
        "d",
        "e.v2",
        "sub/f.bmp",
        "g.webp",
        "h.pgm",
        "i.ppm",
        "j.gif",
        "ü.png",
        "l.Jpeg",
    ]
    stack(tmp_path / "x.nmfc", meta=Meta(names=tuple(names)))
    assert run("decompress", "x.nmfc").code == 0
    made = ["a.tif", "b.PNG", "c.png", "d.png", "e.v2.png", "g.webp", "h.pgm", "i.ppm", "j.png", "ü.png"]
    assert written(tmp_path / "nmfc-out") == sorted([*made, "l.png", "sub/f.bmp"])
    stack(tmp_path / "x.nmfc", kind="uint16", meta=Meta(names=tuple(names)))
    assert run("decompress", "x.nmfc", "-O", "deep").code == 0
    assert {"a.tif", "sub/f.png", "g.png", "h.pgm", "i.png"} <= set(written(tmp_path / "deep"))
    assert run("decompress", "x.nmfc", "-O", "jpg", "--to", "jpg").code == 0
    assert written(tmp_path / "jpg")[:2] == ["a.jpg", "b.jpg"]


def test_hostile_names_stay_inside(run, tmp_path):
    names = (
        "../../x.png", "/etc/passwd", "..", "", "-rf", "a\nb\x1b[2J.png", ".bashrc", "C:\\w\\x.png", "x.png",
        "n" * 300 + ".png", "\udce9.jpg", "a/..",
    )  # fmt: skip
    folder = tmp_path / "deep" / "here"
    folder.mkdir(parents=True)
    stack(folder / "evil.nmfc", meta=Meta(names=names))
    os.chdir(folder)
    before = set(written(tmp_path))
    done = run("decompress", folder / "evil.nmfc", "-O", "out", "-v")
    assert done.code == 0, done.err
    new = set(written(tmp_path)) - before
    assert len(new) == 12
    made = {name.removeprefix("deep/here/out/") for name in new}
    assert not any("/" in name or name.startswith(("-", ".")) for name in made)
    assert {"passwd.png", "rf.png", "a_b_[2J.png", "bashrc.png", "evil-02.png", "x-00.png", "x-07.png"} <= made
    assert "\x1b" not in done.err
    assert "becomes x-00.png" in done.err


_TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["", ".", "..", "/", "a", "A.png", "a.png", "a-0.png", "a-1.png", "../a.png", "~", "a" * 300]),
    st.sampled_from(
        ["a/b.png", "a/a.png", "a.png/b", "a/b/c", "b/../a", "/a/b", "a//b", "a/.b/c", "-a/b", "a" * 300 + "/b"]
    ),
    st.lists(st.sampled_from([*"./\\-~ a\n\0\x85\u2028\u202e", ".png", ".tif", "\udcff"])).map("".join),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(_TEXTS, min_size=1, max_size=12))
def test_any_names_become_different_names_of_files(names):
    file = SimpleNamespace(
        header=SimpleNamespace(shape=(len(names), 4, 4), dtype=np.dtype(np.uint8)), meta=Meta(names=tuple(names))
    )
    made = names_of(file, "stem")  # type: ignore[arg-type]
    assert len(set(made)) == len(made) == len(names)
    folders = {"/".join(name.split("/")[:depth]) for name in made for depth in range(1, 1 + name.count("/"))}
    assert not folders & set(made)
    for name in made:
        for part in name.split("/"):
            assert part
            assert "\\" not in part
            assert not part.startswith((".", "-", "~", " "))
            assert len(os.fsencode(part)) <= 255
        plain = "".join(char for char in name if not "\udc80" <= char <= "\udcff")
        assert display(plain) == plain


def test_folders_come_back_where_they_are_plain(run, tmp_path):
    for name in ("a/x.png", "a/b/x.png", "c/x.tif", "x.png"):
        picture(tmp_path / "in" / name, size=(24, 20), seed=len(name))
    done = run("compress", "-r", "in", "-k", 2, "-o", "in.nmfc")
    assert done.code == 0, done.err
    assert run("decompress", "in.nmfc").code == 0
    assert written(tmp_path / "nmfc-out") == ["a/b/x.png", "a/x.png", "c/x.tif", "x.png"]
    assert run("decompress", "in.nmfc", "-o", "back.npz").code == 0
    assert sorted(np.load(tmp_path / "back.npz")["names"].tolist()) == written(tmp_path / "nmfc-out")
    assert run("compress", "in/a", "in/c", "-k", 2, "-o", "two.nmfc").code == 0
    assert run("decompress", "two.nmfc", "-O", "two").code == 0
    assert written(tmp_path / "two") == ["a/x.png", "c/x.tif"]


def test_what_a_walk_passes_over_is_said(run, tmp_path):
    """Pipes would wait for ever, links to folders may lead round in circles."""
    picture(tmp_path / "in/a.png")
    picture(tmp_path / "in/.hidden.png")
    picture(tmp_path / "other/b.png")
    (tmp_path / "in/linked").symlink_to(tmp_path / "other")
    (tmp_path / "in/notes.txt").write_text("none")
    os.mkfifo(tmp_path / "in/pipe.png")
    said = run("compress", "-r", "in", "-k", 2, "-n", 2, "--write", "image")
    assert (said.code, written(tmp_path / "nmfc-out")) == (0, ["a.png"])
    for words in ("linked, a link to a folder", "pipe.png, neither a file", "notes.txt, by the ending no picture"):
        assert f"in: passed over {words}" in said.err


def test_a_link_that_leads_outside_is_not_followed(run, tmp_path):
    stack(tmp_path / "a.nmfc", meta=Meta(names=tuple(f"sub/{i}.png" for i in range(12))))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "nmfc-out").mkdir()
    (tmp_path / "nmfc-out/sub").symlink_to(tmp_path / "elsewhere")
    done = run("decompress", "a.nmfc")
    assert done.code == 1
    one_line(done.err, "nmfc-out/sub: leads outside of nmfc-out")
    assert not written(tmp_path / "elsewhere")


def test_a_file_that_is_a_folder_too_costs_all_their_folders(run, tmp_path):
    names = ("a.png", "a.png/b.png", "c/d.png", *map(str, range(9)))
    stack(tmp_path / "a.nmfc", meta=Meta(names=names))
    assert run("decompress", "a.nmfc").code == 0
    assert {"a.png", "b.png", "d.png"} <= set(written(tmp_path / "nmfc-out"))


def test_a_single_picture_gets_its_name_back(run, tmp_path):
    for name in ("in/photo.tif", "in/b/photo.tif", "in/scan.png"):
        picture(tmp_path / name)
    for name, file in (("photo.tif", "p.nmfc"), ("b/photo.tif", "q.nmfc"), ("scan.png", "scan.nmfc")):
        assert run("compress", f"in/{name}", "-k", 2, "-o", file).code == 0
    assert containers.opened_bytes((tmp_path / "scan.nmfc").read_bytes()).meta.names == ()
    assert run("decompress", "p.nmfc", "scan.nmfc", "-O", "one").code == 0
    assert written(tmp_path / "one") == ["photo.tif", "scan.png"]
    done = run("decompress", "p.nmfc", "q.nmfc", "-O", "two")
    assert done.code == 0, done.err
    assert written(tmp_path / "two") == ["photo.tif", "q.png"]
    for source, file, name in (("in/b", "photo.nmfc", "photo.tif"), ("in/c", "scan.nmfc", "d/scan.png")):
        picture(tmp_path / "in/c/d/scan.png")
        assert run("compress", "-r", source, "-k", 2, "-o", file, "-f").code == 0
        assert containers.opened_bytes((tmp_path / file).read_bytes()).meta.names == (name,)
        os.replace(tmp_path / file, tmp_path / "other.nmfc")
        assert run("decompress", "other.nmfc", "-O", f"from-{file}").code == 0
        assert written(tmp_path / f"from-{file}") == [name]
    done = run("compress", "-", "-k", 2, "-o", "r.nmfc", input=(tmp_path / "in/photo.tif").read_bytes())
    assert containers.opened_bytes((tmp_path / "r.nmfc").read_bytes()).meta.names == ()


def test_a_plain_name_is_left_as_it_is():
    for name in ("a.png", "IMG 0001 (2).tif", "naïve~1.png", "日本.png", "a-b_c.d.png"):
        assert clean(name) == name
