"""Many small problems: the fit of a * exp(-b * t) to twelve points, as in a batch of decays.

The fits are least squares in two variables, from one start, with a little noise, so that no
residual ends at zero.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numadelta import jit

POINTS = 12
START = (1.0, 1.0)
NOISE = 0.01


@jit.loop
def fun(x, grad, t, y):
    """Half the sum of (a exp(-b t) - y)^2, with x = (a, b)."""
    value = grad[0] = grad[1] = 0.0
    for k in range(t.size):
        decay = math.exp(-x[1] * t[k])
        residual = x[0] * decay - y[k]
        value += 0.5 * residual * residual
        grad[0] += residual * decay
        grad[1] -= residual * x[0] * t[k] * decay
    return value


def data(count: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return made data.

    Parameters
    ----------
    count : int
        The number of fits.

    Returns
    -------
    t, y : ndarray, shapes (12,) and (count, 12)
        The times, which all fits share, and what was measured then.
    best : ndarray, shape (count, 2)
        The least-squares solutions, to rounding.
    """
    rng = np.random.default_rng(0)
    t = np.linspace(0.0, 3.0, POINTS)
    best = rng.uniform(0.5, 2.0, (count, 2))
    y = best[:, :1] * np.exp(-best[:, 1:] * t) + NOISE * rng.standard_normal((count, POINTS))
    for _ in range(20):  # Gauss-Newton, from what the data were made of
        decay = np.exp(-best[:, 1:] * t)
        jacobian = np.stack([decay, -best[:, :1] * t * decay], axis=2)
        gradient = np.einsum("kpi,kp->ki", jacobian, best[:, :1] * decay - y)
        normal = np.einsum("kpi,kpj->kij", jacobian, jacobian)
        best -= np.linalg.solve(normal, gradient[:, :, None])[:, :, 0]
    return t, y, best


def error(x: NDArray[Any], best: NDArray[Any]) -> str:
    """Return a note on how far solutions are off, as the root of the mean square."""
    return f"error {math.sqrt(np.mean((x - best) ** 2)):.1e}"
