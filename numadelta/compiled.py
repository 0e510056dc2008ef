"""An ``@njit`` objective of `minimize`: compiled for its arguments, its results checked.

Its loop is in `numadelta.compiled_loop`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from inspect import signature
from typing import Any, NamedTuple

import numpy as np
from numba import typeof, types
from numba.core.errors import NumbaError
from numba.np.numpy_support import from_dtype
from numpy.typing import NDArray

from numadelta import state
from numadelta.compiled_loop import iterate, precision
from numadelta.differences import Differences
from numadelta.pointers import Address, address_of, compiled_overload
from numadelta.ticker import ticks


class Compiled(NamedTuple):
    """An objective as the compiled loop takes it: addresses and their Numba types, arguments."""

    fun: int
    jac: int | None
    types: tuple[Any, ...]
    args: tuple[Any, ...]
    # Of the values, for whoever calls `fun` from Python, where float32 comes as float.
    precision: float
    iterate: Callable[..., None]
    # Pairs of function and machine code, which keep what is at the addresses alive.
    owners: tuple[Any, ...]


def compile_objective(
    fun: Any,
    jac: Any,
    args: tuple[Any, ...],
    dtype: np.dtype[Any],
    differences: Differences | None,
) -> Compiled | None:
    """Compile ``@njit`` functions for these arguments; None if only Python can call them so.

    `jac` is True, "inplace", a function, or None for `differences`.
    """
    is_complex = differences is not None and differences.is_complex
    wanted = fun, jac, _type_of(args), dtype, is_complex
    found = _compiled(*wanted)
    for function, code in () if found is None else found.owners:
        # `recompile` replaces the code.  Not `.values()`: an ordered dict's own hashes all types.
        if code not in dict.values(function.overloads):
            _compiled.cache_clear()
            found = _compiled(*wanted)
            break
    return None if found is None else found._replace(args=args)


def _type_of(args: tuple[Any, ...]) -> Any:
    """Return the Numba type of the arguments."""
    if not args:
        return _NOTHING
    found = []
    for k, value in enumerate(args):
        try:
            kind = typeof(value)
        except (ValueError, NumbaError):
            kind = None
        if not _is_data(kind):
            of_kind, remedy = f"a {type(value).__name__} of a kind that", ""
            if isinstance(value, np.ndarray):
                of_kind = f"an array of dtype {value.dtype}, which"
                remedy = "convert it, as with astype(float), or " * (value.dtype.kind in "fiu")
            raise TypeError(
                f"args[{k}] is {of_kind} compiled functions cannot take; {remedy}pass numbers, "
                "arrays of numbers or tuples of those, or else fun.py_func"
            )
        found.append(kind)
    return types.Tuple(found)


_NOTHING = types.Tuple(())

# Exact classes, because asking for abstract ones is slow.
_NUMBERS = {types.Float, types.Integer, types.Boolean, types.Complex, types.Record}
_TUPLES = {types.Tuple, types.UniTuple, types.NamedTuple, types.NamedUniTuple}


def _is_data(kind: Any) -> bool:
    if type(kind) in _TUPLES:
        return all(map(_is_data, kind))
    kind = kind.dtype if type(kind) is types.Array else kind
    return type(kind) in _NUMBERS and kind is not types.float16  # for which there is no arithmetic


@lru_cache(maxsize=128)
def _compiled(fun: Any, jac: Any, args_type: Any, dtype: Any, is_complex: bool) -> Compiled | None:
    point = types.Array(from_dtype(dtype), 1, "C")
    points = (point, point) if jac == "inplace" else (point,)
    second, of_second = None, point
    if callable(jac):
        second = jac
    elif is_complex:
        second, of_second = fun, types.Array(types.complex128, 1, "C")
    overloads = [_overload("fun", fun, (*points, *args_type))]
    if second is not None:
        overloads.append(
            _overload("jac" if second is jac else "fun", second, (of_second, *args_type))
        )
    if None in overloads:
        return None
    functions = [types.FunctionType(overload.signature) for overload in overloads]
    _check_results(jac, is_complex, *(function.signature.return_type for function in functions))
    value: Any = functions[0].signature.return_type
    value = value[0] if jac is True else value
    first, *others = map(address_of, overloads)
    addresses = tuple(map(Address, functions)) if others else (Address(functions[0]), types.none)
    matrix = types.Array(from_dtype(dtype), 2, "C")
    of_drivers = types.int64, STEPS, matrix, RUNS, types.int64, SETTINGS, TICKS, types.boolean
    return Compiled(
        fun=first,
        jac=others[0] if others else None,
        args=(),
        types=addresses,
        precision=precision(value, point.dtype),
        iterate=entry_point(iterate, (*addresses, args_type, *of_drivers)),
        owners=tuple(zip((fun, second), overloads, strict=False)),
    )


def _overload(name: str, function: Any, arguments: tuple[Any, ...]) -> Any:
    given = ", ".join(map(str, arguments))
    try:
        signature(function.py_func).bind(*arguments)
    except TypeError as error:
        raise TypeError(f"{name} is called with ({given}), but {error}") from None
    try:
        return compiled_overload(function, arguments)
    except NumbaError as error:
        # The cause tells where in the user's function.  Its first lines name passes of Numba.
        lines = [line for line in str(error).splitlines() if not line.startswith("Failed in")]
        text = ": ".join([f"{name} could not be compiled for ({given})", *lines[:1]])
        raise TypeError(text.rstrip(":")) from error


def _check_results(jac: Any, is_complex: bool, value: Any, second: Any = None) -> None:
    """Check the types of what the functions return."""
    if jac is True:
        if not isinstance(value, types.BaseTuple) or len(value) != 2:
            raise TypeError(
                f"with jac=True fun must return a pair, (value, gradient), but it returns {value}; "
                "pass a function as jac if fun returns only the value"
            )
        pair: Any = value
        value, second = pair
        _check_gradient_type(second, "the gradient that fun returns (jac=True)")
    elif callable(jac):
        _check_gradient_type(second, "what jac returns")
    elif is_complex and not isinstance(second, types.Complex):
        raise TypeError(
            "with jac='cs' fun must return a complex number for a complex point, but it returns "
            f"{second}"
        )
    if not isinstance(value, types.Float | types.Integer):
        raise TypeError(
            "The user-provided objective function must return a scalar value. fun returns "
            f"{value}; pass jac=True if it returns (value, gradient), and return value[0] if value "
            "is an array of one element."
        )


def _check_gradient_type(gradient: Any, name: str) -> None:
    if not (
        isinstance(gradient, types.Array)
        and gradient.ndim == 1
        and isinstance(gradient.dtype, types.Float | types.Integer)
    ):
        raise TypeError(f"{name} must be a 1-D array of real numbers, but is {gradient}")


def entry_point(function: Any, arguments: tuple[Any, ...]) -> Callable[..., Any]:
    """Return a compiled function for exactly these types, which it does not check."""
    function.compile(arguments)
    return function.overloads[arguments].entry_point


RUNS, SETTINGS = (types.Array(from_dtype(dtype), 1, "C") for dtype in (state.RUN, state.SETTINGS))
STEPS = types.Array(types.float64, 1, "C")
TICKS = types.Array(types.int64, 1, "C")
_NO_STEPS = np.empty(0)


def differencing(differences: Differences | None) -> tuple[int, NDArray[Any]]:
    """Return the scheme and the steps as the compiled loop takes them."""
    return (-1, _NO_STEPS) if differences is None else (differences.scheme, differences.rel_step)


def advance(
    objective: Compiled,
    differences: Differences | None,
    vectors: NDArray[Any],
    runs: NDArray[Any],
    settings: NDArray[Any],
    one_step: bool,
) -> tuple[int, bool]:
    """Do as `numadelta.descent.advance`, for about 20 ms, or with `one_step` for one step."""
    run = runs[0]
    nit = max(int(run["nit"]), 0)
    functions = objective.fun, objective.jac, objective.args, *differencing(differences)
    objective.iterate(*functions, vectors, runs, 0, settings, ticks(), one_step)
    return int(run["end"]), run["nit"] > nit
