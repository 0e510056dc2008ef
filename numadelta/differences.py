"""Gradients by finite differences that stay inside the bounds.

`scipy.optimize.approx_fprime` knows neither bounds nor float32 nor the complex step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numadelta.arrays import as_real_array
from numadelta.jit import loop

# Central differences in the place of forward ones take longer steps, or they would evaluate points
# again (as they do where a bound is nearer).
TURNED = 2

SCHEMES = ("2-point", "3-point", "cs")
_TWO_POINT, THREE_POINT, _COMPLEX = range(3)

# SciPy's, the root of the machine precision.  The complex step subtracts nothing, so that 1e-20 is
# usual; but powers and Fourier transforms of complex numbers leave 1e-16 in the imaginary part,
# which would be divided by it.
_COMPLEX_STEP = 2.0**-26


@loop
def step_of(scheme, rel_step, at, precision):
    """Return the length of a step from the coordinate `at`; NaN as `rel_step` is the default.

    By default truncation and rounding balance.
    """
    if not rel_step > 0:
        if scheme == _COMPLEX:
            rel_step = _COMPLEX_STEP
        else:
            # No general power: compilers compute it at compile time, to other last bits.
            rel_step = math.sqrt(precision)
            if scheme == THREE_POINT:
                rel_step = math.ldexp(1.0, int(math.frexp(precision)[1] / 3))
    return rel_step * max(1.0, abs(at))


@loop
def probes(scheme, at, h, low, high):
    """Return where the coordinate `at` goes, inside its bounds: to one point or to two.

    A step that does not fit is turned round, and if it fits nowhere it ends on the farther bound.
    """
    if scheme == THREE_POINT and low <= at - h and at + h <= high:
        return at - h, at + h
    upwards = high - at >= at - low
    if scheme == _TWO_POINT:
        to = min(at + h, high) if upwards or at + h <= high else max(at - h, low)
        return to, to
    far = min(at + 2 * h, high) if upwards else max(at - 2 * h, low)
    return at + (far - at) / 2, far


@loop
def slope(near, near_change, far, far_change):
    """Return the derivative from the changes of a function after two steps (or one, twice).

    The parabola through the point and two others, central or one-sided, evenly spaced or not.
    """
    if near == far or near == 0:  # bounds so close that there is nothing half-way
        return far_change / far
    return (near_change * far / near - far_change * near / far) / (far - near)


class Differences:
    """A scheme of finite differences for points of one length and dtype.

    Parameters
    ----------
    scheme : {"2-point", "3-point", "cs"}
        Forward differences, central differences, or the imaginary part of a complex step.
    x : ndarray of float32 or float64, shape (n,)
        Any point; tells the length and the dtype.
    lower, upper : ndarray, shape (n,)
        Bounds in the dtype of `x`, which no evaluation leaves.  Coordinates whose bounds are equal
        cannot be varied: they cost nothing and their derivative is given as zero.
    rel_step : array_like, optional
        Steps relative to ``max(1, abs(x))``.  By default the square root of the machine precision
        for "2-point", about the cube root for "3-point" and 1.5e-8 for "cs".

    Attributes
    ----------
    scheme : int
        The index in `SCHEMES`.
    rel_step : ndarray of float64, shape (n,)
        NaN where the default is wanted.
    reach : float
        The longest relative step of forward differences, 0 for the other schemes.
    per_element, cost : int
        The evaluations that one element of the gradient takes, and the whole.
    is_complex : bool
        Whether the points are complex, and so must be what the function returns.

    Raises
    ------
    TypeError, ValueError
        If `rel_step` holds other things than numbers, is of another length than `x`, is not
        positive, or is so small that a step would be lost in rounding.

    Examples
    --------
    >>> import numpy as np
    >>> from numadelta.differences import Differences
    >>> x, gradient = np.array([1.0, 2.0]), np.empty(2)
    >>> forward = Differences("2-point", x, x - np.inf, x + np.inf)
    >>> values = lambda points: [x[0] * x[1] for x in points]
    >>> forward(values, x, 2.0, np.finfo(x.dtype).eps, gradient)
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
        self.scheme = SCHEMES.index(scheme)
        self.is_complex = self.scheme == _COMPLEX
        least = 0.0 if self.is_complex else float(np.finfo(x.dtype).eps)
        self.rel_step = _checked_steps(rel_step, x, least)
        self.reach = 0.0
        if self.scheme == _TWO_POINT:
            # The default steps are longer if the values are coarser, which they tell only later.
            usual = math.sqrt(float(np.finfo(x.dtype).eps))
            self.reach = usual if rel_step is None else float(self.rel_step.max())
        self.per_element = 2 if self.scheme == THREE_POINT else 1
        self._set_limits(lower, upper)

    def _set_limits(self, lower: NDArray[Any], upper: NDArray[Any]) -> None:
        self._lows, self._highs = lower.tolist(), upper.tolist()
        self._free = np.flatnonzero(lower < upper).tolist()
        self.cost = len(self._free) * self.per_element

    def between(self, lower: NDArray[Any], upper: NDArray[Any]) -> Differences:
        """Return the same scheme for other bounds."""
        other = copy(self)
        other._set_limits(lower, upper)
        return other

    def __call__(
        self,
        values: Callable[[Iterable[NDArray[Any]]], Iterable[Any]],
        x: NDArray[Any],
        value: float,
        precision: float,
        out: NDArray[Any],
        central: bool = False,
    ) -> None:
        """Write the gradient at `x`, where the function has the given value, to `out`.

        `values` maps points, each a new array, to values.  `precision` is the machine precision of
        what the function returns; if that is computed in float32, float64 steps would drown in its
        rounding.  With `central` forward differences are central ones, of twice the steps.
        """
        sides = THREE_POINT if central else self.scheme
        moves = [(i, self._ends(sides, i, x.item(i), precision)) for i in self._free]
        numbers = list(values(_moved(x, i, to) for i, ends in moves for to in ends))
        if len(numbers) != (points := sum(len(ends) for _, ends in moves)):
            raise ValueError(
                f"{len(numbers)} values came of {points} points; workers must return one for each, "
                "and fun must not raise StopIteration"
            )
        found = iter(numbers)
        gradient = [0.0] * x.size
        for i, ends in moves:
            if self.is_complex:
                gradient[i] = next(found).imag / ends[0].imag
            else:
                steps = [float(x.dtype.type(to)) - x.item(i) for to in ends]
                changes = [next(found) - value for _ in ends]
                gradient[i] = slope(steps[0], changes[0], steps[-1], changes[-1])
        with np.errstate(over="ignore", under="ignore"):
            out[:] = gradient

    def _ends(self, sides: int, i: int, at: float, precision: float) -> tuple[Any, ...]:
        h = step_of(self.scheme, self.rel_step[i], at, precision)
        if sides != self.scheme:
            h *= TURNED
        if self.is_complex:
            return (at + h * 1j,)
        ends = probes(sides, at, h, self._lows[i], self._highs[i])
        return ends if sides == THREE_POINT else ends[:1]


def _moved(x: NDArray[Any], i: int, to: Any) -> NDArray[Any]:
    point = x.astype(np.complex128) if isinstance(to, complex) else x.copy()
    point[i] = to
    return point


def _checked_steps(rel_step: ArrayLike | None, x: NDArray[Any], least: float) -> NDArray[Any]:
    if rel_step is None:
        return np.full(x.size, np.nan)
    steps = as_real_array("finite_diff_rel_step", rel_step).astype(np.float64)
    if steps.shape not in ((), (1,), x.shape):
        raise ValueError(
            f"finite_diff_rel_step has shape {steps.shape}, but x0 has shape {x.shape}"
        )
    if not (np.isfinite(steps) & (steps > 0) & (steps >= least)).all():
        raise ValueError(
            f"finite_diff_rel_step must be finite, positive and at least {least} (as {x.dtype}), "
            f"but is {rel_step}"
        )
    return np.array(np.broadcast_to(steps, x.shape))
