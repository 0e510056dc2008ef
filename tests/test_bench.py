"""`numadelta bench`: the runner and the report with workers that only pretend to measure.

No time is asserted here.
"""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from numba import config

from numadelta import bench
from numadelta.bench import accuracy, classics, first_call, fits, jobs, report, runner, worker
from numadelta.bench.jobs import Contestant, Job


def fake(label, samples=(1.0, 2.0, 3.0), needs=(), slow=False, **answer):
    line = json.dumps({"samples": list(samples), "compile_s": 0.5, "version": "fake 1"} | answer)
    return Contestant(label, ("-c", f"print('chatter'); print({line!r})"), needs, slow)


def crashing(label, script):
    return Contestant(label, ("-c", script))


@pytest.fixture
def fake_jobs(monkeypatch):
    """Replace what `run` measures."""

    def replace(*contestants, unit="s"):
        monkeypatch.setattr(jobs, "jobs", lambda quick: [Job("a fake job", unit, contestants)])

    return replace


def line_of(text, label):
    (line,) = [line for line in text.splitlines() if line.strip().startswith(label)]
    return line.strip().removeprefix(label)


def test_the_table(fake_jobs, capsys):
    fake_jobs(
        fake("ours", [0.002, 0.001, 0.003]),
        fake("peer", [0.0142, 0.014, 0.015]),
        fake("absent", needs=("sys", "no_such_module")),
        fake("patient", slow=True),
    )
    assert bench.run(quick=True) == 0
    out = capsys.readouterr().out
    assert line_of(out, "ours").split() == "2.00 ms 1.50 ms .. 2.50 ms 1.00 +500 ms".split()
    assert line_of(out, "peer").split() == "14.2 ms 14.1 ms .. 14.6 ms 7.10 +500 ms".split()
    assert line_of(out, "absent").strip() == "not installed"
    assert line_of(out, "patient").strip() == "left out by --quick"
    assert "not installed: no_such_module; pip install 'numadelta[peers]' adds them" in out
    assert "measured: fake 1\n" in out
    assert "not for quoting" in out


def test_plain_numbers(fake_jobs, capsys):
    fake_jobs(fake("ours", [1.02], compile_s=None), fake("peer", [160.4]), unit="")
    assert bench.run(quick=True) == 0
    out = capsys.readouterr().out
    assert line_of(out, "ours").split() == ["1.02", "1.00"]
    assert line_of(out, "peer").split() == ["160", "157", "+500", "ms"]


def test_json(fake_jobs, capsys):
    fake_jobs(fake("ours", [2.0]), fake("peer", [5.0], loss=0.25), fake("absent", needs=("no_x",)))
    assert bench.run(quick=True, json=True) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["quick"] is True
    assert document["jobs"][0]["rows"][1]["note"] == ""
    assert document["machine"]["threads"] == runner.thread_count()
    ours, peer, absent = document["jobs"][0]["rows"]
    assert ours["samples"] == [2.0] and ours["status"] == "ok" and ours["version"] == "fake 1"
    assert (peer["median"], peer["ratio"], peer["loss"]) == (5.0, 2.5, 0.25)
    assert (absent["status"], absent["missing"], absent["ratio"]) == ("missing", ["no_x"], None)


def test_notes_stand_behind_the_figures(fake_jobs, capsys):
    fake_jobs(fake("ours", note="19 of 19 solved", compile_s=None))
    bench.run(quick=True)
    assert line_of(capsys.readouterr().out, "ours").endswith(" 1.00" + 14 * " " + "19 of 19 solved")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("raise MemoryError('too much')", "MemoryError: too much"),
        ("raise ValueError('no compiler\\n\\nSet X=1 for more.')", "ValueError: no compiler"),
        ("import sys; sys.exit(7)", "exit status 7, no result"),
        ("import os; os.abort()", "no result"),
        ("print('no JSON')", "exit status 0, no result"),
        ("print('{}')", "exit status 0, no result"),
        ("print(3)", "exit status 0, no result"),
        ("", "exit status 0, no result"),
    ],
)
def test_a_crash_stays_in_its_row(fake_jobs, capsys, script, message):
    fake_jobs(crashing("broken", script), fake("peer"))
    assert bench.run(quick=True) == 1
    out = capsys.readouterr().out
    assert "failed: " in line_of(out, "broken") and message in line_of(out, "broken")
    # Without ours there is no ratio.
    assert line_of(out, "peer").split() == "2.00 s 1.50 s .. 2.50 s +500 ms".split()


def test_a_hanging_worker_is_ended(monkeypatch):
    monkeypatch.setattr(runner, "TIMEOUT", 0.2)
    job = Job("", "s", (crashing("endless", "import time; time.sleep(60)"),))
    (row,) = runner.run_job(job, quick=True, threads=1).rows
    assert (row.status, row.error) == (runner.FAILED, "took longer than 0 s")


