"""Which rank pictures have: for `nmfc rank`, and for `nmfc basis --rank auto`."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from ..factor.nmf import cores
from ..factor.ranks import Ranks, Trial, choose_rank, trial_bytes
from ..images.archives import Stack
from ..images.arrange import arrange_rows, arrange_stack
from ..images.limits import Limits, in_flight
from ..images.stored import held
from ..recipes import Lifted, psnr_of, size_of
from ..report import ranks as said
from ..settings import Fit, Ranking
from .console import Console


def try_ranks(
    name: str, stack: Stack, ranking: Ranking, fit: Fit, limits: Limits, console: Console, from_zero: bool = True
) -> tuple[Ranks, list[said.RankRecord]]:
    """Ranks of a collection, or of the one picture that there is, and a record of each.

    `from_zero`: of values as they were in the file, where their minimum was taken away (`taken_away`).
    """
    V = arrange_stack(stack.images) if len(stack.images) > 1 else arrange_rows(np.asarray(stack.images[0]))
    levels = stack.levels
    lift = taken_away(stack) / (levels.high - levels.low or 1) if from_zero else 0.0
    if lift:
        V = Lifted(V, lift)
    (m, n), high = V.shape, min(ranking.high, *V.shape)
    needs = held(stack.images) + in_flight(m, n, high, fit.jobs or cores()) + trial_bytes((m, n), high)
    limits.admit_fit(m, n, high, needs)
    records: dict[int, said.RankRecord] = {}
    began = time.monotonic()

    def told(trial: Trial) -> None:
        records[trial.rank] = said.RankRecord.of(trial, psnr_of(V, trial.fit, lift), size_of(V, trial.fit))
        console.advance(f"rank {trial.rank}")

    def enough() -> bool:
        return ranking.seconds is not None and time.monotonic() - began > ranking.seconds

    console.bar(name, high.bit_length() + 6, "rank")
    ranks = choose_rank(V, ranking.low, ranking.high, fit=fit, on_trial=told, enough=enough)
    ready = [
        replace(
            records[trial.rank], held_out_parts=trial.held_out_parts, stability=trial.stability,
            recommended=trial.rank == ranks.recommended,
        )
        for trial in ranks.trials
    ]  # fmt: skip
    return ranks, ready


def taken_away(stack: Stack) -> float:
    """The minimum, where values are less it; what is everywhere may take a part of its own."""
    return stack.levels.low if stack.levels.own else 0.0


def remarks_on(ranks: Ranks, stack: Stack) -> tuple[str, ...]:
    """What to say of a rank that was tried not `from_zero`."""
    low = taken_away(stack)
    less = f"the rank is that of values less their minimum, {low:g}; nmfc rank takes them as they are"
    return (f"rank {ranks.recommended}: {ranks.reason}", *([less] if low else []))
