"""The GPU takes the same steps as the CPU: in Numba's simulator, and on a real one if there is any.

The simulator is a lane of its own: NUMBA_DISABLE_JIT=1 NUMBA_ENABLE_CUDASIM=1 pytest.
"""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from numba import config

import numadelta as nd

SIMULATED = bool(config.ENABLE_CUDASIM)


def numba_array(array):
    from numba import cuda

    return cuda.to_device(array)


def cupy_array(array):
    return pytest.importorskip("cupy", reason="CuPy is not installed").asarray(array)


def torch_array(array):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    return torch.from_numpy(array).to("cuda")


KINDS = {
    "simulator": (numba_array, lambda a: a.copy_to_host()),
    "numba": (numba_array, lambda a: a.copy_to_host()),
    "cupy": (cupy_array, lambda a: a.get()),
    "torch": (torch_array, lambda a: a.cpu().numpy()),
}
ON_A_REAL_GPU = ("numba", "cupy", "torch")


def require_real_gpu():
    if SIMULATED or importlib.util.find_spec("numba_cuda") is None:
        pytest.skip("numba-cuda is not installed")
    from numba import cuda

    if not cuda.is_available():
        pytest.skip("there is no GPU")


@pytest.fixture(
    params=[
        pytest.param(kind, marks=pytest.mark.gpu if kind in ON_A_REAL_GPU else ()) for kind in KINDS
    ]
)
def gpu(request):
    """A pair of functions: to the GPU and back."""
    if request.param in ON_A_REAL_GPU:
        require_real_gpu()
    elif not SIMULATED:
        pytest.skip("the simulator needs NUMBA_ENABLE_CUDASIM=1")
    return KINDS[request.param]


def problem(shape, dtype, steps=3):
    rng = np.random.default_rng(0)
    return rng.normal(size=shape).astype(dtype), rng.normal(size=(steps, *shape)).astype(dtype)


def assert_like_cpu(gpu, shape, dtype, **options):
    """Both take the same steps, up to the rounding that a GPU may leave out."""
    to_gpu, to_cpu = gpu
    start, gradients = problem(shape, dtype)
    ours = nd.Adadelta(start.copy(), **options)
    theirs = nd.Adadelta(to_gpu(start), **options)
    for g in gradients:
        ours.step(g)
        theirs.step(to_gpu(g))
    rtol = 1e-5 if dtype is np.float32 else 1e-12
    found, expected = theirs.state_dict(), ours.state_dict()
    for name in ("square_avg", "acc_delta"):
        np.testing.assert_allclose(found[name], expected[name], rtol=rtol, atol=rtol / 100)
        assert (found[name].dtype, found[name].shape) == (dtype, shape)
    np.testing.assert_allclose(to_cpu(theirs.params), ours.params, rtol=rtol, atol=rtol / 100)
    assert (theirs.steps, repr(theirs)) == (3, repr(ours))


both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@both_dtypes
@pytest.mark.parametrize("n", [0, 1, 31, 32, 33, 100])
def test_every_size_agrees_with_the_cpu(gpu, n, dtype):
    assert_like_cpu(gpu, (n,), dtype)


@both_dtypes
@pytest.mark.parametrize(
    "options",
    [
        {"weight_decay": 0.1},
        {"maximize": True},
        {"weight_decay": 0.1, "maximize": True, "lr": 0.5, "rho": 0.8, "eps": 1e-4},
        {"nonfinite": "propagate"},
    ],
    ids=str,
)
def test_every_option_agrees_with_the_cpu(gpu, options, dtype):
    assert_like_cpu(gpu, (2, 20), dtype, **options)


@both_dtypes
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_fewer_threads_than_elements_search_all_of_them(gpu, monkeypatch, dtype, weight_decay):
    from numadelta import cuda

    monkeypatch.setattr(cuda, "THREADS_PER_BLOCK", 1)
    monkeypatch.setattr(cuda, "MAX_BLOCKS", 128)
    to_gpu, to_cpu = gpu
    opt = nd.Adadelta(to_gpu(np.ones(300, dtype)), weight_decay=weight_decay)
    for bad in ([], [299], [150, 290], [127, 128, 129], [5, 133], [0]):
        grads = np.ones(300, dtype)
        grads[bad] = np.nan
        if bad:
            with pytest.raises(ValueError, match=rf"grads\[{bad[0]}\] is nan"):
                opt.step(to_gpu(grads))
        else:
            opt.step(to_gpu(grads))
    assert opt.steps == 1 and np.unique(to_cpu(opt.params)).size == 1


@pytest.mark.gpu
@both_dtypes
def test_large_arrays_agree_with_the_cpu(dtype):
    require_real_gpu()
    assert_like_cpu(KINDS["numba"], (5_000_003,), dtype)


# Gradients that are not finite


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1.9e19])
@pytest.mark.parametrize(("weight_decay", "indices"), [(0.0, [49]), (0.1, [33, 40])])
def test_the_first_bad_gradient_is_named_and_nothing_is_updated(gpu, bad, weight_decay, indices):
    to_gpu, to_cpu = gpu
    start, (g, *_) = problem((50,), np.float32)
    opt = nd.Adadelta(to_gpu(start), weight_decay=weight_decay)
    g[indices] = bad
    with pytest.raises(ValueError, match=rf"grads\[{indices[0]}\] is (nan|-?inf|1\.9).*must be"):
        opt.step(to_gpu(g))
    np.testing.assert_array_equal(to_cpu(opt.params), start)
    assert not opt.state_dict()["square_avg"].any()
    assert opt.steps == 0


