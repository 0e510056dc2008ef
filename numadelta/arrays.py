"""The door: every array and hyper-parameter is checked here, before a kernel sees it.

Kernels do not check: a short array would be read and written beyond its end.  The functions here
raise a `TypeError` for the wrong kind of thing and a `ValueError` for a wrong value, and each
message names the argument, what came and what was expected.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
FINITE_AT_A_TIME = 1_000_000
CACHE_LINE = 64


def aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return a new array, not initialised, that begins at a cache line.

    Products of vectors that lie across two lines take 6 % longer, on some processors 20 %.
    """
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    return memory[start : start + size].view(dtype).reshape(shape)


def is_cuda_array(array: object) -> bool:
    """Tell whether an array says that it lives on a GPU (also in Numba's simulator)."""
    kind = type(array)
    return hasattr(kind, "__cuda_array_interface__") or hasattr(kind, "__cuda_ndarray__")


def check_dtype(name: str, dtype: np.dtype[Any]) -> None:
    """Refuse what is not native float32 or float64, saying how to convert it."""
    if dtype in DTYPES:
        return
    remedy = "convert it with .astype(np.float64) or .astype(np.float32)"
    if not dtype.isnative and dtype.newbyteorder("=") in DTYPES:
        remedy = f"convert it with {name}.astype({name}.dtype.newbyteorder('='))"
    elif dtype.kind == "c":
        remedy = f"pass its real view, {name}.view({name}.real.dtype)"
    raise TypeError(f"{name} has dtype {dtype}, but float32 or float64 is needed; {remedy}")


def _base_array(name: str, array: object) -> NDArray[Any]:
    if isinstance(array, (list, tuple)) and array and isinstance(array[0], np.ndarray):
        raise TypeError(
            f"{name} is updated in place and must be one array, but is a {type(array).__name__} of "
            "arrays; numadelta.pack makes one flat array of them, and views"
        )
    if not isinstance(array, np.ndarray):
        raise TypeError(
            f"{name} is updated in place and must be a NumPy array, but is a "
            f"{type(array).__name__}; convert it with np.asarray first"
        )
    refuse_masked(name, array)
    return array.view(np.ndarray)


def refuse_masked(name: str, array: object) -> None:
    """Refuse a masked array: a kernel would not see the mask."""
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array; fill it first, with {name}.filled(0)")


def as_array(name: str, given: ArrayLike) -> NDArray[Any]:
    """Return an array, or refuse what is masked or a sequence of unequal parts."""
    refuse_masked(name, given)
    try:
        return np.asarray(given)
    except ValueError as error:
        raise ValueError(f"{name} cannot be made an array: {error}") from error


def as_real_array(name: str, given: ArrayLike, kinds: str = "fiu") -> NDArray[Any]:
    """Return an array of real numbers, in the sense of these kinds of dtypes."""
    array = as_array(name, given)
    if array.dtype.kind not in kinds:
        raise TypeError(f"{name} has dtype {array.dtype}, but real numbers are needed")
    return array


def flat_in_place(name: str, array: object) -> NDArray[Any]:
    """Check an array that will be updated in place and return a flat view of it.

    Subclasses such as ``np.matrix`` and ``np.memmap`` are seen through their base-class view.
    """
    base = _base_array(name, array)
    check_dtype(name, base.dtype)
    if not base.flags.writeable:
        raise ValueError(f"{name} is read-only, but is updated in place; pass a copy")
    if not base.flags.c_contiguous:
        raise ValueError(
            f"{name} is not C-contiguous, but is updated in place; pass a copy, "
            f"np.ascontiguousarray({name})"
        )
    if not base.flags.aligned:
        raise ValueError(f"{name} is not aligned in memory, but is updated in place; pass a copy")
    return base.reshape(-1)


def flat_grads(grads: ArrayLike, params: NDArray[Any]) -> NDArray[Any]:
    """Check a gradient against the parameters and return it flat, in their dtype.

    Gradients are only read, so they may be read-only, strided or a sequence; these and a float
    dtype narrower than that of `params` cost a copy.  A wider dtype is refused, because rounding
    it is a decision for the caller.
    """
    if isinstance(grads, np.generic):  # what arithmetic makes of a 0-d array
        grads = np.asarray(grads)
    if isinstance(grads, (list, tuple)):
        for k, part in enumerate(grads):
            refuse_masked(f"grads[{k}]", part)
        grads = as_array("grads", grads)
        if grads.dtype.kind in "iuf":
            with np.errstate(over="ignore", under="ignore"):
                grads = grads.astype(params.dtype)
    if not isinstance(grads, np.ndarray):
        raise TypeError(
            f"grads must be a NumPy array or a sequence of floats, but is a {type(grads).__name__}"
        )
    refuse_masked("grads", grads)
    if grads.shape != params.shape:
        raise ValueError(f"grads has shape {grads.shape}, but params has shape {params.shape}")
    if grads.dtype != params.dtype:
        if grads.dtype.kind != "f" or not grads.dtype.isnative:
            check_dtype("grads", grads.dtype)
        if not np.can_cast(grads.dtype, params.dtype, "safe"):
            raise TypeError(
                f"grads has dtype {grads.dtype}, but params has dtype {params.dtype}; "
                f"convert it with grads.astype(np.{params.dtype})"
            )
    # Writeable, although nothing writes: to Numba a read-only array is another type, for which it
    # would compile the kernels anew.
    return np.require(grads, params.dtype, ["C", "A", "W"]).view(np.ndarray).reshape(-1)


