"""What `numadelta.minimize` promises, with and without safeguard: its result, limits and counts.

Most of it is asked at three doors: `minimize` itself, ``scipy.optimize.minimize`` with
``method=nd.adadelta``, and `minimize` without safeguard.  What only holds with a safeguard is in
test_safeguard.py, and what only without in test_minimize_plain.py and test_noisy.py.  The user's
functions are in test_minimize_functions.py, bad arguments and bounds in
test_minimize_arguments.py, SciPy's global optimisers in test_scipy_frontends.py.

The tests that SciPy has for all its minimisers (scipy/optimize/tests/test_optimize.py), and ours:

custom method
    test_a_smooth_bowl_is_minimised
gh10771, bounds identity
    test_minimize_arguments.test_scipy_hands_bounds_over_as_they_are
tol parameter
    test_tol_sets_gtol_unless_gtol_is_given
callback copies array
    test_the_callback_gets_every_iterate_and_its_value
no increase
    test_the_value_never_ends_above_that_of_x0
respect maxiter, non-integer maxiter, iteration limits
    test_maxiter_is_respected, test_maxiter_zero_returns_x0,
    test_maxiter_is_ten_thousand_by_default_and_may_be_infinite,
    test_maxfev_is_never_exceeded_and_no_step_is_left_half_done
coerce args
    test_minimize_functions.test_args_reach_fun_and_jac_and_one_thing_is_wrapped
nan values
    test_minimize_functions.test_a_nonfinite_value_at_x0_ends_the_run,
    test_minimize_functions.test_values_that_become_nan_for_good_are_no_success
duplicate evaluations
    test_no_point_is_evaluated_twice_and_every_call_is_counted
callback StopIteration, three forms
    test_stopping_at_iteration_k_is_maxiter_k
ndim error
    test_minimize_arguments.test_x0_is_one_dimension_of_finite_real_numbers
invalid bounds, bounds as list
    test_minimize_arguments.test_bounds_that_make_no_sense_are_refused,
    test_minimize_arguments.test_the_minimum_on_the_edge_of_a_box_is_found
warnings, gh1953
    test_disp_prints_what_scipy_prints
scalar x0, result x shape
    test_one_variable_gives_shape_1
attributes present
    test_the_result_has_the_fields_of_scipy_and_their_types
two threads
    test_threads_minimise_independently
MemoizeJac: once per point, the gradient of the right point, a point changed in place
    test_scipy_frontends.test_minimize_memoises_a_pair_and_calls_it_once_per_point,
    test_minimize_functions.test_a_gradient_in_a_reused_buffer_is_copied_at_once,
    test_minimize_functions.test_fun_and_jac_may_overwrite_the_point
x overwritten by the user
    test_minimize_functions.test_fun_and_jac_may_overwrite_the_point
workers
    test_minimize_functions.test_workers_evaluate_differences_and_change_nothing
annotations
    test_the_callback_gets_every_iterate_and_its_value (the form "instance")
attributes under basinhopping, dual_annealing, shgo
    test_scipy_frontends.test_the_local_result_has_its_fields_under_the_global_optimisers
"""

from __future__ import annotations

import copy
import functools
import inspect
import itertools
import pickle
import threading

import numpy as np
import pytest
import scipy.optimize

import numadelta as nd
from minimizing import (
    CONVERGED,
    DOORS,
    MAXFEV,
    MAXITER,
    STOPPED,
    VALLEY,
    Recorder,
    bowl,
    bowl_and_slope,
    rosenbrock,
    rosenbrock_slope,
)
from numadelta import problem


@pytest.fixture(params=DOORS)
def minimize(request):
    return DOORS[request.param]


# The result


def test_a_smooth_bowl_is_minimised(minimize):
    found = minimize(bowl, [1.0, -2.0, 3.0])
    assert (found.success, found.status, found.message) == (True, 0, CONVERGED)
    np.testing.assert_allclose(found.x, 0, atol=1e-5)


