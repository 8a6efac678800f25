"""What a value may be: the checks that settings are made of."""

from __future__ import annotations

from numbers import Integral, Real

from .errors import UsageError


def check(right: bool, name: str, value: object, expected: str) -> None:
    """Raise UsageError "name is value (expected ...)" unless `right`."""
    if not right:
        raise UsageError(f"{name} is {value} (expected {expected})")


def count(value: object, least: int = 1) -> bool:
    """Whether `value` is a whole number from `least`."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


Penalty = float | tuple[float, float]  # of both factors, or of W and of H
COSTLY = 1e15  # no penalty is above it


def both(value: object, name: str, said: str | None = None) -> tuple[float, float]:
    """A penalty on W and one on H, of two numbers or of one for both; `said`: as it was given."""
    pair = tuple(value) if isinstance(value, tuple | list) else (value, value)
    right = len(pair) == 2 and all(within(one, 0, COSTLY) for one in pair)
    check(
        right,
        name,
        value if said is None else repr(said)[1:-1] or "empty",
        "a number from 0 for both factors, such as 0.003, or one for W and one for H",
    )
    w, h = pair
    return float(w), float(h)


def penalty_text(pair: tuple[float, float]) -> str:
    """As it is written on the command line."""
    return f"{pair[0]:g}" if pair[0] == pair[1] else f"{pair[0]:g},{pair[1]:g}"


def within(value: object, low: float, high: float) -> bool:
    """Whether `value` is a number from `low` to `high`."""
    return isinstance(value, Real) and not isinstance(value, bool) and low <= float(value) <= high
