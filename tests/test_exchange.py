"""Weights to and from other libraries."""

from __future__ import annotations

import errno
import gc
import io
import os
import warnings
import zipfile

import numpy as np
import pytest

import numadelta as nd
from mlp_reference import problem, randomize
from numadelta.exchange import from_layers, from_npz, to_layers, to_npz

every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
every_shape = pytest.mark.parametrize("sizes", [(3, 2), (3, 5, 2), (4, 4, 4), (2, 7, 1, 3)])
either_way = pytest.mark.parametrize("transposed", [False, True])

OPTIONS = {"activation": "tanh", "loss": "squared_error", "weight_decay": 0.25, "dropout": 0.5}


def make_net(sizes=(3, 5, 2), dtype=np.float64, **changes):
    return randomize(nd.MLP(sizes, dtype=dtype, **OPTIONS | changes))


def turned(layers):
    return [(W.T, b) for W, b in layers]


def assert_same(net, other):
    assert net.layer_sizes == other.layer_sizes
    assert net.theta.tobytes() == other.theta.tobytes()
    for name in OPTIONS:
        assert getattr(net, name) == getattr(other, name)


# Lists


@every_shape
def test_layers_are_the_weights_and_biases_from_the_first_to_the_last(sizes):
    net = make_net(sizes)
    layers = to_layers(net)
    assert len(layers) == len(sizes) - 1
    for (W, b), weights, bias in zip(layers, net.weights, net.biases, strict=True):
        np.testing.assert_array_equal(W, weights)
        np.testing.assert_array_equal(b, bias)
        assert W.flags.carray


@every_dtype
@every_shape
@either_way
def test_a_network_comes_back_from_its_layers(sizes, dtype, transposed):
    net = make_net(sizes, dtype)
    layers = to_layers(net)
    again = from_layers(turned(layers) if transposed else layers, transposed=transposed, **OPTIONS)
    assert_same(net, again)
    assert again.dtype == dtype
    X, y = problem("squared_error", 6, sizes[0], sizes[-1])
    np.testing.assert_array_equal(again.predict(X), net.predict(X))
    again.fit(X, y, epochs=1, batch_size=3, verbose=0)


def test_the_arrays_are_copies_both_ways():
    net = make_net()
    layers = to_layers(net)
    other = from_layers(layers)
    before = net.theta.copy()
    for W, b in layers:
        assert not np.shares_memory(W, net.theta) and not np.shares_memory(b, net.theta)
        assert not np.shares_memory(W, other.theta) and not np.shares_memory(b, other.theta)
        W += 1
        b += 1
    np.testing.assert_array_equal(net.theta, before)
    np.testing.assert_array_equal(other.theta, before)


def test_arrays_that_are_given_are_not_written():
    layers = to_layers(make_net())
    for W, b in layers:
        W.flags.writeable = b.flags.writeable = False
    from_layers(layers).theta[:] = 0


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        (np.float64, np.float64),
        (np.float32, np.float32),
        (np.float16, np.float32),
        (np.int64, np.float32),
        pytest.param(">f8", np.float64),
    ],
)
def test_the_dtype_is_that_of_the_first_weights_or_float32(given, dtype):
    layers = [(np.ones((3, 2), given), np.zeros(2))]
    assert from_layers(layers).dtype == dtype
    assert from_layers(layers, dtype=np.float64).dtype == np.float64
    assert from_layers(layers, dtype="float32").dtype == np.float32


def test_lists_of_numbers_and_iterators_will_do():
    layers = [([[1.0, 2.0], [3.0, 4.0]], [5.0, 6.0])]
    for given in (layers, iter(layers), [list(layers[0])], tuple(layers)):
        np.testing.assert_array_equal(from_layers(given).theta, [1, 2, 3, 4, 5, 6])


def test_the_options_are_those_of_the_network():
    net = from_layers(to_layers(make_net()), seed=3, **OPTIONS)
    assert (net.seed, net.activation, net.loss, net.dropout) == (3, "tanh", "squared_error", 0.5)
    with pytest.raises(TypeError, match="momentum"):
        from_layers(to_layers(make_net()), momentum=0.9)
    with pytest.raises(ValueError, match="activation must be one of"):
        from_layers(to_layers(make_net()), activation="swish")


W, B = np.ones((3, 2)), np.zeros(2)

