"""Sparse samples: the same results as dense ones, and no index that leads out of an array."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import mlp_reference
import numadelta as nd
from mlp_reference import problem, randomize, same_bits
from numadelta import evaluation, products

every_loss = pytest.mark.parametrize("loss", mlp_reference.LOSSES)
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])

FORMATS = {
    **{f"{name} array": getattr(sparse, f"{name}_array") for name in ("csr", "csc", "coo")},
    **{f"{name} matrix": getattr(sparse, f"{name}_matrix") for name in ("csr", "csc", "coo")},
    "lil array": sparse.lil_array,
    "bsr array": sparse.bsr_array,
}
every_format = pytest.mark.parametrize("convert", FORMATS.values(), ids=FORMATS)

SIZES = (5, 6, 3)
ROWS = 11  # in batches of 4: three an epoch


def thinned(X):
    """Return samples most of which is zero: a row and a column of nothing, too."""
    X = np.where(np.random.default_rng(5).random(X.shape) < 0.4, X, 0)
    X[3] = 0
    X[:, 2] = 0
    return X


def net_and_data(loss="cross_entropy", dtype=np.float64, **options):
    net = nd.MLP(SIZES, loss=loss, dtype=dtype, **{"activation": "tanh"} | options)
    X, y = problem(loss, ROWS, SIZES[0], SIZES[-1])
    return net, thinned(X), y


def fit(net, X, y, epochs=2, batch_size=4, **options):
    return net.fit(X, y, epochs=epochs, batch_size=batch_size, verbose=0, **options)


def assert_same_results(net, twin, sparse_data, dense_data, tolerance=1e-10):
    """Train both and assert that all they say of the data is the same, to rounding."""

    def close(found, expected):
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)

    history = fit(net, *sparse_data, validation_data=sparse_data)
    expected = fit(twin, *dense_data, validation_data=dense_data)
    for name in history.history.keys() - {"seconds"}:
        close(history[name], expected[name])
    close(net.theta, twin.theta)
    twin.theta = net.theta
    close(net.predict(sparse_data[0]), twin.predict(dense_data[0]))
    close(net.evaluate(*sparse_data), twin.evaluate(*dense_data))
    if net.loss != "squared_error":
        close(net.predict_proba(sparse_data[0]), twin.predict_proba(dense_data[0]))
    for one, other in zip(
        net.loss_and_grad(net.theta, *sparse_data),
        twin.loss_and_grad(net.theta, *dense_data),
        strict=True,
    ):
        close(one, other)


# The same results


@every_format
@every_loss
def test_all_formats_give_the_results_of_dense_samples(loss, convert):
    net, X, y = net_and_data(loss, weight_decay=0.01)
    twin, _, _ = net_and_data(loss, weight_decay=0.01)
    assert_same_results(net, twin, (convert(X), y), (X, y))


@every_loss
def test_loss_and_gradient_equal_the_slow_reference(loss):
    net, X, y = net_and_data(loss)
    randomize(net)
    expected = mlp_reference.loss_and_grad(net.theta, SIZES, X, y, "tanh", loss)
    value, grad = net.loss_and_grad(net.theta, sparse.csr_array(X), y)
    assert value == pytest.approx(expected[0], rel=1e-12)
    np.testing.assert_allclose(grad, expected[1], rtol=1e-10, atol=1e-14)


@every_dtype
@pytest.mark.parametrize("data_dtype", [np.float32, np.float64, np.int64, np.uint8, ">f8"])
def test_numbers_of_any_dtype_become_those_of_the_network(dtype, data_dtype):
    net, X, y = net_and_data("squared_error", dtype=dtype)
    twin, _, _ = net_and_data("squared_error", dtype=dtype)
    X = np.abs(np.round(4 * X)).astype(data_dtype)
    native = X.astype(np.dtype(data_dtype).newbyteorder("="))
    matrix = sparse.csr_array(native)
    matrix.data = matrix.data.astype(data_dtype)
    tolerance = 1e-5 if dtype is np.float32 else 1e-10
    assert_same_results(net, twin, (matrix, y), (native, y), tolerance)
    assert net.predict(matrix).dtype == dtype


def test_a_network_without_hidden_layers_takes_them():
    X, y = problem("cross_entropy", ROWS, 5, 3)
    X = thinned(X)
    nets = [nd.MLP((5, 3), dtype=np.float64) for _ in range(2)]
    assert_same_results(*nets, (sparse.csr_array(X), y), (X, y))


def test_weights_of_samples_and_clipping_go_with_them():
    net, X, y = net_and_data()
    twin, _, _ = net_and_data()
    options = {"sample_weight": np.arange(ROWS), "global_clipnorm": 0.1}
    fit(net, sparse.csr_array(X), y, **options)
    fit(twin, X, y, **options)
    np.testing.assert_allclose(net.theta, twin.theta, rtol=1e-10)


def test_validation_data_may_be_sparse_where_the_samples_are_not_and_the_other_way():
    net, X, y = net_and_data()
    matrix = sparse.csr_array(X)
    for data, validation in [(X, matrix), (matrix, X)]:
        history = fit(net, data, y, 1, validation_data=(validation, y))
        assert history["val_loss"][0] == pytest.approx(net.evaluate(X, y)[0])


def test_more_rows_than_are_evaluated_at_a_time(monkeypatch):
    net, X, y = net_and_data("squared_error")
    outputs, figures = net.predict(X), net.evaluate(X, y)
    for rows in (1, 4, 10, 11):
        monkeypatch.setattr(evaluation, "ROWS", rows)
        np.testing.assert_allclose(net.predict(sparse.csr_array(X)), outputs, rtol=1e-12)
        assert net.evaluate(sparse.csr_array(X), y) == pytest.approx(figures, rel=1e-12)


def test_two_epochs_and_three_are_five_to_the_bit():
    nets = [net_and_data(dropout=0.5, input_dropout=0.5)[0] for _ in range(2)]
    _, X, y = net_and_data()
    X = sparse.csr_array(X)
    fit(nets[0], X, y, 5)
    fit(nets[1], X, y, 2)
    fit(nets[1], X, y, 3)
    same_bits(*nets)


def test_samples_of_nothing_but_zeros():
    net, _, y = net_and_data()
    twin, _, _ = net_and_data()
    empty = sparse.csr_array((ROWS, 5))
    assert_same_results(net, twin, (empty, y), (np.zeros((ROWS, 5)), y))


# The users' matrix


def odd_matrices(X):
    """Return matrices of the same content, stored in ways that are allowed."""
    plain = sparse.csr_array(X)
    wide = plain.copy()
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    half_wide = plain.copy()
    half_wide.indptr = half_wide.indptr.astype(np.int64)
    rows, columns = X.nonzero()
    values = X[rows, columns]
    # Each number as the sum of two, in the order they come.
    twice = sparse.coo_array(
        (
            np.concatenate([values - 1, np.ones(values.size)]),
            (np.tile(rows, 2), np.tile(columns, 2)),
        )
    )
    twice.resize(X.shape)
    order = np.concatenate(
        [
            np.r_[b - 1 : a - 1 : -1] if a else np.r_[:b][::-1]
            for a, b in zip(plain.indptr, plain.indptr[1:], strict=False)
        ]
    )
    backwards = sparse.csr_array((plain.data[order], plain.indices[order], plain.indptr), X.shape)
    backwards.has_sorted_indices = False
    explicit = sparse.csr_array(
        (X.ravel(), np.tile(np.arange(5), len(X)), np.arange(len(X) + 1) * 5), X.shape
    )
    longer = plain.copy()
    longer.data, longer.indices = (
        np.append(longer.data, [7.0, 7.0]),
        np.append(longer.indices, [0, 0]),
    )
    read_only = plain.copy()
    for part in (read_only.data, read_only.indices, read_only.indptr):
        part.flags.writeable = False
    return {
        "int64 indices": wide,
        "int64 indptr": half_wide,
        "duplicates": twice,
        "backwards": backwards,
        "explicit zeros": explicit,
        "spare room": longer,
        "read-only": read_only,
    }


ODD = [
    "int64 indices",
    "int64 indptr",
    "duplicates",
    "backwards",
    "explicit zeros",
    "spare room",
    "read-only",
]


def state(matrix):
    """Return all that a sparse matrix of NumPy arrays consists of."""
    parts = {
        name: (part, part.dtype, part.tobytes())
        for name, part in vars(matrix).items()
        if isinstance(part, np.ndarray)
    }
    rest = {name: part for name, part in vars(matrix).items() if isinstance(part, (bool, int))}
    return parts, rest


def assert_unchanged(matrix, before):
    parts, rest = state(matrix)
    assert rest == before[1]
    assert parts.keys() == before[0].keys()
    for name, (part, dtype, content) in before[0].items():
        assert parts[name][0] is part, name
        assert parts[name][1:] == (dtype, content), name


@pytest.mark.parametrize("how", ODD)
def test_any_legal_storage_gives_the_same_results_and_is_left_alone(how):
    net, X, y = net_and_data()
    twin, _, _ = net_and_data()
    matrix = odd_matrices(X)[how]
    before = state(matrix)
    assert_same_results(net, twin, (matrix, y), (X, y))
    assert_unchanged(matrix, before)


@pytest.mark.parametrize("name", ["csr", "csc", "coo"])
@every_dtype
def test_the_users_matrix_is_not_changed(name, dtype):
    net, X, y = net_and_data(dtype=dtype, input_dropout=0.5)
    matrix = getattr(sparse, f"{name}_array")(X.astype(dtype))
    before = state(matrix)
    for batch_size in (1, 4, ROWS):
        fit(net, matrix, y, batch_size=batch_size, shuffle=False, validation_data=(matrix, y))
    net.predict(matrix), net.evaluate(matrix, y), net.loss_and_grad(net.theta, matrix, y)
    assert_unchanged(matrix, before)


# Matrices that are refused


def changed(**parts):
    """Return a CSR matrix with a part replaced behind SciPy's back."""
    matrix = sparse.csr_array(np.eye(6, 5) + np.eye(6, 5, 1))
    for name, change in parts.items():
        part = getattr(matrix, name).copy()
        setattr(matrix, name, change(part))
    return matrix


