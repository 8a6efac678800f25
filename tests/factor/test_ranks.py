"""The choice of a rank: planted ranks are found, and what is tried is what it says."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from planted import planted, swimmer

from nmfcompress.errors import InputError, UsageError
from nmfcompress.factor import heldout, ranks
from nmfcompress.factor.heldout import free_errors, simplest, splits_of, stands_out
from nmfcompress.factor.nmf import factorize
from nmfcompress.factor.ranks import Trial, alike, choose_rank
from nmfcompress.settings import Fit


@pytest.mark.parametrize("kind", ["uniform", "sparse", "blocks"])
@pytest.mark.parametrize("rank", [2, 7, 12])
def test_a_planted_rank_is_found(kind, rank):
    found = choose_rank(planted(kind, rank, 300, 200, 0), 1, 24, fit=Fit(1, max_sweeps=30))
    assert (found.recommended, found.knee) == (rank, True)
    assert f"by {rank}:" in found.reason


@pytest.mark.parametrize("seed", range(4))
def test_stuck_models_are_not_taken_for_a_part_more(seed):
    seen: list[Trial] = []  # parts are exchanged before the first rank is fitted, and that is all there is time for
    found = choose_rank(planted("blocks", 9, 160, 120, seed), 1, 24, on_trial=seen.append, enough=lambda: bool(seen))
    assert found.recommended == 9


@pytest.mark.parametrize("scale", [1e-150, 1e13])
def test_the_same_answer_for_a_multiple_of_everything(scale):
    V = planted("sparse", 4, 80, 60, 0)
    one, other = (choose_rank(X, 1, 6, fit=Fit(1, max_sweeps=20)) for X in (V, scale * V))
    assert one.reason == other.reason
    assert one.best.held_out == pytest.approx(other.best.held_out, rel=1e-9)
    assert one.best.held_out_parts == pytest.approx(other.best.held_out_parts, rel=1e-2)
    assert one.best.stability == pytest.approx(other.best.stability, abs=1e-2)


def test_limbs_that_only_parts_tell_apart():
    found = choose_rank(swimmer(), 1, 32, fit=Fit(1, max_sweeps=50))
    assert np.linalg.matrix_rank(swimmer()) == 13
    assert found.recommended in (16, 17)
    assert found.knee
    assert "13 directions" in found.reason


def test_pictures_have_no_knee_and_that_is_said():
    with Image.open(Path(__file__).parents[2] / "samples" / "grey.png") as picture:
        V = np.asarray(picture)[::2, ::2]
    found = choose_rank(V, 1, 16, fit=Fit(1, max_sweeps=20))
    assert not found.knee
    assert found.reason.startswith("no knee: held-out entries are still predicted better at rank 16")
    assert all(trial.stability is None for trial in found.trials)


@pytest.mark.parametrize("high", [40, 60, 80])
def test_pictures_have_no_knee_however_wide_the_range(high):
    with Image.open(Path(__file__).parents[2] / "samples" / "grey.png") as picture:
        V = np.asarray(picture)[::2, ::2]
    seen: list[Trial] = []
    found = choose_rank(V, 1, high, on_trial=seen.append, enough=lambda: bool(seen))
    assert not found.knee
    assert found.reason.startswith("no knee: ")
    assert "noise" not in found.reason


@pytest.mark.parametrize(("kind", "rank"), [("uniform", 12), ("sparse", 12), ("blocks", 12), ("uniform", 2)])
def test_planted_parts_stand_out_and_a_smooth_decline_does_not(kind, rank, rng):
    V = planted(kind, rank, 300, 200, 0)
    splits = splits_of(V.shape, rng)
    assert stands_out(free_errors(V, 24, splits), rank, V.shape)
    U, _, Vt = np.linalg.svd(V, full_matrices=False)
    smooth = U * np.arange(1, 201) ** -1.0 @ Vt  # every direction a little smaller than the one before
    errors = free_errors(smooth, 150, splits)
    assert not stands_out(errors, simplest(errors), V.shape)


def test_a_rank_near_the_largest_tried_is_found_where_more_is_clearly_worse():
    found = choose_rank(planted("uniform", 7, 300, 200, 0), 1, 9, fit=Fit(1, max_sweeps=30))
    assert (found.recommended, found.knee) == (7, True)


@pytest.mark.parametrize(("V", "needed"), [(planted("uniform", 3, 80, 60, 1), 3), (swimmer(), 16)])
def test_a_range_above_the_answer_says_so(V, needed):
    found = choose_rank(V, 20, 30, fit=Fit(1, max_sweeps=20))
    assert found.recommended == 20
    assert found.reason == f"held-out entries are predicted as well by {needed}: fewer than 20, the smallest tried"


def test_time_that_ends_a_search_is_said():
    with Image.open(Path(__file__).parents[2] / "samples" / "grey.png") as picture:
        V = np.asarray(picture)[::2, ::2]
    found = choose_rank(V, 1, 16, fit=Fit(1, max_sweeps=20), enough=lambda: True)
    assert "at rank 16, the largest of the range (" in found.reason
    assert found.reason.endswith("; time was up before all was tried")
    assert [(trial.rank, trial.svd_floor) for trial in found.trials] == [(1, None)]


@pytest.mark.parametrize("after", [0, 3, 14, 20, 60, 200, 500])
def test_once_time_is_up_only_what_is_needed_is_made(after, monkeypatch):
    asked, swept = [], []

    def enough() -> bool:
        asked.append(None)
        return len(asked) > after

    def counted(call):
        def counting(*words, on_sweep=None, **options):
            def told(record):
                if len(asked) > after:
                    swept.append(None)
                if on_sweep is not None:
                    on_sweep(record)

            return call(*words, on_sweep=told, **options)

        return counting

    monkeypatch.setattr(ranks, "factorize_as", counted(ranks.factorize_as))
    monkeypatch.setattr(heldout, "factorize", counted(heldout.factorize))
    found = choose_rank(swimmer(), 1, 32, fit=Fit(1, max_sweeps=10), enough=enough)
    assert found.reason.endswith("; time was up before all was tried")
    assert len(swept) <= 2 * 11 + 2  # those of the first rank and of the one recommended, and of what is given up
    assert found.best.rank == found.recommended


def test_parts_that_there_was_no_time_for_are_not_claimed():
    found = choose_rank(swimmer(), 1, 32, fit=Fit(1, max_sweeps=10), enough=lambda: True)
    assert found.reason.startswith("V has 13 directions beyond noise, and parts were not tried")
    assert all(trial.held_out_parts is None and trial.stability is None for trial in found.trials)


def test_what_is_tried_is_what_it_says():
    V = planted("uniform", 4, 80, 60, 1).astype(np.float32)
    seen = []
    found = choose_rank(V, 2, 12, on_trial=lambda trial: seen.append(trial.rank))
    ranks = [trial.rank for trial in found.trials]
    assert ranks == sorted(seen)
    assert {2, 3, 4, 5, 6, 8, 12} == set(ranks)
    for trial in found.trials:
        loss = np.linalg.norm(V - trial.fit.W @ trial.fit.H)
        assert trial.fit.loss == pytest.approx(loss, rel=1e-4)
        values = np.linalg.svd(V.astype(float), compute_uv=False)
        assert trial.svd_floor == pytest.approx(np.sqrt(np.square(values[trial.rank :]).sum()), rel=1e-5)
        assert trial.fit.loss >= trial.svd_floor
        near = abs(trial.rank - found.recommended) <= 1
        assert (trial.stability is not None) == near
        if near:
            assert trial.held_out_parts > 0
            assert 0 <= trial.stability <= 1 + 1e-9
    assert found.best.rank == found.recommended
    losses = [trial.fit.loss for trial in found.trials]
    assert all(after <= before * 1.001 for before, after in pairwise(losses))  # grown from there


def test_the_same_ranks_whatever_the_number_of_threads():
    V = planted("sparse", 3, 60, 50, 2)
    one, three = (choose_rank(V, 1, 8, fit=Fit(1, max_sweeps=20, jobs=jobs)) for jobs in (1, 3))
    assert one.reason == three.reason
    for a, b in zip(one.trials, three.trials, strict=True):
        assert a.fit.W.tobytes() == b.fit.W.tobytes()
        assert (a.held_out, a.held_out_parts, a.stability) == (b.held_out, b.held_out_parts, b.stability)


def test_enough_ends_the_search_with_an_answer():
    V = planted("uniform", 4, 80, 60, 1)
    found = choose_rank(V, 1, 24, enough=lambda: True)
    assert found.recommended == 4
    assert found.best.rank == 4


def test_held_out_errors_are_those_of_a_plain_computation(rng):
    V = rng.random((24, 20))
    rows, columns = np.arange(24) % 4 == 1, np.arange(20) % 4 == 2
    errors = free_errors(V, 6, [(rows, columns)])
    for rank in range(7):
        U, s, Vt = np.linalg.svd(V[~rows][:, ~columns])
        inverse = Vt[:rank].T @ np.diag(1 / s[:rank]) @ U[:, :rank].T  # of D at that rank: Owen and Perry, equation 2.2
        rest = V[rows][:, columns] - V[rows][:, ~columns] @ inverse @ V[~rows][:, columns]
        assert errors[0, rank] == pytest.approx(np.square(rest).sum() / np.square(V).sum(), rel=1e-6)


def test_the_simplest_that_is_not_clearly_worse():
    noise = np.array([[0.1], [-0.1], [0.05], [-0.05]])
    falling = np.array([5.0, 3.0, 1.0, 0.99, 1.2])
    wiggle = np.array([0, 1, 1, 0, 1])  # the errors of 2 and 3 parts differ by more than 0.01 from block to block
    assert simplest(falling + noise * wiggle) == 2
    assert simplest(np.tile(falling, (4, 1))) == 3  # no noise at all: every hundredth counts


def test_parts_in_any_order_are_the_same_parts(rng):
    H = rng.random((5, 30))
    H /= np.linalg.norm(H, axis=1, keepdims=True)
    assert alike(H, H[::-1]) == pytest.approx(1)
    assert alike(H, np.roll(H, 1, axis=1)) < 0.99


@pytest.mark.parametrize(
    ("V", "options", "error", "words"),
    [
        (np.ones((7, 50)), {}, InputError, "too small"),
        (-np.ones((20, 20)), {}, InputError, "negative"),
        (np.ones((20, 20)), {"low": 0}, UsageError, "from 1"),
        (np.ones((20, 20)), {"low": 5, "high": 4}, UsageError, "5 to 4"),
        (np.ones((20, 20)), {"fit": Fit(1, divergence="kl")}, UsageError, "frobenius"),
    ],
)
def test_what_cannot_be_tried_is_named(V, options, error, words):
    with pytest.raises(error, match=words):
        choose_rank(V, **options)


def test_nothing_has_no_knee_and_no_noise():
    found = choose_rank(np.zeros((20, 30), np.uint8), 2, 8)
    assert (found.recommended, found.knee) == (2, False)
    assert found.reason == "no knee: all entries are 0, and 2 parts are the fewest tried"


@pytest.mark.parametrize("V", [np.zeros((20, 30)), np.ones((20, 30), np.uint8), np.eye(24)])
def test_nothing_one_thing_and_all_things(V):
    found = choose_rank(V, 1, 8)
    assert 1 <= found.recommended <= 8
    assert factorize(V, found.recommended).loss >= 0
