"""The multi-layer perceptron: settings and flat parameters, fit, predict, save and load.

One class of documented methods, half of it docstrings, hence so long; what they do is in the files
that it imports.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from numadelta import (
    arrays,
    caller,
    checkpoints,
    data,
    evaluation,
    functions,
    losses,
    model_file,
    progress,
    training,
)
from numadelta.backprop import (
    Network,
    Views,
    Workspace,
    layer_views,
    parameter_count,
    part_sizes,
)
from numadelta.checked import Checked
from numadelta.checkpoints import Checkpoints
from numadelta.clipping import Clip
from numadelta.fingerprint import fingerprint, held
from numadelta.fit_options import FitOptions
from numadelta.functions import Pair
from numadelta.history import History
from numadelta.hooks import Hooks
from numadelta.interrupts import termination_interrupts
from numadelta.minibatches import Batches
from numadelta.optimizer import Adadelta

INITIALIZATIONS = ("auto", "he", "glorot")
BATCH_SIZE = 128


def _rate(name: str, value: object, dtype: np.dtype[Any]) -> float:
    return arrays.check_rate(name, value)


class MLP:
    """A multi-layer perceptron whose parameters are one flat array.

    Parameters
    ----------
    layer_sizes : sequence of int
        Units of each layer, inputs first, outputs last.
    activation : {"relu", "tanh", "logistic", "identity"} or pair of functions, default "relu"
        Activation of the hidden layers.  Two scalar functions are a rule and its derivative,
        ``rule(z)`` and ``derivative(z)``; Numba must be able to compile them.
    loss : {"cross_entropy", "binary_cross_entropy", "squared_error"} or pair of functions
        What is minimised, averaged over the samples:

        - ``"cross_entropy"``: softmax outputs; `y` holds class numbers, shape (n,).
        - ``"binary_cross_entropy"``: independent logistic outputs; `y` holds targets in [0, 1],
          shape (n, outputs), or (n,) for one output.  Mean over the outputs.
        - ``"squared_error"``: identity outputs; `y` holds real numbers, shaped likewise.  Mean over
          the outputs.
        - two scalar functions, ``rule(output, target)`` and its derivative by the output: as
          squared error, with this rule in its place.

        The default is ``"cross_entropy"``.
    weight_decay : float, default 0.0
        L2 penalty: ``weight_decay / 2`` times the sum of all squared weights (biases excluded) is
        added to the loss.
    dropout, input_dropout : float, default 0.0
        The share of the hidden units and of the inputs that are left out at random in each step of
        the training, in [0, 1); what is left is scaled up accordingly [3]_.
    initialization : {"auto", "he", "glorot"}, default "auto"
        Each in its author's form: normal with variance ``2 / fan_in`` [1]_, or uniform within
        ``sqrt(6 / (fan_in + fan_out))`` [2]_.  Biases are zero.  ``"auto"`` is He's for relu, else
        Glorot's.
    dtype : float32 or float64, default float32
        Of the parameters and of all arithmetic.
    seed : int, default 0
        Seeds the initialisation, the shuffling and the dropout.

    Attributes
    ----------
    theta : ndarray, shape (n_parameters,)
        All parameters.  Assigning to it copies the values, after checking them.
    weights, biases : tuple of ndarray
        Views of `theta`: ``weights[k]`` has shape ``(layer_sizes[k], layer_sizes[k + 1])``,
        ``biases[k]`` has shape ``(layer_sizes[k + 1],)``.
    optimizer : Adadelta or None
        The optimiser over `theta`; its state lives on from one `fit` to the next (but for a
        change of `shared_delta`).
    stop_training : bool
        Set to True by a callback, as in Keras, it ends the training.
    notes : dict
        For you to fill: what else `save` shall write, as JSON, and `load` read.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    References
    ----------
    .. [1] K. He et al., "Delving Deep into Rectifiers", ICCV 2015.
    .. [2] X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward
       neural networks", AISTATS 2010.
    .. [3] N. Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from
       Overfitting", JMLR 15, 2014.

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

    stop_training = False
    activation = Checked(functions.check)
    weight_decay = Checked(arrays.check_hyperparameter)
    dropout = Checked(_rate)
    input_dropout = Checked(_rate)
    initialization = Checked(lambda name, x, dtype: arrays.check_choice(name, x, INITIALIZATIONS))
    seed = Checked(lambda name, x, dtype: arrays.check_count(name, x))

    def __init__(
        self,
        layer_sizes: Sequence[int],
        *,
        activation: str | Pair = "relu",
        loss: str | Pair = "cross_entropy",
        weight_decay: float = 0.0,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
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
        self._layer_sizes, self._dtype = sizes, np.dtype(dtype)
        if self.dtype not in arrays.DTYPES:
            raise TypeError(f"dtype must be float32 or float64, but is {self.dtype}")
        self.activation, self.loss = activation, loss
        self.weight_decay = weight_decay
        self.dropout, self.input_dropout = dropout, input_dropout
        self.initialization, self.seed = initialization, seed
        self.notes: dict[str, Any] = {}
        self._optimizer: Adadelta | None = None
        self._rng = np.random.default_rng(self.seed)
        self._theta = arrays.aligned((parameter_count(sizes),), self.dtype)
        self._theta[:] = 0
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
    def layer_sizes(self) -> tuple[int, ...]:
        """Units of each layer."""
        return self._layer_sizes

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the parameters."""
        return self._dtype

    @property
    def loss(self) -> str | Pair:
        """What is minimised."""
        return self._loss

    @loss.setter
    def loss(self, loss: str | Pair) -> None:
        loss = functions.check("loss", loss, self.dtype)
        if loss == "cross_entropy" and self.layer_sizes[-1] < 2:
            raise ValueError(
                "cross_entropy needs at least two outputs; with one, binary_cross_entropy is for "
                "two classes and squared_error for numbers"
            )
        self._loss = loss

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
        given = arrays.as_real_array("theta", theta)
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

    def get_weights(self) -> list[NDArray[Any]]:
        """Return copies of all weights and biases as Keras does: ``[W0, b0, W1, b1, ...]``.

        Returns
        -------
        list of ndarray
            Shapes ``(layer_sizes[k], layer_sizes[k + 1])`` and ``(layer_sizes[k + 1],)``.

        Examples
        --------
        >>> import numadelta as nd
        >>> [part.shape for part in nd.MLP((3, 4, 2)).get_weights()]
        [(3, 4), (4,), (4, 2), (2,)]
        """
        return [
            part.copy() for pair in zip(self.weights, self.biases, strict=True) for part in pair
        ]

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Set all weights and biases from a list as `get_weights` and Keras return it.

        Parameters
        ----------
        weights : sequence of array_like
            ``[W0, b0, W1, b1, ...]``, of the shapes that the network has.

        Raises
        ------
        TypeError, ValueError
            If it is something else.  Nothing is changed then.

        Examples
        --------
        >>> import numadelta as nd
        >>> net, other = nd.MLP((3, 4, 2), seed=1), nd.MLP((3, 4, 2), seed=2)
        >>> net.set_weights(other.get_weights())
        >>> (net.theta == other.theta).all()
        np.True_
        """
        parts = [arrays.as_real_array(f"weights[{k}]", part) for k, part in enumerate(weights)]
        for k, part in enumerate(parts):
            arrays.check_finite(f"weights[{k}]", part)
        shapes = [part.shape for part in self.get_weights()]
        if (given := [part.shape for part in parts]) != shapes:
            raise ValueError(f"weights has the shapes {given}, but the network has {shapes}")
        self.theta = np.concatenate([part.reshape(-1) for part in parts])

    def _views(self) -> Views:
        return layer_views(self._theta, self.layer_sizes)

    def _network(self) -> Network:
        return Network(
            self.layer_sizes,
            functions.activation(self.activation),
            functions.loss(self.loss),
            self.loss in losses.COUNT_HITS,
            self.weight_decay,
            self.dropout,
            self.input_dropout,
        )

    def loss_and_grad(
        self, theta: ArrayLike, X: ArrayLike, y: ArrayLike
    ) -> tuple[float, NDArray[Any]]:
        """Return loss (with penalty) and gradient at any parameters: an objective for `minimize`.

        Without dropout, which belongs to `fit`.

        Parameters
        ----------
        theta : array_like, shape (n_parameters,)
            Where to evaluate; rounded to the network's dtype.  The network's own `theta` is neither
            used nor changed.
        X : array_like or sparse matrix, shape (n, layer_sizes[0])
            Samples.
        y : array_like
            Targets, as the loss asks for them.

        Returns
        -------
        loss : float
            Mean loss over the samples plus the penalty.
        grad : ndarray, shape (n_parameters,)
            Its gradient, a new array: float64 if `theta` is an array of that, else of the network's
            dtype.  SciPy's TNC and SLSQP insist on float64, so start them from
            ``net.theta.astype(np.float64)``.

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
        is_wide = getattr(theta, "dtype", None) == np.float64
        theta = self._check_theta(theta)
        samples, y = data.Door.of(self).pairs(X, y)
        grad = np.empty_like(theta)
        workspace = Workspace(self._network(), len(y), self.dtype, training=True)
        loss, _ = workspace.loss_and_grad(
            layer_views(theta, self.layer_sizes), layer_views(grad, self.layer_sizes), samples, y
        )
        return float(loss), grad.astype(np.float64 if is_wide else self.dtype, copy=False)

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        epochs: int = 10,
        batch_size: int = BATCH_SIZE,
        validation_data: tuple[Any, ...] | None = None,
        sample_weight: ArrayLike | None = None,
        shuffle: bool = True,
        callbacks: Iterable[Any] | None = None,
        checkpoint: str | os.PathLike[str] | Checkpoints | None = None,
        resume: bool | str | os.PathLike[str] = False,
        verbose: int = 1,
        lr: float | Callable[[int], float] = 1.0,
        rho: float = 0.95,
        eps: float = 1e-6,
        shared_delta: bool = False,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
    ) -> History:
        """Train with ADADELTA on mini-batches, in place.

        A second call goes on where the first ended.  Two times five epochs give the bits of ten, if
        `lr` is constant and callbacks do not change the parameters.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (n, layer_sizes[0])
            Samples, used as they are: scale them first.  Converted to the network's dtype, if need
            be in a copy; never written to.  Sparse matrices become CSR.
        y : array_like
            Targets, as the loss asks for them.
        epochs : int, default 10
            Passes over the data.  Of a training that is resumed: in all.
        batch_size : int, default 128
            Samples a step, or all if there are fewer; the last batch of an epoch may be smaller.
        validation_data : tuple (X, y) or (X, y, sample_weight), optional
            Evaluated after each epoch.
        sample_weight : array_like, shape (n,), optional
            Factors of the samples' losses.  They are divided by their mean.
        shuffle : bool, default True
            Whether to draw a new order for each epoch, from the network's seed.
        callbacks : iterable of objects, optional
            With any of Keras' methods ``on_train_begin(logs)``, ``on_epoch_begin(epoch, logs)``,
            ``on_train_batch_begin(batch, logs)``, ``on_train_batch_end(batch, logs)``,
            ``on_epoch_end(epoch, logs)`` and ``on_train_end(logs)``; a warning tells of others,
            which are not called.  ``set_params({"epochs": ..., "steps": ..., "verbose": ...})`` and
            ``set_model(net)`` are called first, if there are any.  A callback that raises
            ``StopIteration`` or sets ``net.stop_training`` to True ends the training; an epoch that
            this cuts short is not in the history.  What it assigns to ``net.optimizer.lr`` (or
            ``learning_rate``, as in Keras) lasts until the next epoch of a schedule; options of the
            network that it changes take effect in the next `fit`.  Those of `numadelta.callbacks`,
            `EarlyStopping` and `WeightAveraging`, keep their state in checkpoints through
            ``state_dict()`` and ``load_state_dict(state)``; so may yours (a dict of arrays and JSON
            values).  What is added to the logs must be JSON values, too, if there are checkpoints.
        checkpoint : path-like or Checkpoints, optional
            The folder where the training is saved after each epoch, or a `Checkpoints`, which says
            when and how many are kept.
        resume : bool or path-like, default False
            True goes on with the newest good checkpoint in the folder `checkpoint`, or begins if
            there is none yet; a path names a folder or a file that must be there.  On the same
            machine and with the same versions, the result has the bits of a training that was
            never interrupted.  Data and options must be the same; `epochs` may be larger.  What a
            callback has ended stays ended.
        verbose : {0, 1, 2}, default 1
            0 is silent; 1 shows a progress bar (on a terminal or in a notebook, if tqdm is
            installed), else as 2; 2 prints a line for each epoch.
        lr : float or callable, default 1.0
            As in `Adadelta` (not the 0.001 of Adam), or a schedule: ``lr(epoch)``, with epochs
            from 0.
        rho, eps : float, default 0.95, 1e-6
            As in `Adadelta`.
        shared_delta : bool, default False
            Whether the weights of a layer share one E[dx^2], and its biases another, as in
            `Adadelta`.  Where it was otherwise in an earlier call, the averages begin anew.
        clipvalue : float, optional
            Elements of the gradient are clipped to ``[-clipvalue, clipvalue]``.
        global_clipnorm : float, optional
            A gradient of a larger Euclidean norm is scaled down to this one.

        Returns
        -------
        History
            The figures of each whole epoch.

        Raises
        ------
        FileExistsError
            If `checkpoint` holds another training and `resume` is not given.
        TypeError, ValueError
            If an argument is not as described, or if a loss or gradient is not finite; the message
            then names epoch and batch, and the parameters are those after the last whole step (or
            the best with `EarlyStopping`, the mean with `WeightAveraging`).  What is raised in the
            middle of a training has the history of its whole epochs as ``history``.
        FileNotFoundError, numadelta.checkpoint.CheckpointError
            If there is nothing to resume from, or nothing undamaged.
        OSError
            If the first checkpoint cannot be written.

        Warns
        -----
        RuntimeWarning
            On Ctrl-C and SIGTERM, which end the training after the last whole step, save it if
            `checkpoint` is given, and return the history (SIGTERM: in the main thread, if nothing
            else handles it); if a checkpoint could not be written or a damaged one was passed over;
            and if all gradients have become zero.

        Examples
        --------
        >>> import numpy as np
        >>> import numadelta as nd
        >>> X = np.random.default_rng(0).normal(size=(200, 2))
        >>> net = nd.MLP((2, 16, 2))
        >>> history = net.fit(X, X.sum(axis=1) > 0, epochs=20, batch_size=20, verbose=0)
        >>> history["score"][-1] > 0.9
        True
        """
        network = self._network()
        door = data.Door.of(self)
        samples, y, sample_weight = door.weighted(X, y, sample_weight)
        rows = samples.shape[0]
        epochs = arrays.check_count("epochs", epochs)
        progress.check_verbose(verbose, (0, 1, 2))
        clip = Clip(clipvalue, global_clipnorm)
        given = FitOptions(lr, rho, eps, shared_delta, batch_size, shuffle, clip)
        options = given.checked(self.dtype)
        held_out = None if validation_data is None else door.held_out(validation_data)
        if self._optimizer is not None and self._optimizer.nonfinite == "skip":
            raise ValueError(
                "optimizer.nonfinite is 'skip', but a step that is left out would be missing in "
                "its epoch; set it to 'raise'"
            )
        if options.batch_size > rows:
            if options.batch_size != BATCH_SIZE:
                caller.warn(
                    f"batch_size is {batch_size}, but there are only {rows} samples; using these",
                    UserWarning,
                )
            options = options._replace(batch_size=rows)
        params = {
            "epochs": epochs,
            "steps": -(-rows // options.batch_size),
            "verbose": int(verbose),
        }
        hooks = Hooks(() if callbacks is None else callbacks, self, params)
        batches = Batches(network, self._theta, samples, y, options.batch_size, sample_weight)
        saver, saved = None, None
        if checkpoint is not None or resume is not False:
            # The data first, for other data may change options, such as the size of a batch.
            described = {
                "samples": rows,
                "checksum": data.checksum(samples, y, sample_weight),
                "validation_data": data.checksum(*(held_out or ())),
                **options.described(),
            }
            context = self._context(described, {"lr": (lr,)} if callable(lr) else {})
            context["names of callbacks"] = hooks.names()
            saver, saved = checkpoints.begin(checkpoint, resume, context)
        self.stop_training = False
        before = optimizer = self._optimizer
        if optimizer is None or bool(optimizer.shared_delta) != options.shared_delta:
            optimizer = self._optimizer = self._new_optimizer(options.shared_delta)
        run = training.Training(
            batches,
            optimizer,
            self._rng,
            hooks,
            options,
            validate=held_out and self._evaluation(batches.matrix, *held_out),
            checkpoints=saver,
        )
        # An overflow ends in a loss that is not finite, which is an error with epoch and batch.
        with termination_interrupts(), np.errstate(over="ignore", invalid="ignore"):
            try:
                run.run(epochs, verbose, saved)
            finally:
                if before is not None and not optimizer.steps:
                    self._optimizer = before  # nothing has come of a new one
        # Only now: a warning that is turned into an error must not cut a run in two.
        for text in run.complaints():
            caller.warn(text, RuntimeWarning)
        return run.history

    def _context(self, options: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
        """Return what a checkpoint says of its training."""
        settings = self.get_config()
        pairs = {name: part for name, part in settings.items() if isinstance(part, tuple)} | more
        return {
            "network": model_file.plain(settings),
            "options": options
            | {"functions": {name: list(map(fingerprint, pair)) for name, pair in pairs.items()}},
            "held": {name: list(map(held, pair)) for name, pair in pairs.items()},
            "notes": self._checked_notes(),
        }

    def _new_optimizer(self, shared_delta: bool) -> Adadelta:
        return Adadelta(
            self._theta, shared_delta=part_sizes(self.layer_sizes) if shared_delta else False
        )

    def _evaluation(
        self, matrix: Callable[[Any], Any], *held_out: Any
    ) -> Callable[[], tuple[float, float]]:
        # With the threads of the training: those of the BLAS would look for work for 0.1 s more,
        # and hold it up.
        network = self._network()
        return lambda: evaluation.evaluate(network, self._views(), *held_out, matrix=matrix)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return class numbers (cross-entropy), 0 or 1 (binary) or values (squared error).

        Parameters
        ----------
        X : array_like or sparse matrix, shape (n, layer_sizes[0])
            Samples.

        Returns
        -------
        ndarray
            Shape (n,) for classes and for a single output, else (n, outputs).

        Examples
        --------
        >>> import numpy as np
        >>> import numadelta as nd
        >>> nd.MLP((2, 3)).predict(np.zeros((2, 2)))
        array([0, 0])
        """
        outputs = evaluation.outputs(self._network(), self._views(), data.Door.of(self).samples(X))
        if self.loss == "cross_entropy":
            return outputs.argmax(axis=1)
        if self.loss == "binary_cross_entropy":
            outputs = (outputs > 0).astype(np.int64)
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Return the probability of each class (or of 1, for each binary output).

        Parameters
        ----------
        X : array_like or sparse matrix, shape (n, layer_sizes[0])
            Samples.

        Returns
        -------
        ndarray, shape (n, outputs), or (n,) for a single binary output
            Probabilities; those of the classes add up to one.

        Raises
        ------
        ValueError
            If the loss is not one for classes.

        Examples
        --------
        >>> import numpy as np
        >>> import numadelta as nd
        >>> nd.MLP((2, 4)).predict_proba(np.zeros((1, 2)))
        array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)
        """
        if self.loss not in losses.COUNT_HITS:
            raise ValueError("only networks for classes predict probabilities; use predict")
        outputs = evaluation.outputs(self._network(), self._views(), data.Door.of(self).samples(X))
        from scipy import special

        if self.loss == "cross_entropy":
            return special.softmax(outputs, axis=1)
        outputs = special.expit(outputs)
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def evaluate(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> tuple[float, float]:
        """Return loss (with penalty) and score.

        Parameters
        ----------
        X : array_like or sparse matrix, shape (n, layer_sizes[0])
            Samples.
        y : array_like
            Targets, as the loss asks for them.
        sample_weight : array_like, shape (n,), optional
            As in `fit`.

        Returns
        -------
        loss : float
            What `fit` minimises, over these samples.
        score : float
            Share of right answers; for squared error and a loss of your own R^2, averaged over the
            outputs.

        Examples
        --------
        >>> import numpy as np
        >>> import numadelta as nd
        >>> loss, score = nd.MLP((2, 4)).evaluate(np.zeros((2, 2)), [0, 1])
        >>> round(loss, 3), score
        (1.386, 0.5)
        """
        held_out = data.Door.of(self).weighted(X, y, sample_weight)
        return evaluation.evaluate(self._network(), self._views(), *held_out)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to one file: plain NumPy arrays, no pickle.

        The state of the optimiser is not included, nor are functions of your own.

        Parameters
        ----------
        path : path-like
            The file, replaced as a whole or not at all.

        Raises
        ------
        TypeError
            If `notes` holds what JSON cannot.
        ValueError
            If a parameter is not finite.
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> import numadelta as nd
        >>> net = nd.MLP((2, 3), seed=5)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     net.save(pathlib.Path(folder, "net.npz"))
        ...     again = nd.MLP.load(pathlib.Path(folder, "net.npz"))
        >>> (again.theta == net.theta).all()
        np.True_
        """
        arrays.check_finite("theta", self._theta)
        model_file.write(path, self.get_config(), self._checked_notes(), self._theta)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that made the network, as Keras does.

        Returns
        -------
        dict
            The arguments of the constructor, by name, as they are now.  A network made of them is a
            new start: the parameters, the optimiser and `notes` are not among them.

        Examples
        --------
        >>> import numadelta as nd
        >>> net = nd.MLP((2, 3), dropout=0.5)
        >>> nd.MLP(**net.get_config() | {"seed": 7})
        MLP((2, 3), activation='relu', loss='cross_entropy', dtype=float32, parameters=9)
        """
        return {
            "layer_sizes": list(self.layer_sizes),
            "activation": self.activation,
            "loss": self.loss,
            "weight_decay": self.weight_decay,
            "dropout": self.dropout,
            "input_dropout": self.input_dropout,
            "initialization": self.initialization,
            "dtype": self.dtype.name,
            "seed": self.seed,
        }

    def _checked_notes(self) -> dict[str, Any]:
        if not isinstance(self.notes, dict):
            raise TypeError(f"notes must be a dict, but is {self.notes!r}")
        return self.notes

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        activation: Pair | None = None,
        loss: Pair | None = None,
    ) -> MLP:
        """Return the network that `save` wrote, or the one in a checkpoint of `fit`.

        It is a new one: called on a network, this leaves that network as it is.

        Parameters
        ----------
        path : path-like
            The file.
        activation, loss : pair of functions, optional
            Needed if the network was made with functions, and only then.

        Returns
        -------
        MLP
            A network with the same parameters, and a fresh optimiser and shuffling.

        Raises
        ------
        numadelta.checkpoint.CheckpointError
            A `ValueError`, if the file is damaged, is something else or comes from a newer version.
        ValueError
            If functions are missing, or given where the file has a name.
        OSError
            If the file cannot be read.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> import numadelta as nd
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "net.npz")
        ...     nd.MLP((2, 3), activation="tanh").save(path)
        ...     nd.MLP.load(path)
        MLP((2, 3), activation='tanh', loss='cross_entropy', dtype=float32, parameters=9)
        """
        pairs = {"activation": activation, "loss": loss}
        given = {name: pair for name, pair in pairs.items() if pair is not None}
        for name, pair in given.items():
            functions.check_pair(name, pair, np.dtype(np.float64))
        settings, notes, theta = model_file.read(path, pairs)
        with model_file.complaints_of(path):
            net = cls(**settings | given)
            if missing := sorted(net.get_config().keys() - settings.keys()):
                raise ValueError(f"the settings lack {', '.join(missing)}")
            arrays.check_like("theta", theta, net.theta)
            arrays.check_finite("theta", theta)
        net.theta[:] = theta
        net.notes = notes
        return net

    def __getstate__(self) -> dict[str, Any]:
        optimizer = self._optimizer
        state = {**self.__dict__, "_optimizer": None}
        return state if optimizer is None else {**state, "_state_dict": optimizer.state_dict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state_dict = state.pop("_state_dict", None)
        self.__dict__.update(state)
        # An array of its own: joblib hands arrays to its workers as read-only memory maps.
        theta = self._theta
        self._theta = arrays.aligned(theta.shape, theta.dtype)
        self._theta[:] = theta
        # copy.copy hands these over as they are.
        self._rng, self.notes = copy.deepcopy(self._rng), dict(self.notes)
        if state_dict is not None:
            self._optimizer = self._new_optimizer("shared_delta" in state_dict)
            self._optimizer.load_state_dict(state_dict)

    def __repr__(self) -> str:
        return (
            f"MLP({self.layer_sizes}, activation={self.activation!r}, loss={self.loss!r}, "
            f"dtype={self.dtype.name}, parameters={self._theta.size})"
        )
