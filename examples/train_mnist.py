"""Train a network on MNIST with NumPy, ADADELTA and nothing else.

784-512-10, ReLU, batch 128, 10 epochs: the job of ``numadelta train``, written out (to other last
bits).  Pixels are standardised: minus their mean, over their standard deviation.  What the curves
show beside the training is the test data, so choose nothing by them.

    python examples/train_mnist.py [--epochs 10] [--rows 60000] [--plot mnist.png]
"""

import argparse

import numpy as np

import numadelta as nd


def main(epochs: int, rows: int, plot: str | None) -> None:
    """Train on the first `rows` images and print the test accuracy."""
    (x_train, y_train), (x_test, y_test) = nd.datasets.load_mnist()
    mean, deviation = np.float32(x_train.mean()), np.float32(x_train.std())
    x_train, x_test = (
        (x.reshape(len(x), -1).astype(np.float32) - mean) / deviation
        for x in (x_train[:rows], x_test)
    )

    net = nd.MLP((784, 512, 10), activation="relu", seed=0)
    history = net.fit(
        x_train,
        y_train[:rows],
        epochs=epochs,
        batch_size=128,
        validation_data=(x_test, y_test),
    )
    loss, accuracy = net.evaluate(x_test, y_test)
    print(f"test accuracy {accuracy:.2%}, test loss {loss:.4f}")

    if plot:
        from numadelta import plotting

        plotting.learning_curves(history, held_out="test").figure.savefig(plot, dpi=120)
        print(f"wrote {plot}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rows", type=int, default=60_000, help="training images used")
    parser.add_argument("--plot", help="write the learning curves to this PNG")
    main(**vars(parser.parse_args()))
