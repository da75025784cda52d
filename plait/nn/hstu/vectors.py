"""A vector register as a type that compiled functions compute with: `load(x, j) * load(y, j) + spread(0.5)`.

Numba leaves vector instructions to LLVM's own vectoriser, which gives up on calls of exp and spends most of a short row
on what is left over behind the last full vector. Here a kernel says itself what happens to `LANES` numbers at a time.

Memory is a bare address (`address(array)`), not an array: Numba counts references whenever an array is handed from one
function to another, and small kernels would spend a tenth of their time on it. The caller keeps the arrays alive.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.datamodel.registry import register_default
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic

LANES = 16 if llvm.get_host_cpu_features().get("avx512f", False) else 8
"""float32 numbers in a vector register."""

FLOATS = ir.VectorType(ir.FloatType(), LANES)
INTEGERS = ir.VectorType(ir.IntType(32), LANES)
_FLAGS = ir.VectorType(ir.IntType(1), LANES)
_NUMBER_BYTES = 4


class Vector(types.Type):
    """`LANES` float32 numbers."""

    def __init__(self) -> None:
        super().__init__(name="Vector")


vector = Vector()


@register_default(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, FLOATS)


def every(number: float) -> ir.Constant:
    """A constant in every lane, of integers for an integer."""
    kind = INTEGERS if isinstance(number, int) else FLOATS
    return ir.Constant(kind, [number] * LANES)


def call(builder: ir.IRBuilder, name: str, *arguments: ir.Value) -> ir.Value:
    """An LLVM intrinsic on vectors, such as `fma`."""
    kind = ir.FunctionType(FLOATS, [FLOATS] * len(arguments))
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{LANES}f32")
    return builder.call(function, arguments)


def _define_operator(symbol: Callable[..., Any], instruction: str) -> None:
    class Template(AbstractTemplate):
        def generic(self, arguments: Sequence[Any], keywords: Any) -> Any:
            return signature(vector, vector, vector) if tuple(arguments) == (vector, vector) else None

    infer_global(symbol)(Template)

    @lower_builtin(symbol, vector, vector)
    def lower(context: Any, builder: ir.IRBuilder, kind: Any, arguments: Sequence[ir.Value]) -> ir.Value:
        return getattr(builder, instruction)(*arguments)


for _symbol, _instruction in (
    (operator.add, "fadd"),
    (operator.iadd, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.imul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _define_operator(_symbol, _instruction)


def _place(builder: ir.IRBuilder, memory: ir.Value, at: ir.Value) -> ir.Value:
    """Where the vector begins that lies `at` numbers behind an address."""
    return builder.bitcast(builder.gep(memory, [at]), FLOATS.as_pointer())


@intrinsic
def address(typing, array):
    """Where the numbers of a flat array begin; the array must be alive as long as this is used."""

    def codegen(context, builder, kinds, arguments):
        return context.make_array(kinds.args[0])(context, builder, arguments[0]).data

    return types.CPointer(array.dtype)(array), codegen


@intrinsic
def after(typing, memory, count):
    """The address `count` numbers further on."""

    def codegen(context, builder, kinds, arguments):
        return builder.gep(arguments[0], [arguments[1]])

    return memory(memory, types.int64), codegen


def first_lanes(builder: ir.IRBuilder, count: ir.Value) -> ir.Value:
    """Flags of the first `count` lanes."""
    number = builder.trunc(count, ir.IntType(32))
    lane = ir.Constant(INTEGERS, list(range(LANES)))
    return builder.icmp_signed("<", lane, in_every_lane(builder, number, INTEGERS))


def in_every_lane(builder: ir.IRBuilder, number: ir.Value, kind: ir.VectorType) -> ir.Value:
    """A number that is known at run time, in every lane."""
    nothing = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(nothing, number, ir.IntType(32)(0))
    return builder.shuffle_vector(first, nothing, ir.Constant(INTEGERS, [0] * LANES))


@intrinsic
def load(typing, memory, at):
    """The `LANES` numbers from `at` on."""

    def codegen(context, builder, kinds, arguments):
        return builder.load(_place(builder, *arguments), align=_NUMBER_BYTES)

    return vector(memory, types.int64), codegen


@intrinsic
def store(typing, memory, at, numbers):
    """Put a vector into memory from `at` on."""

    def codegen(context, builder, kinds, arguments):
        memory, at, numbers = arguments
        builder.store(numbers, _place(builder, memory, at), align=_NUMBER_BYTES)
        return context.get_dummy_value()

    return types.void(memory, types.int64, vector), codegen


@intrinsic
def load_first(typing, memory, at, count):
    """The first `count` numbers from `at` on, zeros behind them; memory behind them is not touched."""

    def codegen(context, builder, kinds, arguments):
        memory, at, count = arguments
        place = _place(builder, memory, at)
        kind = ir.FunctionType(FLOATS, [place.type, ir.IntType(32), _FLAGS, FLOATS])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.masked.load.v{LANES}f32.p0")
        return builder.call(function, [place, ir.IntType(32)(_NUMBER_BYTES), first_lanes(builder, count), every(0.0)])

    return vector(memory, types.int64, types.int64), codegen


@intrinsic
def store_first(typing, memory, at, numbers, count):
    """Put the first `count` numbers of a vector into memory; what lies behind them is not touched."""

    def codegen(context, builder, kinds, arguments):
        memory, at, numbers, count = arguments
        place = _place(builder, memory, at)
        kind = ir.FunctionType(ir.VoidType(), [FLOATS, place.type, ir.IntType(32), _FLAGS])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.masked.store.v{LANES}f32.p0")
        builder.call(function, [numbers, place, ir.IntType(32)(_NUMBER_BYTES), first_lanes(builder, count)])
        return context.get_dummy_value()

    return types.void(memory, types.int64, vector, types.int64), codegen


@intrinsic
def transpose_square(typing, source, source_row, target, target_row):
    """`LANES` rows of `LANES` numbers, turned: rows lie `source_row` and `target_row` apart.

    Squares of half the side change places at each step, from one number to half a vector.
    """

    def codegen(context, builder, kinds, arguments):
        source, source_row, target, target_row = arguments

        def row(memory, step, r):
            return _place(builder, memory, builder.mul(step, ir.IntType(64)(r)))

        rows = [builder.load(row(source, source_row, r), align=_NUMBER_BYTES) for r in range(LANES)]
        side = 1
        while side < LANES:
            above = [lane if not lane & side else LANES + lane - side for lane in range(LANES)]
            below = [lane + side if not lane & side else LANES + lane for lane in range(LANES)]
            for r in (r for r in range(LANES) if not r & side):
                pair = rows[r], rows[r + side]
                rows[r], rows[r + side] = (
                    builder.shuffle_vector(*pair, ir.Constant(INTEGERS, lanes)) for lanes in (above, below)
                )
            side *= 2
        for r, numbers in enumerate(rows):
            builder.store(numbers, row(target, target_row, r), align=_NUMBER_BYTES)
        return context.get_dummy_value()

    return types.void(source, types.int64, target, types.int64), codegen


@intrinsic
def only_first(typing, numbers, count):
    """A vector with zeros behind its first `count` lanes."""

    def codegen(context, builder, kinds, arguments):
        numbers, count = arguments
        return builder.select(first_lanes(builder, count), numbers, every(0.0))

    return vector(vector, types.int64), codegen


@intrinsic
def spread(typing, number):
    """One number in every lane."""

    def codegen(context, builder, kinds, arguments):
        return in_every_lane(builder, arguments[0], FLOATS)

    return vector(types.float32), codegen


@intrinsic
def fma(typing, x, y, z):
    """`x * y + z`."""

    def codegen(context, builder, kinds, arguments):
        return call(builder, "fma", *arguments)

    return vector(vector, vector, vector), codegen


@intrinsic
def total(typing, numbers):
    """The sum of the lanes."""

    def codegen(context, builder, kinds, arguments):
        kind = ir.FunctionType(ir.FloatType(), [ir.FloatType(), FLOATS])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.fadd.v{LANES}f32")
        return builder.call(function, [ir.Constant(ir.FloatType(), 0.0), arguments[0]], fastmath=("reassoc",))

    return types.float32(vector), codegen


@intrinsic
def unless_dropped(typing, key, column, bound, otherwise):
    """Dropout's factors of the columns from `column` on: `otherwise`, or 0 with probability `bound / 2^32`.

    They depend on `key` and column alone, so that a backward pass finds them again: 32 bits are mixed by two rounds of
    multiplying and shifting (Wellons' "lowbias32", whose output bits each depend on every input bit).
    """

    def codegen(context, builder, kinds, arguments):
        word = ir.IntType(32)
        key, column, bound = (in_every_lane(builder, builder.trunc(x, word), INTEGERS) for x in arguments[:3])
        lane = ir.Constant(INTEGERS, list(range(LANES)))
        bits = builder.add(key, builder.mul(builder.add(column, lane), every(0x9E3779B9)))
        for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
            bits = builder.mul(builder.xor(bits, builder.lshr(bits, every(shift))), every(factor))
        bits = builder.xor(bits, builder.lshr(bits, every(16)))
        stays = builder.icmp_unsigned(">=", bits, bound)
        return builder.select(stays, in_every_lane(builder, arguments[3], FLOATS), every(0.0))

    return vector(types.int64, types.int64, types.int64, types.float32), codegen


_LARGEST = 87.0
"""e^x of larger numbers leaves float32."""
_LN_2_HIGH, _LN_2_LOW = 0.693359375, -2.12194440e-4
"""ln 2 as a number of few bits and the rest, so that n ln 2 is exact enough."""
_SERIES = (1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2, 1.0, 1.0)


@intrinsic
def exp(typing, x):
    """e^x = 2^n e^r with n = round(x / ln 2): the power by its bits, e^r by seven terms (relative error 2e-7)."""

    def codegen(context, builder, kinds, arguments):
        x = call(builder, "minnum", call(builder, "maxnum", arguments[0], every(-_LARGEST)), every(_LARGEST))
        n = call(builder, "rint", builder.fmul(x, every(1.4426950408889634)))
        r = call(builder, "fma", n, every(-_LN_2_HIGH), x)
        r = call(builder, "fma", n, every(-_LN_2_LOW), r)
        power = every(_SERIES[0])
        for term in _SERIES[1:]:
            power = call(builder, "fma", power, r, every(term))
        exponent = builder.add(builder.fptosi(n, INTEGERS), every(127))
        return builder.fmul(power, builder.bitcast(builder.shl(exponent, every(23)), FLOATS))

    return vector(vector), codegen
