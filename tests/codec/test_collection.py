"""A collection in a file: which recipe, how many parts, and what goes with the pictures."""

from __future__ import annotations

import numpy as np
import pytest
from made import collection, meta_file, psnr

from nmfcompress.codec.collection import (
    arrangement_for,
    coded_stack,
    coding_bytes,
    decode_stack,
    encode_stack,
    stack_rank,
)
from nmfcompress.codec.header import Header, Meta
from nmfcompress.codec.opened import info, open_container
from nmfcompress.errors import InputError, UsageError
from nmfcompress.settings import Coding


def steady(n: int = 20) -> np.ndarray:
    """Frames of a movie in which hardly anything moves."""
    y, x = np.mgrid[:16, :16]
    t = np.arange(n)[:, None, None]
    return np.rint(120 + 60 * np.sin(x / 4) * np.sin(t / 9) + 50 * np.cos(y / 3) * np.cos(t / 7)).astype(np.uint8)


def test_the_recipe_follows_from_the_pictures(rng: np.random.Generator) -> None:
    assert arrangement_for(steady()) == "bands"
    assert arrangement_for(collection(50)) == "stack"
    assert arrangement_for(rng.integers(0, 256, (50, 8, 8), np.uint8)) == "stack"
    assert arrangement_for(steady(), given=True) == "stack"
    assert arrangement_for(steady()[:4]) == "stack"
    assert arrangement_for(collection(50, colour=True)) == "stack"
    assert arrangement_for(np.zeros((30, 4, 4), np.uint8)) == "stack"


def test_bands_are_a_file_too() -> None:
    images = steady()
    made = coded_stack(images, Coding(rank=3, jobs=1))
    assert made.mode == "bands"
    back = decode_stack(made.data)
    assert made.psnr_db == pytest.approx(psnr(back, images))
    np.testing.assert_array_equal(decode_stack(made.data, index=[5, 2]), back[[5, 2]])


@pytest.mark.parametrize("arrangement", ["rows", "patches", "bnads"])
def test_other_arrangements_are_refused(arrangement: str) -> None:
    with pytest.raises(UsageError, match="arrangement"):
        encode_stack(collection(20), arrangement=arrangement)


def test_parts_are_no_more_than_can_be() -> None:
    assert stack_rank(1, 100, Coding()) == 1
    assert stack_rank(10_000, 784, Coding()) == 100
    assert stack_rank(10_000, 9, Coding()) == 9
    assert stack_rank(10_000, 784, Coding(rank=20_000)) == 784
    assert stack_rank(10_000, 784, Coding(target_size=1000)) <= 3


def test_what_goes_with_the_pictures_comes_back() -> None:
    opened = open_container(meta_file())
    assert opened.meta.names == tuple(f"{i}.png" for i in range(12))
    assert opened.meta.labels is not None
    assert opened.meta.indices is not None
    np.testing.assert_array_equal(opened.meta.labels, np.arange(12) % 3)
    np.testing.assert_array_equal(opened.meta.indices, 2 * np.arange(12))
    found = info(meta_file())
    assert (found["names"], found["labels"], found["pictures"], found["single"]) == (12, 12, 12, False)


@pytest.mark.parametrize(
    "meta", [Meta(names=("a",)), Meta(labels=np.arange(13)), Meta(indices=np.arange(3)), Meta(alpha=np.ones((6, 6)))]
)
def test_what_does_not_go_with_the_pictures_is_refused(meta: Meta) -> None:
    with pytest.raises(InputError, match="expected"):
        encode_stack(collection(12), rank=2, arrangement="stack", meta=meta)


def test_words_are_labels_too() -> None:
    labels = np.array(["cat", "dog", ""] * 4)
    back = open_container(encode_stack(collection(12), rank=2, arrangement="stack", meta=Meta(labels=labels))).meta
    assert back.labels is not None
    assert back.labels.tolist() == labels.tolist()


def test_what_is_sliced_like_an_array_will_do() -> None:
    images = collection(50)

    class Sliced:
        shape, dtype = images.shape, images.dtype

        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, rows: object) -> np.ndarray:
            return images[rows]  # type: ignore[index]

    assert encode_stack(Sliced(), rank=3, jobs=1) == encode_stack(images, rank=3, jobs=1)  # type: ignore[arg-type]


def test_what_coding_takes_does_not_grow_with_more_than_the_codes() -> None:
    few, many = (coding_bytes(Header((n, 28, 28), np.dtype(np.uint8)), Coding(rank=16)) for n in (10**5, 10**6))
    assert many < 1e9
    assert many - few <= 10 * 16 * 9 * 10**5
