"""Softmax losses over a catalogue: against sampled negatives, fused, and against every item, in chunks.

Both take the gradient along with the loss, in one pass over the scores, and hold scores of a few tokens only: gathered
negatives `[N, M, D]` or all scores `[N, V]` would be hundreds of megabytes in a batch of long sequences.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import FunctionCtx

from plait.nn.hstu.vectors import LANES
from plait.nn.sampled_softmax import sampled_rows

_CHUNK = 1024
"""Tokens whose scores over the whole catalogue are held at once: within the processor's caches at a few thousand."""


def sampled_softmax_loss(
    state_ND: Tensor, item_VD: Tensor, target_N: Tensor, negative_NM: Tensor, temperature: float
) -> Tensor:
    """Mean cross-entropy of each token's target among itself and its own M negatives.

        loss[n] = log( e^(p / T) + sum over m of e^(s[n].x[negative n m] / T) ) - p / T,  p = s[n].x[target n]

    A negative that is the target itself is left out of the sum.

    Args:
        state_ND: states of N tokens, float32.
        item_VD: vectors of the catalogue.
        target_N: what came next, 0 to V - 1.
        negative_NM: sampled items, 0 to V - 1.
        temperature: T.
    """
    loss: Tensor = _SampledSoftmax.apply(  # type: ignore[no-untyped-call]
        state_ND, item_VD, target_N, negative_NM, temperature
    )
    return loss


def full_softmax_loss(state_ND: Tensor, item_VD: Tensor, target_N: Tensor, temperature: float) -> Tensor:
    """Mean cross-entropy of each token's target among the whole catalogue.

        loss[n] = log( sum over v of e^(s[n].x[v] / T) ) - s[n].x[target n] / T

    Args:
        state_ND: states of N tokens.
        item_VD: vectors of the catalogue.
        target_N: what came next, 0 to V - 1.
        temperature: T.
    """
    loss: Tensor = _FullSoftmax.apply(state_ND, item_VD, target_N, temperature)  # type: ignore[no-untyped-call]
    return loss


class _SavedGradients(torch.autograd.Function):
    """A loss whose gradients by states and items were made along with it."""

    @staticmethod
    def backward(ctx: FunctionCtx, upstream: Tensor) -> tuple[Tensor | None, ...]:
        state_ND, item_VD = ctx.saved_tensors  # type: ignore[attr-defined]
        rest = (None,) * (len(ctx.needs_input_grad) - 2)  # type: ignore[attr-defined]
        return upstream * state_ND, upstream * item_VD, *rest


class _SampledSoftmax(_SavedGradients):
    @staticmethod
    def forward(  # noqa: PLR0917 (autograd passes arguments by place)
        ctx: FunctionCtx, state_ND: Tensor, item_VD: Tensor, target_N: Tensor, negative_NM: Tensor, temperature: float
    ) -> Tensor:
        width, negatives = state_ND.shape[1], negative_NM.shape[1]
        state, item = _padded(state_ND), _padded(item_VD)
        target, negative = (codes.to(torch.int32).contiguous().numpy() for codes in (target_N, negative_NM))
        tokens, threads = len(state), torch.get_num_threads()
        loss_N, state_gradient = np.empty(tokens, np.float32), np.zeros_like(state)
        item_gradient = np.zeros((threads, *item.shape), np.float32)

        def part(thread: int) -> None:
            of = slice(tokens * thread // threads, tokens * (thread + 1) // threads)
            sampled_rows(
                state[of].ravel(),
                item.ravel(),
                target[of],
                negative[of],
                np.float32(1 / temperature),
                np.float32(1 / (temperature * max(tokens, 1))),
                loss_N[of],
                state_gradient[of].ravel(),
                item_gradient[thread].ravel(),
                np.zeros(negatives + 2 * LANES, np.float32),
            )

        _in_threads(part, threads)
        ctx.save_for_backward(
            torch.from_numpy(state_gradient)[:, :width], torch.from_numpy(item_gradient.sum(0))[:, :width]
        )
        return torch.tensor(loss_N.sum(dtype=np.float64) / max(tokens, 1), dtype=state_ND.dtype)


def _padded(rows: Tensor) -> NDArray[np.float32]:
    """Rows as float32, with zeros up to whole vectors: they add nothing to a product."""
    short = -rows.shape[1] % LANES
    return np.ascontiguousarray(torch.nn.functional.pad(rows.detach().float(), (0, short)).numpy())


def _in_threads(part: Callable[[int], None], threads: int) -> None:
    """`part(0)`, `part(1)`, ... at once; the parts release the interpreter's lock."""
    if threads == 1:
        part(0)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(part, range(threads)))


class _FullSoftmax(_SavedGradients):
    @staticmethod
    def forward(ctx: FunctionCtx, state_ND: Tensor, item_VD: Tensor, target_N: Tensor, temperature: float) -> Tensor:
        tokens, share = len(state_ND), 1.0 / (temperature * max(len(state_ND), 1))
        state_gradient_ND, item_gradient_VD = torch.empty_like(state_ND), torch.zeros_like(item_VD)
        score_buffer_CV, weight_buffer_CV = (state_ND.new_empty(_CHUNK, len(item_VD)) for _ in range(2))
        loss = torch.zeros((), dtype=torch.float64)
        for start in range(0, tokens, _CHUNK):
            state_CD, target_C1 = state_ND[start : start + _CHUNK], target_N[start : start + _CHUNK, None]
            score_CV, weight_CV = score_buffer_CV[: len(state_CD)], weight_buffer_CV[: len(state_CD)]
            torch.mm(state_CD / temperature, item_VD.T, out=score_CV)
            torch.softmax(score_CV, dim=1, out=weight_CV)
            total_C = score_CV.amax(1) - weight_CV.amax(1).log()  # log of the sum, by what the largest term has of it
            loss += (total_C - score_CV.gather(1, target_C1)[:, 0]).sum(dtype=torch.float64)
            weight_CV.scatter_add_(1, target_C1, -torch.ones_like(target_C1, dtype=weight_CV.dtype))
            torch.mm(weight_CV, item_VD, out=state_gradient_ND[start : start + _CHUNK])
            item_gradient_VD.addmm_(weight_CV.T, state_CD)
        ctx.save_for_backward(state_gradient_ND.mul_(share), item_gradient_VD.mul_(share))
        return (loss / max(tokens, 1)).to(state_ND.dtype)
