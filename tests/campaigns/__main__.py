"""`make torture` and `make fuzz`: the long campaigns. Exit code 1 when one of them found something."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .commands import Told
    from .fuzz import Found


def main() -> int:
    if sys.argv[1:2] == ["atheris"]:
        from .guided import main as guided

        guided(sys.argv[2], sys.argv[3:])
        return 0
    words = parser().parse_args()
    answer: int = words.run(words)
    return answer


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="campaigns", description=__doc__)
    commands = top.add_subparsers(required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], about: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=about, description=about)
        made.set_defaults(run=run)
        return made

    torture = command("torture", tortured, "Kill real nmfc processes, and fill the disks that they write to.")
    torture.add_argument("--kills", type=int, default=200, help="processes that are killed (%(default)s)")
    torture.add_argument("--sizes", type=int, default=50, help="sizes of each kind of full disk (%(default)s)")
    torture.add_argument("--seed", type=int, default=0)
    fuzz = command("fuzz", fuzzed, "Mutations of what comes in from outside, through each of our doors.")
    fuzz.add_argument("--mutations", type=int, default=100_000, help="seeded ones of each door (%(default)s)")
    fuzz.add_argument("--seconds", type=int, default=60, help="of atheris for each door, 0 for none (%(default)s)")
    fuzz.add_argument("--door", action="append", help="container, npz, npy or idx: only these (all)")
    fuzz.add_argument("--seed", type=int, default=0)
    fuzz.add_argument("--keep", help="a folder for what is found, with the corpora (a temporary one)")
    piece = command("piece", piece_of, "A part of fuzz, in this process.")
    for name, kind in (("door", str), ("first", int), ("count", int), ("seed", int), ("keep", str)):
        piece.add_argument(name, type=kind)
    return top


def tortured(words: argparse.Namespace) -> int:
    from . import commands, disks, kills

    began, found = time.monotonic(), []
    with tempfile.TemporaryDirectory(prefix="nmfc-torture-") as folder:
        home = Path(folder)
        some = commands.jobs(home)
        for campaign, count in ((kills.campaign, words.kills), (disks.campaign, words.sizes)):
            told = campaign(home, some, count, words.seed)
            found += shown(told)
    return report(found, began)


def fuzzed(words: argparse.Namespace) -> int:
    from . import doors, fuzz

    began, found = time.monotonic(), []
    keep = words.keep or tempfile.mkdtemp(prefix="nmfc-fuzz-")
    Path(keep).mkdir(parents=True, exist_ok=True)
    chosen = words.door or list(doors.READ)
    for door in chosen:
        told = fuzz.in_pieces(door, words.mutations, words.seed, keep)
        found += shown(told)
    guided = words.seconds > 0 and find_spec("atheris") is not None
    if words.seconds > 0 and not guided:
        print("atheris cannot be had here (extra [fuzz]): only our own seeded mutations were tried")
    for door in chosen if guided else ():
        told = fuzz.guided(door, words.seconds, words.seed, keep)
        found += shown(told)
    if not found and not words.keep:
        import shutil

        shutil.rmtree(keep)
    elif found:
        print(f"what was found is in {keep}")
    return report(found, began)


def piece_of(words: argparse.Namespace) -> int:
    from .fuzz import piece

    piece(words.door, words.first, words.count, words.seed, words.keep)
    return 0


def shown(told: Told | Found) -> tuple[str, ...]:
    """Print what a campaign has to say, at once; its findings."""
    print(told, *(f"FOUND {finding}" for finding in told.findings), sep="\n", flush=True)
    return told.findings


def report(found: list[str], began: float) -> int:
    print(f"{len(found)} findings in {time.monotonic() - began:.0f} s")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
