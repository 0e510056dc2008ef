"""Bounds of `minimize`: no evaluation leaves them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize

import numadelta as nd
from minimizing import (
    PROBLEMS,
    Recorder,
    in_place,
    rosenbrock,
)

BOXES = {
    "minimum outside": ("Booth", [(2, 5), (2, 5)], [3.0, 4.0]),
    "corner": ("Trid 10", [(-4, 4)] * 10, [0.0] * 10),
    "some active": ("Rotated quadratic 20", [(-0.2, 0.2)] * 20, [0.0] * 20),
    "one side": ("Rosenbrock 2", [(None, 0.5), (None, None)], [-1.2, 0.4]),
    "other side": ("Rosenbrock 2", [(-2, 2), (1.5, np.inf)], [0.0, 1.7]),
    "valley": ("Rosenbrock 10", [(None, 0.5)] * 10, [-1.2, 0.4] * 5),
    "start at bounds": ("Rosenbrock 10", [(0.2, 0.5)] * 10, [0.2, 0.5] * 5),
    "one active": ("Beale", [(0, 2), (0, 0.3)], [1.0, 0.1]),
    "fixed": ("Wood", [(-5, 5), (0.9, 0.9), (-5, 0.5), (-5, 5)], [0.5, 0.9, 0.5, 0.5]),
    "all kinds": ("Dixon-Price 10", [(0.6, None), (0.7, 0.7)] * 5, [1.0, 0.7] * 5),
    "nothing active": ("Himmelblau", [(0, 5), (0, 4)], [0.0, 0.0]),
    "curved": ("Log-sum-exp 10", [(0.1, 1.0)] * 10, [1.0] * 10),
    "wide": ("Beale", [(-1e300, 1e300)] * 2, [1.0, 1.0]),
}
boxes = pytest.mark.parametrize(("name", "bounds", "x0"), BOXES.values(), ids=BOXES)


@boxes
def test_bounded_minima_are_those_of_lbfgsb(name, bounds, x0):
    fun = in_place(PROBLEMS[name])
    found = nd.minimize(fun, x0, jac="inplace", bounds=bounds, gtol=1e-7)
    assert found.success

    def pair(x):
        grad = np.empty_like(x)
        return fun(x, grad), grad

    tight = {"ftol": 1e-15, "gtol": 1e-10, "maxiter": 5000}
    expected = scipy.optimize.minimize(
        pair, x0, jac=True, bounds=bounds, method="L-BFGS-B", options=tight
    )
    np.testing.assert_allclose(found.x, expected.x, atol=1e-5)
    assert found.fun == pytest.approx(expected.fun, abs=1e-8, rel=1e-8)


@boxes
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_evaluation_is_inside_and_the_end_is_stationary(name, bounds, x0, dtype):
    # In float32 the first and last number inside; where there is none the nearest must do.
    lower, upper = (
        np.array([end if limit is None else limit for limit in limits], float)
        for limits, end in zip(zip(*bounds, strict=True), (-np.inf, np.inf), strict=True)
    )
    if dtype == np.float32:
        if name == "Beale" and upper[0] > 1e38:
            lower, upper = np.full((2, 2), [[-1e30], [1e30]])
        fixed = lower == upper
        lower[fixed] = upper[fixed] = upper[fixed].astype(dtype)
    bounds = scipy.optimize.Bounds(lower, upper)
    x0 = np.array(x0, dtype)
    x0 = np.where(x0 < lower, np.nextafter(x0, dtype(9)), x0)
    x0 = np.where(x0 > upper, np.nextafter(x0, dtype(-9)), x0)
    fun = Recorder(in_place(PROBLEMS[name]))
    found = nd.minimize(fun, x0, jac="inplace", bounds=bounds)
    assert found.success
    points = np.array(fun.points, float)
    assert ((lower <= points) & (points <= upper)).all()
    assert found.x.dtype == dtype
    if dtype == np.float64:
        step = np.clip(found.x - found.jac, lower, upper) - found.x
        assert abs(step).max() <= 1e-4


@pytest.mark.parametrize("jac", ["2-point", "3-point"])
def test_differences_stay_inside_too(jac):
    fun = Recorder(rosenbrock)
    bounds = [(0.0, 0.5), (0.25, 2.0)]
    found = nd.minimize(fun, [0.0, 2.0], jac=jac, bounds=bounds)
    assert found.success
    points = np.array(fun.points)
    assert (points >= [0, 0.25]).all() and (points <= [0.5, 2]).all()
    np.testing.assert_allclose(found.x, [0.5, 0.25], atol=1e-6)


def test_a_bound_that_is_hit_may_be_left_again():
    # The first step goes far beyond the lower bound; the minimum is between the bounds.
    found = nd.minimize(
        lambda x: (float(((x - 0.7) ** 2).sum()), 2 * (x - 0.7)),
        [1.0, 1.0],
        jac=True,
        lr=1e4,
        bounds=[(0, 1), (0.7, 1)],
        return_all=True,
    )
    assert found.success
    np.testing.assert_allclose(found.x, 0.7, atol=1e-5)


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_line_is_followed_to_its_bound(sign):
    found = nd.minimize(
        lambda x: (sign * x[0], np.full(1, sign)), [0.0], jac=True, bounds=[(-1e9, 1e9)]
    )
    assert (found.success, found.x[0], found.jac[0]) == (True, -sign * 1e9, sign)
