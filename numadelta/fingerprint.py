"""What tells functions of the user apart in files that cannot hold them."""

from __future__ import annotations

import zlib
from functools import partial
from numbers import Number
from types import CodeType, FunctionType, MethodType
from typing import Any

import numpy as np

# Functions within functions are followed so far.
DEPTH = 8


def fingerprint(function: Any) -> str:
    """Return a name and a checksum of the code and its constants, the same in every process."""
    code = getattr(getattr(function, "py_func", function), "__code__", None)
    name = getattr(function, "__qualname__", type(function).__qualname__)
    if code is None:
        return str(name)
    constants = [_in_order(part) for part in code.co_consts if not isinstance(part, CodeType)]
    return f"{name} {zlib.crc32(code.co_code + repr((constants, code.co_names)).encode()):08x}"


def _in_order(constant: Any) -> Any:
    """Return a constant without the order of sets, which texts make another in each process."""
    if isinstance(constant, tuple):
        return tuple(map(_in_order, constant))
    if isinstance(constant, frozenset):
        return frozenset, sorted(repr(_in_order(part)) for part in constant)
    return constant


def held(function: Any) -> str:
    """Return a checksum of the values that a function holds, empty if there are none.

    That is defaults, variables of an enclosing function, the arguments of a partial one, attributes
    of a callable object.  Of these, numbers, texts, arrays, tuples and functions count; what is in
    lists and other objects may be notes that the function takes.
    """
    found = _held(function, DEPTH)
    return f"{zlib.crc32(repr(found).encode()):08x}" if found else ""


def _held(function: Any, depth: int) -> list[Any]:
    """Return what a function holds, without addresses in memory; nothing for a plain one."""
    function = getattr(function, "py_func", function)
    parts: list[Any] = []
    if not depth or isinstance(function, type):
        return parts
    if isinstance(function, FunctionType):
        parts += [part for part in function.__code__.co_consts if isinstance(part, CodeType)]
        parts += function.__defaults__ or ()
        parts += (function.__kwdefaults__ or {}).values()
        parts += map(_content, function.__closure__ or ())
    elif isinstance(function, partial):
        parts += [function.func, *function.args, *function.keywords.items()]
    elif isinstance(function, MethodType):
        return _held(function.__func__, depth) + _held(function.__self__, depth - 1)
    elif not hasattr(function, "state_dict"):  # which tells what changes
        names = [*getattr(function, "__dict__", ()), *getattr(type(function), "__slots__", ())]
        parts += [getattr(function, name, None) for name in names]
        parts = [part for part in parts if not callable(part)]
    return [_described(part, depth) for part in parts]


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not yet filled
        return None


def _described(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, (Number, np.generic, str, bytes)):
        return type(value).__qualname__, repr(value)
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return value.dtype.str, value.shape, zlib.crc32(value.tobytes())
    if isinstance(value, tuple):
        return [_described(part, depth - 1) if depth else "..." for part in value]
    if isinstance(value, CodeType):
        constants = [_described(part, depth - 1) for part in value.co_consts if depth]
        return zlib.crc32(value.co_code), value.co_names, constants
    if callable(value):
        return fingerprint(value), _held(value, depth - 1) if depth else []
    return type(value).__qualname__
