"""Whole runs that others published: regressions, parabolas, valleys, and what they test at random.

Each section names its source.  Unless it says otherwise the tolerance is that of `same`.
"""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
from numba import config, njit

import numadelta as nd
import reference
from numadelta import kernels


def same(found, expected, rtol=1e-12, atol=1e-15):
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)


def descend(x, gradient, steps, **options):
    """Step `x` down a function; return the optimiser."""
    opt = nd.Adadelta(x, **options)
    for _ in range(steps):
        opt.step(gradient(x))
    return opt


# candle-optimisers: tests/adadelta_tests.rs


@pytest.mark.parametrize(
    ("coupled", "decoupled", "expected"),
    [
        (0.0, 0.0, [0.0016241678351112004, 0.0016234921403388168, 0.0016237869471736697]),
        (0.8, 0.0, [0.0016241664457137166, 0.001623490503856798, 0.00162377855061791]),
        (0.0, 0.8, [0.0014038219463932073, 0.0014032728594426597, 0.0014035124259100642]),
    ],
    ids=["no decay", "coupled", "decoupled"],
)
def test_candle(coupled, decoupled, expected):
    inputs = np.array([[2.0, 1, 1], [7, 4, 1], [-4, 12, 1], [5, 8, 1]])
    targets = np.array([5.0, 23, -2, 21])
    x = np.zeros(3)
    opt = nd.Adadelta(x, lr=0.004, rho=0.9, weight_decay=coupled)
    for _ in range(100):
        gradient = 2 * inputs.T @ (inputs @ x - targets)
        x *= 1 - opt.lr * decoupled
        opt.step(gradient)
    same(x, expected)


# optax: optax/_src/alias.py and alias_test.py


def test_optax_documentation_example():
    x = np.array([1.0, 2.0, 3.0])
    values = [x @ x]
    opt = nd.Adadelta(x, lr=10, rho=0.9)
    for _ in range(5):
        opt.step(2 * x)
        values.append(x @ x)
    same(
        values,
        [
            *(14, 13.623526822314577, 13.246354338078532),
            *(12.87284161106094, 12.505082500384821, 12.144233480913083),
        ],
    )
    same(x, [0.8422416408440307, 1.8389158895220883, 2.8378250211393627])


def test_optax_ascends_where_its_documentation_example_forgets_the_sign():
    descend(x := np.array([1.0, 2.0, 3.0]), lambda x: 2 * x, 5, rho=0.9, maximize=True)
    same(x, [1.016496843548554, 2.0164649422568077, 3.0164542876063134])


@pytest.mark.parametrize(
    ("steps", "expected", "atol"),
    [
        (10, [-0.9966265993178173, 9.99662517349586, 1], 1e-15),
        (100, [-0.9596921315373063, 9.959440893163134, 1], 1e-15),
        (1000, [-0.31994290962382815, 9.254534691266391, 1], 1e-15),
        (10000, [1, -1, 1], 1e-15),
    ],
)
def test_optax_parabola(steps, expected, atol):
    minimum = np.array([1.0, -1.0, 1.0])
    x = np.array([-1.0, 10.0, 1.0])
    descend(x, lambda x: 2 * (x - minimum), steps, lr=0.1, rho=0.9)
    same(x, expected, atol=atol)
    assert x[2] == 1


def test_optax_parabola_in_float32():
    minimum = np.array([1, -1, 1], np.float32)
    x = np.array([-1, 10, 1], np.float32)
    descend(x, lambda x: 2 * (x - minimum), 10000, lr=0.1, rho=0.9)
    same(x, minimum, rtol=3e-2, atol=3e-2)


def rosenbrock(x):
    a, b = x.tolist()
    return (1 - a) ** 2 + 100 * (b - a * a) ** 2


def rosenbrock_gradient(x):
    a, b = x.tolist()
    return np.array([2 * (a - 1) - 400 * a * (b - a * a), 200 * (b - a * a)])


def valley_walk(start, steps, **options):
    """Return x, y and f of Rosenbrock's function after the given numbers of steps."""
    x = np.array(start, np.float64)
    opt, seen = nd.Adadelta(x, **options), []
    while opt.steps < max(steps):
        opt.step(rosenbrock_gradient(x))
        if opt.steps in steps:
            seen.append((*x, rosenbrock(x)))
    return seen


