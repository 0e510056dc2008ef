"""The estimators for scikit-learn, as their users know them from scikit-learn."""

from __future__ import annotations

import copy
import pickle
import warnings
from types import SimpleNamespace

import joblib
import numpy as np
import pytest
from scipy import sparse
from scipy.special import expit, softmax
from sklearn import neural_network
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError
from sklearn.metrics import make_scorer, recall_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

import mlp_reference as reference
import numadelta as nd
from numadelta.sklearn import MLPClassifier, MLPRegressor

# Most trainings here are cut short.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ROWS, FEATURES = 60, 4
SMALL = {"hidden_layer_sizes": (6,), "batch_size": 20, "max_iter": 5, "random_state": 0}


def samples(seed=0, rows=ROWS):
    return np.random.default_rng(seed).normal(size=(rows, FEATURES))


X = samples()
Z = X @ np.random.default_rng(1).normal(size=(FEATURES, 3))
BINARY = np.where(Z[:, 0] > 0, "yes", "no")
CLASSES = np.array(["a", "b", "c"])[Z.argmax(axis=1)]
INDICATORS = (Z > 0).astype(int)
# By kind: the targets, the outputs, their activation, the classes.
KINDS = {
    "binary": (BINARY, 1, "logistic", ["no", "yes"]),
    "classes": (CLASSES, 3, "softmax", ["a", "b", "c"]),
    "indicators": (INDICATORS, 3, "logistic", [0, 1, 2]),
    "numbers": (np.tanh(Z[:, 0]), 1, "identity", None),
    "several numbers": (np.tanh(Z), 3, "identity", None),
}
kinds = pytest.mark.parametrize("kind", KINDS)
both = pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])


def parametrized(names, cases):
    return pytest.mark.parametrize(names, cases.values(), ids=cases)


def make(kind, **options):
    return (MLPRegressor if "numbers" in kind else MLPClassifier)(**SMALL | options)


def fitted(kind="binary", **options):
    return make(kind, **options).fit(X, KINDS[kind][0])


def y_of(estimator):
    return KINDS["binary" if estimator is MLPClassifier else "numbers"][0]


def same(first, second):
    assert first.loss_curve_ == second.loss_curve_
    reference.same_bits(first.net_, second.net_)


# What fit leaves behind


@kinds
def test_attributes_and_shapes(kind):
    y, outputs, activation, classes = KINDS[kind]
    model = fitted(kind)
    assert model.predict(X).shape == y.shape
    assert model.n_outputs_ == outputs and model.out_activation_ == activation
    assert model.n_layers_ == 3 and model.n_features_in_ == FEATURES
    assert [part.shape for part in model.coefs_] == [(FEATURES, 6), (6, outputs)]
    assert [part.shape for part in model.intercepts_] == [(6,), (outputs,)]
    assert model.n_iter_ == len(model.loss_curve_) == 5
    assert model.t_ == 5 * ROWS
    assert model.loss_ == model.loss_curve_[-1] and model.best_loss_ == min(model.loss_curve_)
    assert model.loss_curve_ == model.history_["loss"]
    assert model.validation_scores_ is model.best_validation_score_ is None
    assert model.validation_loss_curve_ is None
    assert isinstance(model.net_, nd.MLP) and not hasattr(model, "feature_names_in_")
    if classes is None:
        assert not hasattr(model, "classes_") and not hasattr(model, "predict_proba")
    else:
        assert model.classes_.tolist() == classes
        assert model.predict_proba(X).shape == (ROWS, len(classes))


@kinds
def test_predictions_are_the_forward_pass(kind):
    y, outputs, *_ = KINDS[kind]
    model = fitted(kind, activation="tanh")
    sums = reference.outputs(model.net_.theta, (FEATURES, 6, outputs), X, "tanh")
    if "numbers" in kind:
        np.testing.assert_allclose(model.predict(X), sums.reshape(y.shape), rtol=1e-10)
        return
    expected = {
        "binary": lambda: np.hstack([expit(-sums), expit(sums)]),
        "classes": lambda: softmax(sums, axis=1),
        "indicators": lambda: expit(sums),
    }[kind]()
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-10)
    np.testing.assert_allclose(model.predict_log_proba(X), np.log(expected), rtol=1e-9)
    labels = expected > 0.5 if kind == "indicators" else model.classes_[expected.argmax(axis=1)]
    assert np.array_equal(model.predict(X), labels)


def test_coefs_are_views_also_after_pickling():
    for model in (fitted(), pickle.loads(pickle.dumps(fitted())), copy.deepcopy(fitted())):
        model.coefs_[-1][:] = 0
        model.intercepts_[-1][:] = -1
        assert (model.predict(X) == "no").all()
        assert all(np.shares_memory(part, model.net_.theta) for part in model.coefs_)


@parametrized(
    ("dtype", "works_in"),
    {name: (name, name if name == "float32" else "float64") for name in
     ("float32", "float64", "float16", "int64", "uint8", "bool", "longdouble", "object")},
)  # fmt: skip
def test_float32_stays_and_all_else_is_float64(dtype, works_in):
    given = np.abs(X * 9).astype(dtype)
    model = make("classes").fit(given, CLASSES)
    assert model.net_.dtype == model.predict_proba(given).dtype == works_in


def test_log_probabilities_of_zero_are_minus_infinity():
    model = fitted("classes")
    model.intercepts_[-1][:] = [0, 1e4, 0]
    assert np.isneginf(model.predict_log_proba(X)[:, 0]).all()


@both
def test_no_hidden_layer_or_a_bare_number(estimator):
    y = y_of(estimator)
    assert estimator(**SMALL | {"hidden_layer_sizes": ()}).fit(X, y).n_layers_ == 2
    assert estimator(**SMALL | {"hidden_layer_sizes": np.int64(3)}).fit(X, y).n_layers_ == 3


@both
def test_nothing_is_predicted_before_a_fit(estimator):
    with pytest.raises(NotFittedError):
        estimator().predict(X)
    assert not hasattr(estimator(), "coefs_")


def test_tags_are_honest():
    classifier, regressor = (e().__sklearn_tags__() for e in (MLPClassifier, MLPRegressor))
    assert classifier.input_tags.sparse and regressor.input_tags.sparse
    assert classifier.classifier_tags.multi_label
    assert regressor.target_tags.multi_output and not regressor.non_deterministic


# The same names mean the same as in scikit-learn


