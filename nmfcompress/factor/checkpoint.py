"""A factorization at rest between two sweeps: all that it takes to go on, packed as plain arrays and back.

A run that goes on from here ends with the bytes of one that was never stopped. So what is packed is exact (floats as
they are), and belongs to one V, one set of settings and one version of the program; anything else is refused by name.

    codes (k, m), H, stepped (k, n)         as the sweeps have them
    numerator, denominator                  of the sums, float64
    records (sweeps, 7)                     float64: the fields of SweepRecord in their order; no gradient, no
                                            objective as nan
    about                                   JSON text: format, version, fit, data, momentum, direct, reads, sums
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, cast

import numpy as np

from .. import __version__
from ..errors import InputError, NmfcError, OtherRun
from ..settings import Fit
from .blocks import LARGEST
from .crew import Crew
from .sums import Moments, Sums
from .sweeps import Momentum, State, SweepRecord

FORMAT = 2  # 1 was before there were penalties
FREE = ("max_sweeps", "tol", "jobs")  # fields of Fit that may be others when a run goes on
FIELDS = tuple(field.name for field in fields(SweepRecord))
ARRAYS = ("codes", "H", "stepped", "numerator", "denominator", "records")
SCALARS = ("loss", "squares", "slope", "pull", "penalty")  # of Sums; nan where not computed, which JSON has as null
OTHER = "it must be the run that was stopped, or a new one"


@dataclass(frozen=True)
class Data:
    """What V is, so that no other is taken for it.

    Parameters
    ----------
    shape : (int, int)
    dtype : str
        As it is stored: "uint8", "float32" ...
    moments : Moments
        With the checksum of all its values.
    mask : int or None
        A checksum too.
    """

    shape: tuple[int, int]
    dtype: str
    moments: Moments
    mask: int | None


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A factorization at rest.

    Parameters
    ----------
    fit : Fit
        Its settings; those in FREE may be others when it goes on.
    data : Data
    state : State
    codes : array, shape (k, m)
        Those of a running factorization are its own: to be packed and written, or copied, before it goes on.
    reads : int
        Of V, so far.
    """

    fit: Fit
    data: Data
    state: State
    codes: np.ndarray
    reads: int

    @property
    def sweeps(self) -> int:
        """How many are done."""
        return len(self.state.records)

    @property
    def seconds(self) -> float:
        """What they took."""
        return self.state.records[-1].seconds if self.sweeps else 0.0

    def check_fit(self, fit: Fit) -> None:
        """Raise OtherRun unless a run by `fit` can go on from here."""
        before, now = asdict(self.fit), asdict(fit)
        for name in before:
            if name not in FREE and before[name] != now[name]:
                raise OtherRun(f"is of a run with {name} {before[name]}, this one has {now[name]} ({OTHER})")
        least = self.sweeps + (fit.inner != 1)
        if fit.max_sweeps < least:
            most = f"iterations (max_sweeps) is {fit.max_sweeps:,}"
            raise OtherRun(f"has {self.sweeps:,} sweeps done, {most} (expected at least {least:,})")

    def check_data(self, data: Data) -> None:
        """Raise OtherRun unless it is of this data, saying what differs."""
        (m, n), (p, q) = self.data.shape, data.shape
        if (m, n) != (p, q):
            raise OtherRun(f"is of other data: {m:,} rows of {n:,} values, here are {p:,} of {q:,} ({OTHER})")
        if self.data.dtype != data.dtype:
            raise OtherRun(f"is of other data: type {self.data.dtype}, here it is {data.dtype} ({OTHER})")
        if self.data.mask != data.mask:
            raise OtherRun(f"is of a run with another mask, or one of the two has none ({OTHER})")
        if self.data.moments != data.moments:
            raise OtherRun(f"is of other data: shape and type are the same, the pixels are not ({OTHER})")


Take = Callable[[], Checkpoint]
OnCheckpoint = Callable[[Take, bool], None]


