"""Finite differences: their accuracy, their steps and what they cost."""

from __future__ import annotations

import numpy as np
import pytest

import numadelta as nd
from numadelta.differences import SCHEMES, Differences

EPS = float(np.finfo(float).eps)


def cubes(x):
    return complex((x**3).sum()) if np.iscomplexobj(x) else float((x**3).sum())


def free(x):
    return np.full_like(x, -np.inf), np.full_like(x, np.inf)


def gradient(scheme, fun, x, lower=-np.inf, upper=np.inf, precision=EPS, rel_step=None):
    """Return the gradient and the points it was made of."""
    points = []

    def values(given):
        for point in given:
            points.append(point.copy())
            result = fun(point)
            point.fill(7)  # each is a new array
            yield result

    x = np.asarray(x, float)
    before = x.copy()
    lower, upper = (np.broadcast_to(np.asarray(limit, float), x.shape) for limit in (lower, upper))
    differences = Differences(scheme, x, lower, upper, rel_step)
    out = np.full_like(x, 7)
    differences(values, x, float(np.real(fun(x))), precision, out)
    assert len(points) == differences.cost
    np.testing.assert_array_equal(x, before)
    return out, np.array(points)


X = np.array([1.0, -2.0, 0.0, 30.0])


@pytest.mark.parametrize(
    ("scheme", "rtol", "cost"), [("2-point", 3e-6, 4), ("3-point", 1e-7, 8), ("cs", 1e-15, 4)]
)
def test_each_scheme_has_its_accuracy_and_its_cost(scheme, rtol, cost):
    found, points = gradient(scheme, cubes, X)
    np.testing.assert_allclose(found, 3 * X**2, rtol=rtol, atol=rtol)
    assert Differences(scheme, X, *free(X)).cost == len(points) == cost


def test_forward_differences_can_be_made_central_with_steps_to_other_points():
    points = []

    def values(given):
        points.extend(given)
        return map(cubes, points)

    forward, out = Differences("2-point", X, *free(X)), np.empty_like(X)
    forward(values, X, cubes(X), EPS, out, central=True)
    np.testing.assert_allclose(out, 3 * X**2, rtol=1e-7, atol=2e-8)
    assert len(points) == 8
    steps = np.diag(np.array(points[1::2]) - X)
    np.testing.assert_allclose(steps, 2 * EPS**0.5 * np.array([1, 2, 1, 30]), rtol=1e-6)
    np.testing.assert_allclose(np.diag(X - np.array(points[::2])), steps, rtol=1e-6)


def test_the_reach_is_that_of_forward_differences():
    reaches = [Differences(scheme, X, *free(X)).reach for scheme in SCHEMES]
    assert reaches == [EPS**0.5, 0, 0]
    assert Differences("2-point", X, *free(X), [1e-3, 1e-2, 1e-3, 1e-4]).reach == 1e-2


def test_steps_grow_with_large_coordinates_only():
    _, points = gradient("2-point", cubes, X)
    np.testing.assert_allclose(np.diag(points - X), EPS**0.5 * np.array([1, 2, 1, 30]), rtol=1e-6)
    assert (np.delete((points - X).ravel(), slice(None, None, 5)) == 0).all()


@pytest.mark.parametrize("rel_step", [0.01, [0.01], [0.01] * 4])
def test_steps_can_be_chosen(rel_step):
    _, points = gradient("2-point", cubes, X, rel_step=rel_step)
    np.testing.assert_allclose(np.diag(points - X), [0.01, 0.02, 0.01, 0.3])
    _, points = gradient("cs", cubes, X, rel_step=rel_step)
    np.testing.assert_allclose(np.diag(points - X), [0.01j, 0.02j, 0.01j, 0.3j])


def test_values_of_less_precision_are_given_larger_steps():
    single = float(np.finfo(np.float32).eps)
    for scheme, rtol in (("2-point", 3e-3), ("3-point", 1e-3)):
        found, _ = gradient(scheme, lambda x: float(np.float32(cubes(x))), [1.5], precision=single)
        np.testing.assert_allclose(found, 6.75, rtol=rtol)


@pytest.mark.parametrize("scheme", ["2-point", "3-point"])
@pytest.mark.parametrize(
    ("lower", "upper"),
    [(1, 9), (-9, 1), (1 - 1e-9, 9), (-9, 1 + 1e-9), (1 - 1e-7, 1 + 1e-8), (1, 1 + 1e-7)],
)
def test_steps_turn_round_or_shrink_at_bounds(scheme, lower, upper):
    found, points = gradient(scheme, cubes, [1.0], [lower], [upper])
    assert ((lower <= points) & (points <= upper) & (points != 1)).all()
    wide = upper - lower > 1
    rtol = {"2-point": 1e-6, "3-point": 1e-8}[scheme] if wide else 1e-5
    np.testing.assert_allclose(found, 3, rtol=rtol)


