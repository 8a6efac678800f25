"""Integer codes in the light of the codes before."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmfcompress.codec.contexts import LARGEST, ONWARD, Contexts, code_codes, code_contexts, learn
from nmfcompress.codec.entropy import LOGITS, ONE, Reader, Writer, squash
from nmfcompress.codec.stack import Codes, encode_codes, read_contexts
from nmfcompress.errors import InputError


def some_contexts(k: int, rng: np.random.Generator, weights: float = 0.3) -> Contexts:
    W = np.triu((rng.random((k, k)) < weights) * rng.integers(-30, 31, (k, k)), 1)
    return Contexts(rng.integers(-40, 10, k), rng.integers(-60, 20, (k, ONWARD)), W)


def some_codes(k: int, n: int, rng: np.random.Generator, share: float = 0.2) -> np.ndarray:
    Q = (rng.random((k, n)) < share) * rng.geometric(0.6, (k, n))
    return np.minimum(Q, LARGEST).astype(np.uint8)


def dependent_codes(k: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Each odd part is there, nearly always, where the one before it is."""
    Q = some_codes(k, n, rng)
    Q[1::2] = np.where(rng.random(Q[1::2].shape) < 0.95, Q[: 2 * (k // 2) : 2], Q[1::2])
    return Q


def streams_of(Q: np.ndarray, there: np.ndarray, contexts: Contexts, lanes: int = 2) -> list[bytes]:
    writer = Writer(lanes, len(there))
    code_codes(writer, Q, there, contexts)
    return writer.finish()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 3), st.integers(1, 30), st.sampled_from([1, 4]))
def test_codes_come_back(seed: int, k: int, chunks: int, width: int, lanes: int) -> None:
    rng = np.random.default_rng(seed)
    contexts = some_contexts(k, rng)
    there = np.ones((chunks, width), bool)
    there[-1, rng.integers(1, width + 1) :] = False
    Q = some_codes(k, chunks * width, rng, float(rng.random())).reshape(k, chunks, width)
    if seed % 3 == 0:
        Q[rng.integers(k)] = LARGEST
    Q *= there
    streams = streams_of(Q, there, contexts, lanes)
    reader = Reader(streams, lanes)
    found = code_codes(reader, None, there, contexts)
    reader.finish()
    np.testing.assert_array_equal(found, Q)
    for rank in range(1, k + 1):
        coarse = code_codes(Reader(streams, lanes), None, there, contexts, rank)
        np.testing.assert_array_equal(coarse[:rank], Q[:rank])
        assert not coarse[rank:].any()


def test_stopping_early_reads_no_further(rng: np.random.Generator) -> None:
    there, contexts = np.ones((1, 50), bool), some_contexts(6, rng)
    (stream,) = streams_of(some_codes(6, 50, rng)[:, None], there, contexts)
    asked = []

    class Counting(Reader):
        def bits(self, values: np.ndarray | None, zeros: np.ndarray) -> np.ndarray:
            asked.append(zeros.shape)
            return super().bits(values, zeros)

    code_codes(Counting([stream], 2), None, there, contexts, 2)
    some = len(asked)
    code_codes(Counting([stream], 2), None, there, contexts)
    assert len(asked) - some > 2 * some


def test_places_without_a_picture_cost_nothing(rng: np.random.Generator) -> None:
    contexts = some_contexts(5, rng)
    Q = some_codes(5, 40, rng)
    there = np.arange(400) < 40
    padded = np.zeros((5, 1, 400), np.uint8)
    padded[:, 0, :40] = Q
    assert streams_of(padded, there[None], contexts, 1) == streams_of(Q[:, None], np.ones((1, 40), bool), contexts, 1)


def cost_as_the_docstring_says(Q: np.ndarray, contexts: Contexts) -> float:
    """Bits of codes (k, n), added up code by code."""
    bits = 0.0
    for n in range(Q.shape[1]):
        for j in range(len(Q)):
            logit = contexts.bias[j] + sum(contexts.weights[i, j] for i in range(j) if Q[i, n])
            zero = int(squash(np.array(logit))) / ONE
            bits -= np.log2(1 - zero if Q[j, n] else zero)
            for size in range(1, int(Q[j, n]) + 1):
                if size < LARGEST:
                    zero = int(squash(contexts.onward[j, min(size, ONWARD) - 1])) / ONE
                    bits -= np.log2(1 - zero if Q[j, n] > size else zero)
    return bits


def test_a_stream_is_as_long_as_its_contexts_say(rng: np.random.Generator) -> None:
    contexts, Q = some_contexts(6, rng), some_codes(6, 300, rng)
    Q[2, 5] = LARGEST
    (stream,) = streams_of(Q[:, None], np.ones((1, 300), bool), contexts, 1)
    assert len(stream) == pytest.approx(cost_as_the_docstring_says(Q, contexts) / 8, rel=0.01, abs=5)


def test_costs_are_those_of_the_coder(rng: np.random.Generator) -> None:
    contexts, Q = some_contexts(6, rng), some_codes(6, 40, rng)
    costs, onward = contexts.costs(Q), contexts.onward_bits()
    for j in range(6):
        for n in range(40):
            with_it, without = Q[:, n : n + 1].copy(), Q[:, n : n + 1].copy()
            with_it[j], without[j] = 2, 0
            first = [cost_as_the_docstring_says(each[: j + 1], contexts) for each in (with_it, without)]
            assert costs[j, n] + onward[j, 2] == pytest.approx(first[0] - first[1], abs=0.02)


def coded_contexts(contexts: Contexts) -> bytes:
    writer = Writer(2)
    code_contexts(writer, contexts, len(contexts.bias))
    return bytes([1]) + writer.finish()[0]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.sampled_from([0.0, 0.05, 0.5, 1.0]))
