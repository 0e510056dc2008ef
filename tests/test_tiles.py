"""Products by tiles, on a team of threads, and trainings with such a team."""

from __future__ import annotations

import copy
import ctypes
import mmap
import os
import platform
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import numadelta as nd
from mlp_reference import same_bits
from numadelta import arrays, jit, team, threads, tiles
from numadelta.backprop import parameter_count

pytestmark = pytest.mark.skipif(not jit.ENABLED, reason="vectors are for compiled code only")

DTYPES = [np.float32, np.float64]
# Rows and columns at which tiles begin, and depths.
ROWS, COLUMNS = (1, 5, 6, 7, 24, 29, 31), (1, 8, 15, 16, 17, 33, 49, 64, 65, 131)
# Longer rows are added up in parts.
DEPTHS = (1, 7, tiles.DEEP, tiles.DEEP + 1, 3 * tiles.DEEP)

matrices = settings(deadline=None, max_examples=60)


def integers(shape, dtype, seed=0):
    """Return whole numbers so small that their products are exact in any order."""
    return np.random.default_rng(seed).integers(-9, 10, shape).astype(dtype)


def reals(shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def product(a, b, dtype):
    """Return the product of a matrix and an array, and make sure that nothing else is written."""
    shape = len(a.rows), b.shape[1]
    memory = np.full(np.prod(shape) + 200, np.nan, dtype)
    out = memory[100:-100].reshape(shape)
    a.dot(b, out)
    assert np.isnan(memory[:100]).all() and np.isnan(memory[-100:]).all()
    return out


# One product


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("columns", COLUMNS)
def test_a_product_is_exact_for_whole_numbers_of_any_shape(dtype, rows, columns):
    for depth in DEPTHS:
        array, b = integers((rows, depth), dtype), integers((depth, columns), dtype, 1)
        matrix = team.Team(np.dtype(dtype)).matrix(array)
        np.testing.assert_array_equal(product(matrix, b, dtype), array @ b)


@matrices
@given(st.integers(1, 40), st.integers(1, 900), st.integers(1, 140), st.integers(0, 2**32))
def test_so_are_those_of_transposes_and_of_some_rows(rows, depth, columns, seed):
    rng = np.random.default_rng(seed)
    dtype = rng.choice(DTYPES)
    array = integers((50, depth), dtype, seed)
    some = rng.integers(0, 50, rows)
    matrix = team.Team(np.dtype(dtype)).matrix(array)
    b, tall = (
        integers((depth, columns), dtype, seed + 1),
        integers((rows, columns), dtype, seed + 2),
    )
    np.testing.assert_array_equal(product(matrix[some], b, dtype), array[some] @ b)
    np.testing.assert_array_equal(product(matrix[some].T, tall, dtype), array[some].T @ tall)
    transposed = integers((columns, depth), dtype, seed + 3).T
    np.testing.assert_array_equal(product(matrix, transposed, dtype), array @ transposed)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_product_of_reals_is_as_accurate_as_that_of_numpy(dtype):
    array, b = reals((30, 500), dtype), reals((500, 70), dtype, 1)
    exact = array.astype(np.longdouble) @ b.astype(np.longdouble)
    found = product(team.Team(np.dtype(dtype)).matrix(array), b, dtype)
    most = 4 * np.finfo(dtype).eps * np.sqrt(500) * np.abs(array) @ np.abs(b)
    assert (np.abs(found - exact) < most).all()


def test_nan_and_infinity_reach_their_rows_and_columns_only():
    array, b = integers((7, 9), np.float32), integers((9, 20), np.float32)
    array[3, 2], b[4, 5] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        expected = array @ b
    np.testing.assert_array_equal(
        product(team.Team(b.dtype).matrix(array), b, np.float32), expected
    )


@pytest.mark.skipif(sys.platform != "linux", reason="pages are protected in Linux' way")
@pytest.mark.parametrize("columns", [1, 10, 65])
def test_nothing_is_read_behind_the_last_element(columns):
    libc = ctypes.CDLL(None, use_errno=True)
    pages = mmap.mmap(-1, 9 * mmap.PAGESIZE)
    memory = np.frombuffer(pages, np.float32)
    end = 8 * mmap.PAGESIZE
    forbidden = ctypes.c_void_p(memory.ctypes.data + end)
    assert libc.mprotect(forbidden, mmap.PAGESIZE, 0) == 0
    try:
        b = memory[end // 4 - 7 * columns : end // 4].reshape(7, columns)
        b[:] = 1
        array = np.ones((4, 7), np.float32)
        assert (product(team.Team(b.dtype).matrix(array), b, np.float32) == 7).all()
    finally:
        assert libc.mprotect(forbidden, mmap.PAGESIZE, 3) == 0


def test_an_array_that_cannot_be_written_to_multiplies():
    array, b = integers((6, 3), np.float32), integers((3, 4), np.float32)
    array.flags.writeable = b.flags.writeable = False
    np.testing.assert_array_equal(
        product(team.Team(b.dtype).matrix(array), b, np.float32), array @ b
    )


# Threads


def large_product(number_of_threads, monkeypatch, repeats=1):
    """Return a team of so many threads, and what it computes."""
    monkeypatch.setattr(threads, "_num_threads", number_of_threads)
    array, b = reals((201, 900)), reals((900, 130), seed=1)
    together = team.Team(b.dtype)
    found = [product(together.matrix(array), b, np.float32) for _ in range(repeats)]
    np.testing.assert_allclose(found[0], array @ b, atol=1e-3)
    return together, found


def until(condition):
    for _ in range(10_000):
        if condition():
            return True
        time.sleep(0.001)
    return False


def test_the_number_of_threads_changes_no_bit(four_threads, monkeypatch):
    _, (expected,) = large_product(1, monkeypatch)
    for count in (2, 3, 4):
        together, found = large_product(count, monkeypatch, repeats=100)
        assert {one.tobytes() for one in found} == {expected.tobytes()}


def test_threads_that_help_are_asked_for_and_go_when_there_is_nothing_to_do(
    four_threads, monkeypatch
):
    asked = []
    monkeypatch.setattr(threads, "ask", asked.append)
    together, _ = large_product(4, monkeypatch, repeats=5)
    assert asked == 3 * [together.help_out]
    assert together.job[tiles.HELPERS] == 3
    for help_out in asked:
        help_out()
    assert together.job[tiles.HELPERS] == 0


def test_helpers_leave_their_threads_to_others(four_threads, monkeypatch):
    together, _ = large_product(4, monkeypatch, repeats=50)
    assert until(lambda: together.job[tiles.HELPERS] == 0)
    assert sorted(threads.run(abs, [(-k,) for k in range(9)])) == list(range(9))


def test_a_small_product_asks_nobody(four_threads, monkeypatch):
    monkeypatch.setattr(threads, "ask", None)
    together = team.Team(np.dtype(np.float32))
    array, b = reals((10, 10)), reals((10, 10), seed=1)
    product(together.matrix(array), b, np.float32)


def test_where_no_thread_can_be_started_the_caller_multiplies_alone(four_threads, monkeypatch):
    _, (expected,) = large_product(1, monkeypatch)
    monkeypatch.setattr(threads, "_ready_workers", lambda count: 0)
    _, found = large_product(4, monkeypatch, repeats=3)
    assert {one.tobytes() for one in found} == {expected.tobytes()}


def test_no_more_threads_are_asked_for_than_there_is_work(four_threads, monkeypatch):
    asked = []
    monkeypatch.setattr(threads, "ask", asked.append)
    for rows, helpers in ((6, 0), (7, 1), (13, 2), (60, 3)):
        asked.clear()
        array, b = reals((rows, 400)), reals((400, 64), seed=1)
        product(team.Team(b.dtype).matrix(array), b, np.float32)
        assert len(asked) == helpers


def test_a_team_has_sixteen_threads_at_most(monkeypatch):
    monkeypatch.setattr(threads, "_num_threads", 64)
    assert team.Team(np.dtype(np.float32)).job[tiles.THREADS] == 16


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")
def test_a_forked_child_multiplies_without_the_threads_of_its_parent(python):
    script = """
    import os, warnings
    import numpy as np
    from numadelta import team, threads

    threads._num_threads = 2
    together = team.Team(np.dtype(np.float32))
    array, b = np.ones((100, 60), np.float32), np.ones((60, 100), np.float32)
    matrix, out = together.matrix(array), np.empty((100, 100), np.float32)
    for _ in range(100):
        matrix.dot(b, out)
    warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of any such fork
    pid = os.fork()
    out[:] = 0
    for _ in range(100):
        matrix.dot(b, out)
    assert (out == 60).all()
    if not pid:
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """
    assert python(script) == "0"


# When


@pytest.mark.parametrize(
    ("sizes", "rows", "expected"),
    [
        ((784, 64, 64, 10), 128, True),
        ((784, 512, 10), 128, True),
        ((784, 64, 64, 10), 1000, True),
        ((4, 16, 16, 1), 32, False),
        ((784, 2048, 2048, 10), 128, False),
    ],
)
def test_a_team_is_for_narrow_networks_on_processors_with_avx_512(
    monkeypatch, sizes, rows, expected
):
    arguments = parameter_count(sizes), rows, np.dtype(np.float32)
    monkeypatch.setattr(team, "has_registers", lambda: True)
    assert (team.matrix_maker(*arguments) is not np.asarray) is expected
    monkeypatch.setattr(team, "has_registers", lambda: False)
    assert team.matrix_maker(*arguments) is np.asarray


@pytest.mark.skipif(platform.machine() != "x86_64", reason="LLVM names other processors elsewhere")
def test_whether_there_is_avx_512_is_what_numba_compiles_for(python):
    script = """
    from numadelta import team
    print(team.has_registers())
    """
    assert python(script, NUMBA_CPU_NAME="generic") == "False"
    assert python(script, NUMBA_CPU_NAME="skylake-avx512", NUMBA_CPU_FEATURES="+avx512f") == "True"


# Trainings


@pytest.fixture
def always(monkeypatch, four_threads):
    """Train everything with a team, on any processor."""
    monkeypatch.setattr(team, "FEWEST", 0)
    monkeypatch.setattr(team, "has_registers", lambda: True)


SQUARE = (jit.rule(lambda z: z * abs(z)), jit.rule(lambda z: 2 * abs(z)))

CASES = {
    "plain": {},
    "deep": {"sizes": (20, 40, 30, 20, 3)},
    "no hidden layer": {"sizes": (20, 3)},
    "dropout": {"dropout": 0.3},
    "dropout of inputs": {"input_dropout": 0.3},
    "tanh": {"activation": "tanh"},
    "an activation of one's own": {"activation": SQUARE},
    "weight decay": {"weight_decay": 1e-3},
    "a last batch of two": {"rows": 102},
    "weights": {"weighted": True},
    "many features": {"sizes": (900, 20, 3)},
}


def train(case, dtype=np.float64, epochs=2, **options):
    case = dict(case)
    rows, weighted = case.pop("rows", 130), case.pop("weighted", False)
    sizes = case.pop("sizes", (20, 70, 30, 3))
    net = nd.MLP(sizes, dtype=dtype, seed=3, **case)
    X = reals((rows, sizes[0]), dtype)
    y = np.random.default_rng(1).integers(0, sizes[-1], rows)
    weight = np.linspace(1, 2, rows) if weighted else None
    net.fit(X, y, epochs=epochs, batch_size=50, sample_weight=weight, verbose=0, **options)
    return net


@pytest.mark.parametrize("name", CASES)
def test_a_team_trains_as_the_blas_does(monkeypatch, always, name):
    found = train(CASES[name])
    monkeypatch.setattr(team, "has_registers", lambda: False)
    np.testing.assert_allclose(found.theta, train(CASES[name]).theta, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("rows", [1, 1000, 1030])
def test_a_team_evaluates_and_predicts_as_the_blas_does(monkeypatch, always, rows):
    net = nd.MLP((500, 70, 3), dtype=np.float64, seed=3)
    X, y = reals((rows, 500), np.float64), np.zeros(rows, int)
    found = net.predict_proba(X), net.evaluate(X, y)
    made = []
    monkeypatch.setattr(team, "Team", lambda dtype: made.append(dtype))
    with pytest.raises(AttributeError):
        net.predict(X)
    assert made == [np.float64]
    monkeypatch.setattr(team, "has_registers", lambda: False)
    np.testing.assert_allclose(found[0], net.predict_proba(X), rtol=1e-12)
    np.testing.assert_allclose(found[1], net.evaluate(X, y), rtol=1e-12)


def test_the_validation_of_a_training_is_done_by_the_same_team(monkeypatch, always):
    made, make = [], team.Team
    monkeypatch.setattr(team, "Team", lambda dtype: made.append(make(dtype)) or made[-1])
    X, y = reals((130, 20)), np.random.default_rng(1).integers(0, 3, 130)
    nd.MLP((20, 70, 3)).fit(X, y, validation_data=(X, y), epochs=2, batch_size=50, verbose=0)
    assert len(made) == 1


def test_networks_and_buffers_begin_at_a_cache_line():
    net = nd.MLP((5, 3, 2))
    for again in (net, copy.deepcopy(net)):
        assert again.theta.ctypes.data % 64 == 0
        assert (again.theta == net.theta).all()
    for size in range(1, 40):
        assert arrays.aligned((size, 3), np.dtype(np.float32)).ctypes.data % 64 == 0


def test_its_training_does_not_depend_on_the_number_of_threads(monkeypatch, always):
    found = train(CASES["plain"], np.float32)
    monkeypatch.setattr(threads, "_num_threads", 1)
    same_bits(found, train(CASES["plain"], np.float32))


def test_it_goes_on_from_every_batch_to_the_same_bits(always, tmp_path):
    expected = train(CASES["plain"], np.float32)

    class Stop:
        def on_train_batch_end(self, batch, logs):
            if batch == 1:
                raise KeyboardInterrupt

    stop = Stop()
    with pytest.warns(RuntimeWarning, match="interrupted by SIGINT in epoch 1 after batch 2"):
        train(CASES["plain"], np.float32, checkpoint=tmp_path, callbacks=[stop])
    Stop.on_train_batch_end = lambda self, batch, logs: None
    found = train(CASES["plain"], np.float32, checkpoint=tmp_path, resume=True, callbacks=[stop])
    same_bits(found, expected)


def test_two_trainings_at_a_time_do_not_disturb_one_another(always):
    expected, found = train(CASES["plain"], np.float32), []
    both = [
        threading.Thread(target=lambda: found.append(train(CASES["plain"], np.float32)))
        for _ in range(2)
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len(found) == 2
    for net in found:
        same_bits(net, expected)


def test_samples_in_a_file_are_read_where_they_are(always, tmp_path):
    X = reals((130, 20))
    np.save(tmp_path / "X.npy", X)
    y = np.random.default_rng(1).integers(0, 3, 130)
    nets = [nd.MLP((20, 70, 3), seed=0) for _ in range(2)]
    nets[0].fit(X, y, epochs=1, batch_size=50, verbose=0)
    nets[1].fit(np.load(tmp_path / "X.npy", mmap_mode="r"), y, epochs=1, batch_size=50, verbose=0)
    same_bits(*nets)
