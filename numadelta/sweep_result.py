"""What a sweep came to: rows, a table, a recommendation, a picture."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable
from typing import Any

import numpy as np

from numadelta import plotting
from numadelta.ranking import OPTIONS, ranked

RUN = (*OPTIONS, "seed")
FIGURES = ("loss", "score", "seconds")


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return what tells the run of a row from the others: its options and its seed."""
    return tuple(row[name] for name in RUN)


class Sweep:
    """What the runs of a sweep came to.  Printed, it is a table with a recommendation.

    Parameters
    ----------
    rows : iterable of dict
        One for each run, as in `rows` below; at least one.

    Attributes
    ----------
    rows : list of dict
        One for each run, sorted: ``lr``, ``rho``, ``eps``, ``seed``, ``loss`` and ``score`` on the
        validation data after the last epoch, and ``seconds``.  A run that failed has NaN for loss
        and score, and an ``error``.

    Examples
    --------
    >>> import numadelta as nd
    >>> from numadelta.sweep_result import Sweep
    >>> run = {"lr": 1.0, "eps": 1e-6, "loss": 0.3, "seconds": 2.0}
    >>> rows = [
    ...     {**run, "rho": rho, "seed": seed, "score": rho - 0.01 * seed}
    ...     for rho in (0.9, 0.95)
    ...     for seed in (0, 1)
    ... ]
    >>> print(Sweep(rows))
    lr   rho    eps   score     std        min - max  loss  seconds  failed
     1  0.95  1e-06  0.9450  0.0071  0.9400 - 0.9500   0.3        2       0
     1   0.9  1e-06  0.8950  0.0071  0.8900 - 0.9000   0.3        2       0
    <BLANKLINE>
    Best of 2: lr=1, rho=0.95, eps=1e-06, with a score of 0.9450 +- 0.0071 (mean and standard
    deviation over 2 seeds). Others within its spread or their own: 0 of 1.
    """

    def __init__(self, rows: Iterable[dict[str, Any]]) -> None:
        self.rows = sorted(rows, key=key)
        if not self.rows:
            raise ValueError("rows must hold at least one run, but is empty")

    def table(self) -> str:
        """Return a line for each combination, best first, with its figures over the seeds.

        Returns
        -------
        str
            Mean, standard deviation and range of the score, mean loss and mean seconds, all but the
            seconds over the runs that did not fail, and how many failed.
        """
        lines = [[*OPTIONS, "score", "std", "min - max", "loss", "seconds", "failed"]]
        for entry in ranked(self.rows):
            score, std, low, high = (
                f"{entry[name]:.4f}" if math.isfinite(entry[name]) else "-"
                for name in ("mean", "std", "min", "max")
            )
            loss = f"{entry['loss']:.4g}" if entry["good"] else "-"
            options = [f"{entry[name]:.9g}" for name in OPTIONS]
            seconds, failed = f"{entry['seconds']:.3g}", str(entry["failed"])
            lines.append([*options, score, std, f"{low} - {high}", loss, seconds, failed])
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join("  ".join(map(str.rjust, line, widths)) for line in lines)

    @property
    def best(self) -> dict[str, float]:
        """The combination with the best mean score; those with failed runs come after all others.

        Raises
        ------
        ValueError
            If every run failed.
        """
        best = ranked(self.rows)[0]
        if not best["good"]:
            raise ValueError(f"there is no best combination: {self.recommendation()}")
        return {name: best[name] for name in OPTIONS}

    def recommendation(self) -> str:
        """Return in words which combination is best, and whether it stands out from the noise.

        Returns
        -------
        str
            One to three sentences.
        """
        best, *others = ranked(self.rows)
        if not best["good"]:
            return f"Every run failed; the first: {self.rows[0].get('error', 'no score')}"
        options = ", ".join(f"{name}={best[name]:.9g}" for name in OPTIONS)
        text = f"Best of {1 + len(others)}: {options}, with a score of {best['mean']:.4f}"
        if best["good"] == 1:
            text += " from a single seed, so the spread is unknown."
        else:
            seeds = f"(mean and standard deviation over {best['good']} seeds)"
            text += f" +- {best['std']:.4f} {seeds}."
            near = sum(
                entry["failed"] <= best["failed"]
                and entry["mean"] >= best["mean"] - np.fmax(best["std"], entry["std"])
                for entry in others
            )
            if others:
                text += f" Others within its spread or their own: {near} of {len(others)}."
        if best["failed"]:
            text += f" Runs of every combination failed, {best['failed']} of this one."
        return text

    def plot(self, ax: Any | None = None) -> Any:
        """Draw the mean score over rho and eps.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.

        Returns
        -------
        matplotlib Axes
            The axes.
        """
        return plotting.rho_eps_heat_map(self.rows, ax=ax)

    def __str__(self) -> str:
        return f"{self.table()}\n\n{textwrap.fill(self.recommendation(), 96)}"

    def __repr__(self) -> str:
        combinations = len({key(row)[:3] for row in self.rows})
        return f"Sweep({len(self.rows)} runs, {combinations} combinations)"
