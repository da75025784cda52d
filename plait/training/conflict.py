"""Objectives that pull shared weights in different directions: how much, and what PCGrad does about it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from plait.nn.embedding import Table
from plait.training.objective import ObjectiveLosses

ALARM = -0.1
"""A pair of objectives is named in the console if the cosine of its gradients is below this."""


def shared_weights(model: nn.Module) -> list[nn.Parameter]:
    """The trained dense weights. Embedding tables are left out: a step touches few of their rows."""
    tables = {id(module.weight) for module in model.modules() if isinstance(module, Table)}
    return [weight for weight in model.parameters() if weight.requires_grad and id(weight) not in tables]


def objective_gradients(loss_T: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """`[T, P]`: the gradient of each objective's loss by all weights, one after the other; 0 where it has none."""
    rows = []
    for loss in loss_T:
        parts = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
        flat = [
            weight.new_zeros(weight.numel()) if part is None else part.flatten()
            for part, weight in zip(parts, weights, strict=True)
        ]
        rows.append(torch.cat(flat))
    return torch.stack(rows)


def cosines(gradient_TP: Tensor) -> Tensor:
    """`[T, T]`: cosines between the gradients by the weights that both objectives move; NaN where they share none."""
    touched_TP = (gradient_TP != 0).to(gradient_TP.dtype)
    product_TT = gradient_TP @ gradient_TP.T
    square_TT = gradient_TP.square() @ touched_TP.T  # of row t over the weights that both move
    return product_TT / (square_TT * square_TT.T).sqrt()


def project(gradient_TP: Tensor, order: Sequence[int]) -> Tensor:
    """`[T, P]`: each gradient without what goes against another's (Yu et al. 2020, "PCGrad", algorithm 1).

    Args:
        gradient_TP: one row per objective.
        order: in which the others are taken.
    """
    projected_TP = gradient_TP.clone()
    square_T = gradient_TP.square().sum(1).clamp(min=torch.finfo(torch.float32).tiny)
    for objective, own_P in enumerate(projected_TP):
        for other in order:
            if other != objective:
                against = (own_P @ gradient_TP[other]).clamp(max=0.0)
                own_P.sub_(gradient_TP[other] * (against / square_T[other]))
    return projected_TP


def surgery(losses: ObjectiveLosses, weight_T: Tensor, weights: Sequence[nn.Parameter]) -> Tensor:
    """A term of value 0 whose gradient makes that of the weighted mean loss PCGrad's.

    It costs a backward pass per objective. Embedding tables keep the plain gradient. The order in which conflicts are
    removed is drawn from PyTorch's generator.
    """
    share_T = weight_T * losses.known_T
    share_T = share_T / share_T.sum().clamp(min=torch.finfo(torch.float32).tiny)
    gradient_TP = objective_gradients(losses.mean_T * share_T, weights)
    order = torch.randperm(len(gradient_TP)).tolist()
    change_P = (project(gradient_TP, order) - gradient_TP).sum(0)
    parts = torch.split(change_P, [weight.numel() for weight in weights])
    terms = [(weight.flatten() * part).sum() for weight, part in zip(weights, parts, strict=True)]
    term = torch.stack(terms).sum()
    return term - term.detach()


def conflicts(cosine_TT: Tensor, objectives: Sequence[str]) -> tuple[dict[str, float], list[str]]:
    """What a run's log says of cosines between gradients, and the worst pair in words where it is below `ALARM`."""
    first_P, second_P = torch.triu_indices(len(cosine_TT), len(cosine_TT), offset=1)
    cosine_P = cosine_TT[first_P, second_P]
    known_P = ~cosine_P.isnan()
    if not known_P.any():
        return {}, []
    worst = int(cosine_P.nan_to_num(nan=1.0).argmin())
    least = float(cosine_P[worst])
    against = float((cosine_P[known_P] < 0).float().mean())
    pair = f"{objectives[int(first_P[worst])]} x {objectives[int(second_P[worst])]}"
    words = [f"gradients against each other: {pair} ({least:.2f})"] if least < ALARM else []
    return {"conflicting_pairs": against, "least_cosine": least}, words
