"""ADADELTA's state in NumPy arrays, and the step on it: one thread or several."""

from __future__ import annotations

import weakref
from itertools import repeat
from operator import setitem
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numadelta import arrays, kernels, threads


class CpuState:
    """Parameters, their running averages and the number of steps taken.

    All arrays are checked here, so that `step` may call unchecked kernels.
    `numadelta.cuda.CudaState` is the same for arrays on a GPU.
    """

    def __init__(
        self,
        params: Any,
        square_avg: Any | None = None,
        acc_delta: Any | None = None,
        check_values: bool = True,
    ) -> None:
        self.params = arrays.flat_in_place("params", params)
        self._check_values = check_values
        if check_values:
            arrays.check_finite("params", self.params.reshape(params.shape))
        self.shape = params.shape
        self.dtype = self.params.dtype
        self.steps = np.zeros(1, np.int64)
        self._set_averages(square_avg, acc_delta)
        self._seen_grads: Any = lambda: None

    def _set_averages(self, square_avg: Any | None, acc_delta: Any | None) -> None:
        self.square_avg = self._average("square_avg", square_avg)
        self.acc_delta = self._average("acc_delta", acc_delta)
        averages = {"square_avg": self.square_avg, "acc_delta": self.acc_delta}
        arrays.check_no_overlap("params", self.params, **averages)
        arrays.check_no_overlap("square_avg", self.square_avg, acc_delta=self.acc_delta)

    def _average(self, name: str, array: Any | None) -> NDArray[Any]:
        if array is None:
            return np.zeros_like(self.params)
        flat = arrays.flat_in_place(name, array)
        arrays.check_like(name, array, self.params.reshape(self.shape))
        if self._check_values:
            arrays.check_averages(name, array)
        return flat

    def check_grads(self, grads: Any) -> NDArray[Any]:
        """Return a gradient as a flat array that the kernels may read."""
        # The same array again, as a training loop passes it, costs four look-ups.  carray means
        # C-contiguous, aligned and writeable.  None is what is left of an array that is gone.
        seen = self._seen_grads()
        if (
            seen is not None
            and seen is grads
            and seen.dtype is self.dtype
            and seen.shape == self.shape
            and seen.flags.carray
        ):
            return seen if seen.ndim == 1 else seen.reshape(-1)
        flat = arrays.flat_grads(grads, self.params.reshape(self.shape))
        arrays.check_no_overlap(
            "grads",
            flat,
            params=self.params,
            square_avg=self.square_avg,
            acc_delta=self.acc_delta,
        )
        if type(grads) is np.ndarray:
            self._seen_grads = weakref.ref(grads)
        return flat

    def step(self, grads: NDArray[Any], check: bool, *hyperparameters: Any) -> int:
        """Take a step and return -1, or return the index of a gradient that `check` refuses.

        `grads` comes from `check_grads`; `hyperparameters` are those of `kernels.step`.
        """
        arrays_of_step = (self.params, grads, self.square_avg, self.acc_delta)
        if not threads.use_threads(grads.nbytes):
            return kernels.checked_step(*arrays_of_step, self.steps, check, *hyperparameters)
        bad = self._first_unusable(grads, *hyperparameters[2:]) if check else -1
        if bad < 0:

            def task(part: slice, steps: NDArray[np.int64]) -> tuple[Any, ...]:
                parts = (array[part] for array in arrays_of_step)
                return (*parts, steps, False, *hyperparameters)

            uncounted = np.zeros(1, np.int64)
            kernels.checked_step(*task(slice(0, 0), uncounted))  # compiles, if need be
            first, *others = threads.slices(grads.size)
            tasks = [task(first, self.steps), *(task(part, uncounted) for part in others)]
            threads.run(kernels.checked_step, tasks)
        return bad

    def _first_unusable(self, grads: NDArray[Any], *hyperparameters: Any) -> int:
        def search(parts: list[slice]) -> list[tuple[Any, ...]]:
            return [(self.params[part], grads[part], *hyperparameters) for part in parts]

        # Which slice is not known, for results come unordered: almost always there is none.
        found = threads.run(kernels.first_unusable, search(threads.slices(grads.size)))
        return -1 if max(found) < 0 else int(kernels.first_unusable(*search([slice(None)])[0]))

    def is_one_call(self) -> bool:
        """Tell whether a step is one call, so that no signal handler can run in its middle."""
        return not threads.use_threads(self.square_avg.nbytes)

    def effective_lr(self, eps: float) -> NDArray[Any]:
        """Return a new array of the shape of the parameters with eta of each element."""
        out = np.empty_like(self.params)
        kernels.effective_rates(self.square_avg, self.acc_delta, eps, out)
        return out.reshape(self.shape)

    def to_host(self) -> dict[str, NDArray[Any]]:
        """Return copies of the running averages."""
        return {
            name: getattr(self, name).reshape(self.shape).copy()
            for name in ("square_avg", "acc_delta")
        }

    def load(self, square_avg: NDArray[Any], acc_delta: NDArray[Any], steps: int) -> None:
        """Overwrite averages and count with checked NumPy arrays of the right shape and dtype."""
        places: Any = self.square_avg, self.acc_delta, self.steps
        found = square_avg.reshape(-1), acc_delta.reshape(-1), steps
        # One call written in C, in whose middle no signal handler runs, as in `threads.run`.
        any(map(setitem, places, repeat(slice(None)), found))
