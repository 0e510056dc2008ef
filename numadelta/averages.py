"""ADADELTA's averages over the accepted steps of `minimize`, and the rates they give.

SQUARE_AVG holds E[y^2], of the changes of the gradient, where the paper has E[g^2].  So the rates
are a secant estimate of the inverse Hessian's diagonal, in whose units Zeiler (2012, section 3.2)
wants them to be.
"""

from __future__ import annotations

import math

import numpy as np

from numadelta.jit import inlined, loop
from numadelta.kernels import average, effective_rate, flush
from numadelta.state import (
    ACC_DELTA,
    CHANGE,
    GRAD,
    LOWER,
    POINT,
    POINT_GRAD,
    RATE,
    SQUARE_AVG,
    STEP,
    UPPER,
    X,
)

# The first step changes x by at least so many of its roundings, in each coordinate.
_LEAST_STEP = 16


@inlined
def clear_averages(vectors, settings, relative):
    """Set the averages for a first step from POINT.

    It is equally long in all coordinates or, if `relative`, the same part of each.
    """
    real = vectors.dtype.type
    eps, decay = real(settings["eps"]), real(1 - settings["rho"])
    info = np.finfo(vectors.dtype)
    for i in range(vectors.shape[1]):
        x = vectors[POINT, i]
        # A first step of less would be lost in the rounding of x.
        least = real(_LEAST_STEP) * info.eps * x
        usual = min(max(eps * x * x, info.tiny), info.max) if relative and x != 0 else eps
        vectors[SQUARE_AVG, i] = 0
        vectors[ACC_DELTA, i] = max(usual, decay * least * least)


@loop
def set_grad_scale(vectors, run):
    """Note the power of two that brings the gradient at POINT near one.

    Multiplied by it, its squares are neither too large for the dtype nor too small, and no other
    bit changes.
    """
    largest = 0.0
    for i in range(vectors.shape[1]):
        if vectors[LOWER, i] < vectors[UPPER, i]:
            largest = max(largest, abs(vectors[POINT_GRAD, i]))
    tiny = np.float64(np.finfo(vectors.dtype).tiny)
    run["grad_scale"] = min(max(math.ldexp(1.0, -math.frexp(largest)[1]), tiny), 1 / tiny)


@inlined
def update_averages(vectors, run, settings, first):
    """Go from X to POINT, and take the step and the gradient there into the averages."""
    real = vectors.dtype.type
    rho, decay = real(settings["rho"]), real(1 - settings["rho"])
    tiny, grad_scale = np.finfo(vectors.dtype).tiny, real(run["grad_scale"])
    for i in range(vectors.shape[1]):
        x, grad = vectors[POINT, i], vectors[POINT_GRAD, i]
        step, change = x - vectors[X, i], grad - vectors[GRAD, i]
        vectors[X, i] = x
        vectors[GRAD, i] = grad
        vectors[STEP, i] = step
        vectors[CHANGE, i] = real(0) if first else change
        vectors[RATE, i] = 0
        if vectors[LOWER, i] < vectors[UPPER, i]:
            acc_delta = vectors[ACC_DELTA, i]
            # What does not move, for want of a gradient or at a bound, is to move later.
            if step != 0:
                acc_delta = flush(average(acc_delta, step, rho, decay), tiny)
            scaled = grad_scale * (grad if first else change)
            square_avg = flush(average(vectors[SQUARE_AVG, i], scaled, rho, decay), tiny)
            # No eps here: it is where E[dx^2] starts, and then the averages set the scale.
            rate = grad_scale * effective_rate(square_avg, acc_delta, tiny)
            vectors[ACC_DELTA, i] = acc_delta
            vectors[SQUARE_AVG, i] = square_avg
            # Without a gradient, or with next to none, the rate does not matter.
            if square_avg > 0 and (math.isfinite(rate) or not math.isfinite(acc_delta)):
                vectors[RATE, i] = rate
