"""Collections: what is decoded is what the encoder saw, whole or in parts, however it was encoded."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made import PEAKS, collection, psnr, stack_file

from nmfcompress.codec import stack
from nmfcompress.codec.collection import coded_stack, decode_stack, encode_stack
from nmfcompress.codec.container import unpack
from nmfcompress.codec.opened import open_container
from nmfcompress.codec.parts import digest_of
from nmfcompress.codec.stack import PICTURES
from nmfcompress.errors import InputError, NmfcError, UsageError
from nmfcompress.settings import Coding


def coding(rank: int = 3, **options: object) -> Coding:
    return Coding(rank=rank, arrangement="stack", jobs=1, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", PEAKS)
@pytest.mark.parametrize("colour", [False, True])
def test_what_is_decoded_is_what_the_encoder_measured(dtype: str, colour: bool) -> None:
    images = collection(60, dtype=dtype, colour=colour)
    made = coded_stack(images, coding(4))
    back = decode_stack(made.data)
    assert (back.shape, back.dtype) == (images.shape, images.dtype)
    assert made.psnr_db == pytest.approx(psnr(back, images), abs=1e-9)
    assert made.psnr_db is not None
    assert made.psnr_db > 18
    assert made.size < images.size
    assert made.mode == "stack"
    assert made.size == len(made.data)
    assert made.sections == {name: len(data) for name, data in unpack(made.data).sections.items()}


def test_types_are_as_good_as_each_other() -> None:
    found = [coded_stack(collection(60, dtype=dtype), coding(4)) for dtype in PEAKS]
    assert np.ptp([each.size for each in found]) < 0.1 * found[0].size
    assert np.ptp([each.psnr_db for each in found]) < 1


def test_the_first_parts_alone_are_a_coarse_picture() -> None:
    images = collection(60)
    data = encode_stack(images, rank=4, arrangement="stack", step=3)
    k = len(open_container(data).container.section("parts")) and coded_stack(images, coding(4, step=3)).rank
    psnrs = [psnr(decode_stack(data, rank=rank), images) for rank in range(1, k + 1)]
    assert psnrs[0] < psnrs[-1]
    np.testing.assert_array_equal(decode_stack(data, rank=k), decode_stack(data))
    np.testing.assert_array_equal(decode_stack(data, rank=k + 50), decode_stack(data))
    np.testing.assert_array_equal(decode_stack(data, index=[7, 3], rank=2), decode_stack(data, rank=2)[[7, 3]])


@pytest.fixture(autouse=True)
def briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Learning as it is, but shorter."""
    monkeypatch.setattr(stack, "LEARNING", 9)


