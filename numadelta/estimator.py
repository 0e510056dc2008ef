"""What the estimators of `numadelta.sklearn` share: a training and what scikit-learn sees of it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import check_scoring
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.validation import check_is_fitted, validate_data

from numadelta import arrays, caller, data
from numadelta.callbacks import EarlyStopping
from numadelta.history import History
from numadelta.interrupts import Terminated
from numadelta.mlp import MLP
from numadelta.samples import Samples, Targets, hold_out

AUTO_BATCH = 200
SEEDS = 2**31 - 1

Scorer = Callable[[Any, Any, Any], float]


def check_loss(loss: object, name: str) -> None:
    """Refuse the name of another loss."""
    if isinstance(loss, str) and loss != name:
        raise ValueError(
            f"loss must be {name!r} or a pair of functions (rule, derivative), but is {loss!r}"
        )


class _Stopping:
    """A callback that ends the training by scikit-learn's rule, which is not Keras'.

    An epoch must be better by `tol` than the best one before it, whatever that was; so many small
    gains in a row do not add up to one.  `score`, if given, makes the figure that is watched.
    `signs` tells that targets are the signs of classes, of which R^2 means nothing.
    """

    def __init__(
        self,
        monitor: str,
        tol: float,
        patience: float,
        score: Callable[[], Any] | None,
        signs: bool,
    ) -> None:
        self.monitor, self.tol, self.patience, self.score = monitor, tol, patience, score
        self.signs = signs
        self.best, self.count = -math.inf, 0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        if self.signs:
            logs.pop("val_score", None)
        if self.score is not None:
            logs[self.monitor] = arrays.check_number("what scoring returns", self.score())
        value = -logs["loss"] if self.monitor == "loss" else logs[self.monitor]
        self.count = 0 if value >= self.best + self.tol else self.count + 1
        self.best = max(self.best, value)
        if self.is_over():
            raise StopIteration

    def is_over(self) -> bool:
        return self.count > self.patience


def _steps(net: MLP | None) -> int:
    return 0 if net is None or net.optimizer is None else net.optimizer.steps


class BaseMLP(BaseEstimator):
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
            The estimator; also after Ctrl-C, which ends the training with a RuntimeWarning.  After
            SIGTERM, which does the same, KeyboardInterrupt is raised, so that the program ends.
        """
        going_on = self.warm_start and hasattr(self, "net_")
        return self._fit(X, y, sample_weight, going_on=going_on)

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
        """Refuse what the network does not see, or under another name."""
        for name in ("early_stopping", "warm_start"):
            arrays.check_flag(name, getattr(self, name))
        for name in ("alpha", "tol"):
            arrays.check_hyperparameter(name, getattr(self, name))
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
            arrays.check_count(name, value, 1)
        # An iterator would be at its end in the next fit.
        if not isinstance(self.callbacks, Iterable | None) or isinstance(self.callbacks, Iterator):
            raise TypeError(f"callbacks must be a list of objects, but is {self.callbacks!r}")

    def _hidden(self) -> tuple[int, ...]:
        given = self.hidden_layer_sizes
        many = isinstance(given, Iterable) and not isinstance(given, str)
        sizes = [arrays.check_count("hidden_layer_sizes", n) for n in (given if many else [given])]
        if 0 in sizes:
            raise ValueError(f"hidden_layer_sizes must be positive, but is {given!r}")
        return tuple(sizes)

    def _fit(self, *arguments: Any, **options: Any) -> Any:
        """Train; what is refused leaves all attributes as they were."""
        before = dict(self.__dict__)
        old = before.get("net_")
        steps, names = _steps(old), ("weight_decay", "dropout", "input_dropout")
        settings = {} if old is None else {name: getattr(old, name) for name in names}
        try:
            return self._try_to_fit(*arguments, **options)
        except BaseException as error:  # Ctrl-C may come before the training, which handles it
            net = self.__dict__.get("net_")
            if _steps(net) == (steps if net is old else 0):
                self.__dict__.clear()
                self.__dict__.update(before)
                for name, value in settings.items():
                    setattr(old, name, value)
            elif isinstance(history := getattr(error, "history", None), History):
                self._record(history, None)
            raise

    def _try_to_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None,
        *,
        going_on: bool,
        partial: bool = False,
        classes: ArrayLike | None = None,
    ) -> Any:
        self._check_options()
        if partial and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        hidden = self._hidden()
        known = getattr(self, "classes_", None) if going_on else classes
        samples, targets = self._checked(X, y, sample_weight, going_on, known, partial)
        random, held_out = check_random_state(self.random_state), None
        # Both are always drawn, so that a warm start holds out the same samples.
        seed, split_seed = (int(seed) for seed in random.randint(SEEDS, size=2))
        if self.early_stopping:
            samples, held_out = hold_out(
                samples, targets.classes is not None, self.validation_fraction, split_seed
            )
        layout = (hidden, self.activation, targets.loss, targets.outputs, samples.y.ndim)
        self._rows = len(samples.y)
        if not going_on:
            features, dtype = samples.X.shape[1], samples.X.dtype
            self._start((features, *hidden, targets.outputs), targets, dtype, seed)
            self._layout = layout
        elif layout != self._layout:
            raise ValueError(
                "the network was made for the hidden layers, activation, loss, outputs and "
                f"dimensions of y {self._layout}, but these are now {layout}; fit with "
                "warm_start=False makes a new one"
            )
        monitor = "scoring" if self.early_stopping else "loss"
        score = self._scoring(held_out) if held_out else None
        signs = targets.classes is not None and not isinstance(targets.loss, str)
        stop = _Stopping(monitor, self.tol, self.n_iter_no_change, score, signs)
        keep = None
        if held_out:
            # Only to put the best weights back: better by less than `tol` counts here.
            keep = EarlyStopping(monitor, mode="max", patience=self.max_iter + 1)
        history = self._train(samples, held_out, targets, partial, stop, keep)
        self._record(history, keep)
        if history.interrupted == "SIGTERM":
            raise Terminated  # or a search would score this fit and begin the next
        exhausted = self.n_iter_ == self.max_iter and not stop.is_over()
        if exhausted and not partial and history.interrupted is None:
            caller.warn(
                f"max_iter={self.max_iter} epochs are done and the training has not converged",
                ConvergenceWarning,
            )
        return self

    def _checked(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None,
        going_on: bool,
        classes: ArrayLike | None,
        partial: bool,
    ) -> tuple[Samples, Targets]:
        """Return the data, checked as scikit-learn does, and targets as the network takes them."""
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
        targets = self._targets(y, classes, partial)
        weights = None
        if sample_weight is not None:
            data.check_sample_weight(sample_weight, len(y), np.dtype(np.float64))
            weights = np.array(sample_weight, np.float64)
        factors = self._factors(y, targets.classes)
        samples = Samples(X, y, targets.values, weights, factors)
        if factors is not None and not samples.total_weights.any():  # type: ignore[union-attr]
            raise ValueError("with class_weight, all samples have the weight zero")
        return samples, targets

    def _train(
        self,
        samples: Samples,
        held_out: Samples | None,
        targets: Targets,
        partial: bool,
        stop: _Stopping,
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
        callbacks += self.callbacks or ()
        callbacks += [keep] if keep else []  # last, whatever weights others put back
        done, lr, verbose = len(self.history_.epoch), self.lr, self.verbose
        if isinstance(verbose, (int, np.integer)) and verbose > 2:
            verbose = 2  # 10 is a habit of scikit-learn's users
        return net.fit(
            samples.X,
            samples.values,
            epochs=1 if partial else self.max_iter,
            batch_size=size,
            validation_data=held_out and (held_out.X, held_out.values, held_out.total_weights),
            sample_weight=weights,
            shuffle=self.shuffle,
            callbacks=callbacks,
            verbose=verbose,
            lr=(lambda epoch: lr(done + epoch)) if callable(lr) else lr,
            rho=self.rho,
            eps=self.eps,
            shared_delta=self.shared_delta,
            clipvalue=self.clipvalue,
            global_clipnorm=self.global_clipnorm,
        )

    def _start(
        self, sizes: tuple[int, ...], targets: Targets, dtype: np.dtype[Any], seed: int
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
        self._record(History(), None)

    def _record(self, history: History, keep: EarlyStopping | None) -> None:
        """Add the epochs of a training to all attributes."""
        figures, stopping = self.history_.history, self.early_stopping
        for epoch in history.epoch:
            self.history_.append({name: values[epoch] for name, values in history.history.items()})
        self.history_.interrupted = history.interrupted
        self.n_iter_ = len(history.epoch)
        self.t_ += self.n_iter_ * self._rows
        self.loss_curve_ = figures.get("loss", [])
        self.loss_ = self.loss_curve_[-1] if self.loss_curve_ else math.nan
        self.best_loss_ = None if stopping else min(self.loss_curve_, default=math.inf)
        self.validation_scores_ = figures.get("scoring", []) if stopping else None
        self.validation_loss_curve_ = figures.get("val_loss", []) if stopping else None
        self.best_validation_score_ = None if keep is None else keep.best

    def _scoring(self, held_out: Samples) -> Callable[[], Any]:
        X, y = held_out.X, held_out.y
        # Shares the network, but expects no feature names: X has lost them.
        fitted = copy.copy(self)
        fitted.__dict__.pop("feature_names_in_", None)
        if self.scoring is None:
            return lambda: fitted.score(X, y, sample_weight=held_out.total_weights)
        scorer = check_scoring(fitted, scoring=self.scoring)
        return lambda: scorer(fitted, X, y)

    def _factors(self, y: NDArray[Any], classes: NDArray[Any] | None) -> NDArray[Any] | None:
        """Return the weights of the samples that follow from their classes."""
        return None
