"""The fit loop: whole steps, epochs, interruptions, and what a checkpoint holds of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numadelta import arrays, progress
from numadelta.checkpoint import CheckpointError
from numadelta.checkpoints import Saved, Saver
from numadelta.clipping import euclidean_norm
from numadelta.fit_options import FitOptions
from numadelta.history import History
from numadelta.hooks import Hooks
from numadelta.interrupts import Terminated
from numadelta.metrics import EffectiveRates, Metrics
from numadelta.minibatches import Batches
from numadelta.optimizer import Adadelta

# The optimiser's settings that callbacks may change.
RATES = ("lr", "rho", "eps", "weight_decay")


class Snapshot(NamedTuple):
    """What callbacks may change, as it was before the hooks at this place in an epoch.

    If these are interrupted, they are called again by the training that goes on.
    """

    batch: int
    callbacks: list[dict[str, Any]]
    theta: NDArray[Any]
    rates: dict[str, float]


class Mark(NamedTuple):
    """The beginning of an epoch, where its order and its dropout are drawn, again if need be."""

    epoch: int
    steps: int
    rng: Any
    stopped: bool = False
    snapshot: Snapshot | None = None


class Training:
    """A training from where it stands to its end.

    It may be interrupted at any moment, so what the last step has changed is not written down after
    it, but follows from the optimiser's own count: `batch` and `totals`.
    """

    def __init__(
        self,
        batches: Batches,
        optimizer: Adadelta,
        rng: np.random.Generator,
        hooks: Hooks,
        options: FitOptions,
        *,
        validate: Callable[[], tuple[float, float]] | None,
        checkpoints: Saver | None,
    ) -> None:
        self.batches, self.optimizer, self.rng, self.hooks = batches, optimizer, rng, hooks
        self.options, self.validate, self.checkpoints = options, validate, checkpoints
        self.history = History()
        self.unsaved: list[str] = []
        self._rates = EffectiveRates(optimizer, batches.network.sizes)
        self._begin_epoch(0, False, None)

    def _begin_epoch(self, epoch: int, stopped: bool, snapshot: Snapshot | None) -> None:
        steps, now = self.optimizer.steps, time.perf_counter()
        mark = Mark(epoch, steps, self.rng.bit_generator.state, stopped, snapshot)
        metrics = Metrics(self.batches)
        # Three stores and no call between them, where a signal could interrupt.
        self._mark, self._metrics, self._started = mark, metrics, now

    def _snapshot(self, batch: int) -> Snapshot:
        rates = {name: float(getattr(self.optimizer, name)) for name in RATES}
        return Snapshot(batch, self.hooks.state(), self.optimizer.params.copy(), rates)

    @property
    def epoch(self) -> int:
        """The number of whole epochs."""
        return self._mark.epoch

    @property
    def batch(self) -> int:
        """The number of batches of this epoch that were stepped on."""
        return self.optimizer.steps - self._mark.steps

    @property
    def totals(self) -> tuple[float, ...]:
        """The sums over these batches."""
        return self._metrics.totals(self.batch)

    def run(self, epochs: int, verbose: int, saved: Saved | None) -> None:
        """Train until so many epochs are done, a callback stops it or a signal interrupts it."""
        shown, begun = progress.Progress(), False
        before = {name: getattr(self.optimizer, name) for name in RATES}
        try:
            self.optimizer.rho, self.optimizer.eps = self.options.rho, self.options.eps
            if not callable(self.options.lr):
                self.optimizer.lr = self.options.lr  # once, for callbacks may change it
            stopped = self.hooks.call("on_train_begin", {})
            self._begin_epoch(0, stopped, self._snapshot(0) if self.checkpoints else None)
            if saved is not None:
                self._restore(saved)
                self._mark = self._mark._replace(stopped=stopped or self._mark.stopped)
            begun = True
            if self.checkpoints is not None:
                # Not `_save`: where nothing can be written, the training shall not begin.
                self.checkpoints.save(self.optimizer.steps, self.state())
                self._save_if_best(shown)
            done = self.epoch * self.batches.count + self.batch
            shown = progress.make(verbose, epochs, self.batches.count, done)
            while self.epoch < epochs and not self._mark.stopped:
                self._run_epoch(shown)
        except KeyboardInterrupt as error:
            self._interrupt(error)
        except Exception as error:
            self.history.truncate(self.epoch)
            with suppress(AttributeError, TypeError):  # some exceptions take no attributes
                error.history = self.history  # type: ignore[attr-defined]
            if begun:
                self.hooks.call("on_train_end", self._last_logs())  # best weights come back
            else:
                for name, rate in before.items():
                    setattr(self.optimizer, name, rate)
            raise
        finally:
            shown.close(on_purpose=self._mark.stopped)
        if begun:
            try:
                self._save(shown)
            except KeyboardInterrupt as error:
                self._interrupt(error)
            self.hooks.call("on_train_end", self._last_logs())

    def _interrupt(self, error: KeyboardInterrupt) -> None:
        self.history.interrupted = "SIGTERM" if isinstance(error, Terminated) else "SIGINT"
        self.history.truncate(self.epoch)

    def _last_logs(self) -> dict[str, Any]:
        return {name: values[-1] for name, values in self.history.history.items()}

    def _run_epoch(self, shown: progress.Progress) -> None:
        """Do what is left of this epoch."""
        epoch, count = self.epoch, self.batches.count
        if self.batch == 0:
            self._started = time.perf_counter()  # now: what was saved before is not of this epoch
        if callable(self.options.lr) and self.batch == 0:  # in a resumed epoch it is what it was
            self.optimizer.lr = self.options.lr(epoch)
        order, keys = self.batches.draw(self.rng, self.options.shuffle)
        if self.batch == 0:
            stopped = self.hooks.call("on_epoch_begin", epoch, {})
            self._check_count(0)
            if stopped:
                self._mark = self._mark._replace(stopped=True)
                return
        # All looked up here, for 0.1 us in the loop is 1 % of the step of a tiny network.
        batches, metrics, step = self.batches, self._metrics, self.optimizer.step
        backpropagate, grad, isfinite = batches.backpropagate, batches.grad, math.isfinite
        losses, hits = metrics.losses, metrics.hits
        norms, norm_every = metrics.norms, metrics.norm_every
        clip = self.options.clip.apply if any(self.options.clip) else None
        methods = self.hooks.methods
        begin_hooks, end_hooks = methods["on_train_batch_begin"], methods["on_train_batch_end"]
        advance = shown.advance
        checkpoints, stopped = self.checkpoints, False
        first = self.batch
        for batch, rows in enumerate(batches.split(order, first), first):
            if begin_hooks:
                if checkpoints and batch:  # before the first there is that of the epoch's beginning
                    self._mark = self._mark._replace(snapshot=self._snapshot(batch))
                stopped = self.hooks.call("on_train_batch_begin", batch, {})
                self._check_count(batch)
                if stopped:
                    self._mark = self._mark._replace(stopped=True, snapshot=None)
                    return
            try:
                loss, hits[batch] = backpropagate(rows, None if keys is None else keys[batch])
                if not isfinite(loss):
                    raise ValueError(
                        f"the loss must be finite, but is {loss}; a smaller lr or scaled X may help"
                    )
                losses[batch] = loss
                if batch % norm_every == 0:
                    norms[batch // norm_every] = euclidean_norm(grad)
                if clip:
                    clip(grad)
                step(grad)
            except ValueError as error:
                raise ValueError(f"epoch {epoch + 1}, batch {batch + 1}: {error}") from error
            if advance:
                advance()
            if end_hooks:
                stopped = self.hooks.call("on_train_batch_end", batch, {"loss": loss})
                self._check_count(batch + 1)
                if stopped and batch + 1 < count:
                    self._mark = self._mark._replace(stopped=True)
                    return
            if checkpoints and batch + 1 < count and checkpoints.is_due():
                self._save(shown)
        self._end_epoch(epoch, stopped, shown)
        if self.checkpoints is not None and self.checkpoints.is_due(self.epoch):
            self._save(shown)
        if self.checkpoints is not None:
            self._save_if_best(shown)

    def _check_count(self, batch: int) -> None:
        """Refuse it if a hook has set the count of steps, which tells the place in the epoch."""
        if self.batch != batch:
            steps = self._mark.steps + batch
            raise ValueError(
                f"a callback has set the optimiser's steps to {self.optimizer.steps}, but {steps} "
                f"were taken; load_state_dict({{..., 'steps': {steps}}}) keeps the count"
            )

    def _end_epoch(self, epoch: int, stopped: bool, shown: progress.Progress) -> None:
        if self.checkpoints:
            self._mark = self._mark._replace(snapshot=self._snapshot(self.batch))
        loss, hits, norm = self.totals
        logs: dict[str, Any] = {"loss": loss / self.batches.rows}
        if self.batches.network.counts_hits:
            logs["score"] = hits / self.batches.rows
        if self.validate is not None:
            logs["val_loss"], logs["val_score"] = self.validate()
        logs["grad_norm"] = norm / len(self._metrics.norms)
        logs["effective_lr"] = self._rates.quantiles()
        logs["lr"] = float(self.optimizer.lr)
        logs["seconds"] = time.perf_counter() - self._started
        stopped = self.hooks.call("on_epoch_end", epoch, logs) or stopped
        shown.end_epoch(epoch, logs)  # with what callbacks have changed
        self.history.append(logs)
        self._begin_epoch(epoch + 1, stopped, self._snapshot(0) if self.checkpoints else None)

    def _save_if_best(self, shown: progress.Progress) -> None:
        losses = self.history.history.get("val_loss" if self.validate else "loss", [])
        # None and NaN, which callbacks may write, are no losses.
        known = [math.inf if loss is None or math.isnan(loss) else loss for loss in losses]
        if self.batch == 0 and known and known[-1] < min(known[:-1], default=math.inf):
            self._save(shown, best=True)

    def _save(self, shown: progress.Progress, best: bool = False) -> None:
        try:
            if self.checkpoints is not None:
                self.checkpoints.save(self.optimizer.steps, self.state(), best)
        except OSError as error:
            # Not the end of the training: what was saved before is still there.
            self.unsaved.append(str(error))
            shown.note(f"no checkpoint: {error}")

    def complaints(self) -> list[str]:
        """Return what the user should be warned of, after `run`."""
        texts = []
        if self.history.interrupted:
            place = f"in epoch {self.epoch + 1} after batch {self.batch}"
            if not self.batch:
                place = f"after epoch {self.epoch}" if self.epoch else "before the first step"
            texts.append(
                f"interrupted by {self.history.interrupted} {place}; the network can be used"
            )
        elif (self._last_logs().get("loss") or 0) > 0:
            if self.batches.gradients_vanish():
                texts.append(
                    "all gradients are zero, every unit may be dead; try scaled inputs, a smaller "
                    "lr or another activation"
                )
        if self.unsaved:
            texts.append(
                f"{len(self.unsaved)} checkpoints could not be written: {self.unsaved[-1]}"
            )
        return texts

    def state(self) -> Saved:
        """Return what a training needs to go on from here, beside its options."""
        snapshot = self._mark.snapshot
        if snapshot is None or snapshot.batch != self.batch:
            snapshot = self._snapshot(self.batch)
        members = {"theta": snapshot.theta, **self._averages()}
        callbacks: list[dict[str, Any]] = []
        for number, state in enumerate(snapshot.callbacks):
            callbacks.append({})
            for name, value in state.items():
                if isinstance(value, np.ndarray):
                    members[f"callback{number}.{name}"] = value
                else:
                    callbacks[-1][name] = value
        history = {name: values[: self.epoch] for name, values in self.history.history.items()}
        settings = {
            "epoch": self.epoch,
            "batch": self.batch,
            "totals": list(self.totals),
            "seconds": time.perf_counter() - self._started,
            "steps": self.optimizer.steps,
            "rng": self._mark.rng,
            "history": history,
            "stopped": self._mark.stopped,
            **snapshot.rates,
            "callbacks": callbacks,
        }
        return settings, members

    def _averages(self) -> dict[str, Any]:
        return {"square_avg": self.optimizer.square_avg, "acc_delta": self.optimizer.acc_delta}

    def _restore(self, saved: Saved) -> None:
        """Go back to where `state` was taken; nothing is changed if that is impossible."""
        try:
            self._try_restore(*saved)
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise CheckpointError(f"the checkpoint holds something else: {error!r}") from error

    def _try_restore(self, settings: dict[str, Any], members: dict[str, NDArray[Any]]) -> None:
        names = settings["names of callbacks"]
        states = [
            {**state, **_with_prefix(members, f"callback{number}.")}
            for number, state in enumerate(settings["callbacks"])
        ]
        if len(states) != len(names):
            raise ValueError(f"callbacks has {len(states)} entries, but {len(names)} are named")
        batch, epoch, steps = (
            arrays.check_count(name, settings[name]) for name in ("batch", "epoch", "steps")
        )
        if batch > self.batches.count:
            raise ValueError(f"batch is {batch}, but an epoch has {self.batches.count}")
        arrays.check_like("theta", members["theta"], self.optimizer.params)
        arrays.check_finite("theta", members["theta"])
        loss, hits, norm = map(float, settings["totals"])
        metrics = Metrics(self.batches, (loss, hits, norm))
        history = History.of(settings["history"], epoch)
        stopped, started = bool(settings["stopped"]), time.perf_counter() - settings["seconds"]
        type(self.rng.bit_generator)().state = settings["rng"]  # raises if it is none
        own = {name: members[name] for name in self._averages()}
        rates = {name: settings[name] for name in RATES}
        state = self.optimizer.state_dict() | own | {"steps": steps} | rates
        self.hooks.load_state(states)
        self.optimizer.load_state_dict(state)
        self.optimizer.params[:] = members["theta"]
        self.rng.bit_generator.state = settings["rng"]
        self.history = history
        mark = Mark(epoch, steps - batch, settings["rng"], stopped, self._snapshot(batch))
        self._mark = mark
        self._metrics, self._started = metrics, started


def _with_prefix(members: dict[str, Any], prefix: str) -> dict[str, Any]:
    names = (name for name in members if name.startswith(prefix))
    return {name.removeprefix(prefix): np.array(members[name]) for name in names}
