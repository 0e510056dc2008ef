"""The losses of the network, over a batch.

A loss takes the output sums without their bias, bias, targets, sample weights and an array for the
bias gradient.  It replaces the sums by the derivative of the mean weighted loss, writes the bias
gradient, and returns the weighted loss, summed over the rows, and the weight of the rows that are
hits.

Exponentials are NumPy's, which are vectorised; Numba's are a call per element, and were most of the
loss.  So there is a loop before them and one after them, and the loss has a part from each.  As in
`numadelta.layers`, nothing is checked, and nothing computed per element holds a float literal.
"""

from __future__ import annotations

import math

import numpy as np

from numadelta.jit import loop, rule


def cross_entropy(batch, bias, labels, sample_weight, bias_grad):
    """Compute the cross-entropy of the softmax of the outputs.

    Labels are column indices.  A row is a hit if its largest output, the first of several, is at
    the label.
    """
    before, hits = softmax_exponents(batch, bias, labels, sample_weight)
    np.exp(batch, out=batch)
    return before + softmax_derivative(batch, labels, sample_weight, bias_grad), hits


def binary_cross_entropy(batch, bias, targets, sample_weight, bias_grad):
    """Compute the cross-entropy of independent logistic outputs for targets in [0, 1].

    A row's loss is the mean over its outputs; its hits are the share of outputs on the right side
    of one half.
    """
    before, hits = logistic_exponents(batch, bias, targets, sample_weight)
    np.exp(batch, out=batch)
    return before + logistic_derivative(batch, targets, sample_weight, bias_grad), hits


@rule
def exponent(value, limit):
    """Return the value, or infinity of its sign from the limit on.

    NumPy's exp makes zero or infinity of that, without complaint and without subnormal numbers.
    """
    zero = limit - limit
    return value if abs(value) < limit else value / zero


@rule
def exponent_limit(batch):
    """Return, in the dtype, the magnitude at which exp leaves the normal numbers, with a margin."""
    tiny = np.float64(np.finfo(batch.dtype).tiny)
    return batch.dtype.type(-math.log(tiny) * (1 - 1e-4))


@rule
def mean_derivative(derivative, weight, count, tiny):
    """Return the part of one element in the derivative of a weighted mean over so many.

    Below `tiny` it is zero: products with subnormal numbers would slow down the backward pass.
    """
    value = weight * derivative / count
    return tiny - tiny if abs(value) < tiny else value


@loop
def softmax_exponents(batch, bias, labels, sample_weight):
    """Replace sums by exponents relative to the largest of the row; return this part and hits.

    The loss of a row is ``log(sum(exp(z))) - z[label]``, here ``max(z) - z[label]``.
    """
    limit = exponent_limit(batch)
    loss, hits = 0.0, 0.0
    for i in range(batch.shape[0]):
        label, best = labels[i], 0
        for j in range(batch.shape[1]):
            batch[i, j] += bias[j]
            if batch[i, j] > batch[i, best]:
                best = j
        largest = batch[i, best]
        # From the sums, because the probability of the label may be zero.
        loss += sample_weight[i] * (largest - batch[i, label])
        hits += sample_weight[i] * (best == label)
        for j in range(batch.shape[1]):
            batch[i, j] = exponent(batch[i, j] - largest, limit)
    return loss, hits


@loop
def softmax_derivative(batch, labels, sample_weight, bias_grad):
    """Replace exponentials by the derivative; return the other part of the loss."""
    real = batch.dtype.type
    rows, tiny = real(batch.shape[0]), np.finfo(batch.dtype).tiny
    bias_grad[:] = real(0)
    loss = 0.0
    for i in range(batch.shape[0]):
        weight = sample_weight[i]
        # In float64, where what is left of a small loss counts beside the one of the largest.
        total = 0.0
        for j in range(batch.shape[1]):
            total += np.float64(batch[i, j])
        loss += weight * math.log(total)
        total = real(total)
        for j in range(batch.shape[1]):
            batch[i, j] /= total
        batch[i, labels[i]] -= real(1)
        for j in range(batch.shape[1]):
            batch[i, j] = mean_derivative(batch[i, j], weight, rows, tiny)
            bias_grad[j] += batch[i, j]
    return loss


@loop
def logistic_exponents(batch, bias, targets, sample_weight):
    """Replace sums by their negatives as exponents; return this part of the loss and hits.

    The loss of a sum z is ``log(1 + exp(z)) - target * z``, here ``max(z, 0) - target * z``.
    """
    real = batch.dtype.type
    zero, half, limit = real(0), real(0.5), exponent_limit(batch)
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
def logistic_derivative(batch, targets, sample_weight, bias_grad):
    """Replace exponentials by the derivative; return the other part, ``log(1 + exp(-abs(z)))``."""
    real = batch.dtype.type
    one, size, tiny = real(1), real(batch.size), np.finfo(batch.dtype).tiny
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
            derivative = one / (one + exponential) - targets[i, j]
            batch[i, j] = mean_derivative(derivative, weight, size, tiny)
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
