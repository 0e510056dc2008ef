"""Who watches a fit: callbacks, and the progress that is shown."""

from __future__ import annotations

import contextlib
import errno
import io
import sys
import types
import warnings

import numpy as np
import pytest

import numadelta as nd
from mlp_reference import problem, same_bits
from numadelta import minibatches, progress

SIZES = (4, 6, 3)
ROWS = 11  # in batches of 4: three an epoch


def net_and_data(loss="cross_entropy", **options):
    return nd.MLP(SIZES, loss=loss, **options), *problem(loss, ROWS, SIZES[0], SIZES[-1])


def fit(net, X, y, epochs=2, verbose=0, batch_size=4, **options):
    return net.fit(X, y, epochs=epochs, batch_size=batch_size, verbose=verbose, **options)


class Recorder:
    """A callback with all hooks, which notes each call and may act on one of them."""

    def __init__(self, act_on=None, action=None):
        self.calls = []
        self.act_on, self.action = act_on, action

    def note(self, *call):
        self.calls.append(call)
        if call[: len(self.act_on or ())] == self.act_on:
            self.action()

    def on_train_begin(self, logs):
        self.note("train begin", logs)

    def on_epoch_begin(self, epoch, logs):
        self.note("epoch begin", epoch, logs)

    def on_train_batch_begin(self, batch, logs):
        self.note("batch begin", batch, logs)

    def on_train_batch_end(self, batch, logs):
        self.note("batch end", batch, logs)

    def on_epoch_end(self, epoch, logs):
        self.note("epoch end", epoch, logs)

    def on_train_end(self, logs):
        self.note("train end", logs)


def raises(error):
    def action():
        raise error

    return action


def after_steps(steps, **options):
    """Return a network of the same seed, stopped after so many steps."""
    net, X, y = net_and_data(**options)
    left = iter(range(steps - 1))
    stop = types.SimpleNamespace(on_train_batch_end=lambda batch, logs: next(left))
    fit(net, X, y, callbacks=[stop])
    assert net.optimizer.steps == steps
    return net


# Callbacks


def test_hooks_are_called_in_keras_order_with_keras_arguments():
    net, X, y = net_and_data()
    recorder = Recorder()
    history = fit(net, X, y, callbacks=[recorder], validation_data=(X, y))
    batches = ["batch begin", "batch end"] * 3
    epoch = ["epoch begin", *batches, "epoch end"]
    assert [call[0] for call in recorder.calls] == ["train begin", *epoch, *epoch, "train end"]
    numbers = [call[1] for call in recorder.calls[1:-1]]
    assert numbers == [0, 0, 0, 1, 1, 2, 2, 0, 1, 0, 0, 1, 1, 2, 2, 1]
    logs = {name: [call[-1] for call in recorder.calls if call[0] == name] for name in epoch}
    assert logs["epoch begin"] == [{}] * 2 and logs["batch begin"] == [{}] * 6
    assert all(set(log) == {"loss"} for log in logs["batch end"])
    for epoch, log in enumerate(logs["epoch end"]):
        assert log == {name: values[epoch] for name, values in history.history.items()}
    assert recorder.calls[0][-1] == {} and recorder.calls[-1][-1] == logs["epoch end"][-1]


def test_the_logs_of_a_batch_hold_the_loss_before_its_step():
    net, X, y = net_and_data()
    loss, _ = net.loss_and_grad(net.theta, X[:4], y[:4])
    recorder = Recorder()
    fit(net, X, y, 1, shuffle=False, callbacks=[recorder])
    assert recorder.calls[3] == ("batch end", 0, {"loss": loss})


def test_several_callbacks_are_called_in_their_order_and_need_one_hook_each():
    net, X, y = net_and_data()
    seen = []
    callbacks = [
        types.SimpleNamespace(on_epoch_end=lambda epoch, logs, name=name: seen.append(name))
        for name in "ab"
    ]
    fit(net, X, y, callbacks=iter(callbacks))
    assert seen == list("abab")


def test_a_callback_sees_the_parameters_after_the_step():
    net, X, y = net_and_data()
    seen = []
    callback = types.SimpleNamespace(
        on_train_batch_end=lambda batch, logs: seen.append((net.optimizer.steps, net.theta.copy()))
    )
    fit(net, X, y, callbacks=[callback])
    for steps, theta in seen:
        np.testing.assert_array_equal(theta, after_steps(steps).theta)


