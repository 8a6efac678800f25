"""Integer codes <-> bytes: each part's codes in turn, in the light of the parts before.

Whether a code is above 0 has the log-odds (in eighths)

    bias_j + sum over i < j of weight_ij * (code i is above 0)

with integer weights, nearly all of them 0, that the encoder learns and sends. How far a code above 0 goes is told step
by step: on from 1, 2, 3 ... with log-odds of the part's own, the last of which are for all that follow, up to 255. In
each step all pictures of all chunks are coded side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .adaptive import AdaptiveIntegers
from .entropy import LOGITS, ONE, Coder, squash

LARGEST = 255  # of a code
ONWARD = 6  # log-odds of going on that a part has: from 1 to 2, 2 to 3, ... ; the last for the rest
PRIOR = 8  # codes of all parts together that weigh in with a part's own
BATCH = 64  # numbers of a model that are coded before anything is learned, then twice as many, and so on
SAMPLE = 20_000  # pictures that weights are learned from
WEIGHT_BITS = 10.0  # what a weight costs in the file, about
ROUNDS, ROUNDS_NEAR = 60, 20  # of the proximal gradient method, from nothing and from near
EIGHTHS = 8


@dataclass(frozen=True, eq=False)
class Contexts:
    """What tells how likely a code is.

    Parameters
    ----------
    bias : array of int, shape (k,)
    onward : array of int, shape (k, ONWARD)
    weights : array of int, shape (k, k)
        weights[i, j] of part i for part j, 0 unless i < j.
    """

    bias: np.ndarray
    onward: np.ndarray
    weights: np.ndarray

    def costs(self, Q: np.ndarray) -> np.ndarray:
        """Bits that a code above 0 costs more than a code 0, (k, b), where codes Q (k, b) are as they are."""
        logits = self.weights.T.astype(np.float32) @ (Q > 0).astype(np.float32) + self.bias[:, None].astype(np.float32)
        return np.clip(logits, -LOGITS, LOGITS) * np.float32(-1 / EIGHTHS / np.log(2))

    def onward_bits(self) -> np.ndarray:
        """Bits of how far a code above 0 goes, (k, LARGEST + 1); 0 for code 0."""
        k = len(self.bias)
        logits = self.onward[:, np.minimum(np.arange(LARGEST - 1), ONWARD - 1)]  # of going on from 1, 2, ...
        zero = squash(logits) / ONE
        on, stop = -np.log2(1 - zero), -np.log2(zero)
        bits = np.zeros((k, LARGEST + 1), np.float32)
        bits[:, 2:] = np.cumsum(on, axis=1)
        bits[:, 1:-1] += stop
        return bits

    def again(self, Q: np.ndarray) -> Contexts:
        """The same weights with biases and log-odds for codes Q (k, n)."""
        return _around(self.weights, Q, (Q[:, :SAMPLE].T > 0).astype(np.float32))


def learn(Q: np.ndarray, rng: np.random.Generator, near: Contexts | None = None) -> Contexts:
    """The contexts that make codes Q (k, n), uint8, shortest, those of the weights themselves counted.

    `near`: those of codes that are nearly the same, from which it is not far.
    """
    n = Q.shape[1]
    chosen = Q[:, np.sort(rng.choice(n, SAMPLE, replace=False, shuffle=False))] if n > SAMPLE else Q
    flags = (chosen.T > 0).astype(np.float32)
    return _around(_weights(flags, n, near), Q, flags)


def _around(weights: np.ndarray, Q: np.ndarray, flags: np.ndarray) -> Contexts:
    """What goes with these weights; `flags` are of some pictures only, (b, k)."""
    counts = np.array([np.bincount(row, minlength=LARGEST + 1) for row in Q])
    beyond = counts[:, ::-1].cumsum(axis=1)[:, ::-1]  # codes of at least so much
    on, stop = beyond[:, 2 : ONWARD + 2].copy(), counts[:, 1 : ONWARD + 1].copy()
    on[:, -1], stop[:, -1] = beyond[:, ONWARD + 1 :].sum(axis=1), counts[:, ONWARD:].sum(axis=1)
    prior = PRIOR / np.maximum((on + stop).sum(axis=0), PRIOR)
    onward = _eighths(on + prior * on.sum(axis=0), stop + prior * stop.sum(axis=0))
    return Contexts(_biases(flags, weights, beyond[:, 1] / Q.shape[1]), onward, weights)


def _eighths(ones: np.ndarray, zeros: np.ndarray) -> np.ndarray:
    """Log-odds of a 1, in eighths."""
    odds = np.log((np.asarray(ones) + 0.5) / (np.asarray(zeros) + 0.5))
    found: np.ndarray = np.clip(np.rint(EIGHTHS * odds), -LOGITS, LOGITS).astype(np.int64)
    return found


def _logistic(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), which does not overflow."""
    found: np.ndarray = 0.5 + 0.5 * np.tanh(0.5 * x)
    return found


