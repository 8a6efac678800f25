"""`make bench`: losses, times and memory, beside references taken in the same run.

    python benchmarks/main.py [PART or GROUP ...]        default: command core

    command    the real command: digits basis startup picture
    core       factorize() against scikit-learn and the machine: mu hals restarts kl sweep threads memory
    peers      torchnmf nimfa, which it installs in benchmarks/.peers from the package index; 10 minutes
    rate       the compressed file, on real data only: collections crossing bands photos rows million; half an hour
    targets    sizes qualities: how nearly each is met, over collections of several kinds; a quarter of an hour
    batch      many pictures in one run: files (100,000, or NMFC_FILES of them) jobs; an hour
    ranks      planted: ranks that are known, NMFC_SEEDS (10) times each; rivals: cvanmf's and nimfa's choice; an hour
    large      growth bound: sets of 5 and 8 GB, made in the temporary folder (16 GB free wanted); 10 minutes

Every result is verified (the loss recomputed in float64 from W and H) before its time is reported. What is timed runs
in a process of its own with BLAS on one thread, ours and theirs in turn, and is CPU time of the whole process unless
wall time is said; ratios are medians over pairs. What each side is given is said in tasks.py. Memory is unshared
memory (RssAnon), sampled while a process runs. With NMFC_DATA set the figures are those of MNIST and Kodak, without it
those of samples/, of which `must` and `aim` of the issue are not asked. The exit status is 1 when a `must` is missed.
"""

from __future__ import annotations

import os
import sys

import batch
import command
import core
import large
import peers
import ranks
import rate
import targets
from measure import DATA, ONE_THREAD, machine

GROUPS = {
    "command": command.PARTS,
    "core": core.PARTS,
    "peers": peers.PARTS,
    "batch": batch.PARTS,
    "large": large.PARTS,
    "rate": rate.PARTS,
    "targets": targets.PARTS,
    "ranks": ranks.PARTS,
}
PARTS = {name: part for group in GROUPS.values() for name, part in group.items()}


def main(words: list[str]) -> int:
    """Print the table of the parts that are asked for."""
    if {"-h", "--help"} & set(words):
        print(__doc__)
        return 0
    if unknown := [word for word in words if word not in GROUPS and word not in PARTS]:
        print(f"no part {unknown[0]} (there are {', '.join([*GROUPS, *PARTS])})", file=sys.stderr)
        return 2
    print(f"machine: {machine()}\ndata: {DATA or 'samples/ (NMFC_DATA is not set)'}\n")
    print(f"{'what':<66} {'measured':>16}  {'must':<18} {'aim':<12} {'met':<4} from")
    missed = 0
    for name in [each for word in words or ["command", "core"] for each in GROUPS.get(word, [word])]:
        for one in PARTS[name]():
            line = f"{one.what:<66} {one.value:>16}  {one.must:<18} {one.aim:<12} {one.met:<4} {one.note}"
            print(line.rstrip(), flush=True)
            missed += one.met == "NO"
    return int(missed > 0)


if __name__ == "__main__":
    if any(os.environ.get(name) != count for name, count in ONE_THREAD.items()):  # as the command has it: other bits
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | ONE_THREAD)  # noqa: S606
    sys.exit(main(sys.argv[1:]))
