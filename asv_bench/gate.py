"""Compare two commits by their benchmarks; exit with 1 if something got worse.

    python asv_bench/gate.py BASE [NEW]

asv builds and measures both commits in one environment, in rounds that take turns; its own verdict
is not used, because on a small machine that others share a step of 5 % is noise.  Instead:

- what is counted (`benchmarks/counted.py`) is compared exactly, in the direction of its unit;
- timings are worse if their medians differ by `FACTOR`, and do so again when they are measured
  anew.  Ten comparisons of a commit with itself justify the factor: see docs/performance.md, and
  `prove_gate.py`, which makes them.

Checksums of results are reported where they differ; that is no failure.  Both commits are measured
with the benchmarks of the working tree.  The environment, about 400 MB, stays in ``env/``.
"""

import argparse
import json
import math
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent

FACTOR = 1.25
# Few, for they take two minutes, but a slow spot in any part of the library shows in one of them.
TIMED = [
    r"step\.Serial\.time_step\(100000,",
    r"step\.Threads\.time_step\(4000000, 'float32', 'threaded'",
    r"step\.Door\.time_1000_steps\(1000\)",
    r"minimise\.PythonIterations",
    r"minimise\.Iterations\.time_plain\((2|100)\)",
    r"minimise\.Safeguarded\.time_runs\(10\)",
    r"minimise\.Door\.time_200_calls\('compiled'\)",
    r"minimise\.Batch\.time_fits\(10000, 2\)",
    r"mlp\.Epoch\.time_epoch\('(mnist|narrow|tiny)'\)",
    r"startup\.Import\.timeraw_numadelta$",
    r"startup\.FirstStep\.timeraw_warm",
]
COUNTED = [r"counted\."]

MORE_IS_BETTER = ("packed instructions", "problems solved")
# Sums of rounded numbers, and a package that may grow: worse is what exceeds these factors.
LENIENT = {"nats": 1.01, "KiB": 1.1}


class Row(NamedTuple):
    """A benchmark, and what it gave for both commits: None where it failed, NaN where it did not
    apply."""

    name: str
    unit: str
    base: float | None
    new: float | None

    @property
    def timed(self) -> bool:
        return self.unit == "seconds"

    @property
    def ratio(self) -> float:
        """How much worse the second is: above 1 whatever the unit's direction."""
        base, new = self.base, self.new
        if base is None or new is None:
            return math.inf if base is not None else math.nan
        if self.unit in MORE_IS_BETTER:
            base, new = new, base
        return 1.0 if base == new else new / base if base else math.inf

    def verdict(self, factor: float = FACTOR) -> str:
        """Return worse, better, changed or same."""
        if self.unit == "checksum" and self.new is not None:
            return "same" if self.base == self.new else "changed"
        limit = factor if self.timed else LENIENT.get(self.unit, 1.0)
        if self.ratio > limit:
            return "worse"
        return "better" if self.ratio < 1 / limit else "same"


def main(base: str, new: str = "HEAD", repository: Path = HERE.parent) -> int:
    """Measure, print what differs and return the exit status."""
    commits = [
        git(repository, "rev-parse", "--verify", f"{name}^{{commit}}") for name in (base, new)
    ]
    if commits[0] == commits[1]:
        sys.exit(f"{base} and {new} are the same commit")
    if find_spec("asv") is None:
        sys.exit("the gate needs asv: pip install -e '.[bench]'")
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(commits, COUNTED + TIMED, repository, Path(folder))
        suspects = [row.name for row in rows if row.timed and row.verdict() == "worse"]
        if suspects:
            print(f"measured again: {', '.join(suspects)}", flush=True)
            again = measure(
                commits, [f"{re.escape(name)}$" for name in suspects], repository, Path(folder)
            )
            rows = settled(rows, [row for row in again if row.name in suspects])
    print(report(rows))
    return int(any(row.verdict() == "worse" for row in rows))


def settled(rows: list[Row], again: list[Row]) -> list[Row]:
    """Return the rows, of those that were measured again the better time."""
    second = {row.name: row for row in again}
    return [min(row, second.get(row.name, row), key=lambda one: one.ratio) for row in rows]


