"""Outputs, loss and score of a network over any number of samples, a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numadelta.backprop import Network, Views, Workspace, parameter_count, penalty
from numadelta.team import matrix_maker

# Rows that are evaluated at a time: the buffers stay in the cache.
ROWS = 1024


def outputs(network: Network, views: Views, X: Any) -> NDArray[Any]:
    """Return what the last layer adds up, biases included, one sample a row."""
    sums = np.empty((X.shape[0], network.sizes[-1]), X.dtype)
    for rows, workspace, inputs in _chunks(network, X):
        np.add(workspace.output_sums(views, inputs), views.biases[-1], out=sums[rows])
    return sums


def evaluate(
    network: Network,
    views: Views,
    X: Any,
    y: NDArray[Any],
    sample_weight: NDArray[Any] | None = None,
    *,
    matrix: Callable[[Any], Any] | None = None,
) -> tuple[float, float]:
    """Return loss, with penalty, and score: the share of hits, or else R^2.

    Weights have a mean of one.  `matrix` is that of a training, if it shall be used here, too.
    """
    loss, hits = 0.0, 0.0
    sums = None if network.counts_hits else np.empty((len(y), network.sizes[-1]), X.dtype)
    for rows, workspace, inputs in _chunks(network, X, matrix):
        weights = None if sample_weight is None else sample_weight[rows]
        found = None if sums is None else sums[rows]
        chunk_loss, chunk_hits = workspace.loss(views, inputs, y[rows], weights, found)
        loss += chunk_loss
        hits += chunk_hits
    score = hits / len(y) if sums is None else _r2_score(y, sums, sample_weight)
    return float(loss / len(y) + penalty(views, network.weight_decay)), float(score)


def _chunks(
    network: Network, X: Any, matrix: Callable[[Any], Any] | None = None
) -> Iterator[tuple[slice, Workspace, Any]]:
    """Return some rows after the other, with a workspace for them, and as what multiplies."""
    count = X.shape[0]
    if matrix is None:
        matrix = matrix_maker(parameter_count(network.sizes), min(ROWS, count), X.dtype)
    workspace = Workspace(network, min(ROWS, count), X.dtype, matrix=matrix)
    for start in range(0, count, ROWS):
        rows = slice(start, min(start + ROWS, count))
        inputs = X[rows]
        if inputs.shape[0] < workspace.rows:
            workspace = Workspace(network, inputs.shape[0], X.dtype, matrix=matrix)
        yield rows, workspace, matrix(inputs) if isinstance(X, np.ndarray) else inputs


def _r2_score(y: NDArray[Any], outputs: NDArray[Any], sample_weight: NDArray[Any] | None) -> float:
    """Return R^2 averaged over the outputs; for a constant target 1 if it is met, else 0."""
    y = y.astype(np.float64)
    weights = np.ones(1) if sample_weight is None else sample_weight
    weights = weights.astype(np.float64)[:, np.newaxis]
    mean = np.average(y, axis=0, weights=np.broadcast_to(weights, y.shape))
    residual = np.sum(weights * (y - outputs) ** 2, axis=0)
    total = np.sum(weights * (y - mean) ** 2, axis=0)
    # Asked of the range, too: the mean of a constant is rounded, and `total` may exceed zero.
    varies = (np.ptp(y[np.broadcast_to(weights[:, 0] > 0, len(y))], axis=0) > 0) & (total > 0)
    scores = np.where(varies, 1 - residual / np.where(varies, total, 1), residual == 0)
    return float(scores.mean())
