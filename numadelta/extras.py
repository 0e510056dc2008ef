"""What the extras of the package bring: a clear error where it is missing."""

from __future__ import annotations


def require_matplotlib(needs: str) -> None:
    """Say which extra is missing, in a message that begins with `needs`: who needs it."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{needs} matplotlib: pip install numadelta[plot]", name="matplotlib"
        ) from error
