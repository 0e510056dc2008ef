"""Writes checkpoints over and over; a file of its own, for spawned processes import it."""

from __future__ import annotations

import numpy as np

from numadelta import checkpoint


def states(number):
    """Return settings and arrays of one writer, of a size of its own."""
    return {"writer": number}, {name: np.full(10_000 * number, number) for name in ("a", "b")}


def write_states(path, number, times):
    settings, arrays = states(number)
    for _ in range(times):
        checkpoint.write(path, "numadelta.Training", 1, settings, **arrays)
