"""`sweep`: the grid, its file, failures, and what is made of the rows."""

from __future__ import annotations

import json
import math
import sys
from itertools import product

import numpy as np
import pytest

import numadelta as nd
from numadelta import grid, sweep
from numadelta.checkpoint import CheckpointError
from numadelta.sweep_result import RUN, Sweep

pytest.importorskip("joblib")
pytest.importorskip("threadpoolctl")

GRID = {"lr": (1.0, 1e38), "rho": (0.9, 0.95), "eps": 1e-6, "seeds": 2}
RUNS = sorted(product((1.0, 1e38), (0.9, 0.95), (1e-6,), (0, 1)))


def make_problem():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(260, 40))
    y = (X[:, 0] > X[:, 1]).astype(int)
    # Products of this size are large enough for a BLAS to split them among threads.
    return nd.MLP((40, 64, 2), seed=7), X[:200], y[:200], (X[200:], y[200:])


def run_sweep(net=None, X=None, y=None, **options):
    given = make_problem()
    net, X, y = (
        new if new is not None else old for new, old in zip((net, X, y), given[:3], strict=True)
    )
    options = {"validation_data": given[3], "epochs": 2, "batch_size": 100} | GRID | options
    return sweep(net, X, y, **{"n_jobs": 1, "verbose": 0} | options)


def without_seconds(rows):
    rows = sorted(rows, key=lambda row: [row[name] for name in RUN])
    return repr([{k: v for k, v in sorted(row.items()) if k != "seconds"} for row in rows])


def read(path):
    """Return the rows in a file."""
    rows = [json.loads(line) for line in path.read_text().splitlines()[1:]]
    return [{k: math.nan if v is None else v for k, v in row.items()} for row in rows]


def make_rows(scores, **others):
    """Return rows from the scores of each rho, one for each seed."""
    return [
        {"lr": 1.0, "rho": rho, "eps": 1e-6, "seed": seed, "score": score}
        | {"loss": 1 - score, "seconds": 2.0}
        | others
        for rho, of_seeds in scores.items()
        for seed, score in enumerate(of_seeds)
    ]


@pytest.fixture(scope="module")
def result():
    return run_sweep()


@pytest.fixture
def trained(monkeypatch):
    """Replace the trainer by a quick one; return the list of its runs."""
    runs = []

    def train(run, *arguments):
        runs.append(run)
        return dict(zip(RUN, run, strict=True)) | {
            "loss": 0.1,
            "score": 0.9,
            "seconds": 1.0,
        }

    monkeypatch.setattr(grid, "_train", train)
    return runs


# The runs


def test_every_combination_is_trained_with_every_seed(result):
    assert [tuple(row[name] for name in RUN) for row in result.rows] == RUNS
    assert repr(result) == "Sweep(8 runs, 4 combinations)"
    assert all(row["seconds"] > 0 for row in result.rows)


@pytest.mark.parametrize("shared_delta", [False, True])
def test_a_row_is_what_fit_comes_to(result, shared_delta):
    net, X, y, validation_data = make_problem()
    net = nd.MLP(**net.get_config() | {"seed": 1})
    options = {"epochs": 2, "batch_size": 100, "shared_delta": shared_delta}
    net.fit(X, y, **options, rho=0.95, eps=1e-6, verbose=0)
    if shared_delta:
        result = run_sweep(shared_delta=True, lr=1.0, rho=0.95)
    (row,) = (r for r in result.rows if (r["lr"], r["rho"], r["seed"]) == (1.0, 0.95, 1))
    assert (row["loss"], row["score"]) == pytest.approx(net.evaluate(*validation_data), rel=1e-5)