def report(rows: list[Row]) -> str:
    """Return a line for each row that differs and one that sums up."""
    lines = [line(row) for row in rows if row.verdict() != "same"]
    ratios = [row.ratio for row in rows if row.timed and math.isfinite(row.ratio)]
    counts = [row for row in rows if not row.timed]
    timings = f"{len(ratios)} timings"
    if ratios:
        timings += f" (ratios {min(ratios):.3f} to {max(ratios):.3f})"
    worse = sum(row.verdict() == "worse" for row in rows)
    lines.append(f"{len(counts)} counts, {timings}: {worse or 'nothing'} worse")
    return "\n".join(lines)


def line(row: Row) -> str:
    """Return what to say of a row that differs."""
    base, new = ("failed" if value is None else f"{value:.6g}" for value in (row.base, row.new))
    ratio, change = f"{row.ratio:.3f}", f"{base} -> {new} {row.unit}"
    if row.unit == "checksum" and row.new is not None:
        ratio, change = "", "other bits"
    return f"{row.verdict():8} {ratio:>7}  {change:40} {row.name}"


def git(repository: Path, *command: str) -> str:
    """Return what git prints."""
    done = subprocess.run(["git", *command], cwd=repository, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"git {' '.join(command)}: {done.stderr.strip()}")
    return done.stdout.strip()


def measure(commits: list[str], patterns: list[str], repository: Path, folder: Path) -> list[Row]:
    """Run some benchmarks of two commits and return what both gave."""
    from asv.util import load_json

    config = load_json(str(HERE / "asv.conf.json"), js_comments=True)
    # Results of their own, for those that are published should not hold two rounds of a few.
    config |= {"repo": str(repository), "results_dir": str(folder / "results")}
    config |= {name: str(HERE / config[name]) for name in ("benchmark_dir", "env_dir")}
    path = folder / "asv.conf.json"
    path.write_text(json.dumps(config))
    command = [sys.executable, "-m", "asv", "run", "--config", str(path), "--interleave-rounds"]
    command += ["--show-stderr", *(f"--bench={pattern}" for pattern in patterns), "HASHFILE:-"]
    # asv must not find pyproject.toml, whose lower bounds it would take for versions.
    done = subprocess.run(
        command, input="\n".join(commits), cwd=folder, text=True, stdout=subprocess.PIPE
    )
    if done.returncode not in (0, 2):  # 2: a benchmark failed, which its row tells
        sys.exit(f"{done.stdout}\nasv run ended with {done.returncode}")
    return read(folder / "results", commits, patterns)


def read(results: Path, commits: list[str], patterns: list[str]) -> list[Row]:
    """Return what asv has written of the benchmarks whose names begin with a pattern."""
    from asv.results import Results

    benchmarks = json.loads((results / "benchmarks.json").read_text())
    found = []
    for commit in commits:
        (file,) = results.glob(f"*/{commit[:8]}-*.json")
        found.append(Results.load(str(file)))
    rows = []
    for name, benchmark in benchmarks.items():
        if name == "version" or not any(name in one.get_all_result_keys() for one in found):
            continue
        values = [
            one.get_result_value(name, benchmark["params"])
            if name in one.get_all_result_keys()
            else [None] * count(benchmark["params"])
            for one in found
        ]
        for label, base, new in zip(labels(name, benchmark["params"]), *values, strict=True):
            if any(re.search(pattern, label) for pattern in patterns):
                rows.append(Row(label, benchmark["unit"], base, new))
    return rows


def count(params: list[list[str]]) -> int:
    """Return the number of combinations."""
    return math.prod(map(len, params))


def labels(name: str, params: list[list[str]]) -> list[str]:
    """Return the names of a benchmark with each combination, as asv's ``--bench`` knows them."""
    from itertools import product

    return [f"{name}({', '.join(values)})" if values else name for values in product(*params)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", help="the commit to compare with, such as main")
    parser.add_argument(
        "new", nargs="?", default="HEAD", help="the commit to judge (default: HEAD)"
    )
    parser.add_argument(
        "--repository", type=Path, default=HERE.parent, help="where they are (default: this one)"
    )
    sys.exit(main(**vars(parser.parse_args())))
