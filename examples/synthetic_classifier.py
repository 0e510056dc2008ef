"""Classify made data with two hidden layers of 64 units and a softmax.

ADADELTA's default rate, lr 1.0, and batches of 32.

    python examples/synthetic_classifier.py [--epochs 20]
"""

import argparse

import numpy as np

import numadelta as nd


def make_clusters(
    rows: int, features: int = 20, classes: int = 10, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return Gaussian clusters that overlap, three for each class."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(scale=0.9, size=(3 * classes, features))
    cluster = rng.integers(len(centers), size=rows)
    return rng.normal(centers[cluster]), cluster % classes


def main(epochs: int) -> None:
    """Train on 8,000 points and test on 2,000."""
    X, y = make_clusters(10_000)
    net = nd.MLP((X.shape[1], 64, 64, 10), seed=0)
    net.fit(X[:8000], y[:8000], epochs=epochs, batch_size=32, lr=1.0, verbose=0)
    for name, part in {"training": slice(8000), "test": slice(8000, None)}.items():
        loss, accuracy = net.evaluate(X[part], y[part])
        print(f"{name:8} accuracy {accuracy:.1%}, loss {loss:.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    main(**vars(parser.parse_args()))
