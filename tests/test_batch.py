"""`minimize_batch`: each problem as `minimize` solves it alone, whatever there is beside it."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config, njit
from scipy.optimize import Bounds, OptimizeWarning

import numadelta as nd
from numadelta import rounds, threads

jit = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="Numba compiles nothing here")

RNG = np.random.default_rng(0)
B = 7
NAMES = "x fun jac nit nfev njev status success".split()
STARTS = RNG.normal(size=(B, 3))
# One weight for each problem, and where it is NaN from.  Of one type, as each new one compiles.
DATA = np.stack([10.0 ** RNG.uniform(0, 3, B), np.full(B, np.inf)], axis=1)


@njit
def inplace(x, grad, d):
    """Rosenbrock's chain, NaN where x[0] > d[1]."""
    total = 0.0
    grad[0] = 0
    for i in range(x.size - 1):
        a, b = 1 - x[i], x[i + 1] - x[i] * x[i]
        total += a * a + d[0] * b * b
        grad[i] -= 2 * a + 4 * d[0] * b * x[i]
        grad[i + 1] = 2 * d[0] * b
    return np.nan if x[0] > d[1] else total


@njit
def slope(x, d):
    grad = np.empty(x.size)
    inplace(x, grad, d)
    return grad


@njit
def value(x, d):
    total = 0 * x[0]
    for i in range(x.size - 1):
        a, b = 1 - x[i], x[i + 1] - x[i] * x[i]
        total += a * a + d[0] * b * b
    return total


@njit
def single(x, grad):
    total = np.float32(0)
    for i in range(x.size):
        grad[i] = 4 * x[i] * x[i] * x[i] - 2
        total += x[i] * x[i] * x[i] * x[i] - 2 * x[i]
    return total


@njit
def mixed(x, shift, power, matrix):
    total, grad = 0.0, np.empty(x.size)
    for i in range(x.size):
        away = x[i] - shift - matrix[i, 1]
        grad[i] = power * away
        total += power * away * away / 2
    return total, grad


@njit
def endless(x, grad, d):
    """|x| for the method of the paper: without end, unless d[0] is zero."""
    d[1] += 1
    grad[0] = 0 if d[0] == 0 else 1 if x[0] > 0 else -1
    return abs(x[0]) * d[0]


@njit
def failing(x, grad, d):
    if d[0] > 0:
        raise ArithmeticError("as asked")
    return x[0]


FOR_EVER = {"jac": "inplace", "safeguard": False, "gtol": 0, "maxiter": np.inf}

FORMS = {
    "inplace": (inplace, "inplace"),
    "jac": (value, slope),
    "2-point": (value, None),
    "3-point": (value, "3-point"),
    "cs": (value, "cs"),
}
every_form = pytest.mark.parametrize("form", FORMS)


@pytest.fixture(params=[1, 2], ids=["one thread", "two threads"])
def number_of_threads(request, monkeypatch):
    monkeypatch.setattr(threads, "_max_threads", lambda: 2)
    monkeypatch.setattr(threads, "_num_threads", request.param)


both_ways = pytest.mark.usefixtures("number_of_threads")


def solved(*args, alone=None, **options):
    """Return what a batch found, after a comparison with `minimize` for each problem.

    `alone` lists what differs between the problems: ``(x0, args)`` and perhaps the bounds.
    """
    fun, jac = args[0], options.get("jac")
    found = nd.minimize_batch(*args, **options)
    names = ("maxiter", "maxfev", "tol", "safeguard", "bounds")
    common = {name: options[name] for name in names if name in options}
    for k, (x0, own, *bounds) in enumerate(alone):
        common |= {"bounds": bounds[0]} if bounds else {}
        one = nd.minimize(fun, x0, own, jac, **common)
        for name in NAMES:
            assert np.asarray(one[name]).tobytes() == found[name][k].tobytes(), (k, name)
    assert len(found.x) == len(alone)
    assert {name: found[name].shape[0] for name in NAMES} == dict.fromkeys(NAMES, len(alone))
    return found


EACH = list(zip(STARTS, DATA, strict=True))

# As alone


