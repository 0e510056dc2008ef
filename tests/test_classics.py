import numpy as np
import pytest
from scipy.optimize import minimize

from numadelta.bench.classics import problems

PROBLEMS = problems()
each_problem = pytest.mark.parametrize("problem", PROBLEMS, ids=[p.name for p in PROBLEMS])


def value_and_grad(problem, x):
    grad = np.full_like(x, np.nan)  # a stale gradient must not enter the result
    value = problem.fun(x, grad, *problem.args)
    assert isinstance(value, float)
    return value, grad


def central_differences(problem, x):
    steps = np.diag(1e-5 * (1 + np.abs(x)))
    values = [[value_and_grad(problem, x + sign * h)[0] for sign in (1, -1)] for h in steps]
    return (np.array(values) @ [1, -1]) / (2 * np.diag(steps))


def test_there_are_nineteen_problems_with_unique_names():
    assert len(PROBLEMS) == 19
    assert len({problem.name for problem in PROBLEMS}) == 19


@each_problem
def test_arrays_are_contiguous_float64(problem):
    assert problem.x0.ndim == 1
    for array in (problem.x0, *problem.args):
        assert array.dtype == np.float64
        assert array.flags.c_contiguous
    assert isinstance(problem.minimum, float)


@each_problem
def test_gradient_agrees_with_central_differences(problem):
    nearby = problem.x0 + 0.1 * np.random.default_rng(0).standard_normal(problem.x0.size)
    for x in (problem.x0, nearby):
        value, grad = value_and_grad(problem, x)
        # A difference of values of this size is rounded by about eps * value / step.
        rounding = 1e-10 * abs(value)
        error = np.abs(central_differences(problem, x) - grad).max()
        assert error <= 1e-6 * (1 + np.abs(grad).max()) + rounding


@each_problem
def test_the_minimum_is_reached_and_not_beaten(problem):
    def fun(x):
        return value_and_grad(problem, x)

    runs = [
        ("L-BFGS-B", {"ftol": 0, "gtol": 1e-9, "maxcor": 30, "maxiter": 2000, "maxfun": 4000}),
        ("BFGS", {"gtol": 1e-7, "maxiter": 2000}),
    ]
    best = min(
        minimize(fun, problem.x0, jac=True, method=method, options=options).fun
        for method, options in runs
    )
    assert abs(best - problem.minimum) <= 1e-9 * (1 + abs(problem.minimum))


def test_every_call_makes_the_same_problems_in_arrays_of_its_own():
    for one, two in zip(problems(), problems(), strict=True):
        assert one.name == two.name
        assert one.fun is two.fun
        assert one.minimum == two.minimum
        for a, b in zip((one.x0, *one.args), (two.x0, *two.args), strict=True):
            np.testing.assert_array_equal(a, b)
            assert not np.shares_memory(a, b)


@each_problem
def test_evaluations_repeat_bit_for_bit_and_leave_the_inputs_alone(problem):
    inputs = (problem.x0, *problem.args)
    before = [array.copy() for array in inputs]
    value, grad = value_and_grad(problem, problem.x0)
    value2, grad2 = value_and_grad(problem, problem.x0)
    assert value == value2
    np.testing.assert_array_equal(grad, grad2)
    for array, copy in zip(inputs, before, strict=True):
        np.testing.assert_array_equal(array, copy)
