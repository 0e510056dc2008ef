"""Compare `nd.minimize` with SciPy's gradient methods on two sets of problems.

1. Nineteen classics: the evaluations that each method takes to 1e-6 of the way, and the seconds of
   a call with default options.
2. The 53 smooth problems of Moré and Wild (2009): how many are solved within 20,000 evaluations.

An evaluation gives value and gradient.  A problem is solved, to some tau, at the first evaluation
with f <= best + tau (f(x0) - best), where best is the best known value; not every descent can get
there, since some starts lead to local minima.  "plain" is the paper's ADADELTA (safeguard=False),
"default" is L-BFGS-B with its default options; all others run with tolerances of zero until they
give up.

    python examples/compare_minimizers.py [--quick] [--plot FOLDER]

With --plot it draws performance profiles (Dolan and Moré 2002), the part of the problems that a
method solves in at most so many times the evaluations of the best one, and data profiles (Moré and
Wild 2009), the part that it solves within so many evaluations.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize

import numadelta as nd
from numadelta.bench import classics, more_wild

LIMIT = 20_000
TAUS = 1e-3, 1e-6
UNLIMITED = {"gtol": 0, "ftol": 0, "maxiter": np.inf}
LBFGSB_UNLIMITED = {"gtol": 0, "ftol": 0, "maxiter": LIMIT, "maxfun": LIMIT}

# With a function that returns value and gradient, and a start.
METHODS: dict[str, Callable[..., Any]] = {
    "numadelta": partial(nd.minimize, jac=True, options=UNLIMITED),
    "plain": partial(nd.minimize, jac=True, options=UNLIMITED | {"safeguard": False}),
    "L-BFGS-B": partial(minimize, jac=True, method="L-BFGS-B", options=LBFGSB_UNLIMITED),
    "default": partial(minimize, jac=True, method="L-BFGS-B"),
    "BFGS": partial(minimize, jac=True, method="BFGS", options={"gtol": 0, "maxiter": LIMIT}),
    "CG": partial(minimize, jac=True, method="CG", options={"gtol": 0, "maxiter": LIMIT}),
}
LINES = {
    "numadelta": ("numadelta", "C0-"),
    "plain": ("numadelta, safeguard=False", "C0:"),
    "L-BFGS-B": ("L-BFGS-B", "C1-"),
    "default": ("L-BFGS-B, default options", "C1:"),
    "BFGS": ("BFGS", "C2--"),
    "CG": ("CG", "C3-."),
}

# Calls as a user makes them, for the seconds; "inplace" takes the compiled function itself.
CALLS: dict[str, Callable[..., Any]] = {
    "numadelta, compiled": partial(nd.minimize, jac="inplace"),
    "numadelta, from Python": partial(nd.minimize, jac=True),
    "  plain, compiled": partial(nd.minimize, jac="inplace", safeguard=False),
    "SciPy, L-BFGS-B": partial(minimize, jac=True, method="L-BFGS-B"),
    "SciPy, BFGS": partial(minimize, jac=True, method="BFGS"),
    "SciPy, CG": partial(minimize, jac=True, method="CG"),
}


class Task(NamedTuple):
    """A problem of either set; ``fun(x, grad, *args)`` is compiled."""

    name: str
    fun: Callable[..., float]
    x0: np.ndarray
    args: tuple[Any, ...]
    best: float

    def value_and_grad(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Evaluate in the form that all methods take."""
        grad = np.empty_like(x)
        return self.fun(x, grad, *self.args), grad

    def goal(self, tau: float) -> float:
        """Return the value at which the problem is solved."""
        return self.best + tau * (self.value_and_grad(self.x0)[0] - self.best)


class LimitReached(Exception):
    """No more evaluations are allowed."""


def history(method: Callable[..., Any], task: Task) -> np.ndarray:
    """Return the best value so far after each evaluation, at most `LIMIT` of them."""
    values = []

    def recorded(x):
        if len(values) == LIMIT:
            raise LimitReached
        value, grad = task.value_and_grad(x)
        values.append(value)
        return value, grad

    with suppress(LimitReached):
        method(recorded, task.x0)
    return np.fmin.accumulate(values)  # of NaN and a number the number


def evaluations(histories: list[np.ndarray], tasks: list[Task], tau: float) -> np.ndarray:
    """Return how many evaluations each problem took to be solved, infinity if it was not."""
    counts = np.full(len(tasks), np.inf)
    for k, (values, task) in enumerate(zip(histories, tasks, strict=True)):
        solved = values <= task.goal(tau)
        if solved.any():
            counts[k] = np.argmax(solved) + 1
    return counts


def compare(tasks: list[Task]) -> dict[str, list[np.ndarray]]:
    """Return the histories of all methods on all problems."""
    return {name: [history(method, task) for task in tasks] for name, method in METHODS.items()}


def table_of_classics(tasks: list[Task]) -> None:
    """Print the evaluations to 1e-6, problem by problem."""
    columns = [evaluations(found, tasks, 1e-6) for found in compare(tasks).values()]
    print(f"evaluations to 1e-6\n{'':24}" + "".join(f"{name:>12}" for name in METHODS))
    for task, counts in zip(tasks, np.transpose(columns), strict=True):
        cells = (f"{count:12.0f}" if np.isfinite(count) else f"{'-':>12}" for count in counts)
        print(f"{task.name:24}" + "".join(cells))
    print(f"{'solved':24}" + "".join(f"{np.isfinite(counts).sum():12}" for counts in columns))
    # The steps of the paper solve too few to compare the others by.
    safe = [name != "plain" for name in METHODS]
    shared = np.isfinite(np.array(columns)[safe]).all(axis=0)
    means = np.exp(np.mean(np.log(columns), axis=1, where=shared))
    cells = (f"{mean:12.1f}" if np.isfinite(mean) else f"{'-':>12}" for mean in means)
    print(f"{f'mean of {shared.sum()} (geometric)':24}" + "".join(cells))


