"""Small trainings that are saved, and what two of them must have in common."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import sparse

import numadelta as nd
from mlp_reference import problem
from numadelta import checkpoint

SIZES = (4, 5, 3)
ROWS = 11  # in batches of 4: three an epoch
EPOCHS = 3
BATCHES = 3


class Counter:
    """A callback with a state of numbers and arrays, which each of its hooks changes."""

    def __init__(self):
        self.on_train_begin({})

    def on_train_begin(self, logs):
        self.calls, self.losses = {}, np.zeros(0)

    def count(self, name):
        self.calls = {**self.calls, name: self.calls.get(name, 0) + 1}

    def on_epoch_begin(self, epoch, logs):
        self.count("epoch begin")

    def on_train_batch_end(self, batch, logs):
        self.count("batch end")
        self.losses = np.append(self.losses, logs["loss"])

    def on_epoch_end(self, epoch, logs):
        self.count("epoch end")

    def state_dict(self):
        return {"calls": self.calls, "losses": self.losses}

    def load_state_dict(self, state):
        self.calls, self.losses = state["calls"], np.array(state["losses"])


def stop(**options):
    return nd.callbacks.EarlyStopping(**{"monitor": "val_loss", "patience": 2} | options)


X, Y = problem("cross_entropy", ROWS, SIZES[0], SIZES[-1])
WEIGHTS = np.linspace(0.5, 2, ROWS)
VALIDATION = problem("cross_entropy", 5, SIZES[0], SIZES[-1], seed=1)

# Settings of the network, options of `fit`, and what makes the callbacks.
TRAININGS = {
    "plain": ({}, {}, list),
    "everything": (
        {"dropout": 0.3, "input_dropout": 0.1, "weight_decay": 0.01},
        {
            "validation_data": VALIDATION,
            "sample_weight": WEIGHTS,
            "lr": lambda epoch: 0.5**epoch,
            "global_clipnorm": 0.5,
        },
        lambda: [stop(patience=100), Counter()],
    ),
    "watched": (
        {"dropout": 0.3},
        {"validation_data": VALIDATION, "lr": lambda epoch: 0.5**epoch},
        lambda: [stop(patience=100)],
    ),
    "averaged": (
        {"dropout": 0.3},
        {"validation_data": VALIDATION},
        lambda: [stop(patience=100), nd.callbacks.WeightAveraging()],
    ),
    "shared": ({"weight_decay": 0.1}, {"shared_delta": True}, list),
    "sparse": (
        {"dropout": 0.3},
        {"X": sparse.random_array((ROWS, 4), density=0.5, rng=0), "validation_data": VALIDATION},
        lambda: [Counter(), stop(patience=100)],
    ),
    "in order": (
        {"dtype": np.float64, "activation": "tanh", "input_dropout": 0.2, "seed": 2**70},
        {"shuffle": False, "clipvalue": 0.05, "rho": 0.9, "eps": 1e-4, "lr": 0.7},
        lambda: [Counter()],
    ),
    "binary": (
        {"loss": "binary_cross_entropy", "seed": 3},
        {"y": problem("binary_cross_entropy", ROWS, *SIZES[::2])[1], "sample_weight": WEIGHTS},
        lambda: [],
    ),
    # No loss gains as much: it ends after its second epoch; the weights of the first come back.
    "stopped early": (
        {"dropout": 0.3, "loss": "squared_error"},
        {
            "y": problem("squared_error", ROWS, *SIZES[::2])[1],
            "validation_data": (X, np.full((ROWS, 3), 1e4)),
        },
        lambda: [stop(patience=1, mode="max", min_delta=1e9)],
    ),
}
every_training = pytest.mark.parametrize("training", TRAININGS.values(), ids=TRAININGS)


def begin(training=TRAININGS["plain"], first=(), last=(), **options):
    """Train a fresh network with fresh callbacks; return network, history and callbacks."""
    settings, fixed, make_callbacks = training
    net, callbacks = nd.MLP(SIZES, **settings), [*first, *make_callbacks(), *last]
    options = {"X": X, "y": Y, "epochs": EPOCHS, "batch_size": 4, "verbose": 0} | fixed | options
    return net, net.fit(callbacks=callbacks, **options), callbacks


def interrupted(*arguments, **options):
    """Train like `begin` what is interrupted."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "interrupted by SIG", RuntimeWarning)
        try:
            begin(*arguments, **options)
        except KeyboardInterrupt:  # in the last lines, where the training is over
            pass


def end(net, history, callbacks):
    """Return all that two trainings must have in common, to the last bit."""
    states = [c.state_dict() if hasattr(c, "state_dict") else None for c in callbacks]
    figures = {name: values for name, values in history.history.items() if name != "seconds"}
    return {
        "theta": net.theta.tobytes(),
        "square_avg": net.optimizer.square_avg.tobytes(),
        "acc_delta": net.optimizer.acc_delta.tobytes(),
        "optimizer": (net.optimizer.steps, net.optimizer.rho, net.optimizer.eps),
        "history": repr(figures),
        "epochs": history.epoch,
        "callbacks": repr(states),
    }


def every_batch(folder, **options):
    return nd.Checkpoints(folder, **{"minutes": 0, "keep": 100} | options)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def step(number):
    return f"step-{number:012d}.npz"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def read(path):
    """Return settings and arrays of a checkpoint."""
    return checkpoint.read(path, {"numadelta.Training": 1})


def halving(factor):
    return lambda epoch: factor**epoch


class Watcher:
    def on_epoch_end(self, epoch, logs): ...


class Keeper:
    """A callback that holds one value and only hands it on."""

    def __init__(self, value=None):
        self.value = value

    def on_epoch_end(self, epoch, logs): ...

    def state_dict(self):
        return {"value": self.value}

    def load_state_dict(self, state):
        self.value = state["value"]
