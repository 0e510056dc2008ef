"""Activations and losses of the network: rules and the loops over a batch that inline them.

A batch is a C-contiguous matrix, one sample a row.  As in `numadelta.kernels`, rules hold no
numeric literals (they would promote float32), so `one` is passed in, and nothing is checked.
"""

from __future__ import annotations

import math

import numpy as np

from numadelta.kernels import loop, rule

# Dropout compares 32 random bits with a threshold.
HASH_RANGE = 2**32

# Codes instead of functions as arguments: a loop that takes a function is compiled anew for each
# and never found in the disk cache.  LLVM hoists the branch on the code out of the loops.
ACTIVATIONS = {"identity": 0, "relu": 1, "tanh": 2, "logistic": 3}
IDENTITY, RELU, TANH, LOGISTIC = ACTIVATIONS.values()


@rule
def relu(value, one):
    """Return max(value, 0), and NaN for NaN."""
    return one - one if value < one - one else value


@rule
def slope(activation, out, one):
    """Return the derivative of an activation, given its output."""
    if activation == RELU:
        return one if out > one - one else one - one
    if activation == TANH:
        return one - out * out
    if activation == LOGISTIC:
        return out - out * out
    return one


@rule
def log_one_plus_exp(value, one):
    """Return log(1 + exp(value)) without overflow."""
    return max(value, one - one) + math.log1p(math.exp(-abs(value)))


@rule
def logistic(value, one):
    """Return 1 / (1 + exp(-value)) without overflow."""
    tail = math.exp(-abs(value))
    return (tail if value < one - one else one) / (one + tail)


@loop
def add_bias(batch, bias):
    """Add the bias to every row, in place."""
    for i in range(batch.shape[0]):
        for j in range(batch.shape[1]):
            batch[i, j] += bias[j]


@loop
def add_bias_relu(batch, bias):
    """Add the bias to every row and rectify, in place."""
    one = batch.dtype.type(1)
    for i in range(batch.shape[0]):
        for j in range(batch.shape[1]):
            batch[i, j] = relu(batch[i, j] + bias[j], one)


def activate(batch, bias, activation):
    """Add the bias to every row and apply the activation, in place."""
    if activation == RELU:
        add_bias_relu(batch, bias)
        return
    add_bias(batch, bias)
    # NumPy's tanh is vectorised, Numba's is a call per element (20 times slower).
    if activation == TANH:
        np.tanh(batch, out=batch)
    elif activation == LOGISTIC:
        # logistic(z) = (1 + tanh(z / 2)) / 2, close enough for a hidden layer; as a probability it
        # would be zero too soon, see logistic_outputs.
        half = batch.dtype.type(0.5)
        np.multiply(batch, half, out=batch)
        np.tanh(batch, out=batch)
        np.multiply(batch, half, out=batch)
        np.add(batch, half, out=batch)


@loop
def backward(delta, out, bias_grad, activation):
    """Turn dL/d(output) into dL/d(input) in place; write its column sums, the bias gradient."""
    one = delta.dtype.type(1)
    bias_grad[:] = one - one
    for i in range(delta.shape[0]):
        for j in range(delta.shape[1]):
            delta[i, j] *= slope(activation, out[i, j], one)
            bias_grad[j] += delta[i, j]


@rule
def random_bits(key, index):
    """Return 32 bits that look random: those of this index in the stream of this key.

    The finaliser "lowbias32" of C. Wellons' hash prospector.  A hash instead of a generator: the
    backward pass finds the same bits again, and an interrupted epoch needs no state.
    """
    bits = np.uint32(key ^ np.uint32(index))
    bits = np.uint32(np.uint32(bits ^ (bits >> np.uint32(16))) * np.uint32(0x7FEB352D))
    bits = np.uint32(np.uint32(bits ^ (bits >> np.uint32(15))) * np.uint32(0x846CA68B))
    return np.uint32(bits ^ (bits >> np.uint32(16)))


