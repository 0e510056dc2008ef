"""What `numadelta.minimize` takes from the user's functions, and what becomes of their failures.

`fun` and `jac` may return any real number and any array of them, keep their buffers, overwrite the
point, fail or return NaN.
"""

from __future__ import annotations

import functools
import itertools
import multiprocessing.pool

import numpy as np
import pytest
from numba import config, njit

import numadelta as nd
from minimizing import (
    DOORS,
    NONFINITE,
    VALLEY,
    Recorder,
    bowl,
    bowl_and_slope,
    bowl_slope,
    plain,
    rosenbrock,
    rosenbrock_slope,
)


@pytest.fixture(params=DOORS)
def minimize(request):
    return DOORS[request.param]


# What they get


@pytest.mark.parametrize("args", [2.0, (2.0,), [2.0]])
def test_args_reach_fun_and_jac_and_one_thing_is_wrapped(minimize, args):
    received = []

    def fun(x, *args):
        received.append(args)
        return float(x @ x)

    def jac(x, *args):
        received.append(args)
        return 2 * x

    found = minimize(fun, [1.0], args=args, jac=jac, maxiter=1)
    assert received == [args if isinstance(args, tuple) else (args,)] * (found.nfev + found.njev)


@pytest.mark.parametrize("jac", [None, "3-point", "cs", True, "function"])
def test_fun_and_jac_may_overwrite_the_point(minimize, jac):
    def careful(x):
        value = (x * x).sum()
        return (value, 2 * x) if jac is True else value

    def careless(x):
        result = careful(x)
        x.fill(np.nan)
        return result

    slope = (lambda x: 2 * x) if jac == "function" else jac
    careless_slope = (lambda x: (2 * x, x.fill(np.nan))[0]) if jac == "function" else jac
    x0 = np.array([1.0, 2.0])
    spoilt = minimize(careless, x0, jac=careless_slope, maxiter=20)
    np.testing.assert_array_equal(spoilt.x, minimize(careful, x0, jac=slope, maxiter=20).x)
    np.testing.assert_array_equal(x0, [1, 2])


# What they return


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
    np.testing.assert_allclose(found.x, expected.x, rtol=1e-6, atol=1e-6)


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
@pytest.mark.parametrize("jac", [None, "3-point", True, bowl_slope])
def test_values_that_become_nan_for_good_are_no_success(minimize, value, jac):
    calls = itertools.count()

    def fun(x):
        result = value if next(calls) > 4 else x @ x
        return (result, 2 * x) if jac is True else result

    found = minimize(fun, [1.0, 2.0], jac=jac, gtol=0, ftol=0)
    assert not found.success
    assert found.status in (2, 3)
    assert found.nfev == next(calls) < 100
    assert found.fun == bowl(found.x) <= 5


# The gradient in place


def in_place(fun):
    def filled(x, grad, *args):
        value, grad[:] = fun(x, *args)
        return value

    return filled


@pytest.fixture(params=[nd.minimize, plain], ids=["safeguard", "plain"])
def direct(request):
    # SciPy takes jac="inplace" for None, and then calls fun without the array.
    return request.param


