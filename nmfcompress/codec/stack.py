"""A collection <-> `.nmfc`: shared parts, and integer codes of each picture.

Sections, beside those of every mode (header.py):

parts     varints: k, the unit (sums have so many steps a grey level), the white (which value grey level 255 is; of
          floats, in 65535ths), then k steps; then the planes (tables.py) of the integers m, k x (h * channels) x w,
          channels one below the other. Part j is steps_j * m_j.
curve     the table (tables.py), 1 x 81, of the tone curve's nodes less the node before, in 1/256 of a grey level.
contexts  a byte, the logarithm of the lanes, and the decisions of contexts.code_contexts.
codes     a byte, the logarithm of the lanes; varints: pictures a chunk, then the length of each chunk's stream; then
          the streams of contexts.code_codes, one a chunk.
origin    instead of `parts` and `curve`, where they are those of another file: its SHA-256 over these two sections.

A value of a picture is x = sum over parts of code * steps_j * m_j, an integer; its level the curve at x (tone.py), in
1/256 of a grey level; from it (level * white + 32640) div 65280 in whole numbers, level * white / (65280 * 65535) in
float64, rounded to the type, as a float.

A reader refuses what no writer makes, as it would keep it at work for hours: more parts than a picture has values; more
weights than 32 for each byte of `contexts`; more decisions in `codes` than 2^23, 4 for each value of all pictures and
2^8 for each byte of the section together, where each call of the coder counts as 256 more.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ..errors import InputError
from ..factor.crew import Each
from ..images.limits import Limits
from ..metrics import psnr_of_mse
from . import integer
from .container import Container, Fields, varint
from .contexts import LARGEST, WEIGHT_BITS, Contexts, code_codes, code_contexts, learn
from .drafts import OnStage
from .entropy import LANES, Reader, Writer, lanes_for
from .header import Header
from .integer import Parts, Seeker
from .parts import Shower, StoredParts, grey_of, origin_of, read_parts, stored, white_of, whitest
from .tone import Curve

PICTURES = 2048  # of a chunk
MOST_PICTURES = 2**14  # likewise, of a chunk that is read
STEPS = 2**17  # that a chunk takes to decode, about, however few bits it has
TOGETHER = 16  # chunks that are coded side by side
SIDE_BY_SIDE = TOGETHER * PICTURES  # pictures whose chunks are decoded side by side,
AT_ONCE = 2**25  # as long as they have no more codes than these
# What has even one bit in thirty decisions stays below; a part takes at most 255 a picture, and has a value at least.
WORK, WORK_OF_VALUE, WORK_OF_BYTE = 2**23, 4, 2**8
WEIGHTS_OF_BYTE = 32  # one costs more than a quarter of a bit: 10 bits are what it is worth
SUBSET = 12_000  # pictures that parts are learned from
LEARNING, PLAIN = 28, 5  # rounds of it, and of these the first with the curve as it begins
ASTRAY = 1.1  # times the best objective so far: curve and parts have led each other astray, the curve stays from there
FAR = 1.6  # times the price that codes were found at: beyond it they are sought anew
DEARER = 2.0  # times the price that given parts were made for: what comes on the way down from there is worth more
ROUNDS_OF_PRICE = (1.6, 1.0, 1.0, 1.0, 1.0, 1.0)  # times the price that the codes of a draft go through
PASSES = 6  # over all pictures
REFITS = 2  # of the parts in a round


@dataclass(frozen=True, eq=False)
class Draft:
    """A collection coded at one price: its sections, and what it shows.

    Parameters
    ----------
    sections : dict
    mse : float
        Of the pictures as they are decoded, in squares of their own type's values.
    price : float
    """

    sections: dict[str, bytes]
    mse: float
    price: float


class StackCoder:
    """What a collection has been learned to be made of, from which drafts at several prices come cheaply.

    Parameters
    ----------
    images : array or StoredImages, shape (n, h, w) or (n, h, w, c)
        uint8, uint16, or floats within 0..1; read in blocks.
    header : Header
    each : Each
        A map over blocks.
    seed : int
    on_stage : callable
        Told what is done, how much of it, and what it comes to.
    """

    def __init__(self, images: np.ndarray, header: Header, each: Each, seed: int, on_stage: OnStage):
        self._images, self._header, self._each, self._on_stage = images, header, each, on_stage
        self._rng = np.random.default_rng(seed)
        self._seed = seed
        self.parts: Parts | None = None
        self._given: StoredParts | None = None
        self._white = max(each(lambda rows: white_of(images[rows]), integer.blocks_of(len(images))))
        self._Q: np.ndarray | None = None
        self._squares = np.zeros(0)
        self._price = 1.0

    @property
    def rank(self) -> int:
        """Parts there are."""
        return 0 if self.parts is None else len(self.parts.H)

    @property
    def spare_db(self) -> float:
        """By how much PSNR, whose peak is that of the type, is above that of grey levels, whose peak is the white."""
        return 20 * math.log10(whitest(self._header.dtype) / self._white)

    def _read(self, rows: slice) -> np.ndarray:
        return grey_of(self._images[rows], self._white)

    def learn(self, k: int, price: float, steer: Callable[[float, float, float], float]) -> float:
        """Parts from a subset, then from all; `steer` gives the next price of price, mse and bytes a picture.

        Returns the price at which it ended.
        """
        n = len(self._images)
        chosen = np.sort(self._rng.choice(n, SUBSET, replace=False, shuffle=False)) if n > SUBSET else np.arange(n)
        V = np.concatenate([self._read(slice(i, i + 1)) for i in chosen]) if n > SUBSET else self._read(slice(0, n))
        parts = integer.first_parts(V[: max(4000, 4 * k)], k, price, self._seed)
        Q = np.zeros((len(parts.H), len(V)), np.uint8)
        best: tuple[Parts, integer.Fit] | None = None
        fresh = bends = True
        for turn in range(LEARNING):
            tried, straight = parts, turn < PLAIN - 1
            parts, fit = self._round(parts, Q, lambda rows: V[rows], price, fresh, straight, bends and not straight)
            least = fit.objective(price) if best is None else best[1].objective(price)
            fresh = best is not None and fit.objective(price) > ASTRAY * least
            if best is not None and fresh:
                parts, bends = best[0], False
                continue
            if fit.objective(price) <= least:
                best = tried, fit
            if turn < LEARNING * 2 // 3:
                parts = integer.revived(parts, fit, lambda rows: V[rows], Q, price, self._rng)
            if turn >= PLAIN + 3:
                price = steer(price, fit.mse, fit.bits() / 8 / len(V))
            self._tell("train", (turn + 1) / LEARNING, fit, len(V))
        self._Q = Q
        if n > SUBSET:
            self._Q = np.zeros((len(parts.H), n), np.uint8)
            for turn in range(PASSES):
                parts, fit = self._round(parts, self._Q, self._read, price, turn == 0, False, bends)
                if 0 < turn < PASSES - 1:
                    price = steer(price, fit.mse, fit.bits() / 8 / n)
                self._tell("passes", (turn + 1) / PASSES, fit, n)
        self._keep(parts)
        self._price = price
        return price

    def _tell(self, stage: str, done: float, fit: integer.Fit, count: int, parts: int = 0) -> None:
        """What a pass over `count` pictures comes to; `parts`: bytes of theirs, once they are known."""
        psnr, size = psnr_of_mse(fit.mse, np.dtype(np.uint8)), fit.bits() / 8 + parts
        self._on_stage(stage, done, size / count, None if psnr is None else psnr + self.spare_db)

    def _round(
        self, parts: Parts, Q: np.ndarray, read: integer.Read, price: float, fresh: bool, straight: bool, bend: bool
    ) -> tuple[Parts, integer.Fit]:
        """Codes for the parts, then the curve for the codes where it may bend, then the parts for both."""
        seeker = Seeker(parts, price, straight=straight)
        fit = integer.seek(read, Q, seeker, self._each, fresh=fresh, bend=bend)
        curve = parts.curve if fit.curve is None else fit.curve.curve()
        parts = replace(parts, rates=fit.rates().astype(np.float32), curve=curve)
        for _ in range(REFITS):
            seeker = Seeker(parts, price, straight=straight)
            parts = replace(parts, H=integer.refitted(seeker, fit.gram, read, Q, self._each))
        return parts, fit

    def _keep(self, parts: Parts) -> None:
        """Sort by energy, and leave out what no picture uses."""
        assert self._Q is not None  # noqa: S101
        squares = np.array([float(np.square(row, dtype=np.float32).sum(dtype=np.float64)) for row in self._Q])
        energy = squares * np.square(parts.H, dtype=np.float64).sum(axis=1)
        order = np.argsort(-energy, kind="stable")
        order = order[energy[order] > 0] if (energy > 0).any() else order[:1]
        self.parts = Parts(parts.H[order], parts.curve, parts.rates[order])
        self._Q, self._squares = self._Q[order], squares[order]

    def take(self, given: StoredParts) -> None:
        """Parts of another file, as they are.

        Codes are sought first at a price that parts of their size are for: were it the target's, what can be reached
        would depend on what is asked for.
        """
        H = given.floats(self._header)
        rates = np.zeros((len(H), LARGEST + 1), np.float32)
        rates[:, 1:] = np.log2(max(len(H), 4)) - 2 + np.minimum(np.arange(LARGEST), 24)
        self._given, self._white = given, given.white
        self._price = DEARER * integer.STEP_OF_PRICE * float(np.square(H, dtype=np.float64).sum(axis=1).mean())
        self.parts, self._Q = self._sought(Parts(H, Curve(given.nodes), rates), self._price)

    def take_pictures(self) -> None:
        """Each picture as a part of its own."""
        H = Curve.straightened(self._read(slice(0, len(self._images)))).astype(np.float32)
        rates = np.tile(np.arange(LARGEST + 1, dtype=np.float32), (len(H), 1))
        self.parts, self._Q = Parts(H, Curve.straight(), rates), np.eye(len(H), dtype=np.uint8)
        self._squares, self._price = np.ones(len(H)), math.inf

    def _sought(self, parts: Parts, price: float) -> tuple[Parts, np.ndarray]:
        """Codes for parts that stay, and what these make of their rates."""
        Q = np.zeros((len(parts.H), len(self._images)), np.uint8)
        for turn in range(2):
            fit = integer.seek(self._read, Q, Seeker(parts, price), self._each, fresh=turn == 0)
            parts = replace(parts, rates=fit.rates().astype(np.float32))
            self._tell("passes", (turn + 1) / 2, fit, len(self._images))
        return parts, Q

    def draft(self, price: float) -> Draft:
        """The collection at this price: codes sought again for the parts as they are stored, then coded.

        Each draft begins with the codes that learning left, so that it does not depend on those before; at a higher
        price first: what comes back then is worth more than what had merely stayed.
        """
        assert self.parts is not None and self._Q is not None  # noqa: S101, PT018
        # far above the price that they were found at, codes would not find their way; below it they do
        anew, parts, Q = price > FAR * self._price, self.parts, self._Q.copy()
        if anew and self._given is not None:
            parts, Q = self._sought(parts, price)
            anew = False
        kept = self._given or stored(self.parts, self._header, self._squares, price, self._white)
        parts = replace(parts, H=kept.floats(self._header), curve=Curve(kept.nodes))
        sections = {"origin": kept.digest()} if self._given is not None else kept.sections()
        rounds, n, beside = len(ROUNDS_OF_PRICE) + 2, len(self._images), sum(map(len, sections.values()))
        for turn, share in enumerate(ROUNDS_OF_PRICE):
            seeker = Seeker(parts, share * price)
            fit = integer.seek(self._read, Q, seeker, self._each, fresh=anew and turn == 0, rounds=1)
            self._tell("refit", (turn + 1) / rounds, fit, n, beside)
        contexts = learn(Q, np.random.default_rng(self._seed))
        for turn in range(2):  # the codes in the light of the contexts, and these in the light of the codes
            parts = replace(parts, rates=contexts.onward_bits())
            seeker = Seeker(parts, price, contexts.costs)
            fit = integer.seek(self._read, Q, seeker, self._each, fresh=False, rounds=1)
            contexts = learn(Q, np.random.default_rng(self._seed), contexts) if turn == 0 else contexts.again(Q)
            self._tell("refit", (turn + rounds - 1) / rounds, fit, n, beside)
        self._on_stage("coding", 0.0)
        sections |= {"contexts": _coded_contexts(contexts), "codes": encode_codes(Q, contexts)}
        mse = self._mse(Shower(kept, self._header), Q)
        self._on_stage("coding", 1.0, sum(map(len, sections.values())) / n, psnr_of_mse(mse, self._header.dtype))
        return Draft(sections, mse, price)

    def _mse(self, shower: Shower, Q: np.ndarray) -> float:
        def share(rows: slice) -> float:
            shown = shower.pictures(Q[:, rows])
            return float(np.square(np.subtract(shown, self._images[rows], dtype=np.float64)).sum())

        return sum(self._each(share, integer.blocks_of(len(self._images)))) / math.prod(self._header.shape)


def _coded_contexts(contexts: Contexts) -> bytes:
    lanes = lanes_for(WEIGHT_BITS * (len(contexts.bias) + np.count_nonzero(contexts.weights)))
    writer = Writer(lanes)
    code_contexts(writer, contexts, len(contexts.bias))
    return bytes([lanes.bit_length() - 1]) + writer.finish()[0]


def read_contexts(data: bytes, k: int) -> Contexts:
    """The contexts of k parts again."""
    reader = Reader([data[1:]], _lanes(data))
    contexts = code_contexts(reader, None, k, WEIGHTS_OF_BYTE * len(data))
    reader.finish()
    return contexts


def _lanes(data: bytes) -> int:
    if not data or data[0] > LANES.bit_length() - 1:
        raise InputError("is damaged: a section has no number of lanes")
    return 1 << data[0]


def encode_codes(Q: np.ndarray, contexts: Contexts) -> bytes:
    """The section of codes (k, n)."""
    k, n = Q.shape
    # about as long as the entropy of each part's zeros says: lanes must not cost much of it
    share = np.clip((Q > 0).mean(axis=1), 1e-9, 1 - 1e-9)
    bits = float(-(share * np.log2(share) + (1 - share) * np.log2(1 - share)).sum() * min(n, PICTURES))
    lanes = max(lanes_for(bits), 1 << (k * min(n, PICTURES) // STEPS).bit_length())
    streams: list[bytes] = []
    for group in range(0, n, PICTURES * TOGETHER):
        part = Q[:, group : group + PICTURES * TOGETHER]
        there = _there(part.shape[1])
        padded = np.zeros((k, there.size), np.uint8)
        padded[:, : part.shape[1]] = part
        writer = Writer(lanes, len(there))
        code_codes(writer, padded.reshape(k, *there.shape), there, contexts)
        streams += writer.finish()
    numbers = varint(PICTURES) + b"".join(varint(len(stream)) for stream in streams)
    return bytes([lanes.bit_length() - 1]) + numbers + b"".join(streams)


def _there(count: int, pictures: int = PICTURES) -> np.ndarray:
    """Which places of the chunks of `count` pictures hold one."""
    chunks = -(-count // pictures)
    width = min(count, pictures)
    return np.arange(chunks * width).reshape(chunks, width) < count


class Codes:
    """The codes of a file, decoded a chunk at a time.

    Parameters
    ----------
    data : bytes
        The section.
    n : int
        Pictures that there are.
    contexts : Contexts
    pixels : int
        Values of each picture.
    """

    def __init__(self, data: bytes, n: int, contexts: Contexts, pixels: int):
        fields = Fields(data)
        fields.byte()
        self._lanes, self._contexts, self._n = _lanes(data), contexts, n
        self._work: int | None = WORK + WORK_OF_VALUE * n * pixels + WORK_OF_BYTE * len(data)
        self.pictures = fields.varint()
        if not 1 <= self.pictures <= MOST_PICTURES:
            raise InputError(f"is damaged: its chunks have {self.pictures:,} pictures")
        lengths = [fields.varint() for _ in range(-(-n // self.pictures))]
        self._streams = [fields.take(length) for length in lengths]
        fields.done()

    def chunks(self, numbers: range, rank: int | None) -> np.ndarray:
        """The codes, (k, pictures), of these chunks, which follow one another."""
        first = numbers.start * self.pictures
        count = min(self._n, numbers.stop * self.pictures) - first
        there = _there(count, self.pictures)
        reader = Reader([self._streams[number] for number in numbers], self._lanes, self._work)
        found = code_codes(reader, None, there, self._contexts, rank)
        self._work = reader.left
        if rank is None or rank >= len(self._contexts.bias):
            reader.finish()
        return found.reshape(len(found), -1)[:, :count]


def decode(
    container: Container, header: Header, index: np.ndarray | None, rank: int | None, origin: Container | None,
    limits: Limits | None = None,
) -> np.ndarray:  # fmt: skip
    """The pictures at `index` (all, where None), of the first `rank` parts."""
    parts = read_parts(origin_of(container, origin), header, limits)
    k = len(parts.steps)
    contexts = read_contexts(container.section("contexts"), k)
    codes = Codes(container.section("codes"), header.shape[0], contexts, header.pixels)
    wanted = np.arange(header.shape[0]) if index is None else index
    shower = Shower(parts, header, rank)
    shown = np.empty((len(wanted), *header.shape[1:]), header.dtype)
    together = max(1, min(SIDE_BY_SIDE, AT_ONCE // k) // codes.pictures)
    for numbers in _runs(np.unique(wanted // codes.pictures), together):
        Q = codes.chunks(numbers, rank)
        first = numbers.start * codes.pictures
        places = np.flatnonzero((wanted >= first) & (wanted < first + Q.shape[1]))
        for some in range(0, len(places), integer.BLOCK):
            at = places[some : some + integer.BLOCK]
            shown[at] = shower.pictures(Q[:, wanted[at] - first])
    return shown


def _runs(numbers: np.ndarray, most: int) -> list[range]:
    """Numbers that follow one another, at most so many of them in a run."""
    runs: list[range] = []
    for number in numbers.tolist():
        if runs and runs[-1].stop == number and len(runs[-1]) < most:
            runs[-1] = range(runs[-1].start, number + 1)
        else:
            runs.append(range(number, number + 1))
    return runs
