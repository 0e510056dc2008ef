"""`numadelta predict`: models of every kind, data of every kind, and what is printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest

import numadelta as nd
from numadelta import cli, datasets
from numadelta.cli import scaling

ROWS = 60


@pytest.fixture(scope="module")
def problem(tmp_path_factory):
    """Train once on a table with words for classes, once on one with prices."""
    folder = tmp_path_factory.mktemp("models")
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(2000, 5, ROWS), rng.normal(size=ROWS)])
    words = np.where(X[:, 1] > 0, "yes", "no, not")
    prices = X[:, 0] * 10 + X[:, 1]
    for name, y in (("words", words), ("prices", prices)):
        lines = [
            f'{year!r},{size!r},"{label}"'
            for (year, size), label in zip(X.tolist(), y, strict=True)
        ]
        text = "\n".join(["year,size,label", *lines])
        (folder / f"{name}.csv").write_text(text)
        options = ["--hidden", "6", "--epochs", "40", "--batch-size", "8", "--quiet"]
        options += ["--checkpoint", str(folder / name), "--save", str(folder / f"{name}.npz")]
        assert cli.main(["train", "--dataset", str(folder / f"{name}.csv"), *options]) == 0
    return folder, X, words, prices


def predict(*arguments):
    return cli.main(["predict", *map(str, arguments)])


def test_labels_come_one_a_line_and_the_score_on_stderr(problem, capsys):
    folder, X, words, _ = problem
    assert predict(folder / "words.npz", folder / "words.csv") == 0
    out, err = capsys.readouterr()
    net = nd.MLP.load(folder / "words.npz")
    expected = [net.notes["classes"][number] for number in net.predict(X)]
    assert out.splitlines() == expected
    right = np.mean(np.array(expected) == words)
    assert right > 0.9
    assert f"words.csv: accuracy {right:.2%} (60 rows)" in err


def test_columns_are_matched_by_name(problem, tmp_path, capsys):
    folder, X, *_ = problem
    shuffled = tmp_path / "shuffled.csv"
    lines = [f"{k},{size!r},{year!r}" for k, (year, size) in enumerate(X.tolist())]
    shuffled.write_text("\n".join(["id,size,year", *lines]))
    assert predict(folder / "words.npz", folder / "words.csv") == 0
    expected = capsys.readouterr().out
    assert predict(folder / "words.npz", shuffled) == 0
    assert capsys.readouterr() == (expected, "")


def test_columns_without_names_are_taken_in_their_order(problem, tmp_path, capsys):
    folder, X, words, _ = problem
    assert predict(folder / "words.npz", folder / "words.csv") == 0
    expected = capsys.readouterr().out
    plain, array, arrays = (tmp_path / name for name in ("plain.csv", "x.npy", "x.npz"))
    plain.write_text("\n".join(f"{year!r},{size!r}" for year, size in X.tolist()))
    np.save(array, X)
    np.savez(arrays, x_test=X, y_test=words)
    for path, scored in ((plain, False), (array, False), (arrays, True)):
        assert predict(folder / "words.npz", path) == 0
        out, err = capsys.readouterr()
        assert out == expected
        assert ("accuracy" in err) == scored


def test_a_target_without_a_name_is_where_it_was_in_the_training(problem, tmp_path, capsys):
    folder, X, words, _ = problem
    for target, order in (("1", [2, 0, 1]), ("3", [0, 1, 2]), (None, [0, 1, 2])):
        cells = [
            [*map(repr, row), f'"{word}"'] for row, word in zip(X.tolist(), words, strict=True)
        ]
        text = "\n".join(",".join(row[place] for place in order) for row in cells)
        (tmp_path / "t.csv").write_text(text)
        arguments = [
            "--dataset",
            str(tmp_path / "t.csv"),
            "--hidden",
            "--batch-size",
            "2",
            "--quiet",
        ]
        arguments += [] if target is None else ["--target", target]
        assert cli.main(["train", *arguments, "--save", str(tmp_path / "t.npz")]) == 0
        capsys.readouterr()
        assert predict(tmp_path / "t.npz", tmp_path / "t.csv") == 0
        assert float(capsys.readouterr().err.split("accuracy ")[1].split("%")[0]) > 80
    assert predict(folder / "words.npz", tmp_path / "t.csv") == 1
    assert "has no header, and a column too many: which is 'label'" in capsys.readouterr().err


def test_a_table_with_names_has_the_target_where_it_was_in_one_without(tmp_path, capsys):
    rows = [f"{k % 2},{k % 3},{'ab'[k % 2]}" for k in range(30)]
    plain, named = tmp_path / "plain.csv", tmp_path / "named.csv"
    plain.write_text("\n".join(rows))
    named.write_text("\n".join(["first,second,kind", *rows]))
    arguments = ["--dataset", str(plain), "--hidden", "--epochs", "3", "--quiet"]
    assert cli.main(["train", *arguments, "--save", str(tmp_path / "net.npz")]) == 0
    capsys.readouterr()
    assert predict(tmp_path / "net.npz", plain) == 0
    expected = capsys.readouterr()
    assert predict(tmp_path / "net.npz", named) == 0
    found = capsys.readouterr()
    assert found.out == expected.out
    assert found.err.split(":")[-1] == expected.err.split(":")[-1]


def test_large_numbers_are_labels_of_their_own():
    keys = [10**18, str(10**18 + 1), 2.0, "2", "2.5", 2.5, "x", True, float("nan"), "1_0"]
    found = [cli.predict._key(label) for label in keys]
    assert found == [10**18, 10**18 + 1, 2, 2, 2.5, 2.5, "x", 1, "nan", "1_0"]


def trained(tmp_path, text, *arguments):
    (tmp_path / "data.csv").write_text(text)
    options = ["--hidden", "--epochs", "20", "--batch-size", "2", "--quiet", *arguments]
    options += ["--save", str(tmp_path / "net.npz")]
    assert cli.main(["train", "--dataset", str(tmp_path / "data.csv"), *options]) == 0
    return tmp_path / "net.npz", tmp_path / "data.csv"


def test_truth_values_are_scored_however_they_are_written(tmp_path, capsys):
    X = np.linspace(-1, 1, 20)
    np.savez(tmp_path / "data.npz", X=X[:, np.newaxis], y=X > 0)
    options = ["--hidden", "4", "--epochs", "20", "--batch-size", "2", "--quiet"]
    options += ["--save", str(tmp_path / "net.npz")]
    assert cli.main(["train", "--dataset", str(tmp_path / "data.npz"), *options]) == 0
    assert nd.MLP.load(tmp_path / "net.npz").notes["classes"] == [False, True]
    scores = []
    for yes, no in (("True", "False"), ("TRUE", "FALSE"), ("1", "0"), ("yes", "no")):
        path = tmp_path / f"{yes}.csv"
        path.write_text(
            "a,target\n" + "".join(f"{x!r},{yes if x > 0 else no}\n" for x in X.tolist())
        )
        capsys.readouterr()
        assert predict(tmp_path / "net.npz", path) == 0
        scores.append(capsys.readouterr().err.split("accuracy")[1])
    assert scores[0] == scores[1] == scores[2] and float(scores[0].split("%")[0]) > 80
    assert float(scores[3].split("%")[0]) == 0


def test_notes_of_the_user_are_no_scaling(tmp_path, capsys):
    X, y = np.random.default_rng(0).normal(size=(9, 2)), np.arange(9) % 2
    net = nd.MLP((2, 2), seed=3)
    np.savez(tmp_path / "data.npz", X=X, y=y)
    printed = []
    own = [{"mean": 0.5, "scale": 255}, {"scaling": None}, {"scaling": {"mean": 0, "scale": 1}}]
    for net.notes in ({}, *own):
        net.save(tmp_path / "net.npz")
        assert predict(tmp_path / "net.npz", tmp_path / "data.npz") == 0
        printed.append(capsys.readouterr())
    assert printed == [printed[0]] * 4


def test_a_member_that_is_no_array_is_named(tmp_path, capsys):
    nd.MLP((2, 2)).save(tmp_path / "net.npz")
    with zipfile.ZipFile(tmp_path / "data.npz", "w") as archive:
        archive.writestr("X", b"hello")
    assert predict(tmp_path / "net.npz", tmp_path / "data.npz") == 1
    assert (
        "data.npz is damaged or no file of NumPy arrays: X is no array" in capsys.readouterr().err
    )


def test_names_of_digits_are_scored_as_names(tmp_path, capsys):
    net, data = trained(tmp_path, "a,code\n" + "0,01\n5,2\n" * 9)
    capsys.readouterr()
    assert predict(net, data) == 0
    assert "accuracy 100.00%" in capsys.readouterr().err
    for rows, score in (("0,1\n5,2\n", 50), ("0,01\n5,2.0\n", 50), ("5,2\n", 100)):
        data.write_text("a,code\n" + rows)
        assert predict(net, data) == 0
        assert f"accuracy {score}.00%" in capsys.readouterr().err
    np.savez(tmp_path / "x.npz", X=[[0.0], [5.0]], y=np.array(["1", "2"]))
    assert predict(net, tmp_path / "x.npz") == 0
    assert "accuracy 50.00%" in capsys.readouterr().err


def test_a_label_of_several_lines_is_a_cell_of_csv(tmp_path, capsys):
    text = "a,label\n" + '0,"say ""a""\nand b"\n5,"a, ""b"""\n' * 9
    net, data = trained(tmp_path, text)
    capsys.readouterr()
    assert predict(net, data) == 0
    assert capsys.readouterr().out == '"say ""a""\nand b"\na, "b"\n' * 9


