"""Callbacks of a training, with Keras' habits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from numadelta import arrays, kernels

LESS_IS_BETTER = ("loss",)
MORE_IS_BETTER = ("score", "acc", "accuracy", "auc", "r2")


class EarlyStopping:
    """End the training when a figure no longer improves.

    Parameters
    ----------
    monitor : str, default "val_loss"
        The figure, by its name in the logs of an epoch.
    patience : int, default 10
        So many epochs in a row without improvement end the training.
    min_delta : float, default 0.0
        Smaller changes are no improvement.
    mode : {"auto", "min", "max"}, default "auto"
        Whether less or more is better; "auto" knows it of names that end in "loss", "score", "acc",
        "accuracy", "auc" or "r2".
    restore_best_weights : bool, default True
        Whether the network gets the parameters of the best epoch back when the training ends, also
        if it ends for another reason.

    Attributes
    ----------
    best : float or None
        The best value so far.
    best_epoch : int or None
        Its epoch.
    wait : int
        Epochs since then.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described; in a training, if the logs lack the figure.

    Examples
    --------
    >>> import numpy as np
    >>> import numadelta as nd
    >>> X = np.linspace(-1, 1, 20)[:, np.newaxis]
    >>> net = nd.MLP((1, 2), dtype=np.float64)
    >>> stop = nd.callbacks.EarlyStopping("loss", patience=3, min_delta=0.1)
    >>> history = net.fit(X, X[:, 0] > 0, epochs=100, batch_size=20, callbacks=[stop], verbose=0)
    >>> len(history.epoch) < 100
    True
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        patience: int = 10,
        min_delta: float = 0.0,
        mode: str = "auto",
        restore_best_weights: bool = True,
    ) -> None:
        if not isinstance(monitor, str):
            raise TypeError(f"monitor must be the name of a figure, but is {monitor!r}")
        self.monitor = monitor
        self.patience = arrays.check_count("patience", patience)
        self.min_delta = arrays.check_number("min_delta", min_delta)
        if not self.min_delta >= 0:
            raise ValueError(f"min_delta must not be negative, but is {min_delta}")
        mode = arrays.check_choice("mode", mode, ("auto", "min", "max"))
        if mode == "auto" and not monitor.endswith(LESS_IS_BETTER + MORE_IS_BETTER):
            raise ValueError(
                f"monitor is {monitor!r}, of which it is not known whether less or more is better; "
                "give mode='min' or mode='max'"
            )
        if mode == "auto":
            mode = "min" if monitor.endswith(LESS_IS_BETTER) else "max"
        self.mode = mode
        self.restore_best_weights = arrays.check_flag("restore_best_weights", restore_best_weights)
        self.model: Any = None
        self._forget()

    def _forget(self) -> None:
        self.best: float | None = None
        self.best_epoch: int | None = None
        self.wait = 0
        self._best_theta: Any = None

    def set_model(self, model: Any) -> None:
        """Take the network whose weights are restored; the training calls this."""
        self.model = model

    def on_train_begin(self, logs: dict[str, Any]) -> None:
        """Begin anew; a training that is resumed loads the state after this."""
        self._forget()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Compare the figure with the best; raise StopIteration after too long a wait."""
        if self.monitor not in logs:
            validated = any(name.startswith("val_") for name in logs)
            remedy = "; give validation_data, or an estimator early_stopping=True"
            raise ValueError(
                f"monitor is {self.monitor!r}, but the logs hold {', '.join(logs)}"
                + (remedy if self.monitor.startswith("val_") and not validated else "")
            )
        value = float(logs[self.monitor])
        better = self._gain(value) > self.min_delta if self.best is not None else True
        if better and not math.isnan(value):
            self.best, self.best_epoch, self.wait = value, epoch, 0
            if self.restore_best_weights:
                self._best_theta = self.model.theta.copy()
            return
        self.wait += 1
        if self.wait >= self.patience:
            raise StopIteration

    def _gain(self, value: float) -> float:
        gain = value - self.best  # type: ignore[operator]
        return -gain if self.mode == "min" else gain

    def on_train_end(self, logs: dict[str, Any]) -> None:
        """Put the best weights back."""
        if self._best_theta is not None:
            self.model.theta = self._best_theta

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"model": None}  # a copy is of no network, and copies none

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        watched = {"monitor": self.monitor, "mode": self.mode}
        state = {**watched, "best": self.best, "best_epoch": self.best_epoch, "wait": self.wait}
        return state if self._best_theta is None else {**state, "best_theta": self._best_theta}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned; refuse what is of another figure."""
        for name in ("monitor", "mode"):
            own = getattr(self, name)
            if (other := state.get(name, own)) != own:
                raise ValueError(f"EarlyStopping has {name}={own!r}, but the state is of {other!r}")
        best_theta = state.get("best_theta")
        if best_theta is not None:
            best_theta = np.array(best_theta)
            if self.model is not None:
                arrays.check_like("best_theta", best_theta, self.model.theta, "theta")
        self.best, self.best_epoch, self.wait = (
            state[name] for name in ("best", "best_epoch", "wait")
        )
        self._best_theta = best_theta


