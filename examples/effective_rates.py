"""Watch ADADELTA's rates, layer by layer, beside Adagrad's on the same gradients.

Both divide by the root of what gradients were: Adagrad by the sum of all squares, so its rate can
only fall; ADADELTA by a running average, with the running average of its own steps on top, so its
rate recovers and tends to 1 when gradients become small against eps (Zeiler 2012, section 4.3).
The picture shows the median rate of each layer of a deep tanh network: no two layers get the same,
and nobody had to choose them.

    python examples/effective_rates.py [--epochs 40] [--plot effective_rates.png]
"""

import argparse

import numpy as np

import numadelta as nd
from synthetic_classifier import make_clusters

SIZES = (20, 64, 64, 64, 10)
BATCH = 32


def main(epochs: int, plot: str) -> None:
    """Train by hand, record both rates after every tenth of an epoch, and draw them."""
    X, y = make_clusters(4_000)
    X = X.astype(np.float32)
    net = nd.MLP(SIZES, activation="tanh", seed=0)
    opt = nd.Adadelta(net.theta)
    sum_of_squares = np.zeros_like(net.theta)
    rng = np.random.default_rng(0)
    layer_of = np.repeat(
        np.arange(len(net.weights)),
        [w.size + b.size for w, b in zip(net.weights, net.biases, strict=True)],
    )

    epoch, adadelta, adagrad = [], [], []
    batches = len(X) // BATCH
    for k in range(epochs * batches):
        rows = rng.integers(len(X), size=BATCH)
        _, grad = net.loss_and_grad(net.theta, X[rows], y[rows])
        opt.step(grad)
        sum_of_squares += grad**2
        if (k + 1) % (batches // 10) == 0:
            epoch.append((k + 1) / batches)
            adadelta.append(_medians(opt.effective_lr(), layer_of))
            adagrad.append(_medians(0.01 / np.sqrt(sum_of_squares + 1e-12), layer_of))
    print(f"accuracy {net.evaluate(X, y)[1]:.1%} after {epochs} epochs")
    for name, rates in {"ADADELTA": adadelta, "Adagrad": adagrad}.items():
        change = np.array(rates[-1]) / rates[0]
        print(f"{name:8} rate of each layer, last over first: {np.round(change, 2)}")

    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, layout="constrained", figsize=(9, 4))
    for ax, rates, title in (
        (left, adadelta, "ADADELTA: eta"),
        (right, adagrad, "Adagrad: 0.01 / sqrt(sum of g²)"),
    ):
        for layer, values in enumerate(np.transpose(rates)):
            ax.plot(epoch, values, label=f"layer {layer + 1}")
        ax.set(title=title, xlabel="epoch", yscale="log")
    left.set_ylabel("median rate")
    left.legend()
    figure.savefig(plot, dpi=120)
    print(f"wrote {plot}")


def _medians(rates: np.ndarray, layer_of: np.ndarray) -> list[float]:
    return [float(np.median(rates[layer_of == k])) for k in range(layer_of[-1] + 1)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--plot", default="effective_rates.png", help="write the rates to this PNG")
    main(**vars(parser.parse_args()))