@pytest.mark.parametrize("jac", [None, "2-point", "3-point", "cs", True, lambda x: 2 * x])
def test_the_result_has_the_fields_of_scipy_and_their_types(minimize, jac):
    fun = bowl_and_slope if jac is True else lambda x: x @ x
    found = minimize(fun, [1.0, 2.0], jac=jac)
    assert isinstance(found, scipy.optimize.OptimizeResult)
    assert (found.x.shape, found.x.dtype) == (found.jac.shape, found.jac.dtype) == ((2,), "f8")
    types = {name: type(found[name]) for name in found if name not in ("x", "jac")}
    assert types == {
        **dict.fromkeys(("nit", "nfev", "njev", "status"), int),
        **{"fun": float, "success": bool, "message": str},
    }


@pytest.mark.parametrize("x0", [3, 3.0, np.float32(3), [3], np.array(3.0), np.array([3.0])])
def test_one_variable_gives_shape_1(minimize, x0):
    found = minimize(lambda x: (x[0] - 1) ** 2, x0, jac=lambda x: 2 * (x - 1), lr=2)
    assert found.x.shape == found.jac.shape == (1,)
    assert found.x[0] == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("lr", [1e-3, 1, 1e3, 1e100])
def test_the_value_never_ends_above_that_of_x0(minimize, lr):
    fun = Recorder(lambda x: float(np.tanh(x @ x)))
    slope = lambda x: 2 * x * (1 - np.tanh(x @ x) ** 2)  # noqa: E731
    found = minimize(fun, [0.1, 0.2], jac=slope, lr=lr, maxiter=30)
    assert found.fun == min(fun.values) <= fun.values[0]
    assert found.fun == np.tanh(found.x @ found.x)
    np.testing.assert_array_equal(found.jac, slope(found.x))


def test_success_means_that_the_gradient_is_small(minimize):
    for tolerance in (1e-1, 1e-3, 1e-6):
        found = minimize(bowl_and_slope, [1.0, 2.0], jac=True, gtol=tolerance)
        assert found.success
        assert abs(found.jac).max() <= tolerance
        earlier = minimize(
            bowl_and_slope, [1.0, 2.0], jac=True, gtol=tolerance, maxiter=found.nit - 1
        )
        assert (earlier.success, earlier.message) == (False, MAXITER)


def test_a_worse_stationary_point_is_no_success(minimize):
    # The first step lands on the hilltop of a function that is lower at x0.
    landed = minimize(lambda x: (x[0], np.ones(1)), [0.0], jac=True, maxiter=1).x[0]

    def fun(x):
        return (0.0, np.ones(1)) if x[0] > landed / 2 else (1.0, np.zeros(1))

    found = minimize(fun, [0.0], jac=True, maxiter=5)
    assert (found.success, found.fun, found.x[0]) == (False, 0, 0)


def test_return_all_gives_every_iterate(minimize):
    fun = Recorder(rosenbrock)
    found = minimize(fun, VALLEY, jac=rosenbrock_slope, maxiter=7, return_all=True)
    evaluated = [point.tobytes() for point in fun.points]
    iterates = [point.tobytes() for point in found.allvecs]
    assert len(iterates) == len(set(iterates)) == 8
    assert [point for point in evaluated if point in iterates] == iterates
    assert found.x.tobytes() in iterates
    assert "allvecs" not in minimize(bowl, [1.0, 2.0], maxiter=7)


# Limits and counts


@pytest.mark.parametrize(("maxiter", "nit"), [(0, 0), (1, 1), (20, 20), (20.9, 20), (40.1, 40)])
def test_maxiter_is_respected(minimize, maxiter, nit):
    fun, slope = Recorder(rosenbrock), Recorder(rosenbrock_slope)
    found = minimize(fun, VALLEY, jac=slope, maxiter=maxiter)
    assert (found.nit, found.njev) == (nit, nit + 1) == (nit, len(slope.points))
    assert found.nfev == len(fun.points) >= nit + 1
    assert (found.success, found.status, found.message) == (False, 1, MAXITER)


