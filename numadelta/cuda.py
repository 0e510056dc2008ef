"""ADADELTA's state on a GPU: the rules of `numadelta.kernels` in CUDA kernels.

Any array with ``__cuda_array_interface__`` is taken without copying: CuPy, PyTorch and Numba.
Kernels run on the stream that the gradient reports as current.  The only file that imports
numba.cuda.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
from numba import config, cuda
from numpy.typing import NDArray

from numadelta import arrays
from numadelta.kernels import (
    adadelta_rule,
    coupled_grad,
    effective_rate,
    largest_usable,
    usable,
)

SIMULATED = bool(getattr(config, "ENABLE_CUDASIM"))  # noqa: B009 (Numba sets it at run time)

# The simulator starts a Python thread for each CUDA thread of a block.
THREADS_PER_BLOCK = 32 if SIMULATED else 256
MAX_BLOCKS = 4096


@cuda.jit
def _find_unusable(params, grads, bad, limit, sign, weight_decay):
    """Lower ``bad[0]`` to the index of the first unusable gradient."""
    for i in range(cuda.grid(1), grads.size, cuda.gridsize(1)):
        # Without weight decay `params` is not read: its NaN is not the gradient's.
        grad = grads[i]
        if weight_decay != 0:
            grad = coupled_grad(params[i], grad, sign, weight_decay)
        if not usable(grad, limit):
            cuda.atomic.min(bad, 0, i)


@cuda.jit
def _step(params, grads, square_avg, acc_delta, bad, sign, lr, rho, decay, eps, weight_decay, tiny):
    """Take a step, unless ``bad[0]`` is the index of an element."""
    if bad[0] < params.size:
        return
    for i in range(cuda.grid(1), params.size, cuda.gridsize(1)):
        grad = coupled_grad(params[i], grads[i], sign, weight_decay)
        params[i], square_avg[i], acc_delta[i] = adadelta_rule(
            params[i], grad, square_avg[i], acc_delta[i], lr, rho, decay, eps, tiny
        )


@cuda.jit
def _effective_rates(square_avg, acc_delta, eps, out):
    for i in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        out[i] = effective_rate(square_avg[i], acc_delta[i], eps)


def _release(package: Any) -> tuple[int, ...]:
    return tuple(int(number) for number in package.__version__.split(".")[:2])


def require_gpu() -> None:
    """Raise a clear error unless CUDA kernels can run (or are simulated)."""
    if SIMULATED:
        return
    extras = "pip install numadelta[cuda12] or numadelta[cuda13], as your driver needs"
    if getattr(cuda, "implementation", "Built-in") == "Built-in":
        raise ImportError(f"arrays on a GPU need the package numba-cuda: {extras}")
    numba_cuda = sys.modules["numba_cuda"]
    if np.lib.NumpyVersion(np.__version__) >= "2.5.0" and _release(numba_cuda) < (0, 31):
        raise ImportError(
            f"numba-cuda {numba_cuda.__version__} does not work with NumPy {np.__version__}; "
            "install numpy<2.5"
        )
    if not cuda.is_available():
        raise RuntimeError("arrays on a GPU need a CUDA driver and device, but none was found")


def describe_gpu() -> str:
    """Return a line about the GPU that CUDA kernels would run on, or why they cannot."""
    try:
        require_gpu()
    except (ImportError, RuntimeError) as error:
        return f"none ({error})"
    if SIMULATED:
        return "simulated (NUMBA_ENABLE_CUDASIM)"
    device = cuda.get_current_device()
    name = device.name.decode() if isinstance(device.name, bytes) else device.name
    return f"{name}, compute capability {'.'.join(map(str, device.compute_capability))}"


def _interface(name: str, array: Any) -> dict[str, Any]:
    if isinstance(array, (np.ndarray, list, tuple)):
        raise TypeError(
            f"{name} is on the CPU, but params is on a GPU; copy it there first "
            "(nothing is copied silently)"
        )
    if SIMULATED and getattr(array, "__cuda_ndarray__", False):
        return dict(array.__array_interface__)
    try:
        return dict(array.__cuda_array_interface__)
    except RuntimeError as error:  # PyTorch's way to say that the tensor requires grad
        raise ValueError(f"{name} requires grad; pass {name}.detach()") from error
    except AttributeError:
        raise TypeError(
            f"{name} is a {type(array).__name__} that is not on a GPU; pass it as a NumPy array, "
            f"for a CPU tensor {name}.numpy()"
        ) from None


def _flat(name: str, array: Any, writeable: bool) -> tuple[Any, tuple[int, ...], int | None]:
    """Check an array on the GPU; return it flat, with its shape and its current stream."""
    interface = _interface(name, array)
    arrays.check_dtype(name, np.dtype(interface["typestr"]))
    shape = tuple(interface["shape"])
    pointer, read_only = interface["data"]
    if interface.get("mask") is not None:
        raise TypeError(f"{name} has a mask; fill it first")
    if writeable and read_only:
        raise ValueError(f"{name} is read-only, but is updated in place; pass a copy")
    strides = interface.get("strides")
    if strides is not None and math.prod(shape) > 1:
        layout = np.lib.stride_tricks.as_strided(
            np.empty(1, interface["typestr"]), shape, strides, writeable=False
        )
        if not layout.flags.c_contiguous:
            raise ValueError(f"{name} is not C-contiguous; pass {name}.contiguous() or a copy")
    flat = _device_view(interface, math.prod(shape))
    return flat, shape, _current_stream(array, interface)


def _device_view(interface: dict[str, Any], size: int) -> Any:
    """Return memory described by an array interface as a flat array for kernels."""
    flat_interface = {
        "shape": (size,),
        "typestr": interface["typestr"],
        "data": (interface["data"][0], False),
        "version": 3,
    }
    if SIMULATED:
        holder = type("Holder", (), {"__array_interface__": flat_interface})()
        return cuda.cudadrv.devicearray.FakeCUDAArray(np.asarray(holder))
    holder = type("Holder", (), {"__cuda_array_interface__": flat_interface})()
    return cuda.as_cuda_array(holder, sync=False)


def _current_stream(array: Any, interface: dict[str, Any]) -> int | None:
    stream = interface.get("stream")
    torch = sys.modules.get("torch")
    if stream is None and torch is not None and isinstance(array, torch.Tensor):
        stream = torch.cuda.current_stream(array.device).cuda_stream or 1
    return stream


def stream_of(handle: int | None) -> Any:
    """Return Numba's stream for a handle of the array interface (1: legacy, 2: per thread)."""
    if SIMULATED or handle is None:
        return 0
    if handle == 1:
        return cuda.legacy_default_stream()
    if handle == 2:
        return cuda.per_thread_default_stream()
    return cuda.external_stream(handle)


