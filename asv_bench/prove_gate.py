"""Prove that the gate catches what it should and keeps silent otherwise.

    python asv_bench/prove_gate.py [--same 10] [--planted NAME ...]

In a clone of this repository each of the regressions below becomes a commit, which `gate.py`
compares with the commit that is checked out; then that commit is compared with itself, ten times.
Takes about two minutes a comparison, and must run alone.
"""

import argparse
import contextlib
import io
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import gate


class Planted(NamedTuple):
    """A regression: a text in a file, what replaces it, and a benchmark that must notice."""

    name: str
    file: str
    old: str
    new: str
    benchmark: str


PLANTED = [
    Planted(
        "a second pass over an array in the step",
        "numadelta/kernels.py",
        """            params[i], grad, square_avg[i], acc_delta[i], lr, rho, decay, eps, tiny
        )
""",
        """            params[i], grad, square_avg[i], acc_delta[i], lr, rho, decay, eps, tiny
        )
    for i in range(params.size):
        acc_delta[i] = flush(acc_delta[i], tiny)
""",
        "counted.Code.track_bytes('float32')",
    ),
    Planted(
        "a literal that makes the float32 step one of float64",
        "numadelta/kernels.py",
        "    return rho * old + decay * new * new\n",
        "    return rho * old + (1.0 - rho) * new * new\n",
        "counted.Code.track_packed_conversions('float32')",
    ),
    Planted(
        "an allocation in each iteration of the compiled minimiser",
        "numadelta/compiled_loop.py",
        "                _copy_point(vectors)\n                accepted =",
        """                _copy_point(vectors)
                given[0] += np.zeros(1)[0]
                accepted =""",
        "counted.Minimise.track_arrays",
    ),
    Planted(
        "an import that pulls in SciPy",
        "numadelta/__init__.py",
        "from importlib import import_module\n",
        "from importlib import import_module\n\nimport scipy.optimize\n",
        "startup.Import.timeraw_numadelta",
    ),
    Planted(
        "a check of 10 us in the door of the step",
        "numadelta/optimizer.py",
        "        # Not acquire() and then try:",
        """        _make_state(self._params, self.square_avg, self.acc_delta, True, False)
        # Not acquire() and then try:""",
        "step.Door.time_1000_steps(1000)",
    ),
]


def planted(text: str, regression: Planted) -> str:
    """Return the text of its file with a regression in it."""
    if text.count(regression.old) != 1:
        raise ValueError(f"{regression.file} has changed: {regression.name} has no place in it")
    return text.replace(regression.old, regression.new)


def commit(clone: Path, message: str) -> str:
    """Commit whatever there is, or nothing, and return the commit."""
    author = ["-c", "user.name=gate", "-c", "user.email=gate@example.org"]
    gate.git(clone, *author, "commit", "--all", "--allow-empty", "--quiet", "-m", message)
    return gate.git(clone, "rev-parse", "HEAD")


def judge(base: str, new: str, clone: Path) -> tuple[int, str, float]:
    """Return the gate's status, what it printed and the seconds it took."""
    printed, started = io.StringIO(), time.perf_counter()
    with contextlib.redirect_stdout(printed):
        status = gate.main(base, new, clone)
    return status, printed.getvalue(), time.perf_counter() - started


def main(same: int, names: list[str] | None) -> int:
    """Print what the gate says of each commit; return 1 if it was wrong once."""
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder, "clone")
        subprocess.run(["git", "clone", "--quiet", gate.HERE.parent, clone], check=True)
        base = gate.git(clone, "rev-parse", "HEAD")
        for regression in PLANTED:
            if names and not any(name in regression.name for name in names):
                continue
            gate.git(clone, "checkout", "--quiet", base)
            file = clone / regression.file
            file.write_text(planted(file.read_text(), regression))
            status, printed, seconds = judge(base, commit(clone, regression.name), clone)
            lines = [line for line in printed.splitlines() if line.startswith("worse")]
            # A benchmark that fails is worse, too, but proves nothing.
            caught = status == 1 and any(
                line.endswith(regression.benchmark) and "-> failed" not in line for line in lines
            )
            wrong += not caught
            verdict = "caught" if caught else "MISSED"
            print(f"\n{regression.name}: {verdict}, {seconds:.0f} s\n{printed}", flush=True)
        for turn in range(same):
            gate.git(clone, "checkout", "--quiet", base)
            new = commit(clone, f"nothing, {turn}")
            status, printed, seconds = judge(base, new, clone)
            wrong += status
            verdict = "FALSE ALARM" if status else "silent"
            print(f"\nthe same, {turn + 1}: {verdict}, {seconds:.0f} s\n{printed}", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--same", type=int, default=10, help="comparisons of a commit with itself (default: 10)"
    )
    parser.add_argument("--planted", dest="names", nargs="*", help="parts of names; default all")
    sys.exit(main(**vars(parser.parse_args())))
