"""`numadelta train` on files: tables, tasks, parts, standardisation, JSON and pictures."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest

import numadelta as nd
from numadelta import cli
from numadelta.cli import scaling, sources, tables

QUICK = ["--hidden", "5", "--epochs", "2", "--quiet"]
OPTIONS = {"data_dir": None, "target": None, "task": None}


def problem(rows=60, seed=0):
    """Return columns of very different size, one of them constant, and three classes."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.normal(1e5, 3, rows), rng.normal(size=rows), np.full(rows, 7.0)])
    return X, np.digitize(X[:, 1], [-0.4, 0.4])


@pytest.fixture
def npz(tmp_path):
    def write(name="data.npz", **arrays):
        np.savez(tmp_path / name, **arrays)
        return str(tmp_path / name)

    return write


@pytest.fixture
def table(tmp_path):
    def write(text, name="data.csv"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return str(tmp_path / name)

    return write


def rows_of(X, y, header="a,b,c,kind"):
    lines = [
        ",".join(map(repr, row)) + f",{label}" for row, label in zip(X.tolist(), y, strict=True)
    ]
    return "\n".join([*([header] if header else []), *lines]) + "\n"


def load(path, **options):
    return sources.load(OPTIONS | {"dataset": path} | options)


def train(*arguments):
    return cli.main(["train", *map(str, arguments)])


# Files


def test_a_table_with_names_is_trained_on_and_the_saved_file_takes_raw_data(
    table, tmp_path, capsys
):
    X, y = problem(150)
    words = np.array(["low", "mid", "high"])[y]
    path, saved = table(rows_of(X, words)), tmp_path / "net.npz"
    arguments = ["--hidden", "8", "--epochs", "60", "--batch-size", "10", "--quiet"]
    assert train("--dataset", path, *arguments, "--save", saved) == 0
    out = capsys.readouterr().out
    assert "data.csv 3-8-3: test accuracy" in out
    assert f"saved {saved}" in out
    net = nd.MLP.load(saved)
    assert net.notes == {
        "dataset": "data.csv",
        "classes": ["high", "low", "mid"],
        "columns": ["a", "b", "c"],
        "target": "kind",
    }
    assert np.mean(np.array(net.notes["classes"])[net.predict(X)] == words) > 0.9


def test_the_saved_file_predicts_what_the_trained_network_does(monkeypatch, npz, tmp_path):
    X, y = problem()
    seen = []
    fit = nd.MLP.fit
    monkeypatch.setattr(
        nd.MLP, "fit", lambda net, *data, **options: seen.append(net) or fit(net, *data, **options)
    )
    for task in ("classification", "regression"):
        for hidden in (["6"], []):  # the one layer of the second takes both foldings
            saved = tmp_path / "net.npz"
            path = npz(X=X, y=y * 1000 - 3)
            arguments = ["--dataset", path, *QUICK, "--task", task, "--weight-decay", "0.01"]
            assert train(*arguments, "--save", saved, "--hidden", *hidden) == 0
            net, raw = seen[-1], nd.MLP.load(saved)
            scale = scaling.Scaling.of(load(path, task=task))
            noted = net.notes[scaling.NOTE]
            assert noted["mean"] == scale.mean and noted["scale"] == scale.scale
            assert scaling.NOTE not in raw.notes
            standard = scale.samples(X)
            if task == "classification":
                assert raw.notes["classes"] == [-3, 997, 1997]
                np.testing.assert_allclose(
                    raw.predict_proba(X), net.predict_proba(standard), rtol=1e-4
                )
                np.testing.assert_array_equal(raw.predict(X), net.predict(standard))
            else:
                expected = net.predict(standard) * scale.target_scale + scale.target_mean
                np.testing.assert_allclose(raw.predict(X), expected, rtol=1e-4, atol=1e-2)
                assert np.ptp(expected) > 100


def test_columns_of_bool_as_pandas_writes_them_are_zeros_and_ones(table):
    cells = [("True", 1.5, "a"), (" false", 2.5, "b"), ("FALSE", 3.5, "a"), ("true", 4.5, "b")]
    text = "".join(f"{flag},{number},{kind}\n" for flag, number, kind in cells * 5)
    source = load(table("flag,number,kind\n" + text))
    both = np.concatenate([source.x_train, source.x_test])
    expected = [(flag.strip().lower() == "true", number) for flag, number, _ in cells * 5]
    assert sorted(both.tolist()) == sorted(map(list, expected))


@pytest.mark.parametrize(
    ("cell", "problem"),
    [("", "a value is missing \\(''\\)"), ("3", "'3' is not true or false, as others are")],
)
def test_in_a_column_of_bool_what_is_none_is_named(table, cell, problem):
    lines = ["True,1", "False,2", "True,3", f"{cell},4", "False,5"]
    with pytest.raises(ValueError, match=f"column 'flag', row 4 \\(line 5\\): {problem}"):
        load(table("flag,label\n" + "\n".join(lines)))


@pytest.mark.parametrize("label", ["1", "true"])
def test_targets_of_a_regression_are_numbers_and_no_truth_values(table, label):
    lines = ["1,true", "2,false", "3,true", f"4,{label}", "5,false"]
    with pytest.raises(ValueError, match=r"column 'price', row 1 \(line 2\): 'true' is no finite"):
        load(table("a,price\n" + "\n".join(lines)), task="regression", target="price")


def test_a_column_that_is_constant_in_training_counts_nothing_later(table, tmp_path, capsys):
    X, y = problem()
    saved = tmp_path / "net.npz"
    path = table(rows_of(X, y))
    assert train("--dataset", path, "--hidden", "5", "--epochs", "2", "--save", saved) == 0
    assert "data.csv: constant, so not used: column c" in capsys.readouterr().out
    net = nd.MLP.load(saved)
    assert (net.weights[0][2] == 0).all()
    other = X + [0, 0, 1e3]
    np.testing.assert_array_equal(net.predict_proba(other), net.predict_proba(X))


def test_a_target_that_is_constant_is_predicted(table, tmp_path):
    X, _ = problem()
    path, saved = table(rows_of(X, [5.5] * len(X))), tmp_path / "net.npz"
    options = ["--task", "regression", "--hidden", "5", "--epochs", "20", "--save", saved]
    assert train("--dataset", path, *options) == 0
    np.testing.assert_allclose(nd.MLP.load(saved).predict(X), 5.5, atol=3)


def test_a_constant_column_of_a_file_without_header_is_named_by_its_place(table, capsys):
    X, y = problem()
    columns = np.column_stack([X[:, 0], y, X[:, 2], X[:, 1]])
    text = "".join(",".join(map(repr, row)) + "\n" for row in columns.tolist())
    options = ["--target", "2", "--task", "regression", "--epochs", "1", "--hidden", "2"]
    assert train("--dataset", table(text), *options) == 0
    assert "constant, so not used: column 3\n" in capsys.readouterr().out


def test_a_table_of_bools_alone_has_no_header(table):
    source = load(table("False,no\n" + "True,yes\n" * 20 + "False,no\n" * 19))
    assert len(source.x_train) + len(source.x_test) == 40 and source.columns is None


def test_many_classes_of_numbers_are_told(table, capsys):
    rows = "".join(f"{k % 7},{k % 11}\n" for k in range(110))
    path = table("a,age\n" + rows)
    told = "targets are taken for 11 classes; --task regression takes them for numbers"
    for task, is_told in ([], True), (["--task", "classification"], False):
        assert train("--dataset", path, "--epochs", "1", "--hidden", "2", *task) == 0
        assert (told in capsys.readouterr().out) == is_told


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_folding_is_exact_algebra(task):
    rng = np.random.default_rng(0)
    loss = "cross_entropy" if task == "classification" else "squared_error"
    net = nd.MLP((3, 4, 2), loss=loss, dtype=np.float64, seed=1)
    mean, scale = [1e3, 0.0, -2.0], [0.5, 1.0, 20.0]
    net.notes = {scaling.NOTE: {"mean": mean, "scale": scale}, "mine": 1}
    X = rng.normal(size=(9, 3)) * scale + mean
    expected = net.predict((X - mean) / scale)
    if task == "regression":
        net.notes[scaling.NOTE] |= {"target_mean": [5.0, -1.0], "target_scale": [10.0, 0.1]}
        expected = expected * [10.0, 0.1] + [5.0, -1.0]
    raw = scaling.folded(net)
    assert raw.notes == {"mine": 1}
    np.testing.assert_allclose(raw.predict(X), expected, rtol=1e-10)
    assert scaling.folded(raw) is raw


def test_npz_with_keras_names_keeps_its_test_part(npz, capsys):
    X, y = problem()
    path = npz(x_train=X[:40].reshape(40, 3, 1), y_train=y[:40, None], x_test=X[40:], y_test=y[40:])
    source = load(path)
    np.testing.assert_array_equal(source.x_train, X[:40])
    np.testing.assert_array_equal(source.x_test, X[40:])
    np.testing.assert_array_equal(source.y_train, y[:40])
    assert train("--dataset", path, *QUICK) == 0
    assert "data.npz 3-5-3: test accuracy" in capsys.readouterr().out


def test_npz_with_x_and_y_is_split_the_same_way_each_time_with_a_share_of_each_class(npz):
    X, y = problem(100)
    path = npz(X=X, y=y)
    first, second = load(path), load(path)
    np.testing.assert_array_equal(first.x_test, second.x_test)
    assert (len(first.x_train), len(first.x_test)) == (80, 20)
    assert {*map(tuple, first.x_train), *map(tuple, first.x_test)} == {*map(tuple, X)}
    np.testing.assert_allclose(np.bincount(first.y_test), np.bincount(y) / 5, atol=1)
    rest, (x_validation, y_validation) = first.with_validation()
    assert (len(rest.x_train), len(x_validation), len(y_validation)) == (72, 8, 8)
    assert not {*map(tuple, rest.x_train)} & {*map(tuple, x_validation)}


@pytest.mark.parametrize(
    ("y", "task"),
    [
        (np.array(["a", "b"]), "classification"),
        (np.array([b"a", b"b"]), "classification"),
        (np.array([True, False]), "classification"),
        (np.array([-1, 1]), "classification"),
        (np.arange(100), "classification"),
        (np.arange(101), "regression"),
        (np.array([0.0, 1.0]), "regression"),
        (np.arange(10).reshape(5, 2), "regression"),
    ],
)
def test_the_target_tells_the_task(npz, y, task):
    y = np.tile(y, (2 if len(y) > 99 else 30, *[1] * (y.ndim - 1)))
    source = load(npz(X=np.random.default_rng(0).normal(size=(len(y), 2)), y=y))
    assert source.task == task
    json.dumps(source.classes)


def test_two_targets_are_learned_together(npz, capsys):
    X, _ = problem()
    assert train("--dataset", npz(X=X, y=X[:, :2] * [1, 1000]), *QUICK) == 0
    assert "data.npz 3-5-2: test R^2 " in capsys.readouterr().out


def test_the_task_may_be_given(npz, capsys):
    X, y = problem()
    assert train("--dataset", npz(X=X, y=y), *QUICK, "--task", "regression") == 0
    assert train("--dataset", npz(X=X, y=y / 2), *QUICK, "--task", "classification") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert "3-5-1: test R^2" in first and "3-5-3: test accuracy" in second


def test_images_have_one_mean_and_tables_one_for_each_column():
    x = np.array([[0, 10], [4, 10]])
    y = np.array([0, 1])
    table = scaling.Scaling.of(sources.Source("t", x, y, x, y, classes=[0, 1]))
    assert (table.mean, table.scale) == ([2.0, 10.0], [2.0, np.inf])  # the second is constant
    np.testing.assert_array_equal(table.samples(x + [0, 99]), [[-1, 0], [1, 0]])
    images = scaling.Scaling.of(sources.Source("i", x, y, x, y, classes=[0, 1], images=True))
    assert (images.mean, images.scale) == (6.0, np.float32(np.sqrt(18)))
    prices = scaling.Scaling.of(sources.Source("p", x, np.array([10.0, 30.0]), x, y))
    np.testing.assert_array_equal(prices.targets(np.array([10.0, 40.0])), [[-1], [2]])


def test_parts_are_scaled_as_the_whole(monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.normal(1e3, 2, size=(50, 3)), np.arange(50.0)
    source = sources.Source("t", x, y, x, y)
    monkeypatch.setattr(scaling, "CELLS", 20)
    found = scaling.Scaling.of(source)
    np.testing.assert_allclose(found.scale, x.std(axis=0), rtol=1e-12)
    expected = (x - found.mean) / found.scale
    np.testing.assert_array_equal(found.samples(x), expected.astype(np.float32))
    x[33, 1] = 1e60
    with pytest.raises(ValueError, match=r"column 2 .* 1e\+60"):
        found.samples(x)


def test_bytes_are_scaled_without_a_copy_in_float64():
    x = np.random.default_rng(0).integers(0, 256, (20_000, 500)).astype(np.uint8)
    y = np.arange(len(x)) % 2
    source = sources.Source("t", x, y, x, y, classes=[0, 1])
    tracemalloc.start()
    scaled = scaling.Scaling.of(source).samples(tables.matrix("x", x))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < scaled.nbytes + 40 * scaling.CELLS


# CSV in its many ways


@pytest.mark.parametrize(
    ("text", "names", "target"),
    [
        ("a,b,kind\n1,2,x\n", ["a", "b", "kind"], None),
        ("1,2,x\n3,4,y\n", None, None),
        ("1;2;x\r\n3;4;y\r\n", None, None),
        ("\ufeffa\tb\tclass\n1\t2\tx\n\n", ["a", "b", "class"], 2),
        ("Y,2010,2011\n1,2,3\n", ["Y", "2010", "2011"], 0),
        (",b,label\n1,2,x\n", ["", "b", "label"], 2),
        ("1,,x\n3,4,y\n", None, None),
        ('"a, b",c,Target\n1,2,"x,y"\n', ["a, b", "c", "Target"], 2),
        ('\n"a, b";"c, d";"e, f"\n1;2;x\n', ["a, b", "c, d", "e, f"], None),
        ("0,1,2,label\n1,2,3,x\n", ["0", "1", "2", "label"], 3),
        ("2019,2020,label\n1,2,x\n", ["2019", "2020", "label"], 2),
        ("0,1,2,kind\n1,2,3,x\n", ["0", "1", "2", "kind"], None),
        (",0,1,2,kind\n7,1,2,3,x\n", ["", "0", "1", "2", "kind"], None),
        (",0,2,kind\n7,1,2,x\n", None, None),
        ("0,1,2,3\n1,2,3,1\n", None, None),
        ("0,1,2,-1\n1,2,3,1\n", None, None),
        ("0,1,2,\n1,2,3,4\n", None, None),
        ("5.1,3.5,y\n4.9,3.0,n\n", None, None),
        ("Y,1.5\nN,2.5\n", None, None),
        ("1,class\n2,order\n3,class\n", None, None),
        ("0,1,x\n1,0,y\n", None, None),
        ("1,2,3,4\n2,3,4,1\n", None, None),
        ("0,1,2,3\n94,70,57,1\n16,44,82,0\n", ["0", "1", "2", "3"], None),
        (",0,1,2\n0,7,5.5,1\n", ["", "0", "1", "2"], None),
        ("0,1,kind\n0.5,0.3,x\n", ["0", "1", "kind"], None),
        ("0,1,kind,sort\n5,3,x,z\n6,2,x,z\n", ["0", "1", "kind", "sort"], None),
        ("0,1,2,x\n5,3,4,y\n6,2,4,x\n", None, None),
        ("0,1,2\n", None, None),
        ("0,1\n5,3\n", None, None),
        ("0,1,2\n3,4,5\n6,7,8\n", None, None),
        ("0,1,2\n0,2,1\n2,0,1\n", None, None),
        ("2001,2002,2003\n5,3,4\n", None, None),
        ("5.1,a\n4.9,1\n3.5,a\n", None, None),
        ("5.1,a\n4.9,1\n3.5,b\n", None, None),
        ("2010,kind\n4.9,1\n3.5,\n", ["2010", "kind"], None),
    ],
)
def test_header_and_target_are_found(table, text, names, target):
    found = tables.read_csv(tables.Path(table(text)))
    assert found.names == names
    assert found.guess_target() == target
    assert found.width == len(names or text.splitlines()[0].replace(";", ",").split(","))


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("Temp, C;Druck, bar;y\n20.5;1.0;0\n", 3),
        ("Temp, C;Druck, bar;y\n20,5;1,0;0\n", 3),
        ("Temp, C, a;y\n20.5;1\n", 2),
        ("a,b;c,d\n1,2,3\n", 3),
        ("1,5;2,5;0\n", 3),
        ("a,b,c\n1,2,x;y\n3,4,z\n", 3),
        ("sep=;\na,b;c,d\n1,2,;4,5,\n", 2),
        ("0,w;x\n1,u;v\n", 2),
        ("1,5;2,5\n3,5;4,5\n", 2),
        ('"a\nb",c,target\n1,2,3\n', 3),
        ("sep=\t\r\na\tb\r\n1\t2\r\n", 2),
    ],
)
def test_the_delimiter_fits_the_first_lines(table, text, width):
    found = tables.read_csv(tables.Path(table(text)))
    assert found.width == width and "sep=" not in (found.names or ())
    assert found.lines[-1] == text.count("\n")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("0,1,2\n" + "5,3,0\n6,2,1\n" * 5, "a header"),
        ("2001,2002,2003\n" + "5,3,0\n6,2,1\n" * 5, "data"),
        ("a,b,c\n" + "5,3,0\n6,2,1\n" * 5, None),
    ],
)
def test_what_a_first_line_with_numbers_was_taken_for_is_told(table, capsys, text, told):
    options = ["--hidden", "--epochs", "1", "--batch-size", "2", "--task", "regression"]
    assert train("--dataset", table(text), *options) == 0
    line = f"data.csv: the first line is taken for {told}"
    found = [line for line in capsys.readouterr().out.splitlines() if "first line" in line]
    assert found == ([line] if told else [])


