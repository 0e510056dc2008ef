"""Estimators for scikit-learn around `numadelta.MLP`: `MLPClassifier` and `MLPRegressor`.

They need the extra ``sklearn`` and have the names and habits of scikit-learn's own perceptrons.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numadelta import arrays, data
from numadelta.callbacks import EarlyStopping
from numadelta.clipping import Clip
from numadelta.history import History
from numadelta.mlp import MLP, Pair

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import check_scoring
    from sklearn.model_selection import train_test_split
    from sklearn.utils import check_random_state, column_or_1d
    from sklearn.utils.class_weight import compute_class_weight
    from sklearn.utils.metaestimators import available_if
    from sklearn.utils.multiclass import check_classification_targets, type_of_target
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        "the estimators need scikit-learn: pip install numadelta[sklearn]", name="sklearn"
    ) from error

AUTO_BATCH = 200
SEEDS = 2**31 - 1

Schedule = Callable[[int], float]
Scorer = Callable[[Any, Any, Any], float]


class _Targets(NamedTuple):
    """What a network is to learn of some y."""

    values: Any
    outputs: int
    loss: str | Pair
    classes: NDArray[Any] | None = None


class _Samples(NamedTuple):
    """Samples, y as given and as the network takes it, and the weights by sample and by class."""

    X: Any
    y: NDArray[Any]
    values: NDArray[Any]
    weights: NDArray[Any] | None
    factors: NDArray[Any] | None

    def take(self, rows: NDArray[Any]) -> _Samples:
        parts: Any = (None if part is None else part[rows] for part in self)
        return _Samples(*parts)

    @property
    def total_weights(self) -> NDArray[Any] | None:
        if self.weights is None or self.factors is None:
            return self.factors if self.weights is None else self.weights
        return self.weights * self.factors


class _Score:
    """A callback that writes the figure that early stopping watches into the logs."""

    def __init__(self, score: Callable[[], Any]) -> None:
        self.score = score

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        logs["val_score"] = arrays.check_number("what scoring returns", self.score())


class _Perceptron(BaseEstimator):
    """What classifier and regressor share."""

    _numeric = False

    @property
    def coefs_(self) -> list[NDArray[Any]]:
        """The weight matrix of each layer, a view of the network's parameters."""
        return list(self.net_.weights)

    @property
    def intercepts_(self) -> list[NDArray[Any]]:
        """The biases of each layer, a view of the network's parameters."""
        return list(self.net_.biases)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Any:
        """Train until the stopping rule or `max_iter` ends it.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (n, n_features)
            Samples.  float32 is computed with as such, everything else as float64.
        y : array_like, shape (n,) or (n, n_outputs)
            Labels, label indicators or real numbers.
        sample_weight : array_like, shape (n,), optional
            Factors of the samples' losses.

        Returns
        -------
        self
            The estimator; also after Ctrl-C, which ends the training with a RuntimeWarning.
        """
        self._check_options()
        return self._fit(X, y, sample_weight, self.warm_start and hasattr(self, "net_"))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return labels, label indicators or real numbers.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (n, n_features)
            Samples.

        Returns
        -------
        ndarray, shape (n,) or (n, n_outputs)
            Shaped as `y` in `fit`.
        """
        X = self._samples(X)
        return self._decode(self.net_.predict(X))

    def _samples(self, X: ArrayLike) -> Any:
        check_is_fitted(self)
        return validate_data(self, X, reset=False, accept_sparse="csr", dtype=self.net_.dtype)

    def _check_options(self) -> None:
        """Refuse what the network would refuse too late, or under another name, or not at all."""
        for name in ("shuffle", "early_stopping", "warm_start"):
            arrays.check_flag(name, getattr(self, name))
        for name in ("dropout", "input_dropout"):
            if not 0 <= arrays.check_number(name, getattr(self, name)) < 1:
                raise ValueError(f"{name} must be in [0, 1), but is {getattr(self, name)}")
        for name in ("alpha", "tol", "lr", "rho", "eps"):
            if not (name == "lr" and callable(self.lr)):
                arrays.check_hyperparameter(name, getattr(self, name), np.float32)
        Clip.checked(self.clipvalue, self.global_clipnorm, np.dtype(np.float32))
        if not 0 < arrays.check_number("validation_fraction", self.validation_fraction) < 1:
            raise ValueError(
                f"validation_fraction must be in (0, 1), but is {self.validation_fraction}"
            )
        counts = {"max_iter": self.max_iter}
        if self.batch_size != "auto":
            counts["batch_size"] = self.batch_size
        if self.n_iter_no_change != math.inf:
            counts["n_iter_no_change"] = self.n_iter_no_change
        for name, value in counts.items():
            if arrays.check_count(name, value) < 1:
                raise ValueError(f"{name} must be at least 1, but is {value}")
        if not isinstance(self.callbacks, Iterable | None):
            raise TypeError(f"callbacks must be a list of objects, but is {self.callbacks!r}")

    def _hidden(self) -> tuple[int, ...]:
        given = self.hidden_layer_sizes
        many = isinstance(given, Iterable) and not isinstance(given, str)
        sizes = [arrays.check_count("hidden_layer_sizes", n) for n in (given if many else [given])]
        if 0 in sizes:
            raise ValueError(f"hidden_layer_sizes must be positive, but is {given!r}")
        return tuple(sizes)

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None,
        going_on: bool,
        partial: bool = False,
        classes: ArrayLike | None = None,
    ) -> Any:
        hidden = self._hidden()
        X, y = validate_data(
            self,
            X,
            y,
            reset=not going_on,
            accept_sparse="csr",
            multi_output=True,
            y_numeric=self._numeric,
            dtype=self.net_.dtype if going_on else [np.float64, np.float32],
        )
        y = y.toarray() if hasattr(y, "toarray") else y
        y = column_or_1d(y, warn=True) if y.shape[1:] == (1,) else y
        known = getattr(self, "classes_", None) if going_on else classes
        targets = self._targets(y, known, partial)
        weights = None
        if sample_weight is not None:
            data.check_sample_weight(sample_weight, len(y), np.dtype(np.float64))
            weights = np.array(sample_weight, np.float64)
        samples = _Samples(X, y, targets.values, weights, self._factors(y, targets.classes))
        random, held_out = check_random_state(self.random_state), None
        # Both are always drawn: who goes on must hold out the same samples as before.
        seed, split_seed = (int(seed) for seed in random.randint(SEEDS, size=2))
        if self.early_stopping:
            train, rest = self._split(y, targets.classes, split_seed)
            samples, held_out = samples.take(train), samples.take(rest)
        layout = (hidden, self.activation, targets.loss, targets.outputs, y.ndim)
        if not going_on:
            self._start((X.shape[1], *hidden, targets.outputs), targets, X.dtype, seed)
            self._layout, self._y_ndim = layout, y.ndim
        elif layout != self._layout:
            raise ValueError(
                "the network was made for the hidden layers, activation, loss, outputs and "
                f"dimensions of y {self._layout}, but these are now {layout}; fit with "
                "warm_start=False makes a new one"
            )
        monitor = "val_score" if self.early_stopping else "loss"
        patience = int(min(self.n_iter_no_change, self.max_iter)) + 1
        stop = EarlyStopping(
            monitor, patience=patience, min_delta=self.tol, restore_best_weights=False
        )
        # Apart from that, for it knows of no improvement below `tol`.
        keep = EarlyStopping(monitor, patience=self.max_iter + 1) if held_out else None
        history = self._train(samples, held_out, targets, partial, stop, keep)
        self._note(history, len(samples.y), keep)
        exhausted = self.n_iter_ == self.max_iter and stop.wait < stop.patience
        if exhausted and not partial and history.interrupted is None:
            warnings.warn(
                f"max_iter={self.max_iter} epochs are done and the training has not converged",
                ConvergenceWarning,
                stacklevel=3,
            )
        return self

    def _train(
        self,
        samples: _Samples,
        held_out: _Samples | None,
        targets: _Targets,
        partial: bool,
        stop: EarlyStopping,
        keep: EarlyStopping | None,
    ) -> History:
        net, weights, rows = self.net_, samples.total_weights, len(samples.y)
        size = min(AUTO_BATCH, rows) if self.batch_size == "auto" else self.batch_size
        # alpha is meant for scikit-learn's gradient: of half the squares, and the sum over outputs.
        scale = 2.0 if targets.loss == "squared_error" else 1.0
        scale /= 1 if targets.loss == "cross_entropy" else targets.outputs
        decay = self.alpha * scale / min(size, rows)
        mean = 1.0 if weights is None else float(weights.mean())
        net.weight_decay = decay / mean if mean > 0 else decay  # no weights: fit will refuse them
        net.dropout, net.input_dropout = self.dropout, self.input_dropout
        callbacks: list[Any] = [] if partial else [stop]
        if held_out and keep:
            callbacks = [_Score(self._scoring(held_out)), keep, *callbacks]
        done, lr = len(self.history_.epoch), self.lr
        return net.fit(
            samples.X,
            samples.values,
            epochs=1 if partial else self.max_iter,
            batch_size=size,
            validation_data=(held_out.X, held_out.values) if held_out else None,
            sample_weight=weights,
            shuffle=self.shuffle,
            callbacks=[*callbacks, *(self.callbacks or ())],
            verbose=self.verbose,
            lr=(lambda epoch: lr(done + epoch)) if callable(lr) else lr,
            rho=self.rho,
            eps=self.eps,
            clipvalue=self.clipvalue,
            global_clipnorm=self.global_clipnorm,
        )

    def _start(
        self, sizes: tuple[int, ...], targets: _Targets, dtype: np.dtype[Any], seed: int
    ) -> None:
        """Make the network, and all attributes as they are before the first epoch."""
        self.net_ = MLP(
            sizes,
            activation=self.activation,
            loss=targets.loss,
            # As scikit-learn does it, for relu too: with few features He's is much wider.
            initialization="glorot",
            dtype=dtype,
            seed=seed,
        )
        if targets.classes is not None:
            self.classes_ = targets.classes
        self.n_layers_, self.n_outputs_ = len(sizes), targets.outputs
        outs = {"cross_entropy": "softmax", "binary_cross_entropy": "logistic"}
        self.out_activation_ = outs.get(str(targets.loss), "identity")
        self.history_, self.t_ = History(), 0
        self._note(History(), 0, None)

    def _note(self, history: History, rows: int, keep: EarlyStopping | None) -> None:
        """Add the epochs of a training to all attributes."""
        figures, stopping = self.history_.history, self.early_stopping
        for epoch in history.epoch:
            self.history_.append({name: all_[epoch] for name, all_ in history.history.items()})
        self.history_.interrupted = history.interrupted
        self.n_iter_ = len(history.epoch)
        self.t_ += self.n_iter_ * rows
        self.loss_curve_ = figures.get("loss", [])
        self.loss_ = self.loss_curve_[-1] if self.loss_curve_ else math.nan
        self.best_loss_ = None if stopping else min(self.loss_curve_, default=math.inf)
        self.validation_scores_ = figures.get("val_score", []) if stopping else None
        self.validation_loss_curve_ = figures.get("val_loss", []) if stopping else None
        self.best_validation_score_ = None if keep is None else keep.best

    def _split(
        self, y: NDArray[Any], classes: NDArray[Any] | None, seed: int
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the rows to train on and those to hold out."""
        # As scikit-learn does it: by class, but not by several labels.
        by_class = classes is not None and y.ndim == 1
        rows, fraction = len(y), self.validation_fraction
        try:
            train, held_out = train_test_split(
                np.arange(rows),
                test_size=fraction,
                random_state=seed,
                stratify=y if by_class else None,
            )
        except ValueError as error:
            raise ValueError(
                f"validation_fraction is {fraction}, which cannot be held out: {error}"
            ) from error
        if len(held_out) < 2:
            raise ValueError(
                f"validation_fraction is {fraction}, which is {len(held_out)} of {rows} samples, "
                "but at least 2 are needed"
            )
        return train, held_out

    def _scoring(self, held_out: _Samples) -> Callable[[], Any]:
        X, y = held_out.X, held_out.y
        # Shares the network, but expects no feature names: X has lost them.
        fitted = copy.copy(self)
        fitted.__dict__.pop("feature_names_in_", None)
        if self.scoring is None:
            return lambda: fitted.score(X, y, sample_weight=held_out.weights)
        scorer = check_scoring(fitted, scoring=self.scoring)
        return lambda: scorer(fitted, X, y)

    def _factors(self, y: NDArray[Any], classes: NDArray[Any] | None) -> NDArray[Any] | None:
        """Return the weights of the samples that follow from their classes."""
        return None


