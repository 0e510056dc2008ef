"""`minimize`: ADADELTA for objectives, with the signature, the options and the result of SciPy.

This is SciPy's face only: arguments are checked here, and the loop is `numadelta.descent`.
"""

from __future__ import annotations

import inspect
import math
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import OptimizeResult, OptimizeWarning

from numadelta import arrays
from numadelta.bounds import as_arrays
from numadelta.descent import descend
from numadelta.differences import SCHEMES, Differences
from numadelta.objective import Objective

# What a first-order method needs does not grow with the number of variables, hence no 200 * n.
_DEFAULT_MAXITER = 10_000


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

    The method of the paper, without safeguard: the value may rise, and the best point is kept.  It
    suits noisy objectives; on smooth ones it may end in a cycle about the minimum and never
    converge, and then another `lr` may do better.

    Parameters
    ----------
    fun : callable
        The objective, ``fun(x, *args) -> float``, or with ``jac=True`` the pair of value and
        gradient.  It always gets a copy of the point.
    x0 : array_like, shape (n,)
        Where to start; a number for n = 1.  The points are float32 if `x0` is, else float64.
    args : tuple, optional
        Further arguments of `fun` and `jac`.
    jac : callable, bool or {"2-point", "3-point", "cs"}, optional
        The gradient, ``jac(x, *args)``, or True if `fun` returns it, too, or the scheme of finite
        differences that replaces it.  "2-point" by default; "cs" needs a `fun` that takes complex
        numbers.
    bounds : scipy.optimize.Bounds or sequence of (min, max), optional
        Limits that no evaluation leaves, those of finite differences included.  None or infinity
        means no limit; equal limits fix a coordinate.
    tol : float, optional
        The default of `gtol`.
    callback : callable, optional
        Called after each iteration as ``callback(intermediate_result=...)`` with attributes ``x``
        and ``fun``, if that is the name of its only parameter, else as ``callback(xk)``.
        StopIteration ends the run.
    options : dict, optional
        Any of those below, which may also be given as keywords.
    lr, rho, eps : float
        As in `numadelta.Adadelta`: by default 1, 0.95 and 1e-6.
    maxiter : int, optional
        The most iterations, by default 10000; ``inf`` for no limit.
    maxfev : int, optional
        The most evaluations of `fun`, those of finite differences included.  Never exceeded: an
        iteration for which too few are left is not begun.  No limit by default.
    gtol : float, default 1e-5
        Converged is a point whose projected gradient, which is the gradient itself away from the
        bounds, is nowhere larger.
    disp : bool, default False
        Whether to print the outcome.
    return_all : bool, default False
        Whether the result has ``allvecs``, the list of all iterates.
    finite_diff_rel_step : array_like, optional
        Steps of finite differences relative to ``max(1, abs(x))``.

    Returns
    -------
    scipy.optimize.OptimizeResult
        ``x`` is the best point seen, ``fun`` its value and ``jac`` its gradient; ``nit``,
        ``nfev`` and ``njev`` count; ``success``, ``status`` and ``message`` say how it ended:

        0. The gradient at ``x`` passed the test, and no point seen was better by more than
           rounding.
        1. `maxiter` or `maxfev` was reached.
        3. The value or the gradient came out as NaN or infinite, or the gradient so large that its
           square overflows.  ``x`` is still the best point before, or else `x0`.
        99. The callback raised StopIteration.

        ``jac`` holds NaN if there is no gradient at ``x``.

    Raises
    ------
    TypeError, ValueError
        If an argument, or what `fun` or `jac` returns, is not of the right kind, shape or range,
        and for constraints, which are not supported.  Exceptions in your functions pass unchanged.

    Warns
    -----
    RuntimeWarning
        If `x0` is outside the bounds, and clipped; for `hess`, `hessp` and other things given but
        not used.
    scipy.optimize.OptimizeWarning
        For unknown options; with `disp`, for a run that did not converge.

    See Also
    --------
    adadelta : The same as a ``method`` of `scipy.optimize.minimize`.

    Notes
    -----
    With bounds, a step is taken as without them and its end is clipped.  An objective that
    computes in float32 should be given a float32 `x0`, or differences with the steps of float64
    may vanish in its rounding.

    Examples
    --------
    >>> import numadelta as nd
    >>> def fun(x):
    ...     return (x[0] - 1) ** 2 + (x[1] + 2) ** 2
    >>> res = nd.minimize(fun, [0.0, 0.0], lr=0.5)
    >>> res.success, res.message
    (True, 'Optimization terminated successfully.')
    >>> res.x.round(3)
    array([ 1., -2.])
    """
    given = _merged(options, options_as_keywords)
    if tol is not None:
        given.setdefault("gtol", tol)
    x = _start(x0)
    settings = _Settings(x.dtype, **given)
    lower, upper = as_arrays(bounds, x)
    if lower.size and not ((lower <= x) & (x <= upper)).all():
        message = "Initial guess is not within the specified bounds and was clipped."
        warnings.warn(message, RuntimeWarning, stacklevel=2)
        x = np.clip(x, lower, upper)
    if not callable(fun):
        raise TypeError(f"fun must be callable, but is a {type(fun).__name__}")
    jac, differences = _derivative(jac, x, lower, upper, settings.finite_diff_rel_step)
    objective = Objective(
        fun, jac, args if isinstance(args, tuple) else (args,), x.dtype, differences
    )
    allvecs = [x.copy()] if settings.return_all else None
    result = descend(
        objective,
        x,
        lower,
        upper,
        _reporter(callback, allvecs),
        rates=settings.rates,
        maxiter=settings.maxiter,
        maxfev=settings.maxfev,
        gtol=settings.gtol,
    )
    if allvecs is not None:
        result.allvecs = allvecs
    if settings.disp:
        _announce(result)
    return result


class _Method:
    """`numadelta.minimize` as a ``method`` of `scipy.optimize.minimize`.

    It also works inside SciPy's global optimisers, and as ``polish`` of
    `scipy.optimize.differential_evolution`.  SciPy tells no method of its user's which scheme of
    finite differences was asked for: it is always "2-point" then.

    Examples
    --------
    >>> import scipy.optimize
    >>> import numadelta as nd
    >>> res = scipy.optimize.minimize(
    ...     lambda x: x @ x, [1.0, 2.0], method=nd.adadelta, options={"lr": 0.5}
    ... )
    >>> res.success
    True
    """

    # An object, because a function has no lower(), which scipy.optimize.shgo calls.
    __name__ = "adadelta"

    def __call__(
        self, fun: Callable[..., Any], x0: ArrayLike, args: Any = (), **keywords: Any
    ) -> OptimizeResult:
        """Minimise `fun`; the keywords are those of `numadelta.minimize`."""
        return minimize(fun, x0, args, **keywords)

    def lower(self) -> str:
        """Return SciPy's name for a method that is not its own."""
        return "_custom"

    def __reduce__(self) -> str:
        return "adadelta"

    def __repr__(self) -> str:
        return "numadelta.adadelta"


