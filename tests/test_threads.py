"""Threads, forked and spawned processes, and Ctrl-C."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numba import config

import numadelta as nd
from numadelta import threads


@pytest.fixture(params=["one thread", "four threads"])
def number_of_threads(request):
    if request.param == "four threads":
        request.getfixturevalue("four_threads")


compiled = pytest.mark.skipif(
    bool(config.DISABLE_JIT), reason="Ctrl-C cannot fall into compiled code, but into Python"
)

both_ways = pytest.mark.usefixtures("number_of_threads")


def contents(opt):
    return b"".join(array.tobytes() for array in (opt.params, opt.square_avg, opt.acc_delta))


def after_steps(steps, start, grads):
    """The contents of an optimiser that has taken so many steps in peace."""
    opt = nd.Adadelta(start.copy())
    for _ in range(steps):
        opt.step(grads)
    return contents(opt)


# How many


def test_the_number_of_threads_is_what_was_set(four_threads):
    nd.set_num_threads(np.int64(3))
    assert (nd.get_num_threads(), type(nd.get_num_threads())) == (3, int)


@pytest.mark.parametrize("n", [0, -1, 5, 10**30])
def test_a_number_of_threads_out_of_range_is_refused_with_the_limit(four_threads, n):
    with pytest.raises(ValueError, match=f"n is {n}, but must be from 1 to 4 .*NUMBA_NUM_THREADS"):
        nd.set_num_threads(n)
    assert nd.get_num_threads() == 4


@pytest.mark.parametrize("n", [1.0, "2", True, None])
def test_a_number_of_threads_is_an_integer(n):
    with pytest.raises(TypeError, match=f"n must be an integer, but is {n!r}"):
        nd.set_num_threads(n)


# How the work is shared


@pytest.mark.parametrize("size", [0, 1, 16, 17, 100])
def test_slices_cover_everything_once(four_threads, size):
    numbers = list(range(size))
    parts = threads.run(numbers.__getitem__, [(part,) for part in threads.slices(size)])
    assert sorted(i for part in parts for i in part) == numbers


@pytest.mark.parametrize("bad", [[32], range(0, 100, 16)], ids=["one", "all"])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_an_error_in_a_slice_reaches_the_caller_after_the_last_slice(four_threads, count, bad):
    nd.set_num_threads(count)
    ended = []

    def work(part):
        ended.append(part)
        if part.start in bad:
            raise ArithmeticError("in a slice")

    with pytest.raises(ArithmeticError, match="in a slice"):
        threads.run(work, [(part,) for part in threads.slices(100)])
    assert len(ended) == 7


def test_no_more_threads_are_started_than_help_the_caller(python):
    script = """
    threads._max_threads = lambda: 4
    for count, tasks in ((1, 5), (2, 5), (4, 3), (4, 5), (3, 5)):
        nd.set_num_threads(count)
        assert sorted(threads.run(abs, [(-k,) for k in range(tasks)])) == list(range(tasks))
        print(len(threads._workers))
    """
    assert python(SHARED + script).split() == ["0", "1", "2", "3", "3"]


def test_where_no_thread_can_be_started_the_caller_does_the_work(python):
    script = """
    threads._max_threads = lambda: 4
    started = []

    class Scarce(threads.threading.Thread):
        def start(self):
            if started:
                raise RuntimeError("can't start new thread")
            started.append(self)
            super().start()

    threads.threading.Thread = Scarce
    nd.set_num_threads(4)
    for _ in range(2):
        assert sorted(threads.run(abs, [(-k,) for k in range(9)])) == list(range(9))
    print(len(threads._workers))
    """
    assert python(SHARED + script) == "1"


def test_idle_threads_keep_no_array_alive(four_threads):
    x = np.ones(100)
    opt = nd.Adadelta(x)
    opt.step(x / 2)
    alive = weakref.ref(x)
    del opt, x
    gc.collect()
    assert alive() is None


# Several Python threads


@both_ways
def test_optimisers_in_different_threads_are_independent():
    rng = np.random.default_rng(0)
    starts, grads = rng.normal(size=(2, 4, 100))
    opts = [nd.Adadelta(start.copy()) for start in starts]
    begin = threading.Barrier(4, timeout=60)

    def work(opt, g):
        begin.wait()
        for _ in range(50):
            opt.step(g)

    workers = [threading.Thread(target=work, args=pair) for pair in zip(opts, grads, strict=True)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for opt, start, g in zip(opts, starts, grads, strict=True):
        assert contents(opt) == after_steps(50, start, g)


def test_an_optimiser_that_another_thread_is_stepping_refuses():
    opt, g = nd.Adadelta(np.ones(3)), np.ones(3)
    before = contents(opt)
    with ThreadPoolExecutor(1) as pool, opt._busy:
        call = pool.submit(opt.step, g)
        with pytest.raises(RuntimeError, match="in the middle of a step"):
            call.result(timeout=60)
    assert (contents(opt), opt.steps) == (before, 0)
    opt.step(g)
    assert opt.steps == 1


@compiled
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs setitimer")
def test_a_signal_handler_may_ask_for_the_state(python):
    script = """
    seen = []

    def note(*frame):
        seen.append((opt.steps, opt.state_dict(), opt.effective_lr()))

    g = np.ones(50)
    opt, peaceful = nd.Adadelta(np.ones(50)), nd.Adadelta(np.ones(50))
    opt.step(g), peaceful.step(g), opt.effective_lr()
    signal.signal(signal.SIGALRM, note)
    signal.setitimer(signal.ITIMER_REAL, 1e-3, 1e-3)
    while len(seen) < 300:
        opt.step(g)
    signal.setitimer(signal.ITIMER_REAL, 0)
    for steps, state, _ in seen:
        while peaceful.steps < steps:
            peaceful.step(g)
        if state["steps"] == steps:
            assert (state["square_avg"] == peaceful.square_avg).all()
    print(opt._busy.locked())
    """
    assert python(SHARED + script) == "False"


@compiled
def test_another_thread_that_asks_for_the_state_gets_one_of_a_piece(monkeypatch):
    opt, ended = nd.Adadelta(np.ones(7000)), threading.Event()
    g = np.ones(7000)
    monkeypatch.setattr(threads, "_num_threads", 1)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def work():
        while not ended.is_set():
            with contextlib.suppress(RuntimeError):  # while the other has it
                opt.step(g)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        for _ in range(10_000):
            state = opt.state_dict()
            for name in ("square_avg", "acc_delta"):
                assert np.ptp(state[name]) == 0
    finally:
        sys.setswitchinterval(before)
        ended.set()
        worker.join()


@pytest.mark.parametrize("name", ["state_dict", "effective_lr", "step"])
def test_a_signal_handler_within_load_state_dict_is_told_so(name):
    opt = nd.Adadelta(np.ones(3))
    state = opt.state_dict()

    def ask(*event):
        if event[1] == "call" and event[0].f_code.co_name == "load":
            sys.setprofile(None)
            opt.step(np.ones(3)) if name == "step" else getattr(opt, name)()

    sys.setprofile(ask)
    try:
        with pytest.raises(RuntimeError, match="this optimiser (is|may be) in the middle"):
            opt.load_state_dict(state)
    finally:
        sys.setprofile(None)
    opt.load_state_dict(state)


def test_a_signal_handler_within_a_threaded_step_is_told_so(four_threads):
    opt, g = nd.Adadelta(np.ones(100)), np.ones(100)

    def ask(*event):
        if event[1] == "call" and event[0].f_code.co_name == "run":
            sys.setprofile(None)
            opt.state_dict()

    sys.setprofile(ask)
    try:
        with pytest.raises(RuntimeError, match="may be in the middle of a step on several threads"):
            opt.step(g)
    finally:
        sys.setprofile(None)
    opt.step(g)


def test_a_signal_handler_just_before_or_after_a_threaded_step_gets_the_state(four_threads):
    opt = nd.Adadelta(np.ones(100))
    with opt._mine:  # the first lock that a step takes and the last that it leaves
        assert opt.state_dict()["steps"] == 0
        opt.load_state_dict(opt.state_dict())
    assert not opt._busy.locked()


def test_a_refused_gradient_does_not_leave_an_optimiser_busy():
    opt = nd.Adadelta(np.ones(3))
    for grads in (None, np.ones(4), np.full(3, np.nan)):
        with pytest.raises((TypeError, ValueError), match="grads"):
            opt.step(grads)
    opt.step(np.ones(3))


# Other processes

SHARED = """
    import os, signal, sys
    import numpy as np
    import numadelta as nd
    from numadelta import threads

    threads.MIN_BYTES, threads.SLICE = 512, 16
    threads._num_threads, threads._max_threads = 2, lambda: 2

    def run(n):
        x = np.linspace(1, 2, n)
        opt = nd.Adadelta(x)
        for _ in range(3):
            opt.step(x / 2)
        return x.tobytes()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")
