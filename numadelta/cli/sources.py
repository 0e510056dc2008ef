"""The data sets that can be trained on, by name or from a file, and their parts."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import numadelta
from numadelta.cli import tables
from numadelta.cli.options import NAMED, UsageError

# Integers with more distinct values are taken for quantities.
MOST_CLASSES = 100

KERAS = ("x_train", "y_train", "x_test", "y_test")


@dataclass
class Source:
    """A data set, its samples flat and not yet scaled, its labels numbered."""

    name: str
    x_train: NDArray[Any]
    y_train: NDArray[Any]
    x_test: NDArray[Any]
    y_test: NDArray[Any]
    classes: list[Any] | None = None
    """The labels; None for regression."""
    columns: list[str] | None = None
    target: str | int | None = None
    """The name of the target's column, or its number from 1."""
    images: bool = False
    first_line: str | None = None
    """What that of a table was taken for, where there is doubt."""

    @property
    def task(self) -> str:
        """Classification or regression."""
        return "regression" if self.classes is None else "classification"

    def with_validation(self) -> tuple[Source, tuple[NDArray[Any], NDArray[Any]]]:
        """Set a tenth of the training data aside, always the same; return the rest and it."""
        chosen = _set_aside(self.name, self.y_train, 10, self.classes is not None)
        rest = replace(self, x_train=self.x_train[~chosen], y_train=self.y_train[~chosen])
        return rest, (self.x_train[chosen], self.y_train[chosen])


def load(options: dict[str, Any], known: bool = False) -> Source:
    """Return the data set that the options name; one that is `known` has been trained on before."""
    name, task = options["dataset"], options["task"]
    if name is not None and name not in NAMED:
        path = Path(name)
        source = (
            _from_csv(path, options, known) if path.suffix.lower() == ".csv" else _from_npz(path)
        )
        return _finish(source, task)
    name, train, test = load_named(name, options["data_dir"])
    (x_train, y_train), (x_test, y_test) = train, test
    return _finish(Source(name, x_train, y_train, x_test, y_test, images=True), task)


def load_named(name: str | None, data_dir: str | os.PathLike[str] | None = None) -> tuple[Any, ...]:
    """Return the name of a data set of images, its training and its test part."""
    datasets = numadelta.datasets
    if name == "fashion-mnist":
        return (name, *datasets.load_fashion_mnist(data_dir))
    if name != "digits":
        try:
            return ("mnist", *datasets.load_mnist(data_dir))
        except (FileNotFoundError, ImportError) as error:
            # A place that the user named must work.
            if name or data_dir or os.environ.get("NUMADELTA_DATA"):
                raise
            reason = str(error).splitlines()[0]
            print(f"no MNIST, training on scikit-learn's 8x8 digits instead ({reason})")
    try:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    except ImportError as error:
        raise ImportError(
            "the small digits come with scikit-learn: pip install numadelta[sklearn]"
        ) from error
    images, labels = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(
        images, labels, test_size=0.2, random_state=0, stratify=labels
    )
    return "digits", (x_train, y_train), (x_test, y_test)


def _from_npz(path: Path) -> Source:
    arrays = tables.read_arrays(path, (*KERAS, "X", "y"))
    if all(name in arrays for name in KERAS):
        x_train, y_train, x_test, y_test = (arrays[name] for name in KERAS)
        return Source(path.name, x_train, y_train, x_test, y_test)
    if "X" in arrays and "y" in arrays:
        X, y = arrays["X"], arrays["y"]
        return Source(path.name, X, y, X[:0] if X.ndim else X, y[:0] if y.ndim else y)
    raise ValueError(
        f"{path} holds {', '.join(arrays) or 'nothing'}, but {', '.join(KERAS)} or X, y are needed"
    )


def _from_csv(path: Path, options: dict[str, Any], known: bool) -> Source:
    table = tables.read_csv(path)
    if options["target"] is not None:
        try:
            target = table.find(options["target"])
        except ValueError as error:
            raise UsageError(f"--target: {error}") from error
    else:
        guess = table.guess_target()
        target = table.width - 1 if guess is None else guess
    columns = [column for column in range(table.width) if column != target]
    columns, names = table.without_index(columns), table.names
    if not columns:
        raise ValueError(f"{path} has only one column, but features and a target are needed")
    X = table.numbers(columns)
    y = table.target(target, numeric=options["task"] == "regression")
    if y.dtype.kind == "U" and not known and options["task"] != "classification":
        table.refuse_numbers(target)
    return Source(
        path.name,
        X,
        y,
        X[:0],
        y[:0],
        columns=None if names is None else [names[column] for column in columns],
        target=target + 1 if names is None else names[target],
        first_line=table.first_line,
    )


