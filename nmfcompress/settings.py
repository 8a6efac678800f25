"""What options say, as frozen values; every range is checked here (by ranges.py) and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING

from .ranges import both, penalty_text, within
from .ranges import check as check
from .ranges import count as count

if TYPE_CHECKING:
    from .showing import Report

SOLVERS = ("mu", "hals")
DIVERGENCES = ("frobenius", "kl", "is")
INITS = ("auto", "sample", "random", "nndsvda")
ARRANGEMENTS = ("rows", "patches", "stack", "bands")
ARCHIVE_FILES = 1000  # more pictures than this ask for --all
CODECS = ("nmfc", "svd", "jpeg", "webp", "avif", "jp2")  # families of codecs that are compared


@dataclass(frozen=True)
class Fit:
    """How V is factorized.

    Parameters
    ----------
    rank : int
        Number of parts: 3 is a blur of a photo, 10 the strokes of digits, 50 a good likeness of faces.
    max_sweeps : int
        Most sweeps; 50 shows the idea, 200 is enough for most data.
    tol : float
        Stop when the loss fell by less than this fraction over 10 sweeps; 1e-3 is hasty, 1e-4 typical,
        1e-6 patient, 0 never stops early.
    solver : {"mu", "hals"}
        Multiplicative updates, or coordinate descent with momentum (frobenius without a mask), which goes farther.
    inner : int or None
        Repeats of the cheap inner step; 1 is the plain rule of Lee and Seung, None as many as pay.
    divergence : {"frobenius", "kl", "is"}
    init : {"auto", "sample", "random", "nndsvda"}
        auto is "sample", a basis learned from a few rows, where V has many; else (and with inner=1) "random".
    seed : int
        Of the random start, >= 0.
    restarts : int
        Independent starts, of which the best is kept.
    jobs : int or None
        Threads; None is all cores that this process may use. The result does not depend on it.
    l1, l2 : (float, float)
        What W and H cost beside the divergence, by their sums and by their squares; see `factorize`. Of pixels in
        0..1 l1 3e-3 is typical and 1e-2 much, l2 1e-2 and 1e-1.
    """

    rank: int
    max_sweeps: int = 200
    tol: float = 1e-4
    solver: str = "mu"
    inner: int | None = None
    divergence: str = "frobenius"
    init: str = "auto"
    seed: int = 0
    restarts: int = 1
    jobs: int | None = None
    l1: tuple[float, float] = (0.0, 0.0)
    l2: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        for name in ("l1", "l2"):  # JSON has lists
            object.__setattr__(self, name, both(getattr(self, name), name))
        check(count(self.rank), "rank", self.rank, "a whole number from 1")
        check(count(self.max_sweeps), "iterations (max_sweeps)", self.max_sweeps, "a whole number from 1")
        check(isinstance(self.tol, Real) and 0 <= self.tol < 1, "tol", self.tol, "0 <= tol < 1, typically 1e-4")
        check(self.solver in SOLVERS, "solver", self.solver, "one of " + ", ".join(SOLVERS))
        check(
            self.solver == "mu" or self.divergence == "frobenius",
            "solver",
            f"{self.solver} with {self.divergence}",
            "mu: hals is for frobenius",
        )
        check(self.divergence in DIVERGENCES, "divergence", self.divergence, "one of " + ", ".join(DIVERGENCES))
        check(self.init in INITS, "init", self.init, "one of " + ", ".join(INITS))
        check(self.inner is None or count(self.inner), "inner", self.inner, "a whole number from 1")
        check(count(self.seed, 0), "seed", self.seed, "a whole number from 0")
        check(count(self.restarts), "restarts", self.restarts, "a whole number from 1")
        check(self.jobs is None or count(self.jobs), "jobs", self.jobs, "a whole number from 1")

    @property
    def penalties(self) -> dict[str, str]:
        """Those that there are, by their names."""
        return {name: penalty_text(pair) for name, pair in (("l1", self.l1), ("l2", self.l2)) if any(pair)}


@dataclass(frozen=True)
class Course:
    """What a fit goes on from, if not from a start of its own, and what it leaves to go on from.

    Parameters
    ----------
    basis_from : str or None
        A factors.npz whose basis is taken as it is: only codes are sought.
    checkpoint : str or None
        The file that is written every `checkpoint_every` seconds; None is that of `resume`.
    resume : str or None
        A checkpoint.
    given : frozenset of str
        The fields of Fit that were asked for; the others are as they are in the file.
    auto : bool
        The rank is found first.
    """

    basis_from: str | None = None
    checkpoint: str | None = None
    checkpoint_every: float = 60.0
    resume: str | None = None
    given: frozenset[str] = frozenset()
    auto: bool = False

    def __post_init__(self) -> None:
        every, file = self.checkpoint_every, self.basis_from or self.resume
        check(0 <= every < float("inf"), "--checkpoint-every", every, "seconds from 0")
        named = {"--basis-from": self.basis_from, "--checkpoint": self.checkpoint, "--resume": self.resume}
        for name, value in named.items():
            check(value not in ("-", ""), name, value or "empty", "the name of a file")
            alone = value is None or self.basis_from is None or name == "--basis-from"
            check(alone, name, "given with --basis-from", "one of the two")
        kept = self.checkpoint or self.resume
        check(kept is not None or every == Course.checkpoint_every, "--checkpoint-every", every, "a --checkpoint, too")
        check(file is not None or "rank" in self.given, "-k/--rank", "missing", "the number of parts, such as -k 10")
        check(not self.auto or file is None, "-k/--rank", "auto with a file to begin with", "a number, or no file")
        idle = [option for name, option in IDLE.items() if name in self.given and self.basis_from is not None]
        check(not idle, ", ".join(idle), "given with --basis-from", "none of it: codes are solved to tolerance")


IDLE = {  # fields of Fit that mean nothing where the basis is given: their options
    "max_sweeps": "--iterations",
    "tol": "--tol",
    "solver": "--solver",
    "inner": "--inner",
    "init": "--init",
    "seed": "--seed",
    "restarts": "--restarts",
}


@dataclass(frozen=True)
class Coding:
    """How pictures become a .nmfc file.

    Parameters
    ----------
    rank : int or None
        Parts, or with a target the most of them.
    step : float or None
        How coarsely, in grey levels of 255: 2 is fine, 8 typical, 30 a blur.
    min_psnr : float or None
        dB that the decoded pictures must reach: 20 a blur, 30 good, 40 hard to tell apart.
    target_size : int or None
        Bytes of the file at most.
    arrangement : {"rows", "patches", "stack", "bands"} or None
        How pixels become V; None is chosen from the pictures.
    seed : int
    jobs : int or None
    """

    rank: int | None = None
    step: float | None = None
    min_psnr: float | None = None
    target_size: int | None = None
    arrangement: str | None = None
    seed: int = 0
    jobs: int | None = None

    def __post_init__(self) -> None:
        check(self.rank is None or count(self.rank), "rank", self.rank, "a whole number from 1")
        check(self.step is None or within(self.step, 0.01, 255), "step", self.step, "0.01 to 255 grey levels")
        check(self.min_psnr is None or within(self.min_psnr, 1, 200), "min_psnr", self.min_psnr, "1 to 200 dB")
        check(self.target_size is None or count(self.target_size), "target_size", self.target_size, "bytes from 1")
        both = self.min_psnr is not None and self.target_size is not None
        check(not both, "target_size", "given with min_psnr", "one of the two")
        check(not (self.targets and self.step is not None), "step", "given with a target", "one of the two")
        known = self.arrangement is None or self.arrangement in ARRANGEMENTS
        check(known, "arrangement", self.arrangement, "one of " + ", ".join(ARRANGEMENTS))
        check(count(self.seed, 0), "seed", self.seed, "a whole number from 0")
        check(self.jobs is None or count(self.jobs), "jobs", self.jobs, "a whole number from 1")

    @property
    def targets(self) -> bool:
        """Whether a size or a quality is to be met."""
        return self.min_psnr is not None or self.target_size is not None


@dataclass(frozen=True)
class Packing:
    """What goes into one .nmfc file beside how: the file whose parts are taken, if any."""

    coding: Coding
    basis_from: str | None = None


@dataclass(frozen=True)
class Decoding:
    """What of a .nmfc file is decoded: pictures at `index` (empty: all), of the first `rank` parts (None: all)."""

    index: tuple[range, ...] = ()
    rank: int | None = None
    basis_from: str | None = None
    max_memory: int | None = None

    def __post_init__(self) -> None:
        check(self.rank is None or count(self.rank), "rank", self.rank, "a whole number from 1")
        check(self.basis_from not in ("-", ""), "--basis-from", self.basis_from or "empty", "the name of a file")


@dataclass(frozen=True)
class Selection:
    """Which pictures of a collection are taken; every condition given must hold.

    Parameters
    ----------
    split : {"train", "test", "all"} or None
        None is train where the archive has a split, else everything.
    labels : tuple of str
        Labels to keep, as text; empty keeps all.
    index : tuple of range
        Indices to keep, from 0; empty keeps all.
    one_per_label : bool
        The first picture of each label, sorted by label.
    limit : int or None
        At most so many, taken from the front after all else.
    """

    split: str | None = None
    labels: tuple[str, ...] = ()
    index: tuple[range, ...] = ()
    one_per_label: bool = False
    limit: int | None = None

    def __post_init__(self) -> None:
        check(self.split in (None, "train", "test", "all"), "--split", self.split, "train, test or all")
        check(self.limit is None or self.limit >= 1, "--limit", self.limit, "a whole number from 1")


@dataclass(frozen=True)
class Reading:
    """What is read, and how.

    Parameters
    ----------
    recursive : bool
        Folders are walked.
    files_from : str or None
        A file (or - for stdin) with one more input a line, or ended by NUL bytes with `nul`.
    key : str or None
        The array of an archive.
    axis : int or None
        The axis of an array that counts its images.
    order : {"C", "F"}
        F: the images of the array were flattened column by column.
    frame : int or None
        The frame of a several-frame file, from 1; None is the first, 0 stands for all of them.
    gray : bool
        Colour is made one channel first.
    resize : tuple of int or None
        Width and height that every picture of a collection is brought to.
    mask : str or None
        An image or array in which 0 marks missing pixels.
    max_memory, max_pixels : int or None
        Bytes, by default half of what the machine has free; and pixels of one picture.
    everything : bool
        Also more than ARCHIVE_FILES pictures.
    """

    recursive: bool = False
    files_from: str | None = None
    nul: bool = False
    key: str | None = None
    axis: int | None = None
    order: str = "C"
    frame: int | None = None
    gray: bool = False
    resize: tuple[int, int] | None = None
    mask: str | None = None
    max_memory: int | None = None
    max_pixels: int | None = None
    everything: bool = False

    @property
    def beside(self) -> tuple[str | None, ...]:
        """Files that are read, and no inputs."""
        return self.files_from, self.mask


@dataclass(frozen=True)
class Writing:
    """What is written, and where.

    Parameters
    ----------
    folder : str
        For all outputs.
    file : str or None
        The one output, - for stdout; it replaces the folder.
    kind : str or None
        The kind of `file` where its ending does not tell.
    what : tuple of str
        The outputs wanted.
    overwrite, skip_existing : bool
        What happens to files that are there already; neither: they are an error.
    plot : bool or None
        The loss curves; None is for archives, when the extra is installed.
    show : int
        Images in the picture of originals and reconstructions.
    report : Report or None
        The page of the run, if it is wanted.
    """

    folder: str = "nmfc-out"
    file: str | None = None
    kind: str | None = None
    what: tuple[str, ...] = ()
    overwrite: bool = False
    skip_existing: bool = False
    plot: bool | None = None
    show: int = 10
    report: Report | None = None

    def __post_init__(self) -> None:
        check(not (self.overwrite and self.skip_existing), "--skip-existing", "given with -f", "one of the two")
        check(self.show >= 1, "--show", self.show, "a whole number from 1")


@dataclass(frozen=True)
class Comparing:
    """What is compared.

    Parameters
    ----------
    codecs : tuple of str
        Families of codecs, of `CODECS`.
    rates : int
        Qualities of each codec: 2 make a line, 6 a curve.
    size : int or None
        Bytes of the pictures that are put side by side; None is in the middle of what the codecs reach.
    """

    codecs: tuple[str, ...] = CODECS
    rates: int = 6
    size: int | None = None

    def __post_init__(self) -> None:
        check(count(self.rates) and self.rates <= 50, "--rates", self.rates, "a whole number from 1 to 50")


@dataclass(frozen=True)
class Talk:
    """What is said: nothing but errors (`quiet`), what was assumed, JSON Lines; whether an error ends the run."""

    quiet: bool = False
    verbose: bool = False
    json: bool = False
    progress: str = "auto"
    debug: bool = False
    fail_fast: bool = False


@dataclass(frozen=True)
class Ranking:
    """Which ranks are tried, and for how long.

    Parameters
    ----------
    low, high : int
        The smallest and the largest; both are held to what the pictures have room for.
    seconds : float or None
        After so many no further rank is begun; None tries all.
    """

    low: int = 1
    high: int = 64
    seconds: float | None = None

    def __post_init__(self) -> None:
        right = count(self.low) and count(self.high) and self.low <= self.high
        check(right, "--ranks", f"{self.low}-{self.high}", "a range from 1, such as 1-64")
        check(self.seconds is None or 0 < self.seconds < float("inf"), "--time", self.seconds, "seconds above 0")
