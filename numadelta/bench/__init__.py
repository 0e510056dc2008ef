"""`numadelta bench`: how fast the library is on this machine, next to its peers.

Every figure is measured in a process of its own, so that no library's threads, memory or
settings disturb another's:

- `jobs` lists what is measured, and by which worker;
- `runner` starts the workers, in rounds, and collects what they print;
- `report` makes the table, or JSON;
- `ours`, ``peer_*``, `imports` and `first_call` are the workers, each run as
  ``python -m numadelta.bench.ours``; they share `problems` (the same work for all), `worker` (the
  clock) and `accuracy` (the clock of a run to a given accuracy);
- `classics`, `more_wild` and `fits` are sets of problems for minimisers.
"""

from __future__ import annotations

import json as json_format
import tempfile

from numadelta.bench import jobs, report, runner


def run(quick: bool = False, json: bool = False) -> int:
    """Measure everything and print the results.

    Parameters
    ----------
    quick : bool, default False
        Fewer and smaller jobs, few samples: a minute or so, instead of ten or more.  Good for a
        look, not for quoting.
    json : bool, default False
        Print one JSON document at the end instead of a table for each job.

    Returns
    -------
    int
        0, or 1 if a worker failed.  What is not installed is left out and is no failure.
    """
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
    return int(any(row.status == runner.FAILED for result in results for row in result.rows))