@loop
def drop(batch, out, key, threshold, scale):
    """Write zero to `out` where the random bits are below the threshold, else batch * scale."""
    columns = batch.shape[1]
    zero = scale - scale
    for i in range(batch.shape[0]):
        for j in range(columns):
            dropped = random_bits(key, i * columns + j) < threshold
            out[i, j] = zero if dropped else batch[i, j] * scale


@rule
def softmax_row(row, bias):
    """Add the bias to a row and turn it into probabilities; return log(sum(exp(row)))."""
    largest = row[0] + bias[0]
    for j in range(row.size):
        row[j] += bias[j]
        largest = max(largest, row[j])
    total = largest - largest
    for j in range(row.size):
        row[j] = math.exp(row[j] - largest)
        total += row[j]
    for j in range(row.size):
        row[j] /= total
    return largest + math.log(total)


@loop
def softmax(batch, bias):
    """Add the bias to every row and turn it into probabilities, in place."""
    for i in range(batch.shape[0]):
        softmax_row(batch[i], bias)


@loop
def logistic_outputs(batch, bias):
    """Add the bias to every row and turn it into probabilities, each for itself, in place."""
    one = batch.dtype.type(1)
    for i in range(batch.shape[0]):
        for j in range(batch.shape[1]):
            batch[i, j] = logistic(batch[i, j] + bias[j], one)


@loop
def cross_entropy(batch, bias, labels, sample_weight, bias_grad):
    """Replace output sums by dL/d(sum) of the mean weighted cross-entropy of their softmax.

    Returns the weighted loss, summed over the rows, and the weight of the rows whose largest output
    is at the label.  Writes the bias gradient.
    """
    real = batch.dtype.type
    rows = real(batch.shape[0])
    bias_grad[:] = real(0)
    tiny = np.finfo(batch.dtype).tiny
    loss, hits = 0.0, 0.0
    for i in range(batch.shape[0]):
        label, weight = labels[i], sample_weight[i]
        at_label = batch[i, label] + bias[label]
        # From the sums, because the probability may have underflowed.
        loss += weight * (softmax_row(batch[i], bias) - at_label)
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
def binary_cross_entropy(batch, bias, targets, sample_weight, bias_grad):
    """Do as `cross_entropy` for independent logistic outputs and targets in [0, 1].

    A row's loss is the mean over its outputs; its hits are the share of outputs on the right side
    of one half.
    """
    real = batch.dtype.type
    one, half = real(1), real(0.5)
    size = real(batch.size)
    bias_grad[:] = real(0)
    loss, hits = 0.0, 0.0
    for i in range(batch.shape[0]):
        weight = sample_weight[i]
        for j in range(batch.shape[1]):
            value, target = batch[i, j] + bias[j], targets[i, j]
            loss += weight * (log_one_plus_exp(value, one) - target * value)
            hits += weight * ((value > real(0)) == (target > half))
            batch[i, j] = weight * (logistic(value, one) - target) / size
            bias_grad[j] += batch[i, j]
    return loss / batch.shape[1], hits / batch.shape[1]


@loop
def squared_error(batch, bias, targets, sample_weight, bias_grad):
    """Do as `cross_entropy` for the mean square of output minus target.

    A row's loss is the mean over its outputs.  There are no hits.
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


@loop
def penalty(weights, weight_decay):
    """Return ``weight_decay / 2 * sum(weights**2)``, added up in float64."""
    # Eight sums: strict arithmetic makes the additions of a single one wait for one another.
    sums = np.zeros(8)
    whole = weights.size - weights.size % 8
    for i in range(0, whole, 8):
        for k in range(8):
            sums[k] += np.float64(weights[i + k]) * weights[i + k]
    for i in range(whole, weights.size):
        sums[0] += np.float64(weights[i]) * weights[i]
    return weight_decay / 2 * sums.sum()


@loop
def add_penalty_grad(weights, grads, weight_decay):
    """Add the gradient of `penalty` to `grads`."""
    factor = weights.dtype.type(weight_decay)
    for i in range(weights.size):
        grads[i] += factor * weights[i]


LOSSES = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "squared_error": squared_error,
}

# The losses that count hits; of the others R^2 is the score.
COUNT_HITS = ("cross_entropy", "binary_cross_entropy")
