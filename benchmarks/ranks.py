"""How often a planted rank is found, and what finding it costs beside one fit at the largest rank tried."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
from choices import HIGHEST
from measure import ONE_THREAD, ROOT, Figure, judged, run, work
from peers import environment

from nmfcompress import factorize
from nmfcompress.factor.ranks import choose_rank

sys.path.insert(0, str(ROOT / "tests"))
from planted import planted as matrix

KINDS = ("uniform", "sparse", "blocks")
SEEDS = int(os.environ.get("NMFC_SEEDS", "10"))
SIZES = ((300, 200, range(2, 13)), (600, 400, range(2, 21)))


def planted() -> Iterator[Figure]:
    """Ranks under Poisson noise of 20 dB, three kinds of factors, NMFC_SEEDS (10) seeds each; an hour."""
    for line in run(sys.executable, __file__, env=ONE_THREAD).stdout.splitlines():
        yield Figure(**json.loads(line))


def found() -> Iterator[Figure]:
    """The same in this process."""
    for m, n, ranks in SIZES:
        ratios: list[float] = []
        for kind in KINDS:
            wrong: list[str] = []
            for rank in ranks:
                for seed in range(SEEDS):
                    V = matrix(kind, rank, m, n, seed)
                    spent, answer = _cpu(lambda V=V: choose_rank(V))
                    if answer.recommended != rank:
                        wrong.append(f"{rank} as {answer.recommended}")
                    if seed == 0:
                        largest = answer.trials[-1].rank
                        ratios.append(spent / _cpu(lambda V=V, k=largest: factorize(V, k))[0])
            share = 100 * (1 - len(wrong) / (len(ranks) * SEEDS))
            note = f"{len(ranks) * SEEDS} cases" + (f"; {', '.join(wrong[:6])}" if wrong else "")
            what = f"{m} x {n}, {kind}: planted ranks {ranks[0]} to {ranks[-1]} found"
            yield judged(what, share, 95, 100, least=True, unit=" %", note=note)
        what = f"{m} x {n}: CPU time / one fit at the largest rank tried"
        yield judged(what, max(ratios), 8, 4, note=f"the largest; the median is {statistics.median(ratios):.1f}")


def rivals() -> Iterator[Figure]:
    """What cvanmf and nimfa choose beside us: 300 x 200, ranks 4, 8 and 12 of each kind; half an hour."""
    folder = work()
    for kind in KINDS:
        for rank in (4, 8, 12):
            np.save(folder / f"{kind}-{rank:02}.npy", matrix(kind, rank, 300, 200, 0))
    ours = {}
    for path in sorted(folder.glob("*.npy")):
        spent, answer = _cpu(lambda path=path: choose_rank(np.load(path), high=HIGHEST))
        ours[path.stem] = {"ranks": {"bi-cross-validation": answer.recommended}, "cpu": spent}
    yield from _told("nmfc rank", ours, ours)
    for name in ("cvanmf", "nimfa"):
        python = environment(name)
        if isinstance(python, str):
            yield Figure(f"{name}: not measured", "", note=python)
            continue
        done = run(python, ROOT / "benchmarks/choices.py", name, folder, env=ONE_THREAD)
        yield from _told(name, json.loads(done.stdout), ours)


def _told(name: str, theirs: dict[str, Any], ours: dict[str, Any]) -> Iterator[Figure]:
    """How often each measure is right, and the CPU beside ours."""
    for measure in next(iter(theirs.values()))["ranks"]:
        chosen = {case: one["ranks"][measure] for case, one in theirs.items()}
        right = sum(rank == int(case.split("-")[1]) for case, rank in chosen.items())
        note = ", ".join(f"{case}: {rank}" for case, rank in chosen.items())
        yield Figure(f"{name}, by {measure}: right", f"{right} of {len(chosen)}", note=note)
    ratio = sum(one["cpu"] for one in theirs.values()) / sum(one["cpu"] for one in ours.values())
    yield Figure(f"{name}: CPU time / ours", f"{ratio:.1f}")


def _cpu(call: Callable[[], Any]) -> tuple[float, Any]:
    began = time.process_time()
    result = call()
    return time.process_time() - began, result


PARTS: dict[str, Callable[[], Iterator[Figure]]] = {"planted": planted, "rivals": rivals}

if __name__ == "__main__":
    for one in found():
        print(json.dumps(asdict(one)), flush=True)
