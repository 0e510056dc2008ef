"""Gradients by finite differences that stay inside the bounds.

`scipy.optimize.approx_fprime` knows neither bounds nor float32 nor the complex step.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

# The step, as a power of the machine precision, at which truncation and rounding balance.
_POWER = {"2-point": 1 / 2, "3-point": 1 / 3}

# The complex step subtracts nothing, so that nothing rounds and tiny is best.
_COMPLEX_STEP = 1e-20

SCHEMES = (*_POWER, "cs")


class Differences:
    """A scheme of finite differences for points of one length and dtype.

    Parameters
    ----------
    scheme : {"2-point", "3-point", "cs"}
        Forward differences, central differences, or the imaginary part of a complex step.
    x : ndarray of float32 or float64, shape (n,)
        Any point; tells the length and the dtype.
    lower, upper : ndarray, shape (n,) or (0,)
        Bounds in the dtype of `x`; empty if there are none.  A step that does not fit is turned
        round, and if it fits nowhere it ends on the farther bound.  Coordinates whose bounds are
        equal cannot be varied: they cost nothing and their derivative is given as zero.
    rel_step : array_like, optional
        Steps relative to ``max(1, abs(x))``.  By default the square root of the machine precision
        for "2-point", the cube root for "3-point" and 1e-20 for "cs".

    Attributes
    ----------
    cost : int
        The evaluations that one gradient takes.
    is_complex : bool
        Whether the points are complex, and so must be what the function returns.

    Raises
    ------
    ValueError
        If `rel_step` is of another length than `x`, is not positive, or is so small that a step
        would be lost in rounding.

    Examples
    --------
    >>> import numpy as np
    >>> from numadelta.differences import Differences
    >>> x, limits, gradient = np.array([1.0, 2.0]), np.empty(0), np.empty(2)
    >>> forward = Differences("2-point", x, limits, limits)
    >>> forward(lambda x: x[0] * x[1], x, 2.0, np.finfo(x.dtype).eps, gradient)
    >>> np.round(gradient, 6)
    array([2., 1.])
    """

    def __init__(
        self,
        scheme: str,
        x: NDArray[Any],
        lower: NDArray[Any],
        upper: NDArray[Any],
        rel_step: ArrayLike | None = None,
    ) -> None:
        self._scheme = scheme
        self.is_complex = scheme == "cs"
        steps = _checked_steps(rel_step, x, 0 if self.is_complex else float(np.finfo(x.dtype).eps))
        lows = lower.tolist() or repeat(-np.inf, x.size)
        highs = upper.tolist() or repeat(np.inf, x.size)
        coordinates = zip(range(x.size), lows, highs, steps, strict=True)
        self._free = [coordinate for coordinate in coordinates if coordinate[1] < coordinate[2]]
        self.cost = len(self._free) * (2 if scheme == "3-point" else 1)

    def __call__(
        self,
        fun: Callable[[NDArray[Any]], Any],
        x: NDArray[Any],
        value: float,
        precision: float,
        out: NDArray[Any],
    ) -> None:
        """Write the gradient at `x`, where `fun` has the given value, to `out`.

        `fun` is given a new array each time.  `precision` is the machine precision of what it
        returns; if that is computed in float32, float64 steps would drown in its rounding.
        """
        by_default = _COMPLEX_STEP if self.is_complex else precision ** _POWER[self._scheme]
        gradient = [0.0] * x.size
        for i, low, high, step in self._free:
            at = x.item(i)
            h = (step or by_default) * max(1.0, abs(at))
            if self.is_complex:
                point = x + 0j
                point[i] += h * 1j
                gradient[i] = fun(point).imag / h
                continue
            found = [_difference(fun, x, value, i, to) for to in self._points(at, h, low, high)]
            gradient[i] = _slope(*found)
        with np.errstate(over="ignore"):
            out[:] = gradient

    def _points(self, at: float, h: float, low: float, high: float) -> tuple[float, ...]:
        """Return where the coordinate `at` goes, inside its bounds."""
        fits = low <= at - h and at + h <= high
        if self._scheme == "3-point" and fits:
            return at - h, at + h
        upwards = at + h <= high or high - at >= at - low
        if self._scheme == "2-point":
            return (min(at + h, high) if upwards else max(at - h, low),)
        upwards = high - at >= at - low
        far = min(at + 2 * h, high) if upwards else max(at - 2 * h, low)
        return at + (far - at) / 2, far


def _checked_steps(rel_step: ArrayLike | None, x: NDArray[Any], least: float) -> Any:
    if rel_step is None:
        return repeat(None, x.size)
    steps = np.asarray(rel_step, np.float64)
    if steps.shape not in ((), (1,), x.shape):
        raise ValueError(
            f"finite_diff_rel_step has shape {steps.shape}, but x0 has shape {x.shape}"
        )
    if not (np.isfinite(steps) & (steps > 0) & (steps >= least)).all():
        raise ValueError(
            f"finite_diff_rel_step must be finite, positive and at least {least} (as {x.dtype}), "
            f"but is {rel_step}"
        )
    return np.broadcast_to(steps, x.shape).tolist()


def _difference(fun: Any, x: NDArray[Any], value: float, i: int, to: float) -> tuple[float, float]:
    """Return how far coordinate `i` got, after rounding, and the change of the function."""
    point = x.copy()
    point[i] = to
    moved = point.item(i) - x.item(i)
    return moved, fun(point) - value


def _slope(near: tuple[float, float], far: tuple[float, float] | None = None) -> float:
    """Return the derivative from one change, or to second order from two.

    The parabola through the point and two others, central or one-sided, evenly spaced or not.
    """
    a, change_a = near
    if far is None:
        return change_a / a
    b, change_b = far
    if a in (0, b):  # bounds so close that there is nothing half-way
        return change_b / b
    return (change_a * b / a - change_b * a / b) / (b - a)