def test_maxiter_zero_returns_x0(minimize):
    found = minimize(rosenbrock, VALLEY, maxiter=0)
    np.testing.assert_array_equal(found.x, VALLEY)
    assert found.fun == rosenbrock(VALLEY)


def test_maxiter_is_ten_thousand_by_default_and_may_be_infinite(minimize, monkeypatch):
    def falls_for_ever():
        calls = itertools.count()
        return lambda x: (-float(k := next(calls)), np.array([(-1.0) ** k]))

    assert problem._DEFAULT_MAXITER == 10_000
    monkeypatch.setattr("numadelta.problem._DEFAULT_MAXITER", 300)
    assert minimize(falls_for_ever(), [0.0], jac=True).nit == 300
    assert minimize(falls_for_ever(), [0.0], jac=True, maxiter=None).nit == 300
    found = minimize(falls_for_ever(), [0.0], jac=True, maxiter=np.inf, maxfev=400)
    assert (found.nit, found.message) == (399, MAXFEV)


@pytest.mark.parametrize(("jac", "cost"), [(True, 1), ("2-point", 3), ("3-point", 5), ("cs", 3)])
@pytest.mark.parametrize("maxfev", [1, 2, 5, 6, 29, 30, 31])
@pytest.mark.parametrize("safeguard", [True, False])
def test_maxfev_is_never_exceeded_and_no_step_is_left_half_done(jac, cost, maxfev, safeguard):
    fun = Recorder((lambda x: (rosenbrock(x), rosenbrock_slope(x))) if jac is True else rosenbrock)
    again = functools.partial(nd.minimize, x0=VALLEY, jac=jac, safeguard=safeguard)
    found = again(fun, maxfev=maxfev)
    assert (found.success, found.status, found.message) == (False, 1, MAXFEV)
    assert maxfev - cost < found.nfev == len(fun.points) <= maxfev
    assert found.njev == (0 if maxfev < cost else found.nit + 1)
    if not safeguard:
        assert found.njev == maxfev // cost
    if found.njev:
        alone = rosenbrock if jac is not True else lambda x: (rosenbrock(x), rosenbrock_slope(x))
        np.testing.assert_array_equal(found.x, again(alone, maxiter=found.nit).x)


def test_too_few_evaluations_for_any_gradient_still_give_the_value_at_x0(minimize):
    found = minimize(bowl, [1.0, 2.0], maxfev=2)
    assert (found.fun, found.nfev, found.njev, found.nit) == (5, 1, 0, 0)
    assert np.isnan(found.jac).all()


@pytest.mark.parametrize("jac", [None, "2-point", "3-point", True, rosenbrock_slope])
def test_no_point_is_evaluated_twice_and_every_call_is_counted(minimize, jac):
    if jac is True:
        fun = Recorder(lambda x: (rosenbrock(x), rosenbrock_slope(x)))
    else:
        fun = Recorder(rosenbrock)
    slope = Recorder(jac) if callable(jac) else jac
    found = minimize(fun, VALLEY, jac=slope, maxiter=50)
    assert fun.repeated == 0
    assert found.nfev == len(fun.points)
    assert (found.nit, found.njev) == (50, 51)
    if callable(jac):
        assert (slope.repeated, found.njev) == (0, len(slope.points))


@pytest.mark.parametrize("jac", [True, None, "cs", lambda x: np.zeros(2)])
def test_a_zero_gradient_at_x0_is_success_at_once(minimize, jac):
    def fun(x):
        return (1.0, np.zeros(2)) if jac is True else 1.0 + 0 * x[0]

    found = minimize(fun, [3.0, 4.0], jac=jac)
    assert (found.success, found.nit, found.njev) == (True, 0, 1)
    np.testing.assert_array_equal(found.x, [3, 4])


def test_tol_sets_gtol_unless_gtol_is_given(minimize):
    def nit(**options):
        found = minimize(lambda x: float(x @ x) ** 2, [1.0], jac=lambda x: 4 * x**3, **options)
        assert found.success
        return found.nit

    loose, tight = nit(gtol=1e-2), nit(gtol=1e-4)
    assert loose < tight
    assert (nit(tol=1e-2), nit(tol=1e-4, gtol=1e-2), nit(tol=1e-2, gtol=1e-4)) == (
        loose,
        loose,
        tight,
    )


