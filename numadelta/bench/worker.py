"""What every worker does: run one task against the clock and print one line of JSON."""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Task = Callable[[bool], dict[str, Any]]

# Calls that are not counted: the first compiles, the second finds caches and thread pools warm.
WARM_UP = 2


def main(tasks: dict[str, Task], version: Callable[[], str]) -> None:
    """Run the task named on the command line.

    Parameters
    ----------
    tasks : dict of functions
        Each takes `quick` and returns what `outcome` makes.
    version : callable
        Returns name and version of what was measured; called last, as it imports that.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=tasks)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    result = tasks[arguments.task](arguments.quick)
    # A task that works in processes of its own knows better.
    result = {"peak_bytes": peak_memory()} | result
    print(json.dumps(result | {"version": version()}), flush=True)


def peak_memory() -> int | None:
    """Return the most bytes of memory this process has held, or None where nobody counts them."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        status = ""
    found = re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)
    if found:
        return 1024 * int(found[1])
    try:
        import resource
    except ImportError:
        return None
    # Not asked first, because on Linux it is at least what the parent held when it started this.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def outcome(seconds: list[float], parts: int = 1, **more: Any) -> dict[str, Any]:
    """Return the JSON object of a task, from the times of all its calls, the first included.

    Parameters
    ----------
    seconds : list of float
        At least one time beyond the warm-up.
    parts : int, default 1
        How often a call does the work; the samples are per part.
    **more
        Further entries, such as the loss that was reached, or a note for the table.
    """
    usual = statistics.median(seconds[WARM_UP:])
    return {
        "samples": [value / parts for value in seconds[WARM_UP:]],
        "compile_s": max(0.0, seconds[0] - usual),
        **more,
    }


def timed(call: Callable[[], Any]) -> float:
    """Return the seconds that a call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def measure(call: Callable[[], Any], quick: bool, parts: int = 1) -> dict[str, Any]:
    """Time calls for a while; each must return only when its work is done."""
    return outcome(collect(lambda: timed(call), quick), parts)


def collect(sample: Callable[[], float], quick: bool) -> list[float]:
    """Take samples for a while, and for the warm-up before."""
    samples = [sample() for _ in range(WARM_UP)]
    deadline = time.perf_counter() + (0.2 if quick else 2.0)
    while len(samples) < WARM_UP + 5 or time.perf_counter() < deadline:
        samples.append(sample())
    return samples


def repeat(call: Callable[[], Any], times: int) -> Callable[[], None]:
    """Return a function that makes a call many times, for calls too short for the clock."""

    def calls() -> None:
        for _ in range(times):
            call()

    return calls


def compare(stuck: Callable[[], Any], normal: Callable[[], Any], quick: bool) -> dict[str, Any]:
    """Time two calls in turn; the samples are the quotients of their times."""
    stuck, normal = repeat(stuck, 20), repeat(normal, 20)
    for _ in range(WARM_UP):
        stuck(), normal()
    pairs = [(timed(stuck), timed(normal)) for _ in range(5 if quick else 50)]
    return {"samples": [slow / usual for slow, usual in pairs], "compile_s": None}


def epochs(quick: bool) -> int:
    """Return how many epochs a training task runs, warm-up included."""
    return WARM_UP + (3 if quick else 5)
