"""A multi-layer perceptron that takes one sample at a time: slow, obvious, in float64.

The oracle of the tests, and small problems to ask it about.  It shares no code with the library.
"""

from __future__ import annotations

import numpy as np

ACTIVATIONS = {
    "identity": (lambda z: z, lambda z: np.ones_like(z)),
    "relu": (lambda z: np.where(z > 0, z, 0.0), lambda z: np.where(z > 0, 1.0, 0.0)),
    "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
    "logistic": (lambda z: 1 / (1 + np.exp(-z)), lambda z: np.exp(-z) / (1 + np.exp(-z)) ** 2),
}


def cross_entropy(z, label):
    p = np.exp(z) / np.sum(np.exp(z))
    return -np.log(p[label]), p - np.eye(len(z))[label]


def binary_cross_entropy(z, target):
    p = 1 / (1 + np.exp(-z))
    return -np.mean(target * np.log(p) + (1 - target) * np.log(1 - p)), (p - target) / len(z)


def squared_error(z, target):
    return np.mean((z - target) ** 2), 2 * (z - target) / len(z)


# Each returns the loss of one sample and its derivative by the output sums z.
LOSSES = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "squared_error": squared_error,
}


def split(theta, sizes):
    """Return copies of the weights and the biases in a flat array."""
    weights, biases, rest = [], [], np.array(theta, np.float64)
    for n_in, n_out in zip(sizes[:-1], sizes[1:], strict=True):
        weight, bias, rest = np.split(rest, [n_in * n_out, n_in * n_out + n_out])
        weights.append(weight.reshape(n_in, n_out))
        biases.append(bias)
    assert not rest.size
    return weights, biases


def forward(theta, sizes, sample, activation, factors=None):
    """Return the sums of each layer, and what enters each layer and leaves the last.

    `activation` is a name or a pair (rule, derivative); `factors` multiply what enters each layer.
    """
    rule, _ = ACTIVATIONS.get(activation, activation)
    weights, biases = split(theta, sizes)
    sums, layers = [], [np.asarray(sample, np.float64)]
    for k, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        if factors is not None:
            layers[k] = layers[k] * factors[k]
        sums.append(layers[k] @ weight + bias)
        layers.append(rule(sums[k]))
    return sums, layers


def outputs(theta, sizes, X, activation):
    """Return the output sums of each sample."""
    return np.array([forward(theta, sizes, sample, activation)[0][-1] for sample in X])


def loss_and_grad(
    theta, sizes, X, y, activation, loss, weight_decay=0.0, sample_weight=None, factors=None
):
    """Return the mean loss with penalty and its flat gradient.

    `loss` is a name or a function, as in LOSSES.  Of `factors` there is a matrix a layer, a row a
    sample: those of dropout.
    """
    _, derivative = ACTIVATIONS.get(activation, activation)
    weights, _ = split(theta, sizes)
    total = sum(weight_decay / 2 * np.sum(weight**2) for weight in weights)
    parts = [weight_decay * weight for weight in weights]
    bias_parts = [np.zeros(n_out) for n_out in sizes[1:]]
    shares = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight, np.float64)
    for i, share in enumerate(shares / shares.sum()):
        own = None if factors is None else [factor[i] for factor in factors]
        sums, layers = forward(theta, sizes, X[i], activation, own)
        value, delta = LOSSES.get(loss, loss)(sums[-1], y[i])
        total += share * value
        delta = share * delta
        for k in reversed(range(len(weights))):
            parts[k] = parts[k] + np.outer(layers[k], delta)
            bias_parts[k] = bias_parts[k] + delta
            if k:
                delta = weights[k] @ delta * (1 if own is None else own[k])
                delta = delta * derivative(sums[k - 1])
    pairs = zip(parts, bias_parts, strict=True)
    return total, np.concatenate([part.ravel() for pair in pairs for part in pair])


# Problems


def problem(loss, rows, features, outputs, seed=0):
    """Return random samples, and targets as the loss asks for them."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, features))
    if loss == "cross_entropy":
        return X, rng.integers(outputs, size=rows)
    if loss == "binary_cross_entropy":
        return X, rng.random((rows, outputs))
    return X, rng.normal(size=(rows, outputs))


def randomize(net, seed=1):
    """Give a network parameters of ordinary size, biases included; return it."""
    net.theta[:] = np.random.default_rng(seed).normal(scale=0.7, size=net.theta.size)
    return net


def same_bits(first, second):
    """Assert that two networks and their optimisers hold the same, to the last bit."""
    assert first.theta.tobytes() == second.theta.tobytes()
    assert first.optimizer.steps == second.optimizer.steps
    assert first.optimizer.square_avg.tobytes() == second.optimizer.square_avg.tobytes()
    assert first.optimizer.acc_delta.tobytes() == second.optimizer.acc_delta.tobytes()


def batch_and_bias(dtype, rows=5, columns=7, scale=1.0, seed=0):
    """Return what a layer adds up, without its bias, and the bias."""
    rng = np.random.default_rng(seed)
    batch, bias = rng.normal(scale=scale, size=(rows, columns)), rng.normal(size=columns)
    return batch.astype(dtype), bias.astype(dtype)


def summed(batch, bias):
    """Return batch plus bias as the kernels must round it, in float64."""
    return (batch + bias).astype(np.float64)
