"""The loop of `minimize` for objectives in Python; all that it is given has been checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

from numadelta import kernels
from numadelta.cpu import CpuState
from numadelta.objective import Objective

# Status and message, as SciPy's own minimisers give them.
_CONVERGED = 0, "Optimization terminated successfully."
_MAXITER = 1, "Maximum number of iterations has been exceeded."
_MAXFEV = 1, "Maximum number of function evaluations has been exceeded."
_NONFINITE = 3, "NaN result encountered."
_STOPPED = 99, "`callback` raised `StopIteration`."

# Values that differ by no more roundings than this count as equal in the test for convergence.
_ROUNDINGS = 8


# It calls no rule, so that the disk cache may keep it although it is not in kernels.py.
@kernels.loop
def _stationary(x, gradient, lower, upper, gtol):
    """Tell whether the projected gradient is at most `gtol` everywhere (False for NaN).

    Its elements are those of the gradient, but no longer than the way to the bound ahead.
    """
    for i in range(gradient.size):
        slope = gradient[i]
        if lower.size > 0:
            if slope > 0:
                slope = min(slope, x[i] - lower[i])
            elif slope < 0:
                slope = max(slope, x[i] - upper[i])
        if not abs(slope) <= gtol:
            return False
    return True


def _without(fixed: NDArray[Any], gradient: NDArray[Any]) -> NDArray[Any]:
    if not fixed.size:
        return gradient
    gradient = gradient.copy()
    gradient[fixed] = 0
    return gradient


def descend(
    objective: Objective,
    x: NDArray[Any],
    lower: NDArray[Any],
    upper: NDArray[Any],
    report: Callable[[NDArray[Any], float], bool] | None,
    *,
    rates: Sequence[float],
    maxiter: float,
    maxfev: float,
    gtol: float,
) -> OptimizeResult:
    """Step `x` in place until something ends the run; `rates` are lr, rho and eps.

    `nit` counts the steps that led to a finite value, after each of which `report` is called.
    """
    # The gradient of the best point keeps its buffer, and the next one is written to `spare`.
    gradient, spare = np.full_like(x, np.nan), np.empty_like(x)
    step = CpuState(x).step
    # Fixed coordinates take no step, however large their gradient.
    fixed = np.flatnonzero(lower == upper)
    hyperparameters = *rates, 0.0, False  # no weight decay, no ascent
    rounding = _ROUNDINGS * float(np.finfo(x.dtype).eps)
    nit, end = 0, None
    if objective.cost > maxfev:
        value, end = objective.value(x.copy()), _MAXFEV
    else:
        value = objective.value_and_gradient(x, gradient)
    if not math.isfinite(value):
        end = _NONFINITE
    best_x, best, best_gradient = x.copy(), value, gradient
    start = ceiling = value
    while end is None:
        if value <= ceiling and _stationary(x, gradient, lower, upper, gtol):
            best_x, best, best_gradient = x, value, gradient
            end = _CONVERGED
        elif nit >= maxiter:
            end = _MAXITER
        elif objective.nfev + objective.cost > maxfev:
            end = _MAXFEV
        elif step(_without(fixed, gradient), True, *hyperparameters) >= 0:
            end = _NONFINITE
        else:
            if lower.size:
                np.maximum(x, lower, out=x)
                np.minimum(x, upper, out=x)
            value = objective.value_and_gradient(x, spare)
            if not math.isfinite(value):
                end = _NONFINITE
                break
            nit += 1
            gradient = spare
            if value <= best:
                best_x[:] = x
                best = value
                best_gradient, spare = gradient, best_gradient
                ceiling = min(start, best + rounding * max(abs(start), abs(best)))
            if report is not None and report(x, value):
                end = _STOPPED
    status, message = end
    return OptimizeResult(
        x=best_x,
        fun=best,
        jac=best_gradient,
        nit=nit,
        nfev=objective.nfev,
        njev=objective.njev,
        status=status,
        success=status == 0,
        message=message,
    )