def data_of(V: Any, crew: Crew, moments: Moments, mask: np.ndarray | None) -> Data:
    """What V is, of which `crew` took the moments."""
    m, n = crew.shape
    mark = None
    if mask is not None:
        mark, step = 0, max(1, 2**22 // n)
        for first in range(0, m, step):  # a mask may be a view that takes no memory of its own
            mark = zlib.crc32(np.packbits(mask[first : first + step]).data, mark)
    dtype = np.dtype(getattr(V, "dtype", crew.dtype)).newbyteorder("=")
    return Data((int(m), int(n)), dtype.name, moments, mark)


def pack(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    """A checkpoint as arrays without objects, such as `numpy.savez` takes; those of the factors are not copied."""
    state = checkpoint.state
    fit = asdict(checkpoint.fit)
    del fit["jobs"]
    about = {
        "format": FORMAT,
        "version": __version__,
        "fit": fit,
        "data": asdict(checkpoint.data),
        "momentum": asdict(state.momentum),
        "direct": state.direct,
        "reads": checkpoint.reads,
        "sums": {name: _known(getattr(state.sums, name)) for name in SCALARS},
    }
    rows = [[math.nan if v is None else v for v in asdict(record).values()] for record in state.records]
    return {
        "about": np.array(json.dumps(about, allow_nan=False, default=lambda value: value.item())),
        "codes": checkpoint.codes,
        "H": state.H,
        "stepped": state.stepped,
        "numerator": state.sums.numerator,
        "denominator": state.sums.denominator,
        "records": np.array(rows, np.float64).reshape(-1, len(FIELDS)),
    }


def unpack(arrays: Mapping[str, np.ndarray]) -> Checkpoint:
    """The checkpoint that `pack` made these arrays of, all of which are doubted.

    Raises
    ------
    InputError
        They are no checkpoint, or one of another version, or a broken one.
    """
    about = _about(arrays)
    try:
        known = {field.name for field in fields(Fit)} - {"jobs"}
        if about["fit"].keys() != known:
            raise ValueError("its settings are not those of a run")
        fit = Fit(**about["fit"])
        data = _data(about["data"])
        state = _state(arrays, about, fit, data)
        reads = _whole(about["reads"])
        if reads < max([record.reads for record in state.records], default=0):
            raise ValueError("its reads do not add up")
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(f"is a broken checkpoint ({type(error).__name__} in what it says about itself)") from None
    except (ValueError, NmfcError) as error:
        raise InputError(f"is a broken checkpoint: {' '.join(str(error).split())[:120]}") from None
    return Checkpoint(fit, data, state, arrays["codes"], reads)


def _about(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """What it says about itself, if it is one of this version at all."""
    if not {"about", *ARRAYS} <= arrays.keys():
        raise InputError("is no checkpoint of nmfc (nmfc basis --checkpoint FILE writes one)")
    try:
        about = json.loads(str(arrays["about"]))
        version, written_by = about["format"], str(about["version"])[:20]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError("is no checkpoint of nmfc (what it says about itself cannot be read)") from None
    if version != FORMAT:
        raise InputError(f"is a checkpoint of format {str(version)[:20]}, by nmfc {written_by} (this is {FORMAT})")
    if written_by != __version__:
        raise InputError(
            f"is a checkpoint by nmfc {written_by}, this is {__version__} (whose sweeps may round in another way; "
            f"finish it with nmfc {written_by})"
        )
    return cast(dict[str, Any], about)


def _data(said: dict[str, Any]) -> Data:
    m, n = (_whole(side, 1) for side in said["shape"])
    moments, mask = said["moments"], said["mask"]
    found = Moments(_real(moments["mean"]), _real(moments["squares"]), _whole(moments["crc"]))
    return Data((m, n), np.dtype(str(said["dtype"])).name, found, None if mask is None else _whole(mask))


def _state(arrays: Mapping[str, np.ndarray], about: dict[str, Any], fit: Fit, data: Data) -> State:
    (m, n), k = data.shape, fit.rank
    dtype = arrays["H"].dtype
    if dtype not in (np.float32, np.float64):
        raise ValueError(f"H is of type {dtype.name}")
    plain = data.mask is None and fit.divergence == "frobenius"
    summed = k if plain else 1 if data.mask is None and fit.divergence == "kl" else n
    for name, shape, kind in (
        ("codes", (k, m), dtype), ("H", (k, n), dtype), ("stepped", (k, n), dtype),
        ("numerator", (k, n), np.float64), ("denominator", (k, summed), np.float64),
    ):  # fmt: skip
        _check(name, arrays[name], shape, np.dtype(kind), 0 if name == "codes" else None)
    scalars = {name: math.nan if (v := about["sums"][name]) is None else _real(v) for name in SCALARS}
    momentum = Momentum(_real(about["momentum"]["step"], 1), _real(about["momentum"]["most"], 1))
    if not isinstance(about["direct"], bool):
        raise ValueError("direct is neither true nor false")
    sums = Sums(arrays["numerator"], arrays["denominator"], **scalars)
    return State(
        arrays["H"],
        arrays["stepped"],
        sums,
        momentum,
        about["direct"],
        _records(arrays["records"], bool(fit.penalties)),
    )


def _check(name: str, array: np.ndarray, shape: tuple[int, ...], dtype: np.dtype, axis: int | None) -> None:
    """Raise unless these are finite values >= 0 of this shape and type; `axis` 0 looks at a row at a time."""
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(f"{name} is {array.shape} {array.dtype.name}, expected {shape} {dtype.name}")
    most = LARGEST**2 * max(shape)  # of the sums; what passes for a factor is far below
    for part in array if axis == 0 else (array,):
        if not (part.min() >= 0 and part.max() <= most):
            raise ValueError(f"{name} has negative, NaN or infinite values")


def _records(rows: np.ndarray, penalized: bool) -> tuple[SweepRecord, ...]:
    if rows.ndim != 2 or rows.shape[1] != len(FIELDS) or rows.dtype != np.float64:
        raise ValueError(f"records is {rows.shape} {rows.dtype.name}, expected (sweeps, {len(FIELDS)}) float64")
    records = []
    for place, row in enumerate(rows.tolist(), start=1):
        sweep, loss, relative, seconds, reads, gradient, objective = row
        if sweep != place or not all(0 <= value < math.inf for value in (loss, relative, seconds, reads)):
            raise ValueError(f"record {place} is none")
        if math.isnan(objective) == penalized:
            raise ValueError(f"record {place} has the objective {objective}")
        for name, value in (("gradient", gradient), ("objective", objective)):
            if not (math.isnan(value) or 0 <= value < math.inf):
                raise ValueError(f"record {place} has the {name} {value}")
        records.append(SweepRecord(place, loss, relative, seconds, int(reads), _known(gradient), _known(objective)))
    return tuple(records)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _real(value: object, most: float = math.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most or value == math.inf:
        raise ValueError(f"{value!r} is no number from 0")
    return float(value)


def _whole(value: object, least: int = 0) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**63:
        raise ValueError(f"{value!r} is no whole number from {least}")
    return value
