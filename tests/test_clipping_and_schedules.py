"""Clipped gradients, and an lr that changes from epoch to epoch."""

from __future__ import annotations

import math
import types

import numpy as np
import pytest

import mlp_reference
import numadelta as nd
import reference
from mlp_reference import problem, same_bits
from numadelta.clipping import Clip, euclidean_norm
from numadelta.minibatches import Batches

every_loss = pytest.mark.parametrize("loss", mlp_reference.LOSSES)
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])

SIZES = (4, 6, 3)
ROWS = 11  # in batches of 4: three an epoch


def net_and_data(loss="cross_entropy", dtype=np.float64, **options):
    net = nd.MLP(SIZES, loss=loss, dtype=dtype, **{"activation": "tanh"} | options)
    return net, *problem(loss, ROWS, SIZES[0], SIZES[-1])


def fit(net, X, y, epochs=2, batch_size=4, **options):
    return net.fit(X, y, epochs=epochs, batch_size=batch_size, verbose=0, **options)


def clipped_by_value(grad, limit):
    return np.minimum(np.maximum(grad, -limit), limit)


def clipped_by_norm(grad, limit):
    norm = np.sqrt(np.sum(grad.astype(np.float64) ** 2))
    return grad * (limit / norm) if norm > limit else grad


CLIPS = {"clipvalue": clipped_by_value, "global_clipnorm": clipped_by_norm}
every_clip = pytest.mark.parametrize("name", CLIPS)


# Clipping


@every_clip
@every_loss
def test_epochs_equal_the_slow_references_on_clipped_gradients(loss, name):
    net, X, y = net_and_data(loss, weight_decay=0.01)
    limit = 0.05 if name == "clipvalue" else 0.1
    x, v, u = net.theta.copy(), 0.0, 0.0
    clipped, steps = 0, 0
    for _ in range(2):
        for start in (0, 4, 8):
            rows = slice(start, start + 4)
            _, grad = mlp_reference.loss_and_grad(x, SIZES, X[rows], y[rows], "tanh", loss, 0.01)
            small = CLIPS[name](grad, limit)
            clipped, steps = clipped + np.sum(small != grad), steps + grad.size
            x, v, u = reference.step(x, small, v, u)
    # Some of the elements, or the norms of some of the batches, are beyond the limit.
    assert 0 < clipped < steps or (clipped and name == "global_clipnorm")
    fit(net, X, y, shuffle=False, **{name: limit})
    np.testing.assert_allclose(net.theta, x, rtol=1e-9)
    np.testing.assert_allclose(net.optimizer.square_avg, v, rtol=1e-7, atol=1e-20)


@every_dtype
@every_clip
def test_a_step_is_adadelta_on_the_clipped_gradient(name, dtype):
    net, X, y = net_and_data(dtype=dtype)
    theta = net.theta.copy()
    opt = nd.Adadelta(theta)
    opt.step(CLIPS[name](net.loss_and_grad(theta, X, y)[1], 0.05).astype(dtype))
    fit(net, X, y, 1, ROWS, shuffle=False, **{name: 0.05})
    np.testing.assert_allclose(net.theta, theta, rtol=10 * np.finfo(dtype).eps)


@every_clip
def test_a_limit_that_is_not_reached_changes_no_bit(name):
    nets = [net_and_data()[0] for _ in range(2)]
    _, X, y = net_and_data()
    fit(nets[0], X, y)
    fit(nets[1], X, y, **{name: 1e6})
    same_bits(*nets)


@every_clip
def test_a_limit_changes_the_training_and_is_that_of_one_fit(name):
    nets = [net_and_data()[0] for _ in range(3)]
    _, X, y = net_and_data()
    for net, limit in zip(nets, (None, 0.01, 0.01), strict=True):
        fit(net, X, y, **{name: limit})
    assert (nets[0].theta != nets[1].theta).any()
    same_bits(nets[1], nets[2])
    fit(nets[1], X, y, **{name: 0.01})
    fit(nets[2], X, y)
    assert (nets[1].theta != nets[2].theta).any()


@every_clip
def test_two_epochs_and_three_are_five_to_the_bit(name):
    nets = [net_and_data(dropout=0.3)[0] for _ in range(2)]
    _, X, y = net_and_data()
    fit(nets[0], X, y, 5, **{name: 0.05})
    fit(nets[1], X, y, 2, **{name: 0.05})
    fit(nets[1], X, y, 3, **{name: 0.05})
    same_bits(*nets)


