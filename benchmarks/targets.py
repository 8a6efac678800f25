"""Targets: how much of a size is used, and how far above a quality is gone, over collections of several kinds.

The sizes are shares and multiples of what the default comes to, the qualities lie around what it shows. A size that
is not used does not count where twice as much shows no more. What is refused must be honest: the size or the quality
that the message names is then asked for, and must be reached.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
from measure import DATA, ROOT, Figure, yes
from PIL import Image

from nmfcompress.codec.collection import coded_stack
from nmfcompress.codec.drafts import Coded
from nmfcompress.codec.image import coded_image
from nmfcompress.codec.targets import FILL, OVER
from nmfcompress.errors import TargetMissed
from nmfcompress.settings import Coding

LEAST = 300  # bytes: below, a whole byte of a part's or a plane's is much
MUST = 0.97  # of all targets
SAME = 0.1  # dB
SHARES = (0.2, 0.35, 0.6, 1.0, 1.7, 3.0)  # of what the default comes to
DECIBELS = (-4.0, -2.0, 0.0, 2.0, 5.0)  # beside what it shows
NAMED = re.compile(r"([\d,.]+) (?:bytes is the least|dB is the best)")


def smooth(n: int, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Pictures of five waves each."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    waves = rng.uniform(0, [[0.25], [0.25], [6.3], [1.0]], (n, 4, 5))[..., None, None]
    V = (waves[:, 3] * np.cos(waves[:, 0] * x + waves[:, 1] * y + waves[:, 2])).sum(axis=1)
    low, high = V.min(axis=(1, 2), keepdims=True), V.max(axis=(1, 2), keepdims=True)
    return np.rint(255 * (V - low) / (high - low)).astype(np.uint8)


def movie(n: int, bits: int, rng: np.random.Generator) -> np.ndarray:
    """Frames of a fixed scene in which twelve lights come and go, with a little noise."""
    scene = smooth(12, (40, 48), rng).reshape(12, -1) / 255.0
    glow = np.square(np.cos(np.arange(n)[:, None] * rng.uniform(0.02, 0.2, 12) + rng.uniform(0, 6, 12)))
    V = glow @ scene / 12 + rng.normal(0, 0.004, (n, scene.shape[1]))
    return np.rint(np.clip(V, 0, 1) * (2**bits - 1)).reshape(n, 40, 48).astype(f"uint{bits}")


def lines(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A drawing of straight lines."""
    V = np.full(shape, 255, np.uint8)
    V[rng.integers(0, shape[0], 6)] = 0
    V[:, rng.integers(0, shape[1], 6)] = 90
    return V


def kinds() -> dict[str, Callable[[], np.ndarray]]:
    """The collections and pictures by name."""
    rng = np.random.default_rng(0)
    made = {
        "400 digits": lambda: np.load(ROOT / "samples/digits.npz")["x_train"][:400],
        "12 smooth pictures": lambda: smooth(12, (40, 48), rng),
        "60 smooth pictures": lambda: smooth(60, (24, 24), rng),
        "30 of noise": lambda: rng.integers(0, 256, (30, 8, 8)).astype(np.uint8),
        "40 of noise in colour": lambda: rng.integers(0, 256, (40, 8, 8, 3)).astype(np.uint8),
        "movie, 8 bits": lambda: movie(80, 8, rng),
        "movie, 16 bits": lambda: movie(80, 16, rng),
        "photo": lambda: np.asarray(Image.open(ROOT / "samples/photo.png").convert("RGB")),
        "grey photo": lambda: np.asarray(Image.open(ROOT / "samples/grey.png").convert("L")),
        "drawing": lambda: lines((60, 80), rng),
    }
    if DATA:
        digits, photo = DATA / "mnist/mnist.npz", DATA / "kodak/kodim05.png"
        cube = DATA / "stacks/samson_bands_156x95x95_f32.npy"
        made |= {
            "1,000 digits of MNIST": lambda: np.load(digits)["x_train"][:1000],
            "part of kodim05": lambda: np.asarray(Image.open(photo))[:256, :256],
            "samson, float32": lambda: np.load(cube) / np.load(cube).max(),
        }
    return made


@cache
def pictures(kind: str) -> np.ndarray:
    return np.ascontiguousarray(kinds()[kind]())


