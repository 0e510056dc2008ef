"""EarlyStopping: what it watches, when it ends a training, and which parameters are left."""

from __future__ import annotations

import copy
import json
import types

import numpy as np
import pytest

import numadelta as nd
from mlp_reference import problem, same_bits
from numadelta.callbacks import EarlyStopping

SIZES = (4, 6, 3)
ROWS = 11
NAN = float("nan")


def net_and_data(**options):
    return nd.MLP(SIZES, dtype=np.float64, **options), *problem("cross_entropy", ROWS, 4, 3)


def fit(net, X, y, epochs=5, batch_size=ROWS, **options):
    return net.fit(X, y, epochs=epochs, batch_size=batch_size, verbose=0, **options)


class Script:
    """A callback that puts figures of a script into the logs, and keeps the parameters."""

    def __init__(self, *figures, name="val_loss"):
        self.figures, self.name, self.thetas = figures, name, []

    def set_model(self, model):
        self.model = model

    def on_epoch_end(self, epoch, logs):
        logs[self.name] = self.figures[epoch]
        self.thetas.append(self.model.theta.copy())


def train(figures, name="val_loss", others=(), **options):
    """Train with scripted figures; return network, callback, script and history."""
    net, X, y = net_and_data()
    script, stop = Script(*figures, name=name), EarlyStopping(name, **options)
    history = fit(net, X, y, len(figures), callbacks=[script, stop, *others])
    return net, stop, script, history


# When it ends


@pytest.mark.parametrize(
    ("figures", "options", "epochs", "best_epoch"),
    [
        # Without improvement for so many epochs in a row.
        ([5, 4, 6, 6, 6, 6], {"patience": 3}, 5, 1),
        ([5, 4, 6, 6, 3, 6, 6, 6, 6], {"patience": 3}, 8, 4),
        ([5, 6, 6, 6], {"patience": 1}, 2, 0),
        ([5, 6, 6, 6], {"patience": 0}, 2, 0),
        ([5, 4, 3, 2], {"patience": 1}, 4, 3),
        # No change is no improvement.
        ([5, 5, 5, 5, 5], {"patience": 2}, 3, 0),
        # Nor is a change of min_delta or less, from the best so far and not from the last.
        ([5, 4.5, 4, 4, 4, 4], {"patience": 2, "min_delta": 0.5}, 5, 2),
        ([5, 4.5, 4.5, 4.5, 4.5], {"patience": 3, "min_delta": 0.5}, 4, 0),
        # Not a number is none either, first, later or all along.
        ([NAN, 5, 6, 6, 6], {"patience": 2}, 4, 1),
        ([5, NAN, NAN, 4], {"patience": 2}, 3, 0),
        ([5, NAN, 4, NAN, NAN], {"patience": 2}, 5, 2),
        ([NAN, NAN, NAN, NAN], {"patience": 3}, 3, None),
        # Infinity is a number.
        ([np.inf, 5, 6, 6], {"patience": 2}, 4, 1),
        ([5, -np.inf, -np.inf, -np.inf], {"patience": 2}, 4, 1),
        # The training ends first.
        ([5, 6, 6], {"patience": 3}, 3, 0),
    ],
)
def test_it_ends_the_training_after_so_many_epochs_without_improvement(
    figures, options, epochs, best_epoch
):
    net, stop, script, history = train(figures, **options)
    assert len(history.epoch) == epochs
    assert net.optimizer.steps == epochs
    assert stop.best_epoch == best_epoch
    assert stop.best == (None if best_epoch is None else figures[best_epoch])
    assert stop.wait == epochs - 1 - (-1 if best_epoch is None else best_epoch)


@pytest.mark.parametrize(
    ("name", "mode", "best_epoch"),
    [
        ("val_loss", "auto", 1),
        ("loss", "auto", 1),
        ("my_loss", "auto", 1),
        ("val_score", "auto", 2),
        ("score", "auto", 2),
        ("accuracy", "auto", 2),
        ("val_loss", "max", 2),
        ("val_loss", "min", 1),
        ("val_score", "min", 1),
        ("val_score", "max", 2),
    ],
)
def test_the_mode_says_what_is_better_and_auto_knows_losses(name, mode, best_epoch):
    _, stop, _, history = train([5, 3, 7, 6], name, mode=mode, patience=5)
    assert stop.mode == ("min" if best_epoch == 1 else "max")
    assert stop.best_epoch == best_epoch


