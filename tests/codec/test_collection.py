"""A collection in a file: which recipe, how many parts, and what goes with the pictures."""

from __future__ import annotations

import contextlib
import math
import re
import tracemalloc
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from made import collection, meta_file, psnr

from nmfcompress.codec.arrangement import choice_for
from nmfcompress.codec.collection import (
    arrangement_for,
    coded_stack,
    coding_bytes,
    decode_stack,
    encode_stack,
)
from nmfcompress.codec.header import Header, Meta
from nmfcompress.codec.opened import info, open_container
from nmfcompress.codec.stacked import searched, stack_rank
from nmfcompress.codec.targets import BestKnown
from nmfcompress.errors import InputError, TargetMissed, TooLarge, UsageError
from nmfcompress.settings import Coding


def steady(n: int = 20) -> np.ndarray:
    """Frames of a movie in which hardly anything moves."""
    y, x = np.mgrid[:16, :16]
    t = np.arange(n)[:, None, None]
    return np.rint(120 + 60 * np.sin(x / 4) * np.sin(t / 9) + 50 * np.cos(y / 3) * np.cos(t / 7)).astype(np.uint8)


def test_the_recipe_follows_from_the_pictures(rng: np.random.Generator) -> None:
    assert arrangement_for(steady()) == "bands"
    assert arrangement_for(collection(50)) == "stack"
    assert arrangement_for(rng.integers(0, 256, (50, 8, 8), np.uint8)) == "patches"
    assert arrangement_for(rng.integers(0, 256, (9000, 3, 3), np.uint8)) == "stack"
    assert arrangement_for(steady(), given=True) == "stack"
    assert arrangement_for(collection(50, colour=True)) == "stack"
    assert arrangement_for(np.zeros((30, 4, 4), np.uint8)) == "stack"


def test_bands_are_a_file_too() -> None:
    images = steady()
    made = coded_stack(images, Coding(rank=3, jobs=1))
    assert made.mode == "bands"
    back = decode_stack(made.data)
    assert made.psnr_db == pytest.approx(psnr(back, images))
    np.testing.assert_array_equal(decode_stack(made.data, index=[5, 2]), back[[5, 2]])


def unlike(n: int, side: int = 32) -> np.ndarray:
    """Pictures that share nothing."""
    y, x = np.mgrid[:side, :side]
    rng = np.random.default_rng(2)
    waves = [np.sin(x / a + b) * np.cos(y / c + a) for a, b, c in rng.uniform(2, 9, (n, 3))]
    return np.rint(127 + 120 * np.array(waves)).astype(np.uint8)


def test_what_shares_nothing_is_coded_alone() -> None:
    assert arrangement_for(unlike(4)) == arrangement_for(unlike(30)) == "patches"
    assert arrangement_for(unlike(30), coding=Coding(rank=5)) == "stack", "a rank alone asks for parts"
    assert arrangement_for(unlike(30, 96), coding=Coding(rank=5, min_psnr=40)) == "patches"
    assert coded_stack(unlike(30), Coding(min_psnr=35, jobs=1)).mode == "patches", "of few both are tried"
    assert arrangement_for(np.dstack([unlike(9)[..., None]] * 4)[..., :2].reshape(9, 32, 64, 2)) == "stack"
    shared = collection(400, side=12)
    assert arrangement_for(shared, coding=Coding(min_psnr=20)) == "stack"
    assert arrangement_for(shared, coding=Coding(target_size=1500)) == "stack"


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_few_pictures_meet_targets_that_no_stack_meets(n: int) -> None:
    images = unlike(n, 64)
    made = coded_stack(images, Coding(min_psnr=38, jobs=1))
    assert made.mode == "patches"
    assert 38 <= psnr(decode_stack(made.data), images) <= 38.5
    with contextlib.suppress(TargetMissed):
        stack = coded_stack(images, Coding(target_size=made.size, arrangement="stack", jobs=1))
        assert (stack.psnr_db or 99) < 35
    finer = [psnr(decode_stack(encode_stack(images, step=step)), images) for step in (100, 40, 15, 5)]
    assert finer == sorted(finer)


def test_what_nobody_asked_for_is_no_reason_to_miss_a_target(rng: np.random.Generator) -> None:
    images = collection(20)
    with pytest.raises(TargetMissed, match="is the least"):
        encode_stack(images, target_size=140, arrangement="patches", jobs=1)
    made = coded_stack(images, Coding(target_size=140, jobs=1))
    assert (made.mode, made.size <= 140) == ("stack", True)
    noise = rng.integers(0, 256, (8, 4, 4, 3), np.uint8)
    best = {}
    for arrangement in (None, "patches", "stack"):
        with pytest.raises(TargetMissed, match="is the best") as missed:
            coded_stack(noise, Coding(rank=2, min_psnr=150, jobs=1, arrangement=arrangement))
        best[arrangement] = float(re.findall(r"([\d.]+) dB is", str(missed.value))[0])
    assert best[None] == max(best.values())


