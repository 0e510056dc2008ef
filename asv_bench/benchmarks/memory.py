"""Peak memory of a process that does one job: Python, NumPy and Numba are 100 to 150 MB of it."""

import numpy as np

import numadelta as nd

from . import need


def peakmem_import():
    """Nothing but the modules that all jobs need."""
    nd.Adadelta(np.ones(2)).step(np.ones(2))


def peakmem_step():
    """Ten million parameters: 40 MB for each of four arrays, and nothing more."""
    x, grads = np.ones(10**7, np.float32), np.ones(10**7, np.float32)
    nd.Adadelta(x).step(grads)


class Shared:
    """The same step with one E[dx^2] for all parameters: an array less."""

    version = "1"

    def setup(self):
        import inspect

        if "shared_delta" not in inspect.signature(nd.Adadelta.__init__).parameters:
            raise NotImplementedError("this commit has no shared_delta")

    def peakmem_step(self):
        x, grads = np.ones(10**7, np.float32), np.ones(10**7, np.float32)
        nd.Adadelta(x, shared_delta=True).step(grads)


class Jobs:
    """The other jobs, which old commits may lack."""

    version = "1"

    def setup(self):
        need(nd, "minimize_batch")

    def peakmem_minimize(self):
        """A million variables, 8 MB for each array of them."""
        from numadelta.bench import classics

        start = np.tile([-1.2, 1.0], 500_000)
        nd.minimize(classics.rosenbrock, start, jac="inplace", maxiter=3)

    def peakmem_batch(self):
        """A hundred thousand fits of 12 points."""
        from numadelta.bench import fits

        t, y, _ = fits.data(10**5)
        nd.minimize_batch(fits.fun, fits.START, (t, y), in_axes=(None, 0), jac="inplace")

    def peakmem_epoch(self):
        """40 MB of samples, a network of 0.4 million parameters and its state."""
        from . import mlp

        mlp.fit(mlp.network("mnist"), "mnist")
