import re
import sys
import types
from importlib import metadata
from pathlib import Path

import numba
import numpy as np
import pytest
import scipy

import numadelta as nd
from numadelta import bench, cli, datasets, team

slow_without_jit = pytest.mark.skipif(
    bool(numba.config.DISABLE_JIT), reason="training takes minutes in plain Python"
)


@pytest.fixture
def no_mnist(monkeypatch):
    def load(data_dir=None, download=True):
        raise FileNotFoundError("could not download it.\nTried:\n  a mirror")

    monkeypatch.delenv("NUMADELTA_DATA", raising=False)
    monkeypatch.setattr(datasets, "load_mnist", load)


@pytest.fixture
def small_mnist(monkeypatch):
    rng = np.random.default_rng(0)

    def load(data_dir=None, download=True):
        labels = rng.integers(0, 10, 600).astype(np.uint8)
        images = rng.integers(0, 50, (600, 28, 28)).astype(np.uint8)
        images[np.arange(600), labels] = 255
        return (images[:500], labels[:500]), (images[500:], labels[500:])

    monkeypatch.setattr(datasets, "load_mnist", load)


@slow_without_jit
def test_train_reports_accuracy_and_writes_picture_and_network(small_mnist, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    plot, saved = tmp_path / "curves.png", tmp_path / "net.npz"
    arguments = ["--epochs", "5", "--batch-size", "20", "--hidden", "16", "--seed", "3"]
    assert cli.main(["train", *arguments, "--plot", str(plot), "--save", str(saved)]) == 0
    out = capsys.readouterr().out
    assert out.count("\nepoch") + out.startswith("epoch") == 5
    assert float(re.search(r"mnist 784-16-10: test accuracy ([\d.]+)%", out)[1]) > 90
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert nd.MLP.load(saved).layer_sizes == (784, 16, 10)


@slow_without_jit
def test_train_passes_every_option_on(small_mnist, monkeypatch):
    seen = {}

    def fit(net, *data, **options):
        seen.update(options, sizes=net.layer_sizes, activation=net.activation, seed=net.seed)
        return nd.History()

    monkeypatch.setattr(nd.MLP, "fit", fit)
    options = "--hidden 5 4 --activation tanh --epochs 7 --batch-size 9 --lr 0.5 --rho 0.9 "
    options += "--eps 1e-5 --seed 2 --shared-delta --quiet"
    assert cli.main(["train", *options.split()]) == 0
    del seen["validation_data"], seen["callbacks"]
    assert seen == {
        "checkpoint": None,
        "resume": False,
        "epochs": 7,
        "batch_size": 9,
        "verbose": 0,
        "lr": 0.5,
        "rho": 0.9,
        "eps": 1e-5,
        "shared_delta": True,
        "sizes": (784, 5, 4, 10),
        "activation": "tanh",
        "seed": 2,
    }


@slow_without_jit
def test_train_without_mnist_says_so_in_one_line_and_takes_the_digits(no_mnist, capsys):
    pytest.importorskip("sklearn")
    assert cli.main(["train", "--epochs", "10", "--hidden", "32", "--quiet"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("no MNIST, training on scikit-learn's 8x8 digits instead")
    assert float(re.search(r"digits 64-32-10: test accuracy ([\d.]+)%", second)[1]) > 90


@pytest.mark.parametrize("insist", [["--dataset", "mnist"], ["--data-dir", "somewhere"]])
def test_train_fails_where_the_user_insists_on_mnist(no_mnist, insist, capsys):
    assert cli.main(["train", *insist]) == 1
    assert "could not download it" in capsys.readouterr().err


def test_train_fails_where_the_environment_variable_is_wrong(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("NUMADELTA_DATA", str(tmp_path / "nowhere"))
    assert cli.main(["train"]) == 1
    assert "NUMADELTA_DATA" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--plot", "--save"])
def test_train_finds_out_before_training_that_it_cannot_write(option, tmp_path, capsys):
    assert cli.main(["train", option, str(tmp_path / "no" / "file")]) == 1
    assert "there is no folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["train", "--epochs", "0"],
        ["train", "--batch-size", "x"],
        ["train", "--dataset", "cifar"],
        ["train", "--activation", "swish"],
        ["train", "--rho", "1.5"],
        ["train", "--eps", "0"],
        ["train", "--lr", "nan"],
        ["train", "--dropout", "1"],
        ["train", "--input-dropout", "-0.1"],
        ["train", "--weight-decay", "-1"],
        ["train", "--hidden", "8,0"],
        ["train", "--hidden", "8,x"],
        ["train", "--early-stopping", "0"],
        ["train", "--checkpoint-minutes", "-1"],
        ["train", "--keep", "0"],
        ["train", "--seed", "-1"],
        ["train", "--dataset", "data.xlsx"],
        ["train", "--task", "clustering"],
        ["predict", "net.npz"],
        ["predict", "net.npz", "data.txt"],
        ["sweep", "--rho", "0.9", "1"],
        ["sweep", "--plot", "map"],
        ["sweep", "--seeds", "0"],
        ["bench", "--plot", "medians.xlsx"],
    ],
)
def test_bad_usage_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--keep", "2"], "--keep needs --checkpoint DIR"),
        (["--checkpoint-minutes", "2"], "--checkpoint-minutes needs --checkpoint DIR"),
        (["--dataset", "digits", "--data-dir", "x"], "--data-dir is for MNIST"),
        (["--dataset", "x.csv", "--data-dir", "x"], "--data-dir is for MNIST"),
        (["--dataset", "x.npz", "--target", "y"], "--target is for --dataset FILE.csv"),
    ],
)
def test_options_that_contradict_each_other_exit_with_2(arguments, message, capsys):
    assert cli.main(["train", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"numadelta: {message}")


def test_what_is_out_of_range_is_named(capsys):
    with pytest.raises(SystemExit):
        cli.main(["train", "--rho", "1.5"])
    assert "argument --rho: rho must be in [0, 1)" in capsys.readouterr().err


def test_a_data_set_that_is_named_comes_from_its_loader(small_mnist, monkeypatch, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    asked = []

    def load(data_dir=None, download=True):
        asked.append(data_dir)
        return datasets.load_mnist()

    monkeypatch.setattr(datasets, "load_fashion_mnist", load)
    arguments = ["--dataset", "fashion-mnist", "--data-dir", "there", "--epochs", "1"]
    folder = tmp_path / "pictures"
    assert cli.main(["train", *arguments, "--hidden", "--plot", str(folder)]) == 0
    assert asked == ["there"]
    assert "fashion-mnist 784-10: test accuracy" in capsys.readouterr().out
    pictures = {path.stem: path.read_bytes()[:4] for path in folder.iterdir()}
    assert pictures == dict.fromkeys(
        ("learning-curves", "effective-rates", "first-layer", "confusion-matrix"), b"\x89PNG"
    )


def test_an_unexpected_error_is_one_line_too(monkeypatch, capsys):
    def load(data_dir=None):
        raise KeyError("two\nlines")

    monkeypatch.setattr(datasets, "load_mnist", load)
    assert cli.main(["train"]) == 1
    assert capsys.readouterr().err == "numadelta: KeyError: 'two\\nlines'\n"


def test_ctrl_c_outside_of_the_training_exits_with_130(monkeypatch, capsys):
    def load(data_dir=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(datasets, "load_mnist", load)
    assert cli.main(["train"]) == 130
    assert capsys.readouterr().err == "numadelta: interrupted\n"


def test_info_names_versions_threads_blas_and_gpu(capsys):
    assert cli.main(["info"]) == 0
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert rows["numadelta"] == nd.__version__
    assert rows["numba"].strip() == numba.__version__
    assert {"threads", "BLAS", "GPU", "python", "scipy", "joblib", "threadpoolctl"} <= set(rows)


@pytest.mark.parametrize(("found", "text"), [(True, "for narrow networks"), (False, "not used")])
def test_info_says_whether_tiles_are_used(monkeypatch, capsys, found, text):
    monkeypatch.setattr(team, "has_registers", lambda: found)
    assert cli.main(["info"]) == 0
    assert f"\ntiles         {text}" in capsys.readouterr().out


def test_info_does_without_what_numpy_does_not_know(monkeypatch, capsys):
    monkeypatch.setattr(np, "show_config", lambda mode: {"Build Dependencies": {"blas": {}}})
    monkeypatch.setattr("importlib.metadata.version", _not_installed)
    assert cli.main(["info"]) == 0
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert rows["BLAS"].startswith("unknown unknown")
    assert rows["scipy"] == scipy.__version__


def _not_installed(name):
    raise metadata.PackageNotFoundError(name)


def test_bench_passes_its_options_on(monkeypatch):
    monkeypatch.setattr(bench, "run", lambda **options: options)
    assert cli.main(["bench"]) == {"quick": False, "json": False, "plot": None}
    assert cli.main(["bench", "--quick", "--json", "--plot", "medians.png"]) == {
        "quick": True,
        "json": True,
        "plot": Path("medians.png"),
    }


def test_bench_of_growth_is_another_module(monkeypatch, capsys):
    growth = types.ModuleType("numadelta.bench.growth")
    growth.run = lambda *arguments: arguments
    monkeypatch.setitem(sys.modules, "numadelta.bench.growth", growth)
    monkeypatch.setattr(bench, "growth", growth, raising=False)
    monkeypatch.setattr(bench, "run", lambda **options: pytest.fail("it compares"))
    assert cli.main(["bench", "--growth", "curves"]) == ("curves", False, False)
    arguments = ["bench", "--growth", "curves", "--quick", "--json"]
    assert cli.main(arguments) == ("curves", True, True)
    assert cli.main([*arguments, "--plot", "medians.png"]) == 2
    assert "--plot is for the comparison" in capsys.readouterr().err


def test_bench_refuses_a_picture_in_no_folder(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    assert cli.main(["bench", "--plot", str(tmp_path / "no" / "medians.png")]) == 1
    assert "there is no folder" in capsys.readouterr().err
