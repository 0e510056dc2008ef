"""ADADELTA with one E[dx^2] for many elements: its loops and its state.

The paper's second idea is that a step should have the units of the parameters.  For that, RMS[dx]
need not be an element's own, for the parameters of a layer have one unit.  A group's mean in its
place halves the state, and an element whose gradients are rare does not become slow for having
moved rarely.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise, repeat
from operator import setitem
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numadelta import arrays, kernels, threads
from numadelta.cpu import CpuState
from numadelta.jit import loop
from numadelta.kernels import adadelta_rule, coupled_grad, first_unusable

# So many sums side by side, in the dtype of the parameters: in a single one each addition would
# wait for the last, and sums in float64 take twice the time of a float32 step.
LANES = 256


@loop
def step(params, grads, square_avg, acc_delta, sums, lr, rho, eps, weight_decay, maximize):
    """Do as `kernels.step` with a number for acc_delta; return the sum of what it would become.

    `sums` are LANES numbers for its use.
    """
    real = params.dtype.type
    sign = real(-1.0) if maximize else real(1.0)
    decay = real(1.0 - rho)
    tiny = np.finfo(params.dtype).tiny
    lr, rho, eps, weight_decay = real(lr), real(rho), real(eps), real(weight_decay)
    # Two loops, for only one of a known length is vectorised: the other takes ten times as long.
    used = min(LANES, params.size)
    sums[:used] = real(0)
    whole = params.size - params.size % LANES
    for start in range(0, whole, LANES):
        param, grad = params[start : start + LANES], grads[start : start + LANES]
        square = square_avg[start : start + LANES]
        for i in range(LANES):
            coupled = coupled_grad(param[i], grad[i], sign, weight_decay)
            param[i], square[i], new = adadelta_rule(
                param[i], coupled, square[i], acc_delta, lr, rho, decay, eps, tiny
            )
            sums[i] += new
    for i in range(whole, params.size):
        coupled = coupled_grad(params[i], grads[i], sign, weight_decay)
        params[i], square_avg[i], new = adadelta_rule(
            params[i], coupled, square_avg[i], acc_delta, lr, rho, decay, eps, tiny
        )
        sums[i - whole] += new
    total = 0.0
    for i in range(used):
        total += np.float64(sums[i])
    return total


@loop
def checked_steps(
    params,
    grads,
    square_avg,
    acc_delta,
    shares,
    parts,
    first,
    last,
    steps,
    check,
    lr,
    rho,
    eps,
    weight_decay,
    maximize,
):
    """Step on some of the parts, and count the step with the first; else as `checked_step`.

    A row of `parts` is start and stop of a part, its group and the size of that; `shares` takes
    what it adds to the mean of the group.  `check` is for calls with all parts.
    """
    bad = first_unusable(params, grads, eps, weight_decay, maximize) if check else -1
    if bad < 0:
        sums = np.empty(LANES, params.dtype)
        for k in range(first, last):
            start, stop, group, size = parts[k, 0], parts[k, 1], parts[k, 2], parts[k, 3]
            total = step(
                params[start:stop],
                grads[start:stop],
                square_avg[start:stop],
                acc_delta[group],
                sums,
                lr,
                rho,
                eps,
                weight_decay,
                maximize,
            )
            shares[k] = total / max(size, 1)
        if first == 0:
            steps[0] += 1
    return bad


class SharedState(CpuState):
    """A state whose E[dx^2] is one number for each group of neighbouring elements.

    A step can end in several threads at once and be interrupted before anything that follows it, so
    E[dx^2] is not written down after it.  Each part leaves its share in one of two rows, in turns;
    the count of the steps says which row holds, and `acc_delta` is the sum over it.
    """

    def __init__(self, params: Any, sizes: Any, square_avg: Any, check_values: bool) -> None:
        self._sizes = sizes
        super().__init__(params, square_avg, None, check_values)

    def _set_averages(self, square_avg: Any, acc_delta: None) -> None:
        self.square_avg = self._average("square_avg", square_avg)
        arrays.check_no_overlap("params", self.params, square_avg=self.square_avg)
        self.sizes = check_sizes(self._sizes, self.params.size)
        sizes, width = np.array(self.sizes), threads.SLICE
        # Groups are cut as for several threads in any case, so that the sums have the same bits.
        counts = np.maximum(-(-sizes // width), 1)
        self._first_parts = np.cumsum(counts) - counts
        groups = np.repeat(np.arange(len(sizes)), counts)
        ends = np.cumsum(sizes)[groups]
        within = np.arange(len(groups)) - self._first_parts[groups]
        starts = ends - sizes[groups] + width * within
        self._parts = np.stack([starts, np.minimum(starts + width, ends), groups, sizes[groups]], 1)
        self._shares = np.zeros((2, len(groups)))
        # A thread takes so many parts at a time that they are a slice or more.
        self._edges = np.unique(np.searchsorted(starts, np.arange(0, self.params.size, width)))

    @property
    def acc_delta(self) -> NDArray[Any]:  # type: ignore[override]
        """E[dx^2] of each group, a new array."""
        shares = self._shares[self.steps[0] % 2]
        return np.add.reduceat(shares, self._first_parts).astype(self.dtype)

    def step(self, grads: NDArray[Any], check: bool, *hyperparameters: Any) -> int:
        """Do as `CpuState.step`."""
        after = self._shares[(self.steps[0] + 1) % 2]
        state = (self.params, grads, self.square_avg, self.acc_delta, after, self._parts)
        count = len(self._parts)
        if not threads.use_threads(grads.nbytes):
            return checked_steps(*state, 0, count, self.steps, check, *hyperparameters)
        bad = self._first_unusable(grads, *hyperparameters[2:]) if check else -1
        if bad < 0:
            checked_steps(*state, 1, 1, self.steps, False, *hyperparameters)  # compiles, if need be
            threads.run(
                checked_steps,
                [
                    (*state, first, last, self.steps, False, *hyperparameters)
                    for first, last in pairwise([*self._edges.tolist(), count])
                ],
            )
        return bad

    def effective_lr(self, eps: float) -> NDArray[Any]:
        """Do as `CpuState.effective_lr`."""
        out = np.repeat(self.acc_delta, self.sizes)
        kernels.effective_rates(self.square_avg, out, eps, out)
        return out.reshape(self.shape)

    def to_host(self) -> dict[str, NDArray[Any]]:
        """Return copies of E[g^2] and of the E[dx^2] of each group."""
        square_avg = self.square_avg.reshape(self.shape).copy()
        return {"square_avg": square_avg, "acc_delta": self.acc_delta}

    def load(self, square_avg: NDArray[Any], acc_delta: NDArray[Any], steps: int) -> None:
        """Do as `CpuState.load`, with an E[dx^2] for each group."""
        shares = np.zeros_like(self._shares)
        shares[:, self._first_parts] = acc_delta
        places: Any = self.square_avg, self._shares, self.steps
        found = square_avg.reshape(-1), shares, steps
        any(map(setitem, places, repeat(slice(None)), found))  # as there


def check_sizes(sizes: Any, total: int) -> tuple[int, ...]:
    """Return the sizes of the groups, which are all elements if `sizes` is True."""
    if isinstance(sizes, (bool, np.bool_)):
        return (total,)
    if isinstance(sizes, str) or not isinstance(sizes, Iterable):
        raise TypeError(f"shared_delta must be True, False or sizes of groups, but is {sizes!r}")
    checked = tuple(arrays.check_integer("a size in shared_delta", size) for size in sizes)
    # Of no elements at all there is one group.
    if not checked or min(checked) < min(total, 1) or sum(checked) != total:
        raise ValueError(
            f"shared_delta must hold positive sizes that add up to the {total} elements of params, "
            f"but is {sizes!r}"
        )
    return checked
