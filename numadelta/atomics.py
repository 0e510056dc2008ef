"""What threads need to tell one another something without a lock, in the instructions of LLVM."""

from __future__ import annotations

import os

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


def _pointer(context, builder, signature, args):
    array = context.make_array(signature.args[0])(context, builder, args[0])
    return builder.gep(array.data, [args[1]])


@intrinsic
def load(_, array, index):
    """Return ``array[index]``; what was written before it was stored is seen afterwards."""

    def generate(context, builder, signature, args):
        return builder.load_atomic(_pointer(context, builder, signature, args), "seq_cst", 8)

    return types.int64(array, types.intp), generate


@intrinsic
def store(_, array, index, value):
    """Set ``array[index]``, after all that was written before."""

    def generate(context, builder, signature, args):
        place = _pointer(context, builder, signature, args)
        builder.store_atomic(args[2], place, "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.int64), generate


@intrinsic
def add(_, array, index, value):
    """Add to ``array[index]`` in one piece; return what it was before."""

    def generate(context, builder, signature, args):
        place = _pointer(context, builder, signature, args)
        return builder.atomic_rmw("add", place, args[2], "seq_cst")

    return types.int64(array, types.intp, types.int64), generate


@intrinsic
def relax(_):
    """Let the other thread of this core go first for some cycles."""

    def generate(context, builder, signature, args):
        if binding.get_default_triple().startswith("x86_64"):
            kind = ir.FunctionType(ir.VoidType(), [])
            name = "llvm.x86.sse2.pause"
            builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [])
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def give_way(_):
    """Let a thread go first that has no core; on Windows do nothing."""

    def generate(context, builder, signature, args):
        if os.name == "posix":
            kind = ir.FunctionType(ir.IntType(32), [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), generate