def test_contexts_come_back(seed: int, k: int, share: float) -> None:
    contexts = some_contexts(k, np.random.default_rng(seed), share)
    back = read_contexts(coded_contexts(contexts), k)
    np.testing.assert_array_equal(back.bias, contexts.bias)
    np.testing.assert_array_equal(back.onward, contexts.onward)
    np.testing.assert_array_equal(back.weights, contexts.weights)


def test_learned_contexts_make_dependent_codes_shorter(rng: np.random.Generator) -> None:
    Q = dependent_codes(12, 3000, rng)
    there = np.ones((1, 3000), bool)
    learned = learn(Q, rng)
    assert np.array_equal(learned.weights, np.triu(learned.weights, 1))
    alone = Contexts(learned.bias, learned.onward, np.zeros_like(learned.weights)).again(Q)
    sizes = [len(streams_of(Q[:, None], there, each)[0]) + len(coded_contexts(each)) for each in (learned, alone)]
    assert sizes[0] < 0.75 * sizes[1]


def test_codes_that_do_not_depend_on_each_other_get_hardly_a_weight(rng: np.random.Generator) -> None:
    learned = learn(some_codes(12, 3000, rng), rng)
    assert np.count_nonzero(learned.weights) <= 3


@pytest.mark.parametrize("value", [0, 1, LARGEST])
@pytest.mark.parametrize("n", [1, 5, 100])
def test_codes_that_are_all_alike_are_learned_too(value: int, n: int, rng: np.random.Generator) -> None:
    Q = np.full((4, n), value, np.uint8)
    contexts = learn(Q, rng)
    assert np.abs(contexts.bias).max() <= LOGITS
    data = encode_codes(Q, contexts)
    np.testing.assert_array_equal(Codes(data, n, contexts, 100).chunks(range(1), None), Q)


def test_learning_says_the_same_twice(rng: np.random.Generator) -> None:
    Q = dependent_codes(8, 500, rng)
    one, two = (learn(Q, np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(one.weights, two.weights)
    np.testing.assert_array_equal(one.bias, two.bias)


def test_damaged_contexts_are_refused_or_are_some(rng: np.random.Generator) -> None:
    data = coded_contexts(some_contexts(7, rng))
    missed = 0
    for place in range(8 * len(data)):
        broken = bytearray(data)
        broken[place // 8] ^= 1 << place % 8
        try:
            found = read_contexts(bytes(broken), 7)
            assert found.weights.shape == (7, 7)
            missed += 1
        except InputError:
            pass
    assert missed < 0.3 * 8 * len(data)
    for length in range(len(data)):
        with pytest.raises(InputError):
            read_contexts(data[:length], 7)


@pytest.mark.parametrize("huge", ["bias", "weights", "together"])
def test_log_odds_beyond_all_measure_are_refused(huge: str) -> None:
    k = 500 if huge == "together" else 3
    contexts = Contexts(np.zeros(k, int), np.zeros((k, ONWARD), int), np.zeros((k, k), int))
    if huge == "bias":
        contexts.bias[1] = 10**6
    elif huge == "weights":
        contexts.weights[0, 1] = -(10**6)
    else:
        contexts.weights[:-1, -1] = LOGITS  # more than 16 bits hold, together
    with pytest.raises(InputError, match="measure"):
        read_contexts(coded_contexts(contexts), k)


def test_too_many_weights_and_wrong_places_are_refused(rng: np.random.Generator) -> None:
    many = coded_contexts(some_contexts(9, rng, 1.0))
    with pytest.raises(InputError):
        read_contexts(many, 8)
    with pytest.raises(InputError):
        read_contexts(many, 10)
    with pytest.raises(InputError):
        read_contexts(b"", 3)
    with pytest.raises(InputError):
        read_contexts(bytes([13]) + bytes(100), 3)


def test_what_has_hardly_a_bit_is_decoded_in_few_steps(rng: np.random.Generator) -> None:
    """One lane would be smallest, but 300,000 decisions one after the other take seconds."""
    Q = (rng.random((160, 2000)) < 2e-4).astype(np.uint8)
    contexts = Contexts(np.full(160, -64), np.full((160, ONWARD), -64), np.zeros((160, 160), int))
    data = encode_codes(Q, contexts)
    assert len(data) < 200
    assert Q.size >> data[0] <= 2**17
    np.testing.assert_array_equal(Codes(data, 2000, contexts, 100).chunks(range(1), None), Q)


def test_learning_from_codes_that_tell_all_does_not_overflow(rng: np.random.Generator) -> None:
    Q = np.repeat(some_codes(1, 3000, rng, 0.01), 60, axis=0)
    learned = learn(Q, rng)
    assert np.abs(learned.weights).max() <= LOGITS
    assert np.count_nonzero(learned.weights) >= 59