def test_a_forked_child_takes_threaded_steps_like_its_parent(python):
    script = """
    expected = run(1000)
    pid = os.fork()
    if not pid:
        signal.alarm(60)  # the end of a child that hangs
        same = run(1000) == expected
        alive = [worker.is_alive() for worker in threads._workers]
        os._exit(0 if same and alive == [True] else 3)
    print(os.waitpid(pid, 0)[1], run(1000) == expected)
    """
    # Python 3.12 warns of any fork in a process with threads.
    assert python(SHARED + script, "-W", "ignore::DeprecationWarning") == "0 True"


def test_a_spawned_child_takes_threaded_steps_like_its_parent(python):
    script = """
    import multiprocessing
    if __name__ == "__main__":
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            print(pool.apply(run, (1000,)) == run(1000))
            pool.close()
            pool.join()
    """
    assert python(SHARED + script) == "True"


def test_a_process_ends_in_silence_whatever_its_threads_do(python):
    script = """
    import atexit, threading, time

    def for_ever():
        while True:
            run(1000)

    atexit.register(lambda: print(run(1000) == expected))
    expected = run(1000)
    threading.Thread(target=for_ever, daemon=True).start()
    time.sleep(0.05)
    """
    assert python(SHARED + script) == "True"


# Ctrl-C