@pytest.mark.parametrize("column", ["kind", "4", None])
def test_the_target_is_a_name_a_number_or_the_last_column(table, column):
    X, y = problem()
    source = load(table(rows_of(X, y)), target=column)
    assert (source.columns, source.target, source.classes) == (["a", "b", "c"], "kind", [0, 1, 2])
    source = load(table(rows_of(X, y, header=None)), target="2")
    assert (source.columns, source.target, source.task) == (None, 2, "regression")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,y\n1,2,0\n1,x2,1\n", "column 'b', row 2 (line 3): 'x2' is no finite number"),
        ("1,2,0\n1,inf,1\n", "column 2, row 2 (line 2): 'inf' is no finite number"),
        ("a,b,y\n1,2,0\n1, ,1\n", "column 'b', row 2 (line 3): a value is missing ('')"),
        ("a,b,y\n1,NA,0\n", "column 'b', row 1 (line 2): a value is missing ('NA')"),
        ("a,b,y\n1,2,0\n\n1,2,?\n", "column 'y', row 2 (line 4): a value is missing ('?')"),
        ("a,b,y\n1,2,0\n1,2\n", "line 3 has 2 cells, but 3 are needed"),
        ("a,a,y\n1,2,0\n", "has two columns named 'a'"),
        ("a,b,y\n", "holds no rows of data"),
        ("", "holds no rows of data"),
        ('a,b,y\n1,"2,0\n', "is no CSV file in UTF-8"),
        ("y\n1\n0\n", "has only one column"),
        ("a,y\n1,2\n3,2\n4,2\n5,2\n", "there is only one class, [2]"),
        ("a,y\n1,0\n3,1\n", "has 2 rows, too few to set one in 5 aside"),
        ("a,y\n1,0\n", "has 1 rows, too few to train on"),
        ("a;y\n1,5;0\n", "'1,5' is no finite number; features must be numbers, with a point"),
        ("a,y\n1_0,0\n", "'1_0' is no finite number"),
        ("1e308,0\n-1e308,1\n1,0\n1,1\n" * 5, "column 1 is too large or too small"),
    ],
)
def test_a_table_with_a_fault_is_refused_in_one_line(table, capsys, text, message):
    path = table(text)
    assert train("--dataset", path, *QUICK) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("numadelta: ") and message in line and "data.csv" in line


