"""Numbers that others published, and what the formula makes of them in float64.

Each section names its source.  Unless it says otherwise the tolerance is that of `same`.
"""

from __future__ import annotations

import numpy as np
import pytest

import numadelta as nd
from numadelta import kernels


def same(found, expected, rtol=1e-12, atol=1e-15):
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)


def by_optimizer(x, gradients, **options):
    opt = nd.Adadelta(x, **options)
    for g in gradients:
        opt.step(g)
        yield opt.square_avg.copy(), opt.acc_delta.copy(), x.copy()


def by_function(x, gradients, **options):
    v, u = np.zeros_like(x), np.zeros_like(x)
    for g in gradients:
        assert nd.adadelta_step(x, g, v, u, **options)
        yield v.copy(), u.copy(), x.copy()


def by_loop(x, gradients, lr=1.0, rho=0.95, eps=1e-6, weight_decay=0.0, maximize=False):
    v, u = np.zeros_like(x), np.zeros_like(x)
    for g in gradients:
        kernels.step(x, g, v, u, lr, rho, eps, weight_decay, maximize)
        yield v.copy(), u.copy(), x.copy()


def by_rule(x, gradients, lr=1.0, rho=0.95, eps=1e-6, weight_decay=0.0, maximize=False):
    v, u = np.zeros_like(x), np.zeros_like(x)
    sign = -1.0 if maximize else 1.0
    for g in gradients:
        for i in range(x.size):
            grad = kernels.coupled_grad(x[i], g[i], sign, weight_decay)
            x[i], v[i], u[i] = kernels.adadelta_rule(
                x[i], grad, v[i], u[i], lr, rho, 1 - rho, eps, 0.0
            )
        yield v.copy(), u.copy(), x.copy()


every_door = pytest.mark.parametrize("door", [by_optimizer, by_function, by_loop, by_rule])


def descend(x, gradient, steps, **options):
    """Step `x` down a function; return the optimiser."""
    opt = nd.Adadelta(x, **options)
    for _ in range(steps):
        opt.step(gradient(x))
    return opt


# A Chinese tutorial.  It prints 0.201 for the rate, which leaves eps out.


def test_tutorial():
    averages = [v for v, _, _ in by_optimizer(np.zeros(1), np.array([[0.1], [0.2], [0.15]]))]
    same(np.ravel(averages), [0.0005, 0.002475, 0.00347625], rtol=1e-14)
    same(kernels.effective_rate(0.002475, 0.0001, 1e-6), 0.201969302998739)


# A trace of five steps

FIVE = np.array([[0.1], [0.2], [0.15], [0.0], [-0.05]])
PAPER = [
    (0.0005, 9.980039920159682e-07, 0.9955323294839123),
    (0.002475, 2.5620003933973735e-06, 0.989850962393181),
    (0.00347625, 3.586319797862107e-06, 0.9850500886724202),
    (0.0033024375, 3.4070038079690016e-06, 0.9850500886724202),
    (0.003262315625, 3.40546213605277e-06, 0.9868875244861683),
]
RHO_9 = [
    (0.001, 9.990009990009993e-07, 0.9968393022937949),
    (0.0049, 2.5306054891853713e-06, 0.9928001135261282),
    (0.00666, 3.4701379969650905e-06, 0.9893467194613011),
    (0.005994, 3.1231241972685817e-06, 0.9893467194613011),
    (0.0056446, 2.9933930885303065e-06, 0.990697945981869),
]
HALF_RATE = [0.9984196511468975, 0.9964000567630641, 0.9946733597306505, 0.9946733597306505]
HALF_RATE = [
    (v, u, x) for (v, u, _), x in zip(RHO_9, [*HALF_RATE, 0.9953489729909344], strict=True)
]


@every_door
@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, PAPER), ({"rho": 0.9}, RHO_9), ({"rho": 0.9, "lr": 0.5}, HALF_RATE)],
    ids=["paper", "rho .9", "lr .5"],
)
def test_five_steps(door, options, expected):
    same(np.squeeze(list(door(np.ones(1), FIVE, **options))), expected)


@every_door
def test_a_zero_gradient_moves_nothing_and_decays_by_exactly_rho(door):
    _, _, (v3, u3, x3), (v4, u4, x4), _ = door(np.ones(1), FIVE)
    assert (v4, u4, x4) == (0.95 * v3, 0.95 * u3, x3)


