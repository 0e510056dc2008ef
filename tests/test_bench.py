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

import numadelta as nd
from numadelta import bench
from numadelta.bench import (
    accuracy,
    classics,
    first_call,
    fits,
    jobs,
    limit_products,
    peer_numpy,
    picture,
    report,
    runner,
    worker,
)
from numadelta.bench.jobs import Contestant, Job
from numadelta.bench.problems import NETS, Net
from numadelta.bench.runner import Result, Row


def fake(label, samples=(1.0, 2.0, 3.0), needs=(), slow=False, limit=False, **answer):
    line = json.dumps({"samples": list(samples), "compile_s": 0.5, "version": "fake 1"} | answer)
    command = "-c", f"print('chatter'); print({line!r})"
    return Contestant(label, command, needs, slow, limit=limit)


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
    assert line_of(out, "ours").split() == "2.00 ms 1.50 .. 2.50 1.00 +500 ms".split()
    assert line_of(out, "peer").split() == "14.2 ms 14.1 .. 14.6 7.10 +500 ms".split()
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
    fake_jobs(fake("ours", note="19/19, 0 tight", compile_s=None))
    bench.run(quick=True)
    assert line_of(capsys.readouterr().out, "ours").endswith(" 1.00" + 30 * " " + "19/19, 0 tight")


def test_how_close_each_comes_to_the_limit(fake_jobs, capsys):
    fake_jobs(
        fake("ours", [0.002], compile_s=None),
        fake("peer", [0.0011], compile_s=None),
        fake("better", [0.001], compile_s=None),
        fake("no faster", [0.0015], limit=True, compile_s=None, work=3e9, rate_unit="GB/s"),
    )
    assert bench.run(quick=True) == 0
    out = capsys.readouterr().out
    assert line_of(out, "ours").split() == "2.00 ms 1.00 75 %".split()
    assert line_of(out, "peer").split() == "1.10 ms 0.55 >100 %".split()
    assert line_of(out, "better").split() == "1.00 ms 0.50 >100 %".split()
    assert line_of(out, "no faster").split() == "1.50 ms limit 2000 GB/s".split()
    assert bench.run(quick=True, json=True) == 0
    ours, peer, _, limit = json.loads(capsys.readouterr().out)["jobs"][0]["rows"]
    assert (ours["share_of_limit"], ours["limit"], ours["rate"]) == (0.75, False, None)
    assert peer["share_of_limit"] == pytest.approx(15 / 11)
    assert (limit["share_of_limit"], limit["limit"], limit["rate_unit"]) == (None, True, "GB/s")
    assert limit["rate"] == pytest.approx(2000)


def test_a_limit_that_failed_is_none(fake_jobs, capsys):
    fake_jobs(fake("ours"), crashing("limit", "raise MemoryError")._replace(limit=True))
    assert bench.run(quick=True, json=True) == 1
    ours, _ = json.loads(capsys.readouterr().out)["jobs"][0]["rows"]
    assert ours["share_of_limit"] is None


def test_the_memory_is_the_most_of_all_rounds(fake_jobs, capsys, monkeypatch):
    fake_jobs(fake("ours", peak_bytes=34_567_890), fake("unknown", peak_bytes=None))
    assert bench.run(quick=True) == 0
    out = capsys.readouterr().out
    assert " 35 MB " in line_of(out, "ours") and "MB" not in line_of(out, "unknown")
    rows = Row("ours"), Row("unknown")
    for peaks in [(5, None), (7, None), (6, None)]:
        for row, peak in zip(rows, peaks, strict=True):
            answer = {"samples": [], "compile_s": 0, "version": "", "peak_bytes": peak}
            runner._take_answer(row, answer)
    assert [row.peak_bytes for row in rows] == [7, None]


