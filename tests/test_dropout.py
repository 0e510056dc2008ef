"""Dropout: which cells it leaves out, what that does to the gradient, and when there is none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import sparse

import mlp_reference
import numadelta as nd
from mlp_reference import problem, randomize, same_bits
from numadelta import layers
from numadelta.backprop import Workspace, layer_views
from numadelta.data import check_samples
from numadelta.minibatches import Batches

every_activation = pytest.mark.parametrize("activation", mlp_reference.ACTIVATIONS)
every_loss = pytest.mark.parametrize("loss", mlp_reference.LOSSES)
dense_or_sparse = pytest.mark.parametrize("convert", [np.array, sparse.csr_array])
either_rate = pytest.mark.parametrize("which", ["dropout", "input_dropout"])

SIZES = (4, 6, 5, 3)
ROWS = 11  # in batches of 4: three an epoch
KEYS = np.array([123456789, 987654321, 555555555], np.uint32)


def net_and_data(loss="squared_error", rows=ROWS, dtype=np.float64, seed=0, **options):
    net = nd.MLP(SIZES, loss=loss, dtype=dtype, seed=seed, **{"activation": "tanh"} | options)
    return net, *problem(loss, rows, SIZES[0], SIZES[-1])


def fit(net, X, y, epochs=2, batch_size=4, **options):
    return net.fit(X, y, epochs=epochs, batch_size=batch_size, verbose=0, **options)


def under_keys(net, theta, X, y, keys=KEYS):
    """Return loss and gradient of a batch as a step of the training takes them, and the buffers."""
    workspace = Workspace(net._network(), X.shape[0], net.dtype, training=True)
    grad = np.empty_like(theta)
    views, grads = (layer_views(flat, net.layer_sizes) for flat in (theta, grad))
    # A copy: what is left out of the inputs is overwritten.
    loss, _ = workspace.loss_and_grad(views, grads, X.copy(), y, None, keys)
    return loss, grad, workspace


def factors_of(keys, rows, sizes, rates):
    """Return what dropout multiplies the cells that enter each layer with."""
    factors = []
    for key, columns, rate in zip(keys, sizes, rates, strict=False):
        cells, threshold = np.ones((rows, columns)), np.uint32(rate * 2**32)
        layers.drop(cells, cells, key, threshold, 1 / (1 - rate))
        factors.append(cells)
    return factors


# What is left out


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_a_hidden_cell_is_zero_or_scaled_up_and_its_share_is_the_rate(rate):
    net = randomize(nd.MLP((2, 60, 70, 2), activation="tanh", dropout=rate, dtype=np.float64))
    X, y = problem("cross_entropy", 50, 2, 2)
    _, _, workspace = under_keys(net, net.theta, X, y)
    for outputs, dropped in zip(workspace.outputs, workspace.dropped, strict=False):
        kept = dropped != 0
        np.testing.assert_allclose(dropped[kept], outputs[kept] / (1 - rate), rtol=1e-15)
        # Five standard deviations of a binomial distribution.
        assert abs(kept.sum() - (1 - rate) * kept.size) < 5 * math.sqrt(
            rate * (1 - rate) * kept.size
        )


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@dense_or_sparse
def test_so_is_a_stored_cell_of_the_inputs(convert, rate):
    net = nd.MLP((60, 2), input_dropout=rate, dtype=np.float64)
    X, y = problem("cross_entropy", 50, 60, 2)
    batch = convert(X)
    workspace = Workspace(net._network(), 50, net.dtype, training=True)
    workspace.output_sums(layer_views(net.theta, net.layer_sizes), batch, KEYS)
    thinned = batch if convert is np.array else batch.toarray()
    kept = thinned != 0
    np.testing.assert_allclose(thinned[kept], X[kept] / (1 - rate), rtol=1e-15)
    assert abs(kept.sum() - (1 - rate) * kept.size) < 5 * math.sqrt(rate * (1 - rate) * kept.size)


def test_an_input_that_is_stored_in_two_parts_is_left_out_as_one():
    net = nd.MLP((60, 2), input_dropout=0.5, dtype=np.float64)
    columns = np.repeat(np.arange(60), 2)
    given = sparse.csr_array((np.ones(120), columns, [0, 120]), (1, 60))
    batch = check_samples(given, 60, net.dtype)
    workspace = Workspace(net._network(), 1, net.dtype, training=True)
    workspace.output_sums(layer_views(net.theta, net.layer_sizes), batch, KEYS)
    assert set(batch.toarray().ravel()) == {0, 4}


def test_the_average_over_many_masks_is_the_cell_itself():
    factors = [factors_of([key], 3, [5], [0.3])[0] for key in np.arange(4000, dtype=np.uint32)]
    # A factor is 0 or 1/0.7, with a standard deviation of sqrt(3/7).
    np.testing.assert_allclose(np.mean(factors, axis=0), 1, atol=5 * math.sqrt(3 / 7 / 4000))


@pytest.fixture
def masks(monkeypatch):
    """Return a list of what each call of `drop` kept, with its key and its array."""
    seen, drop = [], layers.drop

    def note(batch, out, key, threshold, scale):
        drop(batch, out, key, threshold, scale)
        seen.append((int(key), out != 0))

    monkeypatch.setattr(layers, "drop", note)
    return seen


def test_the_masks_of_batches_layers_epochs_and_seeds_differ(masks):
    for seed in (0, 1):
        net, X, y = net_and_data(dropout=0.5, input_dropout=0.5, seed=seed)
        fit(net, X, y, batch_size=11)
        fit(net, X, y, batch_size=11)
    # Two seeds, two trainings, two epochs of one batch; inputs, two hidden layers.
    keys = {key for key, _ in masks}
    assert len(keys) == 2 * 2 * 2 * 3
    by_shape = {}
    for key, kept in masks:
        by_shape.setdefault(kept.shape, {})[key] = kept.tobytes()
    for shape, patterns in by_shape.items():
        assert len(patterns) == 8, shape
        assert len(set(patterns.values())) == 8, shape


def test_the_masks_of_the_batches_of_an_epoch_differ(masks):
    net, X, y = net_and_data(rows=32, dropout=0.5)
    fit(net, X, y, 1, batch_size=8)
    forward = [kept.tobytes() for _, kept in masks if kept.shape == (8, 6)]
    assert len(set(forward)) == 4


def test_forward_and_backward_leave_out_the_same_cells(masks):
    # So wide that in no row all is left out; and no output of tanh and no slope is just zero.
    net = nd.MLP((4, 40, 30, 3), activation="tanh", dropout=0.5, dtype=np.float64)
    fit(net, *problem("cross_entropy", ROWS, 4, 3))
    by_key = {}
    for key, kept in masks:
        by_key.setdefault(key, []).append(kept)
    assert len(by_key) == 2 * 3 * 2
    for forward, backward in by_key.values():
        np.testing.assert_array_equal(forward, backward)
        assert not forward.all()


# The gradient


@dense_or_sparse
@every_loss
@every_activation
def test_loss_and_gradient_equal_the_slow_reference_under_the_same_masks(activation, loss, convert):
    rates = {"dropout": 0.4, "input_dropout": 0.25}
    net, X, y = net_and_data(loss, activation=activation, weight_decay=0.1, **rates)
    X[::2, 1] = 0
    randomize(net)
    factors = factors_of(KEYS, ROWS, SIZES, (0.25, 0.4, 0.4))
    if convert is not np.array:
        # Of a sparse batch the stored numbers are counted, not the cells.
        stored = factors_of(KEYS, 1, [np.count_nonzero(X)], [0.25])[0][0]
        factors[0][X != 0] = stored
    expected = mlp_reference.loss_and_grad(
        net.theta, SIZES, X, y, activation, loss, 0.1, factors=factors
    )
    found = under_keys(net, net.theta, convert(X), y)
    assert found[0] == pytest.approx(expected[0], rel=1e-12)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-10, atol=1e-13)


@dense_or_sparse
@every_activation
def test_the_gradient_agrees_with_differences_of_the_loss(activation, convert):
    net, X, y = net_and_data(activation=activation, dropout=0.4, input_dropout=0.25)
    randomize(net)
    X, h = convert(X), 1e-6
    _, grad, _ = under_keys(net, net.theta, X, y)
    for k in range(0, grad.size, 5):
        up, down = (net.theta.copy() for _ in range(2))
        up[k] += h
        down[k] -= h
        slope = (under_keys(net, up, X, y)[0] - under_keys(net, down, X, y)[0]) / (2 * h)
        assert grad[k] == pytest.approx(slope, rel=1e-5, abs=1e-8)


def test_a_step_is_adadelta_on_the_gradient_under_the_keys_that_follow_the_permutation():
    net, X, y = net_and_data(
        "cross_entropy", dropout=0.4, input_dropout=0.25, initialization="glorot", seed=3
    )
    rng = np.random.default_rng(3)
    for weights in net.weights:
        rng.random(weights.shape)
    theta = net.theta.copy()
    opt = nd.Adadelta(theta)
    for _ in range(2):
        order = rng.permutation(ROWS)
        keys = rng.integers(2**32, size=(3, 3), dtype=np.uint32)
        for batch in range(3):
            rows = order[4 * batch : 4 * batch + 4]
            opt.step(under_keys(net, theta, X[rows], y[rows], keys[batch])[1])
    fit(net, X, y)
    np.testing.assert_array_equal(net.theta, theta)


def test_a_last_batch_without_gradient_for_dropout_is_no_warning():
    net, X, y = net_and_data(dropout=1 - 1e-9, seed=1)
    # Everything but the last bias is left out; that one meets its target.
    net.theta[:] = 0.1
    fit(net, X, np.full((ROWS, 3), 0.1), epochs=1)


# Rates


@every_loss
def test_a_rate_of_zero_gives_the_bits_of_no_dropout(loss):
    plain, X, y = net_and_data(loss)
    zero, _, _ = net_and_data(loss, dropout=0, input_dropout=0.0)
    for net in (plain, zero):
        fit(net, X, y)
    same_bits(plain, zero)


def test_dropout_without_hidden_layers_gives_the_bits_of_none():
    X, y = problem("cross_entropy", ROWS, 4, 3)
    plain, dropping = nd.MLP((4, 3)), nd.MLP((4, 3), dropout=0.5)
    for net in (plain, dropping):
        fit(net, X, y)
    same_bits(plain, dropping)


@either_rate
def test_a_rate_changes_the_training(which):
    plain, X, y = net_and_data()
    dropping, _, _ = net_and_data(**{which: 0.5})
    for net in (plain, dropping):
        fit(net, X, y)
    assert (plain.theta != dropping.theta).any()


@either_rate
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rate", [1e-300, 1e-12, 1 - 1e-9, np.nextafter(1, 0)])
def test_rates_next_to_zero_and_to_one_give_finite_numbers(rate, dtype, which):
    net, X, y = net_and_data(dtype=dtype, **{which: rate})
    # Where all is left out, the biases alone are trained.
    assert np.isfinite(fit(net, X, y)["loss"]).all()
    assert np.isfinite(net.theta).all()


@pytest.mark.parametrize("rate", [1e-300, 1e-12])
def test_a_rate_next_to_zero_leaves_out_nothing(rate):
    net, X, y = net_and_data(dropout=rate)
    _, _, workspace = under_keys(net, net.theta, X, y)
    assert all(dropped.all() for dropped in workspace.dropped)


@pytest.mark.parametrize("rate", [-1e-9, 1.0, 1.5, np.nan, np.inf, -np.inf])
@either_rate
def test_rates_outside_zero_to_one_are_refused(which, rate):
    with pytest.raises(ValueError, match=rf"{which} must be in \[0, 1\), but is {rate}"):
        nd.MLP(SIZES, **{which: rate})


# Where there is none, and what it leaves alone


@dense_or_sparse
@every_loss
def test_there_is_no_dropout_outside_of_fit(loss, convert):
    plain, X, y = net_and_data(loss)
    dropping, _, _ = net_and_data(loss, dropout=0.9, input_dropout=0.9)
    X = convert(X)
    assert dropping.evaluate(X, y) == plain.evaluate(X, y)
    np.testing.assert_array_equal(dropping.predict(X), plain.predict(X))
    if loss != "squared_error":
        np.testing.assert_array_equal(dropping.predict_proba(X), plain.predict_proba(X))
    for one, other in zip(
        dropping.loss_and_grad(plain.theta, X, y),
        plain.loss_and_grad(plain.theta, X, y),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_the_validation_is_without_dropout():
    net, X, y = net_and_data(dropout=0.9)
    history = fit(net, X, y, 1, validation_data=(X, y))
    assert (history["val_loss"][0], history["val_score"][0]) == net.evaluate(X, y)
    assert history["loss"][0] != pytest.approx(history["val_loss"][0], rel=1e-3)


@pytest.mark.parametrize("shuffle", [True, False])
@every_loss
def test_two_epochs_and_three_are_five_to_the_bit(loss, shuffle):
    nets = [net_and_data(loss, dropout=0.5, input_dropout=0.25)[0] for _ in range(2)]
    _, X, y = net_and_data(loss)
    fit(nets[0], X, y, 5, shuffle=shuffle)
    fit(nets[1], X, y, 2, shuffle=shuffle)
    fit(nets[1], X, y, 3, shuffle=shuffle)
    same_bits(*nets)


@dense_or_sparse
def test_the_users_samples_are_never_written(convert):
    net, X, y = net_and_data(dropout=0.5, input_dropout=0.5)
    before = X.copy()
    X = convert(X)
    # One batch with all rows in order, too: a view would do, were they not overwritten.
    for shuffle in (True, False):
        fit(net, X, y, batch_size=ROWS, shuffle=shuffle)
        fit(net, X, y, shuffle=shuffle, validation_data=(X, y))
    np.testing.assert_array_equal(X if convert is np.array else X.toarray(), before)


def test_samples_that_cannot_be_written_will_do():
    nets = [net_and_data(input_dropout=0.5)[0] for _ in range(2)]
    _, X, y = net_and_data()
    fit(nets[0], X, y)
    X.flags.writeable = False
    fit(nets[1], X, y)
    same_bits(*nets)


def test_a_training_without_dropout_draws_no_keys():
    net, X, y = net_and_data()
    batches = Batches(net._network(), net.theta, X, y, 4)
    rng, twin = np.random.default_rng(0), np.random.default_rng(0)
    order, keys = batches.draw(rng, True)
    assert keys is None
    np.testing.assert_array_equal(order, twin.permutation(ROWS))
    assert rng.random() == twin.random()


# The hash


def bits(key, indices):
    """Return the rule's bits, for many at a time."""
    function = getattr(layers.random_bits, "py_func", layers.random_bits)
    with np.errstate(over="ignore"):
        return function(np.uint32(key), indices)


