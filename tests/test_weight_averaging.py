"""WeightAveraging: the mean that a network is left with, and the training that it leaves alone."""

from __future__ import annotations

import copy
import types

import numpy as np
import pytest

import numadelta as nd
from mlp_reference import problem, same_bits
from numadelta.callbacks import EarlyStopping, WeightAveraging
from numadelta.sklearn import MLPRegressor

SIZES = (4, 6, 3)
ROWS = 11


def net_and_data(dtype=np.float64, **options):
    return nd.MLP(SIZES, dtype=dtype, **options), *problem("cross_entropy", ROWS, 4, 3)


def fit(net, X, y, epochs=5, **options):
    return net.fit(X, y, epochs=epochs, batch_size=4, verbose=0, **options)


class Keeper:
    """A callback that keeps the parameters of each epoch."""

    def __init__(self):
        self.thetas = []

    def set_model(self, model):
        self.model = model

    def on_epoch_end(self, epoch, logs):
        self.thetas.append(self.model.theta.astype(np.float64))


def mean_of(thetas):
    """Return the weighted mean in closed form: the k-th of the last counts k (k + 1) (k + 2)."""
    k = np.arange(1, len(thetas) + 1)
    return np.average(thetas, axis=0, weights=k * (k + 1) * (k + 2))


def train(epochs=5, others=(), dtype=np.float64, **options):
    """Train; return network, callback and the parameters of each epoch."""
    net, X, y = net_and_data(dtype)
    average, keeper = WeightAveraging(), Keeper()
    fit(net, X, y, epochs, callbacks=[average, keeper, *others], **options)
    return net, average, keeper.thetas


# The mean


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-12), (np.float32, 1e-5)])
@pytest.mark.parametrize("epochs", [1, 2, 7])
def test_the_network_is_left_with_the_weighted_mean(epochs, dtype, rtol):
    net, average, thetas = train(epochs, dtype=dtype)
    assert average.count == len(thetas) == epochs
    assert net.theta.dtype == dtype
    np.testing.assert_allclose(net.theta, mean_of(thetas), rtol=rtol, atol=rtol)
    assert net.optimizer.params is net.theta


def test_the_mean_of_one_epoch_is_its_parameters():
    net, _, thetas = train(1)
    np.testing.assert_array_equal(net.theta, thetas[0])


def test_it_is_nearer_to_the_optimum_of_noisy_data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 4))
    y = X @ [1.0, -2.0, 0.5, 0.0] + rng.normal(size=300)
    best = np.linalg.lstsq(np.column_stack([X, np.ones(300)]), y, rcond=None)[0]

    def distance(*callbacks):
        net = nd.MLP((4, 1), loss="squared_error", dtype=np.float64)
        net.fit(X, y, epochs=40, batch_size=5, lr=10, callbacks=callbacks, verbose=0)
        return np.linalg.norm(net.theta - best)

    assert distance(WeightAveraging()) < distance() / 2


# The training


def test_the_training_is_the_one_without_it():
    net, X, y = net_and_data(dropout=0.3)
    plain, _, _ = net_and_data(dropout=0.3)
    data = problem("cross_entropy", 5, 4, 3, seed=1)
    history = fit(net, X, y, validation_data=data, callbacks=[WeightAveraging()])
    without = fit(plain, X, y, validation_data=data)
    for name in ("loss", "val_loss", "grad_norm", "effective_lr"):
        assert history[name] == without[name]
    assert (net.theta != plain.theta).any()
    net.theta = plain.theta
    same_bits(net, plain)


def test_a_checkpoint_holds_the_parameters_that_go_on(tmp_path):
    net, X, y = net_and_data()
    plain, _, _ = net_and_data()
    fit(net, X, y, callbacks=[WeightAveraging()], checkpoint=tmp_path / "run")
    fit(plain, X, y)
    newest = max((tmp_path / "run").glob("step*.npz"))
    np.testing.assert_array_equal(nd.MLP.load(newest).theta, plain.theta)


def test_a_second_training_begins_anew():
    net, X, y = net_and_data()
    average, keeper = WeightAveraging(), Keeper()
    fit(net, X, y, 3, callbacks=[average])
    fit(net, X, y, 2, callbacks=[average, keeper])
    assert average.count == 2
    np.testing.assert_allclose(net.theta, mean_of(keeper.thetas), rtol=1e-12)


def test_it_serves_another_network():
    average = WeightAveraging()
    for sizes in (SIZES, (4, 3)):
        net = nd.MLP(sizes, dtype=np.float64)
        fit(net, *problem("cross_entropy", ROWS, 4, 3), callbacks=[average])
        assert average.model is net


def test_a_copy_of_it_does_not_copy_the_network():
    net, X, y = net_and_data()
    average = WeightAveraging()
    fit(net, X, y, 2, callbacks=[average])
    twin = copy.deepcopy(average)
    assert average.model is net and twin.model is None and twin.count == 2


