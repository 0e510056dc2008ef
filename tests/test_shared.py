"""shared_delta: one E[dx^2] for a group of elements, in the optimiser and in the networks."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import numadelta as nd
import reference
from mlp_reference import problem, same_bits
from numadelta import threads
from numadelta.sklearn import MLPClassifier

# Without a remainder of LANES, with one, with several lanes of lanes, and of a single element.
GROUPS = {"one": (7,), "two": (3, 4), "lanes": (256, 512), "rests": (1, 255, 257, 700)}
every_grouping = pytest.mark.parametrize("sizes", GROUPS.values(), ids=GROUPS)
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def steps(n, dtype=np.float64, count=12):
    """Return a start and some gradients."""
    rng = np.random.default_rng(n)
    return rng.standard_normal(n).astype(dtype), rng.standard_normal((count, n)).astype(dtype)


def stepped(x, gradients, **options):
    opt = nd.Adadelta(x.copy(), **options)
    for g in gradients:
        opt.step(g)
    return opt


def slow(x, gradients, sizes, **options):
    """Return x, E[g^2] and the groups' E[dx^2]: the paper, with means between its steps."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    v, u = np.zeros(x.size), np.zeros(len(sizes))
    for g in gradients:
        x, v, each = reference.step(x, g, v, u[groups], **options)
        u = np.array([each[groups == k].mean() for k in range(len(sizes))])
    return x, v, u


def contents(opt):
    return b"".join(array.tobytes() for array in (opt.params, opt.square_avg, opt.acc_delta))


# The step


@every_grouping
@pytest.mark.parametrize(
    "options",
    [{}, {"lr": 0.3, "rho": 0.8, "eps": 1e-3}, {"weight_decay": 0.1}, {"maximize": True}],
    ids=["defaults", "hyper-parameters", "decay", "ascent"],
)
def test_it_is_the_paper_with_the_mean_of_each_group(sizes, options):
    x, gradients = steps(sum(sizes))
    opt = stepped(x, gradients, shared_delta=sizes, **options)
    expected = slow(x, gradients, sizes, **options)
    for name, array in zip(("params", "square_avg", "acc_delta"), expected, strict=True):
        np.testing.assert_allclose(getattr(opt, name), array, rtol=1e-12, atol=1e-14, err_msg=name)
    assert opt.steps == len(gradients)
    assert opt.shared_delta == sizes


@every_grouping
def test_in_float32_it_stays_with_float64(sizes):
    x, gradients = steps(sum(sizes), np.float32, 50)
    opt = stepped(x, gradients, shared_delta=sizes)
    expected = slow(x.astype(np.float64), gradients.astype(np.float64), sizes)
    for name, array in zip(("params", "square_avg", "acc_delta"), expected, strict=True):
        assert getattr(opt, name).dtype == np.float32
        np.testing.assert_allclose(getattr(opt, name), array, rtol=2e-4, atol=1e-6, err_msg=name)


@every_dtype
def test_groups_of_one_element_have_the_bits_of_the_usual_step(dtype):
    x, gradients = steps(9, dtype)
    shared = stepped(x, gradients, shared_delta=[1] * 9)
    assert contents(shared) == contents(stepped(x, gradients))


@every_dtype
def test_groups_do_not_see_each_other(dtype):
    x, gradients = steps(1300, dtype)
    both = stepped(x, gradients, shared_delta=(500, 800))
    first = stepped(x[:500], gradients[:, :500], shared_delta=True)
    second = stepped(x[500:], gradients[:, 500:], shared_delta=True)
    for name in ("params", "square_avg", "acc_delta"):
        parts = [getattr(opt, name) for opt in (first, second)]
        np.testing.assert_array_equal(getattr(both, name), np.concatenate(parts), err_msg=name)


@every_dtype
@pytest.mark.parametrize("sizes", [(100,), (3, 50, 47), (16, 84), (1,) * 100, (7,) * 14 + (2,)])
def test_threads_change_no_bit(four_threads, monkeypatch, sizes, dtype):
    x, gradients = steps(100, dtype)
    several = stepped(x, gradients, shared_delta=sizes)
    monkeypatch.setattr(threads, "_num_threads", 1)
    assert contents(several) == contents(stepped(x, gradients, shared_delta=sizes))