@pytest.mark.parametrize("how", ["StopIteration", "stop_training"])
@pytest.mark.parametrize(
    ("act_on", "epochs", "steps"),
    [
        (("train begin",), 0, 0),
        (("epoch begin", 1), 1, 3),
        (("batch end", 1), 0, 2),
        (("epoch end", 0), 1, 3),
    ],
)
def test_a_callback_ends_the_training_and_whole_epochs_are_kept(act_on, epochs, steps, how):
    net, X, y = net_and_data()

    def end():
        net.stop_training = np.True_  # as Keras' callbacks do

    recorder = Recorder(act_on, raises(StopIteration) if how == "StopIteration" else end)
    history = fit(net, X, y, callbacks=[recorder])
    assert len(history.epoch) == epochs
    assert {len(values) for values in history.history.values()} <= {epochs}
    assert net.optimizer.steps == steps
    assert recorder.calls[-2][: len(act_on)] == act_on
    assert recorder.calls[-1][0] == "train end"
    assert len(fit(net, X, y, callbacks=[Recorder()]).epoch) == 2  # not for ever


def test_a_rate_that_a_callback_sets_lasts():
    net, X, y = net_and_data()

    def halve(epoch, logs):
        net.optimizer.lr *= 0.5

    halver = types.SimpleNamespace(on_epoch_end=halve)
    assert fit(net, X, y, 3, callbacks=[halver], lr=2.0)["lr"] == [2, 1, 0.5]
    begin = types.SimpleNamespace(on_train_begin=lambda logs: setattr(net.optimizer, "lr", 0.25))
    assert fit(net, X, y, callbacks=[begin])["lr"] == [0.25, 0.25]
    assert fit(net, X, y)["lr"] == [1, 1]
    # A schedule says it anew for each epoch.
    assert fit(net, X, y, callbacks=[halver], lr=lambda epoch: 1 + epoch)["lr"] == [1, 2]


@pytest.mark.parametrize(
    "act_on", [("train begin",), ("epoch begin", 1), ("batch end", 1), ("epoch end", 0)]
)
def test_stop_iteration_does_not_hide_a_hook_from_the_other_callbacks(act_on):
    net, X, y = net_and_data()
    recorders = [Recorder(), Recorder(act_on, raises(StopIteration)), Recorder()]
    fit(net, X, y, callbacks=recorders)
    first, stopper, last = (recorder.calls for recorder in recorders)
    assert first == stopper == last
    assert stopper[-2][: len(act_on)] == act_on


def test_the_model_is_set_once_before_the_training_begins():
    net, X, y = net_and_data()

    class Modelled(Recorder):
        def set_model(self, model):
            self.note("model", model)

    callbacks = [Modelled(), Recorder()]
    fit(net, X, y, callbacks=callbacks)
    assert callbacks[0].calls[0] == ("model", net)
    assert callbacks[0].calls[1:] == callbacks[1].calls


def test_an_object_that_only_takes_the_model_is_no_callback():
    only_model = types.SimpleNamespace(set_model=lambda model: None)
    with pytest.raises(TypeError, match="none of the methods on_train_begin"):
        fit(*net_and_data(), callbacks=[only_model])


@pytest.mark.parametrize("hook", ["train begin", "epoch begin", "batch end", "epoch end"])
def test_an_exception_from_a_callback_passes_unchanged_and_leaves_a_usable_network(hook):
    net, X, y = net_and_data()
    error = ZeroDivisionError("mine")
    with pytest.raises(ZeroDivisionError) as caught:
        fit(net, X, y, callbacks=[Recorder((hook,), raises(error))])
    assert caught.value is error
    steps = {"train begin": 0, "epoch begin": 0, "batch end": 1, "epoch end": 3}[hook]
    assert net.optimizer.steps == steps
    if steps:
        same_bits(net, after_steps(steps))
    fit(net, X, y)


@pytest.mark.parametrize(
    ("callbacks", "message"),
    [
        ([object()], r"callbacks holds <object .* none of the methods on_train_begin, "),
        ([print], "callbacks holds <built-in function print>"),
        (Recorder(), "callbacks must be a list of objects, but is <.*Recorder"),
        (7, "callbacks must be a list of objects, but is 7"),
        ([Recorder], r"holds the class Recorder, but an object of it is needed, Recorder\("),
    ],
)
def test_what_cannot_be_a_callback_is_refused_before_the_first_step(callbacks, message):
    net, X, y = net_and_data()
    with pytest.raises(TypeError, match=message):
        fit(net, X, y, callbacks=callbacks)
    fit(net, X, y, 1)
    same_bits(net, after_steps(3))


class Begins:
    def on_epoch_begin(self, epoch, logs):
        pass