BAD_LAYERS = {
    "none": ([], ValueError, "layers is empty, but at least one pair"),
    "a matrix": ([W], TypeError, r"layers\[0\] must be a pair \(W, b\), but is a ndarray"),
    "no bias": ([(W,)], TypeError, r"layers\[0\] must be a pair \(W, b\), but is a tuple"),
    "three parts": ([(W, B, B)], TypeError, r"layers\[0\] must be a pair"),
    "a network": (None, TypeError, "not iterable"),
    "a flat matrix": ([(B, B)], ValueError, r"layers\[0\] has shapes \(2,\) and \(2,\), but a mat"),
    "a bias of two dimensions": ([(W, B[np.newaxis])], ValueError, r"shapes \(3, 2\) and \(1, 2\)"),
    "a missing bias": ([(W, None)], TypeError, r"layers\[0\]\[1\] has dtype object"),
    "a longer bias": (
        [(W, np.zeros(4))],
        ValueError,
        r"the weights of layers\[0\] are \(3, 2\) \(inputs, outputs\), but \(3, 4\) fit the bias",
    ),
    "layers that do not fit": (
        [(W, B), (W, B)],
        ValueError,
        r"the weights of layers\[1\] are \(3, 2\) .*, but \(2, 2\) fit .*; transposed= turns",
    ),
    "the other way": ([(W.T, B)], ValueError, "transposed= turns them over"),
    "NaN": ([(W * np.nan, B)], ValueError, r"theta must be finite, but theta\[0\] is nan"),
    "infinity": ([(W, B + np.inf)], ValueError, r"theta must be finite, but theta\[6\] is inf"),
    "complex": ([(W + 0j, B)], TypeError, "complex128"),
    "strings": ([(W.astype(str), B)], TypeError, r"layers\[0\]\[0\] has dtype <U.*, but real"),
    "a layer without weights": ([[]], TypeError, r"layers\[0\] .* list of 0; leave layers with"),
    "a ragged list": (
        [([[1, 2], [3]], B)],
        ValueError,
        r"\[0\]\[0\] cannot be made an array",
    ),
    "masked": ([(np.ma.masked_array(W), B)], TypeError, r"layers\[0\]\[0\] is a masked array"),
    "objects": ([(W.astype(object), B)], TypeError, "object"),
    "no inputs": ([(W[:0], B)], ValueError, "at least two positive numbers"),
    "one class": ([(W[:, :1], B[:1])], ValueError, "at least two outputs"),
}


@pytest.mark.parametrize(("layers", "error", "message"), BAD_LAYERS.values(), ids=BAD_LAYERS)
def test_layers_that_are_refused(layers, error, message):
    with pytest.raises(error, match=message):
        from_layers(layers)


# Files


@every_dtype
@every_shape
def test_a_network_comes_back_from_its_file(tmp_path, sizes, dtype):
    net = make_net(sizes, dtype)
    to_npz(net, tmp_path / "net.npz")
    again = from_npz(tmp_path / "net.npz", **OPTIONS)
    assert_same(net, again)
    assert again.dtype == dtype