def test_the_norm_is_that_of_all_layers_together():
    net, X, y = net_and_data()
    _, grad = net.loss_and_grad(net.theta, X, y)
    seen = []

    def note(batch, logs):
        seen.append(net.optimizer.square_avg.copy())

    callback = types.SimpleNamespace(on_train_batch_end=note)
    fit(net, X, y, 1, ROWS, global_clipnorm=1e-3, callbacks=[callback])
    # v = (1 - rho) g^2 after the first step.
    clipped = np.sqrt(seen[0] / 0.05)
    np.testing.assert_allclose(np.linalg.norm(clipped), 1e-3, rtol=1e-9)
    np.testing.assert_allclose(clipped, np.abs(grad) * 1e-3 / np.linalg.norm(grad), rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("clipvalue", np.nan),
        ("global_clipnorm", np.nan),
        ("global_clipnorm", np.inf),
        ("clipvalue", np.inf),
    ],
)
def test_a_gradient_without_a_norm_is_refused_and_not_clipped(name, bad, monkeypatch):
    net, X, y = net_and_data()
    theta, backpropagate = net.theta.copy(), Batches.backpropagate

    def spoiled(batches, rows, keys):
        figures = backpropagate(batches, rows, keys)
        batches.grad[3] = bad
        return figures

    monkeypatch.setattr(Batches, "backpropagate", spoiled)
    with pytest.raises(ValueError, match=rf"epoch 1, batch 1: grads\[\d+\] is {bad}.* updated$"):
        fit(net, X, y, **{name: 1.0})
    np.testing.assert_array_equal(net.theta, theta)


# Norms that overflow


@pytest.mark.parametrize(
    ("grad", "norm"),
    [
        (np.array([3.0, -4.0]), 5),
        (np.array([3.0, -4.0], np.float32), 5),
        (np.zeros(3), 0),
        (np.full(4, 1e15, np.float32), 2e15),
        (np.array([np.inf, 1.0]), math.inf),
        (np.array([np.inf, 1.0], np.float32), math.inf),
        (np.array([np.nan, 1.0]), math.nan),
    ],
)
def test_the_norm_of_a_gradient(grad, norm):
    found = euclidean_norm(grad)
    assert type(found) is float
    assert found == pytest.approx(norm, rel=1e-6, nan_ok=True)


def test_the_norm_of_large_float32_numbers_does_not_overflow():
    with np.errstate(over="ignore"):
        norm = euclidean_norm(np.full(4, 1e30, np.float32))
    assert norm == pytest.approx(2e30, rel=1e-6)


def test_a_gradient_whose_square_overflows_float32_is_clipped_to_its_norm():
    net, X, y = net_and_data("squared_error", np.float32)
    _, grad = net.loss_and_grad(net.theta, X, y * 1e25)
    fit(net, X, y * 1e25, 1, ROWS, global_clipnorm=1.0)
    grad = grad.astype(np.float64)
    expected = 0.05 * (grad / np.linalg.norm(grad)) ** 2
    np.testing.assert_allclose(net.optimizer.square_avg, expected, rtol=1e-4, atol=1e-12)


@pytest.mark.parametrize("options", [{"global_clipnorm": 1.0}, {"clipvalue": 1.0}])
def test_a_gradient_whose_square_overflows_float32_makes_no_warning(options):
    net, X, y = net_and_data("squared_error", np.float32)
    history = fit(net, X, y * 1e25, **options)
    assert np.isfinite(history["grad_norm"]).all()


@pytest.mark.parametrize("limit", [1e300, 1e-300])
def test_a_clipvalue_that_float32_cannot_hold_is_refused(limit):
    net, X, y = net_and_data(dtype=np.float32)
    with pytest.raises(ValueError, match="clipvalue"):
        fit(net, X, y, clipvalue=limit)


# Limits that are refused


def test_the_two_limits_exclude_each_other():
    net, X, y = net_and_data()
    with pytest.raises(ValueError, match="clipvalue and global_clipnorm exclude each other"):
        fit(net, X, y, clipvalue=1.0, global_clipnorm=1.0)
    assert net.optimizer is None


