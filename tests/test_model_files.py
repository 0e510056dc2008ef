"""Saved networks: what comes back, and what a save that fails leaves."""

from __future__ import annotations

import io
import json
import os
import stat
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import numadelta as nd
from mlp_reference import problem
from saved_network import GOLDEN, GOLDEN_SETTINGS, NOTES, SETTINGS, make_net

# There and back


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"dtype": "float32"},
        {"loss": "cross_entropy", "activation": "relu", "initialization": "auto"},
        {"loss": "binary_cross_entropy", "layer_sizes": [4, 1], "seed": 2**70},
    ],
    ids=lambda changes: "-".join(changes) or "plain",
)
def test_parameters_settings_and_dtype_come_back_to_the_bit(tmp_path, changes):
    net = make_net(**changes)
    net.save(tmp_path / "net.npz")
    loaded = nd.MLP.load(tmp_path / "net.npz")
    assert loaded.theta.tobytes() == net.theta.tobytes()
    assert loaded.theta.dtype == net.dtype
    for name, value in (SETTINGS | changes).items():
        assert getattr(loaded, name) == (tuple(value) if name == "layer_sizes" else value)
    assert all(np.shares_memory(view, loaded.theta) for view in (*loaded.weights, *loaded.biases))


def test_a_loaded_network_predicts_and_trains(path):
    net, loaded = make_net(), nd.MLP.load(path)
    X, y = problem("squared_error", 10, 4, 3)
    np.testing.assert_array_equal(loaded.predict(X), net.predict(X))
    assert loaded.optimizer is None
    for one in (net, loaded):
        one.fit(X, y, epochs=2, batch_size=4, verbose=0)
    np.testing.assert_array_equal(loaded.theta, net.theta)


@pytest.mark.parametrize("name", ["net.npz", "net", "net.model", "nét é.npz"])
def test_the_file_has_the_name_given_as_path_or_string_and_is_alone(tmp_path, name):
    make_net().save(str(tmp_path / name))
    assert [p.name for p in tmp_path.iterdir()] == [name]
    nd.MLP.load(str(tmp_path / name))


def test_a_save_replaces_the_file_that_was_there(path):
    other = make_net(layer_sizes=[2, 1])
    other.save(path)
    assert nd.MLP.load(path).theta.tobytes() == other.theta.tobytes()


def test_the_file_is_plain_numpy_without_pickle(path):
    with np.load(path, allow_pickle=False) as file:
        np.testing.assert_array_equal(file["theta"], make_net().theta)
        header = json.loads(str(file["header"]))
    settings = {"network": SETTINGS, "notes": {}}
    kind = {"kind": "numadelta.MLP", "version": 1, "arrays": ["theta"]}
    assert header == {**kind, "settings": settings}


def test_notes_come_back(tmp_path):
    net = make_net()
    net.notes = {**NOTES, "of": {"any": [1.5, None, True]}, "number": np.float32(0.5)}
    net.save(tmp_path / "net.npz")
    assert nd.MLP.load(tmp_path / "net.npz").notes == net.notes
    assert make_net().notes == {}


def test_a_loaded_network_has_notes_of_its_own(path):
    nd.MLP.load(path).notes["mine"] = 1
    assert nd.MLP.load(path).notes == {}


@pytest.mark.parametrize("notes", [{"set": {1, 2}}, {"complex": 1j}, {(1, 2): 3}, None])
def test_notes_that_json_does_not_know_are_refused_and_the_old_file_stays(path, notes):
    net, before = make_net(), path.read_bytes()
    net.notes = notes
    with pytest.raises(TypeError):
        net.save(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_file_loads_for_ever_and_is_written_likewise(path):
    path.write_bytes(GOLDEN)
    net = nd.MLP.load(path)
    np.testing.assert_array_equal(net.theta, np.arange(9) / 8 - 0.5)
    for name, value in GOLDEN_SETTINGS.items():
        assert getattr(net, name) == value
    assert (net.dropout, net.input_dropout, net.notes) == (0.5, 0.125, NOTES)
    net.save(path)
    with np.load(path) as found, np.load(io.BytesIO(GOLDEN)) as golden:
        assert str(found["header"]) == str(golden["header"])
        np.testing.assert_array_equal(found["theta"], golden["theta"])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no umask")
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_permissions_follow_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        make_net().save(tmp_path / "net.npz")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "net.npz").stat().st_mode) == 0o666 & ~umask


# A save that fails


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize(
    ("module", "function"),
    [(np.lib.format, "write_array"), (os, "fsync"), (os, "replace")],
    ids=["write_array", "fsync", "replace"],
)
def test_a_failed_save_leaves_the_old_file_and_nothing_else(
    path, monkeypatch, module, function, error
):
    original, before = getattr(module, function), path.read_bytes()

    def fail(*arguments, **options):
        if function == "write_array":
            original(*arguments, **options)
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(module, function, fail)
        with pytest.raises(type(error)):
            make_net(seed=8).save(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_kill_in_the_middle_of_a_save_leaves_the_old_file(path, python):
    script = f"""
        import os
        import numadelta as nd

        def killed(descriptor):
            os.truncate(descriptor, 100)
            print("killed", flush=True)
            os._exit(0)

        os.fsync = killed
        nd.MLP((2, 2)).save({str(path)!r})
        """
    before = path.read_bytes()
    assert python(script) == "killed"
    assert path.read_bytes() == before
    nd.MLP.load(path)


def test_two_writers_of_one_path_never_make_a_mixed_file(path):
    nets = [make_net(), make_net(layer_sizes=[3, 2])]
    with ThreadPoolExecutor(2) as pool:
        saves = [pool.submit(nets[k % 2].save, path) for k in range(10)]
        loaded = [nd.MLP.load(path).theta.tobytes() for _ in range(10)]
        for save in saves:
            save.result()
    assert {*loaded, nd.MLP.load(path).theta.tobytes()} <= {net.theta.tobytes() for net in nets}
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("folder", [".", "folder"])
def test_saving_to_a_folder_is_an_oserror(tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        make_net().save(folder)
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
    assert list((tmp_path / "folder").iterdir()) == []


def test_saving_below_a_missing_folder_names_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        make_net().save(tmp_path / "nowhere" / "net.npz")


# Files that cannot be opened


def test_a_missing_file_is_not_a_corrupt_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        nd.MLP.load(tmp_path / "absent.npz")


def test_a_folder_is_not_a_corrupt_file(tmp_path):
    with pytest.raises(OSError, match="irectory|ermission"):
        nd.MLP.load(tmp_path)
