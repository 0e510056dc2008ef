"""``numadelta train``: train a network, test it, keep it."""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

from numadelta.cli import fitting, options, resuming, strict_json
from numadelta.cli.options import UsageError

DEFAULTS: dict[str, Any] = {
    **options.DATA,
    **options.NETWORK,
    "lr": 1.0,
    "rho": 0.95,
    "eps": 1e-6,
    "seed": 0,
    "early_stopping": None,
    "checkpoint": None,
    "checkpoint_minutes": None,
    "keep": None,
    "plot": None,
    "save": None,
}


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "train",
        help="train a network on handwritten digits or on data of your own",
        description="Train a multi-layer perceptron with ADADELTA and test it.  Features and real "
        "targets are standardised by the training data.",
        # Options that are not given do not show up: --resume has to know.
        argument_default=argparse.SUPPRESS,
    )
    parser.set_defaults(command=run)
    options.add_data(parser)
    options.add_network(parser)
    for name, text in (
        ("lr", "factor of each step (default: 1, ADADELTA's own; not the 0.001 of Adam)"),
        ("rho", "decay rate of the averages (default: 0.95)"),
        ("eps", "constant inside the roots (default: 1e-6)"),
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
        "(of classes) into this folder; where a path ends in .png, .pdf or .svg, the learning "
        "curves alone",
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
        status, result = fitting.train(chosen, folder is not None, quiet, as_json and quiet)
    if as_json and result:
        print(strict_json.dumps(result), file=out)
    return status


def _check(chosen: dict[str, Any]) -> None:
    options.check_data(chosen)
    lonely = [name for name in ("checkpoint_minutes", "keep") if chosen[name] is not None]
    if lonely and chosen["checkpoint"] is None:
        raise UsageError(f"{options.flags(lonely)} needs --checkpoint DIR")