def put(index, value):
    def change(part):
        part[index] = value
        return part

    return change


MALFORMED = {
    "a column beyond the last": changed(indices=put(3, 5)),
    "a column far beyond the last": changed(indices=put(3, 2**31 - 1)),
    "a negative column": changed(indices=put(3, -1)),
    "a row that ends before it begins": changed(indptr=put(2, 9)),
    "a row that ends beyond the data": changed(indptr=put(-1, 11)),
    "a first row that does not begin at zero": changed(indptr=put(0, 1)),
    "a first row that begins before zero": changed(indptr=put(0, -2)),
    "a row too few": changed(indptr=lambda part: part[:-1]),
    "a row too many": changed(indptr=lambda part: np.append(part, part[-1])),
    "too few indices": changed(indices=lambda part: part[:-1]),
    "too few numbers": changed(data=lambda part: part[:-1]),
    "long indices that wrap": changed(indices=lambda part: part.astype(np.int64) + 2**32),
}

calls = pytest.mark.parametrize(
    "call",
    [
        lambda net, X: net.predict(X),
        lambda net, X: net.predict_proba(X),
        lambda net, X: net.evaluate(X, np.zeros(6, int)),
        lambda net, X: net.loss_and_grad(net.theta, X, np.zeros(6, int)),
        lambda net, X: fit(net, X, np.zeros(6, int)),
        lambda net, X: fit(net, np.eye(6, 5), np.zeros(6, int), validation_data=(X, [0] * 6)),
    ],
    ids=["predict", "predict_proba", "evaluate", "loss_and_grad", "fit", "validation"],
)


