"""What may enter the GPU part, and what is told to the others: faults of arrays on a GPU."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from numba import config

import numadelta as nd
from numadelta import cuda, device

simulated = pytest.mark.skipif(
    not config.ENABLE_CUDASIM, reason="the simulator needs NUMBA_ENABLE_CUDASIM=1"
)
ARGUMENTS = ["params", "grads", "square_avg", "acc_delta"]


class OnGpu:
    """An array that says it is on a GPU, as those of any other library do."""

    def __init__(self, array, device=None, **changes):
        self.array = array
        self.device = device
        self.interface = array.__array_interface__ | {"version": 3} | changes

    @property
    def __cuda_array_interface__(self):
        return self.interface


def four_arrays(shape=(4,), dtype=np.float64):
    rng = np.random.default_rng(0)
    return {name: OnGpu(rng.random(shape).astype(dtype)) for name in ARGUMENTS}


def by_optimizer(params, grads, square_avg, acc_delta):
    nd.Adadelta(params, square_avg=square_avg, acc_delta=acc_delta).step(grads)


def assert_refused(error, message, **changes):
    """Both doors refuse the arguments so changed, and no array has changed."""
    for door in (by_optimizer, nd.adadelta_step):
        arguments = four_arrays() | changes
        arrays = [a.array for a in arguments.values() if isinstance(a, OnGpu)]
        before = [array.tobytes() for array in arrays]
        with pytest.raises(error, match=message):
            door(**arguments)
        assert [array.tobytes() for array in arrays] == before


def without_simulator(monkeypatch, **of_numba_cuda):
    monkeypatch.setattr(device, "SIMULATED", False)
    monkeypatch.setattr(device, "cuda", SimpleNamespace(**of_numba_cuda))


# What is taken


@simulated
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"strides": None},
        {"strides": (8,)},
        {"version": 2},
        {"mask": None, "stream": 1},
        {"stream": 2},
        {"device": SimpleNamespace(id=0)},
        {"device": SimpleNamespace(index=0)},
        {"device": "cpu"},
    ],
    ids=str,
)
def test_arrays_of_any_library_are_updated_in_place(change):
    arguments, ours = four_arrays(), four_arrays()
    by_optimizer(**{name: argument.array for name, argument in ours.items()})
    by_optimizer(**{name: OnGpu(a.array, **change) for name, a in arguments.items()})
    for name in ARGUMENTS:
        np.testing.assert_allclose(arguments[name].array, ours[name].array, rtol=1e-12)


@simulated
def test_a_gradient_may_be_read_only():
    arguments = four_arrays()
    arguments["grads"].array.flags.writeable = False
    arguments["grads"] = OnGpu(arguments["grads"].array)
    assert nd.adadelta_step(**arguments)


@simulated
def test_an_empty_array_has_no_memory_and_no_kernel(monkeypatch):
    monkeypatch.setattr(cuda, "_step", None)
    opt = nd.Adadelta(OnGpu(np.ones(0), data=(0, False)))
    opt.step(OnGpu(np.ones(0), data=(0, False)))
    assert (opt.steps, opt.effective_lr().shape) == (1, (0,))


# What is refused


@simulated
@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.parametrize(
    ("dtype", "message"),
    [
        ("int64", "has dtype int64, but float32 or float64 is needed"),
        ("float16", "has dtype float16"),
        ("V2", r"has dtype \|V2"),
        ("complex128", "has dtype complex128"),
        (">f8", r"has dtype >f8.*newbyteorder\('='\)"),
    ],
)
def test_a_dtype_that_no_kernel_takes_is_refused_by_name(name, dtype, message):
    assert_refused(TypeError, f"{name} {message}", **{name: OnGpu(np.zeros(4, dtype))})


@simulated
@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.parametrize("array", [np.ones(8)[::2], np.ones(4)[::-1]], ids=["strided", "negative"])
def test_an_array_that_is_not_contiguous_is_refused(name, array):
    message = rf"{name} is not C-contiguous; pass {name}.contiguous\(\) or a copy"
    assert_refused(ValueError, message, **{name: OnGpu(array)})


@simulated
def test_fortran_order_is_refused():
    with pytest.raises(ValueError, match="params is not C-contiguous"):
        nd.Adadelta(OnGpu(np.ones((2, 3), order="F")))


@simulated
@pytest.mark.parametrize("name", ["params", "square_avg", "acc_delta"])
def test_what_is_read_only_cannot_be_updated(name):
    array = np.ones(4)
    array.flags.writeable = False
    assert_refused(ValueError, f"{name} is read-only", **{name: OnGpu(array)})


@simulated
@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_mask_is_refused(name):
    masked = OnGpu(np.ones(4), mask=OnGpu(np.ones(4, bool)))
    assert_refused(TypeError, f"{name} has a mask; fill it first", **{name: masked})


@simulated
@pytest.mark.parametrize("name", ["grads", "square_avg", "acc_delta"])
def test_arrays_that_do_not_belong_to_the_parameters_are_refused(name):
    shapes = rf"{name} has shape \(2, 2\), but params has shape \(4,\)"
    assert_refused(ValueError, shapes, **{name: OnGpu(np.ones((2, 2)))})
    dtypes = f"{name} has dtype float32, but params has dtype float64; both must be the same"
    assert_refused(TypeError, dtypes, **{name: OnGpu(np.ones(4, np.float32))})
    here = OnGpu(np.ones(4), SimpleNamespace(id=0))
    there = OnGpu(np.ones(4), SimpleNamespace(index=1))
    devices = f"{name} is on GPU 1, but params is on GPU 0"
    assert_refused(ValueError, devices, **{"params": here, name: there})


@simulated
@pytest.mark.parametrize("name", ["grads", "square_avg", "acc_delta"])
@pytest.mark.parametrize("host", [np.ones(4), [1.0] * 4], ids=["array", "list"])
def test_nothing_is_copied_to_the_gpu_in_silence(name, host):
    message = f"{name} is on the CPU, but params is on a GPU; copy it there first"
    assert_refused(TypeError, message, **{name: host})


def test_nothing_is_copied_from_the_gpu_in_silence():
    with pytest.raises(TypeError, match="grads must be a NumPy array .*, but is a OnGpu"):
        nd.Adadelta(np.ones(4)).step(OnGpu(np.ones(4)))
    with pytest.raises(TypeError, match="square_avg .*must be a NumPy array, but is a OnGpu"):
        nd.Adadelta(np.ones(4), square_avg=OnGpu(np.ones(4)))


@simulated
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("square_avg", "params"),
        ("acc_delta", "params"),
        ("acc_delta", "square_avg"),
        ("grads", "params"),
        ("grads", "square_avg"),
        ("grads", "acc_delta"),
    ],
)
@pytest.mark.parametrize("shift", [0, 3, 4])
def test_arrays_that_share_memory_are_refused_as_a_pair(one, other, shift):
    buffer = np.ones(8)
    shared = {one: OnGpu(buffer[:4]), other: OnGpu(buffer[shift : shift + 4])}
    if shift == 4:
        assert nd.adadelta_step(**four_arrays() | shared)
    else:
        assert_refused(ValueError, f"{one} and {other} overlap in memory", **shared)


# Tensors that have the interface but will not show it


class NeedsDetach(OnGpu):
    @property
    def __cuda_array_interface__(self):
        raise RuntimeError("Can't get __cuda_array_interface__ on Variable that requires grad.")


class CpuTensor(OnGpu):
    @property
    def __cuda_array_interface__(self):
        raise AttributeError("Can't get __cuda_array_interface__ on non-CUDA tensor")


@simulated
@pytest.mark.parametrize("name", ["grads", "square_avg", "acc_delta"])
def test_such_a_tensor_is_refused_with_the_remedy(name):
    message = rf"{name} requires grad; pass {name}.detach\(\)"
    assert_refused(ValueError, message, **{name: NeedsDetach(np.ones(4))})
    message = rf"{name} is a CpuTensor that is not on a GPU; .*{name}.numpy\(\)"
    assert_refused(TypeError, message, **{name: CpuTensor(np.ones(4))})


def test_such_parameters_are_refused_with_the_remedy_on_any_machine(monkeypatch):
    without_simulator(monkeypatch, implementation="Built-in")
    with pytest.raises(ValueError, match=r"params requires grad; pass params.detach\(\)"):
        nd.Adadelta(NeedsDetach(np.ones(4)))
    with pytest.raises(TypeError, match=r"params is a CpuTensor .*params.numpy\(\)"):
        nd.Adadelta(CpuTensor(np.ones(4)))


def test_tensors_of_pytorch_on_the_cpu_are_refused_with_the_remedy():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    with pytest.raises(TypeError, match=r"params is a Tensor .*params.numpy\(\)"):
        nd.Adadelta(torch.ones(4))
    with pytest.raises(TypeError, match="grads must be a NumPy array .*is a Tensor"):
        nd.Adadelta(np.ones(4)).step(torch.ones(4))


# Streams


def test_streams_of_the_interface_become_those_of_numba(monkeypatch):
    without_simulator(
        monkeypatch,
        legacy_default_stream=lambda: "legacy",
        per_thread_default_stream=lambda: "per thread",
        external_stream=lambda handle: f"stream {handle}",
    )
    streams = [device.stream_of(handle) for handle in (None, 1, 2, 77)]
    assert streams == [0, "legacy", "per thread", "stream 77"]


@simulated
def test_kernels_run_on_the_stream_of_the_gradient(monkeypatch):
    seen = []
    monkeypatch.setattr(device, "stream_of", lambda handle: seen.append(handle) or 0)
    opt = nd.Adadelta(OnGpu(np.ones(4), stream=5))
    opt.step(OnGpu(np.ones(4), stream=6))
    opt.step(OnGpu(np.ones(4)))
    assert seen == [5, 6, None]


@simulated
def test_the_same_memory_again_is_not_checked_again_and_other_memory_is(monkeypatch):
    checked = []
    flat_view = device.flat_view
    monkeypatch.setattr(
        device,
        "flat_view",
        lambda name, *rest, **more: checked.append(name) or flat_view(name, *rest, **more),
    )
    array, params = np.ones(4), np.ones(4)
    opt = nd.Adadelta(OnGpu(params))
    opt.step(OnGpu(array))
    opt.step(OnGpu(array))
    assert checked == ["params", "grads"]
    opt.step(OnGpu(array.copy()))
    assert checked == ["params", "grads", "grads"]
    for bad in (np.ones(4, np.float32), np.ones((2, 2)), np.ones(8)[::2]):
        with pytest.raises((TypeError, ValueError), match="grads"):
            opt.step(OnGpu(bad))
    assert opt.steps == 3


# What goes wrong on the GPU itself


@simulated
def test_too_little_memory_is_an_error_that_says_how_much_was_asked_for(monkeypatch):
    opt = nd.Adadelta(OnGpu(np.ones(4)))
    device_array = device.cuda.device_array

    def full(size, dtype):
        raise RuntimeError("[2] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY")

    monkeypatch.setattr(device.cuda, "device_array", full)
    with pytest.raises(MemoryError, match="the GPU has not 32 bytes left for 4 numbers"):
        nd.Adadelta(OnGpu(np.ones(4)))
    with pytest.raises(MemoryError, match="32 bytes"):
        opt.effective_lr()
    opt.step(OnGpu(np.ones(4)))
    monkeypatch.setattr(device.cuda, "device_array", device_array)
    assert opt.effective_lr().shape == (4,) and opt.steps == 1


class Broken:
    """Memory that cannot be read: what the driver reports after any launch that failed."""

    def __init__(self, error):
        self.error = error

    def copy_to_host(self, stream):
        raise self.error


@simulated
def test_an_error_that_shows_up_late_says_that_it_may_be_of_an_earlier_launch(monkeypatch):
    opt = nd.Adadelta(OnGpu(np.ones(4)))
    monkeypatch.setattr(opt._state, "_launcher", lambda *kernel: lambda *arguments: None)
    opt._state._bad = Broken(RuntimeError("[700] CUDA_ERROR_ILLEGAL_ADDRESS"))
    with pytest.raises(RuntimeError, match="in this call or in an earlier launch: .*700"):
        opt.step(OnGpu(np.ones(4)))


@simulated
@pytest.mark.parametrize("nonfinite", ["raise", "propagate"])
def test_what_an_interrupt_kept_from_being_read_does_not_stop_later_steps(monkeypatch, nonfinite):
    params = np.ones(4)
    opt = nd.Adadelta(OnGpu(params))
    search = opt._state._bad
    opt._state._bad = Broken(KeyboardInterrupt())
    monkeypatch.setattr(
        opt._state,
        "_launcher",
        lambda *kernel: lambda *arguments: search.copy_to_device(np.array([2])),
    )
    with pytest.raises(KeyboardInterrupt):
        opt.step(OnGpu(np.full(4, np.nan)))
    monkeypatch.undo()
    opt._state._bad = search
    opt.nonfinite = nonfinite
    opt.step(OnGpu(np.ones(4)))
    assert (params != 1).all()


@simulated
def test_a_forked_child_is_told_so(monkeypatch):
    opt = nd.Adadelta(OnGpu(np.ones(4)))
    monkeypatch.setattr(device, "_process", -1)
    for call in (
        lambda: nd.Adadelta(OnGpu(np.ones(4))),
        lambda: opt.step(OnGpu(np.ones(4))),
        lambda: opt.effective_lr(),
        lambda: opt.state_dict(),
    ):
        with pytest.raises(RuntimeError, match="does not survive a fork.*'spawn' or 'forkserver'"):
            call()
    assert device.describe_gpu().startswith("none (CUDA does not survive a fork")


# Machines without what a GPU needs


def test_without_numba_cuda_the_error_names_the_extras(monkeypatch):
    without_simulator(monkeypatch, implementation="Built-in")
    with pytest.raises(ImportError, match=r"numba-cuda: pip install numadelta\[cuda12\]"):
        nd.Adadelta(OnGpu(np.ones(4)))


@pytest.mark.parametrize(
    ("version", "works"), [("0.4.1", False), ("0.30.4", False), ("0.31", True)]
)
def test_numba_cuda_that_is_too_old_for_numpy_is_refused_with_both_versions(
    monkeypatch, version, works
):
    without_simulator(monkeypatch, implementation="NVIDIA", is_available=lambda: False)
    package = SimpleNamespace(__version__=version)
    monkeypatch.setitem(device.sys.modules, "numba_cuda", package)
    monkeypatch.setattr(np, "__version__", "2.5.0")
    error, message = (RuntimeError, "driver and device") if works else (ImportError, "numpy<2.5")
    with pytest.raises(error, match=message) as caught:
        nd.Adadelta(OnGpu(np.ones(4)))
    assert works or f"numba-cuda {version} does not work with NumPy 2.5.0" in str(caught.value)


def test_the_cpu_part_works_where_the_gpu_part_does_not(python):
    script = """
    import numpy as np
    import numadelta as nd

    class OnGpu:
        __cuda_array_interface__ = np.ones(4).__array_interface__

    try:
        nd.Adadelta(OnGpu())
    except (ImportError, RuntimeError) as error:
        print("no GPU" if "GPU" in str(error) else error)
    x = np.ones(4)
    nd.Adadelta(x).step(x / 2)
    """
    hidden = {"NUMBA_ENABLE_CUDASIM": "0", "CUDA_VISIBLE_DEVICES": "-1"}
    assert python(script, "-W", "error", **hidden) == "no GPU"
