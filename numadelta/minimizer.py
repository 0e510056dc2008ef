"""`minimize`: ADADELTA for objectives, with the signature, the options and the result of SciPy.

SciPy's face comes first, then the user's functions behind checks, then the driver, which sees
only what has been checked.
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
from scipy.optimize import Bounds, OptimizeResult, OptimizeWarning

from numadelta import arrays, kernels
from numadelta.cpu import CpuState
from numadelta.differences import SCHEMES, Differences

# Status and message, as SciPy's own minimisers give them.
_CONVERGED = 0, "Optimization terminated successfully."
_MAXITER = 1, "Maximum number of iterations has been exceeded."
_MAXFEV = 1, "Maximum number of function evaluations has been exceeded."
_NONFINITE = 3, "NaN result encountered."
_STOPPED = 99, "`callback` raised `StopIteration`."

_SCALAR = "The user-provided objective function must return a scalar value."
_FORMS = (
    "pass jac=True if fun returns (value, gradient), or a function as jac if it returns only the "
    "value"
)

# What a first-order method needs does not grow with the number of variables, hence no 200 * n.
_DEFAULT_MAXITER = 10_000

# Values that differ by no more roundings than this count as equal in the test for convergence.
_ROUNDINGS = 8


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
    suits noisy objectives; on smooth ones the default `lr` may oscillate for ever about the
    minimum, where a smaller one converges.

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

        0. The gradient at ``x`` passed the test, and ``x`` is the best point up to rounding.
        1. `maxiter` or `maxfev` was reached.
        3. The value or the gradient came out as NaN or infinite, or the gradient so large that its
           square overflows.  ``x`` is still the best point before, or else `x0`.
        99. The callback raised StopIteration.

        Where no gradient was evaluated, ``jac`` holds NaN.

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
    lower, upper = _limits(bounds, x)
    if not callable(fun):
        raise TypeError(f"fun must be callable, but is a {type(fun).__name__}")
    jac, differences = _derivative(jac, x, lower, upper, settings.finite_diff_rel_step)
    objective = _Objective(
        fun, jac, args if isinstance(args, tuple) else (args,), x.dtype, differences
    )
    allvecs = [x.copy()] if settings.return_all else None
    result = _descend(objective, x, lower, upper, settings, _reporter(callback, allvecs))
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


def _limits(bounds: Any, x: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the bounds in the dtype of `x`, empty if there are none, and clip `x` to them."""
    if bounds is None:
        return np.empty(0, x.dtype), np.empty(0, x.dtype)
    try:
        pairs = (bounds.lb, bounds.ub) if isinstance(bounds, Bounds) else zip(*bounds, strict=True)
        lowest, highest = (
            np.reshape([end if limit is None else limit for limit in limits], -1).astype(float)
            for limits, end in zip(pairs, (-np.inf, np.inf), strict=True)
        )
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"bounds must be a Bounds object or a sequence of (min, max) pairs of numbers: {error}"
        ) from error
    if {lowest.size, highest.size} - {1, x.size}:
        raise ValueError("The number of bounds is not compatible with the length of `x0`.")
    if np.isnan(lowest).any() or np.isnan(highest).any():
        raise ValueError("bounds must not be NaN; None or infinity means no limit")
    if (highest < lowest).any():
        raise ValueError("An upper bound is less than the corresponding lower bound.")
    lower, upper = _rounded_inwards(lowest, highest, x)
    if (lower == np.inf).any() or (upper == -np.inf).any():
        raise ValueError(f"bounds leave a coordinate no finite {x.dtype} number")
    clipped = np.clip(x, lower, upper)
    if (clipped != x).any():
        _warn("Initial guess is not within the specified bounds and was clipped.", RuntimeWarning)
    x[:] = clipped
    return lower, upper


