"""Files of plain arrays and settings: written whole or not at all, read without pickle."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numadelta.files import check_target, replace


class CheckpointError(ValueError):
    """A file exists, but is not what it should be."""


class DamagedError(CheckpointError):
    """A file is of no use, so an older one may have to do."""


def write(
    path: str | os.PathLike[str],
    kind: str,
    version: int,
    settings: dict[str, Any],
    **arrays: NDArray[Any],
) -> None:
    """Write settings (as JSON) and arrays to one ``.npz`` file, replacing it as a whole.

    A temporary file in the same folder takes the data first and is then renamed, so that a kill,
    a full disk or Ctrl-C leaves the file that was there.  Temporary files that killed processes
    left are removed.
    """
    check_target(path)
    for name, array in arrays.items():
        if array.dtype.hasobject:
            raise TypeError(f"{name} holds objects, which cannot be written to a checkpoint")
    header = json.dumps(
        {"kind": kind, "version": version, "settings": settings, "arrays": sorted(arrays)},
        default=_python_number,
    )
    members: dict[str, Any] = {"header": np.array(header), **arrays}
    replace(path, archive(members))


class _Archive(zipfile.ZipFile):
    """An archive in memory, of which nothing need be closed where Ctrl-C cuts its making off."""

    # `ZipFile` would raise on an unfinished archive.  `object` runs no line of Python, in which a
    # Ctrl-C would be lost.
    __del__ = object  # type: ignore[assignment]


def archive(members: dict[str, Any]) -> bytes:
    """Return the content of a file of arrays, as `numpy.savez` writes it."""
    content = io.BytesIO()
    file = _Archive(content, "w")
    for name, array in members.items():
        with file.open(f"{name}.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
    file.close()
    return content.getvalue()


def _python_number(value: Any) -> Any:
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{value!r} cannot be written to a checkpoint")


def read(
    path: str | os.PathLike[str], kinds: dict[str, int]
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return settings and arrays (read-only) of a file that `write` made.

    `kinds` are those that will do, with the newest version of each.

    Raises `DamagedError` if the file is damaged or of another kind, `CheckpointError` if it is from
    a newer version, and `OSError` if it cannot be opened.
    """
    # Read at once: from here on, what goes wrong is the content and not the disk.
    content = Path(path).read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if {"W0.npy", "b0.npy"} <= {*archive.namelist()}:
                raise ValueError("it holds plain weights, which exchange.from_npz reads")
            header = json.loads(str(_read_array(archive, "header")))
            _check_kind(path, kinds, header)
            names = {name.removesuffix(".npy") for name in archive.namelist()} - {"header"}
            # A damaged directory can hide members.
            if missing := sorted(set(header["arrays"]) - names):
                raise ValueError(f"{', '.join(missing)} is missing")
            arrays = {name: _read_array(archive, name) for name in names}
            return dict(header["settings"]), arrays
    except CheckpointError:
        raise
    except Exception as error:  # garbage makes the readers of zip, npy and JSON raise anything
        raise DamagedError(f"{path} is corrupt or not a numadelta file: {error}") from error


def _check_kind(
    path: str | os.PathLike[str], kinds: dict[str, int], header: dict[str, Any]
) -> None:
    kind, version = header["kind"], header["version"]
    if kind not in kinds:
        raise DamagedError(f"{path} holds {kind}, but {' or '.join(kinds)} is needed")
    if version > kinds[kind]:
        raise CheckpointError(
            f"{path} has version {version}, but this library reads up to {kinds[kind]}"
        )


def _read_array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """Return an array as a view of the bytes in the archive.

    No larger than the file, whatever the headers declare: `numpy.load` would allocate that, and a
    compressed member could be a bomb.
    """
    info = archive.getinfo(f"{name}.npy")
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{info.filename} is compressed")
    member = io.BytesIO(archive.read(info))
    if np.lib.format.read_magic(member) != (1, 0):
        raise ValueError(f"{info.filename} has another format")
    shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(member)
    array = np.frombuffer(member.read(), dtype)
    return array.reshape(shape[::-1]).T if fortran_order else array.reshape(shape)
