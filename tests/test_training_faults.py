"""What may cut a fit short: Ctrl-C, numbers that are not finite, dead units, a fork."""

from __future__ import annotations

import contextlib
import linecache
import os
import signal
import sys
import types
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numba import config

import numadelta as nd
from mlp_reference import problem, same_bits
from numadelta import training

SIZES = (4, 6, 3)
ROWS = 11  # in batches of 4: three an epoch


def net_and_data(loss="cross_entropy", **options):
    return nd.MLP(SIZES, loss=loss, **options), *problem(loss, ROWS, SIZES[0], SIZES[-1])


def fit(net, X, y, epochs=2, batch_size=4, **options):
    return net.fit(X, y, epochs=epochs, batch_size=batch_size, verbose=0, **options)


def after_steps(steps, **options):
    """Return a network of the same seed, stopped after so many steps."""
    net, X, y = net_and_data(**options)
    left = iter(range(steps - 1))
    stop = types.SimpleNamespace(on_train_batch_end=lambda batch, logs: next(left))
    fit(net, X, y, callbacks=[stop])
    assert net.optimizer.steps == steps
    return net


class Interrupt:
    """A callback that presses Ctrl-C, in a hook of that name and at that epoch or batch."""

    def __init__(self, hook, at):
        self.at, self.ended = at, False
        setattr(self, hook, self.press)

    def press(self, number, logs):
        if number == self.at:
            raise KeyboardInterrupt

    def on_train_end(self, logs):
        self.ended = True


# Ctrl-C


@pytest.mark.parametrize(
    ("hook", "where", "steps", "epochs"),
    [
        (("on_train_batch_end", 1), "in epoch 1 after batch 2", 2, 0),
        (("on_epoch_begin", 1), "after epoch 1", 3, 1),
        # Of an epoch whose hooks did not end there are no figures.
        (("on_epoch_end", 1), "in epoch 2 after batch 3", 6, 1),
    ],
)
def test_ctrl_c_ends_the_training_with_a_warning_and_the_history(hook, where, steps, epochs):
    net, X, y = net_and_data()
    interrupt = Interrupt(*hook)
    with pytest.warns(
        RuntimeWarning, match=f"by SIGINT {where}; the network can be used"
    ) as caught:
        history = fit(net, X, y, callbacks=[interrupt])
    assert caught[0].filename == __file__
    assert interrupt.ended
    assert history.interrupted == "SIGINT"
    assert history.epoch == list(range(epochs))
    assert {len(values) for values in history.history.values()} <= {epochs}
    same_bits(net, after_steps(steps))
    assert np.isfinite(fit(net, X, y)["loss"]).all()


def test_ctrl_c_with_warnings_as_errors_leaves_the_last_whole_step_too():
    net, X, y = net_and_data()
    interrupt = Interrupt("on_train_batch_end", 1)
    with pytest.raises(RuntimeWarning, match="interrupted"):
        fit(net, X, y, callbacks=[interrupt])
    assert interrupt.ended
    same_bits(net, after_steps(2))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no os.kill with SIGINT")