@every_clip
@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (0, ValueError, "must be positive and finite .as float64., but is 0"),
        (-1.0, ValueError, "must be positive and finite .as float64., but is -1.0"),
        (math.inf, ValueError, "must be positive and finite .as float64., but is inf"),
        (math.nan, ValueError, "must be positive and finite .as float64., but is nan"),
        ("1", TypeError, "must be a real number, but is '1'"),
        (True, TypeError, "must be a real number, but is True"),
        (1j, TypeError, "must be a real number"),
        (np.ones(2), TypeError, "must be a real number"),
    ],
)
def test_limits_that_are_refused(name, bad, error, message):
    net, X, y = net_and_data()
    with pytest.raises(error, match=f"{name} {message}"):
        fit(net, X, y, **{name: bad})
    assert net.optimizer is None


FLOAT64 = np.dtype(np.float64)


@pytest.mark.parametrize("limit", [2, 2.0, np.float32(2), np.int64(2), np.array(2.0)])
def test_limits_may_be_any_real_number(limit):
    assert Clip(limit, None).checked(FLOAT64) == (2.0, None)
    assert Clip(None, limit).checked(FLOAT64) == (None, 2.0)
    assert Clip(None, None).checked(FLOAT64) == (None, None)


# Schedules


def test_a_schedule_is_asked_once_an_epoch_from_zero_and_logged():
    net, X, y = net_and_data()
    asked = []

    def schedule(epoch):
        asked.append(epoch)
        return 1 / (1 + epoch)

    history = fit(net, X, y, 4, lr=schedule)
    assert asked == [0, 1, 2, 3]
    assert {type(epoch) for epoch in asked} == {int}
    assert history["lr"] == [1, 1 / 2, 1 / 3, 1 / 4]
    assert net.optimizer.lr == 1 / 4


def test_each_epoch_is_one_of_that_lr_to_the_bit():
    rates = [1.0, 0.25, 0.0, 2.0]
    net, X, y = net_and_data()
    twin, _, _ = net_and_data()
    history = fit(net, X, y, 4, lr=lambda epoch: rates[epoch])
    for lr in rates:
        assert fit(twin, X, y, 1, lr=lr)["lr"] == [lr]
    same_bits(net, twin)
    assert history["lr"] == rates


def test_a_constant_schedule_is_a_number():
    nets = [net_and_data()[0] for _ in range(2)]
    _, X, y = net_and_data()
    fit(nets[0], X, y, lr=0.5)
    fit(nets[1], X, y, lr=lambda epoch: np.float64(0.5))
    same_bits(*nets)


def test_a_number_is_logged_as_a_float_for_each_epoch():
    net, X, y = net_and_data()
    for lr in (1, 0.5, np.float32(0.25)):
        history = fit(net, X, y, 3, lr=lr)
        assert history["lr"] == [float(lr)] * 3
        assert {type(value) for value in history["lr"]} == {float}


def test_a_second_training_begins_its_schedule_anew():
    net, X, y = net_and_data()
    asked = []
    for _ in range(2):
        fit(net, X, y, 2, lr=lambda epoch: asked.append(epoch) or 1.0)
    assert asked == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (-1.0, ValueError, r"lr\(2\) must not be negative, but is -1.0"),
        (math.nan, ValueError, r"lr\(2\) must be finite \(as float64\), but is nan"),
        (math.inf, ValueError, r"lr\(2\) must be finite \(as float64\), but is inf"),
        (None, TypeError, r"lr\(2\) must be a real number, but is None"),
        ("1", TypeError, r"lr\(2\) must be a real number, but is '1'"),
        (True, TypeError, r"lr\(2\) must be a real number, but is True"),
    ],
)
def test_a_bad_value_is_named_with_its_epoch_and_leaves_the_last_whole_one(bad, error, message):
    net, X, y = net_and_data()
    twin, _, _ = net_and_data()
    with pytest.raises(error, match=message):
        fit(net, X, y, 4, lr=lambda epoch: bad if epoch == 2 else 0.5)
    fit(twin, X, y, 2, lr=0.5)
    same_bits(net, twin)
    fit(net, X, y)


def test_a_value_beyond_float32_is_refused_where_it_is_the_dtype():
    net, X, y = net_and_data(dtype=np.float32)
    with pytest.raises(ValueError, match=r"lr\(0\) must be finite \(as float32\), but is 1e\+300"):
        fit(net, X, y, lr=lambda epoch: 1e300)


def test_what_a_schedule_raises_passes_unchanged():
    net, X, y = net_and_data()
    error = ZeroDivisionError("mine")

    def schedule(epoch):
        raise error

    with pytest.raises(ZeroDivisionError) as caught:
        fit(net, X, y, lr=schedule)
    assert caught.value is error
    assert net.optimizer.steps == 0
