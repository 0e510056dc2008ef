"""Start the workers of a job, in rounds, and collect what they print."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from numadelta import progress
from numadelta.bench.jobs import Contestant, Job

OK, MISSING, FAILED, LEFT_OUT = "ok", "missing", "failed", "left out"

ROUNDS = 3
TIMEOUT = 300.0  # seconds a worker may take

THREAD_VARIABLES = (
    "NUMBA_NUM_THREADS",
    "OMP_NUM_THREADS",  # PyTorch, and most builds of BLAS
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NPROC",  # JAX
)


@dataclass
class Row:
    """What is known of a contestant."""

    label: str
    limit: bool = False
    status: str = OK
    missing: tuple[str, ...] = ()
    error: str = ""
    version: str = ""
    samples: list[float] = field(default_factory=list)
    compile_s: float | None = None
    peak_bytes: int | None = None
    loss: float | None = None
    work: float | None = None  # of a sample: operations, or bytes moved
    rate_unit: str = ""
    note: str = ""

    @property
    def median(self) -> float | None:
        """Median of the samples of all rounds."""
        return statistics.median(self.samples) if self.samples else None

    @property
    def quartiles(self) -> tuple[float, float] | None:
        """First and third quartile."""
        if len(self.samples) < 2:
            return None
        first, _, third = statistics.quantiles(self.samples, n=4, method="inclusive")
        return first, third

    @property
    def rate(self) -> float | None:
        """Work in a second, in its unit."""
        return self.work / self.median / 1e9 if self.work and self.median else None


@dataclass
class Result:
    """A job and its rows."""

    job: Job
    rows: list[Row]

    def ratio(self, row: Row) -> float | None:
        """Return how many times as long as the first row another one takes."""
        ours = self.rows[0].median
        return row.median / ours if row.median and ours else None

    def share(self, row: Row) -> float | None:
        """Return which part of the speed of the limit a row reaches, where there is one."""
        limits = [other.median for other in self.rows if other.limit and other.median]
        return max(limits) / row.median if limits and row.median and not row.limit else None


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_count() -> int:
    """Return the number of threads that every worker is given, the one numadelta itself takes."""
    return int(os.environ.get("NUMBA_NUM_THREADS") or usable_cores())


def environment(threads: int, caches: str | None) -> dict[str, str]:
    """Return the environment of a worker: CPU only, and as many threads for one as for another."""
    settings = {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
    settings |= dict.fromkeys(THREAD_VARIABLES, str(threads))
    if caches is not None:
        settings["NUMBA_CACHE_DIR"] = str(Path(caches, "numba"))
        settings["TORCHINDUCTOR_CACHE_DIR"] = str(Path(caches, "torch"))
    return os.environ | settings


def run_job(job: Job, quick: bool, threads: int, caches: str | None = None) -> Result:
    """Measure all contestants of a job, in turn, a few times.

    Parameters
    ----------
    job : Job
        What to measure.
    quick : bool
        One round instead of `ROUNDS`, and workers are told to be quick.
    threads : int
        Threads of each worker, but for contestants that want one.
    caches : str, optional
        A folder for new caches, so that compilers start without; they use their own by default.

    Returns
    -------
    Result
        With a row for each contestant, whatever became of it.
    """
    rows = [_entry(contestant, quick) for contestant in job.contestants]
    folders = [caches and tempfile.mkdtemp(dir=caches) for _ in rows]
    for turn in range(1 if quick else ROUNDS):
        for k, contestant in enumerate(job.contestants):
            if rows[k].status == OK:
                _say(f"{job.title}: {rows[k].label}, round {turn + 1}")
                own = 1 if contestant.one_thread else threads
                _run(contestant, rows[k], quick, environment(own, folders[k]))
    _say("")
    return Result(job, rows)


def _entry(contestant: Contestant, quick: bool) -> Row:
    row = Row(contestant.label, contestant.limit)
    row.missing = tuple(module for module in contestant.needs if find_spec(module) is None)
    if row.missing:
        row.status = MISSING
    elif quick and contestant.slow:
        row.status = LEFT_OUT
    return row


def _run(contestant: Contestant, row: Row, quick: bool, environ: dict[str, str]) -> None:
    command = [sys.executable, *contestant.command, *(["--quick"] if quick else [])]
    try:
        done = subprocess.run(
            command,
            env=environ,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        row.status, row.error = FAILED, f"took longer than {TIMEOUT:.0f} s"
        return
    try:
        if done.returncode:
            raise ValueError
        _take_answer(row, json.loads(_last_line(done.stdout)))
    except (ValueError, KeyError, TypeError):
        row.status = FAILED
        row.error = _reason(done.stderr) or f"exit status {done.returncode}, no result"


def _take_answer(row: Row, answer: dict[str, Any]) -> None:
    row.samples += answer["samples"]
    # Later rounds find the caches of the first.
    row.compile_s = answer["compile_s"] if row.compile_s is None else row.compile_s
    row.version = answer["version"]
    row.peak_bytes = max(filter(None, (row.peak_bytes, answer.get("peak_bytes"))), default=None)
    row.loss = answer.get("loss")
    row.work = answer.get("work")
    row.rate_unit = answer.get("rate_unit", "")
    row.note = answer.get("note", "")


def _last_line(text: str) -> str:
    return next(iter(text.strip().splitlines()[::-1]), "")


def _reason(stderr: str) -> str:
    """Return the last line that names an exception (advice may follow it), else the last line."""
    named = re.findall(r"^(?:\w+\.)*\w+(?:Error|Exception|Interrupt)\b.*", stderr, re.MULTILINE)
    return named[-1] if named else _last_line(stderr)


def _say(what: str) -> None:
    if progress.has_terminal():
        print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)