@pytest.mark.skipif(config.DISABLE_JIT, reason="an interpreted step can be cut in two")
def test_sigint_at_any_moment_leaves_the_last_whole_step(python):
    script = """
        import os, signal, threading, time, types, warnings
        import numpy as np
        import numadelta as nd
        from numadelta import threads

        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(512, 20)), rng.integers(3, size=512)
        signal.signal(signal.SIGINT, signal.default_int_handler)

        def make(hidden):
            return nd.MLP((20, hidden, 3))

        def replay(hidden, steps):
            net, left = make(hidden), iter(range(steps - 1))
            stop = types.SimpleNamespace(on_train_batch_end=lambda batch, logs: next(left))
            net.fit(X, y, epochs=10**6, batch_size=8, verbose=0, callbacks=[stop])
            return net

        for hidden, limit in [(8, threads.MIN_BYTES), (200, threads.MIN_BYTES), (200, 1)]:
            threads.MIN_BYTES = limit  # 1 makes every step one of the thread pool
            make(hidden).fit(X, y, epochs=1, batch_size=8, verbose=0)
            for trial in range(4):
                net, begun = make(hidden), threading.Event()

                def interrupt():
                    begun.wait()
                    time.sleep(0.003 * trial)
                    os.kill(os.getpid(), signal.SIGINT)

                thread = threading.Thread(target=interrupt)
                thread.start()
                start = types.SimpleNamespace(on_epoch_begin=lambda epoch, logs: begun.set())
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    net.fit(X, y, epochs=10**6, batch_size=8, verbose=0, callbacks=[start])
                thread.join()
                assert [w.category for w in caught] == [RuntimeWarning], caught
                steps = net.optimizer.steps
                if steps:
                    twin = replay(hidden, steps)
                    assert twin.optimizer.steps == steps
                    assert twin.theta.tobytes() == net.theta.tobytes(), (hidden, steps)
                print(steps)
        """
    assert max(int(steps) for steps in python(script).split()) > 0


# Every moment


class Moments:
    """Raise KeyboardInterrupt at one of the moments of the epochs: before a line of Python.

    Kernels are one moment; Numba compiles them, and without it a step could be cut in two.
    """

    FILES = {
        str(path)
        for path in Path(training.__file__).parent.glob("[!.]*.py")
        if path.stem not in ("kernels", "layers", "losses", "products")
    }

    def __init__(self, at=-1):
        self.at, self.count, self.within = at, 0, 0
        self.place = None

    def __call__(self, frame, event, argument):
        if frame.f_code.co_filename not in self.FILES:
            return None
        if frame.f_code is training.Training._run_epoch.__code__:
            self.within += 1
        return self.trace if self.within else None

    def trace(self, frame, event, argument):
        if event == "return" and frame.f_code is training.Training._run_epoch.__code__:
            self.within -= 1
        if event == "line" and not self.leaves_lock(frame):
            self.count += 1
            if self.count == self.at:
                self.place = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
                raise KeyboardInterrupt
        return self.trace

    @staticmethod
    def leaves_lock(frame):
        # The line of a `with` comes again when it is left, before its lock is released.  There the
        # interpreter does not look for signals; an exception out of a tracer could not be caught.
        return linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip() == LOCK

    @contextlib.contextmanager
    def watching(self):
        before = sys.gettrace()
        sys.settrace(self)
        try:
            yield self
        finally:
            sys.settrace(before)


LOCK = "with self._mine, self._busy:"


def small(**options):
    return nd.MLP((2, 2, 2), dtype=np.float64, **options)


def small_fit(net, moments=None, callbacks=(), **options):
    X, y = problem("cross_entropy", 5, 2, 2)
    options |= {"validation_data": (X, y), "callbacks": callbacks}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with contextlib.nullcontext() if moments is None else moments.watching():
            history = fit(net, X, y, 2, 2, **options)
    return history, [str(warning.message) for warning in caught]


@pytest.fixture
def runs(monkeypatch):
    """Return a list of the trainings that are begun."""
    begun, run = [], training.Training.run

    def note(self, *arguments):
        begun.append(self)
        run(self, *arguments)

    monkeypatch.setattr(training.Training, "run", note)
    return begun


