"""Forward and backward pass of a multi-layer perceptron over the views of one flat array.

Matrix products go to the BLAS through NumPy, or to a `numadelta.team`; everything else to
`numadelta.layers` and `numadelta.losses`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numadelta import custom, layers
from numadelta.arrays import aligned
from numadelta.products import product, transposed_product


class Network(NamedTuple):
    """What the passes must know of a network."""

    sizes: tuple[int, ...]
    activation: int | custom.Activation
    loss: Callable[..., tuple[float, float]]
    # Whether the loss counts hits; where it does not, R^2 is the score.
    counts_hits: bool
    weight_decay: float
    dropout: float
    input_dropout: float

    @property
    def drop_rates(self) -> tuple[float, ...]:
        """The rate of dropout of what enters each layer."""
        return (self.input_dropout, *(self.dropout for _ in self.sizes[1:-1]))


class Views(NamedTuple):
    """The layers of a flat array: ``weights[k]`` is (n_in, n_out), ``biases[k]`` is (n_out,)."""

    weights: tuple[NDArray[Any], ...]
    biases: tuple[NDArray[Any], ...]
    # Made once, for making one takes as long as a small product.
    weights_T: tuple[NDArray[Any], ...]


def parameter_count(sizes: tuple[int, ...]) -> int:
    """Return the length of the flat array of a network with these layer sizes."""
    return sum((n_in + 1) * n_out for n_in, n_out in zip(sizes, sizes[1:], strict=False))


def layer_bounds(sizes: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Return where in the flat array each layer has its weights, then its bias, and ends."""
    bounds, start = [], 0
    for n_in, n_out in zip(sizes, sizes[1:], strict=False):
        bounds.append((start, start + n_in * n_out, start + (n_in + 1) * n_out))
        start = bounds[-1][-1]
    return bounds


def layer_views(flat: NDArray[Any], sizes: tuple[int, ...]) -> Views:
    """Return views of a flat array, in the order weights, bias, layer by layer."""
    weights, biases = [], []
    for n_out, (start, middle, stop) in zip(sizes[1:], layer_bounds(sizes), strict=True):
        weights.append(flat[start:middle].reshape(-1, n_out))
        biases.append(flat[middle:stop])
    return Views(tuple(weights), tuple(biases), tuple(matrix.T for matrix in weights))


def part_sizes(sizes: tuple[int, ...]) -> list[int]:
    """Return how many weights and biases there are, layer by layer."""
    return [
        size
        for start, middle, stop in layer_bounds(sizes)
        for size in (middle - start, stop - middle)
    ]