def test_a_column_that_is_not_there_is_named_with_those_that_are(table, capsys):
    path = table("a,b,y\n1,2,0\n")
    assert train("--dataset", path, "--target", "z") == 2
    assert "has no column 'z'; it has a, b, y" in capsys.readouterr().err


@pytest.mark.parametrize("given", [(), ("--target", "kind")])
def test_a_target_that_was_not_named_is_told(table, capsys, given):
    options = ["--hidden", "--epochs", "1", "--batch-size", "2", *given]
    assert train("--dataset", table(rows_of(*problem())), *options) == 0
    told = "data.csv: the target is column 'kind'\n" in capsys.readouterr().out
    assert told == (not given)


def test_a_first_column_without_a_name_holds_the_numbers_of_the_rows(table):
    X, y = problem()
    lines = rows_of(X, y).splitlines()
    text = "\n".join(f"{'' if k == 0 else k - 1},{line}" for k, line in enumerate(lines))
    path = table(text + "\n")
    with pytest.warns(UserWarning, match="data.csv: the first column has no name and is left out"):
        source = load(path)
    assert source.columns == ["a", "b", "c"] and source.x_train.shape[1] == 3
    assert load(path, target="1").target == ""


def test_numbers_with_leading_zeros_are_names(table):
    path = table("a,month\n" + "1,01\n2,12\n3,07\n" * 3)
    assert load(path).classes == ["01", "07", "12"]
    source = load(path, task="regression")
    assert source.task == "regression" and set(source.y_train) <= {1, 7, 12}
    assert load(table("a,y\n" + "1,0.5\n2,0\n" * 3)).task == "regression"


