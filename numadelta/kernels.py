"""The rules, one formula each, and the CPU loops that inline them.

A *rule* is a scalar function.  The loops below, the CUDA kernels in `numadelta.cuda` and any
``@njit`` or ``@cuda.jit`` code of your own call it; nothing else in the library repeats its
arithmetic.  What they compute for each element holds no float literal, which is a float64 and would
silently turn a float32 loop into a float64 one.

Nothing here checks its arguments: a wrong length reads and writes out of bounds.  The checked
doors are `numadelta.Adadelta` and `numadelta.adadelta_step`.

Do not put ``cache=True`` on code of your own that calls these functions: Numba's cache does not
notice a change of this file, and would keep the old arithmetic after an upgrade.  Give it
``error_model="numpy"``, which lets the divisions of a loop vectorise.
"""

from __future__ import annotations

import math

import numpy as np

from numadelta.jit import loop, rule

# How fast a mean over a run forgets its beginning: see `add_to_mean`.
MEAN_DEGREE = 3


@rule
def coupled_grad(param, grad, sign, weight_decay):
    """Return the gradient that enters the step: ascent flips it first, then L2 is added."""
    grad = sign * grad
    # Without decay the parameter stays out: zero times infinity would be NaN.
    return grad + weight_decay * param if weight_decay != 0 else grad


@rule
def effective_rate(square_avg, acc_delta, eps):
    """Return eta = RMS[dx] / RMS[g], the paper's per-element learning rate (Zeiler 2012, eq. 14).

    One root of the quotient instead of a quotient of roots: one square root less per element.
    """
    return math.sqrt((acc_delta + eps) / (square_avg + eps))


@rule
def average(old, new, rho, decay):
    """Return the running average of squares after one more value (Zeiler 2012, eq. 10)."""
    return rho * old + decay * new * new


@rule
def flush(value, tiny):
    """Return zero for a value below `tiny`, else the value (NaN stays NaN)."""
    return tiny - tiny if value < tiny else value


@rule
def adadelta_rule(param, grad, square_avg, acc_delta, lr, rho, decay, eps, tiny):
    """Take one ADADELTA step for one element (Zeiler 2012, Algorithm 1).

    Parameters
    ----------
    param, grad : float
        The parameter and its gradient.
    square_avg, acc_delta : float
        The running averages E[g^2] and E[dx^2] before the step.
    lr, rho, eps : float
        Learning rate, decay rate of the averages and the constant inside the roots.
    decay : float
        ``1 - rho``, computed in float64 by the caller and then rounded: ``1 - rho`` written here
        would promote a float32 element to float64.
    tiny : float
        Averages below it become zero.  Pass the smallest normal number of the dtype: once a
        gradient is exactly zero its averages decay into subnormal numbers, stay there for ever
        and make each step about 16 times slower.  Zero turns this off.

    Returns
    -------
    param, square_avg, acc_delta : tuple of float
        The three values after the step.

    Notes
    -----
    All arguments must have the element's own type.  Unchecked; callable inside ``@njit`` and
    ``@cuda.jit`` functions.

    Examples
    --------
    >>> from numadelta.kernels import adadelta_rule
    >>> adadelta_rule(1.0, 0.1, 0.0, 0.0, 1.0, 0.95, 0.05, 1e-6, 0.0)
    (0.9955323294839123, 0.0005000000000000001, 9.980039920159682e-07)
    """
    square_avg = flush(average(square_avg, grad, rho, decay), tiny)
    delta = effective_rate(square_avg, acc_delta, eps) * grad
    acc_delta = flush(average(acc_delta, delta, rho, decay), tiny)
    return param - lr * delta, square_avg, acc_delta


@rule
def usable(grad, limit):
    """Tell whether a gradient is finite and no larger than a limit (False for NaN)."""
    return abs(grad) <= limit


@rule
def largest_usable(eps, largest, tiny):
    """Return the largest gradient that a step takes in without harm, given in float64 numbers.

    The square of a larger one overflows, or makes ``eps / square`` subnormal, so that the step
    loses its accuracy or becomes zero: either would freeze the element in silence.  `largest` and
    `tiny` are the largest and the smallest normal number of the dtype.
    """
    # Shaved, so that rounding the limit to the dtype cannot let a square overflow.
    return min(math.sqrt(largest) * (1 - 1e-6), math.sqrt(eps) / math.sqrt(tiny))