def _weights(flags: np.ndarray, n: int, near: Contexts | None) -> np.ndarray:
    """Weights by logistic regression of each part on those before it, with a price on each weight.

    Proximal gradient steps of all parts at once, scaled by a diagonal that majorizes the Hessian, with momentum (Beck
    and Teboulle, "A fast iterative shrinkage-thresholding algorithm", SIAM Journal on Imaging Sciences 2, 2009).
    """
    count, k = flags.shape
    share = flags.mean(axis=0)
    bias = np.log((share + 1 / count) / (1 - share + 1 / count)).astype(np.float32)
    if k < 2 or count < 16:
        return np.zeros((k, k), np.int64)
    used = flags.sum(axis=1, keepdims=True) + 1
    likely = np.broadcast_to(share * (1 - share), flags.shape)
    W = np.zeros((k, k), np.float32) if near is None else (near.weights / EIGHTHS).astype(np.float32)
    ahead = before = W
    momentum = 1.0
    upper = np.triu(np.ones((k, k), np.float32), 1)
    price = np.float32(WEIGHT_BITS * np.log(2) * count / n / 2)  # half of it shrinks: what remains is told below
    for step in range(ROUNDS if near is None else ROUNDS_NEAR):
        chance = _logistic(flags @ ahead + bias)
        if step % 10 == 0:
            likely = np.maximum(chance * (1 - chance), 1e-4)
            scale = flags.T @ (used * likely) + 1e-3
            scale_bias = (used * likely).sum(axis=0) + 1e-3
        slope = flags.T @ (chance - flags)
        bias = bias - (chance - flags).sum(axis=0) / scale_bias
        moved = ahead - slope / scale
        before, W = W, (np.sign(moved) * np.maximum(np.abs(moved) - price / scale, 0) * upper).astype(np.float32)
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = W + np.float32((momentum - 1) / following) * (W - before)
        momentum = following
    whole = np.rint(EIGHTHS * W).astype(np.int64)
    # a weight w on a flag that is there f times saves about w^2 / 2 * sum of p (1 - p) there
    saved = np.square(W) / 2 * (flags.T @ likely) * (n / count)
    whole[saved < WEIGHT_BITS * np.log(2)] = 0
    found: np.ndarray = np.clip(whole, -LOGITS, LOGITS)
    return found


