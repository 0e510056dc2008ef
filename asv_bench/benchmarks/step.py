"""The step: loops in compiled code, threads, and the door from Python."""

import re
import tracemalloc
import zlib
from functools import cache

import numpy as np
from numba import float32, float64, jit, njit, types

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


class Loop:
    """One thread, everything in compiled code; `stream` has the same traffic and no arithmetic."""

    params = ([10**3, 10**5, 10**7], ["float32", "float64"])
    param_names = ["n", "dtype"]
    version = "1"
    rounds, repeat, warmup_time = 4, (3, 20, 10.0), 0.2

    def setup(self, n, dtype):
        compiled(take_steps, n, dtype, 0.0)
        compiled(stream, n, dtype)
        self.arrays, self.k = state(n, dtype), calls_for(n)

    def time_step(self, n, dtype):
        take_steps(*self.arrays, 0.0, self.k)

    def time_step_weight_decay(self, n, dtype):
        take_steps(*self.arrays, 0.01, self.k)

    def time_stream(self, n, dtype):
        stream(*self.arrays, self.k)


class Subnormal:
    """Averages of gradients that have become zero must cost nothing extra."""

    params = ["normal", "stuck"]
    param_names = ["averages"]
    version = "1"
    rounds, repeat, warmup_time = 4, (3, 20, 10.0), 0.2
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


class Threads:
    """Where threads begin to pay: `numadelta.threads.MIN_SIZE` should be near the crossing."""

    params = ([10**5, 2 * 10**5, 4 * 10**5, 10**6, 2 * 10**6, 4 * 10**6], ["serial", "threaded"])
    param_names = ["n", "how"]
    version = "1"
    rounds, repeat, warmup_time = 4, (3, 20, 10.0), 0.2

    def setup(self, n, how):
        if how == "threaded" and nd.get_num_threads() == 1:
            raise NotImplementedError("there is one core only")
        threads.MIN_SIZE = 0 if how == "threaded" else n + 1
        x, self.grads, v, u = state(n, "float32")
        self.opt = nd.Adadelta(x, square_avg=v, acc_delta=u)
        self.opt.step(self.grads)

    def time_step(self, n, how):
        step, grads = self.opt.step, self.grads
        for _ in range(calls_for(n)):
            step(grads)


class Door:
    """Adadelta.step from Python, where the call costs more than the work."""

    params = [10, 1000]
    param_names = ["n"]
    version = "1"
    rounds, repeat, warmup_time = 4, (3, 20, 10.0), 0.2
    k = 1000  # calls in a sample

    def setup(self, n):
        x, self.grads, v, u = state(n, "float32")
        self.opt = nd.Adadelta(x, square_avg=v, acc_delta=u)
        self.opt.step(self.grads)

    def time_1000_steps(self, n):
        step, grads = self.opt.step, self.grads
        for _ in range(self.k):
            step(grads)

    def track_allocated(self, n):
        tracemalloc.start()
        self.opt.step(self.grads)
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        self.opt.step(self.grads)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak - before

    track_allocated.unit = "bytes"


@cache
def machine_code(dtype):
    """Return assembly and optimised LLVM code of the step: a new compile, for one that came from
    the disk cache has none to show."""
    scalar = {"float32": float32, "float64": float64}[dtype]
    array = scalar[::1]
    loop = jit(**kernels.step.targetoptions)(kernels.step.py_func)
    loop.compile((array,) * 4 + (types.float64,) * 4 + (types.boolean,))
    (signature,) = loop.signatures
    return loop.inspect_asm(signature), loop.inspect_llvm(signature)


class Code:
    """What the compiler made of the step.  Without noise, hence the gate on small machines."""

    params = ["float32", "float64"]
    param_names = ["dtype"]
    version = "1"

    def setup(self, dtype):
        self.asm, self.llvm = machine_code(dtype)

    def track_packed_ops(self, dtype):
        """Roots and divisions of whole vectors.  Here less is worse, whatever asv says."""
        if "%xmm" not in self.asm:
            raise NotImplementedError("the names of the instructions are those of x86")
        return len(re.findall(r"\bv?(?:sqrt|div)p[sd]\b", self.asm))

    def track_packed_conversions(self, dtype):
        """Vectors converted between float32 and float64: each is a literal of the wrong type."""
        return len(re.findall(r"\bv?cvtp[sd]2p[sd]\b", self.asm))

    def track_passes(self, dtype):
        """Vectors read and written for each root taken: 4 + 3 is the least."""
        moved = re.findall(r"(?:= load|store) <\d+ x (?:float|double)>", self.llvm)
        roots = re.findall(r"call [^\n]*@llvm\.sqrt\.v\d+f\d+", self.llvm)
        if not roots:
            raise RuntimeError("the loop was not vectorised")  # asv run then exits with 2
        return len(moved) / len(roots)

    def track_bits(self, dtype):
        """A checksum of the parameters after 100 steps."""
        x, g, v, u = (array.copy() for array in state(1003, dtype))
        for _ in range(100):
            kernels.step(x, g, v, u, LR, RHO, EPS, 0.01, False)
        return zlib.crc32(x.tobytes())

    track_packed_ops.unit = track_packed_conversions.unit = "instructions"
    track_passes.unit = "vectors"
    track_bits.unit = "checksum"


def peakmem_step():
    """Ten million parameters: 40 MB for each of four arrays, and nothing more."""
    x, grads = np.ones(10**7, np.float32), np.ones(10**7, np.float32)
    nd.Adadelta(x).step(grads)
