import sys
from types import SimpleNamespace

import numpy as np
import pytest

from numadelta import MLP, History, plotting
from numadelta.sweep_result import Sweep


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
            "grad_norm": 3.0,
            "lr": 1.0,
            "effective_lr": [[loss, 2 * loss, 3 * loss], [4.0, 5.0, 6.0]],
            "my_own_loss": 7.0,
        }
        history.append(logs)
    return history


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_learning_curves_show_each_loss_and_score_and_nothing_else(pyplot, history):
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

    assert not pyplot.get_fignums()


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
def test_contour_path_leaves_white_where_nothing_is_defined(pyplot, hole):
    ax = plotting.contour_path(lambda x: x @ x if x[0] > 0 else hole, [[1.0, 1.0], [0.1, 0.0]])
    assert sum(len(path.vertices) > 0 for path in ax.collections[0].get_paths()) > 5
    with pytest.raises(ValueError, match="fun is nowhere finite in xlim and ylim"):
        plotting.contour_path(lambda x: hole, [[1.0, 1.0]])


def test_missing_matplotlib_names_the_extra(monkeypatch, history):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"numadelta\[plot\]"):
        plotting.learning_curves(history)


def test_learning_curves_name_their_own_lines_only(pyplot, history):
    ax = pyplot.figure().subplots()
    ax.plot([1, 2], [1, 2], label="mine")
    plotting.learning_curves(history, ax=ax)
    assert "mine" not in [text.get_text() for text in ax.get_legend().get_texts()]


@pytest.mark.parametrize(
    ("losses", "scale"),
    [
        ([2.0, 0.5], "log"),
        ([2.0, None, np.nan, np.inf], "log"),
        ([2.0, 0.0], "linear"),
        ([2.0, -0.5], "linear"),
        ([np.nan], "linear"),
    ],
)
def test_losses_are_drawn_in_powers_if_all_are_positive(pyplot, losses, scale):
    history = History()
    for loss in losses:
        history.append({"loss": loss})
    assert plotting.learning_curves(history).get_yscale() == scale


def test_learning_curves_of_what_is_no_history_are_refused(pyplot):
    with pytest.raises(TypeError, match="history is of type MLP, .* an estimator's is history_"):
        plotting.learning_curves(MLP((2, 3)))


def test_learning_curves_of_nothing_are_refused(pyplot):
    with pytest.raises(ValueError, match="no whole epoch"):
        plotting.learning_curves(History())


# Effective rates


def test_effective_rates_show_the_median_and_a_band_of_each_layer(pyplot, history):
    ax = plotting.effective_rates(history)
    first, second = ax.lines
    assert list(first.get_xdata()) == [1, 2, 3]
    assert list(first.get_ydata()) == [1.0, 0.4, 0.2]
    assert list(second.get_ydata()) == [5.0] * 3
    assert first.get_color() != second.get_color()
    assert ax.get_yscale() == "log"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["layer 1", "layer 2"]
    for band, quantiles in zip(ax.collections, ([0.1, 1.5], [4, 6]), strict=True):
        heights = band.get_paths()[0].vertices[:, 1]
        np.testing.assert_allclose([heights.min(), heights.max()], quantiles)


def test_effective_rates_draw_where_told(pyplot, history):
    ax = pyplot.figure().subplots()
    assert plotting.effective_rates(history, ax=ax) is ax


def test_effective_rates_of_a_fit_can_be_drawn(pyplot):
    net = MLP((2, 3, 2))
    history = net.fit([[0.0, 1.0], [1.0, 0.0]], [0, 1], epochs=2, batch_size=1, verbose=0)
    assert len(plotting.effective_rates(history).lines) == 2


def test_effective_rates_of_no_whole_epoch_are_refused(pyplot):
    with pytest.raises(ValueError, match="history holds no whole epoch"):
        plotting.effective_rates(History())


def test_effective_rates_that_the_history_lacks_are_refused(pyplot):
    history = History()
    history.append({"loss": 1.0})
    with pytest.raises(ValueError, match="history holds no effective rates"):
        plotting.effective_rates(history)


@pytest.mark.parametrize("rates", [[0.1, 0.2, 0.3], [[0.1, 0.2]], []])
def test_effective_rates_other_than_quantiles_are_refused(pyplot, rates):
    history = History()
    history.append({"effective_lr": rates})
    with pytest.raises(ValueError, match=r"effective_lr.* has shape \(1.* three quantiles"):
        plotting.effective_rates(history)
    assert not pyplot.get_fignums()


# Weights


def net_of(weights):
    return SimpleNamespace(weights=[np.asarray(weights, dtype=float)])


def test_first_layer_weights_show_the_largest_units_first(pyplot):
    weights = np.ones((4, 3)) * [1, -3, 2]
    ax = plotting.first_layer_weights(net_of(weights), n=2)
    (image,) = ax.images
    gap = np.nan
    expected = [[-3, -3, gap, 2, 2]] * 2
    np.testing.assert_array_equal(image.get_array().filled(np.nan), expected)
    assert image.get_clim() == (-3, 3)
    assert not len(ax.get_xticks()) and not len(ax.get_yticks())


