"""The optimiser, which keeps its state: `Adadelta`."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from numadelta import arrays, kernels
from numadelta.checked import Checked
from numadelta.cpu import CpuState
from numadelta.shared import SharedState

NONFINITE = ("raise", "skip", "propagate")
AVERAGES = ("square_avg", "acc_delta")
_OPTIONS = ("lr", "rho", "eps", "weight_decay", "maximize", "nonfinite")


def _make_state(
    params: Any, square_avg: Any, acc_delta: Any, check_values: bool, shared_delta: Any
) -> Any:
    shared = not isinstance(shared_delta, (bool, np.bool_)) or bool(shared_delta)
    if shared and acc_delta is not None:
        raise ValueError("acc_delta cannot be given with shared_delta; use load_state_dict")
    if arrays.is_cuda_array(params):
        if shared:
            raise ValueError("shared_delta must be False for arrays on a GPU")
        from numadelta.cuda import CudaState

        return CudaState(params, square_avg, acc_delta, check_values)
    if shared:
        return SharedState(params, shared_delta, square_avg, check_values)
    return CpuState(params, square_avg, acc_delta, check_values)


class Adadelta:
    """ADADELTA over one flat array, updated in place.

    Each element has its own rate, ``sqrt(acc_delta + eps) / sqrt(square_avg + eps)``, made of the
    running averages of its squared updates and squared gradients [1]_.

    Parameters
    ----------
    params : ndarray of float32 or float64, or a CUDA array
        The parameters, updated in place by `step`.  Any C-contiguous shape; `pack` makes one flat
        array of several.  CuPy, PyTorch and Numba arrays on a GPU are taken by their
        ``__cuda_array_interface__``.
    lr : float, default 1.0
        Factor of every update.  The paper has none, hence 1; not the 0.001 of other libraries.
    rho : float, default 0.95
        Decay rate of both running averages, in [0, 1).
    eps : float, default 1e-6
        Constant inside both roots.  It sets the size of the first steps: about
        ``sqrt(eps / (1 - rho))`` for any gradient much larger than that.
    weight_decay : float, default 0.0
        L2 penalty, added to the gradient as ``weight_decay * params`` (coupled, as in PyTorch).
    maximize : bool, default False
        Ascend instead of descend.
    nonfinite : {"raise", "skip", "propagate"}, default "raise"
        What to do with a gradient that holds NaN or infinity or is too large for its dtype (in
        float32 and with the default `eps` 9e15, beyond which the rate underflows): raise before
        anything is written, leave everything untouched and count it in `skipped`, or
        compute with it as PyTorch does.
    square_avg, acc_delta : ndarray, optional
        Running averages to go on with, of the shape and dtype of `params` and updated in place.
        Zeros by default.
    shared_delta : bool or sequence of int, default False
        True keeps one E[dx^2] for all elements, the mean over them, and sizes one for each group of
        so many neighbours; the layers of a network, for example, as `pack` puts them together.  The
        state is half as large, steps beyond the cache are faster (smaller ones a little slower, by
        2 us at least), and elements whose gradients are rare are not slowed down.  A gradient that
        is not finite spoils the whole group, if `nonfinite` lets it pass.  Only for arrays in main
        memory and without `acc_delta`.

    Attributes
    ----------
    params : ndarray
        The array given.
    dtype : dtype
        That of `params`.
    square_avg, acc_delta : ndarray
        E[g^2] and E[dx^2], live views of the shape of `params`; with `shared_delta` the second is a
        new array with a number for each group.
    steps, skipped : int
        How many steps were taken, and how many were skipped by ``nonfinite="skip"``.
    lr, rho, eps, weight_decay, maximize, nonfinite
        The options as given; they may be changed between steps and are checked then.

    Raises
    ------
    TypeError, ValueError
        If `params` is not a C-contiguous, aligned, writeable array of finite float32 or float64
        numbers, or if an option is out of its range.  The message names the argument.

    Notes
    -----
    The result of a step does not depend, to the last bit, on the number of threads or on how the
    array lies in memory.  One optimiser may be stepped from one thread at a time; different
    optimisers are independent.

    On a GPU all arrays must be there, of one dtype and C-contiguous: nothing is converted.  A step
    runs on the stream on which its gradient is ready, PyTorch's and CuPy's current one; with
    ``nonfinite="propagate"`` it does not wait for the GPU and can be captured in a CUDA graph.
    `square_avg`, `acc_delta` and what `effective_lr` returns are Numba device arrays, which those
    libraries take without copying.

    References
    ----------
    .. [1] M. D. Zeiler, "ADADELTA: An Adaptive Learning Rate Method", arXiv:1212.5701 (2012),
       Algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> import numadelta as nd
    >>> x = np.array([1.0, -2.0])
    >>> opt = nd.Adadelta(x)
    >>> for _ in range(800):
    ...     opt.step(2 * x)  # the gradient of x**2
    >>> abs(x).max() < 0.01
    np.True_
    """

    lr = Checked(arrays.check_hyperparameter)
    rho = Checked(arrays.check_hyperparameter)
    eps = Checked(arrays.check_hyperparameter)
    weight_decay = Checked(arrays.check_hyperparameter)
    maximize = Checked(lambda name, value, dtype: arrays.check_flag(name, value))
    nonfinite = Checked(lambda name, value, dtype: arrays.check_choice(name, value, NONFINITE))

    def __init__(
        self,
        params: Any,
        *,
        lr: float = 1.0,
        rho: float = 0.95,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        maximize: bool = False,
        nonfinite: str = "raise",
        square_avg: Any | None = None,
        acc_delta: Any | None = None,
        shared_delta: bool | Iterable[int] = False,
    ) -> None:
        check_values = nonfinite != "propagate"
        self._state = _make_state(params, square_avg, acc_delta, check_values, shared_delta)
        self._busy = threading.Lock()
        self._mine = threading.RLock()  # around it, for it lets its own thread in again
        self._loading = False
        self._params = params
        self.lr = lr
        self.rho = rho
        self.eps = eps
        self.weight_decay = weight_decay
        self.maximize = maximize
        self.nonfinite = nonfinite
        self.skipped = 0

    @property
    def params(self) -> Any:
        """The array given."""
        return self._params

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the parameters, for which the options are checked."""
        return self._state.dtype

    @property
    def square_avg(self) -> Any:
        """E[g^2], a view of the shape of the parameters."""
        return self._state.square_avg.reshape(self._state.shape)

    @property
    def acc_delta(self) -> Any:
        """E[dx^2], a view of the shape of the parameters, or the numbers of the groups."""
        acc_delta = self._state.acc_delta
        return acc_delta if self.shared_delta else acc_delta.reshape(self._state.shape)

    @property
    def shared_delta(self) -> tuple[int, ...] | bool:
        """The sizes of the groups that share an E[dx^2], or False."""
        return self._state.sizes if isinstance(self._state, SharedState) else False

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return int(self._state.steps[0])

    @property
    def learning_rate(self) -> float:
        """The name that Keras' callbacks have for `lr`."""
        return self.lr

    @learning_rate.setter
    def learning_rate(self, lr: float) -> None:
        self.lr = lr

    def step(self, grads: ArrayLike) -> None:
        """Update the parameters and both running averages in place.

        Parameters
        ----------
        grads : ndarray or sequence of numbers
            The gradient, of the shape of the parameters; not modified.  An array must have their
            dtype or a narrower float dtype; that, what is strided or read-only, and a sequence, of
            whatever numbers, are converted in a copy.

        Raises
        ------
        TypeError, ValueError
            If `grads` does not match the parameters, overlaps with them or with the state, or is
            not finite (``nonfinite="raise"``).  Nothing is updated then.
        RuntimeError
            If another thread is stepping this optimiser, or this one is (in a signal handler).

        Examples
        --------
        >>> import numpy as np
        >>> import numadelta as nd
        >>> x = np.ones(1)
        >>> nd.Adadelta(x).step([0.1])
        >>> x
        array([0.99553233])
        """
        if self._busy.locked():
            raise RuntimeError(
                "this optimiser is in the middle of a step or of load_state_dict, in another "
                "thread or in the code that this signal handler has interrupted"
            )
        # Not acquire() and then try: a Ctrl-C between the two would lock this optimiser for ever.
        with self._mine, self._busy:
            flat = self._state.check_grads(grads)
            bad = self._state.step(
                flat,
                self.nonfinite != "propagate",
                self.lr,
                self.rho,
                self.eps,
                self.weight_decay,
                self.maximize,
            )
            if bad >= 0:
                if self.nonfinite == "raise":
                    raise ValueError(self._refusal(bad, flat))
                self.skipped += 1

    @contextmanager
    def _between_steps(self) -> Iterator[None]:
        """Hold the locks; in a signal handler within a step of this thread do without the inner."""
        with self._mine:
            # What is busy now is this thread, for others are so only while they hold the outer.
            if not self._busy.locked():
                with self._busy:
                    yield
            elif self._loading or not self._state.is_one_call():
                raise RuntimeError(
                    "this optimiser may be in the middle of a step on several threads or a GPU, or "
                    "of load_state_dict; a signal handler should leave a note for a callback, or "
                    "for the loop that steps, to look at"
                )
            else:
                yield

    def _refusal(self, bad: int, grads: Any) -> str:
        what = "with weight decay added, a gradient" if self.weight_decay else "a gradient"
        index, _ = arrays.entry(np.broadcast_to(0, self._state.shape), bad)
        info = np.finfo(self._state.dtype)
        limit = kernels.largest_usable(self.eps, float(info.max), float(info.tiny))
        return (
            f"grads[{index}] is {float(grads[bad])}, but {what} must be finite and at most "
            f"{limit:.2g} (as {self._state.dtype} and with eps {self.eps:g}); nothing was updated"
        )

    def effective_lr(self) -> Any:
        """Return eta, the paper's rate of every element, without the factor `lr`.

        Returns
        -------
        ndarray
            ``sqrt(acc_delta + eps) / sqrt(square_avg + eps)``, a new array of the shape and dtype
            of the parameters.

        Examples
        --------
        >>> import numpy as np
        >>> import numadelta as nd
        >>> nd.Adadelta(np.zeros(2)).effective_lr()
        array([1., 1.])
        """
        with self._between_steps():
            return self._state.effective_lr(self.eps)

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to go on later: a dictionary of scalars and NumPy copies.

        The parameters are yours and are not included.  ``np.savez(path, **opt.state_dict())`` keeps
        it in a file, and ``opt.load_state_dict(dict(np.load(path)))`` takes it from there.

        Returns
        -------
        dict
            ``steps``, ``skipped``, ``lr``, ``rho``, ``eps``, ``weight_decay``, ``maximize``,
            ``nonfinite``, ``square_avg`` and ``acc_delta``; and ``shared_delta``, if there are
            groups.

        Examples
        --------
        >>> import numpy as np
        >>> import numadelta as nd
        >>> opt = nd.Adadelta(np.ones(1))
        >>> opt.step([0.1])
        >>> state = opt.state_dict()
        >>> state["steps"], state["square_avg"]
        (1, array([0.0005]))
        """
        names = ("steps", "skipped", *self._names())
        with self._between_steps():
            return {name: getattr(self, name) for name in names} | self._state.to_host()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned; the next step is then the one it would have been.

        Parameters
        ----------
        state_dict : dict
            All keys must be there and no others.

        Raises
        ------
        TypeError, ValueError, KeyError
            If anything is missing, unknown or does not fit.  Nothing is changed then.

        Examples
        --------
        >>> import numpy as np
        >>> import numadelta as nd
        >>> first, second = nd.Adadelta(np.ones(2)), nd.Adadelta(np.ones(2), rho=0.9)
        >>> first.step(np.ones(2))
        >>> second.load_state_dict(first.state_dict())
        >>> second.steps, second.rho
        (1, 0.95)
        """
        if not isinstance(state_dict, dict):
            raise TypeError(f"state_dict must be a dict, but is a {type(state_dict).__name__}")
        # A file of arrays, which np.savez writes, makes arrays of the scalars, too.
        state_dict = {
            name: value.item()
            if isinstance(value, np.ndarray) and value.ndim == 0 and name not in AVERAGES
            else value
            for name, value in state_dict.items()
        }
        expected = {"steps", "skipped", *AVERAGES, *self._names()}
        if missing := sorted(expected - set(state_dict)):
            raise KeyError(f"state_dict lacks {', '.join(missing)}")
        if unknown := sorted(set(state_dict) - expected, key=str):
            raise ValueError(f"state_dict has unknown keys: {', '.join(map(str, unknown))}")
        shared = state_dict.get("shared_delta", False)
        if not np.array_equal(shared, self.shared_delta):
            raise ValueError(
                f"shared_delta is {shared!r}, but that of this optimiser is {self.shared_delta!r}"
            )
        # Everything is checked before this optimiser is touched.
        options = {
            name: getattr(Adadelta, name).check(name, state_dict[name], self.dtype)
            for name in _OPTIONS
        }
        averages = {}
        for name in AVERAGES:
            arrays.refuse_masked(name, state_dict[name])
            averages[name] = np.array(state_dict[name])
            arrays.check_like(name, averages[name], getattr(self, name), "that of this optimiser")
            if options["nonfinite"] != "propagate":
                arrays.check_averages(name, averages[name])
        counts = {name: arrays.check_count(name, state_dict[name]) for name in ("steps", "skipped")}
        if counts["steps"] > np.iinfo(np.int64).max:
            raise ValueError(f"steps must be less than 2**63, but is {counts['steps']}")
        with self._between_steps():
            self._loading = True
            try:
                vars(self).update(options)
                self._state.load(**averages, steps=counts["steps"])
                self.skipped = counts["skipped"]
            finally:
                self._loading = False

    def _names(self) -> tuple[str, ...]:
        """Return the options, the groups only if there are any."""
        return (*_OPTIONS, "shared_delta") if self.shared_delta else _OPTIONS

    def __getstate__(self) -> dict[str, Any]:
        return {"params": self.params, "state_dict": self.state_dict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        params, state_dict = state["params"], state["state_dict"]
        if isinstance(params, np.ndarray) and not params.flags.writeable:
            params = params.copy()  # joblib hands arrays to its workers as read-only memory maps
        shared_delta = state_dict.get("shared_delta", False)
        nonfinite = state_dict["nonfinite"]
        self.__init__(params, nonfinite=nonfinite, shared_delta=shared_delta)  # type: ignore[misc]
        self.load_state_dict(state_dict)

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._names())
        return f"Adadelta({options}, steps={self.steps}, shape={self._state.shape})"
