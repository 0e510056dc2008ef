"""The kernels of the layers, each against NumPy or SciPy in float64."""

from __future__ import annotations

import numpy as np
import pytest
from numba import config, njit, types
from scipy import special

from mlp_reference import batch_and_bias, summed
from numadelta import layers

every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])

# Rules


@every_dtype
def test_relu_is_the_maximum_of_the_value_and_zero(dtype):
    values = np.array([0, -0.0, 1e-30, -1e-30, 2, -2, np.inf, -np.inf, np.nan], dtype)
    found = [layers.relu(value, dtype(1)) for value in values]
    np.testing.assert_array_equal(found, np.maximum(values, 0))


@every_dtype
@pytest.mark.parametrize(
    ("activation", "function"),
    [
        ("identity", lambda z: z),
        ("relu", lambda z: np.maximum(z, 0)),
        ("tanh", np.tanh),
        ("logistic", special.expit),
    ],
)
def test_the_slope_at_an_output_is_the_derivative_at_its_input(activation, function, dtype):
    z, h = np.array([-2.0, -0.5, 0.25, 3.0]), 1e-6
    derivative = (function(z + h) - function(z - h)) / (2 * h)
    code = layers.ACTIVATIONS[activation]
    found = [layers.slope(code, out, dtype(1)) for out in function(z).astype(dtype)]
    np.testing.assert_allclose(found, derivative, rtol=1e-4 if dtype is np.float32 else 1e-8)


def test_relu_keeps_float32():
    if config.DISABLE_JIT:
        assert layers.relu(np.float32(0.5), np.float32(1)).dtype == np.float32
        return
    inlined = njit(lambda value, one: layers.relu(value, one))
    inlined(np.float32(0.5), np.float32(1))
    assert inlined.nopython_signatures[0].return_type == types.float32


@pytest.mark.parametrize("code", layers.ACTIVATIONS.values(), ids=layers.ACTIVATIONS)
def test_slopes_keep_float32(code):
    if config.DISABLE_JIT:
        assert layers.slope(code, np.float32(0.5), np.float32(1)).dtype == np.float32
        return
    inlined = njit(lambda out, one: layers.slope(code, out, one))
    inlined(np.float32(0.5), np.float32(1))
    assert inlined.nopython_signatures[0].return_type == types.float32


# Hidden layers


@every_dtype
def test_the_bias_is_added_to_every_row(dtype):
    batch, bias = batch_and_bias(dtype)
    expected = batch + bias
    layers.add_bias(batch, bias)
    np.testing.assert_array_equal(batch, expected)
    assert batch.dtype == dtype


@every_dtype
@pytest.mark.parametrize(
    ("activation", "function"),
    [
        ("identity", lambda z: z),
        ("relu", lambda z: np.maximum(z, 0)),
        ("tanh", np.tanh),
        ("logistic", special.expit),
    ],
)
def test_activations_equal_scipy(activation, function, dtype):
    batch, bias = batch_and_bias(dtype, scale=5)
    expected = function(summed(batch, bias))
    layers.activate(batch, bias, layers.ACTIVATIONS[activation])
    # The logistic function goes through tanh, which is exact to an ulp of one, not of the result.
    np.testing.assert_allclose(
        batch, expected, rtol=4 * np.finfo(dtype).eps, atol=np.finfo(dtype).eps
    )
    assert batch.dtype == dtype


@pytest.mark.parametrize("activation", layers.ACTIVATIONS)
def test_activations_hand_on_nan_and_bound_the_rest(activation):
    batch = np.array([[np.nan, 1e4, -1e4]])
    layers.activate(batch, np.zeros(3), layers.ACTIVATIONS[activation])
    assert np.isnan(batch[0, 0])
    expected = {"identity": [1e4, -1e4], "relu": [1e4, 0], "tanh": [1, -1], "logistic": [1, 0]}
    np.testing.assert_array_equal(batch[0, 1:], expected[activation])


@every_dtype
@pytest.mark.parametrize("activation", layers.ACTIVATIONS)
def test_backward_multiplies_by_the_slope_and_sums_the_columns(activation, dtype):
    delta, _ = batch_and_bias(dtype)
    out = np.random.default_rng(1).uniform(0.1, 0.9, delta.shape).astype(dtype)
    out[::2, ::2] = 0
    code, bias_grad = layers.ACTIVATIONS[activation], np.full(delta.shape[1], np.nan, dtype)
    slopes = {
        "identity": np.ones(out.shape),
        "relu": out > 0,
        "tanh": 1 - out.astype(np.float64) ** 2,
        "logistic": out.astype(np.float64) * (1 - out),
    }
    expected = delta * slopes[activation]
    layers.backward(delta, out, bias_grad, code)
    np.testing.assert_allclose(delta, expected, rtol=1e-6 if dtype is np.float32 else 1e-14)
    np.testing.assert_allclose(
        bias_grad, expected.sum(axis=0), rtol=0, atol=10 * np.finfo(dtype).eps
    )


# The penalty


@every_dtype
def test_the_penalty_and_its_gradient(dtype):
    weights, grads = np.arange(4, dtype=dtype), np.ones(4, dtype)
    assert layers.penalty(weights, 0.5) == 0.25 * 14
    layers.add_penalty_grad(weights, grads, 0.5)
    np.testing.assert_array_equal(grads, [1, 1.5, 2, 2.5])
    np.testing.assert_array_equal(weights, range(4))