def test_rounds_are_pooled_and_the_first_compiles(monkeypatch, tmp_path):
    """Each row has caches of its own, which its later rounds find."""
    monkeypatch.setattr(runner, "ROUNDS", 2)
    script = """
import json, os, pathlib
folder = pathlib.Path(os.environ["NUMBA_CACHE_DIR"])
warm = folder.exists()
folder.mkdir(exist_ok=True)
print(json.dumps({"samples": [2.0 if warm else 1.0], "compile_s": 0.0 if warm else 9.0,
                  "version": ""}))
"""
    job = Job("", "s", tuple(Contestant(label, ("-c", script)) for label in "ab"))
    for row in runner.run_job(job, quick=False, threads=1, caches=str(tmp_path)).rows:
        assert (row.samples, row.compile_s) == ([1.0, 2.0], 9.0)


def test_all_get_the_same_number_of_threads(monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "3")
    assert runner.thread_count() == 3
    environ = runner.environment(3, None)
    assert {environ[name] for name in runner.THREAD_VARIABLES} == {"3"}


def test_a_contestant_may_want_one_thread():
    script = (
        "import json, os; "
        "samples = [int(os.environ['OPENBLAS_NUM_THREADS'])]; "
        "print(json.dumps({'samples': samples, 'compile_s': 0, 'version': ''}))"
    )
    contestants = (Contestant("", ("-c", script), one_thread=one) for one in (False, True))
    rows = runner.run_job(Job("", "s", tuple(contestants)), quick=True, threads=3).rows
    assert [row.samples for row in rows] == [[3], [1]]


def test_nothing_is_quick_unless_asked():
    script = 'import sys; print(\'{"samples": [%d], "compile_s": 0, "version": ""}\''
    job = Job("", "s", (Contestant("", ("-c", script + " % ('--quick' in sys.argv))")),))
    for quick in (True, False):
        assert set(runner.run_job(job, quick, threads=1).rows[0].samples) == {float(quick)}


@pytest.mark.parametrize("quick", [True, False])
def test_every_job_has_a_worker_and_ours_comes_first(quick):
    listed = jobs.jobs(quick)
    assert len({job.title for job in listed}) == len(listed)
    for job in listed:
        assert "numadelta" in job.contestants[0].label
        for contestant in job.contestants:
            flag, module, task = contestant.command
            tasks = __import__(module, fromlist=["TASKS"]).TASKS
            assert flag == "-m" and task in tasks


def test_a_worker():
    done = subprocess.run(
        [sys.executable, "-m", "numadelta.bench.ours", "door", "--quick"],
        capture_output=True,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout)
    assert min(answer["samples"]) > 0 and answer["compile_s"] >= 0
    assert answer["version"].startswith("numadelta ")


def test_the_first_calls_are_not_counted():
    answer = worker.outcome([9.0, 5.0, 2.0, 4.0, 6.0], parts=2, loss=1.0)
    assert answer == {"samples": [1.0, 2.0, 3.0], "compile_s": 5.0, "loss": 1.0}


@pytest.mark.parametrize(("found", "solved", "tight"), [("usual", 19, 0), ("tight", 19, 19)])
def test_tolerances_are_tightened_where_the_default_ones_do_not_do(found, solved, tight):
    calls = []

    def solve(problem, is_tight):
        calls.append(is_tight)
        return problem.minimum if found == "usual" or is_tight else np.inf

    answer = accuracy.measure(solve, quick=True)
    assert answer["note"] == f"{solved} of 19 solved, {tight} with tight tolerances"
    assert min(answer["samples"]) > 0
    assert calls[-1] is (found == "tight")


def test_the_goal_is_a_part_of_the_way():
    (problem,) = (problem for problem in classics.problems() if problem.name == "Rosenbrock 2")
    assert accuracy.goal(problem) == pytest.approx(24.2e-6)


def test_the_made_fits_are_known_to_rounding():
    t, y, best = fits.data(20)
    grad = np.empty(2)
    for own, solution in zip(y, best, strict=True):
        value = fits.fun(solution, grad, t, own)
        assert abs(grad).max() < 1e-14
        for k, step in enumerate(1e-6 * np.eye(2)):
            change = fits.fun(solution + 0.1 + step, grad, t, own)
            change -= fits.fun(solution + 0.1 - step, grad, t, own)
            fits.fun(solution + 0.1, grad, t, own)
            assert grad[k] == pytest.approx(change / 2e-6, rel=1e-6)
        assert value < fits.fun(solution + 0.01, grad, t, own)
    assert fits.error(best, best) == "rms error 0.0e+00"
    assert fits.error(best + 1e-3, best) == "rms error 1.0e-03"


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled")
def test_the_first_call_has_two_parts():
    done = subprocess.run(
        [sys.executable, "-c", first_call.SCRIPT], capture_output=True, check=True
    )
    assert min(json.loads(done.stdout)[part] for part in first_call.TASKS) > 0


@pytest.mark.parametrize(("load", "busy"), [(None, False), (0.2, False), (3.5, True)])
def test_a_busy_machine_is_reported(load, busy):
    machine = report.describe_machine(2) | {"load": load}
    assert ("busy (load 3.5)" in report.head(machine, quick=False)) is busy


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(12.3, "12.3 s"), (0.1, "100 ms"), (0.00999, "9.99 ms"), (4e-6, "4.00 us"), (3e-8, "30.0 ns")],
)
def test_quantities(seconds, text):
    assert report.quantity(seconds, "s") == text
