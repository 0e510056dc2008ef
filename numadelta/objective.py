"""The user's objective and gradient in Python, behind checks of what they return."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numadelta import caller
from numadelta.arrays import check_number
from numadelta.differences import Differences

_SCALAR = "The user-provided objective function must return a scalar value."
_FORMS = (
    "pass jac=True if fun returns (value, gradient), or a function as jac if it returns only the "
    "value"
)

# A gradient is called wrong when it differs by more than this part from central differences.
_SUSPICIOUS = 1e-3
# Steps of the check, relative to those usual for central differences.
_STEP_SCALES = (1.0, 1e-3, 1e-6)


class Objective:
    """The user's functions: they get copies of the point, and what they return is checked.

    `jac` is True, "inplace", a function, or None for `differences`.
    """

    def __init__(
        self,
        fun: Callable[..., Any],
        jac: Any,
        args: tuple[Any, ...],
        x: NDArray[Any],
        differences: Differences | None,
        mapper: Callable[..., Iterable[Any]] = map,
    ) -> None:
        self._fun = fun
        self._jac = jac
        self._args = args
        self._differences = differences
        self._mapper = mapper
        # Machine precision of the values: coarser than that of the points if fun rounds to less.
        self.precision = float(np.finfo(x.dtype).eps)
        self.finished = 0  # evaluations of the differences taken last
        # The gradient that came with the value.
        self._pending = np.empty_like(x)

    def value(self, x: NDArray[Any]) -> float:
        """Return the value at `x`."""
        if self._jac is True:
            pair = self._fun(x.copy(), *self._args)
            if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                raise TypeError(
                    "with jac=True fun must return a pair, (value, gradient), but it returned "
                    f"{_described(pair)}; {_FORMS}"
                )
            value = self._as_float(pair[0])
            if math.isfinite(value):
                _take_gradient(pair[1], self._pending, "the gradient that fun returned (jac=True)")
            return value
        if self._jac == "inplace":
            self._pending.fill(np.nan)
            return self._as_float(self._fun(x.copy(), self._pending, *self._args))
        return self._as_float(self._fun(x.copy(), *self._args))

    def gradient(
        self, x: NDArray[Any], value: float, out: NDArray[Any], central: bool = False
    ) -> None:
        """Write the gradient at `x`, where the value is given, to `out`.

        One that comes with the value is that of the last call of `value`.  With `central` forward
        differences are central ones.
        """
        if self._jac is True or self._jac == "inplace":
            out[:] = self._pending
        elif self._differences is None:
            _take_gradient(self._jac(x.copy(), *self._args), out, "what jac returned")
        else:
            self.finished = 0
            self._differences(self._values, x, value, self.precision, out, central)

    def check_gradient(
        self,
        x: NDArray[Any],
        value: float,
        gradient: NDArray[Any],
        lower: NDArray[Any],
        upper: NDArray[Any],
    ) -> None:
        """Warn if this is not the gradient at `x`, where the value is given.

        A gradient is right if central differences of one of several steps agree, because nothing
        tells the scale on which the function varies.  The last steps are relative to x also where
        that is small, as in the units of atoms, if they do not drown in rounding there.
        """
        self.finished = 0
        usual, least = self.precision ** (1 / 3), 4 * float(np.finfo(x.dtype).eps)
        wrong = np.ones(x.size, np.bool_)
        closest, gap = np.full_like(x, np.nan), np.full(x.size, np.inf)
        own_size = np.clip(np.abs(x.astype(np.float64)), 0, 1)
        for scale in (*_STEP_SCALES, own_size):
            step = np.maximum(scale * usual, least)
            tried = wrong & (scale * usual >= least) if scale is own_size else wrong
            free = np.where(tried, lower, x), np.where(tried, upper, x)
            found = np.empty_like(x)
            central = Differences("3-point", x, *free, step)
            central(self._finished_values, x, value, self.precision, found)
            noise = self.precision * abs(value) / step
            error = np.abs(gradient - found)
            allowed = _SUSPICIOUS * np.maximum(np.abs(gradient), np.abs(found))
            if scale is own_size:
                tried &= noise <= allowed
            nearer = tried & (error < gap)
            closest, gap = np.where(nearer, found, closest), np.where(nearer, error, gap)
            wrong &= ~(tried & (error <= allowed + noise)) & (lower < upper)
            if not wrong.any():
                return
        i = int(np.argmax(wrong))
        caller.warn(
            f"the gradient looks wrong: at x0 its element {i} is {gradient[i]}, but central "
            f"differences of fun give {closest[i]}",
            RuntimeWarning,
        )

    def _finished_values(self, points: Iterable[NDArray[Any]]) -> Iterable[float]:
        for point in points:
            value = self.value(point)
            self.finished += 1
            yield value

    @staticmethod
    def cost_of_check(n: int) -> int:
        """Return the evaluations that `check_gradient` may make."""
        return 2 * n * (len(_STEP_SCALES) + 1)

    def _values(self, points: Iterable[NDArray[Any]]) -> Iterable[Any]:
        complex_points = self._differences is not None and self._differences.is_complex
        as_number = _as_complex if complex_points else self._as_float
        found = self._mapper(partial(_call, self._fun, self._args), points)
        if not isinstance(found, Iterable):
            raise TypeError(f"workers must return the values of a map, but returned {found!r}")

        def finish(value: Any) -> Any:
            self.finished += 1
            return as_number(value)

        return map(finish, found)

    def _as_float(self, value: Any) -> float:
        if isinstance(value, float):
            return float(value)
        if type(value) is int:  # of any size
            return check_number("the value", value)
        array = _as_scalar(value, "fiu", "a real one")
        if array.dtype.kind == "f":
            self.precision = max(self.precision, float(np.finfo(array.dtype).eps))
        return float(array.item())


def check_assigned(
    fun: Callable[..., Any], x: NDArray[Any], args: tuple[Any, ...], free: NDArray[Any]
) -> None:
    """Raise if `fun`, with jac='inplace', leaves an element of the gradient at `x` as it was.

    Only `free` elements count.  Two evaluations tell such a NaN from one that `fun` computed.
    """
    before = np.full_like(x, np.nan), np.zeros_like(x)
    for grad in before:
        fun(x.copy(), grad, *args)
    left = np.flatnonzero(free & np.isnan(before[0]) & ~np.isnan(before[1]))
    if left.size:
        raise ValueError(
            f"fun did not assign grad[{left[0]}]: with jac='inplace' it must assign every element "
            "of grad, which comes filled with NaN"
        )


def _call(fun: Callable[..., Any], args: tuple[Any, ...], x: NDArray[Any]) -> Any:
    # A function of the module, so that worker processes can be sent it.
    return fun(x, *args)


def _as_complex(value: Any) -> complex:
    return complex(_as_scalar(value, "c", "with jac='cs', a complex one").item())


def _as_scalar(value: Any, kinds: str, expected: str) -> NDArray[Any]:
    if isinstance(value, (tuple, list)) and len(value) != 1:
        raise TypeError(f"{_SCALAR} fun returned {_described(value)}; {_FORMS}.")
    array = _as_array(value)
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
        given, gradient = gradient, np.atleast_1d(_as_array(gradient))
        if gradient.dtype.kind not in "fiu" or isinstance(given, np.ma.MaskedArray):
            raise TypeError(
                f"{name} must be an array of real numbers (from jac or, with jac=True, from fun), "
                f"but is {_described(given)}"
            )
        if gradient.shape != out.shape:
            raise ValueError(f"{name} has shape {gradient.shape}, but x0 has shape {out.shape}")
        with np.errstate(over="ignore", under="ignore"):  # infinity is for the driver to deal with
            gradient = gradient.astype(out.dtype)
    out[:] = gradient


def _as_array(thing: Any) -> NDArray[Any]:
    """Return an array, which is one of objects if this is a ragged list."""
    try:
        return np.asarray(thing)
    except ValueError:
        return np.empty(0, object)


def _described(thing: object) -> str:
    if isinstance(thing, np.ndarray):
        return f"an array of shape {thing.shape} and dtype {thing.dtype}"
    if isinstance(thing, (tuple, list)):
        return f"a {type(thing).__name__} of length {len(thing)}"
    return f"a {type(thing).__name__}"