# PyTorch: torch/testing/_internal/common_optimizers.py

THREE = np.array([[0.1, -0.4, 0.0], [0.2, 0.3, 0.0], [0.15, -0.1, 0.05]])
V_DEFAULT = [0.00666, 0.02206, 0.00025]
U_DEFAULT = [3.4701379969650905e-06, 1.6231939146611115e-06, 9.960159362549799e-07]


@every_door
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0.9893467194613011, -1.9985112738131379, 0.496844027984511]),
        ({"lr": 0.01}, [0.999893467194613, -1.9999851127381314, 0.4999684402798451]),
        ({"weight_decay": 0.1}, [0.9896262709646736, -1.995490191203123, 0.4890847754570103]),
        ({"maximize": True}, [1.010653280538699, -2.0014887261868624, 0.503155972015489]),
        (
            {"maximize": True, "weight_decay": 0.1},
            [1.0052340829980355, -1.9978144482493114, 0.4936690296295973],
        ),
        (
            {"rho": 0.95, "weight_decay": 0.9},
            [0.9861896863242329, -1.9876055978197935, 0.48618241256578365],
        ),
        ({"rho": 0.95}, [0.9850500886724202, -1.9978863457547817, 0.4955456459681263]),
    ],
    ids=str,
)
def test_pytorch_configurations(door, options, expected):
    *_, (v, u, x) = door(np.array([1.0, -2.0, 0.5]), THREE, **({"rho": 0.9} | options))
    same(x, expected)
    if options in ({}, {"maximize": True}):
        same(v, V_DEFAULT)
        same(u, U_DEFAULT)


def test_complex_parameters_are_two_reals():
    x, g = np.array([1 + 2j]), np.array([0.1 - 0.2j])
    nd.Adadelta(x.view(float), rho=0.9).step(g.view(float))
    same(x, 0.9968393022937949 + 2.0031618824495614j)


@pytest.mark.parametrize(
    "option",
    [{"rho": 1.1}, {"lr": -1}, {"eps": -1}, {"weight_decay": -1}, {"eps": 0}, {"rho": 1.0}],
    ids=str,
)
def test_what_pytorch_refuses_is_refused_and_so_are_eps_0_and_rho_1(option):
    with pytest.raises(ValueError, match=next(iter(option))):
        nd.Adadelta(np.ones(1), **option)


# Lasagne: lasagne/tests/test_updates.py, values made with Lua Torch


def test_lasagne():
    slope = 2 * np.array([0.1, 0.2, 0.3])
    opt = descend(x := np.ones(3), lambda x: slope * x, 10)
    np.testing.assert_allclose(x, [0.95453237704725, 0.9545237471374, 0.95452214847397])
    same(x, [0.9545323770472469, 0.9545237471374036, 0.9545221484739734])
    same(opt.square_avg, [0.01534476485012412, 0.06137853155693512, 0.13810147599562303])
    same(opt.acc_delta, [8.306026211933594e-06, 8.309179360848991e-06, 8.309763537237569e-06])


# Keras: keras/src/optimizers/adadelta_test.py


def test_keras_single_step():
    x = np.array([1.0, 2.0, 3.0, 4.0])
    nd.Adadelta(x, lr=0.5, eps=1e-7).step([1.0, 6.0, 7.0, 2.0])
    same(x, [0.9992928939259191, 1.9992928932384553, 2.9992928932332443, 3.99929289339559])


def test_keras_five_steps():
    gradients = [np.full(10, 0.01)] + 4 * [np.arange(0.1, 1.1, 0.1)]
    xs = np.array([x for _, _, x in by_optimizer(np.ones(10), gradients, rho=0.8)])
    source = [[0.9978], [0.9947], [0.9915], [0.9882], [0.9849]]
    np.testing.assert_allclose(xs, np.repeat(source, 10, axis=1), rtol=5e-4, atol=5e-4)
    recomputed = [
        (0.9978178211, 0.9947066111, 0.9915077790, 0.9882457241, 0.9849322865),
        (0.9978178211, 0.9946967308, 0.9914879782, 0.9882160387, 0.9848927694),
        (0.9978178211, 0.9946939474, 0.9914824002, 0.9882076762, 0.9848816373),
        (0.9978178211, 0.9946935492, 0.9914816021, 0.9882064798, 0.9848800446),
    ]
    same(xs[:, [0, 1, 4, 9]].T, recomputed, rtol=0, atol=5.1e-11)


