"""The losses of the network, and the probabilities that go with them, over a batch.

Exponentials are NumPy's, which are vectorised; Numba's are a call per element, and were most of the
loss.  So there is a loop before them and one after them.  As in `numadelta.layers`, nothing is
checked and rules hold no numeric literals.

A loss takes the output sums without their bias, bias, targets, sample weights and an array for the
bias gradient.  It replaces the sums by the derivative of the mean weighted loss, writes the bias
gradient, and returns the weighted loss, summed over the rows, and the weight of the rows that are
hits.
"""

from __future__ import annotations

import math

import numpy as np

from numadelta.kernels import loop, rule


@rule
def exponent(value, limit):
    """Return the value, or infinity of its sign from the limit on.

    NumPy's exp makes zero or infinity of that without complaint and without subnormal numbers.
    """
    return value if abs(value) < limit else value / (limit - limit)


@rule
def exponent_limit(batch):
    """Return from where on exponentials are no normal numbers, a little less, in the dtype."""
    tiny = np.float64(np.finfo(batch.dtype).tiny)
    return batch.dtype.type(-math.log(tiny) * (1 - 1e-4))


def softmax(batch, bias):
    """Add the bias to every row and turn it into probabilities, in place."""
    center(batch, bias)
    np.exp(batch, batch)
    normalize(batch)


def logistic_outputs(batch, bias):
    """Add the bias to every row and turn it into probabilities, each for itself, in place."""
    negate(batch, bias)
    np.exp(batch, batch)
    invert(batch)


def cross_entropy(batch, bias, labels, sample_weight, bias_grad):
    """Compute the cross-entropy of the softmax; hit is the row whose largest output has the label.

    Labels are numbers of columns.
    """
    before = center_labelled(batch, bias, labels, sample_weight)
    np.exp(batch, batch)
    after, hits = after_softmax(batch, labels, sample_weight, bias_grad)
    return before + after, hits


def binary_cross_entropy(batch, bias, targets, sample_weight, bias_grad):
    """Compute the cross-entropy of independent logistic outputs for targets in [0, 1].

    A row's loss is the mean over its outputs; its hits are the share of outputs on the right side
    of one half.
    """
    before, hits = negate_targeted(batch, bias, targets, sample_weight)
    np.exp(batch, batch)
    after = after_logistic(batch, targets, sample_weight, bias_grad)
    return before + after, hits


@rule
def center_row(row, bias, limit):
    """Add the bias to a row and subtract the largest sum, which is returned."""
    largest = row[0] + bias[0]
    for j in range(row.size):
        row[j] += bias[j]
        largest = max(largest, row[j])
    for j in range(row.size):
        row[j] = exponent(row[j] - largest, limit)
    return largest


@rule
def normalize_row(row):
    """Divide a row by its sum, which is returned."""
    total = row[0] - row[0]
    for j in range(row.size):
        total += row[j]
    for j in range(row.size):
        row[j] /= total
    return total


@loop
def center(batch, bias):
    """Do as `center_row` for each row."""
    limit = exponent_limit(batch)
    for i in range(batch.shape[0]):
        center_row(batch[i], bias, limit)


@loop
def normalize(batch):
    """Do as `normalize_row` for each row."""
    for i in range(batch.shape[0]):
        normalize_row(batch[i])


@loop
def center_labelled(batch, bias, labels, sample_weight):
    """Do as `center`; return the part of the loss that comes from the sums.

    From the sums, because the probability of a label may be zero.
    """
    limit = exponent_limit(batch)
    loss = 0.0
    for i in range(batch.shape[0]):
        at_label = batch[i, labels[i]] + bias[labels[i]]
        loss += sample_weight[i] * (center_row(batch[i], bias, limit) - at_label)
    return loss