@loop
def step(params, grads, square_avg, acc_delta, lr, rho, eps, weight_decay, maximize):
    """Take one ADADELTA step over flat arrays, in place, on the calling thread.

    Parameters
    ----------
    params, grads, square_avg, acc_delta : ndarray, shape (n,)
        C-contiguous, not overlapping, all of one dtype (float32 or float64).  All but `grads` are
        updated.
    lr, rho, eps, weight_decay : float
        As in `numadelta.Adadelta`; rounded to the dtype of `params` here.
    maximize : bool
        Whether to ascend.

    Notes
    -----
    Unchecked: arrays of different length corrupt memory.  Callable inside ``@njit`` functions.

    Examples
    --------
    >>> import numpy as np
    >>> from numadelta import kernels
    >>> x, g, v, u = np.ones(3), np.full(3, 0.1), np.zeros(3), np.zeros(3)
    >>> kernels.step(x, g, v, u, 1.0, 0.95, 1e-6, 0.0, False)
    >>> x
    array([0.99553233, 0.99553233, 0.99553233])
    """
    real = params.dtype.type
    sign = real(-1.0) if maximize else real(1.0)
    decay = real(1.0 - rho)
    tiny = np.finfo(params.dtype).tiny
    lr, rho, eps, weight_decay = real(lr), real(rho), real(eps), real(weight_decay)
    for i in range(params.size):
        grad = coupled_grad(params[i], grads[i], sign, weight_decay)
        params[i], square_avg[i], acc_delta[i] = adadelta_rule(
            params[i], grad, square_avg[i], acc_delta[i], lr, rho, decay, eps, tiny
        )


@loop
def first_unusable(params, grads, eps, weight_decay, maximize):
    """Return the index of the first gradient that no step should see, or -1.

    Unusable is NaN, infinity and what exceeds `largest_usable`.  With weight decay it is the
    coupled gradient that must be usable.
    """
    real = params.dtype.type
    sign = real(-1.0) if maximize else real(1.0)
    weight_decay = real(weight_decay)
    info = np.finfo(params.dtype)
    limit = real(largest_usable(eps, np.float64(info.max), np.float64(info.tiny)))
    coupled = weight_decay != 0
    # No early exit: that is what lets the pass vectorise (0.09 against 0.3 ns per element).
    all_usable = True
    if coupled:
        for i in range(grads.size):
            grad = coupled_grad(params[i], grads[i], sign, weight_decay)
            all_usable &= usable(grad, limit)
    else:
        for i in range(grads.size):
            all_usable &= usable(grads[i], limit)
    if not all_usable:
        for i in range(grads.size):
            grad = coupled_grad(params[i], grads[i], sign, weight_decay) if coupled else grads[i]
            if not usable(grad, limit):
                return i
    return -1


@loop
def checked_step(
    params, grads, square_avg, acc_delta, steps, check, lr, rho, eps, weight_decay, maximize
):
    """Take and count one step; or, if `check` finds an unusable gradient, only return its index.

    Returns -1 after a step.  One call does both because at a thousand elements the call costs as
    much as the work, and the count (``steps[0]``) is kept here so that no Ctrl-C can fall between
    a step and its count.
    """
    bad = first_unusable(params, grads, eps, weight_decay, maximize) if check else -1
    if bad < 0:
        step(params, grads, square_avg, acc_delta, lr, rho, eps, weight_decay, maximize)
        steps[0] += 1
    return bad


@loop
def effective_rates(square_avg, acc_delta, eps, out):
    """Write the paper's eta of every element into `out`."""
    eps = out.dtype.type(eps)
    for i in range(out.size):
        out[i] = effective_rate(square_avg[i], acc_delta[i], eps)


@loop
def add_to_mean(mean, values, count):
    """Take values into the weighted mean of `count` earlier ones, in place.

    The polynomial-decay averaging of Shamir and Zhang (2013): values weigh the more the later they
    come, so the mean forgets how the run began.
    """
    weight = mean.dtype.type((1.0 + MEAN_DEGREE) / (count + 1.0 + MEAN_DEGREE))
    for i in range(mean.size):
        mean[i] += weight * (values[i] - mean[i])