@pytest.mark.usefixtures("four_threads")
@pytest.mark.parametrize("sizes", [(100,), (3, 50, 47), (16, 84)])
def test_a_group_in_several_parts_has_one_mean(sizes):
    x, gradients = steps(100)
    opt = stepped(x, gradients, shared_delta=sizes)
    for name, array in zip(
        ("params", "square_avg", "acc_delta"), slow(x, gradients, sizes), strict=True
    ):
        np.testing.assert_allclose(getattr(opt, name), array, rtol=1e-12, atol=1e-14, err_msg=name)


def test_true_is_one_group_whatever_the_shape():
    x, gradients = steps(12)
    opt = nd.Adadelta(x.reshape(3, 4).copy(), shared_delta=True)
    for g in gradients:
        opt.step(g.reshape(3, 4))
    flat = stepped(x, gradients, shared_delta=True)
    assert opt.shared_delta == (12,) and opt.acc_delta.shape == (1,)
    assert opt.effective_lr().shape == opt.square_avg.shape == (3, 4)
    assert contents(opt) == contents(flat)


def test_no_element_at_all_is_a_group_too():
    opt = nd.Adadelta(np.zeros(0), shared_delta=True)
    opt.step(np.zeros(0))
    assert opt.steps == 1
    np.testing.assert_array_equal(opt.acc_delta, [0.0])
    assert copy.deepcopy(opt).shared_delta == (0,)


@pytest.mark.parametrize("sizes", [[3, 4], range(3, 5), np.array([3, 4]), iter([3, 4])])
def test_sizes_come_in_any_sequence(sizes):
    assert nd.Adadelta(np.zeros(7), shared_delta=sizes).shared_delta == (3, 4)


def test_numpy_has_truth_values_of_its_own():
    assert nd.Adadelta(np.zeros(7), shared_delta=np.True_).shared_delta == (7,)
    assert nd.Adadelta(np.zeros(7), shared_delta=np.False_).shared_delta is False


def test_the_groups_are_in_the_repr():
    assert "shared_delta=(3, 4), steps=0" in repr(nd.Adadelta(np.zeros(7), shared_delta=(3, 4)))
    assert "shared_delta" not in repr(nd.Adadelta(np.zeros(7)))


@every_grouping
def test_effective_rates_are_those_of_the_paper(sizes):
    x, gradients = steps(sum(sizes))
    opt = stepped(x, gradients, shared_delta=sizes)
    expected = np.sqrt((np.repeat(opt.acc_delta, sizes) + 1e-6) / (opt.square_avg + 1e-6))
    np.testing.assert_allclose(opt.effective_lr(), expected, rtol=1e-14)


@pytest.mark.usefixtures("four_threads")
@pytest.mark.parametrize("n", [20, 100], ids=["one thread", "four threads"])
def test_a_gradient_that_is_not_finite_changes_nothing(n):
    x, gradients = steps(n)
    opt, skipping = (
        stepped(x, gradients, shared_delta=(5, n - 5), nonfinite=what) for what in ("raise", "skip")
    )
    before, bad = contents(opt), gradients[0].copy()
    bad[n - 2] = np.nan
    with pytest.raises(ValueError, match=rf"grads\[{n - 2}\] is nan"):
        opt.step(bad)
    skipping.step(bad)
    assert contents(opt) == contents(skipping) == before
    assert (opt.steps, skipping.steps, skipping.skipped) == (12, 12, 1)


# Its state


@every_dtype
@pytest.mark.parametrize("count", [4, 5])
def test_a_loaded_state_takes_the_next_step(dtype, count):
    x, gradients = steps(700, dtype)
    first = stepped(x, gradients[:count], shared_delta=(300, 400))
    second = nd.Adadelta(first.params.copy(), shared_delta=(300, 400))
    second.load_state_dict(first.state_dict())
    assert contents(second) == contents(first)
    for opt in (first, second):
        opt.step(gradients[-1])
    assert contents(second) == contents(first)