@every_form
@both_ways
@pytest.mark.parametrize(
    "options", [{}, {"safeguard": False, "maxiter": 33}, {"maxfev": 41}, {"tol": 0.1}]
)
def test_each_problem_is_solved_as_alone(form, options):
    fun, jac = FORMS[form]
    found = solved(fun, STARTS, DATA, jac=jac, alone=EACH, **options)
    assert (found.success == (found.status == 0)).all()
    assert found.success.all() or form == "2-point" or {"maxiter", "maxfev"} & set(options)


@every_form
@both_ways
def test_each_problem_may_have_bounds_of_its_own(form):
    fun, jac = FORMS[form]
    lower, upper = STARTS - 0.5, STARTS + [0.1, 0.2, np.inf]
    lower[::2, 0] = upper[::2, 0] = STARTS[::2, 0]  # fixed
    each = [(*EACH[k], Bounds(lower[k], upper[k])) for k in range(B)]
    found = solved(fun, STARTS, DATA, jac=jac, bounds=(lower, upper), alone=each)
    assert ((lower <= found.x) & (found.x <= upper)).all()
    np.testing.assert_array_equal(found.x[::2, 0], STARTS[::2, 0])
    solved(fun, STARTS, DATA, jac=jac, bounds=Bounds(lower, upper), alone=each)
    # One start for all, and lower limits in another order.
    bounds = np.asfortranarray(lower - 9), upper + 9
    each = [(STARTS[0], DATA[k], Bounds(bounds[0][k], bounds[1][k])) for k in range(B)]
    solved(fun, STARTS[0], DATA, jac=jac, bounds=bounds, alone=each)


@both_ways
def test_bounds_may_be_shared():
    starts = np.clip(STARTS, [-9, -9, 0.1], [0.5, 9, 0.1])
    each = list(zip(starts, DATA, strict=True))
    for form in (inplace, "inplace"), (value, "3-point"):
        bounds = [(-9, 0.5), (None, None), (0.1, 0.1)]
        solved(form[0], starts, DATA, jac=form[1], bounds=bounds, alone=each)


def test_a_start_outside_the_bounds_is_clipped_with_a_warning():
    with pytest.warns(RuntimeWarning, match="clipped"):
        found = nd.minimize_batch(inplace, STARTS, DATA, jac="inplace", bounds=[(2, 3)] * 3)
    assert ((found.x >= 2) & (found.x <= 3)).all()


@both_ways
@pytest.mark.parametrize("count", [0, 1, 2, 50 if config.DISABLE_JIT else 1000])
def test_there_may_be_any_number_of_problems_and_they_may_be_float32(count):
    starts = np.random.default_rng(count).normal(size=(count, 2)).astype(np.float32)
    found = solved(single, starts, (), jac="inplace", alone=[(x, ()) for x in starts])
    assert found.x.dtype == found.jac.dtype == np.float32
    assert found.x.shape == found.jac.shape == (count, 2)
    assert found.success.all() and found.message == "Optimization terminated successfully."


# Arguments

SHIFTS, POWERS, MATRICES = RNG.normal(size=4), np.arange(1, 5), RNG.normal(size=(4, 2, 3))


@pytest.mark.parametrize(
    "args, in_axes, pick",
    [
        ((SHIFTS, POWERS, MATRICES), 0, lambda k: (SHIFTS[k], POWERS[k], MATRICES[k])),
        ((SHIFTS, 3, MATRICES[1]), (0, None, None), lambda k: (SHIFTS[k], 3, MATRICES[1])),
        (
            (0.5, POWERS, np.moveaxis(MATRICES, 0, 1)),
            [None, 0, 1],
            lambda k: (0.5, POWERS[k], MATRICES[k]),
        ),
        (
            (0.5, POWERS, np.moveaxis(MATRICES, 0, -1)),
            (None, -1, -1),
            lambda k: (0.5, POWERS[k], MATRICES[k]),
        ),
    ],
)
def test_in_axes_tells_which_axis_counts_the_problems(args, in_axes, pick):
    each = [(np.zeros(2), pick(k)) for k in range(4)]
    found = solved(mixed, [0.0, 0.0], args, in_axes, jac=True, alone=each)
    np.testing.assert_allclose(
        found.x, [[own[0] + own[2][i, 1] for i in range(2)] for _, own in each], atol=1e-4
    )


