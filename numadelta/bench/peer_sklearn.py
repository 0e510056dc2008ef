"""Worker: scikit-learn's MLPClassifier, which has no Adadelta: Adam, its default, instead."""

from __future__ import annotations

from typing import Any

import numpy as np

from numadelta.bench import worker
from numadelta.bench.problems import NETS


def epoch(quick: bool) -> dict[str, Any]:
    """Train the network with MNIST's shape; `partial_fit` is one epoch."""
    from sklearn.neural_network import MLPClassifier

    net = NETS["epoch"]
    samples, labels = net.data(quick)
    classes = np.arange(net.sizes[-1])
    model = MLPClassifier(net.sizes[1:-1], solver="adam", batch_size=net.batch, random_state=0)
    seconds = [
        worker.timed(lambda: model.partial_fit(samples, labels, classes=classes))
        for _ in range(worker.epochs(quick))
    ]
    return worker.outcome(seconds, loss=float(model.loss_))


def version() -> str:
    """Return what was measured."""
    import sklearn

    return f"scikit-learn {sklearn.__version__}"


TASKS: dict[str, worker.Task] = {"epoch": epoch}

if __name__ == "__main__":
    worker.main(TASKS, version)
