"""When a training is saved, what it holds, and what may be asked for."""

from __future__ import annotations

import json
import types

import numpy as np
import pytest

import numadelta as nd
from numadelta import checkpoints
from saved_training import (
    EPOCHS,
    SIZES,
    TRAININGS,
    VALIDATION,
    Counter,
    Keeper,
    X,
    Y,
    begin,
    end,
    every_batch,
    every_training,
    names,
    read,
    step,
)

# When a checkpoint is written


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({}, [0, 3, 6, 9]),
        ({"epochs": 2}, [0, 6, 9]),
        ({"epochs": None}, [0, 9]),
        ({"epochs": 100}, [0, 9]),
        ({"minutes": 0}, range(10)),
        ({"minutes": 0, "epochs": None}, range(10)),
        ({"minutes": 1000}, [0, 3, 6, 9]),
        ({"minutes": 1000, "epochs": None}, [0, 9]),
    ],
    ids=str,
)
def test_the_files_are_those_asked_for_the_start_and_the_end(tmp_path, options, steps):
    begin(checkpoint=nd.Checkpoints(tmp_path, **options, keep=100))
    assert names(tmp_path) == ["best.npz", *map(step, steps)]


@pytest.mark.parametrize("keep", [1, 2, 3, 4])
def test_the_last_few_are_kept(tmp_path, keep):
    kept = []
    watch = types.SimpleNamespace(on_epoch_end=lambda epoch, logs: kept.append(names(tmp_path)))
    checkpoints = nd.Checkpoints(tmp_path, keep=keep)
    begin(checkpoint=checkpoints, last=[watch], epochs=6)
    kept.append(names(tmp_path))
    for epoch, found in enumerate(kept):
        last = [step(3 * number) for number in range(epoch + 1)][-keep:]
        assert found == ["best.npz"] * (epoch > 0) + last
    assert [path.name for path in checkpoints.files()] == last[::-1]


def test_three_are_kept_after_each_epoch_if_only_a_folder_is_given(tmp_path):
    begin(checkpoint=str(tmp_path), epochs=5)
    assert names(tmp_path) == ["best.npz", step(9), step(12), step(15)]


def test_the_clock_decides_within_an_epoch(tmp_path, monkeypatch):
    now = 0.0
    clock = types.SimpleNamespace(monotonic=lambda: now)
    monkeypatch.setattr("numadelta.checkpoints.time", clock)

    def minute_passes(batch, logs):
        nonlocal now
        now += 60

    watch = types.SimpleNamespace(on_train_batch_end=minute_passes)
    saver = nd.Checkpoints(tmp_path, epochs=None, minutes=2, keep=100)
    begin(checkpoint=saver, last=[watch])
    # At 8 minutes and 8 steps, too; the last is that of the end.
    assert names(tmp_path) == ["best.npz", *map(step, [0, 2, 4, 6, 8, 9])]


def test_the_folder_and_its_parents_are_made(tmp_path):
    begin(checkpoint=tmp_path / "runs" / "first", epochs=0)
    assert names(tmp_path / "runs" / "first") == [step(0)]


def test_a_later_fit_counts_its_steps_from_where_the_optimiser_stands(tmp_path):
    whole = nd.MLP(SIZES, dropout=0.3)
    for net in (whole, nd.MLP(SIZES, dropout=0.3)):
        net.fit(X, Y, epochs=2, batch_size=4, verbose=0)
    net.fit(X, Y, epochs=1, batch_size=4, verbose=0, checkpoint=every_batch(tmp_path))
    assert names(tmp_path) == ["best.npz", *map(step, range(6, 10))]
    history = whole.fit(X, Y, epochs=3, batch_size=4, verbose=0)
    for number in range(6, 10):
        file = tmp_path / step(number)
        resumed = begin(({"dropout": 0.3}, {}, list), resume=file)
        assert end(*resumed) == end(whole, history, [])


@pytest.mark.parametrize("validated", [True, False])
def test_the_best_is_the_epoch_with_the_lowest_validation_loss_or_loss(tmp_path, validated):
    thetas, values = [], []
    figure = "val_loss" if validated else "loss"
    net = nd.MLP(SIZES)

    def note(epoch, logs):
        thetas.append(net.theta.copy())
        values.append(logs[figure])
        best = int(np.argmin(values[:-1])) if epoch else None
        if best is not None:
            assert nd.MLP.load(tmp_path / "best.npz").theta.tobytes() == thetas[best].tobytes()

    data = {"validation_data": VALIDATION} if validated else {}
    watch = [types.SimpleNamespace(on_epoch_end=note)]
    options = {"epochs": 12, "lr": 30.0, "verbose": 0, "callbacks": watch, **data}
    net.fit(X, Y, batch_size=4, checkpoint=tmp_path, **options)
    best = int(np.argmin(values))
    assert values != sorted(values, reverse=True)  # else the last is the best and proves little
    assert nd.MLP.load(tmp_path / "best.npz").theta.tobytes() == thetas[best].tobytes()


