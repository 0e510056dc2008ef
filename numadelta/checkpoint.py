"""Files of plain arrays and settings: written whole or not at all, read without pickle."""

from __future__ import annotations

import json
import os
import secrets
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class CheckpointError(ValueError):
    """A file exists, but is not what it should be."""


def write(
    path: str | os.PathLike[str],
    kind: str,
    version: int,
    settings: dict[str, Any],
    **arrays: NDArray[Any],
) -> None:
    """Write settings (as JSON) and arrays to one ``.npz`` file, replacing it as a whole.

    A temporary file in the same folder takes the data first and is then renamed, so that a kill,
    a full disk or Ctrl-C leaves the file that was there.
    """
    path = Path(path)
    header = json.dumps({"kind": kind, "version": version, "settings": settings})
    # Not tempfile: its files are readable by their owner only, and the rename would keep that.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open(temporary, "xb") as file:
            np.savez(file, allow_pickle=False, header=np.array(header), **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read(
    path: str | os.PathLike[str], kind: str, version: int, names: Sequence[str]
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the settings and the named arrays of a file that `write` made.

    Raises `CheckpointError` if the file is damaged, of another kind or from a newer version, and
    `OSError` if it cannot be opened.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(str(file["header"]))
            found, found_version = header["kind"], header["version"]
            settings = dict(header["settings"])
            arrays = {name: file[name] for name in names}
    except (ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path} is corrupt or not a numadelta file: {error}") from error
    if found != kind:
        raise CheckpointError(f"{path} holds {found}, but {kind} is needed")
    if found_version > version:
        raise CheckpointError(
            f"{path} has version {found_version}, but this library reads up to {version}"
        )
    return settings, arrays
