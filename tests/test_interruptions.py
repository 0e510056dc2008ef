"""Ctrl-C and SIGTERM in every hook and before every line of a training that is saved."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sys
import types

import numpy as np
import pytest

import numadelta as nd
import saved_training
from numadelta import callbacks, checkpoint, checkpoints, history, hooks, training
from numadelta.hooks import HOOKS
from saved_training import (
    BATCHES,
    EPOCHS,
    TRAININGS,
    Watcher,
    begin,
    end,
    every_batch,
    halving,
    interrupted,
    names,
    step,
)


class Interrupter:
    """A callback that raises KeyboardInterrupt in the hook of that number, counted from 0."""

    HOOKS = 2 + EPOCHS * (2 + 2 * BATCHES)

    def __init__(self, number=-1, error=KeyboardInterrupt):
        self.left, self.error = number, error
        for hook in HOOKS:
            setattr(self, hook, self.count)

    def count(self, *arguments):
        self.left -= 1
        if self.left == -1:
            raise self.error


def test_an_interrupted_training_says_so_and_is_saved(tmp_path):
    def interrupt(batch, logs):
        if batch == 1:
            raise KeyboardInterrupt

    watch = types.SimpleNamespace(on_train_batch_end=interrupt)
    with pytest.warns(RuntimeWarning, match="SIGINT in epoch 1 after batch 2") as caught:
        net, history, _ = begin(checkpoint=tmp_path, last=[watch])
    assert [warning.filename for warning in caught] == [saved_training.__file__]
    assert (history.interrupted, history.epoch) == ("SIGINT", [])
    assert names(tmp_path) == [step(0), step(2)]
    assert nd.MLP.load(tmp_path / step(2)).theta.tobytes() == net.theta.tobytes()
    resumed = begin(checkpoint=tmp_path, resume=True, last=[Watcher()])
    assert resumed[1].interrupted is None
    assert end(*resumed) == end(*begin(last=[Watcher()]))


class Rates:
    """A callback that sets the rates in one hook."""

    def __init__(self, hook):
        setattr(self, hook, self.set_rate)

    def set_model(self, model):
        self.model = model

    def set_rate(self, number, logs):
        optimizer = self.model.optimizer
        optimizer.lr = 1 / (1 + number) + optimizer.steps / 100
        optimizer.rho, optimizer.eps = 0.9 / (1 + number), 1e-6 * (1 + number)


@pytest.mark.parametrize("lr", [1.0, halving(0.5)], ids=["number", "schedule"])
@pytest.mark.parametrize("hook", HOOKS[1:-1])
def test_a_rate_that_a_callback_set_goes_on_in_the_middle_of_an_epoch(tmp_path, hook, lr):
    whole = begin(last=[Rates(hook)], lr=lr)
    for number in range(Interrupter.HOOKS):
        folder = tmp_path / str(number)
        interrupted(checkpoint=folder, last=[Rates(hook), Interrupter(number)], lr=lr)
        resumed = begin(checkpoint=folder, resume=True, last=[Rates(hook)], lr=lr)
        assert end(*resumed) == end(*whole), number


class Factor(Rates):
    """A callback that makes rate and parameters smaller in one hook, and counts how often."""

    calls = 0

    def set_rate(self, number, logs):
        self.model.optimizer.lr *= 0.9
        self.model.theta[:] *= 0.9
        self.calls += 1

    def state_dict(self):
        return {"calls": self.calls}

    def load_state_dict(self, state):
        self.calls = state["calls"]


@pytest.mark.parametrize("first", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("hook", ["on_epoch_begin", "on_train_batch_begin", "on_epoch_end"])
def test_a_hook_that_was_interrupted_is_called_again_from_where_it_began(tmp_path, hook, first):
    whole = begin(last=[Factor(hook)])
    for number in range(1, Interrupter.HOOKS - 1):
        # No other checkpoint than that of the interruption.
        saver = nd.Checkpoints(tmp_path / str(number), epochs=None, minutes=1000)
        callbacks = [Factor(hook), Interrupter(number)]
        interrupted(checkpoint=saver, last=callbacks[::-1] if first else callbacks)
        resumed = begin(checkpoint=saver.folder, resume=True, last=[Factor(hook)])
        assert end(*resumed) == end(*whole), number


class StopsBefore:
    """A callback that counts the batches that begin, and ends the training before that one."""

    def __init__(self, last):
        self.last, self.begun = last, 0

    def set_model(self, model):
        self.model = model

    def on_train_batch_begin(self, batch, logs):
        self.begun += 1
        self.model.optimizer.lr *= 0.5
        if self.begun == self.last:
            raise StopIteration

    def state_dict(self):
        return {"begun": self.begun}

    def load_state_dict(self, state):
        self.begun = state["begun"]


@pytest.mark.parametrize("last", [1, 2, 4, 5])
def test_what_a_callback_stopped_before_a_batch_stays_stopped_and_as_it_was(tmp_path, last):
    net, _, callbacks = begin(checkpoint=tmp_path, last=[StopsBefore(last)])
    assert net.optimizer.steps == last - 1
    again, _, resumed = begin(checkpoint=tmp_path, resume=True, last=[StopsBefore(100)])
    assert again.optimizer.steps == last - 1 and again.optimizer.lr == net.optimizer.lr
    assert resumed[-1].begun == callbacks[-1].begun == last


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_saves_the_training(tmp_path, name):
    kills = iter([False, False, False, True])
    number = getattr(signal, name)
    watch = types.SimpleNamespace(
        on_train_batch_end=lambda batch, logs: next(kills, 0) and os.kill(os.getpid(), number)
    )
    with pytest.warns(RuntimeWarning, match=f"{name} in epoch 2"):
        _, history, _ = begin(checkpoint=tmp_path, last=[watch])
    assert history.interrupted == name
    resumed = begin(checkpoint=tmp_path, resume=True, last=[Watcher()])
    assert end(*resumed) == end(*begin(last=[Watcher()]))
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize("keep", [1, 100])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("training", ["plain", "watched", "stopped early"])
def test_an_interruption_in_any_hook_costs_nothing(tmp_path, quick, training, error, keep):
    training = TRAININGS[training]
    whole = begin(training, last=[Watcher()])
    for number in range(Interrupter.HOOKS):
        saver = every_batch(tmp_path / str(number), keep=keep)
        try:
            interrupted(training, last=[Interrupter(number, error)], checkpoint=saver)
        except ValueError:
            assert error is ValueError
        resumed = begin(training, last=[Watcher()], checkpoint=saver, resume=True)
        assert end(*resumed) == end(*whole), number


@pytest.mark.parametrize("training", ["everything", "sparse"])
def test_nor_does_it_a_callback_that_counts_in_every_hook(tmp_path, quick, training):
    training = TRAININGS[training]
    whole = begin(training, last=[Watcher()])
    for number in range(Interrupter.HOOKS):
        saver = nd.Checkpoints(tmp_path / str(number))
        interrupted(training, last=[Interrupter(number)], checkpoint=saver)
        resumed = begin(training, last=[Watcher()], checkpoint=saver, resume=True)
        assert end(*resumed) == end(*whole), number


def test_nor_one_whose_state_is_its_own_dictionary(tmp_path):
    class Living:
        def __init__(self):
            self.epochs = np.zeros(1)

        def on_epoch_end(self, epoch, logs):
            self.epochs += 1

        def state_dict(self):
            return vars(self)

        def load_state_dict(self, state):
            self.epochs = state["epochs"].copy()

    interrupt = types.SimpleNamespace(on_epoch_end=lambda epoch, logs: Interrupter(0).count())
    interrupted(last=[Living(), interrupt], checkpoint=tmp_path)
    _, _, (living, _) = begin(last=[Living(), Watcher()], checkpoint=tmp_path, resume=True)
    assert living.epochs == [EPOCHS]


def test_an_interruption_in_every_hook_in_turn_costs_nothing(tmp_path, quick):
    training = TRAININGS["watched"]
    whole = begin(training, last=[Watcher()])
    saver = nd.Checkpoints(tmp_path)
    for _ in range(BATCHES * EPOCHS):
        # Hooks 0, 1 and 2 are those of the training, of the epoch or a batch, and of a batch.
        interrupted(training, last=[Interrupter(2)], checkpoint=saver, resume=True)
    resumed = begin(training, last=[Watcher()], checkpoint=saver, resume=True)
    assert end(*resumed) == end(*whole)


# An interruption before every line of the library

FILES = {
    module.__file__ for module in (callbacks, checkpoint, checkpoints, history, hooks, training)
}


def interrupted_at(line, *arguments, **options):
    """Train and raise KeyboardInterrupt before that line, counted as they are run, from 0.

    Tells whether there is such a line.
    """
    left = line

    def before(frame, event, argument):
        nonlocal left
        if event == "line":
            left -= 1
            if left == -1:
                raise KeyboardInterrupt
        return before

    def follow(frame, event, argument):
        return before if frame.f_code.co_filename in FILES else None

    tracer = sys.gettrace()
    sys.settrace(follow)
    try:
        interrupted(*arguments, **options)
    finally:
        sys.settrace(tracer)
    return left < 0


def every(training, stride, folder, start=None):
    """Interrupt a training before each line in turn; what is left must go on to the same bits.

    `start` is a folder to resume from, instead of beginning.
    """
    whole = end(*begin(training))
    for line in itertools.count(0, stride):
        run = folder / str(line)
        if start is not None:
            shutil.copytree(start, run)
        hit = interrupted_at(line, training, checkpoint=every_batch(run, keep=3), resume=True)
        left = names(run) if run.exists() else []
        assert all(name.startswith(("step-", "best.npz")) for name in left), (line, left)
        assert end(*begin(training, checkpoint=every_batch(run), resume=True)) == whole, line
        if not hit:
            return
        shutil.rmtree(run)


# An interruption at the end of a `with` leaves a file to the garbage collector.
unclosed = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore:Exception ignored in")


# Strides are prime and unlike the periods of the training; 1 was tried, too, and takes a minute.
@unclosed
@pytest.mark.parametrize("training", ["plain", "watched"])
def test_an_interruption_anywhere_costs_nothing(tmp_path, quick, training):
    every(TRAININGS[training], 67, tmp_path)


@unclosed
def test_nor_does_one_while_a_callback_ends_the_training(tmp_path, quick):
    every(TRAININGS["stopped early"], 17, tmp_path)


@unclosed
@pytest.mark.parametrize("steps", [0, 2, 3, 9])
def test_an_interruption_while_it_resumes_costs_nothing(tmp_path, quick, steps):
    training = TRAININGS["watched"]
    begin(training, checkpoint=every_batch(tmp_path / "start"))
    for file in nd.Checkpoints(tmp_path / "start").files():
        if file.name > step(steps):
            file.unlink()
    every(training, 97 if steps < 9 else 11, tmp_path, tmp_path / "start")
