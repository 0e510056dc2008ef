"""Noisy objectives: `numadelta.minimize` without safeguard, with a falling rate and an average."""

from __future__ import annotations

import numpy as np
import pytest

import numadelta as nd
import reference
from minimizing import (
    MAXFEV,
    MAXITER,
    NONFINITE,
    STOPPED,
    VALLEY,
    Recorder,
    bowl,
    bowl_and_slope,
    plain,
    rosenbrock,
    rosenbrock_slope,
)

TARGET = np.array([3.0, -2.0])


def noisy_quadratic(seed, spread=1.0):
    """Return a quadratic of which every call sees another sample."""
    rng = np.random.default_rng(seed)

    def fun(x):
        sample = rng.normal(TARGET, spread, (8, 2))
        return float(((x - sample) ** 2).mean()), (x - sample).mean(axis=0)

    return fun


def test_a_noisy_objective_is_minimised():
    found = plain(noisy_quadratic(0), np.zeros(2), jac=True, maxiter=2000, return_all=True)
    assert not found.success
    np.testing.assert_allclose(np.mean(found.allvecs[-1000:], axis=0), TARGET, atol=0.1)


# The falling rate


@pytest.mark.parametrize("lr_decay", [0.0, 0.1, 1.0, 7.0])
def test_the_rate_of_step_k_is_lr_over_one_plus_k_times_the_decay(lr_decay):
    options = {"rho": 0.9, "eps": 1e-4}
    run = {"maxiter": 4, "gtol": 0, "return_all": True, **options}
    found = plain(rosenbrock, VALLEY, jac=rosenbrock_slope, lr=0.7, lr_decay=lr_decay, **run)
    x, v, u = VALLEY, 0.0, 0.0
    for k in range(3):
        rate = 0.7 / (1 + lr_decay * k)
        x, v, u = reference.step(x, rosenbrock_slope(x), v, u, lr=rate, **options)
        np.testing.assert_allclose(found.allvecs[k + 1], x, rtol=1e-12)


def test_a_falling_rate_ends_the_cycle_that_the_paper_ends_in():
    run = {"jac": rosenbrock_slope, "lr": 0.1, "maxiter": 2000}
    falling = plain(rosenbrock, VALLEY, lr_decay=1e-3, return_all=True, **run)
    constant = plain(rosenbrock, VALLEY, return_all=True, **run)
    last_move = [np.ptp(found.allvecs[-2:], axis=0).max() for found in (falling, constant)]
    assert last_move[0] < last_move[1]


# The average


def polynomial_decay_average(points, eta=3):
    """Return what Shamir and Zhang (2013) define for t = 1, 2, ..., number of points."""
    mean = np.zeros_like(points[0])
    for t, point in enumerate(points, 1):
        weight = (eta + 1) / (t + eta)
        mean = (1 - weight) * mean + weight * point
    return mean


@pytest.mark.parametrize("maxiter", [1, 2, 7, 100])
def test_the_result_is_the_polynomial_decay_average_of_all_iterates(maxiter):
    found = plain(
        rosenbrock,
        VALLEY,
        jac=rosenbrock_slope,
        averaging=True,
        maxiter=maxiter,
        return_all=True,
    )
    assert len(found.allvecs) == maxiter + 1
    np.testing.assert_array_equal(found.allvecs[0], VALLEY)
    np.testing.assert_allclose(found.x, polynomial_decay_average(found.allvecs), rtol=1e-11)


def test_in_other_words_the_weights_rise_as_the_cube_of_the_iteration():
    # Of k iterates, number t has a weight proportional to t (t + 1) (t + 2), since eta is 3.
    found = plain(
        bowl, [3.0, 4.0], jac=lambda x: 2 * x, averaging=True, maxiter=50, return_all=True, lr=9
    )
    t = np.arange(1.0, 52.0)
    weights = t * (t + 1) * (t + 2)
    np.testing.assert_allclose(
        found.x, weights @ np.array(found.allvecs) / weights.sum(), rtol=1e-10
    )


def test_the_iterates_are_the_same_with_and_without_the_average():
    run = {"jac": rosenbrock_slope, "maxiter": 30, "return_all": True}
    with_it = plain(rosenbrock, VALLEY, averaging=True, **run)
    without = plain(rosenbrock, VALLEY, **run)
    np.testing.assert_array_equal(with_it.allvecs, without.allvecs)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("jac", [None, "3-point", "cs", rosenbrock_slope])
def test_value_and_gradient_are_those_of_the_average_and_every_call_is_counted(jac, dtype):
    fun = Recorder(rosenbrock)
    slope = Recorder(jac) if callable(jac) else jac
    found = plain(fun, VALLEY.astype(dtype), jac=slope, averaging=True, maxiter=20)
    assert found.x.dtype == found.jac.dtype == dtype
    assert found.fun == rosenbrock(found.x)
    alone = plain(rosenbrock, found.x, jac=jac, maxiter=0)
    np.testing.assert_array_equal(found.jac, alone.jac)
    assert found.nfev == len(fun.points)
    assert (found.nit, found.njev) == (20, 22)
    if callable(jac):
        assert found.njev == len(slope.points)


