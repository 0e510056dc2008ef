"""Mini-batches of a training: their order, their dropout, their gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numadelta.arrays import aligned
from numadelta.backprop import Network, Workspace, layer_views
from numadelta.team import matrix_maker


class Batches:
    """Shuffled mini-batches, gathered into buffers and backpropagated without allocation."""

    def __init__(
        self,
        network: Network,
        theta: NDArray[Any],
        x: Any,
        y: NDArray[Any],
        batch_size: int,
        sample_weight: NDArray[Any] | None = None,
    ) -> None:
        self.x, self.y, self.sample_weight = x, y, sample_weight
        self.network = network
        self.rows = x.shape[0]
        self.size = batch_size
        self.count = -(-self.rows // batch_size)
        dense = isinstance(x, np.ndarray)
        self.matrix: Callable[[Any], Any] = np.asarray
        # With dropout of inputs a batch must be copied anyway.
        if dense and not network.input_dropout:
            self.matrix = matrix_maker(theta.size, batch_size, theta.dtype)
        with_team = self.matrix is not np.asarray
        self._samples = self.matrix(x) if with_team else x
        # Not of sparse batches, which are new each time, nor of those that a team reads in place.
        self._copies = dense and not with_team
        self.grad = aligned(theta.shape, theta.dtype)
        self.grad[:] = 1  # not zero before there is one, see `gradients_vanish`
        self._views = layer_views(theta, network.sizes)
        self._grads = layer_views(self.grad, network.sizes)
        self.tail = self.rows % batch_size or batch_size  # rows of the last batch
        self._buffers = {
            rows: self._allocate(rows) for rows in {min(batch_size, self.rows), self.tail}
        }

    def _allocate(self, rows: int) -> tuple[Workspace, Any, NDArray[Any], NDArray[Any] | None]:
        return (
            Workspace(self.network, rows, self.grad.dtype, training=True, matrix=self.matrix),
            np.empty((rows, *self.x.shape[1:]), self.x.dtype) if self._copies else None,
            np.empty((rows, *self.y.shape[1:]), self.y.dtype),
            None if self.sample_weight is None else np.empty(rows, self.sample_weight.dtype),
        )

    def draw(
        self, rng: np.random.Generator, shuffle: bool
    ) -> tuple[NDArray[Any], NDArray[np.uint32] | None]:
        """Return all that is random in an epoch: the order of the rows and the keys of dropout."""
        order = rng.permutation(self.rows) if shuffle else np.arange(self.rows)
        rates = self.network.drop_rates
        if not any(rates):
            return order, None
        return order, rng.integers(2**32, size=(self.count, len(rates)), dtype=np.uint32)

    def split(self, order: NDArray[Any], first: int) -> Iterator[NDArray[Any]]:
        """Return the rows of each batch, from this one on."""
        # The rows of a matrix, which takes half as long as to cut out one batch after another: in
        # an epoch of a tiny network that is 0.5 %.
        whole = self.rows - self.rows % self.size
        last = [order[whole:]] if first < self.count and whole < self.rows else []
        return chain(order[:whole].reshape(-1, self.size)[first:], last)

    def backpropagate(
        self, rows: NDArray[Any], keys: NDArray[np.uint32] | None = None
    ) -> tuple[float, float]:
        """Write the gradient over these rows into `grad`; return mean loss and summed hits."""
        workspace, x, y, weight = self._buffers[len(rows)]
        # mode="clip" writes straight into the buffer; the default would go through a copy.  The
        # function np.take would take 0.6 us longer to call than the method.
        if self._copies:
            self.x.take(rows, 0, x, "clip")
        else:
            x = self._samples[rows]
        self.y.take(rows, 0, y, "clip")
        if weight is not None:
            self.sample_weight.take(rows, 0, weight, "clip")  # type: ignore[union-attr]
        return workspace.loss_and_grad(self._views, self._grads, x, y, weight, keys)

    def gradients_vanish(self) -> bool:
        """Tell whether all gradients are zero, that of the last step and of the batches now."""
        if self.grad.any():
            return False
        for start in range(0, self.rows, self.size):
            self.backpropagate(np.arange(start, min(start + self.size, self.rows)))
            if self.grad.any():
                return False
        return True