@pytest.fixture
def no_kernels(monkeypatch):
    """Let none of the loops that trust the indices run."""

    def run(*arguments):
        raise AssertionError("a kernel ran")

    for name in ("csr_product", "csr_transposed_product"):
        monkeypatch.setattr(products, name, run)


@calls
@pytest.mark.parametrize("matrix", MALFORMED.values(), ids=MALFORMED)
def test_indices_that_lead_out_of_the_arrays_are_refused_before_they_are_followed(
    matrix, call, no_kernels
):
    net = nd.MLP(SIZES, dtype=np.float64)
    theta = net.theta.copy()
    with pytest.raises(ValueError):
        call(net, matrix)
    np.testing.assert_array_equal(net.theta, theta)
    assert net.optimizer is None


@pytest.mark.parametrize("kind", ["csc", "coo"])
def test_so_they_are_in_the_other_formats(kind, python):
    script = f"""
        import numpy as np
        from scipy import sparse
        import numadelta as nd

        matrix = sparse.{kind}_array(np.eye(6, 5))
        rows = matrix.indices if "{kind}" == "csc" else matrix.coords[0]
        rows[2] = 10**8
        try:
            nd.MLP((5, 3)).predict(matrix)
        except ValueError:
            print("refused")
        """
    assert python(script) == "refused"


BAD_NUMBERS = {
    "NaN": (put(3, np.nan), np.float64, ValueError, r"X\.data must be finite .*data\[3\] is nan"),
    "infinity": (put(0, -np.inf), np.float64, ValueError, r"X\.data\[0\] is -inf"),
    "beyond float32": (put(1, 1e300), np.float32, ValueError, r"float32.*X\.data\[1\] is 1e\+300"),
    "complex": (lambda part: part + 0j, np.float64, TypeError, "X has dtype complex128"),
    "objects": (lambda part: part.astype(object), np.float64, TypeError, "X has dtype object"),
    "bool": (lambda part: part > 0, np.float64, TypeError, "X has dtype bool"),
    "longdouble": (lambda part: part.astype(np.longdouble), np.float64, TypeError, "X has dtype"),
}  # fmt: skip