adadelta = _Method()


def _merged(options: dict[str, Any] | None, keywords: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(options, (dict, type(None))):
        raise TypeError(f"options must be a dict, but is a {type(options).__name__}")
    if twice := sorted(set(options or ()) & set(keywords)):
        raise TypeError(f"given twice, in options and as a keyword: {', '.join(twice)}")
    return {**(options or {}), **keywords}


class _Settings:
    """The options of `minimize`, checked."""

    def __init__(
        self,
        dtype: np.dtype[Any],
        *,
        lr: float = 1.0,
        rho: float = 0.95,
        eps: float = 1e-6,
        maxiter: float | None = None,
        maxfev: float | None = None,
        gtol: float = 1e-5,
        disp: bool = False,
        return_all: bool = False,
        finite_diff_rel_step: ArrayLike | None = None,
        constraints: Any = None,
        hess: Any = None,
        hessp: Any = None,
        **unknown: Any,
    ) -> None:
        if constraints is not None and np.size(constraints):
            raise ValueError("ADADELTA cannot handle constraints; give limits of x as bounds")
        for name, value in {"hess": hess, "hessp": hessp}.items():
            if value is not None:
                _warn(f"ADADELTA uses first derivatives; {name} is not used", RuntimeWarning)
        if unknown:
            _warn(f"Unknown solver options: {', '.join(unknown)}", OptimizeWarning)
        rates = {"lr": lr, "rho": rho, "eps": eps}
        self.rates = [arrays.check_hyperparameter(*rate, dtype) for rate in rates.items()]
        self.maxiter = _limit("maxiter", maxiter, 0, _DEFAULT_MAXITER)
        self.maxfev = _limit("maxfev", maxfev, 1, math.inf)
        self.gtol = arrays.check_hyperparameter("gtol", gtol)
        self.disp = disp
        self.return_all = return_all
        self.finite_diff_rel_step = finite_diff_rel_step


def _limit(name: str, value: object, least: int, default: float) -> float:
    if value is None:
        return default
    number = arrays.check_number(name, value)
    if not number >= least:
        raise ValueError(f"{name} must be at least {least}, but is {number}")
    return number if math.isinf(number) else math.floor(number)


def _warn(message: str, category: type[Warning]) -> None:
    warnings.warn(message, category, stacklevel=4)


def _start(x0: ArrayLike) -> NDArray[Any]:
    """Return a new array of the right dtype."""
    arrays.refuse_masked("x0", x0)
    given = np.asarray(x0)
    if given.dtype.kind not in "fiub":
        raise TypeError(f"x0 must hold real numbers, but has dtype {given.dtype}")
    if given.ndim > 1:
        raise ValueError(f"'x0' must only have one dimension. Its shape is {given.shape}.")
    if given.size == 0:
        raise ValueError("x0 must not be empty")
    single = given.dtype.newbyteorder("=") == np.float32
    x = np.array(given, np.float32 if single else np.float64, ndmin=1)
    arrays.check_finite("x0", x)
    return x


def _derivative(
    jac: Any, x: NDArray[Any], lower: NDArray[Any], upper: NDArray[Any], rel_step: Any
) -> tuple[Any, Differences | None]:
    """Return jac as True, a function or None, and in the last case differences instead."""
    if isinstance(jac, (bool, np.bool_)):
        jac = True if jac else None
    if jac is True or callable(jac):
        if rel_step is not None:
            _warn(
                "finite_diff_rel_step is not used, because jac gives the gradient", RuntimeWarning
            )
        return jac, None
    scheme = "2-point" if jac is None else jac
    if not isinstance(scheme, str) or scheme not in SCHEMES:
        raise ValueError(
            f"jac must be a function, True, False, None or one of {', '.join(SCHEMES)}, "
            f"but is {jac!r}"
        )
    return None, Differences(scheme, x, lower, upper, rel_step)


def _reporter(
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


def _announce(result: OptimizeResult) -> None:
    if result.success:
        print(result.message)
    else:
        warnings.warn(result.message, OptimizeWarning, stacklevel=3)
    print(f"         Current function value: {result.fun:f}")
    print(f"         Iterations: {result.nit}")
    print(f"         Function evaluations: {result.nfev}")
    print(f"         Gradient evaluations: {result.njev}")
