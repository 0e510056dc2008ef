"""What is trained, and on what: the data of the options, scaled, and a network for it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import numadelta
from numadelta.cli import options, sources
from numadelta.cli.scaling import Scaling, make_net
from numadelta.cli.sources import Source

# So many classes of numbers might be quantities.
MANY_CLASSES = 10
# So many columns are named in a note.
NAMED_COLUMNS = 5

# Samples and targets, scaled.
Part = tuple[NDArray[np.float32], NDArray[Any]]


class Setup(NamedTuple):
    """What is trained, and on what."""

    net: numadelta.MLP
    source: Source
    scaling: Scaling
    train: Part
    validation: Part | None

    def test(self) -> Part:
        """Return the test data, which a sweep does without."""
        return self.scaling.part(self.source.x_test, self.source.y_test)


def prepare(chosen: dict[str, Any], validate: bool, known: bool, quiet: bool) -> Setup:
    """Load the data and make a network for it; `known` data has been trained on before."""
    source, validation = sources.load(chosen, known), None
    if validate:
        source, validation = source.with_validation()
    if source.images:
        chosen["dataset"] = source.name  # a resumed training must not fall back to another
    options.complete(chosen, source.name, source.images, len(source.y_train))
    scaling = Scaling.of(source)
    net = make_net(chosen, source, scaling, chosen.get("seed", 0))
    train = scaling.part(source.x_train, source.y_train)
    if not quiet:
        _tell(source, scaling, chosen)
        if validation is None:
            print("val_loss and val_score are of the test data; --early-stopping holds a tenth out")
    held_out = None if validation is None else scaling.part(*validation)
    return Setup(net, source, scaling, train, held_out)


def _tell(source: Source, scaling: Scaling, chosen: dict[str, Any]) -> None:
    """Print what was guessed of the data."""
    notes = []
    if source.first_line is not None:
        notes.append(f"the first line is taken for {source.first_line}")
    if source.target is not None and chosen["target"] is None:
        notes.append(f"the target is column {source.target!r}")
    classes = source.classes or []
    if chosen["task"] is None and len(classes) > MANY_CLASSES and not isinstance(classes[0], str):
        notes.append(
            f"the targets are taken for {len(classes)} classes; --task regression takes them for "
            "numbers"
        )
    if names := [_name_of(source, k) for k in scaling.constant_columns]:
        notes.append(f"constant, so not used: column {', '.join(names[:NAMED_COLUMNS])}")
        if len(names) > NAMED_COLUMNS:
            notes[-1] += f" and {len(names) - NAMED_COLUMNS} more"
    for note in notes:
        print(f"{source.name}: {note}")


def _name_of(source: Source, feature: int) -> str:
    """Return the name of a feature's column, or its number in the file, from 1."""
    if source.columns is not None:
        return source.columns[feature]
    before_target = not isinstance(source.target, int) or feature + 1 < source.target
    return str(feature + 1 if before_target else feature + 2)
