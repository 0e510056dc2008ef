"""What is counted and not timed: the same on a busy machine, hence what a gate can trust.

The unit says how `gate.py` reads a value: "checksum" may differ, "packed instructions" and
"problems solved" should not fall, everything else should not rise.
"""

import io
import re
import sys
import tracemalloc
import zipfile
import zlib
from functools import cache
from pathlib import Path
from subprocess import run

import numpy as np
from numba import float32, float64, jit, types

import numadelta as nd
from numadelta import kernels

from . import HYPERPARAMETERS, need, state

MAXFEV = 20_000


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
    """What the compiler made of the step."""

    params = ["float32", "float64"]
    param_names = ["dtype"]
    version = "2"

    def setup(self, dtype):
        self.asm, self.llvm = machine_code(dtype)

    def track_packed(self, dtype):
        """Roots and divisions of whole vectors."""
        if "%xmm" not in self.asm:
            raise NotImplementedError("the names of the instructions are those of x86")
        return len(re.findall(r"\bv?(?:sqrt|div)p[sd]\b", self.asm))

    def track_packed_conversions(self, dtype):
        """Vectors converted between float32 and float64: each is a literal of the wrong type."""
        return len(re.findall(r"\bv?cvtp[sd]2p[sd]\b", self.asm))

    def track_bytes(self, dtype):
        """Bytes read and written for each root taken: seven numbers are the least."""
        moved = re.findall(r"(?:= load|store) <\d+ x (?:float|double)>", self.llvm)
        roots = re.findall(r"call [^\n]*@llvm\.sqrt\.v\d+f\d+", self.llvm)
        if not roots:
            raise RuntimeError("the loop was not vectorised")  # asv run then exits with 2
        return len(moved) / len(roots) * np.dtype(dtype).itemsize

    def track_bits(self, dtype):
        """The parameters after 100 steps."""
        x, g, v, u = (array.copy() for array in state(1003, dtype))
        for _ in range(100):
            kernels.step(x, g, v, u, *HYPERPARAMETERS, 0.01, False)
        return zlib.crc32(x.tobytes())

    track_packed.unit = "packed instructions"
    track_packed_conversions.unit = "instructions"
    track_bytes.unit = "bytes/element"
    track_bits.unit = "checksum"


def allocated(call):
    """Return the peak of what Python and NumPy allocate in a call, the second one."""
    call()
    tracemalloc.start()
    call()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak - before


def function_calls(call):
    """Return how many functions, of Python and of C, a call enters, itself not counted."""
    entered = []
    call()
    sys.setprofile(lambda frame, event, argument: entered.append(event))
    call()
    sys.setprofile(None)
    return sum(event in ("call", "c_call") for event in entered) - 2  # call and sys.setprofile


class Step:
    """A step from Python."""

    version = "1"

    def setup(self):
        x, grads, v, u = state(1000, "float32")
        opt = nd.Adadelta(x, square_avg=v, acc_delta=u)
        self.step = lambda: opt.step(grads)

    def track_allocated(self):
        return allocated(self.step)

    def track_calls(self):
        return function_calls(self.step)

    track_allocated.unit = "bytes"
    track_calls.unit = "calls"


def heap(call):
    """Return how many arrays compiled code allocates in a call."""
    from numba.core.runtime import _nrt_python as nrt
    from numba.core.runtime import rtsys

    call()
    nrt.memsys_enable_stats()
    before = rtsys.get_allocation_stats().mi_alloc
    call()
    return rtsys.get_allocation_stats().mi_alloc - before


class Minimise:
    """Runs on fixed problems; deterministic on one machine."""

    version = "1"

    def setup(self):
        need(nd, "minimize_batch")

    def track_nfev(self):
        """All 19 classics to 1e-6 of ``f(x0) - min f``."""
        from numadelta.bench import classics

        return sum(map(evaluations_to_goal, classics.problems()))

    def track_solved(self):
        """How many of More and Wild's 53 problems are solved to 1e-6 in 20,000 evaluations."""
        from numadelta.bench import more_wild

        return sum(map(is_solved, more_wild.problems()))

    def track_nfev_batch(self):
        """A thousand fits of 12 points, with default options."""
        from . import minimise

        return int(minimise.fit_all(*minimise.made_fits(1000)[:2]).nfev.sum())

    def track_arrays(self):
        """Arrays that a thousand more iterations allocate in compiled code, without safeguard."""
        return heap(lambda: rosenbrock(2000, False)) - heap(lambda: rosenbrock(1000, False))

    def track_arrays_safeguarded(self):
        """The same with the safeguard, for a hundred more iterations."""
        return heap(lambda: rosenbrock(200, True)) - heap(lambda: rosenbrock(100, True))

    track_nfev.unit = track_nfev_batch.unit = "evaluations"
    track_solved.unit = "problems solved"
    track_arrays.unit = track_arrays_safeguarded.unit = "arrays"


