"""What `plait check` looks at: the rules, how far they reach, and what they found."""

from plait.data.checks.media import missing_media
from plait.data.checks.report import CheckReport, Example, Finding, Outcome, TableReport, read_report
from plait.data.checks.survey import TimeRange
from plait.data.checks.workspace_rules import judge_shares

__all__ = [
    "CheckReport",
    "Example",
    "Finding",
    "Outcome",
    "TableReport",
    "TimeRange",
    "judge_shares",
    "missing_media",
    "read_report",
]