@pytest.mark.parametrize("quick", [True, False])
def test_a_line_of_the_table_is_no_longer_than_a_terminal(quick):
    for job in jobs.jobs(quick):
        assert len(job.title) <= report.WIDTH
        for contestant in job.contestants:
            row = Row(contestant.label, contestant.limit, samples=[0.123, 0.456, 0.789])
            row.compile_s, row.peak_bytes, row.note = 12.3, 12_345_000_000, "19/19, 10 tight"
            lines = report.table(Result(job, [row])).splitlines()
            assert max(map(len, lines)) <= report.WIDTH + 1
            assert lines[-1].startswith(f"  {contestant.label} ")
    with_all = report.foot([Result(job, [Row("", missing=("x",), version="y 1")])], quick)
    assert max(map(len, with_all.splitlines())) <= report.WIDTH


# The picture


def test_the_picture(fake_jobs, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    fake_jobs(
        fake("numadelta", [0.002]),
        fake("PyTorch", [0.014]),
        fake("PyTorch, compiled", [0.003]),
        fake("something else", [0.02]),
        fake("absent", needs=("no_such_module",)),
        fake("limit", [0.001], limit=True),
    )
    path = tmp_path / "medians.png"
    assert bench.run(quick=True, json=True, plot=path) == 0
    assert path.read_bytes().startswith(b"\x89PNG")
    json.loads(capsys.readouterr().out)


def test_jobs_without_a_median_of_ours_are_not_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "medians.svg"
    broken = Result(Job("broken job", "s", ()), [Row("numadelta"), Row("peer", samples=[1.0])])
    limits = Result(Job("only limits", "s", ()), [Row("limit", limit=True, samples=[1.0])])
    picture.draw(path, "head", [broken, limits])
    assert "job" not in path.read_text()
    picture.draw(path, "head", [broken, Result(Job("whole job", "s", ()), broken.rows[1:])])
    assert "whole job" in path.read_text() and "broken job" not in path.read_text()


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("medians.xlsx", ValueError, r"medians\.xlsx does not end in \..*\.png"),
        ("medians", ValueError, "does not end in"),
        ("no/medians.png", FileNotFoundError, "there is no folder"),
        ("folder.png", IsADirectoryError, "folder.png"),
    ],
)
def test_a_bad_file_is_refused_before_anything_is_measured(
    monkeypatch, tmp_path, name, error, message
):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(jobs, "jobs", lambda quick: pytest.fail("it measures"))
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(error, match=message):
        bench.run(quick=True, plot=tmp_path / name)


