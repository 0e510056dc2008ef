"""The history of a training: the object, and the figures that `fit` computes for it."""

from __future__ import annotations

import types

import numpy as np
import pytest

import mlp_reference
import numadelta as nd
from mlp_reference import problem
from numadelta import metrics
from numadelta.history import History

SIZES = (4, 6, 3)
ROWS = 11  # in batches of 4: three an epoch


def net_and_data(loss="cross_entropy", rows=ROWS, dtype=np.float64, **options):
    net = nd.MLP(SIZES, loss=loss, dtype=dtype, **{"activation": "tanh"} | options)
    return net, *problem(loss, rows, SIZES[0], SIZES[-1])


def fit(net, X, y, epochs=2, batch_size=4, **options):
    return net.fit(X, y, epochs=epochs, batch_size=batch_size, verbose=0, **options)


def history_of(*logs):
    history = History()
    for log in logs:
        history.append(log)
    return history


# The object


def test_a_new_history_is_empty():
    history = History()
    assert (history.history, history.epoch, history.interrupted) == ({}, [], None)
    assert repr(history) == "History(0 epochs)"


def test_epochs_are_appended_in_the_order_of_their_figures():
    history = history_of({"loss": 0.5, "score": 0.1}, {"score": 0.2, "loss": 0.25})
    assert history.epoch == [0, 1]
    assert list(history.history.items()) == [("loss", [0.5, 0.25]), ("score", [0.1, 0.2])]
    assert history["loss"] is history.history["loss"]


def test_a_figure_that_is_missing_in_an_epoch_is_none_there():
    history = history_of({"a": 1}, {"b": 2}, {"a": 3, "c": 4}, {})
    assert history.history == {
        "a": [1, None, 3, None],
        "b": [None, 2, None, None],
        "c": [None, None, 4, None],
    }
    assert history.epoch == [0, 1, 2, 3]


def test_what_it_contains_is_the_names():
    history = history_of({"loss": 0.5})
    assert "loss" in history
    assert "val_loss" not in history
    with pytest.raises(KeyError, match="val_loss"):
        history["val_loss"]


@pytest.mark.parametrize("epochs", [1, 2, 3, 4])
def test_what_comes_after_some_epochs_can_be_forgotten(epochs):
    logs = [{"loss": 1.0}, {"loss": 2.0, "mine": 3}, {"loss": 4.0}]
    history = history_of(*logs)
    history.truncate(epochs)
    assert history.epoch == [0, 1, 2][:epochs]
    assert history["loss"] == [1.0, 2.0, 4.0][:epochs]
    assert {len(values) for values in history.history.values()} == {min(epochs, 3)}


def test_all_can_be_forgotten():
    history = history_of({"loss": 1.0})
    history.truncate(0)
    assert (history.history, history.epoch) == ({}, [])


def test_lists_of_the_right_length_become_a_history():
    history = History.of({"loss": [1.0, 2.0], "mine": [None, "text"]}, 2)
    assert history.epoch == [0, 1]
    assert history["mine"] == [None, "text"]
    history.append({"loss": 3.0})
    assert history.history == {"loss": [1.0, 2.0, 3.0], "mine": [None, "text", None]}
    assert History.of({}, 0).epoch == []


@pytest.mark.parametrize("lists", [{"loss": [1.0]}, {"loss": [1.0, 2.0], "b": []}, {"b": [1] * 3}])
def test_lists_of_another_length_do_not(lists):
    with pytest.raises(ValueError, match="history must hold 2 entries of each figure"):
        History.of(lists, 2)


@pytest.mark.parametrize(
    ("logs", "text"),
    [
        ([{"loss": 0.123456, "score": 1.0}], "History(1 epochs: loss=0.1235, score=1)"),
        ([{"loss": 1.0}, {"loss": 0.5}], "History(2 epochs: loss=0.5)"),
        ([{"rates": [1.0], "text": "a", "loss": 0.5}], "History(1 epochs: loss=0.5)"),
        ([{"loss": 1.0, "mine": 2.0}, {"loss": 0.5}], "History(2 epochs: loss=0.5)"),
        ([{"text": "a"}], "History(1 epochs)"),
        ([{}], "History(1 epochs)"),
    ],
)
def test_its_repr_holds_the_last_numbers(logs, text):
    assert repr(history_of(*logs)) == text


# What callbacks add


def test_what_a_callback_adds_is_kept_and_none_where_it_did_not():
    net, X, y = net_and_data()

    def add(epoch, logs):
        if epoch in (1, 2):
            logs["mine"] = epoch
        if epoch == 3:
            del logs["score"]

    history = fit(net, X, y, 4, callbacks=[types.SimpleNamespace(on_epoch_end=add)])
    assert history["mine"] == [None, 1, 2, None]
    assert history["score"][3] is None and None not in history["score"][:3]
    assert {len(values) for values in history.history.values()} == {4}


def test_the_figures_of_the_last_epoch_are_the_logs_of_the_end():
    net, X, y = net_and_data()
    seen = []
    callback = types.SimpleNamespace(
        on_epoch_end=lambda epoch, logs: logs.update(mine=epoch),
        on_train_end=seen.append,
    )
    history = fit(net, X, y, callbacks=[callback])
    assert seen == [{name: values[-1] for name, values in history.history.items()}]
    assert seen[0]["mine"] == 1


def test_each_fit_has_a_history_of_its_own():
    net, X, y = net_and_data()
    first, second = fit(net, X, y), fit(net, X, y, 1)
    assert first.epoch == [0, 1] and second.epoch == [0]
    assert first.interrupted is None
    assert second["loss"][0] < first["loss"][0]


