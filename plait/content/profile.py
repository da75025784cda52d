"""Answers of the steps into the profile of a creative."""

from typing import Any

from plait.content.workflow import Sheet, Workflow
from plait.schema import CreativeProfile, Failure, Provenance


def profile_of(creative_id: int | str, sheet: Sheet, workflow: Workflow) -> CreativeProfile:
    """The profile: each field from the last step that answers it, with that step's confidence and name."""
    fields: dict[str, Any] = {}
    confidence: dict[str, float] = {}
    provenance: dict[str, Provenance] = {}
    for step in workflow.steps:
        answer = sheet.answer(step.name) or {}
        for name, value in answer.get("fields", {}).items():
            fields[name] = value
            provenance[name] = Provenance(step=step.name, version=step.version, model=step.model)
        confidence |= answer.get("confidence", {})
    failures = tuple(Failure(step=name, reason=failed.reason) for name, failed in sheet.failures().items())
    return CreativeProfile.model_validate(
        {"creative_id": creative_id, "confidence": confidence, "provenance": provenance, "failures": failures, **fields}
    )
