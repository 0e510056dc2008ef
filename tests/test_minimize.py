"""What `numadelta.minimize` promises: its result, its limits, its counts and its iterates.

Most of it is asked at both doors: `minimize` itself and ``scipy.optimize.minimize`` with
``method=nd.adadelta``.  Bad arguments are in test_minimize_arguments.py, SciPy's global
optimisers in test_scipy_frontends.py.
"""

from __future__ import annotations

import copy
import functools
import inspect
import pickle
import threading

import numpy as np
import pytest
import scipy.optimize
from numba import njit

import numadelta as nd
from numadelta import threads as nd_threads

CONVERGED = "Optimization terminated successfully."
MAXITER = "Maximum number of iterations has been exceeded."
MAXFEV = "Maximum number of function evaluations has been exceeded."
NONFINITE = "NaN result encountered."
STOPPED = "`callback` raised `StopIteration`."


def by_name(fun, x0, args=(), jac=None, bounds=None, tol=None, callback=None, **options):
    return scipy.optimize.minimize(
        fun,
        x0,
        args=args,
        method=nd.adadelta,
        jac=jac,
        bounds=bounds,
        tol=tol,
        callback=callback,
        options=options,
    )


@pytest.fixture(params=[nd.minimize, by_name], ids=["minimize", "method"])
def minimize(request):
    return request.param


def bowl(x):
    return float(x @ x)


def bowl_and_slope(x):
    return float(x @ x), 2 * x


def rosenbrock(x):
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def rosenbrock_slope(x):
    inner = 200 * (x[1] - x[0] ** 2)
    return np.array([-2 * (1 - x[0]) - 2 * x[0] * inner, inner])


VALLEY = np.array([-1.2, 1.0])


class Recorder:
    """A function that remembers where it was called and what it returned."""

    def __init__(self, fun):
        self.fun = fun
        self.points = []
        self.values = []

    def __call__(self, x, *args):
        self.points.append(x.copy())
        self.values.append(self.fun(x, *args))
        return self.values[-1]

    @property
    def repeated(self):
        return len(self.points) - len({point.tobytes() for point in self.points})


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
    assert found.x[0] == pytest.approx(1, abs=1e-5)


def test_the_best_point_is_returned_and_not_the_last(minimize):
    fun = Recorder(bowl)
    found = minimize(fun, [1.0, 2.0], jac=lambda x: 2 * x, lr=300, maxiter=10)
    assert fun.values[-1] > min(fun.values)
    assert found.fun == min(fun.values) == bowl(found.x)
    np.testing.assert_array_equal(found.jac, 2 * found.x)


@pytest.mark.parametrize("lr", [1, 1e3, 1e100])
def test_the_value_never_ends_above_that_of_x0(minimize, lr):
    fun = Recorder(lambda x: float(np.tanh(x @ x)))
    found = minimize(fun, [0.1, 0.2], lr=lr, maxiter=30)
    assert found.fun == min(fun.values[::3]) <= fun.values[0]


def test_success_means_that_the_gradient_is_small(minimize):
    for tolerance in (1e-1, 1e-3, 1e-6):
        found = minimize(bowl_and_slope, [1.0, 2.0], jac=True, gtol=tolerance)
        assert found.success
        assert abs(found.jac).max() <= tolerance
        earlier = minimize(
            bowl_and_slope, [1.0, 2.0], jac=True, gtol=tolerance, maxiter=found.nit - 1
        )
        assert (earlier.success, earlier.message) == (False, MAXITER)


def test_a_worse_stationary_point_is_no_success():
    # The first step lands on the hilltop of a function that is lower at x0.
    landed = nd.minimize(lambda x: (x[0], np.ones(1)), [0.0], jac=True, maxiter=1).x[0]

    def fun(x):
        return (0.0, np.ones(1)) if x[0] > landed / 2 else (1.0, np.zeros(1))

    found = nd.minimize(fun, [0.0], jac=True, maxiter=5)
    assert (found.success, found.fun, found.x[0]) == (False, 0, 0)


