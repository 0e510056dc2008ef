"""`minimize` for ``@njit`` objectives: the compiled driver does what the Python driver does."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numba import config, njit, types
from numba.core.errors import NumbaError

import numadelta as nd
from numadelta import compiled, compiled_loop, descent, jit, ticker

pytestmark = pytest.mark.skipif(
    bool(config.DISABLE_JIT), reason="there is no compiled driver where Numba compiles nothing"
)

# Of one type, as each new one compiles a driver.
DATA = np.array([10.0, np.inf, np.inf])
START = np.array([-1.2, 1.0, 0.4])
MAXTIME = "Maximum time has been exceeded."


@njit
def inplace(x, grad, d):
    """Rosenbrock's chain: NaN where x[0] > d[1], its slope where x[0] > d[2]."""
    total = 0.0
    grad[0] = 0
    for i in range(x.size - 1):
        a, b = 1 - x[i], x[i + 1] - x[i] * x[i]
        total += a * a + d[0] * b * b
        grad[i] -= 2 * a + 4 * d[0] * b * x[i]
        grad[i + 1] = 2 * d[0] * b
    if x[0] > d[2]:
        grad[0] = np.nan
    return np.nan if x[0] > d[1] else total


@njit
def pair(x, d):
    grad = np.empty(x.size)
    return inplace(x, grad, d), grad


@njit
def slope(x, d):
    return pair(x, d)[1]


@njit
def value(x, d):
    total = 0 * x[0]
    for i in range(x.size - 1):
        a, b = 1 - x[i], x[i + 1] - x[i] * x[i]
        total += a * a + d[0] * b * b
    return total


@njit
def single(x, grad):
    """In float32, and without further arguments."""
    total = np.float32(0)
    for i in range(x.size):
        grad[i] = 4 * x[i] * x[i] * x[i] - 2
        total += x[i] * x[i] * x[i] * x[i] - 2 * x[i]
    return total


@njit
def endless(x, grad, d):
    """|x|, NaN once d[0] is set; counts in d[1], and takes its time, d[2]."""
    d[1] += 1
    total = 0.0
    for k in range(int(d[2])):
        total += np.sqrt(k + total)
    grad[0] = 1 if x[0] > 0 else -1
    return np.nan if d[0] > 0 else abs(x[0]) + 0 * total


FACTOR = 1.0

Named = namedtuple("Named", "low high")

FOR_EVER = {"jac": "inplace", "safeguard": False, "gtol": 0, "maxiter": np.inf}

FORMS = {
    "inplace": (inplace, "inplace"),
    "pair": (pair, True),
    "jac": (value, slope),
    "2-point": (value, None),
    "3-point": (value, "3-point"),
    "cs": (value, "cs"),
}
every_form = pytest.mark.parametrize("form", FORMS)


@pytest.fixture
def no_python(monkeypatch):
    """Make the Python driver fail."""
    monkeypatch.setattr(descent, "advance", None)


def by_python(fun):
    return (lambda *args: fun(*args)) if callable(fun) else fun


def bits(result):
    """Return all that a run found."""
    names = "nit nfev njev status success message".split()
    counts = [result[name] for name in names]
    return counts, *[np.asarray(result[name]).tobytes() for name in ("x", "fun", "jac")]


def agreed(fun, jac, x0=START, args=(DATA,), **options):
    """Return what the compiled driver found, after a comparison with the other."""
    found = nd.minimize(fun, x0, args, jac, **options)
    steps = nd.minimize(fun, x0, args, jac, return_all=True, **options)
    expected = nd.minimize(by_python(fun), x0, args, by_python(jac), return_all=True, **options)
    assert bits(found) == bits(steps) == bits(expected)
    assert [x.tobytes() for x in steps.allvecs] == [x.tobytes() for x in expected.allvecs]
    assert found.x.dtype == expected.x.dtype
    return found


# The same iterates

