"""A folder with the checkpoints of one training: the last few and the best."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numadelta import arrays, caller, checkpoint

KIND = "numadelta.Training"
VERSION = 1
BEST = "best.npz"
# The options that are checksums.
DATA = {"checksum": "X, y or sample_weight are", "validation_data": "validation_data is"}

Saved = tuple[dict[str, Any], dict[str, NDArray[Any]]]


class Checkpoints:
    """Where and how often a training is saved.

    A checkpoint is one file of plain arrays (see `numadelta.checkpoint`) with all that the training
    needs to go on, bit for bit.  `MLP.load` reads the network out of it, too.

    Parameters
    ----------
    folder : path-like
        Made if there is none.  It holds ``step-<steps taken>.npz``, the last few, and ``best.npz``,
        the epoch with the lowest validation loss, or training loss without validation data.
    epochs : int or None, default 1
        A checkpoint is written after so many epochs; None for no such checkpoints.
    minutes : float, optional
        One is written when so many minutes have passed, also in the middle of an epoch.
    keep : int, default 3
        How many files are kept, beside the best.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Notes
    -----
    A training writes one at its start, which finds a folder that cannot be written to, when it is
    interrupted, and at its end.  A checkpoint that cannot be written later, because the disk is
    full, say, costs a warning and not the training.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import numadelta as nd
    >>> folder = tempfile.TemporaryDirectory()
    >>> X, y = np.eye(4), np.arange(4) % 2
    >>> net = nd.MLP((4, 3, 2))
    >>> checkpoint = nd.Checkpoints(folder.name, epochs=2, keep=1)
    >>> history = net.fit(X, y, epochs=4, batch_size=4, checkpoint=checkpoint, verbose=0)
    >>> again = nd.MLP((4, 3, 2))
    >>> history = again.fit(X, y, epochs=6, batch_size=4, resume=folder.name, verbose=0)
    >>> history.epoch
    [0, 1, 2, 3, 4, 5]
    >>> folder.cleanup()
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        epochs: int | None = 1,
        minutes: float | None = None,
        keep: int = 3,
    ) -> None:
        self.folder = Path(folder)
        self.epochs = None if epochs is None else arrays.check_count("epochs", epochs, 1)
        self.minutes = None if minutes is None else arrays.check_number("minutes", minutes)
        if self.minutes is not None and not self.minutes >= 0:
            raise ValueError(f"minutes must not be negative, but is {minutes}")
        self.keep = arrays.check_count("keep", keep, 1)

    def __repr__(self) -> str:
        return (
            f"Checkpoints({str(self.folder)!r}, epochs={self.epochs}, minutes={self.minutes}, "
            f"keep={self.keep})"
        )

    def files(self) -> list[Path]:
        """Return the files of the last steps, the newest first."""
        return sorted(self.folder.glob(f"step-{12 * '[0-9]'}.npz"), reverse=True)


class Saver:
    """Writes the checkpoints of one training, each with the context that describes it."""

    def __init__(self, checkpoints: Checkpoints, context: dict[str, Any]) -> None:
        self.checkpoints, self.context = checkpoints, context
        self._saved_at = time.monotonic()
        self._saved: tuple[Any, ...] = ()

    def is_due(self, epochs: int | None = None) -> bool:
        """Tell whether to save now, so many epochs being done (None within an epoch)."""
        every, minutes = self.checkpoints.epochs, self.checkpoints.minutes
        if epochs is not None and every is not None and epochs % every == 0:
            return True
        return minutes is not None and time.monotonic() - self._saved_at >= 60 * minutes

    def save(self, step: int, saved: Saved, best: bool = False) -> None:
        """Write a checkpoint after so many steps and remove those too old; or write the best."""
        if best:
            self._write(BEST, saved)
            return
        self._saved_at = time.monotonic()  # first: after a failure the next one waits its turn, too
        # The end of an epoch has the steps of its last batch.
        state = step, saved[0]["epoch"], saved[0]["stopped"]
        if state == self._saved:
            return
        self._write(_name(step), saved)
        self._saved = state
        for old in self.checkpoints.files()[self.checkpoints.keep :]:
            with suppress(OSError):
                old.unlink()

    def _write(self, name: str, saved: Saved) -> None:
        settings, members = saved
        checkpoint.write(
            self.checkpoints.folder / name, KIND, VERSION, settings | self.context, **members
        )


def _name(step: int) -> str:
    return f"step-{step:012d}.npz"


