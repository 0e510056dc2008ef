"""The loop of `minimize` for ``@njit`` objectives: no Python between the iterations.

It is compiled once for each type of arguments and form of objective, not for each objective: it
takes the objective by address (`numadelta.pointers`), and is kept in the disk cache.
"""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import overload

from numadelta import iteration, state
from numadelta.differences import THREE_POINT, TURNED, probes, slope, step_of
from numadelta.jit import inlined, loop
from numadelta.pointers import function_at


@inlined
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


def precision(result, real):
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
        return _real_differences(precision(fun.signature.return_type, vectors.dtype))
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
                if run["central"] > state.FORWARD:
                    h *= TURNED
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
        accepted = True
        if run["coordinate"] == 0:
            iteration.propose(vectors, run, setting)
            if run["end"] != state.RUNNING:
                break
            if run["central"] != state.TURNING:
                _copy_point(vectors)
                accepted = iteration.take_value(run, setting, _evaluate(fun, given, grad, args))
        if accepted:
            _differentiate(fun, jac, scheme, rel_step, vectors, run, args, ticks, now)
            if run["coordinate"] == 0:
                iteration.accept(vectors, run, setting)
        else:
            iteration.reject(vectors, run, setting)
        if ticks[0] != now or (one_step and run["nit"] > nit):
            break
