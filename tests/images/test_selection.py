"""Which images a selection leaves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmfcompress.cli.parsing import parse_index
from nmfcompress.errors import InputError, UsageError
from nmfcompress.images.selection import at_least, select
from nmfcompress.settings import Selection

LABELS = np.array([5, 0, 4, 1, 9, 2, 1, 3, 1, 4])
WORDS = np.array(["cat", "dog", "cat", "emu"])


def chosen(labels=LABELS, count=None, **conditions):
    return select(Selection(**conditions), labels, len(labels) if count is None else count).tolist()


def test_without_a_condition_everything_is_taken():
    assert chosen() == list(range(10))
    assert chosen(None, 4) == [0, 1, 2, 3]


def test_labels_are_compared_as_text():
    assert chosen(labels=LABELS) == list(range(10))
    assert select(Selection(labels=("1",)), LABELS, 10).tolist() == [3, 6, 8]
    assert select(Selection(labels=("4", "1")), LABELS, 10).tolist() == [2, 3, 6, 8, 9]
    assert select(Selection(labels=("cat",)), WORDS, 4).tolist() == [0, 2]


def test_the_first_of_each_label_sorted_by_label():
    places = chosen(one_per_label=True)
    assert LABELS[places].tolist() == [0, 1, 2, 3, 4, 5, 9]
    assert places == [1, 3, 5, 7, 2, 0, 4]
    assert chosen(WORDS, one_per_label=True) == [0, 1, 3]


def test_indices_count_once_in_their_own_order():
    assert chosen(index=parse_index("7,0,2-4,3")) == [0, 2, 3, 4, 7]
    assert chosen(index=parse_index("9")) == [9]


def test_every_condition_must_hold():
    assert select(Selection(labels=("1", "4"), index=parse_index("0-6")), LABELS, 10).tolist() == [2, 3, 6]
    assert select(Selection(labels=("1",), one_per_label=True), LABELS, 10).tolist() == [3]
    assert chosen(one_per_label=True, index=parse_index("4-9")) == [6, 5, 7, 9, 4]
    assert chosen(one_per_label=True, limit=3) == [1, 3, 5]
    assert chosen(limit=99) == list(range(10))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30), st.sets(st.integers(0, 4)), st.integers(1, 40) | st.none())
def test_what_is_left_is_what_a_plain_loop_leaves(labels, wanted, limit):
    array = np.array(labels)
    wanted = wanted & set(labels)
    expected = [i for i, label in enumerate(labels) if not wanted or label in wanted][:limit]
    selection = Selection(labels=tuple(map(str, wanted)), limit=limit)
    assert select(selection, array, len(array)).tolist() == expected


def test_an_index_beyond_the_collection_is_refused_with_both_numbers():
    for text in ("10", "3,8-10", "0-99999999999"):
        with pytest.raises(UsageError, match=r"beyond its 10 images \(0 to 9\)"):
            chosen(index=parse_index(text))


def test_a_label_that_no_image_has_is_refused_with_those_there_are():
    with pytest.raises(InputError, match=r"labelled 7.*0, 1, 2, 3, 4, 5, 9"):
        select(Selection(labels=("7",)), LABELS, 10)
    with pytest.raises(InputError, match="100 in all"):
        select(Selection(labels=("x",)), np.arange(100), 100)


@pytest.mark.parametrize("conditions", [{"labels": ("1",)}, {"one_per_label": True}])
def test_labels_are_needed_where_they_are_asked_for(conditions):
    with pytest.raises(InputError, match="no labels"):
        select(Selection(**conditions), None, 10)


def test_an_empty_selection_is_an_error():
    with pytest.raises(InputError, match="no image is left"):
        select(Selection(labels=("1",), index=parse_index("0-2")), LABELS, 10)


@pytest.mark.parametrize("text", ["", "-1", "3-", "-", "5-3", "a", "1,,2", "1.5", "0x3", "1-2-3", "١", "9" * 30])
def test_indices_that_cannot_be_read_are_refused(text):
    with pytest.raises(UsageError, match="index"):
        parse_index(text)


@pytest.mark.parametrize("conditions", [{"limit": 0}, {"limit": -1}, {"split": "val"}])
def test_conditions_out_of_their_range_are_refused(conditions):
    with pytest.raises(UsageError, match=next(iter(conditions))):
        Selection(**conditions)


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(1, 5)), max_size=3),
    st.sampled_from([(), ("1",)]),
    st.booleans(),
    st.none() | st.integers(1, 12),
)
def test_at_least_is_never_more_than_is_left(parts, labels, one_per_label, limit):
    selection = Selection(None, labels, tuple(range(first, first + n) for first, n in parts), one_per_label, limit)
    try:
        left = len(select(selection, LABELS, len(LABELS)))
    except (InputError, UsageError):
        left = 0
    assert at_least(selection, len(LABELS)) <= left
    if not parts and not labels and not one_per_label:
        assert at_least(selection, len(LABELS)) == left
