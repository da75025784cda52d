"""HSTU-large as `plait train hstu-large-next-time` trains it: the fused kernels, no padding."""

import torch
from training_step import Batch, main

from plait.models.next_item import EventBatch, NextItemModel
from plait.nn.catalogue_softmax import sampled_softmax_loss
from plait.training.optimiser import Optimiser
from plait.training.recipe import load_recipe_by_name, recipe_folder


class Training:
    """The model of the recipe, its loss and its optimiser."""

    def __init__(self, items: int) -> None:
        self.recipe = load_recipe_by_name("hstu-large-next-time", recipe_folder())
        self.model = NextItemModel(self.recipe.model, items, actions=1).train()
        self.optimiser = Optimiser(self.model, self.recipe.training, 100)
        self.number = 0

    def step(self, batch: Batch) -> float:
        """One step; every event but the last of a user has a target."""
        is_last_N = torch.zeros(len(batch.item_N), dtype=torch.bool)
        is_last_N[batch.offsets_U1[1:] - 1] = True
        events = EventBatch(
            offsets_U1=batch.offsets_U1 - torch.arange(len(batch.offsets_U1)),
            item_N=batch.item_N[~is_last_N] - 1,
            action_N=torch.zeros(int((~is_last_N).sum()), dtype=torch.long),
            time_N=batch.second_N[~is_last_N] * 1000,
            request_time_U=batch.second_N[is_last_N] * 1000,
        )
        target_N = batch.item_N.roll(-1)[~is_last_N] - 1
        state_ND, item_VD = self.model(events)
        shape = (len(state_ND), self.recipe.training.next_item.negatives)
        negative_NM = torch.randint(len(item_VD), shape, dtype=torch.int32)
        loss = sampled_softmax_loss(state_ND, item_VD, target_N, negative_NM, self.recipe.model.temperature)
        loss.backward()
        self.optimiser.step(self.number)
        self.number += 1
        return float(loss.detach())


if __name__ == "__main__":
    main(Training)
