"""The products of a batch with the weights of the first layer, the batch dense or sparse (CSR).

The BLAS or a `numadelta.team` does the dense ones; they are methods because `np.matmul` takes
0.5 us longer to call, which in all products of a tiny network is a quarter of its step.  SciPy's
sparse ones allocate their result, which for the gradient is as large as the weights.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from numadelta.jit import loop


def product(inputs: Any, weights: NDArray[Any], out: NDArray[Any]) -> None:
    """Write ``inputs @ weights`` to `out`."""
    if hasattr(inputs, "indptr"):
        csr_product(inputs.data, inputs.indices, inputs.indptr, weights, out)
    else:
        inputs.dot(weights, out)


def transposed_product(inputs: Any, delta: NDArray[Any], out: NDArray[Any]) -> None:
    """Write ``inputs.T @ delta`` to `out`."""
    if hasattr(inputs, "indptr"):
        csr_transposed_product(inputs.data, inputs.indices, inputs.indptr, delta, out)
    else:
        inputs.T.dot(delta, out)


@loop
def csr_product(data, indices, indptr, weights, out):
    """Write the product of a CSR matrix and a dense one to `out`."""
    zero = out.dtype.type(0)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = zero
        for k in range(indptr[i], indptr[i + 1]):
            value, row = data[k], weights[indices[k]]
            for j in range(out.shape[1]):
                out[i, j] += value * row[j]


@loop
def csr_transposed_product(data, indices, indptr, delta, out):
    """Write the product of a transposed CSR matrix and a dense one to `out`."""
    out[:] = out.dtype.type(0)
    for i in range(delta.shape[0]):
        for k in range(indptr[i], indptr[i + 1]):
            value, row = data[k], out[indices[k]]
            for j in range(delta.shape[1]):
                row[j] += value * delta[i, j]
