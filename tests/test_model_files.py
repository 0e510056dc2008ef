"""Saved networks: what comes back, what a failed save leaves, which files are refused."""

from __future__ import annotations

import io
import json
import os
import stat
import sys
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import numadelta as nd
from mlp_reference import problem, randomize
from numadelta import checkpoint
from numadelta.checkpoint import CheckpointError

SETTINGS = {
    "layer_sizes": [4, 6, 3],
    "activation": "tanh",
    "loss": "squared_error",
    "weight_decay": 0.25,
    "initialization": "he",
    "dtype": "float64",
    "seed": 7,
}


def make_net(**changes):
    return randomize(nd.MLP(**SETTINGS | changes))


@pytest.fixture
def path(tmp_path):
    """Return the path of a saved network."""
    make_net().save(tmp_path / "net.npz")
    return tmp_path / "net.npz"


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
    assert header == {"kind": "numadelta.MLP", "version": 1, "settings": SETTINGS}


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
    [(np, "savez"), (os, "fsync"), (os, "replace")],
    ids=lambda x: str(x)[:9],
)
def test_a_failed_save_leaves_the_old_file_and_nothing_else(
    path, monkeypatch, module, function, error
):
    original, before = getattr(module, function), path.read_bytes()

    def fail(*arguments, **options):
        if function == "savez":
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
        import numpy as np
        import numadelta as nd

        def killed(file, **arrays):
            file.write(b"half")
            file.flush()
            print("killed", flush=True)
            os._exit(0)

        np.savez = killed
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


# Files that are not what they should be


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npy_that_declares(shape, descr="<f8", content=bytes(8)):
    file = io.BytesIO()
    header = {"shape": shape, "fortran_order": False, "descr": descr}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + content


def rewrite(
    path, settings=(), drop=(), theta=None, members=(), compression=zipfile.ZIP_STORED, **header
):
    """Write a saved network anew with other settings, header entries, theta or raw members."""
    with np.load(path) as file:
        arrays, found = dict(file), json.loads(str(file["header"]))
    found |= header
    found["settings"] |= settings
    for name in drop:
        found.pop(name, None), found["settings"].pop(name, None)
    arrays["header"] = np.array(json.dumps(found))
    if theta is not None:
        arrays["theta"] = theta
    contents = {f"{name}.npy": npy(array) for name, array in arrays.items()} | dict(members)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in contents.items():
            if name not in drop:
                archive.writestr(name, content)


def test_the_helper_that_damages_files_can_leave_them_whole(path):
    rewrite(path)
    assert nd.MLP.load(path).theta.tobytes() == make_net().theta.tobytes()


THETA = make_net().theta
HUGE = 10**13

