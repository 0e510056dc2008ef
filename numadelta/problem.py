"""What `minimize` and `minimize_batch` are asked: start, gradient and options, all checked."""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import OptimizeWarning

from numadelta import arrays, caller, state
from numadelta.differences import SCHEMES, Differences

# What a first-order method needs does not grow with the number of variables, hence no 200 * n.
_DEFAULT_MAXITER = 10_000

# gtol and ftol.  In float32 gradients are seldom right to 1e-5.
_TOLERANCES = {np.dtype(np.float32): (1e-4, 1e-6), np.dtype(np.float64): (1e-5, 1e-12)}

# What others call our arguments, where the spelling does not tell.
_MEANT = {"maxfun": "maxfev", "tol": "gtol", "jacobian": "jac", "gradient": "jac", "grad": "jac"}


def merged(
    function: Callable[..., Any],
    options: dict[str, Any] | None,
    keywords: dict[str, Any],
    tol: float | None,
) -> dict[str, Any]:
    """Return all options of a call of `function`, however they were given."""
    if not isinstance(options, (dict, type(None))):
        raise TypeError(f"options must be a dict, but is a {type(options).__name__}")
    if keywords and keywords.pop("method", None) is not None:
        raise TypeError(
            f"{function.__name__} has no choice of method, it is ADADELTA; "
            "scipy.optimize.minimize has others"
        )
    if unknown := [name for name in keywords if name not in _known()]:
        hint = _hint(unknown[0], list(inspect.signature(function).parameters))
        raise TypeError(
            f"{function.__name__}() got an unexpected keyword argument {unknown[0]!r}{hint}"
        )
    for name in options or ():
        if not isinstance(name, str):
            raise TypeError(f"options must have names as keys, but has {name!r}")
    if twice := sorted(set(options or ()) & set(keywords)):
        raise TypeError(f"given twice, in options and as a keyword: {', '.join(twice)}")
    given = {**(options or {}), **keywords}
    if tol is not None:
        given.setdefault("gtol", arrays.check_hyperparameter("tol", tol))
    return given


def _known() -> dict[str, Any]:
    """Return the options there are, with their defaults."""
    return Options.__init__.__kwdefaults__ or {}


def _hint(name: str, others: list[str]) -> str:
    """Return which of `others` or of the options may be meant by an unknown name, or nothing."""
    meant = _MEANT.get(name)
    close = [meant] if meant else difflib.get_close_matches(name, [*others, *_known()], 1, 0.7)
    return f" (did you mean {close[0]}?)" if close else ""


class Options:
    """The options of `minimize`, checked; `settings` are those that its drivers need.

    Their ``per_element`` and ``reach`` are set by `derivative`.
    """

    def __init__(
        self,
        dtype: np.dtype[Any],
        /,
        *,
        lr: float = 1.0,
        rho: float = 0.95,
        eps: float = 1e-6,
        lr_decay: float = 0.0,
        maxiter: float | None = None,
        maxfev: float | None = None,
        maxtime: float | None = None,
        gtol: float | None = None,
        ftol: float | None = None,
        xtol: float = 0.0,
        safeguard: bool = True,
        averaging: bool = False,
        disp: bool = False,
        return_all: bool = False,
        check_gradient: bool = False,
        workers: Any = None,
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
                caller.warn(f"ADADELTA uses first derivatives; {name} is not used", RuntimeWarning)
        if unknown:
            hinted = ", ".join(name + _hint(name, []) for name in unknown)
            caller.warn(f"Unknown solver options: {hinted}", OptimizeWarning)
        arrays.check_flag("safeguard", safeguard)
        arrays.check_flag("averaging", averaging)
        arrays.check_flag("check_gradient", check_gradient)
        for name, value in {"disp": disp, "return_all": return_all}.items():
            if value is not None and not isinstance(value, (bool, np.bool_)):
                arrays.check_integer(name, value)  # SciPy's habit
        if _is_array(eps):
            raise TypeError(
                "eps must be one number, that of ADADELTA; SciPy's eps is finite_diff_rel_step here"
            )
        for name, value in {"lr": lr, "rho": rho, "eps": eps}.items():
            arrays.check_hyperparameter(name, value, dtype)
        default_gtol, default_ftol = _TOLERANCES[dtype]
        # None means the default, of which no check need take a tenth of a short call.
        gtol = default_gtol if gtol is None else arrays.check_hyperparameter("gtol", gtol)
        ftol = default_ftol if ftol is None else arrays.check_hyperparameter("ftol", ftol)
        xtol = 0.0 if xtol is None else arrays.check_hyperparameter("xtol", xtol)
        lr_decay = 0.0 if lr_decay is None else arrays.check_hyperparameter("lr_decay", lr_decay)
        if safeguard and (lr_decay or averaging):
            raise ValueError(
                "lr_decay and averaging are for noisy objectives: they need safeguard=False"
            )
        values = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "lr_decay": lr_decay,
            "gtol": gtol,
            "ftol": ftol,
            "xtol": xtol,
            "maxiter": _limit("maxiter", maxiter, 0, _DEFAULT_MAXITER),
            "maxfev": _limit("maxfev", maxfev, 1, math.inf),
            "per_element": 0,
            "reach": 0,
            "safeguard": safeguard,
            "averaging": averaging,
        }
        names = state.SETTINGS.names or ()
        self.settings = np.array([tuple(map(values.__getitem__, names))], state.SETTINGS)
        self.maxtime = math.inf if maxtime is None else arrays.check_number("maxtime", maxtime)
        if not self.maxtime >= 0:
            raise ValueError(f"maxtime must be at least 0 seconds, but is {maxtime}")
        self.disp = disp
        self.return_all = return_all
        self.check_gradient = check_gradient
        self.workers = workers
        self.finite_diff_rel_step = finite_diff_rel_step


