"""nmfcompress.sklearn.NMF: at home in scikit-learn, and what scikit-learn's own NMF comes to."""

from __future__ import annotations

import logging
import pickle
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn.decomposition as theirs
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import check_estimator

from nmfcompress import factorize
from nmfcompress.sklearn import NMF

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
ROOT = Path(__file__).parents[1]
LOSSES = {"frobenius": "frobenius", "kullback-leibler": "kl", "itakura-saito": "is"}
SOLVERS = [("cd", "frobenius"), ("hals", "frobenius"), *(("mu", loss) for loss in LOSSES)]


@pytest.fixture
def X(rng):
    return rng.random((40, 5)) @ rng.random((5, 12)) + 0.05 + 0.05 * rng.random((40, 12))


def checks(estimator) -> Counter:
    """How the checks of scikit-learn end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Counter(check["status"] for check in check_estimator(estimator, on_skip=None, on_fail=None))


def test_it_passes_the_checks_and_no_fewer_than_theirs():
    own, other = checks(NMF()), checks(theirs.NMF())
    assert own["failed"] == 0
    assert own["passed"] >= other["passed"]
    assert own["skipped"] <= other["skipped"]


@pytest.mark.parametrize("solver", ["mu", "hals"])
def test_it_passes_the_checks_with_other_settings(solver):
    found = checks(NMF(solver=solver, alpha_W=1e-4, l1_ratio=0.5))
    assert (found["failed"], found["passed"] > 40) == (0, True)


def test_their_own_tests_pass_but_for_those_that_are_named():
    done = subprocess.run([sys.executable, ROOT / "tests/sklearn_own.py"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:]
    passed = int(done.stdout.split()[done.stdout.split().index("passed", -4) - 1])
    assert passed >= 100


@pytest.mark.parametrize(("solver", "loss"), SOLVERS)
def test_attributes_mean_the_same(X, solver, loss):
    model = NMF(4, solver=solver, beta_loss=loss, max_iter=400, random_state=0)
    W = model.fit_transform(X)
    assert W.shape == (40, 4)
    assert model.components_.shape == (4, 12)
    assert (model.n_components_, model.n_features_in_) == (4, 12)
    assert not hasattr(model, "feature_names_in_")
    assert model.n_iter_ == len(model.loss_curve_) <= 400
    assert (np.diff(model.loss_curve_) <= 1e-12 * model.loss_curve_[0]).all()
    there = theirs._nmf._beta_divergence(X, W, model.components_, loss, square_root=True)
    assert model.reconstruction_err_ == pytest.approx(there, rel=1e-8)
    last = model.loss_curve_[-1]
    assert model.reconstruction_err_ == pytest.approx(last if loss == "frobenius" else np.sqrt(2 * last))
    np.testing.assert_allclose(model.transform(X), W, atol=1e-3 * W.max())
    np.testing.assert_array_equal(model.inverse_transform(W), W @ model.components_)
    assert model.fit(X) is model


@pytest.mark.parametrize(("solver", "loss"), SOLVERS)
@pytest.mark.parametrize("l1_ratio", [0.0, 0.4, 1.0])
def test_it_comes_as_low_as_theirs_with_penalties(X, solver, loss, l1_ratio):
    options = {
        "beta_loss": loss,
        "alpha_W": 0.004,
        "alpha_H": 0.002,
        "l1_ratio": l1_ratio,
        "max_iter": 3000,
        "random_state": 0,
    }

    def objective(W, H):
        (m, n), a, b = X.shape, 0.004, 0.002
        return (
            theirs._nmf._beta_divergence(X, W, H, loss)
            + l1_ratio * (a * n * W.sum() + b * m * H.sum())
            + 0.5 * (1 - l1_ratio) * (a * n * (W**2).sum() + b * m * (H**2).sum())
        )

    ours = NMF(4, solver=solver, tol=1e-7, **options)
    W = ours.fit_transform(X)
    other = theirs.NMF(4, solver=solver if solver == "mu" else "cd", tol=1e-7, **options)
    V = other.fit_transform(X)
    assert objective(W, ours.components_) <= 1.01 * objective(V, other.components_)
    np.testing.assert_allclose(ours.transform(X), W, atol=2e-3 * W.max())
    free = NMF(4, solver=solver, beta_loss=loss, max_iter=3000, random_state=0, tol=1e-6).fit(X)
    assert free.reconstruction_err_ < ours.reconstruction_err_


def test_it_is_the_core(X, rng):
    W, H = rng.random((40, 4)), rng.random((4, 12))
    model = NMF(4, init="custom", solver="mu", alpha_W=0.01, alpha_H=0.02, l1_ratio=0.25, tol=0, max_iter=20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # tol 0 asks for no convergence
        codes = model.fit_transform(X, W=W, H=H)
    found = factorize(X, 4, W=W, H=H, tol=0, max_sweeps=20, l1=(0.0025, 0.005), l2=(0.0075, 0.015))
    np.testing.assert_allclose(codes, found.W, atol=1e-11)
    np.testing.assert_allclose(model.components_, found.H, atol=1e-11)
    np.testing.assert_array_equal(model.loss_curve_, [record.loss for record in found.records])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8])
def test_the_type_is_kept(X, dtype):
    V = (X * 100).astype(dtype)
    model = NMF(3, random_state=0)
    expected = np.float32 if dtype == np.float32 else np.float64
    assert model.fit_transform(V).dtype == model.components_.dtype == model.transform(V).dtype == expected
    assert model.reconstruction_err_ == pytest.approx(
        np.linalg.norm(V - model.transform(V).astype(float) @ model.components_), rel=1e-3
    ), "values are as they are: integers are not scaled to 0..1"


def test_what_is_sparse_is_refused_by_name(X):
    model = NMF(3).fit(X)
    for kind in (sparse.csr_matrix, sparse.csc_array, sparse.coo_array):
        for call in (NMF(3).fit, NMF(3).fit_transform, model.transform):
            with pytest.raises(TypeError, match=rf"X is {kind.__name__}, which is sparse \(expected X.toarray\(\)"):
                call(kind(X))


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"n_components": 0}, "n_components is 0"),
        ({"n_components": 2.5}, "n_components is 2.5"),
        ({"n_components": "many"}, "n_components is many"),
        ({"init": "best"}, "init is best"),
        ({"solver": "sgd"}, "solver is sgd"),
        ({"solver": []}, r"solver is \[\]"),
        ({"solver": "mu", "beta_loss": 0.5}, "beta_loss is 0.5"),
        ({"solver": "mu", "beta_loss": -1}, "beta_loss is -1"),
        ({"solver": "mu", "beta_loss": None}, "beta_loss is None"),
        ({"beta_loss": 1}, "solver 'cd' does not handle beta_loss = 1"),
        ({"tol": -1}, "tol is -1"),
        ({"tol": "x"}, "tol is x"),
        ({"max_iter": 0}, "max_iter is 0"),
        ({"alpha_W": -1}, "alpha_W is -1"),
        ({"alpha_W": float("nan")}, "alpha_W is nan"),
        ({"alpha_H": "both"}, "alpha_H is both"),
        ({"l1_ratio": 1.5}, "l1_ratio is 1.5"),
        ({"shuffle": True}, "shuffle is True"),
        ({"random_state": "x"}, "cannot be used to seed"),
        ({"n_components": 13, "init": "nndsvd"}, r"init = 'nndsvd' can only be used when .* 13 and min\(40, 12\)"),
        ({"init": "custom"}, "W is missing"),
    ],
)
def test_what_is_wrong_is_named(X, parameters, says):
    with pytest.raises(ValueError, match=says):
        NMF(**parameters).fit(X)


def test_wrong_data_and_starts_are_named(X):
    W, H = np.ones((40, 3)), np.ones((3, 12))
    model = NMF(3, init="custom")
    for start, kind, says in (
        ({"W": W, "H": H.astype(np.float32)}, TypeError, "should have the same dtype as X"),
        ({"W": W[:9], "H": H}, ValueError, "wrong first dimension passed to NMF .input W.. Expected 40, but got 9"),
        ({"W": W, "H": H[:, :5]}, ValueError, "wrong second dimension passed to NMF .input H.. Expected 12, but got 5"),
        ({"W": -W, "H": H}, ValueError, "Negative values in data passed to NMF .input W"),
        ({"W": W, "H": 0 * H}, ValueError, "full of zeros"),
        ({"W": W}, ValueError, "H is missing"),
    ):
        with pytest.raises(kind, match=says):
            model.fit(X, **start)
    with pytest.raises(ValueError, match="Negative values in data passed to"):
        NMF(2).fit(-X)
    with pytest.raises(ValueError, match="NaN"):
        NMF(2).fit(np.where(X > 1, np.nan, X))
    with pytest.raises(ValueError, match="contains zeros"):
        NMF(2, solver="mu", beta_loss="itakura-saito").fit(np.where(X > 1, 0, X))
    with pytest.raises(ValueError, match=r"X is up to 1e.20 .expected at most 1e.15: scale it"):
        NMF(2).fit(np.where(X > 1, 1e20, X))
    with pytest.raises(NotFittedError):
        NMF(2).transform(X)
    with pytest.warns(UserWarning, match="'nndsvd' leaves zeros"):
        NMF(3, init="nndsvd", solver="mu").fit(X)
    with pytest.warns(RuntimeWarning, match="W or H are ignored"):
        NMF(3).fit(X, W=W, H=H)


def test_auto_is_what_it_is_there(X):
    """The number of features, or of the parts to begin with: not a search for the rank."""
    for components in ("auto", None):
        assert NMF(components, max_iter=500, tol=1e-2).fit(X).n_components_ == 12
    with_start = NMF(init="custom", tol=1e-2).fit(X, W=np.full((40, 2), 0.5), H=X[:2])
    assert with_start.n_components_ == 2


def test_more_parts_than_features(X):
    model = NMF(15, random_state=0, tol=1e-2)
    assert model.fit_transform(X).shape == (40, 15)
    assert model.reconstruction_err_ < 0.1 * np.linalg.norm(X)
    assert model.transform(X).shape == (40, 15)


@pytest.mark.parametrize("init", [None, "random", "nndsvd", "nndsvda", "nndsvdar"])
@pytest.mark.parametrize("solver", ["cd", "mu"])
def test_every_start_leads_there(X, init, solver):
    """As near as theirs, which under "mu" is not quite as near as it goes."""
    options = {"init": init, "solver": solver, "random_state": 0, "max_iter": 2000, "tol": 1e-6}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of mu with nndsvd
        error, there = (kind(5, **options).fit(X).reconstruction_err_ for kind in (NMF, theirs.NMF))
    floor = np.sqrt((np.linalg.svd(X, compute_uv=False)[5:] ** 2).sum())
    assert floor * 0.999 <= error <= 1.03 * there


def test_the_same_seed_gives_the_same(X):
    for init in ("random", "nndsvdar"):
        first, again, other = (NMF(3, init=init, random_state=seed).fit(X).components_ for seed in (1, 1, 2))
        np.testing.assert_array_equal(first, again)
        assert (first != other).any()
        generators = [NMF(3, init=init, random_state=np.random.RandomState(1)).fit(X).components_ for _ in range(2)]
        np.testing.assert_array_equal(*generators)


def test_zeros_are_zeros(X):
    model = NMF(4, alpha_W=0.02, l1_ratio=1.0, random_state=0)
    W = model.fit_transform(X)
    for factor in (W, model.components_):
        assert 0 < (factor == 0).mean() < 1
        assert factor[factor > 0].min() > 1e-9
    gone = NMF(4, alpha_W=1e3, l1_ratio=1.0).fit(X)
    assert not gone.components_.any()
    assert not gone.transform(X).any()
    nothing = NMF(2, max_iter=50).fit(np.zeros((6, 4)))
    assert nothing.reconstruction_err_ == pytest.approx(0, abs=1e-9)


def test_warm_start_goes_on(X):
    model = NMF(4, warm_start=True, random_state=0, tol=1e-6, max_iter=2000)
    cold = model.fit(X).n_iter_
    error = model.reconstruction_err_
    assert model.fit(X).n_iter_ < cold
    assert model.reconstruction_err_ <= error * (1 + 1e-9)
    near = X[:30] + 0.01
    fresh = NMF(4, random_state=0, tol=1e-6, max_iter=2000).fit(near)
    assert model.fit(near).n_iter_ < fresh.n_iter_
    assert model.set_params(n_components=3).fit(X).components_.shape == (3, 12), "what does not fit is not gone on from"
    anew = NMF(4, random_state=0)
    np.testing.assert_array_equal(anew.fit(X).components_, anew.fit(X).components_)


def test_convergence_is_told_as_theirs_is(X):
    said = "Maximum number of iterations 2 reached. Increase it to improve convergence."
    for kind in (NMF, theirs.NMF):
        with pytest.warns(ConvergenceWarning, match=said):
            kind(3, max_iter=2).fit(X)


@pytest.mark.parametrize(
    "call",
    [
        lambda model, X: model.fit(X),
        lambda model, X: model.fit_transform(X),
        lambda model, X: make_pipeline(MinMaxScaler(), model).fit_transform(X),
        lambda model, X: model.set_output(transform="pandas").fit(X, W=X),
    ],
)
def test_warnings_name_the_file_of_the_caller(X, call):
    with pytest.warns((UserWarning, RuntimeWarning), match=".") as told:
        call(NMF(3, max_iter=2, init="nndsvd", solver="mu"), X)
    assert len(told) >= 2
    assert {Path(one.filename) for one in told} == {Path(__file__)}


def test_sweeps_go_to_the_log(X, caplog, capsys):
    with caplog.at_level(logging.INFO, "nmfcompress.sklearn"):
        quiet = NMF(3, random_state=0).fit(X)
        assert not caplog.records
        NMF(3, random_state=0, verbose=1).fit(X)
    assert len(caplog.records) == quiet.n_iter_
    assert capsys.readouterr() == ("", "")


def test_names_of_features_and_parts(X):
    frame = pd.DataFrame(X, columns=[f"pixel {i}" for i in range(12)], index=range(100, 140))
    model = NMF(3, random_state=0).set_output(transform="pandas")
    codes = model.fit_transform(frame)
    assert list(model.feature_names_in_) == list(frame.columns)
    assert list(codes.columns) == list(model.get_feature_names_out()) == ["nmf0", "nmf1", "nmf2"]
    assert list(codes.index) == list(frame.index)
    assert list(model.transform(frame).columns) == list(codes.columns)
    np.testing.assert_allclose(model.inverse_transform(codes.to_numpy()), codes.to_numpy() @ model.components_)
    with pytest.raises(ValueError, match="feature names"):
        model.transform(frame.rename(columns={"pixel 0": "other"}))
    with pytest.raises(ValueError, match="features"):
        NMF(3).fit(X).transform(X[:, :5])


def test_it_takes_the_parameters_of_theirs(X):
    model = NMF(**theirs.NMF(3, random_state=0).get_params())
    shared = theirs.NMF().get_params().keys()
    assert {name: value for name, value in NMF().get_params().items() if name in shared} == theirs.NMF().get_params()
    copy = pickle.loads(pickle.dumps(clone(model).fit(X)))
    np.testing.assert_array_equal(copy.transform(X), model.fit(X).transform(X))


def test_in_a_pipeline_and_a_search():
    X, y = load_digits(return_X_y=True)
    X, y = X[:400], y[:400]
    line = make_pipeline(
        MinMaxScaler(clip=True), NMF(random_state=0, tol=1e-3), LogisticRegression(C=100, max_iter=2000)
    )
    grid = {"nmf__n_components": [2, 16], "nmf__alpha_W": [0.0, 1e-3], "nmf__l1_ratio": [1.0]}
    search = GridSearchCV(line, grid, cv=3, error_score="raise").fit(X[:300], y[:300])
    assert search.best_params_["nmf__n_components"] == 16
    assert search.score(X[300:], y[300:]) > 0.7
    assert list(search.best_estimator_[:-1].get_feature_names_out())[-1] == "nmf15"


def test_without_scikit_learn_the_error_says_what_to_install():
    code = """
import sys
sys.modules["sklearn"] = None
try:
    import nmfcompress.sklearn
except ImportError as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "ExtraMissing nmfcompress.sklearn needs an extra: pip install 'nmfcompress[sklearn]'\n", (
        done.stderr
    )


def test_nothing_else_needs_scikit_learn():
    code = """
import sys, nmfcompress, nmfcompress.cli.main, nmfcompress.cli.learning, nmfcompress.cli.packing
print(nmfcompress.factorize, "sklearn" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.endswith(" False\n"), done.stderr
