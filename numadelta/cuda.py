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
        # Without weight decay `params` need not be read.
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
    """The same as `numadelta.cpu.CpuState`, for arrays on a GPU.

    `step` runs on the stream on which its gradient is ready.  Everything else is rare, and waits
    for the whole GPU instead: another stream may be gone, and nobody else knows of ours.
    """

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
        self.params = device.flat_view("params", interface, writeable=True, owner=params)
        self.shape = tuple(interface["shape"])
        self.dtype = np.dtype(self.params.dtype)
        self._gpu = device.number_of_gpu(params)
        self._may_be_elsewhere = self._gpu is not None and device.count_gpus() > 1
        self._check_current_gpu()
        self._handle: int | None = None
        self._stream = device.stream_of(None)
        self._seen_grads: tuple[Any, Any] = (None, None)
        cuda.synchronize()
        # The index of the first bad element, or NONE; whether it must be put back to that before
        # the next search, and whether a step that depends on it has not been waited for.
        self._bad = cuda.to_device(np.array([NONE]))
        self._spent = self._unsettled = False
        self._check_values = check_values
        if check_values and not self._all_at_least(-float(np.finfo(self.dtype).max), self.params):
            arrays.check_finite("params", self._copy(self.params).reshape(self.shape))
        self.square_avg = self._average("square_avg", square_avg)
        self.acc_delta = self._average("acc_delta", acc_delta)
        self._check_no_overlap("square_avg", self.square_avg, ("params",))
        self._check_no_overlap("acc_delta", self.acc_delta, ("params", "square_avg"))
        self.steps = np.zeros(1, np.int64)
        cuda.synchronize()

    def _check_current_gpu(self) -> None:
        """Refuse to launch kernels on another GPU than that of the arrays."""
        if self._may_be_elsewhere and (current := cuda.get_current_device().id) != self._gpu:
            raise ValueError(
                f"params is on GPU {self._gpu}, but Numba's current one is {current}; "
                f"call numba.cuda.select_device({self._gpu})"
            )

    def _average(self, name: str, array: Any | None) -> Any:
        if array is None:
            zeros = device.new_array(self.params.size, self.dtype)
            if zeros.size:
                self._launcher(_fill)(zeros, self.dtype.type(0))
            return zeros
        interface = device.interface_of(name, array)
        flat = device.flat_view(name, interface, writeable=True, owner=array)
        self._check_like(name, array, flat, interface)
        if self._check_values and not self._all_at_least(0.0, flat):
            arrays.check_averages(name, self._copy(flat).reshape(self.shape))
        return flat

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

    def _launcher(self, kernel: Any, max_blocks: int = 2**31 - 1, stream: Any = 0) -> Any:
        blocks = max(-(-self.params.size // THREADS_PER_BLOCK), MIN_BLOCKS)
        return kernel[min(blocks, max_blocks), THREADS_PER_BLOCK, stream]

    def check_grads(self, grads: Any) -> Any:
        """Return a gradient on the same GPU as a flat array that the kernels may read."""
        device.refuse_fork()
        self._check_current_gpu()
        interface = device.interface_of("grads", grads)
        # The same memory again, as a training loop passes it: all that is checked is in there.
        seen, flat = self._seen_grads
        if interface != seen:
            flat = device.flat_view("grads", interface, writeable=False)  # not kept alive
            self._check_like("grads", grads, flat, interface)
            self._check_no_overlap("grads", flat, ("params", "square_avg", "acc_delta"))
            self._seen_grads = (interface, flat)
        handle = device.stream_handle(grads, interface)
        if handle != self._handle:
            self._handle, self._stream = handle, device.stream_of(handle)
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
        self._put_back()
        size, stream, real, info = grads.size, self._stream, self.dtype.type, np.finfo(self.dtype)
        sign, decay = real(-1.0 if maximize else 1.0), real(weight_decay)
        check = check and size > 0
        if check:
            self._spent = self._unsettled = True
            limit = real(largest_usable(eps, float(info.max), float(info.tiny)))
            search = self._launcher(_find_unusable, MAX_BLOCKS, stream)
            search(self.params, grads, self._bad, limit, sign, decay)
        if size:
            self._launcher(_step, stream=stream)(
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
        if not check:
            self.steps[0] += 1
            return -1
        try:
            return self._settle(stream)
        except KeyboardInterrupt:
            if self._unsettled:  # the wait was cut short, not what the GPU does
                self._settle(stream)
            raise

    def _settle(self, stream: Any) -> int:
        """Wait until it is known whether a step was taken, and count it; or return why not."""
        found = self._found(stream)
        # No call between these, where a signal could interrupt.
        self.steps[0] += found == NONE
        self._spent = found != NONE
        self._unsettled = False
        return -1 if found == NONE else found

    def _found(self, stream: Any = 0) -> int:
        """Wait for a search; return the index that it found, or NONE."""
        try:
            found = self._bad.copy_to_host(stream=stream)
            if stream:
                stream.synchronize()
        except Exception as error:
            raise RuntimeError(
                f"the GPU failed, in this call or in an earlier launch: {error}"
            ) from error
        return int(found[0])

    def _put_back(self) -> None:
        """Forget what an earlier search found, or no step would ever be taken again."""
        if self._spent:
            cuda.synchronize()
            self._bad.copy_to_device(np.array([NONE]))
            cuda.synchronize()
            self._spent = self._unsettled = False

    def _all_at_least(self, low: float, flat: Any) -> bool:
        self._put_back()
        if not flat.size:
            return True
        self._spent = True
        search = self._launcher(_find_outside, MAX_BLOCKS)
        search(flat, self._bad, self.dtype.type(low), np.finfo(self.dtype).max)
        found = self._found()
        self._spent = found != NONE
        return found == NONE

    def is_one_call(self) -> bool:
        """Tell whether a step is one call, so that no signal handler can run in its middle."""
        return False

    def effective_lr(self, eps: float) -> Any:
        """Return a new Numba device array of the shape of the parameters with eta of each."""
        device.refuse_fork()
        out = device.new_array(self.params.size, self.dtype)
        if out.size:
            cuda.synchronize()
            launch = self._launcher(_effective_rates)
            launch(self.square_avg, self.acc_delta, self.dtype.type(eps), out)
            cuda.synchronize()
        return out.reshape(self.shape)

    def to_host(self) -> dict[str, NDArray[Any]]:
        """Return NumPy copies of the running averages."""
        return {
            name: self._copy(getattr(self, name)).reshape(self.shape)
            for name in ("square_avg", "acc_delta")
        }

    def _copy(self, flat: Any) -> NDArray[Any]:
        device.refuse_fork()
        cuda.synchronize()
        return flat.copy_to_host() if flat.size else np.empty(0, self.dtype)

    def load(self, square_avg: NDArray[Any], acc_delta: NDArray[Any], steps: int) -> None:
        """Overwrite averages and count with checked NumPy arrays of the right shape and dtype."""
        device.refuse_fork()
        if self.params.size:
            cuda.synchronize()
            self.square_avg.copy_to_device(square_avg.reshape(-1))
            self.acc_delta.copy_to_device(acc_delta.reshape(-1))
            cuda.synchronize()
        self.steps[0] = steps


def _pointer(flat: Any) -> int:
    return int(device.interface_of("array", flat)["data"][0])
