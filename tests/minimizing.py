"""What the tests of `numadelta.minimize` share: its two doors, objectives and a recorder."""

from __future__ import annotations

import functools

import numpy as np
import scipy.optimize
from numba import config

import numadelta as nd
from numadelta.bench.classics import problems

CONVERGED = "Optimization terminated successfully."
MAXITER = "Maximum number of iterations has been exceeded."
MAXFEV = "Maximum number of function evaluations has been exceeded."
MAXTIME = "Maximum time has been exceeded."
PRECISION = "Desired error not necessarily achieved due to precision loss."
NONFINITE = "NaN result encountered."
STOPPED = "`callback` raised `StopIteration`."


def by_name(fun, x0, args=(), jac=None, bounds=None, tol=None, callback=None, **options):
    return scipy.optimize.minimize(
        fun,
        x0,
        args=args,
        method=nd.adadelta,
        jac=jac,
        bounds=bounds,
        tol=tol,
        callback=callback,
        options=options,
    )


# The paper's method, as `minimize` was at first.
plain = functools.partial(nd.minimize, safeguard=False)

DOORS = {"minimize": nd.minimize, "method": by_name, "plain": plain}


def bowl(x):
    return float(x @ x)


def bowl_slope(x):
    return 2 * x


def bowl_and_slope(x):
    return float(x @ x), 2 * x


def rosenbrock(x):
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def rosenbrock_slope(x):
    inner = 200 * (x[1] - x[0] ** 2)
    return np.array([-2 * (1 - x[0]) - 2 * x[0] * inner, inner])


VALLEY = np.array([-1.2, 1.0])


class Recorder:
    """A function that remembers where it was called and what it returned.

    It raises in the call number `failing`, counted from 1.
    """

    def __init__(self, fun, failing=0):
        self.fun = fun
        self.failing = failing
        self.points = []
        self.values = []

    def __call__(self, x, *args):
        self.points.append(x.copy())
        if len(self.points) == self.failing:
            raise ZeroDivisionError
        self.values.append(self.fun(x, *args))
        return self.values[-1]

    @property
    def repeated(self):
        return len(self.points) - len({point.tobytes() for point in self.points})


PROBLEMS = {problem.name: problem for problem in problems()}
# What takes a hundred times longer without the compiler is left out then.
SOLVED = [name for name in PROBLEMS if not (config.DISABLE_JIT and name == "Rosenbrock 100")]
EASY = ["Rosenbrock 2", "Wood", "Powell singular", "Beale", "Himmelblau"]


def in_place(problem, shift=0.0, scales=1.0):
    """Return a classic, whose value is shifted and whose coordinates are multiplied."""

    def fun(y, grad):
        value = problem.fun(np.asarray(y * scales, np.float64), grad, *problem.args)
        grad *= scales
        return value + shift

    return fun


def solve(problem, shift=0.0, scales=1.0, **options):
    fun = in_place(problem, shift, scales)
    return nd.minimize(fun, problem.x0 / scales, jac="inplace", **options)