def test_a_gradient_may_be_written_in_place(direct):
    def fun(x, centre):
        return float(((x - centre) ** 2).sum()), 2 * (x - centre)

    again = functools.partial(direct, x0=[1.0, 2.0], args=(3.0,), bounds=[(None, None), (2.5, 9)])
    with pytest.warns(RuntimeWarning, match="Initial guess"):
        found = again(in_place(fun), jac="inplace")
    with pytest.warns(RuntimeWarning, match="Initial guess"):
        expected = again(fun, jac=True)
    assert found.x.tolist() == expected.x.tolist()
    assert found.jac.tolist() == expected.jac.tolist()
    assert (found.nfev, found.njev, found.nit) == (expected.nfev, expected.njev, expected.nit)
    np.testing.assert_allclose(found.x, 3, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_array_for_the_gradient_has_the_dtype_of_the_point_and_is_all_nan(direct, dtype):
    def fun(x, grad):
        assert (grad.dtype, grad.shape) == (x.dtype, x.shape) == (dtype, (2,))
        assert np.isnan(grad).all()
        assert not np.shares_memory(x, grad)
        grad[:] = 2 * x
        x.fill(np.nan)
        return float(grad @ grad) / 4

    found = direct(fun, np.array([1, 2], dtype), jac="inplace", maxiter=9)
    assert found.fun < 5
    np.testing.assert_array_equal(found.jac, 2 * found.x)


@pytest.mark.parametrize("adds", [False, True])
def test_an_element_of_the_gradient_that_is_not_assigned_is_named(direct, adds):
    def fun(x, grad):
        grad[0] = 2 * x[0]
        if adds:
            grad[1] += 2 * x[1]
        return float(x @ x)

    with pytest.raises(ValueError, match=r"did not assign grad\[1\]: .* every element") as caught:
        direct(fun, [1.0, 2.0], jac="inplace")
    found = caught.value.result
    assert (found.success, found.status, found.message, found.nit) == (False, 3, NONFINITE, 0)
    np.testing.assert_array_equal(found.x, [1, 2])
    # Where it cannot move anyway, nothing looks at it.
    assert direct(fun, [1.0, 2.0], jac="inplace", bounds=[(None, None), (2, 2)]).success


def test_nan_that_the_objective_computes_is_none_that_it_forgot(direct):
    def fun(x, grad):
        grad[:] = 2 * x[0], np.nan
        return float(x @ x)

    found = direct(fun, [1.0, 2.0], jac="inplace")
    assert (found.success, found.status, found.message, found.nit) == (False, 3, NONFINITE, 0)


def test_what_the_user_does_to_the_array_later_changes_nothing(direct):
    kept = []

    def fun(x, grad):
        value, grad[:] = rosenbrock(x), rosenbrock_slope(x)
        kept.append(grad)
        return value

    def spoil(xk):
        kept[-1].fill(1e9)

    found = direct(fun, VALLEY, jac="inplace", callback=spoil, maxiter=20)
    expected = direct(rosenbrock, VALLEY, jac=rosenbrock_slope, maxiter=20)
    assert found.x.tolist() == expected.x.tolist()
    assert found.jac.tolist() == expected.jac.tolist()


@pytest.mark.parametrize("value", [None, (1.0, np.ones(2)), np.ones(2), 1j])
def test_the_value_beside_a_gradient_in_place_is_checked(direct, value):
    with pytest.raises((TypeError, ValueError), match="must return a scalar value. fun returned"):
        direct(lambda x, grad: value, [1.0, 2.0], jac="inplace")


# What they raise


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
            lambda x: fail("fun", rosenbrock(x)),
            VALLEY,
            jac=lambda x: fail("jac", rosenbrock_slope(x)),
            callback=lambda xk: fail("callback", None),
        )
    assert caught.value is error
    assert calls[-1] == where


# Compiled functions


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


# NumPy's errors


@pytest.mark.filterwarnings("ignore:Initial guess is not within:RuntimeWarning")
def test_what_is_rounded_away_is_no_floating_point_error():
    def sum_of_squares(x):
        return sum(float(part) ** 2 for part in x)

    x0 = np.float32([1.0, 2.0])
    with np.errstate(all="raise"):
        nd.minimize(sum_of_squares, x0, jac=lambda x: np.array([2.0, 1e-60]), maxiter=2)
        for bounds in ([(1e-60, None)] * 2, [(None, None), (1e-310, 1e-310)]):
            for start in (x0, [1.0, 2.0]):
                assert nd.minimize(sum_of_squares, start, bounds=bounds).success
        nd.minimize(bowl_and_slope, [1.0, 2.0], jac=True, check_gradient=True)
        nd.Adadelta(x0).step([1e-60, 1.0])


# Workers


def counted_map(function, points):
    """Map, as a pool does: everything at once."""
    return list(map(function, points))


@pytest.mark.parametrize("jac", [None, "3-point", "cs"])
@pytest.mark.parametrize("workers", [1, -1, 2, counted_map])
def test_workers_evaluate_differences_and_change_nothing(jac, workers):
    # rosenbrock is a function of a module, so that processes can be sent it.
    again = functools.partial(nd.minimize, rosenbrock, VALLEY, jac=jac, maxiter=3)
    found, expected = again(workers=workers), again()
    assert found.x.tolist() == expected.x.tolist()
    assert found.jac.tolist() == expected.jac.tolist()
    assert (found.nfev, found.njev) == (expected.nfev, expected.njev)


def test_a_map_is_called_once_for_each_gradient_with_all_of_its_points(minimize):
    sizes = []

    def recording(function, points):
        values = [function(point) for point in points]
        sizes.append(len(values))
        return iter(values)

    found = minimize(bowl, [1.0, 2.0, 3.0], jac="2-point", workers=recording, maxiter=2)
    assert sizes == [3] * found.njev
    limited = minimize(bowl, [1.0, 2.0, 3.0], workers=recording, maxfev=9)
    assert limited.nfev <= 9