def test_numbers_beyond_64_bits_are_names(table):
    path = table("a,y\n" + "1,12345678901234567890\n2,12345678901234567891\n" * 3)
    assert load(path).classes == ["12345678901234567890", "12345678901234567891"]
    assert load(path, task="regression").task == "regression"


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (["1,75", "2,5", "3"], "row 1 (line 2): '1,75' makes names of all targets, 3 in 3 rows"),
        (["125,730", "1 000", "5"], "'125,730' makes names of all targets"),
        (["37", "0040", "0041"], "row 2 (line 3): '0040' makes names of all targets"),
        (["-", "-", "1.5", "2", "2.5"], "'-' makes names of all targets, 4 in 5 rows"),
        (["1" * 20, "2" * 20, "3" * 20], "'11111111111111111111' makes names of all targets"),
    ],
)
def test_numbers_that_are_written_in_another_way_do_not_become_classes(
    table, capsys, targets, message
):
    path = table("\n".join(["a;y", *(f"1;{text}" for text in targets)]))
    assert train("--dataset", path, *QUICK) == 1
    err = capsys.readouterr().err
    assert message in err and err.endswith(" --task classification\n")
    assert set(load(path, task="classification").classes) == {*targets}


@pytest.mark.parametrize("targets", [["01", "02", "03"] * 2, [f"a{k}" for k in range(9)]])
def test_names_are_classes(table, targets):
    path = table("\n".join(["a;y", *(f"1;{text}" for text in targets * 2)]))
    assert load(path).classes == sorted({*targets})


