"""IDX files, the format of MNIST: a reader that trusts none.

A header is held against the size of its file before anything is allocated.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import os
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

_GZIP_MAGIC = b"\x1f\x8b"
# Deflate spends at least two bits on a match of at most 258 bytes.
_MAX_DEFLATE_RATIO = 1032


class DatasetError(ValueError):
    """The content of a data file is not what it should be."""


def read_idx(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, gzipped or plain.

    Whether the file is gzipped is told from its content, not from its name.

    Parameters
    ----------
    path : path-like
        The file to read.

    Returns
    -------
    ndarray of uint8
        A new, writable array of the shape that the header gives.

    Raises
    ------
    DatasetError
        If the file is damaged, is not IDX, holds elements other than unsigned
        bytes, or is shorter or longer than its header says. A header that asks
        for more than the file can hold costs no memory.
    OSError
        If the file cannot be opened or read.

    Examples
    --------
    >>> import gzip, pathlib, tempfile
    >>> from numadelta.datasets import read_idx
    >>> header = bytes([0, 0, 8, 2]) + bytes([0, 0, 0, 2]) + bytes([0, 0, 0, 3])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "tiny.gz")
    ...     _ = path.write_bytes(gzip.compress(header + bytes([1, 2, 3, 4, 5, 6])))
    ...     read_idx(path)
    array([[1, 2, 3],
           [4, 5, 6]], dtype=uint8)
    """
    with open(path, "rb") as file:
        return read_and_hash(file)[0]


def is_gzipped(file: io.BufferedReader) -> bool:
    """Tell whether a file that stands at its beginning is gzipped."""
    magic = file.read(len(_GZIP_MAGIC))
    file.seek(0)
    return magic == _GZIP_MAGIC


def read_and_hash(file: io.BufferedReader) -> tuple[NDArray[np.uint8], str]:
    """Return the array in an IDX file and the SHA-256 of its uncompressed content."""
    limit = os.fstat(file.fileno()).st_size
    gzipped = is_gzipped(file)
    if gzipped:
        limit *= _MAX_DEFLATE_RATIO
    try:
        with gzip.GzipFile(fileobj=file, mode="rb") if gzipped else file as stream:
            return _parse_idx(stream, limit)
    except (ValueError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DatasetError(f"{file.name}: {error}") from error


def _parse_idx(stream: io.BufferedIOBase, limit: int) -> tuple[NDArray[np.uint8], str]:
    """Do the work of `read_and_hash`; `limit` bounds the bytes that `stream` can yield."""
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise ValueError(f"not an IDX file: it starts with {magic!r}")
    if magic[2] != 0x08:
        raise ValueError(f"IDX element code is 0x{magic[2]:02x}, expected 0x08 (unsigned byte)")

    ndim = magic[3]
    dimensions = stream.read(4 * ndim)
    if len(dimensions) < 4 * ndim:
        raise ValueError("the file ends inside its IDX header")
    shape = struct.unpack(f">{ndim}I", dimensions)
    size = math.prod(shape)
    if size > limit:
        raise ValueError(f"the IDX header asks for {size} bytes, more than the file can hold")

    # One byte more than is wanted: it shows up trailing bytes and takes gzip to
    # its end, where it checks the CRC, yet bounds what a bomb can expand to.
    payload = stream.read(size + 1)
    if len(payload) != size:
        found = "more" if len(payload) > size else f"only {len(payload)}"
        raise ValueError(f"the IDX header asks for {size} bytes, {found} follow")

    digest = hashlib.sha256(magic + dimensions)
    digest.update(payload)
    # Copied because an array over bytes is read-only.
    return np.frombuffer(payload, np.uint8).reshape(shape).copy(), digest.hexdigest()
