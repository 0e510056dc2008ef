"""Worker: a plain loop with the memory traffic of a step, the limit of what a step can reach."""

from __future__ import annotations

from typing import Any

import numpy as np

from numadelta.bench import worker
from numadelta.bench.problems import LARGE, params_and_grads


def stream(quick: bool) -> dict[str, Any]:
    """Read four large arrays and write three, on all threads."""
    from numba import njit, prange

    @njit(parallel=True)
    def add(x, g, v, u):
        for i in prange(x.size):
            grad = g[i]
            x[i] += grad
            v[i] += grad
            u[i] += grad

    x, g = params_and_grads(LARGE)
    v, u = np.zeros_like(x), np.zeros_like(x)
    answer = worker.measure(lambda: add(x, g, v, u), quick)
    return answer | {"work": 7 * x.nbytes, "rate_unit": "GB/s"}


def version() -> str:
    """Return what was measured."""
    import numba

    return f"numba {numba.__version__}"


TASKS: dict[str, worker.Task] = {"stream": stream}

if __name__ == "__main__":
    worker.main(TASKS, version)
