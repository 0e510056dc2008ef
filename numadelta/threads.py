"""Run a loop over slices of flat arrays on a few threads.

The compiled loops release the GIL, so plain Python threads run them side by side.  Against
Numba's own ``parallel=True`` this costs latency (waking a thread takes about 75 us, where a
spinning OpenMP team takes 3 us) and buys what a library needs more: the loops stay in the disk
cache, a forked child works, concurrent callers cannot abort the process (both are fatal in
Numba's layers), and no thread spins against those of the BLAS between two steps, which was seen
to slow training down five times.  (Those of `numadelta.tiles` do spin, where no BLAS is used.)
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import starmap
from queue import SimpleQueue
from typing import Any

from numba import config

from numadelta import arrays

# Below this size of the parameters one thread is faster, for either dtype; the asv benchmark
# `step.Threads` shows the crossing.
MIN_BYTES = 5_000_000

# Elements a thread takes at a time.  A multiple of every vector and cache-line length, and small
# enough that a thread that wakes late leaves its share to the others.
SLICE = 262_144


def _max_threads() -> int:
    return int(getattr(config, "NUMBA_NUM_THREADS"))  # noqa: B009 (Numba sets it at run time)


_num_threads = _max_threads()


def get_num_threads() -> int:
    """Return how many threads a large step, a narrow network and `minimize_batch` use.

    The default is Numba's: the environment variable ``NUMBA_NUM_THREADS``, else the number of
    usable cores.

    Examples
    --------
    >>> import numadelta as nd
    >>> nd.get_num_threads() >= 1
    True
    """
    return _num_threads


def set_num_threads(n: int) -> None:
    """Set how many threads steps, networks and `minimize_batch` use; results do not depend on it.

    These are large steps, and networks so narrow that their matrix products are not the BLAS's,
    which has threads of its own.

    Parameters
    ----------
    n : int
        From 1 to the number of usable cores (or ``NUMBA_NUM_THREADS``, if that is set).

    Raises
    ------
    TypeError, ValueError
        If `n` is not an integer or out of this range.

    Examples
    --------
    >>> import numadelta as nd
    >>> nd.set_num_threads(1)
    >>> nd.get_num_threads()
    1
    """
    global _num_threads
    n, limit = arrays.check_integer("n", n), _max_threads()
    if not 1 <= n <= limit:
        raise ValueError(
            f"n is {n}, but must be from 1 to {limit} (the environment variable "
            "NUMBA_NUM_THREADS, read when Numba is imported, raises the limit)"
        )
    _num_threads = n


def use_threads(nbytes: int) -> bool:
    """Tell whether parameters of so many bytes are worth more than one thread."""
    return nbytes >= MIN_BYTES and _num_threads > 1


def slices(size: int) -> list[slice]:
    """Return slices that cover ``range(size)``."""
    return [slice(start, min(start + SLICE, size)) for start in range(0, size, SLICE)]


def run(kernel: Callable[..., Any], tasks: list[tuple[Any, ...]]) -> list[Any]:
    """Call a compiled loop with the arguments in each of `tasks`; return the results, unordered.

    The calling thread takes part, so that it need not wait until others have woken up, and whoever
    is free takes the next task.  Once a first task has begun, all are done before this returns or
    raises, whatever a signal handler does: Python runs signal handlers between its own
    instructions, never within a call written in C, and a thread's share is one such call.  That
    takes a kernel that is compiled already, for the compiler is written in Python.
    """
    helpers = _ready_workers(min(_num_threads, len(tasks)) - 1)
    left: deque[tuple[Any, ...] | None] = deque(tasks)
    left.extend([None] * (helpers + 1))
    results: list[Any] = []
    # Draining one of these does a thread's share; draining it again after an error does the rest.
    shares = [
        map(results.append, starmap(kernel, iter(left.popleft, None))) for _ in range(helpers + 1)
    ]
    own_share = shares.pop()
    ended: list[bool] = []
    errors: list[BaseException] = []
    wake_up: SimpleQueue[None] = SimpleQueue()

    def help_out() -> None:
        try:
            any(shares.pop())
        except BaseException as error:
            errors.append(error)
        ended.append(True)
        wake_up.put(None)

    def unfinished() -> bool:
        return len(results) < len(tasks) and len(ended) < helpers

    hand_over = map(_tasks.put, [help_out] * helpers)
    waiting = True
    while waiting:
        try:
            any(hand_over)
            any(own_share)
            while unfinished():
                wake_up.get()
            waiting = False
        except BaseException as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return results


def ask(function: Callable[[], Any]) -> None:
    """Have another thread call this when it is free, if there can be another."""
    if _ready_workers(_num_threads - 1):
        _tasks.put(function)


_lock = threading.Lock()
_tasks: SimpleQueue[Callable[[], Any]] = SimpleQueue()
_workers: list[threading.Thread] = []


def _ready_workers(count: int) -> int:
    """Start the worker threads that are missing; return how many of `count` there are."""
    # None can be started where there are too many, or when Python ends.
    with _lock, suppress(RuntimeError):
        while len(_workers) < count:
            worker = threading.Thread(target=_serve, args=(_tasks,), name="numadelta", daemon=True)
            worker.start()
            _workers.append(worker)
    return max(0, min(count, len(_workers)))


def _serve(tasks: SimpleQueue[Callable[[], Any]]) -> None:
    while True:
        tasks.get()()  # in no variable, which would keep the arrays of the last task alive


def _forget_workers() -> None:
    # Threads do not survive a fork, and the lock may have been held.
    global _lock, _tasks
    _lock, _tasks = threading.Lock(), SimpleQueue()
    _workers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_workers)
