"""How much an input may ask for: checked at every door before anything is allocated."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace

from ..errors import TooLarge

DEFAULT_MAX_PIXELS = 2**29  # one picture of 23,000 x 23,000: far beyond any camera, far below a bomb


def free_memory() -> int:
    """Bytes that this machine (or its control group) can still give, 1 GiB where unknown."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        try:
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, OSError, ValueError):
            return 2**30
    for limit, used in (("memory.max", "memory.current"),):
        try:
            with open(f"/sys/fs/cgroup/{limit}") as a, open(f"/sys/fs/cgroup/{used}") as b:
                free = min(free, max(int(a.read()) - int(b.read()), 0))
        except (OSError, ValueError):
            pass
    return free


@dataclass(frozen=True)
class Limits:
    """What one input may need.

    Parameters
    ----------
    max_memory : int
        Bytes, for reading the input and for the work on it together. Default: half of what is free.
    max_pixels : int
        Pixels of one picture.
    options : bool
        They come from the command line: messages speak of its options.
    held : int
        Bytes of the input itself, where it is in memory already: they count.
    """

    max_memory: int = field(default_factory=lambda: free_memory() // 2)
    max_pixels: int = DEFAULT_MAX_PIXELS
    options: bool = False
    held: int = 0

    def beside(self, source: object) -> Limits:
        """The same for what is made of `source`, which may be bytes that came through a pipe."""
        return replace(self, held=len(source)) if isinstance(source, bytes) else self

    @property
    def loaded(self) -> int:
        """Bytes that a collection may take in memory; a larger one is read a piece at a time, where that is possible.

        A quarter: beside it there must be room for the factors and the work on them.
        """
        return self.max_memory // 4

    def admit(self, nbytes: int, what: str, instead: str = "") -> None:
        """Raise TooLarge when `nbytes` (any int, however large) are too many for `what`; `instead` is another way."""
        nbytes += self.held
        if nbytes > self.max_memory:
            allowed, enough = f"{self._called('memory')} is {size(self.max_memory)}", self._asked("memory", ask(nbytes))
            instead = f"; {instead}" if instead else ""
            raise TooLarge(f"{what} needs {size(nbytes)}, {allowed} ({enough}{instead})")

    def fitting(self, each: int, beside: int) -> int:
        """How many things of `each` bytes `admit` lets pass together, with `beside` bytes once: at least one."""
        return max(1, (self.max_memory - self.held - beside) // each)

    def admit_picture(self, width: int, height: int, samples: int) -> None:
        """Raise TooLarge for a picture of `samples` values a pixel, counting the work to come."""
        if width * height > self.max_pixels:
            raise TooLarge(self.too_many(width * height, f"{width} x {height} pixels"))
        self.admit(width * height * samples * WORK_BYTES, f"a picture of {width} x {height} x {samples}")

    def too_many(self, pixels: int, what: str) -> str:
        """What to say of a picture whose header says that it has so many pixels."""
        return f"its header says {what}, at most {self.max_pixels:,} are read ({self._asked('pixels', str(pixels))})"

    def too_long(self) -> str:
        """What to say of a pipe that does not end."""
        return f"is longer than {self._called('memory')}, {size(self.max_memory)} (pass more, or a file)"

    def _called(self, what: str) -> str:
        return f"--max-{what}" if self.options else f"max_{what}"

    def _asked(self, what: str, value: str) -> str:
        return f"pass {'' if self.options else 'limits with '}{self._called(what)} {value}"

    def admit_fit(self, m: int, n: int, rank: int, held: int, working: int = 0, drawn: int = 0) -> None:
        """Raise TooLarge when factorizing an (m, n) matrix at `rank`, with `held` bytes beside it, needs too much.

        Counted: W with two copies of it; H as it was, is and is read with, and in float64 the sums that it came from,
        those of all blocks, and those of the block in flight with their product: measured 65 bytes an entry; and
        `working` bytes meanwhile. Or the factors and the `drawn` bytes of pictures of them, if that is more.
        """
        needs = max(fit_bytes(m, n, rank) + working, 4 * rank * (m + n) + drawn)
        self.admit(held + needs, f"rank {rank} for a matrix of {m:,} x {n:,}")

    def admit_rows(self, m: int, n: int, rank: int, coded: bool, wide: bool, drawn: int = 0) -> None:
        """Raise TooLarge when a picture of m rows of n values at `rank` needs too much: see `rows_bytes`."""
        self.admit(rows_bytes(m, n, rank, coded, wide, drawn), f"rank {rank} for a matrix of {m:,} x {n:,}")


def fit_bytes(m: int, n: int, rank: int) -> int:
    """Bytes of the factors of an (m, n) matrix and the work on them: see `admit_fit`."""
    return 4 * rank * (3 * m + 16 * n)


def rows_bytes(m: int, n: int, rank: int, coded: bool, wide: bool, drawn: int = 0) -> int:
    """Bytes of a picture of m rows of n values and the work on it: factorizing, coding the factors, or drawing.

    `wide`: they are of 8 bytes each; `drawn`: bytes of the sheets that are drawn then, of its parts or a comparison.
    """
    needs = [m * n * (WORK_BYTES + WIDE * wide) + fit_bytes(m, n, rank)]
    if coded:
        needs.append(m * n * BESIDE_CODING + rank * (m + n) * CODING_BYTES)
    if drawn:
        needs.append(m * n * BESIDE_DRAWING * (1 + wide) + 4 * rank * (m + n) * (1 + wide) + drawn)
    return max(needs)


def in_flight(m: int, n: int, rank: int, jobs: int) -> int:
    """Bytes that the work on an (m, n) matrix in blocks, by so many threads, takes beside the matrix and its factors.

    For each thread a block with its copies, for each but the first the sums that its H comes from; and once, with two
    copies, the Gram matrix that svd_floor comes from.
    """
    side = min(m, n) if min(m, n) <= 2048 else 0
    blocks = FLIGHT * min(jobs * max(4 * n, 2**22), 4 * m * n)
    return blocks + SUMS * rank * n * (min(jobs, m) - 1) + 3 * 8 * side**2


FLIGHT = 4  # times a block of V: as it is stored, in float32, its reconstruction, and what SSIM makes of both
WORK_BYTES = 26  # a sample of a picture: its decode, its float32 copy, the reconstruction, the panels of the pictures
WIDE = 8  # more where it is of 8 bytes
SUMS = 28  # an entry of H, by one thread more

CODING_BYTES = 176  # a value of the factors, while it is coded: 148 for the entropy coder, the rest to keep it
BESIDE_CODING = 14  # a sample of a picture meanwhile: itself, what is decoded, and their difference
BESIDE_DRAWING = 14  # and while sheets are drawn: itself, the reconstruction, their files, a part or the error, a tile

BEYOND_ALL = 10**24  # bytes: a header may speak of more, in hundreds of digits


def size(nbytes: int) -> str:
    """`nbytes` for people, in decimal units: 1,500,000 -> 1.5 MB."""
    value = float(min(nbytes, BEYOND_ALL))
    for unit in ("B", "KB", "MB", "GB", "TB", "PB"):
        if value < 999.95 or unit == "PB":
            break
        value /= 1000
    return f"{value:,.0f} {unit}" if unit == "B" else f"{value:,.1f} {unit}"


def ask(nbytes: int) -> str:
    """The smallest round `max_memory` that admits `nbytes`, if anything does."""
    nbytes = min(nbytes, BEYOND_ALL)
    return f"{-(-nbytes // 10**6)}MB" if nbytes < 10**9 else f"{-(-nbytes // 10**9)}GB"


def limits_of(max_memory: int | None, max_pixels: int | None = None) -> Limits:
    """Limits with what the command line says of memory and of the pixels of a picture, or with the default for None."""
    given = {"max_memory": max_memory, "max_pixels": max_pixels}
    return Limits(**{name: value for name, value in given.items() if value is not None}, options=True)
