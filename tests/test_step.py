"""What a step promises, whatever the numbers are."""

from __future__ import annotations

import copy
import io
import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numba import config

import numadelta as nd
import reference
from numadelta import kernels, threads

few = settings(max_examples=25, deadline=None, derandomize=True, database=None)
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@st.composite
def states(draw, max_size=70):
    """Parameters, gradient and averages of any size, dtype and almost any magnitude."""
    dtype, n = draw(st.sampled_from([np.float32, np.float64])), draw(st.integers(0, max_size))
    signed = arrays(dtype, n, elements=st.floats(-(2.0**50), 2.0**50, width=32))
    positive = arrays(dtype, n, elements=st.floats(0, 1, width=32))
    return np.array([draw(signed), draw(signed), draw(positive), draw(positive)])


def typical(n, dtype=np.float64, seed=0):
    """Parameters, a gradient and averages such as a run leaves behind."""
    rng = np.random.default_rng(seed)
    x, g, v, u = rng.normal(size=(4, n))
    return np.array([x, g, v * v * 1e-2, u * u * 1e-4], dtype)


def step(state, **options):
    """Return x, v and u after a step from x, g, v and u, which are not modified."""
    x, g, v, u = (array.copy() for array in state)
    nd.Adadelta(x, square_avg=v, acc_delta=u, **options).step(g)
    return np.array([x, v, u])


def assert_same_bits(found, expected):
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.tobytes() == expected.tobytes()


# The same bits, however the elements are arranged


@few
@given(states(), st.randoms(use_true_random=False))
def test_permuting_elements_commutes_with_the_step(state, random):
    order = list(range(state.shape[1]))
    random.shuffle(order)
    assert_same_bits(step(state[:, order]), step(state)[:, order])


@few
@given(states(), st.lists(st.integers(0, 70), max_size=5))
def test_any_split_gives_the_same_bits(state, cuts):
    parts = np.split(state, sorted(min(cut, state.shape[1]) for cut in cuts), axis=1)
    assert_same_bits(np.concatenate([step(part) for part in parts], axis=1), step(state))


@both_dtypes
def test_any_alignment_gives_the_same_bits(dtype):
    state = typical(67, dtype)
    expected = step(state)
    for offset in range(17):
        x, g, v, u = (
            np.empty(100, dtype)[start : start + 67] for start in offset + np.array([0, 3, 5, 11])
        )
        x[:], g[:], v[:], u[:] = state
        nd.adadelta_step(x, g, v, u)
        assert_same_bits(np.array([x, v, u]), expected)


@both_dtypes
@pytest.mark.parametrize("n", [32, 100, 1000])
def test_any_number_of_threads_and_any_slice_give_the_same_bits(
    four_threads, monkeypatch, n, dtype
):
    state = typical(n, dtype)
    nd.set_num_threads(1)
    expected = step(state)
    for count in (1, 2, 3, 4):
        nd.set_num_threads(count)
        for size in (1, 7, 16, 999, 1000):
            monkeypatch.setattr(threads, "SLICE", size)
            assert_same_bits(step(state), expected)


@few
@given(states())
def test_the_mirror_image_of_a_step_is_the_step_of_the_mirror_image(state):
    mirror = state * [[-1], [-1], [1], [1]]
    x, v, u = step(state)
    np.testing.assert_array_equal(step(mirror.astype(state.dtype)), [-x, v, u])


@both_dtypes
def test_any_shape_is_taken_as_a_flat_array(dtype):
    state = typical(24, dtype)
    for shape in [(4, 6), (2, 3, 4), (24, 1)]:
        found = step([array.reshape(shape) for array in state])
        assert_same_bits(found.reshape(3, 24), step(state))
    scalar = step([array.reshape(()) for array in state[:, :1]])
    assert_same_bits(scalar, step(state[:, :1])[:, 0])


# The right numbers


@both_dtypes
@pytest.mark.parametrize("n", [0, 1, 3, 7, 8, 15, 16, 17, 33, 1_000_003])
def test_every_size_agrees_with_the_paper(n, dtype):
    if n > 1000 and config.DISABLE_JIT:
        pytest.skip("a million elements need compiled code")
    state = typical(n, dtype)
    expected = reference.step(*state.astype(np.float64))
    rtol = 1e-12 if dtype is np.float64 else 1e-5
    np.testing.assert_allclose(step(state), expected, rtol=rtol, atol=rtol / 100)