def test_processes_give_the_same_bits_without_noise_or_a_main_guard(result, python, tmp_path):
    net, X, y, (X_val, y_val) = make_problem()
    net.save(tmp_path / "net.npz")
    np.savez(tmp_path / "data.npz", X=X, y=y, X_val=X_val, y_val=y_val)
    script = f"""
    import numpy as np
    import numadelta as nd
    from numadelta import sweep
    data = np.load("data.npz")
    sweep(
        nd.MLP.load("net.npz"), data["X"], data["y"], file="rows",
        validation_data=(data["X_val"], data["y_val"]), **{GRID}, epochs=2, batch_size=100,
        n_jobs=2,
    )
    """
    lines = python(script).splitlines()
    assert [line.split()[:2] for line in lines] == [["run", f"{k}/8"] for k in range(1, 9)]
    assert without_seconds(read(tmp_path / "rows")) == without_seconds(result.rows)


def test_a_run_has_one_thread_and_gives_the_others_back(monkeypatch, four_threads):
    from threadpoolctl import threadpool_info

    fit, seen = nd.MLP.fit, []

    def spy(self, *arguments, **options):
        if options["epochs"]:
            pools = [p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"]
            seen.append({nd.get_num_threads(), *pools})
        return fit(self, *arguments, **options)

    monkeypatch.setattr(nd.MLP, "fit", spy)
    run_sweep(lr=1.0, rho=0.9, seeds=1)
    assert seen == [{1}]
    assert nd.get_num_threads() == 4


def test_a_run_that_diverges_is_listed_and_ranked_last(result):
    failed = [row for row in result.rows if row["lr"] == 1e38]
    assert all(math.isnan(row["loss"]) and math.isnan(row["score"]) for row in failed)
    assert all("finite" in row["error"] for row in failed)
    assert not any("error" in row for row in result.rows if row["lr"] == 1.0)
    assert result.best["lr"] == 1.0
    assert [line.split()[-1] for line in result.table().splitlines()[1:]] == ["0", "0", "2", "2"]


def test_the_arguments_stay_as_they_are(result):
    net, X, y, validation_data = make_problem()
    before = [array.copy() for array in (X, y, *validation_data, net.theta)]
    run_sweep(net, X, y, validation_data=validation_data, lr=1.0, rho=0.9, seeds=[3])
    for old, array in zip(before, (X, y, *validation_data, net.theta), strict=True):
        np.testing.assert_array_equal(array, old)
    assert net.optimizer is None


def test_a_regression_is_scored_by_r2():
    _, X, y, (X_val, y_val) = make_problem()
    net = nd.MLP((40, 3, 1), loss="squared_error")
    data = {"X": X, "y": y.astype(float), "validation_data": (X_val, y_val.astype(float))}
    (row,) = run_sweep(net, **data, lr=1.0, rho=0.9, seeds=1).rows
    assert row["score"] < 1 and row["loss"] > 0


# Progress


def test_each_run_has_a_line(trained, capsys):
    run_sweep(seeds=1, verbose=1)
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == (
        "run 1/4  lr 1  rho 0.9  eps 1e-06  seed 0  loss 0.1  score 0.9  seconds 1"
    )
    assert (len(out.splitlines()), err) == (4, "")


def test_a_terminal_shows_a_bar(trained, capsys, monkeypatch):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    run_sweep(seeds=1, verbose=1)
    out, err = capsys.readouterr()
    assert out == "" and "4/4" in err


# The file


def test_only_what_is_missing_is_trained(trained, tmp_path):
    file = tmp_path / "rows"
    run_sweep(file=file, lr=1.0, seeds=1)
    assert len(trained) == 2
    result = run_sweep(file=file, lr=1.0, seeds=2)  # more seeds
    assert len(trained) == 4
    assert [row["seed"] for row in result.rows] == [0, 1, 0, 1]
    run_sweep(file=file, lr=(1.0, 0.5), seeds=2)  # a larger grid
    assert len(trained) == len(set(trained)) == 8
    assert len(run_sweep(file=file, lr=1.0, rho=0.95, seeds=[1]).rows) == 1  # a part of it
    assert len(trained) == 8 == len(read(file))


def test_rows_come_back_from_the_file_as_they_were(result, trained, tmp_path):
    file = tmp_path / "rows"
    description = run_sweep(file=file, seeds=1) and file.read_text().splitlines()[0]
    rows = [json.dumps(row).replace("NaN", "null") for row in result.rows]
    file.write_text("\n".join([description, *rows, ""]))
    trained.clear()
    again = run_sweep(file=file)
    assert not trained
    assert repr(again.rows) == repr(result.rows)


@pytest.mark.parametrize("cut", [1, 20])
def test_a_torn_last_line_is_trained_again(trained, tmp_path, cut):
    file = tmp_path / "rows"
    run_sweep(file=file)
    whole = file.read_bytes()
    file.write_bytes(whole[:-cut])
    trained.clear()
    run_sweep(file=file)
    assert len(trained) == 1
    assert file.read_bytes() == whole


@pytest.mark.parametrize("length", [0, 5])
def test_a_torn_first_line_is_written_again(trained, tmp_path, length):
    file = tmp_path / "rows"
    run_sweep(file=file)
    whole = file.read_bytes()
    file.write_bytes(whole[:length])
    run_sweep(file=file)
    assert file.read_bytes() == whole


def test_the_file_of_another_sweep_is_refused(trained, tmp_path):
    file = tmp_path / "rows"
    run_sweep(file=file)
    before = file.read_bytes()
    net, X, y, (X_val, y_val) = make_problem()
    for options, message in (
        ({"epochs": 3}, "another sweep: epochs is 2 there and 3 here$"),
        ({"batch_size": 50}, "another sweep: batch_size is 100 there and 50 here$"),
        ({"shared_delta": True}, "another sweep: shared_delta is False there and True here$"),
        ({"net": nd.MLP((40, 64, 2), activation="tanh")}, "sweep: activation is relu there and t"),
        ({"X": X + 1}, r"another sweep: checksum of X is \d+ there and \d+ here$"),
        ({"y": 1 - y}, r"another sweep: checksum of y is \d+ there and \d+ here$"),
        ({"validation_data": (X_val, 1 - y_val)}, "another sweep: checksum of validation_data is"),
        ({"net": nd.MLP((40, 64, 2), seed=3)}, None),  # each run has its own
    ):
        if message is None:
            run_sweep(**options, file=file)
            continue
        with pytest.raises(ValueError, match=message):
            run_sweep(**options, file=file)
    assert file.read_bytes() == before
    assert len(trained) == 8


@pytest.mark.parametrize(
    "content",
    [b"my diary", b"my diary\n", b"{}\n", b"[1]\n", b'{"format": "numadelta.MLP"}\n', b"\xff\n"],
)
def test_a_file_of_something_else_is_refused_and_left_alone(trained, tmp_path, content):
    file = tmp_path / "diary"
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="diary is damaged or not the file of a sweep"):
        run_sweep(file=file)
    assert file.read_bytes() == content and not trained