@parametrized("weights", {"no weights": None, "weights": np.arange(ROWS) % 3})
@kinds
def test_alpha_has_its_meaning(kind, weights):
    """Where scikit-learn's objective is least, so is ours."""
    pytest.importorskip("sklearn", minversion="1.7", reason="its networks took no weights before")
    y, *_ = KINDS[kind]
    options = {"hidden_layer_sizes": (), "alpha": 3.0, "tol": 1e-9}
    ours = make(kind, batch_size=ROWS, **options).fit(X, y, weights)
    sklearns = getattr(neural_network, type(ours).__name__)
    # Of several outputs its gradient is not that of its loss: one at a time.
    columns = [y] if y.ndim == 1 else list(y.T)
    theirs = [
        sklearns(solver="lbfgs", max_iter=2000, random_state=0, **options).fit(X, column, weights)
        for column in columns
    ]
    coefs = np.hstack([model.coefs_[0] for model in theirs])
    theta = np.concatenate([coefs.ravel(), *[model.intercepts_[0] for model in theirs]])
    if y.dtype.kind == "U":
        y = np.searchsorted(ours.classes_, y)
    repeated = np.repeat(np.arange(ROWS), 1 if weights is None else weights)
    _, grad = ours.net_.loss_and_grad(theta, X[repeated], y[repeated])
    # L-BFGS ends a little before the minimum.
    assert np.abs(grad).max() < 1e-2 * np.abs(ours.net_.weight_decay * theta).max()


@both
def test_the_stopping_rule_counts_as_theirs(estimator):
    y, options = y_of(estimator), {"n_iter_no_change": 4, "batch_size": 20, "tol": 1e-4}
    ours = estimator(lr=0.0, **options).fit(X, y)
    sklearns = getattr(neural_network, estimator.__name__)
    theirs = sklearns(solver="sgd", learning_rate_init=1e-30, **options).fit(X, y)
    assert ours.n_iter_ == theirs.n_iter_ == 6


def epochs_by_their_rule(scores, tol, patience, worst=-np.inf):
    """As `_update_no_improvement_count` of scikit-learn counts."""
    best, count = worst, 0
    for epoch, score in enumerate(scores, 1):
        count = count + 1 if score < best + tol else 0
        best = max(best, score)
        if count > patience:
            return epoch
    return len(scores)


@pytest.mark.parametrize("tol", [0.0, 1e-3, 1e-2, 0.1])
def test_many_small_gains_do_not_add_up_to_one_as_in_theirs(tol):
    options = {"n_iter_no_change": 3, "max_iter": 200, "random_state": 0}
    model = MLPClassifier((6,), batch_size=20, tol=tol, **options).fit(X, CLASSES)
    losses = [-loss for loss in model.loss_curve_]
    assert model.n_iter_ == epochs_by_their_rule(losses, tol, 3)
    scores = [0.1, 0.15, 0.2, 0.25, 0.35, 0.36, 0.37, 0.38, 0.5]
    model = stopping(scoring=Script(*scores), tol=tol, n_iter_no_change=3, max_iter=9)
    assert model.fit(X, BINARY).n_iter_ == epochs_by_their_rule(scores, tol, 3)


def test_n_iter_no_change_may_be_infinite():
    assert fitted(lr=0.0, n_iter_no_change=np.inf, max_iter=30).n_iter_ == 30


def test_reaching_max_iter_is_a_warning_and_the_estimator_is_usable():
    with pytest.warns(ConvergenceWarning, match="max_iter=5 epochs are done") as caught:
        model = make("binary").fit(X, BINARY)
    assert caught[0].filename == __file__
    assert model.score(X, BINARY) > 0


def test_warnings_of_the_network_point_at_the_user_of_the_estimator():
    with pytest.warns(UserWarning, match="batch_size is 99, but there are only 60") as caught:
        make("binary", batch_size=99).fit(X, BINARY)
    assert {warning.filename for warning in caught} == {__file__}


def test_a_training_that_stops_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted(lr=0.0, max_iter=100)
        fitted(lr=0.0, max_iter=12)  # the last epoch is the one that stops it


def test_batches_larger_than_the_data_warn_only_if_asked_for():
    with pytest.warns(UserWarning, match="batch_size is 61, but there are only 60 samples"):
        fitted(batch_size=61)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        assert fitted(batch_size="auto").net_.optimizer.steps == 5


@both
def test_a_fit_repeats_with_its_random_state(estimator):
    model = estimator(**SMALL | {"dropout": 0.2, "early_stopping": True})
    first = copy.deepcopy(model.fit(X, y_of(estimator)))
    same(first, model.fit(X, y_of(estimator)))
    same(first, clone(model).fit(X, y_of(estimator)))
    other = clone(model).set_params(random_state=1).fit(X, y_of(estimator))
    assert other.loss_curve_ != first.loss_curve_


def test_random_state_may_be_a_generator_that_goes_on():
    model = make("binary", random_state=np.random.RandomState(3))
    first = copy.deepcopy(model.fit(X, BINARY))
    assert model.fit(X, BINARY).loss_curve_ != first.loss_curve_
    same(first, make("binary", random_state=np.random.RandomState(3)).fit(X, BINARY))


def test_verbose_prints_the_epochs(capsys):
    fitted(verbose=2)
    assert "epoch 5/5  loss" in capsys.readouterr().out
    fitted(verbose=False)
    assert capsys.readouterr().out == ""


# Weights of samples and classes


def test_class_weight_multiplies_sample_weight():
    weights = np.arange(1.0, 1 + ROWS)
    factors = np.where(BINARY == "yes", 3.0, 1.0)
    by_class = {"no": 1, "yes": 3}
    same(
        make("binary", class_weight=by_class).fit(X, BINARY),
        make("binary").fit(X, BINARY, sample_weight=factors),
    )
    same(
        make("binary", class_weight=by_class).fit(X, BINARY, weights),
        make("binary").fit(X, BINARY, weights * factors),
    )


def test_a_rare_class_gains_recall_with_balanced_weights():
    rng = np.random.default_rng(0)
    y = (np.arange(200) < 12).astype(int)
    samples = rng.normal(size=(200, 2)) + 1.2 * y[:, np.newaxis]
    recalls = [
        recall_score(
            y, make("binary", max_iter=60, class_weight=w).fit(samples, y).predict(samples)
        )
        for w in (None, "balanced")
    ]
    assert recalls[0] < 0.5 < 0.7 < recalls[1]


