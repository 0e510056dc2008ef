"""`numadelta.adadelta` inside SciPy's global optimisers, which treat a method each in its way.

The objectives are from the literature and from SciPy's documentation, with minima that are known:
the last lines of each docstring say where they are.
"""

from __future__ import annotations

import functools

import numpy as np
import pytest
import scipy
from numba import njit
from scipy.optimize import (
    Bounds,
    basinhopping,
    differential_evolution,
    dual_annealing,
    minimize,
    shgo,
)

import numadelta as nd
from minimizing import VALLEY, rosenbrock, rosenbrock_slope


def rastrigin(x):
    """Rastrigin 1974: a bowl full of dents, the least at the origin, where it is 0."""
    return float(10 * x.size + (x * x - 10 * np.cos(2 * np.pi * x)).sum())


def rastrigin_slope(x):
    return 2 * x + 20 * np.pi * np.sin(2 * np.pi * x)


def himmelblau(x):
    """Himmelblau 1972: four minima, all 0, of which (3, 2) is the only one in both half-planes."""
    return float((x[0] ** 2 + x[1] - 11) ** 2 + (x[0] + x[1] ** 2 - 7) ** 2)


def camel(x):
    """Dixon and Szego 1978: -1.031628453489877 at (0.089842, -0.712656) and its mirror image."""
    a, b = x[0] ** 2, x[1] ** 2
    return float((4 - 2.1 * a + a * a / 3) * a + x[0] * x[1] + (4 * b - 4) * b)


CAMEL_MINIMUM = -1.031628453489877
CAMEL_BOX = [(-3, 3), (-2, 2)]
DENTS_BOX = [(-5.12, 5.12)] * 2


class Spy:
    """`numadelta.adadelta`, remembering what it was asked and what it answered."""

    def __init__(self):
        self.bounds = []
        self.results = []

    def __call__(self, fun, x0, args=(), **keywords):
        self.bounds.append(keywords.get("bounds"))
        self.results.append(nd.adadelta(fun, x0, args, **keywords))
        return self.results[-1]

    def lower(self):
        return nd.adadelta.lower()


@pytest.fixture
def spy():
    return Spy()


def test_minimize_memoises_a_pair_and_calls_it_once_per_point():
    calls = []

    def fun(x):
        calls.append(x)
        return rastrigin(x), rastrigin_slope(x)

    for safeguard in (True, False):
        options = {"maxiter": 9, "safeguard": safeguard}
        calls.clear()
        found = minimize(fun, [2.2, 0.3], jac=True, method=nd.adadelta, options=options)
        assert len(calls) == found.nfev >= found.njev == found.nit + 1 > 5


def test_minimize_wraps_tol_args_and_callback():
    seen = []
    found = minimize(
        lambda x, centre: float(((x - centre) ** 2).sum()),
        [0.0, 0.0],
        args=([1.0, 2.0],),
        method=nd.adadelta,
        tol=1e-2,
        callback=lambda intermediate_result: seen.append(intermediate_result.fun),
    )
    assert found.success
    assert abs(found.jac).max() <= 1e-2
    assert len(seen) == found.nit
    np.testing.assert_allclose(found.x, [1, 2], atol=1e-2)


@pytest.mark.parametrize("jac", [rastrigin_slope, None], ids=["function", "differences"])
def test_basinhopping(spy, jac):
    found = basinhopping(
        rastrigin,
        [2.2, -1.8],
        niter=25,
        stepsize=1.0,
        minimizer_kwargs={"method": spy, "jac": jac, "options": {"maxiter": 2000}},
        rng=1,
    )
    assert found.fun == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(found.x, 0, atol=1e-6)
    # What has not converged is ignored by basinhopping.
    assert found.lowest_optimization_result.success
    assert found.minimization_failures == sum(not result.success for result in spy.results)
    assert found.nfev == sum(result.nfev for result in spy.results)


def test_basinhopping_with_a_pair_and_bounds(spy):
    found = basinhopping(
        lambda x: (rastrigin(x), rastrigin_slope(x)),
        [2.2, 1.8],
        niter=25,
        stepsize=1.0,
        minimizer_kwargs={
            "method": spy,
            "jac": True,
            "bounds": Bounds(0.5, 9),
            "options": {"maxiter": 500},
        },
        take_step=HopsInside(0.5, 9),
        rng=1,
    )
    np.testing.assert_allclose(found.x, 0.994959, atol=1e-5)
    assert all(result.x.min() >= 0.5 for result in spy.results)


