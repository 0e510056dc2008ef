"""The step without an optimiser, for those who keep the state themselves: `adadelta_step`."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from numadelta.optimizer import Adadelta


def adadelta_step(
    params: Any,
    grads: ArrayLike,
    square_avg: Any,
    acc_delta: Any,
    *,
    lr: float = 1.0,
    rho: float = 0.95,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
    maximize: bool = False,
    nonfinite: str = "raise",
) -> bool:
    """Take one ADADELTA step on arrays of your own, in place, after checking all of them.

    The functional form of `Adadelta`, for those who keep the state themselves.  It checks four
    arrays on each call, values included; `Adadelta` checks its own only once and is faster.

    Parameters
    ----------
    params, square_avg, acc_delta : ndarray of float32 or float64, or CUDA arrays
        Parameters, E[g^2] and E[dx^2], of one shape and dtype, C-contiguous and not overlapping.
        Updated in place.
    grads : ndarray
        The gradient, not modified.
    lr, rho, eps, weight_decay, maximize, nonfinite
        As in `Adadelta`.

    Returns
    -------
    bool
        True, or False if the step was skipped (only with ``nonfinite="skip"``).

    Raises
    ------
    TypeError, ValueError
        As `Adadelta` and `Adadelta.step` do; nothing is updated then.

    Examples
    --------
    >>> import numpy as np
    >>> import numadelta as nd
    >>> x, square_avg, acc_delta = np.ones(1), np.zeros(1), np.zeros(1)
    >>> nd.adadelta_step(x, [0.1], square_avg, acc_delta)
    True
    >>> x
    array([0.99553233])
    """
    for name, average in {"square_avg": square_avg, "acc_delta": acc_delta}.items():
        if average is None:
            raise TypeError(f"{name} is None, but is updated in place; begin with zeros")
    opt = Adadelta(
        params,
        lr=lr,
        rho=rho,
        eps=eps,
        weight_decay=weight_decay,
        maximize=maximize,
        nonfinite=nonfinite,
        square_avg=square_avg,
        acc_delta=acc_delta,
    )
    opt.step(grads)
    return opt.steps == 1