def evaluations_to_goal(problem):
    """Return how many evaluations it takes, twice the limit if it fails."""
    start = problem.fun(problem.x0, np.empty_like(problem.x0), *problem.args)
    goal = problem.minimum + 1e-6 * (start - problem.minimum)
    reached = []

    def fun(x):
        grad = np.empty_like(x)
        value = problem.fun(x, grad, *problem.args)
        reached.append(value <= goal)
        if reached[-1]:
            raise StopIteration
        return value, grad

    options = {"gtol": 0, "ftol": 0, "maxiter": np.inf, "maxfev": MAXFEV}
    try:
        nd.minimize(fun, problem.x0, jac=True, options=options)
    except StopIteration:
        return len(reached)
    return 2 * MAXFEV


def is_solved(problem):
    from numadelta.bench import more_wild

    args = problem.which, problem.m
    start = more_wild.fun(problem.x0, np.empty_like(problem.x0), *args)
    options = {"gtol": 0, "ftol": 0, "maxiter": np.inf, "maxfev": MAXFEV}
    result = nd.minimize(more_wild.fun, problem.x0, args, jac="inplace", options=options)
    return start - result.fun >= (1 - 1e-6) * (start - problem.best)


def rosenbrock(maxiter, safeguard):
    """Iterate on Rosenbrock's function of 100 variables, which takes longer than that."""
    from numadelta.bench import classics

    options = {"maxiter": maxiter, "gtol": 0, "ftol": 0, "safeguard": safeguard, "lr": 0.01}
    result = nd.minimize(
        classics.rosenbrock, np.tile([-1.2, 1.0], 50), jac="inplace", options=options
    )
    if result.nit != maxiter:
        raise RuntimeError(f"the run ended after {result.nit} iterations: {result.message}")


class Training:
    """Two epochs on made data; the bits depend on the BLAS, so compare them on one machine."""

    params = ["mnist", "narrow", "tiny"]
    param_names = ["net"]
    version = "1"

    def setup(self, name):
        need(nd, "MLP")

    def track_loss(self, name):
        from . import mlp

        return mlp.fit(mlp.network(name), name, epochs=2)["loss"][-1]

    def track_bits(self, name):
        """Losses and parameters."""
        from . import mlp

        net = mlp.network(name)
        losses = mlp.fit(net, name, epochs=2)["loss"]
        return zlib.crc32(net.theta.tobytes(), zlib.crc32(repr(losses).encode()))

    track_loss.unit = "nats"
    track_bits.unit = "checksum"


class TrainingStep:
    """A gradient and a step of the smallest network, where Python counts."""

    version = "1"

    def setup(self):
        need(nd, "minimize_batch")
        from numadelta.minibatches import Batches

        from . import mlp, samples

        sizes, size, _ = mlp.NETS["tiny"]
        net = mlp.trained("tiny")
        batches = Batches(net._network(), net.theta, *samples(size, 4, 1), size)
        rows = np.arange(size)

        def call():
            batches.backpropagate(rows)
            net.optimizer.step(batches.grad)

        self.call = call

    def track_allocated(self):
        return allocated(self.call)

    def track_calls(self):
        return function_calls(self.call)

    track_allocated.unit = "bytes"
    track_calls.unit = "calls"


class Package:
    version = "1"

    def track_wheel(self):
        """The files of the package, compressed."""
        folder, packed = Path(nd.__file__).parent, io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as wheel:
            for file in sorted(folder.rglob("[!.]*.py")):
                wheel.writestr(str(file.relative_to(folder)), file.read_bytes())
        return len(packed.getvalue()) / 1024

    def track_modules(self):
        """Modules that ``import numadelta`` adds to those of ``import numpy``."""
        script = "import sys, numpy; known = len(sys.modules); import numadelta\n"
        script += "print(len(sys.modules) - known)"
        done = run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
        return int(done.stdout)

    track_wheel.unit = "KiB"
    track_modules.unit = "modules"