def _device_of(array: Any) -> int | None:
    device = getattr(array, "device", None)
    for attribute in ("index", "id"):
        number = getattr(device, attribute, None)
        if isinstance(number, int):
            return number
    return None


class CudaState:
    """The same as `numadelta.cpu.CpuState`, for arrays on a GPU."""

    def __init__(
        self,
        params: Any,
        square_avg: Any | None = None,
        acc_delta: Any | None = None,
        check_values: bool = True,
    ) -> None:
        _interface("params", params)  # a CPU tensor is refused as such, also where there is no GPU
        require_gpu()
        self.params, self.shape, stream = _flat("params", params, writeable=True)
        self.dtype = np.dtype(self.params.dtype)
        self._stream = stream_of(stream)
        self._device = _device_of(params)
        if not SIMULATED and self._device not in (None, cuda.get_current_device().id):
            raise ValueError(
                f"params is on GPU {self._device}, but Numba's current one is "
                f"{cuda.get_current_device().id}; call numba.cuda.select_device({self._device})"
            )
        # Whoever made the arrays owns their memory: keep them alive as long as the views.
        self._owners = (params, square_avg, acc_delta)
        self._bad = cuda.device_array(1, np.int64)
        self._check_values = check_values
        if check_values and not self._all_finite(self.params):
            arrays.check_finite("params", self._copy(self.params).reshape(self.shape))
        self.square_avg = self._average("square_avg", square_avg)
        self.acc_delta = self._average("acc_delta", acc_delta)
        self._check_no_overlap("square_avg", self.square_avg, ("params",))
        self._check_no_overlap("acc_delta", self.acc_delta, ("params", "square_avg"))
        self.steps = np.zeros(1, np.int64)

    def _average(self, name: str, array: Any | None) -> Any:
        if array is None:
            return cuda.to_device(np.zeros(self.params.size, self.dtype))
        flat, shape, _ = _flat(name, array, writeable=True)
        self._check_like(name, array, flat, shape)
        if self._check_values:
            arrays.check_averages(name, self._copy(flat).reshape(shape))
        return flat

    def _check_like(self, name: str, array: Any, flat: Any, shape: tuple[int, ...]) -> None:
        device = _device_of(array)
        if None not in (device, self._device) and device != self._device:
            raise ValueError(f"{name} is on GPU {device}, but params is on GPU {self._device}")
        if shape != self.shape:
            raise ValueError(f"{name} has shape {shape}, but params has shape {self.shape}")
        if flat.dtype != self.dtype:
            raise TypeError(
                f"{name} has dtype {flat.dtype}, but params has dtype {self.dtype}; "
                "both must be the same"
            )

    def _check_no_overlap(self, name: str, flat: Any, others: tuple[str, ...]) -> None:
        start, nbytes = _pointer(flat), flat.size * flat.dtype.itemsize
        for other in others:
            if abs(_pointer(getattr(self, other)) - start) < nbytes:
                raise ValueError(f"{name} and {other} overlap in memory; pass separate arrays")

    def _copy(self, flat: Any) -> NDArray[Any]:
        return flat.copy_to_host(stream=self._stream) if flat.size else np.empty(0, self.dtype)

    def _blocks(self) -> tuple[int, int]:
        blocks = -(-self.params.size // THREADS_PER_BLOCK)
        return min(blocks, MAX_BLOCKS), THREADS_PER_BLOCK

    def check_grads(self, grads: Any) -> Any:
        """Return a gradient on the same GPU as a flat array that the kernels may read."""
        flat, shape, stream = _flat("grads", grads, writeable=False)
        self._check_like("grads", grads, flat, shape)
        self._check_no_overlap("grads", flat, ("params", "square_avg", "acc_delta"))
        self._stream = stream_of(stream)
        return flat

    def step(
        self,
        grads: Any,
        check: bool,
        lr: float,
        rho: float,
        eps: float,
        weight_decay: float,
        maximize: bool,
    ) -> int:
        """Take a step and return -1, or return the index of a gradient that `check` refuses.

        Both kernels are launched before the one copy back that tells the outcome, so that a
        checked step waits for the GPU once; without `check` it does not wait.
        """
        size = grads.size
        if size:
            real = self.dtype.type
            info = np.finfo(self.dtype)
            limit = largest_usable(eps, float(info.max), float(info.tiny))
            sign = -1.0 if maximize else 1.0
            self._start_search(self.params, grads, limit, sign, weight_decay, check)
            _step[(*self._blocks(), self._stream)](
                self.params,
                grads,
                self.square_avg,
                self.acc_delta,
                self._bad,
                real(sign),
                real(lr),
                real(rho),
                real(1.0 - rho),
                real(eps),
                real(weight_decay),
                info.tiny,
            )
            if check and (bad := self._found()) < size:
                return bad
        self.steps[0] += 1
        return -1

    def _start_search(
        self,
        params: Any,
        grads: Any,
        limit: float,
        sign: float,
        weight_decay: float,
        check: bool = True,
    ) -> None:
        real = self.dtype.type
        self._bad.copy_to_device(np.array([grads.size]), stream=self._stream)
        if check:
            _find_unusable[(*self._blocks(), self._stream)](
                params, grads, self._bad, real(limit), real(sign), real(weight_decay)
            )

    def _found(self) -> int:
        return int(self._bad.copy_to_host(stream=self._stream)[0])

    def _all_finite(self, flat: Any) -> bool:
        if flat.size:
            self._start_search(flat, flat, float(np.finfo(self.dtype).max), 1.0, 0.0)
        return not flat.size or self._found() >= flat.size

    def effective_lr(self, eps: float) -> Any:
        """Return a new Numba device array of the shape of the parameters with eta of each."""
        out = cuda.device_array(self.params.size, self.dtype)
        if out.size:
            _effective_rates[(*self._blocks(), self._stream)](
                self.square_avg, self.acc_delta, self.dtype.type(eps), out
            )
        return out.reshape(self.shape)

    def to_host(self) -> dict[str, NDArray[Any]]:
        """Return NumPy copies of the running averages."""
        return {
            name: self._copy(getattr(self, name)).reshape(self.shape)
            for name in ("square_avg", "acc_delta")
        }

    def load(self, square_avg: NDArray[Any], acc_delta: NDArray[Any], steps: int) -> None:
        """Overwrite averages and count with checked NumPy arrays of the right shape and dtype."""
        if self.params.size:
            self.square_avg.copy_to_device(square_avg.reshape(-1), stream=self._stream)
            self.acc_delta.copy_to_device(acc_delta.reshape(-1), stream=self._stream)
        self.steps[0] = steps


def _pointer(flat: Any) -> int:
    return int(_interface("array", flat)["data"][0])
