"""Nineteen classic smooth unconstrained problems for comparing minimisers.

Every objective is compiled, allocates nothing and has the form ``fun(x, grad, *args)``: it writes
the gradient at `x` into `grad` and returns the value.  Both are one-dimensional float64 arrays of
one length.  Nothing is checked.  `problems` pairs the objectives with starts, data and minima.

References
----------
.. [1] J. J. More, B. S. Garbow, K. E. Hillstrom, "Testing unconstrained optimization software",
   ACM TOMS 7 (1981), 17-41.
.. [2] M. Jamil, X.-S. Yang, "A literature survey of benchmark functions for global optimisation
   problems", Int. J. Mathematical Modelling and Numerical Optimisation 4 (2013), 150-194.
.. [3] A. Neumaier, "Global optimization test problems", University of Vienna (Trid).
.. [4] S. Boyd, L. Vandenberghe, "Convex Optimization", Cambridge University Press (2004).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from numadelta import jit

RIDGE = 1e-3  # the L2 weight of `logistic`


class Problem(NamedTuple):
    """A smooth function to minimise, and what is known about it.

    Attributes
    ----------
    name : str
        Unique among `problems`, with the number of variables where there are several sizes.
    fun : callable
        ``fun(x, grad, *args)`` writes the gradient into `grad` and returns the value.
    x0 : ndarray, shape (n,)
        The start.
    args : tuple
        The data of the problem: contiguous float64 arrays.
    minimum : float
        The least value, exact or to at least 12 digits.
    """

    name: str
    fun: Callable[..., float]
    x0: np.ndarray
    args: tuple[np.ndarray, ...]
    minimum: float


@jit.loop
def rosenbrock(x, grad):
    """Chained banana valley: sum of 100 (x[i+1] - x[i]^2)^2 + (1 - x[i])^2 [1]_, [2]_."""
    value = 0.0
    grad[0] = 0.0
    for i in range(x.size - 1):
        bend = x[i + 1] - x[i] * x[i]
        rest = 1.0 - x[i]
        value += 100.0 * bend * bend + rest * rest
        grad[i] -= 400.0 * x[i] * bend + 2.0 * rest
        grad[i + 1] = 200.0 * bend
    return value


@jit.loop
def wood(x, grad):
    """Two coupled banana valleys in four variables [1]_, problem 14."""
    bend, bend2 = x[1] - x[0] * x[0], x[3] - x[2] * x[2]
    rest, rest2 = 1.0 - x[0], 1.0 - x[2]
    both, apart = x[1] + x[3] - 2.0, x[1] - x[3]
    grad[0] = -400.0 * x[0] * bend - 2.0 * rest
    grad[1] = 200.0 * bend + 20.0 * both + 0.2 * apart
    grad[2] = -360.0 * x[2] * bend2 - 2.0 * rest2
    grad[3] = 180.0 * bend2 + 20.0 * both - 0.2 * apart
    valleys = 100.0 * bend * bend + rest * rest + 90.0 * bend2 * bend2 + rest2 * rest2
    return valleys + 10.0 * both * both + 0.1 * apart * apart


@jit.loop
def powell_singular(x, grad):
    """Four residuals; the Hessian is singular at the minimum [1]_, problem 13."""
    r0, r1 = x[0] + 10.0 * x[1], x[2] - x[3]
    r2, r3 = x[1] - 2.0 * x[2], x[0] - x[3]
    cube2, cube3 = 4.0 * r2 * r2 * r2, 40.0 * r3 * r3 * r3
    grad[0] = 2.0 * r0 + cube3
    grad[1] = 20.0 * r0 + cube2
    grad[2] = 10.0 * r1 - 2.0 * cube2
    grad[3] = -10.0 * r1 - cube3
    return r0 * r0 + 5.0 * r1 * r1 + r2 * r2 * r2 * r2 + 10.0 * r3 * r3 * r3 * r3


@jit.loop
def beale(x, grad):
    """Sum over k = 1..3 of (y[k] - u (1 - v^k))^2 with y = 1.5, 2.25, 2.625 [1]_, problem 5."""
    u, v = x[0], x[1]
    r1 = 1.5 - u * (1.0 - v)
    r2 = 2.25 - u * (1.0 - v * v)
    r3 = 2.625 - u * (1.0 - v * v * v)
    grad[0] = -2.0 * (r1 * (1.0 - v) + r2 * (1.0 - v * v) + r3 * (1.0 - v * v * v))
    grad[1] = 2.0 * u * (r1 + 2.0 * v * r2 + 3.0 * v * v * r3)
    return r1 * r1 + r2 * r2 + r3 * r3


@jit.loop
def himmelblau(x, grad):
    """Two crossing parabolas with four equal minima: (u^2 + v - 11)^2 + (u + v^2 - 7)^2 [2]_."""
    r0 = x[0] * x[0] + x[1] - 11.0
    r1 = x[0] + x[1] * x[1] - 7.0
    grad[0] = 4.0 * x[0] * r0 + 2.0 * r1
    grad[1] = 2.0 * r0 + 4.0 * x[1] * r1
    return r0 * r0 + r1 * r1


@jit.loop
def booth(x, grad):
    """Quadratic of condition 9: (u + 2 v - 7)^2 + (2 u + v - 5)^2 [2]_."""
    r0 = x[0] + 2.0 * x[1] - 7.0
    r1 = 2.0 * x[0] + x[1] - 5.0
    grad[0] = 2.0 * r0 + 4.0 * r1
    grad[1] = 4.0 * r0 + 2.0 * r1
    return r0 * r0 + r1 * r1


@jit.loop
def matyas(x, grad):
    """Flat quadratic of condition 25: 0.26 (u^2 + v^2) - 0.48 u v [2]_."""
    grad[0] = 0.52 * x[0] - 0.48 * x[1]
    grad[1] = 0.52 * x[1] - 0.48 * x[0]
    return 0.26 * (x[0] * x[0] + x[1] * x[1]) - 0.48 * x[0] * x[1]


@jit.loop
def helical_valley(x, grad):
    """Valley along a helix around the third axis [1]_, problem 7.

    The angle jumps where ``x[0] == 0`` and ``x[1] < 0``, away from the start and the minimum.
    """
    square = x[0] * x[0] + x[1] * x[1]
    radius = math.sqrt(square)
    turn = 2.0 * math.pi
    if x[0] < 0.0:
        theta = 0.5 + math.atan2(-x[1], -x[0]) / turn
    else:
        theta = math.atan2(x[1], x[0]) / turn
    climb = x[2] - 10.0 * theta
    # Unit vector and angular slope, taken as zero on the axis, where neither exists.
    inverse = 1.0 / radius if radius > 0.0 else 0.0
    across, along = x[0] * inverse, x[1] * inverse
    slope = 2000.0 * climb * inverse / turn
    grad[0] = slope * along + 200.0 * (radius - 1.0) * across
    grad[1] = -slope * across + 200.0 * (radius - 1.0) * along
    grad[2] = 200.0 * climb + 2.0 * x[2]
    return 100.0 * (climb * climb + (radius - 1.0) * (radius - 1.0)) + x[2] * x[2]


@jit.loop
def brown_badly_scaled(x, grad):
    """(u - 1e6)^2 + (v - 2e-6)^2 + (u v - 2)^2 [1]_, problem 4."""
    r0, r1, r2 = x[0] - 1e6, x[1] - 2e-6, x[0] * x[1] - 2.0
    grad[0] = 2.0 * (r0 + r2 * x[1])
    grad[1] = 2.0 * (r1 + r2 * x[0])
    return r0 * r0 + r1 * r1 + r2 * r2


@jit.loop
def dixon_price(x, grad):
    """(x[1] - 1)^2 + sum over i > 1 of i (2 x[i]^2 - x[i-1])^2, counted from one [2]_."""
    value = (x[0] - 1.0) * (x[0] - 1.0)
    grad[0] = 2.0 * (x[0] - 1.0)
    for i in range(1, x.size):
        rest = 2.0 * x[i] * x[i] - x[i - 1]
        value += (i + 1.0) * rest * rest
        grad[i - 1] -= 2.0 * (i + 1.0) * rest
        grad[i] = 8.0 * (i + 1.0) * x[i] * rest
    return value


@jit.loop
def zakharov(x, grad):
    """|x|^2 + s^2 + s^4 with s = sum of i x[i] / 2, counted from one [2]_."""
    square = weighted = 0.0
    for i in range(x.size):
        square += x[i] * x[i]
        weighted += 0.5 * (i + 1.0) * x[i]
    slope = 2.0 * weighted + 4.0 * weighted * weighted * weighted
    for i in range(x.size):
        grad[i] = 2.0 * x[i] + slope * 0.5 * (i + 1.0)
    return square + weighted * weighted * (1.0 + weighted * weighted)


@jit.loop
def trid(x, grad):
    """Tridiagonal quadratic: sum of (x[i] - 1)^2 minus sum of x[i] x[i-1] [3]_."""
    value = 0.0
    for i in range(x.size):
        value += (x[i] - 1.0) * (x[i] - 1.0)
        grad[i] = 2.0 * (x[i] - 1.0)
        if i > 0:
            value -= x[i] * x[i - 1]
            grad[i] -= x[i - 1]
            grad[i - 1] -= x[i]
    return value


@jit.loop
def styblinski_tang(x, grad):
    """Half the sum of x[i]^4 - 16 x[i]^2 + 5 x[i]: two basins in each variable [2]_."""
    value = 0.0
    for i in range(x.size):
        square = x[i] * x[i]
        value += 0.5 * (square * square - 16.0 * square + 5.0 * x[i])
        grad[i] = 2.0 * square * x[i] - 16.0 * x[i] + 2.5
    return value


@jit.loop
def separable_quadratic(x, grad, c):
    """Sum of c[i] (x[i] - i)^2, counted from one: its own scale for each variable."""
    value = 0.0
    for i in range(x.size):
        rest = x[i] - (i + 1.0)
        value += c[i] * rest * rest
        grad[i] = 2.0 * c[i] * rest
    return value


@jit.rule
def _row_dot(A, i, x):
    """Return the inner product of row `i` of a matrix and a vector."""
    total = 0.0
    for j in range(x.size):
        total += A[i, j] * x[j]
    return total


@jit.loop
def rotated_quadratic(x, grad, A, b):
    """Quadratic x'Ax / 2 - b'x, `A` symmetric, with axes other than those of the variables."""
    value = 0.0
    for i in range(x.size):
        curved = _row_dot(A, i, x)
        value += x[i] * (0.5 * curved - b[i])
        grad[i] = curved - b[i]
    return value


@jit.loop
def logistic(x, grad, X, y):
    """Mean logistic loss of the rows of `X` with labels `y` = -1, 1, plus RIDGE |x|^2 / 2 [4]_."""
    value = 0.0
    for j in range(x.size):
        value += 0.5 * RIDGE * x[j] * x[j]
        grad[j] = RIDGE * x[j]
    rows = y.size
    for i in range(rows):
        margin = y[i] * _row_dot(X, i, x)
        small = math.exp(-abs(margin))  # the sign is split off, so that nothing overflows
        value += (math.log1p(small) + max(-margin, 0.0)) / rows
        wrong = (1.0 if margin < 0.0 else small) / (1.0 + small)
        for j in range(x.size):
            grad[j] -= wrong * y[i] * X[i, j] / rows
    return value


@jit.loop
def log_sum_exp(x, grad, A, b):
    """Logarithm of the sum of exp(Ax + b), strictly convex where `A` has full affine rank [4]_."""
    largest = -math.inf
    for i in range(b.size):
        largest = max(largest, _row_dot(A, i, x) + b[i])
    total = 0.0
    for j in range(x.size):
        grad[j] = 0.0
    for i in range(b.size):
        weight = math.exp(_row_dot(A, i, x) + b[i] - largest)
        total += weight
        for j in range(x.size):
            grad[j] += weight * A[i, j]
    for j in range(x.size):
        grad[j] /= total
    return largest + math.log(total)


# The made data come from RandomState, whose streams NumPy has frozen: the minima of the last two
# problems belong to these data.  They were found by Newton's method, to gradients below 1e-15.


def _rotated_data(n, condition):
    """Return `A`, `b` and the minimum: the minimiser is the sum of the axes, the columns of Q."""
    axes = np.linalg.qr(np.random.RandomState(17).standard_normal((n, n)))[0]
    curvature = np.geomspace(1.0, condition, n)
    A = (axes * curvature) @ axes.T
    return 0.5 * (A + A.T), axes @ curvature, -0.5 * float(curvature.sum())


def _logistic_data(rows, features):
    """Return normal rows, and labels -1.0, 1.0 from a noisy linear rule."""
    random = np.random.RandomState(18)
    X = random.standard_normal((rows, features))
    signal = X @ np.linspace(-2.0, 2.0, features) + random.standard_normal(rows)
    return X, np.where(signal > 0.0, 1.0, -1.0)


def _log_sum_exp_data(rows, n):
    """Return normal `A` and `b`; zero lies inside the hull of the rows, so a minimum exists."""
    random = np.random.RandomState(19)
    return random.standard_normal((rows, n)), random.standard_normal(rows)


def problems() -> list[Problem]:
    """Return the nineteen problems, in a fixed order, with fresh arrays.

    Returns
    -------
    list of Problem
        Starts are those of the references where these give any.

    Examples
    --------
    >>> import numpy as np
    >>> from numadelta.bench.classics import problems
    >>> first = problems()[0]
    >>> grad = np.empty_like(first.x0)
    >>> round(float(first.fun(first.x0, grad, *first.args)), 6)
    24.2
    """
    A, b, rotated_minimum = _rotated_data(20, 1e3)

    def problem(name, fun, x0, minimum=0.0, args=()):
        return Problem(name, fun, np.array(x0, dtype=np.float64), args, minimum)

    return [
        problem("Rosenbrock 2", rosenbrock, [-1.2, 1.0]),
        problem("Rosenbrock 10", rosenbrock, [-1.2, 1.0] * 5),
        problem("Rosenbrock 100", rosenbrock, [-1.2, 1.0] * 50),
        problem("Wood", wood, [-3.0, -1.0, -3.0, -1.0]),
        problem("Powell singular", powell_singular, [3.0, -1.0, 0.0, 1.0]),
        problem("Beale", beale, [1.0, 1.0]),
        problem("Himmelblau", himmelblau, [0.0, 0.0]),
        problem("Booth", booth, [0.0, 0.0]),
        problem("Matyas", matyas, [5.0, -3.0]),
        problem("Helical valley", helical_valley, [-1.0, 0.0, 0.0]),
        problem("Brown badly scaled", brown_badly_scaled, [1.0, 1.0]),
        problem("Dixon-Price 10", dixon_price, np.ones(10)),
        problem("Zakharov 10", zakharov, np.ones(10)),
        problem("Trid 10", trid, np.zeros(10), -210.0),
        problem("Styblinski-Tang 4", styblinski_tang, [-1.0, -2.0, -3.0, -4.0], -156.6646628150857),
        problem(
            "Separable quadratic 20",
            separable_quadratic,
            np.zeros(20),
            0.0,
            (np.geomspace(1e-3, 1e3, 20),),
        ),
        problem("Rotated quadratic 20", rotated_quadratic, np.zeros(20), rotated_minimum, (A, b)),
        problem("Logistic 10", logistic, np.zeros(10), 0.1512968392857947, _logistic_data(200, 10)),
        problem(
            "Log-sum-exp 10",
            log_sum_exp,
            np.ones(10),
            4.985697457261649,
            _log_sum_exp_data(100, 10),
        ),
    ]
