"""Worker: how long an import takes, each time in a fresh interpreter."""

from __future__ import annotations

import platform
import subprocess
import sys
from typing import Any

from numadelta.bench import worker

STATEMENTS = {
    "numadelta": "import numadelta",
    "numadelta-use": "from numadelta import Adadelta",
    "numpy": "import numpy",
    "numba": "import numba",
}


def seconds_of(statement: str) -> float:
    """Return the seconds that a statement takes in a new interpreter, its start excluded."""
    script = (
        f"import time; started = time.perf_counter(); {statement}\n"
        "print(time.perf_counter() - started)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    return float(done.stdout)


def imports(name: str, quick: bool) -> dict[str, Any]:
    """Time one of the statements."""
    calls = worker.WARM_UP + (3 if quick else 10)
    seconds = [seconds_of(STATEMENTS[name]) for _ in range(calls)]
    return worker.outcome(seconds) | {"compile_s": None, "peak_bytes": None}


TASKS: dict[str, worker.Task] = {
    "numadelta": lambda quick: imports("numadelta", quick),
    "numadelta-use": lambda quick: imports("numadelta-use", quick),
    "numpy": lambda quick: imports("numpy", quick),
    "numba": lambda quick: imports("numba", quick),
}

if __name__ == "__main__":
    worker.main(TASKS, lambda: f"Python {platform.python_version()}")
