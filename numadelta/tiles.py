"""Products of small matrices, in tiles whose sums stay in registers, by threads that help out.

A BLAS first copies its operands into an order of its own, and a batch must be collected before.
For a narrow network both take as long as the products; here everything is read where it is.

A *job* is an array of integers that says what to compute, and how far that is.  The product is
divided into blocks, and every thread takes the next one until none is left.  Each sum is formed in
one block, in one order, so the number of threads changes no bit.  Threads without work look for
some in a loop, for to be woken up would take longer than a product; soon they give up.

Nothing here is checked.
"""

from __future__ import annotations

import numpy as np
from numba.extending import overload

from numadelta import atomics
from numadelta.jit import inlined, loop
from numadelta.vectors import (
    COLUMNS,
    DEPTH,
    GOES_ON,
    HEIGHT,
    OUT,
    ROWS,
    STEPS,
    A,
    B,
    tile,
)

# The places in a job behind those that describe the product: the rows of a block, the numbers in a
# vector, the threads there may be, ...
BLOCK, LANES, THREADS = range(9, 12)
# ... and, each in a cache line of its own, how many blocks nobody has taken, how many are done, and
# how many threads help.
UNTAKEN, DONE, HELPERS, LENGTH = 16, 32, 48, 64

# A tile is 6 rows by 4 vectors: of the 32 registers of AVX-512, 24 hold its sums, 4 a row of `b`.
TALL, WIDE = 6, 4
# So many steps at a time, for what is read of the operands to stay in the cache meanwhile.
DEEP = 400
# Of fewer multiplications, a thread's share is done before it has seen that there is one.
WORTH_HELP = 25_000
# How often a thread looks for work until it gives up: for 0.6 ms on an AMD EPYC.
LOOKS = 20_000
# Columns that are copied at a time: 64 bytes, a cache line, of float32.
STRIP = 16

one_wide, two_wide, three_wide, four_wide = (tile(TALL, wide) for wide in range(1, WIDE + 1))


@loop
def run(job, a, rows, steps, b, out):
    """Write ``out[i, j] = sum(a[rows[i] + steps[k]] * b[k, j] for k in range(steps.size))``.

    Returns how many more threads are to be asked to `help_out` with what comes next.
    """
    zero, b = out.dtype.type(0), row_by_row(b)
    height, depth, columns = rows.size, steps.size, out.shape[1]
    job[A], job[OUT], job[ROWS] = a.ctypes.data, out.ctypes.data, rows.ctypes.data
    job[HEIGHT], job[COLUMNS] = height, columns
    tiles = ceil_divide(height, TALL) * panels(job)
    threads = max(1, min(job[THREADS], tiles, height * depth * columns // WORTH_HELP))
    # One block for each thread, or some side by side: with more, threads fetch the same operands.
    job[BLOCK] = TALL * ceil_divide(tiles, threads)
    count = ceil_divide(height, job[BLOCK]) * panels(job)
    missing = max(0, threads - 1 - atomics.load(job, HELPERS))
    atomics.add(job, HELPERS, missing)
    parts = ceil_divide(depth, DEEP)
    for part in range(parts):
        start, stop = depth * part // parts, depth * (part + 1) // parts
        job[STEPS] = steps.ctypes.data + start * steps.itemsize
        # Told in the loop, which keeps a copy of `b` alive until the last part is done.
        job[B] = b.ctypes.data + start * columns * b.itemsize
        job[DEPTH], job[GOES_ON] = stop - start, part > 0
        if threads == 1:
            for block in range(count):
                compute(job, zero, block)
        else:
            share(job, zero, count)
    return missing


@inlined
def share(job, zero, count):
    """Compute so many blocks, together with those who help."""
    # In this order, for a helper may take a block, and have it done, at once.
    atomics.store(job, DONE, 0)
    atomics.store(job, UNTAKEN, count)
    while take(job, zero):
        pass
    looks = 0
    while atomics.load(job, DONE) < count:
        looks = look_again(looks)


@loop
def help_out(job, zero, most_looks):
    """Take part in what is run, until there was nothing to do for so many looks."""
    looks = 0
    while looks < most_looks:
        if atomics.load(job, UNTAKEN) > 0 and take(job, zero):
            looks = 0
        else:
            looks = look_again(looks)
    atomics.add(job, HELPERS, -1)


@inlined
def take(job, zero):
    """Compute the next block; return whether there was one."""
    # What the job says is read after a block is taken, and changes only when all are done.
    block = atomics.add(job, UNTAKEN, -1) - 1
    if block < 0:
        return False
    compute(job, zero, block)
    atomics.add(job, DONE, 1)
    return True


@inlined
def look_again(looks):
    """Wait for some cycles, and now and then for a thread that has no core; count it."""
    atomics.relax()
    if looks % 64 == 63:
        atomics.give_way()
    return looks + 1


@loop
def compute(job, zero, block):
    """Compute this block of the product, no wider than a tile."""
    # Threads that take one block after the other get different columns, of which each fetches few.
    i, j = block // panels(job) * job[BLOCK], block % panels(job) * WIDE * job[LANES]
    wide = ceil_divide(job[COLUMNS] - j, job[LANES])
    for row in range(i, min(i + job[BLOCK], job[HEIGHT]), TALL):
        if wide >= WIDE:
            four_wide(zero, job, row, j)
        elif wide == 3:
            three_wide(zero, job, row, j)
        elif wide == 2:
            two_wide(zero, job, row, j)
        else:
            one_wide(zero, job, row, j)


@inlined
def panels(job):
    """Return how many blocks lie side by side."""
    return ceil_divide(job[COLUMNS], WIDE * job[LANES])


@inlined
def ceil_divide(a, b):
    """Return the quotient, rounded up."""
    return (a + b - 1) // b


def row_by_row(matrix):
    """Return a matrix, or a copy if its rows are not contiguous."""
    raise NotImplementedError  # compiled only


@overload(row_by_row)
def _row_by_row(matrix):
    return (lambda matrix: matrix) if matrix.layout == "C" else _copied


def _copied(matrix):
    out = np.empty(matrix.shape, matrix.dtype)
    # In strips, which of large matrices takes a fifth of the time.
    whole = matrix.shape[1] // STRIP * STRIP
    for start in range(0, whole, STRIP):
        for i in range(matrix.shape[0]):
            for j in range(STRIP):
                out[i, start + j] = matrix[i, start + j]
    for i in range(matrix.shape[0]):
        for j in range(whole, matrix.shape[1]):
            out[i, j] = matrix[i, j]
    return out
