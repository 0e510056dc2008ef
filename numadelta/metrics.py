"""What an epoch of training comes to: its sums, and the effective rates at its end."""

from __future__ import annotations

from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from numadelta import kernels
from numadelta.backprop import layer_bounds
from numadelta.minibatches import Batches
from numadelta.optimizer import Adadelta

# The norm of the gradient is taken in every tenth batch, or less often if that is twenty times an
# epoch: in each batch it costs 3 to 8 %.
NORM_EVERY, NORMS = 10, 20
# Quantiles of effective rates are over so many parameters of a layer, at most: of 10,000 they take
# 1 % of a short epoch.
MOST_SAMPLED = 1_000
QUANTILES = (0.05, 0.5, 0.95)


class Metrics:
    """What the batches of an epoch came to, each at its place, so that a repeated one counts once.

    Only adding a number to a list is done in each batch, for all else is a part of the step of a
    tiny network; the sums are made of the lists when they are asked for.
    """

    def __init__(self, batches: Batches, sums: tuple[float, ...] = (0.0, 0.0, 0.0)) -> None:
        self.batches = batches
        self.sums = sums  # over the batches before a resume, whose places hold zeros
        self.norm_every = max(NORM_EVERY, batches.count // NORMS)
        self.losses, self.hits = [0.0] * batches.count, [0.0] * batches.count
        self.norms = [0.0] * self._norms(batches.count)

    def _norms(self, batch: int) -> int:
        """Return in how many of so many batches the norm is taken."""
        return -(-batch // self.norm_every)

    def totals(self, batch: int) -> tuple[float, ...]:
        """Return the sums over so many batches: of loss by row, hits and norm of the gradient."""
        loss, hits, norm = self.sums
        size = self.batches.size
        # One after the other, for a resumed epoch to have the bits of one that was not interrupted;
        # from Python 3.12 on, `sum` does not.
        for number in self.losses[: min(batch, self.batches.count - 1)]:
            loss += number * size
        if batch == self.batches.count:
            loss += self.losses[-1] * self.batches.tail
        if self.batches.network.counts_hits:
            hits = reduce(add, self.hits[:batch], hits)
        norm = reduce(add, self.norms[: self._norms(batch)], norm)
        # Without JIT, these numbers are NumPy's, in the dtype of the network.
        return float(loss), float(hits), norm


class EffectiveRates:
    """Quantiles of the effective rates in each layer, over some of its parameters."""

    def __init__(self, optimizer: Adadelta, sizes: tuple[int, ...]) -> None:
        self.optimizer = optimizer
        self._sample = _sample(sizes, bool(optimizer.shared_delta))

    def quantiles(self) -> list[list[float]]:
        """Return those of each layer now."""
        square_avg, acc_delta = self.optimizer.square_avg, self.optimizer.acc_delta
        found = []
        for places, groups in self._sample:
            rates = np.empty(places.size, square_avg.dtype)
            averages = square_avg.take(places), acc_delta.take(groups)
            kernels.effective_rates(*averages, self.optimizer.eps, rates)
            # By nearest rank: np.quantile takes longer than a small epoch.
            ranks = [round(quantile * (rates.size - 1)) for quantile in QUANTILES]
            rates.partition(ranks)
            found.append(rates[ranks].tolist())
        return found


def _sample(
    sizes: tuple[int, ...], shared_delta: bool
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return the places of some parameters of each layer, evenly spread, and of their E[dx^2]."""
    found = []
    for layer, (start, middle, stop) in enumerate(layer_bounds(sizes)):
        # No whole number apart, which might be the same column of the weights again and again.
        places = (
            np.linspace(start, stop - 1, min(MOST_SAMPLED, stop - start)).round().astype(np.int64)
        )
        found.append((places, 2 * layer + (places >= middle) if shared_delta else places))
    return found
