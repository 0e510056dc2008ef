"""Training: seconds for an epoch on made data."""

import zlib
from functools import cache

import numadelta as nd

from . import HYPERPARAMETERS, need, samples

LR, RHO, EPS = HYPERPARAMETERS

# Layer sizes, batch size, rows.
NETS = {
    "mnist": ((784, 512, 10), 128, 12_800),
    "narrow": ((784, 64, 64, 10), 128, 12_800),
    "tiny": ((4, 16, 16, 1), 32, 6_400),
    "wide": ((784, 2048, 2048, 10), 128, 640),
}


def network(name):
    sizes = NETS[name][0]
    return nd.MLP(sizes, loss="squared_error" if sizes[-1] == 1 else "cross_entropy")


def fit(net, name, epochs=1):
    """Train on the data of a net; the history says how it went."""
    sizes, batch, rows = NETS[name]
    x, y = samples(rows, sizes[0], sizes[-1])
    return net.fit(x, y, epochs=epochs, batch_size=batch, verbose=0, lr=LR, rho=RHO, eps=EPS)


@cache
def trained(name):
    """Return a network after an epoch: everything is compiled and its buffers were used."""
    net = network(name)
    fit(net, name)
    return net


class Epoch:
    """A call of `fit` for one epoch, its checks of the data included."""

    params = list(NETS)
    param_names = ["net"]
    version = "1"
    rounds, repeat, warmup_time = 2, (3, 10, 20.0), 0.0

    def setup(self, name):
        need(nd, "MLP")
        self.net = trained(name)

    def time_epoch(self, name):
        fit(self.net, name)


class Result:
    """What training comes to; the bits depend on the BLAS, so compare them on one machine."""

    params = ["mnist", "narrow", "tiny"]
    param_names = ["net"]
    version = "1"

    def setup(self, name):
        need(nd, "MLP")

    def track_loss(self, name):
        return fit(network(name), name, epochs=2)["loss"][-1]

    def track_loss_bits(self, name):
        """A checksum of losses and parameters, which any changed bit changes."""
        net = network(name)
        losses = fit(net, name, epochs=2)["loss"]
        return zlib.crc32(net.theta.tobytes(), zlib.crc32(repr(losses).encode()))

    track_loss.unit = "nats"
    track_loss_bits.unit = "checksum"


def peakmem_epoch():
    """40 MB of samples, a network of 0.4 million parameters and its state."""
    fit(network("mnist"), "mnist")