# The norm of the gradient


@pytest.mark.parametrize("rows", [3, 39, 40, 41, 83])
def test_the_norm_of_the_gradient_is_averaged_over_every_tenth_batch(rows):
    net, X, y = net_and_data(rows=rows, weight_decay=0.01)
    theta, norms = net.theta.copy(), []
    opt = nd.Adadelta(theta)
    for epoch in range(2):
        norms.append([])
        for batch, start in enumerate(range(0, rows, 4)):
            part = slice(start, start + 4)
            _, grad = mlp_reference.loss_and_grad(
                theta, SIZES, X[part], y[part], "tanh", "cross_entropy", 0.01
            )
            if batch % 10 == 0:
                norms[epoch].append(np.linalg.norm(grad))
            opt.step(grad)
    history = fit(net, X, y, batch_size=min(4, rows), shuffle=False)
    np.testing.assert_allclose(history["grad_norm"], [np.mean(n) for n in norms], rtol=1e-9)


def test_the_norm_is_that_before_clipping():
    plain, X, y = net_and_data()
    histories = [fit(plain, X, y, 1, ROWS)]
    for options in ({"clipvalue": 1e-3}, {"global_clipnorm": 1e-3}):
        net, _, _ = net_and_data()
        histories.append(fit(net, X, y, 1, ROWS, **options))
    assert len({round(history["grad_norm"][0], 12) for history in histories}) == 1


# Effective rates


def nearest_ranks(rates):
    """Return the 5 %, 50 % and 95 % quantiles: numbers that are there, not between two."""
    ordered = sorted(rates)
    return [ordered[round(share * (len(ordered) - 1))] for share in (0.05, 0.5, 0.95)]


def layers_of(flat, sizes):
    start = 0
    for n_in, n_out in zip(sizes[:-1], sizes[1:], strict=True):
        stop = start + (n_in + 1) * n_out
        yield flat[start:stop]
        start = stop
    assert start == flat.size


@pytest.mark.parametrize("shared_delta", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [(4, 6, 3), (4, 3), (4, 1, 5, 3)])
def test_effective_rates_are_the_quantiles_of_each_layer(sizes, dtype, shared_delta):
    net = nd.MLP(sizes, activation="tanh", dtype=dtype)
    _, X, y = net_and_data()
    seen = []

    def note(epoch, logs):
        seen.append(
            [nearest_ranks(part) for part in layers_of(net.optimizer.effective_lr(), sizes)]
        )

    callbacks = [types.SimpleNamespace(on_epoch_end=note)]
    history = fit(net, X, y, callbacks=callbacks, shared_delta=shared_delta)
    assert history["effective_lr"] == seen
    for epoch in history["effective_lr"]:
        assert len(epoch) == len(sizes) - 1
        assert {len(layer) for layer in epoch} == {3}
        assert {type(rate) for layer in epoch for rate in layer} == {float}
        assert all(0 < layer[0] <= layer[1] <= layer[2] for layer in epoch)


def test_before_any_gradient_they_are_one():
    net, X, y = net_and_data("squared_error")
    # All units dead but the last bias, which meets its target.
    net.theta[:] = 0
    net.theta[-3:] = 1
    assert fit(net, X, np.ones((ROWS, 3)), 1)["effective_lr"] == [[[1.0] * 3] * 2]


@pytest.mark.parametrize("limit", [1, 2, 5, 10, 20, 21, 22, 30, 31, 1000])
def test_large_layers_are_sampled_evenly(monkeypatch, limit):
    monkeypatch.setattr(metrics, "MOST_SAMPLED", limit)
    net, X, y = net_and_data()
    history = fit(net, X, y, 1)
    rates = layers_of(net.optimizer.effective_lr(), SIZES)
    for found, layer in zip(history["effective_lr"][0], rates, strict=True):
        places = np.linspace(0, layer.size - 1, min(limit, layer.size)).round().astype(int)
        assert found == nearest_ranks(layer[places])


@pytest.mark.parametrize("shared_delta", [False, True])
def test_the_sample_of_a_large_layer_is_like_the_layer(shared_delta):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 200), np.float32) * (rng.random(200) < 0.5)
    net = nd.MLP((200, 99, 3))
    y = rng.integers(3, size=300)
    (rates, _), *_ = fit(net, X, y, 1, shared_delta=shared_delta)["effective_lr"]
    layer = next(layers_of(net.optimizer.effective_lr(), net.layer_sizes))
    for rate, quantile in zip(rates, (0.05, 0.5, 0.95), strict=True):
        assert np.mean(layer < rate) - 0.03 <= quantile <= np.mean(layer <= rate) + 0.03


# The other figures


def test_under_dropout_the_loss_is_that_of_the_thinned_network():
    net, X, y = net_and_data(dropout=0.9)
    value, _ = net.evaluate(X, y)
    history = fit(net, X, y, 1, lr=1e-300)
    assert history["loss"][0] != pytest.approx(value, rel=1e-3)


def test_it_is_read_like_a_dict():
    history = nd.History()
    assert dict(history) == {} and repr(history) == "History(0 epochs)"
    history.append({"loss": 0.5, "score": 1.0})
    assert list(history) == [*history.keys()] == ["loss", "score"]
    assert dict(history) == history.history
    assert repr(nd.History.of({"loss": []}, 0)) == "History(0 epochs)"


def test_an_unknown_figure_is_told_which_there_are():
    history = nd.History()
    history.append({"loss": 0.5, "score": 0.9})
    with pytest.raises(KeyError, match="'accuracy' is not in the history, which holds loss, score"):
        history["accuracy"]
