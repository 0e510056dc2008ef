"""Compiled functions that are passed by address."""

from __future__ import annotations

import numpy as np
import pytest
from numba import config, njit, types
from numba.core.errors import NumbaError

from numadelta.pointers import Address, address_of, compiled_overload, function_at

pytestmark = pytest.mark.skipif(
    bool(config.DISABLE_JIT), reason="without compiled functions there are no addresses"
)

ONE = (types.float64,)


class OutOfRangeError(Exception):
    pass


@njit
def half(x):
    if x < 0:
        raise OutOfRangeError("negative", 7)
    return x / 2


@njit
def negative(x):
    return -x


@njit
def call(address, x):
    return function_at(address)(x)


@njit
def is_missing(address):
    return function_at(address) is None


@njit
def first_of(address, values):
    return function_at(address)(values)[0]


@njit
def upper_half(values):
    return values[values.size // 2 :]


def entry(function, *arguments):
    function.compile(arguments)
    return function.overloads[arguments].entry_point


def by_address(function):
    """Return the compiled function for a float, its address and the type of that."""
    overload = compiled_overload(function, ONE)
    return overload, address_of(overload), Address(types.FunctionType(overload.signature))


@pytest.mark.parametrize("function, expected", [(half, 1.5), (negative, -3.0)])
def test_a_function_called_by_address_gives_its_value(function, expected):
    _, address, kind = by_address(function)
    assert entry(call, kind, *ONE)(address, 3.0) == expected


def test_functions_of_a_signature_share_one_compiled_caller():
    kinds = {by_address(function)[2] for function in (half, negative)}
    entries = {entry(call, kind, *ONE) for kind in kinds}
    assert len(kinds) == len(entries) == 1


def test_a_caller_may_change_its_mind_between_two_calls():
    (_, one, kind), (_, other, _) = by_address(half), by_address(negative)
    caller = entry(call, kind, *ONE)
    assert [caller(address, 4.0) for address in (one, other, one)] == [2.0, -4.0, 2.0]


def test_an_exception_passes_with_its_arguments():
    _, address, kind = by_address(half)
    with pytest.raises(OutOfRangeError) as caught:
        entry(call, kind, *ONE)(address, -1.0)
    assert caught.value.args == ("negative", 7)
    assert entry(call, kind, *ONE)(address, 1.0) == 0.5


def test_none_stays_none():
    assert entry(is_missing, types.none)(None) is True


def test_an_array_comes_back_alive():
    array = types.Array(types.float64, 1, "C")
    overload = compiled_overload(upper_half, (array,))
    kind = Address(types.FunctionType(overload.signature))
    caller = entry(first_of, kind, array)
    assert [caller(address_of(overload), np.arange(4.0) + k) for k in range(100)] == [
        2.0 + k for k in range(100)
    ]


def test_an_address_is_a_python_int_and_stays_the_same():
    overload, address, _ = by_address(half)
    assert type(address) is int and address > 0
    assert compiled_overload(half, ONE) is overload
    assert address_of(overload) == address


def test_the_kinds_of_addresses_differ_as_the_functions_do():
    real, whole = (types.FunctionType(kind(kind)) for kind in (types.float64, types.int64))
    assert Address(real) == Address(real)
    assert Address(real) != Address(whole)


def test_explicit_signatures_are_taken_as_they_are():
    fixed = njit("float64(float64)")(lambda x: x + 1)
    assert compiled_overload(fixed, ONE).signature == types.float64(types.float64)
    assert compiled_overload(fixed, (types.float32,)) is None
    assert compiled_overload(fixed, ONE * 2) is None


def test_another_number_of_arguments_is_not_compiled():
    assert compiled_overload(negative, ONE * 2) is None


def test_what_does_not_compile_is_numbas_own_error():
    with pytest.raises(NumbaError):
        compiled_overload(njit(lambda x: x.no_such_thing), ONE)
