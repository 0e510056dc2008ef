"""The 53 smooth problems: formulas, gradients, published values."""

import numpy as np
import pytest
from numba import config
from scipy.optimize import minimize

from numadelta.bench import more_wild

PROBLEMS = more_wild.problems()
each_problem = pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)


def value_and_grad(problem, x):
    """Return f and its gradient; overflow is no error."""
    grad = np.full(x.size, np.nan)
    with np.errstate(all="ignore"):
        value = more_wild.fun(x, grad, problem.which, problem.m)
    return value, grad


def problem_named(name):
    (found,) = [problem for problem in PROBLEMS if problem.name == name]
    return found


def test_the_published_table():
    assert len(PROBLEMS) == 53
    assert [problem.which for problem in PROBLEMS] == sorted(problem.which for problem in PROBLEMS)
    assert {problem.which for problem in PROBLEMS} == set(range(1, 23))
    assert len({problem.name for problem in PROBLEMS}) == 53
    assert sum(problem.name.endswith(" x10") for problem in PROBLEMS) == 16
    assert min(problem.x0.size for problem in PROBLEMS) == 2
    assert max(problem.x0.size for problem in PROBLEMS) == 12


@each_problem
def test_shapes_and_types(problem):
    assert problem.x0.dtype == np.float64
    assert problem.x0.ndim == 1
    assert problem.x0.flags.c_contiguous
    assert f" n={problem.x0.size}" in problem.name
    # A zero residual needs at least as many equations as unknowns to single out a point.
    assert problem.m >= problem.x0.size
    assert isinstance(problem.best, float)


def test_starts_are_fresh_and_the_factor_is_ten():
    more_wild.problems()[0].x0[:] = 7.0
    assert np.all(more_wild.problems()[0].x0 == 1.0)
    standard = {problem.name: problem.x0 for problem in PROBLEMS}
    for problem in PROBLEMS:
        if problem.name.endswith(" x10"):
            np.testing.assert_array_equal(problem.x0, 10 * standard[problem.name[:-4]])


@each_problem
@pytest.mark.parametrize("where", ["start", "nearby"])
def test_gradient_against_central_differences(problem, where):
    x = problem.x0.copy()
    if where == "nearby":
        rng = np.random.default_rng(problem.which)
        x += 0.01 * (1 + np.abs(x)) * rng.uniform(-1, 1, x.size)
    value, grad = value_and_grad(problem, x)
    assert np.isfinite(value)
    assert value == value_and_grad(problem, x)[0]
    for j in range(x.size):
        step = 1e-5 * max(abs(x[j]), 0.1)
        above, below = x.copy(), x.copy()
        above[j] += step
        below[j] -= step
        high, low = value_and_grad(problem, above)[0], value_and_grad(problem, below)[0]
        measured = (high - low) / (above[j] - below[j])
        rounding = 30 * np.finfo(float).eps * value / step
        assert grad[j] == pytest.approx(measured, rel=2e-6, abs=rounding)


# The values at the starts, as far as they are known in closed form or from the literature.
AT_START = {
    "linear_full_rank n=9": 72.0,
    "linear_full_rank n=9 x10": 1125.0,
    "linear_rank_1 n=7": 11654195.0,
    "linear_rank_1 n=7 x10": 1168591235.0,
    "linear_rank_1_zeros n=7": 4989195.0,
    "linear_rank_1_zeros n=7 x10": 500935635.0,
    "rosenbrock n=2": 24.2,
    "rosenbrock n=2 x10": 1795769.0,
    "helical_valley n=3": 2500.0,
    "helical_valley n=3 x10": 10600.0,
    "powell_singular n=4": 215.0,
    "powell_singular n=4 x10": 1615400.0,
    "freudenstein_roth n=2": 400.5,
    "freudenstein_roth n=2 x10": 154575360.0,
    "bard n=3": 41.6816958617,
    "bard n=3 x10": 1306.2335498158,
    "kowalik_osborne n=4": 0.0053131723,
    "meyer n=3": 1693607809.43615,
    "watson n=6": 16.430831176,
    "watson n=6 x10": 2323367.37205191,
    "watson n=9": 26.9041660224,
    "watson n=9 x10": 8158876.62521073,
    "watson n=12": 73.6782052491,
    "watson n=12 x10": 20593837.2733055,
    "box_3d n=3": 1031.1538106094,
    "jennrich_sampson n=2": 4171.3061619605,
    "brown_dennis n=4": 7926693.33699743,
    "brown_dennis n=4 x10": 308106428512.941,
    "chebyquad n=6": 0.0464281723,
    "chebyquad n=7": 0.0337706385,
    "chebyquad n=8": 0.0386176983,
    "chebyquad n=9": 0.0288829803,
    "chebyquad n=10": 0.0337632655,
    "chebyquad n=11": 0.0267406033,
    "brown_almost_linear n=10": 273.2480478287,
    "osborne_1 n=5": 16.1741125409,
    "osborne_2 n=11": 2.0934195142,
    "osborne_2 n=11 x10": 199.6846790485,
    "bdqrtic n=8": 904.0,
    "bdqrtic n=10": 1356.0,
    "bdqrtic n=11": 1582.0,
    "bdqrtic n=12": 1808.0,
    "cube n=5": 56.5,
    "cube n=6": 70.5625,
    "cube n=8": 98.6875,
    "mancino n=5": 2539084359.25047,
    "mancino n=5 x10": 6873795260334.31,
    "mancino n=8": 3367961145.85909,
    "mancino n=10": 3735127013.27089,
    "mancino n=12": 3991072354.22233,
    "mancino n=12 x10": 11300149979351.4,
    "heart_8 n=8": 9.3856723106,
    "heart_8 n=8 x10": 33658150719.1496,
}


