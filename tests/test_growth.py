"""`numadelta bench --growth`: the sweeps at tiny sizes, and pictures of what workers pretend.

No time is asserted here.
"""

from __future__ import annotations

import json
import sys

import pytest

import numadelta as nd
from numadelta import team, threads
from numadelta.bench import (
    growth,
    growth_minimisers,
    growth_picture,
    growth_points,
    growth_steps,
)

TASKS = growth_steps.TASKS | growth_minimisers.TASKS


def sweep(**changes):
    curves = [
        {"label": "ours, 2 threads", "limit": False, "sizes": [1, 10], "seconds": [2e-6, 3e-6]},
        {"label": "ours, 1 thread", "limit": False, "sizes": [1, 10], "seconds": [1e-6, 4e-6]},
        {"label": "at best", "limit": True, "sizes": [10], "seconds": [1e-6]},
    ]
    marks = [{"at": 5.0, "why": "a reason"}, {"at": 500.0, "why": "out of sight"}]
    words = {"title": "work of n parts", "time": "time of a call", "each": "part", "unit": "ns"}
    return words | {"curves": curves, "marks": marks} | changes


def printing(text):
    return "-c", f"print({text!r})"


@pytest.fixture
def fake_workers(monkeypatch):
    """Replace what `run` starts, by name of the sweep."""

    def replace(**workers):
        monkeypatch.setattr(growth, "WORKERS", workers)

    return replace


@pytest.fixture
def tiny(monkeypatch):
    """Measure next to nothing, in this process."""
    monkeypatch.setattr(threads, "_num_threads", nd.get_num_threads())  # is put back
    monkeypatch.setattr(growth_points, "QUICK_SECONDS", 0.0)
    monkeypatch.setattr(growth_points, "SHORTEST", 0.0)
    monkeypatch.setattr(growth_steps, "SIZES", [3, 0, 0, 70, 0, 0, 0])
    monkeypatch.setattr(growth_steps, "WIDTHS", [2, 0, 0, 3, 0, 0, 0])
    monkeypatch.setattr(growth_minimisers, "SIZES", [2, 0, 0, 4, 0, 0, 0])
    monkeypatch.setattr(growth_minimisers, "COUNTS", [1, 0, 0, 3, 0, 0, 0])
    for name in ("ONE_BY_ONE", "ITERATIONS", "EVALUATIONS"):
        monkeypatch.setattr(growth_minimisers, name, 2)
    for module in (growth_steps, growth_minimisers):
        monkeypatch.setattr(module, "WORK", 8)


# What is measured


@pytest.mark.parametrize("name", TASKS)
def test_a_sweep_can_be_told_and_drawn(tiny, name):
    found = json.loads(json.dumps(TASKS[name](True)))
    for curve in found["curves"]:
        assert len(curve["sizes"]) == len(curve["seconds"]) > 0
    assert found["curves"][-1]["limit"] is (name != "batch")
    assert found["title"] in growth.table(found)
    pytest.importorskip("matplotlib")
    growth_picture.draw(found, "")


