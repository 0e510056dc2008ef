"""The driver of `minimize_batch`: many problems in rounds, each thread those of its span."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from itertools import pairwise
from time import perf_counter
from typing import Any

import numpy as np
from numba import typeof, types
from numba.extending import overload
from numba.np.numpy_support import from_dtype
from numpy.typing import NDArray
from scipy.optimize import OptimizeResult

from numadelta import answers, compiled, descent, iteration, problem, state, threads
from numadelta.compiled_loop import iterate
from numadelta.differences import Differences
from numadelta.jit import loop, rule
from numadelta.objective import Objective, check_assigned
from numadelta.ticker import ticks


@rule
def _row(values, k):
    """Return row k, or the only row, which is for all problems."""
    return values[k if len(values) > 1 else 0]


def _problem(args, k):
    """Return the arguments of problem k."""
    raise NotImplementedError  # compiled only


@overload(_problem)
def _overload_problem(args, k):
    if len(args) == 0:
        return lambda args, k: ()
    if len(args) == 1:
        return lambda args, k: (_row(args[0], k),)
    return lambda args, k: (_row(args[0], k),) + _problem(args[1:], k)  # noqa: RUF005


@loop
def _solve(
    fun,
    jac,
    args,
    scheme,
    rel_step,
    vectors,
    runs,
    starts,
    lower,
    upper,
    points,
    gradients,
    span,
    settings,
    ticks,
):
    """Go on with the problems ``span[0]`` to ``span[1] - 1`` until the clock goes on.

    ``span[0]`` becomes the first that is not at its end.
    """
    now = ticks[0]
    while span[0] < span[1] and ticks[0] == now:
        k = span[0]
        run = runs[k]
        if run["begun"] == 0:
            start, low, high = _row(starts, k), _row(lower, k), _row(upper, k)
            for i in range(vectors.shape[1]):
                vectors[state.POINT, i] = start[i]
                vectors[state.LOWER, i] = low[i]
                vectors[state.UPPER, i] = high[i]
            iteration.begin(vectors, run, settings[0])
        one = _problem(args, k)
        run["inside"] = 1
        iterate(fun, jac, one, scheme, rel_step, vectors, runs, k, settings, ticks, False)
        run["inside"] = 0
        for i in range(vectors.shape[1]):
            points[k, i] = vectors[state.X, i]
            gradients[k, i] = vectors[state.GRAD, i]
        if run["end"] != state.RUNNING:
            span[0] += 1


@lru_cache(maxsize=128)
def _solver(functions: tuple[Any, ...], args: Any, dtype: np.dtype[Any]) -> Callable[..., Any]:
    """Return `_solve` for these types, which takes a third of a small call to find each time."""
    matrix = types.Array(from_dtype(dtype), 2, "C")
    return compiled.entry_point(
        _solve,
        (
            *functions,
            args,
            *(types.int64, compiled.STEPS, matrix, compiled.RUNS),
            *[matrix] * 5,
            *(compiled.TICKS, compiled.SETTINGS, compiled.TICKS),
        ),
    )


class Batch:
    """The problems, where their solutions go, and how far they are."""

    def __init__(
        self,
        x: NDArray[Any],
        lower: NDArray[Any],
        upper: NDArray[Any],
        count: int,
        options: problem.Options,
    ) -> None:
        # The compiled function reads the memory as it is told: C order, as is.
        self._starts, self._lower, self._upper = map(np.ascontiguousarray, (x, lower, upper))
        self._options = options
        self._points = np.array(np.broadcast_to(x, (count, x.shape[1])), order="C")
        self._gradients = np.full_like(self._points, np.nan)
        self._runs = np.zeros(count, state.RUN)
        self._runs["value"] = np.nan

    def run(
        self,
        fun: Any,
        jac: Any,
        args: tuple[NDArray[Any], ...],
        differences: Differences | None,
        report: Callable[[int], bool],
    ) -> None:
        """Solve all problems in rounds, each thread those of its span."""
        settings = self._options.settings
        one = tuple(values[0] for values in args)
        dtype = self._points.dtype
        objective = compiled.compile_objective(fun, jac, one, dtype, differences)
        if objective is None:
            raise TypeError(
                "fun and jac must be compiled for any types, without explicit signatures, defaults "
                "or *args"
            )
        solve = _solver(objective.types, typeof(args), dtype)
        count = len(self._runs)
        # Loops with threads of their own cannot all run side by side.
        in_parallel = any(getattr(f, "targetoptions", {}).get("parallel") for f in (fun, jac))
        workers = 1 if in_parallel else min(threads.get_num_threads(), count)
        edges = np.linspace(0, count, workers + 1).astype(np.int64)
        spans = [np.array(span) for span in pairwise(edges)]
        spaces = [np.zeros((state.ROWS, self._points.shape[1]), dtype) for _ in spans]
        common = objective.fun, objective.jac, args, *compiled.differencing(differences)
        limits = self._starts, self._lower, self._upper, self._points, self._gradients
        deadline = perf_counter() + self._options.maxtime
        while True:
            tasks = [
                (*common, space, self._runs, *limits, span, settings, ticks())
                for space, span in zip(spaces, spans, strict=True)
                if span[0] < span[1]
            ]
            if not tasks:
                return
            try:
                threads.run(solve, tasks)
            except BaseException:
                for space, (k, stop) in zip(spaces, spans, strict=True):
                    if k < stop and self._runs["inside"][k]:
                        self._keep(k, space)
                raise
            if report(count - sum(int(stop - start) for start, stop in spans)):
                self.end(state.STOPPED)
                return
            if perf_counter() > deadline:
                self.end(state.MAXTIME)
                return
            _share(spans)

    def run_in_python(
        self,
        fun: Any,
        jac: Any,
        args: tuple[NDArray[Any], ...],
        differences: Differences | None,
        report: Callable[[int], bool],
    ) -> None:
        """Solve all problems one by one, where Numba is told not to compile."""
        settings = self._options.settings
        vectors = np.zeros((state.ROWS, self._points.shape[1]), self._points.dtype)
        deadline = perf_counter() + self._options.maxtime
        for k in range(len(self._runs)):
            vectors[state.POINT] = _row(self._starts, k)
            vectors[state.LOWER] = _row(self._lower, k)
            vectors[state.UPPER] = _row(self._upper, k)
            limits = vectors[state.LOWER], vectors[state.UPPER]
            own = differences and differences.between(*limits)
            one = tuple(_row(values, k) for values in args)
            iteration.begin(vectors, self._runs[k], settings[0])
            objective = Objective(fun, jac, one, vectors[state.POINT], own)
            runs = self._runs[k : k + 1]
            left = max(deadline - perf_counter(), 0)
            runs["inside"] = 1
            try:
                advance = partial(descent.advance, objective)
                descent.descend(advance, vectors, runs, settings, left, None)
            finally:
                self._keep(k, vectors)
            runs["inside"] = 0
            if report(k + 1):
                self.end(state.STOPPED)
                return

    def _keep(self, k: int, vectors: NDArray[Any]) -> None:
        self._points[k], self._gradients[k] = vectors[state.X], vectors[state.GRAD]

    def check_assigned(self, fun: Any, args: tuple[NDArray[Any], ...]) -> None:
        """Raise if `fun`, with jac='inplace', leaves elements of a gradient as they were."""
        lacking = answers.lacks_start_gradient(self._runs, self._options.settings)
        for k in np.flatnonzero(lacking)[:1]:
            self._runs["inside"][k] = 1
            self._runs["nfev"][k] += answers.CALLS_OF_CHECK
            one = tuple(_row(values, k) for values in args)
            free = _row(self._lower, k) < _row(self._upper, k)
            check_assigned(fun, self._points[k], one, free)

    def annotate(self, error: BaseException) -> None:
        """Tell in an exception which problem it ended, and what has been found."""
        inside = np.flatnonzero(self._runs["inside"])
        if inside.size:
            which = " or ".join(map(str, inside))
            error.add_note(f"in problem {which} of {len(self._runs)}, counted from 0")
        answers.attach(error, self.result())

    def end(self, why: int) -> None:
        """End the problems that have not come to an end."""
        unfinished = self._runs["end"] == state.RUNNING
        verdicts = self._runs["verdict"][unfinished]
        self._runs["end"][unfinished] = np.where(verdicts == state.RUNNING, why, verdicts)

    def result(self) -> OptimizeResult:
        """Return what has been found."""
        runs = self._runs
        status = np.zeros(max(answers.ENDS) + 1, np.int64)
        for end, (code, _) in answers.ENDS.items():
            status[end] = code
        status = status[runs["end"]]
        success = status == 0
        failures = np.count_nonzero(~success)
        return OptimizeResult(
            x=self._points,
            fun=np.where(runs["nfev"] > 0, runs["value"], np.nan),
            jac=self._gradients,
            nit=np.maximum(runs["nit"], 0),
            nfev=runs["nfev"].copy(),
            njev=runs["njev"].copy(),
            status=status,
            success=success,
            message=f"{failures} of {len(runs)} problems did not converge."
            if failures
            else answers.SUCCESS[1],
        )


def _share(spans: list[NDArray[Any]]) -> None:
    """Give each thread that has done its problems half of what the busiest has left."""
    for idle in spans:
        if idle[0] < idle[1]:
            continue
        busiest = max(spans, key=lambda span: int(span[1] - span[0]))
        half = (busiest[0] + busiest[1] + 1) // 2
        if half < busiest[1] and half > busiest[0]:
            idle[:] = half, busiest[1]
            busiest[1] = half