def test_noise_in_colour_is_a_stack_where_patches_at_half_the_colour_miss_it(rng: np.random.Generator) -> None:
    images = rng.integers(0, 256, (6, 10, 10, 3), np.uint8)
    with pytest.raises(TargetMissed):
        encode_stack(images, min_psnr=15, arrangement="patches")
    data = encode_stack(images, min_psnr=15)
    assert psnr(images, decode_stack(data)) >= 15
    assert info(data)["arrangement"] == "stack"


@pytest.mark.parametrize("shape", [(12, 5, 5, 3), (20, 6, 6)], ids=str)
def test_noise_of_any_size_is_shown_as_well_as_its_bytes_allow(
    shape: tuple[int, ...], rng: np.random.Generator
) -> None:
    """Parts that are shared ended at 24.4 dB, and patches at 12.7 in colour."""
    images = rng.integers(0, 256, shape, np.uint8)
    least = 0.0
    for size in (3 * images.size // 4, 2 * images.size):
        made = coded_stack(images, Coding(target_size=size, jobs=1))
        assert made.size <= size
        assert (made.psnr_db or 99) >= least
        least = made.psnr_db or 99
    np.testing.assert_array_equal(decode_stack(made.data), images)
    assert coded_stack(images, Coding(min_psnr=30, jobs=1)).size < 0.9 * images.size


def test_more_bytes_show_more_whatever_comes_first(rng: np.random.Generator) -> None:
    """Patches of half the colour came first, left half of the size, and nothing else was tried."""
    images = rng.integers(0, 256, (5, 12, 12, 3), np.uint8)
    assert (coded_stack(images, Coding(target_size=5000, jobs=1)).psnr_db or 99) > 40


def test_a_few_pictures_are_a_stack_where_that_is_smaller() -> None:
    glyphs = (255 * (np.random.default_rng(5).random((4, 16, 16)) < 0.4)).astype(np.uint8)
    for coding in (Coding(min_psnr=60, jobs=1), Coding(target_size=500, jobs=1), Coding(min_psnr=15, jobs=1)):
        made = coded_stack(glyphs, coding)
        assert made.size < 300
        assert made.psnr_db is None


def test_sizes_between_two_numbers_of_levels_are_used() -> None:
    """Parts that are all white somewhere had one level more all at once: 11,500 of 15,000 bytes, and 15,400."""
    images = collection(40, side=12)
    sizes = [
        coded_stack(images, Coding(rank=40, step=step, arrangement="stack", jobs=1)).size for step in (3, 2.6, 2.2)
    ]
    assert sizes == sorted(sizes)
    assert max(b / a for a, b in pairwise(sizes)) < 1.2


def test_a_quality_between_two_that_are_reached_is_reached(rng: np.random.Generator) -> None:
    """20 dB were refused by a stack that reached 21, and patches took ten times the bytes."""
    images = (255 * (rng.random((100, 7, 7)) < 0.15)).astype(np.uint8)
    sizes = [coded_stack(images, Coding(min_psnr=wanted, jobs=1)).size for wanted in (20, 22)]
    assert max(sizes) < 1.2 * min(sizes)


@pytest.mark.parametrize("step", [8.0, 1.0, 0.3, 0.05])
def test_as_many_parts_as_pictures_are_the_pictures(step: float) -> None:
    images = unlike(5, 24)
    made = coded_stack(images, Coding(rank=5, step=step, arrangement="stack", jobs=1))
    finer = coded_stack(images, Coding(rank=5, step=step / 3, arrangement="stack", jobs=1))
    assert (finer.psnr_db or 99) >= (made.psnr_db or 99) - 0.1
    assert step > 1 or (made.psnr_db or 99) > 25


def test_a_rank_beyond_all_is_said() -> None:
    images = collection(20)
    for arrangement, rank, most in (("stack", 50, 20), ("bands", 40, 20), ("patches", 65, 64)):
        made = coded_stack(images, Coding(rank=rank, arrangement=arrangement, jobs=1))
        assert made.notes == (f"rank is {rank} ({arrangement} has at most {most} here)",)
        assert made.rank <= most
        assert not coded_stack(images, Coding(rank=4, arrangement=arrangement, jobs=1)).notes


@dataclass(frozen=True)
class Pretended:
    """A file of so many parts: a size to use up, and PSNR."""

    size: int
    psnr_db: float | None
    rank: int


@pytest.mark.parametrize("size", [4_000, 9_000, 17_000, 25_000])
@pytest.mark.parametrize("first", [3, 20, 100])
def test_parts_are_sought_until_a_size_is_used(size: int, first: int) -> None:
    """A stack has as many bytes as its parts take, from 80 each to 110 with steps that are fine enough."""
    tried = []

    def made_of(rank: int, bar: Pretended | None) -> Pretended:
        tried.append(rank)
        if 80 * rank > size:
            raise BestKnown(f"{80 * rank} bytes is the least", 80 * rank)
        return Pretended(min(size, 110 * rank), 10 + 5 * math.log2(rank), rank)

    found = searched(made_of, first, 512, Coding(target_size=size), patient=False)  # type: ignore[arg-type]
    assert found.size >= 0.95 * size
    assert len(tried) == len(set(tried)) <= 9


def test_a_search_over_parts_ends_where_there_is_no_more_to_have() -> None:
    def saturated(rank: int, bar: Pretended | None) -> Pretended:
        return Pretended(50 * rank, 20.0 + min(rank, 40) - rank / 100, rank)

    found = searched(saturated, 5, 60, Coding(target_size=10**6), patient=False)  # type: ignore[arg-type]
    assert 35 <= found.rank <= 45

    def too_large(rank: int, bar: None) -> Pretended:
        raise BestKnown(f"{100 * rank} bytes is the least", 100 * rank)

    with pytest.raises(TargetMissed, match=r"^100 bytes"):
        searched(too_large, 20, 60, Coding(target_size=50), patient=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("arrangement", ["rows", "bnads"])
def test_other_arrangements_are_refused(arrangement: str) -> None:
    with pytest.raises(UsageError, match="arrangement"):
        encode_stack(collection(20), arrangement=arrangement)


def test_parts_are_no_more_than_can_be() -> None:
    def parts(n: int, pixels: int, coding: Coding) -> int:
        images = np.broadcast_to(np.uint8(0), (n, 1, pixels))
        return stack_rank(images, Header(images.shape, images.dtype), coding)

    assert parts(1, 100, Coding()) == 1
    assert parts(10_000, 784, Coding()) == 100
    assert parts(10_000, 9, Coding()) == 9
    assert parts(10_000, 784, Coding(rank=20_000)) == 784
    assert parts(10_000, 784, Coding(target_size=1000)) <= 3
    assert parts(100, 784, Coding(target_size=50)) == 1
    assert parts(10_000, 784, Coding(rank=7, min_psnr=20.0)) == 7


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_pictures_that_share_nothing_are_shown_as_their_mean_at_worst(rank: int) -> None:
    """Curve and parts had led each other astray: one part for all of them was black, 4.8 dB."""
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 3), np.uint8)
    shown = decode_stack(encode_stack(images, arrangement="stack", rank=rank, step=4.0))
    assert psnr(images, shown) > psnr(images, np.broadcast_to(images.mean(), images.shape).astype(np.uint8))


