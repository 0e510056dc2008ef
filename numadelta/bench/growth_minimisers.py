"""Worker: how the time of minimising grows, with the variables and with the number of problems."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

import numadelta as nd
from numadelta import state
from numadelta.bench import fits, worker
from numadelta.bench.classics import rosenbrock
from numadelta.bench.growth_points import (
    Curve,
    cache_marks,
    chosen,
    decades,
    end_of_fixed_cost,
    measured,
    seconds_of,
    thread_counts,
    threads_label,
)
from numadelta.bench.problems import ROSENBROCK_LR, rosenbrock_start

SIZES = [2, 4, 6, *decades(1, 6)]  # variables, an even number
COUNTS = decades(0, 6)  # problems
ONE_BY_ONE = 1_000  # problems of the Python loop, at most
MADE_FITS = 10_000  # and then the same again: making them takes longer than solving them

# Of a call: enough for its start not to count.
WORK = 200_000  # variables, added up over its iterations
ITERATIONS = 50  # at least
EVALUATIONS = 100  # of a run with the safeguard, at most

# Without the safeguard neither step, change, rate nor direction is used.
PLAIN_ROWS = state.ROWS - 4


def minimise(quick: bool) -> dict[str, Any]:
    """Take plain iterations and safeguarded evaluations, beside those of the function alone."""
    nd.set_num_threads(1)
    curves = [
        Curve("plain, compiled", partial(_compiled_seconds, quick)),
        Curve("plain, NumPy", partial(_python_seconds, quick)),
        Curve("safeguard, compiled", partial(_safeguard_seconds, quick)),
        Curve("function alone, compiled", partial(_function_seconds, quick), limit=True),
    ]
    compiled, python, safeguard, alone = measured(chosen(SIZES, quick), curves)
    return {
        "title": "an iteration on Rosenbrock's function of n variables (safeguard: an evaluation)",
        "time": "time of an iteration",
        "each": "variable",
        "unit": "ns",
        "curves": [compiled, python, safeguard, alone],
        "marks": [
            *end_of_fixed_cost(compiled, "bookkeeping takes half"),
            *end_of_fixed_cost(python, "Python takes half"),
            *cache_marks(8 * state.ROWS, f"{state.ROWS} arrays", (2, 3)),
            *cache_marks(8 * PLAIN_ROWS, f"{PLAIN_ROWS} arrays", (2, 3)),
        ],
    }


def _compiled_seconds(quick: bool, size: int) -> float:
    return _iteration_seconds(rosenbrock, "inplace", max(ITERATIONS, WORK // size), quick, size)


def _python_seconds(quick: bool, size: int) -> float:
    return _iteration_seconds(_rosenbrock, True, ITERATIONS, quick, size)


def _rosenbrock(x: NDArray[Any]) -> tuple[float, NDArray[Any]]:
    """Rosenbrock's function in NumPy, without inner products: BLAS would take threads for them."""
    bend, rest = x[1:] - x[:-1] ** 2, 1 - x[:-1]
    grad = np.zeros_like(x)
    grad[:-1] = -400 * x[:-1] * bend - 2 * rest
    grad[1:] += 200 * bend
    return (100 * bend**2 + rest**2).sum(), grad


def _iteration_seconds(fun: Any, jac: Any, steps: int, quick: bool, size: int) -> float:
    start = rosenbrock_start(size)

    def call(maxiter: int) -> Any:
        options = {"lr": ROSENBROCK_LR, "gtol": 0, "safeguard": False, "maxiter": maxiter}
        return nd.minimize(fun, start, jac=jac, options=options)

    if call(steps).nit != steps:
        raise RuntimeError("the run ended early")
    # What the call itself and its first evaluation take does not grow with the iterations.
    start_seconds, seconds = (seconds_of(partial(call, count), quick) for count in (0, steps))
    return (seconds - start_seconds) / steps


def _safeguard_seconds(quick: bool, size: int) -> float:
    # From many starts, as with the safeguard a run converges.  The compiled loop of a batch is that
    # of a single run.
    starts = np.tile(rosenbrock_start(size), (max(1, WORK // EVALUATIONS // size), 1))
    starts += 0.1 * np.random.default_rng(0).standard_normal(starts.shape)

    def call(maxfev: int) -> Any:
        return nd.minimize_batch(rosenbrock, starts, jac="inplace", maxfev=maxfev)

    evaluations = int((call(EVALUATIONS).nfev - 1).sum())
    start_seconds, seconds = (seconds_of(partial(call, count), quick) for count in (1, EVALUATIONS))
    return (seconds - start_seconds) / evaluations


def _function_seconds(quick: bool, size: int) -> float:
    x, grad, times = rosenbrock_start(size), np.empty(size), max(1, WORK // size)
    return seconds_of(lambda: _evaluate(x, grad, times), quick) / times


# Not in the disk cache, which would not notice a change of the function.
@njit
def _evaluate(x, grad, times):
    total = 0.0
    for _ in range(times):
        total += rosenbrock(x, grad)
        x[0] = -x[0]  # or a compiler might evaluate once for all
    return total


def batch(quick: bool) -> dict[str, Any]:
    """Solve many small problems in one call, and some one by one."""
    batches = [
        Curve(f"minimize_batch, {threads_label(threads)}", partial(_batch_seconds, threads, quick))
        for threads in thread_counts()
    ]
    loop = Curve("minimize, Python loop", partial(_one_by_one_seconds, quick), largest=ONE_BY_ONE)
    curves = measured(chosen(COUNTS, quick), [*batches, loop])
    return {
        "title": "n fits of two parameters to 12 points",
        "time": "time of all fits",
        "each": "fit",
        "unit": "us",
        "curves": curves,
        "marks": end_of_fixed_cost(curves[0], "the call takes half"),
    }


def _batch_seconds(threads: int, quick: bool, count: int) -> float:
    nd.set_num_threads(threads)
    data = _fits(count)

    def call() -> Any:
        return nd.minimize_batch(fits.fun, fits.START, data, in_axes=(None, 0), jac="inplace")

    return seconds_of(call, quick)


def _one_by_one_seconds(quick: bool, count: int) -> float:
    t, ys = _fits(count)

    def call() -> None:
        for y in ys:
            nd.minimize(fits.fun, fits.START, (t, y), jac="inplace")

    return seconds_of(call, quick)


def _fits(count: int) -> tuple[NDArray[Any], NDArray[Any]]:
    t, y, _ = fits.data(min(count, MADE_FITS))
    return t, np.resize(y, (count, y.shape[1]))


TASKS: dict[str, worker.Task] = {"minimise": minimise, "batch": batch}

if __name__ == "__main__":
    worker.main(TASKS, lambda: f"numadelta {nd.__version__}")