def test_rounding_of_the_value_does_not_hide_convergence():
    # A float32 sum with a remainder fluctuates in its last bits, so that the least of its values
    # is a matter of luck; on half of these data it is not found where the gradient is smallest.
    for seed in range(6):
        rng = np.random.default_rng(seed)
        inputs = rng.normal(size=(200, 5)).astype(np.float32)
        targets = rng.normal(size=200).astype(np.float32)

        def fun(x, inputs=inputs, targets=targets):
            residuals = inputs @ x - targets
            return residuals @ residuals / 200, inputs.T @ residuals / 100

        x0 = np.zeros(5, np.float32)
        found = nd.minimize(fun, x0, jac=True, lr=0.3)
        assert found.success
        assert abs(found.jac).max() <= 1e-5
        assert found.fun == fun(found.x)[0] <= fun(x0)[0]


def test_return_all_gives_every_iterate(minimize):
    fun = Recorder(bowl)
    found = minimize(fun, [1.0, 2.0], jac=lambda x: 2 * x, maxiter=7, return_all=True)
    np.testing.assert_array_equal(found.allvecs, fun.points)
    assert "allvecs" not in minimize(bowl, [1.0, 2.0], maxiter=7)


# Limits and counts


@pytest.mark.parametrize(("maxiter", "nit"), [(0, 0), (1, 1), (20, 20), (20.9, 20), (100.1, 100)])
def test_maxiter_is_respected(minimize, maxiter, nit):
    found = minimize(rosenbrock, VALLEY, jac=rosenbrock_slope, maxiter=maxiter)
    assert (found.nit, found.nfev, found.njev) == (nit, nit + 1, nit + 1)
    assert (found.success, found.status, found.message) == (False, 1, MAXITER)


def test_maxiter_zero_returns_x0(minimize):
    found = minimize(rosenbrock, VALLEY, maxiter=0)
    np.testing.assert_array_equal(found.x, VALLEY)
    assert found.fun == rosenbrock(VALLEY)


def test_maxiter_is_ten_thousand_by_default_and_may_be_infinite(minimize):
    def slide(x):
        return float(-x[0]), -np.ones(1)

    assert minimize(slide, [0.0], jac=True).nit == 10_000
    found = minimize(slide, [0.0], jac=True, maxiter=np.inf, maxfev=10_100)
    assert (found.nit, found.message) == (10_099, MAXFEV)


