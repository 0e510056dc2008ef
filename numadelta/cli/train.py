"""``numadelta train``: train a network, test it, keep it."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

import numadelta
from numadelta.cli import files, options, pictures, resuming, sources
from numadelta.cli.options import UsageError
from numadelta.cli.scaling import Scaling, folded, make_net

DEFAULTS: dict[str, Any] = {
    **options.DATA,
    **options.NETWORK,
    **{"epochs": None, "batch_size": None, "lr": 1.0, "rho": 0.95, "eps": 1e-6, "seed": 0},
    **{"early_stopping": None, "checkpoint": None, "checkpoint_minutes": None, "keep": None},
    **{"plot": None, "save": None},
}
SIGNALS = {"SIGINT": 130, "SIGTERM": 143}


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "train",
        help="train a network on handwritten digits or on data of yours",
        description="Train a multi-layer perceptron with ADADELTA and test it.  Features and real "
        "targets are standardised by the training data.",
        # Options that are not given do not show up: --resume has to know.
        argument_default=argparse.SUPPRESS,
    )
    parser.set_defaults(command=run)
    options.add_data(parser)
    options.add_network(parser)
    for name, text in (
        ("lr", "factor of each step (default: 1)"),
        ("rho", "decay rate (default: 0.95)"),
        ("eps", "constant (default: 1e-6)"),
    ):
        parser.add_argument(f"--{name}", type=options.real(name), help=text)
    parser.add_argument(
        "--early-stopping",
        type=options.whole(1),
        nargs="?",
        const=10,
        metavar="PATIENCE",
        help="set a tenth of the training data aside, always the same, for validation; stop when "
        "its loss has not fallen for so many epochs (default: 10) and keep the best epoch.  The "
        "test data is then used at the end only; without this option the curves show it",
    )
    parser.add_argument(
        "--checkpoint", type=options.path, metavar="DIR", help="keep checkpoints in this folder"
    )
    parser.add_argument(
        "--checkpoint-minutes",
        type=options.real("minutes"),
        metavar="M",
        help="write one after so many minutes, too, also within an epoch",
    )
    parser.add_argument(
        "--keep", type=options.whole(1), metavar="N", help="how many to keep (default: 3)"
    )
    parser.add_argument(
        "--resume",
        type=options.path,
        metavar="DIR",
        help="go on with the training in this folder, with the options it was begun with; only "
        "--epochs (larger), --plot, --save, --json, --quiet, and --dataset and --data-dir of data "
        "that has moved, may be given",
    )
    parser.add_argument(
        "--seed",
        type=options.whole(0),
        help="of initialisation, shuffling and dropout (default: 0)",
    )
    parser.add_argument(
        "--plot",
        type=options.path,
        metavar="DIR",
        help="draw learning curves, effective rates, first layer (of images) and confusion matrix "
        "(of classes) into this folder; of a path that ends in .png it is the learning curves only",
    )
    parser.add_argument(
        "--save",
        type=options.path,
        metavar="FILE",
        help="write the trained network here, made for raw data: the standardisation is folded "
        "into its weights",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, and nothing else")
    parser.add_argument("--quiet", action="store_true", help="print the result only")


def run(arguments: argparse.Namespace) -> int:
    """Train as the arguments say, and return the exit status."""
    given = {name: value for name, value in vars(arguments).items() if name != "command"}
    as_json, quiet = given.pop("json", False), given.pop("quiet", False)
    folder = given.pop("resume", None)
    given = {
        name: str(value) if isinstance(value, Path) else value for name, value in given.items()
    }
    if folder is None:
        chosen = DEFAULTS | given
    else:
        chosen = resuming.read(folder, given, DEFAULTS)
    _check(chosen)
    out = sys.stdout
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        status, result = _train(chosen, folder is not None, quiet, as_json and quiet)
    if as_json and result:
        print(files.to_json(result), file=out)
    return status


def _check(chosen: dict[str, Any]) -> None:
    options.check_data(chosen)
    lonely = [name for name in ("checkpoint_minutes", "keep") if chosen[name] is not None]
    if lonely and chosen["checkpoint"] is None:
        raise UsageError(f"{options.flags(lonely)} needs --checkpoint DIR")


def _train(
    chosen: dict[str, Any], resume: bool, quiet: bool, silent: bool
) -> tuple[int, dict[str, Any] | None]:
    """Return the exit status and, unless interrupted, the result."""
    paths = {
        name: None if chosen[name] is None else Path(chosen[name])
        for name in ("checkpoint", "plot", "save")
    }
    folder, plot, save = paths.values()
    saver = None
    if folder is not None:
        saver = numadelta.Checkpoints(
            folder, minutes=chosen["checkpoint_minutes"], keep=chosen["keep"] or 3
        )
        if not resume:
            resuming.refuse_used(folder)
        folder.mkdir(parents=True, exist_ok=True)
    # Found out before the training: missing extras and folders.
    if plot is not None:
        pictures.prepare(plot)
    if save is not None:
        files.require_writable_file(save)
    source = sources.load(chosen, known=resume)
    patience, (x_shown, y_shown) = chosen["early_stopping"], (source.x_test, source.y_test)
    if patience is not None:
        source, x_shown, y_shown = source.with_validation()
    if source.images:
        chosen["dataset"] = source.name  # a resumed training must not fall back to another
    options.complete(chosen, source.name if source.images else "", len(source.y_train))
    scaling = Scaling.of(source)
    net = make_net(chosen, source, scaling, chosen["seed"])
    x_train, y_train = scaling.samples(source.x_train), scaling.targets(source.y_train)
    x_test, y_test = scaling.samples(source.x_test), scaling.targets(source.y_test)
    if source.target is not None and chosen["target"] is None and not quiet:
        print(f"{source.name}: the target is column {source.target!r}")
    # Noted when the training begins, for what is refused must not replace what was noted.
    watch = _Watch(lambda: None if folder is None else resuming.write(folder, chosen))
    stops = [] if patience is None else [numadelta.callbacks.EarlyStopping(patience=patience)]
    started = time.perf_counter()
    history = net.fit(
        x_train,
        y_train,
        epochs=chosen["epochs"],
        batch_size=chosen["batch_size"],
        validation_data=(scaling.samples(x_shown), scaling.targets(y_shown)),
        callbacks=[watch, *stops],
        checkpoint=saver,
        resume=str(folder) if resume else False,
        verbose=0 if quiet else 1,
        lr=chosen["lr"],
        rho=chosen["rho"],
        eps=chosen["eps"],
        shared_delta=chosen["shared_delta"],
    )
    seconds = time.perf_counter() - started
    if history.interrupted:
        # What is half done is kept where nothing else would keep it, and replaces nothing.
        trained = net.optimizer is not None and net.optimizer.steps > 0
        if save is None or folder is not None or save.exists() or not trained:
            save = None
        else:
            folded(net).save(save)
        _say_how_to_go_on(folder, save)
        return SIGNALS[history.interrupted], None

    if save is not None:  # before anything else can go wrong
        folded(net).save(os.path.realpath(save))  # a link stays one

    def say(text: str) -> None:
        if not silent:
            print(text)

    epochs = len(history.epoch)
    if resume and not watch.ran:
        how = ", stopped early" if epochs < chosen["epochs"] else "; a larger --epochs goes on"
        say(f"the training had already ended after {epochs} epochs{how}")
    best_epoch = stops[0].best_epoch if stops else None
    test = dict(zip(("loss", "score"), net.evaluate(x_test, y_test), strict=True))
    layers = "-".join(str(size) for size in net.layer_sizes)
    right = "R^2 {:.4f}" if source.classes is None else "accuracy {:.2%}"
    best = "" if best_epoch is None else f" (best: {best_epoch + 1})"
    say(
        f"{source.name} {layers}: test {right.format(test['score'])}, "
        f"test loss {test['loss']:.4f}, {epochs} epochs{best} in {seconds:.1f} s"
    )
    written = []
    if save is not None:
        written.append(str(save))
        say(f"saved {save}")
    if plot is not None:
        written += pictures.draw(plot, source, net, history, x_test)
        say(f"wrote {plot}")
    return 0, {
        "dataset": source.name,
        "task": source.task,
        "target": source.target,
        "layers": net.layer_sizes,
        "epochs": epochs,
        "best_epoch": best_epoch,
        "seconds": seconds,
        "train": dict(zip(("loss", "score"), net.evaluate(x_train, y_train), strict=True)),
        "test": test,
        "history": history.history,
        "options": chosen,
        "files": written,
    }


class _Watch:
    """Does something when a training begins, and notes whether there was an epoch left to train."""

    def __init__(self, begin: Callable[[], None]) -> None:
        self.begin, self.ran = begin, False

    def on_train_begin(self, logs: dict[str, Any]) -> None:
        self.begin()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any]) -> None:
        self.ran = True


def _say_how_to_go_on(folder: Path | None, save: Path | None) -> None:
    if folder is not None and numadelta.Checkpoints(folder).files():
        text = f"the checkpoint is in {folder}; {resuming.command(folder)} goes on"
    elif save is not None:
        text = f"saved {save} as it is now; --checkpoint DIR would let the training go on"
    elif folder is not None:
        text = "nothing was saved, for nothing was done"
    else:
        text = "nothing was saved; --checkpoint DIR would keep checkpoints"
    print(f"numadelta: {text}", file=sys.stderr)
