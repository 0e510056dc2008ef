"""Files of plain arrays and settings: written whole or not at all, read without pickle."""

from __future__ import annotations

import errno
import io
import json
import os
import secrets
import stat
import sys
import time
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A temporary file that nobody has written to for so many seconds was left by a killed process.
ABANDONED = 600
TEMPORARY = ".numadelta-tmp"


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


def check_target(path: str | os.PathLike[str]) -> None:
    """Refuse a folder, and a device, which the rename would replace."""
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not path.is_file():
        raise FileExistsError(errno.EEXIST, "this is no regular file", str(path))


def require_writable_file(path: str | os.PathLike[str], in_place: bool = False) -> None:
    """Find out before a long run that a file could not be written after it.

    It is replaced, for which its folder must be writable, or written to `in_place`.
    """
    path = Path(path)
    parent = Path(os.path.realpath(path)).parent
    if not parent.is_dir():
        raise FileNotFoundError(f"there is no folder {parent} to write {path} into")
    check_target(path)
    if not (in_place and path.exists()):
        require_writable(parent)
    if path.exists():
        require_writable(path)


def require_writable(path: Path) -> None:
    """Find out before a long run that a folder or a file could not be written to after it."""
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def replace(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file as a whole or not at all, and remove what killed writers left beside it.

    A link is replaced, for who can put one into a folder must not choose what is written over.
    """
    path = Path(path)
    _remove_abandoned(path.parent)
    # Not tempfile: its files are readable by their owner only, and the rename would keep that.
    temporary = path.with_name(f".{secrets.token_hex(8)}{TEMPORARY}")
    try:
        with open(temporary, "xb") as file:
            _keep_mode(path, temporary)  # before anything is in it
            file.write(content)
            file.flush()
            sync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _keep_mode(path: Path, temporary: Path) -> None:
    """Give a new file the permissions of the one that it will replace, if that is a file."""
    if sys.platform == "win32":  # which knows read-only files alone, and can remove none of them
        return
    with suppress(OSError):  # there is none, or the file system has no modes
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            temporary.chmod(mode & 0o777)


class _Archive(zipfile.ZipFile):
    """An archive in memory, of which nothing need be closed where Ctrl-C cuts its making off."""

    # `ZipFile` would complain of what is unfinished.  A class is called here without an argument
    # and without a line of Python, in which Ctrl-C would be lost.
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


def _remove_abandoned(folder: Path) -> None:
    for left in folder.glob(f".*{TEMPORARY}"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > ABANDONED:
                left.unlink()


def sync(descriptor: int) -> None:
    """Wait until the disk has what was written; on macOS fsync leaves it in the disk's memory."""
    os.fsync(descriptor)
    if sys.platform == "darwin":
        import fcntl

        with suppress(OSError):  # not every file system can
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a power failure, where the system can."""
    with suppress(OSError):  # as on Windows, and on some network drives
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            sync(descriptor)
        finally:
            os.close(descriptor)


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
