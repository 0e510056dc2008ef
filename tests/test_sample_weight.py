"""Weights of the samples: what they do to loss, gradient, training and scores."""

from __future__ import annotations

import numpy as np
import pytest

import mlp_reference
import numadelta as nd
import reference
from mlp_reference import problem, randomize, same_bits
from numadelta.backprop import Workspace, layer_views
from numadelta.data import check_sample_weight

every_loss = pytest.mark.parametrize("loss", mlp_reference.LOSSES)

SIZES = (4, 6, 3)
ROWS = 11  # in batches of 4: three an epoch
WEIGHTS = np.array([1, 2, 0, 3, 1, 1, 0, 2, 5, 1, 2])


def net_and_data(loss="cross_entropy", rows=ROWS, dtype=np.float64, **options):
    net = nd.MLP(SIZES, loss=loss, dtype=dtype, **{"activation": "tanh"} | options)
    return net, *problem(loss, rows, SIZES[0], SIZES[-1])


def fit(net, X, y, epochs=2, batch_size=4, **options):
    return net.fit(X, y, epochs=epochs, batch_size=batch_size, verbose=0, **options)


def weighted(net, X, y, weights):
    """Return loss and gradient of one batch as a step of the training takes them."""
    workspace = Workspace(net._network(), len(X), net.dtype, training=True)
    grad = np.empty_like(net.theta)
    views, grads = (layer_views(flat, net.layer_sizes) for flat in (net.theta, grad))
    weights = check_sample_weight(weights, len(X), net.dtype)
    return workspace.loss_and_grad(views, grads, X, y, weights)[0], grad


# Loss and gradient


@every_loss
def test_loss_and_gradient_are_weighted_means_with_the_penalty_unweighted(loss):
    net, X, y = net_and_data(loss, weight_decay=0.1)
    randomize(net)
    expected = mlp_reference.loss_and_grad(net.theta, SIZES, X, y, "tanh", loss, 0.1, WEIGHTS)
    found = weighted(net, X, y, WEIGHTS)
    assert found[0] == pytest.approx(expected[0], rel=1e-12)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-10, atol=1e-14)
    assert net.evaluate(X, y, WEIGHTS)[0] == pytest.approx(expected[0], rel=1e-12)


@every_loss
def test_whole_weights_are_repeated_rows(loss):
    net, X, y = net_and_data(loss, weight_decay=0.1)
    randomize(net)
    many_X, many_y = np.repeat(X, WEIGHTS, axis=0), np.repeat(y, WEIGHTS, axis=0)
    value, grad = net.loss_and_grad(net.theta, many_X, many_y)
    found, found_grad = weighted(net, X, y, WEIGHTS)
    assert found == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(found_grad, grad, rtol=1e-10, atol=1e-14)
    assert net.evaluate(X, y, WEIGHTS) == pytest.approx(net.evaluate(many_X, many_y), rel=1e-12)


@every_loss
def test_so_they_are_in_a_training_on_all_rows_at_a_time(loss):
    net, X, y = net_and_data(loss)
    twin, _, _ = net_and_data(loss)
    many_X, many_y = np.repeat(X, WEIGHTS, axis=0), np.repeat(y, WEIGHTS, axis=0)
    history = fit(net, X, y, 5, ROWS, sample_weight=WEIGHTS)
    expected = fit(twin, many_X, many_y, 5, len(many_X))
    np.testing.assert_allclose(net.theta, twin.theta, rtol=1e-8)
    for name in ("loss", "score", "grad_norm"):
        assert (name in history) == (name in expected)
        if name in expected:
            np.testing.assert_allclose(history[name], expected[name], rtol=1e-8)


@every_loss
def test_epochs_equal_the_slow_references(loss):
    net, X, y = net_and_data(loss)
    x, v, u = net.theta.copy(), 0.0, 0.0
    shares = WEIGHTS / WEIGHTS.mean()
    for start in [0, 4, 8] * 2:
        rows = slice(start, start + 4)
        # Divided by the mean of all, not of the batch: heavy batches take larger steps.
        _, grad = mlp_reference.loss_and_grad(
            x, SIZES, X[rows], y[rows], "tanh", loss, 0.0, WEIGHTS[rows]
        )
        x, v, u = reference.step(x, grad * shares[rows].mean(), v, u)
    fit(net, X, y, shuffle=False, sample_weight=WEIGHTS)
    np.testing.assert_allclose(net.theta, x, rtol=1e-9)


