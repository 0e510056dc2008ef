"""What the estimators train on: samples with targets and weights, and some that are held out."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split


class Targets(NamedTuple):
    """What a network is to learn of some y."""

    values: Any
    outputs: int
    loss: Any
    classes: NDArray[Any] | None = None


class Samples(NamedTuple):
    """Samples, y as given and as the network takes it, and the weights by sample and by class."""

    X: Any
    y: NDArray[Any]
    values: NDArray[Any]
    weights: NDArray[Any] | None
    factors: NDArray[Any] | None

    def take(self, rows: NDArray[Any]) -> Samples:
        """Return some of the samples."""
        parts: Any = (None if part is None else part[rows] for part in self)
        return Samples(*parts)

    @property
    def total_weights(self) -> NDArray[Any] | None:
        """Weights by sample and class, multiplied; None if there are neither."""
        if self.weights is None or self.factors is None:
            return self.factors if self.weights is None else self.weights
        return self.weights * self.factors


def hold_out(
    samples: Samples, by_class: bool, fraction: float, seed: int
) -> tuple[Samples, Samples]:
    """Return the samples to train on and those held out, with each class's share, if possible."""
    rows = len(samples.y)
    by_class = by_class and samples.y.ndim == 1
    if by_class:
        classes, counts = np.unique(samples.y, return_counts=True)
        if counts.min() == 1:
            lonely = classes.tolist()[counts.argmin()]
            raise ValueError(
                f"validation_fraction is {fraction}, but class {lonely!r} has only 1 sample, which "
                "can be held out or trained on, not both"
            )

    def split(stratify: Any) -> Any:
        return train_test_split(
            np.arange(rows), test_size=fraction, random_state=seed, stratify=stratify
        )

    try:
        train, rest = split(samples.y if by_class else None)
    except ValueError:  # more classes than samples to hold out
        try:
            train, rest = split(None)
        except ValueError as error:
            raise ValueError(
                f"validation_fraction is {fraction}, which cannot be held out: {error}"
            ) from error
    if len(rest) < 2:
        raise ValueError(
            f"validation_fraction is {fraction}, which is {len(rest)} of {rows} samples, but at "
            "least 2 are needed"
        )
    parts = samples.take(train), samples.take(rest)
    for name, part in zip(("train on", "hold out"), parts, strict=True):
        weights = part.total_weights
        if weights is not None and not weights.any():
            raise ValueError(
                f"all the {len(part.y)} samples to {name} have the weight zero; give a larger "
                "validation_fraction, or leave those without weight out"
            )
    return parts
