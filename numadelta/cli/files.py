"""What the commands write, and JSON."""

from __future__ import annotations

import errno
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from numadelta import checkpoint


def write_text(path: Path, text: str) -> None:
    """Write a file as a whole or not at all; of a link, that to which it leads."""
    checkpoint.replace(os.path.realpath(path), text.encode())


def require_writable_file(path: Path, in_place: bool = False) -> None:
    """Find out before a long run that a file could not be written after it.

    It is replaced, for which its folder must be writable, or written to `in_place`.
    """
    parent = Path(os.path.realpath(path)).parent
    if not parent.is_dir():
        raise FileNotFoundError(f"there is no folder {parent} to write {path} into")
    checkpoint.check_target(path)
    if not (in_place and path.exists()):
        require_writable(parent)
    if path.exists():
        require_writable(path)


def require_writable(path: Path) -> None:
    """Find out before a long run that a folder or a file could not be written to after it."""
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def to_json(content: Any) -> str:
    """Return strict JSON, with null for what is not finite."""
    # In ASCII, which any terminal and any pipe can take.
    return json.dumps(_plain(content), allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