@calls
@pytest.mark.parametrize(
    ("change", "dtype", "error", "message"), BAD_NUMBERS.values(), ids=BAD_NUMBERS
)
def test_numbers_that_are_refused(change, dtype, error, message, call, no_kernels):
    net = nd.MLP(SIZES, dtype=dtype)
    with pytest.raises(error, match=message):
        call(net, changed(data=change))
    assert net.optimizer is None


BAD_SHAPES = {
    "too few features": (sparse.csr_array((6, 4)), "X has 4 features, .* has 5 inputs"),
    "too many features": (sparse.csr_array((6, 7)), "X has 7 features, .* has 5 inputs"),
    "no samples": (sparse.csr_array((0, 5)), "X has no samples, but at least 1 sample"),
    "one sample, flat": (sparse.coo_array(np.ones(5)), r"X has shape \(5,\), but \(n_samples, 5\)"),
}


@calls
@pytest.mark.parametrize(("matrix", "message"), BAD_SHAPES.values(), ids=BAD_SHAPES)
def test_shapes_that_are_refused(matrix, message, call, no_kernels):
    with pytest.raises(ValueError, match=message):
        call(nd.MLP(SIZES), matrix)


def test_targets_of_another_number_are_refused():
    net, X, y = net_and_data()
    with pytest.raises(ValueError, match=r"y has shape \(10,\), but X has 11 samples"):
        fit(net, sparse.csr_array(X), y[1:])


# The two products


@st.composite
def csr(draw):
    """Draw a CSR matrix: empty rows and columns, duplicates, any order, either kind of index."""
    rows, columns = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    numbers = st.floats(-10, 10, allow_subnormal=False)
    cells = st.lists(st.tuples(st.integers(0, columns - 1), numbers), max_size=6)
    lists = draw(st.lists(cells, min_size=rows, max_size=rows))
    index = draw(st.sampled_from([np.int32, np.int64]))
    flat = [cell for row in lists for cell in row]
    data = np.array([value for _, value in flat], np.float64)
    indices = np.array([column for column, _ in flat], index)
    indptr = np.cumsum([0, *map(len, lists)]).astype(index)
    dense = np.zeros((rows, columns))
    for i, row in enumerate(lists):
        for column, value in row:
            dense[i, column] += value
    return sparse.csr_array((data, indices, indptr), (rows, columns)), dense


@given(csr(), st.integers(0, 4), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None, database=None, derandomize=True)
def test_both_products_are_those_of_numpy(matrices, width, seed):
    matrix, dense = matrices
    rng = np.random.default_rng(seed)
    weights, delta = rng.normal(size=(dense.shape[1], width)), rng.normal(size=(len(dense), width))
    out = np.full((len(dense), width), np.nan)
    products.product(matrix, weights, out)
    np.testing.assert_allclose(out, dense @ weights, rtol=1e-12, atol=1e-12)
    products.product(dense, weights, out)
    np.testing.assert_array_equal(out, dense @ weights)
    transposed = np.full(weights.shape, np.nan)
    products.transposed_product(matrix, delta, transposed)
    np.testing.assert_allclose(transposed, dense.T @ delta, rtol=1e-12, atol=1e-12)
    products.transposed_product(dense, delta, transposed)
    np.testing.assert_array_equal(transposed, dense.T @ delta)


@every_dtype
def test_the_products_keep_the_dtype(dtype):
    _, X, _ = net_and_data()
    matrix, weights = sparse.csr_array(X.astype(dtype)), np.ones((5, 2), dtype)
    out, transposed = np.empty((ROWS, 2), dtype), np.empty((5, 2), dtype)
    products.product(matrix, weights, out)
    products.transposed_product(matrix, out, transposed)
    tolerance = 10 * np.finfo(dtype).eps
    np.testing.assert_allclose(out, X @ weights, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(transposed, X.T @ (X @ weights), rtol=10 * tolerance, atol=tolerance)


def test_duplicates_whose_sum_overflows_are_refused():
    huge = np.full(2, 3e38, np.float32)
    X = sparse.csr_array((huge, [1, 1], [0, 2]), shape=(1, 5))
    with pytest.raises(ValueError, match="X.data with its duplicates summed must be finite"):
        nd.MLP(SIZES).predict(X)


def test_the_width_of_the_indices_is_no_other_training(tmp_path):
    narrow = sparse.csr_array(np.eye(6, 5))
    wide = sparse.csr_array((narrow.data, narrow.indices, narrow.indptr), shape=narrow.shape)
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    labels, options = np.arange(6) % 3, {"epochs": 1, "batch_size": 2, "verbose": 0}
    nd.MLP((5, 3)).fit(narrow, labels, checkpoint=tmp_path, **options)
    nd.MLP((5, 3)).fit(wide, labels, checkpoint=tmp_path, resume=True, **options)
    assert wide.indices.dtype == np.int64