def test_none_may_be_a_class_and_numbers_have_no_underscores(table):
    source = load(table("a,y\n1,none\n2,mild\n3,null\n4,none\n5,mild\n6,null\n"))
    assert source.classes == ["mild", "none", "null"]
    source = load(table("a,y\n1,1_0\n2,1_1\n3,1_0\n4,1_1\n5,1_0\n"))
    assert source.classes == ["1_0", "1_1"]


def test_a_path_that_looks_like_a_picture_of_another_kind_is_no_folder(npz, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    X, y = problem()
    assert train("--dataset", npz(X=X, y=y), *QUICK, "--plot", str(tmp_path / "a.jpg")) == 2
    assert "pictures are .png, .pdf, .svg, or give a folder" in capsys.readouterr().err
    assert not (tmp_path / "a.jpg").exists()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": np.eye(3)}, "holds X, but x_train, y_train, x_test, y_test or X, y are needed"),
        ({"X": np.eye(9), "y": np.eye(9, dtype=int)}, "y is one-hot"),
        ({"X": np.eye(9), "y": np.eye(9, dtype=np.float32)}, "y is one-hot"),
        (
            {
                "x_train": np.eye(2),
                "y_train": np.uint64([0, 2**63]),
                "x_test": np.eye(2),
                "y_test": np.arange(2),
            },
            "y_train and y_test do not fit into one integer type",
        ),
        ({"X": np.eye(2), "y": np.array([b"a", b"\xe4"])}, "y in "),
        ({"X": np.eye(2), "y": np.array([b"a", b"\xe4"])}, "is no text in UTF-8"),
        ({"X": np.eye(9), "y": np.arange(8)}, "training samples and targets have shapes"),
        ({"X": np.array([[1, np.nan]] * 9), "y": np.arange(9)}, "column 2, row 1 is nan"),
        ({"X": np.arange(9), "y": np.arange(9)}, "has shape (9,) and dtype int64"),
        ({"X": np.array([["a"]] * 9), "y": np.arange(9)}, "but rows of numbers are needed"),
        ({"X": np.eye(9), "y": np.full(9, np.nan)}, "regression needs finite numbers"),
        ({"X": np.eye(9), "y": np.array([None] * 9)}, "holds Python objects (allow_pickle=False)"),
        ({"X": np.eye(9), "y": np.arange(9) * 1j}, "y in"),
    ],
)
def test_arrays_with_a_fault_are_refused_in_one_line(npz, capsys, arrays, message):
    assert train("--dataset", npz(**arrays), *QUICK) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("numadelta: ") and message in line and "data.npz" in line


