"""The kernels of the layers, each against NumPy or SciPy in float64."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numba import config, njit, types
from scipy import special

from numadelta import layers

every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])

# From where exp underflows over where it overflows to the middle, both signs.
VALUES = np.concatenate([[0.0, -0.0], *(s * np.logspace(-30, 4, 69) for s in (1, -1))])


def close(found, expected, dtype, ulps=4):
    info = np.finfo(dtype)
    np.testing.assert_allclose(found, expected, rtol=ulps * info.eps, atol=info.tiny)


def batch_and_bias(dtype, rows=5, columns=7, scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    batch, bias = rng.normal(scale=scale, size=(rows, columns)), rng.normal(size=columns)
    return batch.astype(dtype), bias.astype(dtype)


def summed(batch, bias):
    """Return batch plus bias as the kernels must round it, in float64."""
    return (batch + bias).astype(np.float64)


# Rules


@every_dtype
@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (layers.logistic, special.expit),
        (layers.log_one_plus_exp, lambda value: -special.log_expit(-value)),
        (layers.relu, lambda value: np.maximum(value, 0)),
    ],
    ids=["logistic", "log_one_plus_exp", "relu"],
)
def test_a_rule_equals_scipy_from_underflow_to_overflow(rule, expected, dtype):
    values = VALUES.astype(dtype)
    found = [rule(value, dtype(1)) for value in values]
    close(found, expected(values.astype(np.float64)), dtype)


@pytest.mark.parametrize("rule", [layers.logistic, layers.log_one_plus_exp, layers.relu])
def test_a_rule_hands_on_nan(rule):
    assert np.isnan(rule(np.float64("nan"), np.float64(1)))


@every_dtype
@pytest.mark.parametrize("infinity", [np.inf, -np.inf])
def test_infinity_saturates_the_rules(infinity, dtype):
    value, one = dtype(infinity), dtype(1)
    assert layers.logistic(value, one) == (infinity > 0)
    assert layers.relu(value, one) == max(infinity, 0)
    assert layers.log_one_plus_exp(value, one) == max(infinity, 0)


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


@pytest.mark.parametrize("rule", [layers.logistic, layers.log_one_plus_exp, layers.relu])
def test_rules_keep_float32(rule):
    if config.DISABLE_JIT:
        assert rule(np.float32(0.5), np.float32(1)).dtype == np.float32
        return
    inlined = njit(lambda value, one: rule(value, one))
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


# The last layer


@every_dtype
@pytest.mark.parametrize("scale", [1, 100, 1e4])
def test_softmax_equals_scipy(scale, dtype):
    batch, bias = batch_and_bias(dtype, scale=scale)
    z = summed(batch, bias)
    layers.softmax(batch, bias)
    # exp turns a rounding of its argument into a relative error as large as the argument.
    ulps = 4 + np.ptp(z, axis=1).max()
    close(batch, special.softmax(z, axis=1), dtype, ulps)
    close(batch.sum(axis=1), 1, dtype)


def test_nan_anywhere_in_a_row_is_nan_everywhere_in_its_softmax():
    for column in range(3):
        batch = np.zeros((2, 3))
        batch[0, column] = np.nan
        layers.softmax(batch, np.zeros(3))
        assert np.isnan(batch[0]).all()
        np.testing.assert_array_equal(batch[1], 1 / 3)


def losses_of(name, z, y):
    """Return loss, hits and derivative of a batch, as summed over the rows, in float64."""
    rows = len(z)
    if name == "cross_entropy":
        p, one_hot = special.softmax(z, axis=1), np.eye(z.shape[1])[y]
        return -np.sum(np.log(p) * one_hot), np.sum(z.argmax(axis=1) == y), (p - one_hot) / rows
    if name == "binary_cross_entropy":
        p = special.expit(z)
        loss = -np.mean(special.xlogy(y, p) + special.xlog1py(1 - y, -p)) * rows
        return loss, np.mean((p > 0.5) == (y > 0.5)) * rows, (p - y) / z.size
    return np.mean((z - y) ** 2) * rows, 0, 2 * (z - y) / z.size


@every_dtype
@pytest.mark.parametrize("name", layers.LOSSES)
def test_losses_equal_their_formulas(name, dtype):
    batch, bias = batch_and_bias(dtype, scale=2)
    rng = np.random.default_rng(2)
    y = {
        "cross_entropy": rng.integers(7, size=5),
        "binary_cross_entropy": rng.random((5, 7)).round(1).astype(dtype),
        "squared_error": rng.normal(size=(5, 7)).astype(dtype),
    }[name]
    loss, hits, derivative = losses_of(name, summed(batch, bias), y)
    bias_grad = np.full(7, np.nan, dtype)
    found = layers.LOSSES[name](batch, bias, y, np.ones(len(batch), dtype), bias_grad)
    eps = float(np.finfo(dtype).eps)
    assert found == pytest.approx((loss, hits), rel=20 * eps)
    np.testing.assert_allclose(batch, derivative, rtol=0, atol=4 * eps)
    np.testing.assert_allclose(bias_grad, derivative.sum(axis=0), rtol=0, atol=10 * eps)


def test_the_square_of_a_large_float32_error_does_not_overflow():
    batch, zeros = np.full((1, 2), 1e30, np.float32), np.zeros(2, np.float32)
    loss, _ = layers.squared_error(batch, zeros, zeros[np.newaxis], np.ones(1), zeros.copy())
    assert loss == pytest.approx(1e60, rel=1e-6)


@pytest.mark.parametrize("name", layers.LOSSES)
def test_nan_reaches_loss_and_derivative(name):
    batch, y = np.array([[0.0, np.nan]]), {"cross_entropy": np.array([0])}
    bias_grad = np.zeros(2)
    loss, _ = layers.LOSSES[name](
        batch, np.zeros(2), y.get(name, np.zeros((1, 2))), np.ones(1), bias_grad
    )
    assert np.isnan(loss)
    assert np.isnan(bias_grad[1])


@every_dtype
def test_subnormal_derivatives_of_cross_entropy_are_flushed_to_zero(dtype):
    tiny = np.finfo(dtype).tiny
    batch = np.array([[0, np.log(tiny) - 2, np.log(tiny) + 2]], dtype)
    assert 0 < np.exp(batch[0, 1]) < tiny
    layers.cross_entropy(
        batch, np.zeros(3, dtype), np.array([0]), np.ones(1, dtype), np.zeros(3, dtype)
    )
    assert batch[0, 1] == 0
    assert batch[0, 2] > tiny


def test_of_equal_largest_outputs_the_first_counts_as_the_answer():
    batch, bias = np.zeros((3, 3)), np.zeros(3)
    _, hits = layers.cross_entropy(batch, bias, np.array([0, 1, 2]), np.ones(3), np.zeros(3))
    assert hits == 1


@every_dtype
def test_the_penalty_and_its_gradient(dtype):
    weights, grads = np.arange(4, dtype=dtype), np.ones(4, dtype)
    assert layers.penalty(weights, 0.5) == 0.25 * 14
    layers.add_penalty_grad(weights, grads, 0.5)
    np.testing.assert_array_equal(grads, [1, 1.5, 2, 2.5])
    np.testing.assert_array_equal(weights, range(4))


@pytest.mark.skipif(config.DISABLE_JIT, reason="interpreted scalars warn of overflow")
@every_dtype
def test_overflow_makes_no_warning_for_the_check_of_the_gradient_sees_it(dtype):
    batch = np.full((2, 2), np.finfo(dtype).max)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss, _ = layers.squared_error(
            batch, np.zeros(2, dtype), -batch, np.ones(len(batch), dtype), np.zeros(2, dtype)
        )
    assert loss == np.inf
