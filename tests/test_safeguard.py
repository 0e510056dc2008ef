"""The safeguard of `numadelta.minimize`, as a specification.

It starts as ADADELTA does, takes no step that is not downhill, calls nothing a success that has
not converged, steps back from where the objective is not finite, and stays inside the bounds.
"""

from __future__ import annotations

import functools
import itertools
import threading
from itertools import pairwise

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config

import numadelta as nd
from minimizing import (
    CONVERGED,
    EASY,
    MAXFEV,
    MAXITER,
    MAXTIME,
    PRECISION,
    PROBLEMS,
    SOLVED,
    VALLEY,
    Recorder,
    bowl,
    bowl_and_slope,
    in_place,
    rosenbrock,
    rosenbrock_slope,
    solve,
)


def rosenbrock_and_slope(x):
    return rosenbrock(x), rosenbrock_slope(x)


# The steps


@pytest.mark.parametrize(("lr", "rho", "eps"), [(1, 0.95, 1e-6), (0.1, 0.5, 1e-2), (9, 0, 1e-8)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_first_trial_is_the_first_step_of_adadelta(lr, rho, eps, dtype):
    fun = Recorder(rosenbrock)
    x0 = VALLEY.astype(dtype)
    nd.minimize(fun, x0, jac=rosenbrock_slope, lr=lr, rho=rho, eps=eps, maxfev=2)
    # E[dx^2] starts at eps, and so at first the step is the same for all elements.
    g = rosenbrock_slope(VALLEY)
    delta = lr * np.sqrt(eps) / np.sqrt((1 - rho) * g**2) * g
    rtol = 20 * np.finfo(dtype).eps
    np.testing.assert_allclose(fun.points[1] - x0, -delta, rtol=rtol, atol=rtol)


def test_an_element_without_gradient_stays_where_it_is_until_it_has_one():
    def fun(x):
        return (x[0] - 2) ** 2 + x[0] * x[1], np.array([2 * (x[0] - 2) + x[1], x[0]])

    found = nd.minimize(fun, [0.0, 0.0], jac=True, maxiter=2, return_all=True)
    assert found.allvecs[1][1] == 0 < found.allvecs[1][0]
    assert found.allvecs[2][1] < 0


def test_a_gradient_that_vanishes_after_a_long_step_stops_nobody_either():
    def fun(x):
        away = x - [64, 10]
        return float(away @ away), 2 * away

    # The first step is 64 times the sign, and lands where the first element has no gradient.
    found = nd.minimize(fun, [0.0, 0.0], jac=True, rho=0, lr=64_000)
    assert found.success
    np.testing.assert_allclose(found.x, [64, 10], atol=1e-5)


@pytest.mark.parametrize("eps", [1e-6, 1.0, 10.0, 1e6])
def test_nor_does_such_an_element_stop_the_others(eps):
    def fun(x):
        return (x[0] - 5) ** 2 + (x[1] - 3) ** 4, np.array([2 * (x[0] - 5), 4 * (x[1] - 3) ** 3])

    found = nd.minimize(fun, [5.0, 30.0], jac=True, eps=eps)
    assert found.success
    np.testing.assert_allclose(found.x, [5, 3], atol=0.02)


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_value_never_rises_from_one_iterate_to_the_next(name):
    values = []

    def keep(intermediate_result):
        values.append(intermediate_result.fun)

    found = solve(PROBLEMS[name], callback=keep, maxiter=60)
    assert (np.diff(values) <= 0).all()
    assert found.fun == values[-1] == min(values)


def test_rejected_points_are_no_iterates():
    fun = Recorder(rosenbrock)
    found = nd.minimize(fun, VALLEY, jac=rosenbrock_slope, return_all=True)
    assert len(found.allvecs) == found.nit + 1 == found.njev < found.nfev == len(fun.points)
    np.testing.assert_array_equal(found.allvecs[-1], found.x)


# The ends


@pytest.mark.parametrize("name", SOLVED)
def test_the_classics_are_solved_with_the_default_options(name):
    problem = PROBLEMS[name]
    found = solve(problem)
    assert (found.success, found.status, found.message) == (True, 0, CONVERGED)
    assert found.fun == pytest.approx(problem.minimum, rel=1e-6, abs=1e-6)
    grad = np.empty_like(found.x)
    assert found.fun == problem.fun(found.x.copy(), grad, *problem.args)
    np.testing.assert_array_equal(found.jac, grad)
    assert found.nfev < 3000


@pytest.mark.parametrize("name", EASY)
def test_a_small_gradient_is_success(name):
    for gtol in (1e-1, 1e-4, 1e-7):
        found = solve(PROBLEMS[name], gtol=gtol, ftol=0)
        assert found.success
        assert abs(found.jac).max() <= gtol
        assert solve(PROBLEMS[name], gtol=gtol, ftol=0, maxiter=found.nit - 1).status == 1


def lengths(flags):
    """Return how many flags in a row are set, at each of them."""
    runs = [0]
    for flag in flags:
        runs.append(runs[-1] + 1 if flag else 0)
    return runs[1:]


@pytest.mark.parametrize("ftol", [1e-2, 1e-4])
def test_ten_steps_in_a_row_that_gain_no_more_than_ftol_are_success(ftol):
    found = solve(PROBLEMS["Wood"], shift=10.0, gtol=0, ftol=ftol, return_all=True)
    assert (found.success, found.message) == (True, CONVERGED)
    fun = in_place(PROBLEMS["Wood"], shift=10.0)
    values = np.array([fun(x, np.empty(4)) for x in found.allvecs])
    still = lengths(-np.diff(values) <= ftol * abs(values[1:]))
    assert still[-1] == 10 == max(still)


@pytest.mark.parametrize("xtol", [1e-1, 1e-2, 1e-4])
def test_ten_steps_in_a_row_no_longer_than_xtol_are_success(xtol):
    found = solve(PROBLEMS["Wood"], gtol=0, ftol=0, xtol=xtol, return_all=True)
    assert (found.success, found.message) == (True, CONVERGED)
    points = np.array(found.allvecs)
    still = lengths(abs(np.diff(points, axis=0)).max(1) <= xtol * abs(points[1:]).max(1))
    assert still[-1] == 10 == max(still)


def test_a_tolerance_of_zero_is_switched_off():
    # The minimum is at the root of two, of which no float is the square.
    def fun(x):
        return 5 + x[0] ** 3 / 3 - 2 * x[0], x**2 - 2

    run = functools.partial(nd.minimize, fun, [1.0], jac=True, bounds=[(0, 9)])
    found = run(gtol=0, ftol=0, xtol=0)
    assert (found.success, found.status, found.message) == (False, 2, PRECISION)
    np.testing.assert_allclose(found.x, np.sqrt(2), atol=1e-7)
    for tolerance in ({"gtol": 1e-3}, {"ftol": 1e-12}):
        assert run(**{"gtol": 0, "ftol": 0} | tolerance).success


@pytest.mark.parametrize("bounds", [None, [(-5, 5)] * 2], ids=["free", "bounded"])
def test_a_gradient_of_the_wrong_sign_is_no_success(bounds):
    found = nd.minimize(lambda x: (bowl(x), -2 * x), [1.0, 2.0], jac=True, bounds=bounds)
    assert (found.success, found.status) == (False, 2)
    assert found.message.startswith(PRECISION)
    assert "check_gradient=True" in found.message
    np.testing.assert_array_equal(found.x, [1, 2])
    assert (found.fun, found.nit) == (5, 0)
    assert found.nfev < 100


@pytest.mark.parametrize("ftol", [{}, {"ftol": 0}], ids=["ftol", "no ftol"])
def test_a_gradient_of_the_wrong_sign_is_no_success_however_large_the_value(ftol):
    def fun(x):
        return 1e6 + bowl(x), -2 * x

    found = nd.minimize(fun, [1.0, 2.0], jac=True, **ftol)
    assert (found.success, found.status) == (False, 2)


@pytest.mark.parametrize(
    ("start", "lr"), [([1.0, 2.0], 1e-20), (np.float32([3000, 2000]), 0.01), ([1.7e18], 0.01)]
)
def test_a_step_that_is_lost_in_rounding_is_no_success(start, lr):
    found = nd.minimize(bowl_and_slope, start, jac=True, lr=lr)
    assert (found.nfev, found.status) == (1, 2)


COARSE = {
    "rounded in print": lambda x: round(float(rosenbrock(x)), 6),
    "of float32": lambda x: float(np.float32(1000 + rosenbrock(x))),
}


@pytest.mark.parametrize("fun", COARSE.values(), ids=COARSE)
def test_coarse_values_end_a_run_soon_after_the_last_decrease(fun):
    values = []

    def recorded(x):
        values.append(fun(x))
        return values[-1]

    found = nd.minimize(recorded, VALLEY, jac=rosenbrock_slope)
    assert found.fun == min(values) and found.status == 2
    assert len(values) - values.index(found.fun) < 500


def coarse(lower):
    """Values in units of two: all steps but each `lower`-th lower nothing, after 4 rejections."""
    value = 1e16
    yield value
    for k in itertools.count(1):
        if lower and k % lower == 0:
            value -= 1e6
        else:
            yield from [value + 2] * 4
        yield value


@pytest.mark.parametrize(("lower", "nit", "status"), [(0, 20, 2), (10, 50, 1)])
def test_ten_steps_in_a_row_that_lower_nothing_end_a_run_that_has_begun_anew(lower, nit, status):
    values = coarse(lower)
    found = nd.minimize(
        lambda x: next(values), [0.0], jac=lambda x: np.full(1, 1e5), ftol=0, maxiter=50
    )
    assert (found.nit, found.status) == (nit, status)


def test_steps_too_short_to_be_seen_grow_until_they_are():
    found = nd.minimize(
        lambda x: (1e30 + float(x[0]), np.ones(1)), [0.0], jac=True, ftol=0, maxiter=45
    )
    assert found.nit == 45 and found.fun < 1e30


def test_a_start_that_no_step_could_better_by_what_counts_is_a_success():
    found = nd.minimize(
        lambda x: (1e6 + 1e-3 * float(x[0] != 1), np.array([1e-4])), [1.0], jac=True, gtol=1e-9
    )
    assert (found.status, found.nit) == (0, 0) and found.nfev > 5


def test_at_the_step_of_maxiter_converged_is_converged():
    def run(maxiter):
        return nd.minimize(rosenbrock_and_slope, VALLEY, jac=True, maxiter=maxiter)

    nit = run(None).nit
    assert [run(maxiter).status for maxiter in (nit - 1, nit, nit + 1)] == [1, 0, 0]


def test_at_rest_in_the_step_of_maxiter_is_a_success():
    options = {"jac": True, "ftol": 1e-6, "rho": 0, "maxiter": 10}
    found = nd.minimize(lambda x: (-x.sum() - 1e6, -np.ones(1)), [0.0], **options)
    assert (found.nit, found.status) == (10, 0)


@pytest.mark.parametrize("maxiter", range(25, 40))
def test_maxiter_holds_where_a_run_is_at_rest(maxiter):
    steps = []
    found = nd.minimize(
        lambda x: (np.sum(x**4) + 1000, 4 * x**3), [3.0, -1.2, 0.7], jac=True, gtol=0,
        maxiter=maxiter, callback=lambda xk: steps.append(xk),
    )  # fmt: skip
    assert found.nit == len(steps) <= maxiter


def test_a_gradient_in_the_units_of_atoms_is_right():
    size = 1e-10

    def potential(x):
        near = (1.4 * size / x[0]) ** 6
        return near**2 - 2 * near, np.array([12 / x[0] * (near - near**2)])

    found = nd.minimize(potential, [1.6 * size], jac=True, check_gradient=True)
    np.testing.assert_allclose(found.x, 1.4 * size, rtol=1e-5)
    with pytest.warns(RuntimeWarning, match="the gradient looks wrong"):
        nd.minimize(
            lambda x: (potential(x)[0], 1.01 * potential(x)[1]), [1.6 * size], jac=True,
            check_gradient=True, maxiter=0,
        )  # fmt: skip


def test_a_rate_of_zero_is_no_success():
    assert not nd.minimize(bowl_and_slope, [1.0, 2.0], jac=True, lr=0).success


@pytest.mark.parametrize("place", [0, 0.1, 1e3])
def test_a_kink_is_found(place):
    found = nd.minimize(lambda x: (abs(x - place).sum(), np.sign(x - place)), [1, -2], jac=True)
    np.testing.assert_allclose(found.x, place, atol=1e-6)
    assert found.nfev < (500 if place else 10_000)  # zero is approached relatively, to the end


def test_what_has_no_minimum_ends_without_success():
    found = nd.minimize(lambda x: (-x[0], -np.ones(1)), [0.0], jac=True)
    assert not found.success
    assert found.fun < -1e10
    assert np.isfinite(found.x).all()


# Slopes that fall by orders of magnitude: E[g^2] remembers them for longer than they last.


def steep(power):
    """Return ``(x - 1)**2 + exp(y) - y`` or, of a power, ``(x - 1)**2 + (y - 1)**power``."""
    if power is None:
        return lambda x: (
            (x[0] - 1) ** 2 + np.exp(x[1]) - x[1],
            np.array([2 * (x[0] - 1), np.exp(x[1]) - 1]),
        )
    return lambda x: (
        (x[0] - 1) ** 2 + (x[1] - 1) ** power,
        np.array([2 * (x[0] - 1), power * (x[1] - 1) ** (power - 1)]),
    )


@pytest.mark.parametrize(
    ("power", "start", "dtype", "minimum"),
    [
        *((None, start, np.float64, 1.0) for start in (20, 36, 47, 51, 59)),
        *((None, start, np.float32, 1.0) for start in (8, 11, 20, 35)),
        *((power, 1e4, np.float64, 0.0) for power in (4, 6, 8, 10)),
        *((power, 50, np.float32, 0.0) for power in (4, 6, 8)),
    ],
)
def test_a_slope_that_was_much_steeper_is_forgotten(power, start, dtype, minimum):
    result = nd.minimize(steep(power), np.array([0, start], dtype), jac=True)
    assert result.success
    assert result.fun == pytest.approx(minimum, abs=1e-2)


@pytest.mark.parametrize(
    ("dtype", "start"), [(np.float32, 50), (np.float32, 80), (np.float64, 400), (np.float64, 700)]
)
def test_a_gradient_whose_square_overflows_is_no_end(dtype, start):
    result = nd.minimize(
        lambda x: np.exp(x[0]) - x[0], np.array([start], dtype), jac=lambda x: np.exp(x) - 1
    )
    assert result.success
    assert result.fun == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("dtype", "factor"), [(np.float32, 1e-30), (np.float64, 1e-250)])
def test_a_gradient_whose_square_is_zero_is_no_end(dtype, factor):
    def fun(x):
        return factor * float((x[0] - 3) ** 2), (2 * factor * (x - 3)).astype(dtype)

    result = nd.minimize(fun, np.zeros(1, dtype), jac=True, gtol=0)
    assert result.x == pytest.approx(3)


def pseudo_huber(x, centers):
    """Return the sum of distances that are smooth near zero, and its slope."""
    away = np.asarray(x[:, np.newaxis] - centers, np.float64)
    distances = np.sqrt(1 + away**2)
    return distances.sum(), (away / distances).sum(axis=1)


@pytest.mark.parametrize("far", [5, 20, 100, 1e3, 1e5])
@pytest.mark.parametrize("count", [1, 30])
def test_where_the_slope_hardly_changes_the_steps_grow(far, count):
    centers = np.random.default_rng(0).normal([[far], [-2 * far]], 5.0, (2, count))
    res = nd.minimize(pseudo_huber, [0.0, 0.0], args=(centers,), jac=True)
    assert res.success and res.nfev < 250
    best = scipy.optimize.minimize(pseudo_huber, res.x, args=(centers,), jac=True).fun
    assert res.fun == pytest.approx(best, rel=1e-9)


def test_robust_regression_takes_as_many_evaluations_as_least_squares():
    rng = np.random.default_rng(0)
    A = np.column_stack([np.ones(200), rng.normal(size=(200, 2))])
    target = A @ [300.0, -200.0, 100.0] + rng.standard_t(1.5, 200)

    def robust(x):
        residual = A @ x - target
        distance = np.sqrt(1 + residual**2)
        return distance.sum(), A.T @ (residual / distance)

    def squared(x):
        residual = A @ x - target
        return residual @ residual, 2 * A.T @ residual

    few, many = (nd.minimize(fun, np.zeros(3), jac=True) for fun in (squared, robust))
    assert few.success and many.success and many.nfev < 3 * few.nfev


@pytest.mark.parametrize("start", [5, 10, 50, 100, 1e3, 1e4])
def test_a_run_begins_anew_as_often_as_it_gains_by_it(start):
    result = nd.minimize(
        lambda x: steep(4)(x.astype(float)),
        np.array([0, start], np.float32),
        jac=True,
        gtol=0,
        ftol=0,
    )
    assert result.success
    assert result.fun < 1e-30


@pytest.mark.parametrize(("power", "start"), [(8, 50), (8, 1e3), (10, 100), (10, 1e3)])
def test_what_had_come_to_rest_too_soon_goes_on_to_the_end(power, start):
    result = nd.minimize(
        lambda x: steep(power)(x.astype(float)), np.array([0, start], np.float32), jac=True, gtol=0
    )
    assert abs(result.jac).max() < np.finfo(np.float32).tiny
    assert result.fun < 1e-30


@pytest.mark.parametrize("start", [(a, b) for a in (-10, 1, 50) for b in (-3, 6, 20)], ids=str)
@pytest.mark.parametrize("longest", [1, 2, 5])
def test_a_fit_that_begins_on_a_wall_of_exponentials_is_no_success_before_it_fits(start, longest):
    t = np.linspace(0, longest, 20)
    y = 2 * np.exp(-0.7 * t) + 0.05 * np.cos(7 * np.arange(20))

    def fun(x):
        decay = np.exp(x[1] * t)
        residual = x[0] * decay - y
        return residual @ residual / 2, np.array([residual @ decay, residual @ (x[0] * t * decay)])

    with np.errstate(over="ignore", invalid="ignore"):
        res = nd.minimize(fun, start, jac=True)
    assert res.success
    assert abs(res.jac).max() < 1e-3


def test_a_run_along_a_wall_does_not_begin_anew_for_ever():
    lowest = np.array([0.75, 0.0, 1.75, -0.6])

    def fun(x):
        value = np.inf if (x > 1.5).any() else ((x - lowest) ** 4).sum()
        return value, 4 * (x - lowest) ** 3

    result = nd.minimize(fun, [-1.0, 1.0, -1.5, 1.0], jac=True)
    assert result.x[2] == pytest.approx(1.5)
    assert result.nfev < 5000


@pytest.mark.parametrize("place", [[0, 0, 0], [0.3, -0.2, 0.7]], ids=str)
def test_where_the_value_is_at_rest_beginning_anew_costs_little(place):
    A = np.diag([1.0, 10.0, 100.0])

    def fun(x):
        away = x - place
        return 1000 + away @ A @ away, 2 * A @ away

    without = nd.minimize(fun, np.ones(3), jac=True, gtol=1e-3)
    result = nd.minimize(fun, np.ones(3), jac=True, gtol=0)
    assert result.success
    assert result.nfev < without.nfev + 40
    limited = nd.minimize(fun, np.ones(3), jac=True, gtol=0, maxfev=result.nfev - 1)
    assert limited.success and limited.nit >= result.nit - 1


@pytest.mark.parametrize("maxiter", [1, 2, 10, 57])
def test_maxiter_counts_accepted_steps(maxiter):
    found = nd.minimize(rosenbrock_and_slope, VALLEY, jac=True, maxiter=maxiter, return_all=True)
    assert (found.nit, found.message) == (maxiter, MAXITER)
    assert len(found.allvecs) == maxiter + 1


@pytest.mark.parametrize("maxfev", [1, 2, 3, 10, 57])
def test_maxfev_counts_rejected_points_too(maxfev):
    fun = Recorder(rosenbrock_and_slope)
    found = nd.minimize(fun, VALLEY, jac=True, maxfev=maxfev)
    assert (found.nfev, found.message) == (len(fun.points), MAXFEV) == (maxfev, MAXFEV)
    assert found.fun == min(value for value, _ in fun.values)


class Clock:
    """Time passes only while the objective is evaluated."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def slow(self, fun, seconds=1.0):
        def slow_fun(*args):
            self.now += seconds
            return fun(*args)

        return slow_fun


@pytest.mark.parametrize("eps", [1e-6, 1e-40])
@pytest.mark.parametrize(
    ("dtype", "start", "goal"),
    [(np.float32, 1e6, 2e6), (np.float32, -3e15, 0), (np.float64, 1.7e18, 2e18)],
)
def test_the_first_step_is_not_lost_in_rounding(dtype, start, goal, eps):
    x0, eps = np.array([start, start], dtype), max(eps, float(np.finfo(dtype).tiny))

    def fun(x):
        distance = x.astype(np.float64) - goal
        return float(distance @ distance), 2 * distance

    found = nd.minimize(fun, x0, jac=True, gtol=0, eps=eps)
    assert found.success and found.nit > 0
    np.testing.assert_allclose(found.x, goal, rtol=1e-3, atol=1e-3 * abs(start))


def test_no_point_is_tried_twice_in_a_row_at_a_bound():
    points = []

    def fun(x):
        points.append(x.copy())
        return float(-x.sum()) if x[0] < 0.9 else 5.0

    bounds = [(0, 1), (0, 1)]
    nd.minimize(fun, [0.5, 0.5], jac=lambda x: -np.ones(2), bounds=bounds, eps=100.0, maxiter=20)
    assert len(points) > 20
    assert not any((a == b).all() for a, b in pairwise(points))


@pytest.mark.parametrize("safeguard", [True, False])
@pytest.mark.parametrize(("maxtime", "nfev"), [(0, 1), (0.5, 1), (1, 2), (9.5, 10), (np.inf, 15)])
def test_maxtime_ends_a_slow_run(monkeypatch, safeguard, maxtime, nfev):
    clock = Clock()
    monkeypatch.setattr("numadelta.descent.perf_counter", clock)
    fun = Recorder(clock.slow(rosenbrock_and_slope))
    found = nd.minimize(fun, VALLEY, jac=True, maxtime=maxtime, maxfev=15, safeguard=safeguard)
    assert found.nfev == len(fun.points) == nfev
    assert (found.success, found.status) == (False, 1)
    assert found.message == (MAXFEV if np.isinf(maxtime) else MAXTIME)
    assert found.fun == rosenbrock(found.x) == min(value for value, _ in fun.values)


def test_maxtime_is_no_reason_against_a_success(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("numadelta.descent.perf_counter", clock)
    found = nd.minimize(clock.slow(bowl_and_slope), [0.0], jac=True, maxtime=0.5)
    assert (found.success, found.message) == (True, CONVERGED)


# Settings and scales


@pytest.mark.parametrize("rho", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("eps", [1e-8, 1e-4, 1e-2])
@pytest.mark.parametrize("name", EASY)
def test_neither_rho_nor_eps_decides_whether_it_converges(name, rho, eps):
    found = solve(PROBLEMS[name], rho=rho, eps=eps)
    assert found.success
    assert found.fun == pytest.approx(0, abs=1e-6)
    assert found.nfev < 1000


@pytest.mark.parametrize("lr", [1e-4, 1e-2, 1e2, 1e4])
def test_lr_only_decides_how_it_begins(lr):
    found = solve(PROBLEMS["Beale"], lr=lr)
    assert found.success
    np.testing.assert_allclose(found.x, [3, 0.5], atol=1e-4)


@pytest.mark.parametrize("power", [-6, 6])
@pytest.mark.parametrize("name", ["Rosenbrock 2", "Wood", "Beale", "Separable quadratic 20"])
def test_coordinates_of_scales_that_differ_by_twelve_orders_are_no_obstacle(name, power):
    problem = PROBLEMS[name]
    scales = 10.0 ** np.linspace(-power, power, problem.x0.size)
    found = solve(problem, shift=1.0, scales=scales, gtol=1e-12)
    assert found.success
    assert found.fun - 1 == pytest.approx(problem.minimum, abs=1e-6)


@pytest.mark.skipif(config.DISABLE_JIT, reason="takes a minute")
def test_rates_from_changes_of_the_gradient_soon_know_the_scales():
    rng = np.random.default_rng(0)
    logarithms = []
    for name in [name for name in PROBLEMS if name != "Rosenbrock 100"] * 10:
        scales = 10.0 ** rng.uniform(-3, 3, PROBLEMS[name].x0.size)
        logarithms.append(np.log(solve(PROBLEMS[name], scales=scales, gtol=1e-8).nfev))
    # With the gradients in the place of their changes it would be 86.5.
    assert np.exp(np.mean(logarithms)) < 80


@pytest.mark.parametrize("power", [-800, -40, -7, 7, 40, 800])
@pytest.mark.parametrize("name", EASY)
def test_a_power_of_two_times_the_objective_changes_no_bit(name, power):
    problem = PROBLEMS[name]

    def scaled(x, grad):
        value = problem.fun(x, grad, *problem.args)
        grad *= 2.0**power
        return value * 2.0**power

    found = nd.minimize(scaled, problem.x0, jac="inplace", maxiter=60, gtol=0, ftol=0)
    expected = solve(problem, maxiter=60, gtol=0, ftol=0)
    assert found.x.tolist() == expected.x.tolist()
    assert (found.nit, found.nfev) == (expected.nit, expected.nfev)


@pytest.mark.parametrize("power", [-20, -3, 3, 20])
@pytest.mark.parametrize("name", EASY)  # in Beale's, an element has no gradient at first
def test_another_unit_of_length_changes_no_bit_if_eps_is_in_that_unit_too(name, power):
    unit = 2.0**power
    end = {"maxiter": 60, "gtol": 0, "ftol": 0}
    found = solve(PROBLEMS[name], scales=unit, eps=1e-6 / unit**2, **end)
    expected = solve(PROBLEMS[name], eps=1e-6, **end)
    assert (found.x * unit).tolist() == expected.x.tolist()


@pytest.mark.parametrize("shift", [-1e6, 1e6])
@pytest.mark.parametrize(
    "name", ["Rosenbrock 2", "Wood", "Beale", "Trid 10", "Styblinski-Tang 4", "Logistic 10"]
)
def test_a_minimum_far_from_zero_is_found_to_the_rounding_of_the_value(name, shift):
    found = solve(PROBLEMS[name], shift=shift)
    assert found.success
    # ftol is 1e-12 of the value, and more than one such step may be left.
    assert found.fun - shift == pytest.approx(PROBLEMS[name].minimum, abs=1e-5)


@st.composite
def separable(draw):
    n = draw(st.integers(2, 6))
    numbers = st.lists(st.floats(-3, 3), min_size=n, max_size=n)
    return (
        10 ** np.array(draw(numbers)),
        np.array(draw(numbers)),
        np.array(draw(st.permutations(range(n)))),
    )


@given(separable())
@settings(max_examples=25, deadline=None, derandomize=True, database=None)
def test_the_order_of_the_coordinates_does_not_matter(problem):
    weights, centre, order = problem

    def run(weights, centre):
        def fun(x):
            away = x - centre
            return float(weights @ (2 * np.sinh(away / 2) ** 2)), weights * np.sinh(away)

        return nd.minimize(fun, np.zeros(centre.size), jac=True, gtol=1e-9, ftol=0)

    # Sums in another order are rounded otherwise: the same minimum, but not to the bit.
    found, expected = run(weights[order], centre[order]), run(weights, centre)
    assert found.success and expected.success
    np.testing.assert_allclose(found.x, expected.x[order], atol=1e-5)
    np.testing.assert_allclose(found.x, centre[order], atol=1e-5)


# Where the objective is not finite, flat or concave


def silently(function):
    def fun(x):
        with np.errstate(all="ignore"):
            value, slope = function(x)
        return float(np.sum(value)), slope

    return fun


@pytest.mark.parametrize(
    ("function", "x0", "lr", "minimum"),
    [
        (lambda x: (x - np.log(x), 1 - 1 / x), 50.0, 1e4, 1.0),
        (lambda x: (x - np.log(x), 1 - 1 / x), 1e-3, 1, 1.0),
        (lambda x: (x - np.sqrt(x), 1 - 0.5 / np.sqrt(x)), 9.0, 1e4, 0.25),
        (lambda x: (np.exp(x) - x, np.exp(x) - 1), -5.0, 1e6, 0.0),
        (lambda x: (np.exp(x) - x, np.exp(x) - 1), 300.0, 1, 0.0),
        (lambda x: (np.where(x < 0, np.nan, (x - 1) ** 2), 2 * (x - 1)), 5.0, 3000, 1.0),
        (lambda x: (np.where(x < 0, np.inf, (x - 1) ** 2), 2 * (x - 1)), 5.0, 3000, 1.0),
        (lambda x: (np.where(x < 0, -np.inf, (x - 1) ** 2), 2 * (x - 1)), 5.0, 3000, 1.0),
        (lambda x: ((x - 1) ** 2, np.where(x < 0.5, np.nan, 2 * (x - 1))), 5.0, 1020, 1.0),
        (lambda x: ((x - 1) ** 2, np.where(x < 0.5, np.inf, 2 * (x - 1))), 5.0, 1020, 1.0),
    ],
    ids=["log", "log2", "sqrt", "exp", "exp2", "NaN", "inf", "-inf", "NaN slope", "inf slope"],
)
def test_a_step_into_what_is_not_finite_is_rejected_and_the_run_goes_on(function, x0, lr, minimum):
    fun = Recorder(silently(function))
    found = nd.minimize(fun, [x0], jac=True, lr=lr)
    if lr > 1:
        bad = [not (np.isfinite(value) and np.isfinite(slope)) for value, slope in fun.values]
        assert any(bad)
    assert found.success
    assert found.x[0] == pytest.approx(minimum, abs=1e-4)
    assert np.isfinite(found.fun) and np.isfinite(found.jac).all()


@pytest.mark.parametrize("jac", ["2-point", "3-point"])
def test_differences_that_are_not_finite_are_rejected_too(jac):
    # Values exist left of 2, but differences that look to the right do not everywhere.
    fun = Recorder(lambda x: (x[0] - 1) ** 2 if x[0] < 2 else np.nan)
    found = nd.minimize(fun, [-5.0], jac=jac, lr=2000)
    assert np.isnan(fun.values).any()
    assert found.success
    assert found.x[0] == pytest.approx(1, abs=1e-4)


def test_a_flat_start_is_left_if_there_is_any_slope():
    def fun(x):
        return -np.expm1(-(x @ x)), 2 * x * np.exp(-(x @ x))

    found = nd.minimize(fun, [4.0, 1.0], jac=True, gtol=1e-9)
    assert found.success
    np.testing.assert_allclose(found.x, 0, atol=1e-4)


@pytest.mark.parametrize("x0", [[1e-3, -1e-4], [1e-8, 3.0]])
def test_a_concave_start_is_left_downhill(x0):
    found = nd.minimize(lambda x: (float(np.cos(x).sum()), -np.sin(x)), x0, jac=True, gtol=1e-9)
    assert found.success
    assert found.fun == pytest.approx(-2, abs=1e-9)


# Nothing is modified, nothing is shared


def test_x0_bounds_and_args_are_never_modified():
    x0, centre = np.array([3.0, 0.0]), np.array([1.0, 2.0])
    bounds = np.array([[0.0, 9.0], [0.0, 1.0]])
    before = x0.copy(), centre.copy(), bounds.copy()
    nd.minimize(
        lambda x, centre: (float(((x - centre) ** 2).sum()), 2 * (x - centre)),
        x0,
        args=(centre,),
        jac=True,
        bounds=bounds,
        check_gradient=True,
    )
    for array, copy in zip((x0, centre, bounds), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_threads_at_once_find_what_one_after_another_find():
    starts = [VALLEY, np.array([3.0, -1.0]), np.array([0.0, 2.0])]
    run = functools.partial(nd.minimize, rosenbrock_and_slope, jac=True, return_all=True)
    expected = [run(start).allvecs for start in starts]
    found = {}
    threads = [
        threading.Thread(target=lambda k=k: found.update({k: run(starts[k]).allvecs}))
        for k in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(3):
        np.testing.assert_array_equal(found[k], expected[k])
