"""ADADELTA at the speed of memory, for people who write NumPy.

Three doors: `minimize` for objectives, `MLP` for networks, `Adadelta` for arrays of your own.
Names are imported when they are first used, so that ``import numadelta`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from numadelta import callbacks, checkpoint, datasets, exchange, kernels, plotting
    from numadelta.batch import minimize_batch
    from numadelta.checkpoints import Checkpoints
    from numadelta.functional import adadelta_step
    from numadelta.grid import sweep
    from numadelta.history import History
    from numadelta.method import adadelta
    from numadelta.minimizer import minimize
    from numadelta.mlp import MLP
    from numadelta.optimizer import Adadelta
    from numadelta.packing import pack
    from numadelta.threads import get_num_threads, set_num_threads

__all__ = [
    "MLP",
    "Adadelta",
    "Checkpoints",
    "History",
    "adadelta",
    "adadelta_step",
    "callbacks",
    "checkpoint",
    "datasets",
    "exchange",
    "get_num_threads",
    "kernels",
    "minimize",
    "minimize_batch",
    "pack",
    "plotting",
    "set_num_threads",
    "sweep",
]

_HOME = {
    "Adadelta": "optimizer",
    "Checkpoints": "checkpoints",
    "History": "history",
    "MLP": "mlp",
    "adadelta": "method",
    "adadelta_step": "functional",
    "get_num_threads": "threads",
    "minimize": "minimizer",
    "minimize_batch": "batch",
    "pack": "packing",
    "set_num_threads": "threads",
    "sweep": "grid",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(f"numadelta.{_HOME[name]}"), name)
    elif name in __all__ or name == "sklearn":  # whose import takes a second, and `*` imports all
        value = import_module(f"numadelta.{name}")
    else:
        raise AttributeError(f"module 'numadelta' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
