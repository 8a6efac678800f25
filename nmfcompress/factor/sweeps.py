"""The sweeps: H from the sums of the read before, then one read of V; until the loss has settled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from ..settings import Fit
from .crew import Crew, Order
from .solvers import SOLVERS
from .sums import Codes, Losses, Objective, Sums

ROUNDING = 10  # a relative_loss below so many units of rounding is noise: nothing is left to gain
WINDOW = 10  # sweeps over which the fall of the loss is compared with tol


@dataclass(frozen=True)
class SweepRecord:
    """One sweep.

    Parameters
    ----------
    sweep : int
        From 1.
    loss, relative_loss : float
        After it.
    seconds, reads : float, int
        Since the start: wall time, and how often all of V was read (init "sample" reads an eighth of it at most,
        which is not counted).
    gradient : float or None
        How far from a stationary point, frobenius without a mask: the projected gradient relative to the product it
        is the difference to, the larger of ||P(W H Ht - V Ht)|| / ||V Ht|| and ||P(Wt W H - Wt V)|| / ||Wt V||
        (the KKT residual, Lin 2007); P leaves out what points below 0 where a factor is 0, or at the floor of about
        1e-12 times a typical entry that H is kept above. 1e-2 is early, 1e-4 late. With penalties it is that of the
        objective.
    objective : float or None
        With penalties (see `factorize`), what is minimized: the divergence, for frobenius loss^2 / 2, and all that the
        factors cost. It never rises, and decides when to stop; loss may rise. None without penalties.
    """

    sweep: int
    loss: float
    relative_loss: float
    seconds: float
    reads: int = 0
    gradient: float | None = None
    objective: float | None = None

    @property
    def brought_down(self) -> float:
        """What no sweep raises: the objective, or without penalties the loss."""
        return self.loss if self.objective is None else self.objective


@dataclass(frozen=True)
class Momentum:
    """Extrapolation of H, Ang and Gillis, "Accelerating nonnegative matrix factorization algorithms using
    extrapolation", Neural Computation 31, 2019: the step grows while the loss falls and is cut when it rises.

    Only H is extrapolated: its codes are solved for where it went, which did as well on images as both, and W needs
    no copy.
    """

    step: float = 0.5
    most: float = 1.0

    def ahead(self, H: np.ndarray, before: np.ndarray, floor: float) -> np.ndarray:
        """H, and as much of the way it came again."""
        new: np.ndarray = np.maximum(H + H.dtype.type(self.step) * (H - before), H.dtype.type(floor))
        return new

    def fell(self) -> Momentum:
        return Momentum(min(self.most, 1.05 * self.step), min(1.0, 1.01 * self.most))

    def rose(self) -> Momentum:
        return Momentum(self.step / 1.5, self.step)


@dataclass(frozen=True)
class State:
    """Where the sweeps are: with the codes, all that it takes to go on.

    Parameters
    ----------
    H : array, shape (k, n)
    stepped : array, shape (k, n)
        H as the rule left it, before extrapolation.
    sums : Sums
        Of H and its codes.
    momentum : Momentum
    direct : bool
        The residual is summed itself from now on.
    records : tuple of SweepRecord
    settled, ended : bool
        The loss has; nothing is left to do.
    """

    H: np.ndarray
    stepped: np.ndarray
    sums: Sums
    momentum: Momentum = Momentum()
    direct: bool = False
    records: tuple[SweepRecord, ...] = ()
    settled: bool = False
    ended: bool = False


def first_read(crew: Crew, objective: Objective, H: np.ndarray, codes: Codes) -> State:
    """The state before the first sweep."""
    return State(H, H, crew.sweep(Order(objective, H, codes)))


def descend(
    crew: Crew,
    objective: Objective,
    state: State,
    fit: Fit,
    *,
    elapsed: Callable[[], float] = lambda: 0.0,
    on_state: Callable[[State], None] = lambda state: None,
    on_rest: Callable[[State, bool], None] = lambda state, last: None,
    polish: bool = True,
) -> State:
    """Sweep until the loss has settled (`fit.tol`) or `fit.max_sweeps` are done; `on_state` sees every sweep's end.

    The last sweep solves the codes for its H, unless `polish` is off or `fit.inner` is 1: then the rule is the plain
    one and nothing else. `on_rest` sees every state that a longer run would come through too, and whether it is the
    last of them: those before a sweep, and the one after all of them when none has solved the codes.
    """
    polish = polish and fit.inner != 1
    while not state.ended and len(state.records) < fit.max_sweeps:
        last = polish and (state.settled or len(state.records) + 1 == fit.max_sweeps)
        on_rest(state, last)
        state = _sweep(crew, objective, state, fit, last)
        records = (*state.records[:-1], replace(state.records[-1], seconds=elapsed()))
        settled = state.settled or _settled(records, fit.tol, _noise(state.H))
        state = replace(state, records=records, settled=settled, ended=settled and (last or not polish))
        on_state(state)
    if not polish:
        on_rest(state, True)
    return state


def resumed(state: State, fit: Fit) -> State:
    """A state from a run that may have had another tol or max_sweeps: what these decide, decided by `fit`."""
    settled = _settled(state.records, fit.tol, _noise(state.H))
    return replace(state, settled=settled, ended=settled and fit.inner == 1)


def _noise(H: np.ndarray) -> float:
    return ROUNDING * float(np.finfo(H.dtype).eps)


def _sweep(crew: Crew, objective: Objective, state: State, fit: Fit, last: bool) -> State:
    """One sweep; a step of the momentum after which the loss is higher is taken back, at the cost of a read."""
    H = stepped = objective.basis(state.H, state.sums, crew.shape[0])
    momentum = state.momentum
    ahead = SOLVERS[fit.solver].momentum and fit.inner != 1 and not last and len(state.records) > 0
    if ahead:
        H = momentum.ahead(stepped, state.stepped, objective.floor)
    sums, losses, direct = read(crew, objective, H, Codes.SOLVE if last else Codes.UPDATE, state.direct)
    if ahead and losses.brought_down > state.records[-1].brought_down:
        momentum, H = momentum.rose(), stepped
        sums, losses, direct = read(crew, objective, H, Codes.SOLVE, direct)
    elif ahead:
        momentum = momentum.fell()
    record = SweepRecord(
        len(state.records) + 1, losses.loss, losses.relative_loss, 0.0, crew.reads, losses.gradient, losses.objective
    )
    return replace(
        state, H=H, stepped=stepped, sums=sums, momentum=momentum, direct=direct, records=(*state.records, record)
    )


def read(crew: Crew, objective: Objective, H: np.ndarray, codes: Codes, direct: bool) -> tuple[Sums, Losses, bool]:
    """One read of V, or two when the loss cannot be told from the sums of the first."""
    sums = crew.sweep(Order(objective, H, codes, direct))
    losses = objective.losses(H, sums)
    if losses is not None:
        return sums, losses, direct
    sums = crew.sweep(Order(objective, H, Codes.KEEP, direct=True))
    return sums, cast(Losses, objective.losses(H, sums)), True


def _settled(records: tuple[SweepRecord, ...], tol: float, noise: float) -> bool:
    if tol == 0 or len(records) <= WINDOW:
        return False
    before, now = records[-1 - WINDOW].brought_down, records[-1].brought_down
    return before - now <= tol * before or 0 < records[-1].relative_loss <= noise