def test_a_folder_that_cannot_be_written_to_is_refused(monkeypatch, tmp_path):
    pytest.importorskip("matplotlib")
    # Permissions would not stop an administrator.
    monkeypatch.setattr(picture.os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(PermissionError):
        bench.run(quick=True, plot=tmp_path / "medians.png")


def test_without_matplotlib_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install numadelta\[plot\]"):
        bench.run(quick=True, plot=tmp_path / "medians.png")


# When workers fail


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("raise MemoryError('too much')", "MemoryError: too much"),
        ("raise ValueError('no compiler\\n\\nSet X=1 for more.')", "ValueError: no compiler"),
        ("import os; os.write(2, b'\\xff\\n'); raise OSError('not UTF-8')", "OSError: not UTF-8"),
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
    assert line_of(out, "peer").split() == "2.00 s 1.50 .. 2.50 +500 ms".split()


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
        ours = job.contestants[0]
        assert "numadelta" in ours.label or all(one.limit for one in job.contestants)
        assert not ours.slow and not ours.needs
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
    assert answer["peak_bytes"] is None or answer["peak_bytes"] > 1e7


def test_the_first_calls_are_not_counted():
    answer = worker.outcome([9.0, 5.0, 2.0, 4.0, 6.0], parts=2, loss=1.0)
    assert answer == {"samples": [1.0, 2.0, 3.0], "compile_s": 5.0, "loss": 1.0}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_peak_is_of_the_process_itself_and_not_of_the_one_that_started_it():
    """As ru_maxrss would be: the memory of this process, NumPy and Numba, is no worker's."""
    script = "from numadelta.bench import worker; print(worker.peak_memory())"
    ballast = np.ones(50_000_000)
    # Of this process; earlier tests may have needed more.
    assert worker.peak_memory() >= ballast.nbytes
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert 1e7 < int(done.stdout) < ballast.nbytes


def test_the_peak_where_there_is_no_proc(monkeypatch):
    def missing(path):
        raise FileNotFoundError

    monkeypatch.setattr(worker.Path, "read_text", missing)
    peak = worker.peak_memory()
    assert peak is None if sys.platform == "win32" else peak > 1e7
    monkeypatch.setitem(sys.modules, "resource", None)
    assert worker.peak_memory() is None


@pytest.mark.parametrize("name", NETS)
def test_the_products_are_those_of_a_training_step(name):
    """By their work: two for each weight and sample forward, as many backward for either factor."""
    net = NETS[name]
    answer = limit_products.training(name, quick=True)
    steps = net.quick_rows / net.batch / net.parts(quick=True)
    inputs = net.sizes[0] * net.sizes[1]
    weights = sum(n_in * n_out for n_in, n_out in zip(net.sizes, net.sizes[1:], strict=False))
    assert answer["work"] == pytest.approx(2 * net.batch * steps * (3 * weights - inputs))
    assert min(answer["samples"]) > 0


def test_the_products_are_right():
    net = Net((3, 4, 5, 2), batch=6, rows=6, quick_rows=6)
    batch = np.random.default_rng(1).random((6, 3), np.float32)
    products = limit_products.Products(net, rows=6)
    products.multiply(batch, batch.T)
    expected = batch
    for weights, output in zip(products.weights, products.outputs, strict=True):
        expected = expected @ weights
        np.testing.assert_allclose(output, expected, rtol=1e-5)
    inputs = [batch, *products.outputs]
    for k in range(3):
        if k:
            below = products.deltas[k] @ products.weights[k].T
            np.testing.assert_allclose(products.deltas[k - 1], below, rtol=1e-5)
        np.testing.assert_allclose(products.grads[k], inputs[k].T @ products.deltas[k], rtol=1e-5)


@pytest.mark.parametrize("name", ["narrow", "tiny"])
def test_plain_numpy_learns_what_ours_learns(name):
    """A wrong gradient would show."""
    net = NETS[name]._replace(quick_rows=640, batch=32)
    samples, targets = net.data(quick=True)
    layers = net.initial(np.random.default_rng(0))
    model = nd.MLP(net.sizes, loss="squared_error" if net.regression else "cross_entropy")
    for own, theirs in zip((model.weights, model.biases), zip(*layers, strict=True), strict=True):
        for view, array in zip(own, theirs, strict=True):
            view[:] = array
    expected, gradient = model.loss_and_grad(model.theta, samples, targets)
    network = peer_numpy.Network(net)
    loss = network.backpropagate(samples, targets)
    flat = [part.reshape(-1) for pair in network.grads for part in pair]
    assert loss == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(np.concatenate(flat), gradient, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(("found", "solved", "tight"), [("usual", 19, 0), ("tight", 19, 19)])
def test_tolerances_are_tightened_where_the_default_ones_do_not_do(found, solved, tight):
    calls = []

    def solve(problem, is_tight):
        calls.append(is_tight)
        return problem.minimum if found == "usual" or is_tight else np.inf

    answer = accuracy.measure(solve, quick=True)
    assert answer["note"] == f"{solved}/19, {tight} tight"
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
    assert fits.error(best, best) == "error 0.0e+00"
    assert fits.error(best + 1e-3, best) == "error 1.0e-03"


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


def test_a_load_that_is_not_told_is_not_known(monkeypatch):
    def refuse():
        raise OSError

    monkeypatch.setattr(report.os, "getloadavg", refuse, raising=False)
    assert report.describe_machine(2)["load"] is None


def test_without_stderr_nobody_is_told_how_far_it_is(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    runner._say("a job")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(12.3, "12.3 s"), (0.1, "100 ms"), (0.00999, "9.99 ms"), (4e-6, "4.00 us"), (3e-8, "30.0 ns")],
)
def test_quantities(seconds, text):
    assert report.quantity(seconds, "s") == text