def test_the_best_survives_a_resume_that_finds_no_better(tmp_path):
    rates = [1.0]
    schedule = lambda epoch: rates[0]  # noqa: E731 (the same function both times)
    begin(checkpoint=tmp_path, lr=schedule)
    before = nd.MLP.load(tmp_path / "best.npz").theta
    rates[0] = 1000.0
    begin(checkpoint=tmp_path, lr=schedule, epochs=6, resume=True)
    assert nd.MLP.load(tmp_path / "best.npz").theta.tobytes() == before.tobytes()


def test_a_kill_between_an_epoch_and_its_best_costs_nothing(tmp_path):
    begin(checkpoint=tmp_path)
    best = (tmp_path / "best.npz").read_bytes()
    (tmp_path / "best.npz").unlink()
    begin(checkpoint=tmp_path, resume=True)
    loaded, before = read(tmp_path / "best.npz"), tmp_path / "before.npz"
    before.write_bytes(best)
    assert loaded[0]["steps"] == read(before)[0]["steps"] == 9


def test_an_epoch_whose_loss_a_callback_takes_away_is_not_the_best(tmp_path):
    def take_away(epoch, logs):
        if epoch == 2:
            logs["loss"] = None

    watch = types.SimpleNamespace(on_epoch_end=take_away)
    _, history, _ = begin(last=[watch], checkpoint=tmp_path)
    assert history["loss"][2] is None
    assert read(tmp_path / "best.npz")[0]["epoch"] == 1 + int(np.argmin(history["loss"][:2]))


def test_the_seconds_of_an_epoch_are_without_the_checkpoint_before_it(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("numadelta.training.time.perf_counter", lambda: clock[0])
    write = checkpoints.Saver._write
    monkeypatch.setattr(
        checkpoints.Saver,
        "_write",
        lambda *args: (write(*args), clock.__setitem__(0, clock[0] + 10)),
    )
    _, history, _ = begin(checkpoint=tmp_path)
    assert history["seconds"] == [0.0] * EPOCHS


def test_an_epoch_whose_figure_is_nan_is_not_the_best_for_ever(tmp_path, monkeypatch):
    figures = iter([np.nan, 3.0, 2.0])
    monkeypatch.setattr(nd.MLP, "_evaluation", lambda net, *held_out: lambda: (next(figures), 0.0))
    begin(checkpoint=tmp_path, validation_data=VALIDATION)
    assert read(tmp_path / "best.npz")[0]["epoch"] == 3


# What is in a checkpoint


def test_a_file_is_plain_numpy_without_pickle(tmp_path):
    net, history, (early, counter) = begin(TRAININGS["everything"], checkpoint=tmp_path)
    with np.load(tmp_path / step(9), allow_pickle=False) as file:
        members, header = dict(file), json.loads(str(file["header"]))
    assert {name: header[name] for name in ("kind", "version")} == {
        "kind": "numadelta.Training",
        "version": 1,
    }
    assert header["settings"]["steps"] == 9
    assert header["settings"]["epoch"] == 3
    assert header["settings"]["history"] == history.history
    for name, array in {
        "square_avg": net.optimizer.square_avg,
        "acc_delta": net.optimizer.acc_delta,
        "callback0.best_theta": early.state_dict()["best_theta"],
        "callback1.losses": counter.losses,
    }.items():
        assert members[name].tobytes() == array.tobytes()


@every_training
def test_a_network_is_loaded_from_a_checkpoint(tmp_path, training):
    settings = training[0]
    seen = {}
    watch = types.SimpleNamespace(
        set_model=lambda net: seen.update(net=net),
        on_train_batch_end=lambda batch, logs: seen.update(theta=seen["net"].theta.copy()),
    )
    begin(training, last=[watch], checkpoint=tmp_path)
    newest = nd.Checkpoints(tmp_path).files()[0]
    loaded = nd.MLP.load(newest)
    assert loaded.theta.tobytes() == seen["theta"].tobytes()
    assert loaded.optimizer is None
    for name, value in settings.items():
        assert getattr(loaded, name) == value
    nd.MLP.load(tmp_path / "best.npz")


def test_notes_are_in_the_files(tmp_path):
    net = nd.MLP(SIZES)
    net.notes = {"mean": 0.5, "by": "me"}
    net.fit(X, Y, epochs=1, batch_size=4, verbose=0, checkpoint=tmp_path)
    assert nd.MLP.load(tmp_path / step(3)).notes == net.notes


def test_the_files_of_two_trainings_are_equal_but_for_the_time(tmp_path):
    saved = []
    for name in "ab":
        begin(TRAININGS["everything"], checkpoint=tmp_path / name)
        settings, members = read(tmp_path / name / step(9))
        assert settings.pop("seconds") >= 0
        assert min(settings["history"].pop("seconds")) >= 0
        saved.append((settings, {name: array.tobytes() for name, array in members.items()}))
    assert saved[0] == saved[1]


@pytest.mark.parametrize("training", ["everything", "sparse", "in order"])
def test_saving_changes_nothing_about_the_training(tmp_path, training):
    alone = begin(TRAININGS[training])
    saved = begin(TRAININGS[training], checkpoint=every_batch(tmp_path))
    assert end(*saved) == end(*alone)


# Arguments


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "epochs must be at least 1, but is 0"),
        ({"epochs": -1}, ValueError, "epochs"),
        ({"epochs": 1.5}, TypeError, "epochs"),
        ({"epochs": True}, TypeError, "epochs"),
        ({"minutes": -1}, ValueError, "minutes must not be negative, but is -1"),
        ({"minutes": np.nan}, ValueError, "minutes"),
        ({"minutes": "1"}, TypeError, "minutes"),
        ({"keep": 0}, ValueError, "keep must be at least 1, but is 0"),
        ({"keep": None}, TypeError, "keep"),
        ({"keep": 1.0}, TypeError, "keep"),
    ],
    ids=str,
)
def test_arguments_of_checkpoints_are_checked(options, error, message):
    with pytest.raises(error, match=message):
        nd.Checkpoints("run", **options)


