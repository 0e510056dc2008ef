"""`adadelta`: `numadelta.minimize` as a ``method`` of SciPy's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import ArrayLike
from scipy.optimize import OptimizeResult

from numadelta.minimizer import minimize


class _Method:
    """`numadelta.minimize` as a ``method`` of `scipy.optimize.minimize`.

    It also works inside SciPy's global optimisers, and from SciPy 1.17 on (before, it is ignored)
    as ``polish`` of `scipy.optimize.differential_evolution`.  SciPy tells no method of its user's
    which scheme of finite differences was asked for: it is always "2-point" then.

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
        self,
        fun: Callable[..., Any],
        x0: ArrayLike,
        args: Any = (),
        jac: Any = None,
        bounds: Any = None,
        tol: float | None = None,
        callback: Callable[..., Any] | None = None,
        **options: Any,
    ) -> OptimizeResult:
        """Minimise `fun`, called as SciPy calls a method: with its options as keywords."""
        return minimize(fun, x0, args, jac, bounds, tol, callback, options)

    def lower(self) -> str:
        """Return SciPy's name for a method that is not its own."""
        return "_custom"

    def __reduce__(self) -> str:
        return "adadelta"

    def __repr__(self) -> str:
        return "numadelta.adadelta"


adadelta = _Method()