class Hears(Begins):
    def on_test_end(self, logs):
        pass

    def on_batch_end(self, batch, logs):
        pass


class OfKeras:
    """Has all hooks, as Keras' base class does."""

    __module__ = "keras.src.callbacks.callback"

    def on_predict_end(self, logs):
        pass

    def on_batch_end(self, batch, logs):
        pass

    def on_train_batch_end(self, batch, logs):
        self.on_batch_end(batch, logs)


class Derived(OfKeras, Begins):
    pass


def test_hooks_that_no_training_calls_are_told_of():
    with pytest.warns(UserWarning, match="Hears has on_batch_end, on_test_end, which no training"):
        fit(*net_and_data(), callbacks=[Hears()])
    later = types.SimpleNamespace(on_epoch_begin=print, on_epoch_finish=print)
    with pytest.warns(UserWarning, match="SimpleNamespace has on_epoch_finish, which no training"):
        fit(*net_and_data(), callbacks=[later])
    fit(*net_and_data(), callbacks=[Begins(), Derived()])


def test_other_names_that_begin_likewise_are_no_hooks():
    one = types.SimpleNamespace(on_epoch_end=lambda epoch, logs: None, on_done=print)
    fit(*net_and_data(), callbacks=[one])


def test_what_keras_calls_from_another_hook_is_heard():
    class Counts(OfKeras):
        batches = 0

        def on_batch_end(self, batch, logs):
            self.batches += 1

    counts = Counts()
    fit(*net_and_data(), callbacks=[counts])
    assert counts.batches == 6


def test_a_callback_is_told_of_the_training_as_by_keras():
    class Told(Begins):
        def set_params(self, params):
            self.params = params

        def set_model(self, model):
            assert self.params == {"epochs": 2, "steps": 3, "verbose": 0}

    fit(*net_and_data(), callbacks=[Told()])


def test_a_callback_may_put_weights_back_as_keras_does():
    class PutBack:
        def set_model(self, model):
            self.model = model

        def on_train_begin(self, logs):
            self.weights = self.model.get_weights()

        def on_train_end(self, logs):
            self.model.set_weights(self.weights)

    net, X, y = net_and_data()
    before = net.theta.copy()
    fit(net, X, y, callbacks=[PutBack()])
    assert net.theta.tobytes() == before.tobytes()


def test_a_batch_that_a_callback_stops_before_it_begins_is_not_stepped_on():
    def stop(batch, logs):
        if batch == 1:
            raise StopIteration

    net, X, y = net_and_data()
    history = fit(net, X, y, callbacks=[types.SimpleNamespace(on_train_batch_begin=stop)])
    assert history.epoch == [] and net.optimizer.steps == 1


def test_callbacks_may_call_the_rate_as_keras_does():
    class Halve:
        def set_model(self, model):
            self.model = model

        def on_epoch_begin(self, epoch, logs):
            self.model.optimizer.learning_rate *= 0.5

    history = fit(*net_and_data(), epochs=3, callbacks=[Halve()])
    assert history["lr"] == [0.5, 0.25, 0.125]
    with pytest.raises(ValueError, match="lr must not be negative"):
        nd.Adadelta(np.ones(1)).learning_rate = -1


def test_a_training_that_was_finished_and_is_resumed_computes_no_gradient(tmp_path, monkeypatch):
    net, X, y = net_and_data()
    fit(net, X, y, checkpoint=tmp_path)
    again = nd.MLP(SIZES)
    monkeypatch.setattr(minibatches.Batches, "backpropagate", None)
    with warnings.catch_warnings(action="error"):
        fit(again, X, y, checkpoint=tmp_path, resume=True)
    same_bits(again, net)


# Progress


class FakeTqdm:
    """What the fit loop needs of tqdm, noted."""

    def __init__(self, **options):
        self.options, self.total = options, options["total"]
        self.n, self.texts, self.closed = 0, [], 0

    def update(self):
        self.n += 1

    def set_description(self, text, refresh):
        self.texts.append(text)

    def set_postfix_str(self, text):
        self.texts.append(text)

    def write(self, text):
        print(text, flush=True)

    def close(self):
        self.closed += 1


@pytest.fixture
def terminal(monkeypatch):
    """Return a function that makes stderr a terminal, with a tqdm that lists the bars made."""

    def pretend(tqdm=True):
        bars = []

        def make(**options):
            bars.append(FakeTqdm(**options))
            return bars[-1]

        # Called in the test: pytest puts another stderr in place after the fixtures.
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        module = types.SimpleNamespace(tqdm=make) if tqdm else None
        monkeypatch.setitem(sys.modules, "tqdm.auto", module)
        return bars

    return pretend


