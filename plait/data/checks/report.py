"""What a check found, as a value that goes to JSON and back."""

import json
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from plait.data.artifacts import write_atomically
from plait.errors import ArtifactError

REPORT_FILE = "report.json"
EXAMPLES = 3
"""How many examples of each finding are kept."""


class Outcome(StrEnum):
    """What happens to the rows of a finding."""

    QUARANTINED = "quarantined"
    """The row goes to the quarantine table with the reason; nothing else is built from it."""
    EMPTIED = "value removed"
    """The row is kept; the one value is read as missing."""
    KEPT = "kept"
    """The row is kept as it is; worth a look."""
    REFUSED = "refused"
    """Nothing is built until this is put right."""


@dataclass(frozen=True, slots=True)
class Example:
    """One row of a finding."""

    file: str
    row: int
    """Number of the row in its file, counted from 1 without a CSV file's header."""
    found: str
    """The values that broke the rule, as the file has them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that some rows of a table (or the table itself) break."""

    table: str
    rule: str
    """Short name of the rule, the same in every run: "duplicate_key"."""
    message: str
    """The rule as a sentence; of quarantined rows, the text in their `reason` column."""
    outcome: Outcome
    rows: int
    """How many rows it concerns; 0 where it is about the table as a whole."""
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True, slots=True)
class TableReport:
    """One table: its rows before and after, and what was found."""

    table: str
    rows_in: int
    rows_out: int
    rows_quarantined: int
    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        found = self.rows_out + self.rows_quarantined
        if self.rows_in != found:
            raise AssertionError(f"{self.table}: {self.rows_in} rows in, {found} rows clean or in quarantine")

    @property
    def share_quarantined(self) -> float:
        return self.rows_quarantined / self.rows_in if self.rows_in else 0.0


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The whole check of one workspace."""

    workspace: str
    simulated: bool
    tables: tuple[TableReport, ...] = ()
    findings: tuple[Finding, ...] = field(default=())
    """Findings about tables as a whole and about the workspace."""

    @property
    def refusals(self) -> tuple[Finding, ...]:
        """What must be put right before anything is built."""
        return tuple(finding for finding in self.all_findings() if finding.outcome is Outcome.REFUSED)

    @property
    def refused(self) -> bool:
        return bool(self.refusals)

    @property
    def rows_quarantined(self) -> int:
        return sum(table.rows_quarantined for table in self.tables)

    def all_findings(self) -> tuple[Finding, ...]:
        """Those of each table, then those of the workspace."""
        return (*(finding for table in self.tables for finding in table.findings), *self.findings)

    def table(self, name: str) -> TableReport:
        """The report of table `name`.

        Raises:
            KeyError: the check did not get as far as that table.
        """
        for table in self.tables:
            if table.table == name:
                return table
        raise KeyError(name)

    def with_findings(self, *findings: Finding) -> "CheckReport":
        """This report and further findings about the workspace."""
        return replace(self, findings=(*self.findings, *findings))

    def to_json(self) -> str:
        content = {**asdict(self), "refused": self.refused, "rows_quarantined": self.rows_quarantined}
        return json.dumps(content, ensure_ascii=False, indent=1)

    @staticmethod
    def from_json(text: str) -> "CheckReport":
        content = json.loads(text)
        return CheckReport(
            content["workspace"],
            content["simulated"],
            tuple(table_report(table) for table in content["tables"]),
            tuple(_finding(finding) for finding in content["findings"]),
        )


def write_report(folder: Path, report: CheckReport) -> None:
    """Write `report` into `folder`, in one step."""
    write_atomically(folder / REPORT_FILE, report.to_json() + "\n")


def read_report(folder: Path) -> CheckReport:
    """The report in `folder`.

    Raises:
        ArtifactError: there is none, or it is damaged.
    """
    path = folder / REPORT_FILE
    try:
        return CheckReport.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path}: no report of a check ({error}); remove the folder and check again") from error


def table_report(content: dict[str, Any]) -> TableReport:
    """A table's report from its JSON form."""
    return TableReport(**{**content, "findings": tuple(_finding(finding) for finding in content["findings"])})


def _finding(content: dict[str, Any]) -> Finding:
    examples = tuple(Example(**example) for example in content["examples"])
    return Finding(**{**content, "outcome": Outcome(content["outcome"]), "examples": examples})
