"""What the tests of `numadelta.minimize` share: its two doors, objectives and a recorder."""

from __future__ import annotations

import functools

import numpy as np
import scipy.optimize

import numadelta as nd

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
    """A function that remembers where it was called and what it returned."""

    def __init__(self, fun):
        self.fun = fun
        self.points = []
        self.values = []

    def __call__(self, x, *args):
        self.points.append(x.copy())
        self.values.append(self.fun(x, *args))
        return self.values[-1]

    @property
    def repeated(self):
        return len(self.points) - len({point.tobytes() for point in self.points})