def test_strings_are_no_targets_of_a_regression(npz, capsys):
    path = npz(X=np.eye(9), y=np.array(["a", "b", "c"] * 3))
    assert train("--dataset", path, "--task", "regression") == 1
    assert "regression needs finite numbers" in capsys.readouterr().err


def test_the_cell_that_is_no_target_of_a_regression_is_named(table, capsys):
    path = table("a;y\n1;2\n1;1,5\n")
    assert train("--dataset", path, "--task", "regression") == 1
    assert (
        "column 'y', row 2 (line 3): '1,5' is no finite number; targets must be numbers, with a "
        "point, not a comma"
    ) in capsys.readouterr().err


def test_a_missing_and_a_damaged_file_exit_with_1(tmp_path, capsys):
    path = tmp_path / "data.npz"
    assert train("--dataset", path) == 1
    assert capsys.readouterr().err == f"numadelta: {path}: No such file or directory\n"
    path.write_bytes(b"PK\x03\x04 and no more")
    assert train("--dataset", path) == 1
    assert "is damaged or no file of NumPy arrays" in capsys.readouterr().err


# Options


def test_hidden_takes_spaces_and_commas(monkeypatch, npz):
    X, y = problem()
    seen = []
    monkeypatch.setattr(
        nd.MLP, "fit", lambda net, *data, **options: seen.append(net) or nd.History()
    )
    for hidden in (["6", "4"], ["6,4"], ["6,", "4"]):
        options = "--dropout 0.25 --input-dropout 0.1 --weight-decay 0.001 --seed 3".split()
        assert train("--dataset", npz(X=X, y=y), "--hidden", *hidden, *options, "--quiet") == 0
        assert seen[-1].layer_sizes == (3, 6, 4, 3)
    net = seen[-1]
    assert (net.dropout, net.input_dropout, net.weight_decay) == (0.25, 0.1, 0.001)


