"""Activations, dropout and penalty of the network: rules and the loops that inline them.

A batch is a C-contiguous matrix, one sample a row.  As in `numadelta.kernels`, rules hold no float
literals (they would promote float32), so `one` is passed in, and nothing is checked.
"""

from __future__ import annotations

import numpy as np

from numadelta.jit import loop, rule

# Dropout compares 32 random bits with a threshold.
HASH_RANGE = 2**32

# Codes instead of functions as arguments: a loop that takes a function is compiled anew for each
# and never found in the disk cache.  LLVM hoists the branch on the code out of the loops.
ACTIVATIONS = {"identity": 0, "relu": 1, "tanh": 2, "logistic": 3}
_, RELU, TANH, LOGISTIC = ACTIVATIONS.values()


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
        # would be zero too soon, so there scipy.special's is used.
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


# In strict arithmetic the additions of one sum wait for one another.  The loop over 8 or 32 is
# unrolled, not vectorised, and takes four times longer.
_SUMS = 64


@loop
def penalty(weights, weight_decay):
    """Return ``weight_decay / 2 * sum(weights**2)``, added up in float64."""
    sums = np.zeros(_SUMS)
    whole = weights.size - weights.size % _SUMS
    for i in range(0, whole, _SUMS):
        for k in range(_SUMS):
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
