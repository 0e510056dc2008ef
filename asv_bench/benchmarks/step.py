"""The step: loops in compiled code, threads, and the door from Python."""

from functools import cache

import numpy as np
from numba import njit

import numadelta as nd
from numadelta import kernels, threads

from . import HYPERPARAMETERS, state

LR, RHO, EPS = HYPERPARAMETERS


# The loop is compiled, for a call from Python costs more than a step of a thousand elements.  Not
# cached on disk: Numba would not notice a change of the kernels, which are in another file.
@njit
def take_steps(x, g, v, u, weight_decay, k):
    for _ in range(k):
        kernels.step(x, g, v, u, LR, RHO, EPS, weight_decay, False)


@njit
def stream(x, g, v, u, k):
    for _ in range(k):
        for i in range(x.size):
            x[i] += g[i]
            v[i] += g[i]
            u[i] += g[i]


def calls_for(n):
    """Return how often to call, so that a sample takes more than about a millisecond."""
    return max(1, 2_000_000 // n)


@cache
def compiled(loop, n, dtype, *more):
    """Call once outside the timing, to compile and to touch the pages."""
    loop(*state(n, dtype), *more, 1)


class Clock:
    """How samples are taken: each is a millisecond of work or more."""

    version = "2"
    rounds, repeat, warmup_time = 2, (3, 10, 1.0), 0.1


class Serial(Clock):
    """Steps on one thread, in compiled code."""

    params = ([10**k for k in range(2, 9)], ["float32", "float64"])
    param_names = ["n", "dtype"]

    def setup(self, n, dtype):
        compiled(take_steps, n, dtype, 0.0)
        self.arrays, self.k = state(n, dtype), calls_for(n)

    def time_step(self, n, dtype):
        take_steps(*self.arrays, 0.0, self.k)


class Stream(Clock):
    """The same traffic without arithmetic."""

    params = Serial.params[0]
    param_names = ["n"]

    def setup(self, n):
        compiled(stream, n, "float32")
        self.arrays, self.k = state(n, "float32"), calls_for(n)

    def time_stream(self, n):
        stream(*self.arrays, self.k)


class WeightDecay(Clock):
    params = ["float32", "float64"]
    param_names = ["dtype"]
    n = 10**5

    def setup(self, dtype):
        compiled(take_steps, self.n, dtype, 0.01)
        self.arrays = state(self.n, dtype)

    def time_step(self, dtype):
        take_steps(*self.arrays, 0.01, calls_for(self.n))


class Subnormal(Clock):
    """Averages of gradients that have become zero must cost nothing extra."""

    params = ["normal", "stuck"]
    param_names = ["averages"]
    n = 10**5

    def setup(self, averages):
        compiled(take_steps, self.n, "float32", 0.0)
        x, g, v, u = state(self.n, "float32")
        if averages == "stuck":
            stuck = 10 * np.finfo(np.float32).smallest_subnormal
            g, v, u = np.zeros_like(g), np.full_like(v, stuck), np.full_like(u, stuck)
        self.arrays = x, g, v, u
        # What counts is how the following steps fare, not this one.
        take_steps(*self.arrays, 0.0, 1)

    def time_step(self, averages):
        take_steps(*self.arrays, 0.0, calls_for(self.n))


@cache
def optimizer(n, dtype):
    """Return an optimiser that has taken a step, and the gradient."""
    x, grads, v, u = state(n, dtype)
    opt = nd.Adadelta(x, square_avg=v, acc_delta=u)
    opt.step(grads)
    return opt, grads


class Threads(Clock):
    """Where threads begin to pay: `numadelta.threads.MIN_BYTES` should be near the crossing."""

    params = (
        [10**5, 4 * 10**5, 10**6, 4 * 10**6, 10**7, 10**8],
        ["float32", "float64"],
        ["serial", "threaded"],
    )
    param_names = ["n", "dtype", "how"]

    def setup(self, n, dtype, how):
        if how == "threaded" and nd.get_num_threads() == 1:
            raise NotImplementedError("there is one core only")
        limit = 0 if how == "threaded" else 10**12
        threads.MIN_BYTES = threads.MIN_SIZE = limit  # the second is that of old commits
        self.opt, self.grads = optimizer(n, dtype)

    def time_step(self, n, dtype, how):
        step, grads = self.opt.step, self.grads
        for _ in range(calls_for(n)):
            step(grads)


@cache
def sharing(n, dtype):
    """Do as `optimizer` with one E[dx^2] for all elements."""
    x, grads, v, _ = state(n, dtype)
    try:
        opt = nd.Adadelta(x, square_avg=v, shared_delta=True)
    except TypeError:
        raise NotImplementedError("this commit has no shared_delta") from None
    opt.step(grads)
    return opt, grads


class SharedDelta(Clock):
    """One E[dx^2] for all elements, against one for each: a read and a write less."""

    params = ([10**3, 4 * 10**5, 10**7], ["float32", "float64"], ["own", "shared"])
    param_names = ["n", "dtype", "delta"]

    def setup(self, n, dtype, delta):
        self.opt, self.grads = (sharing if delta == "shared" else optimizer)(n, dtype)

    def time_step(self, n, dtype, delta):
        step, grads = self.opt.step, self.grads
        for _ in range(calls_for(n)):
            step(grads)


class Door(Clock):
    """Adadelta.step from Python, where the call costs more than the work."""

    params = [10, 1000]
    param_names = ["n"]

    def setup(self, n):
        self.opt, self.grads = optimizer(n, "float32")

    def time_1000_steps(self, n):
        step, grads = self.opt.step, self.grads
        for _ in range(1000):
            step(grads)