# Its end


def test_a_training_of_no_epochs_changes_nothing():
    net, X, y = net_and_data()
    average = WeightAveraging()
    fit(net, X, y, 2, callbacks=[average])
    theta = net.theta.copy()
    fit(net, X, y, 0, callbacks=[average])
    np.testing.assert_array_equal(net.theta, theta)
    assert average.count == 0


@pytest.mark.parametrize("hook", ["on_epoch_begin", "on_train_batch_end"])
def test_ctrl_c_leaves_the_mean_of_the_whole_epochs(hook):
    calls = iter(range(100))

    def press(number, logs):
        if next(calls) == (2 if hook == "on_epoch_begin" else 7):  # three batches an epoch
            raise KeyboardInterrupt

    with pytest.warns(RuntimeWarning, match="interrupted"):
        net, average, thetas = train(others=[types.SimpleNamespace(**{hook: press})])
    assert average.count == len(thetas) == 2
    np.testing.assert_allclose(net.theta, mean_of(thetas), rtol=1e-12)


def test_an_error_leaves_it_too():
    net, X, y = net_and_data()
    average, keeper = WeightAveraging(), Keeper()
    with pytest.raises(ValueError, match=r"lr\(3\) must not be negative"):
        fit(net, X, y, callbacks=[average, keeper], lr=lambda epoch: 1 if epoch < 3 else -1)
    np.testing.assert_allclose(net.theta, mean_of(keeper.thetas), rtol=1e-12)


@pytest.mark.parametrize("average_last", [True, False])
def test_the_last_in_the_list_decides_about_the_parameters(average_last):
    net, X, y = net_and_data()
    stop, average, keeper = EarlyStopping("loss", mode="max"), WeightAveraging(), Keeper()
    both = [stop, average] if average_last else [average, stop]
    fit(net, X, y, callbacks=[*both, keeper])
    expected = mean_of(keeper.thetas) if average_last else keeper.thetas[stop.best_epoch]
    np.testing.assert_allclose(net.theta, expected, rtol=1e-12)


# Its state (that a resumed training has the same bits is in test_resume.py)


def test_its_state_goes_there_and_back():
    _, first, _ = train(3)
    state, second = first.state_dict(), WeightAveraging()
    second.load_state_dict(state)
    assert second.count == 3
    assert not np.shares_memory(second.state_dict()["mean"], state["mean"])
    np.testing.assert_array_equal(second.state_dict()["mean"], state["mean"])


@pytest.mark.parametrize("loaded_before", [True, False])
def test_a_mean_of_another_network_is_refused(loaded_before):
    state = {"count": 3, "mean": np.zeros(100_000)}
    average = WeightAveraging()
    net, X, y = net_and_data()
    with pytest.raises(ValueError, match=r"mean has shape \(100000,\), but theta has shape"):
        if not loaded_before:
            average.set_model(net)
        average.load_state_dict(state)
        average.set_model(net)
        average.on_epoch_end(0, {})
    with pytest.raises(ValueError, match="count must not be negative, but is -1"):
        average.load_state_dict({"count": -1, "mean": np.zeros(3)})


def test_a_training_that_is_stopped_before_it_begins_changes_nothing():
    average, press = WeightAveraging(), types.SimpleNamespace()
    fit(*net_and_data(), callbacks=[average])

    def on_train_begin(logs):
        raise KeyboardInterrupt

    press.on_train_begin = on_train_begin
    net = nd.MLP((4, 3))
    theta = net.theta.copy()
    with pytest.warns(RuntimeWarning, match="interrupted"):
        fit(net, *problem("cross_entropy", ROWS, 4, 3), callbacks=[press, average])
    np.testing.assert_array_equal(net.theta, theta)


# In an estimator


def test_early_stopping_of_an_estimator_puts_the_best_weights_back_all_the_same():
    X, y = problem("squared_error", 60, 4, 1)
    options = {"hidden_layer_sizes": (5,), "max_iter": 6, "random_state": 0, "batch_size": 10}
    models = []
    for callbacks in ([], [WeightAveraging()]):
        model = MLPRegressor(early_stopping=True, callbacks=callbacks, **options)
        with pytest.warns(UserWarning, match="has not converged"):
            models.append(model.fit(X, y[:, 0]))
    np.testing.assert_array_equal(models[0].net_.theta, models[1].net_.theta)


def test_an_estimator_takes_it():
    X, y = problem("squared_error", 40, 4, 1)
    options = {"hidden_layer_sizes": (5,), "max_iter": 6, "random_state": 0, "batch_size": 10}
    keeper = Keeper()
    with pytest.warns(UserWarning, match="has not converged"):
        model = MLPRegressor(callbacks=[WeightAveraging(), keeper], **options).fit(X, y[:, 0])
    np.testing.assert_allclose(model.net_.theta, mean_of(keeper.thetas), rtol=1e-12)
