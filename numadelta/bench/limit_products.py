"""Worker: matrix products and nothing else, the limit of what a training can reach."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numadelta.bench import worker
from numadelta.bench.problems import NETS, SQUARE, Net


def square(quick: bool) -> dict[str, Any]:
    """Multiply two large matrices."""
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal((SQUARE, SQUARE), np.float32) for _ in range(2))
    out = np.empty_like(left)
    answer = worker.measure(lambda: np.matmul(left, right, out=out), quick)
    return answer | {"work": 2 * SQUARE**3, "rate_unit": "GFLOP/s"}


class Products:
    """The products of a training step, forward and backward, as `MLP.fit` does them."""

    def __init__(self, net: Net, rows: int) -> None:
        rng = np.random.default_rng(0)

        def matrices(shapes: Any) -> list[NDArray[Any]]:
            return [rng.standard_normal(shape, np.float32) for shape in shapes]

        self.weights = matrices(zip(net.sizes, net.sizes[1:], strict=False))
        self.grads = [np.empty_like(weights) for weights in self.weights]
        self.outputs, self.deltas = (matrices((rows, n) for n in net.sizes[1:]) for _ in range(2))
        # Views are made once: making one costs as much as a small product.
        self.outputs_T = [output.T for output in self.outputs]
        self.weights_T = [weights.T for weights in self.weights]

    def multiply(self, batch: NDArray[Any], batch_T: NDArray[Any]) -> None:
        """Do so for a batch and its transpose."""
        batch.dot(self.weights[0], self.outputs[0])
        layers = range(1, len(self.weights))
        for k in layers:
            self.outputs[k - 1].dot(self.weights[k], self.outputs[k])
        for k in reversed(layers):
            self.outputs_T[k - 1].dot(self.deltas[k], self.grads[k])
            self.deltas[k].dot(self.weights_T[k], self.deltas[k - 1])
        batch_T.dot(self.deltas[0], self.grads[0])


def training(name: str, quick: bool) -> dict[str, Any]:
    """Do the products of an epoch; the samples are per step where those of a training are."""
    net = NETS[name]
    samples, _ = net.data(quick)
    batches = [samples[start : start + net.batch] for start in range(0, len(samples), net.batch)]
    products = {rows: Products(net, rows) for rows in {len(batch) for batch in batches}}
    steps = [(products[len(batch)].multiply, batch, batch.T) for batch in batches]

    def epoch() -> None:
        for multiply, batch, batch_T in steps:
            multiply(batch, batch_T)

    seconds = [worker.timed(epoch) for _ in range(worker.epochs(quick))]
    parts = net.parts(quick)
    # No gradient with respect to the samples.
    first, *others = (
        2 * n_in * n_out for n_in, n_out in zip(net.sizes, net.sizes[1:], strict=False)
    )
    work = len(samples) * (2 * first + 3 * sum(others)) / parts
    return worker.outcome(seconds, parts, work=work, rate_unit="GFLOP/s")


TASKS: dict[str, worker.Task] = {
    "square": square,
    **{name: partial(training, name) for name in NETS},
}

if __name__ == "__main__":
    worker.main(TASKS, lambda: f"numpy {np.__version__}")
