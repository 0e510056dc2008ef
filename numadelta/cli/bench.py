"""``numadelta bench``: speed and memory beside other libraries."""

from __future__ import annotations

import argparse
from typing import Any

from numadelta.cli import options
from numadelta.cli.options import UsageError


def add_to(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "bench",
        help="compare speed with other libraries",
        description="Compare speed and memory with other libraries and with the machine's limits.",
    )
    parser.set_defaults(command=run)
    parser.add_argument(
        "--quick", action="store_true", help="smaller and fewer jobs, in a minute at most"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--plot", type=options.picture, metavar="FILE.png", help="draw the medians of all jobs"
    )
    parser.add_argument(
        "--growth",
        type=options.path,
        metavar="DIR",
        help="measure how time grows with the size instead, with pictures in DIR",
    )


def run(arguments: argparse.Namespace) -> int:
    """Measure, and print or draw."""
    if arguments.growth is not None:
        if arguments.plot is not None:
            raise UsageError("--plot is for the comparison, --growth DIR has pictures of its own")
        from numadelta.bench import growth

        return growth.run(str(arguments.growth), arguments.quick, arguments.json)
    from numadelta import bench

    return bench.run(quick=arguments.quick, json=arguments.json, plot=arguments.plot)