def check_like(name: str, array: NDArray[Any], like: NDArray[Any], whose: str = "params") -> None:
    """Refuse an array whose shape or dtype differs from that of the parameters, or another."""
    if array.shape != like.shape:
        raise ValueError(f"{name} has shape {array.shape}, but {whose} has shape {like.shape}")
    if array.dtype != like.dtype:
        raise TypeError(
            f"{name} has dtype {array.dtype}, but {whose} has dtype {like.dtype}; "
            "both must be the same"
        )


def entry(array: NDArray[Any], flat_index: int) -> tuple[str, Any]:
    """Return an index as the user would write it, and the value there."""
    index = np.unravel_index(flat_index, array.shape)
    return ", ".join(str(int(i)) for i in index), array[index]


def first_nonfinite(array: NDArray[Any]) -> int | None:
    """Return the flat index of the first NaN or infinity, None if there is none."""
    if array.size <= FINITE_AT_A_TIME:
        finite = np.isfinite(array)
        return None if finite.all() else int(np.argmin(finite))
    flat = array.reshape(-1)
    # Of a large array, perhaps a file, the answers would be a large array, too.
    for start in range(0, flat.size, FINITE_AT_A_TIME):
        bad = first_nonfinite(flat[start : start + FINITE_AT_A_TIME])
        if bad is not None:
            return start + bad
    return None


def check_finite(name: str, array: NDArray[Any]) -> None:
    """Refuse NaN and infinity, naming the first bad entry."""
    if (bad := first_nonfinite(array)) is not None:
        index, value = entry(array, bad)
        raise ValueError(f"{name} must be finite, but {name}[{index}] is {value}")


def check_averages(name: str, array: NDArray[Any]) -> None:
    """Refuse what cannot be a running average of squares."""
    check_finite(name, array)
    if array.size and array.min() < 0:
        index, value = entry(array, int(np.argmax(array < 0)))
        raise ValueError(
            f"{name} averages squares and cannot be negative, but {name}[{index}] is {value}"
        )


def check_no_overlap(name: str, array: NDArray[Any], **others: NDArray[Any]) -> None:
    """Refuse arrays that share memory: a step would read what it has just written."""
    for other_name, other in others.items():
        if np.may_share_memory(array, other) and np.shares_memory(array, other):
            raise ValueError(f"{name} and {other_name} overlap in memory; pass separate arrays")


def check_number(name: str, value: object) -> float:
    """Return a real scalar as a Python float (NumPy scalars and 0-d arrays are accepted)."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a real number, but is {value!r}")
    try:
        return float(value)
    except OverflowError:  # of an int beyond the largest float
        return math.inf if value > 0 else -math.inf  # type: ignore[operator]


def check_hyperparameter(name: str, value: object, dtype: DTypeLike = np.float64) -> float:
    """Return a number that must not be negative, `rho` also below one and `eps` also positive.

    What counts is the value after rounding to the working dtype: an `eps` that becomes zero would
    turn a zero gradient into 0/0, and a `rho` that becomes one would let the averages grow for
    ever.
    """
    if type(value) is float:  # the usual cases, without the price of the rest
        if 1e-9 <= value <= (0.99 if name == "rho" else 1e9) or (value == 0 and name != "eps"):
            return value
    number = check_number(name, value)
    info = np.finfo(dtype)
    with np.errstate(over="ignore", under="ignore"):
        rounded = float(info.dtype.type(number))
    if name == "rho":
        if not 0 <= rounded < 1:
            raise ValueError(f"rho must be in [0, 1) (as {info.dtype}), but is {number}")
    elif not math.isfinite(rounded):
        raise ValueError(f"{name} must be finite (as {info.dtype}), but is {number}")
    elif name == "eps" and rounded <= 0:
        raise ValueError(
            f"eps must be positive (as {info.dtype}: at least {info.smallest_subnormal}), "
            f"but is {number}"
        )
    elif rounded < 0:
        raise ValueError(f"{name} must not be negative, but is {number}")
    return number


def check_integer(name: str, value: object) -> int:
    """Return a whole number."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer, but is {value!r}")
    return int(value)


def check_count(name: str, value: object, least: int = 0) -> int:
    """Return a whole number that is not negative, or at least so large."""
    count = check_integer(name, value)
    if count < least:
        limit = f"be at least {least}" if least else "not be negative"
        raise ValueError(f"{name} must {limit}, but is {value}")
    return count


def check_rate(name: str, value: object) -> float:
    """Return a rate of dropout."""
    rate = check_number(name, value)
    if not 0 <= rate < 1:
        raise ValueError(f"{name} must be in [0, 1), but is {value}")
    return rate


def check_choice(name: str, value: object, choices: Collection[str]) -> str:
    """Return a string option, or list the choices."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, but is {value!r}")
    return str(value)


def check_flag(name: str, value: object) -> bool:
    """Return a boolean option."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, but is {value!r}")
    return bool(value)
