"""ADADELTA's state on a GPU: the rules of `numadelta.kernels` in CUDA kernels.

Kernels run on the stream that the gradient reports as current.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda
from numpy.typing import NDArray

from numadelta import arrays, device
from numadelta.kernels import (
    adadelta_rule,
    coupled_grad,
    effective_rate,
    largest_usable,
    usable,
)

# The simulator starts a Python thread for each CUDA thread of a block.
THREADS_PER_BLOCK = 32 if device.SIMULATED else 256
# Numba warns of fewer; those without work cost nothing.
MIN_BLOCKS = 1 if device.SIMULATED else 128
# For kernels that only read.  What writes has a thread for each element: 8 % faster on an H100.
MAX_BLOCKS = 4096

NONE = np.iinfo(np.int64).max


@cuda.jit
def _fill(out, value):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = value


@cuda.jit
def _find_outside(values, bad, low, high):
    """Lower ``bad[0]`` to the index of the first value outside an interval (NaN is)."""
    first = values.size
    for i in range(cuda.grid(1), values.size, cuda.gridsize(1)):
        if not low <= values[i] <= high:
            first = min(first, i)
    if first < values.size:
        cuda.atomic.min(bad, 0, first)


@cuda.jit
def _find_unusable(params, grads, bad, limit, sign, weight_decay):
    """Lower ``bad[0]`` to the index of the first unusable gradient."""
    # No atomic operation within the loop, which would keep loads from running ahead.
    first = grads.size
    for i in range(cuda.grid(1), grads.size, cuda.gridsize(1)):
        # Without weight decay `params` is not read: its NaN is not the gradient's.
        grad = grads[i]
        if weight_decay != 0:
            grad = coupled_grad(params[i], grad, sign, weight_decay)
        if not usable(grad, limit):
            first = min(first, i)
    if first < grads.size:
        cuda.atomic.min(bad, 0, first)


@cuda.jit
def _step(params, grads, square_avg, acc_delta, bad, sign, lr, rho, decay, eps, weight_decay, tiny):
    """Take a step, unless ``bad[0]`` is the index of an element."""
    i = cuda.grid(1)
    if i < params.size <= bad[0]:
        grad = coupled_grad(params[i], grads[i], sign, weight_decay)
        params[i], square_avg[i], acc_delta[i] = adadelta_rule(
            params[i], grad, square_avg[i], acc_delta[i], lr, rho, decay, eps, tiny
        )


@cuda.jit
def _effective_rates(square_avg, acc_delta, eps, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = effective_rate(square_avg[i], acc_delta[i], eps)


class CudaState:
    """The same as `numadelta.cpu.CpuState`, for arrays on a GPU."""

    def __init__(
        self,
        params: Any,
        square_avg: Any | None = None,
        acc_delta: Any | None = None,
        check_values: bool = True,
    ) -> None:
        # A CPU tensor is refused as such, also where there is no GPU.
        interface = device.interface_of("params", params)
        device.require_gpu()
        self.params = device.flat_view("params", interface, writeable=True)
        self.shape = tuple(interface["shape"])
        self.dtype = np.dtype(self.params.dtype)
        self._set_stream(device.stream_handle(params, interface))
        self._gpu = device.number_of_gpu(params)
        if not device.SIMULATED and self._gpu not in (None, cuda.get_current_device().id):
            raise ValueError(
                f"params is on GPU {self._gpu}, but Numba's current one is "
                f"{cuda.get_current_device().id}; call numba.cuda.select_device({self._gpu})"
            )
        # Whoever made the arrays owns their memory: keep them alive as long as the views.
        self._owners = (params, square_avg, acc_delta)
        self._seen_grads: tuple[Any, Any] = (None, None)
        self._bad = cuda.to_device(np.array([NONE]))
        self._unread = False
        self._check_values = check_values
        if check_values and not self._all_at_least(-float(np.finfo(self.dtype).max), self.params):
            arrays.check_finite("params", self._copy(self.params).reshape(self.shape))
        self.square_avg = self._average("square_avg", square_avg)
        self.acc_delta = self._average("acc_delta", acc_delta)
        self._check_no_overlap("square_avg", self.square_avg, ("params",))
        self._check_no_overlap("acc_delta", self.acc_delta, ("params", "square_avg"))
        self.steps = np.zeros(1, np.int64)

    def _set_stream(self, handle: int | None) -> None:
        self._handle, self._stream = handle, device.stream_of(handle)

    def _average(self, name: str, array: Any | None) -> Any:
        if array is None:
            return self._zeros()
        interface = device.interface_of(name, array)
        flat = device.flat_view(name, interface, writeable=True)
        self._check_like(name, array, flat, interface)
        if self._check_values and not self._all_at_least(0.0, flat):
            arrays.check_averages(name, self._copy(flat).reshape(self.shape))
        return flat

    def _zeros(self) -> Any:
        zeros = device.new_array(self.params.size, self.dtype)
        if zeros.size:
            self._launcher(_fill)(zeros, self.dtype.type(0))
            cuda.synchronize()  # the first step may run on another stream
        return zeros

    def _check_like(self, name: str, array: Any, flat: Any, interface: dict[str, Any]) -> None:
        number, shape = device.number_of_gpu(array), tuple(interface["shape"])
        if None not in (number, self._gpu) and number != self._gpu:
            raise ValueError(f"{name} is on GPU {number}, but params is on GPU {self._gpu}")
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
        device.refuse_fork()
        return flat.copy_to_host(stream=self._stream) if flat.size else np.empty(0, self.dtype)

    def _launcher(self, kernel: Any, max_blocks: int = 2**31 - 1) -> Any:
        blocks = max(-(-self.params.size // THREADS_PER_BLOCK), MIN_BLOCKS)
        return kernel[min(blocks, max_blocks), THREADS_PER_BLOCK, self._stream]

    def check_grads(self, grads: Any) -> Any:
        """Return a gradient on the same GPU as a flat array that the kernels may read."""
        device.refuse_fork()
        interface = device.interface_of("grads", grads)
        # The same memory again, as a training loop passes it: all that is checked is in there.
        seen, flat = self._seen_grads
        if interface != seen:
            flat = device.flat_view("grads", interface, writeable=False)
            self._check_like("grads", grads, flat, interface)
            self._check_no_overlap("grads", flat, ("params", "square_avg", "acc_delta"))
            self._seen_grads = (interface, flat)
        handle = device.stream_handle(grads, interface)
        if handle != self._handle:
            self._set_stream(handle)
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
        if grads.size:
            real = self.dtype.type
            info = np.finfo(self.dtype)
            sign, decay = real(-1.0 if maximize else 1.0), real(weight_decay)
            if check:
                limit = real(largest_usable(eps, float(info.max), float(info.tiny)))
                self._search(_find_unusable, self.params, grads, self._bad, limit, sign, decay)
            elif self._unread:
                self._forget()
            self._launcher(_step)(
                self.params,
                grads,
                self.square_avg,
                self.acc_delta,
                self._bad,
                sign,
                real(lr),
                real(rho),
                real(1.0 - rho),
                real(eps),
                decay,
                info.tiny,
            )
        # Counted before the wait, where a Ctrl-C is likely; so it finds a step and its count.
        self.steps[0] += 1
        bad = self._found() if check and grads.size else -1
        if bad >= 0:
            self.steps[0] -= 1
        return bad

    def _search(self, kernel: Any, *arguments: Any) -> None:
        if self._unread:
            self._forget()
        self._unread = True
        self._launcher(kernel, MAX_BLOCKS)(*arguments)

    def _found(self) -> int:
        """Wait for a search; return the index that it found, or -1."""
        try:
            found = int(self._bad.copy_to_host(stream=self._stream)[0])
        except Exception as error:
            raise RuntimeError(
                f"the GPU failed, in this call or in an earlier launch: {error}"
            ) from error
        if found == NONE:
            self._unread = False
            return -1
        self._forget()
        return found

    def _forget(self) -> None:
        """Forget what a search found, or a Ctrl-C kept from being read; else no step is taken."""
        self._bad.copy_to_device(np.array([NONE]), stream=self._stream)
        self._unread = False

    def _all_at_least(self, low: float, flat: Any) -> bool:
        if not flat.size:
            return True
        real = self.dtype.type
        self._search(_find_outside, flat, self._bad, real(low), np.finfo(self.dtype).max)
        return self._found() < 0

    def effective_lr(self, eps: float) -> Any:
        """Return a new Numba device array of the shape of the parameters with eta of each."""
        device.refuse_fork()
        out = device.new_array(self.params.size, self.dtype)
        if out.size:
            self._launcher(_effective_rates)(
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
        device.refuse_fork()
        if self.params.size:
            self.square_avg.copy_to_device(square_avg.reshape(-1), stream=self._stream)
            self.acc_delta.copy_to_device(acc_delta.reshape(-1), stream=self._stream)
        self.steps[0] = steps


def _pointer(flat: Any) -> int:
    return int(device.interface_of("array", flat)["data"][0])