class MLPClassifier(ClassifierMixin, _Perceptron):
    """A multi-layer perceptron for labels, trained with ADADELTA.

    Two classes have one logistic output, more have softmax outputs, and label indicators (a matrix
    `y` of zeros and ones) have a logistic output for each label.  What is minimised is the mean
    cross-entropy, or a loss of yours.  Weights are initialised by Glorot's rule, as in
    scikit-learn.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default (100,)
        Units of each hidden layer.
    activation : {"relu", "tanh", "logistic", "identity"} or pair of functions, default "relu"
        Of the hidden layers; a pair ``(rule, derivative)`` as in `MLP`.
    loss : "log_loss" or pair of functions, default "log_loss"
        What is minimised: the cross-entropy, or a pair ``(rule, derivative)`` as in `MLP`, in the
        mean over samples and outputs.  A pair is given the outputs of the last layer as they are,
        one for two classes, else one for each class or label.  Targets are +1 where a sample has
        that class (of two the second) or label and -1 elsewhere, so ``output * target`` is the
        margin and zero the boundary, as in scikit-learn's `SGDClassifier`.  Of several classes the
        one of the largest output is predicted.  There is `decision_function` then, and no
        `predict_proba`.
    alpha : float, default 1e-4
        L2 penalty with scikit-learn's meaning: ``alpha / 2`` times the sum of all squared weights,
        divided by the number of samples in a batch (by their weight, with `sample_weight`).
    batch_size : int or "auto", default "auto"
        Samples a step; ``"auto"`` is 200, or all if there are fewer.
    max_iter : int, default 200
        Epochs, at most.
    shuffle : bool, default True
        Whether to draw a new order for each epoch.
    random_state : int, RandomState or None, default None
        Initialisation, order, dropout and held-out samples are drawn from it.
    tol, n_iter_no_change : float and int, default 1e-4, 10
        The training ends when the loss (the validation score, with `early_stopping`) has not
        improved by more than `tol` for more than `n_iter_no_change` epochs.
    verbose : bool or {0, 1, 2}, default False
        As in `MLP.fit`.
    warm_start : bool, default False
        Whether `fit` goes on from where the last one ended.
    early_stopping : bool, default False
        Whether to hold out samples, to stop by the score on them and to put the weights of the best
        epoch back.
    validation_fraction : float, default 0.1
        The share that `early_stopping` holds out, stratified by class (not by several labels).
    lr : float or callable, default 1.0
        Factor of the steps, or a schedule ``lr(epoch)``.
    rho, eps : float, default 0.95, 1e-6
        Of ADADELTA.
    dropout, input_dropout : float, default 0.0
        The share of hidden units and of inputs that each step leaves out, as in `MLP`.
    class_weight : dict, "balanced" or None, default None
        Factors of the samples' losses by class, as everywhere in scikit-learn; not for several
        labels.  They multiply `sample_weight`.
    scoring : str, callable or None, default None
        The score that `early_stopping` watches: a name, or ``scorer(estimator, X, y)``; more is
        better.  None is the estimator's own `score`, which also takes account of `sample_weight`.
    callbacks : iterable of objects, optional
        As in `MLP.fit`.
    clipvalue, global_clipnorm : float, optional
        Limits of the gradient, as in `MLP.fit`.

    Attributes
    ----------
    coefs_, intercepts_ : list of ndarray
        Weights, shape (n_in, n_out), and biases of each layer: views of ``net_.theta``.
    classes_ : ndarray
        The labels; of label indicators the numbers of the columns.
    net_ : MLP
        The network.
    history_ : History
        All figures of all epochs.  Later fits add to it with `warm_start`, as does `partial_fit`.
        With a loss of yours its ``"score"`` is R^2, as in `MLP.evaluate`.
    loss_curve_, loss_, best_loss_ : list of float, float, float or None
        The training loss of each epoch with penalty, the last and the least one.  There is no
        `best_loss_` with `early_stopping`.
    validation_scores_, best_validation_score_ : list of float and float, or None
        With `early_stopping`, the score after each epoch, and that of the weights put back.
    validation_loss_curve_ : list of float or None
        With `early_stopping`, the loss on the samples held out.
    n_iter_ : int
        Epochs of the last call.
    t_ : int
        Samples seen in all epochs.
    n_features_in_, feature_names_in_ : int, ndarray
        Number of the features, and their names if `X` had any.
    n_layers_, n_outputs_, out_activation_ : int, int, str
        Layers with those of inputs and outputs, outputs, and ``"logistic"``, ``"softmax"`` or, with
        a loss of yours, ``"identity"``.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from numadelta.sklearn import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), MLPClassifier(batch_size=25, random_state=0))
    >>> model.fit(X, y).score(X, y) > 0.95
    True
    """

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str | Pair = "relu",
        *,
        loss: str | Pair = "log_loss",
        alpha: float = 1e-4,
        batch_size: int | str = "auto",
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: float = 10,
        lr: float | Schedule = 1.0,
        rho: float = 0.95,
        eps: float = 1e-6,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        class_weight: dict[Any, float] | str | None = None,
        scoring: str | Scorer | None = None,
        callbacks: Iterable[Any] | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
    ) -> None:
        self.hidden_layer_sizes, self.activation, self.loss = hidden_layer_sizes, activation, loss
        self.alpha, self.batch_size, self.max_iter = alpha, batch_size, max_iter
        self.shuffle, self.random_state, self.tol = shuffle, random_state, tol
        self.verbose, self.warm_start, self.early_stopping = verbose, warm_start, early_stopping
        self.validation_fraction, self.n_iter_no_change = validation_fraction, n_iter_no_change
        self.lr, self.rho, self.eps = lr, rho, eps
        self.dropout, self.input_dropout = dropout, input_dropout
        self.class_weight, self.scoring, self.callbacks = class_weight, scoring, callbacks
        self.clipvalue, self.global_clipnorm = clipvalue, global_clipnorm

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
    ) -> MLPClassifier:
        """Train for one epoch over these samples, from where the last call ended.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.
        classes : array_like
            All labels that there will be; only the first call needs them.

        Returns
        -------
        self
            The estimator.
        """
        self._check_options()
        if self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        if isinstance(self.class_weight, str):
            raise ValueError(
                f"partial_fit does not support class_weight={self.class_weight!r}, for it does not "
                "know the other samples; give a dict"
            )
        going_on = hasattr(self, "net_")
        if classes is None and not going_on:
            raise ValueError("classes must be given in the first call of partial_fit")
        if classes is not None and going_on:
            if not np.array_equal(np.unique(classes), self.classes_):
                raise ValueError(f"classes is {classes}, but was {self.classes_} before")
        return self._fit(X, y, sample_weight, going_on, True, classes)

    def _has_log_loss(self) -> bool:
        # Once there is a network, its loss: the parameter may have changed since.
        owner: Any = getattr(self, "net_", self)
        return isinstance(owner.loss, str)

    def _check_proba(self) -> bool:
        if not self._has_log_loss():
            raise AttributeError("a loss of yours knows no probabilities; use decision_function")
        return True

    def _check_decision(self) -> bool:
        if self._has_log_loss():
            raise AttributeError("only a loss of yours has decision_function; use predict_proba")
        return True

    @available_if(_check_decision)
    def decision_function(self, X: ArrayLike) -> NDArray[Any]:
        """Return the outputs of the last layer; only with a loss of yours.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (n, n_features)
            Samples.

        Returns
        -------
        ndarray, shape (n,) or (n, n_classes)
            Of two classes, positive for the second; else in the order of `classes_`.
        """
        X = self._samples(X)
        return self.net_.predict(X)

    @available_if(_check_proba)
    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Return the probability of each class, or of each label; not with a loss of yours.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (n, n_features)
            Samples.

        Returns
        -------
        ndarray, shape (n, n_classes)
            In the order of `classes_`.
        """
        X = self._samples(X)
        probabilities = self.net_.predict_proba(X)
        if probabilities.ndim == 1:
            return np.stack([1 - probabilities, probabilities], axis=1)
        return probabilities

    @available_if(_check_proba)
    def predict_log_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Return the logarithms of `predict_proba`, minus infinity of zeros."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _targets(self, y: NDArray[Any], classes: ArrayLike | None, partial: bool) -> _Targets:
        targets = self._numbered(y, classes, partial)
        if isinstance(self.loss, str):
            arrays.check_choice("loss", self.loss, ["log_loss"])
            return targets
        positive = targets.values
        if targets.loss == "cross_entropy":
            positive = positive[:, np.newaxis] == np.arange(targets.outputs)
        return targets._replace(values=np.where(positive, 1, -1), loss=self.loss)

    def _numbered(self, y: NDArray[Any], classes: ArrayLike | None, partial: bool) -> _Targets:
        """Return numbers of classes or indicators of labels, as the log loss takes them."""
        check_classification_targets(y)
        if y.ndim == 2:
            if (kind := type_of_target(y)) != "multilabel-indicator":
                raise ValueError(f"y is {kind}, but labels or label indicators are needed")
            if not np.isin(y, (0, 1)).all():
                raise ValueError(f"y holds {np.unique(y)}, but label indicators are 0 and 1")
            labels = np.arange(y.shape[1])
            if classes is not None and len(np.unique(classes)) != len(labels):
                raise ValueError(f"y has {len(labels)} columns, but classes is {classes}")
            return _Targets(y, len(labels), "binary_cross_entropy", labels)
        found = np.unique(y)
        known = found if classes is None else np.unique(classes)
        if unknown := np.setdiff1d(found, known).tolist():
            raise ValueError(f"y holds {unknown}, but classes is {known}")
        if len(found) < len(known) and not partial:
            raise ValueError(f"y holds the classes {found}, but warm_start needs all of {known}")
        if len(known) < 2:
            raise ValueError(f"y holds one class, {known}, but at least two classes are needed")
        codes = np.searchsorted(known, y)
        if len(known) == 2:
            return _Targets(codes, 1, "binary_cross_entropy", known)
        return _Targets(codes, len(known), "cross_entropy", known)

    def _factors(self, y: NDArray[Any], classes: NDArray[Any] | None) -> NDArray[Any] | None:
        if self.class_weight is None:
            return None
        if y.ndim == 2:
            raise ValueError("class_weight is not supported for label indicators")
        factors = compute_class_weight(self.class_weight, classes=classes, y=y)
        return factors[np.searchsorted(classes, y)]  # type: ignore[arg-type]

    def _decode(self, predicted: NDArray[Any]) -> NDArray[Any]:
        if not self._has_log_loss():
            one_of_many = self._y_ndim == 1 and predicted.ndim == 2
            predicted = predicted.argmax(axis=1) if one_of_many else (predicted > 0).astype(int)
        return predicted if predicted.ndim == 2 else self.classes_[predicted]


class MLPRegressor(RegressorMixin, _Perceptron):
    """A multi-layer perceptron for real numbers, trained with ADADELTA.

    Parameters
    ----------
    hidden_layer_sizes, activation
        As for `MLPClassifier`, and so are all others but this:
    loss : "squared_error" or pair of functions, default "squared_error"
        What is minimised, in the mean over samples and outputs: the square of the error (not half
        of it), or a pair ``(rule, derivative)`` as in `MLP`.

    Attributes
    ----------
    coefs_, intercepts_
        As for `MLPClassifier`, and so are all others, but there is no `classes_`;
        `out_activation_` is ``"identity"``.

    Examples
    --------
    >>> import numpy as np
    >>> from numadelta.sklearn import MLPRegressor
    >>> X = np.linspace(-2, 2, 200)[:, np.newaxis]
    >>> model = MLPRegressor(batch_size=20, random_state=0)
    >>> model.fit(X, np.sin(2 * X[:, 0])).score(X, np.sin(2 * X[:, 0])) > 0.9
    True
    """

    _numeric = True

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str | Pair = "relu",
        *,
        loss: str | Pair = "squared_error",
        alpha: float = 1e-4,
        batch_size: int | str = "auto",
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: float = 10,
        lr: float | Schedule = 1.0,
        rho: float = 0.95,
        eps: float = 1e-6,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        scoring: str | Scorer | None = None,
        callbacks: Iterable[Any] | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
    ) -> None:
        self.hidden_layer_sizes, self.activation, self.loss = hidden_layer_sizes, activation, loss
        self.alpha, self.batch_size, self.max_iter = alpha, batch_size, max_iter
        self.shuffle, self.random_state, self.tol = shuffle, random_state, tol
        self.verbose, self.warm_start, self.early_stopping = verbose, warm_start, early_stopping
        self.validation_fraction, self.n_iter_no_change = validation_fraction, n_iter_no_change
        self.lr, self.rho, self.eps = lr, rho, eps
        self.dropout, self.input_dropout = dropout, input_dropout
        self.scoring, self.callbacks = scoring, callbacks
        self.clipvalue, self.global_clipnorm = clipvalue, global_clipnorm

    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> MLPRegressor:
        """Train for one epoch over these samples, from where the last call ended.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.

        Returns
        -------
        self
            The estimator.
        """
        self._check_options()
        if self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        return self._fit(X, y, sample_weight, hasattr(self, "net_"), True)

    def _targets(self, y: NDArray[Any], classes: ArrayLike | None, partial: bool) -> _Targets:
        if isinstance(self.loss, str):
            arrays.check_choice("loss", self.loss, ["squared_error"])
        return _Targets(y, 1 if y.ndim == 1 else y.shape[1], self.loss)

    def _decode(self, predicted: NDArray[Any]) -> NDArray[Any]:
        return predicted
