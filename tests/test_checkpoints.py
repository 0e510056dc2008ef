"""Trainings that are saved and go on: bit for bit as if they had never been interrupted."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import signal
import sys
import types
import warnings
import zlib

import numpy as np
import pytest
from scipy import sparse

import numadelta as nd
from mlp_reference import problem
from numadelta import callbacks, checkpoint, checkpoints, history, hooks, training
from numadelta.hooks import HOOKS

SIZES = (4, 5, 3)
ROWS = 11  # in batches of 4: three an epoch
EPOCHS = 3
BATCHES = 3


class Counter:
    """A callback with a state of numbers and arrays, which each of its hooks changes."""

    def __init__(self):
        self.on_train_begin({})

    def on_train_begin(self, logs):
        self.calls, self.losses = {}, np.zeros(0)

    def count(self, name):
        self.calls = {**self.calls, name: self.calls.get(name, 0) + 1}

    def on_epoch_begin(self, epoch, logs):
        self.count("epoch begin")

    def on_train_batch_end(self, batch, logs):
        self.count("batch end")
        self.losses = np.append(self.losses, logs["loss"])

    def on_epoch_end(self, epoch, logs):
        self.count("epoch end")

    def state_dict(self):
        return {"calls": self.calls, "losses": self.losses}

    def load_state_dict(self, state):
        self.calls, self.losses = state["calls"], np.array(state["losses"])


def stop(**options):
    return nd.callbacks.EarlyStopping(**{"monitor": "val_loss", "patience": 2} | options)


X, Y = problem("cross_entropy", ROWS, SIZES[0], SIZES[-1])
WEIGHTS = np.linspace(0.5, 2, ROWS)
VALIDATION = problem("cross_entropy", 5, SIZES[0], SIZES[-1], seed=1)

# Settings of the network, options of `fit`, and what makes the callbacks.
TRAININGS = {
    "plain": ({}, {}, list),
    "everything": (
        {"dropout": 0.3, "input_dropout": 0.1, "weight_decay": 0.01},
        {
            "validation_data": VALIDATION,
            "sample_weight": WEIGHTS,
            "lr": lambda epoch: 0.5**epoch,
            "global_clipnorm": 0.5,
        },
        lambda: [stop(patience=100), Counter()],
    ),
    "watched": (
        {"dropout": 0.3},
        {"validation_data": VALIDATION, "lr": lambda epoch: 0.5**epoch},
        lambda: [stop(patience=100)],
    ),
    "averaged": (
        {"dropout": 0.3},
        {"validation_data": VALIDATION},
        lambda: [stop(patience=100), nd.callbacks.WeightAveraging()],
    ),
    "shared": ({"weight_decay": 0.1}, {"shared_delta": True}, list),
    "sparse": (
        {"dropout": 0.3},
        {"X": sparse.random_array((ROWS, 4), density=0.5, rng=0), "validation_data": VALIDATION},
        lambda: [Counter(), stop(patience=100)],
    ),
    "in order": (
        {"dtype": np.float64, "activation": "tanh", "input_dropout": 0.2, "seed": 2**70},
        {"shuffle": False, "clipvalue": 0.05, "rho": 0.9, "eps": 1e-4, "lr": 0.7},
        lambda: [Counter()],
    ),
    "binary": (
        {"loss": "binary_cross_entropy", "seed": 3},
        {"y": problem("binary_cross_entropy", ROWS, *SIZES[::2])[1], "sample_weight": WEIGHTS},
        lambda: [],
    ),
    # No loss gains as much: it ends after its second epoch; the weights of the first come back.
    "stopped early": (
        {"dropout": 0.3, "loss": "squared_error"},
        {
            "y": problem("squared_error", ROWS, *SIZES[::2])[1],
            "validation_data": (X, np.full((ROWS, 3), 1e4)),
        },
        lambda: [stop(patience=1, mode="max", min_delta=1e9)],
    ),
}
every_training = pytest.mark.parametrize("training", TRAININGS.values(), ids=TRAININGS)


def begin(training=TRAININGS["plain"], first=(), last=(), **options):
    """Train a fresh network with fresh callbacks; return network, history and callbacks."""
    settings, fixed, make_callbacks = training
    net, callbacks = nd.MLP(SIZES, **settings), [*first, *make_callbacks(), *last]
    options = {"X": X, "y": Y, "epochs": EPOCHS, "batch_size": 4, "verbose": 0} | fixed | options
    return net, net.fit(callbacks=callbacks, **options), callbacks


def interrupted(*arguments, **options):
    """Train like `begin` what is interrupted."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "interrupted by SIG", RuntimeWarning)
        try:
            begin(*arguments, **options)
        except KeyboardInterrupt:  # in the last lines, where the training is over
            pass


def end(net, history, callbacks):
    """Return all that two trainings must have in common, to the last bit."""
    states = [c.state_dict() if hasattr(c, "state_dict") else None for c in callbacks]
    figures = {name: values for name, values in history.history.items() if name != "seconds"}
    return {
        "theta": net.theta.tobytes(),
        "square_avg": net.optimizer.square_avg.tobytes(),
        "acc_delta": net.optimizer.acc_delta.tobytes(),
        "optimizer": (net.optimizer.steps, net.optimizer.rho, net.optimizer.eps),
        "history": repr(figures),
        "epochs": history.epoch,
        "callbacks": repr(states),
    }


