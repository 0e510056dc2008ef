"""Arrays that no kernel may see, and those that only look as if: faults of x, g, v and u."""

from __future__ import annotations

import numpy as np
import pytest

import numadelta as nd
from numadelta import arrays

IN_PLACE = ["params", "square_avg", "acc_delta"]


def four_arrays(shape=4, dtype=np.float64):
    arrays = np.random.default_rng(0).random((4, *np.empty(shape).shape)).astype(dtype)
    return dict(zip(["params", "grads", "square_avg", "acc_delta"], arrays, strict=True))


def by_optimizer(params, grads, square_avg, acc_delta, **options):
    opt = nd.Adadelta(params, square_avg=square_avg, acc_delta=acc_delta, **options)
    opt.step(grads)


every_door = pytest.mark.parametrize("door", [by_optimizer, nd.adadelta_step])


def assert_refused(door, arguments, error, message):
    """The error says what is wrong, and no array has changed."""
    before = {name: np.array(array, copy=True) for name, array in arguments.items()}
    with pytest.raises(error, match=message):
        door(**arguments)
    for name, array in arguments.items():
        assert np.array(array).tobytes() == before[name].tobytes()


def unaligned(array):
    buffer = np.zeros(array.nbytes + 1, np.uint8)
    shifted = buffer[1:].view(array.dtype).reshape(array.shape)
    shifted[...] = array
    return shifted


def read_only(array):
    array.flags.writeable = False
    return array


def strided(array):
    return np.repeat(array, 2, axis=-1)[..., ::2]


def reversed_(array):
    return array[::-1].copy()[::-1]


def longdouble(array):
    if np.dtype(np.longdouble) == np.float64:
        pytest.skip("longdouble is float64 here")
    return array.astype(np.longdouble)


STRUCTURE = [("real", "f8")]

# What is wrong with the kind of numbers, wherever they are

WRONG_DTYPES = {
    "int": (lambda a: a.astype(int), r"has dtype int\d\d.* needed; convert it with .astype"),
    "bool": (lambda a: a > 0.5, "has dtype bool, but float32 or float64 is needed"),
    "complex": (
        lambda a: a + 1j,
        r"has dtype complex128.*pass its real view, {0}.view\({0}.real.dtype",
    ),
    "object": (lambda a: a.astype(object), "has dtype object"),
    "longdouble": (longdouble, r"has dtype (float|longdouble)"),
    "datetime": (lambda a: a.astype("M8[s]"), r"has dtype datetime64\[s\]"),
    "structured": (lambda a: a.view(STRUCTURE), r"has dtype \[\('real', '<f8'\)\]"),
    "bfloat16 as bytes": (lambda a: np.zeros(a.shape, "V2"), r"has dtype \|V2"),
    "byte-swapped": (
        lambda a: a.astype(a.dtype.newbyteorder()),
        r"{0}.astype\({0}.dtype.newbyteorder\('='\)\)",
    ),
    "strings": (lambda a: a.astype(str), r"has dtype <U"),
}


@every_door
@pytest.mark.parametrize("name", [*IN_PLACE, "grads"])
@pytest.mark.parametrize(("change", "message"), WRONG_DTYPES.values(), ids=WRONG_DTYPES)
def test_a_dtype_that_is_not_a_native_float_is_refused_by_name(door, name, change, message):
    arguments = four_arrays()
    arguments[name] = change(arguments[name])
    assert_refused(door, arguments, TypeError, f"{name} .*{message.format(name)}")


# What is updated in place must be exactly right

UNFIT = {
    "float16": (lambda a: a.astype(np.float16), TypeError, "has dtype float16, but float32"),
    "read-only": (read_only, ValueError, "is read-only, but is updated in place"),
    "strided": (strided, ValueError, "is not C-contiguous"),
    "negative stride": (reversed_, ValueError, "is not C-contiguous"),
    "unaligned": (unaligned, ValueError, "is not aligned in memory"),
    "masked": (np.ma.array, TypeError, r"is a masked array; fill it first, with {}.filled\(0\)"),
    "list": (list, TypeError, "must be a NumPy array, but is a list; convert it"),
    "tuple": (tuple, TypeError, "must be a NumPy array, but is a tuple"),
    "scalar": (lambda a: 1.0, TypeError, "must be a NumPy array, but is a float"),
    "NumPy scalar": (lambda a: a[0], TypeError, "must be a NumPy array, but is a float64"),
    "memoryview": (memoryview, TypeError, "must be a NumPy array, but is a memoryview"),
}


