"""The picture of a sweep of `growth`, with matplotlib (the extra ``plot``)."""

from __future__ import annotations

from typing import Any

import numpy as np

LIMIT_COLOR = "0.5"
MARK_COLOR = "tab:red"
STYLES = ("-", "--", ":")
# In points: the panels, and what two slanted lines of text are apart to be read.
PANEL_WIDTH, LABEL_GAP = 500, 15
UNITS = {"ns": ("ns", 1e9), "us": ("\N{MICRO SIGN}s", 1e6)}


def draw(sweep: dict[str, Any], machine: str) -> Any:
    """Draw the times over the size, and below the times for each element, where bends show best.

    Parameters
    ----------
    sweep : dict
        What a worker of `growth` found.
    machine : str
        Where it was measured.

    Returns
    -------
    matplotlib Figure
        The picture.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    figure = Figure(figsize=(8, 8.5), layout="constrained")
    figure.suptitle(f"{sweep['title']}\n{machine}", fontsize="medium")
    whole, each = figure.subplots(2, sharex=True)
    unit, factor = UNITS[sweep["unit"]]
    for curve, style in zip(sweep["curves"], _styles(sweep["curves"]), strict=True):
        sizes, seconds = np.array(curve["sizes"]), np.array(curve["seconds"])
        whole.plot(sizes, seconds, label=curve["label"], **style)
        each.plot(sizes, factor * seconds / sizes, **style)
    for ax in (whole, each):
        ax.set(xscale="log", yscale="log", axisbelow=True)
        ax.grid(which="major", color="0.85")
        ax.grid(which="minor", color="0.95")
    _draw_marks(whole, each, sweep["marks"])
    whole.yaxis.set_major_formatter(EngFormatter(unit="s"))
    whole.set_ylabel(sweep["time"])
    whole.legend(loc="upper left")
    each.yaxis.set_major_formatter("{x:g}")
    each.set_ylabel(f"{unit} for each {sweep['each']}")
    each.set_xlabel(f"n, {sweep['each']}s")
    return figure


def _styles(curves: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a style for each curve: a colour for a name, and dashes for its variants."""
    colors: dict[str, str] = {}
    variants: dict[str, int] = {}
    found = []
    for curve in curves:
        name = curve["label"].partition(",")[0]
        colors.setdefault(name, LIMIT_COLOR if curve["limit"] else f"C{len(colors)}")
        variants[name] = variants.get(name, -1) + 1
        found.append({"color": colors[name], "linestyle": STYLES[variants[name]], "marker": "."})
    return found


def _draw_marks(top: Any, bottom: Any, marks: list[dict[str, Any]]) -> None:
    """Draw a line through both panels for each mark within them, and its reason above."""
    low, high = top.get_xlim()
    last = -LABEL_GAP
    for mark in sorted(marks, key=lambda mark: mark["at"]):
        if not low < mark["at"] < high:
            continue
        place = PANEL_WIDTH * np.log(mark["at"] / low) / np.log(high / low)
        last = max(place, last + LABEL_GAP)
        for ax in (top, bottom):
            ax.axvline(mark["at"], color=MARK_COLOR, linewidth=0.7, zorder=1.5)
        top.annotate(
            mark["why"],
            (mark["at"], 1.0),
            (last - place, 3),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            rotation=40,
            fontsize="small",
            color=MARK_COLOR,
        )