either_delta = pytest.mark.parametrize("shared_delta", [False, True], ids=["own", "shared"])


@compiled
@either_delta
@pytest.mark.parametrize("n", [50, 100], ids=["one thread", "four threads"])
def test_no_moment_of_a_step_is_a_bad_one_for_ctrl_c(python, n, shared_delta):
    """Interrupts steps wherever CPython could: on entering a function and after calling one.

    In a process of its own: a profiler that raises is more than other tests' threads need endure.
    """
    script = f"""
    import time

    threads._num_threads, threads._max_threads = 4, lambda: 4
    # It may strike while a dead thread is being forgotten, where CPython can only report it.
    sys.unraisablehook = lambda report: None
    # Numba reports these; CPython never stops there.
    loops = {{"checked_step", "checked_steps", "first_unusable"}}
    left, interrupted = 0, True

    def strike(frame, event, argument):
        global left, interrupted
        if event in ("call", "c_return") and frame.f_code.co_name not in loops:
            left -= 1
            if left == -2:  # the first moment is inside step
                interrupted = True
                raise KeyboardInterrupt

    def contents(opt):
        return b"".join(part.tobytes() for part in (opt.params, opt.square_avg, opt.acc_delta))

    x, g = np.linspace(1, 2, {n}), np.ones({n})
    opt, peaceful = (nd.Adadelta(x.copy(), shared_delta={shared_delta}) for _ in range(2))
    opt.step(g)
    moments = -1
    while interrupted:
        moments += 1
        left, interrupted = moments, False
        sys.setprofile(strike)
        try:
            opt.step(g)
        except KeyboardInterrupt:
            pass
        finally:
            sys.setprofile(None)
        found = contents(opt)
        time.sleep(0.01)
        assert contents(opt) == found
        while peaceful.steps < opt.steps:
            peaceful.step(g)
        assert found == contents(peaceful)
        assert not opt._busy.locked()
    print(moments)
    """
    assert int(python(SHARED + script)) > 4