def test_options_may_be_a_dictionary_or_keywords():
    again = functools.partial(nd.minimize, rosenbrock, VALLEY)
    as_dictionary = again(options={"maxiter": 3, "lr": 2, "safeguard": False}).x
    as_keywords = again(maxiter=3, lr=2, safeguard=False).x
    mixed = again(options={"maxiter": 3, "safeguard": False}, lr=2).x
    assert as_dictionary.tolist() == as_keywords.tolist() == mixed.tolist()
    assert as_keywords.tolist() != again(maxiter=3, lr=2).x.tolist()


# The callback


def old_style(record):
    return lambda xk: record(xk, None)


def any_arguments(record):
    return lambda *args: record(args[0], None)


def by_keyword(record):
    def callback(intermediate_result):
        record(intermediate_result.x, intermediate_result.fun)

    return callback


def keyword_only(record):
    def callback(*, intermediate_result):
        record(intermediate_result.x, intermediate_result.fun)

    return callback


def instance(record):
    class Callback:
        def __call__(self, intermediate_result: NoSuchName):  # noqa: F821
            record(intermediate_result.x, intermediate_result.fun)

    return Callback()


FORMS = pytest.mark.parametrize(
    "form", [old_style, any_arguments, by_keyword, keyword_only, instance]
)


@FORMS
def test_the_callback_gets_every_iterate_and_its_value(minimize, form):
    seen = []

    def record(x, value):
        assert value is None or (type(value) is float and value == rosenbrock(x))
        seen.append(x.copy())
        x.fill(np.nan)

    found = minimize(
        rosenbrock,
        VALLEY,
        jac=rosenbrock_slope,
        maxiter=9,
        return_all=True,
        callback=form(record),
    )
    np.testing.assert_array_equal(seen, found.allvecs[1:])


@FORMS
def test_stopping_at_iteration_k_is_maxiter_k(minimize, form):
    fun, seen = Recorder(rosenbrock), []

    def record(x, value):
        seen.append(x)
        if len(seen) == 5:
            raise StopIteration

    found = minimize(fun, VALLEY, jac=rosenbrock_slope, callback=form(record))
    assert (found.success, found.status, found.message) == (False, 99, STOPPED)
    limited = minimize(rosenbrock, VALLEY, jac=rosenbrock_slope, maxiter=5)
    np.testing.assert_array_equal(found.x, limited.x)
    assert (found.nit, found.nfev, found.fun) == (limited.nit, limited.nfev, limited.fun)
    assert len(fun.points) == found.nfev


def test_a_callback_without_signature_is_called_with_the_iterate(minimize):
    class Opaque(list):
        __signature__ = "none that inspect can use"

        def __call__(self, xk):
            self.append(xk)

    with pytest.raises((TypeError, ValueError)):  # depends on the Python
        inspect.signature(callback := Opaque())
    found = minimize(bowl, [1.0], maxiter=3, return_all=True, callback=callback)
    np.testing.assert_array_equal(callback, found.allvecs[1:])


def test_minimize_may_be_called_inside_itself(minimize):
    inner = functools.partial(minimize, lambda y, x: float((y[0] - x) ** 2), [0.5], maxiter=5)

    def outer(x):
        inner(args=(x[0],))
        return (x[0] - 1) ** 2

    found = minimize(outer, [0.5], lr=2, callback=lambda xk: inner(args=(xk[0],)))
    alone = minimize(lambda x: (x[0] - 1) ** 2, [0.5], lr=2)
    assert (found.x, found.nit, found.success) == (alone.x, alone.nit, True)


# float32