def test_zeros_that_lead_are_scored_in_a_regression(tmp_path, capsys):
    net, data = trained(tmp_path, "a,y\n" + "0,01\n5,07\n" * 9, "--task", "regression")
    capsys.readouterr()
    assert predict(net, data) == 0
    out, err = capsys.readouterr()
    assert "R^2" in err and "no score" not in err
    net, data = trained(tmp_path, "0,01\n5,07\n" * 9, "--task", "regression")
    assert predict(net, data) == 0
    assert "R^2" in capsys.readouterr().err


def test_a_header_of_numbers_is_known_by_the_names_of_the_network(tmp_path, capsys):
    net, data = trained(tmp_path, "2019,2020,label\n" + "0,1,x\n5,2,y\n" * 9)
    data.write_text("2019,2020\n0,1\n5,2\n")
    capsys.readouterr()
    assert predict(net, data) == 0
    assert capsys.readouterr() == ("x\ny\n", "")


def test_a_plain_network_does_without_the_numbers_of_the_rows(tmp_path, capsys):
    nd.MLP((3, 2), seed=0).save(tmp_path / "net.npz")
    outputs = []
    for text in (
        "a,b,c\n5,3,4\n6,2,1\n",
        ",a,b,c\n0,5,3,4\n1,6,2,1\n",
        ",a,b,c,y\n0,5,3,4,1\n1,6,2,1,0\n",
    ):
        (tmp_path / "x.csv").write_text(text)
        assert predict(tmp_path / "net.npz", tmp_path / "x.csv") == 0
        out, err = capsys.readouterr()
        outputs.append(out)
        assert ("the first column has no name and is left out" in err) == (text[0] == ",")
        assert ("accuracy" in err) == ("y" in text)
    assert outputs[0] == outputs[1] == outputs[2]
    (tmp_path / "x.csv").write_text("0,1,2\n5,3,4\n6,2,1\n")
    assert predict(tmp_path / "net.npz", tmp_path / "x.csv") == 0
    out, err = capsys.readouterr()
    assert out == outputs[0] and "x.csv: the first line is taken for a header" in err


