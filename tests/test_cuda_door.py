"""What may enter the GPU part, and what is told to the others: faults of arrays on a GPU."""

from __future__ import annotations

import gc
import weakref
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
def test_views_of_the_averages_keep_their_memory_alive():
    owner = OnGpu(np.zeros(4))
    gone = weakref.ref(owner)
    opt = nd.Adadelta(OnGpu(np.ones(4)), square_avg=owner)
    view = opt.square_avg
    del opt, owner
    gc.collect()
    assert gone() is not None and view[0] == 0
    del view
    gc.collect()
    assert gone() is None


@simulated
def test_a_gradient_is_not_kept_alive():
    opt, grads = nd.Adadelta(OnGpu(np.ones(4))), OnGpu(np.ones(4))
    gone = weakref.ref(grads)
    opt.step(grads)
    del grads
    gc.collect()
    assert gone() is None


@simulated
def test_an_array_of_numba_that_the_cpu_can_read_is_on_the_gpu():
    class Managed(np.ndarray):  # as numba.cuda.managed_array makes them
        @property
        def __cuda_array_interface__(self):
            return self.__array_interface__

    params = np.ones(4).view(Managed)
    opt = nd.Adadelta(params)
    opt.step(np.ones(4).view(Managed))
    assert isinstance(opt._state, cuda.CudaState) and (params != 1).all()


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
def test_an_array_that_is_not_aligned_is_refused(name):
    shifted = np.zeros(33, "u1")[1:].view("f8")
    if not shifted.ctypes.data % 8:
        shifted = np.zeros(36, "u1")[4:].view("f8")
    message = f"{name} is not aligned in memory; pass a copy"
    assert_refused(ValueError, message, **{name: OnGpu(shifted)})


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
    message = (
        rf"{name} is a CpuTensor that is not on a GPU; copy it to the GPU of params \(Can't get"
    )
    assert_refused(TypeError, message, **{name: CpuTensor(np.ones(4))})


@simulated
def test_what_is_no_array_is_refused():
    with pytest.raises(TypeError, match="grads is a NoneType that is not on a GPU; copy it to"):
        nd.Adadelta(OnGpu(np.ones(4))).step(None)


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


class Recorded:
    """A kernel that notes on which stream it is launched."""

    def __init__(self, name, launches):
        self.kernel, self.launches = getattr(cuda, name), launches

    def __getitem__(self, configuration):
        self.launches.append(configuration[2])
        return self.kernel[configuration]


class Stream:
    def __init__(self, handle, waits):
        self.handle, self.waits = handle, waits

    def synchronize(self):
        self.waits.append(self.handle)


@pytest.fixture
def launches(monkeypatch):
    """The streams of all launches."""
    found = []
    for name in ("_fill", "_find_outside", "_find_unusable", "_step", "_effective_rates"):
        monkeypatch.setattr(cuda, name, Recorded(name, found))
    return found


@simulated
def test_a_step_runs_on_the_stream_of_the_gradient_and_all_else_after_the_whole_gpu(
    monkeypatch, launches
):
    waits = []
    streams = {None: 0} | {handle: Stream(handle, waits) for handle in (5, 6)}
    monkeypatch.setattr(device, "stream_of", lambda handle: streams[handle])
    monkeypatch.setattr(device.cuda, "synchronize", lambda: waits.append("all"))
    opt = nd.Adadelta(OnGpu(np.ones(4), stream=5))
    assert (launches, waits) == ([0, 0, 0], ["all", "all"])
    opt.step(OnGpu(np.ones(4), stream=6))
    assert (launches[3:], waits[2:]) == ([streams[6]] * 2, [6])
    opt.step(OnGpu(np.ones(4)))
    assert (launches[5:], waits[3:]) == ([0, 0], [])
    opt.step(OnGpu(np.ones(4), stream=5))
    opt.nonfinite = "propagate"
    opt.step(OnGpu(np.ones(4), stream=6))
    assert (launches[7:], waits[3:]) == ([streams[5]] * 2 + [streams[6]], [5])
    opt.effective_lr()
    opt.load_state_dict(opt.state_dict())
    assert (launches[10:], waits[4:]) == ([0], ["all"] * 6)


@simulated
def test_a_tensor_of_pytorch_is_ready_on_the_current_stream(monkeypatch):
    class Tensor(OnGpu):
        pass

    current = SimpleNamespace(cuda_stream=0)
    torch = SimpleNamespace(
        Tensor=Tensor, cuda=SimpleNamespace(current_stream=lambda device: current)
    )
    monkeypatch.setitem(device.sys.modules, "torch", torch)
    tensor = Tensor(np.ones(4))
    assert device.stream_handle(tensor, tensor.interface) == 1  # the legacy stream, not "none"
    current.cuda_stream = 77
    assert device.stream_handle(tensor, tensor.interface) == 77
    other = OnGpu(np.ones(4), stream=3)
    assert device.stream_handle(other, other.interface) == 3


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
    with pytest.raises(MemoryError, match="the GPU has no 32 bytes left for 4 numbers"):
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
    monkeypatch.setattr(opt._state, "_launcher", lambda *kernel, **stream: lambda *arguments: None)
    opt._state._bad = Broken(RuntimeError("[700] CUDA_ERROR_ILLEGAL_ADDRESS"))
    with pytest.raises(RuntimeError, match="in this call or in an earlier launch: .*700"):
        opt.step(OnGpu(np.ones(4)))


