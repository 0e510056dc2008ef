"""The direction of a step of `minimize`: ADADELTA's, corrected by the last (see `iteration`)."""

from __future__ import annotations

import math

from numadelta.jit import inlined, rule
from numadelta.state import (
    CHANGE,
    DIRECTION,
    GRAD,
    LOWER,
    RATE,
    STEP,
    UPPER,
    X,
    is_free,
)


@rule
def corrected_delta(grad, rate, step, change, scale, overlap, momentum):
    """Return the step of one element, as in the head of `numadelta.iteration`."""
    return momentum * step - scale * rate * (grad - overlap * change)


@inlined
def inner_products(vectors, run):
    """Form the inner products that the next direction needs, of the elements free to move."""
    grad_step = step_change = grad_change = change_change = 0.0
    for i in range(vectors.shape[1]):
        grad, step, change = vectors[GRAD, i], vectors[STEP, i], vectors[CHANGE, i]
        if is_free(vectors[X, i], grad, vectors[LOWER, i], vectors[UPPER, i]):
            scaled_change = vectors[RATE, i] * change
            grad_step += grad * step
            step_change += step * change
            grad_change += grad * scaled_change
            change_change += change * scaled_change
    run["grad_step"], run["step_change"] = grad_step, step_change
    run["grad_change"], run["change_change"] = grad_change, change_change


@inlined
def choose_direction(vectors, run, settings):
    """Find a direction downhill from X."""
    real = vectors.dtype.type
    scale, overlap, momentum = settings["lr"], 0.0, 0.0
    memory = run["step_change"] > 0 and run["change_change"] > 0
    if memory:
        scale = run["step_change"] / run["change_change"]
        overlap = run["grad_step"] / run["step_change"]
        momentum = run["grad_change"] / run["change_change"] - 2 * overlap
    elif run["grad_step"] < 0:
        # The way goes on downhill and gets no flatter: twice as far.
        memory, momentum = True, 2.0
    run["memory"] = memory
    run["alpha"] = 1
    while True:
        if not run["memory"]:
            scale, overlap, momentum = settings["lr"], 0.0, 0.0
        slope = 0.0
        for i in range(vectors.shape[1]):
            grad = vectors[GRAD, i]
            delta = real(0)
            if is_free(vectors[X, i], grad, vectors[LOWER, i], vectors[UPPER, i]):
                delta = corrected_delta(
                    grad,
                    vectors[RATE, i],
                    vectors[STEP, i],
                    vectors[CHANGE, i],
                    real(scale),
                    real(overlap),
                    real(momentum),
                )
                slope += grad * delta
            vectors[DIRECTION, i] = delta
        run["slope"] = slope
        if -math.inf < slope < 0 or not run["memory"]:
            return
        run["memory"] = False