@pytest.mark.parametrize("folder", [None, 3, ["run"]])
def test_a_folder_is_a_path(folder):
    with pytest.raises(TypeError):
        nd.Checkpoints(folder)


def test_checkpoints_say_what_they_are():
    text = "Checkpoints('run', epochs=2, minutes=0.5, keep=4)"
    assert repr(nd.Checkpoints("run", epochs=2, minutes=0.5, keep=4)) == text


def test_arguments_are_checked_before_a_folder_is_made(tmp_path):
    for options in ({"batch_size": 0}, {"rho": 2}, {"epochs": -1}, {"y": Y[:3]}):
        with pytest.raises(ValueError):
            begin(checkpoint=tmp_path / "run", **options)
    assert names(tmp_path) == []


# Callbacks


def kept(folder, value):
    """Return what becomes of a callback's state in a checkpoint."""
    begin(checkpoint=folder, last=[Keeper(value)], epochs=1)
    keeper = Keeper()
    begin(checkpoint=folder, last=[keeper], epochs=1, resume=True)
    return keeper.value


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6.0).reshape(2, 3),
        np.float32([[1.5]]),
        np.zeros((0, 3)),
        np.array(3),
        np.array([True, False]),
        np.array(["", "é"]),
        np.arange(3, dtype=">i2"),
        np.array([1 + 2j]),
        np.arange(8)[::-2],
        np.zeros((2, 3))[:, ::2],
        np.array(["2020-01-01"], "M8[D]"),
        np.arange(6.0).reshape(2, 3).T,
    ],
    ids=str,
)
def test_arrays_of_callbacks_come_back(tmp_path, value):
    found = kept(tmp_path, value)
    assert (found.dtype, found.shape) == (value.dtype, value.shape)
    assert found.tolist() == value.tolist()


@pytest.mark.parametrize("value", [None, 1, 2**80, 0.1, float("inf"), "é", [1, [2]], {"a": {}}])
def test_json_values_of_callbacks_come_back(tmp_path, value):
    found = kept(tmp_path, value)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize("number", [np.float64(0.1), np.float32(0.5), np.int64(3), np.True_])
def test_numpy_scalars_of_callbacks_come_back_as_numbers(tmp_path, number):
    assert kept(tmp_path, number) == number


class Stepless:
    def on_train_batch_end(self, batch, logs):
        pytest.fail("a step was taken")


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {1, 2},
        1j,
        np.complex128(1j),
        np.longdouble(1),
        Counter,
        {1: 2.0},
        [{"a": np.ones(2)}],
        [(1, 2)],
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_state_that_no_file_can_hold_is_refused_before_the_first_step(tmp_path, value):
    with pytest.raises(
        TypeError, match="the state_dict of Keeper holds value=.*, but must hold arrays"
    ):
        begin(checkpoint=tmp_path, last=[Keeper(value), Stepless()])
    assert names(tmp_path) == []


def test_so_is_an_array_of_objects(tmp_path):
    with pytest.raises((TypeError, ValueError)):
        begin(checkpoint=tmp_path, last=[Keeper(np.array([{}])), Stepless()])
    assert names(tmp_path) == []


def test_figures_of_callbacks_are_in_the_history(tmp_path):
    def note(epoch, logs):
        logs["mine"] = np.float64(epoch / 3)
        if epoch == 1:
            logs["late"] = "é"

    watch = types.SimpleNamespace(on_epoch_end=note)
    whole = begin(checkpoint=every_batch(tmp_path), last=[watch])
    assert whole[1]["late"] == [None, "é", None]
    for number in range(10):
        resumed = begin(resume=tmp_path / step(number), last=[watch])
        for name in ("mine", "late", "loss"):
            assert resumed[1][name] == whole[1][name]
