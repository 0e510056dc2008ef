"""Activations and losses as users give them: by name, or as two scalar functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from numadelta import custom, layers, losses

Pair = tuple[Callable[..., float], Callable[..., float]]

NAMES = {"activation": layers.ACTIVATIONS, "loss": losses.LOSSES}
# Of so many arguments are functions in their place.
ARGUMENTS = {"activation": 1, "loss": 2}
# Other libraries' names.
SYNONYMS = {"sigmoid": "logistic", "linear": "identity", "mse": "squared_error"}


def check_pair(name: str, pair: Any, dtype: np.dtype[Any]) -> Pair:
    """Return compiled functions."""
    return custom.check_pair(name, pair, ARGUMENTS[name], dtype)


def check(name: str, value: Any, dtype: np.dtype[Any]) -> Any:
    """Return a known name, or a pair of compiled functions."""
    if not isinstance(value, str):
        return check_pair(name, value, dtype)
    if value not in NAMES[name]:
        hint = f"; that is {SYNONYMS[value]!r} here" if value in SYNONYMS else ""
        raise ValueError(
            f"{name} must be one of {', '.join(NAMES[name])} or a pair of functions (rule, "
            f"derivative), but is {value!r}{hint}"
        )
    return value


def activation(value: str | Pair) -> int | custom.Activation:
    """Return what `backprop` takes for a checked activation."""
    return layers.ACTIVATIONS[value] if isinstance(value, str) else custom.activation(*value)


def loss(value: str | Pair) -> Callable[..., tuple[float, float]]:
    """Return the loop of a checked loss."""
    return losses.LOSSES[value] if isinstance(value, str) else custom.loss(*value)
