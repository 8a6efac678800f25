"""A peer's choice of rank for matrices in a folder, run by its own Python: `choices.py NAME FOLDER` prints JSON.

cvanmf: bi-cross-validation, 3 shuffles of 9 folds (its default of 100 takes half an hour a matrix), and its own
suggest_rank, which gives one rank by each of two measures. nimfa: estimate_rank, 10 runs a rank, and of its measures
the cophenetic correlation, read as Brunet et al. (PNAS 2004) read it: the rank from which on it begins to fall.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np

HIGHEST = 16


def cvanmf(V: np.ndarray) -> dict[str, int]:
    import pandas as pd
    from cvanmf.denovo import rank_selection, suggest_rank

    tried = rank_selection(pd.DataFrame(V), range(1, HIGHEST + 1), shuffles=3, seed=0, progress_bar=False)
    return {name: int(rank or 0) for name, rank in suggest_rank(tried).items()}


def nimfa(V: np.ndarray) -> dict[str, int]:
    import nimfa as library

    np.random.seed(0)
    model = library.Nmf(V, seed="random_vcol", rank=2, max_iter=100)
    tried = model.estimate_rank(rank_range=range(2, HIGHEST + 1), n_run=10, what=["cophenetic"])
    values = [tried[rank]["cophenetic"] for rank in range(2, HIGHEST + 1)]
    return {"cophenetic": next((rank for rank, (now, then) in enumerate(pairwise(values), 2) if then < now), 0)}


CHOICES: dict[str, Callable[[np.ndarray], dict[str, int]]] = {"cvanmf": cvanmf, "nimfa": nimfa}

if __name__ == "__main__":
    warnings.simplefilter("ignore")
    choose, found = CHOICES[sys.argv[1]], {}
    for path in sorted(Path(sys.argv[2]).glob("*.npy")):
        began = time.process_time()
        answers = choose(np.load(path))
        found[path.stem] = {"ranks": answers, "cpu": time.process_time() - began}
    print(json.dumps(found))
