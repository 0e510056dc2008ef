"""Trainings that go on: bit for bit as if they had never been interrupted, or not at all."""

from __future__ import annotations

import base64
import json
import sys
import types
import zlib

import numpy as np
import pytest
from scipy import sparse

import numadelta as nd
from numadelta import checkpoint, checkpoints
from saved_training import (
    EPOCHS,
    SIZES,
    TRAININGS,
    VALIDATION,
    WEIGHTS,
    Counter,
    Keeper,
    Watcher,
    X,
    Y,
    begin,
    contents,
    end,
    every_batch,
    every_training,
    halving,
    names,
    read,
    step,
    stop,
)

# Bits


@every_training
def test_a_fresh_network_goes_on_from_every_batch_to_the_same_bits(tmp_path, training, quick):
    whole = begin(training, checkpoint=every_batch(tmp_path))
    files = nd.Checkpoints(tmp_path).files()
    steps = whole[0].optimizer.steps
    assert [file.name for file in files] == [step(k) for k in reversed(range(steps + 1))]
    for file in (*files, tmp_path / "best.npz"):
        before = file.read_bytes()
        resumed = begin(training, resume=file)
        assert end(*resumed) == end(*whole), file.name
        assert file.read_bytes() == before
        # Their generators stand at the same place, too.
    for net in (resumed[0], whole[0]):
        net.fit(X, training[1].get("y", Y), epochs=1, batch_size=4, verbose=0)
    assert resumed[0].theta.tobytes() == whole[0].theta.tobytes()


@every_training
def test_a_folder_goes_on_from_any_newest_file_to_the_same_files(tmp_path, training, quick):
    whole = begin(training, checkpoint=every_batch(tmp_path / "whole"))
    files = contents(tmp_path / "whole")
    last = whole[0].optimizer.steps
    for count in range(last + 1):
        folder = tmp_path / f"until{count}"
        folder.mkdir()
        for number in range(count + 1):
            (folder / step(number)).write_bytes(files[step(number)])
        resumed = begin(training, checkpoint=every_batch(folder), resume=True)
        assert end(*resumed) == end(*whole), count
        assert names(folder) == names(tmp_path / "whole")
        assert (
            read(folder / "best.npz")[0]["epoch"] == read(tmp_path / "whole/best.npz")[0]["epoch"]
        )


def test_the_network_that_resumes_may_have_been_trained_before(tmp_path):
    training = TRAININGS["everything"]
    whole = begin(training, checkpoint=every_batch(tmp_path))
    settings, options, make_callbacks = training
    net, callbacks = nd.MLP(SIZES, **settings), make_callbacks()
    options = {"batch_size": 4, "verbose": 0, "callbacks": callbacks} | options
    net.fit(X, Y, epochs=2, **options)
    history = net.fit(X, Y, epochs=EPOCHS, resume=tmp_path / step(4), **options)
    assert end(net, history, callbacks) == end(*whole)


def test_epochs_may_be_more(tmp_path):
    training = TRAININGS["everything"]
    begin(training, checkpoint=tmp_path, epochs=1)
    longer = begin(training, checkpoint=tmp_path, epochs=EPOCHS, resume=True)
    assert end(*longer) == end(*begin(training))


@pytest.mark.parametrize("epochs", [0, 1, 3])
def test_a_training_that_is_done_is_not_trained_again(tmp_path, epochs):
    training = TRAININGS["everything"]
    whole = begin(training, checkpoint=tmp_path)
    resumed = begin(training, checkpoint=tmp_path, epochs=epochs, resume=True)
    assert end(*resumed) == end(*whole)


def test_the_factor_of_the_last_epoch_comes_back_with_a_training_that_is_done(tmp_path):
    net, _, _ = begin(checkpoint=tmp_path, lr=lambda epoch: 0.5**epoch)
    resumed, _, _ = begin(checkpoint=tmp_path, lr=lambda epoch: 0.5**epoch, resume=True)
    assert net.optimizer.lr == 0.25
    assert resumed.optimizer.lr == 0.25


