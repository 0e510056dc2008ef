"""The pictures of a training that ``--plot`` asks for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import numadelta
from numadelta import extras, files
from numadelta.cli.options import PICTURES, UsageError
from numadelta.cli.sources import Source


def prepare(path: Path) -> None:
    """Find out before the training what would make the pictures fail after it."""
    extras.require_matplotlib("--plot needs")
    if not path.is_dir() and path.suffix.lower() in (".jpg", ".jpeg", ".gif", ".bmp", ".tif"):
        raise UsageError(f"--plot {path}: pictures are {', '.join(PICTURES)}, or give a folder")
    if _is_one_file(path):
        files.require_writable_file(path, in_place=True)
    elif path.is_dir():
        files.require_writable(path)
    else:
        files.require_writable_file(path)
        path.mkdir()


def _is_one_file(path: Path) -> bool:
    return path.suffix.lower() in PICTURES and not path.is_dir()


def draw(
    path: Path,
    source: Source,
    net: numadelta.MLP,
    history: numadelta.History,
    held_out: str,
    x_test: Any,
) -> list[str]:
    """Write the learning curves, or all pictures into a folder; return the paths."""
    plotting = numadelta.plotting

    def curves(ax: Any) -> Any:
        return plotting.learning_curves(history, ax, held_out=held_out)

    if _is_one_file(path):
        save(path, curves)
        return [str(path)]
    pictures: dict[str, Callable[[Any], Any]] = {
        "learning-curves": curves,
        "effective-rates": lambda ax: plotting.effective_rates(history, ax),
    }
    if source.images:
        pictures["first-layer"] = lambda ax: plotting.first_layer_weights(net, ax=ax)
    size = 0.0
    if source.classes is not None:
        labels = np.array(source.classes)
        size = 0.4 * min(len(labels), plotting.MOST_NUMBERS)
        true, predicted = labels[source.y_test], labels[net.predict(x_test)]
        pictures["confusion-matrix"] = lambda ax: plotting.confusion_matrix(
            true, predicted, labels, ax
        )
    written = []
    for name, draw_on in pictures.items():
        file = path / f"{name}.png"
        save(file, draw_on, size if name == "confusion-matrix" else 0.0)
        written.append(str(file))
    return written


def save(path: Path, draw_on: Callable[[Any], Any], size: float = 0.0) -> None:
    """Draw on new axes and write the figure, which no window ever shows."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(6.4, size), max(4.8, 0.75 * size)), layout="constrained")
    draw_on(figure.subplots())
    try:
        figure.savefig(path, dpi=120)
    except OSError as error:  # of a full disk it does not say which file
        raise OSError(error.errno, error.strerror, str(path)) from error
