"""Call the step from compiled code of your own, twice.

`kernels.adadelta_rule` is one element's step: here a logistic regression is trained sample by
sample, and only the weights of the features present are touched.  `kernels.step` is the loop over
arrays: here it runs inside a compiled minimisation.  Neither checks anything: a wrong length
corrupts memory.

    python examples/step_in_your_own_njit.py
"""

import math

import numpy as np
from numba import njit

from numadelta import kernels

RHO, EPS = 0.95, 1e-6
TINY = np.finfo(np.float64).tiny


@njit(error_model="numpy")
def train_sparse_logistic(indices, labels, weights, square_avg, acc_delta):
    """Go once over samples that are sets of active features; return the mean loss."""
    loss = 0.0
    for sample in range(len(labels)):
        score = 0.0
        for j in indices[sample]:
            score += weights[j]
        margin = labels[sample] * score
        loss += math.log1p(math.exp(-margin))
        grad = -labels[sample] / (1.0 + math.exp(margin))
        for j in indices[sample]:
            weights[j], square_avg[j], acc_delta[j] = kernels.adadelta_rule(
                weights[j], grad, square_avg[j], acc_delta[j], 1.0, RHO, 1.0 - RHO, EPS, TINY
            )
    return loss / len(labels)


@njit(error_model="numpy")
def minimize_quadratic(x, scale, iterations):
    """Minimise ``sum(scale * x**2)`` in place, with no Python between the iterations."""
    square_avg, acc_delta, grad = np.zeros_like(x), np.zeros_like(x), np.empty_like(x)
    for _ in range(iterations):
        for i in range(x.size):
            grad[i] = 2.0 * scale[i] * x[i]
        kernels.step(x, grad, square_avg, acc_delta, 0.1, RHO, EPS, 0.0, False)
    return np.sum(scale * x * x)


def main() -> None:
    """Run both and print what they reach."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=1000)
    indices = rng.integers(1000, size=(20_000, 10))
    labels = np.where(truth[indices].sum(axis=1) > 0, 1.0, -1.0)
    weights, square_avg, acc_delta = np.zeros(1000), np.zeros(1000), np.zeros(1000)
    for epoch in range(5):
        loss = train_sparse_logistic(indices, labels, weights, square_avg, acc_delta)
        print(f"epoch {epoch + 1}: loss {loss:.3f}")

    x = np.ones(100)
    value = minimize_quadratic(x, np.logspace(-2, 2, 100), 10_000)
    print(f"quadratic of condition 1e4 after 10,000 steps: {value:.2g}")


if __name__ == "__main__":
    main()