def test_more_bytes_are_a_better_picture_of_a_small_collection() -> None:
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 3), np.uint8)
    reached = [psnr(images, decode_stack(encode_stack(images, target_size=size))) for size in (300, 700, 1500, 3000)]
    assert reached == sorted(reached)
    assert reached[-1] > 20


def test_bands_that_use_a_small_part_of_their_range() -> None:
    """Steps were those of the whole range: a movie of 16 bits and values below 900 had no more than 74 dB."""
    rng = np.random.default_rng(0)
    frames = rng.random((40, 3)) @ rng.random((3, 16 * 16)) * 300
    movie = frames.reshape(40, 16, 16).round().astype(np.uint16)
    assert decode_stack(encode_stack(movie, arrangement="bands", min_psnr=84.0)).shape == movie.shape
    assert psnr(movie, decode_stack(encode_stack(movie, arrangement="bands"))) > 60


def test_what_goes_with_the_pictures_comes_back() -> None:
    opened = open_container(meta_file())
    assert opened.meta.names == tuple(f"{i}.png" for i in range(12))
    assert opened.meta.labels is not None
    assert opened.meta.indices is not None
    np.testing.assert_array_equal(opened.meta.labels, np.arange(12) % 3)
    np.testing.assert_array_equal(opened.meta.indices, 2 * np.arange(12))
    found = info(meta_file())
    assert (found["names"], found["labels"], found["images"], found["single"]) == (12, 12, 12, False)


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


@pytest.mark.parametrize(
    ("images", "coding"),
    [
        (np.repeat(np.arange(10, dtype=np.uint8), 2**19).reshape(10, 512, 1024), Coding(rank=5)),
        (np.random.default_rng(3).random((300, 64, 128), np.float32), Coding(min_psnr=30)),
    ],
    ids=["bands", "parts"],
)
def test_looking_at_pictures_takes_what_is_admitted_before(images: np.ndarray, coding: Coding) -> None:
    admitted: list[int] = []
    tracemalloc.start()
    try:
        choice_for(images, False, coding, admitted.append)
        assert tracemalloc.get_traced_memory()[1] < max(admitted)
    finally:
        tracemalloc.stop()

    def refused(nbytes: int) -> None:
        raise TooLarge("too large")

    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            coded_stack(images, coding, admit=refused)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
