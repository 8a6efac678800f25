"""Checkpoints: a run that goes on ends as one that was never stopped, and nothing else passes for one."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from nmfcompress import __version__
from nmfcompress.errors import InputError, OtherRun, UsageError
from nmfcompress.factor import factorize
from nmfcompress.factor.checkpoint import pack, unpack

RNG = np.random.default_rng(0)
KNOWN = RNG.random((60, 24)) < 0.8
SMALL = np.rint(255 * RNG.random((60, 5)) @ RNG.random((5, 24)) / 5).astype(np.uint8)
TALL = np.rint(255 * RNG.random((9200, 4)) @ RNG.random((4, 6)) / 4).astype(np.uint8)
RUNS = {
    "mu": {"max_sweeps": 30},
    "hals": {"solver": "hals", "max_sweeps": 30},
    "settles": {"solver": "hals", "tol": 1e-2, "max_sweeps": 60},
    "kl": {"divergence": "kl", "max_sweeps": 14},
    "is": {"divergence": "is", "max_sweeps": 8},
    "plain": {"inner": 1, "max_sweeps": 12},
    "plain settles": {"inner": 1, "tol": 0.05, "max_sweeps": 60},
    "nndsvda": {"init": "nndsvda", "max_sweeps": 8},
    "mask": {"mask": KNOWN, "max_sweeps": 9},
    "kl mask": {"mask": KNOWN, "divergence": "kl", "max_sweeps": 6},
    "start": {"W": RNG.random((60, 3)), "H": np.asfortranarray(RNG.random((3, 24))), "max_sweeps": 6},
    "one sweep": {"max_sweeps": 1},
    "seed": {"rng": 7, "max_sweeps": np.int64(6)},
}


def through_a_file(checkpoint):
    file = io.BytesIO()
    np.savez(file, **pack(checkpoint))
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        return unpack(dict(arrays))


def run(V=SMALL, rank=3, **options):
    """The result, and every checkpoint on the way."""
    taken = []
    found = factorize(V, rank, on_checkpoint=lambda take, last: taken.append((through_a_file(take()), last)), **options)
    return found, taken


def same(found, other):
    assert found.W.tobytes() == other.W.tobytes()
    assert found.H.tobytes() == other.H.tobytes()
    assert [replace(r, seconds=0) for r in found.records] == [replace(r, seconds=0) for r in other.records]
    assert found.converged == other.converged
    assert all(earlier.seconds <= later.seconds for earlier, later in pairwise(found.records))


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
def test_from_any_sweep_on_it_ends_as_if_never_stopped(name, dtype):
    V = SMALL if dtype.startswith("u") else SMALL / 255
    V = V.astype(dtype)
    options = RUNS[name]
    whole, taken = run(V, **options)
    same(factorize(V, 3, **options), whole)
    options = {key: value for key, value in options.items() if key not in ("W", "H")}
    sweeps = len(whole.records)
    polished = options.get("inner") != 1
    assert [checkpoint.sweeps for checkpoint, _ in taken] == list(range(sweeps + (not polished)))
    assert [last for _, last in taken] == [False] * (len(taken) - 1) + [True]
    assert name not in ("settles", "plain settles") or whole.converged
    for place, (checkpoint, _) in enumerate(taken):
        if place % 5 == 0 or place > len(taken) - 4:
            same(factorize(V, 3, resume=checkpoint, jobs=1 + place % 2, **options), whole)


@pytest.mark.parametrize("solver", ["mu", "hals"])
@pytest.mark.parametrize("restarts", [1, 2])
def test_a_start_from_a_sample_is_not_made_again(solver, restarts, monkeypatch):
    options = {"solver": solver, "init": "sample", "max_sweeps": 6, "tol": 0, "restarts": restarts}
    whole, taken = run(TALL, 2, **options)
    monkeypatch.setattr("nmfcompress.factor.start.sample_start", None)
    for checkpoint, _ in taken:
        same(factorize(TALL, 2, resume=checkpoint, **options), whole)


def test_checkpoints_of_a_run_that_goes_on_are_those_of_one_that_was_never_stopped():
    _, taken = run(**RUNS["hals"])
    _, later = run(resume=taken[9][0], **RUNS["hals"])
    for (checkpoint, last), (before, last_before) in zip(later, taken[9:], strict=True):
        assert last == last_before
        arrays, expected = pack(checkpoint), pack(before)
        expected["records"][:, 3] = arrays["records"][:, 3]
        assert all(np.array_equal(arrays[name], expected[name], equal_nan=name == "records") for name in expected)


def test_it_may_go_on_for_longer():
    short, long = ({**RUNS["hals"], "max_sweeps": sweeps, "tol": tol} for sweeps, tol in ((9, 1e-2), (25, 0)))
    _, taken = run(**short)
    whole, _ = run(**long)
    assert taken[-1][0].sweeps == 8
    same(factorize(SMALL, 3, resume=taken[-1][0], **long), whole)
    settled, taken = run(solver="hals", tol=1e-2, max_sweeps=60)
    assert settled.converged
    same(factorize(SMALL, 3, resume=taken[-1][0], solver="hals", tol=0, max_sweeps=60), run(
        solver="hals", tol=0, max_sweeps=60)[0])  # fmt: skip


def test_taking_one_costs_no_copy_of_the_codes():
    codes = []
    factorize(SMALL, 3, max_sweeps=3, on_checkpoint=lambda take, last: codes.append(pack(take())["codes"]))
    assert all(np.shares_memory(codes[0], one) for one in codes)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rank": 4}, "rank 3, this one has 4"),
        ({"solver": "mu"}, "solver hals, this one has mu"),
        ({"solver": "mu", "divergence": "kl"}, "solver hals"),
        ({"rng": 1}, "seed 0, this one has 1"),
        ({"inner": 1}, "inner None, this one has 1"),
        ({"init": "random"}, "init auto, this one has random"),
        ({"V": SMALL[:50]}, "60 rows of 24 values, here are 50 of 24"),
        ({"V": SMALL.T}, "60 rows of 24 values, here are 24 of 60"),
        ({"V": SMALL.astype(np.uint16)}, "type uint8, here it is uint16"),
        ({"V": (SMALL / np.float32(255)).astype(np.float32)}, "type uint8, here it is float32"),
        ({"V": SMALL[::-1]}, "the pixels are not"),
        ({"V": SMALL ^ (np.arange(24) == 3).astype(np.uint8)}, "the pixels are not"),
        ({"max_sweeps": 5}, "has 9 sweeps done, iterations (max_sweeps) is 5 (expected at least 10)"),
    ],
    ids=str,
)
def test_another_run_is_refused_by_name(options, words):
    _, taken = run(solver="hals", max_sweeps=10)
    options = {"V": SMALL, "rank": 3, "solver": "hals", "max_sweeps": 10, **options}
    with pytest.raises(OtherRun) as error:
        factorize(resume=taken[-1][0], **options)
    assert words in str(error.value)


def test_another_mask_is_refused():
    _, taken = run(mask=KNOWN, max_sweeps=3)
    for mask in (None, ~KNOWN, KNOWN[:1]):
        with pytest.raises(OtherRun, match="mask"):
            factorize(SMALL, 3, mask=mask, max_sweeps=3, resume=taken[0][0])


def test_whole_factorizations_several_times_have_no_checkpoint():
    with pytest.raises(UsageError, match="restarts is 2 with a checkpoint"):
        run(restarts=2)


# What is no checkpoint


@pytest.fixture(scope="module")
def arrays():
    return pack(run(solver="hals", max_sweeps=10, tol=0)[1][5][0])


def changed(arrays, **about):
    """The arrays with other words about themselves; a name with __ in it reaches a level down."""
    said = json.loads(str(arrays["about"]))
    for name, value in about.items():
        *outer, last = name.split("__")
        inner = said
        for key in outer:
            inner = inner[key]
        inner[last] = value
    return {**arrays, "about": np.array(json.dumps(said))}


def refused(arrays):
    with pytest.raises(InputError) as error:
        unpack(arrays)
    message = str(error.value)
    assert "\n" not in message
    assert len(message) < 250
    return message


def test_what_was_packed_is_unpacked(arrays):
    again = pack(unpack(arrays))
    assert again.keys() == arrays.keys()
    assert all(np.array_equal(again[name], arrays[name], equal_nan=name == "records") for name in arrays)


@pytest.mark.parametrize("name", ["about", "codes", "H", "stepped", "numerator", "denominator", "records"])
def test_an_array_that_is_missing_or_of_another_shape_or_type(arrays, name):
    assert "is no checkpoint of nmfc" in refused({key: value for key, value in arrays.items() if key != name})
    if name == "about":
        for about in (np.array(5), np.array(["a", "b"]), np.array("{"), np.array("[" * 9999), np.array('{"format":1}')):
            assert "is no checkpoint of nmfc" in refused({**arrays, name: about})
        return
    for wrong in (arrays[name][1:], arrays[name].T[1:], arrays[name][None], arrays[name].astype(np.float16),
                  arrays[name].astype(str), np.float64(3), arrays[name][:, :0]):  # fmt: skip
        assert "is a broken checkpoint: " in refused({**arrays, name: np.asarray(wrong)})
    for value in (np.nan, np.inf, -1):
        wrong = arrays[name].copy()
        wrong.flat[1 if name == "records" else -1] = value
        assert "is a broken checkpoint: " in refused({**arrays, name: wrong})


def test_another_version(arrays):
    assert "is a checkpoint of format 1, by nmfc 9.9.9" in refused(changed(arrays, format=1, version="9.9.9"))
    assert f"is a checkpoint by nmfc 9.9.9, this is {__version__}" in refused(changed(arrays, version="9.9.9"))
    assert "format None" in refused(changed(arrays, format=None))


@pytest.mark.parametrize(
    "about",
    [
        {"fit__rank": 2}, {"fit__rank": 0}, {"fit__rank": "3"}, {"fit__rank": 10**30}, {"fit__rank": None},
        {"fit__l1": "x"}, {"fit__l1": [1]}, {"fit__l2": [0, -1]}, {"fit__l1": 1e-3}, {"sums__penalty": -1},
        {"fit__solver": "none"}, {"fit__solver": ["mu"]}, {"fit__solver": "x" * 10**5}, {"fit__more": 1}, {"fit": {}},
        {"fit": 3}, {"fit__tol": "nan"}, {"fit__divergence": "kl"}, {"fit__seed": -1}, {"fit__inner": 0.5},
        {"data": None}, {"data__shape": [60]}, {"data__shape": [60, 25]}, {"data__shape": "60"},
        {"data__shape": [6e1, 24]},
        {"data__dtype": "none"}, {"data__dtype": [1]}, {"data__moments": {}}, {"data__moments__mean": float("nan")},
        {"data__moments__crc": None}, {"data__moments__crc": True}, {"data__mask": 0.5}, {"data__mask": 5},
        {"momentum": {}}, {"momentum__step": 2}, {"momentum__step": float("inf")}, {"momentum__most": "1"},
        {"direct": 1}, {"direct": None}, {"reads": -1}, {"reads": 3}, {"reads": 1e9}, {"reads": 10**40},
        {"sums": {}}, {"sums__loss": "0"}, {"sums__squares": -1}, {"sums__slope": float("inf")}, {"sums": [1]},
    ],
    ids=str,
)  # fmt: skip
def test_other_words_about_itself(arrays, about):
    assert "is a broken checkpoint" in refused(changed(arrays, **about))
