"""A tile of a matrix product, in the vectors of LLVM, which Numba does not have."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

# Bytes: a register of AVX-512.
VECTOR = 64

_INDEX, _LANE = ir.IntType(64), ir.IntType(32)


def tile(height, width):
    """Return a function for so many rows, at most so many vectors wide, of a matrix product.

    ``function(zero, a, rows, steps, b, out, depth, columns, goes_on, i, j)`` computes::

        out[i + r, j + c] = sum(a[rows[i + r] + steps[k]] * b[k, j + c] for k in range(depth))

    for ``r < height`` and as many c as fit into the tile and into the columns; there must be more
    than fit into a tile less wide.  If it `goes_on`, this is added to what is there.  `a`, `rows`,
    `steps`, `b` and `out` are addresses, of numbers of the type of `zero` and of integers of
    64 bits; the rows of `b` and `out` are ``columns`` long.

    Each sum is one chain of fused multiplications and additions in the order of k, and stays in a
    register meanwhile.
    """

    @intrinsic
    def function(_, zero, a, rows, steps, b, out, depth, columns, goes_on, i, j):
        signature = types.void(zero, *[types.intp] * 10)

        def generate(context, builder, signature, args):
            vectors = _Vectors(context, signature.args[0])
            builder.call(_tile_function(builder.module, vectors, height, width), args[1:])
            return context.get_dummy_value()

        return signature, generate

    return function


def _tile_function(module, vectors, height, width):
    """Return the function of a tile in a module, which is made there if need be."""
    name = f"numadelta.tile.{height}.{width}.{vectors.number}"
    kind = ir.FunctionType(ir.VoidType(), [_INDEX] * 10)
    function = cgutils.get_or_insert_function(module, kind, name)
    if function.is_declaration:
        function.linkage = "linkonce_odr"
        # Together with other loops in one function, the sums were seen to leave their registers,
        # which takes twice as long.
        function.attributes.add("noinline")
        vectors.builder = ir.IRBuilder(function.append_basic_block())
        _write_tile(vectors, vectors.builder, height, width, *function.args)
        vectors.builder.ret_void()
    return function


def _write_tile(
    vectors, builder, height, width, a, rows, steps, b, out, depth, columns, goes_on, i, j
):
    def address(array, index):
        return builder.gep(builder.inttoptr(array, vectors.number.as_pointer()), [index])

    def integer(array, index):
        pointer = builder.inttoptr(array, _INDEX.as_pointer())
        return builder.load(builder.gep(pointer, [index]))

    def places(array, row):
        start = builder.add(builder.mul(row, columns), j)
        return [address(array, _add(builder, start, v * vectors.lanes)) for v in range(width)]

    def each_sum():
        """Return what holds each vector of sums, its place in `out`, and its mask."""
        for r, totals in enumerate(sums):
            yield from zip(totals, places(out, _add(builder, i, r)), masks, strict=True)

    # Lanes beyond the last column are neither read nor written.
    rest = _add(builder, builder.sub(columns, j), (1 - width) * vectors.lanes)
    masks = [None] * (width - 1) + [vectors.first(rest)]
    starts = [address(a, integer(rows, _add(builder, i, r))) for r in range(height)]
    sums = [[cgutils.alloca_once(builder, vectors.type) for _ in masks] for _ in starts]
    goes_on = builder.icmp_signed("!=", goes_on, ir.Constant(_INDEX, 0))
    for total, *place in each_sum():
        before = builder.select(goes_on, vectors.load(*place), vectors.zero)
        builder.store(before, total)
    with cgutils.for_range(builder, depth) as loop:
        b_row = [vectors.load(*place) for place in zip(places(b, loop.index), masks, strict=True)]
        step = integer(steps, loop.index)
        for start, totals in zip(starts, sums, strict=True):
            factor = vectors.splat(builder.load(builder.gep(start, [step])))
            for total, vector in zip(totals, b_row, strict=True):
                builder.store(vectors.multiply_add(factor, vector, builder.load(total)), total)
    for total, *place in each_sum():
        vectors.store(builder.load(total), *place)


def _add(builder, index, number):
    return builder.add(index, ir.Constant(_INDEX, number))


class _Vectors:
    """The instructions on vectors of numbers of one type."""

    def __init__(self, context, number):
        self.number = context.get_value_type(number)
        self.lanes = 8 * VECTOR // number.bitwidth
        self.align = number.bitwidth // 8
        self.type = ir.VectorType(self.number, self.lanes)
        self.zero = ir.Constant(self.type, [0.0] * self.lanes)

    def first(self, count):
        """Return a mask of the first lanes."""
        lanes = ir.Constant(ir.VectorType(_INDEX, self.lanes), list(range(self.lanes)))
        return self.builder.icmp_signed("<", lanes, self.splat(count))

    def splat(self, number):
        undefined = ir.Constant(ir.VectorType(number.type, self.lanes), ir.Undefined)
        vector = self.builder.insert_element(undefined, number, ir.Constant(_LANE, 0))
        zeros = ir.Constant(ir.VectorType(_LANE, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(vector, undefined, zeros)

    def load(self, place, mask):
        pointer = self.builder.bitcast(place, self.type.as_pointer())
        if mask is None:
            return self.builder.load(pointer, align=self.align)
        align = ir.Constant(_LANE, self.align)
        return self._call("masked.load", ".p0", self.type, pointer, align, mask, self.zero)

    def store(self, vector, place, mask):
        pointer = self.builder.bitcast(place, self.type.as_pointer())
        if mask is None:
            self.builder.store(vector, pointer, align=self.align)
        else:
            align = ir.Constant(_LANE, self.align)
            self._call("masked.store", ".p0", ir.VoidType(), vector, pointer, align, mask)

    def multiply_add(self, a, b, c):
        return self._call("fma", "", self.type, a, b, c)

    def _call(self, name, suffix, result, *args):
        kind = ir.FunctionType(result, [value.type for value in args])
        full_name = f"llvm.{name}.v{self.lanes}f{8 * self.align}{suffix}"
        function = cgutils.get_or_insert_function(self.builder.module, kind, full_name)
        return self.builder.call(function, args)
