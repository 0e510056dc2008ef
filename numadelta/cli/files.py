"""What the commands write, and JSON."""

from __future__ import annotations

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
