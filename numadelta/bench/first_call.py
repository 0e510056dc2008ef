"""Worker: the first `minimize` with a new objective, each time in a fresh interpreter.

The objective is compiled by hand first, against its own clock: what the call then takes is all that
`minimize` adds.  Numba's disk cache is warm, as after the first use of the library on a machine;
imports are not counted.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numadelta
from numadelta.bench import worker

SCRIPT = """
import json, time
import numpy as np
from numba import float64, njit
from numadelta import minimize

@njit
def fun(x, grad):
    value = 0.0
    for i in range(x.size):
        grad[i] = 2.0 * (x[i] - i)
        value += (x[i] - i) ** 2
    return value

times = [time.perf_counter()]
fun.compile((float64[::1], float64[::1]))
times.append(time.perf_counter())
minimize(fun, np.ones(3), jac="inplace")
times.append(time.perf_counter())
print(json.dumps({"compiling": times[1] - times[0], "beyond": times[2] - times[1]}))
"""


def first_call(part: str, quick: bool) -> dict[str, Any]:
    """Time one of the two parts; the warm-up fills the disk cache."""
    seconds = []
    for _ in range(worker.WARM_UP + (1 if quick else 10)):
        done = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True)
        seconds.append(json.loads(done.stdout)[part])
    return worker.outcome(seconds) | {"compile_s": None, "peak_bytes": None}


TASKS: dict[str, worker.Task] = {
    "beyond": lambda quick: first_call("beyond", quick),
    "compiling": lambda quick: first_call("compiling", quick),
}

if __name__ == "__main__":
    worker.main(TASKS, lambda: f"numadelta {numadelta.__version__}")
