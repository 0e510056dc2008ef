"""`minimize_batch`: many independent problems of one ``@njit`` objective in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import pairwise
from time import perf_counter
from typing import Any

import numpy as np
from numba import typeof, types
from numba.extending import is_jitted, overload
from numba.np.numpy_support import from_dtype
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import Bounds, OptimizeResult

from numadelta import answers, compiled, descent, iteration, problem, progress, state, threads
from numadelta.arrays import check_integer, refuse_masked
from numadelta.bounds import as_arrays
from numadelta.compiling import loop, rule
from numadelta.differences import Differences
from numadelta.objective import Objective
from numadelta.pointers import JIT
from numadelta.ticker import ticks


def minimize_batch(
    fun: Callable[..., Any],
    x0: ArrayLike,
    args: Any = (),
    in_axes: int | None | Sequence[int | None] = 0,
    jac: Any = None,
    bounds: Any = None,
    tol: float | None = None,
    callback: Callable[[int, int], Any] | None = None,
    options: dict[str, Any] | None = None,
    **options_as_keywords: Any,
) -> OptimizeResult:
    """Minimise many independent problems of one compiled objective, on all cores.

    Each problem is minimised as `numadelta.minimize` would do it alone, to the same bits, whatever
    the number of threads and of other problems.

    Parameters
    ----------
    fun : ``@njit`` function
        The objective of one problem, in any of the forms that `numadelta.minimize` takes.
    x0 : array_like, shape (B, n) or (n,)
        Where to start: one row per problem, or one start for all.  float32 or float64, as there.
    args : tuple, optional
        Further arguments: numbers and arrays.
    in_axes : int, None or sequence of these, default 0
        The axis of each argument that counts the problems, as in ``jax.vmap``: problem k gets
        slice k along it.  None is an argument that all share.  One value stands for all arguments;
        a sequence has one entry per argument.
    jac, tol, options : optional
        As in `numadelta.minimize`.  The options `return_all`, `averaging`, `lr_decay`, `workers`
        and `check_gradient` are of single problems only.
    bounds : scipy.optimize.Bounds or sequence of (min, max), optional
        The limits that all problems share, as in `numadelta.minimize`; or a pair of arrays of shape
        (B, n), lower and upper limits of each problem.
    callback : callable, optional
        Called about every 20 ms as ``callback(done, B)`` with the number of problems that have
        ended.  StopIteration ends the run.
    maxtime : float, optional
        Seconds for the whole batch.
    disp : bool, default False
        Whether to show a progress bar (with tqdm, from the extra ``progress``).

    Returns
    -------
    scipy.optimize.OptimizeResult
        With ``x`` and ``jac`` of shape (B, n), and ``fun``, ``nit``, ``nfev``, ``njev``,
        ``status`` and ``success`` of shape (B,).  ``status`` is that of `numadelta.minimize`; 99
        marks problems that were not finished when the callback or Ctrl-C stopped the run.
        ``message`` describes the whole.

    Raises
    ------
    TypeError, ValueError
        If an argument is not of the right kind, shape or range.
    KeyboardInterrupt
        Ctrl-C, within a few hundredths of a second.  Its attribute ``result`` is what has been
        found by then.

    Examples
    --------
    >>> import numpy as np
    >>> from numba import njit
    >>> import numadelta as nd
    >>> @njit
    ... def fun(x, grad, target):
    ...     grad[0] = 2 * (x[0] - target)
    ...     return (x[0] - target) ** 2
    >>> res = nd.minimize_batch(fun, [0.0], args=(np.arange(4.0),), jac="inplace")
    >>> res.success.all(), res.x[:, 0].round(3)
    (np.True_, array([0., 1., 2., 3.]))
    """
    for name, function in {"fun": fun, "jac": jac if callable(jac) else fun}.items():
        if JIT and not is_jitted(function):
            raise TypeError(f"{name} must be compiled: decorate it with numba.njit")
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be callable, but is a {type(callback).__name__}")
    x, args, count = _spread(x0, args if isinstance(args, tuple) else (args,), in_axes)
    given = problem.merged(options, options_as_keywords, tol)
    for name in ("return_all", "averaging", "lr_decay", "workers", "check_gradient"):
        if given.get(name):
            raise ValueError(f"{name} is an option of minimize, not of minimize_batch")
    chosen = problem.Options(x.dtype, **given)
    lower, upper = _limits(bounds, x, count)
    x = problem.clipped(x, lower, upper)
    batch = _Batch(x, lower, upper, count, chosen)
    if count:
        jac, differences = problem.derivative(jac, x[0], lower[0], upper[0], chosen)
        with _progress(count, chosen.disp, callback) as report:
            run = batch.run if JIT else batch.run_in_python
            try:
                run(fun, jac, args, differences, report)
            except KeyboardInterrupt as interrupt:
                interrupt.result = batch.result()  # type: ignore[attr-defined]
                raise
    return batch.result()


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
        compiled.iterate(fun, jac, one, scheme, rel_step, vectors, runs, k, settings, ticks, False)
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


class _Batch:
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
        is_complex = differences is not None and differences.is_complex
        one = tuple(values[0] for values in args)
        dtype = self._points.dtype
        objective = compiled.compile_objective(fun, jac, one, dtype, is_complex)
        if objective is None:
            raise TypeError(
                "fun and jac must be compiled for any types, without explicit signatures, defaults "
                "or *args"
            )
        *functions, _ = objective.types
        solve = _solver(tuple(functions), typeof(args), dtype)
        count = len(self._runs)
        workers = min(threads.get_num_threads(), count)
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
            threads.run(solve, tasks)
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
            descent.descend(objective, vectors, runs, settings, left, None)
            self._points[k], self._gradients[k] = vectors[state.X], vectors[state.GRAD]
            if report(k + 1):
                self.end(state.STOPPED)
                return

    def end(self, why: int) -> None:
        """End the problems that have not come to an end."""
        unfinished = self._runs["end"] == state.RUNNING
        self._runs["end"][unfinished] = why

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
            fun=runs["value"].copy(),
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


def _spread(
    x0: ArrayLike, args: tuple[Any, ...], in_axes: int | None | Sequence[int | None]
) -> tuple[NDArray[Any], tuple[NDArray[Any], ...], int]:
    """Return x0 and args with a first axis that counts the problems or has length 1."""
    x = problem.start_of(x0, 2)
    axes = in_axes if isinstance(in_axes, (tuple, list)) else [in_axes] * len(args)
    if len(axes) != len(args):
        raise ValueError(f"in_axes has {len(axes)} entries, but args has {len(args)}")
    counts = {"x0": len(x)} if x.ndim == 2 else {}
    spread = []
    for k, (value, axis) in enumerate(zip(args, axes, strict=True)):
        name = f"args[{k}]"
        refuse_masked(name, value)
        try:
            array = np.asarray(value)
        except ValueError:  # a ragged list
            array = np.empty(0, object)
        if array.dtype.kind not in "fiubc":
            raise TypeError(
                f"{name} must be a number or an array of numbers, but is a {type(value).__name__}"
                f" (dtype {array.dtype})"
            )
        if axis is None:
            array = array[None]
        else:
            axis = check_integer(f"in_axes[{k}]", axis)
            if not -array.ndim <= axis < array.ndim:
                raise ValueError(
                    f"{name} has shape {array.shape}, so that in_axes must be None or name one of "
                    f"its {array.ndim} axes, but is {axis}"
                )
            array = np.moveaxis(array, axis, 0)
            counts[name] = len(array)
        # Compiled code is made for a memory layout, so there shall be one.
        spread.append(np.require(array, array.dtype.newbyteorder("="), ["C", "W"]))
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{count} in {name}" for name, count in counts.items())
        raise ValueError(f"the numbers of problems differ: {found}")
    if not counts:
        raise ValueError(
            "nothing counts the problems: give x0 of shape (B, n), or in_axes of an argument"
        )
    return np.atleast_2d(x), tuple(spread), next(iter(counts.values()))


def _limits(bounds: Any, x: NDArray[Any], count: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return lower and upper limits of shape (1, n) or (B, n)."""
    each = count, x.shape[1]
    if isinstance(bounds, (tuple, list)) and [np.shape(limit) for limit in bounds] == [each] * 2:
        every = np.broadcast_to(x, each).ravel()
        lower, upper = as_arrays(Bounds(*map(np.ravel, bounds)), every)
        return lower.reshape(each), upper.reshape(each)
    lower, upper = as_arrays(bounds, x[0]) if len(x) else (x, x)
    return np.atleast_2d(lower), np.atleast_2d(upper)


@contextmanager
def _progress(
    count: int, disp: bool, callback: Callable[[int, int], Any] | None
) -> Iterator[Callable[[int], bool]]:
    """Yield a function of the number of problems done that tells whether to stop."""
    bar = None
    if disp:
        try:
            tqdm = progress.import_tqdm()
        except ImportError as error:
            raise ImportError("disp=True needs tqdm: pip install 'numadelta[progress]'") from error
        bar = tqdm(total=count, unit=" problems", unit_scale=True)

    def report(done: int) -> bool:
        if bar is not None:
            bar.update(done - bar.n)
        try:
            if callback is not None:
                callback(done, count)
        except StopIteration:
            return True
        return False

    try:
        yield report
    finally:
        if bar is not None:
            bar.close()