@pytest.mark.parametrize(("jac", "cost"), [(True, 1), ("2-point", 4), ("3-point", 7), ("cs", 4)])
@pytest.mark.parametrize("maxfev", [1, 2, 7, 8, 29, 30])
def test_maxfev_is_never_exceeded_and_no_step_is_left_half_done(jac, cost, maxfev):
    fun = Recorder(bowl_and_slope if jac is True else lambda x: x @ x)
    found = nd.minimize(fun, [1.0, 2.0, 3.0], jac=jac, maxfev=maxfev)
    assert (found.success, found.status, found.message) == (False, 1, MAXFEV)
    assert found.nfev == len(fun.points) <= maxfev
    assert found.nit == max(maxfev // cost - 1, 0)
    assert found.njev == maxfev // cost


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
    assert found.njev == 51
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
    def jac_at_end(**options):
        return abs(minimize(bowl_and_slope, [1.0], jac=True, **options).jac[0])

    assert 1e-4 < jac_at_end(tol=1e-3) <= 1e-3
    assert 1e-3 < jac_at_end(tol=1e-5, gtol=1e-2) <= 1e-2


def test_options_may_be_a_dictionary_or_keywords():
    as_dictionary = nd.minimize(bowl, [1.0], options={"maxiter": 3, "lr": 2})
    as_keywords = nd.minimize(bowl, [1.0], maxiter=3, lr=2)
    mixed = nd.minimize(bowl, [1.0], options={"maxiter": 3}, lr=2)
    assert as_dictionary.x == as_keywords.x == mixed.x


# The user's functions


@pytest.mark.parametrize("args", [2.0, (2.0,), [2.0]])
def test_args_reach_fun_and_jac_and_one_thing_is_wrapped(minimize, args):
    received = []

    def fun(x, *args):
        received.append(args)
        return float(x @ x)

    def jac(x, *args):
        received.append(args)
        return 2 * x

    minimize(fun, [1.0], args=args, jac=jac, maxiter=1)
    assert received == [args if isinstance(args, tuple) else (args,)] * 4


@pytest.mark.parametrize(
    "jac", [None, "3-point", "cs", True, lambda x: np.exp(x) * (x.fill(9) or 1)]
)
def test_fun_and_jac_may_overwrite_the_point(minimize, jac):
    def careful(x):
        value = (x * x).sum()
        return (value, 2 * x) if jac is True else value

    def careless(x):
        result = careful(x)
        x.fill(np.nan)
        return result

    slope = (lambda x: 2 * x) if callable(jac) else jac
    careless_slope = (lambda x: (2 * x, x.fill(np.nan))[0]) if callable(jac) else jac
    x0 = np.array([1.0, 2.0])
    spoilt = minimize(careless, x0, jac=careless_slope, maxiter=20)
    np.testing.assert_array_equal(spoilt.x, minimize(careful, x0, jac=slope, maxiter=20).x)
    np.testing.assert_array_equal(x0, [1, 2])


def test_a_gradient_in_a_reused_buffer_is_copied_at_once(minimize):
    buffer = np.empty(2)

    def aliasing(x):
        np.multiply(2, x, out=buffer)
        return float(x @ x), buffer

    def spoil(xk):
        buffer.fill(1e9)

    found = minimize(aliasing, [1.0, 2.0], jac=True, maxiter=20, callback=spoil)
    expected = minimize(bowl_and_slope, [1.0, 2.0], jac=True, maxiter=20)
    np.testing.assert_array_equal(found.x, expected.x)
    np.testing.assert_array_equal(found.jac, expected.jac)


@pytest.mark.parametrize(
    "convert",
    [
        list,
        tuple,
        lambda g: np.array([g, g]).T[:, 0],
        lambda g: g.astype(np.float32).astype(object).astype(np.float64),
        lambda g: np.lib.stride_tricks.as_strided(g, writeable=False),
        lambda g: g.astype(">f8"),
        lambda g: g.astype(np.longdouble),
    ],
    ids=["list", "tuple", "strided", "rounded", "read-only", "byte-swapped", "longdouble"],
)
def test_gradients_are_converted_where_that_is_safe(minimize, convert):
    found = minimize(bowl, [1.0, 0.5], jac=lambda x: convert(2 * x), maxiter=3)
    expected = minimize(bowl, [1.0, 0.5], jac=lambda x: 2 * x, maxiter=3)
    np.testing.assert_allclose(found.x, expected.x, rtol=1e-7)


def test_integer_gradients_are_real_numbers_too(minimize):
    found = minimize(lambda x: abs(x[0]), [1.0], jac=lambda x: np.sign(x).astype(int), maxiter=9)
    assert found.fun < 1


@pytest.mark.parametrize(
    "convert",
    [np.float32, np.array, lambda f: np.array([f]), lambda f: [f], lambda f: np.array([[f]]), int],
    ids=["float32", "0-d", "(1,)", "[f]", "(1, 1)", "int"],
)
def test_values_are_converted_to_floats(minimize, convert):
    found = minimize(lambda x: convert(bowl(x)), [1.0, 2.0], jac=lambda x: 2 * x, maxiter=2)
    assert type(found.fun) is float
    assert found.fun == float(np.squeeze(convert(bowl(found.x))))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("jac", [None, "3-point", "cs", True, lambda x: 2 * x])
def test_a_nonfinite_value_at_x0_ends_the_run(minimize, value, jac):
    fun = Recorder(lambda x: (value, 2 * x) if jac is True else value)
    found = minimize(fun, [1.0, 2.0], jac=jac)
    assert (found.success, found.status, found.message) == (False, 3, NONFINITE)
    np.testing.assert_array_equal(found.x, [1, 2])
    np.testing.assert_equal(found.fun, value)
    assert (found.nfev, found.nit) == (len(fun.points), 0) == (1, 0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("jac", [None, "3-point", True, lambda x: 2 * x])
def test_a_nonfinite_value_later_ends_the_run_at_the_best_point(minimize, value, jac):
    def fun(x):
        result = bowl(x) if x[0] > 0.95 else value
        return (result, 2 * x) if jac is True else result

    calls = []
    found = minimize(fun, [1.0, 2.0], jac=jac, callback=calls.append)
    assert (found.success, found.status, found.message) == (False, 3, NONFINITE)
    assert 0 < found.nit == len(calls)
    assert found.x[0] > 0.95
    assert found.fun == bowl(found.x) < 5


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300], ids=["NaN", "inf", "overflowing"])
def test_an_unusable_gradient_ends_the_run_at_the_best_point(minimize, bad):
    found = minimize(bowl, [1.0, 2.0], jac=lambda x: np.where(x > 0.95, 2 * x, bad))
    assert (found.success, found.status, found.message) == (False, 3, NONFINITE)
    assert found.nit > 0
    assert found.fun == bowl(found.x) < 5
    at_once = minimize(bowl, [0.5, 2.0], jac=lambda x: np.where(x > 0.95, 2 * x, bad))
    assert (at_once.status, at_once.nit, at_once.fun) == (3, 0, 4.25)
    np.testing.assert_array_equal(at_once.x, [0.5, 2])


