"""Worker: JAX with optax on the CPU."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from numadelta.bench import worker
from numadelta.bench.problems import EPS, LARGE, LR, NETS, RHO, Net, params_and_grads


def optimizer() -> Any:
    """Return optax's Adadelta."""
    import optax

    return optax.adadelta(learning_rate=LR, rho=RHO, eps=EPS)


def step(quick: bool) -> dict[str, Any]:
    """Step a large array."""
    import jax
    import jax.numpy as jnp
    import optax

    adadelta = optimizer()
    params, grads = map(jnp.asarray, params_and_grads(LARGE))
    state = adadelta.init(params)

    @partial(jax.jit, donate_argnums=(0, 1))  # donated arguments are updated in place
    def update(params, state, grads):
        updates, state = adadelta.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    def call() -> None:
        nonlocal params, state
        params, state = jax.block_until_ready(update(params, state, grads))

    return worker.measure(call, quick)


def compiled_step(adadelta: Any) -> Any:
    """Return a jitted function that trains on some rows of the data, which stay on the device."""
    import jax
    import optax

    def mean_loss(params, samples, labels):
        for weights, bias in params[:-1]:
            samples = jax.nn.relu(samples @ weights + bias)
        weights, bias = params[-1]
        logits = samples @ weights + bias
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    @partial(jax.jit, donate_argnums=(0, 1))
    def train_step(params, state, samples, labels, rows):
        batch = [array.at[rows].get(mode="promise_in_bounds") for array in (samples, labels)]
        loss, grads = jax.value_and_grad(mean_loss)(params, *batch)
        updates, state = adadelta.update(grads, state, params)
        return optax.apply_updates(params, updates), state, loss

    return train_step


def initial(net: Net, rng: np.random.Generator) -> list[Any]:
    """Return weights and biases."""
    import jax.numpy as jnp

    params = []
    for inputs, outputs in zip(net.sizes, net.sizes[1:], strict=False):
        limit = np.sqrt(6 / inputs)
        weights = rng.uniform(-limit, limit, (inputs, outputs)).astype(np.float32)
        params.append((jnp.asarray(weights), jnp.zeros(outputs)))
    return params


def epoch(quick: bool) -> dict[str, Any]:
    """Train the network with MNIST's shape."""
    import jax.numpy as jnp

    net = NETS["epoch"]
    rng = np.random.default_rng(0)
    samples, labels = map(jnp.asarray, net.data(quick))
    params = initial(net, rng)
    adadelta = optimizer()
    state = adadelta.init(params)
    train_step = compiled_step(adadelta)
    losses = []

    def one() -> None:
        nonlocal params, state
        order = rng.permutation(len(samples)).astype(np.int32)
        batches = []
        for start in range(0, len(order), net.batch):
            rows = order[start : start + net.batch]
            params, state, loss = train_step(params, state, samples, labels, rows)
            batches.append(loss)
        losses.append(float(np.mean(batches)))  # waits for the last step

    seconds = [worker.timed(one) for _ in range(worker.epochs(quick))]
    return worker.outcome(seconds, loss=losses[-1])


def version() -> str:
    """Return what was measured."""
    import jax
    import optax

    return f"jax {jax.__version__}, optax {optax.__version__}"


TASKS: dict[str, worker.Task] = {"step": step, "epoch": epoch}

if __name__ == "__main__":
    worker.main(TASKS, version)
