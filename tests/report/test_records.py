"""loss.csv, JSON Lines and the summary table."""

from __future__ import annotations

import csv
import dataclasses
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmfcompress.errors import OutputError
from nmfcompress.factor import SweepRecord
from nmfcompress.report.records import (
    CSV_COLUMNS,
    HELD,
    SUMMARY_ROWS,
    Curve,
    Log,
    Outcome,
    merge_csv,
    neutral,
    shortened,
    summary,
)

HEAD = "input,image,label,sweep,loss,relative_loss,reads,gradient,objective,seconds\n"
OLD = "input,image,label,sweep,loss,relative_loss,seconds\n"


def curve(name="a.png", image=None, label=None, losses=(2.0, 1.0), gradient=1 / 3):
    records = tuple(SweepRecord(i, loss, loss / 4, i / 8, i + 2, gradient) for i, loss in enumerate(losses, start=1))
    return Curve(name, image, label, records)


def read(text):
    return list(csv.reader(io.StringIO(text, newline="")))


OUTCOME = Outcome(
    input="a.png", image=None, label=None, width=64, height=48, mode="RGB", rank=3, solver="mu", divergence="frobenius",
    sweeps=50, converged=False, loss=4.38, relative_loss=0.25, reads=52, gradient=2e-3, svd_floor=4.1, psnr_db=21.5,
    ssim=0.61, seconds=0.12,
    outputs=("out/a.png",), notes=("alpha kept",),
)  # fmt: skip
PACKED = dataclasses.replace(OUTCOME, bytes=1234, bits_per_pixel=3.2137, ratio=7.47)


# loss.csv


def test_the_header_is_the_promised_one():
    assert ",".join(CSV_COLUMNS) + "\n" == HEAD
    assert merge_csv(None, []) == HEAD
    assert merge_csv("", []) == HEAD


def test_one_line_a_sweep():
    text = merge_csv(None, [curve(), curve("mnist.npz", 7, 9, [0.1], None)])
    assert text == (
        HEAD
        + "a.png,,,1,2,0.5,3,0.3333,,0.1250\na.png,,,2,1,0.25,4,0.3333,,0.2500\nmnist.npz,7,9,1,0.1,0.025,3,,,0.1250\n"
    )


def test_what_is_done_again_replaces_its_rows_and_nothing_else():
    first = merge_csv(None, [curve("a.png"), curve("b.npz", 0, 5), curve("b.npz", 1, 0), curve("c.png")])
    second = merge_csv(first, [curve("b.npz", 1, 0, [9.0]), curve("d.png")])
    rows = read(second)
    assert [row[:2] for row in rows[1:]] == [
        *[["a.png", ""]] * 2, *[["b.npz", "0"]] * 2, *[["c.png", ""]] * 2, ["b.npz", "1"], *[["d.png", ""]] * 2
    ]  # fmt: skip
    assert rows[7] == ["b.npz", "1", "0", "1", "9", "2.25", "3", "0.3333", "", "0.1250"]


def test_the_same_again_is_the_same_text():
    curves = [curve("=a.png"), curve("b, c.npz", 3, '"x"')]
    once = merge_csv(None, curves)
    assert merge_csv(once, curves) == once
    assert merge_csv(once, []) == once


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


@given(st.lists(st.tuples(NAMES, st.none() | st.integers(0, 9))))
def test_any_name_comes_back_and_is_replaced(names):
    curves = [curve(name, image) for name, image in dict.fromkeys(names)]
    text = merge_csv(None, curves)
    rows = read(text)
    assert all(len(row) == len(CSV_COLUMNS) for row in rows)
    assert [row[0] for row in rows[1::2]] == [neutral(c.input) for c in curves]
    assert sorted(read(merge_csv(text, curves))) == sorted(rows)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_field_is_a_formula(start):
    """Names and labels come from files of others; spreadsheets run what begins like this."""
    row = read(merge_csv(None, [curve(start + "cmd()", None, start + "label")]))[1]
    spelled = start.replace("\r", "\\r")
    assert row[0] == "'" + spelled + "cmd()"
    assert row[2] == "'" + spelled + "label"
    assert neutral("a=b") == "a=b"
    assert read(merge_csv(None, [curve(label=-1)]))[1][2] == "-1"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "＝"])
