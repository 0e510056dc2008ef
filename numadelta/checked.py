"""Options of an object that are checked whenever they are set."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np


class Checked:
    """An option that is checked, for the owner's `dtype`, when it is set; reading costs nothing.

    A descriptor without ``__get__`` leaves reading to the instance dictionary.
    """

    def __init__(self, check: Callable[[str, Any, np.dtype[Any]], Any]) -> None:
        self.check = check

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    if TYPE_CHECKING:

        def __get__(self, owner: Any, kind: type | None = None) -> Any: ...

    def __set__(self, owner: Any, value: object) -> None:
        owner.__dict__[self.name] = self.check(self.name, value, owner.dtype)
