"""A larger network on MNIST, with dropout, and pictures of what it did.

784-1024-1024-10, ReLU, dropout 0.2 of inputs and hidden units, batch 128, and an lr that halves
every ten epochs.  The last 5,000 training images choose the epoch whose weights are kept; the test
images are looked at once, at the end.

    python examples/dropout_mnist.py [--epochs 30] [--plot pictures]
"""

import argparse
import time
from pathlib import Path

import numpy as np

import numadelta as nd


def main(epochs: int, rows: int, dropout: float, input_dropout: float, seed: int, plot: str | None):
    """Train on the first `rows` images and print the test accuracy."""
    (x_train, y_train), (x_test, y_test) = nd.datasets.load_mnist()
    mean, deviation = np.float32(x_train.mean()), np.float32(x_train.std())
    x_train, x_test = (
        (x.reshape(len(x), -1).astype(np.float32) - mean) / deviation for x in (x_train, x_test)
    )
    x_val, y_val = x_train[55_000:], y_train[55_000:]

    net = nd.MLP((784, 1024, 1024, 10), dropout=dropout, input_dropout=input_dropout, seed=seed)
    stop = nd.callbacks.EarlyStopping("val_score", patience=epochs)
    started = time.perf_counter()
    history = net.fit(
        x_train[:rows],
        y_train[:rows],
        epochs=epochs,
        validation_data=(x_val, y_val),
        callbacks=[stop],
        lr=lambda epoch: 0.5 ** (epoch / 10),
    )
    seconds = time.perf_counter() - started
    _, accuracy = net.evaluate(x_test, y_test)
    print(
        f"test accuracy {accuracy:.2%} with the weights of epoch {stop.best_epoch + 1} "
        f"of {len(history.epoch)}, {seconds:.0f} s"
    )

    if plot:
        folder = Path(plot)
        folder.mkdir(parents=True, exist_ok=True)
        pictures = {
            "learning_curves": nd.plotting.learning_curves(history),
            "effective_rates": nd.plotting.effective_rates(history),
            "first_layer": nd.plotting.first_layer_weights(net),
            "confusion_matrix": nd.plotting.confusion_matrix(y_test, net.predict(x_test)),
        }
        for name, ax in pictures.items():
            ax.figure.savefig(folder / f"{name}.png", dpi=120)
        print(f"wrote {len(pictures)} pictures into {folder}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--rows", type=int, default=55_000, help="training images used")
    parser.add_argument("--dropout", type=float, default=0.2, help="of the hidden layers")
    parser.add_argument("--input-dropout", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", help="write pictures into this folder")
    main(**vars(parser.parse_args()))