def _finish(source: Source, task: str | None) -> Source:
    """Check the arrays, number the classes and set test data aside where there are none."""
    source = _with_samples_and_targets(source)
    y = np.concatenate([source.y_train, source.y_test])
    if (task or _guess_task(source.name, y)) == "classification":
        source = _with_numbered_classes(source, y)
    elif y.dtype.kind == "U" or y.ndim > 2 or not np.isfinite(y).all():
        raise ValueError(f"{source.name}: regression needs finite numbers as targets")
    if not len(source.x_test):
        source = _with_test_part(source)
    features, others = source.x_train.shape[1], source.x_test.shape[1]
    if features != others:
        raise ValueError(f"{source.name}: x_train has {features} features, x_test {others}")
    return source


def _with_samples_and_targets(source: Source) -> Source:
    """Return it with samples as matrices, and targets that can be joined."""
    parts: dict[str, Any] = {}
    for part in ("train", "test"):
        X, y = getattr(source, f"x_{part}"), getattr(source, f"y_{part}")
        if X.ndim == 0 or y.ndim == 0 or len(X) != len(y):
            raise ValueError(
                f"{source.name}: {part}ing samples and targets have shapes {X.shape} and {y.shape}"
            )
        y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
        if part == "train" or len(X):
            X = tables.matrix(f"x_{part} of {source.name}", X)
        parts |= {f"x_{part}": X, f"y_{part}": y}
    train, test = parts["y_train"], parts["y_test"]
    if train.shape[1:] != test.shape[1:]:
        raise ValueError(f"{source.name}: y_train and y_test have {train.shape}, {test.shape}")
    if {train.dtype.kind, test.dtype.kind} == {"i", "u"}:  # which would be floats together
        if max(train.max(initial=0), test.max(initial=0)) > np.iinfo(np.int64).max:
            raise ValueError(f"{source.name}: y_train and y_test do not fit into one integer type")
        parts |= {"y_train": train.astype(np.int64), "y_test": test.astype(np.int64)}
    return replace(source, **parts)


def _with_numbered_classes(source: Source, y: NDArray[Any]) -> Source:
    """Return it with numbers in the place of labels; `y` is all of these."""
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise ValueError(f"{source.name}: y must be finite, but holds {y[~np.isfinite(y)][0]}")
    if y.ndim != 1:
        raise ValueError(f"{source.name}: y has shape {y.shape}, but a class a row is needed")
    classes = np.arange(10) if source.images else np.unique(y)
    if len(y) < 2:
        raise ValueError(f"{source.name} has {len(y)} rows, too few to train on")
    if len(classes) < 2:
        raise ValueError(f"{source.name}: there is only one class, {classes.tolist()}")
    train, test = (np.searchsorted(classes, part) for part in (source.y_train, source.y_test))
    return replace(source, y_train=train, y_test=test, classes=classes.tolist())


def _with_test_part(source: Source) -> Source:
    """Return it with a fifth of the training data as test data."""
    X, y = source.x_train, source.y_train
    chosen = _set_aside(source.name, y, 5, source.classes is not None)
    return replace(
        source, x_train=X[~chosen], y_train=y[~chosen], x_test=X[chosen], y_test=y[chosen]
    )


def _guess_task(name: str, y: NDArray[Any]) -> str:
    if y.ndim > 1:
        if y.dtype.kind in "biuf" and ((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all():
            raise ValueError(
                f"{name}: y is one-hot; give class numbers, y.argmax(axis=1), or --task regression"
            )
        return "regression"
    few = y.dtype.kind in "iu" and len(np.unique(y)) <= MOST_CLASSES
    return "classification" if few or y.dtype.kind in "bU" else "regression"


def _set_aside(name: str, y: NDArray[Any], one_in: int, by_class: bool) -> NDArray[np.bool_]:
    """Choose one row in so many at random but always the same, from each class its share."""
    order = np.random.default_rng(0).permutation(len(y))
    if by_class:
        order = order[np.argsort(y[order], kind="stable")]
    chosen = np.zeros(len(y), bool)
    chosen[order[one_in // 2 :: one_in]] = True
    if not chosen.any():
        raise ValueError(f"{name} has {len(y)} rows, too few to set one in {one_in} aside")
    return chosen
