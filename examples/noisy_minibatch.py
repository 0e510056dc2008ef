"""Minimise a loss of which each evaluation sees 64 of 20,000 rows.

Logistic regression with 20 features.  A line search compares values, and here their differences
are noise, so L-BFGS-B stops after a few steps.  Without safeguard ADADELTA steps whatever the value
is.  It ends in a cloud around the optimum of the whole data; a falling rate makes the cloud
smaller, and the mean of the iterates is closer to its middle.

    python examples/noisy_minibatch.py [--maxiter 10000]
"""

import argparse
import time

import numpy as np
from scipy.optimize import minimize as scipy_minimize

import numadelta as nd

ROWS, FEATURES, BATCH = 20_000, 20, 64


def logistic(weights, X, y):
    """Return the mean loss and its gradient; labels are -1 and 1."""
    margins = y * (X @ weights)
    # The logistic function of -margins, without overflow.
    miss = 0.5 * (1 - np.tanh(margins / 2))
    return np.mean(np.logaddexp(0, -margins)), -(miss * y) @ X / len(y)


class NoisyLogistic:
    """The loss of a new random batch at each call; the seed makes a run repeatable."""

    def __init__(self, X, y, seed=0):
        self._X, self._y = X, y
        self._rng = np.random.default_rng(seed)

    def __call__(self, weights):
        """Return loss and gradient."""
        rows = self._rng.integers(len(self._y), size=BATCH)
        return logistic(weights, self._X[rows], self._y[rows])


def main(maxiter: int) -> None:
    """Print the loss over all data where each method ends."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(ROWS, FEATURES)) * np.logspace(-1, 0.5, FEATURES)
    scores = X @ (rng.normal(size=FEATURES) / np.logspace(-1, 0.5, FEATURES) / 2)
    y = np.where(rng.random(ROWS) < 1 / (1 + np.exp(-scores)), 1.0, -1.0)
    start = np.zeros(FEATURES)
    whole = scipy_minimize(logistic, start, (X, y), jac=True, tol=1e-10)
    print(f"start: loss {logistic(start, X, y)[0]:.5f}; optimum of all data: {whole.fun:.5f}\n")

    noisy = {"jac": True, "safeguard": False, "maxiter": maxiter}
    methods = {
        "L-BFGS-B": lambda fun: scipy_minimize(fun, start, jac=True, method="L-BFGS-B"),
        "ADADELTA": lambda fun: nd.minimize(fun, start, **noisy),
        "  lr_decay=3e-4": lambda fun: nd.minimize(fun, start, lr_decay=3e-4, **noisy),
        "  averaging": lambda fun: nd.minimize(fun, start, averaging=True, **noisy),
        "  both": lambda fun: nd.minimize(fun, start, lr_decay=1e-4, averaging=True, **noisy),
    }
    print(f"{'':15}    loss  above optimum  evaluations  seconds")
    for name, method in methods.items():
        begin = time.perf_counter()
        result = method(NoisyLogistic(X, y))
        seconds = time.perf_counter() - begin
        loss = logistic(result.x, X, y)[0]
        print(
            f"{name:15} {loss:.5f}  {loss - whole.fun:13.1e}  {result.nfev:11}  {seconds:7.2f}"
            f"  {result.message}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--maxiter", type=int, default=10_000)
    main(**vars(parser.parse_args()))
