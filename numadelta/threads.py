"""Run a loop over slices of flat arrays on a few threads.

The compiled loops release the GIL, so plain Python threads run them side by side.  Against
Numba's own ``parallel=True`` this costs latency (waking a thread takes about 75 us, where a
spinning OpenMP team takes 3 us) and buys what a library needs more: the loops stay in the disk
cache, a forked child works, concurrent callers cannot abort the process (both are fatal in
Numba's layers), and no thread spins against those of the BLAS between two steps, which was seen
to slow training down five times.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from numba import config

# Below this size one thread is faster: the asv benchmark `step.Threads` shows the crossing.
MIN_SIZE = 400_000

# Elements a thread takes at a time.  A multiple of every vector and cache-line length, and small
# enough that a thread that wakes late leaves its share to the others.
SLICE = 131_072


def _max_threads() -> int:
    return int(getattr(config, "NUMBA_NUM_THREADS"))  # noqa: B009 (Numba sets it at run time)


_num_threads = _max_threads()


def get_num_threads() -> int:
    """Return how many threads a large step uses.

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
    """Set how many threads a large step uses; results do not depend on it.

    Parameters
    ----------
    n : int
        From 1 to the number of usable cores (or ``NUMBA_NUM_THREADS``, if that is set).

    Raises
    ------
    ValueError
        If `n` is out of this range.

    Examples
    --------
    >>> import numadelta as nd
    >>> nd.set_num_threads(1)
    >>> nd.get_num_threads()
    1
    """
    global _num_threads
    limit = _max_threads()
    if not isinstance(n, int) or isinstance(n, bool):
        raise TypeError(f"n must be an int, but is {n!r}")
    if not 1 <= n <= limit:
        raise ValueError(
            f"n is {n}, but must be from 1 to {limit} (the environment variable "
            "NUMBA_NUM_THREADS, read when Numba is imported, raises the limit)"
        )
    _num_threads = n


def use_threads(size: int) -> bool:
    """Tell whether arrays of `size` elements are worth more than one thread."""
    return size >= MIN_SIZE and _num_threads > 1


def on_slices(work: Callable[[slice], Any], size: int) -> list[Any]:
    """Call `work` with slices that cover ``range(size)`` and return what it returned, unordered.

    Only pool threads run slices, never the caller: Ctrl-C strikes the main thread alone, so what
    has been handed over runs to its end, and the caller returns after that.
    """
    starts = deque(range(0, size, SLICE))
    count = len(starts)
    results: list[Any] = []
    errors: list[BaseException] = []
    ended: list[bool] = []
    wake_up: SimpleQueue[None] = SimpleQueue()

    def run() -> None:
        while True:
            try:
                start = starts.popleft()
            except IndexError:
                return
            try:
                results.append(work(slice(start, min(start + SLICE, size))))
            except BaseException as error:
                errors.append(error)
            if len(results) + len(errors) == count:
                ended.append(True)
                wake_up.put(None)

    # CPython raises KeyboardInterrupt after a call, never within one written in C, so it cannot
    # strike between two of these hand-overs.  The classes of `threading` and
    # `concurrent.futures` are written in Python: interrupted there, they may keep a lock for ever.
    hand_over = map(_tasks_of_workers().put, [run] * min(_num_threads, count))
    interrupt: BaseException | None = None
    while not ended and count:
        try:
            any(hand_over)
            wake_up.get()
        except BaseException as error:  # of any signal handler
            interrupt = interrupt or error
    if interrupt is not None:
        raise interrupt
    if errors:
        raise errors[0]
    return results


_lock = threading.Lock()
_tasks: SimpleQueue[Callable[[], Any]] = SimpleQueue()
_workers: list[threading.Thread] = []


def _tasks_of_workers() -> SimpleQueue[Callable[[], Any]]:
    """Return the queue that the worker threads serve, after starting them if need be."""
    with _lock:
        while len(_workers) < _num_threads:
            worker = threading.Thread(target=_serve, args=(_tasks,), name="numadelta", daemon=True)
            worker.start()
            _workers.append(worker)
    return _tasks


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
