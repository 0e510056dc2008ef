"""Worker: ADADELTA and a multi-layer perceptron in plain NumPy."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numadelta.bench import worker
from numadelta.bench.problems import EPS, LARGE, LR, NETS, RHO, SMALL, Net, params_and_grads

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


def squared_error(outputs: NDArray[Any], targets: NDArray[Any]) -> tuple[float, NDArray[Any]]:
    """Return the loss and its gradient with respect to the outputs."""
    error = outputs - targets
    return float(np.mean(error * error)), 2 / error.size * error


def cross_entropy(outputs: NDArray[Any], labels: NDArray[Any]) -> tuple[float, NDArray[Any]]:
    """Return the loss and its gradient with respect to the outputs."""
    rows = np.arange(len(labels))
    outputs = outputs - outputs.max(axis=1, keepdims=True)
    log_probabilities = outputs - np.log(np.exp(outputs).sum(axis=1, keepdims=True))
    gradient = np.exp(log_probabilities)
    gradient[rows, labels] -= 1
    return -float(log_probabilities[rows, labels].mean()), gradient / len(labels)


class Network:
    """A multi-layer perceptron with backpropagation as one writes it by hand."""

    def __init__(self, net: Net) -> None:
        self.layers = net.initial(np.random.default_rng(0))
        self.grads = [
            (np.empty_like(weights), np.empty_like(bias)) for weights, bias in self.layers
        ]
        self.loss = squared_error if net.regression else cross_entropy

    def backpropagate(self, batch: NDArray[Any], targets: NDArray[Any]) -> float:
        """Write the gradients and return the loss."""
        inputs = [batch]
        for weights, bias in self.layers[:-1]:
            inputs.append(np.maximum(inputs[-1] @ weights + bias, 0))
        weights, bias = self.layers[-1]
        loss, delta = self.loss(inputs[-1] @ weights + bias, targets)
        for k in reversed(range(len(self.layers))):
            weight_grad, bias_grad = self.grads[k]
            np.matmul(inputs[k].T, delta, out=weight_grad)
            np.sum(delta, axis=0, out=bias_grad)
            if k:
                delta = (delta @ self.layers[k][0].T) * (inputs[k] > 0)
        return loss


def train(name: str, quick: bool) -> dict[str, Any]:
    """Train a network in a plain loop."""
    net = NETS[name]
    rng = np.random.default_rng(0)
    samples, targets = net.data(quick)
    network = Network(net)
    optimizers = [
        Adadelta(params.reshape(-1), grads.reshape(-1))
        for layer, layer_grads in zip(network.layers, network.grads, strict=True)
        for params, grads in zip(layer, layer_grads, strict=True)
    ]
    losses = []

    def epoch() -> None:
        order, total = rng.permutation(len(samples)), 0.0
        for start in range(0, len(order), net.batch):
            rows = order[start : start + net.batch]
            total += network.backpropagate(samples[rows], targets[rows])
            for opt in optimizers:
                opt.step()
        losses.append(total / net.batches(quick))

    seconds = [worker.timed(epoch) for _ in range(worker.epochs(quick))]
    return worker.outcome(seconds, net.parts(quick), loss=losses[-1])


TASKS: dict[str, worker.Task] = {
    "step": step,
    "door": door,
    **{name: partial(train, name) for name in NETS},
}

if __name__ == "__main__":
    worker.main(TASKS, lambda: f"numpy {np.__version__}")