OPTIONS = {
    "as is": {},
    "active bounds": {"bounds": [(-2, 0.5), (None, 1.1), (0.4, None)]},
    "fixed": {"bounds": [(-2, 2), (1, 1), (None, None)]},
    "all fixed": {"bounds": [(0, 0)] * 3, "x0": np.zeros(3)},
    "narrow": {"bounds": [(0, 1e-9), (0, 1), (0, 1)], "x0": np.zeros(3)},
    "paper": {"safeguard": False, "maxiter": 300},
    "paper with bounds": {"safeguard": False, "maxiter": 99, "bounds": [(-2, 0.5), (1, 1), (0, 2)]},
    "averaging": {"safeguard": False, "averaging": True, "lr_decay": 0.01, "maxiter": 77},
    "averaging, maxfev": {"safeguard": False, "averaging": True, "maxfev": 61},
    "loose": {"gtol": 0, "ftol": 1e-2},
    "small steps": {"gtol": 0, "ftol": 0, "xtol": 1e-2},
    "to the end": {"gtol": 0, "ftol": 0},
    "overflow": {"x0": np.array([1e60, 1e80, 1.0]), "maxiter": 200},
} | {
    f"{name}={n}": {name: n}
    for name, counts in {"maxiter": (0, 1, 7), "maxfev": (1, 2, 3, 5, 9, 23, 64)}.items()
    for n in counts
}


@every_form
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_both_drivers_make_the_same_iterates(form, options):
    agreed(*FORMS[form], **options)


@njit
def valley(x, k):
    a, b = x[0] - k, x[1] - k / 2
    return a * a + b * b + 0.5 * a * b


@pytest.mark.parametrize("bounds", [None, [(None, 49999.9999), (None, 24999.99999)]])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_forward_differences_become_central_ones_alike(dtype, bounds):
    for k in (500.0, 12000.0, 50000.0):
        found = agreed(valley, None, np.zeros(2, dtype), k, bounds=bounds)
        assert found.success or dtype == np.float32


@pytest.mark.parametrize("options", [{"check_gradient": True}, {"safeguard": False, "maxiter": 9}])
def test_what_python_evaluates_is_known_to_be_rounded_to_float32(options):
    fun, slope = njit(lambda x: np.float32(1000 + x[0] ** 2)), njit(lambda x: 2 * x)
    if "check_gradient" in options:
        assert nd.minimize(fun, [3.0], jac=slope, **options).success
    else:
        found = nd.minimize(fun, [3.0], averaging=True, **options)
        np.testing.assert_allclose(found.jac, 2 * found.x, rtol=0.2)


@every_form
def test_the_driver_of_compiled_objectives_is_the_compiled_one(form, no_python):
    found = nd.minimize(FORMS[form][0], START, (DATA,), FORMS[form][1])
    np.testing.assert_allclose(found.x, 1, atol=1e-3)
    assert found.success and found.jac.shape == (3,)


@pytest.mark.parametrize("safeguard", [True, False])
@pytest.mark.parametrize("nan_value, nan_slope", [(-2, 9), (9, -2), (-1, 9), (9, -1), (0.9, 0.7)])
def test_both_drivers_meet_nan_alike(nan_value, nan_slope, safeguard):
    data = np.array([10.0, nan_value, nan_slope])
    for form in ("inplace", "pair"):
        found = agreed(*FORMS[form], args=data, safeguard=safeguard, maxiter=500)
        assert np.isfinite(found.x).all() and np.isfinite(found.fun) == (nan_value > -2)
        if -2 in (nan_value, nan_slope):
            assert found.status == 3 and (found.x == START).all()


@pytest.mark.parametrize(
    "options", [{}, {"bounds": [(0.9, 2.5), (0, 0)]}, {"safeguard": False, "maxiter": 99}]
)
def test_both_drivers_make_the_same_iterates_in_float32(options):
    found = agreed(single, "inplace", np.array([2, 0], np.float32), (), **options)
    assert found.x.dtype == found.jac.dtype == np.float32


def test_both_drivers_take_the_same_complex_steps_in_float32():
    agreed(value, "cs", START.astype(np.float32))