class WeightAveraging:
    """Give the network the mean of its parameters over the epochs when the training ends.

    ADADELTA's steps do not shrink by themselves where the gradients are mostly noise, and the
    parameters go on jumping around their optimum.  Their mean is nearer to it, without a schedule
    for `lr` (and lags behind while they still approach it).  It is taken after each epoch and
    forgets the first ones: the polynomial-decay averaging of Shamir and Zhang [1]_, as the option
    `averaging` of `numadelta.minimize`.

    The training itself, its history and its checkpoints are those of the parameters without it.  A
    second `fit` begins at the mean, and a mean of its own; so does each `partial_fit` of an
    estimator, which is one epoch and therefore no different with it.  With `EarlyStopping`, which
    restores the best epoch at the end, the last of the two in the list decides; the
    `early_stopping` of an estimator always does.

    Attributes
    ----------
    count : int
        The number of epochs in the mean.

    References
    ----------
    .. [1] O. Shamir and T. Zhang, "Stochastic Gradient Descent for Non-smooth Optimization:
       Convergence Results and Optimal Averaging Schemes", ICML 2013.

    Examples
    --------
    >>> import numpy as np
    >>> import numadelta as nd
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 3))
    >>> y = X[:, 0] + rng.normal(size=200)
    >>> net = nd.MLP((3, 8, 1), loss="squared_error")
    >>> average = nd.callbacks.WeightAveraging()
    >>> history = net.fit(X, y, epochs=20, batch_size=10, callbacks=[average], verbose=0)
    >>> average.count
    20
    """

    def __init__(self) -> None:
        self.model: Any = None
        self._forget()

    def _forget(self) -> None:
        self.count, self._mean = 0, np.empty(0)

    def set_model(self, model: Any) -> None:
        """Take the network whose weights are averaged; the training calls this."""
        self.model = model

    def on_train_begin(self, logs: dict[str, Any]) -> None:
        """Begin anew; a training that is resumed loads the state after this."""
        self._forget()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        """Take the parameters into the mean."""
        mean = self._mean.copy() if self.count else np.zeros_like(self.model.theta)
        arrays.check_like("mean", mean, self.model.theta, "theta")
        kernels.add_to_mean(mean, self.model.theta, self.count)
        self._mean, self.count = mean, self.count + 1

    def on_train_end(self, logs: dict[str, Any]) -> None:
        """Give the network the mean."""
        if self.count:
            self.model.theta = self._mean

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"model": None}  # a copy is of no network, and copies none

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must hold."""
        return {"count": self.count, "mean": self._mean}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        count, mean = arrays.check_count("count", state["count"]), np.array(state["mean"])
        if count and self.model is not None:
            arrays.check_like("mean", mean, self.model.theta, "theta")
        self.count, self._mean = count, mean