@pytest.mark.parametrize("line", ["{", "[]", "null", "{}", '{"lr": 1.0}'])
def test_a_damaged_line_is_refused(trained, tmp_path, line):
    file = tmp_path / "rows"
    run_sweep(file=file)
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:3], line, *lines[3:], ""]))
    with pytest.raises(CheckpointError, match="damaged"):
        run_sweep(file=file)


def test_a_place_that_cannot_be_written_is_found_before_any_training(trained, tmp_path):
    with pytest.raises(FileNotFoundError):
        run_sweep(file=tmp_path / "no folder" / "rows")
    with pytest.raises((IsADirectoryError, PermissionError)):  # the latter on Windows
        run_sweep(file=tmp_path)
    assert not trained


def test_an_interrupt_keeps_the_finished_runs(trained, monkeypatch, tmp_path):
    file, train = tmp_path / "rows", grid._train

    def interrupted(*arguments):
        if len(trained) == 3:
            raise KeyboardInterrupt
        return train(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(grid, "_train", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_sweep(file=file)
    assert len(read(file)) == 3
    run_sweep(file=file)
    assert len(trained) == len(set(trained)) == 8


def test_an_interrupt_that_fit_swallows_passes(monkeypatch, tmp_path):
    history = nd.History()
    history.interrupted = "SIGINT"
    monkeypatch.setattr(nd.MLP, "fit", lambda *arguments, **options: history)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(file=tmp_path / "rows")
    assert not read(tmp_path / "rows")


# What is made of the rows


def test_the_table_has_the_best_first():
    rows = make_rows({0.9: (0.8, 0.9), 0.95: (0.95, 0.97), 0.99: (0.99, math.nan)})
    assert Sweep(rows).table().splitlines() == [
        "lr   rho    eps   score     std        min - max  loss  seconds  failed",
        " 1  0.95  1e-06  0.9600  0.0141  0.9500 - 0.9700  0.04        2       0",
        " 1   0.9  1e-06  0.8500  0.0707  0.8000 - 0.9000  0.15        2       0",
        " 1  0.99  1e-06  0.9900       -  0.9900 - 0.9900  0.01        2       1",
    ]
    assert Sweep(rows).best == {"lr": 1.0, "rho": 0.95, "eps": 1e-06}


def test_a_tie_goes_to_the_smaller_loss():
    rows = make_rows({0.9: (0.5, 0.5)}) + make_rows({0.95: (0.5, 0.5)}, loss=0.1)
    assert Sweep(rows).best["rho"] == 0.95


def test_the_table_fits_into_100_columns():
    rows = make_rows({0.9995: (-1234.5678, 0.1), 0.95: (-9999.0, 0.1)}, lr=0.125, eps=2.5e-10)
    assert max(map(len, str(Sweep(rows)).splitlines())) <= 100


@pytest.mark.parametrize(
    ("scores", "text"),
    [
        (
            {0.9: (0.90, 0.92), 0.95: (0.91, 0.93), 0.97: (0.92, math.nan), 0.99: (0.1, 0.2)},
            "Best of 4: lr=1, rho=0.95, eps=1e-06, with a score of 0.9200 +- 0.0141 (mean and "
            "standard deviation over 2 seeds). Others within its spread or their own: 1 of 3.",
        ),
        (
            {0.9: (0.9,), 0.95: (0.91,)},
            "Best of 2: lr=1, rho=0.95, eps=1e-06, with a score of 0.9100 from a single seed, so "
            "the spread is unknown.",
        ),
        (
            {0.9: (0.9, math.nan)},
            "Best of 1: lr=1, rho=0.9, eps=1e-06, with a score of 0.9000 from a single seed, so "
            "the spread is unknown. Runs of every combination failed, 1 of this one.",
        ),
        (
            {0.9: (0.9, 0.9)},
            "Best of 1: lr=1, rho=0.9, eps=1e-06, with a score of 0.9000 +- 0.0000 (mean and "
            "standard deviation over 2 seeds).",
        ),
        ({0.9: (math.nan,)}, "Every run failed; the first: no score"),
    ],
)
def test_the_recommendation_says_what_may_be_noise(scores, text):
    assert Sweep(make_rows(scores)).recommendation() == text


def test_where_every_run_failed_nothing_is_best():
    result = Sweep(make_rows({0.9: (math.nan,)}, error="the loss must be finite"))
    with pytest.raises(ValueError, match="no best combination: Every run failed; .* be finite"):
        _ = result.best
    assert "Every run failed" in str(result)


def test_rows_are_sorted_and_must_be_there():
    rows = make_rows({0.95: (0.2, 0.1), 0.9: (0.3,)})
    assert [row["score"] for row in Sweep(reversed(rows)).rows] == [0.3, 0.2, 0.1]
    with pytest.raises(ValueError, match="rows must hold at least one run"):
        Sweep([])


def test_plot_draws_where_told():
    figure = pytest.importorskip("matplotlib.figure").Figure()
    ax = figure.subplots()
    assert Sweep(make_rows({0.9: (0.5,), 0.95: (0.6,)})).plot(ax) is ax


# Arguments


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"net": "MLP"}, TypeError, "net must be an MLP, but is 'MLP'"),
        ({"lr": -1.0}, ValueError, "lr must not be negative, but is -1.0"),
        ({"rho": [0.9, 1.0]}, ValueError, r"rho must be in \[0, 1\)"),
        ({"eps": np.array([1e-6, 0.0])}, ValueError, "eps must be positive"),
        ({"eps": 1e-60}, ValueError, "eps must be positive .as float32"),
        ({"eps": "small"}, TypeError, "eps must be a real number, but is 'small'"),
        ({"rho": ()}, ValueError, "rho must hold at least one value"),
        ({"rho": (0.9, 0.9)}, ValueError, r"rho must not hold a value twice, but is \[0.9, 0.9\]"),
        ({"seeds": 0}, ValueError, "seeds must hold at least one value"),
        ({"seeds": 1.5}, TypeError, "seeds must be an integer, but is 1.5"),
        ({"seeds": [1, 1]}, ValueError, "seeds must not hold a value twice"),
        ({"seeds": [-1]}, ValueError, "seeds must not be negative, but is -1"),
        ({"epochs": 0}, ValueError, "epochs must be at least 1, but is 0"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, but is 0"),
        ({"shared_delta": 1}, TypeError, "shared_delta must be True or False, but is 1"),
        ({"n_jobs": 0}, ValueError, "n_jobs must not be 0"),
        ({"n_jobs": 1.0}, TypeError, "n_jobs must be an integer, but is 1.0"),
        ({"verbose": 2}, ValueError, "verbose must be 0 or 1, but is 2"),
        ({"X": np.ones((200, 3))}, ValueError, "X has 3 features"),
        ({"y": np.full(200, 2)}, ValueError, r"y\[0\] is 2"),
        ({"validation_data": None}, TypeError, r"must be a tuple .*, but is a NoneType"),
        ({"validation_data": (np.ones((2, 40)), [0])}, ValueError, "validation_data: y has shape"),
    ],
)
def test_wrong_arguments_are_refused_before_any_training(
    trained, tmp_path, options, error, message
):
    with pytest.raises(error, match=message):
        run_sweep(**options, file=tmp_path / "rows")
    assert not trained and not (tmp_path / "rows").exists()


