"""Checkpoints that are damaged or cannot be written: nothing that was good is ever lost."""

from __future__ import annotations

import errno
import io
import itertools
import json
import multiprocessing
import os
import re
import shutil
import struct
import sys
import tempfile
import time
import tracemalloc
import types
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest

import numadelta as nd
import numadelta.files
from file_writer import write_states
from mlp_reference import problem
from numadelta.checkpoint import CheckpointError
from numadelta.files import TEMPORARY, replace
from saved_training import contents, names, read, step

X, Y = problem("cross_entropy", 11, 4, 3)  # in batches of 4: three an epoch


def fit(**options):
    """Train a fresh network with a fresh callback; return both and the history."""
    net, early = nd.MLP((4, 5, 3), dropout=0.3), nd.callbacks.EarlyStopping("loss")
    callbacks = [early, *options.pop("callbacks", ())]
    fixed = {"epochs": 3, "batch_size": 4, "verbose": 0, "lr": 10.0}
    history = net.fit(X, Y, callbacks=callbacks, **fixed | options)
    return net, early, history


def end(net, early, history):
    """Return what two trainings must have in common, to the last bit."""
    figures = {name: values for name, values in history.history.items() if name != "seconds"}
    averages = (net.optimizer.square_avg.tobytes(), net.optimizer.acc_delta.tobytes())
    return net.theta.tobytes(), *averages, repr(figures), repr(early.state_dict())


def comparable(saved):
    settings, members = saved
    return settings, {name: (a.dtype, a.shape, a.tobytes()) for name, a in members.items()}