@pytest.mark.parametrize("steps", [1e-6, [1e-3, 1e-4, 1e-5]])
def test_the_steps_of_differences_are_those_that_were_given(steps):
    for jac in ("2-point", "3-point", "cs"):
        agreed(value, jac, finite_diff_rel_step=steps)


def test_arguments_of_every_kind_come_as_they_are(no_python):
    @njit
    def fun(x, grad, real, whole, yes, vector, matrix, fixed, strided, two, nested):
        shift = real + whole + vector[1] + matrix[1, 0] + fixed[1] + strided[1] + two[1]
        shift += nested[0][0] + nested[1].low + nested[1].high[0] if yes else 1e6
        grad[0] = 2 * (x[0] - shift)
        return (x[0] - shift) ** 2

    fixed = np.ones(2)
    fixed.flags.writeable = False
    args = (0.5, 2, True, np.ones(2), np.ones((2, 2)), fixed, np.ones(4)[::2], (1, 2.0))
    nested = (4,), Named(1.0, np.array([3.0]))
    found = nd.minimize(fun, 0.0, (*args, nested), "inplace")
    np.testing.assert_allclose(found.x, 0.5 + 2 + 4 + 2 + 8, atol=1e-4)


# Callbacks


@every_form
def test_a_callback_gets_every_iterate_once_and_changes_none(form):
    fun, jac = FORMS[form]
    plain = nd.minimize(fun, START, DATA, jac, return_all=True)
    points, results = [], []

    def by_position(xk):
        points.append(xk.copy())
        xk[:] = np.nan

    def by_keyword(intermediate_result):
        results.append((intermediate_result.x.copy(), intermediate_result.fun))
        intermediate_result.x[:] = np.nan

    for callback in (by_position, by_keyword):
        assert bits(nd.minimize(fun, START, DATA, jac, callback=callback)) == bits(plain)
    np.testing.assert_array_equal(points, plain.allvecs[1:])
    np.testing.assert_array_equal([x for x, _ in results], points)
    assert [at for _, at in results] == [pytest.approx(value(x, DATA)) for x in points]
    assert len(points) == plain.nit > 5


def test_stop_iteration_ends_the_run_with_status_99():
    points = []

    def stop(xk):
        points.append(xk)
        if len(points) == 4:
            raise StopIteration

    found = nd.minimize(inplace, START, DATA, "inplace", callback=stop)
    assert (found.status, found.success, found.nit) == (99, False, 4)
    np.testing.assert_array_equal(found.x, points[-1])


def test_what_a_callback_raises_passes_unchanged():
    error = LookupError("mine")

    def fail(xk):
        raise error

    with pytest.raises(LookupError) as caught:
        nd.minimize(inplace, START, DATA, "inplace", callback=fail)
    assert caught.value is error


def test_a_callback_may_minimise_itself():
    alone = nd.minimize(inplace, START, DATA, "inplace")
    inner = []

    def again(xk):
        inner.append(nd.minimize(inplace, START, DATA, "inplace"))

    assert bits(nd.minimize(inplace, START, DATA, "inplace", callback=again)) == bits(alone)
    assert len(inner) == alone.nit and all(bits(found) == bits(alone) for found in inner)


def test_disp_prints_the_outcome(capsys):
    found = nd.minimize(inplace, START, DATA, "inplace", disp=True)
    assert f"Iterations: {found.nit}" in capsys.readouterr().out


# Time and Ctrl-C


def test_maxtime_ends_what_has_no_end():
    found = nd.minimize(endless, 1.0, np.zeros(3), maxtime=0.02, **FOR_EVER)
    assert (found.status, found.success, found.message) == (1, False, MAXTIME)


@njit
def slow_sum(x, work):
    total = 0.0
    for _ in range(int(work[0])):
        for i in range(x.size):
            total += x[i] * x[i]
    return total