class Interrupted:
    """Memory that is read well, but Ctrl-C was pressed in the meantime."""

    def __init__(self, memory, times=1):
        self.memory, self.times = memory, times

    def __getattr__(self, name):
        return getattr(self.memory, name)

    def __getitem__(self, index):
        return self.memory[index]

    def copy_to_host(self, stream):
        if self.times:
            self.times -= 1
            raise KeyboardInterrupt
        return self.memory.copy_to_host(stream=stream)


@simulated
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("bad", [[], [2]])
@pytest.mark.parametrize("nonfinite", ["raise", "propagate"])
def test_an_interrupted_wait_is_no_harm(monkeypatch, times, bad, nonfinite):
    params, grads = np.ones(4), np.ones(4)
    grads[bad] = np.nan
    opt = nd.Adadelta(OnGpu(params))
    memory = opt._state._bad
    opt._state._bad = Interrupted(memory, times)
    # The simulator would look into the memory of kernels' arguments.
    monkeypatch.setattr(cuda, "_find_unusable", WithMemory(cuda._find_unusable, memory, 2))
    monkeypatch.setattr(cuda, "_step", WithMemory(cuda._step, memory, 4))
    with pytest.raises(KeyboardInterrupt):
        opt.step(OnGpu(grads))
    taken = int((params != 1).any())
    assert taken == (not bad)
    if times == 1:  # a second Ctrl-C leaves the count behind
        assert opt.steps == taken
    opt.nonfinite = nonfinite
    before = params.copy()
    opt.step(OnGpu(np.ones(4)))
    assert (params != before).all()


class WithMemory:
    """A kernel, handed its own memory in the place of an argument."""

    def __init__(self, kernel, memory, place):
        self.kernel, self.memory, self.place = kernel, memory, place

    def __getitem__(self, configuration):
        def launch(*arguments):
            arguments = list(arguments)
            arguments[self.place] = self.memory
            self.kernel[configuration](*arguments)

        return launch


@simulated
def test_a_signal_handler_is_told_that_a_step_may_be_under_way(monkeypatch):
    opt = nd.Adadelta(OnGpu(np.ones(4)))
    found = opt._state._found

    def handler(stream=0):
        with pytest.raises(RuntimeError, match="in the middle of a step .* or a GPU"):
            opt.state_dict()
        return found(stream)

    monkeypatch.setattr(opt._state, "_found", handler)
    opt.step(OnGpu(np.ones(4)))
    assert opt.state_dict()["steps"] == 1


def test_a_gpu_that_is_full_can_still_be_asked_for_its_name(monkeypatch):
    def full():
        raise Exception("[2] CUDA_ERROR_OUT_OF_MEMORY")

    without_simulator(monkeypatch, get_current_device=full)
    monkeypatch.setattr(device, "require_gpu", lambda: None)
    assert device.describe_gpu() == "none ([2] CUDA_ERROR_OUT_OF_MEMORY)"


def test_arrays_of_another_gpu_than_the_current_one_are_refused(monkeypatch):
    current = SimpleNamespace(id=1)
    monkeypatch.setattr(cuda.cuda, "get_current_device", lambda: current, raising=False)
    state = cuda.CudaState.__new__(cuda.CudaState)
    state._gpu, state._may_be_elsewhere = 0, True
    with pytest.raises(ValueError, match=r"on GPU 0, but .* is 1; .*select_device\(0\)"):
        state._check_current_gpu()
    current.id = 0
    state._check_current_gpu()


@simulated
def test_a_forked_child_is_told_so(monkeypatch):
    opt = nd.Adadelta(OnGpu(np.ones(4)))
    state = opt.state_dict()
    monkeypatch.setattr(device, "_process", -1)
    for call in (
        lambda: nd.Adadelta(OnGpu(np.ones(4))),
        lambda: opt.step(OnGpu(np.ones(4))),
        lambda: opt.effective_lr(),
        lambda: opt.state_dict(),
        lambda: opt.load_state_dict(state),
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
    monkeypatch.setattr(device.cuda, "cuda_error", lambda: "no driver", raising=False)
    error, message = (
        (RuntimeError, r"device; none found \(no driver\)") if works else (ImportError, "numpy<2.5")
    )
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