def load(path: str | os.PathLike[str]) -> Saved:
    """Return what the newest good checkpoint of a folder holds, or that of a file.

    Warns of damaged files that it passes over.  Raises `FileNotFoundError` if there is none, and
    `CheckpointError` if none is good.
    """
    path = Path(path)
    if not path.is_dir():
        return checkpoint.read(path, {KIND: VERSION})
    damaged: list[str] = []
    for file in Checkpoints(path).files():
        try:
            saved = checkpoint.read(file, {KIND: VERSION})
        except (checkpoint.DamagedError, OSError) as error:
            damaged.append(str(error))
            continue
        if damaged:
            caller.warn(
                f"going back to the checkpoint {file}, for {'; '.join(damaged)}", RuntimeWarning
            )
        return saved
    if damaged:
        raise checkpoint.DamagedError(f"no good checkpoint in {path}: {'; '.join(damaged)}")
    raise FileNotFoundError(f"there is no checkpoint in {path}")


def begin(
    checkpoint: str | os.PathLike[str] | Checkpoints | None,
    resume: bool | str | os.PathLike[str],
    context: dict[str, Any],
) -> tuple[Saver | None, Saved | None]:
    """Return what saves a training, and what it resumes from, after all checks of the two.

    `context` describes the training and becomes a part of each checkpoint; what is resumed must
    have the same network and options.
    """
    if checkpoint is None or isinstance(checkpoint, Checkpoints):
        checkpoints = checkpoint
    elif isinstance(checkpoint, (str, os.PathLike)):
        checkpoints = Checkpoints(checkpoint)
    else:
        raise TypeError(f"checkpoint must be a path or Checkpoints, but is {checkpoint!r}")
    source = None
    # Asked once: another process may begin in the same folder.
    files = [] if checkpoints is None else checkpoints.files()
    if checkpoints is not None and not files and (checkpoints.folder / BEST).exists():
        raise FileExistsError(
            f"{checkpoints.folder} holds the {BEST} of another training; move it or take another "
            "folder"
        )
    if isinstance(resume, (bool, np.bool_)):
        resume = bool(resume)
    if resume is True:
        if checkpoints is None:
            raise ValueError("resume=True needs checkpoint=, the folder to go on with")
        source = checkpoints.folder if files else None
    elif isinstance(resume, (str, os.PathLike)):
        source = Path(resume)
    elif resume is not False:
        raise TypeError(f"resume must be True, False or a path, but is {resume!r}")
    saved = None
    if source is not None:
        saved = load(source)
        _check_context(saved[0], context)
    if checkpoints is None:
        return None, saved
    checkpoints.folder.mkdir(parents=True, exist_ok=True)
    _make_way(checkpoints, files, source, saved)
    return Saver(checkpoints, context), saved


def _check_context(settings: dict[str, Any], context: dict[str, Any]) -> None:
    for part in ("network", "options"):
        then = settings.get(part, {})
        for name, value in context[part].items():
            if name not in then or then[name] != value:
                if name in DATA:
                    raise ValueError(
                        f"{DATA[name]} not the same as in the training of the checkpoint"
                    )
                raise ValueError(
                    f"{name} is {value!r} now, but the checkpoint is of a training with "
                    f"{then.get(name, 'none')!r}"
                )
    names, then = context["names of callbacks"], settings.get("names of callbacks")
    if names != then:
        raise ValueError(
            f"the callbacks with a state are {names} now, but the checkpoint is of a training with "
            f"{then}"
        )
    # No reason to refuse: it may have counted its calls.
    for name, values in context["held"].items():
        if settings.get("held", {}).get(name, values) != values:
            caller.warn(
                f"{name} is the function of the checkpoint's training, but holds other values",
                RuntimeWarning,
            )


def _make_way(
    checkpoints: Checkpoints, files: list[Path], source: Path | None, saved: Saved | None
) -> None:
    """Refuse a folder with checkpoints of another training; put the damaged ones aside.

    They would count among the last few, and good ones be removed in their place.
    """
    if not files:
        return
    if saved is None or source is None or not source.samefile(checkpoints.folder):
        raise FileExistsError(
            f"{checkpoints.folder} holds checkpoints of another training; resume=True goes on with "
            "it, another folder starts anew"
        )
    for file in files:
        if file.name > _name(saved[0]["steps"]):  # `load` has passed over it
            with suppress(FileNotFoundError):
                file.replace(file.with_suffix(".npz.damaged"))