def test_what_early_stopping_ended_stays_ended(tmp_path):
    whole = begin(TRAININGS["stopped early"], checkpoint=tmp_path)
    assert len(whole[1].epoch) == 2 < EPOCHS
    resumed = begin(TRAININGS["stopped early"], checkpoint=tmp_path, resume=True, epochs=9)
    assert end(*resumed) == end(*whole)


@pytest.mark.parametrize("keep", [1, 3])
def test_a_chain_of_resumes_gives_the_same_bits(tmp_path, keep):
    training = TRAININGS["everything"]
    for epochs in range(EPOCHS + 1):
        saver = nd.Checkpoints(tmp_path, keep=keep)
        resumed = begin(training, checkpoint=saver, epochs=epochs, resume=True)
    assert end(*resumed) == end(*begin(training))


def test_the_seconds_of_an_epoch_count_those_before_the_interruption(tmp_path):
    begin(checkpoint=every_batch(tmp_path))
    settings, members = read(tmp_path / step(4))
    settings["seconds"] = 1000.0
    content = {"kind": "numadelta.Training", "version": 1, "arrays": sorted(members)}
    header = json.dumps(content | {"settings": settings})
    np.savez(tmp_path / "slow.npz", header=np.array(header), **members)
    _, history, _ = begin(resume=tmp_path / "slow.npz")
    seconds = history["seconds"]
    assert seconds[0] < 900 < 1000 <= seconds[1] < 1100 and seconds[2] < 900


# Where it resumes from


def test_resume_begins_if_there_is_nothing_yet(tmp_path):
    whole = begin()
    for folder in (tmp_path, tmp_path / "new"):
        assert end(*begin(checkpoint=folder, resume=True)) == end(*whole)


def test_a_path_must_be_there(tmp_path):
    for path, message in ((tmp_path, "no checkpoint in"), (tmp_path / "absent.npz", "absent.npz")):
        with pytest.raises(FileNotFoundError, match=message):
            begin(resume=path)
    with pytest.raises(FileNotFoundError, match="absent"):
        begin(checkpoint=tmp_path / "new", resume=tmp_path / "absent")
    assert names(tmp_path) == []


def test_resume_needs_a_folder():
    with pytest.raises(ValueError, match="resume=True needs checkpoint="):
        begin(resume=True)


def test_what_is_no_place_for_checkpoints_is_refused():
    with pytest.raises(TypeError, match="checkpoint must be a path or Checkpoints, but is 3"):
        begin(checkpoint=3)


@pytest.mark.parametrize("resume", [None, 1, 3.5, b"run"[0]], ids=repr)
def test_resume_is_a_flag_or_a_path(tmp_path, resume):
    with pytest.raises(TypeError):
        begin(checkpoint=tmp_path / "run", resume=resume)
    assert names(tmp_path) == []


@pytest.mark.parametrize("as_string", [str, lambda path: path], ids=["str", "Path"])
def test_a_folder_or_a_file_goes_on_in_another_folder(tmp_path, as_string):
    whole = begin(checkpoint=every_batch(tmp_path / "first"))
    before = contents(tmp_path / "first")
    for name, source in (("a", "first"), ("b", f"first/{step(4)}"), ("c", "first/best.npz")):
        folder = tmp_path / name
        resumed = begin(checkpoint=as_string(folder), resume=as_string(tmp_path / source))
        assert end(*resumed) == end(*whole)
        again = begin(checkpoint=folder, resume=True)
        assert end(*again) == end(*whole)
    assert contents(tmp_path / "first") == before


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_relative_paths_and_links_name_the_same_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("run")
    begin(checkpoint="run", epochs=1)
    begin(checkpoint=tmp_path / "link", resume="run/../run", epochs=2)
    resumed = begin(checkpoint="./run", resume="link")
    assert end(*resumed) == end(*begin())


