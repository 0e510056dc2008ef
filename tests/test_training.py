"""The fit loop: its arithmetic, its order, its history, and that it learns."""

from __future__ import annotations

import copy
import pickle
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numba import config

import mlp_reference
import numadelta as nd
import reference
from mlp_reference import problem, same_bits
from numadelta import training
from numadelta.minibatches import Batches

every_loss = pytest.mark.parametrize("loss", mlp_reference.LOSSES)
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])

SIZES = (4, 6, 3)
ROWS = 11


def net_and_data(loss="cross_entropy", rows=ROWS, dtype=np.float32, seed=0, **options):
    net = nd.MLP(SIZES, loss=loss, dtype=dtype, seed=seed, **options)
    return net, *problem(loss, rows, SIZES[0], SIZES[-1])


def fit(net, X, y, epochs=2, batch_size=4, **options):
    return net.fit(X, y, epochs=epochs, batch_size=batch_size, verbose=0, **options)


def batches(order, size):
    return [order[start : start + size] for start in range(0, len(order), size)]


# Arithmetic


@every_loss
def test_a_step_is_adadelta_on_the_gradient_to_the_bit(loss):
    net, X, y = net_and_data(loss, weight_decay=0.01)
    theta = net.theta.copy()
    opt = nd.Adadelta(theta, lr=0.5, rho=0.9, eps=1e-4)
    opt.step(net.loss_and_grad(theta, X, y)[1])
    fit(net, X, y, 1, ROWS, shuffle=False, lr=0.5, rho=0.9, eps=1e-4)
    np.testing.assert_array_equal(net.theta, theta)
    np.testing.assert_array_equal(net.optimizer.square_avg, opt.square_avg)
    np.testing.assert_array_equal(net.optimizer.acc_delta, opt.acc_delta)


@every_dtype
@every_loss
@pytest.mark.parametrize("batch_size", [1, 4, ROWS])
def test_epochs_are_a_plain_loop_over_seeded_permutations_to_the_bit(loss, dtype, batch_size):
    options = {"initialization": "glorot", "weight_decay": 0.01, "seed": 3}
    net, X, y = net_and_data(loss, dtype=dtype, **options)
    # The seed's generator draws the start, here uniform, then one permutation an epoch.
    rng = np.random.default_rng(3)
    for weights in net.weights:
        rng.random(weights.shape)
    theta = net.theta.copy()
    opt = nd.Adadelta(theta)
    for _ in range(2):
        for rows in batches(rng.permutation(ROWS), batch_size):
            opt.step(net.loss_and_grad(theta, X[rows], y[rows])[1])
    fit(net, X, y, 2, batch_size)
    np.testing.assert_array_equal(net.theta, theta)
    assert net.optimizer.steps == opt.steps


@every_loss
def test_epochs_equal_the_slow_references(loss):
    net, X, y = net_and_data(loss, dtype=np.float64, activation="tanh")
    x, v, u = net.theta.copy(), 0.0, 0.0
    for rows in batches(np.arange(ROWS), 4) * 3:
        _, grad = mlp_reference.loss_and_grad(x, SIZES, X[rows], y[rows], "tanh", loss)
        x, v, u = reference.step(x, grad, v, u)
    fit(net, X, y, 3, 4, shuffle=False)
    np.testing.assert_allclose(net.theta, x, rtol=1e-10)


@pytest.mark.parametrize(("batch_size", "steps"), [(1, 11), (4, 3), (5, 3), (10, 2), (11, 1)])
def test_an_epoch_takes_every_sample_once_and_the_tail_with_the_rest(
    batch_size, steps, monkeypatch
):
    net, X, y = net_and_data()
    seen, backpropagate = [], training.Batches.backpropagate

    def note(batches, rows, keys):
        assert keys is None
        seen.append(rows.tolist())
        return backpropagate(batches, rows)

    monkeypatch.setattr(training.Batches, "backpropagate", note)
    fit(net, X, y, 1, batch_size)
    assert sorted(sum(seen, [])) == list(range(ROWS))
    assert [len(rows) for rows in seen] == [len(rows) for rows in batches(range(ROWS), batch_size)]
    assert net.optimizer.steps == steps


def test_a_batch_larger_than_the_data_is_cut_with_a_warning():
    net, X, y = net_and_data()
    with pytest.warns(UserWarning, match="batch_size is 12, but there are only 11") as caught:
        fit(net, X, y, batch_size=12)
    assert caught[0].filename == __file__
    exact, _, _ = net_and_data()
    fit(exact, X, y, batch_size=11)
    same_bits(net, exact)


