"""The fit loop: batches, history, callbacks, progress."""

from __future__ import annotations

import math
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numadelta.backprop import Network, Workspace, layer_views
from numadelta.optimizer import Adadelta

HOOKS = (
    "on_train_begin",
    "on_epoch_begin",
    "on_train_batch_end",
    "on_epoch_end",
    "on_train_end",
)


class History:
    """What happened in each epoch of a `fit`.

    Attributes
    ----------
    history : dict of list
        ``loss``, ``score`` (not for squared error) and ``seconds`` of each whole epoch, with
        ``val_loss`` and ``val_score`` if there was validation data.  The training figures are
        averages over the batches of the epoch, each taken before its step.
    epoch : list of int
        The numbers of the epochs, from 0.
    """

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []

    def append(self, logs: dict[str, float]) -> None:
        """Add the figures of an epoch."""
        self.epoch.append(len(self.epoch))
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)

    def __getitem__(self, name: str) -> list[float]:
        return self.history[name]

    def __repr__(self) -> str:
        last = ", ".join(f"{name}={values[-1]:.4g}" for name, values in self.history.items())
        return f"History({len(self.epoch)} epochs{': ' if last else ''}{last})"


class Batches:
    """Shuffled mini-batches, gathered into buffers and backpropagated without allocation."""

    def __init__(
        self,
        network: Network,
        theta: NDArray[Any],
        x: NDArray[Any],
        y: NDArray[Any],
        batch_size: int,
    ) -> None:
        self.x, self.y = x, y
        self.rows = len(x)
        self.scores = network.loss != "squared_error"
        self.size = batch_size
        self.count = -(-self.rows // batch_size)
        self.grad = np.empty_like(theta)
        self._views = layer_views(theta, network.sizes)
        self._grads = layer_views(self.grad, network.sizes)
        tail = self.rows % batch_size or batch_size
        self._buffers = {
            rows: (
                Workspace(network, rows, theta.dtype),
                np.empty((rows, *x.shape[1:]), x.dtype),
                np.empty((rows, *y.shape[1:]), y.dtype),
            )
            for rows in {min(batch_size, self.rows), tail}
        }

    def backpropagate(self, rows: NDArray[Any]) -> tuple[float, float]:
        """Write the gradient over these rows into `grad`; return mean loss and summed hits."""
        workspace, x, y = self._buffers[len(rows)]
        # mode="clip" writes straight into the buffer; the default would go through a copy.
        np.take(self.x, rows, axis=0, out=x, mode="clip")
        np.take(self.y, rows, axis=0, out=y, mode="clip")
        return workspace.loss_and_grad(self._views, self._grads, x, y)

    def gradients_vanish(self) -> bool:
        """Tell whether all gradients are zero, that of the last step and of the batches now."""
        if self.grad.any():
            return False
        for start in range(0, self.rows, self.size):
            self.backpropagate(np.arange(start, min(start + self.size, self.rows)))
            if self.grad.any():
                return False
        return True


def fit(
    batches: Batches,
    optimizer: Adadelta,
    epochs: int,
    rng: np.random.Generator | None,
    validate: Callable[[], tuple[float, float]] | None,
    callbacks: Iterable[Any],
    verbose: int,
) -> History:
    """Train for some epochs; without `rng`, in the order of the data.

    Ctrl-C ends training after the last whole step, and a callback may end it with
    ``StopIteration``.
    """
    history = History()
    hooks = _Hooks(callbacks)
    progress = _make_progress(verbose, epochs, batches.count)
    epoch, batch, interrupted = 0, 0, False
    logs: dict[str, float] = {}
    try:
        hooks.call("on_train_begin", {})
        for epoch in range(epochs):
            hooks.call("on_epoch_begin", epoch, {})
            started = time.perf_counter()
            order = rng.permutation(batches.rows) if rng else np.arange(batches.rows)
            loss, hits = 0.0, 0.0
            for batch in range(batches.count):
                rows = order[batch * batches.size : (batch + 1) * batches.size]
                batch_loss, batch_hits = batches.backpropagate(rows)
                try:
                    if not math.isfinite(batch_loss):
                        raise ValueError(f"the loss must be finite, but is {batch_loss}")
                    optimizer.step(batches.grad)
                except ValueError as error:
                    raise ValueError(f"epoch {epoch + 1}, batch {batch + 1}: {error}") from error
                loss += batch_loss * len(rows)
                hits += batch_hits
                if hooks.methods["on_train_batch_end"]:
                    hooks.call("on_train_batch_end", batch, {"loss": batch_loss})
                progress.advance()
            logs = {"loss": float(loss / batches.rows)}
            if batches.scores:
                logs["score"] = float(hits / batches.rows)
            if validate is not None:
                logs["val_loss"], logs["val_score"] = validate()
            logs["seconds"] = time.perf_counter() - started
            history.append(logs)
            progress.end_epoch(epoch, logs)
            hooks.call("on_epoch_end", epoch, logs)
    except StopIteration:
        pass
    except KeyboardInterrupt:
        interrupted = True
    finally:
        progress.close()
    with suppress(StopIteration):
        hooks.call("on_train_end", logs)
    # Only now: a warning that is turned into an error must not cut a run in two.
    if interrupted:
        warnings.warn(
            f"interrupted in epoch {epoch + 1}, batch {batch + 1}; the parameters are those "
            "after the last whole step",
            RuntimeWarning,
            stacklevel=3,
        )
    elif logs and logs["loss"] > 0 and batches.gradients_vanish():
        warnings.warn(
            "all gradients are zero, every unit may be dead; try scaled inputs, a smaller lr or "
            "another activation",
            RuntimeWarning,
            stacklevel=3,
        )
    return history


class _Hooks:
    """The callbacks' methods, by the name of the hook."""

    def __init__(self, callbacks: Iterable[Any]) -> None:
        if not isinstance(callbacks, Iterable):
            raise TypeError(f"callbacks must be a list of objects, but is {callbacks!r}")
        callbacks = list(callbacks)
        for callback in callbacks:
            if not any(hasattr(callback, hook) for hook in HOOKS):
                raise TypeError(
                    f"callbacks holds {callback!r}, which has none of the methods "
                    f"{', '.join(HOOKS)}"
                )
        self.methods = {
            hook: [getattr(callback, hook) for callback in callbacks if hasattr(callback, hook)]
            for hook in HOOKS
        }

    def call(self, hook: str, *arguments: Any) -> None:
        for method in self.methods[hook]:
            method(*arguments)


def _make_progress(verbose: int, epochs: int, batches: int) -> _Silent:
    if verbose == 0:
        return _Silent()
    if verbose == 1 and sys.stderr.isatty():
        try:
            from tqdm.auto import tqdm
        except ImportError:
            pass
        else:
            return _Bar(tqdm(total=epochs * batches, unit="batch"), epochs)
    return _Lines(epochs)


class _Silent:
    """No progress at all."""

    def advance(self) -> None: ...

    def end_epoch(self, epoch: int, logs: dict[str, float]) -> None: ...

    def close(self) -> None: ...


class _Lines(_Silent):
    """One line an epoch, for log files."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def end_epoch(self, epoch: int, logs: dict[str, float]) -> None:
        print(f"epoch {epoch + 1}/{self.epochs}  {_summary(logs)}", flush=True)


class _Bar(_Silent):
    """One bar for the whole run, for terminals."""

    def __init__(self, bar: Any, epochs: int) -> None:
        self.bar = bar
        self.epochs = epochs
        self.advance = bar.update  # type: ignore[method-assign]

    def end_epoch(self, epoch: int, logs: dict[str, float]) -> None:
        self.bar.set_description(f"epoch {epoch + 1}/{self.epochs}", refresh=False)
        self.bar.set_postfix_str(_summary(logs))

    def close(self) -> None:
        self.bar.close()


def _summary(logs: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in logs.items())
