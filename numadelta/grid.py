"""A grid of ADADELTA's hyper-parameters, trained over several seeds on all cores."""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from numadelta import arrays, data, progress, sweep_file, threads
from numadelta.interrupts import Terminated, termination_interrupts
from numadelta.mlp import MLP
from numadelta.ranking import OPTIONS
from numadelta.sweep_result import FIGURES, RUN, Sweep, key


def sweep(
    net: MLP,
    X: ArrayLike,
    y: ArrayLike,
    *,
    validation_data: tuple[Any, ...],
    lr: float | Iterable[float] = (1.0,),
    rho: float | Iterable[float] = (0.9, 0.95, 0.99),
    eps: float | Iterable[float] = (1e-8, 1e-6, 1e-4),
    seeds: int | Iterable[int] = 3,
    epochs: int = 10,
    batch_size: int = 128,
    shared_delta: bool = False,
    file: str | os.PathLike[str] | None = None,
    n_jobs: int = -1,
    verbose: int = 1,
) -> Sweep:
    """Train a network with each combination of ADADELTA's hyper-parameters, and compare them.

    The runs share the cores: each has a process with one thread.  Their figures, other than the
    seconds, depend neither on `n_jobs` nor on what else is swept.  Needs joblib and threadpoolctl,
    which come with the extra ``sklearn``.

    Parameters
    ----------
    net : MLP
        Each run trains a new network with its settings, but with a seed of its own.  Neither used
        as a start nor changed.
    X, y : array_like
        Samples and targets, as in `MLP.fit`.
    validation_data : tuple (X, y) or (X, y, sample_weight)
        What the combinations are compared on.  The winner's score is a little too good, for it was
        chosen by it: keep other data for the final test.
    lr, rho, eps : float or iterable of float
        The values of the grid.
    seeds : int or iterable of int, default 3
        The seeds of each combination; a number n stands for 0 to n - 1.
    epochs, batch_size, shared_delta : int, int and bool, default 10, 128 and False
        As in `MLP.fit`.
    file : path-like, optional
        Keeps each run as soon as it is finished, one JSON object a line.  If it exists, only the
        runs that it lacks are trained: after a break, or when the grid has grown.
    n_jobs : int, default -1
        Number of processes, counted as joblib does: -1 is one for each core.  1 trains here.
    verbose : {0, 1}, default 1
        0 is silent; 1 shows a progress bar (on a terminal or in a notebook, if tqdm is installed),
        else prints a line for each finished run.

    Returns
    -------
    Sweep
        All runs, with a table, the best combination and a recommendation.  A run that diverges is
        listed as failed, and the others go on.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described, or if `file` belongs to another sweep.
    numadelta.checkpoint.CheckpointError
        A `ValueError`, if `file` is damaged or something else.
    ImportError
        If joblib or threadpoolctl is missing.
    OSError
        If `file` cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> import numadelta as nd
    >>> X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> y = np.array([0, 1, 1, 0])
    >>> net = nd.MLP((2, 8, 2), activation="tanh")
    >>> grid = {"rho": 0.95, "eps": [1e-9, 1e-4], "seeds": 2}
    >>> result = nd.sweep(
    ...     net, X, y, validation_data=(X, y), **grid, epochs=50, batch_size=4, n_jobs=1, verbose=0
    ... )
    >>> result
    Sweep(4 runs, 2 combinations)
    >>> result.best
    {'lr': 1.0, 'rho': 0.95, 'eps': 0.0001}
    """
    try:
        import joblib  # type: ignore[import-untyped]
        import threadpoolctl  # noqa: F401 (for the runs)
    except ImportError as error:
        raise ImportError(
            f"a sweep needs {error.name}: pip install numadelta[sklearn]", name=error.name
        ) from error
    if not isinstance(net, MLP):
        raise TypeError(f"net must be an MLP, but is {net!r}")

    def check(name: str, value: object) -> float:
        return arrays.check_hyperparameter(name, value, net.dtype)

    grid = [_values("lr", lr, check), _values("rho", rho, check), _values("eps", eps, check)]
    if not isinstance(seeds, Iterable):
        seeds = range(arrays.check_count("seeds", seeds))
    seeds = _values("seeds", seeds, arrays.check_count)
    epochs = arrays.check_count("epochs", epochs, 1)
    if arrays.check_integer("n_jobs", n_jobs) == 0:
        raise ValueError("n_jobs must not be 0; 1 trains in this process, -1 on all cores")
    progress.check_verbose(verbose, (0, 1))
    net = MLP(**net.get_config())  # without the state of an optimiser, which no run needs
    door = data.Door.of(net)
    X, y = door.pairs(X, y)
    options: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "shared_delta": shared_delta,
        "validation_data": door.held_out(validation_data),
    }
    # No epoch at all, for the checks of the other arguments.
    MLP(**net.get_config()).fit(X, y, **options | {"epochs": 0}, verbose=0)
    description = _description(net, X, y, options)
    # Seeds outermost: a sweep that is cut short has tried every combination.
    runs = [(*values, seed) for seed in seeds for values in product(*grid)]
    with termination_interrupts(), sweep_file.opened(file, description) as (known, add):
        rows = {run: known[run] for run in runs if run in known}
        missing = [run for run in runs if run not in rows]
        with closing(_train_all(joblib, n_jobs, missing, net, X, y, options)) as finished:
            tqdm = progress.bar_maker() if verbose else None
            bar = tqdm and tqdm(finished, total=len(runs), initial=len(rows), unit="run")
            for row in finished if bar is None else bar:
                add(row)
                rows[key(row)] = row
                if verbose and bar is None:
                    text = "  ".join(f"{name} {row[name]:.4g}" for name in (*RUN, *FIGURES))
                    progress.say(f"run {len(rows)}/{len(runs)}  {text}")
    return Sweep(rows.values())