def test_balanced_weights_are_those_of_all_classes():
    y = np.array(["a"] * 30 + ["b"] * 20 + ["c"] * 10)
    weights = np.repeat([60 / 90, 60 / 60, 60 / 30], [30, 20, 10])
    balanced = make("classes", class_weight="balanced").fit(X, y)
    np.testing.assert_allclose(
        balanced.loss_curve_, make("classes").fit(X, y, weights).loss_curve_, rtol=1e-9
    )


@both
def test_weights_may_be_a_list_and_are_not_changed(estimator):
    weights = np.arange(ROWS) % 4.0
    first = estimator(**SMALL).fit(X, y_of(estimator), weights.tolist())
    second = estimator(**SMALL).fit(X, y_of(estimator), weights)
    same(first, second)
    assert np.array_equal(weights, np.arange(ROWS) % 4.0)


BAD_WEIGHTS = {
    "NaN": (np.full(ROWS, np.nan), "sample_weight must be finite"),
    "negative": (-np.arange(ROWS), "sample_weight must not be negative"),
    "zero": (np.zeros(ROWS), "sample_weight must not be zero for all samples"),
    "too few": (np.ones(3), r"sample_weight has shape \(3,\), but \(60,\) is needed"),
    "two-dimensional": (np.ones((ROWS, 2)), "sample_weight has shape"),
}


@parametrized(("weights", "message"), BAD_WEIGHTS)
@both
def test_weights_that_are_refused(estimator, weights, message):
    y = y_of(estimator)
    classes = {"classes": ["no", "yes"]} if estimator is MLPClassifier else {}
    with pytest.raises(ValueError, match=message):
        estimator(**SMALL).fit(X, y, weights)
    with pytest.raises(ValueError, match=message):
        estimator(**SMALL).partial_fit(X, y, weights, **classes)


# More of the same data, and other data


@kinds
def test_partial_fit_is_an_epoch(kind):
    y, *_, classes = KINDS[kind]
    model, options = make(kind), {} if classes is None else {"classes": classes}
    for _ in range(5):
        assert model.partial_fit(X, y, **options) is model
        assert model.n_iter_ == 1
    same(model, make(kind, tol=0.0, n_iter_no_change=100).fit(X, y))
    assert model.t_ == 5 * ROWS and len(model.history_.epoch) == 5


def test_partial_fit_learns_from_batches_that_lack_a_class():
    model = make("classes", batch_size="auto")
    order = np.argsort(CLASSES, kind="stable")
    model.partial_fit(X[order[:5]], CLASSES[order[:5]], classes=["c", "b", "a"])
    for rows in np.array_split(order, 10) * 30:
        model.partial_fit(X[rows], CLASSES[rows])
    assert model.classes_.tolist() == ["a", "b", "c"]
    assert model.score(X, CLASSES) > 0.6


def test_partial_fit_does_not_wonder_about_many_classes():
    labels = np.arange(40)
    model = make("classes")
    for _ in range(2):
        model.partial_fit(np.eye(40), labels, classes=labels)
    assert model.classes_.tolist() == labels.tolist()


def test_more_talk_than_there_is_is_as_much_as_there_is(capsys):
    make("binary", verbose=np.int64(10)).fit(X, BINARY)
    assert "epoch 1/" in capsys.readouterr().out


def test_a_warm_start_that_is_refused_leaves_the_network_as_it_was():
    model = make("binary", warm_start=True).fit(X, BINARY)
    net = model.net_
    before = (net.weight_decay, net.dropout, net.input_dropout, net.theta.tobytes())
    for options in ({"input_dropout": 2.0}, {"lr": -1.0}, {"rho": 1.0}):
        with pytest.raises(ValueError, match="must"):
            copy.copy(model).set_params(alpha=0.5, dropout=0.3, **options).fit(X, BINARY)
        now = (net.weight_decay, net.dropout, net.input_dropout, net.theta.tobytes())
        assert now == before


def test_options_are_checked_for_the_dtype_of_the_data():
    options = {"rho": 1 - 1e-9, "eps": 1e-50}
    make("binary", **options).fit(X, BINARY)
    with pytest.raises(ValueError, match=r"rho must be in \[0, 1\) \(as float32\)"):
        make("binary", **options).fit(X.astype(np.float32), BINARY)


def test_partial_fit_goes_on_after_fit():
    model = fitted()
    model.partial_fit(X, BINARY)
    same(model, make("binary", max_iter=6, tol=0.0, n_iter_no_change=100).fit(X, BINARY))


ABC = {"classes": ["a", "b", "c"]}
# Kind and options of the estimator, whether it has seen data, and the call that is refused.
BAD_PARTIAL_FITS = {
    "no classes": ("classes", {}, False, (X, CLASSES), {}, "classes must be given in the first"),
    "other classes": ("classes", {}, True, (X, CLASSES), {"classes": [1, 2]}, "but was .* before"),
    "unknown label": ("classes", {}, True, (X[:2], ["a", "z"]), {}, r"holds \['z'\], but classes"),
    "unknown at first": ("classes", {}, False, (X[:2], ["a", "z"]), ABC, r"y holds \['z'\]"),
    "features": ("classes", {}, True, (X[:, :2], CLASSES), {}, "2 features, but .* is expecting 4"),
    "indicators": ("classes", {}, True, (X, INDICATORS), {}, "these are now"),
    "columns": ("indicators", {}, False, (X, INDICATORS), {"classes": [0, 1]}, "y has 3 columns"),
    "outputs": ("numbers", {}, True, (X, Z), {}, "these are now"),
    "balanced": (
        "classes", {"class_weight": "balanced"}, False, (X, CLASSES), ABC, "class_weight='balanced'"
    ),
    "early stopping": (
        "classes", {"early_stopping": True}, False, (X, CLASSES), ABC, "early_stopping=True"
    ),
    "early stopping of numbers": (
        "numbers", {"early_stopping": True}, False, (X, Z[:, 0]), {}, "early_stopping=True"
    ),
}  # fmt: skip


@parametrized(("kind", "options", "begun", "data", "call", "message"), BAD_PARTIAL_FITS)
def test_partial_fits_that_are_refused(kind, options, begun, data, call, message):
    model = fitted(kind, **options) if begun else make(kind, **options)
    with pytest.raises(ValueError, match=message):
        model.partial_fit(*data, **call)


@kinds
def test_a_warm_start_goes_on_where_the_last_fit_ended(kind):
    y, *_ = KINDS[kind]
    options = {"tol": 0.0, "n_iter_no_change": 100}
    model = make(kind, warm_start=True, max_iter=2, **options).fit(X, y)
    net = model.net_
    model.set_params(max_iter=3).fit(X, y)
    assert model.net_ is net and model.n_iter_ == 3
    same(model, make(kind, **options).fit(X, y))


