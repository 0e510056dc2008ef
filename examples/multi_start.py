"""Find the best arrangement of seven atoms from thousands of random starts.

The energy of Lennard-Jones atoms, 4 * sum(r**-12 - r**-6) over all pairs, has four minima for seven
atoms, -16.505384, -15.935043, -15.593211 and -15.533060, each in many mirrored and turned copies.
`minimize_batch` takes all starts at once, a row of `x0` each; L-BFGS-B gets some of them, with the
same compiled objective.  From crowded starts atoms fly apart, and each method does so in its own
way; bounds keep them together.

    python examples/multi_start.py [--starts 4000]
"""

import argparse
import time

import numpy as np
from numba import njit
from scipy.optimize import minimize as scipy_minimize

import numadelta as nd

ATOMS = 7
BEST = -16.505384
# Starts lie in a box of twice this side.
SIDE = 1.5


@njit(error_model="numpy")
def energy(x, grad):
    """Return the energy of atoms at ``x[0:3]``, ``x[3:6]``, ...; write its gradient."""
    grad[:] = 0
    total = 0.0
    for a in range(0, x.size, 3):
        for b in range(a):
            if b % 3 == 0:
                dx, dy, dz = x[a] - x[b], x[a + 1] - x[b + 1], x[a + 2] - x[b + 2]
                inverse = 1 / (dx * dx + dy * dy + dz * dz)
                sixth = inverse**3
                total += 4 * sixth * (sixth - 1)
                slope = -24 * sixth * (2 * sixth - 1) * inverse
                grad[a] += slope * dx
                grad[a + 1] += slope * dy
                grad[a + 2] += slope * dz
                grad[b] -= slope * dx
                grad[b + 1] -= slope * dy
                grad[b + 2] -= slope * dz
    return total


def energy_and_grad(x):
    """Return the same as a pair, for SciPy."""
    grad = np.empty_like(x)
    return energy(x, grad), grad


def main(starts: int) -> None:
    """Minimise with and without bounds, from all starts and with SciPy from some."""
    rng = np.random.default_rng(0)
    x0 = rng.uniform(-SIDE, SIDE, size=(starts, 3 * ATOMS))
    nd.minimize_batch(energy, x0[:1], jac="inplace")  # compiles

    for name, bounds in {"in a box": [(-SIDE, SIDE)] * x0.shape[1], "free": None}.items():
        begin = time.perf_counter()
        result = nd.minimize_batch(energy, x0, jac="inplace", bounds=bounds)
        seconds = time.perf_counter() - begin
        print(f"{name}: {starts} starts in {seconds:.2f} s, best {result.fun.min():.6f}")
        _report("minimize_batch", result.fun, result.nfev, seconds)

        some = x0[: min(starts, 100)]
        begin = time.perf_counter()
        results = [
            scipy_minimize(energy_and_grad, x, jac=True, bounds=bounds, method="L-BFGS-B")
            for x in some
        ]
        seconds = time.perf_counter() - begin
        values, evaluations = zip(*[(one.fun, one.nfev) for one in results], strict=True)
        _report(f"L-BFGS-B, {len(some)} starts", values, evaluations, seconds)

    found, counts = np.unique(np.round(result.fun, 3), return_counts=True)
    lowest = ", ".join(
        f"{value:.3f} ({count})" for value, count in zip(found[:6], counts[:6], strict=True)
    )
    print(f"lowest energies found by minimize_batch when free (starts): {lowest}")


def _report(name, values, evaluations, seconds):
    hits = np.count_nonzero(np.abs(np.asarray(values) - BEST) < 1e-4)
    print(
        f"  {name:22} {hits / len(values):6.1%} reach the best, "
        f"{np.median(evaluations):4.0f} evaluations (median), "
        f"{1e6 * seconds / len(values):6.0f} us each"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--starts", type=int, default=4000)
    main(**vars(parser.parse_args()))
