"""Products of matrices for inference, with what is added to them and the ReLU after them in the same pass.

PyTorch multiplies single-precision matrices through MKL, which leaves half of the vector width of AMD's processors
unused. oneDNN, which PyTorch carries too, uses all that a processor has; where it cannot be had, or something is traced
or differentiated, these are plain products.
"""

import torch
from torch import Tensor

_ONEDNN: bool = torch._C._has_mkldnn and hasattr(torch.ops.mkldnn, "_linear_pointwise")
_FEWEST_ROWS = 128
"""Fewer rows take longer to hand over than to multiply."""


def product(
    input_BI: Tensor,
    matrix_IO: Tensor,
    bias_O: Tensor | None = None,
    added_BO: Tensor | None = None,
    *,
    relu: bool = False,
) -> Tensor:
    """`input matrix + bias + added`, and its ReLU where asked for, `[B, O]`.

    Args:
        input_BI: rows, may be a slice of longer ones.
        matrix_IO: fastest if it is the transpose of a contiguous one, such as a layer's weight.
        bias_O: added to every row.
        added_BO: added row by row.
        relu: cut at 0.
    """
    if not _through_onednn(input_BI):
        return _plain(input_BI, matrix_IO, bias_O, added_BO, relu=relu)
    onednn = torch.ops.mkldnn._linear_pointwise
    if added_BO is None:
        multiplied_BO: Tensor = onednn(input_BI, matrix_IO.T, bias_O, "relu" if relu else "none", [], "")
        return multiplied_BO
    multiplied_BO = onednn.binary(input_BI, added_BO, matrix_IO.T, bias_O, "add")
    return multiplied_BO.relu_() if relu else multiplied_BO


def _through_onednn(input_BI: Tensor) -> bool:
    if torch.compiler.is_compiling() or torch.is_grad_enabled() or not _ONEDNN:
        return False
    return len(input_BI) >= _FEWEST_ROWS and input_BI.device.type == "cpu" and input_BI.dtype == torch.float32


def _plain(
    input_BI: Tensor, matrix_IO: Tensor, bias_O: Tensor | None, added_BO: Tensor | None, *, relu: bool
) -> Tensor:
    start = bias_O if added_BO is None else added_BO
    multiplied_BO = input_BI @ matrix_IO if start is None else torch.addmm(start, input_BI, matrix_IO)
    if added_BO is not None and bias_O is not None:
        multiplied_BO = multiplied_BO.add_(bias_O)
    return multiplied_BO.relu_() if relu else multiplied_BO