def assert_lines(out, epochs=2):
    lines = out.splitlines()
    assert len(lines) == epochs
    for epoch, line in enumerate(lines, 1):
        assert line.startswith(f"epoch {epoch}/{epochs}  loss ")
        assert "score" in line and "seconds" in line


def test_verbose_0_is_silent(capsys, terminal):
    bars = terminal()
    fit(*net_and_data(), verbose=0)
    assert capsys.readouterr() == ("", "")
    assert bars == []


@pytest.mark.parametrize("validated", [False, True])
def test_verbose_2_prints_a_line_an_epoch(capsys, terminal, validated):
    net, X, y = net_and_data()
    bars = terminal()
    fit(net, X, y, verbose=2, validation_data=(X, y) if validated else None)
    out, err = capsys.readouterr()
    assert_lines(out)
    assert ("val_loss" in out) == validated
    assert (err, bars) == ("", [])


def test_verbose_1_shows_one_bar_on_a_terminal(capsys, terminal):
    bars = terminal()
    fit(*net_and_data(), verbose=1)
    (bar,) = bars
    assert bar.options["total"] == bar.total == bar.n == 6
    assert bar.texts[::2] == ["epoch 1/2", "epoch 2/2"]
    assert all(text.startswith("loss ") for text in bar.texts[1::2])
    assert bar.closed == 1
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_epoch_end"])
@pytest.mark.parametrize("raises", [None, KeyboardInterrupt, OSError])
def test_in_a_notebook_a_bar_that_a_callback_ends_is_not_red(terminal, monkeypatch, hook, raises):
    class Stop:
        def set_model(self, model):
            self.model = model

    def stop(self, *rest):
        if raises:
            raise raises
        self.model.stop_training = True

    setattr(Stop, hook, stop)
    bars, styles = terminal(), []
    monkeypatch.setattr(
        FakeTqdm,
        "disp",
        lambda self, bar_style: styles.append((bar_style, self.closed)),
        raising=False,
    )
    with warnings.catch_warnings(action="ignore"), contextlib.suppress(OSError):
        fit(*net_and_data(), verbose=1, callbacks=[Stop()])
    assert bars[0].n == (1 if hook == "on_train_batch_end" else 3)
    assert styles == ([] if raises else [("info", 1)])


def test_verbose_1_prints_lines_where_there_is_no_terminal(capsys):
    fit(*net_and_data(), verbose=1)
    assert_lines(capsys.readouterr().out)


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [None, closed()], ids=["none", "closed"])
@pytest.mark.parametrize("names", [["stderr"], ["stdout", "stderr"]], ids="-".join)
def test_verbose_1_is_no_trouble_where_there_are_no_streams(monkeypatch, names, stream):
    for name in names:
        monkeypatch.setattr(sys, name, stream)
    assert fit(*net_and_data(), verbose=1).epoch == [0, 1]


class Full(io.StringIO):
    def write(self, text):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_log_on_a_full_disk_costs_the_log_only(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Full())
    assert fit(*net_and_data(), verbose=2).epoch == [0, 1]


class Broken(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


def test_where_nobody_reads_on_the_training_ends(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Broken())
    with pytest.raises(BrokenPipeError):
        fit(*net_and_data(), verbose=2)


@pytest.mark.parametrize("value", [None, "much", np.float32(0.5)])
@pytest.mark.parametrize("verbose", [1, 2])
def test_figures_of_callbacks_need_not_be_numbers(capsys, terminal, value, verbose):
    class Writer:
        def on_epoch_end(self, epoch, logs):
            logs["score"] = value

    bars = terminal()
    assert fit(*net_and_data(), verbose=verbose, callbacks=[Writer()])["score"] == [value] * 2
    shown = "".join(bars[0].texts) if verbose == 1 else capsys.readouterr().out
    assert f"score {value}" in shown


@pytest.mark.parametrize("verbose", [1, 2])
def test_a_note_is_escaped_where_stdout_lacks_its_letters(monkeypatch, terminal, verbose):
    terminal()
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "cp1252", newline="\n"))
    progress.make(verbose, 1, 1).note("\xe9 \u0416")
    assert written.getvalue() == b"\xe9 \\u0416\n"


def test_verbose_1_prints_lines_without_tqdm(capsys, terminal):
    terminal(tqdm=False)
    fit(*net_and_data(), verbose=1)
    assert_lines(capsys.readouterr().out)


