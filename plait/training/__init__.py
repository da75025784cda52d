"""One training loop for every ranker: optimisers, checkpoints, exact resume, early stopping, predictions."""

from plait.training.config import TrainingConfig
from plait.training.loop import CurvePoint, TrainingResult, train
from plait.training.predict import Predictions, predict
from plait.training.recipe import Recipe, load_recipe_by_name, recipe_names

__all__ = [
    "CurvePoint",
    "Predictions",
    "Recipe",
    "TrainingConfig",
    "TrainingResult",
    "load_recipe_by_name",
    "predict",
    "recipe_names",
    "train",
]
