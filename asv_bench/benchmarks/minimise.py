"""The minimiser: seconds of an iteration, an evaluation, a call, a batch."""

from functools import cache, partial
from time import perf_counter

import numpy as np
from numba import njit

import numadelta as nd

from . import need
from .step import Clock

try:
    from numadelta.bench import classics, fits
except ImportError:  # an old commit
    classics = fits = None


def quadratic(x):
    """Two variables, condition 100."""
    a, b = x[0] - 1.0, x[1] + 2.0
    return 0.5 * (a * a + 100.0 * b * b), np.array([a, 100.0 * b])


def need_problems():
    """Skip a benchmark on commits before the compiled driver and its problems."""
    need(nd, "minimize_batch")
    if classics is None:
        raise NotImplementedError("this commit has no numadelta.bench.classics")


class PythonIterations(Clock):
    """1000 iterations of an objective in Python on two variables: little but the driver itself."""

    # Too far from the minimum for the steps of the paper to get there.
    x0 = np.array([1e6, -1e6])

    def setup(self):
        need_problems()
        if self.time_1000().nit != 1000:
            raise RuntimeError("the run ended early: move x0 farther away")

    def time_1000(self):
        return nd.minimize(quadratic, self.x0, jac=True, gtol=0, maxiter=1000, safeguard=False)


class Iterations(Clock):
    """Iterations without Python between them, two million variables in all; and the call."""

    params = [2, 10, 100, 10**4, 10**6]
    param_names = ["n"]

    def setup(self, n):
        need_problems()
        self.iterations = max(2, 2_000_000 // n)
        start = np.tile([-1.2, 1.0], n // 2)
        # With lr 1 the paper's steps sooner or later reach infinity.
        self.options = {"maxiter": self.iterations, "gtol": 0, "safeguard": False, "lr": 0.01}
        self.run = partial(nd.minimize, classics.rosenbrock, start, jac="inplace")
        if warm(n, self.time_plain).nit != self.iterations:
            raise RuntimeError("the run ended early")

    def time_plain(self, n):
        return self.run(options=self.options)


@cache
def warm(n, call):
    return call(n)


@cache
def nearby_starts(n):
    """Return starts about the usual one, each of which takes its own way."""
    start = np.tile([-1.2, 1.0], n // 2)
    return start + 0.1 * np.random.default_rng(0).standard_normal((10_000 // n, n))


class Safeguarded(Clock):
    """Runs on Rosenbrock's function to the last digit, on one thread."""

    params = [2, 10, 100]
    param_names = ["n"]

    def setup(self, n):
        need_problems()
        nd.set_num_threads(1)
        warm(n, self.time_runs)

    def time_runs(self, n):
        starts = nearby_starts(n)
        return nd.minimize_batch(classics.rosenbrock, starts, jac="inplace", gtol=0, ftol=0)


class Large(Clock):
    """Fifty iterations with the safeguard on many variables: 13 arrays of that length."""

    params = [10**4, 10**5, 10**6]
    param_names = ["n"]

    def setup(self, n):
        need_problems()
        start = np.tile([-1.2, 1.0], n // 2)
        options = {"maxiter": 50, "gtol": 0, "ftol": 0}
        self.run = partial(nd.minimize, classics.rosenbrock, start, jac="inplace", options=options)
        warm(n, self.time_run)

    def time_run(self, n):
        return self.run()


@njit
def in_place(x, grad):
    grad[0] = 2.0 * x[0]
    return x[0] * x[0]


@njit
def in_place_array(x, grad, array):
    grad[0] = 2.0 * x[0]
    return x[0] * x[0] + array[0]


class Door(Clock):
    """200 calls of minimize that end after the first evaluation."""

    params = ["compiled", "compiled, with args", "Python"]
    param_names = ["objective"]
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

    def time_200_calls(self, objective):
        call = self.call
        for _ in range(200):
            call()


class Classics(Clock):
    """All 19 classics once, with default options, through the door that a user takes."""

    params = ["numadelta", "SciPy's L-BFGS-B"]
    param_names = ["method"]

    def setup(self, method):
        need_problems()
        chosen = solve if method == "numadelta" else solve_with_scipy
        self.runs = [partial(chosen, problem) for problem in classics.problems()]
        warm(method, self.time_all)

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


@cache
def made_fits(count):
    return fits.data(count)


class Batch(Clock):
    """Fits of two parameters to 12 points, on one thread and on two."""

    params = ([10**k for k in range(2, 7)], [1, 2])
    param_names = ["problems", "threads"]

    def setup(self, count, threads):
        need_problems()
        try:
            nd.set_num_threads(threads)
        except ValueError as error:
            raise NotImplementedError("there is one core only") from error
        self.data = made_fits(count)
        warm_fits()

    def time_fits(self, count, threads):
        t, y, _ = self.data
        return fit_all(t, y)


def fit_all(t, y):
    return nd.minimize_batch(fits.fun, fits.START, (t, y), in_axes=(None, 0), jac="inplace")


@cache
def warm_fits():
    fit_all(*made_fits(100)[:2])


class BatchSpeed:
    """The same on all threads, as it is quoted.  Here less is worse."""

    params = Batch.params[0]
    param_names = ["problems"]
    version = "2"

    def setup(self, count):
        need_problems()

    def track_per_second(self, count):
        t, y, _ = made_fits(count)
        warm_fits()
        seconds = []
        for _ in range(max(3, min(100, 10**5 // count))):
            started = perf_counter()
            fit_all(t, y)
            seconds.append(perf_counter() - started)
        return count / min(seconds)

    track_per_second.unit = "problems/s"