def test_all_arguments_may_be_shared():
    each = [(x, DATA[0]) for x in STARTS]
    solved(inplace, STARTS, DATA[0], None, jac="inplace", alone=each)


def test_arguments_of_any_layout_are_taken_and_none_is_changed():
    starts, data = np.asfortranarray(STARTS)[::-1], np.repeat(DATA, 2, axis=1)[:, ::2][::-1]
    bounds = starts - 1, starts + 1
    for array in (starts, data, *bounds):
        array.flags.writeable = False
    before = [array.copy() for array in (starts, data, *bounds)]
    each = [(x, d, Bounds(x - 1, x + 1)) for x, d in EACH[::-1]]
    solved(inplace, starts, data, jac="inplace", bounds=bounds, alone=each)
    for array, copy in zip((starts, data, *bounds), before, strict=True):
        np.testing.assert_array_equal(array, copy)


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(B)), st.integers(1, B))
def test_other_order_and_other_company_change_nothing(order, count):
    order = order[:count]
    whole = nd.minimize_batch(inplace, STARTS, DATA, jac="inplace")
    some = nd.minimize_batch(inplace, STARTS[order], DATA[order], jac="inplace")
    for name in NAMES:
        assert some[name].tobytes() == whole[name][order].tobytes()


# Results


@both_ways
def test_each_problem_has_its_own_status():
    data = DATA.copy()
    starts = STARTS.copy()
    data[1, 1] = -9  # NaN at the start
    starts[2] = 1  # the minimum
    found = nd.minimize_batch(inplace, starts, data, jac="inplace", maxiter=3)
    assert found.status.tolist() == [1, 3, 0, 1, 1, 1, 1]
    assert found.success.tolist() == [status == 0 for status in found.status]
    assert found.message == "6 of 7 problems did not converge."
    assert np.isnan(found.fun[1]) and (found.x[1] == starts[1]).all()
    assert found.nit.tolist() == [3, 0, 0, 3, 3, 3, 3]


def test_the_arrays_of_the_result_are_its_own():
    found = nd.minimize_batch(inplace, STARTS, DATA, jac="inplace")
    for name in NAMES:
        assert found[name].flags.c_contiguous and found[name].flags.owndata, name
    kinds = {name: found[name].dtype.kind for name in NAMES}
    assert kinds == dict(zip(NAMES, "fffiiiib", strict=True))


# Callback, time and progress


@both_ways
def test_the_callback_hears_how_many_are_done():
    heard = []
    nd.minimize_batch(inplace, STARTS, DATA, jac="inplace", callback=lambda *n: heard.append(n))
    done = [n for n, _ in heard]
    assert {count for _, count in heard} == {B}
    assert done == sorted(done) and done[-1] == B


@both_ways
def test_stop_iteration_keeps_what_has_been_finished():
    data = np.tile([1.0, 0.0], (B, 1))
    data[0, 0] = 0  # ends at once

    def stop(done, count):
        if done or count != B:
            raise StopIteration

    found = nd.minimize_batch(endless, np.ones((B, 1)), data, callback=stop, **FOR_EVER)
    assert found.status[0] == 0 and found.nfev[0] == 1
    assert 99 in found.status and not found.success[1:].any()


@both_ways
def test_what_a_callback_raises_passes_unchanged():
    error = LookupError("mine")

    def fail(done, count):
        raise error

    with pytest.raises(LookupError) as caught:
        nd.minimize_batch(inplace, STARTS, DATA, jac="inplace", callback=fail)
    assert caught.value is error


@both_ways
def test_what_the_objective_raises_tells_in_which_problem_and_what_was_found():
    data = DATA.copy()
    data[:, 0] = 0
    data[4, 0] = 1
    with pytest.raises(ArithmeticError, match="as asked") as caught:
        nd.minimize_batch(failing, STARTS, data, jac="inplace")
    assert caught.value.__notes__ == ["in problem 4 of 7, counted from 0"]
    found = caught.value.result
    assert found.status[4] == 99 and not found.success[4]
    assert found.nfev[4] == 0 and found.x[4].tolist() == STARTS[4].tolist()


