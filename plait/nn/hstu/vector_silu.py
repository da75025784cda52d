"""SiLU and its slope on one vector register: the other thing, beside products, that HSTU attention spends time on.

LLVM does not vectorise calls of exp, so this writes it out: e^x = 2^n e^r with n = round(x / ln 2), the power by its
bits and e^r, |r| <= ln(2) / 2, by the first seven terms of its series (relative error 2e-7, as float32 has).
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from plait.nn.hstu.microkernel import LANES

_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INTEGERS = ir.VectorType(ir.IntType(32), LANES)
_LARGEST = 87.0
"""e^x of larger numbers leaves float32."""
_LN_2_HIGH, _LN_2_LOW = 0.693359375, -2.12194440e-4
"""ln 2 as a number of few bits and the rest, so that n ln 2 is exact enough."""
_SERIES = (1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2, 1.0, 1.0)


class _VectorMath:
    """Writes arithmetic on vectors."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.builder = builder

    def constant(self, number: float) -> ir.Constant:
        return ir.Constant(_FLOATS, [number] * LANES)

    def call(self, name: str, *arguments: ir.Value) -> ir.Value:
        """An LLVM intrinsic on vectors, such as `floor`."""
        kind = ir.FunctionType(_FLOATS, [_FLOATS] * len(arguments))
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.{name}.v{LANES}f32")
        return self.builder.call(function, arguments)

    def spread(self, scalar: ir.Value) -> ir.Value:
        """A scalar in every lane."""
        nothing = ir.Constant(_FLOATS, ir.Undefined)
        first = self.builder.insert_element(nothing, scalar, ir.IntType(32)(0))
        return self.builder.shuffle_vector(first, nothing, ir.Constant(_INTEGERS, [0] * LANES))

    def exp(self, x: ir.Value) -> ir.Value:
        build, call, constant = self.builder, self.call, self.constant
        x = call("minnum", call("maxnum", x, constant(-_LARGEST)), constant(_LARGEST))
        n = call("rint", build.fmul(x, constant(1.4426950408889634)))
        r = call("fma", n, constant(-_LN_2_HIGH), x)
        r = call("fma", n, constant(-_LN_2_LOW), r)
        total = constant(_SERIES[0])
        for term in _SERIES[1:]:
            total = call("fma", total, r, constant(term))
        exponent = build.add(build.fptosi(n, _INTEGERS), ir.Constant(_INTEGERS, [127] * LANES))
        power = build.bitcast(build.shl(exponent, ir.Constant(_INTEGERS, [23] * LANES)), _FLOATS)
        return build.fmul(total, power)

    def sigmoid(self, x: ir.Value) -> ir.Value:
        one = self.constant(1.0)
        below = self.builder.fadd(one, self.exp(self.builder.fsub(self.constant(0.0), x)))
        return self.builder.fdiv(one, below)


def _place(context: Any, builder: ir.IRBuilder, kind: Any, array: ir.Value, at: ir.Value) -> ir.Value:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), _FLOATS.as_pointer())


@intrinsic
def spread(typing, target, at, number):
    """Put one number in the `LANES` places of `target` from `at` on."""

    def codegen(context, builder, signature, arguments):
        target, at, number = arguments
        place = _place(context, builder, signature.args[0], target, at)
        builder.store(_VectorMath(builder).spread(number), place, align=4)
        return context.get_dummy_value()

    return types.void(target, types.int64, types.float32), codegen


@intrinsic
def silu(typing, score, at, scale):
    """`SiLU(score) * scale` in place, for the `LANES` numbers of `score` from `at` on."""

    def codegen(context, builder, signature, arguments):
        score, at, scale = arguments
        maths = _VectorMath(builder)
        place = _place(context, builder, signature.args[0], score, at)
        x = builder.load(place, align=4)
        value = builder.fmul(builder.fmul(x, maths.spread(scale)), maths.sigmoid(x))
        builder.store(value, place, align=4)
        return context.get_dummy_value()

    return types.void(score, types.int64, types.float32), codegen


@intrinsic
def silu_and_slope(typing, score, slope, at, scale):
    """As `silu`; `slope` is multiplied by the derivative, `scale * s * (1 + x * (1 - s))` with s = sigmoid(x)."""

    def codegen(context, builder, signature, arguments):
        score, slope, at, scale = arguments
        maths = _VectorMath(builder)
        score_place = _place(context, builder, signature.args[0], score, at)
        slope_place = _place(context, builder, signature.args[1], slope, at)
        x, one = builder.load(score_place, align=4), maths.constant(1.0)
        s = maths.sigmoid(x)
        scaled = builder.fmul(s, maths.spread(scale))
        derivative = builder.fmul(scaled, maths.call("fma", x, builder.fsub(one, s), one))
        builder.store(builder.fmul(x, scaled), score_place, align=4)
        builder.store(builder.fmul(builder.load(slope_place, align=4), derivative), slope_place, align=4)
        return context.get_dummy_value()

    return types.void(score, slope, types.int64, types.float32), codegen
