"""The minimiser: the price of an iteration and of a call, and how runs on fixed problems end."""

from functools import cache, partial
from time import perf_counter

import numpy as np
from numba import njit

import numadelta as nd

from . import need

try:
    from numadelta.bench import classics, fits, more_wild
except ImportError:  # an old commit
    classics = fits = more_wild = None

PROBLEMS = [
    *("Rosenbrock 2", "Rosenbrock 10", "Rosenbrock 100", "Wood", "Powell singular", "Beale"),
    *("Himmelblau", "Booth", "Matyas", "Helical valley", "Brown badly scaled", "Dixon-Price 10"),
    *("Zakharov 10", "Trid 10", "Styblinski-Tang 4", "Separable quadratic 20"),
    *("Rotated quadratic 20", "Logistic 10", "Log-sum-exp 10"),
]
MAXFEV = 20_000


def quadratic(x):
    """Two variables, condition 100."""
    a, b = x[0] - 1.0, x[1] + 2.0
    return 0.5 * (a * a + 100.0 * b * b), np.array([a, 100.0 * b])


def need_problems():
    """Skip a benchmark on commits before the compiled driver and its problems."""
    need(nd, "minimize_batch")
    if classics is None:
        raise NotImplementedError("this commit has no numadelta.bench.classics")


class PythonIterations:
    """1000 iterations of an objective in Python on two variables: little but the driver itself."""

    version = "2"
    rounds, repeat, warmup_time = 4, (3, 20, 10.0), 0.2
    # Too far from the minimum for the steps of the paper to get there.
    x0 = np.array([1e6, -1e6])

    def setup(self):
        need_problems()
        if self.time_1000().nit != 1000:
            raise RuntimeError("the run ended early: move x0 farther away")

    def time_1000(self):
        return nd.minimize(quadratic, self.x0, jac=True, gtol=0, maxiter=1000, safeguard=False)