@pytest.mark.usefixtures("four_threads")
@pytest.mark.parametrize("count", [4, 5])
def test_a_state_replaces_all_of_another(count):
    x, gradients = steps(100)
    first = stepped(x, gradients[:count], shared_delta=(30, 70))
    second = stepped(first.params, gradients, shared_delta=(30, 70))
    second.params[:] = first.params
    second.load_state_dict(first.state_dict())
    assert contents(second) == contents(first)
    for opt in (first, second):
        opt.step(gradients[-1])
    assert contents(second) == contents(first)


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda opt: pickle.loads(pickle.dumps(opt))])
def test_copies_go_on_alike(twin):
    x, gradients = steps(30)
    opt = stepped(x, gradients, shared_delta=(10, 20))
    other = twin(opt)
    for one in (opt, other):
        one.step(gradients[0])
    assert other.shared_delta == (10, 20)
    assert contents(other) == contents(opt)


def test_states_of_other_groups_are_refused_and_nothing_is_changed():
    x, gradients = steps(30)
    own, shared = stepped(x, gradients), stepped(x, gradients, shared_delta=(10, 20))
    others = stepped(x, gradients, shared_delta=(20, 10))
    for opt, other, error, message in (
        (own, shared, ValueError, "state_dict has unknown keys: shared_delta"),
        (shared, own, KeyError, "state_dict lacks shared_delta"),
        (shared, others, ValueError, r"is \(20, 10\), but that of this optimiser is \(10, 20\)"),
    ):
        before = contents(opt)
        with pytest.raises(error, match=message):
            opt.load_state_dict(other.state_dict())
        assert contents(opt) == before


@pytest.mark.parametrize("sizes", [5, None, "groups", [10, 10, 10]])
def test_groups_of_a_damaged_state_are_refused(sizes):
    x, gradients = steps(30)
    opt = stepped(x, gradients, shared_delta=(10, 20))
    with pytest.raises(ValueError, match="that of this optimiser is"):
        opt.load_state_dict(opt.state_dict() | {"shared_delta": sizes})


def test_groups_may_have_been_through_json():
    x, gradients = steps(30)
    opt = stepped(x, gradients, shared_delta=(10, 20))
    other = nd.Adadelta(opt.params.copy(), shared_delta=(10, 20))
    other.load_state_dict(opt.state_dict() | {"shared_delta": [10, 20]})
    assert contents(other) == contents(opt)


def test_the_state_is_half_as_large():
    sizes = {
        name: getattr(nd.Adadelta(np.zeros(1000), shared_delta=True), name).nbytes
        for name in ("square_avg", "acc_delta")
    }
    assert sizes == {"square_avg": 8000, "acc_delta": 8}


@pytest.mark.parametrize(
    ("sizes", "error", "message"),
    [
        ((3, 4), ValueError, r"positive sizes that add up to the 6 elements .* is \(3, 4\)"),
        ((6, 0), ValueError, "positive sizes"),
        ((7, -1), ValueError, "positive sizes"),
        ((), ValueError, "positive sizes"),
        ([3.0, 3.0], TypeError, "a size in shared_delta must be an integer, but is 3.0"),
        ([True] * 6, TypeError, "a size in shared_delta must be an integer, but is True"),
        (6, TypeError, "shared_delta must be True, False or sizes of groups, but is 6"),
        ("6", TypeError, "shared_delta must be True, False or sizes"),
        (None, TypeError, "shared_delta must be True, False or sizes"),
    ],
)
def test_groups_that_are_refused(sizes, error, message):
    with pytest.raises(error, match=message):
        nd.Adadelta(np.zeros(6), shared_delta=sizes)


def test_an_average_of_yours_for_each_element_is_refused():
    with pytest.raises(ValueError, match="acc_delta cannot be given with shared_delta"):
        nd.Adadelta(np.zeros(6), acc_delta=np.zeros(6), shared_delta=True)


def test_an_average_of_gradients_is_taken_and_updated_in_place():
    x, gradients = steps(6)
    square_avg = np.ones(6)
    opt = nd.Adadelta(x, square_avg=square_avg, shared_delta=True)
    opt.step(gradients[0])
    np.testing.assert_allclose(square_avg, 0.95 + 0.05 * gradients[0] ** 2, rtol=1e-15)
    both = np.ones(6)
    with pytest.raises(ValueError, match="overlap"):
        nd.Adadelta(both, square_avg=both, shared_delta=True)


