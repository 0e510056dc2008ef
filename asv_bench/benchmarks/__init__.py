"""What the asv benchmarks share.

- `step`, `minimise`, `mlp`, `startup`, `gpu`: the clock;
- `counted`: what the clock cannot disturb, and what `gate.py` therefore takes literally;
- `memory`: peaks of whole processes.

asv calls ``setup`` before every sample, so whatever takes time is cached.  Benchmarks also run on
old commits: what those lack raises NotImplementedError in ``setup``, which skips.
"""

import os
import sys
import tempfile
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

# asv goes to and fro between commits in one environment, and each would have to be compiled anew.
if "numba" not in sys.modules:
    _package = Path(find_spec("numadelta").origin).parent
    _sources = b"".join(file.read_bytes() for file in sorted(_package.rglob("[!.]*.py")))
    os.environ["NUMBA_CACHE_DIR"] = str(
        Path(tempfile.gettempdir(), "numadelta-asv", sha256(_sources).hexdigest()[:16])
    )

import numpy as np  # noqa: E402

HYPERPARAMETERS = 1.0, 0.95, 1e-6  # lr, rho, eps


@cache
def state(n, dtype):
    """Return params, grads, square_avg, acc_delta of a run in progress, not zeros."""
    rng = np.random.default_rng(0)
    # Large arrays repeat a block: random numbers take longer than the benchmark.
    params, grads = (
        np.resize(rng.standard_normal(min(n, 10**6)).astype(dtype), n) for _ in range(2)
    )
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
