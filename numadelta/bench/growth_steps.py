"""Worker: how the time of a step grows, that of the optimiser and that of a network's training."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import numadelta as nd
from numadelta import jit, team, threads
from numadelta.backprop import parameter_count
from numadelta.bench import worker
from numadelta.bench.growth_points import (
    Curve,
    cache_marks,
    chosen,
    crossing,
    decades,
    end_of_fixed_cost,
    mark,
    measured,
    median_of,
    seconds_of,
    thread_counts,
    threads_label,
)
from numadelta.bench.limit_products import Products
from numadelta.bench.problems import Net

SIZES = decades(2, 8)
WIDTHS = [20, 30, 45, 65, 100, 150, 220, 320, 480, 700, 1000, 1500, 2200]
BATCH, CLASSES = 128, 10
WORK = 20_000  # width times steps of an epoch: enough for its end not to count
OPENBLAS_SHARE = 4 * 65_536  # multiplications for a thread, at least (OpenBLAS, interface/gemm.c)


def step(quick: bool) -> dict[str, Any]:
    """Step arrays of both dtypes, beside a loop with the same reads and writes."""
    counts = thread_counts()
    steps = [
        Curve(f"{dtype}, {threads_label(count)}", partial(_step_seconds, dtype, count, quick))
        for dtype in ("float32", "float64")
        for count in counts
    ]
    loops = [
        Curve(f"plain loop, {threads_label(count)}", partial(_loop_seconds, count, quick), True)
        for count in counts
    ]
    curves = measured(chosen(SIZES, quick), steps + loops)
    return {
        "title": "a step of n elements; plain loop: only its reads and writes, in float32",
        "time": "time of a step",
        "each": "element",
        "unit": "ns",
        "curves": curves,
        "marks": [
            *end_of_fixed_cost(curves[0], "the call takes half"),
            *_threads_mark(),
            *cache_marks(4 * 4, "float32 arrays", (2, 3)),
            # Within L3 the arithmetic of float64 takes longer than its reads and writes.
            *cache_marks(4 * 8, "float64 arrays", (3,)),
        ],
    }


def _threads_mark(whose: str = "") -> list[dict[str, Any]]:
    if max(thread_counts()) == 1:
        return []
    return [mark(threads.MIN_BYTES // 4, f"{whose}threads begin (float32)")]


def _state(size: int, dtype: str) -> list[NDArray[Any]]:
    """Return parameters, gradient and averages: no zeros, which have no memory until written."""
    return [np.full(size, value, dtype) for value in (1.0, 0.5, 0.25, 1e-4)]


def _step_seconds(dtype: str, count: int, quick: bool, size: int) -> float:
    nd.set_num_threads(count)
    params, grads, square_avg, acc_delta = _state(size, dtype)
    opt = nd.Adadelta(params, square_avg=square_avg, acc_delta=acc_delta)
    return seconds_of(lambda: opt.step(grads), quick)


@jit.loop
def _add(x, g, v, u):
    for i in range(x.size):
        x[i] += g[i]
        v[i] += g[i]
        u[i] += g[i]


def _loop_seconds(count: int, quick: bool, size: int) -> float:
    """Time the loop on the threads that a step takes."""
    nd.set_num_threads(count)
    arrays = _state(size, "float32")
    if not threads.use_threads(arrays[0].nbytes):
        return seconds_of(lambda: _add(*arrays), quick)
    _add(*_state(0, "float32"))  # compiles
    tasks = [tuple(array[part] for array in arrays) for part in threads.slices(size)]
    return seconds_of(lambda: threads.run(_add, tasks), quick)


def mlp(quick: bool) -> dict[str, Any]:
    """Train square networks, beside the products of their matrices and the optimiser's step."""
    nets = [_net(width) for width in chosen(WIDTHS, quick)]
    sized = {parameter_count(net.sizes): net for net in nets}
    curves = [
        Curve("training step", lambda n: _training_seconds(quick, sized[n])),
        Curve("optimiser alone", partial(_step_seconds, "float32", thread_counts()[0], quick)),
        Curve("matrix products alone", lambda n: _products_seconds(quick, sized[n]), limit=True),
    ]
    training, optimiser, products = measured(list(sized), curves)
    shares = np.divide(products["seconds"], training["seconds"]).tolist()
    return {
        "title": f"a training step of a w-w-w-{CLASSES} network of n parameters, batch {BATCH}",
        "time": "time of a step",
        "each": "parameter",
        "unit": "ns",
        "curves": [training, optimiser, products],
        "marks": [
            *crossing(list(sized), shares, 0.5, "products take half"),
            *_blas_mark(),
            *_team_marks(),
            *_threads_mark("optimiser's "),
            *cache_marks(4 * 4, "optimiser's arrays", (3,)),
        ],
    }


def _net(width: int) -> Net:
    rows = BATCH * max(10, WORK // width)
    return Net((width, width, width, CLASSES), BATCH, rows, rows)


def _blas_mark() -> list[dict[str, Any]]:
    """Return a mark where OpenBLAS begins to use threads, if NumPy has it."""
    blas = np.show_config("dicts")["Build Dependencies"].get("blas", {})
    if "openblas" not in blas.get("name", "") or max(thread_counts()) == 1:
        return []
    width = math.isqrt(2 * OPENBLAS_SHARE // BATCH)
    return [mark(parameter_count(_net(width).sizes), "BLAS threads begin")]


def _team_marks() -> list[dict[str, Any]]:
    """Return marks where products by tiles begin and end, if there are any."""
    if not team.has_registers():
        return []
    return [mark(team.FEWEST // BATCH, "tiles begin"), mark(team.MOST, "BLAS again")]


def _training_seconds(quick: bool, net: Net) -> float:
    samples, _ = net.data(quick)
    # Labels by chance: what can be learnt has no gradients after a while.
    labels = np.random.default_rng(0).integers(CLASSES, size=len(samples))
    model = nd.MLP(net.sizes)

    def sample() -> float:
        history = model.fit(samples, labels, epochs=1, batch_size=net.batch, verbose=0)
        return history["seconds"][0]

    return median_of(sample, quick) / net.batches(quick)


def _products_seconds(quick: bool, net: Net) -> float:
    products = Products(net, net.batch)
    batch = np.random.default_rng(0).random((net.batch, net.sizes[0]), np.float32)
    return seconds_of(lambda: products.multiply(batch, batch.T), quick)


TASKS: dict[str, worker.Task] = {"step": step, "mlp": mlp}

if __name__ == "__main__":
    worker.main(TASKS, lambda: f"numadelta {nd.__version__}")