@pytest.mark.parametrize("scheme", ["2-point", "3-point"])
def test_maxtime_ends_a_run_between_two_differences(scheme):
    x, light, heavy = np.ones(500), np.array([1.0]), np.array([2000.0])  # 1 ms
    whole = nd.minimize(slow_sum, x, light, scheme, maxiter=2)
    assert whole.nfev == 3 + 3 * 500 * (1 + (scheme == "3-point"))
    found = nd.minimize(slow_sum, x, heavy, scheme, maxtime=0.01)
    assert found.message == MAXTIME
    assert found.nfev < 500 and found.nit == 0
    np.testing.assert_array_equal(found.x, x)


@pytest.mark.parametrize("options", [{}, {"gtol": 0, "ftol": 0}], ids=["", "to the end"])
@pytest.mark.parametrize("scheme", ["2-point", "3-point", "cs"])
def test_differences_that_the_clock_interrupts_are_the_same(scheme, options, monkeypatch):
    expected = nd.minimize(value, START, DATA, scheme, **options)
    clock = np.zeros(1, np.int64)

    @njit
    def fun(x, d, clock):
        clock[0] += 1  # goes on in each evaluation
        return value(x, d)

    monkeypatch.setattr(compiled, "ticks", lambda: clock)
    found = nd.minimize(fun, START, (DATA, clock), scheme, **options)
    assert bits(found) == bits(expected)
    assert clock[0] == found.nfev


def test_a_function_that_is_compiled_anew_is_called_as_it_is_now():
    fun = njit(lambda x: FACTOR * x[0] * x[0])
    globals()["FACTOR"] = 1.0
    assert nd.minimize(fun, [1.0], maxiter=0).fun == 1
    globals()["FACTOR"] = 5.0
    fun.recompile()
    assert nd.minimize(fun, [1.0], maxiter=0).fun == 5


@pytest.mark.parametrize("data", [5.0, np.array([5.0, 6.0])])
def test_a_function_of_star_args_gets_a_tuple(data):
    fun = njit(lambda x, *args: np.sum((x - args[0]) ** 2))
    found = nd.minimize(fun, [3.0, 4.0], data)
    np.testing.assert_allclose(found.x, data + np.zeros(2), atol=1e-4)
    assert found.fun == fun(found.x, data)
    with pytest.raises(TypeError, match=r"without explicit signatures, defaults or \*args"):
        nd.minimize_batch(fun, np.ones((2, 2)), (data,), in_axes=None)


@pytest.mark.parametrize("dtype", ["float16", "longdouble", ">f8"])
def test_data_that_numba_cannot_take_are_refused_by_their_dtype(dtype):
    data = np.ones(3, dtype)
    with pytest.raises(
        TypeError, match=rf"args\[0\] is an array of dtype {data.dtype}, which comp"
    ):
        nd.minimize(value, START, data)
    nd.minimize(value, START, data.astype(float), maxiter=1)


def test_an_objective_that_has_become_slow_is_still_interrupted():
    nd.minimize(endless, 1.0, np.zeros(3), maxtime=0.02, **FOR_EVER)
    slow = np.array([0, 0, 3e5])  # milliseconds
    found = nd.minimize(endless, 1.0, slow, maxtime=0.01, maxfev=1000, **FOR_EVER)
    assert found.message == MAXTIME


def test_other_threads_go_on_during_one_compiled_call(monkeypatch):
    monkeypatch.setattr(compiled, "ticks", lambda: np.zeros(1, np.int64))  # a clock that stands
    shared = np.zeros(3)

    def stop():
        while not shared[1]:  # counted by compiled code
            pass
        shared[0] = 1

    other = threading.Thread(target=stop)
    other.start()
    found = nd.minimize(endless, 1.0, shared, **FOR_EVER | {"maxiter": 1e8})
    other.join()
    assert found.status == 3


