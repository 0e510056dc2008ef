"""ADADELTA as the paper writes it (Zeiler 2012, Algorithm 1): slow, obvious, in float64.

The oracle of the tests.  It shares no code with the library.
"""

from __future__ import annotations

import numpy as np


def step(x, g, v, u, lr=1.0, rho=0.95, eps=1e-6, weight_decay=0.0, maximize=False):
    """Return x, v = E[g^2] and u = E[dx^2] after one step."""
    if maximize:
        g = -g
    g = g + weight_decay * x
    v = rho * v + (1 - rho) * g * g
    delta = np.sqrt(u + eps) / np.sqrt(v + eps) * g
    u = rho * u + (1 - rho) * delta * delta
    return x - lr * delta, v, u


def run(x, gradients, v=0.0, u=0.0, **options):
    """Return x, v and u after a step for each of the gradients."""
    x, v, u = (np.array(np.broadcast_to(a, np.shape(x)), np.float64) for a in (x, v, u))
    for g in gradients:
        x, v, u = step(x, np.asarray(g, np.float64), v, u, **options)
    return x, v, u
