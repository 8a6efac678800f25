"""CSV files of ours read again, and CSV files of anyone."""

from __future__ import annotations

import contextlib
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmfcompress.errors import InputError
from nmfcompress.factor import SweepRecord
from nmfcompress.report import logs, ranks
from nmfcompress.report.compare import Comparison, Point
from nmfcompress.report.compare import Curve as RateCurve
from nmfcompress.report.compared import to_csv
from nmfcompress.report.rates import rates_of
from nmfcompress.report.records import Curve, line, merge_csv
from nmfcompress.report.rivals import Codec

numbers = st.floats(0, 1e9)
names = st.text(max_size=12)
records = st.builds(SweepRecord, st.just(1), numbers, numbers, numbers, st.integers(0, 99), st.none() | numbers)


def table(text):
    return logs.open_table(io.StringIO(text, newline=""))


def read(text):
    found = table(text)
    return {"loss": logs.read_losses, "rank": logs.read_ranks, "compare": logs.read_rates}[found.kind](found)


def curve(name, image, label, some):
    kept = tuple(SweepRecord(i, r.loss, r.relative_loss, r.seconds, r.reads) for i, r in enumerate(some, start=1))
    return Curve(name, image, label, kept)


@settings(deadline=None, max_examples=50)
@given(
    st.dictionaries(names, st.tuples(st.none() | st.integers(0, 9), names, st.lists(records, min_size=1, max_size=5)))
)
def test_a_log_comes_back(many):
    curves = [curve(name, image, label, some) for name, (image, label, some) in many.items()]
    curves = list({c.key: c for c in curves}.values())
    if not curves:
        return
    found = logs.read_losses(table(merge_csv(None, curves)))
    assert len(found) == len(curves)
    for one, c in zip(found, curves, strict=True):
        assert list(one.x) == [r.sweep for r in c.records]
        assert list(one.y) == pytest.approx([r.loss for r in c.records], rel=1e-6)


def test_names_are_as_they_were():
    text = merge_csv(None, [curve("=1+1", 3, "@b", [SweepRecord(1, 2.0, 1.0, 0.1)])])
    assert "'=1+1" in text
    (one,) = logs.read_losses(table(text))
    assert (one.input, one.image, one.label) == ("=1+1", "3", "@b")


@pytest.mark.parametrize("column", ["reads", "seconds", "gradient", "relative_loss"])
def test_any_column_may_be_drawn(column):
    text = merge_csv(None, [curve("a", None, None, [SweepRecord(1, 2.0, 1.0, 0.5, 7)])])
    if column == "gradient":
        with pytest.raises(InputError, match="line 2 has gradient 'nothing'"):
            logs.read_losses(table(text), "sweep", column)
    else:
        (one,) = logs.read_losses(table(text), "sweep", column)
        assert list(one.y) == [{"reads": 7, "seconds": 0.5, "relative_loss": 1.0}[column]]


def test_sweeps_in_any_order_rise():
    text = "input,image,label,sweep,loss\na,,,3,1\na,,,1,3\na,,,2,2\n"
    (one,) = logs.read_losses(table(text))
    assert (list(one.x), list(one.y)) == ([1, 2, 3], [3, 2, 1])


def rank(n, recommended=False):
    return ranks.RankRecord(n, 2.0 / n, 1.0 / n, None, None, 10 * n, 0.5, 0.1, 0.4, 0.9, recommended)


def test_ranks_come_back():
    some = [rank(1), rank(2, True), rank(4)]
    found = logs.read_ranks(table(ranks.to_csv(some)))
    assert found == some
    assert logs.recommended(found) == 2


def test_ranks_of_before_there_was_a_recommendation():
    text = "\n".join(row.rsplit(",", 1)[0] for row in ranks.to_csv([rank(1), rank(2)]).splitlines()) + "\n"
    assert logs.recommended(logs.read_ranks(table(text))) is None


def test_rates_come_back():
    codec = Codec("AVIF mosaic", "q", (1.0,), lambda *_: [], lambda *_: None)
    points = (
        Point("AVIF mosaic", "q 1", 10, 0.5, 30.0, 0.9, 0.1, 0.1),
        Point("AVIF mosaic", "q 2", 20, 1.0, None, None, 0.1, 0.1),
    )
    comparison = Comparison((RateCurve(codec, points),), 10, "AVIF mosaic", ())
    assert logs.read_rates(table(to_csv("=a.png", comparison))) == rates_of("=a.png", comparison)


GOOD = "input,image,label,sweep,loss,relative_loss,reads,gradient,seconds\na,,,1,2,1,1,,0.1\na,,,2,1,1,1,,0.1\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no lines"),
        ("\n\n", "has no lines"),
        ("a,b\n1,2\n", "is no CSV of nmfc"),
        ("a;sweep;b\n", "is no CSV of nmfc"),
        ("\x00\x01\n", "is no CSV of nmfc"),
        (GOOD.splitlines()[0] + "\n", "has no sweeps"),
        (GOOD.replace("loss,rel", "los,rel"), "has no column loss"),
        (GOOD[:-1], "ends in the middle of a line"),
        (GOOD[:-6], "ends in the middle of a line"),
        (GOOD + "a,,\n", "line 4 has another number of fields, 3"),
        (GOOD.replace(",2,1,1,1", ",2,nan,1,1"), "line 3 has loss 'nan'"),
        (GOOD.replace(",2,1,1,1", ",2,1e999,1,1"), "line 3 has loss '1e999'"),
        (GOOD.replace(",2,1,1,1", ",2,-1,1,1"), "line 3 has loss '-1'"),
        (GOOD.replace(",2,1,1,1", ",,1,1,1"), "line 3 has sweep 'nothing'"),
        (GOOD + "a" * 200_000 + "\n", "line 4 is no CSV"),
        ("rank,held_out\n1,2\n", "has no column loss"),
        (ranks.to_csv([rank(1), rank(1)]), "line 3 has rank 1"),
        (ranks.to_csv([rank(1)]).replace("\n1,", "\n1.5,"), "line 2 has rank 1.5"),
        (ranks.to_csv([rank(1)]).replace("\n1,", "\n,"), "line 2 has no rank"),
        (ranks.to_csv([]), "has no ranks"),
        (ranks.to_csv([rank(n) for n in range(1, logs.FEW + 2)]), "has more than 10,000 lines"),
        ("input,codec,bits_per_pixel,psnr_db,ssim\na,b,0,30,\n", "bits_per_pixel 0"),
        ("input,codec,bits_per_pixel,psnr_db,ssim\na,b,1,x,\n", "psnr_db or ssim 'x'"),
        ("input,codec,bits_per_pixel,psnr_db,ssim\n", "has no rates"),
    ],
    ids=range(24),
)
def test_what_is_wrong_is_said_in_one_line(text, said):
    with pytest.raises(InputError, match=said) as caught:
        read(text)
    assert "\n" not in str(caught.value)


@settings(deadline=None)
@given(st.text(max_size=200), st.sampled_from([GOOD, ranks.to_csv([rank(1)]), line(logs.COLUMNS["compare"])]))
def test_anything_is_a_table_or_an_error_of_ours(more, head):
    with contextlib.suppress(InputError):
        read(head + more)
