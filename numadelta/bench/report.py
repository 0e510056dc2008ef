"""The results of `numadelta bench` as text, and as an object for JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numadelta.bench.runner import FAILED, LEFT_OUT, MISSING, ROUNDS, Result, Row, usable_cores


def describe_machine(threads: int) -> dict[str, Any]:
    """Return what a figure is worth nothing without."""
    return {
        "cpu": _cpu(),
        "cores": usable_cores(),
        "threads": threads,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or "unknown CPU"


def head(machine: dict[str, Any], quick: bool) -> str:
    """Return the lines above the tables."""
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}, "
        f"Python {machine['python']}",
        f"{machine['threads']} threads for every library (SciPy: one); each figure from its own "
        "process; warm-up and compilation excluded",
    ]
    if quick:
        lines.append("quick: few samples of smaller jobs, not for quoting")
    if machine["load"] is not None and machine["load"] > 0.5:
        lines.append(f"the machine is busy (load {machine['load']:.1f}): figures may be off")
    return "\n".join(lines)


def table(result: Result) -> str:
    """Return a job as lines of text."""
    lines = [result.job.title]
    lines.append(f"  {'':34}{'median':>10}{'quartiles':>22}{'ratio':>9}{'first call':>12}")
    for row in result.rows:
        lines.append(f"  {row.label:34}{_figures(row, result.rows[0], result.job.unit)}".rstrip())
    return "\n".join(lines)


def _figures(row: Row, ours: Row, unit: str) -> str:
    if row.status == FAILED:
        return f"    failed: {row.error}"
    if row.status == MISSING:
        return "    not installed"
    if row.status == LEFT_OUT:
        return "    left out by --quick"
    if row.median is None:
        return "    no samples"
    quartiles = ""
    if row.quartiles is not None:
        quartiles = " .. ".join(quantity(value, unit) for value in row.quartiles)
    ratio = _ratio(row, ours)
    cells = (
        f"{quantity(row.median, unit):>10}",
        f"{quartiles:>22}",
        f"{'' if ratio is None else _digits(ratio):>9}",
        f"{'' if row.compile_s is None else '+' + quantity(row.compile_s, 's'):>12}",
        f"  {row.note}",
    )
    return "".join(cells)


def quantity(value: float, unit: str) -> str:
    """Return three digits of a number, with the fitting prefix if it is seconds."""
    if unit != "s":
        return _digits(value)
    prefixes = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
    fitting = next((prefix for prefix in prefixes if value * prefixes[prefix] >= 0.9995), "ns")
    return f"{_digits(value * prefixes[fitting])} {fitting}"


def _digits(value: float) -> str:
    """Three digits, zeros included."""
    return f"{value:.{0 if value >= 99.95 else 1 if value >= 9.995 else 2}f}"


def foot(results: Sequence[Result], quick: bool) -> str:
    """Return the lines below the tables."""
    rows = [row for result in results for row in result.rows]
    versions = dict.fromkeys(
        name for row in rows if row.version for name in row.version.split(", ")
    )
    caches = "with the caches as they were found" if quick else "with empty caches"
    rounds = "1 round" if quick else f"{ROUNDS} rounds"
    lines = [
        f"{rounds}; ratio: median over that of the first row; first call: how much longer it took, "
        f"{caches}",
        f"measured: {', '.join(versions)}",
    ]
    missing = dict.fromkeys(module for row in rows for module in row.missing)
    if missing:
        lines.append(
            f"not installed: {', '.join(missing)}; pip install 'numadelta[peers]' adds them"
        )
    return "\n".join(lines)


def document(machine: dict[str, Any], quick: bool, results: Sequence[Result]) -> dict[str, Any]:
    """Return everything as an object for JSON; times are in seconds."""
    return {
        "machine": machine,
        "quick": quick,
        "jobs": [
            {
                "title": result.job.title,
                "unit": result.job.unit,
                "rows": [
                    vars(row)
                    | {
                        "median": row.median,
                        "quartiles": row.quartiles,
                        "ratio": _ratio(row, result.rows[0]),
                    }
                    for row in result.rows
                ],
            }
            for result in results
        ],
    }


def _ratio(row: Row, ours: Row) -> float | None:
    return row.median / ours.median if row.median and ours.median else None