def test_what_might_be_a_formula_stands_in_quotes(start):
    text = merge_csv(None, [curve(start + 'x"y')])
    assert text.splitlines()[1].startswith(f'"\'{start}x""y",,,1,')
    assert merge_csv(text, []) == text


def test_no_terminal_obeys_a_label():
    text = merge_csv(None, [curve(label="\x1b[2J\n\u202e\x9b")])
    assert read(text)[1][2] == "\\x1b[2J\\n\\u202e\\x9b"
    assert len(text.splitlines()) == 3


def test_a_long_log_is_kept_in_a_file_and_merged_again_and_again():
    many = curve("long.png", losses=[1.0] * 5000)
    with Log() as log:
        for place in range(30):
            log.add(dataclasses.replace(many, image=place))
        first = b"".join(log.merged(()))
        assert len(first) > HELD
        log.add(curve("last.png"))
        second = b"".join(log.merged(first.decode().splitlines(keepends=True))).decode()
    rows = read(second)
    assert [row[1] for row in rows[1:-2:5000]] == [str(place) for place in range(30)]
    assert second == first.decode() + "last.png,,,1,2,0.5,3,0.3333,,0.1250\nlast.png,,,2,1,0.25,4,0.3333,,0.2500\n"


def test_the_old_file_may_have_the_line_ends_of_windows():
    old = merge_csv(None, [curve("a.png"), curve("b.png")]).replace("\n", "\r\n")
    rows = read(merge_csv(old, [curve("a.png", losses=[5.0])]))
    assert [row[0] for row in rows[1:]] == ["b.png", "b.png", "a.png"]


def test_a_log_from_before_reads_and_gradient_is_taken_up():
    old = OLD + "a.png,,,1,2,0.5,0.1250\n" + '"b, c.png",3,x,1,2,0.5,0.1250\n'
    rows = read(merge_csv(old, [curve("a.png", losses=[5.0])]))
    assert rows[0] == list(CSV_COLUMNS)
    assert rows[1] == ["b, c.png", "3", "x", "1", "2", "0.5", "", "", "", "0.1250"]
    assert rows[2][:7] == ["a.png", "", "", "1", "5", "1.25", "3"]
    assert len(rows) == 3
    once = merge_csv(old, [])
    assert merge_csv(once, []) == once


def test_a_log_from_before_there_was_an_objective_is_taken_up():
    old = HEAD.replace("objective,", "") + "a.png,,,1,2,0.5,3,0.3333,0.1250\n"
    rows = read(merge_csv(old, [curve("b.png", losses=[5.0])]))
    assert rows[0] == list(CSV_COLUMNS)
    assert rows[1] == ["a.png", "", "", "1", "2", "0.5", "3", "0.3333", "", "0.1250"]
    assert len(rows[2]) == len(CSV_COLUMNS)


def test_an_objective_stands_beside_the_loss():
    records = (SweepRecord(1, 2.0, 0.5, 0.125, 3, None, 17.25),)
    assert read(merge_csv(None, [Curve("a.png", None, None, records)]))[1][3:] == [
        *("1", "2", "0.5", "3", "", "17.25", "0.1250")
    ]


@pytest.mark.parametrize(
    "old", ["name,loss\n1,2\n", "hello\n", "\n", HEAD.replace("sweep", "epoch"), '"' + "x" * 200_000]
)
def test_some_other_file_is_not_touched(old):
    with pytest.raises(OutputError, match="no loss log"):
        merge_csv(old, [curve()])


# JSON


def test_json_is_one_line_with_the_promised_keys():
    line = OUTCOME.to_json()
    assert "\n" not in line
    keys = (
        "input image label width height mode rank solver divergence sweeps converged loss relative_loss svd_floor "
        "reads gradient psnr_db ssim seconds outputs"
    )
    fields = json.loads(line)
    assert fields.keys() >= set(keys.split())
    assert fields["outputs"] == ["out/a.png"]
    assert fields["image"] is None
    assert (fields["reads"], fields["gradient"]) == (52, 2e-3)
    assert not {"images", "basis_from", "bytes", "bits_per_pixel", "ratio"} & fields.keys()
    assert json.loads(dataclasses.replace(OUTCOME, images=60000).to_json())["images"] == 60000


