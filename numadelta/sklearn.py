"""Estimators for scikit-learn around `numadelta.MLP`: `MLPClassifier` and `MLPRegressor`.

They need the extra ``sklearn`` and have the names and habits of scikit-learn's own perceptrons.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numadelta.fit_options import Schedule
from numadelta.functions import Pair

try:
    from sklearn.base import ClassifierMixin, RegressorMixin
    from sklearn.utils.class_weight import compute_class_weight
    from sklearn.utils.metaestimators import available_if
    from sklearn.utils.multiclass import check_classification_targets, type_of_target
except ImportError as error:
    raise ImportError(
        "the estimators need scikit-learn: pip install numadelta[sklearn]", name="sklearn"
    ) from error

from numadelta.estimator import BaseMLP, Scorer, check_loss
from numadelta.samples import Targets


class MLPClassifier(ClassifierMixin, BaseMLP):
    """A multi-layer perceptron for labels, trained with ADADELTA.

    Two classes have one logistic output, more have softmax outputs, and label indicators (a matrix
    `y` of zeros and ones) have a logistic output for each label.  What is minimised is the mean
    cross-entropy, or a loss of your own.  Weights are initialised by Glorot's rule, as in
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
        The training ends after more than `n_iter_no_change` epochs in a row of which none was
        better by `tol` than the best before it: by the loss, or by the validation score with
        `early_stopping`.
    verbose : bool or int, default False
        As in `MLP.fit`; more than 2 is 2.
    warm_start : bool, default False
        Whether `fit` goes on from where the last one ended.
    early_stopping : bool, default False
        Whether to hold out samples, to stop by the score on them and to put the weights of the best
        epoch back.
    validation_fraction : float, default 0.1
        The share that `early_stopping` holds out; stratified by class, if that many can be held out
        (not by several labels).  A class of one sample is an error.
    lr : float or callable, default 1.0
        Factor of the steps, or a schedule ``lr(epoch)``.
    rho, eps : float, default 0.95, 1e-6
        Of ADADELTA.
    dropout, input_dropout : float, default 0.0
        The share of hidden units and of inputs that each step leaves out, as in `MLP`.
    class_weight : dict, "balanced" or None, default None
        Factors of the samples' losses by class, as everywhere in scikit-learn; not for several
        labels.  They multiply `sample_weight`.  All weights are divided by their mean in each call,
        so in `partial_fit` they count among the samples of one call only.
    scoring : str, callable or None, default None
        The score that `early_stopping` watches: a name, or ``scorer(estimator, X, y)``; more is
        better.  None is the estimator's own `score`, with the weights that the loss has.
    callbacks : list of objects, optional
        As in `MLP.fit`.
    shared_delta : bool, default False
        Whether the weights of a layer share one E[dx^2], and its biases another, as in `MLP.fit`.
        Worth trying, with an `eps` of 1e-8 or less and a larger `lr`, where rare features decide.
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
        ``"score"`` and ``"val_score"`` are the share of right labels, each by itself where there
        are several; with a loss of your own there is neither.  ``"scoring"`` is what
        `early_stopping` watches.
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
        a loss of your own, ``"identity"``.

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
        shared_delta: bool = False,
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
        self.shared_delta = shared_delta
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

        Examples
        --------
        >>> import numpy as np
        >>> from numadelta.sklearn import MLPClassifier
        >>> model = MLPClassifier((8,), random_state=0)
        >>> for _ in range(3):
        ...     model = model.partial_fit(np.eye(2), ["no", "yes"], classes=["maybe", "no", "yes"])
        >>> model.classes_, model.t_
        (array(['maybe', 'no', 'yes'], dtype='<U5'), 6)
        """
        if isinstance(self.class_weight, str):
            raise ValueError(
                f"partial_fit does not support class_weight={self.class_weight!r}, for it does not "
                "know the other samples; give a dict"
            )
        going_on = hasattr(self, "net_")
        if classes is None and not going_on:
            raise ValueError(
                "classes must be given in the first call of partial_fit, by keyword: the third "
                "argument is sample_weight"
            )
        if classes is not None and going_on:
            if not np.array_equal(np.unique(classes), self.classes_):
                raise ValueError(f"classes is {classes}, but was {self.classes_} before")
        return self._fit(X, y, sample_weight, going_on=going_on, partial=True, classes=classes)

    def _has_log_loss(self) -> bool:
        # Once there is a network, its loss: the parameter may have changed since.
        owner: Any = getattr(self, "net_", self)
        return isinstance(owner.loss, str)

    def _check_proba(self) -> bool:
        if not self._has_log_loss():
            raise AttributeError("a loss of your own has no probabilities; use decision_function")
        return True

    def _check_decision(self) -> bool:
        if self._has_log_loss():
            raise AttributeError("only a loss of your own has decision_function; use predict_proba")
        return True

    @available_if(_check_decision)
    def decision_function(self, X: ArrayLike) -> NDArray[Any]:
        """Return the outputs of the last layer; only with a loss of your own.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (n, n_features)
            Samples.

        Returns
        -------
        ndarray, shape (n,) or (n, n_classes)
            Of two classes, positive for the second; else in the order of `classes_`.

        Examples
        --------
        >>> import numpy as np
        >>> from numadelta.sklearn import MLPClassifier
        >>> def hinge(output, target):
        ...     return max(0.0, 1.0 - target * output)
        >>> def slope(output, target):
        ...     return -target if target * output < 1.0 else 0.0
        >>> model = MLPClassifier((8,), loss=(hinge, slope), max_iter=1000, random_state=0)
        >>> model = model.fit(np.eye(2), ["no", "yes"])
        >>> model.decision_function(np.eye(2)) > 0
        array([False,  True])
        """
        X = self._samples(X)
        return self.net_.predict(X)

    @available_if(_check_proba)
    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Return the probability of each class, or of each label; not with a loss of your own.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (n, n_features)
            Samples.

        Returns
        -------
        ndarray, shape (n, n_classes)
            In the order of `classes_`.

        Examples
        --------
        >>> import numpy as np
        >>> from numadelta.sklearn import MLPClassifier
        >>> model = MLPClassifier((8,), max_iter=200, tol=0.1, random_state=0)
        >>> model = model.fit(np.eye(3), [1, 2, 3])
        >>> model.predict_proba(np.eye(3)).sum(axis=1).round(6)
        array([1., 1., 1.])
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

    def _targets(self, y: NDArray[Any], classes: ArrayLike | None, partial: bool) -> Targets:
        check_loss(self.loss, "log_loss")
        targets = self._numbered(y, classes, partial)
        if isinstance(self.loss, str):
            return targets
        positive = targets.values
        if targets.loss == "cross_entropy":
            positive = positive[:, np.newaxis] == np.arange(targets.outputs)
        return targets._replace(values=np.where(positive, 1, -1), loss=self.loss)

    def _numbered(self, y: NDArray[Any], classes: ArrayLike | None, partial: bool) -> Targets:
        """Return numbers of classes or indicators of labels, as the log loss takes them."""
        if y.ndim == 2 or classes is None:
            check_classification_targets(y)
        if y.ndim == 2:
            if (kind := type_of_target(y)) != "multilabel-indicator":
                raise ValueError(f"y is {kind}, but labels or label indicators are needed")
            if not np.isin(y, (0, 1)).all():
                raise ValueError(f"y holds {np.unique(y)}, but label indicators are 0 and 1")
            labels = np.arange(y.shape[1])
            if classes is not None and len(np.unique(classes)) != len(labels):
                raise ValueError(f"y has {len(labels)} columns, but classes is {classes}")
            return Targets(y, len(labels), "binary_cross_entropy", labels)
        found = np.unique(y)
        known = found if classes is None else np.unique(classes)
        if unknown := np.setdiff1d(found, known).tolist():
            what = "classes is" if partial else "warm_start goes on with the classes"
            raise ValueError(f"y holds {unknown}, but {what} {known}")
        if len(found) < len(known) and not partial:
            raise ValueError(f"y holds the classes {found}, but warm_start needs all of {known}")
        if len(known) < 2:
            raise ValueError(f"y holds one class, {known}, but at least two classes are needed")
        codes = np.searchsorted(known, y)
        if len(known) == 2:
            return Targets(codes, 1, "binary_cross_entropy", known)
        return Targets(codes, len(known), "cross_entropy", known)

    def _factors(self, y: NDArray[Any], classes: NDArray[Any] | None) -> NDArray[Any] | None:
        if self.class_weight is None:
            return None
        if y.ndim == 2:
            raise ValueError("class_weight is not supported for label indicators")
        factors = compute_class_weight(self.class_weight, classes=classes, y=y)
        if not ((factors >= 0) & np.isfinite(factors)).all() or not factors.any():
            raise ValueError(
                "class_weight must hold numbers that are finite and not negative, and one that is "
                f"not zero, but is {self.class_weight}"
            )
        return factors[np.searchsorted(classes, y)]  # type: ignore[arg-type]

    def _decode(self, predicted: NDArray[Any]) -> NDArray[Any]:
        if not self._has_log_loss():
            one_of_many = self._layout[-1] == 1 and predicted.ndim == 2
            predicted = predicted.argmax(axis=1) if one_of_many else (predicted > 0).astype(int)
        return predicted if predicted.ndim == 2 else self.classes_[predicted]


class MLPRegressor(RegressorMixin, BaseMLP):
    """A multi-layer perceptron for real numbers, trained with ADADELTA.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default (100,)
        Units of each hidden layer.
    activation : {"relu", "tanh", "logistic", "identity"} or pair of functions, default "relu"
        Of the hidden layers; a pair ``(rule, derivative)`` as in `MLP`.
    loss : "squared_error" or pair of functions, default "squared_error"
        What is minimised, in the mean over samples and outputs: the square of the error (not half
        of it), or a pair ``(rule, derivative)`` as in `MLP`.
    alpha : float, default 1e-4
        L2 penalty with scikit-learn's meaning.
    batch_size : int or "auto", default "auto"
        Samples a step; ``"auto"`` is 200, or all if there are fewer.
    max_iter : int, default 200
        Epochs, at most.
    shuffle, random_state, tol, n_iter_no_change, verbose, warm_start
        As for `MLPClassifier`, with the same defaults.
    early_stopping, validation_fraction, scoring
        As for `MLPClassifier`; the score is R^2 by default.
    lr, rho, eps, dropout, input_dropout, callbacks, shared_delta, clipvalue, global_clipnorm
        As for `MLPClassifier`, with the same defaults.

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
        shared_delta: bool = False,
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
        self.shared_delta = shared_delta
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

        Examples
        --------
        >>> import numpy as np
        >>> from numadelta.sklearn import MLPRegressor
        >>> model = MLPRegressor((8,), random_state=0)
        >>> for _ in range(3):
        ...     model = model.partial_fit(np.eye(2), [0.5, 1.5])
        >>> len(model.loss_curve_)
        3
        """
        return self._fit(X, y, sample_weight, going_on=hasattr(self, "net_"), partial=True)

    def _targets(self, y: NDArray[Any], classes: ArrayLike | None, partial: bool) -> Targets:
        check_loss(self.loss, "squared_error")
        return Targets(y, 1 if y.ndim == 1 else y.shape[1], self.loss)

    def _decode(self, predicted: NDArray[Any]) -> NDArray[Any]:
        return predicted