def test_the_default_batch_is_cut_in_silence():
    net, X, y = net_and_data()
    net.fit(X, y, epochs=1, verbose=0)
    assert net.optimizer.steps == 1


def test_the_default_rates_are_those_of_the_paper():
    net, X, y = net_and_data()
    fit(net, X, y)
    opt = net.optimizer
    assert (opt.lr, opt.rho, opt.eps, opt.weight_decay) == (1.0, 0.95, 1e-6, 0.0)
    fit(net, X, y, lr=0.5, rho=0.9, eps=1e-8)
    assert net.optimizer is opt
    assert (opt.lr, opt.rho, opt.eps) == (0.5, 0.9, 1e-8)


# One seed, one result


@every_loss
def test_two_epochs_and_three_are_five_to_the_bit(loss):
    whole, X, y = net_and_data(loss)
    parts, _, _ = net_and_data(loss)
    fit(whole, X, y, 5)
    fit(parts, X, y, 2)
    fit(parts, X, y, 3)
    same_bits(whole, parts)


def test_no_epochs_change_nothing():
    net, X, y = net_and_data()
    theta = net.theta.copy()
    assert fit(net, X, y, 0).epoch == []
    np.testing.assert_array_equal(net.theta, theta)


def test_the_seed_decides_the_order():
    first, X, y = net_and_data()
    second, _, _ = net_and_data()
    other = nd.MLP(SIZES, seed=1)
    other.theta[:] = first.theta
    for net in (first, second, other):
        fit(net, X, y)
    same_bits(first, second)
    assert (first.theta != other.theta).any()


def test_a_validation_or_a_callback_does_not_change_the_training():
    plain, X, y = net_and_data()
    watched, _, _ = net_and_data()
    fit(plain, X, y)
    fit(watched, X, y, validation_data=(X[:3], y[:3]), callbacks=[Nothing()])
    same_bits(plain, watched)


class Nothing:
    def on_train_batch_end(self, batch, logs): ...


@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_a_copy_made_between_epochs_goes_on_to_the_bit_and_alone(duplicate):
    net, X, y = net_and_data(activation="tanh", weight_decay=0.01)
    fit(net, X, y)
    twin = duplicate(net)
    theta = net.theta.copy()
    fit(twin, X, y)
    np.testing.assert_array_equal(net.theta, theta)
    assert twin.optimizer.params is twin.theta
    twin.notes["of"] = "the twin"
    assert not net.notes
    assert all(np.shares_memory(view, twin.theta) for view in (*twin.weights, *twin.biases))
    fit(net, X, y)
    same_bits(net, twin)


def test_a_copy_made_before_the_first_epoch_draws_the_same_order():
    net, X, y = net_and_data()
    twin = copy.deepcopy(net)
    fit(net, X, y)
    fit(twin, X, y)
    same_bits(net, twin)


# History


@pytest.mark.parametrize("validated", [False, True])
@every_loss
def test_the_history_holds_a_figure_an_epoch(loss, validated):
    net, X, y = net_and_data(loss)
    history = fit(net, X, y, 3, validation_data=(X, y) if validated else None)
    names = ["loss"]
    names += ["score"] * (loss != "squared_error")
    names += ["val_loss", "val_score"] * validated
    names += ["grad_norm", "effective_lr", "lr", "seconds"]
    assert list(history.history) == names
    assert {len(values) for values in history.history.values()} == {3}
    numbers = [values for name, values in history.history.items() if name != "effective_lr"]
    assert {type(value) for values in numbers for value in values} == {float}
    assert history.epoch == [0, 1, 2]
    assert history["loss"] is history.history["loss"]
    if validated:
        assert (history["val_loss"][-1], history["val_score"][-1]) == net.evaluate(X, y)


@every_loss
def test_the_training_figures_are_those_before_each_step_averaged_over_samples(loss):
    net, X, y = net_and_data(loss, dtype=np.float64, weight_decay=0.1)
    # A step of next to nothing: the figures are those of the start.
    value, score = net.evaluate(X, y)
    history = fit(net, X, y, 1, batch_size=4, lr=1e-300)
    assert history["loss"][0] == pytest.approx(value, rel=1e-12)
    if loss != "squared_error":
        assert history["score"][0] == pytest.approx(score, rel=1e-12)


