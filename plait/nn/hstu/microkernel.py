"""The inner products of the CPU kernels: four rows of a small matrix product, held in vector registers.

Everything that costs time in HSTU attention is a product of tiles that fit a core's cache: Q K^T, A V and their five
gradients. LLVM's own vectoriser reaches a tenth of what a core can do on such loops; this one writes the vector
instructions itself. Numba compiles it for the machine at hand, so no compiler need be installed.
"""

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from plait.nn.hstu.vectors import FLOATS, LANES, after, call, in_every_lane

ROWS = 4
"""Rows of a product that are computed together."""
_WIDE = 2
"""Vectors of columns that are computed together: 4 rows x 2 vectors keep both multipliers of a core busy."""

_INDEX = ir.IntType(64)


def _multiply_add(vectors: int) -> Any:
    """An intrinsic for `C[4, n] += A[4, depth] B[depth, n]` with n = `vectors * LANES`."""

    @intrinsic
    def multiply_add(typing, c, c_row, a, a_row, a_column, b, b_row, depth):
        index = types.int64
        signature = types.void(c, index, a, index, index, b, index, index)

        def codegen(context, builder, signature, arguments):
            c, c_row, a, a_row, a_column, b, b_row, depth = arguments
            product = _Product(builder, vectors)
            totals = product.load_totals(c, c_row)
            with cgutils.for_range(builder, depth, intp=_INDEX) as loop:
                b_here, a_here = (builder.mul(step, loop.index) for step in (b_row, a_column))
                product.accumulate(totals, a, a_here, a_row, b, b_here)
            product.store_totals(totals, c, c_row)
            return context.get_dummy_value()

        return signature, codegen

    return multiply_add


class _Product:
    """Writes the instructions of one tile of a product."""

    def __init__(self, builder: ir.IRBuilder, vectors: int) -> None:
        self.builder, self.vectors = builder, vectors

    def _vector_at(self, array: ir.Value, at: ir.Value) -> ir.Value:
        return self.builder.bitcast(self.builder.gep(array, [at]), FLOATS.as_pointer())

    def _places(self, row: ir.Value) -> list[ir.Value]:
        starts = (self.builder.mul(row, _INDEX(r)) for r in range(ROWS))
        return [self.builder.add(start, _INDEX(v * LANES)) for start in starts for v in range(self.vectors)]

    def load_totals(self, c: ir.Value, row: ir.Value) -> list[ir.Value]:
        """One register (as LLVM sees it: a slot that it keeps in one) for each vector of C."""
        totals = []
        for place in self._places(row):
            slot = cgutils.alloca_once(self.builder, FLOATS)
            self.builder.store(self.builder.load(self._vector_at(c, place), align=4), slot)
            totals.append(slot)
        return totals

    def accumulate(
        self, totals: list[ir.Value], a: ir.Value, a_at: ir.Value, a_row: ir.Value, b: ir.Value, b_at: ir.Value
    ) -> None:
        """`totals += a[:, k] b[k, :]` for one k."""
        build = self.builder
        b_vectors = [
            build.load(self._vector_at(b, build.add(b_at, _INDEX(v * LANES))), align=4) for v in range(self.vectors)
        ]
        for r in range(ROWS):
            scalar = build.load(build.gep(a, [build.add(a_at, build.mul(a_row, _INDEX(r)))]))
            spread = in_every_lane(build, scalar, FLOATS)
            for v, b_vector in enumerate(b_vectors):
                slot = totals[r * self.vectors + v]
                build.store(call(build, "fma", spread, b_vector, build.load(slot)), slot)

    def store_totals(self, totals: list[ir.Value], c: ir.Value, row: ir.Value) -> None:
        """Back to memory."""
        for slot, place in zip(totals, self._places(row), strict=True):
            self.builder.store(self.builder.load(slot), self._vector_at(c, place), align=4)


_narrow = _multiply_add(1)
_wide = _multiply_add(_WIDE)


@njit(nogil=True, cache=True)
def multiply_add(c, c_row, a, a_row, a_column, b, b_row, rows, depth, columns):
    """`C[rows, columns] += A[rows, depth] B[depth, columns]` on float32 numbers in memory.

    `rows` are rounded up to a multiple of `ROWS` and `columns` to one of `LANES`: memory must reach that far. Rows of C
    lie `c_row` apart, those of B `b_row`. Element (r, k) of A is at `r * a_row + k * a_column`, so that A may be a
    transpose.
    """
    wide = columns - columns % (_WIDE * LANES)
    for r in range(0, rows, ROWS):
        a_here, c_here = after(a, r * a_row), after(c, r * c_row)
        for j in range(0, wide, _WIDE * LANES):
            _wide(after(c_here, j), c_row, a_here, a_row, a_column, after(b, j), b_row, depth)
        for j in range(wide, columns, LANES):
            _narrow(after(c_here, j), c_row, a_here, a_row, a_column, after(b, j), b_row, depth)
