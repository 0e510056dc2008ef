"""Files that are replaced as a whole or not at all, and what can be asked before a long run."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path

# A temporary file that nobody has written to for so many seconds was left by a killed process.
ABANDONED = 600
TEMPORARY = ".numadelta-tmp"


def replace(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file as a whole or not at all, and remove what killed writers left beside it.

    A link is replaced, not followed: whoever made it must not choose which file is overwritten.
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