@pytest.mark.parametrize("jac", [None, "3-point", "cs", True, lambda x: 2 * (x - 1)])
@pytest.mark.parametrize("safeguard", [True, False])
def test_a_float32_start_stays_float32(jac, safeguard):
    dtypes = set()

    def fun(x):
        dtypes.add(x.dtype.name)
        value = ((x - 1) * (x - 1)).sum()
        return (value, 2 * (x - 1)) if jac is True else value

    found = nd.minimize(fun, np.zeros(3, np.float32), jac=jac, gtol=1e-3, safeguard=safeguard)
    assert dtypes == ({"float32", "complex128"} if jac == "cs" else {"float32"})
    assert found.x.dtype == found.jac.dtype == np.float32
    assert found.success
    np.testing.assert_allclose(found.x, 1, atol=2e-3)


def test_values_in_float32_are_differentiated_with_steps_that_survive_them(minimize):
    found = minimize(lambda x: np.float32(x[0]) ** 2 + np.float32(1), [3.0], maxiter=0)
    np.testing.assert_allclose(found.jac, 6, rtol=2e-3)


@pytest.mark.parametrize("dtype", [int, np.uint8, bool, np.float16, ">f8", np.longdouble])
def test_other_real_starts_become_float64(minimize, dtype):
    found = minimize(lambda x: ((x - 2) ** 2).sum(), np.ones(2, dtype))
    assert found.x.dtype == np.float64
    np.testing.assert_allclose(found.x, 2, atol=1e-5)


# Around it


def test_threads_minimise_independently(minimize):
    found = {}

    def work(target):
        found[target] = minimize(lambda x: float(((x - target) ** 2).sum()), np.zeros(3))

    threads = [threading.Thread(target=work, args=(target,)) for target in (0.25, 0.5, 1.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    for target, result in found.items():
        alone = minimize(lambda x, target=target: float(((x - target) ** 2).sum()), np.zeros(3))
        np.testing.assert_array_equal(result.x, alone.x)


def test_disp_prints_what_scipy_prints(minimize, capsys):
    minimize(bowl, [1.0], disp=True)
    told = capsys.readouterr().out.splitlines()
    assert told[0] == CONVERGED
    assert [line.split(":")[0].strip() for line in told[1:]] == [
        "Current function value",
        "Iterations",
        "Function evaluations",
        "Gradient evaluations",
    ]
    with pytest.warns(scipy.optimize.OptimizeWarning, match=MAXITER):
        minimize(bowl, [1.0], disp=True, maxiter=1)
    assert "Iterations: 1" in capsys.readouterr().out
    minimize(bowl, [1.0], maxiter=1)
    assert capsys.readouterr().out == ""


def test_the_method_object_is_one_and_the_same_wherever_it_is_copied_to():
    assert pickle.loads(pickle.dumps(nd.adadelta)) is nd.adadelta
    assert copy.deepcopy(nd.adadelta) is nd.adadelta
    assert nd.adadelta.__name__ == "adadelta"
    assert nd.adadelta.lower() == "_custom"
    assert repr(nd.adadelta) == "numadelta.adadelta"


def test_importing_the_package_does_not_import_scipy(python):
    assert python("import sys, numadelta; print('scipy' in sys.modules)") == "False"
    assert python("import numadelta; print(numadelta.minimize(abs, 0.0).fun)") == "0.0"


def test_a_fixed_coordinate_does_not_end_the_run_however_steep_it_is(minimize):
    def fun(x):
        return 1e200 * x[0] + x[1] ** 2, np.array([1e200, 2 * x[1]])

    result = minimize(fun, [0.0, 1.0], jac=True, bounds=[(0, 0), (None, None)], lr=0.5)
    assert result.success and result.x[0] == 0 and abs(result.x[1]) < 1e-5
    assert result.jac[0] == 1e200


@pytest.mark.parametrize("slope", [np.nan, np.inf, -np.inf])
def test_nor_does_one_whose_slope_is_not_finite(minimize, slope):
    def fun(x):
        return x[1] ** 2, np.array([slope, 2 * x[1]])

    result = minimize(fun, [0.0, 1.0], jac=True, bounds=[(0, 0), (None, None)], lr=0.5)
    assert result.success and result.x[0] == 0 and abs(result.x[1]) < 1e-5