def test_a_folder_with_another_training_is_refused_and_left_as_it_was(tmp_path):
    begin(checkpoint=tmp_path / "run", epochs=1)
    begin(checkpoint=tmp_path / "other", epochs=1)
    before = contents(tmp_path / "run")
    for resume in (False, tmp_path / "other", tmp_path / "run" / step(3)):
        net = nd.MLP(SIZES)
        theta = net.theta.tobytes()
        with pytest.raises(FileExistsError, match=r"run holds checkpoints .* resume=True"):
            net.fit(X, Y, batch_size=4, verbose=0, checkpoint=tmp_path / "run", resume=resume)
        assert net.theta.tobytes() == theta
        assert net.optimizer is None
        assert contents(tmp_path / "run") == before


def test_so_is_a_folder_with_nothing_but_its_best(tmp_path):
    begin(checkpoint=tmp_path, epochs=9)
    for file in nd.Checkpoints(tmp_path).files():
        file.unlink()
    before = contents(tmp_path)
    with pytest.raises(FileExistsError):
        begin(checkpoint=tmp_path, epochs=1)
    assert contents(tmp_path) == before


def test_other_files_in_the_folder_are_left_alone(tmp_path):
    for name in (
        "notes.txt",
        "step-3.txt",
        "step-0.npz",
        "step-final.npz",
        ".step-x",
        "best.npz.old",
        "data.npz",
    ):
        (tmp_path / name).write_text(name)
    before = contents(tmp_path)
    begin(checkpoint=nd.Checkpoints(tmp_path, keep=1))
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before
    assert sorted(after.keys() - before.keys()) == ["best.npz", step(9)]


def test_a_checkpoints_object_serves_one_training_after_another(tmp_path):
    saver = nd.Checkpoints(tmp_path / "run")
    begin(checkpoint=saver, epochs=0)
    (tmp_path / "run").rename(tmp_path / "moved")
    begin(checkpoint=saver, epochs=0)
    assert names(tmp_path / "run") == [step(0)]


# Other data and options


def test_a_schedule_of_the_same_code_with_other_values_costs_a_warning(tmp_path):
    begin(checkpoint=tmp_path, epochs=1, lr=halving(0.5))
    begin(checkpoint=tmp_path, epochs=2, lr=halving(0.5), resume=np.True_)
    message = "lr is the function of the checkpoint's training, but holds other values"
    with pytest.warns(RuntimeWarning, match=message) as caught:
        begin(checkpoint=tmp_path, epochs=3, lr=halving(0.25), resume=True)
    assert len(caught) == 1