def test_json_has_the_size_of_the_file_if_there_is_one():
    fields = json.loads(PACKED.to_json())
    assert (fields["bytes"], fields["bits_per_pixel"], fields["ratio"]) == (1234, 3.2137, 7.47)


def test_json_knows_null_but_no_nan():
    exact = dataclasses.replace(OUTCOME, psnr_db=None, ssim=None, svd_floor=None, label="a\nb\u2028\ud800")
    line = exact.to_json()
    assert json.loads(line)["psnr_db"] is None
    assert line.isascii()
    assert "\n" not in line
    for wrong in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="JSON"):
            dataclasses.replace(OUTCOME, loss=wrong).to_json()


# The table


def test_the_table_has_aligned_columns():
    other = dataclasses.replace(OUTCOME, input="other.png", converged=True, psnr_db=None, ssim=None, svd_floor=None)
    lines = summary([OUTCOME, other])
    assert len(lines) == 3
    assert " ".join(lines[0].split()) == "input size rank sweeps loss relative svd floor PSNR dB SSIM seconds"
    assert "50+" in lines[1]
    assert "+" not in lines[2]
    assert "equal" in lines[2]
    assert len({len(line) for line in lines}) == 1


def test_the_table_says_how_many_more_there_are():
    assert summary([OUTCOME] * SUMMARY_ROWS, count=100_000)[-1] == f"... and {100_000 - SUMMARY_ROWS:,} more"


def test_the_long_table_has_reads_and_gradient():
    lines = summary([OUTCOME, dataclasses.replace(OUTCOME, gradient=None)], at_length=True)
    assert " ".join(lines[0].split()).endswith("SSIM reads gradient seconds")
    assert lines[1].split()[-3:] == ["52", "2.0e-03", "0.12"]
    assert lines[2].split()[-3:] == ["52", "-", "0.12"]


def test_the_table_has_bytes_where_there_is_a_file():
    lines = summary([PACKED, OUTCOME])
    assert " ".join(lines[0].split()).endswith("PSNR dB SSIM bytes bit/px seconds")
    assert lines[1].split()[-4:] == ["0.610", "1,234", "3.214", "0.12"]
    assert lines[2].split()[-2:] == ["0.610", "0.12"]
    assert len({len(line) for line in lines}) == 1
    long = summary([PACKED], at_length=True)[0]
    assert " ".join(long.split()).endswith("SSIM bytes bit/px reads gradient seconds")


def test_the_table_tells_images_of_an_archive_apart():
    places = ({"image": 5923, "label": 1}, {"image": 0, "label": "b"})
    lines = summary([dataclasses.replace(OUTCOME, **place) for place in places])
    assert lines[0].split()[:3] == ["input", "image", "label"]
    assert lines[1].split()[1:3] == ["5923", "1"]
    assert lines[2].split()[1:3] == ["0", "b"]
    assert "60,000 x 64x48" in summary([dataclasses.replace(OUTCOME, images=60000)])[1]


def test_a_long_table_is_cut():
    lines = summary([OUTCOME] * (SUMMARY_ROWS + 1234))
    assert len(lines) == SUMMARY_ROWS + 2
    assert lines[-1] == "... and 1,234 more"


def test_a_long_name_keeps_its_end():
    line = summary([dataclasses.replace(OUTCOME, input="folder/" * 30 + "last.png")])[1]
    assert "last.png" in line
    assert len(line) < 140


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("in/nmfc-v6/samples/digits.npz", ".../samples/digits.npz"),
        ("nmfc-v6/in/samples/d.npz", "nmfc-v6/in/samples/d.npz"),
        ("C:\\in\\pictures\\some\\digits.npz", "...\\some\\digits.npz"),
        ("a-folder/a-name-that-is-long.png", "..." + "a-folder/a-name-that-is-long.png"[-21:]),
        ("only/folders/that-go-on-and-on-and-on/", "..." + "only/folders/that-go-on-and-on-and-on/"[-21:]),
    ],
)
def test_paths_are_cut_between_folders(name, short):
    assert shortened(name, 24) == short
