"""The driver of `minimize` for ``@njit`` objectives: no Python between the iterations.

It is compiled once for each type of arguments and form of objective, not for each objective: it
takes the objective by address (`numadelta.pointers`), and is kept in the disk cache.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from inspect import signature
from typing import Any, NamedTuple

import numpy as np
from numba import typeof, types
from numba.core.errors import NumbaError
from numba.extending import overload
from numba.np.numpy_support import from_dtype
from numpy.typing import NDArray

from numadelta import iteration, state
from numadelta.differences import THREE_POINT, Differences, probes, slope, step_of
from numadelta.jit import loop
from numadelta.pointers import Address, address_of, compiled_overload, function_at
from numadelta.ticker import ticks


@state.inlined
def _copy_point(vectors):
    """Copy POINT to GIVEN."""
    for i in range(vectors.shape[1]):
        vectors[state.GIVEN, i] = vectors[state.POINT, i]


def _evaluate(fun, given, grad, args):
    """Return the value at `given`; write the gradient to `grad` if it comes with it."""
    raise NotImplementedError  # compiled only


def _differentiate(fun, jac, scheme, rel_step, vectors, run, args, ticks, now):
    """Write the gradient at POINT to POINT_GRAD, unless it came with the value.

    Differences go on from ``run["coordinate"]``, and end there when the clock goes on.
    """
    raise NotImplementedError  # compiled only


def _has_pair(fun):
    return isinstance(fun.signature.return_type, types.BaseTuple)


def _is_in_place(fun, args):
    return len(fun.signature.args) == 2 + len(args)


def _precision(result, real):
    """Return the machine precision of values, which may be coarser than that of the points."""
    coarser = result if isinstance(result, types.Float) and result < real else real
    return float(np.finfo(coarser.name).eps)


@overload(_evaluate)
def _overload_evaluate(fun, given, grad, args):
    if _has_pair(fun):

        def evaluate(fun, given, grad, args):
            value, gradient = fun(given, *args)
            _take(gradient, grad)
            return np.float64(value)

    elif _is_in_place(fun, args):

        def evaluate(fun, given, grad, args):
            for i in range(grad.size):
                grad[i] = np.nan
            return np.float64(fun(given, grad, *args))

    else:

        def evaluate(fun, given, grad, args):
            return np.float64(fun(given, *args))

    return evaluate


@overload(_differentiate)
def _overload_differentiate(fun, jac, scheme, rel_step, vectors, run, args, ticks, now):
    if _has_pair(fun) or _is_in_place(fun, args):
        return _keep_gradient
    if isinstance(jac, types.NoneType):
        return _real_differences(_precision(fun.signature.return_type, vectors.dtype))
    if isinstance(jac.signature.return_type, types.Complex):
        return _complex_differences
    return _call_jac


def _keep_gradient(fun, jac, scheme, rel_step, vectors, run, args, ticks, now):
    """Leave the gradient that came with the value."""


def _call_jac(fun, jac, scheme, rel_step, vectors, run, args, ticks, now):
    given = vectors[state.GIVEN]
    _copy_point(vectors)
    _take(jac(given, *args), vectors[state.POINT_GRAD])


def _real_differences(precision):
    """Return `_differentiate` for values of a machine precision."""

    def differentiate(fun, jac, scheme, rel_step, vectors, run, args, ticks, now):
        given, grad = vectors[state.GIVEN], vectors[state.POINT_GRAD]
        value = run["point_value"]
        both_sides = scheme == THREE_POINT or run["central"] > state.FORWARD
        sides = THREE_POINT if both_sides else scheme
        for i in range(run["coordinate"], grad.size):
            low, high = vectors[state.LOWER, i], vectors[state.UPPER, i]
            grad[i] = 0
            if low < high:
                at = np.float64(vectors[state.POINT, i])
                h = step_of(scheme, rel_step[i], at, precision)
                near, far = probes(sides, at, h, np.float64(low), np.float64(high))
                _copy_point(vectors)
                given[i] = near
                near = np.float64(given[i]) - at
                near_change = np.float64(fun(given, *args)) - value
                far_change = near_change
                if both_sides:
                    _copy_point(vectors)
                    given[i] = far
                    far = np.float64(given[i]) - at
                    far_change = np.float64(fun(given, *args)) - value
                    run["nfev"] += 1
                else:
                    far = near
                run["nfev"] += 1
                grad[i] = slope(near, near_change, far, far_change)
            if ticks[0] != now and i + 1 < grad.size:
                run["coordinate"] = i + 1
                return
        run["coordinate"] = 0

    return differentiate


def _complex_differences(fun, jac, scheme, rel_step, vectors, run, args, ticks, now):
    grad = vectors[state.POINT_GRAD]
    given = np.empty(grad.size, np.complex128)
    for i in range(run["coordinate"], grad.size):
        grad[i] = 0
        if vectors[state.LOWER, i] < vectors[state.UPPER, i]:
            at = np.float64(vectors[state.POINT, i])
            h = step_of(scheme, rel_step[i], at, 0.0)
            for j in range(grad.size):  # given[:] = ... would compile for seconds longer
                given[j] = vectors[state.POINT, j]
            given[i] += 1j * h
            grad[i] = jac(given, *args).imag / h
            run["nfev"] += 1
        if ticks[0] != now and i + 1 < grad.size:
            run["coordinate"] = i + 1
            return
    run["coordinate"] = 0


@loop
def _take(gradient, out):
    if gradient.size != out.size:
        raise ValueError("the gradient has another length than x0")
    for i in range(out.size):
        out[i] = gradient[i]


@loop
def iterate(fun, jac, args, scheme, rel_step, vectors, runs, k, settings, ticks, one_step):
    """Evaluate points of run `k` until its end, until the clock goes on, or for one step."""
    fun, jac = function_at(fun), function_at(jac)
    run, setting = runs[k], settings[0]
    given, grad = vectors[state.GIVEN], vectors[state.POINT_GRAD]
    nit, now = max(run["nit"], 0), ticks[0]
    while run["end"] == state.RUNNING:
        if run["coordinate"] == 0:
            iteration.propose(vectors, run, setting)
            if run["end"] != state.RUNNING:
                break
            _copy_point(vectors)
            accepted = iteration.take_value(run, setting, _evaluate(fun, given, grad, args))
        else:
            accepted = True
        if accepted:
            _differentiate(fun, jac, scheme, rel_step, vectors, run, args, ticks, now)
            if run["coordinate"] == 0:
                iteration.accept(vectors, run, setting)
        else:
            iteration.reject(vectors, run, setting)
        if ticks[0] != now or (one_step and run["nit"] > nit):
            break


class Compiled(NamedTuple):
    """An objective as the compiled drivers take it: what to pass, and its Numba types."""

    fun: int
    jac: int | None
    args: tuple[Any, ...]
    types: tuple[Any, ...]
    # Of the values, for whoever calls `fun` from Python, where float32 comes as float.
    precision: float
    iterate: Callable[..., None]
    # Pairs of function and machine code, which keep what is at the addresses alive.
    owners: tuple[Any, ...]


def compile_objective(
    fun: Any, jac: Any, args: tuple[Any, ...], dtype: np.dtype[Any], is_complex: bool
) -> Compiled | None:
    """Compile ``@njit`` functions for these arguments; None if only Python can call them so.

    `jac` is True, "inplace", a function, or None for finite differences, complex ones if
    `is_complex`.
    """
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
            raise TypeError(
                f"args[{k}] is a {type(value).__name__} of a kind that compiled functions cannot "
                "take; pass numbers, arrays of numbers or tuples of those, or else fun.py_func"
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
    own_types = *addresses, args_type
    matrix = types.Array(from_dtype(dtype), 2, "C")
    of_drivers = types.int64, STEPS, matrix, RUNS, types.int64, SETTINGS, TICKS, types.boolean
    return Compiled(
        fun=first,
        jac=others[0] if others else None,
        args=(),
        types=own_types,
        precision=_precision(value, point.dtype),
        iterate=entry_point(iterate, own_types + of_drivers),
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
        # The cause tells where in the user's function.
        raise TypeError(f"{name} could not be compiled for ({given})") from error


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
    """Return the scheme and the steps as the compiled drivers take them."""
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
    run, first = runs[0], (*objective[:3], *differencing(differences))
    nit = max(int(run["nit"]), 0)
    objective.iterate(*first, vectors, runs, 0, settings, ticks(), one_step)
    return int(run["end"]), run["nit"] > nit
