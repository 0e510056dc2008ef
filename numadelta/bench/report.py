"""The results of `numadelta bench` as text, and as an object for JSON."""

from __future__ import annotations

import os
import platform
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from numadelta.bench.runner import (
    FAILED,
    LEFT_OUT,
    MISSING,
    OK,
    ROUNDS,
    Result,
    Row,
    usable_cores,
)


def describe_machine(threads: int) -> dict[str, Any]:
    """Return what a figure is worth nothing without."""
    return {
        "cpu": _cpu(),
        "cores": usable_cores(),
        "threads": threads,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load": _load(),
    }


def _load() -> float | None:
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):  # as on Windows, and in some sandboxes
        return None


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


WIDTH = 110
# Label, median, quartiles, ratio, limit, memory, first call and a note of at most 14 characters.
LINE = "  {:32}{:>9}{:>15}{:>8}{:>8}{:>9}{:>11}  {}"


def table(result: Result) -> str:
    """Return a job as lines of text."""
    columns = ("median", "quartiles", "ratio", "limit", "memory", "first call")
    lines = [result.job.title, LINE.format("", *columns, "").rstrip()]
    lines += [_line(row, result) for row in result.rows]
    return "\n".join(lines)


def _line(row: Row, result: Result) -> str:
    if row.status != OK or row.median is None:
        why = {FAILED: f"failed: {row.error}", MISSING: "not installed"}
        why |= {LEFT_OUT: "left out by --quick", OK: "no samples"}
        return f"  {row.label:32}    {why[row.status]}"
    scale, unit = _scale(row.median, result.job.unit)
    quartiles = [_digits(scale * value) for value in row.quartiles or ()]
    ratio = "" if row.limit else _known(result.ratio(row), _digits)
    share = "limit" if row.limit else _known(result.share(row), percent)
    memory = _known(row.peak_bytes, lambda size: f"{size / 1e6:.0f} MB")
    first_call = _known(row.compile_s or None, lambda seconds: "+" + quantity(seconds, "s"))
    note = _known(row.rate, lambda rate: f"{_digits(rate)} {row.rate_unit}") or row.note
    median = quantity(row.median, result.job.unit)
    cells = (median, " .. ".join(quartiles), ratio, share, memory, first_call, note)
    return LINE.format(row.label, *cells).rstrip()


def _known(value: Any, text: Callable[[Any], str]) -> str:
    return "" if value is None else text(value)


def percent(share: float) -> str:
    """Return a share of the limit."""
    # A limit is measured, too, and may be beaten: an import need not import NumPy.
    return f"{share:.0%}".replace("%", " %") if share <= 1 else ">100 %"


def quantity(value: float, unit: str) -> str:
    """Return three digits of a number, with the fitting prefix if it is seconds."""
    scale, unit = _scale(value, unit)
    return f"{_digits(scale * value)} {unit}".rstrip()


def _scale(value: float, unit: str) -> tuple[float, str]:
    """Return factor and name of the unit to print a number in."""
    if unit != "s":
        return 1.0, unit
    prefixes = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
    fitting = next((prefix for prefix in prefixes if value * prefixes[prefix] >= 0.9995), "ns")
    return prefixes[fitting], fitting


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
        f"{rounds}; ratio: to the median of the first row; limit: the share of its speed that is "
        "reached; memory: the most that the process held; first call: how much longer it took, "
        f"{caches}; last: rates, problems solved and how many only with tight tolerances, root mean"
        " square errors",
        f"measured: {', '.join(versions)}",
    ]
    missing = dict.fromkeys(module for row in rows for module in row.missing)
    if missing:
        lines.append(
            f"not installed: {', '.join(missing)}; pip install 'numadelta[peers]' adds them"
        )
    return "\n".join(textwrap.fill(line, WIDTH, break_on_hyphens=False) for line in lines)


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
                        "ratio": result.ratio(row),
                        "share_of_limit": result.share(row),
                        "rate": row.rate,
                    }
                    for row in result.rows
                ],
            }
            for result in results
        ],
    }
