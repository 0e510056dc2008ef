"""Matrices that multiply as NumPy's do, by `numadelta.tiles` and a few threads."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import numpy as np
from numba.core.registry import cpu_target
from numpy.typing import NDArray

from numadelta import jit, threads, tiles
from numadelta.vectors import VECTOR

# Multiplications in the first product of a batch: for fewer or more the BLAS is as fast.
FEWEST, MOST = 2**20, 2**26
# Weights of a later layer, which are copied for the backward pass: as above.
MOST_LATER = 2**16


def suits(sizes: tuple[int, ...], batch_size: int) -> bool:
    """Tell whether training a network with these layers is faster with a team than with a BLAS."""
    first, *later = (n_in * n_out for n_in, n_out in zip(sizes, sizes[1:], strict=False))
    fits = FEWEST <= batch_size * first <= MOST and max(later, default=0) <= MOST_LATER
    return fits and _has_registers()


@cache
def _has_registers() -> bool:
    """Tell whether Numba compiles for a processor with AVX-512."""
    return jit.ENABLED and "+avx512f" in cpu_target.target_context.codegen().magic_tuple()[2]


class Team:
    """The threads that compute products together, and where they read which."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.job = np.zeros(tiles.LENGTH, np.int64)
        self.job[tiles.THREADS] = threads.get_num_threads()
        self.job[tiles.LANES] = VECTOR // dtype.itemsize
        help_out = partial(tiles.help_out, self.job, dtype.type(0))
        self.help_out = partial(help_out, tiles.LOOKS)
        # Compiled here, and not by a thread that would come too late.
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