def test_min_delta_counts_upwards_too():
    _, stop, _, history = train([5, 5.5, 6, 6.5], "score", min_delta=0.5, patience=3)
    assert (stop.best_epoch, len(history.epoch)) == (2, 4)


@pytest.mark.parametrize("monitor", ["loss", "score", "val_loss", "val_score", "grad_norm", "lr"])
def test_it_watches_the_figures_of_the_history(monitor):
    net, X, y = net_and_data()
    mode = "auto" if monitor.endswith(("loss", "score")) else "max"
    stop = EarlyStopping(monitor, patience=100, mode=mode)
    history = fit(net, X, y, callbacks=[stop], validation_data=(X, y))
    better = np.argmin if monitor.endswith("loss") else np.argmax
    assert stop.best_epoch == better(history[monitor])
    assert stop.best == history[monitor][stop.best_epoch]


def test_it_sees_what_callbacks_before_it_added_to_the_logs():
    _, stop, _, _ = train([1, 2, 3], "mine", mode="max", patience=5)
    assert stop.best == 3


@pytest.mark.parametrize("name", ["val_mae", "grad_norm", "seconds", "val_loss_smoothed"])
def test_it_does_not_guess_whether_less_or_more_is_better(name):
    with pytest.raises(ValueError, match=f"'{name}', of which it is not known .* give mode='min'"):
        EarlyStopping(name)
    assert EarlyStopping(name, mode="min").mode == "min"


@pytest.mark.parametrize("name", ["score", "val_accuracy", "val_acc", "my_auc", "r2"])
def test_of_scores_it_knows_that_more_is_better(name):
    assert EarlyStopping(name).mode == "max"


@pytest.mark.parametrize(
    ("monitor", "validated", "remedy"),
    [("val_loss", False, True), ("val_accuracy", True, False), ("mean_score", False, False)],
)
def test_validation_data_is_asked_for_where_there_is_none(monitor, validated, remedy):
    net, X, y = net_and_data()
    with pytest.raises(ValueError, match=f"monitor is '{monitor}', but the logs") as caught:
        fit(
            net,
            X,
            y,
            callbacks=[EarlyStopping(monitor)],
            validation_data=(X, y) if validated else None,
        )
    assert ("; give validation_data, or an estimator" in str(caught.value)) == remedy


def test_a_copy_of_it_does_not_copy_the_network():
    net, X, y = net_and_data()
    stop = EarlyStopping("loss")
    fit(net, X, y, callbacks=[stop])
    twin = copy.deepcopy(stop)
    assert stop.model is net and twin.model is None
    assert twin.best == stop.best


def test_the_defaults_are_the_validation_loss_and_ten_epochs():
    stop = EarlyStopping()
    assert (stop.monitor, stop.patience, stop.min_delta, stop.mode) == ("val_loss", 10, 0.0, "min")
    assert stop.restore_best_weights is True
    assert (stop.best, stop.best_epoch, stop.wait) == (None, None, 0)


# Which parameters are left


class Stop:
    """A callback that ends the training in a hook."""

    def __init__(self, hook, at):
        self.at = at
        setattr(self, hook, self.stop)

    def stop(self, number, logs):
        if number == self.at:
            raise StopIteration


