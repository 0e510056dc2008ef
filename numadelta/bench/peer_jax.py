"""Worker: JAX with optax on the CPU."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from numadelta.bench import fits, worker
from numadelta.bench.problems import (
    EPS,
    FITS,
    LARGE,
    LR,
    NETS,
    QUICK_FITS,
    RHO,
    ROSENBROCK,
    ROSENBROCK_LR,
    params_and_grads,
    rosenbrock_iterations,
    rosenbrock_start,
)


def optimizer(lr: float = LR) -> Any:
    """Return optax's Adadelta."""
    import optax

    return optax.adadelta(learning_rate=lr, rho=RHO, eps=EPS)


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


def compiled_step(adadelta: Any, regression: bool) -> Any:
    """Return a jitted function that trains on some rows of the data, which stay on the device."""
    import jax
    import optax

    def mean_loss(params, samples, targets):
        for weights, bias in params[:-1]:
            samples = jax.nn.relu(samples @ weights + bias)
        weights, bias = params[-1]
        outputs = samples @ weights + bias
        if regression:
            return optax.squared_error(outputs, targets).mean()
        return optax.softmax_cross_entropy_with_integer_labels(outputs, targets).mean()

    @partial(jax.jit, donate_argnums=(0, 1))
    def train_step(params, state, samples, targets, rows):
        batch = [array.at[rows].get(mode="promise_in_bounds") for array in (samples, targets)]
        loss, grads = jax.value_and_grad(mean_loss)(params, *batch)
        updates, state = adadelta.update(grads, state, params)
        return optax.apply_updates(params, updates), state, loss

    return train_step


def compiled_epoch(train_step: Any) -> Any:
    """Return a jitted function that trains on one batch after the other, all of one size."""
    import jax

    @partial(jax.jit, donate_argnums=(0, 1))
    def train_epoch(params, state, samples, targets, batches):
        def step(carry, rows):
            params, state, loss = train_step(*carry, samples, targets, rows)
            return (params, state), loss

        (params, state), losses = jax.lax.scan(step, (params, state), batches)
        return params, state, losses

    return train_epoch


def train(name: str, quick: bool, scan: bool = False) -> dict[str, Any]:
    """Train a network, with a call from Python for each step, or with `scan` for each epoch."""
    import jax
    import jax.numpy as jnp

    net = NETS[name]
    rng = np.random.default_rng(0)
    samples, targets = map(jnp.asarray, net.data(quick))
    params = jax.tree.map(jnp.asarray, net.initial(rng))
    adadelta = optimizer()
    state = adadelta.init(params)
    train_step = compiled_step(adadelta, net.regression)
    train_epoch = compiled_epoch(train_step)
    losses = []

    def epoch() -> None:
        nonlocal params, state
        order = rng.permutation(len(samples)).astype(np.int32)
        if scan:
            batches = order.reshape(-1, net.batch)
            params, state, seen = train_epoch(params, state, samples, targets, batches)
        else:
            seen = []
            for start in range(0, len(order), net.batch):
                rows = order[start : start + net.batch]
                params, state, loss = train_step(params, state, samples, targets, rows)
                seen.append(loss)
        losses.append(float(np.mean(seen)))  # waits for the last step

    seconds = [worker.timed(epoch) for _ in range(worker.epochs(quick))]
    return worker.outcome(seconds, net.parts(quick), loss=losses[-1])


def descend(fun: Any, start: Any, steps: int, lr: float = LR) -> Any:
    """Return the point after so many steps; for use inside a jitted function."""
    import jax
    import optax

    adadelta = optimizer(lr)
    value_and_grad = jax.value_and_grad(fun)

    def go_on(run):
        return run[2] < steps

    def step(run):
        x, state, k = run
        _, grad = value_and_grad(x)
        updates, state = adadelta.update(grad, state, x)
        return optax.apply_updates(x, updates), state, k + 1

    return jax.lax.while_loop(go_on, step, (start, adadelta.init(start), 0))[0]


def plain(size: int, quick: bool) -> dict[str, Any]:
    """Take steps on Rosenbrock's function, all in one compiled loop; the samples are per step."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    steps = rosenbrock_iterations(size, quick)
    start = jnp.asarray(rosenbrock_start(size))

    def rosenbrock(x):
        bend, rest = x[1:] - x[:-1] ** 2, 1.0 - x[:-1]
        return jnp.sum(100.0 * bend**2 + rest**2)

    run = jax.jit(lambda start: descend(rosenbrock, start, steps, ROSENBROCK_LR))
    return worker.measure(lambda: jax.block_until_ready(run(start)), quick, steps)


def fit_many(minimise: Any, quick: bool) -> dict[str, Any]:
    """Fit many decays at once, in float32; ``minimise(fun, start)`` does one."""
    import jax
    import jax.numpy as jnp

    count = QUICK_FITS if quick else FITS
    t, y, best = fits.data(count)
    times, measured = jnp.asarray(t, jnp.float32), jnp.asarray(y, jnp.float32)

    @jax.jit
    @jax.vmap
    def fit(own):
        def fun(x):
            return 0.5 * jnp.sum((x[0] * jnp.exp(-x[1] * times) - own) ** 2)

        return minimise(fun, jnp.asarray(fits.START, jnp.float32))

    def call() -> Any:
        return jax.block_until_ready(fit(measured))

    answer = worker.measure(call, quick, count)
    return answer | {"note": fits.error(np.asarray(call()), best)}


def bfgs(fun: Any, start: Any) -> Any:
    """Return where JAX's BFGS ends."""
    from jax.scipy.optimize import minimize

    return minimize(fun, start, method="BFGS").x


def version() -> str:
    """Return what was measured."""
    import jax
    import optax

    return f"jax {jax.__version__}, optax {optax.__version__}"


TASKS: dict[str, worker.Task] = {
    "step": step,
    **{name: partial(train, name) for name in NETS},
    **{f"{name}-scan": partial(train, name, scan=True) for name in ("narrow", "tiny", "wide")},
    **{f"plain-{size}": partial(plain, size) for size in ROSENBROCK},
    "fits": partial(fit_many, partial(descend, steps=500)),
    "fits-bfgs": partial(fit_many, bfgs),
}

if __name__ == "__main__":
    worker.main(TASKS, version)