def plainest(kind: str) -> float:
    """dB that one grey for all comes to, and one more."""
    V = pictures(kind) / (1 if pictures(kind).dtype.kind == "f" else np.iinfo(pictures(kind).dtype).max)
    return round(1 - 10 * float(np.log10(V.var())), 1)


def coded(kind: str, coding: Coding) -> Coded:
    """The collection or the picture as the command codes it."""
    V = pictures(kind)
    return coded_stack(V, coding) if V.ndim == 4 or (V.ndim == 3 and V.shape[2] > 4) else coded_image(V, coding)


@dataclass
class Tally:
    """What targets came to: how near those came that are met, and how many show all that there is to show."""

    near: list[float] = field(default_factory=list)
    tight: int = 0
    utmost: int = 0
    refused: int = 0
    dishonest: list[str] = field(default_factory=list)

    def take(self, kind: str, coding: Coding, near: float) -> None:
        """Try one that is tight where it is as `near` as that, a share or dB."""
        try:
            made = coded(kind, coding)
        except TargetMissed as error:
            self._refuse(kind, coding, error)
            return
        size = coding.target_size
        if size is None:
            self.near.append((made.psnr_db or 0.0) - (coding.min_psnr or 0.0))
            self.tight += 0 <= self.near[-1] <= near
        elif made.psnr_db is None or (made.size < near * size and _shows_no_more(kind, made, 2 * size)):
            self.utmost += 1
        else:
            self.near.append(100 * made.size / size)
            self.tight += near * size <= made.size <= size

    def _refuse(self, kind: str, coding: Coding, error: TargetMissed) -> None:
        self.refused += 1
        named = NAMED.search(str(error))
        try:
            coded(kind, coding if named is None else _asked(coding, float(named[1].replace(",", ""))))
        except TargetMissed as missed:
            self.dishonest.append(str(missed))

    def figure(self, kind: str, what: str, unit: str) -> Figure:
        """The line of the table."""
        words = [f"{min(self.near):.1f} to {max(self.near):.1f}{unit}"] if self.near else []
        words += [f"{self.utmost} with all there is to show"] if self.utmost else []
        words += [f"{self.refused} refused, what is named is met"] if self.refused and not self.dishonest else []
        words += [f"NOT MET: {line}" for line in self.dishonest]
        return Figure(f"{kind}: {what}", f"{self.tight} of {len(self.near)}", note="; ".join(words))


def _total(tallies: list[Tally], what: str) -> Figure:
    tight, all_of_them = sum(tally.tight for tally in tallies), sum(len(tally.near) for tally in tallies)
    share = tight / all_of_them
    met = share >= MUST and not any(tally.dishonest for tally in tallies)
    return Figure(what, f"{tight} of {all_of_them}", f">= {MUST:.0%}", "100%", "aim" if share == 1 else yes(met))


def _shows_no_more(kind: str, made: Coded, size: int) -> bool:
    """Whether a larger size shows no more than SAME better."""
    other = coded(kind, Coding(target_size=size)).psnr_db
    return other is not None and made.psnr_db is not None and other < made.psnr_db + SAME


def _asked(coding: Coding, value: float) -> Coding:
    if coding.target_size is not None:
        return replace(coding, target_size=int(value))
    return replace(coding, min_psnr=value)


def sizes() -> Iterator[Figure]:
    """How much of each size is used."""
    tallies = []
    for kind in kinds():
        tallies.append(Tally())
        usual = coded(kind, Coding(step=8.0))
        for size in sorted({max(LEAST, round(share * usual.size)) for share in SHARES}):
            tallies[-1].take(kind, Coding(target_size=size), FILL)
        yield tallies[-1].figure(kind, "sizes used to 95 %", " %")
    yield _total(tallies, "all sizes used to 95 %")


def qualities() -> Iterator[Figure]:
    """How far above each quality is gone."""
    tallies = []
    for kind in kinds():
        tallies.append(Tally())
        usual = coded(kind, Coding(step=8.0))
        for db in sorted({max(plainest(kind), round((usual.psnr_db or 40.0) + more, 1)) for more in DECIBELS}):
            tallies[-1].take(kind, Coding(min_psnr=db), OVER)
        yield tallies[-1].figure(kind, "qualities met within 0.5 dB", " dB")
    yield _total(tallies, "all qualities met within 0.5 dB")


PARTS = {"sizes": sizes, "qualities": qualities}