@pytest.mark.parametrize(
    ("figures", "options", "others"),
    [
        ([5, 3, 4, 4, 4], {"patience": 2}, []),
        ([5, 3, 4, 4, 4], {"patience": 9}, []),
        ([5, 3, 4, 4, 4], {"patience": 9}, [Stop("on_epoch_end", 2)]),
        ([5, 3, 4, 4, 4], {"patience": 9}, [Stop("on_epoch_begin", 3)]),
        ([5, 3, 4, 4, 4], {"patience": 9}, [Stop("on_train_batch_end", 0)]),
    ],
    ids=["patience", "no more epochs", "epoch end", "epoch begin", "batch end"],
)
def test_the_best_parameters_are_put_back_whatever_ends_the_training(figures, options, others):
    if others and hasattr(others[0], "on_train_batch_end"):
        # Batches have the number 0 only, so count them.
        left = iter(range(3))
        others = [types.SimpleNamespace(on_train_batch_end=lambda batch, logs: next(left))]
    net, stop, script, history = train(figures, others=others, **options)
    np.testing.assert_array_equal(net.theta, script.thetas[1])
    assert all(np.shares_memory(view, net.theta) for view in net.weights)
    assert net.optimizer.params is net.theta


def test_they_are_put_back_after_ctrl_c_too():
    def press(epoch, logs):
        if epoch == 3:
            raise KeyboardInterrupt

    with pytest.warns(RuntimeWarning, match="interrupted"):
        net, _, script, _ = train(
            [5, 3, 4, 4, 4], others=[types.SimpleNamespace(on_epoch_begin=press)]
        )
    np.testing.assert_array_equal(net.theta, script.thetas[1])


def test_they_come_back_after_an_error_too():
    net, X, y = net_and_data()
    script, stop = Script(5, 3, 4, 4, 4), EarlyStopping()
    with pytest.raises(ValueError, match=r"lr\(3\) must not be negative"):
        fit(net, X, y, callbacks=[script, stop], lr=lambda epoch: 1 if epoch < 3 else -1)
    np.testing.assert_array_equal(net.theta, script.thetas[1])


def test_the_order_of_the_callbacks_does_not_matter_for_that():
    net, X, y = net_and_data()
    stop, thetas = EarlyStopping("loss", mode="max"), []
    keep = types.SimpleNamespace(on_epoch_end=lambda epoch, logs: thetas.append(net.theta.copy()))
    fit(net, X, y, callbacks=[stop, Stop("on_epoch_end", 3), keep])
    assert stop.best_epoch == 0 and len(thetas) == 4
    np.testing.assert_array_equal(net.theta, thetas[0])


def test_without_restoring_the_last_parameters_are_left():
    net, stop, script, history = train([5, 3, 4, 4], patience=2, restore_best_weights=False)
    np.testing.assert_array_equal(net.theta, script.thetas[3])
    assert "best_theta" not in stop.state_dict()


def test_without_any_number_the_last_parameters_are_left():
    net, _, script, _ = train([NAN, NAN, NAN], patience=2)
    np.testing.assert_array_equal(net.theta, script.thetas[1])


def test_the_training_itself_is_the_one_without_it():
    net, X, y = net_and_data(dropout=0.3)
    plain, _, _ = net_and_data(dropout=0.3)
    fit(net, X, y, callbacks=[EarlyStopping("loss", restore_best_weights=False)])
    fit(plain, X, y)
    same_bits(net, plain)


# A figure that is missing


def test_a_missing_figure_names_what_there_is_and_what_to_do():
    net, X, y = net_and_data()
    message = "monitor is 'val_loss', but the logs hold loss, score, grad_norm, .*; give validation"
    with pytest.raises(ValueError, match=message):
        fit(net, X, y, callbacks=[EarlyStopping()])
    assert net.optimizer.steps == 1
    with pytest.raises(ValueError, match="'accuracy', but the logs hold .*seconds$"):
        fit(net, X, y, callbacks=[EarlyStopping("accuracy")])


# Again


def test_a_second_training_begins_anew():
    net, X, y = net_and_data()
    stop = EarlyStopping(patience=2)
    fit(net, X, y, 5, callbacks=[Script(1, 2, 3), stop])
    assert (stop.best, stop.wait) == (1, 2)
    script = Script(9, 8, 8.5, 8.5)
    history = fit(net, X, y, 4, callbacks=[script, stop])
    assert len(history.epoch) == 4
    assert (stop.best, stop.best_epoch, stop.wait) == (8, 1, 2)
    np.testing.assert_array_equal(net.theta, script.thetas[1])