@pytest.mark.parametrize(
    ("options", "fit_options"),
    [({}, {}), ({"dropout": 0.5}, {"global_clipnorm": 0.1, "sample_weight": [1, 2, 3, 4, 5]})],
    ids=["plain", "dropout, clipping, weights"],
)
def test_ctrl_c_at_every_moment_of_an_epoch_leaves_all_of_a_piece(options, fit_options, runs):
    net = small(**options)
    states = [(net.theta.tobytes(), *[bytes(net.theta.nbytes)] * 2)]
    totals = {(epoch, 3 * epoch): (0, 0, 0) for epoch in range(3)}

    def note(batch, logs):
        states.append(everything(net))
        totals[runs[-1].epoch, net.optimizer.steps] = runs[-1].totals

    keep = types.SimpleNamespace(on_train_batch_end=note)
    figures, _ = small_fit(net, callbacks=[keep], **fit_options)
    moments = Moments()
    small_fit(small(**options), moments, callbacks=[idle()], **fit_options)
    assert moments.count > 500
    seen = set()
    for at in range(1, moments.count + 1):
        net, moments = small(**options), Moments(at)
        history, texts = small_fit(net, moments, callbacks=[idle()], **fit_options)
        place, steps, run = moments.place, net.optimizer.steps, runs.pop()
        assert place is not None
        epochs = len(history.epoch)
        # Whole epochs, and all steps of the one that was interrupted.
        assert history.interrupted == "SIGINT", place
        where = f"in epoch {epochs + 1} after batch {steps - 3 * epochs}"
        if steps == 3 * epochs:
            where = f"after epoch {epochs}" if epochs else "before the first step"
        assert texts == [f"interrupted by SIGINT {where}; the network can be used"], place
        assert (run.epoch, run.batch) == (epochs, steps - 3 * epochs), place
        assert run.totals == totals[epochs, steps], place
        assert everything(net) == states[steps], place
        assert history.epoch == list(range(epochs)), place
        assert {len(values) for values in history.history.values()} <= {epochs}, place
        for name in history.history.keys() - {"seconds"}:
            assert history[name] == figures[name][:epochs], (place, name)
        assert not net.optimizer._busy.locked(), place
        seen.add((epochs, steps))
    # (1, 6) is the end of the second epoch, whose hooks or figures were not done, (2, 6) is after.
    assert seen == totals.keys()
    small_fit(net)


def idle():
    return types.SimpleNamespace(
        on_epoch_begin=lambda epoch, logs: None,
        on_train_batch_end=lambda batch, logs: None,
        on_epoch_end=lambda epoch, logs: None,
    )


def everything(net):
    opt = net.optimizer
    return net.theta.tobytes(), opt.square_avg.tobytes(), opt.acc_delta.tobytes()


# SIGTERM


class Terminate:
    """A callback that sends this process SIGTERM after a batch."""

    def __init__(self, batch=1):
        self.batch, self.ended = batch, False

    def on_train_batch_end(self, batch, logs):
        if batch == self.batch:
            # Else it would be the end of the tests.
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
            signal.raise_signal(signal.SIGTERM)

    def on_train_end(self, logs):
        self.ended = True


@pytest.fixture
def sigterm():
    """Put the default handler in place, and that of the tests back."""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


def test_sigterm_ends_the_training_as_ctrl_c_does(sigterm):
    net, X, y = net_and_data()
    terminate = Terminate()
    message = "interrupted by SIGTERM in epoch 1 after batch 2; the network can be used"
    with pytest.warns(RuntimeWarning, match=message) as caught:
        history = fit(net, X, y, callbacks=[terminate])
    assert caught[0].filename == __file__
    assert terminate.ended
    assert history.interrupted == "SIGTERM"
    assert history.epoch == [] and history.history == {}
    same_bits(net, after_steps(2))
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert fit(net, X, y).interrupted is None


def test_sigterm_ends_a_search_over_estimators(sigterm):
    pytest.importorskip("sklearn")
    from sklearn.model_selection import cross_val_score

    from numadelta.sklearn import MLPClassifier

    _, X, y = net_and_data()
    fits = []
    begin = types.SimpleNamespace(on_train_begin=fits.append)
    model = MLPClassifier((3,), max_iter=2, batch_size=2, callbacks=[begin, Terminate(0)])
    with pytest.warns(RuntimeWarning, match="by SIGTERM"), pytest.raises(KeyboardInterrupt):
        cross_val_score(model, X, y, cv=2)
    assert len(fits) == 1
    with pytest.warns(RuntimeWarning, match="by SIGTERM"), pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert model.predict(X).shape == y.shape