def test_numbers_and_arrays_are_values_of_the_grid(trained):
    run_sweep(lr=np.float32(1), rho=np.array([0.9, 0.95]), eps=np.array(1e-6), seeds=np.arange(2))
    assert sorted(trained) == [run for run in RUNS if run[0] == 1.0]


@pytest.mark.parametrize("name", ["joblib", "threadpoolctl"])
def test_a_missing_library_names_the_extra(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=rf"needs {name}: pip install numadelta\[sklearn\]"):
        run_sweep()


def test_validation_data_may_have_weights():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    y, weights = (X[:, 0] > 0).astype(int), rng.random(20)
    net = nd.MLP((3, 4, 2))
    common = dict(rho=0.9, eps=1e-6, seeds=[5], epochs=2, batch_size=20, n_jobs=1, verbose=0)
    for more in ((), (weights,), (None,)):
        validation_data = (X[40:], y[40:], *more)
        found = nd.sweep(net, X[:40], y[:40], validation_data=validation_data, **common)
        twin = nd.MLP((3, 4, 2), seed=5)
        options = dict(rho=0.9, epochs=2, batch_size=20, verbose=0)
        twin.fit(X[:40], y[:40], **options)
        assert found.rows[0]["loss"] == pytest.approx(twin.evaluate(*validation_data)[0])