def test_warnings_about_what_is_resumed_point_at_the_call_of_fit(tmp_path):
    begin(checkpoint=tmp_path, epochs=2, lr=halving(0.5))
    (tmp_path / step(6)).write_bytes(b"")
    net = nd.MLP(SIZES)
    options = {"batch_size": 4, "verbose": 0, "lr": halving(0.25), "resume": tmp_path}
    with pytest.warns(RuntimeWarning) as caught:
        line = sys._getframe().f_lineno + 1
        net.fit(X, Y, **options)
    assert [str(warning.message).split()[0] for warning in caught] == ["going", "lr"]
    assert [(warning.filename, warning.lineno) for warning in caught] == [(__file__, line)] * 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 5}, "batch_size is 5 now, .* a training with 4"),
        ({"lr": 0.5}, "lr is 0.5 now, .* a training with 1.0"),
        ({"lr": lambda epoch: 1.0}, "lr is 'a schedule' now, .* a training with 1.0"),
        ({"rho": 0.9}, "rho is 0.9 now, .* a training with 0.95"),
        ({"eps": 1e-5}, "eps is 1e-05 now, .* a training with 1e-06"),
        ({"shuffle": False}, "shuffle is False now, .* a training with True"),
        ({"clipvalue": 1}, "clipvalue is 1.0 now, .* a training with None"),
        ({"global_clipnorm": 2.5}, "global_clipnorm is 2.5 now, .* a training with None"),
        ({"X": X + 1}, "X, y or sample_weight are not the same"),
        ({"X": X[::-1]}, "X, y or sample_weight are not the same"),
        ({"y": Y[::-1]}, "X, y or sample_weight are not the same"),
        ({"X": sparse.csr_array(X)}, "X, y or sample_weight are not the same"),
        ({"sample_weight": WEIGHTS}, "X, y or sample_weight are not the same"),
        ({"X": X[:10], "y": Y[:10]}, "samples is 10 now, .* a training with 11"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_another_option_or_other_data_are_refused_by_name(tmp_path, change, message):
    begin(checkpoint=tmp_path, epochs=1)
    before = contents(tmp_path)
    for where in ({"checkpoint": tmp_path, "resume": True}, {"resume": tmp_path / step(3)}):
        with pytest.raises(ValueError, match=message):
            begin(**where, **change)
    with pytest.raises(ValueError, match=message):
        begin(checkpoint=tmp_path / "new", resume=tmp_path, **change)
    assert contents(tmp_path) == before  # nor is there a new folder


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"activation": "tanh"}, "activation is 'tanh' now, .* a training with 'relu'"),
        ({"weight_decay": 0.5}, "weight_decay is 0.5 now, .* a training with 0.0"),
        ({"dropout": 0.5}, "dropout is 0.5 now, .* a training with 0.0"),
        ({"input_dropout": 0.5}, "input_dropout is 0.5 now, .* a training with 0.0"),
        ({"initialization": "he"}, "initialization is 'he' now, .* a training with 'auto'"),
        ({"dtype": np.float64}, "dtype is 'float64' now, .* a training with 'float32'"),
        ({"seed": 1}, "seed is 1 now, .* a training with 0"),
        ({"activation": (lambda z: z, lambda z: 1.0)}, "activation is None now"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_another_network_is_refused_by_name(tmp_path, setting, message):
    begin(checkpoint=tmp_path, epochs=1)
    with pytest.raises(ValueError, match=message):
        begin((setting, {}, list), checkpoint=tmp_path, resume=True)


def test_other_layers_are_refused(tmp_path):
    begin(checkpoint=tmp_path, epochs=1)
    net = nd.MLP((4, 6, 3))
    with pytest.raises(ValueError, match=r"layer_sizes is \[4, 6, 3\] now, .* \[4, 5, 3\]"):
        net.fit(X, Y, batch_size=4, verbose=0, resume=tmp_path)


@pytest.mark.parametrize("last", [[], [stop(), Counter()]], ids=len)
def test_another_number_of_callbacks_is_refused(tmp_path, last):
    begin(checkpoint=tmp_path, epochs=1, last=[Counter()])
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=r"callbacks .* now, .* a training with \['Counter'\]"):
        begin(checkpoint=tmp_path, resume=True, last=last)
    assert contents(tmp_path) == before


def test_callbacks_without_a_state_may_come_and_go(tmp_path):
    begin(checkpoint=tmp_path, epochs=1, last=[Counter()])
    begin(checkpoint=tmp_path, epochs=2, last=[Watcher(), Counter()], resume=True)
    begin(checkpoint=tmp_path, epochs=3, last=[Counter()], resume=True)


def test_another_schedule_is_refused(tmp_path):
    begin(checkpoint=tmp_path, epochs=1, lr=lambda epoch: 1.0)
    with pytest.raises(ValueError, match="functions is .*'lr'.* now"):
        begin(checkpoint=tmp_path, resume=True, lr=lambda epoch: 0.5)


def test_another_activation_is_refused(tmp_path):
    pairs = [(lambda z: z, lambda z: 1.0), (lambda z: 2 * z, lambda z: 2.0)]
    begin(({"activation": pairs[0]}, {}, list), checkpoint=tmp_path, epochs=1)
    with pytest.raises(ValueError, match="functions is .*'activation'.* now"):
        begin(({"activation": pairs[1]}, {}, list), checkpoint=tmp_path, resume=True)


def test_other_validation_data_are_refused(tmp_path):
    begin(checkpoint=tmp_path, epochs=1)
    with pytest.raises(ValueError, match="validation_data is not the same as in"):
        begin(checkpoint=tmp_path, resume=True, validation_data=VALIDATION)


def test_a_training_that_a_callback_does_not_let_begin_does_not_go_on_either(tmp_path):
    def stop(logs):
        raise StopIteration

    begin(checkpoint=tmp_path, epochs=1)
    watch = types.SimpleNamespace(on_train_begin=stop)
    _, history, _ = begin(checkpoint=tmp_path, resume=True, last=[watch])
    assert history.epoch == [0]


