"""What tells functions of the user apart in files that cannot hold them."""

from __future__ import annotations

import zlib
from functools import partial
from numbers import Number
from types import CodeType, FunctionType, MethodType
from typing import Any

import numpy as np


def fingerprint(function: Any) -> str:
    """Return a name and a checksum, the same in every process.

    The checksum is over the code and the values that it holds: constants, defaults, variables of an
    enclosing function, attributes of a callable object.  Not seen are global variables and what is
    in lists, dicts and sets, which may be notes that the function takes.
    """
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{name} {zlib.crc32(repr(_content(function, ())).encode()):08x}"


def _content(value: Any, around: tuple[Any, ...]) -> Any:
    """Return a value, or what a function is made of, without addresses in memory.

    `around` are the functions that hold the value: one that holds itself is not followed.
    """
    value = getattr(value, "py_func", value)
    kind = type(value)
    if value is None or isinstance(value, (Number, np.generic, str, bytes)):
        return kind.__qualname__, repr(value)
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, zlib.crc32(value.tobytes())
    if isinstance(value, frozenset):  # a constant, in an order that depends on the process
        return sorted(map(repr, value))
    if isinstance(value, (list, dict, set)) or any(value is one for one in around):
        return kind.__qualname__
    if isinstance(value, tuple):
        parts = value
    elif isinstance(value, CodeType):
        parts = value.co_code, value.co_consts, value.co_names
    elif isinstance(value, FunctionType):
        cells = tuple(cell.cell_contents for cell in value.__closure__ or ())
        names = tuple((value.__kwdefaults__ or {}).items())
        parts = value.__code__, value.__defaults__, names, cells
    elif isinstance(value, partial):
        parts = value.func, value.args, tuple(value.keywords.items())
    elif isinstance(value, MethodType):
        parts = value.__func__, value.__self__
    else:
        call = kind.__call__ if callable(value) else None
        parts = kind.__qualname__, call, tuple(getattr(value, "__dict__", {}).items())
    return [_content(part, (*around, value)) for part in parts]
