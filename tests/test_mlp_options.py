"""Bad options of the network's constructor and of `fit`."""

from __future__ import annotations

import numpy as np
import pytest

import numadelta as nd
from mlp_reference import problem

SIZES = (3, 5, 2)
X, LABELS = problem("cross_entropy", 6, 3, 2)


def fit(net, X, y, **options):
    return net.fit(X, y, **{"epochs": 1, "batch_size": 4, "verbose": 0} | options)


def parametrized(names, cases):
    return pytest.mark.parametrize(names, cases.values(), ids=cases)


# Options of the constructor

BAD_OPTIONS = {
    "one layer": ({"layer_sizes": (3,)}, ValueError, "layer_sizes must hold at least two"),
    "no layers": ({"layer_sizes": ()}, ValueError, "layer_sizes must hold at least two"),
    "an empty layer": ({"layer_sizes": (3, 0, 2)}, ValueError, "at least two positive numbers"),
    "no inputs": ({"layer_sizes": (0, 2)}, ValueError, "at least two positive numbers"),
    "negative": ({"layer_sizes": (3, -1)}, ValueError, "layer_sizes must not be negative"),
    "float": ({"layer_sizes": (3, 2.0)}, TypeError, "layer_sizes must be an integer, but is 2.0"),
    "bool": ({"layer_sizes": (3, True)}, TypeError, "layer_sizes must be an integer"),
    "a number": ({"layer_sizes": 3}, TypeError, "layer_sizes must be a sequence of integers"),
    "a string": ({"layer_sizes": "32"}, TypeError, "layer_sizes must be a sequence of integers"),
    "one class": ({"layer_sizes": (3, 1)}, ValueError, "at least two outputs; with one, bin"),
    "activation": ({"activation": "swish"}, ValueError, "activation must be one of identity, relu"),
    "no activation": ({"activation": None}, TypeError, "activation must be a name or a pair"),
    "no loss": ({"loss": None}, TypeError, "loss must be a name or a pair of functions"),
    "loss": ({"loss": "mse"}, ValueError, "loss must be one of cross_entropy, binary_cross"),
    "initialization": ({"initialization": "zero"}, ValueError, "initialization must be one of"),
    "negative decay": ({"weight_decay": -1e-3}, ValueError, "weight_decay must not be negative"),
    "NaN decay": ({"weight_decay": np.nan}, ValueError, "weight_decay must be finite"),
    "decay beyond float32": ({"weight_decay": 1e300}, ValueError, r"finite \(as float32\)"),
    "decay of a string": ({"weight_decay": "0"}, TypeError, "weight_decay must be a real number"),
    "float16": ({"dtype": np.float16}, TypeError, "must be float32 or float64, but is float16"),
    "integers": ({"dtype": int}, TypeError, "dtype must be float32 or float64, but is int"),
    "byte order": ({"dtype": ">f4"}, TypeError, "dtype must be float32 or float64, but is >f4"),
    "negative dropout": ({"dropout": -0.1}, ValueError, r"dropout must be in \[0, 1\), but is -0"),
    "dropout of all": ({"dropout": 1.0}, ValueError, r"dropout must be in \[0, 1\), but is 1"),
    "NaN dropout": ({"dropout": np.nan}, ValueError, r"dropout must be in \[0, 1\), but is nan"),
    "dropout of a string": ({"dropout": "0"}, TypeError, "dropout must be a real number"),
    "no dropout": ({"dropout": None}, TypeError, "dropout must be a real number, but is None"),
    "negative input_dropout": ({"input_dropout": -1}, ValueError, "input_dropout must be in"),
    "input_dropout of all": ({"input_dropout": 1}, ValueError, "input_dropout must be in"),
    "infinite input_dropout": ({"input_dropout": np.inf}, ValueError, "input_dropout must be in"),
    "input_dropout of a bool": ({"input_dropout": True}, TypeError, "input_dropout must be a real"),
    "negative seed": ({"seed": -1}, ValueError, "seed must not be negative"),
    "no seed": ({"seed": None}, TypeError, "seed must be an integer, but is None"),
    "float seed": ({"seed": 1.5}, TypeError, "seed must be an integer, but is 1.5"),
}  # fmt: skip


@parametrized(("options", "error", "message"), BAD_OPTIONS)
def test_constructor_arguments_that_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        nd.MLP(**{"layer_sizes": SIZES} | options)


# Options of fit

