"""One training loop for every model: optimisers, checkpoints, exact resume, early stopping, predictions."""

from plait.training.alignment import AlignmentTask
from plait.training.config import FeatureUse, TrainingConfig
from plait.training.loop import CurvePoint, TrainingResult, train_task
from plait.training.next_item import NextItemTask, steps_per_epoch, target_ranks
from plait.training.predict import Predictions, predict
from plait.training.ranking import train
from plait.training.recipe import Recipe, load_recipe_by_name, recipe_names

__all__ = [
    "AlignmentTask",
    "CurvePoint",
    "FeatureUse",
    "NextItemTask",
    "Predictions",
    "Recipe",
    "TrainingConfig",
    "TrainingResult",
    "load_recipe_by_name",
    "predict",
    "recipe_names",
    "steps_per_epoch",
    "target_ranks",
    "train",
    "train_task",
]
