"""Compiled functions as arguments of compiled functions, passed by address.

Numba can pass a function as a value of `numba.types.FunctionType`, so that one compiled driver
serves every objective of a signature.  Each call from Python then takes 100 us to find the
addresses again; here they are found once, and the call takes a microsecond.
"""

from __future__ import annotations

from inspect import Parameter, signature
from typing import Any

from numba import types
from numba.core import cgutils
from numba.core.imputils import impl_ret_untracked
from numba.extending import NativeValue, intrinsic, models, register_model, unbox


class Address(types.Type):
    """The Numba type of the address of a compiled function, a Python int."""

    def __init__(self, function: types.FunctionType) -> None:
        self.function = function
        super().__init__(name=f"Address({function})")


@register_model(Address)
class _AddressModel(models.OpaqueModel):
    pass


@unbox(Address)
def _unbox_address(typ, obj, c):
    return NativeValue(c.pyapi.long_as_voidptr(obj))


@intrinsic
def function_at(typingctx, address):
    """Return the function at an address; what is None stays None."""
    if isinstance(address, types.NoneType):
        return types.none(types.none), lambda context, builder, sig, args: args[0]
    function = address.function

    def build(context, builder, sig, args):
        value = cgutils.create_struct_proxy(function)(context, builder)
        value.c_addr = cgutils.get_null_value(value.c_addr.type)
        value.py_addr = cgutils.get_null_value(value.py_addr.type)
        # In Numba's own calling convention, through which exceptions pass.
        value.jit_addr = args[0]
        return impl_ret_untracked(context, builder, function, value._getvalue())

    return function(address), build


def compiled_overload(function: Any, arguments: tuple[Any, ...]) -> Any:
    """Compile a function for these types; None if its explicit signatures rule them out.

    None as well if some of its arguments have defaults or are ``*args``.
    """
    # Of a lone argument for *args, Numba would make the tuple itself.
    kinds = {parameter.kind for parameter in signature(function.py_func).parameters.values()}
    if Parameter.VAR_POSITIONAL in kinds:
        return None
    overload = function.overloads.get(arguments)
    if overload is None:
        try:
            function.compile(arguments)
        except (RuntimeError, TypeError):
            return None
        overload = function.overloads.get(arguments)
    return None if overload is None or overload.objectmode else overload


def address_of(overload: Any) -> int:
    """Return the address of compiled code, good for as long as that lives."""
    return int(overload.library.get_pointer_to_function(overload.fndesc.llvm_func_name))