def test_a_callback_may_make_its_state_when_the_training_begins(tmp_path):
    class Late(Keeper):
        def __init__(self): ...

        def on_train_begin(self, logs):
            self.value = 0

        def on_epoch_end(self, epoch, logs):
            self.value += 1

    late = Late()
    begin(checkpoint=tmp_path, last=[late])
    assert late.value == EPOCHS


@pytest.mark.parametrize("other", [Watcher(), stop(monitor="loss")], ids=["stateless", "stop"])
def test_other_callbacks_are_refused_with_a_valueerror(tmp_path, other):
    begin(checkpoint=tmp_path, epochs=1, last=[Counter()])
    with pytest.raises(ValueError, match="callback"):
        begin(checkpoint=tmp_path, resume=True, last=[other])


def test_same_options_in_another_form_are_the_same(tmp_path):
    options = {"lr": 0.5, "rho": 0.9, "eps": 1e-4, "clipvalue": 2}
    whole = begin(checkpoint=every_batch(tmp_path), **options)
    other = {
        **{"lr": np.float64(0.5), "rho": np.array(0.9), "eps": np.float64(1e-4), "clipvalue": 2.0},
        **{"batch_size": np.int32(4), "shuffle": np.True_},
        **{"X": np.asfortranarray(X), "y": Y.astype(np.int16)},
    }
    assert end(*begin(resume=tmp_path / step(4), **other)) == end(*whole)


def test_functions_as_layers_go_on(tmp_path):
    pair = (lambda z: np.tanh(z), lambda z: 1 / np.cosh(z) ** 2)
    training = ({"activation": pair}, {}, list)
    whole = begin(training, checkpoint=every_batch(tmp_path))
    assert end(*begin(training, resume=tmp_path / step(4))) == end(*whole)


@pytest.mark.parametrize("note", [(28, 28), {0: "no", 1: "yes"}, float("nan")], ids=repr)
def test_notes_that_json_changes_do_not_stand_in_the_way(tmp_path, note):
    for resume in (False, True):
        net = nd.MLP(SIZES)
        net.notes = {"note": note}
        net.fit(X, Y, batch_size=4, verbose=0, checkpoint=tmp_path, resume=resume)


class Halving:
    """Halves the rate that it finds when the training begins."""

    def set_model(self, model):
        self.model = model

    def on_train_begin(self, logs):
        self.base = self.model.optimizer.lr

    def on_epoch_end(self, epoch, logs):
        self.model.optimizer.lr = self.base * 0.5**epoch


def test_a_callback_finds_the_rate_when_a_training_goes_on(tmp_path):
    whole = begin(last=[Halving()], lr=0.3)
    begin(last=[Halving()], lr=0.3, epochs=2, checkpoint=tmp_path)
    assert end(*begin(last=[Halving()], lr=0.3, checkpoint=tmp_path, resume=True)) == end(*whole)


def test_a_checkpoint_that_holds_something_else_leaves_the_rates(tmp_path):
    net, _, _ = begin(checkpoint=tmp_path, lr=0.3, rho=0.9, eps=1e-5)
    settings, arrays = read(tmp_path / step(9))
    checkpoint.write(
        tmp_path / step(9), "numadelta.Training", 1, settings | {"totals": None}, **arrays
    )
    other, _, _ = begin(epochs=1, lr=0.7, rho=0.8, eps=1e-4)
    options = {"epochs": 3, "batch_size": 4, "lr": 0.3, "rho": 0.9, "eps": 1e-5, "verbose": 0}
    with pytest.raises(checkpoint.CheckpointError, match="holds something else"):
        other.fit(X, Y, resume=tmp_path / step(9), **options)
    assert (other.optimizer.lr, other.optimizer.rho, other.optimizer.eps) == (0.7, 0.8, 1e-4)


# The golden file


