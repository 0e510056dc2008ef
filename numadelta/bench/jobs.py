"""What `numadelta bench` measures: jobs, and in each the contestants, ours first."""

from __future__ import annotations

from typing import NamedTuple

from numadelta.bench.problems import LARGE, NETS, SMALL, STUCK


class Contestant(NamedTuple):
    """A row of a table.

    Attributes
    ----------
    label : str
        What it is called there.
    command : tuple of str
        Arguments of the Python interpreter that run its worker.
    needs : tuple of str
        Modules without which it cannot run.
    slow : bool
        Whether a quick run leaves it out.
    """

    label: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()
    slow: bool = False


class Job(NamedTuple):
    """A table.  Its unit is "s", or "" for a plain number; ratios are to the first contestant."""

    title: str
    unit: str
    contestants: tuple[Contestant, ...]


def _worker(name: str, task: str) -> tuple[str, ...]:
    return "-m", f"numadelta.bench.{name}", task


def _ours(task: str, label: str = "numadelta") -> Contestant:
    return Contestant(label, _worker("ours", task))


def _torch(task: str, label: str = "PyTorch", slow: bool = False) -> Contestant:
    return Contestant(label, _worker("peer_torch", task), ("torch",), slow)


def _numpy(task: str, label: str) -> Contestant:
    return Contestant(label, _worker("peer_numpy", task))


def _training_step(name: str) -> Job:
    title = f"a training step of {_sizes(name)}, batch {NETS[name].batch}, float32"
    return Job(title, "s", (_ours(name), _torch(name)))


def _sizes(name: str) -> str:
    return "-".join(map(str, NETS[name].sizes))


def jobs(quick: bool) -> list[Job]:
    """Return all jobs.

    Parameters
    ----------
    quick : bool
        Whether the workers will be told to be quick; titles give the sizes.
    """
    epoch = NETS["epoch"]
    rows = epoch.quick_rows if quick else epoch.rows
    return [
        Job(
            f"a step of {LARGE:,} float32",
            "s",
            (
                _ours("step"),
                _ours("step-unchecked", 'numadelta, nonfinite="propagate"'),
                Contestant("loop of 4 reads and 3 writes", _worker("peer_numba", "stream")),
                _torch("step", "PyTorch"),
                _torch("step-foreach", "PyTorch, foreach", slow=True),
                _torch("step-compiled", "PyTorch, torch.compile", slow=True),
                Contestant("JAX, optax, jit", _worker("peer_jax", "step"), ("jax", "optax")),
                _numpy("step", "NumPy in blocks, one thread"),
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
            (_ours("stuck"), _torch("stuck")),
        ),
        Job(
            f"an epoch of {_sizes('epoch')}, batch {epoch.batch}, {rows:,} rows, float32",
            "s",
            (
                _ours("epoch"),
                _torch("epoch"),
                Contestant("JAX, optax, jit", _worker("peer_jax", "epoch"), ("jax", "optax")),
                Contestant(
                    "Keras, JAX backend", _worker("peer_keras", "epoch"), ("keras", "jax"), True
                ),
                Contestant("scikit-learn (Adam)", _worker("peer_sklearn", "epoch"), ("sklearn",)),
                _numpy("products", "matrix products alone, NumPy"),
            ),
        ),
        *(_training_step(name) for name in ("narrow", "tiny", "wide")),
        Job(
            "import, in a fresh process",
            "s",
            tuple(
                Contestant(label, _worker("imports", task))
                for label, task in {
                    "import numadelta": "numadelta",
                    "import numpy": "numpy",
                    "import numba": "numba",
                    "from numadelta import Adadelta": "numadelta-use",
                }.items()
            ),
        ),
    ]