@loop
def after_softmax(batch, labels, sample_weight, bias_grad):
    """Replace exponentials by the derivative; return the other part of the loss, and hits."""
    real = batch.dtype.type
    rows = real(batch.shape[0])
    bias_grad[:] = real(0)
    tiny = np.finfo(batch.dtype).tiny
    loss, hits = 0.0, 0.0
    for i in range(batch.shape[0]):
        label, weight = labels[i], sample_weight[i]
        loss += weight * math.log(normalize_row(batch[i]))
        best = 0
        for j in range(batch.shape[1]):
            if batch[i, j] > batch[i, best]:
                best = j
        hits += weight * (best == label)
        batch[i, label] -= real(1)
        for j in range(batch.shape[1]):
            # Flushed: products with subnormal numbers would slow down the backward pass.
            value = weight * batch[i, j] / rows
            batch[i, j] = real(0) if abs(value) < tiny else value
            bias_grad[j] += batch[i, j]
    return loss, hits


@loop
def negate(batch, bias):
    """Add the bias to every row and change the sign."""
    limit = exponent_limit(batch)
    for i in range(batch.shape[0]):
        for j in range(batch.shape[1]):
            batch[i, j] = exponent(-(batch[i, j] + bias[j]), limit)


@loop
def invert(batch):
    """Turn ``exp(-sum)`` into ``1 / (1 + exp(-sum))``, the logistic function of the sum."""
    one = batch.dtype.type(1)
    for i in range(batch.shape[0]):
        for j in range(batch.shape[1]):
            batch[i, j] = one / (one + batch[i, j])


@loop
def negate_targeted(batch, bias, targets, sample_weight):
    """Do as `negate`; return the part of the loss that comes from the sums, and hits.

    With the sum z, the loss ``log(1 + exp(z)) - target * z`` is ``max(z, 0) - target * z`` and
    ``log(1 + exp(-abs(z)))``.
    """
    real = batch.dtype.type
    zero, half = real(0), real(0.5)
    limit = exponent_limit(batch)
    loss, hits = 0.0, 0.0
    for i in range(batch.shape[0]):
        weight = sample_weight[i]
        for j in range(batch.shape[1]):
            value, target = batch[i, j] + bias[j], targets[i, j]
            loss += weight * ((value if value > zero else zero) - target * value)
            hits += weight * ((value > zero) == (target > half))
            batch[i, j] = exponent(-value, limit)
    return loss / batch.shape[1], hits / batch.shape[1]


@loop
def after_logistic(batch, targets, sample_weight, bias_grad):
    """Replace exponentials by the derivative; return the other part of the loss."""
    real = batch.dtype.type
    one, size = real(1), real(batch.size)
    bias_grad[:] = real(0)
    loss = 0.0
    for i in range(batch.shape[0]):
        weight = sample_weight[i]
        # One logarithm for many: log1p(a) + log1p(b) = log1p(a + b + a * b).
        product = 0.0
        for j in range(batch.shape[1]):
            exponential = batch[i, j]
            tail = exponential if exponential < one else one / exponential
            product += np.float64(tail) * (1.0 + product)
            if product > 1e100:
                loss += weight * math.log1p(product)
                product = 0.0
            batch[i, j] = weight * (one / (one + exponential) - targets[i, j]) / size
            bias_grad[j] += batch[i, j]
        loss += weight * math.log1p(product)
    return loss / batch.shape[1]


@loop
def squared_error(batch, bias, targets, sample_weight, bias_grad):
    """Compute the mean over the outputs of the square of output minus target.

    There are no hits.
    """
    real = batch.dtype.type
    factor = real(2.0 / batch.size)
    bias_grad[:] = real(0)
    loss = 0.0
    for i in range(batch.shape[0]):
        weight = sample_weight[i]
        for j in range(batch.shape[1]):
            error = batch[i, j] + bias[j] - targets[i, j]
            # In float64, where the square of a large error does not overflow.
            loss += weight * (np.float64(error) * error)
            batch[i, j] = factor * (weight * error)
            bias_grad[j] += batch[i, j]
    return loss / batch.shape[1], 0.0


LOSSES = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "squared_error": squared_error,
}

# The losses that count hits; of the others R^2 is the score.
COUNT_HITS = ("cross_entropy", "binary_cross_entropy")