def test_first_layer_weights_show_all_units_where_there_are_fewer_than_n(pyplot):
    weights = np.arange(30).reshape(6, 5)
    ax = plotting.first_layer_weights(net_of(weights), shape=(3, 2))
    mosaic = ax.images[0].get_array()
    assert mosaic.shape == (7, 8)  # two rows of three, with a gap of one pixel
    np.testing.assert_array_equal(mosaic[:3, :2], weights[:, 4].reshape(3, 2))
    np.testing.assert_array_equal(mosaic[4:, 3:5], weights[:, 0].reshape(3, 2))
    assert mosaic[4:, 6:].mask.all()


def test_first_layer_weights_of_a_network_are_drawn_where_told(pyplot):
    ax = pyplot.figure().subplots()
    assert plotting.first_layer_weights(MLP((9, 4, 2)), ax=ax) is ax


def test_first_layer_weights_that_are_all_zero_have_a_scale_around_zero(pyplot):
    ax = plotting.first_layer_weights(net_of(np.zeros((4, 1))))
    assert ax.images[0].get_clim() == (-1, 1)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ValueError, "shape must be given, for the 6 inputs"),
        ({"shape": (2, 2)}, ValueError, r"shape must be that of 6 pixels.*is \(2, 2\)"),
        ({"shape": (-2, -3)}, ValueError, r"shape must be that of 6 pixels.*is \(-2, -3\)"),
        ({"shape": (6,)}, ValueError, r"shape must be \(height, width\), but is \(6,\)"),
        ({"shape": 6}, ValueError, r"shape must be \(height, width\), but is 6"),
        ({"shape": (2.0, 3.0)}, TypeError, "shape must be an integer, but is 2.0"),
        ({"shape": (2, 3), "n": 0}, ValueError, "n must be at least 1, but is 0"),
        ({"shape": (2, 3), "n": 1.5}, TypeError, "n must be an integer, but is 1.5"),
    ],
)
def test_first_layer_weights_refuse_what_makes_no_images(pyplot, options, error, message):
    with pytest.raises(error, match=message):
        plotting.first_layer_weights(net_of(np.ones((6, 2))), **options)
    assert not pyplot.get_fignums()


# Confusion matrix


def test_confusion_matrix_counts_true_by_row_and_predicted_by_column(pyplot):
    ax = plotting.confusion_matrix([3, 3, 3, 3, 5, 7], [3, 3, 3, 5, 5, 3])
    assert texts(ax) == ["3", "1", "0", "0", "1", "0", "1", "0", "0"]
    shares = [[0.75, 0.25, 0], [0, 1, 0], [1, 0, 0]]
    np.testing.assert_array_equal(ax.images[0].get_array(), shares)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["3", "5", "7"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted", "true")
    colors = [text.get_color() for text in ax.texts]
    assert (colors[0], colors[1], colors[4]) == ("white", "black", "white")


@pytest.mark.parametrize("dtype", [str, object])
def test_confusion_matrix_of_strings_in_an_order_of_ones_own(pyplot, dtype):
    true, predicted = (np.array(names, dtype) for names in (["cat", "dog"], ["dog", "dog"]))
    ax = plotting.confusion_matrix(true, predicted, labels=["dog", "horse", "cat"])
    assert texts(ax) == ["1", "0", "0", "0", "0", "0", "1", "0", "0"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["dog", "horse", "cat"]


def test_a_confusion_matrix_of_many_classes_has_no_numbers_and_some_of_the_labels(pyplot):
    few, many = np.arange(plotting.MOST_NUMBERS), np.arange(plotting.MOST_NUMBERS * 2 + 1)
    ax = plotting.confusion_matrix(few, few)
    assert (len(ax.texts), len(ax.get_xticks())) == (few.size**2, few.size)
    ax = plotting.confusion_matrix(many, many)
    assert (len(ax.texts), len(ax.get_xticks())) == (0, 27)
    assert [label.get_text() for label in ax.get_yticklabels()[:3]] == ["0", "3", "6"]


def test_confusion_matrix_draws_where_told(pyplot):
    ax = pyplot.figure().subplots()
    assert plotting.confusion_matrix([True, False], [True, True], ax=ax) is ax


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1, 2], [1]), ValueError, "y_true has 2 labels, but y_pred has 1"),
        (([[1, 0]], [1]), ValueError, r"y_true has shape \(1, 2\), but \(n,\)"),
        (([1], 1), ValueError, r"y_pred has shape \(\), but \(n,\)"),
        (([], []), ValueError, r"y_true has shape \(0,\), but"),
        (([1], [2], [1, 3]), ValueError, "y_pred holds 2, which is not in labels"),
        (([1], [1], [1, 2, 1]), ValueError, r"labels must not hold a label twice.*\[1 2 1\]"),
        (([1], ["1"]), TypeError, "all strings or all numbers.* int64, <U1 and"),
    ],
)
def test_confusion_matrix_refuses_what_is_not_a_pair_of_labels_each(
    pyplot, arguments, error, message
):
    with pytest.raises(error, match=message):
        plotting.confusion_matrix(*arguments)
    assert not pyplot.get_fignums()


