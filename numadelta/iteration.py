"""One iteration of `minimize`, as questions and answers, for every driver.

A driver, in Python (`descent`) or compiled (`compiled_loop`), asks for the next point (`propose`),
evaluates the objective there, and tells what it found (`take_value`, then `accept` or `reject`),
until ``run["end"]`` is no longer `RUNNING`.  So all drivers make the same iterates.

Without a safeguard the steps are those of `numadelta.paper`.  Nothing here checks its arguments.

The method
----------
`docs/minimize.md` explains it.  A step is

    s = a * v - theta * eta * (g - b * y),    eta = sqrt(E[dx^2]) / sqrt(E[y^2])

with ADADELTA's averages over accepted steps, v the last step and y the change of the gradient
along it; at the start y is the gradient, so that the first step is the paper's.  The numbers a, b
and theta make it the step of the self-scaling memoryless BFGS method (Shanno 1978; Nocedal and
Wright, *Numerical Optimization*, section 7.2) whose diagonal are ADADELTA's rates.  Without memory,
theta = lr and a = b = 0.
"""

from __future__ import annotations

import math

import numpy as np

from numadelta.averages import clear_averages, set_grad_scale, update_averages
from numadelta.direction import choose_direction, inner_products
from numadelta.jit import inlined, loop
from numadelta.paper import accept_of_paper, begin_of_paper, step_of_paper
from numadelta.state import (
    CENTRAL,
    CHANGE,
    DIRECTION,
    FORWARD,
    FTOL,
    GRAD,
    GTOL,
    LOWER,
    MAXFEV,
    MAXITER,
    NONFINITE,
    POINT,
    POINT_GRAD,
    PRECISION,
    REFUSED,
    RUNNING,
    STEP,
    TURNING,
    UPPER,
    XTOL,
    X,
    clipped,
    projected_grad,
)

# Armijo's condition: the part of the predicted decrease that must come true (Nocedal and Wright,
# section 3.1).
_DECREASE = 1e-4
# After so many rejections the memory is dropped, and after so many in all the run ends.
_MEMORY_REJECTIONS = 4
_MAX_REJECTIONS = 40
# `ftol` and `xtol` must hold for so many steps in a row.
_WINDOW = 10
# How much more than `ftol` a direction may promise while the value is taken to be at rest.
_PROMISE = 10


@inlined
def begin(vectors, run, settings):
    """Prepare a run, all zeros, from POINT, between LOWER and UPPER."""
    free = 0
    for i in range(vectors.shape[1]):
        vectors[X, i] = vectors[POINT, i]
        vectors[GRAD, i] = np.nan
        vectors[STEP, i] = 0
        vectors[CHANGE, i] = 0
        free += vectors[LOWER, i] < vectors[UPPER, i]
    if settings["safeguard"] == 0:
        begin_of_paper(vectors, run, settings)
    else:
        clear_averages(vectors, settings, False)
    # `per_element` is zero if no differences are used.
    run["grad_cost"] = free * np.int64(settings["per_element"])
    run["central"] = FORWARD
    run["begun"] = 1
    run["value"] = np.inf
    run["doubted_value"] = np.inf
    run["point_value"] = np.nan
    run["nit"] = -1


@inlined
def propose(vectors, run, settings):
    """Write to POINT where to evaluate next, or end the run."""
    if run["nit"] < 0:
        return
    reserve = run["grad_cost"] + (run["central"] != TURNING)
    if settings["averaging"] != 0:
        reserve *= 2
    if run["nfev"] + reserve > settings["maxfev"]:
        run["end"] = run["verdict"] if run["verdict"] != RUNNING else MAXFEV
    elif settings["safeguard"] == 0:
        step_of_paper(vectors, run, settings)
    else:
        while run["end"] == RUNNING and run["central"] != TURNING:
            if run["alpha"] == 0:
                if run["verdict"] != RUNNING:
                    _begin_anew(vectors, run, settings)
                run["rejections"] = run["judged"] = run["blocked"] = 0
                choose_direction(vectors, run, settings)
            if _try(vectors, run) < 0:
                break
            # Clipped to where it was tried just before, or lost in rounding.
            _shorten(vectors, run, settings, 0.5)
        if run["central"] == TURNING:  # at X, where the value is known
            run["point_value"] = run["value"]
            for i in range(vectors.shape[1]):
                vectors[POINT, i] = vectors[X, i]