def test_one_sided_three_point_differences_are_of_second_order():
    found, points = gradient("3-point", cubes, [1.0], [1.0], [np.inf])
    assert (points > 1).all()
    h = 2.0**-17  # near the cube root of the precision
    np.testing.assert_allclose(points.ravel(), [1 + h, 1 + 2 * h])
    np.testing.assert_allclose(found, 3, rtol=1e-9)


@pytest.mark.parametrize("scheme", ["2-point", "3-point"])
def test_a_single_step_between_the_bounds_is_enough(scheme):
    found, _ = gradient(scheme, lambda x: float(x[0]), [1.0], [1.0], [np.nextafter(1.0, 2)])
    assert found == 1


@pytest.mark.parametrize("scheme", SCHEMES)
def test_fixed_coordinates_cost_nothing(scheme):
    found, points = gradient(scheme, cubes, [1.0, 2.0], [0.0, 2.0], [3.0, 2.0])
    assert found[1] == 0
    assert (points[:, 1] == 2).all()
    assert len(points) == (2 if scheme == "3-point" else 1)


@pytest.mark.parametrize("scheme", ["2-point", "3-point"])
def test_what_is_not_finite_stays_visible(scheme):
    found, _ = gradient(scheme, lambda x: float("nan") if x[0] != 1 else 0.0, [1.0, 1.0])
    np.testing.assert_array_equal(np.isnan(found), [True, False])


def test_float32_points_stay_float32_and_what_overflows_there_becomes_infinite():
    x, out = np.ones(1, np.float32), np.empty(1, np.float32)
    kinds = []

    def steep(points):
        for point in points:
            kinds.append(point.dtype.name)
            yield float(point[0]) * 1e300

    Differences("2-point", x, *free(x))(steep, x, 1e300, float(np.finfo(np.float32).eps), out)
    assert kinds == ["float32"]
    assert out == np.inf


@pytest.mark.parametrize("rel_step", [0, -1e-8, np.nan, np.inf, 1e-17])
def test_steps_that_cannot_work_are_refused(rel_step):
    with pytest.raises(ValueError, match="finite_diff_rel_step must be"):
        Differences("2-point", X, *free(X), rel_step)


def test_the_complex_step_may_be_as_small_as_one_likes():
    found, _ = gradient("cs", cubes, X, rel_step=1e-150)
    np.testing.assert_allclose(found, 3 * X**2, rtol=1e-15)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_all_points_are_asked_for_at_once_so_that_they_may_be_shared_out(scheme):
    sizes = []

    def values(points):
        points = list(points)
        sizes.append(len(points))
        return [cubes(point) for point in points]

    out = np.empty(4)
    differences = Differences(scheme, X, *free(X))
    differences(values, X, cubes(X), EPS, out)
    assert sizes == [differences.cost]
    np.testing.assert_array_equal(out, gradient(scheme, cubes, X)[0])


@pytest.mark.parametrize("scheme", ["2-point", "3-point"])
def test_the_same_scheme_may_be_taken_between_other_bounds(scheme):
    first = Differences(scheme, X, *free(X), rel_step=0.1)
    lower = np.array([1.0, -2.0, 0.0, 30.0])
    upper = np.array([1.0, 9.0, 9.0, 30.0])
    other = first.between(lower, upper)
    assert (first.cost, other.cost) == (4 * first.per_element, 2 * first.per_element)
    assert (other.scheme, other.is_complex) == (first.scheme, first.is_complex)
    points = []
    out = np.empty(4)
    other(lambda given: [points.append(x) or cubes(x) for x in given], X, cubes(X), EPS, out)
    assert all(((lower <= point) & (point <= upper)).all() for point in points)
    assert out[0] == out[3] == 0


def test_a_scheme_is_known_by_its_index():
    assert [SCHEMES[Differences(name, X, *free(X)).scheme] for name in SCHEMES] == list(SCHEMES)
    assert [Differences(name, X, *free(X)).is_complex for name in SCHEMES] == [False, False, True]
    assert [Differences(name, X, *free(X)).per_element for name in SCHEMES] == [1, 2, 1]


def test_a_complex_step_survives_rounding_in_the_imaginary_part():
    def noisy(x):
        value = ((x - 2) ** 4).sum()
        return value + 1e-16j if np.iscomplexobj(x) else value

    result = nd.minimize(noisy, np.zeros(2), jac="cs", gtol=1e-6)
    assert result.success
    assert result.x == pytest.approx([2, 2], abs=1e-2)