def test_without_warm_start_a_fit_begins_anew():
    model = fitted(warm_start=False)
    before = copy.deepcopy(model)
    model.fit(X[:, :2], CLASSES)
    assert model.n_features_in_ == 2 and model.n_outputs_ == 3 and len(model.loss_curve_) == 5
    same(before, model.fit(X, BINARY))


def test_options_may_change_between_warm_starts():
    model = fitted(warm_start=True, alpha=0.0)
    model.set_params(alpha=1.0, dropout=0.5, input_dropout=0.25, batch_size=10).fit(X, BINARY)
    assert model.net_.weight_decay == 0.1
    assert (model.net_.dropout, model.net_.input_dropout) == (0.5, 0.25)


def test_warm_starts_that_are_refused():
    model = fitted("classes", warm_start=True)
    before = model.predict_proba(X)
    with pytest.raises(ValueError, match="warm_start needs all of .*'c'"):
        model.fit(X, np.where(CLASSES == "c", "a", CLASSES))
    with pytest.raises(ValueError, match=r"y holds \['d'\], but warm_start goes on with"):
        model.fit(X, np.where(CLASSES == "c", "d", CLASSES))
    with pytest.raises(ValueError, match="has 2 features, but MLPClassifier is expecting 4"):
        model.fit(X[:, :2], CLASSES)
    for option in ({"hidden_layer_sizes": (7,)}, {"activation": "tanh"}):
        with pytest.raises(ValueError, match="these are now .* warm_start=False makes a new one"):
            clone(model).fit(X, CLASSES).set_params(**option).fit(X, CLASSES)
    assert np.array_equal(model.predict_proba(X), before)


def test_a_schedule_counts_all_epochs():
    rates = {"fit": [], "partial_fit": []}
    whole = fitted(lr=lambda epoch: rates["fit"].append(epoch) or 1 / (1 + epoch))
    model = make("binary", lr=lambda epoch: rates["partial_fit"].append(epoch) or 1 / (1 + epoch))
    for _ in range(5):
        model.partial_fit(X, BINARY, classes=["no", "yes"])
    assert whole.history_["lr"] == model.history_["lr"] == [1 / (1 + n) for n in range(5)]
    assert rates["fit"] == rates["partial_fit"]


# Early stopping


class Script:
    """A scorer that says what it was told to, and remembers what it was called with."""

    def __init__(self, *scores):
        self.scores, self.calls = iter(scores), []

    def __call__(self, estimator, X, y):
        self.calls.append((estimator.net_.theta.copy(), X, y, estimator.predict(X)))
        return next(self.scores)


def stopping(kind="binary", **options):
    return make(kind, early_stopping=True, **{"max_iter": 50, "n_iter_no_change": 2} | options)


@kinds
def test_early_stopping_watches_the_score_and_puts_the_best_weights_back(kind):
    y, *_ = KINDS[kind]
    script = Script(1, 2, 3, 2, 2, 3)
    model = stopping(kind, scoring=script).fit(X, y)
    assert model.validation_scores_ == [1, 2, 3, 2, 2, 3] == model.history_["scoring"]
    assert max(model.history_["val_score"]) <= 1  # the network's own, to be drawn with "score"
    assert model.best_validation_score_ == 3 and model.best_loss_ is None
    assert np.array_equal(model.net_.theta, script.calls[2][0])
    assert not np.array_equal(model.net_.theta, script.calls[-1][0])
    _, held_out, labels, _ = script.calls[0]
    assert len(held_out) == len(labels) == 6 and labels.dtype == y.dtype
    assert model.t_ == 6 * 54
    assert len(model.validation_loss_curve_) == model.n_iter_ == 6
    loss, _ = model.net_.evaluate(
        held_out, labels if "numbers" in kind or labels.ndim == 2 else
        np.searchsorted(model.classes_, labels),
    )  # fmt: skip
    assert loss == pytest.approx(model.validation_loss_curve_[2])


def test_small_improvements_do_not_delay_the_end_but_count_as_best():
    script = Script(1, 1.05, 1.06, 1.02)
    model = stopping(scoring=script, tol=0.1).fit(X, BINARY)
    assert model.validation_scores_ == [1, 1.05, 1.06, 1.02]
    assert model.best_validation_score_ == 1.06
    assert np.array_equal(model.net_.theta, script.calls[2][0])


def test_a_score_that_is_not_a_number_is_never_the_best():
    model = stopping(scoring=Script(np.nan, 1, np.nan, np.nan, np.nan)).fit(X, BINARY)
    assert model.best_validation_score_ == 1 and model.n_iter_ == 5


def test_a_class_without_weight_is_not_all_that_is_held_out():
    y = np.where(np.arange(ROWS) < 2, "yes", "no")
    with pytest.raises(ValueError, match="all the 6 samples to hold out have the weight zero"):
        stopping(class_weight={"no": 0, "yes": 1}, max_iter=1).fit(X, y)


def test_classes_without_weight_may_not_be_all():
    model = make("binary", class_weight={"no": 0, "yes": 1})
    with pytest.raises(ValueError, match="with class_weight, all samples have the weight zero"):
        model.partial_fit(X[BINARY == "no"], BINARY[BINARY == "no"], classes=["no", "yes"])


def test_each_figure_of_the_history_is_of_one_kind():
    model = stopping("indicators", max_iter=20).fit(X, INDICATORS)
    assert model.validation_scores_ == model.history_["scoring"]
    single, whole = model.history_["val_score"], model.history_["scoring"]
    assert all(a > b for a, b in zip(single, whole, strict=True))  # the share of whole rows
    gap = np.subtract(model.history_["score"], single)
    assert np.abs(gap).max() < 0.2


def test_an_iterator_is_no_list_of_callbacks():
    with pytest.raises(TypeError, match="callbacks must be a list of objects"):
        make("binary", callbacks=iter([])).fit(X, BINARY)