@inlined
def take_value(run, settings, value):
    """Take the value of the objective at POINT; return whether the gradient there is wanted."""
    run["point_value"] = value
    run["nfev"] += 1
    if not math.isfinite(value):
        return False
    if run["nit"] < 0 and run["nfev"] + run["grad_cost"] > settings["maxfev"]:
        run["value"] = value
        run["end"] = MAXFEV
        return False
    if settings["safeguard"] == 0 or run["nit"] < 0:
        return True
    return value <= run["value"] + _DECREASE * run["predicted"]


@inlined
def accept(vectors, run, settings):
    """Go to POINT, whose gradient is in POINT_GRAD, and see whether the run is at an end.

    What the gradient has cost is for the driver to count.
    """
    run["njev"] += 1
    if settings["safeguard"] == 0:
        accept_of_paper(vectors, run, settings)
        return
    if not _is_finite(vectors):
        reject(vectors, run, settings)
        return
    # X itself with better differences is no step, but where a run begins anew.
    turning = run["central"] == TURNING
    if turning:
        run["central"] = CENTRAL
    first = run["nit"] < 0 or turning
    if run["nit"] < 0:
        set_grad_scale(vectors, run)
    # Several short loops, because one long one took twice the time (too many arrays for the
    # registers).
    update_averages(vectors, run, settings, first)
    inner_products(vectors, run)
    steepest, longest, largest = _extremes(vectors)
    decrease = run["value"] - run["point_value"]
    run["value"] = run["point_value"]
    run["alpha"] = 0
    run["nit"] += not turning
    run["verdict"] = RUNNING
    # What the whole direction promised must be small, too: a wrong gradient also ends in steps so
    # short that the value stays the same.
    small = settings["ftol"] * abs(run["value"])
    small_change = decrease <= small and -run["slope"] <= _PROMISE * small and not first
    # Of a coarse value, such as a rounded one, Armijo's bound is the value itself in the end.
    level = decrease <= 0 and run["rejections"] >= _MEMORY_REJECTIONS and not first
    small_step = longest <= settings["xtol"] * largest and not first
    run["still_value"] = run["still_value"] + 1 if small_change else 0
    run["still_x"] = run["still_x"] + 1 if small_step else 0
    run["level"] = run["level"] + 1 if level else 0
    if steepest <= settings["gtol"]:
        run["end"] = GTOL
    elif run["still_value"] >= _WINDOW:
        run["end"] = FTOL
        _doubt(vectors, run, settings)
    elif run["still_x"] >= _WINDOW:
        run["end"] = XTOL
    elif run["level"] >= _WINDOW:
        run["end"] = PRECISION
        _doubt(vectors, run, settings)
    if run["end"] == RUNNING and run["nit"] >= settings["maxiter"]:
        run["end"] = run["verdict"] if run["verdict"] != RUNNING else MAXITER


@inlined
def _is_finite(vectors):
    finite = True
    for i in range(vectors.shape[1]):
        fixed = not vectors[LOWER, i] < vectors[UPPER, i]
        finite &= fixed or math.isfinite(vectors[POINT_GRAD, i])
    return finite


@inlined
def _extremes(vectors):
    """Return the largest element of the projected gradient, of the step and of the point."""
    steepest = longest = largest = 0.0
    for i in range(vectors.shape[1]):
        x, lower, upper = vectors[X, i], vectors[LOWER, i], vectors[UPPER, i]
        if lower < upper:
            steepest = max(steepest, abs(projected_grad(x, vectors[GRAD, i], lower, upper)))
        longest = max(longest, abs(vectors[STEP, i]))
        largest = max(largest, abs(x))
    return steepest, longest, largest


@inlined
def reject(vectors, run, settings):
    """Stay at X, and try less of the direction next."""
    if run["end"] != RUNNING:
        return
    if settings["safeguard"] == 0 or run["nit"] < 0:
        run["end"] = NONFINITE
        if run["nit"] < 0:
            run["value"] = run["point_value"]
        return
    if run["central"] == TURNING:  # central differences see what is not finite
        run["central"] = REFUSED
        run["grad_cost"] //= 2
        return
    # The lowest point of the parabola through what is known (Nocedal and Wright, section 3.5).
    excess = run["point_value"] - run["value"] - run["predicted"]
    factor = 0.1
    if math.isfinite(excess):
        run["judged"] += 1
        factor = min(max(-run["predicted"] / (2 * excess), 0.1), 0.5) if excess > 0 else 0.5
        # ... and what it promises, at most, against what counts, or can be seen.
        least = max(settings["ftol"], np.finfo(vectors.dtype).eps) * abs(run["value"])
        if run["verdict"] != RUNNING and -run["predicted"] * factor / 2 < least:
            run["end"] = run["verdict"]
            return
    else:
        run["blocked"] = 1
    _shorten(vectors, run, settings, factor)