@every_loss
def test_the_history_is_weighted_as_evaluate_is(loss):
    net, X, y = net_and_data(loss, weight_decay=0.1)
    value, score = net.evaluate(X, y, WEIGHTS)
    # A step of next to nothing: the figures are those of the start.
    history = fit(net, X, y, 1, lr=1e-300, sample_weight=WEIGHTS)
    assert history["loss"][0] == pytest.approx(value, rel=1e-12)
    if loss != "squared_error":
        assert history["score"][0] == pytest.approx(score, rel=1e-12)


def test_the_validation_is_not_weighted():
    net, X, y = net_and_data()
    history = fit(net, X, y, 1, sample_weight=WEIGHTS, validation_data=(X, y))
    assert (history["val_loss"][0], history["val_score"][0]) == net.evaluate(X, y)


# Weights that make no difference


@every_loss
def test_equal_weights_are_none(loss):
    plain, X, y = net_and_data(loss)
    fit(plain, X, y)
    for weight in (1, 0.125, 4):
        net, _, _ = net_and_data(loss)
        fit(net, X, y, sample_weight=np.full(ROWS, weight))
        same_bits(net, plain)
        assert net.evaluate(X, y, np.full(ROWS, weight)) == plain.evaluate(X, y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-300, 1e-5, 3, 1e300, 1e307])
def test_the_scale_of_the_weights_does_not_matter(scale, dtype):
    net, X, y = net_and_data(dtype=dtype)
    twin, _, _ = net_and_data(dtype=dtype)
    fit(net, X, y, sample_weight=WEIGHTS * scale)
    fit(twin, X, y, sample_weight=WEIGHTS)
    np.testing.assert_allclose(net.theta, twin.theta, rtol=1e-5 if dtype == np.float32 else 1e-9)
    assert net.evaluate(X, y, WEIGHTS * scale) == pytest.approx(net.evaluate(X, y, WEIGHTS))


@every_loss
def test_rows_of_weight_zero_change_nothing_but_the_batches(loss):
    kept = WEIGHTS > 0
    net, X, y = net_and_data(loss)
    twin, _, _ = net_and_data(loss)
    fit(twin, X[kept], y[kept], 3, kept.sum(), sample_weight=WEIGHTS[kept])
    X[~kept] *= 100
    y[~kept] = y[0]
    fit(net, X, y, 3, ROWS, sample_weight=WEIGHTS)
    np.testing.assert_allclose(net.theta, twin.theta, rtol=1e-9)
    assert net.evaluate(X, y, WEIGHTS) == pytest.approx(
        net.evaluate(X[kept], y[kept], WEIGHTS[kept]), rel=1e-12
    )


def test_a_batch_of_weight_zero_is_a_step_with_no_gradient():
    net, X, y = net_and_data()
    weights = np.repeat([0, 1], [4, ROWS - 4])
    history = fit(net, X, y, 1, shuffle=False, sample_weight=weights)
    assert net.optimizer.steps == 3
    assert np.isfinite(history["loss"]).all()


@pytest.mark.parametrize(
    "convert",
    [
        list,
        lambda w: w.astype(np.float32),
        lambda w: w.astype(np.uint8),
        lambda w: np.repeat(w, 2)[::2],
        lambda w: w.astype(">f8"),
    ],
    ids=["list", "float32", "uint8", "strided", "big-endian"],
)
def test_weights_of_any_layout_give_the_same_bits_and_are_not_written(convert):
    nets = [net_and_data()[0] for _ in range(2)]
    _, X, y = net_and_data()
    weights = convert(WEIGHTS)
    before = np.array(weights).tobytes()
    fit(nets[0], X, y, sample_weight=weights)
    fit(nets[1], X, y, sample_weight=WEIGHTS)
    same_bits(*nets)
    assert np.array(weights).tobytes() == before


def test_a_mask_leaves_rows_out():
    net, X, y = net_and_data()
    kept = WEIGHTS > 1
    assert net.evaluate(X, y, kept) == pytest.approx(net.evaluate(X[kept], y[kept]))


def test_two_epochs_and_three_are_five_to_the_bit():
    nets = [net_and_data(dropout=0.5)[0] for _ in range(2)]
    _, X, y = net_and_data()
    fit(nets[0], X, y, 5, sample_weight=WEIGHTS)
    fit(nets[1], X, y, 2, sample_weight=WEIGHTS)
    fit(nets[1], X, y, 3, sample_weight=WEIGHTS)
    same_bits(*nets)


