"""The outcome of a run as SciPy's users know it: result, callback, messages."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult, OptimizeWarning

from numadelta import caller, state

SUCCESS = 0, "Optimization terminated successfully."
# What SciPy leaves the user to find out.
AT_ONCE = (
    " Nothing lower was found from the start: check_gradient=True tells whether a gradient of your "
    "own is right; variables far below 1 may need a smaller eps."
)
# Status and message of what ended a run, as SciPy's own minimisers give them.
ENDS = {
    state.RUNNING: (99, "An exception has ended the run."),
    state.GTOL: SUCCESS,
    state.FTOL: SUCCESS,
    state.XTOL: SUCCESS,
    state.MAXITER: (1, "Maximum number of iterations has been exceeded."),
    state.MAXFEV: (1, "Maximum number of function evaluations has been exceeded."),
    state.MAXTIME: (1, "Maximum time has been exceeded."),
    state.PRECISION: (2, "Desired error not necessarily achieved due to precision loss."),
    state.NONFINITE: (3, "NaN result encountered."),
    state.STOPPED: (99, "`callback` raised `StopIteration`."),
}


def as_result(vectors: NDArray[Any], run: Any) -> OptimizeResult:
    """Return what a run found."""
    found = dict(zip(state.RUN.names or (), run.item(), strict=True))
    status, message = ENDS[found["end"]]
    if found["end"] == state.PRECISION and found["nit"] == 0:
        message += AT_ONCE
    return OptimizeResult(
        x=vectors[state.X].copy(),
        fun=found["value"] if found["nfev"] else np.nan,
        jac=vectors[state.GRAD].copy(),
        nit=max(found["nit"], 0),
        nfev=found["nfev"],
        njev=found["njev"],
        status=status,
        success=status == 0,
        message=message,
    )


# Evaluations of `numadelta.objective.check_assigned`.
CALLS_OF_CHECK = 2


def lacks_start_gradient(runs: NDArray[Any], settings: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which runs have no finite gradient at x0, where the value is, and calls left to ask."""
    ended = (runs["end"] == state.NONFINITE) & (runs["nit"] <= 0)
    affordable = runs["nfev"] + CALLS_OF_CHECK <= settings["maxfev"]
    return ended & affordable & np.isfinite(runs["value"])


def attach(error: BaseException, result: OptimizeResult) -> None:
    """Give an exception what was found before it, unless it takes no attributes."""
    with suppress(AttributeError, TypeError):
        error.result = result  # type: ignore[attr-defined]


def reporter(
    callback: Callable[..., Any] | None, allvecs: list[NDArray[Any]] | None
) -> Callable[[NDArray[Any], float], bool] | None:
    """Return a function of each iterate and its value that tells whether to stop."""
    if callback is None and allvecs is None:
        return None
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be callable, but is a {type(callback).__name__}")
    call: Callable[..., Any] = (lambda xk: None) if callback is None else callback
    by_keyword = _parameters(call) == ["intermediate_result"]

    def report(x: NDArray[Any], value: float) -> bool:
        if allvecs is not None:
            allvecs.append(x.copy())
        try:
            if by_keyword:
                call(intermediate_result=OptimizeResult(x=x.copy(), fun=value))
            else:
                call(x.copy())
        except StopIteration:
            return True
        return False

    return report


def _parameters(function: Callable[..., Any]) -> list[str]:
    lenient: dict[str, Any] = {}
    if sys.version_info >= (3, 14):  # annotations may name what does not exist at run time
        import annotationlib

        lenient = {"annotation_format": annotationlib.Format.FORWARDREF}
    try:
        return list(inspect.signature(function, **lenient).parameters)
    except (TypeError, ValueError):  # some functions written in C tell nothing
        return []


def announce(result: OptimizeResult) -> None:
    """Print the outcome, or warn where it is none, for the caller of `minimize`."""
    if result.success:
        print(result.message)
    else:
        caller.warn(result.message, OptimizeWarning)
    print(f"         Current function value: {result.fun:f}")
    print(f"         Iterations: {result.nit}")
    print(f"         Function evaluations: {result.nfev}")
    print(f"         Gradient evaluations: {result.njev}")
