"""The command ``numadelta``: train, predict, sweep, bench, info."""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TextIO

import numadelta
from numadelta.cli import bench, info, predict, sweep, train
from numadelta.cli.options import SIGNALS, UsageError
from numadelta.interrupts import Terminated

# Failures whose message says it all; of others the type is printed, too.
EXPECTED = (ValueError, TypeError, OSError, ImportError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process by default.

    Returns
    -------
    int
        The exit status: 0, 1 (failed), 2 (bad usage), or 128 and the number of a signal: 130,
        141 (nobody reads the output) or 143.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the shell
            setattr(sys, name, io.StringIO())
        elif isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")  # not all names fit all encodings
    arguments = _parser().parse_args(argv)
    with warnings.catch_warnings():
        # Those that the library gives to its caller, which is a command.
        warnings.filterwarnings("always", module=r"numadelta\.cli")
        # Of a sweep that a closed pipe ends, joblib tells programmers what they could do better.
        warnings.filterwarnings("ignore", r"\d+ tasks", module="joblib")
        show = warnings.showwarning  # which not every catch_warnings restores
        warnings.showwarning = _show_warning
        try:
            status = arguments.command(arguments)
            sys.stdout.flush()  # here, where a closed pipe is still caught
            return status
        except UsageError as error:
            return _fail(error, 2)
        except KeyboardInterrupt as error:
            print("numadelta: interrupted", file=sys.stderr)
            return SIGNALS["SIGTERM" if isinstance(error, Terminated) else "SIGINT"]
        except Exception as error:
            if not _is_closed_pipe(error):
                return _fail(error, 1)
            _forget_stdout()
            return SIGNALS["SIGPIPE"]
        finally:
            warnings.showwarning = show


class _Parser(argparse.ArgumentParser):
    """Takes whole names only, for --seed would be --seeds in another command."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="numadelta", description="ADADELTA for NumPy.")
    parser.add_argument("--version", action="version", version=numadelta.__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in (train, predict, sweep, bench, info):
        module.add_to(commands)
    return parser


def _fail(error: Exception, status: int) -> int:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        text = f"{error.filename}: {error.strerror}"
    else:
        text = str(error)
    if not isinstance(error, EXPECTED) or not text:
        text = f"{type(error).__name__}: {text}"
    print(f"numadelta: {_one_line(text)}", file=sys.stderr)
    return status


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Stand in for `warnings.showwarning`: users of a command need no line of its source."""
    print(f"numadelta: warning: {_one_line(message)}", file=file or sys.stderr)


def _one_line(text: Any) -> str:
    return " ".join(str(text).split())


def _is_closed_pipe(error: Exception) -> bool:
    """Tell whether nobody reads on; Windows says EINVAL, which it says of files, too."""
    if isinstance(error, BrokenPipeError):
        return True
    invalid = isinstance(error, OSError) and (error.errno, error.filename) == (errno.EINVAL, None)
    return sys.platform == "win32" and invalid


def _forget_stdout() -> None:
    """Let what is still in the buffer vanish: Python writes it at its exit, and would complain."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
