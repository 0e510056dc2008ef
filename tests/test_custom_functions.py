"""Activations and losses of the user: pairs of scalar functions, a rule and its derivative."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
from numba import config, njit
from scipy import sparse, special

import mlp_reference
import numadelta as nd
from mlp_reference import problem, randomize, same_bits
from numadelta.checkpoint import CheckpointError

SIZES = (4, 6, 5, 3)
ROWS = 11  # in batches of 4: three an epoch


# Functions, compiled once for all tests


@njit
def relu(z):
    return max(z, 0.0)


@njit
def relu_slope(z):
    return 1.0 if z > 0 else 0.0


@njit
def tanh(z):
    return math.tanh(z)


@njit
def tanh_slope(z):
    return 1 - math.tanh(z) ** 2


@njit
def gelu(z):
    return z * (1 + math.erf(z / math.sqrt(2))) / 2


@njit
def gelu_slope(z):
    return (1 + math.erf(z / math.sqrt(2))) / 2 + z * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)


@njit
def silu(z):
    return z / (1 + math.exp(-z))


@njit
def silu_slope(z):
    share = 1 / (1 + math.exp(-z))
    return share + z * share * (1 - share)


@njit
def square(output, target):
    return (output - target) ** 2


@njit
def square_slope(output, target):
    return 2 * (output - target)


@njit
def huber(output, target):
    error = abs(output - target)
    return error * error / 2 if error < 1 else error - 0.5


@njit
def huber_slope(output, target):
    return min(max(output - target, -1.0), 1.0)


# Plain functions, for Numba to compile


def plain_relu(z):
    return max(z, 0.0)


def plain_relu_slope(z):
    return 1.0 if z > 0 else 0.0


def plain_square(output, target):
    return (output - target) ** 2


def plain_square_slope(output, target):
    return 2 * (output - target)


RELU, TANH, GELU, SILU = (
    (relu, relu_slope),
    (tanh, tanh_slope),
    (gelu, gelu_slope),
    (silu, silu_slope),
)
SQUARE, HUBER = (square, square_slope), (huber, huber_slope)
PLAIN = {
    "activation": (plain_relu, plain_relu_slope),
    "loss": (plain_square, plain_square_slope),
}

# The same in NumPy, for the slow reference
REFERENCE = {
    RELU: "relu",
    TANH: "tanh",
    GELU: (
        lambda z: z * special.ndtr(z),
        lambda z: special.ndtr(z) + z * np.exp(-z * z / 2) / np.sqrt(2 * np.pi),
    ),
    SILU: (
        lambda z: z * special.expit(z),
        lambda z: special.expit(z) * (1 + z * special.expit(-z)),
    ),
}


def reference_huber(z, target):
    error = z - target
    return np.mean(special.huber(1, error)), np.clip(error, -1, 1) / len(z)


def net_and_data(activation="tanh", loss="squared_error", dtype=np.float64, **options):
    net = nd.MLP(SIZES, activation=activation, loss=loss, dtype=dtype, **options)
    kind = loss if isinstance(loss, str) else "squared_error"
    return net, *problem(kind, ROWS, SIZES[0], SIZES[-1])


def fit(net, X, y, epochs=2, batch_size=4, **options):
    return net.fit(X, y, epochs=epochs, batch_size=batch_size, verbose=0, **options)


def assert_same_training(net, twin, X, y, tolerance, **options):
    # He's start is for the name "relu" alone.
    twin.theta = net.theta
    histories = [fit(one, X, y, validation_data=(X, y), **options) for one in (net, twin)]
    np.testing.assert_allclose(net.theta, twin.theta, rtol=tolerance, atol=tolerance)
    for name in ("loss", "val_loss", "val_score", "grad_norm"):
        np.testing.assert_allclose(*(history[name] for history in histories), rtol=tolerance)


# Equal to what there is


@pytest.mark.parametrize(("pair", "name"), [(RELU, "relu"), (TANH, "tanh")], ids=["relu", "tanh"])
def test_an_activation_written_anew_gives_the_results_of_the_one_there_is(pair, name):
    net, X, y = net_and_data(pair)
    twin, _, _ = net_and_data(name)
    assert_same_training(net, twin, X, y, 1e-9)
    twin.theta = net.theta
    np.testing.assert_allclose(net.predict(X), twin.predict(X), rtol=1e-12)
    assert net.evaluate(X, y) == pytest.approx(twin.evaluate(X, y), rel=1e-12)


def test_so_does_a_loss():
    weights = np.arange(ROWS)
    net, X, y = net_and_data(loss=SQUARE, weight_decay=0.1)
    twin, _, _ = net_and_data(loss="squared_error", weight_decay=0.1)
    assert_same_training(net, twin, X, y, 1e-9, sample_weight=weights)
    twin.theta = net.theta
    assert net.evaluate(X, y, weights) == pytest.approx(twin.evaluate(X, y, weights), rel=1e-12)


def test_so_does_either_in_float32():
    net, X, y = net_and_data(RELU, SQUARE, np.float32)
    twin, _, _ = net_and_data("relu", "squared_error", np.float32)
    assert_same_training(net, twin, X, y, 1e-4)
    assert net.predict(X).dtype == net.loss_and_grad(net.theta, X, y)[1].dtype == np.float32


def test_plain_functions_are_compiled_and_copied():
    net, X, y = net_and_data(**PLAIN)
    twin, _, _ = net_and_data(RELU, SQUARE)
    for one in (net, twin):
        fit(one, X, y, 1)
    same_bits(net, twin)
    copies = [pickle.loads(pickle.dumps(net)), copy.deepcopy(net)]
    for one in (net, *copies):
        fit(one, X, y, 1)
    same_bits(net, copies[0])
    same_bits(net, copies[1])


def test_an_activation_goes_with_classes_and_dropout_and_sparse_samples():
    net, X, y = net_and_data(TANH, "cross_entropy", dropout=0.4)
    twin, _, _ = net_and_data("tanh", "cross_entropy", dropout=0.4)
    X = sparse.csr_array(np.where(X > 0, X, 0))
    assert_same_training(net, twin, X, y, 1e-9)
    np.testing.assert_allclose(net.predict_proba(X), twin.predict_proba(X), rtol=1e-7)


def test_the_start_is_glorots_unless_another_is_asked_for():
    np.testing.assert_array_equal(
        nd.MLP(SIZES, activation=RELU).theta, nd.MLP(SIZES, initialization="glorot").theta
    )
    np.testing.assert_array_equal(
        nd.MLP(SIZES, activation=RELU, initialization="he").theta, nd.MLP(SIZES).theta
    )


# New ones


@pytest.mark.parametrize("pair", REFERENCE, ids=["relu", "tanh", "gelu", "silu"])
def test_loss_and_gradient_equal_the_slow_reference(pair):
    net, X, y = net_and_data(pair, weight_decay=0.1)
    randomize(net)
    expected = mlp_reference.loss_and_grad(
        net.theta, SIZES, X, y, REFERENCE[pair], "squared_error", 0.1
    )
    value, grad = net.loss_and_grad(net.theta, X, y)
    assert value == pytest.approx(expected[0], rel=1e-12)
    np.testing.assert_allclose(grad, expected[1], rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("pair", [GELU, SILU], ids=["gelu", "silu"])
def test_a_function_that_falls_and_rises_has_the_gradient_of_its_differences(pair):
    # No slope could be found from its output, as for the activations there are.
    net, X, y = net_and_data(pair)
    randomize(net)
    _, grad = net.loss_and_grad(net.theta, X, y)
    for k in range(0, grad.size, 7):
        steps = np.zeros(grad.size)
        steps[k] = 1e-6
        up, down = (net.loss_and_grad(net.theta + s, X, y)[0] for s in (steps, -steps))
        assert grad[k] == pytest.approx((up - down) / 2e-6, rel=1e-5, abs=1e-8)


def test_hubers_loss_equals_the_slow_reference():
    net, X, y = net_and_data(loss=HUBER)
    randomize(net)
    weights = np.arange(ROWS)
    y *= 3
    value, grad = net.loss_and_grad(net.theta, X, y)
    expected = mlp_reference.loss_and_grad(net.theta, SIZES, X, y, "tanh", reference_huber)
    assert value == pytest.approx(expected[0], rel=1e-12)
    np.testing.assert_allclose(grad, expected[1], rtol=1e-9, atol=1e-14)
    expected = mlp_reference.loss_and_grad(
        net.theta, SIZES, X, y, "tanh", reference_huber, sample_weight=weights
    )
    assert net.evaluate(X, y, weights)[0] == pytest.approx(expected[0], rel=1e-12)


def test_hubers_loss_learns_a_line_past_an_outlier():
    X = np.linspace(-1, 1, 20)[:, np.newaxis]
    y = 2 * X[:, 0] + 1
    y[3] = 100
    net = nd.MLP((1, 1), loss=HUBER, dtype=np.float64)
    fit(net, X, y, 400, 20, eps=1e-4)
    np.testing.assert_allclose(net.theta, [2, 1], atol=0.3)


def test_the_score_of_a_loss_of_ones_own_is_r2():
    net, X, y = net_and_data(loss=HUBER)
    twin, _, _ = net_and_data()
    residual, total = np.sum((y - net.predict(X)) ** 2, axis=0), len(y) * np.var(y, axis=0)
    assert net.evaluate(X, y)[1] == pytest.approx(np.mean(1 - residual / total), rel=1e-12)
    assert net.evaluate(X, y)[1] == twin.evaluate(X, y)[1]
    history = fit(net, X, y, validation_data=(X, y))
    assert "score" not in history and "val_score" in history
    assert history["val_score"][-1] == net.evaluate(X, y)[1]


def test_a_loss_of_ones_own_predicts_values_and_no_probabilities():
    net, X, y = net_and_data(loss=HUBER)
    np.testing.assert_array_equal(net.predict(X), net_and_data()[0].predict(X))
    assert nd.MLP((4, 1), loss=HUBER).predict(X).shape == (ROWS,)
    with pytest.raises(ValueError, match="only networks for classes predict prob.*; use predict"):
        net.predict_proba(X)


def test_the_targets_of_a_loss_of_ones_own_are_any_real_numbers():
    net, X, y = net_and_data(loss=HUBER)
    with pytest.raises(ValueError, match=r"y has shape \(11,\), but the network has 3 outputs"):
        fit(net, X, y[:, 0])
    with pytest.raises(ValueError, match=r"y\[0, 0\] is nan"):
        fit(net, X, np.where(y == y[0, 0], np.nan, y))


def test_a_loss_that_is_not_finite_names_epoch_and_batch():
    net, X, y = net_and_data(loss=HUBER)
    y[:] = 1e308
    net.theta[-3:] = -1e308
    with pytest.raises(ValueError, match="epoch 1, batch 1: .* must be finite"):
        fit(net, X, y)
    assert net.optimizer.steps == 0


def test_two_epochs_and_three_are_five_to_the_bit():
    nets = [net_and_data(GELU, HUBER, dropout=0.3)[0] for _ in range(2)]
    _, X, y = net_and_data()
    fit(nets[0], X, y, 5)
    fit(nets[1], X, y, 2)
    fit(nets[1], X, y, 3)
    same_bits(*nets)


# Copies and files


@pytest.mark.parametrize(
    "duplicate",
    [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))],
    ids=["deepcopy", "pickle"],
)
def test_a_copy_goes_on_to_the_bit(duplicate):
    net, X, y = net_and_data(GELU, HUBER)
    fit(net, X, y, 1)
    twin = duplicate(net)
    for one in (net, twin):
        fit(one, X, y, 1)
    same_bits(net, twin)


def test_a_reseeded_network_has_the_functions():
    net, X, y = net_and_data(GELU, HUBER, dropout=0.25, input_dropout=0.5)
    other = nd.MLP(**net.get_config() | {"seed": 5})
    assert (other.activation, other.loss, other.seed) == (net.activation, net.loss, 5)
    assert (other.dropout, other.input_dropout, other.dtype) == (0.25, 0.5, net.dtype)
    assert (other.weights[0] != net.weights[0]).all() and other.optimizer is None
    same = nd.MLP(**other.get_config() | {"seed": net.seed})
    np.testing.assert_array_equal(same.theta, net.theta)
    for one in (net, same):
        fit(one, X, y, 1)
    same_bits(net, same)


def test_a_file_takes_the_functions_when_it_is_loaded(tmp_path):
    net, X, _ = net_and_data(GELU, HUBER)
    net.save(tmp_path / "net.npz")
    loaded = nd.MLP.load(tmp_path / "net.npz", activation=GELU, loss=HUBER)
    np.testing.assert_array_equal(loaded.theta, net.theta)
    np.testing.assert_array_equal(loaded.predict(X), net.predict(X))


BAD_LOADS = {
    "no functions": ({}, {}, "activation is None, .* was saved with functions that no file can"),
    "no loss": ({"activation": GELU}, {}, "loss is None, .* was saved with functions that no file"),
    "functions for a name": (
        {"activation": GELU, "loss": HUBER},
        {"activation": "tanh"},
        "activation is .*, but .*net.npz was saved with tanh",
    ),
    "a loss for a name": (
        {"activation": GELU, "loss": HUBER},
        {"loss": "squared_error"},
        "loss is .*, but .*net.npz was saved with squared_error",
    ),
}


@pytest.mark.parametrize(("given", "saved", "message"), BAD_LOADS.values(), ids=BAD_LOADS)
def test_functions_that_a_file_lacks_or_does_not_want(tmp_path, given, saved, message):
    net, _, _ = net_and_data(**{"activation": GELU, "loss": HUBER} | saved)
    net.save(tmp_path / "net.npz")
    with pytest.raises(ValueError, match=message) as caught:
        nd.MLP.load(tmp_path / "net.npz", **given)
    assert not isinstance(caught.value, CheckpointError)


@pytest.mark.parametrize("bad", [(gelu,), gelu, (gelu, 1)], ids=["one", "no pair", "a number"])
def test_functions_given_wrongly_do_not_make_a_file_corrupt(tmp_path, bad):
    net, _, _ = net_and_data(GELU)
    net.save(tmp_path / "net.npz")
    with pytest.raises(TypeError, match="activation must be a name or a pair of functions"):
        nd.MLP.load(tmp_path / "net.npz", activation=bad)


# Wrong arguments


@pytest.mark.parametrize("name", ["activation", "loss"])
@pytest.mark.parametrize(
    "bad",
    [relu, (relu,), (relu, relu_slope, relu), (relu, "relu"), (None, None), {}, 1, None],
    ids=["a function", "one", "three", "a name", "None twice", "dict", "number", "None"],
)
def test_what_is_no_pair_of_functions_is_refused(name, bad):
    with pytest.raises(TypeError, match=f"{name} must be a name or a pair of functions"):
        nd.MLP(SIZES, **{name: bad})


@pytest.mark.parametrize("name", ["activation", "loss"])
def test_an_unknown_name_lists_those_there_are(name):
    with pytest.raises(ValueError, match=f"{name} must be one of .*, but is 'gelu'"):
        nd.MLP(SIZES, **{name: "gelu"})


class Callable:
    def __call__(self, z):
        return z


@pytest.mark.parametrize("bad", [abs, np.tanh, Callable()], ids=["builtin", "ufunc", "object"])
def test_what_numba_cannot_compile_is_refused_by_name(bad):
    with pytest.raises(TypeError, match="activation"):
        nd.MLP(SIZES, activation=(bad, relu_slope))


def unknown_attribute(z):
    return z.unknown


def two_arguments(z, w):
    return z


def no_number(z):
    return "z"


@pytest.mark.skipif(config.DISABLE_JIT, reason="there is no typing without Numba")
@pytest.mark.parametrize("bad", [unknown_attribute, two_arguments, no_number])
def test_a_function_that_does_not_compile_is_named_without_a_trace_of_numba(bad):
    with pytest.raises(TypeError, match=f"activation.*{bad.__name__}") as caught:
        net_and_data((bad, relu_slope))
    assert "nopython" not in str(caught.value)
