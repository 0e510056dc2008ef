"""The losses, each against NumPy or SciPy in float64."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numba import config, njit, types
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
@pytest.mark.parametrize("target", [0, 1])
def test_the_loss_of_a_logistic_output_equals_scipy_from_underflow_to_overflow(target, dtype):
    values = VALUES.astype(dtype)
    for value in [*values, dtype(np.inf), dtype(-np.inf)]:
        batch, row = np.full((1, 1), value), np.zeros(1, dtype)
        targets = np.full((1, 1), target, dtype)
        loss, hits = losses.binary_cross_entropy(batch, row, targets, np.ones(1, dtype), row.copy())
        if np.isfinite(value):
            close(loss, -special.log_expit(np.float64(value if target else -value)), dtype)
        assert hits == ((value > 0) == target)
        derivative = special.expit(np.float64(value)) - target
        assert batch[0, 0] == pytest.approx(derivative, rel=0, abs=float(np.finfo(dtype).eps))


@every_dtype
@pytest.mark.parametrize("ahead", [0.1, 1, 5, 15, 30, 80, 1000])
def test_a_small_cross_entropy_is_exact(ahead, dtype):
    batch, zeros = np.array([[0, ahead]], dtype), np.zeros(2, dtype)
    ahead = np.float64(batch[0, 1])
    loss, _ = losses.cross_entropy(batch, zeros, np.array([1]), np.ones(1, dtype), zeros.copy())
    assert loss == pytest.approx(np.log1p(np.exp(-ahead)), rel=1e-6, abs=1e-15)


@every_dtype
@pytest.mark.parametrize("name", ["cross_entropy", "binary_cross_entropy"])
@pytest.mark.parametrize("sign", [1, -1])
def test_no_exponential_underflows_or_overflows(sign, name, dtype):
    limit = -np.log(np.finfo(dtype).tiny)
    sums = [f * limit for f in (0, -0.5, -0.99, -0.9999, -1, -1.0001, -1.01, -1.1, -2, -1e3)]
    # As many as fill NumPy's vectors, for the others take another way.
    batch = np.repeat(np.array([sums], dtype) * sign, 16, axis=0)
    zeros = np.zeros(len(sums), dtype)
    targets = np.zeros(16, np.int64) if name == "cross_entropy" else np.zeros_like(batch)
    with np.errstate(all="raise"):
        losses.LOSSES[name](batch, zeros, targets, np.ones(16, dtype), zeros.copy())
    assert np.isfinite(batch).all()


@every_dtype
@pytest.mark.parametrize("name", ["cross_entropy", "binary_cross_entropy"])
def test_subnormal_derivatives_are_zero(name, dtype):
    info = np.finfo(dtype)
    rows = 64
    batch = np.zeros((rows, 3), dtype)
    # Their exponentials are normal numbers, but not a 64th of the second.
    batch[:, 1], batch[:, 2] = np.log(info.tiny) + 2, np.log(info.tiny) + 9
    zeros = np.zeros(3, dtype)
    targets = np.zeros(rows, np.int64) if name == "cross_entropy" else np.zeros_like(batch)
    losses.LOSSES[name](batch, zeros, targets, np.ones(rows, dtype), zeros.copy())
    assert (batch[:, 1] == 0).all()
    assert (batch[:, 2] >= info.tiny).all()


def test_a_row_of_thousands_of_outputs_does_not_overflow():
    batch, zeros = np.zeros((2, 3000), np.float32), np.zeros(3000, np.float32)
    weights = np.array([0.5, 3])
    loss, _ = losses.binary_cross_entropy(batch, zeros, batch.copy(), weights, zeros.copy())
    assert loss == pytest.approx(3.5 * np.log(2), rel=1e-12)


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


def test_of_equal_largest_outputs_the_first_counts_as_the_answer():
    batch, bias = np.zeros((3, 3)), np.zeros(3)
    _, hits = losses.cross_entropy(batch, bias, np.array([0, 0, 1]), np.ones(3), np.zeros(3))
    assert hits == 2


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


@pytest.mark.parametrize(
    "call",
    [
        lambda value: losses.exponent(value, value + value),
        lambda value: losses.mean_derivative(value, value, value, value),
    ],
    ids=["exponent", "mean_derivative"],
)
def test_rules_keep_float32(call):
    if config.DISABLE_JIT:
        assert call(np.float32(0.5)).dtype == np.float32
        return
    inlined = njit(call)
    inlined(np.float32(0.5))
    assert inlined.nopython_signatures[0].return_type == types.float32
