import sys

import numpy as np
import pytest

from numadelta import History, plotting


@pytest.fixture
def pyplot():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


@pytest.fixture
def history():
    history = History()
    for loss in (0.5, 0.2, 0.1):
        logs = {
            "loss": loss,
            "score": 1 - loss,
            "val_loss": 2 * loss,
            "val_score": 0.9,
            "seconds": 1,
        }
        history.append(logs)
    return history


def test_learning_curves_show_each_loss_and_score(pyplot, history):
    ax = plotting.learning_curves(history)
    lines = {line.get_label(): line for axes in ax.figure.axes for line in axes.lines}
    assert set(lines) == {"training loss", "validation loss", "training score", "validation score"}
    assert list(lines["training loss"].get_xdata()) == [1, 2, 3]
    assert list(lines["validation loss"].get_ydata()) == history["val_loss"]


def test_learning_curves_draw_where_told(pyplot, history):
    ax = pyplot.figure().subplots()
    assert plotting.learning_curves(history, ax=ax) is ax


def test_learning_curves_of_a_regression_have_no_score_axis(pyplot):
    history = History()
    history.append({"loss": 1.0, "seconds": 1.0})
    assert len(plotting.learning_curves(history).figure.axes) == 1


def test_contour_path_shows_every_point(pyplot):
    path = np.array([[0.0, 0.0], [1.0, 2.0], [1.5, 1.0]])
    ax = plotting.contour_path(lambda x: float(x @ x), path, xlim=(-2, 2))
    np.testing.assert_array_equal(np.transpose(ax.lines[0].get_data()), path)
    assert ax.get_xlim() == (-2, 2)


@pytest.mark.parametrize("path", [np.zeros(3), np.zeros((2, 3)), np.zeros((0, 2))])
def test_contour_path_refuses_what_is_no_path_in_the_plane(pyplot, path):
    with pytest.raises(ValueError, match=r"path has shape .* but \(n, 2\)"):
        plotting.contour_path(lambda x: 0.0, path)


def test_missing_matplotlib_names_the_extra(monkeypatch, history):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"numadelta\[plot\]"):
        plotting.learning_curves(history)


def test_learning_curves_name_their_own_lines_only(pyplot, history):
    ax = pyplot.figure().subplots()
    ax.plot([1, 2], [1, 2], label="mine")
    plotting.learning_curves(history, ax=ax)
    assert "mine" not in [text.get_text() for text in ax.get_legend().get_texts()]


def test_learning_curves_of_nothing_are_refused(pyplot):
    with pytest.raises(ValueError, match="no whole epoch"):
        plotting.learning_curves(History())