def golden(**options):
    """Train what made the golden file, which is that of step 5, in the middle of an epoch."""
    net = nd.MLP((2, 3, 2), dropout=0.25, seed=5)
    early = nd.callbacks.EarlyStopping(patience=9)
    samples = np.array([[0, 0], [0, 1], [1, 0], [1, 1], [2, 1]]) - 0.5
    history = net.fit(
        samples,
        [0, 1, 1, 0, 1],
        epochs=4,
        batch_size=2,
        validation_data=(samples[:2], [0, 1]),
        callbacks=[early],
        lr=3.0,
        global_clipnorm=1.0,
        verbose=0,
        **options,
    )
    return net, history, early


# Version 1: compressed, as base64.
GOLDEN = """
eNrNWW+IVFUUf9uq5YKSZLkpybRR259xeW9m3pudmXUnWDJI1AGVCtHH25m3zurszPjem9XNFtwPQkEUFFYIkgSCmVZECeq6Y+AH
A78EQfVF+tCH/hjo1z5U9+E5+ZvLfbOjEuzI8b137znnnnPu+XfvFjZ2L1qn3fo9rh3fdy77D/16tJVa2XVKrjdQrU91aQ9qi1bd
wuPne5u3byq82qVNagf7S65f9Pqzsf6h7UYqZfTHY/1jNS/wnKpd8wQPMbXBqfiuGPfLTt0V308/E49Nx+7+13NQyNAnYK+AcQFV
ASUaywqI0Xs43hAwIcAhHFdARUBAYwMCtgnw6Jv58XM38YoD30niE9L4hFsjfJTBkOh8ogsIcA1fomUdQ/w68S8KKM+zxijpEUTg
JyT8gHizPSoKWXYQXWirlIC0AF1ARoBJ3yaNpaXxJMmYJlpeO0n8dBjTaSzEHSQ+4dOiOZ146YBj0FoG8Q9pdkbYvQj7VFLoqYNM
Osk4SLqnSQ5Lksek+SSMZ+g9rZAjgD2V1zclfE/yQdk3RsmHQp424blE44JP8x57ihgpCBgR8CLJnFL4uw/+wfKr5JkPL6mwWwZ8
JAW2NMDX0OcMoE3Q/iTp3aI5k94TRDsIYxnYQ94z1JVjsqiImyTIxnKj7+u0Vhp8gX0yBd+GNG6CjibEi0H8UqCPTk8DYmRa0qFM
e+CTXzRArwDs1S6PyDQu+JensI0BcqMOadBZJec4+A376FSEf1UIx4/IURy/FuxVAgD3iv0kQ+PsS6rcUQTZ3DbrphT0k5BX7TvQ
wQS7WeAPFsSJDn6tA166Azk60cuAfCjz2w35pUQ8q8Bvoo1unLeTUt60IOemYT4Jeqt0C2UfI+A8z/WVazXb3lPItUOSTwf5MPcn
oe5gfjHgmYB9iivqSgryINrBBBskIC9YgGMoeBogD9tpEPKNCesMQt7K0DpoS5UNUlIttCCPYq5Lg88mQIYoG7CcOtjZhLmkwrYZ
qX9BG5iQ/xNg0wT0IgbUgzTIyj61U+FbUT6TbBMbnfYbGGMW7L0J9SEDtU+X8n8K4mKnIr9iXq0TuIpeeUzq/dwObKDq37hnKdOa
qt4qo+hzovohg+bWQWwg3X6aH6d8VIZeqAR74Chqih4hfxFsUYF+ukjnDdUeYj/mgt1V691rXpd7fVzP7uC8oCts6EAfKeNOK/y7
SjQTsH6M1hyj97uxY/j9AuF5RBfu21aFH8vnM5WMfNbaD3Vpb5vegv2Eexwbznevga6qsxGea+LQF8lyOYr65MC36hzZBzW6Qr1Z
nyJGo/oK9mtPwrHhvBDAfB3i5f+Ot5K0bo30i4qfhCJ/sC/Ugda+C956BN9x2B/2afaJTvbOgXVrCruWaG4KcrTMYwz22FH08ar6
o8r1pqJOsH1kPfw2sbIQ64EPZx8P9Lcj7n7upAaq7lVU+aHdXQvL14B+taKg41hsKOQogv/Vpb6+oeDFd2Cch+Uenn1qVDofyOu0
6+2NiL33oU7UQdf57j3Yvq5ULxqKtZNwftOl814K+ueos9A4+YYqjm1pzlGsLd+HDcK9BvfJcSmOG3DH0EnMTUecndmfSxE0cj2s
wVm+03U4ljzI61G1m2tbcZ6Yu5N+i/OEqtcJwA5R/EP8fWRzzAs2fU9G3PFG8eY+u9Byf/568P5Fvj9fqq3UgrIbOHx9fpnQ+Km+
Ph9LdXR3bqTj93p9fvT+LU3r5ZPN2J4DczPG7PAH1Q/zRxpvrx9481rujbOPzD4bv3jh/LI/5r5d0tecWbEqf+DdM3n7qW3DK7+b
bn52zJ79/Jg91Kr+VW3PNKu/XKjv72s4nms7k7sXqg22jDyU+e30+tylqTM56T0r3ofE+9DSE925BwRsv3Qlt1XAl9fXZr4Q8OfN
k0PXBbTaYGbF+GK2wTJhA6dYtEtuZeG6wbUVDat6+rA1uylr4funvxy01vx+2Fo7kbV+Opa1fhRw6qW/zBC+6XnMagq473vd6hLQ
aoKR2te72AS9wgRFp1IZdYp79YFR1w/sBR0UV57b3Pyq+5Pmqd6ZuSd7rwyfeeVI/u/uj9ff+GhX7vjVQxdunNif+2Hq17kLhSea
7/Sszt98+HS+etYZfuvooebPB86fi02dzxQ2dt23rrv1r2rh38xC6NFu/w51hf/f/hubTBdmk8tkm6UtdM8LTv+ZUSYLo5DJlreQ
5Xs1KSZl2tB7mXZZC+3Io1qrL8uk4a4zaW8L6YbVWqQPFDYuXhJiLRb/4sIe29aEX/8CvIYkNQ==
"""
GOLDEN_THETA = [
    *(-0.8319462, -1.2921956, -0.24968606, 0.32959682, 1.2277945, 0.018731136, 0.03031738),
    *(-0.032182876, 0.0013225824, -0.4516889, -0.6403162, 0.578875, 1.3672682, 0.20237803),
    *(-0.9866719, -0.015592408, 0.015592416),
]
GOLDEN_LOSS = [0.633222759, 0.635569274, 0.712191021, 0.604863989]


