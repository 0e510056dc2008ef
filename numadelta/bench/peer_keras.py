"""Worker: Keras on the JAX backend."""

from __future__ import annotations

import os
import time
from typing import Any

from numadelta.bench import worker
from numadelta.bench.problems import EPS, LR, NETS, RHO


def epoch(quick: bool) -> dict[str, Any]:
    """Train the network with MNIST's shape."""
    os.environ["KERAS_BACKEND"] = "jax"  # read by the import
    import keras

    net = NETS["epoch"]
    samples, labels = net.data(quick)
    *hidden, outputs = net.sizes[1:]
    model = keras.Sequential(
        [
            keras.Input((net.sizes[0],)),
            *(keras.layers.Dense(units, activation="relu") for units in hidden),
            keras.layers.Dense(outputs),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adadelta(learning_rate=LR, rho=RHO, epsilon=EPS),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        steps_per_execution=32,  # fewer returns to Python
    )
    ends: list[float] = []
    clock = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: ends.append(time.perf_counter()),
        on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter()),
    )
    history = model.fit(
        samples,
        labels,
        batch_size=net.batch,
        epochs=worker.epochs(quick),
        verbose=0,
        callbacks=[clock],
    )
    seconds = [after - before for before, after in zip(ends, ends[1:], strict=False)]
    return worker.outcome(seconds, loss=history.history["loss"][-1])


def version() -> str:
    """Return what was measured."""
    import jax
    import keras

    return f"keras {keras.__version__}, jax {jax.__version__}"


TASKS: dict[str, worker.Task] = {"epoch": epoch}

if __name__ == "__main__":
    worker.main(TASKS, version)