@pytest.mark.parametrize("refit", [False, True])
def test_ctrl_c_before_the_training_leaves_the_estimator_as_it_was(monkeypatch, refit):
    model = make("binary")
    if refit:
        model.fit(X, BINARY)
    before = dict(vars(model))

    def interrupted(self, *arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(nd.MLP, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X[:, :2], BINARY)
    assert vars(model) == before


class Failing:
    def __init__(self, epoch):
        self.left = epoch + 1

    def on_epoch_begin(self, epoch, logs):
        self.left -= 1
        if not self.left:
            raise RuntimeError("enough")


@pytest.mark.parametrize("earlier", [0, 2])
def test_what_was_trained_before_an_error_is_on_record(earlier):
    epochs = []
    options = {"warm_start": True, "max_iter": 2, "lr": lambda epoch: epochs.append(epoch) or 1.0}
    model = make("binary", **options)
    if earlier:
        model.fit(X, BINARY)
    model.set_params(max_iter=9, callbacks=[Failing(3)])
    with pytest.raises(RuntimeError, match="enough") as caught:
        model.fit(X, BINARY)
    assert model.n_iter_ == 3 == len(caught.value.history.epoch)
    assert len(model.loss_curve_) == earlier + 3 and model.t_ == (earlier + 3) * ROWS
    model.set_params(max_iter=1, callbacks=None).fit(X, BINARY)
    assert epochs[-1] == earlier + 3


def test_signs_that_stand_for_classes_have_no_score(capsys):
    hinge = (lambda z, t: max(1 - t * z, 0.0) ** 2, lambda z, t: -2 * t * max(1 - t * z, 0.0))
    model = stopping("classes", loss=hinge, max_iter=2, verbose=2).fit(X, CLASSES)
    assert not {"score", "val_score"} & set(model.history_.history)
    out = capsys.readouterr().out
    assert "val_score" not in out and f"scoring {model.history_['scoring'][-1]:.4g}" in out


@kinds
def test_the_default_score_is_that_of_the_estimator(kind):
    y, *_ = KINDS[kind]
    script = Script(*range(3))
    stopping(kind, max_iter=3, scoring=script).fit(X, y)
    model = stopping(kind, max_iter=3).fit(X, y)
    _, held_out, labels, _ = script.calls[0]
    assert model.score(held_out, labels) == model.best_validation_score_
    assert model.best_validation_score_ == max(model.validation_scores_)


def test_the_default_score_takes_account_of_the_weights():
    script = Script(0)
    stopping(max_iter=1, scoring=script).fit(X, BINARY)
    *_, labels, predicted = script.calls[0]
    assert 0 < np.mean(labels == predicted) < 1
    held_out = (X[:, np.newaxis] == script.calls[0][1]).all(axis=2)
    right = held_out[:, labels == predicted].any(axis=1)
    model = stopping(max_iter=1).fit(X, BINARY, np.where(held_out.any(axis=1), right, 1.0))
    assert model.best_validation_score_ == 1


@pytest.mark.parametrize("kind", ["binary", "classes", "numbers"])
def test_the_validation_loss_has_the_weights_of_the_training(kind):
    y, *_ = KINDS[kind]
    script = Script(0)
    stopping(kind, max_iter=1, scoring=script).fit(X, y)
    held_out = (X[:, np.newaxis] == script.calls[0][1]).all(axis=2).argmax(axis=0)
    weights = np.random.default_rng(0).random(ROWS)
    model = stopping(kind, max_iter=1).fit(X, y, weights)
    codes = y if kind == "numbers" else np.searchsorted(model.classes_, y)
    loss, score = model.net_.evaluate(X[held_out], codes[held_out], weights[held_out])
    assert model.validation_loss_curve_ == [pytest.approx(loss)]
    assert model.validation_scores_ == [pytest.approx(score)]


def test_weights_of_classes_are_weights_of_samples_also_in_early_stopping():
    y = np.where(Z[:, 0] > 1, "yes", "no")
    weights = compute_sample_weight("balanced", y)
    # Those of the part to train on, as "balanced" takes them, would be others.
    balanced = dict(zip(y.tolist(), weights, strict=True))
    by_class = stopping(class_weight=balanced, max_iter=20).fit(X, y)
    by_sample = stopping(max_iter=20).fit(X, y, weights)
    assert by_class.validation_scores_ == by_sample.validation_scores_
    assert by_class.validation_loss_curve_ == by_sample.validation_loss_curve_
    same(by_class, by_sample)


@pytest.mark.parametrize(
    "y",
    [np.arange(ROWS) % 30, np.where(np.arange(ROWS) < 2, "rare", BINARY)],
    ids=["more classes than rows held out", "two rows of a class"],
)
def test_classes_that_cannot_be_stratified_are_split_as_they_come(y):
    model = stopping(max_iter=2).fit(X, y)
    assert len(model.classes_) == len(np.unique(y)) and len(model.validation_scores_) == 2


def test_warm_starts_of_one_epoch_go_on_whatever_the_score_is():
    model = stopping(scoring=Script(5, 4, 3), warm_start=True, max_iter=1)
    thetas = [model.fit(X, BINARY).net_.theta.copy() for _ in range(3)]
    assert not np.array_equal(thetas[0], thetas[1]) and not np.array_equal(thetas[1], thetas[2])
    assert model.best_validation_score_ == 3 and model.validation_scores_ == [5, 4, 3]


@pytest.mark.parametrize(
    "weights", [{"no": -1, "yes": 1}, {"no": 0, "yes": 0}, {"no": np.inf, "yes": 1}]
)
def test_weights_of_classes_that_are_refused(weights):
    with pytest.raises(ValueError, match="class_weight must hold numbers that are finite and not"):
        make("binary", class_weight=weights).fit(X, BINARY)


def test_scoring_by_name_and_by_make_scorer():
    by_name = stopping("classes", scoring="f1_macro").fit(X, CLASSES)
    loss = stopping("classes", scoring="neg_log_loss").fit(X, CLASSES)
    scorer = make_scorer(lambda y, p: np.mean(y == p))
    by_scorer = stopping("classes", scoring=scorer).fit(X, CLASSES)
    assert max(loss.validation_scores_) < 0
    assert by_name.validation_scores_ != by_scorer.validation_scores_
    assert by_scorer.validation_scores_ == stopping("classes").fit(X, CLASSES).validation_scores_


def test_the_part_that_is_held_out_is_stratified_and_the_same_in_a_warm_start():
    y = np.arange(ROWS) % 10 == 0
    script = Script(*range(4))
    model = stopping(scoring=script, warm_start=True, max_iter=2, validation_fraction=1 / 3)
    for _ in range(2):
        model.fit(X, y)
    assert script.calls[0][2].sum() == 2
    assert all(np.array_equal(call[1], script.calls[0][1]) for call in script.calls)


BAD_SPLITS = {
    "one row of a class": ({}, np.where(np.arange(ROWS) == 0, "rare", BINARY), "'rare' has only 1"),
    "one row of objects": (
        {},
        np.where(np.arange(ROWS) == 0, "rare", BINARY).astype(object),
        "'rare' has only 1",
    ),
    "too little": ({"validation_fraction": 0.01}, INDICATORS, "which is 1 of 60 samples"),
    "nothing left": ({"validation_fraction": 0.999}, CLASSES, "cannot be held out"),
}


@parametrized(("options", "y", "message"), BAD_SPLITS)
def test_splits_that_are_refused(options, y, message):
    with pytest.raises(ValueError, match=f"validation_fraction is .*{message}"):
        stopping(**options).fit(X, y)


def test_scorers_that_are_refused():
    with pytest.raises(ValueError, match="'scoring'"):
        stopping(scoring="accurate").fit(X, BINARY)
    with pytest.raises(TypeError, match="what scoring returns must be a real number"):
        stopping(scoring=lambda *_: "1").fit(X, BINARY)


# Callbacks


class Watcher:
    def __init__(self, action=lambda epoch, logs: None):
        self.action = action

    def set_model(self, net):
        self.net = net

    def on_epoch_end(self, epoch, logs):
        self.action(epoch, logs)


def raising(error, at):
    def act(epoch, logs):
        if epoch == at:
            raise error

    return Watcher(act)


def test_callbacks_see_the_score_and_their_figures_are_kept():
    seen = []

    def note(epoch, logs):
        seen.append(logs["scoring"])
        logs["twice"] = 2 * epoch

    watcher = Watcher(note)
    model = stopping(scoring=Script(5, 6, 7), max_iter=3, callbacks=[watcher]).fit(X, BINARY)
    assert seen == [5, 6, 7] and model.history_["twice"] == [0, 2, 4]
    assert watcher.net is model.net_


def test_a_callback_may_end_the_training():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert make("binary", callbacks=[raising(StopIteration, 2)]).fit(X, BINARY).n_iter_ == 3


def test_early_stopping_of_the_user_works_beside():
    stop = nd.callbacks.EarlyStopping("loss", patience=2, min_delta=100.0)
    assert fitted(callbacks=[stop], max_iter=50).n_iter_ == 3
    assert stop.best_epoch == 0


@parametrized("early_stopping", {"without early stopping": False, "with it": True})
def test_after_control_c_the_estimator_is_usable(early_stopping):
    script = Script(3, 2, 1) if early_stopping else None
    model = make(
        "binary", early_stopping=early_stopping, scoring=script,
        callbacks=[raising(KeyboardInterrupt, 2)],
    )  # fmt: skip
    with pytest.warns(RuntimeWarning, match="interrupted by SIGINT in epoch 3"):
        assert model.fit(X, BINARY) is model
    assert model.n_iter_ == len(model.loss_curve_) == 2
    assert model.history_.interrupted == "SIGINT"
    assert model.predict(X).shape == (ROWS,)
    if script:
        assert np.array_equal(model.net_.theta, script.calls[0][0])


def test_an_interruption_that_is_turned_into_an_error_leaves_a_usable_estimator():
    model = make("binary", callbacks=[raising(KeyboardInterrupt, 0)])
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        with pytest.raises(RuntimeWarning, match="interrupted"):
            model.fit(X, BINARY)
    assert model.predict(X).shape == (ROWS,) and np.isnan(model.loss_)


def test_a_loss_that_is_not_finite_names_the_epoch_and_the_best_weights_are_back():
    script = Script(1, 3, 2, 1, 0)
    model = stopping(
        "numbers", scoring=script, n_iter_no_change=9, lr=lambda epoch: 1e200 if epoch == 3 else 1.0
    )
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="epoch 4, batch"):
        model.fit(X, Z[:, 0])
    assert np.array_equal(model.net_.theta, script.calls[1][0])


