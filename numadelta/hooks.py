"""The hooks of a training: which there are, and the calls of those that callbacks have."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import numpy as np

from numadelta import caller

HOOKS = (
    "on_train_begin",
    "on_epoch_begin",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_epoch_end",
    "on_train_end",
)
LIKE_HOOKS = ("on_train", "on_epoch", "on_batch", "on_test", "on_predict")
# Keras' base class calls these from `on_train_batch_begin` and `on_train_batch_end`.
BY_KERAS = ("on_batch_begin", "on_batch_end")


def _unheard(callback: Any) -> list[str]:
    """Return the hooks of an object that no training calls, but for those that Keras gives all."""
    kinds = [kind for kind in type(callback).__mro__ if kind.__module__.split(".")[0] != "keras"]
    of_keras = len(kinds) < len(type(callback).__mro__)
    called = (*HOOKS, *BY_KERAS) if of_keras else HOOKS
    owners = [*map(vars, kinds), getattr(callback, "__dict__", {})]
    found = {name for owner in owners for name, value in owner.items() if callable(value)}
    return sorted(name for name in found if name.startswith(LIKE_HOOKS) and name not in called)


def _is_json(value: Any) -> bool:
    """Tell whether a value would come back from JSON as it was, numbers of NumPy as Python's."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(part) for key, part in value.items())
    if isinstance(value, list):
        return all(map(_is_json, value))
    return value is None or isinstance(value, (str, int, float, np.integer, np.float32, np.bool_))


class Hooks:
    """The callbacks' methods, by the name of the hook.

    `params` is what Keras tells its callbacks of a training.
    """

    def __init__(self, callbacks: Iterable[Any], model: Any, params: dict[str, int]) -> None:
        if not isinstance(callbacks, Iterable):
            raise TypeError(f"callbacks must be a list of objects, but is {callbacks!r}")
        self.callbacks, self._model = list(callbacks), model
        for callback in self.callbacks:
            if isinstance(callback, type):
                raise TypeError(
                    f"callbacks holds the class {callback.__qualname__}, but an object of it is "
                    f"needed, {callback.__qualname__}(...)"
                )
            if not any(hasattr(callback, hook) for hook in HOOKS):
                raise TypeError(
                    f"callbacks holds {callback!r}, which has none of the methods "
                    f"{', '.join(HOOKS)}"
                )
            if unheard := _unheard(callback):
                caller.warn(
                    f"{type(callback).__qualname__} has {', '.join(unheard)}, which no training "
                    f"calls; it calls {', '.join(HOOKS)}",
                    UserWarning,
                )
        self.methods = {
            hook: [
                getattr(callback, hook) for callback in self.callbacks if hasattr(callback, hook)
            ]
            for hook in HOOKS
        }
        self._keepers = [one for one in self.callbacks if hasattr(one, "state_dict")]
        for callback in self.callbacks:
            if hasattr(callback, "set_params"):
                callback.set_params(dict(params))
            if hasattr(callback, "set_model"):
                callback.set_model(model)

    def call(self, hook: str, *arguments: Any) -> bool:
        """Call a hook of all callbacks; tell whether one of them wants the training to end."""
        stop = False
        for method in self.methods[hook]:
            try:
                method(*arguments)
            except StopIteration:
                stop = True
        return stop or bool(self._model.stop_training)

    def names(self) -> list[str]:
        """Return the types of the callbacks that keep a state."""
        return [type(callback).__qualname__ for callback in self._keepers]

    def state(self) -> list[dict[str, Any]]:
        """Return copies of the states of these, or say which cannot be saved as it is."""
        states = [copy.deepcopy(callback.state_dict()) for callback in self._keepers]
        for name, state in zip(self.names(), states, strict=True):
            for key, value in state.items():
                if not (isinstance(value, np.ndarray) or _is_json(value)):
                    raise TypeError(
                        f"the state_dict of {name} holds {key}={value!r}, but must hold arrays and "
                        "JSON values"
                    )
        return states

    def load_state(self, states: list[dict[str, Any]]) -> None:
        """Give the callbacks their states back."""
        for callback, state in zip(self._keepers, states, strict=True):
            callback.load_state_dict(state)