class HopsInside:
    """Random hops that stay inside a box, since numadelta warns of a start outside."""

    def __init__(self, lower, upper):
        self.lower, self.upper = lower, upper
        self.rng = np.random.default_rng(0)

    def __call__(self, x):
        return np.clip(x + self.rng.uniform(-2, 2, x.size), self.lower, self.upper)


def test_dual_annealing(spy):
    found = dual_annealing(
        rastrigin,
        DENTS_BOX,
        maxiter=30,
        # With minimizer_kwargs the bounds are no longer added.
        minimizer_kwargs={"method": spy, "jac": rastrigin_slope, "bounds": DENTS_BOX},
        rng=1,
    )
    assert spy.results
    assert found.fun == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(found.x, 0, atol=1e-6)


@pytest.mark.parametrize("sampling", ["sobol", "simplicial"])
def test_shgo(spy, sampling):
    found = shgo(
        himmelblau,
        [(-5, 5)] * 2,
        n=64,
        sampling_method=sampling,
        # It drops all options, so that lr is 1, and the local bounds are its own.
        minimizer_kwargs={"method": spy, "options": {"lr": 0.1}},
    )
    assert spy.results
    assert all(len(bounds) == 2 for bounds in spy.bounds)
    assert found.success
    assert found.fun == pytest.approx(0, abs=1e-3)
    minima = [(3, 2), (-2.805118, 3.131312), (-3.779310, -3.283186), (3.584428, -1.848126)]
    assert min(np.linalg.norm(found.x - np.array(point)) for point in minima) < 0.02


polishes = pytest.mark.skipif(
    np.lib.NumpyVersion(scipy.__version__) < "1.17.0", reason="SciPy ignored a callable polish"
)


@polishes
def test_differential_evolution_is_polished():
    evolve = functools.partial(differential_evolution, camel, CAMEL_BOX, maxiter=8, rng=3)
    rough = evolve(polish=False)
    calls = []

    def polish(*arguments, **options):
        calls.append(options)
        return nd.adadelta(*arguments, lr=0.1, **options)

    polished = evolve(polish=polish)
    assert len(calls) == 1
    assert rough.fun > polished.fun == pytest.approx(CAMEL_MINIMUM, abs=1e-10)
    assert abs(polished.jac).max() <= 1e-5
    np.testing.assert_allclose(abs(polished.x), [0.0898420, 0.7126564], atol=1e-5)
    assert nd.minimize(camel, rough.x, bounds=CAMEL_BOX).fun <= rough.fun


@polishes
def test_differential_evolution_takes_the_method_as_it_is():
    found = differential_evolution(
        lambda x: float(((x - 0.25) ** 2).sum()),
        [(0, 1), (0.5, 1)],
        maxiter=3,
        rng=1,
        polish=nd.adadelta,
    )
    np.testing.assert_allclose(found.x, [0.25, 0.5], atol=1e-5)
    assert found.x[1] == 0.5


# The examples of SciPy's documentation, in Python and compiled


def wave(x):
    """The 1-D example of basinhopping: the least is -1.000876 at -0.195068."""
    return np.cos(14.5 * x[0] - 0.3) + (x[0] + 0.2) * x[0]


def wave_and_slope(x):
    """The 2-D example: the least is -1.010876 at (-0.195068, -0.1)."""
    value = np.cos(14.5 * x[0] - 0.3) + (x[1] + 0.2) * x[1] + (x[0] + 0.2) * x[0]
    slope = np.empty(2)
    slope[0] = -14.5 * np.sin(14.5 * x[0] - 0.3) + 2.0 * x[0] + 0.2
    slope[1] = 2.0 * x[1] + 0.2
    return value, slope


def dents(x):
    """The example of dual_annealing, Rastrigin's function: 0 at the origin."""
    value = 10.0 * x.size
    for i in range(x.size):
        value += x[i] * x[i] - 10.0 * np.cos(2.0 * np.pi * x[i])
    return value


def valley(x):
    """The example of shgo and differential_evolution, Rosenbrock's function: 0 where all are 1."""
    value = 0.0
    for i in range(x.size - 1):
        value += 100.0 * (x[i + 1] - x[i] * x[i]) ** 2 + (1.0 - x[i]) ** 2
    return value