# Dropout, functions of one's own, clipping


def test_dropout_is_for_the_training_only():
    plain, thinned, inputs = fitted(), fitted(dropout=0.5), fitted(input_dropout=0.5)
    assert len({model.loss_curve_[0] for model in (plain, thinned, inputs)}) == 3
    for model in (thinned, inputs):
        assert np.array_equal(model.predict_proba(X), model.predict_proba(X))


def softplus(z):
    return np.log1p(np.exp(-np.abs(z))) + max(z, 0.0)


def logistic(z):
    return 1 / (1 + np.exp(-z))


def huber(output, target):
    error = abs(output - target)
    return 0.5 * error * error if error < 1 else error - 0.5


def huber_slope(output, target):
    return max(-1.0, min(1.0, output - target))


def test_the_huber_loss_is_not_drawn_by_outliers():
    rows = np.linspace(-1, 1, 60)[:, np.newaxis]
    y = np.where(np.arange(60) % 10 == 0, 30.0, 2 * rows[:, 0])
    options = {"hidden_layer_sizes": (), "max_iter": 400, "n_iter_no_change": 400}
    square = MLPRegressor(**SMALL | options).fit(rows, y)
    robust = MLPRegressor(loss=(huber, huber_slope), **SMALL | options).fit(rows, y)
    errors = [np.median(np.abs(model.predict(rows) - y)) for model in (square, robust)]
    assert errors[1] < 0.3 * errors[0]
    assert robust.out_activation_ == "identity"


def test_activations_of_ones_own_survive_clone_and_pickle():
    model = make("classes", activation=(softplus, logistic))
    first = clone(model).fit(X, CLASSES)
    again = pickle.loads(pickle.dumps(first))
    assert np.array_equal(first.predict_proba(X), again.predict_proba(X))
    same(first, again.fit(X, CLASSES))
    assert first.loss_curve_ != fitted("classes").loss_curve_


def test_gradients_are_clipped():
    plain, clipped, norm = (
        fitted("numbers", **option)
        for option in ({}, {"clipvalue": 1e-6}, {"global_clipnorm": 1e-6})
    )
    assert len({model.loss_ for model in (plain, clipped, norm)}) == 3


# Data


@kinds
def test_sparse_is_dense(kind):
    y, *_ = KINDS[kind]
    dense = np.where(np.abs(X) > 0.8, X, 0)
    for matrix in (sparse.csr_array, sparse.csr_matrix, sparse.coo_array, sparse.csc_matrix):
        model, other = make(kind).fit(dense, y), make(kind).fit(matrix(dense), y)
        np.testing.assert_allclose(model.loss_curve_, other.loss_curve_, rtol=1e-9)
        np.testing.assert_allclose(model.net_.theta, other.net_.theta, rtol=1e-6, atol=1e-9)
    early = make(kind, early_stopping=True).fit(sparse.csr_array(dense), y)
    assert len(early.validation_scores_) == 5