def test_optax_rosenbrock():
    expected = [
        (0.00031622737073287163, 0, 0.9993676452592842),
        (0.0033716431373704858, 0.00020540129788823998, 0.993271846595649),
        (0.04000008630757366, 0.002103369602018902, 0.9216251716899799),
        (0.5955283939924056, 0.35438819819442324, 0.16360434874443552),
        (0.9782795754403615, 0.9720218273265088, 0.02294448393297841),
    ]
    found = valley_walk((0, 0), (1, 10, 100, 1000, 10000), lr=0.1, rho=0.9)
    same(found, expected)
    np.testing.assert_allclose(found[-1][:2], 1, rtol=3e-2, atol=3e-2)


# Beyond step 500 the run with lr 1 is chaotic: there is nothing to compare.


def test_rosenbrock_from_the_usual_start_with_the_settings_of_the_paper():
    expected = [
        (-1.1593166384757174, 1.0410311805065144, 13.842571968210002),
        (-1.0631750769300652, 1.1325173002584428, 4.2571649200600445),
        (-0.26049215710118834, 0.07528486062966432, 1.594359031607054),
    ]
    same(valley_walk((-1.2, 1), (10, 100, 500)), expected)


def test_rosenbrock_from_the_usual_start_with_a_tenth_of_the_rate():
    *exact, last = valley_walk((-1.2, 1), (100, 1000, 10000), lr=0.1)
    expected = [
        (-1.158151939290634, 1.042320752747715, 13.597430467154307),
        (-0.9619750957902057, 0.9337248378975899, 3.8562830891162),
    ]
    same(exact, expected)
    same(last, (0.897593, 0.836865, 0.107783), rtol=1e-5)


# Shogun: tests/unit/optimization/StochasticMinimizers_unittest.cc, without its momentum

SAMPLES = np.array(  # label and two features
    [
        (1, -0.731271511775, 0.694867473874),
        (-1, 0.527549237953, -0.489861948521),
        (-1, -0.00912982581612, -0.101017870423),
        (1, 0.303185945446, 0.577446702271),
        (1, -0.812280826452, -0.943305046956),
        (-1, 0.67153020784, -0.13446586419),
        (-1, 0.524560164916, -0.995787893298),
        (1, -0.10922561189, 0.443080064682),
        (1, -0.542475557459, 0.890541391108),
        (-1, 0.802854915223, -0.938820033933),
        (1, -0.949108278013, 0.082824945587),
        (-1, 0.878298325557, -0.237591524624),
        (1, -0.566801205739, -0.155766848835),
        (1, -0.94191842485, -0.556616667454),
        (1, -0.124224812699, -0.0083755172363),
        (1, -0.533831099485, -0.538266916918),
        (-1, -0.420436770819, -0.957020589468),
        (-1, 0.675155951325, 0.112908645305),
        (-1, 0.284588725865, -0.628187468211),
        (-1, 0.985086824352, 0.719893057591),
    ]
)


def test_shogun_one_sample_at_a_time():
    signs, features = SAMPLES[:, 0], SAMPLES[:, 1:]
    w = np.zeros(2)
    opt, seen = nd.Adadelta(w, lr=1.8), []
    for _ in range(2):
        for sign, x in zip(signs, features, strict=True):
            opt.step(sign / (1 + math.exp(-sign * (w @ x))) * x)
        seen.append((*w, np.log1p(np.exp(signs * (features @ w))).mean()))
    expected = [
        (0.11484130403756691, -0.04872048690515949, 0.6603894875866954),
        (0.2279783928988293, -0.09476286331823215, 0.62983171347921),
    ]
    same(seen, expected, rtol=1e-10)


# What others test with random data: settings, states and how it ends


