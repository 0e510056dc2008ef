"""What `numadelta train` does: from the data to the network, its test and its pictures."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numadelta
from numadelta import files
from numadelta.cli import pictures, resuming
from numadelta.cli.options import SIGNALS
from numadelta.cli.scaling import folded
from numadelta.cli.setup import Part, Setup, prepare


class Places(NamedTuple):
    """Where to write; None where nothing is asked for."""

    checkpoint: Path | None
    plot: Path | None
    save: Path | None


class Fit(NamedTuple):
    """What the training came to."""

    history: numadelta.History
    seconds: float
    best_epoch: int | None
    """None without early stopping."""
    ran: bool
    """Whether there was an epoch left to train."""


def train(
    chosen: dict[str, Any], resume: bool, quiet: bool, silent: bool
) -> tuple[int, dict[str, Any] | None]:
    """Train as the options say; return the exit status and, unless interrupted, the result.

    `chosen` is completed.  `quiet` leaves only the result to be printed, `silent` not even that.
    """
    paths = (chosen[name] for name in Places._fields)
    places = Places(*(None if path is None else Path(path) for path in paths))
    # Missing extras and folders are found out before the training.
    saver = None if places.checkpoint is None else _saver(places.checkpoint, chosen, resume)
    if places.plot is not None:
        pictures.prepare(places.plot)
    if places.save is not None:
        files.require_writable_file(places.save)
    setup = prepare(chosen, chosen["early_stopping"] is not None, resume, quiet)
    test = setup.test()
    # What the curves show beside the training: validation data, where some was set aside.
    shown = test if setup.validation is None else setup.validation
    fit = _fit(setup, shown, chosen, saver, resume, quiet)
    if fit.history.interrupted:
        _end_early(setup.net, places)
        return SIGNALS[fit.history.interrupted], None
    if places.save is not None:  # before anything else can go wrong
        folded(setup.net).save(os.path.realpath(places.save))  # a link stays one
    return 0, _report(setup, test, fit, places, chosen, resume, silent)


def _saver(folder: Path, chosen: dict[str, Any], resume: bool) -> numadelta.Checkpoints:
    """Make the folder, which must hold no other training, and return what writes into it."""
    saver = numadelta.Checkpoints(
        folder, minutes=chosen["checkpoint_minutes"], keep=chosen["keep"] or 3
    )
    if not resume:
        resuming.refuse_used(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return saver


def _fit(
    setup: Setup,
    shown: Part,
    chosen: dict[str, Any],
    saver: numadelta.Checkpoints | None,
    resume: bool,
    quiet: bool,
) -> Fit:
    watch = _Watch(saver, chosen)
    patience = chosen["early_stopping"]
    stops = [] if patience is None else [numadelta.callbacks.EarlyStopping(patience=patience)]
    started = time.perf_counter()
    history = setup.net.fit(
        *setup.train,
        epochs=chosen["epochs"],
        batch_size=chosen["batch_size"],
        validation_data=shown,
        callbacks=[watch, *stops],
        checkpoint=saver,
        resume=chosen["checkpoint"] if resume else False,
        verbose=0 if quiet else 1,
        lr=chosen["lr"],
        rho=chosen["rho"],
        eps=chosen["eps"],
        shared_delta=chosen["shared_delta"],
    )
    seconds = time.perf_counter() - started
    return Fit(history, seconds, stops[0].best_epoch if stops else None, watch.ran)


class _Watch:
    """Notes the options when a training begins, and whether there was an epoch left to train."""

    def __init__(self, saver: numadelta.Checkpoints | None, chosen: dict[str, Any]) -> None:
        self.saver, self.chosen, self.ran = saver, chosen, False

    def on_train_begin(self, logs: dict[str, Any]) -> None:
        # Not before, for what is refused must not replace what was noted.
        if self.saver is not None:
            resuming.write(self.saver.folder, self.chosen)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        self.ran = True


def _end_early(net: numadelta.MLP, places: Places) -> None:
    """Save what is half done where nothing else keeps it, over no other file; say how to go on."""
    folder, save = places.checkpoint, places.save
    trained = net.optimizer is not None and net.optimizer.steps > 0
    if folder is None and save is not None and not save.exists() and trained:
        folded(net).save(save)
    else:
        save = None
    if folder is not None and numadelta.Checkpoints(folder).files():
        text = f"the checkpoint is in {folder}; {resuming.command(folder)} goes on"
    elif save is not None:
        text = f"saved {save} as it is now; --checkpoint DIR would let the training go on"
    elif folder is not None:
        text = "nothing was saved, for nothing was done"
    else:
        text = "nothing was saved; --checkpoint DIR would keep checkpoints"
    print(f"numadelta: {text}", file=sys.stderr)


def _report(
    setup: Setup,
    test: Part,
    fit: Fit,
    places: Places,
    chosen: dict[str, Any],
    resume: bool,
    silent: bool,
) -> dict[str, Any]:
    """Test the network, draw the pictures and say so; return the result as it is for JSON."""

    def say(text: str) -> None:
        if not silent:
            print(text)

    net, source, epochs = setup.net, setup.source, len(fit.history.epoch)
    if resume and not fit.ran:
        how = ", stopped early" if epochs < chosen["epochs"] else "; a larger --epochs goes on"
        say(f"the training had already ended after {_epochs(epochs)}{how}")
    found = _evaluate(net, test)
    layers = "-".join(str(size) for size in net.layer_sizes)
    right = "R^2 {:.4f}" if source.classes is None else "accuracy {:.2%}"
    best = "" if fit.best_epoch is None else f" (best: {fit.best_epoch + 1})"
    say(
        f"{source.name} {layers}: test {right.format(found['score'])}, "
        f"test loss {found['loss']:.4f}, {_epochs(epochs)}{best} in {fit.seconds:.1f} s"
    )
    written = []
    if places.save is not None:
        written.append(str(places.save))
        say(f"saved {places.save}")
    if places.plot is not None:
        held_out = "test" if setup.validation is None else "validation"
        written += pictures.draw(places.plot, source, net, fit.history, held_out, test[0])
        say(f"wrote {places.plot}")
    return {
        "dataset": source.name,
        "task": source.task,
        "target": source.target,
        "layers": net.layer_sizes,
        "epochs": epochs,
        "best_epoch": fit.best_epoch,
        "seconds": fit.seconds,
        "train": _evaluate(net, setup.train),
        "test": found,
        "history": fit.history.history,
        "options": chosen,
        "files": written,
    }


def _epochs(count: int) -> str:
    return f"{count} epoch{'' if count == 1 else 's'}"


def _evaluate(net: numadelta.MLP, part: Part) -> dict[str, float]:
    return dict(zip(("loss", "score"), net.evaluate(*part), strict=True))