def test_a_file_that_cannot_be_written_leaves_the_earlier_one(tmp_path, monkeypatch):
    path = tmp_path / "net.npz"
    to_npz(make_net(), path)
    before = path.read_bytes()

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: .*net\.npz"):
        to_npz(make_net([2, 3]), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_more_than_ten_layers_keep_their_order(tmp_path):
    net = make_net(range(2, 15))
    to_npz(net, tmp_path / "net.npz")
    assert_same(net, from_npz(str(tmp_path / "net.npz"), **OPTIONS))


def test_the_file_is_plain_numpy_for_others_to_read(tmp_path):
    net = make_net()
    to_npz(net, str(tmp_path / "net.npz"))
    with np.load(tmp_path / "net.npz", allow_pickle=False) as file:
        assert set(file) == {"W0", "b0", "W1", "b1"}
        for k, (W, b) in enumerate(to_layers(net)):
            np.testing.assert_array_equal(file[f"W{k}"], W)
            np.testing.assert_array_equal(file[f"b{k}"], b)
    assert [path.name for path in tmp_path.iterdir()] == ["net.npz"]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_files_of_others_with_the_same_names_will_do(tmp_path, save):
    net = make_net()
    (W0, b0), (W1, b1) = to_layers(net)
    save(tmp_path / "net.npz", b1=b1, W1=W1.T, b0=b0, W0=W0.T)
    assert_same(net, from_npz(tmp_path / "net.npz", transposed=True, **OPTIONS))


@pytest.mark.parametrize("name", ["net", "net.np", "net.npz.tmp", "net.pt"])
def test_a_file_of_another_name_is_not_written(tmp_path, name):
    # np.savez would add the ending.
    with pytest.raises(ValueError, match=f"path must end in .npz, but is .*{name}"):
        to_npz(make_net(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_folders_that_are_missing_are_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        to_npz(make_net(), tmp_path / "nowhere" / "net.npz")
    with pytest.raises(FileNotFoundError, match=r"absent\.npz"):
        from_npz(tmp_path / "absent.npz")
    with pytest.raises(OSError):
        from_npz(tmp_path)


def npz(**members):
    file = io.BytesIO()
    np.savez(file, **members)
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def archive(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as written:
        for name, content in members.items():
            written.writestr(name.replace("_", "."), content)
    return file.getvalue()


GOOD = npz(W0=W, b0=B)

BAD_FILES = {
    "nothing in it": (npz(), "must hold the arrays W0, b0, .*, but holds none"),
    "a saved network": (npz(header=W, theta=B), "holds header, theta; MLP.load reads"),
    "other names": (npz(weights=W, bias=B), "must hold the arrays .*, but holds bias, weights"),
    "no bias": (npz(W0=W), "but holds W0"),
    "a layer left out": (npz(W0=W, b0=B, W2=W, b2=B), "but holds W0, W2, b0, b2"),
    "an array too many": (npz(W0=W, b0=B, extra=B), "but holds W0, b0, extra"),
    "two arrays too many": (npz(W0=W, b0=B, c=B, d=B), "but holds W0, b0, c, d"),
    "shapes that do not fit": (npz(W0=W.T, b0=B), r"weights of layers\[0\] are \(2, 3\)"),
    "NaN": (npz(W0=W * np.nan, b0=B), "theta must be finite"),
    "an empty file": (b"", "no .npz file of plain arrays"),
    "two bytes": (b"PK", "no .npz file of plain arrays"),
    "half a file": (GOOD[: len(GOOD) // 2], "no .npz file of plain arrays"),
    "a flipped bit": (GOOD.replace(npy(W)[-8:], npy(W)[-8:-1] + b"\0", 1), "no .npz file of plain"),
    "one array": (npy(W), "no .npz file of plain arrays"),
    "HTML": (b"<!DOCTYPE html>" * 99, "no .npz file of plain arrays"),
    "a pickle": (b"\x80\x04.", "no .npz file of plain arrays"),
    "pickled arrays": (npz(W0=W, b0=np.array([{}, None])), "no .npz file of plain arrays"),
    "no arrays": (archive(W0=b"text", b0=b"text"), "no .npz file of plain arrays: W0 is no array"),
    "text in place of arrays": (
        archive(W0_npy=b"text", b0_npy=npy(B)),
        "no .npz file of plain arrays",
    ),
}


@pytest.mark.parametrize(("content", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_files_that_are_refused(tmp_path, content, message):
    (tmp_path / "net.npz").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        from_npz(tmp_path / "net.npz")


def test_a_file_that_is_refused_is_closed(tmp_path):
    (tmp_path / "net.npz").write_bytes(GOOD[: len(GOOD) // 2])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(ValueError):
            from_npz(tmp_path / "net.npz")
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_every_truncated_file_is_refused(tmp_path, save):
    path = tmp_path / "net.npz"
    save(path, W0=W, b0=B)
    content = path.read_bytes()
    for length in range(0, len(content), 11):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError):
            from_npz(path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_flipped_bit_is_refused_or_changes_nothing(tmp_path, save):
    path = tmp_path / "net.npz"
    save(path, W0=W, b0=B)
    content, theta = path.read_bytes(), from_npz(path).theta
    others = {}
    for position in range(0, len(content), 3):
        byte = content[position]
        damaged = bytearray(content)
        damaged[position] = byte ^ 1 << position % 8
        path.write_bytes(damaged)
        try:
            np.testing.assert_array_equal(from_npz(path).theta, theta)
        except (ValueError, TypeError):
            pass
        except Exception as error:
            others[position] = repr(error)
    assert others == {}


# PyTorch


@every_dtype
def test_a_network_of_pytorch_comes_in_and_gives_the_same_outputs(dtype):
    torch = pytest.importorskip("torch")
    kind = {np.float32: torch.float32, np.float64: torch.float64}[dtype]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = torch.nn.Sequential(
            torch.nn.Linear(4, 6, dtype=kind),
            torch.nn.Tanh(),
            torch.nn.Linear(6, 5, dtype=kind),
            torch.nn.Tanh(),
            torch.nn.Linear(5, 3, dtype=kind),
        )
    linear = [layer for layer in module if isinstance(layer, torch.nn.Linear)]
    layers = [(layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in linear]
    net = from_layers(layers, transposed=True, activation="tanh", loss="squared_error")
    assert net.dtype == dtype
    X = problem("squared_error", 7, 4, 3)[0].astype(dtype)
    with torch.no_grad():
        expected = module(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(net.predict(X), expected, rtol=1e-5, atol=1e-6)
    net.theta[:] = 0
    assert all(layer.weight.any() for layer in linear)


def test_a_network_goes_to_pytorch():
    torch = pytest.importorskip("torch")
    net = make_net()
    modules = []
    for W, b in to_layers(net):
        layer = torch.nn.Linear(*W.shape, dtype=torch.float64)
        with torch.no_grad():
            layer.weight[:] = torch.from_numpy(W.T)
            layer.bias[:] = torch.from_numpy(b)
        modules += [layer, torch.nn.Tanh()]
    X, _ = problem("squared_error", 7, 3, 2)
    with torch.no_grad():
        found = torch.nn.Sequential(*modules[:-1])(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(found, net.predict(X), rtol=1e-12)
