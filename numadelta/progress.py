"""The progress of a training, for a terminal, a notebook or a log file."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from numbers import Real
from typing import Any

import numpy as np

LINE = ("loss", "score", "val_loss", "val_score", "scoring", "seconds")
# A terminal is 80 wide.
BAR = ("loss", "val_loss", "val_score", "scoring")
BAR_WITHOUT_VALIDATION = ("loss", "score")
FORMAT = "{desc}{percentage:4.0f}%|{bar}| {elapsed}<{remaining}{postfix}"


def check_verbose(verbose: object, levels: tuple[int, ...]) -> None:
    """Refuse what is no level of `verbose`."""
    if not isinstance(verbose, (int, np.integer, np.bool_)) or verbose not in levels:
        *others, last = levels
        texts = ", ".join(map(str, others))
        raise ValueError(f"verbose must be {texts} or {last}, but is {verbose!r}")


def make(verbose: int, epochs: int, batches: int, done: int = 0) -> Progress:
    """Return the progress of a level of `verbose`, with some batches done."""
    if verbose == 0:
        return Progress()
    tqdm = bar_maker() if verbose == 1 else None
    if tqdm is None:
        return _Lines(epochs)
    bar = tqdm(total=epochs * batches, initial=done, unit="batch", bar_format=FORMAT)
    return _Bar(bar, epochs)


def bar_maker() -> Any:
    """Return tqdm's bar, or None where none can be shown."""
    # A notebook is no terminal, but tqdm.auto knows how to draw in it.
    if has_terminal() or "ipykernel" in sys.modules:
        with suppress(ImportError):
            return import_tqdm()
    return None


def has_terminal() -> bool:
    """Tell whether stderr is a terminal; it may be None, as in pythonw, or closed."""
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):
        return False


def import_tqdm() -> Any:
    """Return tqdm's bar for where we are."""
    with warnings.catch_warnings():
        # Without ipywidgets, a bar of characters will do.
        warnings.filterwarnings("ignore", "IProgress not found")
        from tqdm.auto import tqdm

        return tqdm


class Progress:
    """The progress of a training, which nobody sees; `_Lines` and `_Bar` show it."""

    advance: Callable[[], Any] | None = None
    """Counts a batch, where batches are shown."""

    def end_epoch(self, epoch: int, logs: dict[str, Any]) -> None:
        """Show the figures of an epoch."""

    def note(self, text: str) -> None:
        """Show a message."""

    def close(self, on_purpose: bool = False) -> None:
        """End the show, `on_purpose` if a callback has stopped the training."""


class _Lines(Progress):
    """One line an epoch, for log files."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def end_epoch(self, epoch: int, logs: dict[str, Any]) -> None:
        self.note(f"epoch {epoch + 1}/{self.epochs}  {_summary(logs, LINE)}")

    def note(self, text: str) -> None:
        say(text)


class _Bar(Progress):
    """One bar for the whole run, for terminals and notebooks."""

    def __init__(self, bar: Any, epochs: int) -> None:
        self.bar = bar
        self.epochs = epochs
        self.advance = bar.update

    def end_epoch(self, epoch: int, logs: dict[str, Any]) -> None:
        self.bar.set_description(f"epoch {epoch + 1}/{self.epochs}", refresh=False)
        names = BAR if "val_loss" in logs else BAR_WITHOUT_VALIDATION
        self.bar.set_postfix_str(_summary(logs, names))

    def note(self, text: str) -> None:
        say(text, self.bar.write)

    def close(self, on_purpose: bool = False) -> None:
        self.bar.close()
        if on_purpose and hasattr(self.bar, "disp"):  # in a notebook it is red if it is not full
            self.bar.disp(bar_style="info")


_print = partial(print, flush=True)


def say(text: str, write: Callable[[str], Any] = _print) -> None:
    """Write a line to stdout, as far as there is one: a training shall not end for it."""
    try:
        write(text)
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding
        write(text.encode(encoding, "backslashreplace").decode(encoding))
    except BrokenPipeError:
        raise  # nobody reads on, which ends a command
    except (AttributeError, ValueError, OSError):
        pass  # stdout is None, closed, detached, no stream at all, or on a full disk


def _summary(logs: dict[str, Any], names: tuple[str, ...]) -> str:
    if "scoring" in logs:  # what an estimator is judged by
        names = tuple(name for name in names if name != "val_score")
    # A callback may have put None in the place of a number.
    return "  ".join(
        f"{name} {logs[name]:.4g}" if isinstance(logs[name], Real) else f"{name} {logs[name]}"
        for name in names
        if name in logs
    )