INDICES = np.arange(2**15, dtype=np.uint32)
HASHES = [0, 1, 2**31, 3141592653]
every_key = pytest.mark.parametrize("key", HASHES)


def assert_balanced(values):
    """Assert that each of the 32 bits is set in half of the values, to five deviations."""
    ones = [np.count_nonzero(values >> np.uint32(bit) & np.uint32(1)) for bit in range(32)]
    np.testing.assert_allclose(ones, values.size / 2, rtol=0, atol=5 * math.sqrt(values.size) / 2)


@every_key
def test_the_compiled_rule_gives_the_bits_of_the_vectorised_one(key):
    indices = np.array([0, 1, 2, 1000, 2**31, 2**32 - 1], np.uint32)
    with np.errstate(over="ignore"):
        found = [layers.random_bits(np.uint32(key), int(index)) for index in indices]
    np.testing.assert_array_equal(found, bits(key, indices))


@every_key
def test_every_bit_is_set_half_the_time(key):
    assert_balanced(bits(key, INDICES))


@every_key
@pytest.mark.parametrize("distance", [1, 2, 6, 128, 784])
def test_the_bits_of_neighbouring_cells_are_unrelated(key, distance):
    assert_balanced(bits(key, INDICES) ^ bits(key, INDICES + np.uint32(distance)))


@every_key
@pytest.mark.parametrize("change", [1, 3, 2**16, 2**31])
def test_the_bits_of_similar_keys_are_unrelated(key, change):
    # Up to their order: the streams of key and key ^ 1 hold the same bits, neighbours swapped.
    own = INDICES[INDICES & np.uint32(change & -change) == 0]
    assert_balanced(bits(key, own) ^ bits(key ^ change, own))


def test_the_bits_of_a_cell_under_successive_keys_are_unrelated():
    assert_balanced(bits(INDICES, np.uint32(17)) ^ bits(INDICES + np.uint32(5), np.uint32(17)))


@every_key
@pytest.mark.parametrize("shift", [0, 12, 24])
def test_groups_of_eight_bits_are_uniform(key, shift):
    counts = np.bincount(bits(key, INDICES) >> np.uint32(shift) & np.uint32(255), minlength=256)
    expected = INDICES.size / 256
    # Chi-square with 255 degrees of freedom: mean 255, standard deviation 22.6.
    assert 255 - 5 * 22.6 < np.sum((counts - expected) ** 2) / expected < 255 + 5 * 22.6


@every_key
def test_no_bits_come_twice(key):
    assert len(np.unique(bits(key, INDICES))) == INDICES.size
