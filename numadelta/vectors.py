"""A tile of a matrix product, in the vectors of LLVM, which Numba does not have."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

# Bytes: a register of AVX-512.
VECTOR = 64

# The places, in an array of integers, of what describes a product: addresses and sizes.
A, ROWS, STEPS, B, OUT, HEIGHT, DEPTH, COLUMNS, GOES_ON = range(9)

_INDEX, _LANE = ir.IntType(64), ir.IntType(32)


def tile(tall, wide):
    """Return a function for so many rows, at most so many vectors wide, of a product.

    ``function(zero, job, i, j)`` computes, for ``r < tall`` and the columns that fit::

        out[i + r, j + c] = sum(a[rows[i + r] + steps[k]] * b[k, j + c] for k in range(depth))

    The names on the right and `out` are what `job` describes, of numbers of the type of `zero`;
    `b` and `out` are C-contiguous and ``columns`` wide.  If the job `goes_on`, the sum is added to
    what is there.  Only the last vector may reach beyond the last column, so a tile that is too
    wide must not be used; it may reach below the last row.

    Each sum is one chain of fused multiplications and additions in the order of k, and stays in a
    register meanwhile.
    """

    @intrinsic
    def function(_, zero, job, i, j):
        def generate(context, builder, signature, args):
            vectors = _Vectors(context, signature.args[0])
            data = context.make_array(signature.args[1])(context, builder, args[1]).data
            builder.call(_tile_function(builder.module, vectors, tall, wide), [data, *args[2:]])
            return context.get_dummy_value()

        return types.void(zero, job, types.intp, types.intp), generate

    return function


def _tile_function(module, vectors, tall, wide):
    """Return the function of a tile in a module, which is made there if need be."""
    name = f"numadelta.tile.{tall}.{wide}.{vectors.number}"
    kind = ir.FunctionType(ir.VoidType(), [_INDEX.as_pointer(), _INDEX, _INDEX])
    function = cgutils.get_or_insert_function(module, kind, name)
    if function.is_declaration:
        function.linkage = "linkonce_odr"
        # Together with other loops in one function, the sums were seen to leave their registers,
        # which takes twice as long.
        function.attributes.add("noinline")
        vectors.builder = ir.IRBuilder(function.append_basic_block())
        _write_tile(vectors, vectors.builder, tall, wide, *function.args)
        vectors.builder.ret_void()
    return function


def _write_tile(vectors, builder, tall, wide, job, i, j):
    def add(index, number):
        return builder.add(index, ir.Constant(_INDEX, number))

    def integer(array, index):
        return builder.load(builder.gep(array, [index]))

    def field(place, kind=None):
        value = integer(job, ir.Constant(_INDEX, place))
        return value if kind is None else builder.inttoptr(value, kind.as_pointer())

    a, b, out = (field(place, vectors.number) for place in (A, B, OUT))
    rows, steps = field(ROWS, _INDEX), field(STEPS, _INDEX)
    height, depth, columns = field(HEIGHT), field(DEPTH), field(COLUMNS)
    goes_on = builder.icmp_signed("!=", field(GOES_ON), ir.Constant(_INDEX, 0))

    def places(array, row):
        start = builder.add(builder.mul(row, columns), j)
        return [builder.gep(array, [add(start, v * vectors.lanes)]) for v in range(wide)]

    # Below the last row comes the last one again, with the same sums at the same place.
    last = add(height, -1)
    each_row = [
        builder.select(builder.icmp_signed("<", row, last), row, last)
        for row in (add(i, r) for r in range(tall))
    ]
    # Lanes beyond the last column are neither read nor written.
    rest = add(builder.sub(columns, j), (1 - wide) * vectors.lanes)
    masks = [None] * (wide - 1) + [vectors.first(rest)]
    starts = [builder.gep(a, [integer(rows, row)]) for row in each_row]
    sums = [[cgutils.alloca_once(builder, vectors.type) for _ in masks] for _ in each_row]

    def each_sum():
        """Return what holds each vector of sums, its place in `out`, and its mask."""
        for row, totals in zip(each_row, sums, strict=True):
            yield from zip(totals, places(out, row), masks, strict=True)

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
