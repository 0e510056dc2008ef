"""Arrays on a GPU as others made them: whether CUDA works, what they are, on which stream.

Any array with ``__cuda_array_interface__`` is taken without copying: CuPy, PyTorch and Numba.
`numadelta.cuda` has the kernels; nothing else imports numba.cuda.
"""

from __future__ import annotations

import math
import os
import sys
from typing import Any

import numpy as np
from numba import config, cuda

from numadelta import arrays

SIMULATED = bool(getattr(config, "ENABLE_CUDASIM"))  # noqa: B009 (Numba sets it at run time)

# The process that began to use CUDA: its children cannot.
_process: int | None = None


def _release(package: Any) -> tuple[int, ...]:
    return tuple(int(number) for number in package.__version__.split(".")[:2])


def require_gpu() -> None:
    """Raise a clear error unless CUDA kernels can run (or are simulated)."""
    global _process
    refuse_fork()
    if not SIMULATED:
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
            why = cuda.cuda_error() or f"or no compiler: {extras}"
            raise RuntimeError(f"arrays on a GPU need a CUDA driver and device; none found ({why})")
    _process = os.getpid()


def refuse_fork() -> None:
    """Raise a clear error in a child forked from a process that had begun to use CUDA."""
    if _process not in (None, os.getpid()):
        raise RuntimeError(
            "CUDA does not survive a fork, and this process was forked after arrays on a GPU had "
            "been used; start it with multiprocessing's 'spawn' or 'forkserver'"
        )


def describe_gpu() -> str:
    """Return a line about the GPU that CUDA kernels would run on, or why they cannot."""
    try:
        require_gpu()
        if SIMULATED:
            return "simulated (NUMBA_ENABLE_CUDASIM)"
        device = cuda.get_current_device()
    except Exception as error:  # the driver has many, and a GPU that is full is one
        return f"none ({error})"
    name = device.name.decode() if isinstance(device.name, bytes) else device.name
    return f"{name}, compute capability {'.'.join(map(str, device.compute_capability))}"


def interface_of(name: str, array: Any) -> dict[str, Any]:
    """Return what an array on a GPU says of itself; refuse one that is not there."""
    # Numba's managed and mapped arrays are both.
    if isinstance(array, (np.ndarray, list, tuple)) and not arrays.is_cuda_array(array):
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
    except AttributeError as error:
        remedy = "copy it to the GPU of params"
        if name == "params":
            remedy = "pass it as a NumPy array, for a CPU tensor params.numpy()"
        why = f" ({error})" if arrays.is_cuda_array(array) else ""  # a sparse tensor, for example
        raise TypeError(
            f"{name} is a {type(array).__name__} that is not on a GPU; {remedy}{why}"
        ) from None


def flat_view(name: str, interface: dict[str, Any], writeable: bool, owner: Any = None) -> Any:
    """Check what an array says of itself; return it flat, for kernels, keeping its owner alive."""
    arrays.check_dtype(name, np.dtype(interface["typestr"]))
    shape = tuple(interface["shape"])
    if interface.get("mask") is not None:
        raise TypeError(f"{name} has a mask; fill it first")
    pointer, read_only = interface["data"]
    if writeable and read_only:
        raise ValueError(f"{name} is read-only, but is updated in place; pass a copy")
    if pointer % np.dtype(interface["typestr"]).itemsize:
        raise ValueError(f"{name} is not aligned in memory; pass a copy")
    strides = interface.get("strides")
    if strides is not None and math.prod(shape) > 1:
        layout = np.lib.stride_tricks.as_strided(
            np.empty(1, interface["typestr"]), shape, strides, writeable=False
        )
        if not layout.flags.c_contiguous:
            raise ValueError(f"{name} is not C-contiguous; pass {name}.contiguous() or a copy")
    flat = {
        "shape": (math.prod(shape),),
        "typestr": interface["typestr"],
        "data": (pointer, False),
        "version": 3,
    }
    if SIMULATED:
        holder = type("Holder", (), {"__array_interface__": flat, "owner": owner})()
        return cuda.cudadrv.devicearray.FakeCUDAArray(np.asarray(holder))
    return cuda.from_cuda_array_interface(flat, owner=owner, sync=False)


def stream_handle(array: Any, interface: dict[str, Any]) -> int | None:
    """Return the stream on which an array is ready, as a handle of the array interface."""
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


def count_gpus() -> int:
    """Return how many GPUs there are."""
    return 1 if SIMULATED else len(cuda.gpus)


def number_of_gpu(array: Any) -> int | None:
    """Return which GPU an array is on, if it says so."""
    device = getattr(array, "device", None)
    for attribute in ("index", "id"):
        number = getattr(device, attribute, None)
        if isinstance(number, int):
            return number
    return None


def new_array(size: int, dtype: Any) -> Any:
    """Return uninitialised memory on the GPU, or say how much there should have been."""
    try:
        return cuda.device_array(size, dtype)
    except Exception as error:  # numba-cuda raises the driver's code and no class of its own for it
        if "OUT_OF_MEMORY" not in str(error):
            raise
        nbytes = size * np.dtype(dtype).itemsize
        raise MemoryError(f"the GPU has no {nbytes} bytes left for {size} numbers") from error
