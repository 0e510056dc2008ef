"""How long minimisers take to a given accuracy, on the classics."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from numadelta.bench import worker
from numadelta.bench.classics import Problem, problems
from numadelta.bench.problems import TARGET

# Minimises a problem, with tight tolerances or the default ones, and returns the value at the end.
Solver = Callable[[Problem, bool], float]


def measure(solve: Solver, quick: bool) -> dict[str, Any]:
    """Time a minimiser; a sample is the geometric mean of its seconds over all problems.

    Each problem is solved with the default tolerances if they lead to the accuracy, else with tight
    ones, whether these do or not; a note tells how many were solved.
    """
    problems_ = problems()
    runs = [_run(solve, problem) for problem in problems_]
    solved = sum(run() <= goal(problem) for run, problem in zip(runs, problems_, strict=True))
    tight = sum(run.args[1] for run in runs)
    seconds = worker.collect(
        lambda: statistics.geometric_mean([worker.timed(run) for run in runs]), quick
    )
    note = f"{solved}/{len(runs)}, {tight} tight"
    return worker.outcome(seconds, note=note) | {"compile_s": None}


def goal(problem: Problem) -> float:
    """Return the value at which a problem is solved."""
    start = problem.fun(problem.x0, np.empty_like(problem.x0), *problem.args)
    return problem.minimum + TARGET * (start - problem.minimum)


def _run(solve: Solver, problem: Problem) -> partial[float]:
    """Return the call to time."""
    usual = partial(solve, problem, False)
    return usual if usual() <= goal(problem) else partial(solve, problem, True)
