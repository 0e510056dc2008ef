"""Activations and losses of the user: loops over a batch around scalar functions.

Each is compiled when it is first used, for the functions are not known to the disk cache.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from numbers import Real
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numba.core.dispatcher import Dispatcher

from numadelta.jit import loop


class Activation(NamedTuple):
    """The loops of an activation."""

    forward: Callable[..., None]
    backward: Callable[..., None]


def check_pair(name: str, pair: Any, arguments: int, dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """Return a pair of compiled functions of so many arguments, or say what is wrong."""
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise TypeError(
            f"{name} must be a name or a pair of functions (rule, derivative), but is {pair!r}"
        )
    for function in pair:
        if not isinstance(function, (Dispatcher, FunctionType)):
            raise TypeError(
                f"{name} must be a name or a pair of functions (rule, derivative) written in "
                f"Python, but holds {function!r}; a lambda around it is one"
            )
    rule, derivative = (_compiled(function) for function in pair)
    for function in (rule, derivative):
        _try(name, function, arguments, dtype)
    return rule, derivative


@lru_cache
def _compiled(function: Any) -> Any:
    return function if isinstance(function, Dispatcher) else njit(function)


def _try(name: str, function: Any, arguments: int, dtype: np.dtype[Any]) -> None:
    """Call a function once, so that Numba's complaints come now and name the argument."""
    title = f"{name}: the function {function.__name__}"
    numbers = [dtype.type(0.3), dtype.type(0.7)][:arguments]
    try:
        result = function(*numbers)
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line and "nopython" not in line]
        raise TypeError(
            f"{title} cannot be called with {arguments} numbers of dtype {dtype}: "
            f"{lines[0] if lines else repr(error)}"
        ) from error
    if not isinstance(result, Real):
        raise TypeError(f"{title} must return a number, but returns {result!r}")


# Numba's disk cache does not know which functions a loop was made for.
_loop = partial(loop, cached=False)


@lru_cache
def activation(rule: Any, derivative: Any) -> Activation:
    """Return loops for an activation ``rule(z)`` with the slope ``derivative(z)``."""

    @_loop
    def forward(batch, bias, sums):
        """Write batch + bias to `sums`, and its activation to the batch."""
        real = batch.dtype.type
        for i in range(batch.shape[0]):
            for j in range(batch.shape[1]):
                sums[i, j] = batch[i, j] + bias[j]
                batch[i, j] = real(rule(sums[i, j]))

    @_loop
    def backward(delta, sums, bias_grad):
        """Do as `numadelta.layers.backward`, but from the sums."""
        real = delta.dtype.type
        bias_grad[:] = real(0)
        for i in range(delta.shape[0]):
            for j in range(delta.shape[1]):
                delta[i, j] *= real(derivative(sums[i, j]))
                bias_grad[j] += delta[i, j]

    return Activation(forward, backward)


@lru_cache
def loss(rule: Any, derivative: Any) -> Callable[..., tuple[float, float]]:
    """Return a loop for a loss ``rule(output, target)``, to be used as those of `losses`."""

    @_loop
    def custom_loss(batch, bias, targets, sample_weight, bias_grad):
        """Do as `numadelta.losses.squared_error` for the mean of the rule."""
        real = batch.dtype.type
        size = real(batch.size)
        bias_grad[:] = real(0)
        total = 0.0
        for i in range(batch.shape[0]):
            weight = sample_weight[i]
            for j in range(batch.shape[1]):
                output, target = batch[i, j] + bias[j], targets[i, j]
                total += weight * rule(output, target)
                batch[i, j] = weight * real(derivative(output, target)) / size
                bias_grad[j] += batch[i, j]
        return total / batch.shape[1], 0.0

    return custom_loss
