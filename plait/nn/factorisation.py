"""Second-order factorisation: all pairs of fields at the cost of one pass."""

from torch import Tensor


def pairwise_products(field_BFD: Tensor) -> Tensor:
    """The sum of the elementwise products of all pairs of fields, `[B, D]`.

    `sum_{i < j} e_i * e_j = ((sum_i e_i)^2 - sum_i e_i^2) / 2`; its sum over D is the second-order term of a
    factorisation machine. Rendle 2010, "Factorization Machines", section III B.
    """
    return (field_BFD.sum(1).square() - field_BFD.square().sum(1)) / 2
