"""Weights to and from other libraries: lists of (W, b), and plain ``.npz`` files."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numadelta import arrays, checkpoint, files
from numadelta.mlp import MLP


def to_layers(net: MLP) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Return copies of the weights and the bias of each layer.

    Parameters
    ----------
    net : MLP
        The network.

    Returns
    -------
    list of tuple (W, b)
        Shapes (n_in, n_out) and (n_out,), as Keras has them; PyTorch's ``Linear`` keeps ``W.T``.

    Examples
    --------
    >>> import numadelta as nd
    >>> [W.shape for W, b in nd.exchange.to_layers(nd.MLP((3, 4, 2)))]
    [(3, 4), (4, 2)]
    """
    return [(W.copy(), b.copy()) for W, b in zip(net.weights, net.biases, strict=True)]


def from_layers(
    layers: Sequence[tuple[ArrayLike, ArrayLike]], *, transposed: bool = False, **options: Any
) -> MLP:
    """Make a network of the weights and the bias of each layer.

    Parameters
    ----------
    layers : sequence of tuple (W, b)
        Shapes (n_in, n_out) and (n_out,).  Keras: ``[layer.get_weights() for layer in dense]``.
    transposed : bool, default False
        Whether the weights are (n_out, n_in), as in PyTorch: ``[(layer.weight.detach().numpy(),
        layer.bias.detach().numpy()) for layer in linear]``.
    **options
        Of `MLP`, such as `activation`, `loss` and `dtype`, which is that of the first weights by
        default, or float32.

    Returns
    -------
    MLP
        With copies of the values.

    Raises
    ------
    TypeError, ValueError
        If the shapes do not fit together or a value is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> import numadelta as nd
    >>> net = nd.exchange.from_layers([(np.ones((3, 2)), np.zeros(2))], loss="squared_error")
    >>> net.predict([[1.0, 2.0, 3.0]])
    array([[6., 6.]])
    """
    pairs = []
    for k, layer in enumerate(layers):
        if not isinstance(layer, (tuple, list)) or len(layer) != 2:
            what = type(layer).__name__
            if isinstance(layer, (tuple, list)):
                what += f" of {len(layer)}; leave layers without weights out"
            raise TypeError(f"layers[{k}] must be a pair (W, b), but is a {what}")
        weights, bias = (arrays.as_real_array(f"layers[{k}][{i}]", layer[i]) for i in range(2))
        if weights.ndim != 2 or bias.ndim != 1:
            raise ValueError(
                f"layers[{k}] has shapes {weights.shape} and {bias.shape}, but a matrix and a "
                "vector are needed"
            )
        pairs.append((weights.T if transposed else weights, bias))
    if not pairs:
        raise ValueError("layers is empty, but at least one pair (W, b) is needed")
    sizes = [len(pairs[0][0]), *(len(bias) for _, bias in pairs)]
    for k, (weights, _) in enumerate(pairs):
        if weights.shape != (sizes[k], sizes[k + 1]):
            raise ValueError(
                f"the weights of layers[{k}] are {weights.shape} (inputs, outputs), but "
                f"{(sizes[k], sizes[k + 1])} fit the bias and the layer before; transposed= turns "
                "them over"
            )
    dtype = pairs[0][0].dtype
    wide = dtype.kind == "f" and dtype.itemsize == 8  # in any byte order
    options.setdefault("dtype", np.float64 if wide else np.float32)
    net = MLP(sizes, **options)
    net.theta = np.concatenate([part.reshape(-1) for pair in pairs for part in pair])
    return net


def to_npz(net: MLP, path: str | os.PathLike[str]) -> None:
    """Write the weights to a plain ``.npz`` file: arrays ``W0, b0, W1, b1, ...`` and no more.

    `MLP.save` keeps the settings, too; this file is for others to read.

    Parameters
    ----------
    net : MLP
        The network.
    path : path-like
        The file, whose name must end in ``.npz``.

    Raises
    ------
    ValueError
        If the name ends otherwise.
    OSError
        If it cannot be written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> import numadelta as nd
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "weights.npz")
    ...     nd.exchange.to_npz(nd.MLP((4, 3)), path)
    ...     with np.load(path) as file:
    ...         {name: array.shape for name, array in file.items()}
    {'W0': (4, 3), 'b0': (3,)}
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"path must end in .npz, but is {path}")
    members: dict[str, Any] = {f"W{k}": weights for k, weights in enumerate(net.weights)}
    members |= {f"b{k}": bias for k, bias in enumerate(net.biases)}
    files.replace(path, checkpoint.archive(members))


def from_npz(path: str | os.PathLike[str], *, transposed: bool = False, **options: Any) -> MLP:
    """Make a network of a file that `to_npz` wrote, or another with the same names.

    Parameters
    ----------
    path : path-like
        The file.
    transposed, **options
        As in `from_layers`.

    Returns
    -------
    MLP
        The network.

    Raises
    ------
    TypeError, ValueError
        If the file holds something else, or as in `from_layers`.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> import numadelta as nd
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "weights.npz")
    ...     np.savez(path, W0=np.eye(2), b0=np.ones(2))
    ...     net = nd.exchange.from_npz(path, loss="squared_error")
    >>> net.predict([[1.0, 2.0]])
    array([[2., 3.]])
    """
    content = Path(path).read_bytes()
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            found = dict(file)
        if strange := [name for name, part in found.items() if not isinstance(part, np.ndarray)]:
            raise ValueError(f"{strange[0]} is no array")  # but bytes
    except Exception as error:  # garbage makes the readers of zip and npy raise anything
        raise ValueError(f"{path} is no .npz file of plain arrays: {error}") from error
    count = len(found) // 2
    names = [(f"W{k}", f"b{k}") for k in range(count)]
    if not count or set(found) != {name for pair in names for name in pair}:
        hint = "; MLP.load reads what MLP.save wrote" if "header" in found else ""
        raise ValueError(
            f"{path} must hold the arrays W0, b0, W1, b1, ..., but holds "
            f"{', '.join(sorted(found)) or 'none'}{hint}"
        )
    layers = [(found[W], found[b]) for W, b in names]
    return from_layers(layers, transposed=transposed, **options)
