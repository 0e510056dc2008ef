"""The options of a training: how it goes, whatever its data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from numadelta import arrays
from numadelta.clipping import Clip

Schedule = Callable[[int], float]


class FitOptions(NamedTuple):
    """What must be the same in a training that is resumed."""

    lr: float | Schedule
    rho: float
    eps: float
    shared_delta: bool
    batch_size: int
    shuffle: bool
    clip: Clip

    def checked(self, dtype: np.dtype[Any]) -> FitOptions:
        """Return the options as the loop takes them, or say which is wrong in this dtype."""
        lr = self.lr
        return FitOptions(
            _schedule(lr, dtype) if callable(lr) else arrays.check_hyperparameter("lr", lr, dtype),
            arrays.check_hyperparameter("rho", self.rho, dtype),
            arrays.check_hyperparameter("eps", self.eps, dtype),
            arrays.check_flag("shared_delta", self.shared_delta),
            arrays.check_count("batch_size", self.batch_size, 1),
            arrays.check_flag("shuffle", self.shuffle),
            self.clip.checked(dtype),
        )

    def described(self) -> dict[str, Any]:
        """Return them as a checkpoint holds them."""
        options = self._asdict() | self.clip._asdict()
        del options["clip"]
        return options | {"lr": "a schedule"} if callable(self.lr) else options


def _schedule(lr: Any, dtype: np.dtype[Any]) -> Schedule:
    return lambda epoch: arrays.check_hyperparameter(f"lr({epoch})", lr(epoch), dtype)