def test_the_figures_of_whole_epochs_are_kept(sigterm):
    net, X, y = net_and_data()
    left = iter(range(4))
    terminate = Terminate()
    later = types.SimpleNamespace(
        on_train_batch_end=lambda batch, logs: (
            next(left, None) is None and terminate.on_train_batch_end(1, logs)
        )
    )
    with pytest.warns(RuntimeWarning, match="by SIGTERM in epoch 2 after batch 2"):
        history = fit(net, X, y, callbacks=[later])
    assert history.epoch == [0]
    assert {len(values) for values in history.history.values()} == {1}


@pytest.mark.parametrize("error", [None, StopIteration, ZeroDivisionError])
def test_the_handler_is_that_of_before_however_the_training_ends(sigterm, error):
    net, X, y = net_and_data()
    handlers = []

    def hook(batch, logs):
        handlers.append(signal.getsignal(signal.SIGTERM))
        if error:
            raise error

    with contextlib.suppress(ZeroDivisionError):
        fit(net, X, y, callbacks=[types.SimpleNamespace(on_train_batch_end=hook)])
    assert signal.SIG_DFL not in handlers
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_handler_of_the_user_stays_in_charge(sigterm):
    calls = []

    def handler(signum, frame):
        calls.append(signum)

    signal.signal(signal.SIGTERM, handler)
    net, X, y = net_and_data()
    history = fit(net, X, y, callbacks=[Terminate()])
    assert calls == [signal.SIGTERM] * 2
    assert history.interrupted is None and history.epoch == [0, 1]
    assert signal.getsignal(signal.SIGTERM) is handler


def test_one_that_ignores_the_signal_does_too(sigterm):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    net, X, y = net_and_data()
    assert fit(net, X, y, callbacks=[Terminate()]).epoch == [0, 1]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN


def test_a_training_in_another_thread_leaves_signals_alone(sigterm):
    net, X, y = net_and_data()
    handlers = []
    watch = types.SimpleNamespace(
        on_train_batch_end=lambda batch, logs: handlers.append(signal.getsignal(signal.SIGTERM))
    )
    with ThreadPoolExecutor(1) as pool:
        history = pool.submit(fit, net, X, y, callbacks=[watch]).result()
    assert history.epoch == [0, 1]
    assert handlers == [signal.SIG_DFL] * 6
    same_bits(net, after_steps(6))


def test_a_thread_that_is_the_main_one_for_threading_alone_trains_without_a_handler(monkeypatch):
    """As where another thread has imported threading first."""

    def refuse(number, handler):
        raise ValueError("signal only works in main thread of the main interpreter")

    monkeypatch.setattr(signal, "signal", refuse)
    net, X, y = net_and_data()
    fit(net, X, y)
    same_bits(net, after_steps(6))


def test_a_training_within_a_callback_leaves_the_handler_to_the_outer_one(sigterm):
    net, X, y = net_and_data()
    inner, _, _ = net_and_data()
    nested = types.SimpleNamespace(on_epoch_begin=lambda epoch, logs: fit(inner, X, y, 1))
    with pytest.warns(RuntimeWarning, match="by SIGTERM in epoch 1 after batch 2"):
        fit(net, X, y, callbacks=[nested, Terminate()])
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process at once")
def test_a_process_that_is_asked_to_end_ends_its_training_and_goes_on(python):
    script = """
        import os, signal, types, warnings
        import numpy as np
        import numadelta as nd

        def ask(batch, logs):
            os.kill(os.getpid(), signal.SIGTERM)

        net = nd.MLP((2, 2))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            history = net.fit(
                np.eye(2), [0, 1], epochs=10**6, batch_size=1, verbose=0,
                callbacks=[types.SimpleNamespace(on_train_batch_end=ask)],
            )
        print(history.interrupted, len(caught), np.isfinite(net.theta).all())
        """
    assert python(script) == "SIGTERM 1 True"