@pytest.mark.parametrize("dtype", [np.longdouble, ">f2", ">f4", "f2", bool])
def test_what_can_be_trained_on_can_be_predicted(tmp_path, capsys, dtype):
    X = np.array([[0, 1], [1, 0]] * 9).astype(dtype)
    path, net = str(tmp_path / "x.npz"), str(tmp_path / "net.npz")
    for y, score in ((X[:, 0], "R^2"), (X[:, 0] > 0, "accuracy")):
        np.savez(path, X=X, y=y)
        task = ["--task", "regression"] if score == "R^2" else []
        assert cli.main(["train", "--dataset", path, "--hidden", "--save", net, *task]) == 0
        capsys.readouterr()
        assert predict(net, path) == 0
        assert f"x.npz: {score}" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["words", "prices"])
def test_a_checkpoint_predicts_on_raw_data_too(problem, capsys, name):
    folder, *_ = problem
    newest = nd.Checkpoints(folder / name).files()[0]  # what --save has, before folding
    for model in (folder / f"{name}.npz", newest):
        assert predict(model, folder / f"{name}.csv") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[:ROWS] == out[ROWS:]


def test_numbers_come_one_a_line(problem, capsys):
    folder, _, _, prices = problem
    assert predict(folder / "prices.npz", folder / "prices.csv") == 0
    out, err = capsys.readouterr()
    found = np.array([float(line) for line in out.splitlines()])
    assert np.corrcoef(found, prices)[0, 1] > 0.8
    assert "R^2 0." in err


def test_probabilities_have_a_header_of_classes(problem, capsys):
    folder, X, *_ = problem
    assert predict(folder / "words.npz", folder / "words.csv", "--proba") == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header == '"no, not",yes'
    proba = np.array([[float(number) for number in line.split(",")] for line in lines])
    np.testing.assert_allclose(proba, nd.MLP.load(folder / "words.npz").predict_proba(X))