def every_batch(folder, **options):
    return nd.Checkpoints(folder, **{"minutes": 0, "keep": 100} | options)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def step(number):
    return f"step-{number:012d}.npz"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def read(path):
    """Return settings and arrays of a checkpoint."""
    return checkpoint.read(path, {"numadelta.Training": 1})


@pytest.fixture
def quick(monkeypatch):
    """Leave the disk out of tests that write thousands of files."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


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


# Bits


@every_training
def test_a_fresh_network_goes_on_from_every_batch_to_the_same_bits(tmp_path, training, quick):
    whole = begin(training, checkpoint=every_batch(tmp_path))
    files = nd.Checkpoints(tmp_path).files()
    steps = whole[0].optimizer.steps
    assert [file.name for file in files] == [step(k) for k in reversed(range(steps + 1))]
    for file in (*files, tmp_path / "best.npz"):
        before = file.read_bytes()
        resumed = begin(training, resume=file)
        assert end(*resumed) == end(*whole), file.name
        assert file.read_bytes() == before
        # Their generators stand at the same place, too.
    for net in (resumed[0], whole[0]):
        net.fit(X, training[1].get("y", Y), epochs=1, batch_size=4, verbose=0)
    assert resumed[0].theta.tobytes() == whole[0].theta.tobytes()


@every_training
def test_a_folder_goes_on_from_any_newest_file_to_the_same_files(tmp_path, training, quick):
    whole = begin(training, checkpoint=every_batch(tmp_path / "whole"))
    files = contents(tmp_path / "whole")
    last = whole[0].optimizer.steps
    for count in range(last + 1):
        folder = tmp_path / f"until{count}"
        folder.mkdir()
        for number in range(count + 1):
            (folder / step(number)).write_bytes(files[step(number)])
        resumed = begin(training, checkpoint=every_batch(folder), resume=True)
        assert end(*resumed) == end(*whole), count
        assert names(folder) == names(tmp_path / "whole")
        assert (
            read(folder / "best.npz")[0]["epoch"] == read(tmp_path / "whole/best.npz")[0]["epoch"]
        )


def test_the_network_that_resumes_may_have_been_trained_before(tmp_path):
    training = TRAININGS["everything"]
    whole = begin(training, checkpoint=every_batch(tmp_path))
    settings, options, make_callbacks = training
    net, callbacks = nd.MLP(SIZES, **settings), make_callbacks()
    options = {"batch_size": 4, "verbose": 0, "callbacks": callbacks} | options
    net.fit(X, Y, epochs=2, **options)
    history = net.fit(X, Y, epochs=EPOCHS, resume=tmp_path / step(4), **options)
    assert end(net, history, callbacks) == end(*whole)


def test_epochs_may_be_more(tmp_path):
    training = TRAININGS["everything"]
    begin(training, checkpoint=tmp_path, epochs=1)
    longer = begin(training, checkpoint=tmp_path, epochs=EPOCHS, resume=True)
    assert end(*longer) == end(*begin(training))


@pytest.mark.parametrize("epochs", [0, 1, 3])
def test_a_training_that_is_done_is_not_trained_again(tmp_path, epochs):
    training = TRAININGS["everything"]
    whole = begin(training, checkpoint=tmp_path)
    resumed = begin(training, checkpoint=tmp_path, epochs=epochs, resume=True)
    assert end(*resumed) == end(*whole)


def test_the_factor_of_the_last_epoch_comes_back_with_a_training_that_is_done(tmp_path):
    net, _, _ = begin(checkpoint=tmp_path, lr=lambda epoch: 0.5**epoch)
    resumed, _, _ = begin(checkpoint=tmp_path, lr=lambda epoch: 0.5**epoch, resume=True)
    assert net.optimizer.lr == 0.25
    assert resumed.optimizer.lr == 0.25


def test_what_early_stopping_ended_stays_ended(tmp_path):
    whole = begin(TRAININGS["stopped early"], checkpoint=tmp_path)
    assert len(whole[1].epoch) == 2 < EPOCHS
    resumed = begin(TRAININGS["stopped early"], checkpoint=tmp_path, resume=True, epochs=9)
    assert end(*resumed) == end(*whole)


@pytest.mark.parametrize("keep", [1, 3])
def test_a_chain_of_resumes_gives_the_same_bits(tmp_path, keep):
    training = TRAININGS["everything"]
    for epochs in range(EPOCHS + 1):
        saver = nd.Checkpoints(tmp_path, keep=keep)
        resumed = begin(training, checkpoint=saver, epochs=epochs, resume=True)
    assert end(*resumed) == end(*begin(training))


def test_the_seconds_of_an_epoch_count_those_before_the_interruption(tmp_path):
    begin(checkpoint=every_batch(tmp_path))
    settings, members = read(tmp_path / step(4))
    settings["seconds"] = 1000.0
    content = {"kind": "numadelta.Training", "version": 1, "arrays": sorted(members)}
    header = json.dumps(content | {"settings": settings})
    np.savez(tmp_path / "slow.npz", header=np.array(header), **members)
    _, history, _ = begin(resume=tmp_path / "slow.npz")
    seconds = history["seconds"]
    assert seconds[0] < 900 < 1000 <= seconds[1] < 1100 and seconds[2] < 900


# Where it resumes from


def test_resume_begins_if_there_is_nothing_yet(tmp_path):
    whole = begin()
    for folder in (tmp_path, tmp_path / "new"):
        assert end(*begin(checkpoint=folder, resume=True)) == end(*whole)


def test_a_path_must_be_there(tmp_path):
    for path, message in ((tmp_path, "no checkpoint in"), (tmp_path / "absent.npz", "absent.npz")):
        with pytest.raises(FileNotFoundError, match=message):
            begin(resume=path)
    with pytest.raises(FileNotFoundError, match="absent"):
        begin(checkpoint=tmp_path / "new", resume=tmp_path / "absent")
    assert names(tmp_path) == []


def test_resume_needs_a_folder():
    with pytest.raises(ValueError, match="resume=True needs checkpoint="):
        begin(resume=True)


def test_what_is_no_place_for_checkpoints_is_refused():
    with pytest.raises(TypeError, match="checkpoint must be a path or Checkpoints, but is 3"):
        begin(checkpoint=3)


@pytest.mark.parametrize("resume", [None, 1, 3.5, b"run"[0]], ids=repr)
def test_resume_is_a_flag_or_a_path(tmp_path, resume):
    with pytest.raises(TypeError):
        begin(checkpoint=tmp_path / "run", resume=resume)
    assert names(tmp_path) == []


@pytest.mark.parametrize("as_string", [str, lambda path: path], ids=["str", "Path"])
def test_a_folder_or_a_file_goes_on_in_another_folder(tmp_path, as_string):
    whole = begin(checkpoint=every_batch(tmp_path / "first"))
    before = contents(tmp_path / "first")
    for name, source in (("a", "first"), ("b", f"first/{step(4)}"), ("c", "first/best.npz")):
        folder = tmp_path / name
        resumed = begin(checkpoint=as_string(folder), resume=as_string(tmp_path / source))
        assert end(*resumed) == end(*whole)
        again = begin(checkpoint=folder, resume=True)
        assert end(*again) == end(*whole)
    assert contents(tmp_path / "first") == before


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_relative_paths_and_links_name_the_same_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("run")
    begin(checkpoint="run", epochs=1)
    begin(checkpoint=tmp_path / "link", resume="run/../run", epochs=2)
    resumed = begin(checkpoint="./run", resume="link")
    assert end(*resumed) == end(*begin())


def test_a_folder_with_another_training_is_refused_and_left_as_it_was(tmp_path):
    begin(checkpoint=tmp_path / "run", epochs=1)
    begin(checkpoint=tmp_path / "other", epochs=1)
    before = contents(tmp_path / "run")
    for resume in (False, tmp_path / "other", tmp_path / "run" / step(3)):
        net = nd.MLP(SIZES)
        theta = net.theta.tobytes()
        with pytest.raises(FileExistsError, match=r"run holds checkpoints .* resume=True"):
            net.fit(X, Y, batch_size=4, verbose=0, checkpoint=tmp_path / "run", resume=resume)
        assert net.theta.tobytes() == theta
        assert net.optimizer is None
        assert contents(tmp_path / "run") == before


def test_so_is_a_folder_with_nothing_but_its_best(tmp_path):
    begin(checkpoint=tmp_path, epochs=9)
    for file in nd.Checkpoints(tmp_path).files():
        file.unlink()
    before = contents(tmp_path)
    with pytest.raises(FileExistsError):
        begin(checkpoint=tmp_path, epochs=1)
    assert contents(tmp_path) == before


def test_other_files_in_the_folder_are_left_alone(tmp_path):
    for name in (
        "notes.txt",
        "step-3.txt",
        "step-0.npz",
        "step-final.npz",
        ".step-x",
        "best.npz.old",
        "data.npz",
    ):
        (tmp_path / name).write_text(name)
    before = contents(tmp_path)
    begin(checkpoint=nd.Checkpoints(tmp_path, keep=1))
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before
    assert sorted(after.keys() - before.keys()) == ["best.npz", step(9)]


def test_a_checkpoints_object_serves_one_training_after_another(tmp_path):
    saver = nd.Checkpoints(tmp_path / "run")
    begin(checkpoint=saver, epochs=0)
    (tmp_path / "run").rename(tmp_path / "moved")
    begin(checkpoint=saver, epochs=0)
    assert names(tmp_path / "run") == [step(0)]


# Other data and options


def halving(factor):
    return lambda epoch: factor**epoch


def test_a_schedule_of_the_same_code_with_other_values_costs_a_warning(tmp_path):
    begin(checkpoint=tmp_path, epochs=1, lr=halving(0.5))
    begin(checkpoint=tmp_path, epochs=2, lr=halving(0.5), resume=np.True_)
    message = "lr is the function of the checkpoint's training, but holds other values"
    with pytest.warns(RuntimeWarning, match=message) as caught:
        begin(checkpoint=tmp_path, epochs=3, lr=halving(0.25), resume=True)
    assert len(caught) == 1


def test_warnings_about_what_is_resumed_point_at_the_call_of_fit(tmp_path):
    begin(checkpoint=tmp_path, epochs=2, lr=halving(0.5))
    (tmp_path / step(6)).write_bytes(b"")
    net = nd.MLP(SIZES)
    options = {"batch_size": 4, "verbose": 0, "lr": halving(0.25), "resume": tmp_path}
    with pytest.warns(RuntimeWarning) as caught:
        line = sys._getframe().f_lineno + 1
        net.fit(X, Y, **options)
    assert [str(warning.message).split()[0] for warning in caught] == ["going", "lr"]
    assert [(warning.filename, warning.lineno) for warning in caught] == [(__file__, line)] * 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 5}, "batch_size is 5 now, .* a training with 4"),
        ({"lr": 0.5}, "lr is 0.5 now, .* a training with 1.0"),
        ({"lr": lambda epoch: 1.0}, "lr is 'a schedule' now, .* a training with 1.0"),
        ({"rho": 0.9}, "rho is 0.9 now, .* a training with 0.95"),
        ({"eps": 1e-5}, "eps is 1e-05 now, .* a training with 1e-06"),
        ({"shuffle": False}, "shuffle is False now, .* a training with True"),
        ({"clipvalue": 1}, "clipvalue is 1.0 now, .* a training with None"),
        ({"global_clipnorm": 2.5}, "global_clipnorm is 2.5 now, .* a training with None"),
        ({"X": X + 1}, "X, y or sample_weight are not the same"),
        ({"X": X[::-1]}, "X, y or sample_weight are not the same"),
        ({"y": Y[::-1]}, "X, y or sample_weight are not the same"),
        ({"X": sparse.csr_array(X)}, "X, y or sample_weight are not the same"),
        ({"sample_weight": WEIGHTS}, "X, y or sample_weight are not the same"),
        ({"X": X[:10], "y": Y[:10]}, "samples is 10 now, .* a training with 11"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_another_option_or_other_data_are_refused_by_name(tmp_path, change, message):
    begin(checkpoint=tmp_path, epochs=1)
    before = contents(tmp_path)
    for where in ({"checkpoint": tmp_path, "resume": True}, {"resume": tmp_path / step(3)}):
        with pytest.raises(ValueError, match=message):
            begin(**where, **change)
    with pytest.raises(ValueError, match=message):
        begin(checkpoint=tmp_path / "new", resume=tmp_path, **change)
    assert contents(tmp_path) == before  # nor is there a new folder


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"activation": "tanh"}, "activation is 'tanh' now, .* a training with 'relu'"),
        ({"weight_decay": 0.5}, "weight_decay is 0.5 now, .* a training with 0.0"),
        ({"dropout": 0.5}, "dropout is 0.5 now, .* a training with 0.0"),
        ({"input_dropout": 0.5}, "input_dropout is 0.5 now, .* a training with 0.0"),
        ({"initialization": "he"}, "initialization is 'he' now, .* a training with 'auto'"),
        ({"dtype": np.float64}, "dtype is 'float64' now, .* a training with 'float32'"),
        ({"seed": 1}, "seed is 1 now, .* a training with 0"),
        ({"activation": (lambda z: z, lambda z: 1.0)}, "activation is None now"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_another_network_is_refused_by_name(tmp_path, setting, message):
    begin(checkpoint=tmp_path, epochs=1)
    with pytest.raises(ValueError, match=message):
        begin((setting, {}, list), checkpoint=tmp_path, resume=True)


def test_other_layers_are_refused(tmp_path):
    begin(checkpoint=tmp_path, epochs=1)
    net = nd.MLP((4, 6, 3))
    with pytest.raises(ValueError, match=r"layer_sizes is \[4, 6, 3\] now, .* \[4, 5, 3\]"):
        net.fit(X, Y, batch_size=4, verbose=0, resume=tmp_path)


@pytest.mark.parametrize("last", [[], [stop(), Counter()]], ids=len)
def test_another_number_of_callbacks_is_refused(tmp_path, last):
    begin(checkpoint=tmp_path, epochs=1, last=[Counter()])
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=r"callbacks .* now, .* a training with \['Counter'\]"):
        begin(checkpoint=tmp_path, resume=True, last=last)
    assert contents(tmp_path) == before


def test_callbacks_without_a_state_may_come_and_go(tmp_path):
    begin(checkpoint=tmp_path, epochs=1, last=[Counter()])
    begin(checkpoint=tmp_path, epochs=2, last=[Watcher(), Counter()], resume=True)
    begin(checkpoint=tmp_path, epochs=3, last=[Counter()], resume=True)


def test_another_schedule_is_refused(tmp_path):
    begin(checkpoint=tmp_path, epochs=1, lr=lambda epoch: 1.0)
    with pytest.raises(ValueError, match="functions is .*'lr'.* now"):
        begin(checkpoint=tmp_path, resume=True, lr=lambda epoch: 0.5)


def test_another_activation_is_refused(tmp_path):
    pairs = [(lambda z: z, lambda z: 1.0), (lambda z: 2 * z, lambda z: 2.0)]
    begin(({"activation": pairs[0]}, {}, list), checkpoint=tmp_path, epochs=1)
    with pytest.raises(ValueError, match="functions is .*'activation'.* now"):
        begin(({"activation": pairs[1]}, {}, list), checkpoint=tmp_path, resume=True)


def test_other_validation_data_are_refused(tmp_path):
    begin(checkpoint=tmp_path, epochs=1)
    with pytest.raises(ValueError, match="validation_data is not the same as in"):
        begin(checkpoint=tmp_path, resume=True, validation_data=VALIDATION)


def test_a_training_that_a_callback_does_not_let_begin_does_not_go_on_either(tmp_path):
    def stop(logs):
        raise StopIteration

    begin(checkpoint=tmp_path, epochs=1)
    watch = types.SimpleNamespace(on_train_begin=stop)
    _, history, _ = begin(checkpoint=tmp_path, resume=True, last=[watch])
    assert history.epoch == [0]


class Watcher:
    def on_epoch_end(self, epoch, logs): ...


def test_a_callback_may_make_its_state_when_the_training_begins(tmp_path):
    class Late(Keeper):
        def __init__(self): ...

        def on_train_begin(self, logs):
            self.value = 0

        def on_epoch_end(self, epoch, logs):
            self.value += 1

    late = Late()
    begin(checkpoint=tmp_path, last=[late])
    assert late.value == EPOCHS


@pytest.mark.parametrize("other", [Watcher(), stop(monitor="loss")], ids=["stateless", "stop"])
def test_other_callbacks_are_refused_with_a_valueerror(tmp_path, other):
    begin(checkpoint=tmp_path, epochs=1, last=[Counter()])
    with pytest.raises(ValueError, match="callback"):
        begin(checkpoint=tmp_path, resume=True, last=[other])


def test_same_options_in_another_form_are_the_same(tmp_path):
    options = {"lr": 0.5, "rho": 0.9, "eps": 1e-4, "clipvalue": 2}
    whole = begin(checkpoint=every_batch(tmp_path), **options)
    other = {
        **{"lr": np.float64(0.5), "rho": np.array(0.9), "eps": np.float64(1e-4), "clipvalue": 2.0},
        **{"batch_size": np.int32(4), "shuffle": np.True_},
        **{"X": np.asfortranarray(X), "y": Y.astype(np.int16)},
    }
    assert end(*begin(resume=tmp_path / step(4), **other)) == end(*whole)


def test_functions_as_layers_go_on(tmp_path):
    pair = (lambda z: np.tanh(z), lambda z: 1 / np.cosh(z) ** 2)
    training = ({"activation": pair}, {}, list)
    whole = begin(training, checkpoint=every_batch(tmp_path))
    assert end(*begin(training, resume=tmp_path / step(4))) == end(*whole)


@pytest.mark.parametrize("note", [(28, 28), {0: "no", 1: "yes"}, float("nan")], ids=repr)
def test_notes_that_json_changes_do_not_stand_in_the_way(tmp_path, note):
    for resume in (False, True):
        net = nd.MLP(SIZES)
        net.notes = {"note": note}
        net.fit(X, Y, batch_size=4, verbose=0, checkpoint=tmp_path, resume=resume)


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


class Keeper:
    """A callback that holds one value and only hands it on."""

    def __init__(self, value=None):
        self.value = value

    def on_epoch_end(self, epoch, logs): ...

    def state_dict(self):
        return {"value": self.value}

    def load_state_dict(self, state):
        self.value = state["value"]


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


def test_numpy_scalars_of_callbacks_come_back_as_numbers(tmp_path):
    assert kept(tmp_path, np.float64(0.1)) == 0.1


class Stepless:
    def on_train_batch_end(self, batch, logs):
        pytest.fail("a step was taken")


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, 1j, Counter, {1: 2.0}, [{"a": np.ones(2)}], [(1, 2)]],
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


# Interruptions


class Interrupter:
    """A callback that raises KeyboardInterrupt in the hook of that number, counted from 0."""

    HOOKS = 2 + EPOCHS * (2 + 2 * BATCHES)

    def __init__(self, number=-1, error=KeyboardInterrupt):
        self.left, self.error = number, error
        for hook in HOOKS:
            setattr(self, hook, self.count)

    def count(self, *arguments):
        self.left -= 1
        if self.left == -1:
            raise self.error


def test_an_interrupted_training_says_so_and_is_saved(tmp_path):
    def interrupt(batch, logs):
        if batch == 1:
            raise KeyboardInterrupt

    watch = types.SimpleNamespace(on_train_batch_end=interrupt)
    with pytest.warns(RuntimeWarning, match="SIGINT in epoch 1 after batch 2") as caught:
        net, history, _ = begin(checkpoint=tmp_path, last=[watch])
    assert [warning.filename for warning in caught] == [__file__]
    assert (history.interrupted, history.epoch) == ("SIGINT", [])
    assert names(tmp_path) == [step(0), step(2)]
    assert nd.MLP.load(tmp_path / step(2)).theta.tobytes() == net.theta.tobytes()
    resumed = begin(checkpoint=tmp_path, resume=True, last=[Watcher()])
    assert resumed[1].interrupted is None
    assert end(*resumed) == end(*begin(last=[Watcher()]))


class Rates:
    """A callback that sets the rates in one hook."""

    def __init__(self, hook):
        setattr(self, hook, self.set_rate)

    def set_model(self, model):
        self.model = model

    def set_rate(self, number, logs):
        optimizer = self.model.optimizer
        optimizer.lr = 1 / (1 + number) + optimizer.steps / 100
        optimizer.rho, optimizer.eps = 0.9 / (1 + number), 1e-6 * (1 + number)


@pytest.mark.parametrize("lr", [1.0, halving(0.5)], ids=["number", "schedule"])
@pytest.mark.parametrize("hook", HOOKS[1:-1])
def test_a_rate_that_a_callback_set_goes_on_in_the_middle_of_an_epoch(tmp_path, hook, lr):
    whole = begin(last=[Rates(hook)], lr=lr)
    for number in range(Interrupter.HOOKS):
        folder = tmp_path / str(number)
        interrupted(checkpoint=folder, last=[Rates(hook), Interrupter(number)], lr=lr)
        resumed = begin(checkpoint=folder, resume=True, last=[Rates(hook)], lr=lr)
        assert end(*resumed) == end(*whole), number


class Factor(Rates):
    """A callback that makes rate and parameters smaller in one hook, and counts how often."""

    calls = 0

    def set_rate(self, number, logs):
        self.model.optimizer.lr *= 0.9
        self.model.theta[:] *= 0.9
        self.calls += 1

    def state_dict(self):
        return {"calls": self.calls}

    def load_state_dict(self, state):
        self.calls = state["calls"]


@pytest.mark.parametrize("first", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("hook", ["on_epoch_begin", "on_train_batch_begin", "on_epoch_end"])
def test_a_hook_that_was_interrupted_is_called_again_from_where_it_began(tmp_path, hook, first):
    whole = begin(last=[Factor(hook)])
    for number in range(1, Interrupter.HOOKS - 1):
        # No other checkpoint than that of the interruption.
        saver = nd.Checkpoints(tmp_path / str(number), epochs=None, minutes=1000)
        callbacks = [Factor(hook), Interrupter(number)]
        interrupted(checkpoint=saver, last=callbacks[::-1] if first else callbacks)
        resumed = begin(checkpoint=saver.folder, resume=True, last=[Factor(hook)])
        assert end(*resumed) == end(*whole), number


class StopsBefore:
    """A callback that counts the batches that begin, and ends the training before that one."""

    def __init__(self, last):
        self.last, self.begun = last, 0

    def set_model(self, model):
        self.model = model

    def on_train_batch_begin(self, batch, logs):
        self.begun += 1
        self.model.optimizer.lr *= 0.5
        if self.begun == self.last:
            raise StopIteration

    def state_dict(self):
        return {"begun": self.begun}

    def load_state_dict(self, state):
        self.begun = state["begun"]


@pytest.mark.parametrize("last", [1, 2, 4, 5])
def test_what_a_callback_stopped_before_a_batch_stays_stopped_and_as_it_was(tmp_path, last):
    net, _, callbacks = begin(checkpoint=tmp_path, last=[StopsBefore(last)])
    assert net.optimizer.steps == last - 1
    again, _, resumed = begin(checkpoint=tmp_path, resume=True, last=[StopsBefore(100)])
    assert again.optimizer.steps == last - 1 and again.optimizer.lr == net.optimizer.lr
    assert resumed[-1].begun == callbacks[-1].begun == last


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_saves_the_training(tmp_path, name):
    kills = iter([False, False, False, True])
    number = getattr(signal, name)
    watch = types.SimpleNamespace(
        on_train_batch_end=lambda batch, logs: next(kills, 0) and os.kill(os.getpid(), number)
    )
    with pytest.warns(RuntimeWarning, match=f"{name} in epoch 2"):
        _, history, _ = begin(checkpoint=tmp_path, last=[watch])
    assert history.interrupted == name
    resumed = begin(checkpoint=tmp_path, resume=True, last=[Watcher()])
    assert end(*resumed) == end(*begin(last=[Watcher()]))
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize("keep", [1, 100])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("training", ["plain", "watched", "stopped early"])
def test_an_interruption_in_any_hook_costs_nothing(tmp_path, quick, training, error, keep):
    training = TRAININGS[training]
    whole = begin(training, last=[Watcher()])
    for number in range(Interrupter.HOOKS):
        saver = every_batch(tmp_path / str(number), keep=keep)
        try:
            interrupted(training, last=[Interrupter(number, error)], checkpoint=saver)
        except ValueError:
            assert error is ValueError
        resumed = begin(training, last=[Watcher()], checkpoint=saver, resume=True)
        assert end(*resumed) == end(*whole), number


@pytest.mark.parametrize("training", ["everything", "sparse"])
def test_nor_does_it_a_callback_that_counts_in_every_hook(tmp_path, quick, training):
    training = TRAININGS[training]
    whole = begin(training, last=[Watcher()])
    for number in range(Interrupter.HOOKS):
        saver = nd.Checkpoints(tmp_path / str(number))
        interrupted(training, last=[Interrupter(number)], checkpoint=saver)
        resumed = begin(training, last=[Watcher()], checkpoint=saver, resume=True)
        assert end(*resumed) == end(*whole), number


def test_nor_one_whose_state_is_its_own_dictionary(tmp_path):
    class Living:
        def __init__(self):
            self.epochs = np.zeros(1)

        def on_epoch_end(self, epoch, logs):
            self.epochs += 1

        def state_dict(self):
            return vars(self)

        def load_state_dict(self, state):
            self.epochs = state["epochs"].copy()

    interrupt = types.SimpleNamespace(on_epoch_end=lambda epoch, logs: Interrupter(0).count())
    interrupted(last=[Living(), interrupt], checkpoint=tmp_path)
    _, _, (living, _) = begin(last=[Living(), Watcher()], checkpoint=tmp_path, resume=True)
    assert living.epochs == [EPOCHS]


def test_an_interruption_in_every_hook_in_turn_costs_nothing(tmp_path, quick):
    training = TRAININGS["watched"]
    whole = begin(training, last=[Watcher()])
    saver = nd.Checkpoints(tmp_path)
    for _ in range(BATCHES * EPOCHS):
        # Hooks 0, 1 and 2 are those of the training, of the epoch or a batch, and of a batch.
        interrupted(training, last=[Interrupter(2)], checkpoint=saver, resume=True)
    resumed = begin(training, last=[Watcher()], checkpoint=saver, resume=True)
    assert end(*resumed) == end(*whole)


# An interruption before every line of the library

FILES = {
    module.__file__ for module in (callbacks, checkpoint, checkpoints, history, hooks, training)
}


def interrupted_at(line, *arguments, **options):
    """Train and raise KeyboardInterrupt before that line, counted as they are run, from 0.

    Tells whether there is such a line.
    """
    left = line

    def before(frame, event, argument):
        nonlocal left
        if event == "line":
            left -= 1
            if left == -1:
                raise KeyboardInterrupt
        return before

    def follow(frame, event, argument):
        return before if frame.f_code.co_filename in FILES else None

    tracer = sys.gettrace()
    sys.settrace(follow)
    try:
        interrupted(*arguments, **options)
    finally:
        sys.settrace(tracer)
    return left < 0


def every(training, stride, folder, start=None):
    """Interrupt a training before each line in turn; what is left must go on to the same bits.

    `start` is a folder to resume from, instead of beginning.
    """
    whole = end(*begin(training))
    for line in itertools.count(0, stride):
        run = folder / str(line)
        if start is not None:
            shutil.copytree(start, run)
        hit = interrupted_at(line, training, checkpoint=every_batch(run, keep=3), resume=True)
        left = names(run) if run.exists() else []
        assert all(name.startswith(("step-", "best.npz")) for name in left), (line, left)
        assert end(*begin(training, checkpoint=every_batch(run), resume=True)) == whole, line
        if not hit:
            return
        shutil.rmtree(run)


# An interruption at the end of a `with` leaves a file to the garbage collector.
unclosed = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore:Exception ignored in")


# Strides are prime and unlike the periods of the training; 1 was tried, too, and takes a minute.
@unclosed
@pytest.mark.parametrize("training", ["plain", "watched"])
def test_an_interruption_anywhere_costs_nothing(tmp_path, quick, training):
    every(TRAININGS[training], 67, tmp_path)


@unclosed
def test_nor_does_one_while_a_callback_ends_the_training(tmp_path, quick):
    every(TRAININGS["stopped early"], 17, tmp_path)


@unclosed
@pytest.mark.parametrize("steps", [0, 2, 3, 9])
def test_an_interruption_while_it_resumes_costs_nothing(tmp_path, quick, steps):
    training = TRAININGS["watched"]
    begin(training, checkpoint=every_batch(tmp_path / "start"))
    for file in nd.Checkpoints(tmp_path / "start").files():
        if file.name > step(steps):
            file.unlink()
    every(training, 97 if steps < 9 else 11, tmp_path, tmp_path / "start")


# The golden file


def golden(**options):
    """Train what made the golden file, which is that of step 5, in the middle of an epoch."""
    net = nd.MLP((2, 3, 2), dropout=0.25, seed=5)
    early = nd.callbacks.EarlyStopping(patience=9)
    samples = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 1]]) - 0.5
    history = net.fit(
        samples,
        [0, 1, 1, 0, 1],
        epochs=4,
        batch_size=2,
        validation_data=(samples[:2], [0, 1]),
        callbacks=[early],
        lr=3.0,
        global_clipnorm=1.0,
        verbose=0,
        **options,
    )
    return net, history, early


# Version 1: compressed, as base64.
GOLDEN = """
eNrNWW+IVFUUf9uq5YKSZLkpybRR259xeW9m3pudmXUnWDJI1AGVCtHH25m3zurszPjem9XNFtwPQkEUFFYIkgSCmVZECeq6Y+AH
A78EQfVF+tCH/hjo1z5U9+E5+ZvLfbOjEuzI8b137znnnnPu+XfvFjZ2L1qn3fo9rh3fdy77D/16tJVa2XVKrjdQrU91aQ9qi1bd
wuPne5u3byq82qVNagf7S65f9Pqzsf6h7UYqZfTHY/1jNS/wnKpd8wQPMbXBqfiuGPfLTt0V308/E49Nx+7+13NQyNAnYK+AcQFV
ASUaywqI0Xs43hAwIcAhHFdARUBAYwMCtgnw6Jv58XM38YoD30niE9L4hFsjfJTBkOh8ogsIcA1fomUdQ/w68S8KKM+zxijpEUTg
JyT8gHizPSoKWXYQXWirlIC0AF1ARoBJ3yaNpaXxJMmYJlpeO0n8dBjTaSzEHSQ+4dOiOZ146YBj0FoG8Q9pdkbYvQj7VFLoqYNM
Osk4SLqnSQ5Lksek+SSMZ+g9rZAjgD2V1zclfE/yQdk3RsmHQp424blE44JP8x57ihgpCBgR8CLJnFL4uw/+wfKr5JkPL6mwWwZ8
JAW2NMDX0OcMoE3Q/iTp3aI5k94TRDsIYxnYQ94z1JVjsqiImyTIxnKj7+u0Vhp8gX0yBd+GNG6CjibEi0H8UqCPTk8DYmRa0qFM
e+CTXzRArwDs1S6PyDQu+JensI0BcqMOadBZJec4+A376FSEf1UIx4/IURy/FuxVAgD3iv0kQ+PsS6rcUQTZ3DbrphT0k5BX7TvQ
wQS7WeAPFsSJDn6tA166Azk60cuAfCjz2w35pUQ8q8Bvoo1unLeTUt60IOemYT4Jeqt0C2UfI+A8z/WVazXb3lPItUOSTwf5MPcn
oe5gfjHgmYB9iivqSgryINrBBBskIC9YgGMoeBogD9tpEPKNCesMQt7K0DpoS5UNUlIttCCPYq5Lg88mQIYoG7CcOtjZhLmkwrYZ
qX9BG5iQ/xNg0wT0IgbUgzTIyj61U+FbUT6TbBMbnfYbGGMW7L0J9SEDtU+X8n8K4mKnIr9iXq0TuIpeeUzq/dwObKDq37hnKdOa
qt4qo+hzovohg+bWQWwg3X6aH6d8VIZeqAR74Chqih4hfxFsUYF+ukjnDdUeYj/mgt1V691rXpd7fVzP7uC8oCts6EAfKeNOK/y7
SjQTsH6M1hyj97uxY/j9AuF5RBfu21aFH8vnM5WMfNbaD3Vpb5vegv2Eexwbznevga6qsxGea+LQF8lyOYr65MC36hzZBzW6Qr1Z
nyJGo/oK9mtPwrHhvBDAfB3i5f+Ot5K0bo30i4qfhCJ/sC/Ugda+C956BN9x2B/2afaJTvbOgXVrCruWaG4KcrTMYwz22FH08ar6
o8r1pqJOsH1kPfw2sbIQ64EPZx8P9Lcj7n7upAaq7lVU+aHdXQvL14B+taKg41hsKOQogv/Vpb6+oeDFd2Cch+Uenn1qVDofyOu0
6+2NiL33oU7UQdf57j3Yvq5ULxqKtZNwftOl814K+ueos9A4+YYqjm1pzlGsLd+HDcK9BvfJcSmOG3DH0EnMTUecndmfSxE0cj2s
wVm+03U4ljzI61G1m2tbcZ6Yu5N+i/OEqtcJwA5R/EP8fWRzzAs2fU9G3PFG8eY+u9Byf/568P5Fvj9fqq3UgrIbOHx9fpnQ+Km+
Ph9LdXR3bqTj93p9fvT+LU3r5ZPN2J4DczPG7PAH1Q/zRxpvrx9481rujbOPzD4bv3jh/LI/5r5d0tecWbEqf+DdM3n7qW3DK7+b
bn52zJ79/Jg91Kr+VW3PNKu/XKjv72s4nms7k7sXqg22jDyU+e30+tylqTM56T0r3ofE+9DSE925BwRsv3Qlt1XAl9fXZr4Q8OfN
k0PXBbTaYGbF+GK2wTJhA6dYtEtuZeG6wbUVDat6+rA1uylr4funvxy01vx+2Fo7kbV+Opa1fhRw6qW/zBC+6XnMagq473vd6hLQ
aoKR2te72AS9wgRFp1IZdYp79YFR1w/sBR0UV57b3Pyq+5Pmqd6ZuSd7rwyfeeVI/u/uj9ff+GhX7vjVQxdunNif+2Hq17kLhSea
7/Sszt98+HS+etYZfuvooebPB86fi02dzxQ2dt23rrv1r2rh38xC6NFu/w51hf/f/hubTBdmk8tkm6UtdM8LTv+ZUSYLo5DJlreQ
5Xs1KSZl2tB7mXZZC+3Io1qrL8uk4a4zaW8L6YbVWqQPFDYuXhJiLRb/4sIe29aEX/8CvIYkNQ==
"""
GOLDEN_THETA = [
    *(-0.8319462, -1.2921956, -0.24968606, 0.32959682, 1.2277945, 0.018731136, 0.03031738),
    *(-0.032182876, 0.0013225824, -0.4516889, -0.6403162, 0.578875, 1.3672682, 0.20237803),
    *(-0.9866719, -0.015592408, 0.015592416),
]
GOLDEN_LOSS = [0.633222759, 0.635569274, 0.712191021, 0.604863989]


def test_a_checkpoint_of_version_1_goes_on_for_ever(tmp_path):
    (tmp_path / "golden.npz").write_bytes(zlib.decompress(base64.b64decode(GOLDEN)))
    net, history, early = golden(resume=tmp_path / "golden.npz")
    # Not to the bit: other processors and libraries round otherwise.
    np.testing.assert_allclose(net.theta, GOLDEN_THETA, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(history["loss"], GOLDEN_LOSS, rtol=1e-5)
    assert history["lr"] == [3.0] * 4
    assert early.best_epoch == 3
    assert early.best == pytest.approx(0.50583792, rel=1e-5)
    loaded = nd.MLP.load(tmp_path / "golden.npz")
    assert (loaded.layer_sizes, loaded.dropout, loaded.seed) == ((2, 3, 2), 0.25, 5)
    assert np.isfinite(loaded.theta).all()


def test_ctrl_c_in_the_last_write_is_an_interruption_like_any_other(tmp_path, monkeypatch):
    saver, stops = nd.Checkpoints(tmp_path), [stop()]
    original = checkpoints.Saver.save

    def save(self, steps, state, best=False):
        if sys._getframe(2).f_code.co_name == "run" and steps:
            raise KeyboardInterrupt
        return original(self, steps, state, best)

    monkeypatch.setattr(checkpoints.Saver, "save", save)
    with pytest.warns(RuntimeWarning, match="interrupted by SIGINT after epoch"):
        _, history, _ = begin(checkpoint=saver, last=stops, validation_data=VALIDATION)
    assert history.interrupted == "SIGINT" and len(history.epoch) > 0
