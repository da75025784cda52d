"""Starting from the weights of another model."""

from collections.abc import Mapping

from torch import Tensor, nn

from plait.errors import TrainingError
from plait.models.ctrl import AlignedTower


def starting_weights(model: nn.Module) -> dict[str, Tensor]:
    """What another model may start from: all weights, or those of the ranker that was aligned with texts alone."""
    return (model.ranker if isinstance(model, AlignedTower) else model).state_dict()


def start_from_weights(model: nn.Module, weights: Mapping[str, Tensor], *, freeze: bool) -> list[str]:
    """Take over every weight that both have, by name and shape.

    Args:
        model: what will be trained.
        weights: a state dict of another model.
        freeze: the weights that were taken over are not trained.

    Returns:
        Names of what was taken over.

    Raises:
        TrainingError: the models have nothing in common.
    """
    own = model.state_dict()
    shared = {name: value for name, value in weights.items() if name in own and own[name].shape == value.shape}
    if not any(name in shared for name, _ in model.named_parameters()):
        raise TrainingError("training.start_from: the two models share no weight; give them the same sizes")
    model.load_state_dict({**own, **shared})
    if freeze:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name not in shared)
    return sorted(shared)


def set_training_mode(model: nn.Module) -> None:
    """Training mode for what is trained; frozen parts stay in evaluation mode, without dropout."""
    model.train()
    for module in model.modules():
        parameters = list(module.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            module.eval()