BAD_FIT_OPTIONS = {
    "negative epochs": ({"epochs": -1}, ValueError, "epochs must not be negative, but is -1"),
    "float epochs": ({"epochs": 2.0}, TypeError, "epochs must be an integer, but is 2.0"),
    "no epochs": ({"epochs": None}, TypeError, "epochs must be an integer, but is None"),
    "batch_size 0": ({"batch_size": 0}, ValueError, "batch_size must be at least 1, but is 0"),
    "negative batch_size": ({"batch_size": -4}, ValueError, "batch_size must be at least 1"),
    "float batch_size": ({"batch_size": 4.0}, TypeError, "batch_size must be an integer"),
    "shuffle": ({"shuffle": "yes"}, TypeError, "shuffle must be True or False, but is 'yes'"),
    "verbose 3": ({"verbose": 3}, ValueError, "verbose must be 0, 1 or 2, but is 3"),
    "verbose of an array": ({"verbose": np.zeros(2)}, ValueError, "verbose must be 0, 1 or 2"),
    "callbacks 0": ({"callbacks": 0}, TypeError, "callbacks must be a list of objects, but is 0"),
    "three validation_data": (
        {"validation_data": (1, 2, 3, 4)},
        TypeError,
        r"validation_data must be a tuple \(X, y\) or \(X, y, sample_weight\), but is a tuple of 4",
    ),
    "verbose auto": ({"verbose": "auto"}, ValueError, "verbose must be 0, 1 or 2, but is 'auto'"),
    "lr": ({"lr": -1.0}, ValueError, "lr must not be negative"),
    "lr of a string": ({"lr": "1"}, TypeError, "lr must be a real number, but is '1'"),
    "rho": ({"rho": 1.0}, ValueError, r"rho must be in \[0, 1\)"),
    "rho that rounds to 1": ({"rho": 1 - 1e-12}, ValueError, r"\[0, 1\) \(as float32\)"),
    "eps": ({"eps": 0.0}, ValueError, "eps must be positive"),
    "NaN": ({"eps": np.nan}, ValueError, "eps must be"),
    "shared_delta of a list": ({"shared_delta": [3]}, TypeError, "shared_delta must be True or Fa"),
    "clipvalue 0": ({"clipvalue": 0.0}, ValueError, "clipvalue must be positive and finite"),
    "negative clipvalue": ({"clipvalue": -1}, ValueError, "clipvalue must be positive and finite"),
    "NaN clipvalue": ({"clipvalue": np.nan}, ValueError, "clipvalue must be positive and finite"),
    "clipvalue of a string": ({"clipvalue": "1"}, TypeError, "clipvalue must be a real number"),
    "global_clipnorm 0": ({"global_clipnorm": 0}, ValueError, "global_clipnorm must be positive"),
    "infinite clipnorm": ({"global_clipnorm": np.inf}, ValueError, "global_clipnorm must be posit"),
    "clipnorm of a bool": ({"global_clipnorm": True}, TypeError, "global_clipnorm must be a real"),
    "both clips": ({"clipvalue": 1.0, "global_clipnorm": 1.0}, ValueError, "exclude each other"),
    "weights of another length": (
        {"sample_weight": np.ones(5)},
        ValueError,
        r"sample_weight has shape \(5,\), but \(6,\) is needed",
    ),
    "weights of validation_data": (
        {"validation_data": (X, LABELS, LABELS[:1])},
        ValueError,
        r"validation_data: sample_weight has shape \(1,\)",
    ),
    "validation_data without y": ({"validation_data": X}, TypeError, r"must be a tuple \(X, y\)"),
    "validation features": (
        {"validation_data": (X[:, :2], LABELS)},
        ValueError,
        "validation_data: X has 2 features, but the network has 3",
    ),
    "validation of nothing": (
        {"validation_data": (X[:0], LABELS[:0])},
        ValueError,
        "validation_data: X has no samples",
    ),
}  # fmt: skip


@parametrized(("options", "error", "message"), BAD_FIT_OPTIONS)
def test_fit_arguments_that_are_refused_before_anything_is_changed(options, error, message):
    net, twin = nd.MLP(SIZES), nd.MLP(SIZES)
    with pytest.raises(error, match=message):
        fit(net, X, LABELS, **options)
    assert net.optimizer is None
    for one in (net, twin):
        fit(one, X, LABELS, lr=0.5)
    with pytest.raises(error, match=message):
        fit(net, X, LABELS, **{"rho": 0.5} | options)
    assert (net.optimizer.lr, net.optimizer.rho, net.optimizer.steps) == (0.5, 0.95, 2)
    for one in (net, twin):
        fit(one, X, LABELS)
    np.testing.assert_array_equal(net.theta, twin.theta)


def test_an_unknown_option_of_fit_is_refused():
    with pytest.raises(TypeError, match="momentum"):
        fit(nd.MLP(SIZES), X, LABELS, momentum=0.9)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_parameters_that_are_not_finite_are_refused_by_fit(bad):
    net = nd.MLP(SIZES)
    net.theta[3] = bad
    with pytest.raises(ValueError, match=rf"\[3\] is {bad}"):
        fit(net, X, LABELS)
    assert net.optimizer is None