def _description(net: MLP, X: Any, y: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Return what the file of a sweep says of it."""
    return {
        **{name: value for name, value in net.get_config().items() if name != "seed"},
        "epochs": options["epochs"],
        "batch_size": options["batch_size"],
        "shared_delta": options["shared_delta"],
        "checksum of X": data.checksum(X),
        "checksum of y": data.checksum(y),
        "checksum of validation_data": data.checksum(*options["validation_data"]),
    }


def _values(name: str, given: Any, check: Callable[[str, Any], Any]) -> list[Any]:
    """Return the checked values of one hyper-parameter."""
    if isinstance(given, np.ndarray):
        given = given.tolist()
    if isinstance(given, str) or not isinstance(given, Iterable):
        given = [given]
    values = [check(name, value) for value in given]
    if not values:
        raise ValueError(f"{name} must hold at least one value, but is empty")
    if len(set(values)) < len(values):
        raise ValueError(f"{name} must not hold a value twice, but is {values}")
    return values


def _train_all(
    joblib: Any, n_jobs: int, runs: list[tuple[Any, ...]], *arguments: Any
) -> Generator[dict[str, Any]]:
    """Yield the rows of all runs, as they finish."""
    if not runs:
        return
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        jobs = min(joblib.effective_n_jobs(n_jobs), len(runs))
        # Runs are long: joblib's batches of several would only delay their lines in the file.
        parallel = joblib.Parallel(jobs, return_as="generator_unordered", batch_size=1)
        rows = parallel(joblib.delayed(_train)(run, *arguments) for run in runs)
    with closing(rows):
        yield from rows


def _train(
    run: tuple[Any, ...],
    net: MLP,
    X: ArrayLike,
    y: ArrayLike,
    options: dict[str, Any],
) -> dict[str, Any]:
    """Train one network; return its row."""
    from threadpoolctl import threadpool_limits

    row = dict(zip(RUN, run, strict=True))
    options = options | {name: row[name] for name in OPTIONS}
    num_threads = threads.get_num_threads()
    threads.set_num_threads(1)
    started = time.perf_counter()
    try:
        # Also here, for joblib limits other processes only, and sums that are split among threads
        # have other bits.
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            history = MLP(**net.get_config() | {"seed": row["seed"]}).fit(
                X, y, **options, verbose=0
            )
        if history.interrupted:  # `fit` has swallowed it
            raise Terminated if history.interrupted == "SIGTERM" else KeyboardInterrupt
        loss, score = history["val_loss"][-1], history["val_score"][-1]
        if not (math.isfinite(loss) and math.isfinite(score)):
            raise ValueError(f"the validation loss is {loss} and the validation score is {score}")
    except ValueError as error:
        loss = score = math.nan
        row["error"] = str(error)
    finally:
        threads.set_num_threads(num_threads)
    return row | {"loss": loss, "score": score, "seconds": time.perf_counter() - started}