# Heat map


def run(rho, eps, score, lr=1.0, seed=0):
    return {"rho": rho, "eps": eps, "lr": lr, "seed": seed, "score": score, "loss": score}


RUNS = [
    run(0.95, 1e-6, 0.9),
    run(0.95, 1e-6, 0.8, seed=1),
    run(0.9, 1e-6, 0.5),
    run(0.9, 1e-4, np.nan),
    run(0.9, 1e-4, 0.99, seed=1),
]


FAILS = {0.9: [(0, np.nan), (1, 0.1)], 0.95: [(0, 0.2), (1, np.nan)]}


def best_cell(ax):
    (frame,) = ax.patches
    return round(frame.get_x() + 0.5), round(frame.get_y() + 0.5)


def test_heat_map_shows_means_over_the_seeds_with_rho_going_up(pyplot):
    ax = plotting.rho_eps_heat_map(RUNS)
    means = ax.images[0].get_array().filled(np.nan)
    np.testing.assert_allclose(means, [[0.5, np.nan], [0.85, np.nan]])
    assert texts(ax) == ["0.5000", "failed\n1 of 2", "0.8500", ""]
    assert ax.images[0].origin == "lower"
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1e-06", "1e-04"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["0.9", "0.95"]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("eps", "rho", "")
    assert best_cell(ax) == (0, 1)


@pytest.mark.parametrize("missing", [None, "absent"])
def test_heat_map_of_a_sweep_with_a_loss_frames_the_smallest(pyplot, missing):
    runs = [{**row, "val_loss": row["score"]} for row in RUNS]
    runs[3]["val_loss"] = missing
    if missing == "absent":
        del runs[3]["val_loss"]
    ax = pyplot.figure().subplots()
    assert plotting.rho_eps_heat_map(SimpleNamespace(rows=runs), "val_loss", ax=ax) is ax
    assert best_cell(ax) == (0, 0)
    assert "failed\n1 of 2" in texts(ax)


@pytest.mark.parametrize(
    ("value", "lr", "shown"),
    [("score", None, 2.0), ("loss", None, 0.5), ("score", 0.5, 0.5)],
)
def test_heat_map_is_of_one_lr_the_best_unless_told(pyplot, value, lr, shown):
    runs = [run(0.9, 1e-6, 0.1, lr=0.5), run(0.9, 1e-6, 0.7, lr=2.0), run(0.9, 1e-6, 0.4)]
    ax = plotting.rho_eps_heat_map(runs, value, lr=lr)
    assert ax.get_title() == f"lr = {shown:g}"
    assert [float(text) for text in texts(ax)] == [{2.0: 0.7, 0.5: 0.1}[shown]]


@pytest.mark.parametrize(
    "runs",
    [
        [run(0.9, 1e-6, 0.5), run(0.95, 1e-6, 0.5) | {"loss": 0.1}],
        [run(rho, 1e-6, score, seed=seed) for rho in (0.9, 0.95) for seed, score in FAILS[rho]],
    ],
    ids=["a tie", "all have failed runs"],
)
def test_heat_map_frames_what_the_table_calls_best(pyplot, runs):
    best = Sweep([row | {"seconds": 1.0} for row in runs]).best
    assert best["rho"] == 0.95
    assert best_cell(plotting.rho_eps_heat_map(runs)) == (0, 1)


def test_heat_map_where_every_run_failed_has_no_best_cell(pyplot):
    ax = plotting.rho_eps_heat_map([run(0.9, 1e-6, np.nan)])
    assert texts(ax) == ["failed\n1 of 1"]
    assert not ax.patches
    ax.figure.canvas.draw()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([],), "rows has no run"),
        (([{"eps": 1e-6, "seed": 0, "score": 0.5}],), "which has no rho and no lr"),
        ((RUNS, "accuracy"), "value is 'accuracy', but rows has only rho, eps, lr, seed, score"),
        ((RUNS, "score", 0.1), "lr is 0.1, but rows has only 1.0"),
    ],
)
def test_heat_map_refuses_what_is_not_in_the_rows(pyplot, arguments, message):
    with pytest.raises(ValueError, match=message):
        plotting.rho_eps_heat_map(*arguments)
    assert not pyplot.get_fignums()


def test_learning_curves_say_what_was_held_out_and_begin_with_the_first_epoch(pyplot):
    history = History()
    for loss in (0.3, 0.2, 0.1):
        history.append({"loss": loss, "val_loss": loss})
    ax = plotting.learning_curves(history, held_out="test")
    assert [line.get_label() for line in ax.lines] == ["training loss", "test loss"]
    assert ax.get_xlim() == (1, 3)
