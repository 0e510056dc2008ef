"""Numbers that no step may take in silence: faults of values, hyper-parameters and states."""

from __future__ import annotations

import copy
import warnings
from fractions import Fraction

import numpy as np
import pytest
from numba import config

import numadelta as nd
from numadelta import kernels

NAN, INF = float("nan"), float("inf")
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@pytest.fixture(params=["one thread", "four threads"])
def number_of_threads(request):
    """Run a test both ways: the two take different paths through the library."""
    if request.param == "four threads":
        request.getfixturevalue("four_threads")


both_ways = pytest.mark.usefixtures("number_of_threads")


def optimizer(n=100, dtype=np.float64, **options):
    """An optimiser after one step, so that no array of it is all zeros or all ones."""
    x = np.linspace(1, 2, n).astype(dtype)
    opt = nd.Adadelta(x, **options)
    opt.step(x / 2)
    return opt


def contents(opt):
    arrays = (np.array(a).tobytes() for a in (opt.params, opt.square_avg, opt.acc_delta))
    return *arrays, opt.steps, repr(opt)


# Gradients that are not finite, or whose squares are not

BAD = [NAN, INF, -INF]


@both_ways
@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("indices", [[0], [99], [57, 58, 91], [17, 98, 40]], ids=str)
def test_the_first_bad_gradient_is_named_and_nothing_is_updated(bad, indices):
    opt, g = optimizer(), np.ones(100)
    before = contents(opt)
    g[indices] = bad
    with pytest.raises(ValueError, match=rf"grads\[{min(indices)}\] is {bad}, .*must be finite"):
        opt.step(g)
    assert contents(opt) == before


@both_ways
@pytest.mark.parametrize("bad", BAD)
def test_skipped_steps_touch_nothing_and_are_counted(bad):
    opt, g = optimizer(nonfinite="skip"), np.ones(100)
    before = contents(opt)
    g[3] = bad
    opt.step(g)
    opt.step(g)
    assert (contents(opt), opt.skipped) == (before, 2)
    opt.step(np.ones(100))
    assert (opt.steps, opt.skipped) == (2, 2)


def test_the_functional_step_says_whether_it_was_taken():
    x, v, u = np.ones(2), np.zeros(2), np.zeros(2)
    assert nd.adadelta_step(x, [NAN, 1], v, u, nonfinite="skip") is False
    assert x.tolist() == [1, 1] and not v.any() and not u.any()
    assert nd.adadelta_step(x, [1, 1], v, u, nonfinite="skip") is True


@both_ways
@pytest.mark.parametrize("bad", BAD)
def test_propagation_spoils_the_bad_element_alone(bad):
    opt, g = optimizer(nonfinite="propagate"), np.ones(100)
    other = optimizer()
    other.step(g)
    g[3] = bad
    with warnings.catch_warnings():
        if config.DISABLE_JIT:  # then it is NumPy that computes
            warnings.simplefilter("ignore", RuntimeWarning)
        opt.step(g)
    assert np.isnan(opt.params[3])
    np.testing.assert_array_equal(np.delete(opt.params, 3), np.delete(other.params, 3))
    assert (opt.steps, opt.skipped) == (2, 0)


