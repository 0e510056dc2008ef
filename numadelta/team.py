"""Matrices that multiply as NumPy's do, by `numadelta.tiles` and a few threads."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
from numba.core.registry import cpu_target
from numpy.typing import NDArray

from numadelta import jit, threads, tiles
from numadelta.vectors import VECTOR

# The BLAS is as fast for fewer multiplications of a batch with all parameters, ...
FEWEST = 2**20
# ... and, on some processors, for more parameters.
MOST = 2**19
# Tried on so many cores; more would wait for one another.
MOST_THREADS = 16


def matrix_maker(parameters: int, rows: int, dtype: np.dtype[Any]) -> Callable[[Any], Any]:
    """Return what makes of an array that which multiplies fastest: a `Matrix`, or the array.

    It is asked for a network with so many parameters and a batch of so many rows.
    """
    suits = parameters <= MOST and parameters * rows >= FEWEST and has_registers()
    return Team(dtype).matrix if suits else np.asarray


@cache
def has_registers() -> bool:
    """Tell whether Numba compiles for a processor with AVX-512."""
    return jit.ENABLED and "+avx512f" in cpu_target.target_context.codegen().magic_tuple()[2]


class Team:
    """The threads that compute products together, of one caller at a time.

    A team lasts as long as a training or an evaluation: those who were counted as its helpers, and
    could not come because of a fork or a Ctrl-C, are forgotten with it.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.job = np.zeros(tiles.LENGTH, np.int64)
        self.job[tiles.LANES] = VECTOR // dtype.itemsize
        self.job[tiles.THREADS] = min(threads.get_num_threads(), MOST_THREADS)
        help_out = partial(tiles.help_out, self.job, dtype.type(0))
        self.help_out = partial(help_out, tiles.LOOKS)
        # Compiled here, and not by a thread that would come too late; it leaves at once.
        self.job[tiles.HELPERS] = 1
        help_out(0)

    def matrix(self, array: NDArray[Any]) -> Matrix:
        """Return a C-contiguous array as a matrix."""
        rows, columns = array.shape
        return Matrix(self, array.reshape(-1), np.arange(rows) * columns, np.arange(columns))


class Matrix:
    """A matrix, or some rows of one, of which element (i, j) is ``values[rows[i] + columns[j]]``.

    What it can do it does as an array would.
    """

    __slots__ = ("columns", "rows", "team", "values")

    def __init__(
        self,
        team: Team,
        values: NDArray[Any],
        rows: NDArray[np.int64],
        columns: NDArray[np.int64],
    ) -> None:
        self.team, self.values, self.rows, self.columns = team, values, rows, columns

    @property
    def T(self) -> Matrix:
        """The transpose, without a copy."""
        return Matrix(self.team, self.values, self.columns, self.rows)

    def __getitem__(self, rows: NDArray[np.int64]) -> Matrix:
        """Return some rows as a matrix, without a copy of them."""
        return Matrix(self.team, self.values, self.rows.take(rows), self.columns)

    def dot(self, b: NDArray[Any], out: NDArray[Any]) -> None:
        """Write the product with `b`, which may be a transposed array, to `out`."""
        team = self.team
        for _ in range(tiles.run(team.job, self.values, self.rows, self.columns, b, out)):
            threads.ask(team.help_out)