def test_json_is_all_that_is_on_stdout(npz, tmp_path, capsys):
    X, y = problem()
    saved = tmp_path / "net.npz"
    arguments = ["--dataset", npz(X=X, y=y), "--hidden", "4", "--epochs", "2", "--save", saved]
    assert train(*arguments, "--json") == 0
    out, err = capsys.readouterr()
    result = json.loads(out)
    assert set(result) >= {"dataset", "task", "layers", "epochs", "seconds", "history", "options"}
    assert (result["layers"], result["epochs"], result["task"]) == ([3, 4, 3], 2, "classification")
    assert result["test"]["loss"] == result["history"]["val_loss"][-1]
    assert 0 <= result["train"]["score"] <= 1
    assert result["options"]["batch_size"] == 32 and result["options"]["hidden"] == [4]
    assert result["files"] == [str(saved)]
    constant, notice, first, *_ = err.splitlines()
    assert constant == "data.npz: constant, so not used: column 3"
    assert notice.startswith("val_loss and val_score are of the test data")
    assert first.startswith("epoch 1/2")
    assert train(*arguments, "--json", "--quiet") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["epochs"] == 2 and err == ""


def test_shared_delta_is_that_of_fit(npz, capsys):
    X, y = problem()
    data, results = npz(X=X, y=y), []
    for flag in ([], ["--shared-delta"]):
        assert train("--dataset", data, "--hidden", "4", "--epochs", "2", "--json", *flag) == 0
        results.append(json.loads(capsys.readouterr().out))
    own, shared = results
    assert (own["options"]["shared_delta"], shared["options"]["shared_delta"]) == (False, True)
    assert own["history"]["loss"] != shared["history"]["loss"]