def test_a_checkpoint_of_version_1_goes_on_for_ever(tmp_path):
    (tmp_path / "golden.npz").write_bytes(zlib.decompress(base64.b64decode(GOLDEN)))
    net, history, early = golden(resume=tmp_path / "golden.npz")
    # Not to the bit: other processors and libraries round otherwise.
    np.testing.assert_allclose(net.theta, GOLDEN_THETA, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(history["loss"], GOLDEN_LOSS, rtol=1e-5)
    assert history["lr"] == [3.0] * 4
    assert early.best_epoch == 3
    assert early.best == pytest.approx(0.50583792, rel=1e-5)
    loaded = nd.MLP.load(tmp_path / "golden.npz")
    assert (loaded.layer_sizes, loaded.dropout, loaded.seed) == ((2, 3, 2), 0.25, 5)
    assert np.isfinite(loaded.theta).all()


def test_ctrl_c_in_the_last_write_is_an_interruption_like_any_other(tmp_path, monkeypatch):
    saver, stops = nd.Checkpoints(tmp_path), [stop()]
    original = checkpoints.Saver.save

    def save(self, steps, state, best=False):
        if sys._getframe(2).f_code.co_name == "run" and steps:
            raise KeyboardInterrupt
        return original(self, steps, state, best)

    monkeypatch.setattr(checkpoints.Saver, "save", save)
    with pytest.warns(RuntimeWarning, match="interrupted by SIGINT after epoch"):
        _, history, _ = begin(checkpoint=saver, last=stops, validation_data=VALIDATION)
    assert history.interrupted == "SIGINT" and len(history.epoch) > 0
