"""`check_gradient`: what it finds, and what it must not blame."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest

import numadelta as nd
from minimizing import (
    EASY,
    PROBLEMS,
    VALLEY,
    Recorder,
    rosenbrock,
    rosenbrock_slope,
    solve,
)


def wrong_at(k):
    return lambda x: rosenbrock_slope(x) + np.eye(2)[k]


@pytest.mark.parametrize("k", [0, 1])
@pytest.mark.parametrize("safeguard", [True, False])
def test_a_wrong_gradient_is_warned_about_and_its_element_named(k, safeguard):
    with pytest.warns(RuntimeWarning, match=f"gradient looks wrong: at x0 its element {k} is"):
        nd.minimize(
            rosenbrock,
            [0.5, 0.5],
            jac=wrong_at(k),
            check_gradient=True,
            maxiter=1,
            safeguard=safeguard,
        )


@pytest.mark.parametrize("wrong", [-1.0, 0.0, 2.0, 1.01, 1e-3])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_factors_and_signs_are_noticed_at_all_scales_of_the_value(wrong, scale):
    def fun(x):
        return rosenbrock(x) * scale, rosenbrock_slope(x) * scale * wrong

    with pytest.warns(RuntimeWarning, match="gradient looks wrong"):
        nd.minimize(fun, VALLEY, jac=True, check_gradient=True, maxiter=0)


def test_the_warning_points_at_the_line_of_the_call():
    with pytest.warns(RuntimeWarning, match="gradient looks wrong") as record:
        nd.minimize(rosenbrock, VALLEY, jac=wrong_at(0), check_gradient=True, maxiter=0)
    assert [warning.filename for warning in record] == [__file__]


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_right_gradients_pass_the_check(name, scale):
    problem = PROBLEMS[name]

    def scaled(x, grad):
        value = problem.fun(x, grad, *problem.args)
        grad *= scale
        return value * scale

    nd.minimize(scaled, problem.x0, jac="inplace", check_gradient=True, maxiter=0)


@pytest.mark.parametrize("name", ["Rosenbrock 2", "Beale", "Wood"])
@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_right_gradients_pass_the_check_in_other_units_of_length(name, scale):
    solve(PROBLEMS[name], scales=scale, check_gradient=True, maxiter=0)


@pytest.mark.parametrize("shift", [-1e6, 1e6])
def test_right_gradients_of_large_values_pass_the_check(shift):
    for name in EASY:
        solve(PROBLEMS[name], shift=shift, check_gradient=True, maxiter=0)


def test_the_check_stays_inside_the_bounds_and_ignores_fixed_coordinates():
    fun = Recorder(rosenbrock)
    nd.minimize(
        fun,
        [0.5, 0.25],
        jac=lambda x: rosenbrock_slope(x) + [0, 99],
        bounds=[(0.5, 1), (0.25, 0.25)],
        check_gradient=True,
        maxiter=0,
    )
    points = np.array(fun.points)
    assert ((points[:, 0] >= 0.5) & (points[:, 1] == 0.25)).all()


@pytest.mark.parametrize("jac", [None, "3-point", "cs"])
def test_differences_are_not_checked_against_differences(jac):
    with pytest.warns(RuntimeWarning, match="check_gradient is not used: fun has no gradient"):
        found = nd.minimize(rosenbrock, VALLEY, jac=jac, check_gradient=True, maxiter=0)
    assert found.nfev == nd.minimize(rosenbrock, VALLEY, jac=jac, maxiter=0).nfev


def test_evaluations_of_the_check_are_counted():
    fun = Recorder(rosenbrock)
    found = nd.minimize(fun, VALLEY, jac=rosenbrock_slope, check_gradient=True, maxiter=3)
    assert found.nfev == len(fun.points)


@pytest.mark.parametrize("maxfev", [1, 4, 16, 17, 18])
def test_the_check_does_not_exceed_maxfev(maxfev):
    fun = Recorder(rosenbrock)
    # Two variables, two sides, four lengths: sixteen evaluations at most, and one for the start.
    expected = (
        pytest.warns(RuntimeWarning, match="check_gradient") if maxfev < 17 else nullcontext()
    )
    with expected:
        found = nd.minimize(fun, VALLEY, jac=rosenbrock_slope, check_gradient=True, maxfev=maxfev)
    assert found.nfev == len(fun.points) <= maxfev


def test_a_start_that_is_not_finite_is_not_checked():
    found = nd.minimize(lambda x: (np.nan, x), [1.0], jac=True, check_gradient=True)
    assert (found.success, found.status) == (False, 3)


@pytest.mark.parametrize("factor", [0.0, 3.0])
@pytest.mark.parametrize("x", [0.0, 1e-9])
def test_a_wrong_element_is_found_where_x_is_zero_or_small(x, factor):
    def fun(x):
        return float(100 + ((x - 1) ** 2).sum())

    def slope(x):
        return np.array([2.0, factor]) * (x - 1)

    with pytest.warns(RuntimeWarning, match=r"its element 1 is -?[023].*, .* give -(2.0|1.9)"):
        nd.minimize(fun, [x, x], jac=slope, check_gradient=True, maxiter=0)


def test_evaluations_of_a_check_that_fails_are_counted():
    fun = Recorder(rosenbrock, 5)
    with pytest.raises(ZeroDivisionError) as caught:
        nd.minimize(fun, VALLEY, jac=rosenbrock_slope, check_gradient=True)
    assert caught.value.result.nfev == 4
