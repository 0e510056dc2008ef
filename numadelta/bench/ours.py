"""Worker: numadelta."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import numadelta as nd
from numadelta.bench import accuracy, fits, worker
from numadelta.bench.classics import Problem, rosenbrock
from numadelta.bench.problems import (
    EPS,
    FITS,
    LARGE,
    LR,
    NETS,
    QUICK_FITS,
    RHO,
    ROSENBROCK,
    ROSENBROCK_LR,
    SMALL,
    STUCK,
    STUCK_VALUE,
    params_and_grads,
    rosenbrock_iterations,
    rosenbrock_start,
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
    model = nd.MLP(net.sizes, loss="squared_error" if net.regression else "cross_entropy")
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
    return worker.outcome(history["seconds"], net.parts(quick), loss=history["loss"][-1])


def plain(size: int, quick: bool) -> dict[str, Any]:
    """Take so many steps of the paper from one start; the samples are per step."""
    steps = rosenbrock_iterations(size, quick)
    start = rosenbrock_start(size)

    options = {"lr": ROSENBROCK_LR, "gtol": 0, "maxiter": steps, "safeguard": False}

    def call() -> None:
        if nd.minimize(rosenbrock, start, jac="inplace", options=options).nit != steps:
            raise RuntimeError("the run ended early")

    return worker.measure(call, quick, steps)


def safeguarded(size: int, quick: bool) -> dict[str, Any]:
    """Minimise from many starts, as a run with the safeguard converges; samples per evaluation.

    The compiled loop of a batch is that of a single run.
    """
    nd.set_num_threads(1)
    starts = np.tile(rosenbrock_start(size), (rosenbrock_iterations(size, quick) // 500, 1))
    starts += 0.1 * np.random.default_rng(0).standard_normal(starts.shape)

    def call() -> Any:
        return nd.minimize_batch(rosenbrock, starts, jac="inplace", gtol=0, ftol=0)

    return worker.measure(call, quick, int(call().nfev.sum())) | {"compile_s": None}


def solve(problem: Problem, tight: bool) -> float:
    """Minimise one of the classics and return the value."""
    options = {"gtol": 1e-9, "ftol": 0} if tight else None
    return nd.minimize(problem.fun, problem.x0, problem.args, jac="inplace", options=options).fun


def fit_many(quick: bool, **options: Any) -> dict[str, Any]:
    """Fit many decays on all threads; the samples are per fit."""
    count = QUICK_FITS if quick else FITS
    t, y, best = fits.data(count)

    def call() -> Any:
        return nd.minimize_batch(
            fits.fun, fits.START, (t, y), in_axes=(None, 0), jac="inplace", options=options
        )

    answer = worker.measure(call, quick, count)
    return answer | {"note": fits.error(call().x, best)}


TASKS: dict[str, worker.Task] = {
    "step": step,
    "step-unchecked": step_unchecked,
    "door": door,
    "stuck": stuck,
    **{name: partial(train, name) for name in NETS},
    **{f"plain-{size}": partial(plain, size) for size in ROSENBROCK},
    **{f"safeguarded-{size}": partial(safeguarded, size) for size in ROSENBROCK},
    "classics": lambda quick: accuracy.measure(solve, quick),
    "fits": fit_many,
    "fits-plain": lambda quick: fit_many(quick, safeguard=False, maxiter=500, gtol=0),
}

if __name__ == "__main__":
    worker.main(TASKS, lambda: f"numadelta {nd.__version__}")