@njit
def fragile(x, grad, d):
    """A bowl with a trap between the start and the minimum."""
    if x[0] < d[0]:
        raise ArithmeticError("a trap")
    grad[0] = 2 * x[0]
    return x[0] * x[0]


@both_ways
def test_a_problem_that_raises_has_its_best_point_before():
    data = np.array([[-9.0], [0.5]])
    with pytest.raises(ArithmeticError) as caught:
        nd.minimize_batch(fragile, [1.0], data, jac="inplace")
    found = caught.value.result
    with pytest.raises(ArithmeticError) as caught:
        nd.minimize(fragile, [1.0], data[1], jac="inplace")
    alone = caught.value.result
    for name in NAMES:
        assert np.asarray(alone[name]).tobytes() == found[name][1].tobytes(), name


@both_ways
def test_an_element_of_the_gradient_that_is_not_assigned_is_named():
    @njit
    def forgetful(x, grad, d):
        grad[0] = d[0]
        return x[0]

    with pytest.raises(ValueError, match=r"did not assign grad\[1\]") as caught:
        nd.minimize_batch(forgetful, STARTS, DATA, jac="inplace")
    assert caught.value.__notes__ == ["in problem 0 of 7, counted from 0"]
    assert (caught.value.result.status == 3).all()


@both_ways
def test_bounds_of_each_problem_may_be_lists():
    weights, low, high = np.arange(3.0), np.full((3, 2), 0.5), np.full((3, 2), 1.5)
    options = {"jac": None}
    expected = nd.minimize_batch(far, np.ones((3, 2)), (weights,), bounds=(low, high), **options)
    for bounds in ((low.tolist(), high), [low, high.tolist()], (low.tolist(), high.tolist())):
        found = nd.minimize_batch(far, np.ones((3, 2)), (weights,), bounds=bounds, **options)
        np.testing.assert_array_equal(found.x, expected.x)
    assert (expected.x[:, 0] == [0.5, 1, 1.5]).all()


@both_ways
def test_ragged_bounds_are_named():
    with pytest.raises(ValueError, match="bounds must be a Bounds object or a sequence of"):
        nd.minimize_batch(far, np.zeros((3, 2)), (np.ones(3),), bounds=[(0, 1), ([1, 2], 3)])


@both_ways
@pytest.mark.parametrize(("maxfev", "first"), [(1, 1), (None, 3)])
def test_what_tells_an_unassigned_gradient_from_nan_is_counted(maxfev, first):
    @njit
    def undefined(x, grad, d):
        grad[:] = np.nan
        return d[0]

    found = nd.minimize_batch(undefined, STARTS, DATA, jac="inplace", maxfev=maxfev)
    assert found.nfev.tolist() == [first, *[1] * 6] and (found.status == 3).all()


def test_loops_with_threads_of_their_own_do_not_meet(python):
    script = """
    import numpy as np
    from numba import njit, prange
    import numadelta as nd

    @njit(parallel=True)
    def fun(x, grad, t):
        value = 0.0
        for i in prange(x.size):
            grad[i] = 2 * (x[i] - t)
            value += (x[i] - t) ** 2
        return value

    nd.set_num_threads(2)
    found = nd.minimize_batch(fun, np.zeros(50), (np.arange(300.0),), jac="inplace")
    assert found.success.all()
    """
    if nd.threads._max_threads() < 2:
        pytest.skip("there is one core only")
    python(script, NUMBA_THREADING_LAYER="workqueue")


@njit
def far(x, k):
    return (x[0] - k) ** 2


@both_ways
def test_differences_become_central_as_alone():
    targets = np.arange(0.0, 100_000, 997)
    each = [([0.0], (target,)) for target in targets]
    found = solved(far, [0.0], targets, alone=each)
    assert found.success.all()
    np.testing.assert_allclose(found.x[:, 0], targets, rtol=1e-8, atol=1e-4)


@both_ways
def test_maxtime_ends_what_has_no_end():
    data = np.tile([1.0, 0.0], (2, 1))
    found = nd.minimize_batch(endless, np.ones((2, 1)), data, maxtime=0.05, **FOR_EVER)
    assert found.status.tolist() == [1, 1]


