"""HSTU in float64, event by event, straight from the formula: what every version is compared with."""

import math

import torch
from torch import Tensor

from plait.nn.hstu import HstuLayer


def bucket(difference_ms: int) -> int:
    """floor(ln(max(1, seconds)) / .301), between 0 and 128."""
    return max(0, min(128, math.floor(math.log(max(1.0, abs(difference_ms) / 1000.0)) / 0.301)))


def attention(
    query_LHK, key_LHK, value_LHV, row_times, column_times, distance_P, time_Z, n, *, softmax=False
) -> Tensor:
    """out[i] = sum over j <= i of SiLU(q_i . k_j + distance[i - j] + time[bucket]) / n * v_j, for one sequence."""
    length, heads, _ = query_LHK.shape
    rows = []
    for i in range(length):
        for h in range(heads):
            scores = []
            for j in range(i + 1):
                score = (query_LHK[i, h] * key_LHK[j, h]).sum()
                if distance_P is not None:
                    score = score + distance_P[i - j]
                if time_Z is not None:
                    score = score + time_Z[bucket(int(row_times[i]) - int(column_times[j]))]
                scores.append(score)
            s = torch.stack(scores)
            weights = torch.softmax(s, 0) if softmax else s / (1 + torch.exp(-s)) / n
            rows.append((weights[:, None] * value_LHV[: i + 1, h]).sum(0))
    return torch.stack(rows).view(length, heads, -1) if rows else value_LHV.new_zeros(0, heads, value_LHV.shape[2])


def double_weights(module: HstuLayer) -> dict[str, Tensor]:
    """The weights of a layer in float64, apart from it and with gradients of their own."""
    return {name: parameter.detach().double().requires_grad_() for name, parameter in module.named_parameters()}


def layer(module: HstuLayer, state_LD: Tensor, times, *, weights=None, kept_LM=None) -> Tensor:
    """U, V, Q, K = split(SiLU(LN(x) W)); y = Linear(U * LN(A V)) + x, with the weights of `module` in float64.

    `weights` stand in for `double_weights(module)`; `kept_LM` is what dropout multiplies U * LN(A V) by.
    """
    sizes = module.sizes
    weights = weights or double_weights(module)
    p = norm(state_LD) @ weights["project.weight"].T
    p = p / (1 + torch.exp(-p))
    m, k, length = sizes.heads * sizes.value_width, sizes.heads * sizes.query_width, len(state_LD)
    u, v, q, key = p[:, :m], p[:, m : 2 * m], p[:, 2 * m : 2 * m + k], p[:, 2 * m + k :]
    by_head = (part.unflatten(1, (sizes.heads, -1)) for part in (q, key, v))
    bias = (weights.get("distance_bias"), weights.get("time_bias"))
    softmax = sizes.attention == "softmax"
    mixed = norm(attention(*by_head, times, times, *bias, sizes.max_events, softmax=softmax).reshape(length, m))
    if sizes.gate:
        mixed = u * mixed
    if kept_LM is not None:
        mixed = mixed * kept_LM
    return mixed @ weights["output.weight"].T + weights["output.bias"] + state_LD


def norm(x_LD: Tensor) -> Tensor:
    """Layer norm without affine part."""
    mean = x_LD.mean(1, keepdim=True)
    variance = ((x_LD - mean) ** 2).mean(1, keepdim=True)
    return (x_LD - mean) / torch.sqrt(variance + 1e-5)
