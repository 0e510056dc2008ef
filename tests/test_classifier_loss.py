"""Losses of the user's own in `MLPClassifier`: targets of -1 and +1, the boundary at zero."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from scipy.special import expit, log_softmax, logit
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, train_test_split

import mlp_reference as reference
import numadelta as nd
from numadelta.estimator import SEEDS
from numadelta.sklearn import MLPClassifier

# Most trainings here are cut short.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ROWS, FEATURES = 60, 4
SMALL = {"hidden_layer_sizes": (6,), "batch_size": 20, "max_iter": 5, "random_state": 0}

X = np.random.default_rng(0).normal(size=(ROWS, FEATURES))
Z = X @ np.random.default_rng(1).normal(size=(FEATURES, 3))
CLASSES = np.array(["a", "b", "c"])[Z.argmax(axis=1)]
ONE_HOT = (CLASSES[:, np.newaxis] == ["a", "b", "c"]).astype(int)
KINDS = {
    "binary": np.where(Z[:, 0] > 0, "yes", "no"),
    "classes": CLASSES,
    "indicators": (Z > 0).astype(np.uint8),
}
kinds = pytest.mark.parametrize("kind", KINDS)


def logistic_loss(output, target):
    margin = output * target
    return max(-margin, 0.0) + math.log1p(math.exp(-abs(margin)))


def logistic_slope(output, target):
    return -target / (1 + math.exp(output * target))


def squared_hinge(output, target):
    return max(0.0, 1 - output * target) ** 2


def squared_hinge_slope(output, target):
    return -2 * target * max(0.0, 1 - output * target)


LOGISTIC = (logistic_loss, logistic_slope)
HINGE = (squared_hinge, squared_hinge_slope)


def make(loss=HINGE, **options):
    return MLPClassifier(loss=loss, **SMALL | options)


def fitted(kind="binary", loss=HINGE, **options):
    return make(loss, **options).fit(X, KINDS[kind])


def same(first, second):
    assert first.loss_curve_ == second.loss_curve_
    reference.same_bits(first.net_, second.net_)


# What is learnt


def test_squared_hinge_on_digits():
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X / 16, y, random_state=0)
    model = MLPClassifier((64,), loss=HINGE, batch_size=50, max_iter=30, random_state=0)
    assert model.fit(X, y).score(X_test, y_test) > 0.95


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["binary", "indicators"])
def test_the_logistic_loss_written_by_hand_is_the_built_in_one(kind, weighted):
    y, weights = KINDS[kind], np.arange(ROWS) % 3 if weighted else None
    by_class = {"no": 1, "yes": 3} if weighted and kind == "binary" else None
    options = {"alpha": 3.0, "class_weight": by_class}
    ours, built_in = (make(loss, **options).fit(X, y, weights) for loss in (LOGISTIC, "log_loss"))
    np.testing.assert_allclose(ours.loss_curve_, built_in.loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(ours.net_.theta, built_in.net_.theta, rtol=1e-6, atol=1e-9)
    assert ours.net_.weight_decay == built_in.net_.weight_decay
    assert np.array_equal(ours.predict(X), built_in.predict(X))
    probabilities = built_in.predict_proba(X)
    expected = logit(probabilities[:, 1] if kind == "binary" else probabilities)
    np.testing.assert_allclose(ours.decision_function(X), expected, rtol=1e-5, atol=1e-8)


@kinds
def test_the_loss_is_the_mean_over_samples_and_outputs_with_the_penalty(kind):
    alpha, y = 3.0, KINDS[kind]
    model = fitted(kind, lr=0.0, batch_size=ROWS, alpha=alpha)
    positive = {"binary": (y == "yes")[:, np.newaxis], "classes": ONE_HOT, "indicators": y}[kind]
    outputs = reference.outputs(model.net_.theta, (FEATURES, 6, model.n_outputs_), X, "relu")
    losses = np.maximum(0, 1 - outputs * (2.0 * positive - 1)) ** 2
    squares = sum(np.sum(weights**2) for weights in model.coefs_)
    # In the sum over the outputs the penalty is scikit-learn's.
    penalty = alpha / 2 * squares / ROWS
    expected = (losses.sum(axis=1).mean() + penalty) / model.n_outputs_
    np.testing.assert_allclose(model.loss_curve_, expected, rtol=1e-9)


def test_several_classes_are_one_against_the_rest():
    model, indicators = fitted("classes"), make().fit(X, ONE_HOT)
    same(model, indicators)
    assert model.predict(X).tolist() != ["a"] * ROWS
    outputs = indicators.decision_function(X)
    assert np.array_equal(model.predict(X), np.array(["a", "b", "c"])[outputs.argmax(axis=1)])
    assert np.array_equal(indicators.predict(X), outputs > 0)


@kinds
def test_the_log_loss_is_what_the_network_has(kind):
    y = KINDS[kind]
    model = MLPClassifier(**SMALL, n_iter_no_change=np.inf, alpha=0.0).fit(X, y)
    several = kind == "classes"
    net = nd.MLP(
        (FEATURES, 6, model.n_outputs_),
        loss="cross_entropy" if several else "binary_cross_entropy",
        initialization="glorot",
        dtype=np.float64,
        seed=int(np.random.RandomState(0).randint(SEEDS)),
    )
    codes = y if kind == "indicators" else np.unique(y, return_inverse=True)[1]
    history = net.fit(X, codes, epochs=5, batch_size=20, verbose=0)
    assert history["loss"] == model.loss_curve_ == clone(model).fit(X, y).loss_curve_
    reference.same_bits(net, model.net_)
    sums = reference.outputs(net.theta, net.layer_sizes, X, "relu")
    expected = np.exp(log_softmax(sums, axis=1)) if several else expit(sums)
    found = model.predict_proba(X)[:, 1:] if kind == "binary" else model.predict_proba(X)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


# What is predicted


@kinds
def test_outputs_and_labels(kind):
    y = KINDS[kind]
    model = fitted(kind)
    outputs = model.decision_function(X)
    shape = (FEATURES, 6, model.n_outputs_)
    sums = reference.outputs(model.net_.theta, shape, X, "relu")
    np.testing.assert_allclose(outputs.reshape(sums.shape), sums, rtol=1e-9)
    assert outputs.shape == ((ROWS,) if kind == "binary" else (ROWS, 3))
    assert model.out_activation_ == "identity"
    expected = {
        "binary": lambda: np.where(outputs > 0, "yes", "no"),
        "classes": lambda: model.classes_[outputs.argmax(axis=1)],
        "indicators": lambda: outputs > 0,
    }[kind]()
    predicted = model.predict(X)
    assert np.array_equal(predicted, expected)
    assert len(np.unique(predicted, axis=0)) > 1
    accuracy = predicted == y if y.ndim == 1 else (predicted == y).all(axis=1)
    assert model.score(X, y) == accuracy.mean()


def has(model):
    names = ("decision_function", "predict_proba", "predict_log_proba")
    return [hasattr(model, name) for name in names]


def test_probabilities_or_outputs():
    assert has(make("log_loss")) == has(fitted(loss="log_loss")) == [False, True, True]
    assert has(make()) == has(fitted()) == [True, False, False]
    with pytest.raises(AttributeError, match="no attribute 'predict_proba'") as caught:
        fitted().predict_proba(X)
    assert str(caught.value.__cause__) == (
        "a loss of your own has no probabilities; use decision_function"
    )
    with pytest.raises(AttributeError, match="no attribute 'decision_function'") as caught:
        fitted(loss="log_loss").decision_function(X)
    assert "use predict_proba" in str(caught.value.__cause__)
    with pytest.raises(NotFittedError):
        make().decision_function(X)


@kinds
def test_predictions_are_those_of_the_loss_that_was_fitted(kind):
    for loss, other in ((HINGE, "log_loss"), ("log_loss", HINGE)):
        model = fitted(kind, loss)
        predicted, methods = model.predict(X), has(model)
        model.set_params(loss=other)
        assert np.array_equal(model.predict(X), predicted) and has(model) == methods
        assert has(model.fit(X, KINDS[kind])) != methods


# The rest of the estimator


@kinds
def test_partial_fit_and_warm_start_go_on(kind):
    y = KINDS[kind]
    whole = fitted(kind, n_iter_no_change=np.inf)
    parts, warm = make(), make(warm_start=True, max_iter=2, n_iter_no_change=np.inf)
    for _ in range(5):
        parts.partial_fit(X, y, classes=whole.classes_)
    same(parts, whole)
    same(warm.fit(X, y).set_params(max_iter=3).fit(X, y), whole)


def test_partial_fit_with_one_class_of_several():
    model = make(batch_size="auto")
    for label in "abc":
        rows = label == CLASSES
        model.partial_fit(X[rows], CLASSES[rows], classes=["a", "b", "c"])
    assert model.decision_function(X).shape == (ROWS, 3)


def test_a_warm_start_wants_the_same_loss_and_the_same_kind_of_labels():
    model = fitted("classes", warm_start=True)
    outputs = model.decision_function(X)
    for loss in (LOGISTIC, "log_loss"):
        with pytest.raises(ValueError, match="these are now .* warm_start=False makes a new one"):
            clone(model).fit(X, CLASSES).set_params(loss=loss).fit(X, CLASSES)
    for _ in range(2):
        with pytest.raises(ValueError, match="loss, outputs and dimensions of y .*, 3, 1.*, 3, 2"):
            model.fit(X, ONE_HOT)
    assert np.array_equal(model.decision_function(X), outputs)


def test_weights_of_classes_and_samples():
    y = KINDS["binary"]
    factors, weights = np.where(y == "yes", 3.0, 1.0), np.arange(1.0, 1 + ROWS)
    model = make(class_weight={"no": 1, "yes": 3}).fit(X, y, weights)
    same(model, make().fit(X, y, weights * factors))
    assert model.loss_curve_ != fitted().loss_curve_
    with pytest.raises(ValueError, match="class_weight is not supported for label indicators"):
        fitted("indicators", class_weight="balanced")


@pytest.mark.parametrize("scoring", [None, "roc_auc"])
def test_early_stopping(scoring):
    ours, built_in = (
        fitted(loss=loss, early_stopping=True, scoring=scoring, max_iter=20)
        for loss in (LOGISTIC, "log_loss")
    )
    assert ours.validation_scores_ == built_in.validation_scores_
    assert len(set(ours.validation_scores_)) > 1
    assert ours.best_validation_score_ == max(ours.validation_scores_)
    np.testing.assert_allclose(ours.validation_loss_curve_, built_in.validation_loss_curve_)
    np.testing.assert_allclose(ours.net_.theta, built_in.net_.theta, rtol=1e-6, atol=1e-9)


def test_a_copy_learns_the_same():
    model = fitted("classes", warm_start=True)
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.decision_function(X), model.decision_function(X))
    same(again.fit(X, CLASSES), model.fit(X, CLASSES))
    assert clone(model).loss == HINGE


def test_among_the_tools_of_scikit_learn():
    y = KINDS["binary"]
    search = GridSearchCV(make(max_iter=30), {"loss": ["log_loss", HINGE, LOGISTIC]}, cv=2)
    scores = search.fit(X, y).cv_results_["mean_test_score"]
    assert (scores > 0.7).all()
    calibrated = CalibratedClassifierCV(make(max_iter=30), cv=2).fit(X, y)
    assert calibrated.score(X, y) > 0.7
    np.testing.assert_allclose(calibrated.predict_proba(X).sum(axis=1), 1)


def test_losses_and_labels_that_are_refused():
    with pytest.raises(ValueError, match="loss must be 'log_loss' or a pair .*, but is 'hinge'"):
        fitted(loss="hinge")
    for loss in ((squared_hinge,), None):
        with pytest.raises(TypeError, match="loss must be a name or a pair of functions"):
            fitted(loss=loss)
    with pytest.raises(TypeError, match="loss: the function <lambda> cannot be called with 2"):
        fitted(loss=(squared_hinge, lambda output: output))
    for loss in (HINGE, "log_loss"):
        with pytest.raises(ValueError, match=r"y holds \[1 2\], but label indicators are 0 and 1"):
            make(loss).fit(X, ONE_HOT + 1)