# Failure


@pytest.fixture
def spoil(monkeypatch):
    """Let a function have the fifth batch, its loss and gradient, before the step is taken."""

    def with_function(change):
        batches, backpropagate = [], training.Batches.backpropagate

        def spoiled(self, rows, keys):
            loss, hits = backpropagate(self, rows, keys)
            batches.append(rows)
            return (change(loss, self.grad) if len(batches) == 5 else loss), hits

        monkeypatch.setattr(training.Batches, "backpropagate", spoiled)

    return with_function


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_an_unusable_gradient_names_epoch_and_batch_and_leaves_the_last_whole_step(spoil, bad):
    def change(loss, grad):
        grad[7] = bad
        return loss

    net, X, y = net_and_data()
    last = after_steps(4)
    spoil(change)
    with pytest.raises(ValueError, match=r"epoch 2, batch 2: grads\[7\] is .* must be finite"):
        fit(net, X, y)
    same_bits(net, last)
    assert net.optimizer.skipped == 0
    fit(net, X, y)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_so_does_a_loss_that_is_not_finite_even_if_its_gradient_is(spoil, bad):
    net, X, y = net_and_data()
    last = after_steps(4)
    spoil(lambda loss, grad: bad)
    with pytest.raises(
        ValueError, match=f"epoch 2, batch 2: the loss must be finite, but is {bad}"
    ):
        fit(net, X, y)
    same_bits(net, last)


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy", "squared_error"])
@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
def test_an_overflow_in_the_network_names_epoch_and_batch_and_changes_nothing(loss):
    net, X, y = net_and_data(loss)
    net.theta[:] = 1e38
    with pytest.raises(ValueError, match="epoch 1, batch 1: .* must be finite"):
        fit(net, X, y)
    assert (net.theta == np.float32(1e38)).all()
    assert net.optimizer.steps == 0
    assert not net.optimizer.square_avg.any()


def test_all_gradients_zero_is_a_warning():
    net = nd.MLP((1, 3, 2))
    net.theta[:] = 0
    with pytest.warns(RuntimeWarning, match="all gradients are zero, every unit may be dead") as w:
        history = fit(net, np.ones((4, 1)), [0, 1, 0, 1], batch_size=4)
    assert w[0].filename == __file__
    assert history["loss"] == pytest.approx([np.log(2)] * 2)


def test_a_last_batch_without_gradient_is_no_warning_where_others_have_one():
    net = nd.MLP((1, 1), loss="binary_cross_entropy")
    net.theta[:] = [1, 0]
    # A logistic output of 50 is 1 in float32, as the target asks; one of 0 is a half.
    fit(net, [[0.0], [50.0]], [1, 1], batch_size=1, epochs=1, shuffle=False)
    assert not net.loss_and_grad(net.theta, [[50.0]], [1])[1].any()


def test_a_perfect_fit_is_no_warning():
    net = nd.MLP((1, 1), loss="squared_error")
    net.theta[:] = 0
    assert fit(net, np.ones((4, 1)), np.zeros(4))["loss"] == [0, 0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_trains_after_its_parent_has(python):
    script = """
        import os
        import numpy as np
        import numadelta as nd
        from numadelta import threads

        threads.MIN_BYTES = 1  # every step is one of the thread pool
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(128, 64)), rng.integers(3, size=128)

        def trained():
            net = nd.MLP((64, 128, 3))
            net.fit(X, y, epochs=2, batch_size=64, verbose=0)
            return net.theta.tobytes()

        parents = trained()
        child = os.fork()
        if not child:
            os._exit(0 if trained() == parents else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """
    # Python warns of any fork of a process with threads, here those of the pool and the BLAS.
    assert python(script, "-W", "ignore::DeprecationWarning") == "0"