def test_early_stopping_keeps_the_best_epoch_of_a_part_of_the_training_data(npz, capsys):
    rng = np.random.default_rng(0)
    path = npz(X=rng.normal(size=(100, 3)), y=rng.integers(0, 2, 100))  # nothing to learn
    arguments = ["--dataset", path, "--hidden", "8", "--epochs", "50", "--json", "--quiet"]
    assert train(*arguments, "--early-stopping", "3") == 0
    result = json.loads(capsys.readouterr().out)
    losses = result["history"]["val_loss"]
    assert result["epochs"] == len(losses) == result["best_epoch"] + 4 < 50
    assert losses[result["best_epoch"]] == min(losses)
    assert result["test"]["loss"] not in losses
    assert result["options"]["early_stopping"] == 3
    assert train("--dataset", path, *QUICK, "--early-stopping") == 0
    assert "2 epochs (best: " in capsys.readouterr().out


def test_training_that_diverges_exits_with_1(npz, capsys):
    X, y = problem()
    arguments = ["--dataset", npz(X=X, y=y / 2), *QUICK, "--lr", "1e30"]
    with np.errstate(all="ignore"):
        assert train(*arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "numadelta: epoch " in line and "finite" in line


def test_a_warning_is_one_line_without_a_place_in_the_source(npz, capsys):
    X, y = problem()
    assert train("--dataset", npz(X=X, y=y), *QUICK, "--batch-size", "1000") == 0
    assert capsys.readouterr().err == (
        "numadelta: warning: batch_size is 1000, but there are only 48 samples; using these\n"
    )


def test_pictures_of_a_table_are_those_that_it_can_have(npz, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    X, y = problem()
    for name, target, expected in (
        ("c", y, {"learning-curves.png", "effective-rates.png", "confusion-matrix.png"}),
        ("r", y / 2, {"learning-curves.png", "effective-rates.png"}),
    ):
        folder = tmp_path / name
        assert train("--dataset", npz(X=X, y=target), *QUICK, "--plot", folder, "--json") == 0
        assert {path.name for path in folder.iterdir()} == expected
        files = json.loads(capsys.readouterr().out)["files"]
        assert set(files) == {str(folder / name) for name in expected}


def test_a_folder_that_is_a_file_is_refused_before_the_training(npz, tmp_path, capsys):
    X, y = problem()
    (tmp_path / "taken").write_text("")
    assert train("--dataset", npz(X=X, y=y), "--plot", tmp_path / "taken") == 1
    assert train("--dataset", npz(X=X, y=y), "--save", tmp_path) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("taken: File exists") and second.endswith("Is a directory")