SCRIPT = """
    import multiprocessing, os, signal, sys, threading, time
    import numpy as np
    import numadelta as nd
    from numadelta import compiled_loop
    from numba import njit, prange

    @njit
    def endless(x, grad, d):
        d[1] += 1
        total = 0.0
        for k in range(int(d[2])):
            total += np.sqrt(k + total)
        grad[0] = 1 if x[0] > 0 else -1
        return abs(x[0]) + 0 * total

    @njit
    def fun(x, grad, d):
        grad[0] = 4 * (x[0] - d[0]) ** 3
        return (x[0] - d[0]) ** 4

    def run(fun, target=1.0):
        return nd.minimize(fun, [3.0], np.array([target]), jac="inplace")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to a process")
def test_ctrl_c_is_answered_however_long_an_evaluation_takes(python):
    script = """
    def strike(d):
        while d[1] < 20:
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)

    for work in (0, 1e6, 0):
        d = np.array([0, 0, work])
        thread = threading.Thread(target=strike, args=(d,))
        try:
            thread.start()
            nd.minimize(endless, 1.0, d, jac="inplace", safeguard=False, gtol=0, maxiter=np.inf,
                        maxtime=20)
            print("it ended")
        except KeyboardInterrupt:
            print("interrupted")
        thread.join()
    """
    assert python(SCRIPT + script).split() == 3 * ["interrupted"]


# Exceptions and wrong functions


class BrokenError(Exception):
    pass


@njit
def fail(d):
    if d[0] == 0:
        raise BrokenError("as asked", 3)
    return 1 / d[1]


@njit
def failing(x, grad, d):
    grad[0] = 1
    return x[0] if d[0] < 0 else fail(d)


@njit
def failing_slope(x, d):
    return x + fail(d)


@pytest.mark.parametrize("fun, jac", [(failing, "inplace"), (value, failing_slope)])
def test_exceptions_pass_unchanged(fun, jac):
    with pytest.raises(BrokenError) as caught:
        nd.minimize(fun, 1.0, np.zeros(3), jac)
    assert caught.value.args == ("as asked", 3)
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        nd.minimize(fun, 1.0, np.array([1.0, 0.0]), jac)


def test_a_gradient_of_another_length_is_refused():
    short = njit(lambda x, d: x[1:])
    longer = njit(lambda x, d: (1.0, np.ones(4)))
    for fun, jac in ((value, short), (longer, True)):
        with pytest.raises(ValueError, match="gradient"):
            nd.minimize(fun, START, DATA, jac)


# Lambdas, which are compiled below.
WRONG = {
    "a pair without jac=True": (lambda x, d: (1.0, x), None, "fun"),
    "an array": (lambda x, d: x, None, r"fun .* return value\[0\] if"),
    "nothing": (lambda x, d: None, None, "fun"),
    "no value beside the gradient": (lambda x, grad, d: None, "inplace", "fun"),
    "a complex number": (lambda x, d: 1j * x[0], None, "fun"),
    "yes or no": (lambda x, d: x[0] > 0, None, "fun"),  # refused through Python, too
    "no pair": (lambda x, d: x[0], True, "fun"),
    "three": (lambda x, d: (x[0], x, x), True, "fun"),
    "a pair of numbers": (lambda x, d: (x[0], x[0]), True, "fun"),
    "a real number": (lambda x, d: 1.0, "cs", "fun"),
    "a gradient in two dimensions": (value, lambda x, d: x.reshape((1, -1)), "jac"),
    "a number as gradient": (value, lambda x, d: 1, "jac"),
    "a list as gradient": (value, lambda x, d: [1.0, 2.0, 3.0], "jac"),
    "too few parameters": (lambda x: x[0], None, "fun"),
    "too many parameters": (lambda x, d, more: x[0], None, "fun"),
    "no place for the gradient": (lambda x, d: x[0], "inplace", "fun"),
    "too few parameters of jac": (value, lambda x: x, "jac"),
}


def jitted(function):
    return njit(function) if getattr(function, "__name__", "") == "<lambda>" else function


@pytest.mark.parametrize("fun, jac, name", WRONG.values(), ids=WRONG)
def test_a_wrong_function_is_a_type_error_that_names_it(fun, jac, name):
    with pytest.raises(TypeError, match=rf"\b{name}\b"):
        nd.minimize(jitted(fun), START, DATA, jitted(jac))


def test_what_cannot_be_compiled_is_a_type_error_with_numbas_own_as_cause():
    with pytest.raises(TypeError, match="^fun could .*: Unknown attribute 'no_such") as caught:
        nd.minimize(njit(lambda x, d: x.no_such_thing), START, DATA)
    assert isinstance(caught.value.__cause__, NumbaError)


BAD = ["text", {"a": 1}, [1.0, 2.0], {1.0}, np.array([None]), np.ma.array([1.0]), object(), 2**70]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: type(bad).__name__)
def test_an_argument_that_compiled_code_cannot_take_is_named(bad):
    with pytest.raises(TypeError, match=r"args\[1\]"):
        nd.minimize(njit(lambda x, d, more: x[0]), START, (DATA, bad))


# Functions of every make


def test_a_compiled_function_and_one_in_python_go_together():
    expected = bits(nd.minimize(by_python(value), START, DATA, by_python(slope)))
    for fun, jac in ((value, by_python(slope)), (by_python(value), slope)):
        assert bits(nd.minimize(fun, START, DATA, jac)) == expected


def test_an_explicit_signature_that_fits_is_used(no_python):
    fixed = njit("float64(float64[::1], float64[::1], float64[::1])")(inplace.py_func)
    assert bits(nd.minimize(fixed, START, DATA, "inplace")) == bits(
        nd.minimize(inplace, START, DATA, "inplace")
    )


def test_an_explicit_signature_that_does_not_fit_works_through_python():
    fixed = njit("float64(float64[:], float64[:], float64[:])")(inplace.py_func)
    np.testing.assert_allclose(nd.minimize(fixed, START, DATA, "inplace").x, 1, atol=1e-3)
    assert fixed.signatures == [(types.float64[:],) * 3]


def test_default_arguments_work():
    @njit
    def fun(x, d, centre=2.0):
        return d[0] * (x[0] - centre) ** 2

    assert nd.minimize(fun, 0.0, DATA).x.round(3) == 2
    assert nd.minimize(fun, 0.0, (DATA, 3.0)).x.round(3) == 3


def test_any_number_of_arguments_works():
    fun = njit(lambda x, *rest: (x[0] - rest[1]) ** 2)
    assert nd.minimize(fun, 0.0, (1.0, 2.0)).x.round(3) == 2


def test_a_function_of_the_disk_cache_works(no_python):
    cached = njit(cache=True)(inplace.py_func)
    np.testing.assert_allclose(nd.minimize(cached, START, DATA, "inplace").x, 1, atol=1e-3)


def test_one_compiled_driver_serves_all_objectives():
    nd.minimize(inplace, START, DATA, "inplace")
    before = len(compiled_loop.iterate.signatures)
    for k in range(20):
        assert nd.minimize(make_bowl(k), 0.5, DATA, "inplace").x.round(3) == k
    assert len(compiled_loop.iterate.signatures) == before


def make_bowl(centre):
    @njit
    def bowl(x, grad, d):
        grad[0] = 2 * (x[0] - centre)
        return (x[0] - centre) ** 2

    return bowl


# Functions that do what they like


def test_an_objective_may_overwrite_the_point():
    @njit
    def greedy(x, grad, d):
        found = inplace(x, grad, d)
        x[:] = np.nan
        return found

    @njit
    def greedy_value(x, d):
        found = value(x, d)
        x[:] = 7
        return found

    for fun, form in ((greedy, "inplace"), (greedy_value, "2-point"), (greedy_value, "cs")):
        calm, jac = FORMS[form]
        assert bits(nd.minimize(fun, START, DATA, jac)) == bits(nd.minimize(calm, START, DATA, jac))


@njit
def scaled_point(x, d):
    for i in range(x.size):
        x[i] *= d[0]
    return x


@njit
def ellipse(x, d):
    total = 0.0
    for i in range(x.size):
        total += d[0] / 2 * x[i] * x[i]
    return total


@njit
def ellipse_and_point(x, d):
    return ellipse(x, d), scaled_point(x, d)


@njit
def ellipse_and_buffer(x, d):
    for i in range(x.size):
        d[i + 1] = d[0] * x[i]
    return ellipse(x, d), d[1:]


def test_the_gradient_may_be_the_point_or_a_buffer_of_the_user():
    data = np.array([3.0, 0, 0, 0])
    references = sys.getrefcount(data)
    for fun, jac in (
        (ellipse, scaled_point),
        (ellipse_and_point, True),
        (ellipse_and_buffer, True),
    ):
        found = agreed(fun, jac, args=data)
        np.testing.assert_allclose(found.x, 0, atol=1e-4)
        assert found.success
    assert sys.getrefcount(data) == references


def test_an_element_of_the_gradient_that_is_not_assigned_is_named():
    @njit
    def forgetful(x, grad, d):
        grad[0] = 2 * x[0]
        return x[0] ** 2 + x[1] ** 2

    with pytest.raises(ValueError, match=r"did not assign grad\[1\]") as caught:
        nd.minimize(forgetful, START, DATA, "inplace")
    assert (caught.value.result.status, caught.value.result.nfev) == (3, 3)


# Threads, processes and the disk cache


def test_runs_in_two_threads_are_independent():
    starts = np.random.default_rng(0).normal(size=(40, 3))
    fun = njit(inplace.py_func)  # compiled in both threads at once

    def run(x0):
        return bits(nd.minimize(fun, x0, DATA, "inplace"))

    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(run, starts))
    assert together == [bits(nd.minimize(inplace, x0, DATA, "inplace")) for x0 in starts]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")
def test_forked_and_spawned_children_minimise_like_their_parent(python):
    script = """
    if __name__ == "__main__":
        expected = run(fun).x.tobytes()
        for kind in ("fork", "spawn"):
            with multiprocessing.get_context(kind).Pool(1) as pool:
                print(pool.apply(run, (fun,)).x.tobytes() == expected)
                pool.close()
                pool.join()
        print(run(fun).x.tobytes() == expected)
    """
    # Python 3.12 warns of any fork in a process with threads.
    found = python(SCRIPT + script, "-W", "ignore::DeprecationWarning")
    assert found.split() == 3 * ["True"]


def test_another_process_finds_the_driver_in_the_disk_cache(python):
    nd.minimize(inplace, START, DATA, "inplace")
    script = """
    run(fun)
    stats = compiled_loop.iterate.stats
    print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))

    @njit(parallel=True)
    def parallel(x, grad, d):
        total = 0.0
        for i in prange(x.size):
            grad[i] = 4 * (x[i] - d[0]) ** 3
            total += (x[i] - d[0]) ** 4
        return total

    print(run(parallel).x.tobytes() == run(fun).x.tobytes(), len(compiled_loop.iterate.signatures))
    """
    assert python(SCRIPT + script).split() == ["1", "0", "True", "1"]


def test_a_change_of_any_file_of_the_package_invalidates_the_disk_cache(tmp_path, monkeypatch):
    for file in Path(jit.__file__).parent.glob("[!.]*.py"):
        shutil.copy(file, tmp_path)
    monkeypatch.setattr(jit, "__file__", str(tmp_path / "jit.py"))
    fingerprint = jit._fingerprint.__wrapped__
    before = fingerprint()
    for file in tmp_path.glob("*.py"):
        source = file.read_text("utf-8")
        file.write_text(source + "\n# changed\n", "utf-8")
        assert fingerprint() != before
        file.write_text(source, "utf-8")
    assert fingerprint() == before
    (tmp_path / ".#mlp.py").write_text("an editor's")
    (tmp_path / "unreadable.py").mkdir()
    assert fingerprint() == before


def test_where_no_thread_can_be_started_there_is_no_clock(monkeypatch):
    """As in functions that `atexit` calls."""

    def refuse(thread):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(ticker, "_thread", None)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    before = ticker.ticks()[0]
    assert nd.minimize(inplace, START, DATA, jac="inplace").success
    assert ticker.ticks()[0] == before
