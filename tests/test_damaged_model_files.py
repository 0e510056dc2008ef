"""Files that are not the saved network they should be: each is refused, none costs memory."""

from __future__ import annotations

import io
import json
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

import numadelta as nd
from numadelta.checkpoint import CheckpointError
from saved_network import SETTINGS, make_net


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
    path,
    settings=(),
    drop=(),
    theta=None,
    members=(),
    compression=zipfile.ZIP_STORED,
    parts=(),
    **header,
):
    """Write a saved network anew with other settings, header entries, theta or raw members."""
    with np.load(path) as file:
        arrays, found = dict(file), json.loads(str(file["header"]))
    found |= header
    network = found["settings"]["network"]
    network |= settings
    found["settings"] |= parts
    for name in drop:
        for level in (found, found["settings"], network):
            level.pop(name, None)
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
    "an unknown setting": ({"settings": {"momentum": 0.5}}, "corrupt: .*momentum"),
    "no settings": ({"drop": ["settings"]}, "corrupt"),
    "no network": ({"drop": ["network"]}, "corrupt"),
    "no notes": ({"drop": ["notes"]}, "corrupt"),
    "a network that is a list": ({"parts": {"network": []}}, "corrupt"),
    "a network that is a number": ({"parts": {"network": 5}}, "corrupt"),
    "a network of nothing": ({"parts": {"network": None}}, "corrupt"),
    "notes that are a number": ({"parts": {"notes": 5}}, "corrupt"),
    "notes that are a list": ({"parts": {"notes": ["a"]}}, "corrupt"),
    "a bad rate": ({"settings": {"dropout": 1.0}}, r"corrupt: dropout must be in \[0, 1\)"),
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


def test_a_file_of_plain_weights_is_told_from_a_damaged_one(path):
    nd.exchange.to_npz(nd.MLP((2, 3)), path)
    with pytest.raises(CheckpointError, match="holds plain weights, which exchange.from_npz reads"):
        nd.MLP.load(path)


def test_an_empty_archive_is_refused(path):
    zipfile.ZipFile(path, "w").close()
    with pytest.raises(CheckpointError, match=r"corrupt .*header\.npy"):
        nd.MLP.load(path)


def test_a_directory_that_declares_huge_members_allocates_nothing(path):
    content = bytearray(path.read_bytes())
    entry = content.index(b"PK\1\2")
    content[entry + 20 : entry + 28] = struct.pack("<2I", 2**32 - 2, 2**32 - 2)
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match="corrupt"):
            nd.MLP.load(path)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


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
                assert loaded.get_config() == net.get_config(), position
            file.seek(position)
            file.write(bytes([byte]))


def test_a_checkpoint_error_is_a_value_error():
    assert issubclass(CheckpointError, ValueError)
