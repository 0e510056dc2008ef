"""What happened in each epoch of a training."""

from __future__ import annotations

from collections.abc import Iterator, KeysView
from typing import Any


class History:
    """What happened in each epoch of a `fit`.

    Attributes
    ----------
    history : dict of list
        One entry for each whole epoch:

        - ``loss`` and ``score`` (not for losses on real numbers): averages over the batches of the
          epoch, each taken before its step, under dropout if there is any;
        - ``grad_norm``: the Euclidean norm of the gradient, averaged over every tenth batch, or
          twenty batches of a longer epoch;
        - ``effective_lr``: ADADELTA's rates at the end of the epoch, for each layer a list of their
          5 %, 50 % and 95 % quantiles (over at most 1,000 of its parameters, evenly spread);
        - ``lr``: the factor `lr` of the epoch;
        - ``val_loss`` and ``val_score``, if there was validation data;
        - ``seconds``;
        - what callbacks added to the logs in ``on_epoch_end`` (None where they did not).
    epoch : list of int
        The numbers of the epochs, from 0.
    interrupted : str or None
        ``"SIGINT"`` or ``"SIGTERM"`` if the training was interrupted.

    Examples
    --------
    >>> import numadelta as nd
    >>> history = nd.History()
    >>> history.append({"loss": 0.5})
    >>> history["loss"], history.epoch
    ([0.5], [0])
    >>> dict(history)
    {'loss': [0.5]}
    """

    def __init__(self) -> None:
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []
        self.interrupted: str | None = None

    def append(self, logs: dict[str, Any]) -> None:
        """Add the figures of an epoch."""
        for name in (*self.history, *(name for name in logs if name not in self.history)):
            values = self.history.setdefault(name, [None] * len(self.epoch))
            values.append(logs.get(name))
        self.epoch.append(len(self.epoch))

    def truncate(self, epochs: int) -> None:
        """Forget all after so many epochs."""
        self.epoch = self.epoch[:epochs]
        self.history = {name: values[:epochs] for name, values in self.history.items() if epochs}

    @classmethod
    def of(cls, history: dict[str, list[Any]], epochs: int) -> History:
        """Return the history with these lists, each as long as there were epochs."""
        new = cls()
        new.epoch, new.history = list(range(epochs)), history
        if any(len(values) != epochs for values in history.values()):
            raise ValueError(f"history must hold {epochs} entries of each figure")
        return new

    def __getitem__(self, name: str) -> list[Any]:
        if name not in self.history:
            held = ", ".join(self.history) or "nothing"
            raise KeyError(f"{name!r} is not in the history, which holds {held}")
        return self.history[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.history)

    def keys(self) -> KeysView[str]:
        """Return the names of the figures, as a dict does."""
        return self.history.keys()

    def __contains__(self, name: str) -> bool:
        return name in self.history

    def __repr__(self) -> str:
        last = ", ".join(
            f"{name}={values[-1]:.4g}"
            for name, values in self.history.items()
            if values and isinstance(values[-1], float)
        )
        return f"History({len(self.epoch)} epochs{': ' if last else ''}{last})"