def ackley(x):
    """The other example of differential_evolution: 0 at the origin, which is a kink."""
    radius = np.sqrt(0.5 * (x[0] * x[0] + x[1] * x[1]))
    waves = 0.5 * (np.cos(2.0 * np.pi * x[0]) + np.cos(2.0 * np.pi * x[1]))
    return -20.0 * np.exp(-0.2 * radius) - np.exp(waves) + 20.0 + np.e


@pytest.fixture(params=["python", "njit"])
def given(request):
    """Return a function as it is, or compiled; without Numba's JIT both are the same."""
    return (lambda fun: fun) if request.param == "python" else njit


def test_the_one_dimensional_example_of_basinhopping(given):
    found = basinhopping(
        given(wave), [1.0], niter=60, minimizer_kwargs={"method": nd.adadelta}, rng=1
    )
    assert found.fun == pytest.approx(-1.000876, abs=1e-6)
    np.testing.assert_allclose(found.x, [-0.195068], atol=1e-5)
    assert found.lowest_optimization_result.success


def test_the_two_dimensional_example_of_basinhopping(given):
    found = basinhopping(
        given(wave_and_slope),
        [1.0, 1.0],
        niter=60,
        minimizer_kwargs={"method": nd.adadelta, "jac": True},
        rng=1,
    )
    assert found.fun == pytest.approx(-1.010876, abs=1e-6)
    np.testing.assert_allclose(found.x, [-0.195068, -0.1], atol=1e-5)
    assert found.lowest_optimization_result.success


def test_the_example_of_dual_annealing(given):
    bounds = [(-5.12, 5.12)] * 3
    found = dual_annealing(
        given(dents),
        bounds,
        maxiter=100,
        minimizer_kwargs={"method": nd.adadelta, "bounds": bounds},
        rng=1,
    )
    assert found.success
    assert found.fun == pytest.approx(0, abs=1e-8)
    np.testing.assert_allclose(found.x, 0, atol=1e-5)


def test_the_example_of_shgo(given):
    found = shgo(given(valley), [(0, 2)] * 5, minimizer_kwargs={"method": nd.adadelta})
    assert found.success
    assert found.fun == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(found.x, 1, atol=1e-3)


@polishes
def test_the_first_example_of_differential_evolution(given):
    found = differential_evolution(
        given(valley), [(0, 2)] * 4, maxiter=15, popsize=8, rng=1, polish=nd.adadelta
    )
    assert found.fun == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(found.x, 1, atol=1e-3)


@polishes
def test_the_second_example_of_differential_evolution(given):
    found = differential_evolution(
        given(ackley), [(-5, 5)] * 2, maxiter=40, rng=1, polish=nd.adadelta
    )
    assert found.fun == pytest.approx(0, abs=1e-4)
    np.testing.assert_allclose(found.x, 0, atol=1e-4)


FIELDS = {"x", "fun", "jac", "nit", "nfev", "njev", "success", "status", "message"}


@pytest.mark.parametrize("safeguard", [True, False])
def test_the_local_result_has_its_fields_under_the_global_optimisers(spy, safeguard):
    options = {"method": spy, "options": {"maxiter": 5, "safeguard": safeguard}}
    bounded = {**options, "bounds": DENTS_BOX}
    basinhopping(rastrigin, [0.2, 0.3], niter=1, minimizer_kwargs=options, rng=1)
    dual_annealing(rastrigin, DENTS_BOX, maxiter=2, minimizer_kwargs=bounded, rng=1)
    shgo(rastrigin, DENTS_BOX, n=8, sampling_method="sobol", minimizer_kwargs=options)
    assert len(spy.results) >= 3
    assert all(set(result) == FIELDS for result in spy.results)


def test_the_tolerance_of_scipy_is_that_of_the_gradient():
    runs = [
        scipy.optimize.minimize(
            rosenbrock, VALLEY, jac=rosenbrock_slope, method=nd.adadelta, tol=tol
        )
        for tol in (1.0, None)
    ]
    assert runs[0].nit < runs[1].nit and np.abs(runs[0].jac).max() <= 1
    with pytest.warns(scipy.optimize.OptimizeWarning, match=r"tol \(did you mean gtol\?\)"):
        nd.minimize(rosenbrock, VALLEY, options={"tol": 1.0}, maxiter=1)
