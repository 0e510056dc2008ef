"""SIGTERM as an exception, so that a training ends as it does after Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Terminated(KeyboardInterrupt):
    """The process was asked to end (SIGTERM)."""


@contextmanager
def termination_interrupts() -> Iterator[None]:
    """Raise `Terminated` on SIGTERM, where its handler is the default one."""

    def interrupt(signum: int, frame: Any) -> None:
        raise Terminated

    handled = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    try:
        if handled:
            signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not in the main thread
        handled = False
    try:
        yield
    finally:
        if handled:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
