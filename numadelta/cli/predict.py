"""``numadelta predict``: what a saved network says of data."""

from __future__ import annotations

import argparse
import csv
import io
import math
import os
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import numadelta
from numadelta import files
from numadelta.cli import options, sources, strict_json, tables
from numadelta.cli.options import NAMED
from numadelta.cli.scaling import folded
from numadelta.cli.tables import TRUTH


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "predict",
        help="apply a saved network to data",
        description="Print a prediction for each row of the data, one a line.",
    )
    parser.set_defaults(command=run)
    parser.add_argument(
        "model",
        type=options.path,
        metavar="MODEL",
        help="file of `train --save` or of MLP.save, or a checkpoint: DIR/best.npz",
    )
    parser.add_argument(
        "data",
        type=options.dataset((*options.TABLES, ".npy")),
        metavar="DATA",
        help="FILE.csv (columns are matched by name, where there are names), FILE.npz (X or "
        "x_test), FILE.npy, or the test part of mnist, fashion-mnist or digits; where the data "
        "has targets, the score is printed to stderr",
    )
    parser.add_argument("--data-dir", type=options.path, metavar="DIR", help="as in `train`")
    parser.add_argument(
        "--proba",
        action="store_true",
        help="print the probabilities of the classes, with commas and a header",
    )
    parser.add_argument("--output", type=options.path, metavar="FILE", help="write there instead")
    parser.add_argument("--json", action="store_true", help="as one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Predict and print."""
    if arguments.output is not None:
        files.require_writable_file(arguments.output)
    net = _load_net(arguments.model)
    X, y = _load_data(arguments.data, arguments.data_dir, net)
    classes = _classes(net)
    predicted = net.predict(X)
    labels = _labels(net, predicted, classes)
    proba = net.predict_proba(X) if arguments.proba else None
    score = None if y is None else _score(net, X, y, labels)
    if arguments.json:
        result = {
            "model": arguments.model,
            "data": arguments.data,
            "rows": len(labels),
            "predictions": labels,
            "classes": classes,
            "score": score,
        }
        if proba is not None:
            result["probabilities"] = proba
        text = strict_json.dumps(result) + "\n"
    elif proba is not None:
        header = (classes or ["1"])[-1:] if proba.ndim == 1 else classes or range(proba.shape[1])
        text = _lines([header, *proba.reshape(len(proba), -1)])
    elif predicted.ndim == 2:
        text = _lines(predicted)
    else:
        text = "".join(map(_line, labels))
    if arguments.output is None:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")  # a label is never rewritten
        print(text, end="")
    else:
        # Of a link, that to which it leads.
        files.replace(os.path.realpath(arguments.output), text.encode())
    if score is not None:
        measure = f"accuracy {score:.2%}" if net.loss != "squared_error" else f"R^2 {score:.4f}"
        print(f"{arguments.data}: {measure} ({len(labels)} rows)", file=sys.stderr)
    return 0


def _load_net(path: Path) -> numadelta.MLP:
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, but a file is needed: {path / 'best.npz'}?")
    net = numadelta.MLP.load(path)
    try:
        return folded(net)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the standardisation noted in {path} does not fit: {error}") from error


def _load_data(data: str, data_dir: Path | None, net: numadelta.MLP) -> tuple[Any, Any]:
    """Return samples and targets, None where there are none."""
    path = Path(data)
    options.check_data_dir(data_dir, data, "the data")
    if data in NAMED:
        _, _, (X, y) = sources.load_named(data, data_dir)
    elif path.suffix.lower() == ".csv":
        return _load_csv(path, net)
    else:
        arrays = tables.read_arrays(path, ("X", "y", "x_test", "y_test"))
        name = "X" if "X" in arrays else "x_test"
        if name not in arrays:
            raise ValueError(f"{path} holds {', '.join(arrays) or 'nothing'}, but no X or x_test")
        X, y = arrays[name], arrays.get("y" if name == "X" else "y_test")
    return tables.matrix(data, X), y


def _load_csv(path: Path, net: numadelta.MLP) -> tuple[NDArray[Any], Any]:
    wanted, noted, target = net.notes.get("columns"), net.notes.get("target"), None
    table = tables.read_csv(path, wanted or ())
    if table.names is not None and wanted:
        places = {name: place for place, name in enumerate(table.names)}
        if missing := [name for name in wanted if name not in places]:
            raise ValueError(f"{path} lacks the columns {', '.join(map(repr, missing))}")
        columns = [places[name] for name in wanted]
        target = table.names.index(noted) if noted in table.names else None
    else:
        if table.names is not None and table.first_line is not None:
            warnings.warn(f"{path}: the first line is taken for {table.first_line}", stacklevel=2)
        columns, inputs = list(range(table.width)), net.layer_sizes[0]
        if len(columns) > inputs:
            columns = table.without_index(columns)
        if len(columns) == inputs + 1:
            target = _extra_column(table, columns, noted)
        columns = [column for column in columns if column != target]
    X = table.numbers(columns)
    if target is None:
        return X, None
    try:
        classes = _classes(net)
        if classes and isinstance(classes[0], str):
            return X, np.array(table.texts(target))
        return X, table.target(target, numeric=net.loss != "cross_entropy")
    except ValueError as error:  # as in a table that is to be filled in
        _warn_of_no_score(error)
        return X, None


def _extra_column(table: tables.Table, columns: list[int], noted: str | int | None) -> int | None:
    """Return the place of the target in columns of which there is one too many for the network."""
    if table.names is not None:
        guess = table.guess_target()
        return columns[0] + noted - 1 if guess is None and isinstance(noted, int) else guess
    if isinstance(noted, str):
        raise ValueError(
            f"{table.path} has no header, and a column too many: which is {noted!r}, the target?"
        )
    return table.width - 1 if noted is None else noted - 1


def _warn_of_no_score(error: Exception) -> None:
    warnings.warn(f"no score: {error}", UserWarning, stacklevel=2)


def _classes(net: numadelta.MLP) -> list[Any] | None:
    if net.loss == "squared_error" or not isinstance(net.loss, str):
        return None
    outputs = net.layer_sizes[-1]
    if net.loss == "binary_cross_entropy":
        return [0, 1] if outputs == 1 else list(range(outputs))
    classes = net.notes.get("classes")
    fits = isinstance(classes, list) and len(classes) == outputs
    return classes if fits else list(range(outputs))


def _labels(net: numadelta.MLP, predicted: NDArray[Any], classes: list[Any] | None) -> Any:
    """Return what is printed for each row."""
    if net.loss == "cross_entropy" and classes is not None:
        return [classes[number] for number in predicted]
    return predicted


def _score(net: numadelta.MLP, X: Any, y: NDArray[Any], labels: Any) -> float | None:
    try:
        if net.loss != "cross_entropy":
            return net.evaluate(X, y)[1]
        y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
        if y.shape != (len(labels),):
            raise ValueError(f"the targets have shape {y.shape}")
        # "01" is not "1", if it is a name.
        names = isinstance(labels[0], str) and y.dtype.kind != "f"
        key = _truth if isinstance(labels[0], bool) else str if names else _key
        pairs = zip(labels, y.tolist(), strict=True)
        return float(np.mean([key(label) == key(true) for label, true in pairs]))
    except (TypeError, ValueError) as error:
        _warn_of_no_score(error)
        return None


def _truth(label: Any) -> Any:
    """Return what equal truth values share, "TRUE" in a table and True."""
    return _key(TRUTH.get(label.strip().lower(), label) if isinstance(label, str) else label)


def _key(label: Any) -> Any:
    """Return what equal labels share, whether they come from JSON, CSV or an array."""
    if isinstance(label, str) and "_" in label:  # which Python would overlook in numbers
        return label
    with suppress(ValueError, OverflowError):
        if int(label) == label or isinstance(label, str):
            return int(label)  # exact, however large
    try:
        number = float(label)
    except ValueError:
        return str(label)
    return number if math.isfinite(number) else str(label)  # "nan" may be a label


def _line(label: Any) -> str:
    """Return a label as a line, or as a cell of CSV if it has several."""
    text = f"{label}"
    if "\n" in text or "\r" in text:
        text = '"' + text.replace('"', '""') + '"'
    return text + "\n"


def _lines(rows: Any) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