def test_keras_decoupled_weight_decay_is_a_line_of_yours():
    x = np.array([2.0, 2.0])
    decayed = x[:1]  # the other one is excluded from decay
    opt, seen = nd.Adadelta(x), []
    for _ in range(3):
        decayed -= decayed * 0.004 * opt.lr
        opt.step(np.zeros(2))
        seen.append(x[0])
    same(seen, [1.992, 1.984032, 1.976095872])
    assert x[1] == 2


# TensorFlow: tensorflow/python/training/adadelta_test.py

TENSORFLOW = [  # gradient, steps, v, u, sum of the updates
    (0.2, 1, 0.002, 9.999950000250001e-09, 0.00044721247747016166),
    (0.2, 4, 0.00741975, 3.830654685885105e-08, 0.001816590194652881),
    (0.1, 1, 0.0005, 9.99980000399992e-09, 0.00044720912343108367),
    (0.1, 2, 0.000975, 1.975601250633832e-08, 0.0009001153499844042),
    (0.1, 3, 0.00142625, 2.919969439695059e-08, 0.0013568752982270052),
    (0.1, 4, 0.0018549375, 3.8305964085098595e-08, 0.0018165763838901897),
    (0.01, 1, 5e-06, 9.98003992015968e-09, 0.0004467670516087701),
    (0.01, 4, 1.8549375e-05, 3.822919211910501e-08, 0.001814756096923862),
]


@pytest.mark.parametrize(("g", "steps", "v", "u", "total"), TENSORFLOW)
@pytest.mark.parametrize("lr", [1.0, 0.5, 0.1])
@pytest.mark.parametrize("start", [(1, 2), (3, 4)], ids=str)
@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-12), ("float32", 1e-5)])
def test_tensorflow(start, lr, g, steps, v, u, total, dtype, rtol):
    x = np.array(start, dtype)
    opt = descend(x, lambda x: np.full(2, g, dtype), steps, lr=lr, eps=1e-8)
    same(x, np.array(start) - lr * total, rtol)
    same(opt.square_avg, v, rtol)
    same(opt.acc_delta, u, rtol)


def test_tensorflow_with_rho_1_works_in_the_bare_rule():
    moved = [
        kernels.adadelta_rule(x, g, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0)
        for x, g in [(1.0, 112.0), (2.0, 140.0)]
    ]
    assert moved == [(-111, 0, 0), (-138, 0, 0)]


# Blocks: tests/algorithms/test_algorithms.py; the parameters stay where they are


def test_blocks():
    v, u, updates = np.zeros(2), np.zeros(2), []
    for _ in range(3):
        moved = np.zeros(2)
        nd.adadelta_step(moved, [6.0, 8.0], v, u, rho=0.5, eps=1e-7)
        updates.append(-moved)
    same(
        np.transpose(updates),
        [
            [0.00044721359425769797, 0.0005163977778208108, 0.0005690426359038858],
            [0.00044721359480118667, 0.0005163977785529721, 0.0005690426368007633],
        ],
    )
    same(v, [31.5, 56])
    same(u, [2.535714268339002e-07, 2.5357142759406884e-07])


@pytest.mark.parametrize("rho", [-1.0, 2.0])
def test_blocks_refuses_a_decay_outside_0_and_1(rho):
    with pytest.raises(ValueError, match="rho"):
        nd.Adadelta(np.ones(2), rho=rho)


# TF.js: tfjs-core/src/optimizers/adadelta_optimizer_test.ts, with the right v in the denominator


def test_tfjs_is_saved_after_a_step_and_goes_on():
    x = np.array([1.0, 2.0])
    opt = descend(x, lambda x: 2 * x, 1, lr=0.1, eps=1e-7)
    same(x, [0.999858578679118, 1.9998585786526015])
    restored = nd.Adadelta(y := x.copy())
    restored.load_state_dict(opt.state_dict())
    opt.step(2 * x)
    restored.step(2 * y)
    same(x, [0.999715365609363, 1.9997153606209863])
    np.testing.assert_array_equal(x, y)
