"""The minimiser: the price of an iteration, and how many evaluations fixed problems take.

Problems 2 to 4 are those of More, Garbow and Hillstrom, "Testing Unconstrained Optimization
Software", ACM TOMS 7 (1981).
"""

import numpy as np

import numadelta as nd

from . import need


def quadratic(x):
    """Condition 100; the minimum is 0."""
    a, b = x[0] - 1.0, x[1] + 2.0
    return 0.5 * (a * a + 100.0 * b * b), np.array([a, 100.0 * b])


def rosenbrock(x):
    a, b = x[1:] - x[:-1] ** 2, 1.0 - x[:-1]
    grad = np.zeros_like(x)
    grad[:-1] = -400.0 * x[:-1] * a - 2.0 * b
    grad[1:] += 200.0 * a
    return float(np.sum(100.0 * a * a + b * b)), grad


def powell_singular(x):
    a, b = x[0] + 10.0 * x[1], x[2] - x[3]
    c, d = x[1] - 2.0 * x[2], x[0] - x[3]
    grad = [
        2.0 * a + 40.0 * d**3,
        20.0 * a + 4.0 * c**3,
        10.0 * b - 8.0 * c**3,
        -10.0 * b - 40.0 * d**3,
    ]
    return a * a + 5.0 * b * b + c**4 + 10.0 * d**4, np.array(grad)


def wood(x):
    a, b = x[1] - x[0] ** 2, x[3] - x[2] ** 2
    c, d = x[1] + x[3] - 2.0, x[1] - x[3]
    value = 100.0 * a * a + (1.0 - x[0]) ** 2 + 90.0 * b * b + (1.0 - x[2]) ** 2
    grad = [
        -400.0 * a * x[0] - 2.0 * (1.0 - x[0]),
        200.0 * a + 20.0 * c + 0.2 * d,
        -360.0 * b * x[2] - 2.0 * (1.0 - x[2]),
        180.0 * b + 20.0 * c - 0.2 * d,
    ]
    return value + 10.0 * c * c + 0.1 * d * d, np.array(grad)


# Objective and start.
PROBLEMS = {
    "quadratic": (quadratic, [0.0, 0.0]),
    "rosenbrock 2": (rosenbrock, [-1.2, 1.0]),
    "rosenbrock 10": (rosenbrock, [-1.2, 1.0] * 5),
    "powell singular": (powell_singular, [3.0, -1.0, 0.0, 1.0]),
    "wood": (wood, [-3.0, -1.0, -3.0, -1.0]),
}


class Iteration:
    """1000 iterations on two variables: little but the driver itself."""

    version = "1"
    rounds, repeat, warmup_time = 4, (3, 20, 10.0), 0.2
    # Too far from the minimum to get there.
    x0 = np.array([1e6, -1e6])

    def setup(self):
        need(nd, "minimize")
        if self.time_1000_iterations().nit != 1000:
            raise RuntimeError("the run ended early: move x0 farther away")

    def time_1000_iterations(self):
        options = {"maxiter": 1000, "gtol": 0.0}
        return nd.minimize(quadratic, self.x0, jac=True, options=options)


class Problems:
    """How a default run ends, with at most 10,000 iterations.  Deterministic."""

    params = list(PROBLEMS)
    param_names = ["problem"]
    version = "1"

    def setup(self, problem):
        need(nd, "minimize")
        fun, x0 = PROBLEMS[problem]
        self.result = nd.minimize(fun, x0, jac=True, options={"maxiter": 10_000})

    def track_nfev(self, problem):
        return self.result.nfev

    def track_final_f(self, problem):
        return float(self.result.fun)

    track_nfev.unit = "evaluations"
    track_final_f.unit = "value"