def test_the_map_of_a_pool_of_threads_will_do(minimize):
    with multiprocessing.pool.ThreadPool(2) as pool:
        found = minimize(bowl, [1.0, 2.0], workers=pool.map)
    assert found.x.tolist() == minimize(bowl, [1.0, 2.0]).x.tolist()


@pytest.mark.parametrize(
    ("workers", "error", "message"),
    [
        (0, ValueError, "workers must be -1, a positive number or a map, but is 0"),
        (-2, ValueError, "workers must be -1, a positive number or a map, but is -2"),
        (1.5, TypeError, "workers must be an integer, but is 1.5"),
        ("all", TypeError, "workers must be an integer, but is 'all'"),
        (True, TypeError, "workers must be an integer, but is True"),
    ],
)
def test_workers_is_a_number_of_processes_or_a_map(minimize, workers, error, message):
    with pytest.raises(error, match=message):
        minimize(bowl, [1.0, 2.0], workers=workers)


@pytest.mark.parametrize(
    ("workers", "error", "message"),
    [
        (lambda f, points: list(map(f, points))[:-1], ValueError, "1 values came of 2 points"),
        (lambda f, points: [*map(f, points), 1.0], ValueError, "3 values came of 2 points"),
        (lambda f, points: None, TypeError, "workers must return .* a map, but returned None"),
    ],
)
def test_a_map_that_is_none_is_refused(minimize, workers, error, message):
    with pytest.raises(error, match=message):
        minimize(bowl, [1.0, 2.0], workers=workers)


@pytest.mark.parametrize("failing", [1, 2, 3, 4, 5, 7])
def test_after_an_exception_all_evaluations_are_counted(minimize, failing):
    with pytest.raises(ZeroDivisionError) as caught:
        minimize(Recorder(bowl, failing), np.ones(3))
    assert caught.value.result.nfev == failing - 1
    assert np.isnan(caught.value.result.fun) == (failing == 1)


@pytest.mark.parametrize("failing", [5, 7])
def test_so_are_those_at_the_mean(failing):
    options = {"safeguard": False, "averaging": True, "maxfev": 9, "maxiter": 1}
    with pytest.raises(ZeroDivisionError) as caught:
        nd.minimize(Recorder(bowl, failing), np.ones(2), **options)
    assert caught.value.result.nfev == failing - 1


@njit
def undefined(x, d):
    if x[0] == 0:
        raise ZeroDivisionError
    return d / x[0]


def test_a_problem_that_was_not_evaluated_has_no_value():
    with pytest.raises(ZeroDivisionError) as caught:
        nd.minimize_batch(undefined, [0.0], (np.ones(2),))
    assert np.isnan(caught.value.result.fun).all()


@pytest.mark.parametrize("maxfev", [1, 2, 3, None])
@pytest.mark.parametrize("slope", [np.nan, np.inf])
def test_what_tells_an_unassigned_gradient_from_nan_is_counted(maxfev, slope):
    calls = []

    def fun(x, grad):
        calls.append(x)
        grad[:] = slope
        return 1.0

    found = nd.minimize(fun, [0.0, 1.0], jac="inplace", maxfev=maxfev)
    asked = np.isnan(slope) and maxfev in (3, None)
    assert (found.status, found.nfev) == (3, len(calls)) == (3, 3 if asked else 1)


def test_the_gradient_at_the_mean_has_the_workers_too():
    calls = []

    def recording(function, points):
        calls.append(1)
        return list(map(function, points))

    found = nd.minimize(
        bowl, [1.0, 2.0], workers=recording, safeguard=False, averaging=True, maxiter=3
    )
    assert len(calls) == found.njev == 5


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled")
def test_a_compiled_objective_has_no_workers():
    compiled = njit(lambda x: (x**2).sum())
    with pytest.warns(RuntimeWarning, match="workers is not used: the objective is compiled"):
        assert nd.minimize(compiled, [1.0, 2.0], workers=map).success


def test_an_exception_in_a_worker_passes():
    def fail(x):
        raise ZeroDivisionError("ours")

    with multiprocessing.pool.ThreadPool(2) as pool:
        with pytest.raises(ZeroDivisionError, match="ours"):
            nd.minimize(fail, [1.0], workers=pool.map)
