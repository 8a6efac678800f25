"""Words of options -> values, or one line about what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable

from ..ranges import both, check


def parse_index(text: str) -> tuple[range, ...]:
    """'0,5,10-20' -> ranges, ends included."""
    return tuple(_range(part.strip(), text) for part in text.split(","))


def _range(part: str, text: str) -> range:
    first, dash, last = part.partition("-")
    right = _is_count(first) and (not dash or (_is_count(last) and int(last) >= int(first)))
    check(right, "--index", text, "numbers from 0 and ranges, such as 0,5,10-20")
    return range(int(first), int(last if dash else first) + 1)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def parse_bytes(text: str, name: str = "--max-memory") -> int:
    """'20KB', '1.5GB', '512MiB', '4096' -> bytes; KB is 1,000 and KiB 1,024."""
    units = {"": 1, "b": 1}
    for power, letter in enumerate("kmgt", start=1):
        units |= {f"{letter}b": 1000**power, letter: 1000**power, f"{letter}ib": 1024**power}
    digits = text.strip().rstrip("BbIiKkMmGgTt").strip()
    unit = text.strip()[len(digits) :].strip().lower()
    try:
        value = float(digits) * units[unit]
        right = 1 <= value < 2**62
    except (KeyError, ValueError):
        right = False
    check(right, name, text, "bytes such as 500MB, 2GB or 512MiB")
    return int(value)


def parse_size(text: str) -> tuple[int, int]:
    """'64x48' -> (64, 48), width and height in pixels."""
    width, x, height = text.lower().partition("x")
    right = bool(x) and _is_count(width) and _is_count(height) and 0 < int(width) < 65536 and 0 < int(height) < 65536
    check(right, "--resize", text, "WIDTHxHEIGHT, such as 64x64")
    return int(width), int(height)


def parse_penalty(text: str, name: str) -> tuple[float, float]:
    """'0.003' -> (0.003, 0.003), on W and on H; '0.01,0.003' -> (0.01, 0.003)."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    return both(values[0] if len(values) == 1 else values, name, text)


def parse_choice(text: str, name: str, known: Iterable[str]) -> tuple[str, ...]:
    """'image,csv' -> ('image', 'csv'), each of them among `known`."""
    known = tuple(known)
    parts = tuple(part.strip() for part in text.split(","))
    check(all(part in known for part in parts), name, text, "a list of " + ",".join(known))
    return parts


def parse_range(text: str, name: str) -> tuple[int, int]:
    """'4-128' -> (4, 128); '7' -> (7, 7)."""
    first, dash, last = text.partition("-")
    check(_is_count(first) and (not dash or _is_count(last)), name, text, "a range from 1, such as 1-64")
    return int(first), int(last if dash else first)
