"""Limits of the gradient: of each element, or of its norm."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numadelta import arrays


class Clip(NamedTuple):
    """The limit of each element of the gradient, or that of its norm."""

    clipvalue: float | None
    global_clipnorm: float | None

    def checked(self, dtype: np.dtype[Any]) -> Clip:
        """Return the limits, or say what is wrong with them in this dtype."""
        if self.clipvalue is not None and self.global_clipnorm is not None:
            raise ValueError("clipvalue and global_clipnorm exclude each other; give one of them")
        limits: list[float | None] = []
        for name, given in self._asdict().items():
            limit = None if given is None else arrays.check_number(name, given)
            with np.errstate(over="ignore", under="ignore"):
                rounded = 1.0 if limit is None else float(dtype.type(limit))
            if not 0 < rounded < math.inf:
                raise ValueError(f"{name} must be positive and finite (as {dtype}), but is {given}")
            limits.append(limit)
        return Clip(*limits)

    def apply(self, grad: NDArray[Any]) -> None:
        """Clip a gradient, in place; one that is not finite is left for the step to refuse."""
        if self.clipvalue is not None:
            if np.isfinite(grad).all():
                np.clip(grad, -self.clipvalue, self.clipvalue, out=grad)
        elif self.global_clipnorm is not None:
            norm = euclidean_norm(grad)
            if self.global_clipnorm < norm < math.inf:
                np.multiply(grad, grad.dtype.type(self.global_clipnorm / norm), out=grad)


def euclidean_norm(grad: NDArray[Any]) -> float:
    """Return the norm of a flat array, also where the sum of squares overflows in its dtype.

    NumPy's warning of that overflow is for the caller to silence, once for many norms.
    """
    square = float(grad.dot(grad))
    return math.sqrt(square) if square < math.inf else float(np.linalg.norm(grad.astype(float)))
