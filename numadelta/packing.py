"""`pack`: several arrays as one flat array, for one optimiser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from numadelta import arrays as checks


def pack(
    arrays: Sequence[ArrayLike], dtype: DTypeLike | None = None
) -> tuple[NDArray[Any], list[NDArray[Any]]]:
    """Copy arrays into one flat array and return it with views of the original shapes.

    Writing to a view writes to the flat array and the other way round, so an optimiser over the
    flat array trains all of them in one pass.

    Parameters
    ----------
    arrays : sequence of array_like
        Real numbers, any shapes.  They are not modified.
    dtype : float32 or float64, optional
        The dtype of the result.  By default the widest of the arrays', and float64 for integers.

    Returns
    -------
    flat : ndarray, shape (n,)
        A new C-contiguous array with the elements of all arrays, one after the other.
    views : list of ndarray
        Views of `flat`, with the shapes of `arrays`.

    Raises
    ------
    TypeError
        If `arrays` is a single array, or if the dtype is neither float32 nor float64.

    Examples
    --------
    >>> import numpy as np
    >>> import numadelta as nd
    >>> flat, (weights, bias) = nd.pack([np.ones((2, 3)), np.zeros(3)])
    >>> flat.shape, weights.shape
    ((9,), (2, 3))
    >>> flat[:] = 7.0
    >>> bias
    array([7., 7., 7.])
    """
    if isinstance(arrays, np.ndarray) or not isinstance(arrays, Sequence):
        raise TypeError(f"arrays must be a list of arrays, but is a {type(arrays).__name__}")
    parts = [checks.as_array(f"arrays[{k}]", array) for k, array in enumerate(arrays)]
    for k, part in enumerate(parts):
        if part.dtype.kind not in "fiu":
            raise TypeError(
                f"arrays[{k}] has dtype {part.dtype}, but real numbers are needed; of complex "
                "numbers pass the real view, array.view(array.real.dtype)"
            )
    if dtype is None:
        dtype = np.result_type(*parts) if parts else np.float64
        if np.dtype(dtype).kind in "iu":
            dtype = np.float64
    checks.check_dtype("arrays", np.dtype(dtype))
    flat = np.empty(sum(part.size for part in parts), dtype)
    views, start = [], 0
    for part in parts:
        view = flat[start : start + part.size].reshape(part.shape)
        view[...] = part
        views.append(view)
        start += part.size
    return flat, views
