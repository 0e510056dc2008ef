"""The file of a network: its settings, its parameters and the user's notes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from numpy.typing import NDArray

from numadelta import checkpoint, checkpoints
from numadelta.backprop import parameter_count

KIND = "numadelta.MLP"
VERSION = 1


def plain(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings as JSON takes them, None for functions."""
    return {name: None if isinstance(part, tuple) else part for name, part in settings.items()}


def write(
    path: str | os.PathLike[str],
    settings: dict[str, Any],
    notes: dict[str, Any],
    theta: NDArray[Any],
) -> None:
    """Write a file as a whole or not at all."""
    checkpoint.write(path, KIND, VERSION, {"network": plain(settings), "notes": notes}, theta=theta)


def read(
    path: str | os.PathLike[str], pairs: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any], NDArray[Any]]:
    """Return settings, notes and parameters of such a file, or of a checkpoint.

    `pairs` are the functions for settings that the file cannot hold, or None for each.
    """
    kinds = {KIND: VERSION, checkpoints.KIND: checkpoints.VERSION}
    content, saved = checkpoint.read(path, kinds)
    settings, notes = content.get("network"), content.get("notes")
    if not isinstance(settings, dict) or not isinstance(notes, dict):
        raise checkpoint.CheckpointError(f"{path} is corrupt: network and notes must be dicts")
    for name, pair in pairs.items():
        if name in settings and (settings[name] is None) != (pair is not None):
            known = "functions that no file can hold" if pair is None else settings[name]
            raise ValueError(f"{name} is {pair!r}, but {path} was saved with {known}")
    with complaints_of(path):
        # Before there is a network, for one of damaged sizes may be too large to make.
        count = parameter_count(tuple(settings["layer_sizes"]))
        theta = saved["theta"]
        if theta.shape != (count,):
            raise ValueError(f"theta has shape {theta.shape}, but the layers need ({count},)")
    return settings, notes, theta


@contextmanager
def complaints_of(path: str | os.PathLike[str]) -> Iterator[None]:
    """Blame the file for what its content causes."""
    try:
        yield
    except (ValueError, TypeError, KeyError) as error:
        raise checkpoint.CheckpointError(f"{path} is corrupt: {error}") from error
