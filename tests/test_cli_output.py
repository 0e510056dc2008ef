"""What `numadelta train`, `predict` and `sweep` write: places, encodings, and nothing lost."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
import warnings

import numpy as np
import pytest

import numadelta as nd
from numadelta import cli, files, plotting
from numadelta.cli import sources

QUICK = ["--hidden", "3", "--epochs", "1", "--quiet"]
OPTIONS = {"data_dir": None, "target": None, "task": None}
rng = np.random.default_rng(0)
X = rng.normal(size=(60, 3))

needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")


@pytest.fixture
def data(tmp_path):
    np.savez(tmp_path / "data.npz", X=X, y=X[:, 0] > 0)
    return str(tmp_path / "data.npz")


def train(*arguments):
    return cli.main(["train", *map(str, arguments), *QUICK])


# Places


@needs_links
def test_a_link_stays_and_leads_to_what_was_written(data, tmp_path):
    target, link = tmp_path / "there.npz", tmp_path / "link.npz"
    link.symlink_to(target)
    assert train("--dataset", data, "--save", link) == 0
    assert link.is_symlink() and nd.MLP.load(target).layer_sizes == (3, 3, 2)
    out = tmp_path / "out.csv"
    out.write_text("old")
    (tmp_path / "linked.csv").symlink_to(out)
    arguments = [str(target), data, "--output", str(tmp_path / "linked.csv")]
    assert cli.main(["predict", *arguments]) == 0
    assert (tmp_path / "linked.csv").is_symlink() and out.read_text().count("\n") == 60


@needs_links
def test_a_file_keeps_its_mode(tmp_path):
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o600)
    files.replace(path, b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o600)


def test_a_name_may_be_as_long_as_the_system_allows(tmp_path):
    path = tmp_path / ("n" * 251 + ".npz")
    nd.MLP((1, 2)).save(path)
    assert nd.MLP.load(path).layer_sizes == (1, 2)


@pytest.mark.parametrize("option", ["--save", "--plot"])
def test_a_place_that_cannot_be_written_to_is_found_out_before_the_training(
    data, tmp_path, monkeypatch, capsys, option
):
    pytest.importorskip("matplotlib")
    locked = tmp_path / "locked"
    locked.mkdir()
    may = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != locked and may(path, mode))
    monkeypatch.setattr(nd.MLP, "fit", None)
    where = locked / "net.npz" if option == "--save" else locked
    assert train("--dataset", data, option, where) == 1
    assert capsys.readouterr().err == f"numadelta: {locked}: Permission denied\n"


def test_a_full_disk_is_told_with_the_picture(data, tmp_path, monkeypatch, capsys):
    figure = pytest.importorskip("matplotlib.figure")

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(figure.Figure, "savefig", full)
    assert train("--dataset", data, "--plot", tmp_path / "p.png") == 1
    assert capsys.readouterr().err == f"numadelta: {tmp_path / 'p.png'}: No space left on device\n"


def test_a_file_that_is_read_only_is_not_replaced(data, tmp_path, monkeypatch, capsys):
    path, may = tmp_path / "net.npz", os.access
    path.write_text("precious")
    monkeypatch.setattr(os, "access", lambda place, mode: place != path and may(place, mode))
    monkeypatch.setattr(nd.MLP, "fit", None)
    assert train("--dataset", data, "--save", path) == 1
    assert capsys.readouterr().err == f"numadelta: {path}: Permission denied\n"


def test_a_picture_that_is_there_is_written_over_where_its_folder_is_locked(
    data, tmp_path, monkeypatch, capsys
):
    pytest.importorskip("matplotlib")
    path, may = tmp_path / "p.png", os.access
    monkeypatch.setattr(os, "access", lambda place, mode: place != tmp_path and may(place, mode))
    assert train("--dataset", data, "--plot", path) == 1
    assert capsys.readouterr().err == f"numadelta: {tmp_path}: Permission denied\n"
    path.write_text("old")
    assert train("--dataset", data, "--plot", path) == 0
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("command", ["train", "sweep", "bench"])
def test_without_matplotlib_the_extra_is_named_at_once(tmp_path, monkeypatch, capsys, command):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert cli.main([command, "--plot", str(tmp_path / "p.png")]) == 1
    assert capsys.readouterr().err == (
        "numadelta: --plot needs matplotlib: pip install numadelta[plot]\n"
    )


@needs_links
def test_a_link_in_the_folder_of_a_training_is_not_followed(data, tmp_path):
    (tmp_path / "run").mkdir()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    victim.chmod(0o4700)
    (tmp_path / "run" / "train.json").symlink_to(victim)
    assert train("--dataset", data, "--checkpoint", tmp_path / "run") == 0
    written = tmp_path / "run" / "train.json"
    assert victim.read_text() == "precious" and not written.is_symlink()
    assert not written.stat().st_mode & 0o7000


def test_targets_that_cannot_be_scaled_are_refused_before_the_training(
    tmp_path, monkeypatch, capsys
):
    y = X[:9, 0].copy()
    y[3] = 1e60
    np.savez(tmp_path / "data.npz", x_train=X, y_train=X[:, 0], x_test=X[:9], y_test=y)
    monkeypatch.setattr(nd.MLP, "fit", None)
    assert train("--dataset", tmp_path / "data.npz", "--early-stopping") == 1
    assert "the targets have a value that is too far" in capsys.readouterr().err


def test_names_of_places_are_those_of_places_also_if_they_are_those_of_data(
    data, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert train("--dataset", "data.npz", "--checkpoint", "run", "--save", "digits") == 0
    options = json.loads((tmp_path / "run" / "train.json").read_text())["options"]
    assert options["save"] == str(tmp_path / "digits")
    assert options["dataset"] == data


# Nothing lost


def test_the_network_is_saved_before_anything_is_printed(data, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("builtins.print", full)
    saved = tmp_path / "net.npz"
    with pytest.raises(OSError, match="No space"):
        train("--dataset", data, "--save", saved)
    assert nd.MLP.load(saved).layer_sizes == (3, 3, 2)


def test_test_data_that_cannot_be_scaled_is_refused_before_the_training(
    tmp_path, monkeypatch, capsys
):
    bad = X[:9].copy()
    bad[4, 1] = 1e60
    arrays = {"x_train": X, "y_train": X[:, 0] > 0, "x_test": bad, "y_test": bad[:, 0] > 0}
    np.savez(tmp_path / "data.npz", **arrays)
    monkeypatch.setattr(nd.MLP, "fit", None)
    assert train("--dataset", tmp_path / "data.npz", "--early-stopping") == 1
    assert "column 2 has a value that is too far" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("platform", "error", "status"),
    [
        ("linux", BrokenPipeError(), 141),
        ("win32", BrokenPipeError(), 141),
        ("win32", OSError(errno.EINVAL, "Invalid argument"), 141),
        ("win32", OSError(errno.EINVAL, "Invalid argument", "a*.csv"), 1),
        ("linux", OSError(errno.EINVAL, "Invalid argument"), 1),
    ],
)
def test_windows_has_another_error_for_a_closed_pipe(monkeypatch, platform, error, status):
    def load(*_):
        raise error

    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(sources, "load", load)
    monkeypatch.setattr(cli, "_forget_stdout", lambda: None)
    assert train() == status


def test_warnings_are_shown_as_before_whatever_is_restored(monkeypatch, tmp_path):
    class Forgetful(warnings.catch_warnings):
        def __exit__(self, *reason):
            shown = warnings.showwarning
            super().__exit__(*reason)
            warnings.showwarning = shown

    before = warnings.showwarning
    monkeypatch.setattr(warnings, "catch_warnings", Forgetful)
    assert train("--dataset", tmp_path / "no.csv") == 1
    shown = warnings.showwarning
    warnings.showwarning = before
    assert shown is before


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_stream_that_the_shell_has_closed_is_not_missed(data, monkeypatch, name):
    monkeypatch.setattr(sys, name, None)
    assert cli.main(["train", "--dataset", data, *QUICK[:-1]]) == 0


def test_what_belongs_to_a_closed_stream_does_not_go_to_the_other(data, tmp_path, monkeypatch):
    nd.MLP((3, 2)).save(tmp_path / "net.npz")
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(sys, "stdout", out)
    assert cli.main(["predict", str(tmp_path / "net.npz"), data, "--json"]) == 0
    assert len(json.loads(out.getvalue())["predictions"]) == 60


def test_a_name_that_does_not_fit_the_encoding_is_printed_in_another_way(python, tmp_path):
    np.savez(tmp_path / "数据.npz", X=X, y=X[:, 0] > 0)
    script = """
    from numadelta import cli
    raise SystemExit(cli.main(["train", "--dataset", "数据.npz", "--hidden", "3", "--epochs", "1"]))
    """
    out = python(script, PYTHONIOENCODING="cp1252", PYTHONUTF8="0")
    assert r"\u6570\u636e.npz 3-3-2: test accuracy" in out


def test_a_label_that_does_not_fit_the_encoding_is_an_error_and_not_rewritten(python, tmp_path):
    np.savez(tmp_path / "data.npz", X=X, y=np.where(X[:, 0] > 0, "数", "据"))
    saved = tmp_path / "net.npz"
    assert train("--dataset", tmp_path / "data.npz", "--save", saved) == 0
    script = f"""
    import sys
    from numadelta import cli
    sys.stderr = sys.stdout
    print(cli.main(["predict", {str(saved)!r}, {str(tmp_path / "data.npz")!r}]))
    """
    out = python(script, PYTHONIOENCODING="cp1252", PYTHONUTF8="0")
    assert "can't encode" in out and out.endswith("1")


def test_json_is_ascii(tmp_path, capsys):
    np.savez(tmp_path / "data.npz", X=X, y=np.where(X[:, 0] > 0, "größer", "数据😀"))
    assert train("--dataset", tmp_path / "data.npz", "--json") == 0
    assert json.loads(capsys.readouterr().out)["task"] == "classification"
    nd.MLP((3, 2)).save(tmp_path / "größe.npz")
    arguments = [str(tmp_path / "größe.npz"), str(tmp_path / "data.npz"), "--json"]
    assert cli.main(["predict", *arguments]) == 0
    out = capsys.readouterr().out
    assert out.isascii() and json.loads(out)["model"] == arguments[0]


# What was meant


def test_options_are_not_abbreviated(data, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["sweep", "--dataset", data, "--seed", "42"])
    assert caught.value.code == 2
    assert "unrecognized arguments: --seed 42" in capsys.readouterr().err


def test_a_stray_cell_does_not_make_classes_of_numbers(tmp_path, capsys):
    lines = [f"{a},{b},{a + b}" for a, b, _ in X.tolist()]
    (tmp_path / "data.csv").write_text("\n".join(["a,b,price", *lines, "1,2,unknown"]))
    path = str(tmp_path / "data.csv")
    assert train("--dataset", path) == 1
    assert (
        "column 'price', row 61 (line 62): 'unknown' is no number, as 60 of 61 targets are; "
        "--task classification takes all for names"
    ) in capsys.readouterr().err
    source = sources.load(OPTIONS | {"dataset": path, "task": "classification"})
    assert len(source.classes) == 61


@pytest.mark.parametrize("strays", [1, 10, 11, 51])
def test_more_than_half_of_the_cells_are_no_strays(tmp_path, strays):
    targets = [f"name {k}" if k < strays else k / 7 for k in range(100)]
    lines = [f"{k},{target}" for k, target in enumerate(targets)]
    (tmp_path / "data.csv").write_text("\n".join(["a,price", *lines]))
    options = OPTIONS | {"dataset": str(tmp_path / "data.csv")}
    if strays > 50:
        assert len(sources.load(options).classes) == 100
    else:
        message = f"as {100 - strays} of 100 targets are" if strays < 11 else "100 in 100 rows"
        with pytest.raises(ValueError, match=message):
            sources.load(options)


def test_a_class_that_is_not_a_number_is_refused(tmp_path, capsys):
    y = np.where(X[:, 0] > 0, 1.0, 0.0)
    y[7] = np.nan
    np.savez(tmp_path / "data.npz", X=X, y=y)
    assert train("--dataset", tmp_path / "data.npz", "--task", "classification") == 1
    assert "y must be finite, but holds nan" in capsys.readouterr().err


def test_arrays_that_are_not_needed_are_not_read(tmp_path):
    when, names = np.array(["2026-11-26"], "datetime64[D]"), np.array([None, "a"], object)
    np.savez(tmp_path / "data.npz", X=X, y=X[:, 0] > 0, when=when, names=names)
    assert train("--dataset", tmp_path / "data.npz") == 0


def test_signed_and_unsigned_classes_are_classes(tmp_path):
    y = (X[:, 0] > 0).astype(np.uint64)
    arrays = {"x_train": X, "y_train": y, "x_test": X[:9], "y_test": y[:9].astype(np.int64)}
    np.savez(tmp_path / "data.npz", **arrays)
    source = sources.load(OPTIONS | {"dataset": str(tmp_path / "data.npz")})
    assert source.classes == [0, 1]


def test_a_target_that_is_one_number_is_refused(tmp_path, capsys):
    np.savez(tmp_path / "data.npz", X=X, y=1)
    assert train("--dataset", tmp_path / "data.npz") == 1
    assert r"have shapes (60, 3) and ()" in capsys.readouterr().err


def test_a_tilde_is_the_home_folder_but_not_that_of_nobody(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert train("--dataset", "~/data.npz", "--save", "~/net.npz") == 0
    assert cli.main(["predict", "~/net.npz", "~/data.npz"]) == 0
    capsys.readouterr()
    assert train("--dataset", "~$data.npz") == 1
    assert "data.npz: No such file or directory" in capsys.readouterr().err


def test_a_folder_of_mnist_is_no_option_for_other_data(data, tmp_path, capsys):
    nd.MLP((3, 2)).save(tmp_path / "net.npz")
    arguments = [str(tmp_path / "net.npz"), data, "--data-dir", str(tmp_path)]
    assert cli.main(["predict", *arguments]) == 2
    assert "--data-dir is for MNIST" in capsys.readouterr().err


# Pictures


def test_labels_with_dollar_signs_are_no_formulas():
    figure = pytest.importorskip("matplotlib.figure").Figure()
    labels = ["$0k-$50k", r"$\frac$"]
    ax = plotting.confusion_matrix(labels, labels, labels, ax=figure.subplots())
    figure.draw_without_rendering()
    for axis in (ax.xaxis, ax.yaxis):
        assert [text.get_text() for text in axis.get_ticklabels()] == labels
        assert not any(text.get_parse_math() for text in axis.get_ticklabels())


def test_the_curves_of_one_epoch_are_points_at_one():
    figure = pytest.importorskip("matplotlib.figure").Figure()
    history = nd.MLP((3, 2), seed=0).fit(X, X[:, 0] > 0, epochs=1, batch_size=60, verbose=0)
    ax = plotting.learning_curves(history, ax=figure.subplots())
    figure.draw_without_rendering()
    assert ax.lines[0].get_marker() == "o"
    assert [tick for tick in ax.get_xticks() if 0.9 < tick < 1.1] == [1]
    score = ax.figure.axes[1]
    assert score.lines[0].get_marker() == "o"
