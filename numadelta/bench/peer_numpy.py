"""Worker: ADADELTA in plain NumPy, and the matrix products that no training can do without."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from numadelta.bench import worker
from numadelta.bench.problems import EPS, LARGE, LR, NETS, RHO, SMALL, params_and_grads

# Elements a pass works on: five arrays of this length stay in the cache.
BLOCK = 16_384


class Adadelta:
    """The textbook formulas without temporaries, block by block."""

    def __init__(self, params: NDArray[Any], grads: NDArray[Any]) -> None:
        self.arrays = params, grads, np.zeros_like(params), np.zeros_like(params)
        size = min(BLOCK, params.size)
        self.buffers = np.empty(size, params.dtype), np.empty(size, params.dtype)

    def step(self) -> None:
        """Update the parameters."""
        for start in range(0, self.arrays[0].size, BLOCK):
            x, g, v, u = (array[start : start + BLOCK] for array in self.arrays)
            delta, other = (buffer[: x.size] for buffer in self.buffers)
            np.multiply(g, g, out=other)
            other *= 1 - RHO
            v *= RHO
            v += other
            np.add(u, EPS, out=delta)
            np.add(v, EPS, out=other)
            delta /= other
            np.sqrt(delta, out=delta)
            delta *= g
            np.multiply(delta, LR, out=other)
            x -= other
            delta *= delta
            delta *= 1 - RHO
            u *= RHO
            u += delta


def step(quick: bool) -> dict[str, Any]:
    """Step a large array, on one thread: NumPy has no more for this."""
    return worker.measure(Adadelta(*params_and_grads(LARGE)).step, quick)


def door(quick: bool) -> dict[str, Any]:
    """Step a small array."""
    opt = Adadelta(*params_and_grads(SMALL))
    return worker.measure(worker.repeat(opt.step, 1000), quick, 1000)


def products(quick: bool) -> dict[str, Any]:
    """Multiply the matrices of an epoch, forward and backward, and do nothing else."""
    net = NETS["epoch"]
    samples, _ = net.data(quick)
    inputs, hidden, outputs = net.sizes
    rng = np.random.default_rng(0)

    def matrix(rows: int, columns: int) -> NDArray[Any]:
        return rng.standard_normal((rows, columns), np.float32)

    first, second = matrix(inputs, hidden), matrix(hidden, outputs)
    first_grad, second_grad = np.empty_like(first), np.empty_like(second)
    layer, layer_grad = matrix(net.batch, hidden), matrix(net.batch, hidden)
    scores, scores_grad = matrix(net.batch, outputs), matrix(net.batch, outputs)

    def epoch() -> None:
        for start in range(0, len(samples), net.batch):
            batch = samples[start : start + net.batch]
            n = len(batch)
            np.matmul(batch, first, out=layer[:n])
            np.matmul(layer[:n], second, out=scores[:n])
            np.matmul(layer[:n].T, scores_grad[:n], out=second_grad)
            np.matmul(scores_grad[:n], second.T, out=layer_grad[:n])
            np.matmul(batch.T, layer_grad[:n], out=first_grad)

    return worker.outcome([worker.timed(epoch) for _ in range(worker.epochs(quick))])


TASKS: dict[str, worker.Task] = {"step": step, "door": door, "products": products}

if __name__ == "__main__":
    worker.main(TASKS, lambda: f"numpy {np.__version__}")