DAMAGED = {
    "another kind": ({"kind": "numadelta.Adadelta"}, "holds numadelta.Adadelta, but numadelta.MLP"),
    "a newer version": ({"version": 2}, "has version 2, but this library reads up to 1"),
    "a newer version without theta": ({"version": 2, "drop": ["theta.npy"]}, "has version 2"),
    "a version that is no number": ({"version": None}, "corrupt"),
    "no kind": ({"drop": ["kind"]}, "corrupt"),
    "no version": ({"drop": ["version"]}, "corrupt"),
    "no header": ({"drop": ["header.npy"]}, ".*header"),
    "no theta": ({"drop": ["theta.npy"]}, ".*theta"),
    "a header of numbers": ({"members": {"header.npy": npy(THETA)}}, "corrupt"),
    "a header that is no JSON": ({"members": {"header.npy": npy(np.array("{"))}}, "corrupt"),
    "a header that is a list": ({"members": {"header.npy": npy(np.array("[]"))}}, "corrupt"),
    **{f"no {name}": ({"drop": [name]}, f"corrupt: .*{name}") for name in SETTINGS},
    "an unknown setting": ({"settings": {"dropout": 0.5}}, "corrupt: .*dropout"),
    "a bad setting": ({"settings": {"activation": "swish"}}, "corrupt: activation must be one of"),
    "sizes that are no list": ({"settings": {"layer_sizes": 5}}, "corrupt"),
    "sizes that are no numbers": ({"settings": {"layer_sizes": ["a", "b"]}}, "corrupt"),
    "sizes that are not whole": ({"settings": {"layer_sizes": [4.0, 6.0, 3.0]}}, "layer_sizes"),
    "sizes of a table": ({"settings": {"layer_sizes": {"a": 1}}}, "corrupt"),
    "theta too short": ({"theta": THETA[:-1]}, r"theta has shape \(50,\), .*\(51,\)"),
    "theta too long": ({"theta": np.append(THETA, 1)}, r"theta has shape \(52,\), .*\(51,\)"),
    "theta of two dimensions": ({"theta": THETA[np.newaxis]}, r"theta has shape \(1, 51\)"),
    "theta of another dtype": ({"theta": THETA.astype(np.float32)}, "theta has dtype float32"),
    "theta of strings": ({"theta": THETA.astype(str)}, "theta has dtype <U"),
    "theta of the other byte order": ({"theta": THETA.astype(">f8")}, "theta has dtype >f8"),
    "NaN in theta": ({"theta": np.where(THETA == THETA[3], np.nan, THETA)}, r"theta\[3\] is nan"),
    "infinity in theta": (
        {"theta": np.where(THETA == THETA[3], np.inf, THETA)},
        r"theta\[3\] is inf",
    ),
    "pickled objects": ({"theta": np.array([{"a": 1}] * 51)}, "corrupt"),
    "a pickled header": ({"members": {"header.npy": npy(np.array({"kind": 1}))}}, "corrupt"),
    "sizes of a huge network": ({"settings": {"layer_sizes": [HUGE, HUGE]}}, r"theta has shape"),
    "a huge declared shape": ({"members": {"theta.npy": npy_that_declares((HUGE,))}}, "corrupt"),
    "a huge declared header": (
        {"members": {"header.npy": npy_that_declares((), "<U1000000000")}},
        "corrupt",
    ),
    "a negative shape": ({"members": {"theta.npy": npy_that_declares((-1,))}}, r"\(1,\)|corrupt"),
    "a bomb": (
        {"theta": np.zeros(2_000_000), "compression": zipfile.ZIP_DEFLATED},
        "compressed",
    ),
    "another format": ({"members": {"theta.npy": b"\x93NUMPY\x03\x00" + bytes(99)}}, "format"),
    "an npy header with open brackets": (
        {"members": {"theta.npy": b"\x93NUMPY\x01\x00\x76\x00" + b"(" * 118}},
        "corrupt",
    ),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGED.values(), ids=DAMAGED)
def test_a_file_of_other_content_is_refused_by_name_and_without_a_large_allocation(
    path, damage, message
):
    rewrite(path, **damage)
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=rf"net\.npz.* {message}"):
            nd.MLP.load(path)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "content",
    [b"", b"PK", b"\x80\x04.", npy(THETA), npy_that_declares((HUGE,)), b"<!DOCTYPE html>" * 99],
    ids=["empty", "two bytes", "pickle", "npy", "huge npy", "HTML"],
)
def test_a_file_of_another_format_is_refused_by_name(path, content):
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"net\.npz is corrupt or not a numadelta file: ."):
        nd.MLP.load(path)


def test_an_empty_archive_is_refused(path):
    zipfile.ZipFile(path, "w").close()
    with pytest.raises(CheckpointError, match=r"corrupt .*header\.npy"):
        nd.MLP.load(path)


def test_every_truncated_file_is_refused(path):
    content = path.read_bytes()
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError):
            nd.MLP.load(path)


def test_no_flipped_bit_changes_what_is_loaded(path):
    net, content = make_net(), path.read_bytes()
    with open(path, "r+b", buffering=0) as file:
        for position, byte in enumerate(content):
            file.seek(position)
            file.write(bytes([byte ^ 1 << position % 8]))
            try:
                loaded = nd.MLP.load(path)
            except CheckpointError:
                pass
            else:
                assert loaded.theta.tobytes() == net.theta.tobytes(), position
                assert loaded._settings() == net._settings(), position
            file.seek(position)
            file.write(bytes([byte]))


def test_a_checkpoint_error_is_a_value_error():
    assert issubclass(checkpoint.CheckpointError, ValueError)