# Scores


def test_the_score_of_classes_is_the_weighted_accuracy_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    net, X, y = net_and_data(rows=50)
    weights = np.random.default_rng(0).random(50)
    expected = metrics.accuracy_score(y, net.predict(X), sample_weight=weights)
    assert net.evaluate(X, y, weights)[1] == pytest.approx(expected, rel=1e-12)
    expected = metrics.log_loss(y, net.predict_proba(X), sample_weight=weights, labels=range(3))
    assert net.evaluate(X, y, weights)[0] == pytest.approx(expected, rel=1e-12)


def test_the_score_of_binary_outputs_is_the_weighted_share_of_right_ones():
    net, X, y = net_and_data("binary_cross_entropy", rows=50)
    weights = np.random.default_rng(0).random(50)
    right = (net.predict(X) == (y > 0.5)).mean(axis=1)
    expected = np.average(right, weights=weights)
    assert net.evaluate(X, y, weights)[1] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_score_of_real_outputs_is_the_weighted_r2_of_scikit_learn(outputs):
    metrics = pytest.importorskip("sklearn.metrics")
    net = randomize(nd.MLP((4, outputs), loss="squared_error", dtype=np.float64))
    X, y = problem("squared_error", 50, 4, outputs)
    weights = np.random.default_rng(0).random(50) * (np.arange(50) % 3)
    expected = metrics.r2_score(y, net.predict(X), sample_weight=weights)
    assert net.evaluate(X, y, weights)[1] == pytest.approx(expected, rel=1e-12)
    expected = metrics.mean_squared_error(y, net.predict(X), sample_weight=weights)
    assert net.evaluate(X, y, weights)[0] == pytest.approx(expected, rel=1e-12)
    assert net.evaluate(X, net.predict(X), weights)[1] == 1


def test_r2_of_a_target_that_is_constant_where_it_has_weight_is_one_or_zero():
    net = nd.MLP((1, 1), loss="squared_error", dtype=np.float64)
    scores = []
    for rows in (3, 6, 7, 11, 100):
        X, y = np.zeros((rows + 1, 1)), np.append(np.full(rows, 0.1), 5)
        weights = np.append(np.ones(rows), 0)
        for constant in (0.1, 0.2):
            net.theta[:] = [0, constant]
            scores.append(net.evaluate(X, y, weights)[1])
    assert scores == [1, 0] * 5


# Weights that are refused

BAD_WEIGHTS = {
    "NaN": ([1.0, np.nan] + [1.0] * 9, ValueError, r"sample_weight must be finite.*\[1\] is nan"),
    "infinite": ([1.0, 1.0, np.inf] + [1.0] * 8, ValueError, r"sample_weight\[2\] is inf"),
    "negative": (WEIGHTS - 1, ValueError, r"not be negative, but sample_weight\[2\] is -1"),
    "all zero": (np.zeros(ROWS), ValueError, "sample_weight must not be zero for all samples"),
    "too few": (WEIGHTS[1:], ValueError, r"sample_weight has shape \(10,\), but \(11,\) is needed"),
    "a column": (WEIGHTS[:, np.newaxis], ValueError, r"sample_weight has shape \(11, 1\)"),
    "a number": (2.0, ValueError, r"sample_weight has shape \(\), but \(11,\) is needed"),
    "complex": (WEIGHTS + 0j, TypeError, "sample_weight has dtype complex128, but real numbers"),
    "strings": (WEIGHTS.astype(str), TypeError, "sample_weight has dtype <U"),
    "objects": (WEIGHTS.astype(object), TypeError, "sample_weight has dtype object"),
    "masked": (np.ma.array(WEIGHTS), TypeError, "sample_weight is a masked array"),
    "ragged": ([[1.0], [1.0, 2.0]], ValueError, "sample_weight cannot be made an array"),
    "by name": ("balanced", TypeError, "sample_weight has dtype <U8"),
}


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
@pytest.mark.parametrize(("bad", "error", "message"), BAD_WEIGHTS.values(), ids=BAD_WEIGHTS)
def test_weights_that_are_refused_before_anything_is_changed(bad, error, message, loss):
    net, X, y = net_and_data(loss)
    theta = net.theta.copy()
    with pytest.raises(error, match=message):
        fit(net, X, y, sample_weight=bad)
    with pytest.raises(error, match=message):
        net.evaluate(X, y, bad)
    np.testing.assert_array_equal(net.theta, theta)
    assert net.optimizer is None