class Workspace:
    """Buffers for a batch of `rows` samples, allocated once.

    With `training`, also those that only the backward pass and dropout need.  Products are methods
    of what `matrix` makes of an array: by default the array, whose products are the BLAS's.
    """

    def __init__(
        self,
        network: Network,
        rows: int,
        dtype: np.dtype[Any],
        training: bool = False,
        matrix: Callable[[NDArray[Any]], Any] = np.asarray,
    ) -> None:
        hidden = network.sizes[1:-1]

        def buffers(wanted: bool = True) -> list[NDArray[Any]]:
            return [aligned((rows, units), dtype) for units in hidden] if wanted else []

        self.network = network
        self.rows = rows
        self.outputs = [*buffers(), aligned((rows, network.sizes[-1]), dtype)]
        self.sums = buffers(isinstance(network.activation, custom.Activation))
        self.deltas = buffers(training)
        self.dropped = buffers(training and network.dropout > 0)
        self.bias_grad = np.empty(network.sizes[-1], dtype)
        self.ones = np.ones(rows, dtype)
        self.output_factors, self.dropped_factors, delta_factors = (
            list(map(matrix, arrays)) for arrays in (self.outputs, self.dropped, self.deltas)
        )
        self.delta_factors = [*delta_factors, self.output_factors[-1]]
        # Made once, as `Views.weights_T` is.
        self.outputs_T = [output.T for output in self.output_factors]
        self.dropped_T = [dropped.T for dropped in self.dropped_factors]
        real = np.dtype(dtype).type
        self.masks = [
            (np.uint32(min(rate * layers.HASH_RANGE, layers.HASH_RANGE - 1)), real(1 / (1 - rate)))
            for rate in network.drop_rates
        ]

    def output_sums(
        self, views: Views, inputs: Any, keys: NDArray[np.uint32] | None = None
    ) -> NDArray[Any]:
        """Return inputs of the last layer times its weights; its bias is for the loss to add.

        With `keys`, one for each layer, what enters a layer is thinned by dropout; `inputs` are
        overwritten.
        """
        if keys is not None and self.network.input_dropout:
            # Of a sparse batch, which is a copy, what is stored is thinned.
            cells = inputs if isinstance(inputs, np.ndarray) else inputs.data[np.newaxis]
            layers.drop(cells, cells, keys[0], *self.masks[0])
        product(inputs, views.weights[0], self.outputs[0])
        for k in range(1, len(self.outputs)):
            below = self.output_factors[k - 1]
            self._activate(k - 1, views.biases[k - 1])
            if keys is not None and self.network.dropout:
                layers.drop(self.outputs[k - 1], self.dropped[k - 1], keys[k], *self.masks[k])
                below = self.dropped_factors[k - 1]
            below.dot(views.weights[k], self.outputs[k])
        return self.outputs[-1]

    def _activate(self, k: int, bias: NDArray[Any]) -> None:
        activation = self.network.activation
        if isinstance(activation, custom.Activation):
            activation.forward(self.outputs[k], bias, self.sums[k])
        else:
            layers.activate(self.outputs[k], bias, activation)

    def loss(
        self,
        views: Views,
        inputs: Any,
        y: NDArray[Any],
        sample_weight: NDArray[Any] | None = None,
        outputs: NDArray[Any] | None = None,
    ) -> tuple[float, float]:
        """Return loss and hits, both summed over the batch, without the penalty.

        `outputs`, if given, takes what the last layer adds up, biases included.
        """
        sums = self.output_sums(views, inputs)
        if outputs is not None:
            np.add(sums, views.biases[-1], out=outputs)
        weights = self.ones if sample_weight is None else sample_weight
        return self.network.loss(sums, views.biases[-1], y, weights, self.bias_grad)

    def loss_and_grad(
        self,
        views: Views,
        grads: Views,
        inputs: Any,
        y: NDArray[Any],
        sample_weight: NDArray[Any] | None = None,
        keys: NDArray[np.uint32] | None = None,
    ) -> tuple[float, float]:
        """Return mean loss with penalty and summed hits; write the gradient into `grads`.

        With `keys`, as in `output_sums`.
        """
        network = self.network
        delta = self.output_sums(views, inputs, keys)
        weights = self.ones if sample_weight is None else sample_weight
        loss, hits = network.loss(delta, views.biases[-1], y, weights, grads.biases[-1])
        loss /= self.rows
        dropping = keys is not None and network.dropout > 0
        inputs_T = self.dropped_T if dropping else self.outputs_T
        for k in range(len(self.outputs) - 1, 0, -1):
            inputs_T[k - 1].dot(delta, grads.weights[k])
            below = self.deltas[k - 1]
            self.delta_factors[k].dot(views.weights_T[k], below)
            if dropping:
                layers.drop(below, below, keys[k], *self.masks[k])  # type: ignore[index]
            self._backward(k - 1, below, grads.biases[k - 1])
            delta = below
        transposed_product(inputs, delta, grads.weights[0])
        if network.weight_decay:
            for layer, grad in zip(views.weights, grads.weights, strict=True):
                layers.add_penalty_grad(layer.reshape(-1), grad.reshape(-1), network.weight_decay)
        return loss + penalty(views, network.weight_decay), hits

    def _backward(self, k: int, delta: NDArray[Any], bias_grad: NDArray[Any]) -> None:
        activation = self.network.activation
        if isinstance(activation, custom.Activation):
            activation.backward(delta, self.sums[k], bias_grad)
        else:
            layers.backward(delta, self.outputs[k], bias_grad, activation)


def penalty(views: Views, weight_decay: float) -> float:
    """Return the L2 penalty of all weights."""
    if not weight_decay:
        return 0.0  # also for weights so large that their squares are infinite
    return sum(layers.penalty(weights.reshape(-1), weight_decay) for weights in views.weights)