def _rounded_inwards(
    lowest: NDArray[Any], highest: NDArray[Any], x: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return bounds like `x` with no number between them that is outside those given."""
    lower, upper = np.empty_like(x), np.empty_like(x)
    with np.errstate(over="ignore"):
        lower[:], upper[:] = lowest, highest
        nearest = lower.copy()
        lower = np.where(lower < lowest, np.nextafter(lower, np.inf), lower)
        upper = np.where(upper > highest, np.nextafter(upper, -np.inf), upper)
    # Where no number of this dtype is left, as between equal bounds, the nearest one must do.
    nothing = upper < lower
    return np.where(nothing, nearest, lower), np.where(nothing, nearest, upper)


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


class _Objective:
    """The user's functions: they get copies of the point, and what they return is checked.

    `nfev` and `njev` count the evaluations of `fun` and of gradients; `cost` is how many of `fun`
    one call of `value_and_gradient` takes.  `jac` is True, a function, or None for `differences`.
    """

    def __init__(
        self,
        fun: Callable[..., Any],
        jac: Any,
        args: tuple[Any, ...],
        dtype: np.dtype[Any],
        differences: Differences | None,
    ) -> None:
        self._fun = fun
        self._jac = jac
        self._args = args
        self._differences = differences
        # Machine precision of the values: coarser than that of the points if fun rounds to less.
        self._precision = float(np.finfo(dtype).eps)
        self.cost = 1 + (differences.cost if differences else 0)
        self.nfev = 0
        self.njev = 0

    def value_and_gradient(self, x: NDArray[Any], out: NDArray[Any]) -> float:
        """Return the value at `x` and, if it is finite, write the gradient to `out`."""
        if self._jac is True:
            self.nfev += 1
            pair = self._fun(x.copy(), *self._args)
            if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                raise TypeError(
                    "with jac=True fun must return a pair, (value, gradient), but it returned "
                    f"{_described(pair)}; {_FORMS}"
                )
            value = self._as_float(pair[0])
            if math.isfinite(value):
                self.njev += 1
                _take_gradient(pair[1], out, "the gradient that fun returned (jac=True)")
            return value
        value = self.value(x.copy())
        if math.isfinite(value):
            self.njev += 1
            if self._differences is None:
                _take_gradient(self._jac(x.copy(), *self._args), out, "what jac returned")
            else:
                fun = self._complex_value if self._differences.is_complex else self.value
                self._differences(fun, x, value, self._precision, out)
        return value

    def value(self, x: NDArray[Any]) -> float:
        """Return the value at `x`, an array that is given away."""
        self.nfev += 1
        return self._as_float(self._fun(x, *self._args))

    def _complex_value(self, x: NDArray[Any]) -> complex:
        self.nfev += 1
        value = _as_scalar(self._fun(x, *self._args), "c", "with jac='cs', a complex one")
        return complex(value.item())

    def _as_float(self, value: Any) -> float:
        if isinstance(value, float):
            return float(value)
        array = _as_scalar(value, "fiu", "a real one")
        if array.dtype.kind == "f":
            self._precision = max(self._precision, float(np.finfo(array.dtype).eps))
        return float(array.item())


def _as_scalar(value: Any, kinds: str, expected: str) -> NDArray[Any]:
    if isinstance(value, (tuple, list)) and len(value) != 1:
        raise TypeError(f"{_SCALAR} fun returned {_described(value)}; {_FORMS}.")
    array = np.asarray(value)
    if array.dtype.kind not in kinds or isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{_SCALAR} fun returned {_described(value)}, but it must be {expected}.")
    if array.size != 1:
        raise ValueError(f"{_SCALAR} fun returned {_described(value)}.")
    return array


def _take_gradient(gradient: Any, out: NDArray[Any], name: str) -> None:
    """Copy a gradient to `out` at once, as it may be a buffer that the user fills anew."""
    if (
        type(gradient) is not np.ndarray
        or gradient.dtype != out.dtype
        or gradient.shape != out.shape
    ):
        given = gradient
        try:
            gradient = np.atleast_1d(np.asarray(given))
        except ValueError:  # a ragged list
            gradient = np.empty(0, object)
        if gradient.dtype.kind not in "fiu" or isinstance(given, np.ma.MaskedArray):
            raise TypeError(
                f"{name} must be an array of real numbers (from jac or, with jac=True, from fun), "
                f"but is {_described(given)}"
            )
        if gradient.shape != out.shape:
            raise ValueError(f"{name} has shape {gradient.shape}, but x0 has shape {out.shape}")
        with np.errstate(over="ignore"):  # infinity is dealt with by the driver
            gradient = gradient.astype(out.dtype)
    out[:] = gradient


def _described(thing: object) -> str:
    if isinstance(thing, np.ndarray):
        return f"an array of shape {thing.shape} and dtype {thing.dtype}"
    if isinstance(thing, (tuple, list)):
        return f"a {type(thing).__name__} of length {len(thing)}"
    return f"a {type(thing).__name__}"


@kernels.loop
def _stationary(x, gradient, lower, upper, gtol):
    """Tell whether the projected gradient is at most `gtol` everywhere (False for NaN).

    Its elements are those of the gradient, but no longer than the way to the bound ahead.
    """
    for i in range(gradient.size):
        slope = gradient[i]
        if lower.size > 0:
            if slope > 0:
                slope = min(slope, x[i] - lower[i])
            elif slope < 0:
                slope = max(slope, x[i] - upper[i])
        if not abs(slope) <= gtol:
            return False
    return True


def _descend(
    objective: _Objective,
    x: NDArray[Any],
    lower: NDArray[Any],
    upper: NDArray[Any],
    settings: _Settings,
    report: Callable[[NDArray[Any], float], bool] | None,
) -> OptimizeResult:
    """Step `x` in place until something ends the run; the driver for objectives in Python."""
    gradient, spare = np.full_like(x, np.nan), np.empty_like(x)
    step = CpuState(x).step
    hyperparameters = *settings.rates, 0.0, False  # no weight decay, no ascent
    gtol = settings.gtol
    rounding = _ROUNDINGS * float(np.finfo(x.dtype).eps)
    nit, end = 0, None
    if objective.cost > settings.maxfev:
        value, end = objective.value(x.copy()), _MAXFEV
    else:
        value = objective.value_and_gradient(x, gradient)
    if not math.isfinite(value):
        end = _NONFINITE
    best_x, best, best_gradient = x.copy(), value, gradient
    start = value

    def excess() -> float:
        """Return how much higher than the best a point may be and count as converged.

        As much as a slope of gtol makes up on the way, and rounding.
        """
        way = float(np.abs(x - best_x).sum())
        return gtol * way + rounding * max(abs(start), abs(best))

    while end is None:
        if _stationary(x, gradient, lower, upper, gtol) and value <= min(start, best + excess()):
            best_x, best, best_gradient = x, value, gradient
            end = _CONVERGED
        elif nit >= settings.maxiter:
            end = _MAXITER
        elif objective.nfev + objective.cost > settings.maxfev:
            end = _MAXFEV
        elif step(gradient, True, *hyperparameters) >= 0:
            end = _NONFINITE
        else:
            if lower.size:
                np.maximum(x, lower, out=x)
                np.minimum(x, upper, out=x)
            value = objective.value_and_gradient(x, spare)
            if not math.isfinite(value):
                end = _NONFINITE
                break
            nit += 1
            gradient = spare
            if value <= best:
                best_x[:] = x
                best = value
                best_gradient, spare = gradient, best_gradient
            if report is not None and report(x, value):
                end = _STOPPED
    status, message = end
    return OptimizeResult(
        x=best_x,
        fun=best,
        jac=best_gradient,
        nit=nit,
        nfev=objective.nfev,
        njev=objective.njev,
        status=status,
        success=status == 0,
        message=message,
    )