@every_door
@pytest.mark.parametrize("name", IN_PLACE)
@pytest.mark.parametrize(("change", "error", "message"), UNFIT.values(), ids=UNFIT)
def test_what_cannot_be_updated_in_place_is_refused(door, name, change, error, message):
    arguments = four_arrays()
    arguments[name] = change(arguments[name])
    assert_refused(door, arguments, error, f"{name} .*{message.format(name)}")


@every_door
@pytest.mark.parametrize("name", IN_PLACE)
def test_fortran_order_is_refused_in_place_and_copied_for_the_gradient(door, name):
    arguments = four_arrays((2, 3))
    arguments["grads"] = np.asfortranarray(arguments["grads"])
    arguments[name] = np.asfortranarray(arguments[name])
    assert_refused(door, arguments, ValueError, f"{name} is not C-contiguous")


def test_parameters_may_not_be_none():
    with pytest.raises(TypeError, match="params .*must be a NumPy array, but is a NoneType"):
        nd.Adadelta(None)


# Shapes and dtypes that do not belong together


@every_door
@pytest.mark.parametrize("name", ["square_avg", "acc_delta", "grads"])
@pytest.mark.parametrize("shape", [(3,), (5,), (), (0,), (1,), (4, 1), (1, 4), (2, 2)], ids=str)
def test_another_shape_than_that_of_the_parameters_is_refused(door, name, shape):
    arguments = four_arrays()
    arguments[name] = np.ones(shape)
    both = rf"{name} has shape \({str(shape)[1:-1]}\), but params has shape \(4,\)"
    assert_refused(door, arguments, ValueError, both)


@every_door
@pytest.mark.parametrize("name", ["square_avg", "acc_delta"])
@pytest.mark.parametrize(
    ("state", "params"), [("float32", "float64"), ("float64", "float32")], ids=str
)
def test_averages_must_have_the_dtype_of_the_parameters(door, name, state, params):
    arguments = four_arrays(dtype=params)
    arguments[name] = arguments[name].astype(state)
    message = f"{name} has dtype {state}, but params has dtype {params}; both must be the same"
    assert_refused(door, arguments, TypeError, message)


@every_door
def test_a_gradient_wider_than_the_parameters_is_not_rounded_in_silence(door):
    arguments = four_arrays(dtype=np.float32)
    arguments["grads"] = arguments["grads"].astype(np.float64)
    message = r"grads has dtype float64, but params .* float32; .*grads.astype\(np.float32\)"
    assert_refused(door, arguments, TypeError, message)


# Overlap


@every_door
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("square_avg", "params"),
        ("acc_delta", "params"),
        ("acc_delta", "square_avg"),
        ("grads", "params"),
        ("grads", "square_avg"),
        ("grads", "acc_delta"),
    ],
)
@pytest.mark.parametrize("shift", [0, 1, 3])
def test_arrays_that_share_memory_are_refused_as_a_pair(door, one, other, shift):
    arguments = four_arrays()
    buffer = np.ones(8)
    arguments[one], arguments[other] = buffer[:4], buffer[shift : shift + 4]
    pair = f"({one} and {other}|{other} and {one}) overlap in memory"
    assert_refused(door, arguments, ValueError, pair)


@every_door
def test_neighbours_in_one_buffer_do_not_overlap(door):
    buffer = np.random.default_rng(0).random((4, 4))
    expected = four_arrays()
    by_optimizer(**expected)
    door(*buffer)
    np.testing.assert_array_equal(buffer, list(expected.values()))


def test_the_parameters_are_not_their_own_gradient():
    opt = nd.Adadelta(np.ones(3))
    with pytest.raises(ValueError, match="grads and params overlap"):
        opt.step(opt.params)


# Gradients are only read


def as_memmap(folder):
    def change(array):
        np.save(folder / "array.npy", array)
        return np.load(folder / "array.npy", mmap_mode="r+")

    return change


READABLE = {
    "read-only": read_only,
    "strided": strided,
    "negative stride": reversed_,
    "unaligned": unaligned,
    "list": np.ndarray.tolist,
    "tuple": lambda a: tuple(a.tolist()),
    "list of arrays": list,
    "subclass": lambda a: a.view(type("Subclass", (np.ndarray,), {})),
}


@every_door
@pytest.mark.parametrize("change", READABLE.values(), ids=READABLE)
@pytest.mark.parametrize("shape", [(4,), (2, 3)], ids=str)
def test_any_readable_gradient_counts_by_its_values(door, change, shape):
    arguments, expected = four_arrays(shape), four_arrays(shape)
    by_optimizer(**expected)
    door(**(arguments | {"grads": change(arguments["grads"])}))
    for name in IN_PLACE:
        np.testing.assert_array_equal(arguments[name], expected[name])


