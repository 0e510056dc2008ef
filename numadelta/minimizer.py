"""`minimize`: ADADELTA for objectives, with the keywords, the options and the result of SciPy.

This is SciPy's face only: the loop is in `numadelta.descent`.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from numba.extending import is_jitted
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import OptimizeResult

from numadelta import answers, arrays, caller, compiled, descent, problem, state
from numadelta.bounds import lower_and_upper
from numadelta.differences import Differences
from numadelta.objective import Objective, check_assigned


def minimize(
    fun: Callable[..., Any],
    x0: ArrayLike,
    args: Any = (),
    jac: Any = None,
    bounds: Any = None,
    tol: float | None = None,
    callback: Callable[..., Any] | None = None,
    options: dict[str, Any] | None = None,
    **options_as_keywords: Any,
) -> OptimizeResult:
    """Minimise a function of several variables with ADADELTA.

    With its safeguard, the default, each step decreases the value: rates as ADADELTA's, but from
    the changes of the gradient, are the diagonal of a memoryless BFGS step, which a line search
    makes shorter where needed.  Without, the method is that of the paper, for noisy objectives:
    each step is taken, whatever the value.

    Parameters
    ----------
    fun : callable
        The objective, ``fun(x, *args) -> float``; with ``jac=True`` it returns the pair of value
        and gradient, and with ``jac="inplace"`` it is ``fun(x, grad, *args) -> float`` and writes
        all of `grad`.  It always gets a copy of the point.  If `fun` is an ``@njit`` function, and
        `jac` too if it is one, the whole run is compiled.
    x0 : array_like, shape (n,)
        Where to start; a number for n = 1.  The points are float32 if `x0` is, else float64.
    args : tuple, optional
        Further arguments of `fun` and `jac`; numbers, arrays and tuples of them if these are
        compiled.
    jac : callable, bool or {"inplace", "2-point", "3-point", "cs"}, optional
        The gradient, ``jac(x, *args)``, or how `fun` gives it, or the scheme of finite differences
        that replaces it.  "2-point" by default, which becomes central differences where forward
        ones lead no further; "cs" needs a `fun` that takes complex numbers.
    bounds : scipy.optimize.Bounds or sequence of (min, max), optional
        Limits that no evaluation leaves, those of finite differences included.  None or infinity
        means no limit; equal limits fix a coordinate.
    tol : float, optional
        The default of `gtol`.
    callback : callable, optional
        Called after each step as ``callback(intermediate_result=...)`` with attributes ``x``
        and ``fun``, if that is the name of its only parameter, else as ``callback(xk)``.
        StopIteration ends the run.
    options : dict, optional
        Any of those below, which may also be given as keywords.
    lr : float, default 1
        Factor of ADADELTA's steps; with safeguard only of those without memory, such as the first.
    rho : float, default 0.95
        What the running averages keep at each step.
    eps : float, default 1e-6
        Where the average of squared steps starts; without safeguard, the constant of the paper.
        SciPy's `eps` is another thing, the step of differences: `finite_diff_rel_step` here.
    safeguard : bool, default True
        Whether to accept only steps that decrease the value enough.
    maxiter : int, default 10000
        Maximum number of steps; ``inf`` for no limit.
    maxfev : int, optional
        Maximum number of evaluations of `fun`, those of finite differences included.  Never
        exceeded: an evaluation is not begun if too few are left for its gradient.  No limit by
        default.
    maxtime : float, optional
        Maximum number of seconds, looked at between evaluations of value and gradient, or if
        compiled about every 20 ms.  No limit by default.
    gtol : float, default 1e-5, or 1e-4 for float32
        Stop when no element of the projected gradient, which is the gradient itself away from the
        bounds, is larger.
    ftol : float, default 1e-12, or 1e-6 for float32
        Stop after 10 steps in a row that each decrease the value by no more than this part of it.
        Only with safeguard.
    xtol : float, default 0
        Stop after 10 steps in a row that each change no coordinate by more than this part of the
        largest one.  Only with safeguard.
    lr_decay : float, default 0
        Step k has the rate ``lr / (1 + lr_decay * k)``.  Only without safeguard.
    averaging : bool, default False
        Whether the result is the weighted mean of the iterates, recent ones counting more (or the
        best point, where the value of the mean is not finite).  Such a run ends by a limit only.
        Only without safeguard.
    disp : bool, default False
        Whether to print the outcome.
    return_all : bool, default False
        Whether the result has ``allvecs``, the list of the start and all iterates.
    check_gradient : bool, default False
        Whether to compare the gradient at `x0` with central differences, and warn if it looks
        wrong.
    workers : int or callable, optional
        How many processes, -1 for one per core, evaluate the points of finite differences, or a
        function like `map` to do so.  Not for compiled objectives.
    finite_diff_rel_step : array_like, optional
        Steps of finite differences relative to ``max(1, abs(x))``.

    Returns
    -------
    scipy.optimize.OptimizeResult
        ``x`` is the best point seen, or the mean with `averaging`, ``fun`` its value and ``jac``
        its gradient; ``nit`` counts steps, ``nfev`` evaluations and ``njev`` gradients;
        ``success``, ``status`` and ``message`` say how it ended:

        0. `gtol`, `ftol` or `xtol` holds.  Without safeguard: the gradient at ``x`` passed the
           test, and no point seen was better by more than rounding.
        1. `maxiter`, `maxfev` or `maxtime` was reached.
        2. Along a way that should lead downhill no decrease was found: the gradient is wrong or
           noisy, the function has a kink or no lowest value, or its values are not precise enough.
           Or several steps in a row lowered nothing.
        3. The value or the gradient at `x0` is NaN or infinite; without safeguard, at any point, or
           the gradient is so large that its square overflows.  ``x`` is still the best point
           before, or else `x0`.
        99. The callback raised StopIteration, or another exception ended the run.

        ``jac`` holds NaN if there is no gradient at ``x``.

    Raises
    ------
    TypeError, ValueError
        If an argument, or what `fun` or `jac` returns, is not of the right kind, shape or range,
        for unknown keywords, for a `method`, of which there is no choice, and for constraints,
        which are not supported; with ``jac="inplace"`` if `fun` leaves elements of `grad` at `x0`
        unassigned.  Exceptions in your functions pass unchanged.
    BaseException
        An exception that ends a run, KeyboardInterrupt among them, has what was found before it as
        its attribute ``result``, with status 99.

    Warns
    -----
    RuntimeWarning
        If `x0` is outside the bounds, and clipped; for a gradient that looks wrong; for `hess`,
        `hessp` and other things given but not used.
    scipy.optimize.OptimizeWarning
        For unknown entries of `options`; with `disp`, for a run that did not converge.

    See Also
    --------
    minimize_batch : Many independent problems in one call.
    adadelta : The same as a ``method`` of `scipy.optimize.minimize`.

    Notes
    -----
    The step is ``a * v - theta * eta * (g - b * y)`` with rates ``eta = sqrt(E[dx^2]) /
    sqrt(E[y^2])`` as ADADELTA's [1]_, the last step v and the change y of the gradient along it;
    a, b and theta make it that of self-scaling memoryless BFGS [2]_.  It is accepted by Armijo's
    condition.  Coordinates that a bound stops are left out, and trial points are clipped.  A trial
    that is not finite is a rejected one, so the objective may be NaN where it is not defined.
    ``docs/minimize.md`` has the whole method, and measurements.

    An objective that computes in float32 should be given a float32 `x0`, or differences with the
    steps of float64 may vanish in its rounding.

    Compiled objectives should have ``error_model="numpy"``, or a division by zero raises
    ZeroDivisionError.

    References
    ----------
    .. [1] M. D. Zeiler, "ADADELTA: an adaptive learning rate method", arXiv:1212.5701 (2012).
    .. [2] D. F. Shanno, "Conjugate gradient methods with inexact searches", Math. Oper. Res. 3
       (1978).  J. Nocedal and S. J. Wright, "Numerical Optimization", 2nd ed. (2006), section 7.2.

    Examples
    --------
    >>> import numadelta as nd
    >>> def fun(x):
    ...     return (x[0] - 1) ** 2 + (x[1] + 2) ** 2
    >>> res = nd.minimize(fun, [0.0, 0.0])
    >>> res.success, res.message
    (True, 'Optimization terminated successfully.')
    >>> res.x.round(3)
    array([ 1., -2.])

    With bounds, compiled, and a gradient written in place:

    >>> import numba
    >>> @numba.njit
    ... def rosenbrock(x, grad, steepness):
    ...     rise = x[1] - x[0] ** 2
    ...     grad[0] = -4 * steepness * rise * x[0] - 2 * (1 - x[0])
    ...     grad[1] = 2 * steepness * rise
    ...     return steepness * rise**2 + (1 - x[0]) ** 2
    >>> bounds = [(None, 0.5), (None, None)]
    >>> res = nd.minimize(rosenbrock, [-1.2, 1.0], (100.0,), jac="inplace", bounds=bounds)
    >>> res.x.round(3), res.jac.round(3)
    (array([0.5 , 0.25]), array([-1.,  0.]))
    """
    given = problem.merged(minimize, options, options_as_keywords, tol)
    if not callable(fun):
        raise TypeError(f"fun must be callable, but is a {type(fun).__name__}")
    x = problem.start_of(x0)
    chosen = problem.Options(x.dtype, **given)
    lower, upper = lower_and_upper(bounds, x)
    if bounds is not None:
        x = problem.clipped(x, lower, upper)
    args = args if isinstance(args, tuple) else (args,)
    jac, differences = problem.derivative(jac, x, lower, upper, chosen)
    settings = chosen.settings
    vectors = np.zeros((state.ROWS, x.size), x.dtype)
    vectors[state.POINT], vectors[state.LOWER], vectors[state.UPPER] = x, lower, upper
    runs = np.zeros(1, state.RUN)
    descent.begin(vectors, runs, settings)
    allvecs = [x.copy()] if chosen.return_all else None
    report = answers.reporter(callback, allvecs)
    native = _compile(fun, jac, args, x.dtype, differences)
    workers = _used(chosen.workers, native, differences)
    try:
        with _mapper(workers) as mapper:
            objective = Objective(fun, jac, args, x, differences, mapper)
            if native is None:
                advance = partial(descent.advance, objective)
            else:
                objective.precision = native.precision  # float32 values reach Python as float
                advance = partial(compiled.advance, native, differences)
            if chosen.check_gradient and differences is not None:
                caller.warn("check_gradient is not used: fun has no gradient", RuntimeWarning)
            elif chosen.check_gradient:
                _check_gradient(objective, vectors, runs, settings)
            descent.descend(advance, vectors, runs, settings, chosen.maxtime, report)
            if settings["averaging"][0] and runs["nit"][0] > 0:
                descent.return_average(objective, vectors, runs)
        has_nan = jac == "inplace" and np.isnan(vectors[state.POINT_GRAD]).any()
        if has_nan and answers.lacks_start_gradient(runs, settings)[0]:
            runs["nfev"] += answers.CALLS_OF_CHECK
            check_assigned(fun, vectors[state.X], args, lower < upper)
    except BaseException as error:
        if runs["end"][0] != state.NONFINITE:  # also where the last call of callback raises it
            runs["end"] = state.RUNNING
        answers.attach(error, answers.as_result(vectors, runs[0]))
        raise
    result = answers.as_result(vectors, runs[0])
    if allvecs is not None:
        result.allvecs = allvecs
    if chosen.disp:
        answers.announce(result)
    return result


def _check_gradient(
    objective: Objective, vectors: NDArray[Any], runs: NDArray[Any], settings: NDArray[Any]
) -> None:
    """Take the first evaluation of a run, and compare its gradient with differences."""
    x = vectors[state.POINT].copy()
    if runs["nfev"][0] + 1 + objective.cost_of_check(x.size) > settings["maxfev"][0]:
        caller.warn("maxfev leaves no evaluations for check_gradient", RuntimeWarning)
        return
    descent.advance(objective, vectors, runs, settings)
    if runs["nit"][0] == 0:
        found = float(runs["value"][0]), vectors[state.GRAD]
        limits = vectors[state.LOWER], vectors[state.UPPER]
        try:
            objective.check_gradient(x, *found, *limits)
        finally:
            runs["nfev"] += objective.finished


def _compile(
    fun: Any, jac: Any, args: tuple[Any, ...], dtype: Any, differences: Differences | None
) -> compiled.Compiled | None:
    """Return a compiled objective, or None if this one is called from Python."""
    if not is_jitted(fun) or (callable(jac) and not is_jitted(jac)):
        return None
    return compiled.compile_objective(fun, jac, args, dtype, differences)


def _used(workers: Any, native: compiled.Compiled | None, differences: Differences | None) -> Any:
    """Return the workers, or warn that there is nothing for them to do."""
    if workers is None or (native is None and differences is not None):
        return workers
    why = "it is for finite differences" if native is None else "the objective is compiled"
    caller.warn(f"workers is not used: {why}", RuntimeWarning)
    return None


@contextmanager
def _mapper(workers: Any) -> Iterator[Callable[..., Any]]:
    """Yield `map`, or what replaces it, as SciPy's minimisers take `workers`."""
    if workers is None or callable(workers):
        yield workers or map
        return
    count = arrays.check_integer("workers", workers)
    if count == 1:
        yield map
    elif count == -1 or count > 1:
        with multiprocessing.Pool(None if count == -1 else count) as pool:
            yield pool.map
    else:
        raise ValueError(f"workers must be -1, a positive number or a map, but is {workers}")