def table_of_calls(tasks: list[Task], repeats: int) -> None:
    """Print what calls with default options take and reach."""
    print(f"\ncalls with default options\n{'':26}{'solved':>8}{'evaluations':>14}{'seconds':>12}")
    for name, call in CALLS.items():
        outcomes = [_outcome(call, task, repeats) for task in tasks]
        solved, nfev, seconds = zip(*outcomes, strict=True)
        means = map(statistics.geometric_mean, (nfev, seconds))
        print(f"{name:26}{sum(solved):8}{next(means):14.1f}{next(means):12.2e}")
    print(f"{'':26}{'':8}{'geometric means':>26}")


def _outcome(call: Callable[..., Any], task: Task, repeats: int) -> tuple[bool, int, float]:
    """Return whether a call solves a problem, its evaluations, and the median of its seconds."""
    compiled = call.keywords["jac"] == "inplace"
    fun, args = (task.fun, task.args) if compiled else (task.value_and_grad, ())
    result, seconds = call(fun, task.x0, args), []  # may compile: not timed
    for _ in range(repeats):
        started = time.perf_counter()
        call(fun, task.x0, args)
        seconds.append(time.perf_counter() - started)
    return result.fun <= task.goal(1e-6), result.nfev, statistics.median(seconds)


def table_of_more_wild(tasks: list[Task], found: dict[str, list[np.ndarray]]) -> None:
    """Print how many problems were solved, and which were not if these are few."""
    print(f"\nof {len(tasks)} problems of More and Wild, solved within {LIMIT:,} evaluations")
    print(f"{'':12}" + "".join(f"{f'to {tau}':>12}" for tau in TAUS))
    for name, histories in found.items():
        counts = [evaluations(histories, tasks, tau) for tau in TAUS]
        solved = "".join(f"{np.isfinite(count).sum():12}" for count in counts)
        failed = [
            task.name for task, count in zip(tasks, counts[-1], strict=True) if np.isinf(count)
        ]
        remark = f"   but for {', '.join(failed)}" if 0 < len(failed) <= 3 else ""
        print(f"{name:12}{solved}{remark}")


def draw(tasks: list[Task], found: dict[str, list[np.ndarray]], folder: Path) -> None:
    """Write the two pictures; each has a panel for each tau."""
    folder.mkdir(parents=True, exist_ok=True)
    counts = {
        tau: {name: evaluations(values, tasks, tau) for name, values in found.items()}
        for tau in TAUS
    }
    ratios = {tau: _ratios(of_methods) for tau, of_methods in counts.items()}
    profiles = {
        "performance_profile": (ratios, "evaluations / those of the best method", 1000),
        "data_profile": (counts, "evaluations", LIMIT),
    }
    for name, (values, label, end) in profiles.items():
        path = folder / f"{name}.png"
        _draw_profiles(values, label, end).savefig(path, dpi=120)
        print(f"wrote {path}")


def _ratios(counts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    least = np.min(list(counts.values()), axis=0)
    solved = np.isfinite(least)
    return {name: _divide(values, least, solved) for name, values in counts.items()}


def _divide(values: np.ndarray, least: np.ndarray, where: np.ndarray) -> np.ndarray:
    return np.divide(values, least, out=np.full_like(values, np.inf), where=where)


def _draw_profiles(values: dict[float, dict[str, np.ndarray]], label: str, end: float) -> Any:
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(
        1, len(values), layout="constrained", figsize=(10, 4.6), sharey=True
    )
    for ax, (tau, of_methods) in zip(panels, values.items(), strict=True):
        for name, costs in of_methods.items():
            inside = np.sort(costs[costs <= end])
            heights = np.arange(len(inside) + 1) / len(costs)
            edges = np.concatenate([[1.0], inside, [end]])
            title, style = LINES[name]
            ax.step(edges, [*heights, heights[-1]], style, where="post", label=title)
        ax.set(title=f"tau = {tau}", xlabel=label, xscale="log", xlim=(1, end), ylim=(0, 1.02))
        ax.grid(alpha=0.3)
    panels[0].set_ylabel("part of the problems solved")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def main(quick: bool, plot: Path | None) -> None:
    """Run both comparisons."""
    started = time.perf_counter()
    every, repeats = (4, 1) if quick else (1, 5)
    classic_tasks = [Task(*problem) for problem in classics.problems()[::every]]
    wild_tasks = [
        Task(p.name, more_wild.fun, p.x0, (p.which, p.m), p.best)
        for p in more_wild.problems()[::every]
    ]
    # Far from a minimum values may overflow, and runs without tolerances end by losing precision.
    warnings.simplefilter("ignore", RuntimeWarning)
    table_of_classics(classic_tasks)
    table_of_calls(classic_tasks, repeats)
    found = compare(wild_tasks)
    table_of_more_wild(wild_tasks, found)
    if plot is not None:
        draw(wild_tasks, found, plot)
    print(f"\n{time.perf_counter() - started:.0f} s in all")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="every fourth problem only")
    parser.add_argument("--plot", type=Path, metavar="FOLDER", help="write pictures to this folder")
    main(**vars(parser.parse_args()))