@each_problem
def test_value_at_the_start(problem):
    value = value_and_grad(problem, problem.x0)[0]
    assert value == pytest.approx(AT_START[problem.name], rel=2e-8)


@pytest.mark.parametrize(
    ("name", "minimum"),
    [
        ("linear_full_rank n=9", 45 - 9),
        ("linear_rank_1 n=7", 35 * 34 / (2 * 71)),
        ("linear_rank_1_zeros n=7", (35**2 + 3 * 35 - 6) / (2 * (2 * 35 - 3))),
        ("freudenstein_roth n=2", 48.9842),
        ("bard n=3", 8.21487e-3),
        ("kowalik_osborne n=4", 3.07505e-4),
        ("meyer n=3", 87.9458),
        ("watson n=6", 2.28767e-3),
        ("watson n=9", 1.39976e-6),
        ("watson n=12", 4.72238e-10),
        ("jennrich_sampson n=2", 124.362),
        ("brown_dennis n=4", 85822.2),
        ("chebyquad n=8", 3.51687e-3),
        ("chebyquad n=10", 4.77271e-3),
        ("osborne_1 n=5", 5.46489e-5),
        ("osborne_2 n=11", 4.01377e-2),
    ],
)
def test_best_agrees_with_the_published_minimum(name, minimum):
    assert problem_named(name).best == pytest.approx(minimum, rel=3e-6)


@pytest.mark.parametrize(
    ("name", "solution"),
    [
        ("rosenbrock n=2", [1.0, 1.0]),
        ("helical_valley n=3", [1.0, 0.0, 0.0]),
        ("powell_singular n=4", [0.0] * 4),
        ("freudenstein_roth n=2 x10", [5.0, 4.0]),
        ("box_3d n=3", [1.0, 10.0, 1.0]),
        ("brown_almost_linear n=10", [1.0] * 10),
        ("cube n=8", [1.0] * 8),
    ],
)
def test_zero_at_the_known_solution(name, solution):
    problem = problem_named(name)
    value, grad = value_and_grad(problem, np.array(solution))
    assert problem.best == 0.0
    assert value == pytest.approx(0.0, abs=1e-30)
    np.testing.assert_allclose(grad, 0.0, atol=1e-14)


@each_problem
def test_best_is_below_the_start_and_above_every_other_value(problem):
    assert 0.0 <= problem.best < value_and_grad(problem, problem.x0)[0]
    seen = []

    def watched(x):
        value, grad = value_and_grad(problem, x)
        seen.append(value)
        return value, grad

    steps = 10 if config.DISABLE_JIT else 500
    minimize(watched, problem.x0, jac=True, method="L-BFGS-B", options={"maxiter": steps})
    assert np.nanmin(seen) >= problem.best * (1 - 1e-8)


@each_problem
@pytest.mark.parametrize("fill", [0.0, -1e3, 1e200, np.inf, np.nan])
def test_nothing_raises_far_out(problem, fill):
    value, _ = value_and_grad(problem, np.full(problem.x0.size, fill))
    assert isinstance(value, float)
    assert not value < 0.0


def test_outside_the_domain_is_nan_or_inf():
    value, grad = value_and_grad(problem_named("helical_valley n=3"), np.zeros(3))
    assert value == 100.0
    assert np.isnan(grad).any()
    assert value_and_grad(problem_named("meyer n=3"), np.array([1.0, 1e6, 1.0]))[0] == np.inf
    assert not np.isfinite(value_and_grad(problem_named("bard n=3"), np.zeros(3))[0])


@pytest.mark.parametrize("which", [0, 23])
def test_an_unknown_number_is_refused(which):
    with pytest.raises(ValueError, match="from 1 to 22"):
        more_wild.fun(np.ones(2), np.ones(2), which, 2)


def test_the_polar_angle_jumps_only_at_negative_x2():
    problem = problem_named("helical_valley n=3")
    for x0, x1, turns in [(1, 0, 0), (0, 1, 0.25), (-1, 0, 0.5), (-1, -1, 0.625), (1, -1, -0.125)]:
        x = np.array([x0, x1, 10.0 * turns])
        radius = np.hypot(x0, x1)
        expected = 100 * (radius - 1) ** 2 + x[2] ** 2
        assert value_and_grad(problem, x)[0] == pytest.approx(expected, rel=1e-14, abs=1e-24)