@few
@given(states())
def test_one_step_from_anywhere_agrees_with_the_paper(state):
    expected = reference.step(*state.astype(np.float64))
    rtol = 1e-12 if state.dtype == np.float64 else 1e-5
    np.testing.assert_allclose(step(state), expected, rtol=rtol, atol=1e-37)


@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.1, "maximize": True}], ids=str)
def test_fifty_steps_in_float32_stay_with_float64(options):
    rng = np.random.default_rng(5)
    start, gradients = rng.normal(size=200), rng.normal(size=(50, 200)).astype(np.float32)
    opt = nd.Adadelta(start.astype(np.float32), **options)
    for g in gradients:
        opt.step(g)
    expected = reference.run(start.astype(np.float32), gradients, **options)
    found = (opt.params, opt.square_avg, opt.acc_delta)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


@both_dtypes
def test_ascent_is_descent_of_the_opposite(dtype):
    x, g, v, u = typical(40, dtype)
    assert_same_bits(step([x, g, v, u], maximize=True), step([x, -g, v, u]))


@both_dtypes
def test_weight_decay_is_added_to_the_gradient_after_its_sign(dtype):
    x, g, v, u = typical(40, dtype)
    assert_same_bits(step([x, g, v, u], weight_decay=0.5), step([x, g + x / 2, v, u]))
    ascent = step([x, g, v, u], weight_decay=0.5, maximize=True)
    assert_same_bits(ascent, step([x, -g + x / 2, v, u]))


@both_dtypes
def test_the_effective_rate_is_the_eta_of_the_paper(dtype):
    x, _, v, u = typical(12, dtype).reshape(4, 3, 4)
    eta = nd.Adadelta(x, lr=7.0, eps=1e-5, square_avg=v, acc_delta=u).effective_lr()
    rtol = 1e-14 if dtype is np.float64 else 1e-6
    np.testing.assert_allclose(eta, np.sqrt(u + 1e-5) / np.sqrt(v + 1e-5), rtol)
    assert (eta.dtype, eta.shape) == (dtype, (3, 4))


# The optimiser as an object


def test_the_arrays_given_are_the_ones_updated():
    x, g, v, u = typical(5)
    opt = nd.Adadelta(x, square_avg=v, acc_delta=u)
    before = np.array([x, v, u])
    opt.step(g)
    assert opt.params is x
    assert np.shares_memory(opt.square_avg, v) and np.shares_memory(opt.acc_delta, u)
    assert not np.isin([x, v, u], before).any()


def test_gradients_are_not_modified():
    x, g, _, _ = typical(5)
    given = g.copy()
    nd.Adadelta(x, weight_decay=0.5, maximize=True).step(g)
    assert_same_bits(g, given)


def copied_state(opt):
    other = nd.Adadelta(opt.params.copy())
    other.load_state_dict(opt.state_dict())
    return other


@pytest.mark.parametrize(
    "save_and_restore",
    [copied_state, copy.deepcopy, lambda opt: pickle.loads(pickle.dumps(opt))],
    ids=["state_dict", "deepcopy", "pickle"],
)
@pytest.mark.parametrize("shape", [(6,), (2, 3), (0,)], ids=str)
@both_dtypes
def test_a_restored_optimiser_goes_on_to_the_bit(save_and_restore, shape, dtype):
    rng = np.random.default_rng(7)
    gradients = rng.normal(size=(10, *shape)).astype(dtype)
    options = {"lr": 0.5, "rho": 0.8, "eps": 1e-4, "weight_decay": 0.1, "maximize": True}
    opt = nd.Adadelta(rng.normal(size=shape).astype(dtype), nonfinite="skip", **options)
    for g in gradients[:5]:
        opt.step(g)
    restored = save_and_restore(opt)
    assert repr(restored) == repr(opt)
    for g in gradients[5:]:
        opt.step(g)
        restored.step(g)
    assert not np.shares_memory(restored.params, opt.params)
    for name in ("params", "square_avg", "acc_delta"):
        assert_same_bits(getattr(restored, name), getattr(opt, name))
    assert (restored.steps, restored.skipped) == (opt.steps, opt.skipped) == (10, 0)


