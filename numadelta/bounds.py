"""Bounds as SciPy's users give them, as two arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds

from numadelta.arrays import as_real_array


def lower_and_upper(bounds: Any, x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return lower and upper bounds like `x`, infinite where there are none."""
    if bounds is None:
        return np.full_like(x, -np.inf), np.full_like(x, np.inf)
    try:
        pairs = (bounds.lb, bounds.ub) if isinstance(bounds, Bounds) else zip(*bounds, strict=True)
        lowest, highest = (
            as_real_array("bounds", [end if limit is None else limit for limit in limits], "fiub")
            .reshape(-1)
            .astype(float)
            for limits, end in zip(pairs, (-np.inf, np.inf), strict=True)
        )
    except (TypeError, ValueError, OverflowError) as error:
        hint = ""
        parts = bounds if isinstance(bounds, (tuple, list)) else ()
        if [getattr(part, "shape", ()) for part in parts] == [x.shape] * 2:
            hint = "; limits as two arrays go into Bounds(lower, upper)"
        if callable(bounds) or isinstance(bounds, (bool, str)):  # in the place of SciPy's jac
            hint = "; there is no method here, so best pass jac and bounds by keyword"
        raise ValueError(
            "bounds must be a Bounds object or a sequence of (min, max) pairs of numbers: "
            f"{error}{hint}"
        ) from error
    if {lowest.size, highest.size} - {1, x.size}:
        raise ValueError("The number of bounds is not compatible with the length of `x0`.")
    if np.isnan(lowest).any() or np.isnan(highest).any():
        raise ValueError("bounds must not be NaN; None or infinity means no limit")
    if (highest < lowest).any():
        raise ValueError("An upper bound is less than the corresponding lower bound.")
    lower, upper = _rounded_inwards(lowest, highest, x)
    if (lower == np.inf).any() or (upper == -np.inf).any():
        raise ValueError(f"bounds leave a coordinate no finite {x.dtype} number")
    return lower, upper


def _rounded_inwards(
    lowest: NDArray[Any], highest: NDArray[Any], x: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return bounds like `x` with no number between them that is outside those given."""
    lower, upper = np.empty_like(x), np.empty_like(x)
    with np.errstate(over="ignore", under="ignore"):
        lower[:], upper[:] = lowest, highest
        nearest = lower.copy()
        lower = np.where(lower < lowest, np.nextafter(lower, np.inf), lower)
        upper = np.where(upper > highest, np.nextafter(upper, -np.inf), upper)
    # Where no number of this dtype is left, as between equal bounds, the nearest one must do.
    nothing = upper < lower
    return np.where(nothing, nearest, lower), np.where(nothing, nearest, upper)
