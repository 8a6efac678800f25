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

from measure import ONE_THREAD, ROOT, Figure, judged, run

sys.path.insert(0, str(ROOT / "tests"))
SEEDS = int(os.environ.get("NMFC_SEEDS", "10"))
SIZES = ((300, 200, range(2, 13)), (600, 400, range(2, 21)))


def planted() -> Iterator[Figure]:
    """Ranks under Poisson noise of 20 dB, three kinds of factors, NMFC_SEEDS (10) seeds each; an hour."""
    for line in run(sys.executable, __file__, env=ONE_THREAD).stdout.splitlines():
        yield Figure(**json.loads(line))


def found() -> Iterator[Figure]:
    """The same in this process."""
    from planted import planted as matrix

    from nmfcompress import factorize
    from nmfcompress.factor.ranks import choose_rank

    for m, n, ranks in SIZES:
        ratios: list[float] = []
        for kind in ("uniform", "sparse", "blocks"):
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


def _cpu(call: Callable[[], Any]) -> tuple[float, Any]:
    began = time.process_time()
    result = call()
    return time.process_time() - began, result


PARTS: dict[str, Callable[[], Iterator[Figure]]] = {"planted": planted}

if __name__ == "__main__":
    for one in found():
        print(json.dumps(asdict(one)), flush=True)
