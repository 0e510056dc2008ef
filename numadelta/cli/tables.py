"""Files of data that are not trusted: CSV, and NumPy's npz and npy without pickle."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TARGETS = ("target", "label", "class", "y")
MISSING = ("", "na", "n/a", "nan", "null", "none", "?")
# As a class, "none" and "null" may have a meaning.
MISSING_TARGETS = ("", "na", "n/a", "nan", "?")
DELIMITERS = ",;\t"


@dataclass
class Table:
    """The cells of a CSV file, as texts."""

    path: Path
    names: list[str] | None
    rows: list[list[str]]
    lines: list[int]
    """Where the rows stand in the file."""

    @property
    def width(self) -> int:
        """The number of columns."""
        return len(self.rows[0])

    def find(self, column: str) -> int:
        """Return the place of a column, given by name or by number from 1."""
        if self.names is not None and column in self.names:
            return self.names.index(column)
        if column.isdecimal() and 1 <= int(column) <= self.width:
            return int(column) - 1
        has = f"has {self.width}" if self.names is None else f"has {', '.join(self.names)}"
        raise ValueError(f"{self.path} has no column {column!r}; it {has} (numbers count from 1)")

    def guess_target(self) -> int | None:
        """Return the place of the column that a target's name, if there is one."""
        names = [name.lower() for name in self.names or ()]
        return next((names.index(name) for name in TARGETS if name in names), None)

    def numbers(self, columns: list[int]) -> NDArray[np.float64]:
        """Return columns as a matrix, or say which cell is no finite number."""
        matrix = np.empty((len(self.rows), len(columns)))
        for place, column in enumerate(columns):
            try:
                matrix[:, place] = [_number(row[column]) for row in self.rows]
            except ValueError:
                self._complain(column)
            if not np.isfinite(matrix[:, place]).all():
                self._complain(column)
        return matrix

    def _complain(self, column: int) -> None:
        for number, row in enumerate(self.rows):
            text = row[column].strip()
            if text.lower() in MISSING:
                problem = f"a value is missing ({text!r})"
            elif not math.isfinite(_float(text, math.inf)):
                problem = f"{text!r} is no finite number; features must be numbers"
                if math.isfinite(_float(text.replace(",", ".", 1), math.inf)):
                    problem += ", with a point, not a comma"
            else:
                continue
            raise ValueError(f"{self._place(column, number)}: {problem}")

    def _place(self, column: int, row: int) -> str:
        name = column + 1 if self.names is None else repr(self.names[column])
        return f"{self.path}: column {name}, row {row + 1} (line {self.lines[row]})"

    def target(self, column: int, numeric: bool = False) -> NDArray[Any]:
        """Return a column as integers, else as floats, else as strings.

        Where there are integers with leading zeros they are strings, if they need not be `numeric`.
        """
        texts = [row[column].strip() for row in self.rows]
        for row, text in enumerate(texts):
            if text.lower() in MISSING_TARGETS:
                raise ValueError(f"{self._place(column, row)}: a value is missing ({text!r})")
        names = not numeric and any(re.fullmatch(r"0\d+", text) for text in texts)
        for kind in () if names else (int, float):
            try:
                return np.array([_number(text, kind) for text in texts], np.dtype(kind))
            except (ValueError, OverflowError):
                continue
        return np.array(texts)

    def refuse_strays(self, column: int) -> None:
        """Refuse targets of which only a few cells are no numbers, which makes names of all."""
        texts = [row[column].strip() for row in self.rows]
        strange = [row for row, text in enumerate(texts) if math.isnan(_float(text, math.nan))]
        if 0 < len(strange) <= len(texts) / 10:
            raise ValueError(
                f"{self._place(column, strange[0])}: {texts[strange[0]]!r} is no number, as "
                f"{len(texts) - len(strange)} of {len(texts)} targets are; --task classification "
                "takes all for names"
            )


def _number(text: str, kind: type = float) -> Any:
    if "_" in text:  # which Python would overlook
        raise ValueError(text)
    return kind(text)


