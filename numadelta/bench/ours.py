"""Worker: numadelta."""

from __future__ import annotations

from typing import Any

import numpy as np

import numadelta as nd
from numadelta.bench import worker
from numadelta.bench.problems import (
    EPS,
    LARGE,
    LR,
    NETS,
    RHO,
    SMALL,
    STUCK,
    STUCK_VALUE,
    params_and_grads,
)


def step(quick: bool, nonfinite: str = "raise") -> dict[str, Any]:
    """Step a large array on all threads."""
    params, grads = params_and_grads(LARGE)
    opt = nd.Adadelta(params, lr=LR, rho=RHO, eps=EPS, nonfinite=nonfinite)
    return worker.measure(lambda: opt.step(grads), quick)


def step_unchecked(quick: bool) -> dict[str, Any]:
    """Do so without looking for NaN first, as the peers do."""
    return step(quick, nonfinite="propagate")


def door(quick: bool) -> dict[str, Any]:
    """Step a small array, where the call costs more than the work."""
    params, grads = params_and_grads(SMALL)
    opt = nd.Adadelta(params, lr=LR, rho=RHO, eps=EPS)
    return worker.measure(worker.repeat(lambda: opt.step(grads), 1000), quick, 1000)


def stuck(quick: bool) -> dict[str, Any]:
    """Step where gradients have become zero and their averages subnormal, over a normal step."""
    params, grads = params_and_grads(STUCK)
    normal = nd.Adadelta(params, lr=LR, rho=RHO, eps=EPS)
    dead = nd.Adadelta(params.copy(), lr=LR, rho=RHO, eps=EPS)
    dead.square_avg[:] = dead.acc_delta[:] = STUCK_VALUE
    zeros = np.zeros_like(grads)
    return worker.compare(lambda: dead.step(zeros), lambda: normal.step(grads), quick)


def train(name: str, quick: bool) -> dict[str, Any]:
    """Train a network with `MLP.fit`."""
    net = NETS[name]
    samples, targets = net.data(quick)
    loss = "squared_error" if net.sizes[-1] == 1 else "cross_entropy"
    model = nd.MLP(net.sizes, loss=loss)
    history = model.fit(
        samples,
        targets,
        epochs=worker.epochs(quick),
        batch_size=net.batch,
        verbose=0,
        lr=LR,
        rho=RHO,
        eps=EPS,
    )
    parts = 1 if name == "epoch" else net.batches(quick)
    return worker.outcome(history["seconds"], parts, loss=history["loss"][-1])


TASKS: dict[str, worker.Task] = {
    "step": step,
    "step-unchecked": step_unchecked,
    "door": door,
    "stuck": stuck,
    "epoch": lambda quick: train("epoch", quick),
    "narrow": lambda quick: train("narrow", quick),
    "tiny": lambda quick: train("tiny", quick),
    "wide": lambda quick: train("wide", quick),
}

if __name__ == "__main__":
    worker.main(TASKS, lambda: f"numadelta {nd.__version__}")
