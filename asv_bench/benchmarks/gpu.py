"""The step on a GPU, if there is one: from Python, until the GPU has done it.

Peers and the traffic alone stand next to it in ``examples/torch_on_gpu.py``.
"""

from functools import cache

import numadelta as nd

from . import state


@cache
def why_not():
    """Return why there is no GPU to measure on, or None."""
    try:
        from numadelta.device import require_gpu

        require_gpu()
    except (ImportError, RuntimeError) as error:
        return error
    return None


@cache
def optimizer(n, dtype, nonfinite):
    """Return an optimiser of arrays on the GPU that has taken a step, and the gradient."""
    from numba import cuda

    x, grads, v, u = map(cuda.to_device, state(n, dtype))
    opt = nd.Adadelta(x, square_avg=v, acc_delta=u, nonfinite=nonfinite)
    opt.step(grads)
    return opt, grads


class GpuStep:
    """``propagate`` does not look for NaN, and so does not wait for the GPU in each step."""

    params = ([10**3, 10**6, 10**7, 10**8], ["float32", "float64"], ["raise", "propagate"])
    param_names = ["n", "dtype", "nonfinite"]
    number, rounds, repeat, warmup_time = 1, 2, (3, 10, 1.0), 0.1
    steps = 10

    def setup(self, n, dtype, nonfinite):
        if why_not():
            raise NotImplementedError(f"there is no GPU: {why_not()}")
        from numba import cuda

        self.opt, self.grads = optimizer(n, dtype, nonfinite)
        self.synchronize = cuda.synchronize

    def time_ten_steps(self, n, dtype, nonfinite):
        for _ in range(self.steps):
            self.opt.step(self.grads)
        self.synchronize()