@compiled
@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no SIGINT to a process")
@either_delta
@pytest.mark.parametrize("n", [50, 100_000])
def test_ctrl_c_tears_and_miscounts_no_step(python, n, shared_delta):
    script = f"""
    import random, threading, time

    threads.MIN_BYTES, threads.SLICE = 8000, 4096
    random.seed(0)

    def strike():
        time.sleep(random.uniform(0, 0.004))
        os.kill(os.getpid(), signal.SIGINT)

    g = np.full({n}, 0.5)
    opt = nd.Adadelta(np.ones({n}), shared_delta={shared_delta})
    opt.step(g)  # loads compiled code, and a Ctrl-C in a destructor of that would be lost
    signal.alarm(90)
    for _ in range(40):
        thread = threading.Thread(target=strike)
        try:
            thread.start()
            while True:
                opt.step(g)
        except KeyboardInterrupt:
            thread.join()
    expected = nd.Adadelta(np.ones({n}), shared_delta={shared_delta})
    for _ in range(opt.steps):
        expected.step(g)
    for name in ("params", "square_avg", "acc_delta"):
        print(getattr(opt, name).tobytes() == getattr(expected, name).tobytes())
    print(opt.steps > 40)
    """
    assert python(SHARED + script).split() == 4 * ["True"]


@either_delta
def test_no_moment_of_load_state_dict_tears_the_averages(python, shared_delta):
    script = f"""
    sys.unraisablehook = lambda report: None
    left, interrupted = 0, True

    def strike(frame, event, argument):
        global left, interrupted
        if frame.f_globals.get("__name__", "").startswith("numadelta."):
            left -= 1
            if left < 0 and not interrupted:
                interrupted = True
                raise KeyboardInterrupt

    def contents(opt):
        return opt.square_avg.tobytes() + opt.acc_delta.tobytes() + bytes([opt.steps])

    opt, other = (nd.Adadelta(np.ones(3), shared_delta={shared_delta}) for _ in range(2))
    for _ in range(3):
        other.step(np.ones(3))
    old, new = opt.state_dict(), other.state_dict()
    whole = contents(opt), contents(other)
    moments, seen = 0, set()
    while interrupted:
        opt.load_state_dict(old)
        left, interrupted = moments, False
        sys.setprofile(strike)
        try:
            opt.load_state_dict(new)
        except KeyboardInterrupt:
            pass
        finally:
            sys.setprofile(None)
        seen.add(whole.index(contents(opt)))
        moments += 1
    print(moments > 20, *sorted(seen))
    """
    assert python(SHARED + script) == "True 0 1"


@compiled
@pytest.mark.skipif(sys.platform == "win32", reason="it has no interval timer")
def test_a_signal_handler_that_raises_leaves_no_torn_step(python):
    python("""
import signal
import numpy as np
import numadelta as nd
from numadelta import threads

class Timeout(Exception):
    pass

def raise_timeout(*_):
    raise Timeout

signal.signal(signal.SIGALRM, raise_timeout)
threads.MIN_BYTES, threads.SLICE = 1, 20_000
threads._num_threads = 2
x, g = np.zeros(1_000_000), np.ones(1_000_000)
opt = nd.Adadelta(x)
opt.step(g)
for k in range(20):
    signal.setitimer(signal.ITIMER_REAL, 1e-4 * (k + 1))
    try:
        while True:
            opt.step(g)
    except Timeout:
        assert (x == x[0]).all(), (k, np.unique(x))
""")