@pytest.mark.parametrize("n", [PICTURES - 1, PICTURES, PICTURES + 1])
def test_a_picture_costs_one_chunk(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    images = collection(n)
    made = coded_stack(images, coding())
    whole = decode_stack(made.data)
    assert made.psnr_db == pytest.approx(psnr(whole, images), abs=1e-9)
    decoded: list[int] = []
    chunks = stack.Codes.chunks

    def counted(self: stack.Codes, numbers: range, rank: int | None) -> np.ndarray:
        decoded.extend(numbers)
        return chunks(self, numbers, rank)

    monkeypatch.setattr(stack.Codes, "chunks", counted)
    for index in ([0], [n - 1], [n - 1, 0, 5, 5], np.arange(n)[::-1][:7], [PICTURES - 2, n - 1]):
        decoded.clear()
        np.testing.assert_array_equal(decode_stack(made.data, index=index), whole[index])
        assert decoded == sorted({int(i) // PICTURES for i in index})
    np.testing.assert_array_equal(decode_stack(made.data, index=3), whole[3:4])


def test_many_chunks_are_decoded_some_at_a_time(rng: np.random.Generator) -> None:
    images = collection(PICTURES * (stack.TOGETHER + 1) + 3, side=2, parts=2)
    data = encode_stack(images, rank=1, arrangement="stack", jobs=1)
    whole = decode_stack(data)
    some = rng.integers(0, len(images), 20)
    np.testing.assert_array_equal(decode_stack(data, index=some), whole[some])


def test_the_bytes_do_not_depend_on_jobs_or_on_who_asks() -> None:
    images = collection(PICTURES + 100)
    one, again, two = (encode_stack(images, rank=3, arrangement="stack", jobs=jobs) for jobs in (1, 1, 2))
    assert one == again == two
    code = (
        "import hashlib; from made import collection; from nmfcompress import encode_stack; "
        f"from nmfcompress.codec import stack; stack.LEARNING = {stack.LEARNING}; "
        f"print(hashlib.sha256(encode_stack(collection({len(images)}), rank=3, arrangement='stack')).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parent,
        env=os.environ | {"PYTHONHASHSEED": "5", "PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    assert done.stdout.strip() == hashlib.sha256(one).hexdigest()
    assert encode_stack(images[:50], rank=3, arrangement="stack", seed=1) != encode_stack(
        images[:50], rank=3, arrangement="stack", seed=2
    )


@pytest.mark.parametrize("dtype", PEAKS)
@pytest.mark.parametrize("level", [0, 1, 0.5])
@pytest.mark.parametrize("n", [1, 2, 9])
def test_pictures_that_are_all_of_one_grey(dtype: str, level: float, n: int) -> None:
    images = np.full((n, 5, 4), level * PEAKS[dtype], dtype=dtype)
    back = decode_stack(encode_stack(images, rank=2, arrangement="stack"))
    assert np.abs(back.astype(float) - images).max() <= 0.15 * PEAKS[dtype]
    if level == 0:
        assert not back.any()


@pytest.mark.parametrize("shape", [(1, 6, 6), (3, 1, 1), (1, 1, 1), (5, 1, 9), (4, 7, 1), (2, 3, 3, 3), (3, 2, 2, 2)])
def test_odd_shapes(shape: tuple[int, ...], rng: np.random.Generator) -> None:
    images = rng.integers(0, 256, shape, dtype=np.uint8)
    made = coded_stack(images, coding(8))  # more parts than pictures
    back = decode_stack(made.data)
    assert back.shape == shape
    assert made.rank <= min(8, len(images))
    assert (made.psnr_db or np.inf) == pytest.approx(psnr(back, images), abs=1e-9)


def test_pictures_of_other_byte_order_and_strides() -> None:
    images = collection(20, dtype="uint16")
    data = encode_stack(images, rank=2, arrangement="stack")
    assert encode_stack(images.astype(">u2"), rank=2, arrangement="stack") == data
    assert encode_stack(np.asfortranarray(images), rank=2, arrangement="stack") == data
    assert encode_stack(images[::-1].copy()[::-1], rank=2, arrangement="stack") == data


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((3, 4, 4), np.int32), "type int32"),
        (np.zeros((3, 4, 4), bool), "type bool"),
        (np.zeros((3, 4, 4), complex), "type complex128"),
        (np.array([["a"]]), "type"),
        (np.zeros((4, 4), np.uint8), r"shape \(4, 4\)"),
        (np.zeros((0, 4, 4), np.uint8), r"shape \(0, 4, 4\)"),
        (np.zeros((2, 3, 4, 5), np.uint8), "shape"),
        (np.zeros((2, 3, 4, 3, 1), np.uint8), "shape"),
        (np.full((2, 3, 4), 1.5), "beyond 0 to 1"),
        (np.full((2, 3, 4), np.nan), "NaN"),
        ([np.zeros((2, 2), np.uint8), np.zeros((3, 3), np.uint8)], "shape|type|size"),
        ([], "type|shape"),
    ],
)
def test_what_is_no_collection_is_refused(images: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        encode_stack(images, rank=1)  # type: ignore[arg-type]


def test_lists_of_pictures_will_do() -> None:
    images = collection(12)
    assert encode_stack(list(images), rank=2, arrangement="stack") == encode_stack(images, rank=2, arrangement="stack")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ([30], "30 is beyond its 30"),
        (-1, "-1"),
        ([0, 2**40], "beyond"),
        ([0.5], "whole numbers"),
        (True, "whole numbers"),
        (["a"], "whole numbers"),
        ([[1, 2], [3, 4]], "index"),
    ],
)
def test_wrong_places_are_refused(index: object, message: str) -> None:
    with pytest.raises((InputError, UsageError), match=message):
        decode_stack(stack_file(), index=index)


def test_no_place_at_all_gives_no_picture() -> None:
    assert decode_stack(stack_file(), index=[]).shape == (0, 6, 6)
    with pytest.raises(NmfcError, match="rank"):
        decode_stack(stack_file(), rank=0)


def test_parts_of_another_file() -> None:
    images = collection(150)
    train, test = images[:100], images[100:]
    origin = encode_stack(train, rank=4, arrangement="stack", step=4)
    other = encode_stack(train, rank=3, arrangement="stack", step=4)
    data = encode_stack(test, basis_from=origin, step=4)
    assert len(data) < len(encode_stack(test, rank=4, arrangement="stack", step=4))
    found = unpack(data).sections
    assert not {"parts", "curve"} & found.keys()
    assert found["origin"] == digest_of(unpack(origin).sections)
    back = decode_stack(data, basis_from=origin)
    assert psnr(back, test) > psnr(decode_stack(origin), train) - 6
    np.testing.assert_array_equal(decode_stack(data, index=[4, 9], basis_from=origin), back[[4, 9]])
    with pytest.raises(InputError, match="needs --basis-from"):
        decode_stack(data)
    with pytest.raises(InputError, match="parts of another file"):
        decode_stack(data, basis_from=other)
    np.testing.assert_array_equal(decode_stack(origin, basis_from=other), decode_stack(origin))


def test_parts_that_do_not_go_with_the_pictures_are_refused() -> None:
    origin = encode_stack(collection(40), rank=2, arrangement="stack")
    for images in (collection(20, side=7), collection(20, colour=True)):
        with pytest.raises(InputError, match="those whose parts are taken 6 x 6"):
            encode_stack(images, basis_from=origin)
    with pytest.raises(NmfcError):
        encode_stack(collection(20), basis_from=encode_stack(collection(20), basis_from=origin))
    with pytest.raises(InputError, match="pictures are uint16, those whose parts are taken uint8"):
        encode_stack(collection(20, dtype="uint16"), basis_from=origin)
    with pytest.raises(NmfcError):
        encode_stack(collection(20), basis_from=b"PNG")
    with pytest.raises(UsageError, match="bands"):
        encode_stack(collection(20), basis_from=origin, arrangement="bands")


def test_parts_of_floats_make_floats_of_the_other_width() -> None:
    origin = encode_stack(collection(40, dtype="float64"), rank=3, arrangement="stack")
    images = collection(20, dtype="float32")
    assert psnr(decode_stack(encode_stack(images, basis_from=origin), basis_from=origin), images) > 15


def test_a_basis_that_cannot_show_the_pictures_still_decodes() -> None:
    origin = encode_stack(collection(40) // 8, rank=1, arrangement="stack")
    images = 255 - collection(20)
    data = encode_stack(images, basis_from=origin)
    assert decode_stack(data, basis_from=origin).shape == images.shape


def test_stages_are_told_and_end() -> None:
    told: list[tuple[str, float]] = []
    known: list[tuple[float | None, float | None]] = []

    def on_stage(stage: str, done: float, size: float | None = None, psnr_db: float | None = None) -> None:
        told.append((stage, done))
        known.append((size, psnr_db))

    made = coded_stack(collection(40), coding(), on_stage=on_stage)
    stages = list(dict.fromkeys(stage for stage, _ in told))
    assert {"train", "refit", "coding"} <= set(stages)
    assert all(0 <= done <= 1 for _, done in told)
    for stage in stages:
        assert [done for name, done in told if name == stage][-1] == 1
    assert all(
        (size is not None and psnr is not None) == (at[1] > 0) for (size, psnr), at in zip(known, told, strict=True)
    )
    size, psnr = known[-1]
    assert psnr == made.psnr_db
    assert 40 * (size or 0) == sum(made.sections.values()) - made.sections["head"]
