"""Outputs, loss and score of a network over any number of samples, a few at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numadelta.backprop import Network, Views, Workspace, penalty

# Rows that are evaluated at a time: the buffers stay in the cache.
ROWS = 1024


def outputs(network: Network, views: Views, X: NDArray[Any]) -> NDArray[Any]:
    """Return what the last layer adds up, biases included, one sample a row."""
    sums = np.empty((len(X), network.sizes[-1]), X.dtype)
    for rows, workspace in _chunks(network, X):
        np.add(workspace.output_sums(views, X[rows]), views.biases[-1], out=sums[rows])
    return sums


def evaluate(
    network: Network, views: Views, X: NDArray[Any], y: NDArray[Any]
) -> tuple[float, float]:
    """Return loss, with penalty, and score: the share of hits, or R^2 for squared error."""
    loss, hits = 0.0, 0.0
    for rows, workspace in _chunks(network, X):
        chunk_loss, chunk_hits = workspace.loss(views, X[rows], y[rows])
        loss += chunk_loss
        hits += chunk_hits
    score = hits / len(X)
    if network.loss == "squared_error":
        score = _r2_score(y, outputs(network, views, X))
    return float(loss / len(X) + penalty(views, network.weight_decay)), float(score)


def _chunks(network: Network, X: NDArray[Any]) -> Iterator[tuple[slice, Workspace]]:
    workspace = Workspace(network, min(ROWS, len(X)), X.dtype)
    for start in range(0, len(X), ROWS):
        rows = min(ROWS, len(X) - start)
        if rows < len(workspace.outputs[0]):
            workspace = Workspace(network, rows, X.dtype)
        yield slice(start, start + rows), workspace


def _r2_score(y: NDArray[Any], outputs: NDArray[Any]) -> float:
    """Return R^2 averaged over the outputs; for a constant target 1 if it is met, else 0."""
    y = y.astype(np.float64)
    residual = np.sum((y - outputs) ** 2, axis=0)
    total = np.sum((y - y.mean(axis=0)) ** 2, axis=0)
    # Asked of the range, too: the mean of a constant is rounded, and `total` may exceed zero.
    varies = (np.ptp(y, axis=0) > 0) & (total > 0)
    scores = np.where(varies, 1 - residual / np.where(varies, total, 1), residual == 0)
    return float(scores.mean())
