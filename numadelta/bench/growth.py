"""`numadelta bench --growth`: how time grows with size, as a log-log picture of each part.

Every sweep is measured in a process of its own: `growth_steps` and `growth_minimisers` are the
workers, made of what is in `growth_points`.  `growth_picture` draws what they find.
"""

from __future__ import annotations

import json as json_format
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from numadelta import extras, files
from numadelta.bench import growth_picture, report, runner

# By name of the sweep, which is that of the worker's task and of the picture.
WORKERS = {
    "step": ("-m", "numadelta.bench.growth_steps"),
    "minimise": ("-m", "numadelta.bench.growth_minimisers"),
    "batch": ("-m", "numadelta.bench.growth_minimisers"),
    "mlp": ("-m", "numadelta.bench.growth_steps"),
}


def run(folder: str | os.PathLike[str], quick: bool = False, json: bool = False) -> int:
    """Measure how time grows, print it and draw it.

    Parameters
    ----------
    folder : path-like
        Where to write ``step.png``, ``minimise.png``, ``batch.png`` and ``mlp.png``.  It is made if
        it does not exist.
    quick : bool, default False
        Fewer and smaller sizes, few samples: half a minute instead of five, and half a gigabyte
        of memory instead of four.  Good for a look, not for quoting.
    json : bool, default False
        Print one JSON document at the end instead of a table for each sweep.

    Returns
    -------
    int
        0, or 1 if a worker failed.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    OSError
        If the folder cannot be made or written to.
    """
    extras.require_matplotlib("pictures need")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files.require_writable(folder)
    threads = runner.thread_count()
    machine = report.describe_machine(threads)
    where = f"{machine['cpu']}, {machine['cores']} cores" + (", quick" if quick else "")
    if not json:
        print(where if machine["load"] is None else f"{where}; load {machine['load']:.1f}")
    sweeps = {}
    for name in WORKERS:
        sweep = _measure(name, quick, threads)
        if sweep is None:
            continue
        sweeps[name] = sweep
        if not json:
            print("\n" + table(sweep), flush=True)
        growth_picture.draw(sweep, where).savefig(folder / f"{name}.png", dpi=120)
    if json:
        document = {"machine": machine, "quick": quick, "sweeps": sweeps}
        print(json_format.dumps(document, indent=2))
    return int(len(sweeps) < len(WORKERS))


def _measure(name: str, quick: bool, threads: int) -> dict[str, Any] | None:
    """Run the worker of a sweep; None if it failed, for a reason that it has printed."""
    command = [sys.executable, *WORKERS[name], name, *(["--quick"] if quick else [])]
    environ = runner.environment(threads, None)
    done = subprocess.run(command, env=environ, stdout=subprocess.PIPE, text=True, errors="replace")
    if done.returncode:
        print(f"{name}: the worker failed, exit status {done.returncode}", file=sys.stderr)
        return None
    return json_format.loads(done.stdout)


def table(sweep: dict[str, Any]) -> str:
    """Return a sweep as lines of text: a row for each size, a column for each curve."""
    curves = sweep["curves"]
    names, _, variants = zip(*(curve["label"].partition(", ") for curve in curves), strict=True)
    rows = [("", *names), (f"{sweep['each']}s", *variants)]
    for size in sorted({size for curve in curves for size in curve["sizes"]}):
        rows.append((f"{size:,}", *(_time(curve, size) for curve in curves)))
    width = 2 + max(len(cell) for row in rows for cell in row)
    lines = ["".join(f"{cell:>{width}}" for cell in row).rstrip() for row in rows]
    marks = [f"  at {mark['at']:,.0f}: {mark['why']}" for mark in sweep["marks"]]
    return "\n".join([f"{sweep['title']}: {sweep['time']}", *lines, *marks])


def _time(curve: dict[str, Any], size: int) -> str:
    seconds = dict(zip(curve["sizes"], curve["seconds"], strict=True)).get(size)
    return "" if seconds is None else report.quantity(seconds, "s")
