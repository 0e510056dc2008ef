"""`numadelta sweep`: what it hands to the library, and what it prints."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import time

import numpy as np
import pytest

from numadelta import cli, grid

pytest.importorskip("joblib")
pytest.importorskip("threadpoolctl")

GRID = ["--rho", "0.9", "0.95", "--eps", "1e-6", "--seeds", "2"]
NET = ["--hidden", "4", "--epochs", "2", "--batch-size", "16", "--jobs", "1"]


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(5, 2, size=(100, 3))
    np.savez(tmp_path / "data.npz", X=X, y=(X[:, 0] > 5).astype(int))
    return str(tmp_path / "data.npz")


def sweep(*arguments):
    return cli.main(["sweep", *map(str, arguments)])


def test_the_table_the_recommendation_and_the_map(data, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    plot = tmp_path / "map.png"
    assert sweep("--dataset", data, *NET, *GRID, "--quiet", "--plot", plot) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:4] == ["lr", "rho", "eps", "score"]
    assert len(lines[: lines.index("")]) == 3
    assert "Best of 2: lr=1, rho=0.9" in "\n".join(lines)
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_shared_delta_is_that_of_sweep(data, capsys):
    scores = []
    for flag in ([], ["--shared-delta"]):
        assert sweep("--dataset", data, *NET, *GRID, "--json", *flag) == 0
        scores.append([row["loss"] for row in json.loads(capsys.readouterr().out)["rows"]])
    assert len(scores[0]) == len(scores[1]) and scores[0] != scores[1]


def test_json_and_a_file_that_spares_the_runs_it_holds(data, tmp_path, capsys):
    arguments = ["--dataset", data, *NET, *GRID, "--file", tmp_path / "runs.jsonl", "--json"]
    assert sweep(*arguments) == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert len(result["rows"]) == 4 and set(result["best"]) == {"lr", "rho", "eps"}
    assert result["layers"] == [3, 4, 2] and "run 4/4" in err
    assert sweep(*arguments, "--quiet") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["rows"] == result["rows"] and err == ""


def test_defaults_and_a_validation_part_that_is_no_test_data(data, monkeypatch, capsys):
    seen = {}

    def record(net, X, y, **options):
        seen.update(options, net=net, X=X, y=y)
        raise KeyboardInterrupt

    monkeypatch.setattr(grid, "sweep", record)
    assert sweep("--dataset", data, "--hidden", "6,5", "--dropout", "0.5") == 130
    assert (seen["lr"], seen["rho"], seen["eps"]) == ([1.0], [0.9, 0.95, 0.99], [1e-8, 1e-6, 1e-4])
    assert (seen["seeds"], seen["n_jobs"], seen["file"], seen["verbose"]) == (3, -1, None, 1)
    assert (seen["epochs"], seen["batch_size"]) == (100, 32)
    assert (seen["net"].layer_sizes, seen["net"].dropout) == ((3, 6, 5, 2), 0.5)
    assert (len(seen["X"]), len(seen["validation_data"][0])) == (72, 8)
    np.testing.assert_allclose(seen["X"].mean(axis=0), 0, atol=1e-5)


def test_a_sweep_that_is_asked_to_end_can_end_its_processes(data, monkeypatch, capsys):
    def end(*arguments, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    monkeypatch.setattr(grid, "_train_all", end)
    assert sweep("--dataset", data) == 143
    assert capsys.readouterr().err == "numadelta: interrupted\n"


def test_a_closed_pipe_is_quiet_while_processes_are_at_work(data, monkeypatch, capsys):
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    assert sweep("--dataset", data, *NET, "--jobs", "2") == 141
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--jobs", "0"], "--jobs must not be 0"),
        (["--rho", "0.9", "0.9"], "--rho names a value twice"),
        (["--target", "y"], "--target is for"),
    ],
)
def test_contradictions_exit_with_2(data, capsys, given, message):
    assert sweep("--dataset", data, *given) == 2
    assert message in capsys.readouterr().err


def test_a_sweep_whose_runs_all_fail_exits_with_1(data, tmp_path, capsys):
    arguments = ["--task", "regression", "--lr", "1e30", "--rho", "0.9", "--seeds", "1", "--json"]
    with np.errstate(all="ignore"):
        status = sweep("--dataset", data, *NET, *arguments, "--eps", "1e-6", "--quiet")
    assert status == 1
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert result["best"] is None and result["rows"][0]["score"] is None
    assert "numadelta: every run failed" in err


def test_a_file_of_another_sweep_exits_with_1(data, tmp_path, capsys):
    file = tmp_path / "runs.jsonl"
    file.write_text("something else\n")
    assert sweep("--dataset", data, *NET, *GRID, "--file", file, "--quiet") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("numadelta: ") and "runs.jsonl" in line
    assert file.read_text() == "something else\n"


def test_test_data_is_not_used(data, tmp_path):
    with np.load(data) as arrays:
        content = dict(arrays)
    bad = np.full((2, 3), 1e300)
    content = {"x_train": content["X"], "y_train": content["y"], "x_test": bad, "y_test": [0, 1]}
    np.savez(tmp_path / "data.npz", **content)
    assert sweep("--dataset", tmp_path / "data.npz", *NET, *GRID, "--quiet") == 0


def test_what_was_guessed_of_a_table_is_told_as_in_a_training(tmp_path, capsys):
    lines = [f"{k % 7},1,{k % 2}" for k in range(60)]
    (tmp_path / "data.csv").write_text("a,b,label\n" + "\n".join(lines))
    notes = ["data.csv: the target is column 'label'", "data.csv: constant, so not used: column b"]
    for quiet in ([], ["--quiet"]):
        assert sweep("--dataset", tmp_path / "data.csv", *NET, *GRID, *quiet) == 0
        out = capsys.readouterr().out
        assert [note in out for note in notes] == [not quiet] * 2
        assert "test data" not in out