@pytest.mark.parametrize(
    ("where", "error"),
    [
        *((where, ZeroDivisionError("ours")) for where in ("fun", "jac", "callback")),
        *((where, KeyboardInterrupt()) for where in ("fun", "jac", "callback")),
        *((where, StopIteration()) for where in ("fun", "jac")),
    ],
    ids=repr,
)
def test_exceptions_pass_unchanged(minimize, where, error):
    calls = []

    def fail(name, result):
        calls.append(name)
        if name == where and calls.count(name) == 3:
            raise error
        return result

    with pytest.raises(type(error)) as caught:
        minimize(
            lambda x: fail("fun", bowl(x)),
            [1.0, 2.0],
            jac=lambda x: fail("jac", 2 * x),
            callback=lambda xk: fail("callback", None),
        )
    assert caught.value is error
    assert calls[-1] == where


def test_a_compiled_objective_works_like_any_other(minimize):
    @njit
    def fun(x, scale):
        gradient = np.empty_like(x)
        value = 0.0
        for i in range(x.size):
            value += scale * (x[i] - i) ** 2
            gradient[i] = 2 * scale * (x[i] - i)
        return value, gradient

    found = minimize(fun, np.zeros(3), args=(0.5,), jac=True)
    assert found.success
    np.testing.assert_allclose(found.x, [0, 1, 2], atol=2e-5)
    alone = njit(lambda x: ((x - 1) ** 2).sum())
    np.testing.assert_allclose(minimize(alone, np.zeros(3)).x, 1, atol=1e-5)


def test_a_noisy_objective_is_minimised():
    rng = np.random.default_rng(0)

    def fun(x):
        sample = rng.normal([3.0, -2.0], 1.0, (32, 2))
        return ((x - sample) ** 2).mean(), (x - sample).mean(axis=0)

    found = nd.minimize(fun, np.zeros(2), jac=True, maxiter=2000, return_all=True)
    assert not found.success
    np.testing.assert_allclose(np.mean(found.allvecs[-1000:], axis=0), [3, -2], atol=0.05)


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


# The iterates


def path(fun, x0, jac, steps, **options):
    found = nd.minimize(fun, x0, jac=jac, gtol=0, maxiter=steps, return_all=True, **options)
    return found.allvecs


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_iterates_are_those_of_the_optimiser_to_the_bit(dtype):
    x = VALLEY.astype(dtype)
    iterates = path(rosenbrock, x, rosenbrock_slope, 300, lr=0.7, rho=0.9, eps=1e-5)
    opt = nd.Adadelta(x, lr=0.7, rho=0.9, eps=1e-5)
    for iterate in iterates[1:]:
        opt.step(rosenbrock_slope(x).astype(dtype))
        np.testing.assert_array_equal(iterate, x)


def test_so_are_those_of_a_problem_large_enough_for_threads(monkeypatch):
    x = np.linspace(-1, 1, 1003)
    opt = nd.Adadelta(x0 := x.copy())
    for _ in range(3):
        opt.step(2 * x0)
    monkeypatch.setattr(nd_threads, "MIN_SIZE", 1000)
    monkeypatch.setattr(nd_threads, "SLICE", 64)
    np.testing.assert_array_equal(path(bowl, x, lambda x: 2 * x, 3)[-1], x0)


ROSENBROCK_AT_ORIGIN = {
    1: (0.00031622737073287163, 0, 0.9993676452592842),
    10: (0.0033716431373704858, 0.00020540129788823998, 0.993271846595649),
    100: (0.04000008630757366, 0.002103369602018902, 0.9216251716899799),
    1000: (0.5955283939924056, 0.35438819819442324, 0.16360434874443552),
    10000: (0.9782795754403615, 0.9720218273265088, 0.02294448393297841),
}


