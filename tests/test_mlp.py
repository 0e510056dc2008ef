"""The network between trainings: its parameters, their start, predictions and scores."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import scipy.stats

import mlp_reference
import numadelta as nd
from mlp_reference import problem, randomize
from numadelta import evaluation

every_loss = pytest.mark.parametrize("loss", mlp_reference.LOSSES)
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])

SIZES = (4, 6, 3)


def net_and_data(loss, sizes=SIZES, rows=7, dtype=np.float64, **options):
    net = randomize(nd.MLP(sizes, loss=loss, dtype=dtype, **options))
    X, y = problem(loss, rows, sizes[0], sizes[-1])
    return net, X, y


# Parameters


def test_weights_and_biases_are_views_of_theta():
    net = nd.MLP((2, 3, 4, 2))
    assert [weights.shape for weights in net.weights] == [(2, 3), (3, 4), (4, 2)]
    assert [biases.shape for biases in net.biases] == [(3,), (4,), (2,)]
    net.theta[:] = 7
    for view in (*net.weights, *net.biases):
        assert (view == 7).all()
        view[...] = 8
    assert (net.theta == 8).all()


def test_theta_is_flat_and_contiguous():
    net = nd.MLP((2, 3, 2))
    assert net.theta.shape == (17,)
    assert net.theta.flags.carray


def test_assigning_to_theta_copies_the_values():
    net = nd.MLP((2, 3, 2))
    theta, values = net.theta, np.arange(17.0)
    net.theta = values
    assert net.theta is theta and (theta == values).all()
    assert not np.shares_memory(theta, values)
    net.theta -= 1
    assert net.theta is theta and (theta == values - 1).all()


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (np.zeros(3), ValueError, r"theta has shape \(3,\), but the network has 17 parameters"),
        (np.full(17, np.nan), ValueError, r"theta must be finite, but theta\[0\] is nan"),
        (np.ones(17, complex), TypeError, "theta has dtype complex128"),
    ],
)
def test_theta_that_is_refused(values, error, message):
    net = nd.MLP((2, 3, 2))
    before = net.theta.tobytes()
    with pytest.raises(error, match=message):
        net.theta = values
    assert net.theta.tobytes() == before


def test_layers_cannot_be_replaced_one_by_one():
    net = nd.MLP((2, 3, 2))
    with pytest.raises(TypeError):
        net.weights[0] = np.zeros((2, 3))
    with pytest.raises(AttributeError):
        net.optimizer = nd.Adadelta(np.zeros(17))


def test_small_binary_probabilities_do_not_vanish():
    net = nd.MLP((1, 1), loss="binary_cross_entropy")
    net.theta = [1.0, 0.0]
    np.testing.assert_allclose(
        net.predict_proba([[-20.0], [-80.0], [0.0]]),
        scipy.special.expit([-20.0, -80.0, 0.0]),
        rtol=1e-5,
    )


@every_dtype
def test_parameters_and_predictions_have_the_dtype_asked_for(dtype):
    net, X, _ = net_and_data("squared_error", dtype=dtype)
    assert net.dtype == dtype
    assert {a.dtype for a in (net.theta, *net.weights, *net.biases)} == {np.dtype(dtype)}
    assert net.predict(X).dtype == dtype


def test_the_default_dtype_is_float32():
    assert nd.MLP((2, 2)).theta.dtype == np.float32


def test_settings_can_be_read_and_appear_in_the_repr():
    net = nd.MLP([3, 4, 2], activation="tanh", loss="squared_error", weight_decay=0.5, seed=9)
    assert net.layer_sizes == (3, 4, 2)
    assert (net.activation, net.loss, net.weight_decay, net.seed) == (
        "tanh",
        "squared_error",
        0.5,
        9,
    )
    for part in ("(3, 4, 2)", "'tanh'", "'squared_error'", "float32", "parameters=26"):
        assert part in repr(net)


@pytest.mark.parametrize("sizes", [(3, 4, 2), [3, 4, 2], np.array([3, 4, 2]), range(3, 1, -1)])
def test_layer_sizes_may_be_any_sequence_of_whole_numbers(sizes):
    net = nd.MLP(sizes)
    assert net.layer_sizes == tuple(sizes)
    assert {type(size) for size in net.layer_sizes} == {int}


# The start


def test_he_weights_are_normal_with_the_variance_of_the_paper():
    net = nd.MLP((200, 100, 2), initialization="he", dtype=np.float64)
    weights = net.weights[0] * np.sqrt(200 / 2)
    assert scipy.stats.kstest(weights.ravel(), "norm").pvalue > 0.01


def test_glorot_weights_are_uniform_within_the_limit_of_the_paper():
    net = nd.MLP((200, 100, 2), initialization="glorot", dtype=np.float64)
    share = net.weights[0] / np.sqrt(6 / (200 + 100)) / 2 + 0.5
    assert scipy.stats.kstest(share.ravel(), "uniform").pvalue > 0.01


def test_biases_start_at_zero():
    assert not np.concatenate(nd.MLP((3, 4, 2)).biases).any()


@pytest.mark.parametrize(
    ("activation", "initialization"),
    [("relu", "he"), ("tanh", "glorot"), ("logistic", "glorot"), ("identity", "glorot")],
)
def test_auto_is_he_for_relu_and_glorot_for_the_rest(activation, initialization):
    auto = nd.MLP(SIZES, activation=activation)
    named = nd.MLP(SIZES, activation=activation, initialization=initialization)
    np.testing.assert_array_equal(auto.theta, named.theta)


def test_the_seed_decides_the_start():
    np.testing.assert_array_equal(nd.MLP(SIZES, seed=3).theta, nd.MLP(SIZES, seed=3).theta)
    assert (nd.MLP(SIZES, seed=3).weights[0] != nd.MLP(SIZES, seed=4).weights[0]).all()


def test_the_start_leaves_numpys_global_generator_alone():
    before = np.random.get_state()[1].tobytes()
    nd.MLP(SIZES)
    assert np.random.get_state()[1].tobytes() == before


# Predictions


@every_loss
def test_predictions_follow_from_the_output_sums_of_the_slow_reference(loss):
    net, X, _ = net_and_data(loss)
    z = mlp_reference.outputs(net.theta, SIZES, X, net.activation)
    if loss == "squared_error":
        np.testing.assert_allclose(net.predict(X), z, rtol=1e-12)
        return
    if loss == "cross_entropy":
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        np.testing.assert_array_equal(net.predict(X), p.argmax(axis=1))
    else:
        p = 1 / (1 + np.exp(-z))
        np.testing.assert_array_equal(net.predict(X), p > 0.5)
    np.testing.assert_allclose(net.predict_proba(X), p, rtol=1e-12)


@pytest.mark.parametrize(
    ("loss", "outputs", "shape", "dtype"),
    [
        ("cross_entropy", 3, (7,), np.int64),
        ("binary_cross_entropy", 1, (7,), np.int64),
        ("binary_cross_entropy", 3, (7, 3), np.int64),
        ("squared_error", 1, (7,), np.float32),
        ("squared_error", 3, (7, 3), np.float32),
    ],
)
def test_shapes_and_dtypes_of_predictions(loss, outputs, shape, dtype):
    net, X, _ = net_and_data(loss, (4, outputs), dtype=np.float32)
    assert net.predict(X).shape == shape
    assert net.predict(X).dtype == dtype
    if loss != "squared_error":
        assert net.predict_proba(X).shape == ((7, 3) if outputs == 3 else (7,))
        assert net.predict_proba(X).dtype == np.float32


def test_squared_error_knows_no_probabilities():
    net, X, _ = net_and_data("squared_error")
    with pytest.raises(ValueError, match="only networks for classes predict prob.*; use predict"):
        net.predict_proba(X)


@every_dtype
def test_probabilities_of_classes_add_up_to_one(dtype):
    net, X, _ = net_and_data("cross_entropy", dtype=dtype)
    sums = net.predict_proba(X).sum(axis=1)
    np.testing.assert_allclose(sums, 1, rtol=4 * np.finfo(dtype).eps)


@every_loss
def test_rows_that_are_evaluated_in_chunks_give_the_same_results(loss, monkeypatch):
    net, X, y = net_and_data(loss, weight_decay=0.1)
    outputs, (value, score) = net.predict(X), net.evaluate(X, y)
    for rows in (1, 2, 3, 6, 7, 8):
        monkeypatch.setattr(evaluation, "ROWS", rows)
        # Not to the bit: the BLAS may sum a matrix of another height in another order.
        np.testing.assert_allclose(net.predict(X), outputs, rtol=1e-12)
        assert net.evaluate(X, y) == pytest.approx((value, score), rel=1e-12)


def test_predictions_leave_the_network_alone():
    net, X, y = net_and_data("cross_entropy")
    before = pickle.dumps(net)
    net.predict(X), net.predict_proba(X), net.evaluate(X, y), net.loss_and_grad(net.theta, X, y)
    assert pickle.dumps(net) == before


# Scores


def test_the_score_counts_what_predict_says_also_where_probabilities_are_equal():
    net = nd.MLP((1, 2))
    net.theta = [0, 0, 0, 1e-9]
    assert net.predict([[0.0]]) == 1
    assert net.evaluate([[0.0]], [1])[1] == 1
    assert net.evaluate([[0.0]], [0])[1] == 0


def test_weights_too_large_for_a_penalty_are_none_without_weight_decay():
    net = nd.MLP((1, 2), dtype=np.float64)
    net.theta = [1e160, 0, 0, 0]
    X, y = np.zeros((2, 1)), [0, 1]
    assert net.evaluate(X, y)[0] == net.loss_and_grad(net.theta, X, y)[0] == np.log(2)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("dropout", 1.0, ValueError),
        ("input_dropout", -0.1, ValueError),
        ("weight_decay", -1.0, ValueError),
        ("loss", "absolute", ValueError),
        ("loss", "cross_entropy", ValueError),
        ("activation", None, TypeError),
    ],
)
def test_settings_are_checked_when_they_are_changed(name, value, error):
    net = nd.MLP((2, 3, 1), loss="squared_error")
    before = getattr(net, name)
    with pytest.raises(error, match=f"{name} must|cross_entropy needs"):
        setattr(net, name, value)
    assert getattr(net, name) == before


@pytest.mark.parametrize("name", ["layer_sizes", "dtype"])
def test_what_gives_theta_its_meaning_cannot_be_changed(name):
    with pytest.raises(AttributeError):
        setattr(nd.MLP((2, 3, 1), loss="squared_error"), name, None)


def test_weights_are_set_from_a_list_as_keras_has_it():
    net, other = nd.MLP((2, 3, 2), seed=1), nd.MLP((2, 3, 2), seed=2)
    weights = other.get_weights()
    weights[0][0, 0] = 7
    assert other.weights[0][0, 0] != 7
    net.set_weights(weights)
    assert net.theta[0] == 7 and net.theta[1:].tobytes() == other.theta[1:].tobytes()
    before = net.theta.copy()
    for wrong, message in {
        "too few": (weights[:-1], r"has the shapes \[\(2, 3\), \(3,\), \(3, 2\)\], but"),
        "transposed": ([part.T for part in weights], "weights has the shapes"),
        "NaN": ([*weights[:-1], [np.nan, 0]], r"weights\[3\] must be finite, but .*\[0\] is nan"),
        "ragged": ([[[1, 2], [3]], *weights[1:]], r"weights\[0\] cannot be made an array"),
    }.values():
        with pytest.raises(ValueError, match=message):
            net.set_weights(wrong)
    assert net.theta.tobytes() == before.tobytes()


@pytest.mark.parametrize("method", ["TNC", "SLSQP", "L-BFGS-B"])
def test_any_of_scipys_minimisers_takes_it_as_an_objective(method):
    _, X, y = net_and_data("cross_entropy")
    net = nd.MLP((X.shape[1], 8, 3), dtype=np.float32)
    limit = {"maxfun" if method == "TNC" else "maxiter": 50}
    start = net.theta.astype(np.float64)  # TNC and SLSQP refuse another
    result = scipy.optimize.minimize(
        net.loss_and_grad, start, args=(X, y), jac=True, method=method, options=limit
    )
    assert result.fun < net.evaluate(X, y)[0]
    for theta in (net.theta, net.theta.astype(int), net.theta.tolist()):
        assert net.loss_and_grad(theta, X, y)[1].dtype == net.dtype


def test_a_ragged_theta_is_refused():
    with pytest.raises(ValueError, match="theta cannot be made an array"):
        nd.MLP((1, 2)).theta = [[1.0], [1.0, 2.0]]


def test_a_masked_theta_is_refused():
    net = nd.MLP((1, 2))
    for call in (
        lambda theta: setattr(net, "theta", theta),
        lambda theta: net.loss_and_grad(theta, [[0.0]], [0]),
    ):
        with pytest.raises(TypeError, match=r"theta is a masked array"):
            call(np.ma.masked_array(np.ones(4), True))


def test_the_score_of_classes_is_the_accuracy():
    net, X, y = net_and_data("cross_entropy", rows=50)
    assert net.evaluate(X, y)[1] == np.mean(net.predict(X) == y)
    assert net.evaluate(X, net.predict(X))[1] == 1


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_score_of_binary_outputs_is_the_share_of_right_ones(outputs):
    net, X, y = net_and_data("binary_cross_entropy", (4, outputs), rows=50)
    right = net.predict(X).reshape(y.shape) == (y > 0.5)
    assert net.evaluate(X, y)[1] == pytest.approx(right.mean())
    assert net.evaluate(X, net.predict(X))[1] == 1


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_score_of_real_outputs_is_r2_as_scikit_learn_computes_it(outputs):
    metrics = pytest.importorskip("sklearn.metrics")
    net, X, y = net_and_data("squared_error", (4, outputs), rows=50)
    expected = metrics.r2_score(y, net.predict(X))
    assert net.evaluate(X, y)[1] == pytest.approx(expected, rel=1e-12)
    assert net.evaluate(X, net.predict(X))[1] == 1


@every_dtype
@pytest.mark.parametrize("constant", [0.0, 1.0, 0.1])
def test_r2_of_a_constant_target_is_one_if_it_is_met_and_else_zero(dtype, constant):
    net = nd.MLP((1, 1), loss="squared_error", dtype=dtype)
    X, y = np.zeros((1000, 1)), np.full(1000, constant)
    net.theta[:] = [0, constant]
    assert net.evaluate(X, y)[1] == 1
    net.theta[:] = [0, constant + 1]
    assert net.evaluate(X, y)[1] == 0


def test_r2_of_large_float32_targets_does_not_overflow():
    net = nd.MLP((1, 1), loss="squared_error")
    net.theta[:] = [1e20, 0]
    X = np.array([[1.0], [2.0], [3.0]])
    y = X * np.float32(1e20)
    assert net.evaluate(X, y) == (0, 1)


def test_one_sample_can_be_scored():
    for loss in mlp_reference.LOSSES:
        net, X, y = net_and_data(loss, rows=1)
        assert np.isfinite(net.evaluate(X, y)).all()
