"""The results of `numadelta bench` as one picture, with matplotlib (the extra ``plot``)."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numadelta import extras, files
from numadelta.bench.report import percent, quantity
from numadelta.bench.runner import Result, Row

# The first word of a label, in the order of the legend.
COLORS = {
    "numadelta": "tab:blue",
    "PyTorch": "tab:red",
    "JAX": "tab:green",
    "Keras": "tab:olive",
    "scikit-learn": "tab:orange",
    "SciPy": "tab:purple",
    "NumPy": "tab:brown",
    "Numba": "tab:cyan",
}


def check(path: str | os.PathLike[str]) -> None:
    """Find out before measuring what would make the picture fail after it."""
    extras.require_matplotlib("--plot needs")
    from matplotlib.figure import Figure

    path = Path(path)
    formats = Figure().canvas.get_supported_filetypes()
    if path.suffix.lower().removeprefix(".") not in formats:
        raise ValueError(f"{path} does not end in .{', .'.join(sorted(formats))}")
    files.require_writable_file(path, in_place=True)


def draw(path: str | os.PathLike[str], title: str, results: Sequence[Result]) -> None:
    """Write a picture: a line for each job, and on it the medians as multiples of ours.

    Parameters
    ----------
    path : path
        The file.
    title : str
        What stands above.
    results : sequence of Result
        Jobs without a median of ours are left out.
    """
    from matplotlib.figure import Figure

    drawn = [result for result in results if not result.rows[0].limit and result.rows[0].median]
    figure = Figure(figsize=(11, 2 + 0.5 * len(drawn)), layout="constrained")
    ax = figure.subplots()
    families: set[str] = set()
    for y, result in enumerate(drawn):
        for row in result.rows:
            ratio = result.ratio(row)
            if ratio is None:
                continue
            if row.limit:
                ax.vlines(ratio, y - 0.35, y + 0.35, color="black", linewidth=2)
                continue
            family = _family(row)
            color = COLORS.get(family, "grey")
            best = not any(_is_faster(other, row) for other in result.rows)
            # Ours are on top.
            order = 4 if family == _family(result.rows[0]) else 3 if best else 2
            face = color if best else "white"
            ax.plot(ratio, y, "o", color=color, markerfacecolor=face, zorder=order)
            families.add(family)
    _label(ax, drawn)
    _legend(figure, families)
    ax.set_title(title, fontsize="small", loc="left")
    figure.savefig(path, dpi=120)


def _family(row: Row) -> str:
    return row.label.partition(",")[0]


def _is_faster(other: Row, row: Row) -> bool:
    """Tell whether it is faster and of the same library."""
    if other.limit or other.median is None or row.median is None:
        return False
    return _family(other) == _family(row) and other.median < row.median


def _label(ax: Any, drawn: Sequence[Result]) -> None:
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:g}\N{MULTIPLICATION SIGN}")
    ax.set_xlabel("median, as a multiple of numadelta's (left is faster)")
    ax.axvline(1, color=COLORS["numadelta"], linewidth=1, zorder=0)
    ax.grid(linewidth=0.5)
    ax.set_axisbelow(True)
    ax.set_yticks(range(len(drawn)), [textwrap.fill(result.job.title, 48) for result in drawn])
    ax.tick_params(axis="y", length=0, labelsize="small")
    ax.set_ylim((len(drawn) or 1) - 0.5, -0.5)  # the first job on top
    right = ax.secondary_yaxis("right")
    right.set_yticks(range(len(drawn)), [_ours(result) for result in drawn])
    right.tick_params(length=0, labelsize="small", labelcolor=COLORS["numadelta"])


def _ours(result: Result) -> str:
    """Return our median and how close it comes to the limit."""
    ours = result.rows[0]
    median, share = quantity(ours.median or 0.0, result.job.unit), result.share(ours)
    return median if share is None else f"{median}, {percent(share)} of the limit"


def _legend(figure: Any, families: set[str]) -> None:
    from matplotlib.lines import Line2D

    def sign(label: str, marker: str = "o", color: str = "grey", **more: Any) -> Line2D:
        return Line2D([], [], marker=marker, linestyle="", color=color, label=label, **more)

    handles = [sign(name, color=color) for name, color in COLORS.items() if name in families]
    handles.append(sign("slower variant of a library", markerfacecolor="white"))
    handles.append(sign("limit of the machine", "|", "black", markersize=12, markeredgewidth=2))
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=len(handles),
        frameon=False,
        fontsize="small",
        columnspacing=1.2,
        handletextpad=0.2,
    )
