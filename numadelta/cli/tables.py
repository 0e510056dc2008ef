"""Files of data that are not trusted: CSV, and NumPy's npz and npy without pickle."""

from __future__ import annotations

import csv
import math
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TARGETS = ("target", "label", "class", "y")
MISSING = ("", "na", "n/a", "nan", "null", "none", "?")
# As a class, "none" and "null" may have a meaning.
MISSING_TARGETS = ("", "na", "n/a", "nan", "?")
# As pandas writes columns of bool.
TRUTH = {"true": "1", "false": "0"}
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

    @property
    def first_line(self) -> str | None:
        """What the first line was taken for; None where there is no doubt."""
        if self.names is None:
            return "data"
        return "a header" if any(map(_is_number, self.names)) else None

    def find(self, column: str) -> int:
        """Return the place of a column, given by name or by number from 1."""
        if self.names is not None and column in self.names:
            return self.names.index(column)
        if column.isdecimal() and 1 <= int(column) <= self.width:
            return int(column) - 1
        has = f"has {self.width}" if self.names is None else f"has {', '.join(self.names)}"
        raise ValueError(f"{self.path} has no column {column!r}; it {has} (numbers count from 1)")

    def guess_target(self) -> int | None:
        """Return the place of the first column with a usual name for a target, or None."""
        names = [name.lower() for name in self.names or ()]
        return next((names.index(name) for name in TARGETS if name in names), None)

    def without_index(self, columns: list[int]) -> list[int]:
        """Leave out a first column without a name.

        Pandas writes the numbers of the rows so, which often tell the classes by their order.
        """
        if self.names is None or self.names[0] or columns[:1] != [0]:
            return columns
        warnings.warn(f"{self.path}: the first column has no name and is left out", stacklevel=2)
        return columns[1:]

    def numbers(self, columns: list[int]) -> NDArray[np.float64]:
        """Return columns as a matrix, or say which cell is no finite number."""
        matrix = np.empty((len(self.rows), len(columns)))
        for place, column in enumerate(columns):
            texts = [row[column] for row in self.rows]
            if all(text.strip().lower() in TRUTH for text in texts):
                texts = [TRUTH[text.strip().lower()] for text in texts]
            try:
                matrix[:, place] = list(map(_number, texts))
            except ValueError:
                self._complain(column)
            if not np.isfinite(matrix[:, place]).all():
                self._complain(column)
        return matrix

    def _complain(self, column: int, what: str = "features") -> None:
        cells = [row[column].strip() for row in self.rows]
        # In a feature of truth values it is the others that are wrong.
        known = sum(text.lower() in TRUTH for text in cells)
        truth = TRUTH if what == "features" and known > len(cells) / 2 else ()
        for number, text in enumerate(cells):
            if text.lower() in MISSING:
                problem = f"a value is missing ({text!r})"
            elif text.lower() in truth:
                continue
            elif truth:
                problem = f"{text!r} is not true or false, as others are"
            elif not math.isfinite(_float(text, math.inf)):
                problem = f"{text!r} is no finite number; {what} must be numbers"
                if math.isfinite(_float(text.replace(",", ".", 1), math.inf)):
                    problem += ", with a point, not a comma"
            else:
                continue
            raise ValueError(f"{self._place(column, number)}: {problem}")

    def _place(self, column: int, row: int) -> str:
        name = column + 1 if self.names is None else repr(self.names[column])
        return f"{self.path}: column {name}, row {row + 1} (line {self.lines[row]})"

    def texts(self, column: int) -> list[str]:
        """Return the cells of a column, none of which is missing."""
        texts = [row[column].strip() for row in self.rows]
        for row, text in enumerate(texts):
            if text.lower() in MISSING_TARGETS:
                raise ValueError(f"{self._place(column, row)}: a value is missing ({text!r})")
        return texts

    def target(self, column: int, numeric: bool = False) -> NDArray[Any]:
        """Return a column as integers, else as floats, else as strings.

        Where there are integers with leading zeros, or beyond 64 bits, they are strings, if they
        need not be `numeric`.
        """
        texts = self.texts(column)
        if not numeric and any(map(_is_padded, texts)):
            return np.array(texts)
        for kind in (int, float):
            try:
                return np.array([_number(text, kind) for text in texts], np.dtype(kind))
            except OverflowError:
                if not numeric:  # as floats, different ones could be equal
                    break
            except ValueError:
                continue
        if numeric:
            self._complain(column, "targets")
        return np.array(texts)

    def refuse_numbers(self, column: int) -> None:
        """Refuse targets that are names for a few cells, or for how their numbers are written."""
        texts = [row[column].strip() for row in self.rows]
        strange = [row for row, text in enumerate(texts) if not _is_number(text)]
        if 0 < len(strange) <= len(texts) / 10:
            raise ValueError(
                f"{self._place(column, strange[0])}: {texts[strange[0]]!r} is no number, as "
                f"{len(texts) - len(strange)} of {len(texts)} targets are; --task classification "
                "takes all for names"
            )
        # Without what sets decimals or thousands apart.
        likely = sum(_is_number(re.sub(r"[.,'\s]", "", text)) for text in texts)
        classes = len(set(texts))
        if likely > len(texts) / 2 and classes > len(texts) / 3:
            odd = strange or [row for row, text in enumerate(texts) if _is_padded(text)] or [0]
            fix = "write numbers like 1234.5, or give" if strange else "give --task regression or"
            raise ValueError(
                f"{self._place(column, odd[0])}: {texts[odd[0]]!r} makes names of all targets, "
                f"{classes} in {len(texts)} rows; {fix} --task classification"
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


def _is_number(text: str) -> bool:
    return not math.isnan(_float(text, math.nan))


def _is_padded(text: str) -> bool:
    """Tell whether zeros lead, as in codes."""
    return re.fullmatch(r"0\d+", text) is not None


def _delimiter(lines: Iterable[str]) -> str:
    """Return the delimiter that each of the first lines has as often, else the first most often.

    What is in quotes does not count.  Excel is told the delimiter in a first line of its own.
    """
    filled = filter(str.strip, lines)
    first = [re.sub('"[^"]*"', "", line) for line in islice(filled, 3)] or [""]
    if told := re.fullmatch(rf"sep=([{DELIMITERS}])\s*", first[0]):
        return told[1]
    numbers = {mark: [line.count(mark) for line in first] for mark in DELIMITERS}
    even = [mark for mark in DELIMITERS if numbers[mark][0] and len({*numbers[mark]}) == 1]
    other = re.compile(r"(?<!\d),|,(?!\d)")
    if "," in even and len(even) > 1 and not any(map(other.search, first)):
        even.remove(",")  # that of decimals
    return max(even or DELIMITERS, key=first[0].count)


def read_csv(path: Path, known: Iterable[str] = ()) -> Table:
    """Read a CSV file, with a header or without; one with the names that are `known` is one."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            delimiter = _delimiter(file)
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            numbered = [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no CSV file in UTF-8: {error}") from error
    if numbered and numbered[0][1] == ["sep=", ""]:
        del numbered[0]
    lines, rows = [line for line, _ in numbered], [row for _, row in numbered]
    names = None
    if rows and (_has_all(rows[0], known) or _is_header(rows)):
        names = [name.strip() for name in rows[0]]
        del rows[0], lines[0]
    if not rows:
        raise ValueError(f"{path} holds no rows of data")
    width = len(rows[0] if names is None else names)
    for row, line in zip(rows, lines, strict=True):
        if len(row) != width:
            raise ValueError(f"{path}: line {line} has {len(row)} cells, but {width} are needed")
    for name, count in Counter(names or ()).items():
        if count > 1:
            raise ValueError(f"{path} has two columns named {name!r}")
    return Table(path, names, rows, lines)


def _has_all(row: list[str], known: Iterable[str]) -> bool:
    names = {*known}
    return bool(names) and names <= {text.strip() for text in row}


def _is_header(rows: list[list[str]]) -> bool:
    """Tell whether the first row has no data, a word above numbers only or a target's name.

    Or if it counts from 0, as a data frame without names does, and the rows do not go on so.
    Other rows of numbers are taken for data.
    """
    first = [text.strip().lower() for text in rows[0]]
    if any(text in TRUTH for text in first):
        return False
    if not any(map(_is_number, first)):
        return True
    words = [k for k, text in enumerate(first) if text not in MISSING and not _is_number(text)]
    repeated = False
    for column in words:
        below = [row[column].strip().lower() for row in rows[1:] if column < len(row)]
        given = [text for text in below if text not in MISSING]
        if given and all(map(_is_number, given)):
            return True
        # Not "y", which may be a "yes".
        if first[column] in TARGETS[:3] and first[column] not in below:
            return True
        repeated = repeated or first[column] in below
    return not repeated and _counts(first, len(words), rows[1:])


def _counts(first: list[str], words: int, below: list[list[str]]) -> bool:
    """Tell whether a row counts from 0, but for so many words and an index without a name.

    It is data if the rows below hold the same in another order or, without words, count on.
    """
    columns = [column for column, text in enumerate(first) if _is_number(text)]
    names = [first[column] for column in columns]
    named = len(first) - (first[0] == "")
    if names != [str(k) for k in range(len(names))] or not 3 <= len(names) + words == named:
        return False
    for row in below:
        cells = [row[column].strip() for column in columns if column < len(row)]
        start, second = (_float(text, math.nan) for text in (*cells, "", "")[:2])
        if sorted(cells) != sorted(names) and (words or second != start + 1):
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
            for name, array in found.items():
                if not isinstance(array, np.ndarray):
                    raise ValueError(f"{name} is no array")
        except MemoryError:
            raise
        except Exception as error:  # the readers of zip and npy raise anything
            if "Object arrays" in str(error):
                raise ValueError(f"{path} holds Python objects (allow_pickle=False)") from error
            # NumPy's advice for pickles is not for files that are not trusted.
            reason = str(error).split(". If you trust")[0]
            raise ValueError(f"{path} is damaged or no file of NumPy arrays: {reason}") from error
    unread = dict.fromkeys(content, np.empty(0))
    return unread | {name: _readable(f"{name} in {path}", array) for name, array in found.items()}


def _readable(name: str, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind == "S":
        try:
            array = np.char.decode(array, "utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"{name} is no text in UTF-8: {error}") from error
    if array.dtype.kind not in "biufU":
        raise ValueError(f"{name} has dtype {array.dtype}, but numbers or strings are needed")
    if array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
        with np.errstate(over="ignore"):
            array = array.astype(np.float32 if array.dtype.itemsize == 2 else np.float64)
    return array


def matrix(name: str, X: NDArray[Any]) -> NDArray[Any]:
    """Return samples as flat rows of finite numbers."""
    if X.ndim < 2 or X.dtype.kind == "U" or not X.size:
        raise ValueError(
            f"{name} has shape {X.shape} and dtype {X.dtype}, but rows of numbers are needed"
        )
    X = X.reshape(len(X), -1)
    if X.dtype.kind == "b":
        X = X.astype(np.float32)
    if X.dtype.kind in "iu":
        return X
    finite = np.isfinite(X)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise ValueError(
            f"{name} must be finite, but column {column + 1}, row {row + 1} is {X[row, column]}"
        )
    return X