@pytest.mark.parametrize(("jac", "cost"), [(True, 1), ("2-point", 3), ("3-point", 5)])
@pytest.mark.parametrize("maxfev", [1, 2, 3, 4, 9, 10, 11, 29, 30])
def test_maxfev_is_not_exceeded_by_the_average_either(jac, cost, maxfev):
    fun = Recorder(bowl_and_slope if jac is True else bowl)
    found = plain(fun, [1.0, 2.0], jac=jac, averaging=True, maxfev=maxfev)
    assert found.nfev == len(fun.points) <= maxfev
    assert (found.status, found.message) == (1, MAXFEV)
    # One gradient is kept for the average, where there are iterates to average.
    assert found.nit == max(maxfev // cost - 2, 0)
    if found.njev:
        assert found.fun == bowl(found.x)


def test_a_small_gradient_at_one_iterate_does_not_end_an_average():
    found = plain(bowl_and_slope, [1.0], jac=True, averaging=True, gtol=1e9, maxiter=12)
    assert (found.success, found.nit, found.message) == (False, 12, MAXITER)


def test_the_average_is_inside_the_bounds():
    found = plain(
        noisy_quadratic(1),
        np.array([0.5, 0.5]),
        jac=True,
        averaging=True,
        bounds=[(0, 1), (0.5, 0.5)],
        lr=30,
        maxiter=60,
    )
    assert 0 <= found.x[0] <= 1
    assert found.x[1] == 0.5


def test_without_a_step_there_is_nothing_to_average():
    found = plain(bowl_and_slope, [1.0, 2.0], jac=True, averaging=True, maxiter=0)
    assert (found.nfev, found.njev, found.fun) == (1, 1, 5)
    np.testing.assert_array_equal(found.x, [1, 2])


def test_the_average_is_taken_after_a_callback_stopped_the_run():
    points = []

    def stop_at_five(xk):
        points.append(xk)
        if len(points) == 5:
            raise StopIteration

    found = plain(
        rosenbrock,
        VALLEY,
        jac=rosenbrock_slope,
        averaging=True,
        callback=stop_at_five,
        return_all=True,
    )
    assert (found.status, found.message, found.nit) == (99, STOPPED, 5)
    np.testing.assert_allclose(found.x, polynomial_decay_average(found.allvecs), rtol=1e-12)
    assert found.fun == rosenbrock(found.x)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_where_the_average_has_no_value_the_best_iterate_is_returned(value):
    # Iterates jump from one side to the other; between them, where their average is, is nothing.
    def fun(x):
        return (bowl(x) if abs(x[0]) > 0.9 else value), np.sign(x) * 2

    found = plain(fun, [1.0], jac=True, averaging=True, rho=0, lr=2000, maxiter=9, return_all=True)
    assert all(abs(x[0]) > 0.9 for x in found.allvecs)
    assert abs(polynomial_decay_average(found.allvecs)[0]) < 0.9
    assert found.fun == bowl(found.x) <= 1


def test_a_run_that_ends_in_nan_still_averages_what_was_good():
    def fun(x):
        return (np.nan if x[0] < 0.9 else bowl(x)), 2 * x

    found = plain(fun, [1.0, 2.0], jac=True, averaging=True, return_all=True)
    assert (found.success, found.status, found.message) == (False, 3, NONFINITE)
    np.testing.assert_allclose(found.x, polynomial_decay_average(found.allvecs), rtol=1e-12)
    assert found.fun == bowl(found.x)


# What it is for


def test_noise_is_averaged_out():
    run = {"jac": True, "maxiter": 1000, "lr": 5}
    averaged, best, typical = [], [], []
    for seed in range(3):
        found = plain(noisy_quadratic(seed), TARGET + 1, averaging=True, **run)
        averaged.append(abs(found.x - TARGET).max())
        # Without it, what counts as best is a point with a lucky sample.
        found = plain(noisy_quadratic(seed), TARGET + 1, return_all=True, **run)
        best.append(abs(found.x - TARGET).max())
        typical.append(np.mean(abs(np.array(found.allvecs[-500:]) - TARGET).max(axis=1)))
    assert max(averaged) < 0.05
    assert np.mean(averaged) < 0.5 * min(np.mean(best), np.mean(typical))


def test_a_falling_rate_and_the_average_go_together():
    for seed in range(2):
        found = plain(
            noisy_quadratic(seed),
            np.zeros(2),
            jac=True,
            averaging=True,
            lr_decay=1e-3,
            maxiter=3000,
        )
        np.testing.assert_allclose(found.x, TARGET, atol=0.1)


@pytest.mark.parametrize("options", [{"lr_decay": 0.1}, {"averaging": True}])
@pytest.mark.parametrize("safeguard", [{}, {"safeguard": True}])
def test_a_safeguard_has_no_use_for_them(options, safeguard):
    with pytest.raises(ValueError, match="are for noisy objectives: they need safeguard=False"):
        nd.minimize(bowl, [1.0], **options, **safeguard)