def test_arrays_on_a_gpu_are_refused():
    params = type("Array", (), {"__cuda_array_interface__": {}})()
    with pytest.raises(ValueError, match="shared_delta must be False for arrays on a GPU"):
        nd.Adadelta(params, shared_delta=True)


# In networks (resumed trainings are in test_resume.py, rates in test_history.py)

SIZES = (4, 6, 3)
PARTS = (24, 6, 18, 3)
ROWS = 11


def net_and_data(**options):
    return nd.MLP(SIZES, **options), *problem("cross_entropy", ROWS, 4, 3)


def fit(net, X, y, epochs=3, **options):
    return net.fit(X, y, epochs=epochs, batch_size=ROWS, verbose=0, shuffle=False, **options)


def test_weights_and_biases_of_each_layer_are_a_group():
    net, X, y = net_and_data()
    other, _, _ = net_and_data()
    opt = nd.Adadelta(other.theta, shared_delta=PARTS)
    for _ in range(3):
        opt.step(other.loss_and_grad(other.theta, X, y)[1])
    fit(net, X, y, shared_delta=True)
    assert net.optimizer.shared_delta == PARTS
    assert contents(net.optimizer) == contents(opt)


def test_two_trainings_are_one():
    net, X, y = net_and_data()
    whole, _, _ = net_and_data()
    for _ in range(2):
        fit(net, X, y, shared_delta=True)
    fit(whole, X, y, 6, shared_delta=True)
    same_bits(net, whole)


@pytest.mark.parametrize("first", [True, False])
def test_after_a_change_of_mind_the_averages_begin_anew(first):
    net, X, y = net_and_data()
    fit(net, X, y, shared_delta=first)
    fresh = nd.MLP(SIZES)
    fresh.theta = net.theta
    for one in (net, fresh):
        fit(one, X, y, shared_delta=not first)
    assert net.optimizer.steps == 3
    assert contents(net.optimizer) == contents(fresh.optimizer)


def test_a_training_that_cannot_begin_costs_no_averages(tmp_path):
    net, X, y = net_and_data()
    fit(net, X, y, checkpoint=tmp_path, shared_delta=True)
    fit(net, X, y)
    fit(net, X, y, rho=0.9, eps=1e-4, lr=0.5)
    optimizer, before = net.optimizer, contents(net.optimizer)
    rates = optimizer.lr, optimizer.rho, optimizer.eps
    stop = nd.callbacks.EarlyStopping("loss")
    with pytest.raises(ValueError, match="the callbacks with a state are"):
        fit(net, X, y, shared_delta=True, resume=tmp_path, callbacks=[stop])
    assert net.optimizer is optimizer and contents(optimizer) == before
    assert (optimizer.lr, optimizer.rho, optimizer.eps) == rates == (0.5, 0.9, 1e-4)


def test_a_pickled_network_goes_on_alike():
    net, X, y = net_and_data()
    fit(net, X, y, shared_delta=True)
    other = pickle.loads(pickle.dumps(net))
    for one in (net, other):
        fit(one, X, y, shared_delta=True)
    same_bits(net, other)
    assert other.optimizer.steps == 6


def test_a_training_resumes_from_its_own_kind_only(tmp_path):
    net, X, y = net_and_data()
    fit(net, X, y, checkpoint=tmp_path, shared_delta=True)
    with pytest.raises(ValueError, match="shared_delta is False now, .* a training with True"):
        fit(nd.MLP(SIZES), X, y, resume=tmp_path)


def test_an_estimator_has_it():
    X, y = problem("cross_entropy", 40, 4, 3)
    model = MLPClassifier((5,), max_iter=3, n_iter_no_change=3, random_state=0, shared_delta=True)
    with pytest.warns(UserWarning, match="has not converged"):
        model.fit(X, y)
    assert model.net_.optimizer.shared_delta == (20, 5, 15, 3)