@pytest.mark.parametrize("flag", ["-Wdefault", "-Werror"])
def test_a_notebook_without_widgets_has_a_bar_of_characters_and_no_warning(python, flag):
    pytest.importorskip("tqdm")
    script = """
    import sys
    from types import SimpleNamespace

    for name in ("ipykernel", "ipykernel.zmqshell", "IPython"):
        sys.modules[name] = SimpleNamespace(get_ipython=object)
    sys.modules["ipywidgets"] = None

    from numadelta import progress

    tqdm = progress.bar_maker()
    tqdm(range(3), file=sys.stdout).close()
    """
    assert python(script, flag).startswith("0%|")


def test_the_bar_of_the_real_tqdm_is_complete(capsys, monkeypatch):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    net, X, y = net_and_data()
    fit(net, X, y, verbose=1, validation_data=(X, y))
    out, err = capsys.readouterr()
    assert out == ""
    for part in ("epoch 2/2", "100%", "loss ", "val_loss ", "val_score "):
        assert part in err
    # What is around the bar, which is ten wide if the width is not known, fits a terminal.
    assert max(map(len, err.splitlines())) - 10 < 80
    assert err.endswith("\n")


@pytest.mark.parametrize(
    ("validated", "names"),
    [(False, ["loss", "score"]), (True, ["loss", "val_loss", "val_score"])],
)
def test_the_bar_shows_the_figures_that_matter_most(terminal, validated, names):
    net, X, y = net_and_data()
    bars = terminal()
    history = fit(net, X, y, verbose=1, validation_data=(X, y) if validated else None)
    for epoch, text in enumerate(bars[0].texts[1::2]):
        assert text.split() == [
            part for name in names for part in (name, f"{history[name][epoch]:.4g}")
        ]


@pytest.mark.parametrize("error", [StopIteration, KeyboardInterrupt, ZeroDivisionError])
def test_the_bar_is_closed_whatever_ends_the_training(terminal, error):
    net, X, y = net_and_data()
    bars = terminal()
    with contextlib.suppress(ZeroDivisionError, RuntimeWarning):
        fit(net, X, y, verbose=1, callbacks=[Recorder(("batch end", 1), raises(error))])
    assert bars[0].closed == 1


def test_the_last_hook_may_raise_stop_iteration_too():
    class Stop:
        def on_train_end(self, logs):
            raise StopIteration

    net = nd.MLP((2, 2))
    assert (
        len(net.fit(np.eye(2), [0, 1], batch_size=2, epochs=3, verbose=0, callbacks=[Stop()]).epoch)
        == 3
    )


def test_a_stop_after_the_last_batch_of_an_epoch_ends_the_training_after_that_epoch():
    net, X, y = net_and_data()
    recorder = Recorder(("batch end", 2), raises(StopIteration))
    history = fit(net, X, y, callbacks=[recorder])
    assert history.epoch == [0]
    assert [call[0] for call in recorder.calls][-2:] == ["epoch end", "train end"]


@pytest.mark.parametrize("hook", ["on_epoch_begin", "on_train_batch_begin", "on_train_batch_end"])
def test_a_callback_that_sets_the_count_of_steps_back_is_told_so(hook):
    net, X, y = net_and_data()
    fit(net, X, y)

    def restart(number, logs):
        if number == 1:
            net.optimizer.load_state_dict(nd.Adadelta(net.theta.copy()).state_dict())

    with pytest.raises(ValueError, match=r"set the optimiser's steps to 0, but \d+ were taken"):
        fit(net, X, y, callbacks=[types.SimpleNamespace(**{hook: restart})])


def test_a_callback_may_restart_the_averages_if_it_keeps_the_count():
    net, X, y = net_and_data()

    def restart(batch, logs):
        fresh = nd.Adadelta(net.theta.copy()).state_dict()
        net.optimizer.load_state_dict(fresh | {"steps": net.optimizer.steps})

    history = fit(net, X, y, callbacks=[types.SimpleNamespace(on_train_batch_end=restart)])
    assert 0 not in history["loss"]


def test_a_step_that_is_skipped_is_no_step_of_an_epoch():
    net, X, y = net_and_data()
    fit(net, X, y)
    before = net.theta.copy()
    net.optimizer.nonfinite = "skip"
    with pytest.raises(ValueError, match="optimizer.nonfinite is 'skip'.* set it to 'raise'"):
        fit(net, X, y)
    assert (net.theta == before).all()
    net.optimizer.nonfinite = "propagate"
    fit(net, X, y)