def test_the_history_says_what_it_holds():
    net, X, y = net_and_data()
    assert repr(fit(net, X, y, 0)) == "History(0 epochs)"
    assert repr(fit(net, X, y, 2)).startswith("History(2 epochs: loss=")
    assert isinstance(fit(net, X, y, 1), nd.History)


# Learning


def blobs(classes, rows=60):
    rng = np.random.default_rng(0)
    y = np.arange(rows) % classes
    return 4 * np.eye(classes)[y] + rng.normal(size=(rows, classes)), y


@every_dtype
@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic"])
def test_xor_is_learned(activation, dtype):
    X, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    net = nd.MLP((2, 8, 2), activation=activation, dtype=dtype, seed=1)
    history = fit(net, X, y, 500, 4, eps=1e-4)
    np.testing.assert_array_equal(net.predict(X), y)
    assert history["loss"][-1] < 0.1 * history["loss"][0]


def test_three_blobs_are_told_apart():
    X, y = blobs(3)
    net = nd.MLP((3, 8, 3))
    fit(net, X, y, 60, 16)
    assert net.evaluate(X, y)[1] > 0.95


@pytest.mark.parametrize("outputs", [1, 3])
def test_binary_outputs_tell_blobs_apart(outputs):
    X, y = blobs(3)
    targets = np.eye(3)[y][:, :outputs]
    net = nd.MLP((3, 8, outputs), loss="binary_cross_entropy")
    fit(net, X, targets, 60, 16)
    assert net.evaluate(X, targets)[1] > 0.95


def test_a_sine_is_fitted():
    X = np.linspace(-3, 3, 64)[:, np.newaxis]
    net = nd.MLP((1, 16, 2), activation="tanh", loss="squared_error")
    fit(net, X, np.hstack([np.sin(X), np.cos(X)]), 200, 16, eps=1e-4)
    assert net.evaluate(X, np.hstack([np.sin(X), np.cos(X)]))[1] > 0.95


# Memory, threads, processes


class TracedGrowth:
    """Measure what Python and NumPy allocate between the first batch of an epoch and its last.

    `peak` is the most that was held at once, `end` what is left; both without what was there.
    The BLAS's own buffers are not seen.
    """

    def on_epoch_begin(self, epoch, logs):
        self.start = None

    def on_train_batch_end(self, batch, logs):
        if self.start is None:
            tracemalloc.reset_peak()
            self.start = tracemalloc.get_traced_memory()[0]
        self.end, self.peak = (held - self.start for held in tracemalloc.get_traced_memory())


@pytest.mark.skipif(config.DISABLE_JIT, reason="interpreted loops make an object an element")
@every_loss
def test_no_array_is_allocated_in_the_batch_loop(loss):
    width = rows = 64
    smallest_buffer = rows * width * 4
    peaks = []
    for count in (3, 30):
        net = nd.MLP((width, width, width), loss=loss, weight_decay=0.01)
        X, y = problem(loss, rows * count, width, width)
        traced = TracedGrowth()
        tracemalloc.start()
        try:
            fit(net, X.astype(np.float32), y, 2, rows, callbacks=[traced])
        finally:
            tracemalloc.stop()
        peaks.append(traced.peak)
    # What is left are small objects of Python: views, numbers, the dictionary of a hook.
    assert max(peaks) < smallest_buffer / 2
    assert peaks[1] < peaks[0] + 1000


def test_networks_train_in_threads_side_by_side_as_they_do_alone():
    nets, twins = ([net_and_data(seed=seed)[0] for seed in range(4)] for _ in range(2))
    _, X, y = net_and_data()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda net: fit(net, X, y, 20), nets))
    for net, twin in zip(nets, twins, strict=True):
        fit(twin, X, y, 20)
        same_bits(net, twin)


@pytest.mark.parametrize("rows", [6, 7])
def test_an_epoch_is_split_into_batches_from_any_of_them_on(rows):
    net = nd.MLP((2, 2))
    X, y = np.zeros((rows, 2), np.float32), np.zeros(rows, int)
    batches = Batches(net._network(), net.theta, X, y, 3)
    order = np.arange(rows)[::-1]
    expected = [order[start : start + 3].tolist() for start in range(0, rows, 3)]
    assert batches.count == len(expected)
    for first in range(len(expected) + 1):
        found = [part.tolist() for part in batches.split(order, first)]
        assert found == expected[first:]
