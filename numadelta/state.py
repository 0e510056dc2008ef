"""The state of a run, as the parts of an iteration share it, and what bounds mean for a point.

A run is one row of an array of `RUN` and a two-dimensional array `vectors`, whose rows have the
names below.
"""

from __future__ import annotations

import numpy as np

from numadelta.jit import rule

# Rows of `vectors`.
X = 0  # the last accepted point, or the best one if there is no safeguard
GRAD = 1  # the gradient there
POINT = 2  # where the objective is evaluated next
POINT_GRAD = 3  # the gradient that was found there
GIVEN = 4  # the copy of POINT that the user's function gets, and may change
SQUARE_AVG = 5
ACC_DELTA = 6
LOWER = 7
UPPER = 8
STEP = 9  # the last accepted step
CHANGE = 10  # how it changed the gradient
RATE = 11
DIRECTION = 12
AVERAGE = STEP  # the weighted mean of the iterates; only without safeguard
ROWS = 13

# What ended a run.
RUNNING, GTOL, FTOL, XTOL, MAXITER, MAXFEV, MAXTIME, PRECISION, NONFINITE, STOPPED = range(10)

# What has become of forward differences: they stay, for central ones were tried in vain; they are
# used as yet; central ones are wanted; central ones are used.
REFUSED, FORWARD, TURNING, CENTRAL = range(-1, 3)

RUN = np.dtype(
    [
        ("value", np.float64),  # at X
        ("point_value", np.float64),  # at POINT
        ("predicted", np.float64),  # first-order change of the value from X to POINT
        ("slope", np.float64),  # ... along the whole direction
        ("alpha", np.float64),  # how much of the direction is tried; 0 asks for a new one
        ("start", np.float64),  # the value at the start
        ("doubted_value", np.float64),  # that at X when the run last began anew
        ("grad_scale", np.float64),  # by which gradients are multiplied before they are squared
        ("largest_grad", np.float64),  # that a step of the paper takes in
        ("grad_step", np.float64),  # g . v
        ("step_change", np.float64),  # v . y
        ("grad_change", np.float64),  # g . eta y
        ("change_change", np.float64),  # y . eta y
        ("nit", np.int64),  # accepted steps; -1 before the start has been evaluated
        ("nfev", np.int64),
        ("njev", np.int64),
        ("rejections", np.int64),  # of the current iteration
        ("judged", np.int64),  # how many of these were for a value that was seen
        ("blocked", np.int64),  # whether one of them was for want of a finite value
        ("memory", np.int64),  # whether the direction uses v and y
        ("still_value", np.int64),  # accepted steps in a row that hardly changed the value
        ("still_x", np.int64),  # ... or the point
        ("level", np.int64),  # ... or did not lower the value at all, after rejections
        ("grad_cost", np.int64),  # evaluations that the differences of one gradient take
        ("central", np.int64),  # one of the names above
        # What ends the run if nothing comes of beginning anew; RUNNING after another step.
        ("verdict", np.int64),
        ("coordinate", np.int64),  # where the differences at POINT go on, if not at the beginning
        ("begun", np.int64),
        ("inside", np.int64),  # in a batch: whether a driver is at it, as it is after an exception
        ("end", np.int64),
    ]
)

SETTINGS = np.dtype(
    [
        (name, np.float64)
        for name in (
            "lr rho eps lr_decay gtol ftol xtol maxiter maxfev per_element reach safeguard"
            " averaging"
        ).split()
    ]
)


@rule
def clipped(x, lower, upper):
    """Return `x` moved inside the bounds."""
    return min(max(x, lower), upper)


@rule
def is_free(x, grad, lower, upper):
    """Tell whether a step downhill is not stopped by a bound at once."""
    return lower < upper and not ((x <= lower and grad >= 0) or (x >= upper and grad <= 0))


@rule
def projected_grad(x, grad, lower, upper):
    """Return the gradient, but no longer than the way to the bound ahead."""
    # No branch on the sign, which no processor can predict: it took a fifth of the time, or more.
    return max(min(grad, x - lower), x - upper)
