"""The file of a sweep: its description and one JSON object for each finished run."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from numadelta import checkpoint, files
from numadelta.fingerprint import fingerprint, held
from numadelta.sweep_result import FIGURES, key

FORMAT = {"format": "numadelta.sweep", "version": 1}


def _name(function: Any) -> str:
    return f"{fingerprint(function)} {held(function)}".rstrip()


@contextmanager
def opened(path: str | os.PathLike[str] | None, description: dict[str, Any]) -> Iterator[Any]:
    """Open the file of a sweep; yield the rows that it holds and a function that adds one."""
    if path is None:
        yield {}, lambda row: None
        return
    # Through JSON and back, to compare equal with what the file holds.
    description = json.loads(json.dumps(FORMAT | description, default=_name))
    with open(path, "a+b") as file:

        def add(record: dict[str, Any]) -> None:
            # JSON knows no NaN.
            record = {name: None if value != value else value for name, value in record.items()}
            file.write(json.dumps(record, allow_nan=False).encode() + b"\n")
            file.flush()
            files.sync(file.fileno())

        file.seek(0)
        *lines, torn = file.read().split(b"\n")
        # A kill may have torn the first line, too; what else has no line is somebody's other file.
        if not lines and json.dumps(description).encode().startswith(torn):
            rows = {}
            file.truncate(0)
            add(description)
        else:
            rows = _read(path, lines, description)
            file.truncate(sum(len(line) + 1 for line in lines))
        yield rows, add


def _read(
    path: str | os.PathLike[str], lines: list[bytes], description: dict[str, Any]
) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Return the rows in these lines of a file, if they are of the sweep so described."""
    rows = {}
    try:
        found, *records = (json.loads(line) for line in lines)
        if found["format"] != FORMAT["format"]:
            raise ValueError(f"its format is {found['format']}")
        for record in records:
            row = {name: math.nan if value is None else value for name, value in record.items()}
            rows[key(row)] = row | {name: float(row[name]) for name in FIGURES}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise checkpoint.CheckpointError(
            f"{path} is damaged or not the file of a sweep: {error}"
        ) from error
    differences = [
        f"{name} is {found.get(name)} there and {description.get(name)} here"
        for name in description | found
        if found.get(name) != description.get(name)
    ]
    if differences:
        raise ValueError(f"{path} is the file of another sweep: {', '.join(differences)}")
    return rows