class Iterations:
    """1000 iterations without Python between them, and the call around them."""

    params = [2, 10, 100]
    param_names = ["n"]
    version = "1"
    rounds, repeat, warmup_time = 4, (3, 20, 10.0), 0.2

    def setup(self, n):
        need_problems()
        start = np.tile([-1.2, 1.0], n // 2)
        self.run = partial(nd.minimize, classics.rosenbrock, start, jac="inplace", gtol=0, ftol=0)
        if self.time_1000_plain(n).nit != 1000:
            raise RuntimeError("the run ended early")

    def time_1000_plain(self, n):
        return self.run(maxiter=1000, safeguard=False)


@cache
def nearby_starts(n):
    """Return starts about the usual one, each of which takes its own way."""
    start = np.tile([-1.2, 1.0], n // 2)
    return start + 0.1 * np.random.default_rng(0).standard_normal((10_000 // n, n))


class Safeguarded:
    """Runs on Rosenbrock's function to the last digit, on one thread."""

    params = [2, 10, 100]
    param_names = ["n"]
    version = "1"
    rounds, repeat, warmup_time = 4, (3, 20, 10.0), 0.2

    def setup(self, n):
        need_problems()
        nd.set_num_threads(1)
        self.time_runs(n)

    def time_runs(self, n):
        starts = nearby_starts(n)
        return nd.minimize_batch(classics.rosenbrock, starts, jac="inplace", gtol=0, ftol=0)

    def track_nfev(self, n):
        return int(self.time_runs(n).nfev.sum())

    track_nfev.unit = "evaluations"


@njit
def in_place(x, grad):
    grad[0] = 2.0 * x[0]
    return x[0] * x[0]


@njit
def in_place_array(x, grad, array):
    grad[0] = 2.0 * x[0]
    return x[0] * x[0] + array[0]


class Door:
    """1000 calls of minimize that end after the first evaluation."""

    params = ["compiled", "compiled, with args", "Python"]
    param_names = ["objective"]
    version = "1"
    rounds, repeat, warmup_time = 4, (3, 20, 10.0), 0.2
    x0 = np.ones(1)
    runs = {
        "compiled": (in_place, (), "inplace"),
        "compiled, with args": (in_place_array, (np.zeros(3),), "inplace"),
        "Python": (lambda x: (x[0] * x[0], 2.0 * x), (), True),
    }

    def setup(self, objective):
        need_problems()
        fun, args, jac = self.runs[objective]
        self.call = partial(nd.minimize, fun, self.x0, args, jac=jac, options={"maxiter": 0})
        if self.call().nfev != 1:
            raise RuntimeError("the run did not end at once")

    def time_1000_calls(self, objective):
        call = self.call
        for _ in range(1000):
            call()


class Classics:
    """How a default run on a classic problem ends.  Deterministic on one machine."""

    params = PROBLEMS
    param_names = ["problem"]
    version = "1"

    def setup(self, name):
        need_problems()
        (problem,) = (problem for problem in classics.problems() if problem.name == name)
        fun, x0, args = problem.fun, problem.x0, problem.args
        start = fun(x0, np.empty_like(x0), *args)
        self.result = nd.minimize(fun, x0, args, jac="inplace")
        self.error = (self.result.fun - problem.minimum) / (start - problem.minimum)

    def track_nfev(self, name):
        return self.result.nfev

    def track_final_error(self, name):
        """Return what is left of the first value's excess over the minimum."""
        return self.error

    track_nfev.unit = "evaluations"
    track_final_error.unit = "of f(x0) - min f"


class ClassicsSeconds:
    """All 19 classics once, with default options, through the door that a user takes."""

    params = ["numadelta", "SciPy's L-BFGS-B"]
    param_names = ["method"]
    version = "1"
    rounds, repeat, warmup_time = 4, (3, 10, 10.0), 0.2

    def setup(self, method):
        need_problems()
        chosen = solve if method == "numadelta" else solve_with_scipy
        self.runs = [partial(chosen, problem) for problem in classics.problems()]
        self.time_all(method)

    def time_all(self, method):
        for run in self.runs:
            run()


def solve(problem):
    return nd.minimize(problem.fun, problem.x0, problem.args, jac="inplace")


def solve_with_scipy(problem):
    from scipy.optimize import minimize

    from numadelta.bench.peer_scipy import value_and_grad

    fun = value_and_grad(problem.fun)
    return minimize(fun, problem.x0, problem.args, jac=True, method="L-BFGS-B")


class MoreWild:
    """How many of the 53 problems are solved within 20,000 evaluations.  Here less is worse."""

    params = [1e-3, 1e-6]
    param_names = ["tau"]
    version = "1"

    def setup(self, tau):
        need_problems()

    def track_solved(self, tau):
        """Count the problems solved to ``f(x0) - f >= (1 - tau) (f(x0) - best)``."""
        solved = 0
        for problem in more_wild.problems():
            args = problem.which, problem.m
            start = more_wild.fun(problem.x0, np.empty_like(problem.x0), *args)
            options = {"gtol": 0, "ftol": 0, "maxiter": np.inf, "maxfev": MAXFEV}
            result = nd.minimize(more_wild.fun, problem.x0, args, jac="inplace", options=options)
            solved += start - result.fun >= (1 - tau) * (start - problem.best)
        return solved

    track_solved.unit = "problems"


class Batch:
    """Fits of two parameters to 12 points, on all threads."""

    params = [10**2, 10**3, 10**4, 10**5]
    param_names = ["problems"]
    version = "1"
    rounds, repeat, warmup_time = 2, (3, 10, 10.0), 0.2

    def setup(self, count):
        need_problems()
        self.data = made_fits(count)
        self.time_fits(100)

    def time_fits(self, count):
        t, y, _ = self.data
        return nd.minimize_batch(fits.fun, fits.START, (t, y), in_axes=(None, 0), jac="inplace")

    def track_nfev(self, count):
        return int(self.time_fits(count).nfev.sum())

    def track_largest_error(self, count):
        return float(np.abs(self.time_fits(count).x - self.data[2]).max())

    track_nfev.unit = "evaluations"
    track_largest_error.unit = "of a parameter"


@cache
def made_fits(count):
    return fits.data(count)


class BatchSpeed:
    """The same as `Batch.time_fits`, as it is quoted.  Here less is worse."""

    params = Batch.params
    param_names = Batch.param_names
    version = "1"

    def setup(self, count):
        self.batch = Batch()
        self.batch.setup(count)

    def track_per_second(self, count):
        seconds = []
        for _ in range(max(3, 10**5 // count)):
            started = perf_counter()
            self.batch.time_fits(count)
            seconds.append(perf_counter() - started)
        return count / min(seconds)

    track_per_second.unit = "problems/s"