LABELS = {
    "strings": np.array(["b", "a"]),
    "objects": np.array(["long name", "a"], object),
    "negative": np.array([-3, 7]),
    "bool": np.array([True, False]),
    "float": np.array([1.0, 2.0]),
}


@parametrized("labels", LABELS)
def test_labels_of_any_kind_come_back(labels):
    y = labels[(BINARY == "yes").astype(int)]
    model = make("binary").fit(X, y)
    assert model.classes_.tolist() == sorted(labels.tolist())
    assert model.predict(X).dtype == y.dtype and set(model.predict(X)) <= set(labels.tolist())
    assert np.array_equal(model.predict_proba(X)[:, 1] > 0.5, model.predict(X) == max(labels))


@both
def test_a_column_is_taken_with_a_warning(estimator):
    y = y_of(estimator)
    with pytest.warns(DataConversionWarning, match="column-vector y"):
        model = estimator(**SMALL).fit(X, y[:, np.newaxis])
    same(model, estimator(**SMALL).fit(X, y))
    assert model.predict(X).shape == (ROWS,)


def test_sparse_indicators():
    same(fitted("indicators"), make("indicators").fit(X, sparse.csr_array(INDICATORS)))


BAD_DATA = {
    "continuous": (X, Z[:, 0], "Unknown label type"),
    "one class": (X, np.full(ROWS, "a"), "y holds one class"),
    "one sample": (X[:1], ["a"], "one class"),
    "several columns of labels": (X, CLASSES.reshape(30, 2).repeat(2, axis=0), "multiclass-multi"),
    "NaN": (np.full_like(X, np.nan), BINARY, "NaN"),
    "infinity": (np.full_like(X, np.inf), BINARY, "infinity"),
    "sparse NaN": (sparse.csr_array(np.full_like(X, np.nan)), BINARY, "NaN"),
    "complex": (X + 1j, BINARY, "Complex data not supported"),
    "strings": (CLASSES.reshape(-1, 1), BINARY, "could not convert string to float"),
    "no samples": (X[:0], BINARY[:0], "0 sample"),
    "no features": (X[:, :0], BINARY, "0 feature"),
    "one dimension": (X[:, 0], BINARY, "Reshape your data"),
    "lengths": (X, BINARY[:5], "inconsistent numbers of samples"),
}


@parametrized(("given", "y", "message"), BAD_DATA)
def test_data_that_are_refused(given, y, message):
    with pytest.raises(ValueError, match=message):
        make("binary").fit(given, y)


@parametrized("y", {"NaN": np.full(ROWS, np.nan), "infinity": np.full(ROWS, np.inf)})
def test_numbers_must_be_finite(y):
    with pytest.raises(ValueError, match="Input y contains"):
        make("numbers").fit(X, y)


@kinds
def test_what_is_given_is_read_only(kind):
    given, y = np.asfortranarray(X), KINDS[kind][0].copy()
    given.flags.writeable = y.flags.writeable = False
    same(make(kind).fit(given, y), make(kind).fit(X, y))


def test_one_sample_is_enough_for_numbers():
    assert make("numbers", batch_size=1).fit(X[:1], [2.0]).predict(X[:1]).shape == (1,)


@both
def test_constant_and_huge_features(estimator):
    odd = np.column_stack([X, np.ones(ROWS), 1e6 * X[:, 0]])
    assert np.isfinite(estimator(**SMALL).fit(odd, y_of(estimator)).loss_curve_).all()


@both
def test_predict_wants_the_features_of_fit(estimator):
    model = estimator(**SMALL).fit(X, y_of(estimator))
    with pytest.raises(ValueError, match="X has 2 features, but .* is expecting 4"):
        model.predict(X[:, :2])


def test_feature_names():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("pqrs"))
    model = make("binary", early_stopping=True, scoring="accuracy").fit(frame, BINARY)
    assert model.feature_names_in_.tolist() == list("pqrs")
    assert np.array_equal(
        model.predict(frame), make("binary", early_stopping=True).fit(X, BINARY).predict(X)
    )
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.predict(X)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame.rename(columns={"s": "t"}))


# Bad options

BAD_OPTIONS = {
    "a layer of none": ({"hidden_layer_sizes": (3, 0)}, ValueError, "sizes must be positive"),
    "a negative layer": ({"hidden_layer_sizes": -3}, ValueError, "layer_sizes must not be neg"),
    "half a layer": ({"hidden_layer_sizes": (2.5,)}, TypeError, "layer_sizes must be an int"),
    "a layer of a string": ({"hidden_layer_sizes": "32"}, TypeError, "layer_sizes must be an int"),
    "activation": ({"activation": "swish"}, ValueError, "activation must be one of identity, relu"),
    "one function": ({"activation": (np.tanh,)}, TypeError, "activation must be a name or a pair"),
    "alpha": ({"alpha": -1}, ValueError, "alpha must not be negative"),
    "batch_size 0": ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
    "batch_size of a string": ({"batch_size": "all"}, TypeError, "batch_size must be an integer"),
    "max_iter 0": ({"max_iter": 0}, ValueError, "max_iter must be at least 1"),
    "max_iter of a float": ({"max_iter": 2.5}, TypeError, "max_iter must be an integer"),
    "max_iter None": ({"max_iter": None}, TypeError, "max_iter must be an integer"),
    "shuffle": ({"shuffle": 1}, TypeError, "shuffle must be True or False"),
    "random_state": ({"random_state": "x"}, ValueError, "seed"),
    "tol": ({"tol": -1e-4}, ValueError, "tol must not be negative"),
    "NaN": ({"tol": np.nan}, ValueError, "tol must be finite"),
    "verbose": ({"verbose": -1}, ValueError, "verbose must be 0, 1 or 2"),
    "warm_start": ({"warm_start": "yes"}, TypeError, "warm_start must be True or False"),
    "early_stopping": ({"early_stopping": None}, TypeError, "early_stopping must be True or False"),
    "validation_fraction 0": ({"validation_fraction": 0}, ValueError, r"must be in \(0, 1\)"),
    "validation_fraction 1": ({"validation_fraction": 1.0}, ValueError, "must be in"),
    "validation_fraction": ({"validation_fraction": "a"}, TypeError, "fraction must be a real"),
    "n_iter_no_change": ({"n_iter_no_change": 0}, ValueError, "change must be at least 1"),
    "lr": ({"lr": -1.0}, ValueError, "lr must not be negative"),
    "a schedule": ({"lr": lambda epoch: -1.0}, ValueError, r"lr\(0\) must not be negative"),
    "rho": ({"rho": 1.0}, ValueError, r"rho must be in \[0, 1\)"),
    "eps": ({"eps": 0}, ValueError, "eps must be positive"),
    "dropout": ({"dropout": 1.0}, ValueError, r"dropout must be in \[0, 1\), but is 1.0"),
    "input_dropout": ({"input_dropout": "x"}, TypeError, "input_dropout must be a real number"),
    "callbacks": ({"callbacks": 3}, TypeError, "callbacks must be a list of objects, but is 3"),
    "a callback": ({"callbacks": [3]}, TypeError, "callbacks holds 3, which has none of"),
    "shared_delta": ({"shared_delta": 1}, TypeError, "shared_delta must be True or False"),
    "clipvalue": ({"clipvalue": 0}, ValueError, "clipvalue must be positive"),
    "two limits": ({"clipvalue": 1, "global_clipnorm": 1}, ValueError, "exclude each other"),
}  # fmt: skip


