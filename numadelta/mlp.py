"""The multi-layer perceptron: flat parameters, hand-written backpropagation, fit and predict."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from numadelta import arrays, checkpoint, data, evaluation, layers, training
from numadelta.backprop import (
    Network,
    Views,
    Workspace,
    layer_views,
    parameter_count,
)
from numadelta.optimizer import Adadelta

INITIALIZATIONS = ("auto", "he", "glorot")

FILE_FORMAT = "numadelta.MLP"
FILE_VERSION = 1


class MLP:
    """A multi-layer perceptron whose parameters are one flat array.

    Parameters
    ----------
    layer_sizes : sequence of int
        Units of each layer, inputs first, outputs last.
    activation : {"relu", "tanh", "logistic", "identity"}, default "relu"
        Activation of the hidden layers.
    loss : {"cross_entropy", "binary_cross_entropy", "squared_error"}, default "cross_entropy"
        What is minimised, averaged over the samples:

        - ``"cross_entropy"``: softmax outputs; `y` holds class numbers, shape (n,).
        - ``"binary_cross_entropy"``: independent logistic outputs; `y` holds targets in [0, 1],
          shape (n, outputs), or (n,) for one output.  Mean over the outputs.
        - ``"squared_error"``: identity outputs; `y` holds real numbers, shaped likewise.  Mean over
          the outputs.
    weight_decay : float, default 0.0
        L2 penalty: ``weight_decay / 2`` times the sum of all squared weights (biases excluded) is
        added to the loss.
    initialization : {"auto", "he", "glorot"}, default "auto"
        Each in its author's form: normal with variance ``2 / fan_in`` [1]_, or uniform within
        ``sqrt(6 / (fan_in + fan_out))`` [2]_.  Biases are zero.  ``"auto"`` is He's for relu, else
        Glorot's.
    dtype : float32 or float64, default float32
        Of the parameters and of all arithmetic.
    seed : int, default 0
        Seeds the initialisation and the shuffling.

    Attributes
    ----------
    theta : ndarray, shape (n_parameters,)
        All parameters.  Assigning to it copies the values, after checking them.
    weights, biases : tuple of ndarray
        Views of `theta`: ``weights[k]`` has shape ``(layer_sizes[k], layer_sizes[k + 1])``,
        ``biases[k]`` has shape ``(layer_sizes[k + 1],)``.
    optimizer : Adadelta or None
        The optimiser over `theta`; its state lives on from one `fit` to the next.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    References
    ----------
    .. [1] K. He et al., "Delving Deep into Rectifiers", ICCV 2015.
    .. [2] X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward
       neural networks", AISTATS 2010.

    Examples
    --------
    >>> import numpy as np
    >>> import numadelta as nd
    >>> X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> y = np.array([0, 1, 1, 0])
    >>> net = nd.MLP((2, 8, 2), activation="tanh", seed=1)
    >>> history = net.fit(X, y, epochs=400, batch_size=4, verbose=0)
    >>> net.predict(X)
    array([0, 1, 1, 0])
    """

    def __init__(
        self,
        layer_sizes: Sequence[int],
        *,
        activation: str = "relu",
        loss: str = "cross_entropy",
        weight_decay: float = 0.0,
        initialization: str = "auto",
        dtype: DTypeLike = np.float32,
        seed: int = 0,
    ) -> None:
        if isinstance(layer_sizes, str) or not isinstance(layer_sizes, Iterable):
            raise TypeError(f"layer_sizes must be a sequence of integers, but is {layer_sizes!r}")
        sizes = tuple(arrays.check_count("layer_sizes", size) for size in layer_sizes)
        if len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(
                f"layer_sizes must hold at least two positive numbers, but is {layer_sizes!r}"
            )
        self.layer_sizes = sizes
        self.activation = arrays.check_choice("activation", activation, list(layers.ACTIVATIONS))
        self.loss = arrays.check_choice("loss", loss, list(layers.LOSSES))
        if self.loss == "cross_entropy" and sizes[-1] < 2:
            raise ValueError(
                "cross_entropy needs at least two outputs; binary_cross_entropy works with one"
            )
        self.dtype = np.dtype(dtype)
        if self.dtype not in arrays.DTYPES:
            raise TypeError(f"dtype must be float32 or float64, but is {self.dtype}")
        self.weight_decay = arrays.check_hyperparameter("weight_decay", weight_decay, self.dtype)
        self.initialization = arrays.check_choice("initialization", initialization, INITIALIZATIONS)
        self.seed = arrays.check_count("seed", seed)
        self._optimizer: Adadelta | None = None
        self._rng = np.random.default_rng(self.seed)
        self._theta = np.zeros(parameter_count(sizes), self.dtype)
        self._initialize()

    def _initialize(self) -> None:
        he = self.initialization == "he" or (
            self.initialization == "auto" and self.activation == "relu"
        )
        for weights in self.weights:
            fan_in, fan_out = weights.shape
            if he:
                weights[...] = self._rng.normal(0, np.sqrt(2 / fan_in), weights.shape)
            else:
                limit = np.sqrt(6 / (fan_in + fan_out))
                weights[...] = self._rng.uniform(-limit, limit, weights.shape)

    @property
    def theta(self) -> NDArray[Any]:
        """All parameters, flat."""
        return self._theta

    @theta.setter
    def theta(self, values: ArrayLike) -> None:
        values = self._check_theta(values)
        arrays.check_finite("theta", values)
        self._theta[:] = values

    def _check_theta(self, theta: ArrayLike) -> NDArray[Any]:
        given = np.asarray(theta)
        if given.dtype.kind not in "fiu":
            raise TypeError(f"theta has dtype {given.dtype}, but real numbers are needed")
        if given.shape != self._theta.shape:
            raise ValueError(
                f"theta has shape {given.shape}, but the network has {self._theta.size} parameters"
            )
        return np.ascontiguousarray(given, self.dtype)

    @property
    def optimizer(self) -> Adadelta | None:
        """The optimiser over `theta`, from the first `fit` on."""
        return self._optimizer

    @property
    def weights(self) -> tuple[NDArray[Any], ...]:
        """Views of `theta`: the weight matrix of each layer."""
        return self._views().weights

    @property
    def biases(self) -> tuple[NDArray[Any], ...]:
        """Views of `theta`: the bias of each layer."""
        return self._views().biases

    def _views(self) -> Views:
        return layer_views(self._theta, self.layer_sizes)

    def _network(self) -> Network:
        return Network(
            self.layer_sizes, layers.ACTIVATIONS[self.activation], self.loss, self.weight_decay
        )

    def loss_and_grad(
        self, theta: ArrayLike, X: ArrayLike, y: ArrayLike
    ) -> tuple[float, NDArray[Any]]:
        """Return loss (with penalty) and gradient at any parameters: an objective for `minimize`.

        Parameters
        ----------
        theta : array_like, shape (n_parameters,)
            Where to evaluate; rounded to the network's dtype.  The network's own `theta` is neither
            used nor changed.
        X : array_like, shape (n, layer_sizes[0])
            Samples.
        y : array_like
            Targets, as the loss asks for them.

        Returns
        -------
        loss : float
            Mean loss over the samples plus the penalty.
        grad : ndarray, shape (n_parameters,)
            Its gradient, a new array of the network's dtype.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described.

        Examples
        --------
        >>> import numpy as np
        >>> import numadelta as nd
        >>> net = nd.MLP((2, 3, 1), loss="squared_error", dtype=np.float64)
        >>> loss, grad = net.loss_and_grad(net.theta, np.eye(2), np.ones(2))
        >>> grad.shape == net.theta.shape
        True
        """
        theta = self._check_theta(theta)
        X, y = self._check_data(X, y)
        grad = np.empty_like(theta)
        workspace = Workspace(self._network(), len(X), self.dtype)
        loss, _ = workspace.loss_and_grad(
            layer_views(theta, self.layer_sizes), layer_views(grad, self.layer_sizes), X, y
        )
        return float(loss), grad

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        epochs: int = 10,
        batch_size: int = 128,
        validation_data: tuple[ArrayLike, ArrayLike] | None = None,
        shuffle: bool = True,
        callbacks: Iterable[Any] | None = None,
        verbose: int = 1,
        lr: float = 1.0,
        rho: float = 0.95,
        eps: float = 1e-6,
    ) -> training.History:
        """Train with ADADELTA on mini-batches, in place.

        A second call goes on where the first ended: two times five epochs give the bits of ten.

        Parameters
        ----------
        X : array_like, shape (n, layer_sizes[0])
            Samples.  Converted to the network's dtype, if need be in a copy; never written to.
        y : array_like
            Targets, as the loss asks for them.
        epochs : int, default 10
            Passes over the data.
        batch_size : int, default 128
            Samples a step; the last batch of an epoch may be smaller.
        validation_data : tuple (X, y), optional
            Evaluated after each epoch.
        shuffle : bool, default True
            Whether to draw a new order for each epoch, from the network's seed.
        callbacks : iterable of objects, optional
            With any of Keras' methods ``on_train_begin(logs)``, ``on_epoch_begin(epoch, logs)``,
            ``on_train_batch_end(batch, logs)``, ``on_epoch_end(epoch, logs)`` and
            ``on_train_end(logs)``.  A callback that raises ``StopIteration`` ends the training.
        verbose : {0, 1, 2}, default 1
            0 is silent; 1 shows a progress bar (on a terminal, if tqdm is installed), else as 2;
            2 prints a line for each epoch.
        lr, rho, eps : float, default 1.0, 0.95, 1e-6
            As in `Adadelta`.

        Returns
        -------
        History
            Loss, score (not for squared error) and seconds of each epoch, with loss and score on
            the validation data, if there are any.

        Raises
        ------
        TypeError, ValueError
            If an argument is not as described, or if a loss or gradient is not finite; the message
            then names epoch and batch, and the parameters are those after the last whole step.

        Warns
        -----
        RuntimeWarning
            On Ctrl-C, which ends training after the last whole step and returns the history; and
            if all gradients have become zero.
        """
        X, y = self._check_data(X, y)
        epochs = arrays.check_count("epochs", epochs)
        batch_size = arrays.check_count("batch_size", batch_size)
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, but is {batch_size}")
        shuffle = arrays.check_flag("shuffle", shuffle)
        if verbose not in (0, 1, 2):
            raise ValueError(f"verbose must be 0, 1 or 2, but is {verbose!r}")
        network, validate = self._network(), None
        if validation_data is not None:
            if not isinstance(validation_data, (tuple, list)) or len(validation_data) != 2:
                raise TypeError(
                    f"validation_data must be a tuple (X, y), but is {type(validation_data)}"
                )
            try:
                X_val, y_val = self._check_data(*validation_data)
            except (TypeError, ValueError) as error:
                raise type(error)(f"validation_data: {error}") from error

            def validate() -> tuple[float, float]:
                return evaluation.evaluate(network, self._views(), X_val, y_val)

        options = {
            name: arrays.check_hyperparameter(name, value, self.dtype)
            for name, value in {"lr": lr, "rho": rho, "eps": eps}.items()
        }
        if batch_size > len(X):
            warnings.warn(
                f"batch_size is {batch_size}, but there are only {len(X)} samples; using these",
                UserWarning,
                stacklevel=2,
            )
            batch_size = len(X)
        if self._optimizer is None:
            self._optimizer = Adadelta(self._theta)
        for name, number in options.items():
            setattr(self._optimizer, name, number)
        return training.fit(
            training.Batches(network, self._theta, X, y, batch_size),
            self._optimizer,
            epochs,
            self._rng if shuffle else None,
            validate,
            callbacks or (),
            verbose,
        )

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return class numbers (cross-entropy), 0 or 1 (binary) or values (squared error).

        Parameters
        ----------
        X : array_like, shape (n, layer_sizes[0])
            Samples.

        Returns
        -------
        ndarray
            Shape (n,) for classes and for a single output, else (n, outputs).
        """
        outputs = evaluation.outputs(self._network(), self._views(), self._check_samples(X))
        if self.loss == "cross_entropy":
            return outputs.argmax(axis=1)
        if self.loss == "binary_cross_entropy":
            outputs = (outputs > 0).astype(np.int64)
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Return the probability of each class (or of 1, for each binary output).

        Parameters
        ----------
        X : array_like, shape (n, layer_sizes[0])
            Samples.

        Returns
        -------
        ndarray, shape (n, outputs), or (n,) for a single binary output
            Probabilities; those of the classes add up to one.

        Raises
        ------
        ValueError
            If the loss is squared error, which knows no probabilities.
        """
        if self.loss == "squared_error":
            raise ValueError("a network with squared_error predicts no probabilities; use predict")
        outputs = evaluation.outputs(self._network(), self._views(), self._check_samples(X))
        if self.loss == "cross_entropy":
            layers.softmax(outputs, np.zeros(outputs.shape[1], self.dtype))
            return outputs
        layers.logistic_outputs(outputs, np.zeros(outputs.shape[1], self.dtype))
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def evaluate(self, X: ArrayLike, y: ArrayLike) -> tuple[float, float]:
        """Return loss (with penalty) and score.

        Parameters
        ----------
        X : array_like, shape (n, layer_sizes[0])
            Samples.
        y : array_like
            Targets, as the loss asks for them.

        Returns
        -------
        loss : float
            What `fit` minimises, over these samples.
        score : float
            Share of right answers; for squared error R^2, averaged over the outputs.
        """
        return evaluation.evaluate(self._network(), self._views(), *self._check_data(X, y))

    def _check_samples(self, X: ArrayLike) -> NDArray[Any]:
        return data.check_samples(X, self.layer_sizes[0], self.dtype)

    def _check_data(self, X: ArrayLike, y: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
        samples, outputs = self._check_samples(X), self.layer_sizes[-1]
        if self.loss == "cross_entropy":
            return samples, data.check_labels(y, len(samples), outputs)
        targets = data.check_targets(y, len(samples), outputs, self.dtype)
        if self.loss == "binary_cross_entropy":
            data.check_probabilities(targets)
        return samples, targets

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to one file: plain NumPy arrays, no pickle.

        The state of the optimiser is not included.

        Parameters
        ----------
        path : path-like
            The file, replaced as a whole or not at all.

        Raises
        ------
        ValueError
            If a parameter is not finite.
        OSError
            If the file cannot be written.
        """
        arrays.check_finite("theta", self._theta)
        checkpoint.write(path, FILE_FORMAT, FILE_VERSION, self._settings(), theta=self._theta)

    def _settings(self) -> dict[str, Any]:
        return {
            "layer_sizes": list(self.layer_sizes),
            "activation": self.activation,
            "loss": self.loss,
            "weight_decay": self.weight_decay,
            "initialization": self.initialization,
            "dtype": self.dtype.name,
            "seed": self.seed,
        }

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> MLP:
        """Read a network that `save` wrote.

        Parameters
        ----------
        path : path-like
            The file.

        Returns
        -------
        MLP
            A network with the same parameters, and a fresh optimiser and shuffling.

        Raises
        ------
        numadelta.checkpoint.CheckpointError
            A `ValueError`, if the file is damaged, is something else or comes from a newer version.
        OSError
            If the file cannot be read.
        """
        settings, saved = checkpoint.read(path, FILE_FORMAT, FILE_VERSION, ("theta",))
        theta = saved["theta"]
        try:
            # First, for a network of damaged sizes may be too large to make.
            count = parameter_count(tuple(settings["layer_sizes"]))
            if theta.shape != (count,):
                raise ValueError(f"theta has shape {theta.shape}, but the layers need ({count},)")
            net = cls(**settings)
            if missing := sorted(net._settings().keys() - settings.keys()):
                raise ValueError(f"the settings lack {', '.join(missing)}")
            arrays.check_like("theta", theta, net.theta)
            arrays.check_finite("theta", theta)
        except (ValueError, TypeError, KeyError) as error:
            raise checkpoint.CheckpointError(f"{path} is corrupt: {error}") from error
        net.theta[:] = theta
        return net

    def __getstate__(self) -> dict[str, Any]:
        optimizer = self._optimizer
        state = {**self.__dict__, "_optimizer": None}
        return state if optimizer is None else {**state, "_state_dict": optimizer.state_dict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state_dict = state.pop("_state_dict", None)
        self.__dict__.update(state)
        # An array of its own: joblib hands arrays to its workers as read-only memory maps.
        self._theta = np.array(self._theta)
        if state_dict is not None:
            self._optimizer = Adadelta(self._theta)
            self._optimizer.load_state_dict(state_dict)

    def __repr__(self) -> str:
        return (
            f"MLP({self.layer_sizes}, activation={self.activation!r}, loss={self.loss!r}, "
            f"dtype={self.dtype.name}, parameters={self._theta.size})"
        )