@pytest.fixture(scope="module")
def whole():
    """Return the end of the training that nothing happens to."""
    return end(*fit())


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return the names and the contents of good files, one for each step and the best."""
    folder = tmp_path_factory.mktemp("files")
    fit(checkpoint=nd.Checkpoints(folder, minutes=0, keep=100))
    return contents(folder)


@pytest.fixture
def folder(tmp_path, files):
    """Return a folder with the good files of steps 3, 4 and 5."""
    folder = tmp_path / "run"
    folder.mkdir()
    for number in (3, 4, 5):
        (folder / step(number)).write_bytes(files[step(number)])
    return folder


# Damage


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
    path, settings=(), arrays=(), members=(), drop=(), compression=zipfile.ZIP_STORED, **header
):
    """Write a checkpoint anew with other settings, arrays, raw members or header entries."""
    with np.load(path) as file:
        found, content = dict(file), json.loads(str(file["header"]))
    content |= header
    content["settings"] |= settings
    for name in drop:
        found.pop(name, None), content["settings"].pop(name, None), content.pop(name, None)
    found |= {"header": np.array(json.dumps(content))} | dict(arrays)
    raw = {f"{name}.npy": npy(array) for name, array in found.items()} | dict(members)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, member in raw.items():
            if name not in drop:
                archive.writestr(name, member)


HUGE = 10**13
THETA = nd.MLP((4, 5, 3)).theta

DAMAGED = {
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "HTML": lambda path: path.write_bytes(b"<!DOCTYPE html>" * 99),
    "a pickle": lambda path: path.write_bytes(b"\x80\x04."),
    "an array": lambda path: path.write_bytes(npy(np.arange(3))),
    "an empty archive": lambda path: zipfile.ZipFile(path, "w").close(),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-30]),
    "no header": lambda path: rewrite(path, drop=["header.npy"]),
    "another kind": lambda path: rewrite(path, kind="numadelta.Adadelta"),
    "no kind": lambda path: rewrite(path, drop=["kind"]),
    "no version": lambda path: rewrite(path, drop=["version"]),
    "a version that is no number": lambda path: rewrite(path, version="1"),
    "no settings": lambda path: rewrite(path, drop=["settings"]),
    "settings that are a list": lambda path: rewrite(path, members={"header.npy": HEADER_OF_LIST}),
    "a header that is no JSON": lambda path: rewrite(path, arrays={"header": np.array("{")}),
    "pickled objects": lambda path: rewrite(path, arrays={"theta": np.array([{"a": 1}] * 43)}),
    "a pickled extra": lambda path: rewrite(path, arrays={"callback0.x": np.array([{}])}),
    "a huge shape": lambda path: rewrite(path, members={"theta.npy": npy_that_declares((HUGE,))}),
    "a huge string": lambda path: rewrite(
        path, members={"header.npy": npy_that_declares((), "<U1000000000")}
    ),
    "a bomb": lambda path: rewrite(
        path, arrays={"square_avg": np.zeros(10**6)}, compression=zipfile.ZIP_DEFLATED
    ),
    "a huge member": lambda path: declare_huge_members(path),
    "another npy format": lambda path: rewrite(
        path, members={"theta.npy": b"\x93NUMPY\x03\x00" + bytes(99)}
    ),
}
HEADER_OF_LIST = npy(
    np.array(json.dumps({"kind": "numadelta.Training", "version": 1, "settings": [1]}))
)
every_damage = pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)


def declare_huge_members(path):
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\1\2")
    content[entry + 20 : entry + 28] = struct.pack("<2I", 2**32 - 2, 2**32 - 2)
    path.write_bytes(content)


def test_the_helper_that_damages_files_can_leave_them_whole(folder):
    before = read(folder / step(5))
    rewrite(folder / step(5))
    assert comparable(read(folder / step(5))) == comparable(before)


@every_damage
def test_a_damaged_file_is_refused_by_name_and_costs_no_memory(folder, damage):
    damage(folder / step(5))
    tracemalloc.start()
    try:
        for load in (lambda path: fit(resume=path), nd.MLP.load):
            with pytest.raises(CheckpointError, match=step(5)):
                load(folder / step(5))
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


@every_damage
def test_the_file_before_is_used_with_a_warning_and_the_damaged_one_put_aside(
    folder, whole, damage
):
    damage(folder / step(5))
    spoilt = (folder / step(5)).read_bytes()
    with pytest.warns(RuntimeWarning, match=f"{step(4)}, for .*{step(5)}") as caught:
        resumed = fit(checkpoint=folder, resume=True)
    assert [warning.filename for warning in caught] == [__file__]
    assert end(*resumed) == whole
    assert (folder / f"{step(5)}.damaged").read_bytes() == spoilt
    fit(checkpoint=folder, resume=True)


def test_nothing_is_put_aside_in_a_folder_that_is_only_read(folder, whole, tmp_path):
    (folder / step(5)).write_bytes(b"")
    before = contents(folder)
    for options in ({}, {"checkpoint": tmp_path / "new"}):
        with pytest.warns(RuntimeWarning, match="going back"):
            assert end(*fit(resume=folder, **options)) == whole
        assert contents(folder) == before


def test_a_file_put_aside_may_replace_an_earlier_one(folder, whole, monkeypatch):
    def rename(path, target):
        """Refuse what is there, as Windows does."""
        if target.exists():
            raise FileExistsError(target)
        os.rename(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    (folder / f"{step(5)}.damaged").write_bytes(b"earlier")
    (folder / step(5)).write_bytes(b"later")
    with pytest.warns(RuntimeWarning, match=f"{step(4)}, for .*{step(5)}"):
        assert end(*fit(checkpoint=folder, resume=True)) == whole
    assert (folder / f"{step(5)}.damaged").read_bytes() == b"later"


def test_several_damaged_files_are_passed_over(folder, whole):
    for number in (4, 5):
        (folder / step(number)).write_bytes(b"")
    with pytest.warns(RuntimeWarning, match=f"{step(3)}, for .*{step(5)}.*; .*{step(4)}"):
        resumed = fit(checkpoint=nd.Checkpoints(folder, keep=100), resume=True)
    assert end(*resumed) == whole
    aside = [f"{step(number)}.damaged" for number in (4, 5)]
    kept = [name for name in names(folder) if name.startswith("step")]
    assert kept == sorted([*aside, step(3), step(6), step(9)])


def test_damaged_files_do_not_push_out_good_ones(folder):
    for number in (90, 91, 92):
        (folder / step(number)).write_bytes(b"")
    with pytest.warns(RuntimeWarning, match="going back"):
        fit(checkpoint=nd.Checkpoints(folder, keep=2), epochs=2, resume=True)
    assert [path.name for path in nd.Checkpoints(folder).files()] == [step(6), step(5)]


def test_a_damaged_file_before_the_newest_does_not_matter(folder, whole):
    (folder / step(4)).write_bytes(b"")
    assert end(*fit(checkpoint=folder, resume=True)) == whole


def test_if_none_is_good_it_is_an_error_that_names_all(folder):
    for number in (3, 4, 5):
        (folder / step(number)).write_bytes(b"")
    before = contents(folder)
    for options in ({"resume": folder}, {"checkpoint": folder, "resume": True}):
        with pytest.raises(CheckpointError, match=f"no good .*{step(5)}.*{step(4)}.*{step(3)}"):
            fit(**options)
    with pytest.raises(FileExistsError):
        fit(checkpoint=folder)
    assert contents(folder) == before


def test_a_warning_that_is_an_error_changes_nothing(folder):
    (folder / step(5)).write_bytes(b"")
    before = contents(folder)
    with pytest.raises(RuntimeWarning, match="going back"):  # as all are in these tests
        fit(checkpoint=folder, resume=True)
    assert contents(folder) == before


def test_every_truncated_file_is_refused(files, tmp_path):
    path, content = tmp_path / step(5), files[step(5)]
    for length in [*range(0, len(content), 11), len(content) - 1]:
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=step(5)):
            read(path)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.9, 0.99])
def test_a_truncated_file_costs_only_the_steps_since_the_one_before(folder, whole, share):
    content = (folder / step(5)).read_bytes()
    (folder / step(5)).write_bytes(content[: int(share * len(content))])
    with pytest.warns(RuntimeWarning, match="going back"):
        assert end(*fit(checkpoint=folder, resume=True)) == whole


# The members come first and have checksums, which what follows, their directory, has not.
@pytest.mark.parametrize("part", ["members", "directory"])
def test_no_flipped_bit_changes_what_is_read(files, tmp_path, part):
    path, content = tmp_path / step(5), files[step(5)]
    directory = content.index(b"PK\1\2")
    path.write_bytes(content)
    good = comparable(read(path))
    flips = [(position, 1 << position % 8) for position in range(directory)]
    if part == "directory":
        flips = [(k, 1 << bit) for k in range(directory, len(content)) for bit in range(8)]
    refused = 0
    with open(path, "r+b", buffering=0) as file:
        for position, bit in flips:
            file.seek(position)
            file.write(bytes([content[position] ^ bit]))
            try:
                assert comparable(read(path)) == good, position
            except CheckpointError:
                refused += 1
            file.seek(position)
            file.write(bytes([content[position]]))
    assert refused > len(flips) / 2  # the rest are dates, names of systems and so on


def test_a_flipped_bit_does_not_cost_the_best_weights(folder, whole):
    content = bytearray((folder / step(5)).read_bytes())
    entries = [match.start() for match in re.finditer(b"PK\1\2", content)]
    content[entries[-2] + 33] ^= 1  # the length of the comment to the last entry but one
    (folder / step(5)).write_bytes(content)
    with pytest.warns(RuntimeWarning, match="going back"):
        assert end(*fit(checkpoint=folder, resume=True)) == whole


@pytest.mark.parametrize("position", [0.2, 0.5, 0.7])
def test_a_flipped_bit_costs_only_the_steps_since_the_one_before(folder, whole, position):
    content = bytearray((folder / step(5)).read_bytes())
    content[int(position * len(content))] ^= 4
    (folder / step(5)).write_bytes(content)
    with pytest.warns(RuntimeWarning, match="going back"):
        assert end(*fit(checkpoint=folder, resume=True)) == whole


# Content that does not fit


@pytest.mark.parametrize("version", [2, 10**9])
def test_a_newer_version_is_refused_with_both_versions(folder, version):
    for number in (3, 4, 5):
        rewrite(folder / step(number), version=version)
    before = contents(folder)
    message = f"has version {version}, but this library reads up to 1"
    with pytest.raises(CheckpointError, match=f"{step(5)} {message}"):
        fit(resume=folder / step(5))
    with pytest.raises(CheckpointError, match=message):
        fit(checkpoint=folder, resume=True)
    with pytest.raises(CheckpointError, match=message):
        nd.MLP.load(folder / step(5))
    assert contents(folder) == before


def test_a_newer_version_beside_older_ones_is_refused_too(folder):
    rewrite(folder / step(5), version=2)
    before = contents(folder)
    with pytest.raises(CheckpointError, match="has version 2, but this library reads up to 1"):
        fit(checkpoint=folder, resume=True)
    assert contents(folder) == before


def test_a_saved_network_is_no_checkpoint(tmp_path):
    nd.MLP((4, 5, 3), dropout=0.3).save(tmp_path / "net.npz")
    with pytest.raises(CheckpointError, match=r"net\.npz holds numadelta\.MLP, but numadelta\.Tr"):
        fit(resume=tmp_path / "net.npz")


MISFITS = {
    "theta too short": {"theta": THETA[:-1]},
    "theta of another dtype": {"theta": THETA.astype(np.float64)},
    "theta of two dimensions": {"theta": THETA[np.newaxis]},
    "theta of the other byte order": {"theta": THETA.astype(">f4")},
    "NaN in theta": {"theta": np.full_like(THETA, np.nan)},
    "square_avg too long": {"square_avg": np.zeros(len(THETA) + 1, np.float32)},
    "square_avg of another dtype": {"square_avg": np.zeros(len(THETA))},
    "negative square_avg": {"square_avg": np.full_like(THETA, -1)},
    "NaN in acc_delta": {"acc_delta": np.full_like(THETA, np.nan)},
    "acc_delta of strings": {"acc_delta": np.zeros(len(THETA)).astype(str)},
}


@pytest.mark.parametrize("arrays", MISFITS.values(), ids=MISFITS)
def test_arrays_that_do_not_fit_are_refused_by_name_and_change_nothing(folder, arrays):
    rewrite(folder / step(5), arrays=arrays)
    net = nd.MLP((4, 5, 3), dropout=0.3)
    theta = net.theta.copy()
    with pytest.raises((ValueError, TypeError), match=next(iter(arrays))):
        options = {"batch_size": 4, "verbose": 0, "lr": 10.0}
        options["callbacks"] = [nd.callbacks.EarlyStopping("loss")]
        net.fit(X, Y, resume=folder / step(5), **options)
    np.testing.assert_array_equal(net.theta, theta)
    assert net.optimizer is None or net.optimizer.steps == 0


ALL = ["epoch", "batch", "totals", "seconds", "steps", "rng", "history", "stopped", "callbacks"]


@pytest.mark.parametrize("name", [*ALL, "theta", "square_avg", "acc_delta"])
def test_a_missing_entry_is_a_checkpoint_error_that_names_it(folder, name):
    rewrite(folder / step(5), drop=[name])
    with pytest.raises(CheckpointError, match=name):
        fit(resume=folder / step(5))


@pytest.mark.parametrize("name", ["network", "options"])
def test_a_missing_part_of_the_context_is_refused(folder, name):
    rewrite(folder / step(5), drop=[name])
    with pytest.raises(ValueError, match="the checkpoint is of a training with 'none'"):
        fit(resume=folder / step(5))


REFUSED = {
    "epoch": [-1, 7, 1.5, "1", None],
    "batch": [-1, 4, 0.5, "1", None],
    "totals": [None, [1], [1, 2, 3, 4], "abc"],
    "steps": [-1, 2**63, 1.5, "5", None],
    "rng": [{}, {"bit_generator": "MT19937"}, None, 3],
    "history": [{"loss": []}, None, {"loss": 3}, []],
    "callbacks": [[], [None, None], None, [3], [{"best": 1}]],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name in REFUSED for value in REFUSED[name]]
)
def test_an_entry_of_another_kind_is_refused_with_a_valueerror(folder, name, value):
    rewrite(folder / step(5), settings={name: value})
    with pytest.raises(ValueError):
        fit(resume=folder / step(5))


@pytest.mark.parametrize(
    "extra",
    [
        {"settings": {"extra": 1}},
        {"arrays": {"extra": np.zeros(3)}},
        {"members": {"extra.txt": b"text"}},
        {"members": {"../../evil.npy": npy(np.zeros(3))}},
        {"members": {"/numadelta-evil.npy": npy(np.zeros(3))}},
        {"members": {"..\\evil.npy": npy(np.zeros(3))}},
    ],
    ids=str,
)
def test_what_is_beyond_is_refused_or_without_effect(folder, whole, tmp_path, extra):
    before = names(tmp_path)
    rewrite(folder / step(5), **extra)
    try:
        assert end(*fit(resume=folder / step(5))) == whole
    except CheckpointError as error:
        assert step(5) in str(error)
    assert names(tmp_path) == before and names(folder) == [step(3), step(4), step(5)]
    assert not os.path.exists("/numadelta-evil.npy")


# Links, folders and files in the way

needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")


@needs_links
def test_a_link_is_replaced_and_its_target_is_not(tmp_path, whole):
    folder, target = tmp_path / "run", tmp_path / "target"
    fit(checkpoint=folder, epochs=1)
    target.write_text("precious")
    (folder / "best.npz").unlink()
    (folder / "best.npz").symlink_to(target)
    assert end(*fit(checkpoint=folder, resume=True)) == whole
    assert target.read_text() == "precious"
    assert not (folder / "best.npz").is_symlink()
    nd.MLP.load(folder / "best.npz")


@needs_links
def test_a_file_may_be_a_link_and_one_without_target_is_passed_over(folder, whole, tmp_path):
    shutil.move(folder / step(5), tmp_path / "moved.npz")
    (folder / step(5)).symlink_to(tmp_path / "moved.npz")
    assert end(*fit(resume=folder / step(5))) == whole
    (tmp_path / "moved.npz").unlink()
    with pytest.warns(RuntimeWarning, match=f"{step(4)}, for .*{step(5)}"):
        assert end(*fit(checkpoint=folder, resume=True)) == whole


def test_a_folder_in_place_of_a_file_is_passed_over(folder, whole):
    (folder / step(5)).unlink()
    (folder / step(5)).mkdir()
    with pytest.warns(RuntimeWarning, match=f"{step(4)}, for .*{step(5)}"):
        assert end(*fit(checkpoint=folder, resume=True)) == whole


@pytest.fixture
def stepless(monkeypatch):
    """Let no step be taken."""
    monkeypatch.setattr(nd.Adadelta, "step", lambda *arguments: pytest.fail("a step was taken"))


@pytest.mark.parametrize("where", ["file", "file/below"])
@pytest.mark.parametrize("resume", [False, True])
def test_a_file_in_place_of_the_folder_is_an_oserror_before_the_first_step(
    tmp_path, stepless, where, resume
):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(OSError, match="file"):
        fit(checkpoint=tmp_path / where, resume=resume)
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="there is no such file system")
def test_a_folder_that_cannot_be_made_is_an_oserror_before_the_first_step(stepless):
    with pytest.raises(OSError, match="/proc/numadelta"):
        fit(checkpoint="/proc/numadelta/run")


@contextmanager
def read_only(folder):
    """Let no one write to a folder, not even root, who is someone else in here."""
    mode, root = folder.stat().st_mode, os.geteuid() == 0
    folder.chmod(0o555)
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(mode)


@pytest.fixture
def open_folder():
    """Return a folder whose parents every user may enter, unlike those of tmp_path."""
    if not hasattr(os, "geteuid"):
        pytest.skip("permissions are another thing here")
    with tempfile.TemporaryDirectory(prefix="numadelta") as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.mark.parametrize("resume", [False, True])
def test_a_read_only_folder_is_an_oserror_before_the_first_step(
    open_folder, stepless, files, resume
):
    if resume:
        (open_folder / step(4)).write_bytes(files[step(4)])
    before = contents(open_folder)
    with read_only(open_folder), pytest.raises(PermissionError, match=open_folder.name):
        fit(checkpoint=open_folder, resume=resume)
    assert contents(open_folder) == before


def test_a_folder_that_becomes_read_only_costs_a_warning(open_folder, whole):
    def close(epoch, logs):
        if epoch == 1:
            stack.enter_context(read_only(open_folder))

    callbacks = [types.SimpleNamespace(on_epoch_begin=close)]
    with ExitStack() as stack, pytest.warns(RuntimeWarning, match="could not be written") as caught:
        trained = fit(checkpoint=open_folder, callbacks=callbacks)
    assert len(caught) == 1
    assert end(*trained) == whole
    assert names(open_folder) == ["best.npz", step(0), step(3)]


def test_a_folder_that_is_removed_costs_a_warning(tmp_path, whole):
    def remove(epoch, logs):
        if epoch == 1:
            shutil.rmtree(tmp_path / "run")

    callbacks = [types.SimpleNamespace(on_epoch_begin=remove)]
    with pytest.warns(RuntimeWarning, match="could not be written: .*run") as caught:
        trained = fit(checkpoint=tmp_path / "run", callbacks=callbacks)
    assert len(caught) == 1
    assert end(*trained) == whole
    assert names(tmp_path) == []


# A full disk


class Full(io.FileIO):
    """A file that takes some bytes and no more."""

    def write(self, data):
        if self.tell() + len(data) > 700:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


class FullDisk:
    """Let the writes with these numbers, counted from 0, fail for want of space."""

    def __init__(self, monkeypatch, where, failing):
        self.count, self.failing = 0, failing
        fsync, replace = os.fsync, os.replace

        def fsync_or_fail(descriptor):
            if not os.path.isdir(f"/dev/fd/{descriptor}"):
                self.maybe_fail()
            fsync(descriptor)

        def replace_or_fail(*paths):
            if str(paths[1]).endswith(".npz"):  # Numba's cache renames files, too
                self.maybe_fail()
            replace(*paths)

        def open_or_fail(path, mode):
            self.maybe_fail()
            return open(path, mode)

        def open_full(path, mode):
            self.count += 1
            if self.count - 1 not in self.failing:
                return open(path, mode)
            return io.BufferedWriter(Full(path, "x"), 100)

        patches = {
            "fsync": (os, "fsync", fsync_or_fail),
            "replace": (os, "replace", replace_or_fail),
            "open": (numadelta.files, "open", open_or_fail),
            "write": (numadelta.files, "open", open_full),
        }
        monkeypatch.setattr(*patches[where], raising=False)

    def maybe_fail(self):
        self.count += 1
        if self.count - 1 in self.failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


every_place = pytest.mark.parametrize("where", ["fsync", "replace", "open", "write"])


@every_place
def test_a_full_disk_at_the_start_is_an_oserror_that_names_the_path(
    tmp_path, monkeypatch, stepless, where
):
    FullDisk(monkeypatch, where, [0])
    net = nd.MLP((4, 5, 3))
    theta = net.theta.copy()
    with pytest.raises(OSError, match=step(0)) as caught:
        net.fit(X, Y, batch_size=4, verbose=0, checkpoint=tmp_path)
    assert caught.value.errno == errno.ENOSPC
    np.testing.assert_array_equal(net.theta, theta)
    assert names(tmp_path) == []


@every_place
def test_so_it_is_where_a_training_goes_on(folder, monkeypatch, stepless, where):
    FullDisk(monkeypatch, where, [0])
    before = contents(folder)
    with pytest.raises(OSError, match=step(5)):
        fit(checkpoint=folder, resume=True)
    assert contents(folder) == before


# The writes are those of steps 0 and 3, best, 6, best, 9 and best; that of the end is there twice.
@every_place
@pytest.mark.parametrize("first", [1, 2, 3, 5, 6])
def test_a_full_disk_later_costs_a_warning_and_keeps_what_there_is(
    tmp_path, monkeypatch, whole, where, first
):
    with monkeypatch.context() as patch:
        FullDisk(patch, where, range(first, 100))
        with pytest.warns(RuntimeWarning, match=r"could not be written: .*(step|best)") as caught:
            trained = fit(checkpoint=nd.Checkpoints(tmp_path, keep=100))
    assert [warning.filename for warning in caught] == [__file__]
    assert end(*trained) == whole
    written = [step(0), step(3), "best.npz", step(6), "best.npz", step(9), "best.npz"][:first]
    assert names(tmp_path) == sorted(set(written))
    for name in written:
        nd.MLP.load(tmp_path / name)
    assert end(*fit(checkpoint=tmp_path, resume=True)) == whole


@every_place
@pytest.mark.parametrize("failing", [1, 3, 5])
def test_a_disk_that_was_full_for_a_while_costs_one_file(
    tmp_path, monkeypatch, whole, where, failing
):
    FullDisk(monkeypatch, where, [failing])
    with pytest.warns(RuntimeWarning, match="1 checkpoints could not be written"):
        trained = fit(checkpoint=nd.Checkpoints(tmp_path, keep=100))
    assert end(*trained) == whole
    missing = {1: step(3), 3: step(6), 5: None}[failing]  # the last is written at the end
    assert {*names(tmp_path), missing} == {"best.npz", *map(step, (0, 3, 6, 9)), missing}
    assert missing not in names(tmp_path)


def test_old_files_that_cannot_be_removed_are_no_matter(tmp_path, monkeypatch, whole):
    def refuse(path, missing_ok=False):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    assert end(*fit(checkpoint=nd.Checkpoints(tmp_path, keep=1))) == whole
    assert names(tmp_path) == ["best.npz", *map(step, (0, 3, 6, 9))]


FILE_SIZE_LIMIT = """
    import resource, sys, types, warnings
    sys.path.insert(0, {tests!r})
    import test_checkpoint_faults as faults

    def limit(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    class NoStep:
        def on_train_batch_end(self, batch, logs):
            sys.exit("a step was taken")

    class Limit:
        def on_epoch_begin(self, epoch, logs):
            limit(1000 if epoch == 1 else resource.RLIM_INFINITY)

    class Plain:
        def on_epoch_begin(self, epoch, logs): ...

    faults.fit()  # Numba may write its cache
    limit(1000)
    try:
        faults.fit(checkpoint={folder!r}, callbacks=[NoStep()])
    except OSError as error:
        print(error)
    limit(resource.RLIM_INFINITY)
    print(faults.names(faults.Path({folder!r})))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        limited = faults.fit(checkpoint={folder!r}, callbacks=[Limit()])
    print(*(warning.message for warning in caught), sep="\\n")
    print(faults.names(faults.Path({folder!r})))
    limit(resource.RLIM_INFINITY)
    resumed = faults.fit(checkpoint={folder!r}, callbacks=[Plain()], resume=True)
    print(faults.end(*limited) == faults.end(*resumed) == faults.end(*faults.fit()))
"""


def test_the_limit_of_a_file_size_is_met_likewise(tmp_path, python):
    pytest.importorskip("resource")
    run = str(tmp_path / "run")
    told = python(FILE_SIZE_LIMIT.format(tests=str(Path(__file__).parent), folder=run), "-Wdefault")
    at_start, files, warning, files_later, equal = told.splitlines()
    too_large = f"[Errno {errno.EFBIG}] {os.strerror(errno.EFBIG)}"
    assert at_start == f"{too_large}: {os.path.join(run, step(0))!r}"
    assert files == "[]"
    assert warning.startswith("2 checkpoints could not be written: " + too_large)
    assert files_later == str(["best.npz", *map(step, (0, 3, 9))])
    assert equal == "True"


def test_a_read_only_file_leaves_no_read_only_temporary_file_on_windows(tmp_path, monkeypatch):
    """There it can be neither replaced nor removed."""
    modes = []

    def refuse(temporary, path):
        modes.append(os.stat(temporary).st_mode & 0o200)
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    path = tmp_path / "net.npz"
    path.touch(0o444)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError, match="net"):
        replace(path, b"")
    assert modes == [0o200] and names(tmp_path) == ["net.npz"]


def test_on_macos_a_file_is_written_through_to_the_disk(tmp_path, monkeypatch):
    fcntl, calls = types.ModuleType("fcntl"), []
    fcntl.F_FULLFSYNC, fcntl.fcntl = 51, lambda descriptor, command: calls.append(command)
    monkeypatch.setitem(sys.modules, "fcntl", fcntl)
    monkeypatch.setattr(sys, "platform", "darwin")
    replace(tmp_path / "net.npz", b"")
    assert calls == [51, 51]  # of the file and the folder


# Kills, and what they leave


@pytest.mark.parametrize("at", [0, 1, 2, 5])
def test_a_kill_before_the_rename_leaves_the_file_before(tmp_path, python, whole, at):
    script = f"""
        import itertools, os, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import test_checkpoint_faults as faults

        calls, original = itertools.count(), os.replace

        def replace(*paths):
            if next(calls) == {at}:
                os._exit(0)
            original(*paths)

        os.replace = replace
        faults.fit(checkpoint={str(tmp_path / "run")!r})
        print("not killed")
        """
    assert python(script) == ""
    left = [name for name in names(tmp_path / "run") if name.startswith(".")]
    assert len(left) == 1
    assert len(names(tmp_path / "run")) == 1 + [0, 1, 2, 3, 3, 4][at]
    resumed = fit(checkpoint=tmp_path / "run", resume=True)
    assert end(*resumed) == whole
    assert left[0] in names(tmp_path / "run")  # it may be another's who is writing
    os.utime(tmp_path / "run" / left[0], (0, time.time() - 601))
    fit(checkpoint=tmp_path / "run", resume=True)
    assert left[0] not in names(tmp_path / "run")


@pytest.mark.parametrize("error", [SystemExit, MemoryError, GeneratorExit])
@pytest.mark.parametrize("at", range(5))
def test_an_exception_before_the_rename_passes_and_leaves_no_temporary_file(
    tmp_path, monkeypatch, whole, error, at
):
    calls, original = itertools.count(), os.replace

    def replace(*paths):
        if next(calls) == at:
            raise error
        original(*paths)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        with pytest.raises(error):
            fit(checkpoint=tmp_path)
    assert not any(name.startswith(".") for name in names(tmp_path))
    assert end(*fit(checkpoint=tmp_path, resume=True)) == whole


@pytest.mark.parametrize("name", [f".best.npz.beef{TEMPORARY}", f".{step(3)}.0123{TEMPORARY}"])
@pytest.mark.parametrize(("age", "there"), [(601, False), (500, True), (-100, True)])
def test_temporary_files_are_removed_ten_minutes_after_the_last_write(tmp_path, name, age, there):
    left = tmp_path / name
    left.write_bytes(b"half")
    os.utime(left, (0, time.time() - age))
    fit(checkpoint=tmp_path, epochs=0)
    assert left.exists() == there


@pytest.mark.parametrize("name", [".mine.npz.backup", ".bashrc.20240115"])
def test_hidden_files_of_others_are_not(tmp_path, name):
    left = tmp_path / name
    left.write_bytes(b"precious")
    os.utime(left, (0, 0))
    nd.MLP((4, 3)).save(tmp_path / "net.npz")
    assert left.exists()


# Two writers


def check_state(path):
    settings, arrays = read(path)
    number = settings["writer"]
    assert sorted(arrays) == ["a", "b"]
    for array in arrays.values():
        assert array.shape == (10_000 * number,) and (array == number).all()
    return number


def test_two_processes_on_one_path_never_make_a_mixed_file(tmp_path):
    context = multiprocessing.get_context("spawn")
    path = tmp_path / "run.npz"
    write_states(path, 1, 1)
    writers = [context.Process(target=write_states, args=(path, k, 60)) for k in (1, 2)]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        seen.add(check_state(path))
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert seen | {check_state(path)} == {1, 2}
    assert names(tmp_path) == ["run.npz"]


def test_nor_do_two_threads(tmp_path):
    path = tmp_path / "run.npz"
    write_states(path, 1, 1)
    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(write_states, path, number, 40) for number in (1, 2)]
        while not all(writer.done() for writer in writers):
            check_state(path)
    for writer in writers:
        writer.result()
    assert names(tmp_path) == ["run.npz"]


def test_two_trainings_in_one_folder_leave_good_files(tmp_path, whole):
    """No one should, but a job that is started twice does."""
    with ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(fit, checkpoint=nd.Checkpoints(tmp_path, minutes=0, keep=100), resume=True)
            for _ in range(2)
        ]
    for job in jobs:
        assert end(*job.result()) == whole
    for name in names(tmp_path):
        nd.MLP.load(tmp_path / name)
    assert end(*fit(checkpoint=tmp_path, resume=True)) == whole