class Bar:
    def __init__(self, total, **_):
        self.total, self.n, self.closed = total, 0, False
        Bar.made.append(self)

    def update(self, more):
        self.n += more

    def close(self):
        self.closed = True


@pytest.mark.parametrize("fun", [inplace, failing])
def test_disp_shows_a_bar(monkeypatch, fun):
    monkeypatch.setattr(Bar, "made", [], raising=False)
    monkeypatch.setitem(sys.modules, "tqdm.auto", SimpleNamespace(tqdm=Bar))
    try:
        nd.minimize_batch(fun, STARTS, DATA, jac="inplace", disp=True)
        done = B
    except ArithmeticError:
        done = 0
    (bar,) = Bar.made
    assert (bar.total, bar.n, bar.closed) == (B, done, True)


def test_disp_without_tqdm_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match=r"numadelta\[progress\]"):
        nd.minimize_batch(inplace, STARTS, DATA, jac="inplace", disp=True)


# Errors


@pytest.mark.parametrize(
    "error, match, changed",
    [
        (ValueError, "in_axes has 2 entries, but args has 1", {"in_axes": (0, 0)}),
        (ValueError, r"7 in x0, 3 in args\[0\]; None in in_axes is", {"args": DATA[:3]}),
        (ValueError, "nothing counts", {"x0": STARTS[0], "in_axes": None}),
        (ValueError, r"args\[0\].*axes.* is 2", {"in_axes": 2}),
        (ValueError, r"args\[0\].*axes.* is -3", {"in_axes": -3}),
        (ValueError, r"args\[0\].*in_axes", {"args": 3.0}),
        (TypeError, r"in_axes\[0\]", {"in_axes": 0.5}),
        (TypeError, r"args\[0\]", {"args": "text"}),
        (TypeError, r"args\[0\]", {"args": ([{}] * 7,)}),
        (ValueError, r"args\[0\] cannot be made an array", {"args": ([[1], [1, 2]],)}),
        (TypeError, r"args\[0\]", {"args": np.ma.array(DATA)}),
        (TypeError, "x0", {"x0": np.ma.array(STARTS)}),
        (ValueError, "x0", {"x0": STARTS[None]}),
        (ValueError, "x0", {"x0": []}),
        (ValueError, "x0 cannot be made an array", {"x0": [[1.0], [1.0, 2.0]]}),
        (ValueError, "x0", {"x0": np.zeros((B, 0))}),
        (ValueError, "x0", {"x0": STARTS * np.nan}),
        (ValueError, "number of bounds", {"bounds": [(0, 1)] * 2}),
        (ValueError, "bounds", {"bounds": (STARTS[1:], STARTS[1:])}),
        (ValueError, "upper bound", {"bounds": (STARTS, STARTS - 1)}),
        (ValueError, "bounds.*NaN", {"bounds": (STARTS, STARTS * np.nan)}),
        (ValueError, "return_all", {"return_all": True}),
        (ValueError, "averaging", {"averaging": True, "safeguard": False}),
        (ValueError, "lr_decay", {"lr_decay": 0.1, "safeguard": False}),
        (ValueError, "workers", {"workers": 2}),
        (ValueError, "check_gradient", {"check_gradient": True}),
        (ValueError, "jac", {"jac": "4-point"}),
        (ValueError, "rho", {"rho": 2}),
        (TypeError, r"minimize_batch\(\) .* 'momentum'", {"momentum": 2}),
        (TypeError, r"'in_axis' \(did you mean in_axes\?\)", {"in_axis": 0}),
        (TypeError, "minimize_batch has no choice of method", {"method": "BFGS"}),
        (OptimizeWarning, "momentum", {"options": {"momentum": 2}}),
        (TypeError, "callback", {"callback": 3}),
    ],
    ids=lambda value: None if isinstance(value, dict) else "",
)
def test_a_wrong_argument_is_named(error, match, changed):
    arguments = {"x0": STARTS, "args": DATA, "jac": "inplace"} | changed
    with pytest.raises(error, match=match):
        nd.minimize_batch(inplace, **arguments)


