"""What `numadelta bench` measures: jobs, and in each the contestants, ours first."""

from __future__ import annotations

from typing import NamedTuple

from numadelta.bench.problems import (
    FITS,
    LARGE,
    NETS,
    QUICK_FITS,
    ROSENBROCK,
    SMALL,
    SQUARE,
    STUCK,
    TARGET,
)


class Contestant(NamedTuple):
    """A row of a table.

    Attributes
    ----------
    label : str
        What it is called there: the library, then after a comma what is special.
    command : tuple of str
        Arguments of the Python interpreter that run its worker.
    needs : tuple of str
        Modules without which it cannot run.
    slow : bool
        Whether a quick run leaves it out.
    one_thread : bool
        Whether more threads would only slow it down.
    limit : bool
        Whether it does only what nobody can do without: no library, but what the machine allows.
    """

    label: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()
    slow: bool = False
    one_thread: bool = False
    limit: bool = False


class Job(NamedTuple):
    """A table.  Its unit is "s", or "" for a plain number; ratios are to the first contestant."""

    title: str
    unit: str
    contestants: tuple[Contestant, ...]


def _worker(name: str, task: str) -> tuple[str, ...]:
    return "-m", f"numadelta.bench.{name}", task


def _ours(task: str, label: str = "numadelta", slow: bool = False) -> Contestant:
    return Contestant(label, _worker("ours", task), (), slow)


def _torch(task: str, label: str = "PyTorch, eager", slow: bool = False) -> Contestant:
    return Contestant(label, _worker("peer_torch", task), ("torch",), slow)


def _jax(task: str, label: str = "JAX, optax, jit", slow: bool = False) -> Contestant:
    return Contestant(label, _worker("peer_jax", task), ("jax", "optax"), slow)


def _scipy(task: str, label: str, slow: bool = False) -> Contestant:
    # On such small matrices the threads of BLAS wait for each other: up to forty times slower.
    return Contestant(label, _worker("peer_scipy", task), (), slow, one_thread=True)


def _numpy(task: str, label: str = "NumPy", slow: bool = False) -> Contestant:
    return Contestant(label, _worker("peer_numpy", task), (), slow)


def _limit(name: str, task: str, label: str) -> Contestant:
    return Contestant(label, _worker(name, task), limit=True)


STREAM = _limit("limit_memory", "stream", "4 reads and 3 writes, plain loop")


def _products(task: str) -> Contestant:
    return _limit("limit_products", task, "matrix products alone, NumPy")


def _epoch(quick: bool) -> Job:
    net = NETS["epoch"]
    rows = net.quick_rows if quick else net.rows
    keras = Contestant("Keras, JAX backend", _worker("peer_keras", "epoch"), ("keras", "jax"), True)
    sklearn = Contestant("scikit-learn, Adam", _worker("peer_sklearn", "epoch"), ("sklearn",))
    return Job(
        f"an epoch of {_sizes('epoch')}, batch {net.batch}, {rows:,} rows, float32",
        "s",
        (
            _ours("epoch"),
            _torch("epoch"),
            _torch("epoch-compiled", "PyTorch, torch.compile", slow=True),
            _jax("epoch"),
            keras,
            sklearn,
            _numpy("epoch"),
            _products("epoch"),
        ),
    )


def _training_step(name: str) -> Job:
    return Job(
        f"a training step of {_sizes(name)}, batch {NETS[name].batch}, float32",
        "s",
        (
            _ours(name),
            _torch(name),
            _torch(f"{name}-compiled", "PyTorch, torch.compile", slow=True),
            _jax(name),
            _jax(f"{name}-scan", "JAX, optax, scan over an epoch"),
            _numpy(name),
            _products(name),
        ),
    )


def _rosenbrock(size: int) -> Job:
    return Job(
        f"minimising Rosenbrock {size}, float64: an iteration; with the safeguard, an evaluation",
        "s",
        (
            _ours(f"plain-{size}", "numadelta, safeguard=False"),
            _ours(f"safeguarded-{size}", "numadelta, from many starts"),
            _jax(f"plain-{size}", "JAX, optax, while_loop"),
            _scipy(f"rosenbrock-{size}", "SciPy, L-BFGS-B, an evaluation", slow=True),
        ),
    )


def _fits(count: int) -> Job:
    return Job(
        f"a fit of two parameters to 12 points, as one of {count:,}",
        "s",
        (
            _ours("fits", "numadelta, minimize_batch"),
            _ours("fits-plain", "numadelta, plain, 500 iterations", slow=True),
            _jax("fits", "JAX, vmap, optax, 500 iterations"),
            _jax("fits-bfgs", "JAX, vmap, BFGS", slow=True),
            _scipy("fits", "SciPy, loop, L-BFGS-B"),
            _scipy("fits-curve-fit", "SciPy, loop, curve_fit", slow=True),
        ),
    )


def _sizes(name: str) -> str:
    return "-".join(map(str, NETS[name].sizes))


def jobs(quick: bool) -> list[Job]:
    """Return all jobs.

    Parameters
    ----------
    quick : bool
        Whether the workers will be told to be quick; titles give the sizes.
    """
    return [
        Job(
            f"the machine, float32: a pass over {LARGE:,}, a product of {SQUARE:,} x {SQUARE:,}",
            "s",
            (STREAM, _products("square")),
        ),
        Job(
            f"a step of {LARGE:,} float32",
            "s",
            (
                _ours("step"),
                _ours("step-unchecked", 'numadelta, nonfinite="propagate"'),
                _torch("step"),
                _torch("step-foreach", "PyTorch, foreach", slow=True),
                _torch("step-compiled", "PyTorch, torch.compile", slow=True),
                _jax("step"),
                _numpy("step", "NumPy, in blocks, one thread"),
                STREAM,
            ),
        ),
        Job(
            f"a step of {SMALL:,} float32, called from Python",
            "s",
            (_ours("door"), _torch("door"), _numpy("door", "NumPy, nothing checked")),
        ),
        Job(
            f"time of a step on stuck subnormal averages / normal ones, {STUCK:,} float32",
            "",
            (_ours("stuck"), _torch("stuck", slow=True)),
        ),
        _epoch(quick),
        *(_training_step(name) for name in (("tiny",) if quick else ("narrow", "tiny", "wide"))),
        *(_rosenbrock(size) for size in (ROSENBROCK[1:2] if quick else ROSENBROCK)),
        Job(
            f"a minimisation to {TARGET} of f(x0) - min f, geometric mean of 19 classics",
            "s",
            (_ours("classics"), _scipy("classics", "SciPy, L-BFGS-B")),
        ),
        Job(
            "the first call with a new objective, in a fresh process",
            "s",
            (
                Contestant("numadelta, beyond compiling it", _worker("first_call", "beyond")),
                Contestant("Numba, compiling it", _worker("first_call", "compiling"), slow=True),
            ),
        ),
        _fits(QUICK_FITS if quick else FITS),
        Job(
            "an import, in a fresh process",
            "s",
            (
                Contestant("numadelta", _worker("imports", "numadelta")),
                Contestant("numadelta, the optimiser", _worker("imports", "numadelta-use")),
                Contestant("Numba", _worker("imports", "numba")),
                _limit("imports", "numpy", "NumPy"),
            ),
        ),
    ]