@every_door
@pytest.mark.parametrize(
    ("narrow", "wide"),
    [("float16", "float32"), ("float16", "float64"), ("float32", "float64")],
)
def test_a_narrower_gradient_is_promoted(door, narrow, wide):
    arguments, expected = four_arrays(dtype=wide), four_arrays(dtype=wide)
    arguments["grads"] = arguments["grads"].astype(narrow)
    expected["grads"] = arguments["grads"].astype(wide)
    by_optimizer(**expected)
    door(**arguments)
    for name in IN_PLACE:
        np.testing.assert_array_equal(arguments[name], expected[name])


@every_door
@pytest.mark.parametrize(
    ("grads", "error"),
    [
        (None, TypeError),
        (0.5, TypeError),
        ("0.5", TypeError),
        ({}, TypeError),
        (iter([0.5]), TypeError),
        ([None], TypeError),
        ([1j], TypeError),
        (["0.5"], TypeError),
        ([True], TypeError),
        ([[0.5], [0.5, 0.5]], ValueError),
        ([], ValueError),
    ],
    ids=lambda value: "iterator" if hasattr(value, "__next__") else repr(value),
)
def test_what_is_no_array_of_numbers_is_no_gradient(door, grads, error):
    with pytest.raises(error, match="^grads "):
        door(np.ones(1), grads, np.zeros(1), np.zeros(1))


@every_door
def test_a_masked_gradient_is_refused(door):
    arguments = four_arrays()
    arguments["grads"] = np.ma.array(arguments["grads"], mask=[0, 1, 0, 0])
    message = r"grads is a masked array; fill it first, with grads.filled\(0\)"
    assert_refused(door, arguments, TypeError, message)


@pytest.mark.filterwarnings("ignore:Setting the shape:DeprecationWarning")
def test_a_gradient_seen_before_is_checked_again():
    opt, g = nd.Adadelta(np.ones(6)), np.ones(6)
    opt.step(g)
    g.flags.writeable = False
    opt.step(g)
    g.flags.writeable = True
    opt.step(g)
    g.shape = (2, 3)
    with pytest.raises(ValueError, match=r"grads has shape \(2, 3\), but params has shape \(6,\)"):
        opt.step(g)
    del g
    with pytest.raises(TypeError, match="grads must be a NumPy array or a sequence .*NoneType"):
        opt.step(None)


# Subclasses and files are seen as what they hold


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@every_door
def test_a_matrix_is_an_array(door):
    arguments, expected = four_arrays((2, 3)), four_arrays((2, 3))
    by_optimizer(**expected)
    arguments = {name: np.matrix(array) for name, array in arguments.items()}
    door(**arguments)
    np.testing.assert_array_equal(list(arguments.values()), list(expected.values()))


@every_door
def test_memory_mapped_parameters_are_updated_in_their_file(door, tmp_path):
    arguments, expected = four_arrays(), four_arrays()
    by_optimizer(**expected)
    arguments["params"] = as_memmap(tmp_path)(arguments["params"])
    door(**arguments)
    arguments["params"].flush()
    np.testing.assert_array_equal(np.load(tmp_path / "array.npy"), expected["params"])


@every_door
def test_a_list_of_masked_numbers_is_refused_as_a_masked_array_is(door):
    grads = [np.ma.masked_array([1.0, 2.0], [True, False]), np.ones(2)]
    with pytest.raises(TypeError, match=r"grads\[0\] is a masked array"):
        door(np.ones((2, 2)), grads, np.zeros((2, 2)), np.zeros((2, 2)))


@pytest.mark.parametrize("name", ["square_avg", "acc_delta"])
def test_the_functional_form_makes_no_state_of_its_own(name):
    state = {"square_avg": np.zeros(2), "acc_delta": np.zeros(2), name: None}
    x = np.ones(2)
    with pytest.raises(TypeError, match=f"{name} is None, but is updated in place"):
        nd.adadelta_step(x, np.ones(2), **state)
    assert (x == 1).all()


def test_a_list_of_arrays_is_for_pack():
    with pytest.raises(TypeError, match="is a list of arrays; numadelta.pack makes one flat"):
        nd.Adadelta([np.ones((2, 3)), np.ones(3)])


def test_the_first_of_many_numbers_is_found_in_parts(monkeypatch):
    monkeypatch.setattr(arrays, "FINITE_AT_A_TIME", 4)
    for place in (0, 3, 4, 9):
        numbers = np.ones((5, 2))
        numbers.flat[[place, 9]] = np.nan
        assert arrays.first_nonfinite(numbers) == place
    assert arrays.first_nonfinite(np.ones((5, 2))) is None
