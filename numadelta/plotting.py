"""Pictures, with matplotlib (the extra ``plot``).  Each function draws on Axes and returns them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from numadelta.training import History


def _axes(ax: Any | None) -> Any:
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            "pictures need matplotlib: pip install numadelta[plot]", name="matplotlib"
        ) from error
    return pyplot.figure(layout="constrained").subplots()


def learning_curves(history: History, ax: Any | None = None) -> Any:
    """Draw training and validation loss, and the scores on a second axis.

    Parameters
    ----------
    history : History
        What `MLP.fit` returned.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib Axes
        The axes with the losses.
    """
    if not history.epoch:
        raise ValueError("history holds no whole epoch to draw")
    ax = _axes(ax)
    epochs = np.array(history.epoch) + 1
    right, lines = None, []
    for name, values in history.history.items():
        style = "-" if name.startswith("val_") else "--"
        label = ("validation " if name.startswith("val_") else "training ") + name.split("_")[-1]
        if name.endswith("loss"):
            lines += ax.plot(epochs, values, style, color="tab:blue", label=label)
        elif name.endswith("score"):
            if right is None:
                right = ax.twinx()
                right.set_ylabel("score", color="tab:orange")
            lines += right.plot(epochs, values, style, color="tab:orange", label=label)
    ax.set_xlabel("epoch")
    ax.set_ylabel("loss", color="tab:blue")
    ax.set_yscale("log")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend(handles=lines, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    return ax


def contour_path(
    fun: Callable[[np.ndarray], float],
    path: ArrayLike,
    ax: Any | None = None,
    *,
    xlim: tuple[float, float] | None = None,
    ylim: tuple[float, float] | None = None,
) -> Any:
    """Draw the path of a minimiser over the contours of a function of two variables.

    Parameters
    ----------
    fun : callable
        ``fun(x) -> float`` for `x` of shape (2,).
    path : array_like, shape (n, 2)
        The points visited, as in ``result.allvecs``.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.
    xlim, ylim : tuple of float, optional
        Limits of the picture; a little more than the path by default.

    Returns
    -------
    matplotlib Axes
        The axes.
    """
    ax = _axes(ax)
    points = np.asarray(path, dtype=float)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ValueError(f"path has shape {points.shape}, but (n, 2) with n > 0 is needed")
    limits = []
    for given, values in zip((xlim, ylim), points.T, strict=True):
        margin = 0.15 * (np.ptp(values) or 1.0)
        around = values.min() - margin, values.max() + margin
        limits.append(around if given is None else given)
    x, y = (np.linspace(low, high, 200) for low, high in limits)
    heights = np.array([[fun(np.array([a, b])) for a in x] for b in y])
    # Logarithmic levels: narrow valleys would show no line at equal distances.
    heights = np.log10(heights - heights.min() + 1e-3)
    ax.contour(x, y, heights, levels=25, cmap="Greys", linewidths=0.7)
    ax.plot(*points.T, "-", color="tab:red", linewidth=1)
    ax.plot(*points[0], "o", color="tab:red", label="start")
    ax.plot(*points[-1], "*", color="tab:blue", markersize=12, label="end")
    ax.set_xlabel("x[0]")
    ax.set_ylabel("x[1]")
    ax.legend()
    return ax
