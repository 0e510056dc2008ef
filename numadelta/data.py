"""The door for training data: samples and targets are checked and converted here."""

from __future__ import annotations

import zlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numadelta import arrays

Weighted = tuple[Any, NDArray[Any], NDArray[Any] | None]


class Door(NamedTuple):
    """What a network asks of its data; each method returns arrays that its loops may trust."""

    features: int
    outputs: int
    loss: Any
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, net: Any) -> Door:
        """Return that of a network."""
        return cls(net.layer_sizes[0], net.layer_sizes[-1], net.loss, net.dtype)

    def samples(self, X: Any) -> Any:
        """Return samples: a matrix, or a CSR array."""
        return check_samples(X, self.features, self.dtype)

    def pairs(self, X: Any, y: ArrayLike) -> tuple[Any, NDArray[Any]]:
        """Return samples and targets."""
        samples = self.samples(X)
        if self.loss == "cross_entropy":
            return samples, check_labels(y, samples.shape[0], self.outputs)
        targets = check_targets(y, samples.shape[0], self.outputs, self.dtype)
        if self.loss == "binary_cross_entropy":
            check_probabilities(targets)
        return samples, targets

    def weighted(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Weighted:
        """Return samples, targets and weights, None where there are none."""
        samples, targets = self.pairs(X, y)
        if sample_weight is None:
            return samples, targets, None
        return samples, targets, check_sample_weight(sample_weight, len(targets), self.dtype)

    def held_out(self, validation_data: Any) -> Weighted:
        """Return the samples, targets and weights of a tuple."""
        if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
            what = type(validation_data).__name__
            if isinstance(validation_data, (tuple, list)):
                what += f" of {len(validation_data)}"
            raise TypeError(
                f"validation_data must be a tuple (X, y) or (X, y, sample_weight), but is a {what}"
            )
        try:
            return self.weighted(*validation_data)
        except (TypeError, ValueError) as error:
            raise type(error)(f"validation_data: {error}") from error


def check_samples(X: Any, features: int, dtype: np.dtype[Any]) -> Any:
    """Return a C-contiguous matrix of finite numbers, one sample a row, or a CSR array of them."""
    sparse = hasattr(X, "tocsr")
    given = X if sparse else arrays.as_array("X", X)
    if given.dtype.kind not in "fiu" or (
        # Not by name: on some systems longdouble is a float64 of another name.
        given.dtype.kind == "f" and given.dtype.itemsize not in (4, 8)
    ):
        raise TypeError(
            f"X has dtype {given.dtype}, but float32, float64 or integers are needed; "
            f"X.astype(np.{dtype}) converts other numbers"
        )
    if given.ndim != 2:
        remedy = "X.reshape(len(X), -1) flattens images"
        if given.ndim == 1:
            remedy = "X.reshape(1, -1) makes one sample of it"
            if features == 1:
                remedy = "X.reshape(-1, 1) makes a sample of each number"
        raise ValueError(
            f"X has shape {given.shape}, but (n_samples, {features}) is needed; {remedy}"
        )
    if given.shape[1] != features:
        raise ValueError(f"X has {given.shape[1]} features, but the network has {features} inputs")
    if not given.shape[0]:
        raise ValueError("X has no samples, but at least 1 sample is needed")
    return _sparse(given, dtype) if sparse else _finite(given, dtype, "X")


def _sparse(given: Any, dtype: np.dtype[Any]) -> Any:
    """Return a CSR array whose indices are checked, for compiled loops will trust them."""
    from scipy import sparse

    try:
        # SciPy's conversions trust them, too.  New arrays around the same data are checked.
        if given.format in ("csr", "csc", "bsr"):
            kind = getattr(sparse, f"{given.format}_array")
            given = kind((given.data, given.indices, given.indptr), shape=given.shape)
            given.check_format(full_check=True)
        elif given.format == "coo":
            given = sparse.coo_array((given.data, given.coords), shape=given.shape)
    except ValueError as error:
        raise ValueError(f"X is a malformed sparse matrix: {error}") from error
    given = given.tocsr()
    _finite(given.data, dtype, "X.data")
    csr = sparse.csr_array(given, dtype=dtype)
    if not csr.has_canonical_format:
        csr = csr.copy()
        csr.sum_duplicates()
        _finite(csr.data, dtype, "X.data with its duplicates summed")
    # One index type: equal data have equal checksums, and the loops are compiled once.
    parts = csr.indices, csr.indptr
    index = sparse.get_index_dtype(parts, maxval=max(csr.shape), check_contents=True)
    indices, indptr = (part.astype(index, copy=False) for part in parts)
    return sparse.csr_array((csr.data, indices, indptr), shape=csr.shape)


def check_sample_weight(sample_weight: ArrayLike, rows: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the weights of the samples, divided by their mean."""
    given = arrays.as_real_array("sample_weight", sample_weight, "fiub")
    if given.shape != (rows,):
        raise ValueError(f"sample_weight has shape {given.shape}, but ({rows},) is needed")
    weights = _finite(given, np.dtype(np.float64), "sample_weight")
    if (weights < 0).any():
        index = int(np.argmax(weights < 0))
        raise ValueError(
            f"sample_weight must not be negative, but sample_weight[{index}] is {given[index]}"
        )
    if not weights.any():
        raise ValueError("sample_weight must not be zero for all samples")
    # In two steps, for the sum of large weights overflows.
    weights = weights / weights.max()
    return (weights / weights.mean()).astype(dtype)


def check_labels(y: ArrayLike, rows: int, classes: int) -> NDArray[np.int64]:
    """Return class numbers as int64."""
    labels = _column(y, rows)
    if labels.dtype.kind not in "iub" and labels.shape[1:] != (classes,):
        if labels.dtype.kind == "f":
            arrays.check_finite("y", labels)
        remedy = "np.unique(y, return_inverse=True)[1] numbers other labels"
        if labels.dtype.kind == "f" and (labels == np.round(labels)).all():
            remedy = "y.astype(int) makes integers of these"
        raise TypeError(
            f"y has dtype {labels.dtype}, but class numbers from 0 to {classes - 1} are "
            f"needed; {remedy}, and loss='squared_error' takes real numbers"
        )
    if labels.ndim != 1:
        one_hot = labels.shape[1:] == (classes,)
        remedy = "try y.argmax(axis=1)" if one_hot else "try y.ravel()"
        if labels.dtype.kind == "f":
            remedy += ", or loss='squared_error' for real numbers"
        raise ValueError(
            f"y has shape {labels.shape}, but one class number a sample is needed, "
            f"({rows},); {remedy}"
        )
    bad = (labels < 0) | (labels >= classes)
    if bad.any():
        index = int(np.argmax(bad))
        remedy = ""
        if (labels.min(), labels.max()) == (1, classes):
            remedy = "; y - 1 begins at 0"
        raise ValueError(
            f"y[{index}] is {labels[index]}, but the network has the classes 0 to {classes - 1}"
            f"{remedy}"
        )
    return labels.astype(np.int64)


def check_targets(y: ArrayLike, rows: int, outputs: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return finite targets as a matrix, one sample a row."""
    given = _column(y, rows)
    if given.dtype.kind not in "fiub":
        raise TypeError(f"y has dtype {given.dtype}, but real numbers are needed")
    matrix_shape = (rows, 1) if given.ndim == 1 else given.shape
    if matrix_shape != (rows, outputs):
        raise ValueError(
            f"y has shape {given.shape}, but the network has {outputs} outputs: "
            f"({rows}, {outputs}) is needed"
        )
    return _finite(given, dtype, "y").reshape(rows, outputs)


def check_probabilities(targets: NDArray[Any]) -> None:
    """Refuse what is not between 0 and 1."""
    if not ((targets >= 0) & (targets <= 1)).all():
        raise ValueError(
            f"y must be from 0 to 1 for binary_cross_entropy, but reaches from "
            f"{targets.min()} to {targets.max()}"
        )


def _column(y: ArrayLike, rows: int) -> NDArray[Any]:
    if hasattr(y, "toarray"):
        raise TypeError("y is sparse, but dense targets are needed; use y.toarray()")
    array = arrays.as_array("y", y)
    if array.ndim == 0 or len(array) != rows:
        raise ValueError(f"y has shape {array.shape}, but X has {rows} samples")
    return array


def _finite(given: NDArray[Any], dtype: np.dtype[Any], name: str) -> NDArray[Any]:
    """Return a C-contiguous array of finite numbers, naming the first that is not."""
    with np.errstate(over="ignore"):  # what overflows is found by the check for infinities
        array = np.ascontiguousarray(given, dtype).view(np.ndarray)
    if (bad := arrays.first_nonfinite(array)) is not None:
        index, value = arrays.entry(given, bad)
        raise ValueError(f"{name} must be finite (as {dtype}), but {name}[{index}] is {value}")
    return array


def checksum(*parts: Any) -> int:
    """Return a checksum of checked samples and targets, dense or sparse; None counts as nothing."""
    total = 0
    for part in parts:
        if part is None:
            continue
        dense = isinstance(part, np.ndarray)
        for array in (part,) if dense else (part.data, part.indices, part.indptr):
            total = zlib.crc32(array.data, total)
    return total
