"""The loop of `minimize`, and its steps where the objective is Python; all has been checked."""

from __future__ import annotations

import math
from collections.abc import Callable
from time import perf_counter
from typing import Any

from numpy.typing import NDArray

from numadelta import iteration, state
from numadelta.jit import loop
from numadelta.objective import Objective


@loop
def begin(vectors, runs, settings):
    """Prepare a run from POINT, between LOWER and UPPER."""
    iteration.begin(vectors, runs[0], settings[0])


@loop
def _ask(vectors, runs, settings):
    """Return what ended the run, and what has become of forward differences."""
    iteration.propose(vectors, runs[0], settings[0])
    return runs[0]["end"], runs[0]["central"]


@loop
def _tell_value(runs, settings, value):
    """Return whether the gradient is wanted."""
    return iteration.take_value(runs[0], settings[0], value)


@loop
def _tell_gradient(vectors, runs, settings):
    """Return what ended the run, and whether the point became an iterate."""
    nit = runs[0]["nit"]
    runs[0]["nfev"] += runs[0]["grad_cost"]
    iteration.accept(vectors, runs[0], settings[0])
    return runs[0]["end"], runs[0]["nit"] > max(nit, 0)


@loop
def _refuse(vectors, runs, settings):
    iteration.reject(vectors, runs[0], settings[0])
    return runs[0]["end"]


def _gradient(
    objective: Objective,
    runs: NDArray[Any],
    x: NDArray[Any],
    value: float,
    out: NDArray[Any],
    central: bool = False,
) -> None:
    """Write the gradient to `out`; if it fails, count the evaluations before that."""
    try:
        objective.gradient(x, value, out, central)
    except BaseException:
        runs["nfev"] += objective.finished
        raise


def advance(
    objective: Objective,
    vectors: NDArray[Any],
    runs: NDArray[Any],
    settings: NDArray[Any],
    one_step: bool = True,
) -> tuple[int, bool]:
    """Evaluate one point; return what ended the run, and whether the point became an iterate.

    That is never more than the `one_step` which `numadelta.compiled.advance` may exceed.
    """
    end, central = _ask(vectors, runs, settings)
    if end != state.RUNNING:
        return end, False
    point, grad = vectors[state.POINT], vectors[state.POINT_GRAD]
    if central == state.TURNING:  # at X, where the value is known
        value = float(runs["point_value"][0])
    else:
        value = objective.value(point)
        if not _tell_value(runs, settings, value):
            return _refuse(vectors, runs, settings), False
    _gradient(objective, runs, point, value, grad, central > state.FORWARD)
    return _tell_gradient(vectors, runs, settings)


def descend(
    advance: Callable[..., tuple[int, bool]],
    vectors: NDArray[Any],
    runs: NDArray[Any],
    settings: NDArray[Any],
    maxtime: float,
    report: Callable[[NDArray[Any], float], bool] | None,
) -> None:
    """Run until something ends it; what was found is then in `vectors` and `runs`.

    `advance` is that above or `numadelta.compiled.advance`, with an objective.  `report` is called
    after each step with the iterate and its value, and tells whether to stop.
    """
    point = vectors[state.POINT]
    deadline = perf_counter() + maxtime
    end = int(runs["end"][0])
    while end == state.RUNNING:
        end, stepped = advance(vectors, runs, settings, report is not None)
        if stepped and report is not None and report(point, float(runs["point_value"][0])):
            end = runs["end"][0] = state.STOPPED
        elif end == state.RUNNING and perf_counter() > deadline:
            end = runs["end"][0] = runs["verdict"][0] or state.MAXTIME


def return_average(objective: Objective, vectors: NDArray[Any], runs: NDArray[Any]) -> None:
    """Make the mean of the iterates the result of a run, unless its value is not finite."""
    mean, gradient = vectors[state.AVERAGE], vectors[state.POINT_GRAD]
    value = objective.value(mean)
    runs["nfev"] += 1
    if math.isfinite(value):
        _gradient(objective, runs, mean, value, gradient)
        runs["nfev"] += runs["grad_cost"]
        runs["njev"] += 1
        runs["value"] = value
        vectors[state.X], vectors[state.GRAD] = mean, gradient
