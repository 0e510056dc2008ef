"""The gate's judgement, on made values, and that the planted regressions still have their places.

Whether it catches them is for ``asv_bench/prove_gate.py`` to show: that takes the clock.
"""

from __future__ import annotations

import ast
import json
import math
import shutil
import subprocess
from pathlib import Path

import gate
import pytest
from gate import Row
from prove_gate import PLANTED, planted

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("unit", "base", "new", "verdict"),
    [
        ("seconds", 1.0, 1.0 * gate.FACTOR - 0.01, "same"),
        ("seconds", 1.0, 1.0 * gate.FACTOR + 0.01, "worse"),
        ("seconds", 1.0, 1 / gate.FACTOR - 0.01, "better"),
        ("evaluations", 2386, 2386, "same"),
        ("evaluations", 2386, 2387, "worse"),
        ("evaluations", 2386, 2385, "better"),
        ("arrays", 0, 0, "same"),
        ("arrays", 0, 1, "worse"),
        ("arrays", 1, 0, "better"),
        ("packed instructions", 16, 8, "worse"),
        ("packed instructions", 8, 16, "better"),
        ("problems solved", 52, 51, "worse"),
        ("nats", 0.5, 0.501, "same"),
        ("nats", 0.5, 0.51, "worse"),
        ("KiB", 170, 180, "same"),
        ("KiB", 170, 190, "worse"),
        ("checksum", 1, 2, "changed"),
        ("checksum", 2, 2, "same"),
        ("checksum", 2, None, "worse"),
        # None: it failed.  NaN: it does not apply.
        ("seconds", 1.0, None, "worse"),
        ("seconds", None, 1.0, "same"),
        ("seconds", None, None, "same"),
        ("calls", math.nan, 7, "same"),
        ("calls", 7, math.nan, "same"),
        ("calls", math.nan, None, "worse"),
    ],
)
def test_the_verdict(unit, base, new, verdict):
    assert Row("a", unit, base, new).verdict() == verdict


def test_a_timing_is_worse_if_it_is_twice():
    rows = [Row("a", "seconds", 1.0, 2.0), Row("b", "seconds", 1.0, 2.0), Row("c", "calls", 1, 2)]
    again = [Row("a", "seconds", 1.0, 1.1), Row("b", "seconds", 1.0, 1.8)]
    found = gate.settled(rows, again)
    assert [row.verdict() for row in found] == ["same", "worse", "worse"]
    assert [row.ratio for row in found] == [1.1, 1.8, 2]


def test_a_timing_that_fails_the_second_time_is_still_judged_by_the_first():
    rows = [Row("a", "seconds", 1.0, 2.0)]
    assert gate.settled(rows, [Row("a", "seconds", 1.0, None)]) == rows
    assert gate.settled(rows, []) == rows


def test_the_report():
    rows = [
        Row("quick", "seconds", 1.0, 1.1),
        Row("slow", "seconds", 1.0, 2.0),
        Row("bits", "checksum", 1, 2),
        Row("calls", "calls", 7, 7),
    ]
    *lines, last = gate.report(rows).splitlines()
    assert [line.split()[0] for line in lines] == ["worse", "changed"]
    assert lines[0].split() == "worse 2.000 1 -> 2 seconds slow".split()
    assert lines[1].split() == "changed other bits bits".split()
    assert "inf  7 -> failed calls" in gate.line(Row("a", "calls", 7, None))
    assert last == "2 counts, 2 timings (ratios 1.100 to 2.000): 1 worse"
    assert gate.report(rows[3:]) == "1 counts, 0 timings: nothing worse"


def test_names_with_parameters():
    assert gate.labels("step.Door", []) == ["step.Door"]
    found = gate.labels("step.Serial", [["10", "20"], ["'float32'"]])
    assert found == ["step.Serial(10, 'float32')", "step.Serial(20, 'float32')"]


def test_results_of_asv_are_read(tmp_path):
    pytest.importorskip("asv")
    commits = ["a" * 40, "b" * 40]
    benchmarks = {
        "step.Door": {"params": [["10", "1000"]], "unit": "seconds"},
        "counted.x": {"params": [], "unit": "calls"},
        "counted.new": {"params": [], "unit": "calls"},
        "mlp.other": {"params": [], "unit": "seconds"},
        "version": 2,
    }
    (tmp_path / "benchmarks.json").write_text(json.dumps(benchmarks))
    (tmp_path / "machine").mkdir()
    columns = ["result", "params", "version"]
    for commit, door, x in zip(commits, ([1.0, 2.0], [1.0, None]), (7, 8), strict=True):
        results = {
            "step.Door": [door, [["10", "1000"]], "1"],
            "counted.x": [[x], [], "1"],
            "mlp.other": [[1.0], [], "1"],
        }
        if commit == commits[1]:
            results["counted.new"] = [[3], [], "1"]
        document = {
            **{"commit_hash": commit, "env_name": "env", "date": 0, "python": "3.11"},
            **{"requirements": {}, "env_vars": {}, "result_columns": columns, "results": results},
            **{"params": {"machine": "machine"}, "durations": {}, "version": 2},
        }
        (tmp_path / "machine" / f"{commit[:8]}-env.json").write_text(json.dumps(document))
    rows = gate.read(tmp_path, commits, [r"step\.Door\(1000\)", r"counted\."])
    assert sorted(rows) == [
        Row("counted.new", "calls", None, 3),
        Row("counted.x", "calls", 7, 8),
        Row("step.Door(1000)", "seconds", 2.0, None),
    ]
    assert [row.verdict() for row in sorted(rows)] == ["same", "worse", "worse"]


def test_commits_that_cannot_be_compared_are_refused(tmp_path):
    with pytest.raises(SystemExit, match="no-such-commit"):
        gate.main("no-such-commit", repository=ROOT)
    for command in (
        ["init", "--quiet"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--allow-empty", "-qm", "one"],
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    with pytest.raises(SystemExit, match="HEAD and HEAD are the same commit"):
        gate.main("HEAD", repository=tmp_path)


@pytest.mark.parametrize("regression", PLANTED, ids=lambda regression: regression.name)
def test_planted_regressions_have_their_places(regression):
    text = (ROOT / regression.file).read_text()
    changed = planted(text, regression)
    assert changed != text
    ast.parse(changed)
    with pytest.raises(ValueError, match="has no place in it"):
        planted(changed.replace(regression.old, ""), regression)


@pytest.mark.parametrize("regression", PLANTED, ids=lambda regression: regression.name)
def test_planted_regressions_are_slower_and_not_wrong(regression, tmp_path, python):
    package = tmp_path / "numadelta"
    shutil.copytree(ROOT / "numadelta", package, ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / regression.file
    file.write_text(planted(file.read_text(), regression))
    script = """
        import numpy as np
        import numadelta as nd

        opt = nd.Adadelta(np.ones(3))
        opt.step(np.ones(3))
        print(opt.steps, nd.minimize(lambda x: x @ x, np.ones(2)).success, nd.__file__)
        """
    answer = python(script, NUMBA_DISABLE_JIT="1")
    assert answer == f"1 True {package / '__init__.py'}"