def test_skipped_steps_touch_nothing_and_are_counted(gpu):
    to_gpu, to_cpu = gpu
    start, gradients = problem((50,), np.float64)
    opt = nd.Adadelta(to_gpu(start), nonfinite="skip")
    gradients[0, 7] = np.nan
    opt.step(to_gpu(gradients[0]))
    np.testing.assert_array_equal(to_cpu(opt.params), start)
    opt.step(to_gpu(gradients[1]))
    assert (opt.steps, opt.skipped) == (1, 1)
    assert (to_cpu(opt.params) != start).all()


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
def test_propagation_spoils_the_bad_element_alone(gpu):
    to_gpu, to_cpu = gpu
    start, (g, *_) = problem((50,), np.float64)
    opt = nd.Adadelta(to_gpu(start), nonfinite="propagate")
    g[7] = np.inf
    opt.step(to_gpu(g))
    assert np.flatnonzero(np.isnan(to_cpu(opt.params))).tolist() == [7]
    assert opt.steps == 1


@pytest.mark.parametrize("maximize", [False, True])
def test_with_weight_decay_it_is_the_sum_that_must_be_usable(gpu, maximize):
    to_gpu, to_cpu = gpu
    large = np.full(3, -1e19 if maximize else 1e19, np.float32)
    opt = nd.Adadelta(to_gpu(np.ones(3, np.float32)), weight_decay=1e19, maximize=maximize)
    opt.step(to_gpu(-large))
    assert (to_cpu(opt.params) == 1).all() and opt.steps == 1
    with pytest.raises(ValueError, match=r"grads\[0\] is .*with weight decay added, a gradient"):
        opt.step(to_gpu(large))
    assert opt.steps == 1


def test_a_start_that_is_not_finite_is_refused(gpu):
    to_gpu, _ = gpu
    start = np.ones((2, 3))
    start[1, 1:] = np.nan
    with pytest.raises(ValueError, match=r"params must be finite, but params\[1, 1\] is nan"):
        nd.Adadelta(to_gpu(start))
    with pytest.raises(ValueError, match=r"acc_delta must be finite, but acc_delta\[1, 1\] is nan"):
        nd.Adadelta(to_gpu(np.ones((2, 3))), acc_delta=to_gpu(start))
    with pytest.raises(ValueError, match=r"square_avg .*negative, but square_avg\[0, 0\] is -1"):
        nd.Adadelta(to_gpu(np.ones((2, 3))), square_avg=to_gpu(-np.ones((2, 3))))


# The optimiser as an object


def test_averages_of_yours_are_updated_in_place(gpu):
    to_gpu, to_cpu = gpu
    arrays = np.random.default_rng(0).random((4, 40))
    on_gpu = [to_gpu(array) for array in arrays]
    assert nd.adadelta_step(*on_gpu) is True
    nd.adadelta_step(*arrays)
    for found, expected in zip(on_gpu, arrays, strict=True):
        np.testing.assert_allclose(to_cpu(found), expected, rtol=1e-12)


@both_dtypes
def test_the_effective_rate_agrees_with_the_cpu(gpu, dtype):
    to_gpu, _ = gpu
    start, (g, *_) = problem((4, 10), dtype)
    ours, theirs = nd.Adadelta(start.copy(), eps=1e-5), nd.Adadelta(to_gpu(start), eps=1e-5)
    ours.step(g)
    theirs.step(to_gpu(g))
    found = theirs.effective_lr().copy_to_host()
    assert (found.dtype, found.shape) == (dtype, (4, 10))
    np.testing.assert_allclose(found, ours.effective_lr(), rtol=1e-5)


def test_the_state_moves_to_the_cpu_and_back(gpu):
    to_gpu, to_cpu = gpu
    start, gradients = problem((2, 20), np.float64)
    opt = nd.Adadelta(to_gpu(start), lr=0.5)
    opt.step(to_gpu(gradients[0]))
    on_cpu = nd.Adadelta(to_cpu(opt.params))
    on_cpu.load_state_dict(opt.state_dict())
    on_cpu.step(gradients[1])
    back = nd.Adadelta(to_gpu(on_cpu.params))
    back.load_state_dict(on_cpu.state_dict())
    back.step(to_gpu(gradients[2]))
    opt.step(to_gpu(gradients[1]))
    opt.step(to_gpu(gradients[2]))
    np.testing.assert_allclose(to_cpu(back.params), to_cpu(opt.params), rtol=1e-12)
    assert (back.steps, back.lr) == (3, 0.5)


@pytest.mark.gpu
def test_a_step_that_does_not_look_for_nan_can_be_captured_in_a_cuda_graph():
    require_real_gpu()
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    start, (g, *_) = problem((50,), np.float64)
    params, grads = torch.from_numpy(start).cuda(), torch.from_numpy(g).cuda()
    ours, theirs = nd.Adadelta(start.copy()), nd.Adadelta(params, nonfinite="propagate")
    theirs.step(grads)  # compiles
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        theirs.step(grads)
    for _ in range(3):
        graph.replay()
    for _ in range(4):
        ours.step(g)
    np.testing.assert_allclose(params.cpu().numpy(), ours.params, rtol=1e-12)
