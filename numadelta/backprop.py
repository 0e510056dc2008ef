"""Forward and backward pass of a multi-layer perceptron over the views of one flat array.

Matrix products go to the BLAS through NumPy, everything else to `numadelta.layers`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numadelta import layers


class Network(NamedTuple):
    """What the passes must know of a network."""

    sizes: tuple[int, ...]
    activation: int
    loss: str
    weight_decay: float


class Views(NamedTuple):
    """The layers of a flat array: ``weights[k]`` is (n_in, n_out), ``biases[k]`` is (n_out,)."""

    weights: tuple[NDArray[Any], ...]
    biases: tuple[NDArray[Any], ...]


def parameter_count(sizes: tuple[int, ...]) -> int:
    """Return the length of the flat array of a network with these layer sizes."""
    return sum((n_in + 1) * n_out for n_in, n_out in zip(sizes, sizes[1:], strict=False))


def layer_views(flat: NDArray[Any], sizes: tuple[int, ...]) -> Views:
    """Return views of a flat array, in the order weights, bias, layer by layer."""
    weights, biases, start = [], [], 0
    for n_in, n_out in zip(sizes, sizes[1:], strict=False):
        middle, stop = start + n_in * n_out, start + (n_in + 1) * n_out
        weights.append(flat[start:middle].reshape(n_in, n_out))
        biases.append(flat[middle:stop])
        start = stop
    return Views(tuple(weights), tuple(biases))


class Workspace:
    """Buffers for a batch of `rows` samples, allocated once."""

    def __init__(self, network: Network, rows: int, dtype: np.dtype[Any]) -> None:
        sizes = network.sizes
        self.network = network
        self.outputs = [np.empty((rows, n_out), dtype) for n_out in sizes[1:]]
        self.deltas = [np.empty((rows, n_out), dtype) for n_out in sizes[1:-1]]
        self.bias_grad = np.empty(sizes[-1], dtype)
        # Transposed views are made once, too: making one costs as much as a small product.
        self.outputs_T = [output.T for output in self.outputs]

    def output_sums(self, views: Views, inputs: NDArray[Any]) -> NDArray[Any]:
        """Return inputs of the last layer times its weights; its bias is for the loss to add."""
        layer_inputs = inputs
        last = len(self.outputs) - 1
        for k, (output, weights) in enumerate(zip(self.outputs, views.weights, strict=True)):
            np.matmul(layer_inputs, weights, out=output)
            if k < last:
                layers.activate(output, views.biases[k], self.network.activation)
            layer_inputs = output
        return layer_inputs

    def loss(self, views: Views, inputs: NDArray[Any], y: NDArray[Any]) -> tuple[float, float]:
        """Return loss and hits, both summed over the batch, without the penalty."""
        sums = self.output_sums(views, inputs)
        return layers.LOSSES[self.network.loss](sums, views.biases[-1], y, self.bias_grad)

    def loss_and_grad(
        self, views: Views, grads: Views, inputs: NDArray[Any], y: NDArray[Any]
    ) -> tuple[float, float]:
        """Return mean loss with penalty and summed hits; write the gradient into `grads`."""
        delta = self.output_sums(views, inputs)
        evaluate = layers.LOSSES[self.network.loss]
        loss, hits = evaluate(delta, views.biases[-1], y, grads.biases[-1])
        loss /= len(inputs)
        for k in range(len(self.outputs) - 1, 0, -1):
            np.matmul(self.outputs_T[k - 1], delta, out=grads.weights[k])
            below = self.deltas[k - 1]
            np.matmul(delta, views.weights[k].T, out=below)
            layers.backward(
                below, self.outputs[k - 1], grads.biases[k - 1], self.network.activation
            )
            delta = below
        np.matmul(inputs.T, delta, out=grads.weights[0])
        if self.network.weight_decay:
            for weights, grad in zip(views.weights, grads.weights, strict=True):
                layers.add_penalty_grad(
                    weights.reshape(-1), grad.reshape(-1), self.network.weight_decay
                )
            loss += penalty(views, self.network.weight_decay)
        return loss, hits


def penalty(views: Views, weight_decay: float) -> float:
    """Return the L2 penalty of all weights."""
    return sum(layers.penalty(weights.reshape(-1), weight_decay) for weights in views.weights)
