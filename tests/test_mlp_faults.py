"""Bad data at the door of the network, and odd data that must pass it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import mlp_reference
import numadelta as nd
from mlp_reference import problem

SIZES = (3, 5, 2)
ROWS = 6
X, LABELS = problem("cross_entropy", ROWS, 3, 2)
TARGETS = problem("squared_error", ROWS, 3, 2)[1]
SHARES = problem("binary_cross_entropy", ROWS, 3, 2)[1]
Y = {"cross_entropy": LABELS, "binary_cross_entropy": SHARES, "squared_error": TARGETS}

every_loss = pytest.mark.parametrize("loss", mlp_reference.LOSSES)


def fit(net, X, y, **options):
    return net.fit(X, y, **{"epochs": 1, "batch_size": 4, "verbose": 0} | options)


def parametrized(names, cases):
    return pytest.mark.parametrize(names, cases.values(), ids=cases)


def with_entry(array, index, value):
    array = array.copy()
    array[index] = value
    return array


# Samples

BAD_SAMPLES = {
    "NaN": (with_entry(X, (4, 1), np.nan), ValueError, r"X must be finite .*X\[4, 1\] is nan"),
    "infinity": (with_entry(X, (0, 2), -np.inf), ValueError, r"X\[0, 2\] is -inf"),
    "beyond float32": (with_entry(X, (1, 0), 1e300), ValueError, r"float32.*\[1, 0\] is 1e\+300"),
    "object": (X.astype(object), TypeError, "X has dtype object, but float32, float64 or"),
    "complex": (X + 0j, TypeError, "X has dtype complex128"),
    "float16": (X.astype(np.float16), TypeError, "X has dtype float16"),
    "longdouble": (X.astype(np.longdouble), TypeError, "X has dtype (float128|longdouble)"),
    "bool": (X > 0, TypeError, r"X has dtype bool, .*; X\.astype\(np\.float"),
    "strings": (X.astype(str), TypeError, "X has dtype <U"),
    "dates": (X.astype("M8[s]"), TypeError, "X has dtype datetime64"),
    "masked": (np.ma.array(X, mask=X > 0), TypeError, r"X is a masked array; .*X\.filled"),
    "None": (None, TypeError, "X has dtype object"),
    "one sample, flat": (X[0], ValueError, r"shape \(3,\), .* X\.reshape\(1, -1\) makes one"),
    "images": (X[:, :, np.newaxis], ValueError, r"shape \(6, 3, 1\).*reshape\(len\(X\), -1\)"),
    "a number": (1.0, ValueError, r"X has shape \(\)"),
    "too few features": (X[:, :2], ValueError, "X has 2 features, but the network has 3 inputs"),
    "too many features": (np.hstack([X, X]), ValueError, "X has 6 features, .* has 3 inputs"),
    "no features": (X[:, :0], ValueError, "X has 0 features, but the network has 3 inputs"),
    "no samples": (X[:0], ValueError, "X has no samples, but at least 1 sample is needed"),
    "ragged rows": ([[1.0, 2.0, 3.0], [1.0]], ValueError, "X cannot be made an array: .*inhomogen"),
}  # fmt: skip


@pytest.mark.parametrize(
    "call",
    [
        lambda net, X: net.predict(X),
        lambda net, X: net.predict_proba(X),
        lambda net, X: net.evaluate(X, LABELS),
        lambda net, X: net.loss_and_grad(net.theta, X, LABELS),
        lambda net, X: fit(net, X, LABELS),
    ],
    ids=["predict", "predict_proba", "evaluate", "loss_and_grad", "fit"],
)
@parametrized(("bad", "error", "message"), BAD_SAMPLES)
def test_samples_that_are_refused(bad, error, message, call):
    net = nd.MLP(SIZES)
    before = net.theta.copy()
    with pytest.raises(error, match=message):
        call(net, bad)
    np.testing.assert_array_equal(net.theta, before)
    assert net.optimizer is None


def test_what_float32_cannot_hold_float64_can():
    net = nd.MLP(SIZES, loss="squared_error", dtype=np.float64)
    assert np.isfinite(net.predict(with_entry(X, (1, 0), 1e300))).all()


# Targets

BAD_LABELS = {
    "a column": (LABELS[:, np.newaxis], ValueError, r"shape \(6, 1\).*\(6,\); try y\.ravel\(\)"),
    "one-hot": (np.eye(2)[LABELS].astype(int), ValueError, r"shape \(6, 2\).*y\.argmax\(axis=1\)"),
    "one-hot floats": (np.eye(2)[LABELS], ValueError, r"shape \(6, 2\).*y\.argmax\(axis=1\)"),
    "strings": (LABELS.astype("U1"), TypeError, "dtype <U1, but class numbers from 0 to 1"),
    "objects": (LABELS.astype(object), TypeError, r"dtype object.*np\.unique\(y, return_inverse"),
    "float": (LABELS.astype(float), TypeError, "y has dtype float64, but class numbers"),
    "a missing one": (
        with_entry(LABELS.astype(float), 2, np.nan), ValueError, r"finite, but y\[2\] is nan"
    ),
    "negative": (with_entry(LABELS, 2, -1), ValueError, r"y\[2\] is -1, .* classes 0 to 1"),
    "too large": (with_entry(LABELS, 3, 2), ValueError, r"y\[3\] is 2, .* classes 0 to 1"),
    "beyond int64": (with_entry(LABELS.astype(np.uint64), 3, 2**63), ValueError, f"is {2**63}, "),
    "too few": (LABELS[:5], ValueError, r"y has shape \(5,\), but X has 6 samples"),
    "a row": (LABELS[np.newaxis], ValueError, r"y has shape \(1, 6\), but X has 6 samples"),
    "a number": (1, ValueError, r"y has shape \(\), but X has 6 samples"),
    "None": (None, ValueError, r"y has shape \(\), but X has 6 samples"),
    "sparse": (sparse.csr_array(np.eye(6)), TypeError, "y is sparse"),
    "masked": (np.ma.array(LABELS), TypeError, "y is a masked array"),
}  # fmt: skip

BAD_TARGETS = {
    "too few outputs": (TARGETS[:, :1], ValueError, r"shape \(6, 1\), .* has 2 outputs: \(6, 2\)"),
    "flat": (TARGETS[:, 0], ValueError, r"y has shape \(6,\), .* has 2 outputs: \(6, 2\)"),
    "three dimensions": (TARGETS[:, :, np.newaxis], ValueError, r"y has shape \(6, 2, 1\)"),
    "too few": (TARGETS[:5], ValueError, r"y has shape \(5, 2\), but X has 6 samples"),
    "strings": (TARGETS.astype(str), TypeError, "y has dtype <U.*, but real numbers are needed"),
    "objects": (TARGETS.astype(object), TypeError, "y has dtype object"),
    "complex": (TARGETS + 0j, TypeError, "y has dtype complex128"),
    "NaN": (with_entry(TARGETS, (4, 1), np.nan), ValueError, r"must be finite .*y\[4, 1\] is nan"),
    "beyond float32": (with_entry(TARGETS, (0, 1), 1e300), ValueError, r"y\[0, 1\] is 1e\+300"),
    "sparse": (sparse.csr_matrix(TARGETS), TypeError, "y is sparse"),
    "masked": (np.ma.array(TARGETS), TypeError, "y is a masked array"),
    "ragged rows": ([[1.0], [1.0, 2.0]], ValueError, "y cannot be made an array"),
}  # fmt: skip


def assert_refused(net, y, error, message):
    before = net.theta.copy()
    for call in (
        lambda: net.evaluate(X, y),
        lambda: net.loss_and_grad(net.theta, X, y),
        lambda: fit(net, X, y),
    ):
        with pytest.raises(error, match=message):
            call()
    with pytest.raises(error, match=f"validation_data: .*{message}"):
        fit(net, X, Y[net.loss], validation_data=(X, y))
    np.testing.assert_array_equal(net.theta, before)


@parametrized(("bad", "error", "message"), BAD_LABELS)
def test_class_numbers_that_are_refused(bad, error, message):
    assert_refused(nd.MLP(SIZES), bad, error, message)


@pytest.mark.parametrize("loss", ["squared_error", "binary_cross_entropy"])
@parametrized(("bad", "error", "message"), BAD_TARGETS)
def test_targets_that_are_refused(bad, error, message, loss):
    assert_refused(nd.MLP(SIZES, loss=loss), bad, error, message)


@pytest.mark.parametrize("value", [-0.5, 1.5])
def test_targets_beyond_zero_and_one_are_refused_for_binary_cross_entropy(value):
    net = nd.MLP(SIZES, loss="binary_cross_entropy")
    message = rf"y must be from 0 to 1 for binary_cross_entropy, but reaches .*{value}"
    assert_refused(net, with_entry(SHARES, (1, 1), value), ValueError, message)


def test_the_index_of_a_bad_target_is_the_one_in_the_array_given():
    net = nd.MLP((3, 1), loss="squared_error")
    with pytest.raises(ValueError, match=r"y\[4\] is nan"):
        fit(net, X, with_entry(TARGETS[:, 0], 4, np.nan))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint64, bool])
def test_class_numbers_of_any_integer_dtype_are_taken(dtype):
    net = nd.MLP(SIZES)
    assert net.evaluate(X, LABELS.astype(dtype)) == net.evaluate(X, LABELS)


def test_a_class_that_is_missing_from_the_data_is_no_fault():
    net = nd.MLP((3, 5, 4))
    assert np.isfinite(fit(net, X, np.full(ROWS, 2))["loss"]).all()
    assert (net.predict(X) < 4).all()


# Odd data that must pass, unchanged and with the same result


def read_only(array, tmp_path):
    array = array.copy()
    array.flags.writeable = False
    return array


def memory_mapped(array, tmp_path):
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}.npy"
    np.save(path, array)
    return np.load(path, mmap_mode="r")


def unaligned(array, tmp_path):
    raw = np.zeros(array.nbytes + 1, np.uint8)
    raw[1:] = np.frombuffer(array.tobytes(), np.uint8)
    return raw[1:].view(array.dtype).reshape(array.shape)


LAYOUTS = {
    "read-only": read_only,
    "memory-mapped": memory_mapped,
    "F-ordered": lambda array, tmp_path: np.asfortranarray(array),
    "strided": lambda array, tmp_path: np.repeat(array, 2, axis=0)[::2],
    "reversed": lambda array, tmp_path: array[::-1].copy()[::-1],
    "unaligned": unaligned,
    "big-endian": lambda array, tmp_path: array.astype(array.dtype.newbyteorder(">")),
    "list": lambda array, tmp_path: array.tolist(),
    "matrix": lambda array, tmp_path: np.asmatrix(array) if array.ndim == 2 else array,
}


def content(data):
    return data.tobytes("A") if isinstance(data, np.ndarray) else repr(data)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@every_loss
@parametrized("layout", LAYOUTS)
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_any_layout_gives_the_same_bits_and_is_not_written_to(layout, loss, dtype, tmp_path):
    samples, y = X.astype(dtype), Y[loss]
    y = y if loss == "cross_entropy" else y.astype(dtype)
    odd_samples, odd_y = layout(samples, tmp_path), layout(y, tmp_path)
    before = content(odd_samples), content(odd_y)
    nets = [nd.MLP(SIZES, loss=loss, dtype=dtype) for _ in range(2)]
    results = []
    for net, data in zip(nets, ((samples, y), (odd_samples, odd_y)), strict=True):
        fit(net, *data, validation_data=data)
        value, grad = net.loss_and_grad(net.theta, *data)
        results.append((net.theta, net.predict(data[0]), net.evaluate(*data), value, grad))
    for plain, odd in zip(*results, strict=True):
        np.testing.assert_array_equal(odd, plain)
    assert (content(odd_samples), content(odd_y)) == before


@every_loss
def test_one_sample_is_enough(loss):
    net = nd.MLP(SIZES, loss=loss)
    assert np.isfinite(fit(net, X[:1], Y[loss][:1], batch_size=1, epochs=3)["loss"]).all()
    assert np.isfinite(net.evaluate(X[:1], Y[loss][:1])).all()


@every_loss
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constant_and_huge_features_give_finite_losses(loss, dtype):
    net = nd.MLP(SIZES, loss=loss, dtype=dtype)
    odd = X * [1, 1e8, 0] + [0, 0, 5]
    history = fit(net, odd, Y[loss], epochs=3, validation_data=(odd, Y[loss]))
    assert np.isfinite([history["loss"], history["val_loss"], history["val_score"]]).all()
    assert np.isfinite(net.theta).all()


def test_integer_pixels_are_taken_as_they_are():
    pixels = np.arange(18, dtype=np.uint8).reshape(6, 3)
    net = nd.MLP(SIZES)
    np.testing.assert_array_equal(net.predict(pixels), net.predict(pixels.astype(float)))


def test_the_checks_do_not_need_assert(python):
    script = """
        import numpy as np
        import numadelta as nd

        net = nd.MLP((3, 2))
        for X, y in [(np.ones((2, 4)), [0, 1]), (np.ones((2, 3)), [0, 2]), (np.ones((2, 3)), [0])]:
            try:
                net.fit(X, y, verbose=0)
            except ValueError as error:
                print(error)
        """
    assert len(python(script, "-O").splitlines()) == 3


@pytest.mark.parametrize(
    ("labels", "error", "remedy"),
    [
        (1 + np.arange(len(LABELS)) % 2, ValueError, "y - 1 begins at 0"),
        (LABELS.astype(float), TypeError, r"y.astype\(int\) makes integers"),
        (LABELS.astype("U1"), TypeError, r"np.unique\(y, return_inverse=True\)\[1\] numbers other"),
    ],
)
def test_labels_that_are_nearly_right_are_told_the_remedy(labels, error, remedy):
    with pytest.raises(error, match=remedy):
        nd.MLP((X.shape[1], 2)).fit(X, labels, verbose=0)