def test_all_threads_share_what_a_step_shares(tiny, four_threads, monkeypatch):
    monkeypatch.setattr(growth_steps, "thread_counts", lambda: [4, 1])
    counts = []

    def run(*arguments, own=threads.run):
        counts.append(nd.get_num_threads())
        return own(*arguments)

    monkeypatch.setattr(threads, "run", run)
    found = growth_steps.step(quick=True)
    assert [curve["label"] for curve in found["curves"]] == [
        f"{name}, {count}"
        for name in ("float32", "float64", "plain loop")
        for count in ("4 threads", "1 thread")
    ]
    assert set(counts) == {4}
    assert {"at": threads.MIN_BYTES // 4, "why": "threads begin (float32)"} in found["marks"]


@pytest.mark.parametrize(("given", "counts"), [("1", [1]), ("3", [3, 1])])
def test_one_thread_is_measured_once(monkeypatch, given, counts):
    monkeypatch.setenv("NUMBA_NUM_THREADS", given)
    assert growth_points.thread_counts() == counts


def test_a_run_that_ends_early_is_no_measurement(tiny, monkeypatch):
    monkeypatch.setattr(growth_minimisers, "_rosenbrock", lambda x: (float("nan"), x))
    with pytest.raises(RuntimeError, match="ended early"):
        growth_minimisers.minimise(quick=True)


def test_a_quick_run_takes_powers_of_ten_but_for_the_largest():
    sizes = growth_points.decades(2, 4)
    assert sizes == [100, 200, 500, 1000, 2000, 5000, 10_000]
    assert growth_points.chosen(sizes, quick=False) == sizes
    assert growth_points.chosen(sizes, quick=True) == [100, 1000]


def test_samples_are_of_repeated_calls(monkeypatch):
    monkeypatch.setattr(growth_points, "QUICK_SECONDS", 0.0)
    monkeypatch.setattr(growth_points.worker, "timed", lambda call: call() or 1e-4)
    calls = []
    # The first call compiles and the second is timed; then come the warm-up and five samples.
    assert growth_points.seconds_of(lambda: calls.append(0), quick=True) == pytest.approx(1e-5)
    assert len(calls) == 1 + 1 + (1 + 5) * 10


# Where curves bend


def test_a_level_is_crossed_between_two_points():
    (mark,) = growth_points.crossing([1, 100, 1000], [1, 10_000, 1], 100, "half")
    assert mark == {"at": pytest.approx(10), "why": "half"}
    assert growth_points.crossing([1, 10], [1, 2], 3, "never") == []
    assert growth_points.crossing([1, 10], [3, 4], 2, "always") == []
    assert growth_points.crossing([1, 10], [-1e-9, 4], 2, "lost in noise") == []


def test_a_fixed_cost_ends_where_the_time_has_doubled():
    curve = {"sizes": [1, 10, 1000], "seconds": [1, 1, 100]}
    (mark,) = growth_points.end_of_fixed_cost(curve, "")
    assert mark["at"] == pytest.approx(20)


def test_caches_are_read_as_linux_tells_them(monkeypatch, tmp_path):
    described = [("Data", 1, "48K"), ("Instruction", 1, "32K"), ("Unified", 2, "1024K")]
    for k, values in enumerate(described):
        folder = tmp_path / f"index{k}"
        folder.mkdir()
        for name, value in zip(("type", "level", "size"), values, strict=True):
            (folder / name).write_text(f"{value}\n")
    (tmp_path / "index3").mkdir()  # without files, as virtual machines may have it
    monkeypatch.setattr(growth_points, "CACHES", tmp_path)
    assert growth_points.caches() == {1: 48 * 1024, 2: 1024 * 1024}
    expected = [{"at": 65_536.0, "why": "four arrays fill L2"}]
    assert growth_points.cache_marks(16, "four arrays", (2, 3)) == expected
    monkeypatch.setattr(growth_points, "CACHES", tmp_path / "none")
    assert growth_points.cache_marks(16, "four arrays", (2, 3)) == []


def test_only_openblas_is_known_to_begin_with_threads(monkeypatch):
    def blas(name):
        return lambda mode: {"Build Dependencies": {"blas": {"name": name}}}

    monkeypatch.setattr(growth_steps, "thread_counts", lambda: [2, 1])
    monkeypatch.setattr(growth_steps.np, "show_config", blas("scipy-openblas"))
    assert growth_steps._blas_mark() == [{"at": 8970, "why": "BLAS threads begin"}]
    for other in (blas("accelerate"), lambda mode: {"Build Dependencies": {}}):
        monkeypatch.setattr(growth_steps.np, "show_config", other)
        assert growth_steps._blas_mark() == []


def test_tiles_are_marked_where_there_are_any(monkeypatch):
    monkeypatch.setattr(team, "has_registers", lambda: True)
    first, last = growth_steps._team_marks()
    assert [first["at"], last["at"]] == [8192, 524288]
    monkeypatch.setattr(team, "has_registers", lambda: False)
    assert growth_steps._team_marks() == []


def test_a_worker_may_write_what_is_no_text(fake_workers):
    fake_workers(a=("-c", r"import os; os.write(1, b'{\"title\": \"\xff\"}')"))
    assert growth._measure("a", True, 1) == {"title": "\N{REPLACEMENT CHARACTER}"}


# The command


def test_tables_and_pictures(fake_workers, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    fake_workers(step=printing(json.dumps(sweep())), mlp=printing(json.dumps(sweep(unit="us"))))
    assert growth.run(tmp_path / "new" / "folder", quick=True) == 0
    out = capsys.readouterr().out
    assert "quick" in out.splitlines()[0]
    assert out.count("work of n parts: time of a call") == 2
    assert [line.split() for line in out.splitlines()[3:7]] == [
        "ours ours at best".split(),
        "parts 2 threads 1 thread".split(),
        "1 2.00 us 1.00 us".split(),
        "10 3.00 us 4.00 us 1.00 us".split(),
    ]
    for name in ("step", "mlp"):
        assert (tmp_path / "new" / "folder" / f"{name}.png").stat().st_size > 10_000


def test_json(fake_workers, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    fake_workers(step=printing(json.dumps(sweep())))
    assert growth.run(str(tmp_path), json=True) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["quick"] is False and document["machine"]["threads"] >= 1
    assert document["sweeps"] == {"step": sweep()}
    assert (tmp_path / "step.png").exists()


def test_a_failure_leaves_the_others(fake_workers, tmp_path, capfd):
    pytest.importorskip("matplotlib")
    fake_workers(step=("-c", "raise MemoryError('too much')"), mlp=printing(json.dumps(sweep())))
    assert growth.run(tmp_path) == 1
    err = capfd.readouterr().err
    assert "MemoryError: too much" in err and "step: the worker failed, exit status 1" in err
    assert [path.name for path in tmp_path.iterdir()] == ["mlp.png"]


def test_workers_get_their_task_and_their_environment(fake_workers, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    script = (
        "import json, os, sys; "
        f"told = {sweep()!r} | {{'title': str([*sys.argv[1:], os.environ['OMP_NUM_THREADS']])}}; "
        "print(json.dumps(told))"
    )
    fake_workers(step=("-c", script))
    monkeypatch.setenv("NUMBA_NUM_THREADS", "3")
    for quick, told in ((True, "['step', '--quick', '3']"), (False, "['step', '3']")):
        growth.run(tmp_path, quick)
        assert told in capsys.readouterr().out


def test_every_sweep_has_a_worker():
    for name, (flag, module) in growth.WORKERS.items():
        assert flag == "-m" and name in __import__(module, fromlist=["TASKS"]).TASKS
    assert set(growth.WORKERS) == set(TASKS)


def test_a_file_in_place_of_the_folder(fake_workers, tmp_path):
    pytest.importorskip("matplotlib")
    fake_workers(step=("-c", "raise RuntimeError('measured in vain')"))
    (tmp_path / "taken").write_text("")
    with pytest.raises(FileExistsError):
        growth.run(tmp_path / "taken")
    assert (tmp_path / "taken").read_text() == ""


def test_a_folder_that_cannot_be_written_to(fake_workers, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    fake_workers()
    monkeypatch.setattr(growth.os, "access", lambda path, mode: False)
    with pytest.raises(PermissionError, match=tmp_path.name):
        growth.run(tmp_path)


def test_without_matplotlib_the_extra_is_named(fake_workers, monkeypatch, tmp_path):
    fake_workers()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"numadelta\[plot\]"):
        growth.run(tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


# The picture


def test_marks_within_the_picture_are_drawn_through_both_panels():
    pytest.importorskip("matplotlib")
    top, bottom = growth_picture.draw(sweep(), "a machine").axes
    assert [text.get_text() for text in top.texts] == ["a reason"]
    for ax in (top, bottom):
        assert len(ax.lines) == 3 + 1
        assert list(ax.lines[-1].get_xdata()) == [5.0, 5.0]


def test_the_lower_panel_is_for_each_element():
    pytest.importorskip("matplotlib")
    top, bottom = growth_picture.draw(sweep(), "a machine").axes
    assert list(top.lines[0].get_ydata()) == [2e-6, 3e-6]
    assert list(bottom.lines[0].get_ydata()) == pytest.approx([2000, 300])
    assert bottom.get_ylabel() == "ns for each part"
    assert [text.get_text() for text in top.get_legend().get_texts()] == [
        curve["label"] for curve in sweep()["curves"]
    ]


def test_variants_share_a_colour():
    pytest.importorskip("matplotlib")
    top, _ = growth_picture.draw(sweep(), "a machine").axes
    two, one, best = top.lines[:3]
    assert two.get_color() == one.get_color() != best.get_color() == growth_picture.LIMIT_COLOR
    assert [line.get_linestyle() for line in (two, one, best)] == ["-", "--", "-"]