@jit
def test_functions_in_python_are_refused_with_the_remedy():
    with pytest.raises(TypeError, match="fun .*numba.njit"):
        nd.minimize_batch(inplace.py_func, STARTS, DATA, jac="inplace")
    with pytest.raises(TypeError, match="jac .*numba.njit"):
        nd.minimize_batch(value, STARTS, DATA, jac=slope.py_func)


@jit
def test_a_signature_that_does_not_fit_is_refused_and_one_that_fits_is_used():
    with pytest.raises(TypeError, match="explicit signatures"):
        nd.minimize_batch(njit("float64(float32[:], int8)")(lambda x, d: 1.0), STARTS, DATA)
    fixed = njit("float64(float64[::1], float64[::1], float64[::1])")(inplace.py_func)
    solved(fixed, STARTS, DATA, jac="inplace", alone=EACH)


# Threads, processes and Ctrl-C


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=5))
def test_idle_threads_get_a_share_of_what_is_left(gaps):
    edges = np.cumsum([0, *np.ravel(gaps)])
    spans = [edges[k : k + 2].copy() for k in range(0, 2 * len(gaps), 2)]
    before = [set(range(*span)) for span in spans]
    rounds._share(spans)
    after = [set(range(*span)) for span in spans]
    assert sum(map(len, after)) == len(set().union(*after)) == sum(map(len, before))
    assert set().union(*after) == set().union(*before)
    for old, new in zip(before, after, strict=True):
        assert not old or min(old) in new  # the problem that has been begun stays
    assert max(map(len, after)) <= 1 or all(after)


@both_ways
def test_uneven_work_is_all_done():
    data = np.full((200, 2), np.inf)
    data[:, 0] = np.where(np.arange(200) < 180, 0, 300)
    starts = np.tile([[-1.2, 1.0, 1.0]], (200, 1))
    each = list(zip(starts, data, strict=True))
    found = solved(inplace, starts, data, jac="inplace", alone=each)
    assert found.success.all() and found.nit.max() > 10 * found.nit.min()


@both_ways
def test_batches_in_two_threads_are_independent():
    expected = nd.minimize_batch(inplace, STARTS, DATA, jac="inplace").x

    def run(order):
        return nd.minimize_batch(inplace, STARTS[order], DATA[order], jac="inplace").x

    orders = [RNG.permutation(B) for _ in range(10)]
    with ThreadPoolExecutor(2) as pool:
        for order, x in zip(orders, pool.map(run, orders), strict=True):
            np.testing.assert_array_equal(x, expected[order])


SCRIPT = """
    import multiprocessing, os, signal, threading, time
    import numpy as np
    import numadelta as nd
    from numadelta import threads
    from numba import njit

    threads._num_threads, threads._max_threads = 2, lambda: 2

    @njit
    def fun(x, grad, d):
        d[1] += 1
        grad[0] = 0 if d[0] == 0 else 1 if x[0] > 0 else -1
        return abs(x[0]) * d[0]

    def run(data, **options):
        return nd.minimize_batch(fun, np.ones((len(data), 1)), data, jac="inplace",
                                 safeguard=False, gtol=0, **options)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to a process")
def test_ctrl_c_brings_what_has_been_found(python):
    script = """
    data = np.ones((6, 2))
    data[:, 0] = 0, 1, 1, 1, 0, 1

    def strike():
        while data[1, 1] < 1000:
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)

    try:
        threading.Thread(target=strike).start()
        run(data, maxiter=np.inf, maxtime=20)
        print("it ended")
    except KeyboardInterrupt as interrupt:
        found = interrupt.result
        print(found.status[0], found.status[1], found.x.shape, found.nfev[1] > 100)
    """
    assert python(SCRIPT + script) == "0 99 (6, 1) True"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")
def test_a_forked_child_solves_batches_like_its_parent(python):
    script = """
    data = np.stack([np.arange(5.0), np.zeros(5)], axis=1)
    expected = run(data, maxiter=20).x.tobytes()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        print(pool.apply(run, (data,), {"maxiter": 20}).x.tobytes() == expected)
        pool.close()
        pool.join()
    """
    # Python 3.12 warns of any fork in a process with threads.
    assert python(SCRIPT + script, "-W", "ignore::DeprecationWarning") == "True"
