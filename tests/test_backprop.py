"""Loss and gradient of the network: against a slow reference, differences and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

import mlp_reference
import numadelta as nd
from mlp_reference import problem, randomize
from numadelta.backprop import Workspace, layer_views, parameter_count

every_activation = pytest.mark.parametrize("activation", mlp_reference.ACTIVATIONS)
every_loss = pytest.mark.parametrize("loss", mlp_reference.LOSSES)
every_depth = pytest.mark.parametrize(
    "sizes", [(3, 2), (3, 5, 2), (3, 7, 4, 2)], ids=["no hidden", "one hidden", "two hidden"]
)
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])

# One hidden layer of the network `net_and_data` makes
SIZES = (4, 6, 3)


def net_and_data(loss, sizes=SIZES, rows=5, dtype=np.float64, **options):
    net = randomize(nd.MLP(sizes, loss=loss, dtype=dtype, **options))
    X, y = problem(loss, rows, sizes[0], sizes[-1])
    return net, X, y


# Values


@every_depth
@every_loss
@every_activation
def test_the_gradient_agrees_with_differences_of_the_loss(activation, loss, sizes):
    net, X, y = net_and_data(loss, sizes, activation=activation, weight_decay=0.1)
    error = optimize.check_grad(
        lambda theta: net.loss_and_grad(theta, X, y)[0],
        lambda theta: net.loss_and_grad(theta, X, y)[1],
        net.theta,
    )
    # A forward difference over h = 1.5e-8 errs by about h/2 |f''| + 2e-16 |f| / h, some 1e-8 an
    # element here; check_grad takes the root of the sum of squares over up to 70 elements.
    assert error < 5e-7


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
@every_depth
@every_loss
@every_activation
def test_loss_and_gradient_equal_the_slow_reference(
    activation, loss, sizes, dtype, tolerance, weight_decay
):
    net, X, y = net_and_data(
        loss, sizes, dtype=dtype, activation=activation, weight_decay=weight_decay
    )
    found_loss, found_grad = net.loss_and_grad(net.theta, X, y)
    expected_loss, expected_grad = mlp_reference.loss_and_grad(
        net.theta, sizes, X, y, activation, loss, weight_decay
    )
    assert found_loss == pytest.approx(expected_loss, rel=tolerance)
    np.testing.assert_allclose(
        found_grad, expected_grad, rtol=tolerance, atol=tolerance * abs(expected_grad).max()
    )


@every_loss
def test_the_loss_without_penalty_is_the_one_scikit_learn_knows(loss):
    metrics = pytest.importorskip("sklearn.metrics")
    net, X, y = net_and_data(loss, rows=40)
    if loss == "cross_entropy":
        expected = metrics.log_loss(y, net.predict_proba(X), labels=range(SIZES[-1]))
    elif loss == "squared_error":
        expected = metrics.mean_squared_error(y, net.predict(X))
    else:
        y = y.round()
        columns = zip(y.T, net.predict_proba(X).T, strict=True)
        expected = np.mean([metrics.log_loss(column, p, labels=[0, 1]) for column, p in columns])
    assert net.loss_and_grad(net.theta, X, y)[0] == pytest.approx(expected, rel=1e-12)
    assert net.evaluate(X, y)[0] == pytest.approx(expected, rel=1e-12)


def test_the_penalty_is_half_the_decay_times_the_squared_weights_without_biases():
    plain, X, y = net_and_data("squared_error")
    decayed, _, _ = net_and_data("squared_error", weight_decay=0.5)
    penalty = 0.25 * sum(np.sum(weights**2) for weights in plain.weights)
    for loss_of in (
        lambda net: net.loss_and_grad(net.theta, X, y)[0],
        lambda net: net.evaluate(X, y)[0],
    ):
        assert loss_of(decayed) == pytest.approx(loss_of(plain) + penalty, rel=1e-12)
    change = decayed.loss_and_grad(plain.theta, X, y)[1] - plain.loss_and_grad(plain.theta, X, y)[1]
    views = layer_views(change, SIZES)
    for found, weights in zip(views.weights, plain.weights, strict=True):
        np.testing.assert_allclose(found, 0.5 * weights, rtol=1e-12)
    for found in views.biases:
        np.testing.assert_array_equal(found, 0)


def test_a_column_of_targets_and_its_flat_form_are_the_same():
    net, X, y = net_and_data("squared_error", (4, 3, 1))
    loss, grad = net.loss_and_grad(net.theta, X, y)
    flat_loss, flat_grad = net.loss_and_grad(net.theta, X, y[:, 0])
    assert flat_loss == loss
    np.testing.assert_array_equal(flat_grad, grad)


# Outputs so large that a plain exp overflows


@every_dtype
@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy"])
def test_extreme_outputs_give_a_finite_loss_and_gradient(loss, dtype):
    net = nd.MLP((1, 2), loss=loss, dtype=dtype)
    net.theta[:] = [1e4, -1e4, 0, 0]
    X = np.array([[1.0], [-1.0], [0.0]])
    y = np.array([0, 0, 1])
    targets = y if loss == "cross_entropy" else np.eye(2)[y]
    value, grad = net.loss_and_grad(net.theta, X, targets)
    assert 10 < value < 1e4
    assert np.isfinite(grad).all()
    assert np.isfinite(net.predict_proba(X)).all()
    np.testing.assert_array_equal(net.predict_proba(X)[:2], [[1, 0], [0, 1]])


def test_the_binary_loss_of_an_extreme_output_is_the_output():
    net = nd.MLP((1, 1), loss="binary_cross_entropy", dtype=np.float64)
    net.theta[:] = [1e4, 0]
    assert net.loss_and_grad(net.theta, [[1.0]], [0.0])[0] == 1e4
    assert net.loss_and_grad(net.theta, [[1.0]], [1.0])[0] == 0


@every_dtype
def test_a_likelihood_that_underflows_costs_the_difference_of_the_outputs(dtype):
    net = nd.MLP((1, 2), dtype=dtype)
    net.theta[:] = [1e4, -1e4, 0, 0]
    loss, grad = net.loss_and_grad(net.theta, [[-1.0]], [0])
    assert loss == 2e4
    np.testing.assert_array_equal(grad, [1, -1, -1, 1])


# A legal objective


@every_loss
def test_arguments_are_left_alone(loss):
    net, X, y = net_and_data(loss, dtype=np.float32)
    X = X.astype(np.float32)
    theta, own = net.theta + 1, net.theta.copy()
    before = [a.tobytes() for a in (theta, X, y)]
    _, grad = net.loss_and_grad(theta, X, y)
    assert [a.tobytes() for a in (theta, X, y)] == before
    np.testing.assert_array_equal(net.theta, own)
    assert not any(np.shares_memory(grad, a) for a in (theta, net.theta, X, y))
    assert grad is not net.loss_and_grad(theta, X, y)[1]


@every_loss
def test_scipy_minimises_it(loss):
    net, X, y = net_and_data(loss, rows=20)
    start = net.theta.copy()
    result = optimize.minimize(
        net.loss_and_grad, net.theta, (X, y), "L-BFGS-B", jac=True, options={"maxiter": 50}
    )
    assert result.fun < 0.9 * net.loss_and_grad(start, X, y)[0]
    np.testing.assert_array_equal(net.theta, start)
    net.theta[:] = result.x
    assert net.evaluate(X, y)[0] == pytest.approx(result.fun, rel=1e-12)


def test_theta_may_be_a_list_or_of_another_dtype():
    net, X, y = net_and_data("squared_error", dtype=np.float32)
    loss, grad = net.loss_and_grad(net.theta, X, y)
    for theta in (net.theta.tolist(), net.theta.astype(np.float64), np.repeat(net.theta, 2)[::2]):
        same_loss, same_grad = net.loss_and_grad(theta, X, y)
        assert same_loss == loss
        np.testing.assert_array_equal(same_grad, grad)


def test_theta_of_another_length_is_refused_with_both_lengths():
    net, X, y = net_and_data("squared_error")
    with pytest.raises(ValueError, match=r"theta has shape \(50,\).* has 51 parameters"):
        net.loss_and_grad(net.theta[1:], X, y)
    with pytest.raises(ValueError, match=r"theta has shape \(1, 51\)"):
        net.loss_and_grad(net.theta[np.newaxis], X, y)


# Storage


def test_parameters_lie_layer_by_layer_weights_before_bias():
    flat = np.arange(parameter_count((2, 3, 1)), dtype=np.float64)
    weights, biases, weights_T = layer_views(flat, (2, 3, 1))
    np.testing.assert_array_equal(weights[0], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(biases[0], [6, 7, 8])
    np.testing.assert_array_equal(weights[1], [[9], [10], [11]])
    np.testing.assert_array_equal(biases[1], [12])
    np.testing.assert_array_equal(weights_T[0], weights[0].T)
    assert np.shares_memory(weights_T[1], weights[1])
    assert flat.size == 13


@every_dtype
@every_loss
@every_activation
def test_every_buffer_keeps_the_dtype_and_none_is_replaced(activation, loss, dtype):
    net, X, y = net_and_data(loss, (4, 5, 6, 3), dtype=dtype, activation=activation)
    X = X.astype(dtype)
    y = y if loss == "cross_entropy" else y.astype(dtype)
    workspace = Workspace(net._network(), len(X), net.dtype, training=True)
    buffers = [*workspace.outputs, *workspace.deltas, workspace.bias_grad]
    grad = np.empty_like(net.theta)
    workspace.loss_and_grad(
        layer_views(net.theta, net.layer_sizes), layer_views(grad, net.layer_sizes), X, y
    )
    used = [*workspace.outputs, *workspace.deltas, workspace.bias_grad]
    assert all(a is b for a, b in zip(buffers, used, strict=True))
    assert {a.dtype for a in (*used, grad, *workspace.outputs_T)} == {np.dtype(dtype)}
