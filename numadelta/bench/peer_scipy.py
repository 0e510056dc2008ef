"""Worker: SciPy's minimisers, on the same compiled objectives."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numadelta.bench import accuracy, classics, fits, worker
from numadelta.bench.classics import Problem
from numadelta.bench.problems import ROSENBROCK, rosenbrock_start

# A loop in Python takes the same time for each fit: a few tell that of many.
SAMPLE, QUICK_SAMPLE = 200, 50


def value_and_grad(fun: Any) -> Callable[..., tuple[float, NDArray[Any]]]:
    """Return a function of SciPy's form around one that writes the gradient."""

    def both(x, *args):
        grad = np.empty_like(x)
        return fun(x, grad, *args), grad

    return both


def solve(problem: Problem, tight: bool) -> float:
    """Minimise one of the classics and return the value."""
    from scipy.optimize import minimize

    options = {"gtol": 1e-9, "ftol": 0} if tight else None
    return minimize(
        value_and_grad(problem.fun),
        problem.x0,
        problem.args,
        jac=True,
        method="L-BFGS-B",
        options=options,
    ).fun


def rosenbrock(size: int, quick: bool) -> dict[str, Any]:
    """Minimise Rosenbrock's function from the usual start; the samples are per evaluation."""
    from scipy.optimize import minimize

    fun, start = value_and_grad(classics.rosenbrock), rosenbrock_start(size)

    def call() -> Any:
        return minimize(fun, start, jac=True, method="L-BFGS-B")

    return worker.measure(call, quick, call().nfev) | {"compile_s": None}


def loop(fit: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]], quick: bool) -> dict[str, Any]:
    """Fit decays one by one; the samples are per fit."""
    count = QUICK_SAMPLE if quick else SAMPLE
    t, y, best = fits.data(count)
    found = np.empty_like(best)

    def call() -> None:
        for k in range(count):
            found[k] = fit(t, y[k])

    return worker.measure(call, quick, count) | {"note": fits.error(found, best)}


def fit_lbfgsb(t: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    """Fit a decay with the objective and the gradient that the others get."""
    from scipy.optimize import minimize

    fun = value_and_grad(fits.fun)
    return minimize(fun, np.array(fits.START), (t, y), jac=True, method="L-BFGS-B").x


def fit_curve(t: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    """Fit a decay as a SciPy user would, with Levenberg and Marquardt's method."""
    from scipy.optimize import curve_fit

    return curve_fit(lambda t, a, b: a * np.exp(-b * t), t, y, fits.START)[0]


def version() -> str:
    """Return what was measured."""
    import scipy

    return f"scipy {scipy.__version__}"


TASKS: dict[str, worker.Task] = {
    "classics": lambda quick: accuracy.measure(solve, quick),
    **{f"rosenbrock-{size}": partial(rosenbrock, size) for size in ROSENBROCK},
    "fits": lambda quick: loop(fit_lbfgsb, quick),
    "fits-curve-fit": lambda quick: loop(fit_curve, quick),
}

if __name__ == "__main__":
    worker.main(TASKS, version)
