"""What the sweeps of `growth` are made of: sizes, the clock, curves, and marks where they may bend.

What has been measured and the marks are dictionaries, for they go through JSON.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from numadelta.bench import runner, worker

SECONDS, QUICK_SECONDS = 0.5, 0.1  # of samples at each point
SHORTEST = 1e-3  # seconds of a sample: shorter calls are repeated
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")  # Linux only


def decades(first: int, last: int) -> list[int]:
    """Return 1, 2 and 5 times the powers of ten from one exponent to another."""
    return [factor * 10**k for k in range(first, last) for factor in (1, 2, 5)] + [10**last]


def chosen(sizes: list[int], quick: bool) -> list[int]:
    """Return the sizes to measure: if quick, every third, but for the largest."""
    return sizes[::3][:-1] if quick else sizes


def thread_counts() -> list[int]:
    """Return the default number of threads, and one, if that is another."""
    return sorted({runner.thread_count(), 1}, reverse=True)


def threads_label(count: int) -> str:
    """Return the second part of a label."""
    return f"{count} threads" if count > 1 else "1 thread"


def seconds_of(call: Callable[[], Any], quick: bool) -> float:
    """Return the median time of a call, which returns only when its work is done."""
    call()
    times = max(1, round(SHORTEST / worker.timed(call)))
    calls = worker.repeat(call, times)
    return median_of(lambda: worker.timed(calls), quick) / times


def median_of(sample: Callable[[], float], quick: bool) -> float:
    """Return the median of samples taken for a while, the first excluded."""
    sample()
    deadline = time.perf_counter() + (QUICK_SECONDS if quick else SECONDS)
    samples: list[float] = []
    while len(samples) < 5 or time.perf_counter() < deadline:
        samples.append(sample())
    return statistics.median(samples)


class Curve(NamedTuple):
    """A curve to measure.

    Attributes
    ----------
    label : str
        The name, and after a comma the variant.
    seconds : callable
        Measures a size.
    limit : bool
        Whether this is no part of the library, but what it could reach at best.
    largest : float
        Larger sizes are left out.
    """

    label: str
    seconds: Callable[[int], float]
    limit: bool = False
    largest: float = math.inf


def measured(sizes: Sequence[int], curves: Sequence[Curve]) -> list[dict[str, Any]]:
    """Measure curves size by size: a machine that is slow for a while is so for all of them."""
    found: list[dict[str, Any]] = [
        {"label": curve.label, "limit": curve.limit, "sizes": [], "seconds": []} for curve in curves
    ]
    for size in sizes:
        for curve, points in zip(curves, found, strict=True):
            if size <= curve.largest:
                points["sizes"].append(size)
                points["seconds"].append(curve.seconds(size))
    return found


def mark(at: float, why: str) -> dict[str, Any]:
    """Return a place where curves may bend, and the reason."""
    return {"at": at, "why": why}


def crossing(
    sizes: Sequence[int], values: Sequence[float], level: float, why: str
) -> list[dict[str, Any]]:
    """Return a mark where values first reach a level, in a list that is empty if they never do."""
    for k in range(1, len(sizes)):
        low, high = values[k - 1], values[k]
        if 0 < low < level <= high:
            part = math.log(level / low) / math.log(high / low)
            return [mark(sizes[k - 1] * (sizes[k] / sizes[k - 1]) ** part, why)]
    return []


def end_of_fixed_cost(points: dict[str, Any], why: str) -> list[dict[str, Any]]:
    """Return a mark where a curve is at twice the time of its smallest size, as `crossing` does."""
    seconds = points["seconds"]
    return crossing(points["sizes"], seconds, 2 * seconds[0], why)


def caches() -> dict[int, int]:
    """Return the bytes of the data caches that a core can use, by level; empty if not known."""
    found = {}
    for cache in CACHES.glob("index*"):
        try:
            kind, level, size = (
                (cache / name).read_text().strip() for name in ("type", "level", "size")
            )
        except OSError:  # not all systems tell all
            continue
        if kind != "Instruction":
            found[int(level)] = int(size.removesuffix("K")) * 1024
    return found


def cache_marks(bytes_each: int, what: str, levels: Sequence[int]) -> list[dict[str, Any]]:
    """Return marks where so many bytes for each element outgrow the caches of these levels."""
    known = caches()
    return [
        mark(known[level] / bytes_each, f"{what} fill L{level}")
        for level in levels
        if level in known
    ]
