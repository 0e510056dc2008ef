"""Training: seconds for an epoch on made data."""

import tempfile
import time
from functools import cache
from statistics import median

import numpy as np

import numadelta as nd

from . import HYPERPARAMETERS, need, samples

LR, RHO, EPS = HYPERPARAMETERS

# Layer sizes, batch size, rows.
NETS = {
    "mnist": ((784, 512, 10), 128, 12_800),
    "narrow": ((784, 64, 64, 10), 128, 12_800),
    "tiny": ((4, 16, 16, 1), 32, 64_000),
    "wide": ((784, 2048, 2048, 10), 128, 640),
}


def network(name):
    sizes = NETS[name][0]
    return nd.MLP(sizes, loss="squared_error" if sizes[-1] == 1 else "cross_entropy")


def fit(net, name, epochs=1):
    """Train on the data of a net; the history says how it went."""
    sizes, batch, rows = NETS[name]
    x, y = samples(rows, sizes[0], sizes[-1])
    return net.fit(x, y, epochs=epochs, batch_size=batch, verbose=0, lr=LR, rho=RHO, eps=EPS)


@cache
def trained(name):
    """Return a network after an epoch: everything is compiled and its buffers were used."""
    net = network(name)
    fit(net, name)
    return net


class Epoch:
    """A call of `fit` for one epoch, its checks of the data included."""

    params = list(NETS)
    param_names = ["net"]
    version = "2"
    rounds, repeat, warmup_time = 2, (3, 10, 3.0), 0.0

    def setup(self, name):
        need(nd, "MLP")
        self.net = trained(name)

    def time_epoch(self, name):
        fit(self.net, name)


class Parts:
    """An epoch of the MNIST network with one thing more, over an epoch without."""

    params = ["dropout", "sample_weight", "validation", "early stopping", "checkpoint"]
    param_names = ["part"]
    version = "2"
    rounds, repeat, warmup_time = 2, (3, 10, 3.0), 0.0

    def setup(self, part):
        need(nd, "Checkpoints")
        sizes, self.batch, rows = NETS["mnist"]
        self.data = samples(rows, sizes[0], sizes[-1])
        self.options = {}
        few = tuple(part[:1000] for part in self.data)
        self.folder = tempfile.TemporaryDirectory()
        if part == "sample_weight":
            self.options["sample_weight"] = np.linspace(1, 2, rows)
        if part in ("validation", "early stopping"):
            self.options["validation_data"] = few
        if part == "early stopping":
            self.options["callbacks"] = [nd.callbacks.EarlyStopping()]
        if part == "checkpoint":
            self.options["checkpoint"] = nd.Checkpoints(self.folder.name)
        self.net = nd.MLP(sizes, dropout=0.2 if part == "dropout" else 0.0)
        self.time_epoch(part)

    def teardown(self, part):
        self.folder.cleanup()

    def time_epoch(self, part):
        resume = {"resume": True} if "checkpoint" in self.options else {}
        self.epochs = getattr(self, "epochs", 0) + 1
        epochs = self.epochs if resume else 1
        self.net.fit(
            *self.data, epochs=epochs, batch_size=self.batch, verbose=0, **self.options, **resume
        )


class LoopCost:
    """What `fit` adds to its gradients and steps: history, callbacks, progress, checks."""

    params = ["mnist", "narrow", "tiny"]
    param_names = ["net"]
    version = "3"
    timeout = 300

    def setup(self, name):
        need(nd, "Checkpoints")

    def track_percent(self, name):
        return 100 * (loop_cost(name) - 1)

    track_percent.unit = "%"


def loop_cost(name, rounds=9):
    """Return the median ratio of ten epochs of `fit`, with one callback, and of a bare loop over
    the same gradients and steps, after the same checks of the data; both take turns."""
    from numadelta import data
    from numadelta.minibatches import Batches

    sizes, size, rows = NETS[name]
    net = trained(name)
    if hasattr(data, "Door") and hasattr(data.Door, "of"):
        check = data.Door.of(net).pairs
    else:  # old commits
        check = net._check_data if hasattr(net, "_check_data") else net._door().pairs
    x, y = samples(rows, sizes[0], sizes[-1])
    seen = []
    callback = type("Callback", (), {"on_epoch_end": lambda self, epoch, logs: seen.append(epoch)})

    def bare():
        batches = Batches(net._network(), net.theta, *check(x, y), size)
        for order in (net._rng.permutation(rows) for _ in range(10)):
            for start in range(0, rows, size):
                batches.backpropagate(order[start : start + size])
                net.optimizer.step(batches.grad)

    def whole():
        net.fit(x, y, epochs=10, batch_size=size, callbacks=[callback()], verbose=0)

    ratios = []
    for _ in range(rounds):
        seconds = []
        for run in (bare, whole):
            started = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - started)
        ratios.append(seconds[1] / seconds[0])
    return median(ratios)