@parametrized(("options", "error", "message"), BAD_OPTIONS)
@both
def test_options_that_are_refused(estimator, options, error, message):
    model = estimator(**SMALL | options)  # the constructor keeps them
    with pytest.raises(error, match=message):
        model.fit(X, y_of(estimator))


def test_options_of_one_estimator_that_are_refused():
    with pytest.raises(ValueError, match="loss must be 'squared_error' or a pair .*, but is 'mse'"):
        make("numbers", loss="mse").fit(X, Z[:, 0])
    with pytest.raises(TypeError, match="loss must be a name or a pair of functions"):
        make("numbers", loss=(huber,)).fit(X, Z[:, 0])
    with pytest.raises(ValueError, match="'class_weight'"):
        make("binary", class_weight="equal").fit(X, BINARY)
    with pytest.raises(ValueError, match="class_weight is not supported for label indicators"):
        make("indicators", class_weight="balanced").fit(X, INDICATORS)
    with pytest.raises(TypeError, match="solver"):
        MLPClassifier(solver="adam")


@parametrized("option", {"rate": {"rho": 2}, "clip": {"clipvalue": -1}, "y": {}})
def test_a_fit_that_is_refused_leaves_the_last_one(option):
    model = fitted("classes")
    before = model.predict_proba(X)
    with pytest.raises(ValueError):
        model.set_params(**option).fit(X, CLASSES if option else Z[:, 0])
    assert np.array_equal(model.predict_proba(X), before)


# Among the tools of scikit-learn


@both
def test_a_copy_predicts_the_same_and_learns_the_same(estimator, tmp_path):
    y = y_of(estimator)
    model = estimator(**SMALL, warm_start=True).fit(X, y)
    joblib.dump(model, tmp_path / "model")
    copies = [
        pickle.loads(pickle.dumps(model)),
        copy.deepcopy(model),
        joblib.load(tmp_path / "model"),
        joblib.load(tmp_path / "model", mmap_mode="r"),
    ]
    predictions = model.predict(X)
    model.fit(X, y)
    for other in copies:
        assert np.array_equal(other.predict(X), predictions)
        same(other.fit(X, y), model)


@both
def test_the_constructor_keeps_what_it_is_given(estimator):
    model = estimator(callbacks=[], lr=0.5)
    assert clone(model).get_params() == model.get_params()
    assert model.set_params(rho=0.9).rho == 0.9
    assert set(vars(model)) == set(model.get_params())


@both
def test_pipelines_and_cross_validation(estimator):
    y = y_of(estimator)
    model = make_pipeline(StandardScaler(), estimator(**SMALL | {"max_iter": 120}))
    assert cross_val_score(model, X, y, cv=3).mean() > 0.7


def test_grid_search_in_two_processes():
    grid = {"hidden_layer_sizes": [(), (6,)], "dropout": [0.0, 0.9]}
    search = GridSearchCV(make("binary", max_iter=30), grid, cv=2, n_jobs=2).fit(X, BINARY)
    assert search.best_params_["dropout"] == 0.0
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_calibration():
    model = CalibratedClassifierCV(make("classes", max_iter=60), cv=2).fit(X, CLASSES)
    assert model.score(X, CLASSES) > 0.7
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)


def test_without_scikit_learn_the_extra_is_named(python):
    script = """
    import sys
    sys.modules["sklearn"] = None
    try:
        import numadelta.sklearn
    except ImportError as error:
        print(error.name, error)
    """
    assert python(script).startswith(
        "sklearn the estimators need scikit-learn: pip install numadelta[sk"
    )


# What is refused


@both
def test_a_refused_refit_leaves_the_estimator_as_it_was(estimator):
    y = Z[:, 0] if estimator is MLPRegressor else CLASSES
    model = estimator(**SMALL).fit(X, y)
    before, expected = dict(vars(model)), model.predict(X)
    model.lr = lambda epoch: "fast"
    with pytest.raises(TypeError, match=r"lr\(0\) must be a real number"):
        model.fit(X[:, :2], y)
    model.lr = before["lr"]
    with pytest.raises(ValueError, match="sample_weight"):
        model.fit(X[:, :2], y, -np.ones(ROWS))
    assert vars(model) == before
    np.testing.assert_array_equal(model.predict(X), expected)


@both
def test_a_fit_that_is_refused_is_none(estimator):
    model = estimator(**SMALL | {"lr": lambda epoch: -1.0})
    with pytest.raises(ValueError, match=r"lr\(0\) must not be negative"):
        model.fit(X, INDICATORS)
    with pytest.raises(NotFittedError):
        model.predict(X)


@both
def test_weights_that_early_stopping_leaves_none_of_are_refused_before_training(estimator):
    weights = np.zeros(ROWS)
    weights[3] = 1
    seen = []
    watcher = SimpleNamespace(on_train_begin=seen.append)
    model = estimator(**SMALL, early_stopping=True, callbacks=[watcher])
    message = "all the (6|54) samples to (hold out|train on) have the weight zero"
    with pytest.raises(ValueError, match=message):
        model.fit(X, Z[:, 0] if estimator is MLPRegressor else CLASSES, weights)
    assert not seen


def test_a_warm_start_that_ends_in_an_error_keeps_what_was_trained():
    model = MLPClassifier(**SMALL, warm_start=True).fit(X, CLASSES)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        with pytest.raises(ConvergenceWarning):
            model.fit(X, CLASSES)
    assert model.t_ == 2 * SMALL["max_iter"] * ROWS
    assert len(model.loss_curve_) == len(model.history_.epoch) == 2 * SMALL["max_iter"]
    assert model.loss_ == model.loss_curve_[-1]
