"""The user's objective and gradient behind checks of what they return."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numadelta.differences import Differences

_SCALAR = "The user-provided objective function must return a scalar value."
_FORMS = (
    "pass jac=True if fun returns (value, gradient), or a function as jac if it returns only the "
    "value"
)


class Objective:
    """The user's functions: they get copies of the point, and what they return is checked.

    `nfev` and `njev` count the evaluations of `fun` and of gradients; `cost` is how many of `fun`
    one call of `value_and_gradient` takes.  `jac` is True, a function, or None for `differences`.
    """

    def __init__(
        self,
        fun: Callable[..., Any],
        jac: Any,
        args: tuple[Any, ...],
        dtype: np.dtype[Any],
        differences: Differences | None,
    ) -> None:
        self._fun = fun
        self._jac = jac
        self._args = args
        self._differences = differences
        # Machine precision of the values: coarser than that of the points if fun rounds to less.
        self._precision = float(np.finfo(dtype).eps)
        self.cost = 1 + (differences.cost if differences else 0)
        self.nfev = 0
        self.njev = 0

    def value_and_gradient(self, x: NDArray[Any], out: NDArray[Any]) -> float:
        """Return the value at `x` and, if it is finite, write the gradient to `out`."""
        if self._jac is True:
            self.nfev += 1
            pair = self._fun(x.copy(), *self._args)
            if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                raise TypeError(
                    "with jac=True fun must return a pair, (value, gradient), but it returned "
                    f"{_described(pair)}; {_FORMS}"
                )
            value = self._as_float(pair[0])
            if math.isfinite(value):
                self.njev += 1
                _take_gradient(pair[1], out, "the gradient that fun returned (jac=True)")
            return value
        value = self.value(x.copy())
        if math.isfinite(value):
            self.njev += 1
            if self._differences is None:
                _take_gradient(self._jac(x.copy(), *self._args), out, "what jac returned")
            else:
                fun = self._complex_value if self._differences.is_complex else self.value
                self._differences(fun, x, value, self._precision, out)
        return value

    def value(self, x: NDArray[Any]) -> float:
        """Return the value at `x`, an array that is given away."""
        self.nfev += 1
        return self._as_float(self._fun(x, *self._args))

    def _complex_value(self, x: NDArray[Any]) -> complex:
        self.nfev += 1
        value = _as_scalar(self._fun(x, *self._args), "c", "with jac='cs', a complex one")
        return complex(value.item())

    def _as_float(self, value: Any) -> float:
        if isinstance(value, float):
            return float(value)
        array = _as_scalar(value, "fiu", "a real one")
        if array.dtype.kind == "f":
            self._precision = max(self._precision, float(np.finfo(array.dtype).eps))
        return float(array.item())


def _as_scalar(value: Any, kinds: str, expected: str) -> NDArray[Any]:
    if isinstance(value, (tuple, list)) and len(value) != 1:
        raise TypeError(f"{_SCALAR} fun returned {_described(value)}; {_FORMS}.")
    array = np.asarray(value)
    if array.dtype.kind not in kinds or isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{_SCALAR} fun returned {_described(value)}, but it must be {expected}.")
    if array.size != 1:
        raise ValueError(f"{_SCALAR} fun returned {_described(value)}.")
    return array


def _take_gradient(gradient: Any, out: NDArray[Any], name: str) -> None:
    """Copy a gradient to `out` at once, as it may be a buffer that the user fills anew."""
    if (
        type(gradient) is not np.ndarray
        or gradient.dtype != out.dtype
        or gradient.shape != out.shape
    ):
        given = gradient
        try:
            gradient = np.atleast_1d(np.asarray(given))
        except ValueError:  # a ragged list
            gradient = np.empty(0, object)
        if gradient.dtype.kind not in "fiu" or isinstance(given, np.ma.MaskedArray):
            raise TypeError(
                f"{name} must be an array of real numbers (from jac or, with jac=True, from fun), "
                f"but is {_described(given)}"
            )
        if gradient.shape != out.shape:
            raise ValueError(f"{name} has shape {gradient.shape}, but x0 has shape {out.shape}")
        with np.errstate(over="ignore"):  # infinity is dealt with by the driver
            gradient = gradient.astype(out.dtype)
    out[:] = gradient


def _described(thing: object) -> str:
    if isinstance(thing, np.ndarray):
        return f"an array of shape {thing.shape} and dtype {thing.dtype}"
    if isinstance(thing, (tuple, list)):
        return f"a {type(thing).__name__} of length {len(thing)}"
    return f"a {type(thing).__name__}"
