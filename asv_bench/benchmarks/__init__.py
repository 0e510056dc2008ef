"""What the asv benchmarks share: made data, once for each process.

asv calls ``setup`` before every sample, so whatever takes time is cached here.  Benchmarks also
run on old commits: what those lack raises NotImplementedError in ``setup``, which skips.
"""

from functools import cache

import numpy as np

HYPERPARAMETERS = 1.0, 0.95, 1e-6  # lr, rho, eps


@cache
def state(n, dtype):
    """Return params, grads, square_avg, acc_delta of a run in progress, not zeros."""
    rng = np.random.default_rng(0)
    params, grads = rng.standard_normal(n).astype(dtype), rng.standard_normal(n).astype(dtype)
    return params, grads, 1e-3 + grads * grads, np.full_like(params, 1e-4)


@cache
def samples(rows, inputs, outputs):
    """Return random samples and targets that a network can learn, as `numadelta bench` does."""
    rng = np.random.default_rng(0)
    x = rng.random((rows, inputs), np.float32)
    scores = (x - 0.5) @ rng.standard_normal((inputs, outputs), np.float32)
    return x, np.tanh(scores) if outputs == 1 else scores.argmax(axis=1)


def need(module, name):
    """Skip a benchmark on commits that lack a name."""
    try:
        getattr(module, name)
    except (AttributeError, ImportError) as error:
        raise NotImplementedError(f"this commit has no {module.__name__}.{name}") from error