def _is_array(value: object) -> bool:
    return isinstance(value, (list, tuple)) or getattr(value, "ndim", 0) > 0


def _limit(name: str, value: object, least: int, default: float) -> float:
    if value is None:
        return default
    number = arrays.check_number(name, value)
    if not number >= least:
        raise ValueError(f"{name} must be at least {least}, but is {number}")
    return number if math.isinf(number) else math.floor(number)


def start_of(x0: ArrayLike, most_dimensions: int = 1) -> NDArray[Any]:
    """Return a new array of the right dtype."""
    given = arrays.as_real_array("x0", x0, "fiub")
    if given.ndim > most_dimensions:
        only = "one dimension" if most_dimensions == 1 else "one or two dimensions"
        raise ValueError(f"'x0' must only have {only}. Its shape is {given.shape}.")
    if given.size == 0 and not (given.ndim == 2 and given.shape[1] > 0):
        raise ValueError("x0 must not be empty")
    single = given.dtype.newbyteorder("=") == np.float32
    with np.errstate(over="ignore", under="ignore"):
        x = np.array(given, np.float32 if single else np.float64, ndmin=1)
    arrays.check_finite("x0", x)
    return x


def clipped(x: NDArray[Any], lower: NDArray[Any], upper: NDArray[Any]) -> NDArray[Any]:
    """Return a start inside its bounds."""
    if ((lower <= x) & (x <= upper)).all():
        return x
    message = "Initial guess is not within the specified bounds and was clipped."
    caller.warn(message, RuntimeWarning)
    return np.clip(x, lower, upper)


def derivative(
    jac: Any, x: NDArray[Any], lower: NDArray[Any], upper: NDArray[Any], options: Options
) -> tuple[Any, Differences | None]:
    """Return jac as True, "inplace", a function or None, and in the last case differences instead.

    `options` learn what these cost.
    """
    rel_step = options.finite_diff_rel_step
    if isinstance(jac, (bool, np.bool_)):
        jac = True if jac else None
    if jac is True or callable(jac) or (isinstance(jac, str) and jac == "inplace"):
        if rel_step is not None:
            message = "finite_diff_rel_step is not used, because jac gives the gradient"
            caller.warn(message, RuntimeWarning)
        return jac, None
    scheme = "2-point" if jac is None else jac
    if not isinstance(scheme, str) or scheme not in SCHEMES:
        hint = ""
        if isinstance(jac, str):  # in the place of SciPy's method
            hint = "; there is no method here, so best pass jac and bounds by keyword"
        raise ValueError(
            "jac must be a function, True, False, None or one of inplace, "
            f"{', '.join(SCHEMES)}, "
            f"but is {jac!r}{hint}"
        )
    differences = Differences(scheme, x, lower, upper, rel_step)
    options.settings["per_element"] = differences.per_element
    options.settings["reach"] = differences.reach
    return None, differences
