"""Pictures, with matplotlib (the extra ``plot``).  Each function draws on Axes and returns them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numadelta import arrays, extras
from numadelta.history import History
from numadelta.ranking import ranked

if TYPE_CHECKING:
    from numadelta.mlp import MLP

LOSSES = ("loss", "val_loss")
# A larger confusion matrix would take a minute to draw, with numbers that nobody could read.
MOST_NUMBERS = 40


def _axes(ax: Any | None) -> Any:
    if ax is not None:
        return ax
    extras.require_matplotlib("pictures need")
    from matplotlib import pyplot

    return pyplot.figure(layout="constrained").subplots()


def _label_epochs(ax: Any, epochs: NDArray[Any]) -> None:
    ax.set_xlabel("epoch")
    ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    if len(epochs) > 1:
        ax.set_xlim(epochs[0], epochs[-1])  # or there may be a tick at 0, which is none


def _label_powers(ax: Any) -> None:
    """Make the ordinate logarithmic, with plain numbers where there is room for them."""
    from matplotlib.ticker import LogLocator

    ax.set_yscale("log")
    low, high = ax.get_ylim()
    between = range(2, 10) if high < 10 * low else (2, 5) if high < 1e4 * low else ()
    ax.yaxis.set_minor_locator(LogLocator(subs=between))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter("{x:g}")


def _check_epochs(history: History) -> None:
    if not isinstance(history, History):
        raise TypeError(
            f"history is of type {type(history).__name__}, but a History is needed, as MLP.fit "
            "returns it; an estimator's is history_"
        )
    if not history.epoch:
        raise ValueError("history holds no whole epoch to draw")


def _write_in_cells(ax: Any, image: Any, texts: NDArray[Any], fontsize: float) -> None:
    """Write into each cell of an image, in black or white, whichever can be read there."""
    red, green, blue, alpha = np.moveaxis(image.to_rgba(image.get_array()), -1, 0)
    # What is transparent lies on light grey or white.
    dark = (0.299 * red + 0.587 * green + 0.114 * blue < 0.5) & (alpha > 0)
    for (row, column), text in np.ndenumerate(texts):
        color = "white" if dark[row, column] else "black"
        ax.text(column, row, text, color=color, fontsize=fontsize, ha="center", va="center")


def learning_curves(
    history: History, ax: Any | None = None, *, held_out: str = "validation"
) -> Any:
    """Draw training and validation loss, and the scores on a second axis.

    Parameters
    ----------
    history : History
        What `MLP.fit` returned; of an estimator, `history_`.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.
    held_out : str, default "validation"
        What the legend calls the data that was not trained on.

    Returns
    -------
    matplotlib Axes
        The axes with the losses.

    Raises
    ------
    ValueError
        If the history holds no whole epoch.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> import numpy as np
    >>> import numadelta as nd
    >>> X = np.linspace(-1, 1, 20)[:, np.newaxis]
    >>> history = nd.MLP((1, 2)).fit(X, X[:, 0] > 0, epochs=3, batch_size=20, verbose=0)
    >>> ax = nd.plotting.learning_curves(history, ax=Figure().subplots())
    >>> ax.get_xlabel()
    'epoch'
    """
    _check_epochs(history)
    ax = _axes(ax)
    epochs = np.array(history.epoch) + 1
    right, lines = None, []
    marker = "o" if len(epochs) == 1 else None  # of one epoch a line shows nothing
    for name in ("loss", "score", "val_loss", "val_score"):
        if name not in history.history:
            continue
        values = history[name]
        style = "-" if name.startswith("val_") else "--"
        label = f"{held_out if name.startswith('val_') else 'training'} {name.split('_')[-1]}"
        if name.endswith("loss"):
            lines += ax.plot(epochs, values, style, marker=marker, color="tab:blue", label=label)
        else:
            if right is None:
                right = ax.twinx()
                right.set_ylabel("score", color="tab:orange")
            lines += right.plot(
                epochs, values, style, marker=marker, color="tab:orange", label=label
            )
    _label_epochs(ax, epochs)
    ax.set_ylabel("loss", color="tab:blue")
    losses = [loss for name in LOSSES for loss in history.history.get(name, ()) if loss is not None]
    finite = [loss for loss in losses if math.isfinite(loss)]
    # A margin loss may reach zero, a log-likelihood be negative.
    if finite and min(finite) > 0:
        _label_powers(ax)
    ax.legend(handles=lines, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    return ax


def effective_rates(history: History, ax: Any | None = None) -> Any:
    """Draw ADADELTA's effective learning rates in each layer over the epochs.

    A line is the median over the parameters of a layer, the band around it goes from their 5 % to
    their 95 % quantile.

    Parameters
    ----------
    history : History
        What `MLP.fit` returned.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib Axes
        The axes.

    Raises
    ------
    ValueError
        If the history holds no whole epoch or no effective rates.

    Examples
    --------
    >>> import numadelta as nd
    >>> from matplotlib.figure import Figure
    >>> history = nd.History()
    >>> history.append({"effective_lr": [[0.001, 0.01, 0.1], [0.002, 0.02, 0.2]]})
    >>> ax = nd.plotting.effective_rates(history, ax=Figure().subplots())
    >>> [line.get_label() for line in ax.lines]
    ['layer 1', 'layer 2']
    """
    _check_epochs(history)
    if "effective_lr" not in history.history:
        raise ValueError('history holds no effective rates (its key "effective_lr" is missing)')
    rates = np.array(history["effective_lr"], dtype=float)
    if rates.ndim != 3 or rates.shape[::2] != (len(history.epoch), 3):
        raise ValueError(
            f'history["effective_lr"] has shape {rates.shape}, but three quantiles are needed for '
            f"each layer in each of {len(history.epoch)} epochs"
        )
    ax = _axes(ax)
    epochs = np.array(history.epoch) + 1
    layers = rates.shape[1]
    for layer, (low, median, high) in enumerate(rates.transpose(1, 2, 0), 1):
        # One on top of the other, as they often are, the lower one shows.
        width = min(1.5 + 1.5 * (layers - layer), 6)
        (line,) = ax.plot(epochs, median, ".-", linewidth=width, label=f"layer {layer}")
        ax.fill_between(epochs, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    _label_epochs(ax, epochs)
    ax.set_ylabel("effective learning rate (median, 5\N{EN DASH}95 %)")
    _label_powers(ax)
    columns = min(rates.shape[1], 4)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, frameon=False)
    return ax


def first_layer_weights(
    net: MLP, shape: tuple[int, int] | None = None, n: int = 25, ax: Any | None = None
) -> Any:
    """Draw what the units of the first layer look for: their incoming weights, as images.

    Parameters
    ----------
    net : MLP
        The network.
    shape : tuple of int, optional
        Height and width of an image; by default it is a square.
    n : int, default 25
        How many units to show: those with the largest norm of their weights, in decreasing order.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib Axes
        The axes with the images side by side.

    Raises
    ------
    TypeError, ValueError
        If the inputs are not as many as an image of this shape has pixels, or `n` is no positive
        integer.

    Examples
    --------
    >>> import numadelta as nd
    >>> from matplotlib.figure import Figure
    >>> net = nd.MLP((6, 4, 2))
    >>> ax = nd.plotting.first_layer_weights(net, shape=(2, 3), ax=Figure().subplots())
    >>> ax.images[0].get_array().shape
    (5, 7)
    """
    weights = net.weights[0]
    height, width = _image_shape(shape, len(weights))
    n = arrays.check_count("n", n, 1)
    largest = np.argsort(-np.linalg.norm(weights, axis=0), kind="stable")[:n]
    ax = _axes(ax)
    # As near to a square as whole images allow.
    columns = math.ceil(math.sqrt(len(largest) * height / width))
    rows = math.ceil(len(largest) / columns)
    gap = 1 + max(height, width) // 30
    mosaic = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), np.nan)
    for place, unit in enumerate(largest):
        top, left = place // columns * (height + gap), place % columns * (width + gap)
        image = weights[:, unit].reshape(height, width)
        mosaic[top : top + height, left : left + width] = image
    limit = np.nanmax(np.abs(mosaic)) or 1.0
    image = ax.imshow(mosaic, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    ax.set_facecolor("0.8")  # shows in the gaps
    ax.figure.colorbar(image, ax=ax, label="weight")
    return ax


def _image_shape(shape: tuple[int, int] | None, n_inputs: int) -> tuple[int, int]:
    if shape is None:
        side = math.isqrt(n_inputs)
        if side**2 != n_inputs:
            raise ValueError(
                f"shape must be given, for the {n_inputs} inputs of the network make no square"
            )
        return side, side
    if np.shape(shape) != (2,):
        raise ValueError(f"shape must be (height, width), but is {shape!r}")
    height, width = (arrays.check_integer("shape", side) for side in shape)
    if height < 1 or height * width != n_inputs:
        raise ValueError(
            f"shape must be that of {n_inputs} pixels, one for each input of the network, "
            f"but is {shape}"
        )
    return height, width


def confusion_matrix(
    y_true: ArrayLike, y_pred: ArrayLike, labels: ArrayLike | None = None, ax: Any | None = None
) -> Any:
    """Draw how often each class was taken for which.

    Rows are the true classes, columns the predicted ones.  The numbers are counts, up to 40
    classes; the colour is the share in the row.

    Parameters
    ----------
    y_true, y_pred : array_like, shape (n_samples,)
        True and predicted labels: integers or strings.
    labels : array_like, optional
        All labels, in the order in which to show them; by default those that occur, sorted.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib Axes
        The axes.

    Raises
    ------
    TypeError
        If strings are mixed with numbers.
    ValueError
        If the arrays are empty, not one-dimensional or not of the same length, or if `labels`
        lacks one that occurs or holds one twice.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from numadelta import plotting
    >>> ax = plotting.confusion_matrix([7, 7, 9], [7, 9, 9], ax=Figure().subplots())
    >>> [text.get_text() for text in ax.texts]
    ['1', '1', '0', '1']
    """
    true, predicted = _labels("y_true", y_true), _labels("y_pred", y_pred)
    if len(true) != len(predicted):
        raise ValueError(f"y_true has {len(true)} labels, but y_pred has {len(predicted)}")
    known = np.union1d(true, predicted) if labels is None else _labels("labels", labels)
    if len({array.dtype.kind in "US" for array in (true, predicted, known)}) > 1:
        raise TypeError(
            "labels must be all strings or all numbers, but y_true, y_pred and labels have dtypes "
            f"{true.dtype}, {predicted.dtype} and {known.dtype}"
        )
    order = np.argsort(known, kind="stable")
    if (known[order][1:] == known[order][:-1]).any():
        raise ValueError(f"labels must not hold a label twice, but is {known}")
    for name, found in (("y_true", true), ("y_pred", predicted)):
        if len(strange := np.setdiff1d(found, known)):
            raise ValueError(f"{name} holds {strange[0]}, which is not in labels")
    ax = _axes(ax)
    counts = np.zeros((len(known), len(known)), dtype=int)
    places = (order[np.searchsorted(known, found, sorter=order)] for found in (true, predicted))
    np.add.at(counts, tuple(places), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(known) <= MOST_NUMBERS:
        _write_in_cells(ax, image, counts, fontsize=min(10, 90 / len(known)))
    names = [str(label) for label in known]
    slanted = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    ticks = range(0, len(names), -(-len(names) // MOST_NUMBERS))
    names = [names[k] for k in ticks]
    # A dollar sign is one, and begins no formula.
    plain = {"parse_math": False}
    ax.set_xticks(ticks, names, **plain, **(slanted if max(map(len, names)) > 3 else {}))
    ax.set_yticks(ticks, names, **plain)
    ax.set_xlabel("predicted")
    ax.set_ylabel("true")
    ax.figure.colorbar(image, ax=ax, label="share of the true class")
    return ax


def _labels(name: str, given: ArrayLike) -> NDArray[Any]:
    labels = np.asarray(given)
    if labels.ndim != 1 or not len(labels):
        raise ValueError(f"{name} has shape {labels.shape}, but (n,) with n > 0 is needed")
    # Columns of strings are often arrays of objects.
    return np.array(labels.tolist()) if labels.dtype == object else labels


def rho_eps_heat_map(
    rows: Any,
    value: str = "score",
    lr: float | None = None,
    ax: Any | None = None,
) -> Any:
    """Draw a figure of a sweep over `rho` and `eps`, averaged over the seeds.

    The best cell has a frame: the one that `Sweep.best` names, if the figure is the score.  A cell
    is grey if a run failed there, and empty if there was none.

    Parameters
    ----------
    rows : iterable of dict, or Sweep
        The runs.  Each has ``rho``, ``eps``, ``lr`` and figures, which are NaN, None or missing if
        it failed.
    value : str, default "score"
        The figure to draw.  Less is better if its name ends in ``loss``, else more.
    lr : float, optional
        The factor whose runs to draw; by default the one with the best cell.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib Axes
        The axes.

    Raises
    ------
    ValueError
        If there are no runs, none has that figure or that `lr`, or one lacks a hyper-parameter.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from numadelta import plotting
    >>> runs = [
    ...     {"rho": rho, "eps": 1e-6, "lr": 1.0, "seed": seed, "score": rho - seed / 10}
    ...     for rho in (0.9, 0.95)
    ...     for seed in (0, 1)
    ... ]
    >>> ax = plotting.rho_eps_heat_map(runs, ax=Figure().subplots())
    >>> [text.get_text() for text in ax.texts]
    ['0.8500', '0.9000']
    """
    runs = list(getattr(rows, "rows", rows))
    for run in runs:
        if lacking := [name for name in ("rho", "eps", "lr") if name not in run]:
            raise ValueError(f"rows holds {run}, which has no {' and no '.join(lacking)}")
    if not any(value in run for run in runs):
        keys = ", ".join(dict.fromkeys(key for run in runs for key in run))
        raise ValueError(f"value is {value!r}, but rows has {f'only {keys}' if runs else 'no run'}")
    lrs, rhos, epss = (sorted({run[name] for run in runs}) for name in ("lr", "rho", "eps"))
    if lr is not None and lr not in lrs:
        raise ValueError(f"lr is {lr}, but rows has only {', '.join(map(str, lrs))}")

    ranking = [entry for entry in ranked(runs, value) if lr is None or entry["lr"] == lr]
    best = ranking[0]
    means = np.full((len(rhos), len(epss)), np.nan)
    texts = np.full(means.shape, "", dtype=object)
    for entry in ranking:
        if entry["lr"] != best["lr"]:
            continue
        place = rhos.index(entry["rho"]), epss.index(entry["eps"])
        if entry["failed"]:
            texts[place] = f"failed\n{entry['failed']} of {entry['failed'] + entry['good']}"
        else:
            means[place] = entry["mean"]
            texts[place] = f"{entry['mean']:{'.4g' if value.endswith('loss') else '.4f'}}"

    ax = _axes(ax)
    from matplotlib.patches import Rectangle

    colors = "viridis_r" if value.endswith("loss") else "viridis"  # yellow is best
    ax.set_facecolor("0.85")
    image = ax.imshow(means, cmap=colors, origin="lower", aspect="auto")
    _write_in_cells(ax, image, texts, fontsize=10)
    if best["good"]:
        corner = epss.index(best["eps"]) - 0.5, rhos.index(best["rho"]) - 0.5
        ax.add_patch(
            Rectangle(corner, 1, 1, fill=False, edgecolor="tab:red", linewidth=3, clip_on=False)
        )
    # As 1e-06: a grid of them is usually logarithmic.
    powers = [np.format_float_scientific(eps, trim="-", exp_digits=2) for eps in epss]
    ax.set_xticks(range(len(epss)), powers)
    ax.set_yticks(range(len(rhos)), [f"{rho:g}" for rho in rhos])
    ax.set_xlabel("eps")
    ax.set_ylabel("rho")
    if len(lrs) > 1:
        ax.set_title(f"lr = {best['lr']:g}")
    ax.figure.colorbar(image, ax=ax, label=f"mean {value} over the seeds")
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

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> import numadelta as nd
    >>> def bowl(x):
    ...     return x[0] ** 2 + 2 * x[1] ** 2
    >>> res = nd.minimize(bowl, [2.0, 1.0], return_all=True)
    >>> ax = nd.plotting.contour_path(bowl, res.allvecs, ax=Figure().subplots())
    >>> len(ax.lines) > 0
    True
    """
    points = np.asarray(path, dtype=float)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ValueError(f"path has shape {points.shape}, but (n, 2) with n > 0 is needed")
    limits = []
    for given, values in zip((xlim, ylim), points.T, strict=True):
        margin = 0.15 * (np.ptp(values) or 1.0)
        around = values.min() - margin, values.max() + margin
        limits.append(around if given is None else given)
    x, y = (np.linspace(low, high, 200) for low, high in limits)
    heights = np.array([[fun(np.array([a, b])) for a in x] for b in y], dtype=float)
    heights[~np.isfinite(heights)] = np.nan  # which stays white, as where nothing is defined
    if np.isnan(heights).all():
        raise ValueError("fun is nowhere finite in xlim and ylim")
    ax = _axes(ax)
    # Logarithmic levels: narrow valleys would show no line at equal distances.
    heights = np.log10(heights - np.nanmin(heights) + 1e-3)
    ax.contour(x, y, heights, levels=25, cmap="Greys", linewidths=0.7)
    ax.plot(*points.T, "-", color="tab:red", linewidth=1)
    ax.plot(*points[0], "o", color="tab:red", label="start")
    ax.plot(*points[-1], "*", color="tab:blue", markersize=12, label="end")
    ax.set_xlabel("x[0]")
    ax.set_ylabel("x[1]")
    ax.legend()
    return ax
