"""Finite differences in `minimize`: forward, then central, counted, inside the bounds."""

from __future__ import annotations

import numpy as np
import pytest

import numadelta as nd
from minimizing import (
    MAXFEV,
    Recorder,
    rosenbrock,
)


def far(x, k):
    a, b = x[0] - k, x[1] - k / 2
    return a**2 + b**2 + 0.5 * a * b


def chain(x):
    return sum(rosenbrock(x[i : i + 2]) for i in range(len(x) - 1))


@pytest.mark.parametrize("k", range(0, 100_000, 2500))
def test_differences_lead_to_the_minimum_however_far_it_is(k):
    for fun, n in [(far, 2), (lambda x, k: (x[0] - k) ** 2, 1)]:
        found = nd.minimize(fun, np.zeros(n), (float(k),))
        assert found.success
        assert found.nfev <= 60 * n
        np.testing.assert_allclose(found.x, k / np.arange(1, n + 1), rtol=1e-8, atol=1e-4)


@pytest.mark.parametrize("gtol", [1e-6, 1e-8])
def test_more_may_be_asked_for_than_forward_differences_can_tell(gtol):
    fun = Recorder(chain)
    found = nd.minimize(fun, [-1.2, 1.0, 0.5], gtol=gtol, return_all=True)
    assert found.success
    assert found.nfev == len(fun.points) < 800
    assert len({x.tobytes() for x in fun.points}) == found.nfev
    np.testing.assert_allclose(found.x, 1, atol=1e-6)
    # To begin anew with better differences is no step.
    assert len(found.allvecs) == found.nit + 1
    assert len({x.tobytes() for x in found.allvecs}) == found.nit + 1


def test_as_many_evaluations_as_a_run_takes_are_enough():
    for k in range(0, 100_000, 9000):
        whole = nd.minimize(far, [0.0, 0.0], (float(k),))
        again = nd.minimize(far, [0.0, 0.0], (float(k),), maxfev=whole.nfev)
        assert (again.success, again.nfev) == (whole.success, whole.nfev)


def test_maxfev_is_not_exceeded_when_differences_become_central():
    whole = nd.minimize(far, [0.0, 0.0], (50000.0,))
    for maxfev in range(whole.nfev - 30, whole.nfev):
        fun = Recorder(far)
        found = nd.minimize(fun, [0.0, 0.0], (50000.0,), maxfev=maxfev)
        assert found.nfev == len(fun.points) <= maxfev
        assert found.message == MAXFEV


@pytest.mark.parametrize("side", [-1, 1])
def test_central_differences_stay_inside_too(side):
    # The minimum is nearer to the bound than differences reach.
    k, edge = 50000.0 * side, 50000.0001 * side
    fun = Recorder(far)
    found = nd.minimize(fun, [0.0, 0.0], (k,), bounds=[sorted([0.0, edge]), (None, None)])
    assert found.success
    assert (np.abs(fun.points)[:, 0] <= abs(edge)).all()
    np.testing.assert_allclose(found.x, [k, k / 2], rtol=1e-8)


def test_where_central_differences_are_not_finite_forward_ones_go_on():
    fun = Recorder(lambda x: (x[0] + 1) ** 2 if x[0] >= 0 else np.nan)
    found = nd.minimize(fun, [0.0])
    assert (found.success, found.status) == (False, 2)
    assert found.nfev == len(fun.points) == 2 + 2 + 40
    assert (found.x[0], found.njev) == (0, 2)
    assert found.jac[0] == pytest.approx(2)


def test_values_in_float32_make_no_endless_line_searches():
    found = nd.minimize(lambda x: np.float32(((x - 3) ** 2).sum()), [1.3, 0.4])
    assert found.success
    assert found.nfev < 100
    np.testing.assert_allclose(found.x, 3, atol=1e-3)


@pytest.mark.parametrize("maxfev", range(6, 20))
def test_turning_to_central_differences_does_not_exceed_maxfev(maxfev):
    for fun, x0, lr in (
        (lambda x: float(((x - 1e6) ** 4).sum()), [1e6 + 3.0] * 3, 1e-12),
        (chain, [-1.2, 1.0, -1.2, 1.0, 1.0], 1e-18),
    ):
        fun = Recorder(fun)
        found = nd.minimize(fun, x0, lr=lr, maxfev=maxfev)
        assert found.nfev == len(fun.points) <= maxfev
