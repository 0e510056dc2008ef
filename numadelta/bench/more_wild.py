"""The 53 smooth problems of Moré and Wild: sums of squares with exact gradients.

Twenty-two systems of residuals r(x), taken with several sizes and starts, make 53 problems
"minimise f(x) = sum of r_i(x)^2".  They are small, smooth and awkward: curved valleys, singular
Jacobians at the solution, overflow near the start, several local minima.

Each system is one short function ``(x, r, jac)`` that fills the residuals ``r`` (m,) and the
entries of the Jacobian ``jac`` (m, n) that are not zero; both arrive full of zeros.  `fun` picks
one by its published number and returns f and its gradient.  Nothing raises for an overflow or for
the logarithm of a negative number: the result is inf or nan.  (Without the JIT compiler NumPy
warns as well; wrap such calls in ``np.errstate``.)

In the formulas indices start at 1, as in the papers; in the code they start at 0.

References
----------
.. [1] J. J. Moré, S. M. Wild, "Benchmarking derivative-free optimization algorithms", SIAM
   Journal on Optimization 20 (2009) 172-191: the choice of functions, sizes and starts.
.. [2] J. J. Moré, B. S. Garbow, K. E. Hillstrom, "Testing unconstrained optimization software",
   ACM Transactions on Mathematical Software 7 (1981) 17-41: functions 1 to 18.
.. [3] N. I. M. Gould, D. Orban, Ph. L. Toint, "CUTEr and SifDec", ACM Transactions on
   Mathematical Software 29 (2003) 373-394: functions 19 to 22 (BDQRTIC, CUBE, MANCINO, HEART8LS).

Examples
--------
>>> import numpy as np
>>> from numadelta.bench import more_wild
>>> problem = more_wild.problems()[6]
>>> problem.name
'rosenbrock n=2'
>>> grad = np.empty(2)
>>> value = more_wild.fun(problem.x0, grad, problem.which, problem.m)
>>> print(f"{value:.4f}", grad.round(4))
24.2000 [-215.6  -88. ]
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numadelta import jit

# The measurements that the data-fitting problems (8, 9, 10, 17, 18) are to reproduce.
BARD_Y = np.array(
    [0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39]
)
KOWALIK_U = np.array([4.0, 2.0, 1.0, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625])
KOWALIK_Y = np.array(
    [0.1957, 0.1947, 0.1735, 0.16, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246]
)
MEYER_Y = np.array(
    [34780.0, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820]
    + [3307, 2872]
)
OSBORNE_1_Y = 1e-3 * np.array(
    [844.0, 908, 932, 936, 925, 908, 881, 850, 818, 784, 751, 718, 685, 658, 628, 603, 580, 558]
    + [538, 522, 506, 490, 478, 467, 457, 448, 438, 431, 424, 420, 414, 411, 406]
)
OSBORNE_2_Y = 1e-3 * np.array(
    [1366.0, 1191, 1112, 1013, 991, 885, 831, 847, 786, 725, 746, 679, 608, 655, 616, 606, 602]
    + [626, 651, 724, 649, 649, 694, 644, 624, 661, 612, 558, 533, 495, 500, 423, 395, 375, 372]
    + [391, 396, 405, 428, 429, 523, 562, 607, 653, 672, 708, 633, 668, 645, 632, 591, 559, 597]
    + [625, 739, 710, 729, 720, 636, 581, 428, 292, 162, 98, 54]
)
# Sum over both dipoles of (strength) (place)^k for k = 0, 1, 2, 3, as complex numbers.
HEART_MOMENTS = np.array([-0.69 - 0.044j, -1.57 - 1.31j, -2.65 + 2.0j, -12.6 + 9.48j])


@jit.loop
def linear_full_rank(x, r, jac):
    """Fill r_i = x_i - (2/m) sum(x) - 1, without the x_i for i > n."""
    m, n = jac.shape
    total = 0.0
    for j in range(n):
        total += x[j]
    for i in range(m):
        r[i] = -2.0 * total / m - 1.0
        for j in range(n):
            jac[i, j] = -2.0 / m
    for i in range(n):
        r[i] += x[i]
        jac[i, i] += 1.0


@jit.loop
def linear_rank_1(x, r, jac):
    """Fill r_i = i sum(j x_j) - 1."""
    m, n = jac.shape
    total = 0.0
    for j in range(n):
        total += (j + 1) * x[j]
    for i in range(m):
        r[i] = (i + 1) * total - 1.0
        for j in range(n):
            jac[i, j] = (i + 1) * (j + 1)


@jit.loop
def linear_rank_1_zeros(x, r, jac):
    """Fill r_i = (i - 1) sum(j x_j) - 1; no x_1 and x_n in the sum, r_m = -1."""
    m, n = jac.shape
    total = 0.0
    for j in range(1, n - 1):
        total += (j + 1) * x[j]
    for i in range(m - 1):
        r[i] = i * total - 1.0
        for j in range(1, n - 1):
            jac[i, j] = i * (j + 1)
    r[m - 1] = -1.0


@jit.loop
def rosenbrock(x, r, jac):
    """Fill 10 (x_2 - x_1^2) and 1 - x_1."""
    r[0] = 10.0 * (x[1] - x[0] * x[0])
    jac[0, 0] = -20.0 * x[0]
    jac[0, 1] = 10.0
    r[1] = 1.0 - x[0]
    jac[1, 0] = -1.0


@jit.loop
def helical_valley(x, r, jac):
    """Fill 10 (x_3 - 10 turns), 10 (radius - 1) and x_3, for the polar form of (x_1, x_2).

    The turns are in [-1/4, 3/4]: they jump where x_1 passes zero at a negative x_2.
    """
    square = x[0] * x[0] + x[1] * x[1]
    radius = np.sqrt(square)
    turns = np.arctan2(x[1], x[0]) / (2.0 * np.pi)
    if x[0] < 0.0 and x[1] < 0.0:
        turns += 1.0
    r[0] = 10.0 * (x[2] - 10.0 * turns)
    jac[0, 0] = 50.0 / np.pi * x[1] / square
    jac[0, 1] = -50.0 / np.pi * x[0] / square
    jac[0, 2] = 10.0
    r[1] = 10.0 * (radius - 1.0)
    jac[1, 0] = 10.0 * x[0] / radius
    jac[1, 1] = 10.0 * x[1] / radius
    r[2] = x[2]
    jac[2, 2] = 1.0


@jit.loop
def powell_singular(x, r, jac):
    """Fill x_1 + 10 x_2, 5^(1/2) (x_3 - x_4), (x_2 - 2 x_3)^2 and 10^(1/2) (x_1 - x_4)^2."""
    root5 = np.sqrt(5.0)
    root10 = np.sqrt(10.0)
    inner = x[1] - 2.0 * x[2]
    outer = x[0] - x[3]
    r[0] = x[0] + 10.0 * x[1]
    jac[0, 0] = 1.0
    jac[0, 1] = 10.0
    r[1] = root5 * (x[2] - x[3])
    jac[1, 2] = root5
    jac[1, 3] = -root5
    r[2] = inner * inner
    jac[2, 1] = 2.0 * inner
    jac[2, 2] = -4.0 * inner
    r[3] = root10 * outer * outer
    jac[3, 0] = 2.0 * root10 * outer
    jac[3, 3] = -2.0 * root10 * outer


@jit.loop
def freudenstein_roth(x, r, jac):
    """Fill x_1 - 13 + ((5 - x_2) x_2 - 2) x_2 and x_1 - 29 + ((x_2 + 1) x_2 - 14) x_2."""
    y = x[1]
    r[0] = x[0] - 13.0 + ((5.0 - y) * y - 2.0) * y
    jac[0, 0] = 1.0
    jac[0, 1] = (10.0 - 3.0 * y) * y - 2.0
    r[1] = x[0] - 29.0 + ((y + 1.0) * y - 14.0) * y
    jac[1, 0] = 1.0
    jac[1, 1] = (3.0 * y + 2.0) * y - 14.0


@jit.loop
def bard(x, r, jac):
    """Fill y_i - x_1 - i / (v x_2 + w x_3), where v = 16 - i and w = min(i, v)."""
    for i in range(r.size):
        u = i + 1.0
        v = 15.0 - i
        w = min(u, v)
        below = v * x[1] + w * x[2]
        r[i] = BARD_Y[i] - x[0] - u / below
        jac[i, 0] = -1.0
        jac[i, 1] = u * v / (below * below)
        jac[i, 2] = u * w / (below * below)


@jit.loop
def kowalik_osborne(x, r, jac):
    """Fill y_i - x_1 (u^2 + u x_2) / (u^2 + u x_3 + x_4), where u = u_i."""
    for i in range(r.size):
        u = KOWALIK_U[i]
        above = u * (u + x[1])
        below = u * (u + x[2]) + x[3]
        ratio = above / below
        r[i] = KOWALIK_Y[i] - x[0] * ratio
        jac[i, 0] = -ratio
        jac[i, 1] = -x[0] * u / below
        jac[i, 2] = x[0] * ratio * u / below
        jac[i, 3] = x[0] * ratio / below


@jit.loop
def meyer(x, r, jac):
    """Fill x_1 exp(x_2 / (t + x_3)) - y_i, where t = 45 + 5 i."""
    for i in range(r.size):
        shifted = 50.0 + 5.0 * i + x[2]
        growth = np.exp(x[1] / shifted)
        r[i] = x[0] * growth - MEYER_Y[i]
        jac[i, 0] = growth
        jac[i, 1] = x[0] * growth / shifted
        jac[i, 2] = -x[0] * growth * x[1] / (shifted * shifted)


@jit.loop
def watson(x, r, jac):
    """Fill p'(t) - p(t)^2 - 1 at t = i/29 for p(t) = sum(x_j t^(j-1)), then the same at t = 0.

    The start of the curve, t = 0, counts as two residuals: x_1 and x_2 - x_1^2 - 1.
    """
    n = x.size
    for i in range(29):
        t = (i + 1) / 29.0
        curve = 0.0
        slope = 0.0
        for j in range(n - 1, -1, -1):  # Horner's rule for p and p' at once
            slope = slope * t + curve
            curve = curve * t + x[j]
        r[i] = slope - curve * curve - 1.0
        power = 1.0  # t^(j-1)
        before = 0.0  # t^(j-2)
        for j in range(n):
            jac[i, j] = j * before - 2.0 * curve * power
            before = power
            power *= t
    r[29] = x[0]
    jac[29, 0] = 1.0
    r[30] = x[1] - x[0] * x[0] - 1.0
    jac[30, 0] = -2.0 * x[0]
    jac[30, 1] = 1.0


@jit.loop
def box_3d(x, r, jac):
    """Fill exp(-t x_1) - exp(-t x_2) - x_3 (exp(-t) - exp(-10 t)), where t = i / 10."""
    for i in range(r.size):
        t = 0.1 * (i + 1)
        first = np.exp(-t * x[0])
        second = np.exp(-t * x[1])
        third = np.exp(-t) - np.exp(-10.0 * t)
        r[i] = first - second - x[2] * third
        jac[i, 0] = -t * first
        jac[i, 1] = t * second
        jac[i, 2] = -third


@jit.loop
def jennrich_sampson(x, r, jac):
    """Fill 2 + 2 i - exp(i x_1) - exp(i x_2)."""
    for i in range(r.size):
        k = i + 1.0
        first = np.exp(k * x[0])
        second = np.exp(k * x[1])
        r[i] = 2.0 + 2.0 * k - first - second
        jac[i, 0] = -k * first
        jac[i, 1] = -k * second


@jit.loop
def brown_dennis(x, r, jac):
    """Fill (x_1 + t x_2 - exp(t))^2 + (x_3 + x_4 sin(t) - cos(t))^2, where t = i / 5."""
    for i in range(r.size):
        t = 0.2 * (i + 1)
        sine = np.sin(t)
        first = x[0] + t * x[1] - np.exp(t)
        second = x[2] + sine * x[3] - np.cos(t)
        r[i] = first * first + second * second
        jac[i, 0] = 2.0 * first
        jac[i, 1] = 2.0 * first * t
        jac[i, 2] = 2.0 * second
        jac[i, 3] = 2.0 * second * sine


@jit.loop
def chebyquad(x, r, jac):
    """Fill mean_j T_i(x_j) - integral of T_i, for the Chebyshev polynomials T_i shifted to [0, 1].

    The integral over [0, 1] is -1 / (i^2 - 1) for even i and zero for odd i.
    """
    m, n = jac.shape
    for j in range(n):
        s = 2.0 * x[j] - 1.0
        old, now = 1.0, s  # T_0, T_1
        old_slope, now_slope = 0.0, 2.0  # their derivatives by x_j
        for i in range(m):
            r[i] += now / n
            jac[i, j] = now_slope / n
            old_slope, now_slope = now_slope, 4.0 * now + 2.0 * s * now_slope - old_slope
            old, now = now, 2.0 * s * now - old
    for i in range(1, m, 2):
        r[i] += 1.0 / ((i + 1.0) * (i + 1.0) - 1.0)


@jit.loop
def brown_almost_linear(x, r, jac):
    """Fill x_i + sum(x) - (n + 1) for i < n, and product(x) - 1."""
    n = x.size
    total = 0.0
    product = 1.0
    for j in range(n):
        total += x[j]
        product *= x[j]
    for i in range(n - 1):
        r[i] = x[i] + total - (n + 1)
        for j in range(n):
            jac[i, j] = 1.0
        jac[i, i] = 2.0
    r[n - 1] = product - 1.0
    for j in range(n):
        others = 1.0
        for k in range(n):
            if k != j:
                others *= x[k]
        jac[n - 1, j] = others


@jit.loop
def osborne_1(x, r, jac):
    """Fill y_i - x_1 - x_2 exp(-t x_4) - x_3 exp(-t x_5), where t = 10 (i - 1)."""
    for i in range(r.size):
        t = 10.0 * i
        first = np.exp(-t * x[3])
        second = np.exp(-t * x[4])
        r[i] = OSBORNE_1_Y[i] - x[0] - x[1] * first - x[2] * second
        jac[i, 0] = -1.0
        jac[i, 1] = -first
        jac[i, 2] = -second
        jac[i, 3] = x[1] * first * t
        jac[i, 4] = x[2] * second * t


@jit.loop
def osborne_2(x, r, jac):
    """Fill y_i less a decay x_1 exp(-t x_5) and three bells, where t = (i - 1) / 10.

    Bell k = 2, 3, 4 is x_k exp(-x_(k+4) (t - x_(k+7))^2).
    """
    for i in range(r.size):
        t = 0.1 * i
        decay = np.exp(-t * x[4])
        r[i] = OSBORNE_2_Y[i] - x[0] * decay
        jac[i, 0] = -decay
        jac[i, 4] = x[0] * decay * t
        for k in range(1, 4):
            away = t - x[k + 7]
            bell = np.exp(-x[k + 4] * away * away)
            r[i] -= x[k] * bell
            jac[i, k] = -bell
            jac[i, k + 4] = x[k] * bell * away * away
            jac[i, k + 7] = -2.0 * x[k] * bell * x[k + 4] * away


@jit.loop
def bdqrtic(x, r, jac):
    """Fill 3 - 4 x_i for i <= n - 4, then as many times a sum of squares.

    It is x_i^2 + 2 x_(i+1)^2 + 3 x_(i+2)^2 + 4 x_(i+3)^2 + 5 x_n^2.
    """
    n = x.size
    for i in range(n - 4):
        r[i] = 3.0 - 4.0 * x[i]
        jac[i, i] = -4.0
        row = n - 4 + i
        for k in range(5):
            j = i + k if k < 4 else n - 1
            r[row] += (k + 1) * x[j] * x[j]
            jac[row, j] = 2.0 * (k + 1) * x[j]


@jit.loop
def cube(x, r, jac):
    """Fill x_1 - 1, then 10 (x_i - x_(i-1)^3)."""
    r[0] = x[0] - 1.0
    jac[0, 0] = 1.0
    for i in range(1, x.size):
        before = x[i - 1]
        r[i] = 10.0 * (x[i] - before * before * before)
        jac[i, i] = 10.0
        jac[i, i - 1] = -30.0 * before * before


@jit.loop
def mancino(x, r, jac):
    """Fill 1400 x_i + (i - 50)^3 + sum_j v (sin(log v)^5 + cos(log v)^5), v^2 = x_i^2 + i/j."""
    n = x.size
    for i in range(n):
        shift = i - 49.0
        r[i] = 1400.0 * x[i] + shift * shift * shift
        jac[i, i] = 1400.0
        for j in range(n):
            v = np.sqrt(x[i] * x[i] + (i + 1.0) / (j + 1.0))
            s = np.sin(np.log(v))
            c = np.cos(np.log(v))
            s4 = s * s * s * s
            c4 = c * c * c * c
            r[i] += v * (s4 * s + c4 * c)
            jac[i, i] += (s4 * s + c4 * c + 5.0 * s4 * c - 5.0 * c4 * s) * x[i] / v


@jit.loop
def heart_8(x, r, jac):
    """Fill the moments z_1 p_1^k + z_2 p_2^k, k = 0 to 3, less their measured values.

    Two dipoles with complex strengths z = x_1 + i x_3 and x_2 + i x_4 sit at the complex places
    p = x_5 + i x_7 and x_6 + i x_8.  Each moment gives two residuals, its parts.
    """
    for k in range(4):
        r[2 * k] = -HEART_MOMENTS[k].real
        r[2 * k + 1] = -HEART_MOMENTS[k].imag
    for j in range(2):
        strength = complex(x[j], x[j + 2])
        place = complex(x[j + 4], x[j + 6])
        power = complex(1.0, 0.0)  # place^k, the derivative by the strength
        slope = complex(0.0, 0.0)  # the derivative by the place
        for k in range(4):
            row = 2 * k
            moment = strength * power
            r[row] += moment.real
            r[row + 1] += moment.imag
            jac[row, j] = jac[row + 1, j + 2] = power.real
            jac[row + 1, j] = power.imag
            jac[row, j + 2] = -power.imag
            jac[row, j + 4] = jac[row + 1, j + 6] = slope.real
            jac[row + 1, j + 4] = slope.imag
            jac[row, j + 6] = -slope.imag
            slope = moment + place * slope  # z p^k = p (z p^(k-1))
            power = place * power


@jit.loop
def fill(x, r, jac, which):
    """Fill the residuals and the Jacobian of function number `which`."""
    if which == 1:
        linear_full_rank(x, r, jac)
    elif which == 2:
        linear_rank_1(x, r, jac)
    elif which == 3:
        linear_rank_1_zeros(x, r, jac)
    elif which == 4:
        rosenbrock(x, r, jac)
    elif which == 5:
        helical_valley(x, r, jac)
    elif which == 6:
        powell_singular(x, r, jac)
    elif which == 7:
        freudenstein_roth(x, r, jac)
    elif which == 8:
        bard(x, r, jac)
    elif which == 9:
        kowalik_osborne(x, r, jac)
    elif which == 10:
        meyer(x, r, jac)
    elif which == 11:
        watson(x, r, jac)
    elif which == 12:
        box_3d(x, r, jac)
    elif which == 13:
        jennrich_sampson(x, r, jac)
    elif which == 14:
        brown_dennis(x, r, jac)
    elif which == 15:
        chebyquad(x, r, jac)
    elif which == 16:
        brown_almost_linear(x, r, jac)
    elif which == 17:
        osborne_1(x, r, jac)
    elif which == 18:
        osborne_2(x, r, jac)
    elif which == 19:
        bdqrtic(x, r, jac)
    elif which == 20:
        cube(x, r, jac)
    elif which == 21:
        mancino(x, r, jac)
    elif which == 22:
        heart_8(x, r, jac)
    else:
        raise ValueError("which must be from 1 to 22")


@jit.loop
def fun(x, grad, which, m):
    """Return f(x) = sum(r_i(x)^2) and write its gradient, 2 J^T r, into `grad`.

    Parameters
    ----------
    x : ndarray, shape (n,)
        The point; float64.
    grad : ndarray, shape (n,)
        Overwritten; float64.
    which : int
        The published number of the function, 1 to 22.
    m : int
        How many residuals.

    Returns
    -------
    float
        The value; inf or nan where it overflows or is not defined.

    Notes
    -----
    Compiled and callable inside ``@njit`` functions.  `n` and `m` are not checked: take them from
    `problems`, for a size that does not belong to the function reads and writes out of bounds.
    """
    n = x.size
    r = np.zeros(m)
    jac = np.zeros((m, n))
    fill(x, r, jac, which)
    value = 0.0
    for j in range(n):
        grad[j] = 0.0
    for i in range(m):
        value += r[i] * r[i]
        for j in range(n):
            grad[j] += 2.0 * r[i] * jac[i, j]
    return value


class Problem(NamedTuple):
    """One of the 53 problems.

    Attributes
    ----------
    name : str
        The function, its number of variables and the factor of the start, as in
        ``"rosenbrock n=2 x10"``.
    which : int
        The published number of the function, 1 to 22.
    m : int
        How many residuals; pass both numbers to `fun`.
    x0 : ndarray, shape (n,)
        The start, float64.
    best : float
        The smallest value that any solver has reached from this start; see `problems`.
    """

    name: str
    which: int
    m: int
    x0: np.ndarray
    best: float


FUNCTIONS = (
    linear_full_rank,
    linear_rank_1,
    linear_rank_1_zeros,
    rosenbrock,
    helical_valley,
    powell_singular,
    freudenstein_roth,
    bard,
    kowalik_osborne,
    meyer,
    watson,
    box_3d,
    jennrich_sampson,
    brown_dennis,
    chebyquad,
    brown_almost_linear,
    osborne_1,
    osborne_2,
    bdqrtic,
    cube,
    mancino,
    heart_8,
)

# The published table: number of the function, n, m, factor of the start; and the best value.
TABLE = (
    (1, 9, 45, 1, 36.0),
    (1, 9, 45, 10, 36.0),
    (2, 7, 35, 1, 8.38028169),
    (2, 7, 35, 10, 8.38028169),
    (3, 7, 35, 1, 9.880597015),
    (3, 7, 35, 10, 9.880597015),
    (4, 2, 2, 1, 0.0),
    (4, 2, 2, 10, 0.0),
    (5, 3, 3, 1, 0.0),
    (5, 3, 3, 10, 0.0),
    (6, 4, 4, 1, 0.0),
    (6, 4, 4, 10, 0.0),
    (7, 2, 2, 1, 48.98425368),
    (7, 2, 2, 10, 0.0),
    (8, 3, 15, 1, 0.008214877307),
    (8, 3, 15, 10, 0.008214877307),
    (9, 4, 11, 1, 0.0003075056038),
    (10, 3, 16, 1, 87.94585517),
    (11, 6, 31, 1, 0.002287670054),
    (11, 6, 31, 10, 0.002287670054),
    (11, 9, 31, 1, 1.399760138e-06),
    (11, 9, 31, 10, 1.399760138e-06),
    (11, 12, 31, 1, 4.722381105e-10),
    (11, 12, 31, 10, 4.722381105e-10),
    (12, 3, 10, 1, 0.0),
    (13, 2, 10, 1, 124.3621824),
    (14, 4, 20, 1, 85822.20163),
    (14, 4, 20, 10, 85822.20163),
    (15, 6, 6, 1, 0.0),
    (15, 7, 7, 1, 0.0),
    (15, 8, 8, 1, 0.003516873726),
    (15, 9, 9, 1, 0.0),
    (15, 10, 10, 1, 0.004772713696),
    (15, 11, 11, 1, 0.002799761552),
    (16, 10, 10, 1, 0.0),
    (17, 5, 33, 1, 5.464894697e-05),
    (18, 11, 65, 1, 0.04013773629),
    (18, 11, 65, 10, 1.789813587),
    (19, 8, 8, 1, 10.23897342),
    (19, 10, 12, 1, 18.28116175),
    (19, 11, 14, 1, 22.26059173),
    (19, 12, 16, 1, 26.2727664),
    (20, 5, 5, 1, 0.0),
    (20, 6, 6, 1, 0.0),
    (20, 8, 8, 1, 0.0),
    (21, 5, 5, 1, 0.0),
    (21, 5, 5, 10, 0.0),
    (21, 8, 8, 1, 0.0),
    (21, 10, 10, 1, 0.0),
    (21, 12, 12, 1, 0.0),
    (21, 12, 12, 10, 0.0),
    (22, 8, 8, 1, 0.0),
    (22, 8, 8, 10, 0.0),
)


def standard_start(which, n):
    """Return the published start of function number `which` with `n` variables, a new array."""
    given = {
        4: (-1.2, 1.0),
        5: (-1.0, 0.0, 0.0),
        6: (3.0, -1.0, 0.0, 1.0),
        7: (0.5, -2.0),
        9: (0.25, 0.39, 0.415, 0.39),
        10: (0.02, 4000.0, 250.0),
        12: (0.0, 10.0, 20.0),
        13: (0.3, 0.4),
        14: (25.0, 5.0, -5.0, -1.0),
        17: (0.5, 1.5, 1.0, 0.01, 0.02),
        18: (1.3, 0.65, 0.65, 0.7, 0.6, 3.0, 5.0, 7.0, 2.0, 4.5, 5.5),
        22: (-0.3, -0.39, 0.3, -0.344, -1.2, 2.69, 1.59, -1.5),
    }
    if which in given:
        return np.array(given[which])
    number = np.arange(1.0, n + 1.0)
    if which == 15:
        return number / (n + 1)
    if which == 21:
        v = np.sqrt(number[:, None] / number)
        sums = np.sum(v * (np.sin(np.log(v)) ** 5 + np.cos(np.log(v)) ** 5), axis=1)
        return -8.710996e-4 * ((number - 50.0) ** 3 + sums)
    return np.full(n, 0.5 if which in (11, 16, 20) else 1.0)


def problems() -> list[Problem]:
    """Return the 53 problems in the order of the published table, each with a new start.

    Returns
    -------
    list of Problem
        For 16 of them the start is the standard one times ten (``x10`` in the name).

    Notes
    -----
    `best` is the smallest value at which any of these ended, all from SciPy 1.17, with exact
    derivatives and the tightest tolerances, from the start given here: ``least_squares`` ("lm",
    "trf", "dogbox", plain and scaled), L-BFGS-B restarted four times, BFGS, CG, Newton-CG,
    trust-exact, trust-ncg and Nelder-Mead restarted three times; the best ends were polished with
    "lm", "trf" and trust-exact.  Ten digits are kept; ends below 1e-20 where zero is the known
    minimum are 0.0.

    It need not be the nearest minimum, nor the lowest: from some starts most solvers end elsewhere.

    - freudenstein_roth x10: only Nelder-Mead got to 0; the descents end at 48.98425368.
    - chebyquad n=10: trust-exact and Nelder-Mead got to 0.0047727; the others end at 0.0065040.
    - bard x10: "lm" and "trf" run off to infinity, towards 17.4287.
    - osborne_2 x10: all end at 1.789813587; from the other start they reach 0.04013774.
    - heart_8 x10: only ``least_squares`` and the trust regions got to 0, the others end above 1.
    """
    return [
        Problem(
            f"{FUNCTIONS[which - 1].__name__} n={n}" + (f" x{factor}" if factor != 1 else ""),
            which,
            m,
            factor * standard_start(which, n),
            best,
        )
        for which, n, m, factor, best in TABLE
    ]
