"""`numadelta train --checkpoint` and `--resume`: bit for bit, and in good order."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import warnings

import numpy as np
import pytest

import numadelta as nd
from numadelta import checkpoint, cli
from numadelta.checkpoints import KIND, VERSION
from numadelta.cli import fitting, resuming
from numadelta.cli import train as train_module

EARLY = ["--early-stopping", "20", "--dropout", "0.2", "--weight-decay", "0.001", "--seed", "3"]


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(3, 2, size=(100, 4))
    np.savez(tmp_path / "data.npz", X=X, y=X[:, 0] > X[:, 1])
    return str(tmp_path / "data.npz")


def run(*arguments):
    return cli.main(["train", *map(str, arguments), "--quiet"])


def begin(data, folder, *arguments, epochs=4):
    options = ["--hidden", "5", "--batch-size", "16", "--epochs", epochs, *EARLY]
    return run("--dataset", data, "--checkpoint", folder, *options, *arguments)


def newest(folder):
    return checkpoint.read(nd.Checkpoints(folder).files()[0], {KIND: VERSION})


def same_training(first, second):
    (settings, members), (others, other_members) = newest(first), newest(second)
    assert settings["steps"] == others["steps"]
    for name in ("theta", "square_avg", "acc_delta"):
        assert members[name].tobytes() == other_members[name].tobytes()
    history, other_history = settings["history"], others["history"]
    for figures in (history, other_history):
        del figures["seconds"]
    # Without JIT the hits are added up in float32, but not what is read from a checkpoint.
    assert history.pop("score") == pytest.approx(other_history.pop("score"), rel=1e-6)
    assert history == other_history


@pytest.fixture
def interrupt(monkeypatch):
    """Return a function that lets a signal come after so many batches, in this process."""

    def after(batches, number=signal.SIGTERM):
        left = iter(range(batches - 1))

        def end_batch(watch, batch, logs):
            if next(left, None) is None:
                monkeypatch.undo()
                os.kill(os.getpid(), number)

        monkeypatch.setattr(fitting._Watch, "on_train_batch_end", end_batch, raising=False)

    return after


@pytest.mark.parametrize(
    ("number", "batches", "status"),
    [(signal.SIGTERM, 7, 143), (signal.SIGINT, 10, 130)],
)
def test_an_interrupted_training_ends_with_the_bits_of_one_that_was_not(
    data, tmp_path, monkeypatch, interrupt, capsys, number, batches, status
):
    whole, cut = tmp_path / "whole", tmp_path / "cut it"
    assert begin(data, whole) == 0
    straight = capsys.readouterr().out
    interrupt(batches, number)
    saved = tmp_path / "net.npz"
    assert begin(data, cut, "--save", saved) == status
    out, err = capsys.readouterr()
    warning, advice = err.splitlines()
    assert out == "" and not saved.exists()
    assert warning.startswith(f"numadelta: warning: interrupted by {number.name} in epoch 2 after")
    assert advice == (
        f"numadelta: the checkpoint is in {cut}; numadelta train --resume '{cut}' goes on"
    )
    assert newest(cut)[0]["batch"] == batches - 5
    monkeypatch.chdir(tmp_path)  # the folder is not where the training began
    assert run("--resume", "cut it") == 0
    same_training(whole, cut)
    out = capsys.readouterr().out
    assert out.split(" in ")[0] == straight.split(" in ")[0]
    assert nd.MLP.load(saved).notes["classes"] == [False, True]


def test_an_interrupted_training_is_saved_where_the_user_said(data, tmp_path, interrupt, capsys):
    interrupt(3)
    saved = tmp_path / "net.npz"
    assert run("--dataset", data, "--hidden", "4", "--save", saved) == 143
    assert f"numadelta: saved {saved} as it is now; --checkpoint" in capsys.readouterr().err
    assert nd.MLP.load(saved).layer_sizes[1] == 4
    before = saved.read_bytes()
    interrupt(3)
    assert run("--dataset", data, "--hidden", "5", "--save", saved) == 143
    assert "nothing was saved; --checkpoint" in capsys.readouterr().err
    assert saved.read_bytes() == before


def test_an_interrupt_before_the_first_step_replaces_no_network(
    data, tmp_path, monkeypatch, capsys
):
    folder, saved = tmp_path / "run", tmp_path / "net.npz"
    assert begin(data, folder, "--save", saved, epochs=2) == 0
    trained, write = saved.read_bytes(), resuming.write

    def interrupted(*arguments):
        write(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(resuming, "write", interrupted)
    assert run("--resume", folder, "--epochs", 3) == 130
    assert saved.read_bytes() == trained
    assert f"the checkpoint is in {folder}" in capsys.readouterr().err
    assert begin(data, tmp_path / "new", "--save", tmp_path / "new.npz") == 130
    assert not (tmp_path / "new.npz").exists()
    assert "nothing was saved, for nothing was done" in capsys.readouterr().err


def test_an_interrupt_before_the_first_step_saves_no_network(data, tmp_path, monkeypatch, capsys):
    def interrupted(watch, logs):
        raise KeyboardInterrupt

    monkeypatch.setattr(fitting._Watch, "on_train_begin", interrupted)
    assert run("--dataset", data, "--hidden", "4", "--save", tmp_path / "net.npz") == 130
    assert not (tmp_path / "net.npz").exists()
    assert "nothing was saved; --checkpoint" in capsys.readouterr().err


def test_a_refused_training_leaves_the_options_of_the_one_before(data, tmp_path, capsys):
    folder = tmp_path / "run"
    assert begin(data, folder, epochs=2) == 0
    options = (folder / "train.json").read_bytes()
    X, y = (np.load(data)[name] for name in ("X", "y"))
    np.savez(data, X=X[::-1], y=y)
    assert run("--resume", folder, "--epochs", 9) == 1
    assert "are not the same" in capsys.readouterr().err
    assert (folder / "train.json").read_bytes() == options
    np.savez(data, X=X, y=y)
    assert run("--resume", folder, "--epochs", 3) == 0


def test_without_checkpoints_an_interruption_says_that_nothing_is_saved(data, interrupt, capsys):
    interrupt(3)
    assert run("--dataset", data, "--hidden", "4") == 143
    assert "nothing was saved; --checkpoint DIR" in capsys.readouterr().err


def test_a_resumed_training_may_have_more_epochs_and_remembers_them(data, tmp_path, capsys):
    long, short = tmp_path / "long", tmp_path / "short"
    assert begin(data, long, epochs=5) == 0
    assert begin(data, short, epochs=2) == 0
    assert json.loads((short / "train.json").read_text())["options"]["epochs"] == 2
    assert run("--resume", short, "--epochs", 5) == 0
    same_training(long, short)
    assert run("--resume", short) == 0
    assert run("--resume", short, "--epochs", 4) == 2
    out, err = capsys.readouterr()
    assert "the training had already ended after 5 epochs; a larger --epochs goes on" in out
    assert out.count("data.npz 4-5-2: test accuracy") == 4
    assert "--epochs is 4, but the training was begun with 5" in err


def test_a_training_that_was_stopped_early_has_ended(tmp_path, capsys):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "noise.npz", X=rng.normal(size=(100, 3)), y=rng.integers(0, 2, 100))
    folder = tmp_path / "run"
    arguments = ["--hidden", "8", "--epochs", "50", "--early-stopping", "2"]
    assert run("--dataset", tmp_path / "noise.npz", "--checkpoint", folder, *arguments) == 0
    first = capsys.readouterr().out
    assert run("--resume", folder) == 0
    second = capsys.readouterr().out.splitlines()
    assert "epochs, stopped early" in second[0]
    assert second[1].split(" in ")[0] == first.split(" in ")[0]


def test_json_and_other_files_may_be_asked_for_anew(data, tmp_path, capsys):
    folder, saved = tmp_path / "run", tmp_path / "other.npz"
    assert begin(data, folder, epochs=1) == 0
    capsys.readouterr()
    assert run("--resume", folder, "--save", saved, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["epochs"] == 1 and result["files"] == [str(saved)]
    assert saved.exists()


def test_options_of_checkpoints_are_passed_on(data, tmp_path, monkeypatch):
    seen = {}

    def fit(net, *data, **options):
        seen.update(options)
        return nd.History()

    monkeypatch.setattr(nd.MLP, "fit", fit)
    options = ["--checkpoint-minutes", "0.5", "--keep", "7"]
    assert begin(data, tmp_path / "deep" / "run", *options) == 0
    saver = seen["checkpoint"]
    assert (saver.minutes, saver.keep, saver.epochs) == (0.5, 7, 1)
    assert saver.folder == tmp_path / "deep" / "run"


def test_a_damaged_checkpoint_is_passed_over_with_a_warning(data, tmp_path, capsys):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert begin(data, whole) == 0
    assert begin(data, cut) == 0
    capsys.readouterr()
    file = nd.Checkpoints(cut).files()[0]
    file.write_bytes(file.read_bytes()[:1000])
    assert run("--resume", cut) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("numadelta: warning: going back to the checkpoint")
    same_training(whole, cut)


def test_with_no_good_checkpoint_there_is_nothing_to_resume(data, tmp_path, capsys):
    folder = tmp_path / "run"
    assert begin(data, folder, epochs=1) == 0
    for file in nd.Checkpoints(folder).files():
        file.write_bytes(b"")
    assert run("--resume", folder) == 1
    assert "numadelta: no good checkpoint in" in capsys.readouterr().err


def test_a_folder_in_use_is_left_alone_and_resume_is_named(data, tmp_path, capsys):
    folder = tmp_path / "run"
    assert begin(data, folder, epochs=1) == 0
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    capsys.readouterr()
    assert begin(data, folder, epochs=3) == 1
    assert f"numadelta train --resume {folder} goes on" in capsys.readouterr().err
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_data_that_has_moved_is_found_where_the_user_says(data, tmp_path, capsys):
    whole, folder, elsewhere = tmp_path / "whole", tmp_path / "run", tmp_path / "elsewhere"
    assert begin(data, whole, epochs=3) == begin(data, folder, epochs=1) == 0
    elsewhere.mkdir()
    moved = shutil.move(data, elsewhere)
    assert run("--resume", folder, "--epochs", 3) == 1
    assert "No such file" in capsys.readouterr().err
    assert run("--resume", folder, "--epochs", 3, "--dataset", moved) == 0
    same_training(whole, folder)
    assert run("--resume", folder) == 0
    assert run("--resume", folder, "--data-dir", tmp_path) == 2
    assert run("--resume", folder, "--epochs", 4, "--dataset", "digits") == 1
    assert "but the checkpoint is of" in capsys.readouterr().err


def test_images_that_have_moved_are_found_where_the_user_says(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 255, (60, 28, 28)), rng.integers(0, 10, 60)
    asked = []

    def load(data_dir=None):
        asked.append(data_dir)
        return (images[:50], labels[:50]), (images[50:], labels[50:])

    monkeypatch.setattr(nd.datasets, "load_mnist", load)
    folder, here, there = (tmp_path / name for name in ("run", "here", "there"))
    assert run("--hidden", "--epochs", 1, "--data-dir", here, "--checkpoint", folder) == 0
    assert run("--resume", folder, "--epochs", 2) == 0
    assert run("--resume", folder, "--epochs", 3, "--data-dir", there) == 0
    assert run("--resume", folder, "--epochs", 4) == 0
    assert asked == [str(path) for path in (here, here, there, there)]


def test_other_data_is_refused(data, tmp_path, capsys):
    folder = tmp_path / "run"
    assert begin(data, folder, epochs=1) == 0
    rng = np.random.default_rng(1)
    np.savez(data, X=rng.normal(size=(100, 4)), y=rng.integers(0, 2, 100))
    assert run("--resume", folder, "--epochs", 2) == 1
    assert "not the same as in the training of the checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize(
    "given",
    [["--rho", "0.9"], ["--target", "4"], ["--checkpoint", "x"], ["--seed", "0"]],
)
def test_resume_takes_no_other_options(tmp_path, capsys, given):
    assert run("--resume", tmp_path, *given) == 2
    assert f"so {given[0]} cannot be given" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "has no train.json"),
        ("{", "train.json is damaged"),
        ("[]", "is no file of `numadelta train`"),
        ('{"format": "numadelta train", "version": 9}', "comes from another version"),
        ('{"format": "numadelta train", "version": 1}', "is damaged: its options"),
        ("good", "there is no checkpoint in"),
    ],
)
def test_a_folder_that_cannot_be_resumed_exits_with_1(tmp_path, capsys, content, message):
    if content == "good":
        options = train_module.DEFAULTS | {"epochs": 3}
        content = json.dumps({"format": "numadelta train", "version": 1, "options": options})
    if content:
        (tmp_path / "train.json").write_text(content)
    assert run("--resume", tmp_path) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("numadelta: ") and message in line


def test_an_option_that_came_later_is_at_its_default(data, tmp_path, capsys):
    folder = tmp_path / "run"
    assert begin(data, folder) == 0
    file = folder / "train.json"
    content = json.loads(file.read_text())
    del content["options"]["shared_delta"]
    file.write_text(json.dumps(content))
    assert run("--resume", folder, "--epochs", 4) == 0
    content["options"]["unheard of"] = 1
    file.write_text(json.dumps(content))
    assert run("--resume", folder, "--epochs", 5) == 1
    assert "its options are not those of a training" in capsys.readouterr().err


def test_a_folder_that_is_not_there_exits_with_1(tmp_path, capsys):
    assert run("--resume", tmp_path / "no") == 1
    assert "there is no folder" in capsys.readouterr().err


def test_the_digits_stay_the_digits_where_mnist_appears_later(tmp_path, monkeypatch):
    pytest.importorskip("sklearn")

    def load(data_dir=None):
        raise FileNotFoundError("no MNIST")

    monkeypatch.delenv("NUMADELTA_DATA", raising=False)
    monkeypatch.setattr(nd.datasets, "load_mnist", load)
    folder = tmp_path / "run"
    assert run("--hidden", "--epochs", 1, "--checkpoint", folder) == 0
    assert json.loads((folder / "train.json").read_text())["options"]["dataset"] == "digits"
    monkeypatch.setattr(nd.datasets, "load_mnist", lambda data_dir=None: 1 / 0)
    assert run("--resume", folder, "--epochs", 2) == 0


def test_what_is_noted_of_warnings_is_put_back(data):
    before = warnings.showwarning
    assert run("--dataset", data, "--hidden", "--epochs", 1) == 0
    assert warnings.showwarning is before


def test_the_command_that_goes_on_is_quoted_as_its_shell_wants_it(monkeypatch):
    for platform, quote in (("linux", "'"), ("win32", '"')):
        monkeypatch.setattr(sys, "platform", platform)
        assert resuming.command("my run") == f"numadelta train --resume {quote}my run{quote}"