@both_ways
@pytest.mark.parametrize(
    ("dtype", "eps", "usable", "unusable"),
    [
        # Beyond these, eps / g**2 is subnormal,
        (np.float32, 1e-6, 9.22337e15, 9.22338e15),
        (np.float64, 1e-6, 6.70390e150, 6.70391e150),
        (np.float32, 1e-12, 9.22337e12, 9.22338e12),
        # and beyond these, g**2 overflows.
        (np.float32, 10.0, 1.844672e19, 1.844675e19),
        (np.float64, 10.0, 1.34077e154, 1.34079e154),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_gradient_too_large_is_refused_and_the_largest_other_is_exact(
    dtype, eps, usable, unusable, sign
):
    opt, g = nd.Adadelta(np.zeros(100, dtype), eps=eps), np.zeros(100, dtype)
    before = contents(opt)
    g[60] = sign * unusable
    with pytest.raises(ValueError, match=r"grads\[60\] is .* must be finite and at most"):
        opt.step(g)
    assert contents(opt) == before
    g[60] = sign * usable
    opt.step(g)
    assert np.isfinite(opt.square_avg[60])
    assert -sign * opt.params[60] == pytest.approx(np.sqrt(eps / 0.05), rel=1e-5)


def test_a_list_with_a_number_beyond_float32_is_refused_as_infinite():
    with pytest.raises(ValueError, match=r"grads\[1\] is inf"):
        nd.Adadelta(np.ones(2, np.float32)).step([0.0, 1e300])


@both_ways
@pytest.mark.parametrize("maximize", [False, True])
def test_with_weight_decay_it_is_the_sum_that_must_be_usable(maximize):
    opt = nd.Adadelta(np.ones(100, np.float32), weight_decay=1e19, maximize=maximize)
    sign = -1 if maximize else 1
    opt.step(np.full(100, -1e19 * sign, np.float32))
    assert (opt.params == 1).all() and opt.steps == 1
    before = contents(opt)
    with pytest.raises(ValueError, match=r"grads\[0\] is .*with weight decay added, a gradient"):
        opt.step(np.full(100, 1e19 * sign, np.float32))
    assert contents(opt) == before


# Parameters and averages


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("name", ["params", "square_avg", "acc_delta"])
def test_a_start_that_is_not_finite_is_refused(bad, name):
    arguments = {name: np.ones((2, 3)) for name in ("params", "square_avg", "acc_delta")}
    arguments[name][1, 1:] = bad
    with pytest.raises(ValueError, match=rf"{name} must be finite, but {name}\[1, 1\] is {bad}"):
        nd.Adadelta(**arguments)
    with pytest.raises(ValueError, match=rf"{name} must be finite"):
        nd.adadelta_step(grads=np.ones((2, 3)), **arguments)


@pytest.mark.parametrize("name", ["square_avg", "acc_delta"])
def test_an_average_of_squares_is_not_negative(name):
    with pytest.raises(ValueError, match=rf"{name} .*negative, but {name}\[1\] is -1"):
        nd.Adadelta(np.ones(2), **{name: np.array([0.0, -1.0])})


@both_dtypes
@pytest.mark.parametrize("eps", [1e-6, 1e-8, 1e-30])
def test_a_zero_gradient_moves_nothing_and_decays_the_averages_by_rho(dtype, eps):
    opt = optimizer(dtype=dtype, eps=eps)
    x, v, u = opt.params.copy(), opt.square_avg.copy(), opt.acc_delta.copy()
    opt.step(np.zeros(100, dtype))
    np.testing.assert_array_equal(opt.params, x)
    np.testing.assert_array_equal(opt.square_avg, dtype(0.95) * v)
    np.testing.assert_array_equal(opt.acc_delta, flushed(dtype(0.95) * u))


@both_dtypes
@pytest.mark.parametrize("eps", [1e-6, 1e-8, 1e-40])
def test_a_zero_gradient_at_the_start_gives_no_nan(dtype, eps):
    opt = nd.Adadelta(np.ones(100, dtype), eps=eps)
    opt.step(np.zeros(100, dtype))
    assert (opt.params == 1).all() and not opt.square_avg.any() and not opt.acc_delta.any()


# Averages that decay towards zero


def flushed(average):
    return np.where(average < np.finfo(average.dtype).tiny, 0, average)


@pytest.mark.parametrize(
    ("dtype", "rho", "first", "constant_from", "stuck"),
    [
        (np.float32, 0.9, 786, 922, 4 * 2.0**-149),
        (np.float32, 0.95, 1613, 1878, 9 * 2.0**-149),
        (np.float64, 0.9, 6680, 7007, 2.5e-323),
        (np.float64, 0.95, 13721, 14378, 4.4e-323),
    ],
)
def test_a_decaying_average_becomes_zero_where_it_would_get_stuck(
    dtype, rho, first, constant_from, stuck
):
    bare = dtype(1e-2)
    for _ in range(constant_from):
        bare = dtype(rho) * bare
    assert bare == dtype(rho) * bare == dtype(stuck)

    arrays = x, g, v, u = np.array([[1], [0], [1e-2], [1e-2]], dtype)
    for _ in range(first - 1):
        kernels.step(*arrays, 1.0, rho, 1e-6, 0.0, False)
    assert (arrays[2:] >= np.finfo(dtype).tiny).all()
    kernels.step(*arrays, 1.0, rho, 1e-6, 0.0, False)
    assert (x[0], v[0], u[0]) == (1, 0, 0)


def test_flushing_never_changes_a_bit_of_the_parameters():
    rng = np.random.default_rng(0)
    real = np.float32
    rho, decay, eps = real(0.9), real(1 - 0.9), real(1e-6)
    x = rng.normal(size=8).astype(real)
    y, v, u = x.copy(), np.zeros_like(x), np.zeros_like(x)
    opt = nd.Adadelta(x, rho=0.9)
    met_subnormals = 0
    for k in range(3000):
        g = rng.normal(size=8).astype(real) if k % 1000 == 0 else np.zeros(8, real)
        opt.step(g)
        v = rho * v + decay * g * g
        delta = np.sqrt((u + eps) / (v + eps)) * g
        u = rho * u + decay * delta * delta
        y -= delta
        met_subnormals += (0 < v).all() and (v < np.finfo(real).tiny).all()
        assert x.tobytes() == y.tobytes()
    assert met_subnormals > 300


# Hyper-parameters

RANGES = [
    *[("rho", value, r"rho must be in \[0, 1\)") for value in (-0.1, 1, 1.1, NAN, INF, -INF)],
    *[("rho", 1 - 1e-9, r"rho must be in \[0, 1\) \(as float32\)")],
    *[("eps", value, "eps must be positive") for value in (0, -1e-9)],
    ("eps", 1e-46, r"eps must be positive \(as float32: at least 1\.4.*e-45\), but is 1e-46"),
    *[(name, -1e-9, f"{name} must not be negative") for name in ("lr", "weight_decay")],
    *[
        (name, value, f"{name} must be finite")
        for name in ("lr", "eps", "weight_decay")
        for value in (NAN, INF, -INF, 1e39, 10**400)
    ],
    ("nonfinite", "warn", "nonfinite must be one of raise, skip, propagate, but is 'warn'"),
    ("nonfinite", None, "nonfinite must be one of raise, skip, propagate, but is None"),
]
KINDS = [
    *[
        (name, value, f"{name} must be a real number, but is ")
        for name in ("lr", "rho", "eps", "weight_decay")
        for value in (True, np.True_, "0.5", None, 0.5j, [0.5], np.array([0.5]), np.array(True))
    ],
    *[("maximize", value, "maximize must be True or False") for value in (0, 1, "yes", None)],
]
OUT_OF_RANGE = [(ValueError, *case) for case in RANGES] + [(TypeError, *case) for case in KINDS]


@pytest.mark.parametrize(("error", "name", "value", "message"), OUT_OF_RANGE)
def test_an_option_out_of_range_is_refused_wherever_it_is_given(error, name, value, message):
    x = np.ones(2, np.float32)
    with pytest.raises(error, match=message):
        nd.Adadelta(x, **{name: value})
    with pytest.raises(error, match=message):
        nd.adadelta_step(x, x / 2, x / 3, x / 4, **{name: value})
    opt = optimizer(2, np.float32)
    before = contents(opt)
    with pytest.raises(error, match=message):
        setattr(opt, name, value)
    assert contents(opt) == before


@pytest.mark.parametrize(
    "number", [np.float32(0.5), np.float64(0.5), np.array(0.5), np.float16(0.5), Fraction(1, 2)]
)
def test_any_real_scalar_is_an_option(number):
    opt = optimizer(lr=number, rho=number, eps=number, weight_decay=number)
    assert contents(opt) == contents(optimizer(lr=0.5, rho=0.5, eps=0.5, weight_decay=0.5))
    assert nd.Adadelta(np.ones(1), lr=0, rho=np.int8(0)).rho == 0


# States to go on with

BROKEN_STATES = [
    (KeyError, {"lr": ...}, "state_dict lacks lr"),
    (ValueError, {"momentum": 0.9}, "unknown keys: momentum"),
    (ValueError, {"rho": 1.0}, "rho must be in"),
    (TypeError, {"steps": 1.5}, "steps must be an integer"),
    (ValueError, {"steps": 2**70}, "steps must be less than 2"),
    (ValueError, {"skipped": -1}, "skipped must not be negative"),
    (ValueError, {"square_avg": np.zeros(3)}, r"square_avg has shape \(3,\)"),
    (TypeError, {"acc_delta": np.zeros(2, np.float32)}, "acc_delta has dtype float32"),
    (ValueError, {"acc_delta": np.array([0, NAN])}, r"acc_delta\[1\] is nan"),
    (ValueError, {"acc_delta": np.array([0.0, -1])}, r"acc_delta\[1\] is -1"),
]


@pytest.mark.parametrize(("error", "change", "message"), BROKEN_STATES, ids=str)
def test_a_broken_state_is_refused_whole(error, change, message):
    saved = optimizer(2, lr=0.1, maximize=True, nonfinite="skip").state_dict() | change
    opt = optimizer(2)
    before = contents(opt)
    with pytest.raises(error, match=message):
        opt.load_state_dict({key: value for key, value in saved.items() if value is not ...})
    assert (contents(opt), opt.skipped) == (before, 0)


def test_a_state_is_a_dictionary():
    with pytest.raises(TypeError, match="state_dict must be a dict, but is a list"):
        optimizer(2).load_state_dict([1])


# What propagation leaves behind


def test_an_optimiser_that_let_nan_through_can_be_saved_copied_and_stepped():
    opt = nd.Adadelta(np.ones(3), nonfinite="propagate")
    opt.step(np.array([1.0, NAN, 1.0]))
    other = copy.deepcopy(opt)
    other.load_state_dict(opt.state_dict())
    for one in (opt, other):
        one.step(np.ones(3))
    np.testing.assert_array_equal(opt.params, other.params)
    assert np.isnan(opt.params[1]) and np.isfinite(opt.params[[0, 2]]).all()


def test_the_functional_step_propagates_more_than_once():
    arrays = np.ones(2), np.array([NAN, 1.0]), np.zeros(2), np.zeros(2)
    for _ in range(2):
        assert nd.adadelta_step(*arrays, nonfinite="propagate")


def test_without_decay_an_infinite_parameter_does_not_spoil_its_averages():
    x = np.ones(2)
    opt = nd.Adadelta(x)
    x[0] = np.inf
    opt.step(np.ones(2))
    assert x[0] == np.inf
    np.testing.assert_allclose(opt.square_avg, 0.05)