def test_a_training_of_no_epochs_puts_nothing_back():
    net, X, y = net_and_data()
    stop = EarlyStopping("loss")
    fit(net, X, y, 2, callbacks=[stop])
    net.theta += 1
    theta = net.theta.copy()
    fit(net, X, y, 0, callbacks=[stop])
    np.testing.assert_array_equal(net.theta, theta)
    assert stop.best is None


def test_it_serves_another_network():
    stop = EarlyStopping("loss")
    for sizes in (SIZES, (4, 3)):
        net = nd.MLP(sizes, dtype=np.float64)
        fit(net, *problem("cross_entropy", ROWS, 4, 3), callbacks=[stop])
        assert stop.model is net


# Its state


def test_its_state_goes_there_and_back():
    _, stop, script, _ = train([5, 3, 4, 4.5], patience=9)
    state = stop.state_dict()
    theta = state.pop("best_theta")
    watched = {"monitor": "val_loss", "mode": "min"}
    assert json.loads(json.dumps(state)) == watched | {"best": 3, "best_epoch": 1, "wait": 2}
    np.testing.assert_array_equal(theta, script.thetas[1])
    other = EarlyStopping(patience=9)
    other.load_state_dict(state | {"best_theta": theta})
    assert (other.best, other.best_epoch, other.wait) == (3, 1, 2)
    assert not np.shares_memory(other.state_dict()["best_theta"], theta)
    np.testing.assert_array_equal(other.state_dict()["best_theta"], theta)


def test_the_state_of_a_fresh_one_goes_there_and_back():
    stop = EarlyStopping()
    state = copy.deepcopy(stop.state_dict())
    figures = {name: state[name] for name in ("best", "best_epoch", "wait")}
    assert figures == {"best": None, "best_epoch": None, "wait": 0}
    _, stop, _, _ = train([5, 3, 4], patience=9)
    stop.load_state_dict(state)
    assert stop.state_dict() == state


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (EarlyStopping("val_score"), "monitor='val_score', but the state is of 'val_loss'"),
        (EarlyStopping("val_loss", mode="max"), "mode='max', but the state is of 'min'"),
    ],
)
def test_the_state_of_another_figure_is_refused(other, message):
    state = EarlyStopping().state_dict()
    with pytest.raises(ValueError, match=message):
        other.load_state_dict(state)
    del state["monitor"], state["mode"]
    other.load_state_dict(state)


def test_weights_of_another_network_are_refused():
    stop = EarlyStopping()
    stop.set_model(nd.MLP((2, 2)))
    before = stop.state_dict()
    with pytest.raises(ValueError, match="best_theta has shape"):
        stop.load_state_dict(before | {"best": 1.0, "best_theta": np.zeros(5, np.float32)})
    assert stop.state_dict() == before


def test_a_loaded_state_goes_on_where_it_ended():
    _, first, _, _ = train([5, 3, 4], patience=3)
    second = EarlyStopping(patience=3)
    second.load_state_dict(first.state_dict())
    second.on_epoch_end(3, {"val_loss": 4})
    with pytest.raises(StopIteration):
        second.on_epoch_end(4, {"val_loss": 4})
    assert second.best_epoch == 1


# Arguments


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"monitor": None}, TypeError, "monitor must be the name of a figure, but is None"),
        ({"monitor": 3}, TypeError, "monitor must be the name of a figure, but is 3"),
        ({"patience": -1}, ValueError, "patience must not be negative, but is -1"),
        ({"patience": 2.0}, TypeError, "patience must be an integer, but is 2.0"),
        ({"patience": True}, TypeError, "patience must be an integer, but is True"),
        ({"min_delta": -0.1}, ValueError, "min_delta must not be negative, but is -0.1"),
        ({"min_delta": NAN}, ValueError, "min_delta must not be negative, but is nan"),
        ({"min_delta": "0"}, TypeError, "min_delta must be a real number, but is '0'"),
        ({"mode": "less"}, ValueError, "mode must be one of auto, min, max, but is 'less'"),
        ({"restore_best_weights": 1}, TypeError, "restore_best_weights must be True or False"),
    ],
)
def test_arguments_that_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        EarlyStopping(**options)


def test_options_are_named():
    with pytest.raises(TypeError):
        EarlyStopping("loss", 3)