def test_json_holds_it_all(problem, capsys):
    folder, *_ = problem
    assert predict(folder / "words.npz", folder / "words.csv", "--proba", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["classes"] == ["no, not", "yes"] and result["rows"] == ROWS
    best = np.argmax(result["probabilities"], axis=1)
    assert [result["classes"][number] for number in best] == result["predictions"]
    assert result["score"] > 0.9


def test_output_goes_to_a_file_as_a_whole(problem, tmp_path, capsys, monkeypatch):
    folder, *_ = problem
    output = tmp_path / "out.txt"
    assert predict(folder / "words.npz", folder / "words.csv", "--output", output) == 0
    assert capsys.readouterr().out == ""
    before = output.read_text()
    assert set(before.splitlines()) == {"yes", "no, not"}

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert predict(folder / "prices.npz", folder / "prices.csv", "--output", output) == 1
    assert "No space left" in capsys.readouterr().err
    assert output.read_text() == before and list(tmp_path.iterdir()) == [output]
    os.mkfifo(tmp_path / "pipe")
    assert predict(folder / "words.npz", folder / "words.csv", "--output", tmp_path / "pipe") == 1
    assert "is no regular file" in capsys.readouterr().err


def test_networks_of_the_library_work_without_notes(tmp_path, capsys):
    X = np.random.default_rng(0).normal(size=(4, 2))
    np.savez(tmp_path / "x.npz", X=X)
    for loss, outputs, columns in (
        ("cross_entropy", 3, 3),
        ("binary_cross_entropy", 1, 1),
        ("binary_cross_entropy", 2, 2),
        ("squared_error", 2, None),
    ):
        net = nd.MLP((2, outputs), loss=loss)
        net.save(tmp_path / "net.npz")
        assert predict(tmp_path / "net.npz", tmp_path / "x.npz") == 0
        found = [line.split(",") for line in capsys.readouterr().out.splitlines()]
        np.testing.assert_array_equal(
            np.array(found, np.float32).squeeze(), net.predict(X).astype(np.float32)
        )
        assert predict(tmp_path / "net.npz", tmp_path / "x.npz", "--proba") == (columns is None)
        out, err = capsys.readouterr()
        if columns is None:
            assert "only networks for classes predict probabilities" in err
        else:
            assert len(out.splitlines()[0].split(",")) == columns


def test_named_data_gives_its_test_part(monkeypatch, tmp_path, capsys):
    images = np.arange(6 * 784, dtype=np.uint8).reshape(6, 28, 28)
    part = images, np.arange(6, dtype=np.uint8)
    monkeypatch.setattr(datasets, "load_mnist", lambda data_dir=None: (part, part))
    nd.MLP((784, 10)).save(tmp_path / "net.npz")
    assert predict(tmp_path / "net.npz", "mnist") == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 6
    assert err.startswith("mnist: accuracy ")


def test_targets_that_cannot_be_scored_cost_a_warning_only(problem, tmp_path, capsys):
    folder, *_ = problem
    open_ = tmp_path / "open.csv"
    open_.write_text("year,size,label\n2000,1,\n2001,0,\n")
    assert predict(folder / "words.npz", open_) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2
    assert err.startswith("numadelta: warning: no score: ") and "a value is missing" in err
    assert predict(folder / "prices.npz", folder / "words.csv") == 0
    assert "no score: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("year,weight\n1,2\n", "lacks the columns 'size'"),
        ("1,2,3,4\n", "X has 4 features, but the network has 2 inputs"),
        ("year,size\n1,x\n", "column 'size', row 1 (line 2)"),
    ],
)
def test_data_that_does_not_fit_is_refused(problem, tmp_path, capsys, text, message):
    folder, *_ = problem
    (tmp_path / "bad.csv").write_text(text)
    assert predict(folder / "words.npz", tmp_path / "bad.csv") == 1
    assert message in capsys.readouterr().err


def test_models_that_are_none_are_refused(problem, tmp_path, capsys):
    folder, *_ = problem
    data = folder / "words.csv"
    (tmp_path / "no.npz").write_bytes(b"no")
    np.savez(tmp_path / "other.npz", a=np.eye(2))
    net = nd.MLP((2, 2))
    net.notes = {scaling.NOTE: {"mean": [1.0, 2.0, 3.0], "scale": "x"}}
    net.save(tmp_path / "notes.npz")
    np.savez(tmp_path / "empty.npz", z=np.eye(2))
    for model, rows, message in (
        (tmp_path / "nowhere.npz", data, "No such file"),
        (tmp_path / "no.npz", data, "corrupt or not a numadelta file"),
        (tmp_path / "other.npz", data, "corrupt or not a numadelta file"),
        (tmp_path / "notes.npz", data, "does not fit"),
        (folder / "words", data, "but a file is needed"),
        (folder / "words.npz", tmp_path / "empty.npz", "holds z, but no X or x_test"),
    ):
        assert predict(model, rows) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("numadelta: ") and message in line


def test_a_closed_pipe_is_quiet(problem, tmp_path):
    folder, X, *_ = problem
    np.save(tmp_path / "many.npy", np.tile(X, (2000, 1)))  # more than a pipe holds
    process = subprocess.Popen(
        [sys.executable, "-m", "numadelta", "predict"]
        + [str(folder / "prices.npz"), str(tmp_path / "many.npy")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Unbuffered, Python does not notice that only a part was written.
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
    )
    assert float(process.stdout.readline()) > 10000
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141