def _float(text: str, default: float) -> float:
    try:
        return float(_number(text))
    except ValueError:
        return default


def _delimiter(lines: Iterable[str]) -> str:
    """Return the delimiter that the first line with anything in it has most of, outside quotes."""
    first = re.sub('"[^"]*"', "", next((line for line in lines if line.strip()), ""))
    return max(DELIMITERS, key=first.count)


def read_csv(path: Path) -> Table:
    """Read a CSV file, with a header or without."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            delimiter = _delimiter(file)
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            numbered = [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no CSV file in UTF-8: {error}") from error
    lines, rows = [line for line, _ in numbered], [row for _, row in numbered]
    names = None
    if rows and _is_header(rows):
        names = [name.strip() for name in rows[0]]
        del rows[0], lines[0]
    if not rows:
        raise ValueError(f"{path} holds no rows of data")
    width = len(rows[0] if names is None else names)
    for row, line in zip(rows, lines, strict=True):
        if len(row) != width:
            raise ValueError(f"{path}: line {line} has {len(row)} cells, but {width} are needed")
    for name in names or ():
        if names and names.count(name) > 1:
            raise ValueError(f"{path} has two columns named {name!r}")
    return Table(path, names, rows, lines)


def _is_header(rows: list[list[str]]) -> bool:
    """Tell whether the first row has no numbers, a word above a number or a target's name.

    Or if it counts its columns from 0, but for one word, as a data frame without names does, after
    nothing where that has an index.  Of rows of numbers only, the first is taken for data.
    """
    first = [text.strip().lower() for text in rows[0]]
    numeric = [not math.isnan(_float(text, math.nan)) for text in first]
    if not any(numeric):
        return True
    words = [
        not number and text not in MISSING for text, number in zip(first, numeric, strict=True)
    ]
    counted = [text for text, word in zip(first, words, strict=True) if not word]
    if counted[0] == first[0] == "":
        del counted[0]
    if sum(words) == 1 and len(counted) > 2 and counted == [str(k) for k in range(len(counted))]:
        return True
    for column in (column for column, word in enumerate(words) if word):
        below = [row[column].strip().lower() for row in rows[1:] if column < len(row)]
        # Not "y", which may be a "yes".
        if first[column] in TARGETS[:3] and first[column] not in below:
            return True
        if below and not math.isnan(_float(below[0], math.nan)):
            return True
    return False


def read_arrays(path: Path, wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Return the wanted arrays of an npz file, or that of an npy file as ``X``.

    Others have a place in the dictionary, but are not read.
    """
    with open(path, "rb") as file:  # what goes wrong from here on is the content
        try:
            content = np.load(file, allow_pickle=False)
            if isinstance(content, np.ndarray):
                content = {"X": content}
            found = {name: content[name] for name in content if name in wanted}
        except MemoryError:
            raise
        except Exception as error:  # the readers of zip and npy raise anything
            # NumPy's advice for pickles is not for files that are not trusted.
            reason = str(error).split(". If you trust")[0]
            raise ValueError(f"{path} is damaged or no file of NumPy arrays: {reason}") from error
    unread = dict.fromkeys(content, np.empty(0))
    return unread | {name: _readable(f"{name} in {path}", array) for name, array in found.items()}


def _readable(name: str, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    if array.dtype.kind not in "biufU":
        raise ValueError(f"{name} has dtype {array.dtype}, but numbers or strings are needed")
    return array


def matrix(name: str, X: NDArray[Any]) -> NDArray[Any]:
    """Return samples as flat rows of finite numbers."""
    if X.ndim < 2 or X.dtype.kind == "U" or not X.size:
        raise ValueError(
            f"{name} has shape {X.shape} and dtype {X.dtype}, but rows of numbers are needed"
        )
    X = X.reshape(len(X), -1)
    if X.dtype.kind == "b" or X.dtype == np.float16:
        X = X.astype(np.float32)
    finite = np.isfinite(X)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise ValueError(
            f"{name} must be finite, but column {column + 1}, row {row + 1} is {X[row, column]}"
        )
    return X