def test_golden_rosenbrock_of_optax():
    iterates = path(rosenbrock, np.zeros(2), rosenbrock_slope, 10_000, lr=0.1, rho=0.9)
    for step, (x, y, value) in ROSENBROCK_AT_ORIGIN.items():
        np.testing.assert_allclose(iterates[step], [x, y], rtol=1e-10, atol=1e-15)
        assert rosenbrock(iterates[step]) == pytest.approx(value, rel=1e-10)
    np.testing.assert_allclose(iterates[-1], 1, rtol=3e-2, atol=3e-2)


@pytest.mark.parametrize(
    ("lr", "expected", "rtol"),
    [
        (1, {10: (-1.1593166384757174, 1.0410311805065144, 13.842571968210002)}, 1e-12),
        (1, {100: (-1.0631750769300652, 1.1325173002584428, 4.2571649200600445)}, 1e-10),
        (1, {500: (-0.26049215710118834, 0.07528486062966432, 1.594359031607054)}, 1e-6),
        (0.1, {100: (-1.158151939290634, 1.042320752747715, 13.597430467154307)}, 1e-10),
        (0.1, {1000: (-0.9619750957902057, 0.9337248378975899, 3.8562830891162)}, 1e-10),
    ],
)
def test_golden_rosenbrock_from_its_usual_start(lr, expected, rtol):
    ((step, (x, y, value)),) = expected.items()
    end = path(rosenbrock, VALLEY, rosenbrock_slope, step, lr=lr)[-1]
    np.testing.assert_allclose(end, [x, y], rtol=rtol)
    assert rosenbrock(end) == pytest.approx(value, rel=max(10 * rtol, 1e-10))


def test_golden_rosenbrock_ends_in_a_cycle_of_two_points():
    # Rounding decides which of them comes last.
    ends = path(rosenbrock, VALLEY, rosenbrock_slope, 10_000, lr=0.1)[-2:]
    left = min(ends, key=lambda x: x[0])
    np.testing.assert_allclose([*left, rosenbrock(left)], [0.897593, 0.836865, 0.107783], rtol=1e-3)


LOW = np.array([1.0, -1.0, 1.0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_golden_parabola_of_optax(dtype):
    low = LOW.astype(dtype)

    def fun(x):
        return float(((x - low) ** 2).sum())

    start = np.array([-1, 10, 1], dtype)
    iterates = path(fun, start, lambda x: 2 * (x - low), 10_000, lr=0.1, rho=0.9)
    assert all(iterate[2] == 1 for iterate in iterates)
    np.testing.assert_allclose(iterates[-1], low, rtol=3e-2, atol=3e-2)
    if dtype == np.float64:
        for step, x, y in [
            (10, -0.9966265993178173, 9.99662517349586),
            (100, -0.9596921315373063, 9.959440893163134),
            (1000, -0.31994290962382815, 9.254534691266391),
        ]:
            np.testing.assert_allclose(iterates[step][:2], [x, y], rtol=1e-12)
        np.testing.assert_allclose(iterates[-1], low, rtol=1e-15)


def test_plain_adadelta_on_rosenbrock_is_honest_about_it(minimize):
    found = minimize(rosenbrock, VALLEY, jac=rosenbrock_slope)
    assert (found.success, found.message) == (False, MAXITER)
    assert found.fun == rosenbrock(found.x) < 1


# float32


@pytest.mark.parametrize("jac", [None, "3-point", "cs", True, lambda x: 2 * (x - 1)])
def test_a_float32_start_stays_float32(jac):
    dtypes = set()

    def fun(x):
        dtypes.add(x.dtype.name)
        value = ((x - 1) * (x - 1)).sum()
        return (value, 2 * (x - 1)) if jac is True else value

    found = nd.minimize(fun, np.zeros(3, np.float32), jac=jac, gtol=1e-3)
    assert dtypes == ({"float32", "complex64"} if jac == "cs" else {"float32"})
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
        minimize(bowl, [1.0], disp=True, maxiter=2)
    assert "Iterations: 2" in capsys.readouterr().out
    minimize(bowl, [1.0], maxiter=2)
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


def test_a_fixed_coordinate_does_not_end_the_run_however_steep_it_is():
    def fun(x):
        return 1e200 * x[0] + x[1] ** 2, np.array([1e200, 2 * x[1]])

    result = nd.minimize(fun, [0.0, 1.0], jac=True, bounds=[(0, 0), (None, None)], lr=0.5)
    assert result.success and result.x[0] == 0 and abs(result.x[1]) < 1e-5
    assert result.jac[0] == 1e200
