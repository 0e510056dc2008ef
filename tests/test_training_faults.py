"""What may cut a fit short: Ctrl-C, numbers that are not finite, dead units, a fork."""

from __future__ import annotations

import os
import sys
import types

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
        (("on_train_batch_end", 1), "epoch 1, batch 2", 2, 0),
        (("on_epoch_begin", 1), "epoch 2, ", 3, 1),
        (("on_epoch_end", 1), "epoch 2, batch 3", 6, 2),
    ],
)
def test_ctrl_c_ends_the_training_with_a_warning_and_the_history(hook, where, steps, epochs):
    net, X, y = net_and_data()
    interrupt = Interrupt(*hook)
    with pytest.warns(RuntimeWarning, match=f"interrupted in {where}.*last whole step") as caught:
        history = fit(net, X, y, callbacks=[interrupt])
    assert caught[0].filename == __file__
    assert interrupt.ended
    assert len(history.epoch) == epochs
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

        for hidden, min_size in [(8, threads.MIN_SIZE), (200, threads.MIN_SIZE), (200, 1)]:
            threads.MIN_SIZE = min_size  # 1 makes every step one of the thread pool
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


# Failure


@pytest.fixture
def spoil(monkeypatch):
    """Let a function have the fifth batch, its loss and gradient, before the step is taken."""

    def with_function(change):
        batches, backpropagate = [], training.Batches.backpropagate

        def spoiled(self, rows):
            loss, hits = backpropagate(self, rows)
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

        threads.MIN_SIZE = 1  # every step is one of the thread pool
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
