"""The work itself, the same for every library: sizes, networks and made data."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# The paper's settings, for everybody.
LR, RHO, EPS = 1.0, 0.95, 1e-6

LARGE = 10_000_000  # far beyond every cache: the memory is the limit
SMALL = 1_000  # the call is the limit
STUCK = 100_000
SQUARE = 2_048  # rows of a matrix: its products are at the limit of the cores

ROSENBROCK = (2, 10, 100)  # numbers of variables
ROSENBROCK_LR = 0.01  # with 1 the paper's steps sooner or later reach infinity
TARGET = 1e-6  # of the first value's excess over the minimum
FITS, QUICK_FITS = 100_000, 10_000

# Where a running average of float32 stays for ever once its gradients have become zero: 0.95 times
# ten of the smallest numbers is rounded to ten of them.
STUCK_VALUE = 10 * np.finfo(np.float32).smallest_subnormal


class Net(NamedTuple):
    """A network and how it is trained.  One output means regression, more mean classes."""

    sizes: tuple[int, ...]
    batch: int
    rows: int
    quick_rows: int
    whole_epochs: bool = False

    def data(self, quick: bool) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return random samples, and labels that a network can learn."""
        rng = np.random.default_rng(0)
        inputs, outputs = self.sizes[0], self.sizes[-1]
        samples = rng.random((self.quick_rows if quick else self.rows, inputs), np.float32)
        weights = rng.standard_normal((inputs, outputs), np.float32)
        # Not of samples - 0.5: another array as large would show in the peak memory of everybody.
        scores = samples @ weights - 0.5 * weights.sum(axis=0)
        return samples, np.tanh(scores) if self.regression else scores.argmax(axis=1)

    def batches(self, quick: bool) -> int:
        """Return the number of steps in an epoch."""
        return -(-(self.quick_rows if quick else self.rows) // self.batch)

    def parts(self, quick: bool) -> int:
        """Return how many parts of an epoch are timed: its steps, or the whole."""
        return 1 if self.whole_epochs else self.batches(quick)

    def initial(self, rng: np.random.Generator) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        """Return weights and biases of each layer."""
        return [
            (
                rng.uniform(-1, 1, (n_in, n_out)).astype(np.float32)
                * np.float32((6 / n_in) ** 0.5),
                np.zeros(n_out, np.float32),
            )
            for n_in, n_out in zip(self.sizes, self.sizes[1:], strict=False)
        ]

    @property
    def regression(self) -> bool:
        """Whether the targets are numbers, not classes."""
        return self.sizes[-1] == 1


NETS = {
    "epoch": Net((784, 512, 10), 128, 60_000, 6_400, whole_epochs=True),  # MNIST's shape
    "narrow": Net((784, 64, 64, 10), 128, 128 * 100, 128 * 50),
    "tiny": Net((4, 16, 16, 1), 32, 32 * 200, 32 * 100),
    "wide": Net((784, 2048, 2048, 10), 128, 128 * 10, 128 * 4),
}


def rosenbrock_start(size: int) -> NDArray[Any]:
    """Return the usual start in some number of variables, an even one."""
    return np.tile([-1.2, 1.0], size // 2)


def rosenbrock_iterations(size: int, quick: bool) -> int:
    """Return how many iterations a call makes: enough that nothing else counts."""
    return (200_000 if quick else 2_000_000) // size


def params_and_grads(size: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return two random float32 arrays."""
    rng = np.random.default_rng(0)
    return rng.standard_normal(size, np.float32), rng.standard_normal(size, np.float32)