def test_a_state_is_taken_over_in_the_memory_of_two_copies():
    opt = nd.Adadelta(np.ones(1_000_000))
    state = opt.state_dict()
    tracemalloc.start()
    try:
        opt.load_state_dict(state)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2.5 * opt.params.nbytes


def test_a_state_dict_is_a_copy_and_the_same_each_time():
    x, g, _, _ = typical(5)
    opt = nd.Adadelta(x)
    opt.step(g)
    first = opt.state_dict()
    assert pickle.dumps(first) == pickle.dumps(opt.state_dict())
    opt.step(g)
    assert (first["square_avg"] != opt.square_avg).all()


def test_skipped_steps_are_part_of_the_state():
    opt = nd.Adadelta(np.ones(2), nonfinite="skip")
    opt.step(np.array([np.nan, 1]))
    assert (copied_state(opt).skipped, copied_state(opt).steps) == (1, 0)


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
@both_dtypes
def test_a_second_optimiser_of_the_same_dtype_compiles_nothing(dtype):
    x, g, v, u = typical(6, dtype)
    nd.Adadelta(x).step(g)
    compiled = len(kernels.checked_step.signatures)
    g.flags.writeable = False
    opt = nd.Adadelta(x.reshape(2, 3), lr=1, rho=np.float32(0.5), weight_decay=np.array(0.1))
    for grads in (g.reshape(2, 3), g.reshape(2, 3).tolist(), np.ones((3, 2), np.float16).T):
        opt.maximize = not opt.maximize
        opt.step(grads)
    nd.adadelta_step(x, g[::-1], v, u, nonfinite="propagate")
    assert len(kernels.checked_step.signatures) == compiled


# Packing


def test_pack_copies_arrays_into_one_and_returns_views_of_it():
    given = [np.arange(6.0).reshape(2, 3), np.float32(7), np.zeros((0, 4)), [8, 9]]
    flat, views = nd.pack(given)
    np.testing.assert_array_equal(flat, [0, 1, 2, 3, 4, 5, 7, 8, 9])
    assert [view.shape for view in views] == [(2, 3), (), (0, 4), (2,)]
    flat += 1
    for view, array in zip(views, given, strict=True):
        np.testing.assert_array_equal(view, np.asarray(array) + 1)
        assert view.size == 0 or np.shares_memory(view, flat)


# Restored in another process


class ReadOnly(pickle.Unpickler):
    """Hands out arrays as joblib's workers get them: read-only memory maps."""

    def find_class(self, module, name):
        found = super().find_class(module, name)
        if name != "_frombuffer" and name != "_reconstruct":
            return found

        def read_only(*arguments):
            array = found(*arguments)
            array.setflags(write=False)
            return array

        return read_only


def test_a_restored_optimiser_can_step_although_its_arrays_came_read_only():
    opt = nd.Adadelta(np.ones(5))
    opt.step(np.ones(5))
    data = pickle.dumps(opt, protocol=5)
    restored = ReadOnly(io.BytesIO(data)).load()
    for one in (opt, restored):
        one.step(np.ones(5))
    np.testing.assert_array_equal(restored.params, opt.params)


def test_the_array_of_parameters_cannot_be_exchanged():
    opt = nd.Adadelta(np.ones(2))
    with pytest.raises(AttributeError):
        opt.params = np.zeros(2)


def test_a_number_with_no_dimension_is_stepped():
    x = np.array(3.0)
    nd.Adadelta(x).step(2 * x)
    assert x == pytest.approx(3.0 - np.sqrt(1e-6 / 0.05), rel=1e-6)


@pytest.mark.parametrize("shared_delta", [False, [1, 2]])
def test_a_state_goes_through_a_file_of_arrays(tmp_path, shared_delta):
    options = {"lr": 0.5, "nonfinite": "skip", "maximize": True, "shared_delta": shared_delta}
    params = np.ones(3, np.float32)
    opt = nd.Adadelta(params, **options)
    opt.step(np.arange(3, dtype=np.float32))
    np.savez(tmp_path / "state.npz", **opt.state_dict())
    other = nd.Adadelta(params.copy(), **options)
    other.load_state_dict(dict(np.load(tmp_path / "state.npz")))
    assert repr(other) == repr(opt)
    for one in (opt, other):
        one.step(np.ones(3, np.float32))
    assert other.params.tobytes() == opt.params.tobytes()
