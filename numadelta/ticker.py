"""A clock that compiled loops can read, so that they come back to Python often enough.

Python answers Ctrl-C, and looks at the time, only between its own instructions.  Compiled loops
therefore return as soon as the clock has gone on, whatever an evaluation costs.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PERIOD = 0.02  # seconds
# Without use for so many periods the thread of the clock sleeps until it is wanted.
_IDLE = 50

_lock = threading.Lock()
_wanted = threading.Event()
_thread: threading.Thread | None = None
_ticks = np.zeros(1, np.int64)
_last_use = 0


def ticks() -> NDArray[Any]:
    """Return an array whose element grows every 20 ms, for at least a second from now.

    It stands still where no thread can be started, as when Python ends.
    """
    global _thread, _last_use
    _last_use = int(_ticks[0])
    if _thread is None:
        with _lock:
            if _thread is None:
                thread = threading.Thread(target=_run, name="numadelta clock", daemon=True)
                with suppress(RuntimeError):
                    thread.start()
                    _thread = thread
    _wanted.set()
    return _ticks


def _run() -> None:
    while True:
        _wanted.wait()
        while _ticks[0] - _last_use < _IDLE:
            time.sleep(_PERIOD)
            _ticks[0] += 1
        _wanted.clear()
        if _ticks[0] - _last_use < _IDLE:  # wanted in between
            _wanted.set()


def _forget_thread() -> None:
    # Threads do not survive a fork, and locks may have been held.
    global _lock, _wanted, _thread
    _lock, _wanted, _thread = threading.Lock(), threading.Event(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_thread)
