"""How functions are compiled here: `rule` is inlined, `loop` is compiled once and kept on disk.

Numba's disk cache notices a change of the file that holds the cached function, and of no other.
But loops inline rules of other files, so the cache used here notices a change of any file in this
folder.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache, partial
from hashlib import sha256
from pathlib import Path

import numpy as np
from numba import config, njit
from numba.core.caching import FunctionCache

# Whether Numba compiles at all, or the functions that it decorates stay those of Python.
ENABLED = not getattr(config, "DISABLE_JIT")  # noqa: B009 (Numba sets it at run time)

# Inlined at Numba's level, not called: a shared callee would take its floating-point flags from
# whichever caller happened to be compiled first (numba/numba#7168).
rule = njit(inline="always")


@cache
def _fingerprint():
    """Return a hash of the sources in this folder."""
    digest = sha256()
    # Editors put hidden links to nothing beside what is being edited.
    for file in sorted(Path(__file__).parent.glob("[!.]*.py")):
        with suppress(OSError):  # what cannot be read cannot be imported either
            digest.update(file.read_bytes())
    return digest.hexdigest()


class _Cache(FunctionCache):
    """Numba's disk cache, valid for this package's sources as they are now.

    Trouble with its files costs a compilation and not the call.
    """

    def __init__(self, function):
        super().__init__(function)
        self._cache_file._source_stamp = self._cache_file._source_stamp, _fingerprint()

    def load_overload(self, *args):
        """Return compiled code, or None; after a damaged file the cache starts anew."""
        try:
            return super().load_overload(*args)
        except Exception:  # unpickling may raise anything
            with suppress(OSError):
                self.flush()

    def save_overload(self, *args):
        """Save compiled code, if that is possible."""
        with suppress(Exception):
            super().save_overload(*args)


def loop(function, cached=True, **flags):
    """Compile a function when it is first called; keep the machine code on disk if possible."""
    # Strict IEEE arithmetic: fastmath would break the bit-for-bit promises and fold away the
    # checks for NaN.  The NumPy error model divides without a zero test, which is what lets loops
    # vectorise.  No parallel=True: threads run these loops on slices (see numadelta.threads).
    if not ENABLED:  # compiled code does not warn either
        return np.errstate(all="ignore")(function)
    compiled = njit(nogil=True, error_model="numpy", **flags)(function)
    if cached:
        with suppress(RuntimeError):  # no folder can be written to
            compiled._cache = _Cache(function)
    return compiled


# A loop that LLVM inlines into its caller: calls took a third of the time of a `minimize` iteration
# at n = 2.
inlined = partial(loop, forceinline=True)