@inlined
def _shorten(vectors, run, settings, factor):
    run["rejections"] += 1
    run["alpha"] *= factor
    if run["memory"] != 0 and run["rejections"] >= _MEMORY_REJECTIONS:
        length = run["alpha"] * _longest(vectors)
        run["step_change"] = run["grad_step"] = 0
        choose_direction(vectors, run, settings)
        # As long as what would have been next, for where the slope hardly changes, as in a linear
        # tail, ADADELTA's own step is far shorter than what can come true.
        alpha = vectors.dtype.type(length / _longest(vectors))
        if math.isfinite(alpha):
            run["alpha"] = max(alpha, 1)
    elif run["rejections"] >= _MAX_REJECTIONS:
        # ADADELTA's own step promised less than counts, were the rate one.
        least = _PROMISE * settings["lr"] * settings["ftol"] * abs(run["value"])
        worthless = -run["slope"] < least
        # At the start a small `lr` may have lost all of them in rounding, which tells nothing.
        seen = (run["judged"] > 0 or run["nit"] > 0) and run["blocked"] == 0
        run["end"] = FTOL if worthless and seen else PRECISION
    if settings["reach"] > 0 and run["central"] == FORWARD and run["end"] != FTOL:
        _turn_to_central(vectors, run, settings)
    if run["end"] != RUNNING:
        _doubt(vectors, run, settings)


@inlined
def _longest(vectors):
    """Return the largest element of the direction."""
    longest = 0.0
    for i in range(vectors.shape[1]):
        longest = max(longest, abs(vectors[DIRECTION, i]))
    return longest


@inlined
def _doubt(vectors, run, settings):
    """Let a run that would end begin anew, unless nothing came of that the last time."""
    if run["verdict"] != RUNNING:
        run["end"] = run["verdict"]
        return
    # What must have been gained since the last time.
    least = math.sqrt(np.float64(np.finfo(vectors.dtype).eps)) * abs(run["value"])
    if run["nit"] > 0 and run["value"] + least < run["doubted_value"]:
        run["verdict"], run["end"] = run["end"], RUNNING
        run["doubted_value"] = run["value"]
        run["alpha"] = 0


@loop
def _begin_anew(vectors, run, settings):
    """Forget all steps.

    The averages may remember a slope so much steeper than it is now that steps have become too
    short to change anything.  By now x tells better than at the start how long a step in each
    coordinate may be: one of equal lengths would be shortened for the steepest coordinate, until
    it changes nothing in the others.
    """
    run["still_value"] = run["still_x"] = run["level"] = 0
    run["step_change"] = run["grad_step"] = 0
    for i in range(vectors.shape[1]):
        vectors[POINT, i] = vectors[X, i]
        vectors[POINT_GRAD, i] = vectors[GRAD, i]
    clear_averages(vectors, settings, True)
    set_grad_scale(vectors, run)
    update_averages(vectors, run, settings, True)


@loop
def _turn_to_central(vectors, run, settings):
    """Ask for central differences at X if nothing lower was found as near as forward ones reach.

    Forward differences are the slope half a step ahead, which may well point uphill where the slope
    at X is small.  To try to its end each line search that they mislead would take thousands of
    evaluations.
    """
    real = vectors.dtype.type
    reach, near = real(settings["reach"]), True
    for i in range(vectors.shape[1]):
        x = vectors[X, i]
        near &= abs(vectors[POINT, i] - x) <= reach * max(real(1), abs(x))
    # `propose` has asked for less, before it shortened.
    affordable = run["nfev"] + 2 * run["grad_cost"] <= settings["maxfev"]
    if affordable and (near or run["end"] == PRECISION):
        run["end"] = RUNNING
        run["central"] = TURNING
        run["grad_cost"] *= 2


@inlined
def _try(vectors, run):
    """Write POINT; return the first-order change of the value, which is to be negative.

    It is zero where POINT was there before.
    """
    alpha = vectors.dtype.type(run["alpha"])
    predicted, new = 0.0, False
    for i in range(vectors.shape[1]):
        x = vectors[X, i]
        point = clipped(x + alpha * vectors[DIRECTION, i], vectors[LOWER, i], vectors[UPPER, i])
        if point != x:  # a fixed element may have any gradient
            predicted += vectors[GRAD, i] * (point - x)
        new |= point != vectors[POINT, i]
        vectors[POINT, i] = point
    run["predicted"] = predicted
    return predicted if new else 0.0