def _biases(flags: np.ndarray, weights: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The biases under these weights, by Newton's method, part by part at once."""
    extra = flags @ (weights / EIGHTHS).astype(np.float32)
    bias = np.log((share + 1e-5) / (1 - share + 1e-5))
    for _ in range(12):
        chance = _logistic(extra + bias.astype(np.float32))
        step = (flags.sum(axis=0) + 0.05 - chance.sum(axis=0)) / np.maximum((chance * (1 - chance)).sum(axis=0), 0.05)
        bias = bias + np.clip(step, -1, 1)
    found: np.ndarray = np.clip(np.rint(EIGHTHS * bias), -LOGITS, LOGITS).astype(np.int64)
    return found


def code_contexts(coder: Coder, contexts: Contexts | None, k: int, most: int | None = None) -> Contexts:
    """The contexts of k parts: biases, log-odds of going on, how many weights above the diagonal are not 0, and these.

    The weights go row by row, part by part of those before: for each the gap to the next that is not 0, then its size.
    A reader takes no more of them than `most`.
    """
    numbers = AdaptiveIntegers(4)

    def code(values: np.ndarray | None, count: int, which: int) -> np.ndarray:
        found, first, size = np.empty(count, np.int64), 0, BATCH
        while first < count:
            part = slice(first, min(first + size, count))
            given = None if values is None else values[part]
            found[part] = numbers.code(coder, given, np.full(part.stop - first, which))
            first, size = part.stop, 2 * size
        return found

    def steps(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else np.diff(values, prepend=0)

    bias = np.cumsum(code(None if contexts is None else steps(contexts.bias), k, 0))
    onward = np.empty((k, ONWARD), np.int64)
    for place in range(ONWARD):
        onward[:, place] = np.cumsum(code(None if contexts is None else steps(contexts.onward[:, place]), k, 3))
    ends = np.cumsum(k - 1 - np.arange(k))  # of the rows above the diagonal, one after the other
    places = sizes = None
    if contexts is not None:
        i, j = np.nonzero(contexts.weights)
        places, sizes = ends[i] - k + j, contexts.weights[i, j]
    count = int(code(None if places is None else np.array([len(places)]), 1, 1)[0])
    if not 0 <= count <= ends[-1]:
        raise InputError("its contexts have more weights than there are places for them")
    if most is not None and count > most:
        raise InputError(f"its contexts have {count:,} weights in too few bytes for as many")
    at = np.cumsum(code(None if places is None else np.diff(places, prepend=-1), count, 1)) - 1
    found = code(sizes, count, 2)
    weights = np.zeros((k, k), np.int64)
    if count:
        if at.min() < 0 or at.max() >= ends[-1]:
            raise InputError("its contexts have a weight at a place that is none")
        row = np.searchsorted(ends, at, side="right")
        weights[row, at - ends[row] + k] = found
    # together they fit the 16 bits that code_codes adds them up in
    if max(np.abs(onward).max(), (np.abs(bias) + np.abs(weights).sum(axis=0)).max()) >= 2**15:
        raise InputError("its contexts have log-odds beyond all measure")
    return Contexts(bias, onward, weights)


def code_codes(
    coder: Coder, Q: np.ndarray | None, there: np.ndarray, contexts: Contexts, rank: int | None = None
) -> np.ndarray:
    """Codes of pictures in chunks, (k, chunks, pictures), uint8; after `rank` parts it stops, and the rest is 0.

    Parameters
    ----------
    there : array of bool, shape (chunks, pictures)
        Which places of a chunk hold a picture: the last chunk may have fewer.
    """
    k = len(contexts.bias)
    found = np.zeros((k, *there.shape), np.uint8)
    flags = np.zeros((k, *there.shape), np.int16)
    for j in range(min(k, k if rank is None else rank)):
        logits = np.full(there.shape, contexts.bias[j], np.int16)
        for i in np.flatnonzero(contexts.weights[:, j]):
            logits += flags[i] * np.int16(contexts.weights[i, j])
        zeros = np.where(there, squash(logits), ONE)
        given = None if Q is None else Q[j]
        above = coder.bits(None if given is None else given > 0, zeros)
        flags[j] = above
        found[j] = above
        for chunk_places, size in _onward(coder, given, above, contexts, j):
            found[j][chunk_places] = size
    return found


def _onward(
    coder: Coder, given: np.ndarray | None, above: np.ndarray, contexts: Contexts, j: int
) -> Iterator[tuple[tuple[np.ndarray, np.ndarray], np.ndarray]]:
    """The places of codes that go on from 1, 2, 3 ..., and what they are at least then."""
    going = above
    for size in range(1, LARGEST):
        counts = going.sum(axis=1)
        most = int(counts.max(initial=0))
        if not most:
            return
        chunk, place = np.nonzero(going)
        column = np.arange(len(chunk)) - np.repeat(np.cumsum(counts) - counts, counts)
        logit = contexts.onward[j, min(size, ONWARD) - 1]
        zeros = np.full((len(counts), most), ONE)
        zeros[chunk, column] = int(squash(logit))
        values = None
        if given is not None:
            values = np.zeros(zeros.shape, dtype=bool)
            values[chunk, column] = given[chunk, place] > size
        on = coder.bits(values, zeros)[chunk, column]
        going = np.zeros_like(above)
        going[chunk[on], place[on]] = True
        yield (chunk[on], place[on]), np.array(size + 1)
