"""The losses and their probabilities, each against NumPy or SciPy in float64."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numba import config
from scipy import special

from mlp_reference import batch_and_bias, summed
from numadelta import losses

every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])

# From where exp underflows over where it overflows to the middle, both signs.
VALUES = np.concatenate([[0.0, -0.0], *(s * np.logspace(-30, 4, 69) for s in (1, -1))])


def close(found, expected, dtype, ulps=4):
    info = np.finfo(dtype)
    np.testing.assert_allclose(found, expected, rtol=ulps * info.eps, atol=info.tiny)


@every_dtype
@pytest.mark.parametrize("scale", [1, 100, 1e4])
def test_softmax_equals_scipy(scale, dtype):
    batch, bias = batch_and_bias(dtype, scale=scale)
    z = summed(batch, bias)
    losses.softmax(batch, bias)
    # exp turns a rounding of its argument into a relative error as large as the argument.
    ulps = 4 + np.ptp(z, axis=1).max()
    close(batch, special.softmax(z, axis=1), dtype, ulps)
    close(batch.sum(axis=1), 1, dtype)


def test_nan_anywhere_in_a_row_is_nan_everywhere_in_its_softmax():
    for column in range(3):
        batch = np.zeros((2, 3))
        batch[0, column] = np.nan
        losses.softmax(batch, np.zeros(3))
        assert np.isnan(batch[0]).all()
        np.testing.assert_array_equal(batch[1], 1 / 3)


@every_dtype
def test_logistic_outputs_equal_scipy_from_underflow_to_overflow(dtype):
    batch = VALUES.astype(dtype)[:, np.newaxis].repeat(2, axis=1)
    expected = special.expit(batch.astype(np.float64))
    losses.logistic_outputs(batch, np.zeros(2, dtype))
    close(batch, expected, dtype)


@every_dtype
@pytest.mark.parametrize("target", [0, 1])
def test_the_loss_of_a_logistic_output_equals_scipy_from_underflow_to_overflow(target, dtype):
    for value in VALUES.astype(dtype):
        batch, row = np.full((1, 1), value), np.zeros(1, dtype)
        found = losses.binary_cross_entropy(
            batch, row, np.full((1, 1), target, dtype), np.ones(1, dtype), row.copy()
        )
        expected = -special.log_expit(np.float64(value if target else -value))
        close(found[0], expected, dtype)
        assert found[1] == ((value > 0) == target)


def test_a_row_of_thousands_of_outputs_does_not_overflow():
    batch, zeros = np.zeros((2, 3000), np.float32), np.zeros(3000, np.float32)
    loss, _ = losses.binary_cross_entropy(batch, zeros, batch.copy(), np.ones(2), zeros.copy())
    assert loss == pytest.approx(2 * np.log(2), rel=1e-12)


def test_infinity_saturates_probabilities_and_nan_stays():
    batch = np.array([[np.inf, -np.inf, np.nan]])
    losses.logistic_outputs(batch, np.zeros(3))
    np.testing.assert_array_equal(batch, [[1, 0, np.nan]])
    batch = np.array([[0, -np.inf, 0]])
    losses.softmax(batch, np.zeros(3))
    np.testing.assert_array_equal(batch, [[0.5, 0, 0.5]])


@every_dtype
@pytest.mark.parametrize("name", ["cross_entropy", "binary_cross_entropy"])
def test_no_exponential_underflows_or_overflows(name, dtype):
    limit = -np.log(np.finfo(dtype).tiny)
    sums = [f * limit for f in (0, -0.5, -0.99, -0.9999, -1, -1.0001, -1.01, -1.1, -2, -1e3)]
    # As many as fill NumPy's vectors, for the others take another way.
    batch = np.repeat(np.array([sums], dtype), 16, axis=0)
    zeros = np.zeros(len(sums), dtype)
    targets = np.zeros(16, np.int64) if name == "cross_entropy" else np.zeros_like(batch)
    for probabilities in (losses.softmax, losses.logistic_outputs):
        for sign in (1, -1):
            outputs = sign * batch
            with np.errstate(all="raise"):
                probabilities(outputs, zeros)
            assert not np.any((outputs > 0) & (outputs < np.finfo(dtype).tiny))
    with np.errstate(all="raise"):
        losses.LOSSES[name](batch, zeros, targets, np.ones(16, dtype), zeros.copy())


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
@pytest.mark.parametrize("name", losses.LOSSES)
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
    found = losses.LOSSES[name](batch, bias, y, np.ones(len(batch), dtype), bias_grad)
    eps = float(np.finfo(dtype).eps)
    assert found == pytest.approx((loss, hits), rel=20 * eps)
    np.testing.assert_allclose(batch, derivative, rtol=0, atol=4 * eps)
    np.testing.assert_allclose(bias_grad, derivative.sum(axis=0), rtol=0, atol=10 * eps)


def test_the_square_of_a_large_float32_error_does_not_overflow():
    batch, zeros = np.full((1, 2), 1e30, np.float32), np.zeros(2, np.float32)
    loss, _ = losses.squared_error(batch, zeros, zeros[np.newaxis], np.ones(1), zeros.copy())
    assert loss == pytest.approx(1e60, rel=1e-6)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_nan_reaches_loss_and_derivative(name):
    batch, y = np.array([[0.0, np.nan]]), {"cross_entropy": np.array([0])}
    bias_grad = np.zeros(2)
    loss, _ = losses.LOSSES[name](
        batch, np.zeros(2), y.get(name, np.zeros((1, 2))), np.ones(1), bias_grad
    )
    assert np.isnan(loss)
    assert np.isnan(bias_grad[1])


@every_dtype
def test_subnormal_derivatives_of_cross_entropy_are_flushed_to_zero(dtype):
    tiny = np.finfo(dtype).tiny
    batch = np.array([[0, np.log(tiny) - 2, np.log(tiny) + 2]], dtype)
    assert 0 < np.exp(batch[0, 1]) < tiny
    losses.cross_entropy(
        batch, np.zeros(3, dtype), np.array([0]), np.ones(1, dtype), np.zeros(3, dtype)
    )
    assert batch[0, 1] == 0
    assert batch[0, 2] > tiny


def test_of_equal_largest_outputs_the_first_counts_as_the_answer():
    batch, bias = np.zeros((3, 3)), np.zeros(3)
    _, hits = losses.cross_entropy(batch, bias, np.array([0, 1, 2]), np.ones(3), np.zeros(3))
    assert hits == 1


@pytest.mark.skipif(config.DISABLE_JIT, reason="interpreted scalars warn of overflow")
@every_dtype
def test_overflow_makes_no_warning_for_the_check_of_the_gradient_sees_it(dtype):
    batch = np.full((2, 2), np.finfo(dtype).max)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss, _ = losses.squared_error(
            batch, np.zeros(2, dtype), -batch, np.ones(len(batch), dtype), np.zeros(2, dtype)
        )
    assert loss == np.inf
