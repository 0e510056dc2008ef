"""`numadelta bench`: how fast the library is on this machine, next to its peers.

Every figure is measured in a process of its own, so that no library's threads, memory or
settings disturb another's:

- `jobs` lists what is measured, and by which worker;
- `runner` starts the workers, in rounds, and collects what they print;
- `report` makes the table, or JSON, and `picture` the picture;
- `ours`, ``peer_*``, `imports` and `first_call` are the workers, each run as
  ``python -m numadelta.bench.ours``; they share `problems` (the same work for all), `worker` (the
  clock and the peak memory) and `accuracy` (the clock of a run to a given accuracy);
- `limit_memory` and `limit_products` are workers that do only what nobody can do without: the
  traffic of a step, the matrix products of a network;
- `classics`, `more_wild` and `fits` are sets of problems for minimisers;
- `growth` and the files that begin with it are ``numadelta bench --growth``.
"""

from __future__ import annotations

import json as json_format
import os
import tempfile

from numadelta.bench import jobs, picture, report, runner


def run(quick: bool = False, json: bool = False, plot: str | os.PathLike[str] | None = None) -> int:
    """Measure everything and print the results.

    Parameters
    ----------
    quick : bool, default False
        Fewer and smaller jobs, few samples: a minute at most, instead of ten or more.  Good for a
        look, not for quoting.
    json : bool, default False
        Print one JSON document at the end instead of a table for each job.
    plot : path, optional
        Draw the medians into this file, whose name's end says in which format.

    Returns
    -------
    int
        0, or 1 if a worker failed.  What is not installed is left out and is no failure.
    """
    if plot is not None:
        picture.check(plot)
    threads = runner.thread_count()
    machine = report.describe_machine(threads)
    results = []
    with tempfile.TemporaryDirectory(prefix="numadelta-bench-") as folder:
        # Empty caches show what compiling costs, but are too slow for a quick look.
        caches = None if quick else folder
        if not json:
            print(report.head(machine, quick), flush=True)
        for job in jobs.jobs(quick):
            result = runner.run_job(job, quick, threads, caches)
            results.append(result)
            if not json:
                print("\n" + report.table(result), flush=True)
    if json:
        print(json_format.dumps(report.document(machine, quick, results), indent=2))
    else:
        print("\n" + report.foot(results, quick))
    if plot is not None:
        picture.draw(plot, report.head(machine, quick), results)
    return int(any(row.status == runner.FAILED for result in results for row in result.rows))
