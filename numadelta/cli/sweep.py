"""``numadelta sweep``: a grid of ADADELTA's hyper-parameters over several seeds."""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import nullcontext, redirect_stdout
from typing import Any

from numadelta import extras, files
from numadelta.cli import options, pictures, strict_json
from numadelta.cli.options import UsageError
from numadelta.cli.setup import prepare

GRID = {"lr": [1.0], "rho": [0.9, 0.95, 0.99], "eps": [1e-8, 1e-6, 1e-4]}


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "sweep",
        help="compare ADADELTA's hyper-parameters",
        description="Train with each combination of lr, rho and eps, over several seeds, and "
        "compare them on a tenth of the training data.  The test data is not used.",
    )
    parser.set_defaults(command=run)
    options.add_data(parser)
    options.add_network(parser)
    for name, values in GRID.items():
        parser.add_argument(
            f"--{name}",
            type=options.real(name),
            nargs="+",
            default=values,
            metavar="VALUE",
            help=f"default: {' '.join(f'{value:g}' for value in values)}",
        )
    parser.add_argument(
        "--seeds", type=options.whole(1), default=3, metavar="N", help="how many (default: 3)"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=-1,
        metavar="N",
        help="processes, each with one thread (default: -1, one for each core)",
    )
    parser.add_argument(
        "--file",
        type=options.path,
        metavar="FILE.jsonl",
        help="keep each finished run here; after a break only the others are trained",
    )
    parser.add_argument(
        "--plot",
        type=options.picture,
        metavar="FILE.png",
        help="draw a map of the scores over rho and eps, for the best lr",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, and nothing else")
    parser.add_argument("--quiet", action="store_true", help="print the result only")


def run(arguments: argparse.Namespace) -> int:
    """Train all combinations, and print how they compare."""
    given = {name: value for name, value in vars(arguments).items() if value is not None}
    chosen: dict[str, Any] = options.DATA | options.NETWORK | given
    options.check_data(chosen)
    if arguments.jobs == 0:
        raise UsageError("--jobs must not be 0; -1 is one process for each core")
    for name in GRID:
        if len(set(chosen[name])) < len(chosen[name]):
            raise UsageError(f"--{name} names a value twice")
    if arguments.plot is not None:
        extras.require_matplotlib("--plot needs")
        files.require_writable_file(arguments.plot, in_place=True)
    if arguments.file is not None:
        files.require_writable_file(arguments.file, in_place=True)
    out = sys.stdout
    with redirect_stdout(sys.stderr) if arguments.json else nullcontext():
        found, result = _sweep(chosen)
    if arguments.json:
        print(strict_json.dumps(result), file=out)
    else:
        print(found)
    if arguments.plot is not None and result["best"] is not None:
        pictures.save(arguments.plot, found.plot)
    if result["best"] is None:
        raise ValueError("every run failed")
    return 0


def _sweep(chosen: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    from numadelta.grid import sweep

    net, source, _, train, validation = prepare(chosen, True, False, chosen["quiet"])
    started = time.perf_counter()
    found = sweep(
        net,
        *train,
        validation_data=validation or (),  # there is some, which was asked for
        lr=chosen["lr"],
        rho=chosen["rho"],
        eps=chosen["eps"],
        seeds=chosen["seeds"],
        epochs=chosen["epochs"],
        batch_size=chosen["batch_size"],
        shared_delta=chosen["shared_delta"],
        file=chosen.get("file"),
        n_jobs=chosen["jobs"],
        verbose=0 if chosen["quiet"] else 1,
    )
    try:
        best = found.best
    except ValueError:
        best = None
    return found, {
        "dataset": source.name,
        "task": source.task,
        "layers": net.layer_sizes,
        "epochs": chosen["epochs"],
        "batch_size": chosen["batch_size"],
        "seconds": time.perf_counter() - started,
        "rows": found.rows,
        "best": best,
        "recommendation": found.recommendation(),
    }
