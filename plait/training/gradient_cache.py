"""Losses over more rows than fit in memory at a time: gradient caching."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

ChunkT = TypeVar("ChunkT")


def cached_loss(
    encode: Callable[[ChunkT], Sequence[Tensor]], chunks: Sequence[ChunkT], loss: Callable[..., Tensor]
) -> Tensor:
    """`loss` of the outputs of all chunks together, descended: its gradients are added to those of the weights.

    Each chunk is encoded twice. First without gradients, for the loss and its gradient by the outputs; then, under the
    same random numbers, with gradients, chunk by chunk, and the first pass's gradient goes on through it. The weights
    get what one pass over all rows would have given them; what is in memory at a time is the activations of one chunk
    and the outputs of all. Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup".

    Args:
        encode: from a chunk to its outputs, each with the chunk's rows first.
        chunks: of one batch.
        loss: of as many outputs, those of all chunks joined.

    Returns:
        The loss, without a gradient of its own; a single chunk needs no cache, and its loss still has to be descended.
    """
    if len(chunks) == 1:
        return loss(*encode(chunks[0]))
    states, outputs = [], []
    with torch.no_grad():
        for chunk in chunks:
            states.append(torch.get_rng_state())
            outputs.append(encode(chunk))
    sizes = [len(one[0]) for one in outputs]
    joined = [torch.cat(parts).requires_grad_() for parts in zip(*outputs, strict=True)]
    with torch.enable_grad():
        value = loss(*joined)
    gradients = torch.autograd.grad(value, joined)
    by_chunk = zip(*(torch.split(gradient, sizes) for gradient in gradients), strict=True)
    after = torch.get_rng_state()
    for chunk, state, gradient in zip(chunks, states, by_chunk, strict=True):
        torch.set_rng_state(state)
        torch.autograd.backward(encode(chunk), gradient)
    torch.set_rng_state(after)
    return value.detach()