@pytest.mark.parametrize("lr", [1.0, 1e-3])
@pytest.mark.parametrize("rho", [0.9, 0.6])
@pytest.mark.parametrize("eps", [1e-6, 1e-4])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_oneflow_reloads_at_the_fifth_of_ten_steps(lr, rho, eps, weight_decay):
    rng = np.random.default_rng(0)
    start, gradients = rng.random(10), rng.random((10, 10))
    options = {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay}
    opt = nd.Adadelta(start.copy(), **options)
    for k, g in enumerate(gradients):
        if k == 5:
            saved, opt = opt, nd.Adadelta(opt.params.copy())
            opt.load_state_dict(saved.state_dict())
        opt.step(g)
    same(opt.params, reference.run(start, gradients, **options)[0])


def test_megengine_changes_the_rate_in_flight():
    x, y, v, u = np.ones(3), np.ones(3), np.zeros(3), np.zeros(3)
    opt = nd.Adadelta(x, rho=0.9, weight_decay=0.9)
    for k, g in enumerate(np.random.default_rng(1).normal(size=(9, 3))):
        opt.lr = 1 / (1 + k)
        opt.step(g)
        y, v, u = reference.step(y, g, v, u, lr=1 / (1 + k), rho=0.9, weight_decay=0.9)
    same(x, y)


def test_neon_starts_with_averages_and_clips_parameters_after_the_step():
    rng = np.random.default_rng(2)
    x, g, v, u = rng.random((4, 20, 12))
    expected = reference.step(x, g / 128, v, u)
    opt = nd.Adadelta(x, square_avg=v, acc_delta=u)
    opt.step(g / 128)
    same((x, v, u), expected, rtol=1e-7)
    np.clip(x, -0.5, 0.5, out=x)
    clipped = reference.step(x, g, v, u)
    opt.step(g)
    same((x, v, u), clipped, rtol=1e-7)


@pytest.mark.parametrize("lr", [0.1, 0.001])
@pytest.mark.parametrize("rho", [0.9, 0.8])
def test_nnabla(lr, rho):
    rng = np.random.default_rng(313)
    start, gradients = rng.normal(size=12), rng.normal(size=(5, 12))
    x = start.copy()
    opt = nd.Adadelta(x, lr=lr, rho=rho, eps=1e-4)
    for g in gradients:
        opt.step(g)
    same(x, reference.run(start, gradients, lr=lr, rho=rho, eps=1e-4)[0], atol=1e-6)


def test_climin_solves_a_logistic_regression_and_resumes_it():
    rng = np.random.default_rng(3)
    features = rng.normal(size=(60, 4))
    targets = features @ [2.0, -1.0, 0.5, 1.0] > 0

    def gradient(w):
        return features.T @ (1 / (1 + np.exp(-(features @ w))) - targets)

    w = np.zeros(4)
    opt = descend(w, gradient, 1500, lr=0.9)
    resumed = copy.deepcopy(opt)
    for one in (opt, resumed):
        for _ in range(1500):
            one.step(gradient(one.params))
    np.testing.assert_array_equal(w, resumed.params)
    loss = np.logaddexp(0, np.where(targets, -1, 1) * (features @ w)).mean()
    assert loss < 0.15


@pytest.mark.parametrize("lr", [1e-3, 0.1, 1.0, 50.0])
def test_kozistr_timm_and_pytorch_go_downhill_at_any_rate(lr):
    descend(x := np.array([3.0, -4.0]), lambda x: 2 * x, 5, lr=lr)
    assert x @ x < 25


# ensmallen: tests/ada_delta_test.cpp, one term of the sum per step


@njit
def ensmallen(x, steps):
    v, u = np.zeros(3), np.zeros(3)
    for k in range(steps):
        grads = np.zeros(3)
        if k % 3 == 0:
            grads[0] = math.exp(-abs(x[0])) * np.sign(x[0])
        elif k % 3 == 1:
            grads[1] = 2 * x[1]
        else:
            grads[2] = 4 * x[2] ** 3 + 6 * x[2]
        kernels.step(x, grads, v, u, 1.0, 0.05, 1e-6, 0.0, False)


@pytest.mark.skipif(config.DISABLE_JIT, reason="a million steps need compiled code")
def test_ensmallen_in_a_compiled_loop():
    x = np.array([6.0, -45.6, 6.2])
    ensmallen(x, 1_000_000)
    same(x, np.zeros(3), atol=0.003)
