"""Which combination of hyper-parameters is best in the runs of a sweep."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from typing import Any

OPTIONS = ("lr", "rho", "eps")


def ranked(rows: Iterable[dict[str, Any]], value: str = "score") -> list[dict[str, Any]]:
    """Return the statistics of a figure for each combination, the best first.

    Less is better if its name ends in ``loss``.  Combinations with failed runs come after all
    others; where two are equal, the mean loss decides.
    """
    combinations: dict[tuple[float, ...], list[dict[str, Any]]] = {}
    for row in rows:
        combinations.setdefault(tuple(row[name] for name in OPTIONS), []).append(row)
    entries = [
        dict(zip(OPTIONS, options, strict=True)) | _statistics(group, value)
        for options, group in combinations.items()
    ]
    sign = 1 if value.endswith("loss") else -1
    return sorted(entries, key=lambda entry: (entry["failed"], sign * entry["mean"], entry["loss"]))


def _statistics(rows: list[dict[str, Any]], value: str) -> dict[str, Any]:
    """Return those of the runs of one combination that did not fail."""
    good = [row for row in rows if math.isfinite(_figure(row, value))]
    figures = [row[value] for row in good]
    worst = math.inf if value.endswith("loss") else -math.inf
    return {
        "mean": statistics.fmean(figures) if good else worst,
        "std": statistics.stdev(figures) if len(good) > 1 else math.nan,
        "min": min(figures, default=math.nan),
        "max": max(figures, default=math.nan),
        "loss": statistics.fmean(_figure(row, "loss") for row in good) if good else math.inf,
        "seconds": statistics.fmean(_figure(row, "seconds") for row in rows),
        "good": len(good),
        "failed": len(rows) - len(good),
    }


def _figure(row: dict[str, Any], name: str) -> float:
    figure = row.get(name)
    return math.nan if figure is None else figure
