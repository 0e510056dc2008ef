"""What the commands' options have in common: their types, and those of data and network."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from numadelta import arrays

# Epochs and batch size where the user gives none.
NAMED = {"mnist": (10, 128), "fashion-mnist": (10, 128), "digits": (40, 32)}
OF_A_FILE = (100, 32)

TABLES = (".npz", ".csv")
PICTURES = (".png", ".pdf", ".svg")

DATA = {"dataset": None, "data_dir": None, "target": None, "task": None}
NETWORK: dict[str, Any] = {
    "hidden": [512],
    "activation": "relu",
    "dropout": 0.0,
    "input_dropout": 0.0,
    "weight_decay": 0.0,
    "shared_delta": False,
    "epochs": None,
    "batch_size": None,
}


# The exit statuses of commands that a signal has ended: 128 and its number, as shells show it.
SIGNALS = {"SIGINT": 130, "SIGPIPE": 141, "SIGTERM": 143}


class UsageError(ValueError):
    """The arguments cannot be meant so: exit status 2."""


def whole(least: int) -> Callable[[str], int]:
    """Return a type of arguments: whole numbers from `least` on."""

    def convert(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise argparse.ArgumentTypeError(f"{text} is no integer from {least} on")
        return number

    return convert


def real(name: str) -> Callable[[str], float]:
    """Return a type of arguments: what the library takes as this hyper-parameter."""

    def convert(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text} is no number") from None
        try:
            if name.endswith("dropout"):
                return arrays.check_rate(name, number)
            number = arrays.check_hyperparameter(name, number, np.float32)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
        return number

    return convert


def dataset(endings: Sequence[str]) -> Callable[[str], str]:
    """Return a type of arguments: names of data sets, and files of them with these endings."""

    def convert(text: str) -> str:
        if text in NAMED:
            return text
        if Path(text).suffix.lower() in endings:
            return str(path(text))
        *others, last = endings
        raise argparse.ArgumentTypeError(
            f"{text} is neither {', '.join(NAMED)} nor a file that ends in "
            f"{', '.join(others)} or {last}"
        )

    return convert


def path(text: str) -> Path:
    """Return a path; ``~`` is the home folder also where the shell leaves it."""
    return Path(os.path.expanduser(text))  # that of Path raises where there is no such user


def picture(text: str) -> Path:
    """Convert the path of a picture."""
    if Path(text).suffix.lower() not in PICTURES:
        raise argparse.ArgumentTypeError(f"{text} does not end in {', '.join(PICTURES)}")
    return path(text)


class _Units(argparse.Action):
    """Takes ``512 256`` and ``512,256``."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option: Any = None) -> None:
        unit = whole(1)
        try:
            units = [unit(text) for value in values for text in value.split(",") if text]
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentError(self, str(error)) from error
        setattr(namespace, self.dest, units)


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which data to take."""
    parser.add_argument(
        "--dataset",
        type=dataset(TABLES),
        metavar="DATA",
        help="mnist, fashion-mnist, digits (scikit-learn's small ones), FILE.npz (with x_train, "
        "y_train, x_test and y_test, or with X and y) or FILE.csv; of a file without test data a "
        "fifth is set aside, always the same (default: MNIST, or the small digits where MNIST "
        "cannot be had)",
    )
    parser.add_argument(
        "--data-dir", type=path, metavar="DIR", help="folder with the files of (Fashion-)MNIST"
    )
    parser.add_argument(
        "--target",
        metavar="COLUMN",
        help="of FILE.csv, by name or by number from 1 (default: the column target, label, class "
        "or y, else the last)",
    )
    parser.add_argument(
        "--task",
        choices=("classification", "regression"),
        help="default: classification for strings, booleans and integers with at most 100 "
        "distinct values, else regression",
    )


def add_network(parser: argparse.ArgumentParser) -> None:
    """Add the options of the network and of its training."""
    parser.add_argument(
        "--hidden",
        action=_Units,
        nargs="*",
        metavar="UNITS",
        help="units of each hidden layer: 512 256 or 512,256 (default: 512)",
    )
    parser.add_argument(
        "--activation",
        choices=("relu", "tanh", "logistic"),
        help="of the hidden layers (default: relu)",
    )
    parser.add_argument(
        "--dropout",
        type=real("dropout"),
        help="share of hidden units left out in a step (default: 0)",
    )
    parser.add_argument(
        "--input-dropout",
        type=real("input_dropout"),
        help="share of inputs left out in a step (default: 0)",
    )
    parser.add_argument(
        "--weight-decay", type=real("weight_decay"), help="factor of the penalty (default: 0)"
    )
    parser.add_argument(
        "--shared-delta",
        action="store_true",
        help="keep one E[dx^2] for the weights of each layer, and one for its biases",
    )
    epochs, size = zip(*NAMED.values(), OF_A_FILE, strict=True)
    kinds = "{}, {}, {} or {}, for MNIST, Fashion-MNIST, the digits or a file"
    parser.add_argument("--epochs", type=whole(1), help=f"default: {kinds.format(*epochs)}")
    parser.add_argument("--batch-size", type=whole(1), help=f"default: {kinds.format(*size)}")


def flags(names: Sequence[str]) -> str:
    """Return options as they are typed."""
    return ", ".join("--" + name.replace("_", "-") for name in names)


def check_data(options: dict[str, Any]) -> None:
    """Refuse options that another data set would need."""
    name = options["dataset"]
    check_data_dir(options["data_dir"], name, "--dataset")
    if options["target"] is not None and not str(name).lower().endswith(".csv"):
        raise UsageError("--target is for --dataset FILE.csv")


def check_data_dir(folder: Any, name: str | None, what: str) -> None:
    """Refuse a folder of MNIST for other data, which the message calls `what`."""
    if folder is not None and name not in (None, "mnist", "fashion-mnist"):
        raise UsageError(f"--data-dir is for MNIST and Fashion-MNIST, but {what} is {name}")


def complete(options: dict[str, Any], name: str, named: bool, rows: int) -> None:
    """Fill in the epochs and the batch size that fit a data set, `named` or in a file."""
    epochs, batch_size = NAMED[name] if named else OF_A_FILE
    options["epochs"] = options["epochs"] or epochs
    options["batch_size"] = options["batch_size"] or min(batch_size, rows)
