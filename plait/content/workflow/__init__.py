"""A declared graph of steps over creatives: cached, resumable, each failure kept to its creative and step."""

from plait.content.workflow.cache import StepCache
from plait.content.workflow.runner import Run, StepTally
from plait.content.workflow.sheet import Sheet, Source
from plait.content.workflow.step import Answer, BatchStep, Failed, FileStep, Outcome, Step, one_by_one
from plait.content.workflow.workflow import Workflow

__all__ = [
    "Answer",
    "BatchStep",
    "Failed",
    "FileStep",
    "Outcome",
    "Run",
    "Sheet",
    "Source",
    "Step",
    "StepCache",
    "StepTally",
    "Workflow",
    "one_by_one",
]
